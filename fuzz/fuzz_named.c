/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests, HMAC, ciphers and scrypt by names that a guest may make up. Input: a function, `a` and `b`
 * of the call, lengths of name, key and salt, then those, and the data. What is refused leaves
 * nothing behind; what was encrypted with padding or a tag is decrypted to the same. */
#include <endian.h>

#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 8, DECRYPTS = 1, NO_PADDING = 2, AEAD = 4, TAG_BYTES = 16, WORK_MAX = 1 << 14 };

static struct slice take(struct slice *rest, size_t n)
{
    struct slice part = slice_of(rest->ptr, n < rest->len ? n : rest->len);
    *rest = slice_skip(*rest, part.len);
    return part;
}

/* Would it take the fuzzer's time for nothing? */
static bool is_long(const struct crypto_call *c)
{
    uint32_t r = 0, p = 0;
    if (c->function != ABI_CRYPTO_SCRYPT || c->data.len != 2 * sizeof(r))
        return false;
    memcpy(&r, c->data.ptr, sizeof(r));
    memcpy(&p, c->data.ptr + sizeof(r), sizeof(p));
    const uint64_t per_lane = (uint64_t)c->a * le32toh(r);
    return per_lane > WORK_MAX || per_lane * le32toh(p) > WORK_MAX;
}

/* plain: what was given to be encrypted, behind aad and tag. */
static void check_back(struct crypto_call c, struct slice sealed, struct slice plain)
{
    CLEANUP(bytes_done) struct bytes framed = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes opened = BYTES_INIT;
    struct slice aad = SLICE_EMPTY;
    if (c.a & AEAD) {
        uint32_t len;
        memcpy(&len, plain.ptr, sizeof(len));
        aad = slice_of(plain.ptr + sizeof(len), le32toh(len));
        plain = slice_skip(plain, sizeof(len) + aad.len);
        memcpy(&len, plain.ptr, sizeof(len));
        plain = slice_skip(plain, sizeof(len) + le32toh(len));
        struct slice tag = slice_skip(sealed, sealed.len - c.b);
        sealed.len -= c.b;
        bytes_append_lstr(&framed, aad);
        bytes_append_lstr(&framed, tag);
    }
    bytes_append_slice(&framed, sealed);
    c.a |= DECRYPTS;
    c.b = 0;
    c.data = bytes_slice(&framed);
    CHECK(crypto_run(&c, &opened, NULL) == OK);
    CHECK(slice_eq(bytes_slice(&opened), plain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return 0;
    struct slice rest = slice_of((const char *)data + HEAD_BYTES, size - HEAD_BYTES);
    struct crypto_call call = {
        .function = (enum abi_crypto)(ABI_CRYPTO_NAMED_DIGEST + data[0] % 4),
        .a = data[1] | (uint32_t)data[2] << 8,
        .b = data[3] | (uint32_t)data[4] << 8,
        .info = take(&rest, data[5]),
        .key = take(&rest, data[6]),
        .salt = take(&rest, data[7]),
    };
    call.data = rest;
    if (is_long(&call))
        return 0;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e;
    (void)crypto_memory_bytes(&call);
    if (crypto_run(&call, &out, &e) != OK) {
        CHECK(e.message[0] != '\0' && out.len == 0);
        return 0;
    }
    bool is_sealed = call.function == ABI_CRYPTO_NAMED_CIPHER && !(call.a & DECRYPTS);
    if (is_sealed && (call.a & AEAD ? call.b == TAG_BYTES : !(call.a & NO_PADDING) && !call.b))
        check_back(call, bytes_slice(&out), call.data);
    return 0;
}
