/* SPDX-License-Identifier: Apache-2.0
 *
 * The columns of a durable execution's row that both the writer, which changes them (struct
 * durable_state), and the readers, which show them (struct durable_row), know: X(member, SQL, type). They
 * come first in the SELECTs of both; "d" is the row's table there. */
#pragma once

#include "store/internal.h"

/* A commit that only appends does not touch the row of one that runs: the journal says how many records
 * there are, and the column only how many there were when the row was last saved. Of the others the row
 * is exact, also while chunks that were cut off wait for their removal. */
#define DURABLE_PLACE_SQL "24"
_Static_assert(STORE_JOURNAL_BITS == 24, "stands in the SQL");
#define DURABLE_RECORDS_SQL                                                                        \
    "iif(d.status = 1, max(d.records, coalesce((SELECT j.place + j.count FROM journal j"           \
    " WHERE j.place >= d.seq << " DURABLE_PLACE_SQL                                                \
    " AND j.place < (d.seq + 1) << " DURABLE_PLACE_SQL                                             \
    " ORDER BY j.place DESC LIMIT 1) - (d.seq << " DURABLE_PLACE_SQL "), 0)), d.records)"
_Static_assert(DURABLE_RUNNING == 1, "stands in the SQL");

/* What an execution takes of the disk, as it is counted: its texts, chunks, snapshot and signals, so much
 * for its row, and for each chunk and signal. Of one that runs the column says it as of the row, and this
 * how much its journal has grown since. */
enum { DURABLE_ROW_BYTES = 256, DURABLE_PART_BYTES = 32 };
#define DURABLE_PART_SQL "32"
#define DURABLE_GROWN_SQL                                                                          \
    "iif(d.status = 1, coalesce((SELECT sum(octet_length(j.records) + " DURABLE_PART_SQL           \
    ") FROM journal j WHERE j.place >= (d.seq << " DURABLE_PLACE_SQL ") + d.records"               \
    " AND j.place < (d.seq + 1) << " DURABLE_PLACE_SQL "), 0), 0)"

#define DURABLE_COLUMN_TABLE(X)                                                                    \
    X(seq, "d.seq", int64_t)                                                                       \
    X(version, "d.version", int64_t)                                                               \
    X(status, "d.status", enum durable_status)                                                     \
    X(is_paused, "d.is_paused", bool)                                                              \
    X(is_cancel_requested, "d.is_cancel_requested", bool)                                          \
    X(records, DURABLE_RECORDS_SQL, int64_t)                                                       \
    X(events, "d.events", int64_t)                                                                 \
    X(wake_us, "d.wake_us", int64_t)                                                               \
    X(attempt, "d.attempt", int64_t)                                                               \
    X(started_us, "d.started_us", int64_t)                                                         \
    X(finished_us, "d.finished_us", int64_t)                                                       \
    X(lines, "d.lines", int64_t)

/* Behind "SELECT ": each with a comma. */
#define DURABLE_COLUMN_SQL(member, sql, type) sql ", "
#define DURABLE_COLUMNS_SQL DURABLE_COLUMN_TABLE(DURABLE_COLUMN_SQL)

#define DURABLE_COLUMN_NUMBER(member, sql, type) DURABLE_COLUMN_##member,
enum { DURABLE_COLUMN_TABLE(DURABLE_COLUMN_NUMBER) DURABLE_COLUMNS };

/* As initializers of a struct that has these members. */
#define DURABLE_COLUMN_READ(member, sql, type) .member = (type)db_int(st, DURABLE_COLUMN_##member),
