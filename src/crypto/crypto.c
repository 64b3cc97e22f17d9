/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

/* RSA's private operations above 2048 bits take milliseconds, and its public ones with the largest
 * moduli or exponents; lengths are of the DER. */
enum {
    RSA_PRIVATE_SHORT_BYTES = 1300,
    RSA_PUBLIC_SHORT_BYTES = 600,
    PBKDF2_SHORT_ROUNDS = 4000, /* in all its blocks */
    PBKDF2_BLOCK_BYTES = 20,    /* the shortest hash */
    DATA_SHORT_BYTES = 512 * 1024,
};

enum length { SHORT, LONG, BY_PRIVATE_KEY, BY_PUBLIC_KEY, BY_ROUNDS, BY_DATA };

static const struct {
    crypto_fn *fn;
    enum length length;
} functions[] = {
    [ABI_CRYPTO_IMPORT] = {key_import, SHORT},
    [ABI_CRYPTO_EXPORT] = {key_export, SHORT},
    [ABI_CRYPTO_HASH_BLOCKS] = {hash_blocks, BY_DATA},
    [ABI_CRYPTO_HKDF] = {kdf_hkdf, SHORT},
    [ABI_CRYPTO_PBKDF2] = {kdf_pbkdf2, BY_ROUNDS},
    [ABI_CRYPTO_DERIVE] = {ec_derive, SHORT},
    [ABI_CRYPTO_RSA_SIGN] = {rsa_sign, BY_PRIVATE_KEY},
    [ABI_CRYPTO_RSA_VERIFY] = {rsa_verify, BY_PUBLIC_KEY},
    [ABI_CRYPTO_PSS_VERIFY] = {rsa_verify, BY_PUBLIC_KEY},
    [ABI_CRYPTO_OAEP_DECRYPT] = {rsa_decrypt, BY_PRIVATE_KEY},
    [ABI_CRYPTO_EC_VERIFY] = {ec_verify, SHORT},
    [ABI_CRYPTO_ED25519_SIGN] = {okp_sign, BY_DATA},
    [ABI_CRYPTO_ED25519_VERIFY] = {okp_verify, BY_DATA},
    [ABI_CRYPTO_NAMED_DIGEST] = {named_digest, BY_DATA},
    [ABI_CRYPTO_NAMED_HMAC] = {named_hmac, BY_DATA},
    [ABI_CRYPTO_NAMED_CIPHER] = {named_cipher, BY_DATA},
    [ABI_CRYPTO_SCRYPT] = {named_scrypt, LONG},
    [ABI_CRYPTO_RSA_GENERATE] = {rsa_generate, LONG},
    [ABI_CRYPTO_EC_GENERATE] = {ec_generate, SHORT},
    [ABI_CRYPTO_PSS_SIGN] = {rsa_sign, BY_PRIVATE_KEY},
    [ABI_CRYPTO_OAEP_ENCRYPT] = {rsa_encrypt, BY_PUBLIC_KEY},
    [ABI_CRYPTO_EC_SIGN] = {ec_sign, SHORT},
};

bool crypto_is_random(enum abi_crypto function)
{
    return function >= ABI_CRYPTO_RSA_GENERATE;
}

bool crypto_is_long(const struct crypto_call *c)
{
    if (c->function >= ARRAY_LEN(functions))
        return false;
    switch (functions[c->function].length) {
    case SHORT:
        return false;
    case LONG:
        return true;
    case BY_PRIVATE_KEY:
        return c->key.len > RSA_PRIVATE_SHORT_BYTES;
    case BY_PUBLIC_KEY:
        return c->key.len > RSA_PUBLIC_SHORT_BYTES;
    case BY_ROUNDS:
        return (uint64_t)c->a * (c->b / PBKDF2_BLOCK_BYTES + 1) > PBKDF2_SHORT_ROUNDS;
    case BY_DATA:
        return c->data.len > DATA_SHORT_BYTES;
    }
    return true;
}

enum err crypto_forget_errors(void)
{
    ERR_clear_error();
    return OK;
}

enum err crypto_refuse(struct error *ret_error, const char *message)
{
    ERR_clear_error();
    return error_set(ret_error, ERR_INVALID, "%s", message);
}

const EVP_MD *crypto_md(uint32_t hash)
{
    switch (hash) {
    case 1:
        return EVP_sha1();
    case 256:
        return EVP_sha256();
    case 384:
        return EVP_sha384();
    case 512:
        return EVP_sha512();
    default:
        return NULL;
    }
}

unsigned char *crypto_room(struct bytes *out, size_t n)
{
    bytes_reserve(out, n);
    unsigned char *at = (unsigned char *)out->ptr + out->len;
    out->len += n;
    return at;
}

enum err crypto_run(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    if (c->function >= ARRAY_LEN(functions) || !functions[c->function].fn)
        return crypto_refuse(ret_error, "there is no such function");
    size_t begin = out->len;
    enum err err = functions[c->function].fn(c, out, ret_error);
    if (err != OK && out->len > begin) { /* what a false tag belongs to is nobody's to see */
        OPENSSL_cleanse(out->ptr + begin, out->len - begin);
        out->len = begin;
    }
    return err;
}
