/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines of a function, a workflow or one execution: pages, and streams that stay open (follow).
 * The stream of an execution ends when it has finished and all its lines are sent.
 *
 * A follower is a cursor into the committed lines, so a slow client loses nothing and holds no
 * memory: while its connection is full it is not read for. The store has no event for commits;
 * while there are followers its counter of commits is looked at every ADMIN_FOLLOW_POLL_MS, and
 * lines are read only when it moved. */
#include "admin/internal.h"
#include "base/clock.h"
#include "loop/loop.h"

struct follower {
    struct list link;
    struct admin_request *request;
    struct slice function, execution; /* execution "": all */
    int64_t after;                    /* id of the last line sent */
    uint64_t sent_ms;
    bool is_full; /* waits for on_drain */
    enum follower_reading {
        FOLLOWER_RESTS,
        FOLLOWER_END,        /* has the execution ended? */
        FOLLOWER_END_OF_RUN, /* it is none of a workflow: the run? */
        FOLLOWER_LINES,
    } reading;
    struct ask *ask;
    bool is_over;   /* it has */
    bool is_wanted; /* something has come meanwhile */
};

void log_json(struct json_writer *w, const struct log_row *row)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    int level = row->level < 0 ? 0 : row->level > 3 ? 3 : row->level;
    char at[CLOCK_ISO_SIZE];
    clock_iso(row->at_us, at);
    json_open(w, '{');
    json_key(w, "id");
    json_int(w, row->id);
    json_key(w, "level");
    json_cstr(w, levels[level]);
    json_key(w, "at");
    json_cstr(w, at);
    json_key(w, "at_ms");
    json_int(w, row->at_us / 1000);
    json_key(w, "execution_id");
    if (row->execution.len > 0)
        json_slice(w, row->execution);
    else
        json_nil(w);
    json_key(w, "text");
    json_slice(w, row->text);
    json_close(w, '}');
}

static void follower_step(struct follower *f);

static void rows_ndjson(const struct log_row *rows, size_t len, struct bytes *out)
{
    for (size_t i = 0; i < len; i++) {
        struct json_writer w = json_writer(out);
        log_json(&w, &rows[i]);
        bytes_append_char(out, '\n');
    }
}

/* ---- follow ---- */

static void follower_end(struct follower *f)
{
    if (!list_is_linked(&f->link))
        return;
    list_remove(&f->link);
    ask_drop(TAKE(f->ask));
    struct admin *a = f->request->admin;
    if (--a->followers_count == 0)
        timer_stop(a->loop, &a->follow_timer);
}

static void on_follower_gone(struct admin_request *r)
{
    follower_end(r->state);
}

static void follower_write(struct follower *f, const struct bytes *lines)
{
    if (lines->len == 0)
        return;
    f->is_full = !http_write(f->request->exchange, bytes_slice(lines), false);
    f->sent_ms = loop_now_ms(f->request->admin->loop);
}

/* ---- what a follower reads: whether its execution has ended, then lines, page by page ----
 *
 * The end is looked for before the lines are read: those of a finished execution are all there. */

static void follower_on(struct follower *f);

static void follower_answered(struct ask *a)
{
    follower_on(a->owner);
}

static struct ask *follower_ask(struct follower *f)
{
    static const enum store_query_kind kinds[] = {[FOLLOWER_END] = STORE_QUERY_DURABLE,
                                                  [FOLLOWER_END_OF_RUN] = STORE_QUERY_EXECUTION,
                                                  [FOLLOWER_LINES] = STORE_QUERY_LOGS};
    struct ask *a = ask_new(&f->request->admin->asks, kinds[f->reading], follower_answered, f);
    struct slice execution = arena_copy(a->arena, f->execution);
    if (f->reading == FOLLOWER_END) {
        a->query.durable.id = execution;
    } else if (f->reading == FOLLOWER_END_OF_RUN) {
        a->query.execution.id = execution;
    } else {
        a->query.logs.function = arena_copy(a->arena, f->function);
        a->query.logs.execution = execution;
        a->query.logs.after = f->after;
        a->query.logs.limit = ADMIN_PAGE_MAX;
    }
    return a;
}

/* Lines have been read. True: there may be more. A failure is read again at the next commit; a store
 * out of order shows in /healthz. */
static bool follower_take_lines(struct follower *f, const struct store_query *q)
{
    CLEANUP(bytes_done) struct bytes lines = BYTES_INIT;
    size_t len = q->error.code == OK ? q->logs.len : 0;
    if (len > 0) {
        rows_ndjson(q->logs.rows, len, &lines);
        f->after = q->logs.rows[len - 1].id;
        follower_write(f, &lines);
    }
    return len == ADMIN_PAGE_MAX && !f->is_full;
}

/* One answer; what is read next. */
static enum follower_reading follower_take(struct follower *f, const struct store_query *q)
{
    enum err err = q->error.code;
    switch (f->reading) {
    case FOLLOWER_END:
        if (err == ERR_NOT_FOUND)
            return FOLLOWER_END_OF_RUN;
        f->is_over = !err && durable_is_finished(q->durable.row.status);
        return FOLLOWER_LINES;
    case FOLLOWER_END_OF_RUN:
        f->is_over = err == ERR_NOT_FOUND || (!err && q->execution.row.status != EXECUTION_RUNNING);
        return FOLLOWER_LINES;
    case FOLLOWER_LINES:
        if (follower_take_lines(f, q))
            return FOLLOWER_LINES;
        break;
    case FOLLOWER_RESTS:
        break;
    }
    return FOLLOWER_RESTS;
}

static void follower_on(struct follower *f)
{
    while (f->reading != FOLLOWER_RESTS) {
        if (!f->ask) {
            f->ask = follower_ask(f);
            if (ask_start(f->ask) == OP_PENDING)
                return;
        }
        CLEANUP(ask_cleanup) struct ask *a = TAKE(f->ask);
        f->reading = follower_take(f, &a->query);
        if (!list_is_linked(&f->link)) /* writing may have ended it */
            return;
    }
    if (f->is_over && !f->is_full) {
        follower_end(f);
        (void)http_write(f->request->exchange, SLICE_EMPTY, true);
    } else if (f->is_wanted && !f->is_full) {
        follower_step(f);
    }
}

/* Commits have come, or there is room. */
static void follower_step(struct follower *f)
{
    f->is_wanted = f->reading != FOLLOWER_RESTS;
    if (f->is_wanted) /* once more, after this */
        return;
    f->is_over = false;
    f->reading = f->execution.len > 0 ? FOLLOWER_END : FOLLOWER_LINES;
    follower_on(f);
}

static void on_follower_drain(struct admin_request *r)
{
    struct follower *f = r->state;
    f->is_full = false;
    if (list_is_linked(&f->link))
        follower_step(f);
}

static void on_follow_timer(struct timer *t)
{
    struct admin *a = container_of(t, struct admin, follow_timer);
    struct store_stats stats;
    store_stats(a->store, &stats);
    bool has_moved = stats.commits != a->follow_commits;
    a->follow_commits = stats.commits;
    uint64_t now = loop_now_ms(a->loop);
    struct list left, *n;
    list_init(&left);
    list_splice_back(&left, &a->followers);
    while ((n = list_pop_front(&left))) { /* a write may end others of the same connection */
        struct follower *f = container_of(n, struct follower, link);
        list_push_back(&a->followers, n);
        if (!f->is_full && has_moved)
            follower_step(f);
        if (f->is_full || !list_is_linked(&f->link))
            continue;
        if (now - f->sent_ms >= ADMIN_FOLLOW_BEAT_MS) {
            struct bytes beat = BYTES_INIT;
            bytes_append_char(&beat, '\n');
            follower_write(f, &beat);
            bytes_done(&beat);
        }
    }
    if (a->followers_count > 0)
        timer_start(a->loop, &a->follow_timer, ADMIN_FOLLOW_POLL_MS, on_follow_timer);
}

static void followers_end(struct admin *a, struct slice function, struct slice token)
{
    struct list left, *n;
    list_init(&left);
    list_splice_back(&left, &a->followers);
    a->endings++; /* for those that are about to begin: request_may_last() */
    while ((n = list_pop_front(&left))) {
        struct follower *f = container_of(n, struct follower, link);
        list_push_back(&a->followers, n);
        if (function.len > 0 && !slice_eq(function, f->function))
            continue;
        if (token.len > 0 && !slice_eq(token, f->request->caller.token))
            continue;
        follower_end(f);
        (void)http_write(f->request->exchange, SLICE_EMPTY, true);
    }
}

void log_followers_end(struct admin *a, struct slice function)
{
    followers_end(a, function, SLICE_EMPTY);
}

void log_followers_end_of(struct admin *a, struct slice token)
{
    followers_end(a, SLICE_EMPTY, token);
}

struct log_query {
    struct slice function, execution;
    int64_t after, limit;
    bool is_following;
};

static void follow(struct admin_request *r, const struct log_query *q, const struct log_row *rows,
                   size_t len)
{
    struct admin *a = r->admin;
    struct follower *f = arena_new_struct(r->arena, struct follower);
    f->request = r;
    f->function = q->function;
    f->execution = q->execution;
    f->after = len > 0 ? rows[len - 1].id : q->after > 0 ? q->after : 0;
    r->state = f;
    request_on_gone(r, on_follower_gone);
    r->on_drain = on_follower_drain;
    list_push_back(&a->followers, &f->link);
    if (a->followers_count++ == 0) {
        struct store_stats stats;
        store_stats(a->store, &stats);
        a->follow_commits = stats.commits;
        timer_start(a->loop, &a->follow_timer, ADMIN_FOLLOW_POLL_MS, on_follow_timer);
    }
    CLEANUP(bytes_done) struct bytes lines = BYTES_INIT;
    rows_ndjson(rows, len, &lines);
    const struct http_header headers[] = {
        {SLICE_LIT("content-type"), SLICE_LIT("application/x-ndjson")},
        {SLICE_LIT("cache-control"), SLICE_LIT("no-store")},
    };
    r->is_answered = true;
    a->requests[2]++;
    http_respond(r->exchange, 200, headers, ARRAY_LEN(headers), -1, SLICE_EMPTY, false);
    follower_write(f, &lines);
    /* Lines committed between the read above and the first look at the counter. */
    if (!f->is_full)
        follower_step(f);
}

/* ---- the routes ---- */

static enum err read_query(struct admin_request *r, struct log_query *q, struct error *ret_error)
{
    uint64_t after = 0, limit;
    struct slice text;
    bool has_after = request_query(r, "after", &text);
    enum err err =
        request_query_uint(r, "limit", ADMIN_LOG_PAGE_DEFAULT, ADMIN_PAGE_MAX, &limit, ret_error);
    if (!err && has_after)
        err = request_query_uint(r, "after", 0, INT64_MAX, &after, ret_error);
    if (err)
        return err;
    q->after = has_after ? (int64_t)after : -1;
    q->limit = (int64_t)limit;
    q->is_following = request_query_flag(r, "follow");
    if (q->is_following && r->admin->is_draining) {
        error_set(ret_error, ERR_UNAVAILABLE, "the server is stopping");
        error_hint(ret_error, "wait until it is back");
        return ERR_UNAVAILABLE;
    }
    if (q->is_following && r->admin->followers_count >= ADMIN_FOLLOWERS_MAX) {
        error_set(ret_error, ERR_OVERLOAD, "%d log streams are open, which is the limit",
                  ADMIN_FOLLOWERS_MAX);
        error_hint(ret_error, "close one, or read pages with 'after'");
        return ERR_OVERLOAD;
    }
    return OK;
}

/* Where a follower that wants no old lines begins: behind the newest one. One that wants them and saw none
 * begins at the start: what there is by now came after it had asked. */
static enum err newest_id(struct admin_request *r, struct log_query *q, struct error *ret_error)
{
    struct log_row *rows;
    size_t len;
    enum err err = read_logs(r, q->function, q->execution, -1, 1, &rows, &len, ret_error);
    if (!err)
        q->after = len > 0 ? rows[0].id : 0;
    return err;
}

static void log_row_json(struct admin_request *r, struct json_writer *w, const void *row)
{
    (void)r;
    log_json(w, row);
}

static void reply_logs(struct admin_request *r, struct log_query *q)
{
    struct log_row *rows = NULL;
    size_t len = 0;
    struct error error = {0};
    enum err err = read_query(r, q, &error);
    if (!err && q->limit > 0)
        err = read_logs(r, q->function, q->execution, q->after, q->limit, &rows, &len, &error);
    if (!err && q->is_following && q->limit == 0 && q->after < 0)
        err = newest_id(r, q, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    if (q->is_following) {
        /* Its client may have gone meanwhile. */
        if (r->waits == 0 && r->exchange && request_may_last(r))
            follow(r, q, rows, len);
        return;
    }
    reply_rows(r, rows, len, sizeof(*rows), log_row_json);
}

void log_list(struct admin_request *r)
{
    struct function_row function;
    struct error error = {0};
    struct log_query q = {.function = r->params[0]};
    if (function_read(r, r->params[0], &function, &error))
        reply_error(r, &error);
    else
        reply_logs(r, &q);
}

void execution_logs(struct admin_request *r)
{
    struct execution_found found;
    struct error error = {0};
    if (execution_find(r, r->params[0], &found, &error)) {
        reply_error(r, &error);
        return;
    }
    struct log_query q = {
        .function = found.is_durable ? found.durable.workflow : found.function.function,
        .execution = r->params[0],
    };
    reply_logs(r, &q);
}
