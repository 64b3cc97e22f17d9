/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls from the guest into nested code. All of it runs on the fiber of the call into the isolate: the
 * guest's frames, the host's and the nested ones lie on one stack, in any order. Only the isolate's own
 * store knows of that fiber, so that nested code whose turn is over waits in a function of that one
 * (isolate_yield). */
#include "sandbox/nested_internal.h"

#include <stdlib.h>
#include <string.h>

/* As V8 says it, for what tests of texts there are. */
static const char *trap_text(wasmtime_trap_code_t code)
{
    switch (code) {
    case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:
        return "memory access out of bounds";
    case WASMTIME_TRAP_CODE_HEAP_MISALIGNED:
        return "operation does not support unaligned accesses";
    case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:
        return "table index is out of bounds";
    case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL:
    case WASMTIME_TRAP_CODE_BAD_SIGNATURE:
        return "null function or function signature mismatch";
    case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW:
        return "divide result unrepresentable";
    case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO:
        return "divide by zero";
    case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:
        return "float unrepresentable in integer range";
    case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
        return "unreachable";
    case WASMTIME_TRAP_CODE_NULL_REFERENCE:
        return "dereferencing a null pointer";
    case WASMTIME_TRAP_CODE_ARRAY_OUT_OF_BOUNDS:
        return "array element access out of bounds";
    case WASMTIME_TRAP_CODE_CAST_FAILURE:
        return "illegal cast";
    default:
        return NULL;
    }
}

void nested_trap_text(wasm_trap_t *trap, struct error *ret_error)
{
    wasmtime_trap_code_t code;
    const char *text = wasmtime_trap_code(trap, &code) ? trap_text(code) : NULL;
    if (text) {
        error_set(ret_error, ERR_GUEST, "%s", text);
        return;
    }
    wasm_byte_vec_t message;
    wasm_trap_message(trap, &message);
    const struct slice thrown =
        SLICE_LIT("thrown Wasm exception"); /* of ThrownException, which has no code */
    if (memmem(message.data, message.size, thrown.ptr, thrown.len))
        error_set(ret_error, ERR_GUEST, "uncaught exception of a module");
    else
        error_set(ret_error, ERR_GUEST, "%.*s", (int)strnlen(message.data, message.size),
                  message.data);
    wasm_byte_vec_delete(&message);
}

static bool is_overflow(wasm_trap_t *trap)
{
    wasmtime_trap_code_t code;
    return wasmtime_trap_code(trap, &code) && code == WASMTIME_TRAP_CODE_STACK_OVERFLOW;
}

static enum nested_outcome judge(struct nested *n, wasm_trap_t *trap, wasmtime_error_t *e,
                                 struct error *ret_error)
{
    bool has_thrown = n->has_thrown;
    n->has_thrown = false;
    if (n->isolate->error.code != OK)
        return NESTED_ENDED;
    if (has_thrown)
        return NESTED_THROWN;
    if (trap && is_overflow(trap))
        return NESTED_OVERFLOW;
    if (trap) {
        nested_trap_text(trap, ret_error);
    } else {
        (void)wasm_error_take(ret_error, ERR_GUEST, e, NULL);
        e = NULL;
    }
    return NESTED_TRAPPED;
}

static enum nested_outcome run(struct nested *n, struct nested_object *o, wasmtime_val_raw_t *raw,
                               size_t raw_len, struct error *ret_error)
{
    wasm_trap_t *trap = NULL;
    if (n->depth++ == 0)
        wasmtime_context_set_epoch_deadline(n->context, 1);
    wasmtime_error_t *e =
        wasmtime_func_call_unchecked(n->context, &o->of.func, raw, raw_len, &trap);
    n->depth--;
    if (!trap && !e)
        return n->isolate->error.code == OK ? NESTED_RETURNED : NESTED_ENDED;
    enum nested_outcome outcome = judge(n, trap, e, ret_error);
    if (trap)
        wasm_trap_delete(trap);
    else if (e && outcome != NESTED_TRAPPED)
        wasmtime_error_delete(e);
    return outcome;
}

enum nested_outcome nested_call(struct isolate *i, uint32_t func, uint32_t values, uint32_t own,
                                struct error *ret_error)
{
    enum { USUAL = 16 };
    wasmtime_val_raw_t few[USUAL], *raw = few;
    struct nested_object *o = nested_find(i, func, NESTED_FUNC, ret_error);
    if (!o)
        return NESTED_TRAPPED;
    struct nested *n = i->nested;
    size_t len = o->params > o->results ? o->params : o->results;
    uint64_t *at = (uint64_t *)(void *)isolate_memory(i, values, len * sizeof(*at));
    enum nested_outcome outcome = NESTED_RETURNED;
    if (!at) {
        error_set(ret_error, ERR_INVALID, "there is no room for the function's values");
        return NESTED_TRAPPED;
    }
    if (len > USUAL) {
        raw = calloc(len, sizeof(*raw));
        CHECK(raw);
    }
    for (uint32_t k = 0; k < o->params && outcome == NESTED_RETURNED; k++)
        if (!nested_to_raw(n, (uint8_t)o->types[k], at[k], &raw[k]))
            outcome = NESTED_TRAPPED;
    if (outcome == NESTED_TRAPPED)
        error_set(ret_error, ERR_INVALID, "an argument is no value of its type");
    n->own = own;
    n->has_stepped = true;
    if (outcome == NESTED_RETURNED)
        outcome = run(n, o, raw, len ? len : 1, ret_error);
    if (outcome == NESTED_RETURNED)
        for (uint32_t k = 0; k < o->results; k++)
            at[k] = nested_from_raw(n, (uint8_t)o->types[o->params + k], &raw[k]);
    if (raw != few)
        free(raw);
    return outcome;
}

bool nested_has_grown(struct isolate *i)
{
    bool has_grown = i->nested && i->nested->has_grown;
    if (has_grown)
        i->nested->has_grown = false;
    return has_grown;
}
