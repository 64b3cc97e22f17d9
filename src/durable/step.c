/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps: attempts run in scopes, failures are recorded and tried again after a delay.
 *
 * A step is in one of three conditions: an attempt runs (by_scope.key is its scope, due_us the
 * attempt's time-out), it waits for its next attempt (due_us), or the attempt is due (in
 * execution.ready, as ITEM_RUN). A replay only counts its failures.
 *
 * An attempt that is over before its body has ended leaves code that still runs: its scope is
 * *stale*, and its number is not given to another attempt until the body has ended, so that nothing
 * it does is taken for the other's. Numbers go round, so that even a body which leaves work behind
 * (a promise nobody awaits) meets its own number late. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "durable/internal.h"

enum {
    STEP_SCOPE_MAX = 65535,
    STEP_STALES_MAX = 8192, /* beyond, the oldest is forgotten */
    STEP_MESSAGE_BYTES_MAX = 1024,
    STEP_ATTEMPT_BYTES = 16, /* payload of an ATTEMPT before the message */
};
_Static_assert(EXECUTION_CALLS_MAX + STEP_STALES_MAX < STEP_SCOPE_MAX, "a scope is always free");

struct stale {
    struct table_node node;
    struct list link; /* execution.stales */
};

static void stale_free(struct execution *x, struct stale *s)
{
    (void)id_table_remove(&x->stale, s->node.key); /* it is s */
    list_remove(&s->link);
    free(s);
}

static void stale_add(struct execution *x, uint32_t scope)
{
    if (x->stale.count >= STEP_STALES_MAX)
        stale_free(x, container_of(x->stales.next, struct stale, link));
    struct stale *s = calloc(1, sizeof(*s));
    if (!s)
        check_out_of_memory(sizeof(*s));
    id_table_add(&x->stale, &s->node, scope);
    list_push_back(&x->stales, &s->link);
}

void steps_save_stale(const struct execution *x, struct bytes *out)
{
    LIST_FOREACH (n, &x->stales)
        bytes_append_u32(out, (uint32_t)container_of(n, const struct stale, link)->node.key);
}

bool step_stale_restore(struct execution *x, uint32_t scope)
{
    if (scope == 0 || scope > STEP_SCOPE_MAX || x->stale.count >= STEP_STALES_MAX ||
        id_table_find(&x->stale, scope))
        return false;
    stale_add(x, scope);
    return true;
}

void steps_done(struct execution *x)
{
    while (!list_is_empty(&x->stales))
        stale_free(x, container_of(x->stales.next, struct stale, link));
    id_table_done(&x->stale);
    id_table_done(&x->scopes);
}

/* ---- scopes ---- */

static struct call *scope_find(const struct execution *x, uint32_t scope)
{
    struct table_node *n = id_table_find(&x->scopes, scope);
    return n ? container_of(n, struct call, by_scope) : NULL;
}

static void scope_close(struct execution *x, struct call *c)
{
    (void)id_table_remove(&x->scopes, c->by_scope.key); /* it is c */
    c->by_scope.key = 0;
}

/* Closes the scope although its body has not ended. */
static void scope_break(struct execution *x, struct call *c)
{
    const uint32_t scope = (uint32_t)c->by_scope.key;
    scope_close(x, c);
    stale_add(x, scope);
    x->port->scope_over(x->port->ctx, scope);
}

uint32_t step_start(struct execution *x, struct call *c)
{
    do
        x->scope_last = x->scope_last % STEP_SCOPE_MAX + 1;
    while (id_table_find(&x->scopes, x->scope_last) || id_table_find(&x->stale, x->scope_last));
    id_table_add(&x->scopes, &c->by_scope, x->scope_last);
    if (c->retry.timeout_us != EXECUTION_NEVER)
        deadline_set(x, c, time_after(x->port->now_us(x->port->ctx), c->retry.timeout_us));
    return x->scope_last;
}

uint32_t execution_scope_step(const struct execution *x, uint32_t scope)
{
    const struct call *c = scope_find(x, scope);
    return c ? (uint32_t)c->by_id.key : 0;
}

void step_give_up(struct execution *x, struct call *c)
{
    if (c->by_scope.key != 0)
        scope_break(x, c);
}

/* ---- failures ---- */

static int64_t step_delay_us(const struct call *c)
{
    const double grown = c->retry.factor == 0 ? c->failed : pow(c->retry.factor, c->failed - 1);
    const double delay = (double)c->retry.delay_us * grown;
    if (!(delay > 0))
        return 0;
    return delay < (double)c->retry.delay_max_us ? (int64_t)delay : c->retry.delay_max_us;
}

static void step_record_attempt(struct execution *x, const struct call *c, uint32_t status,
                                int64_t now_us, int64_t due_us, struct slice message)
{
    CLEANUP(bytes_done) struct bytes payload = BYTES_INIT;
    bytes_append_u32(&payload, c->failed);
    bytes_append_u64(&payload, (uint64_t)due_us);
    bytes_append_lstr(&payload, slice_utf8_clip(message, STEP_MESSAGE_BYTES_MAX));
    journal_append(x, &(struct record){.kind = RECORD_ATTEMPT,
                                       .op = c->op,
                                       .id = (uint32_t)c->by_id.key,
                                       .digest = c->digest,
                                       .at_us = now_us,
                                       .status = status,
                                       .label = call_label(c),
                                       .payload = bytes_slice(&payload)});
}

/* The attempt is over, its scope closed. payload: what the code gets if it was the last. */
static void step_failed(struct execution *x, struct call *c, uint32_t status, bool is_final,
                        struct slice payload, struct slice message)
{
    deadline_drop(x, c);
    c->failed++;
    const bool was_last = c->retry.attempts_max != 0 && c->failed >= c->retry.attempts_max;
    if (is_final || was_last || x->end >= EXECUTION_RECORDS_MAX) {
        call_arrive(x, c, status, payload);
        return;
    }
    const int64_t now_us = x->port->now_us(x->port->ctx);
    const int64_t due_us = time_after(now_us, step_delay_us(c));
    step_record_attempt(x, c, status, now_us, due_us, message);
    if (due_us <= now_us)
        call_queue(x, c, ITEM_RUN);
    else
        deadline_set(x, c, due_us);
}

void step_due(struct execution *x, struct call *c)
{
    c->due_us = EXECUTION_NEVER;
    if (c->by_scope.key == 0) {
        call_queue(x, c, ITEM_RUN);
        return;
    }
    char text[128];
    (void)snprintf(text, sizeof(text), "attempt %" PRIu32 " took longer than %g ms", c->failed + 1,
                   (double)c->retry.timeout_us / 1000);
    scope_break(x, c);
    step_failed(x, c, ERR_TIMEOUT, false, slice_cstr(text), slice_cstr(text));
}

void execution_step_done(struct execution *x, uint32_t scope, uint32_t status, bool is_final,
                         struct slice payload, struct slice message)
{
    struct table_node *over = id_table_find(&x->stale, scope);
    if (over) {
        stale_free(x, container_of(over, struct stale, node));
        return;
    }
    struct call *c = scope_find(x, scope);
    if (!c || !execution_is_live(x))
        return;
    scope_close(x, c);
    if (status == OK || payload.len > EXECUTION_VALUE_BYTES_MAX)
        call_arrive(x, c, status, payload); /* too large: no attempt would be better */
    else
        step_failed(x, c, status, is_final, status == ERR_GUEST ? payload : message, message);
}

/* ---- replay ---- */

bool step_replay_attempt(struct execution *x, const struct record *r)
{
    struct call *c = call_find(x, r->id);
    if (!c || c->is_given_up) /* it was not when this was recorded; it cannot be tried again */
        return true;
    if (c->kind != EXECUTION_STEP || c->op != r->op || c->digest != r->digest) {
        char did[sizeof(x->divergence.did)];
        journal_describe(x, c->op, call_label(c), did, sizeof(did));
        journal_diverged(x, r, r->id, did);
        return false;
    }
    uint32_t failed;
    uint64_t due_us;
    if (r->payload.len < STEP_ATTEMPT_BYTES) {
        (void)error_set(&x->error, ERR_CORRUPT, "record %" PRId64 " (an attempt) is too short",
                        x->at);
        journal_broken(x);
        return false;
    }
    memcpy(&failed, r->payload.ptr, sizeof(failed));
    memcpy(&due_us, r->payload.ptr + sizeof(failed), sizeof(due_us));
    c->failed = le32toh(failed);
    c->due_us = (int64_t)le64toh(due_us);
    return true;
}
