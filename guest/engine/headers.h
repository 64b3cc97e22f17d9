/* SPDX-License-Identifier: Apache-2.0
 *
 * Header lists and the Headers class. A list is kept in the packed form that travels between guest
 * and host (src/host/ops.def), so that an incoming list is used where it lies and an outgoing one
 * is handed over as it is; look-up is a scan, which for the usual dozen entries beats any table. A
 * list is shared, by reference count, between a Request or Response and the Headers object that
 * shows it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

struct header_list {
    uint32_t refs;
    bool is_owned;     /* data is ours; else it belongs to the dispatch input */
    bool is_immutable; /* changes through the Headers object are refused */
    uint32_t len, cap;
    uint8_t *data;    /* u32 count, then the entries */
    uint32_t changes; /* so many since it was made: iterators look again when it differs */
};

/* A scan: header_walk_begin(), then header_walk_next() until it is false. */
struct header_walk {
    struct reader reader;
    uint32_t left;
    const uint8_t *entry; /* where the current one begins */
    struct text name, value;
};

struct header_list *header_list_new(JSContext *ctx);
/* Shows packed bytes that stay where they are until header_list_own(). */
struct header_list *header_list_borrow(JSContext *ctx, const uint8_t *data, uint32_t len);
struct header_list *header_list_copy(JSContext *ctx, const struct header_list *list);
struct header_list *header_list_ref(struct header_list *list);
void header_list_unref(JSRuntime *rt, struct header_list *list); /* accepts NULL */
bool header_list_own(JSContext *ctx, struct header_list *list);
/* name is in lower case and valid. */
bool header_list_append(JSContext *ctx, struct header_list *list, struct text name,
                        struct text value);
/* The first value of that name; .at NULL if there is none. list may be NULL. */
struct text header_list_find(const struct header_list *list, const char *name);
/* All values of that name joined by ", "; JS_NULL: none. */
JSValue header_list_combined(JSContext *ctx, const struct header_list *list, struct text name);
uint32_t header_list_count(const struct header_list *list);
struct header_walk header_walk_begin(const struct header_list *list);
bool header_walk_next(struct header_walk *w);
/* Adds what a HeadersInit says: Headers, record or sequence of pairs. undefined and null say
 * nothing. */
bool header_list_fill(JSContext *ctx, struct header_list *list, JSValueConst init);

/* The Headers object of list. */
JSValue headers_object(JSContext *ctx, struct header_list *list);
/* The list shown by value; NULL if it is no Headers object. */
struct header_list *headers_list(JSValueConst value);
/* Likewise for a method with so many arguments; NULL: it has thrown. */
struct header_list *headers_this(JSContext *ctx, JSValueConst this_value, int argc, int need);
