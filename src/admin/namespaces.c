/* SPDX-License-Identifier: Apache-2.0
 *
 * Namespaces as resources. One is deleted when nothing is in it; with force its modules go first, one
 * after the other, each as if it had been deleted singly, so that what stops half-way is gone on
 * with by asking again. */
#include "admin/body.h"
#include "admin/build_queue.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/module_name.h"

static void namespace_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct namespace_row *row = of;
    (void)r;
    json_open(w, '{');
    json_key(w, "name");
    json_slice(w, row->name);
    for (unsigned k = 0; k < MODULE_KINDS; k++) {
        json_key(w, module_kinds[k].words);
        json_int(w, row->modules[k]);
    }
    times_json(w, "created_at", row->created_us);
    json_close(w, '}');
}

void namespace_list(struct admin_request *r)
{
    struct store_query q = {.kind = STORE_QUERY_NAMESPACES};
    struct error error = {0};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.namespaces.rows, q.namespaces.len, sizeof(*q.namespaces.rows),
                   namespace_json);
}

static void reply_namespace(struct admin_request *r, int status)
{
    struct namespace_row row;
    struct error error = {0};
    if (read_namespace(r, &row, &error))
        reply_error(r, &error);
    else
        reply_row(r, status, &row, namespace_json);
}

void namespace_show(struct admin_request *r)
{
    reply_namespace(r, 200);
}

/* ---- create ---- */

static void reply_created(struct admin_request *r)
{
    reply_namespace(r, 201);
}

static void on_create_announced(struct admin_request *r, const struct error *e)
{
    if (e->code)
        reply_error(r, e);
    else
        request_go(r, reply_created);
}

static void on_created(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, r->space, ADMIN_SPACE_MADE, on_create_announced);
}

static enum err read_name(struct admin_request *r, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT, name = BYTES_INIT;
    struct body_value root, member;
    bool is_good = false;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind == BODY_OBJECT) {
        struct body_walk walk = body_walk(&root);
        is_good = true;
        while (body_next_member(&walk, &key, &member)) {
            is_good &= slice_eq_cstr(bytes_slice(&key), "name") && member.kind == BODY_STRING;
            if (is_good)
                body_string(&member, &name);
        }
    }
    if (!is_good || name.len == 0) {
        error_set(ret_error, ERR_INVALID, "the request body is not {\"name\": \"text\"}");
        error_hint(ret_error, "'limpet namespace create NAME' sends it");
        return ERR_INVALID;
    }
    r->space = arena_copy(r->arena, bytes_slice(&name));
    r->audit.space = slice_utf8_clip(r->space, 63);
    return names_check_namespace(r->space, ret_error);
}

void namespace_create(struct admin_request *r)
{
    struct error error = {0};
    if (read_name(r, &error))
        reply_error(r, &error);
    else
        store_namespace_create(r->admin->store, request_op(r, on_created), r->space);
}

/* ---- delete ---- */

struct namespace_delete {
    struct slice *modules;
    size_t len, next;
};

static void delete_next(struct admin_request *r, const struct error *e);

static void on_module_deleted(struct admin_request *r, const struct store_op *op)
{
    struct namespace_delete *d = r->state;
    struct error error = op->error;
    if (error.code == ERR_NOT_FOUND)
        error.code = OK; /* somebody else was quicker */
    if (error.code)
        reply_error(r, &error);
    else
        function_forget(r, d->modules[d->next++], delete_next);
}

static void on_delete_announced(struct admin_request *r, const struct error *e)
{
    const struct namespace_delete *d = r->state;
    if (e->code) {
        reply_error(r, e);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "name");
    json_slice(&w, r->space);
    json_key(&w, "deleted");
    json_open(&w, '[');
    for (size_t i = 0; i < d->len; i++)
        json_slice(&w, module_name_split(d->modules[i]).name);
    json_close(&w, ']');
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

static void on_deleted(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, r->space, ADMIN_SPACE_DELETED, on_delete_announced);
}

static void delete_next(struct admin_request *r, const struct error *e)
{
    struct namespace_delete *d = r->state;
    if (e->code) {
        reply_error(r, e);
        return;
    }
    if (d->next == d->len) {
        request_audit_target(r, SLICE_EMPTY);
        store_namespace_delete(r->admin->store, request_op(r, on_deleted), r->space,
                               request_query_flag(r, "force"));
        return;
    }
    request_audit_target(r, d->modules[d->next]);
    build_queue_cancel(r->admin->builds, d->modules[d->next]);
    store_function_delete(r->admin->store, request_op(r, on_module_deleted), d->modules[d->next]);
}

static enum err list_modules(struct admin_request *r, struct namespace_delete *d,
                             struct error *ret_error)
{
    struct function_row *rows[MODULE_KINDS];
    size_t len[MODULE_KINDS];
    enum err err = OK;
    for (unsigned k = 0; k < MODULE_KINDS && !err; k++) {
        err = read_functions(r, (enum module_kind)k, &rows[k], &len[k], ret_error);
        d->len += err ? 0 : len[k];
    }
    if (err)
        return err;
    d->modules = arena_array(r->arena, d->len + 1, sizeof(*d->modules));
    size_t at = 0;
    for (unsigned k = 0; k < MODULE_KINDS; k++)
        for (size_t i = 0; i < len[k]; i++)
            d->modules[at++] = rows[k][i].name;
    return OK;
}

void namespace_delete(struct admin_request *r)
{
    struct error error = {0};
    struct namespace_delete *d = arena_new_struct(r->arena, struct namespace_delete);
    r->state = d;
    if (namespace_is_default(r->space)) {
        error_set(&error, ERR_CONFLICT, "the default namespace cannot be deleted");
        error_hint(&error, "delete its functions and workflows");
    } else if (request_query_flag(r, "force")) {
        (void)(list_modules(r, d, &error) == OK);
    }
    delete_next(r, &error);
}
