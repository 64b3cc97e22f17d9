/* SPDX-License-Identifier: Apache-2.0
 *
 * Egress rules of a namespace as resources. A change is answered when every engine thread has it. */
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"
#include "http/egress_policy.h"

static void rule_members(struct json_writer *w, const struct egress_rule_row *row)
{
    json_key(w, "id");
    json_int(w, row->id);
    json_key(w, "action");
    json_cstr(w, row->is_allow ? "allow" : "deny");
    json_key(w, "methods");
    if (row->methods.len == 0) {
        json_nil(w);
    } else {
        json_open(w, '[');
        for (struct slice rest = row->methods; rest.len > 0;)
            json_slice(w, slice_split(&rest, ','));
        json_close(w, ']');
    }
    json_key(w, "pattern");
    json_slice(w, row->pattern);
    text_json(w, "module", row->module);
}

static void rule_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    (void)r;
    json_open(w, '{');
    rule_members(w, of);
    json_close(w, '}');
}

static void reply_rules(struct admin_request *r)
{
    struct store_query q = {.kind = STORE_QUERY_EGRESS, .egress.space = r->space};
    struct error error = {0};
    if (request_read(r, &q, &error)) {
        reply_error(r, &error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "namespace");
    json_slice(&w, r->space);
    json_key(&w, "default");
    json_cstr(&w, q.egress.denies ? "deny" : "allow");
    json_key(&w, "rules");
    json_open(&w, '[');
    for (size_t i = 0; i < q.egress.len; i++)
        rule_json(r, &w, &q.egress.rows[i]);
    json_close(&w, ']');
    json_close(&w, '}');
    reply_json(r, 200, &body);
}

void egress_show(struct admin_request *r)
{
    reply_rules(r);
}

/* ---- bodies ---- */

/* What the bodies of these routes have. */
struct egress_body {
    struct slice action, pattern, module, url, method, methods; /* methods: with commas between */
    bool is_first;
};

static enum err body_bad(const char *what, const char *hint, struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID, "the request body's %s", what);
    error_hint(ret_error, "%s", hint);
    return ERR_INVALID;
}

static enum err read_text(struct admin_request *r, const struct body_value *v, const char *name,
                          struct slice *ret_text, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (v->kind == BODY_NULL)
        return OK;
    if (v->kind != BODY_STRING)
        return body_bad(arena_printf(r->arena, "%s is not a text", name),
                        "/openapi.json has its members", ret_error);
    body_string(v, &text);
    *ret_text = arena_copy(r->arena, bytes_slice(&text));
    return OK;
}

static enum err read_methods(struct admin_request *r, const struct body_value *v,
                             struct slice *ret_methods, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    struct body_value item;
    if (v->kind == BODY_NULL)
        return OK;
    struct body_walk walk = {0};
    bool is_good = v->kind == BODY_ARRAY;
    if (is_good)
        walk = body_walk(v);
    while (is_good && body_next_item(&walk, &item)) {
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        is_good = item.kind == BODY_STRING;
        if (is_good)
            body_string(&item, &text);
        is_good = is_good && text.len > 0 && slice_find(bytes_slice(&text), ',') < 0 &&
                  all.len <= EGRESS_METHODS_BYTES_MAX;
        if (all.len > 0)
            bytes_append_char(&all, ',');
        bytes_append_slice(&all, bytes_slice(&text));
    }
    if (!is_good)
        return body_bad("methods are not a list of methods",
                        "write [\"GET\", \"POST\"], or leave it out for all", ret_error);
    *ret_methods = arena_copy(r->arena, bytes_slice(&all));
    return OK;
}

static enum err read_member(struct admin_request *r, struct slice key, const struct body_value *v,
                            struct egress_body *b, struct error *ret_error)
{
    const struct {
        const char *name;
        struct slice *to;
    } texts[] = {{"action", &b->action}, {"default", &b->action}, {"pattern", &b->pattern},
                 {"module", &b->module}, {"url", &b->url},        {"method", &b->method}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (slice_eq_cstr(key, texts[i].name))
            return read_text(r, v, texts[i].name, texts[i].to, ret_error);
    if (slice_eq_cstr(key, "methods"))
        return read_methods(r, v, &b->methods, ret_error);
    if (slice_eq_cstr(key, "first") && v->kind == BODY_BOOL) {
        b->is_first = slice_eq_cstr(v->text, "true");
        return OK;
    }
    error_set(ret_error, ERR_INVALID, "the request body has a member '%.*s' that is not known here",
              SLICE_ARG(slice_utf8_clip(key, 60)));
    error_hint(ret_error, "/openapi.json has its members");
    return ERR_INVALID;
}

static enum err read_body(struct admin_request *r, struct egress_body *ret_body,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value root, member;
    *ret_body = (struct egress_body){0};
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind != BODY_OBJECT)
        return body_bad("text is not a JSON object", "/openapi.json has its members", ret_error);
    struct body_walk walk = body_walk(&root);
    while (!err && body_next_member(&walk, &key, &member))
        err = read_member(r, bytes_slice(&key), &member, ret_body, ret_error);
    return err;
}

static enum err read_action(struct slice action, bool *ret_is_allow, struct error *ret_error)
{
    *ret_is_allow = slice_eq_cstr(action, "allow");
    if (*ret_is_allow || slice_eq_cstr(action, "deny"))
        return OK;
    return body_bad(
        "action is neither allow nor deny",
        "write {\"action\": \"deny\", \"pattern\": \"*.example.com\"}, or for the default "
        "{\"default\": \"deny\"}",
        ret_error);
}

/* ---- changes ---- */

static void on_rule_announced(struct admin_request *r, const struct error *e)
{
    if (e->code)
        reply_error(r, e);
    else
        reply_row(r, 201, r->state, rule_json);
}

static void on_rule_stored(struct admin_request *r, const struct store_op *op)
{
    struct egress_rule_row *row = r->state;
    row->id = op->number;
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, r->space, ADMIN_SPACE_EGRESS, on_rule_announced);
}

static enum err read_rule(struct admin_request *r, struct egress_rule_row *row, bool *ret_is_first,
                          struct error *ret_error)
{
    struct egress_body body;
    enum err err = read_body(r, &body, ret_error);
    if (!err)
        err = read_action(body.action, &row->is_allow, ret_error);
    if (!err && body.module.len > 0)
        err = names_check_function(body.module, ret_error);
    if (err)
        return err;
    *ret_is_first = body.is_first;
    row->methods = body.methods;
    row->pattern = slice_trim(body.pattern);
    row->module = body.module;
    struct egress_policy_rule rule = {
        .methods = row->methods, .pattern = row->pattern, .module = row->module};
    err = egress_policy_rule_check(&rule, ret_error);
    r->audit.target = slice_utf8_clip(row->pattern, 200);
    return err;
}

void egress_add(struct admin_request *r)
{
    struct egress_rule_row *row = arena_new_struct(r->arena, struct egress_rule_row);
    struct error error = {0};
    bool is_first = false;
    r->state = row;
    if (read_rule(r, row, &is_first, &error))
        reply_error(r, &error);
    else
        store_egress_add(r->admin->store, request_op(r, on_rule_stored), r->space, row, is_first);
}

static void on_stored(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, r->space, ADMIN_SPACE_EGRESS, reply_changed);
}

void egress_remove(struct admin_request *r)
{
    struct error error = {0};
    uint64_t id;
    if (slice_to_u64(r->params[0], &id) && id <= INT64_MAX) {
        store_egress_remove(r->admin->store, request_op(r, on_stored), r->space, (int64_t)id);
        return;
    }
    error_set(&error, ERR_INVALID, "'%.*s' is not the number of a rule",
              SLICE_ARG(slice_utf8_clip(r->params[0], 40)));
    error_hint(&error, "'limpet egress list' shows them");
    reply_error(r, &error);
}

static void on_default_announced(struct admin_request *r, const struct error *e)
{
    if (e->code)
        reply_error(r, e);
    else
        request_go(r, reply_rules);
}

static void on_default_stored(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        change_announce(r, r->space, ADMIN_SPACE_EGRESS, on_default_announced);
}

void egress_put(struct admin_request *r)
{
    struct egress_body body;
    struct error error = {0};
    bool is_allow = false;
    enum err err = read_body(r, &body, &error);
    if (!err)
        err = read_action(body.action, &is_allow, &error);
    r->audit.target = is_allow ? SLICE_LIT("default allow") : SLICE_LIT("default deny");
    if (err)
        reply_error(r, &error);
    else
        store_egress_default(r->admin->store, request_op(r, on_default_stored), r->space,
                             !is_allow);
}

/* ---- what would become of a request? ---- */

enum err admin_egress_policy(const struct egress_rule_row *rows, size_t len, bool denies,
                             struct egress_policy **ret_policy, struct error *ret_error)
{
    struct egress_policy *p = egress_policy_new(denies, len);
    enum err err = OK;
    for (size_t i = 0; i < len && !err; i++) {
        const struct egress_rule_row *row = &rows[i];
        const struct egress_policy_rule rule = {row->id, row->is_allow, row->methods, row->pattern,
                                                row->module};
        err = egress_policy_add(p, &rule, ret_error);
    }
    if (err)
        egress_policy_unref(p);
    else
        *ret_policy = p;
    return err;
}

static void verdict_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct egress_verdict *v = of;
    (void)r;
    json_open(w, '{');
    json_key(w, "allowed");
    json_bool(w, v->is_allowed);
    json_key(w, "rule");
    if (v->rule) {
        const struct egress_rule_row row = {v->rule->id, v->rule->is_allow, v->rule->methods,
                                            v->rule->pattern, v->rule->module};
        rule_json(r, w, &row);
    } else {
        json_nil(w);
    }
    json_close(w, '}');
}

void egress_test(struct admin_request *r)
{
    struct store_query q = {.kind = STORE_QUERY_EGRESS, .egress.space = r->space};
    struct egress_policy *policy = NULL;
    struct egress_body body;
    struct url_target target;
    struct error error = {0};
    enum err err = read_body(r, &body, &error);
    if (!err)
        err = url_target_parse(r->arena, body.url, &target, &error);
    if (err && !error.hint[0])
        error_hint(&error, "send {\"url\": \"https://api.example.com/v1\", \"method\": \"GET\"}");
    if (!err)
        err = request_read(r, &q, &error);
    if (!err)
        err = admin_egress_policy(q.egress.rows, q.egress.len, q.egress.denies, &policy, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    struct slice method = body.method.len > 0 ? body.method : SLICE_LIT("GET");
    struct egress_verdict verdict = egress_policy_judge(policy, body.module, method, &target);
    reply_row(r, 200, &verdict, verdict_json);
    egress_policy_unref(policy);
}
