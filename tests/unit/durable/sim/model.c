/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/model.h"

#include "durable/record.h"

uint64_t call_digest(enum guest_op op, uint64_t path, uint64_t in)
{
    struct record_hash h;
    record_hash_init(&h, op);
    record_hash_add(&h, slice_of((const char *)&path, sizeof(path)));
    record_hash_add(&h, slice_of((const char *)&in, sizeof(in)));
    return record_hash_end(&h);
}

uint64_t child_value(uint64_t path)
{
    return mix(path, 77);
}

uint64_t child_id(uint64_t path)
{
    return mix(path, 78);
}

static void wrong(struct model *m, const char *text)
{
    if (!m->error)
        m->error = text;
    m->host.is_stopped = true;
}

static bool is_complete(const struct model *m, uint32_t id)
{
    return id == 0 || id > m->last_id || !m->calls[id].is_pending;
}

static void note_attempt(struct model *m)
{
    uint32_t failed;
    memcpy(&failed, m->next.payload.ptr, sizeof(failed));
    if (is_complete(m, m->next.id))
        return; /* given up meanwhile */
    if (m->calls[m->next.id].op != GUEST_STEP || failed != m->calls[m->next.id].failed + 1)
        wrong(m, "an attempt does not follow the one before");
    m->calls[m->next.id].failed = failed;
}

/* The next record that the code learns something from. */
static bool look(struct model *m)
{
    while (!m->has_next && m->rest.len > 0 && !m->error) {
        if (record_take(&m->rest, &m->next, NULL) != OK)
            wrong(m, "a record is malformed");
        else if (m->next.kind == RECORD_ATTEMPT && m->next.id <= m->last_id)
            note_attempt(m);
        else
            m->has_next = true;
    }
    return m->has_next && !m->error;
}

static void push(struct model *m, struct model_row *rows, size_t *len, uint64_t path, uint64_t in)
{
    if (*len == MODEL_EVENTS_MAX)
        wrong(m, "too many effects for the model");
    else
        rows[(*len)++] = (struct model_row){path, in};
}

static uint32_t model_sync(void *ctx, enum guest_op op, uint64_t path, uint64_t in,
                           uint64_t *ret_value)
{
    struct model *m = ctx;
    if (!look(m)) {
        m->host.is_stopped = true; /* the journal stops here */
        return OK;
    }
    if (m->next.kind != RECORD_SYNC || m->next.op != op ||
        m->next.digest != call_digest(op, path, in) || m->next.payload.len != sizeof(*ret_value)) {
        wrong(m, "a synchronous op is not what was recorded");
        return OK;
    }
    memcpy(ret_value, m->next.payload.ptr, sizeof(*ret_value));
    m->has_next = false;
    if (op == GUEST_LOG)
        push(m, m->logs, &m->logs_len, path, in);
    if (op == GUEST_SQL)
        push(m, m->sql, &m->sql_len, path, in);
    if (op == GUEST_CHILD_START)
        push(m, m->children, &m->children_len, child_id(path), in);
    return m->next.status;
}

static enum err model_call(void *ctx, const struct guest_call *call, uint32_t *ret_id)
{
    struct model *m = ctx;
    *ret_id = ++m->last_id;
    m->calls[m->last_id].op = call->op;
    m->calls[m->last_id].path = call->path;
    m->calls[m->last_id].in = call->in;
    m->calls[m->last_id].name = call->name;
    m->calls[m->last_id].due_us =
        call->delay_us == EXECUTION_NEVER ? EXECUTION_NEVER : m->now_us + call->delay_us;
    m->calls[m->last_id].is_pending = true;
    return OK;
}

static void model_cancel_call(void *ctx, uint32_t id)
{
    struct model *m = ctx;
    if (is_complete(m, id) || m->calls[id].was_given_up)
        return;
    m->calls[id].was_given_up = true;
    m->given_up[m->given_up_len++] = id;
}

static void model_finish(void *ctx, uint32_t status, uint64_t value)
{
    struct model *m = ctx;
    m->status = status;
    m->value = value;
    if (!look(m))
        return; /* the END is not there yet */
    if (m->next.kind != RECORD_END || m->next.status != status)
        wrong(m, "the code ended, but the journal says otherwise");
    m->has_ended = true;
    m->has_next = false;
    if (m->rest.len > 0)
        wrong(m, "the journal goes on after its end");
}

static int64_t model_now_us(void *ctx)
{
    return ((struct model *)ctx)->now_us;
}

static void note_timeout(struct model *m, uint32_t id)
{
    for (uint32_t other = 1; other <= m->last_id; other++)
        if (other != id && m->calls[other].is_pending && m->calls[other].op == GUEST_EVENT &&
            m->calls[other].name == m->calls[id].name)
            return;
    m->timeouts[m->timeouts_len].name = m->calls[id].name;
    m->timeouts[m->timeouts_len].due_us = m->calls[id].due_us;
    m->timeouts[m->timeouts_len++].signals_len = m->signals_len;
}

/* Does an older call wait for a signal of that name, and has not timed out? */
static bool is_before_its_turn(const struct model *m, uint32_t id)
{
    for (uint32_t other = 1; other < id; other++)
        if (m->calls[other].is_pending && !m->calls[other].was_given_up &&
            m->calls[other].op == GUEST_EVENT && m->calls[other].name == m->calls[id].name &&
            m->calls[other].due_us > m->next.at_us)
            return true;
    return false;
}

static void model_complete(struct model *m, const struct program *p)
{
    const uint32_t id = m->next.id;
    struct slice payload = m->next.payload;
    if (is_complete(m, id) || m->calls[id].was_given_up || m->next.op != m->calls[id].op ||
        m->next.digest != call_digest(m->calls[id].op, m->calls[id].path, m->calls[id].in)) {
        wrong(m, "a completion is not of a pending call");
        return;
    }
    if (m->calls[id].op == GUEST_EVENT && m->next.status == OK) {
        if (is_before_its_turn(m, id))
            return wrong(m, "a signal went to a call although an older one waits");
        if (m->signals_len == MODEL_EVENTS_MAX)
            return wrong(m, "too many signals for the model");
        m->signals_due[m->signals_len] = m->calls[id].due_us;
        memcpy(&m->signals[m->signals_len++], payload.ptr, sizeof(int64_t));
        payload = slice_skip(payload, sizeof(int64_t));
    }
    const bool is_timed = m->calls[id].op == GUEST_TIMER || m->next.status == ERR_TIMEOUT;
    if (is_timed && m->calls[id].op != GUEST_STEP && m->next.at_us < m->calls[id].due_us)
        return wrong(m, "a deadline came too early");
    if (m->calls[id].op == GUEST_EVENT && m->next.status == ERR_TIMEOUT)
        note_timeout(m, id);
    m->calls[id].is_pending = false;
    m->calls[id].is_done = true;
    m->calls[id].status = m->next.status;
    if (payload.len == sizeof(uint64_t))
        memcpy(&m->calls[id].value, payload.ptr, sizeof(uint64_t));
    guest_deliver(&m->guest, p, &m->host, id, m->next.status, payload);
}

static void model_deliver(struct model *m, const struct program *p)
{
    m->has_next = false;
    if (m->next.at_us < m->now_us)
        return wrong(m, "time goes back");
    m->now_us = m->next.at_us;
    switch (m->next.kind) {
    case RECORD_DONE:
        model_complete(m, p);
        break;
    case RECORD_CANCEL:
        if (m->is_cancelled)
            wrong(m, "cancelled twice");
        m->is_cancelled = true;
        for (uint32_t id = 1; id <= m->last_id; id++)
            model_cancel_call(m, id);
        break;
    default:
        wrong(m, "the code is at rest, the journal says otherwise");
    }
}

void model_run(struct model *m, const struct program *p, struct slice records)
{
    memset(m, 0, sizeof(*m));
    m->rest = records;
    m->host = (struct guest_host){.ctx = m,
                                  .sync = model_sync,
                                  .call = model_call,
                                  .cancel_call = model_cancel_call,
                                  .finish = model_finish,
                                  .now_us = model_now_us};
    if (!look(m) || m->next.kind != RECORD_START) {
        wrong(m, "there is no start");
        return;
    }
    m->now_us = m->next.at_us;
    m->has_next = false;
    guest_start(&m->guest, p, &m->host);
    while (!m->host.is_stopped && !m->guest.has_ended) {
        if (m->guest.blocked_id) {
            if (!look(m))
                break;
            if (m->next.kind != RECORD_DONE || m->next.id != m->guest.blocked_id)
                return wrong(m, "the code waits for one call, the journal says otherwise");
            model_deliver(m, p);
        } else if (m->given_up_first < m->given_up_len) {
            const uint32_t id = m->given_up[m->given_up_first++];
            m->calls[id].is_pending = false;
            guest_deliver(&m->guest, p, &m->host, id, ERR_CANCELLED, SLICE_LIT("cancelled"));
        } else if (look(m)) {
            model_deliver(m, p);
        } else {
            break;
        }
    }
    m->hit_limit = m->guest.hit_limit;
}
