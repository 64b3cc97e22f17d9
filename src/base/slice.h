/* SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed run of bytes. It owns nothing, is not NUL-terminated, and is valid only as long as
 * whatever it points into. ptr may be NULL when len is 0. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})
#define SLICE_EMPTY ((struct slice){NULL, 0})
/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* NULL gives the empty slice. */
static inline struct slice slice_cstr(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_eq_cstr(struct slice a, const char *b)
{
    return slice_eq(a, slice_cstr(b));
}

bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
struct slice slice_skip(struct slice s, size_t n); /* clamped to the length */
struct slice slice_trim(struct slice s);           /* ASCII space, tab, CR, LF at both ends */
/* Offset of the first c, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
/* Splits at the first sep: returns what is before it, *rest becomes what is after (empty if none).
 */
struct slice slice_split(struct slice *rest, char sep);
/* The whole slice as a decimal number; false if it is not one or does not fit. */
bool slice_to_u64(struct slice s, uint64_t *ret_value);
/* Valid UTF-8, without surrogates or overlong forms. */
bool slice_is_utf8(struct slice s);
/* Length in bytes of the valid UTF-8 character that s starts with; 0 if it starts with none. */
size_t slice_utf8_char(struct slice s);
/* The same for the same bytes, always and everywhere. Not for tables whose keys others choose. */
uint64_t slice_hash(struct slice s);
/* At most len_max bytes of s, shortened so that no character is cut. */
struct slice slice_utf8_clip(struct slice s, size_t len_max);
