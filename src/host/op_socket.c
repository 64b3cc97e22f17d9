/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of WebSockets, and the answer 101. See socket.c. */
#include "base/limits.h"
#include "host/recording.h"
#include "host/socket.h"

/* What a workflow learns outside of steps is recorded; a socket cannot be. */
enum err open_socket_refuse_recorded(struct guest *g)
{
    op_refuse(g, ERR_FORBIDDEN,
              "a WebSocket cannot be used outside of steps: what it says is not recorded");
    error_hint(&g->op_error, "open and close it inside one step()");
    return ERR_FORBIDDEN;
}

static enum err check_recorded(struct guest *g)
{
    return guest_is_recorded(g) ? open_socket_refuse_recorded(g) : OK;
}

static struct open_socket *find(struct guest *g, uint32_t id, enum err *ret_err)
{
    *ret_err = check_recorded(g);
    struct open_socket *o = *ret_err == OK ? open_socket_find(g, id) : NULL;
    if (*ret_err == OK && !o)
        *ret_err = op_refuse(g, ERR_CANCELLED, "the WebSocket is gone: its request is over");
    return o;
}

enum err op_socket_next(struct guest *g, const struct op_socket_next_args *a)
{
    enum err err;
    struct open_socket *o = find(g, a->socket, &err);
    return o ? open_socket_next(o) : err;
}

static void give_number(struct guest *g, double number)
{
    bytes_append(&g->result, &number, sizeof(number));
}

enum err op_socket_send(struct guest *g, const struct op_socket_send_args *a)
{
    enum err err;
    struct open_socket *o = find(g, a->socket, &err);
    if (!o)
        return err;
    if (a->is_text && !slice_is_utf8(a->data))
        return op_refuse(g, ERR_INVALID, "the text is not UTF-8");
    err = open_socket_send(o, a->is_text, a->data);
    if (err == OK)
        give_number(g, (double)open_socket_buffered(o));
    return err;
}

enum err op_socket_close(struct guest *g, const struct op_socket_close_args *a)
{
    enum err err;
    struct open_socket *o = find(g, a->socket, &err);
    if (!o)
        return err == ERR_CANCELLED ? OK : err; /* closed enough */
    if (a->code != WEBSOCKET_NO_STATUS &&
        (a->code > UINT16_MAX || !websocket_code_is_valid((uint16_t)a->code)))
        return op_refuse(g, ERR_INVALID, "%u is no code that a WebSocket can be closed with",
                         a->code);
    open_socket_close(o, (uint16_t)a->code, a->reason);
    return OK;
}

enum err op_socket_buffered(struct guest *g, const struct op_socket_buffered_args *a)
{
    struct open_socket *o = open_socket_find(g, a->socket);
    give_number(g, o ? (double)open_socket_buffered(o) : 0);
    return OK;
}

/* ---- the answer 101 ---- */

static struct slice header_of(const struct http_header *headers, size_t len, const char *name)
{
    for (size_t k = 0; k < len; k++)
        if (slice_eq_nocase(headers[k].name, slice_cstr(name)))
            return headers[k].value;
    return SLICE_EMPTY;
}

bool headers_upgrade(const struct http_header *headers, size_t headers_len)
{
    return slice_eq_nocase(header_of(headers, headers_len, "upgrade"), SLICE_LIT("websocket"));
}

struct open_socket *open_socket_fetched(struct context *c, const struct http_header *headers,
                                        size_t headers_len, struct source *source,
                                        struct sink *sink)
{
    struct websocket_deflate deflate;
    struct slice answer = header_of(headers, headers_len, "sec-websocket-extensions");
    return websocket_agree(answer, &deflate)
               ? open_socket_new(c, WEBSOCKET_CLIENT, &deflate, source, sink)
               : NULL;
}

static void put_header(struct bytes *out, uint32_t *count, struct slice name, struct slice value)
{
    bytes_append_lstr(out, name);
    bytes_append_lstr(out, value);
    ++*count;
}

/* Those of the code, but for what is said here. through: the other side has agreed with the client. */
static void answer_headers(const struct http_request *r, const struct http_header *headers,
                           size_t len, struct slice extensions, bool through, struct bytes *out)
{
    uint32_t count = 0;
    char accept[WEBSOCKET_ACCEPT_BYTES + 1];
    struct slice key = header_of(r->headers, r->headers_len, "sec-websocket-key");
    bytes_append_u32(out, 0);
    for (size_t k = 0; k < len; k++)
        if (!slice_eq_nocase(headers[k].name, SLICE_LIT("sec-websocket-accept")) &&
            !slice_eq_nocase(headers[k].name, SLICE_LIT("upgrade")) &&
            !slice_eq_nocase(headers[k].name, SLICE_LIT("connection")) &&
            (through || !slice_eq_nocase(headers[k].name, SLICE_LIT("sec-websocket-extensions"))))
            put_header(out, &count, headers[k].name, headers[k].value);
    if (key.len > 0) {
        websocket_accept(key, accept);
        put_header(out, &count, SLICE_LIT("sec-websocket-accept"), slice_cstr(accept));
    }
    if (extensions.len > 0)
        put_header(out, &count, SLICE_LIT("sec-websocket-extensions"), extensions);
    count = htole32(count);
    memcpy(out->ptr, &count, sizeof(count));
}

enum { ANSWER_HEADERS_MAX = 126 /* two are added */ };

static enum err check_answer(struct guest *g, const struct dispatch *d)
{
    if (d->kind != DISPATCH_HTTP || !d->request || !d->request->upgrades) {
        op_refuse(g, ERR_INVALID,
                  "the answer has a webSocket, but the client has not asked for one");
        error_hint(&g->op_error,
                   "look for request.headers.get(\"Upgrade\") === \"websocket\" first, "
                   "and answer others with status 426");
        return ERR_INVALID;
    }
    return OK;
}

static void answer_101(struct dispatch *d, const struct http_header *headers, size_t len,
                       struct slice extensions, bool through)
{
    CLEANUP(bytes_done) struct bytes packed = BYTES_INIT;
    struct http_header all[ANSWER_HEADERS_MAX + 2];
    struct call_answer answer = {.status = 101, .headers = all, .body_len = -1};
    answer_headers(d->request, headers, len, extensions, through, &packed);
    enum err err =
        headers_decode(bytes_slice(&packed), all, ARRAY_LEN(all), &answer.headers_len, NULL);
    CHECK(err == OK); /* they were decoded before, but for ours */
    d->is_upgraded = true;
    dispatch_answer(d, &answer, bytes_slice(&packed));
}

enum err op_socket_respond(struct guest *g, const struct op_socket_respond_args *a)
{
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t len;
    enum err err = check_recorded(g);
    struct dispatch *d = err == OK ? dispatch_unanswered(g, a->dispatch) : NULL;
    if (!d)
        return err == OK ? ERR_INVALID : err;
    err = check_answer(g, d);
    if (err == OK)
        err = headers_decode(a->headers, headers, ARRAY_LEN(headers), &len, &g->op_error);
    if (err != OK)
        return err;
    struct source *from = NULL;
    struct sink *to = NULL;
    if (a->socket != 0) {
        struct open_socket *o = open_socket_find(g, a->socket);
        if (!o || !open_socket_split(o, &from, &to))
            return op_refuse(g, ERR_INVALID, "the WebSocket has been used already");
    }
    d->sink = sink_new(d->context, &dispatch_sink_owner, d);
    struct source *source = dispatch_source(d);
    if (from) {
        give_number(g, 0);
        sink_pipe_later(to, source);
        sink_pipe(d->sink, from);
        answer_101(d, headers, len, SLICE_EMPTY, true);
        return OK;
    }
    struct websocket_deflate deflate;
    CLEANUP(bytes_done) struct bytes extensions = BYTES_INIT;
    websocket_choose(
        header_of(d->request->headers, d->request->headers_len, "sec-websocket-extensions"),
        &deflate, &extensions);
    struct open_socket *o =
        open_socket_new(d->context, WEBSOCKET_SERVER, &deflate, source, d->sink);
    open_socket_answers(o, d);
    open_socket_begin(o);
    give_number(g, open_socket_id(o));
    answer_101(d, headers, len, bytes_slice(&extensions), false);
    return OK;
}
