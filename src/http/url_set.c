/* SPDX-License-Identifier: Apache-2.0
 *
 * See url_set.h. A path is set by reading the whole text again, with "/." in front of it, which reading
 * takes away or leaves where it must stand; a host is given to the URL with a short path, then its own
 * path follows, which needs no "/." any more. */
#include "http/url_set.h"

#include "base/bytes.h"

static bool url_read(struct slice text, struct deps_url *ret_url)
{
    return deps_url_parse(text.ptr, text.len, NULL, 0, ret_url);
}

static bool url_change(struct slice href, enum deps_url_part part, struct slice value,
                       struct deps_url *ret_url)
{
    return deps_url_set(href.ptr, href.len, part, value.ptr, value.len, ret_url);
}

static struct slice url_href(const struct deps_url *u)
{
    return slice_of(u->href, u->href_len);
}

/* "foo:/x", with or without "/." in it; not "foo://h/x", nor "foo:x", which has no path to set. */
static bool has_path_alone(const struct deps_url *u)
{
    const char *rest = u->href + u->scheme_end + 1;
    size_t len = u->href_len - u->scheme_end - 1;
    return len > 0 && rest[0] == '/' && (len == 1 || rest[1] != '/');
}

/* The URL with another text for its path. */
static void put_path(const struct deps_url *u, struct slice path, struct bytes *out)
{
    bytes_append(out, u->href, u->scheme_end + 1);
    bytes_append_slice(out, path);
    bytes_append(out, u->href + u->path_end, u->href_len - u->path_end);
}

/* What reading would take for the end of the path, or take away at the end of all. */
static void put_byte(char c, struct bytes *out)
{
    if ((unsigned char)c <= ' ' || c == '?' || c == '#')
        bytes_printf(out, "%%%02X", (unsigned char)c);
    else
        bytes_append_char(out, c);
}

static bool set_path(const struct deps_url *u, struct slice value, struct deps_url *ret_url)
{
    CLEANUP(bytes_done) struct bytes given = BYTES_INIT, path = BYTES_INIT, text = BYTES_INIT;
    for (size_t k = 0; k < value.len; k++) /* as the standard says of all input */
        if (value.ptr[k] != '\t' && value.ptr[k] != '\n' && value.ptr[k] != '\r')
            bytes_append_char(&given, value.ptr[k]);
    bytes_append_cstr(&path, "/./");
    size_t begins = given.len > 0 && given.ptr[0] == '/';
    for (size_t k = begins; k < given.len; k++)
        put_byte(given.ptr[k], &path);
    put_path(u, bytes_slice(&path), &text);
    return url_read(bytes_slice(&text), ret_url);
}

static bool set_host(const struct deps_url *u, enum deps_url_part part, struct slice value,
                     struct deps_url *ret_url)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct deps_url with_host;
    put_path(u, SLICE_LIT("/"), &text);
    if (!url_change(bytes_slice(&text), part, value, &with_host))
        return false;
    bool is_set =
        !has_path_alone(&with_host) &&
        url_change(url_href(&with_host), DEPS_URL_PATHNAME,
                   slice_of(u->href + u->path_start, u->path_end - u->path_start), ret_url);
    deps_url_done(&with_host);
    return is_set;
}

bool url_set(struct slice href, enum deps_url_part part, struct slice value,
             struct deps_url *ret_url)
{
    struct deps_url u;
    bool is_host = part == DEPS_URL_HOST || part == DEPS_URL_HOSTNAME;
    if ((part != DEPS_URL_PATHNAME && !is_host) || !url_read(href, &u))
        return url_change(href, part, value, ret_url);
    bool is_set;
    if (!has_path_alone(&u) || (is_host && u.path_start == u.scheme_end + 1))
        is_set = url_change(href, part, value, ret_url);
    else
        is_set = is_host ? set_host(&u, part, value, ret_url) : set_path(&u, value, ret_url);
    deps_url_done(&u);
    return is_set;
}
