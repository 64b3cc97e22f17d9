/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside sandbox/. */
#pragma once

#include <wasm.h>
#include <wasmtime.h>

#include <endian.h>
#include <pthread.h>

#include "sandbox/engine.h"
#include "sandbox/isolate.h"
#include "sandbox/snapshot.h"

enum {
    WASM_PAGE = 65536,
    HOST_PAGE = 4096,
    /* Native stack of guest code, as far as it is touched (stack.c). The engine's own stack check
     * (QuickJS) throws before: guest/engine/README.md. */
    SANDBOX_WASM_STACK_BYTES = 16 * 1024 * 1024,
    /* From the first call of nested code on (nested.h), for it and all that it calls, but for the guest's
     * own code, which has SANDBOX_WASM_STACK_BYTES below any of that: hence a stack of both, and as much
     * again. Pages that nobody touches cost nothing. */
    SANDBOX_NESTED_STACK_BYTES = 2 * 1024 * 1024,
    SANDBOX_FIBER_STACK_BYTES =
        2 * SANDBOX_WASM_STACK_BYTES + SANDBOX_NESTED_STACK_BYTES + 512 * 1024,
    SANDBOX_TICK_US = 1000, /* how often running guests are looked at */
    SANDBOX_GLOBALS_MAX = 4096,
    SANDBOX_TABLE_MAX = 128 * 1024, /* elements of one that code changes */
    PAGE_WORDS = HOST_PAGE / 8,
    PAGE_MASKS = PAGE_WORDS / 64,
};

struct engine {
    wasm_engine_t *wasm;
    struct ticker *ticker;
    /* Of the modules that guests' code has: nested.h. */
    pthread_mutex_t modules_lock;
    wasm_engine_t *nested; /* atomic; NULL: nobody has asked for it */
    struct nested_module *modules;
};
wasm_engine_t *engine_configure(void); /* without a ticker */
/* With other settings, made at first use; any thread. */
wasm_engine_t *engine_nested(struct engine *e);

struct code {
    int refs; /* atomic */
    struct engine *engine;
    wasmtime_module_t *module;
    wasmtime_linker_t *linker;
    wasmtime_instance_pre_t *pre;
    struct sandbox_import *imports;
    size_t imports_len;
    struct sandbox_export exports[SANDBOX_EXPORTS_MAX];
    size_t exports_len;
    unsigned callback; /* of these */
    bool was_precompiled;
    uint8_t digest[IMAGE_DIGEST_BYTES]; /* of the module */
    /* state.c: what isolates must be given back beside the memory: by the names of its exports. */
    bool has_stack_pointer;
    char **globals; /* mutable ones, other than the stack pointer */
    uint32_t globals_len;
    char **tables; /* if its code changes them */
    size_t tables_len;
};

/* What isolate_yield() calls: defined for every code, imported by none. */
#define CODE_YIELD_MODULE "limpet:host"
#define CODE_YIELD_NAME "yield"

/* The values of an instance's mutable globals. */
struct globals {
    int32_t stack_pointer;
    uint32_t len;
    uint64_t *value; /* in the order of code.globals; owned: globals_done() */
};
void globals_make(struct globals *g, uint32_t len); /* with room for so many */
void globals_done(struct globals *g);

/* ---- survey.c: what there is in a module ---- */

struct survey_item {
    uint8_t type; /* of a value, or of a table's elements, as in the module */
    bool is_mutable;
    uint64_t min;      /* elements of a table at first */
    struct slice name; /* of its first export that a C string can hold, "": none; in the module */
    unsigned order;    /* of that export */
};
struct survey_items {
    struct survey_item *at;
    size_t len, cap;
};
struct survey {
    struct survey_items globals, tables;
    unsigned imported[5]; /* by kind */
    unsigned memories;
    bool is_memory_wide, has_memory_export;
    struct slice exports; /* their section, or where it would be, empty; in the module */
    uint32_t exports_len;
    /* of the code, if it was read */
    bool changes_tables;
    const char *refused; /* it "…": nothing can take that back */
    uint32_t refused_in; /* its function, of those that are not imported */
};
enum { SURVEY_HEAD_BYTES = 8, SURVEY_SECTION_TAG = 13 };

/* False: it cannot be read. To be followed by survey_done() in either case. */
bool survey_read(struct slice wasm, bool with_code, struct survey *ret);
void survey_done(struct survey *s);
struct parser;
void survey_skip_expression(struct parser *p); /* a constant one, up to and with its end */

/* ---- state.c ---- */

enum { STATE_NAME_MAX = 40 };

/* For whoever compiles: ret_wasm gets the module with exports added, if it needs any. ERR_INVALID,
 * ERR_LIMIT: the module has state that cannot be given back. */
NODISCARD enum err state_prepare(struct slice wasm, struct bytes *ret_wasm,
                                 bool *ret_changes_tables, struct error *ret_error);
void state_put_number(struct bytes *out, size_t n); /* as LEB128 */
/* What is in a section of exports, without its head and their number. */
struct slice state_entries_of(struct slice section);
/* Fills in c->globals and c->tables. wasm: before exports were added. */
NODISCARD enum err state_find(struct code *c, struct slice wasm, bool changes_tables,
                              struct error *ret_error);

/* ---- tables.c ---- */

struct isolate_table {
    wasmtime_table_t table;
    uint64_t len; /* at first */
    wasmtime_val_t *first;
};
/* Of one table in an image: which element of all that tables had at first stands there. */
struct table_content {
    uint64_t len;
    uint32_t *elements;
};
NODISCARD enum err tables_open(struct isolate *i, struct error *ret_error);
void tables_close(struct isolate *i);
/* NULL if its code changes none. ERR_INVALID: what stands in one was not there at first. */
NODISCARD enum err tables_capture(struct isolate *i, struct table_content **ret,
                                  struct error *ret_error);
void tables_content_free(struct table_content *all, size_t len);
/* False: one has grown. */
NODISCARD bool tables_restore(struct isolate *i, const struct table_content *all);

/* Numbers of host pages in a memory, rising. */
struct page_list {
    uint32_t *at;
    size_t len, cap;
};
void page_list_add(struct page_list *list, size_t page);
void page_list_done(struct page_list *list);

/* A linear memory: [base, base+len) usable, reserved far beyond, so that generated code needs no
 * bounds checks. The first part is a private mapping of an image when there is one. */
struct memory {
    char *base;
    size_t len, len_max, reserved;
    const struct image *mapped; /* the isolate's image, or that one's base with the rest written */
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
/* Zero pages again, that nobody else maps. */
NODISCARD enum err memory_clear(struct memory *m, size_t at, size_t len);
/* Notes the page faults of this thread since the last call, and returns how many: they may have been
 * this memory's. */
long memory_note_faults(struct memory *m);

/* ---- delta.c: memory as the words that differ from an image ---- */

struct delta {
    size_t memory_len;
    struct globals globals;
    size_t pages_len;
    const uint64_t *masks; /* PAGE_MASKS a page, little-endian like all arrays */
    const uint64_t *words;
    const uint32_t *numbers; /* rising */
    /* one that is kept */
    const uint32_t *firsts; /* index of each page's first word */
    void *block;            /* where the arrays are */
    size_t bytes;
};

struct delta_scratch {
    struct ZSTD_CCtx_s *pack;
    struct ZSTD_DCtx_s *unpack;
    struct page_list list;
    struct bytes content, packed;
};

/* The calling thread's; to be trimmed after use. */
struct delta_scratch *delta_scratch_get(void);
void delta_scratch_trim(struct delta_scratch *s);
/* Compares the pages s->list of memory with the image. s->list shrinks to those that differ,
 * s->content gets what does. */
void delta_collect(const char *memory, const struct image *against, const struct globals *globals,
                   struct delta_scratch *s);
NODISCARD enum err delta_pack(struct delta_scratch *s, struct error *ret_error); /* to s->packed */
/* memory_len, pages_len and globals.len of d are set; the arrays then lie in s->content, or in
 * content. */
NODISCARD enum err delta_unpack(struct delta_scratch *s, struct slice frame, struct delta *d,
                                struct error *ret_error);
NODISCARD enum err delta_divide(struct slice content, struct delta *d, struct error *ret_error);
/* Onto memory that is as the image. */
void delta_patch(const struct delta *d, char *memory);
/* Moves the arrays to memory of their own, and indexes them. */
void delta_keep(struct delta *d);
void delta_done(struct delta *d);
size_t delta_find(const struct delta *d, uint32_t page); /* the first page at or behind it */
void delta_patch_page(const struct delta *d, size_t k, uint64_t *page);

static inline uint32_t delta_page(const struct delta *d, size_t k)
{
    return le32toh(d->numbers[k]);
}

/* ---- nested_image.c: what of nested.h is in an image ---- */

struct nested_plan;
/* NULL if its code has none. ERR_INVALID: it has what cannot be given back. */
NODISCARD enum err nested_capture(struct isolate *i, struct nested_plan **ret,
                                  struct error *ret_error);
void nested_plan_free(struct nested_plan *plan); /* NULL is allowed */
/* The isolate's memory has the image's length; its content is laid over it afterwards. */
NODISCARD enum err nested_build(struct isolate *i, const struct nested_plan *plan,
                                struct error *ret_error);
/* As the image says, or as nothing had been made. False: the isolate must be freed. */
NODISCARD bool nested_restore(struct isolate *i, const struct nested_plan *plan);
void nested_free(struct isolate *i);

/* ---- image.c ---- */

/* An image is whole (all its pages lie in the backing file), or it is its base with a delta, or
 * both; once whole it stays so. */
struct image {
    int refs;                     /* atomic */
    struct code *code;            /* whose memory it is, a reference */
    struct image *base;           /* a whole one without a base, or NULL */
    struct delta delta;           /* from base; without one, only memory_len and globals */
    struct table_content *tables; /* NULL: they are as at first */
    struct nested_plan *nested;   /* NULL: its code has no WebAssembly */
    size_t len;                   /* of the linear memory */
    pthread_mutex_t lock;
    unsigned isolates, restores; /* atomic: of isolates that have no whole image mapped */
    bool is_never_whole;         /* under lock */
    struct budget *memory;       /* likewise: image_bill(); NULL: nobody's */
    size_t billed;               /* likewise: taken from it for being whole */

    /* written under lock before `view` (atomic) is set */
    size_t at;           /* in the backing file */
    size_t nonzero;      /* bytes in nonzero pages */
    uint8_t *is_nonzero; /* one bit a page; the others are holes, which must not even be read:
                            reading a hole of a memfd allocates its page */
    const char *view;    /* shared read-only mapping of the whole image */

    bool has_digest; /* atomic */
    uint8_t digest[IMAGE_DIGEST_BYTES];
};

static inline bool image_is_hole(const struct image *m, size_t page)
{
    return !(m->is_nonzero[page / 8] & (1u << (page % 8)));
}

static inline bool image_is_whole(const struct image *m)
{
    return __atomic_load_n(&m->view, __ATOMIC_ACQUIRE);
}

/* What the image holds there, which is nothing beyond its end; in scratch if it has to be put
 * together. */
const uint64_t *image_page(const struct image *m, size_t page, uint64_t scratch[PAGE_WORDS]);
/* An image from a delta, whose arrays are copied but for the globals, which are taken over. */
struct image *image_of_delta(struct image *base, const struct delta *d);
/* Lays the image over the memory, which has its length. */
NODISCARD enum err image_map(struct image *m, struct memory *memory, struct error *ret_error);
void image_unmap(struct image *m, struct memory *memory); /* before the memory goes */
/* Copies back what was written. */
void image_restore(struct image *m, struct memory *memory);
/* The pages of memory that can differ from the image (beyond its end: from zero), as they are now:
 * cleared and filled. Always scans, since for a snapshot a page missed would be data lost. */
void image_list_private(const struct memory *memory, struct page_list *ret);
bool page_is_zero(const char *page);

/* stack.c: the native stack of a store. */
struct stack {
    struct stack_memory *memory; /* NULL: there is none yet */
    long faults;                 /* of the thread in the call that runs */
};
/* The next stack that this thread makes is for s. */
void stack_expect(struct stack *s);
wasmtime_error_t *stack_create(void *env, size_t size, bool zeroed,
                               wasmtime_stack_memory_t *ret_stack);
/* A call has left the processor after so many page faults; is_over: for good. */
void stack_settle(struct stack *s, long faults, bool is_over);

struct isolate {
    struct code *code; /* a reference */
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    wasmtime_instance_t instance;
    wasmtime_func_t exports[SANDBOX_EXPORTS_MAX];
    wasmtime_global_t stack_pointer, *globals;
    struct isolate_table *tables;
    struct nested *nested; /* NULL: its code has no WebAssembly */
    size_t nested_charged; /* for what of it lies outside of the memory */
    struct memory memory;
    struct stack stack;
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

    uint64_t cpu_budget_ns, cpu_used_ns, stretch_ns;
    uint64_t entered_ns;     /* monotonic, when the call or resume started */
    uint64_t entered_cpu_ns; /* the thread's CPU time then, or up to SANDBOX_TICK_US before */
    bool may_yield, ends_slice;
    bool is_yielding; /* in isolate_yield() */
    bool has_yield;
    wasmtime_func_t yield; /* a function of the host that waits for one poll; if has_yield */
    struct error error;    /* pending (set inside) or final */
};

/* ticker.c: increments the engine's epoch while guests run. */
struct ticker *ticker_new(wasm_engine_t *engine);
void ticker_free(struct ticker *t);
void ticker_add(struct ticker *t, wasm_engine_t *engine); /* one more, which outlives it */
void ticker_touch(
    struct ticker *t); /* a guest starts to run; any thread, a load and rarely a wake */

/* A tick has passed. Error: its CPU time is used up. *ret_yields: others should have their turn. */
wasmtime_error_t *isolate_tick(struct isolate *i, bool *ret_yields);
/* From inside of an import, on the fiber: others have their turn. False: the call is ended, unwind. */
NODISCARD bool isolate_yield(struct isolate *i);
/* From inside of an import: calls the export of struct code_config.callback. When it traps, the isolate
 * has an error. */
int32_t isolate_call_inside(struct isolate *i, uint32_t a, uint32_t b, bool c);

/* Grows the linear memory to len bytes; nothing to do if it is as long. ERR_LIMIT_MEMORY. */
NODISCARD enum err isolate_grow(struct isolate *i, size_t len, struct error *ret_error);
void isolate_set_globals(struct isolate *i, const struct globals *globals);
void isolate_get_globals(struct isolate *i, struct globals *ret); /* for globals_done() */
int32_t isolate_stack_pointer(struct isolate *i);

/* what: goes before the message; NULL: nothing. */
enum err wasm_error_take(struct error *ret_error, enum err code, wasmtime_error_t *e,
                         const char *what);
