/* SPDX-License-Identifier: Apache-2.0
 *
 * See fiber.h. The switch saves what the platform's calling convention keeps across calls, on the
 * stack that is left, and takes it from the one that is entered. Sanitizers are told, since they
 * keep an account of stacks. */
#include "base/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

#ifdef __SANITIZE_ADDRESS__
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct fiber {
    void *sp;     /* of the fiber while it is left */
    void *caller; /* of whoever runs it */
    char *map, *stack;
    size_t map_len, stack_len;
    void (*fn)(void *arg);
    void *arg;
    bool is_ended;
    /* of the sanitizers */
    void *fake, *caller_fake;
    const void *caller_stack;
    size_t caller_stack_len;
    void *tsan, *caller_tsan;
};

static _Thread_local struct fiber *fiber_current;

/* Another thread's after a switch: its address must be computed each time. */
__attribute__((noinline)) static struct fiber *current_get(void)
{
    __asm__ volatile("");
    return fiber_current;
}

__attribute__((noinline)) static void current_set(struct fiber *f)
{
    __asm__ volatile("");
    fiber_current = f;
}

/* Stores the stack pointer in *from, goes on at `to`. */
void fiber_switch(void **from, void *to);

#if defined(__x86_64__)
enum { FRAME_WORDS = 7, FRAME_ENTRY = 6, TOP_WORDS = 3 }; /* as after a call */
__asm__(".text\n"
        ".hidden fiber_switch\n"
        ".globl fiber_switch\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch, .-fiber_switch\n");
#elif defined(__aarch64__)
enum { FRAME_WORDS = 20, FRAME_ENTRY = 11, TOP_WORDS = 2 };
__asm__(".text\n"
        ".hidden fiber_switch\n"
        ".globl fiber_switch\n"
        ".type fiber_switch, %function\n"
        "fiber_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size fiber_switch, .-fiber_switch\n");
#else
#error "fiber_switch() is written for x86-64 and arm64"
#endif

/* Around each switch into the fiber, and out of it. */
static void enter_begin(struct fiber *f)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&f->caller_fake, f->stack, f->stack_len);
#endif
#ifdef FIBER_TSAN
    f->caller_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
}

static void enter_end(struct fiber *f)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->fake, &f->caller_stack, &f->caller_stack_len);
#endif
}

static void leave_begin(struct fiber *f)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(f->is_ended ? NULL : &f->fake, f->caller_stack,
                                   f->caller_stack_len);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(f->caller_tsan, 0);
#endif
}

static void leave_end(struct fiber *f)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->caller_fake, NULL, NULL);
#endif
}

__attribute__((noreturn)) static void fiber_main(void)
{
    struct fiber *f = current_get();
    enter_end(f);
    f->fn(f->arg);
    f->is_ended = true;
    leave_begin(f);
    fiber_switch(&f->sp, f->caller);
    check_fatal("a fiber was run after its end");
}

struct fiber *fiber_new(size_t stack_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct fiber *f = calloc(1, sizeof(*f));
    if (!f)
        check_out_of_memory(sizeof(*f));
    f->stack_len = (stack_bytes + page - 1) / page * page;
    f->map_len = f->stack_len + page;
    f->map = mmap(NULL, f->map_len, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (f->map == MAP_FAILED)
        check_out_of_memory(f->map_len);
    CHECK(mprotect(f->map, page, PROT_NONE) == 0);
    f->stack = f->map + page;
    f->is_ended = true;
#ifdef FIBER_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    return f;
}

void fiber_free(struct fiber *f)
{
    if (!f)
        return;
    CHECK(f->is_ended);
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(f->tsan);
#endif
    CHECK(munmap(f->map, f->map_len) == 0);
    free(f);
}

void fiber_set(struct fiber *f, void (*fn)(void *arg), void *arg)
{
    CHECK(f->is_ended);
    f->fn = fn;
    f->arg = arg;
    f->is_ended = false;
    f->fake = NULL;
    /* The frame that fiber_switch() takes, above it a return address that is none. */
    uintptr_t *top = (uintptr_t *)(f->stack + f->stack_len) - TOP_WORDS;
    top[0] = top[1] = 0;
    uintptr_t *frame = top - FRAME_WORDS;
    for (size_t i = 0; i < FRAME_WORDS; i++)
        frame[i] = 0;
    frame[FRAME_ENTRY] = (uintptr_t)fiber_main;
    f->sp = frame;
}

bool fiber_run(struct fiber *f)
{
    CHECK(!current_get());
    CHECK(!f->is_ended);
    current_set(f);
    enter_begin(f);
    fiber_switch(&f->caller, f->sp);
    leave_end(f);
    current_set(NULL);
    return f->is_ended;
}

void fiber_leave(void)
{
    struct fiber *f = current_get();
    CHECK(f);
    leave_begin(f);
    fiber_switch(&f->sp, f->caller);
    enter_end(f);
}

bool fiber_is_inside(void)
{
    return current_get();
}
