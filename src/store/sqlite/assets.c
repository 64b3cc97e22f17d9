/* SPDX-License-Identifier: Apache-2.0
 *
 * Static files of versions: sets, what they use, and what a namespace has uploaded. */
#include "asset/assets.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"
#include "store/sqlite/reads.h"

static enum err assets_missing(const struct asset *f, struct error *ret_error)
{
    error_set(ret_error, ERR_NOT_READY, "the content of '%.*s' has not been uploaded",
              SLICE_ARG(slice_utf8_clip(f->path, 200)));
    error_hint(ret_error, "deploy again: 'limpet deploy' uploads what is missing");
    return ERR_NOT_READY;
}

/* One row for each content that it names, all of them this namespace's. */
static enum err assets_add_uses(struct writer *w, struct slice space, struct slice set_hash,
                                const struct assets *a, struct error *ret_error)
{
    enum err code = OK;
    for (size_t i = 0; i < assets_count(a) && code == OK; i++) {
        const struct asset *f = assets_at(a, i);
        int64_t ignored = 0;
        bool is_known = false;
        code = apply_one(w, WRITER_ASSET_USE_HAS, PARAMS(P_TEXT(f->hash), P_TEXT(space)), &ignored,
                         &is_known, ret_error);
        if (code == OK && (!is_known || !artifact_exists(w->store, f->hash)))
            return assets_missing(f, ret_error);
        if (code == OK)
            code = db_run(&w->db, WRITER_ASSET_USE_ADD,
                          PARAMS(P_TEXT(set_hash), P_TEXT(f->hash), P_TEXT(space)), ret_error);
    }
    return code;
}

enum err apply_assets(struct writer *w, struct slice space, struct slice manifest,
                      char ret_hash[65], struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes named = BYTES_INIT;
    struct assets *a;
    int64_t ignored = 0;
    bool has_set = false;
    /* The space is part of the name, so that a set's contents are those of its own namespace. */
    bytes_printf(&named, "%.*s\n", SLICE_ARG(space));
    bytes_append_slice(&named, manifest);
    artifact_hash(bytes_slice(&named), ret_hash);
    const struct slice hash = slice_cstr(ret_hash);
    enum err code =
        apply_one(w, WRITER_ASSET_SET_HAS, PARAMS(P_TEXT(hash)), &ignored, &has_set, ret_error);
    if (code != OK || has_set)
        return code;
    code = assets_parse(manifest, &a, ret_error);
    if (code != OK)
        return code;
    code = assets_add_uses(w, space, hash, a, ret_error);
    assets_unref(a);
    if (code == OK)
        code =
            db_run(&w->db, WRITER_ASSET_SET_ADD, PARAMS(P_TEXT(hash), P_TEXT(manifest)), ret_error);
    return code;
}

/* What is uploaded and never used goes like what is not used any more. */
enum err apply_asset_known(struct writer *w, const struct mutation *m, int64_t *ret_number,
                           struct error *ret_error)
{
    (void)ret_number;
    enum err code =
        db_run(&w->db, WRITER_ASSET_KNOWN_ADD,
               PARAMS(P_TEXT(m->asset_known.hash), P_TEXT(m->asset_known.space)), ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_ARTIFACT_UNUSED_ADD, PARAMS(P_TEXT(m->asset_known.hash)),
                      ret_error);
    return code;
}

enum err store_assets_missing(struct store_reader *r, struct arena *a, struct slice space,
                              struct slice hashes, struct slice *ret_missing,
                              struct error *ret_error)
{
    char *missing = arena_alloc(a, hashes.len + 1);
    size_t len = 0;
    for (; hashes.len >= 64; hashes = slice_skip(hashes, 64)) {
        CLEANUP(db_release) sqlite3_stmt *st = NULL;
        const struct slice hash = slice_of(hashes.ptr, 64);
        bool has_row = false;
        enum err code = reader_first(r, READER_ASSET_KNOWN, PARAMS(P_TEXT(hash), P_TEXT(space)),
                                     &st, &has_row, ret_error);
        if (code != OK)
            return code;
        if (has_row)
            continue;
        memcpy(missing + len, hash.ptr, 64);
        len += 64;
    }
    *ret_missing = slice_of(missing, len);
    return OK;
}

enum err store_assets_of(struct store_reader *r, struct arena *a, struct version_row *row,
                         struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code =
        reader_first(r, READER_ASSETS, PARAMS(P_TEXT(row->function), P_INT(row->number)), &st,
                     &has_row, ret_error);
    if (code == OK && has_row)
        row->assets = db_text_copy(st, 0, a);
    return code;
}
