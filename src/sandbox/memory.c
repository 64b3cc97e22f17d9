/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear memories for Wasmtime's on-demand allocator. Address space is reserved whole (4 GiB and
 * guard) and made usable as the guest grows; a memory never moves. A grow beyond the limit fails,
 * which the guest sees as memory.grow = -1, and is remembered for the error message. */
#include "sandbox/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static _Thread_local struct memory *expected;
static _Thread_local size_t expected_len_max;

void memory_expect(struct memory *m, size_t len_max)
{
    expected = m;
    expected_len_max = len_max;
}

static uint8_t *memory_get(void *env, size_t *ret_len, size_t *ret_capacity)
{
    struct memory *m = env;
    *ret_len = m->len;
    *ret_capacity =
        m->reserved; /* so that a grow beyond the limit comes to memory_grow() and is noticed */
    return (uint8_t *)m->base;
}

static wasmtime_error_t *memory_grow(void *env, size_t len)
{
    struct memory *m = env;
    if (len <= m->len)
        return NULL;
    if (len > m->len_max) {
        m->was_refused = true;
        return wasmtime_error_new("memory limit");
    }
    struct isolate *i = container_of(m, struct isolate, memory);
    if (i->may_grow && !i->may_grow(i->user, len - m->len)) {
        m->was_refused = true;
        return wasmtime_error_new("memory budget");
    }
    if (mprotect(m->base + m->len, len - m->len, PROT_READ | PROT_WRITE) != 0)
        return wasmtime_error_new("mprotect failed");
    m->len = len;
    return NULL;
}

static void memory_release(void *env)
{
    struct memory *m = env;
    if (m->base)
        munmap(m->base, m->reserved);
    m->base = NULL;
}

wasmtime_error_t *memory_create(void *env, const wasm_memorytype_t *type, size_t minimum,
                                size_t maximum, size_t reserved, size_t guard,
                                wasmtime_linear_memory_t *ret_memory)
{
    struct memory *m = expected;
    CHECK(m);
    expected = NULL;
    m->reserved = reserved + guard;
    m->len_max = expected_len_max < maximum ? expected_len_max : maximum;
    if (m->len_max > reserved)
        m->len_max = reserved;
    if (minimum > m->len_max)
        return wasmtime_error_new("the memory limit is below the engine's initial memory");
    m->base =
        mmap(NULL, m->reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->base == MAP_FAILED) {
        m->base = NULL;
        return wasmtime_error_new("cannot reserve address space");
    }
    m->len = 0;
    wasmtime_error_t *e = memory_grow(m, minimum);
    if (e) {
        memory_release(m);
        return e;
    }
    ret_memory->env = m;
    ret_memory->get_memory = memory_get;
    ret_memory->grow_memory = memory_grow;
    ret_memory->finalizer = memory_release;
    return NULL;
}

enum err memory_clear(struct memory *m, size_t at, size_t len)
{
    void *start = mmap(m->base + at, len, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (start == MAP_FAILED)
        return ERR_IO;
    /* The kernel would collapse pages to a huge one in the background, and what is written to those
     * that the guest had not touched yet would cause no fault. Unknown to old kernels without. */
    (void)madvise(start, len, MADV_NOHUGEPAGE);
    return OK;
}

/* A page becomes private by a page fault of the thread that writes to it, in user mode or in a
 * system call. When the thread has had none since the last look, no scan is needed: the steady
 * state of a function that is called again and again. A fault that had to read the page from swap,
 * or was retried for any reason, counts as a major one. */
long memory_note_faults(struct memory *m)
{
    static _Thread_local long seen = -1;
    struct rusage usage;
    long faults = seen + 1, before = seen;
    if (getrusage(RUSAGE_THREAD, &usage) == 0)
        faults = usage.ru_minflt + usage.ru_majflt;
    if (faults != seen)
        m->has_faulted = true;
    seen = faults;
    return faults - before;
}
