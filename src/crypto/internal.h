/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared inside crypto/. OpenSSL's functions of RSA, EC_KEY and SHA are used where EVP would take
 * longer to make a key object than to sign with it (P-256: 130 us to decode a key, 25 to sign). */
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bn.h>
#include <openssl/evp.h>

#include "crypto/crypto.h"

typedef enum err crypto_fn(const struct crypto_call *c, struct bytes *out, struct error *ret_error);

/* Frees what OpenSSL has queued about its failure, and fails. */
enum err crypto_refuse(struct error *ret_error, const char *message);
/* What it has queued about a failure that is an answer. OK. */
enum err crypto_forget_errors(void);
static inline bool crypto_stops(const struct crypto_call *c)
{
    return c->stops && c->stops(c->stops_arg);
}
static inline const unsigned char *crypto_at(struct slice s)
{
    return (const unsigned char *)(s.ptr ? s.ptr : "");
}
/* Room for n bytes at the end of out, which is that much longer then. */
unsigned char *crypto_room(struct bytes *out, size_t n);

/* ---- der.c ---- */

/* Reads DER, strictly; fails for good at the first fault. */
struct der {
    struct slice rest;
    bool is_bad;
};

enum der_tag {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_SEQUENCE = 0x30,
    DER_CONTEXT_0 = 0xA0,
    DER_CONTEXT_1 = 0xA1,
    DER_CONTEXT_1_PRIMITIVE = 0x81,
};

static inline struct der der_of(struct slice s)
{
    return (struct der){.rest = s};
}
/* The contents of the next element, which must have that tag. */
struct slice der_take(struct der *d, enum der_tag tag);
bool der_is_next(const struct der *d, enum der_tag tag);
/* All read, and nothing was wrong. */
bool der_is_done(const struct der *d);
/* A BIT STRING of whole bytes. */
struct slice der_take_bits(struct der *d);
void der_put(struct bytes *out, enum der_tag tag, struct slice contents);
void der_put_bits(struct bytes *out, struct slice contents);

/* ---- ec.c, okp.c, rsa.c ---- */

crypto_fn ec_generate, ec_sign, ec_verify, ec_derive;
crypto_fn okp_generate, okp_sign, okp_verify, okp_derive;
crypto_fn rsa_generate, rsa_sign, rsa_verify, rsa_encrypt, rsa_decrypt;

/* Keys without their wrapping. What does not fit is ERR_INVALID. */
enum err ec_public(enum abi_key kind, struct slice point, struct bytes *out, struct error *e);
/* point: empty, or what the public part has to be. */
enum err ec_private(enum abi_key kind, struct slice scalar, struct slice point, struct bytes *out,
                    struct error *e);
size_t ec_field_bytes(enum abi_key kind); /* 0: not a curve */
enum err okp_public(enum abi_key kind, struct slice key, struct bytes *out, struct error *e);
enum err okp_private(enum abi_key kind, struct slice seed, struct slice key, struct bytes *out,
                     struct error *e);
enum { OKP_BYTES = 32, RSA_PARTS = 8, RSA_PUBLIC_PARTS = 2 };

/* ---- rsa_cache.c ---- */

/* The key of that material if this thread has used it lately; NULL: not so. The caller frees it. */
RSA *rsa_cache_find(struct slice material);
/* Keeps a reference to a private key that was found sound. */
void rsa_cache_keep(struct slice material, RSA *key);
/* DER of PKCS #1 in, the same, checked, out. */
enum err rsa_public(struct slice der, struct bytes *out, struct error *e);
enum err rsa_private(struct slice der, struct bytes *out, struct error *e);
/* n, e or n, e, d, p, q, dp, dq, qi: big-endian. */
enum err rsa_of_parts(const struct slice *parts, bool is_private, struct bytes *out,
                      struct error *e);
enum err rsa_parts(struct slice material, bool is_private, struct bytes *out, struct error *e);

/* ---- the others ---- */

crypto_fn key_import, key_export;                               /* key.c */
crypto_fn kdf_hkdf, kdf_pbkdf2;                                 /* kdf.c */
crypto_fn hash_blocks;                                          /* hash.c */
crypto_fn named_digest, named_hmac, named_cipher, named_scrypt; /* named.c */
