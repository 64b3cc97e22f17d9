/* SPDX-License-Identifier: Apache-2.0
 *
 * RSA keys that a thread keeps: the ones used last, found by all of their material, gone with the thread.
 * Leaks are the sanitizer's to find. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/rsa.h>

#include "base/check.h"
#include "crypto/internal.h"

enum { KEPT = 8, MATERIAL_BYTES = 600, MATERIAL_MAX = 4 * 1024 };

/* What key n is made of, for the cache: it looks at the bytes alone. */
static struct slice material(unsigned n)
{
    static _Thread_local char bytes[MATERIAL_BYTES];
    memset(bytes, 'm', sizeof(bytes));
    memcpy(bytes + sizeof(bytes) - sizeof(n), &n, sizeof(n)); /* they differ at the end alone */
    return slice_of(bytes, sizeof(bytes));
}

static void keep(unsigned n)
{
    RSA *key = RSA_new();
    CHECK(key);
    rsa_cache_keep(material(n), key);
    RSA_free(key); /* the cache has a reference of its own */
}

static bool has(unsigned n)
{
    RSA *key = rsa_cache_find(material(n));
    RSA_free(key);
    return key != NULL;
}

static void the_one_used_longest_ago_goes(void **state)
{
    for (unsigned n = 0; n < KEPT; n++)
        keep(n);
    for (unsigned n = 0; n < KEPT; n++)
        assert_true(has(n));
    assert_true(has(0)); /* used now, so 1 is the oldest */
    keep(KEPT);
    assert_false(has(1));
    for (unsigned n = 0; n <= KEPT; n++)
        assert_int_equal(has(n), n != 1);
    /* One that is in use outlives its place. */
    RSA *used = rsa_cache_find(material(KEPT));
    assert_non_null(used);
    for (unsigned n = 100; n < 100 + KEPT; n++)
        keep(n);
    assert_false(has(KEPT));
    assert_int_equal(RSA_up_ref(used), 1);
    RSA_free(used);
    RSA_free(used);
}

static void all_of_the_material_counts(void **state)
{
    static char large[MATERIAL_MAX + 1];
    RSA *key = RSA_new();
    keep(7);
    assert_true(has(7));
    struct slice m = material(7);
    assert_null(rsa_cache_find(slice_of(m.ptr, m.len - 1)));
    assert_null(rsa_cache_find(SLICE_EMPTY));
    rsa_cache_keep(SLICE_EMPTY, key);
    assert_null(rsa_cache_find(SLICE_EMPTY));
    rsa_cache_keep(slice_of(large, sizeof(large)), key);
    assert_null(rsa_cache_find(slice_of(large, sizeof(large))));
    RSA_free(key);
    assert_true(has(7)); /* what is not kept takes nobody's place */
}

static void *use_many(void *arg)
{
    unsigned first = *(unsigned *)arg;
    CHECK(!has(7)); /* of another thread */
    for (unsigned round = 0; round < 1000; round++) {
        unsigned n = first + round % (KEPT + 3);
        if (!has(n))
            keep(n);
        CHECK(has(n));
    }
    return NULL;
}

static void each_thread_has_its_own(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    unsigned first[THREADS];
    keep(7);
    for (unsigned k = 0; k < THREADS; k++) {
        first[k] = 1000 + k; /* they overlap */
        assert_int_equal(pthread_create(&threads[k], NULL, use_many, &first[k]), 0);
    }
    for (unsigned k = 0; k < THREADS; k++)
        assert_int_equal(pthread_join(threads[k], NULL), 0);
    assert_true(has(7));
}

/* The main thread's keys are freed with the process only: leave none that a leak check would see. */
static void *all(void *ret)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_used_longest_ago_goes),
        cmocka_unit_test(all_of_the_material_counts),
        cmocka_unit_test(each_thread_has_its_own),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    *(int *)ret = cmocka_run_group_tests_name("crypto/rsa_cache", tests, NULL, NULL);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    int failed = 1;
    CHECK(pthread_create(&thread, NULL, all, &failed) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return failed;
}
