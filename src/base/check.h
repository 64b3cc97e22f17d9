/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest shared vocabulary: CHECK for our own mistakes, scoped cleanup, container_of.
 * CHECK stays on in release. Bad input, guests and I/O are errors (base/error.h), never CHECKs. */
#pragma once

#include <stddef.h>

#include "base/banned.h"

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

/* Prints the failed condition to standard error and aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

/* For what we cannot go on without and that is nobody's bug: memory is out, the kernel refuses what
 * a start needs. Prints the text and aborts. */
_Noreturn void check_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void check_out_of_memory(size_t size);

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(text_arg, first_arg) __attribute__((format(printf, text_arg, first_arg)))

/* Hands the pointer over and leaves NULL behind, so that its CLEANUP does nothing. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
