/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses that code keeps (caches.default, caches.open()): an index in memory, bodies on disk, for all
 * engine threads. A cache may lose anything at any time, and this one loses all with the process: the folder is
 * emptied at the start. What it gives is whole and is what was put: a response is found only once
 * its last byte is written, and stays readable for who reads it, however many are put meanwhile.
 *
 * Responses belong to a namespace (the account above a module's) and are found by it, the cache's name and
 * the URL. A namespace has LIMIT_CACHE_SPACE_BYTES and _RESPONSES, all together LIMIT_CACHE_BYTES; who puts
 * more loses the namespace's least recently used. Bytes on disk and of the index are taken from the budgets of the
 * module that puts them; one without room there does not keep the response.
 *
 * Any thread, but for http_cache_fetch(). A mutex is held for a look-up or a change, never for a disk. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/error.h"
#include "base/slice.h"

struct http_cache;
struct http_fetch;
struct loop;

/* folder is made, and emptied. */
NODISCARD enum err http_cache_new(const char *folder, struct http_cache **ret_cache,
                                  struct error *ret_error);
void http_cache_free(struct http_cache *c); /* nobody reads or writes; NULL is fine */
/* A namespace is gone, and what it has. */
void http_cache_forget(struct http_cache *c, struct account *space);

/* Answers f instead of the network (http/client.h): its owner is the module's account. url: "cache:", the name, a
 * space, the URL. Methods:
 *   GET    200 and its kin, 304, 206, 416: what is there for a request with these headers, with "age";
 *          504: nothing is
 *   PUT    keeps a response: these headers, this body, and "limpet-status: STATUS TEXT". 204, also if
 *          it may not be kept; 413: there is no room for it
 *   PURGE  200: it was there and is not any more; 404
 * ERR_INVALID: something else. */
NODISCARD enum err http_cache_fetch(struct http_cache *c, struct loop *loop, struct http_fetch *f,
                                    struct error *ret_error);

struct http_cache_figures {
    uint64_t hits, misses, puts, refusals, evictions; /* since the start */
    uint64_t responses, bytes;                        /* now; on disk and in memory */
};
void http_cache_figures(struct http_cache *c, struct http_cache_figures *ret);
