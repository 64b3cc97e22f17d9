/* SPDX-License-Identifier: Apache-2.0
 *
 * A commit of an execution as one struct, for tests that name its parts: made into steps and sent. */
#pragma once

#include "store/store.h"

struct durable_child {
    struct slice id, workflow, export_name, key, input;
};

struct durable_commit {
    struct slice id;
    int64_t first, count;
    struct slice records;
    bool sets_status;
    enum durable_status status;
    int64_t wake_us, events_seen;
    struct slice output, error, progress, snapshot;
    const int64_t *signals;
    size_t signals_len;
    const struct durable_child *children;
    size_t children_len;
    const struct durable_message *messages;
    size_t messages_len;
    bool cancels_children;
    int64_t lines;
    const struct log_row *logs;
    size_t logs_len;
};

static inline void commit_send(struct store *s, struct store_op *op, const struct durable_commit *c)
{
    struct store_step steps[64];
    size_t len = 0;
    CHECK(c->logs_len + c->children_len + c->messages_len + c->signals_len + 6 <=
          sizeof(steps) / sizeof(steps[0]));
    if (c->count || c->records.len)
        steps[len++] =
            (struct store_step){.kind = STORE_STEP_APPEND, .append = {c->count, c->records}};
    for (size_t i = 0; i < c->logs_len; i++)
        steps[len++] = (struct store_step){
            .kind = STORE_STEP_LOG, .log = {c->logs[i].level, c->logs[i].at_us, c->logs[i].text}};
    if (c->progress.len)
        steps[len++] = (struct store_step){.kind = STORE_STEP_PROGRESS, .progress = {c->progress}};
    for (size_t i = 0; i < c->children_len; i++) {
        const struct durable_child *child = &c->children[i];
        steps[len++] = (struct store_step){
            .kind = STORE_STEP_CHILD,
            .child = {child->id, child->workflow, child->export_name, child->key, child->input}};
    }
    for (size_t i = 0; i < c->messages_len; i++) {
        const struct durable_message *m = &c->messages[i];
        steps[len++] = (struct store_step){.kind = STORE_STEP_MESSAGE,
                                           .message = {m->execution, m->name, m->data, m->once}};
    }
    for (size_t i = 0; i < c->signals_len; i++)
        steps[len++] =
            (struct store_step){.kind = STORE_STEP_SIGNAL_TAKEN, .signal_taken = {c->signals[i]}};
    if (c->cancels_children)
        steps[len++] = (struct store_step){.kind = STORE_STEP_CANCEL_CHILDREN};
    if (c->lines)
        steps[len++] = (struct store_step){.kind = STORE_STEP_LINES, .lines = {c->lines}};
    if (c->snapshot.len)
        steps[len++] = (struct store_step){.kind = STORE_STEP_SNAPSHOT, .snapshot = {c->snapshot}};
    if (c->sets_status)
        steps[len++] = (struct store_step){
            .kind = STORE_STEP_STATUS,
            .status = {c->status, c->wake_us, c->events_seen, c->output, c->error}};
    store_durable_commit(s, op, c->id, c->first, steps, len);
}
