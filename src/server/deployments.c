/* SPDX-License-Identifier: Apache-2.0
 *
 * See deployments.h. A change is done when all workers have taken it. */
#include "server/deployments.h"

#include <stdlib.h>
#include <string.h>

#include "admin/body.h"
#include "asset/assets.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/module_name.h"
#include "cache/cache.h"
#include "host/database.h"
#include "host/runtimes.h"
#include "http/egress_policy.h"
#include "loop/work.h"
#include "module/deployment.h"
#include "server/accounts.h"
#include "server/policy.h"
#include "server/worker.h"

enum { ROUTE_AT_ONCE = 64 }; /* modules that are read at the same time at a start */

struct deployments {
    struct server *server;
    struct loop *loop;
    struct asks *asks;
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

/* ---- from the store's rows ---- */

static const char *const *split_domains(struct arena *a, struct slice list)
{
    size_t n = 0;
    if (list.len == 0)
        return NULL;
    const char **out = arena_array(a, list.len + 1, sizeof(*out));
    while (list.len > 0) {
        struct slice domain = slice_trim(slice_split(&list, ','));
        if (domain.len > 0)
            out[n++] = arena_cstr(a, domain);
    }
    out[n] = NULL;
    return out;
}

static void set_options(struct deployment *d, const struct version_options *o)
{
    d->is_module_isolation = o->isolation == ISOLATION_MODULE && !d->kind->has_isolates;
    d->memory_bytes_max = o->memory_mb ? (size_t)o->memory_mb << 20 : LIMIT_GUEST_MEMORY_BYTES;
    d->cpu_ns_max = (uint64_t)(o->cpu_ms ? o->cpu_ms : LIMIT_GUEST_CPU_MS) * 1000000;
    d->wall_ms_max = o->wall_ms ? o->wall_ms : LIMIT_GUEST_WALL_MS;
    d->sql_transaction_ms =
        o->sql_transaction_ms ? o->sql_transaction_ms : LIMIT_SQL_TRANSACTION_MS;
    d->domains = split_domains(d->arena, o->domains);
}

/* Top-level code of each version draws its own random numbers, and the same ones whenever its image
 * is made again, since snapshots belong to an image. The time tells servers apart. */
static uint64_t random_seed_of(const struct version_row *v, struct slice name)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a, then a finalizer */
    for (size_t k = 0; k < name.len; k++)
        h = (h ^ (unsigned char)name.ptr[k]) * 0x100000001b3;
    h = (h ^ (uint64_t)v->number) * 0x100000001b3;
    h += (uint64_t)v->created_us * 0x9e3779b97f4a7c15;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    return h ^ (h >> 31);
}

static void ask_module(struct ask *a, struct slice name, int64_t version)
{
    a->query.module.name = arena_copy(a->arena, name);
    a->query.module.number = version;
}

static int compare_env(const void *a, const void *b)
{
    const struct deployment_env *x = a, *y = b;
    const size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    const int order = memcmp(x->name.ptr, y->name.ptr, len);
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* The version's own variables, but for those that were set otherwise. They change with the version, so
 * that is what names their values in journals; the others count up from 1. */
static void add_vars(struct deployment *d, struct deployment_env *env, struct slice vars)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    const size_t set_len = d->env_len;
    struct body_value root, value;
    if (vars.len == 0 || body_parse(vars, &root, NULL) != OK || root.kind != BODY_OBJECT)
        return;
    struct body_walk walk = body_walk(&root);
    while (d->env_len < set_len + LIMIT_ENV_VARS && body_next_member(&walk, &text, &value)) {
        struct deployment_env e = {.name = arena_copy(d->arena, bytes_slice(&text)),
                                   .value = value.text,
                                   .version = -d->version,
                                   .is_json = value.kind != BODY_STRING};
        struct deployment_env *set = NULL;
        for (size_t k = 0; k < set_len; k++)
            if (slice_eq(env[k].name, e.name))
                set = &env[k];
        if (set && set->version < STORE_SHARED_VERSION)
            continue; /* what the namespace shares comes last */
        if (!e.is_json) {
            bytes_clear(&text);
            body_string(&value, &text);
            e.value = bytes_slice(&text);
        }
        e.value = arena_copy(d->arena, e.value);
        if (set)
            *set = e;
        else
            env[d->env_len++] = e;
    }
    qsort(env, d->env_len, sizeof(*env), compare_env);
}

/* What an answer of the store says of one version. */
static struct deployment *version_of(struct deployments *ds, const struct store_query *q,
                                     const struct version_row *v)
{
    struct deployment *d = deployment_new();
    const struct function_row *f = &q->module.function;
    struct version_options options = v->options;
    d->name = arena_copy(d->arena, f->name);
    d->account = accounts_module(ds->server->accounts, d->name);
    d->kind = &module_kinds[f->kind];
    d->version = v->number;
    d->runtime = runtimes_find(ds->server->runtimes, options.runtime);
    d->random_seed = random_seed_of(v, d->name);
    d->hash = arena_copy(d->arena, v->hash);
    d->detail_hash = arena_copy(d->arena, v->detail_hash);
    d->exports = v->exports;
    d->is_setup_done = v->is_setup_done;
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    databases_path(ds->server, f, &path);
    d->database = databases_get(ds->server->databases, bytes_cstr(&path), d->account);
    d->release_database = database_unref;
    options.domains = arena_copy(d->arena, options.domains);
    set_options(d, &options);
    const size_t room = q->module.env_len + (v->options.vars.len > 0 ? LIMIT_ENV_VARS : 0);
    struct deployment_env *env = arena_array(d->arena, room + 1, sizeof(*env));
    for (size_t k = 0; k < q->module.env_len; k++)
        env[k] = (struct deployment_env){arena_copy(d->arena, q->module.env[k].name),
                                         arena_copy(d->arena, q->module.env[k].value),
                                         q->module.env[k].version,
                                         q->module.env[k].is_secret,
                                         q->module.env[k].hosts.len > 0,
                                         false};
    d->env = env;
    d->env_len = q->module.env_len;
    add_vars(d, env, v->options.vars);
    policy_placeholders(d, q);
    if (v->assets.len > 0 && assets_parse(v->assets, &d->assets, NULL) == OK)
        d->release_assets = assets_unref;
    return d;
}

/* What an answer of the store says. */
static struct deployment *deployment_of(struct deployments *ds, const struct store_query *q)
{
    struct deployment *d = version_of(ds, q, &q->module.version);
    if (q->module.split.number) {
        d->split = version_of(ds, q, &q->module.split);
        d->split_permyriad = q->module.function.split_permyriad;
    }
    accounts_quota(ds->server->accounts, d->name, q->module.quota.max);
    return d;
}

/* ---- for executions ---- */

/* Texts that name a version: "name@3". */
static void version_key(struct slice name, int64_t version, struct bytes *out)
{
    bytes_clear(out);
    bytes_printf(out, "%.*s@%lld", SLICE_ARG(name), (long long)version);
}

/* One of these is known already, or d is from now on. The reference is taken over; a borrowed one
 * comes back. */
static struct deployment *workflow_keep(struct deployments *ds, struct deployment *d,
                                        bool is_serving)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    version_key(d->name, d->version, &key);
    struct deployment *known = map_get(&ds->workflows, bytes_slice(&key));
    if (known) {
        deployment_unref(d);
    } else {
        known = d;
        (void)map_put(&ds->workflows, bytes_slice(&key), d);
    }
    version_key(known->name, 0, &key);
    if (is_serving && !map_get(&ds->workflows, bytes_slice(&key)))
        (void)map_put(&ds->workflows, bytes_slice(&key), deployment_ref(known));
    return known;
}

/* Its versions, environment or existence changed: what starts from now on sees that. */
static void workflow_forget(struct deployments *ds, struct slice name)
{
    size_t cursor = 0;
    struct slice key;
    void *value;
    while (map_next(&ds->workflows, &cursor, &key, &value)) {
        struct slice rest = key;
        if (!slice_eq(slice_split(&rest, '@'), name))
            continue;
        (void)map_remove(&ds->workflows, key);
        deployment_unref(value);
        cursor = 0;
    }
}

static void get_read(struct deployment_ask *a, struct slice name, int64_t version);

static void get_answered(struct ask *ask)
{
    struct deployment_ask *a = ask->owner;
    struct deployments *ds = a->deployments;
    CLEANUP(ask_cleanup) struct ask *answer = TAKE(a->ask);
    const struct store_query *q = &answer->query;
    if (a->changes != ds->changes) { /* something else may hold now */
        get_read(a, q->module.name, q->module.number);
        return;
    }
    a->error = q->error;
    if (a->error.code == OK && a->trial)
        a->deployment = deployment_of(ds, q);
    else if (a->error.code == OK)
        a->deployment =
            deployment_ref(workflow_keep(ds, deployment_of(ds, q), q->module.number == 0));
    a->done(a);
}

static void get_read(struct deployment_ask *a, struct slice name, int64_t version)
{
    a->changes = a->deployments->changes;
    a->ask = ask_new(a->deployments->asks, STORE_QUERY_MODULE, get_answered, a);
    ask_module(a->ask, name, version);
    if (ask_start(a->ask) == OP_DONE)
        get_answered(a->ask);
}

void deployments_get(struct deployments *ds, struct deployment_ask *a, struct slice name,
                     int64_t version)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    version_key(name, version, &key);
    struct deployment *d = map_get(&ds->workflows, bytes_slice(&key));
    a->deployments = ds;
    a->error.code = OK;
    a->trial = NULL;
    a->deployment = d ? deployment_ref(d) : NULL;
    if (d)
        a->done(a);
    else
        get_read(a, name, version);
}

/* ---- code on trial ---- */

/* Its artifacts are written by the pool. Those that no version names go by themselves. */
struct trial {
    struct work work;
    struct deployment_ask *ask;
    void (*done)(struct deployment_ask *a); /* the caller's */
    char hash[65], detail_hash[65];
};

static void trial_put(struct work *w)
{
    struct trial *t = container_of(w, struct trial, work);
    struct deployment_ask *a = t->ask;
    struct store *store = a->deployments->server->store;
    enum err err = store_artifact_put(store, a->code, t->hash, &a->error);
    if (err == OK && a->detail.len > 0)
        err = store_artifact_put(store, a->detail, t->detail_hash, &a->error);
    CHECK(err == OK || err == a->error.code);
}

static void trial_over(struct deployment_ask *a)
{
    void (*done)(struct deployment_ask *a) = a->trial->done;
    free(TAKE(a->trial));
    done(a);
}

static void trial_written(struct work *w)
{
    struct trial *t = container_of(w, struct trial, work);
    struct deployment_ask *a = t->ask;
    struct deployment *d = a->deployment;
    if (a->error.code != OK) {
        deployment_unref(TAKE(a->deployment));
    } else {
        d->hash = arena_copy(d->arena, slice_cstr(t->hash));
        d->detail_hash = arena_copy(d->arena, slice_cstr(t->detail_hash));
        d->is_module_isolation = false;
        d->is_setup_done = true;
    }
    trial_over(a);
}

static void trial_made(struct deployment_ask *a)
{
    struct trial *t = a->trial;
    if (!a->deployment) {
        trial_over(a);
        return;
    }
    t->work = (struct work){.run = trial_put, .done = trial_written};
    work_start(a->deployments->loop, &t->work);
}

void deployments_try(struct deployments *ds, struct deployment_ask *a, struct slice name,
                     struct slice code, struct slice detail)
{
    a->deployments = ds;
    a->error.code = OK;
    a->deployment = NULL;
    a->code = code;
    a->detail = detail;
    a->trial = calloc(1, sizeof(*a->trial));
    CHECK(a->trial);
    a->trial->ask = a;
    a->trial->done = a->done;
    a->done = trial_made;
    get_read(a, name, 0);
}

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
static void track_database(struct deployments *ds, struct slice name, const struct deployment *d)
{
    struct database *old = d ? map_put(&ds->databases, name, database_ref(d->database))
                             : map_remove(&ds->databases, name);
    if (old && (!d || old != d->database))
        databases_remove(ds->server->databases, old, ds->loop);
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
static void send_change(struct deployments *ds, struct slice name, struct deployment *d,
                        struct admin_change *request)
{
    send_all(ds, (struct worker_change){.name = d ? d->name : name, .deployment = d}, request);
    track_database(ds, name, d);
    deployment_unref(d);
}

/* Hosts name it from now on, or do not any more. */
static void send_space(struct deployments *ds, struct slice name, bool is_deleted,
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

static void send_policy(struct deployments *ds, struct slice name, const struct store_query *q,
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
            send_policy(ds, request->function, q, request);
        else
            announced_done(request, err == ERR_NOT_FOUND ? &none : &q->error);
        return;
    }
    struct deployment *d = err == OK ? deployment_of(ds, q) : NULL;
    if (request->kind == ADMIN_QUOTA) {
        deployment_unref(d); /* making it has set the quota */
        announced_done(request, err == ERR_NOT_READY ? &none : &q->error);
    } else if (d && !d->kind->is_routed) {
        track_database(ds, request->function, d);
        deployment_unref(d);
        announced_done(request, &none);
    } else if (d || err == ERR_NOT_FOUND) {
        request->error.code = OK;
        send_change(ds, request->function, d, request);
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
            ask_module(a, n->request->function, 0);
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
        send_space(ds, request->function, request->kind == ADMIN_SPACE_DELETED, request);
        return;
    }
    struct announced *n = calloc(1, sizeof(*n));
    CHECK(n);
    n->deployments = ds;
    n->request = request;
    ds->changes++;
    if (request->kind == ADMIN_CHANGED || request->kind == ADMIN_DELETED)
        workflow_forget(ds, request->function);
    list_push_back(&ds->announced, &n->link);
    announced_next(ds);
}

struct database *deployments_database(struct deployments *ds, struct slice module)
{
    return map_get(&ds->databases, module);
}

/* ---- at a start ---- */

static void route_on(struct deployments *ds);

static void route_take(struct deployments *ds, struct ask *a)
{
    ds->out--;
    if (a->query.error.code != OK) {
        ds->error = a->query.error;
    } else {
        struct deployment *d = deployment_of(ds, &a->query);
        if (!d->kind->is_routed) {
            track_database(ds, d->name, d);
            deployment_unref(d);
        } else {
            send_change(ds, d->name, d, NULL);
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
        ask_module(a, row->name, 0);
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
        send_space(ds, arena_copy(ds->names, name), false, NULL);
    return start_has(ds, &ds->quota, STORE_QUERY_NAMESPACE_QUOTA, name) &&
           start_has(ds, &ds->egress, STORE_QUERY_EGRESS, name);
}

/* Before its modules are. */
static void space_set(struct deployments *ds, struct slice name)
{
    const struct store_query *rules = &ds->egress->query;
    accounts_namespace_quota(ds->server->accounts, name, ds->quota->query.space_quota.row.max);
    if (rules->egress.len > 0 || rules->egress.denies)
        send_policy(ds, arena_copy(ds->names, name), rules, NULL);
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
    arena_free(ds->names);
    free(ds);
}
