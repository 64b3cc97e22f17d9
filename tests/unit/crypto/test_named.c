/* SPDX-License-Identifier: Apache-2.0
 *
 * crypto/named.c against published vectors: digests, HMAC and ciphers by OpenSSL's names, scrypt; and
 * what it refuses. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hex.h"

#include "crypto/crypto.h"

enum { DECRYPTS = 1, NO_PADDING = 2, AEAD = 4 }; /* `a` of ABI_CRYPTO_NAMED_CIPHER */

static struct bytes run(const struct crypto_call *call)
{
    struct bytes out = BYTES_INIT;
    struct error e;
    if (crypto_run(call, &out, &e) != OK)
        fail_msg("%s", e.message);
    return out;
}

/* Nothing is left of a result that was refused, and the message says something. */
static void assert_refused(const struct crypto_call *call, const char *message)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e;
    assert_int_equal(crypto_run(call, &out, &e), ERR_INVALID);
    assert_string_equal(e.message, message);
    assert_int_equal(out.len, 0);
}

/* ---- digests ---- */

static void digests(void **state)
{
    static const struct {
        const char *name, *text, *want;
        uint32_t bytes;
    } vectors[] = {
        {"md5", "abc", "900150983cd24fb0d6963f7d28e17f72", 0}, /* RFC 1321, A.5 */
        {"ripemd160", "abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc", 0},
        {"sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d", 0}, /* FIPS 180-4 */
        {"RSA-SHA1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d", 0},
        {"sha224", "abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7", 0},
        {"SHA256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 0},
        {"sha512-256", "abc", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
         0},
        {"sha3-256", "", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
         0}, /* FIPS 202 */
        {"blake2s256", "abc", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
         0}, /* RFC 7693, B */
        {"shake128", "", "7f9c2ba4e88f827d616045507605853e", 0},
        {"shake256", "", "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f", 32},
        {"shake256", "", "46b9dd", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct crypto_call call = {.function = ABI_CRYPTO_NAMED_DIGEST,
                                   .a = vectors[i].bytes,
                                   .info = slice_cstr(vectors[i].name),
                                   .data = slice_cstr(vectors[i].text)};
        CLEANUP(bytes_done) struct bytes out = run(&call);
        assert_hex(bytes_slice(&out), vectors[i].want);
    }
}

static void digests_refused(void **state)
{
    static const struct {
        struct slice name;
        uint32_t bytes;
        const char *message;
    } cases[] = {
        {SLICE_LIT("sha257"), 0, "Digest method not supported"},
        {SLICE_EMPTY, 0, "Digest method not supported"},
        {SLICE_LIT("sha256\0x"), 0, "Digest method not supported"},
        {SLICE_LIT("a-name-that-is-longer-than-any-of-them"), 0, "Digest method not supported"},
        {SLICE_LIT("sha256"), 31, "Unsupported state or unable to set the digest's length"},
        {SLICE_LIT("shake128"), UINT32_MAX,
         "Unsupported state or unable to set the digest's length"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_refused(&(struct crypto_call){.function = ABI_CRYPTO_NAMED_DIGEST,
                                             .a = cases[i].bytes,
                                             .info = cases[i].name},
                       cases[i].message);
}

static void hmacs(void **state)
{
    static const struct {
        const char *name, *key, *text, *want;
    } vectors[] = {
        {"md5", "Jefe", "what do ya want for nothing?",
         "750c783e6ab0b503eaa86e310a5db738"}, /* RFC 2202, 2 */
        {"sha1", "Jefe", "what do ya want for nothing?",
         "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        {"sha224", "Jefe", "what do ya want for nothing?",
         "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"}, /* RFC 4231, 4.3 */
        {"sha256", "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct crypto_call call = {.function = ABI_CRYPTO_NAMED_HMAC,
                                   .info = slice_cstr(vectors[i].name),
                                   .key = slice_cstr(vectors[i].key),
                                   .data = slice_cstr(vectors[i].text)};
        CLEANUP(bytes_done) struct bytes out = run(&call);
        assert_hex(bytes_slice(&out), vectors[i].want);
    }
    assert_refused(
        &(struct crypto_call){.function = ABI_CRYPTO_NAMED_HMAC, .info = SLICE_LIT("none")},
        "Invalid digest");
}

/* ---- ciphers ---- */

struct vector {
    const char *name;
    uint32_t flags, tag_bytes; /* of the encryption */
    const char *key, *iv, *aad, *plain, *sealed, *tag;
};

static const struct vector vectors[] = {
    /* FIPS 197, C.1 */
    {"aes-128-ecb", NO_PADDING, 0, "000102030405060708090a0b0c0d0e0f", "", "",
     "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a", ""},
    /* SP 800-38A, F.2.1 and F.5.5 */
    {"aes-128-cbc", NO_PADDING, 0, "2b7e151628aed2a6abf7158809cf4f3c",
     "000102030405060708090a0b0c0d0e0f", "", "6bc1bee22e409f96e93d7e117393172a",
     "7649abac8119b246cee98e9b12e9197d", ""},
    {"aes-256-ctr", 0, 0, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "", "6bc1bee22e409f96e93d7e117393172a",
     "601ec313775789a5b7a7f504bbf3d228", ""},
    /* RFC 3602, 4: case 1 */
    {"AES-128-CBC", NO_PADDING, 0, "06a9214036b8a15b512e03d534120006",
     "3dafba429d9eb430b422da802c9fac41", "", "53696e676c6520626c6f636b206d7367",
     "e353779c1079aeb82708942dbe77181a", ""},
    /* The GCM specification of McGrew and Viega: cases 1, 2 and 4 */
    {"aes-128-gcm", AEAD, 16, "00000000000000000000000000000000", "000000000000000000000000", "",
     "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {"aes-128-gcm", AEAD, 16, "00000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {"aes-128-gcm", AEAD, 16, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "5"
     "25b16aedf5aa0de657ba637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84a"
     "a"
     "051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    /* RFC 8439, 2.8.2 */
    {"chacha20-poly1305", AEAD, 16,
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
     "50515253c0c1c2c3c4c5c6c7", "4c616469657320616e642047", "d31a8d34648e60db7b86afbc", ""},
};

/* data as the call wants it, with the tag to check, "" when it is to be made. */
static struct bytes framed(const struct vector *v, const char *tag, struct slice data)
{
    struct bytes out = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes aad = unhex(v->aad);
    CLEANUP(bytes_done) struct bytes t = unhex(tag);
    if (v->flags & AEAD) {
        bytes_append_lstr(&out, bytes_slice(&aad));
        bytes_append_lstr(&out, bytes_slice(&t));
    }
    bytes_append_slice(&out, data);
    return out;
}

static void check_cipher(const struct vector *v)
{
    CLEANUP(bytes_done) struct bytes key = unhex(v->key);
    CLEANUP(bytes_done) struct bytes iv = unhex(v->iv);
    CLEANUP(bytes_done) struct bytes plain = unhex(v->plain);
    CLEANUP(bytes_done) struct bytes data = framed(v, "", bytes_slice(&plain));
    struct crypto_call call = {.function = ABI_CRYPTO_NAMED_CIPHER,
                               .a = v->flags,
                               .b = v->tag_bytes,
                               .key = bytes_slice(&key),
                               .salt = bytes_slice(&iv),
                               .info = slice_cstr(v->name),
                               .data = bytes_slice(&data)};
    CLEANUP(bytes_done) struct bytes sealed = run(&call);
    size_t len = sealed.len - v->tag_bytes;
    assert_hex(slice_of(sealed.ptr, len), v->sealed);
    if (v->tag[0])
        assert_hex(slice_skip(bytes_slice(&sealed), len), v->tag);
    /* And back, with the tag that was made; with another one nothing comes. */
    char tag[2 * 16 + 1] = "";
    for (size_t k = 0; k < v->tag_bytes; k++)
        snprintf(tag + 2 * k, 3, "%02x", (unsigned char)sealed.ptr[len + k]);
    CLEANUP(bytes_done) struct bytes back = framed(v, tag, slice_of(sealed.ptr, len));
    call.a |= DECRYPTS;
    call.b = 0;
    call.data = bytes_slice(&back);
    CLEANUP(bytes_done) struct bytes opened = run(&call);
    assert_hex(bytes_slice(&opened), v->plain);
    if (!v->tag_bytes)
        return;
    tag[0] = tag[0] == '0' ? '1' : '0';
    CLEANUP(bytes_done) struct bytes forged = framed(v, tag, slice_of(sealed.ptr, len));
    call.data = bytes_slice(&forged);
    assert_refused(&call, "Unsupported state or unable to authenticate data");
}

static void ciphers(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        check_cipher(&vectors[i]);
}

/* PKCS #7: a block more where the data is whole blocks; what is not padded so does not decrypt. */
static void padding(void **state)
{
    static const char key[16] = "0123456789abcdef", iv[16] = "fedcba9876543210";
    struct crypto_call call = {.function = ABI_CRYPTO_NAMED_CIPHER,
                               .key = slice_of(key, sizeof(key)),
                               .salt = slice_of(iv, sizeof(iv)),
                               .info = SLICE_LIT("aes-128-cbc")};
    for (size_t len = 0; len <= 33; len++) {
        char text[33];
        memset(text, 'x', sizeof(text));
        call.a = 0;
        call.data = slice_of(text, len);
        CLEANUP(bytes_done) struct bytes sealed = run(&call);
        assert_int_equal(sealed.len, len / 16 * 16 + 16);
        call.a = DECRYPTS;
        call.data = bytes_slice(&sealed);
        CLEANUP(bytes_done) struct bytes opened = run(&call);
        assert_true(slice_eq(bytes_slice(&opened), slice_of(text, len)));
        call.data.len--;
        CLEANUP(bytes_done) struct bytes none = BYTES_INIT;
        struct error e;
        assert_int_equal(crypto_run(&call, &none, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "wrong final block length"));
    }
    call.a = NO_PADDING;
    call.data = SLICE_LIT("not a block");
    CLEANUP(bytes_done) struct bytes none = BYTES_INIT;
    assert_int_equal(crypto_run(&call, &none, &(struct error){0}), ERR_INVALID);
}

static void ciphers_refused(void **state)
{
    static const char zeros[64];
    static const struct {
        const char *name;
        size_t key_bytes, iv_bytes;
        uint32_t flags, tag_bytes;
        struct slice data;
        const char *message;
    } cases[] = {
        {"aes-129-cbc", 16, 16, 0, 0, {"", 0}, "Unknown cipher"},
        {"aes-128-cbc", 15, 16, 0, 0, {"", 0}, "Invalid key, initialization vector or tag length"},
        {"aes-128-cbc", 16, 12, 0, 0, {"", 0}, "Invalid key, initialization vector or tag length"},
        {"aes-128-gcm",
         16,
         0,
         AEAD,
         16,
         {zeros, 8},
         "Invalid key, initialization vector or tag length"},
        {"aes-128-gcm", 16, 12, AEAD, 17, {zeros, 8}, "Unknown cipher"},
        {"aes-128-gcm", 16, 12, AEAD, 16, {zeros, 7}, "the data is not what it should be"},
        {"aes-128-gcm",
         16,
         12,
         AEAD,
         16,
         {"\xff\xff\xff\xff____", 8},
         "the data is not what it should be"},
        {"aes-128-ccm", 16, 12, AEAD, 16, {zeros, 8}, "this mode of ciphers is not supported"},
        {"aes-128-xts", 32, 16, 0, 0, {zeros, 16}, "this mode of ciphers is not supported"},
        {"id-aes128-wrap", 16, 8, 0, 0, {zeros, 16}, "this mode of ciphers is not supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_refused(&(struct crypto_call){.function = ABI_CRYPTO_NAMED_CIPHER,
                                             .a = cases[i].flags,
                                             .b = cases[i].tag_bytes,
                                             .key = slice_of(zeros, cases[i].key_bytes),
                                             .salt = slice_of(zeros, cases[i].iv_bytes),
                                             .info = slice_cstr(cases[i].name),
                                             .data = cases[i].data},
                       cases[i].message);
}

/* ---- scrypt ---- */

static struct bytes scrypt_numbers(uint32_t r, uint32_t p)
{
    struct bytes out = BYTES_INIT;
    bytes_append_u32(&out, htole32(r));
    bytes_append_u32(&out, htole32(p));
    return out;
}

static void scrypts(void **state)
{
    static const struct {
        const char *password, *salt, *want;
        uint32_t n, r, p;
    } scrypt_vectors[] = {/* RFC 7914, 12 */
                          {"", "",
                           "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                           "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
                           16, 1, 1},
                          {"password", "NaCl",
                           "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                           "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
                           1024, 8, 16}};
    for (size_t i = 0; i < ARRAY_LEN(scrypt_vectors); i++) {
        CLEANUP(bytes_done)
        struct bytes numbers = scrypt_numbers(scrypt_vectors[i].r, scrypt_vectors[i].p);
        struct crypto_call call = {.function = ABI_CRYPTO_SCRYPT,
                                   .a = scrypt_vectors[i].n,
                                   .b = 64,
                                   .key = slice_cstr(scrypt_vectors[i].password),
                                   .salt = slice_cstr(scrypt_vectors[i].salt),
                                   .data = bytes_slice(&numbers)};
        assert_int_equal(crypto_memory_bytes(&call),
                         UINT64_C(128) * scrypt_vectors[i].n * scrypt_vectors[i].r);
        CLEANUP(bytes_done) struct bytes out = run(&call);
        assert_hex(bytes_slice(&out), scrypt_vectors[i].want);
        call.b = 0;
        CLEANUP(bytes_done) struct bytes none = run(&call);
        assert_int_equal(none.len, 0);
    }
}

static bool stops_at_once(void *arg)
{
    (void)arg;
    return true;
}

static void scrypts_refused(void **state)
{
    static const uint32_t numbers[][3] = {
        /* N, r, p */
        {0, 8, 1},         {16, 0, 1}, {16, 8, 0}, {1u << 22, 2, 1}, {16, UINT32_MAX, UINT32_MAX},
        {UINT32_MAX, 1, 1}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        CLEANUP(bytes_done) struct bytes data = scrypt_numbers(numbers[i][1], numbers[i][2]);
        assert_refused(&(struct crypto_call){.function = ABI_CRYPTO_SCRYPT,
                                             .a = numbers[i][0],
                                             .b = 64,
                                             .data = bytes_slice(&data)},
                       "Invalid scrypt params: N r p is at most 4194304");
    }
    CLEANUP(bytes_done) struct bytes data = scrypt_numbers(8, 1);
    struct crypto_call call = {
        .function = ABI_CRYPTO_SCRYPT, .a = 15, .b = 64, .data = bytes_slice(&data)};
    assert_refused(&call, "Invalid scrypt params: memory limit exceeded"); /* no power of 2 */
    call.data.len--;
    assert_refused(&call, "Invalid scrypt params");
    call.data.len++;
    call.a = 1 << 18; /* 256 MiB */
    assert_refused(&call, "Invalid scrypt params: memory limit exceeded");
    call.a = 1024;
    call.b = UINT32_MAX;
    assert_refused(&call, "Invalid scrypt params");
    call.b = 64;
    call.stops = stops_at_once;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    assert_int_equal(crypto_run(&call, &out, &(struct error){0}), ERR_CANCELLED);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests), cmocka_unit_test(digests_refused),
        cmocka_unit_test(hmacs),   cmocka_unit_test(ciphers),
        cmocka_unit_test(padding), cmocka_unit_test(ciphers_refused),
        cmocka_unit_test(scrypts), cmocka_unit_test(scrypts_refused),
    };
    return cmocka_run_group_tests_name("named", tests, NULL, NULL);
}
