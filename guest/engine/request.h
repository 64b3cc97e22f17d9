/* SPDX-License-Identifier: Apache-2.0
 *
 * The Request class. The request of a dispatch is a set of borrowed slices of the dispatch input;
 * strings and headers come to be when they are asked for, and request_keep() copies what is left
 * before the input's memory is used again. */
#pragma once

#include "message.h"

struct request {
    struct message message;
    struct text method, url; /* borrowed, or in `own` */
    uint8_t *own;            /* malloc'ed */
    bool is_input;           /* slices point into the dispatch input */
    /* Places in the lists of request.c. Of redirect, as in op fetch: 0 follow, 1 error, 2 manual; the
     * others are only told. */
    uint8_t redirect, cache, credentials, mode, referrer_policy;
    bool is_keepalive;
    bool is_aborted;                   /* the client left before anybody asked for the signal */
    bool is_signal_given;              /* signal is somebody else's, which one of its own follows */
    uint8_t http_version, tls_version; /* of a dispatch's: as in guest/abi.h; else 0 */
    uint32_t dispatch;
    JSValue url_value;           /* the string, once it was asked for */
    JSValue signal;              /* JS_UNDEFINED until asked for, unless one was given */
    JSValue referrer, integrity; /* JS_UNDEFINED: as it is without one */
    JSValue cf;                  /* JS_UNDEFINED: not asked for, or not given */
};

/* NULL if value is no Request. */
struct request *request_of(JSValueConst value);
JSValue request_new(JSContext *ctx, struct request **ret_request);
/* new Request(input, init). */
JSValue request_from(JSContext *ctx, JSValueConst input, JSValueConst init,
                     struct request **ret_request);
/* Copies what still lies in the dispatch input. */
bool request_keep(JSContext *ctx, struct request *r);
/* Sends it there: any text that the host knows what to do with. */
bool request_address(JSContext *ctx, struct request *r, struct text url);
/* Aborts request.signal. */
void request_abort(JSContext *ctx, struct request *r);
