/* SPDX-License-Identifier: Apache-2.0
 *
 * All that flow/ has of the world, one for each thread: time, timers, messages, the store, and what
 * the thread is for. The server fills it in (server/place.c); a simulation fills in its own and so
 * runs the same code with clocks, stores and threads of its making (tests/unit/flow/sim). */
#pragma once

#include <stdatomic.h>

#include "flow/metrics.h"
#include "flow/place.h"
#include "loop/post.h"
#include "loop/timer.h"
#include "store/ask.h"
#include "store/store.h"

struct director;
struct queues;
struct witness;

/* Time and sending. `loop` names a thread; only its own thread starts and stops timers there. */
struct flow_clock {
    int64_t (*wall_us)(void);
    uint64_t (*monotonic_ns)(void);
    void (*timer_start)(struct loop *l, struct timer *t, uint64_t ms, void (*fn)(struct timer *t));
    void (*timer_stop)(struct loop *l, struct timer *t);
    void (*post)(struct loop *l, struct post *p); /* any thread */
};
extern const struct flow_clock flow_clock_of_loop; /* that of loop/ and base/clock.h */

/* What all threads of a process have together. */
struct flow_shared {
    struct director *director;                  /* on the control thread; set when it is made */
    struct queues *queues;                      /* likewise */
    _Atomic uint64_t verified, verify_failures; /* replays compared */
    void (*late)(void *ctx, int64_t us);        /* so late a timer was read as due */
    void *late_ctx;
    uint32_t snapshot_after; /* records since the last one; 0: at every suspension */
    bool verifies_replay;    /* whatever leaves memory is replayed and compared */
};

struct flow_env {
    const struct flow_clock *clock;
    struct loop *loop; /* the thread's: where answers of the store and messages come */
    struct store *store;
    struct asks *asks;
    struct flow_shared *shared;
    void *ctx; /* of the tables below */
    /* an engine thread */
    const struct flow_place *place;
    const struct flow_isolates *isolates;
    struct flow_metrics *metrics;
    struct witness *witness; /* NULL: nobody notes what runs */
    unsigned thread;         /* its number there */
    /* the control thread */
    const struct flow_code *code;
};

static inline int64_t flow_now_us(const struct flow_env *e)
{
    return e->clock->wall_us();
}
/* To that thread; from any. */
static inline void flow_post(const struct flow_env *e, struct post *p)
{
    e->clock->post(e->loop, p);
}
