/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads on behalf of somebody who may be gone when the answer comes. An ask has its own memory: what
 * is asked (texts are copied into its arena), the answer, bytes that are appended. Its owner may let
 * go of it at any time; it then lives until the store has answered and nobody is told. A loop's asks
 * are counted, so that the loop can be kept until the last answer has come.
 *
 * One thread, the loop's. */
#pragma once

#include "base/list.h"
#include "store/store.h"

/* Those of one loop. */
struct asks {
    struct store *store;
    struct loop *loop;
    /* private */
    unsigned out;
    void (*idle)(void *arg);
    void *idle_arg;
};

struct ask {
    struct store_query query; /* fill in what is asked */
    struct arena *arena;      /* the query's, too; an owner that wants to keep it takes it */
    struct bytes out;         /* for queries that append */
    struct list link;         /* for the owner */
    void *owner;
    bool is_answered;
    /* private */
    struct asks *asks;
    void (*done)(struct ask *a);
};

/* done: after ask_start() has said OP_PENDING, and not once it has been let go. */
struct ask *ask_new(struct asks *as, enum store_query_kind kind, void (*done)(struct ask *a),
                    void *owner);
/* OP_DONE: is_answered. */
NODISCARD enum op_status ask_start(struct ask *a);
/* Frees it, at once or when it is answered. NULL is allowed. */
void ask_drop(struct ask *a);
static inline void ask_cleanup(struct ask **a)
{
    ask_drop(*a);
}
void asks_drop(struct list *list); /* all of an owner's list */
/* Likewise for changes, and work on files, that one of the loop waits for: between both it is not idle. */
void asks_hold(struct asks *as);
void asks_release(struct asks *as);
/* Calls idle, once, when no answer is out: now or later. No new asks come. */
void asks_await(struct asks *as, void (*idle)(void *arg), void *arg);
