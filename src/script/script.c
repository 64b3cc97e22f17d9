/* SPDX-License-Identifier: Apache-2.0
 *
 * See script.h. The files are embedded by embed.sh. */
#include "script/script.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/module_kind.h"
#include "guest/abi.h"
#include "script/builtin.h"
#include "script/bundle.h"
#include "script/sourcemap.h"
#include "script/wasm_modules.h"

_Static_assert((int)MODULE_EXPORT_FETCH == ABI_EXPORT_FETCH &&
                   (int)MODULE_EXPORT_FUNCTION == ABI_EXPORT_FUNCTION &&
                   (int)MODULE_EXPORT_HANDLER == ABI_EXPORT_HANDLER &&
                   (int)MODULE_EXPORT_SETUP == ABI_EXPORT_SETUP &&
                   (int)MODULE_EXPORT_WORKFLOW == ABI_EXPORT_WORKFLOW,
               "op LOADED tells them as they are");

extern const char limpet_wasm[], limpet_cwasm[];
extern const uint64_t limpet_wasm_len, limpet_cwasm_len;

static const struct sandbox_export exports[SCRIPT_EXPORTS] = {
    [SCRIPT_INITIALIZE] = {"_initialize", false},  [SCRIPT_BOOT] = {"limpet_boot", true},
    [SCRIPT_ALLOC] = {"limpet_alloc", true},       [SCRIPT_FREE] = {"limpet_free", false},
    [SCRIPT_HEAD] = {"limpet_head", true},         [SCRIPT_LOAD] = {"limpet_load", true},
    [SCRIPT_DISPATCH] = {"limpet_dispatch", true}, [SCRIPT_COMPLETE] = {"limpet_complete", false},
    [SCRIPT_RUN] = {"limpet_run", true},           [SCRIPT_ABORT] = {"limpet_abort", false},
    [SCRIPT_STATE] = {"limpet_state", true},       [SCRIPT_FORGET] = {"limpet_forget", false},
    [SCRIPT_WASM] = {"limpet_wasm", true},
};

/* Runs a call to its end on this thread. */
static enum err call_through(struct isolate *i, enum script_export fn, const int32_t *args,
                             size_t args_len, struct error *ret_error)
{
    enum isolate_status status = isolate_call(i, fn, args, args_len);
    while (status == ISOLATE_YIELDED)
        status = isolate_resume(i);
    if (status == ISOLATE_DONE)
        return OK;
    if (status == ISOLATE_WAITING) {
        isolate_cancel(i);
        return error_set(ret_error, ERR_GUEST, "top-level code may not wait");
    }
    if (ret_error)
        *ret_error = *isolate_error(i);
    return isolate_error(i)->code;
}

/* Copies text into guest memory; NUL-terminated. 0: out of memory. */
static uint32_t copy_in(struct isolate *i, struct slice text)
{
    int32_t size = (int32_t)text.len + 1, address = 0;
    if (!isolate_call_now(i, SCRIPT_ALLOC, &size, 1, &address) || address == 0)
        return 0;
    char *to = isolate_memory(i, (uint32_t)address, text.len + 1);
    if (!to)
        return 0;
    if (text.len)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return (uint32_t)address;
}

/* Calls LOAD in an isolate that is idle: copies the source in, runs to the end (guest code that yields
 * is resumed at once). kind: enum abi_load. ERR_GUEST when op FAIL was called, else what the isolate
 * says. */
static enum err evaluate(struct isolate *i, int kind, struct slice name, struct slice source,
                         struct error *ret_error)
{
    if (source.len > LIMIT_SOURCE_BYTES)
        return error_set(ret_error, ERR_TOO_LARGE, "the bundle is larger than %d bytes",
                         LIMIT_SOURCE_BYTES);
    uint32_t name_at = copy_in(i, name), source_at = name_at ? copy_in(i, source) : 0;
    if (!source_at)
        return error_set(ret_error, ERR_LIMIT_MEMORY,
                         "the bundle does not fit the module's memory limit");
    int32_t args[] = {kind, (int32_t)name_at, (int32_t)name.len, (int32_t)source_at,
                      (int32_t)source.len};
    enum err err = call_through(i, SCRIPT_LOAD, args, ARRAY_LEN(args), ret_error);
    if (err != OK)
        return err;
    if (isolate_result(i) != 0)
        return error_set(ret_error, ERR_GUEST, "the module threw while loading");
    int32_t ignored, free_name = (int32_t)name_at, free_source = (int32_t)source_at;
    if (!isolate_call_now(i, SCRIPT_FREE, &free_name, 1, &ignored) ||
        !isolate_call_now(i, SCRIPT_FREE, &free_source, 1, &ignored))
        return error_set(ret_error, ERR_INTERNAL, "the engine trapped in free");
    return OK;
}

static enum err boot(struct script *s, struct isolate *i, struct error *ret_error)
{
    enum err err = call_through(i, SCRIPT_INITIALIZE, NULL, 0, ret_error);
    if (err == OK)
        err = call_through(i, SCRIPT_BOOT, NULL, 0, ret_error);
    if (err == OK && isolate_result(i) != 0)
        err =
            error_set(ret_error, ERR_INTERNAL, "the engine does not boot (%d)", isolate_result(i));
    struct slice runtime = SLICE_EMPTY;
    CHECK(builtin_find(SLICE_LIT("internal/runtime/main"), &runtime));
    if (err == OK)
        err = evaluate(i, ABI_LOAD_RUNTIME, SLICE_LIT("limpet:runtime"), runtime, ret_error);
    int32_t head = 0;
    if (err == OK && !isolate_call_now(i, SCRIPT_HEAD, NULL, 0, &head))
        err = error_set(ret_error, ERR_INTERNAL, "the engine has no input buffer");
    if (err != OK)
        return err;
    s->head = (uint32_t)head;
    return image_capture(i, &s->base, ret_error);
}

static enum err boot_here(struct script *s, struct cell *cell, struct error *ret_error)
{
    struct isolate *i = NULL;
    enum err err = isolate_new(s->code, NULL, LIMIT_GUEST_MEMORY_BYTES, &i, ret_error);
    if (err == OK) {
        isolate_set_user(i, cell);
        err = boot(s, i, ret_error);
    }
    isolate_free(i);
    return err;
}

static struct script *script_of(struct runtime *r)
{
    return container_of(r, struct script, runtime);
}

static const struct script *script_of_const(const struct runtime *r)
{
    return container_of(r, struct script, runtime);
}

/* ---- in a process ---- */

static void script_save(const struct runtime *r, struct bytes *out)
{
    const struct script *s = script_of_const(r);
    bytes_append_u32(out, s->head);
    image_save(s->base, out);
}

static enum err adopt_saved(struct script *s, struct slice saved, struct error *ret_error)
{
    CHECK(saved.len > sizeof(s->head));
    memcpy(&s->head, saved.ptr, sizeof(s->head));
    return image_load(s->code, slice_skip(saved, sizeof(s->head)), &s->base, ret_error);
}

static void script_stop(struct runtime *r)
{
    struct script *s = script_of(r);
    image_unref(s->base);
    code_unref(s->code);
    free(s);
}

static enum err script_start(const struct runtime_start *start, struct runtime **ret_runtime,
                             struct error *ret_error)
{
    struct script *s = calloc(1, sizeof(*s));
    size_t imports_len = start->imports_len + script_wasi_len;
    struct sandbox_import *imports = calloc(imports_len, sizeof(*imports));
    CHECK(s && imports);
    s->runtime.type = &script_runtime;
    memcpy(imports, start->imports, start->imports_len * sizeof(*imports));
    memcpy(imports + start->imports_len, script_wasi, script_wasi_len * sizeof(*imports));
    struct code_config config = {
        .compiled = slice_of(limpet_cwasm, limpet_cwasm_len),
        .wasm = slice_of(limpet_wasm, limpet_wasm_len),
        .imports = imports,
        .imports_len = imports_len,
        .exports = exports,
        .exports_len = SCRIPT_EXPORTS,
        .callback = SCRIPT_WASM,
    };
    enum err err = code_new(start->engine, &config, &s->code, ret_error);
    free(imports);
    if (err == OK)
        err = start->saved.len > 0 ? adopt_saved(s, start->saved, ret_error)
                                   : boot_here(s, start->cell, ret_error);
    if (err != OK) {
        script_stop(&s->runtime);
        return err;
    }
    *ret_runtime = &s->runtime;
    return OK;
}

/* ---- versions ---- */

static enum err script_load(struct runtime *r, struct runtime_load *load, struct error *ret_error)
{
    struct script *s = script_of(r);
    struct isolate *i;
    enum err err = isolate_new(s->code, s->base, load->memory_bytes_max, &i, ret_error);
    if (err != OK)
        return err;
    isolate_set_user(i, load->cell);
    isolate_set_cpu_budget(i, load->cpu_ns_max);
    struct slice code;
    wasm_modules_split(load->artifact, &code, &load->cell->wasm_modules);
    err = evaluate(i, ABI_LOAD_MODULE, load->name, code, ret_error);
    if (err == OK)
        err = image_capture(i, &load->image, ret_error);
    isolate_free(i);
    return err;
}

static enum err script_image_save(const struct runtime *r, const struct image *m, struct bytes *out,
                                  struct error *ret_error)
{
    return image_save_delta(m, out, ret_error);
}

static enum err script_image_load(const struct runtime *r, struct slice saved,
                                  struct image **ret_image, struct error *ret_error)
{
    return image_load_delta(script_of_const(r)->base, saved, ret_image, ret_error);
}

static enum err script_detail_read(struct slice text, void **ret_detail, struct error *ret_error)
{
    struct sourcemap *map;
    enum err err = sourcemap_parse(text, &map, ret_error);
    if (err == OK)
        *ret_detail = map;
    return err;
}

static size_t script_detail_bytes(const void *detail)
{
    return sourcemap_bytes(detail);
}

static void script_detail_free(void *detail)
{
    sourcemap_free(detail);
}

static void script_write_stack(const void *detail, struct slice module, struct slice stack,
                               struct bytes *out)
{
    sourcemap_map_stack(detail, module, stack, out);
}

/* ---- guests ---- */

/* Puts the input where the guest reads it. 0: it has no memory for it. */
static uint32_t write_input(const struct script *s, struct isolate *i, struct slice input)
{
    int32_t at = (int32_t)s->head, size = (int32_t)input.len;
    if (input.len > ABI_HEAD_BYTES && !isolate_call_now(i, SCRIPT_ALLOC, &size, 1, &at))
        return 0;
    char *to = at ? isolate_memory(i, (uint32_t)at, input.len) : NULL;
    if (!to)
        return 0;
    memcpy(to, input.ptr, input.len);
    return (uint32_t)at;
}

static enum err script_dispatch(struct runtime *r, struct isolate *i,
                                const struct dispatch_input *in, struct bytes *scratch,
                                enum isolate_status *ret_status, struct error *ret_error)
{
    script_encode(in, scratch);
    uint32_t at = write_input(script_of(r), i, bytes_slice(scratch));
    if (at == 0)
        return error_set(ret_error, ERR_LIMIT_MEMORY,
                         "the request does not fit the module's memory limit");
    int32_t args[] = {(int32_t)in->number, (int32_t)in->kind, (int32_t)at, (int32_t)scratch->len};
    *ret_status = isolate_call(i, SCRIPT_DISPATCH, args, ARRAY_LEN(args));
    return OK;
}

static bool script_complete(struct isolate *i, uint32_t op, enum err status, struct slice payload)
{
    int32_t at = 0, ignored, size = (int32_t)payload.len;
    if (size > 0) {
        if (!isolate_call_now(i, SCRIPT_ALLOC, &size, 1, &at))
            return false;
        char *to = at ? isolate_memory(i, (uint32_t)at, payload.len) : NULL;
        if (to) {
            memcpy(to, payload.ptr, payload.len);
        } else { /* out of memory: the op fails with an empty message */
            status = ERR_LIMIT_MEMORY;
            at = size = 0;
        }
    }
    int32_t args[] = {(int32_t)op, (int32_t)status, at, size};
    return isolate_call_now(i, SCRIPT_COMPLETE, args, ARRAY_LEN(args), &ignored);
}

static enum isolate_status script_run(struct isolate *i)
{
    return isolate_call(i, SCRIPT_RUN, NULL, 0);
}

/* A call that takes the number of a dispatch. */
static bool call_of(struct isolate *i, enum script_export fn, uint32_t dispatch, int32_t *ret)
{
    int32_t id = (int32_t)dispatch;
    return isolate_call_now(i, fn, &id, 1, ret);
}

static bool script_abort(struct isolate *i, uint32_t dispatch)
{
    int32_t ignored;
    return call_of(i, SCRIPT_ABORT, dispatch, &ignored);
}

static enum runtime_state script_state(struct isolate *i, uint32_t dispatch)
{
    int32_t state;
    if (!call_of(i, SCRIPT_STATE, dispatch, &state) || state < RUNTIME_CLOSED ||
        state > RUNTIME_WAITS)
        return RUNTIME_CLOSED;
    return (enum runtime_state)state;
}

static bool script_forget(struct isolate *i, uint32_t dispatch)
{
    int32_t ignored;
    return call_of(i, SCRIPT_FORGET, dispatch, &ignored);
}

/* ---- failures ---- */

/* Out of memory reaches us as an exception of the engine, since memory.grow just fails; without a
 * name when there was no memory even for that. */
static enum runtime_fault script_classify(struct slice name, struct slice message,
                                          bool was_out_of_memory)
{
    if (was_out_of_memory && (slice_eq_cstr(name, "InternalError") || name.len == 0))
        return RUNTIME_FAULT_MEMORY;
    if (slice_starts(message, SLICE_LIT("Maximum call stack")) ||
        slice_starts(message, SLICE_LIT("stack overflow")))
        return RUNTIME_FAULT_STACK;
    return RUNTIME_FAULT_CODE;
}

const struct runtime_type script_runtime = {
    .name = "script",
    .start = script_start,
    .save = script_save,
    .stop = script_stop,
    .artifact_member = "bundle",
    .detail_member = "source_map",
    .find_tool = bundle_find_esbuild,
    .build = script_build,
    .locate = script_locate,
    .load = script_load,
    .image_save = script_image_save,
    .image_load = script_image_load,
    .detail_read = script_detail_read,
    .detail_free = script_detail_free,
    .detail_bytes = script_detail_bytes,
    .write_stack = script_write_stack,
    .builtin = builtin_find,
    .dispatch = script_dispatch,
    .unfinished = isolate_result,
    .complete = script_complete,
    .run = script_run,
    .abort = script_abort,
    .state = script_state,
    .forget = script_forget,
    .classify = script_classify,
    .hung = "the handler's promise can never settle: nothing that it awaits is pending",
    .hung_hint = "look for a promise whose resolve is never called",
};
