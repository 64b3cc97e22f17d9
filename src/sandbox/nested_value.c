/* SPDX-License-Identifier: Apache-2.0
 *
 * Values between the guest's 8 bytes and Wasmtime's. A function keeps its number: those that Wasmtime
 * gives out of tables and calls are looked up among the exports of all instances, whatever else may be
 * in a table having been added to these (nested_module.c). */
#include "sandbox/nested_internal.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/parser.h"

/* ---- numbers of functions ---- */

static size_t known_place(const struct nested *n, const void *func)
{
    uint64_t hash = (uint64_t)(uintptr_t)func * UINT64_C(0x9e3779b97f4a7c15);
    size_t place = (size_t)(hash >> 32) & (n->known_cap - 1);
    while (n->known[place].func && n->known[place].func != func)
        place = (place + 1) & (n->known_cap - 1);
    return place;
}

static void known_grow(struct nested *n)
{
    struct nested_known *old = n->known;
    size_t old_cap = n->known_cap;
    n->known_cap = old_cap ? 2 * old_cap : 64;
    n->known = calloc(n->known_cap, sizeof(*n->known));
    CHECK(n->known);
    for (size_t k = 0; k < old_cap; k++)
        if (old[k].func)
            n->known[known_place(n, old[k].func)] = old[k];
    free(old);
}

/* The first number stays. */
static void known_put(struct nested *n, const void *func, uint32_t number)
{
    if (2 * (n->known_len + 1) > n->known_cap)
        known_grow(n);
    struct nested_known *at = &n->known[known_place(n, func)];
    if (at->func)
        return;
    *at = (struct nested_known){func, number};
    n->known_len++;
}

/* The functions among the exports of an instance, also those that were added: these get numbers now. */
static void known_look(struct nested *n, uint32_t number)
{
    struct nested_object *o = n->objects[number - 1];
    for (size_t k = 0; k < o->code->exports.size; k++)
        if (o->code->export[k].kind == NESTED_FUNC) {
            uint32_t at = nested_export_number(n, number, (uint32_t)k); /* may move the list */
            struct nested_object *f = n->objects[at - 1];
            wasmtime_extern_t x;
            const wasm_name_t *name = wasm_exporttype_name(o->code->exports.data[k]);
            bool is_there = wasmtime_instance_export_get(n->context, &o->of.instance, name->data,
                                                         name->size, &x);
            CHECK(is_there && x.kind == WASMTIME_EXTERN_FUNC);
            /* An imported one is known to Wasmtime by another pointer in each instance. */
            known_put(n, wasmtime_func_to_raw(n->context, &x.of.func), f->number);
        }
}

uint32_t nested_number_of_func(struct nested *n, const wasmtime_func_t *func)
{
    if (wasmtime_funcref_is_null(func))
        return 0;
    for (; n->known_objects < n->len; n->known_objects++) {
        struct nested_object *o = n->objects[n->known_objects];
        if (o->kind == NESTED_FUNC)
            known_put(n, wasmtime_func_to_raw(n->context, &o->of.func), o->number);
        else if (o->kind == NESTED_INSTANCE)
            known_look(n, o->number);
    }
    const void *raw = wasmtime_func_to_raw(n->context, func);
    size_t place = n->known_cap ? known_place(n, raw) : 0;
    return n->known_cap && n->known[place].func ? n->known[place].number : 0;
}

/* ---- references ---- */

static bool to_externref(struct nested *n, uint64_t value, wasmtime_externref_t *ret)
{
    wasmtime_externref_set_null(ret);
    return value == 0 || wasmtime_externref_new(n->context, (void *)(uintptr_t)value, NULL, ret);
}

static bool to_func(struct nested *n, uint64_t value, wasmtime_func_t *ret)
{
    *ret = (wasmtime_func_t){0};
    if (value == 0)
        return true;
    struct nested_object *o = value <= n->len ? n->objects[value - 1] : NULL;
    if (!o || o->kind != NESTED_FUNC)
        return false;
    *ret = o->of.func;
    return true;
}

bool nested_to_raw(struct nested *n, uint8_t type, uint64_t value, wasmtime_val_raw_t *ret)
{
    wasmtime_externref_t ref;
    wasmtime_func_t func;
    switch (type) {
    case TYPE_I32:
    case TYPE_F32:
        ret->i32 = (int32_t)value;
        return true;
    case TYPE_I64:
    case TYPE_F64:
        ret->i64 = (int64_t)value;
        return true;
    case TYPE_EXTERNREF:
        if (!to_externref(n, value, &ref))
            return false;
        ret->externref = wasmtime_externref_to_raw(n->context, &ref);
        wasmtime_externref_unroot(&ref);
        return true;
    case TYPE_FUNCREF:
        if (!to_func(n, value, &func))
            return false;
        ret->funcref = value ? wasmtime_func_to_raw(n->context, &func) : NULL;
        return true;
    default:
        return false;
    }
}

uint64_t nested_from_raw(struct nested *n, uint8_t type, const wasmtime_val_raw_t *raw)
{
    wasmtime_externref_t ref;
    wasmtime_func_t func;
    switch (type) {
    case TYPE_I32:
    case TYPE_F32:
        return (uint32_t)raw->i32;
    case TYPE_I64:
    case TYPE_F64:
        return (uint64_t)raw->i64;
    case TYPE_EXTERNREF:
        if (!raw->externref)
            return 0;
        wasmtime_externref_from_raw(n->context, raw->externref, &ref);
        uint64_t value = (uint64_t)(uintptr_t)wasmtime_externref_data(n->context, &ref);
        wasmtime_externref_unroot(&ref);
        return value;
    case TYPE_FUNCREF:
        if (!raw->funcref)
            return 0;
        wasmtime_func_from_raw(n->context, raw->funcref, &func);
        return nested_number_of_func(n, &func);
    default:
        return 0;
    }
}

bool nested_to_val(struct nested *n, uint8_t type, uint64_t value, wasmtime_val_t *ret)
{
    *ret = (wasmtime_val_t){0};
    switch (type) {
    case TYPE_I32:
    case TYPE_F32:
        ret->kind = type == TYPE_I32 ? WASMTIME_I32 : WASMTIME_F32;
        ret->of.i32 = (int32_t)value;
        return true;
    case TYPE_I64:
    case TYPE_F64:
        ret->kind = type == TYPE_I64 ? WASMTIME_I64 : WASMTIME_F64;
        ret->of.i64 = (int64_t)value;
        return true;
    case TYPE_EXTERNREF:
        ret->kind = WASMTIME_EXTERNREF;
        return to_externref(n, value, &ret->of.externref);
    case TYPE_FUNCREF:
        ret->kind = WASMTIME_FUNCREF;
        return to_func(n, value, &ret->of.funcref);
    default:
        return false;
    }
}

uint64_t nested_from_val(struct nested *n, const wasmtime_val_t *val)
{
    switch (val->kind) {
    case WASMTIME_I32:
    case WASMTIME_F32:
        return (uint32_t)val->of.i32;
    case WASMTIME_I64:
    case WASMTIME_F64:
        return (uint64_t)val->of.i64;
    case WASMTIME_EXTERNREF:
        return wasmtime_externref_is_null(&val->of.externref)
                   ? 0
                   : (uint64_t)(uintptr_t)wasmtime_externref_data(n->context, &val->of.externref);
    case WASMTIME_FUNCREF:
        return nested_number_of_func(n, &val->of.funcref);
    default:
        return 0;
    }
}
