/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of paths and URLs, as in _headers, _redirects and run_worker_first: ":name" is a part without
 * a slash, one "*" is anything. Behind a "*" only plain text may stand, so that matching costs one look at
 * each byte. Pure; any thread. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

enum { PATTERN_NAMES_MAX = 16, PATTERN_BYTES_MAX = 2000 };

struct pattern_part {
    struct slice text; /* plain, or the name of a part */
    bool is_name;
};

struct pattern {
    struct slice text;
    const struct pattern_part *parts;
    size_t parts_len;
    bool has_splat;
    struct slice behind; /* the splat */
};

struct pattern_match {
    struct slice names[PATTERN_NAMES_MAX], values[PATTERN_NAMES_MAX];
    size_t len;
};

/* text is borrowed. ERR_INVALID. */
NODISCARD enum err pattern_parse(struct arena *a, struct slice text, struct pattern *ret_pattern,
                                 struct error *ret_error);
/* ret_match may be NULL; its slices point into text and the pattern. */
bool pattern_matches(const struct pattern *p, struct slice text, struct pattern_match *ret_match);
/* Appends text with ":name" and ":splat" replaced by what they matched; others stay. */
void pattern_fill(struct slice text, const struct pattern_match *match, struct bytes *out);
