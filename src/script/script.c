/* SPDX-License-Identifier: Apache-2.0
 *
 * See script.h. The files are embedded by embed.sh. */
#include "script/script.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "guest/abi.h"

extern const char limpet_wasm[], limpet_cwasm[], limpet_runtime[];
extern const uint64_t limpet_wasm_len, limpet_cwasm_len, limpet_runtime_len;

static const struct sandbox_export exports[ENGINE_EXPORTS] = {
    [ENGINE_INITIALIZE] = {"_initialize", false},  [ENGINE_BOOT] = {"limpet_boot", true},
    [ENGINE_ALLOC] = {"limpet_alloc", true},       [ENGINE_FREE] = {"limpet_free", false},
    [ENGINE_HEAD] = {"limpet_head", true},         [ENGINE_LOAD] = {"limpet_load", true},
    [ENGINE_DISPATCH] = {"limpet_dispatch", true}, [ENGINE_COMPLETE] = {"limpet_complete", false},
    [ENGINE_RUN] = {"limpet_run", true},           [ENGINE_ABORT] = {"limpet_abort", false},
    [ENGINE_STATE] = {"limpet_state", true},       [ENGINE_FORGET] = {"limpet_forget", false},
};

/* Runs a call to its end on this thread. */
static enum err call_through(struct isolate *i, enum engine_export fn, const int32_t *args,
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
    if (!isolate_call_now(i, ENGINE_ALLOC, &size, 1, &address) || address == 0)
        return 0;
    char *to = isolate_memory(i, (uint32_t)address, text.len + 1);
    if (!to)
        return 0;
    if (text.len)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return (uint32_t)address;
}

enum err script_load(struct isolate *i, int kind, struct slice name, struct slice source,
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
    enum err err = call_through(i, ENGINE_LOAD, args, ARRAY_LEN(args), ret_error);
    if (err != OK)
        return err;
    if (isolate_result(i) != 0)
        return error_set(ret_error, ERR_GUEST, "the module threw while loading");
    int32_t ignored, free_name = (int32_t)name_at, free_source = (int32_t)source_at;
    if (!isolate_call_now(i, ENGINE_FREE, &free_name, 1, &ignored) ||
        !isolate_call_now(i, ENGINE_FREE, &free_source, 1, &ignored))
        return error_set(ret_error, ERR_INTERNAL, "the engine trapped in free");
    return OK;
}

static enum err boot(struct script *s, struct isolate *i, struct error *ret_error)
{
    enum err err = call_through(i, ENGINE_INITIALIZE, NULL, 0, ret_error);
    if (err == OK)
        err = call_through(i, ENGINE_BOOT, NULL, 0, ret_error);
    if (err == OK && isolate_result(i) != 0)
        err =
            error_set(ret_error, ERR_INTERNAL, "the engine does not boot (%d)", isolate_result(i));
    if (err == OK)
        err = script_load(i, ABI_LOAD_RUNTIME, SLICE_LIT("limpet:runtime"),
                          slice_of(limpet_runtime, limpet_runtime_len), ret_error);
    int32_t head = 0;
    if (err == OK && !isolate_call_now(i, ENGINE_HEAD, NULL, 0, &head))
        err = error_set(ret_error, ERR_INTERNAL, "the engine has no input buffer");
    if (err != OK)
        return err;
    s->head = (uint32_t)head;
    return image_capture(i, &s->base, ret_error);
}

static enum err boot_here(struct script *s, void *user, struct error *ret_error)
{
    struct isolate *i = NULL;
    enum err err = isolate_new(s->code, NULL, LIMIT_GUEST_MEMORY_BYTES, &i, ret_error);
    if (err == OK) {
        isolate_set_user(i, user);
        err = boot(s, i, ret_error);
    }
    isolate_free(i);
    return err;
}

void script_save(const struct script *s, struct bytes *out)
{
    bytes_append_u32(out, s->head);
    image_save(s->base, out);
}

static enum err adopt_booted(struct script *s, struct slice booted, struct error *ret_error)
{
    CHECK(booted.len > sizeof(s->head));
    memcpy(&s->head, booted.ptr, sizeof(s->head));
    return image_load(s->code, slice_skip(booted, sizeof(s->head)), &s->base, ret_error);
}

enum err script_new(const struct sandbox_import *imports, size_t imports_len, void *user,
                    struct slice booted, struct script **ret_script, struct error *ret_error)
{
    struct script *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->engine = engine_new();
    struct code_config config = {
        .compiled = slice_of(limpet_cwasm, limpet_cwasm_len),
        .wasm = slice_of(limpet_wasm, limpet_wasm_len),
        .imports = imports,
        .imports_len = imports_len,
        .exports = exports,
        .exports_len = ENGINE_EXPORTS,
    };
    enum err err = code_new(s->engine, &config, &s->code, ret_error);
    if (err == OK)
        err = booted.len > 0 ? adopt_booted(s, booted, ret_error) : boot_here(s, user, ret_error);
    if (err != OK) {
        script_free(s);
        return err;
    }
    *ret_script = s;
    return OK;
}

void script_free(struct script *s)
{
    if (!s)
        return;
    image_unref(s->base);
    code_unref(s->code);
    engine_free(s->engine);
    free(s);
}
