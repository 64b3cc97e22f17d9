/* SPDX-License-Identifier: Apache-2.0
 *
 * The counts of limits that code sets (base/rate_limit.h), a table for each namespace that has any, so that
 * none forgets another's. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct rates;

struct rates *rates_new(void);
void rates_free(struct rates *r);
/* May it happen once more? scope: what it counts in, inside of the namespace. */
bool rates_take(struct rates *r, struct slice space, struct slice scope, struct slice key,
                uint32_t limit, uint32_t period_s);
