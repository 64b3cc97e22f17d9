/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of what may stand in a project file (keys.def), and the JSON schema made from it. Pure;
 * any thread. */
#pragma once

#include "base/bytes.h"
#include "base/slice.h"

enum key_type {
    KEY_STRING = 1,
    KEY_BOOL = 2,
    KEY_UINT = 4,
    KEY_STRINGS = 8, /* a list of strings */
    KEY_OBJECT = 16,
    KEY_OBJECTS = 32, /* a list of objects */
    KEY_MAP = 64,     /* an object of any names; its values are strings, */
    KEY_VARS = 128,   /* anything, */
    KEY_ENVS = 256,   /* or objects of the shape */
    KEY_ANY = 512,
};

enum key_shape {
    SHAPE_NONE,
#define SHAPE(NAME) SHAPE_##NAME,
#define KEY(...)
#include "project/keys.def"
    SHAPES,
};

enum key_use { KEY_TAKEN, KEY_INERT, KEY_QUIET, KEY_MISSING };
enum key_where { KEY_LIMPET = 1, KEY_WRANGLER = 2 };

/* KEY_ROOT_name, ... */
enum key_id {
#define KEY(OWNER, name, ...) KEY_##OWNER##_##name,
#include "project/keys.def"
    KEYS,
};

struct key {
    const char *name;
    enum key_shape owner, shape;
    unsigned types; /* enum key_type */
    unsigned where; /* enum key_where */
    enum key_use use;
    const char *doc;
};

extern const struct key keys_table[KEYS];

/* A member of that owner in a file of that dialect; NULL: there is none. */
const struct key *key_find(enum key_shape owner, struct slice name, enum key_where where);
/* The known name that was most likely meant, or NULL. */
const char *key_nearest(enum key_shape owner, struct slice name, enum key_where where);
/* "a string or a list of strings" */
void key_types_text(unsigned types, struct bytes *out);
/* The JSON schema of limpet.toml. */
void key_schema(struct bytes *out);
