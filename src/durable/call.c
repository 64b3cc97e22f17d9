/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls that are pending. A replay of a long journal makes and completes millions, so freed
 * ones are kept with their buffers and nothing is allocated for most. Everything is found by id, in
 * the order of ids, or through the queue that it is in: nothing walks over all calls but going
 * live, cancelling and saving. */
#include <stdlib.h>

#include "durable/internal.h"

enum {
    CALL_SPARES_LIVE_MAX = 32, /* while replaying all are kept */
    CALL_BUFFER_KEEP_BYTES = 1024,
};

struct call *call_find(const struct execution *x, uint64_t id)
{
    struct table_node *n = id_table_find(&x->by_id, id);
    return n ? container_of(n, struct call, by_id) : NULL;
}

struct slice call_label(const struct call *c)
{
    return slice_of(c->text.ptr, c->label_len);
}

struct slice call_args(const struct call *c)
{
    return slice_of(c->text.ptr + c->label_len, c->args_len);
}

struct slice call_name(const struct call *c)
{
    return slice_skip(bytes_slice(&c->text), c->label_len + c->args_len);
}

static struct call *call_new(struct execution *x)
{
    struct list *n = list_pop_front(&x->spare);
    if (!n) {
        struct call *c = calloc(1, sizeof(*c));
        if (!c)
            check_out_of_memory(sizeof(*c));
        return c;
    }
    x->spare_len--;
    struct call *c = container_of(n, struct call, link);
    const struct bytes result = c->result, text = c->text;
    *c = (struct call){.result = result, .text = text};
    return c;
}

static void call_free(struct call *c)
{
    bytes_done(&c->result);
    bytes_done(&c->text);
    free(c);
}

static void call_clear_buffer(struct bytes *b)
{
    if (b->cap > CALL_BUFFER_KEEP_BYTES)
        bytes_done(b);
    bytes_clear(b);
}

void call_return(struct execution *x)
{
    struct call *c = TAKE(x->lent);
    if (!c)
        return;
    if (execution_is_live(x) && x->spare_len >= CALL_SPARES_LIVE_MAX) {
        call_free(c);
        return;
    }
    call_clear_buffer(&c->result);
    call_clear_buffer(&c->text);
    list_push_front(&x->spare, &c->link); /* the warmest is used next */
    x->spare_len++;
}

struct call *call_add(struct execution *x, uint32_t id, const struct execution_call *from)
{
    struct call *c = call_new(x);
    const struct slice label = slice_utf8_clip(from->label, RECORD_LABEL_BYTES_MAX);
    c->kind = from->kind;
    c->op = from->op;
    c->digest = from->digest;
    c->retry = from->retry;
    c->due_us = EXECUTION_NEVER;
    if (from->kind == EXECUTION_TIMER || from->kind == EXECUTION_EVENT)
        c->due_us = time_after(x->now_us, from->delay_us);
    c->label_len = label.len;
    bytes_append_slice(&c->text, label);
    if (from->kind == EXECUTION_EXTERNAL) {
        c->args_len = from->args.len;
        bytes_append_slice(&c->text, from->args);
    }
    bytes_append_slice(&c->text, from->name);
    id_table_add(&x->by_id, &c->by_id, id);
    list_push_back(&x->calls, &c->link);
    x->externals += from->kind == EXECUTION_EXTERNAL;
    return c;
}

void call_remove(struct execution *x, struct call *c)
{
    CHECK(!c->channel && c->heap_at == 0 && c->by_scope.key == 0);
    (void)id_table_remove(&x->by_id, c->by_id.key); /* it is c */
    list_remove(&c->link);
    list_remove(&c->item.link);
    x->externals -= c->kind == EXECUTION_EXTERNAL;
    call_return(x);
    x->lent = c;
}

static void calls_free(struct list *calls)
{
    LIST_FOREACH (n, calls)
        call_free(container_of(n, struct call, link));
}

void calls_trim(struct execution *x)
{
    struct list kept;
    list_init(&kept);
    for (x->spare_len = 0; x->spare_len < CALL_SPARES_LIVE_MAX; x->spare_len++) {
        struct list *n = list_pop_front(&x->spare);
        if (!n)
            break;
        list_push_back(&kept, n);
    }
    calls_free(&x->spare);
    list_init(&x->spare);
    list_splice_back(&x->spare, &kept);
}

void calls_done(struct execution *x)
{
    if (x->lent)
        call_free(x->lent);
    calls_free(&x->calls);
    calls_free(&x->spare);
    id_table_done(&x->by_id);
    free(x->heap);
}

/* ---- completion ---- */

void call_queue(struct execution *x, struct call *c, enum item_kind kind)
{
    list_remove(&c->item.link);
    c->item.kind = kind;
    list_push_back(&x->ready, &c->item.link);
}

void call_arrive(struct execution *x, struct call *c, uint32_t status, struct slice payload)
{
    CHECK(!c->is_complete && !c->channel);
    deadline_drop(x, c);
    c->is_complete = true;
    c->status = status;
    bytes_clear(&c->result);
    if (payload.len > EXECUTION_VALUE_BYTES_MAX) {
        c->status = ERR_TOO_LARGE;
        bytes_printf(&c->result,
                     "the result has %zu bytes, more than the %d MiB that one value may have "
                     "(docs/limits.md)",
                     payload.len, EXECUTION_VALUE_BYTES_MAX >> 20);
    } else {
        bytes_append_slice(&c->result, payload);
    }
    call_queue(x, c, ITEM_DONE);
}

void call_give_up(struct execution *x, struct call *c)
{
    if (c->is_given_up)
        return;
    const bool was_complete = c->is_complete;
    c->is_complete = c->is_given_up = true;
    deadline_drop(x, c);
    list_remove(&c->item.link);
    list_push_back(&x->local, &c->item.link);
    if (c->channel)
        event_unlisten(x, c);
    if (c->kind == EXECUTION_STEP)
        step_give_up(x, c);
    if (c->kind == EXECUTION_EXTERNAL && !was_complete && execution_is_live(x))
        x->port->stop(x->port->ctx, (uint32_t)c->by_id.key);
}

void call_go_live(struct execution *x, struct call *c)
{
    switch (c->kind) {
    case EXECUTION_EXTERNAL:
        x->port->start(x->port->ctx, (uint32_t)c->by_id.key, c->op, call_args(c));
        break;
    case EXECUTION_TIMER:
        deadline_set(x, c, c->due_us);
        break;
    case EXECUTION_EVENT:
        deadline_set(x, c, c->due_us);
        event_listen(x, c);
        break;
    case EXECUTION_CHILD_RESULT:
        event_listen(x, c);
        break;
    case EXECUTION_STEP:
        if (c->due_us == EXECUTION_NEVER)
            call_queue(x, c, ITEM_RUN);
        else
            deadline_set(x, c, c->due_us);
        break;
    }
}

/* ---- what the code and the host call ---- */

static enum err call_check(struct execution *x, const struct execution_call *call,
                           struct error *ret_error)
{
    if (!execution_is_running(x))
        return error_set(ret_error, ERR_DIVERGED, "the execution is over");
    if (x->last_id + 1 == x->break_id)
        return error_set(ret_error, ERR_DIVERGED, "stopped at call %u, as asked", x->break_id);
    const size_t size = call->args.len > call->name.len ? call->args.len : call->name.len;
    if (size > EXECUTION_VALUE_BYTES_MAX)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "the arguments have %zu bytes, more than the %d MiB that one value may "
                         "have (docs/limits.md)",
                         size, EXECUTION_VALUE_BYTES_MAX >> 20);
    if (x->by_id.count >= EXECUTION_CALLS_MAX) {
        (void)error_set(ret_error, ERR_LIMIT_OPS, "more than %d calls are pending at once",
                        EXECUTION_CALLS_MAX);
        error_hint(ret_error, "await some before starting more");
        return ERR_LIMIT_OPS;
    }
    if (x->told >= EXECUTION_RECORDS_MAX) {
        (void)error_set(ret_error, ERR_LIMIT, "the journal has %d records, it may not grow further",
                        EXECUTION_RECORDS_MAX);
        error_hint(ret_error, "split the work: start a child, or an execution that continues");
        return ERR_LIMIT;
    }
    return OK;
}

enum err execution_call(struct execution *x, const struct execution_call *call, uint32_t *ret_id,
                        uint32_t *ret_scope, struct error *ret_error)
{
    call_return(x);
    const enum err err = call_check(x, call, ret_error);
    if (err != OK)
        return err;
    if (!execution_is_live(x) && x->at == x->end && !x->is_check)
        execution_go_live(x);
    struct call *c = call_add(x, ++x->last_id, call);
    *ret_id = x->last_id;
    *ret_scope = 0;
    if (!execution_is_live(x))
        return OK;
    if (c->kind == EXECUTION_STEP)
        *ret_scope = step_start(x, c);
    else
        call_go_live(x, c);
    return OK;
}

void execution_cancel_call(struct execution *x, uint32_t id)
{
    struct call *c = call_find(x, id);
    if (c && execution_is_running(x))
        call_give_up(x, c);
}

void execution_arrive(struct execution *x, uint32_t id, uint32_t status, struct slice payload)
{
    struct call *c = call_find(x, id);
    if (!c || c->kind != EXECUTION_EXTERNAL || c->is_complete || !execution_is_live(x))
        return;
    call_arrive(x, c, status, payload);
    x->port->runnable(x->port->ctx);
}

size_t execution_calls(const struct execution *x)
{
    return x->by_id.count;
}
