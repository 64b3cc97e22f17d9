/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 on a connection, by nghttp2. A stream is an exchange. nghttp2's callbacks only fill
 * exchanges, give body bytes to their handlers, and mark; requests are dispatched, and frames made,
 * in h2_run().
 *
 * Memory is bounded: a stream's window is LIMIT_HTTP_BODY_WINDOW_BYTES, a connection's is
 * HTTP2_CONN_WINDOW_BYTES, and both open again only when the handler has consumed; frames are made
 * only while less than HTTP_OUT_BATCH_BYTES of output wait; and while output waits the socket is
 * not read, so that answers to pings and settings cannot pile up.
 *
 * Floods: frames that cost us work and the peer nothing (resets, pings, settings, empty data) are
 * paid from a bucket of tokens; when it is empty the connection ends with ENHANCE_YOUR_CALM.
 * nghttp2 itself bounds CONTINUATION frames, settings entries and unsent acknowledgments. Loop
 * thread only. */
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

enum {
    H2_HEADER_OVERHEAD = 32, /* RFC 9113, 10.5.1 */
    H2_RESET_COST = 5,       /* a reset may have cost us a request */
};

static struct http_exchange *h2_exchange(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static uint64_t h2_now(const struct http_conn *c)
{
    return server_now(c->server);
}

static uint64_t h2_tick_ms(const struct http_conn *c)
{
    return c->server->body_timeout_ms / 4 + 1;
}

/* --- floods --- */

static void h2_pay(struct http_conn *c, int cost)
{
    struct h2 *h = &c->h2;
    uint64_t now = h2_now(c);
    uint64_t refill = (now - h->flood_ms) * HTTP2_FLOOD_PER_S / 1000;
    if (refill) {
        h->flood_ms = now;
        h->flood_tokens += refill < HTTP2_FLOOD_BURST ? (int64_t)refill : HTTP2_FLOOD_BURST;
        if (h->flood_tokens > HTTP2_FLOOD_BURST)
            h->frame_left = NGHTTP2_CLIENT_MAGIC_LEN; /* has no head */
        h->flood_tokens = HTTP2_FLOOD_BURST;
    }
    h->flood_tokens -= cost;
    if (h->flood_tokens < 0 && !h->is_failed) {
        h->is_failed = true;
        (void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

/* --- streams that are gone --- */

/* We have ended a stream that the peer has not: what it sends before it hears of that is no fault. */
static void h2_note_reset(struct http_conn *c, int32_t stream_id)
{
    struct h2 *h = &c->h2;
    int32_t *at = &h->resets[h->resets_at++ % HTTP2_RESETS];
    if (*at > h->forgotten_id)
        h->forgotten_id = *at;
    *at = stream_id;
}

static bool h2_was_reset(const struct h2 *h, int32_t stream_id)
{
    if (stream_id <= h->forgotten_id)
        return true; /* maybe: not known any more */
    for (size_t i = 0; i < HTTP2_RESETS; i++)
        if (h->resets[i] == stream_id)
            return true;
    return false;
}

static void h2_note_opened(struct h2 *h, int32_t stream_id)
{
    int32_t steps = (stream_id - h->last_id) / 2;
    h->opened = (steps < 64 ? h->opened << steps : 0) | 1;
    h->last_id = stream_id;
}

static bool h2_was_opened(const struct h2 *h, int32_t stream_id)
{
    int32_t back = (h->last_id - stream_id) / 2;
    return back >= 64 || (h->opened >> back & 1);
}

/* DATA and HEADERS of a stream that the peer itself has closed, or skipped, end the connection
 * (RFC 9113, 5.1 and 5.1.1): it has lost track. nghttp2 cannot tell and drops such frames. */
static void h2_check_stream_id(struct http_conn *c, uint8_t type, int32_t stream_id)
{
    struct h2 *h = &c->h2;
    if ((type != NGHTTP2_DATA && type != NGHTTP2_HEADERS) || stream_id % 2 == 0 || h->is_failed ||
        h->is_going_away)
        return;
    if (stream_id > h->last_id) {
        if (type == NGHTTP2_HEADERS)
            h2_note_opened(h, stream_id);
        return; /* DATA there is nghttp2's business */
    }
    if (nghttp2_session_find_stream(h->session, stream_id) || h2_was_reset(h, stream_id))
        return;
    h->is_failed = true;
    (void)nghttp2_session_terminate_session(
        h->session, h2_was_opened(h, stream_id) ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR);
}

/* --- flow control --- */

/* Gives back to the connection what the stream of x still holds. */
static void h2_release_window(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    if (x->unconsumed)
        (void)nghttp2_session_consume_connection(c->h2.session, x->unconsumed);
    x->unconsumed = 0;
}

void h2_consumed(struct http_exchange *x, size_t n)
{
    if (n > x->unconsumed)
        n = x->unconsumed; /* the end of the answer has given all back already */
    x->unconsumed -= n;
    (void)nghttp2_session_consume(x->conn->h2.session, x->stream_id, n);
    conn_schedule(x->conn);
}

void h2_drop(struct http_exchange *x, uint32_t error_code)
{
    struct http_conn *c = x->conn;
    h2_release_window(x);
    (void)nghttp2_session_set_stream_user_data(c->h2.session, x->stream_id, NULL);
    (void)nghttp2_submit_rst_stream(c->h2.session, NGHTTP2_FLAG_NONE, x->stream_id, error_code);
    conn_schedule(c);
}

/* --- answers that never involve the handler --- */

static void h2_answer(struct http_exchange *x, int status, enum err code, const char *text)
{
    static const struct http_header headers[] = {{{"content-type", 12}, {"application/json", 16}},
                                                 {{"retry-after", 11}, {"1", 1}}};
    struct error e = {0};
    struct bytes *body = &x->conn->server->scratch;
    (void)error_set(&e, code, "%s", text);
    exchange_error_body(body, &e, SLICE_EMPTY);
    http_respond(x, status, headers, status == 503 ? 2 : 1, -1, bytes_slice(body), true);
}

/* Breaks off an exchange that its handler has not answered, and answers in its place. */
static void h2_fail(struct http_exchange *x, int status, enum err code, const char *text)
{
    struct http_conn *c = x->conn;
    if (x->is_responded) {
        h2_drop(x, NGHTTP2_CANCEL);
        exchange_break(x);
        return;
    }
    struct http_exchange *stand_in = exchange_new(c);
    stand_in->stream_id = x->stream_id;
    stand_in->is_head = x->is_head;
    stand_in->request.version = 20;
    h2_release_window(x);
    exchange_break(x);
    (void)nghttp2_session_set_stream_user_data(c->h2.session, x->stream_id, stand_in);
    h2_answer(stand_in, status, code, text);
}

/* --- requests --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http_conn *c = user;
    struct h2 *h = &c->h2;
    if (!h->headers_since_ms)
        h->headers_since_ms = h2_now(c);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct http_exchange *x = exchange_new(c);
    x->stream_id = frame->hd.stream_id;
    x->request.version = 20;
    if (h->streams++ == 0)
        h->check_ms = h2_now(c) + h2_tick_ms(c);
    (void)nghttp2_session_set_stream_user_data(session, x->stream_id, x);
    return 0;
}

static struct slice h2_store(struct http_exchange *x, const uint8_t *ptr, size_t len)
{
    char *copy = exchange_store(x, len);
    if (len)
        memcpy(copy, ptr, len);
    return (struct slice){copy, len};
}

static void h2_take_pseudo(struct http_exchange *x, struct slice name, struct slice value)
{
    struct http_request *r = &x->request;
    if (slice_eq_cstr(name, ":method"))
        r->method = value;
    else if (slice_eq_cstr(name, ":path"))
        r->target = value;
    else if (slice_eq_cstr(name, ":authority"))
        r->authority = value;
}

static void h2_take_header(struct http_exchange *x, struct slice name, struct slice value)
{
    struct http_request *r = &x->request;
    uint64_t length;
    if (request_is_hop_by_hop(name))
        return;
    if (name.len == 6 && slice_eq_cstr(name, "cookie"))
        x->cookies++;
    else if (name.len == 4 && slice_eq_cstr(name, "host"))
        x->hosts++;
    else if (slice_eq_cstr(name, "content-length") && slice_to_u64(value, &length) &&
             length <= INT64_MAX)
        r->content_length = (int64_t)length;
    r->headers[r->headers_len++] = (struct http_header){name, value};
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* trailers */
    struct http_exchange *x = h2_exchange(session, frame->hd.stream_id);
    if (!x || x->is_refused)
        return 0;
    x->head_bytes += name_len + value_len + H2_HEADER_OVERHEAD;
    if (x->head_bytes > LIMIT_HTTP_HEAD_BYTES || x->request.headers_len == LIMIT_HTTP_HEADERS) {
        x->is_refused = true;
        return 0;
    }
    struct slice n = h2_store(x, name, name_len), v = h2_store(x, value, value_len);
    if (name_len && name[0] == ':')
        h2_take_pseudo(x, n, v);
    else
        h2_take_header(x, n, v);
    return 0;
}

/* HTTP/2 clients may send a cookie header per cookie; everyone behind us expects one. */
static void h2_join_cookies(struct http_exchange *x)
{
    struct http_request *r = &x->request;
    size_t total = 0, first = SIZE_MAX, kept = 0;
    for (size_t i = 0; i < r->headers_len; i++)
        if (slice_eq_cstr(r->headers[i].name, "cookie"))
            total += r->headers[i].value.len + 2;
    char *text = exchange_store(x, total), *at = text;
    for (size_t i = 0; i < r->headers_len; i++) {
        struct http_header h = r->headers[i];
        if (!slice_eq_cstr(h.name, "cookie")) {
            r->headers[kept++] = h;
            continue;
        }
        if (first == SIZE_MAX) {
            first = kept;
            r->headers[kept++] = h;
        } else {
            *at++ = ';';
            *at++ = ' ';
        }
        if (h.value.len)
            memcpy(at, h.value.ptr, h.value.len);
        at += h.value.len;
    }
    r->headers[first].value = (struct slice){text, (size_t)(at - text)};
    r->headers_len = kept;
}

/* There is one authority, and handlers find it under "host" as with HTTP/1.1. */
static bool h2_settle_host(struct http_exchange *x)
{
    struct http_request *r = &x->request;
    struct http_header *host = NULL;
    if (x->hosts > 1)
        return false;
    for (size_t i = 0; i < r->headers_len && !host; i++)
        if (slice_eq_cstr(r->headers[i].name, "host"))
            host = &r->headers[i];
    if (host && r->authority.len)
        return slice_eq_nocase(host->value, r->authority);
    if (host)
        r->authority = host->value;
    else if (r->authority.len) /* the array has one place more than a client may fill */
        r->headers[r->headers_len++] = (struct http_header){SLICE_LIT("host"), r->authority};
    return true;
}

static bool h2_check(struct http_exchange *x, struct request_fault *ret_fault)
{
    struct http_request *r = &x->request;
    if (x->conn->is_excess) {
        *ret_fault = (struct request_fault){503, ERR_OVERLOAD,
                                            "the server has as many connections as it may have"};
        return false;
    }
    if (x->is_refused) {
        *ret_fault = (struct request_fault){431, ERR_HEADERS_TOO_LARGE,
                                            "the request has too many or too large headers"};
        return false;
    }
    *ret_fault = (struct request_fault){400, ERR_INVALID, "the request target is malformed"};
    struct slice authority = SLICE_EMPTY;
    bool is_connect = slice_eq_cstr(r->method, "CONNECT");
    if (!is_connect &&
        (!r->target.len || !request_target(r->target, &r->target, &authority) || authority.len))
        return false;
    *ret_fault = (struct request_fault){400, ERR_INVALID, "the request names more than one host"};
    if (!h2_settle_host(x))
        return false;
    if (x->cookies > 1)
        h2_join_cookies(x);
    return request_check(x, ret_fault);
}

static void h2_on_request(struct http_exchange *x, bool is_end)
{
    struct http_request *r = &x->request;
    struct request_fault fault;
    x->is_head = slice_eq_cstr(r->method, "HEAD");
    r->has_body = !is_end;
    if (is_end)
        x->body_is_complete = true;
    if (h2_check(x, &fault))
        list_push_back(&x->conn->undispatched, &x->dispatch_node);
    else
        h2_answer(x, fault.status, fault.code, fault.text);
}

static void h2_on_end(struct http_exchange *x)
{
    if (x->body_is_complete)
        return;
    exchange_body_end(x);
    if (!x->is_ended)
        return;
    x->out_since_ms = h2_now(x->conn); /* its answer was held back until now */
    (void)nghttp2_session_resume_data(x->conn->h2.session, x->stream_id);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http_conn *c = user;
    struct http_exchange *x =
        frame->hd.stream_id ? h2_exchange(session, frame->hd.stream_id) : NULL;
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        c->h2.headers_since_ms = 0;
        if (x && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            h2_on_request(x, is_end);
        else if (x && is_end)
            h2_on_end(x);
        break;
    case NGHTTP2_DATA:
        if (x && is_end)
            h2_on_end(x);
        else if (!frame->hd.length)
            h2_pay(c, 1);
        break;
    case NGHTTP2_RST_STREAM:
        h2_pay(c, H2_RESET_COST);
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PRIORITY:
        h2_pay(c, 1);
        break;
    default:
        break;
    }
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *user)
{
    struct http_conn *c = user;
    if (frame->hd.type == NGHTTP2_HEADERS)
        c->h2.headers_since_ms = 0;
    if (frame->hd.stream_id)
        h2_note_reset(c, frame->hd.stream_id);
    h2_pay(c, H2_RESET_COST); /* nghttp2 resets the stream, or ends the connection */
    return 0;
}

/* Data that nobody wants any more; see h2_holds_end(). */
static void h2_on_dropped(struct http_exchange *x, size_t len)
{
    x->body_received += len;
    x->in_since_ms = h2_now(x->conn);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    struct http_conn *c = user;
    struct http_exchange *x = h2_exchange(session, stream_id);
    int64_t max = c->server->body_bytes_max;
    if (!x || x->is_over || x->is_ended) { /* nobody wants it, but the window must go on */
        (void)nghttp2_session_consume(session, stream_id, len);
        if (x)
            h2_on_dropped(x, len);
        return 0;
    }
    x->unconsumed += len;
    if (max >= 0 && x->body_received + len > (uint64_t)max)
        h2_fail(x, 413, ERR_TOO_LARGE, "the request body is larger than this server allows");
    else
        exchange_body(x, (struct slice){(const char *)data, len});
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user)
{
    struct http_conn *c = user;
    struct http_exchange *x = h2_exchange(session, stream_id);
    if (c->h2.streams)
        c->h2.streams--;
    c->idle_since_ms = h2_now(c);
    if (!x)
        return 0;
    (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    h2_release_window(x);
    x->is_closed_ok = x->is_ended && x->out_is_sent && error_code == NGHTTP2_NO_ERROR;
    exchange_break(x);
    return 0;
}

/* --- answers --- */

/* An answer that is complete before its request waits for it when the client is known to be about
 * to finish: some (curl 7.88) drop an answer that ends with a reset, and hang when they have all
 * bytes of it while they still send. Others are told to stop sending by on_frame_send(). */
static bool h2_holds_end(const struct http_exchange *x)
{
    return !x->body_is_complete && !x->gave_up && x->request.content_length >= 0 &&
           x->request.content_length - (int64_t)x->body_received <= HTTP_LINGER_BYTES;
}

static ssize_t h2_read_out(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t len,
                           uint32_t *data_flags, nghttp2_data_source *source, void *user)
{
    struct http_exchange *x = h2_exchange(session, stream_id);
    if (!x || x->is_over)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
    size_t n = x->out.len - x->out_off;
    if (x->is_ended ? h2_holds_end(x) : !n)
        return NGHTTP2_ERR_DEFERRED;
    if (n > len)
        n = len;
    if (n)
        memcpy(buf, x->out.ptr + x->out_off, n);
    x->out_off += n;
    x->out_since_ms = h2_now(x->conn);
    if (x->out_off == x->out.len) {
        bytes_clear(&x->out);
        x->out_off = 0;
        if (x->is_ended)
            *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    if (x->wants_drain && x->out.len - x->out_off < LIMIT_HTTP_OUT_HIGH_BYTES / 2) {
        x->must_drain = true;
        exchange_ready(x);
    }
    return (ssize_t)n;
}

/* The answer is out. If the request is not complete, nobody waits for the rest of it. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        h2_note_reset(user, frame->hd.stream_id);
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    struct http_exchange *x = h2_exchange(session, frame->hd.stream_id);
    if (!x)
        return 0;
    x->out_is_sent = true;
    if (!x->body_is_complete)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

/* An answer that nghttp2 cannot make (headers above its limit) must not leave the stream hanging.
 */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code,
                             void *user)
{
    struct http_exchange *x =
        frame->hd.type == NGHTTP2_HEADERS ? h2_exchange(session, frame->hd.stream_id) : NULL;
    if (x && code != NGHTTP2_ERR_STREAM_CLOSED && code != NGHTTP2_ERR_STREAM_CLOSING) {
        h2_drop(x, NGHTTP2_INTERNAL_ERROR);
        exchange_break(x);
    }
    return 0;
}

static nghttp2_nv h2_nv(struct slice name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len,
                        NGHTTP2_NV_FLAG_NONE};
}

static struct slice h2_number(struct http_exchange *x, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    return arena_copy(http_exchange_arena(x), (struct slice){text, (size_t)n});
}

/* -1: none is stated. */
static int64_t h2_length(const struct http_exchange *x, int status,
                         const struct http_header *headers, size_t headers_len,
                         int64_t content_length, struct slice body, bool is_end)
{
    uint64_t stated;
    if (status == 204)
        return -1;
    if (!x->is_bodyless)
        return is_end ? (int64_t)body.len : content_length;
    if (x->is_head && content_length >= 0)
        return content_length;
    if (x->is_head && body.len)
        return (int64_t)body.len;
    for (size_t i = 0; i < headers_len; i++)
        if (slice_eq_nocase(headers[i].name, SLICE_LIT("content-length")) &&
            slice_to_u64(headers[i].value, &stated) && stated <= INT64_MAX)
            return (int64_t)stated;
    return -1;
}

void h2_respond(struct http_exchange *x, int status, const struct http_header *headers,
                size_t headers_len, int64_t content_length, struct slice body, bool is_end)
{
    struct http_conn *c = x->conn;
    int64_t length = h2_length(x, status, headers, headers_len, content_length, body, is_end);
    nghttp2_nv *nv = arena_array(http_exchange_arena(x), headers_len + 3, sizeof(*nv));
    size_t n = 0;
    nv[n++] = h2_nv(SLICE_LIT(":status"), h2_number(x, status));
    for (size_t i = 0; i < headers_len; i++)
        if (exchange_may_send(&headers[i]))
            nv[n++] = h2_nv(headers[i].name, headers[i].value);
    nv[n++] = h2_nv(SLICE_LIT("date"), server_date(c->server));
    if (length >= 0)
        nv[n++] = h2_nv(SLICE_LIT("content-length"), h2_number(x, length));

    x->gave_up = x->wants_continue; /* it may wait for this answer before it sends anything */
    if (is_end && x->unconsumed)
        h2_consumed(x, x->unconsumed);
    bool has_body = !x->is_bodyless && !(is_end && !body.len);
    if (has_body && !exchange_promise(x, length, body.len))
        return;
    if (has_body)
        bytes_append_slice(&x->out, body);
    nghttp2_data_provider provider = {.read_callback = h2_read_out};
    if (x->is_bodyless && !is_end)
        x->is_ended = true; /* nothing that follows would be sent */
    bool has_data = has_body || h2_holds_end(x);
    if (nghttp2_submit_response(c->h2.session, x->stream_id, nv, n, has_data ? &provider : NULL)) {
        h2_drop(x, NGHTTP2_INTERNAL_ERROR);
        exchange_break(x);
    }
}

void h2_write(struct http_exchange *x, struct slice data, bool is_end)
{
    if (x->out_off && x->out_off >= x->out.len / 2) {
        bytes_consume(&x->out, x->out_off);
        x->out_off = 0;
    }
    if (is_end && x->unconsumed)
        h2_consumed(x, x->unconsumed);
    if (!x->out.len)
        x->out_since_ms = h2_now(x->conn);
    bytes_append_slice(&x->out, data);
    (void)nghttp2_session_resume_data(x->conn->h2.session, x->stream_id); /* may not be waiting */
}

void h2_continue(struct http_exchange *x)
{
    nghttp2_nv nv = h2_nv(SLICE_LIT(":status"), SLICE_LIT("100"));
    (void)nghttp2_submit_headers(x->conn->h2.session, NGHTTP2_FLAG_NONE, x->stream_id, NULL, &nv, 1,
                                 NULL);
    conn_schedule(x->conn);
}

/* --- the session --- */

static void h2_set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
}

void h2_init(struct http_conn *c)
{
    struct h2 *h = &c->h2;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    CHECK(nghttp2_option_new(&option) == 0);
    h2_set_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1); /* priorities are not kept, nor their memory */
    nghttp2_option_set_max_outbound_ack(option, HTTP2_FLOOD_BURST);
    nghttp2_option_set_max_send_header_block_length(option, 4 * LIMIT_HTTP_HEAD_BYTES);
    CHECK(nghttp2_session_server_new2(&h->session, callbacks, c, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    h->frame_left = NGHTTP2_CLIENT_MAGIC_LEN; /* has no head */
    h->flood_tokens = HTTP2_FLOOD_BURST;
    h->flood_ms = c->idle_since_ms = h2_now(c);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_HTTP_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_HTTP_BODY_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HTTP_HEAD_BYTES},
    };
    CHECK(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ==
          0);
    CHECK(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                HTTP2_CONN_WINDOW_BYTES) == 0);
}

void h2_done(struct http_conn *c)
{
    nghttp2_session_del(c->h2.session);
    c->h2.session = NULL;
}

size_t h2_want(const struct http_conn *c)
{
    return conn_queued(c) >= HTTP_OUT_BATCH_BYTES ? 0 : HTTP_READ_BYTES;
}

bool h2_is_idle(const struct http_conn *c)
{
    return !c->h2.streams && !conn_queued(c);
}

static void h2_receive(struct http_conn *c, const char *ptr, size_t len)
{
    struct h2 *h = &c->h2;
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)ptr, len);
    if (n >= 0)
        return;
    h->is_failed = true;
    if (n == NGHTTP2_ERR_FLOODED)
        (void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
    else
        (void)nghttp2_session_terminate_session(h->session, NGHTTP2_PROTOCOL_ERROR);
}

/* Finds the heads of frames in what arrives. What is in front of a head that matters goes to
 * nghttp2 before it is looked at, so that the streams are as the peer had them. */
void h2_input(struct http_conn *c, struct slice data)
{
    struct h2 *h = &c->h2;
    size_t at = 0, given = 0;
    while (at < data.len && !h->is_failed) {
        size_t left = data.len - at;
        if (h->frame_left) {
            size_t n = left < h->frame_left ? left : h->frame_left;
            h->frame_left -= (uint32_t)n;
            at += n;
            continue;
        }
        h->frame_head[h->frame_head_len++] = (uint8_t)data.ptr[at++];
        if (h->frame_head_len < sizeof(h->frame_head))
            continue;
        const uint8_t *f = h->frame_head;
        h->frame_head_len = 0;
        h->frame_left = (uint32_t)f[0] << 16 | (uint32_t)f[1] << 8 | f[2];
        if (f[3] != NGHTTP2_DATA && f[3] != NGHTTP2_HEADERS)
            continue;
        h2_receive(c, data.ptr + given, at - 1 - given); /* acts at the head's last byte */
        given = at - 1;
        h2_check_stream_id(c, f[3],
                           (int32_t)((uint32_t)(f[5] & 0x7f) << 24 | (uint32_t)f[6] << 16 |
                                     (uint32_t)f[7] << 8 | f[8]));
    }
    if (!h->is_failed)
        h2_receive(c, data.ptr + given, data.len - given);
}

void h2_go_away(struct http_conn *c)
{
    struct h2 *h = &c->h2;
    if (h->is_going_away)
        return;
    h->is_going_away = true;
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    conn_schedule(c);
}

static void h2_make_frames(struct http_conn *c)
{
    const uint8_t *data;
    while (conn_queued(c) < HTTP_OUT_BATCH_BYTES) {
        ssize_t n = nghttp2_session_mem_send(c->h2.session, &data);
        if (n < 0) {
            conn_break(c);
            return;
        }
        if (n == 0)
            return;
        server_take_buffer(c->server, &c->out);
        bytes_append(&c->out, data, (size_t)n);
    }
    conn_flush(c);
    c->is_again |= !c->is_writing; /* the socket takes more than a batch */
}

void h2_run(struct http_conn *c)
{
    struct h2 *h = &c->h2;
    struct list *n;
    while ((n = list_pop_front(&c->undispatched)))
        exchange_dispatch(container_of(n, struct http_exchange, dispatch_node));
    if (c->state != CONN_OPEN)
        return;
    h2_make_frames(c);
    if (c->state != CONN_OPEN || nghttp2_session_want_write(h->session))
        return;
    if (h->is_failed || !nghttp2_session_want_read(h->session) || (h->is_going_away && !h->streams))
        conn_finish(c, true);
}

/* --- timeouts --- */

uint64_t h2_deadline(const struct http_conn *c)
{
    const struct h2 *h = &c->h2;
    uint64_t due = UINT64_MAX;
    if (h->headers_since_ms)
        due = h->headers_since_ms + c->server->head_timeout_ms;
    if (!h->streams)
        return conn_queued(c) ? due : c->idle_since_ms + c->server->idle_timeout_ms;
    return due < h->check_ms ? due : h->check_ms;
}

static void h2_check_stream(struct http_exchange *x, uint64_t now_ms)
{
    uint64_t timeout = x->conn->server->body_timeout_ms;
    bool is_held = x->is_ended && h2_holds_end(x);
    bool is_stuck_out = !is_held && x->out.len > x->out_off && now_ms >= x->out_since_ms + timeout;
    bool is_stuck_in = !x->body_is_complete && now_ms >= exchange_body_due(x);
    if (x->is_over || (!is_stuck_in && !is_stuck_out))
        return;
    if (is_stuck_out) {
        h2_drop(x, NGHTTP2_CANCEL);
        exchange_break(x);
    } else if (x->is_ended) {
        x->gave_up = true;
        x->out_since_ms = now_ms;
        (void)nghttp2_session_resume_data(x->conn->h2.session, x->stream_id);
        conn_schedule(x->conn);
    } else if (x->body_is_wanted && exchange_body_room(x) > 0) {
        h2_fail(x, 408, ERR_TIMEOUT, "the request body did not arrive in time");
    }
}

void h2_expire(struct http_conn *c, uint64_t now_ms)
{
    struct h2 *h = &c->h2;
    if (h->headers_since_ms && now_ms >= h->headers_since_ms + c->server->head_timeout_ms) {
        h->is_failed = true;
        (void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    if (!h->streams) {
        (void)nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
        return;
    }
    h->check_ms = now_ms + h2_tick_ms(c);
    LIST_FOREACH (n, &c->exchanges)
        h2_check_stream(container_of(n, struct http_exchange, node), now_ms);
}
