/* SPDX-License-Identifier: Apache-2.0
 *
 * ICU behind one function of texts in and texts out: what Intl and toLocaleString() of guests ask. The
 * options of the standard and their defaults are the guest's business (guest/runtime/intl); here a
 * request names a locale, a pattern or skeleton in ICU's own syntax, and a value.
 *
 * Nothing is kept for a guest: objects of ICU that take long to open are kept per thread, INTL_KEPT of
 * them, by what they were opened with. ICU's data is a shared library, mapped when it is first asked.
 *
 * Any bytes may be passed. Texts are UTF-8, fields are separated by NUL; the last field of a request may
 * contain NULs. What a call may cost is bounded by INTL_TEXT_MAX and INTL_DIGITS_MAX. Any thread. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    INTL_TEXT_MAX = 256 << 10, /* bytes of a request */
    INTL_PATTERN_MAX = 512,    /* of a pattern, a skeleton, a locale */
    INTL_DIGITS_MAX = 4096,    /* of a number, written out */
    INTL_KEPT = 24,
};

enum intl_what {
    INTL_CANONICAL,       /* tag -> tag; ERR_INVALID: not well-formed */
    INTL_AVAILABLE,       /* tag without extensions -> "1" if there are data for it, else "0" */
    INTL_NUMBERING,       /* tag -> its numbering system; ERR_INVALID: has a nu that is none */
    INTL_NUMBER,          /* tag, skeleton, decimal -> text, fields */
    INTL_NUMBER_RANGE,    /* tag, skeleton, decimal, decimal -> text, fields */
    INTL_ZONE,            /* zone in any case -> its canonical name; ERR_INVALID: there is none */
    INTL_CALENDAR,        /* tag -> its calendar */
    INTL_DATE_PATTERN,    /* tag, skeleton -> pattern */
    INTL_DATE_STYLE,      /* tag, date style 0-3 or -1, time style -> pattern */
    INTL_DATE,            /* tag, zone, pattern, ms -> text, fields */
    INTL_DATE_RANGE,      /* tag, zone, skeleton, ms, ms -> text, fields */
    INTL_PLURAL,          /* tag, "0" cardinal "1" ordinal, skeleton, decimal -> keyword */
    INTL_PLURAL_RANGE,    /* tag, type, skeleton, decimal, decimal -> keyword */
    INTL_PLURAL_KEYWORDS, /* tag, type -> keywords */
    INTL_COMPARE,         /* tag, options, bytes of a, a and b joined -> "-1", "0", "1" */
    INTL_RELATIVE,        /* tag, style, numeric, unit, number -> text, fields */
    INTL_LIST,            /* tag, type, width, items… -> text, fields */
    INTL_UPPER,           /* tag, text -> text */
    INTL_LOWER,
    INTL_VALUES,  /* "c" calendars, "o" collations, "u" currencies, "n" numbering systems, "z" zones -> them */
    INTL_LOCALE,  /* tag, "c" "o" "z" likewise, "r", "w", "h" -> them; rtl or ltr; week; hour cycle (locale.c) */
    INTL_LIKELY,  /* tag, "1" -> with likely subtags, "0" -> without */
    INTL_NAME,    /* tag, "d" or "l" language, "r" region, "s" script, "u" currency, "a" calendar, "f" field
                     (UDateTimePatternField); "l" long, "s" short, "n" narrow; code -> its name, "": it has none */
    INTL_SEGMENT, /* tag, "0" graphemes "1" words "2" sentences, text of at most 16384 units -> where
                     they end, in UTF-16 units, a "w" behind what is like a word */
    INTL_WHATS,
};

/* "fields" above: after the text and a NUL, numbers separated by spaces, three for each field: category and
 * kind (ICU's, category × 256 + kind), begin and end in UTF-16 units. Appends to *out; ERR_INVALID,
 * ERR_TOO_LARGE: nothing is appended. */
NODISCARD enum err intl_ask(enum intl_what what, struct slice request, struct bytes *out,
                            struct error *ret_error);
