/* SPDX-License-Identifier: Apache-2.0
 *
 * What the audit log has of requests, and the log as a resource. A change is logged by its mutation, in one
 * commit (request_op()); what is refused before there is one gets a row of its own, so many a second at
 * most that nobody fills the log with them. Starts, signals and cancels have a row only if they were
 * refused, reads only if the caller may not; these have a bound of their own, so that they hide no others. */
#include "admin/body.h"
#include "admin/internal.h"
#include "base/module_name.h"
#include "loop/loop.h"

enum { AUDIT_REFUSALS_MAX = 10 /* rows in a second */, AUDIT_TARGET_BYTES_MAX = 300 };

const struct store_audit *request_audit(const struct admin_request *r)
{
    return r->is_audited ? &r->audit : NULL;
}

void request_audit_target(struct admin_request *r, struct slice target)
{
    r->audit.target = module_name_split(target).name;
}

void request_audit_begin(struct admin_request *r, const struct route *route)
{
    CLEANUP(bytes_done) struct bytes target = BYTES_INIT;
    if (route->role == ROUTE_PUBLIC)
        return;
    r->is_audited = route_is_audited(route);
    r->has_effect = route->method != ROUTE_GET && route->role >= ROUTE_INVOKE;
    bool is_space = slice_starts(slice_cstr(route->path), SLICE_LIT(ROUTE_NAMESPACES));
    for (size_t i = is_space ? 1 : 0; i < ROUTE_PARAMS_MAX && r->params[i].len > 0; i++) {
        if (target.len > 0)
            bytes_append_char(&target, ' ');
        bytes_append_slice(&target, i == 0 ? module_name_split(r->params[i]).name : r->params[i]);
    }
    struct slice clipped = slice_utf8_clip(bytes_slice(&target), AUDIT_TARGET_BYTES_MAX);
    r->audit =
        (struct store_audit){.actor = r->caller.is_server ? SLICE_LIT("server") : r->caller.token,
                             .space = r->space,
                             .action = slice_cstr(route->id),
                             .target = arena_copy(r->arena, clipped)};
}

void request_audit_refused(struct admin_request *r, enum err code)
{
    struct admin *a = r->admin;
    uint64_t second = loop_now_ms(a->loop) / 1000;
    if (r->audit.action.len == 0 || r->has_audit || (!r->has_effect && code != ERR_FORBIDDEN))
        return;
    r->has_audit = true;
    if (second != a->audit_second)
        a->audit_refusals[0] = a->audit_refusals[1] = 0;
    a->audit_second = second;
    if (a->audit_refusals[r->is_audited]++ < AUDIT_REFUSALS_MAX)
        store_audit(a->store, NULL, &r->audit, code);
    else
        a->audit_dropped++;
}

/* ---- the resource ---- */

static void audit_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct audit_row *row = of;
    (void)r;
    json_open(w, '{');
    json_key(w, "seq");
    json_int(w, row->seq);
    times_json(w, "at", row->at_us);
    json_key(w, "actor");
    json_slice(w, row->actor);
    json_key(w, "namespace");
    json_slice(w, row->space);
    json_key(w, "action");
    json_slice(w, row->action);
    json_key(w, "target");
    json_slice(w, row->target);
    json_key(w, "outcome");
    json_slice(w, row->outcome);
    json_key(w, "hash");
    json_slice(w, row->hash);
    json_close(w, '}');
}

void audit_list(struct admin_request *r)
{
    uint64_t limit = 0, before = 0;
    struct error error = {0};
    struct store_query q = {.kind = STORE_QUERY_AUDITS, .audits.space = r->space};
    enum err err =
        request_query_uint(r, "limit", ADMIN_PAGE_DEFAULT, ADMIN_PAGE_MAX, &limit, &error);
    if (!err)
        err = request_query_uint(r, "before", INT64_MAX, INT64_MAX, &before, &error);
    q.audits.limit = (int64_t)limit;
    q.audits.before = (int64_t)before;
    if (!err)
        err = request_read(r, &q, &error);
    if (err)
        reply_error(r, &error);
    else
        reply_rows(r, q.audits.rows, q.audits.len, sizeof(*q.audits.rows), audit_json);
}

static void check_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct audit_check *c = of;
    (void)r;
    json_open(w, '{');
    json_key(w, "ok");
    json_bool(w, c->bad_seq == 0);
    json_key(w, "checked");
    json_int(w, c->checked);
    json_key(w, "from");
    json_int(w, c->after + 1);
    number_json(w, "trimmed", c->trimmed);
    times_json(w, "trimmed_at", c->trimmed_us);
    json_key(w, "until");
    json_int(w, c->until);
    text_json(w, "hash", c->hash);
    json_key(w, "more");
    json_bool(w, c->has_more);
    number_json(w, "bad", c->bad_seq);
    text_json(w, "why", c->why ? slice_cstr(c->why) : SLICE_EMPTY);
    json_close(w, '}');
}

void audit_verify(struct admin_request *r)
{
    uint64_t after = 0;
    struct error error = {0};
    struct store_query q = {.kind = STORE_QUERY_AUDIT_CHECK};
    enum err err = request_query_uint(r, "after", 0, INT64_MAX, &after, &error);
    q.audit_check.check.after = (int64_t)after;
    if (!err)
        err = request_read(r, &q, &error);
    if (err)
        reply_error(r, &error);
    else
        reply_row(r, 200, &q.audit_check.check, check_json);
}
