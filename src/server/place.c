/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine thread as flow/place.h asks for it: slots, the turn, the module's database. */
#include "server/place.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/database.h"
#include "host/sql_journal.h"
#include "server/invocation.h"
#include "server/slot.h"
#include "server/sql_use.h"
#include "server/turn.h"

static struct slot *place_hold(void *ctx, struct deployment *d)
{
    struct slot *s = worker_slot(ctx, d);
    s->invocations++;
    return s;
}

static void place_release(struct slot *s)
{
    s->invocations--;
    slot_release(s);
}

static void place_enqueue(void *ctx, struct task *t)
{
    turn_enqueue(ctx, t);
}

static void place_give_back(void *ctx, struct guest *g)
{
    turn_give_back(ctx, g);
}

static bool place_is_crowded(void *ctx)
{
    const struct worker *w = ctx;
    return w->tasks_len > 0;
}

/* ---- records in the module's database ---- */

struct tail_use {
    struct sql_use use;
    struct tail *tail; /* NULL: nobody wants it any more */
    bool is_starting, *is_over;
    char name[sizeof(((struct tail *)NULL)->name)];
    int64_t from, first, gate_seq;
    struct bytes records;
};

/* Behind the lock of whoever had the lease before: it asks for the lease under it. */
static void tail_run(struct sql_use *u, struct sql_conn *c)
{
    struct tail_use *t = container_of(u, struct tail_use, use);
    u->error.code = sql_transaction(c, SQL_BEGIN, &u->error);
    if (u->error.code == OK)
        u->error.code =
            sql_journal_get(c, slice_cstr(t->name), t->from, &t->records, &t->first, &u->error);
    t->gate_seq = t->records.len > 0 ? (int64_t)sql_conn_seen(c) : 0;
}

static void tail_done(struct sql_use *u)
{
    struct tail_use *use = container_of(u, struct tail_use, use);
    struct tail *t = use->tail;
    bool is_told = t && !use->is_starting;
    if (use->is_over)
        *use->is_over = true;
    if (t) {
        t->internal = NULL;
        t->error = u->error;
        t->first = use->first;
        t->gate_seq = use->gate_seq;
        t->records = use->records;
        use->records = BYTES_INIT;
    }
    bytes_done(&use->records);
    free(use);
    if (is_told)
        t->done(t);
}

static enum op_status place_tail_read(struct slot *s, struct tail *t)
{
    struct database *b = s->deployment->database;
    bool is_over = false;
    if (!database_is_open(b) && access(database_path(b), F_OK) != 0)
        return OP_DONE;
    struct tail_use *use = calloc(1, sizeof(*use));
    CHECK(use);
    use->use.run = tail_run;
    use->use.done = tail_done;
    use->tail = t;
    use->from = t->from;
    use->is_starting = true;
    use->is_over = &is_over;
    memcpy(use->name, t->name, sizeof(use->name));
    t->internal = use;
    sql_use_start(s, &use->use);
    if (is_over)
        return OP_DONE;
    use->is_starting = false;
    use->is_over = NULL;
    return OP_PENDING;
}

static void place_tail_drop(struct tail *t)
{
    struct tail_use *use = TAKE(t->internal);
    if (!use)
        return;
    use->tail = NULL;
    sql_use_cancel(&use->use);
}

struct tail_forget {
    struct sql_use use;
    char name[sizeof(((struct tail *)NULL)->name)];
};

static void forget_run(struct sql_use *u, struct sql_conn *c)
{
    struct tail_forget *t = container_of(u, struct tail_forget, use);
    u->error.code = sql_journal_forget(c, slice_cstr(t->name), &u->error);
}

static void forget_done(struct sql_use *u)
{
    if (u->error.code != OK)
        log_debug("old records stay in the module's database", LOG_STR("error", u->error.message));
    free(container_of(u, struct tail_forget, use));
}

/* They stay where the database was closed since; it is not opened for them. */
static void place_tail_forget(struct slot *s, const char *name)
{
    if (!database_is_open(s->deployment->database))
        return;
    struct tail_forget *t = calloc(1, sizeof(*t));
    CHECK(t);
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->use.run = forget_run;
    t->use.done = forget_done;
    sql_use_start(s, &t->use);
}

static bool place_gate_is_open(struct slot *s, int64_t seq)
{
    return sql_is_durable(database_file(s->deployment->database), (uint64_t)seq);
}

static void place_gate_wait(struct slot *s, struct sql_gate_wait *w)
{
    sql_gate_wait(&s->worker->loop, database_file(s->deployment->database), w);
}

/* ---- the thread ---- */

static const struct flow_place place = {
    .hold = place_hold,
    .release = place_release,
    .prepare = prepare_start,
    .enqueue = place_enqueue,
    .withdraw = turn_withdraw,
    .give_back = place_give_back,
    .runnable = turn_runnable,
    .is_crowded = place_is_crowded,
    .tail_read = place_tail_read,
    .tail_drop = place_tail_drop,
    .tail_forget = place_tail_forget,
    .gate_is_open = place_gate_is_open,
    .gate_wait = place_gate_wait,
};

struct flow_env worker_env(struct worker *w)
{
    return (struct flow_env){.clock = &flow_clock_of_loop,
                             .loop = &w->loop,
                             .store = w->server->store,
                             .asks = &w->asks,
                             .shared = &w->server->flow,
                             .ctx = w,
                             .place = &place,
                             .isolates = &flow_isolates_of_host,
                             .metrics = &w->metrics.flow,
                             .witness = w->server->witness,
                             .thread = (unsigned)w->index};
}
