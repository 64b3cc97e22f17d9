/* SPDX-License-Identifier: Apache-2.0
 *
 * The object __limpet that guest/runtime is written against; README.md documents each member. Ops
 * that need nothing of their own here have theirs from native_op.c. */
#include <stdlib.h>

#include "builtin.h"
#include "engine.h"
#include "fetch.h"
#include "globals.h"
#include "module.h"
#include "native.h"
#include "op.h"
#include "scope.h"
#include "serialize.h"
#include "source.h"
#include "sql.h"
#include "subtle.h"
#include "text.h"
#include "texts.h"
#include "wasm.h"
#include "workflow.h"

static uint32_t native_u32(JSContext *ctx, int argc, JSValueConst *argv, int index)
{
    uint32_t value = 0;
    if (index < argc)
        JS_ToUint32(ctx, &value, argv[index]);
    return value;
}

struct native_bytes native_bytes(JSContext *ctx, JSValueConst value)
{
    struct native_bytes b = {.is_string = JS_IsString(value)};
    b.text = b.is_string ? text_of(ctx, value) : text_of_buffer(ctx, value);
    if (!b.text.at && !JS_HasException(ctx))
        JS_ThrowTypeError(ctx, "expected a string, an ArrayBuffer or a view on one");
    return b;
}

void native_bytes_done(JSContext *ctx, struct native_bytes b)
{
    if (b.is_string && b.text.at)
        text_done(ctx, b.text);
}

/* --- synchronous ops -----------------------------------------------------------------------------
 */

static JSValue native_log(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t level = native_u32(ctx, argc, argv, 0);
    struct text text = text_of(ctx, argc > 1 ? argv[1] : JS_UNDEFINED);
    if (!text.at)
        return JS_EXCEPTION;
    op_tell(OP_LOG, &(struct op_log){.level = level, .text = op_bytes(text.at, text.len)});
    text_done(ctx, text);
    return JS_UNDEFINED;
}

static JSValue native_clock(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    double now = 0;
    int32_t len = op_call(OP_CLOCK, &(struct op_clock){.which = native_u32(ctx, argc, argv, 0)},
                          &now, sizeof now);
    return len < 0 ? op_throw(ctx, len) : JS_NewNumber(ctx, now);
}

static JSValue native_env_get(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    struct text name = text_of(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!name.at)
        return JS_EXCEPTION;
    bool is_ok =
        op_ask(ctx, OP_ENV_GET, &(struct op_env_get){.name = op_bytes(name.at, name.len)}, &reply);
    text_done(ctx, name);
    if (!is_ok)
        return JS_EXCEPTION;
    struct reader in = reader_of(reply.data, reply.len);
    enum { NONE = 0, BINDING = 4 };
    JSValue value = JS_UNDEFINED;
    uint32_t kind = reader_u32(&in);
    if (kind != NONE && kind != BINDING)
        value = text_decode(ctx, in.at, (uint32_t)(in.end - in.at), true);
    op_reply_done(&reply);
    return value;
}

/* An array of pairs from count × (lstr, lstr). */
static JSValue native_pairs(JSContext *ctx, struct reader *in,
                            JSValue (*decode)(JSContext *, struct text))
{
    JSValue pairs = JS_NewArray(ctx);
    uint32_t count = reader_u32(in);
    for (uint32_t i = 0; i < count && !in->is_bad && !JS_IsException(pairs); i++) {
        struct text name = reader_lstr(in), value = reader_lstr(in);
        JSValue pair = JS_NewArrayFrom(ctx, 2, (JSValue[]){decode(ctx, name), decode(ctx, value)});
        if (JS_DefinePropertyValueUint32(ctx, pairs, i, pair, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, pairs);
            return JS_EXCEPTION;
        }
    }
    return pairs;
}

static JSValue native_utf8(JSContext *ctx, struct text text)
{
    return text_decode(ctx, (const uint8_t *)text.at, text.len, true);
}

static JSValue native_latin1(JSContext *ctx, struct text text)
{
    return text_from_latin1(ctx, (const uint8_t *)text.at, text.len);
}

static JSValue native_env_list(JSContext *ctx, JSValueConst this_value, int argc,
                               JSValueConst *argv)
{
    struct op_reply reply;
    if (!op_ask(ctx, OP_ENV_LIST, &(struct op_env_list){}, &reply))
        return JS_EXCEPTION;
    struct reader in = reader_of(reply.data, reply.len);
    JSValue pairs = native_pairs(ctx, &in, native_utf8);
    op_reply_done(&reply);
    return pairs;
}

/* The record documented in README.md: ten offsets, query, fragment, origin (or its length, where href
 * begins with it), href, and room for two things of url.ts. */
static JSValue native_url_record(JSContext *ctx, bool is_ok, struct op_reply *reply)
{
    if (!is_ok) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        return JS_UNDEFINED;
    }
    struct reader in = reader_of(reply->data, reply->len);
    JSValue values[16];
    for (int i = 0; i < 12; i++)
        values[i] = JS_NewInt32(ctx, reader_i32(&in));
    struct text origin = reader_lstr(&in), href = reader_lstr(&in);
    bool is_front = origin.len <= href.len && memcmp(origin.at, href.at, origin.len) == 0;
    values[12] = is_front ? JS_NewInt32(ctx, (int32_t)origin.len) : native_utf8(ctx, origin);
    values[13] = native_utf8(ctx, href);
    values[14] = JS_UNDEFINED;
    values[15] = JS_FALSE;
    op_reply_done(reply);
    return JS_NewArrayFrom(ctx, 16, values);
}

static JSValue native_url_parse(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    struct op_reply reply;
    bool has_base = argc > 1 && !JS_IsUndefined(argv[1]);
    struct text input = text_of(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    struct text base = has_base ? text_of(ctx, argv[1]) : (struct text){.at = ""};
    JSValue record = JS_EXCEPTION;
    if (input.at && base.at) {
        struct op_url_parse args = {.input = op_bytes(input.at, input.len),
                                    .base = op_bytes(base.at, base.len)};
        record = native_url_record(ctx, op_ask(ctx, OP_URL_PARSE, &args, &reply), &reply);
    }
    if (input.at)
        text_done(ctx, input);
    if (has_base && base.at)
        text_done(ctx, base);
    return record;
}

static JSValue native_url_set(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    if (argc < 3)
        return JS_ThrowTypeError(ctx, "urlSet needs href, part and value");
    struct text href = text_of(ctx, argv[0]), value = text_of(ctx, argv[2]);
    JSValue record = JS_EXCEPTION;
    if (href.at && value.at) {
        struct op_url_set args = {.href = op_bytes(href.at, href.len),
                                  .part = native_u32(ctx, argc, argv, 1),
                                  .value = op_bytes(value.at, value.len)};
        record = native_url_record(ctx, op_ask(ctx, OP_URL_SET, &args, &reply), &reply);
    }
    if (href.at)
        text_done(ctx, href);
    if (value.at)
        text_done(ctx, value);
    return record;
}

/* Gives a part of what is digested to the host, but for the last piece, which stays in *rest. */
static bool native_digest_part(JSContext *ctx, uint32_t algorithm, struct text part,
                               struct text *rest)
{
    if (part.len == 0)
        return true;
    for (;;) {
        struct op_reply reply;
        struct op_digest args = {
            .algorithm = algorithm, .data = op_bytes(rest->at, rest->len), .is_more = 1};
        if (rest->len > 0 && !op_ask(ctx, OP_DIGEST, &args, &reply))
            return false; /* without a result there is nothing to release */
        *rest = part;
        if (part.len <= ABI_PIECE_BYTES)
            return true;
        rest->len = ABI_PIECE_BYTES;
        part = (struct text){.at = part.at + rest->len, .len = part.len - rest->len};
    }
}

/* (algorithm, ...parts): of all parts as one. */
static JSValue native_digest(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_reply reply;
    uint32_t algorithm = native_u32(ctx, argc, argv, 0);
    struct text rest = {.at = ""};
    for (int i = 1; i < argc; i++) {
        struct text part = text_of_buffer(ctx, argv[i]);
        if (!part.at && !JS_HasException(ctx))
            JS_ThrowTypeError(ctx, "expected an ArrayBuffer or a view on one");
        if (!part.at || !native_digest_part(ctx, algorithm, part, &rest))
            return JS_EXCEPTION;
    }
    struct op_digest args = {.algorithm = algorithm, .data = op_bytes(rest.at, rest.len)};
    if (!op_ask(ctx, OP_DIGEST, &args, &reply))
        return JS_EXCEPTION;
    JSValue digest = JS_NewArrayBufferCopy(ctx, reply.data, reply.len);
    op_reply_done(&reply);
    return digest;
}

static JSValue native_codec_new(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    uint32_t codec = 0;
    struct op_codec_new args = {.format = native_u32(ctx, argc, argv, 0),
                                .decoder = native_u32(ctx, argc, argv, 1)};
    int32_t len = op_call(OP_CODEC_NEW, &args, &codec, sizeof codec);
    return len < 0 ? op_throw(ctx, len) : JS_NewUint32(ctx, codec);
}

/* codecSet(codec, Int32Array of pairs, dictionary) */
static JSValue native_codec_set(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    struct native_bytes settings = native_bytes(ctx, argc > 1 ? argv[1] : JS_UNDEFINED);
    if (!settings.text.at)
        return JS_EXCEPTION;
    struct native_bytes dictionary = native_bytes(ctx, argc > 2 ? argv[2] : JS_UNDEFINED);
    if (!dictionary.text.at) {
        native_bytes_done(ctx, settings);
        return JS_EXCEPTION;
    }
    struct op_codec_set args = {.codec = native_u32(ctx, argc, argv, 0),
                                .settings = op_bytes(settings.text.at, settings.text.len),
                                .dictionary = op_bytes(dictionary.text.at, dictionary.text.len)};
    int32_t len = op_call(OP_CODEC_SET, &args, NULL, 0);
    native_bytes_done(ctx, settings);
    native_bytes_done(ctx, dictionary);
    return len < 0 ? op_throw(ctx, len) : JS_UNDEFINED;
}

/* [bytes taken, is at its end, what came out or undefined] */
static JSValue native_codec_run(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    struct op_reply reply;
    struct native_bytes data = native_bytes(ctx, argc > 1 ? argv[1] : JS_UNDEFINED);
    if (!data.text.at)
        return JS_EXCEPTION;
    struct op_codec_run args = {.codec = native_u32(ctx, argc, argv, 0),
                                .data = op_bytes(data.text.at, data.text.len),
                                .is_last = native_u32(ctx, argc, argv, 2)};
    bool is_ok = op_ask(ctx, OP_CODEC_RUN, &args, &reply);
    native_bytes_done(ctx, data);
    if (!is_ok)
        return JS_EXCEPTION;
    struct reader in = reader_of(reply.data, reply.len);
    JSValue values[3] = {JS_NewUint32(ctx, reader_u32(&in)), JS_NewBool(ctx, reader_u32(&in) != 0)};
    values[2] =
        in.at < in.end ? JS_NewUint8ArrayCopy(ctx, in.at, (size_t)(in.end - in.at)) : JS_UNDEFINED;
    op_reply_done(&reply);
    return JS_NewArrayFrom(ctx, 3, values);
}

/* --- ops that the whole isolate waits for --------------------------------------------------------
 */

static bool native_pack_headers(JSContext *ctx, JSValueConst pairs, struct buffer *out)
{
    int64_t count = 0;
    if (!JS_IsUndefined(pairs) && JS_GetLength(ctx, pairs, &count) < 0)
        return false;
    buffer_add_u32(out, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        JSValue pair = JS_GetPropertyUint32(ctx, pairs, i);
        for (uint32_t k = 0; k < 2; k++) {
            JSValue value = JS_IsObject(pair) ? JS_GetPropertyUint32(ctx, pair, k) : JS_UNDEFINED;
            struct text text = text_bytestring(ctx, value, "a header");
            JS_FreeValue(ctx, value);
            if (!text.at) {
                JS_FreeValue(ctx, pair);
                return false;
            }
            uint32_t at = out->len + 4;
            buffer_add_lstr(out, text.at, text.len);
            for (uint32_t c = at; k == 0 && c < out->len; c++)
                if (out->data[c] >= 'A' && out->data[c] <= 'Z')
                    out->data[c] |= 0x20;
            text_done(ctx, text);
        }
        JS_FreeValue(ctx, pair);
    }
    if (out->is_failed)
        JS_ThrowOutOfMemory(ctx);
    return !out->is_failed;
}

/* Reads a source to its end while the isolate waits. */
static bool native_read_wait(JSContext *ctx, uint32_t source, struct buffer *out)
{
    for (;;) {
        struct op_reply reply;
        struct op_stream_read args = {.source = source, .len_max = 256 * 1024};
        if (!op_ask_wait(ctx, OP_STREAM_READ, &args, &reply))
            return false;
        uint32_t len = reply.len;
        buffer_add(out, reply.data, len);
        op_reply_done(&reply);
        if (out->is_failed) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        if (len == 0)
            return true;
    }
}

enum { FETCH_LENT = 4 }; /* of the flags: see src/host/ops.def */

/* *ret_lent: the op of a body that is still being sent; 0: it is not. */
static JSValue native_fetch_answer(JSContext *ctx, struct op_reply *reply, uint32_t *ret_lent)
{
    struct reader in = reader_of(reply->data, reply->len);
    struct buffer body = {0};
    uint32_t status = reader_u32(&in), source = reader_u32(&in), flags = reader_u32(&in);
    (void)reader_lstr(&in);
    struct text status_text = reader_lstr(&in);
    JSValue headers = native_pairs(ctx, &in, native_latin1);
    struct text inline_body = reader_lstr(&in);
    *ret_lent = flags & FETCH_LENT ? reader_u32(&in) : 0;
    buffer_add(&body, inline_body.at, inline_body.len);
    JSValue answer = JS_EXCEPTION;
    if (!JS_IsException(headers) && (source == 0 || native_read_wait(ctx, source, &body))) {
        JSValue values[4] = {
            JS_NewUint32(ctx, status), native_latin1(ctx, status_text), headers,
            JS_NewUint8ArrayCopy(ctx, body.data ? body.data : (const uint8_t *)"", body.len)};
        answer = JS_NewArrayFrom(ctx, 4, values);
    } else {
        JS_FreeValue(ctx, headers);
    }
    buffer_done(&body);
    return answer;
}

/* Sends and waits. A large body is lent; what the host still wants of it when the answer is here is
 * taken back, for it goes away then. */
static JSValue native_fetch_send(JSContext *ctx, const struct op_fetch *args)
{
    struct op_reply reply;
    uint32_t lent;
    if (!op_ask_wait(ctx, OP_FETCH, args, &reply))
        return JS_EXCEPTION;
    JSValue answer = native_fetch_answer(ctx, &reply, &lent);
    op_reply_done(&reply);
    if (lent)
        op_cancel(ctx, lent);
    return answer;
}

static JSValue native_fetch_wait(JSContext *ctx, JSValueConst this_value, int argc,
                                 JSValueConst *argv)
{
    if (argc < 2)
        return JS_ThrowTypeError(ctx, "fetchWait needs a method and a URL");
    struct text method = text_of(ctx, argv[0]), url = text_of(ctx, argv[1]);
    struct buffer headers = {0};
    bool has_body = argc > 3 && !JS_IsUndefined(argv[3]) && !JS_IsNull(argv[3]);
    struct native_bytes body = {.text.at = ""};
    if (has_body)
        body = native_bytes(ctx, argv[3]);
    JSValue answer = JS_EXCEPTION;
    if (method.at && url.at && body.text.at &&
        native_pack_headers(ctx, argc > 2 ? argv[2] : JS_UNDEFINED, &headers)) {
        enum abi_body in_memory =
            body.text.len > ABI_INLINE_BYTES ? ABI_BODY_LENT : ABI_BODY_INLINE;
        answer = native_fetch_send(ctx, &(struct op_fetch){
                                            .method = op_bytes(method.at, method.len),
                                            .url = op_bytes(url.at, url.len),
                                            .headers = op_bytes(headers.data, headers.len),
                                            .body_kind = has_body ? in_memory : ABI_BODY_NONE,
                                            .body = op_bytes(body.text.at, body.text.len),
                                        });
    }
    buffer_done(&headers);
    native_bytes_done(ctx, body);
    if (method.at)
        text_done(ctx, method);
    if (url.at)
        text_done(ctx, url);
    return answer;
}

static JSValue native_sleep_wait(JSContext *ctx, JSValueConst this_value, int argc,
                                 JSValueConst *argv)
{
    struct op_reply reply;
    struct op_timer args = {0};
    if (argc > 0 && JS_ToFloat64(ctx, &args.delay_ms, argv[0]) < 0)
        return JS_EXCEPTION;
    if (!op_ask_wait(ctx, OP_TIMER, &args, &reply))
        return JS_EXCEPTION;
    op_reply_done(&reply);
    return JS_UNDEFINED;
}

/* --- asynchronous ops ----------------------------------------------------------------------------
 */

static void native_timer_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                              const uint8_t *payload, uint32_t len)
{
    if (status)
        return; /* cancelled, or the whole execution is */
    JSValue result = JS_Call(ctx, op->values[0], JS_UNDEFINED, 0, NULL);
    if (JS_IsException(result)) {
        JSValue error = JS_GetException(ctx);
        engine_report_uncaught(ctx, "Uncaught ", error);
        JS_FreeValue(ctx, error);
    }
    JS_FreeValue(ctx, result);
}

static JSValue native_timer(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct op_timer args = {0};
    if (argc < 2 || !JS_IsFunction(ctx, argv[1]))
        return JS_ThrowTypeError(ctx, "timer needs a delay and a function");
    if (JS_ToFloat64(ctx, &args.delay_ms, argv[0]) < 0)
        return JS_EXCEPTION;
    struct op_pending *op = op_start(ctx, OP_TIMER, &args, native_timer_done);
    if (!op)
        return JS_EXCEPTION;
    op->values[0] = JS_DupValue(ctx, argv[1]);
    return JS_NewUint32(ctx, op->number);
}

static JSValue native_cancel(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    op_cancel(ctx, native_u32(ctx, argc, argv, 0));
    return JS_UNDEFINED;
}

static void native_read_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                             const uint8_t *payload, uint32_t len)
{
    if (status) {
        op_settle(ctx, op, true, source_error(ctx, op->extra, status, payload, len));
        return;
    }
    if (!len)
        source_over(ctx, op->extra);
    op_settle(ctx, op, false, len ? JS_NewUint8ArrayCopy(ctx, payload, len) : JS_UNDEFINED);
}

static JSValue native_stream_read(JSContext *ctx, JSValueConst this_value, int argc,
                                  JSValueConst *argv)
{
    return source_read_promise(ctx, native_u32(ctx, argc, argv, 0), native_u32(ctx, argc, argv, 1),
                               native_read_done);
}

static JSValue native_stream_write(JSContext *ctx, JSValueConst this_value, int argc,
                                   JSValueConst *argv)
{
    struct native_bytes data = native_bytes(ctx, argc > 1 ? argv[1] : JS_UNDEFINED);
    if (!data.text.at)
        return JS_EXCEPTION;
    struct op_stream_write args = {.sink = native_u32(ctx, argc, argv, 0),
                                   .data = op_bytes(data.text.at, data.text.len)};
    JSValue promise = op_start_promise(ctx, OP_STREAM_WRITE, &args, op_done_void, NULL);
    native_bytes_done(ctx, data);
    return promise;
}

static JSValue native_stream_end(JSContext *ctx, JSValueConst this_value, int argc,
                                 JSValueConst *argv)
{
    struct op_stream_end args = {.sink = native_u32(ctx, argc, argv, 0),
                                 .failed = native_u32(ctx, argc, argv, 1)};
    op_tell(OP_STREAM_END, &args);
    return JS_UNDEFINED;
}

static JSValue native_stream_close(JSContext *ctx, JSValueConst this_value, int argc,
                                   JSValueConst *argv)
{
    uint32_t source = native_u32(ctx, argc, argv, 0);
    op_tell(OP_STREAM_CLOSE, &(struct op_stream_close){.source = source});
    source_over(ctx, source);
    return JS_UNDEFINED;
}

/* --- helpers -------------------------------------------------------------------------------------
 */

/* The env object that handlers are given. */
static JSValue native_environment(JSContext *ctx, JSValueConst this_value, int argc,
                                  JSValueConst *argv)
{
    return JS_DupValue(ctx, eng.env);
}

static JSValue native_set_hooks(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    static const char *const names[] = {
#define X(name) #name,
        ENGINE_HOOKS(X)
#undef X
    };
    for (int i = 0; i < HOOK_COUNT_; i++) {
        JSValue hook = JS_GetPropertyStr(ctx, argc > 0 ? argv[0] : JS_UNDEFINED, names[i]);
        if (JS_IsException(hook))
            return hook;
        if (!JS_IsFunction(ctx, hook)) {
            JS_FreeValue(ctx, hook);
            continue;
        }
        JS_FreeValue(ctx, eng.hooks[i]);
        eng.hooks[i] = hook;
    }
    return JS_UNDEFINED;
}

static JSValue native_define_module(JSContext *ctx, JSValueConst this_value, int argc,
                                    JSValueConst *argv)
{
    if (argc < 2 || !(JS_IsObject(argv[1]) || JS_IsString(argv[1])))
        return JS_ThrowTypeError(ctx, "defineModule needs a name, and an object or a file's name");
    const char *name = JS_ToCString(ctx, argv[0]);
    bool is_ok = name && module_define(ctx, name, argv[1]);
    JS_FreeCString(ctx, name);
    return is_ok ? JS_UNDEFINED : JS_EXCEPTION;
}

static JSValue native_frame(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return JS_DupValue(ctx, eng.frame);
}

static JSValue native_set_frame(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    if (!scope_begin_frames(ctx))
        return JS_EXCEPTION;
    scope_set_frame(ctx, argc > 0 ? JS_DupValue(ctx, argv[0]) : JS_UNDEFINED);
    return JS_UNDEFINED;
}

/* fetchCache, fetchBucket: what they ask is said by the magic number. */
static JSValue native_fetch_host(JSContext *ctx, JSValueConst this_value, int argc,
                                 JSValueConst *argv, int scheme)
{
    struct text name = text_of(ctx, argc > 1 ? argv[1] : JS_UNDEFINED);
    JSValue promise = name.at ? fetch_host(ctx, argv[0], scheme, name) : JS_EXCEPTION;
    text_done(ctx, name);
    return promise;
}

static JSValue native_require(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    const char *name = JS_ToCString(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    JSValue value = name ? builtin_export(ctx, name, "default") : JS_EXCEPTION;
    JS_FreeCString(ctx, name);
    return value;
}

static JSValue native_lazy_globals(JSContext *ctx, JSValueConst this_value, int argc,
                                   JSValueConst *argv)
{
    if (argc < 1 || !globals_define_lazy(ctx, argv[0]))
        return JS_HasException(ctx) ? JS_EXCEPTION
                                    : JS_ThrowTypeError(ctx, "lazyGlobals needs an object");
    return JS_UNDEFINED;
}

static JSValue native_remove_globals(JSContext *ctx, JSValueConst this_value, int argc,
                                     JSValueConst *argv)
{
    JSValue global = JS_GetGlobalObject(ctx);
    for (int i = 0; i < argc; i++) {
        JSAtom atom = JS_ValueToAtom(ctx, argv[i]);
        JS_DeleteProperty(ctx, global, atom, 0);
        JS_FreeAtom(ctx, atom);
    }
    JS_FreeValue(ctx, global);
    return JS_UNDEFINED;
}

static JSValue native_info(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    const struct dispatch *d = eng.dispatch ? dispatch_find(eng.dispatch) : NULL;
    JSValue info = JS_NewObject(ctx);
    if (JS_IsException(info))
        return info;
    struct text function = d ? d->function : module_name();
    struct text execution = d ? d->execution : (struct text){.at = ""};
    JS_DefinePropertyValueStr(ctx, info, "functionName", native_utf8(ctx, function), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, info, "executionId", native_utf8(ctx, execution), JS_PROP_C_W_E);
    return info;
}

static JSValue native_report_error(JSContext *ctx, JSValueConst this_value, int argc,
                                   JSValueConst *argv)
{
    struct text prefix = text_of(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!prefix.at)
        return JS_EXCEPTION;
    engine_report_uncaught(ctx, prefix.at, argc > 1 ? argv[1] : JS_UNDEFINED);
    text_done(ctx, prefix);
    return JS_UNDEFINED;
}

static JSValue native_promise_state(JSContext *ctx, JSValueConst this_value, int argc,
                                    JSValueConst *argv)
{
    JSPromiseStateEnum state = argc > 0 ? JS_PromiseState(ctx, argv[0]) : JS_PROMISE_NOT_A_PROMISE;
    if (state == JS_PROMISE_NOT_A_PROMISE)
        return JS_UNDEFINED;
    JSValue values[2] = {JS_NewInt32(ctx, state), state == JS_PROMISE_PENDING
                                                      ? JS_UNDEFINED
                                                      : JS_PromiseResult(ctx, argv[0])};
    return JS_NewArrayFrom(ctx, 2, values);
}

static JSValue native_proxy_target(JSContext *ctx, JSValueConst this_value, int argc,
                                   JSValueConst *argv)
{
    if (argc < 1 || !JS_IsProxy(argv[0]))
        return JS_UNDEFINED;
    return JS_GetProxyTarget(ctx, argv[0]);
}

static JSValue native_utf8_encode(JSContext *ctx, JSValueConst this_value, int argc,
                                  JSValueConst *argv)
{
    struct text text = text_of(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!text.at)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text.at, text.len);
    text_done(ctx, text);
    return bytes;
}

static JSValue native_serialize(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv)
{
    uint8_t small[512];
    struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
    JSValue bytes = JS_EXCEPTION;
    if (serialize(ctx, argc > 0 ? argv[0] : JS_UNDEFINED, &out))
        bytes = JS_NewUint8ArrayCopy(ctx, out.data, out.len);
    buffer_done(&out);
    return bytes;
}

static JSValue native_deserialize(JSContext *ctx, JSValueConst this_value, int argc,
                                  JSValueConst *argv)
{
    struct native_bytes data = native_bytes(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!data.text.at)
        return JS_EXCEPTION;
    JSValue value = deserialize(ctx, (const uint8_t *)data.text.at, data.text.len);
    native_bytes_done(ctx, data);
    return value;
}

enum { DECODE_UTF8, DECODE_LATIN1 };

static JSValue native_decode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                             int magic)
{
    struct native_bytes data = native_bytes(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    if (!data.text.at)
        return JS_EXCEPTION;
    JSValue string =
        magic == DECODE_UTF8 ? native_utf8(ctx, data.text) : native_latin1(ctx, data.text);
    native_bytes_done(ctx, data);
    return string;
}

static const JSCFunctionListEntry native_members[] = {
    JS_CFUNC_DEF("log", 2, native_log),
    JS_CFUNC_DEF("clock", 1, native_clock),
    JS_CFUNC_DEF("envGet", 1, native_env_get),
    JS_CFUNC_DEF("envList", 0, native_env_list),
    JS_CFUNC_DEF("urlParse", 2, native_url_parse),
    JS_CFUNC_DEF("urlSet", 3, native_url_set),
    JS_CFUNC_DEF("digest", 2, native_digest),
    JS_CFUNC_MAGIC_DEF("urlPattern", 2, texts_ask, TEXTS_URL_PATTERN),
    JS_CFUNC_DEF("codecNew", 2, native_codec_new),
    JS_CFUNC_DEF("codecSet", 3, native_codec_set),
    JS_CFUNC_DEF("codecRun", 3, native_codec_run),
    JS_CFUNC_MAGIC_DEF("crypto", 8, subtle_crypto, false),
    JS_CFUNC_MAGIC_DEF("cryptoWait", 8, subtle_crypto, true),
    JS_CFUNC_DEF("cipher", 7, subtle_cipher),
    JS_CFUNC_DEF("equalBytes", 2, subtle_equal),
    JS_CFUNC_DEF("sqlExec", 2, sql_exec),
    JS_CFUNC_DEF("sqlPack", 2, sql_pack),
    JS_CFUNC_DEF("sqlUnpack", 1, sql_unpack),
    JS_CFUNC_DEF("sqlTransaction", 1, sql_transaction),
    JS_CFUNC_DEF("fetchWait", 4, native_fetch_wait),
    JS_CFUNC_DEF("sleepWait", 1, native_sleep_wait),
    JS_CFUNC_DEF("timer", 2, native_timer),
    JS_CFUNC_DEF("cancel", 1, native_cancel),
    JS_CFUNC_DEF("streamEnd", 2, native_stream_end),
    JS_CFUNC_DEF("streamRead", 2, native_stream_read),
    JS_CFUNC_DEF("streamWrite", 2, native_stream_write),
    JS_CFUNC_DEF("streamClose", 1, native_stream_close),
    JS_CFUNC_DEF("serviceFetch", 3, fetch_service),
    JS_CFUNC_DEF("step", 3, workflow_step),
    JS_CFUNC_DEF("sleep", 1, workflow_sleep),
    JS_CFUNC_DEF("eventWait", 3, workflow_event_wait),
    JS_CFUNC_DEF("waitOf", 1, workflow_wait_of),
    JS_CFUNC_DEF("withdraw", 2, workflow_withdraw),
    JS_CFUNC_DEF("childStart", 3, workflow_child_start),
    JS_CFUNC_DEF("childResult", 2, workflow_child_result),
    JS_CFUNC_DEF("childCancel", 1, workflow_child_cancel),
    JS_CFUNC_DEF("signal", 3, workflow_signal),
    JS_CFUNC_DEF("progress", 1, workflow_progress),
    JS_CFUNC_DEF("scope", 0, workflow_scope),
    JS_CFUNC_DEF("inScope", 2, workflow_in_scope),
    JS_CFUNC_DEF("environment", 0, native_environment),
    JS_CFUNC_DEF("waitUntil", 1, dispatch_wait),
    JS_CFUNC_DEF("setHooks", 1, native_set_hooks),
    JS_CFUNC_DEF("defineModule", 2, native_define_module),
    JS_CFUNC_DEF("frame", 0, native_frame),
    JS_CFUNC_DEF("setFrame", 1, native_set_frame),
    JS_CFUNC_MAGIC_DEF("fetchCache", 2, native_fetch_host, FETCH_CACHE),
    JS_CFUNC_MAGIC_DEF("fetchBucket", 2, native_fetch_host, FETCH_BUCKET),
    JS_CFUNC_DEF("require", 1, native_require),
    JS_CFUNC_DEF("lazyGlobals", 1, native_lazy_globals),
    JS_CFUNC_DEF("removeGlobals", 1, native_remove_globals),
    JS_CFUNC_DEF("info", 0, native_info),
    JS_CFUNC_DEF("reportError", 2, native_report_error),
    JS_CFUNC_DEF("promiseState", 1, native_promise_state),
    JS_CFUNC_DEF("proxyTarget", 1, native_proxy_target),
    JS_CFUNC_DEF("wasmSetup", 2, wasm_setup),
    JS_CFUNC_DEF("wasmCompile", 2, wasm_compile),
    JS_CFUNC_DEF("wasmFunction", 3, wasm_function),
    JS_CFUNC_DEF("wasmImport", 3, wasm_import),
    JS_CFUNC_DEF("wasmBuffer", 1, wasm_buffer),
    JS_CFUNC_DEF("wasmMoved", 0, wasm_moved),
    JS_CFUNC_DEF("wasmEncode", 2, wasm_encode),
    JS_CFUNC_DEF("wasmDecode", 2, wasm_decode),
    JS_CFUNC_DEF("serialize", 1, native_serialize),
    JS_CFUNC_DEF("deserialize", 1, native_deserialize),
    JS_CFUNC_DEF("utf8Encode", 1, native_utf8_encode),
    JS_CFUNC_MAGIC_DEF("utf8Decode", 1, native_decode, DECODE_UTF8),
    JS_CFUNC_MAGIC_DEF("latin1Decode", 1, native_decode, DECODE_LATIN1),
};

bool native_define(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx), native = JS_NewObject(ctx);
    bool is_ok =
        !JS_IsException(native) &&
        JS_SetPropertyFunctionList(ctx, native, native_members,
                                   sizeof native_members / sizeof *native_members) >= 0 &&
        native_define_ops(ctx, native) &&
        JS_DefinePropertyValueStr(ctx, global, "__limpet", native, JS_PROP_CONFIGURABLE) >= 0;
    JS_FreeValue(ctx, global);
    return is_ok;
}

void native_remove(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx);
    JSAtom atom = JS_NewAtom(ctx, "__limpet");
    JS_DeleteProperty(ctx, global, atom, 0);
    JS_FreeAtom(ctx, atom);
    JS_FreeValue(ctx, global);
}
