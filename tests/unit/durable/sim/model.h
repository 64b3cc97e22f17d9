/* SPDX-License-Identifier: Apache-2.0
 *
 * The independent judge: what a whole journal means. Written from docs/journal.md and the contract,
 * not from the implementation: it reads the records one after the other, answers the program from
 * them, and notes every effect that must have happened, and how often. No retries, no scopes, no
 * clocks, no restarts. */
#pragma once

#include "sim/guest.h"

enum { MODEL_EVENTS_MAX = 2048 };

/* How calls look in records: what both the world and the model must agree on. */
uint64_t call_digest(enum guest_op op, uint64_t path, uint64_t in);
uint64_t child_value(uint64_t path); /* what a child of that path returns */
uint64_t child_id(uint64_t path);

struct model_row {
    uint64_t path, in;
};
struct model {
    const char *error; /* NULL: the journal makes sense */
    bool has_ended;
    uint32_t status;
    uint64_t value;
    struct model_row logs[MODEL_EVENTS_MAX], sql[MODEL_EVENTS_MAX], children[MODEL_EVENTS_MAX];
    size_t logs_len, sql_len, children_len;
    int64_t signals[MODEL_EVENTS_MAX];     /* seqs consumed */
    int64_t signals_due[MODEL_EVENTS_MAX]; /* by when the wait that got it had to have one */
    size_t signals_len;
    struct {
        uint32_t name;
        int64_t due_us;
        size_t signals_len;       /* consumed before */
    } timeouts[MODEL_EVENTS_MAX]; /* of waits, when no other wait had the same name */
    size_t timeouts_len;
    struct {
        enum guest_op op;
        uint64_t path, in;
        uint32_t name;   /* EVENT */
        int64_t due_us;  /* TIMER, EVENT */
        uint32_t failed; /* STEP: attempts recorded */
        bool is_pending, was_given_up, is_done;
        uint32_t status;
        uint64_t value;
    } calls[GUEST_CALLS_MAX + 2]; /* by id */
    uint32_t last_id;
    bool is_cancelled;
    bool hit_limit;
    struct guest guest;

    /* private */
    struct guest_host host;
    struct slice rest;
    struct record next;
    bool has_next;
    int64_t now_us;
    uint32_t given_up[GUEST_CALLS_MAX + 2];
    size_t given_up_first, given_up_len;
};

/* records: a whole journal. Whether it ends with END: has_ended. */
void model_run(struct model *m, const struct program *p, struct slice records);
