/* SPDX-License-Identifier: Apache-2.0
 *
 * Executions of workflows as activations: what their files share.
 *
 *     run.c          the kind: rest, deadlines, how it comes and goes
 *     run_load.c     READING, and the journal while it is replayed
 *     run_look.c     what happened to it while it was here
 *     run_end.c      how its code ends, and a replay that does not agree
 *     run_commit.c   from what is to be stored to commits
 *     run_check.c    the other kind: a replay on other code, or to verify one */
#pragma once

#include "durable/execution.h"
#include "flow/activation.h"
#include "flow/director.h"
#include "flow/run.h"

enum run_reading {
    READ_ROW, /* from the start */
    READ_TAIL,
    READ_SNAPSHOT,
    READ_JOURNAL,
    READ_SIGNALS,
};

enum run_look { LOOK_NONE, LOOK_ROW, LOOK_SIGNALS }; /* what is read of it again (run_look.c) */

struct run {
    struct activation a;
    struct dispatch dispatch;
    struct execution_port port;

    /* while it has an isolate */
    enum run_reading reading;
    struct arena *arena;    /* of row */
    struct durable_row row; /* as it was when it was loaded */
    struct ask *loading;    /* what the stage reads */
    struct bytes saved;     /* the snapshot */
    struct tail tail;       /* named id.attempt; owner: NULL while it is not asked for */
    struct ask *ahead;      /* the journal from its query's `first` on, here or on its way */
    size_t ahead_bytes;     /* so much of it at once */
    int64_t journal_len;    /* records that the store had */
    bool is_far;            /* the store answers later */
    bool is_behind;         /* the journal was wanted before it was there */

    /* while its code runs */
    struct execution *x;
    int64_t signal_last;     /* seq of the newest signal given to x */
    uint32_t awaited_cursor; /* of children that were looked up */
    bool is_bound;           /* to an execution that does not know its waiter */
    struct list asks;        /* struct ask: children that are looked at */
    enum run_look look;
    struct ask *looking;    /* its read */
    bool looks_at_all;      /* children, too */
    int64_t look_events;    /* of the row that it has read, */
    bool look_cancels;      /* which asks to cancel */
    int64_t look_again_us;  /* something could not be read; INT64_MAX: everything was */
    unsigned look_failures; /* in a row */
    uint32_t break_id;      /* second replay, to find a divergence's line */
    struct execution_divergence divergence;
    struct bytes stack;   /* of the failure, in terms of the sources */
    struct error trouble; /* what it did cannot be recorded: again from the journal; OK: none */

    size_t charged;           /* to its module, by run_charge() */
    int64_t stored;           /* records */
    bool says_running;        /* the row does */
    int64_t snapshot_records; /* of the newest snapshot, 0: none */
    int64_t events_seen;      /* of the row, when everything was looked at */
    struct ask *owning;       /* is this server still the owner? */

    struct run_check *check; /* NULL: it is not one */
    struct bytes result;     /* of a check that verifies: how the code ended */
};

static inline struct run *run_of(struct activation *a)
{
    return container_of(a, struct run, a);
}

/* run.c */
extern const struct activation_kind run_kind;
struct run *run_new(struct flow *f, const struct activation_kind *kind, struct deployment *d,
                    const char *id, bool is_writer);
void run_rest(struct activation *a, struct activation_rest *ret_rest);
enum activation_next run_tick(struct activation *a);
void run_gone(struct activation *a);

/* run_load.c */
void run_enter(struct activation *a);
enum activation_next run_read(struct activation *a, struct error *ret_error);
void run_started(struct activation *a);
void run_exit(struct activation *a);
/* Its replay ended for a reason that can pass: NEXT_AGAIN or NEXT_RETRY. */
enum activation_next run_load_broken(struct run *r);

/* run_look.c */
void run_woken(struct activation *a, const char *child);
void run_look_for_children(struct activation *a);
void run_look_at_all(struct activation *a);
void run_look_again(struct run *r); /* it is time to; then activation_settle() */
void run_look_end(struct run *r);   /* its guest goes */
static inline bool run_is_looking(const struct run *r)
{
    return r->look != LOOK_NONE || !list_is_empty(&r->asks);
}
void run_give_signals(struct run *r, const struct store_query *q);

/* run_end.c */
extern const struct dispatch_port run_port;
/* Has it diverged, or met what it cannot read? NEXT_REST: no. */
enum activation_next run_stop_replay(struct run *r, struct error *ret_error);
/* An error as the API shows it. */
void run_write_error(struct run *r, const struct error *error, struct slice name,
                     struct slice stack, struct bytes *out);

/* run_commit.c */
/* What it holds beside its isolate is of its module: records that are not stored, and what it was
 * given to begin with. It exists already, so it may pass the limit; newcomers then wait. */
void run_charge(struct run *r);
void run_collect(struct activation *a);
void run_leave(struct activation *a);
bool run_may_go_on(struct activation *a);
bool run_has_to_stand(struct activation *a);
void run_submit(struct activation *a, struct activation_commit *c);
void run_stored(struct activation *a, struct activation_commit *c);
void run_drop(struct activation_commit *c);
void run_fail(struct activation *a, const struct error *error);
uint64_t run_snapshot_sum(struct slice parts); /* what stands in front of a snapshot */
/* Failed, without a record: the journal stays as it is. */
void run_push_failure(struct run *r, struct slice error_json);

/* run_check.c */
/* --verify-replay: the journal, replayed elsewhere, must come to the same. */
void run_verify(struct run *r, int64_t records, struct slice expected);
void run_check_differs(struct run *r, const struct error *error);
