/* SPDX-License-Identifier: Apache-2.0
 *
 * Executions as a kind of activations: how they come, what their rest looks like, how they go. See
 * run.h and run_internal.h. */
#include <stdlib.h>
#include <string.h>

#include "flow/run_internal.h"

struct run *run_new(struct flow *f, const struct activation_kind *kind, struct deployment *d,
                    const char *id, bool is_writer)
{
    struct run *r = calloc(1, sizeof(*r));
    CHECK(r);
    list_init(&r->asks);
    r->look_again_us = INT64_MAX;
    activation_init(&r->a, f, kind, d, id, is_writer);
    return r;
}

static void wake_arrived(struct post *p)
{
    struct run_wake *m = container_of(p, struct run_wake, post);
    struct flow *f = m->flow;
    struct activation *a = activation_find(f, RUN_SPACE, slice_cstr(m->id));
    if (a)
        activation_wake(a, m->child);
    else if (!f->is_draining)
        activation_begin(&run_new(f, &run_kind, m->deployment, m->id, true)->a);
    deployment_unref(m->deployment);
    free(m);
}

void run_wake(struct flow *f, struct run_wake *m)
{
    m->flow = f;
    m->post.fn = wake_arrived;
    flow_post(f->env, &m->post);
}

void run_begin(struct flow *f, struct deployment *d, const char *id, const struct durable_row *row,
               struct arena *arena)
{
    if (f->is_draining || activation_find(f, RUN_SPACE, slice_cstr(id))) {
        arena_free(arena);
        return;
    }
    struct run *r = run_new(f, &run_kind, d, id, true);
    r->arena = arena;
    r->row = *row;
    r->reading = READ_JOURNAL; /* the rest is known */
    activation_begin(&r->a);
}

void run_gone(struct activation *a)
{
    struct run *r = run_of(a);
    ask_drop(r->owning);
    bytes_done(&r->saved);
    bytes_done(&r->tail.records);
    execution_free(TAKE(r->x));
    run_charge(r);
    arena_free(r->arena);
    bytes_done(&r->stack);
    bytes_done(&r->result);
    free(r);
}

/* ---- at rest ---- */

/* Executions whose end it waits for, and that may have come already. */
static bool has_new_children(const struct run *r)
{
    uint32_t cursor = r->awaited_cursor;
    struct slice child;
    return execution_awaited_child(r->x, &cursor, &child);
}

void run_rest(struct activation *a, struct activation_rest *ret_rest)
{
    struct run *r = run_of(a);
    int64_t wake_us = execution_wake_us(r->x); /* EXECUTION_NEVER is the largest */
    *ret_rest = (struct activation_rest){
        .is_idle = execution_is_idle(r->x),
        .waits = execution_waits_for_events(r->x),
        .is_bound = r->is_bound,
        /* New children are looked up when the commits are there. */
        .is_looking = run_is_looking(r) || has_new_children(r) || r->look_again_us != INT64_MAX,
        .due_us = wake_us < r->look_again_us ? wake_us : r->look_again_us,
    };
}

enum activation_next run_tick(struct activation *a)
{
    struct run *r = run_of(a);
    execution_tick(r->x);
    if (r->look_again_us > flow_now_us(a->env))
        return NEXT_REST;
    run_look_again(r);
    return NEXT_STAY;
}

/* ---- stepped ---- */

static void owner_known(struct ask *ask)
{
    struct run *r = ask->owner;
    bool is_fenced = ask->query.error.code == ERR_FENCED;
    ask_drop(TAKE(r->owning));
    if (is_fenced && !r->a.guest)
        activation_lost(&r->a);
}

/* The module's database did not take what it did. If that was because another server has it now, so
 * has the new owner the execution. */
static enum activation_next begin_again(struct run *r, struct error *ret_error)
{
    *ret_error = r->trouble;
    r->trouble.code = OK;
    if (r->owning)
        return NEXT_RETRY;
    r->owning = ask_new(r->a.env->asks, STORE_QUERY_OWNS, owner_known, r);
    if (ask_start(r->owning) == OP_PENDING)
        return NEXT_RETRY;
    CLEANUP(ask_cleanup) struct ask *ask = TAKE(r->owning);
    if (ask->query.error.code == ERR_FENCED)
        *ret_error = ask->query.error;
    return NEXT_RETRY;
}

static enum activation_next run_stepped(struct activation *a, enum guest_status status,
                                        struct error *ret_error)
{
    struct run *r = run_of(a);
    run_charge(r);
    enum activation_next next = run_stop_replay(r, ret_error);
    if (next != NEXT_REST)
        return next;
    if (r->trouble.code != OK)
        return begin_again(r, ret_error);
    if (status == GUEST_DEAD || status == GUEST_FINISHED)
        return NEXT_END;
    /* Its last records may belong to a commit of the module's database that is not made. */
    return guest_is_in_sql(a->guest) ? NEXT_STAY : NEXT_REST;
}

static void run_park(struct activation *a, struct store_op *op, const struct error *error)
{
    store_durable_park(a->env->store, op, slice_cstr(a->key), slice_cstr(error->message));
}

const struct activation_kind run_kind = {
    .text = "execution",
    .space = RUN_SPACE,
    .enter = run_enter,
    .read = run_read,
    .started = run_started,
    .stepped = run_stepped,
    .may_go_on = run_may_go_on,
    .has_to_stand = run_has_to_stand,
    .rest = run_rest,
    .tick = run_tick,
    .collect = run_collect,
    .leave = run_leave,
    .woken = run_woken,
    .look_at_all = run_look_at_all,
    .exit = run_exit,
    .submit = run_submit,
    .stored = run_stored,
    .drop = run_drop,
    .went_on = run_look_for_children,
    .fail = run_fail,
    .park = run_park,
    .gone = run_gone,
};
