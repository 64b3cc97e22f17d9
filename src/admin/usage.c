/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /usage. What was metered until now is brought to the store first, so that there is one place
 * to read. An hour is the least that is told apart: `since` inside of one means all of it. */
#include "admin/internal.h"
#include "admin/names.h"
#include "base/clock.h"
#include "base/limits.h"

static const int64_t HOUR_US = 3600 * INT64_C(1000000);

struct usage_request {
    struct admin_usage flush;
    struct admin_request *request;
    struct usage_filter filter;
};

/* "24h", "7d", "90m", "30s" before now, or a time. */
static enum err read_since(struct admin_request *r, int64_t *ret_hour, struct error *ret_error)
{
    static const struct {
        char suffix;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 24 * 3600}};
    const uint64_t most = (uint64_t)LIMIT_USAGE_HOURS * 3600;
    struct slice text = SLICE_LIT("24h");
    int64_t now = clock_wall_us(), at;
    uint64_t n;
    (void)request_query(r, "since", &text);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (text.len < 2 || text.ptr[text.len - 1] != units[i].suffix ||
            !slice_to_u64(slice_of(text.ptr, text.len - 1), &n))
            continue;
        uint64_t seconds = n > most / units[i].seconds ? most : n * units[i].seconds;
        *ret_hour = (now - (int64_t)seconds * 1000000) / HOUR_US;
        return OK;
    }
    if (clock_iso_read(text, &at)) {
        *ret_hour = at / HOUR_US;
        return OK;
    }
    error_set(ret_error, ERR_INVALID, "the query parameter since is no time: '%.*s'",
              SLICE_ARG(slice_utf8_clip(text, 60)));
    error_hint(ret_error, "write since=24h, since=7d or since=2026-01-31T12:00:00Z (%%2B for a +)");
    return ERR_INVALID;
}

static enum err read_filter(struct admin_request *r, struct usage_filter *ret_filter,
                            struct error *ret_error)
{
    struct slice by;
    *ret_filter = (struct usage_filter){0};
    enum err err = read_since(r, &ret_filter->since_hour, ret_error);
    struct slice name;
    ret_filter->space = r->space;
    if (!err && request_query(r, "module", &name))
        err = request_module(r, name, &ret_filter->module, ret_error);
    if (err || !request_query(r, "by", &by))
        return err;
    ret_filter->by_hour = slice_eq_cstr(by, "hour");
    if (ret_filter->by_hour)
        return OK;
    error_set(ret_error, ERR_INVALID, "usage is not kept by '%.*s'",
              SLICE_ARG(slice_utf8_clip(by, 60)));
    error_hint(ret_error, "write by=hour, or leave it out for totals");
    return ERR_INVALID;
}

static void usage_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct usage_row *row = of;
    const struct admin_host *host = &r->admin->host;
    json_open(w, '{');
    module_json(w, "module", row->module);
    times_json(w, "hour", row->hour * HOUR_US);
    json_key(w, "requests");
    json_int(w, row->requests);
    json_key(w, "cpu_seconds");
    json_double(w, (double)row->cpu_us / 1e6);
    json_key(w, "memory_byte_seconds");
    json_int(w, row->memory_byte_s);
    json_key(w, "egress_bytes");
    json_int(w, row->egress_bytes);
    json_key(w, "stored_bytes");
    if (row->hour)
        json_nil(w);
    else
        json_int(w, host->stored_bytes(host->ctx, row->module));
    json_close(w, '}');
}

static void reply_usage(struct admin_request *r)
{
    const struct usage_request *u = r->state;
    struct store_query q = {.kind = STORE_QUERY_USAGE, .usage.filter = u->filter};
    struct error error = {0};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.usage.rows, q.usage.len, sizeof(*q.usage.rows), usage_json);
}

static void on_flushed(struct admin_usage *u)
{
    struct usage_request *q = container_of(u, struct usage_request, flush);
    struct admin_request *r = q->request;
    if (u->error.code)
        reply_error(r, &u->error);
    else
        request_go(r, reply_usage);
    request_release(r);
}

void usage_list(struct admin_request *r)
{
    struct error error = {0};
    struct usage_request *q = arena_array(r->arena, 1, sizeof(*q));
    *q = (struct usage_request){.flush.done = on_flushed, .request = r};
    if (read_filter(r, &q->filter, &error)) {
        reply_error(r, &error);
        return;
    }
    r->state = q;
    request_hold(r);
    r->admin->host.usage(r->admin->host.ctx, &q->flush);
}
