/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that lives as long as one request or one invocation. Allocations are never freed singly;
 * ending the arena runs the registered cleanups in reverse order and then frees everything. Arenas
 * form a tree: freeing a parent frees its children first. Not thread-safe; one arena belongs to one
 * thread at a time. arena_alloc never returns NULL (aborts when memory is out). */
#pragma once

#include <stdarg.h>

#include "base/check.h"
#include "base/slice.h"

struct arena;

struct arena *arena_new(struct arena *parent); /* parent may be NULL */
void arena_free(struct arena *a);              /* NULL is allowed */
/* Runs cleanups and forgets all allocations, keeps the first block for reuse. Children are freed.
 */
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);  /* 16-byte aligned, not zeroed */
void *arena_zalloc(struct arena *a, size_t size); /* zeroed */
#define arena_new_struct(a, type) ((type *)arena_zalloc((a), sizeof(type)))
/* Overflow-checked; aborts on overflow, so counts that a peer decides are bounded before. */
void *arena_array(struct arena *a, size_t count, size_t size);
struct slice arena_copy(struct arena *a, struct slice s);
char *arena_cstr(struct arena *a, struct slice s); /* NUL-terminated copy */
char *arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
void arena_on_free(struct arena *a, void (*fn)(void *), void *arg);
size_t arena_bytes(const struct arena *a); /* held from the system, for accounting */
