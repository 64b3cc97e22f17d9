/* SPDX-License-Identifier: Apache-2.0
 *
 * TextEncoder and TextDecoder: UTF-8, UTF-16LE and what the encoding standard calls windows-1252
 * (and all of Latin-1 and ASCII). */
#include <stdlib.h>

#include "engine.h"
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

enum decoder_kind { DECODER_UTF8, DECODER_UTF16LE, DECODER_LATIN1 };

struct decoder {
    uint8_t kind;
    bool is_fatal, is_bom_kept;
    bool is_streaming; /* the last call said that more comes */
    bool is_bom_done;  /* it has been looked for since the stream began */
    uint8_t held_len;  /* bytes of an unfinished character */
    uint8_t held[4];
};

static const struct {
    const char *label;
    enum decoder_kind kind;
} decoder_labels[] = {
    {"utf-8", DECODER_UTF8},
    {"utf8", DECODER_UTF8},
    {"unicode-1-1-utf-8", DECODER_UTF8},
    {"unicode11utf8", DECODER_UTF8},
    {"unicode20utf8", DECODER_UTF8},
    {"x-unicode20utf8", DECODER_UTF8},
    {"utf-16le", DECODER_UTF16LE},
    {"utf-16", DECODER_UTF16LE},
    {"ucs-2", DECODER_UTF16LE},
    {"csunicode", DECODER_UTF16LE},
    {"iso-10646-ucs-2", DECODER_UTF16LE},
    {"unicode", DECODER_UTF16LE},
    {"unicodefeff", DECODER_UTF16LE},
    {"latin1", DECODER_LATIN1},
    {"iso-8859-1", DECODER_LATIN1},
    {"iso8859-1", DECODER_LATIN1},
    {"iso88591", DECODER_LATIN1},
    {"iso_8859-1", DECODER_LATIN1},
    {"l1", DECODER_LATIN1},
    {"ascii", DECODER_LATIN1},
    {"us-ascii", DECODER_LATIN1},
    {"windows-1252", DECODER_LATIN1},
    {"cp1252", DECODER_LATIN1},
    {"x-cp1252", DECODER_LATIN1},
    {"ansi_x3.4-1968", DECODER_LATIN1},
    {"cp819", DECODER_LATIN1},
    {"ibm819", DECODER_LATIN1},
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

/* ASCII whitespace, as the Encoding standard has it. */
static bool decoder_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool decoder_set_label(JSContext *ctx, struct decoder *d, JSValueConst label)
{
    struct text raw = text_of(ctx, label);
    if (!raw.at)
        return false;
    struct text text = raw;
    while (text.len > 0 && decoder_is_space(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && decoder_is_space(text.at[text.len - 1]))
        text.len--;
    for (size_t i = 0; i < sizeof decoder_labels / sizeof *decoder_labels; i++)
        if (text_equal_nocase(text, decoder_labels[i].label)) {
            d->kind = decoder_labels[i].kind;
            text_done(ctx, raw);
            return true;
        }
    JS_ThrowRangeError(ctx, "TextDecoder knows utf-8, utf-16le and windows-1252, not '%.*s'",
                       (int)(raw.len < 40 ? raw.len : 40), raw.at);
    text_done(ctx, raw);
    return false;
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

static void decoder_finalize(JSRuntime *rt, JSValueConst value)
{
    js_free_rt(rt, JS_GetOpaque(value, decoder_class));
}

/* How many bytes at the end belong to a character that more bytes could complete. */
static uint32_t decoder_unfinished(const struct decoder *d, const uint8_t *at, uint32_t len)
{
    if (d->kind == DECODER_UTF16LE) {
        uint32_t odd = len & 1;
        uint32_t even = len - odd;
        bool has_high = even >= 2 && (at[even - 1] & 0xFC) == 0xD8;
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
        uint16_t c = (uint16_t)(at[2 * i] | at[2 * i + 1] << 8);
        bool is_high = (c & 0xFC00) == 0xD800, is_low = (c & 0xFC00) == 0xDC00;
        if (is_high && i + 1 < units && (at[2 * i + 3] & 0xFC) == 0xDC) {
            out[n++] = c;
            c = (uint16_t)(at[2 * i + 2] | at[2 * i + 3] << 8);
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
        } else if (d->kind == DECODER_UTF16LE && len >= 2 && at[0] == 0xFF && at[1] == 0xFE) {
            at += 2;
            len -= 2;
        }
    }
    d->is_bom_done = d->is_bom_done || len > 0;
    switch (d->kind) {
    case DECODER_UTF16LE:
        return decoder_utf16(ctx, d, at, len);
    case DECODER_LATIN1:
        return decoder_windows_1252(ctx, at, len);
    default:
        if (d->is_fatal && text_valid_prefix(at, len) != len)
            return decoder_fatal(ctx);
        return text_decode(ctx, at, len, true);
    }
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
    static const char *const names[] = {"utf-8", "utf-16le", "windows-1252"};
    const struct decoder *d = JS_GetOpaque2(ctx, this_value, decoder_class);
    if (!d)
        return JS_EXCEPTION;
    if (magic == DECODER_ENCODING)
        return JS_NewString(ctx, names[d->kind]);
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
