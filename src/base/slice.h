/* SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed run of bytes. It owns nothing, is not NUL-terminated, and is valid only as long as
 * whatever it points into. ptr may be NULL when len is 0. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})
#define SLICE_EMPTY ((struct slice){NULL, 0})
/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

struct slice slice_of(const char *ptr, size_t len);
struct slice slice_cstr(const char *s); /* NULL gives the empty slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_cstr(struct slice a, const char *b);
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
struct slice slice_skip(struct slice s, size_t n); /* clamped to the length */
struct slice slice_trim(struct slice s);           /* ASCII space, tab, CR, LF at both ends */
/* Offset of the first c, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
/* Splits at the first sep: returns what is before it, *rest becomes what is after (empty if none). */
struct slice slice_split(struct slice *rest, char sep);
/* The whole slice as a decimal number; false if it is not one or does not fit. */
bool slice_to_u64(struct slice s, uint64_t *ret_value);
/* Valid UTF-8, without surrogates or overlong forms. */
bool slice_is_utf8(struct slice s);
