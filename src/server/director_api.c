/* SPDX-License-Identifier: Apache-2.0
 *
 * What the admin API asks of durable executions. Each is a mutation of the store; when that is
 * durable the execution is woken, so that it sees what happened to it, and the caller is told. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "admin/names.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/module_name.h"
#include "base/random.h"
#include "durable/record.h"
#include "host/guest.h"
#include "host/op.h"
#include "script/deployment.h"
#include "server/director_internal.h"
#include "server/metrics.h"
#include "server/run.h"
#include "server/worker.h"

struct request {
    struct store_op op;
    struct director *director;
    struct admin_durable *admin;
    char id[37];
};

static void fail(struct admin_durable *a, const struct error *error)
{
    a->error = *error;
    a->done(a);
}

enum err director_is_finished(struct director *d, const char *id, bool *ret_is_finished)
{
    struct durable_row row;
    struct error e;
    struct arena *a = arena_new(NULL);
    enum err err = store_durable(d->reader, a, slice_cstr(id), &row, &e);
    if (err == OK)
        *ret_is_finished = durable_is_finished(row.status);
    arena_free(a);
    return err;
}

/* ---- after the mutation ---- */

/* may_be_over: it was not started just now. */
static void wait_or_tell(struct director *d, struct admin_durable *a, const char *id,
                         bool may_be_over)
{
    bool is_finished = false;
    if (may_be_over && director_is_finished(d, id, &is_finished) == OK && is_finished)
        a->is_finished = true;
    if (a->wait_ms == 0 || a->is_finished || d->is_stopping)
        a->done(a);
    else
        director_await(d, a, id);
}

static void mutated(struct store_op *op)
{
    struct request *r = container_of(op, struct request, op);
    struct director *d = r->director;
    struct admin_durable *a = r->admin;
    char id[37];
    memcpy(id, r->id, sizeof(id));
    struct error e = op->error;
    free(r);
    if (e.code != OK) {
        fail(a, &e);
        return;
    }
    a->error.code = OK;
    director_wake(d, id, "");
    a->done(a);
}

static struct request *request_new(struct director *d, struct admin_durable *a, struct slice id)
{
    struct request *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->director = d;
    r->admin = a;
    r->op.loop = control_loop(d->control);
    r->op.done = mutated;
    snprintf(r->id, sizeof(r->id), "%.*s", (int)id.len, id.ptr ? id.ptr : "");
    return r;
}

/* ---- start ---- */

static void run_id_of_key(struct store_reader *reader, struct slice workflow, struct slice key,
                          char ret_id[37])
{
    struct durable_row row;
    struct error ignored;
    if (!module_name_is_in(workflow, SLICE_EMPTY)) { /* there were no others before */
        durable_id_of_key(workflow, key, ret_id);
        return;
    }
    struct arena *a = arena_new(NULL);
    durable_id_of_key_before(workflow, key, ret_id);
    if (store_durable(reader, a, slice_cstr(ret_id), &row, &ignored) != OK)
        durable_id_of_key(workflow, key, ret_id);
    arena_free(a);
}

/* A start on its way: from here to the store, from there to the engine thread that owns it, which
 * begins at once and tells us. */
struct start {
    struct store_op op;
    struct post post;
    struct director *director;
    struct admin_durable *admin;
    struct worker *worker;
    struct deployment *deployment;
    struct arena *arena;
    struct durable_row row;
    char id[37];
};

static void start_told(struct post *p)
{
    struct start *s = container_of(p, struct start, post);
    struct director *d = s->director;
    struct admin_durable *a = s->admin;
    char id[37];
    memcpy(id, s->id, sizeof(id));
    bool is_new = s->op.number != 0;
    struct error e = s->op.error;
    free(s);
    if (e.code != OK) {
        fail(a, &e);
        return;
    }
    a->error.code = OK;
    a->is_new = is_new;
    wait_or_tell(d, a, id, !is_new);
}

/* On the engine thread. */
static void start_committed(struct store_op *op)
{
    struct start *s = container_of(op, struct start, op);
    if (op->error.code == OK && op->number != 0) {
        s->row.version = op->number;
        run_begin(s->worker, s->deployment, s->id, &s->row, TAKE(s->arena));
    }
    arena_free(s->arena);
    deployment_unref(s->deployment);
    s->post.fn = start_told;
    loop_post(control_loop(s->director->control), &s->post);
}

static void start_at_owner(struct director *d, struct admin_durable *a,
                           struct deployment *deployment, const struct durable_row *row)
{
    struct start *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->director = d;
    s->admin = a;
    s->deployment = deployment;
    memcpy(s->id, a->new_id, sizeof(s->id));
    s->worker = director_owner(d, s->id);
    s->arena = arena_new(NULL);
    s->row = (struct durable_row){
        .id = slice_cstr(s->id),
        .export_name = arena_copy(s->arena, row->export_name),
        .input = arena_copy(s->arena, row->input),
        .metadata = arena_copy(s->arena, row->metadata),
        .created_us = row->created_us,
        .status = DURABLE_QUEUED,
        .attempt = 1,
    };
    s->op.loop = &s->worker->loop;
    s->op.done = start_committed;
    store_durable_start(d->server->store, &s->op, row);
}

static void start(struct director *d, struct admin_durable *a)
{
    struct slice rest = a->workflow, module = slice_split(&rest, '.');
    if (a->key.len > 0)
        run_id_of_key(d->reader, a->workflow, a->key, a->new_id);
    else
        random_uuid7(a->new_id);
    struct durable_row row = {
        .id = slice_cstr(a->new_id),
        .workflow = module,
        .export_name = rest,
        .key = a->key,
        .input = a->body.len > 0 ? a->body : SLICE_LIT("null"),
        .metadata = a->metadata.len > 0 ? a->metadata : SLICE_LIT("{}"),
        .created_us = clock_wall_us(),
    };
    struct deployment *deployment;
    enum err err = control_deployment(d->control, module, 0, &deployment, &a->error);
    if (err == OK)
        start_at_owner(d, a, deployment, &row);
    else
        a->done(a);
}

/* ---- retry and fork: where to cut the journal ---- */

enum { SURVEY_BYTES = 256 * 1024 }; /* of a journal, read at once */

struct cut {
    int64_t records;     /* to keep */
    int64_t chunk_first; /* the chunk that is cut */
    struct bytes chunk;  /* its whole content, then its part to keep */
    int64_t last_failed_step, last_external, cancel, end; /* -1: none */
    int64_t count;
};

static void note_record(struct cut *c, const struct record *r)
{
    if (r->kind == RECORD_DONE && r->op == OP_NUMBER_STEP && r->status != OK)
        c->last_failed_step = c->count;
    if (r->kind == RECORD_DONE && r->op == OP_NUMBER_FETCH)
        c->last_external = c->count;
    if (r->kind == RECORD_CANCEL && c->cancel < 0)
        c->cancel = c->count;
    if (r->kind == RECORD_END)
        c->end = c->count;
    c->count++;
}

/* Reads the whole journal, a chunk at a time, for the places where it may be cut. */
static enum err survey(struct director *d, struct slice id, struct cut *c, struct error *ret_error)
{
    int64_t count = 1, first = 0;
    enum err err = OK;
    *c = (struct cut){.last_failed_step = -1, .last_external = -1, .cancel = -1, .end = -1};
    while (err == OK && count > 0) {
        CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT;
        err =
            store_journal(d->reader, id, c->count, SURVEY_BYTES, &chunk, &first, &count, ret_error);
        struct slice rest = bytes_slice(&chunk);
        struct record r;
        while (err == OK && rest.len > 0) {
            err = record_take(&rest, &r, ret_error);
            if (err == OK)
                note_record(c, &r);
        }
    }
    return err;
}

static enum err cut_at(struct director *d, struct slice id, int64_t records, struct cut *c,
                       struct error *ret_error)
{
    int64_t count = 0;
    c->records = records;
    bytes_clear(&c->chunk);
    if (records == 0)
        return OK;
    enum err err =
        store_journal(d->reader, id, records - 1, 1, &c->chunk, &c->chunk_first, &count, ret_error);
    if (err == OK)
        c->chunk.len = record_prefix(bytes_slice(&c->chunk), records - c->chunk_first).len;
    return err;
}

/* A cancelled one from where it learned of that; else from the failed step; else from the last
 * answer from outside, which the failure must have come from; on other code from where it ended. */
static int64_t retry_place(const struct cut *c, bool was_cancelled, bool is_other_version)
{
    int64_t all = c->end >= 0 ? c->end : c->count;
    if (was_cancelled && c->cancel >= 0)
        return c->cancel;
    if (c->last_failed_step >= 0)
        return c->last_failed_step;
    if (!is_other_version && c->last_external >= 0)
        return c->last_external;
    return all;
}

/* ---- retry: signals that were consumed behind the cut ---- */

enum { TAKEN_BYTES_MAX = 64 * 1024 * 1024 }; /* of their data; the store takes them in one go */

/* The record's label is the name of the signal, not cut. */
_Static_assert((int)NAMES_SIGNAL_BYTES_MAX <= (int)RECORD_LABEL_BYTES_MAX,
               "a label has the whole name");

struct taken {
    struct arena *arena; /* of their texts */
    struct durable_signal *rows;
    size_t len, cap, bytes;
};

/* A call of waitForEvent() that completed: i64 seq, f64 milliseconds since 1970, lstr data. */
static enum err take_back(struct taken *t, const struct record *r, struct error *ret_error)
{
    enum { HEAD_BYTES = 8 + 8 + 4 };
    uint64_t seq, at_bits;
    uint32_t len;
    double at_ms;
    if (r->payload.len < HEAD_BYTES)
        return error_set(ret_error, ERR_CORRUPT, "a record of a signal is too short");
    memcpy(&seq, r->payload.ptr, sizeof(seq));
    memcpy(&at_bits, r->payload.ptr + 8, sizeof(at_bits));
    memcpy(&len, r->payload.ptr + 16, sizeof(len));
    at_bits = le64toh(at_bits);
    memcpy(&at_ms, &at_bits, sizeof(at_ms));
    if (le32toh(len) != r->payload.len - HEAD_BYTES)
        return error_set(ret_error, ERR_CORRUPT, "a record of a signal has another length");
    t->bytes += r->payload.len;
    if (t->bytes > TAKEN_BYTES_MAX) {
        error_set(ret_error, ERR_TOO_LARGE,
                  "the retry would have to give back signals of more than %d bytes",
                  TAKEN_BYTES_MAX);
        error_hint(ret_error, "limpet execution fork --record N keeps more of the journal");
        return ERR_TOO_LARGE;
    }
    if (t->len == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->rows = reallocarray(t->rows, t->cap, sizeof(*t->rows));
        CHECK(t->rows);
    }
    t->rows[t->len++] =
        (struct durable_signal){.seq = (int64_t)le64toh(seq),
                                .at_us = (int64_t)(at_ms * 1000 + 0.5),
                                .name = arena_copy(t->arena, r->label),
                                .data = arena_copy(t->arena, slice_skip(r->payload, HEAD_BYTES))};
    return OK;
}

/* Those of the records from number `from` on. */
static enum err taken_behind(struct director *d, struct slice id, int64_t from, struct taken *t,
                             struct error *ret_error)
{
    int64_t next = from, first = 0, count = 1;
    enum err err = OK;
    while (err == OK && count > 0) {
        CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT;
        err = store_journal(d->reader, id, next, SURVEY_BYTES, &chunk, &first, &count, ret_error);
        struct slice rest = bytes_slice(&chunk);
        struct record r;
        for (int64_t n = first; err == OK && rest.len > 0; n++) {
            err = record_take(&rest, &r, ret_error);
            if (err == OK && n >= from && r.kind == RECORD_DONE && r.op == OP_NUMBER_EVENT_WAIT &&
                r.status == OK)
                err = take_back(t, &r, ret_error);
        }
        next = first + count;
    }
    return err;
}

/* ---- retry and fork ---- */

static enum err serving_version(struct director *d, struct slice workflow, int64_t *ret_version,
                                struct error *ret_error)
{
    struct version_row row;
    struct arena *a = arena_new(NULL);
    enum err err = store_version(d->reader, a, workflow, 0, &row, ret_error);
    if (err == OK)
        *ret_version = row.number;
    arena_free(a);
    return err;
}

static void retry(struct director *d, struct admin_durable *a)
{
    struct durable_row row;
    struct error e;
    struct cut c = {0};
    int64_t version = a->version;
    struct arena *arena = arena_new(NULL);
    struct taken taken = {.arena = arena};
    enum err err = store_durable(d->reader, arena, a->id, &row, &e);
    if (err == OK && row.is_paused && row.parked.len > 0) { /* nothing is to be cut: it goes on */
        struct request *r = request_new(d, a, a->id);
        store_durable_pause(d->server->store, &r->op, a->id, false);
        arena_free(arena);
        return;
    }
    if (err == OK && row.status != DURABLE_FAILED && row.status != DURABLE_CANCELLED) {
        err = error_set(&e, ERR_CONFLICT, "the execution is %s", durable_status_text(row.status));
        error_hint(&e, "only a failed or cancelled one can be retried");
    }
    if (err == OK && version < 0)
        err = serving_version(d, row.workflow, &version, &e);
    else if (err == OK && version > 0) {
        struct version_row v;
        err = store_version(d->reader, arena, row.workflow, version, &v, &e);
    }
    if (err == OK)
        err = survey(d, a->id, &c, &e);
    if (err == OK)
        err = cut_at(
            d, a->id,
            retry_place(&c, row.status == DURABLE_CANCELLED, version > 0 && version != row.version),
            &c, &e);
    if (err == OK)
        err = taken_behind(d, a->id, c.records, &taken, &e);
    if (err == OK) {
        struct request *r = request_new(d, a, a->id);
        struct durable_retry how = {.records = c.records,
                                    .chunk_first = c.chunk_first,
                                    .chunk = bytes_slice(&c.chunk),
                                    .version = version,
                                    .signals = taken.rows,
                                    .signals_len = taken.len};
        store_durable_retry(d->server->store, &r->op, a->id, &how);
    } else {
        fail(a, &e);
    }
    bytes_done(&c.chunk);
    free(taken.rows);
    arena_free(arena);
}

static void fork_execution(struct director *d, struct admin_durable *a)
{
    struct durable_row row;
    struct error e;
    struct cut c;
    struct arena *arena = arena_new(NULL);
    enum err err = store_durable(d->reader, arena, a->id, &row, &e);
    if (err == OK)
        err = survey(d, a->id, &c, &e);
    int64_t all = err == OK && c.end >= 0 ? c.end : err == OK ? c.count : 0;
    if (err == OK && a->record > all)
        err = error_set(&e, ERR_INVALID, "the journal has %lld records that can be kept",
                        (long long)all);
    if (err == OK)
        err = cut_at(d, a->id, a->record < 0 ? all : a->record, &c, &e);
    if (err == OK) {
        random_uuid7(a->new_id);
        struct request *r = request_new(d, a, slice_cstr(a->new_id));
        store_durable_fork(d->server->store, &r->op, a->id, slice_cstr(a->new_id), c.records,
                           c.chunk_first, bytes_slice(&c.chunk));
        bytes_done(&c.chunk);
    } else {
        fail(a, &e);
    }
    arena_free(arena);
}

/* ---- check and migrate ---- */

enum { CHECKS_AT_ONCE = 64, CHECK_TRIES = 100, CHECK_RETRY_MS = 20 };

struct survey_all {
    struct director *director;
    struct admin_durable *admin;
    struct deployment *deployment;
    struct bytes ids; /* 37 bytes each */
    size_t ids_len, next, pending;
    int64_t checked, agreeing;
    struct bytes report; /* JSON of those that do not agree */
    struct json_writer json;
    struct timer timer;
};

struct one_check {
    struct run_check check;
    struct survey_all *all;
    struct timer retry;
    unsigned tries;
};

static void check_more(struct survey_all *s);

static void check_finish(struct survey_all *s)
{
    struct admin_durable *a = s->admin;
    bool migrates = a->kind == ADMIN_DURABLE_MIGRATE;
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
    deployment_unref(s->deployment);
    bytes_done(&s->ids);
    bytes_done(&s->report);
    free(s);
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

static void check_again(struct timer *t)
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
        timer_start(control_loop(s->director->control), &o->retry, CHECK_RETRY_MS, check_again);
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
        o->check.deployment = s->deployment;
        o->check.migrates = s->admin->kind == ADMIN_DURABLE_MIGRATE;
        o->check.done = check_done;
        memcpy(o->check.id, s->ids.ptr + s->next++ * sizeof(o->check.id), sizeof(o->check.id));
        s->pending++;
        check_send(o);
    }
    if (s->pending == 0)
        check_finish(s);
}

static enum err list_unfinished(struct director *d, struct slice workflow, struct survey_all *s,
                                struct error *ret_error)
{
    static const enum durable_status statuses[] = {DURABLE_QUEUED, DURABLE_RUNNING,
                                                   DURABLE_SUSPENDED};
    enum err err = OK;
    for (size_t k = 0; k < ARRAY_LEN(statuses) && err == OK; k++) {
        struct durable_filter filter = {.workflow = workflow, .status = (int)statuses[k]};
        struct store_page page = {.limit = 1000};
        struct arena *a = arena_new(NULL);
        do {
            struct durable_row *rows;
            size_t len = 0;
            err =
                store_durables(d->reader, a, &filter, &page, &rows, &len, &page.cursor, ret_error);
            for (size_t n = 0; err == OK && n < len; n++) {
                char id[37] = "";
                snprintf(id, sizeof(id), "%.*s", SLICE_ARG(rows[n].id));
                bytes_append(&s->ids, id, sizeof(id));
                s->ids_len++;
            }
        } while (err == OK && page.cursor.len > 0);
        arena_free(a);
    }
    return err;
}

static void check_all(struct director *d, struct admin_durable *a)
{
    struct error e;
    int64_t version = 0;
    struct survey_all *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->director = d;
    s->admin = a;
    s->json = json_writer(&s->report);
    json_open(&s->json, '[');
    struct slice rest = a->workflow, module = slice_split(&rest, '.');
    enum err err = serving_version(d, module, &version, &e);
    if (err == OK && a->kind == ADMIN_DURABLE_MIGRATE)
        err = control_deployment(d->control, module, version, &s->deployment, &e);
    else if (err == OK)
        err = control_trial(d->control, module, a->code, a->source_map, &s->deployment, &e);
    if (err == OK)
        err = list_unfinished(d, module, s, &e);
    if (err == OK) {
        check_more(s);
        return;
    }
    deployment_unref(s->deployment);
    bytes_done(&s->ids);
    bytes_done(&s->report);
    free(s);
    fail(a, &e);
}

/* ---- the table ---- */

void director_durable(struct director *d, struct admin_durable *a)
{
    struct store *store = d->server->store;
    struct request *r;
    struct durable_message message = {.execution = a->id, .name = a->name, .data = a->body};
    bool is_finished = false;
    a->error.code = OK;
    a->internal = NULL;
    switch (a->kind) {
    case ADMIN_DURABLE_START:
        start(d, a);
        return;
    case ADMIN_DURABLE_WAIT: {
        char id[37];
        snprintf(id, sizeof(id), "%.*s", (int)a->id.len, a->id.ptr);
        if (director_is_finished(d, id, &is_finished) != OK) {
            error_set(&a->error, ERR_NOT_FOUND, "there is no execution '%s'", id);
            a->done(a);
            return;
        }
        wait_or_tell(d, a, id, true);
        return;
    }
    case ADMIN_DURABLE_RETRY:
        retry(d, a);
        return;
    case ADMIN_DURABLE_FORK:
        fork_execution(d, a);
        return;
    case ADMIN_DURABLE_CHECK:
    case ADMIN_DURABLE_MIGRATE:
        check_all(d, a);
        return;
    case ADMIN_DURABLE_SIGNAL:
        r = request_new(d, a, a->id);
        store_durable_signal(store, &r->op, &message);
        return;
    case ADMIN_DURABLE_CANCEL:
        r = request_new(d, a, a->id);
        store_durable_cancel(store, &r->op, a->id);
        return;
    case ADMIN_DURABLE_PAUSE:
    case ADMIN_DURABLE_RESUME:
        r = request_new(d, a, a->id);
        store_durable_pause(store, &r->op, a->id, a->kind == ADMIN_DURABLE_PAUSE);
        return;
    }
}
