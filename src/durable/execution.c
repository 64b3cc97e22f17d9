/* SPDX-License-Identifier: Apache-2.0
 *
 * An execution from its beginning to its end, and the synchronous ops. What the code calls is
 * compared with the journal as long as there is one; after that it is recorded.
 *
 * States: REPLAYING until the first time that the code wants more than the journal has, then
 * IS_LIVE until it finishes. A check stops where it would go live (AGREED). HAS_DIVERGED, BROKEN,
 * AGREED and FINISHED are final: everything then answers "no". */
#include <inttypes.h>
#include <stdlib.h>

#include "durable/internal.h"

struct execution *execution_new_blank(const struct execution_config *config)
{
    struct execution *x = calloc(1, sizeof(*x));
    if (!x)
        check_out_of_memory(sizeof(*x));
    struct list *lists[] = {&x->calls,  &x->ready,         &x->local,         &x->spare,
                            &x->stales, &x->early_signals, &x->early_children};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    x->port = config->port;
    x->is_check = config->is_check;
    x->break_id = config->break_id;
    x->now_us = config->started_us;
    bytes_append_slice(&x->id, config->id);
    journal_init(x, config);
    return x;
}

/* Record 0 gives the time at which the code starts, so it is read before there is any code. */
static void execution_start(struct execution *x)
{
    if (x->end == 0) {
        journal_append(x, &(struct record){.kind = RECORD_START, .at_us = x->now_us});
        if (!x->is_check)
            execution_go_live(x);
        return;
    }
    const struct record *r;
    if (journal_need(x, &r) != JOURNAL_RECORD)
        return;
    if (r->kind != RECORD_START) {
        (void)error_set(&x->error, ERR_CORRUPT, "the journal does not begin with a start, but %s",
                        record_kind_text(r->kind));
        journal_broken(x);
        return;
    }
    x->now_us = r->at_us;
    journal_consume(x);
}

struct execution *execution_new(const struct execution_config *config)
{
    struct execution *x = execution_new_blank(config);
    if (x->state == EXECUTION_REPLAYING)
        execution_start(x);
    return x;
}

void execution_free(struct execution *x)
{
    if (!x)
        return;
    steps_done(x);
    events_done(x);
    calls_done(x);
    batch_done(x);
    journal_done(x);
    bytes_done(&x->id);
    free(x);
}

/* ---- synchronous ops ---- */

static enum execution_answer sync_limit(struct execution_result *ret_result)
{
    *ret_result = (struct execution_result){
        ERR_LIMIT, SLICE_LIT("the journal has 10000000 records, it may not grow further")};
    return EXECUTION_REPLAYED;
}
_Static_assert(EXECUTION_RECORDS_MAX == 10000000, "the number stands in a message");

enum execution_answer execution_sync(struct execution *x, uint32_t op, uint64_t digest,
                                     struct slice label, struct execution_result *ret_result)
{
    x->is_tail = false;
    if (!execution_is_running(x))
        return EXECUTION_DIVERGED;
    if (x->told >= EXECUTION_RECORDS_MAX)
        return sync_limit(ret_result);
    if (execution_is_live(x))
        return EXECUTION_LIVE;
    const struct record *r;
    switch (journal_need(x, &r)) {
    case JOURNAL_LATER:
    case JOURNAL_FAILED:
        return EXECUTION_DIVERGED;
    case JOURNAL_USED_UP:
        if (x->is_check) {
            x->state = EXECUTION_AGREED;
            return EXECUTION_DIVERGED;
        }
        execution_go_live(x);
        return EXECUTION_LIVE;
    case JOURNAL_RECORD:
        break;
    }
    if (r->kind != RECORD_SYNC || r->op != op || r->digest != digest) {
        char did[sizeof(x->divergence.did)];
        journal_describe(x, op, label, did, sizeof(did));
        journal_diverged(x, r, 0, did);
        return EXECUTION_DIVERGED;
    }
    *ret_result = (struct execution_result){r->status, r->payload};
    x->is_tail = journal_is_tail(x);
    journal_consume(x);
    return EXECUTION_REPLAYED;
}

void execution_sync_done(struct execution *x, uint32_t op, uint64_t digest, struct slice label,
                         uint32_t status, struct slice payload)
{
    if (!execution_is_live(x))
        return;
    journal_append(x, &(struct record){.kind = RECORD_SYNC,
                                       .op = op,
                                       .digest = digest,
                                       .at_us = x->now_us,
                                       .status = status,
                                       .label = label,
                                       .payload = payload});
}

bool execution_is_tail(const struct execution *x)
{
    return x->is_tail;
}

/* ---- the end ---- */

static const char *end_label(uint32_t status)
{
    return status == OK ? "completed" : status == ERR_CANCELLED ? "cancelled" : "failed";
}

/* A result is compared; an error not: it tells of source lines. */
static uint64_t end_digest(uint32_t status, struct slice value)
{
    struct record_hash h;
    record_hash_init(&h, 0);
    record_hash_add(&h, status == OK ? value : SLICE_EMPTY);
    return record_hash_end(&h);
}

static void finish_diverged(struct execution *x, const struct record *r, uint32_t status)
{
    const char *did = status == OK              ? "returned"
                      : status == ERR_CANCELLED ? "ended as cancelled"
                                                : "failed";
    if (r->kind == RECORD_END && r->status == status)
        did = "returned another value";
    journal_diverged(x, r, 0, did);
}

void execution_finish(struct execution *x, uint32_t status, struct slice value)
{
    if (!execution_is_running(x))
        return;
    const struct record *r;
    const struct record end = {.kind = RECORD_END,
                               .digest = end_digest(status, value),
                               .at_us = x->now_us,
                               .status = status,
                               .label = slice_cstr(end_label(status))};
    const enum journal_peek peek = execution_is_live(x) ? JOURNAL_USED_UP : journal_need(x, &r);
    bool is_stored = x->is_check;
    if (peek == JOURNAL_FAILED)
        return;
    if (peek == JOURNAL_RECORD) {
        if (r->kind != RECORD_END || r->status != end.status || r->digest != end.digest) {
            finish_diverged(x, r, status);
            return;
        }
        is_stored = !journal_is_tail(x);
        journal_consume(x);
        if (x->at != x->end) {
            (void)error_set(&x->error, ERR_CORRUPT,
                            "the journal goes on after its end, record %" PRId64, x->at - 1);
            journal_broken(x);
            return;
        }
    } else if (!x->is_check) {
        journal_append(x, &end);
    }
    x->state = x->is_check ? EXECUTION_AGREED : EXECUTION_FINISHED;
    if (is_stored)
        return;
    x->has_ended = true;
    x->end_status = status;
    bytes_append_slice(&x->end_value, value);
}

/* ---- what it is ---- */

enum execution_state execution_state(const struct execution *x)
{
    return x->state;
}

const struct error *execution_error(const struct execution *x)
{
    return &x->error;
}

const struct execution_divergence *execution_divergence(const struct execution *x)
{
    return x->state == EXECUTION_HAS_DIVERGED ? &x->divergence : NULL;
}

int64_t execution_now_us(const struct execution *x)
{
    return x->now_us;
}

struct slice execution_id(const struct execution *x)
{
    return bytes_slice(&x->id);
}
