/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-1 and SHA-2 by blocks. */
#pragma once

#include "crypto/internal.h"

#include <openssl/sha.h>

struct hash {
    uint32_t code; /* 1, 256, 384, 512 */
    unsigned block_bytes, state_bytes, digest_bytes;
};

struct hash_core {
    const struct hash *hash;
    union {
        SHA_CTX sha1;
        SHA256_CTX sha256;
        SHA512_CTX sha512;
    } as;
};

const struct hash *hash_find(uint32_t code); /* NULL: there is none */
void hash_init(struct hash_core *c, const struct hash *h);
void hash_add_blocks(struct hash_core *c, const unsigned char *at, size_t len); /* whole ones */
void hash_state(const struct hash_core *c, unsigned char *ret_state);           /* big-endian */
