/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server must remember: functions, versions, builds, env, executions, logs. Mutations are
 * typed, queued from any thread and applied by one writer thread, which commits whatever has queued
 * up as one transaction (group commit) and syncs it before anything is acknowledged. Reads see what
 * is committed; they are answered at once or later, as the backend can. No other code touches the
 * store's tables.
 *
 * Texts in results belong to the arena given. Times are microseconds since 1970 (clock_wall_us). */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "store/durable.h"
#include "store/files.h"
#include "store/kv.h"
#include "store/object.h"
#include "store/query.h"
#include "store/rows.h"

struct loop;
struct store;

/* Whose disk it is that executions and versions of a module take, and resources of a namespace. */
struct store_accounts {
    struct account *(*get)(void *ctx,
                           struct slice module); /* a reference; any thread. NULL: nobody's */
    struct account *(*get_space)(void *ctx, struct slice name); /* likewise */
    void *ctx;
};

struct store_config {
    const char *url;             /* "sqlite:./data/db.sqlite": the scheme names the backend */
    const char *data_dir;        /* made, too; NULL: nobody needs one */
    const char *artifact_dir;    /* of versions, a file each, named by SHA-256 */
    uint32_t log_rows_max;       /* kept per function; 0: 10000 */
    uint32_t execution_rows_max; /* kept per function, finished ones only; 0: 100000 */
    int64_t durable_keep_us; /* finished durable executions are removed after so long; 0: 7 days */
    int64_t audit_keep_us;   /* rows of the audit log go after so long; 0: never */
    int64_t audit_rows_max;  /* so many of them are kept; 0: all */
    struct store_accounts accounts;
    const char *secret_key; /* that secrets are sealed with; NULL: of a file, made at first */
};

/* Opens, locks the data folder against a second server (ERR_CONFLICT), migrates the schema, and
 * takes the lease with its next epoch: a store that was opened before on the same database, lock or
 * not, can never write again (ERR_FENCED). */
NODISCARD enum err store_open(const struct store_config *config, struct store **ret_store,
                              struct error *ret_error);
/* Commits what is queued. No read may be out. */
void store_close(struct store *s);
/* The folder beside the database that the server's other files belong to by default: malloc'd; NULL:
 * the database of this URL is in no folder. */
char *store_folder_of(const char *url);
/* ---- mutations: any thread ---- */

/* A mutation in flight. The caller owns the struct until done, which runs on loop. Slices given to
 * a store_x() call are copied by it. */
struct store_op {
    struct loop *loop;
    void (*done)(struct store_op *op); /* NULL: nobody waits (op may then be NULL too) */
    struct error error;                /* code OK: committed and durable */
    int64_t number;                    /* result: build number, version number */
    /* With it the change has a row in the audit log, in the same commit, and so has its refusal. NULL:
     * none. Read when the change is queued. */
    const struct store_audit *audit;
    /* private */
    void *internal;
};

/* From store_gather() to store_send() what this thread asks for is held back, then queued at once:
 * one transaction for a turn's commits, where the first of them would else be taken alone. Nothing
 * may wait in between. */
void store_gather(struct store *s);
void store_send(struct store *s);

/* A change is about to be asked for, perhaps: the writer's thread, which takes as long to wake up as half
 * a commit takes, is woken now. Costs nothing when it is awake. */
void store_expect(struct store *s);
/* For so long it pays to look for an answer, or for the next change, instead of sleeping: it comes about as
 * soon as a sleeping thread would be awake again. The time of two commits; 0: not with this disk, now. */
uint64_t store_answer_ns(const struct store *s);

/* Each row of mutations.def, where it is said what it does, is a function that asks for it:
 *
 *     void store_env_set(struct store *s, struct store_op *op,
 *                        struct slice function, struct slice name, struct slice value);
 *
 * Rows are read by pointer. */
#define T(name) , struct slice name
#define V(type, name) , type name
#define R(type, name) , const type *name
#define N(member)
#define STEPS , const struct store_step *steps, size_t steps_len
#define MUTATION(KIND, name, guard, fields)                                                        \
    void store_##name(struct store *s, struct store_op *op fields);
#include "store/mutations.def"
#undef T
#undef V
#undef R
#undef N
#undef STEPS

/* ---- figures ---- */

/* Histograms of commits: bucket i counts those up to (first << i) that are in no bucket before it;
 * the last has no bound. */
enum {
    STORE_BUCKETS = 14,
    STORE_BUCKET_MUTATIONS = 1, /* 1, 2, 4 ... 4096 mutations, more */
    STORE_BUCKET_US = 64,       /* 64 us ... 262 ms, longer */
};

struct store_stats {
    uint64_t commits, mutations, commit_ns_total, logs_dropped;
    uint64_t commit_sizes[STORE_BUCKETS], commit_times[STORE_BUCKETS];
    uint64_t durable_starts, durable_commits, durable_records, durable_signals;
    uint64_t queued;  /* now */
    bool is_refusing; /* the last commit failed (disk full, I/O): mutations fail until one succeeds
                       */
    bool is_fenced;   /* another server has taken the database: mutations fail with ERR_FENCED for
                         ever */
};
void store_stats(const struct store *s, struct store_stats *ret_stats); /* any thread */
