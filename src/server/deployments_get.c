/* SPDX-License-Identifier: Apache-2.0
 *
 * Deployments for executions: a version by name and number, kept until the module changes, and code on
 * trial. */
#include <stdlib.h>

#include "loop/work.h"
#include "module/deployment.h"
#include "server/deployments_internal.h"
#include "server/server.h"

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
        d->is_module_isolation = false; /* each execution has an isolate of its own */
        (void)map_put(&ds->workflows, bytes_slice(&key), d);
    }
    version_key(known->name, 0, &key);
    if (is_serving && !map_get(&ds->workflows, bytes_slice(&key)))
        (void)map_put(&ds->workflows, bytes_slice(&key), deployment_ref(known));
    return known;
}

/* Its versions, environment or existence changed: what starts from now on sees that. */
void deployments_forget(struct deployments *ds, struct slice name)
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
    deployment_ask_module(a->ask, name, version);
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
