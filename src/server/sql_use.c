/* SPDX-License-Identifier: Apache-2.0
 *
 * See sql_use.h. */
#include "server/sql_use.h"

#include "host/database.h"
#include "host/sql.h"
#include "module/deployment.h"
#include "server/slot.h"

enum { USE_CPU_MS = 10 * 1000, USE_MEMORY_BYTES = 64 * 1024 * 1024 };

/* True: a setup() holds the database, and nothing was done. */
static bool use_yields(struct sql_use *u)
{
    struct database *b = u->slot->deployment->database;
    struct loop *loop = &u->slot->worker->loop;
    struct sql_conn *c;
    u->error.code = OK;
    if (database_take(b, loop, &c, &u->error) != OK)
        return false;
    sql_conn_set_deadline(c, UINT64_MAX); /* the task's counts */
    sql_conn_may_yield(c, true);
    u->run(u, c);
    bool has_yielded = sql_conn_has_yielded(c);
    sql_conn_may_yield(c, false);
    sql_rollback_all(c);
    database_give(b, loop, c);
    return has_yielded;
}

static void use_run(struct fiber_task *t)
{
    struct sql_use *u = container_of(t, struct sql_use, task);
    while (use_yields(u) && !fiber_task_is_cancelled(t))
        sql_file_await_setup(database_file(u->slot->deployment->database));
}

static void use_over(struct sql_use *u)
{
    struct slot *s = u->slot;
    list_remove(&u->link);
    u->done(u); /* u may be gone now */
    s->fibers--;
    slot_release(s);
}

static void use_done(struct fiber_task *t)
{
    use_over(container_of(t, struct sql_use, task));
}

void sql_use_start(struct slot *s, struct sql_use *u)
{
    struct worker *w = s->worker;
    u->slot = s;
    u->task.run = use_run;
    u->task.done = use_done;
    u->task.cpu_ns_max = USE_CPU_MS * UINT64_C(1000000);
    u->task.memory_max = USE_MEMORY_BYTES;
    u->task.memory_from =
        s->deployment->account ? &s->deployment->account->budgets[RESOURCE_MEMORY] : NULL;
    s->fibers++;
    list_push_back(&w->sql_uses, &u->link);
    if (fiber_task_start(w->host.fiber_runner, &u->task))
        use_over(u);
}

void sql_use_cancel(struct sql_use *u)
{
    fiber_task_cancel(&u->task);
}

/* Each ends only itself. */
void sql_uses_cancel(struct worker *w)
{
    struct list left, *n;
    list_init(&left);
    list_splice_back(&left, &w->sql_uses);
    while ((n = list_pop_front(&left))) {
        list_push_back(&w->sql_uses, n);
        sql_use_cancel(container_of(n, struct sql_use, link));
    }
}
