/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-CBC, -CTR, -GCM by pieces; AES-KW (RFC 3394) in one. Of GCM, the tag stands behind the data:
 * the last piece of a decryption must have all of it. */
#include "crypto/cipher.h"

#include <limits.h>
#include <stdlib.h>

#include "crypto/internal.h"

enum {
    AES_BLOCK = 16,
    CIPHER_TAG_MAX = 16,
    GCM_IV_MAX = 128,
    KW_STEP = 8,
    KW_BYTES_MAX = 64 * 1024
};

struct cipher {
    EVP_CIPHER_CTX *context;
    enum abi_cipher mode;
    bool is_decryption;
    uint32_t tag_bytes;
    /* CTR: where its counter, which has fewer bits than a block, begins again */
    uint64_t blocks_left; /* before that; UINT64_MAX: never */
    unsigned char again[AES_BLOCK];
};

static const EVP_CIPHER *cipher_of(enum abi_cipher mode, size_t key_bytes)
{
    static const EVP_CIPHER *(*const ciphers[][3])(void) = {
        [ABI_CIPHER_AES_CBC] = {EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc},
        [ABI_CIPHER_AES_CTR] = {EVP_aes_128_ctr, EVP_aes_192_ctr, EVP_aes_256_ctr},
        [ABI_CIPHER_AES_GCM] = {EVP_aes_128_gcm, EVP_aes_192_gcm, EVP_aes_256_gcm},
        [ABI_CIPHER_AES_KW] = {EVP_aes_128_wrap, EVP_aes_192_wrap, EVP_aes_256_wrap},
    };
    if (mode < ABI_CIPHER_AES_CBC || mode > ABI_CIPHER_AES_KW || key_bytes % 8 != 0 ||
        key_bytes < 16 || key_bytes > 32)
        return NULL;
    return ciphers[mode][key_bytes / 8 - 2]();
}

size_t cipher_out_bytes(const struct cipher_start *s)
{
    return s->data_bytes + (s->is_decryption ? 0 : CIPHER_TAG_MAX);
}

static const char *start_fault(const struct cipher_start *s)
{
    static const unsigned tags[] = {32, 64, 96, 104, 112, 120, 128};
    bool is_tag = false;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        is_tag = is_tag || tags[i] == s->bits;
    switch (s->mode) {
    case ABI_CIPHER_AES_CBC:
        if (s->iv.len != AES_BLOCK)
            return "the iv of AES-CBC has 16 bytes";
        return s->is_decryption && (s->data_bytes == 0 || s->data_bytes % AES_BLOCK != 0)
                   ? "what AES-CBC made is a multiple of 16 bytes"
                   : NULL;
    case ABI_CIPHER_AES_CTR:
        return s->iv.len != AES_BLOCK || s->bits < 1 || s->bits > 128
                   ? "the counter of AES-CTR has 16 bytes, of which 1 to 128 bits count"
                   : NULL;
    case ABI_CIPHER_AES_GCM:
        if (s->iv.len == 0 || s->iv.len > GCM_IV_MAX)
            return "the iv of AES-GCM has 1 to 128 bytes";
        if (!is_tag)
            return "the tag of AES-GCM has 32, 64, 96, 104, 112, 120 or 128 bits";
        return s->is_decryption && s->data_bytes < s->bits / 8 ? "the data is shorter than its tag"
                                                               : NULL;
    case ABI_CIPHER_AES_KW:
        return s->data_bytes % KW_STEP != 0 || s->data_bytes < (s->is_decryption ? 24 : 16) ||
                       s->data_bytes > KW_BYTES_MAX
                   ? "AES-KW takes 16 bytes to 64 KiB, a multiple of 8"
                   : NULL;
    }
    return NULL;
}

/* The counter is the last `bits` bits of the block: 2^bits blocks can be told apart, and the count
 * starts anywhere. False: there is more data than that. */
static bool counter_init(struct cipher *c, const struct cipher_start *s)
{
    uint64_t blocks = (s->data_bytes + AES_BLOCK - 1) / AES_BLOCK;
    CHECK(s->iv.len == AES_BLOCK);
    const unsigned char *iv = crypto_at(s->iv);
    c->blocks_left = UINT64_MAX;
    if (s->bits < 64 && blocks > UINT64_C(1) << s->bits)
        return false;
    memcpy(c->again, iv, AES_BLOCK);
    uint64_t low = 0, above = 0; /* what the counter lacks to begin again, as far as that matters */
    for (uint32_t bit = 0; bit < s->bits; bit++) {
        unsigned at = AES_BLOCK - 1 - bit / 8;
        bool is_set = iv[at] >> (bit % 8) & 1;
        c->again[at] &= (unsigned char)~(1u << (bit % 8));
        if (bit < 63)
            low |= (uint64_t)!is_set << bit;
        else
            above |= !is_set;
    }
    if (!above)
        c->blocks_left = low + 1;
    return true;
}

static bool context_init(struct cipher *c, const struct cipher_start *s, const EVP_CIPHER *cipher)
{
    int encrypts = !s->is_decryption, ignored;
    c->context = EVP_CIPHER_CTX_new();
    if (!c->context)
        return false;
    EVP_CIPHER_CTX_set_flags(c->context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (!EVP_CipherInit_ex(c->context, cipher, NULL, NULL, NULL, encrypts))
        return false;
    if (s->mode == ABI_CIPHER_AES_GCM &&
        !EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_SET_IVLEN, (int)s->iv.len, NULL))
        return false;
    const unsigned char *iv = s->mode == ABI_CIPHER_AES_KW ? NULL : crypto_at(s->iv);
    if (!EVP_CipherInit_ex(c->context, NULL, NULL, crypto_at(s->key), iv, encrypts))
        return false;
    return s->aad.len == 0 || s->mode != ABI_CIPHER_AES_GCM ||
           (s->aad.len <= INT_MAX &&
            EVP_CipherUpdate(c->context, NULL, &ignored, crypto_at(s->aad), (int)s->aad.len));
}

enum err cipher_new(const struct cipher_start *s, struct cipher **ret_cipher,
                    struct error *ret_error)
{
    const EVP_CIPHER *cipher = cipher_of(s->mode, s->key.len);
    const char *fault = cipher ? start_fault(s) : "AES keys have 128, 192 or 256 bits";
    if (fault)
        return crypto_refuse(ret_error, fault);
    struct cipher *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->mode = s->mode;
    c->is_decryption = s->is_decryption;
    c->tag_bytes = s->mode == ABI_CIPHER_AES_GCM ? s->bits / 8 : 0;
    bool is_ok = s->mode != ABI_CIPHER_AES_CTR || counter_init(c, s);
    if (!is_ok || !context_init(c, s, cipher)) {
        cipher_free(c);
        return crypto_refuse(ret_error, is_ok ? "the cipher does not start"
                                              : "there is more data than the counter can count");
    }
    *ret_cipher = c;
    return OK;
}

void cipher_free(struct cipher *c)
{
    if (!c)
        return;
    EVP_CIPHER_CTX_free(c->context); /* wipes */
    free(c);
}

static bool cipher_update(struct cipher *c, struct slice piece, char *to, size_t *ret_len)
{
    int len = 0;
    if (piece.len > INT_MAX - AES_BLOCK)
        return false;
    if (piece.len > 0 &&
        !EVP_CipherUpdate(c->context, (unsigned char *)to, &len, crypto_at(piece), (int)piece.len))
        return false;
    *ret_len += (size_t)len;
    return true;
}

/* Up to where the counter begins again, then the rest: that is once at most. */
static bool counter_update(struct cipher *c, struct slice piece, char *to, size_t *ret_len)
{
    uint64_t blocks = (piece.len + AES_BLOCK - 1) / AES_BLOCK;
    if (c->blocks_left == UINT64_MAX)
        return cipher_update(c, piece, to, ret_len);
    if (blocks <= c->blocks_left) {
        c->blocks_left -= blocks;
        return cipher_update(c, piece, to, ret_len);
    }
    size_t first = (size_t)c->blocks_left * AES_BLOCK;
    c->blocks_left = UINT64_MAX;
    return cipher_update(c, slice_of(piece.ptr, first), to, ret_len) &&
           EVP_CipherInit_ex(c->context, NULL, NULL, NULL, c->again, -1) &&
           cipher_update(c, slice_skip(piece, first), to + first, ret_len);
}

static bool cipher_end(struct cipher *c, struct slice tag, char *to, size_t *ret_len)
{
    int len = 0;
    if (c->mode == ABI_CIPHER_AES_KW)
        return true;
    if (c->tag_bytes && c->is_decryption &&
        !EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_SET_TAG, (int)tag.len, (void *)tag.ptr))
        return false;
    if (EVP_CipherFinal_ex(c->context, (unsigned char *)to, &len) != 1)
        return false;
    *ret_len += (size_t)len;
    if (!c->tag_bytes || c->is_decryption)
        return true;
    *ret_len += c->tag_bytes;
    return EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_GET_TAG, (int)c->tag_bytes, to + len) == 1;
}

enum err cipher_piece(struct cipher *c, struct slice piece, bool is_last, char *to, size_t *ret_len,
                      struct error *ret_error)
{
    struct slice tag = SLICE_EMPTY;
    size_t len = 0;
    if (is_last && c->is_decryption && c->tag_bytes) {
        if (piece.len < c->tag_bytes)
            return crypto_refuse(ret_error, "the data is shorter than its tag");
        tag = slice_skip(piece, piece.len - c->tag_bytes);
        piece.len -= c->tag_bytes;
    }
    bool is_ok = c->mode == ABI_CIPHER_AES_CTR ? counter_update(c, piece, to, &len)
                                               : cipher_update(c, piece, to, &len);
    if (!is_ok || (is_last && !cipher_end(c, tag, to + len, &len)))
        return crypto_refuse(ret_error,
                             c->is_decryption ? "the decryption failed" : "the encryption failed");
    *ret_len = len;
    return OK;
}
