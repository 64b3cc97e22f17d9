/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP server share. From the bottom:
 *
 *   conn.c      a connection: socket, write queue, timeouts, closing. conn_run() is its one step.
 *   tls.c       the layer between socket and protocol, where there is one
 *   h1*, h2*    a protocol on a connection: bytes to exchanges and answers to bytes
 *   exchange.c  the API of server.h for one request and its answer, and the request's body
 *   server.c    listener, pools, the ready list, drain and close
 *
 * Invariants:
 *  - Calls from a handler never call it back: they append, mark, and put the connection on the
 * ready list; conn_run() does the rest from the loop. Only writing to the socket is done at once.
 *  - A connection is torn down in conn_settle() and in http_server_close(), nowhere else.
 *  - An exchange is on its connection's list from the first byte of its head until on_close. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/list.h"
#include "http/grammar.h"
#include "http/h1_parse.h"
#include "http/server.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum {
    HTTP_READ_BYTES = 64 * 1024,      /* one read from a socket */
    HTTP_AHEAD_BYTES = 64 * 1024,     /* input held behind an unanswered request */
    HTTP_DIRECT_BYTES = 16 * 1024,    /* bodies from here on are written without a copy */
    HTTP_OUT_BATCH_BYTES = 64 * 1024, /* output gathered before it is written early */
    HTTP_KEEP_BYTES = 64 * 1024,      /* a buffer above this is not kept for the next user */
    HTTP_DRAIN_BYTES = 64 * 1024,     /* unread rest of a body that is read to keep a connection */
    HTTP_LINGER_BYTES = 1024 * 1024,  /* read and dropped after our side is closed */
    HTTP_LINGER_MS = 2000,
    HTTP_HALF_CLOSE_MS = 500,      /* a client that has said FIN must get bytes this often */
    HTTP_POOL_EXCHANGES = 256,     /* kept for reuse, a server */
    HTTP_POOL_BUFFERS = 64,        /* same */
    HTTP_REJECT_CONNECTIONS = 64,  /* above connections_max: answered 503; above these: closed */
    HTTP_HEAD_INLINE_BYTES = 4096, /* request head kept in the exchange; larger: in its arena */
    HTTP2_CONN_WINDOW_BYTES = 1024 * 1024, /* unconsumed request bodies of one connection */
    HTTP2_FLOOD_BURST = 1000,              /* resets and empty or control frames: bucket size */
    HTTP2_FLOOD_PER_S = 100,               /* and what flows back into it */
    HTTP2_RESETS = 2 * LIMIT_HTTP_STREAMS, /* remembered, for frames that cross them */
};

enum conn_state {
    CONN_OPEN,      /* exchanging */
    CONN_FINISHING, /* no more input is parsed; output leaves, then the connection ends */
    CONN_LINGERING, /* our side is shut, input is dropped so that the peer can read our last bytes
                     */
    CONN_BROKEN,    /* to be torn down */
    CONN_CLOSED,    /* torn down, libuv's handle is closing */
};

enum conn_proto {
    PROTO_DETECT,
    PROTO_H1,
    PROTO_H2,
    PROTO_TUNNEL /* HTTP/1.1 was left: tunnel.c */
};

/* A head whose first part has arrived. */
struct h1_partial {
    struct h1_head head;
    struct bytes raw;
    uint64_t since_ms;
};

struct h1 {
    struct h1_parser parser;
    struct http_exchange *x;    /* being received or answered */
    struct h1_partial *partial; /* only while a head is incomplete */
    struct bytes ahead;         /* not parsed yet: x is unanswered, or output waits */
    size_t ahead_off;
    size_t unflushed;   /* answered, waiting for their bytes to leave */
    size_t discarded;   /* of the body of an answered request */
    uint64_t overhead;  /* bytes of chunk framing and trailers of this request */
    bool is_discarding; /* x is answered and gone, its request is still coming */
    bool is_last;       /* close after the answer */
};

struct h2 {
    nghttp2_session *session;
    size_t streams;
    int64_t flood_tokens;
    uint64_t flood_ms;
    bool is_going_away;
    bool is_failed;
    uint64_t headers_since_ms; /* 0: no header block is incomplete */
    uint64_t check_ms;         /* when to look at the timeouts of streams next */

    /* Where in a frame the input is. */
    uint8_t frame_head[9];
    unsigned frame_head_len;
    uint32_t frame_left; /* of its payload */

    /* What is known of streams that are gone, see h2_check_stream_id(). */
    int32_t last_id;              /* the highest that the peer has opened */
    uint64_t opened;              /* bit n: it has opened last_id - 2n */
    int32_t resets[HTTP2_RESETS]; /* of ours, the last ones; a ring */
    unsigned resets_at;
    int32_t forgotten_id; /* the highest that fell out of the ring */
};

struct conn_tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    bool is_ready; /* the handshake is over */
    bool is_eof;
};

struct http_conn {
    uv_tcp_t tcp;
    struct http_server *server;
    struct list node;
    struct list ready_node;
    struct list exchanges;    /* all, in order of arrival */
    struct list ready_x;      /* those with something to tell their handler */
    struct list undispatched; /* h2: complete heads of this read */
    struct timer timer;
    uint64_t timer_due_ms;
    enum conn_state state;
    enum conn_proto proto;
    struct conn_tls *tls;
    struct h1 h1;
    struct h2 h2;

    struct bytes out;  /* plain text, not yet handed on */
    struct bytes wire; /* in libuv's hands; with TLS also what the socket did not take */
    uv_write_t write;
    uv_shutdown_t shutdown;
    size_t out_last;         /* libuv's queue when progress was last looked at */
    struct account *charged; /* a reference; NULL: the server's */
    struct budget *held_of;  /* its, or the server's; NULL: nobody's */
    size_t held;             /* taken of it for what is buffered here */

    uint64_t idle_since_ms, in_since_ms, out_since_ms, eof_since_ms, end_since_ms;
    size_t lingered;
    bool has_socket; /* false: a fuzzer's, output is dropped */
    bool is_running;
    bool is_again; /* scheduled while running */
    bool is_reading;
    bool is_writing;
    bool is_eof;
    bool is_lingerer;  /* linger after FINISHING */
    bool is_excess;    /* above connections_max: everything is answered 503 */
    bool is_resetting; /* end with RST, so that a body without a length cannot look complete */
    char peer[64];
};

struct http_exchange {
    struct http_request request;
    struct http_conn *conn;
    struct arena *arena;
    void *user;
    struct list node;
    struct list ready_node;
    struct list dispatch_node; /* h2 */
    struct bytes body;         /* received, not delivered */
    struct bytes out;          /* h2: answer bytes that nghttp2 has not taken */
    size_t out_off;
    size_t window_used; /* delivered, not consumed */
    uint64_t body_received;
    struct slice reason;    /* h1: of the answer's status line; only until it is written */
    uint64_t body_promised; /* the answer's Content-Length, if body_left >= 0 */
    int64_t body_left;      /* of it; -1: none was promised */
    uint64_t body_came;     /* when has_broken_promise */
    int32_t stream_id;
    uint64_t in_since_ms, out_since_ms;
    uint64_t body_waited_ms; /* for body bytes that were wanted and had room */
    size_t head_used;

    bool is_head;        /* the method is HEAD */
    bool is_dispatched;  /* the handler knows it */
    bool is_over;        /* broken off; calls for it do nothing; on_close is due */
    bool is_closed_ok;   /* h2: its stream has ended well */
    bool keeps_alive;    /* h1 */
    bool wants_continue; /* Expect: 100-continue, not yet answered */
    bool body_is_wanted; /* http_body_start() or the like */
    bool body_is_complete;
    bool body_end_told;
    bool is_responded;
    bool is_chunked;
    bool is_tunnel;          /* answered with 101 */
    bool is_bodyless;        /* HEAD, 204, 304: writes are dropped */
    bool is_ended;           /* the answer is complete */
    bool has_broken_promise; /* it is longer or shorter than its Content-Length */
    bool wants_drain;
    bool must_deliver; /* reasons to be on ready_x */
    bool must_drain;
    bool has_arena;          /* something is in the arena */
    bool is_refused;         /* h2: its headers are too many or too large */
    bool gave_up;            /* h2: the rest of the request is not waited for */
    bool out_is_sent;        /* h2: the last frame of the answer was made */
    unsigned cookies, hosts; /* h2: header lines of that name */
    size_t head_bytes;       /* h2: as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    size_t unconsumed;       /* h2: window not yet given back */

    /* not cleared between uses */
    struct http_header headers[LIMIT_HTTP_HEADERS + 1];
    char head[HTTP_HEAD_INLINE_BYTES];
};

struct http_listener {
    uv_tcp_t tcp;
    struct http_server *server;
};

struct http_server {
    struct loop *loop;
    struct http_handler handler;
    struct tls_context *tls;
    int64_t body_bytes_max;
    uint32_t connections_max;
    struct account *account;
    uint32_t head_timeout_ms, idle_timeout_ms, body_timeout_ms;
    struct http_listener listeners[2];
    size_t listeners_len;
    int port;
    uv_idle_t idle; /* active while something is ready, so that the loop does not sleep */
    struct list conns;
    uint32_t conns_len;
    struct list ready;
    size_t handles; /* libuv handles not yet closed */
    bool is_idle_active;
    bool is_draining;
    bool is_closing;
    void (*drained)(void *arg);
    void *drained_arg;

    struct list pool; /* exchanges */
    size_t pool_len;
    struct bytes buffers[HTTP_POOL_BUFFERS];
    size_t buffers_len;

    uint64_t date_until_ms;
    char date[32];
    size_t date_len;
    struct h1_head head_scratch;
    struct bytes scratch;
    char read_buffer[HTTP_READ_BYTES];
};

static inline uint64_t server_now(const struct http_server *s)
{
    return loop_now_ms(s->loop);
}

/* No memory is left for what is buffered here: what has a choice is not taken. */
static inline bool server_is_short(const struct http_server *s)
{
    return s->account && budget_left(&s->account->budgets[RESOURCE_MEMORY]) == 0;
}

/* server.c */
struct http_server *server_new_bare(struct loop *loop, const struct http_server_config *config,
                                    const struct http_handler *handler);
struct slice server_date(struct http_server *s); /* "Sun, 06 Nov 1994 08:49:37 GMT" */
struct http_exchange *server_take_exchange(struct http_server *s);
void server_give_exchange(struct http_server *s, struct http_exchange *x);
void server_take_buffer(struct http_server *s,
                        struct bytes *b); /* gives b storage if it has none */
void server_give_buffer(struct http_server *s, struct bytes *b);
void server_wake(struct http_server *s); /* a turn of the ready list will come */
void server_handle_closed(struct http_server *s);
void server_conn_gone(struct http_server *s);

/* conn.c */
struct http_conn *conn_new(struct http_server *s, bool has_socket);
void conn_accepted(struct http_conn *c); /* the socket is connected */
/* For fuzzers: bytes as if they had been read. */
void conn_feed(struct http_conn *c, struct slice data);
void conn_schedule(struct http_conn *c);
void conn_run(struct http_conn *c);
void conn_input(struct http_conn *c, struct slice data); /* plain text, to the protocol */
size_t conn_proto_want(const struct http_conn *c);       /* bytes that the protocol can take */
void conn_flush(struct http_conn *c);
/* Appends data to the output; large data goes to the socket without a copy where that can be. */
void conn_send(struct http_conn *c, struct slice data);
size_t conn_queued(const struct http_conn *c); /* output bytes not yet taken by the kernel */
void conn_charge(struct http_conn *c, struct account *to); /* see http_exchange_charge() */
void conn_got_eof(struct http_conn *c);                    /* the peer will send nothing more */
void conn_finish(struct http_conn *c, bool is_lingerer);
void conn_break(struct http_conn *c);
void conn_tear_down(struct http_conn *c);
void conn_socket_write(struct http_conn *c, const char *ptr, size_t len); /* tls.c's way out */
/* Ends an exchange: on_close if the handler knows it, then back to the pool. */
void conn_end_exchange(struct http_conn *c, struct http_exchange *x, bool is_complete);

/* tls.c */
void tls_conn_start(struct http_conn *c);
void tls_conn_free(struct http_conn *c);
void tls_conn_receive(struct http_conn *c, struct slice data);
void tls_conn_pump(struct http_conn *c);  /* decrypts what the protocol can take */
void tls_conn_flush(struct http_conn *c); /* encrypts and writes c->out */
void tls_conn_goodbye(struct http_conn *c);
bool tls_conn_has_input(const struct http_conn *c);
int tls_conn_version(const struct http_conn *c); /* 12 or 13 */
size_t tls_conn_held(const struct http_conn *c); /* bytes in its buffers */

/* exchange.c */
struct http_exchange *exchange_new(struct http_conn *c);
char *exchange_store(struct http_exchange *x, size_t len); /* room that lives as long as x */
void exchange_dispatch(struct http_exchange *x);
void exchange_body(struct http_exchange *x, struct slice data); /* from the protocol */
void exchange_body_end(struct http_exchange *x);
size_t exchange_body_room(const struct http_exchange *x);
/* When the rest of the request's body is given up, if nothing comes until then: after a pause, or
 * once it has been too slow as a whole. A client that has its answer may take its time. */
uint64_t exchange_body_due(const struct http_exchange *x);
void exchange_ready(struct http_exchange *x);
/* The answer has a body of which length bytes (-1: not stated) are promised and the first len come
 * with its head. False: they are too many; it is broken off. */
bool exchange_promise(struct http_exchange *x, int64_t length, size_t len);
void exchange_run(struct http_exchange *x);   /* tells the handler what is due */
void exchange_break(struct http_exchange *x); /* is_over; on_close(false) follows from conn_run */
/* Is it a header that this server writes itself, or one that may not be sent? */
bool exchange_may_send(const struct http_header *h);
void exchange_error_body(struct bytes *out, const struct error *e, struct slice request_id);

/* request.c: rules that both protocols share */
struct request_fault {
    int status;
    enum err code;
    const char *text;
};
bool request_is_hop_by_hop(struct slice name); /* lower case */
bool request_authority_is_valid(struct slice authority);
/* Method, target, authority and body size; false: refused, with the fault filled. */
bool request_check(struct http_exchange *x, struct request_fault *ret_fault);
/* request_url.c: surely what the URL standard would make of it; authority may be empty. */
bool request_url_is_normal(bool is_tls, struct slice authority, struct slice target);
/* Splits absolute-form; false if it is malformed. *ret_authority is untouched for origin-form. */
bool request_target(struct slice target, struct slice *ret_target, struct slice *ret_authority);

/* tunnel.c: what follows an answer 101 on a connection of HTTP/1.1 */
void tunnel_respond(struct http_exchange *x, const struct http_header *headers, size_t headers_len);
void tunnel_input(struct http_conn *c, struct slice data);
size_t tunnel_want(const struct http_conn *c);
void tunnel_eof(struct http_conn *c);
void tunnel_run(struct http_conn *c);

/* h1.c */
void h1_init(struct http_conn *c);
void h1_done(struct http_conn *c);
size_t h1_want(const struct http_conn *c);
void h1_input(struct http_conn *c, struct slice data);
void h1_run(struct http_conn *c);
void h1_flushed(struct http_conn *c);
size_t h1_held(const struct http_conn *c); /* bytes of input that it keeps */
bool h1_is_idle(const struct http_conn *c);
uint64_t h1_deadline(const struct http_conn *c);
void h1_expire(struct http_conn *c, uint64_t now_ms);
bool h1_take_head(struct http_conn *c, struct http_exchange *x, const struct h1_head *head,
                  const char *base, struct request_fault *ret_fault); /* h1_request.c */
/* h1_response.c */
void h1_continue(struct http_exchange *x);
void h1_respond(struct http_exchange *x, int status, const struct http_header *headers,
                size_t headers_len, int64_t content_length, struct slice body, bool is_end);
void h1_write(struct http_exchange *x, struct slice data, bool is_end);
void h1_fail(struct http_conn *c, int status, enum err code, const char *text);

/* h2.c */
void h2_init(struct http_conn *c);
void h2_done(struct http_conn *c);
size_t h2_want(const struct http_conn *c);
void h2_input(struct http_conn *c, struct slice data);
void h2_run(struct http_conn *c);
bool h2_is_idle(const struct http_conn *c);
uint64_t h2_deadline(const struct http_conn *c);
void h2_expire(struct http_conn *c, uint64_t now_ms);
void h2_go_away(struct http_conn *c);
void h2_continue(struct http_exchange *x);
void h2_consumed(struct http_exchange *x, size_t n);
void h2_drop(struct http_exchange *x, uint32_t error_code); /* RST_STREAM, forgets x */
void h2_respond(struct http_exchange *x, int status, const struct http_header *headers,
                size_t headers_len, int64_t content_length, struct slice body, bool is_end);
void h2_write(struct http_exchange *x, struct slice data, bool is_end);
