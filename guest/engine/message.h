/* SPDX-License-Identifier: Apache-2.0
 *
 * What Request and Response have in common: a header list and a body, both made when they are
 * touched.
 *
 * A body is text (a JS string as it was given), bytes, a source (a stream in the host that nobody
 * has looked at) or a stream (a ReadableStream of the runtime). A source that is only passed on, as
 * the answer or as the body of a fetch, never enters the guest: the host pipes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "headers.h"
#include "pack.h"
#include "quickjs.h"

struct op_pending;

enum body_kind { BODY_NONE, BODY_TEXT, BODY_BYTES, BODY_SOURCE, BODY_STREAM };
enum body_owner { BODY_BORROWED, BODY_MALLOC, BODY_JS }; /* how bytes are freed */
enum content_type { CONTENT_NONE, CONTENT_TEXT, CONTENT_JSON };

struct body {
    uint8_t kind;  /* enum body_kind */
    uint8_t owner; /* enum body_owner, of bytes */
    bool is_used;
    bool is_json;  /* the text or bytes were written by our JSON writer */
    JSValue value; /* the string, or the ReadableStream */
    const uint8_t *at;
    uint32_t len;
    uint32_t source;
};

struct message {
    struct header_list *headers; /* NULL: `packed` if set, else what content_type implies */
    const uint8_t *packed;       /* headers in the dispatch input */
    uint32_t packed_len;
    uint8_t content_type;  /* enum content_type, while headers is NULL */
    JSValue headers_value; /* the Headers object, once it was asked for */
    struct body body;
};

void message_init(struct message *m);
void message_done(JSRuntime *rt, struct message *m);
void message_mark(JSRuntime *rt, const struct message *m, JS_MarkFunc *mark);

/* The list, made if it was implied. NULL: exception. */
struct header_list *message_headers(JSContext *ctx, struct message *m);
/* The packed headers as they are now, without making a list. */
struct text message_packed(const struct message *m);
/* The value of content-type; .at NULL: none. */
struct text message_content_type(const struct message *m);

/* Takes a BodyInit that is not null: sets the body, and content-type if there is none. */
bool body_set(JSContext *ctx, struct message *m, JSValueConst init);
/* The body becomes JSON text of value. False: exception. */
bool body_set_json(JSContext *ctx, struct message *m, JSValueConst value);
/* The body becomes a copy of other's body, which is teed if it streams. */
bool body_clone(JSContext *ctx, struct message *m, struct message *other);
/* Is it read, being read, or locked? */
bool body_is_unusable(JSContext *ctx, const struct body *body);

/* The bytes of a text or bytes body, for one op. Release with body_flat_done(). */
struct text body_flat(JSContext *ctx, const struct body *body);
void body_flat_done(JSContext *ctx, const struct body *body, struct text flat);
/* The same for bytes that are too many to go with the op (ABI_INLINE_BYTES), so that the host reads them
 * where they are: takes what body_flat() gave out of the body, which is then used. They stay for as long as
 * the value returned lives, whatever becomes of the body. JS_EXCEPTION: flat is still to be released. */
JSValue body_lend(JSContext *ctx, struct body *body, struct text *flat);
/* A done function for the op that says how long lent bytes are needed: its values keep them. */
void body_given_back(JSContext *ctx, struct op_pending *op, uint32_t status, const uint8_t *payload,
                     uint32_t len);
/* For a streaming body: the untouched host source behind it, which is then used; 0: there is none.
 */
uint32_t body_take_source(JSContext *ctx, struct body *body);

/* Reads a body that is not in memory to its end; then calls done once with the bytes, or error. The
 * body is then used. False: exception, done is not called. */
typedef void body_read_fn(JSContext *ctx, void *data, JSValueConst error, const uint8_t *at,
                          uint32_t len);
bool body_read(JSContext *ctx, struct body *body, body_read_fn *done, void *data);

/* Methods and getters of both classes. message_of: NULL with an exception if value is neither. */
struct message *message_of(JSContext *ctx, JSValueConst value);
enum {
    MESSAGE_TEXT,
    MESSAGE_JSON,
    MESSAGE_ARRAY_BUFFER,
    MESSAGE_BYTES,
    MESSAGE_BLOB,
    MESSAGE_FORM
};
JSValue message_consume(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                        int magic);
JSValue message_get_headers(JSContext *ctx, JSValueConst this_value);
JSValue message_get_body(JSContext *ctx, JSValueConst this_value);
JSValue message_get_body_used(JSContext *ctx, JSValueConst this_value);
#define MESSAGE_METHODS                                                                            \
    JS_CFUNC_MAGIC_DEF("text", 0, message_consume, MESSAGE_TEXT),                                  \
        JS_CFUNC_MAGIC_DEF("json", 0, message_consume, MESSAGE_JSON),                              \
        JS_CFUNC_MAGIC_DEF("arrayBuffer", 0, message_consume, MESSAGE_ARRAY_BUFFER),               \
        JS_CFUNC_MAGIC_DEF("bytes", 0, message_consume, MESSAGE_BYTES),                            \
        JS_CFUNC_MAGIC_DEF("blob", 0, message_consume, MESSAGE_BLOB),                              \
        JS_CFUNC_MAGIC_DEF("formData", 0, message_consume, MESSAGE_FORM),                          \
        JS_CGETSET_DEF("headers", message_get_headers, NULL),                                      \
        JS_CGETSET_DEF("body", message_get_body, NULL),                                            \
        JS_CGETSET_DEF("bodyUsed", message_get_body_used, NULL)
