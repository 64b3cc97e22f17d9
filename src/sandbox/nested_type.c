/* SPDX-License-Identifier: Apache-2.0
 *
 * Types between Wasmtime's objects and the bytes that nested.h says. */
#include "sandbox/nested_internal.h"

#include "sandbox/parser.h"

uint8_t nested_type_byte(wasm_valkind_t kind)
{
    switch (kind) {
    case WASM_I32:
        return TYPE_I32;
    case WASM_I64:
        return TYPE_I64;
    case WASM_F32:
        return TYPE_F32;
    case WASM_F64:
        return TYPE_F64;
    case WASM_EXTERNREF:
        return TYPE_EXTERNREF;
    case WASM_FUNCREF:
        return TYPE_FUNCREF;
    default:
        return TYPE_V128;
    }
}

wasm_valtype_t *nested_type_of_byte(uint8_t type)
{
    switch (type) {
    case TYPE_I32:
        return wasm_valtype_new(WASM_I32);
    case TYPE_I64:
        return wasm_valtype_new(WASM_I64);
    case TYPE_F32:
        return wasm_valtype_new(WASM_F32);
    case TYPE_F64:
        return wasm_valtype_new(WASM_F64);
    case TYPE_EXTERNREF:
        return wasm_valtype_new(WASM_EXTERNREF);
    case TYPE_FUNCREF:
        return wasm_valtype_new(WASM_FUNCREF);
    default:
        return NULL;
    }
}

static bool nested_types(struct slice bytes, wasm_valtype_vec_t *ret)
{
    wasm_valtype_vec_new_uninitialized(ret, bytes.len);
    bool is_good = true;
    for (size_t k = 0; k < bytes.len; k++) {
        wasm_valtype_t *type = nested_type_of_byte((uint8_t)bytes.ptr[k]);
        is_good = is_good && type;
        ret->data[k] = type ? type : wasm_valtype_new(WASM_I32);
    }
    return is_good;
}

wasm_functype_t *nested_functype(struct slice params, struct slice results)
{
    wasm_valtype_vec_t in, out;
    bool is_good = nested_types(params, &in);
    is_good = nested_types(results, &out) && is_good;
    wasm_functype_t *type = wasm_functype_new(&in, &out); /* takes both */
    if (is_good)
        return type;
    wasm_functype_delete(type);
    return NULL;
}

static void put_types(struct bytes *out, const wasm_valtype_vec_t *types)
{
    bytes_append_u32(out, (uint32_t)types->size);
    for (size_t k = 0; k < types->size; k++)
        bytes_append_char(out, (char)nested_type_byte(wasm_valtype_kind(types->data[k])));
}

void nested_put_type(struct bytes *out, const wasm_externtype_t *type)
{
    uint64_t max;
    const wasm_functype_t *func = wasm_externtype_as_functype_const(type);
    const wasm_tabletype_t *table = wasm_externtype_as_tabletype_const(type);
    const wasm_memorytype_t *memory = wasm_externtype_as_memorytype_const(type);
    const wasm_globaltype_t *global = wasm_externtype_as_globaltype_const(type);
    if (func) {
        bytes_append_char(out, NESTED_FUNC);
        put_types(out, wasm_functype_params(func));
        put_types(out, wasm_functype_results(func));
    } else if (table) {
        const wasm_limits_t *limits = wasm_tabletype_limits(table);
        bytes_append_char(out, NESTED_TABLE);
        bytes_append_char(out,
                          (char)nested_type_byte(wasm_valtype_kind(wasm_tabletype_element(table))));
        bytes_append_u32(out, limits->min);
        bytes_append_u32(out, limits->max);
    } else if (memory) {
        bytes_append_char(out, NESTED_MEMORY);
        bytes_append_u32(out, (uint32_t)wasmtime_memorytype_minimum(memory));
        bytes_append_u32(out, wasmtime_memorytype_maximum(memory, &max) && max < NESTED_NO_MAX
                                  ? (uint32_t)max
                                  : NESTED_NO_MAX);
    } else if (global) {
        bytes_append_char(out, NESTED_GLOBAL);
        bytes_append_char(
            out, (char)nested_type_byte(wasm_valtype_kind(wasm_globaltype_content(global))));
        bytes_append_char(out, wasm_globaltype_mutability(global) == WASM_VAR);
    } else {
        bytes_append_char(out, NESTED_TAG);
    }
}
