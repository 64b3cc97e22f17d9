/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may speak to the control API.
 *
 * With a token: whoever sends it (Authorization: Bearer), compared in constant time. Browsers
 * cannot be tricked into sending it, so nothing else is asked. The server's own token may all; one of
 * a namespace ("limpet_ID_SECRET") what its role may there. The store has only the hash of its secret;
 * the row is found by the id, which is none, and hashes are compared in constant time.
 *
 * Without a token the server listens on loopback only, and the danger is the user's own browser: a
 * page of another site may send requests to 127.0.0.1 (CSRF), or give its own name the address
 * 127.0.0.1 and then even read the answers (DNS rebinding). Hence Host must name loopback or the
 * configured address, and an Origin, if there is one, must be this server itself. Functions are
 * served on another port, so their pages are other origins too. */
#include "admin/access.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "admin/internal.h"
#include "base/clock.h"
#include "base/module_name.h"
#include "base/random.h"
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

/* ---- tokens of namespaces ---- */

#define TOKEN_START "limpet_"
enum { TOKEN_ID_BYTES = 8, TOKEN_SECRET_BYTES = 32 };
#define TOKEN_USED_US (INT64_C(60) * 1000000) /* between two notes of when it was used */

static void hash_secret(struct slice secret, unsigned char ret_hash[EVP_MAX_MD_SIZE])
{
    CHECK(EVP_Digest(secret.ptr ? secret.ptr : "", secret.len, ret_hash, NULL, EVP_sha256(),
                     NULL) == 1);
}

static char *random_hex(struct arena *a, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[TOKEN_SECRET_BYTES];
    CHECK(bytes <= sizeof(raw));
    char *text = arena_array(a, 2 * bytes + 1, 1);
    random_bytes(raw, bytes);
    for (size_t i = 0; i < bytes; i++) {
        text[2 * i] = digits[raw[i] >> 4];
        text[2 * i + 1] = digits[raw[i] & 15];
    }
    text[2 * bytes] = '\0';
    OPENSSL_cleanse(raw, sizeof(raw));
    return text;
}

struct slice access_token_new(struct arena *a, struct token_row *row)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    row->id = slice_cstr(random_hex(a, TOKEN_ID_BYTES));
    struct slice secret = slice_cstr(random_hex(a, TOKEN_SECRET_BYTES));
    hash_secret(secret, hash);
    row->hash = arena_copy(a, slice_of((const char *)hash, TOKEN_HASH_BYTES));
    return slice_cstr(
        arena_printf(a, TOKEN_START "%.*s_%.*s", SLICE_ARG(row->id), SLICE_ARG(secret)));
}

enum err access_token(struct admin_request *r, struct slice given, struct error *ret_error)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct slice secret = slice_skip(given, strlen(TOKEN_START)), id = slice_split(&secret, '_');
    struct store_query q = {.kind = STORE_QUERY_TOKEN, .token.id = arena_copy(r->arena, id)};
    const struct token_row *row = &q.token.row;
    hash_secret(secret, hash);
    enum err err = request_read(r, &q, ret_error);
    bool is_same = err == OK && row->hash.len == TOKEN_HASH_BYTES &&
                   CRYPTO_memcmp(hash, row->hash.ptr, TOKEN_HASH_BYTES) == 0;
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (!is_same) {
        error_set(ret_error, ERR_UNAUTHORIZED, "the token is none of this server, or was revoked");
        error_hint(ret_error, "check --token or LIMPET_TOKEN; 'limpet token create' makes another");
        return ERR_UNAUTHORIZED;
    }
    int64_t now = clock_wall_us();
    if (now - row->used_us > TOKEN_USED_US)
        store_token_used(r->admin->store, NULL, row->id, now);
    r->caller = (struct access_caller){.token = arena_copy(r->arena, row->id),
                                       .space = arena_copy(r->arena, row->space),
                                       .role = row->role};
    return OK;
}

/* The text behind "Bearer", or "" if there is none. */
static struct slice bearer(const struct http_request *request)
{
    struct slice given = header_get(request, "authorization");
    struct slice scheme = slice_split(&given, ' ');
    return slice_eq_nocase(scheme, SLICE_LIT("bearer")) ? slice_trim(given) : SLICE_EMPTY;
}

/* ROUTE_READ … ROUTE_ADMIN are the roles of tokens. */
_Static_assert(ROUTE_ADMIN - ROUTE_READ == TOKEN_ADMIN - TOKEN_READ, "the same order");

enum err access_allows(const struct access_caller *caller, enum route_role role, struct slice space,
                       struct error *ret_error)
{
    if (caller->is_server || role <= ROUTE_ANY)
        return OK;
    if (role >= ROUTE_OWNER) {
        error_set(ret_error, ERR_FORBIDDEN,
                  "this is for whoever runs the server, not for a token of "
                  "a namespace");
        error_hint(ret_error, "use the server's own token (limpet serve --admin-token)");
    } else if (!namespace_is_same(caller->space, space)) {
        error_set(ret_error, ERR_FORBIDDEN, "the token is of namespace '%.*s', not of '%.*s'",
                  SLICE_ARG(caller->space), SLICE_ARG(slice_utf8_clip(space, 63)));
        error_hint(ret_error, "ask below /namespaces/%.*s, or give --namespace %.*s",
                   SLICE_ARG(caller->space), SLICE_ARG(caller->space));
    } else if ((int)caller->role < (int)role - ROUTE_READ) {
        enum token_role needed = (enum token_role)(role - ROUTE_READ);
        error_set(ret_error, ERR_FORBIDDEN, "the token has the role '%s', and this needs '%s'",
                  token_role_text(caller->role), token_role_text(needed));
        error_hint(ret_error, "'limpet token create --role %s' makes one that may",
                   token_role_text(needed));
    } else {
        return OK;
    }
    return ERR_FORBIDDEN;
}

/* ---- the server's token ---- */

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
                      struct slice *ret_token, struct error *ret_error)
{
    enum err err = OK;
    struct slice given = bearer(request);
    bool is_of_namespace = slice_starts(given, SLICE_LIT(TOKEN_START));
    *ret_token = SLICE_EMPTY;
    if (a->token && is_public)
        return OK;
    if (!a->token)
        err = check_host(a, request, ret_error);
    if (!a->token && !err)
        err = check_origin(request, ret_error);
    if (err)
        return err;
    if (is_of_namespace && !(a->token && token_equal(given, slice_cstr(a->token)))) {
        *ret_token = given;
        return OK;
    }
    return a->token ? check_token(a, request, ret_error) : OK;
}
