/* SPDX-License-Identifier: Apache-2.0
 *
 * Values to bytes and back: everything that structured clone carries, in the format of
 * docs/values.md. Results of steps lie in journals for years in it, so a version once written stays
 * readable for ever; tests/guest/values holds bytes that must not change. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

enum {
    SERIALIZE_VERSION = 1,
    SERIALIZE_BYTES_MAX = 4 * 1024 * 1024, /* of one value */
    SERIALIZE_DEPTH_MAX = 500,             /* of objects inside each other */
};

/* Appends value to out. False: an exception is pending (DataCloneError DOMException that names what
 * cannot be cloned, RangeError for a value that is too large or too deep, or what a getter threw),
 * and out is as it was. */
bool serialize(JSContext *ctx, JSValueConst value, struct buffer *out);

/* The value in all of the bytes. JS_EXCEPTION: SyntaxError "malformed value" for other bytes. */
JSValue deserialize(JSContext *ctx, const uint8_t *at, uint32_t len);
