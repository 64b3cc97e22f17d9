/* SPDX-License-Identifier: Apache-2.0
 *
 * What this server's SQLite has beyond its own interface (limpet_sqlite.c): points at which it
 * tells that a long piece of work is ahead or under way, so that the caller can take it to another
 * thread, bound its memory, or end it; and the few fields of a connection that only internals can
 * set. */
#pragma once

#include <sqlite3.h>
#include <stddef.h>

struct limpet_sqlite_hooks {
    /* Work that has no progress callback and may take long comes next: a large allocation, a
     * function over large values. Returns when it may go on, on whatever thread. */
    void (*ahead)(void);
    /* During such work, now and then. Not 0: it ends as interrupted. */
    int (*working)(void);
    /* bytes more (or less) are held. Not 0: refused, which is out of memory for SQLite. Asked only
     * for growth. */
    int (*charge)(ptrdiff_t bytes);
};
/* Before the first connection; for the process. */
void limpet_sqlite_set_hooks(const struct limpet_sqlite_hooks *hooks);

/* What changes() and total_changes() give; sqlite3_set_last_insert_rowid() is the third of them. */
void limpet_sqlite_set_changes(sqlite3 *db, sqlite3_int64 changes, sqlite3_int64 total);

/* How a statement can run for long without a progress callback. */
enum limpet_sqlite_weight {
    LIMPET_SQLITE_LIGHT, /* only in proportion to what it has done before */
    LIMPET_SQLITE_SORTS, /* likewise, but more than in proportion */
    LIMPET_SQLITE_HEAVY, /* full-text or spatial index, integrity check: at any step */
};
enum limpet_sqlite_weight limpet_sqlite_weight(sqlite3_stmt *stmt);
