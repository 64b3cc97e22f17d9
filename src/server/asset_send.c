/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer with an asset: which file it is (asset/assets.h), in which coding, and which part of it; then
 * its bytes, as its client takes them. What is in memory goes from there to the socket; a larger file is
 * read on the pool, a piece at a time, and only when the piece before has left.
 *
 * The struct is held by its exchange, and by what is out on the pool. */
#include "server/asset_send.h"

#include <stdlib.h>

#include "asset/assets.h"
#include "base/clock.h"
#include "base/limits.h"
#include "http/server.h"
#include "module/deployment.h"
#include "server/asset_cache.h"
#include "server/slot.h"
#include "server/worker.h"
#include "store/store.h"

enum { SEND_HEADERS_MAX = ASSET_HEADERS_MAX + 8 };

enum send_state {
    SEND_WAIT_BODY,  /* exits: read (to WAIT_BODY of another coding, or WAIT_DRAIN); gone */
    SEND_WAIT_PIECE, /* pool: a piece of a large file */
    SEND_WAIT_DRAIN, /* the client takes what it has been sent */
};

struct asset_sending {
    struct exchange_owner owner;
    struct worker *worker;
    struct http_exchange *x; /* NULL: gone */
    struct slot *slot;
    struct assets *assets;
    uint64_t began_ns;
    struct asset_request request;
    struct asset_answer answer;
    enum asset_coding coding;
    struct asset_body *body;
    struct asset_wait wait;
    bool is_waiting;
    enum send_state state;
    uint64_t at, end;
    int status;
    struct work work; /* a piece */
    struct bytes piece;
    struct error error;
    bool is_reading;
};

static struct slice header_of(const struct http_request *r, struct slice name)
{
    for (size_t i = 0; i < r->headers_len; i++)
        if (slice_eq(r->headers[i].name, name))
            return r->headers[i].value;
    return SLICE_EMPTY;
}

static void sending_free(struct asset_sending *s)
{
    asset_body_unref(s->body);
    assets_unref(s->assets);
    bytes_done(&s->piece);
    free(s);
}

static void sending_closed(struct http_exchange *x, bool is_complete)
{
    struct asset_sending *s = *http_exchange_user(x);
    metrics_answered(&s->worker->metrics, is_complete ? s->status : 0,
                     clock_monotonic_ns() - s->began_ns);
    s->x = NULL;
    s->slot->invocations--;
    slot_release(s->slot);
    if (s->is_waiting)
        list_remove(&s->wait.link);
    if (!s->is_reading)
        sending_free(s);
}

/* ---- bytes ---- */

static void sending_step(struct asset_sending *s);

/* Pool thread. */
static void piece_read(struct work *w)
{
    struct asset_sending *s = container_of(w, struct asset_sending, work);
    const uint64_t left = s->end - s->at;
    const size_t len = left < LIMIT_ASSET_PIECE_BYTES ? (size_t)left : LIMIT_ASSET_PIECE_BYTES;
    enum err err = store_asset_read(s->body->fd, s->at, len, &s->piece, &s->error);
    CHECK(err == s->error.code);
}

static void piece_done(struct work *w)
{
    struct asset_sending *s = container_of(w, struct asset_sending, work);
    s->is_reading = false;
    if (!s->x)
        sending_free(s);
    else if (s->error.code != OK)
        http_abort(s->x);
    else
        sending_step(s);
}

/* Writes what there is; what is not there yet is asked for. */
static void sending_step(struct asset_sending *s)
{
    const bool is_file = s->body->fd >= 0;
    while (s->x && s->at < s->end) {
        if (is_file && s->piece.len == 0) {
            s->state = SEND_WAIT_PIECE;
            s->is_reading = true;
            s->work = (struct work){.run = piece_read, .done = piece_done};
            work_start(&s->worker->loop, &s->work);
            return;
        }
        const uint64_t left = s->end - s->at;
        struct slice data =
            is_file
                ? bytes_slice(&s->piece)
                : slice_of(s->body->content.ptr + s->at,
                           left < LIMIT_ASSET_PIECE_BYTES ? (size_t)left : LIMIT_ASSET_PIECE_BYTES);
        s->at += data.len;
        s->state = SEND_WAIT_DRAIN;
        s->slot->egress_bytes += data.len;
        const bool goes_on = http_write(s->x, data, s->at == s->end);
        if (is_file)
            bytes_done(&s->piece);
        if (!goes_on)
            return;
    }
}

static void sending_drained(struct http_exchange *x)
{
    struct asset_sending *s = *http_exchange_user(x);
    if (s->state == SEND_WAIT_DRAIN && s->body && s->body->state == ASSET_BODY_READY)
        sending_step(s);
}

/* ---- the head ---- */

static void sending_fail(struct asset_sending *s, const struct error *error)
{
    struct error e = {0};
    (void)error_set(&e, error->code == ERR_NOT_FOUND ? ERR_CORRUPT : error->code,
                    "this file cannot be read");
    error_hint(&e, "deploy the project again");
    s->status = error_http_status(e.code);
    http_respond_error(s->x, &e);
}

static bool is_compressible(struct slice type)
{
    return slice_starts(type, SLICE_LIT("text/")) || slice_ends(type, SLICE_LIT("json")) ||
           slice_ends(type, SLICE_LIT("xml")) ||
           slice_starts(type, SLICE_LIT("application/wasm")) ||
           slice_starts(type, SLICE_LIT("application/yaml")) ||
           slice_starts(type, SLICE_LIT("font/ttf")) || slice_starts(type, SLICE_LIT("font/otf")) ||
           slice_starts(type, SLICE_LIT("image/bmp")) ||
           slice_starts(type, SLICE_LIT("image/x-icon"));
}

/* The coding to try after this one, of those that the client takes. */
static enum asset_coding next_coding(const struct asset_sending *s, int after)
{
    const struct http_request *r = http_exchange_request(s->x);
    const struct slice accept = header_of(r, SLICE_LIT("accept-encoding"));
    const bool may = is_compressible(s->answer.asset->type) && s->answer.status == 200 &&
                     header_of(r, SLICE_LIT("range")).len == 0;
    for (int k = after + 1; may && k < ASSET_CODINGS; k++)
        if (asset_accepts(accept, slice_cstr(asset_coding_text((enum asset_coding)k))))
            return (enum asset_coding)k;
    return ASSET_PLAIN;
}

static size_t common_headers(struct asset_sending *s, struct http_header *headers)
{
    struct arena *arena = http_exchange_arena(s->x);
    const char *coding = asset_coding_text(s->coding);
    size_t n = assets_headers(s->assets, &s->request, &s->answer, arena, headers);
    headers[n++] = (struct http_header){
        SLICE_LIT("etag"),
        slice_cstr(arena_printf(arena, "\"%.32s%s%s\"", s->answer.asset->hash.ptr,
                                coding[0] ? "-" : "", coding))};
    if (is_compressible(s->answer.asset->type))
        headers[n++] = (struct http_header){SLICE_LIT("vary"), SLICE_LIT("accept-encoding")};
    if (coding[0])
        headers[n++] = (struct http_header){SLICE_LIT("content-encoding"), slice_cstr(coding)};
    return n;
}

/* The body is there: from the head on. */
static void sending_respond(struct asset_sending *s)
{
    struct http_header headers[SEND_HEADERS_MAX];
    const struct http_request *r = http_exchange_request(s->x);
    struct arena *arena = http_exchange_arena(s->x);
    const struct slice range = header_of(r, SLICE_LIT("range"));
    const struct slice if_range = header_of(r, SLICE_LIT("if-range"));
    size_t n = common_headers(s, headers);
    s->status = s->answer.status;
    s->end = s->body->size;
    if (s->status == 200 && s->coding == ASSET_PLAIN) {
        enum asset_range part = ASSET_RANGE_NONE;
        if (if_range.len == 0 || asset_is_known(if_range, s->answer.asset->hash))
            part = asset_range(range, s->body->size, &s->at, &s->end);
        headers[n++] = (struct http_header){SLICE_LIT("accept-ranges"), SLICE_LIT("bytes")};
        if (part == ASSET_RANGE_BAD) {
            s->status = 416;
            s->at = s->end = 0;
            headers[n++] = (struct http_header){
                SLICE_LIT("content-range"),
                slice_cstr(arena_printf(arena, "bytes */%llu", (unsigned long long)s->body->size))};
        } else if (part == ASSET_RANGE_PART) {
            s->status = 206;
            headers[n++] = (struct http_header){
                SLICE_LIT("content-range"),
                slice_cstr(arena_printf(arena, "bytes %llu-%llu/%llu", (unsigned long long)s->at,
                                        (unsigned long long)s->end - 1,
                                        (unsigned long long)s->body->size))};
        }
    }
    const uint64_t len = s->end - s->at;
    const bool is_head = slice_eq_cstr(r->method, "HEAD");
    const bool is_small = s->body->fd < 0 && len <= LIMIT_ASSET_PIECE_BYTES;
    s->state = SEND_WAIT_DRAIN;
    if (is_head || is_small) {
        const struct slice data =
            is_head ? SLICE_EMPTY : slice_of(s->body->content.ptr + s->at, (size_t)len);
        s->at = s->end;
        s->slot->egress_bytes += data.len;
        http_respond(s->x, s->status, headers, n, (int64_t)len, data, true);
        return;
    }
    http_exchange_charge(s->x, s->slot->deployment->account);
    http_respond(s->x, s->status, headers, n, (int64_t)len, SLICE_EMPTY, false);
    sending_step(s);
}

static void sending_find(struct asset_sending *s)
{
    for (;;) {
        s->body = asset_body_get(&s->worker->assets, s->answer.asset->hash, s->coding);
        if (s->body->state == ASSET_BODY_LOADING) {
            s->is_waiting = true;
            asset_body_await(s->body, &s->wait);
            return;
        }
        if (s->body->state == ASSET_BODY_READY) {
            sending_respond(s);
            return;
        }
        if (s->body->state == ASSET_BODY_FAILED || s->coding == ASSET_PLAIN) {
            const struct error error = s->body->error;
            sending_fail(s, &error);
            return;
        }
        asset_body_unref(TAKE(s->body)); /* it does not exist in this coding */
        s->coding = next_coding(s, (int)s->coding);
    }
}

static void sending_ready(struct asset_wait *w)
{
    struct asset_sending *s = container_of(w, struct asset_sending, wait);
    s->is_waiting = false;
    asset_body_unref(TAKE(s->body));
    sending_find(s);
}

/* ---- the beginning ---- */

static void respond_plain(struct asset_sending *s, int status, struct slice location)
{
    const struct http_header header = {SLICE_LIT("location"), location};
    s->status = status;
    http_respond(s->x, status, &header, location.len > 0, -1, SLICE_EMPTY, true);
}

static void respond_error(struct asset_sending *s, enum err code, const char *what)
{
    struct error e = {0};
    (void)error_set(&e, code, "%s", what);
    s->status = error_http_status(code);
    http_respond_error(s->x, &e);
}

static void sending_begin(struct asset_sending *s)
{
    const struct http_request *r = http_exchange_request(s->x);
    struct http_header headers[SEND_HEADERS_MAX];
    switch (s->answer.kind) {
    case ASSET_REDIRECT:
        respond_plain(s, s->answer.status, s->answer.location);
        return;
    case ASSET_METHOD:
        respond_error(s, ERR_METHOD, "static files are read, with GET or HEAD");
        return;
    case ASSET_NOTHING:
        respond_error(s, ERR_NOT_FOUND, "there is no such file");
        return;
    default:
        break;
    }
    s->coding = next_coding(s, 0);
    if (s->answer.status == 200 &&
        asset_is_known(header_of(r, SLICE_LIT("if-none-match")), s->answer.asset->hash)) {
        s->status = 304;
        size_t n = common_headers(s, headers);
        http_respond(s->x, 304, headers, n, -1, SLICE_EMPTY, true);
        return;
    }
    sending_find(s);
}

bool asset_send(struct worker *w, struct slot *slot, struct http_exchange *x)
{
    const struct http_request *r = http_exchange_request(x);
    const struct asset_request request = {
        .method = r->method,
        .host = r->authority,
        .target = r->target,
        .is_navigation = slice_eq_cstr(header_of(r, SLICE_LIT("sec-fetch-mode")), "navigate"),
    };
    struct asset_answer answer;
    struct assets *assets = slot->deployment->assets;
    assets_answer(assets, &request, http_exchange_arena(x), &answer);
    if (answer.kind == ASSET_CODE)
        return false;
    struct asset_sending *s = calloc(1, sizeof(*s));
    CHECK(s);
    *s = (struct asset_sending){
        .owner = {sending_drained, sending_closed},
        .worker = w,
        .x = x,
        .slot = slot,
        .assets = assets_ref(assets),
        .began_ns = clock_monotonic_ns(),
        .request = request,
        .answer = answer,
        .wait = {.ready = sending_ready},
    };
    list_init(&s->wait.link);
    *http_exchange_user(x) = s;
    slot->requests++;
    slot->invocations++;
    slot_use(slot, s->began_ns);
    slot_warm(slot);
    sending_begin(s);
    return true;
}
