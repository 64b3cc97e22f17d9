/* SPDX-License-Identifier: Apache-2.0
 *
 * See struct chore in director_internal.h. */
#include <stdlib.h>

#include "base/log.h"
#include "flow/director_internal.h"

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
    due_stop(c->director->env, &c->due);
    ask_drop(c->ask);
    list_remove(&c->link);
    free(c);
}

/* Of another server's taking over, nobody recovers. */
bool chore_may_pass(const struct error *error)
{
    enum retry retry = retry_of(error);
    return error->code != ERR_NOT_READY && error->code != ERR_CONFLICT && retry != RETRY_LOST &&
           retry != RETRY_NEVER;
}

static void chore_due(struct due *d)
{
    chore_ask(container_of(d, struct chore, due));
}

void chore_rest(struct chore *c, const struct error *error)
{
    if (due_again(c->director->env, &c->due, RETRY_MS, chore_due))
        log_warn("the store cannot be read, trying again", LOG_STR("what", c->kind->what),
                 LOG_STR("error", error->message));
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
    c->due.failures = 0;
    switch (c->kind->take(c, &a->query)) {
    case CHORE_OVER:
        chore_end(c);
        break;
    case CHORE_AGAIN:
        due_in(c->director->env, &c->due, 0, chore_due);
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
