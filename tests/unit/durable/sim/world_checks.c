/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays of what the simulated store has, with nothing around them, and the judgement at the end. */
#include "sim/world_internal.h"

/* ---- checks: a replay of what is stored, with nothing around it ---- */

struct check {
    struct world *w;
    struct execution *x;
    struct guest guest;
    struct guest_host host;
};

static uint32_t check_sync(void *ctx, enum guest_op op, uint64_t path, uint64_t in,
                           uint64_t *ret_value)
{
    struct check *c = ctx;
    struct execution_result r;
    if (execution_sync(c->x, op, call_digest(op, path, in), slice_cstr(world_op_text(op)), &r) !=
        EXECUTION_REPLAYED) {
        c->host.is_stopped = true;
        return OK;
    }
    memcpy(ret_value, r.payload.ptr, sizeof(*ret_value));
    return r.status;
}

static enum err check_call(void *ctx, const struct guest_call *call, uint32_t *ret_id)
{
    uint32_t scope;
    return world_make_call(((struct check *)ctx)->x, call, ret_id, &scope);
}

static void check_cancel_call(void *ctx, uint32_t id)
{
    execution_cancel_call(((struct check *)ctx)->x, id);
}

static void check_finish(void *ctx, uint32_t status, uint64_t value)
{
    execution_finish(((struct check *)ctx)->x, status, slice_u64(&value));
}

static int64_t check_now_us(void *ctx)
{
    return execution_now_us(((struct check *)ctx)->x);
}

/* Replays the first `count` records with that program. */
static enum execution_state check_run(struct world *w, const struct program *p, int64_t count,
                                      struct guest *ret_guest, struct bytes *ret_text)
{
    struct check c = {.w = w};
    c.host = (struct guest_host){.ctx = &c,
                                 .sync = check_sync,
                                 .call = check_call,
                                 .cancel_call = check_cancel_call,
                                 .finish = check_finish,
                                 .now_us = check_now_us};
    const struct execution_config config = {
        .port = &w->port, .id = SLICE_LIT("sim"), .stored = count, .is_check = true};
    c.x = execution_new(&config);
    guest_start(&c.guest, p, &c.host);
    struct execution_delivery d;
    while (!c.host.is_stopped && next_delivery(c.x, &c.guest, &d))
        if (d.kind == EXECUTION_DONE)
            guest_deliver(&c.guest, p, &c.host, d.id, d.status, d.payload);
    const enum execution_state state = execution_state(c.x);
    if (state == EXECUTION_HAS_DIVERGED && p == &w->program)
        world_fails(w, "a check diverged: %s", execution_error(c.x)->message);
    if (ret_text)
        execution_describe(c.x, ret_text);
    execution_free(c.x);
    w->stats->checks++;
    if (ret_guest)
        memcpy(ret_guest, &c.guest, sizeof(*ret_guest));
    return state;
}

void world_check_stored(struct world *w, int64_t count, bool is_leaving)
{
    static struct guest got;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (count == 0)
        return;
    if (check_run(w, &w->program, count, &got, &text) != EXECUTION_AGREED)
        world_fails(w, "a check of %" PRId64 " records does not agree", count);
    else if (is_leaving && memcmp(&got, &w->leaving_guest, sizeof(got)) != 0)
        world_fails(w, "a replay leads to another state of the guest");
    else if (is_leaving && !slice_eq(bytes_slice(&text), bytes_slice(&w->leaving_text)))
        world_fails(w, "a replay leads to another state:\n%s# instead of:\n%s", bytes_cstr(&text),
                    bytes_cstr(&w->leaving_text));
}

/* ---- the judgement ---- */

static bool same_rows(const struct model_row *a, size_t a_len, const struct model_row *b,
                      size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len * sizeof(*a)) == 0);
}

static void judge_signals(struct world *w, const struct model *m)
{
    int64_t last[GUEST_NAMES] = {0};
    size_t consumed = 0;
    for (int64_t seq = 1; seq <= w->store.signals_len; seq++)
        consumed += w->store.signals[seq].is_consumed;
    if (consumed != m->signals_len)
        world_fails(w, "%zu signals were consumed, %zu are in the journal", consumed,
                    m->signals_len);
    for (size_t i = 0; i < m->signals_len; i++) {
        const int64_t seq = m->signals[i];
        const uint32_t name = w->store.signals[seq].name;
        for (int64_t s = last[name] + 1; s < seq; s++)
            if (w->store.signals[s].name == name)
                world_fails(w, "signal %" PRId64 " was passed over", s);
        if (!w->store.signals[seq].is_consumed || seq <= last[name])
            world_fails(w, "signal %" PRId64 " is not in order", seq);
        if (w->store.signals[seq].at_us > m->signals_due[i])
            world_fails(w, "signal %" PRId64 " went to a wait that was over when it was sent", seq);
        last[name] = seq;
    }
}

/* Nobody waits in vain: when a wait ended with a time-out, there was no signal sent in time. */
static void judge_timeouts(struct world *w, const struct model *m)
{
    for (size_t i = 0; i < m->timeouts_len && w->options->is_prompt; i++)
        for (int64_t seq = 1; seq <= w->store.signals_len; seq++) {
            if (w->store.signals[seq].name != m->timeouts[i].name ||
                w->store.signals[seq].at_us >= m->timeouts[i].due_us)
                continue;
            bool is_consumed = false;
            for (size_t s = 0; s < m->timeouts[i].signals_len; s++)
                is_consumed |= m->signals[s] == seq;
            if (!is_consumed)
                world_fails(w, "a wait timed out although signal %" PRId64 " was there", seq);
        }
}

static void judge_step(struct world *w, const struct model *m, uint32_t id)
{
    const uint64_t path = m->calls[id].path;
    const enum body_mode mode =
        world_body_mode(path, m->guest.made[id].has_timeout, m->calls[id].failed + 1);
    if (mode == BODY_WORKS ? w->steps_seen[id].count == 0 : mode != BODY_WORKS_AT_ONCE)
        world_fails(w, "step %u never ran, but has a result", id);
    if (m->calls[id].value != mix(path, 200))
        world_fails(w, "step %u has another result", id);
}

static void judge_requests(struct world *w, const struct model *m)
{
    for (uint32_t id = 1; id < ARRAY_LEN(w->requests_seen); id++) {
        const struct seen *fetch = &w->requests_seen[id], *step = &w->steps_seen[id];
        const bool is_made = id <= m->last_id;
        if ((fetch->count || step->count) && !is_made)
            world_fails(w, "request %u left, but nothing tells of it", id);
        if (!is_made)
            continue;
        if (fetch->count && (fetch->path != m->calls[id].path || fetch->in != m->calls[id].in))
            world_fails(w, "request %u is not the one in the journal", id);
        if (m->calls[id].op == GUEST_FETCH && m->calls[id].is_done && fetch->count == 0)
            world_fails(w, "request %u never left, but was answered", id);
        if (step->count && step->path != m->calls[id].path)
            world_fails(w, "step %u is not the one in the journal", id);
        if (m->calls[id].op == GUEST_STEP && m->calls[id].is_done && m->calls[id].status == OK)
            judge_step(w, m, id);
    }
}

void world_judge(struct world *w, struct world_result *result)
{
    static struct model m;
    model_run(&m, &w->program, bytes_slice(&w->store.journal));
    if (m.error)
        world_fails(w, "the journal makes no sense: %s", m.error);
    else if (!m.has_ended)
        world_fails(w, "the journal has no end");
    else if (m.status != w->store.end_status || m.value != w->store.end_value)
        world_fails(w, "the result is not what the journal says");
    if (!same_rows(m.logs, m.logs_len, w->store.logs, w->store.logs_len))
        world_fails(w, "the logs are not what the journal says");
    if (!same_rows(m.sql, m.sql_len, w->db.rows, w->db.rows_len))
        world_fails(w, "the rows are not what the journal says");
    if (m.children_len != w->store.children_len)
        world_fails(w, "the children are not what the journal says");
    for (size_t i = 0; i < m.children_len && !w->has_failed; i++)
        if (m.children[i].path != w->store.children[i].id ||
            m.children[i].in != w->store.children[i].in)
            world_fails(w, "child %zu is not what the journal says", i);
    judge_signals(w, &m);
    judge_timeouts(w, &m);
    judge_requests(w, &m);
    result->hit_limit = m.hit_limit;
    for (size_t i = 0; i < m.logs_len; i++)
        result->effects += mix(m.logs[i].path, m.logs[i].in);
    for (size_t i = 0; i < m.sql_len; i++)
        result->effects += mix(m.sql[i].path, m.sql[i].in);
    for (size_t i = 0; i < m.children_len; i++)
        result->effects += mix(m.children[i].path, m.children[i].in);
}

void world_judge_replays(struct world *w)
{
    world_check_stored(w, w->store.count, false);
    world_check_stored(w, 1 + (int64_t)dice_below(&w->dice, (uint64_t)w->store.count), false);
    static struct program other;
    program_make(&other, &w->dice, w->program.is_pure);
    if (percent(w, 50)) {
        other = w->program;
        struct node *n = &other.nodes[dice_below(&w->dice, other.len)];
        n->children_len = (uint8_t)(n->children_len / 2);
        n->param++;
    }
    const enum execution_state state = check_run(w, &other, w->store.count, NULL, NULL);
    w->stats->diverged += state == EXECUTION_HAS_DIVERGED;
    if (state != EXECUTION_HAS_DIVERGED && state != EXECUTION_AGREED)
        world_fails(w, "other code leads to state %d", state);
}
