/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.x on a connection. Requests are taken one after the other: the next head is parsed when
 * the answer before it is complete, so answers are in order by themselves and memory is bounded by
 * one request plus HTTP_AHEAD_BYTES of input. Answers given at once gather in the output, up to
 * LIMIT_HTTP_PIPELINE of them, and leave in one write.
 *
 * A head that is whole in one read is parsed where it lies in the server's read buffer; one in
 * pieces is gathered in h1.partial. A request is dispatched when its body is complete too or the
 * bytes at hand are used up, whichever is first, so that small bodies are there from the start.
 *
 * When an answer is complete before its request is, the rest of the request is read and dropped, up
 * to HTTP_DRAIN_BYTES; then the connection ends. Loop thread only. */
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

void h1_init(struct http_conn *c)
{
    h1_parser_init(&c->h1.parser);
}

static void partial_free(struct h1_partial *p)
{
    if (!p)
        return;
    bytes_done(&p->raw);
    free(p);
}

void h1_done(struct http_conn *c)
{
    partial_free(c->h1.partial);
    c->h1.partial = NULL;
    bytes_done(&c->h1.ahead);
    c->h1.ahead_off = 0;
}

static size_t h1_ahead(const struct h1 *h)
{
    return h->ahead.len - h->ahead_off;
}

size_t h1_want(const struct http_conn *c)
{
    const struct h1 *h = &c->h1;
    if (h->x && !h->x->body_is_complete)
        return exchange_body_room(h->x);
    if (!h->x && !h1_ahead(h))
        return HTTP_READ_BYTES;
    if (h1_ahead(h) >= HTTP_AHEAD_BYTES || server_is_short(c->server))
        return 0;
    return HTTP_AHEAD_BYTES - h1_ahead(h);
}

size_t h1_held(const struct http_conn *c)
{
    const struct h1_partial *p = c->h1.partial;
    return c->h1.ahead.cap + (p ? sizeof(*p) + p->raw.cap : 0);
}

bool h1_is_idle(const struct http_conn *c)
{
    const struct h1 *h = &c->h1;
    return !h->x && !h->partial && !h1_ahead(h) && !h->is_discarding && !conn_queued(c);
}

/* The next request must wait: for an answer, or for output to leave. */
static bool h1_is_blocked(const struct http_conn *c)
{
    const struct h1 *h = &c->h1;
    if (h->x)
        return h->x->body_is_complete;
    if (h->is_discarding)
        return false;
    return h->unflushed >= LIMIT_HTTP_PIPELINE || conn_queued(c) >= LIMIT_HTTP_OUT_HIGH_BYTES;
}

/* The answer of h1.x is complete. */
static void h1_answered(struct http_conn *c)
{
    struct h1 *h = &c->h1;
    struct http_exchange *x = h->x;
    h->x = NULL;
    h->unflushed++;
    h->is_discarding = !x->body_is_complete;
    h->discarded = 0;
    h->is_last = !x->keeps_alive;
    c->idle_since_ms = server_now(c->server);
    if (h->is_last)
        conn_finish(c, h->is_discarding);
}

static void h1_check_answered(struct http_conn *c)
{
    if (c->h1.x && c->h1.x->is_ended && c->state == CONN_OPEN)
        h1_answered(c);
}

void h1_flushed(struct http_conn *c)
{
    struct h1 *h = &c->h1;
    while (h->unflushed) {
        h->unflushed--;
        struct list *first = c->exchanges.next;
        conn_end_exchange(c, container_of(first, struct http_exchange, node), true);
    }
    c->idle_since_ms = server_now(c->server);
    if (h1_ahead(h))
        conn_schedule(c);
}

static void h1_dispatch(struct http_conn *c)
{
    exchange_dispatch(c->h1.x);
    h1_check_answered(c);
}

static void h1_on_head(struct http_conn *c, const struct h1_head *head, const char *base,
                       size_t head_len)
{
    struct h1 *h = &c->h1;
    struct request_fault fault = {0};
    h->overhead = 0;
    if (head_len > LIMIT_HTTP_HEAD_BYTES) {
        h1_fail(c, 431, ERR_HEADERS_TOO_LARGE, "the request head is larger than 64 KiB");
        return;
    }
    if (c->is_excess) {
        h1_fail(c, 503, ERR_OVERLOAD, "the server has as many connections as it may have");
        return;
    }
    h->x = exchange_new(c);
    if (!h1_take_head(c, h->x, head, base, &fault))
        h1_fail(c, fault.status, fault.code, fault.text);
    else if (!h->parser.has_body)
        h1_dispatch(c);
}

static void h1_on_body(struct http_conn *c, struct slice data)
{
    struct h1 *h = &c->h1;
    int64_t max = c->server->body_bytes_max;
    if (!h->x) {
        h->discarded += data.len;
        if (h->discarded > HTTP_DRAIN_BYTES)
            conn_finish(c, true);
        return;
    }
    if (max >= 0 && h->x->body_received + data.len > (uint64_t)max) {
        h1_fail(c, 413, ERR_TOO_LARGE, "the request body is larger than this server allows");
        return;
    }
    exchange_body(h->x, data);
    h1_check_answered(c);
}

static void h1_on_end(struct http_conn *c)
{
    struct h1 *h = &c->h1;
    if (!h->x) {
        h->is_discarding = false;
        return;
    }
    exchange_body_end(h->x);
    if (!h->x->is_dispatched)
        h1_dispatch(c);
    else
        h1_check_answered(c);
}

static void h1_on_fault(struct http_conn *c)
{
    const struct h1_parser *p = &c->h1.parser;
    static const struct {
        int status;
        enum err code;
    } answers[] = {
        [H1_FAULT_MALFORMED] = {400, ERR_INVALID},
        [H1_FAULT_METHOD] = {501, ERR_INVALID},
        [H1_FAULT_VERSION] = {505, ERR_INVALID},
        [H1_FAULT_HEADERS] = {431, ERR_HEADERS_TOO_LARGE},
        [H1_FAULT_TARGET] = {414, ERR_TOO_LARGE},
    };
    if (c->h1.is_discarding) {
        conn_finish(c, true); /* that request has its answer */
        return;
    }
    h1_fail(c, answers[p->fault].status, answers[p->fault].code, p->fault_text);
}

/* Chunk sizes, extensions and trailers are not part of the body, so no other limit counts them. */
static void h1_count_overhead(struct http_conn *c, size_t consumed, size_t body)
{
    struct h1 *h = &c->h1;
    h->overhead += consumed - body;
    uint64_t payload = h->x ? h->x->body_received : h->discarded;
    if (h->overhead > LIMIT_HTTP_HEAD_BYTES + payload * 16 && c->state == CONN_OPEN)
        h1_fail(c, 400, ERR_INVALID, "the body is mostly chunk extensions or trailers");
}

/* Keeps the first part of a head. */
static void h1_keep_partial(struct http_conn *c, const char *base, size_t len)
{
    struct h1 *h = &c->h1;
    struct h1_partial *p = malloc(sizeof(*p));
    CHECK(p);
    p->head = c->server->head_scratch;
    p->raw = BYTES_INIT;
    p->since_ms = server_now(c->server);
    bytes_append(&p->raw, base, len);
    h->partial = p;
}

/* Many that come slowly must not fill the memory that others need. */
enum { PARTIAL_FREE_BYTES = 4 * 1024 };

static void h1_check_partial(struct http_conn *c)
{
    struct h1_partial *p = c->h1.partial;
    if (!p)
        return;
    if (p->raw.len > LIMIT_HTTP_HEAD_BYTES)
        h1_fail(c, 431, ERR_HEADERS_TOO_LARGE, "the request head is larger than 64 KiB");
    else if (p->raw.len > PARTIAL_FREE_BYTES && server_is_short(c->server))
        h1_fail(c, 503, ERR_OVERLOAD, "the server has no memory left to wait for the request");
    if (c->state != CONN_OPEN) {
        partial_free(p);
        c->h1.partial = NULL;
    }
}

/* Where the parser is in the bytes at hand. */
struct h1_cursor {
    struct slice input;
    struct h1_head *head;
    const char *base; /* of the current head */
};

/* Gives one event to its handler; false when nothing more can be done with the input. */
static bool h1_step(struct http_conn *c, struct h1_cursor *at)
{
    struct h1 *h = &c->h1;
    size_t before = at->input.len;
    bool was_body = h->x || h->is_discarding;
    enum h1_event event = h1_parse(&h->parser, at->head, at->base, &at->input);
    size_t consumed = before - at->input.len;
    switch (event) {
    case H1_MORE:
        break;
    case H1_HEAD:
        h1_on_head(c, at->head, at->base, (size_t)(at->input.ptr - at->base));
        break;
    case H1_BODY:
        h1_on_body(c, h->parser.body);
        break;
    case H1_END:
        h1_on_end(c);
        break;
    case H1_FAULT:
        h1_on_fault(c);
        return false;
    }
    if (was_body && c->state == CONN_OPEN && event != H1_END)
        h1_count_overhead(c, consumed, event == H1_BODY ? h->parser.body.len : 0);
    if (event == H1_END || (event == H1_HEAD && !h->parser.has_body)) {
        at->base = at->input.ptr;
        at->head = &c->server->head_scratch;
    }
    return event != H1_MORE;
}

/* Uses data up as far as possible; what is left (its last bytes) must be held. */
static size_t h1_consume(struct http_conn *c, struct slice data)
{
    struct h1 *h = &c->h1;
    struct h1_partial *held = h->partial;
    struct h1_cursor at = {data, &c->server->head_scratch, data.ptr};
    if (held) {
        size_t old = held->raw.len;
        bytes_append_slice(&held->raw, data);
        at.input = (struct slice){held->raw.ptr + old, data.len};
        at.base = held->raw.ptr;
        at.head = &held->head;
    }
    while (c->state == CONN_OPEN && c->proto != PROTO_TUNNEL && !h1_is_blocked(c) &&
           h1_step(c, &at))
        ;
    if (c->state != CONN_OPEN) {
        at.input.len = 0; /* the rest is nobody's */
    } else if (h->parser.is_in_head && !(held && at.head == &held->head)) {
        h1_keep_partial(c, at.base, (size_t)(at.input.ptr - at.base));
    }
    if (held && (!h->parser.is_in_head || h->partial != held)) {
        if (h->partial == held)
            h->partial = NULL;
        partial_free(held);
    }
    h1_check_partial(c);
    if (h->x && !h->x->is_dispatched && c->state == CONN_OPEN)
        h1_dispatch(c);
    return at.input.len;
}

void h1_input(struct http_conn *c, struct slice data)
{
    struct h1 *h = &c->h1;
    if (h1_ahead(h)) {
        bytes_append_slice(&h->ahead, data);
        return;
    }
    size_t left = h1_consume(c, data);
    if (!left)
        return;
    if (c->proto == PROTO_TUNNEL) { /* since its handler has answered inside of that */
        tunnel_input(c, slice_skip(data, data.len - left));
        return;
    }
    server_take_buffer(c->server, &h->ahead);
    bytes_append_slice(&h->ahead, slice_skip(data, data.len - left));
}

void h1_run(struct http_conn *c)
{
    struct h1 *h = &c->h1;
    h1_check_answered(c);
    if (h1_ahead(h) && c->state == CONN_OPEN && !h1_is_blocked(c)) {
        struct slice data = slice_skip(bytes_slice(&h->ahead), h->ahead_off);
        h->ahead_off = h->ahead.len - h1_consume(c, data);
        if (!h1_ahead(h)) {
            h->ahead_off = 0;
            server_give_buffer(c->server, &h->ahead);
        } else if (h->ahead_off > HTTP_AHEAD_BYTES / 2) {
            bytes_consume(&h->ahead, h->ahead_off);
            h->ahead_off = 0;
        }
    }
    /* After the client's end of file: what was asked has been answered, or can never be complete.
     */
    if (c->is_eof && c->state == CONN_OPEN && !h->x && !h1_ahead(h))
        conn_finish(c, false);
}

/* --- timeouts --- */

uint64_t h1_deadline(const struct http_conn *c)
{
    const struct h1 *h = &c->h1;
    const struct http_server *s = c->server;
    if (c->proto == PROTO_DETECT && h->ahead.len)
        return c->in_since_ms + s->head_timeout_ms;
    if (h->partial)
        return h->partial->since_ms + s->head_timeout_ms;
    if (h->x && !h->x->body_is_complete)
        return h->x->body_is_wanted && c->is_reading ? exchange_body_due(h->x) : UINT64_MAX;
    if (h->x)
        return UINT64_MAX; /* the handler's turn */
    if (h->is_discarding)  /* in all: it is at most HTTP_DRAIN_BYTES */
        return c->idle_since_ms + s->body_timeout_ms;
    if (conn_queued(c))
        return UINT64_MAX;
    return c->idle_since_ms + s->idle_timeout_ms;
}

void h1_expire(struct http_conn *c, uint64_t now_ms)
{
    struct h1 *h = &c->h1;
    (void)now_ms;
    if (h->partial || (c->proto == PROTO_DETECT && h->ahead.len))
        h1_fail(c, 408, ERR_TIMEOUT, "the request head did not arrive in time");
    else if (h->x)
        h1_fail(c, 408, ERR_TIMEOUT, "the request body did not arrive in time");
    else
        conn_finish(c, h->is_discarding);
}
