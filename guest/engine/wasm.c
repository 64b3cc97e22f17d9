/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "guest/abi.h"
#include "native.h"
#include "op.h"
#include "pack.h"
#include "text.h"
#include "workflow.h"

__attribute__((import_module("limpet"), import_name("wasm_call"))) int32_t
wasm_import_call(uint32_t function, uint64_t *values, uint64_t *own);

enum {
    TYPE_I32 = 0x7f,
    TYPE_I64 = 0x7e,
    TYPE_F32 = 0x7d,
    TYPE_F64 = 0x7c,
    TYPE_FUNCREF = 0x70,
    TYPE_EXTERNREF = 0x6f,
};
enum { USUAL_VALUES = 16, OUTCOME_MASK = ABI_WASM_GROWN - 1 };

/* A function of either side. */
struct wasm_func {
    JSValue fn; /* of the guest's */
    uint32_t params, results;
    uint8_t *types; /* of these, in order */
};

struct wasm_funcs {
    struct wasm_func *at;
    uint32_t len, cap;
};

struct wasm_memory {
    uint32_t number, address, pages;
    JSValue buffer;
};

/* What there is once WebAssembly is used. */
struct wasm {
    uint64_t own[ABI_WASM_VALUES_MAX];
    JSValue func_of, number_of; /* between functions and their numbers */
    JSValue thrown;             /* by a function of the guest's */
    struct wasm_funcs exports;  /* by number */
    struct wasm_funcs imports;
    struct wasm_memory *memories;
    uint32_t memories_len;
    /* References that are no functions, numbered from 1. Kept, since the host does not say when one is gone. */
    JSValue *refs;
    uint32_t refs_len, refs_cap;
};

static struct wasm *wasm;

int32_t limpet_wasm(uint32_t import, uint64_t *values, int32_t has_grown);

/* --- functions -----------------------------------------------------------------------------------
 */

static bool types_read(JSContext *ctx, JSValueConst params, JSValueConst results,
                       struct wasm_func *ret)
{
    struct native_bytes in = native_bytes(ctx, params), out = {0};
    if (in.text.at)
        out = native_bytes(ctx, results);
    if (out.text.at)
        ret->types = malloc(in.text.len + out.text.len + 1);
    if (ret->types) {
        memcpy(ret->types, in.text.at, in.text.len);
        memcpy(ret->types + in.text.len, out.text.at, out.text.len);
        ret->params = in.text.len;
        ret->results = out.text.len;
    } else if (out.text.at) {
        JS_ThrowOutOfMemory(ctx);
    }
    if (in.text.at)
        native_bytes_done(ctx, in);
    if (out.text.at)
        native_bytes_done(ctx, out);
    return ret->types;
}

/* Takes f, unless it fails. */
static bool funcs_put(JSContext *ctx, struct wasm_funcs *all, uint32_t at, struct wasm_func f)
{
    if (at >= all->cap) {
        uint32_t cap = at + at / 2 + 32;
        struct wasm_func *grown = realloc(all->at, cap * sizeof *grown);
        if (!grown) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        memset(grown + all->cap, 0, (cap - all->cap) * sizeof *grown);
        all->at = grown;
        all->cap = cap;
    }
    free(all->at[at].types);
    all->at[at] = f;
    if (at >= all->len)
        all->len = at + 1;
    return true;
}

/* --- values --------------------------------------------------------------------------------------
 */

static bool ref_number(JSContext *ctx, JSValueConst value, uint64_t *ret)
{
    *ret = 0;
    if (JS_IsNull(value))
        return true;
    if (wasm->refs_len == wasm->refs_cap) {
        uint32_t cap = wasm->refs_cap ? 2 * wasm->refs_cap : 64;
        JSValue *grown = realloc(wasm->refs, cap * sizeof *grown);
        if (!grown) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        wasm->refs = grown;
        wasm->refs_cap = cap;
    }
    wasm->refs[wasm->refs_len++] = JS_DupValue(ctx, value);
    *ret = wasm->refs_len;
    return true;
}

static bool func_number(JSContext *ctx, JSValueConst value, uint64_t *ret)
{
    uint32_t number = 0;
    *ret = 0;
    if (JS_IsNull(value))
        return true;
    JSValue result = JS_Call(ctx, wasm->number_of, JS_UNDEFINED, 1, &value);
    if (JS_IsException(result) || JS_ToUint32(ctx, &number, result) < 0)
        return false;
    *ret = number;
    if (number == 0)
        JS_ThrowTypeError(ctx, "WebAssembly: this is no function that a module exports, nor null");
    return number != 0;
}

/* ToWebAssemblyValue (https://webassembly.github.io/spec/js-api/#towebassemblyvalue). */
static bool value_encode(JSContext *ctx, uint8_t type, JSValueConst value, uint64_t *ret)
{
    int32_t i32;
    int64_t i64;
    double f64;
    float f32;
    uint32_t bits;
    switch (type) {
    case TYPE_I32:
        if (JS_ToInt32(ctx, &i32, value) < 0)
            return false;
        *ret = (uint32_t)i32;
        return true;
    case TYPE_I64:
        if (JS_ToBigInt64(ctx, &i64, value) < 0)
            return false;
        *ret = (uint64_t)i64;
        return true;
    case TYPE_F32:
        if (JS_ToFloat64(ctx, &f64, value) < 0)
            return false;
        f32 = (float)f64;
        memcpy(&bits, &f32, sizeof bits);
        *ret = bits;
        return true;
    case TYPE_F64:
        if (JS_ToFloat64(ctx, &f64, value) < 0)
            return false;
        memcpy(ret, &f64, sizeof *ret);
        return true;
    case TYPE_FUNCREF:
        return func_number(ctx, value, ret);
    case TYPE_EXTERNREF:
        return ref_number(ctx, value, ret);
    default:
        JS_ThrowTypeError(ctx, "WebAssembly: JavaScript has no values of this type");
        return false;
    }
}

/* ToJSValue */
static JSValue value_decode(JSContext *ctx, uint8_t type, uint64_t value)
{
    uint32_t bits = (uint32_t)value;
    double f64;
    float f32;
    switch (type) {
    case TYPE_I32:
        return JS_NewInt32(ctx, (int32_t)bits);
    case TYPE_I64:
        return JS_NewBigInt64(ctx, (int64_t)value);
    case TYPE_F32:
        memcpy(&f32, &bits, sizeof f32);
        return JS_NewNumber(ctx, f32);
    case TYPE_F64:
        memcpy(&f64, &value, sizeof f64);
        return JS_NewNumber(ctx, f64);
    case TYPE_FUNCREF: {
        if (bits == 0)
            return JS_NULL;
        JSValue number = JS_NewUint32(ctx, bits);
        return JS_Call(ctx, wasm->func_of, JS_UNDEFINED, 1, (JSValueConst *)&number);
    }
    case TYPE_EXTERNREF:
        return bits == 0 || bits > wasm->refs_len ? JS_NULL
                                                  : JS_DupValue(ctx, wasm->refs[bits - 1]);
    default:
        return JS_ThrowTypeError(ctx, "WebAssembly: JavaScript has no values of this type");
    }
}

static bool has_vectors(const struct wasm_func *f)
{
    for (uint32_t k = 0; k < f->params + f->results; k++)
        if (f->types[k] < TYPE_F64 && f->types[k] != TYPE_FUNCREF && f->types[k] != TYPE_EXTERNREF)
            return true;
    return false;
}

/* --- buffers over memories -----------------------------------------------------------------------
 */

static bool memory_state(JSContext *ctx, uint32_t number, uint32_t *ret_address,
                         uint32_t *ret_pages)
{
    struct op_reply reply;
    const struct op_wasm args = {.what = ABI_WASM_MEMORY_STATE, .a = number};
    if (!op_ask(ctx, OP_WASM, &args, &reply))
        return false;
    struct reader in = reader_of(reply.data, reply.len);
    *ret_address = reader_u32(&in);
    *ret_pages = reader_u32(&in);
    op_reply_done(&reply);
    return true;
}

static void memory_detach(JSContext *ctx, struct wasm_memory *m)
{
    if (JS_IsUndefined(m->buffer))
        return;
    JS_DetachArrayBuffer(ctx, m->buffer);
    JS_FreeValue(ctx, m->buffer);
    m->buffer = JS_UNDEFINED;
}

/* Detaches the buffers of those that have grown. */
static void memories_look(JSContext *ctx)
{
    uint32_t address, pages;
    for (uint32_t k = 0; k < wasm->memories_len; k++) {
        struct wasm_memory *m = &wasm->memories[k];
        if (JS_IsUndefined(m->buffer) || !memory_state(ctx, m->number, &address, &pages) ||
            (m->address == address && m->pages == pages))
            continue;
        memory_detach(ctx, m);
    }
}

static struct wasm_memory *memory_of(JSContext *ctx, uint32_t number)
{
    for (uint32_t k = 0; k < wasm->memories_len; k++)
        if (wasm->memories[k].number == number)
            return &wasm->memories[k];
    struct wasm_memory *grown = realloc(wasm->memories, (wasm->memories_len + 1) * sizeof *grown);
    if (!grown) {
        JS_ThrowOutOfMemory(ctx);
        return NULL;
    }
    wasm->memories = grown;
    grown += wasm->memories_len++;
    *grown = (struct wasm_memory){.number = number, .buffer = JS_UNDEFINED};
    return grown;
}

/* wasmBuffer(memory): the same one until it has grown. */
JSValue wasm_buffer(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t number = 0;
    JS_ToUint32(ctx, &number, argv[0]);
    struct wasm_memory *m = memory_of(ctx, number);
    if (!m)
        return JS_EXCEPTION;
    if (JS_IsUndefined(m->buffer)) {
        if (!memory_state(ctx, number, &m->address, &m->pages))
            return JS_EXCEPTION;
        m->buffer = JS_NewArrayBuffer(ctx, (uint8_t *)(uintptr_t)m->address,
                                      (size_t)m->pages * 65536, 0, NULL, NULL, false);
    }
    if (JS_IsException(m->buffer)) {
        m->buffer = JS_UNDEFINED;
        return JS_EXCEPTION;
    }
    return JS_DupValue(ctx, m->buffer);
}

/* wasmMoved(memory): it has been told to grow; its buffer ends also if that was by nothing. */
JSValue wasm_moved(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t number = 0;
    JS_ToUint32(ctx, &number, argv[0]);
    struct wasm_memory *m = memory_of(ctx, number);
    if (m)
        memory_detach(ctx, m);
    memories_look(ctx);
    return JS_UNDEFINED;
}

/* --- calls ---------------------------------------------------------------------------------------
 */

static JSValue throw_trap(JSContext *ctx)
{
    int32_t len = op_result_len();
    char *message = malloc((size_t)len + 1);
    if (!message)
        return JS_ThrowOutOfMemory(ctx);
    op_result(message, (uint32_t)len);
    JSValue text = JS_NewStringLen(ctx, message, (size_t)len);
    free(message);
    JSValue error = JS_Call(ctx, wasm->func_of, JS_UNDEFINED, 1, (JSValueConst *)&text);
    JS_FreeValue(ctx, text);
    return JS_IsException(error) ? JS_EXCEPTION : JS_Throw(ctx, error);
}

static JSValue results_of(JSContext *ctx, const struct wasm_func *f, const uint64_t *values)
{
    const uint8_t *types = f->types + f->params;
    if (f->results == 0)
        return JS_UNDEFINED;
    if (f->results == 1)
        return value_decode(ctx, types[0], values[0]);
    JSValue list = JS_NewArray(ctx);
    for (uint32_t k = 0; k < f->results && !JS_IsException(list); k++) {
        JSValue value = value_decode(ctx, types[k], values[k]);
        if (JS_IsException(value) ||
            JS_DefinePropertyValueUint32(ctx, list, k, value, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, list);
            list = JS_EXCEPTION;
        }
    }
    return list;
}

static JSValue call_with(JSContext *ctx, uint32_t number, const struct wasm_func *f,
                         uint64_t *values)
{
    int32_t outcome = wasm_import_call(number, values, wasm->own);
    if (outcome & ABI_WASM_GROWN)
        memories_look(ctx);
    switch (outcome & OUTCOME_MASK) {
    case ABI_WASM_RETURNED:
        return results_of(ctx, f, values);
    case ABI_WASM_THROWN: {
        JSValue thrown = wasm->thrown;
        wasm->thrown = JS_UNDEFINED;
        return JS_Throw(ctx, thrown);
    }
    case ABI_WASM_OVERFLOW:
        return JS_ThrowRangeError(ctx, "Maximum call stack size exceeded");
    default:
        return throw_trap(ctx);
    }
}

static JSValue wasm_invoke(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic, JSValueConst *data)
{
    uint64_t few[USUAL_VALUES], *values = few;
    uint32_t number = (uint32_t)JS_VALUE_GET_INT(data[0]);
    struct wasm_func f = wasm->exports.at[number];
    if (has_vectors(&f))
        return JS_ThrowTypeError(ctx,
                                 "WebAssembly: the function has values that JavaScript has not");
    if (f.params > USUAL_VALUES || f.results > USUAL_VALUES)
        values = malloc(ABI_WASM_VALUES_MAX * sizeof *values);
    if (!values)
        return JS_ThrowOutOfMemory(ctx);
    bool is_ok = true;
    for (uint32_t k = 0; k < f.params && is_ok; k++)
        is_ok = value_encode(ctx, f.types[k], (int)k < argc ? argv[k] : JS_UNDEFINED, &values[k]);
    JSValue result = is_ok ? call_with(ctx, number, &f, values) : JS_EXCEPTION;
    if (values != few)
        free(values);
    return result;
}

/* wasmFunction(number, params, results): what an instance exports. */
JSValue wasm_function(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t number = 0;
    struct wasm_func f = {.fn = JS_UNDEFINED};
    JS_ToUint32(ctx, &number, argv[0]);
    if (!types_read(ctx, argv[1], argv[2], &f))
        return JS_EXCEPTION;
    if (!funcs_put(ctx, &wasm->exports, number, f)) {
        free(f.types);
        return JS_EXCEPTION;
    }
    JSValue data = JS_NewInt32(ctx, (int32_t)number);
    return JS_NewCFunctionData(ctx, wasm_invoke, 0, 0, 1, (JSValueConst *)&data);
}

/* wasmImport(function, params, results) -> number: what an instance imports. It gets its parameters; several results come
 * as an array. */
JSValue wasm_import(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct wasm_func f = {.fn = JS_UNDEFINED};
    if (!types_read(ctx, argv[1], argv[2], &f))
        return JS_EXCEPTION;
    f.fn = JS_DupValue(ctx, argv[0]);
    if (funcs_put(ctx, &wasm->imports, wasm->imports.len, f))
        return JS_NewUint32(ctx, wasm->imports.len - 1);
    JS_FreeValue(ctx, f.fn);
    free(f.types);
    return JS_EXCEPTION;
}

static bool results_encode(JSContext *ctx, const struct wasm_func *f, JSValueConst result,
                           uint64_t *values)
{
    const uint8_t *types = f->types + f->params;
    if (f->results == 0)
        return true;
    if (f->results == 1)
        return value_encode(ctx, types[0], result, values);
    for (uint32_t k = 0; k < f->results; k++) {
        uint64_t value;
        JSValue item = JS_GetPropertyUint32(ctx, result, k);
        bool is_ok = !JS_IsException(item) && value_encode(ctx, types[k], item, &value);
        JS_FreeValue(ctx, item);
        if (!is_ok)
            return false;
        values[k] = value;
    }
    return true;
}

static bool run_import(JSContext *ctx, const struct wasm_func *f, uint64_t *values)
{
    JSValue few[USUAL_VALUES], *args = few;
    if (has_vectors(f)) {
        JS_ThrowTypeError(ctx, "WebAssembly: the function has values that JavaScript has not");
        return false;
    }
    if (f->params > USUAL_VALUES)
        args = malloc(f->params * sizeof *args);
    if (!args) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    uint32_t len = 0;
    bool is_ok = true;
    for (; len < f->params && is_ok; len++) {
        args[len] = value_decode(ctx, f->types[len], values[len]);
        is_ok = !JS_IsException(args[len]);
    }
    JSValue result =
        is_ok ? JS_Call(ctx, f->fn, JS_UNDEFINED, (int)len, (JSValueConst *)args) : JS_EXCEPTION;
    while (len-- > 0)
        JS_FreeValue(ctx, args[len]);
    if (args != few)
        free(args);
    is_ok = !JS_IsException(result) && results_encode(ctx, f, result, values);
    JS_FreeValue(ctx, result);
    return is_ok;
}

int32_t __attribute__((export_name("limpet_wasm"))) limpet_wasm(uint32_t import, uint64_t *values,
                                                                int32_t has_grown)
{
    JSContext *ctx = eng.ctx;
    struct wasm_func f = wasm->imports.at[import];
    if (has_grown)
        memories_look(ctx);
    if (run_import(ctx, &f, values))
        return 0;
    JS_FreeValue(ctx, wasm->thrown);
    wasm->thrown = JS_GetException(ctx);
    return 1;
}

/* --- for the rest of the API ---------------------------------------------------------------------
 */

/* wasmSetup(funcOf, numberOf): before anything else. funcOf(number) is a function, funcOf(text) the error of a trap. */
JSValue wasm_setup(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    if (!wasm)
        wasm = calloc(1, sizeof *wasm);
    if (!wasm)
        return JS_ThrowOutOfMemory(ctx);
    wasm->func_of = JS_DupValue(ctx, argv[0]);
    wasm->number_of = JS_DupValue(ctx, argv[1]);
    wasm->thrown = JS_UNDEFINED;
    return JS_UNDEFINED;
}

/* wasmEncode(type, value) -> 8 bytes */
JSValue wasm_encode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t type = 0;
    uint64_t value = 0;
    JS_ToUint32(ctx, &type, argv[0]);
    if (!value_encode(ctx, (uint8_t)type, argv[1], &value))
        return JS_EXCEPTION;
    return JS_NewUint8ArrayCopy(ctx, (const uint8_t *)&value, sizeof value);
}

/* wasmDecode(type, bytes) -> value */
JSValue wasm_decode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t type = 0;
    uint64_t value = 0;
    JS_ToUint32(ctx, &type, argv[0]);
    struct native_bytes bytes = native_bytes(ctx, argv[1]);
    if (!bytes.text.at)
        return JS_EXCEPTION;
    if (bytes.text.len == sizeof value)
        memcpy(&value, bytes.text.at, sizeof value);
    native_bytes_done(ctx, bytes);
    return value_decode(ctx, (uint8_t)type, value);
}

static void compile_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                         const uint8_t *payload, uint32_t len)
{
    uint32_t number = 0;
    memcpy(&number, payload, len < sizeof number ? len : sizeof number);
    if (status)
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
    else
        op_settle(ctx, op, false, JS_NewUint32(ctx, number));
}

/* wasmCompile(bytes, waits) -> number or a promise of it */
JSValue wasm_compile(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    struct op_pending *op;
    bool waits = JS_ToBool(ctx, argv[1]) || workflow_is_main();
    struct native_bytes bytes = native_bytes(ctx, argv[0]);
    if (!bytes.text.at)
        return JS_EXCEPTION;
    const struct op_wasm_compile args = {.bytes = op_bytes(bytes.text.at, bytes.text.len)};
    bool is_ok = waits ? op_ask_wait(ctx, OP_WASM_COMPILE, &args, &reply)
                       : op_ask(ctx, OP_WASM_COMPILE, &args, &reply);
    native_bytes_done(ctx, bytes);
    if (!is_ok)
        return JS_EXCEPTION;
    struct reader in = reader_of(reply.data, reply.len);
    uint32_t pending = waits ? 0 : reader_u32(&in);
    JSValue result =
        pending ? op_promise(ctx, pending, compile_done, &op) : JS_NewUint32(ctx, reader_u32(&in));
    op_reply_done(&reply);
    return result;
}
