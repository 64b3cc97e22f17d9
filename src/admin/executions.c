/* SPDX-License-Identifier: Apache-2.0
 *
 * Executions as resources, of functions and of workflows. The store keeps the two apart: a run of a
 * function is one row, made when it starts and when it ends; an execution of a workflow has a life
 * (durable.c). Ids are unique over both.
 *
 * The list of all merges the two by time. Its cursor is the pair of theirs: a page takes the newest
 * of both, then asks each source for the cursor behind as many rows as were taken from it. */
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "http/url.h"

/* What a list shows of each run of a function; input, output and logs may be large and are shown
 * singly. */
static void run_json_members(struct json_writer *w, const struct execution_row *row)
{
    json_key(w, "id");
    json_slice(w, row->id);
    json_key(w, "execution_id");
    json_slice(w, row->id);
    module_json(w, "function", row->function);
    json_key(w, "version");
    json_int(w, row->version);
    json_key(w, "status");
    json_cstr(w, execution_status_text(row->status));
    raw_json(w, "error", row->error);
    times_json(w, "created_at", row->created_us);
    times_json(w, "finished_at", row->finished_us);
    milliseconds_json(w, "duration_ms", row->created_us, row->finished_us);
}

/* ---- lists ---- */

struct list_query {
    struct slice function;        /* "": all */
    struct durable_filter filter; /* of workflows */
    bool has_functions, has_workflows;
    const char *path; /* inside of the namespace, with its filters: "/executions?status=failed" */
    struct store_page page;
};

/* One source of a merged page. */
struct list_source {
    struct slice cursor, next; /* cursor "-": there is nothing more */
    size_t len, taken;
};

static bool is_used_up(const struct list_source *s)
{
    return slice_eq_cstr(s->cursor, "-");
}

struct list_page {
    struct execution_row *runs;
    struct durable_row *durables;
    struct list_source run_source, durable_source;
};

static enum err read_runs(struct admin_request *r, const struct list_query *q, int64_t limit,
                          struct list_page *p, struct execution_row **ret_rows,
                          struct error *ret_error)
{
    struct list_source *s = &p->run_source;
    struct store_query asked = {.kind = STORE_QUERY_EXECUTIONS,
                                .executions = {.space = r->space,
                                               .function = q->function,
                                               .page = {.limit = limit, .cursor = s->cursor}}};
    enum err err = request_read(r, &asked, ret_error);
    *ret_rows = asked.executions.rows;
    s->len = asked.executions.len;
    s->next = asked.executions.next;
    return err;
}

static enum err read_durables(struct admin_request *r, const struct list_query *q, int64_t limit,
                              struct list_page *p, struct durable_row **ret_rows,
                              struct error *ret_error)
{
    struct list_source *s = &p->durable_source;
    struct store_query asked = {
        .kind = STORE_QUERY_DURABLES,
        .durables = {.filter = q->filter, .page = {.limit = limit, .cursor = s->cursor}}};
    enum err err = request_read(r, &asked, ret_error);
    *ret_rows = asked.durables.rows;
    s->len = asked.durables.len;
    s->next = asked.durables.next;
    return err;
}

/* Writes the newest rows of both, at most limit, and counts what was taken of each. */
static void merge(struct list_page *p, int64_t limit, struct json_writer *w)
{
    struct list_source *runs = &p->run_source, *durables = &p->durable_source;
    for (int64_t i = 0; i < limit; i++) {
        bool has_run = runs->taken < runs->len, has_durable = durables->taken < durables->len;
        if (!has_run && !has_durable)
            return;
        bool is_run = has_run && (!has_durable || p->runs[runs->taken].created_us >=
                                                      p->durables[durables->taken].created_us);
        json_open(w, '{');
        if (is_run)
            run_json_members(w, &p->runs[runs->taken++]);
        else
            durable_json_members(w, &p->durables[durables->taken++]);
        json_close(w, '}');
    }
}

/* Where the next page of a source begins: behind the rows taken. */
static void source_advance(struct list_source *s)
{
    if (s->taken > 0 || s->len == 0)
        s->cursor = s->next.len > 0 ? s->next : SLICE_LIT("-");
}

static enum err find_next(struct admin_request *r, const struct list_query *q, struct list_page *p,
                          struct slice *ret_next, struct error *ret_error)
{
    struct execution_row *runs;
    struct durable_row *durables;
    struct list_source *f = &p->run_source, *d = &p->durable_source;
    enum err err = OK;
    if (f->taken > 0 && f->taken < f->len)
        err = read_runs(r, q, (int64_t)f->taken, p, &runs, ret_error);
    if (!err && d->taken > 0 && d->taken < d->len)
        err = read_durables(r, q, (int64_t)d->taken, p, &durables, ret_error);
    if (err)
        return err;
    source_advance(f);
    source_advance(d);
    *ret_next = SLICE_EMPTY;
    if (!is_used_up(f) || !is_used_up(d))
        *ret_next = slice_cstr(
            arena_printf(r->arena, "%.*s~%.*s", SLICE_ARG(f->cursor), SLICE_ARG(d->cursor)));
    return OK;
}

/* "f~d"; a source that is not asked for is used up from the start. */
static void read_cursor(const struct list_query *q, struct list_page *p)
{
    struct slice rest = q->page.cursor;
    if (slice_find(rest, '~') >= 0) {
        p->run_source.cursor = slice_split(&rest, '~');
        p->durable_source.cursor = rest;
    } else {
        p->run_source.cursor = p->durable_source.cursor = rest;
    }
    if (!q->has_functions)
        p->run_source.cursor = SLICE_LIT("-");
    if (!q->has_workflows)
        p->durable_source.cursor = SLICE_LIT("-");
}

static void reply_list(struct admin_request *r, const struct list_query *q)
{
    struct list_page page = {0};
    struct slice next = SLICE_EMPTY;
    struct error error = {0};
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    enum err err = OK;
    read_cursor(q, &page);
    if (!is_used_up(&page.run_source))
        err = read_runs(r, q, q->page.limit, &page, &page.runs, &error);
    if (!err && !is_used_up(&page.durable_source))
        err = read_durables(r, q, q->page.limit, &page, &page.durables, &error);
    json_open(&w, '[');
    if (!err) {
        merge(&page, q->page.limit, &w);
        err = find_next(r, q, &page, &next, &error);
    }
    json_close(&w, ']');
    if (err) {
        bytes_done(&body);
        reply_error(r, &error);
        return;
    }
    const char *path = NULL;
    if (next.len > 0)
        path = arena_printf(r->arena, "%s%climit=%lld&cursor=%.*s", q->path,
                            strchr(q->path, '?') ? '&' : '?', (long long)q->page.limit,
                            SLICE_ARG(next));
    reply_page(r, path, &body);
}

static enum err read_page(struct admin_request *r, struct list_query *q, struct error *ret_error)
{
    uint64_t limit;
    enum err err =
        request_query_uint(r, "limit", ADMIN_PAGE_DEFAULT, ADMIN_PAGE_MAX, &limit, ret_error);
    if (err)
        return err;
    q->page.limit = limit > 0 ? (int64_t)limit : 1;
    (void)request_query(r, "cursor", &q->page.cursor);
    return OK;
}

/* Appends a filter to the path of the next page. */
static void path_add(struct admin_request *r, struct list_query *q, const char *name,
                     struct slice value)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    url_encode(value, &text);
    q->path = arena_printf(r->arena, "%s%c%s=%s", q->path, strchr(q->path, '?') ? '&' : '?', name,
                           bytes_cstr(&text));
}

static enum err read_status(struct admin_request *r, struct list_query *q, bool *ret_is_given,
                            struct error *ret_error)
{
    static const char *const names[] = {"queued",    "running", "suspended",
                                        "completed", "failed",  "cancelled"};
    struct slice text;
    enum durable_status status;
    *ret_is_given = request_query(r, "status", &text);
    if (!*ret_is_given)
        return OK;
    if (!durable_status_read(text, &status)) {
        const char *nearest = names_nearest(text, names, ARRAY_LEN(names));
        error_set(ret_error, ERR_INVALID, "there is no status '%.*s'",
                  SLICE_ARG(slice_utf8_clip(text, 40)));
        if (nearest)
            error_hint(ret_error, "did you mean '%s'?", nearest);
        else
            error_hint(ret_error, "queued, running, suspended, completed, failed or cancelled");
        return ERR_INVALID;
    }
    q->filter.status = (int)status;
    path_add(r, q, "status", text);
    return OK;
}

/* NAME, or NAME.EXPORT. */
static enum err read_workflow(struct admin_request *r, struct list_query *q, struct slice text,
                              struct error *ret_error)
{
    struct function_row workflow;
    struct slice name;
    r->kind = MODULE_WORKFLOW;
    enum err err = names_check_workflow(text, &name, ret_error);
    if (!err)
        err = request_module(r, name, &q->filter.workflow, ret_error);
    if (!err)
        err = function_read(r, q->filter.workflow, &workflow, ret_error);
    if (err)
        return err;
    if (name.len < text.len)
        q->filter.export_name = slice_skip(text, name.len + 1);
    path_add(r, q, "workflow", text);
    return OK;
}

/* What belongs to workflows only leaves the runs of functions out. */
static enum err read_filters(struct admin_request *r, struct list_query *q, struct error *ret_error)
{
    bool has_status;
    enum err err = read_status(r, q, &has_status, ret_error);
    struct slice name;
    if (!err && request_query(r, "workflow", &name)) {
        err = read_workflow(r, q, name, ret_error);
        q->has_functions = false;
    }
    if (!err && request_query(r, "parent", &q->filter.parent)) {
        struct execution_found parent;
        err = execution_find(r, q->filter.parent, &parent, ret_error);
        if (!err)
            path_add(r, q, "parent", q->filter.parent);
        q->has_functions = false;
    }
    q->has_functions &= !has_status;
    return err;
}

void execution_list(struct admin_request *r)
{
    struct list_query q = {.filter = {.space = r->space, .status = -1},
                           .has_functions = true,
                           .has_workflows = true,
                           .path = "/executions"};
    struct error error = {0};
    enum err err = read_filters(r, &q, &error);
    if (!err)
        err = read_page(r, &q, &error);
    if (err)
        reply_error(r, &error);
    else
        reply_list(r, &q);
}

void execution_list_of(struct admin_request *r)
{
    bool is_durable = module_kinds[r->kind].is_durable, has_status;
    struct list_query q = {
        .function = r->params[0],
        .filter = {.workflow = r->params[0], .status = -1},
        .has_functions = !is_durable,
        .has_workflows = is_durable,
        .path = arena_printf(r->arena, "/%ss/%.*s/executions", kind_word(r->kind),
                             SLICE_ARG(module_name_split(r->params[0]).name)),
    };
    struct function_row function;
    struct error error = {0};
    enum err err = function_read(r, r->params[0], &function, &error);
    if (!err && is_durable)
        err = read_status(r, &q, &has_status, &error);
    if (!err)
        err = read_page(r, &q, &error);
    if (err)
        reply_error(r, &error);
    else
        reply_list(r, &q);
}

/* ---- one ---- */

enum err execution_find(struct admin_request *r, struct slice id, struct execution_found *ret_found,
                        struct error *ret_error)
{
    struct execution_found found = {.is_durable = true};
    enum err err = read_durable(r, id, &found.durable, ret_error);
    if (err == ERR_NOT_FOUND) {
        found.is_durable = false;
        err = read_execution(r, id, &found.function, ret_error);
    }
    /* One of another namespace is not there. */
    if (!err && !module_name_is_in(
                    found.is_durable ? found.durable.workflow : found.function.function, r->space))
        err = ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND) {
        error_set(ret_error, ERR_NOT_FOUND, "there is no execution '%.*s'",
                  SLICE_ARG(slice_utf8_clip(id, 80)));
        error_hint(ret_error, "'limpet execution list' shows the newest; finished ones are removed "
                              "after some time");
    }
    if (!err)
        *ret_found = found;
    return err;
}

static void reply_run(struct admin_request *r, const struct execution_row *row)
{
    struct log_row *logs;
    size_t logs_len;
    struct error error = {0};
    if (read_logs(r, row->function, row->id, -1, LIMIT_GUEST_LOG_LINES, &logs, &logs_len, &error)) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    run_json_members(&w, row);
    raw_json(&w, "input", row->input);
    raw_json(&w, "metadata", row->metadata);
    raw_json(&w, "output", row->output);
    json_key(&w, "logs");
    json_open(&w, '[');
    for (size_t i = 0; i < logs_len; i++)
        log_json(&w, &logs[i]);
    json_close(&w, ']');
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

void execution_show(struct admin_request *r)
{
    struct execution_found found;
    struct error error = {0};
    uint64_t wait_ms;
    enum err err = request_query_wait(r, &wait_ms, &error);
    if (!err)
        err = execution_find(r, r->params[0], &found, &error);
    if (err)
        reply_error(r, &error);
    else if (!found.is_durable)
        reply_run(r, &found.function);
    else if (wait_ms > 0 && !durable_is_finished(found.durable.status))
        durable_wait(r, found.durable.id, wait_ms);
    else
        durable_reply_row(r, found.durable.id);
}
