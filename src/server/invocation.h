/* SPDX-License-Identifier: Apache-2.0
 *
 * One request on its way through a worker, and the steps it takes: route, prepare, wait for an
 * isolate, run. For the worker's thread. */
#pragma once

#include "server/asset_send.h"
#include "server/worker.h"

/* loading.c */
void prepare_start(struct prepare *p); /* done may be called at once */

/* One request on its way: HTTP, execute or setup. */
struct invocation {
    struct exchange_owner owner; /* first: of exchanges */
    struct dispatch dispatch;
    struct worker *worker;
    struct slot *slot;
    struct http_exchange *exchange; /* NULL: not HTTP, or gone */
    struct admin_execute *execute;
    struct prepare prepare;
    struct task task;
    char id[37];
    uint64_t started_ns;
    enum { INVOCATION_PREPARING, INVOCATION_QUEUED, INVOCATION_RUNNING, INVOCATION_OVER } stage;
    int status; /* answered with; for metrics */
};

/* A message between the control thread and a worker. */
struct execute_message {
    struct post post;
    struct worker *worker;
    struct admin_execute *execute;
};

/* Events of exchanges, for http_server_new(). */
void invocation_on_request(void *ctx, struct http_exchange *x);
void invocation_on_body(struct http_exchange *x, struct slice data, bool is_end);
void invocation_on_drain(struct http_exchange *x);
void invocation_on_close(struct http_exchange *x, bool is_complete);
struct invocation *invocation_new(struct worker *w, struct slot *slot, enum dispatch_kind kind);
void invocation_prepare(struct invocation *v); /* gets it ready, then in line for an isolate */
void invocation_fail(struct invocation *v, const struct error *error);
void invocation_free(struct invocation *v);
/* The log line of an exception: message and stack in terms of the sources. */
void invocation_log(struct slot *s, const struct dispatch *dispatch, const struct error *error,
                    struct slice request, struct slice stack);
