/* SPDX-License-Identifier: Apache-2.0
 *
 * Work on a stack of its own: ops in which a guest stands still, and the server's own work on
 * databases. It begins on the engine thread and may await something of the loop. SQL does not hold
 * that thread: when a statement has used up a short budget, or when SQLite tells that something long
 * comes next (deps/sqlite), the task leaves in the middle and goes on on a few threads that do nothing
 * else, in turns. A wait for another writer's lock is a timer of the loop.
 *
 * A task's function runs on its fiber and may change threads in each call into SQLite; after
 * fiber_task_home() it is on its loop's thread, where guests' memory and the rest of the host are.
 *
 *   begins  loop thread, inline        ahead, tick  -> pool, in slices
 *   naps    loop's timer               home         -> loop thread
 *   awaits  an operation of the loop
 *
 * Its CPU time away is counted by the thread's clock, and above cpu_ns_max it is interrupted; what
 * SQLite allocates for it is counted, and above memory_max it is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/list.h"
#include "loop/op.h"
#include "loop/timer.h"

struct fiber;
struct loop;
struct fiber_runner;

/* A loop's place to run tasks. */
struct fiber_runner *fiber_runner_new(struct loop *loop);
/* The loop runs no more; tasks have been cancelled: waits for those away and ends them here. */
void fiber_runner_drain(struct fiber_runner *r);
void fiber_runner_free(struct fiber_runner *r); /* after the loop */

enum fiber_task_want { FIBER_TASK_POOL, FIBER_TASK_HOME, FIBER_TASK_NAP, FIBER_TASK_AWAIT };

/* A stack of the runner's, for who runs a fiber without a task and stays on the loop's thread; NULL: as
 * many are lent as may be. And back, when its function has ended. */
struct fiber *fiber_runner_lend(struct fiber_runner *r);
void fiber_runner_give_back(struct fiber_runner *r, struct fiber *f);

struct fiber_task {
    void (*run)(struct fiber_task *t); /* on the fiber */
    /* Loop thread, when it has ended, unless fiber_task_start() said so. */
    void (*done)(struct fiber_task *t);
    uint64_t cpu_ns_max; /* away */
    size_t memory_max;
    struct budget *memory_from; /* whose memory SQLite takes for it; NULL: nobody's */
    struct budget *full;        /* out: the one that had no more; NULL: memory_max, if anything */
    /* private */
    struct fiber_runner *runner;
    struct fiber *fiber;
    struct list link; /* the pool's queue, or the runner's list of those come home */
    struct timer timer;
    enum fiber_task_want want;
    bool is_away; /* the pool has it */
    bool is_ended;
    bool is_cancelled; /* atomic */
    bool is_late;      /* its CPU time is used up */
    bool is_free;      /* what it uses now is not its own */
    uint32_t nap_ms;
    enum op_status (*start)(void *arg); /* what it awaits */
    void *start_arg;
    uint64_t leaves_ns;      /* when this stretch is to end, by the clock */
    uint64_t entered_cpu_ns; /* the pool thread's CPU clock at its begin */
    uint64_t cpu_ns;         /* used away */
    ptrdiff_t memory;
    struct allowance held; /* of that, what counts */
};

/* Loop thread. True: it has ended already. */
bool fiber_task_start(struct fiber_runner *r, struct fiber_task *t);
/* Loop thread. It ends soon; if it is not away, it has gone on and may have ended, with done(). */
void fiber_task_cancel(struct fiber_task *t);
static inline bool fiber_task_is_cancelled(const struct fiber_task *t)
{
    return __atomic_load_n(&t->is_cancelled, __ATOMIC_RELAXED);
}

/* From inside, without effect outside of a task. */
struct fiber_task *fiber_task_current(void);
void fiber_task_ahead(void); /* something long comes */
void fiber_task_hurry(void); /* what comes may be long after little: a shorter budget */
bool fiber_task_tick(void);  /* now and then. True: stop, it is cancelled or late */
void fiber_task_home(void);
void fiber_task_nap(uint32_t ms); /* comes back on the loop's thread */
/* start() is called on the loop's thread, outside of the fiber; comes back there when that has said
 * OP_DONE, or after fiber_task_wake(). It may have been cancelled meanwhile. */
void fiber_task_await(enum op_status (*start)(void *arg), void *arg);
/* Loop thread: what it awaits is there. Not once it has been cancelled,
 * unless it awaits again. */
void fiber_task_wake(struct fiber_task *t);
void fiber_task_bill(bool is_own); /* is its CPU time from now on its own? At the start it is. */
/* For limpet_sqlite_set_hooks(). */
void fiber_task_install_hooks(void);
