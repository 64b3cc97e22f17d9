/* SPDX-License-Identifier: Apache-2.0
 *
 * The algorithms behind crypto.subtle, as calls that take bytes and give bytes: no state is seen
 * between two calls, and keys live in guest memory (a thread keeps the RSA keys that it has used last, to be
 * faster with them: rsa_cache.c). Any thread.
 *
 * A key is the bytes that CRYPTO_IMPORT or a generator gave ("material"):
 *
 *   RSA               RSAPublicKey or RSAPrivateKey of PKCS #1, DER
 *   P-256, -384, -521 public: the point, uncompressed; private: the scalar in full length, the point
 *   Ed25519, X25519   public: 32 bytes; private: the seed (or scalar), then the public ones
 *
 * Every call checks what it is given: material comes from guests. Wrong input is ERR_INVALID; which
 * DOMException that is, the guest's side knows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "guest/abi.h"

struct crypto_call {
    enum abi_crypto function;
    uint32_t hash; /* 1, 256, 384, 512 */
    uint32_t a, b;
    struct slice key, salt, info, data;
    /* Asked now and then inside of what takes long; true: stop, ERR_CANCELLED. May be NULL. */
    bool (*stops)(void *arg);
    void *stops_arg;
};

/* Appends the result to out; a failure leaves nothing there. */
NODISCARD enum err crypto_run(const struct crypto_call *c, struct bytes *out,
                              struct error *ret_error);
/* Does its result differ each time? */
bool crypto_is_random(enum abi_crypto function);
/* May it take longer than a few milliseconds? By the sizes of its arguments alone. */
bool crypto_is_long(const struct crypto_call *c);
/* What it takes while it runs, beside its arguments and its result. */
size_t crypto_memory_bytes(const struct crypto_call *c);
/* 1, 256, 384, 512; NULL: there is no such hash. */
const struct evp_md_st *crypto_md(uint32_t hash);
