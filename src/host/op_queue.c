/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending to queues, by the names that the code's bindings give them. Messages are stored when what they may
 * depend on is (the output gate), and answered when they are durable. A send of a workflow has the name of
 * its call, by which the store knows one that is made again.
 *
 * One that has begun goes on when the guest has gone; nobody is told then. */
#include <string.h>

#include "host/recording.h"
#include "module/binding.h"
#include "module/deployment.h"
#include "store/ask.h"

struct queue_send {
    struct op op;
    struct guest *guest; /* NULL: it has gone */
    const struct guest_host *host;
    struct asks *asks;
    struct held held;
    bool is_held;
    struct arena *arena; /* holds it, and the texts */
    int64_t queue;
    struct slice messages, once;
    size_t charged;
    struct store_op store_op;
};

static void send_free(struct queue_send *s)
{
    if (s->guest)
        guest_discharge(s->guest, s->charged);
    arena_free(s->arena);
}

static void send_stored(struct store_op *op)
{
    struct queue_send *s = container_of(op, struct queue_send, store_op);
    struct asks *asks = s->asks;
    if (op->error.code == OK && s->host->queue_sent)
        s->host->queue_sent(s->host->ctx, s->queue, op->number);
    if (s->guest && op->error.code != OK)
        op_complete_error(&s->op, &op->error);
    else if (s->guest)
        op_complete(&s->op, OK, SLICE_EMPTY);
    send_free(s);
    asks_release(asks);
}

static void send_store(struct queue_send *s)
{
    asks_hold(s->asks);
    s->store_op = (struct store_op){.loop = s->asks->loop, .done = send_stored};
    store_message_send(s->asks->store, &s->store_op, s->queue, s->messages, s->once);
}

static void send_released(struct held *h, const struct error *error)
{
    struct queue_send *s = container_of(h, struct queue_send, held);
    s->is_held = false;
    if (!error) {
        send_store(s);
        return;
    }
    op_complete_error(&s->op, error);
    send_free(s);
}

static void send_cancelled(struct op *op)
{
    struct queue_send *s = container_of(op, struct queue_send, op);
    if (s->is_held) {
        list_remove(&s->held.link);
        send_free(s);
    } else {
        guest_discharge(TAKE(s->guest), s->charged);
    }
}

static enum err queue_find(struct guest *g, struct slice name, int64_t *ret_queue)
{
    const struct deployment *d = g->deployment;
    if (!g->host || !g->host->asks)
        return op_refuse(g, ERR_UNAVAILABLE, "there is no store here");
    for (size_t k = 0; k < d->env_len; k++) {
        const struct binding *b = d->env[k].binding;
        if (!b || b->kind != BINDING_QUEUE || !slice_eq(b->name, name))
            continue;
        *ret_queue = b->resource;
        if (b->resource)
            return OK;
        op_refuse(g, ERR_NOT_FOUND, "the queue '%.*s' has been deleted", SLICE_ARG(b->target));
        error_hint(&g->op_error, "deploy this code again: that makes a new one");
        return ERR_NOT_FOUND;
    }
    return op_refuse(g, ERR_FORBIDDEN, "this code has no queue binding '%.*s'",
                     SLICE_ARG(slice_utf8_clip(name, 128)));
}

/* id: of the call, when it is one of the execution; else 0. */
static enum err queue_send(struct guest *g, uint32_t id, const struct op_queue_send_args *a)
{
    int64_t queue = 0;
    enum err err = queue_find(g, a->binding, &queue);
    if (err == OK)
        err = guest_charge(g, a->messages.len);
    if (err != OK)
        return err;
    struct arena *arena = arena_new(NULL);
    struct queue_send *s = arena_new_struct(arena, struct queue_send);
    s->arena = arena;
    s->guest = g;
    s->host = g->host;
    s->asks = g->host->asks;
    s->held.release = send_released;
    s->queue = queue;
    s->messages = arena_copy(arena, a->messages);
    s->charged = a->messages.len;
    if (id) {
        struct slice execution = execution_id(g->durable->execution);
        s->once = slice_cstr(arena_printf(arena, "%.*s-%u", SLICE_ARG(execution), id));
        op_adopt(g, &s->op, id, send_cancelled);
    } else {
        err = op_begin(g, &s->op, send_cancelled);
    }
    if (err != OK)
        send_free(s);
    else if (guest_gate_pass(g, &s->held))
        send_store(s);
    else
        s->is_held = true;
    return err;
}

enum err op_queue_send(struct guest *g, const struct op_queue_send_args *a)
{
    return queue_send(g, 0, a);
}

enum err op_queue_send_call(struct guest *g, const struct op_queue_send_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_queue_send_start(struct guest *g, uint32_t id, struct op_queue_send_args *a)
{
    return queue_send(g, id, a);
}
