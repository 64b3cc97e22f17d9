/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the reader share: serialize_read.c has plain data and the way through the
 * bytes, serialize_revive.c the objects of the language's and the platform's own classes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "quickjs.h"

enum { MODELS = 16, INLINE_VALUES = 48 };

/* An object whose parts are being read; lies on the stack. */
struct open {
    struct open *up;
    uint32_t number;
    uint32_t base; /* where its values begin */
    uint8_t tag;
    JSValue made; /* JS_UNDEFINED until something refers to it */
};

struct loader {
    JSContext *ctx;
    const uint8_t *at, *end;
    uint32_t depth;
    struct open *open; /* innermost */

    JSValue *values; /* complete parts of open objects */
    JSAtom *keys;    /* keys[i] belongs to values[i] in objects */
    uint32_t count, cap;
    JSAtom *atoms; /* owned: by number */
    uint32_t atom_count, atom_cap;
    JSValue *objects; /* owned: by number; JS_UNINITIALIZED: open */
    uint32_t object_count, object_cap;

    const struct layout_object *models[MODELS]; /* in `objects` */
    JSValue inline_values[INLINE_VALUES], inline_objects[INLINE_VALUES];
    JSAtom inline_keys[INLINE_VALUES], inline_atoms[INLINE_VALUES];
};

JSValue load(struct loader *l);
JSValue load_malformed(struct loader *l);
/* Instead of what QuickJS had against hostile arguments: malformed. */
JSValue load_checked(struct loader *l, JSValue value);
bool load_varint(struct loader *l, uint64_t max, uint64_t *ret_value);
bool load_u8(struct loader *l, uint8_t max, uint8_t *ret_value);
bool load_f64(struct loader *l, double *ret_value);
/* A node that must be a string. */
JSValue load_string(struct loader *l);
/* Defines members on an object that is there already. */
bool load_members_onto(struct loader *l, JSValueConst object);

/* serialize_revive.c: an object that is neither plain nor an array. */
JSValue load_special(struct loader *l, struct open *open);

/* From now on others can refer to it. Passes exceptions on. */
static inline JSValue load_made(struct loader *l, uint32_t number, JSValue object)
{
    if (!JS_IsException(object))
        l->objects[number] = JS_DupValue(l->ctx, object);
    return object;
}

static inline uint32_t load_left(const struct loader *l)
{
    return (uint32_t)(l->end - l->at);
}

/* A count of things of at least `unit` bytes each, which are there. */
static inline bool load_length(struct loader *l, uint32_t unit, uint32_t *ret_len)
{
    uint64_t len;
    if (l->at < l->end && *l->at < 128)
        len = *l->at++;
    else if (!load_varint(l, UINT32_MAX, &len))
        return false;
    *ret_len = (uint32_t)len;
    return len <= load_left(l) / unit || (load_malformed(l), false);
}
