/* SPDX-License-Identifier: Apache-2.0
 *
 * Retry and fork: where an execution's journal is to be cut, and what comes back with that. What is
 * read, in this order:
 *
 *     ROW      may it be cut, in its state?
 *     VERSION  that it is to go on with (retry)
 *     SURVEY   the whole journal, a chunk at a time, for the places where it may be cut
 *     STEPS    what is kept, likewise, for steps that have failed and were to be tried again (retry)
 *     CHUNK    the one that is cut
 *     TAKEN    signals that were consumed behind the cut, a chunk at a time
 *
 * Those steps get all their attempts again: a record behind the cut says that none has failed. Signals
 * that were consumed behind it come back.
 *
 * Between two chunks others have their turn on the control thread. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/random.h"
#include "durable/record.h"
#include "flow/director_internal.h"
#include "host/op_row.h"

enum { SURVEY_BYTES = 256 * 1024 }; /* of a journal, read at once */

enum cut_stage { CUT_ROW, CUT_VERSION, CUT_SURVEY, CUT_STEPS, CUT_CHUNK, CUT_TAKEN };

struct cut {
    struct director *director;
    struct flow_request *admin;
    enum cut_stage stage;
    struct ask *ask;
    struct due due;
    struct arena *arena; /* of the row, and of signals */
    struct durable_row row;
    int64_t version; /* 0: as it is */

    int64_t records;                                      /* to keep */
    int64_t chunk_first;                                  /* the chunk that is cut */
    struct bytes chunk;                                   /* its part to keep */
    int64_t last_failed_step, last_external, cancel, end; /* -1: none */
    int64_t count;
    bool has_attempts;
    /* Signals that the first `taken_at` records consumed, counted on from those of the row. */
    int64_t taken, taken_at;

    struct list steps; /* struct tried: of the records that are kept, not complete; */
    struct map by_id;  /* and by their calls */
    int64_t steps_at;  /* record to go on with */

    struct durable_signal *signals; /* consumed behind the cut */
    size_t signals_len, signals_cap, signals_bytes;
    int64_t next; /* record to go on with */
};

/* A step that has failed at least once. */
struct tried {
    struct list link;
    uint32_t op, id;
    uint64_t digest;
    size_t label_len;
    char label[RECORD_LABEL_BYTES_MAX];
};

static struct slice id_key(const uint32_t *id)
{
    return slice_of((const char *)id, sizeof(*id));
}

static void tried_free(struct cut *c, struct tried *t)
{
    (void)map_remove(&c->by_id, id_key(&t->id));
    list_remove(&t->link);
    free(t);
}

static void cut_free(struct cut *c)
{
    struct list *n;
    while ((n = list_first(&c->steps)))
        tried_free(c, container_of(n, struct tried, link));
    map_done(&c->by_id);
    ask_drop(c->ask);
    arena_free(c->arena);
    bytes_done(&c->chunk);
    free(c->signals);
    free(c);
}

static void cut_fail(struct cut *c, const struct error *error)
{
    struct flow_request *a = c->admin;
    struct error e = *error;
    cut_free(c);
    director_fail(a, &e);
}

/* ---- where ---- */

static bool is_taken_signal(const struct record *r)
{
    return r->kind == RECORD_DONE && op_row(r->op)->shows == OP_SHOWS_SIGNAL && r->status == OK;
}

/* Record n, whether or not it was seen before. */
static void note_signal(struct cut *c, const struct record *r, int64_t n)
{
    if (n != c->taken_at)
        return;
    c->taken_at++;
    c->taken += is_taken_signal(r);
}

static void note_record(struct cut *c, const struct record *r)
{
    const struct op_row *row = op_row(r->op);
    note_signal(c, r, c->count);
    if (r->kind == RECORD_DONE && row->shows == OP_SHOWS_STEP && r->status != OK)
        c->last_failed_step = c->count;
    if (r->kind == RECORD_DONE && row->class == OP_EXTERNAL)
        c->last_external = c->count;
    if (r->kind == RECORD_CANCEL && c->cancel < 0)
        c->cancel = c->count;
    c->has_attempts = c->has_attempts || r->kind == RECORD_ATTEMPT;
    if (r->kind == RECORD_END)
        c->end = c->count;
    c->count++;
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

/* ---- steps that have failed before the cut ---- */

static void note_step(struct cut *c, const struct record *r)
{
    if (r->kind != RECORD_ATTEMPT && r->kind != RECORD_DONE)
        return;
    struct tried *t = map_get(&c->by_id, id_key(&r->id));
    if (r->kind == RECORD_DONE && t)
        tried_free(c, t);
    if (r->kind == RECORD_DONE || t)
        return;
    t = calloc(1, sizeof(*t));
    if (!t)
        check_out_of_memory(sizeof(*t));
    t->op = r->op;
    t->id = r->id;
    t->digest = r->digest;
    t->label_len = r->label.len < sizeof(t->label) ? r->label.len : sizeof(t->label);
    memcpy(t->label, r->label.ptr, t->label_len);
    list_push_back(&c->steps, &t->link);
    (void)map_put(&c->by_id, id_key(&t->id), t);
}

static enum err take_steps(struct cut *c, struct slice rest, int64_t first, int64_t count,
                           struct error *ret_error)
{
    struct record r;
    for (int64_t n = first; rest.len > 0 && n < c->records; n++) {
        enum err err = record_take(&rest, &r, ret_error);
        if (err != OK)
            return err;
        if (n >= c->steps_at)
            note_step(c, &r);
    }
    c->steps_at = first + count;
    return OK;
}

/* A failed attempt, of which there have been none, to be followed by the next one at once. */
static int64_t begin_anew(struct cut *c, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes payload = BYTES_INIT;
    int64_t now_us = flow_now_us(c->director->env), len = 0;
    bytes_append_u32(&payload, 0);
    bytes_append_u64(&payload, (uint64_t)now_us);
    bytes_append_lstr(&payload, SLICE_LIT("the execution is retried, and all attempts with it"));
    LIST_FOREACH (n, &c->steps) {
        const struct tried *t = container_of(n, struct tried, link);
        record_append(&(struct record){.kind = RECORD_ATTEMPT,
                                       .op = t->op,
                                       .id = t->id,
                                       .digest = t->digest,
                                       .at_us = now_us,
                                       .label = slice_of(t->label, t->label_len),
                                       .payload = bytes_slice(&payload)},
                      out);
        len++;
    }
    return len;
}

/* ---- signals that were consumed behind the cut ---- */

enum { TAKEN_BYTES_MAX = 64 * 1024 * 1024 }; /* of their data; the store takes them in one go */

/* A call of waitForEvent() that completed: i64 seq, f64 milliseconds since 1970, lstr data. The
 * record's label is the name of the signal, not cut (REQUEST_SIGNAL_NAME_BYTES_MAX). */
static enum err take_back(struct cut *c, const struct record *r, struct error *ret_error)
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
    c->signals_bytes += r->payload.len;
    if (c->signals_bytes > TAKEN_BYTES_MAX) {
        error_set(ret_error, ERR_TOO_LARGE,
                  "there would be signals of more than %d bytes to give back", TAKEN_BYTES_MAX);
        error_hint(ret_error, "limpet execution fork --record N keeps more of the journal");
        return ERR_TOO_LARGE;
    }
    if (c->signals_len == c->signals_cap) {
        c->signals_cap = c->signals_cap ? 2 * c->signals_cap : 16;
        c->signals = reallocarray(c->signals, c->signals_cap, sizeof(*c->signals));
        CHECK(c->signals);
    }
    c->signals[c->signals_len++] =
        (struct durable_signal){.seq = (int64_t)le64toh(seq),
                                .at_us = (int64_t)(at_ms * 1000 + 0.5),
                                .name = arena_copy(c->arena, r->label),
                                .data = arena_copy(c->arena, slice_skip(r->payload, HEAD_BYTES))};
    return OK;
}

/* ---- answers ---- */

static enum err take_row(struct cut *c, const struct store_query *q, struct error *ret_error)
{
    bool is_retry = c->admin->kind == FLOW_RETRY;
    c->row = q->durable.row;
    c->taken = c->row.signals_taken;
    c->taken_at = c->row.records;
    if (is_retry && c->row.status != DURABLE_FAILED && c->row.status != DURABLE_CANCELLED) {
        error_set(ret_error, ERR_CONFLICT, "the execution is %s",
                  durable_status_text(c->row.status));
        error_hint(ret_error, "only a failed or cancelled one can be retried");
        return ERR_CONFLICT;
    }
    c->version = c->admin->version;
    c->stage = is_retry && c->version != 0 ? CUT_VERSION : CUT_SURVEY;
    return OK;
}

/* Where it is to be cut, once the whole journal is known. */
static enum err choose(struct cut *c, struct error *ret_error)
{
    int64_t all = c->end >= 0 ? c->end : c->count;
    if (c->admin->kind == FLOW_RETRY)
        c->records = retry_place(c, c->row.status == DURABLE_CANCELLED,
                                 c->version > 0 && c->version != c->row.version);
    else
        c->records = c->admin->record < 0 ? all : c->admin->record;
    if (c->records <= all)
        return OK;
    return error_set(ret_error, ERR_INVALID, "the journal has %lld records that can be kept",
                     (long long)all);
}

/* Part of the journal, for the places in it. */
static enum err take_survey(struct cut *c, struct slice rest, int64_t count,
                            struct error *ret_error)
{
    struct record r;
    if (count == 0) {
        c->stage = c->admin->kind == FLOW_RETRY && c->has_attempts ? CUT_STEPS : CUT_CHUNK;
        return choose(c, ret_error);
    }
    while (rest.len > 0) {
        enum err err = record_take(&rest, &r, ret_error);
        if (err != OK)
            return err;
        note_record(c, &r);
    }
    return OK;
}

/* True: that was the last. */
static enum err take_taken(struct cut *c, struct slice rest, int64_t first, int64_t count,
                           struct error *ret_error)
{
    struct record r;
    for (int64_t n = first; rest.len > 0; n++) {
        enum err err = record_take(&rest, &r, ret_error);
        if (err == OK && n >= c->records && is_taken_signal(&r))
            err = take_back(c, &r, ret_error);
        if (err != OK)
            return err;
        note_signal(c, &r, n);
    }
    c->next = first + count;
    return OK;
}

/* ---- the end ---- */

static void cut_apply(struct cut *c)
{
    struct director *d = c->director;
    struct flow_request *a = c->admin;
    struct store *store = d->env->store;
    struct store_cut how = {.records = c->records,
                            .chunk_first = c->chunk_first,
                            .chunk = bytes_slice(&c->chunk),
                            .version = c->version,
                            .is_fenced = a->kind == FLOW_FORK,
                            .signals_taken = c->taken};
    CLEANUP(bytes_done) struct bytes anew = BYTES_INIT;
    struct store_step *steps = arena_array(c->arena, c->signals_len + 1, sizeof(*steps));
    size_t len = 0;
    int64_t count = begin_anew(c, &anew);
    if (count > 0)
        steps[len++] =
            (struct store_step){.kind = STORE_STEP_APPEND, .append = {count, bytes_slice(&anew)}};
    for (size_t k = 0; k < c->signals_len; k++) {
        const struct durable_signal *s = &c->signals[k];
        steps[len++] = (struct store_step){.kind = STORE_STEP_SIGNAL_BACK,
                                           .signal_back = {s->seq, s->at_us, s->name, s->data}};
    }
    if (a->kind == FLOW_RETRY) {
        store_durable_retry(store, director_mutation(d, a, a->id), a->id, &how, steps, len);
    } else {
        random_uuid7(a->new_id);
        struct slice id = slice_cstr(a->new_id);
        store_durable_fork(store, director_mutation(d, a, id), a->id, id, &how, steps, len);
    }
    cut_free(c);
}

/* ---- the flow ---- */

static void cut_answered(struct ask *a);

static enum op_status cut_ask(struct cut *c)
{
    static const enum store_query_kind kinds[] = {
        [CUT_ROW] = STORE_QUERY_DURABLE,    [CUT_VERSION] = STORE_QUERY_VERSION,
        [CUT_SURVEY] = STORE_QUERY_JOURNAL, [CUT_STEPS] = STORE_QUERY_JOURNAL,
        [CUT_CHUNK] = STORE_QUERY_JOURNAL,  [CUT_TAKEN] = STORE_QUERY_JOURNAL,
    };
    struct ask *a = c->ask = ask_new(c->director->env->asks, kinds[c->stage], cut_answered, c);
    struct slice id = arena_copy(a->arena, c->admin->id);
    if (c->stage == CUT_ROW) {
        a->query.durable.id = id;
    } else if (c->stage == CUT_VERSION) {
        a->query.version.function = arena_copy(a->arena, c->row.workflow);
        a->query.version.number = c->version < 0 ? 0 : c->version;
    } else {
        a->query.journal.id = id;
        a->query.journal.first = c->stage == CUT_SURVEY  ? c->count
                                 : c->stage == CUT_STEPS ? c->steps_at
                                 : c->stage == CUT_CHUNK ? c->records - 1
                                                         : c->next;
        a->query.journal.bytes_max = c->stage == CUT_CHUNK ? 1 : SURVEY_BYTES;
        a->query.journal.out = &a->out;
    }
    return ask_start(a);
}

static void cut_go(struct due *t);

/* To the stage that is set now; `soon`: others have their turn first. */
static void cut_on(struct cut *c)
{
    due_in(c->director->env, &c->due, 0, cut_go);
}

static void take_chunk(struct cut *c, struct ask *a)
{
    c->chunk_first = a->query.journal.start;
    c->chunk = a->out;
    a->out = BYTES_INIT;
    c->chunk.len = record_prefix(bytes_slice(&c->chunk), c->records - c->chunk_first).len;
}

static void cut_take(struct cut *c)
{
    CLEANUP(ask_cleanup) struct ask *a = TAKE(c->ask);
    const struct store_query *q = &a->query;
    struct error e = q->error;
    if (e.code == OK) {
        switch (c->stage) {
        case CUT_ROW:
            c->arena = TAKE(a->arena);
            if (c->admin->kind == FLOW_RETRY && q->durable.row.is_paused &&
                q->durable.row.parked.len > 0) { /* nothing is to be cut: it goes on */
                struct director *d = c->director;
                struct flow_request *admin = c->admin;
                cut_free(c);
                store_durable_pause(d->env->store, director_mutation(d, admin, admin->id),
                                    admin->id, false);
                return;
            }
            (void)(take_row(c, q, &e) == OK);
            break;
        case CUT_VERSION:
            c->version = q->version.row.number;
            c->stage = CUT_SURVEY;
            break;
        case CUT_SURVEY:
            (void)(take_survey(c, bytes_slice(&a->out), q->journal.count, &e) == OK);
            break;
        case CUT_STEPS:
            (void)(take_steps(c, bytes_slice(&a->out), q->journal.start, q->journal.count, &e) ==
                   OK);
            break;
        case CUT_CHUNK:
            take_chunk(c, a);
            c->stage = CUT_TAKEN;
            break;
        case CUT_TAKEN:
            if (q->journal.count == 0) {
                cut_apply(c);
                return;
            }
            (void)(take_taken(c, bytes_slice(&a->out), q->journal.start, q->journal.count, &e) ==
                   OK);
            break;
        }
    }
    if (e.code != OK)
        cut_fail(c, &e);
    else
        cut_on(c);
}

static void cut_answered(struct ask *a)
{
    cut_take(a->owner);
}

static void cut_next(struct cut *c)
{
    if (c->stage == CUT_STEPS && c->steps_at >= c->records)
        c->stage = CUT_CHUNK;
    if (c->stage == CUT_CHUNK && c->records == 0) /* nothing is kept */
        c->stage = CUT_TAKEN;
    if (c->stage == CUT_TAKEN && c->next < c->records)
        c->next = c->records;
    if (cut_ask(c) == OP_DONE)
        cut_take(c);
}

static void cut_go(struct due *t)
{
    cut_next(container_of(t, struct cut, due));
}

void director_cut(struct director *d, struct flow_request *a)
{
    struct cut *c = calloc(1, sizeof(*c));
    CHECK(c);
    c->director = d;
    c->admin = a;
    c->last_failed_step = c->last_external = c->cancel = c->end = -1;
    list_init(&c->steps);
    cut_next(c);
}
