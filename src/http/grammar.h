/* SPDX-License-Identifier: Apache-2.0
 *
 * The characters of HTTP and of URLs, in one table, so that what is let in, sent on and sent out
 * means the same. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum grammar_class {
    GRAMMAR_TOKEN = 1,     /* RFC 9110, 5.6.2: methods, names of headers */
    GRAMMAR_FIELD = 2,     /* 5.5: values of headers, so no control character but tab */
    GRAMMAR_AUTHORITY = 4, /* RFC 3986: host and port, without user information */
    GRAMMAR_HOST = 8,      /* stands in a domain as the URL standard serializes it */
    GRAMMAR_TARGET = 16,   /* stands in a path or query that it leaves as it is */
};

extern const uint8_t grammar_table[256];

static inline bool grammar_has(char c, enum grammar_class class)
{
    return grammar_table[(unsigned char)c] & class;
}

/* Is every character of that class? True for the empty text. */
bool grammar_all(struct slice text, enum grammar_class class);
/* A token has at least one character. */
bool grammar_is_token(struct slice text);
