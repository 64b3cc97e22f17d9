/* SPDX-License-Identifier: Apache-2.0
 *
 * See due.h. */
#include "flow/due.h"

enum { DUE_MS_MAX = 60 * 60 * 1000 }; /* then it looks again */

static void due_fired(struct timer *t)
{
    struct due *d = container_of(t, struct due, timer);
    d->fn(d);
}

void due_in(const struct flow_env *e, struct due *d, uint64_t ms, void (*fn)(struct due *d))
{
    d->fn = fn;
    e->clock->timer_start(e->loop, &d->timer, ms, due_fired);
}

void due_at(const struct flow_env *e, struct due *d, int64_t us, void (*fn)(struct due *d))
{
    int64_t left = us - flow_now_us(e);
    uint64_t ms = left <= 0 ? 0 : (uint64_t)left / 1000 + (left % 1000 != 0);
    due_in(e, d, ms < DUE_MS_MAX ? ms : DUE_MS_MAX, fn);
}

void due_stop(const struct flow_env *e, struct due *d)
{
    e->clock->timer_stop(e->loop, &d->timer);
}

/* ---- trying again ---- */

enum retry retry_of(const struct error *error)
{
    if (error->code == ERR_FENCED)
        return RETRY_LOST;
    if (error->code == ERR_OVERLOAD || error->code == ERR_CONFLICT)
        return RETRY_MAYBE;
    return error_is_retryable(error->code) ? RETRY_PASSES : RETRY_NEVER;
}

uint64_t retry_pause_ms(uint64_t first_ms, unsigned failures)
{
    uint64_t ms = first_ms << (failures < RETRY_SHIFT_MAX ? failures : RETRY_SHIFT_MAX);
    return ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX;
}

bool due_again(const struct flow_env *e, struct due *d, uint64_t first_ms,
               void (*fn)(struct due *d))
{
    due_in(e, d, retry_pause_ms(first_ms, d->failures), fn);
    return d->failures++ == 0;
}
