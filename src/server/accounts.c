/* SPDX-License-Identifier: Apache-2.0
 *
 * See accounts.h. A module's own limit leaves a quarter of the server's memory to the others until
 * a quota says otherwise. */
#include "server/accounts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/module_name.h"
#include "server/config.h"

struct module {
    struct account *account; /* a reference */
    struct used seen;        /* of its meter, by accounts_used() */
    struct list link;        /* in accounts.gone */
    size_t name_len;
    char name[];
};

struct accounts {
    pthread_mutex_t mutex;
    struct account *server;
    struct map spaces;  /* name of a namespace -> struct account, a reference */
    struct map modules; /* name -> struct module */
    struct list gone;   /* deleted modules, until nobody else has their accounts */
    struct bound {
        size_t all, otherwise, least, space; /* space: a namespace without a quota */
    } bounds[RESOURCES];                     /* constant */
};

/* all: what the server may hold. otherwise: a module without a quota. least: a quota; 0: there is
 * none of this. */
static void resource_bound(struct accounts *a, enum resource r, size_t all, size_t otherwise,
                           size_t least)
{
    account_limit(a->server, r, all);
    a->bounds[r] = (struct bound){all, otherwise, least, SIZE_MAX};
}

struct accounts *accounts_new(const struct config *config)
{
    struct accounts *a = calloc(1, sizeof(*a));
    CHECK(a);
    CHECK(pthread_mutex_init(&a->mutex, NULL) == 0);
    list_init(&a->gone);
    a->server = account_new(NULL, "server", SLICE_EMPTY);
    size_t threads = (size_t)config->threads, memory = (size_t)config->memory_bytes_max;
    size_t module_memory = (size_t)config->module_memory_bytes_max;
    resource_bound(a, RESOURCE_MEMORY, memory, module_memory ? module_memory : memory - memory / 4,
                   MODULE_MEMORY_BYTES_MIN);
    if (config->namespace_memory_bytes_max > 0)
        a->bounds[RESOURCE_MEMORY].space = (size_t)config->namespace_memory_bytes_max;
    /* A module that keeps its state has an isolate on each thread. */
    size_t isolates = config->isolates_max + threads;
    resource_bound(a, RESOURCE_ISOLATES, isolates, isolates, threads);
    size_t connections = threads * LIMIT_FETCH_CONNECTIONS, lookups = threads * LIMIT_FETCH_LOOKUPS;
    resource_bound(a, RESOURCE_CONNECTIONS, connections, connections, 1);
    resource_bound(a, RESOURCE_LOOKUPS, lookups, lookups, 1);
    /* Of all together the disk's own reserve is the bound. */
    resource_bound(a, RESOURCE_DISK, INT64_MAX, (size_t)config->database_bytes_max,
                   MODULE_DISK_BYTES_MIN);
    size_t computations = threads < 2                    ? 2
                          : threads < LIMIT_COMPUTATIONS ? threads
                                                         : LIMIT_COMPUTATIONS;
    resource_bound(a, RESOURCE_COMPUTATIONS, computations, computations / 2, 0);
    return a;
}

static void module_free(struct module *m)
{
    if (m)
        account_unref(m->account);
    free(m);
}

void accounts_free(struct accounts *a)
{
    if (!a)
        return;
    size_t cursor = 0;
    struct list *n;
    void *module;
    while (map_next(&a->modules, &cursor, NULL, &module))
        module_free(module);
    map_done(&a->modules);
    while ((n = list_pop_front(&a->gone)))
        module_free(container_of(n, struct module, link));
    cursor = 0;
    void *space;
    while (map_next(&a->spaces, &cursor, NULL, &space))
        account_unref(space);
    map_done(&a->spaces);
    account_unref(a->server);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

struct account *accounts_server(struct accounts *a)
{
    return a->server;
}

size_t accounts_default(const struct accounts *a, enum resource r)
{
    return a->bounds[r].otherwise;
}

size_t accounts_namespace_default(const struct accounts *a, enum resource r)
{
    const struct bound *b = &a->bounds[r];
    return b->space < b->all ? b->space : b->all;
}

/* Borrowed. */
static struct account *space_get(struct accounts *a, struct slice name)
{
    struct account *of = map_get(&a->spaces, name);
    if (of)
        return of;
    of = account_new(a->server, "namespace", name);
    for (int r = 0; r < RESOURCES; r++)
        account_limit(of, (enum resource)r, a->bounds[r].space);
    (void)map_put(&a->spaces, name, of);
    return of;
}

static struct module *module_get(struct accounts *a, struct slice name)
{
    struct module *m = map_get(&a->modules, name);
    if (m)
        return m;
    m = calloc(1, sizeof(*m) + name.len);
    CHECK(m);
    m->account = account_new(space_get(a, module_name_split(name).space), "module", name);
    m->name_len = name.len;
    memcpy(m->name, name.ptr, name.len);
    for (int r = 0; r < RESOURCES; r++)
        account_limit(m->account, (enum resource)r, accounts_default(a, (enum resource)r));
    (void)map_put(&a->modules, name, m);
    return m;
}

struct account *accounts_module(struct accounts *a, struct slice name)
{
    pthread_mutex_lock(&a->mutex);
    struct account *of = account_ref(module_get(a, name)->account);
    pthread_mutex_unlock(&a->mutex);
    return of;
}

size_t accounts_held(struct accounts *a, struct slice name, enum resource r)
{
    pthread_mutex_lock(&a->mutex);
    const struct module *m = map_get(&a->modules, name);
    size_t held = m ? budget_used(&m->account->budgets[r]) : 0;
    pthread_mutex_unlock(&a->mutex);
    return held;
}

struct account *accounts_namespace(struct accounts *a, struct slice name)
{
    pthread_mutex_lock(&a->mutex);
    struct account *of = account_ref(space_get(a, name));
    pthread_mutex_unlock(&a->mutex);
    return of;
}

void accounts_forget_namespace(struct accounts *a, struct slice name)
{
    pthread_mutex_lock(&a->mutex);
    struct account *of = map_remove(&a->spaces, name);
    pthread_mutex_unlock(&a->mutex);
    account_unref(of);
}

void accounts_forget(struct accounts *a, struct slice name)
{
    pthread_mutex_lock(&a->mutex);
    struct module *m = map_remove(&a->modules, name);
    if (m)
        list_push_back(&a->gone, &m->link);
    pthread_mutex_unlock(&a->mutex);
}

void accounts_each(struct accounts *a, void (*fn)(void *arg, struct slice name, struct account *of),
                   void *arg)
{
    size_t cursor = 0;
    struct slice name;
    void *module;
    pthread_mutex_lock(&a->mutex);
    while (map_next(&a->modules, &cursor, &name, &module))
        fn(arg, name, ((struct module *)module)->account);
    pthread_mutex_unlock(&a->mutex);
}

void accounts_each_namespace(struct accounts *a,
                             void (*fn)(void *arg, struct slice name, struct account *of),
                             void *arg)
{
    size_t cursor = 0;
    struct slice name;
    void *space;
    pthread_mutex_lock(&a->mutex);
    while (map_next(&a->spaces, &cursor, &name, &space))
        fn(arg, name, space);
    pthread_mutex_unlock(&a->mutex);
}

/* ---- quotas ---- */

bool accounts_has_quota(const struct accounts *a, enum resource r, size_t *ret_least,
                        size_t *ret_most)
{
    *ret_least = a->bounds[r].least;
    *ret_most = a->bounds[r].all;
    return a->bounds[r].least > 0;
}

void accounts_quota(struct accounts *a, struct slice name, const int64_t quota[RESOURCES])
{
    pthread_mutex_lock(&a->mutex);
    struct module *m = module_get(a, name);
    for (int r = 0; r < RESOURCES; r++)
        account_limit(m->account, (enum resource)r,
                      quota[r] > 0 ? (size_t)quota[r] : accounts_default(a, (enum resource)r));
    pthread_mutex_unlock(&a->mutex);
}

void accounts_namespace_quota(struct accounts *a, struct slice name, const int64_t quota[RESOURCES])
{
    pthread_mutex_lock(&a->mutex);
    struct account *of = space_get(a, name);
    for (int r = 0; r < RESOURCES; r++)
        account_limit(of, (enum resource)r, quota[r] > 0 ? (size_t)quota[r] : a->bounds[r].space);
    pthread_mutex_unlock(&a->mutex);
}

/* ---- usage ---- */

static uint64_t meter_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void module_used(struct module *m,
                        void (*fn)(void *arg, struct slice name, const struct used *used),
                        void *arg)
{
    const struct meter *meter = &m->account->meter;
    struct used now = {meter_get(&meter->requests), meter_get(&meter->cpu_ns) / 1000,
                       meter_get(&meter->memory_byte_ms) / 1000, meter_get(&meter->egress_bytes)};
    struct used since = {now.requests - m->seen.requests, now.cpu_us - m->seen.cpu_us,
                         now.memory_byte_s - m->seen.memory_byte_s,
                         now.egress_bytes - m->seen.egress_bytes};
    m->seen = now;
    if (since.requests || since.cpu_us || since.memory_byte_s || since.egress_bytes)
        fn(arg, slice_of(m->name, m->name_len), &since);
}

void accounts_used(struct accounts *a,
                   void (*fn)(void *arg, struct slice name, const struct used *used), void *arg)
{
    size_t cursor = 0;
    void *module;
    pthread_mutex_lock(&a->mutex);
    while (map_next(&a->modules, &cursor, NULL, &module))
        module_used(module, fn, arg);
    LIST_FOREACH (n, &a->gone) {
        struct module *m = container_of(n, struct module, link);
        bool is_last = account_is_single(m->account); /* asked before its meter is read */
        module_used(m, fn, arg);
        if (is_last) {
            list_remove(n);
            module_free(m);
        }
    }
    pthread_mutex_unlock(&a->mutex);
}
