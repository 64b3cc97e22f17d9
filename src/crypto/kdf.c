/* SPDX-License-Identifier: Apache-2.0
 *
 * HKDF (RFC 5869) and PBKDF2 (RFC 8018). PBKDF2 is our own loop over the two inner states of HMAC:
 * it can be stopped, which OpenSSL's cannot, and is faster, since a round is two blocks and nothing
 * else. */
#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "crypto/hash.h"

enum {
    KDF_OUT_BYTES_MAX = 1024 * 1024,
    PBKDF2_ROUNDS_A_LOOK = 1024,
    HASH_BLOCK_MAX = SHA512_CBLOCK,
    HASH_STATE_MAX = SHA512_DIGEST_LENGTH,
};

enum err kdf_hkdf(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const EVP_MD *md = crypto_md(c->hash);
    unsigned char key[EVP_MAX_MD_SIZE], block[EVP_MAX_MD_SIZE], zeros[EVP_MAX_MD_SIZE] = {0};
    unsigned key_len = 0, block_len = 0;
    if (!md || c->a > 255 * (uint32_t)EVP_MD_get_size(md))
        return crypto_refuse(ret_error, "HKDF gives at most 255 times the length of its hash");
    struct slice salt = c->salt.len ? c->salt : slice_of((const char *)zeros, EVP_MD_get_size(md));
    if (!HMAC(md, salt.ptr, (int)salt.len, crypto_at(c->key), c->key.len, key, &key_len))
        return crypto_refuse(ret_error, "HKDF failed");
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    for (uint32_t left = c->a, i = 1; left > 0; i++) {
        bytes_clear(&text);
        bytes_append(&text, block, block_len);
        bytes_append_slice(&text, c->info);
        bytes_append_char(&text, (char)i);
        if (!HMAC(md, key, (int)key_len, crypto_at(bytes_slice(&text)), text.len, block,
                  &block_len))
            return crypto_refuse(ret_error, "HKDF failed");
        uint32_t n = left < block_len ? left : block_len;
        bytes_append(out, block, n);
        left -= n;
    }
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(block, sizeof(block));
    return OK;
}

/* ---- PBKDF2 ---- */

struct hmac_core {
    struct hash_core inner, outer; /* after their pads */
};

static void hmac_init(struct hmac_core *h, const struct hash *hash, struct slice key)
{
    unsigned char pad[HASH_BLOCK_MAX], short_key[HASH_BLOCK_MAX] = {0};
    if (key.len > hash->block_bytes)
        CHECK(EVP_Digest(key.ptr, key.len, short_key, NULL, crypto_md(hash->code), NULL));
    else if (key.len)
        memcpy(short_key, key.ptr, key.len);
    for (unsigned i = 0; i < hash->block_bytes; i++)
        pad[i] = short_key[i] ^ 0x36;
    hash_init(&h->inner, hash);
    hash_add_blocks(&h->inner, pad, hash->block_bytes);
    for (unsigned i = 0; i < hash->block_bytes; i++)
        pad[i] = short_key[i] ^ 0x5C;
    hash_init(&h->outer, hash);
    hash_add_blocks(&h->outer, pad, hash->block_bytes);
    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(short_key, sizeof(short_key));
}

/* The end of a message of one block and a digest: 1 bit, zeros, its length. */
static void pbkdf2_pad(const struct hash *hash, unsigned char *block)
{
    uint64_t bits = htobe64((uint64_t)(hash->block_bytes + hash->digest_bytes) * 8);
    memset(block, 0, hash->block_bytes);
    block[hash->digest_bytes] = 0x80;
    memcpy(block + hash->block_bytes - sizeof(bits), &bits, sizeof(bits));
}

/* u = HMAC(key, u): block holds u and its padding. */
static void pbkdf2_round(const struct hmac_core *h, unsigned char *block)
{
    const struct hash *hash = h->inner.hash;
    unsigned char state[HASH_STATE_MAX];
    struct hash_core core = h->inner;
    hash_add_blocks(&core, block, hash->block_bytes);
    hash_state(&core, state);
    memcpy(block, state, hash->digest_bytes);
    core = h->outer;
    hash_add_blocks(&core, block, hash->block_bytes);
    hash_state(&core, state);
    memcpy(block, state, hash->digest_bytes);
}

/* The first u of output block `number`. */
static bool pbkdf2_first(const struct crypto_call *c, uint32_t number, unsigned char *ret_u)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    number = htobe32(number);
    bytes_append_slice(&text, c->salt);
    bytes_append(&text, &number, sizeof(number));
    return HMAC(crypto_md(c->hash), crypto_at(c->key), (int)c->key.len,
                crypto_at(bytes_slice(&text)), text.len, ret_u, NULL);
}

/* c->a rounds; false: stopped. */
static bool pbkdf2_block(const struct crypto_call *c, const struct hmac_core *h, uint32_t number,
                         unsigned char *ret_sum)
{
    const struct hash *hash = h->inner.hash;
    unsigned char block[HASH_BLOCK_MAX];
    pbkdf2_pad(hash, block);
    if (!pbkdf2_first(c, number, block))
        return false;
    memcpy(ret_sum, block, hash->digest_bytes);
    for (uint32_t i = 1; i < c->a; i++) {
        pbkdf2_round(h, block);
        for (unsigned k = 0; k < hash->digest_bytes; k++)
            ret_sum[k] ^= block[k];
        if (i % PBKDF2_ROUNDS_A_LOOK == 0 && crypto_stops(c))
            return false;
    }
    OPENSSL_cleanse(block, sizeof(block));
    return true;
}

enum err kdf_pbkdf2(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const struct hash *hash = hash_find(c->hash);
    struct hmac_core h;
    unsigned char sum[HASH_STATE_MAX];
    if (!hash || c->a == 0 || c->b > KDF_OUT_BYTES_MAX)
        return crypto_refuse(ret_error,
                             "PBKDF2 needs at least one iteration, and gives at most 1 MiB");
    hmac_init(&h, hash, c->key);
    enum err err = OK;
    for (uint32_t left = c->b, number = 1; left > 0 && err == OK; number++) {
        if (!pbkdf2_block(c, &h, number, sum) || crypto_stops(c)) {
            err = error_set(ret_error, ERR_CANCELLED, "PBKDF2 was stopped");
            break;
        }
        uint32_t n = left < hash->digest_bytes ? left : hash->digest_bytes;
        bytes_append(out, sum, n);
        left -= n;
    }
    OPENSSL_cleanse(&h, sizeof(h));
    OPENSSL_cleanse(sum, sizeof(sum));
    return err;
}
