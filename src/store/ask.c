/* SPDX-License-Identifier: Apache-2.0
 *
 * See ask.h. */
#include "store/ask.h"

#include <stdlib.h>

struct ask *ask_new(struct asks *as, enum store_query_kind kind, void (*done)(struct ask *a),
                    void *owner)
{
    struct ask *a = calloc(1, sizeof(*a));
    CHECK(a);
    a->arena = arena_new(NULL);
    a->asks = as;
    a->done = done;
    a->owner = owner;
    a->query.kind = kind;
    a->query.arena = a->arena;
    a->query.loop = as->loop;
    return a;
}

static void ask_free(struct ask *a)
{
    list_remove(&a->link);
    arena_free(a->arena);
    bytes_done(&a->out);
    free(a);
}

void asks_hold(struct asks *as)
{
    as->out++;
}

void asks_release(struct asks *as)
{
    CHECK(as->out > 0);
    if (--as->out > 0 || !as->idle)
        return;
    void (*idle)(void *) = as->idle;
    as->idle = NULL;
    idle(as->idle_arg); /* as may be gone now */
}

static void ask_told(struct store_query *q)
{
    struct ask *a = container_of(q, struct ask, query);
    struct asks *as = a->asks;
    a->is_answered = true;
    if (a->done)
        a->done(a); /* a may be gone now */
    else
        ask_free(a);
    asks_release(as);
}

enum op_status ask_start(struct ask *a)
{
    CHECK(a->done && !a->is_answered);
    a->query.done = ask_told;
    a->asks->out++;
    if (store_read(a->asks->store, &a->query) == OP_PENDING)
        return OP_PENDING;
    a->asks->out--;
    a->is_answered = true;
    return OP_DONE;
}

void ask_drop(struct ask *a)
{
    if (!a)
        return;
    list_remove(&a->link);
    if (a->query.done && !a->is_answered)
        a->done = NULL;
    else
        ask_free(a);
}

void asks_drop(struct list *list)
{
    struct list *n;
    while ((n = list_first(list)))
        ask_drop(container_of(n, struct ask, link));
}

void asks_await(struct asks *as, void (*idle)(void *arg), void *arg)
{
    if (as->out == 0) {
        idle(arg);
        return;
    }
    as->idle = idle;
    as->idle_arg = arg;
}
