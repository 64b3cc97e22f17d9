/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers in HTTP/1.x: the head is written straight into the connection's output buffer, in one
 * reservation; small bodies follow it there, large ones go to the socket from where they are.
 * Loop thread only. */
#include <string.h>

#include "http/internal.h"

enum { REASON_FIRST = 200 };

/* https://www.iana.org/assignments/http-status-codes, 418 of RFC 2324, and 499, which is ours. */
static const char *const reasons[] = {
    [200 - REASON_FIRST] = "OK",
    [201 - REASON_FIRST] = "Created",
    [202 - REASON_FIRST] = "Accepted",
    [203 - REASON_FIRST] = "Non-Authoritative Information",
    [204 - REASON_FIRST] = "No Content",
    [205 - REASON_FIRST] = "Reset Content",
    [206 - REASON_FIRST] = "Partial Content",
    [207 - REASON_FIRST] = "Multi-Status",
    [208 - REASON_FIRST] = "Already Reported",
    [226 - REASON_FIRST] = "IM Used",
    [300 - REASON_FIRST] = "Multiple Choices",
    [301 - REASON_FIRST] = "Moved Permanently",
    [302 - REASON_FIRST] = "Found",
    [303 - REASON_FIRST] = "See Other",
    [304 - REASON_FIRST] = "Not Modified",
    [305 - REASON_FIRST] = "Use Proxy",
    [307 - REASON_FIRST] = "Temporary Redirect",
    [308 - REASON_FIRST] = "Permanent Redirect",
    [400 - REASON_FIRST] = "Bad Request",
    [401 - REASON_FIRST] = "Unauthorized",
    [402 - REASON_FIRST] = "Payment Required",
    [403 - REASON_FIRST] = "Forbidden",
    [404 - REASON_FIRST] = "Not Found",
    [405 - REASON_FIRST] = "Method Not Allowed",
    [406 - REASON_FIRST] = "Not Acceptable",
    [407 - REASON_FIRST] = "Proxy Authentication Required",
    [408 - REASON_FIRST] = "Request Timeout",
    [409 - REASON_FIRST] = "Conflict",
    [410 - REASON_FIRST] = "Gone",
    [411 - REASON_FIRST] = "Length Required",
    [412 - REASON_FIRST] = "Precondition Failed",
    [413 - REASON_FIRST] = "Content Too Large",
    [414 - REASON_FIRST] = "URI Too Long",
    [415 - REASON_FIRST] = "Unsupported Media Type",
    [416 - REASON_FIRST] = "Range Not Satisfiable",
    [417 - REASON_FIRST] = "Expectation Failed",
    [418 - REASON_FIRST] = "I'm a Teapot",
    [421 - REASON_FIRST] = "Misdirected Request",
    [422 - REASON_FIRST] = "Unprocessable Content",
    [423 - REASON_FIRST] = "Locked",
    [424 - REASON_FIRST] = "Failed Dependency",
    [425 - REASON_FIRST] = "Too Early",
    [426 - REASON_FIRST] = "Upgrade Required",
    [428 - REASON_FIRST] = "Precondition Required",
    [429 - REASON_FIRST] = "Too Many Requests",
    [431 - REASON_FIRST] = "Request Header Fields Too Large",
    [451 - REASON_FIRST] = "Unavailable For Legal Reasons",
    [499 - REASON_FIRST] = "Client Closed Request",
    [500 - REASON_FIRST] = "Internal Server Error",
    [501 - REASON_FIRST] = "Not Implemented",
    [502 - REASON_FIRST] = "Bad Gateway",
    [503 - REASON_FIRST] = "Service Unavailable",
    [504 - REASON_FIRST] = "Gateway Timeout",
    [505 - REASON_FIRST] = "HTTP Version Not Supported",
    [506 - REASON_FIRST] = "Variant Also Negotiates",
    [507 - REASON_FIRST] = "Insufficient Storage",
    [508 - REASON_FIRST] = "Loop Detected",
    [510 - REASON_FIRST] = "Not Extended",
    [511 - REASON_FIRST] = "Network Authentication Required",
};

const char *http_reason(int status)
{
    size_t at = (size_t)(status - REASON_FIRST);
    return status >= REASON_FIRST && at < ARRAY_LEN(reasons) && reasons[at] ? reasons[at] : "";
}

static char *put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

#define PUT_LIT(at, s) put((at), (s), sizeof(s) - 1)

static char *put_u64(char *at, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *at++ = digits[--n];
    return at;
}

static char *put_status(char *at, int status, struct slice wanted)
{
    if (status == 200 && !wanted.len)
        return PUT_LIT(at, "HTTP/1.1 200 OK\r\n");
    struct slice reason = wanted.len ? wanted : slice_cstr(http_reason(status));
    at = PUT_LIT(at, "HTTP/1.1 ");
    at = put_u64(at, (uint64_t)status);
    *at++ = ' ';
    if (reason.len)
        at = put(at, reason.ptr, reason.len);
    return PUT_LIT(at, "\r\n");
}

/* Will the rest of the request be read, so that the connection can go on? What the handler has not
 * asked for by now it may never ask for. */
static bool can_read_rest(const struct http_exchange *x)
{
    const struct http_request *r = &x->request;
    if (x->wants_continue)
        return false; /* the client may send its body, or not: no way to tell */
    if (x->body_is_complete || x->body_is_wanted || r->content_length < 0)
        return true;
    return (uint64_t)r->content_length - x->body_received <= HTTP_DRAIN_BYTES;
}

static bool should_keep_alive(const struct http_exchange *x)
{
    const struct http_conn *c = x->conn;
    bool is_last_asked = c->is_eof && !c->h1.ahead.len;
    return x->keeps_alive && !c->server->is_draining && !is_last_asked && can_read_rest(x);
}

/* The Content-Length that a HEAD answer or a 304 may state although no body follows. */
static bool stated_length(const struct http_header *headers, size_t headers_len, int64_t *ret)
{
    uint64_t v;
    for (size_t i = 0; i < headers_len; i++)
        if (slice_eq_nocase(headers[i].name, SLICE_LIT("content-length")) &&
            slice_to_u64(headers[i].value, &v) && v <= INT64_MAX) {
            *ret = (int64_t)v;
            return true;
        }
    return false;
}

static size_t head_bound(const struct http_header *headers, size_t headers_len)
{
    size_t bound = 256;
    for (size_t i = 0; i < headers_len; i++)
        bound += headers[i].name.len + headers[i].value.len + 4;
    return bound;
}

void h1_respond(struct http_exchange *x, int status, const struct http_header *headers,
                size_t headers_len, int64_t content_length, struct slice body, bool is_end)
{
    struct http_conn *c = x->conn;
    struct http_server *s = c->server;
    int64_t length = is_end ? (int64_t)body.len : content_length;
    if (x->is_bodyless && !(x->is_head && (content_length >= 0 || body.len))) {
        length = -1;
        (void)stated_length(headers, headers_len, &length); /* most state none */
    } else if (x->is_bodyless) {
        length = content_length >= 0 ? content_length : (int64_t)body.len;
    }
    if (status == 204)
        length = -1;
    x->is_chunked = !x->is_bodyless && length < 0 && x->request.version == 11;
    bool ends_by_close = !x->is_bodyless && length < 0 && !x->is_chunked;
    x->keeps_alive = !ends_by_close && should_keep_alive(x);

    server_take_buffer(s, &c->out);
    bytes_reserve(&c->out, head_bound(headers, headers_len) + x->reason.len +
                               (body.len < HTTP_DIRECT_BYTES ? body.len : 0));
    char *at = put_status(c->out.ptr + c->out.len, status, x->reason);
    for (size_t i = 0; i < headers_len; i++) {
        const struct http_header *h = &headers[i];
        if (!exchange_may_send(h))
            continue;
        at = put(at, h->name.ptr, h->name.len);
        at = PUT_LIT(at, ": ");
        if (h->value.len)
            at = put(at, h->value.ptr, h->value.len);
        at = PUT_LIT(at, "\r\n");
    }
    at = PUT_LIT(at, "date: ");
    struct slice date = server_date(s);
    at = put(at, date.ptr, date.len);
    if (length >= 0) {
        at = PUT_LIT(at, "\r\ncontent-length: ");
        at = put_u64(at, (uint64_t)length);
    }
    if (x->is_chunked)
        at = PUT_LIT(at, "\r\ntransfer-encoding: chunked");
    if (!x->keeps_alive)
        at = PUT_LIT(at, "\r\nconnection: close");
    else if (x->request.version == 10)
        at = PUT_LIT(at, "\r\nconnection: keep-alive");
    at = PUT_LIT(at, "\r\n\r\n");
    c->out.len = (size_t)(at - c->out.ptr);

    if (x->is_bodyless)
        return;
    if (!exchange_promise(x, length, body.len))
        return;
    if (body.len || (is_end && x->is_chunked))
        h1_write(x, body, is_end);
}

void h1_write(struct http_exchange *x, struct slice data, bool is_end)
{
    struct http_conn *c = x->conn;
    if (!x->is_chunked) {
        conn_send(c, data);
        return;
    }
    if (data.len) {
        char size[20];
        int n = snprintf(size, sizeof(size), "%zx\r\n", data.len);
        conn_send(c, (struct slice){size, (size_t)n});
        conn_send(c, data);
        conn_send(c, is_end ? SLICE_LIT("\r\n0\r\n\r\n") : SLICE_LIT("\r\n"));
    } else if (is_end && !x->is_bodyless) {
        conn_send(c, SLICE_LIT("0\r\n\r\n"));
    }
}

void h1_continue(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    conn_send(c, SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    conn_schedule(c);
}

/* An answer to bytes that never became a request for the handler. The connection ends with it. */
void h1_fail(struct http_conn *c, int status, enum err code, const char *text)
{
    struct http_exchange *x = c->h1.x;
    bool is_head = c->h1.parser.ll.method == HTTP_HEAD && x;
    if (x && x->is_responded) {
        conn_break(c);
        return;
    }
    if (x)
        conn_end_exchange(c, x, false);
    if (c->state != CONN_OPEN)
        return; /* the handler's on_close has ended the server */
    struct error e = {0};
    (void)error_set(&e, code, "%s", text);
    struct bytes body = BYTES_INIT;
    exchange_error_body(&body, &e, SLICE_EMPTY);
    struct slice date = server_date(c->server);
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n%sdate: %.*s\r\n"
                     "content-length: %zu\r\nconnection: close\r\n\r\n",
                     status, http_reason(status), status == 503 ? "retry-after: 1\r\n" : "",
                     SLICE_ARG(date), body.len);
    conn_send(c, (struct slice){head, (size_t)n});
    if (!is_head)
        conn_send(c, bytes_slice(&body));
    bytes_done(&body);
    conn_finish(c, true);
}
