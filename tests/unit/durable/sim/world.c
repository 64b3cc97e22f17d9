/* SPDX-License-Identifier: Apache-2.0
 *
 * What there is of the simulated world, and what outlives its deaths: batches are applied whole, in
 * their order, late or never. */
#include <stdarg.h>

#include "sim/world_internal.h"

void world_fails(struct world *w, const char *format, ...)
{
    if (!w->has_failed) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(w->failure, sizeof(w->failure), format, args);
        va_end(args);
        SAY(w, "FAILS: %s", w->failure);
    }
    w->has_failed = w->is_dead = w->host.is_stopped = true;
}

bool world_boundary(struct world *w)
{
    if (w->is_dead)
        return true;
    w->boundaries++;
    const struct world_options *o = w->options;
    const bool dies = o->crash_at ? w->boundaries == o->crash_at
                                  : w->crashes < o->crashes_max && dice_below(&w->dice, 40) == 0;
    if (!dies)
        return false;
    SAY(w, "dies at boundary %" PRIu64, w->boundaries);
    w->is_dead = w->host.is_stopped = true;
    return true;
}

const char *world_op_text(uint32_t op)
{
    switch ((enum guest_op)op) {
    case GUEST_LOG:
        return "log";
    case GUEST_RANDOM:
        return "random";
    case GUEST_SQL:
        return "sql";
    case GUEST_TIMER:
        return "timer";
    case GUEST_FETCH:
        return "fetch";
    case GUEST_STEP:
        return "step";
    case GUEST_EVENT:
        return "event";
    case GUEST_CHILD_START:
        return "child start";
    case GUEST_CHILD_RESULT:
        return "child result";
    }
    return "unknown op";
}

/* ---- the store ---- */

enum { CHUNK_RECORDS = 7 };

enum err world_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                    struct error *ret_error)
{
    struct world *w = ctx;
    const struct slice all = bytes_slice(&w->store.journal);
    const struct slice from = slice_skip(all, record_prefix(all, first).len);
    const struct slice part = record_prefix(from, CHUNK_RECORDS);
    bytes_append_slice(out, part);
    *ret_count = record_count(part);
    return OK;
}

static void apply_effect(struct world *w, const struct execution_effect *e)
{
    struct store *s = &w->store;
    struct model_row row;
    memcpy(&row, e->value.ptr, sizeof(row));
    if (s->logs_len == MODEL_EVENTS_MAX || s->children_len == MODEL_EVENTS_MAX) {
        world_fails(w, "too many effects");
        return;
    }
    if (e->kind == EXECUTION_LOG) {
        s->logs[s->logs_len++] = row;
        return;
    }
    for (size_t i = 0; i < s->children_len; i++)
        if (s->children[i].id == row.path)
            world_fails(w, "a child was started twice");
    s->children[s->children_len++] = (struct child){.id = row.path, .in = row.in};
}

static void apply_signal(struct world *w, int64_t seq)
{
    struct store *s = &w->store;
    if (seq < 1 || seq > s->signals_len || s->signals[seq].is_consumed)
        world_fails(w, "signal %" PRId64 " was consumed twice or never sent", seq);
    else
        s->signals[seq].is_consumed = true;
}

static void apply(struct world *w, const struct execution_batch *b)
{
    struct store *s = &w->store;
    if (b->first != s->count || s->has_ended ||
        record_count(bytes_slice(&b->records)) != b->count) {
        world_fails(w, "a batch from %" PRId64 " does not follow %" PRId64, b->first, s->count);
        return;
    }
    SAY(w, "store: records %" PRId64 "+%" PRId64 "%s", b->first, b->count, b->is_end ? " end" : "");
    bytes_append_slice(&s->journal, bytes_slice(&b->records));
    s->count += b->count;
    for (size_t i = 0; i < b->effects_len; i++)
        apply_effect(w, &b->effects[i]);
    for (size_t i = 0; i < b->signals_len; i++)
        apply_signal(w, b->signals[i]);
    if (!b->is_end)
        return;
    s->has_ended = true;
    s->end_status = b->end_status;
    memcpy(&s->end_value, b->end_value.ptr, sizeof(s->end_value));
}

void world_apply_flight(struct world *w, struct flight *f)
{
    struct store *s = &w->store;
    if (f->batch)
        apply(w, f->batch);
    if (!f->is_leaving)
        return;
    SAY(w, "store: has left memory");
    w->stats->suspended++;
    s->wake_us = f->wake_us;
    s->wake_events = f->events_seen;
    if (percent(w, 50))
        world_check_stored(w, s->count, true);
    if (f->saved.len == 0)
        return;
    bytes_clear(&s->saved);
    bytes_append_slice(&s->saved, bytes_slice(&f->saved));
    memcpy(&s->saved_guest, &w->leaving_guest, sizeof(s->saved_guest));
    s->saved_count = s->count;
}

/* ---- death and what follows ---- */

void world_flight_pop(struct world *w)
{
    execution_batch_free(w->flight[0].batch);
    bytes_done(&w->flight[0].saved);
    w->flight_len--;
    memmove(w->flight, w->flight + 1, w->flight_len * sizeof(w->flight[0]));
}

void world_close_execution(struct world *w)
{
    execution_free(w->x);
    w->x = NULL;
    memset(w->requests, 0, sizeof(w->requests));
    memset(w->bodies, 0, sizeof(w->bodies));
}

void world_lose_memory(struct world *w)
{
    while (w->flight_len > 0)
        world_flight_pop(w);
    world_close_execution(w);
    w->host.is_stopped = false;
    w->is_dead = w->has_failed;
}

void world_crash(struct world *w)
{
    w->crashes++;
    w->stats->crashes++;
    for (size_t n = dice_below(&w->dice, w->flight_len + 1); n > 0; n--) {
        world_apply_flight(w, &w->flight[0]); /* durable, but nobody was told */
        world_flight_pop(w);
    }
    world_lose_memory(w);
    if (percent(w, 50))
        w->now_us += (int64_t)dice_below(&w->dice, 3000) * ONE_MS;
}

/* ---- the play ---- */

static void world_free(struct world *w)
{
    world_lose_memory(w);
    bytes_done(&w->store.journal);
    bytes_done(&w->store.saved);
    bytes_done(&w->db.tail);
    bytes_done(&w->leaving_text);
}

void world_play(const struct world_options *options, struct world_stats *stats,
                struct world_result *ret_result)
{
    static struct world w;
    static char failure[sizeof(w.failure)];
    memset(&w, 0, sizeof(w));
    w.options = options;
    w.stats = stats;
    w.dice.state = mix(options->seed, 5);
    w.now_us = 1700000000000000;
    w.store.wake_events = 1;
    program_make(&w.program, &w.dice, options->is_pure);
    w.dice.state += options->is_calm; /* the same program, another course of things */
    world_calls_init(&w);
    *ret_result = (struct world_result){0};
    world_act(&w);
    if (!w.has_failed)
        world_judge(&w, ret_result);
    if (!w.has_failed)
        world_judge_replays(&w);
    stats->runs++;
    stats->boundaries += w.boundaries;
    stats->records += (uint64_t)w.store.count;
    ret_result->status = w.store.end_status;
    ret_result->value = w.store.end_value;
    ret_result->boundaries = w.boundaries;
    if (w.has_failed) {
        memcpy(failure, w.failure, sizeof(failure));
        ret_result->failure = failure;
    }
    world_free(&w);
}
