/* SPDX-License-Identifier: Apache-2.0
 *
 * The code of simulated workflows: random programs and what runs them. A program is a tree of
 * statements as people write them: sequences, loops, branches, try/catch, try/finally, Promise.all,
 * Promise.race, promises nobody awaits, and the ops of workflows. Its state is plain data without
 * pointers, so that a copy of it is a snapshot.
 *
 * Each place of a program has a *path*: a hash of where it is, also in which round of its loops.
 * What the outside answers can so depend on the place alone. */
#pragma once

#include "base/error.h"
#include "durable/execution.h"

struct dice { /* reproducible random numbers */
    uint64_t state;
};
uint64_t dice_roll(struct dice *d);
uint64_t dice_below(struct dice *d, uint64_t n);
bool dice_percent(struct dice *d, uint64_t percent);
uint64_t mix(uint64_t a, uint64_t b);

enum guest_op { /* the numbers are like those of ops.def */
                GUEST_LOG = 1,
                GUEST_RANDOM = 3,
                GUEST_SQL = 9,
                GUEST_TIMER = 11,
                GUEST_FETCH = 13,
                GUEST_STEP = 24,
                GUEST_EVENT = 26,
                GUEST_CHILD_START = 27,
                GUEST_CHILD_RESULT = 28,
};

enum {
    PROGRAM_NODES_MAX = 64,
    NODE_CHILDREN_MAX = 6,
    GUEST_TASKS_MAX = 48,
    GUEST_DEPTH_MAX = 12,
    GUEST_CALLS_MAX = 400, /* in all; then they fail */
    GUEST_SYNCS_MAX = 400,
    GUEST_NAMES = 2, /* of signals */
};

struct node {
    uint8_t kind; /* enum node_kind in guest.c */
    uint8_t children_len, children[NODE_CHILDREN_MAX];
    uint32_t param;
    bool has_timeout, cancels, goes_on; /* goes_on: whatever fails inside */
};
struct program {
    struct node nodes[PROGRAM_NODES_MAX];
    size_t len;
    /* The same result and effects in whatever order things happen: nothing that depends on chance,
     * time or who comes first. */
    bool is_pure;
};
void program_make(struct program *p, struct dice *d, bool is_pure);

struct guest_call {
    enum guest_op op;
    uint64_t path, in;
    int64_t delay_us;
    uint32_t name, attempts_max;
    bool has_timeout;
};

/* What a program asks for. After is_stopped was set inside of one of these it does nothing more. */
struct guest_host {
    void *ctx;
    uint32_t (*sync)(void *ctx, enum guest_op op, uint64_t path, uint64_t in, uint64_t *ret_value);
    enum err (*call)(void *ctx, const struct guest_call *call, uint32_t *ret_id);
    void (*cancel_call)(void *ctx, uint32_t id);
    void (*finish)(void *ctx, uint32_t status, uint64_t value);
    int64_t (*now_us)(void *ctx);
    bool is_stopped;
};

struct frame {
    uint8_t node, state, pending, failed_index;
    uint32_t join, status;
    uint64_t path, acc, value;
};
struct task {
    bool is_used;
    uint8_t depth, index;
    int16_t parent;
    uint32_t join, wait_id;
    struct frame frames[GUEST_DEPTH_MAX];
};
struct ready {
    int16_t task;
    bool has_outcome, unused; /* no padding: states are compared as bytes */
    uint32_t status;
    uint64_t value;
};
struct guest_made { /* of a call */
    uint64_t path;
    uint64_t has_timeout;
};
struct guest {
    struct task tasks[GUEST_TASKS_MAX];
    struct ready ready[GUEST_TASKS_MAX + 1];
    uint32_t ready_first, ready_len, joins, syncs, calls;
    uint32_t blocked_id; /* all of it stands still until this call is complete */
    struct guest_made made[GUEST_CALLS_MAX + 2]; /* by id */
    bool has_ended;
    bool hit_limit; /* which statement did may depend on the order of things, also if pure */
};

/* Runs the program from its start until it is at rest, ended or stopped. g is zeroed first. */
void guest_start(struct guest *g, const struct program *p, struct guest_host *h);
/* A completion; then runs until it is at rest again. */
void guest_deliver(struct guest *g, const struct program *p, struct guest_host *h, uint32_t id,
                   uint32_t status, struct slice payload);
