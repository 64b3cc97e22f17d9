/* SPDX-License-Identifier: Apache-2.0
 *
 * Which asset answers: redirects of the author, the path itself, what html_handling makes of it, then what
 * is said for paths without any. The rules are those of Workers' static assets
 * (https://developers.cloudflare.com/workers/static-assets/routing/). */
#include <stdio.h>

#include "asset/internal.h"

/* ---- paths ---- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The path of a target, with %XX decoded. */
static struct slice decode_path(struct arena *arena, struct slice target, struct slice *ret_query)
{
    const ptrdiff_t mark = slice_find(target, '?');
    const size_t len = mark < 0 ? target.len : (size_t)mark;
    *ret_query = slice_skip(target, len);
    char *out = arena_alloc(arena, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const int high = target.ptr[i] == '%' && i + 2 < len ? hex_value(target.ptr[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(target.ptr[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high * 16 + low) : target.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return slice_of(out, n);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           memchr("-._~!$&'()*+,;=:@/", c, 18);
}

static void encode_path(struct slice path, struct bytes *out)
{
    for (size_t i = 0; i < path.len; i++) {
        if (is_plain(path.ptr[i]))
            bytes_append_char(out, path.ptr[i]);
        else
            bytes_printf(out, "%%%02X", (unsigned char)path.ptr[i]);
    }
}

/* Texts that are made on the way; short, so they live on the stack. */
struct path_text {
    char text[ASSETS_PATH_BYTES_MAX + 16];
    size_t len;
};

static struct slice path_join(struct path_text *t, struct slice path, const char *behind)
{
    const int n = snprintf(t->text, sizeof(t->text), "%.*s%s", SLICE_ARG(path), behind);
    t->len = n > 0 && (size_t)n < sizeof(t->text) ? (size_t)n : 0;
    return slice_of(t->text, t->len);
}

static struct slice without_end(struct slice path, size_t n)
{
    return slice_of(path.ptr, path.len - n);
}

static bool ends(struct slice path, const char *end)
{
    return slice_ends(path, slice_cstr(end));
}

static const struct asset *find(const struct assets *a, struct slice path, const char *behind)
{
    struct path_text t;
    if (path.len > ASSETS_PATH_BYTES_MAX)
        return NULL;
    return assets_find(a, behind[0] ? path_join(&t, path, behind) : path);
}

/* ---- html_handling ---- */

struct html_answer {
    const struct asset *asset; /* that answers the path, */
    struct slice location;     /* or where to go, part of the path, */
    const char *slash;         /* with this behind it */
    bool is_redirect;
};

static struct html_answer html_at(const struct assets *a, struct slice path);

/* Goes there if that file is there and going there finds it. */
static bool html_go(const struct assets *a, const struct asset *file, struct slice to,
                    const char *slash, struct html_answer *ret)
{
    struct path_text t;
    if (!file || to.len > ASSETS_PATH_BYTES_MAX)
        return false;
    const struct html_answer there = html_at(a, path_join(&t, to, slash));
    if (there.is_redirect || there.asset != file)
        return false;
    *ret = (struct html_answer){.location = to, .slash = slash, .is_redirect = true};
    return true;
}

/* Where pages are: those named like their path without ".html", and those named like their folder. */
struct html_style {
    const char *page;   /* behind the name of "/page.html" */
    const char *folder; /* behind the folder of "/folder/index.html" */
};

/* The page at a path that has its style's form, or a redirect from one that has not. */
static struct html_answer html_style_at(const struct assets *a, struct slice path,
                                        const struct html_style *s)
{
    struct html_answer r = {0};
    const struct asset *exact = find(a, path, "");
    const bool is_root = path.len == 1;
    if (ends(path, "/index.html") || ends(path, "/index")) {
        const bool is_file = ends(path, ".html");
        const struct slice folder = without_end(path, is_file ? 11 : 6);
        if (!is_file && exact) {
            r.asset = exact;
            return r;
        }
        if (html_go(a, find(a, folder, "/index.html"), folder, folder.len == 0 ? "/" : s->folder,
                    &r) ||
            (folder.len > 0 && html_go(a, find(a, folder, ".html"), folder, s->page, &r)))
            return r;
    } else if (ends(path, "/")) {
        const struct slice name = without_end(path, 1);
        if (is_root || s->folder[0] == '/')
            r.asset = find(a, path, "index.html");
        if (!r.asset && !is_root && s->page[0] == '/')
            r.asset = find(a, name, ".html");
        if (r.asset)
            return r;
        if (!is_root && (html_go(a, find(a, name, "/index.html"), name, s->folder, &r) ||
                         html_go(a, find(a, name, ".html"), name, s->page, &r)))
            return r;
    } else if (ends(path, ".html")) {
        const struct slice name = without_end(path, 5);
        if (html_go(a, exact, name, s->page, &r) ||
            html_go(a, find(a, name, "/index.html"), name, s->folder, &r))
            return r;
    }
    r.asset = exact;
    if (r.asset || ends(path, "/"))
        return r;
    if (s->page[0] != '/')
        r.asset = find(a, path, ".html");
    if (!r.asset && s->folder[0] != '/')
        r.asset = find(a, path, "/index.html");
    if (!r.asset && !html_go(a, find(a, path, ".html"), path, s->page, &r))
        (void)html_go(a, find(a, path, "/index.html"), path, s->folder, &r);
    return r;
}

static struct html_answer html_at(const struct assets *a, struct slice path)
{
    static const struct html_style styles[] = {
        [ASSET_HTML_AUTO] = {"", "/"},
        [ASSET_HTML_FORCE] = {"/", "/"},
        [ASSET_HTML_DROP] = {"", ""},
    };
    if (a->html != ASSET_HTML_NONE)
        return html_style_at(a, path, &styles[a->html]);
    return (struct html_answer){.asset = find(a, path, "")};
}

/* ---- redirects ---- */

/* "https://HOST/path" for rules that name a host. */
static struct slice with_host(const struct asset_request *r, struct slice path, struct arena *arena)
{
    return slice_cstr(arena_printf(arena, "https://%.*s%.*s", SLICE_ARG(r->host), SLICE_ARG(path)));
}

/* A path that browsers would read as another host is one of this. */
static struct slice own_path(struct slice location)
{
    while (location.len > 1 && location.ptr[0] == '/' &&
           (location.ptr[1] == '/' || location.ptr[1] == '\\'))
        location = slice_skip(location, 1);
    if (location.len > 1 && location.ptr[0] == '\\')
        location = slice_skip(location, 1);
    return location;
}

static bool redirect_at(const struct assets *a, const struct asset_request *r, struct slice path,
                        struct slice query, struct arena *arena, struct asset_answer *ret)
{
    struct pattern_match match;
    struct slice url = SLICE_EMPTY;
    for (size_t i = 0; i < a->redirects_len; i++) {
        const struct rule_redirect *rule = &a->redirects[i];
        if (rule->has_host && url.len == 0)
            url = with_host(r, path, arena);
        if (!pattern_matches(&rule->from, rule->has_host ? url : path, &match))
            continue;
        CLEANUP(bytes_done) struct bytes to = BYTES_INIT;
        pattern_fill(rule->to, &match, &to);
        if (rule->status == 200) {
            const struct html_answer there = html_at(a, bytes_slice(&to));
            if (!there.asset)
                continue;
            *ret = (struct asset_answer){.kind = ASSET_FILE, .status = 200, .asset = there.asset};
            return true;
        }
        CLEANUP(bytes_done) struct bytes location = BYTES_INIT;
        for (size_t k = 0; k < to.len; k++) { /* what matched may hold anything */
            if ((unsigned char)to.ptr[k] <= ' ' || (unsigned char)to.ptr[k] >= 0x7f)
                bytes_printf(&location, "%%%02X", (unsigned char)to.ptr[k]);
            else
                bytes_append_char(&location, to.ptr[k]);
        }
        if (query.len > 0 && slice_find(bytes_slice(&location), '?') < 0 &&
            slice_find(bytes_slice(&location), '#') < 0)
            bytes_append_slice(&location, query);
        struct slice text = bytes_slice(&location);
        if (rule->to.ptr[0] == '/')
            text = own_path(text);
        *ret = (struct asset_answer){
            .kind = ASSET_REDIRECT, .status = rule->status, .location = arena_copy(arena, text)};
        return true;
    }
    return false;
}

/* ---- paths without a file ---- */

/* The nearest 404.html above. */
static const struct asset *not_found_page(const struct assets *a, struct slice path)
{
    while (path.len > 0) {
        while (path.len > 0 && path.ptr[path.len - 1] != '/')
            path.len--;
        const struct asset *page = path.len > 0 ? find(a, path, "404.html") : NULL;
        if (page)
            return page;
        path.len -= path.len > 0;
    }
    return NULL;
}

static void answer_missing(const struct assets *a, const struct asset_request *r, struct slice path,
                           struct asset_answer *ret)
{
    const bool is_pages = a->not_found != ASSET_NOT_FOUND_NONE;
    if (a->has_code && !r->is_from_code && !(is_pages && a->prefers_pages && r->is_navigation)) {
        ret->kind = ASSET_CODE;
        return;
    }
    ret->kind = ASSET_NOTHING;
    ret->status = 404;
    if (!is_pages)
        return;
    const bool is_spa = a->not_found == ASSET_NOT_FOUND_SPA;
    ret->asset = is_spa ? find(a, SLICE_LIT("/index.html"), "") : not_found_page(a, path);
    if (ret->asset) {
        ret->kind = ASSET_FILE;
        ret->status = is_spa ? 200 : 404;
    }
}

void assets_answer(const struct assets *a, const struct asset_request *r, struct arena *arena,
                   struct asset_answer *ret_answer)
{
    struct slice query;
    const struct slice path = decode_path(arena, r->target, &query);
    const bool is_read = slice_eq_cstr(r->method, "GET") || slice_eq_cstr(r->method, "HEAD");
    *ret_answer = (struct asset_answer){.kind = ASSET_CODE};
    if (a->has_code && !r->is_from_code &&
        (a->is_code_first || asset_patterns_match(&a->code_first, path)))
        return;
    if (!is_read) {
        const bool is_ours = !a->has_code || r->is_from_code;
        ret_answer->kind = is_ours ? ASSET_METHOD : ASSET_CODE;
        ret_answer->status = 405;
        return;
    }
    if (redirect_at(a, r, path, query, arena, ret_answer))
        return;
    const struct html_answer at = html_at(a, path);
    if (at.is_redirect) {
        CLEANUP(bytes_done) struct bytes location = BYTES_INIT;
        encode_path(at.location, &location);
        bytes_append_cstr(&location, at.slash);
        bytes_append_slice(&location, query);
        *ret_answer = (struct asset_answer){.kind = ASSET_REDIRECT,
                                            .status = 307,
                                            .location = arena_copy(arena, bytes_slice(&location))};
    } else if (at.asset) {
        *ret_answer = (struct asset_answer){.kind = ASSET_FILE, .status = 200, .asset = at.asset};
    } else {
        answer_missing(a, r, path, ret_answer);
    }
}

/* ---- headers ---- */

static size_t header_put(struct http_header *headers, size_t len, struct slice name,
                         struct slice value, bool is_removal)
{
    for (size_t i = 0; i < len; i++) {
        if (!slice_eq(headers[i].name, name))
            continue;
        if (is_removal)
            headers[i] = headers[--len];
        else
            headers[i].value = value;
        return len;
    }
    if (!is_removal && len < ASSET_HEADERS_MAX)
        headers[len++] = (struct http_header){name, value};
    return len;
}

static size_t headers_of_rule(const struct rule_headers *rule, const struct pattern_match *match,
                              struct arena *arena, struct http_header *headers, size_t len)
{
    for (size_t i = 0; i < rule->len; i++) {
        const struct rule_header *h = &rule->headers[i];
        CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
        pattern_fill(h->value, match, &value);
        for (size_t k = 0; k < value.len; k++) /* what matched may hold anything */
            if ((unsigned char)value.ptr[k] < ' ')
                value.ptr[k] = ' ';
        len = header_put(headers, len, h->name, arena_copy(arena, bytes_slice(&value)),
                         h->is_removal);
    }
    return len;
}

size_t assets_headers(const struct assets *a, const struct asset_request *r,
                      const struct asset_answer *answer, struct arena *arena,
                      struct http_header ret_headers[ASSET_HEADERS_MAX])
{
    struct slice query, url = SLICE_EMPTY;
    const struct slice path = decode_path(arena, r->target, &query);
    size_t len = 0;
    ret_headers[len++] = (struct http_header){SLICE_LIT("content-type"), answer->asset->type};
    ret_headers[len++] = (struct http_header){
        SLICE_LIT("cache-control"), asset_patterns_match(&a->immutable, answer->asset->path)
                                        ? SLICE_LIT("public, max-age=31536000, immutable")
                                        : SLICE_LIT("public, max-age=0, must-revalidate")};
    for (size_t i = 0; i < a->headers_len; i++) {
        const struct rule_headers *rule = &a->headers[i];
        struct pattern_match match;
        if (rule->has_host && url.len == 0)
            url = with_host(r, path, arena);
        if (pattern_matches(&rule->pattern, rule->has_host ? url : path, &match))
            len = headers_of_rule(rule, &match, arena, ret_headers, len);
    }
    return len;
}
