/* SPDX-License-Identifier: Apache-2.0
 *
 * The one connection that writes. A batch is begin, apply for each mutation, commit; a failed
 * mutation leaves nothing behind and does not disturb the others, a failed connection
 * (writer_is_lost) fails the batch. Writer thread only, once the store is open. */
#pragma once

#include "store/internal.h"
#include "store/sqlite/db.h"

/* Who counts belong to: a function is its id, a resource this. */
static inline int64_t writer_resource(int64_t resource_id)
{
    return -resource_id;
}

/* What is counted for each function or resource. */
enum writer_counted {
    WRITER_COUNTED_EXECUTIONS, /* finished ones */
    WRITER_COUNTED_LOGS,
    WRITER_COUNTED_ROW_BYTES, /* of both: writer_count_rows() */
    WRITER_COUNTED_DURABLE,   /* + enum durable_status */
    WRITER_COUNTED_PAUSED = WRITER_COUNTED_DURABLE + DURABLE_CANCELLED + 1,
    WRITER_COUNTED_BYTES,  /* of executions, as of their rows */
    WRITER_COUNTED_ITEMS,  /* of a resource */
    WRITER_COUNTED_STORED, /* not in the database, but of a resource: see stored.h */
    WRITER_COUNTED_FORKED, /* likewise: copied for forks that are not done */
    WRITER_COUNTED_GONE,   /* likewise: the function was deleted */
    WRITER_COUNTED,
};

/* What a batch adds to the counts of a function or resource. */
struct writer_count {
    int64_t owner;
    int64_t add[WRITER_COUNTED];
};

/* One addition of the running mutation, to be undone when it is refused. */
struct writer_counting {
    size_t slot;
    enum writer_counted what;
    int64_t add;
};

struct writer {
    struct store *store;
    struct db db;
    int64_t execution_rows_max, log_rows_max;
    struct writer_count *counts; /* of the running transaction */
    size_t counts_len, counts_cap;
    struct writer_counting *countings; /* of the running mutation */
    size_t countings_len, countings_cap;
    int64_t epoch;       /* of the lease that this writer took */
    int64_t durable_seq; /* last one given to an execution */
    struct map kept;     /* rows of executions that run: durable.c */
    unsigned forks; /* that are being copied; what others left of theirs goes when there are none */
    struct store_accounts accounts;
    struct map stored; /* owner of counts -> struct stored: stored.c */
    int64_t keep_us;   /* durable_keep_us */
    int64_t retain_us; /* when finished executions are next looked through; INT64_MAX: not */
    int64_t retain_after_us, retain_after_seq; /* where that has come to */
    bool retain_has_kept;                      /* it has met some that are wanted */
    int64_t audit_keep_us, audit_rows_max;     /* 0: for good, all */
    int64_t audit_trimmed;                     /* the anchor's seq, as far as it is known */
    int64_t audit_us;                          /* when its age is next looked at; INT64_MAX: not */
    bool audit_is_bad;                         /* it is not as it was written: nothing goes */
    char artifacts_after
        [65]; /* where a walk over those that may be unused has come to; "": none goes on */
    int64_t artifacts_us; /* when the next one begins, 0: as soon as there is something to tidy */
    bool has_recent_artifacts; /* this walk has left some */
    int64_t uploads_us;        /* when old uploads are next looked for */
    int64_t expires_us;        /* when keys that expire are next looked at; INT64_MAX: not */
    int64_t usage_hour, usage_tidied_hour; /* the newest; older ones have gone as of */
    int wal_pages;                         /* in the log since it was last copied to the database */
    bool is_log_sized;
    bool needs_tidy;    /* something to trim or to purge */
    bool is_guarded;    /* the running mutation has a savepoint */
    bool is_lost;       /* the running transaction cannot be committed */
    bool is_fenced;     /* for ever: another server has taken the database over */
    char taken_by[128]; /* then: what the other one calls itself, "" if the lease is gone */
};

/* Opens, checks that the file is ours, migrates, and settles what a stopped server left unfinished.
 */
NODISCARD enum err writer_open(struct store *s, const char *path, const char *folder,
                               const struct store_config *config, struct writer **ret_writer,
                               struct error *ret_error);
void writer_close(struct writer *w); /* NULL is allowed */

/* ERR_FENCED: the lease has a later epoch, which nothing undoes. */
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
/* tidy_durable.c: parts of it. *ret_did: something was done, there may be more; *rows: what the
 * step may still remove. */
NODISCARD enum err tidy_deleted_durables(struct writer *w, int64_t function_id, int64_t *rows,
                                         struct error *ret_error);
NODISCARD enum err tidy_retain(struct writer *w, bool *ret_did, struct error *ret_error);
NODISCARD enum err tidy_purge(struct writer *w, bool *ret_did, struct error *ret_error);
/* audit.c: rows that are too old or too many. */
NODISCARD enum err tidy_audit(struct writer *w, bool *ret_did, struct error *ret_error);
/* resource.c: what deleted ones held. */
NODISCARD enum err tidy_resources(struct writer *w, bool *ret_did, struct error *ret_error);
/* object.c: multipart uploads that were begun a week ago. */
NODISCARD enum err tidy_uploads(struct writer *w, bool *ret_did, struct error *ret_error);
/* kv.c: keys that have expired. */
NODISCARD enum err tidy_kv_expired(struct writer *w, bool *ret_did, struct error *ret_error);
/* usage.c: hours that are too old. */
NODISCARD enum err tidy_usage(struct writer *w, bool *ret_did, struct error *ret_error);
/* After how long there is something to tidy though no mutation came; INT64_MAX: never. */
int64_t writer_patience_us(const struct writer *w);
/* Copies the log into the database when it has grown. After acknowledging, never before. */
NODISCARD enum err writer_checkpoint(struct writer *w, struct error *ret_error);

/* A step towards a log that has its size; when nothing else is to be done. */
NODISCARD enum err writer_size_log(struct writer *w, bool *ret_more, struct error *ret_error);

/* For what applies and tidies. */
void writer_add_count(struct writer *w, int64_t owner, enum writer_counted what, int64_t add);
/* What executions and log lines of a function have taken, or given back, of the disk. */
void writer_count_rows(struct writer *w, int64_t function_id, int64_t bytes);
/* The running mutation was applied (a new one begins), or refused: what it counted is undone. */
void writer_counted(struct writer *w, bool is_refused);

/* What a row of table execution or log takes beside its texts. */
enum { ROW_EXECUTION_BYTES = 256, ROW_LOG_BYTES = 64 };
#define ROW_EXECUTION_SQL "256"
#define ROW_LOG_SQL "64"

enum writer_stmt {
#define STATEMENT(NAME, sql) WRITER_##NAME,
#include "store/sqlite/writer_statements.def"
    WRITER_STMTS,
};

extern const char *const writer_sqls[WRITER_STMTS];
