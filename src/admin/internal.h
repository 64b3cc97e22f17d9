/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of admin/ share: the admin itself and the life of one request.
 *
 * A request is held by its exchange and by every operation in flight that will look at it again
 * (request_hold, request_release). When the client goes, `exchange` becomes NULL, on_gone is called
 * once, and replies become no-ops; the memory stays until the last hold is released. Everything
 * here runs on the control thread. */
#pragma once

#include "admin/admin.h"
#include "admin/routes.h"
#include "base/json.h"
#include "base/list.h"
#include "http/server.h"
#include "loop/timer.h"
#include "store/ask.h"

struct build_queue;

enum {
    ADMIN_UPLOAD_BYTES_MAX =
        48 * 1024 * 1024, /* JSON text of an upload: source or bundle and map */
    ADMIN_BODIES_BYTES_MAX = 256 * 1024 * 1024, /* all request bodies held at once: 503 above */
    ADMIN_CONNECTIONS_MAX = 512,
    ADMIN_EXECUTES_MAX = 256,     /* API runs in flight: 503 above */
    ADMIN_FOLLOWERS_MAX = 64,     /* open log streams: 503 above */
    ADMIN_FOLLOW_POLL_MS = 50,    /* see logs.c */
    ADMIN_FOLLOW_BEAT_MS = 15000, /* an empty line on a quiet stream finds dead clients */
    ADMIN_WAIT_MS_MAX = 300000,   /* ?wait= */
    ADMIN_DURABLES_MAX = 4096,    /* operations on executions in flight: 503 above */
    ADMIN_PAGE_MAX = 1000,        /* rows in one answer */
    ADMIN_PAGE_DEFAULT = 50,
    ADMIN_LOG_PAGE_DEFAULT = 100,
};

struct admin {
    struct loop *loop;
    struct store *store;
    struct asks asks; /* reads of the store */
    struct http_server *server;
    struct http_handler handler;
    struct build_queue *builds;
    struct admin_host host; /* copied: admin_new's may lie on a stack */
    char *esbuild;
    char *token; /* NULL: none */
    char *listen_host;
    int public_port;
    bool is_public_tls;

    size_t bodies_bytes;
    uint32_t executes;
    struct list durable_ops; /* of struct durable_op */
    uint32_t durable_ops_count;
    uint32_t checks;       /* of workflow.c */
    struct list followers; /* of struct follower, logs.c */
    uint32_t followers_count;
    uint64_t endings; /* how often streams were ended, by a revocation or a deletion */
    struct timer follow_timer;
    uint64_t follow_commits; /* of the store, when followers were last fed */

    /* Counters for /metrics. */
    uint64_t requests[6]; /* by hundreds of status */
    uint64_t executions_success, executions_failure;
    uint64_t audit_second, audit_refusals[2], audit_dropped; /* refusals: in that second, of
                                                                changes in [1] */

    int holds; /* the owner, each request */
    bool is_draining, is_closed;
    void (*drain_done)(void *arg);
    void *drain_arg;
    bool drain_http_done, drain_builds_done;
};

/* Who asks. */
struct access_caller {
    bool is_server;       /* whoever has the server's token, or is let in without one */
    struct slice token;   /* else: its id, */
    struct slice space;   /* its namespace, */
    enum token_role role; /* and what it may */
};

struct admin_request {
    struct admin *admin;
    struct access_caller caller;
    struct store_audit audit;       /* of what it asks for */
    bool is_audited, has_effect;    /* route_is_audited(); a start, a signal, a cancel, too */
    bool has_audit;                 /* a change of it has been queued, which is in the log */
    struct http_exchange *exchange; /* NULL: the client is gone, or has its whole answer */
    struct arena *arena;
    const struct route *route;
    enum module_kind kind;                 /* what "name" in the path is */
    struct slice space;                    /* the namespace; NAMESPACE_DEFAULT if none is named */
    const char *base;                      /* of its paths: "/namespaces/shop", or "" */
    struct slice params[ROUTE_PARAMS_MAX]; /* decoded; modules with their namespace */
    struct slice query;
    struct slice body;
    /* The handler that runs, or is called again when what it reads is there; see request_read(). */
    void (*handler)(struct admin_request *r);
    struct slice subject; /* what that one is about, if it says so */
    int64_t resource;     /* likewise: the number of a resource */
    /* For handlers that answer later. */
    void (*on_gone)(struct admin_request *r);  /* request_on_gone() */
    void (*on_drain)(struct admin_request *r); /* a stream may go on */
    void *state;
    /* private to request.c */
    struct bytes body_buffer;
    size_t body_bytes_max;
    bool is_refused; /* answered before the body ended */
    bool is_answered;
    uint64_t endings;     /* the admin's, when it was last asked whether this one may */
    struct list reads;    /* struct ask: what the handler has read, in order */
    struct list *read_at; /* the last one that this call of it has used */
    unsigned waits;       /* for so many of them */
    int holds;
};

void admin_unref(struct admin *a); /* the last hold frees */

extern const struct http_handler request_http_handler; /* ctx is set by admin_new */

void request_hold(struct admin_request *r);
void request_release(struct admin_request *r);
/* fn is called when the client has gone, broken off or answered, before its hold goes: at once if it
 * went while the handler's reads were out. NULL takes that back. */
void request_on_gone(struct admin_request *r, void (*fn)(struct admin_request *r));
/* Gives up the buffer of the body, which a handler has decoded. */
void request_body_drop(struct admin_request *r);
/* A query parameter, decoded into the arena; false if absent. */
bool request_query(struct admin_request *r, const char *name, struct slice *ret_value);
/* 1 to most; def if absent. */
NODISCARD enum err request_query_uint(struct admin_request *r, const char *name, uint64_t def,
                                      uint64_t most, uint64_t *ret_value, struct error *ret_error);
/* wait=30s, 500ms, 5m or true; 0 if absent. */
NODISCARD enum err request_query_wait(struct admin_request *r, uint64_t *ret_ms,
                                      struct error *ret_error);
bool request_query_flag(struct admin_request *r, const char *name); /* there, and not false */

/* For the audit log: of a change that the request makes; NULL if it makes none. Who hands it on to what
 * writes the row sets r->has_audit. audit.c */
const struct store_audit *request_audit(const struct admin_request *r);
/* What is changed, if the path does not say it. */
void request_audit_target(struct admin_request *r, struct slice target);
/* Its route and namespace are known. */
void request_audit_begin(struct admin_request *r, const struct route *route);
/* It was refused before it changed anything. */
void request_audit_refused(struct admin_request *r, enum err code);

/* Reading. A handler is a function of the request and of what it has read. request_read() answers
 * from what was read before, in the order of asking; what is new it asks the store. When that answers
 * later, the handler gets an error, and whatever it replies is dropped; it is called again, from its
 * beginning, when everything that it asked for is there. So a handler reads first and has effects
 * after its last read (it may leave the rest to another by request_go()), and its reads depend on
 * nothing but the request and each other. What a query's slices name lies in the arena. */
NODISCARD enum err request_read(struct admin_request *r, struct store_query *q,
                                struct error *ret_error);
/* From here on this is the handler; it has read nothing yet. */
void request_go(struct admin_request *r, void (*handler)(struct admin_request *r));
/* What is to last would begin now. False: streams were ended since it was asked whether the request may
 * have it, perhaps this one, so it is asked again, and the handler may be called again. */
NODISCARD bool request_may_last(struct admin_request *r);

/* The operation to give to one store mutation; fn is called with its result, r alive. */
struct store_op *request_op(struct admin_request *r,
                            void (*fn)(struct admin_request *r, const struct store_op *op));

/* Each answers once; later calls and calls for a gone client do nothing. Buffers are released. */
void reply_json(struct admin_request *r, int status, struct bytes *body);
/* Writes a row of an answer, of the type that it is for. */
typedef void row_json(struct admin_request *r, struct json_writer *w, const void *row);
/* One row. */
void reply_row(struct admin_request *r, int status, const void *row, row_json *write);
/* 200 with an array; size: of a row. What writes nothing leaves a row out. */
void reply_rows(struct admin_request *r, const void *rows, size_t len, size_t size,
                row_json *write);
/* 200 with a page of a list. next: path of the next one inside of the namespace, NULL: it is the last. */
void reply_page(struct admin_request *r, const char *next, struct bytes *body);
/* As reply_json, with more headers. */
void reply_with(struct admin_request *r, int status, const struct http_header *headers,
                size_t headers_len, const char *type, struct bytes *body);
void reply_empty(struct admin_request *r, int status);
/* 204 when a change has been announced, or what failed. */
void reply_changed(struct admin_request *r, const struct error *e);
void reply_error(struct admin_request *r, const struct error *e);

/* reads.c: queries, one each, by request_read(). */
NODISCARD enum err read_namespace(struct admin_request *r, struct namespace_row *ret_row,
                                  struct error *ret_error);
/* What the path is about. resources.c */
enum resource_kind request_resource_kind(const struct admin_request *r);
/* Of the request's namespace; ret_query->resource has it. ERR_NOT_FOUND. */
NODISCARD enum err read_resource(struct admin_request *r, enum resource_kind kind,
                                 struct slice name, struct store_query *ret_query,
                                 struct error *ret_error);
/* Of the request's namespace. */
NODISCARD enum err read_functions(struct admin_request *r, enum module_kind kind,
                                  struct function_row **ret_rows, size_t *ret_len,
                                  struct error *ret_error);
NODISCARD enum err read_function(struct admin_request *r, struct slice name,
                                 struct function_row *ret_row, struct error *ret_error);
/* The one that serves. */
NODISCARD enum err read_version(struct admin_request *r, struct slice function,
                                struct version_row *ret_row, struct error *ret_error);
NODISCARD enum err read_versions(struct admin_request *r, struct slice function,
                                 struct version_row **ret_rows, size_t *ret_len,
                                 struct error *ret_error);
NODISCARD enum err read_version_of(struct admin_request *r, struct slice function, int64_t number,
                                   struct version_row *ret_row, struct error *ret_error);
NODISCARD enum err read_builds(struct admin_request *r, struct slice function,
                               struct build_row **ret_rows, size_t *ret_len,
                               struct error *ret_error);
NODISCARD enum err read_build(struct admin_request *r, struct slice function, int64_t number,
                              struct build_row *ret_row, struct error *ret_error);
NODISCARD enum err read_env(struct admin_request *r, struct slice function,
                            struct env_row **ret_rows, size_t *ret_len, struct error *ret_error);
NODISCARD enum err read_execution(struct admin_request *r, struct slice id,
                                  struct execution_row *ret_row, struct error *ret_error);
NODISCARD enum err read_durable(struct admin_request *r, struct slice id,
                                struct durable_row *ret_row, struct error *ret_error);
NODISCARD enum err read_logs(struct admin_request *r, struct slice function, struct slice execution,
                             int64_t after, int64_t limit, struct log_row **ret_rows,
                             size_t *ret_len, struct error *ret_error);

/* A name that the client gave, with the request's namespace. ERR_INVALID. */
NODISCARD enum err request_module(struct admin_request *r, struct slice name,
                                  struct slice *ret_module, struct error *ret_error);
/* The function or workflow of this name with its namespace; as r->kind says, it must exist. */
NODISCARD enum err function_read(struct admin_request *r, struct slice name,
                                 struct function_row *ret_row, struct error *ret_error);
/* OK if there is one of this name, whichever of the two. */
NODISCARD enum err module_check(struct admin_request *r, struct slice name,
                                struct error *ret_error);
const char *kind_word(enum module_kind kind); /* "function" … */
/* "http://NAME.localhost:8080/", "http://NAME.SPACE.localhost:8080/" in the arena; "": it has none. */
struct slice function_url(struct admin_request *r, struct slice name);
/* {"id", "status", …} of a row; a build that is still running shows how far it is. */
void build_json(struct admin_request *r, struct json_writer *w, const struct build_row *row);
/* The answer to an upload that ended: 200, or 422 with the failure. made: JSON, what it has made beside a
 * version. Inside a handler. */
void build_reply_ended(struct admin_request *r, struct slice function, int64_t number,
                       struct slice made);
/* Members for how a version runs; functions.c. */
void version_options_json(struct json_writer *w, const struct version_options *o);
/* "file", "line", "column", "frame" of a row's failure. */
void build_failure_json(struct json_writer *w, const struct build_row *row);
void log_json(struct json_writer *w, const struct log_row *row);

/* queues.c: likewise, as version_options.consumers. */
NODISCARD enum err consumers_of_upload(struct slice json, struct arena *a, struct slice *ret_json,
                                       struct error *ret_error);
/* schedules.c: what an upload declares, as version_options.schedules; ERR_INVALID. */
NODISCARD enum err schedules_of_upload(struct slice json, struct slice module,
                                       enum module_kind kind, struct arena *a,
                                       struct slice *ret_json, struct error *ret_error);

/* fields.c: members whose value may be missing. Times are "x_at" (ISO) and "x_at_ms"; null when 0.
 */
void times_json(struct json_writer *w, const char *key, int64_t us);
/* Its name without the namespace under key, and "namespace". */
void module_json(struct json_writer *w, const char *key, struct slice module);
void text_json(struct json_writer *w, const char *key, struct slice text); /* "": null */
void number_json(struct json_writer *w, const char *key, int64_t number);  /* 0: null */
void raw_json(struct json_writer *w, const char *key, struct slice json);  /* "": null */
void milliseconds_json(struct json_writer *w, const char *key, int64_t from_us,
                       int64_t to_us); /* to_us 0: null */
/* An execution of either kind. */
struct execution_found {
    bool is_durable;
    struct durable_row durable;    /* if it is, else */
    struct execution_row function; /* a run of a function */
};
/* ERR_NOT_FOUND with a hint. */
NODISCARD enum err execution_find(struct admin_request *r, struct slice id,
                                  struct execution_found *ret_found, struct error *ret_error);
/* {"body", "metadata", "id"} of an execute request; borrowed from r->body, the id from the arena.
 */
struct execute_input {
    struct slice body, metadata, key; /* key "": none */
};
NODISCARD enum err execute_read(struct admin_request *r, struct execute_input *ret_input,
                                struct error *ret_error);
/* The members that answers about durable executions have; durable.c. */
void durable_json_members(struct json_writer *w, const struct durable_row *row);
/* Answers with the whole row as it is now. From here on this is the handler. */
void durable_reply_row(struct admin_request *r, struct slice id);
/* Answers with the row when it has finished or the time is over. */
void durable_wait(struct admin_request *r, struct slice id, uint64_t wait_ms);

/* An operation of admin_host.durable on behalf of a request; fn answers, and may be called before
 * this returns. When the client goes, what waits is cancelled. */
struct durable_op {
    struct flow_request durable;
    struct admin_request *request;
    void (*fn)(struct admin_request *r, struct flow_request *d);
    struct list link; /* in admin.durable_ops */
    bool is_cancelled;
};
struct durable_op *durable_op_new(struct admin_request *r, enum flow_request_kind kind,
                                  void (*fn)(struct admin_request *r, struct flow_request *d));
void durable_op_start(struct durable_op *op);
/* The server stops: what waits is answered now. */
void durable_ops_end_waits(struct admin *a);

/* Ends the open log streams. */
void log_followers_end(struct admin *a, struct slice function /* "": all */);
/* Those of a token that was revoked. */
void log_followers_end_of(struct admin *a, struct slice token);

/* Forgets what there is of a module that has just been deleted, then fn. */
void function_forget(struct admin_request *r, struct slice module,
                     void (*fn)(struct admin_request *r, const struct error *e));
/* Sends host->change for a module or namespace, then fn; keeps r alive meanwhile. fn answers. */
void change_announce(struct admin_request *r, struct slice function, enum admin_change_kind kind,
                     void (*fn)(struct admin_request *r, const struct error *e));
/* The OpenAPI document. */
void openapi_write(struct bytes *out);
/* The same as Markdown, for docs/http-api.md. */
void openapi_markdown(struct bytes *out);
