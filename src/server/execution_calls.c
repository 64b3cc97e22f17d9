/* SPDX-License-Identifier: Apache-2.0
 *
 * See execution_calls.h. A request is a struct of its own, which outlives who asked: to the control thread
 * and back, and reads before and after that.
 *
 *     START    director -> (the key was known: its row, is it this very call's?) -> done
 *     STATUS   row -> done; with a wait: row -> director, until it has ended -> row -> done
 *     TELL     row, is it in this namespace? -> director -> done
 */
#include "server/execution_calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/module_name.h"
#include "flow/director.h"
#include "host/execution_request.h"
#include "server/server.h"
#include "server/worker.h"

struct asked {
    struct post post; /* to the control thread, and back */
    struct flow_request flow;
    struct worker *worker;
    struct execution_request *request; /* NULL: nobody wants the answer */
    struct arena *arena;               /* what flow borrows */
    struct ask *ask;
    struct slice space, once;
    enum execution_asked what;
    uint32_t wait_ms;
};

static void asked_free(struct asked *a)
{
    ask_drop(a->ask);
    arena_free(a->arena);
    free(a);
}

static void asked_done(struct asked *a, const struct error *error)
{
    struct execution_request *q = TAKE(a->request);
    if (q) {
        q->internal = NULL;
        q->error.code = OK;
        if (error && error->code != OK)
            q->error = *error;
        memcpy(q->ret_id, a->flow.new_id, sizeof(q->ret_id));
    }
    asked_free(a);
    if (q)
        q->done(q);
}

/* ---- rows ---- */

static void member_json(struct json_writer *w, const char *key, struct slice json)
{
    if (json.len == 0)
        return;
    json_key(w, key);
    json_raw(w, json);
}

static void status_json(const struct durable_row *row, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes workflow = BYTES_INIT;
    struct json_writer w = json_writer(out);
    bytes_append_slice(&workflow, module_name_split(row->workflow).name);
    if (row->export_name.len > 0)
        bytes_append_char(&workflow, '.');
    bytes_append_slice(&workflow, row->export_name);
    json_open(&w, '{');
    json_key(&w, "id");
    json_slice(&w, row->id);
    json_key(&w, "workflow");
    json_slice(&w, bytes_slice(&workflow));
    json_key(&w, "key");
    json_slice(&w, row->key);
    json_key(&w, "status");
    json_cstr(&w, durable_status_text(row->status));
    json_key(&w, "isPaused");
    json_bool(&w, row->is_paused);
    member_json(&w, "output", row->output);
    member_json(&w, "error", row->error);
    member_json(&w, "progress", row->progress);
    json_close(&w, '}');
}

/* What the metadata of one that code has started say: by which module, or which call of an execution. */
static struct slice starter_json(struct arena *arena, struct slice starter)
{
    return slice_cstr(arena_printf(arena, "{\"startedBy\":\"%.*s\"}", SLICE_ARG(starter)));
}

/* One that is not in this namespace is not there. */
static enum err check_row(const struct asked *a, const struct store_query *q,
                          struct error *ret_error)
{
    const struct durable_row *row = &q->durable.row;
    if (q->error.code != OK)
        *ret_error = q->error;
    else if (module_name_is_in(row->workflow, a->space))
        ret_error->code = OK;
    else
        error_set(ret_error, ERR_NOT_FOUND, "there is no execution '%.*s'", SLICE_ARG(row->id));
    return ret_error->code;
}

static void asked_send(struct asked *a);

/* Answered, or the director has something to do before. */
static void row_take(struct asked *a)
{
    CLEANUP(ask_cleanup) struct ask *answer = TAKE(a->ask);
    const struct durable_row *row = &answer->query.durable.row;
    struct execution_request *q = a->request;
    struct error e;
    if (check_row(a, &answer->query, &e) != OK) {
        asked_done(a, &e);
        return;
    }
    if (a->what == EXECUTION_ASKED_TELL || (a->what == EXECUTION_ASKED_STATUS && a->wait_ms > 0 &&
                                            !durable_is_finished(row->status))) {
        asked_send(a);
        return;
    }
    if (q && a->what == EXECUTION_ASKED_STATUS)
        status_json(row, &q->answer);
    else if (q)
        q->is_new = a->once.len > 0 && slice_eq(row->metadata, starter_json(a->arena, a->once));
    asked_done(a, NULL);
}

static void row_answered(struct ask *ask)
{
    row_take(ask->owner);
}

static void row_read(struct asked *a, struct slice id)
{
    a->ask = ask_new(&a->worker->asks, STORE_QUERY_DURABLE, row_answered, a);
    a->ask->query.durable.id = arena_copy(a->ask->arena, id);
    if (ask_start(a->ask) == OP_DONE)
        row_take(a);
}

/* ---- the director ---- */

/* One that a workflow makes may have been made before and not recorded: then the state that it leads to is
 * no error. So whether it was there before cannot be told, and is none either. */
static bool is_done_already(const struct asked *a)
{
    return a->what == EXECUTION_ASKED_TELL && a->once.len > 0 && a->flow.error.code == ERR_CONFLICT;
}

static void asked_returned(struct post *p)
{
    struct asked *a = container_of(p, struct asked, post);
    struct flow_request *f = &a->flow;
    if (is_done_already(a))
        f->error.code = OK;
    if (f->error.code != OK &&
        !(a->what == EXECUTION_ASKED_STATUS && f->error.code == ERR_CANCELLED)) {
        asked_done(a, &f->error);
    } else if (a->what == EXECUTION_ASKED_STATUS) {
        a->wait_ms = 0;
        row_read(a, f->id);
    } else if (a->what == EXECUTION_ASKED_START && !f->is_new) {
        row_read(a, slice_cstr(f->new_id));
    } else {
        if (a->request)
            a->request->is_new = f->is_new;
        asked_done(a, NULL);
    }
}

static void director_done(struct flow_request *f)
{
    struct asked *a = container_of(f, struct asked, flow);
    a->post.fn = asked_returned;
    loop_post(&a->worker->loop, &a->post);
}

/* On the control thread. */
static void asked_arrived(struct post *p)
{
    struct asked *a = container_of(p, struct asked, post);
    director_request(a->worker->server->flow.director, &a->flow);
}

static void asked_send(struct asked *a)
{
    a->post.fn = asked_arrived;
    director_post(a->worker->server->flow.director, &a->post);
}

/* ---- in and out ---- */

static enum flow_request_kind kind_of(const struct execution_request *q)
{
    static const enum flow_request_kind verbs[EXECUTION_VERBS] = {
        [EXECUTION_VERB_SIGNAL] = FLOW_SIGNAL,   [EXECUTION_VERB_PAUSE] = FLOW_PAUSE,
        [EXECUTION_VERB_RESUME] = FLOW_RESUME,   [EXECUTION_VERB_CANCEL] = FLOW_CANCEL,
        [EXECUTION_VERB_RESTART] = FLOW_RESTART, [EXECUTION_VERB_RETRY] = FLOW_RETRY,
    };
    return q->asked == EXECUTION_ASKED_START    ? FLOW_START
           : q->asked == EXECUTION_ASKED_STATUS ? FLOW_WAIT
                                                : verbs[q->verb];
}

void execution_calls_start(void *worker, struct execution_request *q)
{
    struct asked *a = calloc(1, sizeof(*a));
    CHECK(a);
    a->worker = worker;
    a->request = q;
    a->what = q->asked;
    a->wait_ms = q->wait_ms;
    struct arena *arena = a->arena = arena_new(NULL);
    a->space = arena_copy(arena, q->space);
    a->once = arena_copy(arena, q->once);
    a->flow = (struct flow_request){
        .done = director_done,
        .kind = kind_of(q),
        .workflow = arena_copy(arena, q->workflow),
        .id = arena_copy(arena, q->id),
        .name = arena_copy(arena, q->name),
        .key = arena_copy(arena, q->key),
        .body = arena_copy(arena, q->asked == EXECUTION_ASKED_START ? q->input : q->data),
        .metadata = q->asked == EXECUTION_ASKED_START
                        ? starter_json(arena, a->once.len > 0 ? a->once : q->by)
                        : SLICE_EMPTY,
        .wait_ms = q->wait_ms,
        .once = q->asked == EXECUTION_ASKED_TELL ? a->once : SLICE_EMPTY,
    };
    q->internal = a;
    if (q->asked == EXECUTION_ASKED_START)
        asked_send(a);
    else
        row_read(a, a->flow.id);
}

void execution_calls_drop(void *worker, struct execution_request *q)
{
    struct asked *a = TAKE(q->internal);
    a->request = NULL;
    if (a->ask) /* else it is with the director, and comes back */
        asked_free(a);
}
