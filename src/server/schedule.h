/* SPDX-License-Identifier: Apache-2.0
 *
 * Who runs next on an engine thread: a fair share of its time for each slot, whatever the others
 * do. Deficit round robin in two lists: a share runs while it has time left of its quantum, then it
 * waits until the others have had theirs; what it took too much it waits out. One that seldom runs
 * always has time left, so it never waits for more than what runs at that moment.
 *
 * Knows nothing of guests and reads no clock. One thread. */
#pragma once

#include <stdint.h>

#include "base/list.h"

enum { SCHEDULE_QUANTUM_NS = 200 * 1000 };

struct share {
    struct list link; /* in active or expired; unlinked: nothing to run */
    uint64_t round;
    int64_t left_ns;
};

struct schedule {
    struct list active, expired;
    uint64_t round;
};

void schedule_init(struct schedule *s);
/* It has something to run. Nothing happens if that was known. */
void schedule_add(struct schedule *s, struct share *share);
void schedule_remove(struct share *share); /* nothing to run */
/* The share to run, NULL: there is none. It stays until removed or spent. */
struct share *schedule_next(struct schedule *s);
/* It has run for so long. */
void schedule_spent(struct schedule *s, struct share *share, uint64_t ns);
bool schedule_is_empty(const struct schedule *s);
