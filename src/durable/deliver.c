/* SPDX-License-Identifier: Apache-2.0
 *
 * One delivery at a time: what the code learns next, when it is at rest.
 *
 * The order, live and on replay alike: first calls that the code itself gave up (and, after CANCEL,
 * all that were pending), which need no record; then, on replay, what the next record says; live,
 * the request to cancel, and after it whatever arrived first. What is delivered live is recorded in
 * the same call. */
#include <inttypes.h>

#include "durable/internal.h"

static bool deliver_local(struct execution *x, struct execution_delivery *ret_delivery)
{
    struct list *n = list_pop_front(&x->local);
    if (!n)
        return false;
    struct call *c = container_of(n, struct call, item.link);
    *ret_delivery = (struct execution_delivery){.kind = EXECUTION_DONE,
                                                .id = (uint32_t)c->by_id.key,
                                                .status = ERR_CANCELLED,
                                                .payload = CALL_CANCELLED};
    call_remove(x, c);
    return true;
}

static void deliver_cancel(struct execution *x, struct execution_delivery *ret_delivery)
{
    x->is_cancel_asked = x->is_cancelled = true;
    if (execution_is_live(x) || journal_is_tail(x))
        x->has_cancel = true;
    /* What the port stops may complete others (execution_arrive), but no call leaves the list
     * before its delivery. */
    LIST_FOREACH (n, &x->calls)
        call_give_up(x, container_of(n, struct call, link));
    *ret_delivery = (struct execution_delivery){.kind = EXECUTION_CANCEL};
}

/* ---- replay ---- */

/* The code is at rest, but was recorded to do something else. */
static void deliver_diverged(struct execution *x, const struct record *r)
{
    char text[280], did[sizeof(x->divergence.did)] = "waits for nothing";
    uint32_t id = 0;
    if (!list_is_empty(&x->calls)) { /* the newest is likely what it waits for */
        const struct call *c = container_of(x->calls.prev, struct call, link);
        id = (uint32_t)c->by_id.key;
        journal_describe(x, c->op, call_label(c), text, sizeof(text));
        (void)snprintf(did, sizeof(did), "waits for %s", text);
    }
    journal_diverged(x, r, id, did);
}

static bool replay_done(struct execution *x, const struct record *r,
                        struct execution_delivery *ret_delivery)
{
    struct call *c = call_find(x, r->id);
    struct slice payload = r->payload;
    if (!c) {
        deliver_diverged(x, r);
        return false;
    }
    if (c->op != r->op || c->digest != r->digest) {
        char did[sizeof(x->divergence.did)];
        journal_describe(x, c->op, call_label(c), did, sizeof(did));
        journal_diverged(x, r, r->id, did);
        return false;
    }
    if (c->kind == EXECUTION_EVENT && r->status == OK) {
        uint64_t seq;
        if (payload.len < EVENT_SEQ_BYTES) {
            (void)error_set(&x->error, ERR_CORRUPT, "record %" PRId64 " (a signal) is too short",
                            x->at);
            journal_broken(x);
            return false;
        }
        memcpy(&seq, payload.ptr, sizeof(seq));
        event_consume(x, (int64_t)le64toh(seq));
        payload = slice_skip(payload, EVENT_SEQ_BYTES);
    }
    *ret_delivery = (struct execution_delivery){
        .kind = EXECUTION_DONE, .id = r->id, .status = r->status, .payload = payload};
    call_remove(x, c);
    return true;
}

static bool replay_record(struct execution *x, const struct record *r,
                          struct execution_delivery *ret_delivery)
{
    switch (r->kind) {
    case RECORD_DONE:
        if (!replay_done(x, r, ret_delivery))
            return false;
        break;
    case RECORD_CANCEL:
        deliver_cancel(x, ret_delivery);
        break;
    case RECORD_START:
    case RECORD_SYNC:
    case RECORD_ATTEMPT:
    case RECORD_END:
        deliver_diverged(x, r);
        return false;
    }
    if (r->at_us > x->now_us)
        x->now_us = r->at_us;
    journal_consume(x);
    return true;
}

void execution_go_live(struct execution *x)
{
    CHECK(x->at == x->end && !x->is_check && x->state == EXECUTION_REPLAYING);
    x->state = EXECUTION_IS_LIVE;
    journal_trim(x);
    calls_trim(x);
    LIST_FOREACH (n, &x->calls) {
        struct call *c = container_of(n, struct call, link);
        if (!c->is_given_up)
            call_go_live(x, c);
    }
    events_go_live(x);
}

/* ---- live ---- */

/* The clock goes on: something is delivered. */
static int64_t live_now(struct execution *x)
{
    const int64_t now_us = x->port->now_us(x->port->ctx);
    if (now_us > x->now_us)
        x->now_us = now_us;
    return x->now_us;
}

/* skip: so much of the recorded payload is not the code's. */
static void live_done(struct execution *x, struct call *c, uint32_t status, struct slice payload,
                      size_t skip, struct execution_delivery *ret_delivery)
{
    journal_append(x, &(struct record){.kind = RECORD_DONE,
                                       .op = c->op,
                                       .id = (uint32_t)c->by_id.key,
                                       .digest = c->digest,
                                       .at_us = live_now(x),
                                       .status = status,
                                       .label = call_label(c),
                                       .payload = payload});
    *ret_delivery = (struct execution_delivery){.kind = EXECUTION_DONE,
                                                .id = (uint32_t)c->by_id.key,
                                                .status = status,
                                                .payload = slice_skip(payload, skip)};
    call_remove(x, c);
}

static void live_call(struct execution *x, struct call *c, bool is_complete,
                      struct execution_delivery *ret_delivery)
{
    if (is_complete && event_take_late(x, c))
        live_done(x, c, OK, bytes_slice(&x->scratch), EVENT_SEQ_BYTES, ret_delivery);
    else if (is_complete)
        live_done(x, c, c->status, bytes_slice(&c->result), 0, ret_delivery);
    else
        *ret_delivery = (struct execution_delivery){.kind = EXECUTION_RUN,
                                                    .id = (uint32_t)c->by_id.key,
                                                    .scope = step_start(x, c),
                                                    .attempt = c->failed + 1};
}

static void live_signal(struct execution *x, struct channel *ch,
                        struct execution_delivery *ret_delivery)
{
    struct call *c = event_take(x, ch);
    live_done(x, c, OK, bytes_slice(&x->scratch), EVENT_SEQ_BYTES, ret_delivery);
}

static bool live_next(struct execution *x, struct execution_delivery *ret_delivery)
{
    x->is_held = execution_is_full(x);
    if (x->is_held)
        return false;
    deadline_fire(x);
    if (x->is_cancel_asked && !x->is_cancelled) {
        journal_append(x, &(struct record){.kind = RECORD_CANCEL, .at_us = live_now(x)});
        deliver_cancel(x, ret_delivery);
        return true;
    }
    struct list *n = list_pop_front(&x->ready);
    if (!n)
        return false;
    struct item *item = container_of(n, struct item, link);
    if (item->kind == ITEM_SIGNAL)
        live_signal(x, container_of(item, struct channel, item), ret_delivery);
    else
        live_call(x, container_of(item, struct call, item), item->kind == ITEM_DONE, ret_delivery);
    return true;
}

bool execution_next(struct execution *x, struct execution_delivery *ret_delivery)
{
    call_return(x);
    x->has_rested = false;
    if (!execution_is_running(x))
        return false;
    if (deliver_local(x, ret_delivery))
        return true;
    if (!execution_is_live(x)) {
        const struct record *r;
        switch (journal_peek(x, &r)) {
        case JOURNAL_RECORD:
            return replay_record(x, r, ret_delivery);
        case JOURNAL_LATER:
        case JOURNAL_FAILED:
            return false;
        case JOURNAL_USED_UP:
            if (x->is_check) {
                x->state = EXECUTION_AGREED;
                return false;
            }
            execution_go_live(x);
        }
    }
    x->has_rested = !live_next(x, ret_delivery);
    return !x->has_rested;
}

/* The code stands still for this one call: whatever else has arrived waits until it rests. */
bool execution_next_of(struct execution *x, uint32_t id, struct execution_delivery *ret_delivery)
{
    call_return(x);
    x->has_rested = false;
    if (execution_is_running(x) && !execution_is_live(x)) {
        const struct record *r;
        switch (journal_peek(x, &r)) {
        case JOURNAL_RECORD:
            if (r->kind != RECORD_DONE || r->id != id) {
                deliver_diverged(x, r);
                return false;
            }
            return replay_record(x, r, ret_delivery);
        case JOURNAL_LATER:
        case JOURNAL_FAILED:
            return false;
        case JOURNAL_USED_UP:
            if (x->is_check) {
                x->state = EXECUTION_AGREED;
                return false;
            }
            execution_go_live(x);
        }
    }
    struct call *c = execution_is_live(x) ? call_find(x, id) : NULL;
    if (!c || !c->is_complete || c->is_given_up)
        return false;
    list_remove(&c->item.link);
    live_call(x, c, true, ret_delivery);
    return true;
}

/* ---- events ---- */

void execution_cancel(struct execution *x)
{
    if (x->is_cancel_asked)
        return;
    x->is_cancel_asked = true;
    if (execution_is_live(x))
        x->port->runnable(x->port->ctx);
}

bool execution_is_cancelled(const struct execution *x)
{
    return x->is_cancelled;
}

void execution_tick(struct execution *x)
{
    if (!execution_is_live(x))
        return;
    deadline_fire(x);
    if (!list_is_empty(&x->ready) || execution_has_batch(x))
        x->port->runnable(x->port->ctx);
}

int64_t execution_wake_us(const struct execution *x)
{
    return execution_is_live(x) ? deadline_first(x) : EXECUTION_NEVER;
}

bool execution_is_idle(const struct execution *x)
{
    return execution_is_live(x) && x->has_rested && !x->is_held && list_is_empty(&x->ready) &&
           list_is_empty(&x->local) && x->is_cancel_asked == x->is_cancelled && x->externals == 0 &&
           x->scopes.count == 0 && deadline_first(x) > x->port->now_us(x->port->ctx);
}
