/* SPDX-License-Identifier: Apache-2.0
 *
 * Deployments: made from what the store has of a module, kept for executions, sent to every engine
 * thread. What is read may be answered later; what has changed meanwhile is then read again, and
 * changes of what serves are sent in the order in which they were announced. Control thread. */
#pragma once

#include "admin/admin.h"
#include "store/ask.h"

struct database;
struct deployment;
struct deployments;
struct server;

struct deployments *deployments_new(struct server *s, struct loop *loop, struct asks *asks);
void deployments_free(struct deployments *ds);

/* Everything that the store has is routed, then done is called, perhaps before this returns. */
void deployments_route_all(struct deployments *ds, void (*done)(void *arg, const struct error *e),
                           void *arg);

/* A wish for a deployment. The caller owns it until done, which may be called before the function
 * that takes it returns. */
struct deployment_ask {
    void (*done)(struct deployment_ask *a);
    struct deployment *deployment; /* a reference for the caller; NULL: error says why */
    struct error error;
    /* private */
    struct deployments *deployments;
    struct ask *ask;
    uint64_t changes;
    struct slice code, source_map; /* of code that is only to be checked */
    struct trial *trial;
};
/* A version of a workflow (0: the one that serves), as new executions or old ones run it.
 * ERR_NOT_FOUND: deleted. */
void deployments_get(struct deployments *ds, struct deployment_ask *a, struct slice name,
                     int64_t version);
/* Code that is only to be checked, with the options of the version that serves. code and source_map
 * are borrowed until done. */
void deployments_try(struct deployments *ds, struct deployment_ask *a, struct slice name,
                     struct slice code, struct slice source_map);

/* For struct admin_host. */
void deployments_change(struct deployments *ds, struct admin_change *request);
/* The module's database, borrowed until the next change; NULL: there is no such module. */
struct database *deployments_database(struct deployments *ds, struct slice module);
