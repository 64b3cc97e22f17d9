/* SPDX-License-Identifier: Apache-2.0
 *
 * D1: databases that several modules may be bound to. Statements of one guest run one list after the
 * other, in the order of the calls. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "host/database.h"
#include "host/recording.h"
#include "host/statements.h"
#include "module/binding.h"
#include "module/deployment.h"

struct d1_op {
    struct op op;
    struct guest *guest; /* NULL: nobody wants the answer */
    const struct guest_host *host;
    struct list link; /* guest->d1_queue, while it waits for its turn */
    struct held held;
    struct statements statements;
    struct arena *arena;
    size_t charged;
    bool is_held, is_running;
};

static void d1_next(struct guest *g);

static void d1_free(struct d1_op *d)
{
    statements_release(&d->statements);
    database_unref(d->statements.database);
    account_unref(d->statements.account);
    arena_free(d->arena);
    free(d);
}

/* It has ended, for whoever wants to know. */
static void d1_over(struct d1_op *d)
{
    struct guest *g = TAKE(d->guest);
    struct statements *s = &d->statements;
    if (g) {
        if (d->is_running)
            g->d1_running = NULL;
        guest_discharge(g, d->charged);
        if (s->error.code == OK)
            op_complete(&d->op, OK, bytes_slice(&s->result));
        else
            op_complete_error(&d->op, &s->error);
    }
    d1_free(d);
    if (g)
        d1_next(g);
}

static void d1_done(struct statements *s)
{
    d1_over(container_of(s, struct d1_op, statements));
}

static void d1_next(struct guest *g)
{
    struct list *n;
    while (!g->d1_running && (n = list_pop_front(&g->d1_queue))) {
        struct d1_op *d = container_of(n, struct d1_op, link);
        d->is_running = true;
        g->d1_running = d;
        if (statements_start(&d->statements, d->host->loop, d->host->fiber_runner))
            d1_over(d);
    }
}

static void d1_enter(struct d1_op *d)
{
    list_push_back(&d->guest->d1_queue, &d->link);
    d1_next(d->guest);
}

static void d1_released(struct held *h, const struct error *error)
{
    struct d1_op *d = container_of(h, struct d1_op, held);
    d->is_held = false;
    if (!error) {
        d1_enter(d);
        return;
    }
    d->statements.error = *error;
    d1_over(d);
}

/* What is under way ends by itself, and the next one begins. */
static void d1_cancelled(struct op *op)
{
    struct d1_op *d = container_of(op, struct d1_op, op);
    struct guest *g = TAKE(d->guest);
    guest_discharge(g, d->charged);
    if (d->is_held)
        list_remove(&d->held.link);
    if (d->is_running) {
        g->d1_running = NULL;
        statements_cancel(&d->statements); /* d may be gone now */
        d1_next(g);
        return;
    }
    if (list_is_linked(&d->link))
        list_remove(&d->link);
    d1_free(d);
}

static struct database *d1_database(struct guest *g, struct slice name)
{
    const struct deployment *d = g->deployment;
    for (size_t k = 0; k < d->env_len; k++) {
        const struct binding *b = d->env[k].binding;
        if (!b || b->kind != BINDING_D1 || !slice_eq(b->name, name))
            continue;
        if (d->env[k].database)
            return d->env[k].database;
        op_refuse(g, ERR_NOT_FOUND, "the database '%.*s' has been deleted", SLICE_ARG(b->target));
        error_hint(&g->op_error, "deploy the module again, which makes a new one");
        return NULL;
    }
    op_refuse(g, ERR_FORBIDDEN, "this code has no D1 binding '%.*s'",
              SLICE_ARG(slice_utf8_clip(name, 128)));
    return NULL;
}

static enum err d1_run(struct guest *g, const struct op_d1_run_args *a, uint32_t id)
{
    struct database *b = d1_database(g, a->binding);
    if (!b)
        return g->op_error.code;
    enum err err = guest_charge(g, a->request.len);
    if (err != OK)
        return err;
    struct d1_op *d = calloc(1, sizeof(*d));
    CHECK(d);
    d->guest = g;
    d->host = g->host;
    d->charged = a->request.len;
    d->arena = arena_new(NULL);
    d->held.release = d1_released;
    list_init(&d->link);
    d->statements = (struct statements){
        .done = d1_done,
        .database = database_ref(b),
        .account = g->deployment->account ? account_ref(g->deployment->account) : NULL,
        .request = arena_copy(d->arena, a->request),
        .cpu_ns_max = LIMIT_D1_CPU_MS * UINT64_C(1000000),
    };
    if (id != 0) {
        op_adopt(g, &d->op, id, d1_cancelled);
    } else if ((err = op_begin(g, &d->op, d1_cancelled)) != OK) {
        guest_discharge(g, d->charged);
        d1_free(d);
        return err;
    }
    if (guest_gate_pass(g, &d->held))
        d1_enter(d);
    else
        d->is_held = true;
    return OK;
}

enum err op_d1_run(struct guest *g, const struct op_d1_run_args *a)
{
    return d1_run(g, a, 0);
}

enum err op_d1_run_call(struct guest *g, const struct op_d1_run_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_d1_run_start(struct guest *g, uint32_t id, struct op_d1_run_args *a)
{
    return d1_run(g, a, id);
}
