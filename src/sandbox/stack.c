/* SPDX-License-Identifier: Apache-2.0
 *
 * Native stacks of guests for Wasmtime's on-demand allocator. Address space for the deepest recursion,
 * of which hardly anything is touched; a store keeps its stack from call to call, so what a deep one
 * has touched is given back to the system when the call is over (stack_settle()). */
#include "sandbox/internal.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    STACK_KEPT_BYTES = 128 * 1024, /* at the top: what calls touch that are not deep */
    STACK_FAULTS_DEEP = 2 * STACK_KEPT_BYTES / 4096, /* page faults of a call that may have been */
};

static _Thread_local struct stack *expected;

void stack_expect(struct stack *s)
{
    expected = s;
}

struct stack_memory {
    uint8_t *base; /* the lowest page is a guard */
    size_t len;
    struct stack *of;
};

/* What is asked for is its upper end. */
static uint8_t *stack_get(void *env, size_t *ret_len)
{
    struct stack_memory *m = env;
    *ret_len = m->len - HOST_PAGE;
    return m->base + m->len;
}

static void stack_release(void *env)
{
    struct stack_memory *m = env;
    munmap(m->base, m->len);
    if (m->of && m->of->memory == m)
        m->of->memory = NULL;
    free(m);
}

wasmtime_error_t *stack_create(void *env, size_t size, bool zeroed,
                               wasmtime_stack_memory_t *ret_stack)
{
    struct stack_memory *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->len = (size + HOST_PAGE - 1) / HOST_PAGE * HOST_PAGE + HOST_PAGE;
    m->base = mmap(NULL, m->len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (m->base == MAP_FAILED || mprotect(m->base, HOST_PAGE, PROT_NONE) != 0) {
        if (m->base != MAP_FAILED)
            munmap(m->base, m->len);
        free(m);
        return wasmtime_error_new("cannot map a stack");
    }
    (void)madvise(m->base, m->len, MADV_NOHUGEPAGE); /* one would be most of what is ever touched */
    m->of = expected;
    if (expected)
        expected->memory = m;
    *ret_stack = (wasmtime_stack_memory_t){
        .env = m, .get_stack_memory = stack_get, .finalizer = stack_release};
    return NULL;
}

void stack_settle(struct stack *s, long faults, bool is_over)
{
    s->faults += faults;
    if (!is_over)
        return;
    if (s->faults > STACK_FAULTS_DEEP && s->memory && s->memory->len > STACK_KEPT_BYTES)
        (void)madvise(s->memory->base + HOST_PAGE, s->memory->len - HOST_PAGE - STACK_KEPT_BYTES,
                      MADV_DONTNEED); /* else it stays until the isolate goes */
    s->faults = 0;
}
