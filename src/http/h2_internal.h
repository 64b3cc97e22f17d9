/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of HTTP/2 share; see h2.c. Loop thread. */
#pragma once

#include "http/internal.h"

static inline struct http_exchange *h2_exchange(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static inline uint64_t h2_now(const struct http_conn *c)
{
    return server_now(c->server);
}

/* How often the timeouts of streams are looked at. */
static inline uint64_t h2_tick_ms(const struct http_conn *c)
{
    return c->server->body_timeout_ms / 4 + 1;
}

/* ---- h2_guard.c ---- */

void h2_pay(struct http_conn *c, int cost); /* the connection ends if it cannot */
void h2_note_reset(struct http_conn *c, int32_t stream_id);
void h2_check_stream_id(struct http_conn *c, uint8_t type, int32_t stream_id);

/* ---- h2_request.c ---- */

int h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user);
int h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                 size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                 void *user);
int h2_on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
               size_t len, void *user);
void h2_on_request(struct http_exchange *x, bool is_end); /* its head is complete */
void h2_on_end(struct http_exchange *x);                  /* so is the request */

/* ---- h2_answer.c ---- */

int h2_on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user);
int h2_on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code,
                         void *user);
void h2_release_window(struct http_exchange *x);
/* Is the end of its answer kept back until its request has ended? */
bool h2_holds_end(const struct http_exchange *x);
/* Answers that never involve the handler. */
void h2_answer(struct http_exchange *x, int status, enum err code, const char *text);
void h2_fail(struct http_exchange *x, int status, enum err code, const char *text);
