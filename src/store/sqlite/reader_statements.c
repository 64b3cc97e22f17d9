/* SPDX-License-Identifier: Apache-2.0
 *
 * Every SQL text that readers run. */
#include "store/sqlite/reader.h"

#define READER_FUNCTION_SQL                                                                        \
    "SELECT f.name, f.kind, f.version, coalesce(v.hash, ''), coalesce(b.status, 0), f.build_last," \
    " f.created_us, f.updated_us, f.split_version, f.split_permyriad FROM function f"              \
    " LEFT JOIN version v ON v.function_id = f.id AND v.number = f.version"                        \
    " LEFT JOIN build b ON b.function_id = f.id AND b.number = f.build_last"
_Static_assert(MODULE_KINDS == 2, "a count of each");
#define READER_NAMESPACE_SQL                                                                       \
    "SELECT n.name, n.created_us,"                                                                 \
    " (SELECT count(*) FROM function WHERE namespace_id = n.id AND kind = 0),"                     \
    " (SELECT count(*) FROM function WHERE namespace_id = n.id AND kind = 1) FROM namespace n"
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
#define READER_EXECUTION_SQL                                                                       \
    "SELECT e.id, f.name, e.version, e.status, e.input, e.output, e.metadata, e.error, "           \
    "e.created_us,"                                                                                \
    " e.finished_us, e.seq FROM execution e JOIN function f ON f.id = e.function_id"
#define READER_DURABLE_COLUMNS                                                                     \
    "SELECT d.seq, d.id, f.name, d.export_name, d.key, d.version, d.status, d.is_paused,"          \
    " d.is_cancel_requested, d.parent, d.records, d.events, d.wake_us, d.attempt, d.created_us,"   \
    " d.started_us, d.finished_us, d.lines, t.error, t.progress, t.parked"
#define READER_DURABLE_FROM                                                                        \
    " FROM durable d JOIN function f ON f.id = d.function_id"                                      \
    " JOIN durable_text t ON t.execution = d.seq"
/* Pages show no input, metadata, output. */
#define READER_DURABLES_SQL READER_DURABLE_COLUMNS READER_DURABLE_FROM
#define READER_DURABLE_SQL                                                                         \
    READER_DURABLE_COLUMNS ", t.input, t.metadata, t.output" READER_DURABLE_FROM
#define READER_DURABLES_SEQ(column, status)                                                        \
    "SELECT seq FROM durable WHERE " column " = ?3 AND status = " status " AND seq < ?1"
/* Merges what an index has for each status. */
#define READER_DURABLES_MERGED(column)                                                             \
    READER_DURABLES_SQL                                                                            \
    " WHERE d.seq IN (SELECT seq FROM (" READER_DURABLES_SEQ(                                      \
        column,                                                                                    \
        "0") " UNION "                                                                             \
             "ALL"                                                                                 \
             " " READER_DURABLES_SEQ(column, "1") " UNION ALL " READER_DURABLES_SEQ(               \
                 column,                                                                           \
                 "2") " UNION ALL " READER_DURABLES_SEQ(column,                                    \
                                                        "3") " UNION "                             \
                                                             "ALL"                                 \
                                                             " " READER_DURABLES_SEQ(              \
                                                                 column,                           \
                                                                 "4") " UNION "                    \
                                                                      "ALL " READER_DURABLES_SEQ(  \
                                                                          column,                  \
                                                                          "5") " ORDER BY seq "    \
                                                                               "DESC LIMIT ?2)) "  \
                                                                               "ORDER BY d.seq "   \
                                                                               "DESC"
#define READER_DURABLES_END " AND d.seq < ?1 ORDER BY d.seq DESC LIMIT ?2"
#define READER_DUE_SQL "SELECT due_us, seq, id FROM durable INDEXED BY durable_due"
#define READER_DUE_LIVES "EXISTS (SELECT 1 FROM function WHERE function.id = function_id)"
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
    [READER_BEGIN] = "BEGIN",
    [READER_END] = "COMMIT",
    [READER_NAMESPACE_ID] = "SELECT id FROM namespace WHERE name = ?1",
    [READER_NAMESPACES] = READER_NAMESPACE_SQL " ORDER BY n.name",
    [READER_NAMESPACE] = READER_NAMESPACE_SQL " WHERE n.name = ?1",
    [READER_NAMESPACE_QUOTA] = "SELECT n.name, q.resource, q.max FROM namespace n"
                               " JOIN namespace_quota q ON q.namespace_id = n.id WHERE n.name = ?1",
    [READER_TOKENS] = READER_TOKEN_SQL " WHERE t.namespace_id = ?1 ORDER BY t.created_us, t.id",
    [READER_TOKEN] = READER_TOKEN_SQL " WHERE t.id = ?1",
    [READER_EGRESS] = "SELECT id, is_allow, methods, pattern, module FROM egress_rule"
                      " WHERE namespace_id = ?1 ORDER BY position",
    [READER_EGRESS_DEFAULT] = "SELECT egress_denies FROM namespace WHERE id = ?1",
    [READER_AUDITS] =
        READER_AUDIT_SQL " WHERE namespace = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
    [READER_AUDIT_FROM] = READER_AUDIT_SQL " WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [READER_AUDIT_HEAD] = "SELECT seq, hash FROM audit_head WHERE id = 1",
    [READER_AUDIT_ANCHOR] = "SELECT seq, hash, at_us, signature FROM audit_anchor WHERE id = 1",
    [READER_FUNCTION_ID] = "SELECT id, namespace_id FROM function WHERE name = ?1",
    [READER_FUNCTIONS] =
        READER_FUNCTION_SQL " WHERE f.kind = ?1 AND f.namespace_id = ?2 ORDER BY f.name",
    [READER_FUNCTION] = READER_FUNCTION_SQL " WHERE f.name = ?1",
    [READER_VERSION] = READER_VERSION_SQL " WHERE f.name = ?1 AND v.number = ?2",
    [READER_VERSION_SERVING] = READER_VERSION_SQL " AND v.number = f.version WHERE f.name = ?1",
    [READER_ASSETS] = "SELECT s.manifest FROM function f JOIN version v ON v.function_id = f.id"
                      " JOIN asset_set s ON s.hash = v.assets_hash"
                      " WHERE f.name = ?1 AND v.number = ?2",
    [READER_ASSET_KNOWN] = "SELECT 1 FROM asset_known WHERE hash = ?1 AND space = ?2",
    [READER_VERSIONS] = READER_VERSION_SQL " WHERE f.name = ?1 ORDER BY v.number DESC LIMIT ?2",
    [READER_BUILDS] = READER_BUILD_SQL " WHERE f.id = ?1 ORDER BY b.number DESC LIMIT ?2",
    [READER_BUILD] = READER_BUILD_SQL " WHERE f.id = ?1 AND b.number = ?2",
    /* ?2: another owner, whose rows are behind those of the same name */
    [READER_ENV] =
        "SELECT name, value, version, is_secret, created_us, updated_us, hosts, function_id"
        " FROM env WHERE function_id IN (?1, ?2) ORDER BY name, function_id DESC",
    [READER_ENV_VALUE] = "SELECT value, is_secret, hosts FROM env"
                         " WHERE function_id = ?1 AND name = ?2 AND version = ?3 UNION ALL"
                         " SELECT value, is_secret, hosts FROM env_former"
                         " WHERE function_id = ?1 AND name = ?2 AND version = ?3",
    [READER_EXECUTIONS] = READER_EXECUTION_SQL
    " WHERE e.namespace_id = ?3 AND e.seq < ?1 ORDER BY e.seq DESC LIMIT ?2",
    [READER_EXECUTIONS_OF] = READER_EXECUTION_SQL
    " WHERE e.function_id = ?3 AND e.seq < ?1 ORDER BY e.seq DESC LIMIT ?2",
    [READER_EXECUTION] = READER_EXECUTION_SQL " WHERE e.id = ?1",
    [READER_LOGS] = READER_LOG_SQL " WHERE l.function_id = ?1 AND l.id > ?2 ORDER BY l.id LIMIT ?3",
    [READER_LOGS_NEWEST] = READER_LOG_SQL " WHERE l.function_id = ?1 ORDER BY l.id DESC LIMIT ?2",
    [READER_LOGS_OF] =
        READER_LOG_SQL " WHERE l.execution = ?4 AND l.execution <> '' AND l.function_id = ?1"
                       " AND l.id > ?2 ORDER BY l.id LIMIT ?3",
    [READER_LOGS_OF_NEWEST] = READER_LOG_SQL " WHERE l.execution = ?3 AND l.execution <> ''"
                                             " AND l.function_id = ?1 ORDER BY l.id DESC LIMIT ?2",
    /* ?3 namespace or workflow, ?4 status, ?5 parent. */
    [READER_DURABLES] = READER_DURABLES_MERGED("namespace_id"),
    [READER_DURABLES_OF] = READER_DURABLES_MERGED("function_id"),
    [READER_DURABLES_IN] =
        READER_DURABLES_SQL " WHERE d.namespace_id = ?3 AND d.status = ?4" READER_DURABLES_END,
    [READER_DURABLES_OF_EXPORT] = READER_DURABLES_SQL
    " WHERE d.function_id = ?3 AND d.export_name = ?5 AND d.export_name <> ''" READER_DURABLES_END,
    [READER_DURABLES_OF_IN] =
        READER_DURABLES_SQL " WHERE d.function_id = ?3 AND d.status = ?4" READER_DURABLES_END,
    [READER_DURABLES_BELOW] = READER_DURABLES_SQL
    " WHERE d.parent = ?5 AND d.parent <> '' AND (?3 = 0 OR d.function_id = ?3)"
    " AND (?4 < 0 OR d.status = ?4)" READER_DURABLES_END,
    [READER_DURABLE] = READER_DURABLE_SQL " WHERE d.id = ?1",
    [READER_DURABLE_SEQ] = "SELECT seq, records FROM durable WHERE id = ?1"
                           " AND function_id IN (SELECT id FROM function)",
    /* ?1 the place of record 0, ?2 of the one asked for, ?3 behind the last one possible. */
    [READER_JOURNAL] =
        "SELECT place, count, records FROM journal"
        " WHERE place >= (SELECT max(place) FROM journal WHERE place >= ?1 AND place <= ?2)"
        " AND place < ?3 ORDER BY place",
    [READER_SNAPSHOT] = "SELECT records, data FROM snapshot WHERE execution = ?1",
    [READER_SIGNALS] = "SELECT seq, at_us, name, data FROM signal WHERE execution = ?1"
                       " AND seq > ?2 ORDER BY seq LIMIT ?3",
    /* Before ?1, after (?2, ?3). In two halves, so that both are ranges of the index: many may be
       due at the same time. */
    [READER_DUE] = READER_DUE_SQL
    " WHERE due_us = ?2 AND due_us < ?1 AND seq > ?3 AND " READER_DUE_LIVES
    " UNION ALL " READER_DUE_SQL " WHERE due_us > ?2 AND due_us < ?1 AND " READER_DUE_LIVES
    " ORDER BY due_us, seq LIMIT ?4",
    [READER_REMOVING] = "SELECT EXISTS (SELECT 1 FROM function_deleted)",
    [READER_EPOCH] = "SELECT epoch FROM lease WHERE name = 'server'",
    /* ?1 the first hour, ?2 how many rows, ?3 the module, or what names in the namespace begin
       with: "space/", or "" for those without a slash. */
    [READER_USAGE] = READER_USAGE_SUM_SQL " WHERE " READER_USAGE_SPACE
                                          " AND hour >= ?1 GROUP BY name ORDER BY name LIMIT ?2",
    [READER_USAGE_OF] =
        READER_USAGE_SUM_SQL " WHERE name = ?3 AND hour >= ?1 GROUP BY name LIMIT ?2",
    [READER_USAGE_HOURS] = READER_USAGE_SQL " WHERE " READER_USAGE_SPACE
                                            " AND hour >= ?1 ORDER BY name, hour LIMIT ?2",
    [READER_USAGE_HOURS_OF] =
        READER_USAGE_SQL " WHERE name = ?3 AND hour >= ?1 ORDER BY hour LIMIT ?2",
    [READER_QUOTA] = READER_QUOTA_SQL " WHERE f.name = ?1",
    [READER_QUOTAS] = READER_QUOTA_SQL
    " WHERE f.namespace_id = (SELECT id FROM namespace WHERE name = ?1) ORDER BY f.name",
    [READER_DURABLE_COUNTS] =
        "SELECT coalesce(sum(queued), 0), coalesce(sum(running), 0), coalesce(sum(suspended), 0),"
        " coalesce(sum(completed), 0), coalesce(sum(failed), 0), coalesce(sum(cancelled), 0),"
        " coalesce(sum(paused), 0) FROM durable_count",
};
