/* SPDX-License-Identifier: Apache-2.0
 *
 * May a request to the control API come in? Host, Origin and token rules; see access.c. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct admin;
struct http_request;

/* is_public: the route needs no token. ERR_UNAUTHORIZED, ERR_FORBIDDEN. */
NODISCARD enum err access_check(const struct admin *a, const struct http_request *request,
                                bool is_public, struct error *ret_error);
/* "localhost", 127.0.0.0/8, "::1" with or without brackets. Any thread. */
bool access_is_loopback(struct slice host);
