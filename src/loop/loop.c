/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop around uv_run(). libuv goes round in the order timers, idle, prepare, poll (sleeps, then
 * runs I/O, posts and finished work), closing. The turn hook sits in prepare: whatever ran since
 * the last sleep, be it a timer, an event of the poll before or a close callback, the hook runs
 * once after all of it and before the next sleep. loop_again() starts the idle handle, whose only
 * meaning to libuv is "do not sleep"; the next prepare stops it.
 *
 * uv_run() leaves right after the poll in which it was told to stop, so loop_run() itself runs the
 * hook for that last batch. */
#include "loop/loop.h"

#include <sched.h>

#include "base/check.h"
#include "loop/internal.h"

static void loop_turn(struct loop *l)
{
    if (l->on_turn)
        l->on_turn(l->on_turn_arg);
}

static void loop_on_prepare(uv_prepare_t *handle)
{
    struct loop *l = container_of(handle, struct loop, prepare);
    (void)uv_idle_stop(&l->idle); /* never fails */
    loop_turn(l);
    timers_arm(l); /* last, since the hook starts timers too */
}

static void loop_on_idle(uv_idle_t *handle)
{
    (void)handle; /* that it is there keeps the loop from sleeping */
}

static void loop_on_wake(uv_async_t *handle)
{
    struct loop *l = container_of(handle, struct loop, wake);
    /* Read before the posts are taken: what was posted before the stop is then among them. */
    bool is_stopping = __atomic_load_n(&l->is_stopping, __ATOMIC_ACQUIRE);
    if (posts_deliver(l, is_stopping))
        loop_wake(l);
    if (is_stopping)
        uv_stop(&l->uv);
}

void loop_wake(struct loop *l)
{
    if (!__atomic_load_n(&l->is_closed, __ATOMIC_SEQ_CST))
        CHECK(uv_async_send(&l->wake) == 0);
}

/* loop_done() sets is_closed and then waits for posters to be 0. Either it sees us inside, or we
 * see that it is closed; both sides need one total order for that. The count also holds the loop's
 * memory for a thread whose message, or stop, has ended the loop before the call returned. */
void loop_enter(struct loop *l)
{
    __atomic_add_fetch(&l->posters, 1, __ATOMIC_SEQ_CST);
}

void loop_leave(struct loop *l)
{
    __atomic_sub_fetch(&l->posters, 1, __ATOMIC_SEQ_CST);
}

void loop_init(struct loop *l)
{
    *l = (struct loop){0};
    int status = uv_loop_init(&l->uv);
    if (status < 0)
        check_fatal("cannot make an event loop: %s", uv_strerror(status));
    l->uv.data = l;
    status = uv_async_init(&l->uv, &l->wake, loop_on_wake);
    if (status < 0)
        check_fatal("cannot make an event loop's wake-up: %s", uv_strerror(status));
    CHECK(uv_prepare_init(&l->uv, &l->prepare) == 0);
    CHECK(uv_prepare_start(&l->prepare, loop_on_prepare) == 0);
    CHECK(uv_idle_init(&l->uv, &l->idle) == 0);
    timers_init(l);
    posts_init(l);
}

void loop_run(struct loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* what is left alive is no news: wake always is */
    loop_turn(l);
    __atomic_store_n(&l->is_stopping, false, __ATOMIC_RELEASE);
}

void loop_stop(struct loop *l)
{
    loop_enter(l);
    __atomic_store_n(&l->is_stopping, true, __ATOMIC_RELEASE);
    loop_wake(l);
    loop_leave(l);
}

void loop_expect(struct loop *l)
{
    l->expected++;
}

void loop_arrived(struct loop *l)
{
    CHECK(l->expected > 0);
    l->expected--;
}

void loop_done(struct loop *l)
{
    l->on_turn = NULL; /* what the turn works on may be gone */
    while (l->expected > 0)
        (void)uv_run(&l->uv, UV_RUN_ONCE);
    __atomic_store_n(&l->is_stopping, false, __ATOMIC_RELEASE); /* by one of these */
    __atomic_store_n(&l->is_closed, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&l->posters, __ATOMIC_SEQ_CST))
        (void)sched_yield(); /* another thread is about to leave loop_post() */
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    timers_done(l);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    if (uv_loop_close(&l->uv) < 0)
        check_fatal("an event loop ended while handles that nobody closed are left in it");
}

bool loop_deliver_late(struct loop *l)
{
    bool is_any = l->ready || __atomic_load_n(&l->posts, __ATOMIC_ACQUIRE);
    (void)posts_deliver(l, true);
    return is_any;
}

void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->on_turn = fn;
    l->on_turn_arg = arg;
}

void loop_again(struct loop *l)
{
    (void)uv_idle_start(&l->idle,
                        loop_on_idle); /* harmless if started; fails only without a callback */
}

uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}
