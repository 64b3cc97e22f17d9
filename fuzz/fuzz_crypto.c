/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys as guests give them. Input: kind, format, then the key in that format. What is accepted comes
 * out in each format that it has, and each of them comes in again as the same key. With any other
 * first byte the input is a call of a function, with the rest as its key, salt and data. */
#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_private_format(uint32_t format)
{
    return format == ABI_FORMAT_PKCS8 || format == ABI_FORMAT_PRIVATE_PARTS;
}

static void check_format(uint32_t kind, uint32_t format, struct slice material)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes again = BYTES_INIT;
    struct crypto_call call = {
        .function = ABI_CRYPTO_EXPORT, .a = kind, .b = format, .key = material};
    CHECK(crypto_run(&call, &out, NULL) == OK);
    call = (struct crypto_call){
        .function = ABI_CRYPTO_IMPORT, .a = kind, .b = format, .data = bytes_slice(&out)};
    CHECK(crypto_run(&call, &again, NULL) == OK);
    CHECK(slice_eq(bytes_slice(&again), material));
}

static void check_import(uint32_t kind, uint32_t format, struct slice key)
{
    CLEANUP(bytes_done) struct bytes material = BYTES_INIT;
    struct crypto_call call = {.function = ABI_CRYPTO_IMPORT, .a = kind, .b = format, .data = key};
    if (crypto_run(&call, &material, NULL) != OK) {
        CHECK(material.len == 0);
        return;
    }
    for (uint32_t f = ABI_FORMAT_SPKI; f <= ABI_FORMAT_PRIVATE_PARTS; f++)
        if (is_private_format(f) == is_private_format(format) &&
            (f != ABI_FORMAT_RAW || kind != ABI_KEY_RSA))
            check_format(kind, f, bytes_slice(&material));
}

static void check_call(const uint8_t *data, size_t size)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    if (size < 6)
        return;
    size_t rest = size - 6, key_len = data[4] * (size_t)8, salt_len = data[5];
    key_len = key_len < rest ? key_len : rest;
    salt_len = salt_len < rest - key_len ? salt_len : rest - key_len;
    static const uint32_t hashes[] = {0, 1, 256, 384, 512};
    const char *at = (const char *)data + 6;
    struct crypto_call call = {
        .function = (enum abi_crypto)data[1],
        .hash = hashes[data[2] % ARRAY_LEN(hashes)],
        .a = data[3],
        .b = data[3],
        .key = slice_of(at, key_len),
        .salt = slice_of(at + key_len, salt_len),
        .info = slice_of(at + key_len, salt_len),
        .data = slice_of(at + key_len + salt_len, rest - key_len - salt_len),
    };
    if (call.function == ABI_CRYPTO_RSA_GENERATE)
        return;
    struct error e;
    if (crypto_run(&call, &out, &e) != OK)
        CHECK(e.message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] >= ABI_KEY_RSA && data[0] <= ABI_KEY_X25519)
        check_import(data[0], data[1], slice_of((const char *)data + 2, size - 2));
    else
        check_call(data, size);
    return 0;
}
