/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer's part for the classes of the language (maps, dates, errors, …) and of the platform
 * (Blob, File). What may run code of the guest asks for the careful way first. */
#include <stdlib.h>

#include "engine.h"
#include "guest/values.h"
#include "intrinsic.h"
#include "serialize_put.h"
#include "text.h"

/* --- maps and sets -------------------------------------------------------------------------------
 */

struct entries {
    JSValue *values;
    uint32_t count, cap;
};

static struct entries *collecting; /* forEach calls nothing but put_collect */

/* The function given to forEach: (value, key, map). magic 1: the key too. */
static JSValue put_collect(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic)
{
    struct entries *e = collecting;
    if (e->count + 2 > e->cap) {
        uint32_t cap = e->cap ? e->cap * 2 : 32;
        JSValue *values = cap < UINT32_MAX / 16 ? realloc(e->values, cap * sizeof *values) : NULL;
        if (!values)
            return JS_ThrowOutOfMemory(ctx);
        e->values = values;
        e->cap = cap;
    }
    if (magic)
        e->values[e->count++] = JS_DupValue(ctx, argv[1]);
    e->values[e->count++] = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

static enum put put_entries(struct writer *w, JSValueConst value, bool is_map,
                            const struct place *place)
{
    struct entries e = {0};
    struct place here = {.up = place, .depth = place->depth + 1, .kind = PLACE_ENTRY};
    JSValue function =
        JS_NewCFunctionMagic(w->ctx, put_collect, "", 2, JS_CFUNC_generic_magic, is_map);
    if (JS_IsException(function))
        return PUT_FAILED;
    collecting = &e;
    JSValue result = intrinsic_call(
        w->ctx, is_map ? INTRINSIC_MAP_FOR_EACH : INTRINSIC_SET_FOR_EACH, value, 1, &function);
    JS_FreeValue(w->ctx, function);
    enum put done = PUT_FAILED;
    if (!JS_IsException(result))
        done = put_varint(w, is_map ? VALUE_MAP : VALUE_SET, e.count / (is_map ? 2 : 1));
    for (uint32_t i = 0; i < e.count; i++) {
        here.key = i / (is_map ? 2 : 1);
        if (done == PUT_OK)
            done = put(w, e.values[i], &here);
    }
    for (uint32_t i = 0; i < e.count; i++)
        JS_FreeValue(w->ctx, e.values[i]);
    free(e.values);
    return done;
}

/* --- buffers and views ---------------------------------------------------------------------------
 */

static bool put_ask(struct writer *w, enum intrinsic getter, JSValueConst object, int64_t *ret)
{
    JSValue value = intrinsic_call(w->ctx, getter, object, 0, NULL);
    int failed = JS_IsException(value) || JS_ToInt64(w->ctx, ret, value) < 0;
    JS_FreeValue(w->ctx, value);
    return !failed;
}

static enum put put_buffer(struct writer *w, JSValueConst buffer, const struct place *place)
{
    int64_t is_detached, is_resizable, longest;
    size_t len = 0;
    if (!put_ask(w, INTRINSIC_BUFFER_DETACHED, buffer, &is_detached) ||
        !put_ask(w, INTRINSIC_BUFFER_RESIZABLE, buffer, &is_resizable) ||
        !put_ask(w, INTRINSIC_BUFFER_LONGEST, buffer, &longest))
        return PUT_FAILED;
    if (is_detached)
        return put_refuse(w, place, "", "an ArrayBuffer that is detached");
    const uint8_t *data = JS_GetArrayBuffer(w->ctx, &len, buffer);
    if (!data && JS_HasException(w->ctx))
        return PUT_FAILED;
    if (len > VALUE_BYTES_MAX)
        return put_too_large(w);
    enum put done = put_varint(w, is_resizable ? VALUE_RESIZABLE : VALUE_BUFFER, len);
    if (done == PUT_OK && is_resizable)
        done = put_varint(w, -1, (uint64_t)longest);
    return done == PUT_OK ? put_bytes(w, data, (uint32_t)len) : done;
}

/* Takes the buffer. */
static enum put put_view_of(struct writer *w, uint8_t kind, int64_t offset, int64_t length,
                            JSValue buffer, const struct place *place)
{
    struct place here = {
        .up = place, .depth = place->depth + 1, .kind = PLACE_MEMBER, .key = eng.atoms[ATOM_body]};
    uint8_t head[] = {VALUE_VIEW, kind};
    enum put done = put_bytes(w, head, sizeof head);
    if (done == PUT_OK)
        done = put_varint(w, -1, (uint64_t)offset);
    if (done == PUT_OK)
        done = put_varint(w, -1, (uint64_t)length);
    if (done == PUT_OK)
        done = put(w, buffer, &here);
    JS_FreeValue(w->ctx, buffer);
    return done;
}

static enum put put_lost_view(struct writer *w, const struct place *place)
{
    JS_FreeValue(w->ctx, JS_GetException(w->ctx));
    return put_refuse(w, place, "", "a view on an ArrayBuffer that is detached or too short");
}

static enum put put_typed_array(struct writer *w, JSValueConst view, int type,
                                const struct place *place)
{
    static const uint8_t kinds[] = {
        [JS_TYPED_ARRAY_UINT8C] = VALUE_VIEW_UINT8_CLAMPED,
        [JS_TYPED_ARRAY_INT8] = VALUE_VIEW_INT8,
        [JS_TYPED_ARRAY_UINT8] = VALUE_VIEW_UINT8,
        [JS_TYPED_ARRAY_INT16] = VALUE_VIEW_INT16,
        [JS_TYPED_ARRAY_UINT16] = VALUE_VIEW_UINT16,
        [JS_TYPED_ARRAY_INT32] = VALUE_VIEW_INT32,
        [JS_TYPED_ARRAY_UINT32] = VALUE_VIEW_UINT32,
        [JS_TYPED_ARRAY_BIG_INT64] = VALUE_VIEW_BIGINT64,
        [JS_TYPED_ARRAY_BIG_UINT64] = VALUE_VIEW_BIGUINT64,
        [JS_TYPED_ARRAY_FLOAT16] = VALUE_VIEW_FLOAT16,
        [JS_TYPED_ARRAY_FLOAT32] = VALUE_VIEW_FLOAT32,
        [JS_TYPED_ARRAY_FLOAT64] = VALUE_VIEW_FLOAT64,
    };
    size_t offset;
    int64_t length;
    JSValue buffer = JS_GetTypedArrayBuffer(w->ctx, view, &offset, NULL, NULL);
    if (JS_IsException(buffer) || !put_ask(w, INTRINSIC_VIEW_LENGTH, view, &length)) {
        JS_FreeValue(w->ctx, buffer);
        return put_lost_view(w, place);
    }
    return put_view_of(w, kinds[type], (int64_t)offset, length, buffer, place);
}

static enum put put_data_view(struct writer *w, JSValueConst view, const struct place *place)
{
    int64_t offset, length;
    if (!put_ask(w, INTRINSIC_DATA_VIEW_OFFSET, view, &offset) ||
        !put_ask(w, INTRINSIC_DATA_VIEW_LENGTH, view, &length))
        return put_lost_view(w, place);
    JSValue buffer = intrinsic_call(w->ctx, INTRINSIC_DATA_VIEW_BUFFER, view, 0, NULL);
    if (JS_IsException(buffer))
        return PUT_FAILED;
    return put_view_of(w, VALUE_VIEW_DATA, offset, length, buffer, place);
}

/* --- errors --------------------------------------------------------------------------------------
 */

static bool put_is_text(JSContext *ctx, JSValueConst value, const char *text)
{
    struct text t = {0};
    if (JS_IsString(value))
        t = text_of(ctx, value);
    bool is_same = t.at && text_is(t, text);
    if (t.at)
        text_done(ctx, t);
    return is_same;
}

/* VALUE_ERROR_COUNT_: not the name of a class of the language. */
static uint8_t put_error_kind(JSContext *ctx, JSValueConst name)
{
    static const char *const names[VALUE_ERROR_COUNT_] = {
        [VALUE_ERROR_PLAIN] = "Error",        [VALUE_ERROR_EVAL] = "EvalError",
        [VALUE_ERROR_RANGE] = "RangeError",   [VALUE_ERROR_REFERENCE] = "ReferenceError",
        [VALUE_ERROR_SYNTAX] = "SyntaxError", [VALUE_ERROR_TYPE] = "TypeError",
        [VALUE_ERROR_URI] = "URIError",       [VALUE_ERROR_AGGREGATE] = "AggregateError",
    };
    uint8_t kind = 0;
    while (kind < VALUE_ERROR_COUNT_ && !put_is_text(ctx, name, names[kind]))
        kind++;
    return kind;
}

/* What an own property is: its value if that is data, and its flags. -1: exception. */
static int put_own(JSContext *ctx, JSValueConst object, JSAtom atom, JSValue *ret_value)
{
    JSPropertyDescriptor d;
    int has = JS_GetOwnProperty(ctx, &d, object, atom);
    *ret_value = JS_UNDEFINED;
    if (has <= 0)
        return has;
    JS_FreeValues(ctx, d.getter, d.setter);
    *ret_value = d.value;
    return d.flags | 1 << 30;
}

/* A text of an error, if there is one; takes the value. */
static enum put put_error_text(struct writer *w, JSValue text, uint8_t flag, uint8_t *flags)
{
    enum put done = JS_IsException(text) ? PUT_FAILED : PUT_OK;
    if (JS_IsString(text)) {
        *flags |= flag;
        done = put_string(w, text);
    }
    JS_FreeValue(w->ctx, text);
    return done;
}

static enum put put_error_name(struct writer *w, JSValueConst error, JSValueConst name,
                               uint8_t kind, uint8_t *flags)
{
    JSValue own;
    int has = put_own(w->ctx, error, eng.atoms[ATOM_name], &own);
    JS_FreeValue(w->ctx, own);
    if (has < 0)
        return PUT_FAILED;
    if (kind < VALUE_ERROR_COUNT_ || (has & JS_PROP_ENUMERABLE)) /* else it is a member */
        return PUT_OK;
    return put_error_text(w, JS_DupValue(w->ctx, name), VALUE_HAS_NAME, flags);
}

/* Own data only, and made a string, as structuredClone does. */
static enum put put_error_message(struct writer *w, JSValueConst error, uint8_t *flags)
{
    JSValue own;
    int has = put_own(w->ctx, error, eng.atoms[ATOM_message], &own);
    if (has < 0)
        return PUT_FAILED;
    JSValue text = has && !(has & JS_PROP_GETSET) ? JS_ToString(w->ctx, own) : JS_UNDEFINED;
    JS_FreeValue(w->ctx, own);
    return put_error_text(w, text, VALUE_HAS_MESSAGE, flags);
}

static enum put put_error_value(struct writer *w, JSValueConst error, JSAtom atom, uint8_t flag,
                                uint8_t *flags, const struct place *place)
{
    struct place here = {.up = place, .depth = place->depth + 1, .kind = PLACE_MEMBER, .key = atom};
    int has = JS_GetOwnProperty(w->ctx, NULL, error, atom);
    if (has <= 0)
        return has < 0 ? PUT_FAILED : PUT_OK;
    JSValue value = JS_GetProperty(w->ctx, error, atom);
    *flags |= flag;
    enum put done = JS_IsException(value) ? PUT_FAILED : put(w, value, &here);
    JS_FreeValue(w->ctx, value);
    return done;
}

static enum put put_error(struct writer *w, JSValueConst error, const struct place *place)
{
    JSContext *ctx = w->ctx;
    uint8_t flags = 0;
    if (!w->is_careful)
        return PUT_CAREFUL;
    JSValue name = JS_GetProperty(ctx, error, eng.atoms[ATOM_name]);
    if (JS_IsException(name))
        return PUT_FAILED;
    uint8_t kind = put_error_kind(ctx, name);
    uint8_t head[] = {VALUE_ERROR, kind == VALUE_ERROR_COUNT_ ? VALUE_ERROR_PLAIN : kind, 0};
    enum put done = put_bytes(w, head, sizeof head);
    uint32_t flags_at = w->out->len - 1;
    if (done == PUT_OK)
        done = put_error_name(w, error, name, kind, &flags);
    JS_FreeValue(ctx, name);
    if (done == PUT_OK)
        done = put_error_message(w, error, &flags);
    if (done == PUT_OK)
        done = put_error_text(w, JS_GetProperty(ctx, error, eng.atoms[ATOM_stack]), VALUE_HAS_STACK,
                              &flags);
    if (done == PUT_OK)
        done = put_error_value(w, error, eng.atoms[ATOM_cause], VALUE_HAS_CAUSE, &flags, place);
    JSAtom errors = JS_NewAtom(ctx, "errors");
    if (done == PUT_OK && kind == VALUE_ERROR_AGGREGATE)
        done = put_error_value(w, error, errors, VALUE_HAS_ERRORS, &flags, place);
    if (done == PUT_OK) {
        const JSAtom told[] = {eng.atoms[ATOM_message], eng.atoms[ATOM_stack],
                               eng.atoms[ATOM_cause], errors};
        w->out->data[flags_at] = flags;
        done = put_members(w, error, place, told, flags & VALUE_HAS_ERRORS ? 4 : 3);
    }
    JS_FreeAtom(ctx, errors);
    return done;
}

static enum put put_dom_exception(struct writer *w, JSValueConst error)
{
    const enum engine_atom parts[] = {ATOM_message, ATOM_name, ATOM_stack};
    if (!w->is_careful)
        return PUT_CAREFUL;
    enum put done = put_byte(w, VALUE_DOM_EXCEPTION);
    for (int i = 0; i < 3 && done == PUT_OK; i++) {
        JSValue value = JS_GetProperty(w->ctx, error, eng.atoms[parts[i]]);
        bool is_left_out = parts[i] == ATOM_stack && !JS_IsString(value);
        JSValue text =
            is_left_out || JS_IsException(value) ? JS_UNDEFINED : JS_ToString(w->ctx, value);
        if (JS_IsException(value) || JS_IsException(text))
            done = PUT_FAILED;
        else
            done = is_left_out ? put_byte(w, VALUE_UNDEFINED) : put_string(w, text);
        JS_FreeValues(w->ctx, value, text);
    }
    return done;
}

/* --- small ones ----------------------------------------------------------------------------------
 */

static enum put put_date(struct writer *w, JSValueConst date)
{
    double at;
    JSValue value = intrinsic_call(w->ctx, INTRINSIC_DATE_GET_TIME, date, 0, NULL);
    if (JS_IsException(value) || JS_ToFloat64(w->ctx, &at, value) < 0)
        return PUT_FAILED;
    enum put done = put_byte(w, VALUE_DATE);
    return done == PUT_OK ? put_f64(w, at) : done;
}

static enum put put_regexp(struct writer *w, JSValueConst regexp)
{
    static const enum intrinsic parts[] = {INTRINSIC_REGEXP_SOURCE, INTRINSIC_REGEXP_FLAGS};
    if (!w->is_careful) /* the flags are found by asking for properties */
        return PUT_CAREFUL;
    enum put done = put_byte(w, VALUE_REGEXP);
    for (int i = 0; i < 2 && done == PUT_OK; i++) {
        JSValue text = intrinsic_call(w->ctx, parts[i], regexp, 0, NULL);
        done = JS_IsException(text) ? PUT_FAILED : put_string(w, text);
        JS_FreeValue(w->ctx, text);
    }
    return done;
}

static enum put put_boxed(struct writer *w, JSValueConst boxed, enum intrinsic value_of,
                          const struct place *place)
{
    enum put done = put_byte(w, VALUE_BOXED);
    JSValue value = intrinsic_call(w->ctx, value_of, boxed, 0, NULL);
    if (done == PUT_OK)
        done = JS_IsException(value) ? PUT_FAILED : put(w, value, place);
    JS_FreeValue(w->ctx, value);
    return done;
}

static enum put put_arguments(struct writer *w, JSValueConst value, const struct place *place)
{
    if (!w->is_careful)
        return PUT_CAREFUL;
    enum put done = put_byte(w, VALUE_OBJECT);
    return done == PUT_OK ? put_members(w, value, place, NULL, 0) : done;
}

/* --- the platform's ------------------------------------------------------------------------------
 */

/* [bytes, type] of a Blob, [bytes, type, name, lastModified] of a File. */
static enum put put_blob(struct writer *w, JSValueConst parts)
{
    JSContext *ctx = w->ctx;
    JSValue bytes = JS_GetPropertyUint32(ctx, parts, 0), type = JS_GetPropertyUint32(ctx, parts, 1);
    JSValue name = JS_GetPropertyUint32(ctx, parts, 2), at = JS_GetPropertyUint32(ctx, parts, 3);
    struct text text = text_of_buffer(ctx, bytes);
    double modified = 0;
    bool is_file = JS_IsString(name);
    enum put done = !text.at || !JS_IsString(type) || JS_ToFloat64(ctx, &modified, at) < 0
                        ? PUT_FAILED
                        : put_byte(w, is_file ? VALUE_FILE : VALUE_BLOB);
    if (done == PUT_OK && is_file)
        done = put_string(w, name);
    if (done == PUT_OK && is_file)
        done = put_f64(w, modified);
    if (done == PUT_OK)
        done = put_string(w, type);
    if (done == PUT_OK)
        done = text.len > VALUE_BYTES_MAX ? put_too_large(w) : put_varint(w, -1, text.len);
    if (done == PUT_OK)
        done = put_bytes(w, text.at, text.len);
    JS_FreeValues(ctx, bytes, type, name, at);
    return done;
}

enum put put_platform(struct writer *w, JSValueConst value, const struct place *place)
{
    if (!engine_has_hook(HOOK_platformParts))
        return PUT_OK;
    JSValue parts = engine_hook(w->ctx, HOOK_platformParts, 1, &value);
    enum put done = JS_IsException(parts) ? PUT_FAILED : PUT_OK;
    if (JS_IsString(parts)) {
        const char *name = JS_ToCString(w->ctx, parts);
        done = name ? put_refuse(w, place, "a ", name) : PUT_FAILED;
        JS_FreeCString(w->ctx, name);
    } else if (JS_IsObject(parts)) {
        done = put_blob(w, parts);
        done = done == PUT_OK ? PUT_SKIPPED : done;
    }
    JS_FreeValue(w->ctx, parts);
    return done;
}

/* --- by class ------------------------------------------------------------------------------------
 */

enum put put_special(struct writer *w, JSValueConst value, const struct place *place)
{
    JSClassID id = JS_GetClassID(value);
    int type = JS_GetTypedArrayType(value);
    if (type >= 0)
        return put_typed_array(w, value, type, place);
    if (JS_IsDate(value))
        return put_date(w, value);
    if (JS_IsMap(value) || JS_IsSet(value))
        return put_entries(w, value, JS_IsMap(value), place);
    if (JS_IsArrayBuffer(value))
        return put_buffer(w, value, place);
    if (JS_IsDataView(value))
        return put_data_view(w, value, place);
    if (JS_IsRegExp(value))
        return put_regexp(w, value);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_ERROR))
        return put_error(w, value, place);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_DOM_EXCEPTION))
        return put_dom_exception(w, value);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_BOOLEAN))
        return put_boxed(w, value, INTRINSIC_BOOLEAN_VALUE, place);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_NUMBER))
        return put_boxed(w, value, INTRINSIC_NUMBER_VALUE, place);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_STRING))
        return put_boxed(w, value, INTRINSIC_STRING_VALUE, place);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_BIGINT))
        return put_boxed(w, value, INTRINSIC_BIGINT_VALUE, place);
    if (id == intrinsic_class_id(INTRINSIC_CLASS_ARGUMENTS) ||
        id == intrinsic_class_id(INTRINSIC_CLASS_MAPPED_ARGUMENTS))
        return put_arguments(w, value, place);
    return put_refuse_object(w, value, place);
}
