/* SPDX-License-Identifier: Apache-2.0
 *
 * Matching a method and a path against the table. The table is short and the control API is not a
 * hot path, so it is searched from top to bottom. */
#include "admin/routes.h"
#include "asset/assets.h"

#include <stdio.h>
#include <string.h>

#include "admin/internal.h"
#include "base/check.h"
#include "base/limits.h"

#define X(id, handler, method, path, role, body, status, request, response, query, summary)        \
    {#id,      ROUTE_##method, path,    ROUTE_##role, ROUTE_BODY_##body, status, request,          \
     response, query,          summary, handler},
const struct route routes_table[] = {ADMIN_ROUTES(X)};
#undef X
const size_t routes_count = ARRAY_LEN(routes_table);

const char *route_method_text(enum route_method method)
{
    static const char *const texts[] = {"GET", "POST", "PUT", "DELETE"};
    return texts[method];
}

enum module_kind route_kind(const struct route *route)
{
    return module_kind_of_path(slice_cstr(route->path));
}

size_t route_body_bytes_max(enum route_body body)
{
    static const size_t bytes_max[] = {
        [ROUTE_BODY_NONE] = 0,
        /* Every byte of a value may be written as an escape of six. */
        [ROUTE_BODY_SMALL] = 6 * LIMIT_ENV_VALUE_BYTES + 1024,
        [ROUTE_BODY_EXECUTE] = LIMIT_VALUE_BYTES,
        [ROUTE_BODY_UPLOAD] = ADMIN_UPLOAD_BYTES_MAX,
        [ROUTE_BODY_FILE] = ASSETS_FILE_BYTES_MAX,
    };
    return bytes_max[body];
}

bool route_is_audited(const struct route *route)
{
    return route->method != ROUTE_GET && route->role >= ROUTE_DEPLOY;
}

bool route_has_namespace(const struct route *route)
{
    return route->role >= ROUTE_READ && route->role <= ROUTE_OWNER &&
           !slice_starts(slice_cstr(route->path), SLICE_LIT(ROUTE_NAMESPACES));
}

/* "/namespaces/shop/functions" is "/functions" of shop. */
static bool path_in_namespace(struct slice path, struct slice *ret_space, struct slice *ret_rest)
{
    struct slice start = SLICE_LIT(ROUTE_NAMESPACES);
    if (!slice_starts(path, start))
        return false;
    struct slice rest = slice_skip(path, start.len);
    ptrdiff_t end = slice_find(rest, '/');
    if (end <= 0)
        return false;
    *ret_space = slice_of(rest.ptr, (size_t)end);
    *ret_rest = slice_skip(rest, (size_t)end);
    return true;
}

static bool path_matches(const char *pattern, struct slice path,
                         struct slice ret_params[ROUTE_PARAMS_MAX])
{
    struct slice expected = slice_cstr(pattern);
    size_t params = 0;
    while (expected.len > 0) {
        if (path.len == 0 || path.ptr[0] != '/')
            return false;
        expected = slice_skip(expected, 1);
        path = slice_skip(path, 1);
        ptrdiff_t expected_end = slice_find(expected, '/'), end = slice_find(path, '/');
        struct slice want = slice_of(expected.ptr, expected_end < 0 ? expected.len : expected_end);
        struct slice have = slice_of(path.ptr, end < 0 ? path.len : end);
        if (want.len > 0 && want.ptr[0] == ':') {
            if (have.len == 0)
                return false;
            CHECK(params < ROUTE_PARAMS_MAX);
            ret_params[params++] = have;
        } else if (!slice_eq(want, have)) {
            return false;
        }
        expected = slice_skip(expected, want.len);
        path = slice_skip(path, have.len);
    }
    return path.len == 0;
}

void route_find(struct slice method, struct slice path, struct route_match *ret_match)
{
    *ret_match = (struct route_match){0};
    size_t allow_len = 0;
    struct slice rest;
    bool has_namespace = path_in_namespace(path, &ret_match->space, &rest);
    for (size_t i = 0; i < routes_count; i++) {
        const struct route *route = &routes_table[i];
        struct slice params[ROUTE_PARAMS_MAX] = {0};
        if (has_namespace && !route_has_namespace(route))
            continue;
        if (!path_matches(route->path, has_namespace ? rest : path, params))
            continue;
        const char *text = route_method_text(route->method);
        bool is_get = route->method == ROUTE_GET;
        allow_len +=
            (size_t)snprintf(ret_match->allow + allow_len, sizeof(ret_match->allow) - allow_len,
                             "%s%s%s", allow_len ? ", " : "", text, is_get ? ", HEAD" : "");
        if (slice_eq_cstr(method, text) || (is_get && slice_eq_cstr(method, "HEAD"))) {
            ret_match->route = route;
            memcpy(ret_match->params, params, sizeof(params));
        }
    }
}
