/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates and time zones. Calendars are proleptic: the Gregorian one has no Julian days. */
#include "intl/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/uchar.h>
#include <unicode/udat.h>
#include <unicode/udateintervalformat.h>
#include <unicode/udatpg.h>
#include <unicode/ufieldpositer.h>
#include <unicode/uformattedvalue.h>
#include <unicode/ustring.h>

#include "base/check.h"

enum { KEPT_DATE = 16, KEPT_GENERATOR, KEPT_INTERVAL };
enum { KEY_BYTES = 3 * INTL_PATTERN_MAX };

/* The standard's time values end here, both ways. */
#define DATE_MS_MAX 8.64e15

static bool date_ms(struct slice text, double *ret_ms)
{
    char number[40], *end = NULL;
    if (text.len == 0 || text.len >= sizeof(number))
        return false;
    memcpy(number, text.ptr, text.len);
    number[text.len] = '\0';
    *ret_ms = strtod(number, &end);
    return !*end && isfinite(*ret_ms) && fabs(*ret_ms) <= DATE_MS_MAX;
}

static enum err date_refuse_ms(struct request *r)
{
    return error_set(r->error, ERR_INVALID, "not a valid time value");
}

static void generator_close(void *g)
{
    udatpg_close(g);
}

static UDateTimePatternGenerator *generator_open(const char *locale, UErrorCode *status)
{
    UDateTimePatternGenerator *g = kept_find(KEPT_GENERATOR, locale);
    if (g)
        return g;
    g = udatpg_open(locale, status);
    if (U_SUCCESS(*status)) {
        kept_add(KEPT_GENERATOR, locale, g, generator_close);
        return g;
    }
    udatpg_close(g);
    return NULL;
}

enum err intl_date_pattern(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar skeleton[INTL_PATTERN_MAX], pattern[INTL_PATTERN_MAX];
    int32_t len = 0;
    UDateTimePatternGenerator *g = generator_open(r->text[0], &status);
    if (!units_of(slice_cstr(r->text[1]), skeleton, INTL_PATTERN_MAX, &len))
        status = U_ILLEGAL_ARGUMENT_ERROR;
    len = udatpg_getBestPatternWithOptions(g, skeleton, len, UDATPG_MATCH_HOUR_FIELD_LENGTH,
                                           pattern, INTL_PATTERN_MAX, &status);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    units_append(r->out, pattern, len);
    return OK;
}

static UDateFormatStyle date_style_of(const char *text)
{
    static const UDateFormatStyle styles[] = {UDAT_FULL, UDAT_LONG, UDAT_MEDIUM, UDAT_SHORT};
    return text[0] >= '0' && text[0] <= '3' && !text[1] ? styles[text[0] - '0'] : UDAT_NONE;
}

enum err intl_date_style(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar pattern[INTL_PATTERN_MAX];
    UDateFormat *f = udat_open(date_style_of(r->text[2]), date_style_of(r->text[1]), r->text[0],
                               u"UTC", 3, NULL, 0, &status);
    int32_t len =
        U_SUCCESS(status) ? udat_toPattern(f, false, pattern, INTL_PATTERN_MAX, &status) : 0;
    udat_close(f);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    units_append(r->out, pattern, len);
    return OK;
}

static void date_close(void *f)
{
    udat_close(f);
}

/* A calendar of the locale and zone, without Julian days. */
static UCalendar *date_calendar(const char *locale, const UChar *zone, int32_t zone_len,
                                UErrorCode *status)
{
    UCalendar *calendar = ucal_open(zone, zone_len, locale, UCAL_DEFAULT, status);
    UErrorCode other = U_ZERO_ERROR; /* of calendars that are not Gregorian */
    if (U_SUCCESS(*status))
        ucal_setGregorianChange(calendar, -DATE_MS_MAX, &other);
    return calendar;
}

static UDateFormat *date_open(struct request *r, UErrorCode *status)
{
    char key[KEY_BYTES];
    UChar zone[64], pattern[INTL_PATTERN_MAX];
    int32_t zone_len = 0, len = 0;
    snprintf(key, sizeof(key), "%s %s %s", r->text[0], r->text[1], r->text[2]);
    UDateFormat *f = kept_find(KEPT_DATE, key);
    if (f)
        return f;
    if (!units_of(slice_cstr(r->text[1]), zone, 64, &zone_len) ||
        !units_of(slice_cstr(r->text[2]), pattern, INTL_PATTERN_MAX, &len))
        *status = U_ILLEGAL_ARGUMENT_ERROR;
    f = udat_open(UDAT_PATTERN, UDAT_PATTERN, r->text[0], zone, zone_len, pattern, len, status);
    UCalendar *calendar = date_calendar(r->text[0], zone, zone_len, status);
    if (U_SUCCESS(*status)) {
        udat_setCalendar(f, calendar);
        kept_add(KEPT_DATE, key, f, date_close);
    } else {
        udat_close(f);
        f = NULL;
    }
    ucal_close(calendar);
    return f;
}

enum err intl_date(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar units[INTL_UNITS];
    double ms;
    if (!date_ms(slice_cstr(r->text[3]), &ms))
        return date_refuse_ms(r);
    UDateFormat *f = date_open(r, &status);
    UFieldPositionIterator *fields = ufieldpositer_open(&status);
    int32_t len =
        U_SUCCESS(status) ? udat_formatForFields(f, ms, units, INTL_UNITS, fields, &status) : 0;
    if (U_SUCCESS(status)) {
        int32_t begin = 0, end = 0, field;
        units_append(r->out, units, len);
        bytes_append_char(r->out, '\0');
        while ((field = ufieldpositer_next(fields, &begin, &end)) >= 0)
            bytes_printf(r->out, "%d %d %d ", UFIELD_CATEGORY_DATE * 256 + field, begin, end);
    }
    ufieldpositer_close(fields);
    return U_SUCCESS(status) ? OK : intl_refuse(r, status);
}

static void interval_close(void *f)
{
    udtitvfmt_close(f);
}

enum err intl_date_range(struct request *r)
{
    char key[KEY_BYTES];
    UErrorCode status = U_ZERO_ERROR;
    UChar zone[64], skeleton[INTL_PATTERN_MAX];
    int32_t zone_len = 0, len = 0;
    double from, to;
    if (!date_ms(slice_cstr(r->text[3]), &from) || !date_ms(slice_cstr(r->text[4]), &to))
        return date_refuse_ms(r);
    snprintf(key, sizeof(key), "%s %s %s", r->text[0], r->text[1], r->text[2]);
    UDateIntervalFormat *f = kept_find(KEPT_INTERVAL, key);
    if (!f) {
        if (!units_of(slice_cstr(r->text[1]), zone, 64, &zone_len) ||
            !units_of(slice_cstr(r->text[2]), skeleton, INTL_PATTERN_MAX, &len))
            status = U_ILLEGAL_ARGUMENT_ERROR;
        f = udtitvfmt_open(r->text[0], skeleton, len, zone, zone_len, &status);
        if (U_FAILURE(status)) {
            udtitvfmt_close(f);
            return intl_refuse(r, status);
        }
        kept_add(KEPT_INTERVAL, key, f, interval_close);
    }
    UFormattedDateInterval *result = udtitvfmt_openResult(&status);
    udtitvfmt_formatToResult(f, from, to, result, &status);
    enum err err = U_SUCCESS(status) ? value_append(r, udtitvfmt_resultAsValue(result, &status))
                                     : intl_refuse(r, status);
    udtitvfmt_closeResult(result);
    return err;
}

enum err intl_zone(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar asked[64], canonical[64];
    int32_t asked_len = 0, len = 0;
    bool is_found = false;
    UEnumeration *zones = ucal_openTimeZoneIDEnumeration(UCAL_ZONE_TYPE_ANY, NULL, NULL, &status);
    const UChar *zone;
    if (!units_of(r->last, asked, 64, &asked_len))
        asked_len = 0;
    while (!is_found && U_SUCCESS(status) && (zone = uenum_unext(zones, &len, &status)))
        is_found = len == asked_len && u_strncasecmp(zone, asked, len, U_FOLD_CASE_DEFAULT) == 0;
    if (is_found) {
        UBool is_system = false;
        int32_t n = ucal_getCanonicalTimeZoneID(zone, len, canonical, 64, &is_system, &status);
        is_found = U_SUCCESS(status) && is_system;
        if (is_found)
            units_append(r->out, canonical, n);
    }
    uenum_close(zones);
    return is_found ? OK : error_set(r->error, ERR_INVALID, "there is no such time zone");
}
