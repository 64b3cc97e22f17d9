/* SPDX-License-Identifier: Apache-2.0
 *
 * See rate_limit.h. */
#include "base/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/random.h"

enum { SETS = 2048, WAYS = 4 };

struct window {
    uint64_t key; /* its hash, which nobody outside can foresee; 0: free */
    uint64_t period;
    uint32_t count, before; /* in this period, and in the one before it */
};

struct rate_limits {
    pthread_mutex_t mutex;
    uint64_t seed;
    struct window windows[SETS][WAYS];
};

struct rate_limits *rate_limits_new(void)
{
    struct rate_limits *r = calloc(1, sizeof(*r));
    CHECK(r);
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    random_bytes(&r->seed, sizeof(r->seed));
    return r;
}

void rate_limits_free(struct rate_limits *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

size_t rate_limits_bytes(void)
{
    return sizeof(struct rate_limits);
}

static uint64_t mixed(uint64_t h)
{
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9; /* the finalizer of splitmix64 */
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    return h ^ (h >> 31);
}

static uint64_t hash_of(const struct rate_limits *r, struct slice key, uint32_t period_ms)
{
    uint64_t h = mixed(r->seed ^ period_ms);
    for (size_t k = 0; k < key.len; k++)
        h = mixed(h ^ (unsigned char)key.ptr[k]);
    return h ? h : 1;
}

/* That of the key, or the one of its set that is free or was used longest ago, which is the key's now. */
static struct window *window_of(struct rate_limits *r, uint64_t key, uint64_t now_ms,
                                uint32_t period_ms)
{
    struct window *set = r->windows[key % SETS], *oldest = &set[0];
    for (size_t k = 0; k < WAYS; k++) {
        if (set[k].key == key)
            return &set[k];
        if (set[k].key == 0 || (oldest->key != 0 && set[k].period < oldest->period))
            oldest = &set[k];
    }
    *oldest = (struct window){.key = key, .period = now_ms / period_ms * period_ms};
    return oldest;
}

bool rate_limits_take(struct rate_limits *r, struct slice key, uint32_t limit, uint32_t period_ms,
                      uint64_t now_ns)
{
    const uint64_t now_ms = now_ns / 1000000, begin = now_ms / period_ms * period_ms;
    const uint64_t hash = hash_of(r, key, period_ms);
    pthread_mutex_lock(&r->mutex);
    struct window *w = window_of(r, hash, now_ms, period_ms);
    if (w->period != begin) {
        w->before = w->period + period_ms == begin ? w->count : 0;
        w->count = 0;
        w->period = begin;
    }
    /* What is left of the period before, as if it had been spread evenly. */
    const uint64_t rest = (uint64_t)w->before * (period_ms - (now_ms - begin)) / period_ms;
    const bool may = rest + w->count < limit;
    w->count += may;
    pthread_mutex_unlock(&r->mutex);
    return may;
}
