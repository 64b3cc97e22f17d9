/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a locale, and of which values there are: Intl.Locale, Intl.DisplayNames,
 * Intl.supportedValuesOf(). */
#include "intl/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/ucol.h>
#include <unicode/ucurr.h>
#include <unicode/udatpg.h>
#include <unicode/uenum.h>
#include <unicode/uldnames.h>
#include <unicode/uloc.h>
#include <unicode/unumsys.h>

enum { KEPT_NAMES = 48, KEPT_FIELD_NAMES = 49 };
enum { CODE_BYTES = 160, KEY_BYTES = INTL_PATTERN_MAX + 16 };

/* ---- lists ---- */

/* Appends the values, joined by blanks; one that `name` says NULL of is left out. Closes the list. */
static enum err list_append(struct request *r, UEnumeration *list, UErrorCode status,
                            const char *(*name)(const char *value))
{
    const size_t begin = r->out->len;
    const char *value;
    int32_t len;
    while (U_SUCCESS(status) && (value = uenum_next(list, &len, &status))) {
        const char *shown = name ? name(value) : value;
        if (!shown)
            continue;
        if (r->out->len > begin)
            bytes_append_char(r->out, ' ');
        bytes_append_cstr(r->out, shown);
    }
    uenum_close(list);
    return U_SUCCESS(status) ? OK : intl_refuse(r, status);
}

static const char *calendar_name(const char *value)
{
    return uloc_toUnicodeLocaleType("calendar", value);
}

/* Those that sort as the default does, for searching, or by old character sets, are no values of the
 * standard's lists. */
static const char *collation_name(const char *value)
{
    static const char *const others[] = {"standard", "search", "big5han", "gb2312"};
    const char *name = uloc_toUnicodeLocaleType("collation", value);
    for (size_t i = 0; name && i < sizeof(others) / sizeof(*others); i++)
        if (strcmp(name, others[i]) == 0)
            return NULL;
    return name;
}

static const char *numbering_name(const char *value)
{
    UErrorCode status = U_ZERO_ERROR;
    UNumberingSystem *system = unumsys_openByName(value, &status);
    const bool has_digits = U_SUCCESS(status) && !unumsys_isAlgorithmic(system);
    unumsys_close(system);
    return has_digits ? value : NULL;
}

enum err intl_values(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    switch (r->last.len == 1 ? r->last.ptr[0] : 0) {
    case 'c':
        return list_append(r, ucal_getKeywordValuesForLocale("calendar", "und", false, &status),
                           status, calendar_name);
    case 'o':
        return list_append(r, ucol_getKeywordValues("collation", &status), status, collation_name);
    case 'u':
        return list_append(r, ucurr_openISOCurrencies(UCURR_COMMON | UCURR_NON_DEPRECATED, &status),
                           status, NULL);
    case 'n':
        return list_append(r, unumsys_openAvailableNames(&status), status, numbering_name);
    case 'z':
        return list_append(
            r, ucal_openTimeZoneIDEnumeration(UCAL_ZONE_TYPE_CANONICAL, NULL, NULL, &status),
            status, NULL);
    default:
        return intl_refuse(r, U_ILLEGAL_ARGUMENT_ERROR);
    }
}

/* ---- of a locale ---- */

static enum err locale_zones(struct request *r)
{
    char region[8];
    UErrorCode status = U_ZERO_ERROR;
    if (uloc_getCountry(r->text[0], region, sizeof(region), &status) == 0 || U_FAILURE(status))
        return OK;
    return list_append(
        r, ucal_openTimeZoneIDEnumeration(UCAL_ZONE_TYPE_CANONICAL, region, NULL, &status), status,
        NULL);
}

/* First day of the week, Monday 1 to Sunday 7; days of the first week; the days of the weekend. */
static enum err locale_week(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UCalendar *calendar = ucal_open(u"UTC", 3, r->text[0], UCAL_DEFAULT, &status);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    const int first = ucal_getAttribute(calendar, UCAL_FIRST_DAY_OF_WEEK);
    char text[32];
    snprintf(text, sizeof(text), "%d %d", first == UCAL_SUNDAY ? 7 : first - 1,
             (int)ucal_getAttribute(calendar, UCAL_MINIMAL_DAYS_IN_FIRST_WEEK));
    bytes_append_cstr(r->out, text);
    for (int day = 1; day <= 7; day++) {
        UCalendarDaysOfWeek of = day == 7 ? UCAL_SUNDAY : (UCalendarDaysOfWeek)(day + 1);
        UCalendarWeekdayType type = ucal_getDayOfWeekType(calendar, of, &status);
        if (U_FAILURE(status) || (type != UCAL_WEEKEND && type != UCAL_WEEKEND_CEASE))
            continue;
        bytes_append_char(r->out, ' ');
        bytes_append_char(r->out, (char)('0' + day));
    }
    ucal_close(calendar);
    return OK;
}

static enum err locale_hours(struct request *r)
{
    static const char *const names[] = {"h11", "h12", "h23", "h24"}; /* UDateFormatHourCycle */
    UErrorCode status = U_ZERO_ERROR;
    UDateTimePatternGenerator *generator = udatpg_open(r->text[0], &status);
    UDateFormatHourCycle cycle =
        U_SUCCESS(status) ? udatpg_getDefaultHourCycle(generator, &status) : UDAT_HOUR_CYCLE_23;
    udatpg_close(generator);
    if (U_FAILURE(status) || (unsigned)cycle > UDAT_HOUR_CYCLE_24)
        return intl_refuse(r, U_FAILURE(status) ? status : U_ILLEGAL_ARGUMENT_ERROR);
    bytes_append_cstr(r->out, names[cycle]);
    return OK;
}

enum err intl_locale(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    switch (r->last.len == 1 ? r->last.ptr[0] : 0) {
    case 'c':
        return list_append(r, ucal_getKeywordValuesForLocale("calendar", r->text[0], true, &status),
                           status, calendar_name);
    case 'o':
        return list_append(r,
                           ucol_getKeywordValuesForLocale("collation", r->text[0], true, &status),
                           status, collation_name);
    case 'z':
        return locale_zones(r);
    case 'r':
        bytes_append_cstr(r->out, uloc_isRightToLeft(r->text[0]) ? "rtl" : "ltr");
        return OK;
    case 'w':
        return locale_week(r);
    case 'h':
        return locale_hours(r);
    default:
        return intl_refuse(r, U_ILLEGAL_ARGUMENT_ERROR);
    }
}

enum err intl_likely(struct request *r)
{
    char id[INTL_PATTERN_MAX], tag[INTL_PATTERN_MAX];
    UErrorCode status = U_ZERO_ERROR;
    if (slice_eq_cstr(r->last, "1"))
        uloc_addLikelySubtags(r->text[0], id, sizeof(id), &status);
    else
        uloc_minimizeSubtags(r->text[0], id, sizeof(id), &status);
    int32_t len = 0;
    if (U_SUCCESS(status) && status != U_STRING_NOT_TERMINATED_WARNING)
        len = uloc_toLanguageTag(id, tag, sizeof(tag), true, &status);
    if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING)
        return intl_refuse(r, U_FAILURE(status) ? status : U_BUFFER_OVERFLOW_ERROR);
    bytes_append(r->out, tag, (size_t)len);
    return OK;
}

/* ---- names ---- */

static void names_close(void *names)
{
    uldn_close(names);
}

/* style: 'l' long, 's' short or narrow; is_dialect: "Canadian French", else "French (Canada)". */
static ULocaleDisplayNames *names_open(struct request *r, char style, bool is_dialect,
                                       UErrorCode *status)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof(key), "%s %c%d", r->text[0], style, is_dialect);
    ULocaleDisplayNames *names = kept_find(KEPT_NAMES, key);
    if (names)
        return names;
    UDisplayContext contexts[] = {
        is_dialect ? UDISPCTX_DIALECT_NAMES : UDISPCTX_STANDARD_NAMES,
        style == 'l' ? UDISPCTX_LENGTH_FULL : UDISPCTX_LENGTH_SHORT,
        UDISPCTX_CAPITALIZATION_NONE,
        UDISPCTX_NO_SUBSTITUTE,
    };
    names = uldn_openForContext(r->text[0], contexts, sizeof(contexts) / sizeof(*contexts), status);
    if (U_FAILURE(*status)) {
        uldn_close(names);
        return NULL;
    }
    kept_add(KEPT_NAMES, key, names, names_close);
    return names;
}

/* The long name for each style, as V8 has it: the others are symbols, which NumberFormat shows. */
static int32_t name_of_currency(struct request *r, const char *code, UChar *name,
                                UErrorCode *status)
{
    UChar iso[4] = {0};
    UBool is_choice;
    int32_t len = 0;
    if (strlen(code) != 3)
        return 0;
    for (int i = 0; i < 3; i++)
        iso[i] = (UChar)(unsigned char)code[i];
    const UChar *found = ucurr_getName(iso, r->text[0], UCURR_LONG_NAME, &is_choice, &len, status);
    if (U_FAILURE(*status) || *status == U_USING_DEFAULT_WARNING || len >= INTL_UNITS)
        return 0;
    memcpy(name, found, (size_t)len * sizeof(*name));
    return len;
}

static void field_names_close(void *generator)
{
    udatpg_close(generator);
}

static int32_t name_of_field(struct request *r, const char *code, UChar *name, UErrorCode *status)
{
    const char style = r->text[2][0];
    const int field = (int)strtol(code, NULL, 10);
    if (field < 0 || field >= UDATPG_FIELD_COUNT)
        return 0;
    UDateTimePatternGenerator *generator = kept_find(KEPT_FIELD_NAMES, r->text[0]);
    if (!generator) {
        generator = udatpg_open(r->text[0], status);
        if (U_FAILURE(*status)) {
            udatpg_close(generator);
            return 0;
        }
        kept_add(KEPT_FIELD_NAMES, r->text[0], generator, field_names_close);
    }
    return udatpg_getFieldDisplayName(generator, (UDateTimePatternField)field,
                                      style == 'l'   ? UDATPG_WIDE
                                      : style == 's' ? UDATPG_ABBREVIATED
                                                     : UDATPG_NARROW,
                                      name, INTL_UNITS, status);
}

static int32_t name_of_part(struct request *r, const char *code, UChar *name, UErrorCode *status)
{
    const char kind = r->text[1][0];
    char id[INTL_PATTERN_MAX];
    int32_t parsed = 0;
    const ULocaleDisplayNames *names =
        names_open(r, r->text[2][0] == 'l' ? 'l' : 's', kind == 'd', status);
    if (!names)
        return 0;
    switch (kind) {
    case 'd':
    case 'l':
        uloc_forLanguageTag(code, id, sizeof(id), &parsed, status);
        if (U_FAILURE(*status) || *status == U_STRING_NOT_TERMINATED_WARNING)
            return 0;
        return uldn_localeDisplayName(names, id, name, INTL_UNITS, status);
    case 'r':
        return uldn_regionDisplayName(names, code, name, INTL_UNITS, status);
    case 's':
        return uldn_scriptDisplayName(names, code, name, INTL_UNITS, status);
    case 'a': {
        const char *type = uloc_toLegacyType("calendar", code);
        return type ? uldn_keyValueDisplayName(names, "calendar", type, name, INTL_UNITS, status)
                    : 0;
    }
    default:
        *status = U_ILLEGAL_ARGUMENT_ERROR;
        return 0;
    }
}

enum err intl_name(struct request *r)
{
    UChar name[INTL_UNITS];
    char code[CODE_BYTES] = "";
    UErrorCode status = U_ZERO_ERROR;
    if (r->last.len >= sizeof(code) || r->last.len == 0 || memchr(r->last.ptr, 0, r->last.len))
        return intl_refuse(r, U_ILLEGAL_ARGUMENT_ERROR);
    memcpy(code, r->last.ptr, r->last.len);
    int32_t len = r->text[1][0] == 'u'   ? name_of_currency(r, code, name, &status)
                  : r->text[1][0] == 'f' ? name_of_field(r, code, name, &status)
                                         : name_of_part(r, code, name, &status);
    if (status == U_ILLEGAL_ARGUMENT_ERROR) /* also what NO_SUBSTITUTE says of an unknown one */
        return OK;
    if (U_FAILURE(status) || len > INTL_UNITS)
        return intl_refuse(r, U_FAILURE(status) ? status : U_BUFFER_OVERFLOW_ERROR);
    units_append(r->out, name, len);
    return OK;
}
