/* SPDX-License-Identifier: Apache-2.0
 *
 * See zone.h. */
#include "schedule/zone.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>

enum { ZONE_NAME_MAX = 64 };

struct zone {
    UCalendar *calendar;       /* NULL: UTC */
    struct cron_period period; /* the last one that was asked for; until 0 and from 0: none */
};

static bool is_utc(struct slice name)
{
    return name.len == 0 || slice_eq_cstr(name, "UTC") || slice_eq_cstr(name, "Etc/UTC") ||
           slice_eq_cstr(name, "GMT");
}

static enum err zone_bad(struct slice name, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "there is no time zone '%.*s'",
              SLICE_ARG(slice_utf8_clip(name, ZONE_NAME_MAX)));
    error_hint(ret_error, "write a name of the IANA database, as Europe/Berlin or UTC");
    return ERR_INVALID;
}

enum err zone_open(struct slice name, struct zone **ret_zone, struct error *ret_error)
{
    UChar units[ZONE_NAME_MAX + 1], canonical[ZONE_NAME_MAX + 1];
    UErrorCode status = U_ZERO_ERROR;
    UBool is_system = false;
    struct zone *z = NULL;
    if (!is_utc(name)) {
        if (name.len > ZONE_NAME_MAX)
            return zone_bad(name, ret_error);
        for (size_t k = 0; k < name.len; k++)
            units[k] = (UChar)(unsigned char)name.ptr[k];
        ucal_getCanonicalTimeZoneID(units, (int32_t)name.len, canonical, ZONE_NAME_MAX, &is_system,
                                    &status);
        if (U_FAILURE(status) || !is_system)
            return zone_bad(name, ret_error);
    }
    z = calloc(1, sizeof(*z));
    CHECK(z);
    if (!is_utc(name)) {
        z->calendar = ucal_open(units, (int32_t)name.len, "en", UCAL_GREGORIAN, &status);
        if (U_FAILURE(status)) {
            free(z);
            return error_set(ret_error, ERR_UNAVAILABLE, "time zones cannot be read: %s",
                             u_errorName(status));
        }
    }
    *ret_zone = z;
    return OK;
}

void zone_close(struct zone *z)
{
    if (z && z->calendar)
        ucal_close(z->calendar);
    free(z);
}

/* Seconds to be added to UTC at that moment. */
static int64_t offset_at(struct zone *z, int64_t at, UErrorCode *status)
{
    ucal_setMillis(z->calendar, (double)at * 1000, status);
    return (ucal_get(z->calendar, UCAL_ZONE_OFFSET, status) +
            ucal_get(z->calendar, UCAL_DST_OFFSET, status)) /
           1000;
}

/* The change of the clocks before or after what the calendar is set to; fallback: there is none. */
static int64_t change_at(struct zone *z, UTimeZoneTransitionType type, int64_t fallback,
                         UErrorCode *status)
{
    UDate at = 0;
    return ucal_getTimeZoneTransitionDate(z->calendar, type, &at, status) && U_SUCCESS(*status)
               ? (int64_t)(at / 1000)
               : fallback;
}

struct cron_period zone_period(void *zone, int64_t at)
{
    struct zone *z = zone;
    struct cron_period *p = &z->period;
    if (!z->calendar)
        return (struct cron_period){.from = INT64_MIN, .until = INT64_MAX};
    if (p->until > p->from && at >= p->from && at < p->until)
        return *p;
    UErrorCode status = U_ZERO_ERROR;
    p->offset = p->offset_before = offset_at(z, at, &status);
    p->until = change_at(z, UCAL_TZ_TRANSITION_NEXT, INT64_MAX, &status);
    p->from = change_at(z, UCAL_TZ_TRANSITION_PREVIOUS_INCLUSIVE, INT64_MIN, &status);
    if (p->from != INT64_MIN)
        p->offset_before = offset_at(z, p->from - 1, &status);
    return *p;
}
