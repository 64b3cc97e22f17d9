/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled modules and their imports, see code.h. Every host function is "unchecked" (raw
 * values, no allocation), except those that may wait, which use Wasmtime's async form. */
#include "sandbox/internal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum err wasm_error_take(struct error *ret_error, enum err code, wasmtime_error_t *e,
                         const char *what)
{
    wasm_name_t text;
    wasmtime_error_message(e, &text);
    wasmtime_error_delete(e);
    error_set(ret_error, code, "%s%s%.*s", what ? what : "", what ? ": " : "", (int)text.size,
              text.data);
    wasm_name_delete(&text);
    return code;
}

static void digest_code(struct slice code, uint8_t ret_digest[IMAGE_DIGEST_BYTES])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    CHECK(EVP_Digest(code.ptr, code.len, full, NULL, EVP_sha256(), NULL));
    memcpy(ret_digest, full, IMAGE_DIGEST_BYTES);
}

/* What code_compile() puts before Wasmtime's form: what a look at the code has found, so that it need
 * not be looked at again. */
struct compiled_header {
    char magic[8];
    uint32_t changes_tables, unused;
};
static const char compiled_magic[8] = "limpcode";

/* Adds the exports that isolates are given back by, and compiles. */
static enum err build(wasm_engine_t *engine, struct slice wasm, wasmtime_module_t **ret_module,
                      bool *ret_changes_tables, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes added = BYTES_INIT;
    wasmtime_error_t *e = wasmtime_module_validate(engine, (const uint8_t *)wasm.ptr, wasm.len);
    if (e)
        return wasm_error_take(ret_error, ERR_INVALID, e, "cannot compile the module");
    enum err err = state_prepare(wasm, &added, ret_changes_tables, ret_error);
    if (err != OK)
        return err;
    if (added.len > 0)
        wasm = bytes_slice(&added);
    e = wasmtime_module_new(engine, (const uint8_t *)wasm.ptr, wasm.len, ret_module);
    return e ? wasm_error_take(ret_error, ERR_INVALID, e, "cannot compile the module") : OK;
}

enum err code_compile(struct slice wasm, struct bytes *ret_compiled, struct error *ret_error)
{
    wasm_engine_t *engine = engine_configure();
    wasmtime_module_t *module = NULL;
    wasm_byte_vec_t out;
    bool changes_tables = false;
    enum err err = build(engine, wasm, &module, &changes_tables, ret_error);
    wasmtime_error_t *e = err == OK ? wasmtime_module_serialize(module, &out) : NULL;
    if (e)
        err = wasm_error_take(ret_error, ERR_INVALID, e, "cannot keep the compiled module");
    if (err == OK) {
        struct compiled_header h = {.changes_tables = changes_tables};
        memcpy(h.magic, compiled_magic, sizeof(h.magic));
        bytes_append(ret_compiled, &h, sizeof(h));
        bytes_append(ret_compiled, out.data, out.size);
        wasm_byte_vec_delete(&out);
    }
    if (module)
        wasmtime_module_delete(module);
    wasm_engine_delete(engine);
    return err;
}

/* A trap that carries no message: the isolate's pending error has it. */
static wasm_trap_t *pending_trap(const struct isolate *i)
{
    return i->error.code == OK ? NULL : wasmtime_trap_new("host", 4);
}

static wasm_trap_t *call_import(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                                size_t len)
{
    const struct sandbox_import *import = env;
    struct isolate *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    int64_t args[SANDBOX_ARGS_MAX];
    for (size_t k = 0; import->params[k]; k++)
        args[k] = import->params[k] == 'I' ? values[k].i64 : values[k].i32;
    int64_t result = import->fn(i, args);
    CHECK(result != SANDBOX_WAIT);
    if (import->has_result)
        values[0].i32 = (int32_t)result;
    return pending_trap(i);
}

static bool is_woken(void *env)
{
    struct isolate *i = env;
    if (i->is_waiting && !i->is_woken)
        return false;
    if (i->is_waiting) {
        i->is_waiting = i->is_woken = false;
        i->wait_result->of.i32 = (int32_t)i->wake_result;
    }
    return true;
}

static void call_waiting_import(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *values,
                                size_t len, wasmtime_val_t *results, size_t results_len,
                                wasm_trap_t **ret_trap,
                                wasmtime_async_continuation_t *ret_continuation)
{
    const struct sandbox_import *import = env;
    struct isolate *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    int64_t args[SANDBOX_ARGS_MAX];
    for (size_t k = 0; import->params[k]; k++)
        args[k] = import->params[k] == 'I' ? values[k].of.i64 : values[k].of.i32;
    results[0].kind = WASMTIME_I32;
    i->wait_result = &results[0];
    int64_t result = import->fn(i, args);
    if (result == SANDBOX_WAIT)
        i->is_waiting = true;
    else
        results[0].of.i32 = (int32_t)result;
    ret_continuation->callback = is_woken;
    ret_continuation->env = i;
    ret_continuation->finalizer = NULL;
    *ret_trap = pending_trap(i);
}

static wasm_functype_t *import_type(const struct sandbox_import *import)
{
    wasm_valtype_t *params[SANDBOX_ARGS_MAX], *result[1];
    size_t n = strlen(import->params);
    CHECK(n <= SANDBOX_ARGS_MAX);
    for (size_t k = 0; k < n; k++)
        params[k] = wasm_valtype_new(import->params[k] == 'I' ? WASM_I64 : WASM_I32);
    wasm_valtype_vec_t in, out;
    wasm_valtype_vec_new(&in, n, params);
    wasm_valtype_vec_new_empty(&out);
    if (import->has_result) {
        result[0] = wasm_valtype_new(WASM_I32);
        wasm_valtype_vec_new(&out, 1, result);
    }
    return wasm_functype_new(&in, &out);
}

/* ---- isolate_yield() ---- */

static bool is_turn_over(void *env)
{
    struct isolate *i = env;
    bool is_over = !i->is_yielding;
    i->is_yielding = false; /* at the next poll it is */
    return is_over;
}

static void call_yield(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *values,
                       size_t len, wasmtime_val_t *results, size_t results_len,
                       wasm_trap_t **ret_trap, wasmtime_async_continuation_t *ret_continuation)
{
    struct isolate *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    i->is_yielding = true;
    ret_continuation->callback = is_turn_over;
    ret_continuation->env = i;
    ret_continuation->finalizer = NULL;
    *ret_trap = NULL;
}

static enum err define_yield(struct code *c, struct error *ret_error)
{
    wasm_functype_t *type = wasm_functype_new_0_0();
    wasmtime_error_t *e = wasmtime_linker_define_async_func(
        c->linker, CODE_YIELD_MODULE, strlen(CODE_YIELD_MODULE), CODE_YIELD_NAME,
        strlen(CODE_YIELD_NAME), type, call_yield, NULL, NULL);
    wasm_functype_delete(type);
    return e ? wasm_error_take(ret_error, ERR_INTERNAL, e, CODE_YIELD_NAME) : OK;
}

/* ---- imports ---- */

static enum err define_imports(struct code *c, struct error *ret_error)
{
    for (size_t k = 0; k < c->imports_len; k++) {
        struct sandbox_import *import = &c->imports[k];
        CHECK(!import->may_wait || import->has_result);
        wasm_functype_t *type = import_type(import);
        size_t module_len = strlen(import->module), name_len = strlen(import->name);
        wasmtime_error_t *e =
            import->may_wait
                ? wasmtime_linker_define_async_func(c->linker, import->module, module_len,
                                                    import->name, name_len, type,
                                                    call_waiting_import, import, NULL)
                : wasmtime_linker_define_func_unchecked(c->linker, import->module, module_len,
                                                        import->name, name_len, type, call_import,
                                                        import, NULL);
        wasm_functype_delete(type);
        if (e)
            return wasm_error_take(ret_error, ERR_INTERNAL, e, import->name);
    }
    return OK;
}

/* False: of another CPU or build. */
static bool load_compiled(struct code *c, struct slice compiled, bool *ret_changes_tables)
{
    struct compiled_header h;
    if (compiled.len < sizeof(h))
        return false;
    memcpy(&h, compiled.ptr, sizeof(h));
    compiled = slice_skip(compiled, sizeof(h));
    if (memcmp(h.magic, compiled_magic, sizeof(h.magic)) != 0)
        return false;
    wasmtime_error_t *e = wasmtime_module_deserialize(
        c->engine->wasm, (const uint8_t *)compiled.ptr, compiled.len, &c->module);
    if (e)
        wasmtime_error_delete(e);
    *ret_changes_tables = h.changes_tables;
    return !e;
}

static enum err load_module(struct code *c, const struct code_config *config,
                            struct error *ret_error)
{
    bool changes_tables = false;
    enum err err = OK;
    c->was_precompiled = load_compiled(c, config->compiled, &changes_tables);
    if (!c->was_precompiled)
        err = build(c->engine->wasm, config->wasm, &c->module, &changes_tables, ret_error);
    return err == OK ? state_find(c, config->wasm, changes_tables, ret_error) : err;
}

static void code_free(struct code *c)
{
    if (c->pre)
        wasmtime_instance_pre_delete(c->pre);
    if (c->linker)
        wasmtime_linker_delete(c->linker);
    if (c->module)
        wasmtime_module_delete(c->module);
    for (size_t k = 0; k < c->globals_len; k++)
        free(c->globals[k]);
    for (size_t k = 0; k < c->tables_len; k++)
        free(c->tables[k]);
    free(c->globals);
    free(c->tables);
    free(c->imports);
    free(c);
}

enum err code_new(struct engine *engine, const struct code_config *config, struct code **ret_code,
                  struct error *ret_error)
{
    CHECK(config->exports_len <= SANDBOX_EXPORTS_MAX);
    struct code *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->refs = 1;
    c->engine = engine;
    digest_code(config->wasm, c->digest);
    c->linker = wasmtime_linker_new(engine->wasm);
    c->imports_len = config->imports_len;
    c->imports = calloc(config->imports_len + 1, sizeof(*c->imports));
    CHECK(c->imports);
    if (config->imports_len)
        memcpy(c->imports, config->imports, config->imports_len * sizeof(*c->imports));
    c->exports_len = config->exports_len;
    c->callback = config->callback;
    if (config->exports_len)
        memcpy(c->exports, config->exports, config->exports_len * sizeof(*c->exports));
    enum err err = load_module(c, config, ret_error);
    if (err == OK)
        err = define_imports(c, ret_error);
    if (err == OK)
        err = define_yield(c, ret_error);
    if (err == OK) {
        wasmtime_error_t *e = wasmtime_linker_instantiate_pre(c->linker, c->module, &c->pre);
        if (e)
            err = wasm_error_take(ret_error, ERR_INVALID, e,
                                  "the module's imports are not what the host gives");
    }
    if (err != OK) {
        code_free(c);
        return err;
    }
    *ret_code = c;
    return OK;
}

struct code *code_ref(struct code *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void code_unref(struct code *c)
{
    if (c && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
        code_free(c);
}

bool code_was_precompiled(const struct code *c)
{
    return c->was_precompiled;
}
