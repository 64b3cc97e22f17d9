/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables and secrets of modules, and secrets that all modules of a namespace read: their mutations
 * and reads. A row's owner is a module, by its id, or a namespace, by its number negated; readers have
 * versions of the latter from STORE_SHARED_VERSION on, so that journals can tell them apart. */
#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"

/* What a row is sealed for. */
struct env_owner {
    struct slice text; /* the module with its namespace, or the namespace */
    int64_t id;
};

/* ---- writer ---- */

static enum err env_owner_find(struct writer *w, struct slice owner, bool is_shared,
                               struct env_owner *ret_owner, struct error *ret_error)
{
    struct apply_function f = {0};
    int64_t namespace_id = 0;
    enum err code = is_shared ? apply_namespace_find(w, owner, &namespace_id, ret_error)
                              : apply_function_find(w, owner, &f, ret_error);
    *ret_owner = (struct env_owner){owner, is_shared ? -namespace_id : f.id};
    return code;
}

static enum err env_room(struct writer *w, int64_t owner_id, struct slice name, bool is_secret,
                         struct error *ret_error)
{
    int64_t value = 0;
    bool has_row = false;
    enum err code = apply_one(w, WRITER_ENV_HAS, PARAMS(P_INT(owner_id), P_TEXT(name)), &value,
                              &has_row, ret_error);
    if (code == OK && has_row && (value != 0) != is_secret) {
        code = error_set(ret_error, ERR_CONFLICT, "there is a %s '%.*s' already",
                         value ? "secret" : "variable", SLICE_ARG(name));
        error_hint(ret_error, "delete it first, or choose another name");
    }
    if (code != OK || has_row)
        return code;
    code = apply_one(w, WRITER_ENV_COUNT, PARAMS(P_INT(owner_id)), &value, NULL, ret_error);
    if (code == OK && value >= LIMIT_ENV_VARS)
        return error_set(ret_error, ERR_CONFLICT, "a %s has at most %d %s",
                         owner_id < 0 ? "namespace" : "function", LIMIT_ENV_VARS,
                         owner_id < 0 ? "shared secrets" : "variables");
    return code;
}

/* Executions that begin while a change is on its way to the threads have the value of before. */
#define ENV_SLACK_US (INT64_C(60) * 1000000)

/* What journals may name, and those that none can name any more. */
static enum err env_keep(struct writer *w, int64_t owner_id, struct slice name,
                         struct error *ret_error)
{
    enum err code = db_run(&w->db, WRITER_ENV_FORMERS_TIDY, PARAMS(), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_ENV_FORMERS_TIDY_SHARED, PARAMS(), ret_error);
    if (code != OK)
        return code;
    return db_run(&w->db, owner_id < 0 ? WRITER_ENV_KEEP_SHARED : WRITER_ENV_KEEP,
                  PARAMS(P_INT(owner_id), P_TEXT(name), P_INT(clock_wall_us() + ENV_SLACK_US)),
                  ret_error);
}

/* A value for a name. */
struct env_change {
    struct slice owner; /* a module; with is_shared, a namespace */
    bool is_shared, is_secret;
    struct slice name, value, hosts;
    bool keeps_hosts;
};

/* Those that it is to have, and whether its value may stand in a header then. */
static enum err env_hosts(struct writer *w, const struct env_change *c, int64_t owner_id,
                          struct bytes *ret_hosts, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct slice value = c->value;
    bool has_row = false, is_good = true;
    if (!c->keeps_hosts) {
        bytes_append_slice(ret_hosts, c->hosts);
    } else {
        enum err code = db_query(&w->db, WRITER_ENV_HOSTS, PARAMS(P_INT(owner_id), P_TEXT(c->name)),
                                 &st, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
        if (code != OK)
            return code;
        if (has_row)
            bytes_append_slice(ret_hosts, db_text(st, 0));
    }
    for (size_t i = 0; i < value.len && ret_hosts->len > 0; i++)
        is_good &= (unsigned char)value.ptr[i] >= ' ' && value.ptr[i] != 0x7f;
    if (is_good && (value.len > 0 || ret_hosts->len == 0))
        return OK;
    error_set(
        ret_error, ERR_INVALID,
        "a secret that is bound to hosts stands in headers, and this value cannot: it is empty "
        "or has line ends or other control characters");
    error_hint(ret_error, "give it without them, or do not bind it");
    return ERR_INVALID;
}

static enum err env_set(struct writer *w, const struct env_change *c, struct error *ret_error)
{
    if (!c->name.len)
        return error_set(ret_error, ERR_INVALID, "a variable's name is empty");
    if (c->name.len > LIMIT_ENV_VALUE_BYTES || c->value.len > LIMIT_ENV_VALUE_BYTES)
        return error_set(ret_error, ERR_TOO_LARGE,
                         "a variable's name and value have at most %d bytes each",
                         LIMIT_ENV_VALUE_BYTES);
    CLEANUP(bytes_done) struct bytes what = BYTES_INIT, sealed = BYTES_INIT, hosts = BYTES_INIT;
    struct env_owner o;
    int64_t version = 0;
    enum err code = env_owner_find(w, c->owner, c->is_shared, &o, ret_error);
    if (code == OK)
        code = env_room(w, o.id, c->name, c->is_secret, ret_error);
    if (code == OK)
        code = env_hosts(w, c, o.id, &hosts, ret_error);
    if (code == OK)
        code = env_keep(w, o.id, c->name, ret_error);
    if (code == OK)
        code = apply_one(w, o.id < 0 ? WRITER_ENV_NEXT_SHARED : WRITER_ENV_NEXT,
                         PARAMS(P_INT(o.id)), &version, NULL, ret_error);
    if (code != OK)
        return code;
    if (c->is_secret) {
        secret_what(o.text, o.id, c->name, version, &what);
        secret_seal(&w->store->secret_key, bytes_slice(&what), c->value, &sealed);
    }
    return db_run(&w->db, WRITER_ENV_SET,
                  PARAMS(P_INT(o.id), P_TEXT(c->name),
                         P_TEXT(c->is_secret ? bytes_slice(&sealed) : c->value),
                         P_INT(clock_wall_us()), P_INT(version), P_INT(c->is_secret),
                         P_TEXT(bytes_slice(&hosts))),
                  ret_error);
}

enum err apply_env_set(struct writer *w, const struct mutation *m, int64_t *ret_number,
                       struct error *ret_error)
{
    return env_set(w,
                   &(struct env_change){.owner = m->env_set.function,
                                        .name = m->env_set.name,
                                        .value = m->env_set.value},
                   ret_error);
}

enum err apply_secret_set(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    const struct mutation_secret_set *a = &m->secret_set;
    return env_set(w,
                   &(struct env_change){.owner = a->of.owner,
                                        .is_shared = a->of.is_shared,
                                        .is_secret = true,
                                        .name = a->of.name,
                                        .value = a->value,
                                        .hosts = a->hosts,
                                        .keeps_hosts = a->keeps_hosts},
                   ret_error);
}

static enum err env_delete(struct writer *w, const struct secret_of *of, bool is_secret,
                           struct error *ret_error)
{
    struct env_owner o;
    enum err code = env_owner_find(w, of->owner, of->is_shared, &o, ret_error);
    if (code == OK)
        code = env_keep(w, o.id, of->name, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_ENV_DELETE,
                      PARAMS(P_INT(o.id), P_TEXT(of->name), P_INT(is_secret)), ret_error);
    if (code == OK && !db_changes(&w->db))
        return error_set(ret_error, ERR_NOT_FOUND, "'%.*s' has no %s '%.*s'", SLICE_ARG(of->owner),
                         of->is_shared ? "shared secret"
                         : is_secret   ? "secret"
                                       : "variable",
                         SLICE_ARG(of->name));
    return code;
}

enum err apply_env_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    const struct secret_of of = {.owner = m->env_delete.function, .name = m->env_delete.name};
    return env_delete(w, &of, false, ret_error);
}

enum err apply_secret_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    return env_delete(w, &m->secret_delete.of, true, ret_error);
}

/* ---- reader ---- */

/* Of the module, or of its namespace. */
static enum err env_owners(struct store_reader *r, struct slice function,
                           struct env_owner *ret_module, struct env_owner *ret_space,
                           struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    enum err code = reader_function(r, function, &st, ret_error);
    if (code == OK) {
        *ret_module = (struct env_owner){function, db_int(st, 0)};
        *ret_space = (struct env_owner){module_name_split(function).space, -db_int(st, 1)};
    }
    return code;
}

/* A sealed value. */
static enum err env_open(struct store_reader *r, struct slice sealed, const struct env_owner *o,
                         struct slice name, int64_t version, struct bytes *out,
                         struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes what = BYTES_INIT;
    secret_what(o->text, o->id, name, version, &what);
    enum err code = secret_open(r->key, bytes_slice(&what), sealed, out, ret_error);
    return code == OK ? OK
                      : error_context(ret_error, code, "secret '%.*s' of '%.*s'", SLICE_ARG(name),
                                      SLICE_ARG(o->text));
}

static enum err env_row_open(struct store_reader *r, struct slice sealed, struct arena *a,
                             const struct env_owner *o, struct env_row *row,
                             struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes value = BYTES_INIT, placeholder = BYTES_INIT;
    enum err code = env_open(r, sealed, o, row->name, row->version, &value, ret_error);
    row->secret = arena_copy(a, bytes_slice(&value));
    if (value.len > 0)
        OPENSSL_cleanse(value.ptr, value.len);
    if (row->hosts.len > 0)
        secret_placeholder(r->key, o->text, o->id, row->name, &placeholder);
    row->value = row->hosts.len > 0 ? arena_copy(a, bytes_slice(&placeholder)) : row->secret;
    return code;
}

static enum err env_row_read(struct store_reader *r, sqlite3_stmt *st, struct arena *a,
                             const struct env_owner *o, bool opens, struct env_row *ret_row,
                             struct error *ret_error)
{
    struct env_row row = {.name = db_text_copy(st, 0, a),
                          .version = db_int(st, 2),
                          .is_secret = db_int(st, 3) != 0,
                          .created_us = db_int(st, 4),
                          .updated_us = db_int(st, 5),
                          .hosts = db_text_copy(st, 6, a)};
    enum err code = OK;
    if (!row.is_secret)
        row.value = db_text_copy(st, 1, a);
    else if (opens)
        code = env_row_open(r, db_text(st, 1), a, o, &row, ret_error);
    if (o->id < 0)
        row.version += STORE_SHARED_VERSION;
    if (code == OK)
        *ret_row = row;
    return code;
}

static enum err env_rows(struct store_reader *r, struct arena *a, const struct env_owner *first,
                         const struct env_owner *second, bool opens, struct env_row **ret_rows,
                         size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct env_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code = reader_first(r, READER_ENV, PARAMS(P_INT(first->id), P_INT(second->id)), &st,
                                 &has_row, ret_error);
    while (code == OK && has_row) {
        const struct env_owner *o = db_int(st, 7) == first->id ? first : second;
        bool is_hidden = len > 0 && slice_eq(rows[len - 1].name, db_text(st, 0));
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        if (!is_hidden)
            code = env_row_read(r, st, a, o, opens, &rows[len], ret_error);
        len += code == OK && !is_hidden;
        if (code == OK)
            code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_env(struct store_reader *r, struct arena *a, struct slice function, bool opens,
                   struct env_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    struct env_owner module, space;
    enum err code = env_owners(r, function, &module, &space, ret_error);
    if (code != OK)
        return code;
    return env_rows(r, a, &module, opens ? &space : &module, opens, ret_rows, ret_len, ret_error);
}

enum err store_shared_env(struct store_reader *r, struct arena *a, struct slice space,
                          struct env_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    struct env_owner o = {.text = space};
    enum err code = reader_namespace_id(r, space, &o.id, ret_error);
    o.id = -o.id;
    return code != OK ? code : env_rows(r, a, &o, &o, false, ret_rows, ret_len, ret_error);
}

enum err store_env_value(struct store_reader *r, struct slice function, struct slice name,
                         int64_t version, struct bytes *out, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct env_owner module, space;
    bool has_row = false;
    enum err code = env_owners(r, function, &module, &space, ret_error);
    bool is_shared = version > STORE_SHARED_VERSION;
    const struct env_owner *o = is_shared ? &space : &module;
    int64_t stored = is_shared ? version - STORE_SHARED_VERSION : version;
    if (code == OK)
        code = reader_first(r, READER_ENV_VALUE, PARAMS(P_INT(o->id), P_TEXT(name), P_INT(stored)),
                            &st, &has_row, ret_error);
    if (code == OK && !has_row)
        return error_set(ret_error, ERR_NOT_FOUND, "variable '%.*s' has no version %lld",
                         SLICE_ARG(name), (long long)version);
    if (code != OK)
        return code;
    if (db_text(st, 2).len > 0)
        secret_placeholder(r->key, o->text, o->id, name, out);
    else if (db_int(st, 1))
        return env_open(r, db_text(st, 0), o, name, stored, out, ret_error);
    else
        bytes_append_slice(out, db_text(st, 0));
    return OK;
}
