/* SPDX-License-Identifier: Apache-2.0
 *
 * Small pieces of URLs the server itself needs; guests' URLs are parsed by the WHATWG crate. Any
 * thread. */
#pragma once

#include <sys/socket.h>

#include "base/bytes.h"
#include "base/error.h"

/* "host:port", "[::1]:8080", "host"; port_default where none is given. Borrows from text. */
NODISCARD enum err url_split_authority(struct slice text, int port_default, struct slice *ret_host,
                                       int *ret_port);
/* An IPv4 or IPv6 address as text (no brackets), with a port, for the socket calls. */
bool url_address(struct slice text, int port, struct sockaddr_storage *ret);
/* Percent-decodes; ERR_INVALID for a bad escape or a NUL. */
NODISCARD enum err url_decode(struct slice text, struct bytes *out);
void url_encode(struct slice text, struct bytes *out); /* everything but unreserved characters */
/* Value of a query parameter, still encoded; false if absent. */
bool url_query_get(struct slice query, const char *name, struct slice *ret_value);
