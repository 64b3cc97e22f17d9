/* SPDX-License-Identifier: Apache-2.0
 *
 * One durable execution: the rules by which ordinary code, run again from its start, arrives at the
 * same place with the same results. Rules only: no socket, no SQL, no guest, no thread. The host
 * (host/op.c, host/op_durable.c) reports what the code calls, the server (flow/run.c) reports
 * events and commits what the execution wants stored; tests/unit/durable simulates both.
 *
 * The idea. Code is deterministic but for what it learns from outside: results of synchronous ops
 * (SYNC), and the order and results in which asynchronous calls complete (DONE). The code runs
 * until nothing is runnable, then is given exactly one delivery by execution_next(), and runs
 * again. Each of these is a record. On replay records take the place of the outside: synchronous
 * ops are answered from them, and deliveries are made in their order. When they are used up, the
 * execution is live: calls that have no completion yet are started (again), and what arrives is
 * delivered in the order of arrival and recorded.
 *
 * Time stands still while code runs: it is the at_us of the last delivery (execution_now_us()), so
 * reading the clock needs no record, and deadlines are computed from it equally on each replay.
 *
 * Output commit. A record is not durable when the code sees it; whatever leaves the process (an
 * outgoing request, a final result) must wait until execution_durable() has reached the
 * execution_end() of the moment when it was asked for. Records go to the store in batches
 * (execution_take()), at most once a turn.
 *
 * Steps. A step's body runs in a scope (1..65535). Ops inside a scope are the host's business and
 * never recorded; the step's own completion is one record. Failed attempts are recorded as ATTEMPT,
 * so that counts and delays survive a restart.
 *
 * Tail. Records that are durable in the module's own database but not yet in the store (host's SQL
 * ops write them in the user's transaction) come after the stored ones on replay; because their
 * mutations may not have been stored, they are appended to the next batch again, mutations
 * included.
 *
 * One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"
#include "durable/record.h"

struct execution;

enum {
    EXECUTION_CALLS_MAX = 10000,                 /* pending at once: ERR_LIMIT_OPS */
    EXECUTION_RECORDS_MAX = 10 * 1000 * 1000,    /* in one journal: ERR_LIMIT */
    EXECUTION_VALUE_BYTES_MAX = 4 * 1024 * 1024, /* one result or argument: ERR_TOO_LARGE */
    EXECUTION_CHUNK_BYTES = 256 * 1024,          /* read from the store at once */
    EXECUTION_SLICE_BYTES =
        1024 * 1024, /* of records and effects that are not taken to be stored */
    /* Of records and effects that are not stored: above this nothing is delivered, and code that
     * runs is to stand still until some are (execution_is_full). */
    EXECUTION_UNSTORED_BYTES_MAX = 8 * 1024 * 1024,
    /* Where it cannot stand still, in a transaction, ops are refused from here on. */
    EXECUTION_UNSTORED_BYTES_LIMIT = 64 * 1024 * 1024,
};
_Static_assert(EXECUTION_UNSTORED_BYTES_MAX >= 2 * EXECUTION_VALUE_BYTES_MAX,
               "one value never fills it");
_Static_assert(EXECUTION_UNSTORED_BYTES_LIMIT >= 2 * EXECUTION_UNSTORED_BYTES_MAX,
               "code that stands still in time is refused nothing");
#define EXECUTION_NEVER INT64_MAX
#define EXECUTION_LATER (-1)

/* What the execution asks of its surroundings. Called from inside the functions below. */
struct execution_port {
    void *ctx;
    int64_t (*now_us)(void *ctx); /* wall clock */
    /* Appends stored records from number `first` on to out, about EXECUTION_CHUNK_BYTES; count 0:
     * there are no more; EXECUTION_LATER: they are not here yet. Then execution_next() has nothing
     * until it is called again when they are. */
    enum err (*read)(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                     struct error *ret_error);
    /* Are those from number `first` on at hand? NULL: always. See execution_is_behind(). */
    bool (*has)(void *ctx, int64_t first);
    /* Live: do an EXECUTION_EXTERNAL call now; execution_arrive() when it is done. args as given to
     * execution_call(), borrowed for the call. */
    void (*start)(void *ctx, uint32_t id, uint32_t op, struct slice args);
    void (*stop)(void *ctx, uint32_t id); /* its result is not wanted any more */
    /* The attempt that ran in this scope is over (time-out, cancel): end what still runs in it. */
    void (*scope_over)(void *ctx, uint32_t scope);
    /* Something happened outside of a run of the code: execution_next() may have a delivery, or
     * execution_has_batch() has become true. */
    void (*runnable)(void *ctx);
    /* Names an op in messages about divergences: "step". May be NULL: numbers are shown. */
    const char *(*op_text)(uint32_t op);
};

struct execution_config {
    const struct execution_port *port; /* must outlive it */
    struct slice id;                   /* copied */
    int64_t started_us;                /* becomes record 0's time if the journal is empty */
    int64_t stored;                    /* records in the store now */
    struct slice tail;                 /* records that follow them (see above); copied */
    int64_t tail_first;                /* number of the tail's first; may be below `stored` */
    bool is_check;                     /* replay only: never go live */
    uint32_t break_id;                 /* not 0: execution_call() that would get this id answers
                                          ERR_DIVERGED, so that the caller can take its stack */
};

struct execution *execution_new(const struct execution_config *config);
void execution_free(struct execution *x); /* NULL is allowed; calls no port function */

/* ---- what the code calls (never from inside a scope, except the two of steps) ---- */

struct execution_result {
    uint32_t status;      /* 0 or enum err; then payload is the message */
    struct slice payload; /* borrowed until the next call of any function here */
};

enum execution_answer {
    EXECUTION_LIVE,     /* do it, then execution_sync_done() */
    EXECUTION_REPLAYED, /* *ret_result is its result; do nothing */
    EXECUTION_DIVERGED, /* end the guest: the execution is in one of the final states below */
};
/* A synchronous op. LIVE also makes a replay whose records are used up go live: pending calls are
 * started inside. DIVERGED is also what a check answers when its records are used up (AGREED), and
 * what follows execution_finish(). In replay of a tail record (execution_is_tail() is true right
 * after) mutations that belong to the op are to be added again. */
enum execution_answer execution_sync(struct execution *x, uint32_t op, uint64_t digest,
                                     struct slice label, struct execution_result *ret_result);
void execution_sync_done(struct execution *x, uint32_t op, uint64_t digest, struct slice label,
                         uint32_t status, struct slice payload);
/* Takes back the record of the last execution_sync_done(), which nobody has seen yet. */
void execution_sync_undo(struct execution *x);
bool execution_is_tail(
    const struct execution *x); /* of the last execution_sync() that was REPLAYED */

enum execution_kind {
    EXECUTION_EXTERNAL,     /* started by the port when live */
    EXECUTION_TIMER,        /* completes delay_us after now, with an empty payload */
    EXECUTION_STEP,         /* runs in a scope when live */
    EXECUTION_EVENT,        /* a signal named `name`; after delay_us ERR_TIMEOUT */
    EXECUTION_CHILD_RESULT, /* the end of execution `name` */
};

struct execution_retry {
    uint32_t attempts_max; /* in all; 0: without end */
    int64_t delay_us;      /* before the second attempt */
    double factor;         /* of the delay, each time; 0: it grows by delay_us each time */
    int64_t delay_max_us;  /* EXECUTION_NEVER: none */
    int64_t timeout_us;    /* of one attempt; EXECUTION_NEVER: none */
};

struct execution_call {
    enum execution_kind kind;
    uint32_t op;
    uint64_t digest;
    struct slice label; /* copied */
    struct slice args;  /* EXTERNAL; copied while it is not complete */
    int64_t delay_us;   /* TIMER, EVENT; EXECUTION_NEVER: none */
    struct slice name;  /* EVENT: of the signal; CHILD_RESULT: the child's id; STEP: the step's */
    struct execution_retry retry; /* STEP */
};
/* An asynchronous op: id is the number of the call. *ret_scope (STEP only): not 0 when the body is
 * to run right now in this scope; 0: a delivery RUN comes. ERR_LIMIT_OPS, ERR_TOO_LARGE, ERR_LIMIT,
 * or ERR_DIVERGED (see break_id). */
NODISCARD enum err execution_call(struct execution *x, const struct execution_call *call,
                                  uint32_t *ret_id, uint32_t *ret_scope, struct error *ret_error);
/* The code gave up a call (clearTimeout, AbortSignal): it completes with ERR_CANCELLED before
 * anything else is delivered, without a record, since replay does the same. */
void execution_cancel_call(struct execution *x, uint32_t id);

/* The body of a step has ended. Stale scopes (timed out, cancelled) are ignored. status 0: payload
 * is the value. Else payload is the error value and message its text; is_final: do not retry. */
void execution_step_done(struct execution *x, uint32_t scope, uint32_t status, bool is_final,
                         struct slice payload, struct slice message);
/* The id of the step that runs in the scope; 0: none. */
uint32_t execution_scope_step(const struct execution *x, uint32_t scope);

/* The code has ended: status 0 and its output (JSON), or enum err and an error (JSON). Appends END.
 * In replay nothing may be left of the journal (else it diverged). */
void execution_finish(struct execution *x, uint32_t status, struct slice value);

/* ---- deliveries ---- */

struct execution_delivery {
    enum { EXECUTION_DONE, EXECUTION_RUN, EXECUTION_CANCEL } kind;
    uint32_t id;
    uint32_t status;         /* DONE */
    struct slice payload;    /* DONE; borrowed until the next call of any function here */
    uint32_t scope, attempt; /* RUN; attempt counts from 1 */
};
/* A synchronous op cannot wait for records that are read later, so whoever runs the code has it stand
 * still when this is true, some records before the end of what is here, until they have come. Where
 * that was too late (failed attempts are records, too, and passed over) the execution is BROKEN by
 * ERR_UNAVAILABLE: begin again with more of the journal at hand. */
bool execution_is_behind(const struct execution *x);

/* The code is at rest: what shall it learn next? False: nothing now; see execution_state(). */
bool execution_next(struct execution *x, struct execution_delivery *ret_delivery);

/* The code stands still inside a call that it waits for: has that completed? Nothing else is
 * delivered meanwhile. False: not yet; see execution_state(). */
bool execution_next_of(struct execution *x, uint32_t id, struct execution_delivery *ret_delivery);

enum execution_state {
    EXECUTION_REPLAYING,
    EXECUTION_IS_LIVE,
    EXECUTION_AGREED, /* is_check: the journal is used up */
    EXECUTION_HAS_DIVERGED,
    EXECUTION_BROKEN,   /* the journal cannot be read: execution_error() */
    EXECUTION_FINISHED, /* execution_finish() was called */
};
enum execution_state execution_state(const struct execution *x);
const struct error *execution_error(const struct execution *x);

struct execution_divergence {
    int64_t record; /* number */
    uint32_t id;    /* of the call whose stack would tell the source line; 0: the code has ended, or
                       stands in the execution_sync() that answered DIVERGED */
    char recorded[320]; /* "step \"charge\"" */
    char did[320];      /* "step \"refund\"", "returned" */
};
const struct execution_divergence *execution_divergence(const struct execution *x);

/* ---- events from outside; any of them may be early, late or doubled ---- */

void execution_arrive(struct execution *x, uint32_t id, uint32_t status, struct slice payload);
/* Signals are delivered in the order of their seq, each once; one that was seen already (its seq
 * is not above the last) is ignored. Only signals that the store still has may be passed, in order,
 * and after a restart all of them again. They are kept until consumed: who accepts them bounds
 * them. data: JSON. */
void execution_signal(struct execution *x, int64_t seq, int64_t at_us, struct slice name,
                      struct slice data);
/* status 0: payload is the child's output, else its error (JSON). Ignored when live unless a call
 * waits for that child: so before an execution leaves memory, who has not looked up a child since
 * it is awaited must do so. */
void execution_child_done(struct execution *x, struct slice child, uint32_t status,
                          struct slice payload);
/* Children whose result the code waits for, when live, one after the other: cursor 0 first; false:
 * no more. A cursor that is kept gives only those that are awaited since. */
bool execution_awaited_child(const struct execution *x, uint32_t *cursor, struct slice *ret_child);
/* Someone wants it to end: all pending calls complete with ERR_CANCELLED once the code has been
 * told (a delivery CANCEL, recorded). Once; later calls do nothing. */
void execution_cancel(struct execution *x);
bool execution_is_cancelled(const struct execution *x); /* told */
/* Fires what is due by port->now_us(). */
void execution_tick(struct execution *x);
int64_t execution_wake_us(const struct execution *x); /* next deadline; EXECUTION_NEVER */

/* ---- time, places ---- */

int64_t execution_now_us(const struct execution *x); /* what the code's clock shows */
struct slice execution_id(const struct execution *x);
int64_t execution_end(const struct execution *x);     /* records that exist, stored or not */
int64_t execution_durable(const struct execution *x); /* records known to be stored */
/* Records that neither the store nor the module's own database has yet; number of the first. */
struct slice execution_tail(const struct execution *x, int64_t *ret_first);
void execution_kept(struct execution *x); /* the module's database has them now, committed */
/* Live, and nothing runs or is due: no external call, no step body, nothing arrived. It then waits
 * only for a deadline, a signal or a child, and may leave memory. */
bool execution_is_idle(const struct execution *x);
/* The place and every pending call, as text: at rest, equal after a replay (describe.c). */
void execution_describe(const struct execution *x, struct bytes *out);
bool execution_waits_for_events(const struct execution *x); /* a signal or a child is awaited */
size_t execution_calls(const struct execution *x);          /* pending */

/* ---- what is to be stored ---- */

enum execution_effect_kind {
    EXECUTION_START_CHILD, /* target: workflow, name: key or "", value: input; id: the child's id */
    EXECUTION_SEND_SIGNAL, /* target: execution, name, value: data; id: makes it one */
    EXECUTION_CANCEL_CHILD, /* target: execution */
    EXECUTION_PUBLISH,      /* value: progress */
    EXECUTION_LOG,          /* level; value: text */
    EXECUTION_KV_PUT, /* number: of the KV namespace; name: key, value; target: metadata; at_us: expires, in
                               seconds */
    EXECUTION_KV_DELETE, /* number, name */
};
struct execution_effect {
    enum execution_effect_kind kind;
    struct slice target, name, value, id;
    int level;
    int64_t at_us, number;
};
/* Adds an effect that is stored with the records made so far; copied. Only when LIVE, or in the
 * replay of a tail record; log lines always: their caller knows which are stored. Of progress the
 * last is kept. */
void execution_effect(struct execution *x, const struct execution_effect *effect);
/* Records and effects that are not stored, taken or not, with what they take beside their bytes. */
size_t execution_unstored_bytes(const struct execution *x);
/* Whoever runs the code has it stand still as soon as it can, stores what there is, and lets it go
 * on when execution_committed() has made room. */
/* There is enough for a commit: code that runs makes way for it. */
bool execution_has_much(const struct execution *x);
bool execution_is_full(const struct execution *x);
/* It could not: nothing more that would be recorded may be begun. */
bool execution_is_overfull(const struct execution *x);

struct execution_batch {
    int64_t first, count;
    struct bytes records;
    const struct execution_effect *effects;
    size_t effects_len;
    const int64_t *signals; /* seqs consumed */
    size_t signals_len;
    bool is_cancel;      /* has CANCEL: children are to be told, too */
    bool is_end;         /* has END: */
    uint32_t end_status; /* as for execution_finish() */
    struct bytes end_value;
    size_t effect_bytes; /* for execution_committed() */
    void *internal;
};
bool execution_has_batch(const struct execution *x);
/* All that is new since the last take. Several may be on their way at once, in order. */
struct execution_batch *execution_take(struct execution *x);
void execution_batch_free(struct execution_batch *b);
/* A batch is stored: everything up to record `end`, and its effects. */
void execution_committed(struct execution *x, int64_t end, size_t effect_bytes);

/* ---- snapshots: the execution's own state beside the guest's memory ---- */

/* Only when idle and everything has been taken. It is the state after all records: to be stored
 * with them or later. */
void execution_save(const struct execution *x, struct bytes *out);
/* As execution_new() followed by the replay of what was saved, live if nothing is stored after it.
 * ERR_CORRUPT, or ERR_CONFLICT: it belongs to a later journal or another format. */
NODISCARD enum err execution_restore(const struct execution_config *config, struct slice saved,
                                     struct execution **ret_execution, struct error *ret_error);
