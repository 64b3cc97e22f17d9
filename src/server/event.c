/* SPDX-License-Identifier: Apache-2.0
 *
 * See event.h: the caller's end of a call, on the control thread. */
#include "server/event.h"

#include "call/call.h"
#include "server/control.h"
#include "server/invocation.h"

static void on_value(struct call *c, void *user, struct slice value)
{
    struct event_call *e = user;
    bytes_append_slice(&e->answer, value);
    e->error.code = OK;
}

static void on_failed(struct call *c, void *user, const struct call_failure *f)
{
    struct event_call *e = user;
    e->error = f->error;
}

static void on_over(struct call *c, void *user)
{
    struct event_call *e = user;
    call_end(c, CALL_CALLER);
    e->done(e);
}

static const struct call_events events = {.value = on_value, .failed = on_failed, .over = on_over};

void event_start(struct loop *control, struct worker *to, struct event_call *e)
{
    struct call *c = call_new(CALL_METHOD, NULL);
    error_set(&e->error, ERR_UNAVAILABLE, "the code was ended before it had answered");
    c->request.module = e->module;
    c->request.method = slice_cstr(e->handler);
    c->request.what = CALL_WHAT_EVENT;
    c->request.body = e->input;
    c->request.id = e->id;
    call_start(c, control, &to->loop, &events, e, called_accept, to);
}
