/* SPDX-License-Identifier: Apache-2.0
 *
 * RSASSA-PKCS1-v1_5, RSA-PSS, RSA-OAEP. */
#include "crypto/internal.h"

#include <openssl/crypto.h>
#include <openssl/rsa.h>

enum {
    RSA_BITS_MIN = 512,
    RSA_BITS_MAX = OPENSSL_RSA_MAX_MODULUS_BITS,
    RSA_BYTES_MAX = RSA_BITS_MAX / 8,
};

static void rsa_done(RSA **r)
{
    RSA_free(*r);
}

static void bn_done(BIGNUM **b)
{
    BN_clear_free(*b);
}

static void context_done(BN_CTX **c)
{
    BN_CTX_free(*c);
}

/* ---- keys ---- */

static bool rsa_is_sound_public(const RSA *r)
{
    const BIGNUM *n, *e;
    RSA_get0_key(r, &n, &e, NULL);
    int bits = n ? BN_num_bits(n) : 0;
    return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && BN_is_odd(n) && !BN_is_negative(n) &&
           e && BN_is_odd(e) && !BN_is_one(e) && !BN_is_negative(e) && BN_cmp(e, n) < 0;
}

/* Is e * d = 1 (mod prime - 1), and dp the same d? */
static bool rsa_is_exponent(const BIGNUM *e, const BIGNUM *d, const BIGNUM *dp, const BIGNUM *prime,
                            BN_CTX *context)
{
    BN_CTX_start(context);
    BIGNUM *order = BN_CTX_get(context), *x = BN_CTX_get(context);
    bool is_right = x && BN_sub(order, prime, BN_value_one()) && BN_nnmod(x, d, order, context) &&
                    BN_cmp(x, dp) == 0 && BN_mod_mul(x, e, dp, order, context) && BN_is_one(x);
    BN_CTX_end(context);
    return is_right;
}

/* n = p q, and the exponents belong together: what is cheap to look at. That p and q are prime is
 * their owner's affair. */
static bool rsa_is_sound_private(const RSA *r)
{
    const BIGNUM *n, *e, *d, *p, *q, *dp, *dq, *qi;
    RSA_get0_key(r, &n, &e, &d);
    RSA_get0_factors(r, &p, &q);
    RSA_get0_crt_params(r, &dp, &dq, &qi);
    if (!rsa_is_sound_public(r) || !d || !p || !q || !dp || !dq || !qi)
        return false;
    const BIGNUM *all[] = {d, p, q, dp, dq, qi};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (BN_is_negative(all[i]) || BN_is_zero(all[i]) || BN_cmp(all[i], n) >= 0)
            return false;
    if (!BN_is_odd(p) || !BN_is_odd(q) || BN_is_one(p) || BN_is_one(q))
        return false;
    CLEANUP(context_done) BN_CTX *context = BN_CTX_secure_new();
    CLEANUP(bn_done) BIGNUM *x = BN_new();
    return context && x && BN_mul(x, p, q, context) && BN_cmp(x, n) == 0 &&
           rsa_is_exponent(e, d, dp, p, context) && rsa_is_exponent(e, d, dq, q, context) &&
           BN_mod_mul(x, q, qi, p, context) && BN_is_one(x);
}

static RSA *rsa_read(struct slice der, bool is_private)
{
    const unsigned char *at = crypto_at(der);
    RSA *r = is_private ? d2i_RSAPrivateKey(NULL, &at, (long)der.len)
                        : d2i_RSAPublicKey(NULL, &at, (long)der.len);
    if (r && at == crypto_at(der) + der.len && RSA_get_version(r) == 0)
        return r;
    RSA_free(r);
    return NULL;
}

/* Of material. The checks of the import once more are what stands between a guest that makes up
 * material and OpenSSL. */
static RSA *rsa_key(struct slice material, bool is_private)
{
    RSA *r = rsa_read(material, is_private);
    if (r && (is_private ? rsa_is_sound_private(r) : rsa_is_sound_public(r)))
        return r;
    RSA_free(r);
    return NULL;
}

/* A private key that is used, and perhaps was before. */
static RSA *rsa_key_in_use(struct slice material)
{
    RSA *r = rsa_cache_find(material);
    if (r)
        return r;
    r = rsa_key(material, true);
    if (r)
        rsa_cache_keep(material, r);
    return r;
}

static enum err rsa_write(const RSA *r, bool is_private, struct bytes *out, struct error *e)
{
    unsigned char *der = NULL;
    int len = is_private ? i2d_RSAPrivateKey(r, &der) : i2d_RSAPublicKey(r, &der);
    if (len <= 0)
        return crypto_refuse(e, "the key cannot be encoded");
    bytes_append(out, der, (size_t)len);
    OPENSSL_clear_free(der, (size_t)len);
    return OK;
}

enum err rsa_public(struct slice der, struct bytes *out, struct error *e)
{
    CLEANUP(rsa_done) RSA *r = rsa_key(der, false);
    return r ? rsa_write(r, false, out, e) : crypto_refuse(e, "that is not an RSA public key");
}

enum err rsa_private(struct slice der, struct bytes *out, struct error *e)
{
    CLEANUP(rsa_done) RSA *r = rsa_key(der, true);
    return r ? rsa_write(r, true, out, e)
             : crypto_refuse(e, "that is not an RSA private key of two primes, or its parts do not "
                                "belong together");
}

enum err rsa_of_parts(const struct slice *parts, bool is_private, struct bytes *out,
                      struct error *e)
{
    CLEANUP(rsa_done) RSA *r = RSA_new();
    BIGNUM *v[RSA_PARTS] = {NULL};
    size_t count = is_private ? RSA_PARTS : RSA_PUBLIC_PARTS;
    CHECK(r);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > RSA_BYTES_MAX)
            continue; /* stays NULL, so it is not sound */
        v[i] = BN_bin2bn(crypto_at(parts[i]), (int)parts[i].len, NULL);
    }
    bool is_whole = RSA_set0_key(r, v[0], v[1], v[2]);
    if (!is_whole) {
        for (size_t i = 0; i < RSA_PARTS; i++)
            BN_clear_free(v[i]);
        return crypto_refuse(e, "an RSA key needs n and e");
    }
    if (is_private && !RSA_set0_factors(r, v[3], v[4])) {
        BN_clear_free(v[3]);
        BN_clear_free(v[4]);
    }
    if (is_private && !RSA_set0_crt_params(r, v[5], v[6], v[7])) {
        BN_clear_free(v[5]);
        BN_clear_free(v[6]);
        BN_clear_free(v[7]);
    }
    if (!(is_private ? rsa_is_sound_private(r) : rsa_is_sound_public(r)))
        return crypto_refuse(e, "the parts of the RSA key are not those of one");
    return rsa_write(r, is_private, out, e);
}

enum err rsa_parts(struct slice material, bool is_private, struct bytes *out, struct error *e)
{
    CLEANUP(rsa_done) RSA *r = rsa_key(material, is_private);
    const BIGNUM *v[RSA_PARTS] = {NULL};
    if (!r)
        return crypto_refuse(e, "that is not an RSA key");
    RSA_get0_key(r, &v[0], &v[1], &v[2]);
    RSA_get0_factors(r, &v[3], &v[4]);
    RSA_get0_crt_params(r, &v[5], &v[6], &v[7]);
    for (size_t i = 0; i < (is_private ? RSA_PARTS : RSA_PUBLIC_PARTS); i++) {
        size_t len = (size_t)BN_num_bytes(v[i]);
        bytes_append_u32(out, (uint32_t)len);
        (void)BN_bn2bin(v[i], crypto_room(out, len));
    }
    return OK;
}

/* ---- generation ---- */

static int rsa_look(int event, int n, BN_GENCB *callback)
{
    (void)event;
    (void)n;
    return !crypto_stops(BN_GENCB_get_arg(callback));
}

static bool rsa_make(const struct crypto_call *c, RSA *r)
{
    CLEANUP(bn_done) BIGNUM *e = BN_bin2bn(crypto_at(c->data), (int)c->data.len, NULL);
    BN_GENCB *callback = BN_GENCB_new();
    CHECK(e && callback);
    BN_GENCB_set(callback, rsa_look, (void *)c);
    bool is_made = BN_is_odd(e) && !BN_is_one(e) && RSA_generate_key_ex(r, (int)c->a, e, callback);
    BN_GENCB_free(callback);
    return is_made;
}

enum err rsa_generate(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    enum { EXPONENT_BYTES_MAX = 8 };
    CLEANUP(rsa_done) RSA *r = RSA_new();
    if (c->a < RSA_BITS_MIN || c->a > RSA_BITS_MAX || c->data.len > EXPONENT_BYTES_MAX)
        return crypto_refuse(ret_error,
                             "RSA keys have 512 to 16384 bits, and an odd exponent of at "
                             "most 8 bytes");
    if (!r || !rsa_make(c, r)) {
        (void)crypto_refuse(ret_error, "no such RSA key can be generated");
        return crypto_stops(c) ? error_set(ret_error, ERR_CANCELLED, "the generation was stopped")
                               : ERR_INVALID;
    }
    for (int is_private = 1; is_private >= 0; is_private--) {
        CLEANUP(bytes_done) struct bytes der = BYTES_INIT;
        enum err err = rsa_write(r, is_private, &der, ret_error);
        if (err != OK)
            return err;
        bytes_append_lstr(out, bytes_slice(&der));
        OPENSSL_cleanse(der.ptr, der.len);
    }
    return OK;
}

/* ---- use ---- */

static bool rsa_is_digest(const struct crypto_call *c)
{
    const EVP_MD *md = crypto_md(c->hash);
    return md && c->data.len == (size_t)EVP_MD_get_size(md);
}

static bool rsa_sign_pss(const struct crypto_call *c, RSA *r, unsigned char *signature)
{
    unsigned char padded[RSA_BYTES_MAX];
    const EVP_MD *md = crypto_md(c->hash);
    int len = RSA_size(r);
    return c->a <= RSA_BYTES_MAX &&
           RSA_padding_add_PKCS1_PSS_mgf1(r, padded, crypto_at(c->data), md, md, (int)c->a) == 1 &&
           RSA_private_encrypt(len, padded, signature, r, RSA_NO_PADDING) == len;
}

enum err rsa_sign(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(rsa_done) RSA *r = rsa_key_in_use(c->key);
    if (!r || !rsa_is_digest(c))
        return crypto_refuse(ret_error, "that is not a key, or not a digest, for this");
    size_t before = out->len;
    unsigned char *at = crypto_room(out, (size_t)RSA_size(r));
    unsigned len = 0;
    bool is_signed = c->function == ABI_CRYPTO_PSS_SIGN
                         ? rsa_sign_pss(c, r, at)
                         : RSA_sign(EVP_MD_get_type(crypto_md(c->hash)), crypto_at(c->data),
                                    (unsigned)c->data.len, at, &len, r) == 1;
    if (is_signed)
        return OK;
    out->len = before;
    return crypto_refuse(ret_error, "the key is too short for this signature");
}

static bool rsa_is_signed_pss(const struct crypto_call *c, RSA *r)
{
    unsigned char padded[RSA_BYTES_MAX];
    const EVP_MD *md = crypto_md(c->hash);
    return c->a <= RSA_BYTES_MAX &&
           RSA_public_decrypt((int)c->salt.len, crypto_at(c->salt), padded, r, RSA_NO_PADDING) ==
               RSA_size(r) &&
           RSA_verify_PKCS1_PSS_mgf1(r, crypto_at(c->data), md, md, padded, (int)c->a) == 1;
}

enum err rsa_verify(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(rsa_done) RSA *r = rsa_key(c->key, false);
    if (!r || !rsa_is_digest(c))
        return crypto_refuse(ret_error, "that is not a key, or not a digest, for this");
    bool is_right = c->salt.len == (size_t)RSA_size(r);
    if (is_right && c->function == ABI_CRYPTO_PSS_VERIFY)
        is_right = rsa_is_signed_pss(c, r);
    else if (is_right)
        is_right =
            RSA_verify(EVP_MD_get_type(crypto_md(c->hash)), crypto_at(c->data),
                       (unsigned)c->data.len, crypto_at(c->salt), (unsigned)c->salt.len, r) == 1;
    bytes_append_char(out, is_right);
    return crypto_forget_errors();
}

enum err rsa_encrypt(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(rsa_done) RSA *r = rsa_key(c->key, false);
    const EVP_MD *md = crypto_md(c->hash);
    unsigned char padded[RSA_BYTES_MAX];
    if (!r || !md || c->data.len > RSA_BYTES_MAX ||
        RSA_padding_add_PKCS1_OAEP_mgf1(padded, RSA_size(r), crypto_at(c->data), (int)c->data.len,
                                        crypto_at(c->info), (int)c->info.len, md, md) != 1)
        return crypto_refuse(ret_error, "the data is too long for RSA-OAEP with this key");
    size_t before = out->len;
    int len = RSA_size(r);
    int got = RSA_public_encrypt(len, padded, crypto_room(out, (size_t)len), r, RSA_NO_PADDING);
    OPENSSL_cleanse(padded, sizeof(padded));
    if (got == len)
        return OK;
    out->len = before;
    return crypto_refuse(ret_error, "the encryption failed");
}

enum err rsa_decrypt(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    CLEANUP(rsa_done) RSA *r = rsa_key_in_use(c->key);
    const EVP_MD *md = crypto_md(c->hash);
    unsigned char padded[RSA_BYTES_MAX], plain[RSA_BYTES_MAX];
    if (!r || !md || c->data.len != (size_t)RSA_size(r))
        return crypto_refuse(ret_error, "the decryption failed");
    int len = RSA_private_decrypt((int)c->data.len, crypto_at(c->data), padded, r, RSA_NO_PADDING);
    int plain_len = -1;
    if (len == RSA_size(r))
        plain_len = RSA_padding_check_PKCS1_OAEP_mgf1(plain, sizeof(plain), padded, len, len,
                                                      crypto_at(c->info), (int)c->info.len, md, md);
    if (plain_len >= 0)
        bytes_append(out, plain, (size_t)plain_len);
    OPENSSL_cleanse(padded, sizeof(padded));
    OPENSSL_cleanse(plain, sizeof(plain));
    return plain_len >= 0 ? crypto_forget_errors()
                          : crypto_refuse(ret_error, "the decryption failed");
}
