/* SPDX-License-Identifier: Apache-2.0
 *
 * Deployments: made from what the store has of a module, kept for executions, sent to every engine
 * thread. What is read may be answered later; what has changed meanwhile is then read again, and
 * changes of what serves are sent in the order in which they were announced. Control thread. */
#pragma once

#include "admin/admin.h"
#include "flow/place.h"
#include "store/ask.h"

struct deployment;
struct deployments;
struct server;

struct deployments *deployments_new(struct server *s, struct loop *loop, struct asks *asks);
void deployments_free(struct deployments *ds);

/* Everything that the store has is routed, then done is called, perhaps before this returns. */
void deployments_route_all(struct deployments *ds, void (*done)(void *arg, const struct error *e),
                           void *arg);

/* For struct flow_code. */
void deployments_get(struct deployments *ds, struct deployment_ask *a, struct slice name,
                     int64_t version);
void deployments_try(struct deployments *ds, struct deployment_ask *a, struct slice name,
                     struct slice code, struct slice detail);

/* For struct admin_host. */
void deployments_change(struct deployments *ds, struct admin_change *request);
NODISCARD enum err deployments_routes_check(struct deployments *ds, struct slice module,
                                            struct slice lines, struct error *ret_error);
void deployments_routes_hold(struct deployments *ds, struct slice module, struct slice lines);
void deployments_routes_list(struct deployments *ds, struct slice space, struct json_writer *w);
