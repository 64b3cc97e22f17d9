/* SPDX-License-Identifier: Apache-2.0
 *
 * See url_pattern.h. */
#include "http/url_pattern.h"

#include <arpa/inet.h>
#include <string.h>

#include "limpet_deps.h"

static enum err pattern_bad(struct slice text, const char *why, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "'%.*s' is no pattern of URLs: %s",
              SLICE_ARG(slice_utf8_clip(text, 200)), why);
    error_hint(ret_error, "write [http://|https://]HOST[:PORT][/PATH], such as api.example.com, "
                          "*.example.com or https://api.example.com:8443/v1");
    return ERR_INVALID;
}

/* ---- paths ---- */

static int path_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The next byte of a path with its escapes undone. */
static char path_byte(struct slice *path)
{
    int high = path->len > 2 && path->ptr[0] == '%' ? path_digit(path->ptr[1]) : -1;
    int low = high >= 0 ? path_digit(path->ptr[2]) : -1;
    char c = low >= 0 ? (char)(high << 4 | low) : path->ptr[0];
    *path = slice_skip(*path, low >= 0 ? 3 : 1);
    return c == '\\' ? '/' : c;
}

/* "/a//b%2Fc/" is "a/b/c/". */
static struct slice path_segments(struct arena *a, struct slice path, bool *ret_is_doubtful)
{
    char *out = arena_alloc(a, path.len + 1);
    size_t len = 0, start = 0;
    bool is_doubtful = false;
    for (bool is_end = false; !is_end;) {
        is_end = path.len == 0;
        char c = is_end ? '/' : path_byte(&path);
        if (c != '/') {
            out[len++] = c;
            continue;
        }
        is_doubtful |= len - start == 2 && memcmp(out + start, "..", 2) == 0;
        if (len - start == 1 && out[start] == '.')
            len = start;
        if (len > start && !is_end)
            out[len++] = '/';
        start = len;
    }
    *ret_is_doubtful = is_doubtful;
    return slice_of(out, len);
}

/* pattern: a segment with at most one "*". */
static bool segment_matches(struct slice pattern, struct slice segment)
{
    ptrdiff_t star = slice_find(pattern, '*');
    if (star < 0)
        return slice_eq(pattern, segment);
    struct slice before = slice_of(pattern.ptr, (size_t)star);
    struct slice behind = slice_skip(pattern, (size_t)star + 1);
    return segment.len >= before.len + behind.len && slice_starts(segment, before) &&
           slice_ends(segment, behind);
}

static bool path_matches(struct slice pattern, struct slice path)
{
    while (pattern.len > 0) {
        if (path.len == 0)
            return false;
        if (!segment_matches(slice_split(&pattern, '/'), slice_split(&path, '/')))
            return false;
    }
    return true;
}

static enum err path_parse(struct arena *a, struct slice text, struct slice path,
                           struct url_pattern *p, struct error *ret_error)
{
    bool is_doubtful;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f || path.ptr[i] == '\\')
            return pattern_bad(text, "its path has a space, a backslash or a control character",
                               ret_error);
    if (slice_find(path, '?') >= 0 || slice_find(path, '#') >= 0)
        return pattern_bad(text, "queries and fragments are not looked at", ret_error);
    p->path = path_segments(a, path, &is_doubtful);
    if (is_doubtful)
        return pattern_bad(text, "its path has a segment '..'", ret_error);
    while (slice_ends(p->path, SLICE_LIT("/"))) /* "/v1/" is "/v1" */
        p->path.len--;
    for (struct slice rest = p->path; rest.len > 0;) {
        struct slice segment = slice_split(&rest, '/');
        ptrdiff_t star = slice_find(segment, '*');
        if (star >= 0 && slice_find(slice_skip(segment, (size_t)star + 1), '*') >= 0)
            return pattern_bad(text, "a segment of its path has more than one '*'", ret_error);
    }
    return OK;
}

/* ---- hosts ---- */

static struct slice host_plain(struct slice host)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

/* The last label of what is left, which is cut off. */
static struct slice label_last(struct slice *host)
{
    const char *dot = host->len ? memrchr(host->ptr, '.', host->len) : NULL;
    size_t at = dot ? (size_t)(dot - host->ptr) + 1 : 0;
    struct slice label = slice_skip(*host, at);
    host->len = dot ? at - 1 : 0;
    return label;
}

static bool host_matches(const struct url_pattern *p, struct slice host)
{
    struct slice pattern = p->host;
    if (p->is_any_host)
        return true;
    if (host.len == 0 || host.ptr[0] == '[')
        return !p->is_below && slice_eq(pattern, host);
    while (pattern.len > 0) {
        if (host.len == 0)
            return false;
        struct slice want = label_last(&pattern), have = label_last(&host);
        if (slice_eq_cstr(want, "*") ? have.len == 0 : !slice_eq(want, have))
            return false;
    }
    return p->is_below ? host.len > 0 && host.ptr[0] != '.' : host.len == 0;
}

static bool host_is_address(struct arena *a, struct slice host)
{
    struct in_addr v4;
    return host.len > 0 &&
           (host.ptr[0] == '[' || inet_pton(AF_INET, arena_cstr(a, host), &v4) == 1);
}

/* As URLs have it after parsing. */
static bool host_normalize(struct arena *a, struct slice host, struct slice *ret_host)
{
    struct deps_url u;
    for (size_t i = 0; i < host.len; i++)
        if ((unsigned char)host.ptr[i] <= ' ' || strchr("/?#@\\%", host.ptr[i]))
            return false;
    const char *url = arena_printf(a, "http://%.*s/", SLICE_ARG(host));
    if (host.len == 0 || !deps_url_parse(url, strlen(url), NULL, 0, &u))
        return false;
    *ret_host =
        host_plain(arena_copy(a, slice_of(u.href + u.host_start, u.host_end - u.host_start)));
    deps_url_done(&u);
    return ret_host->len > 0;
}

/* With "*" for a label the parser would take it as it is: what it makes of the rest must stay so. */
static bool host_normalize_labels(struct arena *a, struct slice host, struct slice *ret_host)
{
    struct slice rest = host, last = label_last(&rest);
    if (last.len == 0 || slice_find(last, '*') >= 0 || (last.ptr[0] >= '0' && last.ptr[0] <= '9'))
        return false; /* no domain ends in a label that begins with a digit */
    for (rest = host; rest.len > 0;) {
        struct slice label = label_last(&rest);
        if (label.len == 0 || (slice_find(label, '*') >= 0 && label.len > 1))
            return false;
    }
    char *out = arena_alloc(a, host.len + 1);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (c <= ' ' || c == 0x7f || strchr("/?#@\\%:[]<>^|", c))
            return false;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    *ret_host = slice_of(out, host.len);
    return true;
}

static enum err host_parse(struct arena *a, struct slice text, struct slice host,
                           struct url_pattern *p, struct error *ret_error)
{
    p->is_any_host = slice_eq_cstr(host, "*");
    if (p->is_any_host)
        return OK;
    p->is_below = slice_starts(host, SLICE_LIT("*."));
    if (p->is_below)
        host = slice_skip(host, 2);
    host = host_plain(host);
    bool is_good = slice_find(host, '*') < 0 ? host_normalize(a, host, &p->host)
                                             : host_normalize_labels(a, host, &p->host);
    for (struct slice rest = host; is_good && rest.len > 0;)
        is_good = label_last(&rest).len > 0 && !slice_ends(rest, SLICE_LIT("."));
    if (!is_good)
        return pattern_bad(text,
                           "its host is none; a '*' stands for whole labels, and not for the last",
                           ret_error);
    if (p->is_below && host_is_address(a, p->host))
        return pattern_bad(text, "there is nothing below an address", ret_error);
    return OK;
}

/* ---- whole ---- */

static bool port_parse(struct slice *authority, int *ret_port)
{
    const char *colon = authority->len ? memrchr(authority->ptr, ':', authority->len) : NULL;
    uint64_t port;
    *ret_port = 0;
    if (!colon || memchr(colon, ']', authority->len - (size_t)(colon - authority->ptr)))
        return true;
    size_t at = (size_t)(colon - authority->ptr);
    if (!slice_to_u64(slice_skip(*authority, at + 1), &port) || port < 1 || port > 65535)
        return false;
    authority->len = at;
    *ret_port = (int)port;
    return true;
}

enum err url_pattern_parse(struct arena *a, struct slice text, struct url_pattern *ret_pattern,
                           struct error *ret_error)
{
    struct url_pattern p = {0};
    text = slice_trim(text);
    if (text.len == 0 || text.len > URL_PATTERN_BYTES_MAX || !slice_is_utf8(text) ||
        memchr(text.ptr, 0, text.len))
        return pattern_bad(
            text, text.len > URL_PATTERN_BYTES_MAX ? "it is too long" : "it is empty", ret_error);
    struct slice rest = p.text = arena_copy(a, text);
    if (slice_starts(rest, SLICE_LIT("https://")))
        p.scheme = URL_PATTERN_HTTPS;
    else if (slice_starts(rest, SLICE_LIT("http://")))
        p.scheme = URL_PATTERN_HTTP;
    if (p.scheme)
        rest = slice_skip(rest, p.scheme == URL_PATTERN_HTTPS ? 8 : 7);
    ptrdiff_t slash = slice_find(rest, '/');
    struct slice authority = slice_of(rest.ptr, slash < 0 ? rest.len : (size_t)slash);
    struct slice path = slice_skip(rest, authority.len);
    if (!port_parse(&authority, &p.port))
        return pattern_bad(text, "its port is none", ret_error);
    enum err err = host_parse(a, text, authority, &p, ret_error);
    if (!err)
        err = path_parse(a, text, path, &p, ret_error);
    if (!err)
        *ret_pattern = p;
    return err;
}

bool url_pattern_matches(const struct url_pattern *p, struct url_target *t, bool doubt)
{
    if (p->scheme && (p->scheme == URL_PATTERN_HTTPS) != t->is_tls)
        return false;
    if ((p->port && p->port != t->port) || !host_matches(p, host_plain(t->host)))
        return false;
    if (p->path.len == 0)
        return true;
    if (!t->is_read)
        t->segments = path_segments(t->arena, t->path, &t->is_doubtful);
    t->is_read = true;
    return t->is_doubtful ? doubt : path_matches(p->path, t->segments);
}

enum err url_target_parse(struct arena *a, struct slice url, struct url_target *ret_target,
                          struct error *ret_error)
{
    struct deps_url u;
    if (!deps_url_parse(url.ptr ? url.ptr : "", url.len, NULL, 0, &u))
        return error_set(ret_error, ERR_INVALID, "'%.*s' is not a valid URL",
                         SLICE_ARG(slice_utf8_clip(url, 200)));
    struct slice href = arena_copy(a, slice_of(u.href, u.href_len));
    bool is_tls = slice_eq_cstr(slice_of(href.ptr, u.scheme_end), "https");
    bool is_http = is_tls || slice_eq_cstr(slice_of(href.ptr, u.scheme_end), "http");
    if (is_http)
        *ret_target = (struct url_target){
            .is_tls = is_tls,
            .host = slice_of(href.ptr + u.host_start, u.host_end - u.host_start),
            .port = u.port >= 0 ? u.port
                    : is_tls    ? 443
                                : 80,
            .path = slice_of(href.ptr + u.path_start, u.path_end - u.path_start),
            .arena = a,
        };
    deps_url_done(&u);
    return is_http ? OK
                   : error_set(ret_error, ERR_INVALID, "'%.*s' is no http: or https: URL",
                               SLICE_ARG(slice_utf8_clip(url, 200)));
}
