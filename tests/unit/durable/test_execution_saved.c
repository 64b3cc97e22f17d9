/* SPDX-License-Identifier: Apache-2.0
 *
 * Saved states: that they go on like the original, and that what does not fit is refused. */
#include "world.h"

static struct execution *restore(struct world *w, struct slice saved, enum err expected)
{
    struct execution *x = NULL;
    struct error error = {0};
    const struct execution_config config = world_config(w);
    assert_int_equal(execution_restore(&config, saved, &x, &error), expected);
    assert_int_equal(error.code, expected);
    return x;
}

/* A timer, a step that waits for its second attempt, a wait with a time-out, a child, a zombie. */
static void wait_for_all_kinds(struct world *w, bool is_live)
{
    struct execution_call call = world_call(EXECUTION_TIMER, "sleep");
    call.delay_us = 5 * WORLD_SECOND;
    assert_call(w, &call, 1);
    call = world_call(EXECUTION_STEP, "step");
    call.retry.attempts_max = 3;
    call.retry.delay_us = 2 * WORLD_SECOND;
    const uint32_t scope = assert_call(w, &call, 2);
    if (is_live)
        execution_step_done(w->x, scope, ERR_GUEST, false, SLICE_EMPTY, SLICE_LIT("no"));
    call = world_call(EXECUTION_EVENT, "go");
    call.delay_us = 9 * WORLD_SECOND;
    assert_call(w, &call, 3);
    assert_start(w, EXECUTION_CHILD_RESULT, "kid", 4);
    assert_start(w, EXECUTION_STEP, "given up", 5);
    execution_cancel_call(w->x, 5);
    assert_done(w, 5, ERR_CANCELLED, "cancelled");
    assert_rests(w);
}

static void a_saved_state_goes_on_like_the_original(void **state)
{
    struct world *w = *state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT, again = BYTES_INIT;
    const int64_t began = w->now_us;
    wait_for_all_kinds(w, true);
    assert_true(execution_is_idle(w->x));
    world_commit(w);
    execution_save(w->x, &saved);
    execution_free(w->x);
    w->now_us += WORLD_SECOND;
    w->x = restore(w, bytes_slice(&saved), OK);
    assert_int_equal(execution_state(w->x), EXECUTION_IS_LIVE);
    assert_true(execution_is_idle(w->x));
    assert_int_equal(execution_wake_us(w->x), began + 2 * WORLD_SECOND);
    assert_int_equal(execution_now_us(w->x), began);
    execution_save(w->x, &again);
    assert_true(slice_eq(bytes_slice(&saved), bytes_slice(&again)));
    execution_signal(w->x, 1, w->now_us, SLICE_LIT("go"), SLICE_LIT("1"));
    execution_child_done(w->x, SLICE_LIT("kid"), OK, SLICE_LIT("K"));
    struct execution_delivery d;
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.id, 3);
    assert_done(w, 4, OK, "K");
    w->now_us = began + 20 * WORLD_SECOND;
    const uint32_t scope = assert_run(w, 2, 2);
    assert_int_equal(scope, 3); /* 1 was its first attempt, 2 is a zombie's */
    assert_done(w, 1, OK, "");
    assert_start(w, EXECUTION_EXTERNAL, "next", 6);
}

static void a_saved_state_replays_what_came_after(void **state)
{
    struct world *w = *state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    wait_for_all_kinds(w, true);
    world_commit(w);
    execution_save(w->x, &saved);
    w->now_us += 6 * WORLD_SECOND;
    const uint32_t scope = assert_run(w, 2, 2);
    execution_step_done(w->x, scope, OK, false, SLICE_LIT("S"), SLICE_EMPTY);
    assert_done(w, 1, OK, "");
    assert_done(w, 2, OK, "S");
    assert_sync(w, EXECUTION_LIVE, "dice", "4", "4");
    world_commit(w);
    execution_free(w->x);
    w->x = restore(w, bytes_slice(&saved), OK);
    assert_int_equal(execution_state(w->x), EXECUTION_REPLAYING);
    assert_done(w, 1, OK, "");
    assert_done(w, 2, OK, "S");
    assert_sync(w, EXECUTION_REPLAYED, "dice", "5", "4");
    assert_rests(w);
    assert_int_equal(execution_calls(w->x), 2);
}

static void a_saved_state_that_does_not_fit_is_refused(void **state)
{
    struct world *w = *state;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    wait_for_all_kinds(w, true);
    world_commit(w);
    execution_save(w->x, &saved);
    for (size_t len = 0; len < saved.len; len++)
        (void)restore(w, slice_of(saved.ptr, len), ERR_CORRUPT);
    for (size_t at = 0; at < saved.len; at++) {
        saved.ptr[at] ^= 4;
        (void)restore(w, bytes_slice(&saved), ERR_CORRUPT);
        saved.ptr[at] ^= 4;
    }
    w->stored--;
    (void)restore(w, bytes_slice(&saved), ERR_CONFLICT);
    w->stored++;
    struct execution_config config = world_config(w);
    config.id = SLICE_LIT("f");
    struct execution *x = NULL;
    assert_int_equal(execution_restore(&config, bytes_slice(&saved), &x, NULL), ERR_CONFLICT);
    assert_null(x);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(a_saved_state_goes_on_like_the_original),
        T(a_saved_state_replays_what_came_after),
        T(a_saved_state_that_does_not_fit_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("durable/execution_saved", tests, NULL, NULL);
}
