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

/* NULL: it is empty. */
static inline struct list *list_first(const struct list *l)
{
    return list_is_empty(l) ? NULL : l->next;
}

/* First node removed from the list, or NULL. */
static inline struct list *list_pop_front(struct list *l)
{
    struct list *n = list_first(l);
    if (n)
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

/* The node to go on with: still in the list, or the walk would never end. */
static inline struct list *list_go_on(struct list *next, const struct list *l)
{
    CHECK(next == l || next->next != next);
    return next;
}

/* The body may remove n, and no other node. Where what it calls may reach the list, empty the list
 * instead:
 *
 *     while ((n = list_first(&l)))  or, when nodes stay,
 *     list_splice_back(&left, &l); while ((n = list_pop_front(&left))) list_push_back(&l, n), ...
 */
#define LIST_FOREACH(n, l)                                                                         \
    for (struct list *n = (l)->next, *n##_next = n->next; n != (l);                                \
         n = list_go_on(n##_next, l), n##_next = n->next)
