/* SPDX-License-Identifier: Apache-2.0
 *
 * What run.c, run_load.c, run_commit.c and run_check.c share. */
#pragma once

#include "durable/execution.h"
#include "server/control.h"
#include "server/director.h"
#include "server/invocation.h"
#include "server/run.h"
#include "server/turn.h"
#include "store/store.h"

enum run_stage {
    RUN_PREPARING, /* its version is being loaded */
    RUN_WAITING,   /* for an isolate */
    RUN_ACTIVE,    /* has an isolate */
    RUN_LEAVING,   /* its last commit is on its way */
    RUN_RESTING,   /* something failed: it starts again after a while */
};

struct run {
    struct list member; /* runs->all */
    struct runs *runs;
    struct worker *worker;
    struct slot *slot;
    struct prepare prepare;
    struct task task;
    struct dispatch dispatch;
    struct execution_port port;
    enum run_stage stage;
    char id[37];
    char tail_name[64]; /* in the module's database: id.attempt */

    /* while active */
    struct arena *arena; /* of row */
    struct durable_row row;
    struct guest *guest;
    uint32_t witness; /* its slot there */
    struct execution *x;
    int64_t signal_last;     /* seq of the newest signal given to x */
    uint32_t awaited_cursor; /* of children that were looked up */
    bool waits_for_others;   /* for an execution that does not know its waiter */
    bool is_lingering;
    struct list lingering; /* in runs->lingering */
    uint64_t linger_until_ns;
    uint32_t break_id; /* second replay, to find a divergence's line */
    struct execution_divergence divergence;
    struct bytes stack; /* of the failure, in terms of the sources */
    bool is_dropping;   /* the guest is being ended, its failure is none of the code's */
    bool is_broken;     /* what it did cannot be recorded: begin again from the journal */
    bool is_standing;   /* its code runs again when commits have made room */
    bool has_failed;    /* by run_fail() */

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
    struct run_check *check;
    struct bytes result; /* of a check that verifies: how the code ended */
};

struct runs {
    struct worker *worker;
    struct list all;
    struct map map; /* id -> struct run that may write; checks only read */
    struct list lingering;
    bool is_draining;
    void (*drained)(void *arg);
    void *drained_arg;
};

/* run.c */
struct run *run_find(struct runs *rs, struct slice id);
/* Frees it. If it wants a look, the director is asked to wake it again. */
void run_forget(struct run *r);
void run_end_guest(struct run *r);                       /* gives the isolate back */
void run_rest(struct run *r, const struct error *error); /* and again after a while */
void run_settle(struct run *r);                          /* at rest: what now? */
void run_again(struct run *r);                           /* from the journal, at once */
NODISCARD enum err run_reader(struct worker *w, struct store_reader **ret_reader,
                              struct error *ret_error);

/* run_load.c */
bool run_start(struct task *t, struct guest *g);
void run_look(struct run *r, const char *child); /* for what happened to it */
void run_look_for_children(struct run *r);
bool run_look_at_all(struct run *r); /* before it leaves; true: nothing new */
bool run_stop_replay(struct run *r); /* true: it has diverged, and is being dealt with */

/* run_commit.c */
void run_collect(struct run *r);               /* hands what is new to the store */
void run_suspend(struct run *r);               /* and leaves */
uint64_t run_snapshot_sum(struct slice parts); /* what stands in front of a snapshot */
/* Failed, without a record: the journal stays as it is. */
void run_fail(struct run *r, struct slice error_json);
/* An error as the API shows it. */
void run_write_error(struct run *r, const struct error *error, struct slice name,
                     struct slice stack, struct bytes *out);
bool run_is_settled(const struct run *r);

/* run_check.c */
/* --verify-replay: the journal, replayed elsewhere, must come to the same. */
void run_verify(struct run *r, struct slice expected);
void run_check_stepped(struct run *r, enum guest_status status);
void run_check_differs(struct run *r, const struct error *error);
void run_check_tell(struct run_check *c);
void run_check_over(struct run *r); /* tells whoever asked, forgets the run */
