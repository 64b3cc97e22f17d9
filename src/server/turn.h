/* SPDX-License-Identifier: Apache-2.0
 *
 * Running guests, and the isolates of each deployment. For the worker's thread. */
#pragma once

#include "server/invocation.h"

void turn_enqueue(struct worker *w,
                  struct task *t);  /* gets an isolate in the next turn, or waits */
void turn_withdraw(struct task *t); /* it does not want one any more, if it still waits */
/* A guest whose work is over or broken off: pristine again for others, or freed. */
void turn_give_back(struct worker *w, struct guest *g);
/* An isolate at once, or NULL with the reason (ERR_OVERLOAD at the limit). */
struct guest *turn_take(struct slot *s, struct error *ret_error);
void turn_runnable(void *ctx, struct guest *g);
void turn_run(void *worker);
void slot_retire(struct slot *s);               /* not routed any more */
void slot_release(struct slot *s);              /* frees it if nothing needs it */
void slot_use(struct slot *s, uint64_t now_ns); /* it is wanted */
void slot_warm(struct slot *s);                 /* it has something to give back */
/* Gives back what was not needed lately: isolates, and all that slots have that are not called. */
void slots_trim(struct worker *w);
/* Frees the idle isolate that was not used for longest. False: there is none. */
bool slots_reclaim(struct worker *w);
void slot_abandon(struct slot *s); /* the thread ends: whatever still runs is broken off */
