/* SPDX-License-Identifier: Apache-2.0
 *
 * Long computations of guests on the work pool. How many run at once is bounded, for a module, an
 * engine thread and the server, and who waits is served in turns (base/fair.h), so that however much
 * is asked for, syncs and newcomers find the pool free. Each is charged with the CPU time that it
 * took.
 *
 * Loop thread, but for run() and job_stops(). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fair.h"
#include "loop/work.h"

struct job_runner;
struct loop;

struct job_runner *job_runner_new(struct loop *loop);
void job_runner_free(struct job_runner *r); /* after the loop; no job is left */

struct job {
    void (*run)(struct job *j); /* pool thread */
    /* Once it has run. If it was cancelled meanwhile, that is the last one hears of it. */
    void (*done)(struct job *j);
    uint64_t cpu_ns_max;
    /* results */
    uint64_t cpu_ns; /* of this run */
    bool is_late;    /* it was told to stop for its CPU time */
    bool is_cancelled;
    /* private */
    struct job_runner *runner;
    struct fair_place place;
    struct list link; /* runner->granted */
    struct work work;
    struct account *account;
    uint64_t entered_ns;
    atomic_bool is_to_stop;
    bool is_away;
};

/* owner: of the module, or NULL; member: whose job it is, never followed. */
void job_start(struct job_runner *r, struct job *j, struct account *owner, const void *member);
/* True: it has not begun, and is gone. False: it is told to stop, and done() will come. */
bool job_cancel(struct job *j);
/* From inside of run(), now and then: true: stop. */
bool job_stops(void *j);
