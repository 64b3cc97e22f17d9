/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's part for the classes of the language (maps, dates, errors, …) and of the platform
 * (Blob, File), made by functions of the language as they were at the start. */
#include <math.h>

#include "engine.h"
#include "guest/values.h"
#include "intrinsic.h"
#include "serialize_load.h"

enum { BUFFER_LONGEST_MAX = INT32_MAX };

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

/* --- by tag --------------------------------------------------------------------------------------
 */

JSValue load_special(struct loader *l, struct open *open)
{
    switch (open->tag) {
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
