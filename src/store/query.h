/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be asked of the store. What is committed is seen; answers come at once or later, as the
 * backend can. Rows and texts of an answer are in the query's arena. Any thread with a loop. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "loop/op.h"
#include "store/durable.h"
#include "store/kv.h"
#include "store/message.h"
#include "store/object.h"
#include "store/rows.h"

struct loop;
struct store;

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

struct resource_counts {
    int64_t count, items, bytes;
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
        struct { /* by name */
            struct slice space;
            enum resource_kind kind;
            /* ret */
            struct resource_row *rows;
            size_t len;
        } resources;
        struct { /* ERR_NOT_FOUND */
            struct slice space, name;
            enum resource_kind kind;
            /* ret */
            struct resource_row row;
            struct slice
                *users; /* modules of which a version that serves is bound to it, by name */
            size_t users_len;
        } resource;
        struct { /* ERR_NOT_FOUND: the namespace has been deleted */
            int64_t resource;
            const struct slice *keys;
            size_t len;
            int64_t bytes_max; /* of all values: ERR_TOO_LARGE */
            /* ret */
            struct kv_row *rows; /* one for each key, in their order; without key and token */
        } kv_get;
        struct { /* ERR_NOT_FOUND: the bucket has been deleted */
            int64_t resource;
            struct slice key;
            bool has_content; /* the row is to have value and files */
            /* ret */
            struct object_row row; /* id 0: there is none */
        } object_get;
        /* By key, without content. With a delimiter keys that have it behind the prefix are left out, and
         * what they begin with, up to it, is listed once. */
        struct {
            int64_t resource;
            struct slice prefix, after, delimiter;
            int64_t limit; /* of both */
            /* ret */
            struct object_row *rows;
            struct slice *prefixes;
            size_t len, prefixes_len;
            struct slice last; /* where the next page begins behind; "": it is the last */
        } object_list;
        struct { /* ERR_NOT_FOUND: there is no such upload in this bucket */
            int64_t resource;
            struct slice name;
            /* ret */
            struct upload_row row;
            struct object_file *parts; /* by number */
            size_t len;
        } upload_get;
        struct { /* by key; likewise */
            int64_t resource;
            struct slice prefix, after; /* after: only keys behind it, "": all */
            int64_t limit;
            /* ret */
            struct kv_row *rows; /* without values and token */
            size_t len;
            bool is_complete; /* else there may be more behind the last */
        } kv_list;
        struct { /* of the whole server */
            /* ret */
            struct resource_counts counts[RESOURCE_KINDS];
        } resource_counts;
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
            struct resource_row *resources, *split_resources; /* what each version is bound to */
            size_t resources_len, split_resources_len;
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
            /* ret, without input, output, metadata */
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
            /* ret, likewise */
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
        struct { /* likewise, of other kinds: before until_us, by (due_us, seq) */
            int64_t until_us, after_due_us, after_seq, limit;
            /* ret */
            struct due_row *rows;
            size_t len;
        } dues;
        /* Of a queue: those that were never tried, by place; or, later, by (visible_us, place) until then. */
        struct {
            int64_t queue, after_us, after_place, until_us, limit;
            size_t bytes_max;
            bool is_later;
            /* ret */
            struct message_row *rows;
            size_t len;
            bool has_more;
        } messages;
        struct {           /* queues that have one; of one queue also without */
            int64_t queue; /* 0: all */
            /* ret */
            struct consumer_row *rows;
            size_t len;
        } consumers;
        struct {                        /* by name */
            struct slice space, origin; /* origin "": all of the namespace */
            bool is_unknown;            /* with origin: only those whose next_us is not known yet */
            struct slice after;         /* only names behind that */
            int64_t limit;
            /* ret */
            struct schedule_row *rows;
            size_t len;
        } schedules;
        struct {        /* ERR_NOT_FOUND */
            int64_t id; /* 0: by name */
            struct slice space, name;
            /* ret */
            struct schedule_row row;
        } schedule;
        struct {
            /* ret */
            int64_t all, paused, running;
        } schedule_counts;
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
