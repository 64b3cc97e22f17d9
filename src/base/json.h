/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing JSON text into a buffer without a tree (parsing is jansson's). The writer puts the
 * commas:
 *
 *     struct json_writer w = json_writer(&buffer);
 *     json_open(&w, '{');
 *     json_key(&w, "name"); json_slice(&w, name);
 *     json_close(&w, '}');
 *
 * (json_double and json_nil are not named json_real and json_null, which are functions of jansson.)
 * Strings that are not valid UTF-8 get U+FFFD for each bad byte, so that the output always parses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct json_writer {
    struct bytes *out;
    bool needs_comma;
};

struct json_writer json_writer(struct bytes *out);
void json_open(struct json_writer *w, char bracket);  /* '{' or '[' */
void json_close(struct json_writer *w, char bracket); /* '}' or ']' */
void json_key(struct json_writer *w, const char *key);
void json_slice(struct json_writer *w, struct slice s);
void json_cstr(struct json_writer *w, const char *s); /* NULL writes null */
void json_int(struct json_writer *w, int64_t v);
void json_double(struct json_writer *w, double v); /* not finite writes null */
void json_bool(struct json_writer *w, bool v);
void json_nil(struct json_writer *w);
/* Text that is known to be JSON already. */
void json_raw(struct json_writer *w, struct slice json);
/* {"error":{"code","message","hint"}}, the one error shape; hint is left out when empty. */
void json_error(struct json_writer *w, const struct error *e);
/* The same with "request_id" behind the others, which the log has, too. */
void json_error_of_request(struct json_writer *w, const struct error *e, struct slice request_id);
/* Quoted and escaped string, no comma handling. */
void json_quote(struct bytes *out, struct slice s);
