/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap of pointers to the callers' nodes. Starting and stopping touch only the heap:
 * libuv's timer is set once per turn, before the loop sleeps, and is left alone when it fires too
 * early, which costs a wake-up now and then and saves one heap of libuv's from every restarted idle
 * timeout.
 *
 * Invariants: timers[i]->heap_pos == i + 1; no timer is due before its parent (by due_ms, then
 * seq). A timer started while timers fire waits for the next turn, so that one that restarts itself
 * with no delay cannot keep I/O from running. When timers are late because the thread could not
 * run, I/O has its turn first: a time-out is not for what was answered in time. Loop thread only.
 */
#include "loop/timer.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "loop/internal.h"
#include "loop/loop.h"

enum {
    TIMERS_FIRST_CAP = 64,
    TIMERS_STALL_MS = 100, /* so late a timer is because this thread could not run */
    TIMERS_GRACE_TURNS = 2,
};

static bool timer_is_before(const struct timer *a, const struct timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->seq < b->seq;
}

static void timers_set(struct loop *l, size_t i, struct timer *t)
{
    l->timers[i] = t;
    t->heap_pos = i + 1;
}

/* t belongs at i or above it. */
static void timers_sift_up(struct loop *l, size_t i, struct timer *t)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!timer_is_before(t, l->timers[parent]))
            break;
        timers_set(l, i, l->timers[parent]);
        i = parent;
    }
    timers_set(l, i, t);
}

/* t belongs at i or below it. */
static void timers_sift_down(struct loop *l, size_t i, struct timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= l->timers_len)
            break;
        if (child + 1 < l->timers_len && timer_is_before(l->timers[child + 1], l->timers[child]))
            child++;
        if (!timer_is_before(l->timers[child], t))
            break;
        timers_set(l, i, l->timers[child]);
        i = child;
    }
    timers_set(l, i, t);
}

/* Puts t at i, where it may be out of order in either direction. */
static void timers_place(struct loop *l, size_t i, struct timer *t)
{
    if (i > 0 && timer_is_before(t, l->timers[(i - 1) / 2]))
        timers_sift_up(l, i, t);
    else
        timers_sift_down(l, i, t);
}

static void timers_reserve(struct loop *l)
{
    if (l->timers_len < l->timers_cap)
        return;
    size_t cap = l->timers_cap ? 2 * l->timers_cap : TIMERS_FIRST_CAP;
    struct timer **timers = reallocarray(l->timers, cap, sizeof(struct timer *));
    if (!timers)
        check_out_of_memory(cap * sizeof(struct timer *));
    l->timers = timers;
    l->timers_cap = cap;
}

/* The process was stopped, or had no core. What timers wait for has perhaps come meanwhile and lies
 * in the kernel: it is read in the next turn, and dealt with in the one after that. */
static bool timers_are_stalled(const struct loop *l)
{
    return l->timers_len > 0 && uv_now(&l->uv) >= l->timers[0]->due_ms + TIMERS_STALL_MS;
}

static void timers_on_due(uv_timer_t *handle)
{
    struct loop *l = container_of(handle, struct loop, timer_handle);
    const uint64_t last_seq = l->timers_seq;
    l->timers_armed = 0;
    if (timers_are_stalled(l) && l->timers_grace++ < TIMERS_GRACE_TURNS)
        return; /* timers_arm() sets it again, without a delay */
    l->timers_grace = 0;
    while (l->timers_len) {
        struct timer *t = l->timers[0];
        /* A newer one is due now at the earliest, so no older one can stand behind it. */
        if (t->due_ms > uv_now(&l->uv) || t->seq > last_seq)
            break;
        timer_stop(l, t);
        t->fn(t);
    }
}

void timers_init(struct loop *l)
{
    CHECK(uv_timer_init(&l->uv, &l->timer_handle) == 0);
}

void timers_done(struct loop *l)
{
    for (size_t i = 0; i < l->timers_len; i++)
        l->timers[i]->heap_pos = 0;
    free(l->timers);
    l->timers = NULL;
    l->timers_len = l->timers_cap = 0;
    uv_close((uv_handle_t *)&l->timer_handle, NULL);
}

void timers_arm(struct loop *l)
{
    if (l->timers_len == 0)
        return;
    uint64_t due = l->timers[0]->due_ms, now = uv_now(&l->uv);
    if (l->timers_armed && l->timers_armed <= due)
        return;
    l->timers_armed = due > now ? due : now;
    CHECK(uv_timer_start(&l->timer_handle, timers_on_due, l->timers_armed - now, 0) == 0);
}

void timer_start(struct loop *l, struct timer *t, uint64_t delay_ms, void (*fn)(struct timer *t))
{
    /* libuv's time is as old as this turn and rounded down. A delay counts from the real now,
     * rounded up; none means the next turn. */
    uint64_t from = delay_ms ? clock_monotonic_ns() / 1000000 + 1 : uv_now(&l->uv);
    if (__builtin_add_overflow(from, delay_ms, &t->due_ms))
        t->due_ms = UINT64_MAX;
    t->fn = fn;
    t->seq = ++l->timers_seq;
    if (t->heap_pos) {
        timers_place(l, t->heap_pos - 1, t);
        return;
    }
    timers_reserve(l);
    timers_sift_up(l, l->timers_len++, t);
}

void timer_stop(struct loop *l, struct timer *t)
{
    if (!t->heap_pos)
        return;
    size_t i = t->heap_pos - 1;
    CHECK(i < l->timers_len && l->timers[i] == t);
    t->heap_pos = 0;
    struct timer *last = l->timers[--l->timers_len];
    if (last != t)
        timers_place(l, i, last);
}

bool timer_is_running(const struct timer *t)
{
    return t->heap_pos != 0;
}
