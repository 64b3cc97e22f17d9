/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of URLs: where requests may go (egress_policy.h), and where a secret may (placeholder.h).
 *
 *     [http://|https://]HOST[:PORT][/PATH]
 *
 * HOST   a name or an address as a URL has it; "*": every host; "*.example.com": every name below
 *        example.com; a label "*" further in stands for just one label.
 * PORT   none: any.
 * PATH   the path or the beginning of one, by whole segments: "/v1" is "/v1" and "/v1/x", not "/v10".
 *        A segment may have one "*", which stands for any text in that segment. None: every path.
 *
 * Matching looks at each byte once: nothing is tried again. Paths are compared as a server may read
 * them: percent escapes undone, "\" as "/", empty segments left out. A path that still has a segment
 * ".." then is doubtful: url_pattern_matches() is told what to make of one. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum { URL_PATTERN_BYTES_MAX = 1024 };

struct url_pattern {
    struct slice text; /* as it was written */
    enum { URL_PATTERN_ANY_SCHEME, URL_PATTERN_HTTP, URL_PATTERN_HTTPS } scheme;
    bool is_any_host; /* "*" */
    bool is_below;    /* it began with "*." */
    struct slice host;
    int port;          /* 0: any */
    struct slice path; /* segments divided by "/", none in front; "": every path */
};

/* What is matched. The slices are borrowed. */
struct url_target {
    bool is_tls;
    struct slice host; /* of a parsed URL: lower case, an IPv6 address in brackets */
    int port;
    struct slice path; /* of a parsed URL, without the query */
    struct arena *arena;
    /* private: the path as it is compared, made when it is first needed */
    bool is_read, is_doubtful;
    struct slice segments;
};

/* The result's texts are in the arena. ERR_INVALID, with a hint. */
NODISCARD enum err url_pattern_parse(struct arena *a, struct slice text,
                                     struct url_pattern *ret_pattern, struct error *ret_error);
/* doubt: what a pattern with a path says of a doubtful one. */
bool url_pattern_matches(const struct url_pattern *p, struct url_target *t, bool doubt);
/* Of a whole URL, http or https; ERR_INVALID. What it refers to is in the arena. */
NODISCARD enum err url_target_parse(struct arena *a, struct slice url,
                                    struct url_target *ret_target, struct error *ret_error);
