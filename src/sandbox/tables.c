/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of modules whose code changes them. What stands in a table is a function of one instance, so
 * an image cannot hold it; it holds, for each element, which element of the tables at the start of an
 * instance it was, these being the same in every instance. An isolate remembers its own of then, and
 * is given back what the image says. Such modules are few, and pay for it: a look at each element at
 * each restore. */
#include "sandbox/internal.h"

#include <stdlib.h>
#include <string.h>

#define ELEMENT_NULL UINT32_MAX

static bool is_same(const wasmtime_val_t *a, const wasmtime_val_t *b)
{
    const wasmtime_func_t *x = &a->of.funcref, *y = &b->of.funcref;
    if (wasmtime_funcref_is_null(x) || wasmtime_funcref_is_null(y))
        return wasmtime_funcref_is_null(x) == wasmtime_funcref_is_null(y);
    return x->__private == y->__private;
}

static const wasmtime_val_t *null_element(void)
{
    static const wasmtime_val_t null = {.kind = WASMTIME_FUNCREF};
    return &null;
}

static void get(struct isolate *i, const struct isolate_table *t, uint64_t k, wasmtime_val_t *ret)
{
    bool is_there = wasmtime_table_get(i->context, &t->table, k, ret);
    CHECK(is_there);
}

static enum err open_one(struct isolate *i, const char *name, struct isolate_table *t,
                         struct error *ret_error)
{
    wasmtime_extern_t x;
    if (!wasmtime_instance_export_get(i->context, &i->instance, name, strlen(name), &x) ||
        x.kind != WASMTIME_EXTERN_TABLE)
        return error_set(ret_error, ERR_INVALID, "the module has no table %s", name);
    t->table = x.of.table;
    t->len = wasmtime_table_size(i->context, &t->table);
    t->first = calloc(t->len + 1, sizeof(*t->first));
    CHECK(t->first);
    for (uint64_t k = 0; k < t->len; k++)
        get(i, t, k, &t->first[k]);
    return OK;
}

enum err tables_open(struct isolate *i, struct error *ret_error)
{
    const struct code *c = i->code;
    if (c->tables_len == 0)
        return OK;
    i->tables = calloc(c->tables_len, sizeof(*i->tables));
    CHECK(i->tables);
    enum err err = OK;
    for (size_t k = 0; err == OK && k < c->tables_len; k++)
        err = open_one(i, c->tables[k], &i->tables[k], ret_error);
    return err;
}

void tables_close(struct isolate *i)
{
    for (size_t k = 0; i->tables && k < i->code->tables_len; k++)
        free(i->tables[k].first);
    free(i->tables);
}

/* Elements are numbered through all tables. */
static bool find_element(const struct isolate *i, const wasmtime_val_t *v, uint32_t *ret)
{
    uint32_t n = 0;
    *ret = ELEMENT_NULL;
    if (wasmtime_funcref_is_null(&v->of.funcref))
        return true;
    for (size_t k = 0; k < i->code->tables_len; k++)
        for (uint64_t j = 0; j < i->tables[k].len; j++, n++)
            if (is_same(v, &i->tables[k].first[j])) {
                *ret = n;
                return true;
            }
    return false;
}

static const wasmtime_val_t *element(const struct isolate *i, uint32_t number)
{
    if (number == ELEMENT_NULL)
        return null_element();
    size_t k = 0;
    for (; number >= i->tables[k].len; k++)
        number -= (uint32_t)i->tables[k].len;
    return &i->tables[k].first[number];
}

static enum err capture_one(struct isolate *i, size_t k, struct table_content *ret,
                            struct error *ret_error)
{
    const struct isolate_table *t = &i->tables[k];
    ret->len = wasmtime_table_size(i->context, &t->table);
    ret->elements = calloc(ret->len + 1, sizeof(*ret->elements));
    CHECK(ret->elements);
    for (uint64_t j = 0; j < ret->len; j++) {
        wasmtime_val_t v;
        get(i, t, j, &v);
        if (!find_element(i, &v, &ret->elements[j]))
            return error_set(ret_error, ERR_INVALID,
                             "the module has put a function into its table %zu that was in none "
                             "when it started, which isolates cannot be given back",
                             k);
    }
    return OK;
}

enum err tables_capture(struct isolate *i, struct table_content **ret, struct error *ret_error)
{
    const size_t len = i->code->tables_len;
    *ret = NULL;
    if (len == 0)
        return OK;
    struct table_content *all = calloc(len, sizeof(*all));
    CHECK(all);
    enum err err = OK;
    for (size_t k = 0; err == OK && k < len; k++)
        err = capture_one(i, k, &all[k], ret_error);
    if (err != OK)
        tables_content_free(all, len);
    else
        *ret = all;
    return err;
}

void tables_content_free(struct table_content *all, size_t len)
{
    for (size_t k = 0; all && k < len; k++)
        free(all[k].elements);
    free(all);
}

bool tables_restore(struct isolate *i, const struct table_content *all)
{
    for (size_t k = 0; k < i->code->tables_len; k++) {
        const struct isolate_table *t = &i->tables[k];
        uint64_t len = wasmtime_table_size(i->context, &t->table), before;
        if (len > all[k].len)
            return false; /* tables do not shrink */
        wasmtime_error_t *e = NULL;
        if (len < all[k].len)
            e = wasmtime_table_grow(i->context, &t->table, all[k].len - len, null_element(),
                                    &before);
        for (uint64_t j = 0; !e && j < all[k].len; j++) {
            const wasmtime_val_t *wanted = element(i, all[k].elements[j]);
            wasmtime_val_t v;
            get(i, t, j, &v);
            if (!is_same(&v, wanted))
                e = wasmtime_table_set(i->context, &t->table, j, wanted);
        }
        if (e) {
            wasmtime_error_delete(e);
            return false;
        }
    }
    return true;
}
