/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's request to a module that is on another thread: the caller's end of a call for an
 * exchange. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "call/call.h"
#include "http/server.h"
#include "server/invocation.h"
#include "server/slot.h"

/* Freed when both the exchange and the call are over. */
struct forward {
    struct exchange_owner owner;    /* first: of exchanges */
    struct slot *slot;              /* held by its invocations; of this thread */
    struct http_exchange *exchange; /* NULL: over */
    struct call *call;              /* NULL: over */
    size_t untaken;                 /* bytes of the answer that wait for the client to take more */
    size_t unsent;                  /* bytes of the request that wait for the callee to */
    char id[37];
    uint64_t started_ns;
    int status;
};

static struct slice forward_id(const struct forward *f)
{
    return slice_of(f->id, sizeof(f->id) - 1);
}

static void check_free(struct forward *f)
{
    struct slot *s = f->slot;
    if (f->exchange || f->call)
        return;
    s->invocations--;
    free(f);
    slot_release(s);
}

/* ---- the call ---- */

static void on_answered(struct call *c, void *user, const struct call_answer *a)
{
    struct forward *f = user;
    f->status = a->status;
    call_taken(c, CALL_CALLER, a->body.len);
    public_respond(f->slot, f->exchange, a);
}

static void on_data(struct call *c, void *user, struct slice data, struct bytes *own, bool is_end)
{
    struct forward *f = user;
    if (public_write(f->slot, f->exchange, data, is_end))
        call_taken(c, CALL_CALLER, data.len);
    else
        f->untaken += data.len;
}

static void on_broken(struct call *c, void *user, const struct error *error)
{
    http_abort(((struct forward *)user)->exchange);
}

static void on_failed(struct call *c, void *user, const struct call_failure *failure)
{
    struct forward *f = user;
    f->status = public_answer_error(f->slot->worker, f->exchange, forward_id(f), &failure->error);
}

static void on_over(struct call *c, void *user)
{
    struct forward *f = user;
    call_end(TAKE(f->call), CALL_CALLER);
    check_free(f);
}

static void on_drained(struct call *c, void *user)
{
    struct forward *f = user;
    size_t n = f->unsent;
    f->unsent = 0;
    if (n > 0)
        http_body_consumed(f->exchange, n);
    else
        http_body_start(f->exchange);
}

static const struct call_events events = {
    .data = on_data,
    .broken = on_broken,
    .drained = on_drained,
    .answered = on_answered,
    .failed = on_failed,
    .over = on_over,
};

/* ---- the exchange ---- */

static void owner_drained(struct http_exchange *x)
{
    struct forward *f = *http_exchange_user(x);
    size_t n = f->untaken;
    f->untaken = 0;
    if (f->call && n > 0)
        call_taken(f->call, CALL_CALLER, n);
}

static void owner_body(struct http_exchange *x, struct slice data, bool is_end)
{
    struct forward *f = *http_exchange_user(x);
    if (!f->call || call_has_sent(f->call, CALL_CALLER) ||
        call_send(f->call, CALL_CALLER, data, is_end))
        http_body_consumed(x, data.len);
    else
        f->unsent += data.len;
}

static void owner_closed(struct http_exchange *x, bool is_complete)
{
    struct forward *f = *http_exchange_user(x);
    public_closed(f->slot, x, NULL, forward_id(f), is_complete ? f->status : 0, f->started_ns);
    f->exchange = NULL;
    if (f->call)
        call_end(TAKE(f->call), CALL_CALLER);
    check_free(f);
}

/* A copy: the exchange may be over before the callee has read it. */
static struct http_request *copy_request(struct arena *a, const struct http_request *r)
{
    struct http_request *copy = arena_new_struct(a, struct http_request);
    *copy = *r;
    copy->method = arena_copy(a, r->method);
    copy->target = arena_copy(a, r->target);
    copy->authority = arena_copy(a, r->authority);
    copy->peer = arena_copy(a, r->peer);
    copy->headers = arena_array(a, r->headers_len + 1, sizeof(*copy->headers));
    for (size_t k = 0; k < r->headers_len; k++)
        copy->headers[k] = (struct http_header){arena_copy(a, r->headers[k].name),
                                                arena_copy(a, r->headers[k].value)};
    return copy;
}

void forward_start(struct worker *to, struct slot *s, struct http_exchange *x)
{
    struct worker *w = s->worker;
    struct forward *f = calloc(1, sizeof(*f));
    CHECK(f);
    f->owner = (struct exchange_owner){owner_drained, owner_closed, owner_body};
    f->slot = s;
    f->exchange = x;
    f->started_ns = clock_monotonic_ns();
    s->invocations++;
    slot_use(s, f->started_ns);
    random_uuid7(f->id);
    *http_exchange_user(x) = f;
    struct call *c = f->call = call_new(CALL_FETCH, s->deployment->account);
    struct call_request *r = &c->request;
    struct slice body;
    r->module = arena_copy(c->arena, s->deployment->name);
    r->version = s->deployment->version;
    r->http = copy_request(c->arena, http_exchange_request(x));
    r->root = arena_copy(c->arena, forward_id(f));
    r->has_stream = r->http->upgrades || (r->http->has_body && !http_body_take_whole(x, &body));
    if (r->http->has_body && !r->has_stream)
        r->body = arena_copy(c->arena, body);
    call_start(c, &w->loop, &to->loop, &events, f, called_accept, to);
}
