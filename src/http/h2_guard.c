/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer may not do on an HTTP/2 connection: frames that cost us work and it nothing, and frames
 * of streams that it has closed or skipped. See h2.c. */
#include "http/h2_internal.h"

/* --- floods --- */

void h2_pay(struct http_conn *c, int cost)
{
    struct h2 *h = &c->h2;
    uint64_t now = h2_now(c);
    uint64_t refill = (now - h->flood_ms) * HTTP2_FLOOD_PER_S / 1000;
    if (refill) {
        h->flood_ms = now;
        h->flood_tokens += refill < HTTP2_FLOOD_BURST ? (int64_t)refill : HTTP2_FLOOD_BURST;
        if (h->flood_tokens > HTTP2_FLOOD_BURST)
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
void h2_note_reset(struct http_conn *c, int32_t stream_id)
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
void h2_check_stream_id(struct http_conn *c, uint8_t type, int32_t stream_id)
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
