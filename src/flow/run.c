/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a run: woken, prepared, given an isolate, stepped, at rest, gone. See run.h.
 *
 * At rest (run_settle) it stays while something external is under way or the next deadline is near,
 * lingers a little when it waits for events (a parent of a thousand children would otherwise be
 * brought back a thousand times), and else is suspended: its state is one row and one snapshot. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/run_internal.h"
#include "flow/witness.h"

enum {
    RUN_STAY_US = 1000 * 1000, /* a deadline nearer than this is waited for in memory */
    RUN_LINGER_MS = 200,       /* after the last event, when more may come */
    RUN_REST_MS = 500,         /* after a failure that may pass; doubled each time */
    RUN_REST_MS_MAX = 30 * 1000,
    RUN_TRIES_MAX = 10, /* for a reason that is not the server's: some two minutes, then parked */
};

static struct slice id_of(const struct run *r)
{
    return slice_of(r->id, sizeof(r->id) - 1);
}

struct run *run_find(struct flow *f, struct slice id)
{
    return map_get(&f->map, id);
}

/* ---- coming ---- */

static void prepared(struct prepare *p, const struct error *error)
{
    struct run *r = container_of(p, struct run, prepare);
    if (r->flow->is_draining && r->check) {
        error_set(&r->check->error, ERR_UNAVAILABLE, "the server is stopping");
        run_check_over(r);
    } else if (r->flow->is_draining) {
        run_forget(r);
    } else if (error->code != OK) {
        run_rest(r, error);
    } else {
        r->stage = RUN_WAITING;
        r->env->place->enqueue(r->env->ctx, &r->task);
    }
}

/* An isolate cannot be made just now. */
static void task_refuse(struct task *t, const struct error *error)
{
    run_rest(container_of(t, struct run, task), error);
}

/* is_owner: it may write, so there is only one. */
static struct run *run_new(struct flow *f, struct deployment *d, const char *id, bool is_owner)
{
    struct run *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->flow = f;
    r->env = f->env;
    r->slot = f->env->place->hold(f->env->ctx, d);
    r->deployment = d;
    memcpy(r->id, id, sizeof(r->id));
    list_init(&r->outbox);
    list_init(&r->asks);
    r->prepare = (struct prepare){.slot = r->slot, .execution_id = id_of(r), .done = prepared};
    r->task = (struct task){
        .slot = r->slot, .start = run_start, .refuse = task_refuse, .is_patient = true};
    list_push_back(&f->all, &r->member);
    if (is_owner)
        CHECK(!map_put(&f->map, id_of(r), r));
    return r;
}

/* What it did last may end the process when it is stored: until then it is noted. */
static void leave_witness(struct run *r)
{
    witness_leave(r->env->witness, r->env->thread, r->witness);
    r->witness = WITNESS_NOTHING;
}

void run_again(struct run *r)
{
    leave_witness(r);
    r->stage = RUN_PREPARING;
    r->env->place->prepare(&r->prepare);
}

static void wake_arrived(struct post *p)
{
    struct run_wake *m = container_of(p, struct run_wake, post);
    struct flow *f = m->flow;
    struct run *r = run_find(f, slice_cstr(m->id));
    if (r)
        run_look(r, m->child);
    else if (!f->is_draining)
        run_again(run_new(f, m->deployment, m->id, true));
    deployment_unref(m->deployment);
    free(m);
}

void run_begin(struct flow *f, struct deployment *d, const char *id, const struct durable_row *row,
               struct arena *arena)
{
    if (f->is_draining || run_find(f, slice_cstr(id))) {
        arena_free(arena);
        return;
    }
    struct run *r = run_new(f, d, id, true);
    r->arena = arena;
    r->row = *row;
    r->has_row = true;
    run_again(r);
}

void run_wake(struct flow *f, struct run_wake *m)
{
    m->flow = f;
    m->post.fn = wake_arrived;
    flow_post(f->env, &m->post);
}

static void check_arrived(struct post *p)
{
    struct run_check *c = container_of(p, struct run_check, post);
    struct flow *f = c->flow;
    struct run *r = run_find(f, slice_cstr(c->id));
    if (r && c->migrates) { /* whoever runs it has to let go first; the director tries again */
        if (r->guest && !r->check)
            run_end_guest(r);
        if (run_is_settled(r) && !r->guest && r->stage != RUN_PREPARING) {
            flow_timer_stop(r->env, &r->timer);
            if (r->stage == RUN_WAITING)
                r->env->place->withdraw(&r->task);
            run_forget(r);
            r = NULL;
        }
    }
    if ((r && c->migrates) || f->is_draining) {
        error_set(&c->error, ERR_UNAVAILABLE, "the execution is busy");
        run_check_tell(c);
        return;
    }
    r = run_new(f, c->deployment, c->id, c->migrates);
    r->check = c;
    run_again(r);
}

void run_check(struct flow *f, struct run_check *c)
{
    c->flow = f;
    c->post.fn = check_arrived;
    flow_post(f->env, &c->post);
}

/* ---- going ---- */

static void check_drained(struct flow *f)
{
    if (!f->is_draining || !f->drained || !list_is_empty(&f->all))
        return;
    void (*done)(void *) = f->drained;
    f->drained = NULL;
    done(f->drained_arg);
}

void run_forget(struct run *r)
{
    struct flow *f = r->flow;
    struct flow_env *env = r->env;
    struct slot *s = r->slot;
    CHECK(!r->guest && run_is_settled(r));
    leave_witness(r);
    if (r->wants_look && !f->is_draining) { /* what it was woken for is still to be seen */
        struct director_note *n = director_note_new(r->env->shared, r->id, 1);
        memcpy(n->wakes[0], r->id, sizeof(r->id));
        director_send(n);
    }
    flow_timer_stop(r->env, &r->timer);
    if (run_find(f, id_of(r)) == r)
        (void)map_remove(&f->map, id_of(r));
    list_remove(&r->member);
    ask_drop(r->owning);
    bytes_done(&r->saved);
    bytes_done(&r->tail.records);
    execution_free(TAKE(r->x));
    run_charge(r);
    arena_free(r->arena);
    bytes_done(&r->stack);
    bytes_done(&r->result);
    free(r);
    env->place->release(s);
    check_drained(f);
}

static void stop_lingering(struct run *r)
{
    if (r->is_lingering)
        list_remove(&r->lingering);
    r->is_lingering = false;
}

uint32_t run_witness(const struct guest *g)
{
    const struct run *r = g->run;
    return r->witness;
}

bool run_is_standing(const struct guest *g)
{
    const struct run *r = g->run;
    return r->is_standing;
}

void run_end_guest(struct run *r)
{
    static const struct error over = {.code = ERR_UNAVAILABLE, .message = "the run leaves"};
    struct guest *g = TAKE(r->guest);
    if (!g)
        return;
    run_look_end(r);
    ask_drop(TAKE(r->loading));
    ask_drop(TAKE(r->ahead));
    if (r->is_tail_asked)
        r->env->place->tail_drop(&r->tail);
    r->is_tail_asked = false;
    bytes_done(&r->saved);
    stop_lingering(r);
    flow_timer_stop(r->env, &r->timer);
    r->is_standing = false;
    r->is_dropping = true;
    r->env->isolates->end(g, &over);
    r->is_dropping = false;
    r->env->place->give_back(r->env->ctx, g);
}

/* Not before its commits have been answered: it is read from the store. */
static void rest_over(struct timer *t)
{
    struct run *r = container_of(t, struct run, timer);
    if (run_is_settled(r))
        run_again(r);
    else
        flow_timer_start(r->env, &r->timer, RUN_REST_MS, rest_over);
}

struct parking {
    struct store_op op;
    struct run *run;
    struct error reason;
};

static void parked(struct store_op *op)
{
    struct parking *p = container_of(op, struct parking, op);
    struct run *r = p->run;
    struct error e = p->reason;
    bool is_again = op->error.code != OK && error_is_retryable(op->error.code);
    free(p);
    r->in_flight--;
    if (is_again && !r->flow->is_draining)
        run_rest(r, &e);
    else
        run_forget(r);
}

/* It is not run again until somebody resumes it. */
static void park(struct run *r, const struct error *error)
{
    struct parking *p = calloc(1, sizeof(*p));
    CHECK(p);
    p->run = r;
    p->reason = *error;
    p->op.loop = r->env->loop;
    p->op.done = parked;
    r->stage = RUN_LEAVING;
    r->in_flight++;
    log_error("an execution is parked", LOG_STR("execution", r->id),
              LOG_STR("error", error->message));
    store_durable_park(r->env->store, &p->op, id_of(r), slice_cstr(error->message));
}

/* Tries that bring nothing: a reason that is the server's (its disk, its store) may pass at any
 * time, whatever else it is needs somebody. */
static bool is_hopeless(const struct run *r, const struct error *error)
{
    bool is_servers = error_is_retryable(error->code) && error->code != ERR_OVERLOAD;
    return !is_servers && r->failures >= RUN_TRIES_MAX && run_is_settled(r);
}

void run_rest(struct run *r, const struct error *error)
{
    run_end_guest(r);
    if (r->check) {
        r->check->error = *error;
        run_check_over(r);
        return;
    }
    if (is_hopeless(r, error) && !r->flow->is_draining) {
        park(r, error);
        return;
    }
    unsigned shift = r->failures < 6 ? r->failures : 6;
    uint64_t ms = (uint64_t)RUN_REST_MS << shift;
    if (r->failures++ == 0)
        log_warn("an execution cannot go on now, it is tried again", LOG_STR("execution", r->id),
                 LOG_STR("error", error->message));
    r->stage = RUN_RESTING;
    if (r->flow->is_draining && run_is_settled(r))
        run_forget(r);
    else
        flow_timer_start(r->env, &r->timer, ms < RUN_REST_MS_MAX ? ms : RUN_REST_MS_MAX, rest_over);
}

/* ---- at rest ---- */

static void timer_fired(struct timer *t)
{
    struct run *r = container_of(t, struct run, timer);
    execution_tick(r->x);
    if (!guest_has_news(r->guest))
        run_settle(r);
}

/* Milliseconds until us, rounded up, as a timer takes them. */
static uint64_t ms_until(const struct run *r, int64_t us)
{
    int64_t left = us - flow_now_us(r->env);
    return left <= 0 ? 0 : (uint64_t)(left + 999) / 1000;
}

void run_settle_later(struct run *r)
{
    int64_t wake_us = execution_wake_us(r->x);
    uint64_t ms = wake_us != EXECUTION_NEVER ? ms_until(r, wake_us) : RUN_REST_MS;
    flow_timer_start(r->env, &r->timer, ms < RUN_REST_MS ? ms : RUN_REST_MS, timer_fired);
}

static bool may_linger(const struct run *r, int64_t wake_us)
{
    if (r->waits_for_others || wake_us - flow_now_us(r->env) < RUN_STAY_US)
        return true;
    return execution_waits_for_events(r->x) && r->linger_until_ns > r->env->clock->monotonic_ns() &&
           !r->env->place->is_crowded(r->env->ctx);
}

/* Executions whose end it waits for, and that may have come already. */
static bool has_new_children(const struct run *r)
{
    uint32_t cursor = r->awaited_cursor;
    struct slice child;
    return execution_awaited_child(r->x, &cursor, &child);
}

void run_settle(struct run *r)
{
    if (!r->guest || r->stage != RUN_ACTIVE || guest_has_news(r->guest) || r->guest->is_queued ||
        guest_is_in_sql(r->guest))
        return;
    int64_t wake_us = execution_wake_us(r->x);
    bool is_idle = execution_is_idle(r->x);
    if (is_idle && !may_linger(r, wake_us)) {
        if (has_new_children(r))
            return; /* they are looked up when the commits are there */
        if (run_is_looking(r))
            return; /* here again when that is over */
        if (r->is_stale)
            run_look_at_all(r);
        else
            run_suspend(r);
        return;
    }
    if (is_idle && !r->is_lingering && !r->waits_for_others) {
        r->is_lingering = true;
        list_push_back(&r->flow->lingering, &r->lingering);
    }
    uint64_t ms = UINT64_MAX;
    if (wake_us != EXECUTION_NEVER)
        ms = ms_until(r, wake_us);
    if (is_idle && execution_waits_for_events(r->x) && !r->waits_for_others && ms > RUN_LINGER_MS)
        ms = RUN_LINGER_MS;
    if (ms != UINT64_MAX)
        flow_timer_start(r->env, &r->timer, ms, timer_fired);
}

/* The module's database did not take what it did. If that was because another server has it now, so
 * has the new owner the execution. */
static void owner_known(struct ask *a)
{
    struct run *r = a->owner;
    bool is_fenced = a->query.error.code == ERR_FENCED;
    ask_drop(TAKE(r->owning));
    if (!is_fenced || r->stage != RUN_RESTING || !run_is_settled(r))
        return;
    run_forget(r);
}

static void rest_broken(struct run *r)
{
    struct error e;
    error_set(&e, ERR_IO, "the journal in the module's database could not be written");
    r->is_broken = false;
    bool is_over = r->check || r->flow->is_draining; /* r may be gone then */
    run_rest(r, &e);
    if (is_over || r->stage != RUN_RESTING || r->owning)
        return;
    r->owning = ask_new(r->env->asks, STORE_QUERY_OWNS, owner_known, r);
    if (ask_start(r->owning) == OP_DONE)
        owner_known(r->owning);
}

void run_stepped(struct guest *g, enum guest_status status)
{
    struct run *r = g->run;
    CHECK(r->guest == g);
    run_charge(r);
    stop_lingering(r);
    flow_timer_stop(r->env, &r->timer);
    r->linger_until_ns = r->env->clock->monotonic_ns() + RUN_LINGER_MS * 1000000ULL;
    if (run_stop_replay(r))
        return;
    if (r->check) {
        run_check_stepped(r, status);
        return;
    }
    if (r->is_broken) {
        rest_broken(r);
        return;
    }
    if (status == GUEST_WAITS && guest_is_in_sql(g))
        return; /* its last records belong to a commit of the module's database that is not made */
    /* What has nothing more to do leaves with its records: one commit, and the isolate is free. */
    if (status == GUEST_WAITS && execution_is_idle(r->x) && !r->is_stale && !has_new_children(r) &&
        !guest_has_news(r->guest) && !run_is_looking(r) &&
        !may_linger(r, execution_wake_us(r->x))) {
        run_suspend(r);
        return;
    }
    run_collect(r);
    if (status == GUEST_DEAD || status == GUEST_FINISHED) {
        r->stage = RUN_LEAVING;
        run_end_guest(r); /* the answer to its last commit forgets it */
        return;
    }
    if (r->guest) {
        run_look_for_children(r);
        run_settle(r);
    }
}

/* ---- all of a thread ---- */

struct flow_env *flow_env(struct flow *f)
{
    return f->env;
}

struct flow *flow_new(struct flow_env *env)
{
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f);
    f->env = env;
    list_init(&f->lingering);
    list_init(&f->all);
    return f;
}

void flow_reclaim(struct flow *f)
{
    struct list *n = f->lingering.next;
    if (n == &f->lingering)
        return;
    struct run *r = container_of(n, struct run, lingering);
    stop_lingering(r);
    r->linger_until_ns = 0;
    run_settle(r);
}

/* Ends what runs; what is being committed is waited for. */
static void break_off(struct run *r)
{
    if (r->stage == RUN_WAITING)
        r->env->place->withdraw(&r->task);
    run_end_guest(r);
    if (r->stage == RUN_PREPARING || (r->check && r->stage == RUN_LEAVING))
        return; /* prepared() comes, or the store's answer */
    if (r->check) {
        error_set(&r->check->error, ERR_UNAVAILABLE, "the server is stopping");
        run_check_over(r);
    } else if (run_is_settled(r)) {
        run_forget(r);
    } else {
        r->stage = RUN_LEAVING;
    }
}

void flow_drain(struct flow *f, void (*done)(void *arg), void *arg)
{
    f->is_draining = true;
    f->drained = done;
    f->drained_arg = arg;
    /* Each ends and frees only itself: what it tells others goes by messages. */
    LIST_FOREACH (n, &f->all)
        break_off(container_of(n, struct run, member));
    check_drained(f);
}

void flow_free(struct flow *f)
{
    map_done(&f->map);
    free(f);
}
