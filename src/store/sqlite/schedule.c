/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules: their rows, what a deploy declares, and what is started by them. When one is next due is its
 * row of table due, written by the same mutation. What its plan means is not looked at here, but for the
 * names of what a deploy declares. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/module_name.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/stored.h"

enum { ID_BYTES = 36 };

/* ---- due ---- */

static enum err schedule_due(struct writer *w, int64_t id, int64_t due_us, struct error *ret_error)
{
    char key[24];
    snprintf(key, sizeof(key), "%" PRId64, id);
    return due_put(
        w, &(struct due_row){.kind = DUE_SCHEDULE, .key = slice_cstr(key), .due_us = due_us},
        ret_error);
}

static enum err run_due(struct writer *w, struct slice key, int64_t due_us, struct error *ret_error)
{
    return due_put(w, &(struct due_row){.kind = DUE_RUN, .key = key, .due_us = due_us}, ret_error);
}

/* ---- writing ---- */

/* What next_us was counted from, so that the times after it are. */
static int64_t anchor_of(const struct schedule_row *row)
{
    return row->anchor_us ? row->anchor_us : clock_wall_us();
}

struct schedule_found {
    int64_t id;
    bool is_deployed, is_paused;
};

static enum err schedule_find(struct writer *w, int64_t namespace_id, struct slice name,
                              struct schedule_found *ret, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_SCHEDULE_FIND,
                             PARAMS(P_INT(namespace_id), P_TEXT(name)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK)
        return code;
    *ret = (struct schedule_found){0};
    if (has_row)
        *ret = (struct schedule_found){.id = db_int(st, 0),
                                       .is_deployed = db_text(st, 1).len > 0,
                                       .is_paused = db_int(st, 2) != 0};
    return OK;
}

static enum err schedule_none(struct slice name, struct error *ret_error)
{
    error_set(ret_error, ERR_NOT_FOUND, "there is no schedule '%.*s'", SLICE_ARG(name));
    error_hint(ret_error, "see: limpet schedule list");
    return ERR_NOT_FOUND;
}

static enum err schedule_add(struct writer *w, int64_t namespace_id, const struct schedule_row *row,
                             int64_t *ret_id, struct error *ret_error)
{
    int64_t count = 0;
    enum err code =
        apply_one(w, WRITER_SCHEDULE_COUNT, PARAMS(P_INT(namespace_id)), &count, NULL, ret_error);
    if (code == OK && count >= STORE_SCHEDULES_MAX) {
        error_set(ret_error, ERR_LIMIT, "the namespace has %d schedules, which is the limit",
                  STORE_SCHEDULES_MAX);
        error_hint(ret_error, "delete those that have ended: limpet schedule list");
        return ERR_LIMIT;
    }
    if (code == OK)
        code = apply_one(w, WRITER_SCHEDULE_ADD,
                         PARAMS(P_INT(namespace_id), P_TEXT(row->name), P_TEXT(row->origin),
                                P_TEXT(row->plan), P_INT(anchor_of(row)), P_INT(row->next_us)),
                         ret_id, NULL, ret_error);
    return code == OK ? schedule_due(w, *ret_id, row->due_us, ret_error) : code;
}

static enum err schedule_set(struct writer *w, const struct schedule_found *found,
                             const struct schedule_row *row, struct error *ret_error)
{
    enum err code = db_run(&w->db, WRITER_SCHEDULE_SET,
                           PARAMS(P_INT(found->id), P_TEXT(row->plan), P_INT(anchor_of(row)),
                                  P_INT(found->is_paused ? 0 : row->next_us)),
                           ret_error);
    return code == OK
               ? schedule_due(w, found->id, found->is_paused ? DUE_NEVER : row->due_us, ret_error)
               : code;
}

enum err apply_schedule_put(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    const struct schedule_row *row = &m->schedule_put.row;
    int64_t namespace_id = 0;
    struct schedule_found found;
    enum err code = apply_namespace_find(w, row->space, &namespace_id, ret_error);
    if (code == OK)
        code = schedule_find(w, namespace_id, row->name, &found, ret_error);
    if (code != OK)
        return code;
    if (!found.id && !m->schedule_put.is_new)
        return schedule_none(row->name, ret_error);
    if (found.id && (m->schedule_put.is_new || found.is_deployed)) {
        error_set(ret_error, ERR_CONFLICT, "there is a schedule '%.*s' already%s",
                  SLICE_ARG(row->name), found.is_deployed ? ", declared by a deploy" : "");
        error_hint(ret_error, found.is_deployed ? "change its project, or choose another name"
                                                : "choose another name, or replace it with PUT");
        return ERR_CONFLICT;
    }
    *ret_number = found.id;
    return found.id ? schedule_set(w, &found, row, ret_error)
                    : schedule_add(w, namespace_id, row, ret_number, ret_error);
}

enum err apply_schedule_pause(struct writer *w, const struct mutation *m, int64_t *ret_number,
                              struct error *ret_error)
{
    const struct schedule_row *row = &m->schedule_pause.row;
    int64_t namespace_id = 0;
    struct schedule_found found;
    enum err code = apply_namespace_find(w, row->space, &namespace_id, ret_error);
    if (code == OK)
        code = schedule_find(w, namespace_id, row->name, &found, ret_error);
    if (code == OK && !found.id)
        code = schedule_none(row->name, ret_error);
    if (code != OK)
        return code;
    *ret_number = found.id;
    if (found.is_paused == row->is_paused)
        return OK;
    code = db_run(
        &w->db, WRITER_SCHEDULE_PAUSE,
        PARAMS(P_INT(found.id), P_INT(row->is_paused), P_INT(row->next_us), P_INT(clock_wall_us())),
        ret_error);
    return code == OK
               ? schedule_due(w, found.id, row->is_paused ? DUE_NEVER : row->due_us, ret_error)
               : code;
}

/* Its runs that have not ended, too: "ID/…". */
static enum err schedule_remove(struct writer *w, int64_t id, struct error *ret_error)
{
    char from[24], to[24];
    snprintf(from, sizeof(from), "%" PRId64 "/", id);
    snprintf(to, sizeof(to), "%" PRId64 "0", id); /* '0' comes after '/' */
    enum err code = schedule_due(w, id, DUE_NEVER, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_DUE_CLEAR_RUNS,
                      PARAMS(P_TEXT(slice_cstr(from)), P_TEXT(slice_cstr(to))), ret_error);
    return code == OK ? db_run(&w->db, WRITER_SCHEDULE_DELETE, PARAMS(P_INT(id)), ret_error) : code;
}

enum err apply_schedule_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    int64_t namespace_id = 0;
    struct schedule_found found;
    enum err code = apply_namespace_find(w, m->schedule_delete.space, &namespace_id, ret_error);
    if (code == OK)
        code = schedule_find(w, namespace_id, m->schedule_delete.name, &found, ret_error);
    if (code == OK && !found.id)
        code = schedule_none(m->schedule_delete.name, ret_error);
    return code == OK ? schedule_remove(w, found.id, ret_error) : code;
}

/* ---- what a deploy declares ---- */

/* The plan of this name in an array of {"name", "plan"}; NULL: none. */
static const char *declared_plan(const json_t *all, struct slice name)
{
    size_t k;
    const json_t *one;
    json_array_foreach(all, k, one)
    {
        if (slice_eq_cstr(name, json_string_value(json_object_get(one, "name"))))
            return json_string_value(json_object_get(one, "plan"));
    }
    return NULL;
}

/* Those of the module that are not declared any more. One at a time, since they are read while they go. */
static enum err undeclare(struct writer *w, struct slice module, const json_t *all,
                          struct error *ret_error)
{
    for (;;) {
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        int64_t id = 0;
        bool has_row = false;
        enum err code =
            db_query(&w->db, WRITER_SCHEDULE_OF, PARAMS(P_TEXT(module)), &st, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
        while (code == OK && has_row && !id) {
            if (!declared_plan(all, db_text(st, 1)))
                id = db_int(st, 0);
            else
                code = db_step(&w->db, st, &has_row, ret_error);
        }
        db_release(&st);
        if (code != OK || !id)
            return code;
        code = schedule_remove(w, id, ret_error);
        if (code != OK)
            return code;
    }
}

/* Is it there as it is declared? */
static enum err is_as_declared(struct writer *w, struct slice module, struct slice name,
                               struct slice plan, bool *ret_is_ours, bool *ret_is_same,
                               struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_SCHEDULE_OF, PARAMS(P_TEXT(module)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    *ret_is_ours = *ret_is_same = false;
    while (code == OK && has_row) {
        if (slice_eq(db_text(st, 1), name)) {
            *ret_is_ours = true;
            *ret_is_same = slice_eq(db_text(st, 2), plan);
            return OK;
        }
        code = db_step(&w->db, st, &has_row, ret_error);
    }
    return code;
}

static enum err declare(struct writer *w, int64_t namespace_id, struct slice module,
                        struct slice name, struct slice plan, struct error *ret_error)
{
    struct schedule_found found;
    bool is_ours, is_same;
    /* When it is due is the scheduler's business, which looks at once. */
    const struct schedule_row row = {
        .name = name, .origin = module, .plan = plan, .due_us = clock_wall_us()};
    int64_t id = 0;
    enum err code = is_as_declared(w, module, name, plan, &is_ours, &is_same, ret_error);
    if (code != OK || is_same)
        return code;
    code = schedule_find(w, namespace_id, name, &found, ret_error);
    if (code != OK)
        return code;
    if (found.id && !is_ours) {
        error_set(ret_error, ERR_CONFLICT,
                  "the schedule '%.*s' is there already, and is not one of '%.*s'", SLICE_ARG(name),
                  SLICE_ARG(module));
        error_hint(ret_error, "give this one another 'name', or delete that one");
        return ERR_CONFLICT;
    }
    return found.id ? schedule_set(w, &found, &row, ret_error)
                    : schedule_add(w, namespace_id, &row, &id, ret_error);
}

enum err schedules_declare(struct writer *w, struct slice space, struct slice module,
                           struct slice json, struct error *ret_error)
{
    json_t *all = json.len ? json_loadb(json.ptr, json.len, 0, NULL) : json_array();
    int64_t namespace_id = 0;
    size_t k;
    const json_t *one;
    enum err code = apply_namespace_find(w, space, &namespace_id, ret_error);
    if (code == OK)
        code = undeclare(w, module, all, ret_error);
    json_array_foreach(all, k, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *plan = json_string_value(json_object_get(one, "plan"));
        if (code == OK && name && plan)
            code = declare(w, namespace_id, module, slice_cstr(name), slice_cstr(plan), ret_error);
    }
    json_decref(all);
    return code;
}

enum err schedules_forget(struct writer *w, int64_t namespace_id, struct error *ret_error)
{
    enum err code = OK;
    for (bool has_row = true; code == OK && has_row;) {
        int64_t id = 0;
        code =
            apply_one(w, WRITER_SCHEDULE_IN, PARAMS(P_INT(namespace_id)), &id, &has_row, ret_error);
        if (code == OK && has_row)
            code = schedule_remove(w, id, ret_error);
    }
    return code;
}

/* ---- what is started ---- */

static int64_t time_of(const struct schedule_fire *f, size_t k)
{
    int64_t at;
    memcpy(&at, f->times.ptr + k * sizeof(at), sizeof(at));
    return at;
}

static enum err fire_execution(struct writer *w, const struct schedule_fire *f, size_t k,
                               const struct apply_function *function, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct durable_state state = {.function_id = function->id, .version = function->version};
    bool is_new = false;
    bytes_append_slice(&key, f->key);
    bytes_printf(&key, "%" PRId64, time_of(f, k) / 1000);
    struct durable_texts texts = {.id = slice_of(f->ids.ptr + k * ID_BYTES, ID_BYTES),
                                  .export_name = f->export_name,
                                  .key = bytes_slice(&key),
                                  .input = f->input,
                                  .metadata = f->metadata};
    return durable_add(w, &state, &texts, &is_new, ret_error);
}

static enum err fire_run(struct writer *w, const struct schedule_fire *f, size_t k,
                         struct error *ret_error)
{
    char key[48];
    snprintf(key, sizeof(key), "%" PRId64 "/%" PRId64, f->id, time_of(f, k));
    return run_due(w, slice_cstr(key), clock_wall_us(), ret_error);
}

/* A message for each time. */
static enum err fire_messages(struct writer *w, const struct schedule_fire *f, size_t len,
                              int64_t *ret_queue, struct error *ret_error)
{
    int64_t due_us;
    enum err code =
        resource_ensure(w, f->space, RESOURCE_KIND_QUEUE, f->queue, ret_queue, ret_error);
    for (size_t k = 0; k < len && code == OK; k++)
        code = message_send(w, *ret_queue, f->messages, SLICE_EMPTY, &due_us, ret_error);
    return code;
}

static enum err fire_all(struct writer *w, const struct schedule_fire *f, size_t len,
                         struct error *ret_error)
{
    struct apply_function function = {0};
    enum err code = OK;
    if (f->ids.len > 0) {
        code = durable_workflow(w, f->workflow, &function, ret_error);
        if (code == OK)
            code = stored_check(w, function.id,
                                (int64_t)len * (DURABLE_ROW_BYTES + (int64_t)f->input.len +
                                                (int64_t)f->metadata.len),
                                ret_error);
    }
    for (size_t k = 0; k < len && code == OK; k++)
        code = f->ids.len > 0 ? fire_execution(w, f, k, &function, ret_error)
                              : fire_run(w, f, k, ret_error);
    return code;
}

static enum err fire_conflict(struct error *ret_error)
{
    return error_set(ret_error, ERR_CONFLICT, "the schedule has been changed meanwhile");
}

enum err apply_schedule_fire(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    const struct schedule_fire *f = &m->schedule_fire.fire;
    const size_t len = f->times.len / sizeof(int64_t);
    const bool is_run = f->ids.len == 0 && f->queue.len == 0;
    CHECK(len <= STORE_TIMES_MAX && (f->ids.len == 0 || f->ids.len == len * ID_BYTES));
    const struct slice last =
        f->ids.len == 0 ? SLICE_EMPTY : slice_of(f->ids.ptr + (len - 1) * ID_BYTES, ID_BYTES);
    enum err code = db_run(&w->db, WRITER_SCHEDULE_FIRE,
                           PARAMS(P_INT(f->id), P_INT(f->seen_us), P_INT(f->next_us),
                                  P_INT(len > 0 ? time_of(f, len - 1) : 0), P_TEXT(last),
                                  P_INT(len), P_INT(f->skipped), P_INT(is_run ? len : 0)),
                           ret_error);
    if (code == OK && !db_changes(&w->db))
        return fire_conflict(ret_error);
    if (code == OK && f->seen_us >= 0)
        code = schedule_due(w, f->id, f->due_us, ret_error);
    if (code == OK && f->queue.len > 0)
        return fire_messages(w, f, len, ret_number, ret_error);
    return code == OK ? fire_all(w, f, len, ret_error) : code;
}

enum err apply_schedule_fail(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    const struct schedule_fire *f = &m->schedule_fail.fire;
    enum err code = db_run(
        &w->db, WRITER_SCHEDULE_FAIL,
        PARAMS(P_INT(f->id), P_INT(f->seen_us), P_INT(f->next_us), P_INT(f->skipped)), ret_error);
    if (code == OK && !db_changes(&w->db))
        return fire_conflict(ret_error);
    return code == OK ? schedule_due(w, f->id, f->due_us, ret_error) : code;
}

enum err apply_schedule_ran(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    const struct mutation_schedule_ran *a = &m->schedule_ran;
    if (a->retry_us > 0)
        return run_due(w, a->key, a->retry_us, ret_error);
    enum err code = run_due(w, a->key, DUE_NEVER, ret_error);
    if (code != OK || !db_changes(&w->db)) /* it was settled before, or the schedule is gone */
        return code;
    return db_run(&w->db, WRITER_SCHEDULE_RAN, PARAMS(P_INT(a->id), P_INT(a->has_failed)),
                  ret_error);
}

/* ---- reading ---- */

static struct schedule_row schedule_row(sqlite3_stmt *st, struct arena *a)
{
    return (struct schedule_row){
        .id = db_int(st, 0),
        .space = db_text_copy(st, 1, a),
        .name = db_text_copy(st, 2, a),
        .origin = db_text_copy(st, 3, a),
        .plan = db_text_copy(st, 4, a),
        .is_paused = db_int(st, 5) != 0,
        .anchor_us = db_int(st, 6),
        .next_us = db_int(st, 7),
        .last_us = db_int(st, 8),
        .last_execution = db_text_copy(st, 9, a),
        .started = db_int(st, 10),
        .skipped = db_int(st, 11),
        .failed = db_int(st, 12),
        .running = db_int(st, 13),
        .created_us = db_int(st, 14),
        .updated_us = db_int(st, 15),
    };
}

enum err store_schedules(struct store_reader *r, struct store_query *q, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    __auto_type s = &q->schedules;
    struct schedule_row *rows = NULL;
    size_t len = 0, cap = 0;
    int64_t id = 0;
    bool has_row = false, is_of = s->origin.len > 0;
    enum err code = is_of ? OK : reader_namespace_id(r, s->space, &id, ret_error);
    if (code == OK)
        code =
            reader_first(r, is_of ? READER_SCHEDULES_OF : READER_SCHEDULES,
                         is_of ? PARAMS(P_TEXT(s->origin), P_TEXT(s->after),
                                        P_INT(reader_limit(s->limit)), P_INT(s->is_unknown))
                               : PARAMS(P_INT(id), P_TEXT(s->after), P_INT(reader_limit(s->limit))),
                         &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(q->arena, rows, len, &cap, sizeof(*rows));
        rows[len++] = schedule_row(st, q->arena);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    s->rows = rows;
    s->len = len;
    return OK;
}

enum err store_schedule(struct store_reader *r, struct store_query *q, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    __auto_type s = &q->schedule;
    int64_t id = 0;
    bool has_row = false;
    enum err code = s->id ? OK : reader_namespace_id(r, s->space, &id, ret_error);
    if (code == OK)
        code =
            s->id ? reader_first(r, READER_SCHEDULE, PARAMS(P_INT(s->id)), &st, &has_row, ret_error)
                  : reader_first(r, READER_SCHEDULE_OF, PARAMS(P_INT(id), P_TEXT(s->name)), &st,
                                 &has_row, ret_error);
    if (code == OK && !has_row)
        return schedule_none(s->name, ret_error);
    if (code == OK)
        s->row = schedule_row(st, q->arena);
    return code;
}

enum err store_schedule_counts(struct store_reader *r, struct store_query *q,
                               struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_SCHEDULE_COUNTS, PARAMS(), &st, &has_row, ret_error);
    if (code == OK && has_row) {
        q->schedule_counts.all = db_int(st, 0);
        q->schedule_counts.paused = db_int(st, 1);
        q->schedule_counts.running = db_int(st, 2);
    }
    return code;
}
