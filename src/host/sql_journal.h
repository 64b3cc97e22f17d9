/* SPDX-License-Identifier: Apache-2.0
 *
 * The tail of a journal in the module's own database: records that are committed together with the
 * SQL effects that they tell of, so that a kill between that commit and the store's loses neither
 * or both. Table limpet_journal, which guests can neither see nor touch (sql_guard.c). Loop thread.
 */
#pragma once

#include "host/sql.h"

/* Has the open transaction written anything? */
bool sql_is_writing(struct sql_conn *c);
/* Inside the open transaction: keeps the records (a chunk, durable/record.h) numbered from first,
 * and removes the execution's older rows that end at or below `stored` (they are in the store). */
NODISCARD enum err sql_journal_put(struct sql_conn *c, struct slice execution, int64_t first,
                                   struct slice records, int64_t stored, struct error *ret_error);
/* Appends the records from number `from` on to out, gapless, the first in *ret_first; nothing if
 * there are none, also when the database has no such table. */
NODISCARD enum err sql_journal_get(struct sql_conn *c, struct slice execution, int64_t from,
                                   struct bytes *out, int64_t *ret_first, struct error *ret_error);
/* The execution has ended durably: removes its rows. A transaction of its own. */
NODISCARD enum err sql_journal_forget(struct sql_conn *c, struct slice execution,
                                      struct error *ret_error);
