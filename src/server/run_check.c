/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking an execution against other code: a run that only replays (execution_config.is_check). It
 * agrees when the code has asked for everything that its journal has, in order; it is then pinned
 * to that version if that was asked for. */
#include <stdlib.h>
#include <string.h>

#include "server/run_internal.h"

static void check_told(struct post *p)
{
    struct run_check *c = container_of(p, struct run_check, post);
    c->done(c);
}

void run_check_tell(struct run_check *c)
{
    c->post.fn = check_told;
    loop_post(control_loop(c->worker->server->control), &c->post);
}

void run_check_over(struct run *r)
{
    struct run_check *c = TAKE(r->check);
    if (r->guest)
        run_end_guest(r);
    timer_stop(&r->worker->loop, &r->timer);
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
    m->op.loop = &r->worker->loop;
    m->op.done = migrated;
    run_end_guest(r);
    r->stage = RUN_LEAVING;
    store_durable_migrate(r->worker->server->store, &m->op, slice_cstr(r->id), r->row.records,
                          r->slot->deployment->version);
}

void run_check_stepped(struct run *r, enum guest_status status)
{
    enum execution_state state = execution_state(r->x);
    if (state == EXECUTION_AGREED && r->check->migrates) {
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
