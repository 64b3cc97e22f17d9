/* SPDX-License-Identifier: Apache-2.0
 *
 * See route_pattern.h. The table is a map from the hosts of patterns, with their mark in front, to the paths
 * of each: a request asks for its host and for what stands behind each of its dots, so the number of patterns
 * of other hosts does not matter. */
#include "http/route_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* ---- patterns ---- */

static enum err pattern_refuse(struct slice text, const char *what, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "the route '%.*s' %s", SLICE_ARG(slice_utf8_clip(text, 200)),
              what);
    error_hint(ret_error, "write it as \"example.com/*\", \"*.example.com/api/*\" or "
                          "\"example.com/page\"; docs/projects.md says more");
    return ERR_INVALID;
}

static bool is_host(struct slice host)
{
    size_t label = 0;
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        const bool is_plain =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!is_plain && (c != '.' || label == 0))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && host.len <= ROUTE_HOST_BYTES_MAX;
}

static enum err parse_host(struct slice text, struct slice host, struct arena *a,
                           struct route_pattern *ret, struct error *ret_error)
{
    char mark = '=';
    if (host.len > 0 && host.ptr[0] == '*') {
        mark = host.len > 1 && host.ptr[1] == '.' ? '.' : '*';
        host = slice_skip(host, mark == '.' ? 2 : 1);
    }
    char *out = arena_alloc(a, host.len + 2);
    out[0] = mark;
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        out[i + 1] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    ret->host = slice_of(out, host.len + 1);
    if (is_host(slice_skip(ret->host, 1)) || (mark == '*' && host.len == 0))
        return OK;
    return pattern_refuse(text,
                          slice_find(host, '*') >= 0
                              ? "has a '*' that is not at the beginning of the host"
                          : slice_find(host, ':') >= 0 ? "has a port, which does not matter here"
                                                       : "has no host of ASCII letters, digits, "
                                                         "'-' and '.'",
                          ret_error);
}

static enum err parse_path(struct slice text, struct slice path, struct arena *a,
                           struct route_pattern *ret, struct error *ret_error)
{
    ret->is_prefix = slice_ends(path, SLICE_LIT("*"));
    if (ret->is_prefix)
        path = slice_of(path.ptr, path.len - 1);
    for (size_t i = 0; i < path.len; i++) {
        const unsigned char c = (unsigned char)path.ptr[i];
        if (c == '*')
            return pattern_refuse(text, "has a '*' that is not at the end of the path", ret_error);
        if (c == '?' || c == '#')
            return pattern_refuse(text, "has a query, which does not matter here", ret_error);
        if (c <= ' ' || c >= 0x7f)
            return pattern_refuse(text, "has bytes in its path that must be written as %XX",
                                  ret_error);
    }
    ret->path = path.len > 0 ? arena_copy(a, path) : SLICE_LIT("/");
    return OK;
}

enum err route_pattern_parse(struct slice text, struct arena *a, struct route_pattern *ret,
                             struct error *ret_error)
{
    static const struct slice schemes[] = {SLICE_LIT("https://"), SLICE_LIT("http://"),
                                           SLICE_LIT("*://")};
    struct slice rest = text;
    if (text.len > ROUTE_PATTERN_BYTES_MAX)
        return pattern_refuse(text, "is longer than 1024 bytes", ret_error);
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (slice_starts(rest, schemes[i]))
            rest = slice_skip(rest, schemes[i].len);
    const ptrdiff_t slash = slice_find(rest, '/');
    const struct slice host = slash < 0 ? rest : slice_of(rest.ptr, (size_t)slash);
    const struct slice path = slash < 0 ? SLICE_EMPTY : slice_skip(rest, (size_t)slash);
    ret->text = arena_copy(a, text);
    enum err err = parse_host(text, host, a, ret, ret_error);
    return err ? err : parse_path(text, path, a, ret, ret_error);
}

struct route_pattern *route_patterns_read(struct slice lines, struct arena *a, size_t *ret_len)
{
    struct route_pattern *all = arena_array(a, ROUTE_PATTERNS_MAX, sizeof(*all));
    size_t len = 0;
    while (lines.len > 0 && len < ROUTE_PATTERNS_MAX)
        len += route_pattern_parse(slice_split(&lines, '\n'), a, &all[len], NULL) == OK;
    *ret_len = len;
    return all;
}

bool route_pattern_is(const struct route_pattern *a, const struct route_pattern *b)
{
    return a->is_prefix == b->is_prefix && slice_eq(a->host, b->host) && slice_eq(a->path, b->path);
}

/* Is the host, which may have a mark of its own, one of those that the pattern with a mark names? */
static bool host_is_below(struct slice host, struct slice wild)
{
    const struct slice name = slice_skip(host, 1), of = slice_skip(wild, 1);
    if (of.len == 0)
        return true;
    if (name.len <= of.len)
        return slice_eq(name, of) && (wild.ptr[0] == '*' || host.ptr[0] != '=');
    return slice_ends(name, of) && name.ptr[name.len - of.len - 1] == '.';
}

bool route_pattern_meets(const struct route_pattern *a, const struct route_pattern *b)
{
    return slice_eq(a->host, b->host) ||
           (b->host.ptr[0] != '=' && host_is_below(a->host, b->host)) ||
           (a->host.ptr[0] != '=' && host_is_below(b->host, a->host));
}

/* ---- the table ---- */

struct host_path {
    struct slice path;
    bool is_prefix;
    void *owner;
};

struct host_paths {
    size_t len, cap;
    struct host_path *at; /* the closest first; of equal ones the first that came */
};

static void paths_free(struct host_paths *h)
{
    free(h->at);
    free(h);
}

void route_table_done(struct route_table *t)
{
    size_t cursor = 0;
    void *h;
    while (map_next(&t->hosts, &cursor, NULL, &h))
        paths_free(h);
    map_done(&t->hosts);
}

static bool path_is_closer(const struct host_path *a, const struct host_path *b)
{
    return a->path.len != b->path.len ? a->path.len > b->path.len : !a->is_prefix && b->is_prefix;
}

void route_table_add(struct route_table *t, const struct route_pattern *p, void *owner)
{
    const struct host_path path = {p->path, p->is_prefix, owner};
    struct host_paths *h = map_get(&t->hosts, p->host);
    if (!h) {
        h = calloc(1, sizeof(*h));
        CHECK(h);
        (void)map_put(&t->hosts, p->host, h);
    }
    if (h->len == h->cap) {
        h->cap = h->cap * 2 + 2;
        h->at = reallocarray(h->at, h->cap, sizeof(*h->at));
        CHECK(h->at);
    }
    size_t at = h->len++;
    for (; at > 0 && path_is_closer(&path, &h->at[at - 1]); at--)
        h->at[at] = h->at[at - 1];
    h->at[at] = path;
}

void route_table_remove(struct route_table *t, const struct route_pattern *p, const void *owner)
{
    struct host_paths *h = map_get(&t->hosts, p->host);
    size_t kept = 0;
    for (size_t i = 0; h && i < h->len; i++)
        if (h->at[i].owner != owner || h->at[i].is_prefix != p->is_prefix ||
            !slice_eq(h->at[i].path, p->path))
            h->at[kept++] = h->at[i];
    if (!h)
        return;
    h->len = kept;
    if (kept == 0)
        paths_free(map_remove(&t->hosts, p->host));
}

static void *find_path(const struct route_table *t, struct slice host, struct slice path)
{
    const struct host_paths *h = map_get(&t->hosts, host);
    for (size_t i = 0; h && i < h->len; i++) {
        const struct host_path *p = &h->at[i];
        if (p->is_prefix ? slice_starts(path, p->path) : slice_eq(path, p->path))
            return p->owner;
    }
    return NULL;
}

void *route_table_find(const struct route_table *t, struct slice host, struct slice target)
{
    char text[ROUTE_HOST_BYTES_MAX + 1];
    const ptrdiff_t mark = slice_find(target, '?');
    const struct slice path = mark < 0 ? target : slice_of(target.ptr, (size_t)mark);
    if (map_count(&t->hosts) == 0 || host.len == 0 || host.len > ROUTE_HOST_BYTES_MAX)
        return NULL;
    memcpy(text + 1, host.ptr, host.len);
    void *owner = NULL;
    /* "=a.b", "*a.b", ".b", "*b": the mark stands where the dot was */
    for (size_t at = 0; at <= host.len && !owner; at++) {
        const struct slice key = slice_of(text + at, host.len + 1 - at);
        if (at > 0 && text[at] != '.')
            continue;
        text[at] = at == 0 ? '=' : '.';
        owner = find_path(t, key, path);
        text[at] = '*';
        if (!owner)
            owner = find_path(t, key, path);
    }
    return owner ? owner : find_path(t, SLICE_LIT("*"), path);
}
