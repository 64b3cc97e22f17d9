/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a reader share: its connection, its statements, pages of rows. */
#pragma once

#include "store/internal.h"
#include "store/sqlite/db.h"
#include "store/sqlite/reads.h"

enum {
    READER_PAGE_ROWS = 100, /* when none are asked for */
    READER_PAGE_ROWS_MAX = 1000,
    READER_PAGE_BYTES_MAX = 16 * 1024 * 1024,
};

enum reader_stmt {
#define STATEMENT(NAME, sql) READER_##NAME,
#include "store/sqlite/reader_statements.def"
    READER_STMTS,
};

extern const char *const reader_sqls[READER_STMTS];

struct store_reader {
    struct db db;
    const struct secret_key *key; /* the store's */
    struct store_reader *next;    /* while nobody uses it: backend.c */
};

NODISCARD enum err reader_open(const char *path, const struct secret_key *key,
                               struct store_reader **ret_reader, struct error *ret_error);

/* Room for one more row in an array that grows in the arena. */
void *reader_grow(struct arena *a, void *rows, size_t len, size_t *cap, size_t size);
/* Binds and steps to the first row. */
NODISCARD enum err reader_first(struct store_reader *r, int stmt, const struct db_param *params,
                                sqlite3_stmt **ret_st, bool *ret_has_row, struct error *ret_error);
/* ERR_NOT_FOUND */
NODISCARD enum err reader_function_id(struct store_reader *r, struct slice name, int64_t *ret_id,
                                      struct error *ret_error);
/* Its id and the number of its namespace, in columns 0 and 1; ERR_NOT_FOUND. */
NODISCARD enum err reader_function(struct store_reader *r, struct slice name, sqlite3_stmt **ret_st,
                                   struct error *ret_error);
/* "" is the default one; ERR_NOT_FOUND. */
NODISCARD enum err reader_namespace_id(struct store_reader *r, struct slice name, int64_t *ret_id,
                                       struct error *ret_error);
int64_t reader_limit(int64_t limit); /* of a page's rows */
/* A cursor is "e" and the seq of the last row seen, in hexadecimal. Callers must not know. */
NODISCARD enum err reader_cursor(struct slice cursor, int64_t *ret_before, struct error *ret_error);
struct slice reader_cursor_text(struct arena *a, int64_t last);
