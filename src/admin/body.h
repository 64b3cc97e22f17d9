/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON request bodies without a tree: the text is validated once as a whole, then walked by slices.
 * A value that is only passed on (the input of a function) thus reaches the guest byte for byte,
 * with every digit of its numbers, and a body of megabytes costs one pass and no allocation. Any
 * thread. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

enum { BODY_DEPTH_MAX = 512 };

enum body_kind { BODY_NULL, BODY_BOOL, BODY_NUMBER, BODY_STRING, BODY_ARRAY, BODY_OBJECT };

/* One value inside a validated text, which it borrows. */
struct body_value {
    enum body_kind kind;
    struct slice text; /* without surrounding space; strings keep their quotes */
};

/* Validates (RFC 8259, UTF-8). ERR_INVALID says line and column. */
NODISCARD enum err body_parse(struct slice text, struct body_value *ret_value,
                              struct error *ret_error);

/* Walks an array or object. */
struct body_walk {
    struct slice rest;
};
struct body_walk body_walk(const struct body_value *container);
bool body_next_item(struct body_walk *w, struct body_value *ret_item);
/* The key is decoded into key, which is cleared before. */
bool body_next_member(struct body_walk *w, struct bytes *key, struct body_value *ret_value);

/* Appends the decoded text of a string; a lone surrogate becomes U+FFFD. */
void body_string(const struct body_value *v, struct bytes *out);
/* A number that is a whole, not negative decimal without exponent. */
bool body_uint(const struct body_value *v, uint64_t *ret_value);
/* "an object", for messages. */
const char *body_kind_text(enum body_kind kind);
