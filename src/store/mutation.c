/* SPDX-License-Identifier: Apache-2.0
 *
 * The mutations of store.h: each packs its arguments and queues them. Any thread; nothing here
 * waits. */
#include "store/internal.h"

/* A template with its common fields. An op without a callback may be gone before the writer gets to
 * it, so it is as good as none. */
static struct mutation mutation_of(enum mutation_kind kind, struct store_op *op,
                                   struct slice function)
{
    return (struct mutation){.kind = kind, .op = op && op->done ? op : NULL, .function = function};
}

/* Queues m with these texts, which are fields of it. */
static void mutation_send(struct store *s, struct mutation *m, struct slice *const *texts)
{
    for (size_t i = 0; texts[i]; i++)
        m->bytes += texts[i]->len;
    mutation_push(s, m, texts);
}

#define TEXTS(...) ((struct slice *const[]){__VA_ARGS__, NULL})

void store_namespace_create(struct store *s, struct store_op *op, struct slice name)
{
    struct mutation m = mutation_of(MUTATION_NAMESPACE_CREATE, op, SLICE_EMPTY);
    m.name = name;
    mutation_send(s, &m, TEXTS(&m.name));
}

void store_namespace_delete(struct store *s, struct store_op *op, struct slice name)
{
    struct mutation m = mutation_of(MUTATION_NAMESPACE_DELETE, op, SLICE_EMPTY);
    m.name = name;
    mutation_send(s, &m, TEXTS(&m.name));
}

void store_token_create(struct store *s, struct store_op *op, const struct token_row *row)
{
    struct mutation m = mutation_of(MUTATION_TOKEN_CREATE, op, row->space);
    m.name = row->id;
    m.value = row->hash;
    m.number = row->role;
    mutation_send(s, &m, TEXTS(&m.function, &m.name, &m.value));
}

void store_token_revoke(struct store *s, struct store_op *op, struct slice space, struct slice id)
{
    struct mutation m = mutation_of(MUTATION_TOKEN_REVOKE, op, space);
    m.name = id;
    mutation_send(s, &m, TEXTS(&m.function, &m.name));
}

void store_token_used(struct store *s, struct store_op *op, struct slice id, int64_t at_us)
{
    struct mutation m = mutation_of(MUTATION_TOKEN_USED, op, SLICE_EMPTY);
    m.name = id;
    m.number = at_us;
    mutation_send(s, &m, TEXTS(&m.name));
}

void store_build_start(struct store *s, struct store_op *op, struct slice function,
                       enum store_kind kind)
{
    struct mutation m = mutation_of(MUTATION_BUILD_START, op, function);
    m.function_kind = kind;
    mutation_send(s, &m, TEXTS(&m.function));
}

void store_build_status(struct store *s, struct store_op *op, struct slice function, int64_t build,
                        enum build_status status)
{
    struct mutation m = mutation_of(MUTATION_BUILD_STATUS, op, function);
    m.number = build;
    m.build_status = status;
    mutation_send(s, &m, TEXTS(&m.function));
}

void store_build_fail(struct store *s, struct store_op *op, const struct build_row *row)
{
    struct mutation m = mutation_of(MUTATION_BUILD_FAIL, op, row->function);
    m.number = row->number;
    m.build = *row;
    m.build.function = SLICE_EMPTY;
    mutation_send(
        s, &m,
        TEXTS(&m.function, &m.build.error_message, &m.build.error_file, &m.build.error_frame));
}

void store_publish(struct store *s, struct store_op *op, int64_t build,
                   const struct version_row *version)
{
    struct mutation m = mutation_of(MUTATION_PUBLISH, op, version->function);
    m.number = build;
    m.version = *version;
    m.version.function = SLICE_EMPTY;
    mutation_send(s, &m,
                  TEXTS(&m.function, &m.version.hash, &m.version.source_map_hash,
                        &m.version.options.domains));
}

void store_setup_done(struct store *s, struct store_op *op, struct slice function, int64_t version)
{
    struct mutation m = mutation_of(MUTATION_SETUP_DONE, op, function);
    m.number = version;
    mutation_send(s, &m, TEXTS(&m.function));
}

void store_function_delete(struct store *s, struct store_op *op, struct slice function)
{
    struct mutation m = mutation_of(MUTATION_FUNCTION_DELETE, op, function);
    mutation_send(s, &m, TEXTS(&m.function));
}

void store_env_set(struct store *s, struct store_op *op, struct slice function, struct slice name,
                   struct slice value)
{
    struct mutation m = mutation_of(MUTATION_ENV_SET, op, function);
    m.name = name;
    m.value = value;
    mutation_send(s, &m, TEXTS(&m.function, &m.name, &m.value));
}

void store_env_delete(struct store *s, struct store_op *op, struct slice function,
                      struct slice name)
{
    struct mutation m = mutation_of(MUTATION_ENV_DELETE, op, function);
    m.name = name;
    mutation_send(s, &m, TEXTS(&m.function, &m.name));
}

static void mutation_execution(struct store *s, struct store_op *op, enum mutation_kind kind,
                               const struct execution_row *row)
{
    struct mutation m = mutation_of(kind, op, row->function);
    m.execution = *row;
    m.execution.function = SLICE_EMPTY;
    mutation_send(s, &m,
                  TEXTS(&m.function, &m.execution.id, &m.execution.input, &m.execution.output,
                        &m.execution.metadata, &m.execution.error));
}

void store_execution_start(struct store *s, struct store_op *op, const struct execution_row *row)
{
    mutation_execution(s, op, MUTATION_EXECUTION_START, row);
}

void store_execution_finish(struct store *s, struct store_op *op, const struct execution_row *row)
{
    mutation_execution(s, op, MUTATION_EXECUTION_FINISH, row);
}

void store_log(struct store *s, const struct log_row *row)
{
    struct mutation m = mutation_of(MUTATION_LOG, NULL, row->function);
    m.log = *row;
    m.log.function = SLICE_EMPTY;
    mutation_send(s, &m, TEXTS(&m.function, &m.log.execution, &m.log.text));
}

void store_usage_add(struct store *s, struct store_op *op, const struct usage_row *add)
{
    struct mutation m = mutation_of(MUTATION_USAGE_ADD, op, add->module);
    m.usage = *add;
    m.usage.module = SLICE_EMPTY;
    mutation_send(s, &m, TEXTS(&m.function));
}

void store_quota_set(struct store *s, struct store_op *op, const struct quota_row *quota)
{
    struct mutation m = mutation_of(MUTATION_QUOTA_SET, op, quota->module);
    m.quota = *quota;
    m.quota.module = SLICE_EMPTY;
    mutation_send(s, &m, TEXTS(&m.function));
}
