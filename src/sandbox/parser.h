/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading of a WebAssembly module's binary form (https://webassembly.github.io/spec/core/binary/). What
 * is read past the end is zeros, and is_bad is set. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    SECTION_CUSTOM = 0,
    SECTION_IMPORT = 2,
    SECTION_TABLE = 4,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_EXPORT = 7,
    SECTION_START = 8,
    SECTION_ELEMENT = 9,
    SECTION_CODE = 10,
};
enum { KIND_FUNC, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL, KIND_TAG };
enum {
    TYPE_I32 = 0x7f,
    TYPE_I64 = 0x7e,
    TYPE_F32 = 0x7d,
    TYPE_F64 = 0x7c,
    TYPE_V128 = 0x7b,
    TYPE_FUNCREF = 0x70,
    TYPE_EXTERNREF = 0x6f,
    TYPE_REF_NULL = 0x63,
    TYPE_REF = 0x64,
};

struct parser {
    const uint8_t *at, *end;
    bool is_bad;
};

static inline uint8_t parse_byte(struct parser *p)
{
    if (p->at < p->end)
        return *p->at++;
    p->is_bad = true;
    return 0;
}

/* LEB128, of either sign: what is signed is only skipped. */
static inline uint64_t parse_wide(struct parser *p)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = parse_byte(p);
        if (shift < 64)
            value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return value;
    }
    p->is_bad = true;
    return 0;
}

static inline uint32_t parse_number(struct parser *p)
{
    return (uint32_t)parse_wide(p);
}

static inline void skip_numbers(struct parser *p, unsigned n)
{
    while (n-- > 0)
        (void)parse_wide(p);
}

static inline struct slice parse_bytes(struct parser *p, size_t len)
{
    if (len > (size_t)(p->end - p->at)) {
        p->is_bad = true;
        return SLICE_EMPTY;
    }
    struct slice s = slice_of((const char *)p->at, len);
    p->at += len;
    return s;
}

static inline struct slice parse_name(struct parser *p)
{
    return parse_bytes(p, parse_number(p));
}

static inline struct parser parser_of(struct slice content)
{
    return (struct parser){(const uint8_t *)content.ptr, (const uint8_t *)content.ptr + content.len,
                           false};
}

static inline uint8_t parse_type(struct parser *p)
{
    uint8_t type = parse_byte(p);
    if (type == TYPE_REF || type == TYPE_REF_NULL)
        (void)parse_wide(p);
    return type;
}
