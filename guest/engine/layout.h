/* SPDX-License-Identifier: Apache-2.0
 *
 * The few places where the engine looks into QuickJS's own structs: the stack limit, which its API
 * leaves off on WASI, and what the JSON code needs to be fast: the characters of a string, the
 * properties of a plain object, the elements of an array, and making an object with the shape of
 * another one.
 *
 * Offsets belong to one version of QuickJS-ng (checked at compile time) and are checked against
 * live objects when an instance boots, so that a mismatch is a failed boot and never a wild read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "quickjs.h"

/* Before every allocation of QuickJS. */
struct layout_block {
    uint16_t index;
    uint8_t size_class;
    uint8_t gc_type; /* high bit: mark */
    int32_t refs;
};

struct layout_link {
    struct layout_link *prev, *next;
};

struct layout_string {
    uint32_t len_wide;  /* length, high bit: two bytes a character */
    uint32_t hash_kind; /* bits 28-29: kind, 30-31: atom type */
    uint32_t hash_next;
    void *weak_refs;
    uint8_t data[]; /* of kind 0; NUL after one-byte characters */
};

struct layout_property {
    uint32_t next_flags; /* high 6 bits: JS_PROP_* */
    JSAtom atom;         /* 0: deleted */
};

struct layout_shape {
    struct layout_link link;
    uint8_t is_hashed; /* shared by all objects with these properties */
    uint32_t hash;
    uint32_t hash_mask;
    int32_t size;
    int32_t count; /* includes deleted ones */
    int32_t deleted_count;
    struct layout_shape *hash_next;
    struct layout_object *proto;
    uint32_t table[]; /* hash_mask + 1, then the properties */
};

struct layout_object {
    struct layout_link link;
    uint8_t flags;
    uint8_t flags_more;
    uint16_t class_id;
    struct layout_shape *shape;
    JSValue *values; /* of the properties, in the order of the shape */
    void *weak_refs;
    union {
        struct {
            uint32_t size;
            JSValue *values;
            uint32_t count;
        } array; /* while LAYOUT_FAST_ARRAY is set */
        uint64_t words[2];
    } u;
};

enum {
    LAYOUT_CLASS_OBJECT = 1,
    LAYOUT_CLASS_ARRAY = 2,
    LAYOUT_EXOTIC = 1 << 3,
    LAYOUT_FAST_ARRAY = 1 << 4,
    LAYOUT_PROP_SHIFT = 26,
    LAYOUT_STRING_WIDE = 1u << 31,
    LAYOUT_ATOM_INT = 1u << 31, /* the atom is an array index */
};

static inline struct layout_block *layout_block(const void *at)
{
    return (struct layout_block *)at - 1;
}

static inline struct layout_object *layout_object(JSValueConst value)
{
    return JS_VALUE_GET_PTR(value);
}

static inline const struct layout_property *layout_properties(const struct layout_shape *shape)
{
    return (const struct layout_property *)(shape->table + shape->hash_mask + 1);
}

static inline uint32_t layout_property_flags(const struct layout_property *p)
{
    return p->next_flags >> LAYOUT_PROP_SHIFT;
}

/* Characters of a string that is no rope (tag JS_TAG_STRING). They stay while the value does. */
struct layout_chars {
    const void *at;
    uint32_t len;
    bool is_wide;
};

static inline struct layout_chars layout_chars(JSValueConst string)
{
    const struct layout_string *s = JS_VALUE_GET_PTR(string);
    uint32_t kind = s->hash_kind >> 28 & 3;
    const void *at = s->data;
    if (kind == 1) { /* a slice: parent and byte offset */
        const struct layout_string *parent;
        uint32_t offset;
        __builtin_memcpy(&parent, s->data, 4);
        __builtin_memcpy(&offset, s->data + 4, 4);
        at = parent->data + offset;
    } else if (kind == 2) { /* elsewhere */
        __builtin_memcpy(&at, s->data, 4);
    }
    return (struct layout_chars){.at = at,
                                 .len = s->len_wide & ~LAYOUT_STRING_WIDE,
                                 .is_wide = (s->len_wide & LAYOUT_STRING_WIDE) != 0};
}

/* Do the characters lie in the string itself? */
static inline bool layout_is_whole(JSValueConst string)
{
    return (((const struct layout_string *)JS_VALUE_GET_PTR(string))->hash_kind >> 28 & 3) == 0;
}

/* A string of len one-byte characters, not yet filled: *ret_data is to be written at once. len > 0.
 */
JSValue layout_new_string8(JSContext *ctx, uint32_t len, uint8_t **ret_data);
/* A plain object with the shape of `like`, whose shape is_hashed. Takes the values (one a
 * property). */
JSValue layout_new_like(JSContext *ctx, const struct layout_object *like, const JSValue *values);
/* Object.prototype, as it was made. */
const struct layout_object *layout_object_proto(void);
const struct layout_object *layout_array_proto(void);

/* JS recursion ends with a RangeError when less than reserve bytes of the stack are left. */
void layout_set_stack_limit(uint32_t reserve);
