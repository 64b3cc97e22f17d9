/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of client*.c share: the client of a loop, and one fetch in it. See client.c. */
#pragma once

#include <curl/curl.h>

#include "base/arena.h"
#include "base/fair.h"
#include "base/limits.h"
#include "http/client.h"
#include "http/egress.h"
#include "http/resolve.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum {
    CLIENT_SILENCE_MS = 30 * 1000, /* unless the caller says otherwise */
    CLIENT_HEADERS_MAX = 256,      /* in a response; bytes: LIMIT_HTTP_HEAD_BYTES */
    CLIENT_REQUEST_HEAD_BYTES = 256 * 1024,
    CLIENT_DISCARD_BYTES =
        64 * 1024, /* a redirect's body is read that far to keep the connection */
    CLIENT_REWIND_BYTES =
        64 * 1024,                 /* of a streamed body kept, should a pooled connection be dead */
    CLIENT_CONNECTIONS_IDLE = 128, /* kept for reuse */
    CLIENT_CURL_NAMES_S = 3,       /* curl keeps what we tell it of a name that long */
    CLIENT_EASY_IDLE = 32,         /* curl handles kept for reuse */
    CLIENT_PLACES_MS = 20,         /* a quota may have something left again */
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct resolver *resolver;
    struct fair places; /* connections in use */
    struct timer curl_timer, kick_timer, places_timer;
    struct list fetches; /* all */
    struct list ready;   /* those with something to do outside of curl's callbacks */
    struct list sockets;
    CURL *idle[CLIENT_EASY_IDLE];
    size_t idle_len;
    const char *ca_file;
    struct list dials, dials_closed; /* sockets of dial.c, and dials that are to be freed */
    char *dial_buffer;               /* what they read into, one at a time; NULL: not needed yet */
    struct ssl_ctx_st *tls;          /* theirs, that trusts what the system does; likewise */
};

/* The part of a URL that we look at. */
struct client_url {
    struct slice href; /* without fragment */
    struct slice host; /* an IPv6 address in brackets */
    struct slice path; /* without the query */
    struct slice origin;
    int port;
    bool is_tls;
    bool is_address; /* the host is one, there is nothing to look up */
};

enum client_state {
    CLIENT_WAIT_PLACE, /* a connection is free for us */
    CLIENT_WAIT_NAME,  /* of this hop's host */
    CLIENT_WAIT_HEAD,  /* of this hop */
    CLIENT_DISCARD,    /* the body of a redirect */
    CLIENT_BODY,       /* the answer's body */
};

struct http_fetch_state {
    struct http_fetch *fetch;
    struct http_client *client;
    struct arena *arena;
    struct list link, ready;
    struct timer silence;
    uint32_t silence_ms;
    uint64_t progress_ms; /* when something came or went last */
    bool is_suspect;      /* of having fallen silent */
    struct fair_place place;
    struct resolve resolve;
    enum client_state state;
    bool wants_start, wants_unpause, is_cancelled, is_discarding_upload;
    struct error failure; /* ours; wins over what curl says */
    struct error refusal; /* by egress, of an address: counts if none could be connected */

    /* the request of this hop */
    CURL *easy;
    bool is_added;
    struct upgrade *upgrade; /* instead */
    struct slice method;
    struct client_url url;
    struct http_header *headers;
    size_t headers_len;
    const struct http_header *sent; /* the same, with secrets filled in for this hop */
    struct curl_slist *lines, *names;
    bool has_body;
    struct slice body;
    size_t body_at; /* of a lent one: read by curl up to here */
    int hops;
    char curl_error[CURL_ERROR_SIZE];

    /* streamed request body */
    struct bytes upload;
    size_t upload_at;      /* read by curl up to here */
    uint64_t upload_cut;   /* bytes dropped before upload.ptr */
    int64_t upload_len;    /* declared, -1: unknown */
    uint64_t upload_total; /* written so far */
    bool upload_ended, is_upload_full, is_send_paused;

    /* the response of this hop */
    size_t head_bytes, discarded;
    int status;
    struct slice status_text, location;
    struct http_header *response;
    size_t response_len;
    bool has_location, has_no_body, is_recv_paused,
        is_held; /* held: the caller asked for a pause */
};

/* client.c */
/* Has client_fetch_step() called from the loop, outside of curl. */
void client_kick(struct http_fetch_state *s);
CURL *client_easy_take(struct http_client *c);
void client_easy_give(struct http_client *c, CURL *easy);

/* dial.c */
void dials_close(struct http_client *c);

/* client_upgrade.c: a hop of a fetch that asks for a WebSocket, in place of curl */
void upgrade_start(struct http_fetch_state *s);
void upgrade_end(struct http_fetch_state *s); /* NULL is fine */
bool upgrade_write(struct http_fetch_state *s, struct slice data, bool is_end);
void upgrade_resume(struct http_fetch_state *s);
void upgrade_step(struct http_fetch_state *s); /* its hop has ended? */

/* client_fetch.c */
void client_progress(struct http_fetch_state *s); /* something came or went */
void client_fetch_step(struct http_fetch_state *s);
void client_fetch_hop_ended(struct http_fetch_state *s, CURLcode code);
void client_fetch_finish(struct http_fetch_state *s, const struct error *error);

/* client_head.c: the response's head. False: the hop is to be broken off, see failure. */
bool client_head_line(struct http_fetch_state *s, struct slice line);

/* client_hop.c: what is sent. */
NODISCARD enum err client_url_parse(struct arena *a, struct slice text,
                                    const struct client_url *base, struct client_url *ret_url,
                                    struct error *ret_error);
NODISCARD enum err client_request_take(struct http_fetch_state *s, struct error *ret_error);
NODISCARD enum err client_hop_redirect(struct http_fetch_state *s, struct error *ret_error);
NODISCARD enum err client_hop_check(struct http_fetch_state *s, struct error *ret_error);
/* Secrets into its headers. */
NODISCARD enum err client_hop_fill(struct http_fetch_state *s, struct error *ret_error);
/* Of the addresses of its name, those that the rules allow: curl would take a while for each of the
 * others. ERR_FORBIDDEN: there are none. */
NODISCARD enum err client_hop_pick(struct http_fetch_state *s, struct error *ret_error);
void client_hop_set_up(struct http_fetch_state *s);
size_t client_upload_read(char *buffer, size_t size, size_t count, void *arg);
int client_upload_seek(void *arg, curl_off_t offset, int origin);
size_t client_lent_read(char *buffer, size_t size, size_t count, void *arg);
int client_lent_seek(void *arg, curl_off_t offset, int origin);
