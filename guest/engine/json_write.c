/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON writer. It writes UTF-8 straight from QuickJS's objects, without an intermediate string,
 * and only what it can write without running code of the guest: plain objects, arrays, strings,
 * numbers, dates with the original methods. Since nothing runs, nothing can change under it, so it
 * may look at properties in place; and since nothing ran, it can give up at any point and leave the
 * whole value to QuickJS's own JSON.stringify, which then is the first to have an effect. */
#include <math.h>
#include <stdlib.h>

#include "engine.h"
#include "json.h"
#include "layout.h"
#include "text.h"

/* From QuickJS's dtoa.c, which is linked in. */
typedef struct {
    uint64_t words[37];
} JSDTOATempMem;
int js_dtoa(char *out, double value, int radix, int digits, int flags, JSDTOATempMem *temp);

enum { DEPTH_MAX = 400, NAME_CACHE = 64, PROTO_DEPTH_MAX = 8, NUMBER_BYTES = 32 };

/* Name of a property, ready to be written if it needs no escapes. */
struct json_name {
    JSAtom atom;
    uint32_t len; /* NAME_* or the length of at */
    const uint8_t *at;
};
enum { NAME_SYMBOL = UINT32_MAX, NAME_ESCAPED = UINT32_MAX - 1 };

struct json_writer {
    JSContext *ctx;
    struct buffer *out;
    struct text gap;
    uint32_t depth;
    const struct layout_object *clean[2]; /* prototypes seen to have no toJSON above or in them */
    JSValue date_proto;                   /* Date.prototype, as it was made */
    struct json_name names[NAME_CACHE];
};

static int json_put(struct json_writer *w, JSValueConst value);

/* --- strings -------------------------------------------------------------------------------------
 */

#define JSON_ONES 0x0101010101010101ULL
#define JSON_HIGHS 0x8080808080808080ULL

/* How many bytes at the start are ASCII and need no escape. */
static uint32_t json_clean_prefix(const uint8_t *at, uint32_t len)
{
    uint32_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t w;
        memcpy(&w, at + i, 8);
        uint64_t quote = w ^ JSON_ONES * '"', slash = w ^ JSON_ONES * '\\';
        uint64_t hit = ((quote - JSON_ONES) & ~quote) | ((slash - JSON_ONES) & ~slash) |
                       ((w - JSON_ONES * 0x20) & ~w) | w;
        hit &= JSON_HIGHS;
        if (hit)
            return i + __builtin_ctzll(hit) / 8;
    }
    while (i < len && at[i] >= 0x20 && at[i] < 0x80 && at[i] != '"' && at[i] != '\\')
        i++;
    return i;
}

static uint8_t *json_put_escape(uint8_t *out, uint32_t c)
{
    static const char digits[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *simple = c < 0x80 && c != 0 ? strchr(from, (int)c) : NULL;
    *out++ = '\\';
    if (simple) {
        *out++ = (uint8_t)to[simple - from];
        return out;
    }
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *out++ = (uint8_t)digits[c >> shift & 15];
    return out;
}

static uint8_t *json_put_code(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
    } else if (c < 0x800) {
        *out++ = (uint8_t)(0xC0 | c >> 6);
        *out++ = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (uint8_t)(0xE0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *out++ = (uint8_t)(0x80 | (c & 63));
    } else {
        *out++ = (uint8_t)(0xF0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 63));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 63));
        *out++ = (uint8_t)(0x80 | (c & 63));
    }
    return out;
}

static bool json_put_narrow(struct buffer *b, const uint8_t *at, uint32_t len)
{
    uint32_t clean = json_clean_prefix(at, len), i = clean;
    uint8_t *out = buffer_room(b, len + 2);
    if (!out)
        return false;
    *out++ = '"';
    memcpy(out, at, clean);
    out += clean;
    if (clean < len) {
        b->len = (uint32_t)(out - b->data);
        out = len < UINT32_MAX / 8 ? buffer_room(b, 6 * (len - clean) + 1) : NULL;
        if (!out)
            return false;
        for (; i < len; i++) {
            uint8_t c = at[i];
            if (c >= 0x80)
                out = json_put_code(out, c);
            else if (c < 0x20 || c == '"' || c == '\\')
                out = json_put_escape(out, c);
            else
                *out++ = c;
        }
    }
    *out++ = '"';
    b->len = (uint32_t)(out - b->data);
    return true;
}

static bool json_put_wide(struct buffer *b, const uint16_t *at, uint32_t len)
{
    uint8_t *out = len < UINT32_MAX / 8 ? buffer_room(b, 6 * len + 2) : NULL;
    if (!out)
        return false;
    *out++ = '"';
    for (uint32_t i = 0; i < len; i++) {
        uint32_t c = at[i];
        if ((c & 0xFC00) == 0xD800 && i + 1 < len && (at[i + 1] & 0xFC00) == 0xDC00) {
            c = 0x10000 + ((c & 0x3FF) << 10) + (at[++i] & 0x3FF);
            out = json_put_code(out, c);
        } else if (c < 0x20 || c == '"' || c == '\\' || (c & 0xF800) == 0xD800) {
            out = json_put_escape(out, c);
        } else {
            out = json_put_code(out, c);
        }
    }
    *out++ = '"';
    b->len = (uint32_t)(out - b->data);
    return true;
}

static bool json_put_string(struct json_writer *w, JSValueConst string)
{
    if (JS_VALUE_GET_TAG(string) == JS_TAG_STRING) {
        struct layout_chars chars = layout_chars(string);
        return chars.is_wide ? json_put_wide(w->out, chars.at, chars.len)
                             : json_put_narrow(w->out, chars.at, chars.len);
    }
    size_t len; /* a rope */
    const uint16_t *units = JS_ToCStringLenUTF16(w->ctx, &len, string);
    bool is_ok = units && json_put_wide(w->out, units, (uint32_t)len);
    if (units)
        JS_FreeCStringUTF16(w->ctx, units);
    return is_ok;
}

/* --- numbers -------------------------------------------------------------------------------------
 */

static uint8_t *json_put_integer(uint8_t *out, uint64_t value)
{
    uint8_t digits[20];
    uint32_t n = 0;
    do {
        digits[n++] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (n > 0)
        *out++ = digits[--n];
    return out;
}

/* Numbers with few decimals, such as prices: if value * 10^places is a whole number below 10^15
 * that gives value back when divided, its digits are the shortest ones, since no two decimals of at
 * most 15 digits are the same double. NULL: not such a number. */
static uint8_t *json_put_decimal(uint8_t *out, double value)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    for (int places = 2; places <= 6; places += 2) {
        double scaled = rint(value * powers[places]);
        if (!(scaled < 1e15) || scaled / powers[places] != value)
            continue;
        uint64_t all = (uint64_t)scaled, unit = (uint64_t)powers[places], fraction = all % unit;
        out = json_put_integer(out, all / unit);
        *out++ = '.';
        while (fraction > 0) {
            unit /= 10;
            *out++ = (uint8_t)('0' + fraction / unit);
            fraction %= unit;
        }
        return out;
    }
    return NULL;
}

static bool json_put_number(struct json_writer *w, double value)
{
    uint8_t *out = buffer_room(w->out, NUMBER_BYTES);
    JSDTOATempMem temp;
    if (!out)
        return false;
    if (!isfinite(value)) {
        memcpy(out, "null", 4);
        w->out->len += 4;
        return true;
    }
    if (value < 0) {
        *out++ = '-';
        value = -value;
    }
    uint8_t *end = NULL;
    if (value < 1e15 && value == (double)(uint64_t)value)
        end = json_put_integer(out, (uint64_t)value);
    else if (value >= 1e-3 && value < 1e12)
        end = json_put_decimal(out, value);
    if (!end)
        end = out + js_dtoa((char *)out, value, 10, 0, 0, &temp);
    w->out->len = (uint32_t)(end - w->out->data);
    return true;
}

static bool json_put_int(struct json_writer *w, int32_t value)
{
    uint8_t *out = buffer_room(w->out, NUMBER_BYTES);
    if (!out)
        return false;
    if (value < 0)
        *out++ = '-';
    out = json_put_integer(out, value < 0 ? (uint64_t)-(int64_t)value : (uint64_t)value);
    w->out->len = (uint32_t)(out - w->out->data);
    return true;
}

/* --- what makes an object more than plain --------------------------------------------------------
 */

static bool json_has_to_json(const struct layout_object *object)
{
    const struct layout_property *p = layout_properties(object->shape);
    for (int32_t i = 0; i < object->shape->count; i++)
        if (p[i].atom == eng.atoms[ATOM_toJSON])
            return true;
    return false;
}

/* Has no object from proto upwards a toJSON, or a way to make one up? */
static bool json_is_clean(struct json_writer *w, const struct layout_object *proto)
{
    if (proto == w->clean[0] || proto == w->clean[1])
        return true;
    const struct layout_object *at = proto;
    for (int i = 0; at && i < PROTO_DEPTH_MAX; i++) {
        bool is_known = at == layout_array_proto() || !(at->flags & LAYOUT_EXOTIC);
        if (!is_known || json_has_to_json(at))
            return false;
        at = at->shape->proto;
    }
    if (at)
        return false;
    w->clean[proto == layout_array_proto()] = proto;
    return true;
}

static bool json_put_newline(struct json_writer *w)
{
    if (w->gap.len == 0)
        return true;
    buffer_add_u8(w->out, '\n');
    for (uint32_t i = 0; i < w->depth; i++)
        buffer_add(w->out, w->gap.at, w->gap.len);
    return !w->out->is_failed;
}

/* Values that a list shows as null and an object leaves out. */
static inline bool json_is_nothing(JSValueConst value)
{
    int tag = JS_VALUE_GET_TAG(value);
    return tag == JS_TAG_UNDEFINED || tag == JS_TAG_SYMBOL;
}

static int json_put_array(struct json_writer *w, const struct layout_object *array)
{
    if (!(array->flags & LAYOUT_FAST_ARRAY) || array->shape->count != 1 ||
        !json_is_clean(w, array->shape->proto) ||
        array->values[0] != JS_NewInt32(w->ctx, (int32_t)array->u.array.count))
        return JSON_ELSEWHERE; /* with holes, or further properties */
    buffer_add_u8(w->out, '[');
    w->depth++;
    for (uint32_t i = 0; i < array->u.array.count; i++) {
        JSValueConst item = array->u.array.values[i];
        if (i > 0)
            buffer_add_u8(w->out, ',');
        if (!json_put_newline(w))
            return JSON_FAILED;
        int put = json_put(w, json_is_nothing(item) ? JS_NULL : item);
        if (put != JSON_WRITTEN)
            return put;
    }
    w->depth--;
    if (array->u.array.count > 0 && !json_put_newline(w))
        return JSON_FAILED;
    buffer_add_u8(w->out, ']');
    return w->out->is_failed ? JSON_FAILED : JSON_WRITTEN;
}

/* --- plain objects -------------------------------------------------------------------------------
 */

/* The name of an atom that is no array index, from the cache. NULL: exception. */
static const struct json_name *json_name(struct json_writer *w, JSAtom atom)
{
    struct json_name *name = &w->names[atom % NAME_CACHE];
    if (name->atom == atom)
        return name;
    JSValue string = JS_AtomToValue(w->ctx, atom);
    if (JS_IsException(string))
        return NULL;
    *name = (struct json_name){.atom = atom, .len = NAME_ESCAPED};
    if (JS_VALUE_GET_TAG(string) == JS_TAG_SYMBOL) {
        name->len = NAME_SYMBOL;
    } else if (JS_VALUE_GET_TAG(string) == JS_TAG_STRING) {
        struct layout_chars chars = layout_chars(string);
        if (!chars.is_wide && json_clean_prefix(chars.at, chars.len) == chars.len) {
            name->at = chars.at; /* the object's shape keeps the atom */
            name->len = chars.len;
        }
    }
    JS_FreeValue(w->ctx, string);
    return name;
}

static bool json_put_name(struct json_writer *w, const struct json_name *name, bool is_first)
{
    if (!is_first)
        buffer_add_u8(w->out, ',');
    if (!json_put_newline(w))
        return false;
    if (name->len == NAME_ESCAPED) {
        JSValue string = JS_AtomToString(w->ctx, name->atom);
        bool is_ok = !JS_IsException(string) && json_put_string(w, string);
        JS_FreeValue(w->ctx, string);
        buffer_add(w->out, ": ", w->gap.len > 0 ? 2 : 1);
        return is_ok;
    }
    uint8_t *out = buffer_room(w->out, name->len + 4);
    if (!out)
        return false;
    *out++ = '"';
    memcpy(out, name->at, name->len);
    out += name->len;
    *out++ = '"';
    *out++ = ':';
    if (w->gap.len > 0)
        *out++ = ' ';
    w->out->len = (uint32_t)(out - w->out->data);
    return true;
}

/* An object with array indices among its keys, which come first and in order. */
static int json_put_sorted(struct json_writer *w, JSValueConst object)
{
    JSPropertyEnum *names;
    uint32_t count;
    bool is_first = true;
    int put = JSON_WRITTEN;
    if (JS_GetOwnPropertyNames(w->ctx, &names, &count, object,
                               JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return JSON_FAILED;
    for (uint32_t i = 0; i < count && put == JSON_WRITTEN; i++) {
        JSValue value = JS_GetProperty(w->ctx, object, names[i].atom);
        if (!json_is_nothing(value)) {
            struct json_name name = {.atom = names[i].atom, .len = NAME_ESCAPED};
            put = json_put_name(w, &name, is_first) ? json_put(w, value) : JSON_FAILED;
            is_first = false;
        }
        JS_FreeValue(w->ctx, value);
    }
    JS_FreePropertyEnum(w->ctx, names, count);
    return put;
}

/* 1: has index keys; JSON_ELSEWHERE: has getters or toJSON. */
static int json_look(const struct layout_shape *shape)
{
    const struct layout_property *p = layout_properties(shape);
    int has_index = 0;
    for (int32_t i = 0; i < shape->count; i++) {
        if (p[i].atom == JS_ATOM_NULL)
            continue;
        if ((layout_property_flags(&p[i]) & JS_PROP_TMASK) != JS_PROP_NORMAL ||
            p[i].atom == eng.atoms[ATOM_toJSON])
            return JSON_ELSEWHERE;
        has_index |= (p[i].atom & LAYOUT_ATOM_INT) != 0;
    }
    return has_index;
}

static int json_put_members(struct json_writer *w, const struct layout_object *object)
{
    const struct layout_property *p = layout_properties(object->shape);
    bool is_first = true;
    for (int32_t i = 0; i < object->shape->count; i++) {
        JSValueConst value = object->values[i];
        if (p[i].atom == JS_ATOM_NULL || !(layout_property_flags(&p[i]) & JS_PROP_ENUMERABLE) ||
            json_is_nothing(value))
            continue;
        const struct json_name *name = json_name(w, p[i].atom);
        if (!name)
            return JSON_FAILED;
        if (name->len == NAME_SYMBOL)
            continue;
        if (!json_put_name(w, name, is_first))
            return JSON_FAILED;
        is_first = false;
        int put = json_put(w, value);
        if (put != JSON_WRITTEN)
            return put;
    }
    return JSON_WRITTEN;
}

static int json_put_plain(struct json_writer *w, JSValueConst value)
{
    const struct layout_object *object = layout_object(value);
    int look = json_is_clean(w, object->shape->proto) ? json_look(object->shape) : JSON_ELSEWHERE;
    if (look == JSON_ELSEWHERE)
        return look;
    buffer_add_u8(w->out, '{');
    uint32_t start = w->out->len;
    w->depth++;
    int put = look ? json_put_sorted(w, value) : json_put_members(w, object);
    if (put != JSON_WRITTEN)
        return put;
    w->depth--;
    if (w->out->len > start && !json_put_newline(w))
        return JSON_FAILED;
    buffer_add_u8(w->out, '}');
    return w->out->is_failed ? JSON_FAILED : JSON_WRITTEN;
}

/* --- dates ---------------------------------------------------------------------------------------
 */

static bool json_dates_are_original(struct json_writer *w, JSValueConst date)
{
    JSContext *ctx = w->ctx;
    JSValue to_json = JS_GetProperty(ctx, date, eng.atoms[ATOM_toJSON]);
    JSValue to_iso = JS_GetProperty(ctx, date, eng.atoms[ATOM_toISOString]);
    bool is_original = JS_VALUE_GET_PTR(to_json) == JS_VALUE_GET_PTR(eng.date_to_json) &&
                       JS_VALUE_GET_PTR(to_iso) == JS_VALUE_GET_PTR(eng.date_to_iso);
    JS_FreeValues(ctx, to_json, to_iso);
    return is_original;
}

static int json_put_date(struct json_writer *w, JSValueConst date)
{
    const struct layout_object *object = layout_object(date);
    if (object->shape->count != 0 || !JS_IsObject(w->date_proto) ||
        object->shape->proto != layout_object(w->date_proto) || !json_dates_are_original(w, date))
        return JSON_ELSEWHERE;
    JSValue text = JS_Call(w->ctx, eng.date_to_iso, date, 0, NULL);
    if (JS_IsException(text)) { /* an invalid date */
        JS_FreeValue(w->ctx, JS_GetException(w->ctx));
        text = JS_NULL;
    }
    int put = json_put(w, text);
    JS_FreeValue(w->ctx, text);
    return put;
}

/* --- any value -----------------------------------------------------------------------------------
 */

static int json_put_object(struct json_writer *w, JSValueConst value)
{
    const struct layout_object *object = layout_object(value);
    if (w->depth >= DEPTH_MAX)
        return JSON_ELSEWHERE; /* a cycle perhaps */
    if (object->class_id == LAYOUT_CLASS_ARRAY)
        return json_put_array(w, object);
    if (object->class_id == LAYOUT_CLASS_OBJECT && !(object->flags & LAYOUT_EXOTIC))
        return json_put_plain(w, value);
    if (JS_IsDate(value))
        return json_put_date(w, value);
    return JSON_ELSEWHERE;
}

static int json_put(struct json_writer *w, JSValueConst value)
{
    bool is_ok;
    int tag = JS_VALUE_GET_NORM_TAG(value);
    switch (tag) {
    case JS_TAG_OBJECT:
        return json_put_object(w, value);
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        is_ok = json_put_string(w, value);
        break;
    case JS_TAG_INT:
        is_ok = json_put_int(w, JS_VALUE_GET_INT(value));
        break;
    case JS_TAG_FLOAT64:
        is_ok = json_put_number(w, JS_VALUE_GET_FLOAT64(value));
        break;
    case JS_TAG_BOOL:
        buffer_add(w->out, JS_VALUE_GET_BOOL(value) ? "true" : "false",
                   JS_VALUE_GET_BOOL(value) ? 4 : 5);
        is_ok = !w->out->is_failed;
        break;
    case JS_TAG_NULL:
        buffer_add(w->out, "null", 4);
        is_ok = !w->out->is_failed;
        break;
    default:
        return JSON_ELSEWHERE;
    }
    return is_ok ? JSON_WRITTEN : JSON_FAILED;
}

int json_write_plain(JSContext *ctx, JSValueConst value, struct text gap, struct buffer *out)
{
    struct json_writer w;
    uint32_t start = out->len;
    if (json_is_nothing(value))
        return JSON_NOTHING;
    memset(w.names, 0, sizeof w.names);
    w.ctx = ctx;
    w.out = out;
    w.gap = gap;
    w.depth = 0;
    w.clean[0] = w.clean[1] = NULL;
    w.date_proto = eng.date_proto;
    int put = json_put(&w, value);
    if (put == JSON_ELSEWHERE)
        out->len = start;
    if (put == JSON_FAILED && !JS_HasException(ctx))
        JS_ThrowOutOfMemory(ctx);
    return put;
}
