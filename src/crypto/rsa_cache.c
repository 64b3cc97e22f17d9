/* SPDX-License-Identifier: Apache-2.0
 *
 * The RSA private keys that a thread has used last. A key object has to be checked and makes its blinding when it is first
 * used, which is as long as a signature takes; so one lives on for the next call with the same material. Who has not all of the
 * material finds nothing: it is the key itself. */
#include "crypto/internal.h"

#include <openssl/crypto.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"

enum {
    RSA_CACHE_KEYS = 8, /* of a thread */
    RSA_CACHE_MATERIAL_MAX =
        4 *
        1024, /* bytes; a key of 4096 bits has 2.4 KB. Larger ones are seldom, and slow anyway */
};

struct rsa_cache {
    struct rsa_cached {
        struct bytes material;
        RSA *key; /* NULL: free */
        uint64_t used;
    } keys[RSA_CACHE_KEYS];
    uint64_t uses;
};

static pthread_key_t rsa_cache_of_thread;
static pthread_once_t rsa_cache_once = PTHREAD_ONCE_INIT;

static void rsa_cached_done(struct rsa_cached *k)
{
    if (!k->key)
        return;
    RSA_free(k->key);
    OPENSSL_cleanse(k->material.ptr, k->material.len);
    bytes_done(&k->material);
    *k = (struct rsa_cached){.material = BYTES_INIT};
}

static void rsa_cache_free(void *arg)
{
    struct rsa_cache *cache = arg;
    for (size_t i = 0; i < RSA_CACHE_KEYS; i++)
        rsa_cached_done(&cache->keys[i]);
    free(cache);
}

static void rsa_cache_init(void)
{
    CHECK(pthread_key_create(&rsa_cache_of_thread, rsa_cache_free) == 0);
}

static struct rsa_cache *rsa_cache(void)
{
    (void)pthread_once(&rsa_cache_once, rsa_cache_init);
    struct rsa_cache *cache = pthread_getspecific(rsa_cache_of_thread);
    if (cache)
        return cache;
    cache = calloc(1, sizeof *cache);
    CHECK(cache && pthread_setspecific(rsa_cache_of_thread, cache) == 0);
    return cache;
}

RSA *rsa_cache_find(struct slice material)
{
    struct rsa_cache *cache = rsa_cache();
    for (size_t i = 0; i < RSA_CACHE_KEYS; i++) {
        struct rsa_cached *k = &cache->keys[i];
        if (!k->key || k->material.len != material.len ||
            CRYPTO_memcmp(k->material.ptr, material.ptr, material.len) != 0)
            continue;
        k->used = ++cache->uses;
        RSA_up_ref(k->key);
        return k->key;
    }
    return NULL;
}

void rsa_cache_keep(struct slice material, RSA *key)
{
    struct rsa_cache *cache = rsa_cache();
    struct rsa_cached *oldest = &cache->keys[0];
    if (material.len == 0 || material.len > RSA_CACHE_MATERIAL_MAX)
        return;
    for (size_t i = 1; i < RSA_CACHE_KEYS; i++)
        if (cache->keys[i].used < oldest->used)
            oldest = &cache->keys[i];
    rsa_cached_done(oldest);
    bytes_append(&oldest->material, material.ptr, material.len);
    RSA_up_ref(key);
    oldest->key = key;
    oldest->used = ++cache->uses;
}
