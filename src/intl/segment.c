/* SPDX-License-Identifier: Apache-2.0
 *
 * Where characters as people see them, words and sentences end: Intl.Segmenter. */
#include "intl/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unicode/ubrk.h>

enum {
    KEPT_BREAKS = 56, /* and the two behind it */
    SEGMENT_UNITS = 16384,
};

static void breaks_close(void *breaks)
{
    ubrk_close(breaks);
}

static UBreakIterator *breaks_open(struct request *r, UErrorCode *status)
{
    static const UBreakIteratorType types[] = {UBRK_CHARACTER, UBRK_WORD, UBRK_SENTENCE};
    const int type = (int)strtol(r->text[1], NULL, 10);
    if (type < 0 || type > 2) {
        *status = U_ILLEGAL_ARGUMENT_ERROR;
        return NULL;
    }
    UBreakIterator *breaks = kept_find(KEPT_BREAKS + type, r->text[0]);
    if (breaks)
        return breaks;
    breaks = ubrk_open(types[type], r->text[0], NULL, 0, status);
    if (U_SUCCESS(*status))
        kept_add(KEPT_BREAKS + type, r->text[0], breaks, breaks_close);
    return U_SUCCESS(*status) ? breaks : NULL;
}

enum err intl_segment(struct request *r)
{
    UErrorCode status = U_ZERO_ERROR;
    UChar units[SEGMENT_UNITS];
    int32_t len = 0;
    if (!units_of(r->last, units, SEGMENT_UNITS, &len) || len > SEGMENT_UNITS)
        return error_set(r->error, ERR_TOO_LARGE, "a text to be cut has more than %d units",
                         SEGMENT_UNITS);
    UBreakIterator *breaks = breaks_open(r, &status);
    if (breaks)
        ubrk_setText(breaks, units, len, &status);
    if (U_FAILURE(status))
        return intl_refuse(r, status);
    const size_t begin = r->out->len;
    int32_t at;
    ubrk_first(breaks);
    while ((at = ubrk_next(breaks)) != UBRK_DONE) {
        char text[16];
        snprintf(text, sizeof(text), "%s%d%s", r->out->len > begin ? " " : "", (int)at,
                 ubrk_getRuleStatus(breaks) >= UBRK_WORD_NUMBER ? "w" : "");
        bytes_append_cstr(r->out, text);
    }
    ubrk_setText(breaks, NULL, 0, &status); /* units end here */
    return OK;
}
