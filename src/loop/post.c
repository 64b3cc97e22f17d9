/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages between threads: senders push onto a lock-free stack, and the one that finds it empty
 * wakes the loop; the loop takes the whole stack with one exchange and turns it round, so each
 * sender's messages come in its order. The loop delivers POSTS_PER_WAKE of them and then lets other
 * events and the turn have their go; the rest waits in `ready`, which only the loop's thread
 * touches.
 *
 * A message belongs to the sender until it is on the stack and is never looked at again by the
 * sender afterwards: fn may free it at once, even before loop_post() returns. No ABA problem, since
 * nobody pops single nodes. */
#include "loop/post.h"

#include "base/check.h"
#include "loop/internal.h"
#include "loop/loop.h"

enum { POSTS_PER_WAKE = 256 };

void posts_init(struct loop *l)
{
    l->ready_end = &l->ready;
}

void loop_post(struct loop *target, struct post *p)
{
    loop_enter(target);
    struct post *head = __atomic_load_n(&target->posts, __ATOMIC_RELAXED);
    do
        p->next = head;
    while (!__atomic_compare_exchange_n(&target->posts, &head, p, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    if (!head)
        loop_wake(target);
    loop_leave(target);
}

/* Moves everything posted so far to the end of `ready`, oldest first. */
static void posts_take(struct loop *l)
{
    struct post *newest = __atomic_exchange_n(&l->posts, NULL, __ATOMIC_ACQUIRE);
    if (!newest)
        return;
    struct post *first = NULL;
    for (struct post *p = newest; p;) {
        struct post *older = p->next;
        p->next = first;
        first = p;
        p = older;
    }
    *l->ready_end = first;
    l->ready_end = &newest->next;
}

bool posts_deliver(struct loop *l, bool is_all)
{
    posts_take(l);
    for (size_t n = 0; l->ready && (is_all || n < POSTS_PER_WAKE); n++) {
        struct post *p = l->ready;
        l->ready = p->next;
        if (!l->ready)
            l->ready_end = &l->ready;
        p->fn(p); /* p may be gone now */
    }
    return l->ready != NULL;
}
