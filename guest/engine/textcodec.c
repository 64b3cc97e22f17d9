/* SPDX-License-Identifier: Apache-2.0
 *
 * TextEncoder and TextDecoder. UTF-8, UTF-16 and what the encoding standard calls windows-1252 (and all
 * of Latin-1 and ASCII) are decoded here; labels are looked up, and all else decoded, by the host. It
 * keeps a decoder only from a call with {stream: true} to the one that ends the text. */
#include <stdlib.h>

#include "engine.h"
#include "op.h"
#include "text.h"

static JSClassID encoder_class, decoder_class;

/* --- TextEncoder ---------------------------------------------------------------------------------
 */

static JSValue codec_construct(JSContext *ctx, JSValueConst new_target, JSClassID class)
{
    JSValue proto = JS_GetProperty(ctx, new_target, eng.atoms[ATOM_prototype]);
    if (JS_IsException(proto))
        return proto;
    JSValue object = JS_NewObjectProtoClass(ctx, proto, class);
    JS_FreeValue(ctx, proto);
    return object;
}

static JSValue encoder_construct(JSContext *ctx, JSValueConst new_target, int argc,
                                 JSValueConst *argv)
{
    return codec_construct(ctx, new_target, encoder_class);
}

static JSValue encoder_encode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    if (argc < 1 || JS_IsUndefined(argv[0]))
        return JS_NewUint8ArrayCopy(ctx, (const uint8_t *)"", 0);
    struct text text = text_of(ctx, argv[0]);
    if (!text.at)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text.at, text.len);
    text_done(ctx, text);
    return bytes;
}

static JSValue encoder_encode_into(JSContext *ctx, JSValueConst this_value, int argc,
                                   JSValueConst *argv)
{
    if (argc < 2 || JS_GetTypedArrayType(argv[1]) != JS_TYPED_ARRAY_UINT8)
        return JS_ThrowTypeError(ctx, "encodeInto needs a string and a Uint8Array");
    struct text text = text_of(ctx, argv[0]);
    if (!text.at)
        return JS_EXCEPTION;
    struct text room = text_of_buffer(ctx, argv[1]);
    uint32_t written = 0, read = 0;
    while (written < text.len) {
        uint8_t c = (uint8_t)text.at[written];
        uint32_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        if (written + n > room.len)
            break;
        written += n;
        read += n == 4 ? 2 : 1;
    }
    memcpy((char *)room.at, text.at, written);
    text_done(ctx, text);
    JSValue result = JS_NewObject(ctx);
    JS_DefinePropertyValueStr(ctx, result, "read", JS_NewUint32(ctx, read), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, result, "written", JS_NewUint32(ctx, written), JS_PROP_C_W_E);
    return result;
}

static const JSCFunctionListEntry encoder_methods[] = {
    JS_CFUNC_DEF("encode", 0, encoder_encode),
    JS_CFUNC_DEF("encodeInto", 2, encoder_encode_into),
    JS_PROP_STRING_DEF("encoding", "utf-8", JS_PROP_CONFIGURABLE),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "TextEncoder", JS_PROP_CONFIGURABLE),
};

/* --- TextDecoder ---------------------------------------------------------------------------------
 */

enum decoder_kind {
    DECODER_UTF8,
    DECODER_UTF16LE,
    DECODER_UTF16BE,
    DECODER_LATIN1,
    DECODER_HOST, /* op TEXT_DECODER */
};

enum { DECODER_NAME_ROOM = 24 };

struct decoder {
    uint8_t kind;
    bool is_fatal, is_bom_kept;
    bool is_streaming; /* the last call said that more comes */
    bool is_bom_done;  /* it has been looked for since the stream began */
    uint8_t held_len;  /* bytes of an unfinished character */
    uint8_t held[4];
    uint32_t codec; /* the host's, of the text that has begun; 0: none */
    char name[DECODER_NAME_ROOM];
};

/* Bytes 0x80 to 0x9F of windows-1252. */
static const uint16_t windows_1252[32] = {
    0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
    0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178,
};

static bool decoder_option(JSContext *ctx, JSValueConst options, const char *name, bool *ret_value)
{
    JSValue value = JS_GetPropertyStr(ctx, options, name);
    if (JS_IsException(value))
        return false;
    *ret_value = JS_ToBool(ctx, value) > 0;
    JS_FreeValue(ctx, value);
    return true;
}

static void decoder_set_kind(struct decoder *d, const char *name, uint32_t len)
{
    static const char *const own[] = {"utf-8", "utf-16le", "utf-16be", "windows-1252"};
    for (uint32_t i = 0; i < len; i++)
        d->name[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    d->name[len] = 0;
    d->kind = DECODER_UTF8;
    while (d->kind < DECODER_HOST && strcmp(d->name, own[d->kind]) != 0)
        d->kind++;
}

static bool decoder_set_label(JSContext *ctx, struct decoder *d, JSValueConst label)
{
    struct op_reply reply;
    struct text text = text_of(ctx, label);
    if (!text.at)
        return false;
    if (text_equal_nocase(text, "utf-8") || text_equal_nocase(text, "utf8")) {
        text_done(ctx, text);
        return true;
    }
    struct op_text_encoding args = {.label = op_bytes(text.at, text.len)};
    bool is_found = text.len <= 64 && op_ask(ctx, OP_TEXT_ENCODING, &args, &reply);
    if (is_found) {
        if (reply.len < DECODER_NAME_ROOM)
            decoder_set_kind(d, (const char *)reply.data, reply.len);
        op_reply_done(&reply);
    } else {
        JS_FreeValue(ctx, JS_GetException(ctx));
        JS_ThrowRangeError(ctx, "TextDecoder: no encoding has the label '%.*s'",
                           (int)(text.len < 40 ? text.len : 40), text.at);
    }
    text_done(ctx, text);
    return is_found;
}

static JSValue decoder_construct(JSContext *ctx, JSValueConst new_target, int argc,
                                 JSValueConst *argv)
{
    JSValue object = codec_construct(ctx, new_target, decoder_class);
    if (JS_IsException(object))
        return object;
    struct decoder *d = js_mallocz(ctx, sizeof *d);
    if (d)
        JS_SetOpaque(object, d);
    bool is_ok = d != NULL;
    if (is_ok)
        decoder_set_kind(d, "utf-8", 5);
    if (is_ok && argc > 0 && !JS_IsUndefined(argv[0]))
        is_ok = decoder_set_label(ctx, d, argv[0]);
    if (is_ok && argc > 1 && JS_IsObject(argv[1]))
        is_ok = decoder_option(ctx, argv[1], "fatal", &d->is_fatal) &&
                decoder_option(ctx, argv[1], "ignoreBOM", &d->is_bom_kept);
    if (is_ok)
        return object;
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

/* Gives up what the host has of it. */
static void decoder_end(struct decoder *d)
{
    if (d->codec)
        op_tell(OP_CODEC_END, &(struct op_codec_end){.codec = d->codec});
    d->codec = 0;
}

static void decoder_finalize(JSRuntime *rt, JSValueConst value)
{
    struct decoder *d = JS_GetOpaque(value, decoder_class);
    if (d)
        decoder_end(d);
    js_free_rt(rt, d);
}

static bool decoder_is_utf16(const struct decoder *d)
{
    return d->kind == DECODER_UTF16LE || d->kind == DECODER_UTF16BE;
}

static uint16_t decoder_unit(const struct decoder *d, const uint8_t *at)
{
    return (uint16_t)(d->kind == DECODER_UTF16LE ? at[0] | at[1] << 8 : at[1] | at[0] << 8);
}

/* How many bytes at the end belong to a character that more bytes could complete. */
static uint32_t decoder_unfinished(const struct decoder *d, const uint8_t *at, uint32_t len)
{
    if (decoder_is_utf16(d)) {
        uint32_t odd = len & 1;
        uint32_t even = len - odd;
        bool has_high = even >= 2 && (decoder_unit(d, at + even - 2) & 0xFC00) == 0xD800;
        return odd + (has_high ? 2 : 0);
    }
    if (d->kind == DECODER_UTF8) {
        for (uint32_t n = 1; n <= 3 && n <= len; n++) {
            uint8_t c = at[len - n];
            if (c < 0x80)
                return 0;
            if (c >= 0xC0) {
                uint8_t tail[4] = {0x80, 0x80, 0x80, 0x80};
                uint32_t need = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
                memcpy(tail, at + len - n, n);
                if (n >= 2 || c > 0xF4 || c < 0xC2)
                    return need > n && c <= 0xF4 && c >= 0xC2 &&
                                   text_valid_prefix(tail, need) == need
                               ? n
                               : 0;
                return need > n ? n : 0;
            }
        }
    }
    return 0;
}

static JSValue decoder_fatal(JSContext *ctx)
{
    return JS_ThrowTypeError(ctx, "the encoded data was not valid");
}

static JSValue decoder_utf16(JSContext *ctx, const struct decoder *d, const uint8_t *at,
                             uint32_t len)
{
    uint32_t units = len / 2, n = 0;
    uint16_t *out = malloc((units + 2) * sizeof *out);
    if (!out)
        return JS_ThrowOutOfMemory(ctx);
    bool is_bad = false, is_wide = false;
    for (uint32_t i = 0; i < units; i++) {
        uint16_t c = decoder_unit(d, at + 2 * i);
        bool is_high = (c & 0xFC00) == 0xD800, is_low = (c & 0xFC00) == 0xDC00;
        uint16_t next = is_high && i + 1 < units ? decoder_unit(d, at + 2 * i + 2) : 0;
        if ((next & 0xFC00) == 0xDC00) {
            out[n++] = c;
            c = next;
            i++;
        } else if (is_high || is_low) {
            c = 0xFFFD;
            is_bad = true;
        }
        is_wide |= c > 255;
        out[n++] = c;
    }
    if (len & 1) {
        out[n++] = 0xFFFD;
        is_wide = is_bad = true;
    }
    JSValue string;
    if (is_bad && d->is_fatal) {
        string = decoder_fatal(ctx);
    } else if (is_wide) {
        string = JS_NewStringUTF16(ctx, out, n);
    } else { /* QuickJS wants strings without wide characters narrow */
        uint8_t *narrow = (uint8_t *)out;
        for (uint32_t i = 0; i < n; i++)
            narrow[i] = (uint8_t)out[i];
        string = text_from_latin1(ctx, narrow, n);
    }
    free(out);
    return string;
}

static JSValue decoder_windows_1252(JSContext *ctx, const uint8_t *at, uint32_t len)
{
    struct buffer out = {0};
    if (text_is_ascii(at, len))
        return JS_NewStringLen(ctx, (const char *)at, len);
    for (uint32_t i = 0; i < len; i++) {
        uint32_t c = at[i] >= 0x80 && at[i] <= 0x9F ? windows_1252[at[i] - 0x80] : at[i];
        if (c < 0x80) {
            buffer_add_u8(&out, (uint8_t)c);
        } else if (c < 0x800) {
            buffer_add_u8(&out, (uint8_t)(0xC0 | c >> 6));
            buffer_add_u8(&out, (uint8_t)(0x80 | (c & 0x3F)));
        } else {
            buffer_add_u8(&out, (uint8_t)(0xE0 | c >> 12));
            buffer_add_u8(&out, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
            buffer_add_u8(&out, (uint8_t)(0x80 | (c & 0x3F)));
        }
    }
    JSValue string = out.is_failed ? JS_ThrowOutOfMemory(ctx)
                                   : JS_NewStringLen(ctx, (const char *)out.data, out.len);
    buffer_done(&out);
    return string;
}

/* Decodes whole characters (or, at the end of a stream, whatever is there). */
static JSValue decoder_bytes(JSContext *ctx, struct decoder *d, const uint8_t *at, uint32_t len)
{
    if (!d->is_bom_done && !d->is_bom_kept && len > 0) {
        if (d->kind == DECODER_UTF8 && len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) {
            at += 3;
            len -= 3;
        } else if (decoder_is_utf16(d) && len >= 2 && decoder_unit(d, at) == 0xFEFF) {
            at += 2;
            len -= 2;
        }
    }
    d->is_bom_done = d->is_bom_done || len > 0;
    switch (d->kind) {
    case DECODER_UTF16LE:
    case DECODER_UTF16BE:
        return decoder_utf16(ctx, d, at, len);
    case DECODER_LATIN1:
        return decoder_windows_1252(ctx, at, len);
    default:
        if (d->is_fatal && text_valid_prefix(at, len) != len)
            return decoder_fatal(ctx);
        return text_decode(ctx, at, len, true);
    }
}

/* One piece through the host's decoder; how much it took, -1: an exception is pending. */
static int32_t decoder_host_piece(JSContext *ctx, const struct decoder *d, const uint8_t *at,
                                  uint32_t len, bool is_last, struct buffer *out, bool *ret_is_full)
{
    enum { HEAD_BYTES = 8 };
    struct op_reply reply;
    struct op_codec_run args = {.codec = d->codec, .data = op_bytes(at, len), .is_last = is_last};
    if (!op_ask(ctx, OP_CODEC_RUN, &args, &reply))
        return -1;
    struct reader in = reader_of(reply.data, reply.len);
    uint32_t taken = reader_u32(&in), is_over = reader_u32(&in);
    *ret_is_full = taken < len || (is_last && !is_over);
    buffer_add(out, reply.data + HEAD_BYTES, reply.len - HEAD_BYTES);
    op_reply_done(&reply);
    return (int32_t)taken;
}

static JSValue decoder_host(JSContext *ctx, struct decoder *d, const uint8_t *at, uint32_t len,
                            bool is_streaming)
{
    struct buffer out = {0};
    bool is_full = false;
    if (!d->codec) {
        struct op_text_decoder args = {.label = op_bytes(d->name, (uint32_t)strlen(d->name)),
                                       .fatal = d->is_fatal};
        int32_t got = op_call(OP_TEXT_DECODER, &args, &d->codec, sizeof d->codec);
        if (got < 0)
            return op_throw(ctx, got);
    }
    do {
        uint32_t piece = len < ABI_CODEC_BYTES ? len : ABI_CODEC_BYTES;
        int32_t taken =
            decoder_host_piece(ctx, d, at, piece, !is_streaming && piece == len, &out, &is_full);
        if (taken < 0) {
            d->codec = 0; /* the host has given it up */
            buffer_done(&out);
            return JS_EXCEPTION;
        }
        at += taken;
        len -= (uint32_t)taken;
    } while (!out.is_failed && (len > 0 || is_full));
    if (!is_streaming || out.is_failed)
        decoder_end(d);
    JSValue string = out.is_failed ? JS_ThrowOutOfMemory(ctx)
                                   : JS_NewStringLen(ctx, (const char *)out.data, out.len);
    buffer_done(&out);
    return string;
}

static JSValue decoder_decode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct decoder *d = JS_GetOpaque2(ctx, this_value, decoder_class);
    bool is_streaming = false;
    if (!d)
        return JS_EXCEPTION;
    if (argc > 1 && JS_IsObject(argv[1]) && !decoder_option(ctx, argv[1], "stream", &is_streaming))
        return JS_EXCEPTION;
    struct text input = {.at = "", .len = 0};
    if (argc > 0 && !JS_IsUndefined(argv[0])) {
        input = text_of_buffer(ctx, argv[0]);
        if (!input.at)
            return JS_HasException(ctx)
                       ? JS_EXCEPTION
                       : JS_ThrowTypeError(ctx, "decode needs an ArrayBuffer or a view on one");
    }
    if (!d->is_streaming) {
        d->is_bom_done = false;
        d->held_len = 0;
    }
    const uint8_t *at = (const uint8_t *)input.at;
    uint32_t len = input.len;
    if (d->kind == DECODER_HOST) {
        d->is_streaming = is_streaming;
        return decoder_host(ctx, d, at, len, is_streaming);
    }
    struct buffer joined = {0};
    if (d->held_len > 0) {
        buffer_add(&joined, d->held, d->held_len);
        buffer_add(&joined, at, len);
        if (joined.is_failed) {
            buffer_done(&joined);
            return JS_ThrowOutOfMemory(ctx);
        }
        at = joined.data;
        len = joined.len;
        d->held_len = 0;
    }
    d->is_streaming = is_streaming;
    if (is_streaming) {
        uint32_t held = decoder_unfinished(d, at, len);
        len -= held;
        memcpy(d->held, at + len, held);
        d->held_len = (uint8_t)held;
    }
    JSValue string = decoder_bytes(ctx, d, at, len);
    buffer_done(&joined);
    return string;
}

enum { DECODER_ENCODING, DECODER_FATAL, DECODER_IGNORE_BOM };

static JSValue decoder_get(JSContext *ctx, JSValueConst this_value, int magic)
{
    const struct decoder *d = JS_GetOpaque2(ctx, this_value, decoder_class);
    if (!d)
        return JS_EXCEPTION;
    if (magic == DECODER_ENCODING)
        return JS_NewString(ctx, d->name);
    return JS_NewBool(ctx, magic == DECODER_FATAL ? d->is_fatal : d->is_bom_kept);
}

static const JSCFunctionListEntry decoder_methods[] = {
    JS_CFUNC_DEF("decode", 0, decoder_decode),
    JS_CGETSET_MAGIC_DEF("encoding", decoder_get, NULL, DECODER_ENCODING),
    JS_CGETSET_MAGIC_DEF("fatal", decoder_get, NULL, DECODER_FATAL),
    JS_CGETSET_MAGIC_DEF("ignoreBOM", decoder_get, NULL, DECODER_IGNORE_BOM),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "TextDecoder", JS_PROP_CONFIGURABLE),
};

/* --- queueMicrotask ------------------------------------------------------------------------------
 */

static JSValue microtask_job(JSContext *ctx, int argc, JSValueConst *argv)
{
    return JS_Call(ctx, argv[0], JS_UNDEFINED, 0, NULL);
}

static JSValue microtask_queue(JSContext *ctx, JSValueConst this_value, int argc,
                               JSValueConst *argv)
{
    if (argc < 1 || !JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "queueMicrotask needs a function");
    return JS_EnqueueJob(ctx, microtask_job, 1, argv) < 0 ? JS_EXCEPTION : JS_UNDEFINED;
}

bool textcodec_init(JSContext *ctx)
{
    static const JSClassDef encoder = {.class_name = "TextEncoder"};
    static const JSClassDef decoder = {.class_name = "TextDecoder", .finalizer = decoder_finalize};
    JSValue global = JS_GetGlobalObject(ctx);
    int failed =
        JS_DefinePropertyValueStr(ctx, global, "queueMicrotask",
                                  JS_NewCFunction(ctx, microtask_queue, "queueMicrotask", 1),
                                  JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) < 0;
    JS_FreeValue(ctx, global);
    return !failed &&
           engine_class(ctx, &encoder_class, &encoder, encoder_construct, 0, encoder_methods,
                        sizeof encoder_methods / sizeof *encoder_methods) &&
           engine_class(ctx, &decoder_class, &decoder, decoder_construct, 0, decoder_methods,
                        sizeof decoder_methods / sizeof *decoder_methods);
}
