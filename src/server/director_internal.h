/* SPDX-License-Identifier: Apache-2.0
 *
 * What director.c and director_api.c share. Control thread. */
#pragma once

#include "base/map.h"
#include "server/control.h"
#include "server/director.h"
#include "store/sqlite/reads.h"
#include "store/store.h"

struct worker;

struct director {
    struct control *control;
    struct server *server;
    struct store_reader *reader;
    struct map watchers; /* id -> struct watchers */
    struct timer timer;
    int64_t armed_us;          /* what timer is set for; INT64_MAX: nothing */
    int64_t mark_us, mark_seq; /* everything due up to here has been woken */
    struct timer removed_timer;
    int64_t removed_seq; /* of the last one that was woken for director_removed() */
    unsigned noting;     /* crashes on their way to the store; nothing is woken before */
    bool is_stopping;
};

/* An API call that waits for an end. */
struct waiter {
    struct list link;
    struct timer timer;
    struct director *director;
    struct admin_durable *op;
    char id[37];
};

void director_wake(struct director *d, const char *id, const char *child);
struct worker *director_owner(struct director *d, const char *id);
void director_await(struct director *d, struct admin_durable *op, const char *id);
NODISCARD enum err director_is_finished(struct director *d, const char *id, bool *ret_is_finished);
