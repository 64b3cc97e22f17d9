/* SPDX-License-Identifier: Apache-2.0
 *
 * What can happen next in the simulated world: the server opens the execution, gives it a turn, lets
 * it leave; the store, the network, other people and the clock go on. */
#include "sim/world_internal.h"

enum { ACTIONS_MAX = 100000 };

/* ---- opening and running ---- */

static bool open_saved(struct world *w, const struct execution_config *config)
{
    struct store *s = &w->store;
    if (s->saved.len == 0)
        return false;
    CLEANUP(bytes_done) struct bytes saved = BYTES_INIT;
    bytes_append_slice(&saved, bytes_slice(&s->saved));
    const bool is_damaged = percent(w, 20);
    if (is_damaged)
        saved.ptr[dice_below(&w->dice, saved.len)] ^= (char)(1 + dice_below(&w->dice, 255));
    struct error error;
    const enum err err = execution_restore(config, bytes_slice(&saved), &w->x, &error);
    if ((err == OK) == is_damaged) {
        world_fails(w, "a saved state was %s", err ? error.message : "restored although damaged");
        return false;
    }
    if (err != OK) {
        w->stats->refused_states++;
        return false;
    }
    w->stats->restored++;
    w->stats->restored_old += s->saved_count < s->count;
    memcpy(&w->guest, &s->saved_guest, sizeof(w->guest));
    w->has_started = true;
    return true;
}

static void pass_signals(struct world *w)
{
    static const char *const names[GUEST_NAMES] = {"go", "stop"};
    struct store *s = &w->store;
    for (int64_t seq = w->signals_passed + 1; seq <= s->signals_len; seq++) {
        if (!s->signals[seq].is_consumed)
            execution_signal(w->x, seq, s->signals[seq].at_us,
                             slice_cstr(names[s->signals[seq].name]),
                             slice_of((const char *)&seq, sizeof(seq)));
        w->signals_passed = seq;
    }
    if (s->signals_len == 0 || !percent(w, 20))
        return;
    const int64_t again = 1 + (int64_t)dice_below(&w->dice, (uint64_t)s->signals_len);
    if (s->signals[again].is_consumed)
        return; /* only what the store has is passed */
    w->stats->doubles++;
    execution_signal(w->x, again, s->signals[again].at_us,
                     slice_cstr(names[s->signals[again].name]),
                     slice_of((const char *)&again, sizeof(again)));
}

static void pass_cancel(struct world *w)
{
    if (!w->store.is_cancel_asked || w->is_cancel_passed)
        return;
    w->is_cancel_passed = true;
    execution_cancel(w->x);
}

static bool act_open(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    const bool is_due = w->now_us >= s->wake_us || s->events != s->wake_events;
    if (w->x || w->flight_len || !(is_due || percent(w, 2)))
        return false;
    struct execution_config config = {.port = &w->port,
                                      .id = SLICE_LIT("sim"),
                                      .started_us = w->now_us,
                                      .stored = s->count,
                                      .tail = bytes_slice(&w->db.tail),
                                      .tail_first = w->db.tail_first};
    SAY(w, "opens with %" PRId64 " records, tail from %" PRId64 "+%" PRId64, s->count,
        w->db.tail_first, record_count(config.tail));
    w->stats->opens++;
    s->wake_us = 0; /* it is running: after a death it is opened again */
    w->has_started = false;
    w->is_cancel_passed = false;
    w->signals_passed = 0;
    if (percent(w, 20) || !open_saved(w, &config))
        w->x = execution_new(&config);
    w->is_runnable = true;
    if (percent(w, 50))
        pass_signals(w);
    if (percent(w, 50))
        pass_cancel(w);
    return true;
}

static void judge_delivery(struct world *w, const struct execution_delivery *d)
{
    const struct request *r = &w->requests[d->id];
    if (d->status == ERR_CANCELLED && r->is_wanted && !r->is_answered)
        world_fails(w, "request %u was given up, but not stopped", d->id);
    for (size_t i = 0; i < WORLD_BODIES_MAX; i++)
        if (w->bodies[i].is_used && w->bodies[i].id == d->id && !w->bodies[i].is_over)
            world_fails(w, "step %u is complete, but its body runs", d->id);
}

static void deliver(struct world *w, const struct execution_delivery *d)
{
    switch (d->kind) {
    case EXECUTION_DONE:
        SAY(w, "delivers %u: %u", d->id, d->status);
        w->stats->timeouts += d->status == ERR_TIMEOUT;
        judge_delivery(w, d);
        guest_deliver(&w->guest, &w->program, &w->host, d->id, d->status, d->payload);
        break;
    case EXECUTION_RUN:
        SAY(w, "runs %u, attempt %u", d->id, d->attempt);
        world_body_start(w, d->scope, d->id, d->attempt, &w->guest.made[d->id]);
        break;
    case EXECUTION_CANCEL:
        SAY(w, "is told to cancel");
        w->stats->cancelled++;
        break;
    }
}

static void take_batch(struct world *w)
{
    if (w->is_dead || !execution_has_batch(w->x) || w->flight_len == WORLD_FLIGHT_MAX)
        return;
    w->flight[w->flight_len++] = (struct flight){.batch = execution_take(w->x)};
}

static bool act_turn(struct world *w, bool is_forced)
{
    if (!w->x || !w->is_runnable)
        return false;
    w->is_runnable = false;
    if (w->options->is_prompt)
        pass_signals(w);
    if (!w->has_started)
        guest_start(&w->guest, &w->program, &w->host);
    w->has_started = true;
    struct execution_delivery d;
    for (size_t n = 1 + dice_below(&w->dice, 20); !world_boundary(w); n--) {
        if (n == 0) {
            w->is_runnable = true; /* others have their turn */
            break;
        }
        if (!next_delivery(w->x, &w->guest, &d))
            break;
        deliver(w, &d);
    }
    if (w->is_dead)
        return true;
    if (execution_state(w->x) == EXECUTION_HAS_DIVERGED ||
        execution_state(w->x) == EXECUTION_BROKEN)
        world_fails(w, "%s", execution_error(w->x)->message);
    if (!percent(w, 20) || execution_state(w->x) == EXECUTION_FINISHED)
        take_batch(w);
    return true;
}

static bool act_take(struct world *w, bool is_forced)
{
    if (!w->x || !execution_has_batch(w->x) || w->flight_len == WORLD_FLIGHT_MAX)
        return false;
    take_batch(w);
    return true;
}

static bool act_commit(struct world *w, bool is_forced)
{
    if (w->flight_len == 0 || world_boundary(w))
        return false;
    if (!w->options->is_calm && w->refusals < WORLD_REFUSALS_MAX && percent(w, 2)) {
        SAY(w, "store: refuses");
        w->refusals++;
        w->stats->refused_batches++;
        world_lose_memory(w);
        return true;
    }
    const struct execution_batch *b = w->flight[0].batch;
    const int64_t end = b ? b->first + b->count : 0;
    const size_t effect_bytes = b ? b->effect_bytes : 0;
    world_apply_flight(w, &w->flight[0]);
    world_flight_pop(w);
    if (world_boundary(w) || !w->x)
        return true;
    execution_committed(w->x, end, effect_bytes);
    if (w->flight_len == 0 && !execution_has_batch(w->x) && execution_unstored_bytes(w->x) > 0)
        world_fails(w, "%zu bytes are said not to be stored, though all is",
                    execution_unstored_bytes(w->x));
    return true;
}

/* ---- the outside ---- */

static void answer(struct world *w, uint32_t id, const struct request *r)
{
    const uint64_t value = mix(r->path, r->in);
    if (value % 10 == 0)
        execution_arrive(w->x, id, ERR_NETWORK, SLICE_LIT("no route to host"));
    else
        execution_arrive(w->x, id, OK, slice_u64(&value));
}

static bool act_network(struct world *w, bool is_forced)
{
    if (!w->x)
        return false;
    const uint32_t from = (uint32_t)dice_below(&w->dice, GUEST_CALLS_MAX);
    for (uint32_t i = 0; i <= GUEST_CALLS_MAX; i++) {
        const uint32_t id = (from + i) % (GUEST_CALLS_MAX + 1);
        struct request *r = &w->requests[id];
        if (!r->is_wanted || r->answers == 0)
            continue;
        if (r->is_sent && r->due_us <= w->now_us) {
            if (world_boundary(w))
                return true;
            r->answers--;
            r->is_answered = true;
            answer(w, id, r);
            return true;
        }
        if (r->is_sent || execution_durable(w->x) < r->gate || world_boundary(w))
            continue;
        r->is_sent = true;
        r->due_us = w->now_us + (int64_t)dice_below(&w->dice, 40) * ONE_MS;
        SAY(w, "sends %u", id);
        world_seen_add(w, &w->requests_seen[id], r->path, r->in);
        (void)world_boundary(w);
        return true;
    }
    return false;
}

static bool act_body(struct world *w, bool is_forced)
{
    const size_t from = dice_below(&w->dice, WORLD_BODIES_MAX);
    for (size_t i = 0; w->x && i < WORLD_BODIES_MAX; i++) {
        struct body *b = &w->bodies[(from + i) % WORLD_BODIES_MAX];
        if (!b->is_used || b->due_us > w->now_us || execution_durable(w->x) < b->gate)
            continue;
        b->is_used = false;
        w->is_runnable = true; /* the guest ran */
        if (b->is_over)
            execution_step_done(w->x, b->scope, OK, false, SLICE_LIT("late"), SLICE_EMPTY);
        else
            world_body_end(w, b->scope, b->id, b->attempt, b->path, b->mode);
        return true;
    }
    return false;
}

static bool act_signal(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (w->program.is_pure || s->has_ended || s->signals_len == WORLD_SIGNALS_MAX ||
        !(is_forced || (s->signals_len < 20 && percent(w, 10))))
        return false;
    s->signals_len++;
    s->signals[s->signals_len].at_us = w->now_us;
    s->signals[s->signals_len].name = (uint32_t)dice_below(&w->dice, GUEST_NAMES);
    s->events++;
    w->stats->signals++;
    SAY(w, "signal %" PRId64 " named %u", s->signals_len, s->signals[s->signals_len].name);
    return true;
}

static bool act_child(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (s->children_len == 0)
        return false;
    struct child *c = &s->children[dice_below(&w->dice, s->children_len)];
    for (size_t i = 0; is_forced && c->has_ended && i < s->children_len; i++)
        c = &s->children[i];
    if (c->has_ended)
        return false;
    c->has_ended = true;
    s->events++;
    return true;
}

static bool act_cancel(struct world *w, bool is_forced)
{
    if (w->options->is_calm || w->program.is_pure || w->store.is_cancel_asked || is_forced ||
        dice_below(&w->dice, 250) != 0)
        return false;
    SAY(w, "someone cancels");
    w->store.is_cancel_asked = true;
    w->store.events++;
    return true;
}

static void tell_child(struct world *w, const struct child *c)
{
    const uint64_t value = mix(c->id, c->in);
    if (value % 7 == 0)
        execution_child_done(w->x, slice_u64(&c->id), ERR_GUEST, SLICE_LIT("{}"));
    else
        execution_child_done(w->x, slice_u64(&c->id), OK, slice_u64(&value));
}

/* The server looks in the store what has come for it. */
static bool act_pass(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (!w->x)
        return false;
    const bool was_runnable = w->is_runnable;
    w->events_seen = s->events;
    pass_signals(w);
    pass_cancel(w);
    if (s->children_len && percent(w, 10)) { /* unasked, perhaps early, perhaps again */
        const struct child *c = &s->children[dice_below(&w->dice, s->children_len)];
        if (c->has_ended)
            tell_child(w, c);
    }
    uint32_t cursor = 0;
    struct slice name;
    while (execution_awaited_child(w->x, &cursor, &name))
        for (size_t i = 0; i < s->children_len; i++)
            if (s->children[i].has_ended && slice_eq(name, slice_u64(&s->children[i].id)))
                tell_child(w, &s->children[i]);
    return w->is_runnable != was_runnable;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool act_time(struct world *w, bool is_forced)
{
    int64_t next = w->x ? execution_wake_us(w->x) : w->store.wake_us;
    for (size_t i = 0; w->x && i < WORLD_BODIES_MAX; i++)
        if (w->bodies[i].is_used)
            next = earlier(next, w->bodies[i].due_us);
    for (size_t i = 0; w->x && i < ARRAY_LEN(w->requests); i++)
        if (w->requests[i].is_wanted && w->requests[i].answers && w->requests[i].is_sent)
            next = earlier(next, w->requests[i].due_us);
    if (next == EXECUTION_NEVER || next <= w->now_us)
        return false;
    w->now_us = next + (percent(w, 30) ? (int64_t)dice_below(&w->dice, 3 * ONE_MS) : 0);
    return true;
}

static bool act_tick(struct world *w, bool is_forced)
{
    if (!w->x || execution_wake_us(w->x) > w->now_us)
        return false;
    if (w->options->is_prompt)
        pass_signals(w);
    execution_tick(w->x);
    if (execution_wake_us(w->x) <= w->now_us)
        world_fails(w, "a tick left something that is due");
    return true;
}

/* It may leave memory, with or without a snapshot, which is stored together with the last records.
 */
static bool act_suspend(struct world *w, bool is_forced)
{
    struct store *s = &w->store;
    if (!w->x || w->is_runnable || w->flight_len == WORLD_FLIGHT_MAX || !execution_is_idle(w->x) ||
        percent(w, 50))
        return false;
    if (act_pass(w, is_forced)) /* a child that ended before anybody waited for it */
        return true;
    SAY(w, "leaves memory");
    struct flight f = {
        .is_leaving = true, .wake_us = execution_wake_us(w->x), .events_seen = w->events_seen};
    if (execution_has_batch(w->x))
        f.batch = execution_take(w->x);
    if (percent(w, 70))
        execution_save(w->x, &f.saved);
    else if (percent(w, 20))
        bytes_clear(&s->saved); /* someone dropped it */
    memcpy(&w->leaving_guest, &w->guest, sizeof(w->guest));
    bytes_clear(&w->leaving_text);
    execution_describe(w->x, &w->leaving_text);
    world_close_execution(w);
    w->flight[w->flight_len++] = f;
    (void)world_boundary(w);
    return true;
}

/* ---- who acts next ---- */

static bool (*const actions[])(struct world *w, bool is_forced) = {
    act_open, act_turn,  act_turn,   act_commit, act_take, act_network, act_network, act_body,
    act_pass, act_child, act_cancel, act_time,   act_tick, act_suspend, act_signal};

/* The dice choose what happens next; if they do not find anything, everything is tried in order. */
void world_act(struct world *w)
{
    for (size_t n = 0; !w->store.has_ended && !w->has_failed; n++) {
        if (w->is_dead) {
            world_crash(w);
            continue;
        }
        bool is_moving =
            n < ACTIONS_MAX && actions[dice_below(&w->dice, ARRAY_LEN(actions))](w, false);
        for (size_t i = 0; i < 30 && !is_moving && !w->is_dead; i++)
            is_moving = actions[dice_below(&w->dice, ARRAY_LEN(actions))](w, false);
        for (size_t i = 0; i < ARRAY_LEN(actions) && !is_moving && !w->is_dead; i++)
            is_moving = actions[i](w, true);
        if ((!is_moving && !w->is_dead) || n > ACTIONS_MAX)
            world_fails(w, "nothing goes on");
    }
}
