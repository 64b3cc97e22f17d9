/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection: its socket, what waits to be written, its timeouts and its end. The protocols know
 * only conn_send() and c->out; what they get is plain text, whether TLS is in between or not.
 *
 * conn_run() is the one step. Whatever happens (bytes arrived, a write finished, a handler answered
 * from elsewhere, a timeout) ends in it; it tells handlers what is due, lets the protocol go on,
 * writes, and then settles: should we read, when is the next deadline, is it over.
 *
 * Output is gathered in c->out and written with one write. What the socket does not take moves to
 * c->wire and belongs to libuv until on_written.
 *
 * Timeouts are computed from time stamps, not kept: one timer per connection is started for a
 * deadline, and when it fires the real deadline is looked at again. A busy connection so touches no
 * timer at all. Loop thread only. */
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

enum { CONN_ROUNDS = 16 }; /* of one step before others get a turn */

static uint64_t conn_now(const struct http_conn *c)
{
    return server_now(c->server);
}

struct http_conn *conn_new(struct http_server *s, bool has_socket)
{
    struct http_conn *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->server = s;
    c->has_socket = has_socket;
    c->held_of = s->account ? &s->account->budgets[RESOURCE_MEMORY] : NULL;
    c->tcp.data = c;
    list_init(&c->node);
    list_init(&c->ready_node);
    list_init(&c->exchanges);
    list_init(&c->ready_x);
    list_init(&c->undispatched);
    c->idle_since_ms = c->in_since_ms = c->out_since_ms = conn_now(c);
    list_push_back(&s->conns, &c->node);
    s->conns_len++;
    if (has_socket) {
        CHECK(uv_tcp_init(&s->loop->uv, &c->tcp) == 0);
        s->handles++;
        if (s->tls)
            tls_conn_start(c);
    }
    h1_init(c);
    return c;
}

static void conn_set_peer(struct http_conn *c)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);
    char host[48] = "";
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&addr, &len) != 0)
        return;
    if (addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr;
        (void)uv_ip6_name(v6, host, sizeof(host));
        snprintf(c->peer, sizeof(c->peer), "[%s]:%d", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr;
        (void)uv_ip4_name(v4, host, sizeof(host));
        snprintf(c->peer, sizeof(c->peer), "%s:%d", host, ntohs(v4->sin_port));
    }
}

void conn_accepted(struct http_conn *c)
{
    (void)uv_tcp_nodelay(&c->tcp, 1); /* only slower without */
    conn_set_peer(c);
    conn_run(c);
}

/* --- the end --- */

static void on_closed(uv_handle_t *h)
{
    struct http_conn *c = h->data;
    struct http_server *s = c->server;
    bytes_done(&c->wire);
    free(c);
    server_handle_closed(s);
}

void conn_end_exchange(struct http_conn *c, struct http_exchange *x, bool is_complete)
{
    list_remove(&x->node);
    list_remove(&x->ready_node);
    list_remove(&x->dispatch_node);
    if (c->h1.x == x)
        c->h1.x = NULL;
    x->is_over = true;
    if (x->is_dispatched && c->server->handler.on_close)
        c->server->handler.on_close(x, is_complete);
    server_give_exchange(c->server, x);
}

void conn_break(struct http_conn *c)
{
    if (c->state < CONN_BROKEN)
        c->state = CONN_BROKEN;
    conn_schedule(c);
}

/* Calls on_close for what is left. c is gone at the next turn of the loop. */
void conn_tear_down(struct http_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    struct http_server *s = c->server;
    c->state = CONN_CLOSED;
    list_remove(&c->node);
    list_remove(&c->ready_node);
    timer_stop(s->loop, &c->timer);
    struct list *n;
    while (!list_is_empty(&c->exchanges)) {
        n = c->exchanges.next;
        conn_end_exchange(c, container_of(n, struct http_exchange, node), false);
    }
    h1_done(c);
    h2_done(c);
    tls_conn_free(c);
    bytes_done(&c->out);
    if (c->held_of)
        budget_give(c->held_of, c->held);
    account_unref(TAKE(c->charged));
    server_conn_gone(s);
    if (!c->has_socket) {
        bytes_done(&c->wire);
        free(c);
        return;
    }
    uv_handle_t *handle = (uv_handle_t *)&c->tcp;
    if (!c->is_resetting || uv_tcp_close_reset(&c->tcp, on_closed) != 0)
        uv_close(handle, on_closed);
}

void conn_finish(struct http_conn *c, bool is_lingerer)
{
    if (c->state == CONN_OPEN)
        c->state = CONN_FINISHING;
    c->is_lingerer |= is_lingerer;
    c->end_since_ms = conn_now(c);
    conn_schedule(c);
}

/* --- writing --- */

size_t conn_queued(const struct http_conn *c)
{
    return c->out.len + c->wire.len;
}

static void on_written(uv_write_t *w, int status)
{
    struct http_conn *c = w->data;
    if (c->state == CONN_CLOSED)
        return;
    c->is_writing = false;
    server_give_buffer(c->server, &c->wire);
    if (status < 0)
        conn_break(c);
    if (!c->is_running)
        conn_run(c);
}

/* Hands c->wire from off on to libuv. */
static void conn_write_wire(struct http_conn *c, size_t off)
{
    uv_buf_t buf = uv_buf_init(c->wire.ptr + off, (unsigned)(c->wire.len - off));
    c->write.data = c;
    c->out_since_ms = conn_now(c);
    c->out_last = 0;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
        conn_break(c);
        return;
    }
    c->is_writing = true;
}

/* How much of the buffers the socket took; what is fatal breaks the connection. */
static size_t conn_try_write(struct http_conn *c, uv_buf_t *bufs, unsigned len)
{
    if (!c->has_socket) {
        size_t total = 0;
        for (unsigned i = 0; i < len; i++)
            total += bufs[i].len;
        return total;
    }
    int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, len);
    if (n >= 0)
        return (size_t)n;
    if (n != UV_EAGAIN)
        conn_break(c);
    return 0;
}

void conn_socket_write(struct http_conn *c, const char *ptr, size_t len)
{
    CHECK(!c->is_writing);
    uv_buf_t buf = uv_buf_init((char *)ptr, (unsigned)len);
    size_t n = conn_try_write(c, &buf, 1);
    if (n == len || c->state >= CONN_BROKEN)
        return;
    server_take_buffer(c->server, &c->wire);
    bytes_append(&c->wire, ptr + n, len - n);
    conn_write_wire(c, 0);
}

void conn_flush(struct http_conn *c)
{
    if (c->is_writing || c->state >= CONN_BROKEN)
        return;
    if (c->tls) {
        tls_conn_flush(c);
        return;
    }
    if (!c->out.len)
        return;
    uv_buf_t buf = uv_buf_init(c->out.ptr, (unsigned)c->out.len);
    size_t n = conn_try_write(c, &buf, 1);
    if (c->state >= CONN_BROKEN)
        return;
    if (n == c->out.len) {
        server_give_buffer(c->server, &c->out);
        return;
    }
    c->wire = c->out;
    c->out = BYTES_INIT;
    conn_write_wire(c, n);
}

static void conn_append(struct http_conn *c, struct slice data)
{
    server_take_buffer(c->server, &c->out);
    bytes_append_slice(&c->out, data);
}

void conn_send(struct http_conn *c, struct slice data)
{
    if (c->state >= CONN_BROKEN || !data.len)
        return;
    if (data.len < HTTP_DIRECT_BYTES || c->is_writing || c->tls || !c->has_socket) {
        conn_append(c, data);
        return;
    }
    uv_buf_t bufs[2] = {uv_buf_init(c->out.ptr, (unsigned)c->out.len),
                        uv_buf_init((char *)data.ptr, (unsigned)data.len)};
    unsigned skip = c->out.len ? 0 : 1;
    size_t n = conn_try_write(c, bufs + skip, 2 - skip);
    if (c->state >= CONN_BROKEN || n == c->out.len + data.len) {
        bytes_clear(&c->out);
        return;
    }
    /* The socket is full: libuv waits for it, and what comes later queues up behind. */
    size_t head = n < c->out.len ? n : c->out.len;
    conn_append(c, slice_skip(data, n - head));
    c->wire = c->out;
    c->out = BYTES_INIT;
    conn_write_wire(c, head);
}

/* --- reading --- */

size_t conn_proto_want(const struct http_conn *c)
{
    return c->proto == PROTO_H2       ? h2_want(c)
           : c->proto == PROTO_TUNNEL ? tunnel_want(c)
                                      : h1_want(c);
}

static size_t conn_want(const struct http_conn *c)
{
    if (c->state == CONN_LINGERING)
        return HTTP_READ_BYTES;
    if (c->state != CONN_OPEN)
        return 0;
    return conn_proto_want(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct http_conn *c = h->data;
    size_t want = c->tls ? HTTP_READ_BYTES : conn_want(c);
    if (want > HTTP_READ_BYTES)
        want = HTTP_READ_BYTES;
    *buf = uv_buf_init(c->server->read_buffer, (unsigned)want);
}

static void conn_linger(struct http_conn *c, size_t len)
{
    c->lingered += len;
    if (c->lingered > HTTP_LINGER_BYTES)
        conn_break(c);
}

/* The peer will send nothing more. It may still read (half-close): an answer on its way goes on. */
void conn_got_eof(struct http_conn *c)
{
    c->is_eof = true;
    c->is_reading = false;
    if (c->has_socket)
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
    c->eof_since_ms = conn_now(c);
    if (c->proto == PROTO_TUNNEL && c->state == CONN_OPEN) {
        tunnel_eof(c);
        return;
    }
    bool has_request = c->proto != PROTO_H2 && c->h1.x && c->h1.x->body_is_complete;
    if (c->state == CONN_LINGERING || c->proto == PROTO_H2 || (c->h1.x && !has_request))
        conn_break(c); /* a request without its end */
    else if (!has_request && !conn_queued(c) && !c->h1.ahead.len)
        conn_finish(c, false);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct http_conn *c = stream->data;
    if (n == 0 || n == UV_ENOBUFS || c->state == CONN_CLOSED)
        return; /* EAGAIN, or we have just stopped reading */
    c->is_running = true;
    if (n < 0) {
        if (n == UV_EOF)
            conn_got_eof(c);
        else
            conn_break(c);
    } else if (c->state != CONN_OPEN) {
        conn_linger(c, (size_t)n);
    } else if (c->tls) {
        tls_conn_receive(c, (struct slice){buf->base, (size_t)n});
    } else {
        conn_input(c, (struct slice){buf->base, (size_t)n});
    }
    c->is_running = false;
    conn_run(c);
}

void conn_feed(struct http_conn *c, struct slice data)
{
    c->is_running = true;
    if (c->state == CONN_OPEN)
        conn_input(c, data);
    c->is_running = false;
    conn_run(c);
}

/* The client preface of HTTP/2 tells the protocols apart; until it is decided, bytes wait. */
static void conn_detect(struct http_conn *c, struct slice data)
{
    static const char preface[] = NGHTTP2_CLIENT_MAGIC;
    struct bytes *seen = &c->h1.ahead;
    size_t n = seen->len;
    size_t i = 0;
    while (i < data.len && n + i < NGHTTP2_CLIENT_MAGIC_LEN && data.ptr[i] == preface[n + i])
        i++;
    bool is_h2 = n + i == NGHTTP2_CLIENT_MAGIC_LEN;
    if (!is_h2 && i == data.len) {
        if (!n)
            c->in_since_ms = conn_now(c);
        bytes_append_slice(seen, data);
        return;
    }
    c->proto = is_h2 ? PROTO_H2 : PROTO_H1;
    if (is_h2)
        h2_init(c);
    if (!n) {
        conn_input(c, data);
        return;
    }
    struct bytes held = *seen;
    *seen = BYTES_INIT;
    bytes_append_slice(&held, data);
    conn_input(c, bytes_slice(&held));
    bytes_done(&held);
}

void conn_input(struct http_conn *c, struct slice data)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->proto == PROTO_DETECT)
        conn_detect(c, data);
    else if (c->proto == PROTO_H2)
        h2_input(c, data);
    else if (c->proto == PROTO_TUNNEL)
        tunnel_input(c, data);
    else
        h1_input(c, data);
}

static void conn_start_reading(struct http_conn *c)
{
    if (c->is_reading || c->is_eof || !c->has_socket)
        return;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        conn_break(c);
        return;
    }
    c->is_reading = true;
    c->in_since_ms = conn_now(c);
}

static void conn_stop_reading(struct http_conn *c)
{
    if (!c->is_reading)
        return;
    (void)uv_read_stop((uv_stream_t *)&c->tcp); /* cannot fail */
    c->is_reading = false;
}

/* --- timeouts --- */

static bool conn_is_handshaking(const struct http_conn *c)
{
    return c->tls && !c->tls->is_ready;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* UINT64_MAX: nothing is waited for that the peer owes us. */
static uint64_t conn_deadline(const struct http_conn *c)
{
    const struct http_server *s = c->server;
    uint64_t due = UINT64_MAX;
    if (c->is_writing)
        due = c->out_since_ms + s->body_timeout_ms;
    if (c->state == CONN_LINGERING)
        return min_u64(due, c->end_since_ms + HTTP_LINGER_MS);
    if (c->state != CONN_OPEN)
        return due;
    if (c->is_eof) {
        uint64_t last = c->out_since_ms > c->eof_since_ms ? c->out_since_ms : c->eof_since_ms;
        due = min_u64(due, last + HTTP_HALF_CLOSE_MS);
    }
    if (conn_is_handshaking(c))
        return min_u64(due, c->in_since_ms + s->head_timeout_ms);
    if (c->proto == PROTO_TUNNEL)
        return due; /* who is silent is found by the protocol in it */
    if (c->proto == PROTO_H2)
        return min_u64(due, h2_deadline(c));
    return min_u64(due, h1_deadline(c));
}

static void conn_arm(struct http_conn *c);

/* libuv says how much is left only when asked: fewer bytes than last time is progress. */
static void conn_note_progress(struct http_conn *c)
{
    if (!c->is_writing)
        return;
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    if (c->out_last && left < c->out_last)
        c->out_since_ms = conn_now(c);
    c->out_last = left;
}

static void on_timer(struct timer *t)
{
    struct http_conn *c = container_of(t, struct http_conn, timer);
    uint64_t now = conn_now(c);
    conn_note_progress(c);
    if (conn_deadline(c) > now) {
        conn_arm(c);
        return;
    }
    c->is_running = true;
    const struct http_server *s = c->server;
    bool is_stuck = c->is_writing && now >= c->out_since_ms + s->body_timeout_ms;
    if (is_stuck || c->state != CONN_OPEN || c->is_eof || conn_is_handshaking(c))
        conn_break(c);
    else if (c->proto == PROTO_H2)
        h2_expire(c, now);
    else
        h1_expire(c, now);
    c->is_running = false;
    conn_run(c);
}

static void conn_arm(struct http_conn *c)
{
    uint64_t due = conn_deadline(c);
    if (due == UINT64_MAX)
        return; /* should the timer be running it will find that nothing is due */
    /* Progress of a write is sampled, so that a slow reader is not taken for a stuck one. */
    if (c->is_writing)
        due = min_u64(due, conn_now(c) + c->server->body_timeout_ms / 4 + 1);
    if (timer_is_running(&c->timer) && due >= c->timer_due_ms)
        return;
    uint64_t now = conn_now(c);
    c->timer_due_ms = due;
    timer_start(c->server->loop, &c->timer, due > now ? due - now : 0, on_timer);
}

/* --- the step --- */

void conn_schedule(struct http_conn *c)
{
    if (c->is_running) {
        c->is_again = true;
        return;
    }
    if (c->state == CONN_CLOSED || list_is_linked(&c->ready_node))
        return;
    list_push_back(&c->server->ready, &c->ready_node);
    server_wake(c->server);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req; /* the peer's end of file or the timeout ends it */
    (void)status;
}

/* Our last bytes are out: close, or wait a little for the peer to have read them. */
static void conn_after_finish(struct http_conn *c)
{
    if (!c->is_lingerer || c->is_eof || !c->has_socket) {
        c->state = CONN_BROKEN;
        return;
    }
    c->state = CONN_LINGERING;
    c->end_since_ms = conn_now(c);
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0)
        c->state = CONN_BROKEN;
}

static void conn_finish_step(struct http_conn *c)
{
    if (conn_queued(c) || c->is_writing)
        return;
    if (c->tls) {
        tls_conn_goodbye(c);
        if (c->is_writing || c->state != CONN_FINISHING)
            return;
    }
    conn_after_finish(c);
}

/* ---- what is held for it ---- */

/* Beside the little that each has: heads in pieces and dispatched ones, input read ahead, bodies,
 * answers. In steps, so that what goes up and down touches no shared memory. */
static size_t conn_held(const struct http_conn *c)
{
    enum { FREE_BYTES = 8 * 1024, STEP_BYTES = 16 * 1024 };
    size_t n = conn_queued(c) + h1_held(c) + tls_conn_held(c);
    LIST_FOREACH (m, &c->exchanges) {
        const struct http_exchange *x = container_of(m, struct http_exchange, node);
        n += x->body.len + x->out.len + (x->has_arena ? arena_bytes(x->arena) : 0);
    }
    return n > FREE_BYTES ? (n + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES : 0;
}

static void conn_hold(struct http_conn *c, size_t n)
{
    if (c->held_of && n > c->held)
        budget_force(c->held_of, n - c->held);
    else if (c->held_of && n < c->held)
        budget_give(c->held_of, c->held - n);
    c->held = n;
}

/* The bytes are there, so they are counted even above the limit; then others must wait. */
static void conn_count(struct http_conn *c)
{
    size_t n = conn_held(c);
    if (n != c->held)
        conn_hold(c, n);
}

void conn_charge(struct http_conn *c, struct account *to)
{
    if (c->charged == to)
        return;
    size_t n = c->held;
    conn_hold(c, 0);
    account_unref(c->charged);
    c->charged = to ? account_ref(to) : NULL;
    struct account *of = to ? to : c->server->account;
    c->held_of = of ? &of->budgets[RESOURCE_MEMORY] : NULL;
    conn_hold(c, n);
}

static void conn_settle(struct http_conn *c)
{
    if (c->state < CONN_BROKEN)
        conn_count(c);
    if (c->state == CONN_FINISHING)
        conn_finish_step(c);
    if (c->state < CONN_BROKEN) {
        /* TLS: what is read but not decrypted counts as reading ahead already. */
        if (conn_want(c) && !tls_conn_has_input(c))
            conn_start_reading(c);
        else
            conn_stop_reading(c);
        conn_arm(c);
    }
    if (c->state == CONN_BROKEN)
        conn_tear_down(c);
}

static void conn_run_exchanges(struct http_conn *c)
{
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &c->ready_x);
    struct list *n;
    while ((n = list_pop_front(&batch))) {
        struct http_exchange *x = container_of(n, struct http_exchange, ready_node);
        if (x->is_over)
            conn_end_exchange(c, x, x->is_closed_ok);
        else
            exchange_run(x);
    }
}

static bool conn_is_idle(const struct http_conn *c)
{
    return c->proto == PROTO_H2 ? h2_is_idle(c) : h1_is_idle(c);
}

static void conn_check_drain(struct http_conn *c)
{
    if (!c->server->is_draining || c->state != CONN_OPEN)
        return;
    if (c->proto == PROTO_H2)
        h2_go_away(c);
    else if (conn_is_idle(c))
        conn_finish(c, false);
}

/* Writers that were told to wait hear that there is room again. HTTP/2 has its own queue each. */
static void conn_notify_drain(struct http_conn *c)
{
    struct http_exchange *x = c->h1.x;
    if (c->proto == PROTO_H2 || !x || !x->wants_drain || x->is_over ||
        conn_queued(c) >= LIMIT_HTTP_OUT_HIGH_BYTES / 2)
        return;
    x->must_drain = true;
    exchange_ready(x);
}

void conn_run(struct http_conn *c)
{
    CHECK(!c->is_running);
    list_remove(&c->ready_node);
    if (c->state == CONN_CLOSED)
        return;
    c->is_running = true;
    int rounds = 0;
    do {
        c->is_again = false;
        if (c->state >= CONN_BROKEN)
            break;
        if (!list_is_empty(&c->ready_x))
            conn_run_exchanges(c);
        if (c->state == CONN_OPEN && c->tls)
            tls_conn_pump(c);
        if (c->state == CONN_OPEN) {
            if (c->proto == PROTO_H2)
                h2_run(c);
            else if (c->proto == PROTO_H1)
                h1_run(c);
            else if (c->proto == PROTO_TUNNEL)
                tunnel_run(c);
        }
        if (c->server->is_draining)
            conn_check_drain(c);
        conn_flush(c);
        if (c->h1.unflushed && !conn_queued(c) && c->state < CONN_BROKEN)
            h1_flushed(c);
        conn_notify_drain(c);
    } while (c->is_again && ++rounds < CONN_ROUNDS);
    c->is_running = false;
    if (c->is_again && c->state < CONN_BROKEN)
        conn_schedule(c);
    conn_settle(c);
}
