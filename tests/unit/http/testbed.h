/* SPDX-License-Identifier: Apache-2.0
 *
 * A handler for tests and measurements: what it does is chosen by the path.
 *
 *   /hello        answers at once           /later    answers from the turn
 *   /echo         streams the body back     /sink     consumes the body, answers its length
 *   /whole        answers the body, taken whole where it can be, else gathered
 *   /down?n=N     streams N bytes           /big?n=N  N bytes in one http_respond()
 *   /ignore       answers without looking at the body
 *   /never        never answers             /stall    wants the body, consumes nothing
 *   /abort        aborts unanswered         /cut      aborts inside of a streamed body
 *   /short, /long break their promised Content-Length
 *   /headers      answers the request's parts as text
 *   /status?n=N   that status, with a body  /evil     tries to split the answer
 *   /error        an error in the one shape */
#pragma once

#include "http/server.h"
#include "loop/loop.h"

struct testbed {
    struct loop *loop;
    /* counters */
    int requests, closes_complete, closes_broken, live;
    size_t delivered_max; /* most body bytes delivered and not consumed */
    size_t body_bytes;
    uint64_t down_refused;                 /* times http_write() asked to wait */
    uint64_t n_max;                        /* bound for N, 0: none */
    void (*on_event)(struct testbed *bed); /* after each request and close; may be NULL */
    /* private */
    struct list later;
    struct http_handler handler;
};

void testbed_init(struct testbed *bed, struct loop *loop); /* takes the loop's turn hook */
