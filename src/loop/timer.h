/* SPDX-License-Identifier: Apache-2.0
 *
 * Timers: nodes embedded in what they time, in a heap on one libuv handle per loop. Stopping is
 * synchronous, so the memory may go right after timer_stop(). Loop thread only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct timer {
    void (*fn)(struct timer *t);
    /* private */
    uint64_t due_ms;
    uint64_t seq;    /* equal times fire in the order they were started */
    size_t heap_pos; /* 1-based; 0: not running */
};

/* Starts or restarts; fn is called once, from the loop, not before delay_ms have passed. */
void timer_start(struct loop *l, struct timer *t, uint64_t delay_ms, void (*fn)(struct timer *t));
void timer_stop(struct loop *l, struct timer *t); /* harmless if not running */
bool timer_is_running(const struct timer *t);
