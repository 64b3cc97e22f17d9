/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQL ops: synchronous, on the engine thread. What the guest lets out from now on depends on
 * what the connection has seen, which the output gate checks. While a transaction is open the guest
 * keeps the thread's connection, so it is not preempted.
 *
 * In a durable execution, outside of steps, each call is recorded, and a transaction that writes
 * takes with it every record that is not in the store yet (sql_journal.h): after a kill the effect
 * and the journal agree, whatever the store had. */
#include "host/recording.h"
#include "host/sql_journal.h"

#include "base/clock.h"
#include "base/crash.h"
#include "sandbox/isolate.h"
#include "script/deployment.h"

static enum err connect_sql(struct guest *g)
{
    if (!g->sql.conn) {
        enum err err = g->host->sql(g->host->ctx, g, &g->sql.conn, &g->sql.file, &g->op_error);
        if (err != OK)
            return err;
    }
    uint64_t used = isolate_cpu_used_ns(g->isolate), max = g->deployment->cpu_ns_max;
    sql_conn_set_deadline(g->sql.conn, clock_monotonic_ns() + (used < max ? max - used : 0));
    return OK;
}

static enum err exec(struct guest *g, const struct op_sql_exec_args *a)
{
    enum err err = connect_sql(g);
    if (err == OK)
        err = sql_exec(g->sql.conn, a->sql, a->params, &g->result, &g->op_error);
    if (g->sql.conn)
        g->sql.gate_seq = sql_conn_seen(g->sql.conn);
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
    struct slice tail = execution_tail(g->durable->execution, &first);
    enum err err = sql_journal_put(g->sql.conn, g->durable->tail, first, tail,
                                   execution_durable(g->durable->execution), &g->op_error);
    if (err == ERR_SQL) /* ours, not the code's */
        err = error_context(&g->op_error, ERR_IO, "the journal of the database");
    return err;
}

static enum err commit_recorded_now(struct guest *g)
{
    bool carries = sql_is_writing(g->sql.conn);
    enum err err = keep_records(g);
    if (err == OK &&
        carries) /* whoever takes over asks for this lock before it reads the records */
        err = g->host->owns(g->host->ctx, &g->op_error);
    if (carries)
        crash_point(CRASH_SQL_BEFORE);
    if (err == OK)
        err = sql_transaction(g->sql.conn, SQL_COMMIT, &g->op_error);
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
    if (!r->guest || (err != ERR_IO && err != ERR_UNAVAILABLE && err != ERR_FENCED))
        return recording_done(r, err);
    isolate_trap(g->isolate, ERR_IO, "%s", g->op_error.message);
    return err;
}

/* Commits what r is the last record of. If a constraint refuses, that is r's result. */
static enum err commit_recorded(struct guest *g, struct recording *r)
{
    (void)recording_done(r, OK); /* goes with the others into the transaction that it ends */
    enum err err = commit_recorded_now(g);
    if (err == OK)
        return OK;
    execution_sync_undo(g->durable->execution);
    return sql_recorded(g, r, err);
}

/* A statement outside of the guest's own transactions gets one, so that its record is in it. */
static enum err exec_recorded(struct guest *g, const struct op_sql_exec_args *a,
                              struct recording *r)
{
    if (g->sql.depth > 0)
        return sql_recorded(g, r, exec(g, a));
    enum err err = connect_sql(g);
    if (err == OK)
        err = sql_transaction(g->sql.conn, SQL_BEGIN, &g->op_error);
    if (err != OK)
        return sql_recorded(g, r, err);
    err = exec(g, a);
    err = err == OK ? commit_recorded(g, r) : sql_recorded(g, r, err);
    if (err != OK)
        sql_rollback_all(g->sql.conn);
    g->sql.gate_seq = sql_conn_seen(g->sql.conn);
    return err;
}

enum err op_sql_exec(struct guest *g, const struct op_sql_exec_args *a)
{
    struct recording r;
    enum err err;
    if (!guest_is_recorded(g))
        return exec(g, a);
    if (recording_replays(g, &r, OP_NUMBER_SQL_EXEC, slice_utf8_clip(slice_trim(a->sql), 80), &err,
                          RECORDING_ARGS(a->sql, a->params)))
        return err;
    return exec_recorded(g, a, &r);
}

static enum err transact(struct guest *g, const struct op_sql_transaction_args *a,
                         struct recording *r)
{
    if (a->action > SQL_ROLLBACK)
        return op_refuse(g, ERR_INVALID, "there is no transaction action %u", a->action);
    if (a->action != SQL_BEGIN && g->sql.depth == 0)
        return op_refuse(g, ERR_INVALID, "no transaction is open");
    enum err err = connect_sql(g);
    if (err == OK && a->action == SQL_COMMIT && g->sql.depth == 1 && r->guest)
        err = commit_recorded(g, r);
    else if (err == OK)
        err = sql_transaction(g->sql.conn, (enum sql_action)a->action, &g->op_error);
    if (err != OK)
        return err;
    if (a->action == SQL_BEGIN) {
        g->sql.depth++;
        isolate_hold(g->isolate);
    } else {
        g->sql.depth--;
        isolate_release(g->isolate);
    }
    g->sql.gate_seq = sql_conn_seen(g->sql.conn);
    return OK;
}

enum err op_sql_transaction(struct guest *g, const struct op_sql_transaction_args *a)
{
    static const char *const labels[] = {"begin", "commit", "rollback"};
    struct recording r;
    enum err err;
    struct slice label = a->action <= SQL_ROLLBACK ? slice_cstr(labels[a->action]) : SLICE_EMPTY;
    if (recording_replays(g, &r, OP_NUMBER_SQL_TRANSACTION, label, &err,
                          RECORDING_ARGS(RECORDING_VALUE(a->action))))
        return err;
    bool is_last = a->action == SQL_COMMIT && g->sql.depth == 1; /* is recorded by its commit */
    err = transact(g, a, &r);
    return is_last && r.guest ? err : sql_recorded(g, &r, err);
}
