/* SPDX-License-Identifier: Apache-2.0
 *
 * The ops behind crypto.subtle, for guest/runtime. */
#pragma once

#include "quickjs.h"

/* crypto(function, hash, a, b, key, salt, info, data): an ArrayBuffer, or a promise of one;
 * waits: always the former.
 * function: enum abi_crypto; the last four are bytes or undefined. */
JSValue subtle_crypto(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                      int waits);
/* cipher(mode, isDecryption, bits, key, iv, aad, data): likewise. mode: enum abi_cipher. */
JSValue subtle_cipher(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
/* equalBytes(a, b): of the same length; looks at all of them, whatever the first ones say. */
JSValue subtle_equal(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
