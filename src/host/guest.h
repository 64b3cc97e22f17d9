/* SPDX-License-Identifier: Apache-2.0
 *
 * A guest: an isolate that runs a deployment, with everything the host keeps for it: dispatches,
 * pending ops, streams, its place at the output gate. Loop thread only.
 *
 * The owner (server/turn.c) takes a guest, adds dispatches, and calls guest_step() whenever the
 * guest is runnable; events never run guest code, they queue completions and report the guest as
 * runnable.
 *
 * Output gate: whatever a guest lets out (answer, stream data, outgoing request) after it has seen
 * or made a commit of its database that is not on disk yet is held here until it is. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "call/call.h" /* struct call_answer */
#include "host/fiber_task.h"
#include "host/op.h"
#include "host/sql.h"
#include "http/server.h" /* struct http_header */
#include "loop/timer.h"
#include "module/runtime.h"

struct asks;
struct d1_op;
struct deployment;
struct dispatch;
struct held_answer;
struct egress;
struct execution;
struct execution_request;
struct guest;
struct http_cache;
struct http_client;
struct image;
struct isolate;
struct job_runner;
struct loop;
struct op;
struct sink;
struct source;
struct url_target;

/* What an engine thread provides to its guests. */
struct guest_host {
    void *ctx;
    struct loop *loop;
    struct http_client *client;
    struct http_cache *cache; /* NULL: there is none */
    const struct egress *egress;
    /* May code of this deployment send that? Asked for each hop. ERR_FORBIDDEN names the rule. NULL: by
     * the host. */
    enum err (*may_fetch)(void *ctx, const struct deployment *d, struct slice method,
                          struct url_target *t, struct error *ret_error);
    struct fiber_runner *fiber_runner;
    struct asks *asks; /* of the store; NULL: there is none */
    /* Messages of code of this thread were stored; due_us: as of store_message_send(). May be NULL. */
    void (*queue_sent)(void *ctx, int64_t queue, int64_t due_us);
    struct job_runner *jobs; /* NULL: what takes long is done where it is asked for */
    /* The guest stands still in an op, and no more: in between it may have been ended, while the op is
     * away. Time that it has used elsewhere. May be NULL. */
    void (*stand_begin)(void *ctx, struct guest *g);
    void (*stand_end)(void *ctx, struct guest *g, uint64_t cpu_ns);
    /* Inside the op's task: a connection to the database of the guest's deployment that nobody
     * uses, the guest's until sql_give(). The task may stand still for it. */
    enum err (*sql_take)(void *ctx, struct guest *g, struct sql_conn **ret_conn,
                         struct sql_file **ret_file, struct error *ret_error);
    void (*sql_give)(void *ctx, struct guest *g, struct sql_conn *conn);
    void (*log)(void *ctx, const struct deployment *d, const struct dispatch *dispatch, int level,
                struct slice text);
    /* What a variable of the deployment's module was under this version; appends it. NULL, or an
     * error: that is not known any more. */
    enum err (*env_value)(void *ctx, const struct deployment *d, struct slice name, int64_t version,
                          struct bytes *out, struct error *ret_error);
    /* Starts a call of code of this thread, whose caller's end is user's: to where its module is. NULL: there
     * are no other modules. */
    void (*call)(void *ctx, struct call *c, const struct call_events *events, void *user);
    /* What a module of this name is on this thread; NULL: there is none. Borrowed for the call. */
    const struct deployment *(*deployment)(void *ctx, struct slice module);
    /* The guest is an actor, and is to be called at that time: when this returns OK the store knows, durably.
     * On the fiber of an op. */
    enum err (*alarm)(void *ctx, struct guest *g, int64_t due_us, struct error *ret_error);
    /* Is there a workflow of this name to start? ERR_NOT_FOUND, ERR_NOT_READY. */
    enum err (*workflow)(void *ctx, struct slice name, struct error *ret_error);
    /* Asks for something of an execution; NULL: there are none here. */
    void (*execution)(void *ctx, struct execution_request *q);
    void (*execution_drop)(void *ctx,
                           struct execution_request *q); /* nobody wants the answer: no done() */
    size_t socket_message_max; /* bytes of a WebSocket's message that comes; 0: the default */
    bool is_divided;           /* there are several namespaces: */
    /* May code of this deployment send something to that execution? ERR_FORBIDDEN: it is in another
     * one. As the reads above, on the fiber of an op that stands. */
    enum err (*may_reach)(void *ctx, const struct deployment *d, struct slice execution,
                          struct error *ret_error);
    /* durable_id_of_key(), or the one of before if an execution has that. */
    void (*id_of_key)(void *ctx, struct slice workflow, struct slice key, char ret_id[37]);
    /* May something that the code of this deployment limits happen once more under this key? It is counted.
     * scope: what it counts in, inside of its namespace. NULL: everything may. */
    bool (*rate_limit)(void *ctx, const struct deployment *d, struct slice scope, struct slice key,
                       uint32_t limit, uint32_t period_s);
    /* Does this process still own the executions? ERR_FENCED. */
    enum err (*owns)(void *ctx, struct error *ret_error);
    /* There is something to do for the guest: call guest_step() in this or the next turn. */
    void (*runnable)(void *ctx, struct guest *g);
    /* counters for metrics, this thread only */
    uint64_t ops, restore_ns, restores, isolates_made, isolates_discarded;
};

/* Where a dispatch's answer goes. All are called on the loop thread, at most one of respond, value
 * and fail, and nothing after `abandoned` was set. Borrowed arguments last for the call. */
struct dispatch_port {
    void (*respond)(struct dispatch *d, const struct call_answer *a);
    bool (*write)(struct dispatch *d, struct slice data,
                  bool is_end);        /* false: wait for dispatch_drained() */
    void (*abort)(struct dispatch *d); /* the response body failed midway */
    void (*value)(struct dispatch *d, struct slice json);
    void (*fail)(struct dispatch *d, const struct error *error, struct slice name,
                 struct slice stack);
    void (*body_start)(struct dispatch *d);
    void (*body_consumed)(struct dispatch *d, size_t n);
    /* The guest is done with the dispatch; it may be freed. The last call. */
    void (*over)(struct dispatch *d);
};

/* One piece of work for a guest. The owner's memory, until over(). */
struct dispatch {
    const struct dispatch_port *port;
    enum dispatch_kind kind;
    struct slice execution_id;
    /* HTTP */
    const struct http_request *request;
    struct slice inline_body; /* the whole body, if it is there */
    bool has_stream_body;
    /* EXECUTE, WORKFLOW; METHOD: its arguments in body */
    struct slice body, metadata;
    struct slice export_name; /* WORKFLOW, HTTP, METHOD: "" is the default one */
    struct slice props;       /* HTTP, METHOD: JSON, or "" */
    struct slice method;      /* METHOD */
    uint32_t what;            /* METHOD */
    int64_t started_us;       /* WORKFLOW */
    struct slice key;         /* WORKFLOW: that it was started with, or "" */
    /* Of the calls that it is inside of (call/call.h) */
    struct slice root; /* "": none */
    unsigned depth;

    /* private */
    uint32_t id;
    struct guest *guest;
    struct context *context; /* what it causes; ends with it or, for waitUntil(), after it */
    struct list link;
    struct source *source; /* request body, while it streams */
    struct sink *sink;     /* response body, while it streams */
    struct timer wall;
    bool is_answered;  /* the guest called RESPOND, RESPOND_VALUE or FAIL */
    bool is_released;  /* and the answer has left */
    bool is_gone;      /* the client has left: drop what comes */
    bool is_told_gone; /* and the guest knows (limpet_abort) */
    struct open_socket
        *socket;      /* it was answered with 101, and is open as long as this; NULL also where
                                   bytes go through */
    bool is_upgraded; /* it was answered with 101 */
    struct held_answer *held; /* it waits at the gate */
};

/* ---- a guest is four: the isolate's side (struct guest), what each dispatch causes (struct
 * context), its database, and, for a durable execution, what its journal needs. A recycle frees the
 * last three and restores the first. ---- */

/* What the code of one dispatch has under way, to the end of its waitUntil() work: longer than its
 * answer. Nothing in it outlives it. With isolation by request a guest has one, with isolation by
 * module one for each request. */
struct context {
    struct list link; /* guest->contexts, oldest first */
    struct guest *guest;
    uint32_t id;               /* of its dispatch */
    unsigned depth;            /* of the calls that it is inside of, */
    char root[40];             /* and the request that these began with, "": this one */
    struct dispatch *dispatch; /* NULL: over */
    struct list ops, sources, sinks, sockets;
    unsigned ops_len, sinks_open, log_lines;
    uint64_t cpu_used_ns; /* isolation by module: of its runs so far */
    bool is_expired;      /* its time is up */
    bool has_begun_ops;   /* the engine may wait for completions */
    struct timer tail;    /* bounds waitUntil work after the dispatch is over */
};

/* The op in which the guest stands still (op_stand.c). */
struct guest_stand {
    struct fiber_task task;
    bool is_working; /* task is in the middle */
    enum err (*run)(struct guest *g);
    enum err err;          /* what came of it */
    union op_args args;    /* slices lie in the guest's memory */
    uint32_t ret, ret_cap; /* where its result goes */
    bool is_freed;         /* guest_free() waits for the task to come home */
};

struct guest_sql {
    struct sql_conn *conn;   /* during an op, and through a transaction */
    struct sql_file *file;   /* NULL: not used yet */
    unsigned depth;          /* open transactions */
    unsigned depth_replayed; /* those that a replay is inside of: nothing is open for them */
    uint64_t held_ns;        /* that the outermost has lasted: slices used up, and time away */
    struct error
        turn_error;    /* why SQLite has rolled the turn back by itself; code OK: it has not */
    bool has_expired;  /* it was rolled back for its length; the guest has not heard of it */
    bool is_setup;     /* the transaction that all of setup() is, is open */
    bool is_turn;      /* the one of an actor's turn is: it ends when its code comes to rest */
    bool awaits_setup; /* the op waits for that of another to end */
    /* What its statements see. A durable execution has two: those of steps are not made again by a
     * replay, so code outside of them does not see them. */
    struct sql_counters counters, step_counters;
    uint64_t gate_seq; /* what its outputs depend on */
    struct sql_gate_wait gate;
    bool is_gated;    /* gate is waiting */
    struct list held; /* struct held: outputs that wait */
};

/* A guest that is an actor: one instance of a class, which serves all that is addressed to its id, keeps
 * its memory in between, and has a database of its own. All but the marked is the owner's. */
struct guest_actor {
    struct slice class, id; /* the export; 64 hexadecimal digits */
    struct slice origin;    /* what the class was called at first */
    struct slice name;      /* that the id was made of, "": none, or not known */
    struct database *database;
    /* private */
    struct context *blocker; /* nothing else goes on while its critical section lasts; NULL: none */
    int64_t alarm_us;        /* an alarm that the open turn has set; INT64_MAX: none */
    int64_t alarm_next_us;   /* as the alarm() that has run says; INT64_MAX: never */
    bool is_over;            /* it takes no more: its constructor has failed, say */
};

struct guest_durable {
    struct execution *execution; /* durable/execution.h; the owner's */
    struct slice tail;           /* names its records in the module's database; the owner's */
    int64_t started_us;
    int64_t place;                   /* of the record of the op that runs */
    int64_t lines, lines_stored;     /* of the log, outside of steps; stored -1: not known */
    unsigned code_lines, step_lines; /* since the last delivery: outside of steps, in them */
    bool has_news;                   /* the execution may have a delivery */
    bool has_secret;                 /* its code has seen one: its memory must not be stored */
    struct list uncommitted;         /* struct held: for records to be stored, then for the gate */
    struct scope_fetches *scopes;
    size_t scopes_len;
};

/* While top-level code runs, and what it said: ops LOADED and FAIL. */
struct guest_loading {
    uint64_t random_seed;
    bool has_drawn;
    struct error error;
    uint32_t exports;
    unsigned log_lines;
    struct bytes workflows, fail_name, fail_stack;
};

struct guest {
    struct list link;   /* for the owner: runnable or idle list */
    struct list member; /* for the owner: all its guests */
    bool is_queued;     /* for the owner: in the runnable list */
    bool is_lengthy;    /* likewise: its last slice was not enough */
    void *owner;
    void *run; /* for the owner: of a durable guest */
    struct guest_host *host;
    struct deployment *deployment; /* reference; NULL while the engine boots */
    struct runtime *runtime;       /* the deployment's; only its type while it starts */
    struct isolate *isolate;
    struct cell cell; /* what the runtime sees; isolate_user() of the isolate */

    /* private */
    struct list starting; /* dispatches to start */
    struct list running;  /* dispatches started and not over */
    struct list contexts;
    struct list completions;
    struct context *context; /* whose code runs; NULL: nobody's */
    struct context *billed;  /* isolation by module: whose CPU time the call in the isolate is */
    unsigned ops_len, sinks_open; /* of all contexts */
    uint32_t next_dispatch, next_op, next_stream, next_codec, next_socket;
    struct bytes result;          /* of the op that runs */
    size_t result_charged;        /* for it */
    struct evp_md_ctx_st *digest; /* of the pieces that DIGEST has had so far; NULL: none */
    unsigned codecs_open;         /* how many, */
    unsigned rewriters_open;      /* and of these documents */
    struct list d1_queue;         /* op_d1.c: calls that wait for the one that runs */
    struct d1_op *d1_running;     /* NULL: none */
    struct list codecs;           /* op_codec.c: open streams that compress or decompress */
    struct error op_error;
    struct bytes input;        /* scratch for dispatch input */
    struct allowance memory;   /* that, and the isolate's: of its module's account */
    size_t isolate_bytes;      /* of these */
    const struct budget *full; /* why its memory could not grow; NULL: its own limit, if anything */
    int32_t unfinished;        /* as the guest last said */
    uint32_t scope;            /* of the op that runs: the step whose body called it; 0: none */
    bool is_ending;
    bool has_hit_ops_limit; /* by its last op */
    bool is_dead;           /* trapped */
    bool has_expired;       /* some context's time is up */
    bool pauses;            /* before it goes on, its owner stores what there is to be stored */
    bool gone;              /* some dispatch's client has left and the guest has not been told */

    struct op *waiting;    /* op_wait: the guest's stack stands still */
    uint32_t waiting_call; /* likewise, for a call of the execution */
    uint32_t op_number;    /* of the op that runs */
    bool may_stand;        /* it was called by op_wait */
    uint32_t wait_ret, wait_ret_cap;

    struct guest_stand stand;
    struct guest_sql sql;
    struct guest_durable *durable; /* NULL: an ordinary guest */
    struct guest_actor *actor;     /* likewise; the owner's, set while it is pristine */
    struct guest_loading *loading; /* NULL: it has been loaded */
};

/* Makes a guest with a new isolate of the deployment's image (or of `base` while loading). */
NODISCARD enum err guest_new(struct guest_host *host, struct deployment *d,
                             struct guest **ret_guest, struct error *ret_error);
/* Ends everything that is pending; dispatches not answered get error (may be NULL only if there are
 * none). */
void guest_end(struct guest *g, const struct error *error);
/* Pristine again for the same deployment, after guest_end(). False: free it. */
NODISCARD bool guest_recycle(struct guest *g);
void guest_free(struct guest *g); /* after guest_end() */

void guest_add(struct guest *g, struct dispatch *d); /* reports the guest runnable */
bool guest_has_work(const struct guest *g);

enum guest_status {
    GUEST_AGAIN,    /* used up its slice: step again after others had their turn */
    GUEST_WAITS,    /* for events, which will report it runnable */
    GUEST_FINISHED, /* no dispatch left */
    GUEST_DEAD, /* trapped or passed a limit; dispatches have been failed: guest_end(), restore or
                   free */
};
enum guest_status guest_step(struct guest *g);

/* ---- events of dispatches, from the owner ---- */
void dispatch_body(struct dispatch *d, struct slice data, bool is_end); /* request body bytes */
/* The same; the bytes lie in a buffer that may be taken, or own is NULL. */
void dispatch_body_own(struct dispatch *d, struct slice data, struct bytes *own, bool is_end);
void dispatch_body_failed(struct dispatch *d);
void dispatch_drained(struct dispatch *d); /* write() may go on */
void dispatch_gone(struct dispatch *d);    /* the client has left; port functions but over() are not
                                              called any more */

/* The server is about to stop: WebSockets of clients close with 1001. */
void guest_going_away(struct guest *g);

/* ---- durable executions ---- */

/* The guest runs this execution: before its dispatch is added. tail: what its records are kept
 * under in the module's database. lines_stored: of its log, by the store; -1: not known. */
void guest_make_durable(struct guest *g, struct execution *x, struct slice tail,
                        int64_t lines_stored);
void guest_make_ordinary(struct guest *g); /* takes that back */
void guest_poke(struct guest *g);          /* the execution may have a delivery: step it */
bool guest_has_news(const struct guest *g);
/* A statement is under way, or a transaction open: until it is over, records made in it must not be
 * stored by anything but the module's database, whose commit they are a part of. */
bool guest_is_in_sql(const struct guest *g);
/* execution_durable() has grown: what waited for it may leave. */
void guest_committed(struct guest *g);
/* For struct execution_port. */
void guest_start_call(struct guest *g, uint32_t id, uint32_t op, struct slice args);
void guest_stop_call(struct guest *g, uint32_t id);
void guest_scope_over(struct guest *g, uint32_t scope);
/* A guest at rest that waits for nothing but its execution, as bytes, and on from there: in a
 * pristine guest of the same image, durable already, with the dispatch it had. ERR_CONFLICT: the
 * body of a step, which has ended, has left something under way. */
NODISCARD enum err guest_save(struct guest *g, struct bytes *out, struct error *ret_error);
NODISCARD enum err guest_resume(struct guest *g, struct dispatch *d, struct slice saved,
                                struct error *ret_error);
/* The id of the execution that a key names: the same workflow and key, the same id. A UUID of
 * version 8 (RFC 9562). */
void durable_id_of_key(struct slice workflow, struct slice key, char ret_id[37]);
/* The one that it had before ids were made by SHA-256: an execution that has it keeps it. */
void durable_id_of_key_before(struct slice workflow, struct slice key, char ret_id[37]);

/* ---- loading ---- */
struct guest_load {
    struct slice name, code;
    size_t memory_bytes_max;
    uint64_t cpu_ns_max;
    uint64_t random_seed;   /* of Math.random in top-level code */
    bool has_drawn;         /* result: it was used, so the image is this version's alone */
    struct image *image;    /* result */
    uint32_t exports;       /* result */
    struct bytes workflows; /* result: names, comma-separated; bytes_done() */
    struct bytes error_name, error_stack; /* of an exception, else empty; bytes_done() */
    void (*log)(void *ctx, int level,
                struct slice text); /* top-level console output; may be NULL */
    void *ctx;
};
/* Blocking; any thread. */
NODISCARD enum err guest_load(struct runtime *runtime, struct guest_load *load,
                              struct error *ret_error);
