/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a module's state an isolate must be given back: its globals, tables and memories, how they
 * are exported, and what its code does with them. Wasmtime's API shows only what is exported, and no
 * code; hence a parser of our own. It need not validate: what it has read is compiled by Wasmtime
 * before anything of it is used. What it cannot read it refuses. */
#include <stdlib.h>
#include <string.h>

#include "sandbox/internal.h"
#include "sandbox/parser.h"

enum { LIMITS_HAVE_MAX = 1, LIMITS_ARE_64_BITS = 4 };
enum { TABLE_HAS_INIT = 0x40 };

/* ---- code ---- */

static void skip_memarg(struct parser *p)
{
    uint32_t align = parse_number(p);
    if (align & 0x40) /* names a memory */
        (void)parse_number(p);
    (void)parse_wide(p);
}

static void skip_types(struct parser *p)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--)
        (void)parse_type(p);
}

static void skip_block_type(struct parser *p)
{
    if (p->at < p->end && (*p->at == TYPE_REF || *p->at == TYPE_REF_NULL))
        (void)parse_byte(p);
    (void)parse_wide(p);
}

static void skip_catches(struct parser *p)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--)
        skip_numbers(p, parse_byte(p) < 2 ? 2 : 1);
}

/* 0xfc: saturating conversions, and what is done to segments, memories and tables as a whole. */
static void read_bulk(struct parser *p, struct survey *s)
{
    uint32_t op = parse_number(p);
    switch (op) {
    case 8:  /* memory.init */
    case 10: /* memory.copy */
        skip_numbers(p, 2);
        break;
    case 9: /* data.drop */
        s->refused = "drops a data segment (data.drop)";
        skip_numbers(p, 1);
        break;
    case 13: /* elem.drop */
        s->refused = "drops an element segment (elem.drop)";
        skip_numbers(p, 1);
        break;
    case 12: /* table.init */
    case 14: /* table.copy */
        s->changes_tables = true;
        skip_numbers(p, 2);
        break;
    case 15: /* table.grow */
    case 17: /* table.fill */
        s->changes_tables = true;
        skip_numbers(p, 1);
        break;
    case 11: /* memory.fill */
    case 16: /* table.size */
        skip_numbers(p, 1);
        break;
    default:
        break;
    }
}

static void skip_vector(struct parser *p)
{
    uint32_t op = parse_number(p);
    if (op <= 11 || op == 92 || op == 93) {
        skip_memarg(p);
    } else if (op == 12 || op == 13) { /* v128.const, i8x16.shuffle */
        (void)parse_bytes(p, 16);
    } else if (op >= 84 && op <= 91) {
        skip_memarg(p);
        (void)parse_byte(p);
    } else if (op >= 21 && op <= 34) {
        (void)parse_byte(p);
    }
}

static void read_prefixed(struct parser *p, uint8_t prefix, struct survey *s)
{
    if (prefix == 0xfb) {
        s->refused = "has objects that are collected (the GC proposal)";
        p->at = p->end; /* of this function there is nothing else to say */
    } else if (prefix == 0xfc) {
        read_bulk(p, s);
    } else if (prefix == 0xfd) {
        skip_vector(p);
    } else if (parse_number(p) == 3) { /* atomic.fence */
        (void)parse_byte(p);
    } else {
        skip_memarg(p);
    }
}

/* The instruction after its first byte. */
static void read_instruction(struct parser *p, uint8_t op, struct survey *s)
{
    switch (op) {
    case 0x02: /* block */
    case 0x03: /* loop */
    case 0x04: /* if */
        skip_block_type(p);
        break;
    case 0x1f: /* try_table */
        skip_block_type(p);
        skip_catches(p);
        break;
    case 0x26: /* table.set */
        s->changes_tables = true;
        skip_numbers(p, 1);
        break;
    case 0x08: /* throw */
    case 0x0c: /* br, br_if */
    case 0x0d:
    case 0x10: /* call, return_call, call_ref, return_call_ref */
    case 0x12:
    case 0x14:
    case 0x15:
    case 0x20: /* local.get, set, tee; global.get, set; table.get */
    case 0x21:
    case 0x22:
    case 0x23:
    case 0x24:
    case 0x25:
    case 0x3f: /* memory.size, memory.grow */
    case 0x40:
    case 0x41: /* i32.const, i64.const */
    case 0x42:
    case 0xd0: /* ref.null, ref.func, br_on_null, br_on_non_null */
    case 0xd2:
    case 0xd5:
    case 0xd6:
        skip_numbers(p, 1);
        break;
    case 0x11: /* call_indirect, return_call_indirect */
    case 0x13:
        skip_numbers(p, 2);
        break;
    case 0x0e: /* br_table */
        for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--)
            (void)parse_number(p);
        (void)parse_number(p);
        break;
    case 0x1c: /* select with types */
        skip_types(p);
        break;
    case 0x43: /* f32.const */
        (void)parse_bytes(p, 4);
        break;
    case 0x44: /* f64.const */
        (void)parse_bytes(p, 8);
        break;
    case 0xfb:
    case 0xfc:
    case 0xfd:
    case 0xfe:
        read_prefixed(p, op, s);
        break;
    default:
        if (op >= 0x28 && op <= 0x3e) /* loads and stores */
            skip_memarg(p);
    }
}

/* Stops at what is refused first. */
static void read_code(struct parser *p, struct survey *s)
{
    uint32_t n = parse_number(p);
    for (uint32_t k = 0; k < n && !p->is_bad && !s->refused; k++) {
        struct parser body = parser_of(parse_name(p));
        for (uint32_t locals = parse_number(&body); locals > 0 && !body.is_bad; locals--) {
            (void)parse_number(&body);
            (void)parse_type(&body);
        }
        while (body.at < body.end && !body.is_bad && !s->refused)
            read_instruction(&body, parse_byte(&body), s);
        s->refused_in = k;
        p->is_bad |= body.is_bad;
    }
}

void survey_skip_expression(struct parser *p)
{
    struct survey ignored = {0};
    while (!p->is_bad) {
        uint8_t op = parse_byte(p);
        if (op == 0x0b)
            return;
        read_instruction(p, op, &ignored);
        if (ignored.refused) /* of collected objects: the length of the rest is not known */
            p->is_bad = true;
    }
}

/* ---- the other sections ---- */

static struct survey_item *add_item(struct survey_items *items)
{
    if (items->len == items->cap) {
        items->cap = items->cap ? 2 * items->cap : 16;
        struct survey_item *grown = realloc(items->at, items->cap * sizeof(*items->at));
        CHECK(grown);
        items->at = grown;
    }
    struct survey_item *item = &items->at[items->len++];
    *item = (struct survey_item){0};
    return item;
}

static void read_global(struct parser *p, struct survey *s)
{
    struct survey_item *item = add_item(&s->globals);
    item->type = parse_type(p);
    item->is_mutable = parse_byte(p) & 1;
}

static uint8_t read_limits(struct parser *p, uint64_t *ret_min)
{
    uint8_t flags = parse_byte(p);
    *ret_min = parse_wide(p);
    if (flags & LIMITS_HAVE_MAX)
        (void)parse_wide(p);
    return flags;
}

static void read_table(struct parser *p, struct survey *s)
{
    struct survey_item *item = add_item(&s->tables);
    item->type = parse_type(p);
    (void)read_limits(p, &item->min);
}

static void read_memory(struct parser *p, struct survey *s)
{
    uint64_t ignored;
    s->memories++;
    s->is_memory_wide |= read_limits(p, &ignored) & LIMITS_ARE_64_BITS;
}

static void read_import(struct parser *p, uint8_t kind, struct survey *s)
{
    switch (kind) {
    case KIND_FUNC:
        (void)parse_number(p);
        break;
    case KIND_TABLE:
        read_table(p, s);
        break;
    case KIND_MEMORY:
        read_memory(p, s);
        break;
    case KIND_GLOBAL:
        read_global(p, s);
        break;
    case KIND_TAG:
        (void)parse_byte(p);
        (void)parse_number(p);
        break;
    default:
        p->is_bad = true;
    }
}

static void read_imports(struct parser *p, struct survey *s)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        (void)parse_name(p);
        (void)parse_name(p);
        uint8_t kind = parse_byte(p);
        s->imported[kind < KIND_TAG ? kind : KIND_TAG]++;
        read_import(p, kind, s);
    }
}

static void read_tables(struct parser *p, struct survey *s)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        bool has_init = p->at < p->end && *p->at == TABLE_HAS_INIT;
        if (has_init)
            (void)parse_bytes(p, 2);
        read_table(p, s);
        if (has_init)
            survey_skip_expression(p);
    }
}

static void read_memories(struct parser *p, struct survey *s)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--)
        read_memory(p, s);
}

static void read_globals(struct parser *p, struct survey *s)
{
    for (uint32_t n = parse_number(p); n > 0 && !p->is_bad; n--) {
        read_global(p, s);
        survey_skip_expression(p);
    }
}

/* A name that a C string can hold, so that it can be asked for. */
static bool is_text(struct slice name)
{
    return name.len > 0 && !memchr(name.ptr, '\0', name.len);
}

static void read_export(struct parser *p, struct survey *s, unsigned order)
{
    struct slice name = parse_name(p);
    uint8_t kind = parse_byte(p);
    uint32_t index = parse_number(p);
    struct survey_items *items = kind == KIND_GLOBAL  ? &s->globals
                                 : kind == KIND_TABLE ? &s->tables
                                                      : NULL;
    if (kind == KIND_MEMORY)
        s->has_memory_export |= slice_eq_cstr(name, "memory");
    if (!items)
        return;
    if (index >= items->len) {
        p->is_bad = true;
        return;
    }
    struct survey_item *item = &items->at[index];
    if (item->name.len > 0 || !is_text(name))
        return;
    item->name = name;
    item->order = order;
}

static void read_exports(struct parser *p, struct survey *s)
{
    uint32_t n = parse_number(p);
    for (uint32_t k = 0; k < n && !p->is_bad; k++)
        read_export(p, s, k);
    s->exports_len = n;
}

static void read_section(struct parser *p, uint8_t id, bool with_code, struct survey *s)
{
    if (id == SECTION_IMPORT)
        read_imports(p, s);
    else if (id == SECTION_TABLE)
        read_tables(p, s);
    else if (id == SECTION_MEMORY)
        read_memories(p, s);
    else if (id == SECTION_GLOBAL)
        read_globals(p, s);
    else if (id == SECTION_EXPORT)
        read_exports(p, s);
    else if (id == SECTION_CODE && with_code)
        read_code(p, s);
}

bool survey_read(struct slice wasm, bool with_code, struct survey *ret)
{
    *ret = (struct survey){0};
    struct parser p = parser_of(wasm);
    (void)parse_bytes(&p, SURVEY_HEAD_BYTES);
    while (!p.is_bad && p.at < p.end) {
        const char *start = (const char *)p.at;
        uint8_t id = parse_byte(&p);
        struct slice content = parse_name(&p);
        if (p.is_bad)
            break;
        /* Where the section of exports is, or would be: before the first that comes after it. */
        if (id == SECTION_EXPORT)
            ret->exports = slice_of(start, (size_t)(content.ptr + content.len - start));
        else if (!ret->exports.ptr && id > SECTION_EXPORT && id != SURVEY_SECTION_TAG)
            ret->exports = slice_of(start, 0);
        struct parser section = parser_of(content);
        read_section(&section, id, with_code, ret);
        p.is_bad = section.is_bad;
    }
    if (!ret->exports.ptr)
        ret->exports = slice_of(wasm.ptr + wasm.len, 0);
    return !p.is_bad;
}

void survey_done(struct survey *s)
{
    free(s->globals.at);
    free(s->tables.at);
}
