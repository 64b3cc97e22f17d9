/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking again when something has happened to an execution that is in memory: its row, the signals
 * that wait for it, the ends of executions that it waits for. A look is read from the store in
 * stages, at once or later; meanwhile its code may run, but it does not leave:
 *
 *     ROW      paused or ended elsewhere?  it leaves
 *     SIGNALS  a page at a time; then cancelling, then (before it leaves) all that it waits for
 *
 * One look at a time. What happens while one is under way may not be in it (NEWS_UNSEEN), so another
 * follows. What cannot be read is read again after a pause, whatever else it waits for. */
#include <stdlib.h>
#include <string.h>

#include "base/module_name.h"
#include "flow/run_internal.h"

enum { LOOK_AGAIN_MS = 500 }; /* when something could not be read; doubled each time */

static void look_failed(struct run *r)
{
    r->look_again_us =
        flow_now_us(r->a.env) + (int64_t)retry_pause_ms(LOOK_AGAIN_MS, r->look_failures++) * 1000;
}

/* ---- ends of others ---- */

static void child_seen(struct run *r, const struct ask *a)
{
    const struct durable_row *row = &a->query.durable.row;
    struct slice child = a->query.durable.id;
    enum err err = a->query.error.code;
    struct slice space = module_name_split(r->a.deployment->name).space;
    /* One of another namespace is not there for it. */
    if (err == ERR_NOT_FOUND || (err == OK && !module_name_is_in(row->workflow, space))) {
        execution_child_done(r->x, child, ERR_NOT_FOUND,
                             SLICE_LIT("{\"name\":\"Error\",\"message\":\"there is no such "
                                       "execution in this namespace (any more)\"}"));
    } else if (err != OK) {
        look_failed(r);
        return;
    } else if (durable_is_finished(row->status)) {
        bool is_ok = row->status == DURABLE_COMPLETED;
        execution_child_done(r->x, child,
                             is_ok                              ? OK
                             : row->status == DURABLE_CANCELLED ? ERR_CANCELLED
                                                                : ERR_GUEST,
                             is_ok ? row->output : row->error);
    } else if (!slice_eq_cstr(row->parent, r->a.key)) {
        r->is_bound = true; /* it would not tell us: the director watches */
        struct director_note *n = director_note_new(r->a.env->shared, r->a.key, 0);
        snprintf(n->watched, sizeof(n->watched), "%.*s", (int)child.len, child.ptr);
        director_send(n);
    }
    r->look_failures = 0;
}

static void child_arrived(struct ask *a)
{
    struct run *r = a->owner;
    child_seen(r, a);
    ask_drop(a);
    activation_settle(&r->a);
}

/* The end of an execution that this one waits for, if it has come. */
static void look_at_child(struct run *r, struct slice child)
{
    struct ask *a = ask_new(r->a.env->asks, STORE_QUERY_DURABLE, child_arrived, r);
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
void run_look_for_children(struct activation *a)
{
    struct run *r = run_of(a);
    struct slice child;
    if (execution_state(r->x) != EXECUTION_IS_LIVE || execution_has_batch(r->x) ||
        !activation_is_settled(a))
        return; /* after the commit */
    while (execution_awaited_child(r->x, &r->awaited_cursor, &child)) {
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
static void look_start(struct run *r, bool is_all);

static void look_answered(struct ask *a)
{
    look_on(a->owner);
}

/* The row's number of events is read first: whatever is in it has happened before the looks that
 * follow. */
static struct ask *look_ask(struct run *r)
{
    bool is_row = r->look == LOOK_ROW;
    struct ask *a = ask_new(r->a.env->asks, is_row ? STORE_QUERY_DURABLE : STORE_QUERY_SIGNALS,
                            look_answered, r);
    if (is_row) {
        a->query.durable.id = arena_copy(a->arena, slice_cstr(r->a.key));
    } else {
        a->query.signals.id = arena_copy(a->arena, slice_cstr(r->a.key));
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
    if (is_all && r->a.news == NEWS_IN_PART) {
        r->a.news = NEWS_NONE;
        r->events_seen = r->look_events;
        r->awaited_cursor = 0;
        run_look_for_children(&r->a);
    }
    if (r->a.news == NEWS_UNSEEN)
        look_start(r, false);
    else
        activation_settle(&r->a);
}

/* One answer. False: the look is over, and r may be. */
static bool look_at(struct run *r, const struct store_query *q)
{
    bool is_gone = r->look == LOOK_ROW && q->error.code == ERR_NOT_FOUND;
    if (q->error.code != OK && !is_gone) { /* it cannot be read now */
        r->look = LOOK_NONE;
        r->looks_at_all = false;
        look_failed(r);
        activation_settle(&r->a);
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
        activation_leave(&r->a);
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
    if (r->look != LOOK_NONE)
        return;
    r->a.news = NEWS_IN_PART;
    r->look = LOOK_ROW;
    look_on(r);
}

/* What was started in a commit that is on its way is not there yet, so that is awaited. */
void run_look_at_all(struct activation *a)
{
    struct run *r = run_of(a);
    if (r->look == LOOK_NONE && activation_is_settled(a) && !execution_has_batch(r->x))
        look_start(r, true);
}

/* More than this one thing may have happened, and be in the row's count. */
void run_woken(struct activation *a, const char *child)
{
    struct run *r = run_of(a);
    a->news = NEWS_UNSEEN;
    if (child[0])
        look_at_child(r, slice_cstr(child));
    look_start(r, false);
}

void run_look_again(struct run *r)
{
    r->look_again_us = INT64_MAX;
    r->awaited_cursor = 0;
    run_look_for_children(&r->a);
    if (r->a.news != NEWS_NONE && r->look == LOOK_NONE)
        look_start(r, false);
    else
        activation_settle(&r->a);
}

void run_look_end(struct run *r)
{
    asks_drop(&r->asks);
    ask_drop(TAKE(r->looking));
    r->look = LOOK_NONE;
    r->looks_at_all = false;
    r->look_again_us = INT64_MAX;
}
