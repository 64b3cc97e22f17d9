/* SPDX-License-Identifier: Apache-2.0
 *
 * The one connection that writes. A batch is begin, apply for each mutation, commit; a failed
 * mutation leaves nothing behind and does not disturb the others, a failed connection
 * (writer_is_lost) fails the batch. Writer thread only, once the store is open. */
#pragma once

#include "store/internal.h"
#include "store/sqlite/db.h"

/* What a batch adds to a function's counts. */
struct writer_count {
    int64_t function_id;
    int64_t executions, logs;
};

struct writer {
    struct store *store;
    struct db db;
    int64_t execution_rows_max, log_rows_max;
    struct writer_count *counts; /* of the running transaction */
    size_t counts_len, counts_cap;
    int wal_pages;   /* in the log since it was last copied to the database */
    bool needs_tidy; /* something to trim or to purge */
    bool is_lost;    /* the running transaction cannot be committed */
};

/* Opens, checks that the file is ours, migrates, and settles what a stopped server left unfinished.
 */
NODISCARD enum err writer_open(struct store *s, const struct store_config *config,
                               struct writer **ret_writer, struct error *ret_error);
void writer_close(struct writer *w); /* NULL is allowed */

NODISCARD enum err writer_begin(struct writer *w, struct error *ret_error);
NODISCARD enum err writer_commit(struct writer *w, struct error *ret_error);
void writer_rollback(struct writer *w);
/* Writes one row and commits: is the database writable again? */
NODISCARD enum err writer_probe(struct writer *w, struct error *ret_error);

/* apply.c: one mutation inside the running transaction. */
NODISCARD enum err writer_apply(struct writer *w, const struct mutation *m, int64_t *ret_number,
                                struct error *ret_error);

/* tidy.c: one small step with its own commit. ret_more: there is more to do. */
NODISCARD enum err writer_tidy(struct writer *w, bool *ret_more, struct error *ret_error);
/* Copies the log into the database when it has grown. After acknowledging, never before. */
NODISCARD enum err writer_checkpoint(struct writer *w, struct error *ret_error);

/* For apply.c and tidy.c. */
void writer_add_count(struct writer *w, int64_t function_id, int64_t executions, int64_t logs);

enum writer_stmt {
    WRITER_BEGIN,
    WRITER_COMMIT,
    WRITER_SAVEPOINT,
    WRITER_RELEASE,
    WRITER_ROLLBACK_TO,
    WRITER_PROBE,
    WRITER_COUNT,
    WRITER_FUNCTION_FIND,
    WRITER_FUNCTION_ADD,
    WRITER_FUNCTION_BUILD_NEXT,
    WRITER_FUNCTION_TOUCH,
    WRITER_FUNCTION_VERSION_SET,
    WRITER_FUNCTION_DELETE,
    WRITER_FUNCTION_DELETED_ADD,
    WRITER_BUILD_ADD,
    WRITER_BUILD_FIND,
    WRITER_BUILD_SET,
    WRITER_BUILD_FAIL,
    WRITER_BUILD_READY,
    WRITER_BUILDS_DELETE,
    WRITER_VERSION_FIND,
    WRITER_VERSION_ADD,
    WRITER_VERSION_SOURCE_MAP_SET,
    WRITER_VERSION_SETUP_DONE,
    WRITER_VERSIONS_DELETE,
    WRITER_ARTIFACT_UNUSED_ADD,
    WRITER_ARTIFACTS_UNUSED_ADD,
    WRITER_ENV_HAS,
    WRITER_ENV_COUNT,
    WRITER_ENV_SET,
    WRITER_ENV_DELETE,
    WRITER_ENVS_DELETE,
    WRITER_EXECUTION_ADD,
    WRITER_EXECUTION_FINISH,
    WRITER_EXECUTION_FIND,
    WRITER_LOG_ADD,
    WRITER_TIDY_DELETED,
    WRITER_TIDY_DELETED_EXECUTIONS,
    WRITER_TIDY_DELETED_LOGS,
    WRITER_TIDY_DELETED_DONE,
    WRITER_TIDY_EXCESS,
    WRITER_TIDY_EXECUTIONS,
    WRITER_TIDY_LOGS,
    WRITER_TIDY_COUNTED,
    WRITER_TIDY_ARTIFACTS,
    WRITER_TIDY_ARTIFACT_USED,
    WRITER_TIDY_ARTIFACT_DONE,
    WRITER_STMTS,
};

extern const char *const writer_sqls[WRITER_STMTS];
