/* SPDX-License-Identifier: Apache-2.0
 *
 * The Response class. A response made by Response.json() or with plain text is one object and its
 * bytes: headers are implied until somebody looks at them. */
#pragma once

#include "message.h"

enum response_type { RESPONSE_DEFAULT, RESPONSE_BASIC, RESPONSE_ERROR };

struct response {
    struct message message;
    uint16_t status;
    uint8_t type; /* enum response_type */
    bool is_redirected;
    JSValue status_text; /* a string, or JS_UNDEFINED for "" */
    JSValue url;         /* a string, or JS_UNDEFINED for "" */
    JSValue web_socket;  /* of an answer 101; or JS_UNDEFINED */
};

/* NULL if value is no Response. */
struct response *response_of(JSValueConst value);
/* A Response with status 200 and no body. */
JSValue response_new(JSContext *ctx, struct response **ret_response);
