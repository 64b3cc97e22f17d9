/* SPDX-License-Identifier: Apache-2.0
 *
 * Which slot answers. For the worker's thread. */
#pragma once

#include "server/worker.h"

/* By the request's host; NULL: ERR_NOT_FOUND. */
struct slot *route_request(struct worker *w, const struct http_request *r, struct error *ret_error);
/* Of a slot that shares its requests with another version: the one that gets this. */
struct slot *route_split(struct slot *s, const struct http_request *r);
/* The thread on which code of this deployment runs: the caller's own, but for a module that keeps its
 * state, which has one place. */
struct worker *route_home(struct worker *w, const struct deployment *d);
