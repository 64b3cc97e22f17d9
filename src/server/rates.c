/* SPDX-License-Identifier: Apache-2.0
 *
 * See rates.h. */
#include "server/rates.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/rate_limit.h"

struct rates {
    pthread_mutex_t mutex;
    struct map spaces; /* name of a namespace -> struct rate_limits; kept until the end */
};

struct rates *rates_new(void)
{
    struct rates *r = calloc(1, sizeof(*r));
    CHECK(r);
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0);
    return r;
}

void rates_free(struct rates *r)
{
    size_t cursor = 0;
    struct slice name;
    void *limits;
    if (!r)
        return;
    while (map_next(&r->spaces, &cursor, &name, &limits))
        rate_limits_free(limits);
    map_done(&r->spaces);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

static struct rate_limits *limits_of(struct rates *r, struct slice space)
{
    pthread_mutex_lock(&r->mutex);
    struct rate_limits *limits = map_get(&r->spaces, space);
    if (!limits) {
        limits = rate_limits_new();
        (void)map_put(&r->spaces, space, limits);
    }
    pthread_mutex_unlock(&r->mutex);
    return limits;
}

bool rates_take(struct rates *r, struct slice space, struct slice scope, struct slice key,
                uint32_t limit, uint32_t period_s)
{
    CLEANUP(bytes_done) struct bytes both = BYTES_INIT;
    bytes_append_lstr(&both, scope);
    bytes_append_slice(&both, key);
    return rate_limits_take(limits_of(r, space), bytes_slice(&both), limit, period_s * 1000,
                            clock_monotonic_ns());
}
