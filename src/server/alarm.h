/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms of actors. The truth is in the actor's database (guest/runtime/actors/alarm.ts); the store has a row
 * that is due no later (DUE_ALARM, key "MODULE/CLASS/ID"), so that it is found after a crash. The row is set
 * before the truth, and made later or cleared after it; one that is due too early is harmless: the actor
 * is asked, and says when it is next due. At most one alarm of an actor is under way. */
#pragma once

#include "base/error.h"

struct director;
struct guest;
struct server;
struct worker;

/* For guest_host.alarm. */
NODISCARD enum err alarm_announce(void *ctx, struct guest *g, int64_t due_us,
                                  struct error *ret_error);
/* On the control thread, once the director is there. */
void alarms_direct(struct director *d, struct server *s);
void alarms_abandon(struct worker *w); /* the thread ends */
