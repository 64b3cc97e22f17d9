/* SPDX-License-Identifier: Apache-2.0
 *
 * What exchanges answer with. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bucket/internal.h"
#include "http/url.h"

void bucket_answer_header(struct bucket_exchange *x, const char *name, struct slice value)
{
    CHECK(x->headers_len < ARRAY_LEN(x->headers));
    x->headers[x->headers_len++] = (struct http_header){slice_cstr(name), value};
}

void bucket_answer_object(struct bucket_exchange *x, int64_t from, int64_t to)
{
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    bucket_object_json(&x->row, from, to, &json);
    bytes_clear(&x->object);
    url_encode(bytes_slice(&json), &x->object);
    bucket_answer_header(x, "limpet-object", bytes_slice(&x->object));
}

void bucket_answer_refusal(struct bucket_exchange *x, const struct error *error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_printf(&text, "%s ", error_text(error->code));
    url_encode(slice_cstr(error->message), &text);
    x->headers_len = 0;
    x->fetch->status = error_http_status(error->code);
    bucket_answer_header(x, "limpet-error", arena_copy(x->arena, bytes_slice(&text)));
    bytes_clear(&x->json);
    x->at = x->end = 0;
    x->state = BUCKET_ANSWER;
}

static void send_json(struct bucket_exchange *x)
{
    x->fetch->status = 200;
    bucket_answer_header(x, "content-type", SLICE_LIT("application/json"));
    x->at = 0;
    x->end = (int64_t)x->json.len;
    x->state = BUCKET_ANSWER;
}

void bucket_answer_list(struct bucket_exchange *x, const struct store_query *q)
{
    struct json_writer w = json_writer(&x->json);
    json_open(&w, '{');
    json_key(&w, "objects");
    json_open(&w, '[');
    for (size_t k = 0; k < q->object_list.len; k++) {
        CLEANUP(bytes_done) struct bytes one = BYTES_INIT;
        bucket_object_json(&q->object_list.rows[k], 0, -1, &one);
        json_raw(&w, bytes_slice(&one));
    }
    json_close(&w, ']');
    json_key(&w, "prefixes");
    json_open(&w, '[');
    for (size_t k = 0; k < q->object_list.prefixes_len; k++)
        json_slice(&w, q->object_list.prefixes[k]);
    json_close(&w, ']');
    if (q->object_list.last.len > 0) { /* not always UTF-8 */
        CLEANUP(bytes_done) struct bytes cursor = BYTES_INIT;
        url_encode(q->object_list.last, &cursor);
        json_key(&w, "cursor");
        json_slice(&w, bytes_slice(&cursor));
    }
    json_close(&w, '}');
    send_json(x);
}

void bucket_answer_upload(struct bucket_exchange *x)
{
    struct json_writer w = json_writer(&x->json);
    json_open(&w, '{');
    json_key(&w, "uploadId");
    json_slice(&w, x->upload);
    json_close(&w, '}');
    send_json(x);
}

static void part_json(struct json_writer *w, int64_t number, struct slice etag, int64_t size)
{
    json_open(w, '{');
    json_key(w, "partNumber");
    json_int(w, number);
    json_key(w, "etag");
    json_slice(w, etag);
    json_key(w, "size");
    json_int(w, size);
    json_close(w, '}');
}

void bucket_answer_part(struct bucket_exchange *x)
{
    struct json_writer w = json_writer(&x->json);
    part_json(&w, x->part.number, x->part.etag, x->part.bytes);
    send_json(x);
}

void bucket_answer_parts(struct bucket_exchange *x, const struct store_query *q)
{
    struct json_writer w = json_writer(&x->json);
    json_open(&w, '[');
    for (size_t k = 0; k < q->upload_get.len; k++)
        part_json(&w, q->upload_get.parts[k].number, q->upload_get.parts[k].etag,
                  q->upload_get.parts[k].bytes);
    json_close(&w, ']');
    send_json(x);
}

/* ---- the end of a multipart upload ---- */

static const struct object_file *part_find(const struct store_query *q, json_int_t number)
{
    for (size_t k = 0; k < q->upload_get.len; k++)
        if (q->upload_get.parts[k].number == number)
            return &q->upload_get.parts[k];
    return NULL;
}

static enum err part_take(struct bucket_exchange *x, const struct store_query *q,
                          const json_t *item, bool is_last, struct object_file *ret,
                          struct error *ret_error)
{
    const json_int_t number = json_integer_value(json_object_get(item, "partNumber"));
    const json_t *etag = json_object_get(item, "etag");
    const struct object_file *part = part_find(q, number);
    struct slice said = slice_cstr(json_is_string(etag) ? json_string_value(etag) : "");
    if (said.len >= 2 && said.ptr[0] == '"')
        said = slice_of(said.ptr + 1, said.len - 2);
    if (!part || !slice_eq(part->etag, said))
        return error_set(ret_error, ERR_INVALID,
                         "One or more of the specified parts could not be found.");
    if (!is_last && part->bytes < BUCKET_PART_BYTES_MIN)
        return error_set(ret_error, ERR_INVALID,
                         "Your proposed upload is smaller than the minimum allowed object size.");
    const uint32_t n = (uint32_t)number;
    bytes_append(&x->numbers, &n, sizeof(n));
    x->size += part->bytes;
    *ret = *part;
    return OK;
}

static enum err parts_take(struct bucket_exchange *x, const struct store_query *q,
                           const json_t *root, struct error *ret_error)
{
    const size_t len = json_array_size(root);
    if (!json_is_array(root) || len == 0 || len > STORE_OBJECT_PARTS_MAX)
        return error_set(ret_error, ERR_INVALID, "an upload is completed with 1 to %d parts",
                         STORE_OBJECT_PARTS_MAX);
    struct object_file *parts = arena_zalloc(x->arena, len * sizeof(*parts));
    enum err err = OK;
    for (size_t k = 0; k < len && err == OK; k++) {
        err = part_take(x, q, json_array_get(root, k), k + 1 == len, &parts[k], ret_error);
        if (err == OK && k > 0 && parts[k].number <= parts[k - 1].number)
            err = error_set(ret_error, ERR_INVALID,
                            "the parts are not in the order of their "
                            "numbers");
    }
    if (err == OK && !bucket_etag_of_parts(parts, len, x->etag))
        err = error_set(ret_error, ERR_INTERNAL, "a part has no MD5");
    return err;
}

enum err bucket_read_parts(struct bucket_exchange *x, const struct store_query *q,
                           struct error *ret_error)
{
    x->size = 0;
    bytes_clear(&x->numbers);
    json_t *root = json_loadb(x->taken.ptr ? x->taken.ptr : "", x->taken.len, 0, NULL);
    enum err err = parts_take(x, q, root, ret_error);
    json_decref(root);
    return err;
}
