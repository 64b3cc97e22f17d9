/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded number of places (connections, look-ups) for owners who do not know each other, and
 * within an owner for members: module and guest. Who finds none waits; who waits is served in
 * turns, owner by owner, member by member.
 *
 * An owner may hold as many places as are free at that moment, a member as many as its owner could
 * still take of half of all. So one alone gets half of the places, the next one half of the rest,
 * and so on: however much is taken and kept, a newcomer finds something, without anything being set
 * aside that nobody uses (dynamic thresholds, Choudhury and Hahne 1998). What is held is never
 * taken back.
 *
 * A place that is held is taken from its owner's account, too, so that a quota bounds what an owner
 * holds on all threads together. At a quota places wait as well; since others may give back on
 * other threads, whoever owns the queue is told (refused) and looks again by and by (fair_retry).
 *
 * Members are known by their addresses, which are never followed. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/budget.h"
#include "base/list.h"
#include "base/map.h"

struct fair_member;

struct fair {
    /* private */
    unsigned max, used, waiting;
    enum resource resource;
    void (*refused)(struct fair *f);
    struct map members; /* by both addresses */
    struct map owners;
    struct list round; /* owners with members that wait */
};

struct fair_place {
    /* From inside of fair_leave(): note it, and go on from the loop. */
    void (*granted)(struct fair_place *p);
    /* private */
    struct fair_member *member; /* NULL: neither held nor waiting */
    struct list link;
    bool is_held;
};

/* max at least 2. What accounts call the places. refused: from inside of a call below, some place
 * waits only because its owner's account has nothing left. */
void fair_init(struct fair *f, unsigned max, enum resource resource,
               void (*refused)(struct fair *f));
void fair_done(struct fair *f); /* nothing is held or waiting any more */
/* True: p is held. False: it waits, and granted() is called once it is. owner NULL: nobody's, or one
 * without an account; kept by a reference. */
bool fair_enter(struct fair *f, struct fair_place *p, struct account *owner, const void *member);
/* Gives back or stops to wait; harmless on a place that does neither. */
void fair_leave(struct fair *f, struct fair_place *p);
/* Accounts may have something left again. */
void fair_retry(struct fair *f);
/* `to`, which is not in use, holds or waits from now on instead of `from`. */
void fair_hand_over(struct fair_place *from, struct fair_place *to);
static inline bool fair_is_held(const struct fair_place *p)
{
    return p->is_held;
}
/* What the member of a place that is held or waits holds, all in all, and its owner. */
unsigned fair_member_held(const struct fair_place *p);
unsigned fair_owner_held(const struct fair_place *p);
