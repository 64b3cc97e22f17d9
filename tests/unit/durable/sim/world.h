/* SPDX-License-Identifier: Apache-2.0
 *
 * One execution and all that is around it, played by dice: a store that applies batches whole, late
 * or not at all; a module's database with commits of its own; a network that delays, doubles and
 * fails; people who send signals and cancel; children; a clock; and a process that dies at any
 * *boundary*: before and after each thing that outlives it, and between deliveries.
 *
 * What survives a death is in store, db and server; the rest is lost. What must hold at any moment
 * is checked when it happens (a request with a known key but other arguments, a child started
 * twice, a signal consumed twice, a gap in the journal); the rest at the end, against the model. */
#pragma once

#include "sim/guest.h"
#include "sim/model.h"

enum {
    WORLD_SIGNALS_MAX = 400,
    WORLD_BODIES_MAX = 128,
    WORLD_FLIGHT_MAX = 16,
    WORLD_REFUSALS_MAX = 5,
};

struct world_stats { /* that the dice reach everything */
    uint64_t runs, boundaries, crashes, opens, replayed_tails, restored, restored_old,
        refused_states, refused_batches, suspended, cancelled, timeouts, retries, zombies, signals,
        doubles, checks, diverged, records, withdrawn, withdrawn_late;
};

struct world_options {
    uint64_t seed;
    uint64_t crash_at;    /* the one boundary where it dies; 0: */
    uint64_t crashes_max; /* at random ones */
    bool is_calm;         /* nothing goes wrong at all */
    bool is_pure;
    bool is_prompt; /* signals are passed before anything else happens */
    bool is_loud;   /* says what happens */
};

struct world_result {
    const char *failure; /* NULL: all is well */
    uint32_t status;
    uint64_t value;
    uint64_t effects; /* of logs, SQL and children, in any order */
    uint64_t boundaries;
    bool hit_limit;
};

/* Plays until the execution has ended in the store. */
void world_play(const struct world_options *options, struct world_stats *stats,
                struct world_result *ret_result);
