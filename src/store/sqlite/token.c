/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of the control API: their mutations and reads. */
#include "base/clock.h"
#include "base/limits.h"
#include "store/sqlite/apply.h"
#include "store/sqlite/reader.h"

_Static_assert(TOKEN_READ == 0 && TOKEN_ADMIN == 3, "stored as numbers");

/* ---- writer ---- */

enum err apply_token_create(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    const struct token_row *t = &m->token_create.row;
    int64_t namespace_id = 0, count = 0;
    if (!t->id.len || t->hash.len != TOKEN_HASH_BYTES || (unsigned)t->role > TOKEN_ADMIN)
        return error_set(ret_error, ERR_INVALID, "a token has an id, a role and a hash");
    enum err code = apply_namespace_find(w, t->space, &namespace_id, ret_error);
    if (code == OK)
        code =
            apply_one(w, WRITER_TOKEN_COUNT, PARAMS(P_INT(namespace_id)), &count, NULL, ret_error);
    if (code == OK && count >= LIMIT_TOKENS) {
        code = error_set(ret_error, ERR_CONFLICT, "the namespace has %d tokens, which is the limit",
                         LIMIT_TOKENS);
        error_hint(ret_error, "'limpet token revoke' those that are not used");
    }
    if (code != OK)
        return code;
    return db_run(&w->db, WRITER_TOKEN_ADD,
                  PARAMS(P_TEXT(t->id), P_INT(namespace_id), P_INT(t->role), P_BLOB(t->hash),
                         P_INT(clock_wall_us())),
                  ret_error);
}

enum err apply_token_revoke(struct writer *w, const struct mutation *m, int64_t *ret_number,
                            struct error *ret_error)
{
    int64_t namespace_id = 0;
    enum err code = apply_namespace_find(w, m->token_revoke.space, &namespace_id, ret_error);
    if (code == OK)
        code = db_run(&w->db, WRITER_TOKEN_DELETE,
                      PARAMS(P_TEXT(m->token_revoke.id), P_INT(namespace_id)), ret_error);
    if (code == OK && !db_changes(&w->db)) {
        code = error_set(ret_error, ERR_NOT_FOUND, "there is no token '%.*s'",
                         SLICE_ARG(slice_utf8_clip(m->token_revoke.id, 40)));
        error_hint(ret_error, "'limpet token list' shows those of the namespace");
    }
    return code;
}

enum err apply_token_used(struct writer *w, const struct mutation *m, int64_t *ret_number,
                          struct error *ret_error)
{
    return db_run(&w->db, WRITER_TOKEN_USED,
                  PARAMS(P_TEXT(m->token_used.id), P_INT(m->token_used.at_us)), ret_error);
}

/* ---- reader ---- */

static struct token_row token_read(sqlite3_stmt *st, struct arena *a)
{
    return (struct token_row){.id = db_text_copy(st, 0, a),
                              .space = db_text_copy(st, 1, a),
                              .role = (enum token_role)db_int(st, 2),
                              .hash = arena_copy(a, db_blob(st, 3)),
                              .created_us = db_int(st, 4),
                              .used_us = db_int(st, 5)};
}

enum err store_tokens(struct store_reader *r, struct arena *a, struct slice space,
                      struct token_row **ret_rows, size_t *ret_len, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    struct token_row *rows = NULL;
    size_t len = 0, cap = 0;
    bool has_row = false;
    int64_t id = 0;
    enum err code = reader_namespace_id(r, space, &id, ret_error);
    if (code == OK)
        code = reader_first(r, READER_TOKENS, PARAMS(P_INT(id)), &st, &has_row, ret_error);
    while (code == OK && has_row) {
        rows = reader_grow(a, rows, len, &cap, sizeof(*rows));
        rows[len++] = token_read(st, a);
        code = db_step(&r->db, st, &has_row, ret_error);
    }
    if (code != OK)
        return code;
    *ret_rows = rows;
    *ret_len = len;
    return OK;
}

enum err store_token(struct store_reader *r, struct arena *a, struct slice id,
                     struct token_row *ret_row, struct error *ret_error)
{
    CLEANUP(db_release) sqlite3_stmt *st = NULL;
    bool has_row = false;
    enum err code = reader_first(r, READER_TOKEN, PARAMS(P_TEXT(id)), &st, &has_row, ret_error);
    if (code == OK && !has_row)
        return error_set(ret_error, ERR_NOT_FOUND, "there is no token '%.*s'",
                         SLICE_ARG(slice_utf8_clip(id, 40)));
    if (code == OK)
        *ret_row = token_read(st, a);
    return code;
}
