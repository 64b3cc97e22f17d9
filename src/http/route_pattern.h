/* SPDX-License-Identifier: Apache-2.0
 *
 * Which requests a module answers beside those to its name: patterns of a host and a path, as Workers have
 * them (https://developers.cloudflare.com/workers/configuration/routing/routes/), and a table of them that
 * finds the one that fits a request most closely.
 *
 * Hosts: "example.com", "*.example.com" (those below it), "*example.com" (it and those below it), "*". Paths:
 * "/page", or "/api/" and a "*" for all that begin so.
 *
 * A host alone is its path "/". Of hosts the longer one is closer, then one without a wildcard; of paths of
 * one host the longer one, then one that is whole. Scheme and port do not matter. Patterns are immutable
 * values whose texts lie in an arena; a table is its thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/map.h"
#include "base/slice.h"

struct arena;

enum {
    ROUTE_PATTERN_BYTES_MAX = 1024,
    ROUTE_HOST_BYTES_MAX = 253,
    ROUTE_PATTERNS_MAX = 100, /* of one module */
};

struct route_pattern {
    struct slice text; /* as it was given */
    struct slice
        host; /* '=', '.' or '*' (this one, those below, both), then the host in lower case */
    struct slice path; /* begins with '/' */
    bool is_prefix;
};

/* The text is copied. ERR_INVALID, with a hint. */
NODISCARD enum err route_pattern_parse(struct slice text, struct arena *a,
                                       struct route_pattern *ret, struct error *ret_error);
/* Of lines, each well formed; at most ROUTE_PATTERNS_MAX. */
struct route_pattern *route_patterns_read(struct slice lines, struct arena *a, size_t *ret_len);
/* Do they mean the same requests? */
bool route_pattern_is(const struct route_pattern *a, const struct route_pattern *b);
/* Is there a host that both are about? */
bool route_pattern_meets(const struct route_pattern *a, const struct route_pattern *b);

struct route_table {
    struct map hosts; /* private */
};

void route_table_done(struct route_table *t);
/* The pattern's texts must outlive it there. Of equal ones the first counts. */
void route_table_add(struct route_table *t, const struct route_pattern *p, void *owner);
void route_table_remove(struct route_table *t, const struct route_pattern *p, const void *owner);
/* The owner of the closest one. host: without port, in lower case; target: path and query. NULL: none. */
void *route_table_find(const struct route_table *t, struct slice host, struct slice target);
