/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops of durable executions: a handler in op_*.c that takes something from outside asks here first
 * whether the journal knows the answer, and afterwards has its answer recorded. In ordinary guests,
 * and inside the body of a step, none of this does anything. Loop thread. */
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

/* A synchronous op. */
struct recording {
    struct guest *guest; /* NULL: nothing is recorded */
    uint32_t op;
    uint64_t digest;
    struct slice label;
    bool is_tail; /* replayed, but its effects are to be stored again */
};

/* args: what the call is recognized by, ended by SLICE_END. True: the answer is known and in
 * g->result, return *ret_err; false: do it, then recording_done(). */
bool recording_replays(struct guest *g, struct recording *r, enum op_number op, struct slice label,
                       enum err *ret_err, size_t args_len, const struct slice *args);
#define RECORDING_ARGS(...)                                                                        \
    (sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice)), (struct slice[])               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
/* Records g->result, or the error, and returns err. */
enum err recording_done(struct recording *r, enum err err);
/* Records this instead of the result that the code gets. */
void recording_done_as(struct recording *r, struct slice payload);
/* The bytes of a number, as an argument. */
#define RECORDING_VALUE(v) slice_of((const char *)&(v), sizeof(v))

/* An asynchronous op: fills in digest and number, appends the call's number to g->result. */
NODISCARD enum err recording_call(struct guest *g, struct execution_call *call, uint32_t *ret_scope,
                                  size_t args_len, const struct slice *args);

/* What the replay found instead of what the journal says; sets g->op_error. */
enum err recording_diverged(struct guest *g);
