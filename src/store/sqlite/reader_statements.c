/* SPDX-License-Identifier: Apache-2.0
 *
 * What the readers' SQL texts share, and their table. */
#include "store/sqlite/durable_columns.h"
#include "store/sqlite/reader.h"

#define READER_FUNCTION_SQL                                                                        \
    "SELECT f.name, f.kind, f.version, coalesce(v.hash, ''), coalesce(b.status, 0), f.build_last," \
    " f.created_us, f.updated_us, f.split_version, f.split_permyriad, coalesce(v.exports, 0)"      \
    " FROM function f"                                                                             \
    " LEFT JOIN version v ON v.function_id = f.id AND v.number = f.version"                        \
    " LEFT JOIN build b ON b.function_id = f.id AND b.number = f.build_last"
_Static_assert(MODULE_KINDS == 2, "a count of each");
#define READER_NAMESPACE_SQL                                                                       \
    "SELECT n.name, n.created_us,"                                                                 \
    " (SELECT count(*) FROM function WHERE namespace_id = n.id AND kind = 0),"                     \
    " (SELECT count(*) FROM function WHERE namespace_id = n.id AND kind = 1) FROM namespace n"
#define READER_RESOURCE_SQL                                                                        \
    "SELECT r.id, r.kind, n.name, r.name, r.settings, r.items, r.bytes, r.created_us"              \
    " FROM resource r JOIN namespace n ON n.id = r.namespace_id"
#define READER_TOKEN_SQL                                                                           \
    "SELECT t.id, n.name, t.role, t.hash, t.created_us, t.used_us"                                 \
    " FROM token t JOIN namespace n ON n.id = t.namespace_id"
#define READER_AUDIT_SQL                                                                           \
    "SELECT seq, at_us, actor, namespace, action, target, outcome, hash FROM audit"
#define READER_VERSION_SQL                                                                         \
    "SELECT f.name, v.number, v.hash, v.source_map_hash, v.exports, v.is_setup_done, v.options,"   \
    " v.created_us FROM function f JOIN version v ON v.function_id = f.id"
#define READER_BUILD_SQL                                                                           \
    "SELECT f.name, b.number, b.status, b.version, b.created_us, b.started_us, b.finished_us,"     \
    " b.error_message, b.error_file, b.error_frame, b.error_line, b.error_column"                  \
    " FROM function f JOIN build b ON b.function_id = f.id"
/* Pages show no input, output, metadata. */
#define READER_EXECUTION_COLUMNS                                                                   \
    "SELECT e.id, f.name, e.version, e.status, e.error, e.created_us, e.finished_us, e.seq"
#define READER_EXECUTION_FROM " FROM execution e JOIN function f ON f.id = e.function_id"
#define READER_EXECUTIONS_SQL READER_EXECUTION_COLUMNS READER_EXECUTION_FROM
/* As durable_read.c names them. */
#define READER_DURABLE_COLUMNS                                                                     \
    "SELECT " DURABLE_COLUMNS_SQL "d.id, f.name, d.export_name, d.key, d.parent, d.created_us,"    \
    " d.signals_last - d.signals_waiting, t.error, t.progress, t.parked"
#define READER_DURABLE_FROM                                                                        \
    " FROM durable d JOIN function f ON f.id = d.function_id"                                      \
    " JOIN durable_text t ON t.execution = d.seq"
/* Pages show no input, metadata, output. */
#define READER_DURABLES_SQL READER_DURABLE_COLUMNS READER_DURABLE_FROM
#define READER_DURABLE_SQL                                                                         \
    READER_DURABLE_COLUMNS ", t.input, t.metadata, t.output" READER_DURABLE_FROM
/* clang-format off */
#define READER_DURABLES_SEQ(column, status)                                                        \
    "SELECT seq FROM durable WHERE " column " = ?3 AND status = " status " AND seq < ?1"
/* Merges what an index has for each status. */
#define READER_DURABLES_MERGED(column)                                                             \
    READER_DURABLES_SQL " WHERE d.seq IN (SELECT seq FROM ("                                       \
    READER_DURABLES_SEQ(column, "0") " UNION ALL " READER_DURABLES_SEQ(column, "1") " UNION ALL "  \
    READER_DURABLES_SEQ(column, "2") " UNION ALL " READER_DURABLES_SEQ(column, "3") " UNION ALL "  \
    READER_DURABLES_SEQ(column, "4") " UNION ALL " READER_DURABLES_SEQ(column, "5")                \
    " ORDER BY seq DESC LIMIT ?2)) ORDER BY d.seq DESC"
/* clang-format on */
#define READER_DURABLES_END " AND d.seq < ?1 ORDER BY d.seq DESC LIMIT ?2"
#define READER_DUE_SQL "SELECT due_us, seq, id FROM durable INDEXED BY durable_due"
#define READER_DUE_LIVES "EXISTS (SELECT 1 FROM function WHERE function.id = function_id)"
#define READER_DUES_SQL "SELECT due_us, seq, kind, key, module FROM due INDEXED BY due_at"
#define READER_MESSAGE_SQL "SELECT place, visible_us, attempts, sent_us, type, body FROM message"
#define READER_SCHEDULE_SQL                                                                        \
    "SELECT s.id, n.name, s.name, s.origin, s.plan, s.is_paused, s.anchor_us, s.next_us,"          \
    " s.last_us, s.last_execution, s.started, s.skipped, s.failed, s.running, s.created_us,"       \
    " s.updated_us FROM schedule s JOIN namespace n ON n.id = s.namespace_id"
#define READER_USAGE_SUM_SQL                                                                       \
    "SELECT name, 0, sum(requests), sum(cpu_us), sum(memory_byte_s), sum(egress_bytes) FROM usage"
#define READER_USAGE_SQL                                                                           \
    "SELECT name, hour, requests, cpu_us, memory_byte_s, egress_bytes FROM usage"
#define READER_USAGE_SPACE "substr(name, 1, instr(name, '/')) = ?3"
#define READER_QUOTA_SQL                                                                           \
    "SELECT f.name, q.resource, q.max FROM function f JOIN quota q ON q.function_id = f.id"
#define READER_LOG_SQL                                                                             \
    "SELECT l.id, f.name, l.execution, l.level, l.at_us, l.text"                                   \
    " FROM log l JOIN function f ON f.id = l.function_id"

const char *const reader_sqls[READER_STMTS] = {
#define STATEMENT(NAME, sql) [READER_##NAME] = (sql),
#include "store/sqlite/reader_statements.def"
};
