/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of buckets and multipart uploads: their mutations, reads, and what removes those of deleted
 * buckets. What an object takes counts to the bucket's resource, a part to it as well, since it was stored. */
#include "store/object.h"

#include "base/clock.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/resource.h"
#include "store/sqlite/stored.h"

enum { OBJECT_ROW_BYTES = 128 /* counted beside key, metadata and content */ };
#define UPLOAD_LOOK_US (INT64_C(3600) * 1000 * 1000)
#define UPLOAD_KEEP_US (7 * 24 * UPLOAD_LOOK_US)

static enum err object_bucket_gone(struct error *ret_error)
{
    error_set(ret_error, ERR_NOT_FOUND, "the bucket has been deleted");
    error_hint(ret_error, "deploy again what is bound to it: that makes a new one");
    return ERR_NOT_FOUND;
}

static enum err object_no_upload(struct slice name, struct error *ret_error)
{
    error_set(ret_error, ERR_NOT_FOUND, "there is no multipart upload '%.*s'",
              SLICE_ARG(slice_utf8_clip(name, 64)));
    error_hint(ret_error, "it has been completed or aborted, or was of another bucket");
    return ERR_NOT_FOUND;
}

/* ---- writer ---- */

static enum err object_check_bucket(struct writer *w, int64_t resource, struct error *ret_error)
{
    int64_t ignored = 0;
    bool has_row = false;
    enum err code =
        apply_one(w, WRITER_RESOURCE_THERE, PARAMS(P_INT(resource)), &ignored, &has_row, ret_error);
    return code == OK && !has_row ? object_bucket_gone(ret_error) : code;
}

struct object_there {
    int64_t id, size, metadata_bytes; /* id 0: there is none */
};

static enum err object_find(struct writer *w, int64_t resource, struct slice key,
                            struct object_there *ret, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    *ret = (struct object_there){0};
    enum err code = object_check_bucket(w, resource, ret_error);
    if (code == OK)
        code = db_query(&w->db, WRITER_OBJECT_FIND, PARAMS(P_INT(resource), P_TEXT(key)), &st,
                        ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK && has_row)
        *ret = (struct object_there){db_int(st, 0), db_int(st, 1), db_int(st, 2)};
    return code;
}

static void object_count(struct writer *w, int64_t resource, int64_t items, int64_t bytes)
{
    if (items)
        writer_add_count(w, writer_resource(resource), WRITER_COUNTED_ITEMS, items);
    writer_add_count(w, writer_resource(resource), WRITER_COUNTED_STORED, bytes);
}

static int64_t object_bytes(int64_t key_bytes, int64_t metadata_bytes, int64_t size)
{
    return OBJECT_ROW_BYTES + key_bytes + metadata_bytes + size;
}

/* Its files may be those of others, too: the tidying looks. */
static enum err object_drop(struct writer *w, int64_t resource, int64_t id, int64_t bytes,
                            struct error *ret_error)
{
    static const enum writer_stmt steps[] = {WRITER_OBJECT_FILES_UNUSED, WRITER_OBJECT_FILES_DELETE,
                                             WRITER_OBJECT_DELETE};
    enum err code = OK;
    for (size_t i = 0; i < ARRAY_LEN(steps) && code == OK; i++)
        code = db_run(&w->db, steps[i], PARAMS(P_INT(id)), ret_error);
    if (code == OK)
        object_count(w, resource, -1, -bytes);
    w->needs_tidy = true;
    return code;
}

static enum err object_replace(struct writer *w, int64_t resource, struct slice key,
                               const struct object_there *there, struct error *ret_error)
{
    return there->id
               ? object_drop(w, resource, there->id,
                             object_bytes((int64_t)key.len, there->metadata_bytes, there->size),
                             ret_error)
               : OK;
}

static enum err object_add(struct writer *w, const struct object_row *row, int64_t *ret_id,
                           struct error *ret_error)
{
    enum err code = apply_one(w, WRITER_OBJECT_ADD,
                              PARAMS(P_INT(row->resource), P_TEXT(row->key), P_INT(row->size),
                                     P_INT(row->uploaded_us), P_TEXT(row->etag),
                                     P_TEXT(row->metadata), P_BLOB(row->value)),
                              ret_id, NULL, ret_error);
    return code;
}

enum err apply_object_put(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    const struct object_row *row = &m->object_put.row;
    const int64_t bytes =
        object_bytes((int64_t)row->key.len, (int64_t)row->metadata.len, row->size);
    struct object_there there;
    if (row->file.len > 0 && !artifact_exists(w->store, row->file))
        return error_set(ret_error, ERR_INTERNAL, "an object is a file that is not stored");
    enum err code = object_find(w, row->resource, row->key, &there, ret_error);
    if (code == OK && m->object_put.if_id != STORE_OBJECT_ANY && m->object_put.if_id != there.id)
        code = error_set(ret_error, ERR_CONFLICT, "the object has changed meanwhile");
    if (code == OK)
        code = stored_check(w, writer_resource(row->resource), bytes, ret_error);
    if (code == OK)
        code = object_replace(w, row->resource, row->key, &there, ret_error);
    if (code == OK)
        code = object_add(w, row, ret_number, ret_error);
    if (code == OK && row->file.len > 0)
        code = db_run(&w->db, WRITER_OBJECT_FILE_ADD,
                      PARAMS(P_INT(*ret_number), P_INT(1), P_INT(row->size), P_TEXT(row->file)),
                      ret_error);
    if (code == OK)
        object_count(w, row->resource, 1, bytes);
    return code;
}

enum err apply_object_delete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                             struct error *ret_error)
{
    struct object_there there;
    enum err code =
        object_find(w, m->object_delete.resource, m->object_delete.key, &there, ret_error);
    if (code == OK)
        code =
            object_replace(w, m->object_delete.resource, m->object_delete.key, &there, ret_error);
    if (code == OK)
        *ret_number = there.id != 0;
    return code;
}

/* ---- multipart uploads ---- */

enum err apply_upload_new(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    const struct upload_row *row = &m->upload_new.row;
    enum err code = object_check_bucket(w, row->resource, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_UPLOAD_ADD,
                      PARAMS(P_INT(row->resource), P_TEXT(row->name), P_TEXT(row->key),
                             P_TEXT(row->metadata), P_INT(clock_wall_us())),
                      ret_error);
    return code;
}

/* arena: for its key and metadata, NULL if nobody wants them. */
static enum err upload_find(struct writer *w, int64_t resource, struct slice name,
                            struct arena *arena, int64_t *ret_id, struct object_row *ret_row,
                            struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        db_query(&w->db, WRITER_UPLOAD_FIND, PARAMS(P_TEXT(name), P_INT(resource)), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    if (code == OK && !has_row)
        return object_no_upload(name, ret_error);
    if (code != OK)
        return code;
    *ret_id = db_int(st, 0);
    if (arena) {
        ret_row->key = db_text_copy(st, 1, arena);
        ret_row->metadata = db_text_copy(st, 2, arena);
    }
    return OK;
}

/* Of a part that is there; *ret_bytes -1: there is none. */
static enum err part_find(struct writer *w, int64_t upload, int64_t number, int64_t *ret_bytes,
                          char ret_hash[65], struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, WRITER_UPLOAD_PART_FIND, PARAMS(P_INT(upload), P_INT(number)),
                             &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    *ret_bytes = code == OK && has_row ? db_int(st, 0) : -1;
    snprintf(ret_hash, 65, "%.*s", SLICE_ARG(has_row ? db_text(st, 1) : SLICE_EMPTY));
    return code;
}

enum err apply_upload_part(struct writer *w, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    const struct mutation_upload_part *a = &m->upload_part;
    int64_t upload = 0, before = 0;
    char hash[65];
    if (!artifact_exists(w->store, a->part.hash))
        return error_set(ret_error, ERR_INTERNAL, "a part is a file that is not stored");
    enum err code = upload_find(w, a->resource, a->name, NULL, &upload, NULL, ret_error);
    if (code == OK)
        code = part_find(w, upload, a->part.number, &before, hash, ret_error);
    if (code == OK)
        code = stored_check(w, writer_resource(a->resource), a->part.bytes, ret_error);
    if (code == OK && before >= 0 && !slice_eq_cstr(a->part.hash, hash)) {
        w->needs_tidy = true;
        code = db_run(&w->db, WRITER_FILE_EXPECTED, PARAMS(P_TEXT(slice_cstr(hash))), ret_error);
    }
    if (code == OK)
        code = db_run(&w->db, WRITER_UPLOAD_PART_SET,
                      PARAMS(P_INT(upload), P_INT(a->part.number), P_INT(a->part.bytes),
                             P_TEXT(a->part.etag), P_TEXT(a->part.hash)),
                      ret_error);
    if (code == OK)
        object_count(w, a->resource, 0, a->part.bytes - (before > 0 ? before : 0));
    return code;
}

static enum err upload_drop(struct writer *w, int64_t resource, int64_t upload,
                            struct error *ret_error)
{
    static const enum writer_stmt steps[] = {WRITER_UPLOAD_PARTS_UNUSED, WRITER_UPLOAD_PARTS_DELETE,
                                             WRITER_UPLOAD_DELETE};
    int64_t bytes = 0;
    enum err code =
        apply_one(w, WRITER_UPLOAD_PARTS_BYTES, PARAMS(P_INT(upload)), &bytes, NULL, ret_error);
    for (size_t i = 0; i < ARRAY_LEN(steps) && code == OK; i++)
        code = db_run(&w->db, steps[i], PARAMS(P_INT(upload)), ret_error);
    if (code == OK)
        object_count(w, resource, 0, -bytes);
    w->needs_tidy = true;
    return code;
}

/* The object's files are the parts that are named, in that order. */
static enum err upload_files(struct writer *w, int64_t upload, int64_t object, struct slice numbers,
                             struct error *ret_error)
{
    enum err code = OK;
    for (int64_t at = 1; code == OK && numbers.len >= 4; at++) {
        uint32_t number;
        int64_t bytes = 0;
        char hash[65];
        memcpy(&number, numbers.ptr, sizeof(number));
        numbers = slice_skip(numbers, sizeof(number));
        code = part_find(w, upload, number, &bytes, hash, ret_error);
        if (code == OK && bytes < 0)
            code = error_set(ret_error, ERR_NOT_FOUND, "the upload has no part %u", number);
        if (code == OK)
            code = db_run(&w->db, WRITER_OBJECT_FILE_ADD,
                          PARAMS(P_INT(object), P_INT(at), P_INT(bytes), P_TEXT(slice_cstr(hash))),
                          ret_error);
    }
    return code;
}

enum err apply_upload_complete(struct writer *w, const struct mutation *m, int64_t *ret_number,
                               struct error *ret_error)
{
    struct object_row row = m->upload_complete.row;
    struct object_there there = {0};
    struct arena *arena = arena_new(NULL);
    int64_t upload = 0;
    enum err code =
        upload_find(w, row.resource, m->upload_complete.name, arena, &upload, &row, ret_error);
    if (code == OK)
        code = object_find(w, row.resource, row.key, &there, ret_error);
    if (code == OK)
        code = object_replace(w, row.resource, row.key, &there, ret_error);
    if (code == OK)
        code = object_add(w, &row, ret_number, ret_error);
    if (code == OK)
        code = upload_files(w, upload, *ret_number, m->upload_complete.numbers, ret_error);
    if (code == OK)
        code = upload_drop(w, row.resource, upload, ret_error);
    if (code == OK)
        object_count(w, row.resource, 1,
                     object_bytes((int64_t)row.key.len, (int64_t)row.metadata.len, row.size));
    arena_free(arena);
    return code;
}

enum err apply_upload_abort(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    int64_t upload = 0;
    enum err code = upload_find(w, m->upload_abort.resource, m->upload_abort.name, NULL, &upload,
                                NULL, ret_error);
    return code == OK ? upload_drop(w, m->upload_abort.resource, upload, ret_error) : code;
}

/* ---- tidying ---- */

enum err tidy_bucket(struct writer *w, int64_t id, int64_t *rows, struct error *ret_error)
{
    bool has_row = true;
    enum err code = OK;
    while (code == OK && has_row && *rows > 0) {
        int64_t upload = 0;
        code = apply_one(w, WRITER_TIDY_UPLOAD, PARAMS(P_INT(id)), &upload, &has_row, ret_error);
        if (code == OK && has_row)
            code = upload_drop(w, id, upload, ret_error);
        *rows -= has_row;
    }
    has_row = true;
    while (code == OK && has_row && *rows > 0) {
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        code = db_query(&w->db, WRITER_TIDY_OBJECT, PARAMS(P_INT(id)), &st, ret_error);
        if (code == OK)
            code = db_step(&w->db, st, &has_row, ret_error);
        if (code != OK || !has_row)
            break;
        const int64_t object = db_int(st, 0),
                      bytes = object_bytes(db_int(st, 2), db_int(st, 3), db_int(st, 1));
        db_release(&st);
        code = object_drop(w, id, object, bytes, ret_error);
        --*rows;
    }
    return code;
}

/* Uploads that nobody has completed or aborted. Looked for once in a while. */
enum err tidy_uploads(struct writer *w, bool *ret_did, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    const int64_t now = clock_wall_us();
    if (now < w->uploads_us)
        return OK;
    enum err code = db_query(&w->db, WRITER_TIDY_UPLOAD_OLD, PARAMS(P_INT(now - UPLOAD_KEEP_US)),
                             &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, ret_did, ret_error);
    if (code != OK)
        return code;
    if (!*ret_did) {
        w->uploads_us = now + UPLOAD_LOOK_US;
        return OK;
    }
    const int64_t upload = db_int(st, 0), resource = db_int(st, 1);
    db_release(&st);
    return upload_drop(w, resource, upload, ret_error);
}

/* ---- reader ---- */

static struct object_row object_read(sqlite3_stmt *st, int64_t resource, struct arena *a)
{
    return (struct object_row){.resource = resource,
                               .id = db_int(st, 0),
                               .key = db_text_copy(st, 1, a),
                               .size = db_int(st, 2),
                               .uploaded_us = db_int(st, 3),
                               .etag = db_text_copy(st, 4, a),
                               .metadata = db_text_copy(st, 5, a)};
}

static enum err object_files(struct store_reader *r, struct arena *a, int stmt, int64_t of,
                             struct object_file **ret_files, size_t *ret_len,
                             struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct object_file *files = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    enum err code = reader_first(r, stmt, PARAMS(P_INT(of)), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        files = reader_grow(a, files, len, &cap, sizeof(*files));
        files[len++] = (struct object_file){.number = db_int(st, 0),
                                            .bytes = db_int(st, 1),
                                            .hash = db_text_copy(st, 2, a),
                                            .etag = db_text_copy(st, 3, a)};
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    *ret_files = files;
    *ret_len = len;
    return code;
}

static enum err object_check_there(struct store_reader *r, int64_t resource,
                                   struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_RESOURCE_THERE, PARAMS(P_INT(resource)), &st, &has_row, ret_error);
    return code == OK && !has_row ? object_bucket_gone(ret_error) : code;
}

static enum err object_content(struct store_reader *r, struct arena *a, struct object_row *row,
                               struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        object_files(r, a, READER_OBJECT_FILES, row->id, &row->files, &row->files_len, ret_error);
    if (code != OK || row->files_len > 0)
        return code;
    code = reader_first(r, READER_OBJECT_VALUE, PARAMS(P_INT(row->id)), &st, &has_row, ret_error);
    if (code == OK && has_row)
        row->value = arena_copy(a, db_blob(st, 0));
    return code;
}

static enum err object_get(struct store_reader *r, struct arena *a, int64_t resource,
                           struct slice key, bool has_content, struct object_row *ret_row,
                           struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    *ret_row = (struct object_row){0};
    enum err code = reader_first(r, READER_OBJECT_GET, PARAMS(P_INT(resource), P_TEXT(key)), &st,
                                 &has_row, ret_error);
    if (code == OK && !has_row)
        return object_check_there(r, resource, ret_error);
    if (code == OK)
        *ret_row = object_read(st, resource, a);
    db_release(&st);
    return code == OK && has_content ? object_content(r, a, ret_row, ret_error) : code;
}

/* Of one moment: another content has another id, and its files. */
enum err store_object_get(struct store_reader *r, struct arena *a, int64_t resource,
                          struct slice key, bool has_content, struct object_row *ret_row,
                          struct error *ret_error)
{
    enum err code = db_run(&r->db, READER_BEGIN, PARAMS(), ret_error);
    if (code != OK)
        return code;
    code = object_get(r, a, resource, key, has_content, ret_row, ret_error);
    if (code == OK)
        code = db_run(&r->db, READER_END, PARAMS(), ret_error);
    if (code != OK)
        db_rollback(&r->db);
    return code;
}

/* The least text above all that begin with it, or behind a key. No UTF-8 has a byte 0xff. */
static struct slice object_above(struct arena *a, struct slice text, char end)
{
    char *above = arena_alloc(a, text.len + 1);
    if (text.len > 0)
        memcpy(above, text.ptr, text.len);
    above[text.len] = end;
    return slice_of(above, text.len + 1);
}

static ptrdiff_t object_find_text(struct slice in, struct slice what)
{
    const char *at = what.len > 0 ? memmem(in.ptr, in.len, what.ptr, what.len) : NULL;
    return at ? at - in.ptr : -1;
}

static bool object_is_below(struct slice a, struct slice b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order < 0 || (order == 0 && a.len < b.len);
}

/* What a listing has found so far. */
struct object_listing {
    struct store_reader *reader;
    struct store_query *query;
    struct slice from, to; /* of keys that are still to be looked at */
    size_t rows_cap, prefixes_cap;
    bool is_full, is_over;
};

static void listing_take(struct object_listing *l, sqlite3_stmt *st)
{
    struct store_query *q = l->query;
    struct slice key = db_text(st, 1);
    struct slice rest = slice_skip(key, q->object_list.prefix.len);
    const ptrdiff_t at = object_find_text(rest, q->object_list.delimiter);
    if (at < 0) {
        q->object_list.rows = reader_grow(q->arena, q->object_list.rows, q->object_list.len,
                                          &l->rows_cap, sizeof(*q->object_list.rows));
        struct object_row *row = &q->object_list.rows[q->object_list.len++];
        *row = object_read(st, q->object_list.resource, q->arena);
        q->object_list.last = row->key;
        l->from = object_above(q->arena, row->key, '\0');
        return;
    }
    const size_t len = q->object_list.prefix.len + (size_t)at + q->object_list.delimiter.len;
    q->object_list.prefixes =
        reader_grow(q->arena, q->object_list.prefixes, q->object_list.prefixes_len,
                    &l->prefixes_cap, sizeof(*q->object_list.prefixes));
    struct slice *prefix = &q->object_list.prefixes[q->object_list.prefixes_len++];
    *prefix = arena_copy(q->arena, slice_of(key.ptr, len));
    l->from = q->object_list.last =
        object_above(q->arena, *prefix, (char)0xff); /* behind all of them */
}

/* Rows from l->from on, to the first that a prefix stands for. */
static enum err listing_scan(struct object_listing *l)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct store_query *q = l->query;
    const int64_t left =
        q->object_list.limit - (int64_t)q->object_list.len - (int64_t)q->object_list.prefixes_len;
    const size_t prefixes = q->object_list.prefixes_len;
    bool has_row = false;
    enum err code = reader_first(
        l->reader, READER_OBJECT_LIST,
        PARAMS(P_INT(q->object_list.resource), P_TEXT(l->from), P_TEXT(l->to), P_INT(left + 1)),
        &st, &has_row, &q->error);
    int64_t taken = 0;
    while (code == OK && has_row && taken < left && q->object_list.prefixes_len == prefixes) {
        listing_take(l, st);
        taken++;
        code = db_step(&l->reader->db, st, &has_row, &q->error);
    }
    l->is_full = has_row && taken == left;
    l->is_over = !has_row;
    return code;
}

enum err store_object_list(struct store_reader *r, struct store_query *q)
{
    struct object_listing l = {.reader = r, .query = q, .from = q->object_list.prefix};
    enum err code = OK;
    if (q->object_list.limit < 1 || q->object_list.limit > STORE_OBJECT_LIST_MAX)
        q->object_list.limit = STORE_OBJECT_LIST_MAX;
    q->object_list.rows = NULL;
    q->object_list.prefixes = NULL;
    q->object_list.len = q->object_list.prefixes_len = 0;
    q->object_list.last = SLICE_EMPTY;
    l.to = object_above(q->arena, q->object_list.prefix, (char)0xff);
    if (q->object_list.after.len > 0 && !object_is_below(q->object_list.after, l.from))
        l.from = object_above(q->arena, q->object_list.after, '\0');
    while (code == OK && !l.is_full && !l.is_over)
        code = listing_scan(&l);
    if (code == OK && q->object_list.len + q->object_list.prefixes_len == 0)
        code = object_check_there(r, q->object_list.resource, &q->error);
    if (l.is_over)
        q->object_list.last = SLICE_EMPTY;
    q->error.code = code;
    return code;
}

enum err store_upload_get(struct store_reader *r, struct arena *a, int64_t resource,
                          struct slice name, struct upload_row *ret_row,
                          struct object_file **ret_parts, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_UPLOAD_GET, PARAMS(P_TEXT(name), P_INT(resource)), &st,
                                 &has_row, ret_error);
    if (code == OK && !has_row)
        return object_no_upload(name, ret_error);
    if (code != OK)
        return code;
    *ret_row = (struct upload_row){.resource = resource,
                                   .name = name,
                                   .key = db_text_copy(st, 1, a),
                                   .metadata = db_text_copy(st, 2, a),
                                   .created_us = db_int(st, 3)};
    const int64_t id = db_int(st, 0);
    db_release(&st);
    return object_files(r, a, READER_UPLOAD_PARTS, id, ret_parts, ret_len, ret_error);
}
