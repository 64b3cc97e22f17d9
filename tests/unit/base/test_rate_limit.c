/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rate_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
enum { PERIOD = 10000 };

static unsigned pass(struct rate_limits *r, const char *key, unsigned tries, uint64_t at_ms)
{
    unsigned passed = 0;
    for (unsigned k = 0; k < tries; k++)
        passed += rate_limits_take(r, slice_cstr(key), 10, PERIOD, at_ms * MS);
    return passed;
}

static void a_key_passes_so_often(void **state)
{
    (void)state;
    struct rate_limits *r = rate_limits_new();
    assert_int_equal(pass(r, "a", 15, 50000), 10);
    assert_int_equal(pass(r, "a", 5, 59999), 0);
    assert_int_equal(pass(r, "b", 5, 59999), 5);
    assert_int_equal(pass(r, "", 11, 59999), 10);
    rate_limits_free(r);
}

static void what_is_past_counts_less_and_less(void **state)
{
    (void)state;
    struct rate_limits *r = rate_limits_new();
    assert_int_equal(pass(r, "a", 10, 50000), 10);
    assert_int_equal(pass(r, "a", 10, 60000), 0);   /* all of the period before still counts */
    assert_int_equal(pass(r, "a", 10, 65000), 5);   /* half of it */
    assert_int_equal(pass(r, "a", 20, 79999), 10);  /* five of the period before, as good as past */
    assert_int_equal(pass(r, "a", 20, 200000), 10); /* a pause */
    rate_limits_free(r);
}

static void many_keys_take_no_more_memory(void **state)
{
    (void)state;
    struct rate_limits *r = rate_limits_new();
    char key[32];
    for (unsigned k = 0; k < 200000; k++) {
        snprintf(key, sizeof(key), "key-%u", k);
        assert_true(rate_limits_take(r, slice_cstr(key), 1, PERIOD, 50000 * MS));
    }
    assert_int_equal(pass(r, "fresh", 20, 50000), 10);
    assert_true(rate_limits_bytes() < 512 * 1024);
    rate_limits_free(r);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_passes_so_often),
        cmocka_unit_test(what_is_past_counts_less_and_less),
        cmocka_unit_test(many_keys_take_no_more_memory),
    };
    return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
