/* SPDX-License-Identifier: Apache-2.0
 *
 * The mutations of durable executions: as mutation.c, but a commit and a retry have arrays, which
 * are copied behind the mutation together with their texts. Any thread; nothing here waits. */
#include "store/internal.h"

#define TEXTS(...) ((struct slice *const[]){__VA_ARGS__, NULL})

static struct mutation durable_of(enum mutation_kind kind, struct store_op *op, struct slice id)
{
    return (struct mutation){.kind = kind, .op = op && op->done ? op : NULL, .name = id};
}

/* Queues m with these texts, which are fields of it. */
static void durable_send(struct store *s, struct mutation *m, struct slice *const *texts)
{
    for (size_t i = 0; texts[i]; i++)
        m->bytes += texts[i]->len;
    mutation_push(s, m, texts);
}

void store_durable_start(struct store *s, struct store_op *op, const struct durable_row *row)
{
    struct mutation m = durable_of(MUTATION_DURABLE_START, op, row->id);
    m.function = row->workflow;
    m.durable = (struct durable_row){.export_name = row->export_name,
                                     .key = row->key,
                                     .parent = row->parent,
                                     .input = row->input,
                                     .metadata = row->metadata,
                                     .created_us = row->created_us};
    durable_send(s, &m,
                 TEXTS(&m.name, &m.function, &m.durable.export_name, &m.durable.key,
                       &m.durable.parent, &m.durable.input, &m.durable.metadata));
}

/* ---- commits ---- */

/* Calls fn for each text of the commit. */
static void commit_each_text(struct durable_commit *c, struct durable_child *children,
                             struct durable_message *messages, struct log_row *logs,
                             void (*fn)(struct slice *text, void *arg), void *arg)
{
    struct slice *const own[] = {&c->id,    &c->records,  &c->output,
                                 &c->error, &c->progress, &c->snapshot};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        fn(own[i], arg);
    for (size_t i = 0; i < c->children_len; i++) {
        struct durable_child *child = &children[i];
        struct slice *const texts[] = {&child->id, &child->workflow, &child->export_name,
                                       &child->key, &child->input};
        for (size_t j = 0; j < ARRAY_LEN(texts); j++)
            fn(texts[j], arg);
    }
    for (size_t i = 0; i < c->messages_len; i++) {
        struct durable_message *message = &messages[i];
        struct slice *const texts[] = {&message->execution, &message->name, &message->data,
                                       &message->once};
        for (size_t j = 0; j < ARRAY_LEN(texts); j++)
            fn(texts[j], arg);
    }
    for (size_t i = 0; i < c->logs_len; i++) {
        logs[i].function = logs[i].execution = SLICE_EMPTY; /* filled in by the store */
        fn(&logs[i].text, arg);
    }
}

static void commit_add_len(struct slice *text, void *arg)
{
    *(size_t *)arg += text->len;
}

static void commit_copy_text(struct slice *text, void *arg)
{
    char **at = arg;
    if (text->len)
        memcpy(*at, text->ptr, text->len);
    text->ptr = *at;
    *at += text->len;
}

/* Copies an array behind what is there already. Sizes of all the types are multiples of 8. */
static void *commit_copy_array(char **at, const void *array, size_t len, size_t size)
{
    void *copy = *at;
    if (len)
        memcpy(copy, array, len * size);
    *at += len * size;
    return copy;
}

void store_durable_commit(struct store *s, struct store_op *op, const struct durable_commit *commit)
{
    const struct durable_commit *c = commit;
    size_t arrays = c->signals_len * sizeof(*c->signals) + c->children_len * sizeof(*c->children) +
                    c->messages_len * sizeof(*c->messages) + c->logs_len * sizeof(*c->logs);
    /* The arrays first, to learn how long their texts are. */
    struct mutation *m = malloc(sizeof(*m) + arrays);
    CHECK(m);
    *m = durable_of(MUTATION_DURABLE_COMMIT, op, SLICE_EMPTY);
    m->commit = *c;
    size_t texts = 0;
    for (int pass = 0; pass < 2; pass++) {
        char *at = (char *)(m + 1);
        int64_t *signals = commit_copy_array(&at, c->signals, c->signals_len, sizeof(*c->signals));
        struct durable_child *children =
            commit_copy_array(&at, c->children, c->children_len, sizeof(*c->children));
        struct durable_message *messages =
            commit_copy_array(&at, c->messages, c->messages_len, sizeof(*c->messages));
        struct log_row *logs = commit_copy_array(&at, c->logs, c->logs_len, sizeof(*c->logs));
        if (pass == 0) {
            commit_each_text(&m->commit, children, messages, logs, commit_add_len, &texts);
            struct mutation *bigger = realloc(m, sizeof(*m) + arrays + texts);
            CHECK(bigger);
            m = bigger;
            continue;
        }
        m->commit.signals = signals;
        m->commit.children = children;
        m->commit.messages = messages;
        m->commit.logs = logs;
        commit_each_text(&m->commit, children, messages, logs, commit_copy_text, &at);
    }
    m->name = m->commit.id;
    m->bytes = arrays + texts;
    mutation_enqueue(s, m);
}

/* ---- operations ---- */

void store_durable_signal(struct store *s, struct store_op *op, const struct durable_message *m)
{
    struct mutation mutation = durable_of(MUTATION_DURABLE_MESSAGE, op, m->execution);
    mutation.message = *m;
    mutation.message.execution = SLICE_EMPTY;
    mutation.number = 1; /* a signal, though its name were empty */
    durable_send(s, &mutation,
                 TEXTS(&mutation.name, &mutation.message.name, &mutation.message.data,
                       &mutation.message.once));
}

void store_durable_cancel(struct store *s, struct store_op *op, struct slice id)
{
    struct mutation m = durable_of(MUTATION_DURABLE_MESSAGE, op, id);
    durable_send(s, &m, TEXTS(&m.name));
}

void store_durable_pause(struct store *s, struct store_op *op, struct slice id, bool is_paused)
{
    struct mutation m = durable_of(MUTATION_DURABLE_PAUSE, op, id);
    m.is_paused = is_paused;
    durable_send(s, &m, TEXTS(&m.name));
}

void store_durable_park(struct store *s, struct store_op *op, struct slice id, struct slice reason)
{
    struct mutation m = durable_of(MUTATION_DURABLE_PARK, op, id);
    m.value = reason;
    durable_send(s, &m, TEXTS(&m.name, &m.value));
}

void store_durable_crashed(struct store *s, struct store_op *op, struct slice id)
{
    struct mutation m = durable_of(MUTATION_DURABLE_CRASHED, op, id);
    durable_send(s, &m, TEXTS(&m.name));
}

void store_durable_retry(struct store *s, struct store_op *op, struct slice id,
                         const struct durable_retry *retry)
{
    size_t arrays = retry->signals_len * sizeof(*retry->signals), texts = id.len + retry->chunk.len;
    for (size_t i = 0; i < retry->signals_len; i++)
        texts += retry->signals[i].name.len + retry->signals[i].data.len;
    struct mutation *m = malloc(sizeof(*m) + arrays + texts);
    CHECK(m);
    *m = durable_of(MUTATION_DURABLE_RETRY, op, id);
    char *at = (char *)(m + 1);
    struct durable_signal *signals =
        commit_copy_array(&at, retry->signals, retry->signals_len, sizeof(*signals));
    m->cut = (struct mutation_cut){.records = retry->records,
                                   .chunk_first = retry->chunk_first,
                                   .chunk = retry->chunk,
                                   .version = retry->version,
                                   .signals = signals,
                                   .signals_len = retry->signals_len};
    commit_copy_text(&m->name, &at);
    commit_copy_text(&m->cut.chunk, &at);
    for (size_t i = 0; i < retry->signals_len; i++) {
        commit_copy_text(&signals[i].name, &at);
        commit_copy_text(&signals[i].data, &at);
    }
    m->bytes = arrays + texts;
    mutation_enqueue(s, m);
}

void store_durable_fork(struct store *s, struct store_op *op, struct slice id, struct slice new_id,
                        int64_t records, int64_t chunk_first, struct slice chunk)
{
    struct mutation m = durable_of(MUTATION_DURABLE_FORK, op, id);
    m.cut = (struct mutation_cut){
        .new_id = new_id, .records = records, .chunk_first = chunk_first, .chunk = chunk};
    durable_send(s, &m, TEXTS(&m.name, &m.cut.new_id, &m.cut.chunk));
}

void store_durable_migrate(struct store *s, struct store_op *op, struct slice id, int64_t records,
                           int64_t version)
{
    struct mutation m = durable_of(MUTATION_DURABLE_MIGRATE, op, id);
    m.cut = (struct mutation_cut){.records = records, .version = version};
    durable_send(s, &m, TEXTS(&m.name));
}

void store_durable_snapshot_drop(struct store *s, struct store_op *op, struct slice id)
{
    struct mutation m = durable_of(MUTATION_DURABLE_SNAPSHOT_DROP, op, id);
    durable_send(s, &m, TEXTS(&m.name));
}
