/* SPDX-License-Identifier: Apache-2.0
 *
 * Resources (base/resource_kind.h) of all kinds: the path says which. What is in one has handlers of its
 * kind. Settings are a JSON object that the kind's own check has seen. */
#include "admin/body.h"
#include "admin/internal.h"
#include "base/limits.h"
#include "base/module_name.h"

/* Whether these settings may be; NULL: the kind has none. */
static enum err (*const settings_check[RESOURCE_KINDS])(struct admin_request *r,
                                                        const struct body_value *settings,
                                                        struct error *ret_error) = {
    [RESOURCE_KIND_KV] = NULL,
};

enum resource_kind request_resource_kind(const struct admin_request *r)
{
    return resource_kind_of_path(slice_cstr(r->route->path));
}

/* ---- answers ---- */

static void resource_json_members(struct json_writer *w, const struct resource_row *row)
{
    json_key(w, "name");
    json_slice(w, row->name);
    json_key(w, "type");
    json_cstr(w, resource_kinds[row->kind].word);
    json_key(w, "namespace");
    json_slice(w, row->space);
    json_key(w, "id");
    json_int(w, row->id);
    json_key(w, "items");
    json_int(w, row->items);
    json_key(w, "stored_bytes");
    json_int(w, row->bytes);
    raw_json(w, "settings", row->settings);
    times_json(w, "created_at", row->created_us);
}

static void resource_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    (void)r;
    json_open(w, '{');
    resource_json_members(w, of);
    json_close(w, '}');
}

static void resource_whole_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct store_query *q = of;
    (void)r;
    json_open(w, '{');
    resource_json_members(w, &q->resource.row);
    json_key(w, "bound_to");
    json_open(w, '[');
    for (size_t k = 0; k < q->resource.users_len; k++)
        json_slice(w, module_name_split(q->resource.users[k]).name);
    json_close(w, ']');
    json_close(w, '}');
}

void resource_list(struct admin_request *r)
{
    struct error error = {0};
    struct store_query q = {.kind = STORE_QUERY_RESOURCES,
                            .resources = {.space = r->space, .kind = request_resource_kind(r)}};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.resources.rows, q.resources.len, sizeof(*q.resources.rows), resource_json);
}

enum err read_resource(struct admin_request *r, enum resource_kind kind, struct slice name,
                       struct store_query *ret_query, struct error *ret_error)
{
    *ret_query = (struct store_query){.kind = STORE_QUERY_RESOURCE,
                                      .resource = {.space = r->space, .kind = kind, .name = name}};
    return request_read(r, ret_query, ret_error);
}

static void reply_resource(struct admin_request *r)
{
    struct error error = {0};
    struct store_query q;
    if (read_resource(r, request_resource_kind(r), r->subject, &q, &error))
        reply_error(r, &error);
    else
        reply_row(r, r->route->status, &q, resource_whole_json);
}

void resource_show(struct admin_request *r)
{
    r->subject = r->params[0];
    reply_resource(r);
}

/* ---- changes ---- */

static enum err read_settings(struct admin_request *r, const struct body_value *v,
                              struct resource_row *row, struct error *ret_error)
{
    if (v->kind == BODY_NULL)
        return OK;
    if (v->kind != BODY_OBJECT || v->text.len > LIMIT_ENV_VALUE_BYTES) {
        error_set(ret_error, ERR_INVALID, "'settings' is no object of at most %d bytes",
                  LIMIT_ENV_VALUE_BYTES);
        error_hint(ret_error, "see /openapi.json for what there is");
        return ERR_INVALID;
    }
    if (!settings_check[row->kind]) {
        error_set(ret_error, ERR_INVALID, "a %s has no settings", resource_kinds[row->kind].title);
        error_hint(ret_error, "leave 'settings' out");
        return ERR_INVALID;
    }
    row->settings = v->text;
    return settings_check[row->kind](r, v, ret_error);
}

/* {"name", "settings"}; has_name: it has the first, else it has only the other. */
static enum err read_body(struct admin_request *r, bool has_name, struct resource_row *row,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT, name = BYTES_INIT;
    struct body_value root, member;
    enum err err = body_parse(r->body, &root, ret_error);
    bool is_good = err == OK && root.kind == BODY_OBJECT;
    struct body_walk walk = {0};
    if (is_good)
        walk = body_walk(&root);
    while (err == OK && is_good && body_next_member(&walk, &key, &member)) {
        if (slice_eq_cstr(bytes_slice(&key), "settings"))
            err = read_settings(r, &member, row, ret_error);
        else if (has_name && slice_eq_cstr(bytes_slice(&key), "name") && member.kind == BODY_STRING)
            body_string(&member, &name);
        else
            is_good = false;
    }
    if (err)
        return err;
    if (!is_good || (has_name && name.len == 0)) {
        error_set(ret_error, ERR_INVALID, "the request body is not {%s\"settings\": {…}}",
                  has_name ? "\"name\": \"text\", " : "");
        error_hint(ret_error, "settings may be left out; /openapi.json says what there is");
        return ERR_INVALID;
    }
    if (!has_name)
        return OK;
    row->name = arena_copy(r->arena, bytes_slice(&name));
    return resource_name_check(row->kind, row->name, ret_error);
}

static void on_changed(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else if (r->route->status == 204)
        reply_empty(r, 204);
    else
        request_go(r, reply_resource);
}

static struct resource_row row_of(const struct admin_request *r)
{
    return (struct resource_row){
        .space = r->space, .kind = request_resource_kind(r), .name = r->params[0]};
}

void resource_create(struct admin_request *r)
{
    struct error error = {0};
    struct resource_row row = row_of(r);
    if (read_body(r, true, &row, &error)) {
        reply_error(r, &error);
        return;
    }
    r->subject = row.name;
    request_audit_target(r, row.name);
    store_resource_create(r->admin->store, request_op(r, on_changed), &row);
}

void resource_set(struct admin_request *r)
{
    struct error error = {0};
    struct resource_row row = row_of(r);
    r->subject = row.name;
    if (read_body(r, false, &row, &error))
        reply_error(r, &error);
    else
        store_resource_set(r->admin->store, request_op(r, on_changed), &row);
}

/* Its files go when it is deleted, durably. */
static void on_database_deleted(struct admin_request *r, const struct store_op *op)
{
    const struct admin_host *host = &r->admin->host;
    if (op->error.code == OK && r->resource > 0)
        host->database_gone(host->ctx, r->space, r->resource);
    on_changed(r, op);
}

void resource_delete(struct admin_request *r)
{
    struct resource_row row = row_of(r);
    struct store_query q;
    struct error error = {0};
    if (resource_kinds[row.kind].is_database) {
        if (read_resource(r, row.kind, row.name, &q, &error)) {
            reply_error(r, &error);
            return;
        }
        r->resource = q.resource.row.id;
        store_resource_delete(r->admin->store, request_op(r, on_database_deleted), &row,
                              request_query_flag(r, "unbind"));
        return;
    }
    store_resource_delete(r->admin->store, request_op(r, on_changed), &row,
                          request_query_flag(r, "unbind"));
}
