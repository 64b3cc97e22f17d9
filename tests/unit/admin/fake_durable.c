/* SPDX-License-Identifier: Apache-2.0
 *
 * A server that keeps executions of workflows in the store but runs none: they stay queued until a
 * signal says what becomes of them:
 *
 *   finish    it has completed; data is its output
 *   fail      it has failed; data is its error
 *   suspend   it sleeps until 2100
 *   journal   a journal of all kinds of records is appended
 *   log       a line is logged
 *
 * Other signals are only stored. A start whose input has "finish" completes at once, with its input
 * as output; what else waits is answered when the execution ends or the wait is cancelled. */
#include "../store/commit.h"
#include "harness.h"

#include "base/random.h"
#include "durable/record.h"
#include "guest/values.h"

enum { FAKE_OP_ENV_GET = 4, FAKE_OP_FETCH = 13, FAKE_OP_STEP = 24, FAKE_OP_EVENT_WAIT = 26 };

struct fake_durable {
    struct list link; /* in durables, while it waits */
    struct fake *fake;
    struct flow_request *d;
    struct store_op op, commit_op;
    char id[RANDOM_ID_SIZE];
};

static void fake_end(struct fake_durable *x)
{
    struct flow_request *d = x->d;
    list_remove(&x->link);
    free(x);
    d->done(d);
}

static void fake_note(struct fake *f, const char *word)
{
    size_t len = strlen(f->durable_order);
    snprintf(f->durable_order + len, sizeof(f->durable_order) - len, "%s ", word);
}

/* All that wait for the execution are told. */
static void fake_wake(struct fake *f, struct slice id)
{
    LIST_FOREACH (n, &f->durables) {
        struct fake_durable *x = container_of(n, struct fake_durable, link);
        if (!slice_eq_cstr(id, x->id))
            continue;
        x->d->is_finished = true;
        fake_end(x);
    }
}

static void fake_wait(struct fake_durable *x)
{
    if (x->d->wait_ms == 0)
        fake_end(x);
    else
        list_push_back(&x->fake->durables, &x->link);
}

static void on_committed(struct store_op *op)
{
    struct fake_durable *x = container_of(op, struct fake_durable, commit_op);
    assert_int_equal(op->error.code, OK);
    x->d->is_finished = true;
    fake_wake(x->fake, slice_cstr(x->id));
    fake_end(x);
}

static void fake_commit(struct fake_durable *x, struct durable_commit *c)
{
    c->id = slice_cstr(x->id);
    x->commit_op = (struct store_op){.loop = x->fake->loop, .done = on_committed};
    commit_send(x->fake->store, &x->commit_op, c);
}

/* ---- what signals do ---- */

static void add_record(struct bytes *out, enum record_kind kind, uint32_t op, uint32_t id,
                       uint32_t status, const char *label, const struct bytes *payload)
{
    static int64_t at_us = 1700000000000000;
    struct record r = {.kind = kind,
                       .op = op,
                       .id = id,
                       .digest = 7,
                       .at_us = at_us += 1500,
                       .status = status,
                       .label = slice_cstr(label),
                       .payload = payload ? bytes_slice(payload) : SLICE_EMPTY};
    record_append(&r, out);
}

static void journal_payloads(struct bytes *chunk)
{
    struct bytes p = BYTES_INIT;
    add_record(chunk, RECORD_START, 0, 0, 0, "", NULL);
    bytes_append_u32(&p, 1);
    bytes_append_cstr(&p, "s3cret");
    add_record(chunk, RECORD_SYNC, FAKE_OP_ENV_GET, 0, 0, "env KEY", &p);
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        bytes_clear(&p);
        bytes_append_u32(&p, attempt);
        bytes_append_u64(&p, 1700000001000000);
        bytes_append_lstr(&p, SLICE_LIT("the card was declined"));
        add_record(chunk, RECORD_ATTEMPT, FAKE_OP_STEP, 1, ERR_GUEST, "charge", &p);
    }
    bytes_clear(&p);
    bytes_append_char(&p, VALUE_VERSION);
    bytes_append_char(&p, (char)(VALUE_SHORT_LATIN1 + 2));
    bytes_append_cstr(&p, "ok");
    add_record(chunk, RECORD_DONE, FAKE_OP_STEP, 1, 0, "charge", &p);
    bytes_clear(&p);
    bytes_append_u32(&p, 201);
    bytes_append_u32(&p, 0);
    bytes_append_u32(&p, 0);
    bytes_append_lstr(&p, SLICE_LIT("https://example.com/"));
    bytes_append_lstr(&p, SLICE_LIT("Created"));
    bytes_append_u32(&p, 1);
    bytes_append_lstr(&p, SLICE_LIT("etag"));
    bytes_append_lstr(&p, SLICE_LIT("7"));
    bytes_append_lstr(&p, SLICE_LIT("body text"));
    add_record(chunk, RECORD_DONE, FAKE_OP_FETCH, 2, 0, "POST https://example.com/", &p);
    bytes_clear(&p);
    bytes_append_u64(&p, 1);                  /* the signal's number */
    bytes_append_u64(&p, 0x4278bcfe56800000); /* 1700000000000.0 */
    bytes_append_lstr(&p, SLICE_LIT("{\"by\":\"me\"}"));
    add_record(chunk, RECORD_DONE, FAKE_OP_EVENT_WAIT, 3, 0, "approved", &p);
    bytes_clear(&p);
    bytes_append_cstr(&p, "no answer");
    add_record(chunk, RECORD_DONE, FAKE_OP_FETCH, 4, ERR_NETWORK, "GET https://example.org/", &p);
    bytes_clear(&p);
    bytes_append_cstr(&p, "\xff"); /* too short for a fetch */
    add_record(chunk, RECORD_DONE, FAKE_OP_FETCH, 5, 0, "GET https://example.net/", &p);
    add_record(chunk, RECORD_CANCEL, 0, 0, 0, "", NULL);
    bytes_clear(&p);
    bytes_append_cstr(&p, "{\"code\":\"guest_error\",\"name\":\"TypeError\",\"message\":\"no\"}");
    add_record(chunk, RECORD_END, 0, 0, ERR_GUEST, "failed", &p);
    bytes_done(&p);
}

static void fake_obey(struct fake_durable *x)
{
    struct flow_request *d = x->d;
    struct bytes chunk = BYTES_INIT;
    struct durable_commit c = {.sets_status = true, .status = DURABLE_SUSPENDED};
    struct log_row log = {.level = 1, .at_us = clock_wall_us(), .text = SLICE_LIT("it says so")};
    if (slice_eq_cstr(d->name, "finish")) {
        c.status = DURABLE_COMPLETED;
        c.output = d->body;
    } else if (slice_eq_cstr(d->name, "fail")) {
        c.status = DURABLE_FAILED;
        c.error = d->body;
    } else if (slice_eq_cstr(d->name, "suspend")) {
        c.wake_us = 4102444800000000;
        c.progress = d->body;
    } else if (slice_eq_cstr(d->name, "journal")) {
        journal_payloads(&chunk);
        c.records = bytes_slice(&chunk);
        c.count = record_count(c.records);
        c.wake_us = INT64_MAX;
    } else if (slice_eq_cstr(d->name, "log")) {
        c.wake_us = INT64_MAX;
        c.logs = &log;
        c.logs_len = 1;
    } else {
        struct durable_message m = {.execution = d->id, .name = d->name, .data = d->body};
        store_durable_signal(x->fake->store, &x->op, &m);
        return;
    }
    fake_commit(x, &c);
    bytes_done(&chunk);
}

/* ---- operations ---- */

static void on_stored(struct store_op *op)
{
    struct fake_durable *x = container_of(op, struct fake_durable, op);
    struct flow_request *d = x->d;
    d->error = op->error;
    if (d->kind == FLOW_FORK)
        memcpy(d->new_id, x->id, sizeof(d->new_id));
    if (d->error.code || d->kind != FLOW_START) {
        fake_end(x);
        return;
    }
    memcpy(d->new_id, x->id, sizeof(d->new_id));
    d->is_new = op->number == 1;
    struct durable_commit c = {.sets_status = true, .status = DURABLE_COMPLETED, .output = d->body};
    if (d->is_new && fake_has(d->body, "finish"))
        fake_commit(x, &c);
    else
        fake_wait(x);
}

static void fake_start(struct fake_durable *x)
{
    struct flow_request *d = x->d;
    struct slice export = d->workflow;
    struct slice workflow = slice_split(&export, '.');
    if (d->key.len > 0) { /* the same key is the same id */
        unsigned hash = 0;
        for (size_t i = 0; i < d->key.len; i++)
            hash = 31 * hash + (unsigned char)d->key.ptr[i];
        snprintf(x->id, sizeof(x->id), "00000000-0000-8000-8000-0000%08x", hash);
    }
    struct durable_row row = {
        .id = slice_cstr(x->id),
        .workflow = workflow,
        .export_name = export,
        .key = d->key,
        .input = d->body,
        .metadata = d->metadata,
    };
    store_durable_start(x->fake->store, &x->op, &row);
}

void fake_durable(void *ctx, struct flow_request *d)
{
    static const char *const words[] = {"start", "wait",    "signal", "cancel", "pause",  "resume",
                                        "retry", "restart", "fork",   "check",  "migrate"};
    struct fake *f = ctx;
    struct fake_durable *x = calloc(1, sizeof(*x));
    fake_note(f, words[d->kind]);
    f->durable_wait_ms = d->wait_ms;
    f->durable_version = d->version;
    f->durable_record = d->record;
    x->fake = f;
    x->d = d;
    x->op = (struct store_op){.loop = f->loop, .done = on_stored};
    if (d->id.len > 0)
        snprintf(x->id, sizeof(x->id), "%.*s", SLICE_ARG(d->id));
    else
        random_uuid7(x->id);
    switch (d->kind) {
    case FLOW_START:
        fake_start(x);
        return;
    case FLOW_WAIT:
        fake_wait(x);
        return;
    case FLOW_SIGNAL:
        fake_obey(x);
        return;
    case FLOW_CANCEL:
        store_durable_cancel(f->store, &x->op, d->id);
        return;
    case FLOW_PAUSE:
    case FLOW_RESUME:
        store_durable_pause(f->store, &x->op, d->id, d->kind == FLOW_PAUSE);
        return;
    case FLOW_RESTART:
        store_durable_restart(f->store, &x->op, d->id);
        return;
    case FLOW_RETRY:
        store_durable_retry(f->store, &x->op, d->id, &(struct store_cut){0}, NULL, 0);
        return;
    case FLOW_FORK:
        random_uuid7(x->id);
        store_durable_fork(f->store, &x->op, d->id, slice_cstr(x->id), &(struct store_cut){0}, NULL,
                           0);
        return;
    case FLOW_CHECK:
        bytes_printf(&d->report,
                     "{\"checked\":%zu,\"agreeing\":0,\"diverged\":[{\"execution_id\":\"x\","
                     "\"record\":3,\"recorded\":\"step \\\"charge\\\"\",\"did\":\"returned\","
                     "\"at\":\"shop.ts:7:3\"}]}",
                     d->code.len);
        fake_end(x);
        return;
    case FLOW_MIGRATE:
        bytes_append_cstr(&d->report, "{\"migrated\":2,\"left\":[]}");
        fake_end(x);
        return;
    }
}

void fake_durable_cancel(void *ctx, struct flow_request *d)
{
    struct fake *f = ctx;
    LIST_FOREACH (n, &f->durables) {
        struct fake_durable *x = container_of(n, struct fake_durable, link);
        if (x->d != d)
            continue;
        fake_note(f, "gone");
        error_set(&d->error, ERR_CANCELLED, "nobody waits any more");
        fake_end(x);
        return;
    }
}
