/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts of what happens under a key in a period, for limits of code (docs/bindings.md): a sliding window of
 * two counters. The memory is a table of a fixed size; when many keys are counted at once, the one of its
 * set that was seen longest ago begins anew. In memory only: a restart begins anew, too. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct rate_limits;

struct rate_limits *rate_limits_new(void);
void rate_limits_free(struct rate_limits *r);
/* May it happen once more? Then it is counted. key: of any bytes. period_ms, limit > 0. now_ns: a monotonic
 * clock. */
bool rate_limits_take(struct rate_limits *r, struct slice key, uint32_t limit, uint32_t period_ms,
                      uint64_t now_ns);
size_t rate_limits_bytes(void); /* that one takes */
