/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside cache/: responses and their index (index.c), for exchanges (exchange.c). */
#pragma once

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/list.h"
#include "cache/cache.h"
#include "cache/rules.h"

enum {
    CACHE_INLINE_BYTES = 16 * 1024, /* bodies up to this are kept in memory */
    CACHE_NAME_BYTES_MAX = 1024,
    CACHE_KEY_BYTES_MAX = 16 * 1024,
};

/* Constant once it is in the index. Whoever holds a reference can read it. */
struct cache_response {
    _Atomic int refs;
    struct http_cache *cache;
    struct account *account; /* a reference: who is charged */
    struct bytes key;        /* name, a space, URL */
    int status;
    struct bytes texts; /* what the slices below point into */
    struct slice status_text;
    struct http_header *headers;
    size_t headers_len;
    int64_t made_ms, stale_ms; /* wall clock */
    uint64_t size;
    struct bytes body;   /* in memory; or */
    uint64_t file;       /* its number; 0: there is none */
    size_t memory, disk; /* charged */
    /* under the index's mutex */
    struct list recent;              /* of its space, while it is found */
    struct cache_space *space;       /* NULL: it is found no more */
    struct cache_response *next_out; /* of those that leave the index at once */
};

/* A new one with one reference, charged for what it has. ERR_LIMIT_DISK, ERR_LIMIT_MEMORY, ERR_OVERLOAD: the
 * account has no room for it. headers are copied, but cookies if leaves_cookies. */
NODISCARD enum err cache_response_new(struct http_cache *c, struct account *account,
                                      struct slice key, int status, struct slice status_text,
                                      struct cache_headers headers, bool leaves_cookies,
                                      struct cache_response **ret_response,
                                      struct error *ret_error);
void cache_response_unref(struct cache_response *r); /* NULL is fine */
/* For as many bytes more of its body, in memory or on disk. */
NODISCARD enum err cache_response_charge(struct cache_response *r, enum resource of, size_t len,
                                         struct error *ret_error);
/* Of a file's number. */
void cache_path(const struct http_cache *c, uint64_t file, struct bytes *out);
uint64_t cache_file_next(struct http_cache *c);

/* A fresh response with that key, with a reference; NULL: there is none. */
struct cache_response *cache_find(struct http_cache *c, struct account *space, struct slice key,
                                  int64_t now_ms);
/* It is found from now on, instead of one with the same key. Takes over the reference. */
void cache_put(struct http_cache *c, struct account *space, struct cache_response *r);
/* True: it was there, fresh, and is not any more. */
bool cache_remove(struct http_cache *c, struct account *space, struct slice key, int64_t now_ms);
void cache_count_refusal(struct http_cache *c);
/* Files that nobody needs any more, if there are some: to be removed on the pool. */
bool cache_has_waste(struct http_cache *c);
void cache_remove_waste(struct http_cache *c);
