/* SPDX-License-Identifier: Apache-2.0
 *
 * A deployment on a thread: its isolates, taken for work and given back, kept while they may be
 * wanted, and what they use, for the meters. For the worker's thread. */
#pragma once

#include "server/worker.h"

struct slot *slot_new(struct worker *w, struct deployment *d); /* takes the reference over */
void slot_retire(struct slot *s);                              /* not routed any more */
void slot_release(struct slot *s);                             /* frees it if nothing needs it */
void slot_use(struct slot *s, uint64_t now_ns);                /* it is wanted */
void slot_warm(struct slot *s);                                /* it has something to give back */
void slot_going_away(struct slot *s); /* the server is about to stop: WebSockets of clients close */
void slot_abandon(struct slot *s);    /* the thread ends: whatever still runs is broken off */

/* An isolate for the task at once, or NULL with the reason (ERR_OVERLOAD at the limit). */
struct guest *slot_take(struct slot *s, const struct task *t, struct error *ret_error);
/* Its work is over: pristine again for others, or freed. False: it is the resident, which stays. */
bool slot_give(struct slot *s, struct guest *g);

/* Gives back what was not needed lately: isolates, and all that slots have that are not called. */
void slots_trim(struct worker *w);
/* Frees the idle isolate that was not used for longest. False: there is none. */
bool slots_reclaim(struct worker *w);
