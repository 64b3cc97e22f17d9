/* SPDX-License-Identifier: Apache-2.0
 *
 * Nested objects of images. A plan describes each of an isolate's, in order, with the values of its globals
 * and what stands in its tables; the contents of memories are in the image, being the guest's memory. From it
 * the same objects are made in each isolate of the image, under the same numbers, and given back after a
 * request: by their values, or, when there are more of them then or one has grown, all anew. */
#include "sandbox/nested_internal.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/parser.h"

struct plan_table {
    uint32_t len;
    uint64_t *values;
};

struct plan_object {
    struct nested_object is; /* as it is described; what it was made to is not */
    uint64_t value;          /* global */
    struct plan_table table;
};

struct nested_plan {
    struct nested_place *memories;
    size_t memories_len;
    struct plan_object *objects;
    size_t len;
};

size_t nested_plan_memories(const struct nested_plan *plan, const struct nested_place **ret)
{
    *ret = plan->memories;
    return plan->memories_len;
}

void nested_plan_free(struct nested_plan *plan)
{
    if (!plan)
        return;
    for (size_t k = 0; k < plan->len; k++) {
        struct plan_object *o = &plan->objects[k];
        if (o->is.kind != NESTED_INSTANCE)
            nested_module_unref(o->is.code);
        free(o->is.types);
        free(o->is.imports);
        free(o->table.values);
    }
    free(plan->objects);
    free(plan->memories);
    free(plan);
}

/* ---- capturing ---- */

static void *copy_of(const void *from, size_t bytes)
{
    void *to = malloc(bytes ? bytes : 1);
    CHECK(to);
    if (bytes)
        memcpy(to, from, bytes);
    return to;
}

/* Its own of all that the description points to, but for an instance's module, which has a number. */
static void copy_description(const struct nested_object *from, struct nested_object *to)
{
    *to = *from;
    if (from->types)
        to->types = copy_of(from->types, (size_t)from->params + from->results);
    if (from->imports)
        to->imports = copy_of(from->imports, from->code->imports.size * sizeof(*from->imports));
    if (from->kind != NESTED_INSTANCE && from->code)
        nested_module_ref(to->code);
    to->nested = NULL;
    to->memory = NULL;
    to->numbers = NULL;
}

static enum err check_object(struct nested *n, const struct nested_object *o,
                             struct error *ret_error)
{
    if (o->kind == NESTED_INSTANCE && o->code->drops)
        return error_set(ret_error, ERR_INVALID,
                         "top-level code has made an instance of a WebAssembly module that drops "
                         "segments or has collected objects, which nothing can give back for each "
                         "request; make it inside the handler");
    if (o->kind == NESTED_GLOBAL && o->is_mutable && o->type == TYPE_V128)
        return error_set(ret_error, ERR_INVALID,
                         "top-level code has made an instance of a WebAssembly module with a "
                         "mutable global of type v128; make it inside the handler");
    return OK;
}

/* Gives numbers to functions that had none, which are then to be captured, too. */
static void read_table(struct nested *n, const struct nested_object *o, struct plan_table *ret)
{
    ret->len = (uint32_t)wasmtime_table_size(n->context, &o->of.table);
    ret->values = calloc((size_t)ret->len + 1, sizeof(*ret->values));
    CHECK(ret->values);
    for (uint32_t k = 0; k < ret->len; k++) {
        wasmtime_val_t v;
        CHECK(wasmtime_table_get(n->context, &o->of.table, k, &v));
        ret->values[k] = nested_from_val(n, &v);
        wasmtime_val_unroot(&v);
    }
}

static void read_object(struct nested *n, const struct nested_object *o, struct plan_object *ret)
{
    copy_description(o, &ret->is);
    if (o->kind == NESTED_TABLE) {
        read_table(n, o, &ret->table);
    } else if (o->kind == NESTED_GLOBAL) {
        wasmtime_val_t v;
        wasmtime_global_get(n->context, &o->of.global, &v);
        ret->value = nested_from_val(n, &v);
        wasmtime_val_unroot(&v);
    }
}

static void read_memories(const struct nested *n, struct nested_plan *plan)
{
    plan->memories_len = n->memories_made;
    plan->memories = calloc(n->memories_made + 1, sizeof(*plan->memories));
    CHECK(plan->memories);
    size_t k = n->memories_made;
    for (const struct nested_memory *m = n->memories; m; m = m->next)
        plan->memories[--k] = (struct nested_place){m->at, m->len, m->cap};
}

enum err nested_capture(struct isolate *i, struct nested_plan **ret, struct error *ret_error)
{
    struct nested *n = i->nested;
    *ret = NULL;
    if (!n || n->len == 0)
        return OK;
    for (size_t k = 0; k < n->len; k++) {
        enum err err = check_object(n, n->objects[k], ret_error);
        if (err != OK)
            return err;
    }
    struct nested_plan *plan = calloc(1, sizeof(*plan));
    CHECK(plan);
    size_t cap = 0;
    for (; plan->len < n->len; plan->len++) {
        if (plan->len == cap) {
            cap = cap ? 2 * cap : n->len;
            struct plan_object *grown = realloc(plan->objects, cap * sizeof(*grown));
            CHECK(grown);
            plan->objects = grown;
        }
        plan->objects[plan->len] = (struct plan_object){0};
        read_object(n, n->objects[plan->len], &plan->objects[plan->len]);
    }
    read_memories(n, plan);
    *ret = plan;
    return OK;
}

/* ---- giving back ---- */

static enum err write_table(struct nested *n, const struct nested_object *o,
                            const struct plan_table *table)
{
    wasmtime_val_t v = {0};
    uint64_t before, len = wasmtime_table_size(n->context, &o->of.table);
    wasmtime_error_t *e = NULL;
    if (len < table->len && nested_to_val(n, o->type, 0, &v))
        e = wasmtime_table_grow(n->context, &o->of.table, table->len - len, &v, &before);
    for (uint32_t k = 0; !e && k < table->len; k++) {
        if (!nested_to_val(n, o->type, table->values[k], &v))
            return ERR_LIMIT_MEMORY;
        e = wasmtime_table_set(n->context, &o->of.table, k, &v);
        wasmtime_val_unroot(&v);
    }
    return e ? wasm_error_take(NULL, ERR_LIMIT_MEMORY, e, NULL) : OK;
}

static enum err write_global(struct nested *n, const struct nested_object *o, uint64_t value)
{
    wasmtime_val_t v;
    if (!nested_to_val(n, o->type, value, &v))
        return ERR_LIMIT_MEMORY;
    wasmtime_error_t *e = wasmtime_global_set(n->context, &o->of.global, &v);
    wasmtime_val_unroot(&v);
    return e ? wasm_error_take(NULL, ERR_INTERNAL, e, NULL) : OK;
}

static enum err write_values(struct nested *n, const struct nested_plan *plan, bool with_tables)
{
    enum err err = OK;
    for (size_t k = 0; err == OK && k < plan->len; k++) {
        const struct plan_object *p = &plan->objects[k];
        const struct nested_object *o = n->objects[k];
        if (o->kind == NESTED_TABLE && with_tables)
            err = write_table(n, o, &p->table);
        else if (o->kind == NESTED_GLOBAL && o->is_mutable)
            err = write_global(n, o, p->value);
    }
    n->has_stepped = n->has_set_table = false;
    return err;
}

static enum err build_object(struct nested *n, const struct plan_object *p, struct error *ret_error)
{
    uint32_t number;
    struct nested_object *o = nested_add(n, p->is.kind, &number);
    struct nested_object is = p->is;
    if (is.kind == NESTED_INSTANCE) {
        is.code = n->objects[is.module - 1]->code;
        n->instances++;
        n->changes_tables = n->changes_tables || is.code->changes_tables;
    }
    copy_description(&is, o);
    o->nested = n;
    return nested_make(n, o, p->value, ret_error);
}

enum err nested_build(struct isolate *i, const struct nested_plan *plan, struct error *ret_error)
{
    struct nested *n = nested_of(i);
    enum err err = OK;
    n->plan = plan;
    for (size_t k = 0; err == OK && k < plan->len; k++)
        err = build_object(n, &plan->objects[k], ret_error);
    n->plan = NULL;
    if (err == OK)
        err = write_values(n, plan, true);
    i->memory.has_faulted = true; /* segments were written to it */
    n->is_changed = n->has_grown = false;
    return err;
}

bool nested_restore(struct isolate *i, const struct nested_plan *plan)
{
    struct nested *n = i->nested;
    if (plan && n && !n->is_changed) {
        if (!n->has_stepped)
            return true;
        return write_values(n, plan, n->has_set_table || n->changes_tables) == OK;
    }
    nested_free(i);
    return !plan || nested_build(i, plan, NULL) == OK;
}
