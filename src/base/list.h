/* SPDX-License-Identifier: Apache-2.0
 *
 * Intrusive doubly linked list with a sentinel. A node that is in no list is linked to itself (or
 * zero), so that list_remove is harmless twice and list_is_linked can answer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_linked(const struct list *n)
{
    return n->next && n->next != n;
}

static inline bool list_is_empty(const struct list *l)
{
    return !list_is_linked(l);
}

static inline void list_insert_before(struct list *at, struct list *n)
{
    n->next = at;
    n->prev = at->prev;
    at->prev->next = n;
    at->prev = n;
}

static inline void list_push_back(struct list *l, struct list *n)
{
    list_insert_before(l, n);
}

static inline void list_push_front(struct list *l, struct list *n)
{
    list_insert_before(l->next, n);
}

static inline void list_remove(struct list *n)
{
    if (!list_is_linked(n))
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/* First node removed from the list, or NULL. */
static inline struct list *list_pop_front(struct list *l)
{
    if (list_is_empty(l))
        return NULL;
    struct list *n = l->next;
    list_remove(n);
    return n;
}

/* Moves all of from to the end of to; from is then empty. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Safe against removal of n inside the body. */
#define LIST_FOREACH(n, l)                                                                         \
    for (struct list *n = (l)->next, *n##_next = n->next; n != (l);                                \
         n = n##_next, n##_next = n->next)
