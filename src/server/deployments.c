/* SPDX-License-Identifier: Apache-2.0
 *
 * See deployments.h. A change is done when all workers have taken it. */
#include "server/deployments_internal.h"

#include <stdlib.h>

#include "base/module_name.h"
#include "cache/cache.h"
#include "host/database.h"
#include "http/egress_policy.h"
#include "module/deployment.h"
#include "server/accounts.h"
#include "server/actor_files.h"
#include "server/policy.h"
#include "server/worker.h"

/* ---- to the engine threads ---- */

struct change {
    struct deployments *deployments;
    struct admin_change *request; /* NULL at start-up */
    struct post post;
    unsigned pending; /* workers; atomic */
    struct worker_change workers[];
};

static void change_done(struct post *p)
{
    struct change *ch = container_of(p, struct change, post);
    struct admin_change *request = ch->request;
    free(ch);
    if (request)
        request->done(request);
}

/* On a worker's thread. */
static void change_taken(struct worker_change *w)
{
    struct change *ch = w->arg;
    if (__atomic_sub_fetch(&ch->pending, 1, __ATOMIC_ACQ_REL) == 0)
        loop_post(ch->deployments->loop, &ch->post);
}

/* Remembers where the module's data lies; removes it when the module is gone. */
void deployments_track(struct deployments *ds, struct slice name, const struct deployment *d)
{
    claims_set(&ds->claims, name, d ? d->routes : NULL, d ? d->routes_len : 0);
    struct database *old = d ? map_put(&ds->databases, name, database_ref(d->database))
                             : map_remove(&ds->databases, name);
    if (old && (!d || old != d->database)) {
        actor_files_remove(ds->server, ds->loop, old);
        databases_remove(ds->server->databases, old, ds->loop);
    }
    database_unref(old);
}

/* The template to every worker; of its deployment or policy, if there is one, each gets a reference. */
static void send_all(struct deployments *ds, struct worker_change template,
                     struct admin_change *request)
{
    size_t n = ds->server->workers_len;
    struct change *ch = calloc(1, sizeof(*ch) + n * sizeof(ch->workers[0]));
    CHECK(ch);
    ch->deployments = ds;
    ch->request = request;
    ch->post.fn = change_done;
    ch->pending = (unsigned)n;
    for (size_t k = 0; k < n; k++) {
        struct worker_change *w = &ch->workers[k];
        *w = template;
        w->deployment = template.deployment ? deployment_ref(template.deployment) : NULL;
        w->policy = egress_policy_ref(template.policy);
        w->done = change_taken;
        w->arg = ch;
        worker_change(ds->server->workers[k], w);
    }
    // The workers hold ch by its members, and change_done() frees it.
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
}

/* d NULL: the function is gone. The reference is taken over. name must outlive the change. */
void deployments_send(struct deployments *ds, struct slice name, struct deployment *d,
                      struct admin_change *request)
{
    send_all(ds, (struct worker_change){.name = d ? d->name : name, .deployment = d}, request);
    deployments_track(ds, name, d);
    deployment_unref(d);
}

/* Hosts name it from now on, or do not any more. */
void deployments_send_space(struct deployments *ds, struct slice name, bool is_deleted,
                            struct admin_change *request)
{
    enum worker_space what = is_deleted ? WORKER_SPACE_GONE : WORKER_SPACE_MADE;
    send_all(ds, (struct worker_change){.name = name, .space = what}, request);
    if (is_deleted) {
        struct account *of = accounts_namespace(ds->server->accounts, name);
        http_cache_forget(ds->server->cache, of);
        account_unref(of);
        accounts_forget_namespace(ds->server->accounts, name);
    }
}

void deployments_send_policy(struct deployments *ds, struct slice name, const struct store_query *q,
                             struct admin_change *request)
{
    struct egress_policy *p = policy_of(name, q);
    send_all(ds, (struct worker_change){.name = name, .space = WORKER_SPACE_EGRESS, .policy = p},
             request);
    egress_policy_unref(p);
}

/* ---- announced changes, one after the other: each is read when those before it were sent ---- */

struct announced {
    struct list link;
    struct deployments *deployments;
    struct admin_change *request;
};

static void announced_done(struct admin_change *request, const struct error *error)
{
    request->error = *error;
    request->done(request);
}

/* What the module, or the namespace's quota, is now. */
static void announced_apply(struct deployments *ds, struct admin_change *request,
                            const struct store_query *q)
{
    static const struct error none = {.code = OK};
    enum err err = q->error.code;
    if (request->kind == ADMIN_SPACE_QUOTA) {
        if (err == OK)
            accounts_namespace_quota(ds->server->accounts, request->function,
                                     q->space_quota.row.max);
        announced_done(request, &q->error);
        return;
    }
    if (request->kind == ADMIN_SPACE_EGRESS) {
        if (err == OK)
            deployments_send_policy(ds, request->function, q, request);
        else
            announced_done(request, err == ERR_NOT_FOUND ? &none : &q->error);
        return;
    }
    struct deployment *d = err == OK ? deployment_of(ds, q) : NULL;
    if (request->kind == ADMIN_QUOTA) {
        deployment_unref(d); /* making it has set the quota */
        announced_done(request, err == ERR_NOT_READY ? &none : &q->error);
    } else if (d && !d->kind->is_routed) {
        deployments_track(ds, request->function, d);
        deployment_unref(d);
        announced_done(request, &none);
    } else if (d || err == ERR_NOT_FOUND) {
        request->error.code = OK;
        deployments_send(ds, request->function, d, request);
    } else {
        /* ERR_NOT_READY: env before the first build, nothing serves yet. */
        announced_done(request, err == ERR_NOT_READY ? &none : &q->error);
    }
}

static void announced_next(struct deployments *ds);

static void announced_take(struct ask *answer)
{
    struct announced *n = answer->owner;
    struct deployments *ds = n->deployments;
    struct admin_change *request = n->request;
    list_remove(&n->link);
    free(n);
    announced_apply(ds, request, &answer->query);
    ask_drop(answer);
}

static void announced_answered(struct ask *answer)
{
    struct announced *n = answer->owner;
    struct deployments *ds = n->deployments;
    announced_take(answer);
    ds->is_announcing = false;
    announced_next(ds);
}

static enum store_query_kind announced_query(enum admin_change_kind kind)
{
    return kind == ADMIN_SPACE_QUOTA    ? STORE_QUERY_NAMESPACE_QUOTA
           : kind == ADMIN_SPACE_EGRESS ? STORE_QUERY_EGRESS
                                        : STORE_QUERY_MODULE;
}

static void announced_next(struct deployments *ds)
{
    struct list *first;
    if (ds->is_announcing)
        return;
    ds->is_announcing = true;
    while ((first = list_first(&ds->announced))) {
        struct announced *n = container_of(first, struct announced, link);
        enum store_query_kind kind = announced_query(n->request->kind);
        struct ask *a = ask_new(ds->asks, kind, announced_answered, n);
        if (kind == STORE_QUERY_NAMESPACE_QUOTA)
            a->query.space_quota.space = arena_copy(a->arena, n->request->function);
        else if (kind == STORE_QUERY_EGRESS)
            a->query.egress.space = arena_copy(a->arena, n->request->function);
        else
            deployment_ask_module(a, n->request->function, 0);
        if (ask_start(a) == OP_PENDING)
            return;
        announced_take(a);
    }
    ds->is_announcing = false;
}

void deployments_change(struct deployments *ds, struct admin_change *request)
{
    bool is_space = request->kind == ADMIN_SPACE_MADE || request->kind == ADMIN_SPACE_DELETED;
    if (is_space) { /* there is nothing to read */
        request->error.code = OK;
        deployments_send_space(ds, request->function, request->kind == ADMIN_SPACE_DELETED,
                               request);
        return;
    }
    struct announced *n = calloc(1, sizeof(*n));
    CHECK(n);
    n->deployments = ds;
    n->request = request;
    ds->changes++;
    if (request->kind == ADMIN_CHANGED || request->kind == ADMIN_DELETED)
        deployments_forget(ds, request->function);
    list_push_back(&ds->announced, &n->link);
    announced_next(ds);
}

/* ---- all ---- */

struct deployments *deployments_new(struct server *s, struct loop *loop, struct asks *asks)
{
    struct deployments *ds = calloc(1, sizeof(*ds));
    CHECK(ds);
    ds->server = s;
    ds->loop = loop;
    ds->asks = asks;
    ds->names = arena_new(NULL);
    list_init(&ds->announced);
    return ds;
}

void deployments_free(struct deployments *ds)
{
    size_t cursor = 0;
    struct slice name;
    void *deployment, *database;
    if (!ds)
        return;
    CHECK(list_is_empty(&ds->announced));
    while (map_next(&ds->workflows, &cursor, &name, &deployment))
        deployment_unref(deployment);
    map_done(&ds->workflows);
    cursor = 0;
    while (map_next(&ds->databases, &cursor, &name, &database))
        database_unref(database);
    map_done(&ds->databases);
    claims_done(&ds->claims);
    arena_free(ds->names);
    free(ds);
}

/* ---- routes ---- */

enum err deployments_routes_check(struct deployments *ds, struct slice module, struct slice lines,
                                  struct error *ret_error)
{
    return claims_check(&ds->claims, &ds->databases, module, lines, ret_error);
}

void deployments_routes_hold(struct deployments *ds, struct slice module, struct slice lines)
{
    claims_hold(&ds->claims, module, lines);
}

void deployments_routes_list(struct deployments *ds, struct slice space, struct json_writer *w)
{
    claims_json(&ds->claims, space, w);
}
