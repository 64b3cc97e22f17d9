/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn: the one place where guests run. Events (bytes, completions, timers, messages) only
 * queue work with its slot; once per batch of events turn_run() runs it:
 *
 *   1. fresh guests, each until it waits, is finished, or has used up its slice, and tasks that get
 *      an isolate: slot by slot in fair shares (schedule.h), for at most TURN_NS;
 *   2. one slice of one lengthy guest, whose last slice was not enough, whatever it has stood still
 *      for since, shared as fairly, so that a guest that computes for long costs its neighbors at
 *      most one slice of latency, however many such guests there are.
 *
 * So a function that seldom runs waits for what runs at that moment, not for what others have
 * queued. A slot that gets no isolate is stalled until one is free.
 *
 * Answers leave from inside step 1 and 2 through the guest's output gate (host/guest.c), which
 * holds back what depends on a commit that is not on disk. */
#include "server/turn.h"

#include <stdlib.h>

#include "base/clock.h"
#include "flow/activation.h"
#include "flow/witness.h"
#include "http/server.h"
#include "server/actor.h"
#include "server/slot.h"

enum {
    TURN_FRESH_MAX = 256, /* then sockets get their turn */
    TURN_NS = 2000 * 1000,
    UNSTALL_MS = 20,
    TASK_WAIT_MS = 10 * 1000, /* for an isolate, then 503 */
};

static void run_guest(struct worker *w, struct guest *g);

static void slot_awake(struct slot *s)
{
    if (s->is_stalled && list_is_empty(&s->fresh))
        return;
    schedule_add(&s->worker->fresh, &s->fresh_share);
}

void turn_runnable(void *ctx, struct guest *g)
{
    struct worker *w = ctx;
    struct slot *s = g->owner;
    if (g->is_queued)
        return;
    g->is_queued = true;
    if (g->is_lengthy) {
        list_push_back(&s->lengthy, &g->link);
        schedule_add(&w->lengthy, &s->lengthy_share);
    } else {
        list_push_back(&s->fresh, &g->link);
        slot_awake(s);
    }
    loop_again(&w->loop);
}

/* ---- tasks ---- */

void turn_enqueue(struct worker *w, struct task *t)
{
    struct slot *s = t->slot;
    t->since_ms = loop_now_ms(&w->loop);
    list_push_back(&s->tasks, &t->link);
    s->waiting_len += !t->is_patient;
    w->waiting_len += !t->is_patient;
    w->tasks_len++;
    slot_awake(s);
    loop_again(&w->loop);
}

static void unstall_due(struct timer *t);

static void task_out(struct task *t)
{
    list_remove(&t->link);
    t->slot->waiting_len -= !t->is_patient;
    t->slot->worker->waiting_len -= !t->is_patient;
    t->slot->worker->tasks_len--;
}

void turn_withdraw(struct task *t)
{
    if (list_is_linked(&t->link))
        task_out(t);
}

/* Looked at again when an isolate of this thread is free, and now and then, since memory may be
 * given back by other threads. */
static void slot_stall(struct slot *s)
{
    struct worker *w = s->worker;
    s->is_stalled = true;
    list_push_back(&w->stalled, &s->stalled);
    if (!timer_is_running(&w->unstall))
        timer_start(&w->loop, &w->unstall, UNSTALL_MS, unstall_due);
}

/* Who has waited so long is told instead of kept. */
static void refuse_late(struct slot *s)
{
    uint64_t now = loop_now_ms(&s->worker->loop);
    for (struct list *n = s->tasks.next, *next; n != &s->tasks; n = next) {
        struct task *t = container_of(n, struct task, link);
        next = n->next;
        if (t->is_patient || now - t->since_ms < TASK_WAIT_MS)
            continue;
        struct error e;
        task_out(t);
        error_set(&e, ERR_OVERLOAD, "no isolate was free for %d ms", TASK_WAIT_MS);
        error_hint(&e, "try again later; the function, or all together, hold too much at once: see "
                       "--isolates-max and --memory-max");
        metric_add(&s->worker->metrics.overloads, 1);
        t->refuse(t, &e);
        next = s->tasks.next; /* whatever the refusal led to */
    }
}

/* An isolate is free, or may be. */
static void unstall(struct worker *w)
{
    struct list *n;
    if (list_is_empty(&w->stalled))
        return;
    while ((n = list_pop_front(&w->stalled))) {
        struct slot *s = container_of(n, struct slot, stalled);
        s->is_stalled = false;
        if (!list_is_empty(&s->tasks))
            slot_awake(s);
    }
    loop_again(&w->loop);
}

static void unstall_due(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, unstall);
    LIST_FOREACH (n, &w->stalled)
        refuse_late(container_of(n, struct slot, stalled));
    unstall(w);
}

static void start_task(struct slot *s)
{
    struct worker *w = s->worker;
    struct task *t = container_of(s->tasks.next, struct task, link);
    struct error e;
    struct guest *g = slot_take(s, t, &e);
    if (!g && e.code == ERR_OVERLOAD) {
        slot_stall(s);
        return;
    }
    task_out(t);
    if (!g) {
        t->refuse(t, &e);
        return;
    }
    s->requests++;
    if (!t->start(t, g))
        return;
    list_remove(
        &g->link); /* out of the fresh list: it runs now, while its pages are in the cache */
    run_guest(w, g);
}

static struct slot *most_waiting(struct worker *w)
{
    struct slot *most = NULL;
    LIST_FOREACH (n, &w->stalled) {
        struct slot *s = container_of(n, struct slot, stalled);
        if (!most || s->waiting_len > most->waiting_len)
            most = s;
    }
    return most && most->waiting_len > 0 ? most : NULL;
}

/* No isolate is free and more wait than may: the newest of who has most waiting are turned away. */
static void shed_load(struct worker *w)
{
    struct slot *s;
    while (w->waiting_len > w->waiting_max && (s = most_waiting(w))) {
        struct list *n = s->tasks.prev;
        while (container_of(n, struct task, link)->is_patient)
            n = n->prev;
        struct task *t = container_of(n, struct task, link);
        struct error e;
        task_out(t);
        error_set(&e, ERR_OVERLOAD,
                  "all %u isolates of this thread are busy and %u requests wait already",
                  w->guests_max, w->waiting_max);
        error_hint(&e, "try again later, or raise --isolates-max or --queue-max");
        metric_add(&w->metrics.overloads, 1);
        t->refuse(t, &e);
    }
}

/* ---- running ---- */

/* One guest or task of the slot. */
static void run_slot(struct slot *s)
{
    struct list *n = list_pop_front(&s->fresh);
    if (n)
        run_guest(s->worker, container_of(n, struct guest, link));
    else if (!list_is_empty(&s->tasks) && !s->is_stalled)
        start_task(s);
    else
        schedule_remove(&s->fresh_share);
}

/* What the slot has run is paid before it may go away. */
static uint64_t spend(struct slot *s, struct schedule *from, struct share *share, uint64_t since_ns)
{
    uint64_t now = clock_monotonic_ns();
    schedule_spent(from, share, now - since_ns);
    s->cpu_ns += now - since_ns;
    s->invocations--;
    slot_release(s);
    return now;
}

/* True: they have used up the turn's time. */
static bool run_fresh(struct worker *w)
{
    struct share *share;
    uint64_t start = clock_monotonic_ns(), now = start;
    for (int k = 0; k < TURN_FRESH_MAX && now - start < TURN_NS; k++) {
        if (!(share = schedule_next(&w->fresh)))
            return false;
        struct slot *s = container_of(share, struct slot, fresh_share);
        s->invocations++; /* keeps it */
        run_slot(s);
        now = spend(s, &w->fresh, share, now);
    }
    return now - start >= TURN_NS;
}

static void run_lengthy(struct worker *w)
{
    struct share *share;
    while ((share = schedule_next(&w->lengthy))) {
        struct slot *s = container_of(share, struct slot, lengthy_share);
        struct list *n = list_pop_front(&s->lengthy);
        if (list_is_empty(&s->lengthy))
            schedule_remove(share);
        if (!n)
            continue;
        uint64_t start = clock_monotonic_ns();
        s->invocations++;
        run_guest(w, container_of(n, struct guest, link));
        (void)spend(s, &w->lengthy, share, start);
        return;
    }
}

void turn_run(void *arg)
{
    struct worker *w = arg;
    bool is_used_up = run_fresh(w);
    if (!list_is_empty(&w->stalled)) {
        flow_reclaim(w->flow);
        shed_load(w);
    }
    w->owes_lengthy = is_used_up && !w->owes_lengthy; /* sockets first, but every other turn */
    if (!w->owes_lengthy)
        run_lengthy(w);
    if (!schedule_is_empty(&w->fresh) || !schedule_is_empty(&w->lengthy))
        loop_again(&w->loop);
}

/* ---- after a step ---- */

void turn_give_back(struct worker *w, struct guest *g)
{
    struct slot *s = g->owner;
    if (!slot_give(s, g))
        return;
    unstall(w);
    slot_release(s);
}

static void guest_died(struct worker *w, struct guest *g)
{
    struct slot *s = g->owner;
    metric_add(&w->metrics.guest_deaths, 1);
    if (s->resident == g)
        s->resident = NULL; /* the next request gets a new one */
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "the module's isolate was ended");
    guest_end(g, &e);
    turn_give_back(w, g);
}

static void run_guest(struct worker *w, struct guest *g)
{
    g->is_queued = false;
    if (g->durable && activation_is_standing(g))
        return; /* whatever has happened waits, too */
    struct witness *witness = w->server->witness;
    unsigned thread = (unsigned)w->index;
    uint32_t slot = g->durable ? activation_witness(g) : WITNESS_FUNCTION;
    witness_step(witness, thread, slot, loop_now_ms(&w->loop));
    if (g->durable)
        store_expect(w->server->store); /* it may be awake when there is something to commit */
    enum guest_status status = guest_step(g);
    witness_step(witness, thread, WITNESS_NOTHING, loop_now_ms(&w->loop));
    g->is_lengthy = status == GUEST_AGAIN; /* also if it stands still now, for a commit */
    if (g->durable && status != GUEST_AGAIN) {
        activation_stepped(g, status);
        return;
    }
    if (g->actor && status != GUEST_AGAIN) {
        if (status == GUEST_DEAD) {
            list_remove(&g->link); /* it may have reported itself meanwhile */
            g->is_queued = false;
        }
        actor_stepped(g, status);
        return;
    }
    switch (status) {
    case GUEST_AGAIN:
        list_remove(&g->link); /* it may have reported itself meanwhile */
        if (g->durable && !activation_may_go_on(g)) {
            g->is_queued = false;
            break;
        }
        g->is_queued = true;
        list_push_back(&((struct slot *)g->owner)->lengthy, &g->link);
        schedule_add(&w->lengthy, &((struct slot *)g->owner)->lengthy_share);
        break;
    case GUEST_WAITS:
        break;
    case GUEST_FINISHED:
        if (!g->is_queued)
            turn_give_back(w, g);
        break;
    case GUEST_DEAD:
        list_remove(&g->link); /* likewise */
        g->is_queued = false;
        guest_died(w, g);
        break;
    }
}
