/* SPDX-License-Identifier: Apache-2.0
 *
 * See keys.h. */
#include "project/keys.h"

#include "admin/names.h"
#include "base/json.h"

#define L KEY_LIMPET
#define W KEY_WRANGLER
#define STRING KEY_STRING
#define BOOL KEY_BOOL
#define UINT KEY_UINT
#define STRINGS KEY_STRINGS
#define OBJECT KEY_OBJECT
#define OBJECTS KEY_OBJECTS
#define MAP KEY_MAP
#define VARS KEY_VARS
#define ENVS KEY_ENVS
#define ANY KEY_ANY

const struct key keys_table[KEYS] = {
#define KEY(OWNER, name, types, MEMBERS, where, USE, doc)                                          \
    [KEY_##OWNER##_##name] = {#name, SHAPE_##OWNER, SHAPE_##MEMBERS, types, where, KEY_##USE, doc},
#include "project/keys.def"
};

const struct key *key_find(enum key_shape owner, struct slice name, enum key_where where)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct key *k = &keys_table[i];
        if (k->owner == owner && (k->where & where) && slice_eq_cstr(name, k->name))
            return k;
    }
    return NULL;
}

const char *key_nearest(enum key_shape owner, struct slice name, enum key_where where)
{
    const char *names[KEYS];
    size_t len = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (keys_table[i].owner == owner && (keys_table[i].where & where))
            names[len++] = keys_table[i].name;
    return names_nearest(name, names, len);
}

void key_types_text(unsigned types, struct bytes *out)
{
    static const struct {
        enum key_type type;
        const char *text;
    } words[] = {
        {KEY_STRING, "a string"},     {KEY_BOOL, "true or false"},
        {KEY_UINT, "a whole number"}, {KEY_STRINGS, "a list of strings"},
        {KEY_OBJECT, "a table"},      {KEY_OBJECTS, "a list of tables"},
    };
    bool is_first = true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!(types & words[i].type))
            continue;
        bytes_printf(out, "%s%s", is_first ? "" : " or ", words[i].text);
        is_first = false;
    }
}

/* ---- the schema ---- */

static void schema_type(struct json_writer *w, const char *type)
{
    json_key(w, "type");
    json_cstr(w, type);
}

static void schema_shape(struct json_writer *w, enum key_shape owner);

/* One of the types of a key, as an object of its own. */
static void schema_one(struct json_writer *w, const struct key *k, enum key_type type)
{
    json_open(w, '{');
    switch (type) {
    case KEY_STRING:
        schema_type(w, "string");
        break;
    case KEY_BOOL:
        schema_type(w, "boolean");
        break;
    case KEY_UINT:
        schema_type(w, "integer");
        json_key(w, "minimum");
        json_int(w, 0);
        break;
    case KEY_STRINGS:
        schema_type(w, "array");
        json_key(w, "items");
        json_open(w, '{');
        schema_type(w, "string");
        json_close(w, '}');
        break;
    case KEY_OBJECTS:
        schema_type(w, "array");
        json_key(w, "items");
        json_open(w, '{');
        schema_shape(w, k->shape);
        json_close(w, '}');
        break;
    case KEY_OBJECT:
        if (k->types & KEY_ENVS) {
            schema_type(w, "object");
            json_key(w, "additionalProperties");
            json_raw(w, SLICE_LIT("{\"$ref\":\"#\"}"));
        } else if (k->types & KEY_MAP) {
            schema_type(w, "object");
            json_key(w, "additionalProperties");
            json_raw(w, SLICE_LIT("{\"type\":\"string\"}"));
        } else if (k->types & KEY_VARS) {
            schema_type(w, "object");
        } else {
            schema_shape(w, k->shape);
        }
        break;
    default:
        break;
    }
    json_close(w, '}');
}

static void schema_key(struct json_writer *w, const struct key *k)
{
    json_key(w, k->name);
    json_open(w, '{');
    json_key(w, "description");
    CLEANUP(bytes_done) struct bytes doc = BYTES_INIT;
    bytes_printf(&doc, "%s%s", k->doc, k->use == KEY_MISSING ? ": not on this server yet" : "");
    json_slice(w, bytes_slice(&doc));
    const unsigned plain =
        k->types & (KEY_STRING | KEY_BOOL | KEY_UINT | KEY_STRINGS | KEY_OBJECT | KEY_OBJECTS);
    if (plain) {
        json_key(w, "anyOf");
        json_open(w, '[');
        for (unsigned type = KEY_STRING; type <= KEY_OBJECTS; type <<= 1)
            if (plain & type)
                schema_one(w, k, (enum key_type)type);
        json_close(w, ']');
    }
    json_close(w, '}');
}

static void schema_shape(struct json_writer *w, enum key_shape owner)
{
    schema_type(w, "object");
    json_key(w, "additionalProperties");
    json_bool(w, false);
    json_key(w, "properties");
    json_open(w, '{');
    if (owner == SHAPE_ROOT) {
        json_key(w, "$schema");
        json_open(w, '{');
        schema_type(w, "string");
        json_close(w, '}');
    }
    for (size_t i = 0; i < KEYS; i++)
        if (keys_table[i].owner == owner && (keys_table[i].where & KEY_LIMPET))
            schema_key(w, &keys_table[i]);
    json_close(w, '}');
}

void key_schema(struct bytes *out)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_key(&w, "$schema");
    json_cstr(&w, "http://json-schema.org/draft-07/schema#");
    json_key(&w, "title");
    json_cstr(&w, "limpet.toml");
    schema_shape(&w, SHAPE_ROOT);
    json_close(&w, '}');
}
