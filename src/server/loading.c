/* SPDX-License-Identifier: Apache-2.0
 *
 * Bringing a deployment to where it serves, at its first request and again after a rest: the image
 * is read (images.c) or made on the work pool, then setup() runs, once per version over all
 * threads. Requests that come meanwhile wait.
 *
 * All that setup() does to the database is one transaction, which leaves a mark there (op_sql.c): a
 * process that ended after it and before the store knew does not run it again. */
#include "server/invocation.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "host/database.h"
#include "host/sql_journal.h"
#include "loop/work.h"
#include "sandbox/snapshot.h"
#include "server/slot.h"
#include "server/sql_use.h"
#include "server/turn.h"
#include "store/store.h"

/* ---- image ---- */

struct load_job {
    struct work work;
    struct deployment *deployment;
    struct server *server;
    struct prepare *prepare; /* who started it */
    struct image *image;
    void *detail;
    struct error error;
};

static void load_detail(struct load_job *j)
{
    struct deployment *d = j->deployment;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct error e; /* stack traces say less without it */
    const struct runtime_type *type = d->runtime->type;
    if (d->detail_hash.len == 0 || !type->detail_read)
        return;
    if (store_artifact_get(j->server->store, d->detail_hash, &text, &e) != OK ||
        type->detail_read(bytes_slice(&text), &j->detail, &e) != OK)
        log_warn("what is stored of a version's sources is unusable",
                 LOG_SLICE("function", d->name), LOG_STR("error", e.message));
}

static void load_evaluate(struct load_job *j)
{
    struct deployment *d = j->deployment;
    CLEANUP(bytes_done) struct bytes code = BYTES_INIT;
    if (store_artifact_get(j->server->store, d->hash, &code, &j->error) != OK)
        return;
    struct guest_load load = {
        .name = d->name,
        .code = bytes_slice(&code),
        .memory_bytes_max = d->memory_bytes_max,
        .cpu_ns_max = config_build_cpu_ns(&j->server->config, d->cpu_ns_max),
        .random_seed = d->random_seed,
    };
    if (guest_load(d->runtime, &load, &j->error) == OK) {
        j->image = load.image;
        atomic_fetch_add(&j->server->images_made, 1);
        if (!load.has_drawn) /* images are kept by code, and another version has other numbers */
            images_put(j->server, d->runtime, d->name, d->hash, j->image);
    }
    bytes_done(&load.error_name);
    bytes_done(&load.error_stack);
    bytes_done(&load.workflows);
}

static void load_run(struct work *w)
{
    struct load_job *j = container_of(w, struct load_job, work);
    struct deployment *d = j->deployment;
    uint8_t digest[IMAGE_DIGEST_BYTES];
    if (!d->runtime) {
        error_set(&j->error, ERR_UNAVAILABLE, "this server has not the runtime of version %lld",
                  (long long)d->version);
        return;
    }
    j->image = images_get(j->server, d->runtime, d->name, d->hash);
    if (j->image)
        atomic_fetch_add(&j->server->images_read, 1);
    else
        load_evaluate(j);
    if (!j->image)
        return;
    load_detail(j);
    if (d->kind->is_durable || (d->exports & MODULE_EXPORT_WORKFLOW) != 0)
        image_digest(j->image, digest); /* now, not when an engine thread wants it */
}

static void load_done(struct work *w)
{
    struct load_job *j = container_of(w, struct load_job, work);
    struct prepare *p = j->prepare;
    struct error e = j->error;
    deployment_loaded(j->deployment, j->image, j->detail, &e);
    bool is_ok = j->image;
    deployment_unref(j->deployment);
    free(j);
    if (is_ok)
        prepare_start(p);
    else
        p->done(p, &e);
}

static void load_start(struct prepare *p)
{
    struct load_job *j = calloc(1, sizeof(*j));
    CHECK(j);
    j->deployment = deployment_ref(p->slot->deployment);
    j->server = p->slot->worker->server;
    j->prepare = p;
    j->work.run = load_run;
    j->work.done = load_done;
    work_start(&p->slot->worker->loop, &j->work);
}

/* ---- setup ---- */

struct setup_job {
    struct dispatch dispatch;
    struct deployment *deployment;
    struct task task;
    struct slot *slot;
    struct prepare *prepare; /* who started it */
    struct store_op op;
    struct sql_use use; /* looks for the mark */
    bool is_marked;
    bool has_failed;
    struct error error;
};

static void setup_finish(struct setup_job *j, const struct error *error)
{
    struct prepare *p = j->prepare;
    struct error e = *error;
    deployment_set_up(j->deployment, &e);
    deployment_unref(j->deployment);
    free(j);
    if (e.code == OK)
        prepare_start(p);
    else
        p->done(p, &e);
}

static void setup_stored(struct store_op *op)
{
    struct setup_job *j = container_of(op, struct setup_job, op);
    setup_finish(j, &op->error);
}

/* setup() has run and what it wrote is on disk (the gate was passed): remember it, then serve. */
static void setup_store(struct setup_job *j)
{
    j->op.loop = &j->slot->worker->loop;
    j->op.done = setup_stored;
    store_setup_done(j->slot->worker->server->store, &j->op, j->deployment->name,
                     j->deployment->version);
}

static void setup_value(struct dispatch *d, struct slice json)
{
}

static void setup_fail(struct dispatch *d, const struct error *error, struct slice name,
                       struct slice stack)
{
    struct setup_job *j = container_of(d, struct setup_job, dispatch);
    j->has_failed = true;
    j->error = *error;
    error_context(&j->error, error->code, "setup()");
    invocation_log(j->slot, d, &j->error, SLICE_EMPTY, stack);
}

static void setup_over(struct dispatch *d)
{
    struct setup_job *j = container_of(d, struct setup_job, dispatch);
    if (j->has_failed) {
        struct error e = j->error;
        setup_finish(j, &e);
        return;
    }
    setup_store(j);
}

static const struct dispatch_port setup_port = {
    .value = setup_value, .fail = setup_fail, .over = setup_over};

static bool setup_begin(struct task *t, struct guest *g)
{
    guest_add(g, &container_of(t, struct setup_job, task)->dispatch);
    return true;
}

static void setup_refused(struct task *t, const struct error *error)
{
    setup_finish(container_of(t, struct setup_job, task), error);
}

static void look_run(struct sql_use *u, struct sql_conn *c)
{
    struct setup_job *j = container_of(u, struct setup_job, use);
    u->error.code = sql_setup_is_done(c, j->deployment->version, &j->is_marked, &u->error);
}

static void look_done(struct sql_use *u)
{
    struct setup_job *j = container_of(u, struct setup_job, use);
    if (u->error.code != OK) {
        struct error e = u->error;
        setup_finish(j, &e);
    } else if (j->is_marked) {
        setup_store(j);
    } else {
        turn_enqueue(j->slot->worker, &j->task);
    }
}

/* Like any request it waits for an isolate; those that wait for it are turned away with the others
 * when they are too many. */
static void setup_start(struct prepare *p)
{
    struct slot *s = p->slot;
    struct setup_job *j = calloc(1, sizeof(*j));
    CHECK(j);
    j->deployment = deployment_ref(s->deployment);
    j->slot = s;
    j->prepare = p;
    j->dispatch.port = &setup_port;
    j->dispatch.kind = DISPATCH_SETUP;
    j->dispatch.execution_id = p->execution_id;
    j->task =
        (struct task){.slot = s, .start = setup_begin, .refuse = setup_refused, .is_patient = true};
    j->use.run = look_run;
    j->use.done = look_done;
    struct database *b = j->deployment->database;
    if (database_is_open(b) || access(database_path(b), F_OK) == 0)
        sql_use_start(s, &j->use);
    else
        turn_enqueue(s->worker, &j->task);
}

/* ---- the way to readiness ---- */

static void waited(struct deployment_waiter *w)
{
    struct prepare *p = container_of(w, struct prepare, waiter);
    if (w->error.code == OK)
        prepare_start(p);
    else
        p->done(p, &w->error);
}

void prepare_start(struct prepare *p)
{
    static const struct error none = {0};
    struct slot *s = p->slot;
    enum deployment_answer answer = DEPLOYMENT_GO;
    bool was_user = s->is_user;
    if (!s->is_ready) {
        p->waiter.loop = &s->worker->loop;
        p->waiter.done = waited;
        answer = deployment_await(s->deployment, &p->waiter, &s->is_user);
    }
    s->worker->warm_len += s->is_user && !was_user;
    if (s->is_user)
        slot_warm(s);
    switch (answer) {
    case DEPLOYMENT_GO:
        s->is_ready = true;
        p->done(p, &none);
        break;
    case DEPLOYMENT_WAIT:
        break;
    case DEPLOYMENT_LOAD_IT:
        load_start(p);
        break;
    case DEPLOYMENT_SET_UP:
        setup_start(p);
        break;
    }
}
