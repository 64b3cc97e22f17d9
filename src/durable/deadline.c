/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap of calls that something will happen to by itself: timers, time-outs of events and of
 * attempts, next attempts. Ordered by (due, id), so that after a long pause things happen in the
 * order in which they should have. Used only when live: while replaying, setting a deadline just
 * notes it in the call, and going live puts those that are still pending into the heap.
 *
 * Invariant: heap[c->heap_at] == c for every call in it; heap_at 0 means not in it. */
#include <stdlib.h>

#include "durable/internal.h"

static bool is_before(const struct call *a, const struct call *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->by_id.key < b->by_id.key;
}

static void heap_put(struct execution *x, size_t at, struct call *c)
{
    x->heap[at] = c;
    c->heap_at = at;
}

static void heap_sift(struct execution *x, size_t at, struct call *c)
{
    for (; at > 1 && is_before(c, x->heap[at / 2]); at /= 2)
        heap_put(x, at, x->heap[at / 2]);
    for (size_t child; (child = 2 * at) <= x->heap_len; at = child) {
        if (child < x->heap_len && is_before(x->heap[child + 1], x->heap[child]))
            child++;
        if (!is_before(x->heap[child], c))
            break;
        heap_put(x, at, x->heap[child]);
    }
    heap_put(x, at, c);
}

void deadline_drop(struct execution *x, struct call *c)
{
    const size_t at = c->heap_at;
    c->due_us = EXECUTION_NEVER;
    if (at == 0)
        return;
    c->heap_at = 0;
    struct call *last = x->heap[x->heap_len--];
    if (last != c)
        heap_sift(x, at, last);
}

void deadline_set(struct execution *x, struct call *c, int64_t due_us)
{
    deadline_drop(x, c);
    c->due_us = due_us;
    if (due_us == EXECUTION_NEVER || !execution_is_live(x))
        return;
    if (x->heap_len + 2 > x->heap_cap) {
        const size_t cap = x->heap_cap ? x->heap_cap * 2 : 8;
        struct call **heap = realloc(x->heap, cap * sizeof(struct call *));
        if (!heap)
            check_out_of_memory(cap * sizeof(struct call *));
        x->heap = heap;
        x->heap_cap = cap;
    }
    heap_sift(x, ++x->heap_len, c);
}

int64_t deadline_first(const struct execution *x)
{
    return x->heap_len ? x->heap[1]->due_us : EXECUTION_NEVER;
}

static void deadline_hit(struct execution *x, struct call *c)
{
    switch (c->kind) {
    case EXECUTION_TIMER:
        call_arrive(x, c, OK, SLICE_EMPTY);
        break;
    case EXECUTION_STEP:
        step_due(x, c);
        break;
    case EXECUTION_EVENT:
        event_due(x, c);
        break;
    case EXECUTION_EXTERNAL:
    case EXECUTION_CHILD_RESULT:
        CHECK(false); /* these never have one */
    }
}

void deadline_fire(struct execution *x)
{
    if (x->heap_len == 0)
        return;
    const int64_t now_us = x->port->now_us(x->port->ctx);
    while (x->heap_len && x->heap[1]->due_us <= now_us) {
        struct call *c = x->heap[1];
        const int64_t due_us = c->due_us;
        deadline_drop(x, c);
        c->due_us = due_us; /* event_due() compares */
        deadline_hit(x, c);
    }
}
