/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn: the one place where guests run. Events (bytes, completions, timers, messages) only
 * queue guests; once per batch of events turn_run() runs them:
 *
 *   1. every fresh guest, each until it waits, is finished, or has used up its slice;
 *   2. one slice of one lengthy guest, so that a guest that computes for long costs its neighbors
 * at most one slice of latency, however many such guests there are.
 *
 * Answers leave from inside step 1 and 2 through the guest's output gate (host/guest.c), which
 * holds back what depends on a commit that is not on disk. */
#include "server/turn.h"

#include <stdlib.h>

#include "host/sql.h"
#include "http/server.h"
#include "server/run.h"

enum { TURN_FRESH_MAX = 256 /* then sockets get their turn */, SLOT_IDLE_MAX = 256 };

static void run_guest(struct worker *w, struct guest *g);

void turn_runnable(void *ctx, struct guest *g)
{
    struct worker *w = ctx;
    if (g->is_queued)
        return;
    g->is_queued = true;
    list_push_back(&w->fresh, &g->link);
    loop_again(&w->loop);
}

/* Starts the oldest task. False: no isolate is free. */
static bool start_task(struct worker *w)
{
    struct task *t = container_of(w->waiting.next, struct task, link);
    struct error e;
    struct guest *g = turn_take(t->slot, &e);
    if (!g && e.code == ERR_OVERLOAD)
        return false;
    list_remove(&t->link);
    w->waiting_len -= !t->is_patient;
    if (!g) {
        t->refuse(t, &e);
        return true;
    }
    if (!t->start(t, g))
        return true;
    list_remove(
        &g->link); /* out of the fresh list: it runs now, while its pages are in the cache */
    run_guest(w, g);
    return true;
}

/* No isolate is free and more wait than may: the newest are turned away. */
static void shed_load(struct worker *w)
{
    for (struct list *n = w->waiting.prev, *before; w->waiting_len > w->waiting_max; n = before) {
        struct task *t = container_of(n, struct task, link);
        struct error e;
        before = n->prev;
        if (t->is_patient)
            continue;
        list_remove(&t->link);
        w->waiting_len--;
        error_set(&e, ERR_OVERLOAD,
                  "all %u isolates of this thread are busy and %u requests wait already",
                  w->guests_max, w->waiting_max);
        error_hint(&e, "try again later, or raise --isolates-max or --queue-max");
        metric_add(&w->metrics.overloads, 1);
        t->refuse(t, &e);
    }
}

void turn_run(void *arg)
{
    struct worker *w = arg;
    struct list *n;
    int budget = TURN_FRESH_MAX;
    bool is_free = true;
    while (budget-- > 0 && (n = list_pop_front(&w->fresh)))
        run_guest(w, container_of(n, struct guest, link));
    while (budget-- > 0 && is_free && !list_is_empty(&w->waiting))
        is_free = start_task(w);
    if (!is_free) {
        runs_reclaim(w->runs);
        shed_load(w);
    }
    if ((n = list_pop_front(&w->lengthy)))
        run_guest(w, container_of(n, struct guest, link));
    if (!list_is_empty(&w->fresh) || !list_is_empty(&w->lengthy) ||
        (is_free && !list_is_empty(&w->waiting)))
        loop_again(&w->loop);
}

/* ---- isolates ---- */

static void drop_guest(struct slot *s, struct guest *g)
{
    s->guests--;
    s->worker->guests_len--;
    list_remove(&g->member);
    guest_free(g);
}

static void guest_finished(struct worker *w, struct guest *g)
{
    struct slot *s = g->owner;
    if (s->resident == g && s->is_routed)
        return; /* stays for the next request */
    if (s->resident == g)
        s->resident = NULL;
    guest_end(g, NULL);
    list_remove(&g->link); /* whatever it reported last is void now */
    g->is_queued = false;
    bool keep = s->is_routed && !s->deployment->is_module_isolation && s->idle_len < SLOT_IDLE_MAX;
    if (keep && guest_recycle(g)) {
        list_push_front(&s->idle, &g->link);
        s->idle_len++;
        w->idle_len++;
    } else {
        drop_guest(s, g);
    }
    if (!list_is_empty(&w->waiting))
        loop_again(&w->loop);
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
    guest_finished(w, g);
}

static void run_guest(struct worker *w, struct guest *g)
{
    g->is_queued = false;
    enum guest_status status = guest_step(g);
    if (g->durable && status != GUEST_AGAIN) {
        run_stepped(g, status);
        return;
    }
    switch (status) {
    case GUEST_AGAIN:
        list_remove(&g->link); /* it may have reported itself meanwhile */
        g->is_queued = true;
        list_push_back(&w->lengthy, &g->link);
        break;
    case GUEST_WAITS:
        break;
    case GUEST_FINISHED:
        if (!g->is_queued)
            guest_finished(w, g);
        break;
    case GUEST_DEAD:
        list_remove(&g->link); /* likewise */
        g->is_queued = false;
        guest_died(w, g);
        break;
    }
}

/* A guest for the slot: resident, idle, or new. NULL with code OK: the limit is reached, wait. */
static struct guest *take_guest(struct slot *s, struct error *ret_error)
{
    struct worker *w = s->worker;
    if (s->resident)
        return s->resident;
    struct list *n = list_pop_front(&s->idle);
    if (n) {
        w->idle_len--;
        if (--s->idle_len < s->idle_min)
            s->idle_min = s->idle_len;
        return container_of(n, struct guest, link);
    }
    if (w->guests_len >= w->guests_max)
        return NULL;
    struct guest *g;
    if (guest_new(&w->host, s->deployment, &g, ret_error) != OK)
        return NULL;
    g->owner = s;
    list_push_back(&s->all, &g->member);
    s->guests++;
    w->guests_len++;
    if (s->deployment->is_module_isolation)
        s->resident = g;
    return g;
}

/* Idle guests of other slots hold memory and count: give one up for who needs it. */
static bool reclaim_idle(struct worker *w)
{
    LIST_FOREACH (n, &w->slots) {
        struct slot *s = container_of(n, struct slot, link);
        struct list *idle = list_pop_front(&s->idle);
        if (!idle)
            continue;
        s->idle_len--;
        w->idle_len--;
        drop_guest(s, container_of(idle, struct guest, link));
        return true;
    }
    return false;
}

struct guest *turn_take(struct slot *s, struct error *ret_error)
{
    struct worker *w = s->worker;
    ret_error->code = OK;
    struct guest *g = take_guest(s, ret_error);
    if (!g && ret_error->code == OK && reclaim_idle(w))
        g = take_guest(s, ret_error);
    if (!g && ret_error->code == OK) {
        error_set(ret_error, ERR_OVERLOAD, "all %u isolates of this thread are busy",
                  w->guests_max);
        error_hint(ret_error, "try again later, or raise --isolates-max or --queue-max");
    }
    return g;
}

void turn_enqueue(struct worker *w, struct task *t)
{
    list_push_back(&w->waiting, &t->link);
    w->waiting_len += !t->is_patient;
    loop_again(&w->loop);
}

void turn_give_back(struct worker *w, struct guest *g)
{
    guest_finished(w, g);
}

/* ---- slots ---- */

static void drop_idle(struct slot *s, unsigned n)
{
    while (n-- > 0 && s->idle_len > 0) {
        struct guest *g = container_of(s->idle.prev, struct guest, link);
        list_remove(&g->link);
        s->idle_len--;
        s->worker->idle_len--;
        drop_guest(s, g);
    }
}

void slot_release(struct slot *s)
{
    if (s->is_routed || s->guests > 0 || s->invocations > 0)
        return;
    list_remove(&s->link);
    sql_conn_close(s->sql);
    sql_file_unref(s->sql_file);
    deployment_unref(s->deployment);
    free(s);
}

void slot_retire(struct slot *s)
{
    s->is_routed = false;
    drop_idle(s, s->idle_len);
    struct guest *g = s->resident;
    if (g && !guest_has_work(g) && !g->is_queued) {
        s->resident = NULL;
        guest_end(g, NULL);
        drop_guest(s, g);
    }
    slot_release(s);
}

/* Gives back isolates that no load since the last trim has needed; keeps one warm. */
void slot_trim(struct slot *s)
{
    unsigned spare = s->idle_min;
    if (spare == s->guests && spare > 0)
        spare--;
    drop_idle(s, spare);
    s->idle_min = s->idle_len;
}

void slot_abandon(struct slot *s)
{
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "the server is stopping");
    s->invocations++; /* keeps the slot while its last users go */
    s->resident = NULL;
    LIST_FOREACH (n, &s->all) {
        struct guest *g = container_of(n, struct guest, member);
        guest_end(g, &e);
        list_remove(&g->link);
        drop_guest(s, g);
    }
    s->worker->idle_len -= s->idle_len;
    s->idle_len = 0;
    s->invocations--;
    slot_release(s);
}
