/* SPDX-License-Identifier: Apache-2.0
 *
 * The growing part of the byte buffer; appending itself is inline in the header. Storage doubles,
 * so n appended bytes cost O(n). One byte beyond len is not kept: bytes_cstr() makes room when
 * asked.
 *
 * Invariants: len <= cap; ptr is NULL exactly when cap is 0. No thread of its own: a buffer belongs
 * to whoever holds it. */
#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

enum { BYTES_FIRST_CAP = 64 };

/* False if memory is out or the size cannot be had. Never grows beyond cap_max. */
static bool bytes_grow(struct bytes *b, size_t more, size_t cap_max)
{
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need) || need > cap_max || need > PTRDIFF_MAX)
        return false;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap < BYTES_FIRST_CAP / 2 ? BYTES_FIRST_CAP : b->cap;
    if (__builtin_mul_overflow(cap, 2, &cap) || cap < need)
        cap = need;
    if (cap > cap_max)
        cap = cap_max;
    char *ptr = realloc(b->ptr, cap);
    if (!ptr)
        return false;
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

void bytes_done(struct bytes *b)
{
    free(b->ptr);
    *b = BYTES_INIT;
}

void bytes_reserve(struct bytes *b, size_t more)
{
    if (!bytes_grow(b, more, PTRDIFF_MAX))
        check_out_of_memory(more);
}

enum err bytes_try_reserve(struct bytes *b, size_t more, size_t len_max)
{
    if (more > len_max || b->len > len_max - more)
        return ERR_LIMIT;
    return more == 0 || bytes_grow(b, more, len_max) ? OK : ERR_LIMIT;
}

enum err bytes_try_append(struct bytes *b, const void *ptr, size_t len, size_t len_max)
{
    enum err err = bytes_try_reserve(b, len, len_max);
    if (err == OK)
        bytes_append(b, ptr, len);
    return err;
}

void bytes_printf(struct bytes *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bytes_vprintf(b, format, args);
    va_end(args);
}

void bytes_vprintf(struct bytes *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->len;
    int wanted = vsnprintf(room ? b->ptr + b->len : NULL, room, format, args);
    CHECK(wanted >= 0);
    if ((size_t)wanted >= room) {
        bytes_reserve(b, (size_t)wanted + 1);
        wanted = vsnprintf(b->ptr + b->len, (size_t)wanted + 1, format, again);
        CHECK(wanted >= 0);
    }
    va_end(again);
    b->len += (size_t)wanted;
}

void bytes_consume(struct bytes *b, size_t n)
{
    CHECK(n <= b->len);
    if (n == 0)
        return;
    b->len -= n;
    if (b->len)
        memmove(b->ptr, b->ptr + n, b->len);
}

const char *bytes_cstr(struct bytes *b)
{
    if (b->len == b->cap)
        bytes_reserve(b, 1);
    b->ptr[b->len] = '\0';
    return b->ptr;
}

char *bytes_take(struct bytes *b)
{
    (void)bytes_cstr(b); /* for its NUL and its storage */
    char *ptr = b->ptr;
    *b = BYTES_INIT;
    return ptr;
}
