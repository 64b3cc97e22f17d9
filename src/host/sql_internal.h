/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of sql*.c share. See sql_file.c for the idea of durability. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "base/limits.h"
#include "base/map.h"
#include "host/sql.h"
#include "loop/work.h"

enum {
    SQL_VALUE_BYTES_MAX = 64 * 1024 * 1024, /* of a guest; and of a row */
    SQL_RESULT_GRAIN_BYTES = 256 * 1024,    /* charged at once for a result that grows */
    SQL_RESULT_FREE_BYTES = 64 * 1024,      /* smaller ones are not worth it */
    SQL_TEXT_BYTES_MAX = 1024 * 1024,       /* of one sql_exec() */
    SQL_CHECKPOINT_FRAMES = 1024,           /* about 4 MiB: a checkpoint is started */
    SQL_LAST_CHECKPOINT_FRAMES = 128,       /* about 512 KiB: worth one before closing */
    SQL_CHECKPOINT_PASSES = 4,              /* passive ones in a row, each with less left to do */
    SQL_ESCALATE_TIMES = 4,          /* so many thresholds long, the WAL lets writers be held up */
    SQL_ESCALATE_ALWAYS_TIMES = 64,  /* ... even if the disk is slow */
    SQL_ESCALATE_MS = 20,            /* what the last pass may have taken for the disk to be fast */
    SQL_CHECKPOINT_BUSY_MS = 2000,   /* the checkpointer waits that long for writers, on the pool */
    SQL_BUSY_MS = 2000,              /* a guest's statement waits that long for other writers */
    SQL_BUSY_HERE_MS = 100,          /* ... outside of a task, where the thread waits */
    SQL_CACHE_STATEMENTS = 64,       /* prepared statements kept per connection */
    SQL_CACHE_TEXT_BYTES = 8 * 1024, /* longer texts are not kept */
    SQL_NESTED_MAX = 64,             /* transactions in each other */
    SQL_PROGRESS_OPS = 100,          /* virtual machine steps between looks at the clock */
    SQL_TEXT_AHEAD_BYTES = 8 * 1024, /* longer texts are prepared away from the engine thread */
    SQL_PARAMS_AHEAD_BYTES = 64 * 1024, /* statements with more of them run there from the start */
    SQL_SYNC_ROUNDS = 16,               /* syncs a pool job does before it queues again */
};

/* Fields marked atomic are touched by any thread through __atomic builtins. */
struct sql_file {
    unsigned refs; /* atomic */
    char *path, *wal_path;
    uint64_t bytes_max;
    bool settles; /* at each closing */
    int wal_fd; /* for fdatasync and reading; never on the main file (POSIX locks). -1: detached */

    /* Commits, numbered in the order of the write lock; all atomic. durable <= finished <= begun.
     */
    uint64_t begun;    /* a commit with this number may be visible */
    uint64_t finished; /* every frame of commits up to this one has been written to the WAL */
    uint64_t durable;  /* ... and is on disk */
    uint64_t wal_mark; /* number and frame count of the last commit, see sql_mark(); 0: unknown */
    bool is_broken;    /* atomic: a sync failed; commits are refused */
    bool is_dead;      /* atomic: a sync of the main file failed; until the process restarts */
    unsigned setups;   /* atomic: a transaction of a setup() is open */

    /* The gate. */
    struct sql_gate_wait *waits; /* atomic: stack of new waits, linked by their link.next */
    bool is_syncing;             /* atomic: a sync job is queued or running */
    bool needs_folder_sync;      /* the job's own */

    /* The checkpointer's connection, synchronous=FULL; used on the pool under its lock. */
    pthread_mutex_t keeper_lock;
    sqlite3 *keeper;
    bool is_checkpointing;   /* atomic: a checkpoint job is queued or running */
    uint32_t checkpoint_log; /* atomic: frames in the WAL at the end of the last checkpoint */
};

enum sql_journal_statement {
    SQL_JOURNAL_PUT,
    SQL_JOURNAL_TRIM,
    SQL_JOURNAL_GET,
    SQL_JOURNAL_FORGET,
    SQL_JOURNAL_STATEMENTS
};
#define SQL_JOURNAL_TABLE "limpet_journal"
#define SQL_STORE_PREFIX "_cf_"

enum sql_store_statement {
    SQL_STORE_GET,
    SQL_STORE_PUT,
    SQL_STORE_DELETE,
    SQL_STORE_LIST,
    SQL_STORE_LIST_BACK,
    SQL_STORE_META_GET,
    SQL_STORE_META_PUT,
    SQL_STORE_CALL_GET,
    SQL_STORE_CALL_PUT,
    SQL_STORE_CALL_TRIM,
    SQL_STORE_STATEMENTS
};

struct sql_conn {
    struct sql_file *file;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback, *page_count;
    uint32_t page_bytes;
    uint64_t bytes_bound; /* what the database may grow to */
    bool is_measured;     /* sql_conn_stored() has told its size since the last commit here */
    sqlite3_stmt *journal[SQL_JOURNAL_STATEMENTS]; /* NULL: not yet prepared */
    sqlite3_stmt *store[SQL_STORE_STATEMENTS];     /* likewise */
    uint64_t seen;
    uint64_t commit_seq;         /* of the commit in flight, 0: none */
    bool has_frames;             /* the commit in flight wrote to the WAL */
    bool is_aborted;             /* SQLite ended the transaction that the guest believes to be in */
    bool is_internal;            /* the statement being prepared is ours */
    bool is_pragma;              /* the statement prepared last is one */
    bool has_written;            /* a statement that may write has run in the open transaction */
    bool may_yield, has_yielded; /* to a setup() */
    size_t run_bytes;            /* of the text, in whole statements */
    struct sql_rows rows;        /* since sql_conn_rows() */
    struct sql_room room;        /* for the result of the statement that runs */
    unsigned depth;              /* transactions open, as the guest sees it */
    uint64_t deadline_ns;        /* 0: none */
    uint64_t busy_since_ns;
    struct map cache; /* SQL text -> struct sql_cached */
    struct list lru;  /* least recently used first */
    size_t cached;
    struct list link;  /* the owner's list of those that nobody uses */
    const void *home;  /* for the owner: the loop that used it last */
    uint64_t used_ms;  /* ... and when */
    struct slice text; /* what the guest has given to sql_exec(), while that runs */
    char refusal[192]; /* why the authorizer said no, "" if it did not */
};

/* sql.c */
/* After anything that may have committed or read. */
void sql_conn_settle(struct sql_conn *c);
enum err sql_conn_error(struct sql_conn *c, int rc, struct error *ret_error);
/* The result has grown to len bytes: are they to be had? Maybe on the pool: budgets are shared. */
NODISCARD enum err sql_room_charge(struct sql_room *room, size_t len, struct error *ret_error);

/* sql_file.c */
extern uint32_t sql_checkpoint_frames; /* SQL_CHECKPOINT_FRAMES; tests lower it */
NODISCARD enum err sql_db_open(const char *path, int flags, sqlite3 **ret_db,
                               struct error *ret_error);
/* Starts a checkpoint on the pool if the WAL has grown enough. Loop thread. */
void sql_checkpoint_maybe(struct loop *loop, struct sql_file *f);
/* On the pool, after a failed sync: writes the whole database again. */
NODISCARD enum err sql_file_recover(struct sql_file *f, struct error *ret_error);

/* sql_gate.c */
/* Syncs are the caller's until sql_gate_open(), which serves who has come meanwhile. False: somebody
 * else does them now. */
NODISCARD bool sql_gate_seize(struct sql_file *f);
NODISCARD bool sql_gate_sync(struct sql_file *f); /* in between: is everything on disk? */
void sql_gate_open(struct sql_file *f);
extern int (*sql_fdatasync)(int fd); /* fdatasync; tests put a failing one here */
static inline void sql_atomic_raise(uint64_t *counter, uint64_t value)
{
    uint64_t old = __atomic_load_n(counter, __ATOMIC_SEQ_CST);
    while (old < value && !__atomic_compare_exchange_n(counter, &old, value, false,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

/* Commits of two threads may report their frames in either order; the later commit's count is to
 * stay. So both travel in one word that only rises, the number first. */
enum { SQL_MARK_FRAME_BITS = 24 }; /* 64 GiB of WAL */
static inline uint64_t sql_mark(uint64_t seq, uint32_t frames)
{
    return seq << SQL_MARK_FRAME_BITS | (frames & ((1u << SQL_MARK_FRAME_BITS) - 1));
}

/* Frames in the WAL after the last commit; 0 also if that is not known yet. */
static inline uint32_t sql_frames(const struct sql_file *f)
{
    uint64_t mark = __atomic_load_n(&f->wal_mark, __ATOMIC_SEQ_CST);
    return (uint32_t)(mark & ((1u << SQL_MARK_FRAME_BITS) - 1));
}

/* sql_wal.c */
/* Frames up to and including the last valid commit frame, by SQLite's own checksums. */
NODISCARD enum err sql_wal_count(int fd, uint32_t *ret_frames, struct error *ret_error);

/* sql_guard.c: the authorizer and the limits of a guest's connection. */
void sql_guard_install(struct sql_conn *c);

/* sql_params.c */
NODISCARD enum err sql_params_count(struct slice params, uint32_t *ret_count,
                                    struct error *ret_error);
NODISCARD enum err sql_params_bind(sqlite3_stmt *stmt, struct slice params,
                                   struct error *ret_error);
/* lstr with invalid UTF-8 replaced by U+FFFD; ERR_LIMIT above len_max. */
NODISCARD enum err sql_text_append(struct bytes *out, struct slice text, size_t len_max);

/* sql_error.c: SQLite's code as ours. db may be NULL. */
enum err sql_error_descriptors(struct error *ret_error, const char *path); /* none is left */
enum err sql_error(struct error *ret_error, const char *path, sqlite3 *db, int rc);
