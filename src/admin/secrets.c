/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets of functions and workflows: variables whose values nobody but the module's code sees. They are
 * sealed in the store; here a value only passes by on its way there. */
#include <openssl/crypto.h>

#include "admin/internal.h"
#include "admin/names.h"

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
    json_int(w, row->version);
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
        change_announce(r, r->params[0], ADMIN_CHANGED, reply_changed);
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
        err = module_check(r, r->params[0], &error);
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
    if (module_check(r, r->params[0], &error))
        reply_error(r, &error);
    else
        store_secret_delete(r->admin->store, request_op(r, on_stored), r->params[0], r->params[1]);
}
