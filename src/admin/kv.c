/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of KV namespaces as resources. A value is the body, of any bytes; what else there is of a key
 * stands in headers of the answer, and in parameters of a put. */
#include "admin/body.h"
#include "admin/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "http/url.h"
#include "loop/work.h"

enum { KV_TTL_S_MIN = 60 };

/* The namespace of the path, with its number. */
static enum err read_namespace_of(struct admin_request *r, int64_t *ret_id, struct error *ret_error)
{
    struct store_query q;
    enum err err = read_resource(r, RESOURCE_KIND_KV, r->params[0], &q, ret_error);
    if (!err)
        *ret_id = q.resource.row.id;
    return err;
}

static enum err check_key(struct slice key, struct error *ret_error)
{
    if (key.len > 0 && key.len <= LIMIT_KV_KEY_BYTES && slice_is_utf8(key) &&
        !slice_eq_cstr(key, ".") && !slice_eq_cstr(key, ".."))
        return OK;
    error_set(ret_error, ERR_INVALID, "a key has 1 to %d bytes of UTF-8, and is not '.' or '..'",
              LIMIT_KV_KEY_BYTES);
    error_hint(ret_error, "keep what is long in the value");
    return ERR_INVALID;
}

/* ---- keys ---- */

static void key_json(struct json_writer *w, const struct kv_row *row)
{
    json_open(w, '{');
    json_key(w, "name");
    json_slice(w, row->key);
    json_key(w, "bytes");
    json_int(w, row->bytes);
    number_json(w, "expiration", row->expires_s);
    raw_json(w, "metadata", row->metadata);
    json_key(w, "version");
    json_int(w, row->version);
    json_close(w, '}');
}

/* The cursor is the last key of the page before. */
static const char *next_page(struct admin_request *r, struct slice prefix, uint64_t limit,
                             struct slice last)
{
    CLEANUP(bytes_done) struct bytes path = BYTES_INIT;
    bytes_printf(&path, "/kv/%.*s/keys?limit=%llu&prefix=", SLICE_ARG(r->params[0]),
                 (unsigned long long)limit);
    url_encode(prefix, &path);
    bytes_append_cstr(&path, "&cursor=");
    url_encode(last, &path);
    return arena_cstr(r->arena, bytes_slice(&path));
}

void kv_key_list(struct admin_request *r)
{
    struct error error = {0};
    struct slice prefix = SLICE_EMPTY, cursor = SLICE_EMPTY;
    uint64_t limit = 0;
    int64_t id = 0;
    enum err err =
        request_query_uint(r, "limit", ADMIN_PAGE_DEFAULT, STORE_KV_LIST_MAX, &limit, &error);
    (void)request_query(r, "prefix", &prefix);
    (void)request_query(r, "cursor", &cursor);
    if (!err)
        err = read_namespace_of(r, &id, &error);
    struct store_query q = {
        .kind = STORE_QUERY_KV_LIST,
        .kv_list = {.resource = id, .prefix = prefix, .after = cursor, .limit = (int64_t)limit}};
    if (!err)
        err = request_read(r, &q, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '[');
    for (size_t k = 0; k < q.kv_list.len; k++)
        key_json(&w, &q.kv_list.rows[k]);
    json_close(&w, ']');
    reply_page(r,
               q.kv_list.is_complete
                   ? NULL
                   : next_page(r, prefix, limit, q.kv_list.rows[q.kv_list.len - 1].key),
               &body);
}

/* ---- a value ---- */

/* On its way from a file, or to one. */
struct kv_value {
    struct admin_request *request;
    struct kv_row row;
    struct work work;
    struct store_blob *blob;
    char hash[65];
    struct bytes content;
    struct error error;
};

static void value_done(void *arg)
{
    struct kv_value *v = arg;
    bytes_done(&v->content);
    store_blob_free(v->blob);
}

static struct kv_value *value_new(struct admin_request *r)
{
    struct kv_value *v = arena_new_struct(r->arena, struct kv_value);
    v->request = r;
    arena_on_free(r->arena, value_done, v);
    r->state = v;
    return v;
}

static void value_work(struct kv_value *v, void (*run)(struct work *w),
                       void (*done)(struct work *w))
{
    request_hold(v->request);
    v->work = (struct work){.run = run, .done = done};
    work_start(v->request->admin->loop, &v->work);
}

static void reply_value(struct admin_request *r, const struct kv_row *row, struct bytes *body)
{
    struct http_header headers[3];
    size_t len = 0;
    headers[len++] =
        (struct http_header){SLICE_LIT("limpet-version"),
                             slice_cstr(arena_printf(r->arena, "%lld", (long long)row->version))};
    if (row->expires_s)
        headers[len++] = (struct http_header){
            SLICE_LIT("limpet-expiration"),
            slice_cstr(arena_printf(r->arena, "%lld", (long long)row->expires_s))};
    if (row->metadata.len > 0) { /* as JSON of ASCII: other characters do not stand in a header */
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        url_encode(row->metadata, &text);
        headers[len++] = (struct http_header){SLICE_LIT("limpet-metadata"),
                                              arena_copy(r->arena, bytes_slice(&text))};
    }
    reply_with(r, 200, headers, len, "application/octet-stream", body);
}

static void read_run(struct work *w)
{
    struct kv_value *v = container_of(w, struct kv_value, work);
    struct store *s = v->request->admin->store;
    int fd = -1;
    uint64_t size = 0;
    enum err err = store_asset_open(s, v->row.file, "", &fd, &size, &v->error);
    if (err == OK)
        err = store_asset_read(fd, 0, size, &v->content, &v->error);
    if (fd >= 0)
        close(fd);
    CHECK(err == v->error.code);
}

static void read_done(struct work *w)
{
    struct kv_value *v = container_of(w, struct kv_value, work);
    struct admin_request *r = v->request;
    if (v->error.code)
        reply_error(r, &v->error);
    else
        reply_value(r, &v->row, &v->content);
    request_release(r);
}

void kv_value_get(struct admin_request *r)
{
    struct error error = {0};
    int64_t id = 0;
    enum err err = check_key(r->params[1], &error);
    if (!err)
        err = read_namespace_of(r, &id, &error);
    struct store_query q = {
        .kind = STORE_QUERY_KV_GET,
        .kv_get = {
            .resource = id, .keys = &r->params[1], .len = 1, .bytes_max = LIMIT_KV_VALUE_BYTES}};
    if (!err)
        err = request_read(r, &q, &error);
    if (!err && q.kv_get.rows[0].version == 0) {
        err = error_set(&error, ERR_NOT_FOUND, "there is no key '%.*s'",
                        SLICE_ARG(slice_utf8_clip(r->params[1], 100)));
        error_hint(&error, "GET %s/kv/%.*s/keys lists those that there are", r->base,
                   SLICE_ARG(r->params[0]));
    }
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct kv_row *row = &q.kv_get.rows[0];
    if (row->file.len > 0) {
        struct kv_value *v = value_new(r);
        v->row = *row;
        value_work(v, read_run, read_done);
        return;
    }
    struct bytes body = BYTES_INIT;
    bytes_append_slice(&body, row->value);
    reply_value(r, row, &body);
}

static void on_written(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        reply_empty(r, 204);
}

static enum err read_expiration(struct admin_request *r, int64_t *ret_expires_s,
                                struct error *ret_error)
{
    const int64_t now_s = clock_wall_us() / 1000000;
    uint64_t at = 0, ttl = 0;
    enum err err = request_query_uint(r, "expiration", 0, INT64_MAX / 1000000, &at, ret_error);
    if (!err)
        err = request_query_uint(r, "expiration_ttl", 0, INT32_MAX, &ttl, ret_error);
    if (err)
        return err;
    *ret_expires_s = ttl ? now_s + (int64_t)ttl : (int64_t)at;
    if (*ret_expires_s && *ret_expires_s < now_s + KV_TTL_S_MIN) {
        error_set(ret_error, ERR_INVALID, "a key cannot expire in less than %d seconds",
                  KV_TTL_S_MIN);
        error_hint(ret_error, "expiration is in seconds since 1970, expiration_ttl from now");
        return ERR_INVALID;
    }
    return OK;
}

static enum err read_row(struct admin_request *r, struct kv_row *row, struct error *ret_error)
{
    struct body_value json;
    row->key = r->params[1];
    row->value = r->body;
    row->bytes = (int64_t)r->body.len;
    enum err err = check_key(row->key, ret_error);
    if (!err)
        err = read_expiration(r, &row->expires_s, ret_error);
    if (!err && r->body.len > LIMIT_KV_VALUE_BYTES)
        err = error_set(ret_error, ERR_TOO_LARGE, "a value has at most %d bytes",
                        LIMIT_KV_VALUE_BYTES);
    if (err || !request_query(r, "metadata", &row->metadata))
        return err;
    if (row->metadata.len > LIMIT_KV_METADATA_BYTES) {
        error_set(ret_error, ERR_TOO_LARGE, "metadata has at most %d bytes",
                  LIMIT_KV_METADATA_BYTES);
        error_hint(ret_error, "keep what is long in the value");
        return ERR_TOO_LARGE;
    }
    return body_parse(row->metadata, &json, ret_error);
}

static void file_run(struct work *w)
{
    struct kv_value *v = container_of(w, struct kv_value, work);
    v->error.code = store_blob_new(v->request->admin->store, &v->blob, &v->error);
    if (v->error.code == OK)
        v->error.code = store_blob_write(v->blob, v->row.value, &v->error);
    if (v->error.code == OK)
        v->error.code = store_blob_end(v->blob, v->hash, &v->error);
}

static void name_run(struct work *w)
{
    struct kv_value *v = container_of(w, struct kv_value, work);
    v->error.code = store_blob_keep(v->blob, &v->error);
}

static void name_done(struct work *w)
{
    struct kv_value *v = container_of(w, struct kv_value, work);
    struct admin_request *r = v->request;
    v->row.file = slice_cstr(v->hash);
    v->row.value = SLICE_EMPTY;
    if (v->error.code)
        reply_error(r, &v->error);
    else
        store_kv_put(r->admin->store, request_op(r, on_written), &v->row, STORE_KV_ANY);
    request_release(r);
}

static void on_expected(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        value_work(r->state, name_run, name_done);
}

static void file_done(struct work *w)
{
    struct kv_value *v = container_of(w, struct kv_value, work);
    struct admin_request *r = v->request;
    if (v->error.code)
        reply_error(r, &v->error);
    else { /* no change of its own: the put is what is logged */
        struct store_op *op = request_op(r, on_expected);
        op->audit = NULL;
        store_file_expected(r->admin->store, op, slice_cstr(v->hash));
    }
    request_release(r);
}

void kv_value_put(struct admin_request *r)
{
    struct error error = {0};
    struct kv_row row = {0};
    enum err err = read_row(r, &row, &error);
    if (!err)
        err = read_namespace_of(r, &row.resource, &error);
    if (err) {
        reply_error(r, &error);
    } else if (row.bytes <= STORE_KV_INLINE_BYTES) {
        store_kv_put(r->admin->store, request_op(r, on_written), &row, STORE_KV_ANY);
    } else {
        struct kv_value *v = value_new(r);
        v->row = row;
        value_work(v, file_run, file_done);
    }
}

void kv_value_delete(struct admin_request *r)
{
    struct error error = {0};
    int64_t id = 0;
    enum err err = check_key(r->params[1], &error);
    if (!err)
        err = read_namespace_of(r, &id, &error);
    if (err)
        reply_error(r, &error);
    else
        store_kv_delete(r->admin->store, request_op(r, on_written), id, r->params[1], STORE_KV_ANY);
}
