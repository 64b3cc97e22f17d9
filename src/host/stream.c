/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that flow between guests and the network: sources (a request's or a fetched body) and
 * sinks (an answer's or an outgoing request's body). Back-pressure: a source gives its owner credit
 * only for what the guest has read; a sink completes a write only when its owner wants more. A
 * source can be piped to a sink here, so that a proxying function moves no byte through the guest.
 * A body that the guest has in memory is lent: it is sent from there as its receiver takes it, and so
 * much a turn of the loop that others are not held up. */
#include "host/internal.h"

#include <stdlib.h>

#include "base/limits.h"
#include "loop/loop.h"

enum {
    LENT_PIECE_BYTES = LIMIT_HTTP_OUT_HIGH_BYTES,
    LENT_TURN_BYTES = 1024 * 1024, /* of one sink before others have their turn */
};

static void source_pump(struct source *s);
static void sink_pump(struct sink *s);

/* ---- sources ---- */

struct source *source_new(struct context *c, const struct source_owner *owner, void *arg)
{
    struct source *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->guest = c->guest;
    s->owner = owner;
    s->arg = arg;
    s->id = ++c->guest->next_stream;
    list_push_back(&c->sources, &s->link);
    return s;
}

struct source *source_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->sources) {
            struct source *s = container_of(n, struct source, link);
            if (s->id == id)
                return s->reader_gone ? NULL : s;
        }
    }
    return NULL;
}

void source_start(struct source *s)
{
    if (s->is_started)
        return;
    s->is_started = true;
    if (s->owner && s->owner->start)
        s->owner->start(s);
}

/* So much is not in its buffer any more. */
static void source_gone(struct source *s, size_t n)
{
    guest_discharge(s->guest, n);
    if (s->owner && n > 0)
        s->owner->consumed(s, n);
}

void source_taken(struct source *s, size_t n)
{
    bytes_consume(&s->buffer, n);
    source_gone(s, n);
}

static void source_read_done(struct source *s)
{
    size_t n = s->buffer.len < s->read_max ? s->buffer.len : s->read_max;
    s->is_reading = false;
    op_complete(&s->read, OK, slice_of(s->buffer.ptr, n));
    source_taken(s, n);
}

/* Gives what is there to who waits for it. */
static void source_pump(struct source *s)
{
    if (s->pipe) {
        sink_pump(s->pipe);
        return;
    }
    if (s->reader) {
        s->reader(s);
        return;
    }
    if (!s->is_reading)
        return;
    if (s->buffer.len > 0 || (s->is_end && !s->is_failed)) {
        source_read_done(s);
    } else if (s->is_failed) {
        s->is_reading = false;
        op_complete_error(&s->read, &s->error);
    }
}

void source_push(struct source *s, struct slice data, bool is_end)
{
    bytes_append_slice(&s->buffer, data);
    guest_hold(s->guest, data.len);
    s->is_end = s->is_end || is_end;
    source_pump(s);
}

void source_push_own(struct source *s, struct slice data, struct bytes *own, bool is_end)
{
    if (!own || s->buffer.len > 0 || data.ptr != own->ptr || data.len != own->len) {
        source_push(s, data, is_end);
        return;
    }
    struct bytes empty = s->buffer;
    s->buffer = *own;
    *own = empty;
    guest_hold(s->guest, data.len);
    s->is_end = s->is_end || is_end;
    source_pump(s);
}

void source_fail(struct source *s, const struct error *error)
{
    if (s->is_end || s->is_failed)
        return;
    s->is_failed = true;
    s->error = *error;
    source_pump(s);
}

void source_orphan(struct source *s)
{
    s->owner = NULL;
    struct error e;
    error_set(&e, ERR_CANCELLED, "the body ended early: its connection is gone");
    source_fail(s, &e);
}

void source_read_by(struct source *s, void (*reader)(struct source *s),
                    void (*gone)(struct source *s), void *arg)
{
    s->reader = reader;
    s->reader_gone = gone;
    s->reader_arg = arg;
    source_start(s);
    if (s->buffer.len > 0 || s->is_end || s->is_failed)
        source_pump(s);
}

void source_close(struct source *s)
{
    if (s->reader_gone)
        s->reader_gone(s);
    if (s->owner && s->owner->closed)
        s->owner->closed(s);
    if (s->is_reading) {
        struct error e;
        error_set(&e, ERR_CANCELLED, "the stream was closed");
        op_complete_error(&s->read, &e);
    }
    guest_discharge(s->guest, s->buffer.len);
    bytes_done(&s->buffer);
    list_remove(&s->link);
    free(s);
}

static void read_cancelled(struct op *op)
{
    container_of(op, struct source, read)->is_reading = false;
}

enum err op_stream_read(struct guest *g, const struct op_stream_read_args *a)
{
    struct source *s = source_find(g, a->source);
    if (!s)
        return op_refuse(g, ERR_INVALID, "the stream is closed");
    if (s->is_reading || s->pipe)
        return op_refuse(g, ERR_INVALID, "the stream is being read already");
    enum err err = op_begin(g, &s->read, read_cancelled);
    if (err != OK)
        return err;
    s->is_reading = true;
    s->read_max = a->len_max == 0 || a->len_max > LIMIT_HTTP_BODY_WINDOW_BYTES
                      ? LIMIT_HTTP_BODY_WINDOW_BYTES
                      : a->len_max;
    source_start(s);
    source_pump(s);
    return OK;
}

static void source_abort(struct source *s, const char *why)
{
    struct error e;
    error_set(&e, ERR_CANCELLED, "%s", why);
    if (s->pipe)
        sink_abort(s->pipe, &e); /* closes it, too */
    else
        source_close(s);
}

enum err op_stream_close(struct guest *g, const struct op_stream_close_args *a)
{
    struct source *s = source_find(g, a->source);
    if (s)
        source_abort(s, "the body was aborted");
    return OK;
}

/* ---- sinks ---- */

/* The data ends here, and its reader must notice that it is not complete. */
void sink_abort(struct sink *s, const struct error *error)
{
    if (s->owner)
        s->owner->abort(s);
    sink_fail(s, error);
}

static void sink_released(struct held *h, const struct error *error)
{
    struct sink *s = container_of(h, struct sink, held);
    s->is_held = false;
    if (!error) {
        sink_pump(s);
        return;
    }
    sink_abort(s, error);
}

struct sink *sink_new(struct context *c, const struct sink_owner *owner, void *arg)
{
    struct sink *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->guest = c->guest;
    s->context = c;
    s->owner = owner;
    s->arg = arg;
    s->id = ++c->guest->next_stream;
    s->held.release = sink_released;
    list_push_back(&c->sinks, &s->link);
    c->sinks_open++;
    c->guest->sinks_open++;
    return s;
}

static struct sink *sink_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->sinks) {
            struct sink *s = container_of(n, struct sink, link);
            if (s->id == id)
                return s->writer ? NULL : s;
        }
    }
    return NULL;
}

static void sink_free(struct sink *s)
{
    if (s->writer_gone)
        s->writer_gone(s);
    timer_stop(s->guest->host->loop, &s->turn);
    s->context->sinks_open--;
    s->guest->sinks_open--;
    guest_discharge(s->guest, s->queued.len);
    bytes_done(&s->queued);
    list_remove(&s->held.link);
    list_remove(&s->link);
    free(s);
}

/* The last call for it, unless its owner says so from inside write(): then sink_pump() frees it. */
static void sink_over(struct sink *s)
{
    if (s->is_ended)
        return;
    const struct sink_owner *owner = TAKE(s->owner);
    s->is_ended = true;
    s->lent = SLICE_EMPTY; /* it is the guest's again */
    if (s->is_writing) {
        s->is_writing = false;
        op_complete(&s->write, OK, SLICE_EMPTY);
    }
    guest_report(s->guest);
    if (owner && owner->over)
        owner->over(s);
    if (!s->is_sending)
        sink_free(s);
}

static void pipe_done(struct sink *s, const struct error *error)
{
    struct source *source = TAKE(s->pipe);
    source->pipe = NULL;
    if (s->has_pipe_op) {
        s->has_pipe_op = false;
        if (error)
            op_complete_error(&s->pipe_op, error);
        else
            op_complete(&s->pipe_op, OK, SLICE_EMPTY);
    }
    source_close(source);
}

/* Takes from the piped source when the sink has room. */
static void pipe_pull(struct sink *s)
{
    struct source *source = s->pipe;
    if (source->buffer.len > 0 && s->queued.len == 0) {
        struct bytes empty = s->queued;
        s->queued = source->buffer;
        source->buffer = empty;
        guest_hold(s->guest, s->queued.len);
        source_gone(source, s->queued.len);
    }
    if (source->buffer.len > 0)
        return;
    if (source->is_end)
        s->is_ending = true;
}

/* Is everything sent that will be? */
static bool sink_is_through(const struct sink *s)
{
    return s->is_ending && s->queued.len == 0 && s->lent.len == 0;
}

static struct slice lent_take(struct sink *s)
{
    struct slice piece =
        slice_of(s->lent.ptr, s->lent.len < LENT_PIECE_BYTES ? s->lent.len : LENT_PIECE_BYTES);
    s->lent = slice_skip(s->lent, piece.len);
    return piece;
}

/* Sends what is queued, or the next of what is lent, if it may leave; returns false if it has to
 * wait. */
static bool sink_send(struct sink *s)
{
    if (!guest_gate_pass(s->guest, &s->held)) {
        s->is_held = true;
        return false;
    }
    struct slice data = s->lent.len > 0 ? lent_take(s) : bytes_slice(&s->queued);
    bool is_end = s->is_ending && s->lent.len == 0;
    s->is_sending = true;
    bool wants_more = s->owner ? s->owner->write(s, data, is_end) : true;
    s->is_sending = false;
    guest_discharge(s->guest, s->queued.len);
    bytes_clear(&s->queued);
    s->is_full = !wants_more && !is_end;
    return true;
}

static void turn_over(struct timer *t)
{
    sink_drained(container_of(t, struct sink, turn));
}

static void sink_pump(struct sink *s)
{
    size_t lent = s->lent.len;
    while (s->is_open && !s->is_full && !s->is_held) {
        if (s->pipe) {
            pipe_pull(s);
            if (s->pipe->is_failed && s->queued.len == 0) {
                struct error e = s->pipe->error;
                sink_abort(s, &e);
                return;
            }
        }
        if (s->queued.len == 0 && s->lent.len == 0 && !s->is_ending)
            break;
        if (lent - s->lent.len >= LENT_TURN_BYTES) {
            s->is_full = true;
            timer_start(s->guest->host->loop, &s->turn, 0, turn_over);
            return;
        }
        if (!sink_send(s))
            return;
        if (s->is_ended) { /* the owner has failed meanwhile */
            sink_free(s);
            return;
        }
        if (sink_is_through(s)) {
            if (s->pipe)
                pipe_done(s, NULL);
            sink_over(s);
            return;
        }
    }
    if (s->is_writing && s->queued.len == 0 && s->lent.len == 0 && !s->is_full) {
        s->is_writing = false;
        op_complete(&s->write, OK, SLICE_EMPTY);
    }
    if (s->writer && s->queued.len == 0 && !s->is_full && s->is_open)
        s->writer(s);
}

void sink_write_by(struct sink *s, void (*writer)(struct sink *s), void (*gone)(struct sink *s),
                   void *arg)
{
    s->writer = writer;
    s->writer_gone = gone;
    s->writer_arg = arg;
}

void sink_put(struct sink *s, struct bytes *data, bool is_end)
{
    guest_hold(s->guest, data->len);
    if (s->queued.len == 0) {
        struct bytes empty = s->queued;
        s->queued = *data;
        *data = empty;
    } else {
        bytes_append_slice(&s->queued, bytes_slice(data));
    }
    bytes_clear(data);
    s->is_ending = s->is_ending || is_end;
    sink_pump(s);
}

void sink_open(struct sink *s)
{
    s->is_open = true;
    sink_pump(s);
}

void sink_drained(struct sink *s)
{
    s->is_full = false;
    sink_pump(s);
}

void sink_fail(struct sink *s, const struct error *error)
{
    list_remove(&s->held.link);
    s->is_held = false;
    if (s->is_writing) {
        s->is_writing = false;
        op_complete_error(&s->write, error);
    }
    if (s->pipe)
        pipe_done(s, error);
    sink_over(s);
}

void sink_pipe_later(struct sink *s, struct source *source)
{
    s->pipe = source;
    source->pipe = s;
}

void sink_pipe(struct sink *s, struct source *source)
{
    sink_pipe_later(s, source);
    source_start(source);
    sink_pump(s);
}

static void write_cancelled(struct op *op)
{
    struct sink *s = container_of(op, struct sink, write);
    s->is_writing = false;
    if (s->lent.len > 0) { /* what has left is not all: who ends the sink breaks it off */
        s->lent = SLICE_EMPTY;
        s->is_ending = false;
    }
}

enum err sink_lend(struct sink *s, struct slice body)
{
    enum err err = op_begin(s->guest, &s->write, write_cancelled);
    if (err != OK)
        return err;
    s->is_writing = true;
    s->is_ending = true;
    s->lent = body;
    return OK;
}

void sink_withdraw(struct sink *s)
{
    s->owner = NULL;
    sink_free(s);
}

enum err op_stream_write(struct guest *g, const struct op_stream_write_args *a)
{
    struct sink *s = sink_find(g, a->sink);
    if (!s || s->is_ending)
        return op_refuse(g, ERR_CANCELLED, "nobody reads this stream any more");
    if (s->is_writing || s->pipe)
        return op_refuse(g, ERR_INVALID, "one write at a time: await the one before");
    enum err err = guest_charge(g, a->data.len);
    if (err != OK)
        return err;
    err = op_begin(g, &s->write, write_cancelled);
    if (err != OK) {
        guest_discharge(g, a->data.len);
        return err;
    }
    s->is_writing = true;
    bytes_append_slice(&s->queued, a->data);
    sink_pump(s);
    return OK;
}

enum err op_stream_end(struct guest *g, const struct op_stream_end_args *a)
{
    struct sink *s = sink_find(g, a->sink);
    if (!s || s->is_ending)
        return OK;
    if (a->failed) {
        struct error e;
        error_set(&e, ERR_CANCELLED, "the stream was aborted");
        sink_abort(s, &e);
        return OK;
    }
    s->is_ending = true;
    sink_pump(s);
    return OK;
}

static void pipe_cancelled(struct op *op)
{
    container_of(op, struct sink, pipe_op)->has_pipe_op = false;
}

enum err op_stream_pipe(struct guest *g, const struct op_stream_pipe_args *a)
{
    struct source *source = source_find(g, a->source);
    struct sink *s = sink_find(g, a->sink);
    if (!source || source->is_reading || source->pipe)
        return op_refuse(g, ERR_INVALID, "the stream is closed or being read already");
    if (!s || s->is_ending || s->is_writing || s->pipe)
        return op_refuse(g, ERR_CANCELLED, "nobody reads the target any more");
    enum err err = op_begin(g, &s->pipe_op, pipe_cancelled);
    if (err != OK)
        return err;
    s->has_pipe_op = true;
    sink_pipe(s, source);
    return OK;
}

/* Pending ops have been cancelled before. What ends one may end others: the lists are emptied. */
void streams_end(struct context *c)
{
    while (!list_is_empty(&c->sinks)) {
        struct sink *s = container_of(c->sinks.next, struct sink, link);
        const struct sink_owner *owner = TAKE(s->owner);
        s->lent = SLICE_EMPTY;
        if (s->pipe)
            TAKE(s->pipe)->pipe = NULL;
        if (owner)
            owner->abort(s);
        sink_free(s);
    }
    while (!list_is_empty(&c->sources))
        source_close(container_of(c->sources.next, struct source, link));
}

static struct source *source_in_scope(struct guest *g, uint32_t scope)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->sources) {
            struct source *s = container_of(n, struct source, link);
            if (s->scope == scope)
                return s;
        }
    }
    return NULL;
}

static struct sink *sink_in_scope(struct guest *g, uint32_t scope)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->sinks) {
            struct sink *s = container_of(n, struct sink, link);
            if (s->scope == scope)
                return s;
        }
    }
    return NULL;
}

void streams_scope_over(struct guest *g, uint32_t scope)
{
    struct source *source;
    struct sink *sink;
    CHECK(scope != 0);
    sockets_scope_over(g, scope);
    while ((source = source_in_scope(g, scope)))
        source_abort(source, "the step's attempt is over");
    while ((sink = sink_in_scope(g, scope))) {
        struct error e;
        error_set(&e, ERR_CANCELLED, "the step's attempt is over");
        sink_abort(sink, &e);
    }
}
