/* SPDX-License-Identifier: Apache-2.0
 *
 * The request arena. The arena's own struct lies at the start of its first block, so that a new
 * arena is one malloc and a reset of a small one touches nothing but a few words. Blocks double up
 * to ARENA_BLOCK_MAX; what does not fit comfortably gets a block of its own behind the current one,
 * so that one large body does not waste the rest of it. The newest ordinary block survives a reset
 * as `spare`: a connection whose requests all need 20 KiB then runs without malloc.
 *
 * Invariants: `at <= end`, both within the current block and 16-aligned; held is the sum of all
 * blocks' sizes. Under AddressSanitizer everything not handed out is poisoned, with a gap between
 * allocations. One thread at a time. */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_HAS_ASAN 1
#endif
#endif

#ifdef ARENA_HAS_ASAN
#include <sanitizer/asan_interface.h>
enum { ARENA_GAP = 16 };
/* Out of line: gcc would warn that bytes which are being forbidden are not initialized. */
static __attribute__((noinline)) void arena_poison(void *ptr, size_t size)
{
    __asan_poison_memory_region(ptr, size);
}
static __attribute__((noinline)) void arena_unpoison(void *ptr, size_t size)
{
    __asan_unpoison_memory_region(ptr, size);
}
#else
enum { ARENA_GAP = 0 };
#define arena_poison(ptr, size) ((void)(ptr), (void)(size))
#define arena_unpoison(ptr, size) ((void)(ptr), (void)(size))
#endif

enum {
    ARENA_ALIGN = 16,
    ARENA_BLOCK_FIRST = 4 * 1024 - 32, /* with malloc's own words, less than a page */
    ARENA_BLOCK_MAX = 64 * 1024,
};

struct block {
    struct block *next; /* older */
    size_t size;        /* with this header */
    _Alignas(ARENA_ALIGN) char data[];
};

struct cleanup {
    struct cleanup *next; /* registered before this one */
    void (*fn)(void *arg);
    void *arg;
};

struct arena {
    char *at, *end;       /* free part of the current block */
    struct block *blocks; /* newest first, without the first block and the large ones */
    struct block *large;  /* blocks of a single allocation */
    struct block *spare;  /* kept by a reset, or NULL */
    struct cleanup *cleanups;
    size_t held;
    size_t block_size_next;
    struct list children;
    struct list siblings;
    _Alignas(ARENA_ALIGN) char data[]; /* the rest of the first block */
};

static char *arena_first_end(struct arena *a)
{
    return (char *)a + ARENA_BLOCK_FIRST;
}

/* Starts over in the first block. */
static void arena_rewind(struct arena *a)
{
    a->at = a->data;
    a->end = arena_first_end(a);
    a->block_size_next = 2 * (size_t)ARENA_BLOCK_FIRST;
    arena_poison(a->at, (size_t)(a->end - a->at));
}

struct arena *arena_new(struct arena *parent)
{
    struct arena *a = malloc(ARENA_BLOCK_FIRST);
    if (!a)
        check_out_of_memory(ARENA_BLOCK_FIRST);
    *a = (struct arena){.held = ARENA_BLOCK_FIRST};
    list_init(&a->children);
    list_init(&a->siblings);
    if (parent)
        list_push_back(&parent->children, &a->siblings);
    arena_rewind(a);
    return a;
}

static void arena_free_block(struct arena *a, struct block *block)
{
    a->held -= block->size;
    free(block);
}

static void arena_free_blocks(struct arena *a, struct block **blocks)
{
    while (*blocks) {
        struct block *block = *blocks;
        *blocks = block->next;
        arena_free_block(a, block);
    }
}

/* Children first, then our own cleanups, newest first. A cleanup may still allocate and register.
 */
static void arena_end_contents(struct arena *a)
{
    while (!list_is_empty(&a->children))
        /* arena_free() takes the child out of the list, which the analyzer does not follow. */
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc)
        arena_free(container_of(a->children.next, struct arena, siblings));
    while (a->cleanups) {
        struct cleanup *cleanup = a->cleanups;
        a->cleanups = cleanup->next;
        cleanup->fn(cleanup->arg);
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    list_remove(&a->siblings);
    arena_end_contents(a);
    arena_free_blocks(a, &a->large);
    arena_free_blocks(a, &a->blocks);
    if (a->spare)
        arena_free_block(a, a->spare);
    CHECK(a->held == ARENA_BLOCK_FIRST);
    free(a);
}

void arena_reset(struct arena *a)
{
    arena_end_contents(a);
    if (a->large)
        arena_free_blocks(a, &a->large);
    if (a->blocks) {
        if (a->spare)
            arena_free_block(a, a->spare);
        a->spare = a->blocks;
        a->blocks = a->blocks->next;
        arena_free_blocks(a, &a->blocks);
        arena_poison(a->spare->data, a->spare->size - sizeof(struct block));
    }
    arena_rewind(a);
}

static struct block *arena_new_block(struct arena *a, size_t data_size)
{
    size_t size;
    if (__builtin_add_overflow(data_size, sizeof(struct block), &size))
        check_out_of_memory(data_size);
    struct block *block = malloc(size);
    if (!block)
        check_out_of_memory(size);
    block->size = size;
    a->held += size;
    arena_poison(block->data, data_size);
    return block;
}

/* Makes the spare or a new block the current one. */
static void arena_next_block(struct arena *a)
{
    struct block *block = TAKE(a->spare);
    if (!block)
        block = arena_new_block(a, a->block_size_next - sizeof(struct block));
    if (a->block_size_next < ARENA_BLOCK_MAX)
        a->block_size_next *= 2;
    block->next = a->blocks;
    a->blocks = block;
    a->at = block->data;
    a->end = (char *)block + block->size;
}

static __attribute__((noinline)) void *arena_alloc_slow(struct arena *a, size_t size,
                                                        size_t rounded)
{
    if (rounded > a->block_size_next / 4) {
        struct block *block = arena_new_block(a, rounded);
        block->next = a->large;
        a->large = block;
        arena_unpoison(block->data, size);
        return block->data;
    }
    arena_next_block(a);
    if (rounded > (size_t)(a->end - a->at)) /* the spare was small */
        arena_next_block(a);
    void *ptr = a->at;
    a->at += rounded;
    arena_unpoison(ptr, size);
    return ptr;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > PTRDIFF_MAX - ARENA_ALIGN - ARENA_GAP - sizeof(struct block))
        check_out_of_memory(size);
    if (size == 0)
        size = 1; /* so that each allocation has an address of its own */
    size_t rounded = ((size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1)) + ARENA_GAP;
    if (rounded > (size_t)(a->end - a->at))
        return arena_alloc_slow(a, size, rounded);
    void *ptr = a->at;
    a->at += rounded;
    arena_unpoison(ptr, size);
    return ptr;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        check_fatal("an array of %zu elements of %zu bytes was asked of an arena", count, size);
    return arena_alloc(a, total);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    if (s.len == 0)
        return SLICE_EMPTY;
    return slice_of(memcpy(arena_alloc(a, s.len), s.ptr, s.len), s.len);
}

char *arena_cstr(struct arena *a, struct slice s)
{
    CHECK(s.len < PTRDIFF_MAX);
    char *text = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return text;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char short_text[128];
    int wanted = vsnprintf(short_text, sizeof(short_text), format, args);
    CHECK(wanted >= 0);
    char *text = arena_alloc(a, (size_t)wanted + 1);
    if ((size_t)wanted < sizeof(short_text))
        memcpy(text, short_text, (size_t)wanted + 1);
    else
        wanted = vsnprintf(text, (size_t)wanted + 1, format, again);
    CHECK(wanted >= 0);
    va_end(again);
    va_end(args);
    return text;
}

void arena_on_free(struct arena *a, void (*fn)(void *), void *arg)
{
    struct cleanup *cleanup = arena_alloc(a, sizeof(*cleanup));
    *cleanup = (struct cleanup){.next = a->cleanups, .fn = fn, .arg = arg};
    a->cleanups = cleanup;
}

size_t arena_bytes(const struct arena *a)
{
    return a->held;
}
