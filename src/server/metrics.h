/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters of one worker: written by its thread, read by the control thread without locks (each is
 * one word; a reader may see them at slightly different times). */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "flow/metrics.h"

struct bytes;
struct server;

/* Upper bounds in microseconds; the last bucket is open. */
#define METRICS_BUCKETS_US                                                                         \
    {50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000}
enum { METRICS_BUCKETS = 14 };

struct worker_metrics {
    _Atomic uint64_t requests[6]; /* by status class; 0: broken off */
    _Atomic uint64_t latency[METRICS_BUCKETS + 1];
    _Atomic uint64_t latency_us_sum;
    _Atomic uint64_t executes, calls, overloads, guest_deaths;
    _Atomic uint64_t isolates_live, isolates_idle, waiting, warm;
    _Atomic uint64_t ops, restores, restore_ns, isolates_made, isolates_discarded;
    _Atomic uint64_t connections;
    _Atomic uint64_t egress_refusals; /* by rules of namespaces */
    struct flow_metrics flow;
};

/* How late timers were read as due; written by the control thread. */
struct lateness {
    _Atomic uint64_t buckets[METRICS_BUCKETS + 1], us_sum;
};
void metrics_late(void *lateness, int64_t us); /* for struct flow_shared */
void metrics_answered(struct worker_metrics *m, int status, uint64_t elapsed_ns);
/* Everything in Prometheus text, format version 0.0.4. */
void metrics_write(const struct server *s, struct bytes *out);
