/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that have come to this worker: the callee's end of a call is an invocation. */
#include "base/module_name.h"
#include "call/call.h"
#include "http/server.h"
#include "server/actor.h"
#include "server/asset_send.h"
#include "server/invocation.h"
#include "server/route.h"

/* ---- the port of a dispatch ---- */

static struct invocation *of(struct dispatch *d)
{
    return container_of(d, struct invocation, dispatch);
}

static void port_respond(struct dispatch *d, const struct call_answer *a)
{
    struct call *c = of(d)->call;
    struct call_answer bare = *a;
    if (slice_eq_cstr(c->request.http->method, "HEAD") || a->status == 204 || a->status == 205 ||
        a->status == 304) { /* as on the wire */
        bare.body = SLICE_EMPTY;
        bare.is_end = true;
    }
    call_answer(c, &bare);
}

static bool port_write(struct dispatch *d, struct slice data, bool is_end)
{
    struct call *c = of(d)->call;
    return call_has_sent(c, CALL_CALLEE) || call_send(c, CALL_CALLEE, data, is_end);
}

static void port_abort(struct dispatch *d)
{
    struct error e;
    error_set(&e, ERR_NETWORK, "the answer was broken off by the code that sent it");
    call_break(of(d)->call, CALL_CALLEE, &e);
}

static void port_value(struct dispatch *d, struct slice value)
{
    call_value(of(d)->call, value);
}

static void called_fail(struct invocation *v, const struct error *error, struct slice name,
                        struct slice stack)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct call_failure f = {.error = *error, .name = name};
    if (stack.len > 0)
        deployment_write_stack(v->slot->deployment, stack, &text);
    f.stack = bytes_slice(&text);
    call_fail(v->call, &f);
}

/* A run has records of its own; else the log names the request that all this began with. */
static void called_log(struct invocation *v, const struct error *error, struct slice stack)
{
    invocation_log(v->slot, &v->dispatch, error,
                   v->dispatch.kind == DISPATCH_EXECUTE ? SLICE_EMPTY : v->dispatch.root, stack);
}

static void port_fail(struct dispatch *d, const struct error *error, struct slice name,
                      struct slice stack)
{
    called_log(of(d), error, stack);
    called_fail(of(d), error, name, stack);
}

static void port_body_start(struct dispatch *d)
{
    if (of(d)->call)
        call_want_body(of(d)->call);
}

static void port_body_consumed(struct dispatch *d, size_t n)
{
    if (of(d)->call)
        call_taken(of(d)->call, CALL_CALLEE, n);
}

/* Log lines of this turn are queued before the record of a run that its caller makes. */
static void called_end(struct invocation *v)
{
    struct worker *w = v->worker;
    metric_add(v->dispatch.kind == DISPATCH_EXECUTE ? &w->metrics.executes : &w->metrics.calls, 1);
    if (v->dispatch.kind == DISPATCH_EXECUTE)
        worker_store_now(w);
    call_end(TAKE(v->call), CALL_CALLEE);
}

static void port_over(struct dispatch *d)
{
    struct invocation *v = of(d);
    if (v->actor)
        actor_answered(v);
    called_end(v);
    invocation_over(v);
}

static const struct dispatch_port port = {
    .respond = port_respond,
    .write = port_write,
    .abort = port_abort,
    .value = port_value,
    .fail = port_fail,
    .body_start = port_body_start,
    .body_consumed = port_body_consumed,
    .over = port_over,
};

static void refused(struct invocation *v, const struct error *error)
{
    if (!error_is_public(error->code) && v->dispatch.kind != DISPATCH_EXECUTE)
        called_log(v, error, SLICE_EMPTY);
    called_fail(v, error, SLICE_EMPTY, SLICE_EMPTY);
    called_end(v);
    invocation_check_free(v);
}

/* ---- events of the call ---- */

static void on_data(struct call *c, void *user, struct slice data, struct bytes *own, bool is_end)
{
    struct invocation *v = user;
    dispatch_body_own(&v->dispatch, data, own, is_end);
}

static void on_broken(struct call *c, void *user, const struct error *error)
{
    struct invocation *v = user;
    dispatch_body_failed(&v->dispatch);
}

static void on_drained(struct call *c, void *user)
{
    struct invocation *v = user;
    dispatch_drained(&v->dispatch);
}

static void on_over(struct call *c, void *user)
{
    struct invocation *v = user;
    if (v->stage == INVOCATION_QUEUED)
        called_end(v);
    invocation_gone(v);
}

static const struct call_events events = {
    .data = on_data,
    .broken = on_broken,
    .drained = on_drained,
    .over = on_over,
};

/* ---- arrival ---- */

static struct slot *find_slot(struct worker *w, const struct call_request *r)
{
    struct slot *s = map_get(&w->routes, r->module);
    if (!s || !s->split)
        return s;
    if (r->version == 0)
        return r->http ? route_split(s, r->http) : s;
    return s->split->deployment->version == r->version ? s->split : s;
}

static void refuse_unknown(struct call *c)
{
    struct error e;
    struct slice module = c->request.module, name = module_name_split(module).name;
    if (c->request.kind == CALL_RUN) {
        error_set(&e, ERR_NOT_READY, "the function '%.*s' is not serving", SLICE_ARG(module));
    } else {
        error_set(&e, ERR_NOT_FOUND, "there is no function '%.*s' any more", SLICE_ARG(name));
        error_hint(&e, "deploy it again, or take it out of the bindings of '%.*s'",
                   SLICE_ARG(c->request.caller));
    }
    call_refuse(c, &e);
}

static enum dispatch_kind kind_of(const struct call *c)
{
    return c->request.kind == CALL_FETCH ? DISPATCH_HTTP
           : c->request.kind == CALL_RUN ? DISPATCH_EXECUTE
                                         : DISPATCH_METHOD;
}

static void dispatch_of(struct invocation *v, const struct call_request *r)
{
    struct dispatch *d = &v->dispatch;
    d->port = &port;
    d->request = r->http;
    d->has_stream_body =
        r->has_stream && !(r->http && r->http->upgrades); /* else after the answer */
    /* An actor knows its class; a call of it may have an id. */
    d->export_name = r->kind == CALL_METHOD && r->actor.len > 0 ? r->id : r->entrypoint;
    d->props = r->props;
    d->method = r->method;
    d->what = r->what;
    d->metadata = r->metadata;
    d->root = r->root.len > 0 ? r->root : invocation_id(v);
    d->depth = r->depth;
    if (d->kind == DISPATCH_HTTP)
        d->inline_body = r->body;
    else
        d->body = r->body;
    if (d->kind == DISPATCH_EXECUTE)
        d->execution_id = r->id;
}

struct invocation *called_take_up(struct slot *s, struct call *c)
{
    struct invocation *v = invocation_new(s->worker, s, kind_of(c));
    v->call = c;
    v->refuse = refused;
    v->task.is_call = c->request.depth > 0;
    dispatch_of(v, &c->request);
    call_take_up(c, &events, v, s->deployment->version);
    return v;
}

void called_accept(void *worker, struct call *c)
{
    struct worker *w = worker;
    if (w->is_over) {
        struct error e;
        error_set(&e, ERR_UNAVAILABLE, "the server is stopping");
        call_refuse(c, &e);
        return;
    }
    const bool is_actor = c->request.actor.len > 0;
    struct slot *s = is_actor ? map_get(&w->routes, c->request.module) : find_slot(w, &c->request);
    if (!s) {
        refuse_unknown(c);
        return;
    }
    if (is_actor) {
        actor_accept(s, c);
        return;
    }
    if (c->request.kind == CALL_FETCH && c->request.entrypoint.len == 0 && s->deployment->assets &&
        asset_call(w, s, c, false))
        return;
    struct worker *home = route_home(w, s->deployment);
    if (home != w && c->carrier) { /* it has become one that keeps its state just now */
        call_move(c, &home->loop, home);
        return;
    }
    invocation_prepare(called_take_up(s, c));
}
