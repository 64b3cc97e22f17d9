/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request must be, whichever protocol brought it: its target, its authority, its size. The
 * answer to a request that is refused here never involves the handler. Any thread. */
#include <string.h>

#include "http/internal.h"

bool request_is_hop_by_hop(struct slice name)
{
    switch (name.len) {
    case 2:
        return memcmp(name.ptr, "te", 2) == 0;
    case 7:
        return memcmp(name.ptr, "upgrade", 7) == 0 || memcmp(name.ptr, "trailer", 7) == 0;
    case 10:
        return memcmp(name.ptr, "connection", 10) == 0 || memcmp(name.ptr, "keep-alive", 10) == 0;
    case 14:
        return memcmp(name.ptr, "http2-settings", 14) == 0;
    case 16:
        return memcmp(name.ptr, "proxy-connection", 16) == 0;
    case 17:
        return memcmp(name.ptr, "transfer-encoding", 17) == 0;
    default:
        return false;
    }
}

bool request_authority_is_valid(struct slice authority)
{
    return grammar_all(authority, GRAMMAR_AUTHORITY);
}

/* "http://host/path": what stands after the scheme, or the empty slice. */
static struct slice after_scheme(struct slice target)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct slice s = schemes[i];
        if (target.len > s.len && slice_eq_nocase((struct slice){target.ptr, s.len}, s))
            return slice_skip(target, s.len);
    }
    return SLICE_EMPTY;
}

bool request_target(struct slice target, struct slice *ret_target, struct slice *ret_authority)
{
    if (memchr(target.ptr, '#', target.len))
        return false;
    if (target.ptr[0] == '/' || slice_eq(target, SLICE_LIT("*"))) {
        *ret_target = target;
        return true;
    }
    struct slice rest = after_scheme(target);
    if (!rest.len)
        return false;
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
        n++;
    if (n == 0)
        return false;
    if (n < rest.len && rest.ptr[n] == '?')
        return false; /* "http://host?query" would need a slash put in; nobody sends it */
    *ret_authority = (struct slice){rest.ptr, n};
    *ret_target = n < rest.len ? slice_skip(rest, n) : SLICE_LIT("/");
    return true;
}

static bool request_refuse(struct request_fault *ret, int status, enum err code, const char *text)
{
    *ret = (struct request_fault){status, code, text};
    return false;
}

bool request_check(struct http_exchange *x, struct request_fault *ret_fault)
{
    const struct http_server *s = x->conn->server;
    const struct http_request *r = &x->request;
    if (slice_eq_cstr(r->method, "CONNECT"))
        return request_refuse(ret_fault, 501, ERR_INVALID, "CONNECT is not spoken here");
    if (r->target.len > LIMIT_HTTP_TARGET_BYTES)
        return request_refuse(ret_fault, 414, ERR_TOO_LARGE,
                              "the request target is longer than 16 KiB");
    if (!request_authority_is_valid(r->authority))
        return request_refuse(ret_fault, 400, ERR_INVALID, "the host is malformed");
    if (s->body_bytes_max >= 0 && r->content_length > s->body_bytes_max)
        return request_refuse(ret_fault, 413, ERR_TOO_LARGE,
                              "the request body is larger than this server allows");
    for (size_t i = 0; i < r->headers_len; i++) {
        if (!slice_eq_cstr(r->headers[i].name, "expect"))
            continue;
        if (!slice_eq_nocase(r->headers[i].value, SLICE_LIT("100-continue")))
            return request_refuse(ret_fault, 417, ERR_INVALID,
                                  "only 100-continue can be expected here");
        x->wants_continue = r->has_body && r->version >= 11;
    }
    return true;
}
