/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds as resources: the rows of the store, with the live status of those that are not over laid
 * on top (see build_queue.h). */
#include "admin/build_queue.h"
#include "admin/internal.h"

void build_failure_json(struct json_writer *w, const struct build_row *row)
{
    text_json(w, "file", row->error_file);
    number_json(w, "line", row->error_line);
    number_json(w, "column", row->error_column);
    text_json(w, "frame", row->error_frame);
}

void build_json(struct admin_request *r, struct json_writer *w, const struct build_row *row)
{
    enum build_status status = row->status;
    int64_t started_us = row->started_us, finished_us = row->finished_us, version = row->version;
    if (build_queue_live(r->admin->builds, row->function, row->number, &status, &started_us))
        finished_us = version = 0;
    json_open(w, '{');
    json_key(w, "id");
    json_int(w, row->number);
    module_json(w, kind_word(r->kind), row->function);
    json_key(w, "status");
    json_cstr(w, build_status_text(status));
    number_json(w, "version", version);
    times_json(w, "created_at", row->created_us);
    times_json(w, "started_at", started_us);
    times_json(w, "finished_at", finished_us);
    milliseconds_json(w, "duration_ms", row->created_us, finished_us);
    json_key(w, "error");
    if (status == BUILD_FAILED) {
        json_open(w, '{');
        json_key(w, "code");
        json_cstr(w, error_text(ERR_BUILD_FAILED));
        json_key(w, "message");
        json_slice(w, row->error_message);
        build_failure_json(w, row);
        json_close(w, '}');
    } else {
        json_nil(w);
    }
    json_close(w, '}');
}

static void build_row_json(struct admin_request *r, struct json_writer *w, const void *row)
{
    build_json(r, w, row);
}

/* 422 in the one error shape, with the place of the failure beside the message. */
static void reply_failed(struct admin_request *r, const struct function_row *function,
                         const struct build_row *row)
{
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "error");
    json_open(&w, '{');
    json_key(&w, "code");
    json_cstr(&w, error_text(ERR_BUILD_FAILED));
    json_key(&w, "message");
    json_slice(&w, row->error_message);
    json_key(&w, "hint");
    if (function->version > 0)
        json_cstr(&w,
                  arena_printf(r->arena, "version %lld keeps serving; fix this and upload again",
                               (long long)function->version));
    else
        json_cstr(&w, "fix this and upload again");
    build_failure_json(&w, row);
    json_close(&w, '}');
    module_json(&w, "name", row->function);
    json_key(&w, "build");
    build_json(r, &w, row);
    json_close(&w, '}');
    reply_json(r, error_http_status(ERR_BUILD_FAILED), &body);
}

void build_reply_ended(struct admin_request *r, struct slice function, int64_t number,
                       struct slice made)
{
    struct function_row function_row;
    struct build_row row;
    struct error error = {0};
    enum err err = function_read(r, function, &function_row, &error);
    if (!err)
        err = read_build(r, function, number, &row, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    if (row.status == BUILD_FAILED) {
        reply_failed(r, &function_row, &row);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    module_json(&w, "name", function);
    json_key(&w, "version");
    json_int(&w, row.version);
    text_json(&w, "url", function_url(r, function));
    json_key(&w, "resources_made");
    json_raw(&w, made);
    json_key(&w, "build");
    build_json(r, &w, &row);
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

void build_list(struct admin_request *r)
{
    struct function_row function;
    struct build_row *rows;
    size_t len;
    struct error error = {0};
    enum err err = function_read(r, r->params[0], &function, &error);
    if (!err)
        err = read_builds(r, r->params[0], &rows, &len, &error);
    if (err)
        reply_error(r, &error);
    else
        reply_rows(r, rows, len, sizeof(*rows), build_row_json);
}

/* ---- one build, perhaps waited for ---- */

struct build_wait {
    struct admin_request *request;
    struct build_watch watch;
    struct timer timer;
    int64_t number;
};

static void wait_stop(struct admin_request *r)
{
    struct build_wait *s = r->state;
    build_watch_stop(&s->watch);
    timer_stop(r->admin->loop, &s->timer);
}

static void reply_build(struct admin_request *r)
{
    const struct build_wait *s = r->state;
    struct build_row row;
    struct error error = {0};
    int64_t number = s->number;
    enum err err = read_build(r, r->params[0], number, &row, &error);
    if (err == ERR_NOT_FOUND) {
        const char *word = kind_word(r->kind);
        error_set(&error, ERR_NOT_FOUND, "%s '%.*s' has no build %lld", word,
                  SLICE_ARG(r->params[0]), (long long)number);
        error_hint(&error, "'limpet %s build list %.*s' shows its builds", word,
                   SLICE_ARG(r->params[0]));
    }
    if (err)
        reply_error(r, &error);
    else
        reply_row(r, 200, &row, build_row_json);
}

static void on_wait_over(struct timer *t)
{
    struct build_wait *s = container_of(t, struct build_wait, timer);
    wait_stop(s->request);
    request_go(s->request, reply_build);
}

static void on_wait_end(struct build_watch *w, const struct error *error)
{
    struct build_wait *s = container_of(w, struct build_wait, watch);
    wait_stop(s->request);
    if (error->code)
        reply_error(s->request, error);
    else
        request_go(s->request, reply_build);
}

void build_show(struct admin_request *r)
{
    struct function_row function;
    struct error error = {0};
    uint64_t number, wait_ms;
    enum err err = function_read(r, r->params[0], &function, &error);
    if (!err)
        err = request_query_wait(r, &wait_ms, &error);
    if (!err && (!slice_to_u64(r->params[1], &number) || number > INT64_MAX)) {
        err = error_set(&error, ERR_INVALID, "'%.*s' is not the number of a build",
                        SLICE_ARG(slice_utf8_clip(r->params[1], 40)));
        error_hint(&error, "builds are numbered 1, 2, 3");
    }
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct build_wait *s = arena_new_struct(r->arena, struct build_wait);
    s->request = r;
    s->number = (int64_t)number;
    s->watch.on_end = on_wait_end;
    r->state = s;
    if (wait_ms == 0 || !build_queue_watch(r->admin->builds, r->params[0], s->number, &s->watch)) {
        request_go(r, reply_build);
        return;
    }
    timer_start(r->admin->loop, &s->timer, wait_ms, on_wait_over);
    request_on_gone(r, wait_stop);
}
