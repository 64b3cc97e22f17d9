/* SPDX-License-Identifier: Apache-2.0
 *
 * Outgoing connections of the client's loop that are not curl's: TCP, with TLS from the beginning or from some point
 * on, as streams of bytes with back-pressure. Names are looked up, and places taken, by who dials; which
 * addresses may be reached is asked here, of each. Loop thread only; events come from the loop, but for
 * what is said below. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct dial;
struct egress;
struct http_client;

/* dial_close() may be called from inside of each. */
struct dial_events {
    void (*connected)(void *user); /* with is_tls: and the other side is who it should be */
    void (*data)(void *user,
                 struct slice data); /* borrowed; also from inside of dial_pause(d, false) */
    void (*eof)(void *user);         /* nothing more will come */
    void (*drained)(void *user);     /* after dial_write() has said false */
    void (*secured)(void *user);     /* dial_start_tls() is through */
    void (*failed)(void *user,
                   const struct error *error); /* no connection, or none any more; the last */
};

struct dial_config {
    struct slice addresses; /* "192.0.2.1,[2001:db8::1]", tried in this order */
    struct slice host;      /* a name, or an address without brackets: whom TLS expects; copied */
    int port;
    bool is_tls;
    const struct egress *egress;
};

/* Connects; events follow. */
struct dial *dial_new(struct http_client *c, const struct dial_config *config,
                      const struct dial_events *events, void *user);
/* False: it was taken, but wait for `drained`. Before `connected`: kept until then. */
bool dial_write(struct dial *d, struct slice data);
void dial_shutdown(struct dial *d); /* nothing more is written: the other side's end of file */
void dial_pause(struct dial *d, bool is_paused); /* `data` and `eof` do not come meanwhile */
/* The TLS handshake begins. Nothing is on its way either way but what it is about. */
void dial_start_tls(struct dial *d, struct slice host);
/* No more events. What was written leaves if dial_shutdown() was called before, else it may be lost. */
void dial_close(struct dial *d);
/* "192.0.2.1:443"; "": not connected. */
void dial_addresses(const struct dial *d, char ret_local[64], char ret_remote[64]);
uint64_t dial_sent(const struct dial *d); /* bytes, as written */
