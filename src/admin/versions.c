/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions of a function or workflow: what there is, and which of them answer. A change is answered when
 * it is durable and every engine thread has taken it. */
#include <stdlib.h>

#include "admin/body.h"
#include "admin/internal.h"

/* What answers, for rows of a list. */
struct version_view {
    const struct function_row *function;
    const struct version_row *row;
};

static double percent_of(const struct function_row *f, int64_t number)
{
    const double split = f->split_version ? f->split_permyriad / 100.0 : 0;
    return number == f->version ? 100 - split : number == f->split_version ? split : 0;
}

static void version_json_members(struct json_writer *w, const struct version_view *v)
{
    json_key(w, "version");
    json_int(w, v->row->number);
    json_key(w, "percent");
    json_double(w, percent_of(v->function, v->row->number));
    text_json(w, "content_hash", v->row->hash);
    times_json(w, "created_at", v->row->created_us);
}

static void version_list_json(struct admin_request *r, struct json_writer *w, const void *row)
{
    (void)r;
    json_open(w, '{');
    version_json_members(w, row);
    json_close(w, '}');
}

static void version_json(struct admin_request *r, struct json_writer *w, const void *row)
{
    const struct version_view *v = row;
    (void)r;
    json_open(w, '{');
    version_json_members(w, v);
    version_options_json(w, &v->row->options);
    json_close(w, '}');
}

void version_list(struct admin_request *r)
{
    struct function_row function;
    struct version_row *rows;
    size_t len;
    struct error error = {0};
    enum err err = function_read(r, r->params[0], &function, &error);
    if (!err)
        err = read_versions(r, r->params[0], &rows, &len, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct version_view *views = arena_array(r->arena, len + 1, sizeof(*views));
    for (size_t i = 0; i < len; i++)
        views[i] = (struct version_view){&function, &rows[i]};
    reply_rows(r, views, len, sizeof(*views), version_list_json);
}

/* The one that the path names, and its function. */
static enum err find_version(struct admin_request *r, struct function_row *ret_function,
                             struct version_row *ret_row, struct error *ret_error)
{
    uint64_t number = 0;
    enum err err = function_read(r, r->params[0], ret_function, ret_error);
    if (err)
        return err;
    if (slice_to_u64(r->params[1], &number) && number > 0 && number <= INT64_MAX)
        err = read_version_of(r, r->params[0], (int64_t)number, ret_row, ret_error);
    else
        err = error_set(ret_error, ERR_INVALID, "'%.*s' is not the number of a version",
                        SLICE_ARG(slice_utf8_clip(r->params[1], 40)));
    if (err)
        error_hint(ret_error, "'limpet versions list %.*s' shows what there is",
                   SLICE_ARG(r->params[0]));
    return err;
}

void version_show(struct admin_request *r)
{
    struct function_row function;
    struct version_row row;
    struct error error = {0};
    if (find_version(r, &function, &row, &error)) {
        reply_error(r, &error);
        return;
    }
    const struct version_view view = {&function, &row};
    reply_row(r, 200, &view, version_json);
}

/* {"percent": 10} in ten-thousandths. */
static enum err read_percent(struct admin_request *r, uint32_t *ret_permyriad,
                             struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, value;
    double percent = -1;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind == BODY_OBJECT) {
        struct body_walk walk = body_walk(&root);
        while (body_next_member(&walk, &key, &value)) {
            const bool is_it = slice_eq_cstr(bytes_slice(&key), "percent") &&
                               value.kind == BODY_NUMBER && value.text.len < 32;
            CLEANUP(bytes_done) struct bytes number = BYTES_INIT;
            bytes_append_slice(&number, value.text);
            percent = is_it ? strtod(bytes_cstr(&number), NULL) : -1;
        }
    }
    if (percent >= 0 && percent <= 100) {
        *ret_permyriad = (uint32_t)(percent * 100 + 0.5);
        return OK;
    }
    error_set(ret_error, ERR_INVALID, "the request body is not {\"percent\": 0 to 100}");
    error_hint(ret_error, "100 makes it the one that serves, 0 takes its part away");
    return ERR_INVALID;
}

static void on_served(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code) {
        if (r->admin->host.routes.hold)
            r->admin->host.routes.hold(r->admin->host.ctx, r->params[0], SLICE_EMPTY);
        reply_error(r, &op->error);
        return;
    }
    change_announce(r, r->params[0], ADMIN_CHANGED, reply_changed);
}

void version_serve(struct admin_request *r)
{
    struct function_row function;
    struct version_row row;
    struct error error = {0};
    uint32_t permyriad;
    enum err err = read_percent(r, &permyriad, &error);
    if (!err)
        err = find_version(r, &function, &row, &error);
    if (!err && !module_kinds[r->kind].is_routed && permyriad != STORE_SPLIT_ALL) {
        err = error_set(&error, ERR_INVALID, "what a %s starts is all of one version",
                        module_kinds[r->kind].word);
        error_hint(&error, "give percent 100");
    }
    const struct admin_host *host = &r->admin->host;
    const bool takes_routes = permyriad == STORE_SPLIT_ALL && row.options.routes.len > 0;
    if (!err && takes_routes)
        err = host->routes.check(host->ctx, r->params[0], row.options.routes, &error);
    if (!err && takes_routes)
        host->routes.hold(host->ctx, r->params[0], row.options.routes);
    if (err)
        reply_error(r, &error);
    else
        store_version_serve(r->admin->store, request_op(r, on_served), r->params[0], row.number,
                            permyriad);
}
