/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes a response's head line by line, as curl hands it over (HTTP/2 heads come in the same
 * shape), and at its end decides: an interim answer is forgotten, a redirect is followed or
 * refused, anything else goes to the caller. Sizes are bounded. Loop thread, inside of curl. */
#include <string.h>

#include "http/client_internal.h"
#include "http/decode.h"

static bool head_refuse(struct http_fetch_state *s, const char *what)
{
    (void)error_set(&s->failure, ERR_NETWORK, "'%.*s' answered with %s", SLICE_ARG(s->url.host),
                    what);
    return false;
}

static void head_reset(struct http_fetch_state *s)
{
    s->response_len = 0;
    s->status = 0;
    s->status_text = SLICE_EMPTY;
    s->has_location = false;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200 " */
static bool head_status(struct http_fetch_state *s, struct slice line)
{
    struct slice rest = line;
    uint64_t status;
    head_reset(s);
    (void)slice_split(&rest, ' ');
    if (!slice_to_u64(slice_split(&rest, ' '), &status) || status < 100 || status > 999)
        return head_refuse(s, "a malformed status line");
    s->status = (int)status;
    s->status_text = arena_copy(s->arena, slice_trim(rest));
    return true;
}

static struct slice head_lower(struct arena *a, struct slice name)
{
    char *out = arena_alloc(a, name.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return slice_of(out, name.len);
}

/* Curl undoes transfer encodings other than chunks by itself and without bounds, and takes a length
 * that is too large for none. */
static bool head_check_framing(struct http_fetch_state *s, struct slice name, struct slice value)
{
    uint64_t length;
    if (slice_eq_nocase(name, SLICE_LIT("transfer-encoding")) &&
        !slice_eq_nocase(value, SLICE_LIT("chunked")) &&
        !slice_eq_nocase(value, SLICE_LIT("identity")))
        return head_refuse(s, "a transfer-encoding that was not asked for");
    if (slice_eq_nocase(name, SLICE_LIT("content-length")) &&
        (!slice_to_u64(value, &length) || length > INT64_MAX))
        return head_refuse(s, "a content-length that is none");
    return true;
}

static bool head_field(struct http_fetch_state *s, struct slice line)
{
    struct slice value = line, name = slice_split(&value, ':');
    if (name.len == line.len)
        return true; /* no colon: not a header */
    if (s->response_len == CLIENT_HEADERS_MAX)
        return head_refuse(s, "too many headers");
    name = slice_trim(name);
    value = slice_trim(value);
    if (!head_check_framing(s, name, value))
        return false;
    if (!s->response)
        s->response = arena_array(s->arena, CLIENT_HEADERS_MAX, sizeof(*s->response));
    s->response[s->response_len++] =
        (struct http_header){head_lower(s->arena, name), arena_copy(s->arena, value)};
    return true;
}

/* A line that begins with white space continues the one before (obsolete, but sent). */
static void head_continue(struct http_fetch_state *s, struct slice line)
{
    if (!s->response_len)
        return;
    struct slice *value = &s->response[s->response_len - 1].value;
    line = slice_trim(line);
    const char *joined = arena_printf(s->arena, "%.*s %.*s", SLICE_ARG(*value), SLICE_ARG(line));
    *value = slice_cstr(joined);
}

static const struct http_header *head_find(const struct http_fetch_state *s, const char *name)
{
    for (size_t i = 0; i < s->response_len; i++) {
        if (slice_eq_cstr(s->response[i].name, name))
            return &s->response[i];
    }
    return NULL;
}

static bool head_has_no_body(const struct http_fetch_state *s)
{
    return s->status == 204 || s->status == 205 || s->status == 304 ||
           slice_eq_cstr(s->method, "HEAD");
}

/* What is to be undone of the body; empty: nothing, or nothing that could be. */
static struct slice head_codings(const struct http_fetch_state *s)
{
    struct slice all = SLICE_EMPTY;
    if (s->has_no_body)
        return all;
    for (size_t i = 0; i < s->response_len; i++) {
        struct slice value = s->response[i].value;
        if (!slice_eq_cstr(s->response[i].name, "content-encoding"))
            continue;
        all =
            all.len
                ? slice_cstr(arena_printf(s->arena, "%.*s, %.*s", SLICE_ARG(all), SLICE_ARG(value)))
                : value;
    }
    return decode_knows(all) ? all : SLICE_EMPTY;
}

/* The guest gets a decoded, unframed body: headers that describe it otherwise would be wrong, above
 * all where it passes them on with a body of its own. */
static void head_clean(struct http_fetch_state *s, bool is_decoded)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->response_len; i++) {
        struct slice name = s->response[i].name;
        if (slice_eq_cstr(name, "transfer-encoding") || slice_eq_cstr(name, "connection") ||
            slice_eq_cstr(name, "keep-alive") || slice_eq_cstr(name, "trailer") ||
            slice_eq_cstr(name, "upgrade") || slice_eq_cstr(name, "proxy-connection"))
            continue;
        if (is_decoded &&
            (slice_eq_cstr(name, "content-encoding") || slice_eq_cstr(name, "content-length")))
            continue;
        s->response[kept++] = s->response[i];
    }
    s->response_len = kept;
}

/* struct bytes only by type: storage is the arena's and goes with it. */
static struct bytes head_borrow(struct slice s)
{
    return (struct bytes){.ptr = (char *)(uintptr_t)s.ptr, .len = s.len, .cap = s.len};
}

/* Where no body may follow, curl would still wait for one, or take it for the next answer. */
static bool head_promises_body(const struct http_fetch_state *s)
{
    const struct http_header *length = head_find(s, "content-length");
    return s->status == 205 || (s->status == 204 && length && !slice_eq_cstr(length->value, "0"));
}

static bool head_deliver(struct http_fetch_state *s)
{
    struct http_fetch *f = s->fetch;
    bool goes_on = !head_promises_body(s);
    s->has_no_body = head_has_no_body(s);
    f->codings = head_codings(s);
    f->has_no_body = s->has_no_body;
    head_clean(s, f->codings.len > 0);
    s->state = CLIENT_BODY;
    f->status = s->status;
    f->status_text = head_borrow(s->status_text);
    f->final_url = head_borrow(s->url.href);
    f->ret_headers = s->response;
    f->ret_headers_len = s->response_len;
    f->was_redirected = s->hops > 0;
    if (f->on_head && !s->is_cancelled)
        f->on_head(f);
    return goes_on;
}

static bool head_is_redirect(const struct http_fetch_state *s)
{
    return s->status == 301 || s->status == 302 || s->status == 303 || s->status == 307 ||
           s->status == 308;
}

static bool head_complete(struct http_fetch_state *s)
{
    if (!s->status)
        return head_refuse(s, "headers but no status line");
    if (s->status >= 100 && s->status < 200 && s->status != 101) {
        head_reset(s);
        return true;
    }
    if (s->status == 101 && s->fetch->upgrades)
        return head_deliver(s);
    if (s->status == 101)
        return head_refuse(s, "a change of protocol that was not asked for");
    const struct http_header *location = head_find(s, "location");
    if (!head_is_redirect(s) || !location || s->fetch->redirect == HTTP_REDIRECT_MANUAL)
        return head_deliver(s);
    if (s->fetch->redirect == HTTP_REDIRECT_ERROR)
        return head_refuse(s, "a redirect, which this request does not allow");
    s->location = location->value;
    s->has_location = true;
    s->state = CLIENT_DISCARD;
    s->discarded = 0;
    /* What is left of a streamed body is not wanted there. */
    return !(s->has_body && s->fetch->is_streaming);
}

bool client_head_line(struct http_fetch_state *s, struct slice line)
{
    if (s->is_cancelled || s->failure.code)
        return false;
    s->head_bytes += line.len;
    if (s->head_bytes > LIMIT_HTTP_HEAD_BYTES)
        return head_refuse(s, "larger headers than are read (64 KiB)");
    if (s->state != CLIENT_WAIT_HEAD)
        return true; /* trailers */
    while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (!line.len)
        return head_complete(s);
    if (slice_starts(line, SLICE_LIT("HTTP/")))
        return head_status(s, line);
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        head_continue(s, line);
        return true;
    }
    return head_field(s, line);
}
