/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets that guests have open: a source and a sink (stream.c) with one end of the protocol
 * (websocket/websocket.h) between them and the guest. Where the bytes come from and go to (a client, a server that was
 * fetched from, another module) it does not know; back-pressure, the output gate and what is buffered are the
 * streams' business. What has come waits in `events` until the code asks for it (op SOCKET_NEXT); with
 * LIMIT_SOCKET_AHEAD_BYTES of it nothing more is read.
 *
 * A socket belongs to the context whose code got it. It ends with its dispatch, which lasts as long as it
 * is open, or, one that was fetched, with the context. Whoever is silent is pinged, and given up. */
#include <stdlib.h>

#include "base/limits.h"
#include "host/socket.h"
#include "loop/loop.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"

enum {
    FEED_BYTES = 16 * 1024, /* at a time, so that what waits stays near its limit */
    PONGS_BYTES_MAX =
        64 * 1024, /* of output that waits: more is not read, or pings would fill memory */
};

struct open_socket {
    struct list link; /* context->sockets */
    struct guest *guest;
    struct context *context;
    struct dispatch *dispatch; /* whose answer it is; NULL: fetched, or over */
    uint32_t id, scope;
    enum websocket_role role;
    struct websocket_deflate deflate;
    struct source *source; /* NULL: over */
    struct sink *sink;     /* NULL: over */
    struct websocket *ws;  /* NULL: nobody has accepted it */
    struct coding_memory memory;
    struct bytes events; /* as ops.def has them */
    size_t charged;      /* to the guest, for ws */
    struct op next;
    bool is_awaited;  /* next is pending */
    bool is_accepted; /* the code has asked for what comes */
    bool is_feeding;
    bool has_closed; /* CLOSED is among the events, or was given */
    struct timer timer;
    uint64_t heard_ms;
    bool is_pinged;
};

static void socket_advance(struct open_socket *o);

/* ---- memory ---- */

static bool memory_take(void *arg, size_t len)
{
    struct open_socket *o = arg;
    if (guest_charge(o->guest, len) != OK)
        return false;
    o->charged += len;
    return true;
}

static void memory_give(void *arg, size_t len)
{
    struct open_socket *o = arg;
    CHECK(o->charged >= len);
    guest_discharge(o->guest, len);
    o->charged -= len;
}

/* ---- what the guest is told ---- */

static void event_add(struct open_socket *o, enum abi_socket_event kind, struct slice data)
{
    size_t before = o->events.len;
    bytes_append_u32(&o->events, kind);
    bytes_append_lstr(&o->events, data);
    guest_hold(o->guest, o->events.len - before);
}

static void event_closed(struct open_socket *o, uint16_t code, bool was_clean, struct slice reason)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (o->has_closed)
        return;
    o->has_closed = true;
    bytes_append_char(&text, (char)(code & 0xff));
    bytes_append_char(&text, (char)(code >> 8));
    bytes_append_char(&text, was_clean);
    bytes_append_slice(&text, reason);
    event_add(o, ABI_SOCKET_CLOSED, bytes_slice(&text));
}

/* Each message is like a request: its code has the CPU time and the log lines of one. */
static void socket_renew(struct open_socket *o)
{
    struct guest *g = o->guest;
    o->context->log_lines = 0;
    if (g->deployment->is_module_isolation)
        o->context->cpu_used_ns = 0;
    else if (!isolate_is_running(g->isolate))
        isolate_set_cpu_budget(g->isolate, g->deployment->cpu_ns_max);
}

static void socket_tell(struct open_socket *o)
{
    if (!o->is_awaited || o->events.len == 0)
        return;
    struct bytes events = o->events;
    o->events = BYTES_INIT;
    o->is_awaited = false;
    socket_renew(o);
    guest_discharge(o->guest, events.len);
    op_complete(&o->next, OK, bytes_slice(&events));
    bytes_done(&events);
}

static void on_message(void *user, bool is_text, struct slice data)
{
    event_add(user, is_text ? ABI_SOCKET_TEXT : ABI_SOCKET_BINARY, data);
}

static void on_closed(void *user, uint16_t code, struct slice reason)
{
    event_closed(user, code, true, reason);
}

static void on_failed(void *user, uint16_t code, const char *why)
{
    struct open_socket *o = user;
    (void)code;
    event_add(o, ABI_SOCKET_ERROR, slice_cstr(why));
    event_closed(o, WEBSOCKET_ABNORMAL, false, SLICE_EMPTY);
}

static const struct websocket_events events = {on_message, on_closed, on_failed};

/* ---- out ---- */

static void sink_lost(struct sink *s)
{
    ((struct open_socket *)s->writer_arg)->sink = NULL;
}

static void sink_has_room(struct sink *s)
{
    struct open_socket *o = s->writer_arg;
    if (!o->is_feeding)
        socket_advance(o);
}

static void socket_flush(struct open_socket *o)
{
    struct bytes *out = websocket_output(o->ws);
    if (!o->sink) {
        bytes_clear(out);
        return;
    }
    bool is_over = websocket_is_closed(o->ws);
    if (out->len > 0 || is_over)
        sink_put(o->sink, out, is_over);
}

/* ---- in ---- */

static void source_lost(struct source *s)
{
    struct open_socket *o = s->reader_arg;
    o->source = NULL;
}

static void source_has_more(struct source *s)
{
    struct open_socket *o = s->reader_arg;
    if (!o->is_feeding)
        socket_advance(o);
}

static bool socket_may_feed(const struct open_socket *o)
{
    return o->source && o->source->buffer.len > 0 && !o->has_closed &&
           o->events.len < LIMIT_SOCKET_AHEAD_BYTES &&
           (!o->sink || o->sink->queued.len < PONGS_BYTES_MAX);
}

static void socket_feed(struct open_socket *o)
{
    o->is_feeding = true;
    while (socket_may_feed(o)) {
        struct slice piece = bytes_slice(&o->source->buffer);
        if (piece.len > FEED_BYTES)
            piece.len = FEED_BYTES;
        websocket_feed(o->ws, piece);
        o->heard_ms = loop_now_ms(o->guest->host->loop);
        o->is_pinged = false;
        source_taken(o->source, piece.len);
        socket_flush(o);
    }
    o->is_feeding = false;
}

/* Its bytes have ended, one way or the other. */
static void socket_lost(struct open_socket *o, const char *why)
{
    struct error e;
    if (!o->has_closed && why)
        event_add(o, ABI_SOCKET_ERROR, slice_cstr(why));
    event_closed(o, WEBSOCKET_ABNORMAL, false, SLICE_EMPTY);
    error_set(&e, ERR_NETWORK, "the WebSocket was broken off");
    if (o->source)
        source_close(o->source);
    if (o->sink)
        sink_abort(o->sink, &e);
}

static void socket_advance(struct open_socket *o)
{
    if (!o->ws)
        return;
    socket_feed(o);
    if (o->source && o->source->buffer.len == 0 && (o->source->is_end || o->source->is_failed) &&
        !o->has_closed)
        socket_lost(o, NULL);
    else if (!o->source && !o->has_closed)
        socket_lost(o, NULL);
    if (o->has_closed && websocket_is_closed(o->ws) && o->source)
        source_close(o->source); /* what comes now is nobody's */
    socket_tell(o);
}

/* ---- time ---- */

static void socket_watch(struct open_socket *o);

static void socket_timed(struct timer *t)
{
    struct open_socket *o = container_of(t, struct open_socket, timer);
    uint64_t silent_ms = loop_now_ms(o->guest->host->loop) - o->heard_ms;
    bool is_closing = websocket_is_closing(o->ws);
    if (!o->source && !o->sink)
        return;
    if (is_closing || (o->is_pinged && silent_ms >= LIMIT_SOCKET_SILENCE_MS)) {
        socket_lost(o, is_closing ? NULL : "the other side has fallen silent");
        socket_tell(o);
        return;
    }
    if (silent_ms >= LIMIT_SOCKET_SILENCE_MS && !socket_may_feed(o)) {
        o->is_pinged = true;
        o->heard_ms += silent_ms;
        websocket_ping(o->ws, SLICE_EMPTY);
        socket_flush(o);
    }
    socket_watch(o);
}

static void socket_watch(struct open_socket *o)
{
    struct loop *loop = o->guest->host->loop;
    uint64_t silent_ms = loop_now_ms(loop) - o->heard_ms;
    uint64_t due = silent_ms < LIMIT_SOCKET_SILENCE_MS ? LIMIT_SOCKET_SILENCE_MS - silent_ms : 1;
    timer_start(loop, &o->timer, due, socket_timed);
}

/* ---- from the beginning to the end ---- */

struct open_socket *open_socket_new(struct context *c, enum websocket_role role,
                                    const struct websocket_deflate *deflate, struct source *source,
                                    struct sink *sink)
{
    struct open_socket *o = calloc(1, sizeof(*o));
    if (!o)
        check_out_of_memory(sizeof(*o));
    o->guest = c->guest;
    o->context = c;
    o->role = role;
    o->deflate = *deflate;
    o->source = source;
    o->sink = sink;
    o->scope = source->scope;
    o->memory = (struct coding_memory){memory_take, memory_give, o, false};
    o->heard_ms = loop_now_ms(c->guest->host->loop);
    if (++c->guest->next_socket == 0)
        c->guest->next_socket = 1;
    o->id = c->guest->next_socket;
    source->reader_gone = source_lost; /* not read yet, so that it can still be piped */
    source->reader_arg = o;
    sink_write_by(sink, sink_has_room, sink_lost, o);
    list_push_back(&c->sockets, &o->link);
    return o;
}

uint32_t open_socket_id(const struct open_socket *o)
{
    return o->id;
}

bool open_socket_is_accepted(const struct open_socket *o)
{
    return o->is_accepted;
}

void open_socket_begin(struct open_socket *o)
{
    const struct guest_host *host = o->guest->host;
    size_t max = host->socket_message_max ? host->socket_message_max : LIMIT_SOCKET_MESSAGE_BYTES;
    if (o->ws)
        return;
    o->ws = websocket_new(o->role, &o->deflate, max, &o->memory, &events, o);
    socket_watch(o);
}

void open_socket_go(struct open_socket *o)
{
    if (o->source)
        source_read_by(o->source, source_has_more, source_lost, o);
}

void open_socket_forget_dispatch(struct open_socket *o)
{
    o->dispatch = NULL;
}

bool open_socket_last_words(struct open_socket *o, struct dispatch *d)
{
    struct sink *s = o->sink;
    if (!o->ws || !s || !s->is_open || s->is_full || s->is_held || s->queued.len > 0)
        return false;
    websocket_close(o->ws, WEBSOCKET_INTERNAL, SLICE_EMPTY);
    (void)d->port->write(d, bytes_slice(websocket_output(o->ws)), true);
    return true;
}

static void socket_close(struct open_socket *o, uint16_t code, struct slice reason)
{
    if (websocket_is_closing(o->ws))
        return;
    websocket_close(o->ws, code, reason);
    timer_start(o->guest->host->loop, &o->timer, LIMIT_SOCKET_CLOSE_MS, socket_timed);
    o->is_feeding = true;
    socket_flush(o);
    o->is_feeding = false;
    socket_advance(o);
}

void open_socket_going_away(struct open_socket *o)
{
    if (o->ws)
        socket_close(o, WEBSOCKET_GOING_AWAY, SLICE_EMPTY);
}

static void socket_free(struct open_socket *o)
{
    timer_stop(o->guest->host->loop, &o->timer);
    list_remove(&o->link);
    if (o->dispatch)
        o->dispatch->socket = NULL;
    if (o->is_awaited) {
        struct error e;
        o->is_awaited = false;
        error_set(&e, ERR_CANCELLED, "the WebSocket is gone: its request is over");
        op_complete_error(&o->next, &e);
    }
    if (o->source)
        o->source->reader = o->source->reader_gone = NULL;
    if (o->sink)
        o->sink->writer = o->sink->writer_gone = NULL;
    guest_discharge(o->guest, o->events.len);
    bytes_done(&o->events);
    websocket_free(o->ws);
    CHECK(o->charged == 0);
    free(o);
}

/* Its other side is told, as far as it can be. Who waits for it has been told, or is gone. */
static void socket_end(struct open_socket *o)
{
    if (o->ws && o->sink && !websocket_is_closing(o->ws)) {
        websocket_close(o->ws, WEBSOCKET_GOING_AWAY, SLICE_EMPTY);
        o->is_feeding = true;
        sink_put(o->sink, websocket_output(o->ws), true);
    }
    socket_free(o);
}

void sockets_end(struct context *c)
{
    while (!list_is_empty(&c->sockets))
        socket_end(container_of(c->sockets.next, struct open_socket, link));
}

void sockets_scope_over(struct guest *g, uint32_t scope)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->sockets) {
            struct open_socket *o = container_of(n, struct open_socket, link);
            if (o->scope == scope)
                socket_end(o);
        }
    }
}

/* ---- for op_socket.c ---- */

struct open_socket *open_socket_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->sockets) {
            struct open_socket *o = container_of(n, struct open_socket, link);
            if (o->id == id)
                return o;
        }
    }
    return NULL;
}

void open_socket_answers(struct open_socket *o, struct dispatch *d)
{
    o->dispatch = d;
    d->socket = o;
}

bool open_socket_split(struct open_socket *o, struct source **ret_source, struct sink **ret_sink)
{
    if (o->ws || !o->source || !o->sink)
        return false;
    *ret_source = o->source;
    *ret_sink = o->sink;
    socket_free(o);
    return true;
}

static void next_cancelled(struct op *op)
{
    container_of(op, struct open_socket, next)->is_awaited = false;
}

enum err open_socket_next(struct open_socket *o)
{
    struct guest *g = o->guest;
    if (o->is_awaited)
        return op_refuse(g, ERR_INVALID, "the WebSocket is being read already");
    enum err err = op_begin(g, &o->next, next_cancelled);
    if (err != OK)
        return err;
    o->is_awaited = true;
    if (!o->is_accepted) {
        o->is_accepted = true;
        open_socket_begin(o);
        if (!o->dispatch)
            open_socket_go(o);
        else if (o->dispatch->is_released)
            timer_stop(g->host->loop, &o->dispatch->wall);
    }
    socket_advance(o);
    return OK;
}

size_t open_socket_buffered(const struct open_socket *o)
{
    return o->sink ? o->sink->queued.len : 0;
}

enum err open_socket_send(struct open_socket *o, bool is_text, struct slice data)
{
    struct guest *g = o->guest;
    if (!o->ws || websocket_is_closing(o->ws) || !o->sink)
        return OK; /* as after close(): it is dropped, and an event says or has said why */
    if (open_socket_buffered(o) + data.len > LIMIT_SOCKET_QUEUED_BYTES) {
        op_refuse(g, ERR_LIMIT, "more than %d MiB wait to be sent by the WebSocket",
                  LIMIT_SOCKET_QUEUED_BYTES >> 20);
        error_hint(&g->op_error,
                   "the other side takes them slowly; look at bufferedAmount before sending more");
        return ERR_LIMIT;
    }
    enum err err = guest_charge(g, data.len);
    if (err != OK)
        return err;
    guest_discharge(g, data.len); /* what it becomes is held by the sink */
    if (!websocket_send(o->ws, is_text, data))
        return op_refuse(g, ERR_LIMIT_MEMORY,
                         "there is no memory left to compress the message with");
    bool was_feeding = o->is_feeding;
    o->is_feeding = true;
    socket_flush(o);
    o->is_feeding = was_feeding;
    return OK;
}

void open_socket_close(struct open_socket *o, uint16_t code, struct slice reason)
{
    open_socket_begin(o);
    socket_close(o, code, reason);
}
