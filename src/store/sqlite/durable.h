/* SPDX-License-Identifier: Apache-2.0
 *
 * The row of a durable execution as the writer changes it: loaded, changed in memory, saved. Saving
 * finds the cheapest statement and keeps the counts, so no mutation thinks about indexes. Writer
 * thread, inside a transaction. */
#pragma once

#include "store/sqlite/apply.h"

#define DURABLE_NEVER INT64_MAX

struct durable_state {
    int64_t seq, function_id, version;
    enum durable_status status;
    bool is_paused, is_cancel_requested, has_waiters;
    int64_t records, events, signals_last, signals_waiting, wake_us, attempt, started_us,
        finished_us, lines, namespace_id;
    int64_t bytes;             /* on the disk, as of the row */
    int64_t grown;             /* ... and what was appended since */
    struct durable_kept *kept; /* its place in the writer's memory; NULL: none */
};

/* Place of a record in table journal. */
static inline int64_t durable_place(int64_t seq, int64_t record)
{
    return (seq << STORE_JOURNAL_BITS) + record;
}

/* First row of a statement that gives such rows; seq 0: none. */
NODISCARD enum err durable_query(struct writer *w, int stmt, const struct db_param *params,
                                 struct durable_state *ret_state, struct error *ret_error);
/* Finds one whose function is not deleted; seq 0: there is none. */
NODISCARD enum err durable_look(struct writer *w, struct slice id, struct durable_state *ret_state,
                                struct error *ret_error);
/* Likewise; ERR_NOT_FOUND. */
NODISCARD enum err durable_find(struct writer *w, struct slice id, struct durable_state *ret_state,
                                struct error *ret_error);
enum err durable_finished_error(struct slice id, const struct durable_state *state,
                                struct error *ret_error);
/* Asks all that it has started and that have not ended to end. */
NODISCARD enum err durable_cancel_children(struct writer *w, struct slice parent,
                                           struct error *ret_error);
/* Forgets the rows that the writer's memory has: the running transaction, or part of it, is undone, or a
 * function is deleted. */
void durable_forget(struct writer *w);
/* Between transactions: if there are too many. */
void durable_forget_many(struct writer *w);
/* Counts anew what hangs on it. */
NODISCARD enum err durable_measure(struct writer *w, struct durable_state *state,
                                   struct error *ret_error);
/* Its snapshot goes, if it has one. */
NODISCARD enum err durable_drop_snapshot(struct writer *w, struct durable_state *state,
                                         struct error *ret_error);
NODISCARD enum err durable_save(struct writer *w, const struct durable_state *before,
                                const struct durable_state *after, struct error *ret_error);

/* A new row with its texts. state has version, function and counters; its seq is chosen here unless it was
 * before.
 * *ret_is_new false: there is one with this id already, nothing was written. One of a deleted
 * function makes room. */
struct durable_texts {
    struct slice id, parent, export_name, key, input, metadata, progress;
    int64_t created_us;
};
NODISCARD enum err durable_add(struct writer *w, struct durable_state *state,
                               const struct durable_texts *texts, bool *ret_is_new,
                               struct error *ret_error);
/* The workflow that is to run, with a version. ERR_NOT_FOUND, ERR_NOT_READY. */
NODISCARD enum err durable_workflow(struct writer *w, struct slice name,
                                    struct apply_function *ret_function, struct error *ret_error);
/* Takes a row away; what hangs on it goes in steps (tidy_durable.c). */
NODISCARD enum err durable_remove(struct writer *w, int64_t seq, struct error *ret_error);

/* An event for an execution: if it sleeps it becomes due. In memory. */
void durable_wake(struct durable_state *state);
/* The end of an execution, or its removal, is an event for its parent and who else waits for it. */
NODISCARD enum err durable_notify(struct writer *w, const struct durable_state *ended,
                                  struct error *ret_error);
/* Removes what nobody needs after its end: the snapshot, and the signals of a completed one. Those
 * of one that failed or was cancelled stay: a retry goes on with them. */
NODISCARD enum err durable_clear(struct writer *w, struct durable_state *state,
                                 struct error *ret_error);
/* Adds a signal, or asks to cancel when the name is empty. *ret_seq: of the signal; a repeated one
 * has that of the first. state: of the receiver, unfinished; the caller saves it. */
NODISCARD enum err durable_receive(struct writer *w, struct durable_state *state,
                                   const struct durable_message *message, int64_t *ret_seq,
                                   struct error *ret_error);
/* How many bytes a chunk and a signal count for. */
int64_t durable_chunk_bytes(struct slice records);
int64_t durable_signal_bytes(struct slice name, struct slice data);
NODISCARD enum err durable_append(struct writer *w, int64_t seq, int64_t first, int64_t count,
                                  struct slice records, struct error *ret_error);

/* ---- steps (durable_commit.c) ---- */

/* The execution whose steps are applied. */
struct durable_step {
    struct slice id;
    struct durable_state state; /* as it will be saved */
    size_t done;                /* steps that have been applied */
};
/* Applies the mutation's steps in order. */
NODISCARD enum err durable_steps(struct writer *w, struct durable_step *c, const struct mutation *m,
                                 struct error *ret_error);
#define STEP(KIND, name, guard, fields)                                                            \
    NODISCARD enum err step_##name(struct writer *w, struct durable_step *c,                       \
                                   const struct store_step *s, struct error *ret_error);
#include "store/mutations.def"
