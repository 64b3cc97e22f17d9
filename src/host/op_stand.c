/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops in which the guest stands still: they run on a fiber (fiber_task.h), where they await an
 * operation of the loop or go on in the pool, and the isolate's stack waits in op_wait for the result.
 * Most end at once, and nobody has stood still. The guest may be ended meanwhile: the op then ends
 * alone, and a guest that is freed waits for it. */
#include "host/recording.h"

#include "module/deployment.h"
#include "sandbox/isolate.h"

static void stand_run(struct fiber_task *t)
{
    struct guest *g = container_of(t, struct guest, stand.task);
    g->stand.err = g->stand.run(g);
}

static void stand_over(struct guest *g)
{
    g->stand.is_working = false;
    isolate_add_cpu(g->isolate, g->stand.task.cpu_ns);
    guest_sql_stood(g, g->stand.task.cpu_ns);
}

/* The owner may forget the guest with this. */
static void stand_leave(struct guest *g)
{
    if (g->host->stand_end)
        g->host->stand_end(g->host->ctx, g, g->stand.task.cpu_ns);
}

static void stand_done(struct fiber_task *t)
{
    struct guest *g = container_of(t, struct guest, stand.task);
    stand_over(g);
    if (g->is_ending) {
        (void)guest_sql_end(g);
        stand_leave(g);
        if (g->stand.is_freed)
            guest_free(g);
        return;
    }
    stand_leave(g);
    g->pauses = guest_is_to_stand(g);
    isolate_wake(g->isolate, op_give_result(g, g->stand.err, g->stand.ret, g->stand.ret_cap));
    guest_report(g);
}

enum err op_stand(struct guest *g, enum err (*run)(struct guest *g))
{
    struct guest_stand *s = &g->stand;
    uint64_t used = isolate_cpu_used_ns(g->isolate), max = g->deployment->cpu_ns_max;
    if (!g->may_stand)
        return op_refuse(g, ERR_INVALID, "%s is an op to wait for", op_name(g->op_number));
    s->run = run;
    s->task.run = stand_run;
    s->task.done = stand_done;
    s->task.cpu_ns_max = used < max ? max - used : 0;
    s->task.memory_max = g->deployment->memory_bytes_max;
    s->task.memory_from = g->memory.from;
    s->is_working = true;
    if (g->host->stand_begin)
        g->host->stand_begin(g->host->ctx, g);
    if (!fiber_task_start(g->host->fiber_runner, &s->task))
        return OK;
    stand_over(g);
    stand_leave(g);
    return s->err;
}
