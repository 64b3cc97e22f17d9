/* SPDX-License-Identifier: Apache-2.0
 *
 * The tail of a journal in the module's own database: records that are committed together with the
 * SQL effects that they tell of, so that a kill between that commit and the store's loses neither
 * or both. Table limpet_journal, which guests can neither see nor touch (sql_guard.c). Loop thread.
 */
#pragma once

#include "host/sql.h"

enum { SQL_JOURNAL_BYTES_MAX = 64 * 1024 * 1024 }; /* one put */

/* Has a statement that may write run in the open transaction? */
bool sql_is_writing(struct sql_conn *c);
/* Inside the open transaction: keeps the records (a chunk, durable/record.h) numbered from first,
 * and removes the execution's older rows that end at or below `stored`: the count of records that
 * the store has. Runs of records may overlap, or follow one another: what an earlier transaction
 * has committed need not be given again. ERR_LIMIT above SQL_JOURNAL_BYTES_MAX. */
NODISCARD enum err sql_journal_put(struct sql_conn *c, struct slice execution, int64_t first,
                                   struct slice records, int64_t stored, struct error *ret_error);
/* Appends the records from number `from` on to out, gapless, the number of the first (from, or more
 * if that one is not there) in *ret_first; nothing if there are none, also when the database has no
 * such table. */
NODISCARD enum err sql_journal_get(struct sql_conn *c, struct slice execution, int64_t from,
                                   struct bytes *out, int64_t *ret_first, struct error *ret_error);
/* In the open transaction: setup() of this version of the module is done. */
NODISCARD enum err sql_setup_mark(struct sql_conn *c, int64_t version, struct error *ret_error);
NODISCARD enum err sql_setup_is_done(struct sql_conn *c, int64_t version, bool *ret_is_done,
                                     struct error *ret_error);
/* The execution has ended durably: removes its rows. A transaction of its own. ERR_UNAVAILABLE: the
 * database is busy, or a guest's transaction is open on this connection; try again. */
NODISCARD enum err sql_journal_forget(struct sql_conn *c, struct slice execution,
                                      struct error *ret_error);
