/* SPDX-License-Identifier: Apache-2.0
 *
 * What the admin API asks of durable executions. Each is a mutation of the store; when that is
 * durable the execution is woken, so that it sees what happened to it, and the caller is told.
 * Operations on journals are in director_cut.c, those on code in director_check.c. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/module_name.h"
#include "base/random.h"
#include "flow/director_internal.h"
#include "flow/run.h"
#include "host/guest.h"
#include "module/deployment.h"

struct request {
    struct store_op op;
    struct director *director;
    struct flow_request *admin;
    char id[37];
};

/* What runs may consume a signal while it is looked at; how often that is begun anew. */
enum { FORKS_MAX = 5 };

void director_fail(struct flow_request *a, const struct error *error)
{
    a->error = *error;
    a->done(a);
}

static void mutated(struct store_op *op)
{
    struct request *r = container_of(op, struct request, op);
    struct director *d = r->director;
    struct flow_request *a = r->admin;
    char id[37];
    memcpy(id, r->id, sizeof(id));
    struct error e = op->error;
    free(r);
    if (e.code == ERR_CONFLICT && a->kind == FLOW_FORK && ++a->forks < FORKS_MAX) {
        director_cut(d, a); /* it has gone on in between */
        return;
    }
    if (e.code != OK) {
        director_fail(a, &e);
        return;
    }
    a->error.code = OK;
    director_wake(d, id, "");
    a->done(a);
}

struct store_op *director_mutation(struct director *d, struct flow_request *a, struct slice id)
{
    struct request *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->director = d;
    r->admin = a;
    r->op.loop = d->env->loop;
    r->op.done = mutated;
    r->op.audit = a->audit;
    a->is_logged = a->audit != NULL;
    snprintf(r->id, sizeof(r->id), "%.*s", (int)id.len, id.ptr ? id.ptr : "");
    return &r->op;
}

/* ---- waiting ---- */

/* Told when it has ended; may_be_over: that may have been before. */
static void wait_or_tell(struct director *d, struct flow_request *a, const char *id,
                         bool may_be_over)
{
    if (a->wait_ms == 0 || d->is_stopping) {
        a->done(a);
        return;
    }
    director_await(d, a, id);
    if (may_be_over)
        director_look_for_end(d, id);
}

/* ---- start ---- */

/* A start on its way: its id, if it has a key that may be known, the code that is to run, the store;
 * from there to the engine thread that owns it, which begins at once and tells us. */
struct start {
    struct store_op op;
    struct post post;
    struct director *director;
    struct flow_request *admin;
    struct ask *ask;
    struct deployment_ask deployment;
    struct flow *flow;
    struct arena *arena;
    struct durable_row row;
    char id[37];
};

static void start_told(struct post *p)
{
    struct start *s = container_of(p, struct start, post);
    struct director *d = s->director;
    struct flow_request *a = s->admin;
    char id[37];
    memcpy(id, s->id, sizeof(id));
    bool is_new = s->op.number != 0;
    struct error e = s->op.error;
    free(s);
    if (e.code != OK) {
        director_fail(a, &e);
        return;
    }
    a->error.code = OK;
    a->is_new = is_new;
    wait_or_tell(d, a, id, !is_new);
}

/* On the engine thread. */
static void start_committed(struct store_op *op)
{
    struct start *s = container_of(op, struct start, op);
    if (op->error.code == OK && op->number != 0) {
        s->row.version = op->number;
        run_begin(s->flow, s->deployment.deployment, s->id, &s->row, TAKE(s->arena));
    }
    arena_free(s->arena);
    deployment_unref(s->deployment.deployment);
    s->post.fn = start_told;
    flow_post(s->director->env, &s->post);
}

static void start_deployed(struct deployment_ask *ask)
{
    struct start *s = container_of(ask, struct start, deployment);
    struct flow_request *a = s->admin;
    struct slice rest = a->workflow, module = slice_split(&rest, '.');
    if (!ask->deployment) {
        struct error e = ask->error;
        free(s);
        if (e.code == ERR_NOT_FOUND) {
            error_set(&e, ERR_NOT_FOUND, "there is no workflow '%.*s'", SLICE_ARG(module));
            error_hint(&e, "see: limpet workflow list");
        }
        director_fail(a, &e);
        return;
    }
    memcpy(s->id, a->new_id, sizeof(s->id));
    s->flow = director_owner(s->director, s->id);
    s->arena = arena_new(NULL);
    struct durable_row row = {
        .id = slice_cstr(s->id),
        .workflow = module,
        .export_name = arena_copy(s->arena, rest),
        .key = arena_copy(s->arena, a->key),
        .input = arena_copy(s->arena, a->body.len > 0 ? a->body : SLICE_LIT("null")),
        .metadata = arena_copy(s->arena, a->metadata.len > 0 ? a->metadata : SLICE_LIT("{}")),
        .created_us = flow_now_us(s->director->env),
    };
    s->row = (struct durable_row){
        .id = row.id,
        .export_name = row.export_name,
        .key = row.key,
        .input = row.input,
        .metadata = row.metadata,
        .created_us = row.created_us,
        .status = DURABLE_QUEUED,
        .attempt = 1,
    };
    s->op.loop = s->flow->env->loop;
    s->op.done = start_committed;
    store_durable_start(s->director->env->store, &s->op, &row);
}

static void start_deploy(struct start *s)
{
    struct slice rest = s->admin->workflow, module = slice_split(&rest, '.');
    s->deployment.done = start_deployed;
    director_deploy(s->director, &s->deployment, module, 0);
}

/* Is there one with the id that the key had before? */
static void start_id_known(struct ask *ask)
{
    struct start *s = ask->owner;
    struct flow_request *a = s->admin;
    enum err err = ask->query.error.code;
    ask_drop(TAKE(s->ask));
    if (err != OK)
        durable_id_of_key(a->workflow, a->key, a->new_id);
    start_deploy(s);
}

static void start(struct director *d, struct flow_request *a)
{
    struct start *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->director = d;
    s->admin = a;
    bool has_key = a->key.len > 0, is_default = module_name_is_in(a->workflow, SLICE_EMPTY);
    if (!has_key || !is_default) { /* there were no others before */
        if (has_key)
            durable_id_of_key(a->workflow, a->key, a->new_id);
        else
            random_uuid7(a->new_id);
        start_deploy(s);
        return;
    }
    durable_id_of_key_before(a->workflow, a->key, a->new_id);
    s->ask = ask_new(d->env->asks, STORE_QUERY_DURABLE, start_id_known, s);
    s->ask->query.durable.id = arena_copy(s->ask->arena, slice_cstr(a->new_id));
    if (ask_start(s->ask) == OP_DONE)
        start_id_known(s->ask);
}

/* ---- the table ---- */

void director_request(struct director *d, struct flow_request *a)
{
    struct store *store = d->env->store;
    struct durable_message message = {
        .execution = a->id, .name = a->name, .data = a->body, .once = a->once};
    a->error.code = OK;
    a->internal = NULL;
    switch (a->kind) {
    case FLOW_START:
        start(d, a);
        return;
    case FLOW_WAIT: {
        char id[37];
        snprintf(id, sizeof(id), "%.*s", (int)a->id.len, a->id.ptr);
        wait_or_tell(d, a, id, true);
        return;
    }
    case FLOW_RETRY:
    case FLOW_FORK:
        director_cut(d, a);
        return;
    case FLOW_CHECK:
    case FLOW_MIGRATE:
        director_check(d, a);
        return;
    case FLOW_RESTART:
        store_durable_restart(store, director_mutation(d, a, a->id), a->id);
        return;
    case FLOW_SIGNAL:
        store_durable_signal(store, director_mutation(d, a, a->id), &message);
        return;
    case FLOW_CANCEL:
        store_durable_cancel(store, director_mutation(d, a, a->id), a->id);
        return;
    case FLOW_PAUSE:
    case FLOW_RESUME:
        store_durable_pause(store, director_mutation(d, a, a->id), a->id, a->kind == FLOW_PAUSE);
        return;
    }
}
