/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, plurals, relative times, lists: what gives ICU's formatted values. */
#include "intl/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uformattedvalue.h>
#include <unicode/ulistformatter.h>
#include <unicode/unumberformatter.h>
#include <unicode/unumberrangeformatter.h>
#include <unicode/upluralrules.h>
#include <unicode/ureldatefmt.h>

#include "base/check.h"

enum { KEPT_NUMBER = 1, KEPT_PLURAL, KEPT_RELATIVE, KEPT_LIST, KEPT_RANGE };
enum { KEY_BYTES = 3 * INTL_PATTERN_MAX };

enum err value_append(struct request *r, const UFormattedValue *value)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t len = 0;
    const UChar *units = ufmtval_getString(value, &len, &status);
    UConstrainedFieldPosition *position = ucfpos_open(&status);
    if (U_FAILURE(status)) {
        ucfpos_close(position);
        return intl_refuse(r, status);
    }
    units_append(r->out, units, len);
    bytes_append_char(r->out, '\0');
    while (ufmtval_nextPosition(value, position, &status)) {
        int32_t begin = 0, end = 0;
        ucfpos_getIndexes(position, &begin, &end, &status);
        bytes_printf(r->out, "%d %d %d ",
                     ucfpos_getCategory(position, &status) * 256 +
                         (ucfpos_getField(position, &status) & 255),
                     begin, end);
    }
    ucfpos_close(position);
    return U_SUCCESS(status) ? OK : intl_refuse(r, status);
}

static void number_close(void *f)
{
    unumf_close(f);
}

/* NULL: refused, *status says why. */
static UNumberFormatter *number_open(const char *locale, const char *skeleton, UErrorCode *status)
{
    char key[KEY_BYTES];
    UChar units[INTL_PATTERN_MAX];
    int32_t len = 0;
    snprintf(key, sizeof(key), "%s %s", locale, skeleton);
    UNumberFormatter *f = kept_find(KEPT_NUMBER, key);
    if (f)
        return f;
    if (!units_of(slice_cstr(skeleton), units, INTL_PATTERN_MAX, &len))
        *status = U_ILLEGAL_ARGUMENT_ERROR;
    f = unumf_openForSkeletonAndLocale(units, len, locale, status);
    if (U_SUCCESS(*status)) {
        kept_add(KEPT_NUMBER, key, f, number_close);
        return f;
    }
    unumf_close(f);
    return NULL;
}

/* A formatted number, to be closed; NULL: refused. */
static UFormattedNumber *number_format(struct request *r, const char *skeleton,
                                       struct slice decimal, UErrorCode *status)
{
    if (!number_is_sane(decimal)) {
        *status = U_DECIMAL_NUMBER_SYNTAX_ERROR;
        return NULL;
    }
    const UNumberFormatter *f = number_open(r->text[0], skeleton, status);
    UFormattedNumber *result = unumf_openResult(status);
    if (slice_eq_cstr(decimal, "NaN") && U_SUCCESS(*status))
        unumf_formatDouble(f, NAN, result, status);
    else if (slice_eq_cstr(decimal, "Infinity") && U_SUCCESS(*status))
        unumf_formatDouble(f, INFINITY, result, status);
    else if (slice_eq_cstr(decimal, "-Infinity") && U_SUCCESS(*status))
        unumf_formatDouble(f, -INFINITY, result, status);
    else if (slice_eq_cstr(decimal, "-0") && U_SUCCESS(*status))
        unumf_formatDouble(f, -0.0, result, status);
    else
        unumf_formatDecimal(f, decimal.ptr, (int32_t)decimal.len, result, status);
    if (U_SUCCESS(*status))
        return result;
    unumf_closeResult(result);
    return NULL;
}

enum err intl_number(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UFormattedNumber *number = number_format(r, r->text[1], r->last, &status);
    if (!number)
        return intl_refuse(r, status);
    enum err err = value_append(r, unumf_resultAsValue(number, &status));
    unumf_closeResult(number);
    return err;
}

static void range_close(void *f)
{
    unumrf_close(f);
}

static UNumberRangeFormatter *range_open(const char *locale, const char *skeleton,
                                         UErrorCode *status)
{
    char key[KEY_BYTES];
    UChar units[INTL_PATTERN_MAX];
    int32_t len = 0;
    UParseError where;
    snprintf(key, sizeof(key), "%s %s", locale, skeleton);
    UNumberRangeFormatter *f = kept_find(KEPT_RANGE, key);
    if (f)
        return f;
    if (!units_of(slice_cstr(skeleton), units, INTL_PATTERN_MAX, &len))
        *status = U_ILLEGAL_ARGUMENT_ERROR;
    f = unumrf_openForSkeletonWithCollapseAndIdentityFallback(units, len, UNUM_RANGE_COLLAPSE_AUTO,
                                                              UNUM_IDENTITY_FALLBACK_APPROXIMATELY,
                                                              locale, &where, status);
    if (U_SUCCESS(*status)) {
        kept_add(KEPT_RANGE, key, f, range_close);
        return f;
    }
    unumrf_close(f);
    return NULL;
}

/* A formatted range, to be closed; NULL: refused. */
static UFormattedNumberRange *range_format(struct request *r, const char *skeleton,
                                           struct slice first, UErrorCode *status)
{
    if (!number_is_sane(first) || !number_is_sane(r->last)) {
        *status = U_DECIMAL_NUMBER_SYNTAX_ERROR;
        return NULL;
    }
    const UNumberRangeFormatter *f = range_open(r->text[0], skeleton, status);
    UFormattedNumberRange *result = unumrf_openResult(status);
    unumrf_formatDecimalRange(f, first.ptr, (int32_t)first.len, r->last.ptr, (int32_t)r->last.len,
                              result, status);
    if (U_SUCCESS(*status))
        return result;
    unumrf_closeResult(result);
    return NULL;
}

enum err intl_number_range(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UFormattedNumberRange *range = range_format(r, r->text[1], slice_cstr(r->text[2]), &status);
    if (!range)
        return intl_refuse(r, status);
    enum err err = value_append(r, unumrf_resultAsValue(range, &status));
    unumrf_closeResult(range);
    return err;
}

/* ---- plurals ---- */

static void plural_close(void *rules)
{
    uplrules_close(rules);
}

static UPluralRules *plural_open(struct request *r, UErrorCode *status)
{
    char key[KEY_BYTES];
    bool is_ordinal = r->text[1][0] == '1';
    snprintf(key, sizeof(key), "%s %d", r->text[0], is_ordinal);
    UPluralRules *rules = kept_find(KEPT_PLURAL, key);
    if (rules)
        return rules;
    rules = uplrules_openForType(r->text[0],
                                 is_ordinal ? UPLURAL_TYPE_ORDINAL : UPLURAL_TYPE_CARDINAL, status);
    if (U_SUCCESS(*status)) {
        kept_add(KEPT_PLURAL, key, rules, plural_close);
        return rules;
    }
    uplrules_close(rules);
    return NULL;
}

enum err intl_plural(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar keyword[32];
    int32_t len = 0;
    UFormattedNumber *number = number_format(r, r->text[2], r->last, &status);
    const UPluralRules *rules = number ? plural_open(r, &status) : NULL;
    if (rules)
        len = uplrules_selectFormatted(rules, number, keyword, 32, &status);
    unumf_closeResult(number);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    units_append(r->out, keyword, len);
    return OK;
}

enum err intl_plural_range(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar keyword[32];
    int32_t len = 0;
    UFormattedNumberRange *range = range_format(r, r->text[2], slice_cstr(r->text[3]), &status);
    const UPluralRules *rules = range ? plural_open(r, &status) : NULL;
    if (rules)
        len = uplrules_selectForRange(rules, range, keyword, 32, &status);
    unumrf_closeResult(range);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    units_append(r->out, keyword, len);
    return OK;
}

enum err intl_plural_keywords(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    const UPluralRules *rules = plural_open(r, &status);
    UEnumeration *words = rules ? uplrules_getKeywords(rules, &status) : NULL;
    int32_t len = 0;
    const char *word;
    for (int n = 0; U_SUCCESS(status) && (word = uenum_next(words, &len, &status)); n++) {
        if (n > 0)
            bytes_append_char(r->out, '\0');
        bytes_append(r->out, word, (size_t)len);
    }
    uenum_close(words);
    return U_SUCCESS(status) ? OK : intl_refuse(r, status);
}

/* ---- relative times, lists ---- */

static void relative_close(void *f)
{
    ureldatefmt_close(f);
}

static int choice(const char *text, int count)
{
    int n = text[0] - '0';
    return text[0] && !text[1] && n >= 0 && n < count ? n : 0;
}

enum err intl_relative(struct request *r)
{
    static const UDateRelativeDateTimeFormatterStyle styles[] = {UDAT_STYLE_LONG, UDAT_STYLE_SHORT,
                                                                 UDAT_STYLE_NARROW};
    static const char *const units[] = {"year", "quarter", "month",  "week",
                                        "day",  "hour",    "minute", "second"};
    static const URelativeDateTimeUnit kinds[] = {
        UDAT_REL_UNIT_YEAR, UDAT_REL_UNIT_QUARTER, UDAT_REL_UNIT_MONTH,  UDAT_REL_UNIT_WEEK,
        UDAT_REL_UNIT_DAY,  UDAT_REL_UNIT_HOUR,    UDAT_REL_UNIT_MINUTE, UDAT_REL_UNIT_SECOND};
    char key[KEY_BYTES], number[64], *end = NULL;
    UErrorCode status = U_ZERO_ERROR;
    size_t unit = 0;
    while (unit < 8 && strcmp(units[unit], r->text[3]) != 0)
        unit++;
    if (unit == 8 || r->last.len >= sizeof(number))
        return intl_refuse(r, U_ILLEGAL_ARGUMENT_ERROR);
    memcpy(number, r->last.ptr, r->last.len);
    number[r->last.len] = '\0';
    double value = strtod(number, &end);
    if (end == number || *end || !isfinite(value))
        return intl_refuse(r, U_ILLEGAL_ARGUMENT_ERROR);
    snprintf(key, sizeof(key), "%s %s", r->text[0], r->text[1]);
    URelativeDateTimeFormatter *f = kept_find(KEPT_RELATIVE, key);
    if (!f) {
        f = ureldatefmt_open(r->text[0], NULL, styles[choice(r->text[1], 3)],
                             UDISPCTX_CAPITALIZATION_NONE, &status);
        if (U_FAILURE(status)) {
            ureldatefmt_close(f);
            return intl_refuse(r, status);
        }
        kept_add(KEPT_RELATIVE, key, f, relative_close);
    }
    UFormattedRelativeDateTime *result = ureldatefmt_openResult(&status);
    if (choice(r->text[2], 2) == 0)
        ureldatefmt_formatNumericToResult(f, value, kinds[unit], result, &status);
    else
        ureldatefmt_formatToResult(f, value, kinds[unit], result, &status);
    enum err err = U_SUCCESS(status) ? value_append(r, ureldatefmt_resultAsValue(result, &status))
                                     : intl_refuse(r, status);
    ureldatefmt_closeResult(result);
    return err;
}

static void list_close(void *f)
{
    ulistfmt_close(f);
}

enum err intl_list(struct request *r)
{
    enum { ITEMS_MAX = 4096 };
    static const UListFormatterType types[] = {ULISTFMT_TYPE_AND, ULISTFMT_TYPE_OR,
                                               ULISTFMT_TYPE_UNITS};
    static const UListFormatterWidth widths[] = {ULISTFMT_WIDTH_WIDE, ULISTFMT_WIDTH_SHORT,
                                                 ULISTFMT_WIDTH_NARROW};
    char key[KEY_BYTES];
    UErrorCode status = U_ZERO_ERROR;
    snprintf(key, sizeof(key), "%s %s %s", r->text[0], r->text[1], r->text[2]);
    UListFormatter *f = kept_find(KEPT_LIST, key);
    if (!f) {
        f = ulistfmt_openForType(r->text[0], types[choice(r->text[1], 3)],
                                 widths[choice(r->text[2], 3)], &status);
        if (U_FAILURE(status)) {
            ulistfmt_close(f);
            return intl_refuse(r, status);
        }
        kept_add(KEPT_LIST, key, f, list_close);
    }
    size_t cap = r->last.len + 1, used = 0;
    UChar *units = malloc(cap * sizeof(*units));
    const UChar **items = malloc(ITEMS_MAX * sizeof(*items));
    int32_t *lens = malloc(ITEMS_MAX * sizeof(*lens)), count = 0;
    if (!units || !items || !lens)
        check_out_of_memory(cap * sizeof(*units));
    struct slice rest = r->last;
    while (rest.len > 0 && count < ITEMS_MAX) { /* each item is ended by a NUL */
        struct slice item = slice_split(&rest, '\0');
        if (!units_of(item, units + used, (int32_t)(cap - used), &lens[count]))
            break;
        items[count] = units + used;
        used += (size_t)lens[count++];
    }
    enum err err = OK;
    if (rest.len > 0) {
        err = error_set(r->error, ERR_TOO_LARGE, "a list has more than %d items", ITEMS_MAX);
    } else {
        UFormattedList *result = ulistfmt_openResult(&status);
        ulistfmt_formatStringsToResult(f, items, lens, count, result, &status);
        err = U_SUCCESS(status) ? value_append(r, ulistfmt_resultAsValue(result, &status))
                                : intl_refuse(r, status);
        ulistfmt_closeResult(result);
    }
    free(units);
    free(items);
    free(lens);
    return err;
}
