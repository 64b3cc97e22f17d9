/* SPDX-License-Identifier: Apache-2.0
 *
 * crypto/ against published vectors, and what no vector covers: pieces, counters that begin again,
 * stops, and wrong input. What the formats look like to others, tests/server/web-crypto.test.ts
 * checks against Node. */
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hex.h"

#include "crypto/cipher.h"
#include "crypto/crypto.h"

/* The call with its fields in hex; its result. */
static struct bytes run(struct crypto_call call, const char *key, const char *salt,
                        const char *info, const char *data)
{
    struct bytes out = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes k = unhex(key);
    CLEANUP(bytes_done) struct bytes s = unhex(salt);
    CLEANUP(bytes_done) struct bytes i = unhex(info);
    CLEANUP(bytes_done) struct bytes d = unhex(data);
    struct error e;
    call.key = bytes_slice(&k);
    call.salt = bytes_slice(&s);
    call.info = bytes_slice(&i);
    call.data = bytes_slice(&d);
    if (crypto_run(&call, &out, &e) != OK)
        fail_msg("%s", e.message);
    return out;
}

static void assert_refused(struct crypto_call call)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e;
    assert_int_equal(crypto_run(&call, &out, &e), ERR_INVALID);
    assert_true(e.message[0] != '\0');
    assert_int_equal(out.len, 0);
}

/* ---- derivation ---- */

static void test_hkdf(void **state)
{
    CLEANUP(bytes_done)
    struct bytes out = run((struct crypto_call){.function = ABI_CRYPTO_HKDF, .hash = 256, .a = 42},
                           "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
                           "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9", "");
    assert_hex(bytes_slice(&out),
               "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208"
               "d5b887185865"); /* RFC 5869, 1 */
    CLEANUP(bytes_done)
    struct bytes none = run((struct crypto_call){.function = ABI_CRYPTO_HKDF, .hash = 256, .a = 42},
                            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", "");
    assert_hex(bytes_slice(&none),
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395"
               "faa4b61a96c8"); /* 3 */
    assert_refused(
        (struct crypto_call){.function = ABI_CRYPTO_HKDF, .hash = 256, .a = 255 * 32 + 1});
}

static void test_pbkdf2(void **state)
{
    static const struct {
        uint32_t hash, rounds, bytes;
        const char *password, *salt, *want;
    } vectors[] = {
        {1, 1, 20, "70617373776f7264", "73616c74", "0c60c80f961f0e71f3a9b524af6012062fe037a6"},
        {1, 4096, 20, "70617373776f7264", "73616c74", "4b007901b765489abead49d926f721d065a429c1"},
        {1, 4096, 25, "70617373776f726450415353574f524470617373776f7264",
         "73616c7453414c5473616c7453414c5473616c7453414c5473616c7453414c5473616c74",
         "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"}, /* RFC 6070 */
        {256, 1, 64, "706173737764", "73616c74",
         "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
         "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"}, /* RFC 7914 */
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(bytes_done)
        struct bytes out = run((struct crypto_call){.function = ABI_CRYPTO_PBKDF2,
                                                    .hash = vectors[i].hash,
                                                    .a = vectors[i].rounds,
                                                    .b = vectors[i].bytes},
                               vectors[i].password, vectors[i].salt, "", "");
        assert_hex(bytes_slice(&out), vectors[i].want);
    }
    assert_refused((struct crypto_call){.function = ABI_CRYPTO_PBKDF2, .hash = 256, .b = 16});
    assert_refused((struct crypto_call){.function = ABI_CRYPTO_PBKDF2, .hash = 5, .a = 1, .b = 16});
}

/* The loop is ours: so each hash, lengths around its blocks, keys longer than one. */
static void test_pbkdf2_is_openssls(void **state)
{
    static const struct {
        uint32_t code;
        const EVP_MD *(*md)(void);
    } hashes[] = {{1, EVP_sha1}, {256, EVP_sha256}, {384, EVP_sha384}, {512, EVP_sha512}};
    static const size_t lengths[] = {0, 1, 63, 64, 65, 127, 128, 129, 300};
    char text[300];
    unsigned char want[150];
    memset(text, 'x', sizeof(text));
    for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
        for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
            CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
            struct crypto_call call = {.function = ABI_CRYPTO_PBKDF2,
                                       .hash = hashes[h].code,
                                       .a = (uint32_t)k + 1,
                                       .b = sizeof(want),
                                       .key = slice_of(text, lengths[k]),
                                       .salt = slice_of(text, lengths[ARRAY_LEN(lengths) - 1 - k])};
            assert_int_equal(crypto_run(&call, &out, NULL), OK);
            assert_int_equal(PKCS5_PBKDF2_HMAC(text, (int)lengths[k],
                                               (const unsigned char *)call.salt.ptr,
                                               (int)call.salt.len, (int)call.a, hashes[h].md(),
                                               sizeof(want), want),
                             1);
            assert_int_equal(out.len, sizeof(want));
            assert_memory_equal(out.ptr, want, sizeof(want));
        }
    }
}

static bool stops_third(void *arg)
{
    return ++*(int *)arg >= 3;
}

static void test_stops(void **state)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    int looks = 0;
    struct crypto_call call = {.function = ABI_CRYPTO_PBKDF2,
                               .hash = 256,
                               .a = UINT32_MAX,
                               .b = 32,
                               .stops = stops_third,
                               .stops_arg = &looks};
    assert_int_equal(crypto_run(&call, &out, NULL), ERR_CANCELLED);
    assert_int_equal(out.len, 0);
    looks = 0;
    call.function = ABI_CRYPTO_RSA_GENERATE;
    call.a = 16384;
    call.data = slice_of("\1\0\1", 3);
    assert_int_equal(crypto_run(&call, &out, NULL), ERR_CANCELLED);
    assert_int_equal(out.len, 0);
}

static void test_hash_blocks(void **state)
{
    static const struct {
        uint32_t code, block, digest;
        const EVP_MD *(*md)(void);
    } hashes[] = {{1, 64, 20, EVP_sha1},
                  {256, 64, 32, EVP_sha256},
                  {384, 128, 48, EVP_sha384},
                  {512, 128, 64, EVP_sha512}};
    for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
        char text[1024] = {0};
        unsigned char want[EVP_MAX_MD_SIZE];
        uint32_t block = hashes[h].block;
        size_t len = 5 * block - 20; /* leaves room for the padding in the fifth */
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(i * 7);
        assert_int_equal(EVP_Digest(text, len, want, NULL, hashes[h].md(), NULL), 1);
        text[len] = (char)0x80;
        text[5 * block - 2] = (char)(len * 8 >> 8);
        text[5 * block - 1] = (char)(len * 8);
        struct bytes state_bytes = BYTES_INIT;
        for (size_t at = 0; at < 5 * block;) { /* in pieces of 1, 2 and 2 blocks */
            size_t n = at ? 2 * block : block;
            struct bytes next = BYTES_INIT;
            struct crypto_call call = {.function = ABI_CRYPTO_HASH_BLOCKS,
                                       .hash = hashes[h].code,
                                       .salt = bytes_slice(&state_bytes),
                                       .data = slice_of(text + at, n)};
            assert_int_equal(crypto_run(&call, &next, NULL), OK);
            bytes_done(&state_bytes);
            state_bytes = next;
            at += n;
        }
        assert_memory_equal(state_bytes.ptr, want, hashes[h].digest);
        bytes_done(&state_bytes);
        assert_refused((struct crypto_call){.function = ABI_CRYPTO_HASH_BLOCKS,
                                            .hash = hashes[h].code,
                                            .data = slice_of(text, block + 1)});
        assert_refused((struct crypto_call){
            .function = ABI_CRYPTO_HASH_BLOCKS, .hash = hashes[h].code, .salt = slice_of(text, 3)});
    }
}

/* ---- keys ---- */

static struct bytes import_key(uint32_t kind, uint32_t format, struct slice data)
{
    struct bytes out = BYTES_INIT;
    struct error e;
    struct crypto_call call = {.function = ABI_CRYPTO_IMPORT, .a = kind, .b = format, .data = data};
    if (crypto_run(&call, &out, &e) != OK)
        fail_msg("%s", e.message);
    return out;
}

static struct bytes parts_of(size_t count, const char *const *hex)
{
    struct bytes out = BYTES_INIT;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(bytes_done) struct bytes part = unhex(hex[i]);
        bytes_append_lstr(&out, bytes_slice(&part));
    }
    return out;
}

static const char *const ed25519[] = {
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"};
static const char *const p256[] = {
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
    "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"};

static void test_ed25519(void **state)
{
    CLEANUP(bytes_done) struct bytes parts = parts_of(2, ed25519);
    CLEANUP(bytes_done)
    struct bytes key = import_key(ABI_KEY_ED25519, ABI_FORMAT_PRIVATE_PARTS, bytes_slice(&parts));
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes verdict = BYTES_INIT;
    struct crypto_call call = {.function = ABI_CRYPTO_ED25519_SIGN, .key = bytes_slice(&key)};
    assert_int_equal(crypto_run(&call, &out, NULL), OK);
    assert_hex(bytes_slice(&out),
               "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215"
               "90a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"); /* RFC 8032, 1 */
    call = (struct crypto_call){.function = ABI_CRYPTO_ED25519_VERIFY,
                                .key = slice_skip(bytes_slice(&key), 32),
                                .salt = bytes_slice(&out)};
    assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
    call.data = slice_of("x", 1);
    assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
    call.salt.len--;
    assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
    assert_hex(bytes_slice(&verdict), "010000");
}

static void test_x25519(void **state)
{
    CLEANUP(bytes_done)
    struct bytes seed = unhex("302e020100300506032b656e04220420"
                              "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    CLEANUP(bytes_done)
    struct bytes key = import_key(ABI_KEY_X25519, ABI_FORMAT_PKCS8, bytes_slice(&seed));
    CLEANUP(bytes_done)
    struct bytes other = unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct crypto_call call = {.function = ABI_CRYPTO_DERIVE,
                               .a = ABI_KEY_X25519,
                               .key = bytes_slice(&key),
                               .data = bytes_slice(&other)};
    assert_int_equal(crypto_run(&call, &out, NULL), OK);
    assert_hex(bytes_slice(&out),
               "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"); /* RFC 7748 */
    static const char zeros[32];
    call.data = slice_of(zeros, sizeof(zeros)); /* a point of small order */
    assert_refused(call);
}

static void test_ecdsa(void **state)
{
    CLEANUP(bytes_done) struct bytes parts = parts_of(3, p256);
    CLEANUP(bytes_done)
    struct bytes key = import_key(ABI_KEY_P256, ABI_FORMAT_PRIVATE_PARTS, bytes_slice(&parts));
    CLEANUP(bytes_done)
    struct bytes known = unhex("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
                               "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8");
    CLEANUP(bytes_done) struct bytes own = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes verdict = BYTES_INIT;
    unsigned char digest[32];
    assert_int_equal(EVP_Digest("sample", 6, digest, NULL, EVP_sha256(), NULL), 1);
    struct crypto_call call = {.function = ABI_CRYPTO_EC_SIGN,
                               .a = ABI_KEY_P256,
                               .key = bytes_slice(&key),
                               .data = slice_of((const char *)digest, sizeof(digest))};
    assert_int_equal(crypto_run(&call, &own, NULL), OK);
    call.function = ABI_CRYPTO_EC_VERIFY;
    call.key = slice_skip(call.key, 32);
    const struct slice signatures[] = {bytes_slice(&known), bytes_slice(&own),
                                       slice_skip(bytes_slice(&own), 1), SLICE_EMPTY};
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
        call.salt = signatures[i];
        assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
    }
    known.ptr[40] ^= 1;
    call.salt = bytes_slice(&known);
    assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
    assert_hex(bytes_slice(&verdict), "0101000000"); /* the first: RFC 6979, A.2.5 */
}

static void test_wrong_keys(void **state)
{
    CLEANUP(bytes_done) struct bytes parts = parts_of(3, p256);
    struct crypto_call call = {
        .function = ABI_CRYPTO_IMPORT, .a = ABI_KEY_P256, .b = ABI_FORMAT_PRIVATE_PARTS};
    for (size_t i = 4; i < parts.len; i += 36) { /* one bit of x, of y, of d */
        parts.ptr[i] ^= 1;
        call.data = bytes_slice(&parts);
        assert_refused(call);
        parts.ptr[i] ^= 1;
    }
    for (size_t len = 0; len < parts.len; len++) {
        call.data = slice_of(parts.ptr, len);
        assert_refused(call);
    }
    static const struct slice points[] = {{"", 0}, {"\0", 1}, {"\4", 1}};
    call.b = ABI_FORMAT_RAW;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) { /* the second: infinity */
        call.data = points[i];
        assert_refused(call);
    }
    assert_refused((struct crypto_call){.function = ABI_CRYPTO_IMPORT, .a = 99});
    assert_refused((struct crypto_call){.function = ABI_CRYPTO_IMPORT, .a = 1, .b = 99});
    assert_refused((struct crypto_call){.function = (enum abi_crypto)0});
    assert_refused((struct crypto_call){.function = (enum abi_crypto)99});
}

/* Every cut and every flipped byte of a key's DER is refused or is a key, and never read past. */
static void test_torn_keys(void **state)
{
    CLEANUP(bytes_done) struct bytes parts = parts_of(3, p256);
    CLEANUP(bytes_done)
    struct bytes key = import_key(ABI_KEY_P256, ABI_FORMAT_PRIVATE_PARTS, bytes_slice(&parts));
    CLEANUP(bytes_done) struct bytes der = BYTES_INIT;
    struct crypto_call call = {.function = ABI_CRYPTO_EXPORT,
                               .a = ABI_KEY_P256,
                               .b = ABI_FORMAT_PKCS8,
                               .key = bytes_slice(&key)};
    assert_int_equal(crypto_run(&call, &der, NULL), OK);
    call = (struct crypto_call){
        .function = ABI_CRYPTO_IMPORT, .a = ABI_KEY_P256, .b = ABI_FORMAT_PKCS8};
    for (size_t len = 0; len < der.len; len++) {
        char *cut = malloc(len ? len : 1);
        assert_non_null(cut);
        memcpy(cut, der.ptr, len);
        call.data = slice_of(cut, len);
        assert_refused(call);
        free(cut);
    }
    for (size_t at = 0; at < der.len; at++) {
        der.ptr[at] ^= (char)0x81; /* of the scalar, the point and all around them */
        call.data = bytes_slice(&der);
        assert_refused(call);
        der.ptr[at] ^= (char)0x81;
    }
}

static struct slice take_lstr(struct slice *in)
{
    uint32_t len;
    memcpy(&len, in->ptr, sizeof(len));
    struct slice s = slice_of(in->ptr + sizeof(len), len);
    *in = slice_skip(*in, sizeof(len) + len);
    return s;
}

static void test_rsa(void **state)
{
    CLEANUP(bytes_done) struct bytes pair = BYTES_INIT;
    unsigned char digest[32] = {1, 2, 3};
    struct crypto_call call = {
        .function = ABI_CRYPTO_RSA_GENERATE, .a = 1024, .data = slice_of("\1\0\1", 3)};
    assert_int_equal(crypto_run(&call, &pair, NULL), OK);
    struct slice rest = bytes_slice(&pair), private = take_lstr(&rest), public = take_lstr(&rest);
    static const struct {
        enum abi_crypto sign, verify;
        uint32_t salt_len;
    } schemes[] = {{ABI_CRYPTO_RSA_SIGN, ABI_CRYPTO_RSA_VERIFY, 0},
                   {ABI_CRYPTO_PSS_SIGN, ABI_CRYPTO_PSS_VERIFY, 0},
                   {ABI_CRYPTO_PSS_SIGN, ABI_CRYPTO_PSS_VERIFY, 32}};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        CLEANUP(bytes_done) struct bytes signature = BYTES_INIT;
        CLEANUP(bytes_done) struct bytes verdict = BYTES_INIT;
        call = (struct crypto_call){.function = schemes[i].sign,
                                    .hash = 256,
                                    .a = schemes[i].salt_len,
                                    .key = private,
                                    .data = slice_of((const char *)digest, sizeof(digest))};
        assert_int_equal(crypto_run(&call, &signature, NULL), OK);
        assert_int_equal(signature.len, 128);
        call.function = schemes[i].verify;
        call.key = public;
        call.salt = bytes_slice(&signature);
        assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
        call.salt.len--;
        assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
        call.salt.len++;
        signature.ptr[9] ^= 1;
        assert_int_equal(crypto_run(&call, &verdict, NULL), OK);
        assert_hex(bytes_slice(&verdict), "010000");
    }
    call =
        (struct crypto_call){.function = ABI_CRYPTO_PSS_SIGN, .hash = 512, .a = 64, .key = private};
    call.data = slice_of("0123456789012345678901234567890123456789012345678901234567890123", 64);
    assert_refused(call); /* 1024 bits have no room for two times 64 bytes and more */
    call.key = public;
    assert_refused(call);
}

/* ---- ciphers ---- */

static struct bytes encipher(const struct cipher_start *how, struct slice data, size_t piece_len)
{
    struct bytes out = BYTES_INIT;
    struct cipher *c;
    struct error e;
    if (cipher_new(how, &c, &e) != OK)
        fail_msg("%s", e.message);
    bytes_reserve(&out, cipher_out_bytes(how) + 16);
    for (bool is_last = false; !is_last;) {
        size_t len = 0;
        is_last = data.len <= piece_len + 16;
        struct slice piece = is_last ? data : slice_of(data.ptr, piece_len);
        if (cipher_piece(c, piece, is_last, out.ptr + out.len, &len, &e) != OK)
            fail_msg("%s", e.message);
        out.len += len;
        data = slice_skip(data, piece.len);
    }
    cipher_free(c);
    return out;
}

static void test_cipher_vectors(void **state)
{
    static const struct {
        enum abi_cipher mode;
        uint32_t bits;
        const char *key, *iv, *aad, *plain, *want;
    } vectors[] = {
        /* SP 800-38A, F.2.1 with the padding's block, F.5.1; the GCM specification, 4; RFC 3394, 4.1 */
        {ABI_CIPHER_AES_CTR, 128, "2b7e151628aed2a6abf7158809cf4f3c",
         "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "", "6bc1bee22e409f96e93d7e117393172a",
         "874d6191b620e3261bef6864990db6ce"},
        {ABI_CIPHER_AES_GCM, 128, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
         "feedfacedeadbeeffeedfacedeadbeefabaddad2",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e244"
         "9a6b5"
         "25b16aedf5aa0de657ba637b39",
         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aa"
         "c84aa"
         "051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47"},
        {ABI_CIPHER_AES_KW, 0, "000102030405060708090A0B0C0D0E0F", "", "",
         "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP(bytes_done) struct bytes key = unhex(vectors[i].key);
        CLEANUP(bytes_done) struct bytes iv = unhex(vectors[i].iv);
        CLEANUP(bytes_done) struct bytes aad = unhex(vectors[i].aad);
        CLEANUP(bytes_done) struct bytes plain = unhex(vectors[i].plain);
        struct cipher_start how = {.mode = vectors[i].mode,
                                   .bits = vectors[i].bits,
                                   .key = bytes_slice(&key),
                                   .iv = bytes_slice(&iv),
                                   .aad = bytes_slice(&aad),
                                   .data_bytes = plain.len};
        CLEANUP(bytes_done) struct bytes out = encipher(&how, bytes_slice(&plain), 1024);
        assert_hex(bytes_slice(&out), vectors[i].want);
        how.is_decryption = true;
        how.data_bytes = out.len;
        CLEANUP(bytes_done) struct bytes back = encipher(&how, bytes_slice(&out), 1024);
        assert_hex(bytes_slice(&back), vectors[i].plain);
    }
}

/* Of all lengths around blocks, in one piece and in pieces of two blocks, there and back; a flipped
 * bit shows where it must. */
static void test_cipher_pieces(void **state)
{
    static const struct cipher_start ways[] = {
        {.mode = ABI_CIPHER_AES_CBC, .iv = {"0123456789abcdef", 16}},
        {.mode = ABI_CIPHER_AES_CTR, .bits = 128, .iv = {"0123456789abcdef", 16}},
        {.mode = ABI_CIPHER_AES_GCM, .bits = 128, .iv = {"0123456789abc", 13}, .aad = {"aad", 3}},
        {.mode = ABI_CIPHER_AES_GCM, .bits = 32, .iv = {"0123456789ab", 12}},
    };
    char text[200];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 11);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        for (size_t len = 0; len < sizeof(text); len++) {
            struct cipher_start how = ways[w];
            how.key = slice_of("0123456789abcdef01234567", 24);
            how.data_bytes = len;
            CLEANUP(bytes_done) struct bytes whole = encipher(&how, slice_of(text, len), 4096);
            CLEANUP(bytes_done) struct bytes pieces = encipher(&how, slice_of(text, len), 32);
            assert_true(slice_eq(bytes_slice(&whole), bytes_slice(&pieces)));
            how.is_decryption = true;
            how.data_bytes = whole.len;
            CLEANUP(bytes_done) struct bytes back = encipher(&how, bytes_slice(&whole), 32);
            assert_true(slice_eq(bytes_slice(&back), slice_of(text, len)));
            if (how.mode != ABI_CIPHER_AES_GCM)
                continue;
            struct cipher *c;
            size_t ignored;
            assert_int_equal(cipher_new(&how, &c, NULL), OK);
            whole.ptr[len / 2] ^= 1;
            assert_int_equal(cipher_piece(c, bytes_slice(&whole), true, back.ptr, &ignored, NULL),
                             ERR_INVALID);
            cipher_free(c);
        }
    }
}

/* The counter begins again within its bits: each block is what the block cipher makes of it. */
static void test_counter_wraps(void **state)
{
    enum { BLOCKS = 16 };
    static const char zeros[BLOCKS * 16];
    struct slice key = slice_of("0123456789abcdef", 16);
    unsigned char iv[16];
    for (uint32_t bits = 4; bits <= 12; bits += 4) {
        for (size_t piece = 16; piece <= sizeof(zeros); piece *= 4) {
            memset(iv, 0xFF, sizeof(iv));
            iv[15] = 0xFA; /* begins again after 6 blocks */
            struct cipher_start how = {.mode = ABI_CIPHER_AES_CTR,
                                       .bits = bits,
                                       .key = key,
                                       .iv = {(const char *)iv, 16},
                                       .data_bytes = sizeof(zeros)};
            CLEANUP(bytes_done)
            struct bytes out = encipher(&how, slice_of(zeros, sizeof(zeros)), piece);
            assert_int_equal(out.len, sizeof(zeros));
            for (unsigned b = 0; b < BLOCKS; b++) {
                unsigned mask = (1u << bits) - 1, low = (0xFFFA + b) & mask;
                unsigned word = (0xFFFFu & ~mask) | low;
                unsigned char counter[16];
                memset(counter, 0xFF, sizeof(counter));
                counter[14] = (unsigned char)(word >> 8);
                counter[15] = (unsigned char)word;
                struct cipher_start one = how;
                one.bits = 128;
                one.iv = slice_of((const char *)counter, 16);
                one.data_bytes = 16;
                CLEANUP(bytes_done) struct bytes block = encipher(&one, slice_of(zeros, 16), 16);
                assert_memory_equal(out.ptr + (size_t)16 * b, block.ptr, 16);
            }
        }
    }
    struct cipher *c;
    struct cipher_start how = {.mode = ABI_CIPHER_AES_CTR,
                               .bits = 3,
                               .key = key,
                               .iv = {(const char *)iv, 16},
                               .data_bytes = (size_t)9 * 16};
    assert_int_equal(cipher_new(&how, &c, NULL), ERR_INVALID); /* 9 blocks, 8 counts */
}

static void test_wrong_ciphers(void **state)
{
    static const struct cipher_start wrong[] = {
        {.mode = (enum abi_cipher)0, .key = {"0123456789abcdef", 16}},
        {.mode = (enum abi_cipher)9, .key = {"0123456789abcdef", 16}},
        {.mode = ABI_CIPHER_AES_CBC,
         .key = {"0123456789abcde", 15},
         .iv = {"0123456789abcdef", 16}},
        {.mode = ABI_CIPHER_AES_CBC, .key = {"0123456789abcdef", 16}, .iv = {"0", 1}},
        {.mode = ABI_CIPHER_AES_CTR,
         .key = {"0123456789abcdef", 16},
         .iv = {"0123456789abcdef", 16}},
        {.mode = ABI_CIPHER_AES_GCM, .key = {"0123456789abcdef", 16}, .bits = 128},
        {.mode = ABI_CIPHER_AES_GCM,
         .key = {"0123456789abcdef", 16},
         .bits = 120 + 1,
         .iv = {"0", 1}},
        {.mode = ABI_CIPHER_AES_GCM,
         .key = {"0123456789abcdef", 16},
         .bits = 128,
         .iv = {"0", 1},
         .is_decryption = true,
         .data_bytes = 15},
        {.mode = ABI_CIPHER_AES_KW, .key = {"0123456789abcdef", 16}, .data_bytes = 17},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct cipher *c;
        struct error e;
        assert_int_equal(cipher_new(&wrong[i], &c, &e), ERR_INVALID);
        assert_true(e.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hkdf),
        cmocka_unit_test(test_pbkdf2),
        cmocka_unit_test(test_pbkdf2_is_openssls),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_hash_blocks),
        cmocka_unit_test(test_ed25519),
        cmocka_unit_test(test_x25519),
        cmocka_unit_test(test_ecdsa),
        cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_torn_keys),
        cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_cipher_vectors),
        cmocka_unit_test(test_cipher_pieces),
        cmocka_unit_test(test_counter_wraps),
        cmocka_unit_test(test_wrong_ciphers),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
