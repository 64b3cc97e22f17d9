/* SPDX-License-Identifier: Apache-2.0
 *
 * Queues that have a consumer, on the control thread: messages are read in pages, given to the consumer in
 * batches, and settled by one commit a batch. What is under way is known here only: after a death all that was
 * not settled is delivered again.
 *
 * Settings of a consumer, JSON: max_batch_size, max_batch_timeout (seconds), max_retries, retry_delay (seconds),
 * max_concurrency, as wrangler names them. */
#pragma once

#include <stdatomic.h>

#include "flow/director.h"

struct queues;

struct queues_metrics {
    _Atomic uint64_t delivered, acked, retried, dead, batches;
};

enum {
    QUEUE_BATCH_MAX = 100,
    QUEUE_BATCH = 10,
    QUEUE_BATCH_S = 5,      /* max_batch_timeout; at most 60 */
    QUEUE_RETRIES = 3,      /* at most 100 */
    QUEUE_CONCURRENCY = 10, /* at most 250 */
};

struct queues *queues_new(struct director *d, struct flow_env *env, struct queues_metrics *metrics);
void queues_free(struct queues *s); /* after the loop; NULL is allowed */

/* A module was deployed or deleted: who consumes what is read again. */
void queues_declared(struct queues *s);
/* Something of this one has changed, or there are messages. */
void queues_look(struct queues *s, int64_t queue);

/* Messages were sent, and that is durable; from any thread. due_us: as of store_message_send(). */
void queues_post(struct queues *s, int64_t queue, int64_t due_us);
