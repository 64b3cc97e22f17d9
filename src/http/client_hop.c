/* SPDX-License-Identifier: Apache-2.0
 *
 * What a hop sends: the caller's request checked and copied, the request after a redirect, and both
 * as curl's options. The rules are those of the fetch standard: which headers a caller may not set,
 * when a redirect turns POST into GET, which headers do not go to another origin. Loop thread. */
#include <arpa/inet.h>
#include <string.h>

#include "http/client_internal.h"
#include "http/grammar.h"
#include "http/placeholder.h"
#include "http/url_pattern.h"
#include "limpet_deps.h"

enum { HOP_URL_BYTES_MAX = 64 * 1024 };

static bool is_one_of(struct slice name, const char *const *list)
{
    for (; *list; list++) {
        if (slice_eq_nocase(name, slice_cstr(*list)))
            return true;
    }
    return false;
}

/* About the connection or the framing, which are curl's business, or decided by the URL. */
static const char *const headers_ours[] = {
    "connection", "content-length",    "expect",  "host", "keep-alive", "proxy-connection", "te",
    "trailer",    "transfer-encoding", "upgrade", NULL};
static const char *const headers_of_body[] = {"content-encoding", "content-language",
                                              "content-length",   "content-location",
                                              "content-type",     NULL};
static const char *const headers_of_origin[] = {"authorization", "cookie", "proxy-authorization",
                                                NULL};
static const char *const methods_refused[] = {"CONNECT", "TRACE", "TRACK", NULL};
static const char *const methods_upper[] = {"DELETE", "GET", "HEAD", "OPTIONS",
                                            "POST",   "PUT", NULL};

/* Bytes that are not UTF-8 come from Location headers; percent-encoded they mean the same. */
static struct slice url_ascii(struct arena *a, struct slice text)
{
    if (slice_is_utf8(text))
        return text;
    char *out = arena_alloc(a, 3 * text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x80) {
            out[len++] = (char)c;
            continue;
        }
        out[len++] = '%';
        out[len++] = "0123456789ABCDEF"[c >> 4];
        out[len++] = "0123456789ABCDEF"[c & 15];
    }
    return slice_of(out, len);
}

static void url_fill(struct arena *a, const struct deps_url *u, struct client_url *ret)
{
    struct slice href = arena_copy(a, slice_of(u->href, u->href_len));
    size_t end = u->fragment_start >= 0 ? (size_t)u->fragment_start - 1 : href.len;
    ret->href = slice_of(href.ptr, end);
    ret->host = slice_of(href.ptr + u->host_start, u->host_end - u->host_start);
    ret->path = slice_of(href.ptr + u->path_start, u->path_end - u->path_start);
    ret->origin = arena_copy(a, slice_of(u->origin, u->origin_len));
    ret->is_tls = slice_eq_cstr(slice_of(href.ptr, u->scheme_end), "https");
    ret->port = u->port >= 0 ? u->port : ret->is_tls ? 443 : 80;
    struct in_addr v4; /* what looks like one is one, by the URL standard */
    ret->is_address =
        ret->host.ptr[0] == '[' || inet_pton(AF_INET, arena_cstr(a, ret->host), &v4) == 1;
}

static enum err url_check(const struct deps_url *u, struct error *ret_error)
{
    struct slice scheme = slice_of(u->href, u->scheme_end);
    if (!slice_eq_cstr(scheme, "http") && !slice_eq_cstr(scheme, "https")) {
        (void)error_set(ret_error, ERR_INVALID, "URLs of scheme '%.*s' cannot be fetched",
                        (int)(scheme.len < 40 ? scheme.len : 40), scheme.ptr);
        error_hint(ret_error, "use http: or https:");
        return ERR_INVALID;
    }
    if (u->username_end > u->username_start || u->password_end > u->password_start) {
        (void)error_set(ret_error, ERR_INVALID, "the URL contains a user name or password");
        error_hint(ret_error, "send an Authorization header instead");
        return ERR_INVALID;
    }
    return OK;
}

enum err client_url_parse(struct arena *a, struct slice text, const struct client_url *base,
                          struct client_url *ret_url, struct error *ret_error)
{
    struct deps_url u;
    if (text.len > HOP_URL_BYTES_MAX)
        return error_set(ret_error, ERR_INVALID, "the URL is longer than %d KiB",
                         HOP_URL_BYTES_MAX / 1024);
    text = url_ascii(a, text);
    if (!deps_url_parse(text.ptr ? text.ptr : "", text.len, base ? base->href.ptr : NULL,
                        base ? base->href.len : 0, &u))
        return error_set(ret_error, ERR_INVALID, "'%.*s' is not a valid URL",
                         (int)(text.len < 200 ? text.len : 200), text.ptr ? text.ptr : "");
    enum err err = url_check(&u, ret_error);
    if (!err)
        url_fill(a, &u, ret_url);
    deps_url_done(&u);
    return err;
}

/* The methods that the standard knows in upper case are meant in any case. */
static struct slice method_normalize(struct slice method)
{
    for (const char *const *m = methods_upper; *m; m++) {
        if (slice_eq_nocase(method, slice_cstr(*m)))
            return slice_cstr(*m);
    }
    return method;
}

static enum err request_take_headers(struct http_fetch_state *s, struct error *ret_error)
{
    const struct http_fetch *f = s->fetch;
    s->headers = arena_array(s->arena, f->headers_len + 1, sizeof(*s->headers));
    s->upload_len = -1;
    size_t bytes = 0;
    for (size_t i = 0; i < f->headers_len; i++) {
        struct slice name = f->headers[i].name, value = slice_trim(f->headers[i].value);
        uint64_t len;
        if (!grammar_is_token(name) || !grammar_all(value, GRAMMAR_FIELD))
            return error_set(ret_error, ERR_INVALID, "header '%.*s' has an invalid name or value",
                             (int)(name.len < 100 ? name.len : 100), name.ptr ? name.ptr : "");
        bytes += name.len + value.len + 4;
        if (bytes > CLIENT_REQUEST_HEAD_BYTES)
            return error_set(ret_error, ERR_TOO_LARGE,
                             "the headers of the request are larger than %d KiB",
                             CLIENT_REQUEST_HEAD_BYTES / 1024);
        /* A streamed body of known length is sent with it, not in chunks. */
        if (f->is_streaming && slice_eq_nocase(name, SLICE_LIT("content-length")) &&
            slice_to_u64(value, &len) && len <= INT64_MAX)
            s->upload_len = (int64_t)len;
        if (is_one_of(name, headers_ours))
            continue;
        s->headers[s->headers_len++] =
            (struct http_header){arena_copy(s->arena, name), arena_copy(s->arena, value)};
    }
    return OK;
}

enum err client_request_take(struct http_fetch_state *s, struct error *ret_error)
{
    const struct http_fetch *f = s->fetch;
    s->method = method_normalize(f->method);
    if (!grammar_is_token(s->method) || s->method.len > 40 || is_one_of(s->method, methods_refused))
        return error_set(ret_error, ERR_INVALID, "method '%.*s' cannot be used",
                         (int)(f->method.len < 40 ? f->method.len : 40),
                         f->method.ptr ? f->method.ptr : "");
    s->method = arena_copy(s->arena, s->method);
    s->has_body = f->is_streaming || f->body.len > 0;
    if (s->has_body && (slice_eq_cstr(s->method, "GET") || slice_eq_cstr(s->method, "HEAD")))
        return error_set(ret_error, ERR_INVALID, "a %.*s request cannot have a body",
                         SLICE_ARG(s->method));
    s->body = f->body;
    enum err err = client_url_parse(s->arena, f->url, NULL, &s->url, ret_error);
    return err ? err : request_take_headers(s, ret_error);
}

static void headers_drop(struct http_fetch_state *s, const char *const *names)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->headers_len; i++) {
        if (!is_one_of(s->headers[i].name, names))
            s->headers[kept++] = s->headers[i];
    }
    s->headers_len = kept;
}

/* The method and body of the next hop after this status. */
static enum err redirect_method(struct http_fetch_state *s, struct error *ret_error)
{
    bool is_post = slice_eq_cstr(s->method, "POST");
    bool is_get = slice_eq_cstr(s->method, "GET") || slice_eq_cstr(s->method, "HEAD");
    if ((s->status == 303 && !is_get) || ((s->status == 301 || s->status == 302) && is_post)) {
        s->method = SLICE_LIT("GET");
        s->has_body = false;
        s->body = SLICE_EMPTY;
        s->body_at = 0;
        s->is_discarding_upload = s->fetch->is_streaming;
        headers_drop(s, headers_of_body);
        return OK;
    }
    if (s->has_body && s->fetch->is_streaming) {
        (void)error_set(
            ret_error, ERR_NETWORK,
            "'%.*s' redirects a request whose body was streamed and cannot be sent again",
            SLICE_ARG(s->url.host));
        error_hint(ret_error, "give the body as a string or buffer, or use the final URL");
        return ERR_NETWORK;
    }
    return OK;
}

enum err client_hop_redirect(struct http_fetch_state *s, struct error *ret_error)
{
    struct client_url next = {0};
    if (s->hops == LIMIT_FETCH_REDIRECTS)
        return error_set(ret_error, ERR_NETWORK, "more than %d redirects, the last from '%.*s'",
                         LIMIT_FETCH_REDIRECTS, SLICE_ARG(s->url.host));
    enum err err = client_url_parse(s->arena, s->location, &s->url, &next, ret_error);
    if (err) {
        if (ret_error)
            ret_error->code = ERR_NETWORK;
        return error_context(ret_error, ERR_NETWORK, "redirect from '%.*s'",
                             SLICE_ARG(s->url.host));
    }
    err = redirect_method(s, ret_error);
    if (err)
        return err;
    if (!slice_eq(next.origin, s->url.origin))
        headers_drop(s, headers_of_origin);
    s->url = next;
    s->hops++;
    return OK;
}

static struct url_target hop_target(const struct http_fetch_state *s)
{
    return (struct url_target){.is_tls = s->url.is_tls,
                               .host = s->url.host,
                               .port = s->url.port,
                               .path = s->url.path,
                               .arena = s->arena};
}

static enum err fill_too_large(struct error *ret_error)
{
    return error_set(ret_error, ERR_TOO_LARGE,
                     "the headers of the request are larger than %d KiB with its secrets filled in",
                     CLIENT_REQUEST_HEAD_BYTES / 1024);
}

enum err client_hop_fill(struct http_fetch_state *s, struct error *ret_error)
{
    s->sent = s->headers;
    if (s->fetch->placeholders_len == 0)
        return OK;
    struct url_target target = hop_target(s);
    struct placeholder_fill fill =
        placeholder_fill_for(s->fetch->placeholders, s->fetch->placeholders_len, &target);
    struct http_header *sent = arena_array(s->arena, s->headers_len + 1, sizeof(*sent));
    size_t bytes = 0;
    for (size_t i = 0; i < s->headers_len; i++) {
        sent[i] = s->headers[i];
        enum err err = placeholder_fill(&fill, sent[i].name, &sent[i].value, ret_error);
        if (err)
            return err;
        bytes += sent[i].name.len + sent[i].value.len + 4;
        if (bytes > CLIENT_REQUEST_HEAD_BYTES)
            return fill_too_large(ret_error);
    }
    s->sent = sent;
    return OK;
}

static void slist_add(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (!longer)
        check_out_of_memory(strlen(text));
    *list = longer;
}

static void lines_add(struct http_fetch_state *s, const char *line)
{
    slist_add(&s->lines, line);
}

static void names_add(struct http_fetch_state *s, const char *line)
{
    slist_add(&s->names, line);
}

static void lines_build(struct http_fetch_state *s)
{
    bool has_agent = false, has_type = false, has_codings = false;
    for (size_t i = 0; i < s->headers_len; i++) {
        const struct http_header *h = &s->sent[i];
        has_agent |= slice_eq_nocase(h->name, SLICE_LIT("user-agent"));
        has_type |= slice_eq_nocase(h->name, SLICE_LIT("content-type"));
        has_codings |= slice_eq_nocase(h->name, SLICE_LIT("accept-encoding"));
        /* "name;" is how curl is told to send an empty value. */
        lines_add(s, h->value.len ? arena_printf(s->arena, "%.*s: %.*s", SLICE_ARG(h->name),
                                                 SLICE_ARG(h->value))
                                  : arena_printf(s->arena, "%.*s;", SLICE_ARG(h->name)));
    }
    if (!has_codings)
        lines_add(s, "Accept-Encoding: gzip, deflate, br, zstd");
    if (!has_agent)
        lines_add(s, "User-Agent: Limpet/" LIMPET_VERSION);
    if (!has_type)
        lines_add(s, "Content-Type:"); /* or curl would say it is a form */
    lines_add(s, "Expect:");
}

#define SET(option, value) CHECK(curl_easy_setopt(s->easy, (option), (value)) == CURLE_OK)

static void hop_set_method(struct http_fetch_state *s)
{
    const char *method = arena_cstr(s->arena, s->method);
    if (s->has_body && s->fetch->is_streaming) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->upload_len);
        SET(CURLOPT_READFUNCTION, client_upload_read);
        SET(CURLOPT_READDATA, s);
        SET(CURLOPT_SEEKFUNCTION, client_upload_seek);
        SET(CURLOPT_SEEKDATA, s);
        SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (s->has_body && s->fetch->is_lent) {
        s->body_at = 0;
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->body.len);
        SET(CURLOPT_READFUNCTION, client_lent_read);
        SET(CURLOPT_READDATA, s);
        SET(CURLOPT_SEEKFUNCTION, client_lent_seek);
        SET(CURLOPT_SEEKDATA, s);
        SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (s->has_body || slice_eq_cstr(s->method, "POST") || slice_eq_cstr(s->method, "PUT")) {
        /* Without a body these say "Content-Length: 0". */
        SET(CURLOPT_POSTFIELDS, s->body.len ? s->body.ptr : "");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->body.len);
        SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (slice_eq_cstr(s->method, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
}

/* Curl has the addresses from us, or knows them from the URL. */
static int on_curl_resolves(void *resolver_state, void *reserved, void *arg)
{
    const struct http_fetch_state *s = arg;
    (void)resolver_state;
    (void)reserved;
    return s->url.is_address ? 0 : 1;
}

/* "+": curl forgets it after CLIENT_CURL_NAMES_S; its table is shared by all, so each hop says what
 * it goes by. */
static void hop_set_addresses(struct http_fetch_state *s)
{
    if (s->url.is_address)
        return;
    struct slice host = s->url.host, addresses = bytes_slice(&s->resolve.addresses);
    names_add(s, arena_printf(s->arena, "+%.*s:%d:%.*s", SLICE_ARG(host), s->url.port,
                              SLICE_ARG(addresses)));
    if (slice_ends(host, SLICE_LIT("."))) /* versions of curl differ in whether they keep it */
        names_add(s, arena_printf(s->arena, "+%.*s:%d:%.*s", (int)host.len - 1, host.ptr,
                                  s->url.port, SLICE_ARG(addresses)));
    SET(CURLOPT_RESOLVE, s->names);
}

/* "192.0.2.1" or "[2001:db8::1]". */
static bool address_read(struct slice text, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    char copy[INET6_ADDRSTRLEN];
    bool is_v6 = text.len > 2 && text.ptr[0] == '[';
    if (is_v6)
        text = slice_of(text.ptr + 1, text.len - 2);
    if (text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    memset(ret, 0, sizeof(*ret));
    ret->ss_family = is_v6 ? AF_INET6 : AF_INET;
    return is_v6 ? inet_pton(AF_INET6, copy, &v6->sin6_addr) == 1
                 : inet_pton(AF_INET, copy, &v4->sin_addr) == 1;
}

enum err client_hop_pick(struct http_fetch_state *s, struct error *ret_error)
{
    if (s->url.is_address)
        return OK;
    struct error refusal = {0};
    CLEANUP(bytes_done) struct bytes allowed = BYTES_INIT;
    struct slice rest = bytes_slice(&s->resolve.addresses);
    while (rest.len) {
        struct slice text = slice_split(&rest, ',');
        struct sockaddr_storage address;
        CHECK(address_read(text, &address)); /* the resolver has written it */
        if (egress_check_address(s->fetch->egress, s->url.host, s->url.port,
                                 (struct sockaddr *)&address, &refusal) != OK)
            continue;
        bytes_printf(&allowed, "%s%.*s", allowed.len ? "," : "", SLICE_ARG(text));
    }
    if (!allowed.len && refusal.code) {
        *ret_error = refusal;
        return refusal.code;
    }
    bytes_clear(&s->resolve.addresses);
    bytes_append_slice(&s->resolve.addresses, bytes_slice(&allowed));
    return OK;
}

enum err client_hop_check(struct http_fetch_state *s, struct error *ret_error)
{
    struct url_target target = hop_target(s);
    enum err err = egress_check_domain(s->fetch->domains, s->url.host, s->url.port, ret_error);
    if (err || !s->fetch->may_send)
        return err;
    return s->fetch->may_send(s->fetch, s->method, &target, ret_error);
}

void client_hop_set_up(struct http_fetch_state *s)
{
    s->easy = client_easy_take(s->client);
    s->curl_error[0] = 0;
    SET(CURLOPT_PRIVATE, s);
    SET(CURLOPT_ERRORBUFFER, s->curl_error);
    SET(CURLOPT_URL, arena_cstr(s->arena, s->url.href));
    SET(CURLOPT_PATH_AS_IS, 1L); /* the URL is normalized already */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)LIMIT_FETCH_CONNECT_MS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L); /* a peer that is gone is noticed, however long we may wait */
    SET(CURLOPT_DNS_CACHE_TIMEOUT, (long)CLIENT_CURL_NAMES_S);
    SET(CURLOPT_RESOLVER_START_FUNCTION, on_curl_resolves);
    SET(CURLOPT_RESOLVER_START_DATA, s);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, ""); /* nothing from the environment */
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    if (s->client->ca_file) {
        SET(CURLOPT_CAINFO, s->client->ca_file);
        SET(CURLOPT_CAPATH, (char *)NULL); /* the system's folder of them would be trusted, too */
    }
    hop_set_addresses(s);
    hop_set_method(s);
    lines_build(s);
    SET(CURLOPT_HTTPHEADER, s->lines);
}

size_t client_upload_read(char *buffer, size_t size, size_t count, void *arg)
{
    struct http_fetch_state *s = arg;
    size_t len = s->upload.len - s->upload_at;
    if (s->is_cancelled || s->failure.code)
        return CURL_READFUNC_ABORT;
    if (len == 0 && !s->upload_ended) {
        s->is_send_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (len > size * count)
        len = size * count;
    client_progress(s);
    if (len)
        memcpy(buffer, s->upload.ptr + s->upload_at, len);
    s->upload_at += len;
    /* Drop what was read, once the body is past being rewound, and only when that moves little. */
    if (s->upload_cut + s->upload_at > CLIENT_REWIND_BYTES && s->upload_at * 2 >= s->upload.len) {
        s->upload_cut += s->upload_at;
        bytes_consume(&s->upload, s->upload_at);
        s->upload_at = 0;
    }
    if (s->is_upload_full && s->upload.len - s->upload_at < LIMIT_HTTP_OUT_HIGH_BYTES / 2) {
        s->is_upload_full = false;
        if (s->fetch->on_drain)
            s->fetch->on_drain(s->fetch);
    }
    return len;
}

int client_upload_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_fetch_state *s = arg;
    if (offset != 0 || origin != SEEK_SET || s->upload_cut)
        return CURL_SEEKFUNC_CANTSEEK;
    s->upload_at = 0;
    return CURL_SEEKFUNC_OK;
}

size_t client_lent_read(char *buffer, size_t size, size_t count, void *arg)
{
    struct http_fetch_state *s = arg;
    if (s->is_cancelled || s->failure.code)
        return CURL_READFUNC_ABORT;
    size_t len = s->body.len - s->body_at;
    if (len > size * count)
        len = size * count;
    client_progress(s);
    if (len)
        memcpy(buffer, s->body.ptr + s->body_at, len);
    s->body_at += len;
    return len;
}

/* For a redirect, or when a pooled connection was dead. */
int client_lent_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_fetch_state *s = arg;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > s->body.len)
        return CURL_SEEKFUNC_CANTSEEK;
    s->body_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}
