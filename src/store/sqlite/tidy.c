/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writer does when nobody waits: removes what deleted functions left behind, trims
 * executions and log lines to what is kept (durable ones: tidy_durable.c), removes artifacts that
 * no version names, copies the write-ahead log into the database. Each call is one small
 * transaction, so that a mutation that arrives waits for milliseconds at most. */
#include "base/clock.h"
#include "store/sqlite/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TIDY_WAL_PAGES = 2000,            /* 8 MB */
    TIDY_LOG_BYTES = 9 * 1024 * 1024, /* what the log has when that many pages are in it */
    TIDY_LOG_STEP_BYTES = 512 * 1024,
    TIDY_SLACK_MAX =
        512, /* rows above the limit before trimming starts; it then pays for its commit */
};

static int64_t tidy_threshold(int64_t rows_max)
{
    int64_t slack = rows_max / 16;
    return rows_max + (slack < 1 ? 1 : slack > TIDY_SLACK_MAX ? TIDY_SLACK_MAX : slack);
}

static int64_t tidy_rows(int64_t rows)
{
    return rows < STORE_TIDY_ROWS ? rows : STORE_TIDY_ROWS;
}

/* First row of a statement as integers. */
static enum err tidy_row(struct writer *w, int stmt, const struct db_param *params,
                         int64_t *ret_values, int count, bool *ret_has_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code = db_query(&w->db, stmt, params, &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, ret_has_row, ret_error);
    for (int i = 0; code == OK && *ret_has_row && i < count; i++)
        ret_values[i] = db_int(st, i);
    return code;
}

static enum err tidy_deleted(struct writer *w, bool *ret_did, struct error *ret_error)
{
    int64_t id = 0;
    enum err code = tidy_row(w, WRITER_TIDY_DELETED, PARAMS(), &id, 1, ret_did, ret_error);
    if (code != OK || !*ret_did)
        return code;
    static const enum writer_stmt steps[] = {WRITER_TIDY_DELETED_EXECUTIONS,
                                             WRITER_TIDY_DELETED_LOGS};
    int64_t removed = 0;
    for (size_t i = 0; i < ARRAY_LEN(steps) && code == OK && removed < STORE_TIDY_ROWS; i++) {
        code = db_run(&w->db, steps[i], PARAMS(P_INT(id), P_INT(STORE_TIDY_ROWS - removed)),
                      ret_error);
        removed += code == OK ? db_changes(&w->db) : 0;
    }
    int64_t left = STORE_TIDY_ROWS - removed;
    if (code == OK && left > 0)
        code = tidy_deleted_durables(w, id, &left, ret_error);
    if (code == OK && left > 0)
        code = db_run(&w->db, WRITER_TIDY_DELETED_DONE, PARAMS(P_INT(id)), ret_error);
    return code;
}

/* Removes rows; each answers with what it took. */
static enum err tidy_trim(struct writer *w, int stmt, int64_t function_id, int64_t rows,
                          int64_t *ret_rows, int64_t *bytes, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, stmt, PARAMS(P_INT(function_id), P_INT(rows)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row) {
        ++*ret_rows;
        *bytes += db_int(st, 0);
        code = db_step(&w->db, st, &has_row, ret_error);
    }
    return code;
}

static enum err tidy_excess(struct writer *w, bool *ret_did, struct error *ret_error)
{
    int64_t row[3] = {0}; /* function, executions too many, log lines too many */
    enum err code = tidy_row(w, WRITER_TIDY_EXCESS,
                             PARAMS(P_INT(tidy_threshold(w->execution_rows_max)),
                                    P_INT(tidy_threshold(w->log_rows_max)),
                                    P_INT(w->execution_rows_max), P_INT(w->log_rows_max)),
                             row, 3, ret_did, ret_error);
    if (code != OK || !*ret_did)
        return code;
    int64_t executions = tidy_rows(row[1]), logs = tidy_rows(row[2]);
    int64_t executions_gone = 0, logs_gone = 0, bytes = 0;
    if (executions)
        code = tidy_trim(w, WRITER_TIDY_EXECUTIONS, row[0], executions, &executions_gone, &bytes,
                         ret_error);
    if (code == OK && logs)
        code = tidy_trim(w, WRITER_TIDY_LOGS, row[0], logs, &logs_gone, &bytes, ret_error);
    if (code != OK)
        return code;
    writer_count_rows(w, row[0], -bytes);
    if (executions_gone < executions || logs_gone < logs)
        return db_run(&w->db, WRITER_TIDY_COUNTED, PARAMS(P_INT(row[0])), ret_error);
    writer_add_count(w, row[0], WRITER_COUNTED_EXECUTIONS, -executions_gone);
    writer_add_count(w, row[0], WRITER_COUNTED_LOGS, -logs_gone);
    return OK;
}

static enum err tidy_artifact_next(struct writer *w, char *hash, size_t hash_size,
                                   bool *ret_has_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code =
        db_query(&w->db, WRITER_TIDY_ARTIFACTS, PARAMS(P_TEXT(slice_cstr(hash))), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, ret_has_row, ret_error);
    if (code == OK && *ret_has_row)
        snprintf(hash, hash_size, "%.*s", SLICE_ARG(db_text(st, 0)));
    return code;
}

/* A set of static files that no version has any more; what it used is looked at next. */
static enum err tidy_assets(struct writer *w, bool *ret_did, struct error *ret_error)
{
    static const enum writer_stmt steps[] = {WRITER_TIDY_ASSET_UNUSED, WRITER_TIDY_ASSET_USES,
                                             WRITER_TIDY_ASSET_SET_DONE};
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    char hash[65] = "";
    enum err code = db_query(&w->db, WRITER_TIDY_ASSET_SET, PARAMS(), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, ret_did, ret_error);
    if (code != OK || !*ret_did)
        return code;
    snprintf(hash, sizeof(hash), "%.*s", SLICE_ARG(db_text(st, 0)));
    db_release(&st);
    for (size_t i = 0; i < ARRAY_LEN(steps) && code == OK; i++)
        code = db_run(&w->db, steps[i], PARAMS(P_TEXT(slice_cstr(hash))), ret_error);
    return code;
}

/* At most so many rows of the table in one step, in the order of their hashes. Artifacts that were put a moment
 * ago are left in it; another look takes them, not at once. */
static enum err tidy_artifacts(struct writer *w, bool *ret_did, struct error *ret_error)
{
    enum { LOOKED_AT_MAX = 256, REMOVED_MAX = 16, PAUSE_US = 5 * 1000 * 1000 };
    int removed = 0;
    if (w->artifacts_after[0] == '\0' && clock_wall_us() < w->artifacts_us)
        return OK;
    for (int looked_at = 0; looked_at < LOOKED_AT_MAX && removed < REMOVED_MAX; looked_at++) {
        bool has_row = false, is_used = false;
        int64_t ignored = 0;
        enum err code = tidy_artifact_next(w, w->artifacts_after, sizeof(w->artifacts_after),
                                           &has_row, ret_error);
        if (code != OK)
            return code;
        if (!has_row) { /* that was all */
            w->artifacts_after[0] = '\0';
            w->artifacts_us = w->has_recent_artifacts ? clock_wall_us() + PAUSE_US : 0;
            w->has_recent_artifacts = false;
            return OK;
        }
        struct slice name = slice_cstr(w->artifacts_after);
        code = tidy_row(w, WRITER_TIDY_ARTIFACT_USED, PARAMS(P_TEXT(name)), &ignored, 1, &is_used,
                        ret_error);
        if (code != OK)
            return code;
        if (!is_used && !artifact_remove(w->store, name)) {
            w->has_recent_artifacts = true;
            continue;
        }
        code = db_run(&w->db, WRITER_TIDY_ARTIFACT_DONE, PARAMS(P_TEXT(name)), ret_error);
        if (code == OK && !is_used)
            code = db_run(&w->db, WRITER_TIDY_ASSET_KNOWN, PARAMS(P_TEXT(name)), ret_error);
        if (code != OK)
            return code;
        removed++;
    }
    *ret_did = true; /* there may be more */
    return OK;
}

enum err writer_tidy(struct writer *w, bool *ret_more, struct error *ret_error)
{
    static enum err (*const jobs[])(struct writer *, bool *, struct error *) = {
        tidy_deleted, tidy_resources, tidy_purge, tidy_retain, tidy_excess,   tidy_kv_expired,
        tidy_uploads, tidy_audit,     tidy_usage, tidy_assets, tidy_artifacts};
    if (!w->needs_tidy && writer_patience_us(w) > 0) {
        *ret_more = false;
        return OK;
    }
    bool did = false;
    enum err code = writer_begin(w, ret_error);
    for (size_t i = 0; i < ARRAY_LEN(jobs) && code == OK && !did; i++)
        code = jobs[i](w, &did, ret_error);
    if (code == OK)
        code = writer_commit(w, ret_error); /* syncs nothing when nothing was written */
    if (code != OK) {
        writer_rollback(w);
        return code;
    }
    w->needs_tidy = did;
    *ret_more = did;
    return OK;
}

/* Appends zeros to the log's file, which has no frame there. *ret_len: its length then; 0: there is
 * none yet. */
static enum err tidy_extend_log(struct writer *w, off_t *ret_len, struct error *ret_error)
{
    static const char zeros[64 * 1024];
    char path[PATH_MAX];
    struct stat st = {0};
    snprintf(path, sizeof(path), "%s-wal", w->db.path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return OK;
    bool is_ok = fstat(fd, &st) == 0;
    *ret_len = st.st_size;
    if (is_ok && st.st_size > 0 && st.st_size < TIDY_LOG_BYTES) {
        *ret_len += TIDY_LOG_STEP_BYTES;
        for (off_t at = st.st_size; is_ok && at < *ret_len; at += (off_t)sizeof(zeros))
            is_ok = pwrite(fd, zeros, sizeof(zeros), at) == (ssize_t)sizeof(zeros);
        is_ok = is_ok && fdatasync(fd) == 0;
    }
    int os = errno;
    close(fd);
    return is_ok ? OK : folder_error(ret_error, os, "give its size to", path);
}

/* A sync of a file that grows writes its metadata, too, which makes a commit cost twice as much. So
 * the log is given the size to which it grows before it is used again from its start. Under the
 * lock for writing: whoever might have taken the database over appends to it, too. */
enum err writer_size_log(struct writer *w, bool *ret_more, struct error *ret_error)
{
    off_t len = 0;
    if (w->is_log_sized)
        return OK;
    enum err code = writer_begin(w, ret_error);
    if (code == OK)
        code = tidy_extend_log(w, &len, ret_error);
    writer_rollback(w);
    w->is_log_sized = code != OK || len >= TIDY_LOG_BYTES; /* not again on a disk that is full */
    *ret_more = len > 0 && !w->is_log_sized;
    return code;
}

enum err writer_checkpoint(struct writer *w, struct error *ret_error)
{
    if (w->wal_pages < TIDY_WAL_PAGES)
        return OK;
    w->wal_pages = 0; /* set again by the next commit */
    int rc = sqlite3_wal_checkpoint_v2(w->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? OK : db_error(&w->db, rc, ret_error);
}
