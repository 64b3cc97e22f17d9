/* SPDX-License-Identifier: Apache-2.0
 *
 * Modules of guests' code. Before one is compiled it is given more exports, so that the state of its
 * instances can be read and given back: mutable globals, tables, the functions that tables may hold, and
 * its start function, which instances made for an image must not run again. */
#include "sandbox/nested_internal.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/parser.h"

enum { ADDED_NAME_MAX = 40 };

const char nested_start_name[] = "limpet:start";

/* ---- reading ---- */

struct reading {
    struct nested_module *module;
    uint32_t exports_cap;
    uint32_t start; /* function */
    struct slice start_section, export_section;
    uint8_t *is_element; /* of function k: a table may hold it */
    uint32_t functions;
};

static void add_export(struct reading *r, uint8_t kind, uint32_t index)
{
    struct nested_module *m = r->module;
    if (m->exports_len == r->exports_cap) {
        r->exports_cap = r->exports_cap ? 2 * r->exports_cap : 16;
        struct nested_export *grown = realloc(m->export, r->exports_cap * sizeof(*grown));
        CHECK(grown);
        m->export = grown;
    }
    m->export[m->exports_len++] = (struct nested_export){.kind = kind, .index = index};
}

static void note_element(struct reading *r, uint32_t function)
{
    if (function >= r->functions) {
        size_t len = (size_t)function + 1 + r->functions;
        if (function > 1000 * 1000) /* more than Wasmtime allows: it will say so */
            return;
        uint8_t *grown = realloc(r->is_element, len);
        CHECK(grown);
        memset(grown + r->functions, 0, len - r->functions);
        r->is_element = grown;
        r->functions = (uint32_t)len;
    }
    r->is_element[function] = 1;
}

static void read_exports(struct parser *p, struct reading *r)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        (void)parse_name(p);
        uint8_t kind = parse_byte(p);
        add_export(r, kind, parse_number(p));
    }
}

static void read_element_expression(struct parser *p, struct reading *r)
{
    if (p->at < p->end && *p->at == 0xd2) { /* ref.func */
        (void)parse_byte(p);
        note_element(r, parse_number(p));
        (void)parse_byte(p); /* end */
        return;
    }
    survey_skip_expression(p);
}

/* https://webassembly.github.io/spec/core/binary/modules.html#element-section */
static void read_element(struct parser *p, struct reading *r)
{
    uint32_t flags = parse_number(p);
    bool is_passive = flags & 1, has_index = flags & 2, has_expressions = flags & 4;
    if (!is_passive && has_index)
        (void)parse_number(p);
    if (!is_passive)
        survey_skip_expression(p);
    if (is_passive || has_index)
        (void)parse_type(p); /* or a kind, a byte too */
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        if (has_expressions)
            read_element_expression(p, r);
        else
            note_element(r, parse_number(p));
    }
}

static void read_custom(struct parser *p, struct nested_module *m)
{
    struct slice name = parse_name(p);
    bytes_append_lstr(&m->sections, name);
    bytes_append_lstr(&m->sections, slice_of((const char *)p->at, (size_t)(p->end - p->at)));
}

/* wasm has been found valid. */
static bool read_module(struct slice wasm, struct reading *r)
{
    struct parser p = parser_of(wasm);
    (void)parse_bytes(&p, SURVEY_HEAD_BYTES);
    while (!p.is_bad && p.at < p.end) {
        const char *start = (const char *)p.at;
        uint8_t id = parse_byte(&p);
        struct slice content = parse_name(&p);
        struct parser s = parser_of(content);
        if (p.is_bad)
            break;
        if (id == SECTION_CUSTOM) {
            read_custom(&s, r->module);
        } else if (id == SECTION_EXPORT) {
            read_exports(&s, r);
        } else if (id == SECTION_START) {
            r->module->has_start = true;
            r->start = parse_number(&s);
            r->start_section = slice_of(start, (size_t)(content.ptr + content.len - start));
        } else if (id == SECTION_ELEMENT) {
            for (uint32_t n = parse_number(&s); n > 0 && !s.is_bad; n--)
                read_element(&s, r);
        }
        p.is_bad = s.is_bad;
    }
    return !p.is_bad;
}

/* ---- adding exports ---- */

static void put_export(struct reading *r, struct bytes *out, const char *name, uint8_t kind,
                       uint32_t index)
{
    state_put_number(out, strlen(name));
    bytes_append_cstr(out, name);
    bytes_append_char(out, (char)kind);
    state_put_number(out, index);
    add_export(r, kind, index);
}

static void put_items(struct reading *r, struct bytes *out, const struct survey_items *items,
                      uint8_t kind, const char *what)
{
    char name[ADDED_NAME_MAX];
    for (uint32_t k = r->module->imported[kind]; k < items->len; k++) {
        if (kind == KIND_GLOBAL && !items->at[k].is_mutable)
            continue;
        snprintf(name, sizeof(name), "limpet:%s:%u", what, k);
        put_export(r, out, name, kind, k);
    }
}

static void put_added(struct reading *r, const struct survey *s, struct bytes *out)
{
    char name[ADDED_NAME_MAX];
    if (r->module->has_start)
        put_export(r, out, nested_start_name, KIND_FUNC, r->start);
    put_items(r, out, &s->globals, KIND_GLOBAL, "global");
    put_items(r, out, &s->tables, KIND_TABLE, "table");
    for (uint32_t k = 0; k < r->functions; k++) {
        if (!r->is_element[k])
            continue;
        snprintf(name, sizeof(name), "limpet:func:%u", k);
        put_export(r, out, name, KIND_FUNC, k);
    }
}

/* The module with its section of exports as it shall be, and without one of its start. */
static void rewrite(struct slice wasm, struct reading *r, const struct survey *s, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes added = BYTES_INIT, section = BYTES_INIT;
    size_t own = r->module->exports_len;
    put_added(r, s, &added);
    state_put_number(&section, r->module->exports_len);
    bytes_append_slice(&section, state_entries_of(s->exports));
    bytes_append_slice(&section, bytes_slice(&added));
    r->module->exports_len = own;
    size_t before = (size_t)(s->exports.ptr - wasm.ptr);
    struct slice rest = slice_skip(wasm, before + s->exports.len);
    bytes_append(out, wasm.ptr, before);
    bytes_append_char(out, SECTION_EXPORT);
    state_put_number(out, section.len);
    bytes_append_slice(out, bytes_slice(&section));
    if (r->module->has_start) {
        size_t len = (size_t)(r->start_section.ptr - rest.ptr);
        bytes_append(out, rest.ptr, len);
        rest = slice_skip(rest, len + r->start_section.len);
    }
    bytes_append_slice(out, rest);
}

/* ---- compiling ---- */

/* What exports and imports are looked up by, so that no look is in proportion to their number. */
static void index_module(struct nested_module *m)
{
    uint32_t most = 0, at[NESTED_KINDS] = {0};
    for (size_t k = 0; k < m->exports.size; k++)
        most = m->export[k].index > most ? m->export[k].index : most;
    uint32_t *seen = calloc(((size_t)most + 1) * NESTED_KINDS, sizeof(*seen));
    m->import_of = calloc(m->imports.size + 1, sizeof(*m->import_of));
    CHECK(seen && m->import_of);
    for (uint32_t k = 0; k < m->exports.size; k++) {
        uint32_t *first = &seen[(size_t)m->export[k].index * NESTED_KINDS + m->export[k].kind];
        if (*first == 0)
            *first = k + 1;
        m->export[k].first = *first - 1;
    }
    free(seen);
    for (unsigned k = 1; k < NESTED_KINDS; k++)
        at[k] = at[k - 1] + m->imported[k - 1];
    for (uint32_t k = 0; k < m->imports.size; k++) {
        static const uint8_t kinds[] = {[WASM_EXTERN_FUNC] = NESTED_FUNC,
                                        [WASM_EXTERN_TABLE] = NESTED_TABLE,
                                        [WASM_EXTERN_MEMORY] = NESTED_MEMORY,
                                        [WASM_EXTERN_GLOBAL] = NESTED_GLOBAL,
                                        [WASM_EXTERN_TAG] = NESTED_TAG};
        wasm_externkind_t kind = wasm_externtype_kind(wasm_importtype_type(m->imports.data[k]));
        m->import_of[at[kinds[kind]]++] = k;
    }
}

static void module_free(struct nested_module *m)
{
    if (m->module)
        wasmtime_module_delete(m->module);
    wasm_importtype_vec_delete(&m->imports);
    wasm_exporttype_vec_delete(&m->exports);
    bytes_done(&m->sections);
    free(m->export);
    free(m->import_of);
    free(m);
}

static enum err compile(struct nested_module *m, struct slice wasm, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes changed = BYTES_INIT;
    struct survey s;
    struct reading r = {.module = m};
    enum err err = OK;
    wasm_engine_t *engine = engine_nested(m->engine);
    wasmtime_error_t *e = wasmtime_module_validate(engine, (const uint8_t *)wasm.ptr, wasm.len);
    if (e)
        return wasm_error_take(ret_error, ERR_INVALID, e, NULL);
    if (survey_read(wasm, true, &s) && read_module(wasm, &r)) {
        m->changes_tables = s.changes_tables || s.refused;
        memcpy(m->imported, s.imported, sizeof(m->imported));
        m->drops = s.refused;
        rewrite(wasm, &r, &s, &changed);
    } else {
        err = error_set(ret_error, ERR_INVALID, "the module's sections cannot be read");
    }
    survey_done(&s);
    free(r.is_element);
    if (err != OK)
        return err;
    e = wasmtime_module_new(engine, (const uint8_t *)changed.ptr, changed.len, &m->module);
    if (e)
        return wasm_error_take(ret_error, ERR_INVALID, e, NULL);
    wasmtime_module_imports(m->module, &m->imports);
    wasmtime_module_exports(m->module, &m->exports);
    index_module(m);
    return OK;
}

static struct nested_module *find_module(struct engine *e, const uint8_t *digest)
{
    struct nested_module *m = e->modules;
    while (m && memcmp(m->digest, digest, NESTED_DIGEST_BYTES) != 0)
        m = m->next;
    return m ? nested_module_ref(m) : NULL;
}

/* Two threads may have compiled the same: the first is kept. */
static struct nested_module *keep_module(struct engine *e, struct nested_module *m)
{
    pthread_mutex_lock(&e->modules_lock);
    struct nested_module *other = find_module(e, m->digest);
    if (!other) {
        m->next = e->modules;
        e->modules = m;
    }
    pthread_mutex_unlock(&e->modules_lock);
    if (!other)
        return m;
    module_free(m);
    return other;
}

enum err nested_module_new(struct engine *e, struct slice wasm, struct nested_module **ret_module,
                           struct error *ret_error)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    CHECK(EVP_Digest(wasm.ptr ? wasm.ptr : "", wasm.len, digest, NULL, EVP_sha256(), NULL));
    pthread_mutex_lock(&e->modules_lock);
    *ret_module = find_module(e, digest);
    pthread_mutex_unlock(&e->modules_lock);
    if (*ret_module)
        return OK;
    struct nested_module *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->refs = 1;
    m->engine = e;
    memcpy(m->digest, digest, sizeof(m->digest));
    enum err err = compile(m, wasm, ret_error);
    if (err != OK)
        module_free(m);
    else
        *ret_module = keep_module(e, m);
    return err;
}

struct nested_module *nested_module_ref(struct nested_module *m)
{
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

/* The list's own look at it is under the lock, so the last reference is given up under it. */
void nested_module_unref(struct nested_module *m)
{
    if (!m)
        return;
    struct engine *e = m->engine;
    pthread_mutex_lock(&e->modules_lock);
    bool is_last = __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) == 0;
    if (is_last) {
        struct nested_module **link = &e->modules;
        while (*link != m)
            link = &(*link)->next;
        *link = m->next;
    }
    pthread_mutex_unlock(&e->modules_lock);
    if (is_last)
        module_free(m);
}

size_t nested_code_bytes(struct slice wasm)
{
    struct parser p = parser_of(wasm);
    (void)parse_bytes(&p, SURVEY_HEAD_BYTES);
    while (!p.is_bad && p.at < p.end) {
        uint8_t id = parse_byte(&p);
        struct slice content = parse_name(&p);
        if (id == SECTION_CODE && !p.is_bad)
            return content.len;
    }
    return 0;
}

bool nested_validate(struct engine *e, struct slice wasm)
{
    wasmtime_error_t *error = wasmtime_module_validate(
        engine_nested(e), (const uint8_t *)(wasm.ptr ? wasm.ptr : ""), wasm.len);
    if (error)
        wasmtime_error_delete(error);
    return !error;
}
