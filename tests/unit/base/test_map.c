/* SPDX-License-Identifier: Apache-2.0
 *
 * Includes the .c, to reach the hash and to assert the
 * table's invariants after each step. */
#include "base/map.c" // NOLINT(bugprone-suspicious-include)

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_sane(const struct map *m)
{
    size_t live = 0;
    assert_int_equal(m->cap & (m->cap - 1), 0);
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->entries[i].value)
            continue;
        live++;
        for (size_t at = m->entries[i].hash & (m->cap - 1); at != i; at = (at + 1) & (m->cap - 1))
            assert_non_null(m->entries[at].value); /* no gap on the way from home */
    }
    assert_int_equal(live, m->live);
    assert_true(m->live <= m->cap / 4 * 3);
}

static struct slice key_of(char *text, size_t size, size_t i)
{
    (void)snprintf(text, size, "key %zu", i);
    return slice_cstr(text);
}

static void starts_empty(void **state)
{
    struct map m = {0};
    size_t cursor = 0;
    struct slice key;
    void *value;
    assert_null(map_get(&m, SLICE_LIT("a")));
    assert_null(map_remove(&m, SLICE_LIT("a")));
    assert_int_equal(map_count(&m), 0);
    assert_false(map_next(&m, &cursor, &key, &value));
    map_done(&m);
    assert_sane(&m);
}

static void puts_and_replaces(void **state)
{
    struct map m = {0};
    int one, two;
    char text[] = "abc";
    assert_null(map_put(&m, slice_cstr(text), &one));
    text[0] = 'x'; /* the key was copied */
    assert_ptr_equal(map_get(&m, SLICE_LIT("abc")), &one);
    assert_ptr_equal(map_put(&m, SLICE_LIT("abc"), &two), &one);
    assert_ptr_equal(map_get(&m, SLICE_LIT("abc")), &two);
    assert_null(map_put(&m, SLICE_EMPTY, &one));
    assert_null(map_put(&m, SLICE_LIT("a\0b"), &one));
    assert_null(map_get(&m, SLICE_LIT("a")));
    assert_int_equal(map_count(&m), 3);
    assert_ptr_equal(map_remove(&m, SLICE_EMPTY), &one);
    assert_null(map_get(&m, SLICE_EMPTY));
    assert_sane(&m);
    map_done(&m);
}

static void churns(void **state)
{
    enum { KEYS = 300, STEPS = 20000 };
    static char values[KEYS];
    bool has[KEYS] = {0};
    size_t count = 0;
    struct map m = {0};
    char text[32];
    uint64_t seed = 1; /* the steps are the same in every run; the hash's key is not */
    for (int step = 0; step < STEPS; step++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t i = (size_t)(seed >> 33) % KEYS;
        struct slice key = key_of(text, sizeof(text), i);
        if (seed >> 63) {
            assert_ptr_equal(map_put(&m, key, &values[i]), has[i] ? &values[i] : NULL);
            count += !has[i];
            has[i] = true;
        } else {
            assert_ptr_equal(map_remove(&m, key), has[i] ? &values[i] : NULL);
            count -= has[i];
            has[i] = false;
        }
        assert_int_equal(map_count(&m), count);
        if (step % 500 == 0)
            assert_sane(&m);
    }
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&m, key_of(text, sizeof(text), i)), has[i] ? &values[i] : NULL);
    assert_true(m.cap <= 1024); /* removal leaves nothing behind */
    map_done(&m);
}

static void iterates_over_each_once(void **state)
{
    enum { KEYS = 100 };
    static char values[KEYS];
    bool seen[KEYS] = {0};
    struct map m = {0};
    char text[32];
    for (size_t i = 0; i < KEYS; i++)
        assert_null(map_put(&m, key_of(text, sizeof(text), i), &values[i]));
    size_t cursor = 0, count = 0;
    struct slice key;
    void *value;
    while (map_next(&m, &cursor, &key, &value)) {
        size_t i = (size_t)((char *)value - values);
        assert_true(slice_eq(key, key_of(text, sizeof(text), i)));
        assert_false(seen[i]);
        seen[i] = true;
        count++;
    }
    assert_int_equal(count, KEYS);
    map_done(&m);
}

static void hash_covers_every_byte(void **state)
{
    const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
    char text[40] = {0};
    for (size_t len = 0; len <= sizeof(text); len++) {
        struct slice s = slice_of(text, len);
        const uint64_t hash = map_hash(key, s);
        assert_true(hash == map_hash(key, s));
        assert_false(hash == map_hash(other, s));
        if (len)
            assert_false(hash == map_hash(key, slice_of(text, len - 1)));
        for (size_t i = 0; i < len; i++) {
            text[i] ^= 1;
            assert_false(hash == map_hash(key, s));
            text[i] ^= 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(puts_and_replaces),
        cmocka_unit_test(churns),
        cmocka_unit_test(iterates_over_each_once),
        cmocka_unit_test(hash_covers_every_byte),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
