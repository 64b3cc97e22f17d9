/* SPDX-License-Identifier: Apache-2.0
 *
 * A request to the cache, in the form of an outgoing one (http/client.h). Bodies go through in pieces, to and
 * from a file that only the pool touches; while it does, nothing else happens to the exchange.
 *
 *     START -> HEAD -> SEND -> DONE             what is there, piece by piece
 *     START -> TAKE (-> DROP) -> HEAD -> DONE   a response that is put; DROP: it will not be kept
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cache/internal.h"
#include "http/client.h"
#include "http/transport.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/work.h"

enum { PIECE_BYTES = 256 * 1024 };

enum exchange_state {
    EXCHANGE_TAKE, /* the body is being put */
    EXCHANGE_DROP, /* it is read to its end, for nothing */
    EXCHANGE_HEAD, /* the answer is known */
    EXCHANGE_SEND, /* its body is read */
    EXCHANGE_DONE,
};

struct exchange {
    struct http_transport transport; /* of the fetch */
    struct http_fetch *fetch;
    struct http_cache *cache;
    struct account *space;
    struct loop *loop;
    struct timer step;
    enum exchange_state state;
    bool is_cancelled, is_paused, is_full;
    bool is_expected; /* the loop waits for it at its end */
    struct error failure;
    struct allowance held; /* of the account: bytes on their way */
    /* a response that is found, or is to be */
    struct cache_response *response;
    uint64_t at, end; /* of its body: what is to be sent */
    /* a response that is put */
    struct bytes taken; /* of the body, not written yet */
    size_t lent_at;     /* of a body that is there as a whole */
    bool is_end;        /* all of it is taken */
    /* the pool's, while is_working */
    struct work work;
    bool is_working;
    int fd, os;         /* -1; errno of what failed */
    struct bytes piece; /* to be written; or read */
    uint64_t piece_at;
    struct bytes path;
    /* of the answer */
    struct http_header headers[8];
    size_t headers_len;
    struct http_header *all; /* the response's, and these */
    struct slice url;        /* in key */
    struct bytes key;
    char age[24], range[64];
};

static struct exchange *exchange_of(struct http_fetch *f)
{
    return container_of(f->transport, struct exchange, transport);
}

static void on_step(struct timer *t);

/* Never from inside of a call of the caller's. */
static void exchange_kick(struct exchange *x)
{
    if (!x->is_working && !timer_is_running(&x->step))
        timer_start(x->loop, &x->step, 0, on_step);
}

/* ---- the pool ---- */

static void pool_write(struct exchange *x)
{
    size_t done = 0;
    if (x->fd < 0)
        x->fd = open(bytes_cstr(&x->path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (x->fd < 0)
        x->os = errno;
    while (!x->os && done < x->piece.len) {
        ssize_t n =
            pwrite(x->fd, x->piece.ptr + done, x->piece.len - done, (off_t)(x->piece_at + done));
        if (n < 0 && errno != EINTR)
            x->os = errno;
        else if (n > 0)
            done += (size_t)n;
    }
}

static void pool_read(struct exchange *x)
{
    size_t done = 0;
    if (x->fd < 0)
        x->fd = open(bytes_cstr(&x->path), O_RDONLY | O_CLOEXEC);
    if (x->fd < 0)
        x->os = errno;
    while (!x->os && done < x->piece.len) {
        ssize_t n =
            pread(x->fd, x->piece.ptr + done, x->piece.len - done, (off_t)(x->piece_at + done));
        if (n < 0 && errno != EINTR)
            x->os = errno;
        else if (n == 0)
            x->os = EIO; /* a file of ours that is shorter than it was */
        else if (n > 0)
            done += (size_t)n;
    }
}

static void pool_run(struct work *w)
{
    struct exchange *x = container_of(w, struct exchange, work);
    if (x->state == EXCHANGE_DONE) {
        if (x->fd >= 0)
            close(x->fd);
        x->fd = -1;
        cache_remove_waste(x->cache);
    } else if (x->state == EXCHANGE_SEND) {
        pool_read(x);
    } else {
        pool_write(x);
    }
}

static void exchange_step(struct exchange *x);

static void pool_done(struct work *w)
{
    struct exchange *x = container_of(w, struct exchange, work);
    x->is_working = false;
    exchange_step(x);
    /* x may be gone */
}

static void pool_start(struct exchange *x)
{
    x->is_working = true;
    x->work = (struct work){.run = pool_run, .done = pool_done};
    work_start(x->loop, &x->work);
}

/* ---- the end ---- */

static void exchange_free(struct exchange *x)
{
    allowance_give(&x->held, x->held.used);
    allowance_done(&x->held);
    account_unref(x->space);
    bytes_done(&x->taken);
    bytes_done(&x->piece);
    bytes_done(&x->path);
    bytes_done(&x->key);
    free(x->all);
    if (x->is_expected)
        loop_arrived(x->loop);
    free(x);
}

/* The caller is told, then the pool closes what is open. */
static void exchange_end(struct exchange *x)
{
    struct http_fetch *f = x->fetch;
    x->state = EXCHANGE_DONE;
    x->fetch = NULL;
    timer_stop(x->loop, &x->step);
    f->transport = NULL;
    f->on_done(f, &x->failure);
    cache_response_unref(TAKE(x->response)); /* one that was not put is waste */
    if (x->fd >= 0 || cache_has_waste(x->cache))
        pool_start(x);
    else
        exchange_free(x);
}

static void exchange_fail(struct exchange *x, int os)
{
    (void)error_set(&x->failure, ERR_IO, "the cache's file: %s", strerror(os));
    exchange_end(x);
}

/* ---- what is put ---- */

/* It is read to its end, and not kept. */
static void take_refuse(struct exchange *x)
{
    cache_count_refusal(x->cache);
    x->state = EXCHANGE_DROP;
    x->fetch->status = 413;
    cache_response_unref(TAKE(x->response));
}

/* Of a body that is there as a whole: the next of it. */
static void take_given(struct exchange *x)
{
    if (x->state == EXCHANGE_DROP)
        x->lent_at = x->fetch->body.len;
    struct slice rest = slice_skip(x->fetch->body, x->lent_at);
    size_t len = x->taken.len < PIECE_BYTES ? PIECE_BYTES - x->taken.len : 0;
    len = rest.len < len ? rest.len : len;
    bytes_append(&x->taken, rest.ptr, len);
    allowance_force(&x->held, len);
    x->lent_at += len;
    x->is_end = x->lent_at == x->fetch->body.len;
}

static void take_dropped(struct exchange *x)
{
    allowance_give(&x->held, x->taken.len);
    bytes_clear(&x->taken);
}

/* What was taken goes to the file, or, of a small response, stays. False: there is no room for it. */
static bool take_place(struct exchange *x)
{
    struct cache_response *r = x->response;
    struct error e;
    size_t len = x->taken.len;
    if (r->size + len > LIMIT_CACHE_RESPONSE_BYTES)
        return false;
    bool is_small = x->is_end && !r->file && len <= CACHE_INLINE_BYTES;
    if (cache_response_charge(r, is_small ? RESOURCE_MEMORY : RESOURCE_DISK, len, &e) != OK)
        return false;
    x->piece_at = r->size;
    r->size += len;
    if (is_small) {
        r->body = x->taken;
        x->taken = BYTES_INIT;
        allowance_give(&x->held, len);
        return true;
    }
    if (!r->file) {
        r->file = cache_file_next(x->cache);
        cache_path(x->cache, r->file, &x->path);
    }
    bytes_clear(&x->piece);
    bytes_append_slice(&x->piece, bytes_slice(&x->taken));
    bytes_clear(&x->taken);
    pool_start(x);
    return true;
}

static void take_over(struct exchange *x)
{
    if (x->response) {
        cache_put(x->cache, x->space, TAKE(x->response));
        x->fetch->status = 204;
    }
    x->state = EXCHANGE_HEAD;
    x->end = 0;
    x->fetch->has_no_body = true;
}

/* True: goes on at once. */
static bool exchange_take(struct exchange *x)
{
    allowance_give(&x->held, x->piece.len);
    bytes_clear(&x->piece);
    if (x->os) {
        exchange_fail(x, x->os);
        return false;
    }
    if (!x->fetch->is_streaming && !x->is_end)
        take_given(x);
    bool is_due = x->taken.len >= PIECE_BYTES || (x->is_end && x->taken.len > 0);
    if (is_due && x->state == EXCHANGE_TAKE && !take_place(x))
        take_refuse(x);
    if (x->state == EXCHANGE_DROP)
        take_dropped(x);
    if (x->is_full && !x->is_working) {
        x->is_full = false;
        x->fetch->on_drain(x->fetch);
    }
    if (x->is_working || !x->is_end || x->taken.len > 0)
        return !x->is_working &&
               (x->taken.len >= PIECE_BYTES || (!x->fetch->is_streaming && !x->is_end));
    take_over(x);
    return true;
}

/* ---- what is there ---- */

static void answer_header(struct exchange *x, const char *name, struct slice value)
{
    x->headers[x->headers_len++] = (struct http_header){slice_cstr(name), value};
}

static struct bytes borrowed(struct slice text)
{
    return (struct bytes){(char *)text.ptr, text.len, 0};
}

/* What the caller sees lasts as long as the exchange. */
static void exchange_head(struct exchange *x)
{
    const struct cache_response *r = x->response;
    struct http_fetch *f = x->fetch;
    size_t own = r ? r->headers_len : 0;
    x->all = calloc(own + x->headers_len + 1, sizeof(*x->all));
    if (!x->all)
        check_out_of_memory(own * sizeof(*x->all));
    for (size_t i = 0; i < own; i++)
        x->all[i] = r->headers[i];
    for (size_t i = 0; i < x->headers_len; i++)
        x->all[own + i] = x->headers[i];
    f->ret_headers = x->all;
    f->ret_headers_len = own + x->headers_len;
    f->final_url = borrowed(x->url);
    f->status_text = borrowed(r && f->status == r->status ? r->status_text : SLICE_EMPTY);
    x->state = EXCHANGE_SEND;
    f->on_head(f);
}

/* Of the body: what was read, or what is in memory. */
static void send_piece(struct exchange *x, struct slice piece)
{
    x->at += piece.len;
    x->is_paused = !x->fetch->on_body(x->fetch, piece);
}

/* True: goes on at once. */
static bool exchange_send(struct exchange *x)
{
    struct cache_response *r = x->response;
    if (x->os) {
        exchange_fail(x, x->os);
        return false;
    }
    if (x->piece.len > 0) {
        send_piece(x, bytes_slice(&x->piece));
        bytes_clear(&x->piece);
    }
    if (x->is_cancelled || x->is_paused)
        return x->is_cancelled;
    if (x->at >= x->end) {
        exchange_end(x);
        return false;
    }
    uint64_t left = x->end - x->at;
    size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    if (!r->file) {
        send_piece(x, slice_of(r->body.ptr + x->at, len));
        return true;
    }
    bytes_reserve(&x->piece, len);
    x->piece.len = len;
    x->piece_at = x->at;
    pool_start(x);
    return false;
}

/* ---- the step ---- */

static void exchange_step(struct exchange *x)
{
    for (bool goes_on = true; goes_on;) {
        if (x->state == EXCHANGE_DONE) {
            exchange_free(x);
            return;
        }
        if (x->is_cancelled) {
            (void)error_set(&x->failure, ERR_CANCELLED, "the request was cancelled");
            exchange_end(x);
            return;
        }
        switch (x->state) {
        case EXCHANGE_TAKE:
        case EXCHANGE_DROP:
            goes_on = exchange_take(x);
            break;
        case EXCHANGE_HEAD:
            exchange_head(x);
            break;
        case EXCHANGE_SEND:
            goes_on = exchange_send(x);
            break;
        case EXCHANGE_DONE:
            break;
        }
    }
}

static void on_step(struct timer *t)
{
    exchange_step(container_of(t, struct exchange, step));
}

/* ---- the caller's side ---- */

static bool exchange_write(struct http_fetch *f, struct slice data, bool is_end)
{
    struct exchange *x = exchange_of(f);
    if (x->state != EXCHANGE_TAKE && x->state != EXCHANGE_DROP)
        return true;
    if (x->state == EXCHANGE_TAKE) {
        bytes_append_slice(&x->taken, data);
        allowance_force(&x->held, data.len);
    }
    x->is_end = is_end;
    x->is_full = x->taken.len >= PIECE_BYTES && !is_end;
    exchange_kick(x);
    return !x->is_full;
}

static void exchange_resume(struct http_fetch *f)
{
    struct exchange *x = exchange_of(f);
    if (!x->is_paused)
        return;
    x->is_paused = false;
    exchange_kick(x);
}

static bool exchange_has_sent(const struct http_fetch *f)
{
    const struct exchange *x = container_of(f->transport, const struct exchange, transport);
    return x->lent_at == f->body.len;
}

static void exchange_cancel(struct http_fetch *f)
{
    struct exchange *x = exchange_of(f);
    x->is_cancelled = true;
    exchange_kick(x);
}

static const struct http_transport exchange_transport = {exchange_write, exchange_resume,
                                                         exchange_has_sent, exchange_cancel};

/* ---- the beginning ---- */

static int64_t now_ms(void)
{
    return clock_wall_us() / 1000;
}

static struct cache_headers headers_of(const struct http_fetch *f)
{
    return (struct cache_headers){f->headers, f->headers_len};
}

/* "200 OK" */
static bool status_read(struct slice text, int *ret_status, struct slice *ret_text)
{
    uint64_t status;
    if (!slice_to_u64(slice_split(&text, ' '), &status) || status < 200 || status > 599)
        return false;
    *ret_status = (int)status;
    *ret_text = text;
    return true;
}

static enum err begin_put(struct exchange *x, struct slice key, struct error *ret_error)
{
    const struct cache_headers h = headers_of(x->fetch);
    int status;
    struct slice text;
    struct error e;
    if (!status_read(cache_header(h, "limpet-status"), &status, &text))
        return error_set(ret_error, ERR_INVALID, "no response is put: it has no status");
    const int64_t now = now_ms();
    const struct cache_policy policy = cache_policy(status, h, now);
    x->state = EXCHANGE_DROP;
    x->fetch->status = 204;
    if (!policy.may_keep) {
        (void)cache_remove(x->cache, x->space, key, now); /* what was there is out of date */
    } else if (cache_response_new(x->cache, x->fetch->owner, key, status, text, h,
                                  policy.leaves_cookies, &x->response, &e) != OK) {
        cache_count_refusal(x->cache);
        x->fetch->status = 413;
    } else {
        x->state = EXCHANGE_TAKE;
        x->response->made_ms = now;
        x->response->stale_ms = now + policy.fresh_ms;
    }
    return OK;
}

static void begin_answer(struct exchange *x)
{
    struct cache_response *r = x->response;
    struct http_fetch *f = x->fetch;
    uint64_t from = 0, to = r->size;
    f->status = r->status;
    snprintf(x->age, sizeof(x->age), "%lld", (long long)((now_ms() - r->made_ms) / 1000));
    answer_header(x, "age", slice_cstr(x->age));
    answer_header(x, "cf-cache-status", SLICE_LIT("HIT"));
    switch (cache_answer(headers_of(f), r->status,
                         (struct cache_headers){r->headers, r->headers_len}, r->size, &from, &to)) {
    case CACHE_NOT_MODIFIED:
        f->status = 304;
        f->has_no_body = true;
        to = 0;
        break;
    case CACHE_PART:
        f->status = 206;
        snprintf(x->range, sizeof(x->range), "bytes %llu-%llu/%llu", (unsigned long long)from,
                 (unsigned long long)to - 1, (unsigned long long)r->size);
        answer_header(x, "content-range", slice_cstr(x->range));
        break;
    case CACHE_NO_PART:
        f->status = 416;
        snprintf(x->range, sizeof(x->range), "bytes */%llu", (unsigned long long)r->size);
        answer_header(x, "content-range", slice_cstr(x->range));
        to = 0;
        break;
    case CACHE_WHOLE:
        f->has_no_body = r->status == 204 || r->status == 205;
        break;
    }
    x->at = from;
    x->end = to;
    if (r->file)
        cache_path(x->cache, r->file, &x->path);
}

static void begin_get(struct exchange *x, struct slice key)
{
    x->response = cache_find(x->cache, x->space, key, now_ms());
    x->state = EXCHANGE_HEAD;
    if (x->response) {
        begin_answer(x);
        return;
    }
    x->fetch->status = 504;
    x->fetch->has_no_body = true;
}

static void begin_purge(struct exchange *x, struct slice key)
{
    bool was_there = cache_remove(x->cache, x->space, key, now_ms());
    x->state = EXCHANGE_HEAD;
    x->fetch->status = was_there ? 200 : 404;
    x->fetch->has_no_body = true;
}

static enum err exchange_begin(struct exchange *x, struct slice key, struct error *ret_error)
{
    struct slice method = x->fetch->method;
    if (slice_eq_cstr(method, "PUT"))
        return begin_put(x, key, ret_error);
    if (slice_eq_cstr(method, "GET"))
        begin_get(x, key);
    else if (slice_eq_cstr(method, "PURGE"))
        begin_purge(x, key);
    else
        return error_set(ret_error, ERR_INVALID, "a cache knows no method '%.*s'",
                         SLICE_ARG(slice_utf8_clip(method, 32)));
    return OK;
}

/* "cache:NAME URL": the key is what follows the colon. */
static enum err key_read(struct slice url, struct slice *ret_key, struct error *ret_error)
{
    struct slice key = slice_starts(url, SLICE_LIT("cache:")) ? slice_skip(url, 6) : SLICE_EMPTY;
    ptrdiff_t space = slice_find(key, ' ');
    if (space < 0 || space > CACHE_NAME_BYTES_MAX || key.len > CACHE_KEY_BYTES_MAX)
        return error_set(ret_error, ERR_INVALID,
                         "the name of a cache has at most %d bytes, with a URL %d",
                         CACHE_NAME_BYTES_MAX, CACHE_KEY_BYTES_MAX);
    *ret_key = key;
    return OK;
}

enum err http_cache_fetch(struct http_cache *c, struct loop *loop, struct http_fetch *f,
                          struct error *ret_error)
{
    struct slice key = SLICE_EMPTY;
    enum err err = key_read(f->url, &key, ret_error);
    if (err != OK)
        return err;
    if (!f->owner || !f->owner->parent)
        return error_set(ret_error, ERR_INVALID, "there is no cache here");
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x)
        check_out_of_memory(sizeof(*x));
    x->transport = exchange_transport;
    x->fetch = f;
    x->cache = c;
    x->loop = loop;
    x->space = account_ref(f->owner->parent);
    x->held.from = &f->owner->budgets[RESOURCE_MEMORY];
    x->fd = -1;
    err = exchange_begin(x, key, ret_error);
    if (err != OK) {
        exchange_free(x);
        return err;
    }
    bytes_append_slice(&x->key, key);
    x->url = slice_skip(bytes_slice(&x->key), (size_t)slice_find(key, ' ') + 1);
    f->transport = &x->transport;
    loop_expect(loop);
    x->is_expected = true;
    exchange_kick(x);
    return OK;
}
