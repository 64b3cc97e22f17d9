/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks. Dates are computed here and not by gmtime_r(), which takes a lock that all threads of the
 * process share. Any thread. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/check.h"

static uint64_t clock_read_ns(clockid_t id)
{
    struct timespec now;
    CHECK(clock_gettime(id, &now) == 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_thread_cpu_ns(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_wall_us(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The civil date of a day counted from 1970-01-01, for years 1 to 9999. Years are counted from
 * March, so that the leap day is the last one of a year and months have a regular length. */
static void clock_civil(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    enum { DAYS_TO_EPOCH = 719468, DAYS_OF_400_YEARS = 146097 }; /* from 0000-03-01 */
    int64_t day = days + DAYS_TO_EPOCH;
    int64_t cycle = day / DAYS_OF_400_YEARS;
    int64_t of_cycle = day % DAYS_OF_400_YEARS;
    int64_t year = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    int64_t of_year = of_cycle - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int)(cycle * 400 + year + (*ret_month <= 2));
}

void clock_iso(int64_t wall_us, char ret_text[CLOCK_ISO_SIZE])
{
    /* 0001-01-01 and the end of 9999: what four digits can say. */
    const int64_t least = INT64_C(-62135596800) * 1000000;
    const int64_t most = INT64_C(253402300799) * 1000000 + 999999;
    if (wall_us < least)
        wall_us = least;
    if (wall_us > most)
        wall_us = most;
    const int64_t day_us = INT64_C(86400) * 1000000;
    int64_t days = wall_us / day_us, of_day = wall_us % day_us;
    if (of_day < 0) {
        days--;
        of_day += day_us;
    }
    int year, month, day;
    clock_civil(days, &year, &month, &day);
    unsigned ms = (unsigned)(of_day / 1000);
    int len = snprintf(ret_text, CLOCK_ISO_SIZE, "%04d-%02d-%02dT%02u:%02u:%02u.%03uZ",
                       year % 10000, month % 100, day % 100, ms / 3600000 % 24, ms / 60000 % 60,
                       ms / 1000 % 60, ms % 1000);
    CHECK(len > 0 && len < CLOCK_ISO_SIZE);
}

/* Takes a number of exactly so many digits from the front. */
static bool clock_take(struct slice *rest, size_t digits, int64_t least, int64_t most,
                       int64_t *ret_value)
{
    uint64_t value;
    if (rest->len < digits || !slice_to_u64(slice_of(rest->ptr, digits), &value) ||
        (int64_t)value < least || (int64_t)value > most)
        return false;
    *ret_value = (int64_t)value;
    *rest = slice_skip(*rest, digits);
    return true;
}

static bool clock_take_char(struct slice *rest, char c)
{
    bool is_letter = c >= 'A' && c <= 'Z'; /* both cases */
    if (rest->len == 0 || (rest->ptr[0] != c && !(is_letter && rest->ptr[0] == c + ('a' - 'A'))))
        return false;
    *rest = slice_skip(*rest, 1);
    return true;
}

static bool clock_take_date(struct slice *rest, int64_t *ret_days)
{
    static const int64_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t y, m, d;
    if (!clock_take(rest, 4, 1970, 9999, &y) || !clock_take_char(rest, '-') ||
        !clock_take(rest, 2, 1, 12, &m) || !clock_take_char(rest, '-') ||
        !clock_take(rest, 2, 1, 31, &d))
        return false;
    bool is_leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > before[m] - before[m - 1] + (is_leap && m == 2))
        return false;
    int64_t leaps = (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400 - 477; /* 477 until 1969 */
    *ret_days = (y - 1970) * 365 + leaps + before[m - 1] + (is_leap && m > 2) + d - 1;
    return true;
}

/* Z, or an offset in minutes. */
static bool clock_take_zone(struct slice *rest, int64_t *ret_minutes)
{
    int64_t hours, minutes;
    *ret_minutes = 0;
    if (clock_take_char(rest, 'Z'))
        return true;
    bool is_west = rest->len > 0 && rest->ptr[0] == '-';
    if (rest->len == 0 || (!is_west && rest->ptr[0] != '+'))
        return false;
    *rest = slice_skip(*rest, 1);
    if (!clock_take(rest, 2, 0, 23, &hours) || !clock_take_char(rest, ':') ||
        !clock_take(rest, 2, 0, 59, &minutes))
        return false;
    *ret_minutes = (hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

bool clock_iso_read(struct slice text, int64_t *ret_wall_us)
{
    int64_t days, hour = 0, minute = 0, second = 0, fraction_us = 0, zone = 0, digit;
    if (!clock_take_date(&text, &days))
        return false;
    if (text.len > 0) {
        if (!clock_take_char(&text, 'T') || !clock_take(&text, 2, 0, 23, &hour) ||
            !clock_take_char(&text, ':') || !clock_take(&text, 2, 0, 59, &minute) ||
            !clock_take_char(&text, ':') || !clock_take(&text, 2, 0, 60, &second))
            return false;
        if (clock_take_char(&text, '.')) {
            int64_t unit = 100000;
            if (!clock_take(&text, 1, 0, 9, &digit))
                return false;
            do {
                fraction_us += digit * unit;
                unit /= 10;
            } while (clock_take(&text, 1, 0, 9, &digit));
        }
        if (!clock_take_zone(&text, &zone))
            return false;
    }
    int64_t seconds = ((days * 24 + hour) * 60 + minute - zone) * 60 + second;
    if (text.len > 0 || seconds < 0)
        return false;
    *ret_wall_us = seconds * 1000000 + fraction_us;
    return true;
}
