/* SPDX-License-Identifier: Apache-2.0
 *
 * The files _headers and _redirects beside assets, as Workers and Pages have them. Pure; any thread. */
#pragma once

#include "asset/pattern.h"

enum {
    RULES_HEADERS_MAX = 200,    /* rules in _headers */
    RULES_REDIRECTS_MAX = 2100, /* in _redirects */
    RULES_BYTES_MAX = 256 * 1024,
};

struct rule_header {
    struct slice name; /* lower case */
    struct slice value;
    bool is_removal; /* "! Name" */
};

struct rule_headers {
    struct pattern pattern;
    bool has_host; /* the pattern begins with "https://HOST/" */
    const struct rule_header *headers;
    size_t len;
};

struct rule_redirect {
    struct pattern from;
    bool has_host;
    struct slice to;
    int status; /* 301, 302, 303, 307, 308; 200: it is answered with that asset */
};

/* The text is borrowed by what comes out. Errors are ERR_INVALID with "_headers:LINE: …". */
NODISCARD enum err rules_headers(struct arena *a, struct slice text,
                                 struct rule_headers **ret_rules, size_t *ret_len,
                                 struct error *ret_error);
NODISCARD enum err rules_redirects(struct arena *a, struct slice text,
                                   struct rule_redirect **ret_rules, size_t *ret_len,
                                   struct error *ret_error);
