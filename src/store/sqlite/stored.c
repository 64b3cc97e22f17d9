/* SPDX-License-Identifier: Apache-2.0
 *
 * See stored.h. The account of an owner is looked up once, by its name, and kept until that is
 * deleted: what was taken of one is given back to the same. */
#include "store/sqlite/stored.h"

#include <stdlib.h>
#include <string.h>

#include "asset/assets.h"
#include "store/sqlite/apply.h"

struct stored {
    struct account *account; /* a reference */
    size_t bytes;            /* taken from it */
    int64_t forked;          /* of these: slices of forks that are not done */
};

static struct slice stored_key(const int64_t *owner)
{
    return slice_of((const char *)owner, sizeof(*owner));
}

static void stored_free(struct stored *s)
{
    account_give(s->account, RESOURCE_DISK, s->bytes);
    account_unref(s->account);
    free(s);
}

/* name: of the function, or of the namespace that the resource is in */
static struct stored *stored_put(struct writer *w, int64_t owner, struct slice name)
{
    struct stored *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->account = owner < 0 ? w->accounts.get_space(w->accounts.ctx, name)
                           : w->accounts.get(w->accounts.ctx, name);
    (void)map_put(&w->stored, stored_key(&owner), s);
    return s;
}

/* NULL: it is nobody's, or there is no such one. */
static struct stored *stored_get(struct writer *w, int64_t owner)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    struct stored *s = map_get(&w->stored, stored_key(&owner));
    if (s || !w->accounts.get ||
        db_query(&w->db, owner < 0 ? WRITER_RESOURCE_SPACE : WRITER_FUNCTION_NAME,
                 PARAMS(P_INT(owner < 0 ? -owner : owner)), &st, NULL) != OK ||
        db_step(&w->db, st, &has_row, NULL) != OK || !has_row)
        return s;
    return stored_put(w, owner, db_text(st, 0));
}

static void stored_add(struct stored *s, int64_t add)
{
    if (add > 0) {
        budget_force(&s->account->budgets[RESOURCE_DISK], (size_t)add);
        s->bytes += (size_t)add;
    } else {
        size_t less = (size_t)-add < s->bytes ? (size_t)-add : s->bytes;
        account_give(s->account, RESOURCE_DISK, less);
        s->bytes -= less;
    }
}

/* Rows of (id, name, bytes); sign: -1 for ids of resources. */
static enum err stored_open_all(struct writer *w, int stmt, int sign, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = db_query(&w->db, stmt, PARAMS(), &st, ret_error);
    if (code == OK)
        code = db_step(&w->db, st, &has_row, ret_error);
    while (code == OK && has_row) {
        stored_add(stored_put(w, sign * db_int(st, 0), db_text(st, 1)), db_int(st, 2));
        code = db_step(&w->db, st, &has_row, ret_error);
    }
    return code;
}

enum err stored_open(struct writer *w, struct error *ret_error)
{
    if (!w->accounts.get)
        return OK;
    enum err code = stored_open_all(w, WRITER_STORED, 1, ret_error);
    if (code == OK)
        code = stored_open_all(w, WRITER_RESOURCE_STORED, -1, ret_error);
    return code;
}

void stored_close(struct writer *w)
{
    void *stored;
    for (size_t cursor = 0; map_next(&w->stored, &cursor, NULL, &stored);)
        stored_free(stored);
    map_done(&w->stored);
}

static int64_t stored_added(const struct writer_count *c)
{
    return c->add[WRITER_COUNTED_STORED] + c->add[WRITER_COUNTED_FORKED];
}

static int64_t stored_pending(const struct writer *w, int64_t owner)
{
    for (size_t i = 0; i < w->counts_len; i++)
        if (w->counts[i].owner == owner)
            return stored_added(&w->counts[i]);
    return 0;
}

enum err stored_check(struct writer *w, int64_t owner, int64_t more, struct error *ret_error)
{
    struct stored *s = stored_get(w, owner);
    int64_t all = more + stored_pending(w, owner);
    struct budget *full;
    if (!s || all <= 0)
        return OK;
    if (!budget_take(&s->account->budgets[RESOURCE_DISK], (size_t)all, &full)) {
        enum err code = budget_refuse(full, ret_error);
        error_hint(ret_error,
                   "delete executions, versions, rows or values, or raise the quota disk_bytes");
        return code;
    }
    account_give(s->account, RESOURCE_DISK, (size_t)all);
    return OK;
}

void stored_forks_dropped(struct writer *w)
{
    struct slice key;
    void *stored;
    for (size_t cursor = 0; map_next(&w->stored, &cursor, &key, &stored);) {
        int64_t owner, forked = ((struct stored *)stored)->forked;
        memcpy(&owner, key.ptr, sizeof(owner));
        if (forked)
            writer_add_count(w, owner, WRITER_COUNTED_FORKED, -forked);
    }
}

void stored_committed(struct writer *w)
{
    for (size_t i = 0; i < w->counts_len; i++) {
        const struct writer_count *c = &w->counts[i];
        struct stored *s;
        if (c->add[WRITER_COUNTED_GONE] > 0)
            s = map_remove(&w->stored, stored_key(&c->owner));
        else
            s = stored_added(c) || c->add[WRITER_COUNTED_FORKED] ? stored_get(w, c->owner) : NULL;
        if (s && c->add[WRITER_COUNTED_GONE] > 0) {
            stored_free(s);
        } else if (s) {
            stored_add(s, stored_added(c));
            s->forked += c->add[WRITER_COUNTED_FORKED];
        }
    }
}

/* ---- artifacts ---- */

/* Is the content named by one of the function's versions? */
static enum err stored_has(struct writer *w, int stmt, int64_t function_id, struct slice hash,
                           bool *ret_has, struct error *ret_error)
{
    int64_t ignored = 0;
    return apply_one(w, stmt, PARAMS(P_INT(function_id), P_TEXT(hash)), &ignored, ret_has,
                     ret_error);
}

static enum err stored_assets(struct writer *w, int64_t function_id, struct slice manifest,
                              int64_t *bytes, struct error *ret_error)
{
    struct assets *a;
    enum err code = assets_parse(manifest, &a, ret_error);
    if (code != OK)
        return code;
    for (size_t i = 0; i < assets_count(a) && code == OK; i++) {
        const struct asset *f = assets_at(a, i);
        bool is_there = false;
        code = stored_has(w, WRITER_STORED_ASSET, function_id, f->hash, &is_there, ret_error);
        if (code == OK && !is_there)
            *bytes += (int64_t)f->size;
    }
    assets_unref(a);
    return code;
}

enum err stored_version(struct writer *w, int64_t function_id, const struct version_row *v,
                        struct slice assets_hash, struct error *ret_error)
{
    const struct slice files[] = {v->hash, v->detail_hash};
    int64_t bytes = 0;
    bool is_there = false;
    enum err code = OK;
    for (size_t i = 0; i < ARRAY_LEN(files) && code == OK; i++) {
        if (!files[i].len)
            continue;
        code = stored_has(w, WRITER_STORED_ARTIFACT, function_id, files[i], &is_there, ret_error);
        if (code == OK && !is_there)
            bytes += artifact_bytes(w->store, files[i]);
    }
    if (code == OK && assets_hash.len)
        code = stored_has(w, WRITER_STORED_SET, function_id, assets_hash, &is_there, ret_error);
    if (code == OK && assets_hash.len && !is_there)
        code = stored_assets(w, function_id, v->assets, &bytes, ret_error);
    if (code == OK)
        code = stored_check(w, function_id, bytes, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_STORED_ARTIFACTS, PARAMS(P_INT(function_id), P_INT(bytes)),
                      ret_error);
    if (code == OK)
        writer_add_count(w, function_id, WRITER_COUNTED_STORED, bytes);
    return code;
}
