/* SPDX-License-Identifier: Apache-2.0
 *
 * The global fetch(), and that of service bindings, which differ by whom they ask. A body in memory goes with the op, or stays, if it is large, until the host has
 * sent it; a streaming one is piped by the host if it
 * is an untouched host stream, else written by the runtime's streamToSink, which waits when the
 * host says so. A signal that aborts cancels the op, and the promise rejects at once with the
 * signal's reason; once the head is there, it ends the body (source.h). */
#include <stdlib.h>
#include <string.h>

#include "abort.h"
#include "engine.h"
#include "fetch.h"
#include "op.h"
#include "request.h"
#include "response.h"
#include "source.h"
#include "text.h"
#include "workflow.h"

/* flags of the completion: see src/host/ops.def */
enum { FETCH_REDIRECTED = 1, FETCH_NO_BODY = 2, FETCH_SOCKET = 8 };

static JSValue fetch_reject(JSContext *ctx)
{
    JSValue error = JS_GetException(ctx);
    JSValue promise = JS_NewSettledPromise(ctx, true, error);
    JS_FreeValue(ctx, error);
    return promise;
}

/* Whom a service's fetch() asks: an array of service, entrypoint, props, how many redirects it has followed,
 * and what fetch() was called with; undefined: the network. */
enum { TARGET_SERVICE, TARGET_ENTRYPOINT, TARGET_PROPS, TARGET_HOPS };
enum { OP_VALUE_REQUEST = OP_VALUE_OWN, OP_VALUE_TARGET };

/* --- the answer ----------------------------------------------------------------------------------
 */

/* signal: JS_UNDEFINED if there is none. */
static JSValue fetch_response(JSContext *ctx, const uint8_t *payload, uint32_t len,
                              JSValueConst signal)
{
    struct response *r;
    struct reader in = reader_of(payload, len);
    uint32_t status = reader_u32(&in), source = reader_u32(&in), flags = reader_u32(&in);
    struct text url = reader_lstr(&in), status_text = reader_lstr(&in);
    const uint8_t *headers = in.at;
    for (uint32_t left = reader_u32(&in); left > 0 && !in.is_bad; left--) {
        (void)reader_lstr(&in);
        (void)reader_lstr(&in);
    }
    struct header_list shown = {.data = (uint8_t *)headers, .len = (uint32_t)(in.at - headers)};
    struct text body = reader_lstr(&in); /* the op of what was lent is known */
    uint32_t socket = flags & FETCH_SOCKET ? reader_u32(&in) : 0;
    if (in.is_bad)
        return JS_ThrowInternalError(ctx, "malformed answer to fetch");
    JSValue object = response_new(ctx, &r);
    if (JS_IsException(object))
        return object;
    r->status = (uint16_t)status;
    r->type = RESPONSE_BASIC;
    r->is_redirected = flags & FETCH_REDIRECTED;
    r->url = text_decode(ctx, (const uint8_t *)url.at, url.len, true);
    r->status_text = text_from_latin1(ctx, (const uint8_t *)status_text.at, status_text.len);
    r->message.headers = header_list_copy(ctx, &shown);
    if (r->message.headers)
        r->message.headers->is_immutable = true;
    struct body *to = &r->message.body;
    if (source && !JS_IsUndefined(signal) && !source_watch(ctx, source, signal)) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    if (source) {
        to->kind = BODY_SOURCE;
        to->source = source;
    } else if (!(flags & FETCH_NO_BODY) &&
               (body.len > 0 || (status != 204 && status != 205 && status != 304))) {
        uint8_t *copy = malloc(body.len ? body.len : 1);
        if (!copy) {
            JS_FreeValue(ctx, object);
            return JS_ThrowOutOfMemory(ctx);
        }
        memcpy(copy, body.at, body.len);
        to->kind = BODY_BYTES;
        to->owner = BODY_MALLOC;
        to->at = copy;
        to->len = body.len;
    }
    if (!socket)
        return object;
    JSValue args[2] = {JS_NewUint32(ctx, socket), object};
    JSValue made = engine_hook(ctx, HOOK_socketFetched, 2, args);
    if (JS_IsException(made)) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    r->web_socket = made;
    return object;
}

/* A service's redirects are followed here, through the same binding; the runtime knows how. Consumes the
 * response and gives one, or a promise of one. */
static JSValue fetch_redirect(JSContext *ctx, struct op_pending *op, JSValue response)
{
    struct response *r = response_of(response);
    JSValueConst target = op->values[OP_VALUE_TARGET];
    if (!r)
        return response;
    JSValue hops = JS_GetPropertyUint32(ctx, target, TARGET_HOPS);
    r->is_redirected = JS_VALUE_GET_TAG(hops) == JS_TAG_INT && JS_VALUE_GET_INT(hops) > 0;
    JS_FreeValue(ctx, hops);
    if (r->status != 301 && r->status != 302 && r->status != 303 && r->status != 307 &&
        r->status != 308)
        return response;
    JSValueConst args[3] = {response, op->values[OP_VALUE_REQUEST], target};
    JSValue next = engine_hook(ctx, HOOK_serviceRedirect, 3, args);
    JS_FreeValue(ctx, response);
    return next;
}

static void fetch_done(JSContext *ctx, struct op_pending *op, uint32_t status,
                       const uint8_t *payload, uint32_t len)
{
    abort_unwatch(ctx, op);
    if (status) {
        op_settle(ctx, op, true, op_error(ctx, status, (const char *)payload, len));
        return;
    }
    JSValue signal = abort_signal(ctx, op);
    JSValue response = fetch_response(ctx, payload, len, signal);
    if (!JS_IsUndefined(op->values[OP_VALUE_TARGET]))
        response = fetch_redirect(ctx, op, response);
    op_settle(ctx, op, false, response);
    JS_FreeValue(ctx, signal);
}

/* --- the request ---------------------------------------------------------------------------------
 */

/* data: the sink, and what rejects the fetch: with the error of the stream, before the host says that the request has ended. */
static JSValue fetch_stream_end(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv, int is_failed, JSValueConst *data)
{
    uint32_t sink = 0;
    JS_ToUint32(ctx, &sink, data[0]);
    if (is_failed)
        JS_FreeValue(ctx, JS_Call(ctx, data[1], JS_UNDEFINED, 1, argv));
    op_tell(OP_STREAM_END, &(struct op_stream_end){.sink = sink, .failed = (uint32_t)is_failed});
    return JS_UNDEFINED;
}

static void fetch_piped(JSContext *ctx, struct op_pending *op, uint32_t status,
                        const uint8_t *payload, uint32_t len)
{
    /* a pipe that broke fails the fetch itself */
}

/* Sends a streaming body into the sink; reject is the function that rejects the fetch. */
static bool fetch_send_stream(JSContext *ctx, struct body *body, uint32_t sink, JSValueConst reject)
{
    uint32_t source = body_take_source(ctx, body);
    body->is_used = true;
    if (source) {
        struct op_stream_pipe args = {.source = source, .sink = sink};
        return op_start(ctx, OP_STREAM_PIPE, &args, fetch_piped) != NULL;
    }
    JSValue args[2] = {body->value, JS_NewUint32(ctx, sink)};
    JSValue promise = engine_hook(ctx, HOOK_streamToSink, 2, args);
    if (JS_IsException(promise))
        return false;
    JSValue data[2] = {args[1], reject};
    JSValue on_ok = JS_NewCFunctionData(ctx, fetch_stream_end, 0, 0, 2, data);
    JSValue on_error = JS_NewCFunctionData(ctx, fetch_stream_end, 1, 1, 2, data);
    JSValue then = JS_PromiseThen(ctx, promise, on_ok, on_error);
    bool is_ok = !JS_IsException(then);
    JS_FreeValues(ctx, promise, on_ok, on_error, then);
    return is_ok;
}

/* Keeps what was lent to the host until the op says that it is not needed any more; in a durable
 * execution the host has made a copy. kept is consumed. False: exception. */
static bool fetch_keep(JSContext *ctx, uint32_t number, JSValue kept)
{
    struct op_pending *op = number ? op_expect(ctx, number, body_given_back) : NULL;
    if (op)
        op->values[OP_VALUE_OWN] = kept;
    else if (number == 0)
        JS_FreeValue(ctx, kept);
    return op || number == 0; /* else the bytes stay for good: they are being read */
}

/* A part of the target as text, "" if there is none; text_done() it. */
static struct text fetch_target(JSContext *ctx, JSValueConst target, uint32_t part)
{
    JSValue value = JS_GetPropertyUint32(ctx, target, part);
    struct text text = text_of(ctx, value);
    JS_FreeValue(ctx, value);
    return text;
}

/* Calls the op: fetch's, or a service's with the same arguments. */
static int32_t fetch_call(JSContext *ctx, const struct op_fetch *args, JSValueConst target,
                          uint32_t *ret, uint32_t ret_cap)
{
    if (JS_IsUndefined(target))
        return op_call(OP_FETCH, args, ret, ret_cap);
    struct text service = fetch_target(ctx, target, TARGET_SERVICE),
                entrypoint = fetch_target(ctx, target, TARGET_ENTRYPOINT),
                props = fetch_target(ctx, target, TARGET_PROPS);
    struct op_service_fetch to = {
        .service = op_bytes(service.at, service.len),
        .entrypoint = op_bytes(entrypoint.at, entrypoint.len),
        .props = op_bytes(props.at, props.len),
        .method = args->method,
        .url = args->url,
        .headers = args->headers,
        .body_kind = args->body_kind,
        .body = args->body,
    };
    int32_t len = op_call(OP_SERVICE_FETCH, &to, ret, ret_cap);
    text_done(ctx, service);
    text_done(ctx, entrypoint);
    text_done(ctx, props);
    return len;
}

/* Starts the op. settle[] moves into it. False: exception. */
static bool fetch_start(JSContext *ctx, JSValueConst request, JSValue *settle, JSValueConst target)
{
    struct request *r = request_of(request);
    struct body *body = &r->message.body;
    bool is_stream = body->kind == BODY_SOURCE || body->kind == BODY_STREAM;
    bool has_body = body->kind != BODY_NONE;
    struct text packed = message_packed(&r->message), flat = body_flat(ctx, body);
    if (!flat.at)
        return false;
    bool is_large = flat.len > ABI_INLINE_BYTES;
    JSValue kept = is_large ? body_lend(ctx, body, &flat) : JS_UNDEFINED;
    if (JS_IsException(kept)) {
        body_flat_done(ctx, body, flat);
        return false;
    }
    struct op_fetch args = {
        .method = op_bytes(r->method.at, r->method.len),
        .url = op_bytes(r->url.at, r->url.len),
        .headers = op_bytes(packed.at, packed.len),
        .body_kind = !has_body   ? ABI_BODY_NONE
                     : is_stream ? ABI_BODY_STREAM
                     : is_large  ? ABI_BODY_LENT
                                 : ABI_BODY_INLINE,
        .body = op_bytes(flat.at, flat.len),
        .redirect = r->redirect,
    };
    uint32_t ret[3] = {0}; /* op, sink, op of what is lent */
    int32_t len = fetch_call(ctx, &args, target, ret, sizeof ret);
    if (!is_large)
        body_flat_done(ctx, body, flat);
    if (len < 0) {
        JS_FreeValue(ctx, kept);
        op_throw(ctx, len);
        return false;
    }
    struct op_pending *op =
        fetch_keep(ctx, ret[2], kept) ? op_expect(ctx, ret[0], fetch_done) : NULL;
    if (!op) {
        op_cancel(ctx, ret[0]);
        return false;
    }
    if (is_stream && !fetch_send_stream(ctx, body, ret[1], settle[1])) {
        op_cancel(ctx, ret[0]);
        return false;
    }
    body->is_used = has_body;
    op->values[OP_VALUE_RESOLVE] = JS_DupValue(ctx, settle[0]);
    op->values[OP_VALUE_REJECT] = JS_DupValue(ctx, settle[1]);
    if (!JS_IsUndefined(target)) {
        op->values[OP_VALUE_REQUEST] = JS_DupValue(ctx, request);
        op->values[OP_VALUE_TARGET] = JS_DupValue(ctx, target);
    }
    if (!abort_watch(ctx, op, ret[1], r->signal)) {
        op_cancel(ctx, ret[0]);
        return false;
    }
    return true;
}

/* Outside of steps a workflow sends bodies whole, since the call is recorded: the stream is read
 * first. */
struct fetch_gathering {
    JSValue request, settle[2], target;
};

static void fetch_gathered(JSContext *ctx, void *data, JSValueConst error, const uint8_t *at,
                           uint32_t len)
{
    struct fetch_gathering *g = data;
    struct request *r = request_of(g->request);
    struct body *body = &r->message.body;
    JSValue reason = JS_UNDEFINED;
    uint8_t *copy = JS_IsUndefined(error) ? malloc(len ? len : 1) : NULL;
    if (!JS_IsUndefined(error)) {
        JS_Throw(ctx, JS_DupValue(ctx, error));
    } else if (!copy) {
        JS_ThrowOutOfMemory(ctx);
    } else {
        memcpy(copy, at, len);
        JS_FreeValue(ctx, body->value);
        *body = (struct body){.kind = BODY_BYTES,
                              .owner = BODY_MALLOC,
                              .value = JS_UNDEFINED,
                              .at = copy,
                              .len = len};
    }
    if (!copy || !abort_check(ctx, r->signal) ||
        !fetch_start(ctx, g->request, g->settle, g->target)) {
        reason = JS_GetException(ctx);
        JSValue result = JS_Call(ctx, g->settle[1], JS_UNDEFINED, 1, &reason);
        JS_FreeValues(ctx, reason, result);
    }
    JS_FreeValues(ctx, g->request, g->settle[0], g->settle[1], g->target);
    free(g);
}

/* False: exception. */
static bool fetch_gather(JSContext *ctx, JSValueConst request, struct body *body, JSValue *settle,
                         JSValueConst target)
{
    struct fetch_gathering *g = malloc(sizeof *g);
    if (!g) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    *g = (struct fetch_gathering){
        .request = JS_DupValue(ctx, request),
        .settle = {JS_DupValue(ctx, settle[0]), JS_DupValue(ctx, settle[1])},
        .target = JS_DupValue(ctx, target)};
    if (body_read(ctx, body, fetch_gathered, g))
        return true;
    JS_FreeValues(ctx, g->request, g->settle[0], g->settle[1], g->target);
    free(g);
    return false;
}

/* What the host answers itself: code asks by objects of the runtime, not by fetch(). */
static const struct {
    const char *scheme, *instead;
} host_schemes[] = {{"cache:", "caches.default"}, {"bucket:", "the bucket's binding"}};

static bool fetch_is_local(struct text url)
{
    return url.len >= 5 && (memcmp(url.at, "data:", 5) == 0 || memcmp(url.at, "blob:", 5) == 0);
}

/* What needs no network: the runtime answers. */
static JSValue fetch_local(JSContext *ctx, JSValueConst request, struct text url)
{
    JSValue answer = engine_hook(ctx, HOOK_fetchLocal, 1, &request);
    struct response *r = response_of(answer);
    if (!r)
        return fetch_reject(ctx);
    r->type = RESPONSE_BASIC;
    r->url = text_decode(ctx, (const uint8_t *)url.at, url.len, true);
    JSValue promise = JS_NewSettledPromise(ctx, false, answer);
    JS_FreeValue(ctx, answer);
    return promise;
}

/* Through the host, to target (see above); request is consumed. */
static JSValue fetch_request(JSContext *ctx, JSValue request, struct request *r,
                             JSValueConst target)
{
    JSValue settle[2], promise = JS_NewPromiseCapability(ctx, settle);
    if (!JS_IsException(promise)) {
        struct body *body = &r->message.body;
        bool is_gathered =
            workflow_is_main() && (body->kind == BODY_STREAM || body->kind == BODY_SOURCE);
        if (!(is_gathered ? fetch_gather(ctx, request, body, settle, target)
                          : fetch_start(ctx, request, settle, target))) {
            JS_FreeValue(ctx, promise);
            promise = fetch_reject(ctx);
        }
        JS_FreeValues(ctx, settle[0], settle[1]);
    }
    JS_FreeValue(ctx, request);
    return promise;
}

JSValue fetch_host(JSContext *ctx, JSValueConst request, int scheme, struct text name)
{
    struct request *r = request_of(request);
    struct buffer url = {0};
    if (!r)
        return JS_ThrowTypeError(ctx, "the host is asked by a Request");
    buffer_add(&url, host_schemes[scheme].scheme, strlen(host_schemes[scheme].scheme));
    buffer_add(&url, name.at, name.len);
    buffer_add(&url, " ", 1);
    buffer_add(&url, r->url.at, r->url.len);
    bool is_ok = !url.is_failed &&
                 request_address(ctx, r, (struct text){.at = (char *)url.data, .len = url.len});
    if (url.is_failed)
        JS_ThrowOutOfMemory(ctx);
    buffer_done(&url);
    return is_ok ? fetch_request(ctx, JS_DupValue(ctx, request), r, JS_UNDEFINED) : JS_EXCEPTION;
}

/* new Request(input, init), unless it has been aborted; else the promise to return is in *ret_promise. */
static JSValue fetch_begin(JSContext *ctx, JSValueConst input, JSValueConst init,
                           struct request **ret_request, JSValue *ret_promise)
{
    JSValue request = request_from(ctx, input, init, ret_request);
    if (!JS_IsException(request) && abort_check(ctx, (*ret_request)->signal))
        return request;
    JS_FreeValue(ctx, request);
    *ret_promise = fetch_reject(ctx);
    return JS_EXCEPTION;
}

static JSValue fetch_global(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct request *r;
    JSValue promise;
    if (argc < 1) {
        JS_ThrowTypeError(ctx, "fetch needs a URL or a Request");
        return fetch_reject(ctx);
    }
    JSValue request = fetch_begin(ctx, argv[0], argc > 1 ? argv[1] : JS_UNDEFINED, &r, &promise);
    if (JS_IsException(request))
        return promise;
    for (size_t k = 0; k < sizeof host_schemes / sizeof *host_schemes; k++) {
        const char *scheme = host_schemes[k].scheme;
        if (r->url.len < strlen(scheme) || memcmp(r->url.at, scheme, strlen(scheme)) != 0)
            continue;
        JS_FreeValue(ctx, request);
        JS_ThrowTypeError(ctx, "fetch() knows no scheme '%s'; use %s", scheme,
                          host_schemes[k].instead);
        return fetch_reject(ctx);
    }
    if (fetch_is_local(r->url)) {
        JSValue local = fetch_local(ctx, request, r->url);
        JS_FreeValue(ctx, request);
        return local;
    }
    return fetch_request(ctx, request, r, JS_UNDEFINED);
}

JSValue fetch_service(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct request *r;
    JSValue promise;
    if (argc < 2) {
        JS_ThrowTypeError(ctx, "fetch needs a URL or a Request");
        return fetch_reject(ctx);
    }
    JSValue request = fetch_begin(ctx, argv[1], argc > 2 ? argv[2] : JS_UNDEFINED, &r, &promise);
    return JS_IsException(request) ? promise : fetch_request(ctx, request, r, argv[0]);
}

bool fetch_init(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx);
    int defined = JS_DefinePropertyValueStr(ctx, global, "fetch",
                                            JS_NewCFunction(ctx, fetch_global, "fetch", 1),
                                            JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_FreeValue(ctx, global);
    return defined >= 0;
}
