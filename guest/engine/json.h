/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON straight between UTF-8 bytes and JS values; also what JSON.parse and JSON.stringify call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "quickjs.h"

/* Parses UTF-8 text; malformed bytes become U+FFFD. JS_EXCEPTION: a SyntaxError that names the
 * position. */
JSValue json_parse(JSContext *ctx, const uint8_t *at, uint32_t len);

enum json_written { JSON_FAILED = -1, JSON_NOTHING = 0, JSON_WRITTEN = 1 };
/* Appends what JSON.stringify(value) gives, as UTF-8. JSON_NOTHING: the value has no JSON, like
 * undefined. */
enum json_written json_write(JSContext *ctx, JSValueConst value, struct buffer *out);

/* The same; is_wtf8: the text comes from a JS string and may have lone surrogates encoded. */
JSValue json_parse_text(JSContext *ctx, const uint8_t *at, uint32_t len, bool is_wtf8);

/* json_write.c: JSON by looking only, which cannot run code of the guest. JSON_ELSEWHERE: the value
 * has something in it (a getter, toJSON, a proxy, a cycle, …) that needs JSON.stringify itself; out
 * is as before. */
enum { JSON_ELSEWHERE = 2 };
int json_write_plain(JSContext *ctx, JSValueConst value, struct text gap, struct buffer *out);
