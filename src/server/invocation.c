/* SPDX-License-Identifier: Apache-2.0
 *
 * Invocations, see invocation.h. One is freed when both sides are done with it: where it came from,
 * and the guest. Who waits for it may leave at any stage. */
#include "server/invocation.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "server/actor.h"
#include "server/slot.h"
#include "server/turn.h"

struct invocation *invocation_new(struct worker *w, struct slot *slot, enum dispatch_kind kind)
{
    struct invocation *v = calloc(1, sizeof(*v));
    CHECK(v);
    v->worker = w;
    v->slot = slot;
    slot->invocations++;
    v->dispatch.kind = kind;
    v->started_ns = clock_monotonic_ns();
    slot_use(slot, v->started_ns);
    random_uuid7(v->id);
    v->dispatch.execution_id = invocation_id(v);
    return v;
}

void invocation_check_free(struct invocation *v)
{
    struct slot *s = v->slot;
    if (v->stage != INVOCATION_OVER || v->exchange || v->call)
        return;
    s->invocations--;
    free(v);
    slot_release(s);
}

static void prepared(struct prepare *p, const struct error *error)
{
    struct invocation *v = container_of(p, struct invocation, prepare);
    if (error->code != OK) {
        invocation_fail(v, error);
        return;
    }
    v->stage = INVOCATION_QUEUED;
    turn_enqueue(v->worker, &v->task);
}

static bool task_start(struct task *t, struct guest *g)
{
    struct invocation *v = container_of(t, struct invocation, task);
    v->stage = INVOCATION_RUNNING;
    guest_add(g, &v->dispatch);
    return true;
}

static void task_refuse(struct task *t, const struct error *error)
{
    invocation_fail(container_of(t, struct invocation, task), error);
}

void invocation_prepare(struct invocation *v)
{
    v->prepare.slot = v->task.slot = v->slot;
    v->prepare.execution_id = invocation_id(v);
    v->prepare.done = prepared;
    v->task.start = task_start;
    v->task.refuse = task_refuse;
    prepare_start(&v->prepare);
}

/* Before a guest has had it. */
void invocation_fail(struct invocation *v, const struct error *error)
{
    v->stage = INVOCATION_OVER;
    if (v->exchange || v->call)
        v->refuse(v, error);
    else
        invocation_check_free(v);
}

void invocation_gone(struct invocation *v)
{
    switch (v->stage) {
    case INVOCATION_QUEUED:
        actor_withdraw(v);
        turn_withdraw(&v->task);
        invocation_over(v);
        break;
    case INVOCATION_PREPARING: /* someone holds it; it ends when it would start */
    case INVOCATION_RUNNING:
        dispatch_gone(&v->dispatch);
        break;
    case INVOCATION_OVER:
        invocation_check_free(v);
        break;
    }
}

void invocation_over(struct invocation *v)
{
    v->stage = INVOCATION_OVER;
    invocation_check_free(v);
}

void invocation_log(struct slot *s, const struct dispatch *dispatch, const struct error *error,
                    struct slice request, struct slice stack)
{
    struct deployment *d = s->deployment;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, error->message);
    if (request.len > 0)
        bytes_printf(&text, " (request %.*s)", SLICE_ARG(request));
    if (stack.len > 0) {
        bytes_append_char(&text, '\n');
        deployment_write_stack(d, stack, &text);
    }
    s->worker->host.log(s->worker, d, dispatch, 3, slice_trim(bytes_slice(&text)));
}
