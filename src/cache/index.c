/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of all responses: by space and key, each space in order of use. What falls out of it lives
 * until its last reader is done; its file is then waste, which is removed on the pool. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/map.h"
#include "cache/internal.h"

struct cache_space {
    struct account *account; /* a reference; its address is what a space is known by */
    struct map responses;    /* by key */
    struct list recent;      /* first: used longest ago */
    uint64_t bytes;
};

struct http_cache {
    char *folder;
    _Atomic uint64_t files; /* the number of the last one */
    pthread_mutex_t mutex;
    /* under the mutex */
    struct map spaces;  /* by the address of their account */
    struct bytes waste; /* numbers of files */
    struct http_cache_figures figures;
};

/* ---- files ---- */

void cache_path(const struct http_cache *c, uint64_t file, struct bytes *out)
{
    bytes_printf(out, "%s/%llu", c->folder, (unsigned long long)file);
}

uint64_t cache_file_next(struct http_cache *c)
{
    return atomic_fetch_add(&c->files, 1) + 1;
}

static enum err folder_empty(const char *folder, struct error *ret_error)
{
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return error_set(ret_error, ERR_IO, "cannot make the cache's folder %s: %s", folder,
                         strerror(errno));
    DIR *d = opendir(folder);
    if (!d)
        return error_set(ret_error, ERR_IO, "cannot read the cache's folder %s: %s", folder,
                         strerror(errno));
    const int fd = dirfd(d);
    for (struct dirent *e; fd >= 0 && (e = readdir(d));)
        if (e->d_name[0] != '.')
            (void)unlinkat(fd, e->d_name, 0); /* one that stays goes at another start */
    closedir(d);
    return OK;
}

bool cache_has_waste(struct http_cache *c)
{
    pthread_mutex_lock(&c->mutex);
    bool is = c->waste.len > 0;
    pthread_mutex_unlock(&c->mutex);
    return is;
}

void cache_remove_waste(struct http_cache *c)
{
    pthread_mutex_lock(&c->mutex);
    CLEANUP(bytes_done) struct bytes waste = c->waste;
    c->waste = BYTES_INIT;
    pthread_mutex_unlock(&c->mutex);
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    for (size_t at = 0; at + sizeof(uint64_t) <= waste.len; at += sizeof(uint64_t)) {
        uint64_t file;
        memcpy(&file, waste.ptr + at, sizeof(file));
        bytes_clear(&path);
        cache_path(c, file, &path);
        (void)unlink(bytes_cstr(&path)); /* one that stays goes at the next start */
    }
}

/* ---- responses ---- */

static struct slice keep_text(struct bytes *texts, struct slice text)
{
    size_t at = texts->len;
    bytes_append_slice(texts, text); /* there is room: it does not move */
    return slice_of(texts->ptr + at, text.len);
}

/* Not of a message alone, nor of how it was put: a workflow gives what it sends a key. */
static bool is_kept_header(struct slice name, bool leaves_cookies)
{
    static const char *const not[] = {
        "connection",      "keep-alive",    "transfer-encoding", "te",
        "trailer",         "upgrade",       "content-length",    "age",
        "cf-cache-status", "limpet-status", "idempotency-key"};
    for (size_t i = 0; i < ARRAY_LEN(not); i++)
        if (slice_eq_cstr(name, not[i]))
            return false;
    return !leaves_cookies || !slice_eq_cstr(name, "set-cookie");
}

enum err cache_response_charge(struct cache_response *r, enum resource of, size_t len,
                               struct error *ret_error)
{
    enum err err = account_take(r->account, of, len, ret_error);
    if (err == OK)
        *(of == RESOURCE_DISK ? &r->disk : &r->memory) += len;
    return err;
}

enum err cache_response_new(struct http_cache *c, struct account *account, struct slice key,
                            int status, struct slice status_text, struct cache_headers headers,
                            bool leaves_cookies, struct cache_response **ret_response,
                            struct error *ret_error)
{
    struct cache_response *r = calloc(1, sizeof(*r));
    if (!r)
        check_out_of_memory(sizeof(*r));
    size_t texts = status_text.len;
    for (size_t i = 0; i < headers.len; i++)
        texts += headers.list[i].name.len + headers.list[i].value.len;
    r->refs = 1;
    r->cache = c;
    r->account = account_ref(account);
    r->headers = calloc(headers.len + 1, sizeof(*r->headers));
    if (!r->headers)
        check_out_of_memory(headers.len * sizeof(*r->headers));
    size_t own = sizeof(*r) + headers.len * sizeof(*r->headers) + key.len + texts;
    enum err err = cache_response_charge(r, RESOURCE_MEMORY, own, ret_error);
    if (err != OK) {
        cache_response_unref(r);
        return err;
    }
    bytes_append_slice(&r->key, key);
    r->status = status;
    bytes_reserve(&r->texts, texts);
    r->status_text = keep_text(&r->texts, status_text);
    for (size_t i = 0; i < headers.len; i++)
        if (is_kept_header(headers.list[i].name, leaves_cookies)) {
            struct http_header *h = &r->headers[r->headers_len++];
            h->name = keep_text(&r->texts, headers.list[i].name);
            h->value = keep_text(&r->texts, headers.list[i].value);
        }
    *ret_response = r;
    return OK;
}

void cache_response_unref(struct cache_response *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    struct http_cache *c = r->cache;
    if (r->file) {
        pthread_mutex_lock(&c->mutex);
        bytes_append(&c->waste, &r->file, sizeof(r->file));
        pthread_mutex_unlock(&c->mutex);
    }
    account_give(r->account, RESOURCE_MEMORY, r->memory);
    account_give(r->account, RESOURCE_DISK, r->disk);
    account_unref(r->account);
    free(r->headers);
    bytes_done(&r->key);
    bytes_done(&r->texts);
    bytes_done(&r->body);
    free(r);
}

/* ---- the index ---- */

static struct slice space_key(struct account *const *account)
{
    return slice_of((const char *)account, sizeof(struct account *));
}

static struct cache_space *space_find(struct http_cache *c, struct account *account)
{
    return map_get(&c->spaces, space_key(&account));
}

static struct cache_space *space_get(struct http_cache *c, struct account *account)
{
    struct cache_space *s = space_find(c, account);
    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        check_out_of_memory(sizeof(*s));
    s->account = account_ref(account);
    list_init(&s->recent);
    map_put(&c->spaces, space_key(&account), s);
    return s;
}

/* Takes it out of the index; the index's reference goes to `out`, since that is given back outside of
 * the mutex. */
static void response_leave(struct http_cache *c, struct cache_response *r,
                           struct cache_response **out)
{
    struct cache_space *s = r->space;
    CHECK(s);
    (void)map_remove(&s->responses, bytes_slice(&r->key));
    list_remove(&r->recent);
    r->space = NULL;
    s->bytes -= r->size;
    c->figures.bytes -= r->size;
    c->figures.responses--;
    r->next_out = *out;
    *out = r;
}

static void unref_all(struct cache_response *out)
{
    while (out) {
        struct cache_response *next = out->next_out;
        cache_response_unref(out);
        out = next;
    }
}

static void space_end(struct http_cache *c, struct cache_space *s, struct cache_response **out)
{
    while (!list_is_empty(&s->recent))
        response_leave(c, container_of(s->recent.next, struct cache_response, recent), out);
    map_done(&s->responses);
    free(s);
}

/* The space that has most. */
static struct cache_space *space_largest(struct http_cache *c)
{
    struct cache_space *largest = NULL;
    void *value;
    for (size_t at = 0; map_next(&c->spaces, &at, NULL, &value);) {
        struct cache_space *s = value;
        if (!list_is_empty(&s->recent) && (!largest || s->bytes > largest->bytes))
            largest = s;
    }
    return largest;
}

static void evict_oldest(struct http_cache *c, struct cache_space *s, struct cache_response **out)
{
    response_leave(c, container_of(s->recent.next, struct cache_response, recent), out);
    c->figures.evictions++;
}

/* Never below zero: what is alone in its space and too large was refused before. */
static void keep_bounds(struct http_cache *c, struct cache_space *s, struct cache_response **out)
{
    while (!list_is_empty(&s->recent) && (s->bytes > LIMIT_CACHE_SPACE_BYTES ||
                                          map_count(&s->responses) > LIMIT_CACHE_SPACE_RESPONSES))
        evict_oldest(c, s, out);
    while (c->figures.bytes > LIMIT_CACHE_BYTES && (s = space_largest(c)))
        evict_oldest(c, s, out);
}

struct cache_response *cache_find(struct http_cache *c, struct account *space, struct slice key,
                                  int64_t now_ms)
{
    struct cache_response *out = NULL;
    pthread_mutex_lock(&c->mutex);
    struct cache_space *s = space_find(c, space);
    struct cache_response *r = s ? map_get(&s->responses, key) : NULL;
    if (r && r->stale_ms <= now_ms) {
        response_leave(c, r, &out);
        r = NULL;
    }
    if (r) {
        list_remove(&r->recent);
        list_push_back(&s->recent, &r->recent);
        atomic_fetch_add(&r->refs, 1);
    }
    *(r ? &c->figures.hits : &c->figures.misses) += 1;
    pthread_mutex_unlock(&c->mutex);
    unref_all(out);
    return r;
}

void cache_put(struct http_cache *c, struct account *space, struct cache_response *r)
{
    struct cache_response *out = NULL;
    pthread_mutex_lock(&c->mutex);
    struct cache_space *s = space_get(c, space);
    struct cache_response *before = map_get(&s->responses, bytes_slice(&r->key));
    if (before)
        response_leave(c, before, &out);
    map_put(&s->responses, bytes_slice(&r->key), r);
    list_push_back(&s->recent, &r->recent);
    r->space = s;
    s->bytes += r->size;
    c->figures.bytes += r->size;
    c->figures.responses++;
    c->figures.puts++;
    keep_bounds(c, s, &out);
    pthread_mutex_unlock(&c->mutex);
    unref_all(out);
}

bool cache_remove(struct http_cache *c, struct account *space, struct slice key, int64_t now_ms)
{
    struct cache_response *out = NULL;
    pthread_mutex_lock(&c->mutex);
    struct cache_space *s = space_find(c, space);
    struct cache_response *r = s ? map_get(&s->responses, key) : NULL;
    bool was_fresh = r && r->stale_ms > now_ms;
    if (r)
        response_leave(c, r, &out);
    pthread_mutex_unlock(&c->mutex);
    unref_all(out);
    return was_fresh;
}

void cache_count_refusal(struct http_cache *c)
{
    pthread_mutex_lock(&c->mutex);
    c->figures.refusals++;
    pthread_mutex_unlock(&c->mutex);
}

/* ---- its life ---- */

enum err http_cache_new(const char *folder, struct http_cache **ret_cache, struct error *ret_error)
{
    enum err err = folder_empty(folder, ret_error);
    if (err != OK)
        return err;
    struct http_cache *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->folder = strdup(folder);
    CHECK(c->folder && pthread_mutex_init(&c->mutex, NULL) == 0);
    *ret_cache = c;
    return OK;
}

void http_cache_forget(struct http_cache *c, struct account *space)
{
    struct cache_response *out = NULL;
    pthread_mutex_lock(&c->mutex);
    struct cache_space *s = map_remove(&c->spaces, space_key(&space));
    if (s)
        space_end(c, s, &out);
    pthread_mutex_unlock(&c->mutex);
    unref_all(out);
    if (s)
        account_unref(space);
    cache_remove_waste(c);
}

void http_cache_free(struct http_cache *c)
{
    if (!c)
        return;
    void *value;
    for (size_t at = 0; map_next(&c->spaces, &at, NULL, &value); at = 0)
        http_cache_forget(c, ((struct cache_space *)value)->account);
    map_done(&c->spaces);
    cache_remove_waste(c);
    bytes_done(&c->waste);
    pthread_mutex_destroy(&c->mutex);
    free(c->folder);
    free(c);
}

void http_cache_figures(struct http_cache *c, struct http_cache_figures *ret)
{
    pthread_mutex_lock(&c->mutex);
    *ret = c->figures;
    pthread_mutex_unlock(&c->mutex);
}
