/* SPDX-License-Identifier: Apache-2.0
 *
 * Content of assets on an engine thread: small files in memory, those used last, within a bound; larger
 * ones as open files, of which pieces are read on the work pool. Nothing here waits for a disk. Loop
 * thread. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "loop/work.h"

struct loop;
struct store;

struct asset_cache {
    struct loop *loop;
    struct store *store;
    struct map bodies;   /* content and coding -> struct asset_body */
    struct list used;    /* all that are ready, the one first that was not used for longest */
    size_t bytes, files; /* of them: in memory, open */
};

enum asset_coding { ASSET_PLAIN, ASSET_BR, ASSET_ZSTD, ASSET_GZIP, ASSET_CODINGS };
/* "", "br", "zstd", "gzip" */
const char *asset_coding_text(enum asset_coding coding);

enum asset_body_state {
    ASSET_BODY_LOADING,
    ASSET_BODY_READY,
    ASSET_BODY_ABSENT,
    ASSET_BODY_FAILED
};

struct asset_body {
    char key[66]; /* the hash, and a letter for the coding */
    struct asset_cache *cache;
    int refs; /* the cache has one while it knows the body */
    enum asset_body_state state;
    bool is_known;
    struct bytes content; /* in memory, or */
    int fd;               /* of a larger file; -1 */
    uint64_t size;
    struct error error;
    struct list waiters; /* struct asset_wait */
    struct list used;
    struct work work;
};

struct asset_wait {
    struct list link;
    void (*ready)(struct asset_wait *w);
};

void asset_cache_init(struct asset_cache *c, struct loop *loop, struct store *store);
/* Nobody has a body any more, and no work is out. */
void asset_cache_done(struct asset_cache *c);
/* A reference. While it is LOADING, wait for it. */
struct asset_body *asset_body_get(struct asset_cache *c, struct slice hash,
                                  enum asset_coding coding);
void asset_body_await(struct asset_body *b, struct asset_wait *w);
void asset_body_unref(struct asset_body *b);
