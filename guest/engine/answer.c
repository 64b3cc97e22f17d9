/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdlib.h>

#include "engine.h"
#include "json.h"
#include "op.h"
#include "response.h"
#include "text.h"

void answer_fail(JSContext *ctx, struct dispatch *d)
{
    if (d->is_answered) { /* too late for the client: a streamed answer broke */
        JSValue error = JS_GetException(ctx);
        engine_report(ctx, "Uncaught after the answer began: ", error);
        JS_FreeValue(ctx, error);
        return;
    }
    d->is_answered = true;
    engine_fail(ctx, d->number);
}

/* False: exception; the host did not take it (it is too large, say). */
static bool answer_text(JSContext *ctx, struct dispatch *d, struct text json)
{
    struct op_respond_value args = {.dispatch = d->number, .json = op_bytes(json.at, json.len)};
    uint8_t ignored[4];
    int32_t len = op_call(OP_RESPOND_VALUE, &args, ignored, sizeof ignored);
    if (len < 0) {
        op_throw(ctx, len);
        return false;
    }
    d->is_answered = true;
    return true;
}

static void answer_given_back(JSContext *ctx, struct op_pending *op, uint32_t status,
                              const uint8_t *payload, uint32_t len)
{
    struct dispatch *d = dispatch_find(op->dispatch);
    if (d)
        d->reads--;
}

/* Keeps what was lent to the host until the op says that it has left. */
static void answer_keep(JSContext *ctx, struct dispatch *d, uint32_t number, JSValue kept)
{
    if (number == 0) {
        JS_FreeValue(ctx, kept);
        return;
    }
    struct op_pending *op = op_expect(ctx, number, answer_given_back);
    if (!op) { /* without memory for it, the bytes stay for good: they are being read */
        JS_FreeValue(ctx, JS_GetException(ctx));
        return;
    }
    op->dispatch = d->number;
    op->values[OP_VALUE_OWN] = kept;
    d->reads++;
}

/* Sends a response head, with a body in memory or none. A lent one is kept by `kept`, which is consumed.
 * False: exception. */
static bool answer_head(JSContext *ctx, struct dispatch *d, const struct response *r,
                        enum abi_body body_kind, struct text body, uint32_t source, JSValue kept)
{
    struct text packed = message_packed(&r->message), reason = {.at = ""};
    bool has_reason = JS_IsString(r->status_text);
    if (has_reason) {
        reason = text_bytestring(ctx, r->status_text, "statusText");
        if (!reason.at) {
            JS_FreeValue(ctx, kept);
            return false;
        }
    }
    struct op_respond args = {
        .dispatch = d->number,
        .status = r->status,
        .headers = op_bytes(packed.at, packed.len),
        .body_kind = body_kind,
        .body = op_bytes(body.at, body.len),
        .source = source,
        .reason = op_bytes(reason.at, reason.len),
    };
    uint32_t ret[2] = {0}; /* sink, op of what is lent */
    int32_t len = op_call(OP_RESPOND, &args, ret, sizeof ret);
    if (has_reason)
        text_done(ctx, reason);
    if (len < 0) {
        JS_FreeValue(ctx, kept);
        op_throw(ctx, len);
        return false;
    }
    d->is_answered = true;
    d->sink = ret[0];
    answer_keep(ctx, d, ret[1], kept);
    return true;
}

static bool answer_stream(JSContext *ctx, struct dispatch *d, struct response *r)
{
    struct body *body = &r->message.body;
    uint32_t source = body_take_source(ctx, body);
    if (source)
        return answer_head(ctx, d, r, ABI_BODY_NONE, (struct text){.at = ""}, source, JS_UNDEFINED);
    if (!answer_head(ctx, d, r, ABI_BODY_STREAM, (struct text){.at = ""}, 0, JS_UNDEFINED))
        return false;
    JSValue args[2] = {body->value, JS_NewUint32(ctx, d->sink)};
    d->writing = engine_hook(ctx, HOOK_streamToSink, 2, args);
    if (JS_IsException(d->writing)) {
        d->writing = JS_UNDEFINED;
        op_tell(OP_STREAM_END, &(struct op_stream_end){.sink = d->sink, .failed = 1});
        return false;
    }
    JS_PromiseMarkAsHandled(ctx, d->writing);
    return true;
}

static bool answer_flat(JSContext *ctx, struct dispatch *d, struct response *r)
{
    struct body *body = &r->message.body;
    struct text flat = body_flat(ctx, body);
    if (!flat.at)
        return false;
    if (flat.len > ABI_INLINE_BYTES) {
        JSValue kept = body_lend(ctx, body, &flat);
        if (!JS_IsException(kept))
            return answer_head(ctx, d, r, ABI_BODY_LENT, flat, 0, kept);
        body_flat_done(ctx, body, flat);
        return false;
    }
    enum abi_body kind = body->kind == BODY_NONE ? ABI_BODY_NONE : ABI_BODY_INLINE;
    bool is_ok = answer_head(ctx, d, r, kind, flat, 0, JS_UNDEFINED);
    body_flat_done(ctx, body, flat);
    return is_ok;
}

/* The runtime answers, and gives a promise of the socket's end, which the dispatch waits for. */
static bool answer_socket(JSContext *ctx, struct dispatch *d, struct response *r)
{
    struct text packed = message_packed(&r->message);
    JSValue args[3] = {r->web_socket, JS_NewUint32(ctx, d->number),
                       JS_NewUint8ArrayCopy(ctx, (const uint8_t *)packed.at, packed.len)};
    JSValue over =
        JS_IsException(args[2]) ? JS_EXCEPTION : engine_hook(ctx, HOOK_socketRespond, 3, args);
    JS_FreeValue(ctx, args[2]);
    if (JS_IsException(over))
        return false;
    d->is_answered = true;
    bool is_ok = dispatch_wait_for(ctx, d, over);
    JS_FreeValue(ctx, over);
    return is_ok;
}

static bool answer_http(JSContext *ctx, struct dispatch *d, struct response *r)
{
    struct body *body = &r->message.body;
    if (!JS_IsUndefined(r->web_socket))
        return answer_socket(ctx, d, r);
    if (r->status == 0) {
        JS_ThrowTypeError(ctx, "the handler returned Response.error()");
        return false;
    }
    if (body_is_unusable(ctx, body)) {
        JS_ThrowTypeError(
            ctx, "the body of the response returned has been read already; return a clone()");
        return false;
    }
    bool is_ok = body->kind == BODY_SOURCE || body->kind == BODY_STREAM ? answer_stream(ctx, d, r)
                                                                        : answer_flat(ctx, d, r);
    body->is_used = true;
    return is_ok;
}

/* The message of an answer that is an error: of {"error": {"message": …}} or {"error": …}, else the
 * status and the start of the text. A string, or JS_EXCEPTION. */
static JSValue answer_error_message(JSContext *ctx, uint32_t status, struct text bytes)
{
    enum { TEXT_MAX = 500 };
    JSValue value = json_parse(ctx, (const uint8_t *)bytes.at, bytes.len), message = JS_UNDEFINED;
    if (JS_IsObject(value)) {
        JSValue error = JS_GetPropertyStr(ctx, value, "error");
        message = JS_IsObject(error) ? JS_GetProperty(ctx, error, eng.atoms[ATOM_message])
                                     : JS_DupValue(ctx, error);
        JS_FreeValue(ctx, error);
    }
    JS_FreeValue(ctx, value);
    if (JS_HasException(ctx))
        JS_FreeValue(ctx, JS_GetException(ctx));
    if (JS_IsString(message))
        return message;
    JS_FreeValue(ctx, message);
    struct buffer text = {0};
    const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                           (char)('0' + status % 10)};
    buffer_add(&text, "the handler answered with status ", 33);
    buffer_add(&text, digits, sizeof digits);
    if (bytes.len > 0) {
        buffer_add(&text, ": ", 2);
        buffer_add(&text, bytes.at, bytes.len < TEXT_MAX ? bytes.len : TEXT_MAX);
    }
    message =
        text.is_failed ? JS_ThrowOutOfMemory(ctx) : text_decode(ctx, text.data, text.len, false);
    buffer_done(&text);
    return message;
}

static void answer_throw(JSContext *ctx, uint32_t status, struct text bytes)
{
    JSValue message = answer_error_message(ctx, status, bytes);
    JSValue error = JS_IsException(message) ? JS_EXCEPTION : JS_NewError(ctx);
    if (JS_IsException(error)) {
        JS_FreeValue(ctx, message);
        return;
    }
    JS_DefinePropertyValue(ctx, error, eng.atoms[ATOM_message], message,
                           JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_Throw(ctx, error);
}

/* The output of an execution that answered with these bytes: JSON as it is, else a JSON string. An
 * answer with an error's status is a failure. */
static bool answer_bytes(JSContext *ctx, struct dispatch *d, uint32_t status, struct text bytes,
                         bool is_json, bool may_be_json)
{
    if (status >= 400) {
        answer_throw(ctx, status, bytes);
        return false;
    }
    if (is_json) {
        return answer_text(ctx, d, bytes);
    }
    JSValue value = JS_UNDEFINED;
    if (may_be_json) {
        value = json_parse(ctx, (const uint8_t *)bytes.at, bytes.len);
        if (JS_IsException(value)) {
            JS_FreeValue(ctx, JS_GetException(ctx));
            value = JS_UNDEFINED;
        }
    }
    if (JS_IsUndefined(value))
        value = text_decode(ctx, (const uint8_t *)bytes.at, bytes.len, false);
    struct buffer out = {0};
    bool is_ok = !JS_IsException(value) && json_write(ctx, value, &out) == JSON_WRITTEN &&
                 answer_text(ctx, d, (struct text){.at = (char *)out.data, .len = out.len});
    buffer_done(&out);
    JS_FreeValue(ctx, value);
    return is_ok;
}

/* A body that must be read before it can be the output. */
struct output {
    uint32_t dispatch;
    uint32_t status;
    bool may_be_json;
};

static void answer_output_read(JSContext *ctx, void *data, JSValueConst error, const uint8_t *at,
                               uint32_t len)
{
    struct output *o = data;
    struct dispatch *d = dispatch_find(o->dispatch);
    bool is_ok = d && JS_IsUndefined(error);
    if (d && !is_ok)
        JS_Throw(ctx, JS_DupValue(ctx, error));
    if (is_ok)
        is_ok = answer_bytes(ctx, d, o->status, (struct text){.at = (const char *)at, .len = len},
                             false, o->may_be_json);
    if (d) {
        d->reads--;
        if (!is_ok)
            answer_fail(ctx, d);
    }
    free(o);
}

static bool answer_execute(JSContext *ctx, struct dispatch *d, struct response *r)
{
    struct body *body = &r->message.body;
    if (body_is_unusable(ctx, body)) {
        JS_ThrowTypeError(
            ctx, "the body of the response returned has been read already; return a clone()");
        return false;
    }
    bool may_be_json = text_has(message_content_type(&r->message), "json");
    if (body->kind == BODY_NONE && r->status >= 400) {
        answer_throw(ctx, r->status, (struct text){.at = "", .len = 0});
        return false;
    }
    if (body->kind == BODY_NONE) {
        return answer_text(ctx, d, (struct text){.at = "null", .len = 4});
    }
    if (body->kind == BODY_TEXT || body->kind == BODY_BYTES) {
        struct text flat = body_flat(ctx, body);
        bool is_ok = flat.at && answer_bytes(ctx, d, r->status, flat, body->is_json, may_be_json);
        body_flat_done(ctx, body, flat);
        return is_ok;
    }
    struct output *o = malloc(sizeof *o);
    if (!o) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    *o = (struct output){.dispatch = d->number, .status = r->status, .may_be_json = may_be_json};
    if (!body_read(ctx, body, answer_output_read, o)) {
        free(o);
        return false;
    }
    d->reads++;
    return true;
}

/* A value that is no Response: its JSON. */
static bool answer_json(JSContext *ctx, struct dispatch *d, JSValueConst value)
{
    if (JS_IsUndefined(value) && d->kind == ABI_DISPATCH_WORKFLOW) {
        return answer_text(ctx, d, (struct text){.at = "null", .len = 4});
    }
    if (JS_IsUndefined(value)) {
        JS_ThrowTypeError(ctx,
                          "the handler returned undefined; it must return a Response, or a value "
                          "for JSON such as { ok: true } or null");
        return false;
    }
    if (d->kind == ABI_DISPATCH_HTTP) {
        struct response r = {.status = 200,
                             .status_text = JS_UNDEFINED,
                             .url = JS_UNDEFINED,
                             .web_socket = JS_UNDEFINED};
        message_init(&r.message);
        bool is_ok = body_set_json(ctx, &r.message, value) && answer_http(ctx, d, &r);
        message_done(eng.rt, &r.message);
        return is_ok;
    }
    uint8_t small[512];
    struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
    enum json_written written = json_write(ctx, value, &out);
    if (written == JSON_NOTHING)
        JS_ThrowTypeError(ctx,
                          "the handler returned a value that has no JSON form, such as a function");
    bool is_ok = written == JSON_WRITTEN &&
                 answer_text(ctx, d, (struct text){.at = (const char *)out.data, .len = out.len});
    buffer_done(&out);
    return is_ok;
}

/* What the runtime has made of a method's result. */
static bool answer_method(JSContext *ctx, struct dispatch *d, JSValueConst value)
{
    size_t len;
    const uint8_t *at = JS_GetUint8Array(ctx, &len, value);
    return at && answer_text(ctx, d, (struct text){.at = (const char *)at, .len = (uint32_t)len});
}

/* All that setup() has done to the database is one transaction of the host's. */
static bool answer_commit_setup(JSContext *ctx)
{
    enum { END_SETUP = 3 };
    struct op_sql_transaction args = {.action = END_SETUP};
    struct op_reply reply;
    if (!op_ask(ctx, OP_SQL_TRANSACTION, &args, &reply))
        return false;
    op_reply_done(&reply);
    return true;
}

/* Answers with what the handler gave; value is consumed. */
void answer_with(JSContext *ctx, struct dispatch *d, JSValue value)
{
    struct response *r = response_of(value);
    bool is_ok;
    if (d->kind == ABI_DISPATCH_SETUP) {
        is_ok =
            answer_commit_setup(ctx) && answer_text(ctx, d, (struct text){.at = "null", .len = 4});
    } else if (d->kind == ABI_DISPATCH_METHOD) {
        is_ok = answer_method(ctx, d, value);
    } else if (r) {
        is_ok = d->kind == ABI_DISPATCH_HTTP ? answer_http(ctx, d, r) : answer_execute(ctx, d, r);
    } else {
        is_ok = answer_json(ctx, d, value);
    }
    if (!is_ok)
        answer_fail(ctx, d);
    JS_FreeValue(ctx, value);
}

/* The client sent text that is not the JSON it says it is: that is its mistake, not the function's.
 */
void answer_bad_json(JSContext *ctx, struct dispatch *d)
{
    JSValue error = JS_GetException(ctx), body = JS_NewObject(ctx), inner = JS_NewObject(ctx);
    JS_DefinePropertyValueStr(ctx, inner, "code", JS_NewString(ctx, "invalid"), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, inner, "message",
                              JS_GetProperty(ctx, error, eng.atoms[ATOM_message]), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(
        ctx, inner, "hint",
        JS_NewString(ctx, "the request says that its body is JSON; send valid JSON"),
        JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, body, "error", inner, JS_PROP_C_W_E);
    struct response r = {.status = 400,
                         .status_text = JS_UNDEFINED,
                         .url = JS_UNDEFINED,
                         .web_socket = JS_UNDEFINED};
    message_init(&r.message);
    if (!body_set_json(ctx, &r.message, body) || !answer_http(ctx, d, &r))
        answer_fail(ctx, d);
    message_done(eng.rt, &r.message);
    JS_FreeValues(ctx, error, body);
}
