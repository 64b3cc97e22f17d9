/* SPDX-License-Identifier: Apache-2.0
 *
 * Executions of workflows: start, wait, signal, cancel, pause, resume, retry, fork.
 *
 * What changes an execution goes through admin_host.durable, since it may be in the memory of an
 * engine thread; it is answered when it is durable. What is shown is read from the store. Before an
 * operation is handed on, what can be known to fail is refused with a hint; the host decides
 * anyway, as the execution may change in between.
 *
 * Waiting: the operation stays with the host until the execution has finished or the time is over.
 * When the client goes, or the server stops, it is cancelled there; a client that is still there
 * then gets the state as it is, as if the time were over, and asks again. */
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/module_name.h"

/* ---- operations of the host ---- */

static void durable_op_cancel(struct durable_op *op)
{
    struct admin *a = op->request->admin;
    enum flow_request_kind kind = op->durable.kind;
    bool can_wait = op->durable.wait_ms > 0 || kind == FLOW_CHECK;
    if (!can_wait || op->is_cancelled || !list_is_linked(&op->link))
        return;
    op->is_cancelled = true;
    a->host.durable_cancel(a->host.ctx, &op->durable);
}

static void on_durable_gone(struct admin_request *r)
{
    durable_op_cancel(r->state);
}

static void on_durable_done(struct flow_request *d)
{
    struct durable_op *op = container_of(d, struct durable_op, durable);
    struct admin_request *r = op->request;
    list_remove(&op->link);
    r->admin->durable_ops_count--;
    if (r->state == op) {
        r->state = NULL;
        r->on_gone = NULL;
    }
    r->has_audit |= d->is_logged;
    op->fn(r, d);
    bytes_done(&d->report);
    request_release(r);
}

struct durable_op *durable_op_new(struct admin_request *r, enum flow_request_kind kind,
                                  void (*fn)(struct admin_request *r, struct flow_request *d))
{
    struct durable_op *op = arena_new_struct(r->arena, struct durable_op);
    op->durable.kind = kind;
    op->durable.audit = request_audit(r);
    op->durable.done = on_durable_done;
    op->request = r;
    op->fn = fn;
    return op;
}

void durable_op_start(struct durable_op *op)
{
    struct admin_request *r = op->request;
    struct admin *a = r->admin;
    if (a->durable_ops_count >= ADMIN_DURABLES_MAX) {
        struct error error = {0};
        error_set(&error, ERR_OVERLOAD, "%d requests about executions are in flight, the limit",
                  ADMIN_DURABLES_MAX);
        error_hint(&error, "try again when some have been answered");
        reply_error(r, &error);
        return;
    }
    if (a->is_draining || !r->exchange) /* nobody waits */
        op->durable.wait_ms = 0;
    request_hold(r);
    list_push_back(&a->durable_ops, &op->link);
    a->durable_ops_count++;
    r->state = op;
    r->on_gone = on_durable_gone;
    a->host.durable(a->host.ctx, &op->durable);
}

void durable_ops_end_waits(struct admin *a)
{
    /* Cancelling may call done at once, and that may begin the next operation of a request. */
    for (bool is_again = true; is_again;) {
        is_again = false;
        LIST_FOREACH (n, &a->durable_ops) {
            struct durable_op *op = container_of(n, struct durable_op, link);
            if (op->is_cancelled || op->durable.wait_ms == 0)
                continue;
            durable_op_cancel(op);
            is_again = true;
            break;
        }
    }
}

/* An error of the host, with a hint if it has none. */
static void reply_refused(struct admin_request *r, const struct error *e)
{
    struct error error = *e;
    const char *hint = "see the server's log";
    if (error.code == ERR_CONFLICT || error.code == ERR_NOT_FOUND)
        hint = "'limpet execution show ID' tells its state and version";
    else if (error.code == ERR_INVALID)
        hint = "'limpet execution journal ID' shows its records";
    else if (error_is_retryable(error.code))
        hint = "try again in a moment";
    if (!error.hint[0])
        error_hint(&error, "%s", hint);
    reply_error(r, &error);
}

/* ---- rows ---- */

void durable_json_members(struct json_writer *w, const struct durable_row *row)
{
    CLEANUP(bytes_done) struct bytes workflow = BYTES_INIT;
    struct module_name n = module_name_split(row->workflow);
    bytes_append_slice(&workflow, n.name);
    if (row->export_name.len > 0)
        bytes_append_char(&workflow, '.');
    bytes_append_slice(&workflow, row->export_name);
    json_key(w, "id");
    json_slice(w, row->id);
    json_key(w, "execution_id");
    json_slice(w, row->id);
    json_key(w, "workflow");
    json_slice(w, bytes_slice(&workflow));
    json_key(w, "namespace");
    json_slice(w, n.space);
    text_json(w, "key", row->key);
    json_key(w, "version");
    json_int(w, row->version);
    json_key(w, "status");
    json_cstr(w, durable_status_text(row->status));
    json_key(w, "paused");
    json_bool(w, row->is_paused);
    text_json(w, "parked", row->is_paused ? row->parked : SLICE_EMPTY);
    json_key(w, "cancel_requested");
    json_bool(w, row->is_cancel_requested);
    raw_json(w, "error", row->error);
    raw_json(w, "progress", row->progress);
    text_json(w, "parent", row->parent);
    json_key(w, "records");
    json_int(w, row->records);
    json_key(w, "attempt");
    json_int(w, row->attempt);
    times_json(w, "created_at", row->created_us);
    times_json(w, "started_at", row->started_us);
    times_json(w, "finished_at", row->finished_us);
    bool is_due_by_time = row->status == DURABLE_SUSPENDED && row->wake_us != INT64_MAX;
    times_json(w, "wake_at", is_due_by_time ? row->wake_us : 0);
    milliseconds_json(w, "duration_ms", row->created_us, row->finished_us);
}

static void reply_whole(struct admin_request *r)
{
    struct execution_found found;
    struct error error = {0};
    if (execution_find(r, r->subject, &found, &error)) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    durable_json_members(&w, &found.durable);
    raw_json(&w, "input", found.durable.input);
    raw_json(&w, "metadata", found.durable.metadata);
    raw_json(&w, "output", found.durable.output);
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

void durable_reply_row(struct admin_request *r, struct slice id)
{
    r->subject = arena_copy(r->arena, id);
    request_go(r, reply_whole);
}

static void on_waited(struct admin_request *r, struct flow_request *d)
{
    if (d->error.code && d->error.code != ERR_CANCELLED)
        reply_refused(r, &d->error);
    else
        durable_reply_row(r, d->id);
}

void durable_wait(struct admin_request *r, struct slice id, uint64_t wait_ms)
{
    struct durable_op *op = durable_op_new(r, FLOW_WAIT, on_waited);
    op->durable.id = id;
    op->durable.wait_ms = (uint32_t)wait_ms;
    durable_op_start(op);
}

/* ---- start ---- */

/* {"execution_id", "status", "output" | "error"}: 200 when it has ended, else 202. */
static void reply_started(struct admin_request *r, const char *id, const struct durable_row *row)
{
    bool is_finished = row && durable_is_finished(row->status);
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "execution_id");
    json_cstr(&w, id);
    json_key(&w, "status");
    json_cstr(&w, durable_status_text(row ? row->status : DURABLE_QUEUED));
    if (is_finished && row->status == DURABLE_COMPLETED)
        raw_json(&w, "output", row->output);
    else if (is_finished)
        raw_json(&w, "error", row->error);
    json_close(&w, '}');
    reply_json(r, is_finished ? 200 : 202, &body);
}

static void reply_started_row(struct admin_request *r)
{
    struct durable_row row;
    struct error error = {0};
    if (read_durable(r, r->subject, &row, &error))
        reply_error(r, &error);
    else
        reply_started(r, arena_cstr(r->arena, r->subject), &row);
}

static void on_started(struct admin_request *r, struct flow_request *d)
{
    bool is_cut_short = d->error.code == ERR_CANCELLED && d->new_id[0];
    if (d->error.code && !is_cut_short) {
        reply_refused(r, &d->error);
    } else if (d->is_new && d->wait_ms == 0) {
        reply_started(r, d->new_id, NULL); /* what it has done since does not matter */
    } else {
        r->subject = slice_cstr(d->new_id); /* in the arena */
        request_go(r, reply_started_row);
    }
}

/* The workflow exists and has a version. */
static enum err check_ready(struct admin_request *r, struct error *ret_error)
{
    struct function_row row;
    struct slice name;
    enum err err = names_check_workflow(r->params[0], &name, ret_error);
    if (!err)
        err = function_read(r, name, &row, ret_error);
    if (err || row.version > 0)
        return err;
    error_set(ret_error, ERR_NOT_READY, "workflow '%.*s' has no version that could run",
              SLICE_ARG(name));
    error_hint(ret_error, "'limpet workflow build list %.*s' shows how its builds went",
               SLICE_ARG(name));
    return ERR_NOT_READY;
}

void durable_start(struct admin_request *r)
{
    struct execute_input input;
    struct error error = {0};
    uint64_t wait_ms;
    enum err err = request_query_wait(r, &wait_ms, &error);
    if (!err)
        err = execute_read(r, &input, &error);
    if (!err)
        err = check_ready(r, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct durable_op *op = durable_op_new(r, FLOW_START, on_started);
    op->durable.workflow = r->params[0];
    op->durable.key = input.key;
    op->durable.body = input.body; /* borrowed from r->body, which stays until r goes */
    op->durable.metadata = input.metadata;
    op->durable.wait_ms = (uint32_t)wait_ms;
    durable_op_start(op);
}

/* ---- operations on one execution ---- */

enum wanted_state { WANTED_UNFINISHED, WANTED_FAILED, WANTED_ANY };

static enum err check_state(const struct durable_row *row, enum wanted_state wanted,
                            struct error *ret_error)
{
    bool is_finished = durable_is_finished(row->status);
    const char *status = durable_status_text(row->status);
    if (wanted == WANTED_UNFINISHED && is_finished) {
        error_set(ret_error, ERR_CONFLICT, "execution %.*s has finished: it is %s",
                  SLICE_ARG(row->id), status);
        error_hint(ret_error, row->status == DURABLE_COMPLETED
                                  ? "start or fork another one"
                                  : "'limpet execution retry' runs it again from where it failed");
        return ERR_CONFLICT;
    }
    bool is_parked = row->is_paused && row->parked.len > 0;
    if (wanted == WANTED_FAILED && is_parked)
        return OK;
    if (wanted == WANTED_FAILED && (!is_finished || row->status == DURABLE_COMPLETED)) {
        error_set(ret_error, ERR_CONFLICT,
                  "execution %.*s is %s; only one that failed or was cancelled can be retried",
                  SLICE_ARG(row->id), status);
        error_hint(ret_error, is_finished ? "'limpet execution fork' makes a new one from a record"
                                          : "wait until it has ended, or cancel it");
        return ERR_CONFLICT;
    }
    return OK;
}

/* The execution in the path, if the operation can be meant for it. */
static enum err find_for(struct admin_request *r, enum wanted_state wanted, struct error *ret_error)
{
    struct execution_found found;
    enum err err = execution_find(r, r->params[0], &found, ret_error);
    if (err)
        return err;
    if (found.is_durable)
        return check_state(&found.durable, wanted, ret_error);
    error_set(ret_error, ERR_CONFLICT, "execution %.*s is a run of the function '%.*s'",
              SLICE_ARG(found.function.id), SLICE_ARG(found.function.function));
    error_hint(ret_error, "only executions of workflows can be signalled, cancelled, paused, "
                          "retried or forked");
    return ERR_CONFLICT;
}

/* Answers with the state after the operation. */
static void reply_state(struct admin_request *r)
{
    struct durable_row row;
    struct error error = {0};
    struct slice id = r->subject;
    if (read_durable(r, id, &row, &error)) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "execution_id");
    json_slice(&w, id);
    json_key(&w, "status");
    json_cstr(&w, durable_status_text(row.status));
    json_key(&w, "paused");
    json_bool(&w, row.is_paused);
    text_json(&w, "parked", row.is_paused ? row.parked : SLICE_EMPTY);
    json_key(&w, "cancel_requested");
    json_bool(&w, row.is_cancel_requested);
    json_close(&w, '}');
    reply_json(r, r->route->status, &body);
}

static void on_operated(struct admin_request *r, struct flow_request *d)
{
    if (d->error.code) {
        reply_refused(r, &d->error);
        return;
    }
    r->subject = d->new_id[0] ? slice_cstr(d->new_id) : d->id; /* in the arena */
    request_go(r, reply_state);
}

static struct durable_op *operation_new(struct admin_request *r, enum flow_request_kind kind)
{
    struct durable_op *op = durable_op_new(r, kind, on_operated);
    op->durable.id = r->params[0];
    return op;
}

static void operate(struct admin_request *r, enum flow_request_kind kind, enum wanted_state wanted)
{
    struct error error = {0};
    if (find_for(r, wanted, &error))
        reply_error(r, &error);
    else
        durable_op_start(operation_new(r, kind));
}

void durable_cancel(struct admin_request *r)
{
    operate(r, FLOW_CANCEL, WANTED_UNFINISHED);
}

void durable_pause(struct admin_request *r)
{
    operate(r, FLOW_PAUSE, WANTED_UNFINISHED);
}

void durable_resume(struct admin_request *r)
{
    operate(r, FLOW_RESUME, WANTED_UNFINISHED);
}

void durable_restart(struct admin_request *r)
{
    operate(r, FLOW_RESTART, WANTED_ANY);
}

/* ---- signal, retry, fork: what their bodies say ---- */

static enum err wrong_body(const char *wanted, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "the request body is not %s", wanted);
    error_hint(ret_error, "GET /openapi.json describes it");
    return ERR_INVALID;
}

static enum err read_signal(struct admin_request *r, struct flow_request *d,
                            struct error *ret_error)
{
    static const char wanted[] = "{\"name\": \"text\", \"data\": …}";
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    struct body_value root, value;
    d->body = SLICE_LIT("null");
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT)
        return wrong_body(wanted, ret_error);
    struct body_walk walk = body_walk(&root);
    while (body_next_member(&walk, &key, &value)) {
        bool is_name = slice_eq_cstr(bytes_slice(&key), "name");
        if (!is_name && !slice_eq_cstr(bytes_slice(&key), "data"))
            return wrong_body(wanted, ret_error);
        if (!is_name) {
            d->body = value.text; /* borrowed from r->body */
            continue;
        }
        if (value.kind != BODY_STRING)
            return wrong_body(wanted, ret_error);
        bytes_clear(&name);
        body_string(&value, &name);
    }
    d->name = arena_copy(r->arena, bytes_slice(&name));
    return names_check_signal(d->name, ret_error);
}

void durable_signal(struct admin_request *r)
{
    struct error error = {0};
    struct durable_op *op = operation_new(r, FLOW_SIGNAL);
    enum err err = read_signal(r, &op->durable, &error);
    if (!err)
        err = find_for(r, WANTED_UNFINISHED, &error);
    if (err)
        reply_error(r, &error);
    else
        durable_op_start(op);
}

/* The one member that a body may have; *ret_value has kind BODY_NULL if it is left out. */
static enum err read_single(struct slice text, const char *member, const char *wanted,
                            struct body_value *ret_value, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, value;
    *ret_value = (struct body_value){.kind = BODY_NULL};
    if (slice_trim(text).len == 0)
        return OK;
    enum err err = body_parse(text, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT)
        return wrong_body(wanted, ret_error);
    struct body_walk walk = body_walk(&root);
    while (body_next_member(&walk, &key, &value)) {
        if (!slice_eq_cstr(bytes_slice(&key), member))
            return wrong_body(wanted, ret_error);
        *ret_value = value;
    }
    return OK;
}

static enum err read_retry(struct admin_request *r, struct flow_request *d, struct error *ret_error)
{
    static const char wanted[] = "{\"version\": a number or \"latest\"}";
    struct body_value value;
    uint64_t number;
    enum err err = read_single(r->body, "version", wanted, &value, ret_error);
    if (err || value.kind == BODY_NULL)
        return err;
    if (slice_eq_cstr(value.text, "\"latest\"")) {
        d->version = -1;
        return OK;
    }
    if (!body_uint(&value, &number) || number == 0 || number > INT64_MAX)
        return wrong_body(wanted, ret_error);
    d->version = (int64_t)number;
    return OK;
}

void durable_retry(struct admin_request *r)
{
    struct error error = {0};
    struct durable_op *op = operation_new(r, FLOW_RETRY);
    enum err err = read_retry(r, &op->durable, &error);
    if (!err)
        err = find_for(r, WANTED_FAILED, &error);
    if (err)
        reply_error(r, &error);
    else
        durable_op_start(op);
}

static enum err read_fork(struct admin_request *r, struct flow_request *d, struct error *ret_error)
{
    static const char wanted[] = "{\"record\": how many records to keep}";
    struct body_value value;
    uint64_t number;
    d->record = -1;
    enum err err = read_single(r->body, "record", wanted, &value, ret_error);
    if (err || value.kind == BODY_NULL)
        return err;
    if (!body_uint(&value, &number) || number > INT64_MAX)
        return wrong_body(wanted, ret_error);
    d->record = (int64_t)number;
    return OK;
}

void durable_fork(struct admin_request *r)
{
    struct error error = {0};
    struct durable_op *op = operation_new(r, FLOW_FORK);
    enum err err = read_fork(r, &op->durable, &error);
    if (!err)
        err = find_for(r, WANTED_ANY, &error);
    if (err)
        reply_error(r, &error);
    else
        durable_op_start(op);
}
