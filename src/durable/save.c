/* SPDX-License-Identifier: Apache-2.0
 *
 * An idle execution as bytes, kept beside the pages of the guest's memory: an optimization that may
 * be lost at any time, since a replay gives the same. Only what the records do not tell anyway and
 * the outside does not have: the pending calls and the counters. Signals that wait are in the
 * store.
 *
 *     u32 crc      of all that follows
 *     u32 version  SAVE_VERSION
 *     lstr id, i64 end, i64 told, i64 now_us, u32 last id, u32 last scope, u32 cancelled
 *     u32 count, count × u32 stale scope
 *     u32 count, count × call: u32 id, u32 kind, u32 op, u64 digest, i64 due_us, u32 failed,
 *         retry (u32 attempts_max, i64 delay_us, f64 factor, i64 delay_max_us, i64 timeout_us),
 *         lstr label, lstr name
 *
 * Reading trusts the checksum no further than that: what does not fit together is ERR_CORRUPT. */
#include <inttypes.h>
#include <zlib.h>

#include "durable/internal.h"

enum {
    SAVE_VERSION = 1,
    SAVE_CRC_BYTES = 4,
    SAVE_END_MAX = 2 * EXECUTION_RECORDS_MAX, /* no journal is that long */
};

static uint32_t save_crc(struct slice s)
{
    return (uint32_t)crc32_z(0, (const unsigned char *)s.ptr, s.len);
}

static void save_call(const struct call *c, struct bytes *out)
{
    uint64_t factor;
    memcpy(&factor, &c->retry.factor, sizeof(factor));
    bytes_append_u32(out, (uint32_t)c->by_id.key);
    bytes_append_u32(out, c->kind);
    bytes_append_u32(out, c->op);
    bytes_append_u64(out, c->digest);
    bytes_append_u64(out, (uint64_t)c->due_us);
    bytes_append_u32(out, c->failed);
    bytes_append_u32(out, c->retry.attempts_max);
    bytes_append_u64(out, (uint64_t)c->retry.delay_us);
    bytes_append_u64(out, factor);
    bytes_append_u64(out, (uint64_t)c->retry.delay_max_us);
    bytes_append_u64(out, (uint64_t)c->retry.timeout_us);
    bytes_append_lstr(out, call_label(c));
    bytes_append_lstr(out, call_name(c));
}

void execution_save(const struct execution *x, struct bytes *out)
{
    CHECK(execution_is_live(x) && x->taken == x->end && x->effects_len == 0);
    CHECK(x->externals == 0 && x->scopes.count == 0 && list_is_empty(&x->local));
    const size_t start = out->len;
    bytes_append_u32(out, 0);
    bytes_append_u32(out, SAVE_VERSION);
    bytes_append_lstr(out, bytes_slice(&x->id));
    bytes_append_u64(out, (uint64_t)x->end);
    bytes_append_u64(out, (uint64_t)x->told);
    bytes_append_u64(out, (uint64_t)x->now_us);
    bytes_append_u32(out, x->last_id);
    bytes_append_u32(out, x->scope_last);
    bytes_append_u32(out, x->is_cancelled);
    bytes_append_u32(out, (uint32_t)x->stale.count);
    steps_save_stale(x, out);
    bytes_append_u32(out, (uint32_t)x->by_id.count);
    LIST_FOREACH (n, &x->calls)
        save_call(container_of(n, const struct call, link), out);
    const struct slice body = slice_skip(bytes_slice(out), start + SAVE_CRC_BYTES);
    const uint32_t crc = htole32(save_crc(body));
    memcpy(out->ptr + start, &crc, sizeof(crc));
}

/* ---- restoring ---- */

/* Takes values off a slice; once something is missing, everything is. */
struct reader {
    struct slice rest;
    bool is_short;
};

static struct slice read_bytes(struct reader *r, size_t len)
{
    r->is_short |= len > r->rest.len;
    if (r->is_short)
        return SLICE_EMPTY;
    const struct slice s = slice_of(r->rest.ptr, len);
    r->rest = slice_skip(r->rest, len);
    return s;
}

static uint32_t read_u32(struct reader *r)
{
    uint32_t v = 0;
    const struct slice s = read_bytes(r, sizeof(v));
    if (s.len)
        memcpy(&v, s.ptr, sizeof(v));
    return le32toh(v);
}

static uint64_t read_u64(struct reader *r)
{
    uint64_t v = 0;
    const struct slice s = read_bytes(r, sizeof(v));
    if (s.len)
        memcpy(&v, s.ptr, sizeof(v));
    return le64toh(v);
}

static int64_t read_i64(struct reader *r)
{
    return (int64_t)read_u64(r);
}

static struct slice read_lstr(struct reader *r)
{
    const uint32_t len = read_u32(r);
    return read_bytes(r, len);
}

static bool restore_call(struct execution *x, struct reader *r, uint64_t *last_id)
{
    struct execution_call call = {0};
    const uint32_t id = read_u32(r), kind = read_u32(r);
    call.kind = (enum execution_kind)kind;
    call.op = read_u32(r);
    call.digest = read_u64(r);
    const int64_t due_us = read_i64(r);
    const uint32_t failed = read_u32(r);
    call.retry.attempts_max = read_u32(r);
    call.retry.delay_us = read_i64(r);
    const uint64_t factor = read_u64(r);
    memcpy(&call.retry.factor, &factor, sizeof(factor));
    call.retry.delay_max_us = read_i64(r);
    call.retry.timeout_us = read_i64(r);
    call.label = read_lstr(r);
    call.name = read_lstr(r);
    if (r->is_short || kind <= EXECUTION_EXTERNAL || kind > EXECUTION_CHILD_RESULT ||
        id <= *last_id || id > x->last_id || call.op > UINT16_MAX ||
        call.label.len > RECORD_LABEL_BYTES_MAX || call.name.len > EXECUTION_VALUE_BYTES_MAX)
        return false;
    if (kind == EXECUTION_CHILD_RESULT && due_us != EXECUTION_NEVER)
        return false;
    struct call *c = call_add(x, id, &call);
    c->due_us = due_us;
    c->failed = failed;
    *last_id = id;
    return true;
}

static bool restore_stale(struct execution *x, struct reader *r)
{
    for (uint32_t n = read_u32(r); n > 0; n--) {
        const uint32_t scope = read_u32(r);
        if (r->is_short || !step_stale_restore(x, scope))
            return false;
    }
    return !r->is_short;
}

static bool restore_calls(struct execution *x, struct reader *r)
{
    const uint32_t count = read_u32(r);
    uint64_t last_id = 0;
    if (count > EXECUTION_CALLS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!restore_call(x, r, &last_id))
            return false;
    return !r->is_short && r->rest.len == 0;
}

static enum err restore_body(struct execution *x, struct reader *r, struct error *ret_error)
{
    const struct slice id = read_lstr(r);
    const int64_t end = read_i64(r);
    x->told = read_i64(r);
    x->now_us = read_i64(r);
    x->last_id = read_u32(r);
    x->scope_last = read_u32(r);
    x->is_cancelled = x->is_cancel_asked = read_u32(r) != 0;
    if (r->is_short || end < 1 || end > SAVE_END_MAX || x->told < 1 || x->told > end)
        return error_set(ret_error, ERR_CORRUPT, "the saved state is damaged");
    if (!slice_eq(id, bytes_slice(&x->id)))
        return error_set(ret_error, ERR_CONFLICT, "the saved state is of another execution");
    if (end > x->stored)
        return error_set(ret_error, ERR_CONFLICT,
                         "the saved state is after record %" PRId64 ", the journal has %" PRId64,
                         end, x->stored);
    x->at = x->rest_end = end;
    if (!restore_stale(x, r) || !restore_calls(x, r))
        return error_set(ret_error, ERR_CORRUPT, "the saved state is damaged");
    return OK;
}

static enum err restore_head(struct reader *r, struct error *ret_error)
{
    const uint32_t crc = read_u32(r);
    if (r->is_short || save_crc(r->rest) != crc)
        return error_set(ret_error, ERR_CORRUPT, "the saved state has a wrong checksum");
    const uint32_t version = read_u32(r);
    if (version != SAVE_VERSION)
        return error_set(ret_error, ERR_CONFLICT, "the saved state has format %u, known is %d",
                         version, SAVE_VERSION);
    return OK;
}

static void free_execution(struct execution **x)
{
    execution_free(*x);
}

enum err execution_restore(const struct execution_config *config, struct slice saved,
                           struct execution **ret_execution, struct error *ret_error)
{
    struct reader r = {.rest = saved};
    enum err err = restore_head(&r, ret_error);
    if (err != OK)
        return err;
    CLEANUP(free_execution) struct execution *x = execution_new_blank(config);
    if (x->state == EXECUTION_REPLAYING) /* else the tail is malformed: its state says so */
        err = restore_body(x, &r, ret_error);
    if (err != OK)
        return err;
    x->has_rested = true; /* the code was at rest when it was saved */
    if (x->state == EXECUTION_REPLAYING && x->at == x->end && !x->is_check)
        execution_go_live(x);
    *ret_execution = TAKE(x);
    return OK;
}
