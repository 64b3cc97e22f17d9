/* SPDX-License-Identifier: Apache-2.0
 *
 * What only workflows have as resources: check (replay unfinished executions on code that is not
 * published) and migrate. The code of a check is built and evaluated on the pool as an upload's
 * is, when it is its turn among them, so that code which could not be published is refused as there, whether or not there is
 * anything to replay; then the host replays. Both may take long; replays end when the client goes.
 */
#include "admin/body.h"
#include "admin/build_queue.h"
#include "admin/internal.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "loop/work.h"
#include "module/runtimes.h"

enum { CHECKS_MAX = 4 }; /* at once: each holds a module and replays */

struct check {
    struct admin *admin;
    struct admin_request *request;
    const char *name;               /* of the workflow */
    const char *source_name;        /* without its namespace */
    struct version_options options; /* of the version that serves */
    struct build_turn turn;
    struct work work;
    struct bytes source;
    struct build_output built;
    struct build_failure failure;
    struct error error;
    const struct runtime_type *runtime; /* of the version that serves */
    bool is_built;
};

static void check_done(void *arg)
{
    struct check *c = arg;
    c->admin->checks--;
    bytes_done(&c->source);
    build_output_done(&c->built);
    build_failure_done(&c->failure);
}

/* ---- what the body says ---- */

static enum err wrong_body(const struct check *c, struct error *ret_error)
{
    const char *detail = c->runtime->detail_member;
    error_set(ret_error, ERR_INVALID,
              "the request body is not {\"source\": \"text\"} or {\"%s\": \"text\"%s%s%s}",
              c->runtime->artifact_member, detail ? ", \"" : "", detail ? detail : "",
              detail ? "\": \"text\"" : "");
    error_hint(ret_error, "'limpet workflow check NAME FILE' builds FILE and sends it");
    return ERR_INVALID;
}

static enum err read_check(struct check *c, struct slice text, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, value;
    bool has_source = false;
    enum err err = body_parse(text, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT)
        return wrong_body(c, ret_error);
    struct body_walk walk = body_walk(&root);
    while (body_next_member(&walk, &key, &value)) {
        struct slice name = bytes_slice(&key);
        struct bytes *out = NULL;
        if (slice_eq_cstr(name, "source"))
            out = &c->source;
        else if (slice_eq_cstr(name, c->runtime->artifact_member) || slice_eq_cstr(name, "code"))
            out = &c->built.artifact;
        else if (runtime_type_of_member(name) == c->runtime)
            out = &c->built.detail;
        if (!out || (value.kind != BODY_STRING && value.kind != BODY_NULL))
            return wrong_body(c, ret_error);
        if (value.kind == BODY_NULL)
            continue;
        has_source |= out == &c->source;
        c->is_built |= out == &c->built.artifact;
        bytes_clear(out);
        body_string(&value, out);
        if (out->len > LIMIT_SOURCE_BYTES) {
            error_set(ret_error, ERR_TOO_LARGE,
                      "'%.*s' has %zu bytes, more than the %d that a module may have",
                      SLICE_ARG(name), out->len, LIMIT_SOURCE_BYTES);
            error_hint(ret_error, "leave large data out of the module");
            return ERR_TOO_LARGE;
        }
    }
    if (has_source == c->is_built || (has_source && c->built.detail.len > 0))
        return wrong_body(c, ret_error);
    return OK;
}

/* ---- check ---- */

static void evaluate(struct check *c)
{
    const struct admin_host *host = &c->admin->host;
    struct slice name = slice_cstr(c->name);
    uint32_t exports = 0;
    enum err err =
        host->evaluate(host->ctx, name, &c->built, &c->options, &exports, &c->failure, &c->error);
    if (!err)
        err = module_kind_check(c->request->kind, name, exports, &c->error);
    CHECK(err == c->error.code);
    if (err && !error_is_retryable(err)) /* not the server's, so the code's */
        c->error.code = ERR_BUILD_FAILED;
}

static void run_build(struct work *w)
{
    struct check *c = container_of(w, struct check, work);
    struct build_config config = {.tool = c->admin->esbuild, .name = c->source_name};
    enum err err = c->is_built
                       ? build_check_detail(c->runtime, bytes_slice(&c->built.detail), &c->error)
                       : c->runtime->build(&config, bytes_slice(&c->source), &c->built, &c->failure,
                                           &c->error);
    CHECK(err == c->error.code);
    if (!err)
        evaluate(c);
}

/* A report of the host is JSON. */
static void on_reported(struct admin_request *r, struct flow_request *d)
{
    if (d->kind == FLOW_MIGRATE) /* many mutations, on engine threads: one row for all */
        store_audit(r->admin->store, NULL, d->audit, d->error.code);
    r->has_audit |= d->kind == FLOW_MIGRATE;
    if (d->error.code) {
        reply_error(r, &d->error);
        return;
    }
    struct bytes body = d->report;
    d->report = BYTES_INIT;
    reply_json(r, 200, &body);
}

/* As a failed build, but there is none. */
static void reply_build_failed(struct check *c)
{
    struct slice message = bytes_slice(&c->failure.message);
    struct build_row row = {
        .error_file = bytes_slice(&c->failure.file),
        .error_frame = bytes_slice(&c->failure.frame),
        .error_line = c->failure.line,
        .error_column = c->failure.column,
    };
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "error");
    json_open(&w, '{');
    json_key(&w, "code");
    json_cstr(&w, error_text(c->error.code));
    json_key(&w, "message");
    json_slice(&w, message.len > 0 ? message : slice_cstr(c->error.message));
    json_key(&w, "hint");
    json_cstr(&w, c->error.hint[0] ? c->error.hint : "nothing was checked; fix this first");
    build_failure_json(&w, &row);
    json_close(&w, '}');
    json_close(&w, '}');
    reply_json(c->request, error_http_status(c->error.code), &body);
}

static void on_built(struct work *w)
{
    struct check *c = container_of(w, struct check, work);
    struct admin_request *r = c->request;
    build_turn_end(&c->turn);
    bytes_done(&c->source);
    if (c->error.code) {
        reply_build_failed(c);
    } else if (r->exchange) {
        struct durable_op *op = durable_op_new(r, FLOW_CHECK, on_reported);
        op->durable.workflow = r->params[0];
        op->durable.code = bytes_slice(&c->built.artifact); /* c is in r's arena */
        op->durable.detail = bytes_slice(&c->built.detail);
        durable_op_start(op);
    }
    request_release(r);
}

static void on_turn(struct build_turn *t)
{
    struct check *c = container_of(t, struct check, turn);
    c->work.run = run_build;
    c->work.done = on_built;
    work_start(c->admin->loop, &c->work);
}

static enum err check_room(const struct admin *a, struct error *ret_error)
{
    if (a->checks < CHECKS_MAX)
        return OK;
    error_set(ret_error, ERR_OVERLOAD, "%d checks are running, which is the limit", CHECKS_MAX);
    error_hint(ret_error, "try again when one has ended");
    return ERR_OVERLOAD;
}

void workflow_check(struct admin_request *r)
{
    struct error error = {0};
    struct function_row workflow;
    struct check *c = NULL;
    struct version_row version = {0};
    enum err err = function_read(r, r->params[0], &workflow, &error);
    if (!err && workflow.version > 0)
        err = read_version(r, workflow.name, &version, &error);
    if (!err)
        err = check_room(r->admin, &error);
    if (!err) {
        c = arena_new_struct(r->arena, struct check);
        c->admin = r->admin;
        c->options = version.options;
        c->runtime = runtime_type_find(c->options.runtime);
        c->admin->checks++;
        arena_on_free(r->arena, check_done, c);
        err = c->runtime ? read_check(c, r->body, &error)
                         : error_set(&error, ERR_UNAVAILABLE, "this server has no runtime '%.*s'",
                                     SLICE_ARG(c->options.runtime));
    }
    if (err) {
        reply_error(r, &error);
        return;
    }
    request_body_drop(r);
    request_hold(r);
    c->request = r;
    c->name = arena_cstr(r->arena, workflow.name);
    c->source_name = arena_cstr(r->arena, module_name_split(workflow.name).name);
    c->turn.begin = on_turn;
    build_turn_take(r->admin->builds, &c->turn);
}

/* ---- migrate ---- */

void workflow_migrate(struct admin_request *r)
{
    struct function_row workflow;
    struct error error = {0};
    enum err err = function_read(r, r->params[0], &workflow, &error);
    if (!err && workflow.version == 0) {
        err = error_set(&error, ERR_NOT_READY, "workflow '%.*s' has no version to move to",
                        SLICE_ARG(workflow.name));
        error_hint(&error, "'limpet workflow build list %.*s' shows how its builds went",
                   SLICE_ARG(workflow.name));
    }
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct durable_op *op = durable_op_new(r, FLOW_MIGRATE, on_reported);
    op->durable.workflow = r->params[0];
    durable_op_start(op);
}
