/* SPDX-License-Identifier: Apache-2.0
 *
 * A world for src/flow, played by dice from a seed: a store that answers late, fails and loses what it
 * was told when the process dies; a module's database whose commits are durable later; threads whose
 * messages, timers and reads come in any order; guests that run random programs; people who start,
 * signal, pause, resume, cancel, retry, fork, migrate and delete. The code of flow/ and durable/ is the
 * real one.
 *
 * A process dies between any two events: then nothing that it does reaches the store, and it is cleared
 * away by the same drain that stops a server. Its successor has the next epoch; the old one may go on
 * for a while without knowing.
 *
 *     world.c     what happens next, deaths, the judgement
 *     store.c     what outlives them
 *     process.c   threads: messages, timers, reads and mutations on their way, isolates
 *     code.c      what guests run
 *     alarm.c     what else falls due
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "durable/execution.h"
#include "durable/record.h"
#include "flow/activation.h"
#include "flow/director.h"
#include "flow/run.h"
#include "loop/loop.h"
#include "store/internal.h"

enum {
    EXECUTIONS_MAX = 60,
    ROOTS_MAX = 3,
    OPS_MAX = 8,
    CHUNKS_MAX = 512,
    SIGNALS_MAX = 32,
    ALARMS_MAX = 4,
    THREADS = 2, /* engine threads; one more is the control thread */
};

enum code_op {
    CODE_LOG,
    CODE_RANDOM,
    CODE_SLEEP,
    CODE_SLEEP_LONG,
    CODE_FETCH,
    CODE_EVENT,
    CODE_CHILD,
    CODE_STEP,
    CODE_SQL,
    CODE_OPS,
};
enum { SIM_CHILD_START = CODE_OPS, SIM_CHILD_RESULT };

/* ---- what outlives a process ---- */

struct sim_db { /* of one execution, in the module's database */
    struct bytes tail;
    int64_t first;
    unsigned rows[OPS_MAX];
};

struct sim_execution {
    char id[37];
    int parent; /* -1: a root */
    int depth;
    uint64_t seed;
    enum durable_status status;
    bool is_paused, is_parked, is_cancel_requested, was_resumed;
    bool is_deleted, is_fork;
    bool is_fallen;  /* parked since the process fell three times with it */
    bool was_harmed; /* it was asked to end, or deleted: who waits for it may come to another end */
    int64_t attempt, version;
    int64_t crashes, crashed_records;
    uint64_t waiters; /* beside its parent: a bit for each execution */
    int64_t seq, records, events, wake_us, lines, created_us;
    uint64_t output;
    bool has_output;
    struct {
        int64_t first;
        struct bytes records;
    } chunks[CHUNKS_MAX];
    size_t chunks_len;
    struct bytes snapshot;
    int64_t snapshot_records;
    int64_t signals_last, signals_taken;
    bool taken[SIGNALS_MAX + 1];
    unsigned logs[OPS_MAX], requests[OPS_MAX];
    struct sim_db db, db_safe; /* as it is now; as it is on disk */
};

struct sim_store {
    struct sim_execution executions[EXECUTIONS_MAX];
    int len;
    int64_t epoch;
    struct sim_alarm {
        int64_t due_us, seq;
        unsigned left; /* times that it has to go off */
    } alarms[ALARMS_MAX];
};

/* ---- a process ---- */

struct sim_process;

struct sim_thread {
    struct loop loop; /* never run: it names the thread */
    struct sim_process *process;
    struct asks asks;
    struct flow_env env;
    struct flow *flow; /* NULL: the control thread */
    struct post *posts, **posts_end;
    struct timer **timers;
    size_t timers_len, timers_cap;
    struct list prepares; /* struct sim_wish */
    struct list tasks;    /* struct task */
    struct list fresh;    /* guests to step */
    struct list guests;   /* struct sim_guest */
    struct list codes;    /* wishes for a deployment */
    struct list gates;    /* struct sql_gate_wait */
    struct guest_host host;
    unsigned held;
    bool is_drained;
};

struct sim_process {
    struct list link;
    int64_t epoch;
    bool is_dead; /* nothing reaches the store any more */
    struct store store;
    struct sim_thread threads[THREADS + 1];
    struct flow *flows[THREADS];
    struct flow_shared shared;
    struct flow_metrics metrics;
    struct director *director;
    struct deployment *deployment, *newer;    /* of versions 1 and 2: the same code */
    struct list reads;                        /* struct sim_read */
    struct mutation *first, **mutations_end;  /* oldest first */
    struct list answers;                      /* struct sim_answer: applied, not told yet */
    int64_t db_seq, db_durable;               /* commits of the module's database */
    unsigned steps_left;                      /* of one that has been replaced */
    unsigned requests_out;                    /* of people, not answered yet */
    struct sim_alarm_try *alarms[ALARMS_MAX]; /* that it is busy with */
};

struct world {
    uint64_t seed, dice;
    struct world_options {
        uint64_t seed;
        bool is_loud, is_calm;
        bool wakes_only; /* nothing else is sent to engine threads, where the dice may do without */
        bool is_deadly;  /* the process falls again and again, by what runs */
    } options;
    int64_t now_us;
    struct sim_store store;
    struct list processes;
    struct sim_process *process; /* the one that owns */
    bool is_slow, fails, loses_wakes, verifies, stalls, has_bad_database;
    int64_t disk_until_us; /* the store's disk takes nothing before */
    bool is_over;          /* nobody asks or harms any more */
    bool has_lost;
    unsigned deaths_left, roots_left, roots, cancels_left, retries_left, forks_left,
        migrations_left, deletions_left;
    bool is_deadly;  /* deaths come in rows */
    bool has_checks; /* not only wakes are sent to engine threads */
    unsigned requests_out;
    char failure[1024];
};

struct world_stats {
    uint64_t resumed_leaving, began_early; /* the two interleavings: see process.c */
    uint64_t worlds, events, deaths, takeovers, lost_wakes, failed_reads, failed_commits, refused,
        snapshots, replays, suspended, children, signals, paused, resumed, cancelled, parked,
        slices, stood, stalls, gates, tails, power_cuts, verified, verify_failures, sql_failures,
        evicted, retried, forked, migrated, checked, deleted, crashed, crash_parked, alarms;
};
extern struct world_stats stats;
extern struct world *W;

uint64_t mix(uint64_t a, uint64_t b);
uint64_t roll(void);
static inline bool percent(uint64_t n)
{
    return roll() % 100 < n;
}
void world_fails(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SAY(...)                                                                                   \
    do {                                                                                           \
        if (W->options.is_loud)                                                                    \
            (void)printf("# %lld ", (long long)W->now_us / 1000), (void)printf(__VA_ARGS__),       \
                (void)printf("\n");                                                                \
    } while (0)

/* NULL: all is well. */
const char *world_play(const struct world_options *options);

/* ---- store.c ---- */
struct sim_execution *store_find(struct slice id);
/* Also of one that has been deleted since it was read: what its guest runs. */
struct sim_execution *store_find_code(struct slice id);
/* Its workflow is deleted, say; who waits for it is due. */
void store_delete(struct sim_execution *x);
void store_answer(const struct sim_process *p, struct store_query *q);
enum err store_apply(struct sim_process *p, const struct mutation *m, int64_t *ret_number,
                     struct error *ret_error);
void store_done(void);

/* ---- alarm.c ---- */
void alarms_begin(void);
void alarm_apply(const struct due_row *row);
void alarms_read(struct store_query *q);
bool alarms_have_ended(void);
void alarms_serve(struct sim_process *p);
void alarms_stop(struct sim_process *p); /* none of its ops is out any more */

/* ---- process.c ---- */
/* suspects: as of director_new(). */
struct sim_process *process_new(struct slice suspects);
/* Those that were running in it. */
void process_suspects(const struct sim_process *p, struct bytes *ret_ids);
/* True: something happened. */
bool process_step(struct sim_process *p);
bool process_advance(struct sim_process *p, int64_t *ret_us); /* to its next timer */
void process_die(struct sim_process *p);                      /* cleared away */
bool process_is_committing(const struct sim_process *p, struct slice id);

/* ---- code.c ---- */
struct code {
    uint32_t pc, calls, waits;
    uint32_t id, has_started;
    uint64_t acc;
    uint32_t is_over, is_child_started, is_cancelled, unused;
};
struct sim_guest {
    struct guest g;
    struct sim_thread *thread;
    struct list link;
    struct dispatch *dispatch;
    struct sim_execution *execution;
    struct code code;
    struct {
        uint32_t id;
        int64_t records;
        uint32_t op;
    } requests[16];
    size_t requests_len;
    struct {
        uint32_t scope, id;
    } bodies[16];
    size_t bodies_len;
};
enum code_op code_op_of(const struct sim_execution *x, unsigned at);
unsigned code_len(const struct sim_execution *x);
unsigned code_events(const struct sim_execution *x);
bool code_expect(const struct sim_execution *x, uint64_t *ret_output); /* false: it depends */
void code_child_id(const struct sim_execution *x, unsigned at, char ret_id[37]);
enum guest_status code_step(struct sim_guest *g);
size_t code_describe(struct sim_guest *g, char *ret_text, size_t size);
bool code_event(struct sim_guest *g); /* something outside of it is done. False: nothing is out */
extern const struct flow_isolates code_isolates;
