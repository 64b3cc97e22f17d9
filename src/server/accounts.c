/* SPDX-License-Identifier: Apache-2.0
 *
 * See accounts.h. A module's own limit leaves a quarter of the server's memory to the others until
 * a quota says otherwise. */
#include "server/accounts.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"
#include "server/config.h"

struct accounts {
    pthread_mutex_t mutex;
    struct account *server;
    struct map modules; /* name -> struct account, a reference each */
    size_t module_memory_max;
};

struct accounts *accounts_new(const struct config *config)
{
    struct accounts *a = calloc(1, sizeof(*a));
    CHECK(a);
    CHECK(pthread_mutex_init(&a->mutex, NULL) == 0);
    a->server = account_new(NULL, "server", SLICE_EMPTY);
    size_t memory = (size_t)config->memory_bytes_max;
    account_limit(a->server, RESOURCE_MEMORY, memory);
    a->module_memory_max = memory - memory / 4;
    return a;
}

void accounts_free(struct accounts *a)
{
    if (!a)
        return;
    size_t cursor = 0;
    struct slice name;
    void *account;
    while (map_next(&a->modules, &cursor, &name, &account))
        account_unref(account);
    map_done(&a->modules);
    account_unref(a->server);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

struct account *accounts_server(struct accounts *a)
{
    return a->server;
}

struct account *accounts_module(struct accounts *a, struct slice name)
{
    pthread_mutex_lock(&a->mutex);
    struct account *m = map_get(&a->modules, name);
    if (!m) {
        m = account_new(a->server, "module", name);
        account_limit(m, RESOURCE_MEMORY, a->module_memory_max);
        (void)map_put(&a->modules, name, m);
    }
    account_ref(m);
    pthread_mutex_unlock(&a->mutex);
    return m;
}

void accounts_forget(struct accounts *a, struct slice name)
{
    pthread_mutex_lock(&a->mutex);
    struct account *m = map_remove(&a->modules, name);
    pthread_mutex_unlock(&a->mutex);
    account_unref(m);
}

void accounts_each(struct accounts *a, void (*fn)(void *arg, struct slice name, struct account *of),
                   void *arg)
{
    size_t cursor = 0;
    struct slice name;
    void *account;
    pthread_mutex_lock(&a->mutex);
    while (map_next(&a->modules, &cursor, &name, &account))
        fn(arg, name, account);
    pthread_mutex_unlock(&a->mutex);
}
