/* SPDX-License-Identifier: Apache-2.0
 *
 * Executions of workflows as any code reaches them: by a binding of a workflow and a key, or by name and id
 * inside of its namespace. What a workflow has beside that, its children, is op_durable.c.
 *
 * Each is a call of the execution where a workflow makes it outside of steps. One that was made and not
 * recorded is made again, under the same name (`once`), by which its effect is recognized. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/module_name.h"
#include "host/execution_request.h"
#include "host/recording.h"
#include "module/binding.h"
#include "module/deployment.h"

enum { WAIT_MS_MAX = 30 * 1000 };

struct workflow_op {
    struct op op;
    struct guest *guest;
    struct held held;
    struct execution_request request;
    struct arena *arena; /* what the request borrows until it has left */
    size_t charged;
    bool is_held, is_asked;
};

static void workflow_op_free(struct workflow_op *w)
{
    guest_discharge(w->guest, w->charged);
    bytes_done(&w->request.answer);
    arena_free(w->arena);
    free(w);
}

static void workflow_op_cancelled(struct op *op)
{
    struct workflow_op *w = container_of(op, struct workflow_op, op);
    const struct guest_host *host = w->guest->host;
    if (w->is_held)
        list_remove(&w->held.link);
    if (w->is_asked)
        host->execution_drop(host->ctx, &w->request);
    workflow_op_free(w);
}

static void workflow_op_complete(struct workflow_op *w)
{
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    const struct execution_request *q = &w->request;
    if (q->error.code != OK)
        op_complete_error(&w->op, &q->error);
    else if (q->asked == EXECUTION_ASKED_STATUS)
        op_complete(&w->op, OK, bytes_slice(&q->answer));
    else if (q->asked == EXECUTION_ASKED_START) {
        bytes_printf(&json, "{\"id\":\"%s\",\"isNew\":%s}", q->ret_id,
                     q->is_new ? "true" : "false");
        op_complete(&w->op, OK, bytes_slice(&json));
    } else {
        op_complete(&w->op, OK, SLICE_EMPTY);
    }
    workflow_op_free(w);
}

static void workflow_op_answered(struct execution_request *q)
{
    workflow_op_complete(container_of(q, struct workflow_op, request));
}

static void workflow_op_ask(struct workflow_op *w)
{
    const struct guest_host *host = w->guest->host;
    w->is_asked = true;
    host->execution(host->ctx, &w->request);
}

static void workflow_op_released(struct held *h, const struct error *error)
{
    struct workflow_op *w = container_of(h, struct workflow_op, held);
    w->is_held = false;
    if (!error) {
        workflow_op_ask(w);
        return;
    }
    w->request.error = *error;
    workflow_op_complete(w);
}

/* ---- what it is about ---- */

/* "namespace/name.export" */
static enum err workflow_of_binding(struct guest *g, struct slice name, struct bytes *out)
{
    const struct binding *b = deployment_binding(g->deployment, BINDING_WORKFLOW, name);
    if (!b)
        return op_refuse(g, ERR_FORBIDDEN, "this code has no workflow binding '%.*s'",
                         SLICE_ARG(slice_utf8_clip(name, 128)));
    bytes_append_slice(out, b->target);
    if (b->part.len > 0)
        bytes_append_char(out, '.');
    bytes_append_slice(out, b->part);
    return OK;
}

static struct workflow_op *workflow_op_new(struct guest *g, enum execution_asked asked,
                                           size_t copied)
{
    if (!g->host->execution) {
        op_refuse(g, ERR_UNAVAILABLE, "there are no workflows here");
        return NULL;
    }
    if (guest_charge(g, copied) != OK)
        return NULL;
    struct workflow_op *w = calloc(1, sizeof(*w));
    CHECK(w);
    w->guest = g;
    w->charged = copied;
    w->held.release = workflow_op_released;
    w->arena = arena_new(NULL);
    w->request.asked = asked;
    w->request.done = workflow_op_answered;
    w->request.space = arena_copy(w->arena, module_name_split(g->deployment->name).space);
    return w;
}

/* Of a call of the execution, that of a retry after a crash, too: "<execution>-<call>". */
static struct slice name_of_call(struct workflow_op *w, uint32_t id)
{
    struct guest *g = w->guest;
    if (!g->durable || id == 0)
        return SLICE_EMPTY;
    return slice_cstr(
        arena_printf(w->arena, "%.*s-%u", SLICE_ARG(execution_id(g->durable->execution)), id));
}

/* id: of the call, if it is one of the execution; else 0. */
static enum err workflow_op_begin(struct workflow_op *w, uint32_t id)
{
    if (id != 0) {
        op_adopt(w->guest, &w->op, id, workflow_op_cancelled);
    } else {
        enum err err = op_begin(w->guest, &w->op, workflow_op_cancelled);
        if (err != OK) {
            workflow_op_free(w);
            return err;
        }
    }
    w->request.once = name_of_call(w, id);
    if (guest_gate_pass(w->guest, &w->held))
        workflow_op_ask(w);
    else
        w->is_held = true;
    return OK;
}

/* ---- start ---- */

static enum err check_key(struct guest *g, struct slice key)
{
    if (key.len <= LIMIT_EXECUTION_KEY_BYTES)
        return OK;
    op_refuse(g, ERR_INVALID, "an id has %zu bytes, more than the %d that it may have", key.len,
              LIMIT_EXECUTION_KEY_BYTES);
    error_hint(&g->op_error, "put what is long into the input");
    return ERR_INVALID;
}

static enum err workflow_named(struct guest *g, const struct op_workflow_start_args *a,
                               struct bytes *out)
{
    struct error error;
    if (a->binding.len > 0)
        return workflow_of_binding(g, a->binding, out);
    enum err err = op_workflow_name(g, a->workflow, out, &error);
    if (err != OK)
        g->op_error = error;
    return err;
}

static enum err workflow_start(struct guest *g, const struct op_workflow_start_args *a, uint32_t id)
{
    CLEANUP(bytes_done) struct bytes workflow = BYTES_INIT;
    enum err err = workflow_named(g, a, &workflow);
    if (err == OK)
        err = check_key(g, a->key);
    if (err == OK)
        err = op_check_value(g, "the input of a workflow", a->input,
                             "keep what is large in a database or store, and give its key");
    if (err != OK)
        return err;
    struct workflow_op *w = workflow_op_new(g, EXECUTION_ASKED_START, a->input.len);
    if (!w)
        return g->op_error.code;
    w->request.workflow = arena_copy(w->arena, bytes_slice(&workflow));
    w->request.key = arena_copy(w->arena, a->key);
    w->request.input = arena_copy(w->arena, a->input);
    w->request.by = arena_copy(w->arena, module_name_split(g->deployment->name).name);
    return workflow_op_begin(w, id);
}

enum err op_workflow_start(struct guest *g, const struct op_workflow_start_args *a)
{
    return workflow_start(g, a, 0);
}

enum err op_workflow_start_call(struct guest *g, const struct op_workflow_start_args *a,
                                struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    struct slice what = a->binding.len > 0 ? a->binding : a->workflow;
    bytes_append_slice(&c->label, slice_utf8_clip(what, 128));
    bytes_append_cstr(&c->label, a->key.len > 0 ? ": " : "");
    bytes_append_slice(&c->label, slice_utf8_clip(a->key, RECORD_LABEL_BYTES_MAX - c->label.len));
    return OK;
}

enum err op_workflow_start_start(struct guest *g, uint32_t id, struct op_workflow_start_args *a)
{
    return workflow_start(g, a, id);
}

/* ---- one that is there ---- */

/* The id of the execution that the binding's key, or the key alone, names. */
static enum err execution_named(struct guest *g, struct slice binding, struct slice key,
                                char ret_id[37])
{
    CLEANUP(bytes_done) struct bytes workflow = BYTES_INIT;
    enum err err = OK;
    if (binding.len > 0)
        err = workflow_of_binding(g, binding, &workflow);
    if (err != OK)
        return err;
    if (binding.len > 0)
        durable_id_of_key(bytes_slice(&workflow), key, ret_id);
    else if (key.len == 36)
        snprintf(ret_id, 37, "%.36s", key.ptr);
    else
        return op_refuse(g, ERR_NOT_FOUND, "there is no execution '%.*s'",
                         SLICE_ARG(slice_utf8_clip(key, 64)));
    return OK;
}

static struct workflow_op *execution_op_new(struct guest *g, enum execution_asked asked,
                                            struct slice binding, struct slice key, size_t copied)
{
    char id[37];
    if (execution_named(g, binding, key, id) != OK)
        return NULL;
    struct workflow_op *w = workflow_op_new(g, asked, copied);
    if (!w)
        return NULL;
    w->request.id = arena_copy(w->arena, slice_cstr(id));
    w->request.key = arena_copy(w->arena, binding.len > 0 ? key : SLICE_EMPTY);
    return w;
}

static enum err execution_status(struct guest *g, const struct op_execution_status_args *a,
                                 uint32_t id)
{
    struct workflow_op *w = execution_op_new(g, EXECUTION_ASKED_STATUS, a->binding, a->key, 0);
    if (!w)
        return g->op_error.code;
    w->request.wait_ms = a->wait_ms < WAIT_MS_MAX ? a->wait_ms : WAIT_MS_MAX;
    return workflow_op_begin(w, id);
}

enum err op_execution_status(struct guest *g, const struct op_execution_status_args *a)
{
    return execution_status(g, a, 0);
}

enum err op_execution_status_call(struct guest *g, const struct op_execution_status_args *a,
                                  struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_execution_status_start(struct guest *g, uint32_t id, struct op_execution_status_args *a)
{
    return execution_status(g, a, id);
}

static enum err check_tell(struct guest *g, const struct op_execution_tell_args *a)
{
    if (a->verb >= EXECUTION_VERBS)
        return op_refuse(g, ERR_INVALID, "%u is nothing that can be done to an execution", a->verb);
    if (a->verb != EXECUTION_VERB_SIGNAL)
        return OK;
    if (a->name.len == 0 || a->name.len > RECORD_LABEL_BYTES_MAX)
        return op_refuse(g, ERR_INVALID, "the name of a signal has from 1 to %d bytes, not %zu",
                         RECORD_LABEL_BYTES_MAX, a->name.len);
    return op_check_value(g, "the data of a signal", a->data,
                          "keep what is large in a database or store, and give its key");
}

static enum err execution_tell(struct guest *g, const struct op_execution_tell_args *a, uint32_t id)
{
    if (check_tell(g, a) != OK)
        return g->op_error.code;
    struct workflow_op *w =
        execution_op_new(g, EXECUTION_ASKED_TELL, a->binding, a->key, a->data.len);
    if (!w)
        return g->op_error.code;
    w->request.verb = (enum execution_verb)a->verb;
    w->request.name = arena_copy(w->arena, a->name);
    w->request.data = arena_copy(w->arena, a->data.len > 0 ? a->data : SLICE_LIT("null"));
    return workflow_op_begin(w, id);
}

enum err op_execution_tell(struct guest *g, const struct op_execution_tell_args *a)
{
    return execution_tell(g, a, 0);
}

enum err op_execution_tell_call(struct guest *g, const struct op_execution_tell_args *a,
                                struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_execution_tell_start(struct guest *g, uint32_t id, struct op_execution_tell_args *a)
{
    return execution_tell(g, a, id);
}
