/* SPDX-License-Identifier: Apache-2.0
 *
 * Environment variables of a function or workflow. A change is answered when it is durable and
 * every engine thread has taken it: the next request sees it. */
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/limits.h"

static enum err read_all(struct admin_request *r, struct env_row **ret_rows, size_t *ret_len,
                         struct error *ret_error)
{
    struct function_row function;
    enum err err = function_read(r, r->params[0], &function, ret_error);
    if (err)
        return err;
    return read_env(r, r->params[0], ret_rows, ret_len, ret_error);
}

static const struct env_row *find(const struct env_row *rows, size_t len, struct slice name)
{
    for (size_t i = 0; i < len; i++) {
        if (slice_eq(rows[i].name, name) && !rows[i].is_secret)
            return &rows[i];
    }
    return NULL;
}

static enum err not_found(struct admin_request *r, struct error *ret_error)
{
    const char *word = kind_word(r->kind);
    error_set(ret_error, ERR_NOT_FOUND, "%s '%.*s' has no variable '%.*s'", word,
              SLICE_ARG(r->params[0]), SLICE_ARG(slice_utf8_clip(r->params[1], 128)));
    error_hint(ret_error, "'limpet %s env list %.*s' shows its variables", word,
               SLICE_ARG(r->params[0]));
    return ERR_NOT_FOUND;
}

static void env_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct env_row *row = of;
    (void)r;
    if (row->is_secret) /* they have a list of their own */
        return;
    json_open(w, '{');
    json_key(w, "name");
    json_slice(w, row->name);
    json_key(w, "value");
    json_slice(w, row->value);
    json_close(w, '}');
}

void env_list(struct admin_request *r)
{
    struct env_row *rows;
    size_t len;
    struct error error = {0};
    if (read_all(r, &rows, &len, &error))
        reply_error(r, &error);
    else
        reply_rows(r, rows, len, sizeof(*rows), env_json);
}

void env_get(struct admin_request *r)
{
    struct env_row *rows;
    size_t len;
    struct error error = {0};
    enum err err = read_all(r, &rows, &len, &error);
    const struct env_row *row = err ? NULL : find(rows, len, r->params[1]);
    if (!err && !row)
        err = not_found(r, &error);
    if (row)
        reply_row(r, 200, row, env_json);
    else
        reply_error(r, &error);
}

static void on_stored(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, r->params[0], ADMIN_CHANGED, reply_changed);
}

static enum err env_value_read(struct slice body, struct bytes *ret_value, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, member;
    bool has_value = false, has_other = false;
    enum err err = body_parse(body, &root, ret_error);
    if (err)
        return err;
    if (root.kind == BODY_OBJECT) {
        struct body_walk walk = body_walk(&root);
        while (body_next_member(&walk, &key, &member)) {
            bool is_value = slice_eq_cstr(bytes_slice(&key), "value");
            has_other |= !is_value || member.kind != BODY_STRING;
            if (!is_value || member.kind != BODY_STRING)
                continue;
            has_value = true;
            bytes_clear(ret_value);
            body_string(&member, ret_value);
        }
    }
    if (!has_value || has_other) {
        error_set(ret_error, ERR_INVALID, "the request body is not {\"value\": \"text\"}");
        error_hint(ret_error, "a variable is a string; write numbers and objects as text");
        return ERR_INVALID;
    }
    if (ret_value->len > LIMIT_ENV_VALUE_BYTES) {
        error_set(ret_error, ERR_TOO_LARGE,
                  "the value has %zu bytes, more than the %d of a variable", ret_value->len,
                  LIMIT_ENV_VALUE_BYTES);
        error_hint(ret_error, "keep large data in its database");
        return ERR_TOO_LARGE;
    }
    return OK;
}

static enum err check_put(struct admin_request *r, struct bytes *ret_value, struct error *ret_error)
{
    struct env_row *rows;
    size_t len;
    enum err err = names_check_env(r->params[1], ret_error);
    if (!err)
        err = env_value_read(r->body, ret_value, ret_error);
    if (!err)
        err = read_all(r, &rows, &len, ret_error);
    if (err || len < LIMIT_ENV_VARS || find(rows, len, r->params[1]))
        return err;
    error_set(ret_error, ERR_CONFLICT, "%s '%.*s' has %d variables, which is the limit",
              kind_word(r->kind), SLICE_ARG(r->params[0]), LIMIT_ENV_VARS);
    error_hint(ret_error, "delete one that is not used");
    return ERR_CONFLICT;
}

void env_put(struct admin_request *r)
{
    CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
    struct error error = {0};
    if (check_put(r, &value, &error)) {
        reply_error(r, &error);
        return;
    }
    store_env_set(r->admin->store, request_op(r, on_stored), r->params[0], r->params[1],
                  bytes_slice(&value));
}

void env_delete(struct admin_request *r)
{
    struct env_row *rows;
    size_t len;
    struct error error = {0};
    enum err err = read_all(r, &rows, &len, &error);
    if (!err && !find(rows, len, r->params[1]))
        err = not_found(r, &error);
    if (err)
        reply_error(r, &error);
    else
        store_env_delete(r->admin->store, request_op(r, on_stored), r->params[0], r->params[1]);
}
