/* SPDX-License-Identifier: Apache-2.0
 *
 * See asset_cache.h. Who asks for what is being read waits with the others. */
#include "server/asset_cache.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/store.h"

enum { ASSET_CACHE_FILES_MAX = 64 };

const char *asset_coding_text(enum asset_coding coding)
{
    static const char *const texts[] = {"", "br", "zstd", "gzip"};
    return texts[coding];
}

void asset_cache_init(struct asset_cache *c, struct loop *loop, struct store *store)
{
    *c = (struct asset_cache){.loop = loop, .store = store};
    list_init(&c->used);
}

void asset_body_unref(struct asset_body *b)
{
    if (!b || --b->refs > 0)
        return;
    CHECK(!b->is_known && list_is_empty(&b->waiters));
    if (b->fd >= 0)
        close(b->fd);
    bytes_done(&b->content);
    free(b);
}

static void cache_forget(struct asset_body *b)
{
    struct asset_cache *c = b->cache;
    list_remove(&b->used);
    (void)map_remove(&c->bodies, slice_cstr(b->key));
    b->is_known = false;
    c->bytes -= b->content.len;
    c->files -= b->fd >= 0;
    asset_body_unref(b);
}

/* What was not used for longest goes first; who is sending it keeps it until then. */
static void cache_trim(struct asset_cache *c)
{
    while (c->bytes > LIMIT_ASSET_CACHE_BYTES || c->files > ASSET_CACHE_FILES_MAX ||
           map_count(&c->bodies) > LIMIT_ASSET_CACHE_ENTRIES) {
        struct list *first = list_first(&c->used);
        if (!first)
            return;
        cache_forget(container_of(first, struct asset_body, used));
    }
}

void asset_cache_done(struct asset_cache *c)
{
    struct list *first;
    while ((first = list_first(&c->used)))
        cache_forget(container_of(first, struct asset_body, used));
    map_done(&c->bodies);
}

/* ---- reading ---- */

/* Pool thread. */
static void body_read(struct work *w)
{
    struct asset_body *b = container_of(w, struct asset_body, work);
    const char *suffix = asset_coding_text((enum asset_coding)(b->key[64] - '0'));
    enum err err = store_asset_open(b->cache->store, slice_of(b->key, 64), suffix, &b->fd, &b->size,
                                    &b->error);
    if (err != OK || b->size > LIMIT_ASSET_CACHED_BYTES)
        return;
    err = store_asset_read(b->fd, 0, (size_t)b->size, &b->content, &b->error);
    close(b->fd);
    b->fd = -1;
    CHECK(err == b->error.code);
}

static void body_done(struct work *w)
{
    struct asset_body *b = container_of(w, struct asset_body, work);
    struct asset_cache *c = b->cache;
    const enum err err = b->error.code;
    b->state = err == OK              ? ASSET_BODY_READY
               : err == ERR_NOT_FOUND ? ASSET_BODY_ABSENT
                                      : ASSET_BODY_FAILED;
    c->bytes += b->content.len;
    c->files += b->fd >= 0;
    list_push_back(&c->used, &b->used);
    b->refs++; /* while others are told */
    struct list *n;
    while ((n = list_pop_front(&b->waiters))) {
        struct asset_wait *wait = container_of(n, struct asset_wait, link);
        wait->ready(wait);
    }
    if (b->state == ASSET_BODY_FAILED && b->is_known)
        cache_forget(b); /* the next one tries again */
    asset_body_unref(b);
    cache_trim(c);
}

struct asset_body *asset_body_get(struct asset_cache *c, struct slice hash,
                                  enum asset_coding coding)
{
    char key[66];
    memcpy(key, hash.ptr, 64);
    key[64] = (char)('0' + coding);
    key[65] = '\0';
    struct asset_body *b = map_get(&c->bodies, slice_cstr(key));
    if (!b) {
        b = calloc(1, sizeof(*b));
        CHECK(b);
        memcpy(b->key, key, sizeof(key));
        b->cache = c;
        b->fd = -1;
        b->refs = 1;
        b->is_known = true;
        list_init(&b->waiters);
        list_init(&b->used);
        (void)map_put(&c->bodies, slice_cstr(b->key), b);
        b->work = (struct work){.run = body_read, .done = body_done};
        work_start(c->loop, &b->work);
    } else if (b->state != ASSET_BODY_LOADING) {
        list_remove(&b->used);
        list_push_back(&c->used, &b->used);
    }
    b->refs++;
    return b;
}

void asset_body_await(struct asset_body *b, struct asset_wait *w)
{
    CHECK(b->state == ASSET_BODY_LOADING);
    list_push_back(&b->waiters, &w->link);
}
