/* SPDX-License-Identifier: Apache-2.0
 *
 * The reads of SQLite's backend, as plain calls: what store_read() answers a query with
 * (query.c), and what the store's own tests ask directly. What each gives is said in store.h. A
 * reader belongs to one thread at a time; microseconds, from the page cache. */
#pragma once

#include "store/store.h"

struct store_reader;

NODISCARD enum err store_reader_open(struct store *s, struct store_reader **ret_reader,
                                     struct error *ret_error);
void store_reader_close(struct store_reader *r);

NODISCARD enum err store_namespaces(struct store_reader *r, struct arena *a,
                                    struct namespace_row **ret_rows, size_t *ret_len,
                                    struct error *ret_error);
NODISCARD enum err store_namespace(struct store_reader *r, struct arena *a, struct slice name,
                                   struct namespace_row *ret_row, struct error *ret_error);
NODISCARD enum err store_tokens(struct store_reader *r, struct arena *a, struct slice space,
                                struct token_row **ret_rows, size_t *ret_len,
                                struct error *ret_error);
NODISCARD enum err store_token(struct store_reader *r, struct arena *a, struct slice id,
                               struct token_row *ret_row, struct error *ret_error);
NODISCARD enum err store_egress(struct store_reader *r, struct arena *a, struct slice space,
                                struct egress_rule_row **ret_rows, size_t *ret_len,
                                bool *ret_denies, struct error *ret_error);
NODISCARD enum err store_audits(struct store_reader *r, struct arena *a, struct slice space,
                                int64_t before, int64_t limit, struct audit_row **ret_rows,
                                size_t *ret_len, struct error *ret_error);
NODISCARD enum err store_audit_check(struct store_reader *r, struct arena *a,
                                     struct audit_check *check, struct error *ret_error);
NODISCARD enum err store_functions(struct store_reader *r, struct arena *a, struct slice space,
                                   enum module_kind kind, struct function_row **ret_rows,
                                   size_t *ret_len, struct error *ret_error);
NODISCARD enum err store_function(struct store_reader *r, struct arena *a, struct slice name,
                                  struct function_row *ret_row, struct error *ret_error);
/* number 0: the serving one */
NODISCARD enum err store_version(struct store_reader *r, struct arena *a, struct slice function,
                                 int64_t number, struct version_row *ret_row,
                                 struct error *ret_error);
NODISCARD enum err store_assets_missing(struct store_reader *r, struct arena *a, struct slice space,
                                        struct slice hashes, struct slice *ret_missing,
                                        struct error *ret_error);
/* Fills in row->assets. */
NODISCARD enum err store_assets_of(struct store_reader *r, struct arena *a, struct version_row *row,
                                   struct error *ret_error);
NODISCARD enum err store_versions(struct store_reader *r, struct arena *a, struct slice function,
                                  struct version_row **ret_rows, size_t *ret_len,
                                  struct error *ret_error);
NODISCARD enum err store_builds(struct store_reader *r, struct arena *a, struct slice function,
                                struct build_row **ret_rows, size_t *ret_len,
                                struct error *ret_error);
NODISCARD enum err store_build(struct store_reader *r, struct arena *a, struct slice function,
                               int64_t number, struct build_row *ret_row, struct error *ret_error);
NODISCARD enum err store_env(struct store_reader *r, struct arena *a, struct slice function,
                             bool opens, struct env_row **ret_rows, size_t *ret_len,
                             struct error *ret_error);
NODISCARD enum err store_shared_env(struct store_reader *r, struct arena *a, struct slice space,
                                    struct env_row **ret_rows, size_t *ret_len,
                                    struct error *ret_error);
/* The value that a variable of a workflow had under this version, which need not be the one that it
 * has now. Kept as long as an execution is there that began before it was replaced; ERR_NOT_FOUND.
 */
NODISCARD enum err store_env_value(struct store_reader *r, struct slice function, struct slice name,
                                   int64_t version, struct bytes *out, struct error *ret_error);
NODISCARD enum err store_executions(struct store_reader *r, struct arena *a, struct slice space,
                                    struct slice function /* "": all */,
                                    const struct store_page *page, struct execution_row **ret_rows,
                                    size_t *ret_len, struct slice *ret_next,
                                    struct error *ret_error);
NODISCARD enum err store_execution(struct store_reader *r, struct arena *a, struct slice id,
                                   struct execution_row *ret_row, struct error *ret_error);
/* Lines with id > after (after -1: the newest limit lines), oldest first; execution "" for all. */
NODISCARD enum err store_logs(struct store_reader *r, struct arena *a, struct slice function,
                              struct slice execution, int64_t after, int64_t limit,
                              struct log_row **ret_rows, size_t *ret_len, struct error *ret_error);

/* Newest first. */
NODISCARD enum err store_durables(struct store_reader *r, struct arena *a,
                                  const struct durable_filter *filter,
                                  const struct store_page *page, struct durable_row **ret_rows,
                                  size_t *ret_len, struct slice *ret_next, struct error *ret_error);
NODISCARD enum err store_durable(struct store_reader *r, struct arena *a, struct slice id,
                                 struct durable_row *ret_row, struct error *ret_error);
/* Appends whole chunks, from the one that holds record `first` on, until out holds bytes_max or the
 * journal ends. *ret_first: number of the first record appended (at or below first); *ret_count. */
NODISCARD enum err store_journal(struct store_reader *r, struct slice id, int64_t first,
                                 size_t bytes_max, struct bytes *out, int64_t *ret_first,
                                 int64_t *ret_count, struct error *ret_error);
/* *ret_records: the state is that after so many records; 0 and nothing appended: there is none. */
NODISCARD enum err store_snapshot(struct store_reader *r, struct slice id, struct bytes *out,
                                  int64_t *ret_records, struct error *ret_error);
/* Not consumed yet, with seq > after, in order; at most 1000. */
NODISCARD enum err store_signals(struct store_reader *r, struct arena *a, struct slice id,
                                 int64_t after, struct durable_signal **ret_rows, size_t *ret_len,
                                 struct error *ret_error);
/* Unfinished, not paused, due before until_us; by (wake_us, seq), from after the pair given (0, 0:
 * from the start); at most limit. One index, no scan. */
NODISCARD enum err store_due(struct store_reader *r, struct arena *a, int64_t until_us,
                             int64_t after_wake_us, int64_t after_seq, int64_t limit,
                             struct durable_due **ret_rows, size_t *ret_len,
                             struct error *ret_error);
/* Likewise, of table due. */
NODISCARD enum err store_dues(struct store_reader *r, struct arena *a, int64_t until_us,
                              int64_t after_due_us, int64_t after_seq, int64_t limit,
                              struct due_row **ret_rows, size_t *ret_len, struct error *ret_error);
/* As their queries say. */
NODISCARD enum err store_messages(struct store_reader *r, struct store_query *q,
                                  struct error *ret_error);
NODISCARD enum err store_consumers(struct store_reader *r, struct store_query *q,
                                   struct error *ret_error);
NODISCARD enum err store_schedules(struct store_reader *r, struct store_query *q,
                                   struct error *ret_error);
NODISCARD enum err store_schedule(struct store_reader *r, struct store_query *q,
                                  struct error *ret_error);
NODISCARD enum err store_schedule_counts(struct store_reader *r, struct store_query *q,
                                         struct error *ret_error);
/* Of a namespace and kind, by name. */
NODISCARD enum err store_resources(struct store_reader *r, struct arena *a, struct slice space,
                                   enum resource_kind kind, struct resource_row **ret_rows,
                                   size_t *ret_len, struct error *ret_error);
/* ERR_NOT_FOUND. ret_users: modules that serve with it. */
NODISCARD enum err store_resource(struct store_reader *r, struct arena *a, struct slice space,
                                  enum resource_kind kind, struct slice name,
                                  struct resource_row *ret_row, struct slice **ret_users,
                                  size_t *ret_users_len, struct error *ret_error);
/* What a version is bound to; of what was deleted since, the id is 0. */
NODISCARD enum err store_resources_of(struct store_reader *r, struct arena *a,
                                      const struct version_row *version,
                                      struct resource_row **ret_rows, size_t *ret_len,
                                      struct error *ret_error);
NODISCARD enum err store_resource_counts(struct store_reader *r,
                                         struct resource_counts ret_counts[RESOURCE_KINDS],
                                         struct error *ret_error);
/* A row for each key, of version 0 where there is none. */
NODISCARD enum err store_kv_get(struct store_reader *r, struct arena *a, int64_t resource,
                                const struct slice *keys, size_t len, int64_t bytes_max,
                                struct kv_row **ret_rows, struct error *ret_error);
NODISCARD enum err store_kv_list(struct store_reader *r, struct arena *a, int64_t resource,
                                 struct slice prefix, struct slice after, int64_t limit,
                                 struct kv_row **ret_rows, size_t *ret_len, bool *ret_is_complete,
                                 struct error *ret_error);
NODISCARD enum err store_object_get(struct store_reader *r, struct arena *a, int64_t resource,
                                    struct slice key, bool has_content, struct object_row *ret_row,
                                    struct error *ret_error);
NODISCARD enum err store_object_list(struct store_reader *r, struct store_query *q);
NODISCARD enum err store_upload_get(struct store_reader *r, struct arena *a, int64_t resource,
                                    struct slice name, struct upload_row *ret_row,
                                    struct object_file **ret_parts, size_t *ret_len,
                                    struct error *ret_error);
/* By module, then hour. ERR_TOO_LARGE above LIMIT_USAGE_ROWS. */
NODISCARD enum err store_usage(struct store_reader *r, struct arena *a,
                               const struct usage_filter *filter, struct usage_row **ret_rows,
                               size_t *ret_len, struct error *ret_error);
/* Of a module without quotas, or that does not exist: all 0. */
NODISCARD enum err store_quota(struct store_reader *r, struct slice module,
                               struct quota_row *ret_row, struct error *ret_error);
/* Of those that have one, by name. */
NODISCARD enum err store_namespace_quota(struct store_reader *r, struct slice space,
                                         struct quota_row *ret_row, struct error *ret_error);
NODISCARD enum err store_quotas(struct store_reader *r, struct arena *a, struct slice space,
                                struct quota_row **ret_rows, size_t *ret_len,
                                struct error *ret_error);
/* Is anything of deleted functions still to be removed? Executions of theirs are gone at once for
 * every reader, but who waits for one is made due only when it is removed. */
NODISCARD enum err store_is_removing(struct store_reader *r, bool *ret_is_removing,
                                     struct error *ret_error);
/* Kept by the writer, so this reads six numbers. */
NODISCARD enum err store_durable_counts(struct store_reader *r, struct durable_counts *ret_counts,
                                        struct error *ret_error);
NODISCARD enum err store_owns(struct store_reader *r, int64_t epoch, struct error *ret_error);
