/* SPDX-License-Identifier: Apache-2.0
 *
 * What flow/ asks of an engine thread and of the control thread: code made ready, isolates, the
 * module's database, deployments. The server implements it (server/place.c), and a simulation. */
#pragma once

#include "base/bytes.h"
#include "base/list.h"
#include "host/guest.h"
#include "loop/op.h"
#include "module/deployment.h"

struct ask;
struct deployments;
struct event_call;
struct execution;
struct slot;
struct trial;

/* Something that needs an isolate of a slot, and waits for one. */
struct task {
    struct list link; /* slot->tasks */
    struct slot *slot;
    bool (*start)(struct task *t, struct guest *g); /* false: g was given back, nothing to run */
    void (*refuse)(struct task *t, const struct error *error);
    bool is_patient; /* never turned away for overload */
    bool is_call;    /* of code that has an isolate meanwhile */
    bool is_own;     /* it is to be nobody else's, also of a module that keeps its state in one */
    uint64_t since_ms;
};

/* Brings a slot's deployment to where it can serve. The caller's memory until done. */
struct prepare {
    struct slot *slot;
    struct slice execution_id; /* named as the one that setup() runs for */
    void (*done)(struct prepare *p, const struct error *error); /* code OK: it serves */
    struct deployment_waiter waiter;                            /* private */
};

/* Records that only the module's own database has. The caller's memory until done, or until it has
 * let go of it. */
struct tail {
    char name[64]; /* they are kept under */
    int64_t from;
    void (*done)(struct tail *t);
    void *owner;
    /* out */
    struct error error;
    int64_t first; /* number of the first */
    struct bytes records;
    int64_t gate_seq; /* of the commit that they are a part of, at most */
    /* private */
    void *internal;
};

/* An engine thread. Its own thread only. */
struct flow_place {
    /* Where code of this deployment runs here, until release(). */
    struct slot *(*hold)(void *ctx, struct deployment *d);
    void (*release)(struct slot *s);
    void (*prepare)(struct prepare *p);            /* done may be called at once */
    void (*enqueue)(void *ctx, struct task *t);    /* start() or refuse() is called later */
    void (*withdraw)(struct task *t);              /* if it still waits */
    void (*give_back)(void *ctx, struct guest *g); /* after flow_isolates.end() */
    void (*runnable)(void *ctx, struct guest *g);  /* step it in this turn or the next */
    bool (*is_crowded)(void *ctx);                 /* others wait for an isolate */

    /* Reads them as whoever has the lease now. OP_DONE: there they are, or the error, or none, and
     * done is not called. */
    enum op_status (*tail_read)(struct slot *s, struct tail *t);
    void (*tail_drop)(struct tail *t); /* done will not be called; harmless if it was */
    /* They are not needed any more. */
    void (*tail_forget)(struct slot *s, const char *name);
    /* The gate of the module's database: what has seen or made commit `seq` must not be stored
     * before that is on disk. */
    bool (*gate_is_open)(struct slot *s, int64_t seq);
    void (*gate_wait)(struct slot *s, struct sql_gate_wait *w);
};

/* What an isolate can do, as host/guest.h says: see flow_isolates_of_host. */
struct flow_isolates {
    void (*add)(struct guest *g, struct dispatch *d);
    enum err (*resume)(struct guest *g, struct dispatch *d, struct slice saved,
                       struct error *ret_error);
    enum err (*save)(struct guest *g, struct bytes *out, struct error *ret_error);
    void (*end)(struct guest *g, const struct error *error);
    void (*start_call)(struct guest *g, uint32_t id, uint32_t op, struct slice args);
    void (*stop_call)(struct guest *g, uint32_t id);
    void (*scope_over)(struct guest *g, uint32_t scope);
};
extern const struct flow_isolates flow_isolates_of_host;

/* A wish for a deployment. The caller owns it until done, which may be called before the function
 * that takes it returns. */
struct deployment_ask {
    void (*done)(struct deployment_ask *a);
    struct deployment *deployment; /* a reference for the caller; NULL: error says why */
    struct error error;
    /* private */
    struct deployments *deployments;
    struct ask *ask;
    uint64_t changes;
    struct slice code, detail; /* of code that is only to be checked */
    struct trial *trial;
};

/* Which code there is. Control thread. */
struct flow_code {
    /* A version of a workflow (0: the one that serves). ERR_NOT_FOUND: deleted. */
    void (*get)(void *ctx, struct deployment_ask *a, struct slice name, int64_t version);
    /* Code that is only to be checked, with the options of the version that serves. code and
     * detail are borrowed until done. */
    void (*trial)(void *ctx, struct deployment_ask *a, struct slice name, struct slice code,
                  struct slice detail);
    /* Calls a handler of the version that serves, on some engine thread. */
    void (*event)(void *ctx, struct event_call *e);
};
