/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch.h"

#include <stdlib.h>

#include "answer.h"
#include "engine.h"
#include "json.h"
#include "module.h"
#include "op.h"
#include "rejection.h"
#include "request.h"
#include "response.h"
#include "text.h"
#include "workflow.h"

static JSClassID context_class;

/* --- the list ------------------------------------------------------------------------------------
 */

struct dispatch *dispatch_find(uint32_t number)
{
    struct dispatch *d = eng.dispatches;
    while (d && d->number != number)
        d = d->next;
    return d;
}

uint32_t dispatch_count(void)
{
    uint32_t count = 0;
    for (const struct dispatch *d = eng.dispatches; d; d = d->next)
        count++;
    return count;
}

static struct dispatch *dispatch_new(uint32_t number, uint32_t kind)
{
    struct dispatch *d = &eng.dispatch_slot;
    if (d->number != 0)
        d = malloc(sizeof *d);
    if (!d)
        return NULL;
    *d = (struct dispatch){
        .number = number,
        .kind = (uint8_t)kind,
        .is_input = true,
        .request = JS_UNDEFINED,
        .promise = JS_UNDEFINED,
        .writing = JS_UNDEFINED,
    };
    d->next = eng.dispatches;
    eng.dispatches = d;
    return d;
}

static void dispatch_free(JSContext *ctx, struct dispatch *d)
{
    struct dispatch **at = &eng.dispatches;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    JS_FreeValue(ctx, d->request);
    for (uint32_t i = 0; i < d->wait_count; i++)
        JS_FreeValue(ctx, d->waits[i]);
    free(d->waits);
    free(d->own);
    if (d == &eng.dispatch_slot)
        d->number = 0;
    else
        free(d);
}

int32_t dispatch_state(uint32_t number)
{
    const struct dispatch *d = dispatch_find(number);
    return !d ? 0 : d->wait_count == 0 ? 1 : 2;
}

void dispatch_forget(JSContext *ctx, uint32_t number)
{
    struct dispatch *d = dispatch_find(number);
    if (!d)
        return;
    JS_FreeValue(ctx, d->promise);
    JS_FreeValue(ctx, d->writing);
    dispatch_free(ctx, d);
}

bool dispatch_keep(JSContext *ctx)
{
    if (eng.input_request) {
        if (!request_keep(ctx, eng.input_request))
            return false;
        eng.input_request = NULL;
    }
    for (struct dispatch *d = eng.dispatches; d; d = d->next) {
        if (!d->is_input)
            continue;
        uint8_t *own = malloc(d->function.len + d->execution.len + d->props.len + 1);
        if (!own) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        memcpy(own, d->function.at, d->function.len);
        memcpy(own + d->function.len, d->execution.at, d->execution.len);
        if (d->props.len > 0)
            memcpy(own + d->function.len + d->execution.len, d->props.at, d->props.len);
        d->function.at = (char *)own;
        d->execution.at = (char *)own + d->function.len;
        d->props.at = d->execution.at + d->execution.len;
        d->own = own;
        d->is_input = false;
    }
    return true;
}

/* What a handler returned: now, or as a promise. Consumed. */
static void dispatch_returned(JSContext *ctx, struct dispatch *d, JSValue value)
{
    if (JS_IsException(value)) {
        answer_fail(ctx, d);
    } else if (JS_IsPromise(value)) {
        d->promise = value; /* dispatch_poll() looks when the jobs have drained */
    } else {
        answer_with(ctx, d, value);
    }
}

/* --- calling the module --------------------------------------------------------------------------
 */

JSValue dispatch_new_context(JSContext *ctx, uint32_t number)
{
    JSValue context = JS_NewObjectClass(ctx, context_class);
    if (!JS_IsException(context))
        JS_SetOpaque(context, (void *)(uintptr_t)number);
    return context;
}

/* fetch() of a class that extends WorkerEntrypoint, or of another export by its name. */
static void dispatch_call_entrypoint(JSContext *ctx, struct dispatch *d, JSValueConst request)
{
    JSValue context = dispatch_new_context(ctx, d->number);
    JSValue name = text_decode(ctx, (const uint8_t *)d->entrypoint.at, d->entrypoint.len, true);
    JSValue args[4] = {name, request, eng.env, context};
    JSValue result = JS_IsException(context) || JS_IsException(name)
                         ? JS_EXCEPTION
                         : engine_hook(ctx, HOOK_entrypointFetch, 4, args);
    JS_FreeValues(ctx, name, context);
    dispatch_returned(ctx, d, result);
}

/* fetch() of the instance that an actor is. */
static void dispatch_call_actor(JSContext *ctx, struct dispatch *d, JSValueConst request)
{
    JSValue context = dispatch_new_context(ctx, d->number);
    JSValue args[3] = {request, eng.env, context};
    eng.is_actor = true;
    JSValue result =
        JS_IsException(context) ? JS_EXCEPTION : engine_hook(ctx, HOOK_actorFetch, 3, args);
    JS_FreeValue(ctx, context);
    dispatch_returned(ctx, d, result);
}

/* fetch(request, env, ctx), or the function that is the default export. */
static void dispatch_call_fetch(JSContext *ctx, struct dispatch *d, JSValueConst request)
{
    JSValue context = dispatch_new_context(ctx, d->number);
    if (JS_IsException(context)) {
        answer_fail(ctx, d);
        return;
    }
    JSValue args[3] = {request, eng.env, context};
    bool is_method = (eng.exports & ABI_EXPORT_FETCH) != 0;
    JSValue result = is_method ? JS_Call(ctx, eng.fetch, eng.default_object, 3, args)
                               : JS_Call(ctx, eng.function, JS_UNDEFINED, 3, args);
    JS_FreeValue(ctx, context);
    dispatch_returned(ctx, d, result);
}

/* derp's handle({body, metadata}); both are consumed. */
static void dispatch_call_handle(JSContext *ctx, struct dispatch *d, JSValue body, JSValue metadata)
{
    JSValue req = JS_NewObject(ctx);
    if (JS_IsException(req) || JS_IsException(body) || JS_IsException(metadata)) {
        JS_FreeValues(ctx, req, body, metadata);
        answer_fail(ctx, d);
        return;
    }
    JS_DefinePropertyValue(ctx, req, eng.atoms[ATOM_body], body, JS_PROP_C_W_E);
    JS_DefinePropertyValue(ctx, req, eng.atoms[ATOM_metadata], metadata, JS_PROP_C_W_E);
    JSValueConst this_value =
        JS_IsFunction(ctx, eng.handler_object) ? JS_UNDEFINED : eng.handler_object;
    JSValue result = JS_Call(ctx, eng.handle, this_value, 1, &req);
    JS_FreeValue(ctx, req);
    dispatch_returned(ctx, d, result);
}

/* metadata of an HTTP request: {method, url, headers}. */
static JSValue dispatch_metadata(JSContext *ctx, struct request *r)
{
    JSValue headers = JS_NewObject(ctx), metadata = JS_NewObject(ctx);
    if (JS_IsException(headers) || JS_IsException(metadata))
        return JS_EXCEPTION;
    struct text packed = message_packed(&r->message);
    struct reader reader = reader_of(packed.at, packed.len);
    for (uint32_t left = reader_u32(&reader); left > 0 && !reader.is_bad; left--) {
        struct text name = reader_lstr(&reader), value = reader_lstr(&reader);
        JSAtom atom = JS_NewAtomLen(ctx, name.at, name.len);
        JS_DefinePropertyValue(ctx, headers, atom,
                               text_from_latin1(ctx, (const uint8_t *)value.at, value.len),
                               JS_PROP_C_W_E);
        JS_FreeAtom(ctx, atom);
    }
    JS_DefinePropertyValue(ctx, metadata, eng.atoms[ATOM_method],
                           text_decode(ctx, (const uint8_t *)r->method.at, r->method.len, true),
                           JS_PROP_C_W_E);
    JS_DefinePropertyValue(ctx, metadata, eng.atoms[ATOM_url],
                           text_decode(ctx, (const uint8_t *)r->url.at, r->url.len, true),
                           JS_PROP_C_W_E);
    JS_DefinePropertyValue(ctx, metadata, eng.atoms[ATOM_headers], headers, JS_PROP_C_W_E);
    return metadata;
}

/* Calls derp's handler with the bytes of an HTTP request. JSON if the request says so or says
 * nothing; other types are text, except text that is an object or list of JSON (curl -d sends it as
 * a form). */
static void dispatch_handle_http(JSContext *ctx, struct dispatch *d, const uint8_t *at,
                                 uint32_t len)
{
    struct request *r = request_of(d->request);
    struct text type = message_content_type(&r->message);
    bool is_json = !type.at || text_has(type, "json");
    JSValue body = JS_NULL;
    if (len > 0) {
        bool looks_json = is_json || at[0] == '{' || at[0] == '[';
        body = looks_json ? json_parse(ctx, at, len) : JS_EXCEPTION;
        if (JS_IsException(body) && is_json) {
            answer_bad_json(ctx, d);
            return;
        }
        if (JS_IsException(body)) {
            if (looks_json)
                JS_FreeValue(ctx, JS_GetException(ctx));
            body = text_decode(ctx, at, len, false);
        }
    }
    dispatch_call_handle(ctx, d, body, dispatch_metadata(ctx, r));
}

static void dispatch_body_read(JSContext *ctx, void *data, JSValueConst error, const uint8_t *at,
                               uint32_t len)
{
    struct dispatch *d = dispatch_find((uint32_t)(uintptr_t)data);
    if (!d)
        return;
    d->reads--;
    if (JS_IsUndefined(error)) {
        dispatch_handle_http(ctx, d, at, len);
    } else {
        JS_Throw(ctx, JS_DupValue(ctx, error));
        answer_fail(ctx, d);
    }
}

static void dispatch_start_http(JSContext *ctx, struct dispatch *d, struct reader *in)
{
    struct request *r;
    uint32_t flags = reader_u32(in), source = reader_u32(in);
    (void)reader_i64(in); /* content length: the headers say it too */
    JSValue request = request_new(ctx, &r);
    if (JS_IsException(request)) {
        answer_fail(ctx, d);
        return;
    }
    d->request = request;
    r->method = reader_lstr(in);
    r->url = reader_lstr(in);
    d->function = module_name();
    d->execution = reader_lstr(in);
    if (flags & ABI_HTTP_ENTRYPOINT) {
        d->entrypoint = reader_lstr(in);
        d->props = reader_lstr(in);
    }
    r->dispatch = d->number;
    r->is_input = true;
    r->http_version = (uint8_t)(flags >> ABI_HTTP_VERSION_SHIFT);
    r->tls_version = (uint8_t)(flags >> ABI_HTTP_TLS_SHIFT);
    eng.input_request = r;
    r->message.packed = in->at;
    for (uint32_t left = reader_u32(in); left > 0 && !in->is_bad; left--) {
        (void)reader_lstr(in);
        (void)reader_lstr(in);
    }
    r->message.packed_len = (uint32_t)(in->at - r->message.packed);
    struct body *body = &r->message.body;
    if (flags & ABI_HTTP_BODY_INLINE) {
        struct text inline_body = reader_lstr(in);
        body->kind = BODY_BYTES;
        body->owner = BODY_BORROWED;
        body->at = (const uint8_t *)inline_body.at;
        body->len = inline_body.len;
    } else if (flags & ABI_HTTP_HAS_BODY) {
        body->kind = BODY_SOURCE;
        body->source = source;
    }
    if (in->is_bad) {
        JS_ThrowInternalError(ctx, "malformed dispatch input");
        answer_fail(ctx, d);
    } else if (flags & ABI_HTTP_ACTOR) {
        dispatch_call_actor(ctx, d, request);
    } else if (d->entrypoint.len > 0 || eng.is_entrypoint) {
        dispatch_call_entrypoint(ctx, d, request);
    } else if (eng.exports & (ABI_EXPORT_FETCH | ABI_EXPORT_FUNCTION)) {
        dispatch_call_fetch(ctx, d, request);
    } else if (!(eng.exports & ABI_EXPORT_HANDLER)) {
        JS_ThrowTypeError(ctx, "the module has no default export that answers requests");
        answer_fail(ctx, d);
    } else if (body->kind != BODY_SOURCE) {
        dispatch_handle_http(ctx, d, body->at, body->len);
    } else if (body_read(ctx, body, dispatch_body_read, (void *)(uintptr_t)d->number)) {
        d->reads++;
    } else {
        answer_fail(ctx, d);
    }
}

/* An execution of a module that has a fetch handler: POST of the JSON. */
static void dispatch_execute_fetch(JSContext *ctx, struct dispatch *d, struct text json)
{
    static const char headers[] = "\1\0\0\0\14\0\0\0content-type\20\0\0\0application/json";
    struct request *r;
    struct buffer url = {0};
    buffer_add(&url, "http://", 7);
    buffer_add(&url, d->function.at, d->function.len);
    buffer_add(&url, ".localhost/", 11);
    JSValue request = url.is_failed ? JS_ThrowOutOfMemory(ctx) : request_new(ctx, &r);
    if (JS_IsException(request)) {
        buffer_done(&url);
        answer_fail(ctx, d);
        return;
    }
    d->request = request;
    r->method = (struct text){.at = "POST", .len = 4};
    r->own = url.data;
    r->url = (struct text){.at = (const char *)url.data, .len = url.len};
    r->message.headers = header_list_borrow(ctx, (const uint8_t *)headers, sizeof headers - 1);
    r->message.body.kind = BODY_BYTES;
    r->message.body.at = (const uint8_t *)json.at;
    r->message.body.len = json.len;
    r->dispatch = d->number;
    r->is_input = true;
    eng.input_request = r;
    if (eng.is_entrypoint) {
        dispatch_call_entrypoint(ctx, d, request);
    } else if (eng.exports & (ABI_EXPORT_FETCH | ABI_EXPORT_FUNCTION)) {
        dispatch_call_fetch(ctx, d, request);
    } else {
        JS_ThrowTypeError(ctx, "the module has no default export to run");
        answer_fail(ctx, d);
    }
}

static JSValue dispatch_parse(JSContext *ctx, struct text json)
{
    return json.len == 0 ? JS_NULL : json_parse(ctx, (const uint8_t *)json.at, json.len);
}

static void dispatch_start_execute(JSContext *ctx, struct dispatch *d, struct reader *in)
{
    d->function = reader_lstr(in);
    d->execution = reader_lstr(in);
    struct text body = reader_lstr(in), metadata = reader_lstr(in);
    if (in->is_bad) {
        JS_ThrowInternalError(ctx, "malformed dispatch input");
        answer_fail(ctx, d);
    } else if (!(eng.exports & ABI_EXPORT_HANDLER)) {
        dispatch_execute_fetch(ctx, d, body.len > 0 ? body : (struct text){.at = "null", .len = 4});
    } else {
        JSValue parsed = dispatch_parse(ctx, body);
        JSValue meta = JS_IsException(parsed) ? JS_UNDEFINED
                       : metadata.len == 0    ? JS_NewObject(ctx)
                                              : dispatch_parse(ctx, metadata);
        dispatch_call_handle(ctx, d, parsed, meta);
    }
}

/* The answer is bytes, also of what was thrown. */
static void dispatch_start_method(JSContext *ctx, struct dispatch *d, struct reader *in)
{
    d->function = reader_lstr(in);
    d->execution = reader_lstr(in);
    struct text export = reader_lstr(in);
    d->props = reader_lstr(in);
    uint32_t what = reader_u32(in);
    struct text method = reader_lstr(in), values = reader_lstr(in);
    if (in->is_bad) {
        JS_ThrowInternalError(ctx, "malformed dispatch input");
        answer_fail(ctx, d);
        return;
    }
    JSValue args[6] = {text_decode(ctx, (const uint8_t *)export.at, export.len, true),
                       text_decode(ctx, (const uint8_t *)method.at, method.len, true),
                       JS_NewUint32(ctx, what & ~(uint32_t)ABI_METHOD_ACTOR),
                       JS_NewUint8ArrayCopy(ctx, (const uint8_t *)values.at, values.len),
                       eng.env,
                       dispatch_new_context(ctx, d->number)};
    const bool is_actor = what & ABI_METHOD_ACTOR;
    bool is_ok = true;
    for (int i = 0; i < 6; i++)
        is_ok &= !JS_IsException(args[i]);
    eng.is_actor |= is_actor;
    JSValue result = is_ok ? engine_hook(ctx, is_actor ? HOOK_actorCall : HOOK_methodCall, 6, args)
                           : JS_EXCEPTION;
    JS_FreeValues(ctx, args[0], args[1], args[3], args[5]);
    dispatch_returned(ctx, d, result);
}

static void dispatch_start_setup(JSContext *ctx, struct dispatch *d, struct reader *in)
{
    d->function = reader_lstr(in);
    d->execution = reader_lstr(in);
    if (JS_IsUndefined(eng.setup))
        dispatch_returned(ctx, d, JS_UNDEFINED);
    else
        dispatch_returned(ctx, d, JS_Call(ctx, eng.setup, eng.handler_object, 0, NULL));
}

/* {name, execution, metadata, started, key} for the runtime. */
static JSValue dispatch_workflow_info(JSContext *ctx, const struct dispatch *d, JSValue metadata,
                                      int64_t started_ms, struct text key)
{
    JSValue info = JS_NewObject(ctx);
    if (JS_IsException(info)) {
        JS_FreeValue(ctx, metadata);
        return info;
    }
    JSValue name = text_decode(ctx, (const uint8_t *)d->function.at, d->function.len, true);
    JSValue id = text_decode(ctx, (const uint8_t *)d->execution.at, d->execution.len, true);
    JS_DefinePropertyValueStr(ctx, info, "name", name, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, info, "execution", id, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, info, "metadata", metadata, JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, info, "started", JS_NewInt64(ctx, started_ms), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(
        ctx, info, "key", text_decode(ctx, (const uint8_t *)key.at, key.len, true), JS_PROP_C_W_E);
    return info;
}

/* Calls an export of the module; input and metadata are consumed. */
static void dispatch_call_workflow(JSContext *ctx, struct dispatch *d, struct text export,
                                   JSValue input, JSValue metadata, int64_t started_ms,
                                   struct text key)
{
    JSValue context = dispatch_new_context(ctx, d->number);
    JSValue info = dispatch_workflow_info(ctx, d, metadata, started_ms, key);
    JSValue name = text_decode(ctx, (const uint8_t *)export.at, export.len, true);
    JSValue args[5] = {name, input, info, eng.env, context};
    JSValue result = JS_EXCEPTION;
    if (!JS_IsException(context) && !JS_IsException(info) && !JS_IsException(name))
        result = engine_hook(ctx, HOOK_workflowStart, 5, args);
    JS_FreeValues(ctx, name, input, info, context);
    dispatch_returned(ctx, d, result);
}

static void dispatch_start_workflow(JSContext *ctx, struct dispatch *d, struct reader *in)
{
    d->function = reader_lstr(in);
    d->execution = reader_lstr(in);
    struct text export = reader_lstr(in), body = reader_lstr(in), meta = reader_lstr(in);
    int64_t started_ms = reader_i64(in);
    struct text key = reader_lstr(in);
    workflow_begin(ctx);
    if (in->is_bad) {
        JS_ThrowInternalError(ctx, "malformed dispatch input");
        answer_fail(ctx, d);
        return;
    }
    JSValue input = dispatch_parse(ctx, body);
    JSValue metadata = JS_IsException(input) ? JS_EXCEPTION
                       : meta.len == 0       ? JS_NewObject(ctx)
                                             : dispatch_parse(ctx, meta);
    bool is_handler =
        (eng.exports & ABI_EXPORT_HANDLER) &&
        (export.len == 0 ? !(eng.exports & ABI_EXPORT_WORKFLOW) : text_is(export, "handler"));
    if (JS_IsException(metadata)) {
        JS_FreeValue(ctx, input);
        answer_fail(ctx, d);
    } else if (is_handler) {
        dispatch_call_handle(ctx, d, input, metadata);
    } else {
        dispatch_call_workflow(ctx, d, export, input, metadata, started_ms, key);
    }
}

void dispatch_start(JSContext *ctx, uint32_t number, uint32_t kind, const uint8_t *at, uint32_t len)
{
    struct reader in = reader_of(at, len);
    eng.dispatch = number;
    struct dispatch *d = dispatch_new(number, kind);
    if (!d) {
        JS_ThrowOutOfMemory(ctx);
        engine_fail(ctx, number);
        return;
    }
    switch (kind) {
    case ABI_DISPATCH_HTTP:
        dispatch_start_http(ctx, d, &in);
        break;
    case ABI_DISPATCH_EXECUTE:
        dispatch_start_execute(ctx, d, &in);
        break;
    case ABI_DISPATCH_SETUP:
        dispatch_start_setup(ctx, d, &in);
        break;
    case ABI_DISPATCH_WORKFLOW:
        dispatch_start_workflow(ctx, d, &in);
        break;
    case ABI_DISPATCH_METHOD:
        dispatch_start_method(ctx, d, &in);
        break;
    default:
        JS_ThrowInternalError(ctx, "unknown kind of dispatch %u", (unsigned)kind);
        answer_fail(ctx, d);
    }
}

/* --- waiting -------------------------------------------------------------------------------------
 */

/* Takes a settled promise out of *slot. Returns its state; pending leaves everything. */
static JSPromiseStateEnum dispatch_take(JSContext *ctx, JSValue *slot, JSValue *ret_value)
{
    JSPromiseStateEnum state = JS_PromiseState(ctx, *slot);
    if (state == JS_PROMISE_PENDING)
        return state;
    if (state == JS_PROMISE_REJECTED && eng.rejections)
        rejection_forget(ctx, *slot);
    JSValue promise = *slot;
    *slot = JS_UNDEFINED;
    *ret_value = state == JS_PROMISE_NOT_A_PROMISE ? JS_UNDEFINED : JS_PromiseResult(ctx, promise);
    JS_FreeValue(ctx, promise);
    return state;
}

static bool dispatch_is_abort(JSContext *ctx, JSValueConst error)
{
    JSValue name =
        JS_IsObject(error) ? JS_GetProperty(ctx, error, eng.atoms[ATOM_name]) : JS_UNDEFINED;
    struct text text = JS_IsString(name) ? text_of(ctx, name) : (struct text){0};
    bool is_abort = text.at && text_is(text, "AbortError");
    if (text.at)
        text_done(ctx, text);
    JS_FreeValue(ctx, name);
    return is_abort;
}

static bool dispatch_poll_writing(JSContext *ctx, struct dispatch *d)
{
    JSValue value;
    JSPromiseStateEnum state = dispatch_take(ctx, &d->writing, &value);
    if (state == JS_PROMISE_PENDING)
        return false;
    bool is_failed = state == JS_PROMISE_REJECTED;
    if (is_failed && !dispatch_is_abort(ctx, value)) /* a client that left is no error */
        engine_report(ctx, "The response's stream failed: ", value);
    op_tell(OP_STREAM_END, &(struct op_stream_end){.sink = d->sink, .failed = is_failed});
    JS_FreeValue(ctx, value);
    return true;
}

static bool dispatch_poll_waits(JSContext *ctx, struct dispatch *d)
{
    bool has_moved = false;
    for (uint32_t i = 0; i < d->wait_count;) {
        JSValue value;
        JSPromiseStateEnum state = dispatch_take(ctx, &d->waits[i], &value);
        if (state == JS_PROMISE_PENDING) {
            i++;
            continue;
        }
        if (state == JS_PROMISE_REJECTED)
            engine_report(ctx, "Uncaught in ctx.waitUntil(): ", value);
        JS_FreeValue(ctx, value);
        d->waits[i] = d->waits[--d->wait_count];
        has_moved = true;
    }
    return has_moved;
}

bool dispatch_poll(JSContext *ctx)
{
    bool has_moved = false;
    for (struct dispatch *d = eng.dispatches, *next; d; d = next) {
        next = d->next;
        /* An answer ends an execution, so it comes after what it shall wait for. */
        bool is_held = d->kind == ABI_DISPATCH_WORKFLOW && d->wait_count > 0;
        if (is_held)
            has_moved |= dispatch_poll_waits(ctx, d);
        if (!JS_IsUndefined(d->promise) && !(is_held && d->wait_count > 0)) {
            JSValue value;
            JSPromiseStateEnum state = dispatch_take(ctx, &d->promise, &value);
            if (state != JS_PROMISE_PENDING) {
                eng.dispatch = d->number;
                has_moved = true;
                if (state == JS_PROMISE_REJECTED) {
                    JS_Throw(ctx, value);
                    answer_fail(ctx, d);
                } else {
                    answer_with(ctx, d, value);
                }
            }
        }
        if (!JS_IsUndefined(d->writing))
            has_moved |= dispatch_poll_writing(ctx, d);
        if (d->wait_count > 0)
            has_moved |= dispatch_poll_waits(ctx, d);
        if (d->is_answered && d->reads == 0 && d->wait_count == 0 && JS_IsUndefined(d->writing) &&
            JS_IsUndefined(d->promise))
            dispatch_free(ctx, d);
    }
    return has_moved && JS_IsJobPending(eng.rt);
}

/* --- abort ---------------------------------------------------------------------------------------
 */

static JSValue dispatch_abort_job(JSContext *ctx, int argc, JSValueConst *argv)
{
    struct request *r = request_of(argv[0]);
    if (r) {
        eng.dispatch = r->dispatch;
        request_abort(ctx, r);
    }
    return JS_UNDEFINED;
}

void dispatch_abort(JSContext *ctx, uint32_t number)
{
    struct dispatch *d = dispatch_find(number);
    if (d && JS_IsObject(d->request) && JS_EnqueueJob(ctx, dispatch_abort_job, 1, &d->request) < 0)
        JS_FreeValue(ctx, JS_GetException(ctx)); /* out of memory; the dispatch ends anyway */
}

/* --- ctx -----------------------------------------------------------------------------------------
 */

static JSValue dispatch_wait_until(JSContext *ctx, struct dispatch *d, JSValueConst promise)
{
    if (!JS_IsPromise(promise))
        return JS_UNDEFINED; /* nothing to wait for */
    if (d->wait_count == d->wait_cap) {
        uint32_t cap = d->wait_cap * 2 + 4;
        JSValue *waits = realloc(d->waits, cap * sizeof *waits);
        if (!waits)
            return JS_ThrowOutOfMemory(ctx);
        d->waits = waits;
        d->wait_cap = cap;
    }
    JS_PromiseMarkAsHandled(ctx, promise);
    d->waits[d->wait_count++] = JS_DupValue(ctx, promise);
    return JS_UNDEFINED;
}

static JSValue context_wait_until(JSContext *ctx, JSValueConst this_value, int argc,
                                  JSValueConst *argv)
{
    if (JS_GetClassID(this_value) != context_class)
        return JS_ThrowTypeError(ctx, "waitUntil must be called as ctx.waitUntil(promise)");
    struct dispatch *d =
        dispatch_find((uint32_t)(uintptr_t)JS_GetOpaque(this_value, context_class));
    if (!d)
        return JS_ThrowTypeError(ctx, "ctx.waitUntil() was called after the request had ended");
    return dispatch_wait_until(ctx, d, argc > 0 ? argv[0] : JS_UNDEFINED);
}

bool dispatch_wait_for(JSContext *ctx, struct dispatch *d, JSValueConst promise)
{
    return !JS_IsException(dispatch_wait_until(ctx, d, promise));
}

JSValue dispatch_wait(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct dispatch *d = dispatch_find(eng.dispatch);
    if (!d)
        return JS_ThrowTypeError(ctx, "waitUntil() is called while a request is handled");
    return dispatch_wait_until(ctx, d, argv[0]);
}

static JSValue context_pass_through(JSContext *ctx, JSValueConst this_value, int argc,
                                    JSValueConst *argv)
{
    static const char text[] = "ctx.passThroughOnException() does nothing here: there is no origin "
                               "behind this function, and an exception is answered with status 500";
    op_tell(OP_LOG, &(struct op_log){.level = 2, .text = op_bytes(text, sizeof text - 1)});
    return JS_UNDEFINED;
}

/* What the binding says that the request came by. */
static JSValue context_get_props(JSContext *ctx, JSValueConst this_value)
{
    const struct dispatch *d =
        JS_GetClassID(this_value) == context_class
            ? dispatch_find((uint32_t)(uintptr_t)JS_GetOpaque(this_value, context_class))
            : NULL;
    return d && d->props.len > 0 ? dispatch_parse(ctx, d->props) : JS_NewObject(ctx);
}

/* The module's own exports, to be called as others call them. */
static JSValue context_get_exports(JSContext *ctx, JSValueConst this_value)
{
    return engine_hook(ctx, HOOK_contextExports, 0, NULL);
}

static const JSCFunctionListEntry context_methods[] = {
    JS_CFUNC_DEF("waitUntil", 1, context_wait_until),
    JS_CFUNC_DEF("passThroughOnException", 0, context_pass_through),
    JS_CGETSET_DEF("props", context_get_props, NULL),
    JS_CGETSET_DEF("exports", context_get_exports, NULL),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "ExecutionContext", JS_PROP_CONFIGURABLE),
};

bool dispatch_init(JSContext *ctx)
{
    static const JSClassDef def = {.class_name = "ExecutionContext"};
    return engine_class(ctx, &context_class, &def, NULL, 0, context_methods,
                        sizeof context_methods / sizeof *context_methods);
}
