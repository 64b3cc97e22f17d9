/* SPDX-License-Identifier: Apache-2.0
 *
 * Isolates, see isolate.h. Time: on entering and leaving guest code the monotonic clock is read
 * (cheap); the thread's CPU clock is a system call, so it is read at most once a tick, and in
 * stretches longer than a tick, which no short request sees. A guest whose thread shares its core
 * with others, or whose process was stopped, is thus not charged for time that it did not have. */
#include "sandbox/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

#define SLICE_NS ((uint64_t)LIMIT_GUEST_SLICE_MS * 1000000)
#define TICK_NS ((uint64_t)SANDBOX_TICK_US * 1000)

/* The thread's CPU clock, as of at most a tick ago. */
static uint64_t recent_cpu_ns(uint64_t now_ns)
{
    static _Thread_local uint64_t read_ns, cpu_ns;
    if (now_ns - read_ns >= TICK_NS) {
        read_ns = now_ns;
        cpu_ns = clock_thread_cpu_ns();
    }
    return cpu_ns;
}

/* CPU time used in this stretch. A short one is taken for CPU time whole; in a longer one the
 * thread may have been preempted, or the process stopped. */
static uint64_t stretch_ns(const struct isolate *i, uint64_t now_ns)
{
    uint64_t elapsed = now_ns - i->entered_ns;
    if (elapsed < TICK_NS)
        return elapsed;
    uint64_t cpu = clock_thread_cpu_ns() - i->entered_cpu_ns;
    return cpu < elapsed ? cpu : elapsed;
}

wasmtime_error_t *isolate_tick(struct isolate *i, bool *ret_yields)
{
    ticker_touch(i->code->engine->ticker); /* still running: it must not fall asleep */
    uint64_t used = stretch_ns(i, clock_monotonic_ns());
    if (i->cpu_used_ns + used > i->cpu_budget_ns) {
        error_set(&i->error, ERR_LIMIT_CPU, "used more than %llu ms of CPU time",
                  (unsigned long long)(i->cpu_budget_ns / 1000000));
        error_hint(&i->error, "split the work, or raise the module's cpu_ms limit");
        return wasmtime_error_new("cpu limit");
    }
    /* The next tick would be too late: a slice is what neighbors wait for. */
    *ret_yields = (used + TICK_NS > SLICE_NS || i->ends_slice) && i->may_yield;
    return NULL;
}

static wasmtime_error_t *on_tick(wasmtime_context_t *context, void *data, uint64_t *ret_delta,
                                 wasmtime_update_deadline_kind_t *ret_kind)
{
    bool yields = false;
    wasmtime_error_t *e = isolate_tick(data, &yields);
    *ret_delta = 1;
    *ret_kind = yields ? WASMTIME_UPDATE_DEADLINE_YIELD : WASMTIME_UPDATE_DEADLINE_CONTINUE;
    return e;
}

static void enter(struct isolate *i)
{
    stack_expect(&i->stack);
    i->entered_ns = clock_monotonic_ns();
    i->entered_cpu_ns = recent_cpu_ns(i->entered_ns);
    i->ends_slice = false;
    wasmtime_context_set_epoch_deadline(i->context, 1);
    ticker_touch(i->code->engine->ticker);
}

static void leave(struct isolate *i, bool is_over)
{
    stack_expect(NULL);
    i->stretch_ns = stretch_ns(i, clock_monotonic_ns());
    i->cpu_used_ns += i->stretch_ns;
    stack_settle(&i->stack, memory_note_faults(&i->memory), is_over);
}

/* Turns what Wasmtime reports into our error; what the host set before (pending error) wins. */
static void take_failure(struct isolate *i, wasm_trap_t *trap, wasmtime_error_t *e)
{
    if (i->error.code == OK && trap) {
        wasmtime_trap_code_t code = 255;
        wasm_byte_vec_t text;
        wasm_trap_message(trap, &text);
        if (wasmtime_trap_code(trap, &code) && code == WASMTIME_TRAP_CODE_STACK_OVERFLOW) {
            error_set(&i->error, ERR_LIMIT_STACK, "call stack exhausted");
            error_hint(&i->error, "look for unbounded recursion");
        } else {
            error_set(&i->error, ERR_GUEST, "the sandbox trapped: %.*s", (int)text.size, text.data);
        }
        wasm_byte_vec_delete(&text);
    } else if (i->error.code == OK && e) {
        (void)wasm_error_take(&i->error, ERR_GUEST, TAKE(e), "the sandbox failed");
    }
    if (trap)
        wasm_trap_delete(trap);
    if (e)
        wasmtime_error_delete(e);
}

static enum err lookup_global(struct isolate *i, const char *name, wasmtime_global_t *ret,
                              struct error *ret_error)
{
    wasmtime_extern_t x;
    if (!wasmtime_instance_export_get(i->context, &i->instance, name, strlen(name), &x) ||
        x.kind != WASMTIME_EXTERN_GLOBAL)
        return error_set(ret_error, ERR_INVALID, "the module has no global %s", name);
    *ret = x.of.global;
    return OK;
}

static enum err lookup_exports(struct isolate *i, struct error *ret_error)
{
    struct code *c = i->code;
    wasmtime_extern_t x;
    for (size_t k = 0; k < c->exports_len; k++) {
        const char *name = c->exports[k].name;
        if (!wasmtime_instance_export_get(i->context, &i->instance, name, strlen(name), &x) ||
            x.kind != WASMTIME_EXTERN_FUNC)
            return error_set(ret_error, ERR_INVALID, "the module has no function %s", name);
        i->exports[k] = x.of.func;
    }
    enum err err = OK;
    if (c->has_stack_pointer)
        err = lookup_global(i, "__stack_pointer", &i->stack_pointer, ret_error);
    if (c->globals_len > 0) {
        i->globals = calloc(c->globals_len, sizeof(*i->globals));
        CHECK(i->globals);
    }
    for (size_t k = 0; err == OK && k < c->globals_len; k++)
        err = lookup_global(i, c->globals[k], &i->globals[k], ret_error);
    return err;
}

/* Numbers of 8 bytes at most (state.c), so that their bits fit. */
static void set_global(struct isolate *i, const wasmtime_global_t *global, uint64_t bits)
{
    wasmtime_val_t v;
    wasmtime_global_get(i->context, global, &v); /* for its kind */
    v.of.i64 = (int64_t)bits;
    wasmtime_error_t *e = wasmtime_global_set(i->context, global, &v);
    CHECK(!e);
}

void globals_make(struct globals *g, uint32_t len)
{
    g->len = len;
    g->value = len > 0 ? calloc(len, sizeof(*g->value)) : NULL;
    CHECK(len == 0 || g->value);
}

void globals_done(struct globals *g)
{
    free(g->value);
    *g = (struct globals){0};
}

void isolate_set_globals(struct isolate *i, const struct globals *globals)
{
    if (i->code->has_stack_pointer) {
        wasmtime_val_t sp = {.kind = WASMTIME_I32, .of.i32 = globals->stack_pointer};
        wasmtime_error_t *e = wasmtime_global_set(i->context, &i->stack_pointer, &sp);
        CHECK(!e);
    }
    CHECK(globals->len == i->code->globals_len);
    for (size_t k = 0; k < globals->len; k++)
        set_global(i, &i->globals[k], globals->value[k]);
}

void isolate_get_globals(struct isolate *i, struct globals *ret)
{
    ret->stack_pointer = isolate_stack_pointer(i);
    globals_make(ret, i->code->globals_len);
    for (size_t k = 0; k < ret->len; k++) {
        wasmtime_val_t v;
        wasmtime_global_get(i->context, &i->globals[k], &v);
        bool is_wide = v.kind == WASMTIME_I64 || v.kind == WASMTIME_F64;
        ret->value[k] = is_wide ? (uint64_t)v.of.i64 : (uint32_t)v.of.i32;
    }
}

int32_t isolate_stack_pointer(struct isolate *i)
{
    wasmtime_val_t sp = {.of.i32 = 0};
    if (i->code->has_stack_pointer)
        wasmtime_global_get(i->context, &i->stack_pointer, &sp);
    return sp.of.i32;
}

static enum err instantiate(struct isolate *i, size_t memory_bytes_max, struct error *ret_error)
{
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *e = NULL;
    memory_expect(&i->memory, memory_bytes_max);
    wasmtime_call_future_t *f =
        wasmtime_instance_pre_instantiate_async(i->code->pre, i->context, &i->instance, &trap, &e);
    while (!wasmtime_call_future_poll(f))
        ;
    wasmtime_call_future_delete(f);
    memory_expect(NULL, 0);
    if (trap) {
        wasm_trap_delete(trap);
        return error_set(ret_error, ERR_INVALID, "the module trapped while starting");
    }
    if (e)
        return wasm_error_take(ret_error, ERR_LIMIT, e, "cannot make an isolate");
    CHECK(i->memory.base);
    enum err err = lookup_exports(i, ret_error);
    return err == OK ? tables_open(i, ret_error) : err;
}

enum err isolate_grow(struct isolate *i, size_t len, struct error *ret_error)
{
    CHECK(len % WASM_PAGE == 0);
    if (len <= i->memory.len)
        return OK;
    wasmtime_extern_t x;
    bool has_memory = wasmtime_instance_export_get(i->context, &i->instance, "memory", 6, &x);
    CHECK(has_memory);
    CHECK(x.kind == WASMTIME_EXTERN_MEMORY);
    uint64_t before;
    wasmtime_error_t *e =
        wasmtime_memory_grow(i->context, &x.of.memory, (len - i->memory.len) / WASM_PAGE, &before);
    if (e)
        return wasm_error_take(ret_error, ERR_LIMIT_MEMORY, e, "the isolate cannot have so much");
    return OK;
}

static enum err adopt_image(struct isolate *i, struct image *image, struct error *ret_error)
{
    i->image = image_ref(image);
    enum err err = isolate_grow(i, image->len, ret_error);
    if (err != OK)
        return error_context(ret_error, err, "the module's image is above the memory limit");
    if (image->nested)
        err = nested_build(i, image->nested, ret_error);
    if (err != OK)
        return err;
    err = image_map(image, &i->memory, ret_error);
    if (err != OK)
        return err;
    isolate_set_globals(i, &image->delta.globals);
    if (!image->tables || tables_restore(i, image->tables))
        return OK;
    return error_set(ret_error, ERR_INTERNAL, "an isolate's tables are not those of its image");
}

enum err isolate_new(struct code *c, struct image *image, size_t memory_bytes_max,
                     struct isolate **ret_isolate, struct error *ret_error)
{
    CHECK(!image || image->code == c);
    struct isolate *i = calloc(1, sizeof(*i));
    CHECK(i);
    i->code = code_ref(c);
    i->cpu_budget_ns = UINT64_MAX / 2;
    i->store = wasmtime_store_new(c->engine->wasm, i, NULL);
    i->context = wasmtime_store_context(i->store);
    if (c->tables_len > 0)
        wasmtime_store_limiter(i->store, -1, SANDBOX_TABLE_MAX, -1, -1, -1);
    wasmtime_store_epoch_deadline_callback(i->store, on_tick, i, NULL);
    enter(i);
    enum err err = instantiate(i, memory_bytes_max, ret_error);
    if (err == OK && image)
        err = adopt_image(i, image, ret_error);
    if (err != OK) {
        isolate_free(i);
        return err;
    }
    *ret_isolate = i;
    return OK;
}

void isolate_free(struct isolate *i)
{
    if (!i)
        return;
    isolate_cancel(i);
    nested_free(i);
    if (i->image)
        image_unmap(i->image, &i->memory);
    wasmtime_store_delete(i->store); /* releases the memory */
    image_unref(i->image);
    tables_close(i);
    free(i->globals);
    code_unref(i->code);
    page_list_done(&i->memory.private_pages);
    free(i);
}

void isolate_set_user(struct isolate *i, void *user)
{
    i->user = user;
}

void isolate_ask_to_grow(struct isolate *i, bool (*may_grow)(void *user, size_t more))
{
    i->may_grow = may_grow;
}

void *isolate_user(const struct isolate *i)
{
    return i->user;
}

struct engine *isolate_engine(const struct isolate *i)
{
    return i->code->engine;
}

bool isolate_restore(struct isolate *i)
{
    CHECK(i->image);
    isolate_cancel(i);
    i->error.code = OK;
    i->memory.was_refused = false;
    if (i->memory.len != i->image->len)
        return false;
    if ((i->nested || i->image->nested) && !nested_restore(i, i->image->nested))
        return false;
    if (i->image->tables && !tables_restore(i, i->image->tables))
        return false;
    image_restore(i->image, &i->memory);
    isolate_set_globals(i, &i->image->delta.globals);
    return true;
}

void isolate_set_cpu_budget(struct isolate *i, uint64_t budget_ns)
{
    i->cpu_budget_ns = budget_ns;
    i->cpu_used_ns = 0;
}

uint64_t isolate_stretch_ns(const struct isolate *i)
{
    return i->stretch_ns;
}

uint64_t isolate_cpu_used_ns(const struct isolate *i)
{
    return i->cpu_used_ns;
}

void isolate_add_cpu(struct isolate *i, uint64_t ns)
{
    i->cpu_used_ns += ns;
}

/* The deadline has passed: code looks at it whenever it enters a function. */
void isolate_end_slice(struct isolate *i)
{
    i->ends_slice = true;
    wasmtime_context_set_epoch_deadline(i->context, 0);
}

bool isolate_yield(struct isolate *i)
{
    struct code *c = i->code;
    wasmtime_val_raw_t none[1];
    wasm_trap_t *trap = NULL;
    if (!i->has_yield) {
        wasmtime_extern_t x;
        i->has_yield =
            wasmtime_linker_get(c->linker, i->context, CODE_YIELD_MODULE, strlen(CODE_YIELD_MODULE),
                                CODE_YIELD_NAME, strlen(CODE_YIELD_NAME), &x);
        CHECK(i->has_yield && x.kind == WASMTIME_EXTERN_FUNC);
        i->yield = x.of.func;
    }
    wasmtime_error_t *e = wasmtime_func_call_unchecked(i->context, &i->yield, none, 1, &trap);
    if (!trap && !e)
        return true;
    take_failure(i, trap, e); /* the call has been cancelled */
    return false;
}

int32_t isolate_call_inside(struct isolate *i, uint32_t a, uint32_t b, bool c)
{
    wasmtime_val_raw_t raw[] = {{.i32 = (int32_t)a}, {.i32 = (int32_t)b}, {.i32 = c}};
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *e = wasmtime_func_call_unchecked(i->context, &i->exports[i->code->callback],
                                                       raw, ARRAY_LEN(raw), &trap);
    if (!trap && !e)
        return raw[0].i32;
    take_failure(i, trap, e);
    return 1;
}

static enum isolate_status poll_call(struct isolate *i)
{
    enter(i);
    i->may_yield = true;
    bool is_done = wasmtime_call_future_poll(i->future);
    i->may_yield = false;
    leave(i, is_done);
    if (!is_done)
        return i->is_waiting ? ISOLATE_WAITING : ISOLATE_YIELDED;
    wasmtime_call_future_delete(TAKE(i->future));
    if (!i->trap && !i->wasm_error)
        return ISOLATE_DONE;
    take_failure(i, TAKE(i->trap), TAKE(i->wasm_error));
    return ISOLATE_TRAPPED;
}

enum isolate_status isolate_call(struct isolate *i, unsigned fn, const int32_t *args,
                                 size_t args_len)
{
    CHECK(!i->future);
    CHECK(fn < i->code->exports_len);
    CHECK(args_len <= SANDBOX_ARGS_MAX);
    for (size_t k = 0; k < args_len; k++)
        i->args[k] = (wasmtime_val_t){.kind = WASMTIME_I32, .of.i32 = args[k]};
    size_t results_len = i->code->exports[fn].has_result ? 1 : 0;
    i->result.of.i32 = 0;
    i->future = wasmtime_func_call_async(i->context, &i->exports[fn], i->args, args_len, &i->result,
                                         results_len, &i->trap, &i->wasm_error);
    return poll_call(i);
}

enum isolate_status isolate_resume(struct isolate *i)
{
    CHECK(i->future);
    return poll_call(i);
}

bool isolate_is_running(const struct isolate *i)
{
    return i->future;
}

int32_t isolate_result(const struct isolate *i)
{
    return i->result.of.i32;
}

const struct error *isolate_error(const struct isolate *i)
{
    return &i->error;
}

bool isolate_call_now(struct isolate *i, unsigned fn, const int32_t *args, size_t args_len,
                      int32_t *ret_result)
{
    CHECK(!i->future);
    wasmtime_val_raw_t raw[SANDBOX_ARGS_MAX];
    for (size_t k = 0; k < args_len; k++)
        raw[k].i32 = args[k];
    enter(i);
    i->wasm_error = wasmtime_func_call_unchecked(i->context, &i->exports[fn], raw,
                                                 args_len ? args_len : 1, &i->trap);
    leave(i, true);
    if (i->trap || i->wasm_error) {
        take_failure(i, TAKE(i->trap), TAKE(i->wasm_error));
        return false;
    }
    *ret_result = raw[0].i32;
    return true;
}

void isolate_wake(struct isolate *i, int64_t result)
{
    CHECK(i->is_waiting);
    i->memory.has_faulted = true; /* the result was written outside of a call */
    i->is_woken = true;
    i->wake_result = result;
}

void isolate_trap(struct isolate *i, enum err code, const char *format, ...)
{
    va_list args;
    char text[ERROR_MESSAGE_MAX];
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    error_set(&i->error, code, "%s", text);
}

void isolate_cancel(struct isolate *i)
{
    if (!i->future)
        return;
    wasmtime_call_future_delete(TAKE(i->future));
    i->is_waiting = i->is_woken = false;
    if (i->trap)
        wasm_trap_delete(TAKE(i->trap));
    if (i->wasm_error)
        wasmtime_error_delete(TAKE(i->wasm_error));
}

char *isolate_memory(struct isolate *i, uint32_t address, size_t len)
{
    if (address > i->memory.len || len > i->memory.len - address)
        return NULL;
    return i->memory.base + address;
}

size_t isolate_memory_bytes(const struct isolate *i)
{
    return i->memory.len;
}

size_t isolate_private_bytes(const struct isolate *i)
{
    return i->memory.private_pages.len * HOST_PAGE;
}

bool isolate_was_out_of_memory(const struct isolate *i)
{
    return i->memory.was_refused;
}
