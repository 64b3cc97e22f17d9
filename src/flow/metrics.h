/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters of a thread's activations: written by that thread, read by any without locks (each is one
 * word; a reader may see them at slightly different times). */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct flow_metrics {
    _Atomic uint64_t records, replays, snapshots_taken, snapshots_used, snapshots_refused;
};

static inline void metric_add(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: no locked instruction is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
