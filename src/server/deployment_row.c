/* SPDX-License-Identifier: Apache-2.0
 *
 * Deployments from the store's rows: a version with its limits, variables, bindings and database. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/body.h"
#include "asset/assets.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "host/database.h"
#include "host/runtimes.h"
#include "http/route_pattern.h"
#include "module/binding.h"
#include "module/deployment.h"
#include "server/accounts.h"
#include "server/deployments_internal.h"
#include "server/policy.h"
#include "server/server.h"

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

void deployment_ask_module(struct ask *a, struct slice name, int64_t version)
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

/* 0: there is none, any more */
static int64_t resource_of(const struct resource_row *rows, size_t len, const struct binding *b)
{
    for (size_t k = 0; k < len; k++)
        if (rows[k].kind == binding_kinds[b->kind].resource && slice_eq(rows[k].name, b->target))
            return rows[k].id;
    return 0;
}

/* Of one that has a file of its own: a reference. Its disk is its namespace's. */
static struct database *database_of(struct deployments *ds, struct slice space,
                                    const struct binding *b)
{
    const struct binding_kind_info *kind = &binding_kinds[b->kind];
    if (!kind->is_resource || !resource_kinds[kind->resource].is_database || b->resource == 0)
        return NULL;
    return databases_resource(ds->server, space, b->resource);
}

/* { "from": "Counter" } of a class that was called so at first. */
static struct slice actor_origin(struct deployment *d, const struct binding *b)
{
    json_t *renamed = json_loadb(b->details.ptr ? b->details.ptr : "", b->details.len, 0, NULL);
    const char *from = json_string_value(json_object_get(renamed, "from"));
    struct slice origin = from ? arena_copy(d->arena, slice_cstr(from)) : b->target;
    json_decref(renamed);
    return origin;
}

/* What it is bound to stands among its variables, in the place of one of the same name. Modules and
 * resources that it leads to are of its own namespace. */
static void add_bindings(struct deployments *ds, struct deployment *d, struct deployment_env *env,
                         struct slice json, const struct resource_row *resources,
                         size_t resources_len)
{
    struct slice space = module_name_split(d->name).space;
    struct binding *items;
    size_t len;
    if (json.len == 0 || bindings_read(json, d->arena, &items, &len, NULL) != OK)
        return;
    for (size_t k = 0; k < len; k++) {
        struct binding *b = &items[k];
        CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
        const struct binding_kind_info *kind = &binding_kinds[b->kind];
        struct slice *leads_to = kind->is_module        ? &b->target
                                 : kind->is_part_module ? &b->part
                                                        : NULL;
        if (leads_to && leads_to->len > 0) {
            module_name_join(space, *leads_to, &module);
            *leads_to = arena_copy(d->arena, bytes_slice(&module));
        } else if (leads_to) {
            *leads_to = d->name;
        }
        if (b->kind == BINDING_ACTOR)
            b->origin = actor_origin(d, b);
        if (binding_kinds[b->kind].is_resource)
            b->resource = resource_of(resources, resources_len, b);
        size_t at = 0;
        while (at < d->env_len && !slice_eq(env[at].name, b->name))
            at++;
        d->env_len += at == d->env_len;
        env[at] = (struct deployment_env){.name = b->name,
                                          .value = slice_cstr(binding_kinds[b->kind].word),
                                          .version = -d->version,
                                          .binding = b,
                                          .database = database_of(ds, space, b)};
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
    d->routes = route_patterns_read(v->options.routes, d->arena, &d->routes_len);
    const size_t room = q->module.env_len + (v->options.vars.len > 0 ? LIMIT_ENV_VARS : 0) +
                        (v->options.bindings.len > 0 ? LIMIT_BINDINGS : 0);
    struct deployment_env *env = arena_array(d->arena, room + 1, sizeof(*env));
    for (size_t k = 0; k < q->module.env_len; k++)
        env[k] = (struct deployment_env){arena_copy(d->arena, q->module.env[k].name),
                                         arena_copy(d->arena, q->module.env[k].value),
                                         q->module.env[k].version, q->module.env[k].is_secret,
                                         q->module.env[k].hosts.len > 0};
    d->env = env;
    d->env_len = q->module.env_len;
    add_vars(d, env, v->options.vars);
    const bool is_split = v == &q->module.split;
    add_bindings(ds, d, env, v->options.bindings,
                 is_split ? q->module.split_resources : q->module.resources,
                 is_split ? q->module.split_resources_len : q->module.resources_len);
    policy_placeholders(d, q);
    if (v->assets.len > 0 && assets_parse(v->assets, &d->assets, NULL) == OK)
        d->release_assets = assets_unref;
    return d;
}

/* What an answer of the store says. */
struct deployment *deployment_of(struct deployments *ds, const struct store_query *q)
{
    struct deployment *d = version_of(ds, q, &q->module.version);
    if (q->module.split.number) {
        d->split = version_of(ds, q, &q->module.split);
        d->split_permyriad = q->module.function.split_permyriad;
    }
    accounts_quota(ds->server->accounts, d->name, q->module.quota.max);
    return d;
}
