/* SPDX-License-Identifier: Apache-2.0
 *
 * A schedule: when something is started, what, and what becomes of runs that overlap or were missed. Kept as
 * JSON, which clients and project files write, too:
 *
 *     {"cron": "30 4 * * *", "timezone": "Europe/Berlin"}  or  {"every_ms": 60000}  or  {"at": "2026-12-24T18:00:00Z"}
 *     "function": "name"  or  "workflow": "name.export", "input": any  or  "queue": "name", "body": any
 *     "overlap": "skip" "queue" "allow"      "missed": "one" "all" "none"      "jitter_ms": 0
 *
 * Rules only: no clock but what is passed in. Times are microseconds since 1970. Any thread. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "schedule/cron.h"

enum plan_when { PLAN_CRON, PLAN_EVERY, PLAN_AT };
enum plan_target { PLAN_FUNCTION, PLAN_WORKFLOW, PLAN_QUEUE };
enum plan_overlap {
    PLAN_OVERLAP_ALLOW,
    PLAN_OVERLAP_SKIP,
    PLAN_OVERLAP_QUEUE, /* it begins when the one before has ended */
};
enum plan_missed {
    PLAN_MISSED_ONE, /* the last one of those */
    PLAN_MISSED_ALL,
    PLAN_MISSED_NONE,
};

enum {
    PLAN_EVERY_MS_MIN = 1000,
    PLAN_JITTER_MS_MAX = 24 * 60 * 60 * 1000,
    PLAN_TIMES_MAX = 100,        /* started at once; what is more comes right after */
    PLAN_LATE_US = 60 * 1000000, /* what is later was missed, */
    PLAN_INPUT_BYTES_MAX = 128 << 10,
};
#define PLAN_NEVER INT64_MAX

struct plan {
    enum plan_when when;
    struct slice cron_text, zone; /* zone "": UTC */
    struct cron cron;
    int64_t every_us, at_us, jitter_us;
    enum plan_overlap overlap;
    enum plan_missed missed;
    enum plan_target target;
    struct slice name;  /* of the target, without its namespace */
    struct slice input; /* JSON, "": none */
};

/* What is to be started now, and when to look again. */
struct plan_turn {
    int64_t times[PLAN_TIMES_MAX];
    size_t times_len;
    int64_t skipped; /* times that were passed over: missed, or too many */
    int64_t next_us; /* the first time that is not settled; PLAN_NEVER: there is none */
};

/* function: what is started if it names no target, "": it has to. Texts are the arena's. ERR_INVALID, with
 * what to write. */
NODISCARD enum err plan_read(struct slice json, struct slice function, struct arena *a,
                             struct plan *ret_plan, struct error *ret_error);
/* The same as JSON, whole and in one form: equal plans are equal texts. */
void plan_write(const struct plan *p, struct bytes *out);
/* The first time after `after`. anchor: what intervals are counted from. */
int64_t plan_next(const struct plan *p, int64_t anchor_us, int64_t after_us);
/* When a run for this time is started: as much later as the jitter has drawn for it, by `seed`. */
int64_t plan_due(const struct plan *p, uint64_t seed, int64_t at_us);
/* next_us: the first time that is not settled. */
void plan_take(const struct plan *p, int64_t anchor_us, uint64_t seed, int64_t next_us,
               int64_t now_us, struct plan_turn *ret_turn);
