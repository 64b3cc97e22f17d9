/* SPDX-License-Identifier: Apache-2.0
 *
 * Time zones by their IANA names, from ICU's data. UTC, and "", need none. One thread each. */
#pragma once

#include "schedule/cron.h"

struct zone;

/* ERR_INVALID: there is none of this name. */
NODISCARD enum err zone_open(struct slice name, struct zone **ret_zone, struct error *ret_error);
void zone_close(struct zone *z); /* NULL is allowed */
/* For cron_next(). */
struct cron_period zone_period(void *zone, int64_t at);
