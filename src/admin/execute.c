/* SPDX-License-Identifier: Apache-2.0
 *
 * Running functions through the API.
 *
 * A run: its start is queued to the store and the function runs at once; when it is done its end is
 * queued behind, and the answer leaves when that is durable. Log lines of the run were queued
 * before its end by the engine thread, so the record a client reads after the answer has them all.
 * Input, output and metadata are JSON texts that are passed on byte for byte. */
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/clock.h"
#include "base/random.h"

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

/* ---- what the body says ---- */

static enum err wrong_kind(const char *what, const char *wanted, const struct body_value *v,
                           struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "%s is %s, but must be %s", what, body_kind_text(v->kind),
              wanted);
    error_hint(ret_error, "send {\"body\": …, \"metadata\": {}}");
    return ERR_INVALID;
}

static enum err unknown_member(const struct admin_request *r, struct slice key,
                               struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "an execute request has no member '%.*s'",
              SLICE_ARG(slice_utf8_clip(key, 60)));
    if (slice_eq_cstr(key, "id"))
        error_hint(ret_error, "only executions of workflows have an id that clients choose");
    else
        error_hint(ret_error,
                   "send {\"body\": …, \"metadata\": {}}; what is meant for the %s goes "
                   "into 'body'",
                   kind_word(r->kind));
    return ERR_INVALID;
}

static enum err read_member(struct admin_request *r, struct slice key, const struct body_value *v,
                            struct execute_input *input, struct error *ret_error)
{
    if (slice_eq_cstr(key, "body")) {
        input->body = v->text;
        return OK;
    }
    bool is_id = slice_eq_cstr(key, "id") && module_kinds[r->kind].is_durable;
    if (!is_id && !slice_eq_cstr(key, "metadata"))
        return unknown_member(r, key, ret_error);
    if (v->kind == BODY_NULL)
        return OK; /* as if left out */
    if (!is_id) {
        input->metadata = v->text;
        return v->kind == BODY_OBJECT ? OK : wrong_kind("'metadata'", "an object", v, ret_error);
    }
    if (v->kind != BODY_STRING)
        return wrong_kind("'id'", "a string", v, ret_error);
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    body_string(v, &text);
    input->key = arena_copy(r->arena, bytes_slice(&text));
    return names_check_key(input->key, ret_error);
}

/* All members may be left out, and so may the whole body. */
enum err execute_read(struct admin_request *r, struct execute_input *ret_input,
                      struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, value;
    *ret_input = (struct execute_input){.body = SLICE_LIT("null"), .metadata = SLICE_LIT("{}")};
    if (slice_trim(r->body).len == 0)
        return OK;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT)
        return wrong_kind("the request body", "an object", &root, ret_error);
    struct body_walk walk = body_walk(&root);
    while (!err && body_next_member(&walk, &key, &value))
        err = read_member(r, bytes_slice(&key), &value, ret_input, ret_error);
    return err;
}

/* ---- the route ---- */

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
    return r->admin->host.disk_left(r->admin->host.ctx, r->params[0], ret_error);
}

void execution_run(struct admin_request *r)
{
    struct admin *a = r->admin;
    struct function_row function;
    struct error error = {0};
    struct execute_input input;
    enum err err = execute_read(r, &input, &error);
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
        .body = input.body, /* borrowed from r->body, which stays until r goes */
        .metadata = input.metadata,
        .version = function.version,
    };
    struct execution_row row = {
        .id = run->execute.execution_id,
        .function = r->params[0],
        .version = function.version,
        .status = EXECUTION_RUNNING,
        .input = input.body,
        .metadata = input.metadata,
        .created_us = clock_wall_us(),
    };
    store_execution_start(a->store, NULL, &row);
    a->host.execute(a->host.ctx, &run->execute);
}
