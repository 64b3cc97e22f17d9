/* SPDX-License-Identifier: Apache-2.0 */
#include "response.h"

#include "engine.h"
#include "op.h"
#include "text.h"

static JSClassID response_class;

struct response *response_of(JSValueConst value)
{
    return JS_GetOpaque(value, response_class);
}

static JSValue response_new_proto(JSContext *ctx, JSValueConst new_target,
                                  struct response **ret_response)
{
    JSValue object;
    if (JS_IsUndefined(new_target)) {
        object = JS_NewObjectClass(ctx, response_class);
    } else {
        JSValue proto = JS_GetProperty(ctx, new_target, eng.atoms[ATOM_prototype]);
        if (JS_IsException(proto))
            return proto;
        object = JS_NewObjectProtoClass(ctx, proto, response_class);
        JS_FreeValue(ctx, proto);
    }
    if (JS_IsException(object))
        return object;
    struct response *r = js_malloc(ctx, sizeof *r);
    if (!r) {
        JS_FreeValue(ctx, object);
        return JS_EXCEPTION;
    }
    *r = (struct response){.status = 200,
                           .status_text = JS_UNDEFINED,
                           .url = JS_UNDEFINED,
                           .web_socket = JS_UNDEFINED};
    message_init(&r->message);
    JS_SetOpaque(object, r);
    *ret_response = r;
    return object;
}

JSValue response_new(JSContext *ctx, struct response **ret_response)
{
    return response_new_proto(ctx, JS_UNDEFINED, ret_response);
}

static void response_finalize(JSRuntime *rt, JSValueConst value)
{
    struct response *r = JS_GetOpaque(value, response_class);
    if (!r)
        return;
    message_done(rt, &r->message);
    JS_FreeValueRT(rt, r->status_text);
    JS_FreeValueRT(rt, r->url);
    JS_FreeValueRT(rt, r->web_socket);
    js_free_rt(rt, r);
}

static void response_mark(JSRuntime *rt, JSValueConst value, JS_MarkFunc *mark)
{
    const struct response *r = JS_GetOpaque(value, response_class);
    if (!r)
        return;
    message_mark(rt, &r->message, mark);
    JS_MarkValue(rt, r->web_socket, mark);
}

/* --- construction --------------------------------------------------------------------------------
 */

/* Workers' own member; status 101 is for it alone. */
static bool response_init_socket(JSContext *ctx, struct response *r, JSValueConst init)
{
    JSValue socket = JS_GetProperty(ctx, init, eng.atoms[ATOM_webSocket]);
    if (JS_IsException(socket))
        return false;
    if (JS_IsUndefined(socket) || JS_IsNull(socket))
        return true;
    if (!JS_IsObject(socket)) {
        JS_FreeValue(ctx, socket);
        JS_ThrowTypeError(ctx, "the webSocket of a Response must be a WebSocket");
        return false;
    }
    r->web_socket = socket;
    return true;
}

static bool response_init_status(JSContext *ctx, struct response *r, JSValueConst init)
{
    JSValue status = JS_GetProperty(ctx, init, eng.atoms[ATOM_status]);
    if (JS_IsException(status))
        return false;
    if (!JS_IsUndefined(status)) {
        double number = 0;
        int failed = JS_ToFloat64(ctx, &number, status);
        JS_FreeValue(ctx, status);
        if (failed)
            return false;
        bool is_upgrade = number == 101 && !JS_IsUndefined(r->web_socket);
        if (!is_upgrade && !(number >= 200 && number <= 599)) {
            JS_ThrowRangeError(
                ctx, "a response's status must be from 200 to 599, or 101 with a webSocket");
            return false;
        }
        r->status = (uint16_t)number;
    }
    if (!JS_IsUndefined(r->web_socket) && r->status != 101) {
        JS_ThrowRangeError(ctx, "a response with a webSocket must have status 101");
        return false;
    }
    return true;
}

static bool response_init_status_text(JSContext *ctx, struct response *r, JSValueConst init)
{
    JSValue value = JS_GetProperty(ctx, init, eng.atoms[ATOM_statusText]);
    if (JS_IsException(value))
        return false;
    if (JS_IsUndefined(value))
        return true;
    struct text text = text_bytestring(ctx, value, "statusText");
    JS_FreeValue(ctx, value);
    if (!text.at)
        return false;
    bool is_ok = true;
    for (uint32_t i = 0; i < text.len && is_ok; i++) {
        uint8_t c = (uint8_t)text.at[i];
        is_ok = c == '\t' || (c >= ' ' && c != 0x7F);
    }
    if (is_ok)
        r->status_text = text_from_latin1(ctx, (const uint8_t *)text.at, text.len);
    else
        JS_ThrowTypeError(ctx, "statusText must not contain control characters");
    text_done(ctx, text);
    return is_ok && !JS_IsException(r->status_text);
}

/* Applies a ResponseInit, which may also be a Response. */
static bool response_init_from(JSContext *ctx, struct response *r, JSValueConst init)
{
    if (JS_IsUndefined(init) || JS_IsNull(init))
        return true;
    if (!JS_IsObject(init)) {
        JS_ThrowTypeError(
            ctx, "the second argument of a Response must be an object such as {status: 404}");
        return false;
    }
    if (!response_init_socket(ctx, r, init) || !response_init_status(ctx, r, init) ||
        !response_init_status_text(ctx, r, init))
        return false;
    JSValue headers = JS_GetProperty(ctx, init, eng.atoms[ATOM_headers]);
    if (JS_IsException(headers))
        return false;
    bool is_ok = true;
    if (!JS_IsUndefined(headers)) {
        r->message.headers = header_list_new(ctx);
        is_ok = r->message.headers && header_list_fill(ctx, r->message.headers, headers);
    }
    JS_FreeValue(ctx, headers);
    return is_ok;
}

static bool response_is_null_body(int status)
{
    return status == 101 || status == 204 || status == 205 || status == 304;
}

static JSValue response_construct(JSContext *ctx, JSValueConst new_target, int argc,
                                  JSValueConst *argv)
{
    struct response *r;
    JSValue object = response_new_proto(ctx, new_target, &r);
    if (JS_IsException(object))
        return object;
    bool is_ok = argc < 2 || response_init_from(ctx, r, argv[1]);
    if (is_ok && argc > 0 && !JS_IsUndefined(argv[0]) && !JS_IsNull(argv[0])) {
        if (response_is_null_body(r->status)) {
            JS_ThrowTypeError(ctx, "a response with status %d cannot have a body; pass null",
                              r->status);
            is_ok = false;
        } else {
            is_ok = body_set(ctx, &r->message, argv[0]);
        }
    }
    if (is_ok)
        return object;
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

static JSValue response_json(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct response *r;
    JSValue object = response_new(ctx, &r);
    if (JS_IsException(object))
        return object;
    bool is_ok = argc < 2 || response_init_from(ctx, r, argv[1]);
    if (is_ok && response_is_null_body(r->status)) {
        JS_ThrowTypeError(ctx, "a response with status %d cannot have a body", r->status);
        is_ok = false;
    }
    if (is_ok && body_set_json(ctx, &r->message, argc > 0 ? argv[0] : JS_UNDEFINED))
        return object;
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

/* The href of a URL given to us; .at NULL: exception. Release with op_reply_done(). */
static struct text response_parse_url(JSContext *ctx, JSValueConst value, struct op_reply *reply)
{
    struct text input = text_of(ctx, value);
    if (!input.at)
        return input;
    struct op_url_parse args = {.input = op_bytes(input.at, input.len)};
    bool is_ok = op_ask(ctx, OP_URL_PARSE, &args, reply);
    if (!is_ok) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        JS_ThrowTypeError(ctx, "'%.*s' is not an absolute URL",
                          (int)(input.len < 200 ? input.len : 200), input.at);
    }
    text_done(ctx, input);
    if (!is_ok)
        return (struct text){0};
    struct reader reader = reader_of(reply->data, reply->len);
    (void)reader_bytes(&reader, ABI_URL_FIXED_BYTES);
    (void)reader_lstr(&reader);
    return reader_lstr(&reader);
}

static JSValue response_redirect(JSContext *ctx, JSValueConst this_value, int argc,
                                 JSValueConst *argv)
{
    struct op_reply reply;
    struct response *r;
    int32_t status = 302;
    if (argc < 1)
        return JS_ThrowTypeError(ctx, "Response.redirect needs a URL");
    struct text href = response_parse_url(ctx, argv[0], &reply);
    if (!href.at)
        return JS_EXCEPTION;
    JSValue object = JS_EXCEPTION;
    if (argc > 1 && !JS_IsUndefined(argv[1]) && JS_ToInt32(ctx, &status, argv[1]) < 0)
        goto out;
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
        JS_ThrowRangeError(ctx, "a redirect's status must be 301, 302, 303, 307 or 308");
        goto out;
    }
    object = response_new(ctx, &r);
    if (JS_IsException(object))
        goto out;
    r->status = (uint16_t)status;
    r->message.headers = header_list_new(ctx);
    struct text name = {.at = "location", .len = 8};
    if (!r->message.headers || !header_list_append(ctx, r->message.headers, name, href)) {
        JS_FreeValue(ctx, object);
        object = JS_EXCEPTION;
    } else {
        r->message.headers->is_immutable = true;
    }
out:
    op_reply_done(&reply);
    return object;
}

static JSValue response_error(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct response *r;
    JSValue object = response_new(ctx, &r);
    if (JS_IsException(object))
        return object;
    r->status = 0;
    r->type = RESPONSE_ERROR;
    r->message.headers = header_list_new(ctx);
    if (r->message.headers)
        r->message.headers->is_immutable = true;
    return object;
}

static JSValue response_clone(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    struct response *r = JS_GetOpaque2(ctx, this_value, response_class), *copy;
    if (!r)
        return JS_EXCEPTION;
    if (body_is_unusable(ctx, &r->message.body))
        return JS_ThrowTypeError(ctx, "a response whose body has been read cannot be cloned");
    if (!JS_IsUndefined(r->web_socket))
        return JS_ThrowTypeError(ctx, "a response with a webSocket cannot be cloned");
    JSValue object = response_new(ctx, &copy);
    if (JS_IsException(object))
        return object;
    copy->status = r->status;
    copy->type = r->type;
    copy->is_redirected = r->is_redirected;
    copy->status_text = JS_DupValue(ctx, r->status_text);
    copy->url = JS_DupValue(ctx, r->url);
    copy->message.content_type = r->message.content_type;
    if (r->message.headers)
        copy->message.headers = header_list_copy(ctx, r->message.headers);
    if ((!r->message.headers || copy->message.headers) &&
        body_clone(ctx, &copy->message, &r->message))
        return object;
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

/* --- getters -------------------------------------------------------------------------------------
 */

enum {
    RESPONSE_STATUS,
    RESPONSE_OK,
    RESPONSE_STATUS_TEXT,
    RESPONSE_URL,
    RESPONSE_TYPE,
    RESPONSE_REDIRECTED,
    RESPONSE_SOCKET
};

static JSValue response_get(JSContext *ctx, JSValueConst this_value, int magic)
{
    static const char *const types[] = {"default", "basic", "error"};
    const struct response *r = JS_GetOpaque2(ctx, this_value, response_class);
    if (!r)
        return JS_EXCEPTION;
    JSValueConst text = magic == RESPONSE_URL ? r->url : r->status_text;
    switch (magic) {
    case RESPONSE_STATUS:
        return JS_NewInt32(ctx, r->status);
    case RESPONSE_OK:
        return JS_NewBool(ctx, r->status >= 200 && r->status <= 299);
    case RESPONSE_TYPE:
        return JS_NewString(ctx, types[r->type]);
    case RESPONSE_REDIRECTED:
        return JS_NewBool(ctx, r->is_redirected);
    case RESPONSE_SOCKET:
        return JS_IsUndefined(r->web_socket) ? JS_NULL : JS_DupValue(ctx, r->web_socket);
    default:
        return JS_IsUndefined(text) ? JS_NewStringLen(ctx, "", 0) : JS_DupValue(ctx, text);
    }
}

static const JSCFunctionListEntry response_methods[] = {
    MESSAGE_METHODS,
    JS_CFUNC_DEF("clone", 0, response_clone),
    JS_CGETSET_MAGIC_DEF("status", response_get, NULL, RESPONSE_STATUS),
    JS_CGETSET_MAGIC_DEF("ok", response_get, NULL, RESPONSE_OK),
    JS_CGETSET_MAGIC_DEF("statusText", response_get, NULL, RESPONSE_STATUS_TEXT),
    JS_CGETSET_MAGIC_DEF("url", response_get, NULL, RESPONSE_URL),
    JS_CGETSET_MAGIC_DEF("type", response_get, NULL, RESPONSE_TYPE),
    JS_CGETSET_MAGIC_DEF("redirected", response_get, NULL, RESPONSE_REDIRECTED),
    JS_CGETSET_MAGIC_DEF("webSocket", response_get, NULL, RESPONSE_SOCKET),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "Response", JS_PROP_CONFIGURABLE),
};

static const JSCFunctionListEntry response_statics[] = {
    JS_CFUNC_DEF("json", 1, response_json),
    JS_CFUNC_DEF("redirect", 1, response_redirect),
    JS_CFUNC_DEF("error", 0, response_error),
};

bool response_init(JSContext *ctx)
{
    static const JSClassDef def = {
        .class_name = "Response",
        .finalizer = response_finalize,
        .gc_mark = response_mark,
    };
    if (!engine_class(ctx, &response_class, &def, response_construct, 0, response_methods,
                      sizeof response_methods / sizeof *response_methods))
        return false;
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue constructor = JS_GetPropertyStr(ctx, global, "Response");
    int failed = JS_SetPropertyFunctionList(ctx, constructor, response_statics,
                                            sizeof response_statics / sizeof *response_statics);
    JS_FreeValues(ctx, global, constructor);
    return !failed;
}
