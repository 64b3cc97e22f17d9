/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing byte buffer with one owner. Zero-initialized is valid and empty. Appends of our own
 * making abort when memory is out; sizes that a peer or guest decides go through bytes_try_*, which
 * take a ceiling on the whole buffer and return ERR_LIMIT. The buffer is not NUL-terminated unless
 * bytes_cstr() was the last call. */
#pragma once

#include <stdarg.h>

#include "base/check.h"
#include "base/error.h"
#include "base/slice.h"

struct bytes {
    char *ptr;
    size_t len;
    size_t cap;
};

#define BYTES_INIT ((struct bytes){NULL, 0, 0})

void bytes_done(struct bytes *b);  /* frees; *b is then empty and valid */
void bytes_clear(struct bytes *b); /* empties, keeps the storage */
void bytes_reserve(struct bytes *b, size_t more);
NODISCARD enum err bytes_try_reserve(struct bytes *b, size_t more, size_t len_max);
void bytes_append(struct bytes *b, const void *ptr, size_t len);
NODISCARD enum err bytes_try_append(struct bytes *b, const void *ptr, size_t len, size_t len_max);
void bytes_append_slice(struct bytes *b, struct slice s);
void bytes_append_cstr(struct bytes *b, const char *s);
void bytes_append_char(struct bytes *b, char c);
void bytes_append_u32(struct bytes *b, uint32_t v); /* little-endian */
void bytes_append_u64(struct bytes *b, uint64_t v); /* little-endian */
/* u32 length, then the bytes: the encoding of strings in op arguments and results. */
void bytes_append_lstr(struct bytes *b, struct slice s);
void bytes_printf(struct bytes *b, const char *format, ...) PRINTF_LIKE(2, 3);
void bytes_vprintf(struct bytes *b, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* Drops n bytes from the front. */
void bytes_consume(struct bytes *b, size_t n);
struct slice bytes_slice(const struct bytes *b);
/* NUL-terminates (not counted in len) and borrows. Never NULL. */
const char *bytes_cstr(struct bytes *b);
/* Hands the storage over, NUL-terminated, to be freed with free(); *b is then empty. Never NULL. */
char *bytes_take(struct bytes *b);
