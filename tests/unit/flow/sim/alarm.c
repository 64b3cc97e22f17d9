/* SPDX-License-Identifier: Apache-2.0
 *
 * What falls due beside executions: alarms, each of which goes off so many times and sets the next time itself,
 * as a schedule does. Its row of table due is all that brings it back. The process may die between any two
 * events, and what is handed on may be so twice. */
#include "sim/sim.h"

#include "flow/due.h"

/* A process is busy with one. */
struct sim_alarm_try {
    struct store_op op;
    struct due due; /* of another try */
    struct sim_process *process;
    struct due_row row;
    char key[8];
};

static struct sim_alarm *alarm_of(struct slice key)
{
    CHECK(key.len == 2 && key.ptr[0] == 'a' && key.ptr[1] >= '0' && key.ptr[1] < '0' + ALARMS_MAX);
    return &W->store.alarms[key.ptr[1] - '0'];
}

/* ---- the store ---- */

void alarms_begin(void)
{
    for (int k = 0; k < ALARMS_MAX; k++) {
        struct sim_alarm *a = &W->store.alarms[k];
        a->seq = k + 1;
        a->left = (unsigned)(roll() % 6);
        a->due_us = a->left ? W->now_us + (int64_t)(roll() % 3000) * 1000 : DUE_NEVER;
    }
}

/* It has gone off: that, and when it goes off next, are one commit. */
void alarm_apply(const struct due_row *row)
{
    struct sim_alarm *a = alarm_of(row->key);
    if (a->due_us == DUE_NEVER || a->left == 0)
        world_fails("alarm %.*s goes off and is not set", SLICE_ARG(row->key));
    else if (a->due_us > W->now_us)
        world_fails("alarm %.*s goes off early", SLICE_ARG(row->key));
    else
        a->left--;
    a->due_us = row->due_us;
    stats.alarms++;
}

void alarms_read(struct store_query *q)
{
    int64_t us = q->dues.after_due_us, seq = q->dues.after_seq;
    q->dues.rows = arena_array(q->arena, ALARMS_MAX, sizeof(*q->dues.rows));
    for (q->dues.len = 0; q->dues.len < (size_t)q->dues.limit && q->dues.len < ALARMS_MAX;) {
        const struct sim_alarm *next = NULL;
        for (int k = 0; k < ALARMS_MAX; k++) {
            const struct sim_alarm *a = &W->store.alarms[k];
            bool is_after = a->due_us != us ? a->due_us > us : a->seq > seq;
            if (a->due_us < q->dues.until_us && is_after &&
                (!next || a->due_us < next->due_us ||
                 (a->due_us == next->due_us && a->seq < next->seq)))
                next = a;
        }
        if (!next)
            return;
        char key[3] = {'a', (char)('0' + (next - W->store.alarms)), '\0'};
        us = next->due_us;
        seq = next->seq;
        q->dues.rows[q->dues.len++] =
            (struct due_row){.seq = seq,
                             .kind = DUE_ALARM,
                             .key = arena_copy(q->arena, slice_of(key, 2)),
                             .due_us = us};
    }
}

bool alarms_have_ended(void)
{
    for (int k = 0; k < ALARMS_MAX; k++)
        if (W->store.alarms[k].left > 0)
            return false;
    return true;
}

/* ---- a process ---- */

static void go_off(struct sim_process *p, struct slice key);

static void try_again(struct due *t)
{
    struct sim_alarm_try *y = container_of(t, struct sim_alarm_try, due);
    struct sim_process *p = y->process;
    const struct slice key = slice_cstr(y->key);
    p->alarms[y->key[1] - '0'] = NULL;
    go_off(p, key);
    free(y);
}

static void was_set(struct store_op *op)
{
    struct sim_alarm_try *y = container_of(op, struct sim_alarm_try, op);
    struct sim_process *p = y->process;
    if (op->error.code != OK && !p->is_dead) {
        due_in(&p->threads[0].env, &y->due, 100, try_again);
        return;
    }
    p->alarms[y->key[1] - '0'] = NULL;
    if (op->error.code == OK)
        director_due_note(p->director, &y->row);
    free(y);
}

static void go_off(struct sim_process *p, struct slice key)
{
    const struct sim_alarm *a = alarm_of(key); /* the truth */
    if (p->alarms[key.ptr[1] - '0'] || a->due_us > W->now_us || p->is_dead)
        return;
    struct sim_alarm_try *y = calloc(1, sizeof(*y));
    CHECK(y);
    p->alarms[key.ptr[1] - '0'] = y;
    snprintf(y->key, sizeof(y->key), "%.*s", SLICE_ARG(key));
    y->process = p;
    /* Also a time that has passed when it is stored. */
    y->row = (struct due_row){.kind = DUE_ALARM,
                              .key = slice_cstr(y->key),
                              .due_us = a->left > 1 ? W->now_us + (int64_t)(roll() % 2000) * 1000
                                                    : DUE_NEVER};
    y->op.loop = &p->threads[0].loop;
    y->op.done = was_set;
    store_due_set(&p->store, &y->op, &y->row);
}

static void is_due(void *ctx, const struct due_row *row)
{
    go_off(ctx, row->key);
}

void alarms_serve(struct sim_process *p)
{
    director_due_kind(p->director, DUE_ALARM, is_due, p);
}

void alarms_stop(struct sim_process *p)
{
    for (int k = 0; k < ALARMS_MAX; k++)
        if (p->alarms[k]) { /* it waits for another try */
            due_stop(&p->threads[0].env, &p->alarms[k]->due);
            free(p->alarms[k]);
        }
}
