/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with linear probing. An entry keeps the whole hash of its key, so that a lookup
 * compares key bytes almost only when they are equal. Removal moves the followers back instead of
 * leaving tombstones: a map that lives for the process and churns stays as fast as a fresh one.
 *
 * Invariants: cap is 0 or a power of two, at most 3/4 full; no entry has an empty slot between its
 * home slot and itself. Hash: SipHash-1-3 (Aumasson and Bernstein) under a key that is drawn once
 * per process. A map belongs to one thread at a time; different maps need no care. */
#include "base/map.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/random.h"

enum { MAP_FIRST_CAP = 8 };

struct map_entry {
    void *value; /* NULL: the slot is free */
    char *key;
    size_t key_len;
    uint64_t hash;
};

static struct {
    pthread_once_t once;
    uint64_t key[2];
} map_seed = {.once = PTHREAD_ONCE_INIT};

static void map_seed_draw(void)
{
    random_bytes(map_seed.key, sizeof(map_seed.key));
}

static uint64_t map_rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void map_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = map_rotate(v[1], 13) ^ v[0];
    v[0] = map_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = map_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = map_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = map_rotate(v[1], 17) ^ v[2];
    v[2] = map_rotate(v[2], 32);
}

static uint64_t map_load(const char *p, size_t len)
{
    uint64_t word = 0;
    if (len)
        memcpy(&word, p, len);
    return le64toh(word);
}

static uint64_t map_hash(const uint64_t key[2], struct slice s)
{
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t i = 0;
    for (; s.len - i >= 8; i += 8) {
        uint64_t word = map_load(s.ptr + i, 8);
        v[3] ^= word;
        map_sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.len << 56 | (s.len > i ? map_load(s.ptr + i, s.len - i) : 0);
    v[3] ^= last;
    map_sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    map_sip_round(v);
    map_sip_round(v);
    map_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot that holds the key, or the free slot where it would go. The map is never full. */
static size_t map_find(const struct map *m, struct slice key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    for (;;) {
        const struct map_entry *e = &m->entries[i];
        if (!e->value)
            return i;
        if (e->hash == hash && slice_eq(slice_of(e->key, e->key_len), key))
            return i;
        i = (i + 1) & (m->cap - 1);
    }
}

static void map_grow(struct map *m)
{
    size_t cap = m->cap ? m->cap * 2 : MAP_FIRST_CAP;
    struct map_entry *entries = calloc(cap, sizeof(*entries));
    if (!entries)
        check_out_of_memory(cap * sizeof(*entries));
    for (size_t old = 0; old < m->cap; old++) {
        if (!m->entries[old].value)
            continue;
        size_t i = m->entries[old].hash & (cap - 1);
        while (entries[i].value)
            i = (i + 1) & (cap - 1);
        entries[i] = m->entries[old];
    }
    free(m->entries);
    m->entries = entries;
    m->cap = cap;
}

void map_done(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        free(m->entries[i].key);
    free(m->entries);
    *m = (struct map){0};
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->live == 0)
        return NULL;
    return m->entries[map_find(m, key, map_hash(map_seed.key, key))].value;
}

void *map_put(struct map *m, struct slice key, void *value)
{
    CHECK(value);
    if (m->cap == 0)
        CHECK(pthread_once(&map_seed.once, map_seed_draw) == 0);
    if (m->live >= m->cap / 4 * 3)
        map_grow(m);
    uint64_t hash = map_hash(map_seed.key, key);
    struct map_entry *e = &m->entries[map_find(m, key, hash)];
    void *previous = e->value;
    if (!previous) {
        char *copy = malloc(key.len ? key.len : 1);
        if (!copy)
            check_out_of_memory(key.len);
        if (key.len)
            memcpy(copy, key.ptr, key.len);
        *e = (struct map_entry){.key = copy, .key_len = key.len, .hash = hash};
        m->live++;
    }
    e->value = value;
    return previous;
}

void *map_remove(struct map *m, struct slice key)
{
    if (m->live == 0)
        return NULL;
    const size_t mask = m->cap - 1;
    size_t hole = map_find(m, key, map_hash(map_seed.key, key));
    void *value = m->entries[hole].value;
    if (!value)
        return NULL;
    free(m->entries[hole].key);
    m->live--;
    /* A follower may move into the hole unless its home lies after the hole. */
    for (size_t i = (hole + 1) & mask; m->entries[i].value; i = (i + 1) & mask) {
        size_t home = m->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole] = (struct map_entry){0};
    return value;
}

size_t map_count(const struct map *m)
{
    return m->live;
}

bool map_next(const struct map *m, size_t *cursor, struct slice *ret_key, void **ret_value)
{
    for (; *cursor < m->cap; (*cursor)++) {
        const struct map_entry *e = &m->entries[*cursor];
        if (!e->value)
            continue;
        if (ret_key)
            *ret_key = slice_of(e->key, e->key_len);
        if (ret_value)
            *ret_value = e->value;
        (*cursor)++;
        return true;
    }
    return false;
}
