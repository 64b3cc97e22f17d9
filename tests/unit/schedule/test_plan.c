/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules: how they are written, and which times are started, passed over or left for later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schedule/plan.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

static struct arena *arena;

static struct plan plan_of(const char *json)
{
    struct plan p;
    struct error error;
    if (plan_read(slice_cstr(json), slice_cstr("f"), arena, &p, &error) != OK)
        fail_msg("%s: %s", json, error.message);
    return p;
}

static void a_plan_is_written_as_it_was_read(void **state)
{
    static const char *const same[] = {
        "{\"cron\":\"*/5 * * * *\",\"timezone\":\"Europe/Berlin\",\"function\":\"g\",\"overlap\":"
        "\"skip\",\"missed\":\"all\",\"jitter_ms\":100}",
        "{\"every_ms\":1000,\"workflow\":\"w.x\",\"input\":{\"a\":[1,null]},\"overlap\":\"queue\","
        "\"missed\":\"none\",\"jitter_ms\":0}",
        "{\"at\":1000,\"queue\":\"q\",\"body\":\"text\",\"overlap\":\"allow\",\"missed\":\"one\","
        "\"jitter_ms\":0}",
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(same); k++) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        struct plan p = plan_of(same[k]);
        plan_write(&p, &out);
        assert_string_equal(bytes_cstr(&out), same[k]);
    }
    struct plan p = plan_of("{\"at\": \"1970-01-01T00:00:02Z\"}");
    assert_int_equal(p.at_us, 2 * SECOND);
    assert_true(slice_eq_cstr(p.name, "f"));
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *json, *part;
    } bad[] = {
        {"[]", "no JSON object"},
        {"{\"function\":\"f\"}", "needs one of"},
        {"{\"cron\":\"* * * * *\",\"every_ms\":1000}", "needs one of"},
        {"{\"cron\":\"* * *\"}", "no cron expression"},
        {"{\"cron\":1}", "no cron expression"},
        {"{\"cron\":\"* * * * *\",\"timezone\":\"Mars/Base\"}", "no time zone"},
        {"{\"every_ms\":1000,\"timezone\":\"UTC\"}", "'timezone'"},
        {"{\"every_ms\":10}", "'every_ms'"},
        {"{\"at\":\"soon\"}", "no time"},
        {"{\"at\":-1}", "no time"},
        {"{\"at\":1,\"function\":\"\"}", "starts nothing"},
        {"{\"at\":1,\"function\":\"a\",\"queue\":\"b\"}", "more than one"},
        {"{\"at\":1,\"input\":1}", "'input'"},
        {"{\"at\":1,\"overlap\":\"maybe\"}", "'overlap'"},
        {"{\"at\":1,\"missed\":7}", "'missed'"},
        {"{\"at\":1,\"jitter_ms\":-1}", "'jitter_ms'"},
        {"{\"at\":1,\"else\":2}", "unknown member else"},
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        struct error error = {0};
        struct plan p;
        assert_int_equal(plan_read(slice_cstr(bad[k].json), slice_cstr("f"), arena, &p, &error),
                         ERR_INVALID);
        if (!strstr(error.message, bad[k].part))
            fail_msg("%s: %s", bad[k].json, error.message);
        assert_true(error.hint[0]);
    }
}

static void one_that_is_in_time(void **state)
{
    struct plan p = plan_of("{\"every_ms\":10000}");
    struct plan_turn t;
    (void)state;
    assert_int_equal(plan_next(&p, 5 * SECOND, 5 * SECOND), 15 * SECOND);
    assert_int_equal(plan_next(&p, 5 * SECOND, 14 * SECOND), 15 * SECOND);
    assert_int_equal(plan_next(&p, 5 * SECOND, 15 * SECOND), 25 * SECOND);
    plan_take(&p, 5 * SECOND, 1, 15 * SECOND, 15 * SECOND - 1, &t);
    assert_int_equal(t.times_len, 0);
    assert_int_equal(t.next_us, 15 * SECOND);
    plan_take(&p, 5 * SECOND, 1, 15 * SECOND, 15 * SECOND, &t);
    assert_int_equal(t.times_len, 1);
    assert_int_equal(t.times[0], 15 * SECOND);
    assert_int_equal(t.skipped, 0);
    assert_int_equal(t.next_us, 25 * SECOND);
}

static void missed_ones(void **state)
{
    struct plan one = plan_of("{\"every_ms\":10000}"),
                all = plan_of("{\"every_ms\":10000,\"missed\":\"all\"}"),
                none = plan_of("{\"every_ms\":3600000,\"missed\":\"none\"}");
    struct plan_turn t;
    (void)state;
    plan_take(&one, 0, 1, 10 * SECOND, 45 * SECOND, &t);
    assert_int_equal(t.times_len, 1);
    assert_int_equal(t.times[0], 40 * SECOND);
    assert_int_equal(t.skipped, 3);
    assert_int_equal(t.next_us, 50 * SECOND);
    /* Years are not counted second by second. */
    plan_take(&one, 0, 1, 10 * SECOND, 100000 * HOUR + 5 * SECOND, &t);
    assert_int_equal(t.times_len, 1);
    assert_int_equal(t.times[0], 100000 * HOUR);
    plan_take(&all, 0, 1, 10 * SECOND, 45 * SECOND, &t);
    assert_int_equal(t.times_len, 4);
    assert_int_equal(t.times[3], 40 * SECOND);
    assert_int_equal(t.skipped, 0);
    plan_take(&all, 0, 1, 10 * SECOND, 100000 * SECOND, &t);
    assert_int_equal(t.times_len, PLAN_TIMES_MAX);
    assert_int_equal(t.next_us, (PLAN_TIMES_MAX + 1) * 10 * SECOND);
    plan_take(&none, 0, 1, HOUR, 100 * HOUR + 30 * SECOND, &t);
    assert_int_equal(t.times_len, 1);
    assert_int_equal(t.times[0], 100 * HOUR);
    plan_take(&none, 0, 1, HOUR, 100 * HOUR + 90 * SECOND, &t);
    assert_int_equal(t.times_len, 0);
    assert_int_equal(t.next_us, 101 * HOUR);
    /* Once, and never again. */
    struct plan at = plan_of("{\"at\":1000}");
    plan_take(&at, 0, 1, SECOND, 2 * SECOND, &t);
    assert_int_equal(t.times_len, 1);
    assert_true(t.next_us == PLAN_NEVER);
}

static void jitter_is_drawn_for_each_time(void **state)
{
    struct plan p = plan_of("{\"every_ms\":60000,\"jitter_ms\":5000}");
    bool differs = false;
    (void)state;
    for (int64_t k = 1; k < 100; k++) {
        int64_t due = plan_due(&p, 7, k * 60 * SECOND);
        assert_in_range(due - k * 60 * SECOND, 0, 5 * SECOND - 1);
        assert_int_equal(due, plan_due(&p, 7, k * 60 * SECOND));
        differs |= due - k * 60 * SECOND != plan_due(&p, 8, k * 60 * SECOND) - k * 60 * SECOND;
    }
    assert_true(differs);
    struct plan_turn t;
    plan_take(&p, 0, 7, 60 * SECOND, plan_due(&p, 7, 60 * SECOND) - 1, &t);
    assert_int_equal(t.times_len, 0);
    plan_take(&p, 0, 7, 60 * SECOND, plan_due(&p, 7, 60 * SECOND), &t);
    assert_int_equal(t.times_len, 1);
    assert_int_equal(t.times[0], 60 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_written_as_it_was_read),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(one_that_is_in_time),
        cmocka_unit_test(missed_ones),
        cmocka_unit_test(jitter_is_drawn_for_each_time),
    };
    arena = arena_new(NULL);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
