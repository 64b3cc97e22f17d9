/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stddef.h>
#include <stdlib.h>

#include "engine.h"
#include "op.h"
#include "text.h"

static JSClassID request_class;

struct request *request_of(JSValueConst value)
{
    return JS_GetOpaque(value, request_class);
}

static JSValue request_new_proto(JSContext *ctx, JSValueConst new_target,
                                 struct request **ret_request)
{
    JSValue object;
    if (JS_IsUndefined(new_target)) {
        object = JS_NewObjectClass(ctx, request_class);
    } else {
        JSValue proto = JS_GetProperty(ctx, new_target, eng.atoms[ATOM_prototype]);
        if (JS_IsException(proto))
            return proto;
        object = JS_NewObjectProtoClass(ctx, proto, request_class);
        JS_FreeValue(ctx, proto);
    }
    if (JS_IsException(object))
        return object;
    struct request *r = js_malloc(ctx, sizeof *r);
    if (!r) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    *r = (struct request){
        .method = {.at = "GET", .len = 3},
        .url_value = JS_UNDEFINED,
        .signal = JS_UNDEFINED,
        .referrer = JS_UNDEFINED,
        .integrity = JS_UNDEFINED,
        .cf = JS_UNDEFINED,
    };
    message_init(&r->message);
    JS_SetOpaque(object, r);
    *ret_request = r;
    return object;
}

JSValue request_new(JSContext *ctx, struct request **ret_request)
{
    return request_new_proto(ctx, JS_UNDEFINED, ret_request);
}

static void request_finalize(JSRuntime *rt, JSValueConst value)
{
    struct request *r = JS_GetOpaque(value, request_class);
    if (!r)
        return;
    if (eng.input_request == r)
        eng.input_request = NULL;
    message_done(rt, &r->message);
    JS_FreeValueRT(rt, r->url_value);
    JS_FreeValueRT(rt, r->signal);
    JS_FreeValueRT(rt, r->referrer);
    JS_FreeValueRT(rt, r->integrity);
    JS_FreeValueRT(rt, r->cf);
    free(r->own);
    js_free_rt(rt, r);
}

static void request_mark(JSRuntime *rt, JSValueConst value, JS_MarkFunc *mark)
{
    const struct request *r = JS_GetOpaque(value, request_class);
    if (!r)
        return;
    message_mark(rt, &r->message, mark);
    JS_MarkValue(rt, r->signal, mark);
    JS_MarkValue(rt, r->cf, mark);
}

/* Makes method and url slices of memory of our own. */
static bool request_own(JSContext *ctx, struct request *r, struct text method, struct text url)
{
    uint8_t *own = malloc(method.len + url.len + 1);
    if (!own) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    memcpy(own, method.at, method.len);
    memcpy(own + method.len, url.at, url.len);
    free(r->own);
    r->own = own;
    r->method = (struct text){.at = (char *)own, .len = method.len};
    r->url = (struct text){.at = (char *)own + method.len, .len = url.len};
    return true;
}

bool request_keep(JSContext *ctx, struct request *r)
{
    if (!r->is_input)
        return true;
    struct body *body = &r->message.body;
    if (!request_own(ctx, r, r->method, r->url) || !message_headers(ctx, &r->message) ||
        !header_list_own(ctx, r->message.headers))
        return false;
    if (body->kind == BODY_BYTES && body->owner == BODY_BORROWED) {
        uint8_t *copy = malloc(body->len ? body->len : 1);
        if (!copy) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
        memcpy(copy, body->at, body->len);
        body->at = copy;
        body->owner = BODY_MALLOC;
    }
    r->message.packed = NULL;
    r->is_input = false;
    return true;
}

/* --- construction --------------------------------------------------------------------------------
 */

bool request_address(JSContext *ctx, struct request *r, struct text url)
{
    JS_FreeValue(ctx, r->url_value);
    r->url_value = JS_UNDEFINED;
    return request_own(ctx, r, r->method, url);
}

static bool request_set_url(JSContext *ctx, struct request *r, JSValueConst input)
{
    struct op_reply reply;
    struct text text = text_of(ctx, input);
    if (!text.at)
        return false;
    struct op_url_parse args = {.input = op_bytes(text.at, text.len)};
    bool is_ok = op_ask(ctx, OP_URL_PARSE, &args, &reply);
    if (!is_ok) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        JS_ThrowTypeError(ctx, "'%.*s' is not an absolute URL",
                          (int)(text.len < 200 ? text.len : 200), text.at);
    }
    text_done(ctx, text);
    if (!is_ok)
        return false;
    struct reader reader = reader_of(reply.data, reply.len);
    (void)reader_bytes(&reader, ABI_URL_FIXED_BYTES);
    (void)reader_lstr(&reader);
    struct text href = reader_lstr(&reader);
    is_ok = request_own(ctx, r, r->method, href);
    op_reply_done(&reply);
    return is_ok;
}

static bool request_set_method(JSContext *ctx, struct request *r, JSValueConst value)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    struct text text = text_bytestring(ctx, value, "a method");
    if (!text.at)
        return false;
    struct text method = text;
    for (int i = 0; i < 6; i++) /* PATCH is not among those the standard puts in upper case */
        if (text_equal_nocase(text, known[i]))
            method = (struct text){.at = known[i], .len = (uint32_t)strlen(known[i])};
    bool is_ok = method.len > 0;
    for (uint32_t i = 0; i < method.len && is_ok; i++) {
        uint8_t c = (uint8_t)method.at[i];
        is_ok = c > ' ' && c < 0x7F && !strchr("\"(),/:;<=>?@[\\]{}", c);
    }
    if (!is_ok)
        JS_ThrowTypeError(ctx, "'%.*s' is not a valid HTTP method",
                          (int)(text.len < 100 ? text.len : 100), text.at);
    else if (text_equal_nocase(text, "CONNECT") || text_equal_nocase(text, "TRACE") ||
             text_equal_nocase(text, "TRACK"))
        is_ok = (JS_ThrowTypeError(ctx, "the method %.*s is not allowed", (int)text.len, text.at),
                 false);
    else
        is_ok = request_own(ctx, r, method, r->url);
    text_done(ctx, text);
    return is_ok;
}

/* The values of members that are one of a few texts, the usual one first. */
static const struct request_choice {
    enum engine_atom atom;
    uint8_t offset; /* in struct request */
    const char *values[10];
} request_choices[] = {
    {ATOM_redirect, offsetof(struct request, redirect), {"follow", "error", "manual"}},
    {ATOM_cache,
     offsetof(struct request, cache),
     {"default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"}},
    {ATOM_credentials, offsetof(struct request, credentials), {"same-origin", "omit", "include"}},
    {ATOM_mode, offsetof(struct request, mode), {"cors", "same-origin", "no-cors"}},
    {ATOM_referrerPolicy,
     offsetof(struct request, referrer_policy),
     {"", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
      "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url"}},
};
enum { REQUEST_ONLY_IF_CACHED = 5, REQUEST_SAME_ORIGIN = 1 }; /* of cache, of mode */
enum { REQUEST_CHOICES = sizeof request_choices / sizeof *request_choices };

static bool request_set_choice(JSContext *ctx, struct request *r, const struct request_choice *c,
                               JSValueConst value)
{
    struct buffer list = {0};
    struct text text = text_of(ctx, value);
    if (!text.at)
        return false;
    for (uint8_t i = 0; c->values[i]; i++) {
        if (text_is(text, c->values[i])) {
            ((uint8_t *)r)[c->offset] = i;
            text_done(ctx, text);
            buffer_done(&list);
            return true;
        }
        buffer_add(&list, i ? ", '" : "'", i ? 3 : 1);
        buffer_add(&list, c->values[i], (uint32_t)strlen(c->values[i]));
        buffer_add(&list, "'", 1);
    }
    const char *name = JS_AtomToCString(ctx, eng.atoms[c->atom]);
    JS_ThrowTypeError(ctx, "%s must be one of %.*s, not '%.*s'", name ? name : "", (int)list.len,
                      list.data ? (char *)list.data : "", (int)(text.len < 40 ? text.len : 40),
                      text.at);
    JS_FreeCString(ctx, name);
    text_done(ctx, text);
    buffer_done(&list);
    return false;
}

static bool request_set_keepalive(JSContext *ctx, struct request *r, JSValueConst value)
{
    r->is_keepalive = JS_ToBool(ctx, value) > 0;
    return true;
}

static bool request_set_text(JSContext *ctx, JSValue *member, JSValueConst value)
{
    JSValue text = JS_ToString(ctx, value);
    if (JS_IsException(text))
        return false;
    JS_FreeValue(ctx, *member);
    *member = text;
    return true;
}

static bool request_set_referrer(JSContext *ctx, struct request *r, JSValueConst value)
{
    return request_set_text(ctx, &r->referrer, value);
}

static bool request_set_integrity(JSContext *ctx, struct request *r, JSValueConst value)
{
    return request_set_text(ctx, &r->integrity, value);
}

static bool request_set_signal(JSContext *ctx, struct request *r, JSValueConst value)
{
    if (!JS_IsNull(value)) {
        JSValue is_signal = engine_hook(ctx, HOOK_isSignal, 1, &value);
        if (JS_IsException(is_signal))
            return false;
        if (!JS_ToBool(ctx, is_signal)) {
            JS_ThrowTypeError(ctx, "signal must be an AbortSignal");
            return false;
        }
    }
    JS_FreeValue(ctx, r->signal);
    r->signal = JS_IsNull(value) ? JS_UNDEFINED : JS_DupValue(ctx, value);
    r->is_signal_given = !JS_IsNull(value);
    return true;
}

static bool request_set_cf(JSContext *ctx, struct request *r, JSValueConst value)
{
    if (!JS_IsObject(value) && !JS_IsNull(value)) {
        JS_ThrowTypeError(ctx, "cf must be an object");
        return false;
    }
    JS_FreeValue(ctx, r->cf);
    r->cf = JS_IsNull(value) ? JS_UNDEFINED : JS_DupValue(ctx, value);
    r->http_version = 0; /* what code says, nobody else does */
    return true;
}

/* Everything but the body, from another request. */
static bool request_copy(JSContext *ctx, struct request *r, const struct request *other)
{
    if (!request_own(ctx, r, other->method, other->url))
        return false;
    struct text packed = message_packed(&other->message);
    struct header_list list = {.data = (uint8_t *)packed.at, .len = packed.len};
    r->message.headers = header_list_copy(ctx, &list);
    for (size_t i = 0; i < REQUEST_CHOICES; i++)
        ((uint8_t *)r)[request_choices[i].offset] =
            ((const uint8_t *)other)[request_choices[i].offset];
    r->is_keepalive = other->is_keepalive;
    r->referrer = JS_DupValue(ctx, other->referrer);
    r->integrity = JS_DupValue(ctx, other->integrity);
    r->signal = JS_DupValue(ctx, other->signal);
    r->cf = JS_DupValue(ctx, other->cf);
    r->http_version = other->http_version;
    r->tls_version = other->tls_version;
    r->is_signal_given = !JS_IsUndefined(other->signal);
    return r->message.headers != NULL;
}

static bool request_method_has_body(const struct request *r)
{
    return !text_is(r->method, "GET") && !text_is(r->method, "HEAD");
}

/* Applies a RequestInit; *ret_has_body: it gave a body, or null. */
static bool request_apply(JSContext *ctx, struct request *r, JSValueConst init, bool *ret_has_body)
{
    if (JS_IsUndefined(init) || JS_IsNull(init))
        return true;
    if (!JS_IsObject(init)) {
        JS_ThrowTypeError(ctx, "the second argument must be an object such as {method: \"POST\"}");
        return false;
    }
    static const struct {
        enum engine_atom atom;
        bool (*set)(JSContext *, struct request *, JSValueConst);
    } members[] = {
        {ATOM_method, request_set_method},       {ATOM_referrer, request_set_referrer},
        {ATOM_integrity, request_set_integrity}, {ATOM_keepalive, request_set_keepalive},
        {ATOM_signal, request_set_signal},       {ATOM_cf, request_set_cf},
    };
    for (size_t i = 0; i < REQUEST_CHOICES; i++) {
        const struct request_choice *c = &request_choices[i];
        JSValue value = JS_GetProperty(ctx, init, eng.atoms[c->atom]);
        if (JS_IsException(value))
            return false;
        bool is_ok = JS_IsUndefined(value) || request_set_choice(ctx, r, c, value);
        JS_FreeValue(ctx, value);
        if (!is_ok)
            return false;
    }
    if (r->cache == REQUEST_ONLY_IF_CACHED && r->mode != REQUEST_SAME_ORIGIN) {
        JS_ThrowTypeError(ctx, "cache 'only-if-cached' needs mode 'same-origin'");
        return false;
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        JSValue value = JS_GetProperty(ctx, init, eng.atoms[members[i].atom]);
        if (JS_IsException(value))
            return false;
        bool is_ok = JS_IsUndefined(value) || members[i].set(ctx, r, value);
        JS_FreeValue(ctx, value);
        if (!is_ok)
            return false;
    }
    JSValue headers = JS_GetProperty(ctx, init, eng.atoms[ATOM_headers]);
    if (JS_IsException(headers))
        return false;
    bool is_ok = true;
    if (!JS_IsUndefined(headers)) {
        struct header_list *list = header_list_new(ctx);
        is_ok = list && header_list_fill(ctx, list, headers);
        header_list_unref(JS_GetRuntime(ctx), r->message.headers);
        r->message.headers = list;
    }
    JS_FreeValue(ctx, headers);
    JSValue body = is_ok ? JS_GetProperty(ctx, init, eng.atoms[ATOM_body]) : JS_EXCEPTION;
    if (JS_IsException(body))
        return false;
    *ret_has_body = !JS_IsUndefined(body);
    if (!JS_IsUndefined(body) && !JS_IsNull(body)) {
        is_ok = request_method_has_body(r);
        if (!is_ok)
            JS_ThrowTypeError(ctx, "a %.*s request cannot have a body", (int)r->method.len,
                              r->method.at);
        else
            is_ok = body_set(ctx, &r->message, body);
    }
    JS_FreeValue(ctx, body);
    return is_ok;
}

/* Moves the body of the request given as input into the new one. */
static bool request_take_body(JSContext *ctx, struct request *r, struct request *other)
{
    struct body *from = &other->message.body;
    if (from->kind == BODY_NONE)
        return true;
    if (body_is_unusable(ctx, from)) {
        JS_ThrowTypeError(ctx, "the body of the request given has been read already");
        return false;
    }
    if (!request_method_has_body(r)) {
        JS_ThrowTypeError(ctx, "a %.*s request cannot have a body", (int)r->method.len,
                          r->method.at);
        return false;
    }
    if (from->kind == BODY_SOURCE) {
        r->message.body.kind = BODY_SOURCE;
        r->message.body.source = from->source;
    } else if (from->kind == BODY_STREAM) {
        r->message.body.kind = BODY_STREAM;
        r->message.body.value = JS_DupValue(ctx, from->value);
    } else if (!body_clone(ctx, &r->message, &other->message)) {
        return false;
    }
    from->is_used = true;
    return true;
}

static JSValue request_build(JSContext *ctx, JSValueConst new_target, JSValueConst input,
                             JSValueConst init, struct request **ret_request)
{
    struct request *r, *other = request_of(input);
    JSValue object = request_new_proto(ctx, new_target, &r);
    if (JS_IsException(object))
        return object;
    bool has_body = false;
    bool is_ok = other ? request_copy(ctx, r, other) : request_set_url(ctx, r, input);
    is_ok = is_ok && request_apply(ctx, r, init, &has_body);
    if (is_ok && other && !has_body)
        is_ok = request_take_body(ctx, r, other);
    if (!is_ok) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    *ret_request = r;
    return object;
}

JSValue request_from(JSContext *ctx, JSValueConst input, JSValueConst init,
                     struct request **ret_request)
{
    return request_build(ctx, JS_UNDEFINED, input, init, ret_request);
}

static JSValue request_construct(JSContext *ctx, JSValueConst new_target, int argc,
                                 JSValueConst *argv)
{
    struct request *r;
    if (argc < 1)
        return JS_ThrowTypeError(ctx, "new Request() needs a URL or a Request");
    return request_build(ctx, new_target, argv[0], argc > 1 ? argv[1] : JS_UNDEFINED, &r);
}

static JSValue request_clone(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct request *r = JS_GetOpaque2(ctx, this_value, request_class), *copy;
    if (!r)
        return JS_EXCEPTION;
    if (body_is_unusable(ctx, &r->message.body))
        return JS_ThrowTypeError(ctx, "a request whose body has been read cannot be cloned");
    JSValue object = request_new(ctx, &copy);
    if (JS_IsException(object))
        return object;
    if (request_copy(ctx, copy, r) && body_clone(ctx, &copy->message, &r->message))
        return object;
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

/* --- signal --------------------------------------------------------------------------------------
 */

static JSValue request_get_signal(JSContext *ctx, JSValueConst this_value)
{
    struct request *r = JS_GetOpaque2(ctx, this_value, request_class);
    if (!r)
        return JS_EXCEPTION;
    if (r->is_signal_given) {
        JSValue signal = engine_hook(ctx, HOOK_followSignal, 1, &r->signal);
        if (JS_IsException(signal))
            return signal;
        JS_FreeValue(ctx, r->signal);
        r->signal = signal;
        r->is_signal_given = false;
    }
    if (JS_IsUndefined(r->signal)) {
        JSValue signal = engine_hook(ctx, HOOK_makeSignal, 0, NULL);
        if (JS_IsException(signal))
            return signal;
        r->signal = signal;
        if (r->is_aborted)
            request_abort(ctx, r);
    }
    return JS_DupValue(ctx, r->signal);
}

void request_abort(JSContext *ctx, struct request *r)
{
    r->is_aborted = true;
    if (JS_IsUndefined(r->signal))
        return;
    JS_ThrowDOMException(ctx, "AbortError", "%s", "the client closed the connection");
    JSValue args[2] = {JS_DupValue(ctx, r->signal), JS_GetException(ctx)};
    JSValue result = engine_hook(ctx, HOOK_abortSignal, 2, args);
    if (JS_IsException(result)) {
        JSValue error = JS_GetException(ctx);
        engine_report(ctx, "Uncaught in an abort listener: ", error);
        JS_FreeValue(ctx, error);
    }
    JS_FreeValues(ctx, result, args[0], args[1]);
}

/* --- getters -------------------------------------------------------------------------------------
 */

enum { REQUEST_METHOD, REQUEST_URL, REQUEST_REFERRER, REQUEST_INTEGRITY, REQUEST_KEEPALIVE };

static JSValue request_get(JSContext *ctx, JSValueConst this_value, int magic)
{
    struct request *r = JS_GetOpaque2(ctx, this_value, request_class);
    if (!r)
        return JS_EXCEPTION;
    switch (magic) {
    case REQUEST_METHOD:
        return text_decode(ctx, (const uint8_t *)r->method.at, r->method.len, true);
    case REQUEST_REFERRER:
        return JS_IsUndefined(r->referrer) ? JS_NewString(ctx, "about:client")
                                           : JS_DupValue(ctx, r->referrer);
    case REQUEST_INTEGRITY:
        return JS_IsUndefined(r->integrity) ? JS_NewString(ctx, "")
                                            : JS_DupValue(ctx, r->integrity);
    case REQUEST_KEEPALIVE:
        return JS_NewBool(ctx, r->is_keepalive);
    default:
        if (JS_IsUndefined(r->url_value))
            r->url_value = text_decode(ctx, (const uint8_t *)r->url.at, r->url.len, true);
        return JS_DupValue(ctx, r->url_value);
    }
}

/* What is known here of how the request came; docs/workers.md. */
static JSValue request_make_cf(JSContext *ctx, struct request *r)
{
    JSValue cf = JS_NewObject(ctx);
    const struct header_list *headers = message_headers(ctx, &r->message);
    if (JS_IsException(cf) || !headers) {
        JS_FreeValue(ctx, cf);
        return JS_EXCEPTION;
    }
    struct text accept = header_list_find(headers, "accept-encoding");
    const char *http = r->http_version == 20   ? "HTTP/2"
                       : r->http_version == 11 ? "HTTP/1.1"
                                               : "HTTP/1.0";
    const char *tls = r->tls_version == 13 ? "TLSv1.3" : r->tls_version == 12 ? "TLSv1.2" : "";
    JS_DefinePropertyValueStr(ctx, cf, "httpProtocol", JS_NewString(ctx, http), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, cf, "tlsVersion", JS_NewString(ctx, tls), JS_PROP_C_W_E);
    if (accept.at)
        JS_DefinePropertyValueStr(ctx, cf, "clientAcceptEncoding",
                                  text_from_latin1(ctx, (const uint8_t *)accept.at, accept.len),
                                  JS_PROP_C_W_E);
    return cf;
}

static JSValue request_get_cf(JSContext *ctx, JSValueConst this_value)
{
    struct request *r = JS_GetOpaque2(ctx, this_value, request_class);
    if (!r)
        return JS_EXCEPTION;
    if (JS_IsUndefined(r->cf) && r->http_version) {
        JSValue cf = request_make_cf(ctx, r);
        if (JS_IsException(cf))
            return cf;
        r->cf = cf;
    }
    return JS_DupValue(ctx, r->cf);
}

/* magic: place in request_choices. */
static JSValue request_get_choice(JSContext *ctx, JSValueConst this_value, int magic)
{
    const struct request *r = JS_GetOpaque2(ctx, this_value, request_class);
    const struct request_choice *c = &request_choices[magic];
    return r ? JS_NewString(ctx, c->values[((const uint8_t *)r)[c->offset]]) : JS_EXCEPTION;
}

static const JSCFunctionListEntry request_methods[] = {
    MESSAGE_METHODS,
    JS_CFUNC_DEF("clone", 0, request_clone),
    JS_CGETSET_MAGIC_DEF("method", request_get, NULL, REQUEST_METHOD),
    JS_CGETSET_MAGIC_DEF("url", request_get, NULL, REQUEST_URL),
    JS_CGETSET_MAGIC_DEF("redirect", request_get_choice, NULL, 0),
    JS_CGETSET_MAGIC_DEF("cache", request_get_choice, NULL, 1),
    JS_CGETSET_MAGIC_DEF("credentials", request_get_choice, NULL, 2),
    JS_CGETSET_MAGIC_DEF("mode", request_get_choice, NULL, 3),
    JS_CGETSET_MAGIC_DEF("referrerPolicy", request_get_choice, NULL, 4),
    JS_CGETSET_MAGIC_DEF("referrer", request_get, NULL, REQUEST_REFERRER),
    JS_CGETSET_MAGIC_DEF("integrity", request_get, NULL, REQUEST_INTEGRITY),
    JS_CGETSET_MAGIC_DEF("keepalive", request_get, NULL, REQUEST_KEEPALIVE),
    JS_CGETSET_DEF("signal", request_get_signal, NULL),
    JS_CGETSET_DEF("cf", request_get_cf, NULL),
    JS_PROP_STRING_DEF("destination", "", JS_PROP_CONFIGURABLE),
    JS_PROP_STRING_DEF("duplex", "half", JS_PROP_CONFIGURABLE),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "Request", JS_PROP_CONFIGURABLE),
};

bool request_init(JSContext *ctx)
{
    static const JSClassDef def = {
        .class_name = "Request",
        .finalizer = request_finalize,
        .gc_mark = request_mark,
    };
    return engine_class(ctx, &request_class, &def, request_construct, 1, request_methods,
                        sizeof request_methods / sizeof *request_methods);
}
