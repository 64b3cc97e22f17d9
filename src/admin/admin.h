/* SPDX-License-Identifier: Apache-2.0
 *
 * The control API (JSON over HTTP) and the build pipeline, on the control thread's loop. What it
 * needs of the rest of the server comes through struct admin_host, which server/ implements. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "flow/request.h"
#include "flow/schedules.h"
#include "module/build.h"
#include "store/store.h"

struct admin;
struct egress_policy;
struct json_writer;
struct loop;

/* One run of a function through the API: execute. The caller owns it until done. */
struct admin_execute {
    void (*done)(struct admin_execute *e); /* on the control loop, once */
    /* in: borrowed until done */
    struct slice function, execution_id, body, metadata; /* JSON texts */
    /* out: valid in done; owned by the struct's user, release with bytes_done */
    struct bytes output; /* JSON, when error.code is OK */
    struct error error;
    struct bytes error_name;  /* "TypeError" for exceptions of the guest */
    struct bytes error_stack; /* mapped to the sources, "" if none */
    int64_t version;
    void *internal;
};

/* Statements that somebody runs on a resource that is a database (base/resource_kind.h). The caller owns it until
 * done. */
struct admin_statements {
    void (*done)(struct admin_statements *s); /* on the control loop, once */
    /* in: borrowed until done */
    struct slice space;
    int64_t resource;
    struct slice request; /* host/statements.h */
    /* out */
    struct error error;
    unsigned failed;     /* with an error: which of them, from 0 */
    struct bytes result; /* likewise; bytes_done() */
};

/* Tells the engine threads that a function's version, env, existence or quotas changed. Owned by the
 * caller until done. */
enum admin_change_kind {
    ADMIN_CHANGED,
    ADMIN_DELETED, /* one of its name that is there is another, made since */
    ADMIN_QUOTA,   /* only its quotas */
    /* function is the name of a namespace: */
    ADMIN_SPACE_MADE,
    ADMIN_SPACE_DELETED,
    ADMIN_SPACE_QUOTA,
    ADMIN_SPACE_EGRESS,
};
struct admin_change {
    void (*done)(
        struct admin_change *c); /* on the control loop: every engine thread has taken it */
    struct slice function;       /* borrowed until done */
    enum admin_change_kind kind;
    struct error error;
    void *internal;
};

/* What modules used is to be in the store. Owned by the caller until done. */
struct admin_usage {
    void (*done)(struct admin_usage *u); /* on the control loop; may be before the call returns */
    struct error error;
};

/* What a module may hold of a resource, and holds. */
struct admin_quota {
    size_t least, most; /* that may be set */
    size_t otherwise;   /* its limit without a quota */
    size_t used;        /* 0 without a module */
};

/* Hosts and paths that modules answer for (http/route_pattern.h). */
struct admin_routes {
    /* May the module have these (lines), beside what others have? ERR_CONFLICT. */
    enum err (*check)(void *ctx, struct slice module, struct slice lines, struct error *ret_error);
    /* Nobody else gets them until they serve, or it is held "". */
    void (*hold)(void *ctx, struct slice module, struct slice lines);
    void (*list)(void *ctx, struct slice space, struct json_writer *w);
};

struct admin_host {
    void *ctx;
    /* Loads what was built into a fresh isolate under its limits, as a serving version would be.
     * Blocking; runs on a pool thread. On failure fills *ret_failure with the source position. */
    enum err (*evaluate)(void *ctx, struct slice function, const struct build_output *built,
                         const struct version_options *options, uint32_t *ret_exports,
                         struct build_failure *ret_failure, struct error *ret_error);
    void (*change)(void *ctx, struct admin_change *c);
    void (*execute)(void *ctx, struct admin_execute *e);
    void (*statements)(void *ctx, struct admin_statements *s);
    /* A resource that was a database is deleted: its files go, and nobody gets at them any more. */
    void (*database_gone)(void *ctx, struct slice space, int64_t resource);
    /* Appends the server's own metrics (requests, latencies, isolates, ops, memory) in Prometheus
     * text. */
    void (*metrics)(void *ctx, struct bytes *out);
    void (*durable)(void *ctx, struct flow_request *d);
    /* The client that waits has gone: done comes soon (ERR_CANCELLED for WAIT). */
    void (*durable_cancel)(void *ctx, struct flow_request *d);
    void (*usage)(void *ctx, struct admin_usage *u);
    /* What its files take on disk now. */
    int64_t (*stored_bytes)(void *ctx, struct slice module);
    /* False: there are no quotas of this resource. owner: module and is_namespace are used; module
     * "": of any. */
    bool (*quota_look)(void *ctx, const struct quota_row *owner, enum resource r,
                       struct admin_quota *ret_quota);
    /* A schedule was made or changed; starts one by hand. */
    void (*schedule_look)(void *ctx, int64_t id);
    void (*schedule_ask)(void *ctx, struct schedule_ask *a);
    /* A queue was paused or resumed, or got messages. */
    void (*queue_look)(void *ctx, int64_t queue);
    struct admin_routes routes;
    /* Is any of its disk left to the module? ERR_LIMIT_DISK. */
    enum err (*disk_left)(void *ctx, struct slice module, struct error *ret_error);
};

struct admin_config {
    const char *host;
    int port;
    const char *token;   /* NULL: none; then only loopback addresses are allowed (ERR_INVALID) */
    const char *esbuild; /* path */
    int public_port;     /* shown in answers as the public URL */
    bool is_public_tls;  /* that URL is https */
};

/* Egress rules as the store has them; any thread. ERR_INVALID, ERR_LIMIT. */
NODISCARD enum err admin_egress_policy(const struct egress_rule_row *rows, size_t len, bool denies,
                                       struct egress_policy **ret_policy, struct error *ret_error);

NODISCARD enum err admin_new(struct loop *loop, const struct admin_config *config,
                             struct store *store, const struct admin_host *host,
                             struct admin **ret_admin, struct error *ret_error);
int admin_port(const struct admin *a);
/* Stops accepting; running builds end or fail; done when idle. */
void admin_drain(struct admin *a, void (*done)(void *arg), void *arg);
void admin_close(struct admin *a);
