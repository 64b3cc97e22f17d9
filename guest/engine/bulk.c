/* SPDX-License-Identifier: Apache-2.0
 *
 * See bulk.h. Also what libc itself calls, in calloc() and realloc(). Compiled without -flto, which
 * knows these names. */
#define BULK_C
#include "bulk.h"

/* Or the compiler makes one instruction of the pieces again. */
#define NEXT_PIECE() __asm__ volatile("" ::: "memory")

void *bulk_copy(void *ret, const void *from, size_t len)
{
    char *to = ret;
    const char *at = from;
    if (to <= at || to >= at + len) { /* what is written lies before what is to be read */
        for (; len > BULK_PIECE_BYTES; len -= BULK_PIECE_BYTES) {
            __builtin_memmove(to, at, BULK_PIECE_BYTES);
            NEXT_PIECE();
            to += BULK_PIECE_BYTES;
            at += BULK_PIECE_BYTES;
        }
    } else {
        for (; len > BULK_PIECE_BYTES; len -= BULK_PIECE_BYTES) {
            __builtin_memmove(to + len - BULK_PIECE_BYTES, at + len - BULK_PIECE_BYTES,
                              BULK_PIECE_BYTES);
            NEXT_PIECE();
        }
    }
    __builtin_memmove(to, at, len);
    return ret;
}

void *bulk_fill(void *ret, int byte, size_t len)
{
    char *to = ret;
    for (; len > BULK_PIECE_BYTES; len -= BULK_PIECE_BYTES, to += BULK_PIECE_BYTES) {
        __builtin_memset(to, byte, BULK_PIECE_BYTES);
        NEXT_PIECE();
    }
    __builtin_memset(to, byte, len);
    return ret;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    return bulk_memcpy(to, from, len);
}

void *memmove(void *to, const void *from, size_t len)
{
    return bulk_memmove(to, from, len);
}

void *memset(void *to, int byte, size_t len)
{
    return bulk_memset(to, byte, len);
}
