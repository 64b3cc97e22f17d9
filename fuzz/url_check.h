/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds for every URL that deps_url_parse() or deps_url_set() gives: its parts, put together
 * with their separators, are its href, and its href parses to itself. File URLs need only parse:
 * the crate drops a slash in front of a drive letter ("file://h//c:/x") each time it reads one.
 * For the fuzzer and the unit test. */
#pragma once

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "limpet_deps.h"

static struct slice url_part(const struct deps_url *u, uint32_t start, uint32_t end)
{
    CHECK(start <= end && end <= u->href_len);
    return slice_of(u->href + start, end - start);
}

/* Appends what the record says; the "/." in front of a path that starts with "//" is no part. */
static void url_put_together(const struct deps_url *u, struct bytes *out)
{
    uint32_t query_end = u->fragment_start >= 0 ? (uint32_t)u->fragment_start - 1 : u->href_len;
    bytes_append_slice(out, url_part(u, 0, u->scheme_end));
    bytes_append_char(out, ':');
    if (u->username_start == u->scheme_end + 3)
        bytes_append_cstr(out, "//");
    struct slice password = url_part(u, u->password_start, u->password_end);
    struct slice username = url_part(u, u->username_start, u->username_end);
    bytes_append_slice(out, username);
    if (password.len) {
        bytes_append_char(out, ':');
        bytes_append_slice(out, password);
    }
    if (username.len || password.len)
        bytes_append_char(out, '@');
    bytes_append_slice(out, url_part(u, u->host_start, u->host_end));
    if (u->port >= 0)
        bytes_printf(out, ":%d", u->port);
    if (u->path_start == u->host_end + 2 && u->host_start == u->host_end && u->port < 0)
        bytes_append_cstr(out, "/.");
    bytes_append_slice(out, url_part(u, u->path_start, u->path_end));
    if (u->query_start >= 0) {
        bytes_append_char(out, '?');
        bytes_append_slice(out, url_part(u, (uint32_t)u->query_start, query_end));
    }
    if (u->fragment_start >= 0) {
        bytes_append_char(out, '#');
        bytes_append_slice(out, url_part(u, (uint32_t)u->fragment_start, u->href_len));
    }
}

static void url_check_parts(const struct deps_url *u)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    CHECK(u->port >= -1 && u->port <= 65535);
    CHECK(slice_is_utf8(slice_of(u->origin, u->origin_len)) && u->origin_len > 0);
    url_put_together(u, &text);
    CHECK(slice_eq(bytes_slice(&text), slice_of(u->href, u->href_len)));
}

static void url_check(const struct deps_url *u)
{
    struct deps_url again;
    url_check_parts(u);
    CHECK(deps_url_parse(u->href, u->href_len, NULL, 0, &again));
    if (!slice_eq_cstr(url_part(u, 0, u->scheme_end), "file")) {
        CHECK(slice_eq(slice_of(again.href, again.href_len), slice_of(u->href, u->href_len)));
        CHECK(
            slice_eq(slice_of(again.origin, again.origin_len), slice_of(u->origin, u->origin_len)));
        CHECK(again.host_start == u->host_start && again.host_end == u->host_end);
        CHECK(again.path_start == u->path_start && again.path_end == u->path_end);
    }
    deps_url_done(&again);
}
