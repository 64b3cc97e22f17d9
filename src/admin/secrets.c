/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets of functions and workflows: variables whose values nobody but the module's code sees. They are
 * sealed in the store; here a value only passes by on its way there. */
#include <openssl/crypto.h>

#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/limits.h"
#include "base/module_name.h"

static enum err check_module(struct admin_request *r, struct error *ret_error)
{
    struct function_row function;
    struct slice name = r->params[0];
    enum err err = names_check_function(module_name_split(name).name, ret_error);
    if (!err)
        err = read_function(r, name, &function, ret_error);
    if (err != ERR_NOT_FOUND)
        return err;
    error_set(ret_error, ERR_NOT_FOUND, "there is no function or workflow '%.*s'", SLICE_ARG(name));
    error_hint(ret_error, "'limpet function list' and 'limpet workflow list' show what there is");
    return ERR_NOT_FOUND;
}

void secret_list(struct admin_request *r)
{
    struct env_row *rows;
    size_t len;
    struct error error = {0};
    if (check_module(r, &error) || read_env(r, r->params[0], &rows, &len, &error)) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '[');
    for (size_t i = 0; i < len; i++) {
        if (!rows[i].is_secret)
            continue;
        json_open(&w, '{');
        json_key(&w, "name");
        json_slice(&w, rows[i].name);
        json_key(&w, "version");
        json_int(&w, rows[i].version);
        times_json(&w, "created_at", rows[i].created_us);
        times_json(&w, "updated_at", rows[i].updated_us);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    reply_json(r, 200, &body);
}

static void on_announced(struct admin_request *r, const struct error *e)
{
    if (e->code)
        reply_error(r, e);
    else
        reply_empty(r, 204);
}

static void on_stored(struct admin_request *r, const struct store_op *op)
{
    struct error error = op->error;
    if (error.code == ERR_NOT_FOUND && !error.hint[0])
        error_hint(&error, "'limpet secret list NAME' shows those that there are");
    else if (error.code && !error.hint[0])
        error_hint(&error, "delete one that is not used, or see the server's log");
    if (error.code)
        reply_error(r, &error);
    else
        change_announce(r, r->params[0], ADMIN_CHANGED, on_announced);
}

static void value_done(struct bytes *value)
{
    if (value->len > 0)
        OPENSSL_cleanse(value->ptr, value->len);
    bytes_done(value);
}

void secret_put(struct admin_request *r)
{
    CLEANUP(value_done) struct bytes value = BYTES_INIT;
    struct error error = {0};
    enum err err = names_check_env(r->params[1], &error);
    if (!err)
        err = env_value_read(r->body, &value, &error);
    if (!err)
        err = check_module(r, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    store_secret_set(r->admin->store, request_op(r, on_stored), r->params[0], r->params[1],
                     bytes_slice(&value));
}

void secret_delete(struct admin_request *r)
{
    struct error error = {0};
    if (check_module(r, &error))
        reply_error(r, &error);
    else
        store_secret_delete(r->admin->store, request_op(r, on_stored), r->params[0], r->params[1]);
}
