/* SPDX-License-Identifier: Apache-2.0
 *
 * Collation. */
#include "intl/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ucol.h>

enum { KEPT_COLLATOR = 32 };
enum { KEY_BYTES = 2 * INTL_PATTERN_MAX };

static void collator_close(void *c)
{
    ucol_close(c);
}

/* options: a letter each: b base, a accent, c case, v variant; p ignores punctuation; n numeric; u upper
 * first, l lower first. */
static void collator_set(UCollator *c, const char *options, UErrorCode *status)
{
    static const struct {
        char letter;
        UColAttribute attribute;
        UColAttributeValue value;
    } rows[] = {
        {'b', UCOL_STRENGTH, UCOL_PRIMARY},       {'a', UCOL_STRENGTH, UCOL_SECONDARY},
        {'c', UCOL_STRENGTH, UCOL_PRIMARY},       {'c', UCOL_CASE_LEVEL, UCOL_ON},
        {'v', UCOL_STRENGTH, UCOL_TERTIARY},      {'p', UCOL_ALTERNATE_HANDLING, UCOL_SHIFTED},
        {'n', UCOL_NUMERIC_COLLATION, UCOL_ON},   {'u', UCOL_CASE_FIRST, UCOL_UPPER_FIRST},
        {'l', UCOL_CASE_FIRST, UCOL_LOWER_FIRST},
    };
    ucol_setAttribute(c, UCOL_NORMALIZATION_MODE, UCOL_ON, status);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (strchr(options, rows[i].letter))
            ucol_setAttribute(c, rows[i].attribute, rows[i].value, status);
}

enum err intl_compare(struct request *r)
{
    char key[KEY_BYTES], *end = NULL;
    UErrorCode status = U_ZERO_ERROR;
    unsigned long len = strtoul(r->text[2], &end, 10);
    if (*end || len > r->last.len)
        return intl_refuse(r, U_ILLEGAL_ARGUMENT_ERROR);
    snprintf(key, sizeof(key), "%s %s", r->text[0], r->text[1]);
    UCollator *c = kept_find(KEPT_COLLATOR, key);
    if (!c) {
        c = ucol_open(r->text[0], &status);
        if (U_SUCCESS(status))
            collator_set(c, r->text[1], &status);
        if (U_FAILURE(status)) {
            ucol_close(c);
            return intl_refuse(r, status);
        }
        kept_add(KEPT_COLLATOR, key, c, collator_close);
    }
    UCollationResult order = ucol_strcollUTF8(c, r->last.ptr, (int32_t)len, r->last.ptr + len,
                                              (int32_t)(r->last.len - len), &status);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    bytes_append_cstr(r->out, order == UCOL_LESS ? "-1" : order == UCOL_GREATER ? "1" : "0");
    return OK;
}
