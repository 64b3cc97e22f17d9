/* SPDX-License-Identifier: Apache-2.0
 *
 * What each mutation does to the tables. A mutation that is refused leaves no trace: either it is
 * refused before its first write, or it is one statement, which SQLite undoes itself, or it runs in
 * a savepoint (apply_in_savepoint). So one bad mutation never spoils the batch that it is in. */
#include "store/sqlite/durable.h"
#include "store/sqlite/resource.h"
#include "store/sqlite/stored.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/module_name.h"

enum err apply_function_look(struct writer *w, struct slice name,
                             struct apply_function *ret_function, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_FUNCTION_FIND, PARAMS(P_TEXT(name)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK)
        return code;
    *ret_function = (struct apply_function){0};
    if (has_row)
        *ret_function = (struct apply_function){
            .id = db_int(st, 0), .kind = (enum module_kind)db_int(st, 1), .version = db_int(st, 2)};
    return OK;
}

enum err apply_function_find(struct writer *w, struct slice name,
                             struct apply_function *ret_function, struct error *ret_error)
{
    enum err code = apply_function_look(w, name, ret_function, ret_error);
    if (code == OK && !ret_function->id)
        return error_set(ret_error, ERR_NOT_FOUND, "there is no function '%.*s'", SLICE_ARG(name));
    return code;
}

enum err apply_one(struct writer *w, int stmt, const struct db_param *params, int64_t *ret_value,
                   bool *ret_has_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, stmt, params, &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK)
        return code;
    if (!has_row && !ret_has_row)
        return error_set(ret_error, ERR_INTERNAL, "a statement of the store gave no row: %s",
                         sqlite3_sql(st));
    if (has_row) {
        *ret_value = db_int(st, 0);
        /* A statement with RETURNING has done its work only when stepped to the end. */
        bool more = false;
        code = db_step(&w->db, st, &more, ret_error);
    }
    if (ret_has_row)
        *ret_has_row = has_row;
    return code;
}

static enum err apply_in_savepoint(struct writer *w, apply_fn fn, const struct mutation *m,
                                   int64_t *ret_number, struct error *ret_error)
{
    enum err code = db_run(&w->db, WRITER_SAVEPOINT, PARAMS(), ret_error);
    if (code != OK)
        return code;
    w->is_guarded = true;
    code = fn(w, m, ret_number, ret_error);
    w->is_guarded = false;
    /* When SQLite has rolled the whole transaction back there is no savepoint left. */
    if (code != OK && !sqlite3_get_autocommit(w->db.handle) &&
        db_run(&w->db, WRITER_ROLLBACK_TO, PARAMS(), NULL) != OK)
        w->is_lost = true;
    if (code != OK)
        durable_forget(w);
    if (!sqlite3_get_autocommit(w->db.handle) &&
        db_run(&w->db, WRITER_RELEASE, PARAMS(), NULL) != OK)
        w->is_lost = true;
    return code;
}

/* ---- builds and versions ---- */

enum err apply_build_start(struct writer *w, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    struct module_name name = module_name_split(m->build_start.function);
    if (!name.name.len || name.name.len > LIMIT_NAME_BYTES)
        return error_set(ret_error, ERR_INVALID, "a function's name has 1 to %d bytes",
                         LIMIT_NAME_BYTES);
    int64_t now = clock_wall_us(), namespace_id = 0;
    struct apply_function f;
    enum err code = apply_namespace_find(w, name.space, &namespace_id, ret_error);
    if (code == OK)
        code = apply_function_look(w, m->build_start.function, &f, ret_error);
    if (code == OK && f.id && f.kind != m->build_start.kind) {
        code = error_set(ret_error, ERR_CONFLICT, "'%.*s' is a %s already",
                         SLICE_ARG(m->build_start.function), module_kinds[f.kind].word);
        error_hint(ret_error, "choose another name, or delete it first");
    }
    if (code == OK && !f.id)
        code = apply_one(w, WRITER_FUNCTION_ADD,
                         PARAMS(P_TEXT(m->build_start.function), P_INT(m->build_start.kind),
                                P_INT(now), P_INT(namespace_id)),
                         &f.id, NULL, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_FUNCTION_BUILD_NEXT, PARAMS(P_INT(f.id), P_INT(now)), ret_number,
                         NULL, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_BUILD_ADD, PARAMS(P_INT(f.id), P_INT(*ret_number), P_INT(now)),
                      ret_error);
    return code;
}

/* The function of an unfinished build. */
static enum err apply_build_find(struct writer *w, struct slice function, int64_t build,
                                 struct apply_function *ret_function, struct error *ret_error)
{
    enum err code = apply_function_find(w, function, ret_function, ret_error);
    if (code != OK)
        return code;
    int64_t status = 0;
    bool has_build = false;
    code = apply_one(w, WRITER_BUILD_FIND, PARAMS(P_INT(ret_function->id), P_INT(build)), &status,
                     &has_build, ret_error);
    if (code != OK)
        return code;
    if (!has_build)
        return error_set(ret_error, ERR_NOT_FOUND, "function '%.*s' has no build %lld",
                         SLICE_ARG(function), (long long)build);
    if (status >= BUILD_READY)
        return error_set(ret_error, ERR_CONFLICT, "build %lld of '%.*s' is %s already",
                         (long long)build, SLICE_ARG(function),
                         build_status_text((enum build_status)status));
    return OK;
}

enum err apply_build_status(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    struct apply_function f;
    enum err code =
        apply_build_find(w, m->build_status.function, m->build_status.build, &f, ret_error);
    if (code != OK)
        return code;
    *ret_number = m->build_status.build;
    return db_run(&w->db, WRITER_BUILD_SET,
                  PARAMS(P_INT(f.id), P_INT(m->build_status.build), P_INT(m->build_status.status),
                         P_INT(clock_wall_us())),
                  ret_error);
}

enum err apply_build_fail(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    const struct build_row *b = &m->build_fail.row;
    struct apply_function f;
    enum err code = apply_build_find(w, b->function, b->number, &f, ret_error);
    if (code != OK)
        return code;
    *ret_number = b->number;
    return db_run(&w->db, WRITER_BUILD_FAIL,
                  PARAMS(P_INT(f.id), P_INT(b->number),
                         P_INT(b->finished_us ? b->finished_us : clock_wall_us()),
                         P_TEXT(b->error_message), P_TEXT(b->error_file), P_TEXT(b->error_frame),
                         P_INT(b->error_line), P_INT(b->error_column)),
                  ret_error);
}

/* Is what the build made the same as what serves? Then only the source map may have changed (a
 * comment was edited), and stack traces must name the new lines. */
static enum err apply_publish_same(struct writer *w, const struct apply_function *f,
                                   const struct version_row *v, struct slice options,
                                   const char *assets_hash, bool *ret_is_same,
                                   struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_VERSION_FIND, PARAMS(P_INT(f->id), P_INT(f->version)),
                             &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK)
        return code;
    *ret_is_same = has_row && slice_eq(db_text(st, 0), v->hash) && db_int(st, 2) == v->exports &&
                   slice_eq(db_text(st, 3), options) && slice_eq_cstr(db_text(st, 4), assets_hash);
    if (!*ret_is_same || slice_eq(db_text(st, 1), v->detail_hash))
        return OK;
    if (sqlite3_column_bytes(st, 1) > 0)
        code =
            db_run(&w->db, WRITER_ARTIFACT_UNUSED_ADD, PARAMS(P_TEXT(db_text(st, 1))), ret_error);
    db_release(&st);
    w->needs_tidy = true;
    if (code == OK)
        code = db_run(&w->db, WRITER_VERSION_DETAIL_SET,
                      PARAMS(P_INT(f->id), P_INT(f->version), P_TEXT(v->detail_hash)), ret_error);
    return code;
}

enum err apply_publish(struct writer *w, const struct mutation *m, int64_t *ret_number,
                       struct error *ret_error)
{
    const struct version_row *v = &m->publish.row;
    struct apply_function f;
    enum err code = apply_build_find(w, v->function, m->publish.build, &f, ret_error);
    if (code != OK)
        return code;
    if (!artifact_exists(w->store, v->hash) ||
        (v->detail_hash.len && !artifact_exists(w->store, v->detail_hash)))
        return error_set(ret_error, ERR_INTERNAL,
                         "build %lld of '%.*s' names an artifact that is not stored",
                         (long long)m->publish.build, SLICE_ARG(v->function));
    CLEANUP(bytes_done) struct bytes options = BYTES_INIT;
    version_options_write(&v->options, &options);
    int64_t now = clock_wall_us();
    bool is_same = false;
    char assets_hash[65] = "";
    if (v->assets.len)
        code = apply_assets(w, module_name_split(v->function).space, v->assets, assets_hash,
                            ret_error);
    if (code == OK && f.version)
        code =
            apply_publish_same(w, &f, v, bytes_slice(&options), assets_hash, &is_same, ret_error);
    if (code == OK && is_same) {
        *ret_number = f.version;
        code = db_run(&w->db, WRITER_FUNCTION_TOUCH, PARAMS(P_INT(f.id), P_INT(now)), ret_error);
    } else if (code == OK) {
        code = stored_version(w, f.id, v, slice_cstr(assets_hash), ret_error);
        if (code != OK)
            return code;
        code = apply_one(w,
                         v->is_kept_back && f.version ? WRITER_FUNCTION_VERSION_NEXT
                                                      : WRITER_FUNCTION_VERSION_SET,
                         PARAMS(P_INT(f.id), P_INT(now)), ret_number, NULL, ret_error);
        if (code == OK)
            code = db_run(&w->db, WRITER_VERSION_ADD,
                          PARAMS(P_INT(f.id), P_INT(*ret_number), P_TEXT(v->hash),
                                 P_TEXT(v->detail_hash), P_INT(v->exports), P_INT(v->is_setup_done),
                                 P_TEXT(bytes_slice(&options)), P_INT(now),
                                 P_TEXT(slice_cstr(assets_hash))),
                          ret_error);
    }
    if (code == OK)
        code = resource_bind(w, module_name_split(v->function).space, f.id, *ret_number,
                             v->resources, ret_error);
    if (code == OK && (!v->is_kept_back || !f.version))
        code = schedules_declare(w, module_name_split(v->function).space, v->function,
                                 v->options.schedules, ret_error);
    if (code == OK && (!v->is_kept_back || !f.version))
        code = consumers_declare(w, module_name_split(v->function).space, v->function,
                                 v->options.consumers, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_BUILD_READY,
                      PARAMS(P_INT(f.id), P_INT(m->publish.build), P_INT(now), P_INT(*ret_number)),
                      ret_error);
    return code;
}

enum err apply_version_serve(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    const int64_t number = *ret_number = m->version_serve.version;
    const uint32_t permyriad = m->version_serve.permyriad;
    const int64_t now = clock_wall_us();
    struct apply_function f;
    bool has_row = false;
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code = apply_function_find(w, m->version_serve.function, &f, ret_error);
    if (code == OK)
        code = db_query(&w->db, WRITER_VERSION_FIND, PARAMS(P_INT(f.id), P_INT(number)), &st,
                        ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK)
        return code;
    db_release(&st);
    if (!has_row)
        return error_set(ret_error, ERR_NOT_FOUND, "'%.*s' has no version %lld",
                         SLICE_ARG(m->version_serve.function), (long long)number);
    if (permyriad >= STORE_SPLIT_ALL)
        return db_run(&w->db, WRITER_FUNCTION_SERVE, PARAMS(P_INT(f.id), P_INT(number), P_INT(now)),
                      ret_error);
    if (permyriad == 0)
        return db_run(&w->db, WRITER_FUNCTION_SPLIT_END,
                      PARAMS(P_INT(f.id), P_INT(number), P_INT(now)), ret_error);
    if (number == f.version) {
        code = error_set(ret_error, ERR_CONFLICT, "version %lld is the one that serves",
                         (long long)number);
        error_hint(ret_error, "name the version that is to have a part of the requests");
        return code;
    }
    return db_run(&w->db, WRITER_FUNCTION_SPLIT,
                  PARAMS(P_INT(f.id), P_INT(number), P_INT(permyriad), P_INT(now)), ret_error);
}

enum err apply_setup_done(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    struct apply_function f;
    enum err code = apply_function_find(w, m->setup_done.function, &f, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_VERSION_SETUP_DONE,
                      PARAMS(P_INT(f.id), P_INT(m->setup_done.version)), ret_error);
    if (code == OK && !db_changes(&w->db))
        return error_set(ret_error, ERR_NOT_FOUND, "function '%.*s' has no version %lld",
                         SLICE_ARG(m->setup_done.function), (long long)m->setup_done.version);
    if (code == OK)
        *ret_number = m->setup_done.version;
    return code;
}

/* Executions, log lines and artifacts, which may be many, go later in small steps (tidy.c). */
enum err apply_function_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    static const enum writer_stmt steps[] = {
        WRITER_ARTIFACTS_UNUSED_ADD, WRITER_VERSIONS_DELETE,      WRITER_BUILDS_DELETE,
        WRITER_ENVS_DELETE,          WRITER_ENV_FORMERS_DELETE,   WRITER_QUOTAS_DELETE,
        WRITER_FUNCTION_DELETED_ADD, WRITER_DURABLE_COUNT_DELETE, WRITER_FUNCTION_DELETE,
    };
    struct apply_function f;
    const struct slice name = m->function_delete.function;
    enum err code = apply_function_find(w, name, &f, ret_error);
    if (code == OK)
        code = schedules_declare(w, module_name_split(name).space, name, SLICE_EMPTY, ret_error);
    if (code == OK)
        code = consumers_declare(w, module_name_split(name).space, name, SLICE_EMPTY, ret_error);
    for (size_t i = 0; i < ARRAY_LEN(steps) && code == OK; i++)
        code = db_run(&w->db, steps[i], PARAMS(P_INT(f.id)), ret_error);
    if (code == OK)
        code = resource_unbind(w, f.id, ret_error);
    durable_forget(w);
    if (code == OK) {
        writer_add_count(w, f.id, WRITER_COUNTED_GONE, 1);
        w->needs_tidy = true;
    }
    return code;
}

/* ---- executions and logs ---- */

enum err apply_execution_start(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    const struct execution_row *e = &m->execution_start.row;
    if (!e->id.len)
        return error_set(ret_error, ERR_INVALID, "an execution's id is empty");
    struct apply_function f;
    enum err code = apply_function_find(w, e->function, &f, ret_error);
    if (code != OK)
        return code;
    bool is_finished = e->status != EXECUTION_RUNNING;
    int64_t now = clock_wall_us(), created = e->created_us ? e->created_us : now;
    code = db_run(&w->db, WRITER_EXECUTION_ADD,
                  PARAMS(P_TEXT(e->id), P_INT(f.id), P_INT(e->version), P_INT(e->status),
                         P_TEXT(e->input), P_TEXT(e->output), P_TEXT(e->metadata), P_TEXT(e->error),
                         P_INT(created),
                         P_INT(!is_finished     ? 0
                               : e->finished_us ? e->finished_us
                                                : now)),
                  ret_error);
    if (code == OK && !db_changes(&w->db))
        return error_set(ret_error, ERR_CONFLICT, "there is an execution '%.*s' already",
                         SLICE_ARG(e->id));
    if (code == OK && is_finished)
        writer_add_count(w, f.id, WRITER_COUNTED_EXECUTIONS, 1);
    if (code ==
        OK) /* who asks for a run has looked whether there is room: it is not refused half done */
        writer_count_rows(w, f.id,
                          (int64_t)(e->input.len + e->output.len + e->metadata.len + e->error.len) +
                              ROW_EXECUTION_BYTES);
    return code;
}

enum err apply_execution_finish(struct writer *w, const struct mutation *m, int64_t *ret_number,
                                struct error *ret_error)
{
    const struct execution_row *e = &m->execution_finish.row;
    if (e->status == EXECUTION_RUNNING)
        return error_set(ret_error, ERR_INVALID, "an execution cannot finish as 'running'");
    int64_t function_id = 0, status = 0;
    bool has_row = false;
    enum err code =
        apply_one(w, WRITER_EXECUTION_FINISH,
                  PARAMS(P_TEXT(e->id), P_INT(e->status), P_TEXT(e->output), P_TEXT(e->error),
                         P_INT(e->finished_us ? e->finished_us : clock_wall_us())),
                  &function_id, &has_row, ret_error);
    if (code != OK)
        return code;
    if (has_row) {
        writer_add_count(w, function_id, WRITER_COUNTED_EXECUTIONS, 1);
        writer_count_rows(w, function_id, (int64_t)(e->output.len + e->error.len));
        return OK;
    }
    code = apply_one(w, WRITER_EXECUTION_FIND, PARAMS(P_TEXT(e->id)), &status, &has_row, ret_error);
    if (code != OK)
        return code;
    if (!has_row)
        return error_set(ret_error, ERR_NOT_FOUND, "there is no execution '%.*s'",
                         SLICE_ARG(e->id));
    return error_set(ret_error, ERR_CONFLICT, "execution '%.*s' has finished already",
                     SLICE_ARG(e->id));
}

enum err apply_log_line(struct writer *w, int64_t function_id, struct slice execution,
                        const struct log_row *line, struct error *ret_error)
{
    enum err code =
        db_run(&w->db, WRITER_LOG_ADD,
               PARAMS(P_INT(function_id), P_TEXT(execution), P_INT(line->level),
                      P_INT(line->at_us ? line->at_us : clock_wall_us()), P_TEXT(line->text)),
               ret_error);
    if (code == OK) {
        writer_add_count(w, function_id, WRITER_COUNTED_LOGS, 1);
        writer_count_rows(w, function_id, (int64_t)line->text.len + ROW_LOG_BYTES);
    }
    return code;
}

enum err apply_log(struct writer *w, const struct mutation *m, int64_t *ret_number,
                   struct error *ret_error)
{
    struct apply_function f;
    enum err code = apply_function_find(w, m->log.row.function, &f, ret_error);
    return code == OK ? apply_log_line(w, f.id, m->log.row.execution, &m->log.row, ret_error)
                      : code;
}

/* Can it be refused after it has begun to write? */
static bool apply_needs_savepoint(const struct mutation *m)
{
    enum { PLAIN = false, SAVEPOINT = true };
    static const bool table[] = {
#define MUTATION(KIND, name, guard, fields) [MUTATION_##KIND] = (guard),
#include "store/mutations.def"
    };
    static const bool steps[] = {
#define STEP(KIND, name, guard, fields) [STORE_STEP_##KIND] = (guard),
#include "store/mutations.def"
    };
    /* Nearly all commits only append; what else they do cannot be refused. */
    bool needs = table[m->kind];
    for (size_t i = 0; i < m->steps_len && !needs; i++)
        needs = steps[m->steps[i].kind];
    return needs;
}

enum err writer_apply(struct writer *w, const struct mutation *m, int64_t *ret_number,
                      struct error *ret_error)
{
    static const apply_fn table[] = {
#define MUTATION(KIND, name, guard, fields) [MUTATION_##KIND] = apply_##name,
#include "store/mutations.def"
    };
    CHECK(m->kind < MUTATION_KINDS);
    enum err code = apply_needs_savepoint(m)
                        ? apply_in_savepoint(w, table[m->kind], m, ret_number, ret_error)
                        : table[m->kind](w, m, ret_number, ret_error);
    writer_counted(w, code != OK);
    if (code == ERR_IO || code == ERR_UNAVAILABLE || code == ERR_CORRUPT ||
        sqlite3_get_autocommit(w->db.handle))
        w->is_lost = true;
    if (!m->log_audit || w->is_lost)
        return code;
    struct error error;
    enum err logged = audit_write(w, m->log_audit, code, &error);
    if (logged == OK)
        return code;
    w->is_lost = true; /* nothing is done that the log does not tell of */
    *ret_error = error;
    return logged;
}
