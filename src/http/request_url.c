/* SPDX-License-Identifier: Apache-2.0
 *
 * Target and authority of a request as the URL standard has them: what a handler routes by, and
 * what code shows as its URL, is one thing, and `new URL()` of that changes nothing. "/a/../admin"
 * and "/%2e%2e/admin" are "/admin" before anyone compares prefixes.
 *
 * Nearly all requests are in that form already. A look at each character tells, sometimes too
 * careful ("/%2A"); only when it doubts is the crate asked. Loop thread. */
#include <string.h>

#include "http/internal.h"
#include "limpet_deps.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ":8080": digits without a zero in front, not the scheme's own. */
static bool port_is_normal(struct slice port, bool is_tls)
{
    uint64_t value;
    return port.len && port.ptr[0] != '0' && slice_to_u64(port, &value) && value <= 65535 &&
           value != (is_tls ? 443 : 80);
}

/* "127.0.0.1", all four in decimal. */
static bool host_is_quad(struct slice host)
{
    struct slice rest = host;
    unsigned parts = 0;
    uint64_t value;
    while (rest.len) {
        struct slice part = slice_split(&rest, '.');
        if (!slice_to_u64(part, &value) || value > 255 || (part.len > 1 && part.ptr[0] == '0'))
            return false;
        parts++;
    }
    return parts == 4 && host.ptr[host.len - 1] != '.';
}

/* A domain of lower-case labels of which none is empty or an A-label, the last not like a number. */
static bool host_is_domain(struct slice host)
{
    struct slice rest = host, label = SLICE_EMPTY;
    while (rest.len) {
        label = slice_split(&rest, '.');
        if (!label.len || slice_starts(label, SLICE_LIT("xn--")))
            return false;
    }
    return label.len && !is_digit(label.ptr[0]) && host.ptr[host.len - 1] != '.';
}

static bool authority_is_normal(struct slice authority, bool is_tls)
{
    struct slice host = authority;
    ptrdiff_t colon = slice_find(authority, ':');
    if (colon >= 0) {
        host.len = (size_t)colon;
        if (!port_is_normal(slice_skip(authority, host.len + 1), is_tls))
            return false;
    }
    return grammar_all(host, GRAMMAR_HOST) && (host_is_domain(host) || host_is_quad(host));
}

/* May rest, which follows a slash, start with a segment that is "." or "..", plain or escaped? */
static bool may_be_dots(struct slice rest)
{
    if (rest.len && rest.ptr[0] == '%')
        return rest.len > 1 && rest.ptr[1] == '2';
    return rest.len && rest.ptr[0] == '.' && (rest.len == 1 || strchr("/.%?", rest.ptr[1]));
}

/* Nothing to be escaped, and no segment to be resolved. */
static bool target_is_normal(struct slice target)
{
    bool is_path = true;
    for (size_t i = 0; i < target.len; i++) {
        char c = target.ptr[i];
        if (!grammar_has(c, GRAMMAR_TARGET))
            return false;
        is_path = is_path && c != '?';
        if (c == '/' && is_path && may_be_dots(slice_skip(target, i + 1)))
            return false;
    }
    return true;
}

bool request_url_is_normal(bool is_tls, struct slice authority, struct slice target)
{
    return (!authority.len || authority_is_normal(authority, is_tls)) && target_is_normal(target);
}

enum err http_exchange_normalize(struct http_exchange *x, struct error *ret_error)
{
    struct http_request *r = &x->request;
    struct bytes *text = &x->conn->server->scratch;
    struct deps_url u;
    if (!r->target.len || r->target.ptr[0] != '/')
        r->target = SLICE_LIT("/"); /* "OPTIONS *" */
    if (request_url_is_normal(r->is_tls, r->authority, r->target))
        return OK;
    bytes_clear(text);
    bytes_append_cstr(text, r->is_tls ? "https://" : "http://");
    bytes_append_slice(text, r->authority.len ? r->authority : SLICE_LIT("localhost"));
    bytes_append_slice(text, r->target);
    if (!deps_url_parse(text->ptr, text->len, NULL, 0, &u)) {
        (void)error_set(ret_error, ERR_INVALID,
                        "the host '%.*s' and the request target make no URL",
                        (int)(r->authority.len < 100 ? r->authority.len : 100),
                        r->authority.len ? r->authority.ptr : "");
        error_hint(ret_error, "send a Host like name.example:8080 and percent-encode the target");
        return ERR_INVALID;
    }
    struct slice href = arena_copy(http_exchange_arena(x), slice_of(u.href, u.href_len));
    if (r->authority.len)
        r->authority = slice_of(href.ptr + u.host_start, u.path_start - u.host_start);
    r->target = slice_skip(href, u.path_start);
    deps_url_done(&u);
    return OK;
}
