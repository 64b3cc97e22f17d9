/* SPDX-License-Identifier: Apache-2.0
 *
 * Cron expressions, as Cloudflare's cron triggers and Quartz write them: five fields (minute, hour, day of
 * the month, month, day of the week), or six with seconds in front. Each is a list of `*`, `?`, N, A-B, with
 * /STEP behind any of them; months and days of the week have names (JAN, SUN, in any case).
 *
 *     day of the month   L the last one, L-N days before it, NW the weekday nearest to day N, LW the last weekday
 *     day of the week    1 Sunday … 7 Saturday; NL the last such day of the month, N#K the K-th; L alone: Saturday
 *
 * If both kinds of days are restricted a day has to be one of either (as in cron), else of the one that is.
 *
 * Rules only: no clock, no zone data. Seconds are counted since 1970 as the clocks of the zone show them. Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum { CRON_BYTES_MAX = 256 };

struct cron {
    uint64_t seconds, minutes;
    uint32_t hours, days, months; /* a bit each: hours from 0, the others from 1 */
    uint32_t weekdays_near;       /* NW: a bit for each N */
    uint32_t last_minus;          /* L-N: a bit for each N, L is 0 */
    uint8_t weekdays;             /* bit 0 Sunday */
    uint8_t weekdays_last;        /* NL */
    uint8_t weekdays_nth[5];      /* N#1 … N#5 */
    bool is_last_weekday;         /* LW */
    bool is_any_day, is_any_weekday;
    bool is_every_hour;
};

/* ERR_INVALID: what is wrong, and how it is written. */
NODISCARD enum err cron_parse(struct slice text, struct cron *ret_cron, struct error *ret_error);
/* The first second at or after `from` that it names, in the zone's own time; -1: none in 100 years. */
int64_t cron_next_local(const struct cron *c, int64_t from);

/* A stretch of time in which the clocks of a zone do not change. Seconds since 1970, UTC. */
struct cron_period {
    int64_t from, until;   /* until: exclusive; INT64_MIN and INT64_MAX: for ever */
    int64_t offset;        /* seconds to be added to UTC */
    int64_t offset_before; /* of the stretch before; the same if there is none */
};
/* The stretch that has `at`. */
typedef struct cron_period cron_zone(void *zone, int64_t at);

/* The first second after `after` (UTC) at which it is due; -1: never. A time that does not exist, as clocks
 * are put forward, is due once where the gap ends. One that exists twice is due the first time; only
 * expressions of every hour are due both times. */
int64_t cron_next(const struct cron *c, cron_zone *zone, void *arg, int64_t after);
