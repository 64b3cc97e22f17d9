/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules as resources, and those that an upload declares. What a plan means is schedule/plan.h's
 * business; a change is told to the scheduler before it is answered. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "schedule/plan.h"

enum { SCHEDULES_DECLARED_MAX = 100, SCHEDULES_PAGE = 100, SCHEDULES_PAGE_MAX = 1000 };

static enum err schedule_bad(const char *what, const char *hint, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "%s", what);
    error_hint(ret_error, "%s", hint);
    return ERR_INVALID;
}

/* Letters, digits and inner "-", "_", ".", as people type them. */
static enum err check_name(struct slice name, struct error *ret_error)
{
    bool is_good = name.len > 0 && name.len <= LIMIT_NAME_BYTES;
    for (size_t k = 0; k < name.len && is_good; k++) {
        char c = name.ptr[k];
        is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  ((c == '-' || c == '_' || c == '.') && k > 0);
    }
    return is_good ? OK
                   : schedule_bad("a schedule's name has 1 to 63 letters, digits, '-', '_' and '.'",
                                  "as nightly-report; it begins with a letter or digit", ret_error);
}

/* ---- of an upload ---- */

/* Takes a text out of an object: malloc'd, NULL: it has none. */
static char *take_text(json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    char *copy = text ? strdup(text) : NULL;
    (void)json_object_del(o, key);
    return copy;
}

static enum err declare_one(json_t *o, struct slice module, enum module_kind kind, size_t n,
                            struct arena *a, json_t *all, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes plan = BYTES_INIT;
    const struct slice own = module_name_split(module).name;
    struct plan p;
    char *name = json_is_object(o) ? take_text(o, "name") : NULL;
    const char *chosen =
        name ? arena_cstr(a, slice_cstr(name))
             : arena_printf(a, "%.*s-cron-%zu", SLICE_ARG(slice_utf8_clip(own, 48)), n + 1);
    free(name);
    if (json_is_object(o) && module_kinds[kind].is_durable && !json_object_get(o, "function") &&
        !json_object_get(o, "workflow") && !json_object_get(o, "queue"))
        (void)json_object_set_new(o, "workflow", json_stringn(own.ptr, own.len));
    char *text = json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(text);
    enum err err = check_name(slice_cstr(chosen), ret_error);
    if (err == OK)
        err = plan_read(slice_cstr(text), own, a, &p, ret_error);
    free(text);
    if (err != OK)
        return err;
    plan_write(&p, &plan);
    for (size_t k = 0; k < json_array_size(all); k++)
        if (strcmp(chosen, json_string_value(json_object_get(json_array_get(all, k), "name"))) == 0)
            return schedule_bad("two schedules of the project have one name",
                                "give each of [[schedules]] a 'name' of its own", ret_error);
    (void)json_array_append_new(all,
                                json_pack("{s:s, s:s}", "name", chosen, "plan", bytes_cstr(&plan)));
    return OK;
}

enum err schedules_of_upload(struct slice json, struct slice module, enum module_kind kind,
                             struct arena *a, struct slice *ret_json, struct error *ret_error)
{
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *all = json_array();
    enum err err = OK;
    if (!json_is_array(root) || json_array_size(root) > SCHEDULES_DECLARED_MAX)
        err = schedule_bad("'schedules' is no array of at most 100 objects",
                           "docs/schedules.md has their members", ret_error);
    for (size_t k = 0; err == OK && k < json_array_size(root); k++)
        err = declare_one(json_array_get(root, k), module, kind, k, a, all, ret_error);
    if (err == OK && json_array_size(all) > 0) {
        char *text = json_dumps(all, JSON_COMPACT);
        CHECK(text);
        *ret_json = arena_copy(a, slice_cstr(text));
        free(text);
    }
    json_decref(root);
    json_decref(all);
    return err;
}

/* ---- answers ---- */

static void schedule_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct schedule_row *s = of;
    (void)r;
    json_open(w, '{');
    json_key(w, "name");
    json_slice(w, s->name);
    json_key(w, "namespace");
    json_slice(w, s->space);
    text_json(w, "declared_by", module_name_split(s->origin).name);
    json_key(w, "plan");
    json_raw(w, s->plan);
    json_key(w, "paused");
    json_bool(w, s->is_paused);
    times_json(w, "next_at", s->is_paused || s->next_us == DUE_NEVER ? 0 : s->next_us);
    times_json(w, "last_at", s->last_us);
    text_json(w, "last_execution", s->last_execution);
    json_key(w, "started");
    json_int(w, s->started);
    json_key(w, "skipped");
    json_int(w, s->skipped);
    json_key(w, "failed");
    json_int(w, s->failed);
    json_key(w, "running");
    json_int(w, s->running);
    times_json(w, "created_at", s->created_us);
    times_json(w, "updated_at", s->updated_us);
    json_close(w, '}');
}

static enum err read_schedule(struct admin_request *r, struct slice name,
                              struct schedule_row *ret_row, struct error *ret_error)
{
    struct store_query q = {.kind = STORE_QUERY_SCHEDULE,
                            .schedule = {.space = r->space, .name = name}};
    enum err err = request_read(r, &q, ret_error);
    if (err == OK)
        *ret_row = q.schedule.row;
    return err;
}

static void reply_schedule(struct admin_request *r)
{
    struct error error = {0};
    struct schedule_row row;
    if (read_schedule(r, r->subject, &row, &error))
        reply_error(r, &error);
    else
        reply_row(r, r->route->status, &row, schedule_json);
}

void schedule_show(struct admin_request *r)
{
    r->subject = r->params[0];
    reply_schedule(r);
}

void schedule_list(struct admin_request *r)
{
    struct error error = {0};
    uint64_t limit;
    struct store_query q = {.kind = STORE_QUERY_SCHEDULES, .schedules.space = r->space};
    if (request_query_uint(r, "limit", SCHEDULES_PAGE, SCHEDULES_PAGE_MAX, &limit, &error)) {
        reply_error(r, &error);
        return;
    }
    (void)request_query(r, "after", &q.schedules.after);
    q.schedules.limit = (int64_t)limit;
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.schedules.rows, q.schedules.len, sizeof(*q.schedules.rows), schedule_json);
}

/* ---- changes ---- */

/* Is what it starts there? */
static enum err check_target(struct admin_request *r, const struct plan *p, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes module = BYTES_INIT;
    struct slice rest = p->name, name = slice_split(&rest, '.');
    struct function_row row;
    if (p->target == PLAN_QUEUE) {
        struct store_query q;
        return read_resource(r, RESOURCE_KIND_QUEUE, p->name, &q, ret_error);
    }
    module_name_join(r->space, p->target == PLAN_WORKFLOW ? name : p->name, &module);
    enum err err = read_function(r, arena_copy(r->arena, bytes_slice(&module)), &row, ret_error);
    if (err == OK && (p->target == PLAN_WORKFLOW ? module_is_durable(row.kind, row.exports)
                                                 : module_kinds[row.kind].is_routed))
        return OK;
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    error_set(ret_error, ERR_INVALID, "the schedule starts '%.*s', which is no %s",
              SLICE_ARG(p->name), p->target == PLAN_WORKFLOW ? "workflow" : "function");
    error_hint(ret_error, "deploy it first, in the same namespace");
    return ERR_INVALID;
}

/* The body's plan, and its name if it may have one. */
static enum err read_body(struct admin_request *r, struct schedule_row *row, bool has_name,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct plan p;
    json_t *o =
        json_loadb(r->body.ptr ? r->body.ptr : "", r->body.len, JSON_REJECT_DUPLICATES, NULL);
    char *name = has_name && json_is_object(o) ? take_text(o, "name") : NULL;
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    enum err err = OK;
    if (has_name) {
        row->name = arena_copy(r->arena, slice_cstr(name ? name : ""));
        err = check_name(row->name, ret_error);
    }
    if (err == OK)
        err = plan_read(slice_cstr(text ? text : ""), SLICE_EMPTY, r->arena, &p, ret_error);
    free(name);
    free(text);
    json_decref(o);
    if (err == OK)
        err = check_target(r, &p, ret_error);
    if (err != OK)
        return err;
    plan_write(&p, &out);
    const int64_t now_us = clock_wall_us();
    row->space = r->space;
    row->plan = arena_copy(r->arena, bytes_slice(&out));
    row->anchor_us = now_us;
    row->next_us = plan_next(&p, now_us, now_us);
    row->due_us = row->next_us; /* with its jitter, when the scheduler has looked at it */
    if (row->next_us == PLAN_NEVER)
        return schedule_bad("the schedule is never due",
                            "its time has passed, or there is no such day", ret_error);
    return OK;
}

static void on_changed(struct admin_request *r, const struct store_op *op)
{
    const struct admin_host *host = &r->admin->host;
    if (op->error.code) {
        reply_error(r, &op->error);
        return;
    }
    host->schedule_look(host->ctx, op->number);
    request_go(r, reply_schedule);
}

static void put(struct admin_request *r, bool is_new)
{
    struct error error = {0};
    struct schedule_row row = {.name = r->params[0]};
    if (read_body(r, &row, is_new, &error)) {
        reply_error(r, &error);
        return;
    }
    r->subject = row.name;
    request_audit_target(r, row.name);
    store_schedule_put(r->admin->store, request_op(r, on_changed), &row, is_new);
}

void schedule_create(struct admin_request *r)
{
    put(r, true);
}

void schedule_put(struct admin_request *r)
{
    put(r, false);
}

static void on_deleted(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        reply_empty(r, 204);
}

void schedule_delete(struct admin_request *r)
{
    store_schedule_delete(r->admin->store, request_op(r, on_deleted), r->space, r->params[0]);
}

static void pause(struct admin_request *r, bool is_paused)
{
    struct error error = {0};
    struct schedule_row row;
    struct plan p;
    r->subject = r->params[0];
    if (read_schedule(r, r->params[0], &row, &error) ||
        plan_read(row.plan, SLICE_EMPTY, r->arena, &p, &error)) {
        reply_error(r, &error);
        return;
    }
    /* What would have been due meanwhile is not started. */
    row.is_paused = is_paused;
    row.next_us = row.due_us = plan_next(&p, row.anchor_us, clock_wall_us());
    store_schedule_pause(r->admin->store, request_op(r, on_changed), &row);
}

void schedule_pause(struct admin_request *r)
{
    pause(r, true);
}

void schedule_resume(struct admin_request *r)
{
    pause(r, false);
}

/* ---- started by hand ---- */

struct by_hand {
    struct schedule_ask ask;
    struct admin_request *request;
    struct schedule_row row;
    int64_t times[STORE_TIMES_MAX];
};

static void by_hand_done(struct schedule_ask *a)
{
    struct by_hand *h = container_of(a, struct by_hand, ask);
    struct admin_request *r = h->request;
    if (a->error.code) {
        reply_error(r, &a->error);
    } else {
        struct bytes body = BYTES_INIT;
        struct json_writer w = json_writer(&body);
        json_open(&w, '{');
        json_key(&w, "started");
        json_int(&w, (int64_t)a->times_len);
        json_close(&w, '}');
        reply_json(r, 202, &body);
    }
    request_release(r);
}

static void by_hand_start(struct admin_request *r, struct by_hand *h, size_t len)
{
    const struct admin_host *host = &r->admin->host;
    h->request = r;
    h->ask = (struct schedule_ask){
        .done = by_hand_done, .row = &h->row, .times = h->times, .times_len = len};
    r->has_effect = true;
    request_hold(r);
    host->schedule_ask(host->ctx, &h->ask);
}

void schedule_trigger(struct admin_request *r)
{
    struct error error = {0};
    struct by_hand *h = arena_new_struct(r->arena, struct by_hand);
    if (read_schedule(r, r->params[0], &h->row, &error)) {
        reply_error(r, &error);
        return;
    }
    h->times[0] = clock_wall_us();
    by_hand_start(r, h, 1);
}

/* A member that is a time: text, or milliseconds. */
static enum err read_time(const json_t *o, const char *key, int64_t *ret_us,
                          struct error *ret_error)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_integer(v) && json_integer_value(v) >= 0 &&
        json_integer_value(v) < INT64_C(253402300800000)) {
        *ret_us = json_integer_value(v) * 1000;
        return OK;
    }
    if (json_is_string(v) &&
        clock_iso_read(slice_of(json_string_value(v), json_string_length(v)), ret_us))
        return OK;
    return schedule_bad("the body is not {\"from\": time, \"to\": time}",
                        "write times as \"2026-11-21T00:00:00Z\", or milliseconds", ret_error);
}

void schedule_backfill(struct admin_request *r)
{
    struct error error = {0};
    struct plan p = {0};
    int64_t from_us = 0, to_us = 0;
    size_t len = 0;
    struct by_hand *h = arena_new_struct(r->arena, struct by_hand);
    json_t *o = json_loadb(r->body.ptr ? r->body.ptr : "", r->body.len, 0, NULL);
    enum err err = read_time(o, "from", &from_us, &error);
    if (err == OK)
        err = read_time(o, "to", &to_us, &error);
    json_decref(o);
    if (err == OK)
        err = read_schedule(r, r->params[0], &h->row, &error);
    if (err == OK)
        err = plan_read(h->row.plan, SLICE_EMPTY, r->arena, &p, &error);
    /* Before it was made its intervals have no beginning but that of the stretch. */
    const int64_t anchor_us =
        err == OK && from_us < h->row.anchor_us ? from_us - p.every_us : h->row.anchor_us;
    for (int64_t at = from_us - 1; err == OK;) {
        at = plan_next(&p, anchor_us, at);
        if (at == PLAN_NEVER || at > to_us)
            break;
        if (len == STORE_TIMES_MAX)
            err = schedule_bad("there are more than 1000 times between 'from' and 'to'",
                               "ask for a part of them at a time", &error);
        else
            h->times[len++] = at;
    }
    if (err != OK)
        reply_error(r, &error);
    else
        by_hand_start(r, h, len);
}
