/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store keeps of modules and of who calls them, as rows: what mutations take and queries answer.
 * Numbers of enums are stored, they never change. Those of durable executions are in durable.h. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/module_kind.h"
#include "base/resource_kind.h"
#include "base/slice.h"

enum build_status { BUILD_QUEUED, BUILD_BUNDLING, BUILD_EVALUATING, BUILD_READY, BUILD_FAILED };
enum execution_status { EXECUTION_RUNNING, EXECUTION_SUCCESS, EXECUTION_FAILURE };
const char *build_status_text(enum build_status s);         /* "queued" … */
const char *execution_status_text(enum execution_status s); /* "running" "success" "failure" */

enum isolation { ISOLATION_REQUEST, ISOLATION_MODULE };

/* How a version runs; stored as JSON with it. Zero means the default of base/limits.h. */
struct version_options {
    enum isolation isolation;
    uint32_t memory_mb, cpu_ms, wall_ms, sql_transaction_ms;
    struct slice domains;  /* comma-separated egress allow list, "" for none */
    struct slice vars;     /* its own variables: a JSON object, "" for none */
    struct slice bindings; /* what it is bound to (module/binding.h): a JSON array, "" for none */
    /* What it declares: a JSON array of {"name", "plan"} (schedule/plan.h), "" for none. */
    struct slice schedules;
    struct slice consumers; /* queues that it consumes: a JSON array, "" for none */
    struct slice routes;    /* which hosts and paths it answers for beside its name: lines */
    struct slice runtime;   /* what runs it: a name, "" for the first (module/runtimes.h) */
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
    uint32_t exports;         /* enum module_export, of that version */
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
    struct slice resources; /* what it is bound to, of store_publish(): a line "WORD NAME" each */
    int64_t created_us;
    bool is_kept_back; /* of store_publish(): the one that serves goes on */
};

enum { STORE_SPLIT_ALL = 10000 };

struct resource_row {
    int64_t id; /* never used again; 0: the version is bound to one that has been deleted */
    enum resource_kind kind;
    struct slice space, name;
    struct slice settings; /* a JSON object, "" for none; what is in it is the kind's business */
    int64_t items, bytes;  /* what it holds */
    int64_t created_us;
};

/* Kinds of what falls due, beside executions (whose rows say it themselves). */
enum due_kind {
    DUE_SCHEDULE, /* key: its number */
    DUE_ALARM,    /* of an actor */
    DUE_RUN,      /* of a schedule's function, under way or to be tried again. key: number/time */
    DUE_QUEUE,    /* messages that are to be delivered later. key: the queue's number */
    DUE_KINDS,
};
#define DUE_NEVER INT64_MAX

struct due_row {
    int64_t seq; /* the store's; among those due at one time */
    enum due_kind kind;
    struct slice key;    /* one row each */
    struct slice module; /* whose it is, "": that does not matter */
    int64_t due_us;
};

enum { STORE_SCHEDULES_MAX = 100000 }; /* of a namespace */

struct schedule_row {
    int64_t id; /* never used again */
    struct slice space, name;
    struct slice origin; /* module whose deploy has declared it, "": none */
    struct slice plan;   /* JSON: schedule/plan.h */
    bool is_paused;
    int64_t anchor_us; /* what intervals are counted from */
    int64_t next_us;   /* the first time that is not settled; 0: not known yet; DUE_NEVER */
    int64_t due_us;    /* of what is written: when it is looked at; DUE_NEVER */
    int64_t last_us;   /* the last time that something was started for; 0: none */
    struct slice last_execution; /* of a workflow; "": none */
    int64_t started, skipped, failed;
    int64_t running; /* runs of functions that have not ended */
    int64_t created_us, updated_us;
};

/* What is started for a schedule, at once. */
struct schedule_fire {
    int64_t id;
    int64_t seen_us;         /* next_us as it was read; -1: by hand, it stays */
    int64_t next_us, due_us; /* as they are from now on */
    int64_t skipped;         /* times passed over */
    struct slice times;      /* an int64_t each, at most STORE_TIMES_MAX */
    struct slice ids;        /* WORKFLOW: of the executions, 36 bytes each; "": a function's runs */
    struct slice workflow, export_name, input, metadata; /* metadata: JSON */
    struct slice key;                                    /* of the executions, before the time */
    struct slice space, queue,
        messages; /* instead, for each time: what is sent to the queue of this name */
};
enum { STORE_TIMES_MAX = 1000 };

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
/* Who asks for a change, and what it is for people (struct store_op). */
struct store_audit {
    struct slice actor, space, action, target;
};

/* A variable that is sealed at rest. */
struct secret_of {
    struct slice owner, name; /* owner: a module, or */
    bool is_shared; /* a namespace, whose modules all read it unless they have their own */
};
