/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of clients: from an exchange to a static file, to an invocation, or to another thread
 * (forward.c). */
#include "base/clock.h"
#include "base/limits.h"
#include "call/call.h"
#include "http/server.h"
#include "server/asset_send.h"
#include "server/invocation.h"
#include "server/route.h"

enum { CHARGED_BODY_BYTES = 16 * 1024 /* an answer that its client may have to be waited for */ };

/* ---- answers ---- */

int public_answer_error(struct worker *w, struct http_exchange *x, struct slice id,
                        const struct error *error)
{
    struct error e = *error;
    if (!error_is_public(error->code) && !w->server->config.exposes_errors) {
        (void)error_set(&e, error->code, "the function failed");
        error_hint(&e, "its log says more under this request_id");
    }
    http_respond_error_of(x, &e, id);
    return error_http_status(error->code);
}

void public_respond(struct slot *s, struct http_exchange *x, const struct call_answer *a)
{
    /* An answer to HEAD has no body, so that only its header says how long the body would be. */
    bool is_known =
        a->is_end && (a->body.len || !slice_eq_cstr(http_exchange_request(x)->method, "HEAD"));
    int64_t len = is_known ? (int64_t)a->body.len : a->body_len;
    for (size_t k = 0; k < a->headers_len && len < 0; k++) {
        uint64_t n;
        if (slice_eq_cstr(a->headers[k].name, "content-length") &&
            slice_to_u64(a->headers[k].value, &n) && n <= INT64_MAX)
            len = (int64_t)n;
    }
    if (a->body.len >= CHARGED_BODY_BYTES)
        http_exchange_charge(x, s->deployment->account);
    s->egress_bytes += a->body.len;
    if (a->is_end && len < 0)
        len = 0;
    http_exchange_reason(x, a->reason);
    http_respond(x, a->status, a->headers, a->headers_len, len, a->body, a->is_end);
}

bool public_write(struct slot *s, struct http_exchange *x, struct slice data, bool is_end)
{
    s->egress_bytes += data.len;
    if (http_write(x, data, is_end))
        return true;
    http_exchange_charge(x, s->deployment->account); /* its client is slow */
    return false;
}

/* The client cannot take the answer for whole; its author finds the reason in the log. */
static void log_broken_promise(struct slot *s, struct http_exchange *x,
                               const struct dispatch *dispatch, struct slice id)
{
    uint64_t promised, came;
    if (!http_exchange_broke_promise(x, &promised, &came))
        return;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_printf(&text,
                 "the answer was broken off: its content-length promised %llu bytes, %s%llu came"
                 " (request %.*s)",
                 (unsigned long long)promised, came > promised ? "at least " : "only ",
                 (unsigned long long)came, SLICE_ARG(id));
    s->worker->host.log(s->worker, s->deployment, dispatch, 3, bytes_slice(&text));
}

void public_closed(struct slot *s, struct http_exchange *x, const struct dispatch *dispatch,
                   struct slice id, int status, uint64_t started_ns)
{
    log_broken_promise(s, x, dispatch, id);
    metrics_answered(&s->worker->metrics, status, clock_monotonic_ns() - started_ns);
}

/* ---- the port of a dispatch ---- */

static struct invocation *of(struct dispatch *d)
{
    return container_of(d, struct invocation, dispatch);
}

static void port_respond(struct dispatch *d, const struct call_answer *a)
{
    struct invocation *v = of(d);
    v->status = a->status;
    public_respond(v->slot, v->exchange, a);
}

static bool port_write(struct dispatch *d, struct slice data, bool is_end)
{
    return public_write(of(d)->slot, of(d)->exchange, data, is_end);
}

static void port_abort(struct dispatch *d)
{
    http_abort(of(d)->exchange);
}

static void port_fail(struct dispatch *d, const struct error *error, struct slice name,
                      struct slice stack)
{
    struct invocation *v = of(d);
    /* Its log names the request's id, which is all that the client is told. */
    invocation_log(v->slot, d, error, invocation_id(v), stack);
    v->status = public_answer_error(v->worker, v->exchange, invocation_id(v), error);
}

static void port_body_start(struct dispatch *d)
{
    if (of(d)->exchange)
        http_body_start(of(d)->exchange);
}

static void port_body_consumed(struct dispatch *d, size_t n)
{
    if (of(d)->exchange)
        http_body_consumed(of(d)->exchange, n);
}

static void port_over(struct dispatch *d)
{
    invocation_over(of(d));
}

static const struct dispatch_port port = {
    .respond = port_respond,
    .write = port_write,
    .abort = port_abort,
    .fail = port_fail,
    .body_start = port_body_start,
    .body_consumed = port_body_consumed,
    .over = port_over,
};

static void refused(struct invocation *v, const struct error *error)
{
    if (!error_is_public(error->code))
        invocation_log(v->slot, &v->dispatch, error, invocation_id(v), SLICE_EMPTY);
    v->status = public_answer_error(v->worker, v->exchange, invocation_id(v), error);
}

/* ---- events of the exchange ---- */

static void owner_drained(struct http_exchange *x)
{
    struct invocation *v = *http_exchange_user(x);
    if (v && v->stage == INVOCATION_RUNNING)
        dispatch_drained(&v->dispatch);
}

static void owner_closed(struct http_exchange *x, bool is_complete)
{
    struct invocation *v = *http_exchange_user(x);
    public_closed(v->slot, x, &v->dispatch, invocation_id(v), is_complete ? v->status : 0,
                  v->started_ns);
    v->exchange = NULL;
    invocation_gone(v);
}

static void owner_body(struct http_exchange *x, struct slice data, bool is_end)
{
    struct invocation *v = *http_exchange_user(x);
    if (v->stage == INVOCATION_RUNNING)
        dispatch_body(&v->dispatch, data, is_end);
    else
        http_body_consumed(x, data.len);
}

void public_on_request(void *ctx, struct http_exchange *x)
{
    struct worker *w = ctx;
    const struct http_request *r = http_exchange_request(x);
    struct error e;
    struct slot *s = http_exchange_normalize(x, &e) == OK ? route_request(w, r, &e) : NULL;
    if (!s) {
        http_respond_error(x, &e);
        return;
    }
    if (s->split)
        s = route_split(s, r);
    if (s->deployment->assets && asset_send(w, s, x))
        return;
    struct worker *home = route_home(w, s->deployment);
    if (home != w) {
        forward_start(home, s, x);
        return;
    }
    struct invocation *v = invocation_new(w, s, DISPATCH_HTTP);
    *http_exchange_user(x) = v;
    v->owner = (struct exchange_owner){owner_drained, owner_closed, owner_body};
    v->exchange = x;
    v->refuse = refused;
    v->dispatch.port = &port;
    v->dispatch.request = r;
    if (r->has_body) {
        struct slice body;
        if (http_body_take_whole(x, &body))
            v->dispatch.inline_body = arena_copy(http_exchange_arena(x), body);
        else
            v->dispatch.has_stream_body = true;
    }
    invocation_prepare(v);
}

void public_on_body(struct http_exchange *x, struct slice data, bool is_end)
{
    struct exchange_owner *o = *http_exchange_user(x);
    if (o && o->on_body)
        o->on_body(x, data, is_end);
    else
        http_body_consumed(x, data.len);
}

void public_on_drain(struct http_exchange *x)
{
    struct exchange_owner *o = *http_exchange_user(x);
    if (o)
        o->on_drain(x);
}

void public_on_close(struct http_exchange *x, bool is_complete)
{
    struct exchange_owner *o = *http_exchange_user(x);
    if (o)
        o->on_close(x, is_complete);
}
