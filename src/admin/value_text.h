/* SPDX-License-Identifier: Apache-2.0
 *
 * What value.c is made of: the pieces of a serialized value (guest/values.h), and how they look as JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/json.h"

/* Characters where they lie in the value. */
struct value_text {
    const uint8_t *at;
    size_t bytes;
    bool is_wide; /* UTF-16; else Latin-1 */
};

struct value_reader {
    const uint8_t *at, *end;
    struct bytes keys; /* of struct value_text */
    uint64_t objects;  /* met */
    int depth;
    struct json_writer w;
    size_t start, max;
};

/* Why reading ends; everything that reads passes it on. */
enum value_step { GO_ON, FULL, MALFORMED };

static inline bool value_is_full(const struct value_reader *r)
{
    return r->w.out->len - r->start >= r->max;
}

enum value_step value_take(struct value_reader *r, size_t len, const uint8_t **ret_at);
enum value_step value_take_u8(struct value_reader *r, uint8_t *ret_value);
enum value_step value_take_varint(struct value_reader *r, uint64_t *ret_value);
enum value_step value_take_f64(struct value_reader *r, double *ret_value);
/* The characters after a length; unit: bytes of each. */
enum value_step value_take_text(struct value_reader *r, size_t unit, struct value_text *ret_text);
/* A string node. */
enum value_step value_take_string(struct value_reader *r, struct value_text *ret_text);

/* As UTF-8, as much as there is room for. */
void value_append_text(const struct value_reader *r, const struct value_text *text,
                       struct bytes *out);
void value_put_string(struct value_reader *r, const struct value_text *text);
void value_put_key(struct value_reader *r, const struct value_text *text);
void value_put_number(struct value_reader *r, double value);
/* Two's complement, the lowest byte first. */
void value_put_bigint(struct value_reader *r, const uint8_t *bytes, size_t len);
/* {"$bytes":12 and so on; still open. */
void value_open_special(struct value_reader *r, const char *key);
