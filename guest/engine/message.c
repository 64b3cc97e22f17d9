/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <stdlib.h>

#include "engine.h"
#include "json.h"
#include "layout.h"
#include "op.h"
#include "request.h"
#include "response.h"
#include "source.h"
#include "text.h"

enum { BODY_READ_BYTES = 256 * 1024 }; /* asked for at once from a host stream */

void message_init(struct message *m)
{
    *m = (struct message){.body.value = JS_UNDEFINED, .headers_value = JS_UNDEFINED};
}

static void body_clear(JSRuntime *rt, struct body *body)
{
    if (body->kind == BODY_BYTES && body->owner == BODY_MALLOC)
        free((void *)body->at);
    if (body->kind == BODY_BYTES && body->owner == BODY_JS)
        js_free_rt(rt, (void *)body->at);
    JS_FreeValueRT(rt, body->value);
    *body = (struct body){.value = JS_UNDEFINED};
}

void message_done(JSRuntime *rt, struct message *m)
{
    header_list_unref(rt, m->headers);
    m->headers = NULL;
    JS_FreeValueRT(rt, m->headers_value);
    body_clear(rt, &m->body);
}

void message_mark(JSRuntime *rt, const struct message *m, JS_MarkFunc *mark)
{
    JS_MarkValue(rt, m->body.value, mark);
    JS_MarkValue(rt, m->headers_value, mark);
}

/* --- headers -------------------------------------------------------------------------------------
 */

#define PACKED_CONTENT_TYPE(len, value) "\1\0\0\0\14\0\0\0content-type" len "\0\0\0" value

static struct text content_type_packed(enum content_type type)
{
#define PACKED(literal) (struct text){.at = literal, .len = sizeof literal - 1}
    switch (type) {
    case CONTENT_TEXT:
        return PACKED(PACKED_CONTENT_TYPE("\30", "text/plain;charset=UTF-8"));
    case CONTENT_JSON:
        return PACKED(PACKED_CONTENT_TYPE("\20", "application/json"));
    case CONTENT_NONE:
        break;
    }
    return PACKED("\0\0\0\0");
#undef PACKED
}

struct text message_packed(const struct message *m)
{
    if (m->headers && m->headers->len >= 4)
        return (struct text){.at = (const char *)m->headers->data, .len = m->headers->len};
    if (m->packed && !m->headers)
        return (struct text){.at = (const char *)m->packed, .len = m->packed_len};
    return content_type_packed(m->headers ? CONTENT_NONE : m->content_type);
}

struct header_list *message_headers(JSContext *ctx, struct message *m)
{
    if (!m->headers) {
        struct text packed = message_packed(m);
        m->headers = header_list_borrow(ctx, (const uint8_t *)packed.at, packed.len);
        if (m->headers && m->packed)
            m->headers->is_immutable = true;
    }
    return m->headers;
}

struct text message_content_type(const struct message *m)
{
    struct text packed = message_packed(m);
    struct header_list list = {.data = (uint8_t *)packed.at, .len = packed.len};
    return header_list_find(&list, "content-type");
}

/* Sets content-type unless there is one. */
static bool message_set_content_type(JSContext *ctx, struct message *m, enum content_type type)
{
    if (!m->headers && !m->packed) {
        m->content_type = type;
        return true;
    }
    if (type == CONTENT_NONE || message_content_type(m).at)
        return true;
    struct header_list implied = {0};
    struct text packed = content_type_packed(type);
    implied.data = (uint8_t *)packed.at;
    implied.len = packed.len;
    struct text name = {.at = "content-type", .len = 12};
    return message_headers(ctx, m) &&
           header_list_append(ctx, m->headers, name, header_list_find(&implied, "content-type"));
}

/* --- setting a body ------------------------------------------------------------------------------
 */

static bool body_copy_bytes(JSContext *ctx, struct body *body, struct text bytes)
{
    uint8_t *copy = js_malloc(ctx, bytes.len ? bytes.len : 1);
    if (!copy)
        return false;
    memcpy(copy, bytes.at, bytes.len);
    body->kind = BODY_BYTES;
    body->owner = BODY_JS;
    body->at = copy;
    body->len = bytes.len;
    return true;
}

/* What the runtime makes of Blob, FormData, URLSearchParams. 1: set, 0: not such an object, -1:
 * exception. */
static int body_set_object(JSContext *ctx, struct message *m, JSValueConst init)
{
    JSValue pair = engine_hook(ctx, HOOK_bodyFromObject, 1, &init);
    if (JS_IsException(pair))
        return -1;
    if (!JS_IsObject(pair)) {
        JS_FreeValue(ctx, pair);
        return 0;
    }
    JSValue body = JS_GetPropertyUint32(ctx, pair, 0);
    JSValue type = JS_GetPropertyUint32(ctx, pair, 1);
    JS_FreeValue(ctx, pair);
    bool has_type = message_content_type(m).at != NULL;
    bool is_ok = !JS_IsException(body) && !JS_IsException(type) && body_set(ctx, m, body);
    JS_FreeValue(ctx, body);
    if (is_ok && !has_type) {
        if (!m->headers && !m->packed)
            m->content_type = CONTENT_NONE; /* not what body_set made of a string */
        if (JS_IsString(type)) {
            struct text value = text_bytestring(ctx, type, "a content type");
            struct text name = {.at = "content-type", .len = 12};
            is_ok = value.at && message_headers(ctx, m) &&
                    header_list_append(ctx, m->headers, name, value);
            if (value.at)
                text_done(ctx, value);
        }
    }
    JS_FreeValue(ctx, type);
    return is_ok ? 1 : -1;
}

static bool body_set_stream(JSContext *ctx, struct message *m, JSValueConst stream)
{
    JSValue state = engine_hook(ctx, HOOK_streamState, 1, &stream);
    int32_t bits = 0;
    if (JS_IsException(state) || JS_ToInt32(ctx, &bits, state) < 0)
        return false;
    if (bits) {
        JS_ThrowTypeError(ctx, "the stream given as a body is %s",
                          bits & 2 ? "locked to a reader" : "already read");
        return false;
    }
    m->body.kind = BODY_STREAM;
    m->body.value = JS_DupValue(ctx, stream);
    return true;
}

static bool body_set_text(JSContext *ctx, struct message *m, JSValue string)
{
    if (JS_IsException(string))
        return false;
    m->body.kind = BODY_TEXT;
    m->body.value = string;
    return message_set_content_type(ctx, m, CONTENT_TEXT);
}

bool body_set(JSContext *ctx, struct message *m, JSValueConst init)
{
    if (JS_IsString(init))
        return body_set_text(ctx, m, JS_DupValue(ctx, init));
    if (!JS_IsObject(init))
        return body_set_text(ctx, m, JS_ToString(ctx, init));
    struct text bytes = text_of_buffer(ctx, init);
    if (bytes.at)
        return body_copy_bytes(ctx, &m->body, bytes);
    if (JS_HasException(ctx))
        return false;
    if (engine_has_hook(HOOK_isStream)) {
        JSValue is_stream = engine_hook(ctx, HOOK_isStream, 1, &init);
        if (JS_IsException(is_stream))
            return false;
        if (JS_VALUE_GET_TAG(is_stream) == JS_TAG_BOOL && JS_VALUE_GET_BOOL(is_stream))
            return body_set_stream(ctx, m, init);
        JS_FreeValue(ctx, is_stream);
    }
    int set = engine_has_hook(HOOK_bodyFromObject) ? body_set_object(ctx, m, init) : 0;
    if (set != 0)
        return set > 0;
    return body_set_text(ctx, m, JS_ToString(ctx, init));
}

bool body_set_json(JSContext *ctx, struct message *m, JSValueConst value)
{
    uint8_t small[512];
    struct buffer out = {.data = small, .cap = sizeof small, .is_lent = true};
    enum json_written written = json_write(ctx, value, &out);
    bool is_ok = written == JSON_WRITTEN;
    if (written == JSON_NOTHING)
        JS_ThrowTypeError(ctx,
                          "the value has no JSON form (it is undefined, a function or a symbol)");
    if (is_ok && out.is_lent) {
        is_ok = body_copy_bytes(ctx, &m->body,
                                (struct text){.at = (const char *)out.data, .len = out.len});
    } else if (is_ok) {
        m->body.kind = BODY_BYTES;
        m->body.owner = BODY_MALLOC;
        m->body.at = out.data;
        m->body.len = out.len;
        out.is_lent = true; /* handed over */
    }
    buffer_done(&out);
    m->body.is_json = true;
    return is_ok && message_set_content_type(ctx, m, CONTENT_JSON);
}

/* --- streams -------------------------------------------------------------------------------------
 */

static int32_t body_stream_state(JSContext *ctx, const struct body *body)
{
    int32_t bits = 0;
    JSValue state = engine_hook(ctx, HOOK_streamState, 1, (JSValueConst *)&body->value);
    if (JS_IsException(state))
        JS_FreeValue(ctx, JS_GetException(ctx));
    else
        JS_ToInt32(ctx, &bits, state);
    return bits;
}

bool body_is_unusable(JSContext *ctx, const struct body *body)
{
    return body->is_used || (body->kind == BODY_STREAM && body_stream_state(ctx, body) != 0);
}

/* Turns any body that is there into a ReadableStream. */
static bool body_make_stream(JSContext *ctx, struct body *body)
{
    if (body->kind == BODY_STREAM || body->kind == BODY_NONE)
        return true;
    JSValue stream;
    if (body->kind == BODY_SOURCE) {
        JSValue source = JS_NewUint32(ctx, body->source);
        stream = engine_hook(ctx, HOOK_streamFromSource, 1, &source);
    } else {
        struct text flat = body_flat(ctx, body);
        if (!flat.at)
            return false;
        JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)flat.at, flat.len);
        body_flat_done(ctx, body, flat);
        if (JS_IsException(bytes))
            return false;
        stream = engine_hook(ctx, HOOK_streamFromBytes, 1, &bytes);
        JS_FreeValue(ctx, bytes);
    }
    if (JS_IsException(stream))
        return false;
    bool is_used = body->is_used;
    body_clear(JS_GetRuntime(ctx), body);
    body->kind = BODY_STREAM;
    body->value = stream;
    body->is_used = is_used;
    if (is_used) { /* text() or its kin has read it: it stays locked, as by their reader */
        JSAtom get_reader = JS_NewAtom(ctx, "getReader");
        JSValue reader = JS_Invoke(ctx, stream, get_reader, 0, NULL);
        JS_FreeAtom(ctx, get_reader);
        if (JS_IsException(reader))
            return false;
        JS_FreeValue(ctx, reader);
    }
    return true;
}

uint32_t body_take_source(JSContext *ctx, struct body *body)
{
    uint32_t source = 0;
    if (body->kind == BODY_SOURCE) {
        source = body->source;
        body->is_used = true;
    } else if (body->kind == BODY_STREAM && engine_has_hook(HOOK_streamTakeSource)) {
        JSValue taken = engine_hook(ctx, HOOK_streamTakeSource, 1, &body->value);
        if (JS_IsException(taken))
            JS_FreeValue(ctx, JS_GetException(ctx));
        else
            JS_ToUint32(ctx, &source, taken);
    }
    return source;
}

bool body_clone(JSContext *ctx, struct message *m, struct message *other)
{
    struct body *from = &other->body, *to = &m->body;
    if (from->kind == BODY_TEXT || from->kind == BODY_NONE) {
        to->kind = from->kind;
        to->value = JS_DupValue(ctx, from->value);
        to->is_json = from->is_json;
        return true;
    }
    if (from->kind == BODY_BYTES) {
        to->is_json = from->is_json;
        return body_copy_bytes(ctx, to,
                               (struct text){.at = (const char *)from->at, .len = from->len});
    }
    if (!body_make_stream(ctx, from))
        return false;
    JSValue pair = JS_Invoke(ctx, from->value, eng.atoms[ATOM_tee], 0, NULL);
    if (JS_IsException(pair))
        return false;
    JS_FreeValue(ctx, from->value);
    from->value = JS_GetPropertyUint32(ctx, pair, 0);
    to->kind = BODY_STREAM;
    to->value = JS_GetPropertyUint32(ctx, pair, 1);
    JS_FreeValue(ctx, pair);
    return true;
}

/* --- reading -------------------------------------------------------------------------------------
 */

struct text body_flat(JSContext *ctx, const struct body *body)
{
    if (body->kind == BODY_TEXT)
        return text_of(ctx, body->value);
    if (body->kind == BODY_BYTES)
        return (struct text){.at = body->at ? (const char *)body->at : "", .len = body->len};
    return (struct text){.at = "", .len = 0};
}

void body_flat_done(JSContext *ctx, const struct body *body, struct text flat)
{
    if (body->kind == BODY_TEXT)
        text_done(ctx, flat);
}

/* How what an ArrayBuffer of body_lend() keeps is freed: its opaque. */
enum { LENT_TEXT, LENT_MALLOC, LENT_JS };

static void *lent_free(JSRuntime *rt, void *how, void *at, size_t size)
{
    switch ((uintptr_t)how) {
    case LENT_TEXT:
        JS_FreeCString(eng.ctx, at);
        break;
    case LENT_MALLOC:
        free(at);
        break;
    default:
        js_free_rt(rt, at);
    }
    return NULL;
}

JSValue body_lend(JSContext *ctx, struct body *body, struct text *flat)
{
    uintptr_t how = body->kind == BODY_TEXT  ? LENT_TEXT
                    : body->owner == BODY_JS ? LENT_JS
                                             : LENT_MALLOC;
    struct text bytes = *flat;
    bool is_borrowed = body->kind == BODY_BYTES && body->owner == BODY_BORROWED;
    if (is_borrowed) { /* of the dispatch's input, which is used again */
        uint8_t *copy = malloc(bytes.len);
        if (!copy)
            return JS_ThrowOutOfMemory(ctx);
        memcpy(copy, bytes.at, bytes.len);
        bytes.at = (const char *)copy;
    }
    JSValue kept =
        JS_NewArrayBuffer(ctx, (uint8_t *)bytes.at, bytes.len, 0, lent_free, (void *)how, false);
    if (JS_IsException(kept)) {
        if (is_borrowed)
            free((void *)bytes.at);
        return kept;
    }
    JS_FreeValue(ctx, body->value);
    *body = (struct body){.kind = BODY_BYTES, .is_used = true, .value = JS_UNDEFINED};
    *flat = bytes;
    return kept;
}

void body_given_back(JSContext *ctx, struct op_pending *op, uint32_t status, const uint8_t *payload,
                     uint32_t len)
{
    /* What it kept goes with it. */
}

/* A host stream being read to its end. */
struct body_reading {
    uint32_t source;
    struct buffer bytes;
    body_read_fn *done;
    void *data;
};

static void body_reading_end(JSContext *ctx, struct body_reading *r, JSValue error)
{
    r->done(ctx, r->data, error, r->bytes.data ? r->bytes.data : (const uint8_t *)"", r->bytes.len);
    JS_FreeValue(ctx, error);
    buffer_done(&r->bytes);
    free(r);
}

static void body_reading_step(JSContext *ctx, struct op_pending *op, uint32_t status,
                              const uint8_t *payload, uint32_t len);

static bool body_reading_ask(JSContext *ctx, struct body_reading *r)
{
    struct op_pending *op = source_read(ctx, r->source, BODY_READ_BYTES, body_reading_step);
    if (op)
        op->data = r;
    return op != NULL;
}

static void body_reading_step(JSContext *ctx, struct op_pending *op, uint32_t status,
                              const uint8_t *payload, uint32_t len)
{
    struct body_reading *r = op->data;
    if (status) {
        body_reading_end(ctx, r, source_error(ctx, r->source, status, payload, len));
        return;
    }
    if (len == 0) {
        source_over(ctx, r->source);
        body_reading_end(ctx, r, JS_UNDEFINED);
        return;
    }
    buffer_add(&r->bytes, payload, len);
    if (r->bytes.is_failed) {
        op_tell(OP_STREAM_CLOSE, &(struct op_stream_close){.source = r->source});
        source_over(ctx, r->source);
        JS_ThrowRangeError(ctx, "out of memory: the body does not fit the memory of this function");
        body_reading_end(ctx, r, JS_GetException(ctx));
    } else if (!body_reading_ask(ctx, r)) {
        body_reading_end(ctx, r, JS_GetException(ctx));
    }
}

static bool body_read_source(JSContext *ctx, uint32_t source, body_read_fn *done, void *data)
{
    struct body_reading *r = calloc(1, sizeof *r);
    if (!r) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    r->source = source;
    r->done = done;
    r->data = data;
    if (!body_reading_ask(ctx, r)) {
        free(r);
        return false;
    }
    return true;
}

/* The runtime's promise of all bytes, passed on to `done`; the two pointers travel as an
 * ArrayBuffer. */
struct body_waiting {
    body_read_fn *done;
    void *data;
};

static JSValue body_waiting_end(JSContext *ctx, JSValueConst this_value, int argc,
                                JSValueConst *argv, int is_rejected, JSValueConst *func_data)
{
    size_t size;
    struct body_waiting w;
    memcpy(&w, JS_GetArrayBuffer(ctx, &size, func_data[0]), sizeof w);
    if (is_rejected) {
        w.done(ctx, w.data, argv[0], (const uint8_t *)"", 0);
        return JS_UNDEFINED;
    }
    struct text bytes = text_of_buffer(ctx, argv[0]);
    w.done(ctx, w.data, JS_UNDEFINED, (const uint8_t *)(bytes.at ? bytes.at : ""), bytes.len);
    return JS_UNDEFINED;
}

static bool body_read_stream(JSContext *ctx, struct body *body, body_read_fn *done, void *data)
{
    JSValue promise = engine_hook(ctx, HOOK_streamReadAll, 1, &body->value);
    if (JS_IsException(promise))
        return false;
    struct body_waiting w = {.done = done, .data = data};
    JSValue box = JS_NewArrayBufferCopy(ctx, (const uint8_t *)&w, sizeof w);
    JSValue on_ok = JS_NewCFunctionData(ctx, body_waiting_end, 1, 0, 1, &box);
    JSValue on_error = JS_NewCFunctionData(ctx, body_waiting_end, 1, 1, 1, &box);
    JSValue then = JS_PromiseThen(ctx, promise, on_ok, on_error);
    bool is_ok = !JS_IsException(then);
    JS_FreeValues(ctx, promise, box, on_ok, on_error, then);
    return is_ok;
}

bool body_read(JSContext *ctx, struct body *body, body_read_fn *done, void *data)
{
    uint32_t source = body_take_source(ctx, body);
    bool is_ok = source ? body_read_source(ctx, source, done, data)
                        : body_read_stream(ctx, body, done, data);
    body->is_used = true;
    return is_ok;
}

/* --- text(), json() and their kin ----------------------------------------------------------------
 */

static JSValue body_convert(JSContext *ctx, int how, const uint8_t *at, uint32_t len,
                            JSValueConst type)
{
    JSValue bytes, result;
    switch (how) {
    case MESSAGE_TEXT:
        return text_decode(ctx, at, len, false);
    case MESSAGE_JSON:
        if (len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) {
            at += 3;
            len -= 3;
        }
        return json_parse(ctx, at, len);
    case MESSAGE_ARRAY_BUFFER:
        return JS_NewArrayBufferCopy(ctx, at, len);
    case MESSAGE_BYTES:
        return JS_NewUint8ArrayCopy(ctx, at, len);
    default:
        bytes = JS_NewUint8ArrayCopy(ctx, at, len);
        if (JS_IsException(bytes))
            return bytes;
        result = engine_hook(ctx, how == MESSAGE_BLOB ? HOOK_makeBlob : HOOK_parseFormData, 3,
                             (JSValueConst[]){bytes, type, JS_TRUE});
        JS_FreeValue(ctx, bytes);
        return result;
    }
}

/* Who waits for a body that has to be read first. */
struct consumer {
    JSValue settle[2];
    JSValue type;
    int how;
};

static void consumer_done(JSContext *ctx, void *data, JSValueConst error, const uint8_t *at,
                          uint32_t len)
{
    struct consumer *c = data;
    bool is_rejected = !JS_IsUndefined(error);
    JSValue value =
        is_rejected ? JS_DupValue(ctx, error) : body_convert(ctx, c->how, at, len, c->type);
    if (JS_IsException(value)) {
        value = JS_GetException(ctx);
        is_rejected = true;
    }
    JSValue result = JS_Call(ctx, c->settle[is_rejected ? 1 : 0], JS_UNDEFINED, 1, &value);
    JS_FreeValues(ctx, result, value, c->settle[0], c->settle[1], c->type);
    free(c);
}

static JSValue rejected_with_exception(JSContext *ctx)
{
    JSValue error = JS_GetException(ctx);
    JSValue promise = JS_NewSettledPromise(ctx, true, error);
    JS_FreeValue(ctx, error);
    return promise;
}

static JSValue consume_later(JSContext *ctx, struct message *m, int how, JSValue type)
{
    struct consumer *c = calloc(1, sizeof *c);
    if (!c) {
        JS_FreeValue(ctx, type);
        return JS_ThrowOutOfMemory(ctx);
    }
    c->how = how;
    c->type = type;
    JSValue promise = JS_NewPromiseCapability(ctx, c->settle);
    if (JS_IsException(promise)) {
        JS_FreeValue(ctx, type);
        free(c);
        return promise;
    }
    if (!body_read(ctx, &m->body, consumer_done, c)) {
        JSValue error = JS_GetException(ctx);
        consumer_done(ctx, c, error, NULL, 0);
        JS_FreeValue(ctx, error);
    }
    return promise;
}

struct message *message_of(JSContext *ctx, JSValueConst value)
{
    struct response *response = response_of(value);
    if (response)
        return &response->message;
    struct request *request = request_of(value);
    if (request)
        return &request->message;
    JS_ThrowTypeError(ctx, "this is neither a Request nor a Response");
    return NULL;
}

/* Text that comes out of UTF-8 as it went in: no lone surrogates, no byte order mark. */
static bool body_is_narrow(const struct body *body)
{
    return body->kind == BODY_TEXT && JS_VALUE_GET_TAG(body->value) == JS_TAG_STRING &&
           !layout_chars(body->value).is_wide;
}

JSValue message_consume(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                        int magic)
{
    struct message *m = message_of(ctx, this_value);
    if (!m)
        return rejected_with_exception(ctx);
    if (body_is_unusable(ctx, &m->body)) {
        JS_ThrowTypeError(ctx,
                          "the body has been read already; read a clone() if it is needed twice");
        return rejected_with_exception(ctx);
    }
    JSValue type = JS_UNDEFINED;
    if (magic == MESSAGE_BLOB || magic == MESSAGE_FORM) {
        struct text packed = message_packed(m);
        struct header_list list = {.data = (uint8_t *)packed.at, .len = packed.len};
        type = header_list_combined(ctx, &list, (struct text){.at = "content-type", .len = 12});
        if (JS_IsNull(type))
            type = JS_NewString(ctx, "");
    }
    if (m->body.kind == BODY_SOURCE || m->body.kind == BODY_STREAM) {
        JSValue promise = consume_later(ctx, m, magic, type);
        return JS_IsException(promise) ? rejected_with_exception(ctx) : promise;
    }
    JSValue value;
    if (magic == MESSAGE_TEXT && body_is_narrow(&m->body)) {
        value = JS_DupValue(ctx, m->body.value);
    } else {
        struct text flat = body_flat(ctx, &m->body);
        value = flat.at ? body_convert(ctx, magic, (const uint8_t *)flat.at, flat.len, type)
                        : JS_EXCEPTION;
        body_flat_done(ctx, &m->body, flat);
    }
    JS_FreeValue(ctx, type);
    m->body.is_used = m->body.kind != BODY_NONE;
    if (JS_IsException(value))
        return rejected_with_exception(ctx);
    JSValue promise = JS_NewSettledPromise(ctx, false, value);
    JS_FreeValue(ctx, value);
    return promise;
}

/* --- getters -------------------------------------------------------------------------------------
 */

JSValue message_get_headers(JSContext *ctx, JSValueConst this_value)
{
    struct message *m = message_of(ctx, this_value);
    if (!m)
        return JS_EXCEPTION;
    if (JS_IsUndefined(m->headers_value)) {
        struct header_list *list = message_headers(ctx, m);
        JSValue object = list ? headers_object(ctx, list) : JS_EXCEPTION;
        if (JS_IsException(object))
            return object;
        m->headers_value = object;
    }
    return JS_DupValue(ctx, m->headers_value);
}

JSValue message_get_body(JSContext *ctx, JSValueConst this_value)
{
    struct message *m = message_of(ctx, this_value);
    if (!m)
        return JS_EXCEPTION;
    if (m->body.kind == BODY_NONE)
        return JS_NULL;
    return body_make_stream(ctx, &m->body) ? JS_DupValue(ctx, m->body.value) : JS_EXCEPTION;
}

JSValue message_get_body_used(JSContext *ctx, JSValueConst this_value)
{
    struct message *m = message_of(ctx, this_value);
    if (!m)
        return JS_EXCEPTION;
    bool is_used = m->body.is_used;
    if (!is_used && m->body.kind == BODY_STREAM)
        is_used = (body_stream_state(ctx, &m->body) & 1) != 0;
    return JS_NewBool(ctx, is_used);
}
