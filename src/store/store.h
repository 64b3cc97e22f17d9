/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server must remember: functions, versions, builds, env, executions, logs. Mutations are
 * typed, queued from any thread and applied by one writer thread, which commits whatever has queued
 * up as one transaction (group commit) and syncs it before anything is acknowledged. Reads see what
 * is committed; they run on a reader, one per thread. No other code touches the store's tables.
 *
 * Texts in results belong to the arena given. Times are microseconds since 1970 (clock_wall_us). */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct loop;
struct store;
struct store_reader;

struct store_config {
    const char *url;             /* "sqlite:./data/db.sqlite" */
    const char *artifact_dir;    /* bundles and source maps, a file each, named by SHA-256 */
    uint32_t log_rows_max;       /* kept per function; 0: 10000 */
    uint32_t execution_rows_max; /* kept per function, finished ones only; 0: 100000 */
};

/* Opens, locks the data folder against a second server (ERR_CONFLICT), migrates the schema. */
NODISCARD enum err store_open(const struct store_config *config, struct store **ret_store,
                              struct error *ret_error);
void store_close(struct store *s); /* commits what is queued */

enum store_kind { STORE_FUNCTION, STORE_WORKFLOW };
enum build_status { BUILD_QUEUED, BUILD_BUNDLING, BUILD_EVALUATING, BUILD_READY, BUILD_FAILED };
enum execution_status { EXECUTION_RUNNING, EXECUTION_SUCCESS, EXECUTION_FAILURE };
const char *build_status_text(enum build_status s);         /* "queued" … */
const char *execution_status_text(enum execution_status s); /* "running" "success" "failure" */

enum isolation { ISOLATION_REQUEST, ISOLATION_MODULE };

/* How a version runs; stored as JSON with it. Zero means the default of base/limits.h. */
struct version_options {
    enum isolation isolation;
    uint32_t memory_mb, cpu_ms, wall_ms;
    struct slice domains; /* comma-separated egress allow list, "" for none */
};

struct function_row {
    struct slice name;
    enum store_kind kind;
    int64_t version;   /* number of the version that serves, 0: none yet */
    struct slice hash; /* SHA-256 hex of its bundle, "" if none */
    enum build_status last_build_status;
    int64_t last_build;
    int64_t created_us, updated_us;
};

struct version_row {
    struct slice function;
    int64_t number;
    struct slice hash, source_map_hash; /* artifacts; source_map_hash may be "" */
    uint32_t exports;                   /* enum abi_export */
    bool is_setup_done;
    struct version_options options;
    int64_t created_us;
};

struct build_row {
    struct slice function;
    int64_t number; /* 1, 2, 3 per function */
    enum build_status status;
    int64_t version; /* made by it, 0 if none */
    int64_t created_us, started_us, finished_us;
    struct slice error_message, error_file, error_frame; /* "" if none */
    int64_t error_line, error_column;
};

struct env_row {
    struct slice name, value;
};

struct execution_row {
    struct slice id, function;
    int64_t version;
    enum execution_status status;
    struct slice input, output, metadata; /* JSON, "" if none */
    struct slice error;                   /* JSON error object, "" if none */
    int64_t created_us, finished_us;
};

struct log_row {
    int64_t id;                       /* grows; a cursor for following */
    struct slice function, execution; /* execution "" for public requests */
    int level;
    int64_t at_us;
    struct slice text;
};

/* ---- mutations: any thread ---- */

/* A mutation in flight. The caller owns the struct until done, which runs on loop. Slices given to
 * a store_x() call are copied by it. */
struct store_op {
    struct loop *loop;
    void (*done)(struct store_op *op); /* NULL: nobody waits (op may then be NULL too) */
    struct error error;                /* code OK: committed and durable */
    int64_t number;                    /* result: build number, version number */
    /* private */
    void *internal;
};

/* Makes the function if it is new (result: the number of the new build, status queued).
 * ERR_OVERLOAD never: callers bound their queues. */
void store_build_start(struct store *s, struct store_op *op, struct slice function,
                       enum store_kind kind);
void store_build_status(struct store *s, struct store_op *op, struct slice function, int64_t build,
                        enum build_status status);
void store_build_fail(struct store *s, struct store_op *op, const struct build_row *row);
/* Publishes a version and makes it the serving one, finishes the build, in one commit (result:
 * version number). The artifacts must be stored before (store_artifact_put). ERR_NOT_FOUND if the
 * function was deleted meanwhile. A bundle and options equal to the serving version's make no new
 * version, only its source map is replaced: the result is that one's number. ERR_INTERNAL if an
 * artifact is not stored. */
void store_publish(struct store *s, struct store_op *op, int64_t build,
                   const struct version_row *version);
void store_setup_done(struct store *s, struct store_op *op, struct slice function, int64_t version);
void store_function_delete(struct store *s, struct store_op *op,
                           struct slice function); /* and all that hangs on it */
void store_env_set(struct store *s, struct store_op *op, struct slice function, struct slice name,
                   struct slice value);
void store_env_delete(struct store *s, struct store_op *op, struct slice function,
                      struct slice name);
/* A row whose status is not running is stored as a finished one: one mutation instead of two. Times
 * of 0 are now. */
void store_execution_start(struct store *s, struct store_op *op, const struct execution_row *row);
/* By id; ERR_CONFLICT if it has finished already. */
void store_execution_finish(struct store *s, struct store_op *op, const struct execution_row *row);
/* Never waits for anything; under pressure lines are dropped and counted, and a line says how many.
 */
void store_log(struct store *s, const struct log_row *row);

/* ---- artifacts: any thread, blocking ---- */

/* Writes by temporary file, fsync, rename, fsync of the folder. ret_hash: 65 bytes. */
NODISCARD enum err store_artifact_put(struct store *s, struct slice content, char ret_hash[65],
                                      struct error *ret_error);
/* Verifies the hash (ERR_CORRUPT). */
NODISCARD enum err store_artifact_get(struct store *s, struct slice hash, struct bytes *ret_content,
                                      struct error *ret_error);

/* ---- reads: a reader belongs to one thread at a time; microseconds, from the page cache ---- */

NODISCARD enum err store_reader_open(struct store *s, struct store_reader **ret_reader,
                                     struct error *ret_error);
void store_reader_close(struct store_reader *r);

struct store_page {
    int64_t limit;       /* at most 1000 */
    struct slice cursor; /* "" from the newest; else ret_next of the page before */
};
NODISCARD enum err store_functions(struct store_reader *r, struct arena *a, enum store_kind kind,
                                   struct function_row **ret_rows, size_t *ret_len,
                                   struct error *ret_error);
NODISCARD enum err store_function(struct store_reader *r, struct arena *a, struct slice name,
                                  struct function_row *ret_row, struct error *ret_error);
/* number 0: the serving one */
NODISCARD enum err store_version(struct store_reader *r, struct arena *a, struct slice function,
                                 int64_t number, struct version_row *ret_row,
                                 struct error *ret_error);
NODISCARD enum err store_builds(struct store_reader *r, struct arena *a, struct slice function,
                                struct build_row **ret_rows, size_t *ret_len,
                                struct error *ret_error);
NODISCARD enum err store_build(struct store_reader *r, struct arena *a, struct slice function,
                               int64_t number, struct build_row *ret_row, struct error *ret_error);
NODISCARD enum err store_env(struct store_reader *r, struct arena *a, struct slice function,
                             struct env_row **ret_rows, size_t *ret_len, struct error *ret_error);
NODISCARD enum err store_executions(struct store_reader *r, struct arena *a,
                                    struct slice function /* "": all */,
                                    const struct store_page *page, struct execution_row **ret_rows,
                                    size_t *ret_len, struct slice *ret_next,
                                    struct error *ret_error);
NODISCARD enum err store_execution(struct store_reader *r, struct arena *a, struct slice id,
                                   struct execution_row *ret_row, struct error *ret_error);
/* Lines with id > after (after -1: the newest limit lines), oldest first; execution "" for all. */
NODISCARD enum err store_logs(struct store_reader *r, struct arena *a, struct slice function,
                              struct slice execution, int64_t after, int64_t limit,
                              struct log_row **ret_rows, size_t *ret_len, struct error *ret_error);

struct store_stats {
    uint64_t commits, mutations, commit_ns_total, logs_dropped;
    uint64_t queued;  /* now */
    bool is_refusing; /* the last commit failed (disk full, I/O): mutations fail until one succeeds
                       */
};
void store_stats(const struct store *s, struct store_stats *ret_stats); /* any thread */
