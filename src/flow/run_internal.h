/* SPDX-License-Identifier: Apache-2.0
 *
 * What run.c, run_load.c, run_commit.c and run_check.c share. */
#pragma once

#include "base/map.h"
#include "durable/execution.h"
#include "flow/director.h"
#include "flow/run.h"

enum run_stage {
    RUN_PREPARING, /* its version is being loaded */
    RUN_WAITING,   /* for an isolate */
    /* It has one; read from the store is, in this order (run_load.c): */
    RUN_READING_ROW,
    RUN_READING_TAIL,
    RUN_READING_SNAPSHOT,
    RUN_READING_JOURNAL,
    RUN_READING_SIGNALS,
    RUN_ACTIVE,  /* its code runs, or waits in the isolate */
    RUN_LEAVING, /* its last commit is on its way */
    RUN_RESTING, /* something failed: it starts again after a while */
};

enum run_look { LOOK_NONE, LOOK_ROW, LOOK_SIGNALS }; /* what is read of it again (run_look.c) */

struct run {
    struct list member; /* flow->all */
    struct flow *flow;
    struct flow_env *env;
    struct slot *slot;
    struct deployment *deployment; /* the slot has a reference */
    struct prepare prepare;
    struct task task;
    struct dispatch dispatch;
    struct execution_port port;
    enum run_stage stage;
    char id[37];

    /* while it has an isolate */
    struct arena *arena;    /* of row */
    struct durable_row row; /* as it was when it was loaded */
    struct guest *guest;
    struct ask *loading; /* what the stage reads */
    struct bytes saved;  /* the snapshot */
    struct tail tail;    /* named id.attempt */
    bool is_tail_asked;  /* its read is out, or has been answered just now */
    struct ask *ahead;   /* the journal from its query's `first` on, here or on its way */
    size_t ahead_bytes;  /* so much of it at once */
    int64_t journal_len; /* records that the store had */
    bool is_far;         /* the store answers later */
    bool is_behind;      /* the journal was wanted before it was there */

    /* while active */
    uint32_t witness; /* its slot there */
    struct execution *x;
    int64_t signal_last;     /* seq of the newest signal given to x */
    uint32_t awaited_cursor; /* of children that were looked up */
    bool waits_for_others;   /* for an execution that does not know its waiter */
    struct list asks;        /* struct ask: children that are looked at */
    enum run_look look;
    struct ask *looking; /* its read */
    bool looks_at_all, looks_again, look_cancels;
    int64_t look_events;
    bool is_lingering;
    struct list lingering; /* in flow->lingering */
    uint64_t linger_until_ns;
    uint32_t break_id; /* second replay, to find a divergence's line */
    struct execution_divergence divergence;
    struct bytes stack; /* of the failure, in terms of the sources */
    bool is_dropping;   /* the guest is being ended, its failure is none of the code's */
    bool is_broken;     /* what it did cannot be recorded: begin again from the journal */
    bool is_standing;   /* its code runs again when commits have made room */
    bool has_failed;    /* by run_fail() */

    size_t charged; /* to its module, by run_charge() */

    /* commits */
    struct list outbox;   /* struct run_commit, in order; the first may wait at the SQL gate */
    unsigned in_flight;   /* at the store */
    int64_t stored;       /* records */
    struct error failure; /* of a commit, while others are on their way */
    bool says_running;    /* the row does */
    bool is_gated;
    struct sql_gate_wait gate;
    int64_t snapshot_records; /* of the newest snapshot, 0: none */

    bool has_row;        /* it was given: it has just been made */
    bool wants_look;     /* woken while it was not active */
    bool is_stale;       /* something has happened since everything was looked at */
    int64_t events_seen; /* of the row, when everything was looked at */
    unsigned failures;
    struct timer timer;
    struct ask *owning; /* is this server still the owner? */
    struct run_check *check;
    struct bytes result; /* of a check that verifies: how the code ended */
};

struct flow {
    struct flow_env *env;
    struct list all;
    struct map map; /* id -> struct run that may write; checks only read */
    struct list lingering;
    bool is_draining;
    void (*drained)(void *arg);
    void *drained_arg;
};

/* run.c */
struct run *run_find(struct flow *f, struct slice id);
/* Frees it. If it wants a look, the director is asked to wake it again. */
void run_forget(struct run *r);
void run_end_guest(struct run *r);                       /* gives the isolate back */
void run_rest(struct run *r, const struct error *error); /* and again after a while */
void run_settle(struct run *r);                          /* at rest: what now? r may be gone then */
void run_settle_later(struct run *r);                    /* the store cannot be read now */
void run_again(struct run *r);                           /* from the journal, at once */

/* run_load.c */
bool run_start(struct task *t, struct guest *g);
/* Its replay ended for a reason that can pass: it begins again. */
void run_load_broken(struct run *r, const struct error *error);

/* run_look.c */
void run_look(struct run *r, const char *child); /* for what happened to it */
void run_look_for_children(struct run *r);
/* Before it leaves: then is_stale is false and run_settle() is called, or something is new. Perhaps
 * at once, so r may be gone then. */
void run_look_at_all(struct run *r);
void run_look_end(struct run *r); /* its guest goes */
static inline bool run_is_looking(const struct run *r)
{
    return r->look != LOOK_NONE || !list_is_empty(&r->asks);
}
void run_give_signals(struct run *r, const struct store_query *q);

/* run_end.c */
extern const struct dispatch_port run_port;
bool run_stop_replay(struct run *r); /* true: it has diverged, and is being dealt with */
/* An error as the API shows it. */
void run_write_error(struct run *r, const struct error *error, struct slice name,
                     struct slice stack, struct bytes *out);

/* run_commit.c */
/* What it holds beside its isolate is of its module: records that are not stored, and what it was
 * given to begin with. It exists already, so it may pass the limit; newcomers then wait. */
void run_charge(struct run *r);
void run_collect(struct run *r);               /* hands what is new to the store */
void run_suspend(struct run *r);               /* and leaves */
uint64_t run_snapshot_sum(struct slice parts); /* what stands in front of a snapshot */
/* Failed, without a record: the journal stays as it is. */
void run_fail(struct run *r, struct slice error_json);
bool run_is_settled(const struct run *r);
/* There is room again for what its code does, or records to replay. */
void run_go_on(struct run *r, bool pokes);

/* run_check.c */
/* --verify-replay: the journal, replayed elsewhere, must come to the same. */
void run_verify(struct run *r, struct slice expected);
void run_check_stepped(struct run *r, enum guest_status status);
void run_check_differs(struct run *r, const struct error *error);
void run_check_tell(struct run_check *c);
void run_check_over(struct run *r); /* tells whoever asked, forgets the run */
