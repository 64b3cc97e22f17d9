/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of answers whose value may be missing: all of them are always there, as null if need be,
 * so that a client sees what exists. */
#include "admin/internal.h"
#include "base/clock.h"
#include "base/module_name.h"

void times_json(struct json_writer *w, const char *key, int64_t us)
{
    char ms_key[64], text[CLOCK_ISO_SIZE];
    snprintf(ms_key, sizeof(ms_key), "%s_ms", key);
    json_key(w, key);
    if (us == 0) {
        json_nil(w);
    } else {
        clock_iso(us, text);
        json_cstr(w, text);
    }
    json_key(w, ms_key);
    if (us == 0)
        json_nil(w);
    else
        json_int(w, us / 1000);
}

void module_json(struct json_writer *w, const char *key, struct slice module)
{
    struct module_name n = module_name_split(module);
    json_key(w, key);
    json_slice(w, n.name);
    json_key(w, "namespace");
    json_slice(w, n.space);
}

void text_json(struct json_writer *w, const char *key, struct slice text)
{
    json_key(w, key);
    if (text.len > 0)
        json_slice(w, text);
    else
        json_nil(w);
}

void number_json(struct json_writer *w, const char *key, int64_t number)
{
    json_key(w, key);
    if (number > 0)
        json_int(w, number);
    else
        json_nil(w);
}

void raw_json(struct json_writer *w, const char *key, struct slice json)
{
    json_key(w, key);
    if (json.len > 0)
        json_raw(w, json);
    else
        json_nil(w);
}

void milliseconds_json(struct json_writer *w, const char *key, int64_t from_us, int64_t to_us)
{
    json_key(w, key);
    if (to_us > 0)
        json_double(w, (double)(to_us - from_us) / 1000.0);
    else
        json_nil(w);
}
