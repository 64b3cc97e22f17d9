/* SPDX-License-Identifier: Apache-2.0
 *
 * How a dispatch ends: the guest answers (RESPOND, RESPOND_VALUE) or fails (FAIL), the answer
 * passes the output gate, and then leaves by the dispatch's port. A dispatch is over when its
 * answer has left completely; the guest may go on with waitUntil work. */
#include "host/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "http/grammar.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"

enum {
    ANSWER_HEADERS_MAX = 128,
    ANSWER_REASON_BYTES_MAX = 512,
    /* of an exception; what is longer is cut */
    FAIL_NAME_BYTES_MAX = 256,
    FAIL_MESSAGE_BYTES_MAX = 16 * 1024,
    FAIL_STACK_BYTES_MAX = 64 * 1024,
};

/* An answer that waits at the gate, with copies of what it needs. */
struct held_answer {
    struct held held;
    struct dispatch *dispatch;
    enum { HELD_RESPOND, HELD_VALUE, HELD_FAIL } kind;
    int status;
    bool is_end;
    int64_t body_len;
    struct bytes text; /* headers packed | value | stack */
    struct bytes body; /* body | error name */
    struct bytes reason;
    size_t charged; /* to the guest, for these */
    struct error error;
};

struct dispatch *dispatch_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (n, &g->running) {
        struct dispatch *d = container_of(n, struct dispatch, link);
        if (d->id == id)
            return d;
    }
    return NULL;
}

static void held_free(struct held_answer *a)
{
    bytes_done(&a->text);
    bytes_done(&a->body);
    bytes_done(&a->reason);
    free(a);
}

/* An answer that waits at the gate will not leave. */
static void drop_held(struct dispatch *d)
{
    if (!d->held)
        return;
    list_remove(&d->held->held.link);
    guest_discharge(d->guest, d->held->charged);
    held_free(TAKE(d->held));
}

void dispatch_end(struct dispatch *d)
{
    struct guest *g = d->guest;
    timer_stop(g->host->loop, &d->wall);
    list_remove(&d->link);
    drop_held(d);
    if (d->socket)
        open_socket_forget_dispatch(TAKE(d->socket));
    struct sink *sink = TAKE(d->sink);
    if (sink) { /* closes a source that is piped to it, too */
        struct error e;
        error_set(&e, ERR_CANCELLED, "the request is over");
        sink->owner = NULL; /* so that nothing comes back here */
        sink_fail(sink, &e);
    }
    if (d->source)
        source_orphan(TAKE(d->source));
    if (d->context)
        TAKE(d->context)->dispatch = NULL;
    d->guest = NULL;
    d->port->over(d);
}

void dispatch_check_over(struct dispatch *d)
{
    if (d->is_released && !d->sink)
        dispatch_end(d);
}

static void wall_expired(struct timer *t)
{
    struct dispatch *d = container_of(t, struct dispatch, wall);
    struct guest *g = d->guest;
    struct error e;
    error_set(&e, ERR_TIMEOUT, "no %s within %u ms",
              d->is_released ? "progress of the response" : "answer", g->deployment->wall_ms_max);
    if (g->stand.is_working && g->sql.awaits_setup) {
        error_set(&e, ERR_TIMEOUT,
                  "no answer within %u ms: another version's setup() is still running, and holds "
                  "the database that the code wants to write to",
                  g->deployment->wall_ms_max);
        error_hint(&e, "await less in setup(), or nothing between its statements");
    } else {
        error_hint(&e, "await less, or raise the module's wall_ms limit");
    }
    if (d->context)
        context_expire(d->context);
    dispatch_fail(d, &e, SLICE_EMPTY, SLICE_EMPTY);
    guest_report(g);
}

void dispatch_await(struct dispatch *d)
{
    timer_start(d->guest->host->loop, &d->wall, d->guest->deployment->wall_ms_max, wall_expired);
}

/* ---- leaving ---- */

static bool answer_write(struct sink *s, struct slice data, bool is_end)
{
    struct dispatch *d = s->arg;
    if (d->is_gone)
        return true;
    if (!d->is_upgraded)
        dispatch_await(d); /* progress */
    return d->port->write(d, data, is_end);
}

static void answer_abort(struct sink *s)
{
    struct dispatch *d = s->arg;
    if (!d->is_gone)
        d->port->abort(d);
}

static void answer_over(struct sink *s)
{
    struct dispatch *d = s->arg;
    d->sink = NULL;
    dispatch_check_over(d);
}

const struct sink_owner dispatch_sink_owner = {answer_write, answer_abort, answer_over};

static void release_respond(struct dispatch *d, const struct call_answer *a)
{
    if (!d->is_gone)
        d->port->respond(d, a);
    d->is_released = true;
    if (d->is_upgraded)
        timer_stop(d->guest->host->loop, &d->wall); /* an open socket has a clock of its own */
    if (d->socket)
        open_socket_go(d->socket);
    else if (d->is_upgraded && d->source)
        source_start(d->source);
    if (d->sink)
        sink_open(d->sink);
    else
        dispatch_check_over(d);
}

static void release_value(struct dispatch *d, struct slice json)
{
    if (!d->is_gone)
        d->port->value(d, json);
    d->is_released = true;
    dispatch_check_over(d);
}

static void release_fail(struct dispatch *d, const struct error *error, struct slice name,
                         struct slice stack)
{
    bool has_ended = d->socket && !d->is_gone && open_socket_last_words(d->socket, d);
    if (d->is_released && d->sink && !d->is_gone && !has_ended)
        d->port->abort(d); /* the head has left: all that can be done is to break off */
    else if (!d->is_released && !d->is_gone)
        d->port->fail(d, error, name, stack);
    dispatch_end(d);
}

static void held_released(struct held *h, const struct error *error)
{
    struct held_answer *a = container_of(h, struct held_answer, held);
    struct dispatch *d = a->dispatch;
    d->held = NULL;
    guest_discharge(d->guest, a->charged); /* the dispatch may be over after this */
    a->charged = 0;
    struct slice text = bytes_slice(&a->text), body = bytes_slice(&a->body);
    if (error) {
        release_fail(d, error, SLICE_EMPTY, SLICE_EMPTY);
    } else if (a->kind == HELD_VALUE) {
        release_value(d, text);
    } else if (a->kind == HELD_FAIL) {
        release_fail(d, &a->error, body, text);
    } else {
        struct http_header headers[ANSWER_HEADERS_MAX];
        struct call_answer answer = {.status = a->status,
                                     .reason = bytes_slice(&a->reason),
                                     .headers = headers,
                                     .body = body,
                                     .is_end = a->is_end,
                                     .body_len = a->body_len};
        enum err err = headers_decode(text, headers, ANSWER_HEADERS_MAX, &answer.headers_len, NULL);
        CHECK(err == OK); /* they were decoded before */
        release_respond(d, &answer);
    }
    held_free(a);
}

/* A copy of what has to wait. */
static void held_keep(struct held_answer *a, struct bytes *to, struct slice from)
{
    bytes_append_slice(to, from);
    guest_hold(a->dispatch->guest, from.len);
    a->charged += from.len;
}

/* True: the caller lets the answer leave itself. False: *ret_held is to be filled, it leaves later.
 */
static bool answer_pass(struct dispatch *d, struct held_answer **ret_held)
{
    struct guest *g = d->guest;
    if (d->kind == DISPATCH_WORKFLOW) /* the result is a record, which has its own way out */
        return true;
    if (guest_gate_is_open(g))
        return true;
    struct held_answer *a = calloc(1, sizeof(*a));
    CHECK(a);
    a->dispatch = d;
    a->held.release = held_released;
    if (guest_gate_pass(g, &a->held)) { /* became durable in between */
        free(a);
        return true;
    }
    d->held = a;
    *ret_held = a;
    return false;
}

void dispatch_answer(struct dispatch *d, const struct call_answer *answer, struct slice headers)
{
    struct held_answer *h;
    d->is_answered = true;
    if (answer_pass(d, &h)) {
        release_respond(d, answer);
        return;
    }
    h->kind = HELD_RESPOND;
    h->status = answer->status;
    h->is_end = answer->is_end;
    h->body_len = answer->body_len;
    held_keep(h, &h->text, headers);
    held_keep(h, &h->body, answer->body);
    held_keep(h, &h->reason, answer->reason);
}

/* ---- ops ---- */

struct dispatch *dispatch_unanswered(struct guest *g, uint32_t id)
{
    struct dispatch *d = dispatch_find(g, id);
    if (d && !d->is_answered)
        return d;
    (void)op_refuse(g, ERR_INVALID, "the request has been answered already");
    return NULL;
}

/* HEAD wants to know only how long a body would be. */
static bool wants_body(const struct dispatch *d)
{
    return !d->request || !slice_eq_cstr(d->request->method, "HEAD");
}

/* The sink of a body that does not go with the head, if it has one; and what the guest is told of it. */
static enum err respond_sink(struct guest *g, struct dispatch *d, const struct op_respond_args *a,
                             struct source *source)
{
    bool is_lent = a->body_kind == ABI_BODY_LENT && wants_body(d);
    if (source || a->body_kind == ABI_BODY_STREAM || is_lent)
        d->sink = sink_new(d->context, &dispatch_sink_owner, d);
    bytes_append_u32(&g->result, a->body_kind == ABI_BODY_STREAM ? d->sink->id : 0);
    if (source) {
        sink_pipe(d->sink, source);
    } else if (is_lent) {
        enum err err = sink_lend(d->sink, a->body);
        if (err != OK)
            sink_withdraw(TAKE(d->sink));
        return err;
    }
    bytes_append_u32(&g->result, 0);
    return OK;
}

enum err op_respond(struct guest *g, const struct op_respond_args *a)
{
    struct dispatch *d = dispatch_unanswered(g, a->dispatch);
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t headers_len;
    struct source *source = NULL;
    enum err err = OK;
    if (!d)
        return ERR_INVALID;
    if (d->kind != DISPATCH_HTTP)
        err = op_refuse(g, ERR_INVALID, "this dispatch wants a value");
    if (err == OK && (a->status < 200 || a->status > 599))
        err = op_refuse(g, ERR_INVALID, "status %u is not a final HTTP status", a->status);
    if (err == OK)
        err = headers_decode(a->headers, headers, ANSWER_HEADERS_MAX, &headers_len, &g->op_error);
    if (err == OK &&
        (a->reason.len > ANSWER_REASON_BYTES_MAX || !grammar_all(a->reason, GRAMMAR_FIELD)))
        err = op_refuse(g, ERR_INVALID,
                        "statusText is longer than %d bytes or has control characters",
                        ANSWER_REASON_BYTES_MAX);
    if (err == OK && (a->body_kind > ABI_BODY_LENT ||
                      (a->body_kind == ABI_BODY_INLINE && a->body.len > ABI_INLINE_BYTES)))
        err = op_refuse(g, ERR_INVALID, "malformed answer");
    if (err == OK && a->source != 0) {
        source = source_find(g, a->source);
        if (!source || source->is_reading || source->pipe)
            err = op_refuse(g, ERR_INVALID, "the response's body has been used already");
    }
    if (err != OK)
        return err;

    struct call_answer answer = {
        .status = (int)a->status,
        .reason = a->reason,
        .headers = headers,
        .headers_len = headers_len,
        .body = a->body_kind == ABI_BODY_INLINE ? a->body : SLICE_EMPTY,
        .body_len = a->body_kind == ABI_BODY_LENT ? (int64_t)a->body.len : -1,
    };
    err = respond_sink(g, d, a, source);
    if (err != OK)
        return err;
    answer.is_end = !d->sink;
    dispatch_answer(d, &answer, a->headers);
    return OK;
}

static enum err check_method_value(struct guest *g, struct slice value)
{
    return value.len <= LIMIT_VALUE_BYTES
               ? OK
               : op_refuse_large(g, "the result of a method", value.len,
                                 "return its parts, or stream it as the body of a Response of "
                                 "fetch()");
}

enum err op_respond_value(struct guest *g, const struct op_respond_value_args *a)
{
    struct dispatch *d = dispatch_unanswered(g, a->dispatch);
    if (!d)
        return ERR_INVALID;
    if (d->kind == DISPATCH_HTTP)
        return op_refuse(g, ERR_INVALID, "this dispatch wants a response");
    enum err err =
        d->kind == DISPATCH_METHOD
            ? check_method_value(g, a->json)
            : op_check_value(g, "the output of an execution", a->json,
                             "keep what is large in a database or store and return its key, or "
                             "answer HTTP requests with it");
    if (err != OK)
        return err;
    d->is_answered = true;
    struct held_answer *h;
    if (answer_pass(d, &h)) {
        release_value(d, a->json);
        return OK;
    }
    h->kind = HELD_VALUE;
    held_keep(h, &h->text, a->json);
    return OK;
}

void dispatch_fail(struct dispatch *d, const struct error *error, struct slice name,
                   struct slice stack)
{
    d->is_answered = true;
    drop_held(d); /* the guest was ended while its answer waited: that is void now */
    struct held_answer *h;
    if (d->guest->is_dead || answer_pass(d, &h)) {
        release_fail(d, error, name, stack);
        return;
    }
    h->kind = HELD_FAIL;
    h->error = *error;
    held_keep(h, &h->text, stack);
    held_keep(h, &h->body, name);
}

static void classify_exception(struct guest *g, const struct op_fail_args *a, struct error *e)
{
    bool was_out_of_memory = g->full || isolate_was_out_of_memory(g->isolate);
    enum runtime_fault fault =
        g->runtime ? g->runtime->type->classify(a->name, a->message, was_out_of_memory)
                   : RUNTIME_FAULT_CODE;
    if (fault == RUNTIME_FAULT_MEMORY && g->full) {
        (void)budget_refuse(g->full, e);
        return;
    }
    if (fault == RUNTIME_FAULT_MEMORY) {
        error_set(e, ERR_LIMIT_MEMORY, "used more than %zu MiB of memory",
                  (g->deployment ? g->deployment->memory_bytes_max : LIMIT_GUEST_MEMORY_BYTES) >>
                      20);
        error_hint(e, "hold less at once (stream it), or raise the module's memory_mb limit");
        return;
    }
    if (fault == RUNTIME_FAULT_STACK) {
        error_set(e, ERR_LIMIT_STACK, "%.*s: %.*s", SLICE_ARG(a->name), SLICE_ARG(a->message));
        error_hint(e, "look for unbounded recursion");
        return;
    }
    bool is_ops =
        g->has_hit_ops_limit && memmem(a->message.ptr, a->message.len, "pending at once", 15);
    /* What was thrown may be no error, and then has no name; an error may have no message. */
    error_set(e, is_ops ? ERR_LIMIT_OPS : ERR_GUEST, "%.*s%s%.*s", SLICE_ARG(a->name),
              a->name.len > 0 && a->message.len > 0 ? ": " : "", SLICE_ARG(a->message));
}

enum err op_fail(struct guest *g, const struct op_fail_args *whole)
{
    const struct op_fail_args cut = {
        .dispatch = whole->dispatch,
        .name = op_text_clip(whole->name, FAIL_NAME_BYTES_MAX),
        .message = op_text_clip(whole->message, FAIL_MESSAGE_BYTES_MAX),
        .stack = op_text_clip(whole->stack, FAIL_STACK_BYTES_MAX),
    };
    const struct op_fail_args *a = &cut;
    struct error e = {0};
    classify_exception(g, a, &e);
    if (g->loading) {
        g->loading->error = e;
        bytes_append_slice(&g->loading->fail_name, a->name);
        bytes_append_slice(&g->loading->fail_stack, a->stack);
        return OK;
    }
    struct dispatch *d = dispatch_find(g, a->dispatch);
    if (d)
        dispatch_fail(d, &e, a->name, a->stack);
    return OK;
}

/* ---- events ---- */

void dispatch_drained(struct dispatch *d)
{
    if (d->sink)
        sink_drained(d->sink);
}

/* Some time after the client has left: what it has not given to waitUntil() ends. */
static void gone_expired(struct timer *t)
{
    struct dispatch *d = container_of(t, struct dispatch, wall);
    struct guest *g = d->guest;
    if (d->context && context_has_waits(d->context)) {
        timer_start(g->host->loop, t, g->deployment->wall_ms_max, wall_expired);
        return;
    }
    struct slice text = SLICE_LIT("the client left before the answer, and its request was broken "
                                  "off; give to ctx.waitUntil() what must go on");
    g->host->log(g->host->ctx, g->deployment, d, 2, text);
    wall_expired(t);
}

void dispatch_gone(struct dispatch *d)
{
    struct guest *g = d->guest;
    d->is_gone = true;
    d->request = NULL;
    if (!g)
        return;
    g->gone = true;
    /* Nobody waits for the answer: the isolate is wanted by others. An actor's is its own, and it ends what it
     * has begun. */
    if (!g->actor)
        timer_start(g->host->loop, &d->wall, LIMIT_GUEST_GONE_MS, gone_expired);
    guest_report(g);
    uint32_t source_id = d->source ? d->source->id : 0;
    if (d->sink) {
        struct error e;
        error_set(&e, ERR_CANCELLED, "the client has gone");
        sink_fail(d->sink, &e); /* if the answer had left, d is over with this and may be freed */
    }
    struct source *source = source_id ? source_find(g, source_id) : NULL;
    if (source && source->owner) { /* still owned, so d is still there */
        d->source = NULL;
        source_orphan(source);
    }
}
