/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking again when something has happened to an execution that is in memory: its row, the signals
 * that wait for it, the ends of executions that it waits for. A look is read from the store in
 * stages, at once or later; meanwhile its code may run, but it does not leave:
 *
 *     ROW      paused or ended elsewhere?  it leaves
 *     SIGNALS  a page at a time; then cancelling, then (before it leaves) all that it waits for
 *
 * One look at a time. What happens while one is under way may not be in it, so another follows. */
#include <stdlib.h>
#include <string.h>

#include "base/module_name.h"
#include "flow/run_internal.h"

/* ---- ends of others ---- */

static void child_seen(struct run *r, const struct ask *a)
{
    const struct durable_row *row = &a->query.durable.row;
    struct slice child = a->query.durable.id;
    enum err err = a->query.error.code;
    struct slice space = module_name_split(r->deployment->name).space;
    /* One of another namespace is not there for it. */
    if (err == ERR_NOT_FOUND || (err == OK && !module_name_is_in(row->workflow, space))) {
        execution_child_done(r->x, child, ERR_NOT_FOUND,
                             SLICE_LIT("{\"name\":\"Error\",\"message\":\"there is no such "
                                       "execution in this namespace (any more)\"}"));
    } else if (err != OK) {
        r->is_stale = true; /* once more before it leaves */
    } else if (durable_is_finished(row->status)) {
        bool is_ok = row->status == DURABLE_COMPLETED;
        execution_child_done(r->x, child,
                             is_ok                              ? OK
                             : row->status == DURABLE_CANCELLED ? ERR_CANCELLED
                                                                : ERR_GUEST,
                             is_ok ? row->output : row->error);
    } else if (!slice_eq_cstr(row->parent, r->id)) {
        r->waits_for_others = true; /* it would not tell us: the director watches */
        struct director_note *n = director_note_new(r->env->shared, r->id, 0);
        snprintf(n->watched, sizeof(n->watched), "%.*s", (int)child.len, child.ptr);
        director_send(n);
    }
}

static void child_arrived(struct ask *a)
{
    struct run *r = a->owner;
    child_seen(r, a);
    bool has_failed = a->query.error.code != OK && a->query.error.code != ERR_NOT_FOUND;
    ask_drop(a);
    if (has_failed)
        run_settle_later(r);
    else
        run_settle(r);
}

/* The end of an execution that this one waits for, if it has come. */
static void look_at_child(struct run *r, struct slice child)
{
    struct ask *a = ask_new(r->env->asks, STORE_QUERY_DURABLE, child_arrived, r);
    a->query.durable.id = arena_copy(a->arena, child);
    if (ask_start(a) == OP_PENDING) {
        list_push_back(&r->asks, &a->link);
        return;
    }
    child_seen(r, a);
    ask_drop(a);
}

/* Those whose results the code has asked for since the last look. A child that was started in this
 * very turn is not there yet: its commit tells. */
void run_look_for_children(struct run *r)
{
    struct slice child;
    if (execution_state(r->x) != EXECUTION_IS_LIVE || execution_has_batch(r->x) ||
        !run_is_settled(r))
        return; /* after the commit */
    while (r->guest && execution_awaited_child(r->x, &r->awaited_cursor, &child)) {
        char id[64];
        snprintf(id, sizeof(id), "%.*s", (int)child.len, child.ptr);
        look_at_child(r, slice_cstr(id));
    }
}

/* ---- row and signals ---- */

void run_give_signals(struct run *r, const struct store_query *q)
{
    for (size_t k = 0; k < q->signals.len; k++) {
        const struct durable_signal *s = &q->signals.rows[k];
        execution_signal(r->x, s->seq, s->at_us, s->name, s->data);
        r->signal_last = s->seq;
    }
}

static void look_on(struct run *r);

static void look_answered(struct ask *a)
{
    look_on(a->owner);
}

/* The row's number of events is read first: whatever is in it has happened before the looks that
 * follow. */
static struct ask *look_ask(struct run *r)
{
    bool is_row = r->look == LOOK_ROW;
    struct ask *a =
        ask_new(r->env->asks, is_row ? STORE_QUERY_DURABLE : STORE_QUERY_SIGNALS, look_answered, r);
    if (is_row) {
        a->query.durable.id = arena_copy(a->arena, slice_cstr(r->id));
    } else {
        a->query.signals.id = arena_copy(a->arena, slice_cstr(r->id));
        a->query.signals.after = r->signal_last;
    }
    return a;
}

/* Everything has been read; children, which are many and each a read, only before it leaves. */
static void look_over(struct run *r)
{
    bool is_all = r->looks_at_all;
    r->look = LOOK_NONE;
    r->looks_at_all = false;
    if (r->look_cancels)
        execution_cancel(r->x);
    if (is_all) {
        r->is_stale = false;
        r->events_seen = r->look_events;
        r->awaited_cursor = 0;
        run_look_for_children(r);
    }
    if (r->looks_again) {
        r->looks_again = false;
        r->is_stale = true;
        r->look = LOOK_ROW;
        look_on(r);
    } else if (is_all && r->is_stale) {
        run_settle_later(r); /* a child cannot be read now */
    } else {
        run_settle(r);
    }
}

/* One answer. False: the look is over, and r may be. */
static bool look_at(struct run *r, const struct store_query *q)
{
    bool is_gone = r->look == LOOK_ROW && q->error.code == ERR_NOT_FOUND;
    if (q->error.code != OK && !is_gone) { /* it cannot be read now */
        r->look = LOOK_NONE;
        r->looks_at_all = r->looks_again = false;
        r->is_stale = true;
        run_settle_later(r);
        return false;
    }
    if (r->look == LOOK_SIGNALS) {
        run_give_signals(r, q);
        if (q->signals.len == STORE_SIGNALS_PAGE)
            return true;
        look_over(r);
        return false;
    }
    const struct durable_row *row = &q->durable.row;
    if (is_gone || row->is_paused || durable_is_finished(row->status)) {
        run_end_guest(r);
        r->stage = RUN_LEAVING;
        if (run_is_settled(r))
            run_forget(r);
        return false;
    }
    r->look_events = row->events;
    r->look_cancels = row->is_cancel_requested;
    r->look = LOOK_SIGNALS;
    return true;
}

static void look_on(struct run *r)
{
    for (bool goes_on = true; goes_on;) {
        if (!r->looking) {
            r->looking = look_ask(r);
            if (ask_start(r->looking) == OP_PENDING)
                return;
        }
        CLEANUP(ask_cleanup) struct ask *a = TAKE(r->looking);
        goes_on = look_at(r, &a->query);
    }
}

static void look_start(struct run *r, bool is_all)
{
    r->looks_at_all |= is_all;
    if (r->look != LOOK_NONE) {
        r->looks_again = true;
        return;
    }
    r->look = LOOK_ROW;
    look_on(r);
}

/* What was started in a commit that is on its way is not there yet, so that is awaited. */
void run_look_at_all(struct run *r)
{
    if (r->look == LOOK_NONE && run_is_settled(r) && !execution_has_batch(r->x))
        look_start(r, true);
}

void run_look(struct run *r, const char *child)
{
    if (r->stage != RUN_ACTIVE || !r->guest || r->check) {
        r->wants_look = true; /* it reads everything when it starts */
        return;
    }
    r->is_stale = true; /* more than this one thing may have happened, and be in the row's count */
    if (child[0])
        look_at_child(r, slice_cstr(child));
    look_start(r, false);
}

void run_look_end(struct run *r)
{
    asks_drop(&r->asks);
    ask_drop(TAKE(r->looking));
    r->look = LOOK_NONE;
    r->looks_at_all = r->looks_again = false;
}
