/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash map from bytes to a pointer (keys are copied). Iteration order is unspecified. Hashing is
 * seeded at random per process, so a peer that chooses keys cannot choose collisions. Not
 * thread-safe. Zero-initialized is valid and empty. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

struct map_entry;

struct map {
    /* private */
    struct map_entry *entries;
    size_t cap, live;
};

void map_done(struct map *m);                         /* frees keys and table, not the values */
void *map_get(const struct map *m, struct slice key); /* NULL if absent */
/* Sets (value must not be NULL) and returns the previous value, or NULL. */
void *map_put(struct map *m, struct slice key, void *value);
void *map_remove(struct map *m, struct slice key); /* returns the removed value, or NULL */
size_t map_count(const struct map *m);
/* Iterates: *cursor starts at 0; false at the end. Do not change the map meanwhile. Either ret may
 * be NULL. */
bool map_next(const struct map *m, size_t *cursor, struct slice *ret_key, void **ret_value);
