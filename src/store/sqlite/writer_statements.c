/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writer's SQL texts share, and their table. */
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/writer.h"

_Static_assert(BUILD_QUEUED == 0 && BUILD_READY == 3 && BUILD_FAILED == 4, "stored as numbers");
_Static_assert(EXECUTION_RUNNING == 0 && EXECUTION_FAILURE == 2, "stored as numbers");

_Static_assert(DURABLE_QUEUED == 0 && DURABLE_COMPLETED == 3 && DURABLE_CANCELLED == 5,
               "stored as numbers");

/* As durable.c reads them. */
#define WRITER_DURABLE_SQL                                                                         \
    "SELECT " DURABLE_COLUMNS_SQL "d.function_id, d.has_waiters, d.signals_last,"                  \
    " d.signals_waiting, d.namespace_id, d.bytes, " DURABLE_GROWN_SQL " FROM durable d"

/* clang-format off */
#define ENV_OLDEST_OF(of, status)                                                                  \
    "(SELECT min(seq) FROM durable WHERE " of " AND status = " status ")"
#define ENV_OLDEST(of)                                                                             \
    "coalesce((SELECT min(d.created_us) FROM durable d WHERE d.seq IN ("                           \
    ENV_OLDEST_OF(of, "0") ", " ENV_OLDEST_OF(of, "1") ", " ENV_OLDEST_OF(of, "2") ", "            \
    ENV_OLDEST_OF(of, "3") ", " ENV_OLDEST_OF(of, "4") ", " ENV_OLDEST_OF(of, "5")                 \
    ")), 9223372036854775807)"
/* clang-format on */
_Static_assert(MODULE_WORKFLOW == 1, "stored as a number");

const char *const writer_sqls[WRITER_STMTS] = {
#define STATEMENT(NAME, sql) [WRITER_##NAME] = (sql),
#include "store/sqlite/writer_statements.def"
};
