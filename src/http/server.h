/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP server on one loop: HTTP/1.1 (llhttp) with keep-alive and pipelining, HTTP/2 (nghttp2) with
 * prior knowledge or by ALPN, TLS (OpenSSL, memory BIOs). Each engine thread has its own server
 * with its own SO_REUSEPORT listener. A request and its answer are one exchange, the same for both
 * protocols. All functions are for the loop's thread; callbacks come from the loop, never from
 * inside a call into this file, except where said.
 *
 * The program ignores SIGPIPE: sockets are written by libuv. http_server_close() may be called from
 * inside a handler's callback; the connection it was called from is then closed right after.
 *
 * Protocol errors are answered here (400, 408, 413, 414, 431, 501, 505) in the one error shape and
 * never reach the handler. Limits are in base/limits.h. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"

struct account;
struct loop;
struct http_server;
struct http_exchange;
struct tls_context;

struct http_header {
    struct slice name; /* lower case */
    struct slice value;
};

struct http_request {
    struct slice method;
    struct slice target;    /* "/path?query"; as sent, but absolute-form is reduced to this */
    struct slice authority; /* Host or :authority, "" if none (HTTP/1.0) */
    struct slice peer;      /* "127.0.0.1:4711" */
    bool is_tls;
    int tls_version;             /* 12 or 13; 0: plain */
    int version;                 /* 10, 11 or 20 */
    struct http_header *headers; /* hop-by-hop ones are removed; host is kept */
    size_t headers_len;
    int64_t content_length; /* -1: unknown (chunked) or none */
    bool has_body;
    bool upgrades; /* it asks for a WebSocket: may be answered with 101 */
};

/* What the handler of a server provides. */
struct http_handler {
    void *ctx;
    /* A request's headers are complete. The exchange belongs to the handler until on_close. The
     * handler may answer from inside this call. It sets x->user freely. */
    void (*on_request)(void *ctx, struct http_exchange *x);
    /* Body bytes, only after http_body_start(); data is borrowed for the call. At the end of the
     * body comes one call with is_end and possibly no bytes. Not called again until the window has
     * room. */
    void (*on_body)(struct http_exchange *x, struct slice data, bool is_end);
    /* The output queue has drained below half of LIMIT_HTTP_OUT_HIGH_BYTES, after http_write()
     * asked to wait. */
    void (*on_drain)(struct http_exchange *x);
    /* The exchange is over, for whatever reason: answered completely (is_complete) or broken off by
     * the client, a timeout or http_abort(). The last call for x; afterwards x is gone. */
    void (*on_close)(struct http_exchange *x, bool is_complete);
};

struct http_server_config {
    const char *host;        /* IPv4 or IPv6 literal, or "localhost" */
    int port;                /* 0: any free one */
    struct tls_context *tls; /* NULL: plain */
    int64_t body_bytes_max;  /* 413 above, -1: none */
    uint32_t connections_max;
    struct account *account; /* whose memory buffers of connections are, until
                                http_exchange_charge(); NULL: nothing is counted */
    /* Timeouts, 0: the defaults of base/limits.h. Milliseconds. */
    uint32_t head_timeout_ms, idle_timeout_ms, body_timeout_ms;
};

NODISCARD enum err http_server_new(struct loop *loop, const struct http_server_config *config,
                                   const struct http_handler *handler,
                                   struct http_server **ret_server, struct error *ret_error);
int http_server_port(const struct http_server *s);
/* Graceful: stops accepting, tells keep-alive peers to close (Connection: close, GOAWAY), lets
 * running exchanges finish; done is called when the last connection is gone. */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg);
/* Breaks off what is left (on_close for each exchange) and frees when libuv's handles are closed.
 */
void http_server_close(struct http_server *s);
uint32_t http_server_connections(const struct http_server *s);

/* Loads a certificate chain and key (PEM files); ALPN offers h2 and http/1.1. May be shared by
 * threads. */
NODISCARD enum err tls_context_new(const char *cert_file, const char *key_file,
                                   struct tls_context **ret_tls, struct error *ret_error);
void tls_context_free(struct tls_context *t);

const struct http_request *http_exchange_request(const struct http_exchange *x);
/* What its connection has to hold from now on is of this owner. For large answers: small ones are
 * not worth the call. */
void http_exchange_charge(struct http_exchange *x, struct account *to);
/* Makes target and authority those of the URL that the URL standard parses them to (the "host"
 * header stays as it was sent). ERR_INVALID: they make none. Costs a look at each character for what
 * is in that form already, as nearly all is. */
NODISCARD enum err http_exchange_normalize(struct http_exchange *x, struct error *ret_error);
struct arena *http_exchange_arena(struct http_exchange *x); /* lives until on_close has returned */
void **http_exchange_user(struct http_exchange *x);         /* a pointer for the handler */

/* If the whole body has already arrived, gives it (borrowed until the next call for x) and consumes
 * it. */
bool http_body_take_whole(struct http_exchange *x, struct slice *ret_body);
/* Starts on_body calls. At most LIMIT_HTTP_BODY_WINDOW_BYTES are delivered before
 * http_body_consumed(). */
void http_body_start(struct http_exchange *x);
/* The handler has disposed of n delivered bytes, the window opens again. */
void http_body_consumed(struct http_exchange *x, size_t n);

/* Status 101, to a request that `upgrades` (with is_end false): from then on its body and that of the answer are bytes
 * of the new protocol, in either direction until that one's end. HTTP/2 (RFC 8441) says 200 for it, and
 * another answer of 200 to 299 becomes an error, since the client would take it for that.
 *
 * Starts the answer. Content-Length, Transfer-Encoding, Connection and Date are this file's
 * business: such headers are dropped (content-length of a HEAD answer is kept). With is_end the
 * body is complete and is sent with the head in one write where possible; data is borrowed for the
 * call. content_length -1 with !is_end means chunked (h1) or unframed (h2). A body for HEAD, 204 or
 * 304 is not sent. */
void http_respond(struct http_exchange *x, int status, const struct http_header *headers,
                  size_t headers_len, int64_t content_length, struct slice body, bool is_end);
/* The reason phrase of the HTTP/1.x answer that follows, borrowed until http_respond(); without, or
 * when it is empty, the usual one. */
void http_exchange_reason(struct http_exchange *x, struct slice reason);
/* "OK"; "" for a status that has none. */
const char *http_reason(int status);
/* Sends more of the body. False: the queue is above the limit, wait for on_drain before the next
 * write (this data was taken all the same). */
bool http_write(struct http_exchange *x, struct slice data, bool is_end);
/* An answer that is not as long as its content-length said was broken off by http_respond() or
 * http_write(). True: so it was; what was promised, and what came at least. */
bool http_exchange_broke_promise(const struct http_exchange *x, uint64_t *ret_promised,
                                 uint64_t *ret_came);
/* Breaks the exchange off so that the client notices (h1: the connection closes, h2: RST_STREAM).
 */
void http_abort(struct http_exchange *x);
/* An answer in the one error shape; adds Retry-After: 1 for 503 and 429. Only before http_respond(). */
void http_respond_error(struct http_exchange *x, const struct error *e);
/* The same with the request's id, in the body and in x-request-id. */
void http_respond_error_of(struct http_exchange *x, const struct error *e, struct slice request_id);
