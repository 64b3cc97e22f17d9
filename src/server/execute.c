/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs for the control API: the caller's end of a call, on the control thread. */
#include "server/execute.h"

#include <stdlib.h>

#include "admin/admin.h"
#include "call/call.h"
#include "server/control.h"
#include "server/invocation.h"

static void on_value(struct call *c, void *user, struct slice value)
{
    struct admin_execute *e = user;
    bytes_append_slice(&e->output, value);
}

static void on_failed(struct call *c, void *user, const struct call_failure *f)
{
    struct admin_execute *e = user;
    e->error = f->error;
    bytes_append_slice(&e->error_name, f->name);
    bytes_append_slice(&e->error_stack, f->stack);
}

/* Only now: what it has logged is stored before its record. */
static void on_over(struct call *c, void *user)
{
    struct admin_execute *e = user;
    if (c->version > 0)
        e->version = c->version;
    call_end(c, CALL_CALLER);
    e->done(e);
}

static const struct call_events events = {.value = on_value, .failed = on_failed, .over = on_over};

void execute_start(struct loop *control, struct worker *to, struct admin_execute *e)
{
    struct call *c = call_new(CALL_RUN, NULL); /* what it holds is the request's to the API */
    e->error.code = OK;
    c->request.module = e->function;
    c->request.body = e->body;
    c->request.metadata = e->metadata;
    c->request.id = e->execution_id;
    call_start(c, control, &to->loop, &events, e, called_accept, to);
}
