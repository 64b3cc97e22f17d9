/* SPDX-License-Identifier: Apache-2.0
 *
 * Outgoing HTTP on one loop: libcurl multi over libuv, connections pooled per loop, HTTP/1.1 and
 * HTTP/2. Redirects are followed here, hop by hop, so that every hop passes the egress rules.
 * Bodies come as they were sent: content codings are the caller's to undo (http/decode.h), who
 * knows when somebody reads. Loop thread only. */
#pragma once

#include "base/bytes.h"
#include "http/server.h" /* struct http_header */

struct account;
struct loop;
struct egress;
struct http_client;
struct placeholder;
struct url_target;

enum http_redirect { HTTP_REDIRECT_FOLLOW = 0, HTTP_REDIRECT_ERROR = 1, HTTP_REDIRECT_MANUAL = 2 };

/* One request. The caller owns the struct and keeps it until on_done, and the bytes of `body`;
 * other slices given are copied at start. Callbacks come from the loop, never from inside a call
 * below. A body that is_lent is read until on_done or http_fetch_cancel(), never after it. */
struct http_fetch {
    /* in */
    struct slice method, url;
    const struct http_header *headers;
    size_t headers_len;
    struct slice body;
    bool is_lent;      /* read piece by piece, and no more once the fetch was cancelled */
    bool is_streaming; /* the body comes by http_fetch_write() */
    bool
        upgrades; /* it asks for a WebSocket: after an answer 101 bytes go either way, by http_fetch_write() too */
    enum http_redirect redirect;
    uint32_t silence_ms; /* the longest time without a byte either way; 0: 30 s. It does not
                            pass while the caller has delivery paused */
    /* In whose name: connections and look-ups are shared fairly by owners, and in an owner by its
     * members (base/fair.h), and are taken from the owner's account, whose meter counts the bytes
     * that are sent. owner may be NULL; member is an address, never followed. */
    struct account *owner;
    const void *member;
    const struct egress *egress; /* what may be reached; must outlive the fetch */
    const char *const
        *domains; /* the module's own allow list, NULL-terminated; NULL: all that egress allows */
    /* Secrets that may stand in its headers; must outlive the fetch. */
    const struct placeholder *placeholders;
    size_t placeholders_len;
    void *user;
    /* May this hop be sent? Asked before its host's name is looked up, of the first request and of each
     * redirect. NULL: by whoever asks. */
    enum err (*may_send)(struct http_fetch *f, struct slice method, struct url_target *t,
                         struct error *ret_error);
    /* Status and headers of the final response are in. */
    void (*on_head)(struct http_fetch *f);
    /* Body bytes, borrowed. Returning false pauses delivery after these bytes (they count as
     * taken). */
    bool (*on_body)(struct http_fetch *f, struct slice data);
    /* The sink wants more, after http_fetch_write() returned false. */
    void (*on_drain)(struct http_fetch *f);
    /* Always the last call, exactly once; error->code is OK on success. Cancelled: ERR_CANCELLED.
     */
    void (*on_done)(struct http_fetch *f, const struct error *error);
    /* out, valid from on_head until on_done returns */
    int status;
    struct bytes status_text, final_url;
    struct http_header *ret_headers;
    size_t ret_headers_len;
    struct slice codings; /* of the body, to be undone; headers say nothing of them. Empty: none */
    bool has_no_body;     /* by its status, or because the request was HEAD */
    bool was_redirected;
    struct http_fetch_state *state; /* private */
    struct http_transport
        *transport; /* likewise: who answers instead of the network (transport.h) */
};

/* resolvers: see http/resolve.h. */
NODISCARD enum err http_client_new(struct loop *loop, const char *resolvers,
                                   struct http_client **ret_client, struct error *ret_error);
/* Certificate authorities to trust instead of the system's (PEM); the path is borrowed. NULL: the
 * system's. Read at each handshake, so a file that is replaced is heeded. */
void http_client_set_ca_file(struct http_client *c, const char *path);
/* Does it begin with a certificate? ERR_INVALID says what is wrong with it. All of a system's would
 * take milliseconds to read. */
NODISCARD enum err http_ca_file_check(const char *path, struct error *ret_error);
/* Cancels what is pending (on_done is called from inside) and closes. */
void http_client_free(struct http_client *c);

/* Bad URL or method, refused scheme: an error at once and no callbacks. Everything else by on_done.
 */
NODISCARD enum err http_fetch_start(struct http_client *c, struct http_fetch *f,
                                    struct error *ret_error);
bool http_fetch_write(struct http_fetch *f, struct slice data,
                      bool is_end); /* false: wait for on_drain */
void http_fetch_resume(struct http_fetch *f);
/* A lent body has been read to its end. From on_head on it is then not read again. */
bool http_fetch_has_sent(const struct http_fetch *f);
void http_fetch_cancel(struct http_fetch *f); /* on_done follows from the loop */
