/* SPDX-License-Identifier: Apache-2.0
 *
 * See director.h. Wakes, timers, waiters; what the admin API asks for is in director_api.c.
 *
 * Timers are rows of the store with an index on their time. The director keeps one number, up to
 * which (time, seq) it has woken everything; at the next known time it reads the rows that have
 * become due since and wakes them. A note of an execution that was suspended for a time that is
 * behind that mark wakes it at once, so none is lost between "read" and "suspended", and nothing
 * polls. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/deployment.h"
#include "server/director_internal.h"
#include "server/metrics.h"
#include "server/run.h"

enum {
    DIRECTOR_PAGE = 500,      /* rows read at once; then others have their turn */
    DIRECTOR_RETRY_MS = 1000, /* after a read that failed */
    DIRECTOR_TIMER_MS_MAX = 60 * 60 * 1000,
    DIRECTOR_REMOVED_MS = 50, /* between looks whether the store has removed what was deleted */
};

/* ---- wakes ---- */

/* Which engine thread has it: any function of the id will do while one process owns all. */
struct worker *director_owner(struct director *d, const char *id)
{
    uint64_t h = 1469598103934665603ULL; /* FNV-1a */
    for (const char *p = id; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211ULL;
    return d->server->workers[(h >> 32) % d->server->workers_len];
}

void director_wake(struct director *d, const char *id, const char *child)
{
    struct durable_row row;
    struct error e;
    struct deployment *deployment = NULL;
    if (d->is_stopping)
        return;
    struct arena *a = arena_new(NULL);
    enum err err = store_durable(d->reader, a, slice_cstr(id), &row, &e);
    /* A paused one, too: it may be in memory, and stops when it looks. */
    if (err == OK && !durable_is_finished(row.status))
        err = control_deployment(d->control, row.workflow, row.version, &deployment, &e);
    if (err != OK && err != ERR_NOT_FOUND)
        log_warn("an execution cannot be woken", LOG_STR("execution", id),
                 LOG_STR("error", e.message));
    arena_free(a);
    if (!deployment)
        return;
    struct run_wake *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->deployment = deployment;
    snprintf(m->id, sizeof(m->id), "%s", id);
    snprintf(m->child, sizeof(m->child), "%s", child);
    run_wake(director_owner(d, id), m);
}

/* ---- timers ---- */

static void look_for_due(struct timer *t);

static void arm(struct director *d, int64_t wake_us)
{
    if (wake_us >= d->armed_us || d->is_stopping || d->noting > 0)
        return;
    d->armed_us = wake_us;
    int64_t left = wake_us - clock_wall_us();
    uint64_t ms = left <= 0 ? 0 : (uint64_t)(left + 999) / 1000;
    timer_start(control_loop(d->control), &d->timer,
                ms < DIRECTOR_TIMER_MS_MAX ? ms : DIRECTOR_TIMER_MS_MAX, look_for_due);
}

/* Wakes a page of what is due; the timer is set for the next page, or the next time. */
static void look_for_due(struct timer *t)
{
    struct director *d = container_of(t, struct director, timer);
    struct durable_due *rows;
    size_t len = 0;
    struct error e;
    struct arena *a = arena_new(NULL);
    int64_t now = clock_wall_us();
    d->armed_us = INT64_MAX;
    /* One microsecond later than now, since the limit is exclusive. */
    enum err err =
        store_due(d->reader, a, now + 1, d->mark_us, d->mark_seq, DIRECTOR_PAGE, &rows, &len, &e);
    for (size_t k = 0; err == OK && k < len; k++) {
        char id[37];
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(rows[k].id));
        d->mark_us = rows[k].wake_us;
        d->mark_seq = rows[k].seq;
        if (rows[k].wake_us > 0)
            metrics_late(&d->server->wake_lateness, now - rows[k].wake_us);
        director_wake(d, id, "");
    }
    if (err == OK && len == DIRECTOR_PAGE) {
        arm(d, now);
    } else if (err == OK) {
        if (d->mark_us < now) {
            d->mark_us = now;
            d->mark_seq = INT64_MAX;
        }
        err = store_due(d->reader, a, INT64_MAX, d->mark_us, d->mark_seq, 1, &rows, &len, &e);
        if (err == OK && len == 1)
            arm(d, rows[0].wake_us);
    }
    if (err != OK) {
        log_warn("timers cannot be read, trying again", LOG_STR("error", e.message));
        arm(d, now + DIRECTOR_RETRY_MS * 1000);
    }
    arena_free(a);
}

static void suspended(struct director *d, const char *id, int64_t wake_us)
{
    if (wake_us <= d->mark_us)
        director_wake(d, id, "");
    else if (wake_us != INT64_MAX)
        arm(d, wake_us);
}

/* ---- who waits for an end ---- */

struct watchers {
    struct list waiters; /* struct waiter: API calls */
    char (*runs)[37];    /* executions that wait for one that does not know them */
    size_t runs_len;
};

static struct watchers *watchers_of(struct director *d, const char *id)
{
    struct watchers *w = map_get(&d->watchers, slice_cstr(id));
    if (w)
        return w;
    w = calloc(1, sizeof(*w));
    CHECK(w);
    list_init(&w->waiters);
    (void)map_put(&d->watchers, slice_cstr(id), w);
    return w;
}

static void watchers_free(struct watchers *w)
{
    free(w->runs);
    free(w);
}

static void drop_if_empty(struct director *d, const char *id, struct watchers *w)
{
    if (!list_is_empty(&w->waiters) || w->runs_len > 0)
        return;
    (void)map_remove(&d->watchers, slice_cstr(id));
    watchers_free(w);
}

static void waiter_end(struct waiter *v, bool is_finished)
{
    struct admin_durable *op = v->op;
    timer_stop(control_loop(v->director->control), &v->timer);
    list_remove(&v->link);
    op->internal = NULL;
    op->is_finished = is_finished;
    free(v);
    op->done(op);
}

static void waiter_expired(struct timer *t)
{
    struct waiter *v = container_of(t, struct waiter, timer);
    struct director *d = v->director;
    char id[37];
    memcpy(id, v->id, sizeof(id));
    waiter_end(v, false);
    struct watchers *w = map_get(&d->watchers, slice_cstr(id));
    if (w)
        drop_if_empty(d, id, w);
}

void director_await(struct director *d, struct admin_durable *op, const char *id)
{
    struct waiter *v = calloc(1, sizeof(*v));
    CHECK(v);
    v->director = d;
    v->op = op;
    memcpy(v->id, id, sizeof(v->id));
    op->internal = v;
    list_push_back(&watchers_of(d, id)->waiters, &v->link);
    timer_start(control_loop(d->control), &v->timer, op->wait_ms, waiter_expired);
}

void director_cancel(struct director *d, struct admin_durable *op)
{
    struct waiter *v = op->internal;
    if (!v || (op->kind != ADMIN_DURABLE_WAIT && op->kind != ADMIN_DURABLE_START))
        return; /* it ends by itself, soon */
    timer_stop(control_loop(d->control), &v->timer);
    timer_start(control_loop(d->control), &v->timer, 0, waiter_expired);
}

static void finished(struct director *d, const char *id)
{
    struct watchers *w = map_remove(&d->watchers, slice_cstr(id));
    if (!w)
        return;
    for (size_t k = 0; k < w->runs_len; k++)
        director_wake(d, w->runs[k], id);
    struct list *n;
    while ((n = list_first(&w->waiters)))
        waiter_end(container_of(n, struct waiter, link), true);
    watchers_free(w);
}

static void watch(struct director *d, const char *id, const char *watched)
{
    bool is_finished = true;
    if (director_is_finished(d, watched, &is_finished) != OK || is_finished) {
        director_wake(d, id, watched);
        return;
    }
    struct watchers *w = watchers_of(d, watched);
    w->runs = reallocarray(w->runs, w->runs_len + 1, sizeof(*w->runs));
    CHECK(w->runs);
    memcpy(w->runs[w->runs_len++], id, 37);
}

/* ---- deleted workflows ---- */

/* Ends the waits for what is not there any more. */
static void drop_gone(struct director *d)
{
    size_t cursor = 0;
    struct slice key;
    void *value;
    bool is_finished;
    while (map_next(&d->watchers, &cursor, &key, &value)) {
        char id[37];
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(key));
        if (director_is_finished(d, id, &is_finished) != ERR_NOT_FOUND)
            continue;
        finished(d, id);
        cursor = 0;
    }
}

static void wake_page(struct timer *t);

static void removed_later(struct director *d, uint64_t ms, void (*fn)(struct timer *t))
{
    if (!d->is_stopping)
        timer_start(control_loop(d->control), &d->removed_timer, ms, fn);
}

static void removed_failed(struct director *d, const struct error *e, void (*fn)(struct timer *t))
{
    log_warn("who waits for deleted executions cannot be read, trying again",
             LOG_STR("error", e->message));
    removed_later(d, DIRECTOR_RETRY_MS, fn);
}

/* The store removes executions in steps, and makes due who waits for one with it. */
static void await_removal(struct timer *t)
{
    struct director *d = container_of(t, struct director, removed_timer);
    bool is_removing;
    struct error e;
    // It is given that member, always.
    // NOLINTNEXTLINE(clang-analyzer-security.ArrayBound)
    d->removed_seq = 0;
    if (store_is_removing(d->reader, &is_removing, &e) != OK)
        removed_failed(d, &e, await_removal);
    else if (is_removing)
        removed_later(d, DIRECTOR_REMOVED_MS, await_removal);
    else
        wake_page(t);
}

/* Everything that is due by an event, a page at a time, as nobody knows which of it waits for one
 * that was removed: what is not in memory comes in, what is looks again. */
static void wake_page(struct timer *t)
{
    struct director *d = container_of(t, struct director, removed_timer);
    struct durable_due *rows;
    size_t len = 0;
    struct error e;
    struct arena *a = arena_new(NULL);
    enum err err = store_due(d->reader, a, 1, 0, d->removed_seq, DIRECTOR_PAGE, &rows, &len, &e);
    for (size_t k = 0; err == OK && k < len; k++) {
        char id[37];
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(rows[k].id));
        d->removed_seq = rows[k].seq;
        director_wake(d, id, "");
    }
    if (err != OK)
        removed_failed(d, &e, wake_page);
    else if (len == DIRECTOR_PAGE)
        removed_later(d, 0, wake_page);
    arena_free(a);
}

void director_removed(struct director *d)
{
    if (d->is_stopping)
        return;
    drop_gone(d);
    timer_stop(control_loop(d->control), &d->removed_timer); /* again from the start */
    await_removal(&d->removed_timer);
}

/* ---- notes of the engine threads ---- */

struct director_note *director_note_new(struct server *s, const char *id, size_t wakes_len)
{
    struct director_note *n = calloc(1, sizeof(*n) + wakes_len * sizeof(n->wakes[0]));
    CHECK(n);
    n->director = s->director;
    memcpy(n->id, id, sizeof(n->id));
    n->wakes_len = wakes_len;
    return n;
}

/* They were asked to end, by the commit that this is about. */
static void wake_children(struct director *d, const char *parent)
{
    struct durable_filter filter = {.parent = slice_cstr(parent), .status = -1};
    struct store_page page = {.limit = 1000};
    struct arena *a = arena_new(NULL);
    struct error e;
    enum err err;
    do {
        struct durable_row *rows;
        size_t len = 0;
        err = store_durables(d->reader, a, &filter, &page, &rows, &len, &page.cursor, &e);
        for (size_t k = 0; err == OK && k < len; k++) {
            char id[37] = "";
            snprintf(id, sizeof(id), "%.*s", SLICE_ARG(rows[k].id));
            if (!durable_is_finished(rows[k].status))
                director_wake(d, id, "");
        }
    } while (err == OK && page.cursor.len > 0);
    if (err != OK)
        log_warn("children cannot be woken; they end when they wake", LOG_STR("parent", parent),
                 LOG_STR("error", e.message));
    arena_free(a);
}

static void note_arrived(struct post *p)
{
    struct director_note *n = container_of(p, struct director_note, post);
    struct director *d = n->director;
    if (n->is_finished)
        finished(d, n->id);
    if (n->parent[0])
        director_wake(d, n->parent, n->id);
    for (size_t k = 0; k < n->wakes_len; k++)
        director_wake(d, n->wakes[k], "");
    if (n->cancels_children)
        wake_children(d, n->id);
    if (n->is_suspended)
        suspended(d, n->id, n->wake_us);
    if (n->watched[0])
        watch(d, n->id, n->watched);
    free(n);
}

void director_send(struct director_note *n)
{
    n->post.fn = note_arrived;
    loop_post(control_loop(n->director->control), &n->post);
}

/* ---- executions that the process before may have ended with ---- */

struct crash_note {
    struct store_op op;
    struct director *director;
    char id[37];
};

static void crash_noted(struct store_op *op)
{
    struct crash_note *n = container_of(op, struct crash_note, op);
    struct director *d = n->director;
    if (op->error.code == OK && op->number >= STORE_CRASHES_MAX)
        log_error("an execution is parked: the server ended while it ran it, again and again",
                  LOG_STR("execution", n->id), LOG_INT("times", op->number),
                  LOG_STR("hint", "limpet execution resume tries it once more"));
    else if (op->error.code == OK)
        log_warn("the server had ended while it ran this execution", LOG_STR("execution", n->id),
                 LOG_INT("times", op->number));
    free(n);
    if (--d->noting == 0)
        arm(d, 0);
}

/* Before any of them is run again. */
static void note_crashes(struct director *d, struct slice ids)
{
    for (; ids.len > 0; ids = slice_skip(ids, sizeof(((struct crash_note *)NULL)->id))) {
        struct crash_note *n = calloc(1, sizeof(*n));
        CHECK(n);
        memcpy(n->id, ids.ptr, sizeof(n->id));
        n->director = d;
        n->op.loop = control_loop(d->control);
        n->op.done = crash_noted;
        d->noting++;
        store_durable_crashed(d->server->store, &n->op, slice_cstr(n->id));
    }
}

/* ---- start and stop ---- */

enum err director_new(struct control *c, struct server *s, struct director **ret_director,
                      struct error *ret_error)
{
    struct director *d = calloc(1, sizeof(*d));
    CHECK(d);
    d->control = c;
    d->server = s;
    d->armed_us = INT64_MAX;
    s->director = d;
    *ret_director = d;
    enum err err = store_reader_open(s->store, &d->reader, ret_error);
    if (err == OK)
        note_crashes(d, bytes_slice(&s->suspects));
    if (err == OK && d->noting == 0)
        arm(d, 0); /* everything that is due, or ran when the server ended */
    return err;
}

void director_stop(struct director *d)
{
    size_t cursor = 0;
    struct slice id;
    void *value;
    d->is_stopping = true;
    timer_stop(control_loop(d->control), &d->timer);
    timer_stop(control_loop(d->control), &d->removed_timer);
    while (map_next(&d->watchers, &cursor, &id, &value)) {
        struct watchers *w = value;
        (void)map_remove(&d->watchers, id);
        struct list *n;
        while ((n = list_first(&w->waiters)))
            waiter_end(container_of(n, struct waiter, link), false);
        watchers_free(w);
        cursor = 0;
    }
}

void director_free(struct director *d)
{
    if (!d)
        return;
    director_stop(d);
    map_done(&d->watchers);
    if (d->reader)
        store_reader_close(d->reader);
    free(d);
}
