/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing byte buffer with one owner. Zero-initialized is valid and empty. Appends of our own
 * making abort when memory is out; sizes that a peer or guest decides go through bytes_try_*, which
 * take a ceiling on the whole buffer and return ERR_LIMIT. The buffer is not NUL-terminated unless
 * bytes_cstr() was the last call. */
#pragma once

#include <endian.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/slice.h"

struct bytes {
    char *ptr;
    size_t len;
    size_t cap;
};

#define BYTES_INIT ((struct bytes){NULL, 0, 0})

void bytes_done(struct bytes *b); /* frees; *b is then empty and valid */
/* Makes room for that many more bytes beyond len. */
void bytes_reserve(struct bytes *b, size_t more);
NODISCARD enum err bytes_try_reserve(struct bytes *b, size_t more, size_t len_max);
NODISCARD enum err bytes_try_append(struct bytes *b, const void *ptr, size_t len, size_t len_max);
void bytes_printf(struct bytes *b, const char *format, ...) PRINTF_LIKE(2, 3);
void bytes_vprintf(struct bytes *b, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* Drops n bytes from the front. */
void bytes_consume(struct bytes *b, size_t n);
/* NUL-terminates (not counted in len) and borrows. Never NULL. */
const char *bytes_cstr(struct bytes *b);
/* Hands the storage over, NUL-terminated, to be freed with free(); *b is then empty. Never NULL. */
char *bytes_take(struct bytes *b);

/* Appending is what every answer is made of, so it is inline. What is appended may not lie in *b.
 */

/* Empties, keeps the storage. */
static inline void bytes_clear(struct bytes *b)
{
    b->len = 0;
}

static inline struct slice bytes_slice(const struct bytes *b)
{
    return slice_of(b->ptr, b->len);
}

static inline void bytes_append(struct bytes *b, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    if (len > b->cap - b->len)
        bytes_reserve(b, len);
    if (!b->ptr)
        __builtin_unreachable(); /* what has room has storage: for static analysis */
    memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
}

static inline void bytes_append_slice(struct bytes *b, struct slice s)
{
    bytes_append(b, s.ptr, s.len);
}

/* NULL appends nothing. */
static inline void bytes_append_cstr(struct bytes *b, const char *s)
{
    bytes_append_slice(b, slice_cstr(s));
}

static inline void bytes_append_char(struct bytes *b, char c)
{
    if (b->len == b->cap)
        bytes_reserve(b, 1);
    b->ptr[b->len++] = c;
}

/* Little-endian. */
static inline void bytes_append_u32(struct bytes *b, uint32_t v)
{
    v = htole32(v);
    bytes_append(b, &v, sizeof(v));
}

/* Little-endian. */
static inline void bytes_append_u64(struct bytes *b, uint64_t v)
{
    v = htole64(v);
    bytes_append(b, &v, sizeof(v));
}

/* u32 length, then the bytes: the encoding of strings in op arguments and results. */
static inline void bytes_append_lstr(struct bytes *b, struct slice s)
{
    CHECK(s.len <= UINT32_MAX);
    bytes_append_u32(b, (uint32_t)s.len);
    bytes_append_slice(b, s);
}
