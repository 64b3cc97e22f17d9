/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads requests and keeps what was opened: see intl.h. */
#include "intl/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/uloc.h>
#include <unicode/unumsys.h>
#include <unicode/ures.h>
#include <unicode/ustring.h>

#include "base/check.h"

/* ---- what is kept, per thread ---- */

struct kept {
    char *key;
    int kind;
    uint64_t used; /* when; 0: free */
    void *object;
    void (*close)(void *);
};

struct shelf {
    uint64_t clock;
    struct kept kept[INTL_KEPT];
};

static pthread_key_t shelf_key;
static pthread_once_t shelf_once = PTHREAD_ONCE_INIT;

static void kept_drop(struct kept *k)
{
    if (k->used)
        k->close(k->object);
    free(k->key);
    *k = (struct kept){0};
}

static void shelf_free(void *arg)
{
    struct shelf *s = arg;
    for (size_t i = 0; i < INTL_KEPT; i++)
        kept_drop(&s->kept[i]);
    free(s);
}

static void shelf_make_key(void)
{
    CHECK(pthread_key_create(&shelf_key, shelf_free) == 0);
}

static struct shelf *shelf_own(void)
{
    pthread_once(&shelf_once, shelf_make_key);
    struct shelf *s = pthread_getspecific(shelf_key);
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s || pthread_setspecific(shelf_key, s) != 0)
            check_out_of_memory(sizeof(*s));
    }
    return s;
}

void *kept_find(int kind, const char *key)
{
    struct shelf *s = shelf_own();
    for (size_t i = 0; i < INTL_KEPT; i++) {
        struct kept *k = &s->kept[i];
        if (k->used && k->kind == kind && strcmp(k->key, key) == 0) {
            k->used = ++s->clock;
            return k->object;
        }
    }
    return NULL;
}

void kept_add(int kind, const char *key, void *object, void (*close)(void *))
{
    struct shelf *s = shelf_own();
    struct kept *oldest = s->kept;
    for (size_t i = 1; i < INTL_KEPT; i++)
        if (s->kept[i].used < oldest->used)
            oldest = &s->kept[i];
    kept_drop(oldest);
    *oldest = (struct kept){.kind = kind, .used = ++s->clock, .object = object, .close = close};
    oldest->key = strdup(key);
    if (!oldest->key)
        check_out_of_memory(strlen(key));
}

/* ---- texts ---- */

bool units_of(struct slice text, UChar *ret, int32_t cap, int32_t *ret_len)
{
    UErrorCode status = U_ZERO_ERROR;
    u_strFromUTF8WithSub(ret, cap, ret_len, text.ptr, (int32_t)text.len, 0xFFFD, NULL, &status);
    return U_SUCCESS(status);
}

void units_append(struct bytes *out, const UChar *units, int32_t len)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t written = 0;
    bytes_reserve(out, (size_t)len * 3);
    u_strToUTF8WithSub(out->ptr + out->len, len * 3, &written, units, len, 0xFFFD, NULL, &status);
    if (U_SUCCESS(status))
        out->len += (size_t)written;
}

enum err intl_refuse(struct request *r, UErrorCode status)
{
    if (status == U_MEMORY_ALLOCATION_ERROR)
        check_out_of_memory(0);
    return error_set(r->error, ERR_INVALID, "these options are not valid (%s)",
                     u_errorName(status));
}

bool number_is_sane(struct slice decimal)
{
    if (decimal.len == 0 || decimal.len > INTL_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < decimal.len; i++) { /* an exponent: three digits */
        char c = decimal.ptr[i];
        if ((c == 'e' || c == 'E') && decimal.len - i > 5)
            return false;
    }
    return true;
}

/* ---- locales ---- */

static enum err intl_canonical(struct request *r)
{
    char tag[INTL_PATTERN_MAX] = "", id[INTL_PATTERN_MAX], canonical[INTL_PATTERN_MAX];
    UErrorCode status = U_ZERO_ERROR;
    int32_t parsed = 0;
    if (r->last.len == 0 || r->last.len >= sizeof(tag) || memchr(r->last.ptr, 0, r->last.len))
        return error_set(r->error, ERR_INVALID, "not a language tag");
    memcpy(tag, r->last.ptr, r->last.len);
    uloc_forLanguageTag(tag, id, sizeof(id), &parsed, &status);
    if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING ||
        parsed != (int32_t)r->last.len)
        return error_set(r->error, ERR_INVALID, "not a language tag");
    int32_t len = uloc_toLanguageTag(id, canonical, sizeof(canonical), true, &status);
    if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING)
        return error_set(r->error, ERR_INVALID, "not a language tag");
    bytes_append(r->out, canonical, (size_t)len);
    return OK;
}

static enum err intl_available(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UResourceBundle *bundle = ures_open(NULL, r->text[0], &status);
    bool is_there = U_SUCCESS(status) && status != U_USING_DEFAULT_WARNING &&
                    status != U_USING_FALLBACK_WARNING;
    ures_close(bundle);
    bytes_append_char(r->out, is_there ? '1' : '0');
    return OK;
}

static enum err intl_numbering(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UNumberingSystem *system = unumsys_open(r->text[0], &status);
    if (U_SUCCESS(status) && !unumsys_isAlgorithmic(system))
        bytes_append_cstr(r->out, unumsys_getName(system));
    else if (U_SUCCESS(status))
        bytes_append_cstr(r->out, "latn");
    unumsys_close(system);
    return U_SUCCESS(status) ? OK : intl_refuse(r, status);
}

static enum err intl_calendar(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UCalendar *calendar = ucal_open(u"UTC", 3, r->text[0], UCAL_DEFAULT, &status);
    const char *type = U_SUCCESS(status) ? ucal_getType(calendar, &status) : NULL;
    const char *name = U_SUCCESS(status) ? uloc_toUnicodeLocaleType("calendar", type) : NULL;
    if (name)
        bytes_append_cstr(r->out, name);
    if (U_SUCCESS(status))
        ucal_close(calendar);
    return name ? OK : intl_refuse(r, status);
}

static enum err intl_case(struct request *r, bool is_upper)
{
    enum err err = OK;
    int32_t cap = (int32_t)r->last.len + 1, len = 0, made = 0;
    UChar *from = malloc((size_t)cap * sizeof(*from));
    UChar *to = malloc((size_t)cap * 3 * sizeof(*to));
    if (!from || !to)
        check_out_of_memory((size_t)cap * 4 * sizeof(*to));
    UErrorCode status = U_ZERO_ERROR;
    if (!units_of(r->last, from, cap, &len))
        len = 0;
    made = is_upper ? u_strToUpper(to, cap * 3, from, len, r->text[0], &status)
                    : u_strToLower(to, cap * 3, from, len, r->text[0], &status);
    if (U_SUCCESS(status))
        units_append(r->out, to, made);
    else
        err = intl_refuse(r, status);
    free(from);
    free(to);
    return err;
}

static enum err intl_upper(struct request *r)
{
    return intl_case(r, true);
}

static enum err intl_lower(struct request *r)
{
    return intl_case(r, false);
}

/* ---- requests ---- */

static const struct {
    enum err (*run)(struct request *r);
    int fields;  /* before the last one */
    bool is_tag; /* the first of them is a language tag */
} whats[INTL_WHATS] = {
    [INTL_CANONICAL] = {intl_canonical, 0, false},
    [INTL_AVAILABLE] = {intl_available, 1, true},
    [INTL_NUMBERING] = {intl_numbering, 1, true},
    [INTL_NUMBER] = {intl_number, 2, true},
    [INTL_NUMBER_RANGE] = {intl_number_range, 3, true},
    [INTL_ZONE] = {intl_zone, 0, false},
    [INTL_CALENDAR] = {intl_calendar, 1, true},
    [INTL_DATE_PATTERN] = {intl_date_pattern, 2, true},
    [INTL_DATE_STYLE] = {intl_date_style, 3, true},
    [INTL_DATE] = {intl_date, 4, true},
    [INTL_DATE_RANGE] = {intl_date_range, 5, true},
    [INTL_PLURAL] = {intl_plural, 3, true},
    [INTL_PLURAL_RANGE] = {intl_plural_range, 4, true},
    [INTL_PLURAL_KEYWORDS] = {intl_plural_keywords, 2, true},
    [INTL_COMPARE] = {intl_compare, 3, true},
    [INTL_RELATIVE] = {intl_relative, 4, true},
    [INTL_LIST] = {intl_list, 3, true},
    [INTL_UPPER] = {intl_upper, 1, true},
    [INTL_LOWER] = {intl_lower, 1, true},
    [INTL_VALUES] = {intl_values, 0, false},
    [INTL_LOCALE] = {intl_locale, 1, true},
    [INTL_LIKELY] = {intl_likely, 1, true},
    [INTL_NAME] = {intl_name, 3, true},
    [INTL_SEGMENT] = {intl_segment, 2, true},
};

/* The tag as ICU's id, in place. */
static bool request_locale(char text[static INTL_PATTERN_MAX])
{
    char id[INTL_PATTERN_MAX];
    UErrorCode status = U_ZERO_ERROR;
    int32_t parsed = 0;
    size_t len = strlen(text);
    if (len >= 128)
        return false;
    uloc_forLanguageTag(text, id, sizeof(id), &parsed, &status);
    if (U_FAILURE(status) || status == U_STRING_NOT_TERMINATED_WARNING || parsed != (int32_t)len)
        return false;
    memcpy(text, id, strlen(id) + 1);
    return true;
}

enum err intl_ask(enum intl_what what, struct slice request, struct bytes *out,
                  struct error *ret_error)
{
    struct request r = {.out = out, .error = ret_error};
    if ((unsigned)what >= INTL_WHATS)
        return error_set(ret_error, ERR_INVALID, "Intl has no function %u", (unsigned)what);
    if (request.len > INTL_TEXT_MAX)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "a text of %zu bytes is above the %d KiB that Intl takes at once",
                         request.len, INTL_TEXT_MAX >> 10);
    for (int i = 0; i < whats[what].fields; i++) {
        struct slice field = slice_split(&request, '\0');
        if (field.len >= INTL_PATTERN_MAX)
            return error_set(ret_error, ERR_INVALID, "an option has more than %d bytes",
                             INTL_PATTERN_MAX - 1);
        if (field.len > 0) /* a request that ends early has no pointer here */
            memcpy(r.text[i], field.ptr, field.len);
        r.text[i][field.len] = '\0';
    }
    if (whats[what].is_tag && !request_locale(r.text[0]))
        return error_set(ret_error, ERR_INVALID, "not a language tag");
    r.last = request.ptr ? request : slice_cstr("");
    size_t len = out->len;
    enum err err = whats[what].run(&r);
    if (err != OK)
        out->len = len;
    return err;
}
