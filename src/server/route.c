/* SPDX-License-Identifier: Apache-2.0
 *
 * Which slot answers a public request: by the patterns of modules, else by the names in its host, and by version
 * where two share the requests. */
#include "server/route.h"

#include "base/limits.h"
#include "base/module_name.h"
#include "base/random.h"
#include "http/server.h"
#include "http/url.h"
#include "store/store.h"

static struct slot *only_slot(struct worker *w)
{
    size_t cursor = 0;
    struct slice name;
    void *slot;
    if (w->default_len != 1)
        return NULL;
    while (map_next(&w->routes, &cursor, &name, &slot))
        if (module_name_is_in(name, SLICE_EMPTY))
            return slot;
    return NULL;
}

/* Appends a label in lower case; false: it is none that something could be named by. */
static bool append_label(struct slice label, struct bytes *out)
{
    if (label.len == 0 || label.len > LIMIT_NAME_BYTES)
        return false;
    for (size_t k = 0; k < label.len; k++) {
        char c = label.ptr[k];
        bytes_append_char(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
    }
    return true;
}

/* The second label of a host of three or more names a namespace, if there is one of that name. */
static bool append_namespace(struct worker *w, struct slice rest, struct bytes *out)
{
    struct slice label = slice_split(&rest, '.');
    bool is_named = map_count(&w->spaces) > 0 && rest.len > 0 && append_label(label, out) &&
                    map_get(&w->spaces, bytes_slice(out));
    if (is_named)
        bytes_append_char(out, '/');
    else
        bytes_clear(out);
    return is_named;
}

/* Is it a number, or does it end in one? Then no label of it is a name. */
static bool is_address(struct slice host)
{
    return host.len > 0 &&
           (host.ptr[0] == '[' || (host.ptr[host.len - 1] >= '0' && host.ptr[host.len - 1] <= '9'));
}

/* NAME.NAMESPACE.localhost, or NAME.localhost for one in the default namespace; any domain may stand
 * in the place of localhost. A host that names no function (localhost, an address) reaches the only
 * one of the default namespace, if it has just one. */
struct slot *route_request(struct worker *w, const struct http_request *r, struct error *ret_error)
{
    struct slice host = r->authority;
    int port;
    if (url_split_authority(r->authority, 80, &host, &port) != OK)
        host = SLICE_EMPTY;
    struct slot *by_pattern = route_table_find(&w->hosts, host, r->target);
    if (by_pattern)
        return by_pattern;
    struct slice rest = host, name = slice_split(&rest, '.');
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    bool is_named = !is_address(host) && append_namespace(w, rest, &module);
    if (rest.len > 0 && append_label(name, &module)) {
        struct slot *s = map_get(&w->routes, bytes_slice(&module));
        if (s)
            return s;
    }
    bool is_bare =
        rest.len == 0 ||
        (host.len > 0 && (host.ptr[0] == '[' || (host.ptr[0] >= '0' && host.ptr[0] <= '9')));
    struct slot *s = is_bare && !is_named ? only_slot(w) : NULL;
    if (s)
        return s;
    error_set(ret_error, ERR_NOT_FOUND, "no function answers for the host '%.*s'",
              host.len > 100 ? 100 : (int)host.len, host.ptr ? host.ptr : "");
    error_hint(ret_error, map_count(&w->routes) == 0
                              ? "deploy one: limpet function upload NAME FILE"
                          : map_count(&w->spaces) > 0
                              ? "use http://NAME.localhost or http://NAME.NAMESPACE.localhost"
                              : "use http://NAME.localhost with the name of a function");
    return NULL;
}

/* "a=1; b=2" */
static struct slice cookie_value(struct slice cookies, struct slice name)
{
    while (cookies.len > 0) {
        struct slice value = slice_trim(slice_split(&cookies, ';'));
        if (slice_eq(slice_split(&value, '='), name))
            return value;
    }
    return SLICE_EMPTY;
}

/* Which of two versions answers: by what the client says of itself, so that it meets the same one again,
 * else by chance. */
struct slot *route_split(struct slot *s, const struct http_request *r)
{
    static const struct slice keys[] = {SLICE_LIT("limpet-version-key"),
                                        SLICE_LIT("cloudflare-workers-version-key")};
    struct slice key = SLICE_EMPTY;
    for (size_t i = 0; i < r->headers_len && key.len == 0; i++) {
        for (size_t k = 0; k < ARRAY_LEN(keys); k++)
            if (slice_eq_nocase(r->headers[i].name, keys[k]))
                key = r->headers[i].value;
        if (key.len == 0 && slice_eq_nocase(r->headers[i].name, SLICE_LIT("cookie")))
            key = cookie_value(r->headers[i].value, keys[0]);
    }
    const uint64_t n = key.len > 0 ? slice_hash(key) : random_u64();
    return n % STORE_SPLIT_ALL < s->deployment->split_permyriad ? s->split : s;
}

struct worker *route_home(struct worker *w, const struct deployment *d)
{
    const struct server *s = w->server;
    return d->is_module_isolation ? s->workers[slice_hash(d->name) % s->workers_len] : w;
}
