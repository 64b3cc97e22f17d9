/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to values. The bytes may be hostile: every length is checked against what is left before
 * anything of that size is made, and depth is bounded.
 *
 * Members and elements are gathered on a stack of values, so that an array is made at once, and an
 * object with the keys of one made before (a model) from that one's shape, as in json_parse.c. An
 * object that refers to one which is still being gathered makes that one early, and it is filled at
 * its end. No code of the guest runs but Error.prepareStackTrace, which sees nothing of ours. */
#include <math.h>
#include <stdlib.h>

#include "engine.h"
#include "guest/values.h"
#include "intrinsic.h"
#include "layout.h"
#include "serialize.h"
#include "serialize_load.h"
#include "text.h"

enum { STACK_LOW = 48 * 1024 }; /* no deeper when only so much is left */

JSValue load_malformed(struct loader *l)
{
    return JS_ThrowSyntaxError(l->ctx, "malformed value");
}

JSValue load_checked(struct loader *l, JSValue value)
{
    if (!JS_IsException(value))
        return value;
    JS_FreeValue(l->ctx, JS_GetException(l->ctx));
    return load_malformed(l);
}

/* --- growing -------------------------------------------------------------------------------------
 */

static void *load_grow(struct loader *l, void *old, const void *inline_part, uint32_t cap,
                       size_t unit)
{
    void *at = realloc(old == inline_part ? NULL : old, (size_t)cap * 2 * unit);
    if (!at)
        JS_ThrowOutOfMemory(l->ctx);
    else if (old == inline_part)
        memcpy(at, old, cap * unit);
    return at;
}

static bool load_grow_values(struct loader *l)
{
    JSValue *values = load_grow(l, l->values, l->inline_values, l->cap, sizeof *values);
    if (!values)
        return false;
    l->values = values;
    JSAtom *keys = load_grow(l, l->keys, l->inline_keys, l->cap, sizeof *keys);
    if (!keys)
        return false;
    l->keys = keys;
    l->cap *= 2;
    return true;
}

/* Takes the value, and the exception that it may be. */
static inline bool load_push(struct loader *l, JSAtom key, JSValue value)
{
    if (JS_IsException(value))
        return false;
    l->keys[l->count] = key;
    l->values[l->count++] = value; /* there is always room for one */
    return l->count < l->cap || load_grow_values(l);
}

static void load_drop(struct loader *l, uint32_t base)
{
    while (l->count > base)
        JS_FreeValue(l->ctx, l->values[--l->count]);
}

static bool load_keep_atom(struct loader *l, JSAtom atom)
{
    if (atom == JS_ATOM_NULL)
        return false;
    if (l->atom_count == l->atom_cap) {
        JSAtom *atoms = load_grow(l, l->atoms, l->inline_atoms, l->atom_cap, sizeof *atoms);
        if (!atoms) {
            JS_FreeAtom(l->ctx, atom);
            return false;
        }
        l->atoms = atoms;
        l->atom_cap *= 2;
    }
    l->atoms[l->atom_count++] = atom;
    return true;
}

/* Gives the next number to an object that is not there yet. */
static bool load_number(struct loader *l, uint32_t *ret_number)
{
    if (l->object_count == l->object_cap) {
        JSValue *objects =
            load_grow(l, l->objects, l->inline_objects, l->object_cap, sizeof *objects);
        if (!objects)
            return false;
        l->objects = objects;
        l->object_cap *= 2;
    }
    *ret_number = l->object_count;
    l->objects[l->object_count++] = JS_UNINITIALIZED;
    return true;
}

/* --- numbers, lengths ----------------------------------------------------------------------------
 */

bool load_varint(struct loader *l, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 63 && l->at < l->end; shift += 7) {
        uint8_t byte = *l->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret_value = value;
            return value <= max || (load_malformed(l), false);
        }
    }
    load_malformed(l);
    return false;
}

bool load_u8(struct loader *l, uint8_t max, uint8_t *ret_value)
{
    if (l->at == l->end || *l->at > max) {
        load_malformed(l);
        return false;
    }
    *ret_value = *l->at++;
    return true;
}

bool load_f64(struct loader *l, double *ret_value)
{
    if (load_left(l) < sizeof *ret_value) {
        load_malformed(l);
        return false;
    }
    memcpy(ret_value, l->at, sizeof *ret_value);
    l->at += sizeof *ret_value;
    return true;
}

static JSValue load_double(struct loader *l)
{
    double value;
    if (!load_f64(l, &value))
        return JS_EXCEPTION;
    /* a pattern of NaN with a payload could be taken for another kind of value */
    return JS_NewNumber(l->ctx, isnan(value) ? NAN : value);
}

static JSValue load_int(struct loader *l)
{
    uint64_t value;
    if (!load_varint(l, UINT32_MAX, &value))
        return JS_EXCEPTION;
    uint32_t bits = (uint32_t)value;
    return JS_NewInt32(l->ctx, (int32_t)(bits >> 1 ^ -(bits & 1)));
}

/* More than 64 bits, through hexadecimal digits. */
static JSValue load_long_bigint(struct loader *l, const uint8_t *bytes, uint32_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc(2 * (size_t)len + 3), *out = hex;
    if (!hex)
        return JS_ThrowOutOfMemory(l->ctx);
    *out++ = '0';
    *out++ = 'x';
    for (uint32_t i = len; i-- > 0;) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    JSValue text = JS_NewStringLen(l->ctx, hex, (size_t)(out - hex));
    free(hex);
    if (JS_IsException(text))
        return text;
    JSValue whole = intrinsic_call(l->ctx, INTRINSIC_BIGINT, JS_UNDEFINED, 1, &text);
    JS_FreeValue(l->ctx, text);
    if (JS_IsException(whole))
        return load_checked(l, whole);
    JSValueConst arguments[] = {JS_NewInt64(l->ctx, 8 * (int64_t)len), whole};
    JSValue value = intrinsic_call(l->ctx, INTRINSIC_BIGINT_AS_INT, JS_UNDEFINED, 2, arguments);
    JS_FreeValue(l->ctx, whole);
    return load_checked(l, value);
}

static JSValue load_bigint(struct loader *l)
{
    uint32_t len;
    uint64_t value = 0;
    if (!load_length(l, 1, &len))
        return JS_EXCEPTION;
    const uint8_t *bytes = l->at;
    l->at += len;
    if (len > sizeof value)
        return load_long_bigint(l, bytes, len);
    if (len > 0 && (bytes[len - 1] & 128))
        value = UINT64_MAX;
    for (uint32_t i = 0; i < len; i++)
        value = (value & ~(255ULL << 8 * i)) | (uint64_t)bytes[i] << 8 * i;
    return JS_NewBigInt64(l->ctx, (int64_t)value);
}

/* --- strings, keys -------------------------------------------------------------------------------
 */

static inline JSValue load_narrow(struct loader *l, uint32_t len)
{
    uint8_t *data;
    if (len > load_left(l))
        return load_malformed(l);
    if (len == 0)
        return JS_NewStringLen(l->ctx, "", 0);
    JSValue string = layout_new_string8(l->ctx, len, &data);
    if (!JS_IsException(string))
        memcpy(data, l->at, len);
    l->at += len;
    return string;
}

static JSValue load_latin1(struct loader *l)
{
    uint32_t len;
    return load_length(l, 1, &len) ? load_narrow(l, len) : JS_EXCEPTION;
}

static JSValue load_utf16(struct loader *l)
{
    uint32_t len;
    if (!load_length(l, 2, &len))
        return JS_EXCEPTION;
    uint16_t *units = malloc(2 * (size_t)len + 1); /* aligned */
    if (!units)
        return JS_ThrowOutOfMemory(l->ctx);
    memcpy(units, l->at, 2 * (size_t)len);
    l->at += 2 * len;
    JSValue string = JS_NewStringUTF16(l->ctx, units, len);
    free(units);
    return string;
}

JSValue load_string(struct loader *l)
{
    if (l->at == l->end)
        return load_malformed(l);
    uint8_t tag = *l->at++;
    if (tag >= VALUE_SHORT_LATIN1)
        return load_narrow(l, tag - VALUE_SHORT_LATIN1);
    if (tag == VALUE_LATIN1)
        return load_latin1(l);
    return tag == VALUE_UTF16 ? load_utf16(l) : load_malformed(l);
}

static bool load_new_key(struct loader *l, bool is_wide)
{
    uint32_t len;
    const uint8_t *start = l->at;
    if (!is_wide) {
        if (!load_length(l, 1, &len))
            return false;
        if (text_is_ascii(l->at, len)) {
            l->at += len;
            return load_keep_atom(l, JS_NewAtomLen(l->ctx, (const char *)l->at - len, len));
        }
        l->at = start;
    }
    JSValue name = is_wide ? load_utf16(l) : load_latin1(l);
    if (JS_IsException(name))
        return false;
    JSAtom atom = JS_ValueToAtom(l->ctx, name);
    JS_FreeValue(l->ctx, name);
    return load_keep_atom(l, atom);
}

/* False: exception. *ret_key JS_ATOM_NULL: the members end. */
static inline bool load_key(struct loader *l, JSAtom *ret_key)
{
    uint64_t key;
    if (l->at < l->end && *l->at < 128)
        key = *l->at++;
    else if (!load_varint(l, UINT32_MAX, &key))
        return false;
    *ret_key = JS_ATOM_NULL;
    if (key == VALUE_KEY_END)
        return true;
    if (key >= VALUE_KEY_FIRST + (uint64_t)l->atom_count) {
        load_malformed(l);
        return false;
    }
    if (key < VALUE_KEY_FIRST) {
        if (!load_new_key(l, key == VALUE_KEY_UTF16))
            return false;
        key = VALUE_KEY_FIRST + (uint64_t)l->atom_count - 1;
    }
    *ret_key = l->atoms[key - VALUE_KEY_FIRST];
    return true;
}

/* --- objects and arrays --------------------------------------------------------------------------
 */

bool load_members_onto(struct loader *l, JSValueConst object)
{
    for (;;) {
        JSAtom key;
        if (!load_key(l, &key))
            return false;
        if (key == JS_ATOM_NULL)
            return true;
        JSValue value = load(l);
        if (JS_IsException(value))
            return false;
        int done = JS_DefinePropertyValue(l->ctx, object, key, value, JS_PROP_C_W_E);
        if (done <= 0) {
            if (done < 0)
                JS_FreeValue(l->ctx, JS_GetException(l->ctx));
            load_malformed(l);
            return false;
        }
    }
}

static const struct layout_object **load_model_slot(struct loader *l, const JSAtom *keys,
                                                    uint32_t n)
{
    uint32_t hash = n;
    for (uint32_t i = 0; i < n && i < 3; i++)
        hash = hash * 31 + keys[i];
    return &l->models[(hash ^ hash >> 4) % MODELS];
}

static bool load_model_fits(const struct layout_object *model, const JSAtom *keys, uint32_t n)
{
    if (!model || (uint32_t)model->shape->count != n)
        return false;
    const struct layout_property *properties = layout_properties(model->shape);
    for (uint32_t i = 0; i < n; i++)
        if (properties[i].atom != keys[i])
            return false;
    return true;
}

/* The gathered values become properties. Takes the object. */
static JSValue load_fill(struct loader *l, JSValue object, uint32_t base)
{
    bool is_ok = !JS_IsException(object);
    for (uint32_t i = base; i < l->count; i++) {
        if (is_ok)
            is_ok = JS_DefinePropertyValue(l->ctx, object, l->keys[i], l->values[i],
                                           JS_PROP_C_W_E) >= 0;
        else
            JS_FreeValue(l->ctx, l->values[i]);
    }
    uint32_t n = l->count - base;
    l->count = base;
    if (is_ok && (uint32_t)layout_object(object)->shape->count != n) { /* a key came twice */
        load_malformed(l);
        is_ok = false;
    }
    if (is_ok)
        return object;
    JS_FreeValue(l->ctx, object);
    return JS_EXCEPTION;
}

static JSValue load_object(struct loader *l, struct open *open)
{
    for (;;) {
        JSAtom key;
        if (!load_key(l, &key))
            return JS_EXCEPTION;
        if (key == JS_ATOM_NULL)
            break;
        if (!load_push(l, key, load(l)))
            return JS_EXCEPTION;
    }
    uint32_t n = l->count - open->base;
    const JSAtom *keys = l->keys + open->base;
    if (!JS_IsUndefined(open->made))
        return load_fill(l, JS_DupValue(l->ctx, open->made), open->base);
    const struct layout_object **model = load_model_slot(l, keys, n);
    if (n > 0 && load_model_fits(*model, keys, n)) {
        l->count = open->base; /* whatever happens, they are consumed */
        return layout_new_like(l->ctx, *model, l->values + open->base);
    }
    JSValue object = load_fill(l, JS_NewObject(l->ctx), open->base);
    if (!JS_IsException(object) && layout_object(object)->shape->is_hashed)
        *model = layout_object(object);
    return object;
}

/* With holes, or referred to by its own elements. */
static JSValue load_fill_array(struct loader *l, struct open *open)
{
    uint32_t n = l->count - open->base;
    JSValue array =
        JS_IsUndefined(open->made) ? JS_NewArray(l->ctx) : JS_DupValue(l->ctx, open->made);
    bool is_ok = !JS_IsException(array) && JS_SetLength(l->ctx, array, n) >= 0;
    for (uint32_t i = 0; i < n; i++) {
        JSValue value = l->values[open->base + i];
        if (is_ok && !JS_IsUninitialized(value))
            is_ok = JS_DefinePropertyValueUint32(l->ctx, array, i, value, JS_PROP_C_W_E) >= 0;
        else
            JS_FreeValue(l->ctx, value);
    }
    l->count = open->base;
    if (is_ok)
        return array;
    JS_FreeValue(l->ctx, array);
    return JS_EXCEPTION;
}

static JSValue load_array(struct loader *l, struct open *open)
{
    uint32_t len;
    bool has_holes = false;
    if (!load_length(l, 1, &len))
        return JS_EXCEPTION;
    for (uint32_t i = 0; i < len; i++) {
        bool is_hole = l->at < l->end && *l->at == VALUE_HOLE;
        has_holes |= is_hole;
        l->at += is_hole;
        if (!load_push(l, JS_ATOM_NULL, is_hole ? JS_UNINITIALIZED : load(l)))
            return JS_EXCEPTION;
    }
    if (has_holes || !JS_IsUndefined(open->made))
        return load_fill_array(l, open);
    l->count = open->base;
    return JS_NewArrayFrom(l->ctx, (int)len, l->values + open->base);
}

static JSValue load_sparse(struct loader *l, struct open *open)
{
    uint64_t len;
    int64_t now;
    if (!load_varint(l, UINT32_MAX, &len))
        return JS_EXCEPTION;
    JSValue array = load_made(l, open->number, JS_NewArray(l->ctx));
    if (JS_IsException(array))
        return array;
    bool is_ok = JS_SetLength(l->ctx, array, (int64_t)len) >= 0 && load_members_onto(l, array) &&
                 JS_GetLength(l->ctx, array, &now) >= 0;
    if (is_ok && (uint64_t)now != len) {
        load_malformed(l);
        is_ok = false;
    }
    if (is_ok)
        return array;
    JS_FreeValue(l->ctx, array);
    return JS_EXCEPTION;
}

/* --- any value -----------------------------------------------------------------------------------
 */

static JSValue load_reference(struct loader *l)
{
    uint64_t number;
    if (!load_varint(l, UINT32_MAX, &number))
        return JS_EXCEPTION;
    if (number >= l->object_count)
        return load_malformed(l);
    if (!JS_IsUninitialized(l->objects[number]))
        return JS_DupValue(l->ctx, l->objects[number]);
    struct open *open = l->open;
    while (open && open->number != number)
        open = open->up;
    if (!open || (open->tag != VALUE_OBJECT && open->tag != VALUE_ARRAY))
        return load_malformed(l);
    open->made = open->tag == VALUE_OBJECT ? JS_NewObject(l->ctx) : JS_NewArray(l->ctx);
    if (JS_IsException(open->made)) {
        open->made = JS_UNDEFINED;
        return JS_EXCEPTION;
    }
    l->objects[number] = JS_DupValue(l->ctx, open->made);
    return JS_DupValue(l->ctx, open->made);
}

static JSValue load_by_tag(struct loader *l, struct open *open)
{
    switch (open->tag) {
    case VALUE_OBJECT:
        return load_object(l, open);
    case VALUE_ARRAY:
        return load_array(l, open);
    case VALUE_SPARSE:
        return load_sparse(l, open);
    default:
        return load_special(l, open);
    }
}

static JSValue load_numbered(struct loader *l, uint8_t tag)
{
    struct open open = {.up = l->open, .base = l->count, .tag = tag, .made = JS_UNDEFINED};
    if (l->depth >= VALUE_DEPTH_MAX)
        return load_malformed(l);
    if ((uintptr_t)&open < STACK_LOW)
        return JS_ThrowRangeError(l->ctx,
                                  "the value is nested too deeply for what is left of the stack");
    if (!load_number(l, &open.number))
        return JS_EXCEPTION;
    l->depth++;
    l->open = &open;
    JSValue object = load_by_tag(l, &open);
    l->open = open.up;
    l->depth--;
    JS_FreeValue(l->ctx, open.made);
    if (JS_IsException(object))
        load_drop(l, open.base);
    else if (JS_IsUninitialized(l->objects[open.number]))
        load_made(l, open.number, object);
    return object;
}

JSValue load(struct loader *l)
{
    if (l->at == l->end)
        return load_malformed(l);
    uint8_t tag = *l->at++;
    if (tag >= VALUE_SHORT_LATIN1)
        return load_narrow(l, tag - VALUE_SHORT_LATIN1);
    if (tag >= VALUE_SMALL_INT)
        return JS_NewInt32(l->ctx, tag - VALUE_SMALL_INT);
    switch (tag) {
    case VALUE_UNDEFINED:
        return JS_UNDEFINED;
    case VALUE_NULL:
        return JS_NULL;
    case VALUE_FALSE:
        return JS_FALSE;
    case VALUE_TRUE:
        return JS_TRUE;
    case VALUE_INT:
        return load_int(l);
    case VALUE_DOUBLE:
        return load_double(l);
    case VALUE_BIGINT:
        return load_bigint(l);
    case VALUE_LATIN1:
        return load_latin1(l);
    case VALUE_UTF16:
        return load_utf16(l);
    case VALUE_REF:
        return load_reference(l);
    default:
        return load_numbered(l, tag);
    }
}

JSValue deserialize(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    struct loader l;
    l.ctx = ctx;
    if (len < 2 || len > VALUE_BYTES_MAX)
        return load_malformed(&l);
    if (*at != VALUE_VERSION)
        return JS_ThrowSyntaxError(ctx, "malformed value: its format is version %d, not %d", *at,
                                   VALUE_VERSION);
    memset(l.models, 0, sizeof l.models);
    l.at = at + 1;
    l.end = at + len;
    l.open = NULL;
    l.values = l.inline_values;
    l.objects = l.inline_objects;
    l.keys = l.inline_keys;
    l.atoms = l.inline_atoms;
    l.depth = l.count = l.atom_count = l.object_count = 0;
    l.cap = l.atom_cap = l.object_cap = INLINE_VALUES;
    JSValue value = load(&l);
    if (!JS_IsException(value) && l.at != l.end) {
        JS_FreeValue(ctx, value);
        value = load_malformed(&l);
    }
    load_drop(&l, 0);
    for (uint32_t i = 0; i < l.object_count; i++)
        JS_FreeValue(ctx, l.objects[i]);
    for (uint32_t i = 0; i < l.atom_count; i++)
        JS_FreeAtom(ctx, l.atoms[i]);
    if (l.values != l.inline_values)
        free(l.values);
    if (l.objects != l.inline_objects)
        free(l.objects);
    if (l.keys != l.inline_keys)
        free(l.keys);
    if (l.atoms != l.inline_atoms)
        free(l.atoms);
    return value;
}
