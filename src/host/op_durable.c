/* SPDX-License-Identifier: Apache-2.0
 *
 * The ops that only durable executions have, and what a durable guest is besides: its deliveries
 * (op NEXT), calls that the execution starts or stops, scopes of steps. The rules are in durable/;
 * here is only what passes between them and the guest. */
#include <endian.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/module_name.h"
#include "host/recording.h"
#include "module/deployment.h"
#include "sandbox/snapshot.h"

static int64_t us_of_ms(double ms)
{
    if (!(ms > 0))
        return 0;
    return ms < 9e15 ? (int64_t)(ms * 1000) : EXECUTION_NEVER;
}

/* OK, or why the op is not for this guest or not for here. */
static enum err check_main(struct guest *g, const char *what)
{
    if (!g->durable) {
        op_refuse(g, ERR_FORBIDDEN, "%s is only available in a workflow", what);
        error_hint(&g->op_error, "deploy the module with: limpet workflow upload NAME FILE");
        return ERR_FORBIDDEN;
    }
    if (g->scope != 0) {
        op_refuse(g, ERR_FORBIDDEN, "%s is not available inside the body of a step", what);
        error_hint(&g->op_error, "a step is recorded as one: call it before or after");
        return ERR_FORBIDDEN;
    }
    return OK;
}

/* ---- deliveries ---- */

static void give_delivery(struct guest *g, const struct execution_delivery *d)
{
    bytes_append_u32(&g->result, d->kind == EXECUTION_CANCEL ? 0 : d->id);
    bytes_append_u32(&g->result, d->kind == EXECUTION_RUN ? ABI_STATUS_RUN : d->status);
    if (d->kind == EXECUTION_RUN) {
        bytes_append_u32(&g->result, d->scope);
        bytes_append_u32(&g->result, d->attempt);
    } else {
        bytes_append_slice(&g->result, d->payload);
    }
}

enum err op_next(struct guest *g, const struct op_next_args *a)
{
    struct execution_delivery d;
    if (!g->durable)
        return check_main(g, "next()");
    g->durable->has_news = false;
    if (execution_next(g->durable->execution, &d)) {
        isolate_set_cpu_budget(g->isolate, g->deployment->cpu_ns_max); /* anew for each */
        g->durable->code_lines = g->durable->step_lines = 0;
        give_delivery(g, &d);
        return OK;
    }
    switch (execution_state(g->durable->execution)) {
    case EXECUTION_HAS_DIVERGED:
    case EXECUTION_BROKEN:
        g->is_dead = true; /* whoever owns it asks why */
        return recording_diverged(g);
    default:
        return OK;
    }
}

/* ---- steps ---- */

enum err op_step(struct guest *g, const struct op_step_args *a)
{
    return check_main(g, "step()");
}

enum err op_step_call(struct guest *g, const struct op_step_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_STEP;
    c->call.name = a->name;
    c->call.retry = (struct execution_retry){
        .attempts_max = a->attempts_max,
        .delay_us = us_of_ms(a->delay_ms),
        .factor = a->factor >= 1 || a->factor == 0 ? a->factor : 1,
        .delay_max_us = us_of_ms(a->delay_max_ms),
        .timeout_us = a->timeout_ms > 0 ? us_of_ms(a->timeout_ms) : EXECUTION_NEVER,
    };
    return OK;
}

/* Whatever is wrong with the value, the step ends: nothing else ever would tell of it. */
enum err op_step_done(struct guest *g, const struct op_step_done_args *a)
{
    enum { MESSAGE_BYTES_MAX = 4 * 1024 };
    if (!g->durable)
        return check_main(g, "step()");
    guest_forget_scope(g, a->scope);
    if (a->scope != 0)
        streams_scope_over(g, a->scope);
    execution_step_done(g->durable->execution, a->scope, a->failed ? ERR_GUEST : OK, a->failed == 2,
                        a->value, op_text_clip(a->message, MESSAGE_BYTES_MAX));
    return OK;
}

/* ---- events ---- */

/* The label of a record keeps it whole: a retry reads it there. */
static enum err check_signal_name(struct guest *g, struct slice name)
{
    if (name.len <= RECORD_LABEL_BYTES_MAX)
        return OK;
    op_refuse(g, ERR_INVALID,
              "the name of a signal has %zu bytes, more than the %d that it may have", name.len,
              RECORD_LABEL_BYTES_MAX);
    error_hint(&g->op_error, "put what is long into the signal's data");
    return ERR_INVALID;
}

enum err op_event_wait(struct guest *g, const struct op_event_wait_args *a)
{
    return check_main(g, "waitForEvent()");
}

enum err op_event_wait_call(struct guest *g, const struct op_event_wait_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_EVENT;
    c->call.name = a->name;
    c->call.delay_us = a->timeout_ms >= 0 ? us_of_ms(a->timeout_ms) : EXECUTION_NEVER;
    return check_signal_name(g, a->name);
}

/* ---- children and messages: an effect in the same commit as the record ---- */

#define INSTEAD_OF_LARGE "keep what is large in a database or store, and give its key"

static void id_of_words(const uint64_t words[2], char ret_id[37])
{
    snprintf(ret_id, 37, "%08x-%04x-8%03x-%04x-%012llx", (unsigned)(words[0] >> 32),
             (unsigned)(words[0] >> 16 & 0xffff), (unsigned)(words[0] & 0xfff),
             (unsigned)(words[1] >> 48 & 0x3fff) | 0x8000,
             (unsigned long long)(words[1] & 0xffffffffffff));
}

/* The key is a caller's, so nobody must find two that give one id. */
void durable_id_of_key(struct slice workflow, struct slice key, char ret_id[37])
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    unsigned char digest[EVP_MAX_MD_SIZE];
    uint64_t words[2];
    bytes_append_cstr(&text, "limpet execution 2");
    bytes_append_lstr(&text, workflow);
    bytes_append_lstr(&text, key);
    CHECK(EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL));
    memcpy(words, digest, sizeof(words));
    words[0] = be64toh(words[0]);
    words[1] = be64toh(words[1]);
    id_of_words(words, ret_id);
}

void durable_id_of_key_before(struct slice workflow, struct slice key, char ret_id[37])
{
    uint64_t words[2];
    for (uint32_t k = 0; k < 2; k++) {
        struct record_hash h;
        record_hash_init(&h, k);
        record_hash_add(&h, workflow);
        record_hash_add(&h, key);
        words[k] = record_hash_end(&h);
    }
    id_of_words(words, ret_id);
}

enum err op_workflow_name(struct guest *g, struct slice said, struct bytes *out,
                          struct error *ret_error)
{
    struct slice space = module_name_split(g->deployment->name).space;
    bool has_namespace = slice_find(said, '/') >= 0;
    struct module_name n = module_name_split(said);
    module_name_join(space, n.name, out);
    if (!has_namespace || slice_eq(n.space, space))
        return OK;
    error_set(ret_error, ERR_FORBIDDEN,
              "workflow '%.*s' is in another namespace than this code, '%.*s'",
              SLICE_ARG(slice_utf8_clip(said, 150)), SLICE_ARG(space));
    error_hint(ret_error, "code starts, signals, cancels and reads executions of its own "
                          "namespace only");
    return ERR_FORBIDDEN;
}

/* The same parent and place give the same child, on each replay. */
static void child_id(struct guest *g, struct slice workflow, const struct op_child_start_args *a,
                     char ret_id[37])
{
    char place[24];
    snprintf(place, sizeof(place), "%lld", (long long)g->durable->place);
    if (a->key.len > 0)
        g->host->id_of_key(g->host->ctx, workflow, a->key, ret_id);
    else
        durable_id_of_key(execution_id(g->durable->execution), slice_cstr(place), ret_id);
}

enum err op_child_start_check(struct guest *g, struct op_child_start_args *a)
{
    enum err err = check_main(g, "startChild()");
    return err == OK ? op_check_value(g, "the input of a child", a->input, INSTEAD_OF_LARGE) : err;
}

enum err op_child_start(struct guest *g, const struct op_child_start_args *a)
{
    struct error error = {0};
    CLEANUP(bytes_done) struct bytes workflow = BYTES_INIT;
    enum err err = op_workflow_name(g, a->workflow, &workflow, &error);
    struct slice rest = bytes_slice(&workflow), module = slice_split(&rest, '.');
    char id[37];
    if (err == OK)
        err = g->host->workflow(g->host->ctx, module, &error);
    if (op_is_over(g))
        return ERR_CANCELLED;
    bytes_clear(&g->result);
    if (err != OK) {
        g->op_error = error;
        return err;
    }
    child_id(g, bytes_slice(&workflow), a, id);
    if (op_is_over(g))
        return ERR_CANCELLED;
    bytes_clear(&g->result);
    bytes_append_cstr(&g->result, id);
    return OK;
}

/* The result is its id. */
void op_child_start_effect(struct guest *g, const struct op_child_start_args *a)
{
    struct error ignored; /* it was in its namespace when it was recorded */
    CLEANUP(bytes_done) struct bytes workflow = BYTES_INIT;
    (void)(op_workflow_name(g, a->workflow, &workflow, &ignored) == OK);
    struct execution_effect effect = {.kind = EXECUTION_START_CHILD,
                                      .target = bytes_slice(&workflow),
                                      .name = a->key,
                                      .value = a->input,
                                      .id = bytes_slice(&g->result)};
    execution_effect(g->durable->execution, &effect);
}

enum err op_child_result(struct guest *g, const struct op_child_result_args *a)
{
    return check_main(g, "result()");
}

enum err op_child_result_call(struct guest *g, const struct op_child_result_args *a,
                              struct op_call *c)
{
    c->call.kind = EXECUTION_CHILD_RESULT;
    c->call.name = a->execution;
    return OK;
}

/* Where there are several namespaces the store is asked about the receiver, which may take time. */
static enum err check_reach(struct guest *g, struct slice execution)
{
    struct error error;
    if (!g->host->is_divided)
        return OK;
    enum err err = g->host->may_reach(g->host->ctx, g->deployment, execution, &error);
    if (op_is_over(g))
        return ERR_CANCELLED;
    bytes_clear(&g->result);
    if (err != OK)
        g->op_error = error;
    return err;
}

enum err op_signal_check(struct guest *g, struct op_signal_args *a)
{
    if (a->name.len == 0)
        return op_refuse(g, ERR_INVALID, "a signal needs a name");
    if (check_signal_name(g, a->name) != OK)
        return ERR_INVALID;
    enum err err = check_main(g, "signal()");
    if (err == OK)
        err = op_check_value(g, "the data of a signal", a->data, INSTEAD_OF_LARGE);
    if (a->data.len == 0)
        a->data = SLICE_LIT("null");
    return err;
}

enum err op_signal(struct guest *g, const struct op_signal_args *a)
{
    return check_reach(g, a->execution);
}

/* The same signal from the same place is one, also after a retry; another one is another. */
void op_signal_effect(struct guest *g, const struct op_signal_args *a)
{
    char once[80];
    struct record_hash h;
    record_hash_init(&h, OP_NUMBER_SIGNAL);
    record_hash_add(&h, a->name);
    record_hash_add(&h, a->data);
    snprintf(once, sizeof(once), "%.36s-%lld-%016llx", execution_id(g->durable->execution).ptr,
             (long long)g->durable->place, (unsigned long long)record_hash_end(&h));
    struct execution_effect effect = {.kind = EXECUTION_SEND_SIGNAL,
                                      .target = a->execution,
                                      .name = a->name,
                                      .value = a->data,
                                      .id = slice_cstr(once)};
    execution_effect(g->durable->execution, &effect);
}

enum err op_child_cancel_check(struct guest *g, struct op_child_cancel_args *a)
{
    return check_main(g, "cancel()");
}

enum err op_child_cancel(struct guest *g, const struct op_child_cancel_args *a)
{
    return check_reach(g, a->execution);
}

void op_child_cancel_effect(struct guest *g, const struct op_child_cancel_args *a)
{
    struct execution_effect effect = {.kind = EXECUTION_CANCEL_CHILD, .target = a->execution};
    execution_effect(g->durable->execution, &effect);
}

enum err op_progress_check(struct guest *g, struct op_progress_args *a)
{
    enum err err = op_check_value(g, "the progress of an execution", a->json, INSTEAD_OF_LARGE);
    return err == OK && (!g->durable || g->scope == 0) ? check_main(g, "progress()") : err;
}

enum err op_progress(struct guest *g, const struct op_progress_args *a)
{
    return OK;
}

void op_progress_effect(struct guest *g, const struct op_progress_args *a)
{
    struct execution_effect effect = {.kind = EXECUTION_PUBLISH, .value = a->json};
    execution_effect(g->durable->execution, &effect);
    if (g->scope != 0) /* from inside a step: shown, not recorded */
        guest_report(g);
}

/* ---- scopes ---- */

struct scope_fetches {
    uint32_t scope, count;
};

uint32_t guest_count_fetch(struct guest *g)
{
    for (size_t k = 0; k < g->durable->scopes_len; k++)
        if (g->durable->scopes[k].scope == g->scope)
            return ++g->durable->scopes[k].count;
    struct scope_fetches *grown =
        reallocarray(g->durable->scopes, g->durable->scopes_len + 1, sizeof(*g->durable->scopes));
    CHECK(grown);
    g->durable->scopes = grown;
    g->durable->scopes[g->durable->scopes_len++] = (struct scope_fetches){g->scope, 1};
    return 1;
}

void guest_forget_scope(struct guest *g, uint32_t scope)
{
    for (size_t k = 0; k < g->durable->scopes_len; k++) {
        if (g->durable->scopes[k].scope != scope)
            continue;
        g->durable->scopes[k] = g->durable->scopes[--g->durable->scopes_len];
        return;
    }
}

static struct op *first_in_scope(struct guest *g, uint32_t scope)
{
    struct context *c = context_of_code(g, scope);
    LIST_FOREACH (n, &c->ops) {
        struct op *op = container_of(n, struct op, link);
        if (op->scope == scope)
            return op;
    }
    return NULL;
}

/* What ends one op may end others of the scope: a fetch that is cancelled takes the write of its
 * body along. */
void guest_scope_over(struct guest *g, uint32_t scope)
{
    guest_forget_scope(g, scope);
    struct op *op;
    while ((op = first_in_scope(g, scope))) {
        struct error e;
        error_set(&e, ERR_CANCELLED, "the step's attempt is over");
        op_complete_error(op, &e);
        op->cancel(op);
    }
    if (scope != 0)
        streams_scope_over(g, scope);
}

/* ---- the guest ---- */

void guest_make_durable(struct guest *g, struct execution *x, struct slice tail,
                        int64_t lines_stored)
{
    struct guest_durable *d = calloc(1, sizeof(*d));
    CHECK(d && !g->durable);
    d->execution = x;
    d->tail = tail;
    d->started_us = execution_now_us(x);
    d->lines_stored = lines_stored;
    list_init(&d->uncommitted);
    g->durable = d;
    g->next_op = GUEST_OWN_OPS;
}

void guest_poke(struct guest *g)
{
    g->durable->has_news = true;
    guest_report(g);
}

bool guest_has_news(const struct guest *g)
{
    return g->durable && g->durable->has_news;
}

/* ---- snapshots ---- */

struct saved_guest {
    uint32_t version, dispatch, next_op, next_stream;
    int64_t lines;
    struct sql_counters counters;
};

enum { SAVED_VERSION = 2 };

enum err guest_save(struct guest *g, struct bytes *out, struct error *ret_error)
{
    CHECK(!isolate_is_running(g->isolate) && !list_is_empty(&g->running));
    if (g->ops_len > 0 || !list_is_empty(&g->completions))
        return error_set(ret_error, ERR_CONFLICT, "the body of a step has left work behind");
    if (!list_is_empty(&g->codecs))
        return error_set(ret_error, ERR_CONFLICT,
                         "a CompressionStream or HTMLRewriter is in the middle");
    struct dispatch *d = container_of(g->running.next, struct dispatch, link);
    struct saved_guest saved = {SAVED_VERSION,     d->id,          g->next_op, g->next_stream,
                                g->durable->lines, g->sql.counters};
    bytes_append(out, &saved, sizeof(saved));
    return snapshot_save(g->isolate, out, ret_error);
}

enum err guest_resume(struct guest *g, struct dispatch *d, struct slice saved,
                      struct error *ret_error)
{
    struct saved_guest head;
    if (saved.len < sizeof(head))
        return error_set(ret_error, ERR_CORRUPT, "the snapshot is cut short");
    memcpy(&head, saved.ptr, sizeof(head));
    if (head.version != SAVED_VERSION)
        return error_set(ret_error, ERR_CONFLICT, "the snapshot has another format");
    enum err err = snapshot_apply(g->isolate, slice_skip(saved, sizeof(head)), ret_error);
    if (err != OK)
        return err;
    g->next_op = head.next_op;
    g->next_stream = head.next_stream;
    g->durable->lines = head.lines;
    g->sql.counters = head.counters;
    g->next_dispatch = head.dispatch;
    d->guest = g;
    d->id = head.dispatch;
    list_push_back(&g->running, &d->link);
    g->context = context_new(g, d);
    guest_poke(g);
    return OK;
}
