/* SPDX-License-Identifier: Apache-2.0
 *
 * A TCP connection for code: a place among its module's connections, the name, the egress rules, then a dial
 * (dial.h), whose functions are used from `connected` on. Loop thread only. */
#pragma once

#include "http/dial.h"

struct account;
struct client_connect;

struct client_connect_config {
    struct slice host; /* of a URL: lower case, an IPv6 address in brackets; copied */
    int port;
    bool is_tls;
    struct account *owner; /* as of struct http_fetch */
    const void *member;
    const struct egress *egress;
    const char *const *domains; /* as of struct http_fetch */
};

/* ERR_FORBIDDEN at once, or events. */
NODISCARD enum err client_connect_new(struct http_client *c,
                                      const struct client_connect_config *config,
                                      const struct dial_events *events, void *user,
                                      struct client_connect **ret_connect, struct error *ret_error);
struct dial *client_connect_dial(const struct client_connect *c); /* NULL before `connected` */
/* No more events, see dial_close(). */
void client_connect_close(struct client_connect *c);
