/* SPDX-License-Identifier: Apache-2.0
 *
 * One request on its way through a worker, and the steps it takes: prepare, wait for an isolate, run.
 * It comes from a client (public.c) or by a call (called.c). For the worker's thread. */
#pragma once

#include "server/asset_send.h"
#include "server/worker.h"

struct actor;
struct call;

/* loading.c */
void prepare_start(struct prepare *p); /* done may be called at once */

struct invocation {
    struct exchange_owner owner; /* first: of exchanges */
    struct dispatch dispatch;
    struct worker *worker;
    struct slot *slot;
    struct http_exchange *exchange; /* NULL: it came by a call, or its client has gone */
    struct call *call;              /* NULL: it came from a client, or is over */
    /* It fails before a guest has had it; stage is OVER. */
    void (*refuse)(struct invocation *v, const struct error *error);
    struct prepare prepare;
    struct task task;
    struct actor *actor; /* it is for this one; NULL: for nobody in particular */
    struct list waiting; /* in the actor's mailbox */
    char id[37];
    uint64_t started_ns;
    enum { INVOCATION_PREPARING, INVOCATION_QUEUED, INVOCATION_RUNNING, INVOCATION_OVER } stage;
    int status; /* answered with; for metrics */
};

struct invocation *invocation_new(struct worker *w, struct slot *slot, enum dispatch_kind kind);
void invocation_prepare(struct invocation *v); /* gets it ready, then in line for an isolate */
void invocation_fail(struct invocation *v, const struct error *error);
/* Nobody waits for its answer: it ends, at once if no guest has it. May free it. */
void invocation_gone(struct invocation *v);
/* Its guest is over with it. May free it. */
void invocation_over(struct invocation *v);
/* Frees it once nobody needs it any more. */
void invocation_check_free(struct invocation *v);
/* The log line of an exception: message and stack in terms of the sources. */
void invocation_log(struct slot *s, const struct dispatch *dispatch, const struct error *error,
                    struct slice request, struct slice stack);
static inline struct slice invocation_id(const struct invocation *v)
{
    return slice_of(v->id, sizeof(v->id) - 1);
}

/* Events of exchanges, for http_server_new(). public.c */
void public_on_request(void *ctx, struct http_exchange *x);
void public_on_body(struct http_exchange *x, struct slice data, bool is_end);
void public_on_drain(struct http_exchange *x);
void public_on_close(struct http_exchange *x, bool is_complete);
/* What the client gets of a failure; the status. */
int public_answer_error(struct worker *w, struct http_exchange *x, struct slice id,
                        const struct error *error);
/* The head of an answer, or all of it. */
void public_respond(struct slot *s, struct http_exchange *x, const struct call_answer *a);
/* False: wait for on_drain. */
bool public_write(struct slot *s, struct http_exchange *x, struct slice data, bool is_end);
/* It is over: what is counted and logged of that. */
void public_closed(struct slot *s, struct http_exchange *x, const struct dispatch *dispatch,
                   struct slice id, int status, uint64_t started_ns);

/* The request of an exchange goes to the thread that its module is on. forward.c */
void forward_start(struct worker *to, struct slot *s, struct http_exchange *x);

/* The callee's end of a call, which is for code of this slot. called.c */
struct invocation *called_take_up(struct slot *s, struct call *c);
/* A call has come to this worker: for call_start(). called.c */
void called_accept(void *worker, struct call *c);
