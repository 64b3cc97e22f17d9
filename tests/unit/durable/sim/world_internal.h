/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the simulated world share. It is one thing with one state (struct world):
 *
 *     world.c           the state, the store and what is on its way there, death
 *     world_calls.c     what the code asks for: ops, bodies of its steps, calls
 *     world_actions.c   what can happen next, and who chooses
 *     world_checks.c    replays of what is stored, the judgement at the end
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "durable/execution.h"
#include "sim/world.h"

enum { ONE_MS = 1000 };

struct request { /* an external call, on its way */
    bool is_wanted, is_sent, is_answered;
    uint32_t answers; /* still to come */
    int64_t gate, due_us;
    uint64_t path, in;
};

struct body { /* of a step; is_over: its scope is, but the code goes on */
    bool is_used, is_over;
    uint32_t scope, id, attempt;
    int64_t gate, due_us;
    uint64_t path;
    enum body_mode {
        BODY_WORKS,
        BODY_WORKS_AT_ONCE, /* before the call of the step returns: it asks nobody */
        BODY_FAILS,
        BODY_FAILS_AT_ONCE,
        BODY_IS_FINAL,
        BODY_HANGS,
    } mode;
};

struct seen { /* by the server out there, under one idempotency key */
    uint64_t path, in, count;
};

struct store {
    struct bytes journal;
    int64_t count;
    bool has_ended;
    uint32_t end_status;
    uint64_t end_value;
    struct model_row logs[MODEL_EVENTS_MAX];
    size_t logs_len;
    struct child {
        uint64_t id, in;
        bool has_ended;
    } children[MODEL_EVENTS_MAX];
    size_t children_len;
    struct {
        int64_t at_us;
        uint32_t name;
        bool is_consumed;
    } signals[WORLD_SIGNALS_MAX + 1]; /* by seq */
    int64_t signals_len;
    bool is_cancel_asked;
    uint64_t events;
    struct bytes saved; /* a snapshot: of the execution, and */
    struct guest saved_guest;
    int64_t saved_count;
    int64_t wake_us; /* when suspended */
    uint64_t wake_events;
};

struct db {
    struct model_row rows[MODEL_EVENTS_MAX];
    size_t rows_len;
    struct bytes tail; /* all records that were ever put here, gapless from tail_first */
    int64_t tail_first;
};

struct flight {                    /* a commit on its way to the store */
    struct execution_batch *batch; /* NULL: only */
    bool is_leaving;               /* the execution has left memory with it */
    int64_t wake_us;
    uint64_t events_seen;
    struct bytes saved; /* with leaving_guest */
};

struct world {
    const struct world_options *options;
    struct world_stats *stats;
    struct dice dice;
    struct program program;
    struct execution_port port;
    int64_t now_us;
    char failure[2048];
    bool has_failed;
    uint64_t boundaries, crashes, refusals;
    bool is_dead;

    struct execution *x; /* NULL: not in memory */
    struct guest guest;
    struct guest_host host;
    bool has_started, is_runnable, is_cancel_passed;
    uint64_t events_seen;
    int64_t signals_passed;
    struct request requests[GUEST_CALLS_MAX + 2];
    struct body bodies[WORLD_BODIES_MAX];
    struct flight flight[WORLD_FLIGHT_MAX];
    size_t flight_len;
    struct guest leaving_guest;
    struct bytes leaving_text; /* execution_describe() */

    struct store store;
    struct db db;
    uint32_t event_names[GUEST_CALLS_MAX + 2]; /* by id, from 1; 0: no wait for an event */
    struct seen requests_seen[GUEST_CALLS_MAX + 2], steps_seen[GUEST_CALLS_MAX + 2];
};

#define SAY(w, ...)                                                                                \
    do {                                                                                           \
        if ((w)->options->is_loud)                                                                 \
            (void)printf("# " __VA_ARGS__), (void)printf("\n");                                    \
    } while (0)

static inline bool percent(struct world *w, uint64_t n)
{
    return dice_percent(&w->dice, n);
}

static inline struct slice slice_row(const struct model_row *row)
{
    return slice_of((const char *)row, sizeof(*row));
}

static inline struct slice slice_u64(const uint64_t *v)
{
    return slice_of((const char *)v, sizeof(*v));
}

static inline bool next_delivery(struct execution *x, const struct guest *g,
                                 struct execution_delivery *d)
{
    return g->blocked_id ? execution_next_of(x, g->blocked_id, d) : execution_next(x, d);
}

/* world.c */
__attribute__((format(printf, 2, 3))) void world_fails(struct world *w, const char *format, ...);
bool world_boundary(struct world *w); /* true: the process has died here */
const char *world_op_text(uint32_t op);
enum err world_read(void *ctx, int64_t first, struct bytes *out, int64_t *ret_count,
                    struct error *ret_error); /* of the port */
void world_apply_flight(struct world *w, struct flight *f);
void world_flight_pop(struct world *w); /* the oldest */
void world_close_execution(struct world *w);
void world_lose_memory(struct world *w);
void world_crash(struct world *w);

/* world_calls.c */
void world_calls_init(struct world *w); /* port and host */
void world_seen_add(struct world *w, struct seen *s, uint64_t path, uint64_t in);
/* The same for the same attempt of the same place, whenever and however often it runs. */
enum body_mode world_body_mode(uint64_t path, bool has_timeout, uint32_t attempt);
void world_body_start(struct world *w, uint32_t scope, uint32_t id, uint32_t attempt,
                      const struct guest_made *made);
void world_body_end(struct world *w, uint32_t scope, uint32_t id, uint32_t attempt, uint64_t path,
                    enum body_mode mode);
/* The same in checks. */
enum err world_make_call(struct execution *x, const struct guest_call *call, uint32_t *ret_id,
                         uint32_t *ret_scope);

/* world_actions.c */
void world_act(
    struct world *w); /* until the execution has ended in the store, or a rule is broken */

/* world_checks.c */
/* Replays what is stored. is_leaving: it leads to the state that has just left memory. */
void world_check_stored(struct world *w, int64_t count, bool is_leaving);
void world_judge(struct world *w, struct world_result *result);
/* What was stored can be replayed up to any record, and other code is noticed or does the same. */
void world_judge_replays(struct world *w);
