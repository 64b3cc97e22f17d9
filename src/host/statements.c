/* SPDX-License-Identifier: Apache-2.0
 *
 * See statements.h. */
#include "host/statements.h"

#include <endian.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/limits.h"
#include "host/database.h"
#include "host/sql.h"

static bool take_u32(struct slice *rest, uint32_t *ret)
{
    if (rest->len < 4)
        return false;
    memcpy(ret, rest->ptr, 4);
    *ret = le32toh(*ret);
    *rest = slice_skip(*rest, 4);
    return true;
}

static bool take_lstr(struct slice *rest, struct slice *ret)
{
    uint32_t len;
    if (!take_u32(rest, &len) || rest->len < len)
        return false;
    *ret = slice_of(rest->ptr, len);
    *rest = slice_skip(*rest, len);
    return true;
}

static enum err run_one(struct statements *s, struct sql_conn *c, struct slice sql,
                        struct slice params)
{
    struct sql_rows rows;
    size_t at = s->result.len;
    bytes_append_u32(&s->result, 0);
    if (sql.len <= LIMIT_VALUE_BYTES && !slice_is_utf8(sql))
        return error_set(&s->error, ERR_INVALID, "the SQL text is not UTF-8");
    enum err err = sql_exec(c, sql, params, &s->result, &s->error);
    if (err != OK)
        return err;
    uint32_t len = htole32((uint32_t)(s->result.len - at - 4));
    memcpy(s->result.ptr + at, &len, 4);
    sql_conn_rows(c, &rows);
    bytes_append_u64(&s->result, rows.read);
    bytes_append_u64(&s->result, rows.written);
    bytes_append_u32(&s->result, rows.is_writing);
    bytes_append_u32(&s->result, rows.statements);
    return OK;
}

static enum err run_all(struct statements *s, struct sql_conn *c)
{
    struct slice rest = s->request, sql, params;
    uint32_t flags, count;
    if (!take_u32(&rest, &flags) || !take_u32(&rest, &count))
        return error_set(&s->error, ERR_INVALID, "malformed statements");
    bytes_append_u64(&s->result, 0); /* filled in at the end */
    bytes_append_u64(&s->result, 0);
    bytes_append_u64(&s->result, 0);
    bytes_append_u32(&s->result, count);
    if (flags & STATEMENTS_DUMP)
        return sql_dump(c, &s->result, &s->error);
    enum err err = flags & STATEMENTS_ATOMIC ? sql_transaction(c, SQL_BEGIN, &s->error) : OK;
    for (s->failed = 0; err == OK && s->failed < count; s->failed++) {
        if (!take_lstr(&rest, &sql) || !take_lstr(&rest, &params))
            return error_set(&s->error, ERR_INVALID, "malformed statements");
        err = run_one(s, c, sql, params);
        if (err != OK)
            return err;
        if (fiber_task_is_cancelled(&s->task))
            return error_set(&s->error, ERR_CANCELLED, "the code was ended");
    }
    return err == OK && (flags & STATEMENTS_ATOMIC) ? sql_transaction(c, SQL_COMMIT, &s->error)
                                                    : err;
}

static void put_u64(struct statements *s, size_t at, uint64_t v)
{
    v = htole64(v);
    memcpy(s->result.ptr + at, &v, sizeof(v));
}

static void put_head(struct statements *s, uint64_t size)
{
    double ms = (double)(clock_monotonic_ns() - s->began_ns) / 1e6;
    uint64_t bits;
    memcpy(&bits, &ms, sizeof(bits));
    put_u64(s, 0, bits);
    put_u64(s, 8, size);
    put_u64(s, 16, s->seq);
}

/* On the fiber. */
static void statements_run(struct fiber_task *t)
{
    struct statements *s = container_of(t, struct statements, task);
    struct sql_counters counters = {0};
    struct sql_rows before;
    struct sql_conn *c;
    uint64_t size = 0;
    if (database_take(s->database, s->loop, &c, &s->error) != OK)
        return;
    sql_conn_set_deadline(c, UINT64_MAX); /* the task's counts */
    sql_conn_set_room(c, &s->room);
    sql_conn_lend(c, &counters);
    sql_conn_rows(c, &before); /* those of others */
    enum err err = run_all(s, c);
    s->room.taken = sql_conn_room_taken(c);
    sql_rollback_all(c); /* what is open, if it failed */
    s->seq = sql_conn_seen(c);
    if (err == OK)
        size = sql_conn_size(c);
    database_give(s->database, s->loop, c);
    if (err == OK)
        put_head(s, size);
}

static void statements_ended(struct statements *s)
{
    if (s->account)
        atomic_fetch_add_explicit(&s->account->meter.cpu_ns, s->task.cpu_ns, memory_order_relaxed);
    if (s->error.code != OK)
        bytes_clear(&s->result);
}

static void gate_passed(struct sql_gate_wait *w, const struct error *error)
{
    struct statements *s = container_of(w, struct statements, gate);
    s->is_gated = false;
    if (error->code != OK) {
        s->error = *error;
        bytes_clear(&s->result);
    }
    s->done(s);
}

/* True: done. */
static bool statements_settle(struct statements *s)
{
    struct sql_file *file = database_file(s->database);
    statements_ended(s);
    if (s->error.code != OK || sql_is_durable(file, s->seq))
        return true;
    s->is_gated = true;
    s->gate = (struct sql_gate_wait){.done = gate_passed, .seq = s->seq};
    sql_gate_wait(s->loop, file, &s->gate);
    return false;
}

static void statements_task_done(struct fiber_task *t)
{
    struct statements *s = container_of(t, struct statements, task);
    if (statements_settle(s))
        s->done(s);
}

static bool is_dump(const struct statements *s)
{
    struct slice rest = s->request;
    uint32_t flags = 0;
    return take_u32(&rest, &flags) && (flags & STATEMENTS_DUMP);
}

bool statements_start(struct statements *s, struct loop *loop, struct fiber_runner *r)
{
    struct budget *memory = s->account ? &s->account->budgets[RESOURCE_MEMORY] : NULL;
    s->loop = loop;
    s->error.code = OK;
    s->began_ns = clock_monotonic_ns();
    s->room = (struct sql_room){.bytes_max = is_dump(s) ? LIMIT_D1_DUMP_BYTES : LIMIT_VALUE_BYTES,
                                .why = is_dump(s) ? "limpet d1 export writes one of any size"
                                                  : "select fewer rows with LIMIT",
                                .from = memory};
    s->task = (struct fiber_task){.run = statements_run,
                                  .done = statements_task_done,
                                  .cpu_ns_max = s->cpu_ns_max,
                                  .memory_max = LIMIT_GUEST_MEMORY_BYTES,
                                  .memory_from = memory};
    return fiber_task_start(r, &s->task) && statements_settle(s);
}

void statements_cancel(struct statements *s)
{
    if (!s->is_gated)
        fiber_task_cancel(&s->task);
}

void statements_release(struct statements *s)
{
    bytes_done(&s->result);
    if (s->account && s->room.taken > 0)
        account_give(s->account, RESOURCE_MEMORY, s->room.taken);
    s->room.taken = 0;
}
