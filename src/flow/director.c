/* SPDX-License-Identifier: Apache-2.0
 *
 * See director.h. Wakes and waiters; what falls due is in director_due.c, what the admin API asks for
 * in director_api.c.
 *
 * A wake is kept until it has been made: while the store cannot be read it is tried again. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/director_internal.h"
#include "flow/run.h"
#include "module/deployment.h"

enum {
    DIRECTOR_LOOKS = 64,      /* at ends, likewise */
    DIRECTOR_REMOVED_MS = 50, /* between looks whether the store has removed what was deleted */
};

/* ---- wakes ---- */

/* The engine thread that has it. */
struct flow *director_owner(struct director *d, const char *id)
{
    return d->threads[activation_thread(RUN_SPACE, slice_cstr(id), d->threads_len)];
}

struct wake {
    struct chore chore;
    struct deployment_ask deployment; /* while chore.ask is NULL: of the row's version */
    bool is_deploying;
    char id[37], child[37];
};

static void wake_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->durable.id = arena_copy(a, slice_cstr(container_of(c, struct wake, chore)->id));
}

static void wake_deployed(struct deployment_ask *a)
{
    struct wake *w = container_of(a, struct wake, deployment);
    struct director *d = w->chore.director;
    w->is_deploying = false;
    if (!a->deployment && chore_may_pass(&a->error) && !d->is_stopping) {
        chore_rest(&w->chore, &a->error);
        return;
    }
    if (a->deployment && !d->is_stopping) {
        struct run_wake *m = calloc(1, sizeof(*m));
        CHECK(m);
        m->deployment = TAKE(a->deployment);
        memcpy(m->id, w->id, sizeof(m->id));
        memcpy(m->child, w->child, sizeof(m->child));
        run_wake(director_owner(d, w->id), m);
    } else if (!a->deployment && a->error.code != ERR_NOT_FOUND) {
        log_warn("an execution cannot be woken", LOG_STR("execution", w->id),
                 LOG_STR("error", a->error.message));
    }
    deployment_unref(a->deployment);
    chore_end(&w->chore);
}

/* A paused one, too: it may be in memory, and stops when it looks. */
static enum chore_next wake_take(struct chore *c, const struct store_query *q)
{
    struct wake *w = container_of(c, struct wake, chore);
    const struct durable_row *row = &q->durable.row;
    if (q->error.code != OK || durable_is_finished(row->status) || c->director->is_stopping)
        return CHORE_OVER;
    w->is_deploying = true;
    w->deployment.done = wake_deployed;
    director_deploy(c->director, &w->deployment, row->workflow, row->version);
    return CHORE_WAITS;
}

static const struct chore_kind wake_kind = {
    .what = "an execution to be woken",
    .query = STORE_QUERY_DURABLE,
    .fill = wake_fill,
    .take = wake_take,
};

void director_wake(struct director *d, const char *id, const char *child)
{
    if (d->is_stopping)
        return;
    struct wake *w = chore_new(d, &wake_kind, sizeof(*w));
    snprintf(w->id, sizeof(w->id), "%s", id);
    snprintf(w->child, sizeof(w->child), "%s", child);
    chore_ask(&w->chore);
}

/* ---- rows that fall due: director_due.c ---- */

static void suspended(struct director *d, const char *id, int64_t wake_us)
{
    if (due_scan_has_passed(&d->runs, wake_us))
        director_wake(d, id, "");
    else
        due_scan_arm(&d->runs, wake_us);
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
    struct flow_request *op = v->op;
    due_stop(v->director->env, &v->due);
    list_remove(&v->link);
    op->internal = NULL;
    op->is_finished = is_finished;
    free(v);
    op->done(op);
}

static void waiter_expired(struct due *t)
{
    struct waiter *v = container_of(t, struct waiter, due);
    struct director *d = v->director;
    char id[37];
    memcpy(id, v->id, sizeof(id));
    waiter_end(v, false);
    struct watchers *w = map_get(&d->watchers, slice_cstr(id));
    if (w)
        drop_if_empty(d, id, w);
}

void director_await(struct director *d, struct flow_request *op, const char *id)
{
    struct waiter *v = calloc(1, sizeof(*v));
    CHECK(v);
    v->director = d;
    v->op = op;
    memcpy(v->id, id, sizeof(v->id));
    op->internal = v;
    list_push_back(&watchers_of(d, id)->waiters, &v->link);
    due_in(d->env, &v->due, op->wait_ms, waiter_expired);
}

void director_cancel(struct director *d, struct flow_request *op)
{
    if (op->kind != FLOW_WAIT && op->kind != FLOW_START)
        return; /* it ends by itself, soon */
    struct waiter *v = op->internal;
    if (!v) { /* it is being started: then nobody is to wait for its end */
        op->wait_ms = 0;
        return;
    }
    due_stop(d->env, &v->due);
    due_in(d->env, &v->due, 0, waiter_expired);
}

static void watchers_end(struct watchers *w, bool is_finished)
{
    struct list *n;
    while ((n = list_first(&w->waiters)))
        waiter_end(container_of(n, struct waiter, link), is_finished);
    watchers_free(w);
}

static void finished(struct director *d, const char *id)
{
    struct watchers *w = map_remove(&d->watchers, slice_cstr(id));
    if (!w)
        return;
    for (size_t k = 0; k < w->runs_len; k++)
        director_wake(d, w->runs[k], id);
    watchers_end(w, true);
}

struct end_look {
    struct chore chore;
    char id[37];
};

static void end_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->durable.id = arena_copy(a, slice_cstr(container_of(c, struct end_look, chore)->id));
}

static enum chore_next end_take(struct chore *c, const struct store_query *q)
{
    struct end_look *l = container_of(c, struct end_look, chore);
    bool is_gone = q->error.code == ERR_NOT_FOUND;
    if (is_gone || (q->error.code == OK && durable_is_finished(q->durable.row.status)))
        finished(c->director, l->id);
    return CHORE_OVER;
}

static const struct chore_kind end_kind = {
    .what = "whether an execution has ended",
    .query = STORE_QUERY_DURABLE,
    .fill = end_fill,
    .take = end_take,
};

void director_look_for_end(struct director *d, const char *id)
{
    if (d->is_stopping)
        return;
    struct end_look *l = chore_new(d, &end_kind, sizeof(*l));
    snprintf(l->id, sizeof(l->id), "%s", id);
    chore_ask(&l->chore);
}

/* First the entry, then the look: the end may come in between. */
static void watch(struct director *d, const char *id, const char *watched)
{
    struct watchers *w = watchers_of(d, watched);
    w->runs = reallocarray(w->runs, w->runs_len + 1, sizeof(*w->runs));
    CHECK(w->runs);
    memcpy(w->runs[w->runs_len++], id, 37);
    director_look_for_end(d, watched);
}

/* ---- deleted workflows ---- */

/* The store removes executions in steps, and makes due who waits for one with it. So first the waits
 * for what is not there any more are ended, then the removal is awaited, then everything that is due
 * by an event is woken, a page at a time, as nobody knows which of it waits for one that was removed:
 * what is not in memory comes in, what is looks again. */
struct removal {
    struct chore chore;
    struct bytes watched; /* ids, 37 bytes each, that are looked at */
    size_t next;
    int64_t seq; /* of the last one that was woken */
};

static const struct chore_kind removal_wakes;

static void removal_ask_wakes(struct due *t)
{
    chore_ask(container_of(t, struct chore, due));
}

static void removing_fill(struct chore *c, struct store_query *q, struct arena *a)
{
}

static enum chore_next removing_take(struct chore *c, const struct store_query *q)
{
    uint64_t ms = q->error.code == OK && q->removing.is_removing ? DIRECTOR_REMOVED_MS : 0;
    if (ms == 0)
        c->kind = &removal_wakes;
    due_in(c->director->env, &c->due, ms, removal_ask_wakes);
    return CHORE_WAITS;
}

static const struct chore_kind removal_awaits = {
    .what = "whether deleted executions are removed",
    .query = STORE_QUERY_REMOVING,
    .fill = removing_fill,
    .take = removing_take,
};

static void removed_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    q->due.until_us = 1;
    q->due.after_seq = container_of(c, struct removal, chore)->seq;
    q->due.limit = DIRECTOR_PAGE;
}

static enum chore_next removed_take(struct chore *c, const struct store_query *q)
{
    struct removal *r = container_of(c, struct removal, chore);
    for (size_t k = 0; q->error.code == OK && k < q->due.len; k++) {
        char id[37];
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(q->due.rows[k].id));
        r->seq = q->due.rows[k].seq;
        director_wake(c->director, id, "");
    }
    if (q->error.code == OK && q->due.len == DIRECTOR_PAGE)
        return CHORE_AGAIN;
    c->director->removal = NULL;
    return CHORE_OVER;
}

static const struct chore_kind removal_wakes = {
    .what = "who waits for deleted executions",
    .query = STORE_QUERY_DUE,
    .fill = removed_fill,
    .take = removed_take,
};

static void removal_end(struct director *d)
{
    struct removal *r = container_of(d->removal, struct removal, chore);
    bytes_done(&r->watched);
    d->removal = NULL;
    chore_end(&r->chore);
}

/* A few of those that somebody waits for; then others have their turn. */
static void removal_look(struct due *t)
{
    struct removal *r = container_of(t, struct removal, chore.due);
    struct director *d = r->chore.director;
    size_t len = sizeof(((struct end_look *)NULL)->id), all = r->watched.len / len;
    for (int k = 0; k < DIRECTOR_LOOKS && r->next < all; k++)
        director_look_for_end(d, r->watched.ptr + len * r->next++);
    if (r->next < all) {
        due_in(d->env, &r->chore.due, 0, removal_look);
        return;
    }
    bytes_done(&r->watched);
    chore_ask(&r->chore);
}

void director_removed(struct director *d)
{
    size_t cursor = 0;
    struct slice key;
    void *value;
    if (d->is_stopping)
        return;
    if (d->removal) /* again from the start */
        removal_end(d);
    struct removal *r = chore_new(d, &removal_awaits, sizeof(*r));
    d->removal = &r->chore;
    while (map_next(&d->watchers, &cursor, &key, &value)) {
        char id[37] = "";
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(key));
        bytes_append(&r->watched, id, sizeof(id));
    }
    due_in(d->env, &r->chore.due, 0, removal_look);
}

/* ---- notes of the engine threads ---- */

struct director_note *director_note_new(const struct flow_shared *s, const char *id,
                                        size_t wakes_len)
{
    struct director_note *n = calloc(1, sizeof(*n) + wakes_len * sizeof(n->wakes[0]));
    CHECK(n);
    n->director = s->director;
    memcpy(n->id, id, sizeof(n->id));
    n->wakes_len = wakes_len;
    return n;
}

/* They were asked to end, by the commit that this is about. */
struct children {
    struct chore chore;
    char parent[37];
    char cursor[24]; /* of the next page */
};

static void children_fill(struct chore *c, struct store_query *q, struct arena *a)
{
    struct children *s = container_of(c, struct children, chore);
    q->durables.filter.parent = arena_copy(a, slice_cstr(s->parent));
    q->durables.filter.status = -1;
    q->durables.page.limit = DIRECTOR_PAGE;
    q->durables.page.cursor = arena_copy(a, slice_cstr(s->cursor));
}

static enum chore_next children_take(struct chore *c, const struct store_query *q)
{
    struct children *s = container_of(c, struct children, chore);
    for (size_t k = 0; q->error.code == OK && k < q->durables.len; k++) {
        char id[37] = "";
        snprintf(id, sizeof(id), "%.*s", SLICE_ARG(q->durables.rows[k].id));
        if (!durable_is_finished(q->durables.rows[k].status))
            director_wake(c->director, id, "");
    }
    if (q->error.code != OK || q->durables.next.len == 0)
        return CHORE_OVER;
    snprintf(s->cursor, sizeof(s->cursor), "%.*s", SLICE_ARG(q->durables.next));
    return CHORE_AGAIN;
}

static const struct chore_kind children_kind = {
    .what = "children that are to end",
    .query = STORE_QUERY_DURABLES,
    .fill = children_fill,
    .take = children_take,
};

static void wake_children(struct director *d, const char *parent)
{
    if (d->is_stopping)
        return;
    struct children *s = chore_new(d, &children_kind, sizeof(*s));
    snprintf(s->parent, sizeof(s->parent), "%s", parent);
    chore_ask(&s->chore);
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
    flow_post(n->director->env, &n->post);
}

void director_post(struct director *d, struct post *p)
{
    flow_post(d->env, p);
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
        director_due_begin(d);
}

/* Before any of them is run again. */
static void note_crashes(struct director *d, struct slice ids)
{
    for (; ids.len > 0; ids = slice_skip(ids, sizeof(((struct crash_note *)NULL)->id))) {
        struct crash_note *n = calloc(1, sizeof(*n));
        CHECK(n);
        memcpy(n->id, ids.ptr, sizeof(n->id));
        n->director = d;
        n->op.loop = d->env->loop;
        n->op.done = crash_noted;
        d->noting++;
        store_durable_crashed(d->env->store, &n->op, slice_cstr(n->id));
    }
}

/* ---- start and stop ---- */

struct director *director_new(struct flow_env *env, struct flow *const *threads, size_t threads_len,
                              struct slice suspects)
{
    struct director *d = calloc(1, sizeof(*d));
    CHECK(d);
    d->env = env;
    d->threads = threads;
    d->threads_len = threads_len;
    list_init(&d->chores);
    director_due_init(d);
    env->shared->director = d;
    note_crashes(d, suspects);
    if (d->noting == 0)
        director_due_begin(d); /* everything that is due, or ran when the server ended */
    return d;
}

/* What it still reads is of no use; a wake whose deployment is on its way ends with that. */
static void drop_chores(struct director *d)
{
    struct list kept, *n;
    list_init(&kept);
    if (d->removal)
        removal_end(d);
    d->runs.rows = d->others.rows = NULL;
    while ((n = list_pop_front(&d->chores))) {
        struct chore *c = container_of(n, struct chore, link);
        if (c->kind == &wake_kind && container_of(c, struct wake, chore)->is_deploying)
            list_push_back(&kept, n);
        else
            chore_end(c);
    }
    list_splice_back(&d->chores, &kept);
}

void director_stop(struct director *d)
{
    size_t cursor = 0;
    struct slice id;
    d->is_stopping = true;
    director_due_stop(d);
    drop_chores(d);
    while (map_next(&d->watchers, &cursor, &id, NULL)) {
        watchers_end(map_remove(&d->watchers, id), false);
        cursor = 0;
    }
}

void director_free(struct director *d)
{
    if (!d)
        return;
    director_stop(d);
    CHECK(list_is_empty(&d->chores));
    map_done(&d->watchers);
    free(d);
}
