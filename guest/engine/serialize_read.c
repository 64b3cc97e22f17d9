/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to values. The bytes may be hostile: every length is checked against what is left before
 * anything of that size is made, and depth is bounded.
 *
 * Members and elements are gathered on a stack of values, so that an array is made at once, and an
 * object with the keys of one made before (a model) from that one's shape, as in json_parse.c. An
 * object that refers to one which is still being gathered makes that one early, and it is filled at
 * its end. No code of the guest runs but Error.prepareStackTrace, which sees nothing of ours. */
#include "serialize.h"

#include <math.h>
#include <stdlib.h>

#include "engine.h"
#include "guest/values.h"
#include "intrinsic.h"
#include "layout.h"
#include "text.h"

enum {
    MODELS = 16,
    INLINE_VALUES = 48,
    STACK_LOW = 48 * 1024, /* no deeper when only so much is left */
    BUFFER_LONGEST_MAX = INT32_MAX,
};

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

static JSValue load(struct loader *l);

static JSValue load_malformed(struct loader *l)
{
    return JS_ThrowSyntaxError(l->ctx, "malformed value");
}

/* Instead of what QuickJS had against hostile arguments. */
static JSValue load_checked(struct loader *l, JSValue value)
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

/* From now on others can refer to it. Passes exceptions on. */
static inline JSValue load_made(struct loader *l, uint32_t number, JSValue object)
{
    if (!JS_IsException(object))
        l->objects[number] = JS_DupValue(l->ctx, object);
    return object;
}

/* --- numbers, lengths ----------------------------------------------------------------------------
 */

static inline uint32_t load_left(const struct loader *l)
{
    return (uint32_t)(l->end - l->at);
}

static bool load_varint(struct loader *l, uint64_t max, uint64_t *ret_value)
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

static bool load_u8(struct loader *l, uint8_t max, uint8_t *ret_value)
{
    if (l->at == l->end || *l->at > max) {
        load_malformed(l);
        return false;
    }
    *ret_value = *l->at++;
    return true;
}

static bool load_f64(struct loader *l, double *ret_value)
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

/* A node that must be a string. */
static JSValue load_string(struct loader *l)
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

/* Defines members on an object that is there already. */
static bool load_members_onto(struct loader *l, JSValueConst object)
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

/* --- maps and sets -------------------------------------------------------------------------------
 */

static bool load_entry(struct loader *l, JSValueConst object, bool is_map)
{
    JSValue entry[2] = {load(l), JS_UNDEFINED};
    if (is_map && !JS_IsException(entry[0]))
        entry[1] = load(l);
    JSValue result = JS_EXCEPTION;
    if (!JS_IsException(entry[0]) && !JS_IsException(entry[1]))
        result = intrinsic_call(l->ctx, is_map ? INTRINSIC_MAP_SET : INTRINSIC_SET_ADD, object,
                                1 + is_map, entry);
    JS_FreeValues(l->ctx, entry[0], entry[1]);
    bool is_ok = !JS_IsException(result);
    JS_FreeValue(l->ctx, result);
    return is_ok;
}

static JSValue load_entries(struct loader *l, struct open *open, bool is_map)
{
    uint32_t count;
    if (!load_length(l, 1 + is_map, &count))
        return JS_EXCEPTION;
    JSValue object = load_made(
        l, open->number, intrinsic_new(l->ctx, is_map ? INTRINSIC_MAP : INTRINSIC_SET, 0, NULL));
    bool is_ok = !JS_IsException(object);
    for (uint32_t i = 0; i < count && is_ok; i++)
        is_ok = load_entry(l, object, is_map);
    if (is_ok)
        return object;
    JS_FreeValue(l->ctx, object);
    return JS_EXCEPTION;
}

/* --- buffers and views ---------------------------------------------------------------------------
 */

static JSValue load_buffer(struct loader *l)
{
    uint32_t len;
    if (!load_length(l, 1, &len))
        return JS_EXCEPTION;
    l->at += len;
    return JS_NewArrayBufferCopy(l->ctx, l->at - len, len);
}

static JSValue load_resizable(struct loader *l)
{
    uint64_t len, longest;
    size_t size;
    if (!load_varint(l, VALUE_BYTES_MAX, &len) || !load_varint(l, BUFFER_LONGEST_MAX, &longest))
        return JS_EXCEPTION;
    if (len > load_left(l) || len > longest)
        return load_malformed(l);
    JSValue options = JS_NewObject(l->ctx);
    if (JS_IsException(options) ||
        JS_DefinePropertyValueStr(l->ctx, options, "maxByteLength",
                                  JS_NewInt64(l->ctx, (int64_t)longest), JS_PROP_C_W_E) < 0) {
        JS_FreeValue(l->ctx, options);
        return JS_EXCEPTION;
    }
    JSValueConst arguments[] = {JS_NewInt64(l->ctx, (int64_t)len), options};
    JSValue buffer = intrinsic_new(l->ctx, INTRINSIC_BUFFER, 2, arguments);
    JS_FreeValue(l->ctx, options);
    uint8_t *data =
        JS_IsException(buffer) || len == 0 ? NULL : JS_GetArrayBuffer(l->ctx, &size, buffer);
    if (data)
        memcpy(data, l->at, (size_t)len);
    l->at += len;
    return buffer;
}

static JSValue load_view_on(struct loader *l, JSValueConst buffer, uint8_t kind, uint64_t offset,
                            uint64_t length)
{
    static const struct {
        uint8_t type, unit;
    } views[VALUE_VIEW_COUNT_] = {
        [VALUE_VIEW_INT8] = {JS_TYPED_ARRAY_INT8, 1},
        [VALUE_VIEW_UINT8] = {JS_TYPED_ARRAY_UINT8, 1},
        [VALUE_VIEW_UINT8_CLAMPED] = {JS_TYPED_ARRAY_UINT8C, 1},
        [VALUE_VIEW_INT16] = {JS_TYPED_ARRAY_INT16, 2},
        [VALUE_VIEW_UINT16] = {JS_TYPED_ARRAY_UINT16, 2},
        [VALUE_VIEW_INT32] = {JS_TYPED_ARRAY_INT32, 4},
        [VALUE_VIEW_UINT32] = {JS_TYPED_ARRAY_UINT32, 4},
        [VALUE_VIEW_FLOAT16] = {JS_TYPED_ARRAY_FLOAT16, 2},
        [VALUE_VIEW_FLOAT32] = {JS_TYPED_ARRAY_FLOAT32, 4},
        [VALUE_VIEW_FLOAT64] = {JS_TYPED_ARRAY_FLOAT64, 8},
        [VALUE_VIEW_BIGINT64] = {JS_TYPED_ARRAY_BIG_INT64, 8},
        [VALUE_VIEW_BIGUINT64] = {JS_TYPED_ARRAY_BIG_UINT64, 8},
        [VALUE_VIEW_DATA] = {0, 1},
    };
    size_t size = 0;
    if (!JS_IsArrayBuffer(buffer))
        return load_malformed(l);
    if (!JS_GetArrayBuffer(l->ctx, &size, buffer) && JS_HasException(l->ctx))
        return JS_EXCEPTION;
    if (offset % views[kind].unit || offset > size || length > (size - offset) / views[kind].unit)
        return load_malformed(l);
    JSValueConst arguments[] = {buffer, JS_NewInt64(l->ctx, (int64_t)offset),
                                JS_NewInt64(l->ctx, (int64_t)length)};
    if (kind == VALUE_VIEW_DATA)
        return intrinsic_new(l->ctx, INTRINSIC_DATA_VIEW, 3, arguments);
    return JS_NewTypedArray(l->ctx, 3, arguments, views[kind].type);
}

static JSValue load_view(struct loader *l)
{
    uint8_t kind;
    uint64_t offset, length;
    if (!load_u8(l, VALUE_VIEW_COUNT_ - 1, &kind) || !load_varint(l, VALUE_BYTES_MAX, &offset) ||
        !load_varint(l, VALUE_BYTES_MAX, &length))
        return JS_EXCEPTION;
    JSValue buffer = load(l);
    JSValue view = JS_IsException(buffer) ? buffer : load_view_on(l, buffer, kind, offset, length);
    JS_FreeValue(l->ctx, buffer);
    return view;
}

/* --- errors --------------------------------------------------------------------------------------
 */

static bool load_error_part(struct loader *l, JSValueConst error, uint8_t flag)
{
    const char *const names[] = {"name", "message", "stack", "cause", "errors"};
    bool is_text = flag < VALUE_HAS_CAUSE;
    JSValue value = is_text ? load_string(l) : load(l);
    return !JS_IsException(value) &&
           JS_DefinePropertyValueStr(l->ctx, error, names[__builtin_ctz(flag)], value,
                                     JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) >= 0;
}

static JSValue load_error(struct loader *l, struct open *open)
{
    uint8_t kind, flags;
    if (!load_u8(l, VALUE_ERROR_COUNT_ - 1, &kind) || !load_u8(l, VALUE_HAS_ALL_, &flags))
        return JS_EXCEPTION;
    JSValue error = JS_NewObjectProtoClass(
        l->ctx, intrinsic_value((enum intrinsic)(INTRINSIC_ERROR_PROTO + kind)),
        intrinsic_class_id(INTRINSIC_CLASS_ERROR));
    load_made(l, open->number, error);
    bool is_ok = !JS_IsException(error);
    for (uint8_t flag = 1; flag <= VALUE_HAS_ERRORS && is_ok; flag <<= 1)
        if (flags & flag)
            is_ok = load_error_part(l, error, flag);
    if (is_ok && load_members_onto(l, error))
        return error;
    JS_FreeValue(l->ctx, error);
    return JS_EXCEPTION;
}

static JSValue load_dom_exception(struct loader *l)
{
    JSValue parts[] = {load_string(l), JS_UNDEFINED}, stack = JS_UNDEFINED, error = JS_EXCEPTION;
    if (!JS_IsException(parts[0]))
        parts[1] = load_string(l);
    if (JS_IsException(parts[0]) || JS_IsException(parts[1]))
        stack = JS_EXCEPTION;
    else if (l->at < l->end && *l->at == VALUE_UNDEFINED)
        l->at++;
    else
        stack = load_string(l);
    if (!JS_IsException(stack))
        error = intrinsic_new(l->ctx, INTRINSIC_DOM_EXCEPTION, 2, parts);
    JS_FreeValues(l->ctx, parts[0], parts[1]);
    if (JS_IsException(error)) {
        JS_FreeValue(l->ctx, stack);
    } else if (JS_DefinePropertyValueStr(l->ctx, error, "stack", stack,
                                         JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) < 0) {
        JS_FreeValue(l->ctx, error);
        return JS_EXCEPTION;
    }
    return error;
}

/* --- small ones ----------------------------------------------------------------------------------
 */

static JSValue load_date(struct loader *l)
{
    double at;
    return load_f64(l, &at) ? JS_NewDate(l->ctx, isnan(at) ? NAN : at) : JS_EXCEPTION;
}

static JSValue load_regexp(struct loader *l)
{
    JSValue parts[] = {load_string(l), JS_UNDEFINED}, regexp = JS_EXCEPTION;
    if (!JS_IsException(parts[0]))
        parts[1] = load_string(l);
    if (!JS_IsException(parts[0]) && !JS_IsException(parts[1]))
        regexp = load_checked(l, intrinsic_new(l->ctx, INTRINSIC_REGEXP, 2, parts));
    JS_FreeValues(l->ctx, parts[0], parts[1]);
    return regexp;
}

static JSValue load_boxed(struct loader *l)
{
    JSValue value = load(l), boxed = JS_EXCEPTION;
    if (JS_IsNumber(value) || JS_IsBool(value) || JS_IsString(value) || JS_IsBigInt(value))
        boxed = JS_ToObject(l->ctx, value);
    else if (!JS_IsException(value))
        load_malformed(l);
    JS_FreeValue(l->ctx, value);
    return boxed;
}

static JSValue load_blob(struct loader *l, bool is_file)
{
    double modified = 0;
    uint32_t len;
    JSValue name = JS_UNDEFINED, type = JS_UNDEFINED, blob = JS_EXCEPTION;
    if (is_file)
        name = load_string(l);
    if (!JS_IsException(name) && (!is_file || load_f64(l, &modified)))
        type = load_string(l);
    if (JS_IsString(type) && load_length(l, 1, &len)) {
        JSValue bytes = JS_NewUint8ArrayCopy(l->ctx, l->at, len);
        JSValueConst arguments[] = {bytes, type, name,
                                    JS_NewNumber(l->ctx, isnan(modified) ? NAN : modified)};
        l->at += len;
        if (!JS_IsException(bytes))
            blob = engine_hook(l->ctx, is_file ? HOOK_makeFile : HOOK_makeBlob, is_file ? 4 : 2,
                               arguments);
        JS_FreeValue(l->ctx, bytes);
    }
    JS_FreeValues(l->ctx, name, type);
    return blob;
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
    case VALUE_DATE:
        return load_date(l);
    case VALUE_REGEXP:
        return load_regexp(l);
    case VALUE_MAP:
    case VALUE_SET:
        return load_entries(l, open, open->tag == VALUE_MAP);
    case VALUE_BUFFER:
        return load_buffer(l);
    case VALUE_RESIZABLE:
        return load_resizable(l);
    case VALUE_VIEW:
        return load_view(l);
    case VALUE_ERROR:
        return load_error(l, open);
    case VALUE_DOM_EXCEPTION:
        return load_dom_exception(l);
    case VALUE_BOXED:
        return load_boxed(l);
    case VALUE_BLOB:
    case VALUE_FILE:
        return load_blob(l, open->tag == VALUE_FILE);
    default:
        return load_malformed(l);
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

static JSValue load(struct loader *l)
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
