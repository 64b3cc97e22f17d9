/* SPDX-License-Identifier: Apache-2.0
 *
 * From a parsed HTTP/1.x head to a struct http_request. The head is copied once into the exchange,
 * since the read buffer is shared by all connections, and header names are lowered there in place.
 *
 * What smuggling needs is refused here, where llhttp lets it pass: codings other than chunked,
 * Transfer-Encoding on HTTP/1.0 or twice, several Hosts. Loop thread only. */
#include <string.h>

#include "http/internal.h"

/* What the pass over the lines found out. */
struct head_facts {
    unsigned hosts, encodings;
    bool is_chunked_only, ends_chunked;
    bool names_headers;        /* Connection lists more than close and keep-alive */
    bool has_upgrade;          /* Connection lists upgrade, */
    bool to_websocket;         /* and Upgrade is a WebSocket, */
    bool has_key, has_version; /* with what that wants */
    struct slice connections[4];
    unsigned connections_len;
};

static void lower(char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ptr[i] >= 'A' && ptr[i] <= 'Z')
            ptr[i] |= 0x20;
}

static struct slice trim_end(char *ptr, size_t len)
{
    while (len && (ptr[len - 1] == ' ' || ptr[len - 1] == '\t'))
        len--;
    return (struct slice){ptr, len};
}

static bool is_plain_connection_option(struct slice option)
{
    return !option.len || slice_eq_nocase(option, SLICE_LIT("close")) ||
           slice_eq_nocase(option, SLICE_LIT("keep-alive"));
}

static void note_connection(struct head_facts *f, struct slice value)
{
    struct slice rest = value;
    while (rest.len) {
        struct slice option = slice_trim(slice_split(&rest, ','));
        if (slice_eq_nocase(option, SLICE_LIT("upgrade")))
            f->has_upgrade = true; /* which is taken out anyway */
        else if (!is_plain_connection_option(option))
            f->names_headers = true;
    }
    if (f->connections_len < ARRAY_LEN(f->connections))
        f->connections[f->connections_len++] = value;
}

/* Looks at the headers that matter here; true if it is passed on to the handler. */
static bool take_header(struct http_exchange *x, struct head_facts *f, struct slice name,
                        struct slice value)
{
    switch (name.len) {
    case 4:
        if (memcmp(name.ptr, "host", 4) == 0) {
            x->request.authority = value;
            f->hosts++;
        }
        return true;
    case 7:
        if (memcmp(name.ptr, "upgrade", 7) == 0)
            f->to_websocket = slice_eq_nocase(value, SLICE_LIT("websocket"));
        break;
    case 10:
        if (memcmp(name.ptr, "connection", 10) == 0)
            note_connection(f, value);
        break;
    case 17:
        if (memcmp(name.ptr, "transfer-encoding", 17) == 0) {
            f->encodings++;
            f->is_chunked_only = slice_eq_nocase(value, SLICE_LIT("chunked"));
        }
        f->has_key |= memcmp(name.ptr, "sec-websocket-key", 17) == 0;
        break;
    case 21:
        f->has_version |=
            memcmp(name.ptr, "sec-websocket-version", 21) == 0 && slice_eq_cstr(value, "13");
        break;
    default:
        break;
    }
    return !request_is_hop_by_hop(name);
}

/* Removes the headers that Connection declares to be for this hop. Those that frame or route the
 * request stay: to name them would be an attack on whoever stands behind us. */
static void drop_named(struct http_request *r, struct slice options)
{
    while (options.len) {
        struct slice option = slice_trim(slice_split(&options, ','));
        if (is_plain_connection_option(option) || slice_eq_nocase(option, SLICE_LIT("host")) ||
            slice_eq_nocase(option, SLICE_LIT("content-length")))
            continue;
        size_t kept = 0;
        for (size_t i = 0; i < r->headers_len; i++)
            if (!slice_eq_nocase(r->headers[i].name, option))
                r->headers[kept++] = r->headers[i];
        r->headers_len = kept;
    }
}

/* A request for a WebSocket keeps its Upgrade, by which code knows it. The array has one place more than a client
 * may fill. */
static void take_upgrade(struct http_request *r, const struct head_facts *f)
{
    r->upgrades = f->has_upgrade && f->to_websocket && f->has_key && f->has_version &&
                  r->version == 11 && !r->has_body && slice_eq_cstr(r->method, "GET");
    if (r->upgrades)
        r->headers[r->headers_len++] =
            (struct http_header){SLICE_LIT("upgrade"), SLICE_LIT("websocket")};
}

static bool refuse(struct request_fault *ret, int status, const char *text)
{
    *ret = (struct request_fault){status, ERR_INVALID, text};
    return false;
}

static bool facts_are_sound(const struct http_request *r, const struct head_facts *f,
                            struct request_fault *ret_fault)
{
    if (f->hosts > 1)
        return refuse(ret_fault, 400, "the request has more than one Host header");
    if (f->hosts == 0 && r->version == 11)
        return refuse(ret_fault, 400, "the request has no Host header");
    if (f->encodings > 1)
        return refuse(ret_fault, 400, "Transfer-Encoding comes more than once");
    if (f->encodings && r->version == 10)
        return refuse(ret_fault, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (f->encodings && !f->ends_chunked)
        return refuse(ret_fault, 400, "Transfer-Encoding does not end in chunked");
    if (f->encodings && !f->is_chunked_only)
        return refuse(ret_fault, 501, "the only transfer coding spoken here is chunked");
    return true;
}

/* Absolute-form names the authority itself, and wins over Host. */
static bool take_target(struct http_exchange *x, struct slice target,
                        struct request_fault *ret_fault)
{
    struct http_request *r = &x->request;
    struct slice authority = r->authority;
    if (slice_eq_cstr(r->method, "CONNECT")) {
        r->target = target; /* refused by request_check() */
        return true;
    }
    if (!target.len || !request_target(target, &r->target, &authority))
        return refuse(ret_fault, 400, "the request target is malformed");
    if (authority.ptr == r->authority.ptr)
        return true;
    r->authority = authority;
    for (size_t i = 0; i < r->headers_len; i++)
        if (slice_eq_cstr(r->headers[i].name, "host"))
            r->headers[i].value = authority;
    return true;
}

bool h1_take_head(struct http_conn *c, struct http_exchange *x, const struct h1_head *head,
                  const char *base, struct request_fault *ret_fault)
{
    const struct h1_parser *p = &c->h1.parser;
    struct http_request *r = &x->request;
    struct head_facts facts = {.ends_chunked = p->is_chunked};
    uint32_t first = head->target.off, end = first + head->target.len;
    if (head->lines_len) {
        const struct h1_span *name = &head->lines[head->lines_len - 1].name;
        const struct h1_span *value = &head->lines[head->lines_len - 1].value;
        end = value->len ? value->off + value->len : name->off + name->len;
    }
    char *copy = exchange_store(x, end - first);
    memcpy(copy, base + first, end - first);
    copy -= first; /* offsets are from base */

    r->method = slice_cstr(h1_method(p));
    r->version = p->version;
    r->has_body = p->has_body;
    r->content_length = p->content_length;
    x->is_head = p->ll.method == HTTP_HEAD;
    x->keeps_alive = h1_keeps_alive(p);
    x->body_is_complete = !p->has_body;
    for (uint32_t i = 0; i < head->lines_len; i++) {
        struct h1_span n = head->lines[i].name, v = head->lines[i].value;
        lower(copy + n.off, n.len);
        struct slice name = {copy + n.off, n.len};
        struct slice value = v.len ? trim_end(copy + v.off, v.len) : SLICE_EMPTY;
        if (take_header(x, &facts, name, value))
            r->headers[r->headers_len++] = (struct http_header){name, value};
    }
    if (facts.names_headers)
        for (unsigned i = 0; i < facts.connections_len; i++)
            drop_named(r, facts.connections[i]);
    take_upgrade(r, &facts);
    struct slice target = {copy + head->target.off, head->target.len};
    return facts_are_sound(r, &facts, ret_fault) && take_target(x, target, ret_fault) &&
           request_check(x, ret_fault);
}
