/* SPDX-License-Identifier: Apache-2.0
 *
 * Check and migrate: every unfinished execution of a workflow is replayed on other code, by the
 * thread that owns it. First the code (a trial, or the version that serves), then the executions, a
 * page at a time, between which others have their turn on the control thread; then the replays, so
 * many at once. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "flow/director_internal.h"
#include "flow/run.h"
#include "module/deployment.h"

enum { CHECKS_AT_ONCE = 64, CHECK_TRIES = 100, CHECK_RETRY_MS = 20, CHECK_PAGE = 200 };

struct survey_all {
    struct director *director;
    struct flow_request *admin;
    struct deployment_ask code;
    struct ask *ask;  /* a page of executions */
    int status;       /* that are listed: DURABLE_QUEUED, RUNNING, SUSPENDED */
    char cursor[24];  /* of the next page */
    struct bytes ids; /* 37 bytes each */
    size_t ids_len, next, pending;
    int64_t checked, agreeing;
    struct bytes report; /* JSON of those that do not agree */
    struct json_writer json;
    struct due due;
};

struct one_check {
    struct run_check check;
    struct survey_all *all;
    struct due retry;
    unsigned tries;
};

static void check_more(struct survey_all *s);

static void survey_free(struct survey_all *s)
{
    deployment_unref(s->code.deployment);
    ask_drop(s->ask);
    bytes_done(&s->ids);
    bytes_done(&s->report);
    free(s);
}

static void survey_fail(struct survey_all *s, const struct error *error)
{
    struct flow_request *a = s->admin;
    struct error e = *error;
    survey_free(s);
    director_fail(a, &e);
}

static void check_finish(struct survey_all *s)
{
    struct flow_request *a = s->admin;
    bool migrates = a->kind == FLOW_MIGRATE;
    json_close(&s->json, ']');
    struct json_writer j = json_writer(&a->report);
    json_open(&j, '{');
    json_key(&j, "checked");
    json_int(&j, s->checked);
    json_key(&j, migrates ? "migrated" : "agreeing");
    json_int(&j, s->agreeing);
    json_key(&j, migrates ? "left" : "diverged");
    json_raw(&j, bytes_slice(&s->report));
    json_close(&j, '}');
    survey_free(s);
    a->error.code = OK;
    a->done(a);
}

/* The first line of a mapped stack that names a place: "at checkout (order.ts:12:5)". */
static struct slice first_place(struct slice stack)
{
    while (stack.len > 0) {
        struct slice line = slice_trim(slice_split(&stack, '\n'));
        if (slice_starts(line, SLICE_LIT("at ")) && !slice_ends(line, SLICE_LIT("(native)")))
            return slice_skip(line, 3);
    }
    return SLICE_EMPTY;
}

static void report_one(struct survey_all *s, const struct run_check *c)
{
    struct json_writer *j = &s->json;
    json_open(j, '{');
    json_key(j, "execution_id");
    json_cstr(j, c->id);
    if (c->error.code != OK) {
        json_key(j, "error");
        json_cstr(j, c->error.message);
    } else {
        json_key(j, "record");
        json_int(j, c->record);
        json_key(j, "recorded");
        json_slice(j, bytes_slice(&c->recorded));
        json_key(j, "did");
        json_slice(j, bytes_slice(&c->did));
        struct slice at = first_place(bytes_slice(&c->stack));
        if (at.len > 0) {
            json_key(j, "at");
            json_slice(j, at);
        }
    }
    json_close(j, '}');
}

static void check_send(struct one_check *o);

static void check_again(struct due *t)
{
    check_send(container_of(t, struct one_check, retry));
}

static void check_done(struct run_check *c)
{
    struct one_check *o = container_of(c, struct one_check, check);
    struct survey_all *s = o->all;
    if (c->error.code == ERR_UNAVAILABLE && o->tries++ < CHECK_TRIES &&
        !s->director->is_stopping) { /* it was just running */
        c->error.code = OK;
        due_in(s->director->env, &o->retry, CHECK_RETRY_MS, check_again);
        return;
    }
    if (!c->is_gone) {
        s->checked++;
        s->agreeing += c->agrees;
        if (!c->agrees)
            report_one(s, c);
        else if (c->migrates)
            director_wake(s->director, c->id, "");
    }
    if (c->migrates && !c->agrees)
        director_wake(s->director, c->id, ""); /* it had been stopped for this */
    bytes_done(&c->recorded);
    bytes_done(&c->did);
    bytes_done(&c->stack);
    free(o);
    s->pending--;
    check_more(s);
}

static void check_send(struct one_check *o)
{
    run_check(director_owner(o->all->director, o->check.id), &o->check);
}

static void check_more(struct survey_all *s)
{
    while (s->pending < CHECKS_AT_ONCE && s->next < s->ids_len) {
        struct one_check *o = calloc(1, sizeof(*o));
        CHECK(o);
        o->all = s;
        o->check.deployment = s->code.deployment;
        o->check.migrates = s->admin->kind == FLOW_MIGRATE;
        o->check.done = check_done;
        memcpy(o->check.id, s->ids.ptr + s->next++ * sizeof(o->check.id), sizeof(o->check.id));
        s->pending++;
        check_send(o);
    }
    if (s->pending == 0)
        check_finish(s);
}

/* ---- which executions ---- */

static void list_page(struct survey_all *s);

static void list_go(struct due *t)
{
    list_page(container_of(t, struct survey_all, due));
}

static void list_take(struct survey_all *s)
{
    CLEANUP(ask_cleanup) struct ask *a = TAKE(s->ask);
    const struct store_query *q = &a->query;
    if (q->error.code != OK) {
        survey_fail(s, &q->error);
        return;
    }
    for (size_t n = 0; n < q->durables.len; n++) {
        char id[37] = "";
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(q->durables.rows[n].id));
        bytes_append(&s->ids, id, sizeof(id));
        s->ids_len++;
    }
    snprintf(s->cursor, sizeof(s->cursor), "%.*s", SLICE_ARG(q->durables.next));
    if (q->durables.next.len == 0)
        s->status++;
    if (s->status <= DURABLE_SUSPENDED)
        due_in(s->director->env, &s->due, 0, list_go);
    else
        check_more(s);
}

static void list_answered(struct ask *a)
{
    list_take(a->owner);
}

static void list_page(struct survey_all *s)
{
    struct ask *a = s->ask =
        ask_new(s->director->env->asks, STORE_QUERY_DURABLES, list_answered, s);
    struct slice rest = s->admin->workflow, module = slice_split(&rest, '.');
    a->query.durables.filter.workflow = arena_copy(a->arena, module);
    a->query.durables.filter.status = s->status;
    a->query.durables.page.limit = CHECK_PAGE;
    a->query.durables.page.cursor = arena_copy(a->arena, slice_cstr(s->cursor));
    if (ask_start(a) == OP_DONE)
        list_take(s);
}

/* ---- on which code ---- */

static void code_known(struct deployment_ask *ask)
{
    struct survey_all *s = container_of(ask, struct survey_all, code);
    if (!ask->deployment)
        survey_fail(s, &ask->error);
    else
        list_page(s);
}

void director_check(struct director *d, struct flow_request *a)
{
    struct survey_all *s = calloc(1, sizeof(*s));
    CHECK(s);
    struct slice rest = a->workflow, module = slice_split(&rest, '.');
    s->director = d;
    s->admin = a;
    s->status = DURABLE_QUEUED;
    s->json = json_writer(&s->report);
    json_open(&s->json, '[');
    s->code.done = code_known;
    if (a->kind == FLOW_MIGRATE)
        director_deploy(d, &s->code, module, 0);
    else
        d->env->code->trial(d->env->ctx, &s->code, module, a->code, a->detail);
}
