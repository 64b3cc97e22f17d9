/* SPDX-License-Identifier: Apache-2.0
 *
 * Quotas of functions and workflows, which share one space of names, so they need no two paths, and of
 * whole namespaces. A
 * change is answered when it is durable and holds: the next thing that is taken sees it. */
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "base/module_name.h"

static const struct quota_row of_any = {0};

static bool look(struct admin_request *r, const struct quota_row *owner, int resource,
                 struct admin_quota *ret_quota)
{
    const struct admin_host *host = &r->admin->host;
    *ret_quota = (struct admin_quota){0};
    return host->quota_look(host->ctx, owner, (enum resource)resource, ret_quota);
}

/* Whose quotas the path names: a module's, or those of the namespace itself. */
static struct quota_row owner_of(const struct admin_request *r)
{
    bool is_namespace = r->params[0].len == 0;
    return (struct quota_row){.module = is_namespace ? r->space : r->params[0],
                              .is_namespace = is_namespace};
}

static enum err check_owner(struct admin_request *r, struct error *ret_error)
{
    return owner_of(r).is_namespace ? OK : module_check(r, r->params[0], ret_error);
}

static void quota_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct quota_row *row = of;
    json_open(w, '{');
    if (row->is_namespace) {
        json_key(w, "namespace");
        json_slice(w, row->module);
    } else {
        module_json(w, "module", row->module);
    }
    for (int k = 0; k < RESOURCES; k++) {
        struct admin_quota q;
        if (!look(r, row, k, &q))
            continue;
        json_key(w, resource_name((enum resource)k));
        json_open(w, '{');
        number_json(w, "quota", row->max[k]);
        json_key(w, "max");
        json_int(w, row->max[k] ? row->max[k] : (int64_t)q.otherwise);
        json_key(w, "used");
        json_int(w, (int64_t)q.used);
        json_close(w, '}');
    }
    json_close(w, '}');
}

static void reply_quota(struct admin_request *r)
{
    struct quota_row owner = owner_of(r);
    struct store_query q = {.kind = STORE_QUERY_QUOTA, .quota.module = owner.module};
    if (owner.is_namespace)
        q = (struct store_query){.kind = STORE_QUERY_NAMESPACE_QUOTA,
                                 .space_quota.space = owner.module};
    struct error error = {0};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_row(r, 200, owner.is_namespace ? &q.space_quota.row : &q.quota.row, quota_json);
}

void quota_list(struct admin_request *r)
{
    struct store_query q = {.kind = STORE_QUERY_QUOTAS, .quotas.space = r->space};
    struct error error = {0};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.quotas.rows, q.quotas.len, sizeof(*q.quotas.rows), quota_json);
}

void quota_show(struct admin_request *r)
{
    struct error error = {0};
    if (check_owner(r, &error))
        reply_error(r, &error);
    else
        reply_quota(r);
}

/* ---- changes ---- */

static void on_announced(struct admin_request *r, const struct error *e)
{
    if (e->code)
        reply_error(r, e);
    else if (r->route->status == 204)
        reply_empty(r, 204);
    else
        request_go(r, reply_quota);
}

static void on_stored(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, owner_of(r).module,
                        owner_of(r).is_namespace ? ADMIN_SPACE_QUOTA : ADMIN_QUOTA, on_announced);
}

static enum err unknown_resource(struct admin_request *r, struct slice name,
                                 struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes known = BYTES_INIT;
    struct admin_quota q;
    for (int k = 0; k < RESOURCES; k++)
        if (look(r, &of_any, k, &q))
            bytes_printf(&known, "%s%s", known.len ? ", " : "", resource_name((enum resource)k));
    error_set(ret_error, ERR_INVALID, "there is no quota of '%.*s'",
              SLICE_ARG(slice_utf8_clip(name, 60)));
    error_hint(ret_error, "there are quotas of: %s", bytes_cstr(&known));
    return ERR_INVALID;
}

static enum err read_max(struct slice name, const struct admin_quota *q,
                         const struct body_value *value, int64_t *ret_max, struct error *ret_error)
{
    uint64_t n;
    if (value->kind == BODY_NULL) {
        *ret_max = QUOTA_NONE;
        return OK;
    }
    if (!body_uint(value, &n)) {
        error_set(ret_error, ERR_INVALID, "the quota '%.*s' is not a whole number",
                  SLICE_ARG(name));
        error_hint(ret_error, "write a number from %zu to %zu, or null for none", q->least,
                   q->most);
        return ERR_INVALID;
    }
    if (n > q->most) {
        error_set(ret_error, ERR_INVALID,
                  "the quota '%.*s' of %llu is above the %zu that the whole server may hold",
                  SLICE_ARG(name), (unsigned long long)n, q->most);
        error_hint(ret_error, "set less, or start the server with a higher limit");
        return ERR_INVALID;
    }
    if (n < q->least) {
        error_set(ret_error, ERR_INVALID,
                  "the quota '%.*s' of %llu is below %zu, the least that a module can run with",
                  SLICE_ARG(name), (unsigned long long)n, q->least);
        error_hint(ret_error, "set more; a function that must not run is deleted");
        return ERR_INVALID;
    }
    *ret_max = (int64_t)n;
    return OK;
}

static enum err read_quota(struct admin_request *r, struct quota_row *ret_quota,
                           struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, member;
    bool has_any = false;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    struct body_walk walk = {0};
    if (root.kind == BODY_OBJECT)
        walk = body_walk(&root);
    while (!err && root.kind == BODY_OBJECT && body_next_member(&walk, &key, &member)) {
        struct slice name = bytes_slice(&key);
        struct admin_quota q;
        int k = 0;
        while (k < RESOURCES && !slice_eq_cstr(name, resource_name((enum resource)k)))
            k++;
        if (k == RESOURCES || !look(r, &of_any, k, &q))
            return unknown_resource(r, name, ret_error);
        has_any = true;
        err = read_max(name, &q, &member, &ret_quota->max[k], ret_error);
    }
    if (err || has_any)
        return err;
    error_set(ret_error, ERR_INVALID, "the request body sets no quota");
    error_hint(ret_error, "send an object such as {\"memory_bytes\": 268435456}");
    return ERR_INVALID;
}

static void change(struct admin_request *r, enum err err, struct quota_row *quota,
                   struct error *error)
{
    if (!err)
        err = check_owner(r, error);
    struct quota_row owner = owner_of(r);
    quota->module = owner.module;
    quota->is_namespace = owner.is_namespace;
    if (err)
        reply_error(r, error);
    else
        store_quota_set(r->admin->store, request_op(r, on_stored), quota);
}

void quota_put(struct admin_request *r)
{
    struct quota_row quota = {0};
    struct error error = {0};
    enum err err = read_quota(r, &quota, &error);
    change(r, err, &quota, &error);
}

void quota_delete(struct admin_request *r)
{
    struct quota_row quota = {0};
    struct error error = {0};
    for (int k = 0; k < RESOURCES; k++)
        quota.max[k] = QUOTA_NONE;
    change(r, OK, &quota, &error);
}
