/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection of HTTP/1.1 whose request was answered with 101: what comes is the request's body and what is
 * written the answer's, byte for byte, with the windows of both. It ends when the answer does; the peer's end of
 * file is that of the request's body. Loop thread only. */
#include "http/internal.h"

static void tunnel_head(struct http_exchange *x, const struct http_header *headers,
                        size_t headers_len, struct bytes *out)
{
    bytes_append_cstr(
        out, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n");
    for (size_t i = 0; i < headers_len; i++)
        if (exchange_may_send(&headers[i]))
            bytes_printf(out, "%.*s: %.*s\r\n", SLICE_ARG(headers[i].name),
                         SLICE_ARG(headers[i].value));
    bytes_append_cstr(out, "\r\n");
}

void tunnel_respond(struct http_exchange *x, const struct http_header *headers, size_t headers_len)
{
    struct http_conn *c = x->conn;
    struct h1 *h = &c->h1;
    server_take_buffer(c->server, &c->out);
    tunnel_head(x, headers, headers_len, &c->out);
    c->proto = PROTO_TUNNEL;
    x->keeps_alive = false;
    x->is_chunked = false;
    x->body_is_complete = false;
    struct slice ahead =
        slice_skip(bytes_slice(&h->ahead), h->ahead_off); /* at most HTTP_AHEAD_BYTES */
    if (ahead.len)
        exchange_body(x, ahead);
    h->ahead_off = 0;
    server_give_buffer(c->server, &h->ahead);
    if (c->is_eof)
        tunnel_eof(c);
}

size_t tunnel_want(const struct http_conn *c)
{
    const struct http_exchange *x = c->h1.x;
    return x && !x->is_ended && !c->is_eof ? exchange_body_room(x) : 0;
}

void tunnel_input(struct http_conn *c, struct slice data)
{
    if (c->h1.x && !c->h1.x->is_ended)
        exchange_body(c->h1.x, data);
}

void tunnel_eof(struct http_conn *c)
{
    if (c->h1.x)
        exchange_body_end(c->h1.x);
}

void tunnel_run(struct http_conn *c)
{
    struct http_exchange *x = c->h1.x;
    if (!x || !x->is_ended)
        return;
    c->h1.x = NULL;
    c->h1.unflushed++; /* it is over when its last bytes have left */
    conn_finish(c, !c->is_eof);
}
