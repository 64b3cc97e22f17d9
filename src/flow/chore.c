/* SPDX-License-Identifier: Apache-2.0
 *
 * See struct chore in director_internal.h. */
#include <stdlib.h>

#include "base/log.h"
#include "flow/director_internal.h"

enum {
    CHORE_PAUSE_MS = 100, /* doubled by each failure */
    CHORE_PAUSE_MS_MAX = 30 * 1000,
};

void *chore_new(struct director *d, const struct chore_kind *kind, size_t size)
{
    struct chore *c = calloc(1, size);
    CHECK(c);
    c->director = d;
    c->kind = kind;
    list_push_back(&d->chores, &c->link);
    return c;
}

void chore_end(struct chore *c)
{
    flow_timer_stop(c->director->env, &c->timer);
    ask_drop(c->ask);
    list_remove(&c->link);
    free(c);
}

/* Of another server's taking over, nobody recovers. */
bool chore_may_pass(const struct error *error)
{
    return error_is_retryable(error->code) && error->code != ERR_FENCED &&
           error->code != ERR_NOT_READY;
}

uint64_t chore_pause_ms(unsigned failures)
{
    uint64_t ms = (uint64_t)CHORE_PAUSE_MS << (failures < 16 ? failures : 16);
    return ms < CHORE_PAUSE_MS_MAX ? ms : CHORE_PAUSE_MS_MAX;
}

static void chore_due(struct timer *t)
{
    chore_ask(container_of(t, struct chore, timer));
}

void chore_rest(struct chore *c, const struct error *error)
{
    if (c->failures == 0)
        log_warn("the store cannot be read, trying again", LOG_STR("what", c->kind->what),
                 LOG_STR("error", error->message));
    flow_timer_start(c->director->env, &c->timer, chore_pause_ms(c->failures++), chore_due);
}

static void chore_take(struct chore *c)
{
    CLEANUP(ask_cleanup) struct ask *a = TAKE(c->ask);
    const struct error *error = &a->query.error;
    if (error->code != OK && chore_may_pass(error)) {
        chore_rest(c, error);
        return;
    }
    if (error->code != OK && error->code != ERR_NOT_FOUND && error->code != ERR_FENCED)
        log_error("the store cannot be read", LOG_STR("what", c->kind->what),
                  LOG_STR("error", error->message));
    c->failures = 0;
    switch (c->kind->take(c, &a->query)) {
    case CHORE_OVER:
        chore_end(c);
        break;
    case CHORE_AGAIN:
        flow_timer_start(c->director->env, &c->timer, 0, chore_due);
        break;
    case CHORE_WAITS:
        break;
    }
}

static void chore_answered(struct ask *a)
{
    chore_take(a->owner);
}

void chore_ask(struct chore *c)
{
    c->ask = ask_new(c->director->env->asks, c->kind->query, chore_answered, c);
    c->kind->fill(c, &c->ask->query, c->ask->arena);
    if (ask_start(c->ask) == OP_DONE)
        chore_take(c);
}
