/* SPDX-License-Identifier: Apache-2.0
 *
 * May a request to the control API come in? Host, Origin and token rules; see access.c. */
#pragma once

#include "admin/routes.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

struct access_caller;
struct admin;
struct admin_request;
struct http_request;

/* *ret_token: the token of a namespace that was given, for access_token(); "": the caller is let in as
 * the server's own. is_public: the route needs no token. ERR_UNAUTHORIZED, ERR_FORBIDDEN. */
NODISCARD enum err access_check(const struct admin *a, const struct http_request *request,
                                bool is_public, struct slice *ret_token, struct error *ret_error);
/* Whose it is: sets r->caller. In a handler: it reads. ERR_UNAUTHORIZED. */
NODISCARD enum err access_token(struct admin_request *r, struct slice token,
                                struct error *ret_error);
/* May the caller ask this of the namespace? ERR_FORBIDDEN. */
NODISCARD enum err access_allows(const struct access_caller *caller, enum route_role role,
                                 struct slice space, struct error *ret_error);
/* A new token for the row, whose id and hash are filled in, in the arena: "limpet_ID_SECRET". */
struct slice access_token_new(struct arena *a, struct token_row *row);
/* "localhost", 127.0.0.0/8, "::1" with or without brackets. Any thread. */
bool access_is_loopback(struct slice host);
