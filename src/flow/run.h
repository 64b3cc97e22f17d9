/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions on an engine thread: the first kind of activations. A run is an execution that is
 * here: replayed or resumed from its snapshot, stepped by the turn, its records committed. The director
 * (control thread) sends wakes, the store holds the truth. */
#pragma once

#include "flow/activation.h"

#define RUN_SPACE "execution" /* of keys: ids */

struct arena;
struct durable_row;

/* Look at execution `id`: it is due, or something happened to it. */
struct run_wake {
    struct post post;
    struct flow *flow;
    struct deployment *deployment; /* of its version; the reference goes with it */
    char id[ACTIVATION_KEY_BYTES];
    char child[ACTIVATION_KEY_BYTES]; /* the one that has ended, "" if none */
};
void run_wake(struct flow *f, struct run_wake *m); /* any thread; takes over m, from malloc */
/* On the engine thread: an execution that has just been made, with its row (arena is taken over),
 * which spares reading it. */
void run_begin(struct flow *f, struct deployment *d, const char *id, const struct durable_row *row,
               struct arena *arena);

/* Replays an execution on other code, without going on. The sender owns it until done. */
struct run_check {
    struct post post;
    struct flow *flow;
    struct deployment *deployment;
    char id[ACTIVATION_KEY_BYTES];
    bool migrates;         /* and pins it to that deployment's version if it agrees */
    bool verifies;         /* the state, or the end, must be as expected, too: */
    int64_t records;       /* that of so many */
    struct bytes expected; /* execution_describe(), or the output or error; bytes_done() */
    void (*done)(struct run_check *c); /* on the control loop */
    void *arg;
    /* out */
    bool agrees;
    bool is_gone; /* it has ended, or gone on, meanwhile */
    int64_t record;
    struct bytes recorded, did, stack; /* bytes_done() */
    struct error error;                /* could not be checked */
};
void run_check(struct flow *f, struct run_check *c); /* any thread */
