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

#include "base/arena.h"
#include "base/budget.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/module_kind.h"
#include "base/slice.h"
#include "loop/op.h"

struct loop;
struct store;

struct store_config {
    const char *url;             /* "sqlite:./data/db.sqlite": the scheme names the backend */
    const char *data_dir;        /* made, too; NULL: nobody needs one */
    const char *artifact_dir;    /* of versions, a file each, named by SHA-256 */
    uint32_t log_rows_max;       /* kept per function; 0: 10000 */
    uint32_t execution_rows_max; /* kept per function, finished ones only; 0: 100000 */
    int64_t durable_keep_us; /* finished durable executions are removed after so long; 0: 7 days */
    int64_t audit_keep_us;   /* rows of the audit log go after so long; 0: never */
    int64_t audit_rows_max;  /* so many of them are kept; 0: all */
    const char *secret_key;  /* that secrets are sealed with; NULL: of a file, made at first */
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

enum build_status { BUILD_QUEUED, BUILD_BUNDLING, BUILD_EVALUATING, BUILD_READY, BUILD_FAILED };
enum execution_status { EXECUTION_RUNNING, EXECUTION_SUCCESS, EXECUTION_FAILURE };
const char *build_status_text(enum build_status s);         /* "queued" … */
const char *execution_status_text(enum execution_status s); /* "running" "success" "failure" */

enum isolation { ISOLATION_REQUEST, ISOLATION_MODULE };

/* How a version runs; stored as JSON with it. Zero means the default of base/limits.h. */
struct version_options {
    enum isolation isolation;
    uint32_t memory_mb, cpu_ms, wall_ms, sql_transaction_ms;
    struct slice domains; /* comma-separated egress allow list, "" for none */
    struct slice vars;    /* its own variables: a JSON object, "" for none */
    struct slice runtime; /* what runs it: a name, "" for the first (module/runtimes.h) */
};

/* Modules are named as base/module_name.h says: "name", or "namespace/name". */
struct namespace_row {
    struct slice name;
    int64_t created_us;            /* 0: the default one, which is always there */
    int64_t modules[MODULE_KINDS]; /* how many of each kind */
};

struct function_row {
    struct slice name;
    enum module_kind kind;
    int64_t version;          /* number of the version that serves, 0: none yet */
    int64_t split_version;    /* another one that answers a part of the requests, 0: none */
    uint32_t split_permyriad; /* of 10,000 requests */
    struct slice hash;        /* SHA-256 hex of its artifact, "" if none */
    enum build_status last_build_status;
    int64_t last_build;
    int64_t created_us, updated_us;
};

struct version_row {
    struct slice function;
    int64_t number;
    struct slice hash, detail_hash; /* artifacts; detail_hash may be "" */
    uint32_t exports;               /* enum module_export */
    bool is_setup_done;
    struct version_options options;
    struct slice
        assets; /* manifest of its static files (asset/assets.h), "" if none; read only by the
                            query of a module */
    int64_t created_us;
    bool is_kept_back; /* of store_publish(): the one that serves goes on */
};

enum { STORE_SPLIT_ALL = 10000 };

struct build_row {
    struct slice function;
    int64_t number; /* 1, 2, 3 per function */
    enum build_status status;
    int64_t version; /* made by it, 0 if none */
    int64_t created_us, started_us, finished_us;
    struct slice error_message, error_file, error_frame; /* "" if none */
    int64_t error_line, error_column;
};

/* Versions of a namespace's variables, as its modules have them, are counted from here: the same name
 * may have been the module's own. */
#define STORE_SHARED_VERSION (INT64_C(1) << 62)

struct env_row {
    struct slice name, value;
    int64_t version; /* another one for each value that it had */
    bool is_secret;
    struct slice hosts;  /* it is bound to them, a space between: then value is its placeholder, */
    struct slice secret; /* and this what it stands for, if it was to be opened */
    int64_t created_us, updated_us;
};

struct execution_row {
    struct slice id, function;
    int64_t version;
    enum execution_status status;
    struct slice input, output, metadata; /* JSON, "" if none */
    struct slice error;                   /* JSON error object, "" if none */
    int64_t created_us, finished_us;
};

/* ---- durable executions: runs of workflows ---- */

enum durable_status {
    DURABLE_QUEUED,    /* never ran yet */
    DURABLE_RUNNING,   /* in the memory of its owner, or was when the server ended */
    DURABLE_SUSPENDED, /* waits for wake_us or an event; needs no memory */
    DURABLE_COMPLETED,
    DURABLE_FAILED,
    DURABLE_CANCELLED,
};
const char *durable_status_text(enum durable_status s); /* "queued" ... */
bool durable_status_read(struct slice text, enum durable_status *ret_status);
static inline bool durable_is_finished(enum durable_status s)
{
    return s >= DURABLE_COMPLETED;
}

struct durable_row {
    int64_t seq; /* grows with the start; a cursor */
    struct slice id, workflow,
        export_name;  /* workflow: the module's name; export "" is the default one */
    struct slice key; /* of the start, "" if none */
    int64_t version;  /* pinned at the start */
    enum durable_status status;
    bool is_paused, is_cancel_requested;
    struct slice parent;          /* id of the execution that started it, "" if none */
    struct slice input, metadata; /* JSON */
    struct slice output, error; /* JSON, "" if none; error: {"code","name","message","stack",...} */
    struct slice progress;      /* JSON, "" if none */
    struct slice parked;        /* with is_paused: why it is not run until somebody resumes it */
    int64_t records;            /* in its journal */
    int64_t events;             /* signals, ends of children and requests that it was sent so far */
    int64_t wake_us;            /* when it is due; INT64_MAX: only an event makes it due */
    int64_t attempt;            /* 1; one more for each retry */
    int64_t lines; /* log lines stored that the code printed outside of steps; -1: not known */
    int64_t created_us, started_us, finished_us; /* 0: not yet */
};

/* Of texts in one commit or start: ERR_TOO_LARGE. */
enum { STORE_COMMIT_BYTES_MAX = 256 * 1024 * 1024 };

struct durable_signal {
    int64_t seq; /* grows per execution */
    int64_t at_us;
    struct slice name, data;
};

struct durable_message { /* a signal, or with an empty name a request to cancel */
    struct slice execution, name, data;
    struct slice once; /* a second one with the same text is ignored; "": not checked */
};

/* One part of what is done to an execution: a row of mutations.def. */
enum store_step_kind {
#define STEP(KIND, name, guard, fields) STORE_STEP_##KIND,
#include "store/mutations.def"
    STORE_STEPS,
};
struct store_step {
    enum store_step_kind kind;
    union {
#define T(name) struct slice name;
#define V(type, name) type name;
#define N(member)
#define STEP(KIND, name, guard, fields)                                                            \
    struct {                                                                                       \
        fields                                                                                     \
    } name;
#include "store/mutations.def"
#undef T
#undef V
#undef N
    };
};

struct log_row {
    int64_t id;                       /* grows; a cursor for following */
    struct slice function, execution; /* execution "" for public requests */
    int level;
    int64_t at_us;
    struct slice text;
};

/* What a module used in an hour. Kept under its name, also when it has been deleted. */
struct usage_row {
    struct slice module;
    int64_t hour; /* since 1970; 0 in totals */
    int64_t requests, cpu_us, memory_byte_s, egress_bytes;
};

/* How much of each resource a module may hold. */
enum { QUOTA_AS_IT_IS = 0, QUOTA_NONE = -1 };
struct quota_row {
    struct slice module; /* or a namespace */
    bool is_namespace;
    int64_t max[RESOURCES]; /* read: 0 is none */
};

/* What the holder of a token may do; each may what the ones before it may. */
enum token_role { TOKEN_READ, TOKEN_INVOKE, TOKEN_DEPLOY, TOKEN_ADMIN };
const char *token_role_text(enum token_role r); /* "read" … */
bool token_role_read(struct slice text, enum token_role *ret_role);

enum { TOKEN_HASH_BYTES = 32 };
struct token_row {
    struct slice id, space;
    enum token_role role;
    struct slice hash;           /* SHA-256 of its secret part: TOKEN_HASH_BYTES */
    int64_t created_us, used_us; /* used_us: about; 0: never */
};

/* A rule of http/egress_policy.h. */
struct egress_rule_row {
    int64_t id; /* 1, 2, 3 in its namespace */
    bool is_allow;
    struct slice methods, pattern, module; /* module: its bare name */
};

struct audit_row {
    int64_t seq, at_us;
    struct slice actor, space, action, target, outcome, hash;
};

/* Does each row's hash cover the one before? after: the rows up to there are taken for good. */
struct audit_check {
    int64_t after;
    int64_t trimmed, trimmed_us; /* the rows up to there were removed by retention; 0: none */
    int64_t checked, until;      /* rows; the last of them */
    struct slice hash;           /* of that one */
    bool has_more;               /* ask again, after it */
    int64_t bad_seq;             /* 0: none */
    const char *why;
};

/* ---- mutations: any thread ---- */

/* Who asks for a change, and what it is for people: with it the change has a row in the audit log, in
 * the same commit, and so has its refusal. */
struct store_audit {
    struct slice actor, space, action, target;
};

/* A mutation in flight. The caller owns the struct until done, which runs on loop. Slices given to
 * a store_x() call are copied by it. */
struct store_op {
    struct loop *loop;
    void (*done)(struct store_op *op); /* NULL: nobody waits (op may then be NULL too) */
    struct error error;                /* code OK: committed and durable */
    int64_t number;                    /* result: build number, version number */
    const struct store_audit *audit;   /* NULL: none; read when it is queued */
    /* private */
    void *internal;
};

/* From store_gather() to store_send() what this thread asks for is held back, then queued at once:
 * one transaction for a turn's commits, where the first of them would else be taken alone. Nothing
 * may wait in between. */
void store_gather(struct store *s);
void store_send(struct store *s);

/* ERR_CONFLICT: it is there. */
void store_namespace_create(struct store *s, struct store_op *op, struct slice name);
/* With its quotas and tokens. ERR_CONFLICT: it has modules, or is the default one; ERR_NOT_FOUND. Usage stays. */
void store_namespace_delete(struct store *s, struct store_op *op, struct slice name);
/* ERR_NOT_FOUND: there is no such namespace. Fields used: id, space, role, hash. */
void store_token_create(struct store *s, struct store_op *op, const struct token_row *row);
/* From then on it is not there. ERR_NOT_FOUND: not in this namespace. */
void store_token_revoke(struct store *s, struct store_op *op, struct slice space, struct slice id);
void store_token_used(struct store *s, struct store_op *op, struct slice id, int64_t at_us);
/* Result: its id. is_first: before the others, else behind them. ERR_NOT_FOUND; ERR_CONFLICT: there are
 * LIMIT_EGRESS_RULES. */
void store_egress_add(struct store *s, struct store_op *op, struct slice space,
                      const struct egress_rule_row *row, bool is_first);
void store_egress_remove(struct store *s, struct store_op *op, struct slice space, int64_t id);
/* What becomes of requests that no rule is about. */
void store_egress_default(struct store *s, struct store_op *op, struct slice space, bool denies);
/* A row of the audit log about what has no mutation of its own. */
void store_audit(struct store *s, struct store_op *op, const struct store_audit *what,
                 enum err outcome);
/* Makes the function if it is new (result: the number of the new build, status queued).
 * ERR_OVERLOAD never: callers bound their queues. ERR_NOT_FOUND: there is no such namespace. */
void store_build_start(struct store *s, struct store_op *op, struct slice function,
                       enum module_kind kind);
void store_build_status(struct store *s, struct store_op *op, struct slice function, int64_t build,
                        enum build_status status);
void store_build_fail(struct store *s, struct store_op *op, const struct build_row *row);
/* Publishes a version and makes it the serving one (unless it is kept back and there is another), which
 * ends a split, finishes the build, in one commit (result:
 * version number). The artifacts must be stored before (store_artifact_put). ERR_NOT_FOUND if the
 * function was deleted meanwhile. An artifact and options equal to the serving version's make no new
 * version, only its detail is replaced: the result is that one's number. ERR_INTERNAL if an
 * artifact is not stored. */
void store_publish(struct store *s, struct store_op *op, int64_t build,
                   const struct version_row *version);
void store_setup_done(struct store *s, struct store_op *op, struct slice function, int64_t version);
/* The version answers that many of STORE_SPLIT_ALL requests, the serving one the others; with all it is the
 * serving one, with 0 it is in no split any more. ERR_NOT_FOUND. */
/* The content of a static file has been stored (store_asset_put) by this namespace, whose versions may
 * have it from now on. */
void store_asset_known(struct store *s, struct store_op *op, struct slice space, struct slice hash);
void store_version_serve(struct store *s, struct store_op *op, struct slice function,
                         int64_t version, uint32_t permyriad);
void store_function_delete(struct store *s, struct store_op *op,
                           struct slice function); /* and all that hangs on it */
void store_env_set(struct store *s, struct store_op *op, struct slice function, struct slice name,
                   struct slice value);
void store_env_delete(struct store *s, struct store_op *op, struct slice function,
                      struct slice name);
/* The same for one that is sealed at rest. A name is a variable's or a secret's: ERR_CONFLICT. */
struct secret_of {
    struct slice owner, name; /* owner: a module, or */
    bool is_shared; /* a namespace, whose modules all read it unless they have their own */
};
/* hosts: "": bound to none. NULL: as it is. ERR_INVALID: the value of one that is bound cannot stand in
 * a header. */
void store_secret_set(struct store *s, struct store_op *op, const struct secret_of *of,
                      struct slice value, const struct slice *hosts);
void store_secret_delete(struct store *s, struct store_op *op, const struct secret_of *of);
/* A row whose status is not running is stored as a finished one: one mutation instead of two. Times
 * of 0 are now. */
void store_execution_start(struct store *s, struct store_op *op, const struct execution_row *row);
/* By id; ERR_CONFLICT if it has finished already. */
void store_execution_finish(struct store *s, struct store_op *op, const struct execution_row *row);
/* Result: the version that it is pinned to if it was made now, 0 if an execution with this id was
 * there already (a start with the same key). The version is the serving one of the workflow at that
 * moment: ERR_NOT_READY if there is none. Fields used: id, workflow, export_name, key, parent,
 * input, metadata, created_us (0: now). */
void store_durable_start(struct store *s, struct store_op *op, const struct durable_row *row);
/* A commit: steps of an execution, applied in order, whole or not at all. Refused with ERR_CONFLICT,
 * without a trace, unless `first` is the number of records that the journal has (someone else wrote,
 * or it was retried or migrated), and with ERR_NOT_FOUND when the execution is gone.
 * Result: the number of events that it was sent so far (durable_row.events), so that who suspends
 * it knows whether it is due at once. Messages to executions that are gone or have finished are
 * dropped, and a child whose workflow has been deleted meanwhile is not made, as if it had been
 * deleted right after. ERR_OVERLOAD: the receiver of a signal does not take those it has. A child
 * that was there already has this execution woken by its end, too. */
void store_durable_commit(struct store *s, struct store_op *op, struct slice id, int64_t first,
                          const struct store_step *steps, size_t steps_len);
/* Adds a signal, or asks to cancel, and makes a suspended execution due. ERR_NOT_FOUND;
 * ERR_CONFLICT: it has finished. Result of a signal: its seq. */
void store_durable_signal(struct store *s, struct store_op *op, const struct durable_message *m);
void store_durable_cancel(struct store *s, struct store_op *op, struct slice id);
/* A paused execution is not run. Setting what is set already is fine; ERR_CONFLICT: it has
 * finished. */
void store_durable_pause(struct store *s, struct store_op *op, struct slice id, bool is_paused);
/* The store pauses it, for a reason that people have to see to; it is forgotten when it is resumed.
 * ERR_CONFLICT: it has finished. */
void store_durable_park(struct store *s, struct store_op *op, struct slice id, struct slice reason);
/* The process has ended while it ran this one: counted, and the third time in a row, without a new
 * record in between, it is parked. Result: the count. */
enum { STORE_CRASHES_MAX = 3 };
void store_durable_crashed(struct store *s, struct store_op *op, struct slice id);
/* A finished execution that failed or was cancelled becomes queued again with the first `records`
 * records of its journal, which the caller has as a chunk from number `chunk_first` (the one that
 * is cut; chunks above go), on the given version (0: as it was). Snapshot, output, error go; what
 * was asked of it (cancel) is forgotten. Signals that it had not consumed are still there, and
 * those that the records behind the cut had consumed come back under their old seqs, so that all
 * are consumed in their order. ERR_CONFLICT: it is not finished, or completed; ERR_INVALID: a
 * signal that it was never sent; ERR_TOO_LARGE. */
struct store_cut {
    int64_t records, chunk_first;
    struct slice chunk;
    int64_t version; /* 0: as it was */
};
/* What comes beside the records that a retry or fork keeps. */
struct store_revival {
    const struct durable_signal *signals; /* that come back */
    size_t signals_len;
    int64_t records_len; /* behind those that are kept */
    struct slice records;
};
void store_durable_retry(struct store *s, struct store_op *op, struct slice id,
                         const struct store_cut *cut, const struct store_revival *with);
/* A new execution with the first `records` records of another, arguments likewise. Version, input
 * and metadata as there; it has the signals that wait there, and those that come back. */
void store_durable_fork(struct store *s, struct store_op *op, struct slice id, struct slice new_id,
                        const struct store_cut *cut, const struct store_revival *with);
/* Pins an unfinished execution to another version; its snapshot goes. ERR_CONFLICT unless its
 * journal has exactly `records` records. */
void store_durable_migrate(struct store *s, struct store_op *op, struct slice id, int64_t records,
                           int64_t version);
/* Drops a snapshot that could not be used. */
void store_durable_snapshot_drop(struct store *s, struct store_op *op, struct slice id);
/* Adds to what the hour has. */
void store_usage_add(struct store *s, struct store_op *op, const struct usage_row *add);
/* QUOTA_AS_IT_IS leaves one, QUOTA_NONE removes it. ERR_NOT_FOUND. */
void store_quota_set(struct store *s, struct store_op *op, const struct quota_row *quota);
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

/* A static file: content in another coding has its name with that behind it ("br"), and goes with it. */
enum { STORE_ASSET_CODINGS_MAX = 4 };
NODISCARD enum err store_asset_put(struct store *s, struct slice content, char ret_hash[65],
                                   struct error *ret_error);
NODISCARD enum err store_asset_put_coded(struct store *s, struct slice hash, const char *coding,
                                         struct slice content, struct error *ret_error);
/* It is not removed for a while, used or not. False: it is not stored. */
bool store_asset_keep(struct store *s, struct slice hash);
/* For reading; the caller closes. coding "": as it is. ERR_NOT_FOUND. */
NODISCARD enum err store_asset_open(struct store *s, struct slice hash, const char *coding,
                                    int *ret_fd, uint64_t *ret_size, struct error *ret_error);
/* Appends exactly so many bytes from there on. ERR_IO, ERR_CORRUPT. */
NODISCARD enum err store_asset_read(int fd, uint64_t at, size_t len, struct bytes *out,
                                    struct error *ret_error);

/* ---- reads: any thread with a loop ---- */

struct store_page {
    int64_t limit;       /* at most 1000 */
    struct slice cursor; /* "" from the newest; else the page's `next` */
};

struct durable_filter {
    struct slice space;    /* without workflow or parent */
    struct slice workflow; /* "": all */
    /* With workflow. "": all; "default": also those that were started by the workflow's bare name.
     * No index has these, nor those of one export and status: their pages may be short, even
     * empty, with more to come. */
    struct slice export_name;
    int status;          /* enum durable_status, -1: all */
    struct slice parent; /* "": all */
};

struct durable_due {
    int64_t seq,
        wake_us; /* wake_us 0: queued, running when the server ended, or made due by an event */
    struct slice id;
};

struct usage_filter {
    struct slice module; /* "": all */
    int64_t since_hour;
    bool by_hour;       /* else one row for each module */
    struct slice space; /* without module */
};
struct durable_counts {
    int64_t by_status[6], paused;
};

/* The kinds of queries (queries.def), and for each what is asked and, below `ret`, what the answer
 * is. Rows and texts of an answer are in the query's arena. */
enum store_query_kind {
#define QUERY(KIND, name) STORE_QUERY_##KIND,
#include "store/queries.def"
#undef QUERY
    STORE_QUERY_KINDS,
};

struct store_query {
    struct loop *loop;                   /* that asks, and is told */
    void (*done)(struct store_query *q); /* on loop, only after OP_PENDING, exactly once */
    enum store_query_kind kind;
    struct arena *arena; /* for the answer; NULL where none has texts */
    struct error error;  /* of the answer */
    union {
        struct { /* by name */
            /* ret */
            struct namespace_row *rows;
            size_t len;
        } namespaces;
        struct { /* ERR_NOT_FOUND */
            struct slice name;
            /* ret */
            struct namespace_row row;
        } space;
        /* In what follows a namespace "" is the default one. */
        struct { /* in their order */
            struct slice space;
            /* ret */
            struct egress_rule_row *rows;
            size_t len;
            bool denies; /* what no rule is about */
        } egress;
        struct { /* newest first */
            struct slice space;
            int64_t before, limit; /* before: only those with a smaller seq */
            /* ret */
            struct audit_row *rows;
            size_t len;
        } audits;
        struct {
            struct audit_check check;
        } audit_check;
        struct { /* oldest first */
            struct slice space;
            /* ret */
            struct token_row *rows;
            size_t len;
        } tokens;
        struct { /* of any namespace; ERR_NOT_FOUND */
            struct slice id;
            /* ret */
            struct token_row row;
        } token;
        struct {
            struct slice space;
            enum module_kind kind;
            /* ret */
            struct function_row *rows;
            size_t len;
        } functions;
        struct { /* ERR_NOT_FOUND */
            struct slice name;
            /* ret */
            struct function_row row;
        } function;
        struct { /* ERR_NOT_FOUND, ERR_NOT_READY */
            struct slice function;
            int64_t number; /* 0: the one that serves */
            /* ret */
            struct version_row row;
        } version;
        struct { /* newest first, STORE_VERSIONS_MAX at most */
            struct slice function;
            /* ret */
            struct version_row *rows;
            size_t len;
        } versions;
        struct { /* contents of static files: those that the namespace has not uploaded */
            struct slice space, hashes; /* 64 digits each, nothing between them */
            /* ret */
            struct slice missing; /* likewise, in the same order */
        } assets;
        struct { /* all that a module runs by, of one moment; errors as for version */
            struct slice name;
            int64_t number; /* of the version, 0: the one that serves */
            /* ret */
            struct function_row function;
            struct version_row version;
            struct version_row split; /* of number 0, if there is such a one */
            struct env_row *env;
            size_t env_len;
            struct quota_row quota;
        } module;
        struct {
            struct slice function;
            /* ret */
            struct build_row *rows;
            size_t len;
        } builds;
        struct { /* ERR_NOT_FOUND */
            struct slice function;
            int64_t number;
            /* ret */
            struct build_row row;
        } build;
        struct {
            struct slice function;
            bool
                opens; /* secrets, too, and those of the namespace are among them; else their values
                           are empty */
            bool is_shared; /* function is a namespace: only its own */
            /* ret */
            struct env_row *rows;
            size_t len;
        } env;
        /* The value that a variable of a workflow had under this version, which need not be the one
         * that it has now. Kept as long as an execution is there that began before it was replaced;
         * ERR_NOT_FOUND. */
        struct {
            struct slice function, name;
            int64_t version;
            struct bytes *out; /* the value is appended */
        } env_value;
        struct {
            struct slice space, function; /* function "": all of the namespace */
            struct store_page page;
            /* ret */
            struct execution_row *rows;
            size_t len;
            struct slice next; /* cursor of the next page, "": there is none */
        } executions;
        struct { /* ERR_NOT_FOUND */
            struct slice id;
            /* ret */
            struct execution_row row;
        } execution;
        /* Lines with id > after (after -1: the newest limit lines), oldest first. */
        struct {
            struct slice function, execution; /* execution "": all */
            int64_t after, limit;
            /* ret */
            struct log_row *rows;
            size_t len;
        } logs;
        struct { /* newest first */
            struct durable_filter filter;
            struct store_page page;
            /* ret */
            struct durable_row *rows;
            size_t len;
            struct slice next;
        } durables;
        struct { /* ERR_NOT_FOUND */
            struct slice id;
            /* ret */
            struct durable_row row;
        } durable;
        /* Whole chunks, from the one that holds record `first` on, until out has bytes_max more or
         * the journal ends. A gap in it is ERR_CORRUPT. */
        struct {
            struct slice id;
            int64_t first;
            size_t bytes_max;
            struct bytes *out; /* they are appended */
            /* ret */
            int64_t start, count; /* number of the first record appended (at or below first) */
        } journal;
        struct {
            struct slice id;
            struct bytes *out; /* it is appended */
            /* ret */
            int64_t records; /* it is the state after so many; 0: there is none */
        } snapshot;
        struct { /* not consumed yet, with seq > after, in order */
            struct slice id;
            int64_t after;
            /* ret */
            struct durable_signal *rows;
            size_t len; /* STORE_SIGNALS_PAGE: there may be more */
        } signals;
        /* Unfinished, not paused, due before until_us; by (wake_us, seq), from after the pair given
         * (0, 0: from the start). One index, no scan. */
        struct {
            int64_t until_us, after_wake_us, after_seq, limit;
            /* ret */
            struct durable_due *rows;
            size_t len;
        } due;
        struct { /* by module, then hour; ERR_TOO_LARGE above LIMIT_USAGE_ROWS */
            struct usage_filter filter;
            /* ret */
            struct usage_row *rows;
            size_t len;
        } usage;
        struct { /* of a module without quotas, or that does not exist: all 0 */
            struct slice module;
            /* ret */
            struct quota_row row;
        } quota;
        struct { /* of the namespace itself */
            struct slice space;
            /* ret */
            struct quota_row row;
        } space_quota;
        struct { /* of its modules that have one, by name */
            struct slice space;
            /* ret */
            struct quota_row *rows;
            size_t len;
        } quotas;
        /* Is anything of deleted functions still to be removed? Executions of theirs are gone at
         * once for every reader, but who waits for one is made due only when it is removed. */
        struct {
            /* ret */
            bool is_removing;
        } removing;
        struct { /* kept by the writer, so this reads a few numbers */
            /* ret */
            struct durable_counts counts;
        } durable_counts;
        /* Is the lease still this store's? ERR_FENCED: no, and never again. What is written
         * elsewhere under a lock that the next owner takes, too, after its lease, is fenced by
         * asking this under that lock. */
        struct {
            char none;
        } owns;
    };
    /* private */
    void *internal;
};
enum { STORE_SIGNALS_PAGE = 1000, STORE_VERSIONS_MAX = 100 };

/* Asks. A store that has the answer at hand gives it at once: OP_DONE, and done is not called. Else
 * OP_PENDING: the query, and what its slices and pointers name, stay where they are until done is
 * called; nothing cancels a read. What is committed is seen: an answer that was asked for after a
 * mutation's done has that in it. Answers to two queries may come in any order. */
NODISCARD enum op_status store_read(struct store *s, struct store_query *q);
/* The same for who does not mind: done is called in either case, perhaps before this returns. */
void store_ask(struct store *s, struct store_query *q);

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
