/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets of functions and workflows, and those that all of a namespace share: variables whose values
 * nobody but the modules' code sees, and of those that are bound to hosts not even that. They are sealed
 * in the store; here a value only passes by on its way there. */
#include <openssl/crypto.h>

#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/limits.h"
#include "http/placeholder.h"

static void secret_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct env_row *row = of;
    (void)r;
    if (!row->is_secret)
        return;
    json_open(w, '{');
    json_key(w, "name");
    json_slice(w, row->name);
    json_key(w, "version");
    json_int(w, row->version % STORE_SHARED_VERSION);
    json_key(w, "hosts");
    if (row->hosts.len == 0) {
        json_nil(w);
    } else {
        json_open(w, '[');
        for (struct slice rest = row->hosts; rest.len > 0;)
            json_slice(w, slice_split(&rest, ' '));
        json_close(w, ']');
    }
    times_json(w, "created_at", row->created_us);
    times_json(w, "updated_at", row->updated_us);
    json_close(w, '}');
}

void secret_list(struct admin_request *r)
{
    struct env_row *rows;
    size_t len;
    struct error error = {0};
    if (module_check(r, r->params[0], &error) || read_env(r, r->params[0], &rows, &len, &error))
        reply_error(r, &error);
    else
        reply_rows(r, rows, len, sizeof(*rows), secret_json);
}

void shared_secret_list(struct admin_request *r)
{
    struct store_query q = {
        .kind = STORE_QUERY_ENV, .env.function = r->space, .env.is_shared = true};
    struct error error = {0};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.env.rows, q.env.len, sizeof(*q.env.rows), secret_json);
}

/* ---- what is to be stored ---- */

struct secret_body {
    struct bytes value;
    struct slice hosts; /* a space between */
    bool has_value, has_hosts;
};

static void body_done(struct secret_body *b)
{
    if (b->value.len > 0)
        OPENSSL_cleanse(b->value.ptr, b->value.len);
    bytes_done(&b->value);
}

static enum err body_bad(struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID,
              "the request body is not {\"value\": text, \"hosts\": a list of at most %d hosts}",
              PLACEHOLDER_HOSTS_MAX);
    error_hint(ret_error, "'limpet secret set' sends it; without hosts those that it has stay");
    return ERR_INVALID;
}

static enum err read_hosts(struct admin_request *r, const struct body_value *v,
                           struct slice *ret_hosts, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    struct url_pattern ignored;
    struct body_value item;
    size_t count = 0;
    enum err err = v->kind == BODY_ARRAY ? OK : body_bad(ret_error);
    struct body_walk walk = {0};
    if (!err)
        walk = body_walk(v);
    while (!err && body_next_item(&walk, &item)) {
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        if (item.kind != BODY_STRING || ++count > PLACEHOLDER_HOSTS_MAX)
            return body_bad(ret_error);
        body_string(&item, &text);
        struct slice host = slice_trim(bytes_slice(&text));
        err = placeholder_host_parse(r->arena, host, &ignored, ret_error);
        if (all.len > 0)
            bytes_append_char(&all, ' ');
        bytes_append_slice(&all, host);
    }
    if (!err && all.len > PLACEHOLDER_HOSTS_BYTES_MAX)
        err = error_set(ret_error, ERR_TOO_LARGE, "the hosts of a secret have more than %d bytes",
                        PLACEHOLDER_HOSTS_BYTES_MAX);
    if (!err)
        *ret_hosts = arena_copy(r->arena, bytes_slice(&all));
    return err;
}

static enum err read_member(struct admin_request *r, struct slice key, const struct body_value *v,
                            struct secret_body *b, struct error *ret_error)
{
    if (slice_eq_cstr(key, "hosts") && v->kind == BODY_NULL)
        return OK;
    if (slice_eq_cstr(key, "hosts")) {
        b->has_hosts = true;
        return read_hosts(r, v, &b->hosts, ret_error);
    }
    if (!slice_eq_cstr(key, "value") || v->kind != BODY_STRING)
        return body_bad(ret_error);
    b->has_value = true;
    bytes_clear(&b->value);
    body_string(v, &b->value);
    return OK;
}

static enum err read_body(struct admin_request *r, struct secret_body *ret_body,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, member;
    enum err err = body_parse(r->body, &root, ret_error);
    if (!err && root.kind != BODY_OBJECT)
        err = body_bad(ret_error);
    if (err)
        return err;
    struct body_walk walk = body_walk(&root);
    while (!err && body_next_member(&walk, &key, &member))
        err = read_member(r, bytes_slice(&key), &member, ret_body, ret_error);
    if (!err && !ret_body->has_value)
        err = body_bad(ret_error);
    if (!err && ret_body->value.len > LIMIT_ENV_VALUE_BYTES)
        err = error_set(ret_error, ERR_TOO_LARGE, "the value has more than %d bytes",
                        LIMIT_ENV_VALUE_BYTES);
    return err;
}

/* ---- of one module ---- */

static bool reply_failed(struct admin_request *r, const struct error *e)
{
    struct error error = *e;
    if (error.code == ERR_NOT_FOUND && !error.hint[0])
        error_hint(&error, "'limpet secret list' shows those that there are");
    else if (error.code && !error.hint[0])
        error_hint(&error, "delete one that is not used, or see the server's log");
    if (error.code)
        reply_error(r, &error);
    return error.code != OK;
}

static void on_stored(struct admin_request *r, const struct store_op *op)
{
    if (!reply_failed(r, &op->error))
        change_announce(r, r->params[0], ADMIN_CHANGED, reply_changed);
}

static void secret_store(struct admin_request *r, const struct secret_of *of,
                         void (*done)(struct admin_request *r, const struct store_op *op))
{
    CLEANUP(body_done) struct secret_body body = {.value = BYTES_INIT};
    struct error error = {0};
    enum err err = names_check_env(of->name, &error);
    if (!err)
        err = read_body(r, &body, &error);
    if (!err && !of->is_shared)
        err = module_check(r, of->owner, &error);
    if (err)
        reply_error(r, &error);
    else
        store_secret_set(r->admin->store, request_op(r, done), of, bytes_slice(&body.value),
                         body.hosts, !body.has_hosts);
}

void secret_put(struct admin_request *r)
{
    const struct secret_of of = {r->params[0], r->params[1], false};
    secret_store(r, &of, on_stored);
}

void secret_delete(struct admin_request *r)
{
    const struct secret_of of = {r->params[0], r->params[1], false};
    struct error error = {0};
    if (module_check(r, r->params[0], &error))
        reply_error(r, &error);
    else
        store_secret_delete(r->admin->store, request_op(r, on_stored), &of);
}

/* ---- shared: every module of the namespace is announced, one after the other ---- */

struct shared_change {
    struct function_row *rows[MODULE_KINDS];
    size_t len[MODULE_KINDS], next;
    unsigned kind;
};

static void shared_announce(struct admin_request *r, const struct error *e)
{
    struct shared_change *c = r->state;
    while (!e->code && c->kind < MODULE_KINDS && c->next == c->len[c->kind]) {
        c->kind++;
        c->next = 0;
    }
    if (e->code || c->kind >= MODULE_KINDS)
        reply_changed(r, e);
    else
        change_announce(r, c->rows[c->kind][c->next++].name, ADMIN_CHANGED, shared_announce);
}

static void shared_stored(struct admin_request *r)
{
    struct shared_change *c = arena_new_struct(r->arena, struct shared_change);
    struct error error = {0};
    enum err err = OK;
    for (unsigned k = 0; k < MODULE_KINDS && !err; k++)
        err = read_functions(r, (enum module_kind)k, &c->rows[k], &c->len[k], &error);
    r->state = c;
    if (err)
        reply_error(r, &error);
    else
        shared_announce(r, &error);
}

static void on_shared_stored(struct admin_request *r, const struct store_op *op)
{
    if (!reply_failed(r, &op->error))
        request_go(r, shared_stored);
}

void shared_secret_put(struct admin_request *r)
{
    const struct secret_of of = {r->space, r->params[0], true};
    secret_store(r, &of, on_shared_stored);
}

void shared_secret_delete(struct admin_request *r)
{
    const struct secret_of of = {r->space, r->params[0], true};
    store_secret_delete(r->admin->store, request_op(r, on_shared_stored), &of);
}
