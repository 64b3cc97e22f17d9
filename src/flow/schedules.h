/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules, on the control thread: what is due is started, by one commit with the time that is due next.
 * Executions are started by that commit itself, so once for each time. Functions are called after it, and
 * again until the call has ended (`scheduled(controller, env, ctx)`): at least once, with the same
 * scheduledTime. It keeps what is under way, and nothing of what sleeps. */
#pragma once

#include <stdatomic.h>

#include "flow/director.h"

struct schedules;

struct schedules_metrics {
    _Atomic uint64_t started, failed, skipped, tries;
    void (*late)(void *ctx, int64_t us); /* so long after its time one was started */
    void *late_ctx;
};

struct schedules *schedules_new(struct director *d, struct flow_env *env,
                                struct schedules_metrics *metrics);
void schedules_free(struct schedules *s); /* after the loop; NULL is allowed */

/* It has been made, changed or resumed. */
void schedules_look(struct schedules *s, int64_t id);
/* The module was deployed: what it declares may be new. */
void schedules_deployed(struct schedules *s, struct slice module);

/* Starts it for these times, whatever its plan says of now. Borrowed until done, on the control loop. */
struct schedule_ask {
    void (*done)(struct schedule_ask *a);
    const struct schedule_row *row;
    const int64_t *times; /* at most STORE_TIMES_MAX */
    size_t times_len;
    struct error error;
};
void schedules_ask(struct schedules *s, struct schedule_ask *a);
