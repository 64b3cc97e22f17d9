/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of durable executions: before one that takes something from outside is done, the journal is
 * asked for the answer, and afterwards its answer is recorded. op_table.c does so by the op's class; an
 * op whose row says OWN does it in its handler. In ordinary guests, and inside the body of a step, none of
 * this does anything. Loop thread. */
#pragma once

#include "durable/execution.h"
#include "host/internal.h"

/* Is the op that runs part of what is recorded? */
static inline bool guest_is_recorded(const struct guest *g)
{
    return g->durable && g->scope == 0;
}

/* Before it goes on, what it did is to be stored, or what it will replay to be read. */
static inline bool guest_is_to_stand(const struct guest *g)
{
    return g->durable &&
           (execution_is_full(g->durable->execution) || execution_is_behind(g->durable->execution));
}

/* One slice of code that records without rest is no more than a commit, and a copy, that others wait for. */
static inline bool guest_ends_slice(const struct guest *g)
{
    return g->durable && (guest_is_to_stand(g) || execution_has_much(g->durable->execution));
}

/* A synchronous op. Rows that are not OWN get all of this from op_table.c. */
struct recording {
    struct guest *guest; /* NULL: nothing is recorded */
    enum op_number op;
    uint64_t digest;
    struct slice label;
    bool is_tail; /* replayed, but its effects are to be stored again */
};

/* args: of the op. True: the answer is known and in g->result, or it is refused: return *ret_err; false:
 * do it, then recording_done(). */
bool recording_replays(struct guest *g, struct recording *r, enum op_number op, const void *args,
                       struct slice label, enum err *ret_err);
/* The same for an op that must not be refused for how much its execution has to store. */
bool recording_replays_always(struct guest *g, struct recording *r, enum op_number op,
                              const void *args, struct slice label, enum err *ret_err);
/* Records g->result, or the error, and returns err. */
enum err recording_done(struct recording *r, enum err err);
/* Records this instead of the result that the code gets. */
void recording_done_as(struct recording *r, struct slice payload);

/* An asynchronous op, as its op_NAME_call() describes it. */
struct op_call {
    struct execution_call call; /* kind, and what goes with that; the rest is filled in */
    struct bytes label;         /* if none of its fields is it */
    struct bytes more;          /* of the result, after the number of the call */
};
/* Appends the call's number, of a step its scope, and what is more, to g->result. */
NODISCARD enum err recording_call(struct guest *g, struct op_call *c, const void *args);

/* What its records are recognized by: the number, and those fields that say what is done. args: those of
 * the op, or the union. */
uint64_t recording_digest(enum op_number op, const void *args);

/* What the replay found instead of what the journal says; sets g->op_error. */
enum err recording_diverged(struct guest *g);
