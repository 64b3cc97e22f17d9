/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules one by one: what is recorded, what a replay answers, what is started when it goes live,
 * steps, signals, children, cancel. Each test is the code of a little workflow written out as the
 * calls that it makes; "crash" loses what was not stored. test_simulation.c does the same with
 * random workflows and crashes; test_execution_edges.c has what goes wrong. */
#include "world.h"

static void sync_ops_are_recorded_and_replayed(void **state)
{
    struct world *w = *state;
    assert_int_equal(execution_state(w->x), EXECUTION_IS_LIVE);
    assert_int_equal(execution_end(w->x), 1);
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    assert_sync(w, EXECUTION_LIVE, "dice", "2", "2");
    assert_int_equal(execution_end(w->x), 3);
    assert_int_equal(execution_durable(w->x), 0);
    world_commit(w);
    world_crash(w);
    assert_int_equal(execution_state(w->x), EXECUTION_REPLAYING);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    assert_sync(w, EXECUTION_REPLAYED, "dice", "6", "2");
    assert_sync(w, EXECUTION_LIVE, "dice", "1", "1");
    assert_int_equal(execution_state(w->x), EXECUTION_IS_LIVE);
}

static void what_was_not_stored_is_done_again(void **state)
{
    struct world *w = *state;
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    world_commit(w);
    assert_sync(w, EXECUTION_LIVE, "dice", "2", "2");
    world_crash(w);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    assert_sync(w, EXECUTION_LIVE, "dice", "6", "6");
}

static void the_clock_stands_while_code_runs(void **state)
{
    struct world *w = *state;
    const int64_t began = w->now_us;
    struct execution_call timer = world_call(EXECUTION_TIMER, "sleep");
    timer.delay_us = 5 * WORLD_SECOND;
    w->now_us += WORLD_SECOND; /* the code ran that long */
    assert_call(w, &timer, 1);
    assert_int_equal(execution_now_us(w->x), began);
    assert_rests(w);
    assert_int_equal(execution_wake_us(w->x), began + 5 * WORLD_SECOND);
    world_commit(w);
    w->now_us += WORLD_SECOND;
    world_crash(w); /* the deadline is where it was */
    assert_call(w, &timer, 1);
    assert_rests(w);
    assert_int_equal(execution_wake_us(w->x), began + 5 * WORLD_SECOND);
    assert_true(execution_is_idle(w->x));
    w->now_us = began + 7 * WORLD_SECOND;
    assert_false(execution_is_idle(w->x));
    const size_t runnables = w->runnables;
    execution_tick(w->x);
    assert_int_equal(w->runnables, runnables + 1);
    assert_done(w, 1, OK, "");
    assert_int_equal(execution_now_us(w->x), began + 7 * WORLD_SECOND);
    world_commit(w);
    w->now_us += 100 * (int64_t)WORLD_SECOND;
    world_crash(w);
    assert_int_equal(execution_now_us(w->x), began);
    assert_call(w, &timer, 1);
    assert_done(w, 1, OK, "");
    assert_int_equal(execution_now_us(w->x), began + 7 * WORLD_SECOND);
}

static void completions_are_replayed_in_their_order(void **state)
{
    struct world *w = *state;
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_start(w, EXECUTION_EXTERNAL, "b", 2);
    assert_diary(w, "start 1 a; start 2 b; ");
    assert_rests(w);
    execution_arrive(w->x, 2, OK, SLICE_LIT("B"));
    execution_arrive(w->x, 1, ERR_NETWORK, SLICE_LIT("lost"));
    execution_arrive(w->x, 2, OK, SLICE_LIT("twice"));
    execution_arrive(w->x, 3, OK, SLICE_LIT("whose?"));
    assert_int_equal(w->runnables, 2);
    assert_done(w, 2, OK, "B");
    assert_done(w, 1, ERR_NETWORK, "lost");
    assert_rests(w);
    assert_int_equal(execution_calls(w->x), 0);
    world_commit(w);
    world_crash(w);
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_start(w, EXECUTION_EXTERNAL, "b", 2);
    assert_done(w, 2, OK, "B");
    assert_done(w, 1, ERR_NETWORK, "lost");
    assert_rests(w);
    assert_int_equal(execution_state(w->x), EXECUTION_IS_LIVE);
    assert_diary(w, "");
}

static void pending_calls_are_started_again_by_id(void **state)
{
    struct world *w = *state;
    for (uint32_t id = 1; id <= 3; id++)
        assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
    execution_arrive(w->x, 2, OK, SLICE_LIT("B"));
    assert_done(w, 2, OK, "B");
    world_commit(w);
    execution_arrive(w->x, 1, OK, SLICE_LIT("never stored"));
    assert_done(w, 1, OK, "never stored");
    world_crash(w);
    for (uint32_t id = 1; id <= 3; id++)
        assert_start(w, EXECUTION_EXTERNAL, letters[id - 1], id);
    assert_diary(w, "");
    execution_arrive(w->x, 1, OK, SLICE_LIT("too early"));
    assert_done(w, 2, OK, "B");
    assert_diary(w, "");
    assert_rests(w);
    assert_diary(w, "start 1 a; start 3 c; ");
    execution_arrive(w->x, 3, OK, SLICE_LIT("C"));
    assert_done(w, 3, OK, "C");
}

static void a_step_runs_at_once_and_is_one_record(void **state)
{
    struct world *w = *state;
    const uint32_t scope = assert_start(w, EXECUTION_STEP, "charge", 1);
    assert_int_not_equal(scope, 0);
    assert_int_equal(execution_scope_step(w->x, scope), 1);
    assert_rests(w);
    assert_false(execution_is_idle(w->x));
    execution_step_done(w->x, scope, OK, false, SLICE_LIT("paid"), SLICE_EMPTY);
    assert_int_equal(execution_scope_step(w->x, scope), 0);
    assert_int_equal(execution_end(w->x), 1);
    assert_done(w, 1, OK, "paid");
    assert_int_equal(execution_end(w->x), 2);
    world_commit(w);
    world_crash(w);
    assert_int_equal(assert_start(w, EXECUTION_STEP, "charge", 1), 0);
    assert_done(w, 1, OK, "paid");
}

static struct execution_call flaky(uint32_t attempts)
{
    struct execution_call step = world_call(EXECUTION_STEP, "flaky");
    step.retry = (struct execution_retry){.attempts_max = attempts,
                                          .delay_us = WORLD_SECOND,
                                          .factor = 2,
                                          .delay_max_us = 3 * WORLD_SECOND,
                                          .timeout_us = 10 * WORLD_SECOND};
    return step;
}

static void a_step_is_tried_again_later_and_later(void **state)
{
    struct world *w = *state;
    const struct execution_call step = flaky(5);
    static const int64_t delays[] = {1, 2, 3, 3};
    uint32_t scope = assert_call(w, &step, 1);
    for (uint32_t i = 0; i < ARRAY_LEN(delays); i++) {
        execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_LIT("{}"), SLICE_LIT("no luck"));
        assert_true(execution_has_batch(w->x));
        assert_rests(w);
        assert_true(execution_is_idle(w->x));
        assert_int_equal(execution_wake_us(w->x), w->now_us + delays[i] * WORLD_SECOND);
        w->now_us += delays[i] * WORLD_SECOND;
        scope = assert_run(w, 1, i + 2);
    }
    execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_LIT("{e}"), SLICE_LIT("no luck"));
    assert_done(w, 1, ERR_GUEST, "{e}");
    assert_int_equal(execution_end(w->x), 1 + 4 + 1);
}

static void a_factor_of_0_lets_the_delay_grow_by_itself(void **state)
{
    struct world *w = *state;
    struct execution_call step = flaky(6);
    static const int64_t delays[] = {1, 2, 3, 4, 4};
    step.retry.factor = 0;
    step.retry.delay_max_us = 4 * WORLD_SECOND;
    uint32_t scope = assert_call(w, &step, 1);
    for (uint32_t i = 0; i < ARRAY_LEN(delays); i++) {
        execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_LIT("{}"), SLICE_LIT("no luck"));
        assert_rests(w);
        assert_int_equal(execution_wake_us(w->x), w->now_us + delays[i] * WORLD_SECOND);
        w->now_us += delays[i] * WORLD_SECOND;
        scope = assert_run(w, 1, i + 2);
    }
}

static void failed_attempts_survive_a_crash(void **state)
{
    struct world *w = *state;
    const struct execution_call step = flaky(3);
    uint32_t scope = assert_call(w, &step, 1);
    execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_LIT("{}"), SLICE_LIT("no luck"));
    const int64_t due = w->now_us + WORLD_SECOND;
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4"); /* the record of the attempt is before it */
    world_commit(w);
    world_crash(w);
    assert_int_equal(assert_call(w, &step, 1), 0);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    assert_rests(w);
    assert_int_equal(execution_wake_us(w->x), due);
    w->now_us = due;
    scope = assert_run(w, 1, 2);
    world_crash(w); /* attempt 2 did not end: it is tried again, as attempt 2 */
    assert_int_equal(assert_call(w, &step, 1), 0);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    scope = assert_run(w, 1, 2);
    execution_step_done(w->x, scope, ERR_GUEST, true, SLICE_LIT("{fatal}"), SLICE_LIT("no use"));
    assert_done(w, 1, ERR_GUEST, "{fatal}");
}

static void a_step_that_never_ran_is_run_after_a_crash(void **state)
{
    struct world *w = *state;
    for (uint32_t id = 1; id <= 3; id++)
        (void)assert_start(w, EXECUTION_STEP, letters[id - 1], id);
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    world_commit(w);
    world_crash(w);
    for (uint32_t id = 1; id <= 3; id++)
        assert_int_equal(assert_start(w, EXECUTION_STEP, letters[id - 1], id), 0);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    execution_cancel_call(w->x, 2);
    assert_done(w, 2, ERR_CANCELLED, "cancelled");
    const uint32_t one = assert_run(w, 1, 1);
    const uint32_t three = assert_run(w, 3, 1);
    assert_int_not_equal(one, three);
    assert_rests(w);
}

static void an_attempt_may_take_too_long(void **state)
{
    struct world *w = *state;
    const struct execution_call step = flaky(2);
    const uint32_t first = assert_call(w, &step, 1);
    w->now_us += 10 * WORLD_SECOND;
    const size_t runnables = w->runnables;
    execution_tick(w->x);
    assert_int_equal(w->runnables, runnables + 1);
    assert_diary(w, "over 1; ");
    assert_int_equal(execution_scope_step(w->x, first), 0);
    w->now_us += WORLD_SECOND;
    const uint32_t second = assert_run(w, 1, 2);
    assert_int_not_equal(first, second);
    execution_step_done(w->x, first, OK, false, SLICE_LIT("late"), SLICE_EMPTY);
    assert_rests(w);
    w->now_us += 10 * WORLD_SECOND;
    assert_done(w, 1, ERR_TIMEOUT, "attempt 2 took longer than 10000 ms");
    execution_step_done(w->x, second, OK, false, SLICE_LIT("later"), SLICE_EMPTY);
    assert_rests(w);
}

static void scopes_of_zombies_are_not_used_again(void **state)
{
    struct world *w = *state;
    struct execution_call step = world_call(EXECUTION_STEP, "s");
    const uint32_t zombie = assert_call(w, &step, 1);
    execution_cancel_call(w->x, 1);
    for (uint32_t id = 2; id < 70000; id++) {
        const uint32_t scope = assert_call(w, &step, id);
        assert_int_not_equal(scope, zombie);
        assert_in_range(scope, 1, 65535);
        execution_cancel_call(w->x, id);
        execution_step_done(w->x, scope, OK, false, SLICE_EMPTY, SLICE_EMPTY);
        if (execution_calls(w->x) < 1000)
            continue;
        struct execution_delivery d;
        while (execution_next(w->x, &d))
            assert_int_equal(d.status, ERR_CANCELLED);
    }
}

static void a_call_given_up_needs_no_record(void **state)
{
    struct world *w = *state;
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_start(w, EXECUTION_EXTERNAL, "b", 2);
    assert_start(w, EXECUTION_TIMER, "c", 3);
    execution_arrive(w->x, 2, OK, SLICE_LIT("B"));
    execution_cancel_call(w->x, 3);
    execution_cancel_call(w->x, 1);
    execution_cancel_call(w->x, 2); /* it has arrived, but the code does not know */
    execution_cancel_call(w->x, 2);
    execution_cancel_call(w->x, 9);
    assert_diary(w, "start 1 a; start 2 b; stop 1; ");
    assert_done(w, 3, ERR_CANCELLED, "cancelled");
    assert_done(w, 1, ERR_CANCELLED, "cancelled");
    assert_done(w, 2, ERR_CANCELLED, "cancelled");
    assert_rests(w);
    assert_int_equal(execution_end(w->x), 1);
}

static void signals_reach_who_waits_in_order(void **state)
{
    struct world *w = *state;
    execution_signal(w->x, 1, w->now_us, SLICE_LIT("go"), SLICE_LIT("1"));
    execution_signal(w->x, 2, w->now_us, SLICE_LIT("other"), SLICE_LIT("2"));
    execution_signal(w->x, 2, w->now_us, SLICE_LIT("other"), SLICE_LIT("2"));
    assert_int_equal(w->runnables, 0);
    assert_start(w, EXECUTION_EVENT, "go", 1);
    assert_start(w, EXECUTION_EVENT, "go", 2);
    assert_true(execution_waits_for_events(w->x));
    struct execution_delivery d;
    assert_true(execution_next(w->x, &d));
    double at_ms;
    assert_int_equal(d.id, 1);
    assert_int_equal(d.payload.len, 8 + 4 + 1);
    memcpy(&at_ms, d.payload.ptr, sizeof(at_ms));
    assert_true(at_ms == (double)w->now_us / 1000);
    assert_memory_equal(d.payload.ptr + 8,
                        "\1\0\0\0"
                        "1",
                        5);
    assert_rests(w);
    assert_true(execution_is_idle(w->x));
    execution_signal(w->x, 3, w->now_us, SLICE_LIT("go"), SLICE_LIT("3"));
    assert_int_equal(w->runnables, 1);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 2);
    assert_false(execution_waits_for_events(w->x));
    struct execution_batch *b = world_take(w);
    assert_int_equal(b->signals_len, 2);
    assert_int_equal(b->signals[0], 1);
    assert_int_equal(b->signals[1], 3);
    execution_batch_free(b);
    world_crash(w);
    execution_signal(w->x, 2, w->now_us, SLICE_LIT("other"), SLICE_LIT("2")); /* as the store has */
    assert_start(w, EXECUTION_EVENT, "go", 1);
    assert_start(w, EXECUTION_EVENT, "go", 2);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 1);
    assert_memory_equal(d.payload.ptr + 8,
                        "\1\0\0\0"
                        "1",
                        5);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 2);
    assert_start(w, EXECUTION_EVENT, "other", 3);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 3);
    assert_rests(w);
}

static void a_given_up_wait_takes_no_signal_along(void **state)
{
    struct world *w = *state;
    assert_start(w, EXECUTION_EVENT, "go", 1);
    assert_start(w, EXECUTION_EVENT, "go", 2);
    execution_signal(w->x, 1, w->now_us, SLICE_LIT("go"), SLICE_LIT("1"));
    execution_cancel_call(w->x, 1);
    assert_done(w, 1, ERR_CANCELLED, "cancelled");
    struct execution_delivery d;
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 2);
    assert_rests(w);
}

/* The loop around a select(), with a signal that arrives together with what wins. */
static void a_withdrawn_wait_leaves_its_signal_to_the_next(void **state)
{
    struct world *w = *state;
    struct execution_call beat = world_call(EXECUTION_TIMER, "beat");
    struct execution_delivery d;
    beat.delay_us = WORLD_SECOND;
    for (int life = 0; life < 2; life++) { /* the second replays, and goes live in the middle */
        assert_start(w, EXECUTION_EVENT, "go", 1);
        assert_call(w, &beat, 2);
        if (life == 0)
            assert_rests(w);
        w->now_us += WORLD_SECOND;
        execution_tick(w->x);
        execution_signal(w->x, 1, w->now_us, SLICE_LIT("go"), SLICE_LIT("1"));
        assert_done(w, 2, OK, "");
        execution_cancel_call(w->x, 1);
        execution_cancel_call(w->x, 2); /* that is over */
        assert_start(w, EXECUTION_EVENT, "go", 3);
        assert_call(w, &beat, 4);
        assert_done(w, 1, ERR_CANCELLED, "cancelled");
        if (life == 0) {
            world_commit(w);
            world_crash(w);
            continue;
        }
        assert_true(execution_next(w->x, &d));
        assert_int_equal(d.id, 3);
        execution_cancel_call(w->x, 4);
        assert_done(w, 4, ERR_CANCELLED, "cancelled");
        assert_rests(w);
        assert_int_equal(execution_wake_us(w->x), EXECUTION_NEVER);
    }
}

static void a_time_out_is_taken_back_when_the_signal_is_left_by_others(void **state)
{
    struct world *w = *state;
    struct execution_call wait = world_call(EXECUTION_EVENT, "go");
    struct execution_delivery d;
    wait.delay_us = WORLD_SECOND;
    assert_start(w, EXECUTION_EVENT, "go", 1);
    assert_call(w, &wait, 2);
    assert_call(w, &wait, 3);
    assert_start(w, EXECUTION_TIMER, "never", 4);
    assert_rests(w);
    execution_signal(w->x, 1, w->now_us, SLICE_LIT("go"), SLICE_LIT("1")); /* call 1 would get it */
    w->now_us += WORLD_SECOND;
    execution_tick(w->x);
    execution_cancel_call(w->x, 1);
    assert_done(w, 1, ERR_CANCELLED, "cancelled");
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 2);
    assert_int_equal(d.status, OK);
    assert_done(w, 3, ERR_TIMEOUT, "no signal \"go\" came in time");
    assert_rests(w);
    struct execution_batch *b = world_take(w);
    assert_int_equal(b->signals_len, 1);
    assert_int_equal(b->signals[0], 1);
    execution_batch_free(b);
}

static void a_wait_ends_in_time_also_after_a_pause(void **state)
{
    struct world *w = *state;
    struct execution_call wait = world_call(EXECUTION_EVENT, "go");
    wait.delay_us = WORLD_SECOND;
    const int64_t due = w->now_us + WORLD_SECOND;
    assert_call(w, &wait, 1);
    assert_call(w, &wait, 2);
    assert_call(w, &wait, 3);
    assert_rests(w);
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    world_commit(w);
    w->now_us += 60 * WORLD_SECOND;
    world_crash(w); /* it was away when they came: the last one is too late */
    execution_signal(w->x, 1, due - 1, SLICE_LIT("go"), SLICE_LIT("1"));
    execution_signal(w->x, 2, due, SLICE_LIT("go"), SLICE_LIT("2"));
    execution_signal(w->x, 3, due + 1, SLICE_LIT("go"), SLICE_LIT("3"));
    for (uint32_t id = 1; id <= 3; id++)
        assert_call(w, &wait, id);
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    uint32_t statuses[4] = {99, 99, 99, 99};
    struct execution_delivery d;
    while (execution_next(w->x, &d))
        statuses[d.id] = d.status;
    assert_int_equal(statuses[1], OK);
    assert_int_equal(statuses[2], OK);
    assert_int_equal(statuses[3], ERR_TIMEOUT);
}

static void children_are_awaited_by_id(void **state)
{
    struct world *w = *state;
    uint32_t cursor = 0;
    struct slice child;
    assert_start(w, EXECUTION_CHILD_RESULT, "kid-1", 1);
    assert_start(w, EXECUTION_CHILD_RESULT, "kid-2", 2);
    assert_start(w, EXECUTION_CHILD_RESULT, "kid-1", 3);
    assert_rests(w);
    assert_true(execution_awaited_child(w->x, &cursor, &child));
    assert_true(slice_eq_cstr(child, "kid-1"));
    assert_true(execution_awaited_child(w->x, &cursor, &child));
    assert_true(slice_eq_cstr(child, "kid-2"));
    execution_child_done(w->x, SLICE_LIT("kid-2"), ERR_GUEST, SLICE_LIT("{}"));
    execution_child_done(w->x, SLICE_LIT("kid-2"), OK, SLICE_LIT("twice"));
    execution_child_done(w->x, SLICE_LIT("kid-7"), OK, SLICE_LIT("not ours"));
    assert_true(execution_awaited_child(w->x, &cursor, &child));
    assert_true(slice_eq_cstr(child, "kid-1"));
    assert_false(execution_awaited_child(w->x, &cursor, &child));
    assert_done(w, 2, ERR_GUEST, "{}");
    world_commit(w);
    world_crash(w);
    execution_child_done(w->x, SLICE_LIT("kid-1"), OK, SLICE_LIT("done")); /* before it is live */
    assert_start(w, EXECUTION_CHILD_RESULT, "kid-1", 1);
    assert_start(w, EXECUTION_CHILD_RESULT, "kid-2", 2);
    assert_start(w, EXECUTION_CHILD_RESULT, "kid-1", 3);
    assert_done(w, 2, ERR_GUEST, "{}");
    assert_done(w, 1, OK, "done");
    assert_done(w, 3, OK, "done");
    assert_rests(w);
}

static void cancel_ends_all_that_is_pending(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 2; round++) {
        const uint32_t scope = assert_start(w, EXECUTION_STEP, "step", 1);
        assert_start(w, EXECUTION_EXTERNAL, "fetch", 2);
        assert_start(w, EXECUTION_EVENT, "go", 3);
        assert_start(w, EXECUTION_CHILD_RESULT, "kid", 4);
        assert_start(w, EXECUTION_TIMER, "sleep", 5);
        execution_cancel_call(w->x, 5);
        if (round == 0) {
            assert_int_not_equal(scope, 0);
            execution_arrive(w->x, 2, OK, SLICE_LIT("too late"));
            execution_cancel(w->x);
            execution_cancel(w->x);
            bytes_clear(&w->diary);
        }
        assert_false(execution_is_cancelled(w->x));
        assert_done(w, 5, ERR_CANCELLED, "cancelled");
        assert_told_to_cancel(w);
        assert_diary(w, round == 0 ? "over 1; " : "");
        for (uint32_t id = 1; id <= 4; id++)
            assert_done(w, id, ERR_CANCELLED, "cancelled");
        assert_start(w, EXECUTION_EXTERNAL, "compensate", 6);
        if (round == 0) {
            assert_diary(w, "start 6 compensate; ");
            assert_rests(w);
            execution_arrive(w->x, 6, OK, SLICE_LIT("done"));
        }
        assert_done(w, 6, OK, "done");
        execution_cancel(w->x);
        assert_int_equal(execution_end(w->x), 3); /* START, CANCEL, DONE */
        if (round == 0) {
            world_commit(w);
            world_crash(w);
        }
    }
    assert_rests(w);
    execution_finish(w->x, ERR_CANCELLED, SLICE_LIT("{}"));
    struct execution_batch *b = world_take(w);
    assert_true(b->is_end);
    assert_int_equal(b->end_status, ERR_CANCELLED);
    execution_batch_free(b);
}

static void cancel_asked_while_replaying_is_told_when_live(void **state)
{
    struct world *w = *state;
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    execution_arrive(w->x, 1, OK, SLICE_LIT("A"));
    assert_done(w, 1, OK, "A");
    world_commit(w);
    world_crash(w);
    execution_cancel(w->x);
    assert_start(w, EXECUTION_EXTERNAL, "a", 1);
    assert_done(w, 1, OK, "A");
    assert_start(w, EXECUTION_TIMER, "t", 2);
    assert_told_to_cancel(w);
    assert_done(w, 2, ERR_CANCELLED, "cancelled");
}

static void the_end_is_a_record_with_its_value(void **state)
{
    struct world *w = *state;
    assert_start(w, EXECUTION_EXTERNAL, "floating", 1);
    execution_finish(w->x, OK, SLICE_LIT("42"));
    assert_int_equal(execution_state(w->x), EXECUTION_FINISHED);
    struct execution_delivery d;
    assert_false(execution_next(w->x, &d));
    execution_arrive(w->x, 1, OK, SLICE_LIT("late"));
    assert_false(execution_next(w->x, &d));
    struct execution_batch *b = world_take(w);
    assert_true(b->is_end);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->end_status, OK);
    assert_true(slice_eq_cstr(bytes_slice(&b->end_value), "42"));
    execution_batch_free(b);
    assert_false(execution_has_batch(w->x));
    world_crash(w);
    assert_start(w, EXECUTION_EXTERNAL, "floating", 1);
    execution_finish(w->x, OK, SLICE_LIT("42"));
    assert_int_equal(execution_state(w->x), EXECUTION_FINISHED);
    assert_false(execution_has_batch(w->x));
}

static void effects_travel_with_their_records(void **state)
{
    struct world *w = *state;
    char name[] = "progress";
    assert_sync(w, EXECUTION_LIVE, "log", "", "");
    execution_effect(w->x,
                     &(struct execution_effect){
                         .kind = EXECUTION_LOG, .value = slice_cstr(name), .level = 2, .at_us = 5});
    execution_effect(w->x, &(struct execution_effect){.kind = EXECUTION_START_CHILD,
                                                      .target = SLICE_LIT("wf"),
                                                      .name = SLICE_LIT("key"),
                                                      .value = SLICE_LIT("{}"),
                                                      .id = SLICE_LIT("kid")});
    memset(name, 'x', sizeof(name) - 1);
    struct execution_batch *b = world_take(w);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->effects_len, 2);
    assert_true(slice_eq_cstr(b->effects[0].value, "progress"));
    assert_int_equal(b->effects[0].level, 2);
    assert_int_equal(b->effects[0].at_us, 5);
    assert_true(slice_eq_cstr(b->effects[1].target, "wf"));
    assert_true(slice_eq_cstr(b->effects[1].name, "key"));
    assert_true(slice_eq_cstr(b->effects[1].id, "kid"));
    execution_batch_free(b);
    assert_false(execution_has_batch(w->x));
    world_crash(w);
    assert_sync(w, EXECUTION_REPLAYED, "log", "", "");
    assert_false(execution_is_tail(w->x));
    execution_effect(w->x, &(struct execution_effect){.kind = EXECUTION_PUBLISH});
    assert_false(execution_has_batch(w->x));
    /* Which lines are stored is known to who prints them. */
    execution_effect(w->x, &(struct execution_effect){.kind = EXECUTION_LOG});
    assert_true(execution_has_batch(w->x));
}

static void batches_may_overtake_commits(void **state)
{
    struct world *w = *state;
    struct execution_batch *b[3];
    int64_t first;
    for (int i = 0; i < 3; i++) {
        assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
        b[i] = execution_take(w->x);
        assert_int_equal(b[i]->first, i == 0 ? 0 : i + 1);
        assert_int_equal(b[i]->count, i == 0 ? 2 : 1);
    }
    assert_int_equal(record_count(execution_tail(w->x, &first)), 4);
    assert_int_equal(first, 0);
    for (int i = 0; i < 3; i++) {
        const int64_t end = b[i]->first + b[i]->count;
        execution_committed(w->x, end, b[i]->effect_bytes);
        assert_int_equal(execution_durable(w->x), end);
        assert_int_equal(record_count(execution_tail(w->x, &first)), 4 - end);
        assert_int_equal(first, end);
        execution_batch_free(b[i]);
    }
    execution_committed(w->x, 2, 0); /* old news */
    assert_int_equal(execution_durable(w->x), 4);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(sync_ops_are_recorded_and_replayed),
        T(what_was_not_stored_is_done_again),
        T(the_clock_stands_while_code_runs),
        T(completions_are_replayed_in_their_order),
        T(pending_calls_are_started_again_by_id),
        T(a_step_runs_at_once_and_is_one_record),
        T(a_step_is_tried_again_later_and_later),
        T(a_factor_of_0_lets_the_delay_grow_by_itself),
        T(failed_attempts_survive_a_crash),
        T(a_step_that_never_ran_is_run_after_a_crash),
        T(an_attempt_may_take_too_long),
        T(scopes_of_zombies_are_not_used_again),
        T(a_call_given_up_needs_no_record),
        T(signals_reach_who_waits_in_order),
        T(a_given_up_wait_takes_no_signal_along),
        T(a_withdrawn_wait_leaves_its_signal_to_the_next),
        T(a_time_out_is_taken_back_when_the_signal_is_left_by_others),
        T(a_wait_ends_in_time_also_after_a_pause),
        T(children_are_awaited_by_id),
        T(cancel_ends_all_that_is_pending),
        T(cancel_asked_while_replaying_is_told_when_live),
        T(the_end_is_a_record_with_its_value),
        T(effects_travel_with_their_records),
        T(batches_may_overtake_commits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("durable/execution", tests, NULL, NULL);
}
