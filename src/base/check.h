/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest shared vocabulary: CHECK for our own mistakes, scoped cleanup, container_of.
 * CHECK stays on in release. Bad input, guests and I/O are errors (base/error.h), never CHECKs. */
#pragma once

#include <stddef.h>

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

/* Prints the failed condition to standard error and aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(format, args) __attribute__((format(printf, format, args)))

/* Hands the pointer over and leaves NULL behind, so that its CLEANUP does nothing. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
