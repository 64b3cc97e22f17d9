/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a module's state lies outside of its linear memory. An isolate is made pristine by giving
 * it back its memory and its mutable globals, and what runs next must not see anything else of what
 * ran before. So all mutable globals must be exported, by which they can be reached, and be
 * numbers; a module with others is refused. (Wasmtime's API shows what is exported only; hence a
 * parser. The module has been validated before.)
 *
 * Tables are taken to be constant: compilers fill them once from segments, and nothing in C, C++ or
 * Rust makes code that writes to them. A module that has such instructions must not come here. */
#include "sandbox/internal.h"

#include <string.h>

enum { SECTION_IMPORT = 2, SECTION_GLOBAL = 6, SECTION_EXPORT = 7 };
enum { KIND_FUNC, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL, KIND_TAG };
enum { TYPE_I32 = 0x7f, TYPE_F64 = 0x7c, TYPE_V128 = 0x7b, TYPE_REF_NULL = 0x63, TYPE_REF = 0x64 };
enum { GLOBALS_SEEN_MAX = 1024 };

struct parser {
    const uint8_t *at, *end;
    bool is_bad;
};

static uint8_t parse_byte(struct parser *p)
{
    if (p->at < p->end)
        return *p->at++;
    p->is_bad = true;
    return 0;
}

/* LEB128, of either sign: what is signed is only skipped. */
static uint32_t parse_number(struct parser *p)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = parse_byte(p);
        if (shift < 64)
            value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return (uint32_t)value;
    }
    p->is_bad = true;
    return 0;
}

static struct slice parse_bytes(struct parser *p, size_t len)
{
    if (len > (size_t)(p->end - p->at)) {
        p->is_bad = true;
        return SLICE_EMPTY;
    }
    struct slice s = slice_of((const char *)p->at, len);
    p->at += len;
    return s;
}

static struct slice parse_name(struct parser *p)
{
    return parse_bytes(p, parse_number(p));
}

static uint8_t parse_type(struct parser *p)
{
    uint8_t type = parse_byte(p);
    if (type == TYPE_REF || type == TYPE_REF_NULL)
        (void)parse_number(p);
    return type;
}

static void skip_limits(struct parser *p)
{
    uint32_t flags = parse_number(p);
    (void)parse_number(p);
    if (flags & 1)
        (void)parse_number(p);
}

/* A constant expression, up to and with its end. */
static void skip_expression(struct parser *p)
{
    while (!p->is_bad) {
        uint8_t op = parse_byte(p);
        switch (op) {
        case 0x0b: /* end */
            return;
        case 0x23: /* global.get */
        case 0x41: /* i32.const */
        case 0x42: /* i64.const */
        case 0xd0: /* ref.null */
        case 0xd2: /* ref.func */
            (void)parse_number(p);
            break;
        case 0x43: /* f32.const */
            (void)parse_bytes(p, 4);
            break;
        case 0x44: /* f64.const */
            (void)parse_bytes(p, 8);
            break;
        case 0xfd: /* v128.const */
            (void)parse_number(p);
            (void)parse_bytes(p, 16);
            break;
        case 0x6a: /* i32 and i64: add, sub, mul */
        case 0x6b:
        case 0x6c:
        case 0x7c:
        case 0x7d:
        case 0x7e:
            break;
        default:
            p->is_bad = true;
        }
    }
}

struct found {
    uint8_t type;
    bool is_mutable, is_exported;
};

struct module_globals {
    struct found found[GLOBALS_SEEN_MAX];
    size_t len;
};

static void add_global(struct parser *p, struct module_globals *g)
{
    if (g->len == GLOBALS_SEEN_MAX) {
        p->is_bad = true;
        return;
    }
    struct found *f = &g->found[g->len++];
    *f = (struct found){.type = parse_type(p)};
    f->is_mutable = parse_byte(p) & 1;
}

static void parse_imports(struct parser *p, struct module_globals *g)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        (void)parse_name(p);
        (void)parse_name(p);
        switch (parse_byte(p)) {
        case KIND_FUNC:
            (void)parse_number(p);
            break;
        case KIND_TABLE:
            (void)parse_type(p);
            skip_limits(p);
            break;
        case KIND_MEMORY:
            skip_limits(p);
            break;
        case KIND_GLOBAL:
            add_global(p, g);
            break;
        case KIND_TAG:
            (void)parse_byte(p);
            (void)parse_number(p);
            break;
        default:
            p->is_bad = true;
        }
    }
}

static void parse_globals(struct parser *p, struct module_globals *g)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        add_global(p, g);
        skip_expression(p);
    }
}

static enum err take_export(struct code *c, struct found *f, struct slice name,
                            struct error *ret_error)
{
    if (!f->is_mutable || f->is_exported)
        return OK;
    f->is_exported = true;
    if (slice_eq_cstr(name, "__stack_pointer"))
        return OK;
    if (f->type > TYPE_I32 || f->type < TYPE_F64)
        return error_set(ret_error, ERR_INVALID,
                         "the module's mutable global '%.*s' is no number of 4 or 8 bytes",
                         SLICE_ARG(name));
    if (c->globals_len == SANDBOX_GLOBALS_MAX)
        return error_set(ret_error, ERR_LIMIT, "the module has more than %d mutable globals",
                         SANDBOX_GLOBALS_MAX);
    char *copy = strndup(name.ptr, name.len);
    CHECK(copy);
    c->globals[c->globals_len++] = copy;
    return OK;
}

static enum err parse_exports(struct parser *p, struct module_globals *g, struct code *c,
                              struct error *ret_error)
{
    enum err err = OK;
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad && err == OK; n--) {
        struct slice name = parse_name(p);
        uint8_t kind = parse_byte(p);
        uint32_t index = parse_number(p);
        if (kind != KIND_GLOBAL || p->is_bad)
            continue;
        if (index >= g->len)
            p->is_bad = true;
        else
            err = take_export(c, &g->found[index], name, ret_error);
    }
    return err;
}

static enum err parse_module(struct parser *p, struct module_globals *g, struct code *c,
                             struct error *ret_error)
{
    enum err err = OK;
    (void)parse_bytes(p, 8); /* magic, version */
    while (err == OK && !p->is_bad && p->at < p->end) {
        uint8_t id = parse_byte(p);
        struct slice content = parse_name(p);
        struct parser section = {(const uint8_t *)content.ptr,
                                 (const uint8_t *)content.ptr + content.len, false};
        if (p->is_bad)
            break;
        if (id == SECTION_IMPORT)
            parse_imports(&section, g);
        else if (id == SECTION_GLOBAL)
            parse_globals(&section, g);
        else if (id == SECTION_EXPORT)
            err = parse_exports(&section, g, c, ret_error);
        p->is_bad = section.is_bad;
    }
    return err;
}

enum err code_find_globals(struct code *c, struct slice wasm, struct error *ret_error)
{
    struct module_globals g = {.len = 0};
    struct parser p = {(const uint8_t *)wasm.ptr, (const uint8_t *)wasm.ptr + wasm.len, false};
    enum err err = parse_module(&p, &g, c, ret_error);
    if (err != OK)
        return err;
    if (p.is_bad)
        return error_set(ret_error, ERR_INVALID, "the module's globals cannot be read");
    for (size_t k = 0; k < g.len; k++) {
        if (!g.found[k].is_mutable || g.found[k].is_exported)
            continue;
        error_set(ret_error, ERR_INVALID,
                  "the module's global %zu is mutable but not exported, so it would keep what one "
                  "request leaves there for the next",
                  k);
        error_hint(ret_error, "export it (wasm-ld: --export=NAME)");
        return ERR_INVALID;
    }
    return OK;
}
