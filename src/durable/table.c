/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash table of intrusive nodes by number. Chained, so that removal is a pointer and long-lived
 * neighbours do not make runs; grows with its content and never shrinks (it dies with the
 * execution). Ids rise by one, and programs that keep every n-th call pending would fill few
 * buckets of a plain mask: hence the multiplication. */
#include <stdlib.h>

#include "durable/internal.h"

enum { TABLE_BITS_MIN = 4, TABLE_BITS_MAX = 40 };

static size_t table_bucket(unsigned bits, uint64_t key)
{
    return (size_t)(key * 0x9e3779b97f4a7c15ULL >> (64 - bits));
}

void id_table_done(struct table *t)
{
    free(t->buckets);
    *t = (struct table){0};
}

struct table_node *id_table_find(const struct table *t, uint64_t key)
{
    if (t->count == 0)
        return NULL;
    struct table_node *n = t->buckets[table_bucket(t->bits, key)];
    while (n && n->key != key)
        n = n->next;
    return n;
}

static void table_grow(struct table *t)
{
    const unsigned bits = t->buckets ? t->bits + 1 : TABLE_BITS_MIN;
    CHECK(bits <= TABLE_BITS_MAX);
    struct table_node **buckets = calloc((size_t)1 << bits, sizeof(struct table_node *));
    if (!buckets)
        check_out_of_memory(sizeof(struct table_node *) << bits);
    for (size_t i = 0; t->buckets && i < (size_t)1 << t->bits; i++)
        for (struct table_node *n = t->buckets[i], *next; n; n = next) {
            struct table_node **home = &buckets[table_bucket(bits, n->key)];
            next = n->next;
            n->next = *home;
            *home = n;
        }
    free(t->buckets);
    t->buckets = buckets;
    t->bits = bits;
}

void id_table_add(struct table *t, struct table_node *n, uint64_t key)
{
    if (!t->buckets || t->count >= (size_t)1 << t->bits)
        table_grow(t);
    struct table_node **home = &t->buckets[table_bucket(t->bits, key)];
    n->key = key;
    n->next = *home;
    *home = n;
    t->count++;
}

struct table_node *id_table_remove(struct table *t, uint64_t key)
{
    if (t->count == 0)
        return NULL;
    struct table_node **at = &t->buckets[table_bucket(t->bits, key)];
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    struct table_node *n = *at;
    if (n) {
        *at = n->next;
        t->count--;
    }
    return n;
}

void id_table_free_nodes(struct table *t)
{
    for (size_t i = 0; t->buckets && i < (size_t)1 << t->bits; i++)
        for (struct table_node *n = t->buckets[i], *next; n; n = next) {
            next = n->next;
            free(n);
        }
    id_table_done(t);
}
