/* SPDX-License-Identifier: Apache-2.0
 *
 * WebAssembly's memory.copy and memory.fill cannot be interrupted: one of them over tens of megabytes
 * keeps the engine thread for that long. What is longer than a piece goes to bulk.c, which does a piece
 * at a time; between two pieces others may have their turn. Included in front of each file of the
 * engine and of QuickJS (-include). */
#pragma once

#include <stddef.h>
#include <string.h>

enum { BULK_PIECE_BYTES = 256 * 1024 };

void *bulk_copy(void *to, const void *from, size_t len); /* they may overlap */
void *bulk_fill(void *to, int byte, size_t len);

#define BULK_INLINE static inline __attribute__((always_inline))

BULK_INLINE void *bulk_memcpy(void *to, const void *from, size_t len)
{
    return __builtin_expect(len <= BULK_PIECE_BYTES, 1) ? __builtin_memcpy(to, from, len)
                                                        : bulk_copy(to, from, len);
}

BULK_INLINE void *bulk_memmove(void *to, const void *from, size_t len)
{
    return __builtin_expect(len <= BULK_PIECE_BYTES, 1) ? __builtin_memmove(to, from, len)
                                                        : bulk_copy(to, from, len);
}

BULK_INLINE void *bulk_memset(void *to, int byte, size_t len)
{
    return __builtin_expect(len <= BULK_PIECE_BYTES, 1) ? __builtin_memset(to, byte, len)
                                                        : bulk_fill(to, byte, len);
}

#ifndef BULK_C
#define memcpy(to, from, len) bulk_memcpy(to, from, len)
#define memmove(to, from, len) bulk_memmove(to, from, len)
#define memset(to, byte, len) bulk_memset(to, byte, len)
#endif
