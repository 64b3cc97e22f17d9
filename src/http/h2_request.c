/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of HTTP/2: heads as nghttp2 decodes them, and bodies. See h2.c. */
#include "http/h2_internal.h"

#include <string.h>

enum {
    H2_HEADER_OVERHEAD = 32, /* RFC 9113, 10.5.1 */
};

/* --- requests --- */

int h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
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
    else if (slice_eq_cstr(name, ":protocol"))
        r->upgrades = slice_eq_cstr(value, "websocket");
}

/* Extended CONNECT (RFC 8441) is told as the request of HTTP/1.1 that it stands for. */
static void h2_take_upgrade(struct http_exchange *x)
{
    struct http_request *r = &x->request;
    r->method = SLICE_LIT("GET");
    r->has_body = false; /* what comes is for after the answer */
    if (r->headers_len < LIMIT_HTTP_HEADERS)
        r->headers[r->headers_len++] =
            (struct http_header){SLICE_LIT("upgrade"), SLICE_LIT("websocket")};
    else
        x->is_refused = true;
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

int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                 size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
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

void h2_on_request(struct http_exchange *x, bool is_end)
{
    struct http_request *r = &x->request;
    struct request_fault fault;
    x->is_head = slice_eq_cstr(r->method, "HEAD");
    r->has_body = !is_end;
    r->upgrades = r->upgrades && !is_end && slice_eq_cstr(r->method, "CONNECT");
    if (r->upgrades)
        h2_take_upgrade(x);
    if (is_end)
        x->body_is_complete = true;
    if (h2_check(x, &fault))
        list_push_back(&x->conn->undispatched, &x->dispatch_node);
    else
        h2_answer(x, fault.status, fault.code, fault.text);
}

void h2_on_end(struct http_exchange *x)
{
    if (x->body_is_complete)
        return;
    exchange_body_end(x);
    if (!x->is_ended)
        return;
    x->out_since_ms = h2_now(x->conn); /* its answer was held back until now */
    (void)nghttp2_session_resume_data(x->conn->h2.session, x->stream_id);
}

/* Data that nobody wants any more; see h2_holds_end(). */
static void h2_on_dropped(struct http_exchange *x, size_t len)
{
    x->body_received += len;
    x->in_since_ms = h2_now(x->conn);
}

int h2_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
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
    if (max >= 0 && !x->request.upgrades && x->body_received + len > (uint64_t)max)
        h2_fail(x, 413, ERR_TOO_LARGE, "the request body is larger than this server allows");
    else
        exchange_body(x, (struct slice){(const char *)data, len});
    return 0;
}
