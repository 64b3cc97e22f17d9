/* SPDX-License-Identifier: Apache-2.0
 *
 * JS strings to bytes and back: UTF-8 with replacement of what has no encoding (the web's
 * USVString), and bytes as characters (the web's ByteString, used by headers). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

/* UTF-8 of String(value), lone surrogates replaced. Release with text_done(). .at NULL: exception.
 */
struct text text_of(JSContext *ctx, JSValueConst value);
/* The same with lone surrogates encoded as if they were characters. */
struct text text_of_wtf8(JSContext *ctx, JSValueConst value);
void text_done(JSContext *ctx, struct text text);
/* Characters above 255 are a TypeError that names `what`. The bytes are in *ret_buffer if that was
 * needed. */
struct text text_bytestring(JSContext *ctx, JSValueConst value, const char *what);

/* Decodes UTF-8; malformed parts become U+FFFD as the encoding standard says. is_bom_kept false
 * drops a BOM. */
JSValue text_decode(JSContext *ctx, const uint8_t *at, uint32_t len, bool is_bom_kept);
/* For bytes known to be ASCII. */
JSValue text_from_ascii(JSContext *ctx, const uint8_t *at, uint32_t len);
/* One character a byte. */
JSValue text_from_latin1(JSContext *ctx, const uint8_t *at, uint32_t len);
/* Length of the longest prefix that is valid UTF-8. */
uint32_t text_valid_prefix(const uint8_t *at, uint32_t len);
bool text_is_ascii(const uint8_t *at, uint32_t len);
/* ASCII case-insensitive. */
bool text_equal_nocase(struct text text, const char *other);
/* Is part, ignoring ASCII case, somewhere in text? */
bool text_has(struct text text, const char *part);
/* Bytes of an ArrayBuffer or a view; .at NULL and no exception: value is neither. */
struct text text_of_buffer(JSContext *ctx, JSValueConst value);
