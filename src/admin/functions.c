/* SPDX-License-Identifier: Apache-2.0
 *
 * Listing, showing and deleting functions and workflows: r->kind says which. They share one space
 * of names, so asking for the one as the other is answered with where it is. */
#include "admin/build_queue.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/limits.h"
#include "base/module_name.h"

const char *kind_word(enum module_kind kind)
{
    return module_kinds[kind].word;
}

/* A function that exports workflows is asked for executions as one. */
static bool serves_as(const struct admin_request *r, const struct function_row *row)
{
    return module_kinds[r->kind].is_durable && module_is_durable(row->kind, row->exports) &&
           r->route->method != ROUTE_DELETE;
}

enum err function_read(struct admin_request *r, struct slice name, struct function_row *ret_row,
                       struct error *ret_error)
{
    const char *word = kind_word(r->kind);
    enum err err = names_check_function(module_name_split(name).name, ret_error);
    if (err)
        return err;
    err = read_function(r, name, ret_row, ret_error);
    if (err == ERR_NOT_FOUND) {
        error_set(ret_error, ERR_NOT_FOUND, "there is no %s '%.*s'", word, SLICE_ARG(name));
        error_hint(ret_error,
                   "'limpet %s list' shows what there is; 'limpet %s upload %.*s FILE' makes it",
                   word, word, SLICE_ARG(name));
    } else if (!err && ret_row->kind != r->kind && !serves_as(r, ret_row)) {
        const char *other = kind_word(ret_row->kind);
        err = error_set(ret_error, ERR_NOT_FOUND, "'%.*s' is a %s, not a %s", SLICE_ARG(name),
                        other, word);
        error_hint(ret_error, "ask for it under %s/%ss/%.*s, or with 'limpet %s …'", r->base, other,
                   SLICE_ARG(module_name_split(name).name), other);
    }
    return err;
}

enum err module_check(struct admin_request *r, struct slice name, struct error *ret_error)
{
    struct function_row function;
    enum err err = names_check_function(module_name_split(name).name, ret_error);
    if (!err)
        err = read_function(r, name, &function, ret_error);
    if (err != ERR_NOT_FOUND)
        return err;
    CLEANUP(bytes_done) struct bytes words = BYTES_INIT;
    module_kinds_words(&words);
    error_set(ret_error, ERR_NOT_FOUND, "there is no %.*s '%.*s'", SLICE_ARG(bytes_slice(&words)),
              SLICE_ARG(name));
    error_hint(ret_error, "'limpet function list' and the like show what there is");
    return ERR_NOT_FOUND;
}

enum err request_module(struct admin_request *r, struct slice name, struct slice *ret_module,
                        struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    enum err err = names_check_function(name, ret_error);
    if (err)
        return err;
    module_name_join(r->space, name, &module);
    *ret_module = arena_copy(r->arena, bytes_slice(&module));
    return OK;
}

struct slice function_url(struct admin_request *r, struct slice name)
{
    int port = r->admin->public_port;
    struct module_name n = module_name_split(name);
    bool is_default = namespace_is_default(n.space);
    if (port <= 0 || !module_kinds[r->kind].is_routed)
        return SLICE_EMPTY;
    return slice_cstr(arena_printf(r->arena, "http%s://%.*s%s%.*s.localhost:%d/",
                                   r->admin->is_public_tls ? "s" : "", SLICE_ARG(n.name),
                                   is_default ? "" : ".",
                                   SLICE_ARG(is_default ? SLICE_EMPTY : n.space), port));
}

/* ---- list, show ---- */

/* derp's words for the function itself. */
static const char *status_text(const struct function_row *row, enum build_status build)
{
    if (row->version > 0)
        return "ready";
    switch (build) {
    case BUILD_FAILED:
        return "failed";
    case BUILD_QUEUED:
        return "storing";
    default:
        return "compiling";
    }
}

static void split_json(struct json_writer *w, const struct function_row *row)
{
    json_key(w, "split");
    if (!row->split_version) {
        json_nil(w);
        return;
    }
    json_open(w, '{');
    json_key(w, "version");
    json_int(w, row->split_version);
    json_key(w, "percent");
    json_double(w, row->split_permyriad / 100.0);
    json_close(w, '}');
}

static void function_json_members(struct admin_request *r, struct json_writer *w,
                                  const struct function_row *row)
{
    enum build_status build = row->last_build_status;
    int64_t started_us;
    (void)build_queue_live(r->admin->builds, row->name, row->last_build, &build, &started_us);
    module_json(w, "name", row->name);
    json_key(w, "status");
    json_cstr(w, status_text(row, build));
    json_key(w, "version");
    json_int(w, row->version);
    split_json(w, row);
    text_json(w, "content_hash", row->hash);
    text_json(w, "url", function_url(r, row->name));
    json_key(w, "last_build");
    if (row->last_build > 0) {
        json_open(w, '{');
        json_key(w, "id");
        json_int(w, row->last_build);
        json_key(w, "status");
        json_cstr(w, build_status_text(build));
        json_close(w, '}');
    } else {
        json_nil(w);
    }
    times_json(w, "created_at", row->created_us);
    times_json(w, "updated_at", row->updated_us);
}

static void function_json(struct admin_request *r, struct json_writer *w, const void *row)
{
    json_open(w, '{');
    function_json_members(r, w, row);
    json_close(w, '}');
}

void function_list(struct admin_request *r)
{
    struct function_row *rows;
    size_t len;
    struct error error = {0};
    if (read_functions(r, r->kind, &rows, &len, &error))
        reply_error(r, &error);
    else
        reply_rows(r, rows, len, sizeof(*rows), function_json);
}

static void limit_json(struct json_writer *w, const char *key, uint32_t value, uint32_t def)
{
    json_key(w, key);
    json_int(w, value ? value : def);
}

/* Limits that were not given show the defaults that hold. */
void version_options_json(struct json_writer *w, const struct version_options *o)
{
    json_key(w, "isolation");
    json_cstr(w, o->isolation == ISOLATION_MODULE ? "module" : "request");
    json_key(w, "limits");
    json_open(w, '{');
    limit_json(w, "memory_mb", o->memory_mb, LIMIT_GUEST_MEMORY_BYTES >> 20);
    limit_json(w, "cpu_ms", o->cpu_ms, LIMIT_GUEST_CPU_MS);
    limit_json(w, "wall_ms", o->wall_ms, LIMIT_GUEST_WALL_MS);
    limit_json(w, "sql_transaction_ms", o->sql_transaction_ms, LIMIT_SQL_TRANSACTION_MS);
    json_close(w, '}');
    raw_json(w, "vars", o->vars);
    raw_json(w, "bindings", o->bindings);
    json_key(w, "routes");
    json_open(w, '[');
    for (struct slice rest = o->routes; rest.len > 0;)
        json_slice(w, slice_split(&rest, '\n'));
    json_close(w, ']');
    json_key(w, "egress");
    if (o->domains.len == 0) {
        json_nil(w);
        return;
    }
    json_open(w, '[');
    for (struct slice rest = o->domains; rest.len > 0;)
        json_slice(w, slice_split(&rest, ','));
    json_close(w, ']');
}

void function_show(struct admin_request *r)
{
    struct function_row row;
    struct version_row version = {0};
    struct error error = {0};
    enum err err = function_read(r, r->params[0], &row, &error);
    if (!err && row.version > 0)
        err = read_version(r, row.name, &version, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    function_json_members(r, &w, &row);
    if (row.version > 0) {
        version_options_json(&w, &version.options);
        times_json(&w, "version_created_at", version.created_us);
    }
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

/* ---- delete ---- */

static void on_deleted(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        function_forget(r, r->params[0], reply_changed);
}

void function_forget(struct admin_request *r, struct slice module,
                     void (*fn)(struct admin_request *r, const struct error *e))
{
    log_followers_end(r->admin, module);
    change_announce(r, module, ADMIN_DELETED, fn);
}

void function_delete(struct admin_request *r)
{
    struct function_row row;
    struct error error = {0};
    if (function_read(r, r->params[0], &row, &error)) {
        reply_error(r, &error);
        return;
    }
    build_queue_cancel(r->admin->builds, r->params[0]);
    store_function_delete(r->admin->store, request_op(r, on_deleted), r->params[0]);
}

void route_list(struct admin_request *r)
{
    const struct admin_host *host = &r->admin->host;
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "routes");
    host->routes.list(host->ctx, r->space, &w);
    json_close(&w, '}');
    reply_json(r, 200, &body);
}
