/* SPDX-License-Identifier: Apache-2.0
 *
 * One event loop, owned and run by one thread, over libuv. Beside libuv's own handles it has a turn
 * hook: after each batch of events (I/O, timers, posts, finished work) and before the loop sleeps,
 * the hook runs once. Events enqueue, the hook runs (see server/turn.c).
 *
 * All functions are for the loop's own thread, except loop_post() (loop/post.h) and loop_stop(). */
#pragma once

#include <uv.h>

#include "base/list.h"

struct post;
struct timer;

struct loop {
    uv_loop_t uv; /* for http/ and other users of libuv handles; its data field is this loop */
    /* private */
    struct timer **timers; /* binary heap by due time */
    size_t timers_len, timers_cap;
    uint64_t timers_seq;   /* of the timer started last */
    uint64_t timers_armed; /* when timer_handle fires, 0: it does not */
    unsigned timers_grace; /* turns that late timers have left to I/O */
    uv_timer_t timer_handle;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_async_t wake;
    struct post *posts; /* atomic stack of posted messages, newest first */
    struct post *ready; /* taken from it, oldest first; of this thread alone */
    struct post **ready_end;
    unsigned posters;  /* atomic: threads inside loop_post() or loop_stop() */
    unsigned expected; /* messages that others have promised, of this thread alone */
    void (*on_turn)(void *arg);
    void *on_turn_arg;
    bool is_stopping; /* atomic */
    bool is_closed;   /* atomic: nobody may touch wake any more */
};

void loop_init(struct loop *l);
/* Runs until loop_stop(). Posted messages that came before the stop are delivered. */
void loop_run(struct loop *l);
/* Any thread. */
void loop_stop(struct loop *l);
/* Another thread will post a message, whatever happens: until loop_arrived(), which its fn calls,
 * the loop's memory is needed, and loop_done() waits for it. */
void loop_expect(struct loop *l);
void loop_arrived(struct loop *l);
/* Delivers what is expected, then closes the loop's own handles and runs until every handle of others is closed too; those must
 * have been asked to close before. */
void loop_done(struct loop *l);
/* After its thread has ended, by whoever is left: delivers what others have posted too late. False: there
 * was nothing. */
bool loop_deliver_late(struct loop *l);
void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg);
/* Asks for one more turn without sleeping in between: there is more runnable work than the budget.
 */
void loop_again(struct loop *l);
/* Monotonic milliseconds, as of the start of this turn (cheap). */
uint64_t loop_now_ms(const struct loop *l);
