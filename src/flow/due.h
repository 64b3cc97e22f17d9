/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever falls due on a thread: deadlines, the next row of the store, time-outs of callers, a try
 * after a failure. One entry in one table (the thread's timers), embedded in what it is of; only what
 * sets it differs. Its own thread. */
#pragma once

#include "flow/env.h"

struct due {
    struct timer timer; /* private */
    void (*fn)(struct due *d);
    unsigned failures; /* in a row; who has succeeded sets it to 0 */
};

void due_in(const struct flow_env *e, struct due *d, uint64_t ms, void (*fn)(struct due *d));
/* By the wall clock, which may be set: fn may come earlier and has to look again. */
void due_at(const struct flow_env *e, struct due *d, int64_t us, void (*fn)(struct due *d));
void due_stop(const struct flow_env *e, struct due *d); /* harmless if it is not set */

/* ---- trying again ---- */

/* What an error says about another try: */
enum retry {
    RETRY_PASSES, /* the server's own trouble (its disk, its store): may pass at any time */
    RETRY_MAYBE,  /* may pass, or needs somebody: so many tries */
    RETRY_NEVER,  /* it would come to the same */
    RETRY_LOST,   /* it is another server's business now */
};
enum retry retry_of(const struct error *error);

enum {
    RETRY_MS = 100, /* the first pause; doubled each time */
    RETRY_MS_MAX = 30 * 1000,
    RETRY_SHIFT_MAX = 16,
};
/* A pause of first_ms, doubled for each failure before. */
uint64_t retry_pause_ms(uint64_t first_ms, unsigned failures);
/* After one more failure: when such a pause has passed. True: it was the first in a row. */
bool due_again(const struct flow_env *e, struct due *d, uint64_t first_ms,
               void (*fn)(struct due *d));
