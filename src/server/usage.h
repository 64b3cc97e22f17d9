/* SPDX-License-Identifier: Apache-2.0
 *
 * Brings what modules have used since the last time to the store, where it is kept by the hour:
 * once a minute and when an hour ends, when somebody asks, and at a stop. So a process that is
 * killed loses a minute of it at most. What could not be stored is kept and tried again. Control
 * thread. */
#pragma once

#include "base/error.h"
#include "base/list.h"

struct loop;
struct server;
struct usage;

struct usage *usage_new(struct server *s, struct loop *loop);
void usage_free(struct usage *u); /* nothing may be on its way: usage_flush() before */

struct usage_wait {
    void (*done)(struct usage_wait *w); /* may be called before usage_flush() returns */
    struct error error;
    /* private */
    struct list link;
};
/* done: all that was metered before the call is in the store, or could not be brought there. */
void usage_flush(struct usage *u, struct usage_wait *w);
