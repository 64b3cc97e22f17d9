/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal as an execution sees it: a source of records while it replays, a log of new ones
 * until they are stored.
 *
 * Replay. Records [0, stored) are read through the port, a chunk at a time; those that follow come
 * from the tail (config). Only one chunk is in memory, and a record is used where it lies. The next
 * record is looked at first (journal_peek) and taken when the code turns out to do the same
 * (journal_consume). Failed attempts are not seen by the code, so they are taken in passing: they
 * were recorded whenever a body failed, which is at no fixed place of the main code.
 *
 * Log. The bytes of records [durable, end), of which [durable, taken) are on their way to the
 * store. Records of the tail are put into the log when they are replayed: they are not in the
 * store.
 *
 * Invariants: at <= end; not replaying: at == end; durable <= taken <= number after the log's last
 * record. */
#include <inttypes.h>
#include <stdio.h>

#include "durable/internal.h"

enum {
    JOURNAL_CHUNK_KEEP_BYTES = 4 * EXECUTION_CHUNK_BYTES, /* a larger buffer is not kept */
    JOURNAL_LOG_KEEP_BYTES = 64 * 1024,
    JOURNAL_BEHIND = 32, /* records: far more than code can ask for before it stands still */
};

/* ---- reading ---- */

void journal_init(struct execution *x, const struct execution_config *config)
{
    CHECK(config->stored >= 0);
    x->stored = x->durable = x->taken = x->end = config->stored;
    if (config->tail.len == 0)
        return;
    const int64_t count = record_count(config->tail);
    if (count < 0) {
        (void)error_set(&x->error, ERR_CORRUPT,
                        "the records of this execution in the module's database are malformed");
        journal_broken(x);
        return;
    }
    const int64_t skip = config->stored - config->tail_first;
    if (skip < 0) {
        (void)error_set(&x->error, ERR_CORRUPT,
                        "the store has %" PRId64 " records of this execution, but the module's "
                        "database has more from number %" PRId64 " on",
                        config->stored, config->tail_first);
        error_hint(&x->error, "was the store's file replaced by an older one?");
        journal_broken(x);
        return;
    }
    if (skip >= count)
        return;
    const struct slice known = record_prefix(config->tail, skip);
    bytes_append_slice(&x->tail, slice_skip(config->tail, known.len));
    x->end += count - skip;
}

void journal_trim(struct execution *x)
{
    bytes_done(&x->chunk);
    bytes_done(&x->tail);
    x->rest = SLICE_EMPTY;
    x->has_peeked = false;
}

void journal_done(struct execution *x)
{
    journal_trim(x);
    bytes_done(&x->log);
}

void journal_broken(struct execution *x)
{
    x->state = EXECUTION_BROKEN;
}

static enum journal_peek journal_read(struct execution *x)
{
    if (x->at >= x->stored) { /* once: the tail is one piece */
        x->rest = bytes_slice(&x->tail);
        x->rest_end = x->end;
        x->is_rest_tail = true;
        return JOURNAL_RECORD;
    }
    if (x->chunk.cap > JOURNAL_CHUNK_KEEP_BYTES)
        bytes_done(&x->chunk);
    bytes_clear(&x->chunk);
    int64_t count = 0;
    if (x->port->read(x->port->ctx, x->at, &x->chunk, &count, &x->error) != OK) {
        (void)error_context(&x->error, ERR_IO, "cannot read the journal at record %" PRId64, x->at);
        return JOURNAL_FAILED;
    }
    if (count == EXECUTION_LATER)
        return JOURNAL_LATER;
    if (count <= 0) {
        (void)error_set(&x->error, ERR_CORRUPT,
                        "the journal ends at record %" PRId64 " of %" PRId64, x->at, x->stored);
        return JOURNAL_FAILED;
    }
    x->rest = bytes_slice(&x->chunk);
    x->rest_end = count < x->stored - x->at ? x->at + count : x->stored;
    return JOURNAL_RECORD;
}

bool execution_is_behind(const struct execution *x)
{
    return x->state == EXECUTION_REPLAYING && x->rest_end < x->stored &&
           x->rest_end - x->at < JOURNAL_BEHIND && x->port->has &&
           !x->port->has(x->port->ctx, x->rest_end);
}

/* Decodes the next record into x->peeked. */
static enum journal_peek journal_look(struct execution *x)
{
    enum journal_peek how = x->at == x->rest_end ? journal_read(x) : JOURNAL_RECORD;
    if (how != JOURNAL_RECORD)
        return how;
    const struct slice before = x->rest;
    if (record_take(&x->rest, &x->peeked, &x->error) != OK) {
        (void)error_context(&x->error, ERR_CORRUPT, "record %" PRId64, x->at);
        return JOURNAL_FAILED;
    }
    x->peeked_bytes = slice_of(before.ptr, before.len - x->rest.len);
    x->has_peeked = true;
    return JOURNAL_RECORD;
}

enum journal_peek journal_peek(struct execution *x, const struct record **ret_record)
{
    while (x->at < x->end) {
        enum journal_peek how = x->has_peeked ? JOURNAL_RECORD : journal_look(x);
        if (how == JOURNAL_FAILED)
            journal_broken(x);
        if (how != JOURNAL_RECORD)
            return how;
        if (x->peeked.kind != RECORD_ATTEMPT || x->peeked.id > x->last_id) {
            *ret_record = &x->peeked;
            return JOURNAL_RECORD;
        }
        if (!step_replay_attempt(x, &x->peeked))
            return JOURNAL_FAILED;
        journal_consume(x);
    }
    return JOURNAL_USED_UP;
}

enum journal_peek journal_need(struct execution *x, const struct record **ret_record)
{
    enum journal_peek how = journal_peek(x, ret_record);
    if (how != JOURNAL_LATER)
        return how;
    (void)error_set(&x->error, ERR_UNAVAILABLE, "record %" PRId64 " has not been read yet", x->at);
    journal_broken(x);
    return JOURNAL_FAILED;
}

bool journal_is_tail(const struct execution *x)
{
    return x->is_rest_tail && !x->is_check;
}

void journal_consume(struct execution *x)
{
    CHECK(x->has_peeked);
    if (journal_is_tail(x))
        bytes_append_slice(&x->log, x->peeked_bytes);
    if (x->peeked.kind != RECORD_ATTEMPT)
        x->told++;
    x->has_peeked = false;
    x->at++;
}

/* ---- how the code differs ---- */

void journal_describe(const struct execution *x, uint32_t op, struct slice label, char *ret_text,
                      size_t size)
{
    const char *text = x->port->op_text ? x->port->op_text(op) : NULL;
    const struct slice shown = slice_utf8_clip(label, RECORD_LABEL_BYTES_MAX);
    char number[16];
    (void)snprintf(number, sizeof(number), "op %" PRIu32, op);
    (void)snprintf(ret_text, size, "%s \"%.*s\"", text ? text : number, SLICE_ARG(shown));
}

static void journal_describe_record(const struct execution *x, const struct record *r,
                                    char *ret_text, size_t size)
{
    char text[280];
    switch (r->kind) {
    case RECORD_SYNC:
    case RECORD_DONE:
        journal_describe(x, r->op, r->label, ret_text, size);
        return;
    case RECORD_ATTEMPT:
        journal_describe(x, r->op, r->label, text, sizeof(text));
        (void)snprintf(ret_text, size, "a failed attempt of %s", text);
        return;
    case RECORD_START:
    case RECORD_CANCEL:
    case RECORD_END:
        (void)snprintf(ret_text, size, "%s%s%.*s", record_kind_text(r->kind),
                       r->label.len ? ": " : "", SLICE_ARG(r->label));
    }
}

void journal_diverged(struct execution *x, const struct record *recorded, uint32_t id,
                      const char *did)
{
    struct execution_divergence *d = &x->divergence;
    *d = (struct execution_divergence){.record = x->at, .id = id};
    if (recorded)
        journal_describe_record(x, recorded, d->recorded, sizeof(d->recorded));
    else
        (void)snprintf(d->recorded, sizeof(d->recorded), "nothing more");
    (void)snprintf(d->did, sizeof(d->did), "%s%s", did,
                   strcmp(did, d->recorded) == 0 ? " with other arguments" : "");
    (void)error_set(&x->error, ERR_DIVERGED,
                    "the code does not do what is in its journal: record %" PRId64
                    " is %s, but the code did: %s",
                    d->record, d->recorded, d->did);
    error_hint(&x->error, "code of a workflow must do the same each time it runs: no state outside "
                          "of it, no change of running code");
    x->state = EXECUTION_HAS_DIVERGED;
}

/* ---- writing ---- */

void journal_append(struct execution *x, const struct record *r)
{
    CHECK(x->at == x->end);
    x->log_last = x->log.len;
    record_append(r, &x->log);
    if (r->kind != RECORD_ATTEMPT)
        x->told++;
    x->at++;
    x->end++;
}

void execution_sync_undo(struct execution *x)
{
    CHECK(x->end > x->taken && x->log_last >= x->log_taken && x->log_last < x->log.len);
    x->log.len = x->log_last;
    x->told--;
    x->at--;
    x->end--;
}

/* The number after the log's last record. */
static int64_t journal_log_end(const struct execution *x)
{
    return x->at > x->stored ? x->at : x->stored;
}

size_t journal_unstored_bytes(const struct execution *x)
{
    return x->log.len - x->log_head;
}

int64_t journal_untaken(const struct execution *x)
{
    return x->is_check ? 0 : journal_log_end(x) - x->taken;
}

struct slice journal_take(struct execution *x, int64_t *ret_first, int64_t *ret_count)
{
    const struct slice fresh = slice_skip(bytes_slice(&x->log), x->log_taken);
    *ret_first = x->taken;
    *ret_count = journal_untaken(x);
    x->taken += *ret_count;
    x->log_taken = x->log.len;
    return fresh;
}

void journal_stored(struct execution *x, int64_t end)
{
    CHECK(end <= x->taken);
    if (end <= x->durable)
        return;
    const struct slice log = slice_skip(bytes_slice(&x->log), x->log_head);
    x->log_head += record_prefix(log, end - x->durable).len;
    x->durable = end;
    if (x->log_head < x->log.len / 2)
        return;
    if (x->log_head == x->log.len && x->log.cap > JOURNAL_LOG_KEEP_BYTES)
        bytes_done(&x->log);
    else
        bytes_consume(&x->log, x->log_head);
    x->log_taken -= x->log_head;
    x->log_kept -= x->log_kept < x->log_head ? x->log_kept : x->log_head;
    x->log_last -= x->log_last < x->log_head ? x->log_last : x->log_head;
    x->log_head = 0;
}

int64_t execution_end(const struct execution *x)
{
    return x->end;
}

int64_t execution_durable(const struct execution *x)
{
    return x->durable;
}

struct slice execution_tail(const struct execution *x, int64_t *ret_first)
{
    const bool is_kept = x->kept > x->durable;
    *ret_first = is_kept ? x->kept : x->durable;
    return slice_skip(bytes_slice(&x->log), is_kept ? x->log_kept : x->log_head);
}

void execution_kept(struct execution *x)
{
    x->kept = journal_log_end(x);
    x->log_kept = x->log.len;
}
