/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer with an asset: which file it is (asset/assets.h), in which coding, and which part of it; then
 * its bytes, as its client takes them. What is in memory goes from there to the socket; a larger file is
 * read on the pool, a piece at a time, and only when the piece before has left. Who asks is a client, or code
 * by a call: that is behind a port.
 *
 * The struct is held by who asks, and by what is out on the pool. */
#include "server/asset_send.h"

#include <stdlib.h>

#include "asset/assets.h"
#include "base/clock.h"
#include "base/limits.h"
#include "call/call.h"
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

struct asset_sending;

/* Who asks. */
struct asset_port {
    void (*respond)(struct asset_sending *s, const struct call_answer *a);
    bool (*write)(struct asset_sending *s, struct slice data, bool is_end);
    /* Instead of a file; is_broken: there should be one. */
    void (*refuse)(struct asset_sending *s, const struct error *error, bool is_broken);
    void (*abort)(struct asset_sending *s); /* what has begun does not end */
    void (*over)(struct asset_sending *s);  /* all was said; it may be gone then. NULL: it waits */
};

struct asset_sending {
    struct exchange_owner owner;
    const struct asset_port *port;
    struct worker *worker;
    struct http_exchange *x; /* of a client, */
    struct call *call;       /* or code's */
    bool is_gone;            /* nobody takes it any more */
    const struct http_request *http;
    struct arena *arena;
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

/* Whoever asked is done. */
static void sending_gone(struct asset_sending *s)
{
    s->is_gone = true;
    s->slot->invocations--;
    slot_release(s->slot);
    if (s->is_waiting)
        list_remove(&s->wait.link);
    if (!s->is_reading)
        sending_free(s);
}

static void sending_over(struct asset_sending *s)
{
    if (!s->is_gone && s->port->over)
        s->port->over(s);
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
    if (s->is_gone)
        sending_free(s);
    else if (s->error.code != OK)
        s->port->abort(s);
    else
        sending_step(s);
}

/* Writes what there is; what is not there yet is asked for. */
static void sending_step(struct asset_sending *s)
{
    const bool is_file = s->body->fd >= 0;
    while (!s->is_gone && s->at < s->end) {
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
        const bool goes_on = s->port->write(s, data, s->at == s->end);
        if (is_file)
            bytes_done(&s->piece);
        if (!goes_on && s->at < s->end)
            return;
    }
    sending_over(s);
}

static void sending_drained(struct asset_sending *s)
{
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
    s->port->refuse(s, &e, true);
    sending_over(s);
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

/* The coding to try after this one, of those that the client takes. Code is given what it can read. */
static enum asset_coding next_coding(const struct asset_sending *s, int after)
{
    const struct http_request *r = s->http;
    const struct slice accept = header_of(r, SLICE_LIT("accept-encoding"));
    const bool may = s->x && is_compressible(s->answer.asset->type) && s->answer.status == 200 &&
                     header_of(r, SLICE_LIT("range")).len == 0;
    for (int k = after + 1; may && k < ASSET_CODINGS; k++)
        if (asset_accepts(accept, slice_cstr(asset_coding_text((enum asset_coding)k))))
            return (enum asset_coding)k;
    return ASSET_PLAIN;
}

static size_t common_headers(struct asset_sending *s, struct http_header *headers)
{
    struct arena *arena = s->arena;
    const char *coding = asset_coding_text(s->coding);
    size_t n = assets_headers(s->assets, &s->request, &s->answer, arena, headers);
    headers[n++] = (struct http_header){
        SLICE_LIT("etag"),
        slice_cstr(arena_printf(arena, "\"%.32s%s%s\"", s->answer.asset->hash.ptr,
                                coding[0] ? "-" : "", coding))};
    if (s->x && is_compressible(s->answer.asset->type))
        headers[n++] = (struct http_header){SLICE_LIT("vary"), SLICE_LIT("accept-encoding")};
    if (coding[0])
        headers[n++] = (struct http_header){SLICE_LIT("content-encoding"), slice_cstr(coding)};
    return n;
}

static void sending_respond_head(struct asset_sending *s, const struct http_header *headers,
                                 size_t n, int64_t len, struct slice data, bool is_end)
{
    s->port->respond(s, &(struct call_answer){.status = s->status,
                                              .headers = headers,
                                              .headers_len = n,
                                              .body_len = len,
                                              .body = data,
                                              .is_end = is_end});
}

/* The body is there: from the head on. */
static void sending_respond(struct asset_sending *s)
{
    struct http_header headers[SEND_HEADERS_MAX];
    const struct http_request *r = s->http;
    struct arena *arena = s->arena;
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
        sending_respond_head(s, headers, n, (int64_t)len, data, true);
        sending_over(s);
        return;
    }
    sending_respond_head(s, headers, n, (int64_t)len, SLICE_EMPTY, false);
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

static void respond_redirect(struct asset_sending *s, int status, struct slice location)
{
    const struct http_header header = {SLICE_LIT("location"), location};
    s->status = status;
    sending_respond_head(s, &header, location.len > 0, -1, SLICE_EMPTY, true);
    sending_over(s);
}

static void respond_error(struct asset_sending *s, enum err code, const char *what)
{
    struct error e = {0};
    (void)error_set(&e, code, "%s", what);
    s->status = error_http_status(code);
    s->port->refuse(s, &e, false);
    sending_over(s);
}

static void sending_begin(struct asset_sending *s)
{
    struct http_header headers[SEND_HEADERS_MAX];
    switch (s->answer.kind) {
    case ASSET_REDIRECT:
        respond_redirect(s, s->answer.status, s->answer.location);
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
        asset_is_known(header_of(s->http, SLICE_LIT("if-none-match")), s->answer.asset->hash)) {
        s->status = 304;
        size_t n = common_headers(s, headers);
        sending_respond_head(s, headers, n, -1, SLICE_EMPTY, true);
        sending_over(s);
        return;
    }
    sending_find(s);
}

/* NULL: no file has to do with it, the version's code does. */
static struct asset_sending *sending_new(struct worker *w, struct slot *slot,
                                         const struct http_request *r, struct arena *arena,
                                         bool is_from_code)
{
    const struct asset_request request = {
        .method = r->method,
        .host = r->authority,
        .target = r->target,
        .is_navigation = slice_eq_cstr(header_of(r, SLICE_LIT("sec-fetch-mode")), "navigate"),
        .is_from_code = is_from_code,
    };
    struct asset_answer answer;
    struct assets *assets = slot->deployment->assets;
    assets_answer(assets, &request, arena, &answer);
    if (answer.kind == ASSET_CODE)
        return NULL;
    struct asset_sending *s = calloc(1, sizeof(*s));
    CHECK(s);
    *s = (struct asset_sending){
        .worker = w,
        .http = r,
        .arena = arena,
        .slot = slot,
        .assets = assets_ref(assets),
        .began_ns = clock_monotonic_ns(),
        .request = request,
        .answer = answer,
        .wait = {.ready = sending_ready},
    };
    list_init(&s->wait.link);
    slot->requests += !is_from_code;
    slot->invocations++;
    slot_use(slot, s->began_ns);
    slot_warm(slot);
    return s;
}

/* ---- for clients ---- */

static void client_respond(struct asset_sending *s, const struct call_answer *a)
{
    if (!a->is_end)
        http_exchange_charge(s->x, s->slot->deployment->account);
    http_respond(s->x, a->status, a->headers, a->headers_len, a->body_len, a->body, a->is_end);
}

static bool client_write(struct asset_sending *s, struct slice data, bool is_end)
{
    return http_write(s->x, data, is_end);
}

static void client_refuse(struct asset_sending *s, const struct error *error, bool is_broken)
{
    http_respond_error(s->x, error);
}

static void client_abort(struct asset_sending *s)
{
    http_abort(s->x);
}

static const struct asset_port client_port = {client_respond, client_write, client_refuse,
                                              client_abort, NULL};

static void client_drained(struct http_exchange *x)
{
    sending_drained(*http_exchange_user(x));
}

static void client_closed(struct http_exchange *x, bool is_complete)
{
    struct asset_sending *s = *http_exchange_user(x);
    metrics_answered(&s->worker->metrics, is_complete ? s->status : 0,
                     clock_monotonic_ns() - s->began_ns);
    sending_gone(s);
}

bool asset_send(struct worker *w, struct slot *slot, struct http_exchange *x)
{
    struct asset_sending *s =
        sending_new(w, slot, http_exchange_request(x), http_exchange_arena(x), false);
    if (!s)
        return false;
    s->owner = (struct exchange_owner){client_drained, client_closed};
    s->port = &client_port;
    s->x = x;
    *http_exchange_user(x) = s;
    sending_begin(s);
    return true;
}

/* ---- for code ---- */

static void called_respond(struct asset_sending *s, const struct call_answer *a)
{
    call_answer(s->call, a);
}

static bool called_write(struct asset_sending *s, struct slice data, bool is_end)
{
    return call_send(s->call, CALL_CALLEE, data, is_end);
}

/* A path without a file is no failure of the call. */
static void called_refuse(struct asset_sending *s, const struct error *error, bool is_broken)
{
    if (is_broken)
        call_fail(s->call, &(struct call_failure){.error = *error});
    else
        call_answer(s->call, &(struct call_answer){.status = error_http_status(error->code),
                                                   .is_end = true});
}

static void called_over(struct asset_sending *s)
{
    metric_add(&s->worker->metrics.calls, 1);
    call_end(TAKE(s->call), CALL_CALLEE);
    sending_gone(s);
}

static void called_abort(struct asset_sending *s)
{
    call_break(s->call, CALL_CALLEE, &s->error);
    called_over(s);
}

static const struct asset_port called_port = {called_respond, called_write, called_refuse,
                                              called_abort, called_over};

static void on_drained(struct call *c, void *user)
{
    sending_drained(user);
}

static void on_over(struct call *c, void *user)
{
    called_over(user);
}

static void on_data(struct call *c, void *user, struct slice data, struct bytes *own, bool is_end)
{
    call_taken(c, CALL_CALLEE, data.len);
}

static void on_broken(struct call *c, void *user, const struct error *error)
{
}

static const struct call_events called_events = {
    .data = on_data, .broken = on_broken, .drained = on_drained, .over = on_over};

bool asset_call(struct worker *w, struct slot *slot, struct call *c, bool is_from_code)
{
    struct asset_sending *s = sending_new(w, slot, c->request.http, c->arena, is_from_code);
    if (!s)
        return false;
    s->port = &called_port;
    s->call = c;
    call_take_up(c, &called_events, s, slot->deployment->version);
    sending_begin(s);
    return true;
}

void asset_accept(void *worker, struct call *c)
{
    struct worker *w = worker;
    struct deployment *d = c->request.files;
    struct slot *s = map_get(&w->routes, d->name);
    if (s && s->deployment != d)
        s = s->split && s->split->deployment == d ? s->split : NULL;
    (void)asset_call(w, s ? s : worker_slot(w, d), c, true);
}
