/* SPDX-License-Identifier: Apache-2.0
 *
 * All deployments, at a start: namespace by namespace, some modules at a time. */
#include "base/module_name.h"
#include "module/deployment.h"
#include "server/accounts.h"
#include "server/deployments_internal.h"
#include "server/server.h"

enum { ROUTE_AT_ONCE = 64 }; /* modules that are read at the same time */

static void route_on(struct deployments *ds);

static void route_take(struct deployments *ds, struct ask *a)
{
    ds->out--;
    if (a->query.error.code != OK) {
        ds->error = a->query.error;
    } else {
        struct deployment *d = deployment_of(ds, &a->query);
        if (!d->kind->is_routed) {
            deployments_track(ds, d->name, d);
            deployment_unref(d);
        } else {
            deployments_send(ds, d->name, d, NULL);
        }
    }
    ask_drop(a);
}

static void route_answered(struct ask *a)
{
    struct deployments *ds = a->owner;
    route_take(ds, a);
    route_on(ds);
}

static void start_answered(struct ask *a)
{
    route_on(a->owner);
}

static void route_over(struct deployments *ds)
{
    void (*routed)(void *arg, const struct error *e) = ds->routed;
    ds->routed = NULL;
    ask_drop(TAKE(ds->list));
    ask_drop(TAKE(ds->quota));
    ask_drop(TAKE(ds->egress));
    ask_drop(TAKE(ds->spaces));
    routed(ds->routed_arg, &ds->error);
}

/* The next modules of the list. */
static void route_some(struct deployments *ds)
{
    const struct store_query *q = &ds->list->query;
    while (ds->next < q->functions.len && ds->out < ROUTE_AT_ONCE && ds->error.code == OK) {
        const struct function_row *row = &q->functions.rows[ds->next++];
        if (row->version == 0)
            continue;
        struct ask *a = ask_new(ds->asks, STORE_QUERY_MODULE, route_answered, ds);
        deployment_ask_module(a, row->name, 0);
        ds->out++;
        if (ask_start(a) == OP_DONE)
            route_take(ds, a);
    }
}

/* Is it here? It is asked for if *ask is NULL. */
static bool start_has(struct deployments *ds, struct ask **ask, enum store_query_kind kind,
                      struct slice space)
{
    if (!*ask) {
        struct ask *a = *ask = ask_new(ds->asks, kind, start_answered, ds);
        if (kind == STORE_QUERY_FUNCTIONS) {
            a->query.functions.kind = ds->list_kind;
            a->query.functions.space = arena_copy(a->arena, space);
            ds->next = 0;
        } else if (kind == STORE_QUERY_NAMESPACE_QUOTA) {
            a->query.space_quota.space = arena_copy(a->arena, space);
        } else if (kind == STORE_QUERY_EGRESS) {
            a->query.egress.space = arena_copy(a->arena, space);
        }
        if (ask_start(a) == OP_PENDING)
            return false;
    }
    if ((*ask)->is_answered && (*ask)->query.error.code != OK)
        ds->error = (*ask)->query.error;
    return (*ask)->is_answered;
}

/* The namespace that is next is known to the workers, and what it may hold. */
static bool space_is_ready(struct deployments *ds, struct slice name)
{
    if (!ds->quota && !namespace_is_default(name))
        deployments_send_space(ds, arena_copy(ds->names, name), false, NULL);
    return start_has(ds, &ds->quota, STORE_QUERY_NAMESPACE_QUOTA, name) &&
           start_has(ds, &ds->egress, STORE_QUERY_EGRESS, name);
}

/* Before its modules are. */
static void space_set(struct deployments *ds, struct slice name)
{
    const struct store_query *rules = &ds->egress->query;
    accounts_namespace_quota(ds->server->accounts, name, ds->quota->query.space_quota.row.max);
    if (rules->egress.len > 0 || rules->egress.denies)
        deployments_send_policy(ds, arena_copy(ds->names, name), rules, NULL);
}

/* One list of modules is routed: on to the next. */
static void list_over(struct deployments *ds)
{
    ask_drop(TAKE(ds->list));
    if (++ds->list_kind < MODULE_KINDS)
        return;
    ask_drop(TAKE(ds->quota));
    ask_drop(TAKE(ds->egress));
    ds->list_kind = 0;
    ds->space++;
}

/* Namespaces one after the other; of each its quota, its functions, its workflows. */
static void route_on(struct deployments *ds)
{
    if (!start_has(ds, &ds->spaces, STORE_QUERY_NAMESPACES, SLICE_EMPTY))
        return;
    const struct store_query *all = &ds->spaces->query;
    while (ds->error.code == OK && ds->space < all->namespaces.len) {
        struct slice name = all->namespaces.rows[ds->space].name;
        if (!space_is_ready(ds, name))
            return;
        if (ds->error.code == OK && !ds->list)
            space_set(ds, name);
        if (ds->error.code == OK && !start_has(ds, &ds->list, STORE_QUERY_FUNCTIONS, name))
            return;
        if (ds->error.code == OK)
            route_some(ds);
        if (ds->out > 0)
            return;
        if (ds->error.code == OK)
            list_over(ds);
    }
    if (ds->out == 0)
        route_over(ds);
}

void deployments_route_all(struct deployments *ds, void (*done)(void *arg, const struct error *e),
                           void *arg)
{
    ds->routed = done;
    ds->routed_arg = arg;
    ds->list_kind = 0;
    route_on(ds);
}
