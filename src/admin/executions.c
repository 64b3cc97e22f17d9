/* SPDX-License-Identifier: Apache-2.0
 *
 * Running functions through the API, and the records of it.
 *
 * A run: its start is queued to the store and the function runs at once; when it is done its end is
 * queued behind, and the answer leaves when that is durable. Log lines of the run were queued
 * before its end by the engine thread, so the record a client reads after the answer has them all.
 * Input, output and metadata are JSON texts that are passed on byte for byte. */
#include "admin/body.h"
#include "admin/internal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"

/* ---- run ---- */

struct run {
    struct admin_request *request;
    struct admin_execute execute;
    struct store_op op;
    struct bytes error_json; /* "" when all is well */
    char id[RANDOM_ID_SIZE];
};

static void run_done(struct run *run)
{
    bytes_done(&run->execute.output);
    bytes_done(&run->execute.error_name);
    bytes_done(&run->execute.error_stack);
    bytes_done(&run->error_json);
    run->request->admin->executes--;
    request_release(run->request);
}

/* {"code","message","hint","name","stack"}: stored, shown and answered alike. */
static void failure_json(const struct admin_execute *e, struct bytes *out)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_key(&w, "code");
    json_cstr(&w, error_text(e->error.code));
    json_key(&w, "message");
    json_cstr(&w, e->error.message);
    if (e->error.hint[0]) {
        json_key(&w, "hint");
        json_cstr(&w, e->error.hint);
    }
    json_key(&w, "name");
    if (e->error_name.len > 0)
        json_slice(&w, bytes_slice(&e->error_name));
    else
        json_nil(&w);
    json_key(&w, "stack");
    if (e->error_stack.len > 0)
        json_slice(&w, bytes_slice(&e->error_stack));
    else
        json_nil(&w);
    json_close(&w, '}');
}

static void reply_run(struct run *run)
{
    const struct admin_execute *e = &run->execute;
    bool is_good = e->error.code == OK;
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "execution_id");
    json_cstr(&w, run->id);
    json_key(&w, "status");
    json_cstr(&w, execution_status_text(is_good ? EXECUTION_SUCCESS : EXECUTION_FAILURE));
    json_key(&w, is_good ? "output" : "error");
    json_raw(&w, is_good ? bytes_slice(&e->output) : bytes_slice(&run->error_json));
    json_close(&w, '}');
    reply_json(run->request, error_http_status(e->error.code), &body);
}

static void on_finish_stored(struct store_op *op)
{
    struct run *run = container_of(op, struct run, op);
    /* A function that was deleted meanwhile has no records, but its last run still gets its answer.
     */
    if (op->error.code && op->error.code != ERR_NOT_FOUND) {
        struct error error = op->error;
        error_context(&error, ERR_IO, "the function ran, but its record could not be stored");
        reply_error(run->request, &error);
    } else {
        reply_run(run);
    }
    run_done(run);
}

static void on_executed(struct admin_execute *e)
{
    struct run *run = container_of(e, struct run, execute);
    struct admin *a = run->request->admin;
    if (e->error.code)
        failure_json(e, &run->error_json);
    else if (e->output.len == 0)
        bytes_append_cstr(&e->output, "null");
    *(e->error.code ? &a->executions_failure : &a->executions_success) += 1;
    struct execution_row row = {
        .id = e->execution_id,
        .function = e->function,
        .version = e->version,
        .status = e->error.code ? EXECUTION_FAILURE : EXECUTION_SUCCESS,
        .input = e->body,
        .metadata = e->metadata,
        .output = e->error.code ? SLICE_EMPTY : bytes_slice(&e->output),
        .error = bytes_slice(&run->error_json),
        .finished_us = clock_wall_us(),
    };
    run->op = (struct store_op){.loop = a->loop, .done = on_finish_stored};
    store_execution_finish(a->store, &run->op, &row);
}

static enum err wrong_member(struct slice key, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "an execute request has no member '%.*s'",
              SLICE_ARG(slice_utf8_clip(key, 60)));
    error_hint(ret_error,
               "send {\"body\": …, \"metadata\": {}}; what is meant for the function goes "
               "into 'body'");
    return ERR_INVALID;
}

/* Both members may be left out, and so may the whole body. */
static enum err read_execute(struct slice text, struct slice *ret_body, struct slice *ret_metadata,
                             struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, value;
    *ret_body = SLICE_LIT("null");
    *ret_metadata = SLICE_LIT("{}");
    if (slice_trim(text).len == 0)
        return OK;
    enum err err = body_parse(text, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT) {
        error_set(ret_error, ERR_INVALID, "the request body is %s, but must be an object",
                  body_kind_text(root.kind));
        error_hint(ret_error, "send {\"body\": …, \"metadata\": {}}");
        return ERR_INVALID;
    }
    struct body_walk walk = body_walk(&root);
    while (body_next_member(&walk, &key, &value)) {
        if (slice_eq_cstr(bytes_slice(&key), "body")) {
            *ret_body = value.text;
        } else if (!slice_eq_cstr(bytes_slice(&key), "metadata")) {
            return wrong_member(bytes_slice(&key), ret_error);
        } else if (value.kind == BODY_OBJECT) {
            *ret_metadata = value.text;
        } else if (value.kind != BODY_NULL) {
            error_set(ret_error, ERR_INVALID, "'metadata' is %s, but must be an object",
                      body_kind_text(value.kind));
            error_hint(ret_error, "leave it out if there is none");
            return ERR_INVALID;
        }
    }
    return OK;
}

static enum err check_ready(struct admin_request *r, struct function_row *ret_row,
                            struct error *ret_error)
{
    enum err err = function_read(r, r->params[0], ret_row, ret_error);
    if (err)
        return err;
    if (ret_row->version == 0) {
        error_set(ret_error, ERR_NOT_READY, "function '%.*s' has no version that could run",
                  SLICE_ARG(r->params[0]));
        error_hint(ret_error, "'limpet function build list %.*s' shows how its builds went",
                   SLICE_ARG(r->params[0]));
        return ERR_NOT_READY;
    }
    if (r->admin->executes >= ADMIN_EXECUTES_MAX) {
        error_set(ret_error, ERR_OVERLOAD, "%d runs are in flight, which is the limit",
                  ADMIN_EXECUTES_MAX);
        error_hint(ret_error, "try again when some have ended");
        return ERR_OVERLOAD;
    }
    return OK;
}

void execution_run(struct admin_request *r)
{
    struct admin *a = r->admin;
    struct function_row function;
    struct error error = {0};
    struct slice body, metadata;
    enum err err = read_execute(r->body, &body, &metadata, &error);
    if (!err)
        err = check_ready(r, &function, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct run *run = arena_new_struct(r->arena, struct run);
    run->request = r;
    random_uuid7(run->id);
    request_hold(r);
    a->executes++;
    run->execute = (struct admin_execute){
        .done = on_executed,
        .function = r->params[0],
        .execution_id = slice_cstr(run->id),
        .body = body, /* borrowed from r->body, which stays until r goes */
        .metadata = metadata,
        .version = function.version,
    };
    struct execution_row row = {
        .id = run->execute.execution_id,
        .function = r->params[0],
        .version = function.version,
        .status = EXECUTION_RUNNING,
        .input = body,
        .metadata = metadata,
        .created_us = clock_wall_us(),
    };
    store_execution_start(a->store, NULL, &row);
    a->host.execute(a->host.ctx, &run->execute);
}

/* ---- records ---- */

static void raw_or_null(struct json_writer *w, const char *key, struct slice json)
{
    json_key(w, key);
    if (json.len > 0)
        json_raw(w, json);
    else
        json_nil(w);
}

/* What a list shows of each; input, output and logs may be large and are shown singly. */
static void summary_json_members(struct json_writer *w, const struct execution_row *row)
{
    json_key(w, "id");
    json_slice(w, row->id);
    json_key(w, "function");
    json_slice(w, row->function);
    json_key(w, "version");
    json_int(w, row->version);
    json_key(w, "status");
    json_cstr(w, execution_status_text(row->status));
    raw_or_null(w, "error", row->error);
    times_json(w, "created_at", row->created_us);
    times_json(w, "finished_at", row->finished_us);
    json_key(w, "duration_ms");
    if (row->finished_us > 0)
        json_double(w, (double)(row->finished_us - row->created_us) / 1000.0);
    else
        json_nil(w);
}

static void reply_list(struct admin_request *r, struct slice function, const char *path)
{
    struct store_page page = {0};
    struct execution_row *rows;
    struct slice next = SLICE_EMPTY;
    size_t len;
    uint64_t limit;
    struct error error = {0};
    enum err err =
        request_query_uint(r, "limit", ADMIN_PAGE_DEFAULT, ADMIN_PAGE_MAX, &limit, &error);
    (void)request_query(r, "cursor", &page.cursor);
    page.limit = limit > 0 ? (int64_t)limit : 1;
    if (!err)
        err = store_executions(r->admin->reader, r->arena, function, &page, &rows, &len, &next,
                               &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '[');
    for (size_t i = 0; i < len; i++) {
        json_open(&w, '{');
        summary_json_members(&w, &rows[i]);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    bytes_append_char(&body, '\n');
    struct http_header link = {SLICE_LIT("link"), SLICE_EMPTY};
    if (next.len > 0)
        link.value =
            slice_cstr(arena_printf(r->arena, "<%s?limit=%llu&cursor=%.*s>; rel=\"next\"", path,
                                    (unsigned long long)page.limit, SLICE_ARG(next)));
    reply_with(r, 200, &link, next.len > 0, "application/json", &body);
}

void execution_list(struct admin_request *r)
{
    reply_list(r, SLICE_EMPTY, "/executions");
}

void execution_list_of(struct admin_request *r)
{
    struct function_row function;
    struct error error = {0};
    if (function_read(r, r->params[0], &function, &error)) {
        reply_error(r, &error);
        return;
    }
    const char *path =
        arena_printf(r->arena, "/functions/%.*s/executions", SLICE_ARG(r->params[0]));
    reply_list(r, r->params[0], path);
}

void execution_show(struct admin_request *r)
{
    struct execution_row row;
    struct log_row *logs = NULL;
    size_t logs_len = 0;
    struct error error = {0};
    enum err err = store_execution(r->admin->reader, r->arena, r->params[0], &row, &error);
    if (err == ERR_NOT_FOUND) {
        error_set(&error, ERR_NOT_FOUND, "there is no execution '%.*s'",
                  SLICE_ARG(slice_utf8_clip(r->params[0], 80)));
        error_hint(&error, "'limpet execution list' shows the newest");
    }
    if (!err)
        err = store_logs(r->admin->reader, r->arena, row.function, row.id, -1,
                         LIMIT_GUEST_LOG_LINES, &logs, &logs_len, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    summary_json_members(&w, &row);
    raw_or_null(&w, "input", row.input);
    raw_or_null(&w, "metadata", row.metadata);
    raw_or_null(&w, "output", row.output);
    json_key(&w, "logs");
    json_open(&w, '[');
    for (size_t i = 0; i < logs_len; i++)
        log_json(&w, &logs[i]);
    json_close(&w, ']');
    json_close(&w, '}');
    reply_json(r, 200, &body);
}
