/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may speak to the control API.
 *
 * With a token: whoever sends it (Authorization: Bearer), compared in constant time. Browsers
 * cannot be tricked into sending it, so nothing else is asked.
 *
 * Without a token the server listens on loopback only, and the danger is the user's own browser: a
 * page of another site may send requests to 127.0.0.1 (CSRF), or give its own name the address
 * 127.0.0.1 and then even read the answers (DNS rebinding). Hence Host must name loopback or the
 * configured address, and an Origin, if there is one, must be this server itself. Functions are
 * served on another port, so their pages are other origins too. */
#include "admin/access.h"

#include <string.h>

#include "admin/internal.h"
#include "http/url.h"

static struct slice header_get(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->headers_len; i++) {
        if (slice_eq_cstr(request->headers[i].name, name))
            return request->headers[i].value;
    }
    return SLICE_EMPTY;
}

/* Takes the same time wherever the texts differ. The length of the token is no secret. */
static bool token_equal(struct slice given, struct slice token)
{
    unsigned char difference = given.len != token.len;
    for (size_t i = 0; i < token.len; i++) {
        char c = given.len > 0 ? given.ptr[i % given.len] : '\0';
        difference |= (unsigned char)(c ^ token.ptr[i]);
    }
    return difference == 0;
}

bool access_is_loopback(struct slice host)
{
    if (host.len > 2 && host.ptr[0] == '[')
        host = slice_of(host.ptr + 1, host.len - 2);
    if (slice_eq_nocase(host, SLICE_LIT("localhost")) || slice_eq_cstr(host, "::1"))
        return true;
    /* 127.0.0.0/8 as four decimal numbers, and nothing that a resolver would have to look at. */
    if (!slice_starts(host, SLICE_LIT("127.")))
        return false;
    int parts = 0;
    while (host.len > 0) {
        uint64_t part;
        if (!slice_to_u64(slice_split(&host, '.'), &part) || part > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

static enum err check_token(const struct admin *a, const struct http_request *request,
                            struct error *ret_error)
{
    struct slice given = header_get(request, "authorization");
    if (given.len == 0) {
        error_set(ret_error, ERR_UNAUTHORIZED, "this server asks for a token");
        error_hint(ret_error,
                   "send 'Authorization: Bearer TOKEN' (limpet --token or LIMPET_TOKEN)");
        return ERR_UNAUTHORIZED;
    }
    struct slice scheme = slice_split(&given, ' ');
    if (slice_eq_nocase(scheme, SLICE_LIT("bearer")) &&
        token_equal(slice_trim(given), slice_cstr(a->token)))
        return OK;
    error_set(ret_error, ERR_UNAUTHORIZED, "the token is not the one of this server");
    error_hint(ret_error, "check --token or LIMPET_TOKEN");
    return ERR_UNAUTHORIZED;
}

static enum err check_host(const struct admin *a, const struct http_request *request,
                           struct error *ret_error)
{
    struct slice host;
    int port;
    if (request->authority.len == 0 && request->version == 10)
        return OK; /* HTTP/1.0 without Host: no browser sends it */
    if (!url_split_authority(request->authority, 80, &host, &port) &&
        (access_is_loopback(host) || slice_eq_nocase(host, slice_cstr(a->listen_host))))
        return OK;
    error_set(ret_error, ERR_FORBIDDEN, "the Host '%.*s' is not this server's",
              SLICE_ARG(slice_utf8_clip(request->authority, 200)));
    error_hint(ret_error, "use http://127.0.0.1 or localhost; other names need a server with "
                          "--admin-token");
    return ERR_FORBIDDEN;
}

static enum err check_origin(const struct http_request *request, struct error *ret_error)
{
    struct slice origin = header_get(request, "origin");
    if (origin.len == 0)
        return OK;
    ptrdiff_t colon = slice_find(origin, ':');
    if (colon > 0 && slice_starts(slice_skip(origin, (size_t)colon), SLICE_LIT("://"))) {
        struct slice own = slice_skip(origin, (size_t)colon + 3);
        if (slice_eq_nocase(own, request->authority))
            return OK;
    }
    error_set(ret_error, ERR_FORBIDDEN, "requests of the web page '%.*s' are refused",
              SLICE_ARG(slice_utf8_clip(origin, 200)));
    error_hint(ret_error,
               "the control API takes no requests of other sites' pages; start the server "
               "with --admin-token to allow them with the token");
    return ERR_FORBIDDEN;
}

enum err access_check(const struct admin *a, const struct http_request *request, bool is_public,
                      struct error *ret_error)
{
    if (a->token)
        return is_public ? OK : check_token(a, request, ret_error);
    enum err err = check_host(a, request, ret_error);
    return err ? err : check_origin(request, ret_error);
}
