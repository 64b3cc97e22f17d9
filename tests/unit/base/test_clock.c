/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"

static const char *iso(int64_t wall_us)
{
    static char text[CLOCK_ISO_SIZE];
    clock_iso(wall_us, text);
    return text;
}

static void writes_dates(void **state)
{
    assert_string_equal(iso(0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(iso(-1), "1969-12-31T23:59:59.999Z");
    assert_string_equal(iso(INT64_C(1709210096123456)), "2024-02-29T12:34:56.123Z");
    assert_string_equal(iso(INT64_MAX), "9999-12-31T23:59:59.999Z");
    assert_string_equal(iso(INT64_MIN), "0001-01-01T00:00:00.000Z");
}

static void agrees_with_libc(void **state)
{
    /* Every 11 days and a bit over 800 years: all months, leap rules of 100 and 400 years. */
    for (int64_t second = -12 * INT64_C(1000000000); second < 13 * INT64_C(1000000000);
         second += 987654) {
        time_t when = (time_t)second;
        struct tm parts;
        assert_non_null(gmtime_r(&when, &parts));
        char want[64];
        assert_true(strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &parts) > 0);
        assert_string_equal(iso(second * 1000000), want);
    }
}

static void reads_dates(void **state)
{
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-02-29",
                                        "2026-13-01",
                                        "2026-01-00",
                                        "1969-12-31",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:00:00.Z",
                                        "2026-01-01T00:00:00Zx",
                                        "2026-01-01T00:00:00+1:00"};
    int64_t us;
    for (int64_t second = 0; second < INT64_C(253402300799); second += 987654 * 7) {
        assert_true(clock_iso_read(slice_cstr(iso(second * 1000000)), &us));
        assert_int_equal(us, second * 1000000);
    }
    assert_true(clock_iso_read(SLICE_LIT("2024-02-29"), &us));
    assert_int_equal(us, INT64_C(1709164800000000));
    assert_true(clock_iso_read(SLICE_LIT("2024-02-29t13:34:56.1234567+01:00"), &us));
    assert_int_equal(us, INT64_C(1709210096123456));
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(clock_iso_read(slice_cstr(wrong[i]), &us));
}

static void runs_forward(void **state)
{
    uint64_t monotonic = clock_monotonic_ns(), cpu = clock_thread_cpu_ns();
    int64_t wall = clock_wall_us();
    assert_true(clock_monotonic_ns() >= monotonic);
    assert_true(clock_thread_cpu_ns() >= cpu);
    assert_true(wall > INT64_C(1700000000) * 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_dates),
        cmocka_unit_test(agrees_with_libc),
        cmocka_unit_test(reads_dates),
        cmocka_unit_test(runs_forward),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
