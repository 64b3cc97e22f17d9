/* SPDX-License-Identifier: Apache-2.0
 *
 * What an execution wants stored since the last time that it was asked: new records, effects that
 * belong to them, signals that they consumed, the end. It is stored whole or not at all. */
#include <stdlib.h>

#include "durable/internal.h"

enum { BATCH_ARRAY_FIRST = 8 };

static void *batch_grow(void *array, size_t *cap, size_t size)
{
    *cap = *cap ? *cap * 2 : BATCH_ARRAY_FIRST;
    void *grown = reallocarray(array, *cap, size);
    if (!grown)
        check_out_of_memory(*cap * size);
    return grown;
}

static struct execution_effect *batch_add(struct execution *x, size_t bytes)
{
    if (x->effects_len == x->effects_cap)
        x->effects = batch_grow(x->effects, &x->effects_cap, sizeof(*x->effects));
    x->effect_bytes += bytes + sizeof(*x->effects);
    return &x->effects[x->effects_len++];
}

/* Only the last is ever seen. */
static void batch_publish(struct execution *x, struct slice value)
{
    if (x->progress_at == 0) {
        *batch_add(x, 0) = (struct execution_effect){.kind = EXECUTION_PUBLISH};
        x->progress_at = x->effects_len;
    }
    x->effect_bytes += value.len;
    x->effect_bytes -= x->progress.len;
    bytes_clear(&x->progress);
    bytes_append_slice(&x->progress, value);
}

void execution_effect(struct execution *x, const struct execution_effect *effect)
{
    const bool is_replayed = x->state == EXECUTION_REPLAYING && x->is_tail;
    if (!execution_is_live(x) && !is_replayed && effect->kind != EXECUTION_LOG)
        return;
    if (effect->kind == EXECUTION_PUBLISH) {
        batch_publish(x, effect->value);
        return;
    }
    if (!x->arena)
        x->arena = arena_new(NULL);
    *batch_add(x, effect->target.len + effect->name.len + effect->value.len + effect->id.len) =
        (struct execution_effect){.kind = effect->kind,
                                  .target = arena_copy(x->arena, effect->target),
                                  .name = arena_copy(x->arena, effect->name),
                                  .value = arena_copy(x->arena, effect->value),
                                  .id = arena_copy(x->arena, effect->id),
                                  .level = effect->level,
                                  .at_us = effect->at_us,
                                  .number = effect->number};
}

void batch_consumed(struct execution *x, int64_t seq)
{
    if (x->consumed_len == x->consumed_cap)
        x->consumed = batch_grow(x->consumed, &x->consumed_cap, sizeof(*x->consumed));
    x->consumed[x->consumed_len++] = seq;
}

void batch_done(struct execution *x)
{
    arena_free(x->arena);
    free(x->effects);
    free(x->consumed);
    bytes_done(&x->progress);
    bytes_done(&x->end_value);
}

/* ---- how much there is ---- */

size_t execution_unstored_bytes(const struct execution *x)
{
    return journal_unstored_bytes(x) + x->effect_bytes + x->taken_bytes;
}

bool execution_has_much(const struct execution *x)
{
    return execution_is_live(x) &&
           x->log.len - x->log_taken + x->effect_bytes > EXECUTION_SLICE_BYTES;
}

bool execution_is_full(const struct execution *x)
{
    return execution_is_live(x) && execution_unstored_bytes(x) > EXECUTION_UNSTORED_BYTES_MAX;
}

bool execution_is_overfull(const struct execution *x)
{
    return execution_is_live(x) && execution_unstored_bytes(x) > EXECUTION_UNSTORED_BYTES_LIMIT;
}

bool execution_has_batch(const struct execution *x)
{
    return x->effects_len > 0 || journal_untaken(x) > 0;
}

/* What the batch points to besides its bytes. */
struct batch_memory {
    struct arena *arena;
    struct execution_effect *effects;
    int64_t *consumed;
    struct bytes progress;
};

struct execution_batch *execution_take(struct execution *x)
{
    struct execution_batch *b = calloc(1, sizeof(*b));
    struct batch_memory *memory = calloc(1, sizeof(*memory));
    if (!b || !memory)
        check_out_of_memory(sizeof(*b) + sizeof(*memory));
    *memory =
        (struct batch_memory){TAKE(x->arena), TAKE(x->effects), TAKE(x->consumed), x->progress};
    x->progress = BYTES_INIT;
    if (x->progress_at > 0)
        memory->effects[x->progress_at - 1].value = bytes_slice(&memory->progress);
    *b = (struct execution_batch){.effects = memory->effects,
                                  .effects_len = x->effects_len,
                                  .signals = memory->consumed,
                                  .signals_len = x->consumed_len,
                                  .is_cancel = x->has_cancel,
                                  .is_end = x->has_ended,
                                  .end_status = x->end_status,
                                  .end_value = x->end_value,
                                  .effect_bytes = x->effect_bytes,
                                  .internal = memory};
    x->taken_bytes += x->effect_bytes;
    x->effect_bytes = x->progress_at = 0;
    x->effects_len = x->effects_cap = x->consumed_len = x->consumed_cap = 0;
    x->has_ended = x->has_cancel = false;
    x->end_value = BYTES_INIT;
    bytes_append_slice(&b->records, journal_take(x, &b->first, &b->count));
    return b;
}

void execution_batch_free(struct execution_batch *b)
{
    if (!b)
        return;
    struct batch_memory *memory = b->internal;
    arena_free(memory->arena);
    free(memory->effects);
    free(memory->consumed);
    bytes_done(&memory->progress);
    free(memory);
    bytes_done(&b->records);
    bytes_done(&b->end_value);
    free(b);
}

void execution_committed(struct execution *x, int64_t end, size_t effect_bytes)
{
    CHECK(effect_bytes <= x->taken_bytes);
    x->taken_bytes -= effect_bytes;
    journal_stored(x, end);
    if (x->is_held && !execution_is_full(x)) {
        x->is_held = false;
        x->port->runnable(x->port->ctx);
    }
}
