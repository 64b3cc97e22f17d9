/* SPDX-License-Identifier: Apache-2.0
 *
 * Memories of nested instances: pages of the guest's linear memory, taken where that ends, as zero as
 * they come. One that grows takes those behind it when it is the last, else it moves to the end, with some
 * room to grow on; where it was stays unused until the isolate is restored. Nothing but its code's bounds
 * checks keeps it from its neighbors, which are of the same guest.
 *
 * The heap of references is memory outside of the guest's, and charged to it. */
#include "sandbox/nested_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAP_BYTES_MAX = 64 * 1024 * 1024 };

static _Thread_local struct nested *expected;

void nested_memory_expect(struct nested *n)
{
    expected = n;
}

/* So many pages more at the end of the guest's memory. */
static bool extend(struct isolate *i, size_t bytes, struct error *ret_error)
{
    return isolate_grow(i, i->memory.len + bytes, ret_error) == OK;
}

static size_t room_for(const struct nested_memory *m, size_t len)
{
    size_t room = len + len / 4;
    room -= room % WASM_PAGE;
    if (room > m->len_max)
        room = m->len_max;
    return room > len ? room : len;
}

static bool move(struct nested_memory *m, size_t len)
{
    struct isolate *i = m->isolate;
    size_t cap = room_for(m, len), at = i->memory.len;
    if (!extend(i, cap, NULL)) {
        cap = len;
        if (!extend(i, cap, NULL))
            return false;
    }
    memcpy(i->memory.base + at, i->memory.base + m->at, m->len);
    m->at = (uint32_t)at;
    m->cap = cap;
    return true;
}

static wasmtime_error_t *grow(void *env, size_t len)
{
    struct nested_memory *m = env;
    struct isolate *i = m->isolate;
    if (len <= m->len)
        return NULL;
    if (len > m->len_max)
        return wasmtime_error_new("memory limit");
    if (len > m->cap) {
        bool is_last = (size_t)m->at + m->cap == i->memory.len;
        if (is_last && !extend(i, len - m->cap, NULL))
            return wasmtime_error_new("memory limit");
        if (is_last)
            m->cap = len;
        else if (!move(m, len))
            return wasmtime_error_new("memory limit");
    }
    m->len = len;
    i->nested->has_grown = true;
    i->nested->is_changed = true;
    return NULL;
}

static uint8_t *get(void *env, size_t *ret_len, size_t *ret_capacity)
{
    struct nested_memory *m = env;
    *ret_len = m->len;
    *ret_capacity = m->cap; /* to which it may not move; beyond, Wasmtime asks again where it is */
    return (uint8_t *)m->isolate->memory.base + m->at;
}

/* What an image says of the memory that is made next, or NULL. */
static const struct nested_place *planned(const struct nested *n)
{
    const struct nested_place *places;
    size_t len = n->plan ? nested_plan_memories(n->plan, &places) : 0;
    return n->memories_made < len ? &places[n->memories_made] : NULL;
}

static bool place(struct nested *n, struct nested_memory *m, size_t len)
{
    const struct nested_place *as = planned(n);
    if (as) {
        m->at = as->at;
        m->len = as->len;
        m->cap = as->cap;
        return (size_t)m->at + m->cap <= m->isolate->memory.len;
    }
    m->at = (uint32_t)m->isolate->memory.len;
    m->len = len;
    m->cap = len ? len : WASM_PAGE; /* so that each has an address of its own */
    return extend(m->isolate, m->cap, NULL);
}

/* ---- the heap of references ---- */

struct heap {
    struct isolate *isolate;
    char *base;
    size_t len, reserved;
};

static uint8_t *heap_get(void *env, size_t *ret_len, size_t *ret_capacity)
{
    struct heap *h = env;
    *ret_len = h->len;
    *ret_capacity = HEAP_BYTES_MAX;
    return (uint8_t *)h->base;
}

static wasmtime_error_t *heap_grow(void *env, size_t len)
{
    struct heap *h = env;
    if (len <= h->len)
        return NULL;
    struct isolate *i = h->isolate;
    size_t more = len > i->nested_charged ? len - i->nested_charged : 0;
    if (len > HEAP_BYTES_MAX || len > i->memory.len_max ||
        (more && i->may_grow && !i->may_grow(i->user, more)))
        return wasmtime_error_new("memory limit");
    i->nested_charged += more; /* kept: the next store of this isolate has it, too */
    if (mprotect(h->base, len, PROT_READ | PROT_WRITE) != 0)
        return wasmtime_error_new("memory limit");
    h->len = len;
    return NULL;
}

static void heap_free(void *env)
{
    struct heap *h = env;
    if (h->base != MAP_FAILED)
        munmap(h->base, h->reserved);
    free(h);
}

static wasmtime_error_t *heap_create(struct nested *n, size_t minimum, size_t reserved,
                                     wasmtime_linear_memory_t *ret_memory)
{
    struct heap *h = calloc(1, sizeof(*h));
    CHECK(h);
    h->isolate = n->isolate;
    h->reserved = reserved > HEAP_BYTES_MAX ? reserved : HEAP_BYTES_MAX;
    h->base =
        mmap(NULL, h->reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    wasmtime_error_t *e =
        h->base == MAP_FAILED ? wasmtime_error_new("no address space") : heap_grow(h, minimum);
    if (e) {
        heap_free(h);
        return e;
    }
    *ret_memory = (wasmtime_linear_memory_t){h, heap_get, heap_grow, heap_free};
    return NULL;
}

wasmtime_error_t *nested_memory_create(void *env, const wasm_memorytype_t *type, size_t minimum,
                                       size_t maximum, size_t reserved, size_t guard,
                                       wasmtime_linear_memory_t *ret_memory)
{
    struct nested *n = expected;
    CHECK(n);
    if (!n->expects_memories)
        return heap_create(n, minimum, reserved + guard, ret_memory);
    struct nested_memory *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->isolate = n->isolate;
    m->len_max = maximum;
    if (m->len_max > n->isolate->memory.len_max)
        m->len_max = n->isolate->memory.len_max;
    if (minimum > m->len_max || !place(n, m, minimum)) {
        free(m);
        return wasmtime_error_new("the memory does not fit the module's memory limit");
    }
    n->memories_made++;
    m->next = n->memories;
    n->memories = m;
    *ret_memory = (wasmtime_linear_memory_t){m, get, grow, NULL}; /* freed with n */
    return NULL;
}

struct nested_memory *nested_memory_at(struct nested *n, const uint8_t *base)
{
    struct nested_memory *m = n->memories;
    while (m && (const uint8_t *)m->isolate->memory.base + m->at != base)
        m = m->next;
    return m;
}
