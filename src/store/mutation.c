/* SPDX-License-Identifier: Apache-2.0
 *
 * The mutations of store.h: each names its arguments, which are copied, with their texts and steps,
 * into one allocation and queued. How many texts there are and where is in mutations.def. Any thread;
 * nothing here waits. */
#include "store/internal.h"

enum { MUTATION_TEXTS_MAX = 8 }; /* of a mutation or step */

/* ---- generated: where the texts are ---- */

#define T(name) ret_texts[len++] = &a->name;
#define N(member) ret_texts[len++] = &a->member;
#define V(type, name)
#define MUTATION(KIND, name, guard, fields)                                                        \
    static size_t texts_##name(struct mutation *m, struct slice **ret_texts)                       \
    {                                                                                              \
        struct mutation_##name *a = &m->name;                                                      \
        size_t len = 0;                                                                            \
        (void)a;                                                                                   \
        fields return len;                                                                         \
    }
#include "store/mutations.def"
#define STEP(KIND, name, guard, fields)                                                            \
    static size_t step_texts_##name(struct store_step *s, struct slice **ret_texts)                \
    {                                                                                              \
        __auto_type a = &s->name;                                                                  \
        size_t len = 0;                                                                            \
        (void)a, (void)ret_texts;                                                                  \
        fields return len;                                                                         \
    }
#include "store/mutations.def"
#undef T
#undef N
#undef V

static size_t (*const texts_of[])(struct mutation *m, struct slice **ret_texts) = {
#define MUTATION(KIND, name, guard, fields) [MUTATION_##KIND] = texts_##name,
#include "store/mutations.def"
};

static size_t (*const step_texts_of[])(struct store_step *s, struct slice **ret_texts) = {
#define STEP(KIND, name, guard, fields) [STORE_STEP_##KIND] = step_texts_##name,
#include "store/mutations.def"
};

static const char *const mutation_names[] = {
#define MUTATION(KIND, name, guard, fields) [MUTATION_##KIND] = #name,
#include "store/mutations.def"
};

const char *mutation_text(const struct mutation *m)
{
    return mutation_names[m->kind];
}

struct slice mutation_subject(const struct mutation *m)
{
    struct slice *texts[MUTATION_TEXTS_MAX];
    struct mutation copy = *m;
    return texts_of[m->kind](&copy, texts) > 0 ? *texts[0] : SLICE_EMPTY;
}

int64_t mutation_records(const struct mutation *m)
{
    int64_t records = 0;
    for (size_t i = 0; i < m->steps_len; i++)
        if (m->steps[i].kind == STORE_STEP_APPEND)
            records += m->steps[i].append.count;
    return records;
}

/* ---- copying ---- */

static size_t texts_bytes(struct slice *const *texts, size_t len)
{
    size_t bytes = 0;
    for (size_t i = 0; i < len; i++)
        bytes += texts[i]->len;
    return bytes;
}

static char *texts_copy(struct slice *const *texts, size_t len, char *at)
{
    for (size_t i = 0; i < len; i++) {
        if (texts[i]->len)
            memcpy(at, texts[i]->ptr, texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len;
    }
    return at;
}

static size_t step_bytes(const struct store_step *step)
{
    struct slice *texts[MUTATION_TEXTS_MAX];
    struct store_step copy = *step;
    return texts_bytes(texts, step_texts_of[step->kind](&copy, texts));
}

/* An op without a callback may be gone before the writer gets to it, so it is as good as none. */
static void mutation_push(struct store *s, struct store_op *op, struct mutation *template,
                          const struct store_step *steps, size_t steps_len)
{
    struct slice *texts[MUTATION_TEXTS_MAX];
    size_t len = texts_of[template->kind](template, texts);
    size_t bytes = texts_bytes(texts, len) + steps_len * sizeof(*steps);
    for (size_t i = 0; i < steps_len; i++)
        bytes += step_bytes(&steps[i]);
    if (template->kind == MUTATION_LOG && !queue_take_log(s, template->log.row.function, bytes))
        return;
    const struct store_audit *audit = op ? op->audit : NULL;
    if (audit)
        bytes += sizeof(*audit) + audit->actor.len + audit->space.len + audit->action.len +
                 audit->target.len;
    struct mutation *m = malloc(sizeof(*m) + bytes);
    CHECK(m);
    *m = *template;
    m->op = op && op->done ? op : NULL;
    m->bytes = bytes;
    m->is_applied = false;
    struct store_step *copies = (struct store_step *)(m + 1);
    struct store_audit *log = (struct store_audit *)(copies + steps_len);
    char *at = (char *)(log + (audit != NULL));
    if (audit) {
        *log = *audit;
        struct slice *const parts[] = {&log->actor, &log->space, &log->action, &log->target};
        at = texts_copy(parts, ARRAY_LEN(parts), at);
        m->log_audit = log;
    }
    at = texts_copy(texts, texts_of[m->kind](m, texts), at);
    for (size_t i = 0; i < steps_len; i++) {
        copies[i] = steps[i];
        at = texts_copy(texts, step_texts_of[steps[i].kind](&copies[i], texts), at);
    }
    m->steps = copies;
    m->steps_len = steps_len;
    mutation_enqueue(s, m);
}

/* PUSH(op, KIND, name, arguments in the order of their fields) */
#define PUSH(op, KIND, name, ...)                                                                  \
    mutation_push(s, op, &(struct mutation){.kind = MUTATION_##KIND, .name = {__VA_ARGS__}}, NULL, \
                  0)

/* ---- the mutations ---- */

void store_namespace_create(struct store *s, struct store_op *op, struct slice name)
{
    PUSH(op, NAMESPACE_CREATE, namespace_create, name);
}

void store_namespace_delete(struct store *s, struct store_op *op, struct slice name)
{
    PUSH(op, NAMESPACE_DELETE, namespace_delete, name);
}

void store_token_create(struct store *s, struct store_op *op, const struct token_row *row)
{
    PUSH(op, TOKEN_CREATE, token_create, *row);
}

void store_token_revoke(struct store *s, struct store_op *op, struct slice space, struct slice id)
{
    PUSH(op, TOKEN_REVOKE, token_revoke, space, id);
}

void store_token_used(struct store *s, struct store_op *op, struct slice id, int64_t at_us)
{
    PUSH(op, TOKEN_USED, token_used, id, at_us);
}

void store_egress_add(struct store *s, struct store_op *op, struct slice space,
                      const struct egress_rule_row *row, bool is_first)
{
    PUSH(op, EGRESS_ADD, egress_add, space, *row, is_first);
}

void store_egress_remove(struct store *s, struct store_op *op, struct slice space, int64_t id)
{
    PUSH(op, EGRESS_REMOVE, egress_remove, space, id);
}

void store_egress_default(struct store *s, struct store_op *op, struct slice space, bool denies)
{
    PUSH(op, EGRESS_DEFAULT, egress_default, space, denies);
}

void store_audit(struct store *s, struct store_op *op, const struct store_audit *what,
                 enum err outcome)
{
    PUSH(op, AUDIT, audit, *what, outcome);
}

void store_build_start(struct store *s, struct store_op *op, struct slice function,
                       enum module_kind kind)
{
    PUSH(op, BUILD_START, build_start, function, kind);
}

void store_build_status(struct store *s, struct store_op *op, struct slice function, int64_t build,
                        enum build_status status)
{
    PUSH(op, BUILD_STATUS, build_status, function, build, status);
}

void store_build_fail(struct store *s, struct store_op *op, const struct build_row *row)
{
    PUSH(op, BUILD_FAIL, build_fail, *row);
}

void store_publish(struct store *s, struct store_op *op, int64_t build,
                   const struct version_row *version)
{
    PUSH(op, PUBLISH, publish, build, *version);
}

void store_setup_done(struct store *s, struct store_op *op, struct slice function, int64_t version)
{
    PUSH(op, SETUP_DONE, setup_done, function, version);
}

void store_asset_known(struct store *s, struct store_op *op, struct slice space, struct slice hash)
{
    PUSH(op, ASSET_KNOWN, asset_known, space, hash);
}

void store_version_serve(struct store *s, struct store_op *op, struct slice function,
                         int64_t version, uint32_t permyriad)
{
    PUSH(op, VERSION_SERVE, version_serve, function, version, permyriad);
}

void store_function_delete(struct store *s, struct store_op *op, struct slice function)
{
    PUSH(op, FUNCTION_DELETE, function_delete, function);
}

void store_env_set(struct store *s, struct store_op *op, struct slice function, struct slice name,
                   struct slice value)
{
    PUSH(op, ENV_SET, env_set, function, name, value, false, SLICE_EMPTY, false, false);
}

void store_env_delete(struct store *s, struct store_op *op, struct slice function,
                      struct slice name)
{
    PUSH(op, ENV_DELETE, env_delete, function, name, false, false);
}

void store_secret_set(struct store *s, struct store_op *op, const struct secret_of *of,
                      struct slice value, const struct slice *hosts)
{
    PUSH(op, ENV_SET, env_set, of->owner, of->name, value, true, hosts ? *hosts : SLICE_EMPTY,
         hosts == NULL, of->is_shared);
}

void store_secret_delete(struct store *s, struct store_op *op, const struct secret_of *of)
{
    PUSH(op, ENV_DELETE, env_delete, of->owner, of->name, true, of->is_shared);
}

void store_execution_start(struct store *s, struct store_op *op, const struct execution_row *row)
{
    PUSH(op, EXECUTION_START, execution_start, *row);
}

void store_execution_finish(struct store *s, struct store_op *op, const struct execution_row *row)
{
    PUSH(op, EXECUTION_FINISH, execution_finish, *row);
}

void store_log(struct store *s, const struct log_row *row)
{
    PUSH(NULL, LOG, log, *row);
}

void store_usage_add(struct store *s, struct store_op *op, const struct usage_row *add)
{
    PUSH(op, USAGE_ADD, usage_add, *add);
}

void store_quota_set(struct store *s, struct store_op *op, const struct quota_row *quota)
{
    PUSH(op, QUOTA_SET, quota_set, *quota);
}

void store_durable_start(struct store *s, struct store_op *op, const struct durable_row *row)
{
    PUSH(op, DURABLE_START, durable_start,
         {.id = row->id,
          .workflow = row->workflow,
          .export_name = row->export_name,
          .key = row->key,
          .parent = row->parent,
          .input = row->input,
          .metadata = row->metadata,
          .created_us = row->created_us});
}

void store_durable_commit(struct store *s, struct store_op *op, struct slice id, int64_t first,
                          const struct store_step *steps, size_t steps_len)
{
    struct mutation m = {.kind = MUTATION_DURABLE_COMMIT, .durable_commit = {id, first}};
    mutation_push(s, op, &m, steps, steps_len);
}

void store_durable_signal(struct store *s, struct store_op *op, const struct durable_message *m)
{
    PUSH(op, DURABLE_MESSAGE, durable_message, *m, true);
}

void store_durable_cancel(struct store *s, struct store_op *op, struct slice id)
{
    PUSH(op, DURABLE_MESSAGE, durable_message, {.execution = id}, false);
}

void store_durable_pause(struct store *s, struct store_op *op, struct slice id, bool is_paused)
{
    PUSH(op, DURABLE_PAUSE, durable_pause, id, is_paused);
}

void store_durable_park(struct store *s, struct store_op *op, struct slice id, struct slice reason)
{
    PUSH(op, DURABLE_PARK, durable_park, id, reason);
}

void store_durable_crashed(struct store *s, struct store_op *op, struct slice id)
{
    PUSH(op, DURABLE_CRASHED, durable_crashed, id);
}

static void push_revival(struct store *s, struct store_op *op, struct mutation *m,
                         const struct store_revival *with)
{
    struct arena *a = arena_new(NULL);
    struct store_step *steps = arena_array(a, with->signals_len + 1, sizeof(*steps));
    steps[0] = (struct store_step){.kind = STORE_STEP_APPEND,
                                   .append = {with->records_len, with->records}};
    for (size_t i = 0; i < with->signals_len; i++) {
        const struct durable_signal *g = &with->signals[i];
        steps[i + 1] = (struct store_step){.kind = STORE_STEP_SIGNAL_BACK,
                                           .signal_back = {g->seq, g->at_us, g->name, g->data}};
    }
    mutation_push(s, op, m, steps, with->signals_len + 1);
    arena_free(a);
}

void store_durable_retry(struct store *s, struct store_op *op, struct slice id,
                         const struct store_cut *cut, const struct store_revival *with)
{
    struct mutation m = {.kind = MUTATION_DURABLE_RETRY, .durable_retry = {id, *cut}};
    push_revival(s, op, &m, with);
}

void store_durable_fork(struct store *s, struct store_op *op, struct slice id, struct slice new_id,
                        const struct store_cut *cut, const struct store_revival *with)
{
    struct mutation m = {.kind = MUTATION_DURABLE_FORK, .durable_fork = {id, new_id, *cut}};
    push_revival(s, op, &m, with);
}

void store_durable_migrate(struct store *s, struct store_op *op, struct slice id, int64_t records,
                           int64_t version)
{
    PUSH(op, DURABLE_MIGRATE, durable_migrate, id, records, version);
}

void store_durable_snapshot_drop(struct store *s, struct store_op *op, struct slice id)
{
    PUSH(op, DURABLE_SNAPSHOT_DROP, durable_snapshot_drop, id);
}
