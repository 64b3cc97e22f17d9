/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 on a connection, by nghttp2. Here are the session, its turn and its timeouts; requests are
 * in h2_request.c, answers in h2_answer.c, what a peer may not do in h2_guard.c. A stream is an
 * exchange. nghttp2's callbacks only fill exchanges, give body bytes to their handlers, and mark;
 * requests are dispatched, and frames made, in h2_run().
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
#include "http/h2_internal.h"

enum { H2_RESET_COST = 5 /* a reset may have cost us a request */ };

/* --- frames --- */

static int h2_on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
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

static int h2_on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
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

static int h2_on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
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

/* --- the session --- */

static void h2_set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, h2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, h2_on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, h2_on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, h2_on_frame_not_send);
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
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
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
    bool is_stuck_in = !x->body_is_complete && !x->is_tunnel && now_ms >= exchange_body_due(x);
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
