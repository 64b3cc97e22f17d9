/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations: what has a key and is live in at most one place. One is placed on an engine thread by
 * its key, brought in when it is due, run, at rest while work is near, stored, gone. What it is, is
 * its kind's business (struct activation_kind); when it does what is decided here, by one step
 * function over named states (activation.c).
 *
 *     absent -> PREPARING -> QUEUED -> READING -> RUNNING <-> AT_REST -> LEAVING -> absent
 *
 * The store has the truth: everything here may be lost at any instruction. What it does is handed to
 * the store as commits, in order; one that is refused voids what came after it.
 *
 * All of it is for the engine thread, but where it says otherwise. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "flow/due.h"
#include "flow/env.h"

struct activation;
struct flow;

enum activation_state {
    ACTIVATION_PREPARING, /* its code is made ready */
    ACTIVATION_QUEUED,    /* for an isolate */
    ACTIVATION_READING,   /* what it is made of */
    ACTIVATION_RUNNING,   /* its code runs, or waits for something external */
    ACTIVATION_STANDING,  /* its code stands still until commits are answered or records are here */
    ACTIVATION_AT_REST,   /* with its isolate, until a time or an event */
    ACTIVATION_LEAVING,   /* without one; its last commits are on their way */
    ACTIVATION_FAILING,   /* likewise, and the last one says that it has failed */
    ACTIVATION_PAUSING,   /* something failed: it begins again when it is due */
};

/* What happened to it that its code may not know. */
enum activation_news {
    NEWS_NONE,
    NEWS_IN_PART, /* it is being looked at, or was in part: all of it before it leaves */
    NEWS_UNSEEN,
};

enum activation_next {
    NEXT_READ,  /* READING goes on */
    NEXT_WAIT,  /* for an answer: activation_read_on() */
    NEXT_RUN,   /* its guest has something to run */
    NEXT_LEAVE, /* it is not wanted here */
    NEXT_RETRY, /* the error is set: PAUSING */
    NEXT_AGAIN, /* at once from the start */
    NEXT_STAY,  /* nothing is to be decided now */
    NEXT_REST,  /* it has come to rest: at rest, or gone with its last records */
    NEXT_END,   /* its code has ended: what is new is its last */
    NEXT_FAIL,  /* its last commit is pushed: it has failed */
};

/* What its rest looks like. */
struct activation_rest {
    bool is_idle;    /* nothing external is under way: it may leave */
    bool waits;      /* for events: more may come soon */
    bool is_bound;   /* only memory knows what it waits for: it stays */
    bool is_looking; /* something is being looked at: decided after that */
    int64_t due_us;  /* INT64_MAX: never */
};

/* A commit on its way: the first member of the kind's own. */
struct activation_commit {
    struct list link; /* activation->outbox */
    struct store_op op;
    struct activation *activation;
    int64_t gate_seq; /* of the module's database: not stored before that is on disk; 0: none */
};

struct activation_kind {
    const char *text;  /* "execution" */
    const char *space; /* whose key it has: that of executions, for a check of one, too */
    bool is_once;      /* what fails is told and gone, not tried again */

    /* READING begins: it has an isolate, and nothing that happened before is news. */
    void (*enter)(struct activation *a);
    /* One step of it: NEXT_READ, _WAIT, _RUN, _LEAVE, _RETRY, _AGAIN. */
    enum activation_next (*read)(struct activation *a, struct error *ret_error);
    void (*started)(struct activation *a); /* it is RUNNING since NEXT_RUN */
    /* Its code has been stepped. NEXT_STAY, _REST, _END, _LEAVE, _RETRY, _AGAIN. */
    enum activation_next (*stepped)(struct activation *a, enum guest_status status,
                                    struct error *ret_error);
    /* It has used up a slice. False: it has to stand still. */
    bool (*may_go_on)(struct activation *a);
    bool (*has_to_stand)(struct activation *a); /* still? */
    void (*rest)(struct activation *a, struct activation_rest *ret_rest);
    /* Its time has come, perhaps. NEXT_REST; NEXT_STAY: it settles later, or has. */
    enum activation_next (*tick)(struct activation *a);
    /* Hands what is new to the store. */
    void (*collect)(struct activation *a);
    /* The same with what it needs to come back; it leaves. */
    void (*leave)(struct activation *a);
    /* Something happened to it; `about`: the key of somebody, or "". Then activation_settle(). */
    void (*woken)(struct activation *a, const char *about);
    /* Before it leaves: all that may have happened. Then activation_settle(). */
    void (*look_at_all)(struct activation *a);
    /* Its isolate goes: so does what is being read or looked at. */
    void (*exit)(struct activation *a);

    void (*submit)(struct activation *a, struct activation_commit *c); /* to the store: c->op */
    void (*stored)(struct activation *a, struct activation_commit *c); /* takes it over */
    void (*drop)(struct activation_commit *c);                         /* frees it */
    /* A commit has been answered and it runs on. */
    void (*went_on)(struct activation *a);

    /* It will never be stored what it did: pushes a commit that says that it has failed. */
    void (*fail)(struct activation *a, const struct error *error);
    /* It is not run again until somebody resumes it: a mutation. */
    void (*park)(struct activation *a, struct store_op *op, const struct error *error);
    /* is_once: what became of it. */
    void (*failed)(struct activation *a, const struct error *error);
    /* The last call: frees it. */
    void (*gone)(struct activation *a);
};

enum { ACTIVATION_KEY_BYTES = 37 };

/* The first member of a kind's own struct. */
struct activation {
    const struct activation_kind *kind;
    struct flow_env *env;
    struct flow *flow;
    enum activation_state state;
    enum activation_news news;
    char key[ACTIVATION_KEY_BYTES];
    struct deployment *deployment; /* the slot has a reference */
    struct guest *guest;           /* NULL: it has no isolate */

    /* private to activation.c and commit.c */
    struct list member; /* flow->all */
    struct slot *slot;
    struct prepare prepare;
    struct task task;
    struct list resting; /* flow->resting */
    struct due due;      /* its deadline, the end of lingering or of a pause */
    uint64_t linger_until_ns;
    uint32_t witness;     /* its slot there */
    struct list outbox;   /* struct activation_commit; the first may wait at the gate */
    unsigned in_flight;   /* at the store */
    struct error failure; /* of a commit, while others are on their way */
    bool is_gated;
    struct sql_gate_wait gate;
    struct store_op parking;
    struct error parked_for;
};

/* ---- of an engine thread ---- */

struct flow {
    struct flow_env *env;
    /* private */
    struct list all;
    struct map map;      /* key -> the activation that may write; others only read */
    struct list resting; /* the one that rests longest first */
    unsigned in_flight;  /* commits at the store */
    uint64_t asked_ns;   /* when the last of them went there */
    bool is_draining;
    void (*drained)(void *arg);
    void *drained_arg;
};

struct flow *flow_new(struct flow_env *env); /* which outlives it */
/* Takes no more, lets what is being committed settle, then calls done. */
void flow_drain(struct flow *f, void (*done)(void *arg), void *arg);
void flow_free(struct flow *f); /* whatever is left is broken off: the store has it */
/* Isolates are wanted by others: the one that rests longest leaves. */
void flow_reclaim(struct flow *f);

/* A commit or two are at the store, and answered before a sleeping thread would be awake: the turn is to
 * come again at once. With more there is enough to do. */
bool flow_hears_soon(const struct flow *f);

/* For the turn: a guest of an activation has been stepped. */
void activation_stepped(struct guest *g, enum guest_status status);
/* Likewise: it has used up its slice. False: it has more to be stored than may wait, and is reported
 * runnable when there is room. */
bool activation_may_go_on(struct guest *g);
bool activation_is_standing(const struct guest *g); /* for that reason */
uint32_t activation_witness(const struct guest *g); /* its slot in the witness */

/* ---- for kinds ---- */

/* a is zeroed but for what the kind knows. is_writer: it may write, so there is only one. */
void activation_init(struct activation *a, struct flow *f, const struct activation_kind *kind,
                     struct deployment *d, const char *key, bool is_writer);
void activation_begin(struct activation *a);
struct activation *activation_find(struct flow *f, const char *space, struct slice key);
void activation_wake(struct activation *a, const char *about);
/* Whoever is here lets go of the key, as soon as it can. True: nobody has it now. */
bool activation_evict(struct flow *f, const char *space, struct slice key);
/* Which of so many engine threads has this key: a hash of it. Any thread. */
size_t activation_thread(const char *space, struct slice key, size_t threads);

void activation_read_on(struct activation *a); /* what READING waits for is here */
/* There is room again for what its code does, or records to replay. pokes: and perhaps news for it. */
void activation_go_on(struct activation *a, bool pokes);
void activation_settle(struct activation *a); /* at rest: what now? a may be gone then */
void activation_leave(struct activation *a);  /* without a word; likewise */
void activation_retry(struct activation *a, const struct error *error); /* likewise */
void activation_lost(struct activation *a); /* another server has it; a may be gone then */
static inline bool activation_is_live(const struct activation *a)
{
    return a->guest && (a->state == ACTIVATION_RUNNING || a->state == ACTIVATION_STANDING ||
                        a->state == ACTIVATION_AT_REST);
}

/* commit.c */
void activation_push(struct activation *a, struct activation_commit *c); /* takes it over */
bool activation_is_settled(const struct activation *a); /* nothing of it is on its way */
void commit_drop_all(struct activation *a);
/* activation.c, for commit.c */
void activation_stored(struct activation *a);
void activation_refused(struct activation *a, const struct error *error);
