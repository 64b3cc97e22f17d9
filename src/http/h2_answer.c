/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of HTTP/2: heads and bodies as frames, and those that never involve the handler. See h2.c. */
#include "http/h2_internal.h"

#include <string.h>

/* --- flow control --- */

/* Gives back to the connection what the stream of x still holds. */
void h2_release_window(struct http_exchange *x)
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

/* --- answers --- */

/* An answer that is complete before its request waits for it when the client is known to be about
 * to finish: some (curl 7.88) drop an answer that ends with a reset, and hang when they have all
 * bytes of it while they still send. Others are told to stop sending by h2_on_frame_send(). */
bool h2_holds_end(const struct http_exchange *x)
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
int h2_on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
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
int h2_on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code, void *user)
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

/* --- answers that never involve the handler --- */

void h2_answer(struct http_exchange *x, int status, enum err code, const char *text)
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
void h2_fail(struct http_exchange *x, int status, enum err code, const char *text)
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
