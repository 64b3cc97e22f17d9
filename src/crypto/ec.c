/* SPDX-License-Identifier: Apache-2.0
 *
 * ECDSA and ECDH on P-256, P-384 and P-521. The groups are made once and only read after. */
#include "crypto/internal.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <pthread.h>

enum { EC_FIELD_MAX = 66, EC_POINT_MAX = 1 + 2 * EC_FIELD_MAX, EC_CURVES = 3 };

static EC_GROUP *groups[EC_CURVES];
static pthread_once_t groups_once = PTHREAD_ONCE_INIT;

static void groups_make(void)
{
    static const int curves[EC_CURVES] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};
    for (size_t i = 0; i < EC_CURVES; i++) {
        groups[i] = EC_GROUP_new_by_curve_name(curves[i]);
        CHECK(groups[i]);
    }
}

static const EC_GROUP *group_of(enum abi_key kind)
{
    (void)pthread_once(&groups_once, groups_make);
    return kind >= ABI_KEY_P256 && kind <= ABI_KEY_P521 ? groups[kind - ABI_KEY_P256] : NULL;
}

size_t ec_field_bytes(enum abi_key kind)
{
    const EC_GROUP *g = group_of(kind);
    return g ? ((size_t)EC_GROUP_get_degree(g) + 7) / 8 : 0;
}

static void bn_done(BIGNUM **b)
{
    BN_clear_free(*b);
}

static void point_done(EC_POINT **p)
{
    EC_POINT_free(*p);
}

static void key_done(EC_KEY **k)
{
    EC_KEY_free(*k);
}

static void sig_done(ECDSA_SIG **s)
{
    ECDSA_SIG_free(*s);
}

static BIGNUM *bn_of(struct slice s)
{
    return BN_bin2bn(crypto_at(s), (int)s.len, NULL);
}

/* NULL: not a point of the curve, or the one at infinity. */
static EC_POINT *point_of(const EC_GROUP *g, struct slice bytes)
{
    EC_POINT *p = EC_POINT_new(g);
    if (p && bytes.len > 1 && EC_POINT_oct2point(g, p, crypto_at(bytes), bytes.len, NULL))
        return p;
    EC_POINT_free(p);
    return NULL;
}

static size_t point_bytes(const EC_GROUP *g, const EC_POINT *p, unsigned char at[EC_POINT_MAX])
{
    return EC_POINT_point2oct(g, p, POINT_CONVERSION_UNCOMPRESSED, at, EC_POINT_MAX, NULL);
}

enum err ec_public(enum abi_key kind, struct slice bytes, struct bytes *out, struct error *e)
{
    const EC_GROUP *g = group_of(kind);
    unsigned char at[EC_POINT_MAX];
    CLEANUP(point_done) EC_POINT *p = g ? point_of(g, bytes) : NULL;
    size_t len = p ? point_bytes(g, p, at) : 0;
    if (!len)
        return crypto_refuse(e, "the public key is not a point of the curve");
    bytes_append(out, at, len);
    return OK;
}

/* The scalar in full length, within 1 and the order: NULL if it is not. */
static BIGNUM *scalar_of(const EC_GROUP *g, struct slice bytes)
{
    size_t len = ((size_t)EC_GROUP_order_bits(g) + 7) / 8;
    BIGNUM *d = bytes.len == len ? bn_of(bytes) : NULL;
    if (d && !BN_is_zero(d) && BN_cmp(d, EC_GROUP_get0_order(g)) < 0) {
        BN_set_flags(d, BN_FLG_CONSTTIME);
        return d;
    }
    BN_clear_free(d);
    return NULL;
}

enum err ec_private(enum abi_key kind, struct slice scalar, struct slice point, struct bytes *out,
                    struct error *e)
{
    const EC_GROUP *g = group_of(kind);
    unsigned char at[EC_POINT_MAX];
    CLEANUP(bn_done) BIGNUM *d = g ? scalar_of(g, scalar) : NULL;
    CLEANUP(point_done) EC_POINT *p = d ? EC_POINT_new(g) : NULL;
    size_t len = p && EC_POINT_mul(g, p, d, NULL, NULL, NULL) ? point_bytes(g, p, at) : 0;
    if (!len)
        return crypto_refuse(e, "the private key is not a number below the curve's order");
    if (point.len) {
        CLEANUP(point_done) EC_POINT *given = point_of(g, point);
        if (!given || EC_POINT_cmp(g, given, p, NULL) != 0)
            return crypto_refuse(e, "the public key is not that of the private one");
    }
    bytes_append_slice(out, scalar);
    bytes_append(out, at, len);
    return OK;
}

static EC_KEY *key_new(const EC_GROUP *g)
{
    EC_KEY *k = EC_KEY_new();
    if (k && EC_KEY_set_group(k, g))
        return k;
    EC_KEY_free(k);
    return NULL;
}

/* Of material. */
static EC_KEY *private_key(const EC_GROUP *g, struct slice material)
{
    size_t len = ((size_t)EC_GROUP_order_bits(g) + 7) / 8;
    struct slice scalar = slice_of(material.ptr, material.len < len ? material.len : len);
    CLEANUP(bn_done) BIGNUM *d = scalar_of(g, scalar);
    EC_KEY *k = d ? key_new(g) : NULL;
    if (k && EC_KEY_set_private_key(k, d))
        return k;
    EC_KEY_free(k);
    return NULL;
}

static EC_KEY *public_key(const EC_GROUP *g, struct slice material)
{
    CLEANUP(point_done) EC_POINT *p = point_of(g, material);
    EC_KEY *k = p ? key_new(g) : NULL;
    if (k && EC_KEY_set_public_key(k, p))
        return k;
    EC_KEY_free(k);
    return NULL;
}

enum err ec_generate(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    if (c->a == ABI_KEY_ED25519 || c->a == ABI_KEY_X25519)
        return okp_generate(c, out, ret_error);
    const EC_GROUP *g = group_of((enum abi_key)c->a);
    CLEANUP(key_done) EC_KEY *k = g ? key_new(g) : NULL;
    if (!k || !EC_KEY_generate_key(k))
        return crypto_refuse(ret_error, "no key of this curve can be generated");
    unsigned char scalar[EC_FIELD_MAX], point[EC_POINT_MAX];
    size_t len = ((size_t)EC_GROUP_order_bits(g) + 7) / 8;
    CHECK(BN_bn2binpad(EC_KEY_get0_private_key(k), scalar, (int)len) == (int)len);
    size_t point_len = point_bytes(g, EC_KEY_get0_public_key(k), point);
    struct slice public = slice_of((const char *)point, point_len);
    bytes_append_u32(out, (uint32_t)(len + point_len));
    bytes_append(out, scalar, len);
    bytes_append_slice(out, public);
    bytes_append_lstr(out, public);
    OPENSSL_cleanse(scalar, sizeof(scalar));
    return OK;
}

enum err ec_sign(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const EC_GROUP *g = group_of((enum abi_key)c->a);
    CLEANUP(key_done) EC_KEY *k = g ? private_key(g, c->key) : NULL;
    CLEANUP(sig_done)
    ECDSA_SIG *s = k && c->data.len <= EVP_MAX_MD_SIZE
                       ? ECDSA_do_sign(crypto_at(c->data), (int)c->data.len, k)
                       : NULL;
    if (!s)
        return crypto_refuse(ret_error, "the signature failed");
    int len = (EC_GROUP_order_bits(g) + 7) / 8;
    unsigned char *at = crypto_room(out, 2 * (size_t)len);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(s), at, len) == len);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(s), at + len, len) == len);
    return OK;
}

static bool signature_is(const struct crypto_call *c, const EC_GROUP *g, EC_KEY *k)
{
    size_t len = ((size_t)EC_GROUP_order_bits(g) + 7) / 8;
    if (c->salt.len != 2 * len || c->data.len > EVP_MAX_MD_SIZE)
        return false;
    CLEANUP(sig_done) ECDSA_SIG *s = ECDSA_SIG_new();
    BIGNUM *r = bn_of(slice_of(c->salt.ptr, len)), *t = bn_of(slice_skip(c->salt, len));
    CHECK(s && r && t && ECDSA_SIG_set0(s, r, t));
    return ECDSA_do_verify(crypto_at(c->data), (int)c->data.len, s, k) == 1;
}

enum err ec_verify(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const EC_GROUP *g = group_of((enum abi_key)c->a);
    CLEANUP(key_done) EC_KEY *k = g ? public_key(g, c->key) : NULL;
    if (!k)
        return crypto_refuse(ret_error, "that is not a key of this curve");
    bytes_append_char(out, signature_is(c, g, k));
    return OK;
}

enum err ec_derive(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    if (c->a == ABI_KEY_X25519)
        return okp_derive(c, out, ret_error);
    const EC_GROUP *g = group_of((enum abi_key)c->a);
    CLEANUP(key_done) EC_KEY *k = g ? private_key(g, c->key) : NULL;
    CLEANUP(point_done) EC_POINT *p = k ? point_of(g, c->data) : NULL;
    size_t len = p ? ec_field_bytes((enum abi_key)c->a) : 0;
    unsigned char shared[EC_FIELD_MAX];
    if (!p || ECDH_compute_key(shared, len, p, k, NULL) != (int)len)
        return crypto_refuse(ret_error, "the two keys have no shared secret");
    bytes_append(out, shared, len);
    OPENSSL_cleanse(shared, sizeof(shared));
    return OK;
}
