/* SPDX-License-Identifier: Apache-2.0
 *
 * A version's options as JSON. Only what differs from the defaults is written, always in the same
 * order, so that equal options are equal texts. */
#include <jansson.h>

#include "base/json.h"
#include "store/internal.h"

static void options_put_text(struct json_writer *w, const char *key, struct slice text)
{
    if (!text.len)
        return;
    json_key(w, key);
    json_slice(w, text);
}

static void options_put(struct json_writer *w, const char *key, uint32_t value)
{
    if (!value)
        return;
    json_key(w, key);
    json_int(w, value);
}

void version_options_write(const struct version_options *options, struct bytes *out)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    if (options->isolation == ISOLATION_MODULE) {
        json_key(&w, "isolation");
        json_cstr(&w, "module");
    }
    options_put(&w, "memory_mb", options->memory_mb);
    options_put(&w, "cpu_ms", options->cpu_ms);
    options_put(&w, "wall_ms", options->wall_ms);
    options_put(&w, "sql_transaction_ms", options->sql_transaction_ms);
    options_put_text(&w, "domains", options->domains);
    options_put_text(&w, "vars", options->vars);
    options_put_text(&w, "bindings", options->bindings);
    options_put_text(&w, "schedules", options->schedules);
    options_put_text(&w, "consumers", options->consumers);
    options_put_text(&w, "routes", options->routes);
    options_put_text(&w, "runtime", options->runtime);
    json_close(&w, '}');
}

static uint32_t options_get(const json_t *root, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(root, key));
    return value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static struct slice options_get_text(const json_t *root, const char *key, struct arena *a)
{
    const json_t *text = json_object_get(root, key);
    if (!json_is_string(text))
        return SLICE_EMPTY;
    return arena_copy(a, slice_of(json_string_value(text), json_string_length(text)));
}

enum err version_options_read(struct slice json, struct arena *a,
                              struct version_options *ret_options, struct error *ret_error)
{
    *ret_options = (struct version_options){0};
    if (slice_eq_cstr(json, "{}"))
        return OK;
    json_t *root = json_loadb(json.ptr, json.len, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(ret_error, ERR_CORRUPT,
                         "a version's options in the database are not JSON");
    }
    const char *isolation = json_string_value(json_object_get(root, "isolation"));
    ret_options->isolation = isolation && slice_eq_cstr(slice_cstr(isolation), "module")
                                 ? ISOLATION_MODULE
                                 : ISOLATION_REQUEST;
    ret_options->memory_mb = options_get(root, "memory_mb");
    ret_options->cpu_ms = options_get(root, "cpu_ms");
    ret_options->wall_ms = options_get(root, "wall_ms");
    ret_options->sql_transaction_ms = options_get(root, "sql_transaction_ms");
    ret_options->domains = options_get_text(root, "domains", a);
    ret_options->vars = options_get_text(root, "vars", a);
    ret_options->bindings = options_get_text(root, "bindings", a);
    ret_options->consumers = options_get_text(root, "consumers", a);
    ret_options->schedules = options_get_text(root, "schedules", a);
    ret_options->routes = options_get_text(root, "routes", a);
    ret_options->runtime = options_get_text(root, "runtime", a);
    json_decref(root);
    return OK;
}
