/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of KV namespaces: their mutations, steps of executions, reads, and what removes those that have
 * expired and those of deleted namespaces. What a key takes counts to the namespace's resource. */
#include "store/kv.h"

#include <inttypes.h>

#include "base/clock.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/resource.h"
#include "store/sqlite/stored.h"

enum { KV_ROW_BYTES = 64 /* counted beside key, metadata and value */ };
#define KV_NUMBER_MAX (INT64_C(1) << 53)

static int64_t kv_now_s(void)
{
    return clock_wall_us() / 1000000;
}

/* ---- writer ---- */

/* What there is under a key. */
struct kv_there {
    int64_t id, version, expires_s, bytes, metadata_bytes; /* id 0: nothing, as far as rows go */
    bool is_seen;                                          /* it has not expired */
    bool is_same;                                          /* it was written by this token */
    char file[65];
};

static enum err kv_gone(struct error *ret_error)
{
    error_set(ret_error, ERR_NOT_FOUND, "the KV namespace has been deleted");
    error_hint(ret_error, "deploy again what is bound to it: that makes a new one");
    return ERR_NOT_FOUND;
}

static enum err kv_check_there(struct writer *w, int64_t resource, struct error *ret_error)
{
    int64_t ignored = 0;
    bool has_row = false;
    enum err code =
        apply_one(w, WRITER_RESOURCE_THERE, PARAMS(P_INT(resource)), &ignored, &has_row, ret_error);
    return code == OK && !has_row ? kv_gone(ret_error) : code;
}

static enum err kv_find(struct writer *w, int64_t resource, struct slice key, struct slice token,
                        struct kv_there *ret, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    *ret = (struct kv_there){0};
    enum err code = kv_check_there(w, resource, ret_error);
    if (code == OK)
        code =
            db_query(&w->db, WRITER_KV_FIND, PARAMS(P_INT(resource), P_TEXT(key)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK || !has_row)
        return code;
    ret->id = db_int(st, 0);
    ret->version = db_int(st, 1);
    ret->expires_s = db_int(st, 2);
    ret->bytes = db_int(st, 3);
    ret->metadata_bytes = db_int(st, 4);
    ret->is_seen = !ret->expires_s || ret->expires_s > kv_now_s();
    ret->is_same = ret->is_seen && token.len > 0 && slice_eq(db_text(st, 5), token);
    snprintf(ret->file, sizeof(ret->file), "%.*s", SLICE_ARG(db_text(st, 6)));
    return OK;
}

static enum err kv_check_version(const struct kv_there *there, int64_t if_version,
                                 struct error *ret_error)
{
    const int64_t version = there->is_seen ? there->version : 0;
    if (if_version == STORE_KV_ANY || if_version == version)
        return OK;
    return error_set(ret_error, ERR_CONFLICT, "the key has version %lld, not %lld",
                     (long long)version, (long long)if_version);
}

/* Later than all that the key has had, also before it was deleted, unless the clock is set back. */
static int64_t kv_next_version(const struct kv_there *there)
{
    int64_t now = clock_wall_us();
    return now > there->version ? now : there->version + 1;
}

static int64_t kv_size(int64_t key_bytes, int64_t metadata_bytes, int64_t value_bytes)
{
    return KV_ROW_BYTES + key_bytes + metadata_bytes + value_bytes;
}

/* Room for `bytes` in place of what is there. */
static enum err kv_room(struct writer *w, int64_t resource, const struct kv_there *there,
                        int64_t key_bytes, int64_t bytes, int64_t *ret_more,
                        struct error *ret_error)
{
    const int64_t before = there->id ? kv_size(key_bytes, there->metadata_bytes, there->bytes) : 0;
    *ret_more = bytes - before;
    return *ret_more > 0 ? stored_check(w, writer_resource(resource), *ret_more, ret_error) : OK;
}

static void kv_count(struct writer *w, int64_t resource, int64_t items, int64_t bytes)
{
    if (items)
        writer_add_count(w, writer_resource(resource), WRITER_COUNTED_ITEMS, items);
    writer_add_count(w, writer_resource(resource), WRITER_COUNTED_STORED, bytes);
}

/* The file may be that of others, too: the tidying looks. */
static enum err kv_unuse_file(struct writer *w, struct slice file, struct error *ret_error)
{
    if (file.len == 0)
        return OK;
    w->needs_tidy = true;
    return db_run(&w->db, WRITER_FILE_EXPECTED, PARAMS(P_TEXT(file)), ret_error);
}

static void kv_expect(struct writer *w, int64_t expires_s)
{
    if (expires_s && expires_s < INT64_MAX / 1000000 && expires_s * 1000000 < w->expires_us)
        w->expires_us = expires_s * 1000000;
}

static enum err kv_write(struct writer *w, const struct kv_row *row, const struct kv_there *there,
                         int64_t *ret_version, struct error *ret_error)
{
    int64_t more = 0;
    const int64_t version = kv_next_version(there);
    const int64_t bytes = kv_size((int64_t)row->key.len, (int64_t)row->metadata.len, row->bytes);
    enum err code =
        kv_room(w, row->resource, there, (int64_t)row->key.len, bytes, &more, ret_error);
    if (code != OK)
        return code;
    const struct db_param expires = row->expires_s ? P_INT(row->expires_s) : P_NULL;
    code = there->id ? db_run(&w->db, WRITER_KV_UPDATE,
                              PARAMS(P_INT(there->id), P_INT(version), expires, P_INT(row->bytes),
                                     P_TEXT(row->metadata), P_TEXT(row->token), P_TEXT(row->file),
                                     P_BLOB(row->value)),
                              ret_error)
                     : db_run(&w->db, WRITER_KV_INSERT,
                              PARAMS(P_INT(row->resource), P_TEXT(row->key), P_INT(version),
                                     expires, P_INT(row->bytes), P_TEXT(row->metadata),
                                     P_TEXT(row->token), P_TEXT(row->file), P_BLOB(row->value)),
                              ret_error);
    if (code == OK && !slice_eq_cstr(row->file, there->file))
        code = kv_unuse_file(w, slice_cstr(there->file), ret_error);
    kv_expect(w, row->expires_s);
    kv_count(w, row->resource, there->id ? 0 : 1, more);
    if (code == OK)
        *ret_version = version;
    return code;
}

static enum err kv_remove(struct writer *w, int64_t resource, int64_t id, int64_t bytes,
                          struct slice file, struct error *ret_error)
{
    enum err code = kv_unuse_file(w, file, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_KV_DELETE, PARAMS(P_INT(id)), ret_error);
    if (code == OK)
        kv_count(w, resource, -1, -bytes);
    return code;
}

enum err apply_file_expected(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    w->needs_tidy = true;
    return db_run(&w->db, WRITER_FILE_EXPECTED, PARAMS(P_TEXT(m->file_expected.hash)), ret_error);
}

enum err apply_kv_put(struct writer *w, const struct mutation *m, int64_t *ret_number,
                      struct error *ret_error)
{
    const struct kv_row *row = &m->kv_put.row;
    struct kv_there there;
    if (row->file.len > 0 && !artifact_exists(w->store, row->file))
        return error_set(ret_error, ERR_INTERNAL, "a value is a file that is not stored");
    enum err code = kv_find(w, row->resource, row->key, row->token, &there, ret_error);
    if (code == OK && there.is_same) {
        *ret_number = there.version;
        return OK;
    }
    if (code == OK)
        code = kv_check_version(&there, m->kv_put.if_version, ret_error);
    return code == OK ? kv_write(w, row, &there, ret_number, ret_error) : code;
}

enum err apply_kv_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                         struct error *ret_error)
{
    const struct mutation_kv_delete *a = &m->kv_delete;
    struct kv_there there;
    enum err code = kv_find(w, a->resource, a->key, SLICE_EMPTY, &there, ret_error);
    if (code == OK)
        code = kv_check_version(&there, a->if_version, ret_error);
    if (code != OK || !there.id)
        return code;
    *ret_number = there.is_seen;
    return kv_remove(w, a->resource, there.id,
                     kv_size((int64_t)a->key.len, there.metadata_bytes, there.bytes),
                     slice_cstr(there.file), ret_error);
}

static enum err kv_number_of(struct writer *w, const struct kv_there *there, int64_t *ret_number,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    uint64_t number = 0;
    *ret_number = 0;
    if (!there->is_seen)
        return OK;
    enum err code = db_query(&w->db, WRITER_KV_VALUE, PARAMS(P_INT(there->id)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code != OK)
        return code;
    struct slice text = db_blob(st, 0);
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    if (!has_row || there->file[0] || text.len > 20 ||
        !slice_to_u64(slice_skip(text, is_negative), &number) || number > KV_NUMBER_MAX) {
        error_set(ret_error, ERR_INVALID, "the value of the key is no whole number");
        error_hint(ret_error, "count in keys of their own");
        return ERR_INVALID;
    }
    *ret_number = is_negative ? -(int64_t)number : (int64_t)number;
    return OK;
}

/* The first of two equal adds has been done: its result is what is there. */
enum err apply_kv_add(struct writer *w, const struct mutation *m, int64_t *ret_number,
                      struct error *ret_error)
{
    const struct mutation_kv_add *a = &m->kv_add;
    struct kv_there there;
    int64_t number = 0, more = 0, version = 0;
    char text[24];
    enum err code = kv_find(w, a->resource, a->key, a->token, &there, ret_error);
    if (code == OK)
        code = kv_number_of(w, &there, &number, ret_error);
    if (code == OK && there.is_same) {
        *ret_number = number;
        return OK;
    }
    if (code == OK && (a->by > KV_NUMBER_MAX || a->by < -KV_NUMBER_MAX ||
                       number + a->by > KV_NUMBER_MAX || number + a->by < -KV_NUMBER_MAX))
        code = error_set(ret_error, ERR_INVALID, "the sum would be beyond 2^53");
    if (code != OK)
        return code;
    *ret_number = number + a->by;
    snprintf(text, sizeof(text), "%" PRId64, *ret_number);
    const struct slice value = slice_cstr(text);
    if (!there.is_seen) {
        struct kv_row row = {.resource = a->resource,
                             .key = a->key,
                             .token = a->token,
                             .value = value,
                             .bytes = (int64_t)value.len};
        return kv_write(w, &row, &there, &version, ret_error);
    }
    code = kv_room(w, a->resource, &there, (int64_t)a->key.len,
                   kv_size((int64_t)a->key.len, there.metadata_bytes, (int64_t)value.len), &more,
                   ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_KV_NUMBER,
                      PARAMS(P_INT(there.id), P_INT(kv_next_version(&there)), P_INT(value.len),
                             P_TEXT(a->token), P_BLOB(value)),
                      ret_error);
    if (code == OK)
        kv_count(w, a->resource, 0, more);
    return code;
}

/* ---- steps of executions ---- */

enum err step_kv_put(struct writer *w, struct durable_step *c, const struct store_step *s,
                     struct error *ret_error)
{
    const struct kv_row row = {.resource = s->kv_put.resource,
                               .key = s->kv_put.key,
                               .metadata = s->kv_put.metadata,
                               .value = s->kv_put.value,
                               .expires_s = s->kv_put.expires_s,
                               .bytes = (int64_t)s->kv_put.value.len};
    struct kv_there there;
    int64_t version = 0;
    (void)c;
    enum err code = kv_find(w, row.resource, row.key, SLICE_EMPTY, &there, ret_error);
    if (code == ERR_NOT_FOUND)
        return OK;
    return code == OK ? kv_write(w, &row, &there, &version, ret_error) : code;
}

enum err step_kv_delete(struct writer *w, struct durable_step *c, const struct store_step *s,
                        struct error *ret_error)
{
    struct kv_there there;
    const int64_t resource = s->kv_delete.resource;
    const struct slice key = s->kv_delete.key;
    (void)c;
    enum err code = kv_find(w, resource, key, SLICE_EMPTY, &there, ret_error);
    if (code == ERR_NOT_FOUND)
        return OK;
    if (code != OK || !there.id)
        return code;
    return kv_remove(w, resource, there.id,
                     kv_size((int64_t)key.len, there.metadata_bytes, there.bytes),
                     slice_cstr(there.file), ret_error);
}

/* ---- tidying ---- */

/* Removes what the statement finds, one row after the other. *rows: may still be removed. */
static enum err kv_remove_each(struct writer *w, int stmt, int64_t of, int64_t *rows, bool *ret_did,
                               struct error *ret_error)
{
    bool has_row = true;
    enum err code = OK;
    while (code == OK && has_row && *rows > 0) {
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        code = db_query(&w->db, stmt, PARAMS(P_INT(of)), &st, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
        if (code != OK || !has_row)
            break;
        const int64_t id = db_int(st, 0), resource = db_int(st, 5);
        const int64_t bytes = kv_size(db_int(st, 2), db_int(st, 3), db_int(st, 1));
        char file[65];
        snprintf(file, sizeof(file), "%.*s", SLICE_ARG(db_text(st, 4)));
        db_release(&st);
        code = kv_remove(w, resource, id, bytes, slice_cstr(file), ret_error);
        --*rows;
        *ret_did = true;
    }
    return code;
}

enum err tidy_kv(struct writer *w, int64_t id, int64_t *rows, struct error *ret_error)
{
    bool did = false;
    return kv_remove_each(w, WRITER_TIDY_KV, id, rows, &did, ret_error);
}

enum err tidy_kv_expired(struct writer *w, bool *ret_did, struct error *ret_error)
{
    int64_t rows = STORE_TIDY_ROWS, next_s = 0;
    bool has_row = false;
    if (clock_wall_us() < w->expires_us)
        return OK;
    enum err code =
        kv_remove_each(w, WRITER_TIDY_KV_EXPIRED, kv_now_s(), &rows, ret_did, ret_error);
    if (code == OK)
        code = apply_one(w, WRITER_TIDY_KV_NEXT, PARAMS(), &next_s, &has_row, ret_error);
    w->expires_us = INT64_MAX;
    if (code == OK && has_row)
        kv_expect(w, next_s);
    return code;
}

/* ---- reader ---- */

static enum err kv_read_one(struct store_reader *r, struct arena *a, int64_t resource,
                            struct slice key, int64_t now_s, struct kv_row *ret,
                            struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_KV_GET, PARAMS(P_INT(resource), P_TEXT(key), P_INT(now_s)), &st,
                     &has_row, ret_error);
    if (code == OK && has_row)
        *ret = (struct kv_row){.resource = resource,
                               .version = db_int(st, 0),
                               .expires_s = db_int(st, 1),
                               .bytes = db_int(st, 2),
                               .metadata = db_text_copy(st, 3, a),
                               .file = db_text_copy(st, 4, a),
                               .value = arena_copy(a, db_blob(st, 5))};
    return code;
}

/* Nothing was found: is it because there is nothing any more? */
static enum err kv_check_resource(struct store_reader *r, int64_t resource, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_RESOURCE_THERE, PARAMS(P_INT(resource)), &st, &has_row, ret_error);
    return code == OK && !has_row ? kv_gone(ret_error) : code;
}

enum err store_kv_get(struct store_reader *r, struct arena *a, int64_t resource,
                      const struct slice *keys, size_t len, int64_t bytes_max,
                      struct kv_row **ret_rows, struct error *ret_error)
{
    struct kv_row *rows = arena_zalloc(a, (len + 1) * sizeof(*rows));
    const int64_t now_s = kv_now_s();
    size_t found = 0;
    int64_t bytes = 0;
    enum err code = OK;
    for (size_t i = 0; i < len && code == OK; i++) {
        code = kv_read_one(r, a, resource, keys[i], now_s, &rows[i], ret_error);
        found += rows[i].version > 0;
        bytes += rows[i].bytes;
        if (code == OK && bytes > bytes_max)
            code = error_set(ret_error, ERR_TOO_LARGE, "the values have more than %lld bytes",
                             (long long)bytes_max);
    }
    if (code == OK && found == 0)
        code = kv_check_resource(r, resource, ret_error);
    if (code == OK)
        *ret_rows = rows;
    return code;
}

/* The least text above all that begin with the prefix. No UTF-8 has a byte 0xff. */
static struct slice kv_prefix_end(struct arena *a, struct slice prefix)
{
    char *end = arena_alloc(a, prefix.len + 1);
    if (prefix.len > 0)
        memcpy(end, prefix.ptr, prefix.len);
    end[prefix.len] = (char)0xff;
    return slice_of(end, prefix.len + 1);
}

/* The least text behind it. */
static struct slice kv_successor(struct arena *a, struct slice key)
{
    char *next = arena_alloc(a, key.len + 1);
    memcpy(next, key.ptr, key.len);
    next[key.len] = '\0';
    return slice_of(next, key.len + 1);
}

static int kv_compare(struct slice a, struct slice b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

enum err store_kv_list(struct store_reader *r, struct arena *a, int64_t resource,
                       struct slice prefix, struct slice after, int64_t limit,
                       struct kv_row **ret_rows, size_t *ret_len, bool *ret_is_complete,
                       struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct kv_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    if (limit < 1 || limit > STORE_KV_LIST_MAX)
        limit = STORE_KV_LIST_MAX;
    struct slice from = prefix;
    if (after.len > 0 && kv_compare(after, prefix) >= 0)
        from = kv_successor(a, after);
    /* One more than asked for says whether there are more. */
    enum err code =
        reader_first(r, READER_KV_LIST,
                     PARAMS(P_INT(resource), P_TEXT(from), P_TEXT(kv_prefix_end(a, prefix)),
                            P_INT(kv_now_s()), P_INT(limit + 1)),
                     &st, &has_row, ret_error);
    while (code == OK && has_row && (int64_t)len < limit) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = (struct kv_row){.resource = resource,
                                      .key = db_text_copy(st, 0, a),
                                      .version = db_int(st, 1),
                                      .expires_s = db_int(st, 2),
                                      .bytes = db_int(st, 3),
                                      .metadata = db_text_copy(st, 4, a)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    db_release(&st);
    if (code == OK && len == 0)
        code = kv_check_resource(r, resource, ret_error);
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    *ret_is_complete = !has_row;
    return OK;
}
