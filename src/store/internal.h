/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of store/ share: the store itself, and a mutation on its way from the caller's
 * thread through the queue to the writer thread. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/map.h"
#include "store/secret.h"
#include "store/store.h"

enum {
    STORE_BATCH_MUTATIONS_MAX = 2048, /* one commit; bounds the wait of those behind it */
    STORE_BATCH_BYTES_MAX = 8 * 1024 * 1024,
    STORE_LOG_LINES_QUEUED_MAX = 32 * 1024, /* above either, log lines are dropped and counted */
    STORE_LOG_BYTES_QUEUED_MAX = 16 * 1024 * 1024,
    STORE_LOG_SHARE = 8,     /* one function has at most such a part of either */
    STORE_LOG_SHARES = 1024, /* counters; functions whose names fall together have one part */
    STORE_TIDY_ROWS = 500,   /* removed in one step, between two batches */
    STORE_ARTIFACT_BYTES_MAX = 256 * 1024 * 1024,
    STORE_ARTIFACT_RECENT_MS =
        10 * 60 * 1000,      /* far above LIMIT_BUILD_MS: put, but not yet published */
    STORE_JOURNAL_BITS = 24, /* of a journal's record numbers: more than EXECUTION_RECORDS_MAX */
    STORE_SIGNALS_WAITING_MAX = 10000, /* of one execution: ERR_OVERLOAD above */
    STORE_PURGE_BYTES =
        2 * 1024 * 1024,     /* of journals removed in one step, or copied in one slice */
    STORE_PURGE_ROWS = 5000, /* messages removed in one slice */
    STORE_FORK_ROWS = 2000,  /* likewise, chunks copied */
    STORE_PROBE_S = 1,       /* between tries to write again after a failure */
    STORE_SOON_US = 300,     /* where a commit takes longer nobody waits for one awake */
};

enum mutation_kind {
#define MUTATION(KIND, name, guard, fields) MUTATION_##KIND,
#include "store/mutations.def"
    MUTATION_KINDS,
};

/* Arguments of each kind. */
#define T(name) struct slice name;
#define V(type, name) type name;
#define R(type, name) type name;
#define N(member)
#define STEPS
#define MUTATION(KIND, name, guard, fields)                                                        \
    struct mutation_##name {                                                                       \
        fields                                                                                     \
    };
#include "store/mutations.def"
#undef T
#undef V
#undef R
#undef N
#undef STEPS

/* Of a mutation that takes long: it is applied in slices, a transaction each, between which others have
 * their turn, and answered with the last one. The backend's, zero at first. */
struct mutation_progress {
    bool goes_on; /* set by a slice that is not the last */
    int64_t target, next, source, attempt, bytes;
};

/* One allocation with its steps and all texts behind it. Freed by the writer thread. */
struct mutation {
    struct mutation *next; /* in the queue: newest first; then oldest first */
    enum mutation_kind kind;
    bool is_applied;     /* set by the writer thread */
    struct store_op *op; /* NULL: nobody waits */
    size_t bytes;        /* of steps and texts */
    struct mutation_progress *progress;
    const struct store_audit
        *log_audit; /* behind the steps; NULL: it has no row in the audit log */
    const struct store_step *steps;
    size_t steps_len;
    union {
#define MUTATION(KIND, name, guard, fields) struct mutation_##name name;
#include "store/mutations.def"
    };
};

/* mutation.c: what messages say of it: what it is, and its first text. */
const char *mutation_text(const struct mutation *m);
struct slice mutation_subject(const struct mutation *m);
/* Records that it appends, if it is a commit. */
int64_t mutation_records(const struct mutation *m);

/* A kind of database: what the store asks of it, and nothing else of the store knows which it is.
 *
 * A batch is begin, apply for each mutation, commit. A mutation that is refused leaves nothing
 * behind (of earlier slices: nothing that anybody sees) and does not disturb the others; when the connection or the transaction is lost, is_lost()
 * says so from then on until the rollback, and the batch fails. A commit that has returned OK is on
 * disk. All of that may wait: it runs on the writer thread alone, which waits for nothing else. */
struct store_backend {
    const char *scheme; /* of its URLs: what stands before the colon */
    /* store_folder_of(): rest is what stands behind the colon. */
    char *(*folder_of)(struct slice rest);
    /* Makes what is missing, config->data_dir too, locks out other servers of this machine, migrates, takes the lease,
     * settles what a stopped server left unfinished. *ret_db is closed also after a failure, if it
     * is not NULL. */
    enum err (*open)(struct store *s, const struct store_config *config, void **ret_db,
                     struct error *ret_error);
    void (*close)(void *db); /* no thread uses it any more */

    /* ---- writer thread ---- */
    enum err (*begin)(void *db, struct error *ret_error); /* ERR_FENCED: the lease is another's */
    enum err (*apply)(void *db, const struct mutation *m, int64_t *ret_number,
                      struct error *ret_error);
    enum err (*commit)(void *db, struct error *ret_error);
    void (*rollback)(void *db);
    bool (*is_lost)(const void *db);
    enum err (*probe)(void *db, struct error *ret_error); /* can it be written again? */
    /* One small step of what can wait (retention, what is left of removed ones), with a commit of
     * its own. *ret_more: there is more. */
    enum err (*tidy)(void *db, bool *ret_more, struct error *ret_error);
    /* What is to be done for the files when answers have left. is_idle: nothing else is to be done
     * now. True: there is more to do when idle. Failures harm nobody yet; it logs them itself. */
    bool (*settle)(void *db, bool is_idle);
    int64_t (*patience_us)(const void *db); /* until there is something to tidy; INT64_MAX: never */

    /* ---- any thread ---- */
    enum op_status (*read)(void *db, struct store_query *q);
    /* NULL but in a simulation, which has no writer: takes each mutation instead of the queue. */
    void (*take)(void *db, struct mutation *m);
};

extern const struct store_backend sqlite_backend; /* sqlite/backend.c */
#ifdef LIMPET_CRASH_POINTS
extern const struct store_backend slow_backend; /* slow.c: for tests, in front of another */
#endif

struct store {
    const struct store_backend *backend;
    void *db;          /* the backend's */
    const char *where; /* for messages: what the URL names; the backend's */
    struct secret_key secret_key;
    char *artifact_dir;
    int artifact_lock_fd;
    pthread_t thread;
    bool has_thread;

    _Atomic(struct mutation *) queue;
    sem_t
        wake; /* one unit for each time the queue became non-empty, one for closing; and store_expect()'s */
    atomic_bool is_closing;
    atomic_bool is_asleep;        /* the writer's thread, in wake */
    bool is_lively;               /* its: the last unit came soon after it was waited for */
    atomic_uint_fast64_t soon_ns; /* a commit takes, lately */

    atomic_uint_fast64_t commits, mutations, commit_ns_total, logs_dropped, queued;
    atomic_uint_fast64_t log_lines_queued, log_bytes_queued;
    struct log_share {
        _Atomic uint32_t lines, bytes;
    } log_shares[STORE_LOG_SHARES];
    atomic_uint_fast64_t commit_sizes[STORE_BUCKETS], commit_times[STORE_BUCKETS];
    atomic_uint_fast64_t durable_starts, durable_commits, durable_records, durable_signals;
    atomic_bool is_refusing, is_fenced;

    pthread_mutex_t dropped_lock;
    atomic_bool has_dropped;
    struct map
        dropped; /* function name -> struct dropped, lines lost since the writer last said so */

    pthread_mutex_t artifact_lock;
    struct map artifact_recent;  /* hash -> struct artifact_recent */
    size_t artifact_recent_left; /* how many were left when it was last cleaned */
};

/* queue.c: any thread. Queues one that mutation.c has built on the heap; it belongs to the queue from
 * here. */
void mutation_enqueue(struct store *s, struct mutation *m);
/* Counts a line against the bounds; false: it is to be dropped. bytes: of the mutation. */
bool queue_take_log(struct store *s, struct slice function, size_t bytes);
NODISCARD enum err store_queue_start(struct store *s, struct error *ret_error);
void store_queue_stop(struct store *s); /* commits what is queued; harmless if not started */

/* artifact.c */
NODISCARD enum err artifact_open(struct store *s, struct error *ret_error);
void artifact_close(struct store *s);
bool artifact_exists(struct store *s, struct slice hash);
int64_t artifact_bytes(struct store *s, struct slice hash); /* of its file; 0: there is none */
bool artifact_is_hash(struct slice hash);
#define ARTIFACT_TEMPORARY                                                                         \
    "tmp-" /* what names in the folder begin with that go at the next start */
/* Appends DIR/ab/abcdef…, or the folder of it. */
void artifact_path(const struct store *s, struct slice hash, bool is_folder, struct bytes *out);
/* From here on a file of that name is not removed for a while. */
void artifact_put_begins(struct store *s, struct slice hash);
/* Names content. */
void artifact_hash(struct slice content, char ret_hash[65]);
/* Removes the file unless it was put a short while ago, when a version may be about to name it.
 * False: try again later. Writer thread, inside the transaction that found that no version names
 * it. */
bool artifact_remove(struct store *s, struct slice hash);

/* folder.c */
/* Makes the folder and those above it, private to this user. */
NODISCARD enum err folder_make(const char *path, const char *what, struct error *ret_error);
NODISCARD enum err folder_sync(const char *path, struct error *ret_error);
/* errno as an error: "cannot <doing> <path>: <reason>", with a hint where there is one. */
enum err folder_error(struct error *ret_error, int os, const char *doing, const char *path);
/* Takes path as a lock on what for as long as *ret_fd is open; ERR_CONFLICT names the process that
 * has it. */
NODISCARD enum err folder_lock(const char *path, const char *what, const char *option, int *ret_fd,
                               struct error *ret_error);

/* options.c */
void version_options_write(const struct version_options *options, struct bytes *out);
NODISCARD enum err version_options_read(struct slice json, struct arena *a,
                                        struct version_options *ret_options,
                                        struct error *ret_error);
