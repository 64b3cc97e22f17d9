/* SPDX-License-Identifier: Apache-2.0
 *
 * What an isolate's code has of WebAssembly: the second store and the numbered objects in it. An object
 * is made from its description (struct nested_object) alone, so that an image, which keeps these, can
 * have them made again in another store (nested_image.c). */
#include "sandbox/nested_internal.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox/parser.h"

/* ---- the store ---- */

static wasmtime_error_t *on_tick(wasmtime_context_t *context, void *data, uint64_t *ret_delta,
                                 wasmtime_update_deadline_kind_t *ret_kind)
{
    struct isolate *i = data;
    bool yields = false;
    *ret_delta = 1;
    *ret_kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
    wasmtime_error_t *e = isolate_tick(i, &yields);
    if (e || !yields)
        return e;
    return isolate_yield(i) ? NULL : wasmtime_error_new("ended");
}

struct nested *nested_of(struct isolate *i)
{
    if (i->nested)
        return i->nested;
    struct nested *n = calloc(1, sizeof(*n));
    CHECK(n);
    n->isolate = i;
    n->store = wasmtime_store_new(engine_nested(i->code->engine), i, NULL);
    n->context = wasmtime_store_context(n->store);
    wasmtime_store_limiter(n->store, -1, NESTED_TABLE_MAX, NESTED_INSTANCES_MAX, -1, -1);
    wasmtime_store_epoch_deadline_callback(n->store, on_tick, i, NULL);
    wasmtime_context_set_epoch_deadline(n->context, 1);
    /* The heap of references comes now, so that each memory after it is one of WebAssembly's. */
    wasmtime_externref_t ref;
    nested_memory_expect(n);
    if (wasmtime_externref_new(n->context, NULL, NULL, &ref))
        wasmtime_externref_unroot(&ref);
    nested_memory_expect(NULL);
    n->expects_memories = true;
    i->nested = n;
    return n;
}

static void object_free(struct nested_object *o)
{
    if (o->kind != NESTED_INSTANCE)
        nested_module_unref(o->code);
    free(o->types);
    free(o->imports);
    free(o->numbers);
    free(o);
}

void nested_delete(struct nested *n)
{
    wasmtime_store_delete(n->store);
    for (size_t k = 0; k < n->len; k++)
        object_free(n->objects[k]);
    while (n->memories) {
        struct nested_memory *m = n->memories;
        n->memories = m->next;
        free(m);
    }
    free(n->objects);
    free(n->known);
    free(n);
}

void nested_free(struct isolate *i)
{
    if (i->nested)
        nested_delete(TAKE(i->nested));
}

/* ---- objects ---- */

struct nested_object *nested_find(struct isolate *i, uint32_t number, enum nested_kind kind,
                                  struct error *ret_error)
{
    static const char *const names[] = {"function", "table",  "memory",  "global",
                                        "tag",      "module", "instance"};
    struct nested *n = i->nested;
    struct nested_object *o = n && number - 1 < n->len ? n->objects[number - 1] : NULL;
    if (o && o->kind == kind)
        return o;
    error_set(ret_error, ERR_INVALID, "there is no %s %u", names[kind], number);
    return NULL;
}

enum err nested_check_room(struct nested *n, struct error *ret_error)
{
    if (n->len < NESTED_OBJECTS_MAX)
        return OK;
    return error_set(ret_error, ERR_LIMIT, "code has made more than %d WebAssembly objects",
                     NESTED_OBJECTS_MAX);
}

struct nested_object *nested_add(struct nested *n, enum nested_kind kind, uint32_t *ret_number)
{
    if (n->len == n->cap) {
        n->cap = n->cap ? 2 * n->cap : 64;
        struct nested_object **grown = realloc(n->objects, n->cap * sizeof(struct nested_object *));
        CHECK(grown);
        n->objects = grown;
    }
    struct nested_object *o = calloc(1, sizeof(*o));
    CHECK(o);
    o->kind = kind;
    o->nested = n;
    n->objects[n->len++] = o;
    o->number = *ret_number = (uint32_t)n->len;
    n->is_changed = true;
    return o;
}

/* The newest one was not made after all. */
static void take_back(struct nested *n, struct nested_object *o)
{
    CHECK(n->objects[n->len - 1] == o);
    n->len--;
    object_free(o);
}

/* ---- exports of instances ---- */

static void set_types(struct nested_object *o, const wasm_functype_t *type)
{
    const wasm_valtype_vec_t *in = wasm_functype_params(type), *out = wasm_functype_results(type);
    o->params = (uint32_t)in->size;
    o->results = (uint32_t)out->size;
    o->types = malloc(in->size + out->size + 1);
    CHECK(o->types);
    for (size_t k = 0; k < in->size; k++)
        o->types[k] = (char)nested_type_byte(wasm_valtype_kind(in->data[k]));
    for (size_t k = 0; k < out->size; k++)
        o->types[in->size + k] = (char)nested_type_byte(wasm_valtype_kind(out->data[k]));
}

static enum err bind_export(struct nested *n, struct nested_object *o)
{
    struct nested_object *from = n->objects[o->from - 1];
    const wasm_exporttype_t *export = from->code->exports.data[o->export_at];
    const wasm_name_t *name = wasm_exporttype_name(export);
    wasmtime_extern_t x;
    CHECK(wasmtime_instance_export_get(n->context, &from->of.instance, name->data, name->size, &x));
    if (!from->numbers)
        from->numbers = calloc(from->code->exports.size, sizeof(*from->numbers));
    CHECK(from->numbers);
    from->numbers[from->code->export[o->export_at].first] = o->number;
    switch (o->kind) {
    case NESTED_FUNC:
        o->of.func = x.of.func;
        break;
    case NESTED_TABLE:
        o->of.table = x.of.table;
        break;
    case NESTED_MEMORY:
        o->of.mem = x.of.memory;
        o->memory = nested_memory_at(n, wasmtime_memory_data(n->context, &x.of.memory));
        CHECK(o->memory);
        break;
    default:
        o->of.global = x.of.global;
    }
    return OK;
}

static void describe_export(struct nested_object *o, const wasm_externtype_t *type)
{
    switch (o->kind) {
    case NESTED_FUNC:
        set_types(o, wasm_externtype_as_functype_const(type));
        break;
    case NESTED_TABLE: {
        const wasm_tabletype_t *table = wasm_externtype_as_tabletype_const(type);
        o->type = nested_type_byte(wasm_valtype_kind(wasm_tabletype_element(table)));
        o->max = wasm_tabletype_limits(table)->max;
        break;
    }
    case NESTED_MEMORY: {
        uint64_t max;
        bool has_max = wasmtime_memorytype_maximum(wasm_externtype_as_memorytype_const(type), &max);
        o->max = has_max && max < NESTED_NO_MAX ? (uint32_t)max : NESTED_NO_MAX;
        break;
    }
    default: {
        const wasm_globaltype_t *global = wasm_externtype_as_globaltype_const(type);
        o->type = nested_type_byte(wasm_valtype_kind(wasm_globaltype_content(global)));
        o->is_mutable = wasm_globaltype_mutability(global) == WASM_VAR;
    }
    }
}

/* The number of the import of this kind at an index. */
static uint32_t import_number(const struct nested_object *instance, uint8_t kind, uint32_t index)
{
    const struct nested_module *m = instance->code;
    for (unsigned k = 0; k < kind; k++)
        index += m->imported[k];
    return instance->imports[m->import_of[index]];
}

uint32_t nested_export_number(struct nested *n, uint32_t instance, uint32_t k)
{
    struct nested_object *from = n->objects[instance - 1];
    const struct nested_export *export = &from->code->export[k];
    if (export->index < from->code->imported[export->kind])
        return import_number(from, export->kind, export->index);
    if (from->numbers && from->numbers[export->first])
        return from->numbers[export->first];
    uint32_t number;
    struct nested_object *o = nested_add(n, export->kind, &number);
    o->from = instance;
    o->export_at = k;
    describe_export(o, wasm_exporttype_type(from->code->exports.data[k]));
    (void)bind_export(n, o);
    return number;
}

/* ---- making ---- */

static wasm_trap_t *call_guest(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                               size_t len)
{
    struct nested_object *o = env;
    struct nested *n = o->nested;
    struct isolate *i = n->isolate;
    size_t most = o->params > o->results ? o->params : o->results;
    uint64_t *own = (uint64_t *)(void *)isolate_memory(i, n->own, most * sizeof(*own));
    if (!own)
        return wasmtime_trap_new("no room for values", 18);
    for (uint32_t k = 0; k < o->params; k++)
        own[k] = nested_from_raw(n, (uint8_t)o->types[k], &values[k]);
    uint32_t at = n->own;
    int32_t outcome = isolate_call_inside(i, o->import, at, nested_has_grown(i));
    n->own = at;
    if (i->error.code != OK)
        return wasmtime_trap_new("ended", 5);
    n->has_thrown = outcome != 0;
    if (n->has_thrown)
        return wasmtime_trap_new("thrown", 6);
    for (uint32_t k = 0; k < o->results; k++)
        if (!nested_to_raw(n, (uint8_t)o->types[o->params + k], own[k], &values[k]))
            return wasmtime_trap_new("a reference does not fit memory", 31);
    return NULL;
}

static enum err make_func(struct nested *n, struct nested_object *o, struct error *ret_error)
{
    wasm_functype_t *type =
        nested_functype(slice_of(o->types, o->params), slice_of(o->types + o->params, o->results));
    if (!type)
        return error_set(ret_error, ERR_INVALID, "a function has a type that JavaScript has not");
    wasmtime_func_new_unchecked(n->context, type, call_guest, o, NULL, &o->of.func);
    wasm_functype_delete(type);
    return OK;
}

/* (module (memory (export "m") min max)): the memories that Wasmtime makes by themselves are not where we want
 * them, but for those of instances it asks us. */
static void put_memory_module(const struct nested_object *o, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes limits = BYTES_INIT;
    bytes_append_char(&limits, 1);
    bytes_append_char(&limits, o->max != NESTED_NO_MAX);
    state_put_number(&limits, o->min);
    if (o->max != NESTED_NO_MAX)
        state_put_number(&limits, o->max);
    bytes_append(out, "\0asm\1\0\0\0\5", 9);
    state_put_number(out, limits.len);
    bytes_append_slice(out, bytes_slice(&limits));
    bytes_append(out, "\7\5\1\1m\2\0", 7);
}

static enum err make_memory(struct nested *n, struct nested_object *o, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes wasm = BYTES_INIT;
    wasmtime_instance_t instance;
    wasmtime_extern_t x;
    wasm_trap_t *trap = NULL;
    enum err err = OK;
    put_memory_module(o, &wasm);
    if (!o->code)
        err = nested_module_new(n->isolate->code->engine, bytes_slice(&wasm), &o->code, ret_error);
    if (err != OK)
        return err;
    nested_memory_expect(n);
    wasmtime_error_t *e =
        wasmtime_instance_new(n->context, o->code->module, NULL, 0, &instance, &trap);
    nested_memory_expect(NULL);
    CHECK(!trap); /* it has no code and no data */
    if (e)
        return wasm_error_take(ret_error, ERR_LIMIT, e, NULL);
    CHECK(wasmtime_instance_export_get(n->context, &instance, "m", 1, &x));
    o->of.mem = x.of.memory;
    o->memory = n->memories;
    return OK;
}

/* The type of what a table or a global holds, and the value that it begins with; NULL: it holds no such. */
static wasm_valtype_t *make_first(struct nested *n, const struct nested_object *o, uint64_t value,
                                  wasmtime_val_t *ret_first)
{
    wasm_valtype_t *type = nested_type_of_byte(o->type);
    if (type && nested_to_val(n, o->type, value, ret_first))
        return type;
    if (type)
        wasm_valtype_delete(type);
    return NULL;
}

static enum err make_table(struct nested *n, struct nested_object *o, uint64_t value,
                           struct error *ret_error)
{
    wasmtime_val_t first;
    wasm_valtype_t *element = make_first(n, o, value, &first);
    if (!element)
        return error_set(ret_error, ERR_INVALID, "a table has no elements of that type");
    const wasm_limits_t limits = {o->min, o->max};
    wasm_tabletype_t *type = wasm_tabletype_new(element, &limits);
    wasmtime_error_t *e = wasmtime_table_new(n->context, type, &first, &o->of.table);
    wasm_tabletype_delete(type);
    wasmtime_val_unroot(&first);
    return e ? wasm_error_take(ret_error, ERR_LIMIT, e, NULL) : OK;
}

static enum err make_global(struct nested *n, struct nested_object *o, uint64_t value,
                            struct error *ret_error)
{
    wasmtime_val_t first;
    wasm_valtype_t *content = make_first(n, o, value, &first);
    if (!content)
        return error_set(ret_error, ERR_INVALID, "a global has no values of that type");
    wasm_globaltype_t *type = wasm_globaltype_new(content, o->is_mutable ? WASM_VAR : WASM_CONST);
    wasmtime_error_t *e = wasmtime_global_new(n->context, type, &first, &o->of.global);
    wasm_globaltype_delete(type);
    wasmtime_val_unroot(&first);
    return e ? wasm_error_take(ret_error, ERR_INVALID, e, NULL) : OK;
}

static void extern_of(const struct nested_object *o, wasmtime_extern_t *ret)
{
    *ret = (wasmtime_extern_t){0};
    switch (o->kind) {
    case NESTED_FUNC:
        ret->kind = WASMTIME_EXTERN_FUNC;
        ret->of.func = o->of.func;
        break;
    case NESTED_TABLE:
        ret->kind = WASMTIME_EXTERN_TABLE;
        ret->of.table = o->of.table;
        break;
    case NESTED_MEMORY:
        ret->kind = WASMTIME_EXTERN_MEMORY;
        ret->of.memory = o->of.mem;
        break;
    default:
        ret->kind = WASMTIME_EXTERN_GLOBAL;
        ret->of.global = o->of.global;
    }
}

static enum err make_instance(struct nested *n, struct nested_object *o, struct error *ret_error)
{
    size_t len = o->code->imports.size;
    wasmtime_extern_t *imports = calloc(len + 1, sizeof(*imports));
    wasm_trap_t *trap = NULL;
    CHECK(imports);
    for (size_t k = 0; k < len; k++)
        extern_of(n->objects[o->imports[k] - 1], &imports[k]);
    nested_memory_expect(n);
    wasmtime_error_t *e =
        wasmtime_instance_new(n->context, o->code->module, imports, len, &o->of.instance, &trap);
    nested_memory_expect(NULL);
    free(imports);
    if (trap) {
        nested_trap_text(trap, ret_error);
        wasm_trap_delete(trap);
        return ERR_GUEST;
    }
    return e ? wasm_error_take(ret_error, ERR_CONFLICT, e, NULL) : OK;
}

enum err nested_make(struct nested *n, struct nested_object *o, uint64_t value,
                     struct error *ret_error)
{
    if (o->from)
        return bind_export(n, o);
    switch ((enum nested_kind)o->kind) {
    case NESTED_FUNC:
        return make_func(n, o, ret_error);
    case NESTED_TABLE:
        return make_table(n, o, value, ret_error);
    case NESTED_MEMORY:
        return make_memory(n, o, ret_error);
    case NESTED_GLOBAL:
        return make_global(n, o, value, ret_error);
    case NESTED_INSTANCE:
        return make_instance(n, o, ret_error);
    default:
        return OK; /* a module is there already */
    }
}

/* The new object, or not. */
static enum err finish(struct nested *n, struct nested_object *o, uint64_t value,
                       struct error *ret_error)
{
    struct error e;
    enum err err = nested_make(n, o, value, &e);
    if (err == OK)
        return OK;
    take_back(n, o);
    if (ret_error)
        *ret_error = e;
    return err;
}

/* ---- what the guest asks for ---- */

enum err nested_add_module(struct isolate *i, struct nested_module *m, uint32_t *ret_number,
                           struct error *ret_error)
{
    struct nested *n = nested_of(i);
    enum err err = nested_check_room(n, ret_error);
    if (err == OK)
        nested_add(n, NESTED_MODULE, ret_number)->code = nested_module_ref(m);
    return err;
}

enum err nested_describe_module(struct isolate *i, uint32_t module, struct bytes *out,
                                struct error *ret_error)
{
    struct nested_object *o = nested_find(i, module, NESTED_MODULE, ret_error);
    if (!o)
        return ERR_INVALID;
    const struct nested_module *m = o->code;
    bytes_append_u32(out, (uint32_t)m->imports.size);
    for (size_t k = 0; k < m->imports.size; k++) {
        const wasm_name_t *from = wasm_importtype_module(m->imports.data[k]);
        const wasm_name_t *name = wasm_importtype_name(m->imports.data[k]);
        bytes_append_lstr(out, slice_of(from->data, from->size));
        bytes_append_lstr(out, slice_of(name->data, name->size));
        nested_put_type(out, wasm_importtype_type(m->imports.data[k]));
    }
    bytes_append_u32(out, (uint32_t)m->exports_len);
    for (size_t k = 0; k < m->exports_len; k++) {
        const wasm_name_t *name = wasm_exporttype_name(m->exports.data[k]);
        bytes_append_lstr(out, slice_of(name->data, name->size));
        nested_put_type(out, wasm_exporttype_type(m->exports.data[k]));
    }
    return OK;
}

enum err nested_describe(struct isolate *i, uint32_t object, struct bytes *out,
                         struct error *ret_error)
{
    struct nested *n = i->nested;
    struct nested_object *o = n && object - 1 < n->len ? n->objects[object - 1] : NULL;
    if (!o || o->kind > NESTED_GLOBAL)
        return error_set(ret_error, ERR_INVALID, "there is no object %u", object);
    bytes_append_char(out, (char)o->kind);
    if (o->kind == NESTED_FUNC) {
        bytes_append_u32(out, o->params);
        bytes_append(out, o->types, o->params);
        bytes_append_u32(out, o->results);
        bytes_append(out, o->types + o->params, o->results);
        bytes_append_u32(out, o->from ? n->objects[o->from - 1]->code->export[o->export_at].index
                                      : o->import);
    } else if (o->kind == NESTED_GLOBAL) {
        bytes_append_char(out, (char)o->type);
        bytes_append_char(out, o->is_mutable);
    } else {
        if (o->kind == NESTED_TABLE)
            bytes_append_char(out, (char)o->type);
        bytes_append_u32(out, o->min);
        bytes_append_u32(out, o->max);
    }
    return OK;
}

/* That we have put there. */
static struct slice take_lstr(struct slice *rest)
{
    uint32_t len;
    memcpy(&len, rest->ptr, sizeof(len));
    struct slice s = slice_of(rest->ptr + sizeof(len), len);
    *rest = slice_skip(*rest, sizeof(len) + len);
    return s;
}

enum err nested_custom_sections(struct isolate *i, uint32_t module, struct slice name,
                                struct bytes *out, struct error *ret_error)
{
    struct nested_object *o = nested_find(i, module, NESTED_MODULE, ret_error);
    if (!o)
        return ERR_INVALID;
    struct slice rest = bytes_slice(&o->code->sections);
    while (rest.len > 0) {
        struct slice is = take_lstr(&rest), content = take_lstr(&rest);
        if (slice_eq(is, name))
            bytes_append_lstr(out, content);
    }
    return OK;
}

static enum err check_imports(struct nested *n, const struct nested_module *m,
                              const uint32_t *imports, size_t imports_len, struct error *ret_error)
{
    if (imports_len != m->imports.size)
        return error_set(ret_error, ERR_INVALID, "the module has %zu imports", m->imports.size);
    for (size_t k = 0; k < imports_len; k++) {
        if (imports[k] - 1 >= n->len || n->objects[imports[k] - 1]->kind > NESTED_GLOBAL)
            return error_set(ret_error, ERR_INVALID, "there is no object %u", imports[k]);
    }
    if (n->instances >= NESTED_INSTANCES_MAX)
        return error_set(ret_error, ERR_LIMIT, "code has made more than %d WebAssembly instances",
                         NESTED_INSTANCES_MAX);
    return nested_check_room(n, ret_error);
}

/* Those added that have state of the instance get numbers, too. */
static void put_exports(struct nested *n, const struct nested_object *o, struct bytes *out)
{
    const struct nested_module *m = o->code;
    uint32_t start =
        m->has_start ? nested_export_number(n, o->number, (uint32_t)m->exports_len) : 0;
    bytes_append_u32(out, o->number);
    bytes_append_u32(out, start);
    bytes_append_u32(out, (uint32_t)m->exports_len);
    for (uint32_t k = 0; k < m->exports_len; k++)
        bytes_append_u32(
            out, m->export[k].kind <= NESTED_GLOBAL ? nested_export_number(n, o->number, k) : 0);
    for (size_t k = m->exports_len; k < m->exports.size; k++)
        if (m->export[k].kind != NESTED_FUNC)
            (void)nested_export_number(n, o->number, (uint32_t)k);
}

enum err nested_instantiate(struct isolate *i, uint32_t module, const uint32_t *imports,
                            size_t imports_len, struct bytes *out, struct error *ret_error)
{
    struct nested_object *m = nested_find(i, module, NESTED_MODULE, ret_error);
    if (!m)
        return ERR_INVALID;
    struct nested *n = i->nested;
    enum err err = check_imports(n, m->code, imports, imports_len, ret_error);
    if (err != OK)
        return err;
    uint32_t number;
    struct nested_object *o = nested_add(n, NESTED_INSTANCE, &number);
    o->code = m->code;
    o->module = module;
    o->imports = calloc(imports_len + 1, sizeof(*o->imports));
    CHECK(o->imports);
    memcpy(o->imports, imports, imports_len * sizeof(*imports));
    n->has_stepped = true; /* its segments are in memories and tables now */
    err = finish(n, o, 0, ret_error);
    if (err != OK)
        return err;
    n->instances++;
    n->changes_tables = n->changes_tables || o->code->changes_tables;
    put_exports(n, o, out);
    return OK;
}

enum err nested_func_new(struct isolate *i, uint32_t import, struct slice params,
                         struct slice results, uint32_t *ret_number, struct error *ret_error)
{
    struct nested *n = nested_of(i);
    if (params.len > NESTED_VALUES_MAX || results.len > NESTED_VALUES_MAX)
        return error_set(ret_error, ERR_LIMIT, "a function has more than %d values",
                         NESTED_VALUES_MAX);
    enum err err = nested_check_room(n, ret_error);
    if (err != OK)
        return err;
    struct nested_object *o = nested_add(n, NESTED_FUNC, ret_number);
    o->import = import;
    o->params = (uint32_t)params.len;
    o->results = (uint32_t)results.len;
    o->types = malloc(params.len + results.len + 1);
    CHECK(o->types);
    if (params.len)
        memcpy(o->types, params.ptr, params.len);
    if (results.len)
        memcpy(o->types + params.len, results.ptr, results.len);
    return finish(n, o, 0, ret_error);
}

enum err nested_memory_new(struct isolate *i, uint32_t min, uint32_t max, uint32_t *ret_number,
                           struct error *ret_error)
{
    struct nested *n = nested_of(i);
    enum err err = nested_check_room(n, ret_error);
    if (err != OK)
        return err;
    struct nested_object *o = nested_add(n, NESTED_MEMORY, ret_number);
    o->min = min;
    o->max = max;
    return finish(n, o, 0, ret_error);
}

enum err nested_memory_state(struct isolate *i, uint32_t memory, uint32_t *ret_at,
                             uint32_t *ret_pages, struct error *ret_error)
{
    struct nested_object *o = nested_find(i, memory, NESTED_MEMORY, ret_error);
    if (!o)
        return ERR_INVALID;
    *ret_at = o->memory->at;
    *ret_pages = (uint32_t)(o->memory->len / WASM_PAGE);
    return OK;
}

enum err nested_memory_grow(struct isolate *i, uint32_t memory, uint32_t more, uint32_t *ret_before,
                            struct error *ret_error)
{
    struct nested_object *o = nested_find(i, memory, NESTED_MEMORY, ret_error);
    if (!o)
        return ERR_INVALID;
    uint64_t before;
    wasmtime_error_t *e = wasmtime_memory_grow(i->nested->context, &o->of.mem, more, &before);
    if (e)
        return wasm_error_take(ret_error, ERR_LIMIT, e, NULL);
    *ret_before = (uint32_t)before;
    return OK;
}

enum err nested_table_new(struct isolate *i, uint8_t type, uint32_t min, uint32_t max,
                          uint64_t first, uint32_t *ret_number, struct error *ret_error)
{
    struct nested *n = nested_of(i);
    enum err err = nested_check_room(n, ret_error);
    if (err == OK && max < min)
        err = error_set(ret_error, ERR_INVALID, "a table has no less than it begins with");
    if (err != OK)
        return err;
    struct nested_object *o = nested_add(n, NESTED_TABLE, ret_number);
    o->type = type;
    o->min = min;
    o->max = max;
    return finish(n, o, first, ret_error);
}

enum err nested_table_len(struct isolate *i, uint32_t table, uint32_t *ret_len,
                          struct error *ret_error)
{
    struct nested_object *o = nested_find(i, table, NESTED_TABLE, ret_error);
    if (!o)
        return ERR_INVALID;
    *ret_len = (uint32_t)wasmtime_table_size(i->nested->context, &o->of.table);
    return OK;
}

enum err nested_table_grow(struct isolate *i, uint32_t table, uint32_t more, uint64_t value,
                           uint32_t *ret_before, struct error *ret_error)
{
    struct nested_object *o = nested_find(i, table, NESTED_TABLE, ret_error);
    wasmtime_val_t v;
    if (!o)
        return ERR_INVALID;
    struct nested *n = i->nested;
    if (!nested_to_val(n, o->type, value, &v))
        return error_set(ret_error, ERR_INVALID, "that is no element of the table");
    uint64_t before;
    wasmtime_error_t *e = wasmtime_table_grow(n->context, &o->of.table, more, &v, &before);
    wasmtime_val_unroot(&v);
    if (e)
        return wasm_error_take(ret_error, ERR_LIMIT, e, NULL);
    n->is_changed = n->is_changed || more > 0;
    *ret_before = (uint32_t)before;
    return OK;
}

enum err nested_table_get(struct isolate *i, uint32_t table, uint32_t at, uint64_t *ret_value,
                          struct error *ret_error)
{
    struct nested_object *o = nested_find(i, table, NESTED_TABLE, ret_error);
    wasmtime_val_t v;
    if (!o)
        return ERR_INVALID;
    if (!wasmtime_table_get(i->nested->context, &o->of.table, at, &v))
        return error_set(ret_error, ERR_LIMIT, "the table has no element %u", at);
    *ret_value = nested_from_val(i->nested, &v);
    wasmtime_val_unroot(&v);
    return OK;
}

enum err nested_table_set(struct isolate *i, uint32_t table, uint32_t at, uint64_t value,
                          struct error *ret_error)
{
    struct nested_object *o = nested_find(i, table, NESTED_TABLE, ret_error);
    wasmtime_val_t v;
    if (!o)
        return ERR_INVALID;
    struct nested *n = i->nested;
    if (!nested_to_val(n, o->type, value, &v))
        return error_set(ret_error, ERR_INVALID, "that is no element of the table");
    wasmtime_error_t *e = wasmtime_table_set(n->context, &o->of.table, at, &v);
    wasmtime_val_unroot(&v);
    n->has_stepped = n->has_set_table = true;
    return e ? wasm_error_take(ret_error, ERR_LIMIT, e, NULL) : OK;
}

enum err nested_global_new(struct isolate *i, uint8_t type, bool is_mutable, uint64_t value,
                           uint32_t *ret_number, struct error *ret_error)
{
    struct nested *n = nested_of(i);
    enum err err = nested_check_room(n, ret_error);
    if (err != OK)
        return err;
    struct nested_object *o = nested_add(n, NESTED_GLOBAL, ret_number);
    o->type = type;
    o->is_mutable = is_mutable;
    return finish(n, o, value, ret_error);
}

enum err nested_global_get(struct isolate *i, uint32_t global, uint64_t *ret_value,
                           struct error *ret_error)
{
    struct nested_object *o = nested_find(i, global, NESTED_GLOBAL, ret_error);
    wasmtime_val_t v;
    if (!o)
        return ERR_INVALID;
    wasmtime_global_get(i->nested->context, &o->of.global, &v);
    *ret_value = nested_from_val(i->nested, &v);
    wasmtime_val_unroot(&v);
    return OK;
}

enum err nested_global_set(struct isolate *i, uint32_t global, uint64_t value,
                           struct error *ret_error)
{
    struct nested_object *o = nested_find(i, global, NESTED_GLOBAL, ret_error);
    wasmtime_val_t v;
    if (!o)
        return ERR_INVALID;
    struct nested *n = i->nested;
    if (!nested_to_val(n, o->type, value, &v))
        return error_set(ret_error, ERR_INVALID, "that is no value of the global");
    wasmtime_error_t *e = wasmtime_global_set(n->context, &o->of.global, &v);
    wasmtime_val_unroot(&v);
    n->has_stepped = true;
    return e ? wasm_error_take(ret_error, ERR_INVALID, e, NULL) : OK;
}
