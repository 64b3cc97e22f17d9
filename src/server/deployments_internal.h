/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files of deployments: what is made of the store's rows (deployment_row.c), changes on
 * their way to the engine threads (deployments.c), versions for executions (deployments_get.c), and
 * all of them at a start (deployments_start.c). Control thread. */
#pragma once

#include "base/map.h"
#include "server/claims.h"
#include "server/deployments.h"

struct deployments {
    struct server *server;
    struct loop *loop;
    struct asks *asks;
    struct claims claims;
    struct map databases;  /* module name -> struct database, a reference each */
    struct map workflows;  /* "name@version" -> struct deployment, a reference each */
    uint64_t changes;      /* announced so far: what was asked for before one may be old */
    struct list announced; /* struct announced, in order; the first is being read */
    bool is_announcing;

    /* at a start */
    struct arena *names; /* that changes on their way then borrow */
    struct ask *spaces;  /* all namespaces */
    size_t space;        /* of them, the one that is routed */
    struct ask *quota;   /* its own */
    struct ask *egress;  /* its rules */
    struct ask *list;    /* its modules */
    enum module_kind list_kind;
    size_t next, out;
    struct error error;
    void (*routed)(void *arg, const struct error *e);
    void *routed_arg;
};

/* What the answer of a module's query says, as a deployment with one reference. */
struct deployment *deployment_of(struct deployments *ds, const struct store_query *q);
/* For a module's query: of which. */
void deployment_ask_module(struct ask *a, struct slice name, int64_t version);

/* To the engine threads. d NULL: the function is gone. The reference is taken over; request may be
 * NULL. name must outlive the change. */
void deployments_send(struct deployments *ds, struct slice name, struct deployment *d,
                      struct admin_change *request);
/* Hosts name it from now on, or do not any more. */
void deployments_send_space(struct deployments *ds, struct slice name, bool is_deleted,
                            struct admin_change *request);
void deployments_send_policy(struct deployments *ds, struct slice name, const struct store_query *q,
                             struct admin_change *request);
/* Remembers where the module's data lies; removes it when the module is gone (d NULL). */
void deployments_track(struct deployments *ds, struct slice name, const struct deployment *d);
/* Versions, environment or existence of the module changed: what executions start from now on sees
 * that. */
void deployments_forget(struct deployments *ds, struct slice name);
