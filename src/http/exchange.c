/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its answer: the API of server.h, and how a request's body reaches its handler.
 *
 * Body bytes that arrive while the handler listens go straight from the read buffer to on_body();
 * others wait in x->body. Delivered and not consumed plus waiting is never more than the window,
 * since the protocols read no more than exchange_body_room() (HTTP/2: grant no more). Loop thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "http/internal.h"

const struct http_request *http_exchange_request(const struct http_exchange *x)
{
    return &x->request;
}

struct arena *http_exchange_arena(struct http_exchange *x)
{
    x->has_arena = true;
    return x->arena;
}

void **http_exchange_user(struct http_exchange *x)
{
    return &x->user;
}

struct http_exchange *exchange_new(struct http_conn *c)
{
    struct http_exchange *x = server_take_exchange(c->server);
    x->conn = c;
    x->body_left = -1;
    x->in_since_ms = x->out_since_ms = server_now(c->server);
    x->request.headers = x->headers;
    x->request.peer = slice_cstr(c->peer);
    x->request.is_tls = c->tls != NULL;
    x->request.tls_version = c->tls ? tls_conn_version(c) : 0;
    x->request.content_length = -1;
    list_init(&x->ready_node);
    list_init(&x->dispatch_node);
    list_push_back(&c->exchanges, &x->node);
    return x;
}

char *exchange_store(struct http_exchange *x, size_t len)
{
    if (len <= sizeof(x->head) - x->head_used) {
        char *at = x->head + x->head_used;
        x->head_used += len;
        return at;
    }
    return arena_alloc(http_exchange_arena(x), len);
}

void exchange_dispatch(struct http_exchange *x)
{
    if (x->is_dispatched || x->is_over)
        return;
    x->is_dispatched = true;
    const struct http_handler *h = &x->conn->server->handler;
    h->on_request(h->ctx, x);
}

void exchange_ready(struct http_exchange *x)
{
    if (!list_is_linked(&x->ready_node))
        list_push_back(&x->conn->ready_x, &x->ready_node);
    conn_schedule(x->conn);
}

void exchange_break(struct http_exchange *x)
{
    x->is_over = true;
    exchange_ready(x);
}

/* --- the request's body --- */

size_t exchange_body_room(const struct http_exchange *x)
{
    size_t used = x->body.len + x->window_used;
    if (x->body.len > 0 && server_is_short(x->conn->server))
        return 0; /* until its reader has taken that */
    return used < LIMIT_HTTP_BODY_WINDOW_BYTES ? LIMIT_HTTP_BODY_WINDOW_BYTES - used : 0;
}

uint64_t exchange_body_due(const struct http_exchange *x)
{
    uint64_t pause = x->conn->server->body_timeout_ms;
    uint64_t allowed = pause + x->body_received * 1000 / LIMIT_HTTP_BODY_BYTES_PER_S;
    uint64_t left = allowed > x->body_waited_ms ? allowed - x->body_waited_ms : 0;
    return x->in_since_ms + (x->is_responded || left > pause ? pause : left);
}

static void exchange_tell_body(struct http_exchange *x, struct slice data, bool is_end)
{
    const struct http_handler *h = &x->conn->server->handler;
    x->window_used += data.len;
    x->body_end_told = is_end;
    if (h->on_body)
        h->on_body(x, data, is_end);
}

void exchange_body(struct http_exchange *x, struct slice data)
{
    uint64_t now = server_now(x->conn->server);
    if (x->body_is_wanted)
        x->body_waited_ms += now - x->in_since_ms;
    x->body_received += data.len;
    x->in_since_ms = now;
    if (x->body_is_wanted && !x->body.len && !x->must_deliver)
        exchange_tell_body(x, data, false);
    else
        bytes_append_slice(&x->body, data);
}

void exchange_body_end(struct http_exchange *x)
{
    x->body_is_complete = true;
    if (!x->body_is_wanted || x->is_over || x->body_end_told)
        return;
    if (x->body.len || x->must_deliver) {
        x->must_deliver = true;
        exchange_ready(x);
    } else {
        exchange_tell_body(x, SLICE_EMPTY, true);
    }
}

static void exchange_deliver(struct http_exchange *x)
{
    if (!x->body_is_wanted || x->body_end_told)
        return;
    if (!x->body.len) {
        if (x->body_is_complete)
            exchange_tell_body(x, SLICE_EMPTY, true);
        return;
    }
    size_t room = x->window_used < LIMIT_HTTP_BODY_WINDOW_BYTES
                      ? LIMIT_HTTP_BODY_WINDOW_BYTES - x->window_used
                      : 0;
    size_t n = x->body.len < room ? x->body.len : room;
    if (!n)
        return; /* http_body_consumed() comes back here */
    struct bytes held = x->body;
    x->body = BYTES_INIT;
    exchange_tell_body(x, (struct slice){held.ptr, n}, n == held.len && x->body_is_complete);
    bytes_consume(&held, n);
    x->body = held;
}

void exchange_run(struct http_exchange *x)
{
    const struct http_handler *h = &x->conn->server->handler;
    if (x->must_deliver) {
        x->must_deliver = false;
        exchange_deliver(x);
    }
    if (x->must_drain) {
        x->must_drain = false;
        if (x->wants_drain && !x->is_over && !x->is_ended) {
            x->wants_drain = false;
            if (h->on_drain)
                h->on_drain(x);
        }
    }
}

static bool exchange_is_dead(const struct http_exchange *x)
{
    return x->is_over || x->conn->state >= CONN_BROKEN;
}

void http_exchange_charge(struct http_exchange *x, struct account *to)
{
    if (!exchange_is_dead(x))
        conn_charge(x->conn, to);
}

bool http_body_take_whole(struct http_exchange *x, struct slice *ret_body)
{
    if (x->is_over || !x->body_is_complete || x->body_is_wanted)
        return false;
    x->body_is_wanted = true;
    x->body_end_told = true;
    if (x->conn->proto == PROTO_H2 && x->body.len)
        h2_consumed(x, x->body.len);
    *ret_body = bytes_slice(&x->body);
    return true;
}

void http_body_start(struct http_exchange *x)
{
    if (exchange_is_dead(x) || x->body_is_wanted)
        return;
    x->body_is_wanted = true;
    x->in_since_ms = server_now(x->conn->server);
    if (x->wants_continue && !x->is_responded && !x->body_received && !x->body_is_complete) {
        if (x->conn->proto == PROTO_H2)
            h2_continue(x);
        else
            h1_continue(x);
    }
    x->wants_continue = false;
    x->must_deliver = x->body.len || x->body_is_complete;
    exchange_ready(x);
}

void http_body_consumed(struct http_exchange *x, size_t n)
{
    if (exchange_is_dead(x) || !n)
        return;
    CHECK(n <= x->window_used);
    x->window_used -= n;
    x->in_since_ms = server_now(x->conn->server);
    if (x->body.len) {
        x->must_deliver = true;
        exchange_ready(x);
    }
    if (x->conn->proto == PROTO_H2)
        h2_consumed(x, n);
    else if (!x->conn->is_reading)
        conn_schedule(x->conn);
}

/* --- the answer --- */

/* Framing and connection management are ours; CR, LF and NUL would let a guest write other headers.
 */
bool exchange_may_send(const struct http_header *h)
{
    static const struct slice ours[] = {{"date", 4},
                                        {"content-length", 14},
                                        {"transfer-encoding", 17},
                                        {"connection", 10},
                                        {"keep-alive", 10},
                                        {"proxy-connection", 16},
                                        {"upgrade", 7},
                                        {"te", 2},
                                        {"trailer", 7}};
    if (!grammar_is_token(h->name) || !grammar_all(h->value, GRAMMAR_FIELD))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (h->name.len == ours[i].len && slice_eq_nocase(h->name, ours[i]))
            return false;
    return true;
}

/* Lets what was just added leave: at once when the answer is complete or much has gathered, else
 * together with what the rest of this turn brings. */
static void exchange_push(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    bool is_whole = x->is_ended && !c->is_running;
    if (c->proto != PROTO_H2 && (is_whole || c->out.len >= HTTP_OUT_BATCH_BYTES))
        conn_flush(c);
    conn_schedule(c);
}

void http_respond(struct http_exchange *x, int status, const struct http_header *headers,
                  size_t headers_len, int64_t content_length, struct slice body, bool is_end)
{
    if (exchange_is_dead(x))
        return;
    CHECK(!x->is_responded);
    bool is_tunnel = status == 101 && x->request.upgrades && !is_end;
    if (x->conn->proto == PROTO_H2 && x->request.upgrades && status >= 200 && status <= 299) {
        struct error e = {0};
        (void)error_set(&e, ERR_GUEST,
                        "the function answered the request for a WebSocket with status %d", status);
        error_hint(&e, "answer it with status 101 and a webSocket, or with an error");
        http_respond_error(x, &e);
        return;
    }
    if (!is_tunnel && (status < 200 || status > 999)) {
        struct error e = {0};
        (void)error_set(&e, ERR_INTERNAL, "the answer has the impossible status %d", status);
        error_hint(&e, "use a status from 200 to 999");
        http_respond_error(x, &e);
        return;
    }
    x->is_responded = true;
    x->is_bodyless = x->is_head || status == 204 || status == 304;
    x->is_ended = is_end;
    x->is_tunnel = is_tunnel;
    x->out_since_ms = server_now(x->conn->server);
    if (is_tunnel && x->conn->proto == PROTO_H2)
        h2_respond(x, 200, headers, headers_len, -1, SLICE_EMPTY, false);
    else if (is_tunnel)
        tunnel_respond(x, headers, headers_len);
    else if (x->conn->proto == PROTO_H2)
        h2_respond(x, status, headers, headers_len, content_length, body, is_end);
    else
        h1_respond(x, status, headers, headers_len, content_length, body, is_end);
    x->wants_continue = false;
    x->reason = SLICE_EMPTY;
    exchange_push(x);
}

static size_t exchange_queued(const struct http_exchange *x)
{
    return x->conn->proto == PROTO_H2 ? x->out.len - x->out_off : conn_queued(x->conn);
}

/* False: more or less than the promised Content-Length. The client must not take it for whole. */
static bool exchange_keeps_promise(struct http_exchange *x, size_t len, bool is_end)
{
    if (x->body_left < 0)
        return true;
    if ((uint64_t)x->body_left < len || (is_end && (uint64_t)x->body_left != len)) {
        x->has_broken_promise = true;
        x->body_came = x->body_promised - (uint64_t)x->body_left + len;
        return false;
    }
    x->body_left -= (int64_t)len;
    return true;
}

bool exchange_promise(struct http_exchange *x, int64_t length, size_t len)
{
    x->body_left = length;
    x->body_promised = length < 0 ? 0 : (uint64_t)length;
    if (exchange_keeps_promise(x, len, false))
        return true;
    http_abort(x);
    return false;
}

bool http_exchange_broke_promise(const struct http_exchange *x, uint64_t *ret_promised,
                                 uint64_t *ret_came)
{
    *ret_promised = x->body_promised;
    *ret_came = x->body_came;
    return x->has_broken_promise;
}

void http_exchange_reason(struct http_exchange *x, struct slice reason)
{
    x->reason = reason;
}

bool http_write(struct http_exchange *x, struct slice data, bool is_end)
{
    if (exchange_is_dead(x) || x->is_ended)
        return true;
    CHECK(x->is_responded);
    x->is_ended = is_end;
    if (!x->is_bodyless && !exchange_keeps_promise(x, data.len, is_end)) {
        http_abort(x);
        return true;
    }
    if (x->is_bodyless)
        data = SLICE_EMPTY;
    if (x->conn->proto == PROTO_H2)
        h2_write(x, data, is_end);
    else
        h1_write(x, data, is_end);
    exchange_push(x);
    if (is_end || exchange_queued(x) < LIMIT_HTTP_OUT_HIGH_BYTES)
        return true;
    if (x->conn->proto != PROTO_H2)
        conn_flush(x->conn);
    if (exchange_queued(x) < LIMIT_HTTP_OUT_HIGH_BYTES)
        return true;
    x->wants_drain = true;
    return false;
}

void http_abort(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    if (exchange_is_dead(x))
        return;
    if (c->proto == PROTO_H2) {
        h2_drop(x, NGHTTP2_INTERNAL_ERROR);
        exchange_break(x);
        return;
    }
    c->is_resetting = x->is_responded && !x->is_chunked && x->body_left < 0;
    conn_break(c);
}

void exchange_error_body(struct bytes *out, const struct error *e, struct slice request_id)
{
    struct json_writer w = json_writer(out);
    bytes_clear(out);
    json_error_of_request(&w, e, request_id);
    bytes_append_char(out, '\n');
}

void http_respond_error(struct http_exchange *x, const struct error *e)
{
    http_respond_error_of(x, e, SLICE_EMPTY);
}

void http_respond_error_of(struct http_exchange *x, const struct error *e, struct slice request_id)
{
    if (exchange_is_dead(x))
        return;
    struct http_header headers[3] = {{SLICE_LIT("content-type"), SLICE_LIT("application/json")}};
    size_t n = 1;
    int status = error_http_status(e->code);
    if (status == 503 || status == 429)
        headers[n++] = (struct http_header){SLICE_LIT("retry-after"), SLICE_LIT("1")};
    if (request_id.len)
        headers[n++] = (struct http_header){SLICE_LIT("x-request-id"), request_id};
    struct bytes *out = &x->conn->server->scratch;
    exchange_error_body(out, e, request_id);
    http_respond(x, status, headers, n, -1, bytes_slice(out), true);
}
