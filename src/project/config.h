/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration file as a tree whose members know their lines: TOML by the crate `toml`, JSON with
 * comments and trailing commas by blanking those out, byte for byte, and reading what is left as JSON:
 * so places in it are places in the file. Pure; any thread. */
#pragma once

#include "admin/body.h"
#include "base/arena.h"

enum {
    CONFIG_BYTES_MAX = 1024 * 1024,
    CONFIG_DEPTH_MAX = 64,
};

struct config_member;

struct config_value {
    enum body_kind kind;
    struct slice text; /* of a string: decoded; else its JSON */
    const struct config_member *members; /* of an object, in the order of the file */
    const struct config_value *items;    /* of an array */
    size_t len;
    size_t at; /* of what it belongs to, in the file */
};

struct config_member {
    struct slice name;
    struct config_value value;
};

struct config {
    const char *file; /* for messages */
    struct slice source;
    struct config_value root; /* an object */
};

/* By the end of the file's name: ".toml" is TOML, all else JSON. Everything is in the arena, and the
 * source is borrowed for as long. ERR_INVALID names line and column. */
NODISCARD enum err config_parse(struct arena *a, const char *file, struct slice source,
                                struct config *ret_config, struct error *ret_error);
/* The same of a file. ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE. */
NODISCARD enum err config_read(struct arena *a, const char *path, struct config *ret_config,
                               struct error *ret_error);
/* Line and column of a place, from 1. */
void config_place(struct slice source, size_t at, int *ret_line, int *ret_column);
/* JSON with comments as JSON of the same length. */
void config_blank_comments(char *text, size_t len);
/* A member of an object, or NULL. */
const struct config_value *config_member(const struct config_value *object, const char *name);
