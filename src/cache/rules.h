/* SPDX-License-Identifier: Apache-2.0
 *
 * What a cache may keep and for how long, and what of it answers a request: RFC 9111 and 9110 as far as
 * Workers' Cache API follows them. There is no Vary there: a response is found by its URL alone. Pure. */
#pragma once

#include "base/arena.h"
#include "http/server.h"

struct cache_headers {
    const struct http_header *list;
    size_t len;
};

/* The value of the first header of that name (lower case); empty if there is none. */
struct slice cache_header(struct cache_headers h, const char *name);

struct cache_policy {
    bool may_keep;
    const char *why;     /* not */
    int64_t fresh_ms;    /* from now on */
    bool leaves_cookies; /* without its Set-Cookie headers: private=set-cookie */
};

/* Of a response that code gives to be kept. */
struct cache_policy cache_policy(int status, struct cache_headers h, int64_t now_ms);

enum cache_answer { CACHE_WHOLE, CACHE_NOT_MODIFIED, CACHE_PART, CACHE_NO_PART };

/* What a request gets of a response that is there. ret_from, ret_to: of CACHE_PART, behind the last byte. */
enum cache_answer cache_answer(struct cache_headers request, int status,
                               struct cache_headers response, uint64_t size, uint64_t *ret_from,
                               uint64_t *ret_to);
/* "Sun, 06 Nov 1994 08:49:37 GMT" and its older forms; -1: it is no date. */
int64_t cache_date_ms(struct slice text);
