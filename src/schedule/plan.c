/* SPDX-License-Identifier: Apache-2.0
 *
 * See plan.h. */
#include "schedule/plan.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "schedule/zone.h"

#define PLAN_NEAR_US (INT64_C(3600) * 1000000)

static const char *const overlap_words[] = {"allow", "skip", "queue"};
static const char *const missed_words[] = {"one", "all", "none"};
static const char *const target_words[] = {"function", "workflow", "queue"};

/* ---- reading ---- */

static enum err plan_bad(struct error *ret_error, const char *hint, const char *what,
                         const char *more)
{
    error_set(ret_error, ERR_INVALID, "the schedule %s%s", what, more);
    error_hint(ret_error, "%s", hint);
    return ERR_INVALID;
}

static enum err read_word(const json_t *o, const char *key, const char *const *words, size_t len,
                          unsigned *ret, struct error *ret_error)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return OK;
    for (size_t k = 0; k < len; k++)
        if (json_is_string(v) && strcmp(json_string_value(v), words[k]) == 0) {
            *ret = (unsigned)k;
            return OK;
        }
    error_set(ret_error, ERR_INVALID, "the schedule's '%s' is none of %s, %s, %s", key, words[0],
              words[1], words[2]);
    error_hint(ret_error, "leave it out for the default; docs/schedules.md says what they do");
    return ERR_INVALID;
}

static enum err read_number(const json_t *o, const char *key, int64_t min, int64_t max,
                            int64_t *ret, struct error *ret_error)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        error_set(ret_error, ERR_INVALID, "the schedule's '%s' is no number of %lld to %lld", key,
                  (long long)min, (long long)max);
        error_hint(ret_error, "it counts milliseconds");
        return ERR_INVALID;
    }
    *ret = json_integer_value(v);
    return OK;
}

static struct slice text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? slice_of(json_string_value(v), json_string_length(v)) : SLICE_EMPTY;
}

static enum err read_at(const json_t *v, struct plan *p, struct error *ret_error)
{
    if (json_is_string(v) &&
        clock_iso_read(slice_of(json_string_value(v), json_string_length(v)), &p->at_us))
        return OK;
    if (json_is_integer(v) && json_integer_value(v) >= 0 &&
        json_integer_value(v) < INT64_C(253402300800000)) {
        p->at_us = json_integer_value(v) * 1000;
        return OK;
    }
    return plan_bad(ret_error, "write \"2026-12-24T18:00:00Z\", or milliseconds since 1970",
                    "has an 'at' that is no time", "");
}

static enum err read_cron(const json_t *o, struct arena *a, struct plan *p, struct error *ret_error)
{
    struct zone *z = NULL;
    p->cron_text = arena_copy(a, text_of(o, "cron"));
    p->zone = arena_copy(a, text_of(o, "timezone"));
    enum err err = cron_parse(p->cron_text, &p->cron, ret_error);
    if (err == OK)
        err = zone_open(p->zone, &z, ret_error);
    if (err == OK)
        zone_close(z);
    return err;
}

static enum err read_when(const json_t *o, struct arena *a, struct plan *p, struct error *ret_error)
{
    const json_t *cron = json_object_get(o, "cron"), *every = json_object_get(o, "every_ms"),
                 *at = json_object_get(o, "at");
    if (!!cron + !!every + !!at != 1)
        return plan_bad(ret_error, "write \"cron\": \"30 4 * * *\", \"every_ms\": 60000, or \"at\"",
                        "needs one of 'cron', 'every_ms' and 'at'", "");
    if (json_object_get(o, "timezone") &&
        (!cron || !json_is_string(json_object_get(o, "timezone"))))
        return plan_bad(ret_error, "write \"timezone\": \"Europe/Berlin\" beside \"cron\"",
                        "has a 'timezone' that is no text, or no 'cron' beside it", "");
    if (cron) {
        p->when = PLAN_CRON;
        return read_cron(o, a, p, ret_error);
    }
    if (at) {
        p->when = PLAN_AT;
        return read_at(at, p, ret_error);
    }
    int64_t ms = 0;
    p->when = PLAN_EVERY;
    enum err err = read_number(o, "every_ms", PLAN_EVERY_MS_MIN, INT64_C(366) * 24 * 3600 * 1000,
                               &ms, ret_error);
    p->every_us = ms * 1000;
    return err;
}

static enum err read_target(const json_t *o, struct slice function, struct arena *a, struct plan *p,
                            struct error *ret_error)
{
    int found = 0;
    p->target = PLAN_FUNCTION;
    p->name = arena_copy(a, function);
    for (int k = 0; k < 3; k++) {
        if (!json_object_get(o, target_words[k]))
            continue;
        p->target = (enum plan_target)k;
        p->name = arena_copy(a, text_of(o, target_words[k]));
        found++;
    }
    if (found > 1 || p->name.len == 0)
        return plan_bad(ret_error, "name what it starts: \"function\", \"workflow\" or \"queue\"",
                        found > 1 ? "starts more than one thing" : "starts nothing", "");
    const json_t *input = json_object_get(o, p->target == PLAN_QUEUE ? "body" : "input");
    if (!input)
        return OK;
    char *text = json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(text);
    p->input = arena_copy(a, slice_cstr(text));
    free(text);
    if (p->target == PLAN_FUNCTION)
        return plan_bad(ret_error, "functions see controller.cron and controller.scheduledTime",
                        "has an 'input', which only workflows take", "");
    return p->input.len <= PLAN_INPUT_BYTES_MAX
               ? OK
               : plan_bad(ret_error, "keep what is large in a KV namespace or a bucket",
                          "has more than 128 KiB of input", "");
}

static enum err check_members(json_t *o, struct error *ret_error)
{
    static const char *const known[] = {"cron",     "timezone", "every_ms", "at",
                                        "function", "workflow", "queue",    "input",
                                        "body",     "overlap",  "missed",   "jitter_ms"};
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        size_t k = 0;
        while (k < ARRAY_LEN(known) && strcmp(key, known[k]) != 0)
            k++;
        if (k == ARRAY_LEN(known))
            return plan_bad(ret_error, "docs/schedules.md has its members",
                            "has the unknown member ", key);
    }
    return OK;
}

static enum err plan_read_object(json_t *o, struct slice function, struct arena *a, struct plan *p,
                                 struct error *ret_error)
{
    unsigned overlap = PLAN_OVERLAP_ALLOW, missed = PLAN_MISSED_ONE;
    int64_t jitter_ms = 0;
    if (!json_is_object(o))
        return plan_bad(ret_error, "docs/schedules.md has its members", "is no JSON object", "");
    enum err err = check_members(o, ret_error);
    if (err == OK)
        err = read_when(o, a, p, ret_error);
    if (err == OK)
        err = read_target(o, function, a, p, ret_error);
    if (err == OK)
        err = read_word(o, "overlap", overlap_words, 3, &overlap, ret_error);
    if (err == OK)
        err = read_word(o, "missed", missed_words, 3, &missed, ret_error);
    if (err == OK)
        err = read_number(o, "jitter_ms", 0, PLAN_JITTER_MS_MAX, &jitter_ms, ret_error);
    p->overlap = (enum plan_overlap)overlap;
    p->missed = (enum plan_missed)missed;
    p->jitter_us = jitter_ms * 1000;
    return err;
}

enum err plan_read(struct slice json, struct slice function, struct arena *a, struct plan *ret_plan,
                   struct error *ret_error)
{
    struct plan p = {0};
    json_t *o = json_loadb(json.ptr ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, NULL);
    enum err err = plan_read_object(o, function, a, &p, ret_error);
    json_decref(o);
    if (err == OK)
        *ret_plan = p;
    return err;
}

void plan_write(const struct plan *p, struct bytes *out)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    switch (p->when) {
    case PLAN_CRON:
        json_key(&w, "cron");
        json_slice(&w, p->cron_text);
        if (p->zone.len > 0) {
            json_key(&w, "timezone");
            json_slice(&w, p->zone);
        }
        break;
    case PLAN_EVERY:
        json_key(&w, "every_ms");
        json_int(&w, p->every_us / 1000);
        break;
    case PLAN_AT:
        json_key(&w, "at");
        json_int(&w, p->at_us / 1000);
        break;
    }
    json_key(&w, target_words[p->target]);
    json_slice(&w, p->name);
    if (p->input.len > 0) {
        json_key(&w, p->target == PLAN_QUEUE ? "body" : "input");
        json_raw(&w, p->input);
    }
    json_key(&w, "overlap");
    json_cstr(&w, overlap_words[p->overlap]);
    json_key(&w, "missed");
    json_cstr(&w, missed_words[p->missed]);
    json_key(&w, "jitter_ms");
    json_int(&w, p->jitter_us / 1000);
    json_close(&w, '}');
}

/* ---- times ---- */

static int64_t next_cron(const struct plan *p, int64_t after_us)
{
    struct zone *z = NULL;
    if (zone_open(p->zone, &z, NULL) != OK) /* its data have gone since: then it is of no zone */
        CHECK(zone_open(SLICE_EMPTY, &z, NULL) == OK);
    int64_t after = after_us >= 0 ? after_us / 1000000 : -1;
    int64_t next = cron_next(&p->cron, zone_period, z, after);
    zone_close(z);
    return next < 0 ? PLAN_NEVER : next * 1000000;
}

int64_t plan_next(const struct plan *p, int64_t anchor_us, int64_t after_us)
{
    switch (p->when) {
    case PLAN_CRON:
        return next_cron(p, after_us);
    case PLAN_EVERY:
        return after_us < anchor_us
                   ? anchor_us + p->every_us
                   : anchor_us + ((after_us - anchor_us) / p->every_us + 1) * p->every_us;
    case PLAN_AT:
        break;
    }
    return p->at_us > after_us ? p->at_us : PLAN_NEVER;
}

int64_t plan_due(const struct plan *p, uint64_t seed, int64_t at_us)
{
    if (p->jitter_us == 0 || at_us == PLAN_NEVER)
        return at_us;
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)at_us;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return at_us + (int64_t)((x ^ x >> 31) % (uint64_t)p->jitter_us);
}

/* The one after that; of a long time without the server, which only its end matters of, the last hour. */
static int64_t plan_after(const struct plan *p, int64_t anchor_us, int64_t now_us, int64_t at_us)
{
    const int64_t next_us = plan_next(p, anchor_us, at_us);
    const int64_t near_us = now_us - 2 * p->jitter_us - PLAN_NEAR_US;
    if (p->missed == PLAN_MISSED_ALL || next_us >= near_us)
        return next_us;
    const int64_t jump_us = plan_next(p, anchor_us, near_us);
    return jump_us <= now_us ? jump_us : next_us;
}

void plan_take(const struct plan *p, int64_t anchor_us, uint64_t seed, int64_t next_us,
               int64_t now_us, struct plan_turn *ret_turn)
{
    struct plan_turn *t = ret_turn;
    t->times_len = 0;
    t->skipped = 0;
    for (t->next_us = next_us; t->next_us != PLAN_NEVER && plan_due(p, seed, t->next_us) <= now_us;
         t->next_us = plan_after(p, anchor_us, now_us, t->next_us)) {
        if (p->missed == PLAN_MISSED_NONE && t->next_us < now_us - PLAN_LATE_US - p->jitter_us) {
            t->skipped++;
        } else if (p->missed == PLAN_MISSED_ALL || t->times_len == 0) {
            if (t->times_len == PLAN_TIMES_MAX)
                return; /* the others right after */
            t->times[t->times_len++] = t->next_us;
        } else {
            t->times[0] = t->next_us; /* the last one counts */
            t->skipped++;
        }
    }
}
