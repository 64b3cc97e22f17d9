/* SPDX-License-Identifier: Apache-2.0
 *
 * The imports that guests call, pending ops and their completions; what an op does is op_table.c's
 * business. Large results are copied into the guest in pieces, between which others may have their
 * turn. */
#include "host/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "host/recording.h"
#include "sandbox/isolate.h"

enum { RESULT_KEPT_BYTES = 64 * 1024 /* storage kept for the next result */ };

enum err op_refuse(struct guest *g, enum err code, const char *format, ...)
{
    char text[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(&g->op_error, code, "%s", text);
}

enum err op_refuse_large(struct guest *g, const char *what, size_t len, const char *instead)
{
    op_refuse(g, ERR_TOO_LARGE, "%s has %zu bytes, more than the %d MiB that one value may have",
              what, len, LIMIT_VALUE_BYTES >> 20);
    error_hint(&g->op_error, "%s; docs/limits.md has all limits", instead);
    return ERR_TOO_LARGE;
}

enum err op_check_wait(struct guest *g)
{
    if (!g->may_stand || !guest_is_in_transaction(g))
        return OK;
    return op_refuse(g, ERR_INVALID, "%s may not wait inside a transaction; do it before or after",
                     op_name(g->op_number));
}

enum err op_check_value(struct guest *g, const char *what, struct slice json, const char *instead)
{
    if (json.len > LIMIT_VALUE_BYTES)
        return op_refuse_large(g, what, json.len, instead);
    return slice_is_utf8(json) ? OK : op_refuse(g, ERR_INVALID, "%s is not UTF-8", what);
}

struct slice op_text_clip(struct slice text, size_t len_max)
{
    text = slice_utf8_clip(text, len_max);
    return slice_is_utf8(text) ? text : SLICE_EMPTY;
}

void op_result_clear(struct guest *g)
{
    if (g->result_charged) {
        guest_discharge(g, g->result_charged);
        g->result_charged = 0;
    }
    if (g->result.cap > RESULT_KEPT_BYTES)
        bytes_done(&g->result);
    else
        bytes_clear(&g->result);
}

static enum err start_op(struct guest *g, uint32_t code, uint32_t args_at)
{
    uint32_t number = code & ((1u << ABI_CODE_SCOPE_SHIFT) - 1);
    uint32_t whose = code >> ABI_CODE_SCOPE_SHIFT;
    g->scope = g->durable ? whose : 0;
    g->context = context_of_code(g, whose);
    g->op_number = number;
    op_result_clear(g);
    g->op_error.code = OK;
    g->op_error.hint[0] = '\0';
    const struct op_row *row = op_row(number);
    if (!row->name)
        return op_refuse(g, ERR_INVALID, "there is no op %u", number);
    /* Top-level code runs once, into an image that many isolates start from: what it learned from
     * outside would be frozen, and what it did outside would be done once instead of once a request. */
    if (g->loading && row->when != OP_WHEN_ALWAYS) {
        op_refuse(g, ERR_FORBIDDEN, "%s is not available in top-level code", row->name);
        error_hint(&g->op_error, "call it inside the handler: top-level code runs once, at deploy");
        return ERR_FORBIDDEN;
    }
    if (g->host)
        g->host->ops++;
    return op_run(g, row, args_at);
}

/* Leaves the result (or the message of an error) where the guest finds it; returns what op()
 * returns. */
int64_t op_give_result(struct guest *g, enum err err, uint32_t ret_at, uint32_t ret_cap)
{
    if (err != OK) {
        struct error *e = &g->op_error;
        if (e->code != err)
            error_set(e, err, "%s", error_text(err));
        op_result_clear(g);
        bytes_append_cstr(&g->result, e->message);
        if (e->hint[0])
            bytes_printf(&g->result, " (%s)", e->hint);
        return -(int64_t)err;
    }
    size_t len = g->result.len;
    if (len > 0 && len <= ret_cap) {
        char *to = isolate_memory(g->isolate, ret_at, len);
        if (!to) {
            isolate_trap(g->isolate, ERR_GUEST, "the result buffer lies outside of memory");
            return 0;
        }
        memcpy(to, g->result.ptr, len);
    }
    return (int64_t)len;
}

/* ---- imports ---- */

static int64_t import_op(struct isolate *i, const int64_t *args)
{
    struct guest *g = guest_of_isolate(i);
    g->isolate = i; /* of a runtime that starts or loads it is not known otherwise */
    enum err err = start_op(g, (uint32_t)args[0], (uint32_t)args[1]);
    if (guest_ends_slice(g))
        isolate_end_slice(i);
    return op_give_result(g, err, (uint32_t)args[2], (uint32_t)args[3]);
}

struct completion {
    struct list link;
    struct context *context;
    uint32_t op;
    enum err status;
    struct bytes payload;
};

static struct completion *find_completion(struct guest *g, uint32_t id)
{
    LIST_FOREACH (n, &g->completions) {
        struct completion *c = container_of(n, struct completion, link);
        if (c->op == id)
            return c;
    }
    return NULL;
}

static void completion_free(struct guest *g, struct completion *c)
{
    list_remove(&c->link);
    guest_discharge(g, c->payload.len);
    bytes_done(&c->payload);
    free(c);
}

/* Moves a completion into the result of the op_wait that stood still for it. */
static int64_t take_completion(struct guest *g, struct completion *c, uint32_t ret_at,
                               uint32_t ret_cap)
{
    enum err status = c->status;
    op_result_clear(g);
    if (status == OK)
        bytes_append_slice(&g->result, bytes_slice(&c->payload));
    else
        error_set(&g->op_error, status, "%.*s", SLICE_ARG(bytes_slice(&c->payload)));
    completion_free(g, c);
    return op_give_result(g, status, ret_at, ret_cap);
}

/* The completion of a recorded call as the result of the op_wait that stands still for it. */
static bool take_delivery(struct guest *g, uint32_t id, uint32_t ret_at, uint32_t ret_cap,
                          int64_t *ret_value)
{
    struct execution_delivery d;
    if (!execution_next_of(g->durable->execution, id, &d))
        return false;
    op_result_clear(g);
    if (d.status == OK)
        bytes_append_slice(&g->result, d.payload);
    else
        error_set(&g->op_error, (enum err)d.status, "%.*s", SLICE_ARG(d.payload));
    *ret_value = op_give_result(g, (enum err)d.status, ret_at, ret_cap);
    return true;
}

static int64_t wait_recorded(struct guest *g, uint32_t id, uint32_t ret_at, uint32_t ret_cap)
{
    int64_t value;
    if (take_delivery(g, id, ret_at, ret_cap, &value))
        return value;
    enum execution_state state = execution_state(g->durable->execution);
    if (state == EXECUTION_HAS_DIVERGED || state == EXECUTION_BROKEN) {
        g->is_dead = true; /* whoever owns it asks why */
        return op_give_result(g, recording_diverged(g), ret_at, ret_cap);
    }
    g->waiting_call = id;
    g->wait_ret = ret_at;
    g->wait_ret_cap = ret_cap;
    return SANDBOX_WAIT;
}

bool op_wait_delivered(struct guest *g)
{
    int64_t value;
    if (!take_delivery(g, g->waiting_call, g->wait_ret, g->wait_ret_cap, &value))
        return false;
    g->waiting_call = 0;
    isolate_wake(g->isolate, value);
    return true;
}

static int64_t import_op_wait(struct isolate *i, const int64_t *args)
{
    struct guest *g = guest_of_isolate(i);
    g->isolate = i; /* as above */
    uint32_t code = (uint32_t)args[0], id = 0;
    const struct op_row *row = op_row(code & ((1u << ABI_CODE_SCOPE_SHIFT) - 1));
    g->may_stand = true;
    enum err err = start_op(g, code, (uint32_t)args[1]);
    g->may_stand = false;
    if (guest_ends_slice(g))
        isolate_end_slice(i);
    if (row->reply == OP_REPLY_STANDS) {
        g->stand.ret = (uint32_t)args[2];
        g->stand.ret_cap = (uint32_t)args[3];
        return g->stand.is_working ? SANDBOX_WAIT
                                   : op_give_result(g, err, g->stand.ret, g->stand.ret_cap);
    }
    if (err == OK && row->reply != OP_REPLY_ASYNC)
        err = op_refuse(g, ERR_INVALID, "%s is not an op to wait for", row->name);
    if (err == OK)
        memcpy(&id, g->result.ptr, sizeof(id));
    if (err == OK && id == 0) { /* done already, the result follows */
        bytes_consume(&g->result, sizeof(id));
        return op_give_result(g, OK, (uint32_t)args[2], (uint32_t)args[3]);
    }
    if (err != OK)
        return op_give_result(g, err, (uint32_t)args[2], (uint32_t)args[3]);
    if (guest_is_recorded(g) && !(id & GUEST_OWN_OPS))
        return wait_recorded(g, id, (uint32_t)args[2], (uint32_t)args[3]);
    struct completion *c = find_completion(g, id);
    if (c)
        return take_completion(g, c, (uint32_t)args[2], (uint32_t)args[3]);
    g->waiting = op_find(g, id);
    CHECK(g->waiting);
    g->wait_ret = (uint32_t)args[2];
    g->wait_ret_cap = (uint32_t)args[3];
    return SANDBOX_WAIT;
}

static int64_t import_result(struct isolate *i, const int64_t *args)
{
    struct guest *g = guest_of_isolate(i);
    size_t at = (uint32_t)args[1], len = (uint32_t)args[2];
    char *to = isolate_memory(i, (uint32_t)args[0], len);
    if (!to || at + len > g->result.len || len > ABI_PIECE_BYTES)
        isolate_trap(i, ERR_GUEST, "the part of a result lies outside of it, or of memory");
    else if (len)
        memcpy(to, g->result.ptr + at, len);
    return 0;
}

static int64_t import_result_len(struct isolate *i, const int64_t *args)
{
    struct guest *g = guest_of_isolate(i);
    return (int64_t)g->result.len;
}

const struct sandbox_import op_imports[] = {
    {"limpet", "op", "iiii", true, false, import_op},
    {"limpet", "op_wait", "iiii", true, true, import_op_wait},
    {"limpet", "result", "iii", false, false, import_result},
    {"limpet", "result_len", "", true, false, import_result_len},
    {"limpet", "wasm_call", "iii", true, false, import_wasm_call},
};
const size_t op_imports_len = ARRAY_LEN(op_imports);

/* ---- pending ops ---- */

static void op_register(struct guest *g, struct op *op, uint32_t id, void (*cancel)(struct op *op))
{
    op->guest = g;
    op->context = g->context;
    op->cancel = cancel;
    op->id = id;
    op->context->has_begun_ops = true;
    list_push_back(&op->context->ops, &op->link);
    op->context->ops_len++;
    g->ops_len++;
}

void op_adopt(struct guest *g, struct op *op, uint32_t id, void (*cancel)(struct op *op))
{
    op->is_recorded = true;
    g->context = context_of_code(g, 0); /* an execution has one */
    op_register(g, op, id, cancel);
}

enum err op_begin(struct guest *g, struct op *op, void (*cancel)(struct op *op))
{
    if (!g->context || g->context->is_expired)
        return op_refuse(g, ERR_CANCELLED, "the request that this code belongs to is over");
    enum err err = op_check_wait(g);
    if (err != OK)
        return err;
    g->has_hit_ops_limit = g->context->ops_len >= LIMIT_GUEST_OPS_PENDING;
    if (g->has_hit_ops_limit)
        return op_refuse(g, ERR_LIMIT_OPS,
                         "more than %d operations are pending at once; await some of them first",
                         LIMIT_GUEST_OPS_PENDING);
    if (++g->next_op == 0)
        g->next_op = 1;
    op->scope = g->scope;
    op_register(g, op, g->next_op, cancel);
    bytes_append_u32(&g->result, op->id);
    return OK;
}

static void op_unregister(struct op *op)
{
    list_remove(&op->link);
    op->context->ops_len--;
    op->guest->ops_len--;
}

void op_complete(struct op *op, enum err status, struct slice payload)
{
    struct guest *g = op->guest;
    op_unregister(op);
    if (op->is_recorded) {
        execution_arrive(g->durable->execution, op->id, status, payload);
        guest_poke(g);
        return;
    }
    struct completion *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->op = op->id;
    c->context = op->context;
    c->status = status;
    bytes_append_slice(&c->payload, payload);
    guest_hold(g, payload.len);
    list_push_back(&g->completions, &c->link);
    if (g->waiting == op) {
        g->waiting = NULL;
        isolate_wake(g->isolate, take_completion(g, c, g->wait_ret, g->wait_ret_cap));
    }
    guest_report(g);
}

void op_complete_error(struct op *op, const struct error *error)
{
    char text[ERROR_MESSAGE_MAX + ERROR_HINT_MAX + 4];
    if (error->hint[0])
        snprintf(text, sizeof(text), "%s (%s)", error->message, error->hint);
    else
        snprintf(text, sizeof(text), "%s", error->message);
    op_complete(op, error->code, slice_cstr(text));
}

void op_give_up(struct op *op)
{
    op_unregister(op);
    op->cancel(op);
}

void ops_end(struct context *c)
{
    struct guest *g = c->guest;
    while (!list_is_empty(&c->ops))
        op_give_up(container_of(c->ops.next, struct op, link));
    LIST_FOREACH (n, &g->completions) {
        struct completion *done = container_of(n, struct completion, link);
        if (done->context == c)
            completion_free(g, done);
    }
}

struct op *op_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (m, &g->contexts) {
        struct context *c = container_of(m, struct context, link);
        LIST_FOREACH (n, &c->ops) {
            struct op *op = container_of(n, struct op, link);
            if (op->id == id)
                return op;
        }
    }
    return NULL;
}

struct context *completions_first(struct guest *g, const struct context *of)
{
    LIST_FOREACH (n, &g->completions) {
        struct context *c = container_of(n, struct completion, link)->context;
        if (!of || c == of)
            return c;
    }
    return NULL;
}

bool completions_deliver(struct guest *g, const struct context *only)
{
    LIST_FOREACH (n, &g->completions) { /* nothing in here completes an op */
        struct completion *c = container_of(n, struct completion, link);
        if (only && c->context != only)
            continue;
        bool is_ok =
            g->runtime->type->complete(g->isolate, c->op, c->status, bytes_slice(&c->payload));
        completion_free(g, c);
        if (!is_ok)
            return false;
    }
    return true;
}
