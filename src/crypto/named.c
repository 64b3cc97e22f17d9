/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests, HMAC and ciphers by OpenSSL's names, and scrypt: what Node's crypto has beyond
 * crypto.subtle. Each call has all of its data. */
#include <endian.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "crypto/internal.h"

enum {
    NAME_BYTES_MAX = 32,
    OUT_BYTES_MAX = 1024 * 1024, /* of extendable digests, and of scrypt */
    SCRYPT_BLOCK_BYTES = 128,    /* of RFC 7914: it takes so many N r bytes */
    SCRYPT_MEMORY_MAX = 64 * 1024 * 1024,
    SCRYPT_WORK_MAX = 4 * 1024 * 1024, /* N r p: some two seconds, which cannot be stopped */
    TAG_BYTES_MAX = 16,
};

enum { CIPHER_DECRYPTS = 1, CIPHER_NO_PADDING = 2, CIPHER_AEAD = 4 };

/* info as a C string. False: it cannot be a name. */
static bool named_name(struct slice info, char *ret_name)
{
    if (!info.len || info.len > NAME_BYTES_MAX || memchr(info.ptr, 0, info.len))
        return false;
    memcpy(ret_name, info.ptr, info.len);
    ret_name[info.len] = '\0';
    return true;
}

static const EVP_MD *named_md(struct slice info)
{
    char name[NAME_BYTES_MAX + 1];
    return named_name(info, name) ? EVP_get_digestbyname(name) : NULL;
}

static void named_md_free(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

enum err named_digest(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const EVP_MD *md = named_md(c->info);
    CLEANUP(named_md_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx);
    if (!md || EVP_DigestInit_ex(ctx, md, NULL) != 1)
        return crypto_refuse(ret_error, "Digest method not supported");
    const bool is_extendable = (EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF) != 0;
    const size_t usual = (size_t)EVP_MD_get_size(md), len = c->a ? c->a : usual;
    if (len > OUT_BYTES_MAX || (!is_extendable && len != usual))
        return crypto_refuse(ret_error, "Unsupported state or unable to set the digest's length");
    if (EVP_DigestUpdate(ctx, crypto_at(c->data), c->data.len) != 1)
        return crypto_refuse(ret_error, "the digest failed");
    unsigned char *at = crypto_room(out, len);
    const bool is_ok = is_extendable ? EVP_DigestFinalXOF(ctx, at, len) == 1
                                     : EVP_DigestFinal_ex(ctx, at, NULL) == 1;
    return is_ok ? OK : crypto_refuse(ret_error, "the digest failed");
}

enum err named_hmac(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const EVP_MD *md = named_md(c->info);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!md || c->key.len > INT32_MAX)
        return crypto_refuse(ret_error, "Invalid digest");
    if (!HMAC(md, crypto_at(c->key), (int)c->key.len, crypto_at(c->data), c->data.len, mac, &len))
        return crypto_refuse(ret_error, "HMAC failed");
    bytes_append(out, mac, len);
    return OK;
}

/* ---- ciphers ---- */

static bool named_take(struct slice *rest, struct slice *ret_part)
{
    uint32_t len;
    if (rest->len < sizeof(len))
        return false;
    memcpy(&len, rest->ptr, sizeof(len));
    len = le32toh(len);
    if (rest->len - sizeof(len) < len)
        return false;
    *ret_part = slice_of(rest->ptr + sizeof(len), len);
    *rest = slice_skip(*rest, sizeof(len) + len);
    return true;
}

static void named_cipher_free(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

/* The key and what else has to be set before the data. */
static bool named_cipher_init(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
                              const struct crypto_call *c, struct slice aad, struct slice tag)
{
    const bool is_aead = (EVP_CIPHER_get_flags(cipher) & EVP_CIPH_FLAG_AEAD_CIPHER) != 0;
    const int encrypts = !(c->a & CIPHER_DECRYPTS);
    int len;
    if (EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypts) != 1)
        return false;
    if (is_aead && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)c->salt.len, NULL) != 1)
        return false;
    if ((size_t)EVP_CIPHER_CTX_get_key_length(ctx) != c->key.len ||
        (size_t)EVP_CIPHER_CTX_get_iv_length(ctx) != c->salt.len)
        return false;
    if (EVP_CipherInit_ex(ctx, NULL, NULL, crypto_at(c->key), crypto_at(c->salt), encrypts) != 1)
        return false;
    if (c->a & CIPHER_NO_PADDING)
        (void)EVP_CIPHER_CTX_set_padding(ctx, 0);
    if (!encrypts && tag.len &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag.len, (void *)tag.ptr) != 1)
        return false;
    return !aad.len || EVP_CipherUpdate(ctx, NULL, &len, crypto_at(aad), (int)aad.len) == 1;
}

enum err named_cipher(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    char name[NAME_BYTES_MAX + 1];
    struct slice data = c->data, aad = SLICE_EMPTY, tag = SLICE_EMPTY;
    const EVP_CIPHER *cipher = named_name(c->info, name) ? EVP_get_cipherbyname(name) : NULL;
    if ((c->a & CIPHER_AEAD) && (!named_take(&data, &aad) || !named_take(&data, &tag)))
        return crypto_refuse(ret_error, "the data is not what it should be");
    if (!cipher || c->salt.len > EVP_MAX_BLOCK_LENGTH * 4 || data.len > INT32_MAX / 2 ||
        aad.len > INT32_MAX || tag.len > TAG_BYTES_MAX || c->b > TAG_BYTES_MAX)
        return crypto_refuse(ret_error, "Unknown cipher");
    const unsigned long mode = EVP_CIPHER_get_mode(cipher);
    if (mode == EVP_CIPH_CCM_MODE || mode == EVP_CIPH_WRAP_MODE || mode == EVP_CIPH_SIV_MODE ||
        mode == EVP_CIPH_XTS_MODE)
        return crypto_refuse(ret_error, "this mode of ciphers is not supported");
    CLEANUP(named_cipher_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CHECK(ctx);
    if (!named_cipher_init(ctx, cipher, c, aad, tag))
        return crypto_refuse(ret_error, "Invalid key, initialization vector or tag length");
    const size_t begin = out->len;
    unsigned char *at = crypto_room(out, data.len + EVP_MAX_BLOCK_LENGTH);
    int len = 0, rest = 0;
    if (EVP_CipherUpdate(ctx, at, &len, crypto_at(data), (int)data.len) != 1)
        return crypto_refuse(ret_error, "the cipher failed");
    if (EVP_CipherFinal_ex(ctx, at + len, &rest) != 1) {
        const unsigned long reason = ERR_peek_last_error();
        char text[120];
        ERR_error_string_n(reason, text, sizeof(text));
        return crypto_refuse(ret_error, reason && (c->a & CIPHER_AEAD) == 0
                                            ? text
                                            : "Unsupported state or unable to authenticate data");
    }
    out->len = begin + (size_t)len + (size_t)rest;
    if (!c->b || (c->a & CIPHER_DECRYPTS))
        return OK;
    at = crypto_room(out, c->b);
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)c->b, at) == 1
               ? OK
               : crypto_refuse(ret_error, "Invalid authentication tag length");
}

/* ---- scrypt ---- */

size_t crypto_memory_bytes(const struct crypto_call *c)
{
    uint32_t r;
    if (c->function != ABI_CRYPTO_SCRYPT || c->data.len < sizeof(r))
        return 0;
    memcpy(&r, c->data.ptr, sizeof(r));
    const uint64_t bytes = (uint64_t)SCRYPT_BLOCK_BYTES * c->a * (le32toh(r) & UINT16_MAX);
    return bytes < SCRYPT_MEMORY_MAX ? bytes : SCRYPT_MEMORY_MAX; /* more is refused */
}

enum err named_scrypt(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    uint32_t numbers[2];
    if (c->data.len != sizeof(numbers) || c->b > OUT_BYTES_MAX)
        return crypto_refuse(ret_error, "Invalid scrypt params");
    memcpy(numbers, c->data.ptr, sizeof(numbers));
    const uint64_t n = c->a, r = le32toh(numbers[0]), p = le32toh(numbers[1]);
    if (!n || !r || !p || r > SCRYPT_WORK_MAX / n || p > SCRYPT_WORK_MAX / n / r)
        return crypto_refuse(ret_error, "Invalid scrypt params: N r p is at most 4194304");
    if (crypto_stops(c))
        return error_set(ret_error, ERR_CANCELLED, "scrypt was stopped");
    if (!c->b)
        return OK;
    if (EVP_PBE_scrypt((const char *)crypto_at(c->key), c->key.len, crypto_at(c->salt), c->salt.len,
                       n, r, p, SCRYPT_MEMORY_MAX, crypto_room(out, c->b), c->b) != 1)
        return crypto_refuse(ret_error, "Invalid scrypt params: memory limit exceeded");
    return OK;
}
