/* SPDX-License-Identifier: Apache-2.0
 *
 * What cron expressions name: fields, days, time zones and their changes. Times are written as the zone's
 * clocks show them, or with a Z. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "schedule/cron.h"
#include "schedule/zone.h"

static int64_t utc(const char *text)
{
    struct tm t = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &t));
    return (int64_t)timegm(&t);
}

/* Up to 8 times after `after`, separated by commas: UTC, without the date of `after`'s year if short. */
static const char *times(const char *expression, const char *zone, const char *after, int count)
{
    static char text[512];
    struct error error;
    struct cron c;
    struct zone *z = NULL;
    size_t len = 0;
    if (cron_parse(slice_cstr(expression), &c, &error) != OK)
        fail_msg("%s: %s", expression, error.message);
    if (zone_open(slice_cstr(zone), &z, &error) != OK)
        fail_msg("%s", error.message);
    int64_t at = utc(after);
    text[0] = '\0';
    for (int k = 0; k < count; k++) {
        int64_t next = cron_next(&c, zone_period, z, at);
        if (next < 0) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%snever", k ? ", " : "");
            break;
        }
        assert_true(next > at);
        time_t seconds = (time_t)(at = next);
        struct tm t;
        gmtime_r(&seconds, &t);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", k ? ", " : "");
        len += strftime(text + len, sizeof(text) - len, "%Y-%m-%d %H:%M:%S", &t);
    }
    zone_close(z);
    return text;
}

static void fields(void **state)
{
    (void)state;
    assert_string_equal(times("*/15 * * * *", "", "2026-01-01 00:00:00", 3),
                        "2026-01-01 00:15:00, 2026-01-01 00:30:00, 2026-01-01 00:45:00");
    assert_string_equal(times("59 23 31 12 *", "", "2026-01-01 00:00:00", 2),
                        "2026-12-31 23:59:00, 2027-12-31 23:59:00");
    assert_string_equal(times("*/20 0 0 1 1 ?", "", "2025-12-31 23:59:59", 4),
                        "2026-01-01 00:00:00, 2026-01-01 00:00:20, 2026-01-01 00:00:40, "
                        "2027-01-01 00:00:00");
    assert_string_equal(times("0 9-17/4 * jan,MAR *", "", "2026-01-31 12:00:00", 4),
                        "2026-01-31 13:00:00, 2026-01-31 17:00:00, 2026-03-01 09:00:00, "
                        "2026-03-01 13:00:00");
    assert_string_equal(times("0 22-1 * * *", "", "2026-01-01 00:30:00", 5),
                        "2026-01-01 01:00:00, 2026-01-01 22:00:00, 2026-01-01 23:00:00, "
                        "2026-01-02 00:00:00, 2026-01-02 01:00:00");
    assert_string_equal(times("5/20 3 * * *", "", "2026-01-01 03:06:00", 3),
                        "2026-01-01 03:25:00, 2026-01-01 03:45:00, 2026-01-02 03:05:00");
}

static void days(void **state)
{
    (void)state;
    /* 2026-02-01 is a Sunday: 1. */
    assert_string_equal(times("0 0 * * 1", "", "2026-02-01 00:00:00", 2),
                        "2026-02-08 00:00:00, 2026-02-15 00:00:00");
    assert_string_equal(times("0 0 * * MON-FRI", "", "2026-02-05 12:00:00", 3),
                        "2026-02-06 00:00:00, 2026-02-09 00:00:00, 2026-02-10 00:00:00");
    assert_string_equal(times("0 0 * * SAT-SUN", "", "2026-02-05 12:00:00", 3),
                        "2026-02-07 00:00:00, 2026-02-08 00:00:00, 2026-02-14 00:00:00");
    /* Either of both. */
    assert_string_equal(times("0 0 13 * FRI", "", "2026-02-01 00:00:00", 4),
                        "2026-02-06 00:00:00, 2026-02-13 00:00:00, 2026-02-20 00:00:00, "
                        "2026-02-27 00:00:00");
    assert_string_equal(times("0 0 L * *", "", "2028-02-01 00:00:00", 2),
                        "2028-02-29 00:00:00, 2028-03-31 00:00:00");
    assert_string_equal(times("0 0 L-3 * *", "", "2026-02-01 00:00:00", 2),
                        "2026-02-25 00:00:00, 2026-03-28 00:00:00");
    /* 15 August 2026 is a Saturday, 1 August one, too, whose Friday is in July. */
    assert_string_equal(times("0 0 15W 8 *", "", "2026-01-01 00:00:00", 1), "2026-08-14 00:00:00");
    assert_string_equal(times("0 0 1W 8 *", "", "2026-01-01 00:00:00", 1), "2026-08-03 00:00:00");
    assert_string_equal(times("0 0 31W 5 *", "", "2026-01-01 00:00:00", 1), "2026-05-29 00:00:00");
    assert_string_equal(times("0 0 LW * *", "", "2026-01-31 00:00:00", 2),
                        "2026-02-27 00:00:00, 2026-03-31 00:00:00");
    assert_string_equal(times("0 0 * * 6L", "", "2026-01-01 00:00:00", 2),
                        "2026-01-30 00:00:00, 2026-02-27 00:00:00");
    assert_string_equal(times("0 0 * * MON#2", "", "2026-01-01 00:00:00", 2),
                        "2026-01-12 00:00:00, 2026-02-09 00:00:00");
    assert_string_equal(times("0 0 * 2 SUN#5", "", "2026-01-01 00:00:00", 1),
                        "2032-02-29 00:00:00");
    assert_string_equal(times("0 0 29 2 *", "", "2096-03-01 00:00:00", 1), "2104-02-29 00:00:00");
    assert_string_equal(times("0 0 31 2 *", "", "2026-01-01 00:00:00", 1), "never");
}

static void zones(void **state)
{
    (void)state;
    assert_string_equal(times("0 9 * * *", "Asia/Kolkata", "2026-01-01 00:00:00", 1),
                        "2026-01-01 03:30:00");
    /* Berlin, 29 March 2026: 02:00 to 03:00 is not there; ends at 01:00 UTC. */
    assert_string_equal(times("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00:00", 3),
                        "2026-03-28 01:30:00, 2026-03-29 01:00:00, 2026-03-30 00:30:00");
    assert_string_equal(times("*/30 2 * * *", "Europe/Berlin", "2026-03-28 20:00:00", 2),
                        "2026-03-29 01:00:00, 2026-03-30 00:00:00");
    assert_string_equal(times("0 3 * * *", "Europe/Berlin", "2026-03-28 20:00:00", 1),
                        "2026-03-29 01:00:00");
    /* 25 October 2026: 02:00 to 03:00 is there twice, first at 00:00 UTC. */
    assert_string_equal(times("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", 2),
                        "2026-10-25 00:30:00, 2026-10-26 01:30:00");
    assert_string_equal(times("*/30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", 3),
                        "2026-10-25 00:00:00, 2026-10-25 00:30:00, 2026-10-26 01:00:00");
    assert_string_equal(times("*/30 * * * *", "Europe/Berlin", "2026-10-24 23:45:00", 6),
                        "2026-10-25 00:00:00, 2026-10-25 00:30:00, 2026-10-25 01:00:00, "
                        "2026-10-25 01:30:00, 2026-10-25 02:00:00, 2026-10-25 02:30:00");
    /* Half an hour only. */
    assert_string_equal(times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00:00", 2),
                        "2026-10-03 15:30:00, 2026-10-04 15:15:00");
    /* Samoa had no 30 December 2011. */
    assert_string_equal(times("0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00:00", 2),
                        "2011-12-30 10:00:00, 2012-12-29 22:00:00");
    assert_string_equal(times("0 12 29 2 *", "America/New_York", "2096-03-01 00:00:00", 1),
                        "2104-02-29 17:00:00");
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", "five or six fields"},
        {"* * * *", "five or six fields"},
        {"* * * * * * *", "five or six fields"},
        {"60 * * * *", "'60' is no minute"},
        {"* 24 * * *", "'24' is no hour"},
        {"* * 0 * *", "'0' is no day of the month"},
        {"* * 32W * *", "'32W' is no day of the month"},
        {"* * * 13 *", "'13' is no month"},
        {"* * * FOO *", "'FOO' is no month"},
        {"* * * * 0", "'0' is no day of the week"},
        {"* * * * 8", "'8' is no day of the week"},
        {"* * * * 2#6", "'2#6' is no day of the week"},
        {"*/0 * * * *", "'*/0' is no minute"},
        {"1- * * * *", "'1-' is no minute"},
        {"1,,2 * * * *", "'' is no minute"},
        {"5 4 * * \n", "day of the week"},
        {"a a a a a", "'a' is no minute"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
        struct error error = {0};
        struct cron c;
        assert_int_equal(cron_parse(slice_cstr(bad[k].text), &c, &error), ERR_INVALID);
        if (!strstr(error.message, bad[k].part))
            fail_msg("'%s': %s", bad[k].text, error.message);
        assert_true(error.hint[0]);
    }
    struct zone *z;
    struct error error;
    assert_int_equal(zone_open(slice_cstr("Europe/Atlantis"), &z, &error), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(days),
        cmocka_unit_test(zones),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
