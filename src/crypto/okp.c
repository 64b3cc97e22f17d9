/* SPDX-License-Identifier: Apache-2.0
 *
 * Ed25519 and X25519. */
#include "crypto/internal.h"

#include <openssl/crypto.h>

static int okp_type(enum abi_key kind)
{
    return kind == ABI_KEY_ED25519  ? EVP_PKEY_ED25519
           : kind == ABI_KEY_X25519 ? EVP_PKEY_X25519
                                    : EVP_PKEY_NONE;
}

static void key_done(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void digest_done(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

static void context_done(EVP_PKEY_CTX **c)
{
    EVP_PKEY_CTX_free(*c);
}

/* Of material, whose first part is the seed. */
static EVP_PKEY *private_key(enum abi_key kind, struct slice material)
{
    if (okp_type(kind) == EVP_PKEY_NONE || material.len != 2 * OKP_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_private_key(okp_type(kind), NULL, crypto_at(material), OKP_BYTES);
}

static EVP_PKEY *public_key(enum abi_key kind, struct slice material)
{
    if (okp_type(kind) == EVP_PKEY_NONE || material.len != OKP_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_public_key(okp_type(kind), NULL, crypto_at(material), OKP_BYTES);
}

enum err okp_public(enum abi_key kind, struct slice bytes, struct bytes *out, struct error *e)
{
    CLEANUP(key_done) EVP_PKEY *k = public_key(kind, bytes);
    if (!k)
        return crypto_refuse(e, "a public key of this kind has 32 bytes");
    bytes_append_slice(out, bytes);
    return OK;
}

enum err okp_private(enum abi_key kind, struct slice seed, struct slice public, struct bytes *out,
                     struct error *e)
{
    unsigned char material[2 * OKP_BYTES] = {0};
    if (seed.len != OKP_BYTES)
        return crypto_refuse(e, "a private key of this kind has 32 bytes");
    memcpy(material, seed.ptr, OKP_BYTES);
    CLEANUP(key_done)
    EVP_PKEY *k = private_key(kind, slice_of((const char *)material, sizeof(material)));
    size_t len = OKP_BYTES;
    enum err err = OK;
    if (!k || !EVP_PKEY_get_raw_public_key(k, material + OKP_BYTES, &len) || len != OKP_BYTES)
        err = crypto_refuse(e, "that is not a private key of this kind");
    else if (public.len && !slice_eq(public, slice_of((const char *)material + OKP_BYTES, len)))
        err = crypto_refuse(e, "the public key is not that of the private one");
    if (err == OK)
        bytes_append(out, material, sizeof(material));
    OPENSSL_cleanse(material, sizeof(material));
    return err;
}

enum err okp_generate(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(context_done)
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(okp_type((enum abi_key)c->a), NULL);
    CLEANUP(key_done) EVP_PKEY *k = NULL;
    unsigned char seed[OKP_BYTES], public[OKP_BYTES];
    size_t seed_len = sizeof(seed), public_len = sizeof(public);
    if (!context || EVP_PKEY_keygen_init(context) <= 0 || EVP_PKEY_keygen(context, &k) <= 0 ||
        !EVP_PKEY_get_raw_private_key(k, seed, &seed_len) ||
        !EVP_PKEY_get_raw_public_key(k, public, &public_len))
        return crypto_refuse(ret_error, "no key can be generated");
    bytes_append_u32(out, 2 * OKP_BYTES);
    bytes_append(out, seed, seed_len);
    bytes_append(out, public, public_len);
    bytes_append_lstr(out, slice_of((const char *)public, public_len));
    OPENSSL_cleanse(seed, sizeof(seed));
    return OK;
}

enum err okp_sign(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(key_done) EVP_PKEY *k = private_key(ABI_KEY_ED25519, c->key);
    CLEANUP(digest_done) EVP_MD_CTX *d = EVP_MD_CTX_new();
    unsigned char signature[2 * OKP_BYTES];
    size_t len = sizeof(signature);
    if (!k || !d || EVP_DigestSignInit(d, NULL, NULL, NULL, k) != 1 ||
        EVP_DigestSign(d, signature, &len, crypto_at(c->data), c->data.len) != 1)
        return crypto_refuse(ret_error, "the signature failed");
    bytes_append(out, signature, len);
    return OK;
}

enum err okp_verify(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(key_done) EVP_PKEY *k = public_key(ABI_KEY_ED25519, c->key);
    CLEANUP(digest_done) EVP_MD_CTX *d = EVP_MD_CTX_new();
    if (!k || !d || EVP_DigestVerifyInit(d, NULL, NULL, NULL, k) != 1)
        return crypto_refuse(ret_error, "that is not a key for this");
    bytes_append_char(out, c->salt.len == 2 * OKP_BYTES &&
                               EVP_DigestVerify(d, crypto_at(c->salt), c->salt.len,
                                                crypto_at(c->data), c->data.len) == 1);
    return crypto_forget_errors();
}

/* A shared secret of zeros, of a point of small order, fails. */
enum err okp_derive(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(key_done) EVP_PKEY *k = private_key(ABI_KEY_X25519, c->key);
    CLEANUP(key_done) EVP_PKEY *other = public_key(ABI_KEY_X25519, c->data);
    CLEANUP(context_done) EVP_PKEY_CTX *context = k ? EVP_PKEY_CTX_new(k, NULL) : NULL;
    unsigned char shared[OKP_BYTES];
    size_t len = sizeof(shared);
    if (!context || !other || EVP_PKEY_derive_init(context) <= 0 ||
        EVP_PKEY_derive_set_peer(context, other) <= 0 ||
        EVP_PKEY_derive(context, shared, &len) <= 0)
        return crypto_refuse(ret_error, "the two keys have no shared secret");
    bytes_append(out, shared, len);
    OPENSSL_cleanse(shared, sizeof(shared));
    return OK;
}
