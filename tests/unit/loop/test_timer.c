/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "loop/post.h"

static struct loop loop;
static struct bytes fired; /* names of what fired, in order */

struct named {
    struct timer timer;
    char name;
    uint64_t least_ns; /* not to fire before */
};

static void assert_heap_sane(void)
{
    for (size_t i = 0; i < loop.timers_len; i++) {
        assert_int_equal(loop.timers[i]->heap_pos, i + 1);
        if (i)
            assert_true(loop.timers[(i - 1) / 2]->due_ms <= loop.timers[i]->due_ms);
    }
}

static void on_named(struct timer *t)
{
    struct named *n = container_of(t, struct named, timer);
    assert_false(timer_is_running(t));
    assert_true(clock_monotonic_ns() >= n->least_ns);
    assert_heap_sane();
    bytes_append_char(&fired, n->name);
}

static void on_stop(struct timer *t)
{
    (void)t;
    loop_stop(&loop);
}

static void start(struct named *n, char name, uint64_t delay_ms)
{
    n->name = name;
    n->least_ns = clock_monotonic_ns() + delay_ms * 1000000;
    timer_start(&loop, &n->timer, delay_ms, on_named);
    assert_true(timer_is_running(&n->timer));
    assert_heap_sane();
}

static int set_up(void **state)
{
    loop_init(&loop);
    bytes_clear(&fired);
    return 0;
}

static int tear_down(void **state)
{
    loop_done(&loop);
    bytes_done(&fired);
    return 0;
}

static void run_ms(uint64_t ms)
{
    struct timer end = {0};
    timer_start(&loop, &end, ms, on_stop);
    loop_run(&loop);
}

static void fires_in_order(void **state)
{
    struct named a = {0}, b = {0}, c = {0}, d = {0};
    start(&c, 'c', 12);
    start(&a, 'a', 0);
    start(&d, 'd', 12); /* c's time: in the order of starting */
    start(&b, 'b', 4);
    d.timer.due_ms = c.timer.due_ms;
    d.least_ns = c.least_ns;
    run_ms(20);
    assert_string_equal(bytes_cstr(&fired), "abcd");
    assert_int_equal(loop.timers_len, 0);
}

static void stops_and_restarts(void **state)
{
    struct named a = {0}, b = {0}, c = {0};
    start(&a, 'a', 1);
    start(&b, 'b', 2);
    start(&c, 'c', 3);
    timer_stop(&loop, &a.timer);
    timer_stop(&loop, &a.timer);
    assert_false(timer_is_running(&a.timer));
    start(&b, 'b', 9);
    run_ms(15);
    assert_string_equal(bytes_cstr(&fired), "cb");
}

static struct named victim;

static void on_killer(struct timer *t)
{
    (void)t;
    bytes_append_char(&fired, 'k');
    timer_stop(&loop, &victim.timer);
}

static void stops_one_that_is_due_too(void **state)
{
    struct timer killer = {0};
    timer_start(&loop, &killer, 1, on_killer);
    start(&victim, 'v', 1);
    run_ms(5);
    assert_string_equal(bytes_cstr(&fired), "k");
}

static int restarts_left;

static void on_restart(struct timer *t)
{
    if (--restarts_left > 0)
        timer_start(&loop, t, 0, on_restart);
    else
        loop_stop(&loop);
}

static int turns;

static void count_turn(void *arg)
{
    (void)arg;
    turns++;
}

static void restart_without_delay_waits_a_turn(void **state)
{
    struct timer t = {0};
    restarts_left = 50;
    turns = 0;
    loop_on_turn(&loop, count_turn, NULL);
    timer_start(&loop, &t, 0, on_restart);
    loop_run(&loop);
    assert_int_equal(restarts_left, 0);
    assert_true(turns >= 50);
}

static void start_in_turn(void *arg)
{
    struct timer *t = arg;
    if (turns++ == 0)
        timer_start(&loop, t, 1, on_stop);
}

static void turn_may_start_timers(void **state)
{
    struct timer t = {0};
    turns = 0;
    loop_on_turn(&loop, start_in_turn, &t);
    loop_run(&loop); /* would sleep for ever if the timer came too late for this sleep */
    assert_false(timer_is_running(&t));
}

static void keeps_its_heap(void **state)
{
    enum { COUNT = 500 };
    static struct named many[COUNT];
    uint64_t seed = 7;
    for (int step = 0; step < 5000; step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        struct named *n = &many[(seed >> 33) % COUNT];
        if (seed >> 62)
            timer_start(&loop, &n->timer, 1000 + (seed >> 20) % 100000, on_named);
        else
            timer_stop(&loop, &n->timer);
        if (step % 50 == 0)
            assert_heap_sane();
    }
    uint64_t last = 0;
    while (loop.timers_len) {
        assert_true(loop.timers[0]->due_ms >= last);
        last = loop.timers[0]->due_ms;
        timer_stop(&loop, loop.timers[0]);
    }
    struct named never = {0};
    timer_start(&loop, &never.timer, UINT64_MAX, on_named);
    run_ms(1);
    assert_true(timer_is_running(&never.timer));
    timer_stop(&loop, &never.timer);
}

/* ---- a thread that could not run ---- */

static struct {
    struct named timeout;
    struct post stall, answer;
    bool is_answered;
} stalled;

static void on_answer(struct post *p)
{
    (void)p;
    stalled.is_answered = true;
}

/* The answer comes while the thread stands still for longer than the time-out. */
static void on_stall(struct post *p)
{
    (void)p;
    loop_post(&loop, &stalled.answer);
    uint64_t end = clock_monotonic_ns() + UINT64_C(300) * 1000000;
    while (clock_monotonic_ns() < end)
        ;
}

/* Answers are dealt with in the turn, as the server does. */
static void on_turn(void *arg)
{
    (void)arg;
    if (!stalled.is_answered)
        return;
    stalled.is_answered = false;
    timer_stop(&loop, &stalled.timeout.timer);
    loop_stop(&loop);
}

static void an_answer_goes_before_a_late_timeout(void **state)
{
    (void)state;
    stalled.stall.fn = on_stall;
    stalled.answer.fn = on_answer;
    loop_on_turn(&loop, on_turn, NULL);
    start(&stalled.timeout, 't', 20);
    loop_post(&loop, &stalled.stall);
    loop_run(&loop);
    assert_int_equal(fired.len, 0);
}

/* Nothing came: it fires all the same. */
static void on_only_stall(struct post *p)
{
    on_stall(p);
    stalled.is_answered = false;
}

static void a_late_timer_fires(void **state)
{
    (void)state;
    struct timer end = {0};
    stalled.stall.fn = on_only_stall;
    stalled.answer.fn = on_only_stall; /* once more */
    start(&stalled.timeout, 't', 20);
    timer_start(&loop, &end, 30, on_stop);
    loop_post(&loop, &stalled.stall);
    loop_run(&loop);
    assert_int_equal(fired.len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fires_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_and_restarts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_one_that_is_due_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restart_without_delay_waits_a_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(turn_may_start_timers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_its_heap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_goes_before_a_late_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_timer_fires, set_up, tear_down),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("loop/timer", tests, NULL, NULL);
}
