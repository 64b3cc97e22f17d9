/* SPDX-License-Identifier: Apache-2.0
 *
 * What outgoing requests may reach. Loopback, private, link-local, multicast, unspecified, shared
 * (100.64/10) and metadata addresses, v4 and v6 including v4-mapped, NAT64 and 6to4 forms, are
 * refused unless an allow rule names the host, host:port or a CIDR that contains the address. The
 * address is checked after name resolution, at connect, so a name that resolves to a private
 * address is refused too. Immutable after set-up; any thread. */
#pragma once

#include <sys/socket.h>

#include "base/error.h"
#include "base/slice.h"

struct egress;

struct egress *egress_new(void);
void egress_free(struct egress *e);
/* "HOST", "HOST:PORT", "*.example.com", "10.0.0.0/8", "[::1]:8080", "fd00::/8". */
NODISCARD enum err egress_allow(struct egress *e, struct slice rule, struct error *ret_error);
/* At connect. host is the name of the URL, lower case. ERR_FORBIDDEN names the address and the
 * flag. */
NODISCARD enum err egress_check_address(const struct egress *e, struct slice host, int port,
                                        const struct sockaddr *address, struct error *ret_error);
/* A module's own list of domains: exact or "*.suffix", optional ":port". NULL list allows all. */
NODISCARD enum err egress_check_domain(const char *const *domains, struct slice host, int port,
                                       struct error *ret_error);
