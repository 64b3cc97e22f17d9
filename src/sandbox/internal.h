/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside sandbox/. */
#pragma once

#include <wasm.h>
#include <wasmtime.h>

#include <pthread.h>

#include "sandbox/isolate.h"
#include "sandbox/snapshot.h"

enum {
    WASM_PAGE = 65536,
    HOST_PAGE = 4096,
    /* Native stack of guest code. The engine's own stack check (QuickJS) throws long before. */
    SANDBOX_WASM_STACK_BYTES = 4 * 1024 * 1024,
    SANDBOX_FIBER_STACK_BYTES = SANDBOX_WASM_STACK_BYTES + 512 * 1024,
    SANDBOX_TICK_US = 1000, /* how often running guests are looked at */
};

struct sandbox {
    wasm_engine_t *engine;
    wasmtime_module_t *module;
    wasmtime_linker_t *linker;
    wasmtime_instance_pre_t *pre;
    struct sandbox_import *imports;
    size_t imports_len;
    struct sandbox_export exports[SANDBOX_EXPORTS_MAX];
    size_t exports_len;
    bool was_precompiled;
    uint8_t digest[IMAGE_DIGEST_BYTES]; /* of the module */
    struct ticker *ticker;
};

/* Numbers of host pages in a memory, rising. */
struct page_list {
    uint32_t *at;
    size_t len, cap;
};
void page_list_done(struct page_list *list);

/* A linear memory: [base, base+len) usable, reserved far beyond, so that generated code needs no
 * bounds checks. The first image_len bytes are a private mapping of an image when there is one. */
struct memory {
    char *base;
    size_t len, len_max, reserved;
    size_t image_len; /* 0: anonymous */
    bool was_refused;
    /* Pages of the image that this memory has its own copy of, as of the last scan, and whether
     * page faults since then may have made more. */
    struct page_list private_pages;
    bool has_faulted;
};

wasmtime_error_t *memory_create(void *env, const wasm_memorytype_t *type, size_t minimum,
                                size_t maximum, size_t reserved, size_t guard,
                                wasmtime_linear_memory_t *ret_memory);
/* Which memory and ceiling memory_create() on this thread is for. */
void memory_expect(struct memory *m, size_t len_max);

struct image {
    int refs; /* atomic */
    int fd;
    size_t len;          /* of the linear memory */
    size_t nonzero;      /* bytes in nonzero pages */
    uint8_t *is_nonzero; /* one bit a page; the others are holes, which must not even be read:
                            reading a hole of a memfd allocates its page */
    int32_t stack_pointer;
    const char *view; /* shared read-only mapping of the whole image */
    pthread_mutex_t digest_lock;
    bool has_digest;
    uint8_t digest[IMAGE_DIGEST_BYTES];
};

static inline bool image_is_hole(const struct image *m, size_t page)
{
    return !(m->is_nonzero[page / 8] & (1u << (page % 8)));
}

/* Maps the image over the memory, which has its length. */
NODISCARD enum err image_map(const struct image *m, struct memory *memory, struct error *ret_error);
/* Copies back what was written. */
void image_restore(const struct image *m, struct memory *memory);
/* The pages of memory that can differ from the image (beyond its end: from zero), as they are now:
 * cleared and filled. Always scans, since for a snapshot a page missed would be data lost. */
void image_list_private(const struct memory *memory, struct page_list *ret);
bool page_is_zero(const char *page);
/* Notes the page faults of this thread since the last call: they may have been this memory's. */
void memory_note_faults(struct memory *m);

struct isolate {
    struct sandbox *sandbox;
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    wasmtime_instance_t instance;
    wasmtime_func_t exports[SANDBOX_EXPORTS_MAX];
    wasmtime_global_t stack_pointer;
    struct memory memory;
    struct image *image;
    void *user;
    bool (*may_grow)(void *user, size_t more); /* NULL: up to its limit */

    /* the running call; Wasmtime keeps pointers to these */
    wasmtime_call_future_t *future;
    wasmtime_val_t args[SANDBOX_ARGS_MAX], result;
    wasm_trap_t *trap;
    wasmtime_error_t *wasm_error;
    bool is_waiting, is_woken;
    int64_t wake_result;
    wasmtime_val_t *wait_result; /* where the waiting import's result goes */

    uint64_t cpu_budget_ns, cpu_used_ns;
    uint64_t entered_ns;     /* monotonic, when the call or resume started */
    uint64_t entered_cpu_ns; /* thread CPU time then; 0: not sampled yet */
    unsigned holds;
    bool may_yield, ends_slice;
    struct error error; /* pending (set inside) or final */
};

/* ticker.c: increments the engine's epoch while guests run. */
struct ticker *ticker_new(wasm_engine_t *engine);
void ticker_free(struct ticker *t);
void ticker_touch(
    struct ticker *t); /* a guest starts to run; any thread, a load and rarely a wake */

/* Grows the linear memory to len bytes; nothing to do if it is as long. ERR_LIMIT_MEMORY. */
NODISCARD enum err isolate_grow(struct isolate *i, size_t len, struct error *ret_error);
void isolate_set_stack_pointer(struct isolate *i, int32_t value);
int32_t isolate_stack_pointer(struct isolate *i);

enum err wasm_error_take(struct error *ret_error, enum err code, wasmtime_error_t *e,
                         const char *what);
