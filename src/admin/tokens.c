/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of a namespace as resources. The token itself stands in the answer that makes it, and
 * nowhere else. Who may make tokens may make one of the same role; there is no greater one in a
 * namespace. */
#include "admin/access.h"
#include "admin/body.h"
#include "admin/internal.h"
#include "admin/names.h"

struct token_made {
    struct token_row row;
    struct slice text;
};

static void token_json_members(struct json_writer *w, const struct token_row *row)
{
    json_key(w, "id");
    json_slice(w, row->id);
    json_key(w, "namespace");
    json_slice(w, row->space);
    json_key(w, "role");
    json_cstr(w, token_role_text(row->role));
}

static void token_json(struct admin_request *r, struct json_writer *w, const void *of)
{
    const struct token_row *row = of;
    (void)r;
    json_open(w, '{');
    token_json_members(w, row);
    times_json(w, "created_at", row->created_us);
    times_json(w, "used_at", row->used_us);
    json_close(w, '}');
}

void token_list(struct admin_request *r)
{
    struct store_query q = {.kind = STORE_QUERY_TOKENS, .tokens.space = r->space};
    struct error error = {0};
    if (request_read(r, &q, &error))
        reply_error(r, &error);
    else
        reply_rows(r, q.tokens.rows, q.tokens.len, sizeof(*q.tokens.rows), token_json);
}

/* ---- create ---- */

static void on_created(struct admin_request *r, const struct store_op *op)
{
    const struct token_made *made = r->state;
    if (op->error.code) {
        reply_error(r, &op->error);
        return;
    }
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    token_json_members(&w, &made->row);
    json_key(&w, "token");
    json_slice(&w, made->text);
    json_close(&w, '}');
    reply_json(r, 201, &body);
}

static enum err read_role(struct admin_request *r, enum token_role *ret_role,
                          struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT, text = BYTES_INIT;
    struct body_value root, member;
    bool is_good = false;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    if (root.kind == BODY_OBJECT) {
        struct body_walk walk = body_walk(&root);
        is_good = true;
        while (is_good && body_next_member(&walk, &key, &member)) {
            is_good = slice_eq_cstr(bytes_slice(&key), "role") && member.kind == BODY_STRING;
            bytes_clear(&text);
            if (is_good)
                body_string(&member, &text);
        }
    }
    if (is_good && token_role_read(bytes_slice(&text), ret_role))
        return OK;
    error_set(ret_error, ERR_INVALID, "the request body is not {\"role\": a role}");
    error_hint(ret_error, "roles are read, invoke, deploy and admin");
    return ERR_INVALID;
}

void token_create(struct admin_request *r)
{
    struct error error = {0};
    struct token_made *made = arena_new_struct(r->arena, struct token_made);
    if (read_role(r, &made->row.role, &error)) {
        reply_error(r, &error);
        return;
    }
    made->row.space = r->space;
    made->text = access_token_new(r->arena, &made->row);
    r->state = made;
    store_token_create(r->admin->store, request_op(r, on_created), &made->row);
}

/* ---- revoke ---- */

static void on_revoked(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code) {
        reply_error(r, &op->error);
        return;
    }
    log_followers_end_of(r->admin, r->params[0]);
    reply_empty(r, 204);
}

void token_revoke(struct admin_request *r)
{
    store_token_revoke(r->admin->store, request_op(r, on_revoked), r->space, r->params[0]);
}
