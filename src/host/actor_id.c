/* SPDX-License-Identifier: Apache-2.0
 *
 * See actor_id.h. Half by half, of HMAC-SHA-256 with a key of the class: of the name, and of the first half. */
#include "host/actor_id.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"

enum { HALF_BYTES = 16, DIGEST_BYTES = 32 };

static void class_key(struct slice module, struct slice class, unsigned char ret_key[DIGEST_BYTES])
{
    static const char separator = '\0'; /* in no name */
    EVP_MD_CTX *d = EVP_MD_CTX_new();
    CHECK(d && EVP_DigestInit_ex(d, EVP_sha256(), NULL) == 1);
    CHECK(EVP_DigestUpdate(d, module.ptr, module.len) == 1);
    CHECK(EVP_DigestUpdate(d, &separator, 1) == 1);
    CHECK(EVP_DigestUpdate(d, class.ptr, class.len) == 1);
    CHECK(EVP_DigestFinal_ex(d, ret_key, NULL) == 1);
    EVP_MD_CTX_free(d);
}

static void half_of(const unsigned char key[DIGEST_BYTES], struct slice of,
                    unsigned char ret_half[HALF_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    CHECK(HMAC(EVP_sha256(), key, DIGEST_BYTES, (const unsigned char *)(of.ptr ? of.ptr : ""),
               of.len, digest, &len));
    CHECK(len == DIGEST_BYTES);
    memcpy(ret_half, digest, HALF_BYTES);
}

static void id_write(const unsigned char key[DIGEST_BYTES], const unsigned char first[HALF_BYTES],
                     char ret_id[ACTOR_ID_LEN])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char all[2 * HALF_BYTES];
    memcpy(all, first, HALF_BYTES);
    half_of(key, slice_of((const char *)first, HALF_BYTES), all + HALF_BYTES);
    for (size_t k = 0; k < sizeof(all); k++) {
        ret_id[2 * k] = digits[all[k] >> 4];
        ret_id[2 * k + 1] = digits[all[k] & 15];
    }
}

void actor_id_of_name(struct slice module, struct slice class, struct slice name,
                      char ret_id[ACTOR_ID_LEN])
{
    unsigned char key[DIGEST_BYTES], first[HALF_BYTES];
    class_key(module, class, key);
    half_of(key, name, first);
    id_write(key, first, ret_id);
}

void actor_id_new(struct slice module, struct slice class, char ret_id[ACTOR_ID_LEN])
{
    unsigned char key[DIGEST_BYTES], first[HALF_BYTES];
    class_key(module, class, key);
    random_bytes(first, sizeof(first));
    id_write(key, first, ret_id);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool actor_id_is_of(struct slice module, struct slice class, struct slice id)
{
    unsigned char key[DIGEST_BYTES], first[HALF_BYTES];
    char right[ACTOR_ID_LEN];
    if (id.len != ACTOR_ID_LEN)
        return false;
    for (size_t k = 0; k < id.len; k++)
        if (digit(id.ptr[k]) < 0)
            return false;
    for (size_t k = 0; k < HALF_BYTES; k++)
        first[k] = (unsigned char)(digit(id.ptr[2 * k]) * 16 + digit(id.ptr[2 * k + 1]));
    class_key(module, class, key);
    id_write(key, first, right);
    return memcmp(right, id.ptr, ACTOR_ID_LEN) == 0;
}
