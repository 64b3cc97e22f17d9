/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine thread: its loop, listener, outgoing client, database connections, isolates. Everything
 * in struct worker belongs to its own thread, except what is marked atomic. */
#pragma once

#include "admin/admin.h"
#include "flow/env.h"
#include "host/guest.h"
#include "http/route_pattern.h"
#include "module/deployment.h"
#include "server/asset_cache.h"
#include "server/metrics.h"
#include "server/schedule.h"
#include "server/server.h"
#include "store/ask.h"

struct egress_policy;
struct flow;
struct http_client;
struct http_exchange;
struct http_server;

/* A deployment on this thread. Lives while it is routed to or has guests. One that is not called
 * for a while rests: it gives back its isolates and its share in the image. */
struct slot {
    struct deployment *deployment;
    struct worker *worker;
    struct list idle; /* pristine guests, last used first */
    unsigned idle_len;
    unsigned idle_min;      /* least idle_len since the last trim: these were not needed */
    struct guest *resident; /* isolation = "module": the one guest, shared by requests */
    struct list all;        /* every guest that exists */
    struct list fresh;      /* guests to run that have not used up a slice yet */
    struct list lengthy;    /* guests that have */
    struct list tasks;      /* wait for the turn, or for an isolate */
    unsigned waiting_len;   /* tasks that may be turned away */
    struct share fresh_share, lengthy_share; /* of fresh and tasks; of lengthy */
    bool is_stalled;                         /* there was no isolate for its oldest task */
    struct list stalled;                     /* worker->stalled */
    unsigned guests;
    unsigned invocations;
    /* used since the last trim, then added to the module's meter */
    uint64_t requests, cpu_ns, egress_bytes, metered_ms;
    unsigned fibers;    /* ops of its guests and uses of its database on fibers */
    struct slot *split; /* of the deployment's split: routed through this one; or NULL */
    bool is_routed;     /* more work may come */
    bool is_unnamed;    /* reached by worker_slot(), not by name */
    bool is_user;       /* of the deployment's image */
    bool is_ready;      /* to serve: the image is there, setup() has run */
    uint64_t used_ns;   /* when it was last wanted */
    struct list link;   /* in worker->slots */
    struct list warm;   /* in worker->warm, if it has anything to give back when it rests */
    struct list pool;   /* in worker->pools, if it has idle guests */
    struct list actors; /* of this deployment: actor.c */
};

struct worker {
    struct server *server;
    int index;
    pthread_t thread;
    struct loop loop;
    struct http_server *http;
    struct http_client *client;
    struct guest_host host;
    struct map routes;        /* module name -> struct slot */
    unsigned default_len;     /* of them in the default namespace */
    struct route_table hosts; /* of patterns beside names -> struct slot */
    struct map spaces;        /* names of the other namespaces; the values are nothing */
    struct map policies; /* name of a namespace -> struct egress_policy, a reference: policy.h */
    struct map unnamed;  /* address of a deployment -> struct slot */
    struct map actors;   /* key -> struct actor */
    struct map alarms;   /* key -> struct alarm: alarm.c */
    uint64_t alarm_sets; /* how often one was set on this thread */
    unsigned actors_len;
    struct list actors_idle; /* the one first that is idle for longest */
    struct list slots;
    struct list warm;               /* slots, the one first that was not wanted for longest */
    struct list pools;              /* likewise */
    struct schedule fresh, lengthy; /* slots with something to run: see turn.c */
    struct list stalled;            /* slots that wait for an isolate */
    struct list sql_uses;           /* sql_use.h */
    struct list statement_calls;    /* statement_calls.h */
    struct timer unstall;
    bool owes_lengthy;               /* the last turn had no time for one */
    unsigned tasks_len, waiting_len; /* of all slots; of these may be turned away */
    unsigned guests_len;
    unsigned idle_len; /* in all slots */
    unsigned warm_len; /* slots that are users of an image */
    unsigned rested;   /* slots and actors, since memory was given back */
    unsigned trims;    /* how often slots_trim() has run */
    unsigned guests_max, waiting_max;
    struct timer trim;
    struct worker_metrics metrics;
    struct flow_env env; /* place.c: what flow/ has of this thread */
    struct flow *flow;   /* durable executions that are here */
    struct asset_cache assets;
    struct asks asks;              /* reads of the store */
    bool is_gathering;             /* inside the turn */
    bool is_over;                  /* the thread ends, or has */
    bool is_draining, is_finished; /* has no requests of clients any more */
    struct timer grace;
    struct post stop, finish;
};

NODISCARD enum err worker_start(struct server *s, int index, int port, struct worker **ret_worker,
                                struct error *ret_error);
int worker_port(const struct worker *w);
/* Stops accepting, lets running requests finish within grace_ms; threads end when all have done so, since
 * they call each other. */
void workers_stop(struct server *s);
void workers_join(struct server *s); /* waits for them, frees */

/* ---- messages from the control thread ---- */

/* Routes the name to the deployment (a reference is taken over), or to nothing when it is NULL. */
enum worker_space { WORKER_SPACE_NONE, WORKER_SPACE_MADE, WORKER_SPACE_GONE, WORKER_SPACE_EGRESS };
struct worker_change {
    struct post post;
    struct worker *worker;
    struct slice name; /* of the module, or of a namespace: */
    enum worker_space space;
    struct deployment *deployment;
    struct egress_policy *policy;          /* likewise, with WORKER_SPACE_EGRESS */
    void (*done)(struct worker_change *c); /* on the worker's thread */
    void *arg;
};
void worker_change(struct worker *w, struct worker_change *c);

/* The slot of a deployment that no name routes to: of a kind that is started otherwise, or of code to
 * be checked. */
struct slot *worker_slot(struct worker *w, struct deployment *d);
/* In worker->unnamed. */
static inline struct slice slot_key(struct deployment *const *d)
{
    return slice_of((const char *)d, sizeof(*d));
}

/* What this turn has asked of the store so far is queued before what another thread asks from now on. */
void worker_store_now(struct worker *w);
