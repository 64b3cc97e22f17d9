/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys in and out: SubjectPublicKeyInfo (RFC 5280, 8410), PrivateKeyInfo (RFC 5958) with
 * RSAPrivateKey and ECPrivateKey (RFC 8017, 5915), raw points, and the parts of a JWK. */
#include "crypto/internal.h"

enum { KEY_PARTS_MAX = RSA_PARTS, KEY_BYTES_MAX = 64 * 1024 };

static const struct key_kind {
    enum abi_key kind;
    struct slice algorithm, curve; /* contents of their OIDs */
} kinds[] = {
#define OID(text) {text, sizeof(text) - 1}
#define EC_OID OID("\x2A\x86\x48\xCE\x3D\x02\x01")
    {ABI_KEY_RSA, OID("\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01"), {NULL, 0}},
    {ABI_KEY_P256, EC_OID, OID("\x2A\x86\x48\xCE\x3D\x03\x01\x07")},
    {ABI_KEY_P384, EC_OID, OID("\x2B\x81\x04\x00\x22")},
    {ABI_KEY_P521, EC_OID, OID("\x2B\x81\x04\x00\x23")},
    {ABI_KEY_ED25519, OID("\x2B\x65\x70"), {NULL, 0}},
    {ABI_KEY_X25519, OID("\x2B\x65\x6E"), {NULL, 0}},
#undef EC_OID
#undef OID
};

static const struct key_kind *kind_of(uint32_t kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].kind == kind)
            return &kinds[i];
    return NULL;
}

static bool is_ec(const struct key_kind *k)
{
    return k->curve.len > 0;
}

/* ---- in ---- */

/* The algorithm is that of k: with its curve, for RSA with a NULL, for the others with nothing. */
static bool take_algorithm(struct der *d, const struct key_kind *k)
{
    struct der a = der_of(der_take(d, DER_SEQUENCE));
    bool is_right = slice_eq(der_take(&a, DER_OID), k->algorithm);
    if (is_ec(k))
        is_right = is_right && slice_eq(der_take(&a, DER_OID), k->curve);
    else if (k->kind == ABI_KEY_RSA && der_is_next(&a, DER_NULL))
        is_right = der_take(&a, DER_NULL).len == 0 && is_right;
    return is_right && der_is_done(&a) && !d->is_bad;
}

static enum err take_public(const struct key_kind *k, struct slice key, struct bytes *out,
                            struct error *e)
{
    if (k->kind == ABI_KEY_RSA)
        return rsa_public(key, out, e);
    return is_ec(k) ? ec_public(k->kind, key, out, e) : okp_public(k->kind, key, out, e);
}

static enum err import_spki(const struct key_kind *k, struct slice data, struct bytes *out,
                            struct error *e)
{
    struct der outer = der_of(data), d = der_of(der_take(&outer, DER_SEQUENCE));
    bool is_right = take_algorithm(&d, k);
    struct slice key = der_take_bits(&d);
    if (!is_right || !der_is_done(&d) || !der_is_done(&outer))
        return crypto_refuse(e, "that is not a SubjectPublicKeyInfo of this algorithm");
    return take_public(k, key, out, e);
}

static enum err import_ec_private(const struct key_kind *k, struct slice key, struct bytes *out,
                                  struct error *e)
{
    struct der outer = der_of(key), d = der_of(der_take(&outer, DER_SEQUENCE));
    bool is_right = slice_eq(der_take(&d, DER_INTEGER), slice_of("\x01", 1));
    struct slice scalar = der_take(&d, DER_OCTET_STRING), point = SLICE_EMPTY;
    if (der_is_next(&d, DER_CONTEXT_0)) {
        struct der curve = der_of(der_take(&d, DER_CONTEXT_0));
        is_right = is_right && slice_eq(der_take(&curve, DER_OID), k->curve) && der_is_done(&curve);
    }
    if (der_is_next(&d, DER_CONTEXT_1)) {
        struct der bits = der_of(der_take(&d, DER_CONTEXT_1));
        point = der_take_bits(&bits);
        is_right = is_right && der_is_done(&bits) && point.len > 0;
    }
    if (!is_right || !der_is_done(&d) || !der_is_done(&outer))
        return crypto_refuse(e, "that is not an ECPrivateKey of this curve");
    return ec_private(k->kind, scalar, point, out, e);
}

static enum err import_okp_private(const struct key_kind *k, struct slice key, struct slice public,
                                   struct bytes *out, struct error *e)
{
    struct der d = der_of(key);
    struct slice seed = der_take(&d, DER_OCTET_STRING);
    if (!der_is_done(&d))
        return crypto_refuse(e, "that is not a private key of this algorithm");
    return okp_private(k->kind, seed, public, out, e);
}

/* OneAsymmetricKey, version 0 or 1; its attributes are skipped. */
static enum err import_pkcs8(const struct key_kind *k, struct slice data, struct bytes *out,
                             struct error *e)
{
    struct der outer = der_of(data), d = der_of(der_take(&outer, DER_SEQUENCE));
    struct slice version = der_take(&d, DER_INTEGER), public = SLICE_EMPTY;
    bool is_right = version.len == 1 && (unsigned char)version.ptr[0] <= 1;
    is_right = take_algorithm(&d, k) && is_right;
    struct slice key = der_take(&d, DER_OCTET_STRING);
    if (der_is_next(&d, DER_CONTEXT_0))
        (void)der_take(&d, DER_CONTEXT_0);
    if (is_right && version.ptr[0] == 1 && der_is_next(&d, DER_CONTEXT_1_PRIMITIVE)) {
        public = der_take(&d, DER_CONTEXT_1_PRIMITIVE);
        is_right = public.len > 1 && public.ptr[0] == 0;
        public = slice_skip(public, public.len ? 1 : 0);
    }
    if (!is_right || !der_is_done(&d) || !der_is_done(&outer))
        return crypto_refuse(e, "that is not a PrivateKeyInfo of this algorithm");
    if (k->kind == ABI_KEY_RSA)
        return rsa_private(key, out, e);
    return is_ec(k) ? import_ec_private(k, key, out, e)
                    : import_okp_private(k, key, public, out, e);
}

/* x and y as a point: uncompressed, each in full length. */
static enum err point_of_parts(const struct key_kind *k, const struct slice *xy, struct bytes *out,
                               struct error *e)
{
    size_t len = ec_field_bytes(k->kind);
    if (xy[0].len != len || xy[1].len != len)
        return crypto_refuse(e, "x and y have as many bytes as the curve's field");
    bytes_append_char(out, 4);
    bytes_append_slice(out, xy[0]);
    bytes_append_slice(out, xy[1]);
    return OK;
}

static enum err import_ec_parts(const struct key_kind *k, const struct slice *parts,
                                bool is_private, struct bytes *out, struct error *e)
{
    CLEANUP(bytes_done) struct bytes point = BYTES_INIT;
    enum err err = point_of_parts(k, parts, &point, e);
    if (err != OK)
        return err;
    return is_private ? ec_private(k->kind, parts[2], bytes_slice(&point), out, e)
                      : ec_public(k->kind, bytes_slice(&point), out, e);
}

static size_t parts_count(const struct key_kind *k, bool is_private)
{
    if (k->kind == ABI_KEY_RSA)
        return is_private ? RSA_PARTS : RSA_PUBLIC_PARTS;
    return (is_ec(k) ? 2 : 1) + (is_private ? 1 : 0);
}

static bool take_parts(struct slice in, struct slice *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t len;
        if (in.len < sizeof(len))
            return false;
        memcpy(&len, in.ptr, sizeof(len));
        len = le32toh(len);
        in = slice_skip(in, sizeof(len));
        if (len > in.len)
            return false;
        parts[i] = slice_of(in.ptr, len);
        in = slice_skip(in, len);
    }
    return in.len == 0;
}

static enum err import_parts(const struct key_kind *k, struct slice data, bool is_private,
                             struct bytes *out, struct error *e)
{
    struct slice parts[KEY_PARTS_MAX];
    if (!take_parts(data, parts, parts_count(k, is_private)))
        return crypto_refuse(e, "these are not the parts of such a key");
    if (k->kind == ABI_KEY_RSA)
        return rsa_of_parts(parts, is_private, out, e);
    if (is_ec(k))
        return import_ec_parts(k, parts, is_private, out, e);
    if (!is_private)
        return okp_public(k->kind, parts[0], out, e);
    return parts[0].len ? okp_private(k->kind, parts[1], parts[0], out, e)
                        : crypto_refuse(e, "the public part is missing");
}

enum err key_import(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const struct key_kind *k = kind_of(c->a);
    if (!k || c->data.len > KEY_BYTES_MAX)
        return crypto_refuse(ret_error, "there is no such kind of key, or none as long");
    switch ((enum abi_key_format)c->b) {
    case ABI_FORMAT_SPKI:
        return import_spki(k, c->data, out, ret_error);
    case ABI_FORMAT_PKCS8:
        return import_pkcs8(k, c->data, out, ret_error);
    case ABI_FORMAT_RAW:
        return take_public(k, c->data, out, ret_error);
    case ABI_FORMAT_PUBLIC_PARTS:
    case ABI_FORMAT_PRIVATE_PARTS:
        return import_parts(k, c->data, c->b == ABI_FORMAT_PRIVATE_PARTS, out, ret_error);
    }
    return crypto_refuse(ret_error, "there is no such format of keys");
}

/* ---- out ---- */

static void put_algorithm(struct bytes *out, const struct key_kind *k)
{
    CLEANUP(bytes_done) struct bytes a = BYTES_INIT;
    der_put(&a, DER_OID, k->algorithm);
    if (is_ec(k))
        der_put(&a, DER_OID, k->curve);
    else if (k->kind == ABI_KEY_RSA)
        der_put(&a, DER_NULL, SLICE_EMPTY);
    der_put(out, DER_SEQUENCE, bytes_slice(&a));
}

static void export_spki(const struct key_kind *k, struct slice key, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes d = BYTES_INIT;
    put_algorithm(&d, k);
    der_put_bits(&d, key);
    der_put(out, DER_SEQUENCE, bytes_slice(&d));
}

static void put_ec_private(struct bytes *out, struct slice scalar, struct slice point)
{
    CLEANUP(bytes_done) struct bytes d = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes bits = BYTES_INIT;
    der_put(&d, DER_INTEGER, slice_of("\x01", 1));
    der_put(&d, DER_OCTET_STRING, scalar);
    der_put_bits(&bits, point);
    der_put(&d, DER_CONTEXT_1, bytes_slice(&bits));
    der_put(out, DER_SEQUENCE, bytes_slice(&d));
}

static void export_pkcs8(const struct key_kind *k, struct slice key, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes d = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes inner = BYTES_INIT;
    der_put(&d, DER_INTEGER, slice_of("\0", 1));
    put_algorithm(&d, k);
    size_t len = ec_field_bytes(k->kind);
    if (is_ec(k))
        put_ec_private(&inner, slice_of(key.ptr, len), slice_skip(key, len));
    else if (k->kind != ABI_KEY_RSA)
        der_put(&inner, DER_OCTET_STRING, slice_of(key.ptr, OKP_BYTES));
    der_put(&d, DER_OCTET_STRING, k->kind == ABI_KEY_RSA ? key : bytes_slice(&inner));
    der_put(out, DER_SEQUENCE, bytes_slice(&d));
}

static void export_parts(const struct key_kind *k, struct slice key, bool is_private,
                         struct bytes *out)
{
    size_t len = is_ec(k) ? ec_field_bytes(k->kind) : OKP_BYTES;
    struct slice secret = is_private ? slice_of(key.ptr, len) : SLICE_EMPTY;
    struct slice public = slice_skip(key, is_private ? len : 0);
    if (is_ec(k)) {
        bytes_append_lstr(out, slice_of(public.ptr + 1, len));
        bytes_append_lstr(out, slice_skip(public, 1 + len));
    } else {
        bytes_append_lstr(out, public);
    }
    if (is_private)
        bytes_append_lstr(out, secret);
}

/* Does the material have the length of such a key? What it says, its use checks. */
static bool has_length(const struct key_kind *k, struct slice key, bool is_private)
{
    size_t len = is_ec(k) ? ec_field_bytes(k->kind) : OKP_BYTES;
    size_t public_len = is_ec(k) ? 1 + 2 * len : OKP_BYTES;
    return k->kind == ABI_KEY_RSA || key.len == public_len + (is_private ? len : 0);
}

enum err key_export(const struct crypto_call *c, struct bytes *out, struct error *ret_error)
{
    const struct key_kind *k = kind_of(c->a);
    bool is_private = c->b == ABI_FORMAT_PKCS8 || c->b == ABI_FORMAT_PRIVATE_PARTS;
    if (!k || !has_length(k, c->key, is_private))
        return crypto_refuse(ret_error, "there is no such key");
    switch ((enum abi_key_format)c->b) {
    case ABI_FORMAT_SPKI:
        export_spki(k, c->key, out);
        return OK;
    case ABI_FORMAT_PKCS8:
        export_pkcs8(k, c->key, out);
        return OK;
    case ABI_FORMAT_RAW:
        bytes_append_slice(out, c->key);
        return OK;
    case ABI_FORMAT_PUBLIC_PARTS:
    case ABI_FORMAT_PRIVATE_PARTS:
        if (k->kind == ABI_KEY_RSA)
            return rsa_parts(c->key, is_private, out, ret_error);
        export_parts(k, c->key, is_private, out);
        return OK;
    }
    return crypto_refuse(ret_error, "there is no such format of keys");
}
