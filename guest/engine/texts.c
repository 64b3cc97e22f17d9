/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed texts are u32 count, then for each u32 length and its UTF-8; length TEXTS_ABSENT: undefined. */
#include "texts.h"

#include "op.h"
#include "text.h"

#define TEXTS_ABSENT UINT32_MAX

static bool texts_pack(JSContext *ctx, JSValueConst array, struct buffer *out)
{
    int64_t count = 0;
    if (JS_GetLength(ctx, array, &count) < 0)
        return false;
    buffer_add_u32(out, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        JSValue value = JS_GetPropertyUint32(ctx, array, i);
        if (JS_IsUndefined(value)) {
            buffer_add_u32(out, TEXTS_ABSENT);
            continue;
        }
        struct text text = text_of(ctx, value);
        JS_FreeValue(ctx, value);
        if (!text.at)
            return false;
        buffer_add_lstr(out, text.at, text.len);
        text_done(ctx, text);
    }
    if (out->is_failed)
        JS_ThrowOutOfMemory(ctx);
    return !out->is_failed;
}

static JSValue texts_unpack(JSContext *ctx, struct reader in)
{
    uint32_t count = reader_u32(&in);
    if (in.is_bad)
        return JS_UNDEFINED;
    JSValue array = JS_NewArray(ctx);
    for (uint32_t i = 0; i < count && !in.is_bad && !JS_IsException(array); i++) {
        struct text text = reader_lstr(&in);
        JSValue value = JS_NewStringLen(ctx, text.at, text.len);
        if (JS_IsException(value) ||
            JS_DefinePropertyValueUint32(ctx, array, i, value, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, array);
            array = JS_EXCEPTION;
        }
    }
    return array;
}

JSValue texts_ask(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv, int magic)
{
    struct buffer in = {0};
    struct op_reply reply;
    int32_t what = 0;
    if (argc < 2 || JS_ToInt32(ctx, &what, argv[0]) < 0 || !texts_pack(ctx, argv[1], &in)) {
        buffer_done(&in);
        return JS_EXCEPTION;
    }
    struct op_url_pattern args = {.what = (uint32_t)what, .texts = op_bytes(in.data, in.len)};
    bool is_ok = op_ask(ctx, OP_URL_PATTERN, &args, &reply);
    buffer_done(&in);
    if (!is_ok)
        return JS_EXCEPTION;
    JSValue result = texts_unpack(ctx, reader_of(reply.data, reply.len));
    op_reply_done(&reply);
    return result;
}
