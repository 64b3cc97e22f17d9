/* SPDX-License-Identifier: Apache-2.0
 *
 * See binding.h. */
#include "module/binding.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/limits.h"

const struct binding_kind_info binding_kinds[BINDING_KINDS] = {
    [BINDING_SERVICE] = {.word = "service",
                         .target = "service",
                         .part = "entrypoint",
                         .details = "props",
                         .is_module = true,
                         .type = "Fetcher"},
    [BINDING_KV] = {.word = "kv",
                    .target = "kv",
                    .is_resource = true,
                    .resource = RESOURCE_KIND_KV,
                    .type = "KVNamespace"},
    [BINDING_D1] = {.word = "d1",
                    .target = "d1",
                    .is_resource = true,
                    .resource = RESOURCE_KIND_D1,
                    .type = "D1Database"},
    [BINDING_QUEUE] = {.word = "queue",
                       .target = "queue",
                       .is_resource = true,
                       .resource = RESOURCE_KIND_QUEUE,
                       .type = "Queue"},
    [BINDING_BUCKET] = {.word = "bucket",
                        .target = "bucket",
                        .is_resource = true,
                        .resource = RESOURCE_KIND_BUCKET,
                        .type = "R2Bucket"},
    [BINDING_WORKFLOW] = {.word = "workflow",
                          .target = "workflow",
                          .part = "export",
                          .is_module = true,
                          .is_own = true,
                          .is_workflow = true,
                          .type = "Workflow"},
    [BINDING_ACTOR] = {.word = "durable_object_namespace",
                       .target = "class_name",
                       .part = "script_name",
                       .details = "renamed",
                       .is_part_module = true,
                       .type = "DurableObjectNamespace"},
    [BINDING_RATE_LIMIT] = {.word = "ratelimit",
                            .target = "namespace_id",
                            .details = "simple",
                            .is_limit = true,
                            .type = "RateLimit"},
    [BINDING_ASSETS] = {.word = "assets", .is_files = true, .type = "Fetcher"},
};

static enum err bindings_refuse(struct error *ret_error, const char *name, const char *what,
                                const char *more)
{
    error_set(ret_error, ERR_INVALID, "binding '%.128s' %s%s", name, what, more);
    error_hint(ret_error, "docs/bindings.md lists the kinds, and what each needs");
    return ERR_INVALID;
}

static bool binding_is_member(const struct binding_kind_info *kind, const char *key)
{
    const char *const known[] = {"name", "type", kind->target, kind->part, kind->details};
    for (size_t k = 0; k < ARRAY_LEN(known); k++)
        if (known[k] && strcmp(key, known[k]) == 0)
            return true;
    return false;
}

/* A member that is a text; "" if it is left out. */
static enum err binding_text(const json_t *o, const char *name, const char *key, bool is_needed,
                             struct arena *a, struct slice *ret, struct error *ret_error)
{
    const json_t *v = key ? json_object_get(o, key) : NULL;
    if (json_is_string(v) && json_string_length(v) > 0)
        *ret = arena_copy(a, slice_of(json_string_value(v), json_string_length(v)));
    else if (v && !json_is_null(v) && !json_is_string(v))
        return bindings_refuse(ret_error, name, "needs a string for ", key);
    else if (is_needed)
        return bindings_refuse(ret_error, name, "lacks the member ", key);
    return OK;
}

static enum err binding_details(const json_t *o, const char *name, const char *key, struct arena *a,
                                struct slice *ret, struct error *ret_error)
{
    const json_t *v = key ? json_object_get(o, key) : NULL;
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_object(v))
        return bindings_refuse(ret_error, name, "needs an object for ", key);
    char *text = json_dumps(v, JSON_COMPACT);
    CHECK(text);
    *ret = arena_copy(a, slice_cstr(text));
    free(text);
    return ret->len <= LIMIT_ENV_VALUE_BYTES
               ? OK
               : bindings_refuse(ret_error, name, "has more than 64 KiB in ", key);
}

static enum err binding_kind_of(const json_t *o, const char *name, enum binding_kind *ret,
                                struct error *ret_error)
{
    const char *word = json_string_value(json_object_get(o, "type"));
    for (size_t k = 0; word && k < BINDING_KINDS; k++) {
        if (strcmp(word, binding_kinds[k].word) == 0) {
            *ret = (enum binding_kind)k;
            return OK;
        }
    }
    return bindings_refuse(ret_error, name, word ? "has the unknown type " : "has no type",
                           word ? word : "");
}

/* Cloudflare's periods: counts are kept for no longer. */
static enum err binding_limit(const json_t *o, const char *name, struct binding *b,
                              struct error *ret_error)
{
    const json_t *v = json_object_get(o, binding_kinds[b->kind].details);
    json_int_t limit = json_integer_value(json_object_get(v, "limit"));
    json_int_t period = json_integer_value(json_object_get(v, "period"));
    if (limit < 1 || limit > UINT32_MAX || (period != 10 && period != 60))
        return bindings_refuse(ret_error, name, "needs simple = ",
                               "{ limit = 1 or more, period = 10 or 60 (seconds) }");
    b->limit = (uint32_t)limit;
    b->period_s = (uint32_t)period;
    return OK;
}

static enum err binding_read(json_t *o, struct arena *a, struct binding *ret,
                             struct error *ret_error)
{
    const char *name = json_string_value(json_object_get(o, "name")), *key;
    json_t *value;
    if (!name)
        return bindings_refuse(ret_error, "", "has no name", "");
    enum err err = binding_kind_of(o, name, &ret->kind, ret_error);
    if (err != OK)
        return err;
    const struct binding_kind_info *kind = &binding_kinds[ret->kind];
    json_object_foreach(o, key, value) if (!binding_is_member(kind, key)) return bindings_refuse(
        ret_error, name, "has the unknown member ", key);
    ret->name = arena_copy(a, slice_cstr(name));
    err = binding_text(o, name, kind->target, kind->target && !kind->is_own, a, &ret->target,
                       ret_error);
    if (err == OK)
        err = binding_text(o, name, kind->part, false, a, &ret->part, ret_error);
    if (err == OK)
        err = binding_details(o, name, kind->details, a, &ret->details, ret_error);
    if (err == OK && kind->is_limit)
        err = binding_limit(o, name, ret, ret_error);
    return err;
}

static int binding_compare(const void *a, const void *b)
{
    const struct binding *x = a, *y = b;
    const size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    const int order = memcmp(x->name.ptr, y->name.ptr, len);
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static enum err bindings_check_names(struct binding *items, size_t len, struct error *ret_error)
{
    qsort(items, len, sizeof(*items), binding_compare);
    for (size_t k = 1; k < len; k++)
        if (slice_eq(items[k - 1].name, items[k].name))
            return error_set(ret_error, ERR_INVALID, "there are two bindings '%.*s'",
                             SLICE_ARG(slice_utf8_clip(items[k].name, 128)));
    return OK;
}

static enum err bindings_read_all(const json_t *root, struct arena *a, struct binding **ret_items,
                                  size_t *ret_len, struct error *ret_error)
{
    const size_t len = json_array_size(root);
    enum err err = OK;
    if (!json_is_array(root) || len > LIMIT_BINDINGS) {
        error_set(ret_error, ERR_INVALID, "'bindings' is no array of at most %d objects",
                  LIMIT_BINDINGS);
        error_hint(ret_error, "docs/bindings.md shows declarations");
        return ERR_INVALID;
    }
    struct binding *items = arena_zalloc(a, (len + 1) * sizeof(*items));
    for (size_t k = 0; k < len && err == OK; k++)
        err = binding_read(json_array_get(root, k), a, &items[k], ret_error);
    if (err == OK)
        err = bindings_check_names(items, len, ret_error);
    if (err == OK) {
        *ret_items = items;
        *ret_len = len;
    }
    return err;
}

enum err bindings_read(struct slice json, struct arena *a, struct binding **ret_items,
                       size_t *ret_len, struct error *ret_error)
{
    json_t *root = json_loadb(json.ptr ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, NULL);
    enum err err = bindings_read_all(root, a, ret_items, ret_len, ret_error);
    json_decref(root);
    return err;
}

static void binding_put(struct json_writer *w, const char *key, struct slice text, bool is_json)
{
    if (!key || text.len == 0)
        return;
    json_key(w, key);
    if (is_json)
        json_raw(w, text);
    else
        json_slice(w, text);
}

void bindings_write(struct binding *items, size_t len, struct bytes *out)
{
    if (len == 0)
        return;
    qsort(items, len, sizeof(*items), binding_compare);
    struct json_writer w = json_writer(out);
    json_open(&w, '[');
    for (size_t k = 0; k < len; k++) {
        const struct binding_kind_info *kind = &binding_kinds[items[k].kind];
        json_open(&w, '{');
        binding_put(&w, "type", slice_cstr(kind->word), false);
        binding_put(&w, "name", items[k].name, false);
        binding_put(&w, kind->target, items[k].target, false);
        binding_put(&w, kind->part, items[k].part, false);
        binding_put(&w, kind->details, items[k].details, true);
        json_close(&w, '}');
    }
    json_close(&w, ']');
}

void bindings_write_resources(const struct binding *items, size_t len, struct bytes *out)
{
    for (size_t k = 0; k < len; k++) {
        const struct binding_kind_info *kind = &binding_kinds[items[k].kind];
        if (kind->is_resource)
            bytes_printf(out, "%s %.*s\n", resource_kinds[kind->resource].word,
                         SLICE_ARG(items[k].target));
    }
}
