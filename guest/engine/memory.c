/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages come in groups of 16 (64 KiB, aligned). A map with a bit per group tells a page from a
 * malloc'ed block; freed pages are a list through an array beside it and not through the pages,
 * which would dirty them. Groups are never given back: an isolate's memory never shrinks anyway. */
#include "memory.h"

#include "engine.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_BYTES = 4096,
    PAGE_LEAST = 3584, /* smaller requests are no blocks of small objects */
    GROUP_BYTES = 64 * 1024,
    GROUP_PAGES = GROUP_BYTES / PAGE_BYTES,
    GROUPS = 65536,
};

static uint8_t group_map[GROUPS / 8];
static uint32_t *page_free; /* page numbers */
static uint32_t page_free_count, page_free_cap, page_count;
static bool has_runtime;

static bool memory_is_page(const void *at)
{
    uint32_t group = (uint32_t)(uintptr_t)at / GROUP_BYTES;
    return (group_map[group / 8] >> (group % 8) & 1) != 0;
}

static bool memory_add_group(void)
{
    /* Room for every page there is, since all may be freed: memory_free() must not fail. */
    if (page_free_cap < page_count + GROUP_PAGES) {
        uint32_t cap = page_free_cap + page_free_cap / 2 + 2 * GROUP_PAGES;
        uint32_t *list = realloc(page_free, cap * sizeof *list);
        if (!list)
            return false;
        page_free = list;
        page_free_cap = cap;
    }
    uint8_t *group = aligned_alloc(GROUP_BYTES, GROUP_BYTES);
    if (!group)
        return false;
    uint32_t number = (uint32_t)(uintptr_t)group / GROUP_BYTES;
    group_map[number / 8] |= (uint8_t)(1 << (number % 8));
    page_count += GROUP_PAGES;
    for (int i = GROUP_PAGES - 1; i >= 0; i--)
        page_free[page_free_count++] = number * GROUP_PAGES + i;
    return true;
}

static void *memory_malloc(void *opaque, size_t size)
{
    if (size < PAGE_LEAST || size > PAGE_BYTES)
        return malloc(size);
    if (page_free_count == 0 && !memory_add_group())
        return malloc(size);
    return (void *)(uintptr_t)(page_free[--page_free_count] * PAGE_BYTES);
}

static void *memory_calloc(void *opaque, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    if (!has_runtime) { /* the first one is the JSRuntime, which every request writes */
        has_runtime = true;
        if (bytes <= sizeof engine_page.runtime_room)
            return engine_page.runtime_room;
    }
    if (bytes < PAGE_LEAST || bytes > PAGE_BYTES)
        return calloc(count, size);
    void *at = memory_malloc(opaque, bytes);
    return at ? memset(at, 0, bytes) : NULL;
}

static void memory_free(void *opaque, void *at)
{
    if (!at)
        return;
    if (!memory_is_page(at)) {
        free(at);
        return;
    }
    page_free[page_free_count++] = (uint32_t)(uintptr_t)at / PAGE_BYTES; /* there is room for all */
}

static size_t memory_usable(const void *at)
{
    if (!at)
        return 0;
    if (at == engine_page.runtime_room)
        return sizeof engine_page.runtime_room;
    return memory_is_page(at) ? PAGE_BYTES : malloc_usable_size((void *)at);
}

static void *memory_realloc(void *opaque, void *at, size_t size)
{
    if (!at)
        return memory_malloc(opaque, size);
    if (!memory_is_page(at))
        return realloc(at, size);
    if (size <= PAGE_BYTES && size >= PAGE_BYTES / 2)
        return at;
    void *other = memory_malloc(opaque, size);
    if (!other)
        return NULL;
    memcpy(other, at, size < PAGE_BYTES ? size : PAGE_BYTES);
    memory_free(opaque, at);
    return other;
}

const JSMallocFunctions memory_functions = {
    .js_calloc = memory_calloc,
    .js_malloc = memory_malloc,
    .js_free = memory_free,
    .js_realloc = memory_realloc,
    .js_malloc_usable_size = memory_usable,
};
