/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <stdlib.h>

#include "engine.h"
#include "layout.h"

bool text_is_ascii(const uint8_t *at, uint32_t len)
{
    uint64_t seen = 0, word;
    uint32_t i = 0;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, at + i, 8);
        seen |= word;
    }
    for (; i < len; i++)
        seen |= at[i];
    return (seen & 0x8080808080808080ULL) == 0;
}

/* QuickJS encodes a lone surrogate as three bytes ED A0..BF xx, as long as EF BF BD. The bytes are
 * its own copy whenever something in them is not ASCII. */
static void text_replace_surrogates(char *at, size_t len)
{
    for (size_t i = 0; i + 2 < len; i++)
        if ((uint8_t)at[i] == 0xED && (uint8_t)at[i + 1] >= 0xA0)
            memcpy(at + i, "\xEF\xBF\xBD", 3);
}

/* The bytes of an ASCII string where they lie, as JS_ToCStringLen would give them, without its slow
 * look at each. .at NULL: the string is something else. */
static struct text text_in_place(JSContext *ctx, JSValueConst value)
{
    if (JS_VALUE_GET_TAG(value) == JS_TAG_STRING) {
        struct layout_chars chars = layout_chars(value);
        if (!chars.is_wide && layout_is_whole(value) && text_is_ascii(chars.at, chars.len)) {
            JS_DupValue(ctx, value); /* JS_FreeCString finds the string before the bytes */
            return (struct text){.at = chars.at, .len = chars.len};
        }
    }
    return (struct text){0};
}

struct text text_of_wtf8(JSContext *ctx, JSValueConst value)
{
    size_t len;
    struct text in_place = text_in_place(ctx, value);
    if (in_place.at)
        return in_place;
    const char *at = JS_ToCStringLen(ctx, &len, value);
    return (struct text){.at = at, .len = at ? (uint32_t)len : 0};
}

struct text text_of(JSContext *ctx, JSValueConst value)
{
    struct text text = text_of_wtf8(ctx, value);
    if (text.at && !text_is_ascii((const uint8_t *)text.at, text.len))
        text_replace_surrogates((char *)text.at, text.len);
    return text;
}

void text_done(JSContext *ctx, struct text text)
{
    JS_FreeCString(ctx, text.at);
}

struct text text_bytestring(JSContext *ctx, JSValueConst value, const char *what)
{
    size_t len;
    char *at = (char *)JS_ToCStringLen(ctx, &len, value);
    if (!at || text_is_ascii((const uint8_t *)at, (uint32_t)len))
        return (struct text){.at = at, .len = at ? (uint32_t)len : 0};
    uint32_t out = 0; /* the bytes are a private copy, see above, and only get fewer */
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)at[i];
        if (c >= 0xC4) {
            JS_FreeCString(ctx, at);
            JS_ThrowTypeError(ctx, "%s has a character above 255", what);
            return (struct text){0};
        }
        if (c >= 0xC2)
            c = (uint8_t)(c << 6 | ((uint8_t)at[++i] & 0x3F));
        at[out++] = (char)c;
    }
    return (struct text){.at = at, .len = out};
}

/* Length of the character at `at`, 0 if malformed; *ret_bad is then how many bytes one replacement
 * stands for (the maximal prefix of a well-formed sequence). */
static uint32_t text_char(const uint8_t *at, uint32_t left, uint32_t *ret_bad)
{
    uint8_t c = at[0], low = 0x80, high = 0xBF;
    uint32_t need;
    *ret_bad = 1;
    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c <= 0xDF)
        need = 1;
    else if (c >= 0xE0 && c <= 0xEF)
        need = 2;
    else if (c >= 0xF0 && c <= 0xF4)
        need = 3;
    else
        return 0;
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    for (uint32_t i = 1; i <= need; i++) {
        if (i >= left || at[i] < low || at[i] > high) {
            *ret_bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return need + 1;
}

uint32_t text_valid_prefix(const uint8_t *at, uint32_t len)
{
    uint32_t i = 0, bad;
    while (i < len) {
        uint64_t word;
        while (i + 8 <= len) {
            memcpy(&word, at + i, 8);
            if (word & 0x8080808080808080ULL)
                break;
            i += 8;
        }
        if (i >= len)
            break;
        uint32_t n = text_char(at + i, len - i, &bad);
        if (n == 0)
            return i;
        i += n;
    }
    return len;
}

JSValue text_from_ascii(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    uint8_t *data;
    if (len == 0 || len >= 1u << 30)
        return JS_NewStringLen(ctx, (const char *)at, len);
    JSValue string = layout_new_string8(ctx, len, &data);
    if (!JS_IsException(string))
        memcpy(data, at, len);
    return string;
}

JSValue text_decode(JSContext *ctx, const uint8_t *at, uint32_t len, bool is_bom_kept)
{
    if (!is_bom_kept && len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) {
        at += 3;
        len -= 3;
    }
    if (text_is_ascii(at, len))
        return text_from_ascii(ctx, at, len);
    uint32_t valid = text_valid_prefix(at, len);
    if (valid == len)
        return JS_NewStringLen(ctx, (const char *)at, len);
    struct buffer fixed = {0};
    while (len > 0) {
        valid = text_valid_prefix(at, len);
        buffer_add(&fixed, at, valid);
        at += valid;
        len -= valid;
        if (len > 0) {
            uint32_t bad;
            (void)text_char(at, len, &bad); /* malformed, as the prefix ended here */
            buffer_add(&fixed, "\xEF\xBF\xBD", 3);
            at += bad;
            len -= bad;
        }
    }
    JSValue string = fixed.is_failed ? JS_ThrowOutOfMemory(ctx)
                                     : JS_NewStringLen(ctx, (const char *)fixed.data, fixed.len);
    buffer_done(&fixed);
    return string;
}

JSValue text_from_latin1(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    if (text_is_ascii(at, len))
        return text_from_ascii(ctx, at, len);
    struct buffer utf8 = {0};
    uint8_t *out = len < UINT32_MAX / 8 ? buffer_room(&utf8, 2 * len) : NULL;
    if (!out)
        return JS_ThrowOutOfMemory(ctx);
    for (uint32_t i = 0; i < len; i++) {
        if (at[i] < 0x80) {
            *out++ = at[i];
        } else {
            *out++ = 0xC0 | at[i] >> 6;
            *out++ = 0x80 | (at[i] & 0x3F);
        }
    }
    JSValue string = JS_NewStringLen(ctx, (const char *)utf8.data, (uint32_t)(out - utf8.data));
    buffer_done(&utf8);
    return string;
}

bool text_equal_nocase(struct text text, const char *other)
{
    uint32_t len = (uint32_t)strlen(other);
    if (text.len != len)
        return false;
    for (uint32_t i = 0; i < len; i++) {
        uint8_t a = (uint8_t)text.at[i], b = (uint8_t)other[i];
        if ((a >= 'A' && a <= 'Z' ? a | 0x20 : a) != (b >= 'A' && b <= 'Z' ? b | 0x20 : b))
            return false;
    }
    return true;
}

bool text_has(struct text text, const char *part)
{
    uint32_t len = (uint32_t)strlen(part);
    for (uint32_t i = 0; i + len <= text.len; i++)
        if (text_equal_nocase((struct text){.at = text.at + i, .len = len}, part))
            return true;
    return false;
}

struct text text_of_buffer(JSContext *ctx, JSValueConst value)
{
    size_t size, offset, bytes, unit;
    if (!JS_IsObject(value))
        return (struct text){0};
    if (JS_IsArrayBuffer(value)) {
        uint8_t *at = JS_GetArrayBuffer(ctx, &size, value);
        if (!at) /* empty or detached */
            JS_FreeValue(ctx, JS_GetException(ctx));
        return (struct text){.at = at ? (char *)at : "", .len = at ? (uint32_t)size : 0};
    }
    if (JS_GetTypedArrayType(value) >= 0) {
        JSValue whole = JS_GetTypedArrayBuffer(ctx, value, &offset, &bytes, &unit);
        if (JS_IsException(whole))
            return (struct text){0};
        uint8_t *at = JS_GetArrayBuffer(ctx, &size, whole);
        JS_FreeValue(ctx, whole); /* the view keeps it */
        if (!at)
            JS_FreeValue(ctx, JS_GetException(ctx));
        return (struct text){.at = at ? (char *)at + offset : "", .len = at ? (uint32_t)bytes : 0};
    }
    if (JS_IsDataView(value)) {
        JSValue whole = JS_GetPropertyStr(ctx, value, "buffer");
        int64_t start = 0, len = 0;
        JSValue v = JS_GetPropertyStr(ctx, value, "byteOffset");
        JS_ToInt64(ctx, &start, v);
        JS_FreeValue(ctx, v);
        v = JS_GetPropertyStr(ctx, value, "byteLength");
        JS_ToInt64(ctx, &len, v);
        JS_FreeValue(ctx, v);
        uint8_t *at = JS_GetArrayBuffer(ctx, &size, whole);
        JS_FreeValue(ctx, whole);
        if (!at)
            JS_FreeValue(ctx, JS_GetException(ctx));
        return (struct text){.at = at ? (char *)at + start : "", .len = at ? (uint32_t)len : 0};
    }
    return (struct text){0};
}
