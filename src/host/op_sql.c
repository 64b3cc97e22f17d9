/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQL ops: synchronous, on the engine thread. What the guest lets out from now on depends on
 * what the connection has seen, which the output gate checks. While a transaction is open the guest
 * keeps the thread's connection, so it is not preempted. */
#include "host/internal.h"

#include "base/clock.h"
#include "sandbox/isolate.h"
#include "script/deployment.h"

static enum err connect_sql(struct guest *g)
{
    if (!g->sql) {
        enum err err = g->host->sql(g->host->ctx, g, &g->sql, &g->sql_file, &g->op_error);
        if (err != OK)
            return err;
    }
    uint64_t used = isolate_cpu_used_ns(g->isolate), max = g->deployment->cpu_ns_max;
    sql_conn_set_deadline(g->sql, clock_monotonic_ns() + (used < max ? max - used : 0));
    return OK;
}

enum err op_sql_exec(struct guest *g, const struct op_sql_exec_args *a)
{
    enum err err = connect_sql(g);
    if (err == OK)
        err = sql_exec(g->sql, a->sql, a->params, &g->result, &g->op_error);
    if (g->sql)
        g->gate_seq = sql_conn_seen(g->sql);
    if (err == ERR_LIMIT_CPU) /* as for code that computes: it cannot be caught */
        isolate_trap(g->isolate, err, "%s", g->op_error.message);
    return err;
}

enum err op_sql_transaction(struct guest *g, const struct op_sql_transaction_args *a)
{
    if (a->action > SQL_ROLLBACK)
        return op_refuse(g, ERR_INVALID, "there is no transaction action %u", a->action);
    if (a->action != SQL_BEGIN && g->sql_depth == 0)
        return op_refuse(g, ERR_INVALID, "no transaction is open");
    enum err err = connect_sql(g);
    if (err == OK)
        err = sql_transaction(g->sql, (enum sql_action)a->action, &g->op_error);
    if (err != OK)
        return err;
    if (a->action == SQL_BEGIN) {
        g->sql_depth++;
        isolate_hold(g->isolate);
    } else {
        g->sql_depth--;
        isolate_release(g->isolate);
    }
    g->gate_seq = sql_conn_seen(g->sql);
    return OK;
}
