/* SPDX-License-Identifier: Apache-2.0
 *
 * Every SQL text that the writer runs. Numbers of statuses: build 0 queued, 1 bundling, 2
 * evaluating, 3 ready, 4 failed; execution 0 running, 1 success, 2 failure; durable 0 queued, 1
 * running, 2 suspended, 3 completed, 4 failed, 5 cancelled. */
#include "store/sqlite/writer.h"

_Static_assert(BUILD_QUEUED == 0 && BUILD_READY == 3 && BUILD_FAILED == 4, "stored as numbers");
_Static_assert(EXECUTION_RUNNING == 0 && EXECUTION_FAILURE == 2, "stored as numbers");

_Static_assert(DURABLE_QUEUED == 0 && DURABLE_COMPLETED == 3 && DURABLE_CANCELLED == 5,
               "stored as numbers");

#define WRITER_DURABLE_SQL                                                                         \
    "SELECT seq, function_id, version, status, is_paused, is_cancel_requested, has_waiters,"       \
    " records, events, signals_last, signals_waiting, wake_us, attempt, started_us, finished_us,"  \
    " lines, namespace_id FROM durable"

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
    [WRITER_BEGIN] = "BEGIN IMMEDIATE",
    [WRITER_COMMIT] = "COMMIT",
    [WRITER_SAVEPOINT] = "SAVEPOINT mutation",
    [WRITER_RELEASE] = "RELEASE mutation",
    [WRITER_ROLLBACK_TO] = "ROLLBACK TO mutation",
    [WRITER_PROBE] = "UPDATE probe SET at_us = ?1, filler = zeroblob(65536)",
    [WRITER_COUNT] =
        "UPDATE function SET executions_finished = executions_finished + ?2,"
        " log_lines = log_lines + ?3 WHERE id = ?1 RETURNING executions_finished, log_lines",

    [WRITER_EPOCH] = "SELECT epoch, owner FROM lease WHERE name = 'server'",
    [WRITER_COUNT_DURABLE] =
        "UPDATE durable_count SET queued = queued + ?2, running = running + ?3,"
        " suspended = suspended + ?4, completed = completed + ?5, failed = failed + ?6,"
        " cancelled = cancelled + ?7, paused = paused + ?8 WHERE function_id = ?1",
    [WRITER_COUNT_DURABLE_ADD] = "INSERT INTO durable_count SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
                                 " FROM function WHERE id = ?1",

    [WRITER_NAMESPACE_FIND] = "SELECT id FROM namespace WHERE name = ?1",
    [WRITER_NAMESPACE_COUNT] = "SELECT count(*) FROM namespace",
    [WRITER_NAMESPACE_ADD] = "INSERT INTO namespace (name, created_us) VALUES (?1, ?2)",
    [WRITER_NAMESPACE_USED] = "SELECT 1 FROM function WHERE namespace_id = ?1 LIMIT 1",
    [WRITER_NAMESPACE_DELETE] = "DELETE FROM namespace WHERE id = ?1",
    [WRITER_NAMESPACE_QUOTA_SET] =
        "INSERT OR REPLACE INTO namespace_quota (namespace_id, resource, max) VALUES (?1, ?2, ?3)",
    [WRITER_NAMESPACE_QUOTA_DELETE] =
        "DELETE FROM namespace_quota WHERE namespace_id = ?1 AND resource = ?2",
    [WRITER_NAMESPACE_QUOTAS_DELETE] = "DELETE FROM namespace_quota WHERE namespace_id = ?1",
    [WRITER_TOKEN_COUNT] = "SELECT count(*) FROM token WHERE namespace_id = ?1",
    [WRITER_TOKEN_ADD] = "INSERT INTO token (id, namespace_id, role, hash, created_us, used_us)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, 0)",
    [WRITER_TOKEN_DELETE] = "DELETE FROM token WHERE id = ?1 AND namespace_id = ?2",
    [WRITER_TOKEN_USED] = "UPDATE token SET used_us = ?2 WHERE id = ?1",
    [WRITER_TOKENS_DELETE] = "DELETE FROM token WHERE namespace_id = ?1",
    [WRITER_EGRESS_COUNT] = "SELECT count(*) FROM egress_rule WHERE namespace_id = ?1",
    /* A place before all, or behind all. */
    [WRITER_EGRESS_EDGES] = "SELECT CASE WHEN ?2 THEN coalesce(min(position), 0) - 1 ELSE "
                            "coalesce(max(position), 0) + 1"
                            " END FROM egress_rule WHERE namespace_id = ?1",
    [WRITER_EGRESS_NEXT] =
        "UPDATE namespace SET egress_last = egress_last + 1 WHERE id = ?1 RETURNING egress_last",
    [WRITER_EGRESS_ADD] =
        "INSERT INTO egress_rule (namespace_id, id, position, is_allow, methods, pattern, module)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [WRITER_EGRESS_REMOVE] = "DELETE FROM egress_rule WHERE namespace_id = ?1 AND id = ?2",
    [WRITER_EGRESS_DEFAULT] = "UPDATE namespace SET egress_denies = ?2 WHERE id = ?1",
    [WRITER_EGRESS_DELETE] = "DELETE FROM egress_rule WHERE namespace_id = ?1",
    [WRITER_AUDIT_HEAD] = "SELECT seq, hash FROM audit_head WHERE id = 1",
    [WRITER_AUDIT_HEAD_SET] = "UPDATE audit_head SET seq = ?1, hash = ?2 WHERE id = 1",
    [WRITER_AUDIT_ADD] =
        "INSERT INTO audit (seq, at_us, actor, namespace, action, target, outcome, hash)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [WRITER_AUDIT_FROM] = "SELECT seq, at_us, actor, namespace, action, target, outcome, hash"
                          " FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [WRITER_AUDIT_ANCHOR] = "SELECT seq, hash FROM audit_anchor WHERE id = 1",
    [WRITER_AUDIT_ANCHOR_SET] =
        "UPDATE audit_anchor SET seq = ?1, hash = ?2, at_us = ?3, signature = ?4 WHERE id = 1",
    [WRITER_AUDIT_TRIM] = "DELETE FROM audit WHERE seq <= ?1",
    [WRITER_FUNCTION_FIND] = "SELECT id, kind, version FROM function WHERE name = ?1",
    [WRITER_FUNCTION_ADD] = "INSERT INTO function (name, kind, created_us, updated_us,"
                            " namespace_id) VALUES (?1, ?2, ?3, ?3, ?4) RETURNING id",
    [WRITER_FUNCTION_BUILD_NEXT] =
        "UPDATE function SET build_last = build_last + 1, updated_us = ?2"
        " WHERE id = ?1 RETURNING build_last",
    [WRITER_FUNCTION_TOUCH] = "UPDATE function SET updated_us = ?2 WHERE id = ?1",
    [WRITER_FUNCTION_VERSION_SET] =
        "UPDATE function SET version_last = version_last + 1, version = version_last + 1,"
        " split_version = 0, split_permyriad = 0, updated_us = ?2 WHERE id = ?1 RETURNING version",
    [WRITER_FUNCTION_VERSION_NEXT] = "UPDATE function SET version_last = version_last + 1,"
                                     " updated_us = ?2 WHERE id = ?1 RETURNING version_last",
    [WRITER_FUNCTION_SERVE] =
        "UPDATE function SET version = ?2, split_version = 0, split_permyriad = 0, updated_us = ?3"
        " WHERE id = ?1",
    [WRITER_FUNCTION_SPLIT] =
        "UPDATE function SET split_version = ?2, split_permyriad = ?3, updated_us = ?4"
        " WHERE id = ?1",
    [WRITER_FUNCTION_SPLIT_END] =
        "UPDATE function SET split_version = 0, split_permyriad = 0, updated_us = ?3"
        " WHERE id = ?1 AND split_version = ?2",
    [WRITER_FUNCTION_DELETE] = "DELETE FROM function WHERE id = ?1",
    [WRITER_FUNCTION_DELETED_ADD] = "INSERT INTO function_deleted (function_id) VALUES (?1)",

    [WRITER_BUILD_ADD] =
        "INSERT INTO build (function_id, number, status, created_us) VALUES (?1, ?2, 0, ?3)",
    [WRITER_BUILD_FIND] = "SELECT status FROM build WHERE function_id = ?1 AND number = ?2",
    [WRITER_BUILD_SET] =
        "UPDATE build SET status = ?3, started_us = iif(started_us = 0 AND ?3 > 0, ?4, started_us),"
        " finished_us = iif(?3 >= 3, ?4, 0) WHERE function_id = ?1 AND number = ?2",
    [WRITER_BUILD_FAIL] =
        "UPDATE build SET status = 4, started_us = iif(started_us = 0, ?3, started_us), "
        "finished_us = ?3,"
        " error_message = ?4, error_file = ?5, error_frame = ?6, error_line = ?7, error_column = ?8"
        " WHERE function_id = ?1 AND number = ?2",
    [WRITER_BUILD_READY] = "UPDATE build SET status = 3, started_us = iif(started_us = 0, ?3, "
                           "started_us), finished_us = ?3,"
                           " version = ?4 WHERE function_id = ?1 AND number = ?2",
    [WRITER_BUILDS_DELETE] = "DELETE FROM build WHERE function_id = ?1",

    [WRITER_VERSION_FIND] =
        "SELECT hash, source_map_hash, exports, options, assets_hash FROM version"
        " WHERE function_id = ?1 AND number = ?2",
    [WRITER_VERSION_ADD] = "INSERT INTO version (function_id, number, hash, source_map_hash, "
                           "exports, is_setup_done, options,"
                           " created_us, assets_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [WRITER_ASSET_SET_HAS] = "SELECT 1 FROM asset_set WHERE hash = ?1",
    [WRITER_ASSET_SET_ADD] = "INSERT INTO asset_set (hash, manifest) VALUES (?1, ?2)",
    [WRITER_ASSET_USE_ADD] =
        "INSERT OR IGNORE INTO asset_use (set_hash, hash) SELECT ?1, hash FROM asset_known"
        " WHERE hash = ?2 AND space = ?3",
    [WRITER_ASSET_USE_HAS] = "SELECT 1 FROM asset_known WHERE hash = ?1 AND space = ?2",
    [WRITER_ASSET_KNOWN_ADD] = "INSERT OR IGNORE INTO asset_known (hash, space) VALUES (?1, ?2)",
    [WRITER_TIDY_ASSET_SET] =
        "SELECT hash FROM asset_set s WHERE NOT EXISTS"
        " (SELECT 1 FROM version WHERE assets_hash = s.hash AND assets_hash <> '') LIMIT 1",
    [WRITER_TIDY_ASSET_UNUSED] = "INSERT OR IGNORE INTO artifact_unused (hash)"
                                 " SELECT hash FROM asset_use WHERE set_hash = ?1",
    [WRITER_TIDY_ASSET_USES] = "DELETE FROM asset_use WHERE set_hash = ?1",
    [WRITER_TIDY_ASSET_SET_DONE] = "DELETE FROM asset_set WHERE hash = ?1",
    [WRITER_TIDY_ASSET_KNOWN] = "DELETE FROM asset_known WHERE hash = ?1",
    [WRITER_VERSION_DETAIL_SET] =
        "UPDATE version SET source_map_hash = ?3 WHERE function_id = ?1 AND number = ?2",
    [WRITER_VERSION_SETUP_DONE] =
        "UPDATE version SET is_setup_done = 1 WHERE function_id = ?1 AND number = ?2",
    [WRITER_VERSIONS_DELETE] = "DELETE FROM version WHERE function_id = ?1",
    [WRITER_ARTIFACT_UNUSED_ADD] = "INSERT OR IGNORE INTO artifact_unused (hash) VALUES (?1)",
    [WRITER_ARTIFACTS_UNUSED_ADD] =
        "INSERT OR IGNORE INTO artifact_unused (hash)"
        " SELECT hash FROM version WHERE function_id = ?1 UNION"
        " SELECT source_map_hash FROM version WHERE function_id = ?1 AND source_map_hash <> ''",

    [WRITER_ENV_HAS] = "SELECT is_secret FROM env WHERE function_id = ?1 AND name = ?2",
    [WRITER_ENV_COUNT] = "SELECT count(*) FROM env WHERE function_id = ?1",
    [WRITER_ENV_KEEP] =
        "INSERT OR REPLACE INTO env_former (function_id, name, version, value, until_us, is_secret,"
        " hosts) SELECT e.function_id, e.name, e.version, e.value, ?3, e.is_secret, e.hosts"
        " FROM env e JOIN function f"
        " ON f.id = e.function_id WHERE e.function_id = ?1 AND e.name = ?2 AND f.kind = 1",
    [WRITER_ENV_KEEP_SHARED] =
        "INSERT OR REPLACE INTO env_former (function_id, name, version, value, until_us, is_secret,"
        " hosts) SELECT function_id, name, version, value, ?3, is_secret, hosts"
        " FROM env WHERE function_id = ?1 AND name = ?2",
    [WRITER_ENV_HOSTS] = "SELECT hosts FROM env WHERE function_id = ?1 AND name = ?2",
    [WRITER_ENV_NEXT_SHARED] =
        "UPDATE namespace SET env_last = env_last + 1 WHERE id = -?1 RETURNING env_last",
    [WRITER_ENVS_DELETE_SHARED] = "DELETE FROM env WHERE function_id = -?1",
    [WRITER_ENV_FORMERS_DELETE_SHARED] = "DELETE FROM env_former WHERE function_id = -?1",
    [WRITER_ENV_NEXT] =
        "UPDATE function SET env_last = env_last + 1 WHERE id = ?1 RETURNING env_last",
    [WRITER_ENV_SET] =
        "INSERT INTO env (function_id, name, value, created_us, updated_us, version,"
        " is_secret, hosts) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7) ON CONFLICT (function_id, name)"
        " DO UPDATE SET value = excluded.value, updated_us = excluded.updated_us,"
        " version = excluded.version, hosts = excluded.hosts",
    [WRITER_ENV_DELETE] = "DELETE FROM env WHERE function_id = ?1 AND name = ?2 AND is_secret = ?3",
    [WRITER_ENVS_DELETE] = "DELETE FROM env WHERE function_id = ?1",
    [WRITER_ENV_FORMERS_DELETE] = "DELETE FROM env_former WHERE function_id = ?1",
    /* The oldest execution of a workflow is the first of one of the statuses in the index. */
    [WRITER_ENV_FORMERS_TIDY] =
        "DELETE FROM env_former WHERE function_id > 0 AND until_us < " ENV_OLDEST(
            "function_id = env_former.function_id"),
    [WRITER_ENV_FORMERS_TIDY_SHARED] =
        "DELETE FROM env_former WHERE function_id < 0 AND until_us < " ENV_OLDEST(
            "namespace_id = -env_former.function_id"),

    [WRITER_USAGE_ADD] =
        "INSERT INTO usage (hour, name, requests, cpu_us, memory_byte_s, egress_bytes)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (hour, name) DO UPDATE SET"
        " requests = requests + excluded.requests, cpu_us = cpu_us + excluded.cpu_us,"
        " memory_byte_s = memory_byte_s + excluded.memory_byte_s,"
        " egress_bytes = egress_bytes + excluded.egress_bytes",
    [WRITER_QUOTA_SET] =
        "INSERT OR REPLACE INTO quota (function_id, resource, max) VALUES (?1, ?2, ?3)",
    [WRITER_QUOTA_DELETE] = "DELETE FROM quota WHERE function_id = ?1 AND resource = ?2",
    [WRITER_QUOTAS_DELETE] = "DELETE FROM quota WHERE function_id = ?1",

    [WRITER_EXECUTION_ADD] =
        "INSERT INTO execution (id, function_id, version, status, input, output, metadata, error,"
        " created_us, finished_us, namespace_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
        " (SELECT namespace_id FROM function WHERE id = ?2)) ON CONFLICT (id) DO NOTHING",
    [WRITER_EXECUTION_FINISH] =
        "UPDATE execution SET status = ?2, output = ?3, error = ?4, finished_us = ?5"
        " WHERE id = ?1 AND status = 0 AND function_id IN (SELECT id FROM function)"
        " RETURNING function_id",
    [WRITER_EXECUTION_FIND] = "SELECT status FROM execution WHERE id = ?1"
                              " AND function_id IN (SELECT id FROM function)",
    [WRITER_LOG_ADD] = "INSERT INTO log (function_id, execution, level, at_us, text)"
                       " VALUES (?1, ?2, ?3, ?4, ?5)",

    [WRITER_DURABLE_ADD] =
        "INSERT INTO durable (seq, function_id, version, status, is_paused, is_cancel_requested,"
        " has_waiters, records, events, signals_last, signals_waiting, wake_us, due_us, attempt,"
        " created_us, started_us, finished_us, id, parent, export_name, key, namespace_id)"
        " VALUES (?1, ?2, ?3, 0, 0, 0, 0, ?4, ?5, ?6, 0, 0, 0, 1, ?7, 0, 0, ?8, ?9, ?10, ?11,"
        " (SELECT namespace_id FROM function WHERE id = ?2))"
        " ON CONFLICT (id) DO NOTHING",
    [WRITER_DURABLE_FIND] =
        WRITER_DURABLE_SQL " WHERE id = ?1 AND function_id IN (SELECT id FROM function)",
    [WRITER_DURABLE_FIND_ANY] = WRITER_DURABLE_SQL " WHERE id = ?1",
    /* Few statuses more than these are in the index of a parent's children. */
    [WRITER_DURABLE_CHILDREN] =
        WRITER_DURABLE_SQL " WHERE parent = ?1 AND parent <> '' AND status < 3",
    [WRITER_DURABLE_PARENT] = "SELECT parent FROM durable WHERE seq = ?1",
    /* What is in no index. */
    [WRITER_DURABLE_MARK] =
        "UPDATE durable SET version = ?2, is_cancel_requested = ?3, has_waiters = ?4,"
        " records = ?5, events = ?6, signals_last = ?7, signals_waiting = ?8, attempt = ?9,"
        " started_us = ?10, lines = ?11 WHERE seq = ?1",
    [WRITER_DURABLE_MOVE] =
        "UPDATE durable SET version = ?2, is_cancel_requested = ?3, has_waiters = ?4,"
        " records = ?5, events = ?6, signals_last = ?7, signals_waiting = ?8, attempt = ?9,"
        " started_us = ?10, status = ?11, is_paused = ?12, wake_us = ?13, due_us = ?14,"
        " finished_us = ?15, lines = ?16 WHERE seq = ?1",
    [WRITER_DURABLE_DELETE] = "DELETE FROM durable WHERE seq = ?1",
    [WRITER_DURABLE_TEXT_ADD] =
        "INSERT INTO durable_text (execution, input, metadata) VALUES (?1, ?2, ?3)",
    [WRITER_DURABLE_TEXTS] = "SELECT d.export_name, t.input, t.metadata FROM durable d"
                             " JOIN durable_text t ON t.execution = d.seq WHERE d.seq = ?1",
    [WRITER_DURABLE_TEXT_PROGRESS] = "UPDATE durable_text SET progress = ?2 WHERE execution = ?1",
    [WRITER_DURABLE_TEXT_END] =
        "UPDATE durable_text SET output = ?2, error = ?3 WHERE execution = ?1",
    [WRITER_DURABLE_TEXT_PARKED] = "UPDATE durable_text SET parked = ?2 WHERE execution = ?1",
    [WRITER_DURABLE_CRASHED] =
        "UPDATE durable SET crashes = CASE WHEN records > crashed_records THEN 1 ELSE crashes + 1"
        " END, crashed_records = records WHERE seq = ?1 RETURNING crashes",
    [WRITER_DURABLE_UNCRASHED] =
        "UPDATE durable SET crashes = 0, crashed_records = -1 WHERE seq = ?1 AND crashes > 0",
    [WRITER_DURABLE_TEXT_DELETE] = "DELETE FROM durable_text WHERE execution = ?1",
    [WRITER_DURABLE_WAITER_ADD] =
        "INSERT OR IGNORE INTO durable_waiter (execution, waiter) VALUES (?1, ?2)",
    [WRITER_DURABLE_WAITERS] = "SELECT waiter FROM durable_waiter WHERE execution = ?1",
    [WRITER_DURABLE_WAITERS_DELETE] = "DELETE FROM durable_waiter WHERE execution = ?1",
    [WRITER_DURABLE_COUNT_DELETE] = "DELETE FROM durable_count WHERE function_id = ?1",
    [WRITER_DURABLE_PURGE_ADD] =
        "INSERT OR REPLACE INTO durable_purge (execution, is_all) VALUES (?1, ?2)",
    [WRITER_DURABLE_PURGE_DELETE] = "DELETE FROM durable_purge WHERE execution = ?1",

    [WRITER_JOURNAL_ADD] = "INSERT INTO journal (place, count, records) VALUES (?1, ?2, ?3)",
    /* ?1: first place of the journal, ?2: the place that a chunk must end at. */
    [WRITER_JOURNAL_LAST] = "SELECT place + count FROM journal WHERE place >= ?1 AND place < ?2"
                            " ORDER BY place DESC LIMIT 1",
    [WRITER_JOURNAL_CUT] = "DELETE FROM journal WHERE place >= ?1 AND place < ?2",
    [WRITER_JOURNAL_COPY] = "INSERT INTO journal (place, count, records)"
                            " SELECT place + ?3, count, records FROM journal"
                            " WHERE place >= ?1 AND place < ?2 ORDER BY place",
    [WRITER_SNAPSHOT_SET] =
        "INSERT OR REPLACE INTO snapshot (execution, records, data) VALUES (?1, ?2, ?3)",
    [WRITER_SNAPSHOT_DELETE] = "DELETE FROM snapshot WHERE execution = ?1",
    [WRITER_SIGNAL_ADD] =
        "INSERT INTO signal (execution, seq, at_us, name, data) VALUES (?1, ?2, ?3, ?4, ?5)",
    [WRITER_SIGNAL_PUT_BACK] = "INSERT OR IGNORE INTO signal (execution, seq, at_us, name, data)"
                               " VALUES (?1, ?2, ?3, ?4, ?5)",
    [WRITER_SIGNALS_COPY] = "INSERT INTO signal (execution, seq, at_us, name, data)"
                            " SELECT ?2, seq, at_us, name, data FROM signal WHERE execution = ?1",
    [WRITER_SIGNAL_DELETE] = "DELETE FROM signal WHERE execution = ?1 AND seq = ?2",
    [WRITER_SIGNALS_DELETE] =
        "DELETE FROM signal WHERE execution = ?1 AND seq IN"
        " (SELECT seq FROM signal WHERE execution = ?1 ORDER BY seq LIMIT ?2)",
    [WRITER_SIGNAL_ONCE_FIND] = "SELECT seq FROM signal_once WHERE execution = ?1 AND once = ?2",
    [WRITER_SIGNAL_ONCE_ADD] = "INSERT INTO signal_once (execution, once, seq) VALUES (?1, ?2, ?3)",
    [WRITER_SIGNAL_ONCES_DELETE] =
        "DELETE FROM signal_once WHERE execution = ?1 AND once IN"
        " (SELECT once FROM signal_once WHERE execution = ?1 ORDER BY once LIMIT ?2)",

    [WRITER_TIDY_DELETED] = "SELECT function_id FROM function_deleted LIMIT 1",
    [WRITER_TIDY_DELETED_EXECUTIONS] =
        "DELETE FROM execution WHERE seq IN"
        " (SELECT seq FROM execution WHERE function_id = ?1 ORDER BY seq LIMIT ?2)",
    [WRITER_TIDY_DELETED_LOGS] =
        "DELETE FROM log WHERE id IN"
        " (SELECT id FROM log WHERE function_id = ?1 ORDER BY id LIMIT ?2)",
    [WRITER_TIDY_DELETED_DURABLES] = WRITER_DURABLE_SQL " WHERE function_id = ?1 LIMIT 1",
    [WRITER_TIDY_DELETED_DONE] = "DELETE FROM function_deleted WHERE function_id = ?1",
    /* ?1, ?2: counts from which trimming pays; ?3, ?4: what is kept. */
    [WRITER_TIDY_EXCESS] =
        "SELECT id, max(0, executions_finished - ?3), max(0, log_lines - ?4) FROM function"
        " WHERE executions_finished >= ?1 OR log_lines >= ?2 LIMIT 1",
    [WRITER_TIDY_EXECUTIONS] = "DELETE FROM execution WHERE seq IN (SELECT seq FROM execution"
                               " WHERE function_id = ?1 AND status <> 0 ORDER BY seq LIMIT ?2)",
    [WRITER_TIDY_LOGS] = "DELETE FROM log WHERE id IN"
                         " (SELECT id FROM log WHERE function_id = ?1 ORDER BY id LIMIT ?2)",
    /* The counts as they are, should they ever have gone wrong: a step that finds less than it
       expected. */
    [WRITER_TIDY_COUNTED] =
        "UPDATE function SET"
        " executions_finished = (SELECT count(*) FROM execution WHERE function_id = ?1 AND status "
        "<> 0),"
        " log_lines = (SELECT count(*) FROM log WHERE function_id = ?1) WHERE id = ?1",
    /* Finished executions in the order of their ends, from after (?1, ?2), which ended before ?3.
     */
    [WRITER_TIDY_RETAIN] = WRITER_DURABLE_SQL
    " WHERE finished_us > 0 AND (finished_us, seq) > (?1, ?2) AND finished_us < ?3"
    " ORDER BY finished_us, seq LIMIT 1",
    [WRITER_TIDY_RETAIN_NEXT] = "SELECT finished_us FROM durable WHERE finished_us > 0"
                                " AND finished_us >= ?1 ORDER BY finished_us LIMIT 1",
    /* May somebody who has not ended still ask for its result? */
    [WRITER_TIDY_RETAIN_WANTED] =
        "SELECT EXISTS (SELECT 1 FROM durable c JOIN durable p ON p.id = c.parent"
        " WHERE c.seq = ?1 AND c.parent <> '' AND p.finished_us = 0)"
        " OR EXISTS (SELECT 1 FROM durable_waiter w JOIN durable p ON p.id = w.waiter"
        " WHERE w.execution = ?1 AND p.finished_us = 0)",
    [WRITER_TIDY_PURGE] = "SELECT execution, is_all FROM durable_purge LIMIT 1",
    [WRITER_TIDY_PURGE_JOURNAL] = "SELECT place, length(records) FROM journal"
                                  " WHERE place >= ?1 AND place < ?2 ORDER BY place LIMIT ?3",
    [WRITER_TIDY_USAGE] = "DELETE FROM usage WHERE (hour, name) IN"
                          " (SELECT hour, name FROM usage WHERE hour < ?1"
                          " ORDER BY hour, name LIMIT ?2)",
    [WRITER_TIDY_ARTIFACTS] =
        "SELECT hash FROM artifact_unused WHERE hash > ?1 ORDER BY hash LIMIT 1",
    [WRITER_TIDY_ARTIFACT_USED] = "SELECT 1 WHERE EXISTS (SELECT 1 FROM version WHERE hash = ?1)"
                                  " OR EXISTS (SELECT 1 FROM version WHERE source_map_hash = ?1)"
                                  " OR EXISTS (SELECT 1 FROM asset_use WHERE hash = ?1)",
    [WRITER_TIDY_ARTIFACT_DONE] = "DELETE FROM artifact_unused WHERE hash = ?1",
};
