/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share: the parts of an execution.
 *
 *     journal.c   reads records on replay, keeps new ones until they are stored, says how the code
 *                 differs from them
 *     call.c      calls: made, completed, given up
 *     deadline.c  heap of what is due
 *     step.c      scopes, attempts, retries
 *     event.c     signals and children
 *     deliver.c   one delivery at a time, from the journal or live
 *     batch.c     effects, and what is handed to the store
 *     save.c      the state as bytes
 *
 * A call is in execution.calls from execution_call() until its completion is delivered. On the way
 * it is in at most one of: execution.ready (something is to be delivered and recorded), `local`
 * (given up: delivered without a record), a channel's `waiting`. Deadlines, channels and scopes are
 * used only when live; going live builds them from the calls. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "durable/execution.h"

/* ---- table.c: a hash table of intrusive nodes by number ---- */

struct table_node {
    struct table_node *next;
    uint64_t key;
};

struct table {
    struct table_node **buckets;
    size_t count;
    unsigned bits; /* log2 of the number of buckets */
};

void id_table_done(struct table *t); /* frees the buckets, not the nodes */
struct table_node *id_table_find(const struct table *t, uint64_t key);
void id_table_add(struct table *t, struct table_node *n, uint64_t key); /* key is not there yet */
struct table_node *id_table_remove(struct table *t, uint64_t key);      /* NULL: it was not there */
void id_table_free_nodes(struct table *t); /* each was malloc'ed; as id_table_done() */

/* ---- the parts ---- */

struct item { /* something that execution_next() will deliver */
    struct list link;
    enum item_kind {
        ITEM_DONE,   /* call: it is complete */
        ITEM_RUN,    /* call: an attempt of the step is due */
        ITEM_SIGNAL, /* channel: a call waits and a signal is there */
    } kind;
};

struct call {
    struct table_node by_id, by_scope; /* by_scope.key 0: no attempt runs */
    struct list link;                  /* execution.calls or execution.spare */
    struct item item;
    struct list waiting; /* channel.waiting */
    struct channel *channel;
    enum execution_kind kind;
    bool is_complete; /* not delivered yet */
    bool is_given_up; /* in execution.local */
    uint32_t op;
    uint64_t digest;
    int64_t due_us; /* TIMER, EVENT: deadline; STEP: of the running attempt, else of the next */
    size_t heap_at; /* place in the heap, from 1; 0: none */
    struct execution_retry retry;
    uint32_t failed; /* STEP: attempts */
    uint32_t status; /* when complete */
    struct bytes result;
    struct bytes text; /* label, args, name */
    size_t label_len, args_len;
};

struct signal {
    struct list link; /* channel.signals, or execution.early_signals */
    struct table_node by_seq;
    int64_t seq, at_us;
    size_t name_len, data_len;
    char text[]; /* name, data */
};

struct channel { /* of signals with one name, or of one child; exists while it holds anything */
    struct item item;
    struct list waiting; /* calls, by id */
    struct list signals;
    struct map *map; /* that it is in */
    size_t name_len;
    char name[];
};

struct early_child { /* ended before the execution was live */
    struct list link;
    uint32_t status;
    size_t name_len, payload_len;
    char text[]; /* name, payload */
};

struct execution {
    const struct execution_port *port;
    struct bytes id;
    bool is_check;
    uint32_t break_id;
    enum execution_state state;
    bool has_rested; /* the last execution_next() had nothing */

    /* journal.c */
    int64_t at;     /* number of the next record: to be replayed, or made */
    int64_t end;    /* records that exist */
    int64_t stored; /* before it began: read through the port; the rest is in `tail` */
    int64_t told;   /* records before `at` without attempts: equal at equal places of the code */
    int64_t now_us;
    struct bytes chunk, tail;
    struct slice rest; /* of the chunk or tail, not replayed yet */
    int64_t rest_end;  /* number after its last record */
    bool is_rest_tail;
    bool has_peeked;
    struct record peeked;
    struct slice peeked_bytes;
    bool is_tail; /* the last replayed execution_sync() */
    struct bytes log;
    int64_t durable, taken; /* the log starts with record `durable` at log_head */
    size_t log_head, log_taken;
    size_t log_last; /* where the newest record begins */
    int64_t kept;    /* records before it are in the module's database, too */
    size_t log_kept;
    struct error error;
    struct execution_divergence divergence;

    /* call.c */
    uint32_t last_id;
    struct table by_id;
    struct list calls; /* by id */
    struct list ready, local;
    struct list spare; /* freed calls, for the next ones */
    size_t spare_len;
    struct call *lent;  /* delivered; its payload is borrowed until the next call of a function */
    size_t externals;   /* calls of that kind */
    struct call **heap; /* heap[0] is not used */
    size_t heap_len, heap_cap;

    /* step.c */
    struct table scopes; /* running: calls */
    struct table stale;  /* over, but their code has not ended */
    struct list stales;
    uint32_t scope_last;

    /* event.c */
    struct map events, children; /* channels */
    size_t listening;            /* calls in channels */
    struct list early_signals, early_children;
    struct table signals; /* not consumed, by seq */
    struct table gone;    /* consumed by a record of the tail before they were passed to us */
    int64_t signal_last;
    struct bytes scratch; /* a delivered signal */

    bool is_cancel_asked, is_cancelled;
    bool is_held; /* too much is not stored */

    /* batch.c: since the last take */
    struct arena *arena;
    struct execution_effect *effects;
    size_t effects_len, effects_cap;
    size_t progress_at;    /* in effects, from 1: the last EXECUTION_PUBLISH; 0: none */
    struct bytes progress; /* its value */
    size_t effect_bytes;   /* of these */
    size_t taken_bytes;    /* of those that were taken and are not stored */
    int64_t *consumed;
    size_t consumed_len, consumed_cap;
    bool has_ended, has_cancel;
    uint32_t end_status;
    struct bytes end_value;
};

static inline bool execution_is_live(const struct execution *x)
{
    return x->state == EXECUTION_IS_LIVE;
}

static inline bool execution_is_running(const struct execution *x)
{
    return x->state == EXECUTION_IS_LIVE || x->state == EXECUTION_REPLAYING;
}

/* No overflow: what is too late is never. */
static inline int64_t time_after(int64_t at_us, int64_t delay_us)
{
    int64_t due;
    if (delay_us == EXECUTION_NEVER || __builtin_add_overflow(at_us, delay_us, &due))
        return EXECUTION_NEVER;
    return delay_us < 0 ? at_us : due;
}

struct execution *execution_new_blank(const struct execution_config *config);

/* journal.c */
enum journal_peek {
    JOURNAL_RECORD, /* *ret_record is the next one, of any kind but an attempt of a known step */
    JOURNAL_USED_UP,
    JOURNAL_LATER,  /* it is not here yet */
    JOURNAL_FAILED, /* the state says why */
};
void journal_init(struct execution *x, const struct execution_config *config);
void journal_done(struct execution *x);
enum journal_peek journal_peek(struct execution *x, const struct record **ret_record);
/* As journal_peek() where the code cannot wait: what is not here yet is a failure that can pass. */
enum journal_peek journal_need(struct execution *x, const struct record **ret_record);
void journal_consume(struct execution *x);       /* the record peeked at */
bool journal_is_tail(const struct execution *x); /* the record peeked at */
void journal_append(struct execution *x, const struct record *r);
int64_t journal_untaken(const struct execution *x); /* records */
/* They are the store's business now; borrowed until the next append. */
struct slice journal_take(struct execution *x, int64_t *ret_first, int64_t *ret_count);
void journal_stored(struct execution *x, int64_t end); /* forgets what is before */
void journal_trim(struct execution *x);                /* nothing will be replayed any more */
size_t journal_unstored_bytes(const struct execution *x);
void journal_broken(struct execution *x); /* x->error says how */
void journal_diverged(struct execution *x, const struct record *recorded, uint32_t id,
                      const char *did);
/* "step "charge"" */
void journal_describe(const struct execution *x, uint32_t op, struct slice label, char *ret_text,
                      size_t size);

/* call.c */
struct call *call_find(const struct execution *x, uint64_t id);
struct call *call_add(struct execution *x, uint32_t id, const struct execution_call *from);
void call_remove(struct execution *x, struct call *c); /* its result stays until the next remove */
void call_return(struct execution *x);                 /* what is lent */
void call_arrive(struct execution *x, struct call *c, uint32_t status, struct slice payload);
void call_give_up(struct execution *x, struct call *c);
void call_queue(struct execution *x, struct call *c, enum item_kind kind);
void call_go_live(struct execution *x, struct call *c);
void calls_trim(struct execution *x); /* nothing will be replayed any more */
void calls_done(struct execution *x);
struct slice call_label(const struct call *c);
struct slice call_args(const struct call *c);
struct slice call_name(const struct call *c);
#define CALL_CANCELLED SLICE_LIT("cancelled") /* never changes: replay gives it too */

/* deadline.c */
void deadline_set(struct execution *x, struct call *c, int64_t due_us);
void deadline_drop(struct execution *x, struct call *c);
int64_t deadline_first(const struct execution *x);
void deadline_fire(struct execution *x); /* all that are due */

/* step.c */
uint32_t step_start(struct execution *x, struct call *c); /* its next attempt; the scope */
void step_due(struct execution *x, struct call *c);
void step_give_up(struct execution *x, struct call *c);
bool step_replay_attempt(struct execution *x,
                         const struct record *r); /* false: the state says why */
void steps_done(struct execution *x);
void steps_save_stale(const struct execution *x, struct bytes *out); /* a u32 each */
bool step_stale_restore(struct execution *x, uint32_t scope);        /* false: it cannot be */

/* event.c */
void event_listen(struct execution *x, struct call *c);
void event_unlisten(struct execution *x, struct call *c);
void event_due(struct execution *x, struct call *c);
/* c has timed out, but the code does not know yet, and a signal that was sent in time is left since
 * other waits were withdrawn: takes it as event_take() does. False: there is none. */
bool event_take_late(struct execution *x, const struct call *c);
void event_consume(struct execution *x, int64_t seq); /* a replayed record did */
/* Takes the next signal of the channel for the call that waits longest. Its payload, as recorded,
 * is in x->scratch. */
struct call *event_take(struct execution *x, struct channel *ch);
void events_go_live(struct execution *x);
void events_done(struct execution *x);
enum { EVENT_SEQ_BYTES = 8 }; /* in front of the payload that the code gets */

/* deliver.c */
void execution_go_live(struct execution *x);

/* batch.c */
void batch_consumed(struct execution *x, int64_t seq);
void batch_done(struct execution *x);
