/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP connections of guests (connect() of cloudflare:sockets): a source and a sink over a dial of the HTTP
 * client's (http/client_connect.h). It lives until both are over, or its context is. */
#include <stdlib.h>

#include "base/limits.h"
#include "host/recording.h"
#include "host/socket.h"
#include "http/client_connect.h"
#include "http/url_pattern.h"
#include "limpet_deps.h"
#include "module/deployment.h"

struct tcp {
    struct op op;     /* TCP_CONNECT, until it completes */
    struct op secure; /* TCP_START_TLS, while is_securing */
    struct guest *guest;
    struct bytes host;
    int port;
    bool is_tls, is_opening, is_held, is_securing;
    struct held held;
    struct client_connect *connect; /* NULL: not begun, or over */
    struct source *source;          /* NULL: over, or not connected yet */
    struct sink *sink;              /* likewise */
};

static void tcp_free(struct tcp *t)
{
    if (t->connect)
        client_connect_close(TAKE(t->connect));
    if (t->is_held)
        list_remove(&t->held.link);
    bytes_done(&t->host);
    free(t);
}

/* Nobody in the guest has it any more. */
static void tcp_settle(struct tcp *t)
{
    if (!t->source && !t->sink && !t->is_opening && !t->is_securing)
        tcp_free(t);
}

/* ---- its streams ---- */

static void in_consumed(struct source *s, size_t n)
{
    struct tcp *t = s->arg;
    (void)n;
    if (t->connect && s->buffer.len < LIMIT_HTTP_BODY_WINDOW_BYTES / 2)
        dial_pause(client_connect_dial(t->connect), false);
}

static void in_closed(struct source *s)
{
    struct tcp *t = s->arg;
    t->source = NULL;
    tcp_settle(t);
}

static const struct source_owner in_owner = {NULL, in_consumed, in_closed};

static bool out_write(struct sink *s, struct slice data, bool is_end)
{
    struct tcp *t = s->arg;
    if (!t->connect)
        return true;
    bool has_room = dial_write(client_connect_dial(t->connect), data);
    if (is_end)
        dial_shutdown(client_connect_dial(t->connect));
    return has_room;
}

static void out_abort(struct sink *s)
{
    struct tcp *t = s->arg;
    s->owner = NULL; /* no `over` follows */
    t->sink = NULL;
    if (t->connect)
        client_connect_close(TAKE(t->connect));
    if (t->source)
        source_orphan(TAKE(t->source));
    tcp_settle(t);
}

static void out_over(struct sink *s)
{
    struct tcp *t = s->arg;
    t->sink = NULL;
    tcp_settle(t);
}

static const struct sink_owner out_owner = {out_write, out_abort, out_over};

/* ---- events of the connection ---- */

static void on_connected(void *user)
{
    struct tcp *t = user;
    char local[64], remote[64];
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    t->is_opening = false;
    t->source = source_new(t->op.context, &in_owner, t);
    t->sink = sink_new(t->op.context, &out_owner, t);
    t->source->scope = t->sink->scope = t->op.scope;
    dial_addresses(client_connect_dial(t->connect), local, remote);
    bytes_append_u32(&out, t->source->id);
    bytes_append_u32(&out, t->sink->id);
    bytes_append_lstr(&out, slice_cstr(remote));
    bytes_append_lstr(&out, slice_cstr(local));
    sink_open(t->sink);
    op_complete(&t->op, OK, bytes_slice(&out));
}

static void on_data(void *user, struct slice data)
{
    struct tcp *t = user;
    if (!t->source)
        return; /* nobody reads on */
    source_push(t->source, data, false);
    if (t->source && t->source->buffer.len >= LIMIT_HTTP_BODY_WINDOW_BYTES)
        dial_pause(client_connect_dial(t->connect), true);
}

static void on_eof(void *user)
{
    struct tcp *t = user;
    struct source *s = TAKE(t->source);
    if (s) {
        s->owner = NULL;
        source_push(s, SLICE_EMPTY, true);
    }
    tcp_settle(t);
}

static void on_drained(void *user)
{
    struct tcp *t = user;
    if (t->sink)
        sink_drained(t->sink);
}

static void on_secured(void *user)
{
    struct tcp *t = user;
    if (!t->is_securing)
        return;
    t->is_securing = false;
    op_complete(&t->secure, OK, SLICE_EMPTY);
    tcp_settle(t);
}

static void on_failed(void *user, const struct error *error)
{
    struct tcp *t = user;
    struct source *source = TAKE(t->source);
    struct sink *sink = TAKE(t->sink);
    struct error e = *error;
    if (t->is_opening)
        op_complete_error(&t->op, &e);
    if (t->is_securing)
        op_complete_error(&t->secure, &e);
    t->is_opening = t->is_securing = false;
    if (source) {
        source->owner = NULL;
        source_fail(source, &e);
    }
    if (sink) {
        sink->owner = NULL;
        sink_fail(sink, &e);
    }
    tcp_free(t);
}

static const struct dial_events events = {on_connected, on_data,    on_eof,
                                          on_drained,   on_secured, on_failed};

/* ---- opening ---- */

static void tcp_cancelled(struct op *op)
{
    struct tcp *t = container_of(op, struct tcp, op);
    t->is_opening = false;
    tcp_settle(t);
}

static void tcp_start(struct tcp *t)
{
    struct guest *g = t->guest;
    struct error e;
    const struct client_connect_config config = {.host = bytes_slice(&t->host),
                                                 .port = t->port,
                                                 .is_tls = t->is_tls,
                                                 .owner = g->deployment->account,
                                                 .member = g,
                                                 .egress = g->host->egress,
                                                 .domains = g->deployment->domains};
    if (client_connect_new(g->host->client, &config, &events, t, &t->connect, &e) != OK)
        on_failed(t, &e);
}

static void tcp_released(struct held *h, const struct error *error)
{
    struct tcp *t = container_of(h, struct tcp, held);
    t->is_held = false;
    if (error)
        on_failed(t, error);
    else
        tcp_start(t);
}

/* The host as a URL has it; rules of the namespace see a request CONNECT to it. */
static enum err check_target(struct guest *g, const struct op_tcp_connect_args *a,
                             struct bytes *ret_host)
{
    struct arena *arena = arena_new(NULL);
    struct error *e = &g->op_error;
    bool is_v6 = slice_find(a->host, ':') >= 0 && a->host.len > 0 && a->host.ptr[0] != '[';
    char *url = arena_printf(arena, "%s://%s%.*s%s:%u/", a->secure ? "https" : "http",
                             is_v6 ? "[" : "", SLICE_ARG(a->host), is_v6 ? "]" : "", a->port);
    struct url_target target;
    enum err err =
        a->host.len == 0 || a->host.len > 255 || a->port == 0 || a->port > 65535
            ? error_set(e, ERR_INVALID, "a connection needs a host, and a port from 1 to 65535")
            : url_target_parse(arena, slice_cstr(url), &target, e);
    if (err == OK && g->host->may_fetch)
        err = g->host->may_fetch(g->host->ctx, g->deployment, SLICE_LIT("CONNECT"), &target, e);
    if (err == OK)
        bytes_append_slice(ret_host, target.host);
    arena_free(arena);
    return err;
}

enum err op_tcp_connect(struct guest *g, const struct op_tcp_connect_args *a)
{
    if (guest_is_recorded(g))
        return open_socket_refuse_recorded(g);
    CLEANUP(bytes_done) struct bytes host = BYTES_INIT;
    enum err err = check_target(g, a, &host);
    if (err != OK)
        return err;
    struct tcp *t = calloc(1, sizeof(*t));
    if (!t)
        check_out_of_memory(sizeof(*t));
    t->guest = g;
    t->port = (int)a->port;
    t->is_tls = a->secure;
    t->host = host;
    host = BYTES_INIT;
    t->held.release = tcp_released;
    err = op_begin(g, &t->op, tcp_cancelled);
    if (err != OK) {
        tcp_free(t);
        return err;
    }
    t->is_opening = true;
    if (guest_gate_pass(g, &t->held))
        tcp_start(t);
    else
        t->is_held = true;
    return OK;
}

static void secure_cancelled(struct op *op)
{
    struct tcp *t = container_of(op, struct tcp, secure);
    t->is_securing = false;
    tcp_settle(t);
}

enum err op_tcp_start_tls(struct guest *g, const struct op_tcp_start_tls_args *a)
{
    struct source *s = source_find(g, a->source);
    struct tcp *t = s && s->owner == &in_owner ? s->arg : NULL;
    if (!t || !t->sink || !t->connect || t->is_tls)
        return op_refuse(g, ERR_INVALID,
                         "TLS cannot begin: the connection is closed, or secure already");
    if (s->buffer.len > 0 || t->sink->queued.len > 0)
        return op_refuse(
            g, ERR_INVALID,
            "TLS cannot begin while something has come that was not read, or waits to be sent");
    enum err err = op_begin(g, &t->secure, secure_cancelled);
    if (err != OK)
        return err;
    t->is_tls = t->is_securing = true;
    dial_start_tls(client_connect_dial(t->connect), a->host);
    return OK;
}
