/* SPDX-License-Identifier: Apache-2.0
 *
 * Queues: messages that are sent by the API, what is done to all of a queue, and the consumers that an upload
 * declares. Making and deleting them is resources.c. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/internal.h"

enum { CONSUMERS_MAX = 100 };

static enum err queue_bad(const char *what, const char *hint, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "%s", what);
    error_hint(ret_error, "%s", hint);
    return ERR_INVALID;
}

/* ---- of an upload ---- */

static const struct {
    const char *key;
    double min, max;
} settings[] = {
    {"max_batch_size", 1, 100},  {"max_batch_timeout", 0, 60},      {"max_retries", 0, 100},
    {"max_concurrency", 1, 250}, {"retry_delay", 0, 7 * 24 * 3600},
};

static enum err read_setting(const char *key, const json_t *value, json_t *to,
                             struct error *ret_error)
{
    for (size_t k = 0; k < ARRAY_LEN(settings); k++) {
        if (strcmp(key, settings[k].key) != 0)
            continue;
        if (json_is_null(value))
            return OK;
        const double n = json_number_value(value);
        if (json_is_number(value) && n >= settings[k].min && n <= settings[k].max) {
            (void)json_object_set_new(to, key, json_deep_copy(value));
            return OK;
        }
        error_set(ret_error, ERR_INVALID, "a consumer's '%s' is no number of %g to %g", key,
                  settings[k].min, settings[k].max);
        error_hint(ret_error, "leave it out for the default: docs/queues.md");
        return ERR_INVALID;
    }
    error_set(ret_error, ERR_INVALID, "a consumer has the unknown member '%.60s'", key);
    error_hint(ret_error, "docs/queues.md has its members");
    return ERR_INVALID;
}

static enum err read_queue_name(const json_t *value, struct error *ret_error)
{
    return json_is_string(value)
               ? resource_name_check(RESOURCE_KIND_QUEUE, slice_cstr(json_string_value(value)),
                                     ret_error)
               : queue_bad("a consumer names its queue by a text", "write \"queue\": \"name\"",
                           ret_error);
}

static enum err read_consumer(json_t *o, json_t *all, struct error *ret_error)
{
    const char *key;
    json_t *value, *to = json_object(), *row = json_object();
    enum err err = json_is_object(o) ? read_queue_name(json_object_get(o, "queue"), ret_error)
                                     : queue_bad("a consumer is no object",
                                                 "write {\"queue\": \"name\"}", ret_error);
    json_object_foreach(o, key, value)
    {
        if (err != OK)
            break;
        if (strcmp(key, "queue") == 0 || strcmp(key, "dead_letter_queue") == 0) {
            err = json_is_null(value) ? OK : read_queue_name(value, ret_error);
            (void)json_object_set_new(row, key, json_deep_copy(value));
        } else {
            err = read_setting(key, value, to, ret_error);
        }
    }
    char *text = json_dumps(to, JSON_COMPACT | JSON_SORT_KEYS);
    CHECK(text);
    (void)json_object_set_new(row, "settings", json_string(text));
    free(text);
    json_decref(to);
    (void)json_array_append_new(all, row);
    return err;
}

enum err consumers_of_upload(struct slice json, struct arena *a, struct slice *ret_json,
                             struct error *ret_error)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *all = json_array();
    enum err err = OK;
    if (!json_is_array(root) || json_array_size(root) > CONSUMERS_MAX)
        err = queue_bad("'consumers' is no array of at most 100 objects",
                        "docs/queues.md has their members", ret_error);
    for (size_t k = 0; err == OK && k < json_array_size(root); k++)
        err = read_consumer(json_array_get(root, k), all, ret_error);
    if (err == OK && json_array_size(all) > 0) {
        char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
        CHECK(text);
        *ret_json = arena_copy(a, slice_cstr(text));
        free(text);
    }
    json_decref(root);
    json_decref(all);
    return err;
}

/* ---- sending ---- */

static void put_u32(struct bytes *out, uint32_t n)
{
    bytes_append(out, &n, sizeof(n));
}

static enum err put_message(const json_t *o, struct bytes *out, struct error *ret_error)
{
    const json_t *body = json_object_get(o, "body"), *delay = json_object_get(o, "delay_seconds");
    const char *type = json_string_value(json_object_get(o, "content_type"));
    const bool is_text = type && strcmp(type, "text") == 0;
    const json_int_t seconds = json_integer_value(delay);
    if (!body || (type && !is_text && strcmp(type, "json") != 0) ||
        (is_text && !json_is_string(body)) ||
        (delay && (!json_is_integer(delay) || seconds < 0 || seconds > STORE_MESSAGE_DELAY_S_MAX)))
        return queue_bad("a message is not {\"body\": …}",
                         "content_type is json or text, delay_seconds 0 to 604800", ret_error);
    char *text = is_text ? strdup(json_string_value(body))
                         : json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(text);
    put_u32(out, (uint32_t)seconds);
    put_u32(out, is_text ? MESSAGE_TEXT : MESSAGE_JSON);
    put_u32(out, (uint32_t)strlen(text));
    bytes_append_cstr(out, text);
    free(text);
    return OK;
}

static enum err read_messages(struct admin_request *r, struct bytes *out, struct error *ret_error)
{
    json_t *root = json_loadb(r->body.ptr ? r->body.ptr : "", r->body.len, JSON_ALLOW_NUL, NULL);
    const json_t *all = json_object_get(root, "messages");
    enum err err = OK;
    if (!json_is_array(all) || json_array_size(all) == 0 ||
        json_array_size(all) > STORE_SEND_MESSAGES_MAX)
        err = queue_bad("the body is not {\"messages\": [{\"body\": …}]} with 1 to 100 messages",
                        "see /openapi.json", ret_error);
    for (size_t k = 0; err == OK && k < json_array_size(all); k++)
        err = put_message(json_array_get(all, k), out, ret_error);
    json_decref(root);
    return err;
}

static enum err find_queue(struct admin_request *r, int64_t *ret_queue, struct error *ret_error)
{
    struct store_query q;
    enum err err = read_resource(r, RESOURCE_KIND_QUEUE, r->params[0], &q, ret_error);
    if (err == OK)
        *ret_queue = q.resource.row.id;
    return err;
}

/* The queue's number is the request's state. */
static void on_done(struct admin_request *r, const struct store_op *op)
{
    const struct admin_host *host = &r->admin->host;
    const int64_t *queue = r->state;
    if (op->error.code) {
        reply_error(r, &op->error);
        return;
    }
    host->queue_look(host->ctx, *queue);
    reply_empty(r, r->route->status);
}

static int64_t *queue_state(struct admin_request *r, struct error *ret_error)
{
    int64_t *queue = arena_zalloc(r->arena, sizeof(*queue));
    r->state = queue;
    return find_queue(r, queue, ret_error) == OK ? queue : NULL;
}

void queue_send(struct admin_request *r)
{
    CLEANUP(bytes_done) struct bytes messages = BYTES_INIT;
    struct error error = {0};
    const int64_t *queue = queue_state(r, &error);
    if (!queue || read_messages(r, &messages, &error))
        reply_error(r, &error);
    else
        store_message_send(r->admin->store, request_op(r, on_done), *queue, bytes_slice(&messages),
                           SLICE_EMPTY);
}

void queue_purge(struct admin_request *r)
{
    struct error error = {0};
    const int64_t *queue = queue_state(r, &error);
    if (!queue)
        reply_error(r, &error);
    else
        store_queue_purge(r->admin->store, request_op(r, on_done), *queue);
}

static void set_paused(struct admin_request *r, bool is_paused)
{
    struct error error = {0};
    const int64_t *queue = queue_state(r, &error);
    if (!queue)
        reply_error(r, &error);
    else
        store_queue_pause(r->admin->store, request_op(r, on_done), *queue, is_paused);
}

void queue_pause(struct admin_request *r)
{
    set_paused(r, true);
}

void queue_resume(struct admin_request *r)
{
    set_paused(r, false);
}
