/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking an execution against other code: a run that only replays (execution_config.is_check). It
 * agrees when the code has asked for everything that its journal has, in order; it is then pinned
 * to that version if that was asked for.
 *
 * The same machinery verifies (--verify-replay): whenever an execution leaves memory, its journal
 * is replayed in another isolate and must come to the same state, or to the same end. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/run_internal.h"
#include "module/deployment.h"

static void check_told(struct post *p)
{
    struct run_check *c = container_of(p, struct run_check, post);
    c->done(c);
}

void run_check_tell(struct run_check *c)
{
    c->post.fn = check_told;
    director_post(c->flow->env->shared->director, &c->post);
}

void run_check_over(struct run *r)
{
    struct run_check *c = TAKE(r->check);
    if (r->guest)
        run_end_guest(r);
    flow_timer_stop(r->env, &r->timer);
    run_forget(r);
    run_check_tell(c);
}

void run_check_differs(struct run *r, const struct error *error)
{
    struct run_check *c = r->check;
    if (error->code != ERR_DIVERGED) {
        c->error = *error;
    } else {
        c->record = r->divergence.record;
        bytes_append_cstr(&c->recorded, r->divergence.recorded);
        bytes_append_cstr(&c->did, r->divergence.did);
        bytes_append_slice(&c->stack, bytes_slice(&r->stack));
    }
    run_check_over(r);
}

struct migration {
    struct store_op op;
    struct run *run;
};

static void migrated(struct store_op *op)
{
    struct migration *m = container_of(op, struct migration, op);
    struct run *r = m->run;
    if (op->error.code == OK)
        r->check->agrees = true;
    else
        r->check->error = op->error;
    free(m);
    run_check_over(r);
}

static void migrate(struct run *r)
{
    struct migration *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->run = r;
    m->op.loop = r->env->loop;
    m->op.done = migrated;
    run_end_guest(r);
    r->stage = RUN_LEAVING;
    store_durable_migrate(r->env->store, &m->op, slice_cstr(r->id), r->row.records,
                          r->deployment->version);
}

/* ---- verifying ---- */

static void verified(struct run_check *c)
{
    struct flow_shared *s = c->flow->env->shared;
    if (!c->agrees)
        log_error("a replay differs from the execution", LOG_STR("execution", c->id),
                  LOG_STR("error", c->error.message), LOG_INT("record", c->record),
                  LOG_SLICE("recorded", bytes_slice(&c->recorded)),
                  LOG_SLICE("did", bytes_slice(&c->did)));
    metric_add(c->agrees ? &s->verified : &s->verify_failures, 1);
    deployment_unref(c->deployment);
    bytes_done(&c->expected);
    bytes_done(&c->recorded);
    bytes_done(&c->did);
    bytes_done(&c->stack);
    free(c);
}

void run_verify(struct run *r, struct slice expected)
{
    struct run_check *c = calloc(1, sizeof(*c));
    CHECK(c);
    memcpy(c->id, r->id, sizeof(c->id));
    c->deployment = deployment_ref(r->deployment);
    c->verifies = true;
    c->done = verified;
    bytes_append_slice(&c->expected, expected);
    run_check(r->flow, c);
}

static void compare(struct run *r)
{
    struct run_check *c = r->check;
    CLEANUP(bytes_done) struct bytes state = BYTES_INIT;
    if (r->result.len > 0) /* the code ended */
        bytes_append_slice(&state, bytes_slice(&r->result));
    else
        execution_describe(r->x, &state);
    c->agrees = slice_eq(bytes_slice(&state), bytes_slice(&c->expected));
    if (!c->agrees) {
        bytes_append_slice(&c->recorded, bytes_slice(&c->expected));
        bytes_append_slice(&c->did, bytes_slice(&state));
    }
    run_check_over(r);
}

/* ---- stepped ---- */

void run_check_stepped(struct run *r, enum guest_status status)
{
    enum execution_state state = execution_state(r->x);
    if (r->check->verifies &&
        (state == EXECUTION_AGREED || status == GUEST_DEAD || status == GUEST_FINISHED)) {
        compare(r);
    } else if (state == EXECUTION_AGREED && r->check->migrates) {
        migrate(r);
    } else if (state == EXECUTION_AGREED) {
        r->check->agrees = true;
        run_check_over(r);
    } else if (status == GUEST_DEAD || status == GUEST_FINISHED) {
        /* it failed in a way of its own: a limit, or it ended where the old code went on */
        error_set(&r->check->error, ERR_GUEST, "the code ended while its journal goes on");
        run_check_over(r);
    }
}
