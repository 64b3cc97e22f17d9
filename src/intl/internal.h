/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside intl/. */
#pragma once

#include <unicode/utypes.h>

#include "intl/intl.h"

enum { INTL_FIELDS_MAX = 8, INTL_UNITS = 4096 };

/* A request: its fields, each NUL-terminated for ICU, but the last, which is as it came. */
struct request {
    char text[INTL_FIELDS_MAX][INTL_PATTERN_MAX]; /* locale: as ICU's id */
    struct slice last;
    struct bytes *out;
    struct error *error;
};

/* An object of ICU of this kind, opened with this key; NULL: none is kept. */
void *kept_find(int kind, const char *key);
/* Keeps it from now on; it is closed when others are newer. */
void kept_add(int kind, const char *key, void *object, void (*close)(void *));

/* ---- text.c ---- */

/* UTF-16 of a slice in *ret, at most cap units; false: it is longer. */
bool units_of(struct slice text, UChar *ret, int32_t cap, int32_t *ret_len);
void units_append(struct bytes *out, const UChar *units, int32_t len);
/* An error of ICU as ours. */
enum err intl_refuse(struct request *r, UErrorCode status);
bool number_is_sane(struct slice decimal);
/* The text of a formatted value and its fields. */
struct UFormattedValue;
enum err value_append(struct request *r, const struct UFormattedValue *value);

enum err intl_number(struct request *r);
enum err intl_number_range(struct request *r);
enum err intl_plural(struct request *r);
enum err intl_plural_range(struct request *r);
enum err intl_plural_keywords(struct request *r);
enum err intl_date_pattern(struct request *r);
enum err intl_date_style(struct request *r);
enum err intl_date(struct request *r);
enum err intl_date_range(struct request *r);
enum err intl_zone(struct request *r);
enum err intl_compare(struct request *r);
enum err intl_relative(struct request *r);
enum err intl_list(struct request *r);
enum err intl_values(struct request *r);
enum err intl_locale(struct request *r);
enum err intl_likely(struct request *r);
enum err intl_name(struct request *r);
enum err intl_segment(struct request *r);
