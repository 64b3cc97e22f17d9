/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON parser. It does not recurse: open arrays and objects are frames over one stack of
 * values, so that depth is bounded by memory and not by the stack.
 *
 * Three things make it fast. Strings without escapes are copied once, from the text into the JS
 * string. Keys go through a small cache from text to atom. And an object whose keys, in order, are
 * those of one made before in this text is made with that one's shape, at the cost of two
 * allocations, instead of property by property: lists of like records are what most JSON is. Such a
 * model is an object of the result itself, which nobody can touch before the parser returns. */
#include "json.h"

#include <math.h>
#include <stdlib.h>

#include "engine.h"
#include "layout.h"
#include "text.h"

/* From QuickJS's dtoa.c, which is linked in. */
typedef struct {
    uint64_t words[27];
} JSATODTempMem;
double js_atod(const char *text, const char **ret_next, int radix, int flags, JSATODTempMem *temp);

enum { KEY_CACHE = 64, MODELS = 16, INLINE_VALUES = 48, INLINE_FRAMES = 16, KEY_CACHED_BYTES = 32 };

struct json_key {
    const uint8_t *at;
    uint32_t len;
    JSAtom atom;
};

struct json_frame {
    uint32_t base; /* where its values begin */
    JSAtom key;    /* of the frame itself, if it is a member: its own members use the place */
    bool is_object;
};

struct json_parser {
    JSContext *ctx;
    const uint8_t *begin, *at, *end;
    bool is_wtf8; /* from a JS string: lone surrogates may be encoded */

    JSValue *values; /* complete values of open frames */
    JSAtom *keys;    /* keys[i] belongs to values[i] in objects; owned by `atoms` */
    uint32_t count, cap;
    struct json_frame *frames;
    uint32_t depth, frame_cap;
    JSAtom *atoms; /* all atoms made, released at the end */
    uint32_t atom_count, atom_cap;

    const struct layout_object *models[MODELS];
    struct json_key cache[KEY_CACHE];
    JSValue inline_values[INLINE_VALUES];
    JSAtom inline_keys[INLINE_VALUES];
    JSAtom inline_atoms[INLINE_VALUES];
    struct json_frame inline_frames[INLINE_FRAMES];
};

/* --- errors --------------------------------------------------------------------------------------
 */

static bool json_error_at(struct json_parser *p, const uint8_t *at, const char *what)
{
    uint32_t position = 0, line = 1, column = 1;
    for (const uint8_t *c = p->begin; c < at; c++) {
        if ((*c & 0xC0) == 0x80)
            continue;
        uint32_t units = *c >= 0xF0 ? 2 : 1;
        position += units;
        column += units;
        if (*c == '\n') {
            line++;
            column = 1;
        }
    }
    JS_ThrowSyntaxError(p->ctx, "%s in JSON at position %u (line %u column %u)", what,
                        (unsigned)position, (unsigned)line, (unsigned)column);
    return false;
}

static bool json_unexpected(struct json_parser *p)
{
    char what[40] = "Unexpected token '";
    if (p->at >= p->end) {
        JS_ThrowSyntaxError(p->ctx, "Unexpected end of JSON input");
        return false;
    }
    uint32_t n = 18, left = (uint32_t)(p->end - p->at);
    uint32_t len = *p->at < 0x80 ? 1 : *p->at < 0xE0 ? 2 : *p->at < 0xF0 ? 3 : 4;
    for (uint32_t i = 0; i < len && i < left; i++)
        what[n++] = *p->at < ' ' ? '?' : (char)p->at[i];
    memcpy(what + n, "'", 2);
    return json_error_at(p, p->at, what);
}

static bool json_no_memory(struct json_parser *p)
{
    JS_ThrowOutOfMemory(p->ctx);
    return false;
}

/* --- growing -------------------------------------------------------------------------------------
 */

static void *json_grow(void *old, const void *inline_part, uint32_t *cap, size_t unit)
{
    uint32_t bigger = *cap * 2;
    if (bigger > UINT32_MAX / 16)
        return NULL;
    void *at = realloc(old == inline_part ? NULL : old, bigger * unit);
    if (at && old == inline_part)
        memcpy(at, old, *cap * unit);
    return at;
}

static bool json_grow_values(struct json_parser *p)
{
    uint32_t cap = p->cap;
    JSValue *values = json_grow(p->values, p->inline_values, &cap, sizeof *values);
    if (values)
        p->values = values;
    JSAtom *keys = values ? json_grow(p->keys, p->inline_keys, &cap, sizeof *keys) : NULL;
    if (!keys)
        return json_no_memory(p);
    p->keys = keys;
    p->cap = cap * 2;
    return true;
}

static inline bool json_push_value(struct json_parser *p, JSValue value)
{
    p->values[p->count++] = value; /* there is always room for one */
    return p->count < p->cap || json_grow_values(p);
}

static bool json_keep_atom(struct json_parser *p, JSAtom atom)
{
    if (p->atom_count == p->atom_cap) {
        JSAtom *atoms = json_grow(p->atoms, p->inline_atoms, &p->atom_cap, sizeof *atoms);
        if (!atoms) {
            JS_FreeAtom(p->ctx, atom);
            return json_no_memory(p);
        }
        p->atoms = atoms;
        p->atom_cap *= 2;
    }
    p->atoms[p->atom_count++] = atom;
    return true;
}

static bool json_push_frame(struct json_parser *p, bool is_object)
{
    if (p->depth == p->frame_cap) {
        struct json_frame *frames =
            json_grow(p->frames, p->inline_frames, &p->frame_cap, sizeof *frames);
        if (!frames)
            return json_no_memory(p);
        p->frames = frames;
        p->frame_cap *= 2;
    }
    p->frames[p->depth++] =
        (struct json_frame){.base = p->count, .key = p->keys[p->count], .is_object = is_object};
    return true;
}

/* --- strings -------------------------------------------------------------------------------------
 */

#define JSON_ONES 0x0101010101010101ULL
#define JSON_HIGHS 0x8080808080808080ULL

/* The first byte that is a quote, a backslash, a control or not ASCII. */
static inline const uint8_t *json_plain_end(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8) {
        uint64_t w, quote, slash;
        memcpy(&w, at, 8);
        quote = w ^ JSON_ONES * '"';
        slash = w ^ JSON_ONES * '\\';
        uint64_t hit = ((quote - JSON_ONES) & ~quote) | ((slash - JSON_ONES) & ~slash) |
                       ((w - JSON_ONES * 0x20) & ~w) | w;
        hit &= JSON_HIGHS;
        if (hit)
            return at + __builtin_ctzll(hit) / 8;
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20 && *at < 0x80)
        at++;
    return at;
}

static int json_hex4(const uint8_t *at, const uint8_t *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i] | 0x20;
        int digit = at[i] >= '0' && at[i] <= '9' ? at[i] - '0'
                    : c >= 'a' && c <= 'f'       ? c - 'a' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static void json_add_code(struct buffer *out, uint32_t c)
{
    uint8_t bytes[4];
    uint32_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        bytes[n++] = (uint8_t)(0xC0 | c >> 6);
        bytes[n++] = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        bytes[n++] = (uint8_t)(0xE0 | c >> 12);
        bytes[n++] = (uint8_t)(0x80 | (c >> 6 & 63));
        bytes[n++] = (uint8_t)(0x80 | (c & 63));
    } else {
        bytes[n++] = (uint8_t)(0xF0 | c >> 18);
        bytes[n++] = (uint8_t)(0x80 | (c >> 12 & 63));
        bytes[n++] = (uint8_t)(0x80 | (c >> 6 & 63));
        bytes[n++] = (uint8_t)(0x80 | (c & 63));
    }
    buffer_add(out, bytes, n);
}

/* A string of UTF-8 in which lone surrogates are encoded as if they were characters. */
static JSValue json_from_wtf8(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    uint16_t *units = malloc((len + 1) * sizeof *units);
    uint32_t n = 0;
    if (!units)
        return JS_ThrowOutOfMemory(ctx);
    for (uint32_t i = 0; i < len;) {
        uint32_t c = at[i], more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        c = more == 0 ? c : more == 1 ? c & 31 : more == 2 ? c & 15 : c & 7;
        for (uint32_t k = 1; k <= more; k++)
            c = c << 6 | (at[i + k] & 63);
        i += more + 1;
        if (c >= 0x10000) {
            units[n++] = (uint16_t)(0xD800 + ((c - 0x10000) >> 10));
            c = 0xDC00 + ((c - 0x10000) & 0x3FF);
        }
        units[n++] = (uint16_t)c;
    }
    JSValue string = JS_NewStringUTF16(ctx, units, n);
    free(units);
    return string;
}

static bool json_has_lone(const uint8_t *at, uint32_t len)
{
    for (uint32_t i = 0; i + 1 < len; i++)
        if (at[i] == 0xED && at[i + 1] >= 0xA0)
            return true;
    return false;
}

/* The escape at p->at (after the backslash), into out. */
static bool json_escape(struct json_parser *p, struct buffer *out, bool *has_lone)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p->at >= p->end)
        return json_error_at(p, p->at, "Unterminated string");
    uint8_t c = *p->at;
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        buffer_add_u8(out, (uint8_t)to[simple - from]);
        p->at++;
        return true;
    }
    int code = c == 'u' ? json_hex4(p->at + 1, p->end) : -1;
    if (code < 0)
        return json_error_at(p, p->at, c == 'u' ? "Bad Unicode escape" : "Bad escaped character");
    p->at += 5;
    uint32_t full = (uint32_t)code;
    if ((full & 0xFC00) == 0xD800 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        int low = json_hex4(p->at + 2, p->end);
        if (low >= 0 && (low & 0xFC00) == 0xDC00) {
            full = 0x10000 + ((full & 0x3FF) << 10) + ((uint32_t)low & 0x3FF);
            p->at += 6;
        }
    }
    if (full >= 0xD800 && full <= 0xDFFF)
        *has_lone = true;
    json_add_code(out, full);
    return true;
}

/* A string with escapes or other than ASCII; `start` is after the opening quote. */
static JSValue json_string_slow(struct json_parser *p, const uint8_t *start)
{
    struct buffer out = {0};
    bool has_lone = false;
    for (;;) {
        while (p->at < p->end && *p->at != '"' && *p->at != '\\' && *p->at >= 0x20)
            p->at++;
        buffer_add(&out, start, (uint32_t)(p->at - start));
        bool is_ok = true;
        if (p->at >= p->end)
            is_ok = json_error_at(p, p->at, "Unterminated string");
        else if (*p->at == '"')
            break;
        else if (*p->at < 0x20)
            is_ok = json_error_at(p, p->at, "Bad control character in string literal");
        else
            is_ok = (p->at++, json_escape(p, &out, &has_lone));
        if (!is_ok) {
            buffer_done(&out);
            return JS_EXCEPTION;
        }
        start = p->at;
    }
    p->at++;
    JSValue string;
    if (out.is_failed)
        string = JS_ThrowOutOfMemory(p->ctx);
    else if (has_lone || (p->is_wtf8 && json_has_lone(out.data, out.len)))
        string = json_from_wtf8(p->ctx, out.data, out.len);
    else
        string = text_decode(p->ctx, out.data ? out.data : (const uint8_t *)"", out.len, true);
    buffer_done(&out);
    return string;
}

/* p->at is after the opening quote. */
static inline JSValue json_string(struct json_parser *p)
{
    const uint8_t *start = p->at, *end = json_plain_end(start, p->end);
    uint8_t *data;
    p->at = end;
    if (end >= p->end || *end != '"')
        return json_string_slow(p, start);
    p->at++;
    uint32_t len = (uint32_t)(end - start);
    if (len == 0)
        return JS_NewStringLen(p->ctx, "", 0);
    JSValue string = layout_new_string8(p->ctx, len, &data);
    if (!JS_IsException(string))
        memcpy(data, start, len);
    return string;
}

/* The atom of a key; p->at is after the opening quote. JS_ATOM_NULL: exception. */
static JSAtom json_key(struct json_parser *p)
{
    const uint8_t *start = p->at, *end = start;
    uint32_t hash = 0;
    while (end < p->end && *end != '"' && *end != '\\' && *end >= 0x20 && *end < 0x80) {
        hash = hash * 31 + *end;
        end++;
    }
    p->at = end;
    if (end >= p->end || *end != '"') {
        JSValue string = json_string_slow(p, start);
        JSAtom atom = JS_IsException(string) ? JS_ATOM_NULL : JS_ValueToAtom(p->ctx, string);
        JS_FreeValue(p->ctx, string);
        return atom != JS_ATOM_NULL && json_keep_atom(p, atom) ? atom : JS_ATOM_NULL;
    }
    p->at++;
    uint32_t len = (uint32_t)(end - start);
    struct json_key *slot = &p->cache[(hash ^ hash >> 6 ^ len) % KEY_CACHE];
    if (slot->len == len && slot->at && memcmp(slot->at, start, len) == 0)
        return slot->atom;
    JSAtom atom = JS_NewAtomLen(p->ctx, (const char *)start, len);
    if (atom == JS_ATOM_NULL || !json_keep_atom(p, atom))
        return JS_ATOM_NULL;
    if (len <= KEY_CACHED_BYTES)
        *slot = (struct json_key){.at = start, .len = len, .atom = atom};
    return atom;
}

/* --- numbers -------------------------------------------------------------------------------------
 */

static inline bool json_is_digit(const struct json_parser *p, const uint8_t *at)
{
    return at < p->end && *at >= '0' && *at <= '9';
}

/* What the fast path could not take: the text from start to p->at is a valid number. */
static bool json_number_slow(struct json_parser *p, const uint8_t *start, JSValue *ret_value)
{
    char small[64], *copy = small;
    uint32_t len = (uint32_t)(p->at - start);
    JSATODTempMem temp;
    if (len >= sizeof small)
        copy = malloc(len + 1);
    if (!copy)
        return json_no_memory(p);
    memcpy(copy, start, len);
    copy[len] = 0;
    *ret_value = JS_NewFloat64(p->ctx, js_atod(copy, NULL, 10, 0, &temp));
    if (copy != small)
        free(copy);
    return true;
}

static bool json_number(struct json_parser *p, JSValue *ret_value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *start = p->at, *at = start;
    bool is_negative = *at == '-';
    uint64_t digits = 0;
    at += is_negative;
    const uint8_t *first = at;
    if (!json_is_digit(p, at)) {
        p->at = at;
        return at >= p->end ? json_unexpected(p)
                            : json_error_at(p, at, "No number after minus sign");
    }
    if (*at == '0') {
        at++;
        if (json_is_digit(p, at))
            return json_error_at(p, at, "Unexpected number");
    } else {
        while (json_is_digit(p, at))
            digits = digits * 10 + (*at++ - '0');
    }
    bool is_exact = at - first <= 18;
    int32_t exponent = 0;
    if (at < p->end && (*at == '.' || (*at | 0x20) == 'e')) {
        const uint8_t *point = at;
        if (*at == '.') {
            if (!json_is_digit(p, ++at))
                return json_error_at(p, at, "Unterminated fractional number");
            while (json_is_digit(p, at))
                digits = digits * 10 + (*at++ - '0');
            exponent = -(int32_t)(at - point - 1);
            is_exact = at - first <= 19; /* the point is no digit */
        }
        if (at < p->end && (*at | 0x20) == 'e') {
            at++;
            bool is_down = at < p->end && *at == '-';
            if (at < p->end && (*at == '-' || *at == '+'))
                at++;
            if (!json_is_digit(p, at))
                return json_error_at(p, at, "Exponent part is missing a number");
            int32_t shift = 0;
            while (json_is_digit(p, at)) {
                shift = shift < 10000 ? shift * 10 + (*at - '0') : shift;
                at++;
            }
            exponent += is_down ? -shift : shift;
        }
    } else if (is_exact && digits <= INT32_MAX && !(is_negative && digits == 0)) {
        p->at = at;
        *ret_value = JS_NewInt32(p->ctx, is_negative ? -(int32_t)digits : (int32_t)digits);
        return true;
    }
    p->at = at;
    if (!is_exact || digits > (1ULL << 53) || exponent < -22 || exponent > 22)
        return json_number_slow(p, start, ret_value);
    /* both are exact, so one operation rounds once */
    double value = (double)digits;
    value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
    /* whole values are kept as integers, as everywhere in QuickJS; -0 is not one */
    *ret_value = JS_NewNumber(p->ctx, is_negative ? -value : value);
    return true;
}

/* --- arrays and objects --------------------------------------------------------------------------
 */

/* Frees the values from base on. */
static void json_drop(struct json_parser *p, uint32_t base)
{
    while (p->count > base)
        JS_FreeValue(p->ctx, p->values[--p->count]);
}

static const struct layout_object **json_model_slot(struct json_parser *p, const JSAtom *keys,
                                                    uint32_t n)
{
    uint32_t hash = n;
    for (uint32_t i = 0; i < n && i < 3; i++)
        hash = hash * 31 + keys[i];
    return &p->models[(hash ^ hash >> 4) % MODELS];
}

static bool json_model_fits(const struct layout_object *model, const JSAtom *keys, uint32_t n)
{
    if (!model || (uint32_t)model->shape->count != n)
        return false;
    const struct layout_property *properties = layout_properties(model->shape);
    for (uint32_t i = 0; i < n; i++)
        if (properties[i].atom != keys[i])
            return false;
    return true;
}

/* Property by property; the values are consumed. */
static JSValue json_build_object(struct json_parser *p, const JSAtom *keys, JSValue *values,
                                 uint32_t n)
{
    JSValue object = JS_NewObject(p->ctx);
    bool is_ok = !JS_IsException(object);
    for (uint32_t i = 0; i < n; i++) {
        if (is_ok)
            is_ok = JS_DefinePropertyValue(p->ctx, object, keys[i], values[i], JS_PROP_C_W_E) >= 0;
        else
            JS_FreeValue(p->ctx, values[i]);
    }
    if (is_ok)
        return object;
    JS_FreeValue(p->ctx, object);
    return JS_EXCEPTION;
}

/* Closes the innermost frame: its values become one. */
static bool json_close(struct json_parser *p)
{
    struct json_frame frame = p->frames[--p->depth];
    uint32_t n = p->count - frame.base;
    JSValue *values = p->values + frame.base, made;
    const JSAtom *keys = p->keys + frame.base;
    p->count = frame.base; /* whatever happens, they are consumed */
    if (!frame.is_object) {
        made = JS_NewArrayFrom(p->ctx, (int)n, values);
    } else {
        const struct layout_object **model = json_model_slot(p, keys, n);
        if (n > 0 && json_model_fits(*model, keys, n)) {
            made = layout_new_like(p->ctx, *model, values);
        } else {
            made = json_build_object(p, keys, values, n);
            if (JS_IsException(made))
                return false;
            const struct layout_object *object = layout_object(made);
            /* If a key came twice, its first value is gone now, and may have been a model. */
            if ((uint32_t)object->shape->count != n)
                memset(p->models, 0, sizeof p->models);
            else if (object->shape->is_hashed)
                *model = object;
        }
    }
    p->keys[frame.base] = frame.key;
    return !JS_IsException(made) && json_push_value(p, made);
}

/* --- the text ------------------------------------------------------------------------------------
 */

static inline void json_skip_space(struct json_parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

static bool json_word(struct json_parser *p, const char *word, uint32_t len, JSValue value)
{
    if ((uint32_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0) {
        while (p->at < p->end && *word && *p->at == (uint8_t)*word) {
            p->at++;
            word++;
        }
        return json_unexpected(p);
    }
    p->at += len;
    return json_push_value(p, value);
}

/* Reads a key and its colon; the key will belong to the next value. */
static bool json_member(struct json_parser *p)
{
    if (p->at >= p->end || *p->at != '"')
        return p->at >= p->end
                   ? json_unexpected(p)
                   : json_error_at(p, p->at, "Expected a property name in double quotes");
    p->at++;
    JSAtom key = json_key(p);
    if (key == JS_ATOM_NULL)
        return false;
    p->keys[p->count] = key;
    json_skip_space(p);
    if (p->at >= p->end || *p->at != ':')
        return p->at >= p->end ? json_unexpected(p)
                               : json_error_at(p, p->at, "Expected ':' after property name");
    p->at++;
    return true;
}

/* Reads a scalar, or opens a frame. *ret_opened: an array or object began and is not empty. */
static bool json_value(struct json_parser *p, bool *ret_opened)
{
    JSValue value;
    *ret_opened = false;
    if (p->at >= p->end)
        return json_unexpected(p);
    switch (*p->at) {
    case '"':
        p->at++;
        value = json_string(p);
        return !JS_IsException(value) && json_push_value(p, value);
    case '{':
    case '[':
        if (!json_push_frame(p, *p->at == '{'))
            return false;
        p->at++;
        json_skip_space(p);
        if (p->at < p->end && *p->at == (p->frames[p->depth - 1].is_object ? '}' : ']')) {
            p->at++;
            return json_close(p);
        }
        *ret_opened = true;
        return true;
    case 't':
        return json_word(p, "true", 4, JS_TRUE);
    case 'f':
        return json_word(p, "false", 5, JS_FALSE);
    case 'n':
        return json_word(p, "null", 4, JS_NULL);
    default:
        if (*p->at != '-' && (*p->at < '0' || *p->at > '9'))
            return json_unexpected(p);
        return json_number(p, &value) && json_push_value(p, value);
    }
}

/* After a value: closes what ends here, up to a comma or the end of the text. *ret_more: a value
 * follows. */
static bool json_after_value(struct json_parser *p, bool *ret_more)
{
    for (;;) {
        json_skip_space(p);
        *ret_more = p->depth > 0;
        if (p->depth == 0)
            return p->at == p->end ||
                   json_error_at(p, p->at, "Unexpected non-whitespace character after JSON");
        bool is_object = p->frames[p->depth - 1].is_object;
        if (p->at >= p->end)
            return json_unexpected(p);
        if (*p->at == ',') {
            p->at++;
            return true;
        }
        if (*p->at != (is_object ? '}' : ']'))
            return json_error_at(p, p->at,
                                 is_object ? "Expected ',' or '}' after property value"
                                           : "Expected ',' or ']' after array element");
        p->at++;
        if (!json_close(p))
            return false;
    }
}

static bool json_text(struct json_parser *p)
{
    bool has_more = true;
    while (has_more) {
        bool has_opened;
        do {
            json_skip_space(p);
            if (p->depth > 0 && p->frames[p->depth - 1].is_object && !json_member(p))
                return false;
            json_skip_space(p);
            if (!json_value(p, &has_opened))
                return false;
        } while (has_opened);
        if (!json_after_value(p, &has_more))
            return false;
    }
    return true;
}

JSValue json_parse_text(JSContext *ctx, const uint8_t *at, uint32_t len, bool is_wtf8)
{
    struct json_parser p;
    memset(p.models, 0, sizeof p.models);
    memset(p.cache, 0, sizeof p.cache);
    p.ctx = ctx;
    p.begin = p.at = at;
    p.end = at + len;
    p.is_wtf8 = is_wtf8;
    p.values = p.inline_values;
    p.keys = p.inline_keys;
    p.atoms = p.inline_atoms;
    p.frames = p.inline_frames;
    p.count = p.depth = p.atom_count = 0;
    p.keys[0] = JS_ATOM_NULL;
    p.cap = p.atom_cap = INLINE_VALUES;
    p.frame_cap = INLINE_FRAMES;
    JSValue value = JS_EXCEPTION;
    if (json_text(&p))
        value = p.values[--p.count];
    json_drop(&p, 0);
    for (uint32_t i = 0; i < p.atom_count; i++)
        JS_FreeAtom(ctx, p.atoms[i]);
    if (p.values != p.inline_values)
        free(p.values);
    if (p.keys != p.inline_keys)
        free(p.keys);
    if (p.atoms != p.inline_atoms)
        free(p.atoms);
    if (p.frames != p.inline_frames)
        free(p.frames);
    return value;
}

JSValue json_parse(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    return json_parse_text(ctx, at, len, false);
}
