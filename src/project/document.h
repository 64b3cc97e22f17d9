/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration file as a tree whose members know their lines: TOML by the crate `toml`, JSON with
 * comments and trailing commas by blanking those out, byte for byte, and reading what is left as JSON:
 * so places in it are places in the file. Pure; any thread. */
#pragma once

#include "admin/body.h"
#include "base/arena.h"

enum {
    DOCUMENT_BYTES_MAX = 1024 * 1024,
    DOCUMENT_DEPTH_MAX = 64,
};

struct document_member;

struct document_value {
    enum body_kind kind;
    struct slice text;                     /* of a string: decoded; else its JSON */
    const struct document_member *members; /* of an object, in the order of the file */
    const struct document_value *items;    /* of an array */
    size_t len;
    size_t at; /* of what it belongs to, in the file */
};

struct document_member {
    struct slice name;
    struct document_value value;
};

struct document {
    const char *file; /* for messages */
    struct slice source;
    struct document_value root; /* an object */
};

/* By the end of the file's name: ".toml" is TOML, all else JSON. Everything is in the arena, and the
 * source is borrowed for as long. ERR_INVALID names line and column. */
NODISCARD enum err document_parse(struct arena *a, const char *file, struct slice source,
                                  struct document *ret_document, struct error *ret_error);
/* The same of a file. ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE. */
NODISCARD enum err document_read(struct arena *a, const char *path, struct document *ret_document,
                                 struct error *ret_error);
/* Line and column of a place, from 1. */
void document_place(struct slice source, size_t at, int *ret_line, int *ret_column);
/* JSON with comments as JSON of the same length. */
void document_blank_comments(char *text, size_t len);
/* A member of an object, or NULL. */
const struct document_value *document_member(const struct document_value *object, const char *name);
