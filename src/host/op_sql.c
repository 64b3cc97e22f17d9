/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQL ops: synchronous to the guest, which stands still if its statement is not done at once
 * (fiber_task.h). What it lets out from now on depends on what the connection has seen, which the
 * output gate checks. A connection is a guest's for one op, or for a whole transaction, which is
 * bounded by the version's sql_transaction_ms of its own time and ended here if its code does not. All of
 * setup() is one transaction: it begins with the first statement, lasts through awaits, is not
 * bounded apart from setup() itself, and is committed by the engine when setup() has returned, with
 * the mark that this version's is done (sql_setup_mark).
 *
 * Everything below runs on the fiber of op_stand(); a call into sql.h may take long, and the guest may
 * have been ended when it returns: then nothing but the connection is touched any more (op_is_over).
 *
 * An actor's database is its own, and what it does there from one rest of its code to the next is one
 * transaction, a turn: begun by the first statement, committed by the engine's last op, all or nothing.
 * What it lets out meanwhile waits for that commit (guest_gate_turned()). A transaction of its own that lasts
 * through awaits (depth) makes the turn last as long.
 *
 * In a durable execution, outside of steps, each call is recorded, and a transaction that writes
 * takes with it every record that is not in the store yet (sql_journal.h): after a kill the effect
 * and the journal agree, whatever the store had.
 *
 * What last_insert_rowid(), changes() and total_changes() give is the guest's own, outside of steps
 * also after a replay: the record of a statement is its result, from which they mostly follow; where
 * they do not (triggers, several statements, nothing changed), they stand in front of it. */
#include <endian.h>
#include <string.h>

#include "host/recording.h"
#include "host/sql_journal.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/limits.h"
#include "module/deployment.h"
#include "sandbox/isolate.h"

static uint64_t transaction_ns(const struct guest *g)
{
    return g->deployment->sql_transaction_ms * UINT64_C(1000000);
}

/* Is there a transaction around those of the guest's code? */
static bool is_framed(const struct guest_sql *s)
{
    return s->is_setup || s->is_turn;
}

static void release_sql(struct guest *g)
{
    struct guest_sql *s = &g->sql;
    if (!s->conn || s->depth > 0 || is_framed(s))
        return;
    s->gate_seq = sql_conn_seen(s->conn);
    g->host->sql_give(g->host->ctx, g, TAKE(s->conn));
}

/* Rolls back and gives the connection to the others; the guest is told by its next op. */
static void expire(struct guest *g)
{
    unsigned depth = g->sql.depth;
    sql_rollback_all(g->sql.conn);
    g->sql.depth = 0;
    release_sql(g);
    g->sql.depth = depth;
    g->sql.has_expired = true;
}

void guest_sql_check(struct guest *g)
{
    if (g->sql.depth == 0 || is_framed(&g->sql) || !g->sql.conn || g->stand.is_working)
        return;
    g->sql.held_ns += isolate_stretch_ns(g->isolate);
    if (g->sql.held_ns > transaction_ns(g))
        expire(g);
}

static void setup_is_open(struct guest *g, bool is_open)
{
    if (g->sql.is_setup != is_open)
        sql_conn_set_up(g->sql.conn, is_open);
    g->sql.is_setup = is_open;
}

bool guest_sql_end(struct guest *g)
{
    if (g->stand.is_working)
        return false;
    if ((g->sql.depth > 0 || is_framed(&g->sql)) && g->sql.conn)
        sql_rollback_all(g->sql.conn);
    g->sql.depth = g->sql.depth_replayed = 0;
    g->sql.has_expired = g->sql.awaits_setup = g->sql.is_turn = false;
    setup_is_open(g, false);
    release_sql(g);
    return true;
}

/* A setup() that has not answered yet. */
static bool is_setting_up(const struct guest *g)
{
    LIST_FOREACH (n, &g->running) {
        const struct dispatch *d = container_of(n, struct dispatch, link);
        if (d->kind == DISPATCH_SETUP && !d->is_answered)
            return true;
    }
    return false;
}

void guest_sql_rest(struct guest *g)
{
    if (g->actor)
        return; /* its turn has ended, or lasts */
    if (!g->sql.is_setup || !is_setting_up(g))
        CHECK(guest_sql_end(g));
}

bool guest_is_in_sql(const struct guest *g)
{
    return g->stand.is_working || g->sql.depth > 0;
}

static enum err refuse_expired(struct guest *g)
{
    (void)op_refuse(g, ERR_LIMIT,
                    "the transaction was rolled back: it took more than its limit of %u ms",
                    g->deployment->sql_transaction_ms);
    error_hint(&g->op_error,
               "compute before transaction(), split it, or raise the module's sql_transaction_ms");
    return ERR_LIMIT;
}

static enum err take_conn(struct guest *g)
{
    struct error error = {0};
    enum err err = g->host->sql_take(g->host->ctx, g, &g->sql.conn, &g->sql.file, &error);
    if (op_is_over(g))
        return ERR_CANCELLED;
    if (err != OK)
        g->op_error = error;
    return err;
}

static enum err connect_sql(struct guest *g)
{
    if (g->sql.has_expired)
        return refuse_expired(g);
    enum err err = g->sql.conn ? OK : take_conn(g);
    if (err == OK)
        sql_conn_set_deadline(g->sql.conn, UINT64_MAX); /* the task's counts */
    return err;
}

/* BEGIN, COMMIT and so on; they may wait for other writers. */
static enum err transaction(struct guest *g, enum sql_action action)
{
    struct error error = {0};
    enum err err = sql_transaction(g->sql.conn, action, &error);
    if (op_is_over(g))
        return ERR_CANCELLED;
    g->op_error = error;
    return err;
}

/* The statement or BEGIN has met a setup(), which may last: the guest waits for its end, as long as
 * its own limits let it, and without a connection, since others can read meanwhile. */
static enum err await_setup(struct guest *g)
{
    release_sql(g);
    g->sql.awaits_setup = true;
    sql_file_await_setup(g->sql.file);
    if (op_is_over(g))
        return ERR_CANCELLED;
    g->sql.awaits_setup = false;
    return OK;
}

/* A connection with a new transaction, not nested. */
static enum err begin(struct guest *g)
{
    for (;;) {
        enum err err = connect_sql(g);
        if (err != OK)
            return err;
        sql_conn_may_yield(g->sql.conn, true);
        err = transaction(g, SQL_BEGIN);
        if (op_is_over(g))
            return ERR_CANCELLED;
        bool has_yielded = sql_conn_has_yielded(g->sql.conn);
        sql_conn_may_yield(g->sql.conn, false);
        if (err == OK || !has_yielded)
            return err;
        err = await_setup(g);
        if (err != OK)
            return err;
    }
}

/* A connection, inside of the transaction that a setup() or a turn is. */
static enum err connect_begun(struct guest *g)
{
    if (is_framed(&g->sql) || (!g->actor && !is_setting_up(g)))
        return connect_sql(g);
    enum err err = begin(g);
    if (err == OK && g->actor) {
        g->sql.is_turn = true;
        g->sql.turn_error.code = OK;
    } else if (err == OK)
        setup_is_open(g, true);
    return err;
}

/* A result is copied into the guest, so both have to fit; what is recorded is one value. */
static void give_room(struct guest *g)
{
    size_t max = g->deployment->memory_bytes_max;
    size_t used = g->memory.used - g->isolate_bytes + isolate_memory_bytes(g->isolate);
    struct sql_room room = {.bytes_max = used < max ? max - used : 0,
                            .why = "that is what is left of the function's memory: select less",
                            .from = g->memory.from};
    if (guest_is_recorded(g) && room.bytes_max > LIMIT_VALUE_BYTES) {
        room.bytes_max = LIMIT_VALUE_BYTES;
        room.why = "select less, or run it inside step(), where it is not recorded";
    }
    sql_conn_set_room(g->sql.conn, &room);
}

/* The result is the guest's now, with what was taken for it. */
static void take_result(struct guest *g, struct bytes *result)
{
    size_t taken = sql_conn_room_taken(g->sql.conn);
    if (taken > 0)
        budget_give(g->memory.from, taken);
    if (op_is_over(g))
        return;
    op_result_clear(g);
    if (taken == 0) {
        bytes_append_slice(&g->result, bytes_slice(result));
        return;
    }
    guest_hold(g, result->len);
    g->result_charged = result->len;
    bytes_done(&g->result);
    g->result = *result;
    *result = BYTES_INIT;
}

/* ---- counters ---- */

/* In front of a recorded result, where columns are counted: u32, i64 changes, i64 total_changes. */
enum { COUNTERS_BYTES = 4 + 8 + 8 };

static int64_t i64_at(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return (int64_t)le64toh(v);
}

/* Those after a statement, by its result alone: it ends with its changes and the rowid. */
static struct sql_counters counters_after(struct sql_counters before, struct slice result)
{
    if (result.len < 16)
        return before;
    int64_t changes = i64_at(result.ptr + result.len - 16);
    return (struct sql_counters){.rowid = i64_at(result.ptr + result.len - 8),
                                 .changes = changes ? changes : before.changes,
                                 .total = before.total + changes};
}

static void counters_replay(struct guest *g)
{
    struct sql_counters *c = &g->sql.counters;
    uint32_t mark = 0;
    *c = counters_after(*c, bytes_slice(&g->result));
    if (g->result.len >= COUNTERS_BYTES)
        memcpy(&mark, g->result.ptr, sizeof(mark));
    if (mark != UINT32_MAX)
        return;
    c->changes = i64_at(g->result.ptr + 4);
    c->total = i64_at(g->result.ptr + 12);
    bytes_consume(&g->result, COUNTERS_BYTES);
}

static void record_result(struct guest *g, struct recording *r, struct sql_counters before)
{
    struct sql_counters c = g->sql.counters, told = counters_after(before, bytes_slice(&g->result));
    if (c.changes == told.changes && c.total == told.total) {
        (void)recording_done(r, OK);
        return;
    }
    CLEANUP(bytes_done) struct bytes record = BYTES_INIT;
    bytes_append_u32(&record, UINT32_MAX);
    bytes_append_u64(&record, (uint64_t)c.changes);
    bytes_append_u64(&record, (uint64_t)c.total);
    bytes_append_slice(&record, bytes_slice(&g->result));
    recording_done_as(r, bytes_slice(&record));
}

/* A statement that fails and is recorded leaves them as they were: its record has only the error. */
static enum err exec_counted(struct guest *g, struct slice text, struct slice params,
                             struct bytes *ret_result, struct error *ret_error)
{
    struct guest_sql *s = &g->sql;
    bool is_recorded = guest_is_recorded(g);
    struct sql_counters *c = g->scope == 0 ? &s->counters : &s->step_counters;
    sql_conn_lend(s->conn, c);
    enum err err = sql_exec(s->conn, text, params, ret_result, ret_error);
    if (!op_is_over(g) && (err == OK || !is_recorded))
        sql_conn_counters(s->conn, c);
    return err;
}

/* Whenever no setup() of another holds the database: statements of a text, each by itself. */
static enum err exec_awaiting(struct guest *g, struct slice text, struct slice params,
                              struct bytes *ret_result, struct error *ret_error)
{
    struct guest_sql *s = &g->sql;
    for (;;) {
        sql_conn_may_yield(s->conn, s->depth == 0 && !is_framed(s));
        give_room(g);
        enum err err = exec_counted(g, text, params, ret_result, ret_error);
        take_result(g, ret_result);
        if (op_is_over(g))
            return ERR_CANCELLED;
        bool has_yielded = sql_conn_has_yielded(s->conn);
        sql_conn_may_yield(s->conn, false);
        if (!has_yielded)
            return err;
        text = slice_skip(text, sql_conn_has_run(s->conn));
        err = await_setup(g);
        if (err == OK)
            err = connect_sql(g);
        if (err != OK)
            return err;
    }
}

/* A statement has failed, perhaps with all that came before it. */
static void note_turn(struct guest *g, enum err err)
{
    struct guest_sql *s = &g->sql;
    if (err != OK && s->is_turn && s->turn_error.code == OK && sql_conn_is_free(s->conn))
        s->turn_error = g->op_error;
}

/* While the statement is away other events of the guest use its fields for results. */
static enum err exec(struct guest *g, struct slice text, struct slice params)
{
    CLEANUP(bytes_done) struct bytes result = BYTES_INIT;
    struct error error = {0};
    struct guest_sql *s = &g->sql;
    enum err err = connect_begun(g);
    if (err != OK)
        return err;
    struct fiber_task *task = &g->stand.task;
    uint64_t left = task->cpu_ns_max;
    if (s->depth > 0 && !is_framed(s)) {
        uint64_t used = s->held_ns;
        uint64_t rest = used < transaction_ns(g) ? transaction_ns(g) - used : 0;
        task->cpu_ns_max = rest < left ? rest : left;
    }
    bool is_bound_by_transaction = task->cpu_ns_max < left;
    err = exec_awaiting(g, text, params, &result, &error);
    task->cpu_ns_max = left;
    if (op_is_over(g))
        return ERR_CANCELLED;
    if (!s->conn) /* there is none to be had any more */
        return err;
    g->op_error = error;
    note_turn(g, err);
    s->gate_seq = sql_conn_seen(s->conn);
    if (err == ERR_LIMIT_CPU && is_bound_by_transaction) {
        expire(g);
        return refuse_expired(g);
    }
    if (err == ERR_LIMIT_CPU) /* as for code that computes: it cannot be caught */
        isolate_trap(g->isolate, err, "%s", g->op_error.message);
    return err;
}

/* The records made so far go into the open transaction if it has written anything. A failure ends
 * the guest: what it believes to have been recorded will not be. */
static enum err keep_records(struct guest *g)
{
    int64_t first;
    if (!sql_is_writing(g->sql.conn))
        return OK;
    /* A copy: while the statement is away, the store may take what it has out of the execution. */
    CLEANUP(bytes_done) struct bytes tail = BYTES_INIT;
    bytes_append_slice(&tail, execution_tail(g->durable->execution, &first));
    enum err err = sql_journal_put(g->sql.conn, g->durable->tail, first, bytes_slice(&tail),
                                   execution_durable(g->durable->execution), &g->op_error);
    if (err == ERR_SQL) /* ours, not the code's */
        err = error_context(&g->op_error, ERR_IO, "the journal of the database");
    return err;
}

static enum err commit_recorded_now(struct guest *g)
{
    bool carries = sql_is_writing(g->sql.conn);
    enum err err = keep_records(g);
    if (op_is_over(g))
        return ERR_CANCELLED;
    if (err == OK &&
        carries) /* whoever takes over asks for this lock before it reads the records */
        err = g->host->owns(g->host->ctx, &g->op_error);
    if (carries)
        crash_point(CRASH_SQL_BEFORE);
    if (err == OK)
        err = transaction(g, SQL_COMMIT);
    if (op_is_over(g))
        return ERR_CANCELLED;
    if (err == OK && carries)
        execution_kept(g->durable->execution);
    if (carries)
        crash_point(CRASH_SQL_AFTER);
    return err;
}

/* A disk that fails or is full is no answer to the code: nothing is recorded, the guest ends, and
 * its owner has it begin again from the journal, until the disk takes it. */
static enum err sql_recorded(struct guest *g, struct recording *r, enum err err)
{
    if (op_is_over(g))
        return ERR_CANCELLED; /* with its execution */
    bool is_servers =
        err == ERR_IO || err == ERR_UNAVAILABLE || err == ERR_OVERLOAD || err == ERR_FENCED;
    if (!r->guest || !is_servers)
        return recording_done(r, err);
    isolate_trap(g->isolate, ERR_IO, "%s", g->op_error.message);
    return err;
}

/* Commits what r, recorded already, is the last record of. If a constraint refuses, that is r's
 * result. */
static enum err commit_recorded(struct guest *g, struct recording *r)
{
    enum err err = commit_recorded_now(g);
    if (err == OK)
        return OK;
    if (op_is_over(g))
        return err;
    execution_sync_undo(g->durable->execution);
    return sql_recorded(g, r, err);
}

/* A statement outside of the guest's own transactions gets one, so that its record is in it. */
static enum err exec_recorded(struct guest *g, const struct op_sql_exec_args *a,
                              struct recording *r)
{
    struct sql_counters before = g->sql.counters;
    bool is_alone = g->sql.depth == 0;
    enum err err = is_alone ? begin(g) : connect_sql(g);
    if (err != OK)
        return sql_recorded(g, r, err);
    err = exec(g, a->sql, a->params);
    if (err == OK) {
        record_result(g, r, before); /* goes with the others into the transaction that it ends */
        err = is_alone ? commit_recorded(g, r) : OK;
    } else {
        err = sql_recorded(g, r, err);
    }
    if (err != OK && !op_is_over(g))
        g->sql.counters = before;
    if (err != OK && is_alone)
        sql_rollback_all(g->sql.conn);
    return err;
}

static enum err run_exec(struct guest *g, const struct op_sql_exec_args *a)
{
    struct recording r;
    enum err err;
    if (!guest_is_recorded(g))
        return exec(g, a->sql, a->params);
    if (recording_replays(g, &r, OP_NUMBER_SQL_EXEC, a, slice_utf8_clip(slice_trim(a->sql), 80),
                          &err)) {
        if (err == OK)
            counters_replay(g);
        return err;
    }
    return exec_recorded(g, a, &r);
}

static enum err transact(struct guest *g, uint32_t action, struct recording *r)
{
    struct guest_sql *s = &g->sql;
    if (action > SQL_ROLLBACK)
        return op_refuse(g, ERR_INVALID, "there is no transaction action %u", action);
    if (action != SQL_BEGIN && s->depth == 0)
        return op_refuse(g, ERR_INVALID, "no transaction is open");
    bool is_first = action == SQL_BEGIN && s->depth == 0 && !g->actor && !is_setting_up(g);
    enum err err = is_first ? begin(g) : connect_begun(g);
    if (s->has_expired && action == SQL_ROLLBACK) { /* it has been; now the guest knows */
        s->has_expired = --s->depth > 0;
        g->op_error.code = OK;
        return OK;
    }
    if (err == OK && action == SQL_COMMIT && s->depth == 1 && r->guest) {
        (void)recording_done(r, OK);
        err = commit_recorded(g, r);
    } else if (err == OK && !is_first) {
        err = transaction(g, (enum sql_action)action);
    }
    if (err != OK)
        return err;
    if (action == SQL_BEGIN && s->depth++ == 0)
        s->held_ns = 0;
    else if (action != SQL_BEGIN)
        s->depth--;
    return OK;
}

static void depth_replay(struct guest *g, uint32_t action)
{
    unsigned *depth = &g->sql.depth_replayed;
    if (action == SQL_BEGIN)
        ++*depth;
    else if (*depth > 0)
        --*depth;
}

/* setup() has returned. Nothing to do if it has used no SQL. */
static enum err run_setup_end(struct guest *g)
{
    struct guest_sql *s = &g->sql;
    struct error error = {0};
    if (!s->is_setup)
        return OK;
    if (s->depth > 0)
        return op_refuse(g, ERR_INVALID, "setup() has left a transaction open");
    enum err err = sql_setup_mark(s->conn, g->deployment->version, &error);
    if (op_is_over(g))
        return ERR_CANCELLED;
    g->op_error = error;
    crash_point(CRASH_SETUP_BEFORE);
    if (err == OK)
        err = transaction(g, SQL_COMMIT);
    if (err == OK) /* else it is rolled back at the rest */
        setup_is_open(g, false);
    crash_point(CRASH_SETUP_AFTER);
    return err;
}

/* The store knows of an alarm before it is set: what is due there is never later than the truth. */
static enum err announce_alarm(struct guest *g)
{
    struct error error = {0};
    int64_t due_us = g->actor->alarm_us;
    if (due_us == INT64_MAX || !g->host->alarm)
        return OK;
    enum err err = g->host->alarm(g->host->ctx, g, due_us, &error);
    if (op_is_over(g))
        return ERR_CANCELLED;
    g->op_error = error;
    g->actor->alarm_us = INT64_MAX;
    return err;
}

/* The code of an actor comes to rest: what it has done is whole. If that cannot be committed, what it has in
 * memory is not true: it ends. */
static enum err run_turn_end(struct guest *g)
{
    struct guest_sql *s = &g->sql;
    if (!s->is_turn || s->depth > 0)
        return OK;
    enum err err = announce_alarm(g);
    if (err == OK)
        err = transaction(g, SQL_COMMIT);
    if (op_is_over(g))
        return ERR_CANCELLED;
    if (err != OK) {
        const struct error *why = s->turn_error.code != OK ? &s->turn_error : &g->op_error;
        isolate_trap(g->isolate, why->code, "what it has stored could not be committed: %s",
                     why->message);
        return why->code;
    }
    s->is_turn = false;
    release_sql(g);
    guest_gate_turned(g);
    return OK;
}

enum err guest_store(struct guest *g,
                     enum err (*run)(struct sql_conn *c, const void *arg, struct bytes *out,
                                     struct error *ret_error),
                     const void *arg)
{
    CLEANUP(bytes_done) struct bytes result = BYTES_INIT;
    struct error error = {0};
    if (!g->actor)
        return op_refuse(g, ERR_FORBIDDEN, "only an actor has a storage");
    enum err err = connect_begun(g);
    if (err != OK)
        return err;
    give_room(g);
    err = run(g->sql.conn, arg, &result, &error);
    take_result(g, &result);
    if (op_is_over(g))
        return ERR_CANCELLED;
    g->op_error = error;
    note_turn(g, err);
    g->sql.gate_seq = sql_conn_seen(g->sql.conn);
    if (err == ERR_LIMIT_CPU) /* as for code that computes: it cannot be caught */
        isolate_trap(g->isolate, err, "%s", g->op_error.message);
    return err;
}

static enum err run_transaction(struct guest *g, const struct op_sql_transaction_args *a)
{
    static const char *const labels[] = {"begin", "commit", "rollback"};
    struct recording r;
    enum err err;
    uint32_t action = a->action;
    struct slice label = action <= SQL_ROLLBACK ? slice_cstr(labels[action]) : SLICE_EMPTY;
    /* It has to end by itself, however much there is to be stored. */
    if (recording_replays_always(g, &r, OP_NUMBER_SQL_TRANSACTION, a, label, &err)) {
        if (err == OK)
            depth_replay(g, action);
        return err;
    }
    bool is_last = action == SQL_COMMIT && g->sql.depth == 1; /* is recorded by its commit */
    err = transact(g, action, &r);
    return is_last && r.guest ? err : sql_recorded(g, &r, err);
}

void guest_sql_stood(struct guest *g, uint64_t cpu_ns)
{
    g->sql.held_ns += cpu_ns;
    release_sql(g);
}

enum err op_sql_exec(struct guest *g, const struct op_sql_exec_args *a)
{
    if (guest_is_recorded(g) && a->params.len > LIMIT_VALUE_BYTES)
        return op_refuse_large(g, "the parameters of a statement that is recorded", a->params.len,
                               "run it inside step(), where they may be larger");
    /* A longer text is refused for its length. */
    if (a->sql.len <= LIMIT_VALUE_BYTES && !slice_is_utf8(a->sql))
        return op_refuse(g, ERR_INVALID, "the SQL text is not UTF-8");
    return run_exec(g, a);
}

enum err op_sql_transaction(struct guest *g, const struct op_sql_transaction_args *a)
{
    return a->action == SQL_END_SETUP  ? run_setup_end(g)
           : a->action == SQL_END_TURN ? run_turn_end(g)
                                       : run_transaction(g, a);
}
