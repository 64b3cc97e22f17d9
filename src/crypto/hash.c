/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests whose state is bytes of the caller's: the chaining value, before and after some blocks.
 * The caller keeps what is less than a block, and pads. */
#include "crypto/hash.h"

#include <endian.h>

static const struct hash hashes[] = {
    {1, SHA_CBLOCK, SHA_DIGEST_LENGTH, SHA_DIGEST_LENGTH},
    {256, SHA256_CBLOCK, SHA256_DIGEST_LENGTH, SHA256_DIGEST_LENGTH},
    {384, SHA512_CBLOCK, SHA512_DIGEST_LENGTH, SHA384_DIGEST_LENGTH},
    {512, SHA512_CBLOCK, SHA512_DIGEST_LENGTH, SHA512_DIGEST_LENGTH},
};

const struct hash *hash_find(uint32_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
        if (hashes[i].code == code)
            return &hashes[i];
    return NULL;
}

void hash_init(struct hash_core *c, const struct hash *h)
{
    c->hash = h;
    switch (h->code) {
    case 1:
        SHA1_Init(&c->as.sha1);
        return;
    case 256:
        SHA256_Init(&c->as.sha256);
        return;
    case 384:
        SHA384_Init(&c->as.sha512);
        return;
    default:
        SHA512_Init(&c->as.sha512);
    }
}

void hash_add_blocks(struct hash_core *c, const unsigned char *at, size_t len)
{
    CHECK(len % c->hash->block_bytes == 0);
    switch (c->hash->code) {
    case 1:
        SHA1_Update(&c->as.sha1, at, len);
        return;
    case 256:
        SHA256_Update(&c->as.sha256, at, len);
        return;
    default:
        SHA512_Update(&c->as.sha512, at, len);
    }
}

void hash_state(const struct hash_core *c, unsigned char *ret_state)
{
    const SHA_CTX *sha1 = &c->as.sha1;
    const uint32_t words[5] = {sha1->h0, sha1->h1, sha1->h2, sha1->h3, sha1->h4};
    for (size_t i = 0; i < c->hash->state_bytes / sizeof(uint32_t); i++) {
        if (c->hash->block_bytes == SHA512_CBLOCK) {
            uint64_t word = htobe64(c->as.sha512.h[i / 2]);
            memcpy(ret_state + i * 4, (const char *)&word + i % 2 * 4, 4);
            continue;
        }
        uint32_t word = htobe32(c->hash->code == 1 ? words[i] : c->as.sha256.h[i]);
        memcpy(ret_state + i * 4, &word, 4);
    }
}

static uint32_t hash_word(const unsigned char *state, size_t i)
{
    uint32_t word;
    memcpy(&word, state + i * 4, sizeof(word));
    return be32toh(word);
}

static void hash_set_state(struct hash_core *c, const unsigned char *state)
{
    if (c->hash->code == 1) {
        SHA_CTX *s = &c->as.sha1;
        s->h0 = hash_word(state, 0);
        s->h1 = hash_word(state, 1);
        s->h2 = hash_word(state, 2);
        s->h3 = hash_word(state, 3);
        s->h4 = hash_word(state, 4);
        return;
    }
    for (size_t i = 0; i < 8; i++) {
        if (c->hash->code == 256)
            c->as.sha256.h[i] = hash_word(state, i);
        else
            c->as.sha512.h[i] =
                (SHA_LONG64)hash_word(state, 2 * i) << 32 | hash_word(state, 2 * i + 1);
    }
}

enum err hash_blocks(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const struct hash *h = hash_find(c->hash);
    struct hash_core core;
    if (!h || c->data.len % h->block_bytes != 0 ||
        (c->salt.len != 0 && c->salt.len != h->state_bytes))
        return crypto_refuse(ret_error, "no whole blocks of this digest, or not its state");
    hash_init(&core, h);
    if (c->salt.len)
        hash_set_state(&core, crypto_at(c->salt));
    hash_add_blocks(&core, crypto_at(c->data), c->data.len);
    hash_state(&core, crypto_room(out, h->state_bytes));
    return OK;
}
