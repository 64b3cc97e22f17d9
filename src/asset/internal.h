/* SPDX-License-Identifier: Apache-2.0
 *
 * A manifest as it was read. */
#pragma once

#include "asset/assets.h"
#include "asset/rules.h"

enum { ASSETS_PATTERNS_MAX = 100 };

enum asset_html { ASSET_HTML_AUTO, ASSET_HTML_FORCE, ASSET_HTML_DROP, ASSET_HTML_NONE };
enum asset_not_found { ASSET_NOT_FOUND_NONE, ASSET_NOT_FOUND_PAGE, ASSET_NOT_FOUND_SPA };

struct asset_pattern {
    struct pattern pattern;
    bool is_negative;
};

struct asset_patterns {
    struct asset_pattern *items;
    size_t len;
};

struct assets {
    int refs; /* atomic */
    struct arena *arena;
    struct asset *files; /* by path */
    size_t files_len;
    enum asset_html html;
    enum asset_not_found not_found;
    bool has_code;      /* there is a main: what is no asset is its business */
    bool is_code_first; /* always; else for code_first */
    bool prefers_pages; /* navigations get the 404 page or the SPA before code is asked */
    struct asset_patterns code_first, immutable;
    struct rule_headers *headers;
    size_t headers_len;
    struct rule_redirect *redirects;
    size_t redirects_len;
};

int asset_compare_paths(struct slice a, struct slice b);
const struct asset *assets_find(const struct assets *a, struct slice path);
/* One matches and no negative one does. */
bool asset_patterns_match(const struct asset_patterns *p, struct slice path);
