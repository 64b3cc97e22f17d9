/* SPDX-License-Identifier: Apache-2.0
 *
 * From a query to the read that answers it: a line for each row of queries.def. */
#include "store/sqlite/query.h"

#include "store/sqlite/reader.h"

/* What a query needs beside itself. */
struct query_context {
    struct store_reader *reader;
    int64_t epoch;
};

#define ANSWER(name, call)                                                                         \
    static enum err query_##name(const struct query_context *c, struct store_query *q)             \
    {                                                                                              \
        return call;                                                                               \
    }

ANSWER(namespaces,
       store_namespaces(c->reader, q->arena, &q->namespaces.rows, &q->namespaces.len, &q->error))
ANSWER(space, store_namespace(c->reader, q->arena, q->space.name, &q->space.row, &q->error))
ANSWER(tokens, store_tokens(c->reader, q->arena, q->tokens.space, &q->tokens.rows, &q->tokens.len,
                            &q->error))
ANSWER(token, store_token(c->reader, q->arena, q->token.id, &q->token.row, &q->error))
ANSWER(egress, store_egress(c->reader, q->arena, q->egress.space, &q->egress.rows, &q->egress.len,
                            &q->egress.denies, &q->error))
ANSWER(audits, store_audits(c->reader, q->arena, q->audits.space, q->audits.before, q->audits.limit,
                            &q->audits.rows, &q->audits.len, &q->error))
ANSWER(audit_check, store_audit_check(c->reader, q->arena, &q->audit_check.check, &q->error))
ANSWER(resources, store_resources(c->reader, q->arena, q->resources.space, q->resources.kind,
                                  &q->resources.rows, &q->resources.len, &q->error))
ANSWER(resource,
       store_resource(c->reader, q->arena, q->resource.space, q->resource.kind, q->resource.name,
                      &q->resource.row, &q->resource.users, &q->resource.users_len, &q->error))
ANSWER(resource_counts, store_resource_counts(c->reader, q->resource_counts.counts, &q->error))
ANSWER(kv_get, store_kv_get(c->reader, q->arena, q->kv_get.resource, q->kv_get.keys, q->kv_get.len,
                            q->kv_get.bytes_max, &q->kv_get.rows, &q->error))
ANSWER(kv_list, store_kv_list(c->reader, q->arena, q->kv_list.resource, q->kv_list.prefix,
                              q->kv_list.after, q->kv_list.limit, &q->kv_list.rows, &q->kv_list.len,
                              &q->kv_list.is_complete, &q->error))
ANSWER(object_get, store_object_get(c->reader, q->arena, q->object_get.resource, q->object_get.key,
                                    q->object_get.has_content, &q->object_get.row, &q->error))
ANSWER(object_list, store_object_list(c->reader, q))
ANSWER(upload_get,
       store_upload_get(c->reader, q->arena, q->upload_get.resource, q->upload_get.name,
                        &q->upload_get.row, &q->upload_get.parts, &q->upload_get.len, &q->error))
ANSWER(functions, store_functions(c->reader, q->arena, q->functions.space, q->functions.kind,
                                  &q->functions.rows, &q->functions.len, &q->error))
ANSWER(function, store_function(c->reader, q->arena, q->function.name, &q->function.row, &q->error))
ANSWER(version, store_version(c->reader, q->arena, q->version.function, q->version.number,
                              &q->version.row, &q->error))
ANSWER(versions, store_versions(c->reader, q->arena, q->versions.function, &q->versions.rows,
                                &q->versions.len, &q->error))
ANSWER(assets, store_assets_missing(c->reader, q->arena, q->assets.space, q->assets.hashes,
                                    &q->assets.missing, &q->error))
ANSWER(builds, store_builds(c->reader, q->arena, q->builds.function, &q->builds.rows,
                            &q->builds.len, &q->error))
ANSWER(build, store_build(c->reader, q->arena, q->build.function, q->build.number, &q->build.row,
                          &q->error))
ANSWER(env, q->env.is_shared ? store_shared_env(c->reader, q->arena, q->env.function, &q->env.rows,
                                                &q->env.len, &q->error)
                             : store_env(c->reader, q->arena, q->env.function, q->env.opens,
                                         &q->env.rows, &q->env.len, &q->error))
ANSWER(env_value, store_env_value(c->reader, q->env_value.function, q->env_value.name,
                                  q->env_value.version, q->env_value.out, &q->error))
ANSWER(executions,
       store_executions(c->reader, q->arena, q->executions.space, q->executions.function,
                        &q->executions.page, &q->executions.rows, &q->executions.len,
                        &q->executions.next, &q->error))
ANSWER(execution,
       store_execution(c->reader, q->arena, q->execution.id, &q->execution.row, &q->error))
ANSWER(logs, store_logs(c->reader, q->arena, q->logs.function, q->logs.execution, q->logs.after,
                        q->logs.limit, &q->logs.rows, &q->logs.len, &q->error))
ANSWER(durables, store_durables(c->reader, q->arena, &q->durables.filter, &q->durables.page,
                                &q->durables.rows, &q->durables.len, &q->durables.next, &q->error))
ANSWER(durable, store_durable(c->reader, q->arena, q->durable.id, &q->durable.row, &q->error))
ANSWER(journal, store_journal(c->reader, q->journal.id, q->journal.first, q->journal.bytes_max,
                              q->journal.out, &q->journal.start, &q->journal.count, &q->error))
ANSWER(snapshot,
       store_snapshot(c->reader, q->snapshot.id, q->snapshot.out, &q->snapshot.records, &q->error))
ANSWER(signals, store_signals(c->reader, q->arena, q->signals.id, q->signals.after,
                              &q->signals.rows, &q->signals.len, &q->error))
ANSWER(due, store_due(c->reader, q->arena, q->due.until_us, q->due.after_wake_us, q->due.after_seq,
                      q->due.limit, &q->due.rows, &q->due.len, &q->error))
ANSWER(dues, store_dues(c->reader, q->arena, q->dues.until_us, q->dues.after_due_us,
                        q->dues.after_seq, q->dues.limit, &q->dues.rows, &q->dues.len, &q->error))
ANSWER(messages, store_messages(c->reader, q, &q->error))
ANSWER(consumers, store_consumers(c->reader, q, &q->error))
ANSWER(schedules, store_schedules(c->reader, q, &q->error))
ANSWER(schedule, store_schedule(c->reader, q, &q->error))
ANSWER(schedule_counts, store_schedule_counts(c->reader, q, &q->error))
ANSWER(usage,
       store_usage(c->reader, q->arena, &q->usage.filter, &q->usage.rows, &q->usage.len, &q->error))
ANSWER(quota, store_quota(c->reader, q->quota.module, &q->quota.row, &q->error))
ANSWER(space_quota,
       store_namespace_quota(c->reader, q->space_quota.space, &q->space_quota.row, &q->error))
ANSWER(quotas, store_quotas(c->reader, q->arena, q->quotas.space, &q->quotas.rows, &q->quotas.len,
                            &q->error))
ANSWER(removing, store_is_removing(c->reader, &q->removing.is_removing, &q->error))
ANSWER(durable_counts, store_durable_counts(c->reader, &q->durable_counts.counts, &q->error))
ANSWER(owns, store_owns(c->reader, c->epoch, &q->error))

static enum err query_module_rows(struct store_reader *r, struct store_query *q)
{
    struct error *error = &q->error;
    struct slice name = q->module.name;
    enum err code = store_function(r, q->arena, name, &q->module.function, error);
    if (code == OK)
        code = store_version(r, q->arena, name, q->module.number, &q->module.version, error);
    if (code == OK)
        code = store_assets_of(r, q->arena, &q->module.version, error);
    q->module.split = (struct version_row){0};
    if (code == OK && q->module.number == 0 && q->module.function.split_version)
        code = store_version(r, q->arena, name, q->module.function.split_version, &q->module.split,
                             error);
    if (code == OK && q->module.split.number)
        code = store_assets_of(r, q->arena, &q->module.split, error);
    if (code == OK)
        code = store_resources_of(r, q->arena, &q->module.version, &q->module.resources,
                                  &q->module.resources_len, error);
    q->module.split_resources_len = 0;
    if (code == OK && q->module.split.number)
        code = store_resources_of(r, q->arena, &q->module.split, &q->module.split_resources,
                                  &q->module.split_resources_len, error);
    if (code == OK)
        code = store_env(r, q->arena, name, true, &q->module.env, &q->module.env_len, error);
    if (code == OK)
        code = store_quota(r, name, &q->module.quota, error);
    return code;
}

/* In one transaction, so that its rows are of one moment. */
static enum err query_module(const struct query_context *c, struct store_query *q)
{
    struct db *db = &c->reader->db;
    enum err code = db_run(db, READER_BEGIN, PARAMS(), &q->error);
    if (code != OK)
        return code;
    code = query_module_rows(c->reader, q);
    if (code == OK)
        code = db_run(db, READER_END, PARAMS(), &q->error);
    if (code != OK)
        db_rollback(db);
    return code;
}

void query_run(struct store_reader *r, int64_t epoch, struct store_query *q)
{
    static enum err (*const answers[])(const struct query_context *c, struct store_query *q) = {
#define QUERY(KIND, name) [STORE_QUERY_##KIND] = query_##name,
#include "store/queries.def"
#undef QUERY
    };
    struct query_context c = {.reader = r, .epoch = epoch};
    enum err code = answers[q->kind](&c, q);
    CHECK(code == OK || code == q->error.code);
}
