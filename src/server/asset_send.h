/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and calls that a version's static files answer: no isolate is woken for them. Loop thread. */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

struct call;
struct http_exchange;
struct slot;
struct worker;

/* Whose an exchange is: what its user pointer points to begins with it. */
struct exchange_owner {
    void (*on_drain)(struct http_exchange *x);
    void (*on_close)(struct http_exchange *x, bool is_complete);
    void (*on_body)(struct http_exchange *x, struct slice data, bool is_end); /* NULL: not wanted */
};

/* Answers, now or later, if one of the slot's assets does. False: its code is asked. */
bool asset_send(struct worker *w, struct slot *s, struct http_exchange *x);
/* The same for a call of kind FETCH. is_from_code: nobody else could answer, so one of the files does, or 404. */
bool asset_call(struct worker *w, struct slot *s, struct call *c, bool is_from_code);
/* accept() of a call whose request names the files that it is for; of the same thread. */
void asset_accept(void *worker, struct call *c);
