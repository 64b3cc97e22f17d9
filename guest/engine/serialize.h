/* SPDX-License-Identifier: Apache-2.0
 *
 * Values to bytes and back: everything that structured clone carries, in the format of
 * guest/values.h and docs/values.md. Results of steps lie in journals for years in it, so a version
 * once written stays readable for ever; tests/guest/values.golden holds bytes that must not change.
 *
 * Beyond structuredClone, errors keep their name, their enumerable properties (such as `code`) and
 * AggregateError its errors; less than it, objects that would lose all that they are (generators,
 * iterators) are refused. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

/* Appends value to out. False: an exception is pending (DataCloneError DOMException that names what
 * cannot be cloned, RangeError for a value that is too large or too deep, or what a getter threw),
 * and out is as it was. The same value always gives the same bytes. */
bool serialize(JSContext *ctx, JSValueConst value, struct buffer *out);

/* The value in all of the bytes. JS_EXCEPTION: SyntaxError "malformed value" for other bytes. */
JSValue deserialize(JSContext *ctx, const uint8_t *at, uint32_t len);
