/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions on an engine thread. A run is an execution that is here: it waits for an
 * isolate, is replayed or resumed from its snapshot, is stepped by the turn, has its records
 * committed, and leaves when it has ended or waits for long. Which thread an execution belongs to
 * follows from its id; the director (control thread) sends wakes, the store holds the truth. */
#pragma once

#include "flow/env.h"
#include "host/guest.h"

struct arena;
struct durable_row;
struct flow;
struct run;

struct flow *flow_new(struct flow_env *env); /* which outlives it */
struct flow_env *flow_env(struct flow *f);   /* any thread */
/* Takes no more, lets what is being committed settle, then calls done. */
void flow_drain(struct flow *f, void (*done)(void *arg), void *arg);
void flow_free(struct flow *f); /* whatever is left is broken off: the journal has it */
/* Isolates are wanted by others: executions that only wait leave earlier. */
void flow_reclaim(struct flow *f);

/* For the turn: a durable guest has been stepped. */
void run_stepped(struct guest *g, enum guest_status status);
/* Likewise: it has used up its slice. False: it has more to be stored than may wait, and is
 * reported runnable when there is room. */
bool run_may_go_on(struct guest *g);
bool run_is_standing(const struct guest *g); /* for that reason */
uint32_t run_witness(const struct guest *g); /* its slot in the witness */

/* ---- messages from the director ---- */

/* Look at execution `id`: it is due, or something happened to it. */
struct run_wake {
    struct post post;
    struct flow *flow;
    struct deployment *deployment; /* of its version; the reference goes with it */
    char id[37];
    char child[37]; /* the one that has ended, "" if none */
};
void run_wake(struct flow *f, struct run_wake *m); /* takes over m, from malloc */
/* On the engine thread: an execution that has just been made, with its row (arena is taken over),
 * which spares reading it. */
void run_begin(struct flow *f, struct deployment *d, const char *id, const struct durable_row *row,
               struct arena *arena);

/* Replays an execution on other code, without going on. The sender owns it until done. */
struct run_check {
    struct post post;
    struct flow *flow;
    struct deployment *deployment;
    char id[37];
    bool migrates;         /* and pins it to that deployment's version if it agrees */
    bool verifies;         /* the state, or the end, must be as expected, too */
    struct bytes expected; /* execution_describe(), or the output or error; bytes_done() */
    void (*done)(struct run_check *c); /* on the control loop */
    void *arg;
    /* out */
    bool agrees;
    bool is_gone; /* it has ended meanwhile */
    int64_t record;
    struct bytes recorded, did, stack; /* bytes_done() */
    struct error error;                /* could not be checked */
};
void run_check(struct flow *f, struct run_check *c);
