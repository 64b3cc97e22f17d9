/* SPDX-License-Identifier: Apache-2.0
 *
 * See schedule.h. A round is over when no active share is left: then all get a quantum, and those
 * become active that owe nothing any more. Rounds in which nobody could become active are skipped
 * by arithmetic. Who comes with its whole quantum, having run nothing in this round, goes first. */
#include "server/schedule.h"

void schedule_init(struct schedule *s)
{
    list_init(&s->active);
    list_init(&s->expired);
    s->round = 1;
}

/* A share gets its quanta also for the rounds in which it had nothing to run, but saves none. */
static void catch_up(const struct schedule *s, struct share *share)
{
    uint64_t rounds = s->round - share->round;
    share->round = s->round;
    int64_t lacks = SCHEDULE_QUANTUM_NS - share->left_ns;
    if (rounds > (uint64_t)(lacks / SCHEDULE_QUANTUM_NS))
        share->left_ns = SCHEDULE_QUANTUM_NS;
    else
        share->left_ns += (int64_t)rounds * SCHEDULE_QUANTUM_NS;
}

void schedule_add(struct schedule *s, struct share *share)
{
    if (list_is_linked(&share->link))
        return;
    catch_up(s, share);
    if (share->left_ns == SCHEDULE_QUANTUM_NS)
        list_push_front(&s->active, &share->link);
    else
        list_push_back(share->left_ns > 0 ? &s->active : &s->expired, &share->link);
}

void schedule_remove(struct share *share)
{
    list_remove(&share->link);
}

/* How many rounds until one of the expired is active. */
static uint64_t rounds_needed(const struct schedule *s)
{
    int64_t best = INT64_MIN;
    LIST_FOREACH (n, &s->expired) {
        const struct share *share = container_of(n, struct share, link);
        if (share->left_ns > best)
            best = share->left_ns;
    }
    return best > 0 ? 1 : (uint64_t)(-best / SCHEDULE_QUANTUM_NS) + 1;
}

static void new_round(struct schedule *s)
{
    s->round += rounds_needed(s);
    LIST_FOREACH (n, &s->expired) {
        struct share *share = container_of(n, struct share, link);
        catch_up(s, share);
        if (share->left_ns <= 0)
            continue;
        list_remove(n);
        list_push_back(&s->active, n);
    }
}

struct share *schedule_next(struct schedule *s)
{
    if (list_is_empty(&s->active)) {
        if (list_is_empty(&s->expired))
            return NULL;
        new_round(s);
    }
    return container_of(s->active.next, struct share, link);
}

void schedule_spent(struct schedule *s, struct share *share, uint64_t ns)
{
    share->left_ns -= ns < INT64_MAX / 2 ? (int64_t)ns : INT64_MAX / 2;
    if (share->left_ns > 0 || !list_is_linked(&share->link))
        return;
    list_remove(&share->link);
    list_push_back(&s->expired, &share->link);
}

bool schedule_is_empty(const struct schedule *s)
{
    return list_is_empty(&s->active) && list_is_empty(&s->expired);
}
