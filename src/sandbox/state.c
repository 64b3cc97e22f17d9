/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a module's state lies outside of its linear memory, and how it can be reached. An isolate
 * is made pristine by giving it back its memory, its mutable globals and, if its code changes them,
 * its tables; what runs next must not see anything else of what ran before. A module with any other
 * state is refused (code.h). Wasmtime's API reaches only what is exported, so whatever of this is not
 * is added to the module's exports before it is compiled. */
#include "sandbox/internal.h"
#include "sandbox/parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an added export is called: "limpet:global:7". */
static void added_name(const char *what, size_t index, char ret_name[STATE_NAME_MAX])
{
    snprintf(ret_name, STATE_NAME_MAX, "limpet:%s:%zu", what, index);
}

static enum err refuse(struct error *ret_error, const char *what)
{
    error_set(ret_error, ERR_INVALID, "the module %s, which isolates cannot be given back", what);
    error_hint(ret_error, "an isolate is made as new for each request: see what a module may have "
                          "in src/sandbox/code.h");
    return ERR_INVALID;
}

static enum err check_memory(const struct survey *s, struct error *ret_error)
{
    if (s->memories != 1 || s->is_memory_wide)
        return error_set(ret_error, ERR_INVALID,
                         "the module has %u memories%s; it must have one, of 32 bits", s->memories,
                         s->is_memory_wide ? ", one of 64 bits" : "");
    if (s->has_memory_export)
        return OK;
    return error_set(ret_error, ERR_INVALID, "the module does not export its memory as \"memory\"");
}

static enum err check_global(const struct survey_item *item, size_t index, struct error *ret_error)
{
    char what[96];
    if (!item->is_mutable || (item->type <= TYPE_I32 && item->type >= TYPE_F64))
        return OK;
    snprintf(what, sizeof(what),
             "has a mutable global (%zu%s%.*s) that is no number of 4 or 8 bytes", index,
             item->name.len ? ", " : "", (int)(item->name.len < 32 ? item->name.len : 32),
             item->name.ptr ? item->name.ptr : "");
    return refuse(ret_error, what);
}

static enum err check_tables(const struct survey *s, struct error *ret_error)
{
    char what[96];
    for (size_t k = 0; s->changes_tables && k < s->tables.len; k++) {
        const struct survey_item *t = &s->tables.at[k];
        if (t->type != TYPE_FUNCREF) {
            snprintf(what, sizeof(what), "changes its tables, and table %zu is not of functions",
                     k);
            return refuse(ret_error, what);
        }
        if (t->min > SANDBOX_TABLE_MAX)
            return error_set(
                ret_error, ERR_LIMIT,
                "the module changes its tables, and table %zu has more than %d elements", k,
                SANDBOX_TABLE_MAX);
    }
    return OK;
}

static enum err check(const struct survey *s, struct error *ret_error)
{
    char what[128];
    size_t mutable = 0;
    enum err err = check_memory(s, ret_error);
    for (size_t k = 0; err == OK && k < s->globals.len; k++) {
        err = check_global(&s->globals.at[k], k, ret_error);
        mutable += s->globals.at[k].is_mutable;
    }
    if (err == OK && mutable > SANDBOX_GLOBALS_MAX)
        err = error_set(ret_error, ERR_LIMIT, "the module has %zu mutable globals, more than %d",
                        mutable, SANDBOX_GLOBALS_MAX);
    if (err == OK && s->refused) {
        snprintf(what, sizeof(what), "%s in its function %u", s->refused, s->refused_in);
        err = refuse(ret_error, what);
    }
    return err == OK ? check_tables(s, ret_error) : err;
}

/* ---- what it is called by ---- */

static char *name_of(const struct survey_item *item, const char *what, size_t index)
{
    char added[STATE_NAME_MAX];
    added_name(what, index, added);
    char *name = item->name.len > 0 ? strndup(item->name.ptr, item->name.len) : strdup(added);
    CHECK(name);
    return name;
}

static bool is_stack_pointer(const struct survey_item *item)
{
    return item->type == TYPE_I32 && slice_eq_cstr(item->name, "__stack_pointer");
}

/* Those that are exported in the order of the exports, then the others. */
static int compare_globals(const void *a, const void *b)
{
    const struct survey_item *x = *(const struct survey_item *const *)a;
    const struct survey_item *y = *(const struct survey_item *const *)b;
    unsigned at_x = x->name.len > 0 ? x->order : UINT32_MAX;
    unsigned at_y = y->name.len > 0 ? y->order : UINT32_MAX;
    if (at_x != at_y)
        return at_x < at_y ? -1 : 1;
    return (x > y) - (x < y);
}

static void name_globals(struct code *c, const struct survey *s)
{
    const struct survey_item **order = calloc(s->globals.len + 1, sizeof(*order));
    c->globals = calloc(s->globals.len + 1, sizeof(*c->globals));
    size_t n = 0;
    CHECK(order && c->globals);
    for (size_t k = 0; k < s->globals.len; k++) {
        const struct survey_item *item = &s->globals.at[k];
        if (item->is_mutable && is_stack_pointer(item))
            c->has_stack_pointer = true;
        else if (item->is_mutable)
            order[n++] = item;
    }
    qsort(order, n, sizeof(*order), compare_globals);
    for (size_t k = 0; k < n; k++)
        c->globals[c->globals_len++] =
            name_of(order[k], "global", (size_t)(order[k] - s->globals.at));
    free(order);
}

static void name_tables(struct code *c, const struct survey *s)
{
    c->tables = calloc(s->tables.len + 1, sizeof(*c->tables));
    CHECK(c->tables);
    for (size_t k = 0; s->changes_tables && k < s->tables.len; k++)
        c->tables[c->tables_len++] = name_of(&s->tables.at[k], "table", k);
}

/* ---- adding exports ---- */

void state_put_number(struct bytes *out, size_t n)
{
    do {
        bytes_append_char(out, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
        n >>= 7;
    } while (n > 0);
}

static size_t add_exports(const struct survey_items *items, bool is_wanted, const char *what,
                          char kind, struct bytes *out)
{
    size_t added = 0;
    for (size_t k = 0; is_wanted && k < items->len; k++) {
        char name[STATE_NAME_MAX];
        if (items->at[k].name.len > 0 || (kind == KIND_GLOBAL && !items->at[k].is_mutable))
            continue;
        added_name(what, k, name);
        state_put_number(out, strlen(name));
        bytes_append_cstr(out, name);
        bytes_append_char(out, kind);
        state_put_number(out, k);
        added++;
    }
    return added;
}

struct slice state_entries_of(struct slice section)
{
    if (section.len == 0)
        return SLICE_EMPTY;
    section = slice_skip(section, 1);
    for (int k = 0; k < 2; k++) {
        size_t n = 0;
        while (section.ptr[n] & 0x80)
            n++;
        section = slice_skip(section, n + 1);
    }
    return section;
}

static void rewrite(struct slice wasm, const struct survey *s, struct bytes *ret_wasm)
{
    CLEANUP(bytes_done) struct bytes added = BYTES_INIT, section = BYTES_INIT;
    size_t n = add_exports(&s->globals, true, "global", KIND_GLOBAL, &added) +
               add_exports(&s->tables, s->changes_tables, "table", KIND_TABLE, &added);
    if (n == 0)
        return;
    state_put_number(&section, s->exports_len + n);
    bytes_append_slice(&section, state_entries_of(s->exports));
    bytes_append_slice(&section, bytes_slice(&added));
    size_t before = (size_t)(s->exports.ptr - wasm.ptr);
    bytes_append(ret_wasm, wasm.ptr, before);
    bytes_append_char(ret_wasm, SECTION_EXPORT);
    state_put_number(ret_wasm, section.len);
    bytes_append_slice(ret_wasm, bytes_slice(&section));
    bytes_append_slice(ret_wasm, slice_skip(wasm, before + s->exports.len));
}

enum err state_prepare(struct slice wasm, struct bytes *ret_wasm, bool *ret_changes_tables,
                       struct error *ret_error)
{
    struct survey s;
    enum err err = OK;
    if (!survey_read(wasm, true, &s))
        err = error_set(ret_error, ERR_INVALID, "the module's sections cannot be read");
    if (err == OK)
        err = check(&s, ret_error);
    if (err == OK) {
        *ret_changes_tables = s.changes_tables;
        rewrite(wasm, &s, ret_wasm);
    }
    survey_done(&s);
    return err;
}

enum err state_find(struct code *c, struct slice wasm, bool changes_tables, struct error *ret_error)
{
    struct survey s;
    enum err err = OK;
    if (!survey_read(wasm, false, &s))
        err = error_set(ret_error, ERR_INVALID, "the module's sections cannot be read");
    s.changes_tables = changes_tables;
    if (err == OK)
        err = check(&s, ret_error);
    if (err == OK) {
        name_globals(c, &s);
        name_tables(c, &s);
    }
    survey_done(&s);
    return err;
}
