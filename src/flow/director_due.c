/* SPDX-License-Identifier: Apache-2.0
 *
 * What falls due: rows of the store with an index on their time. There are two such indexes, that of
 * executions, which are woken, and table due, whose rows are handed to the functions of their kinds.
 *
 * For each the director keeps one number, up to which (time, seq) it has handed everything on; at the
 * next known time it reads the rows that have become due since, a page at a time. A note of a row that
 * was set for a time that is behind that mark, or up to which is being read, hands it on at once, so none
 * is lost between "read" and "set", and nothing polls. After a death the mark begins at 0. */
#include <stdlib.h>

#include "base/log.h"
#include "flow/director_internal.h"

/* An index. */
struct due_scan_kind {
    struct chore_kind chore;
    size_t (*len)(const struct store_query *q);
    /* Where row k stands in the index. */
    void (*place)(const struct store_query *q, size_t k, int64_t *ret_us, int64_t *ret_seq);
    void (*hand_on)(struct due_scan *s, const struct store_query *q, size_t k);
};

/* ---- reading, a page at a time ---- */

/* What is due until now, a page at a time, then the first after that. */
struct due_rows {
    struct chore chore;
    struct due_scan *scan;
    bool is_next;
};

static void look_for_due(struct due *t);

void due_scan_arm(struct due_scan *s, int64_t due_us)
{
    struct director *d = s->director;
    if (due_us >= s->armed_us || d->is_stopping || d->noting > 0)
        return;
    s->armed_us = due_us;
    if (!s->rows) /* else when they have been read */
        due_at(d->env, &s->due, due_us, look_for_due);
}

bool due_scan_has_passed(const struct due_scan *s, int64_t due_us)
{
    return due_us <= s->mark_us || (s->rows && due_us <= s->rows_until_us);
}

/* Hands a page of what is due on. False: there may be more. */
static bool due_hand_on(struct due_scan *s, const struct store_query *q)
{
    const size_t len = s->kind->len(q);
    for (size_t k = 0; k < len; k++) {
        s->kind->place(q, k, &s->mark_us, &s->mark_seq);
        s->kind->hand_on(s, q, k);
    }
    if (len == DIRECTOR_PAGE)
        return false;
    if (s->mark_us < s->rows_until_us) {
        s->mark_us = s->rows_until_us;
        s->mark_seq = INT64_MAX;
    }
    return true;
}

static enum chore_next due_take(struct chore *c, const struct store_query *q)
{
    struct director *d = c->director;
    struct due_rows *rows = container_of(c, struct due_rows, chore);
    struct due_scan *s = rows->scan;
    bool is_ok = q->error.code == OK;
    if (is_ok && !rows->is_next) {
        rows->is_next = due_hand_on(s, q);
        return CHORE_AGAIN;
    }
    s->rows = NULL;
    int64_t next_us = s->armed_us, first_us = 0, seq;
    s->armed_us = INT64_MAX;
    due_scan_arm(s, next_us);
    if (!is_ok) { /* what cannot pass; but somebody may see to it */
        due_scan_arm(s, flow_now_us(d->env) + (int64_t)RETRY_MS_MAX * 1000);
    } else if (s->kind->len(q) == 1) {
        s->kind->place(q, 0, &first_us, &seq);
        due_scan_arm(s, first_us);
    }
    return CHORE_OVER;
}

/* It is set for the next time, or comes early. */
static void look_for_due(struct due *t)
{
    struct due_scan *s = container_of(t, struct due_scan, due);
    struct director *d = s->director;
    s->armed_us = INT64_MAX;
    s->rows_until_us = flow_now_us(d->env);
    struct due_rows *rows = chore_new(d, &s->kind->chore, sizeof(*rows));
    rows->scan = s;
    s->rows = &rows->chore;
    chore_ask(s->rows);
}

/* ---- executions ---- */

static void runs_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    const struct due_rows *rows = container_of(c, struct due_rows, chore);
    /* One microsecond later than now, since the limit is exclusive. */
    q->due.until_us = rows->is_next ? INT64_MAX : rows->scan->rows_until_us + 1;
    q->due.after_wake_us = rows->scan->mark_us;
    q->due.after_seq = rows->scan->mark_seq;
    q->due.limit = rows->is_next ? 1 : DIRECTOR_PAGE;
}

static size_t runs_len(const struct store_query *q)
{
    return q->due.len;
}

static void runs_place(const struct store_query *q, size_t k, int64_t *ret_us, int64_t *ret_seq)
{
    *ret_us = q->due.rows[k].wake_us;
    *ret_seq = q->due.rows[k].seq;
}

static void runs_hand_on(struct due_scan *s, const struct store_query *q, size_t k)
{
    const struct flow_shared *shared = s->director->env->shared;
    const struct durable_due *row = &q->due.rows[k];
    char id[37];
    snprintf(id, sizeof(id), "%.*s", SLICE_ARG(row->id));
    if (row->wake_us > 0)
        shared->late(shared->late_ctx, s->rows_until_us - row->wake_us);
    director_wake(s->director, id, "");
}

static const struct due_scan_kind runs_kind = {
    .chore =
        {
            .what = "executions that are due",
            .query = STORE_QUERY_DUE,
            .fill = runs_fill,
            .take = due_take,
        },
    .len = runs_len,
    .place = runs_place,
    .hand_on = runs_hand_on,
};

/* ---- other kinds ---- */

static void others_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    const struct due_rows *rows = container_of(c, struct due_rows, chore);
    q->dues.until_us = rows->is_next ? INT64_MAX : rows->scan->rows_until_us + 1;
    q->dues.after_due_us = rows->scan->mark_us;
    q->dues.after_seq = rows->scan->mark_seq;
    q->dues.limit = rows->is_next ? 1 : DIRECTOR_PAGE;
}

static size_t others_len(const struct store_query *q)
{
    return q->dues.len;
}

static void others_place(const struct store_query *q, size_t k, int64_t *ret_us, int64_t *ret_seq)
{
    *ret_us = q->dues.rows[k].due_us;
    *ret_seq = q->dues.rows[k].seq;
}

static void hand_to_kind(struct director *d, const struct due_row *row)
{
    if (row->kind < DUE_KINDS && d->due_kinds[row->kind].due)
        d->due_kinds[row->kind].due(d->due_kinds[row->kind].ctx, row);
    else
        log_error("something is due that nobody here knows", LOG_INT("kind", (int)row->kind),
                  LOG_SLICE("key", row->key));
}

static void others_hand_on(struct due_scan *s, const struct store_query *q, size_t k)
{
    hand_to_kind(s->director, &q->dues.rows[k]);
}

static const struct due_scan_kind others_kind = {
    .chore =
        {
            .what = "what is due",
            .query = STORE_QUERY_DUES,
            .fill = others_fill,
            .take = due_take,
        },
    .len = others_len,
    .place = others_place,
    .hand_on = others_hand_on,
};

void director_due_kind(struct director *d, enum due_kind kind, director_due_fn *due, void *ctx)
{
    CHECK(kind < DUE_KINDS && !d->due_kinds[kind].due);
    d->due_kinds[kind].due = due;
    d->due_kinds[kind].ctx = ctx;
}

void director_due_note(struct director *d, const struct due_row *row)
{
    if (d->is_stopping || row->due_us == DUE_NEVER)
        return;
    if (due_scan_has_passed(&d->others, row->due_us))
        hand_to_kind(d, row);
    else
        due_scan_arm(&d->others, row->due_us);
}

struct due_note {
    struct post post;
    struct director *director;
    struct due_row row;
    char texts[];
};

static void due_note_arrived(struct post *p)
{
    struct due_note *n = container_of(p, struct due_note, post);
    director_due_note(n->director, &n->row);
    free(n);
}

void director_due_post(struct director *d, const struct due_row *row)
{
    struct due_note *n = malloc(sizeof(*n) + row->key.len + row->module.len);
    CHECK(n);
    *n = (struct due_note){.post = {.fn = due_note_arrived}, .director = d, .row = *row};
    char *module = n->texts + row->key.len;
    if (row->key.len)
        memcpy(n->texts, row->key.ptr, row->key.len);
    if (row->module.len)
        memcpy(module, row->module.ptr, row->module.len);
    n->row.key.ptr = n->texts;
    n->row.module.ptr = module;
    flow_post(d->env, &n->post);
}

/* ---- start and stop ---- */

void director_due_init(struct director *d)
{
    d->runs = (struct due_scan){.director = d, .kind = &runs_kind, .armed_us = INT64_MAX};
    d->others = (struct due_scan){.director = d, .kind = &others_kind, .armed_us = INT64_MAX};
}

void director_due_begin(struct director *d)
{
    due_scan_arm(&d->runs, 0);
    due_scan_arm(&d->others, 0);
}

void director_due_stop(struct director *d)
{
    due_stop(d->env, &d->runs.due);
    due_stop(d->env, &d->others.due);
}
