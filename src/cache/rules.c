/* SPDX-License-Identifier: Apache-2.0
 *
 * See rules.h. */
#include "cache/rules.h"

#include <curl/curl.h>
#include <string.h>

#include "asset/assets.h"

#define CACHE_FRESH_MAX_S (INT64_C(365) * 24 * 3600)

struct slice cache_header(struct cache_headers h, const char *name)
{
    for (size_t i = 0; i < h.len; i++)
        if (slice_eq_cstr(h.list[i].name, name))
            return h.list[i].value;
    return SLICE_EMPTY;
}

int64_t cache_date_ms(struct slice text)
{
    char copy[64];
    text = slice_trim(text);
    if (text.len == 0 || text.len >= sizeof(copy))
        return -1;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    int64_t at = curl_getdate(copy, NULL);
    return at < 0 ? -1 : at * 1000;
}

/* ---- Cache-Control ---- */

struct directives {
    bool no_store, no_cache, is_private, is_cookie_private;
    int64_t max_age_s, s_maxage_s; /* -1: not said */
};

/* A number of seconds, as large as it may be if it is larger; what is none is 0: stale at once. */
static int64_t directive_seconds(struct slice value)
{
    uint64_t s = 0;
    value = slice_trim(value);
    if (value.len > 1 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = slice_of(value.ptr + 1, value.len - 2);
    if (!slice_to_u64(value, &s))
        return 0;
    return s > (uint64_t)CACHE_FRESH_MAX_S ? CACHE_FRESH_MAX_S : (int64_t)s;
}

/* The next member of a list in which commas may stand inside of quotes. */
static struct slice directive_next(struct slice *list)
{
    bool is_quoted = false;
    size_t i = 0;
    for (; i < list->len && (is_quoted || list->ptr[i] != ','); i++)
        is_quoted ^= list->ptr[i] == '"';
    struct slice member = slice_of(list->ptr, i);
    *list = slice_skip(*list, i < list->len ? i + 1 : i);
    return slice_trim(member);
}

static bool names_cookies_only(struct slice value)
{
    value = slice_trim(value);
    if (value.len > 1 && value.ptr[0] == '"')
        value = slice_of(value.ptr + 1, value.len - 2);
    return slice_eq_nocase(slice_trim(value), SLICE_LIT("set-cookie"));
}

static void directive_read(struct slice member, struct directives *d)
{
    ptrdiff_t equals = slice_find(member, '=');
    struct slice name = equals < 0 ? member : slice_trim(slice_of(member.ptr, (size_t)equals));
    struct slice value = equals < 0 ? SLICE_EMPTY : slice_skip(member, (size_t)equals + 1);
    if (slice_eq_nocase(name, SLICE_LIT("no-store")))
        d->no_store = true;
    else if (slice_eq_nocase(name, SLICE_LIT("no-cache")) && !names_cookies_only(value))
        d->no_cache = true;
    else if (slice_eq_nocase(name, SLICE_LIT("private")) && names_cookies_only(value))
        d->is_cookie_private = true;
    else if (slice_eq_nocase(name, SLICE_LIT("private")))
        d->is_private = true;
    else if (slice_eq_nocase(name, SLICE_LIT("max-age")))
        d->max_age_s = directive_seconds(value);
    else if (slice_eq_nocase(name, SLICE_LIT("s-maxage")))
        d->s_maxage_s = directive_seconds(value);
}

static struct directives directives_read(struct cache_headers h)
{
    struct directives d = {.max_age_s = -1, .s_maxage_s = -1};
    for (size_t i = 0; i < h.len; i++) {
        if (!slice_eq_cstr(h.list[i].name, "cache-control"))
            continue;
        for (struct slice rest = h.list[i].value; rest.len > 0;)
            directive_read(directive_next(&rest), &d);
    }
    return d;
}

/* Where nothing is said: as Workers' edge does by status. */
static int64_t default_fresh_s(int status)
{
    switch (status) {
    case 200:
    case 301:
        return 120 * 60;
    case 302:
    case 303:
        return 20 * 60;
    case 404:
    case 410:
        return 3 * 60;
    default:
        return 0;
    }
}

static int64_t fresh_s(int status, struct cache_headers h, const struct directives *d,
                       int64_t now_ms)
{
    if (d->s_maxage_s >= 0)
        return d->s_maxage_s;
    if (d->max_age_s >= 0)
        return d->max_age_s;
    struct slice expires = cache_header(h, "expires");
    if (expires.len == 0)
        return default_fresh_s(status);
    int64_t left_s = (cache_date_ms(expires) - now_ms) / 1000;
    return left_s < 0 ? 0 : left_s > CACHE_FRESH_MAX_S ? CACHE_FRESH_MAX_S : left_s;
}

static struct cache_policy not_kept(const char *why)
{
    return (struct cache_policy){.why = why};
}

struct cache_policy cache_policy(int status, struct cache_headers h, int64_t now_ms)
{
    const struct directives d = directives_read(h);
    if (status == 304 || status == 206 || status < 200 || status > 599)
        return not_kept("its status");
    if (d.no_store || d.no_cache || d.is_private)
        return not_kept("its Cache-Control");
    if (slice_find(cache_header(h, "vary"), '*') >= 0)
        return not_kept("its Vary");
    if (cache_header(h, "set-cookie").len > 0 && !d.is_cookie_private)
        return not_kept("its Set-Cookie");
    int64_t s = fresh_s(status, h, &d, now_ms);
    if (s <= 0)
        return not_kept("it is not fresh");
    return (struct cache_policy){
        .may_keep = true, .fresh_ms = s * 1000, .leaves_cookies = d.is_cookie_private};
}

/* ---- conditions ---- */

static struct slice etag_opaque(struct slice tag)
{
    return slice_starts(tag, SLICE_LIT("W/")) ? slice_skip(tag, 2) : tag;
}

static bool etag_is_among(struct slice list, struct slice etag)
{
    if (slice_eq_cstr(slice_trim(list), "*"))
        return true;
    while (etag.len > 0 && list.len > 0)
        if (slice_eq(etag_opaque(directive_next(&list)), etag_opaque(etag)))
            return true;
    return false;
}

/* If-None-Match, which goes before If-Modified-Since. */
static bool is_not_modified(struct cache_headers request, struct cache_headers response)
{
    struct slice none = cache_header(request, "if-none-match");
    if (none.len > 0)
        return etag_is_among(none, cache_header(response, "etag"));
    int64_t since = cache_date_ms(cache_header(request, "if-modified-since"));
    int64_t modified = cache_date_ms(cache_header(response, "last-modified"));
    return since >= 0 && modified >= 0 && modified <= since;
}

/* Is the part that If-Range asks for of the same? A weak tag never is. */
static bool range_is_of(struct cache_headers request, struct cache_headers response)
{
    struct slice of = slice_trim(cache_header(request, "if-range"));
    if (of.len == 0)
        return true;
    if (of.ptr[0] == '"')
        return slice_eq(of, slice_trim(cache_header(response, "etag")));
    int64_t at = cache_date_ms(of);
    return at >= 0 && at == cache_date_ms(cache_header(response, "last-modified"));
}

enum cache_answer cache_answer(struct cache_headers request, int status,
                               struct cache_headers response, uint64_t size, uint64_t *ret_from,
                               uint64_t *ret_to)
{
    if (status != 200)
        return CACHE_WHOLE;
    if (is_not_modified(request, response))
        return CACHE_NOT_MODIFIED;
    struct slice range = cache_header(request, "range");
    if (range.len == 0 || !range_is_of(request, response))
        return CACHE_WHOLE;
    switch (asset_range(range, size, ret_from, ret_to)) {
    case ASSET_RANGE_PART:
        return CACHE_PART;
    case ASSET_RANGE_BAD:
        return CACHE_NO_PART;
    default:
        return CACHE_WHOLE;
    }
}
