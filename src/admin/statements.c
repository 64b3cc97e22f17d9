/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL statements on a resource that is a database: JSON to the packed form of host/statements.h, and what
 * comes back to JSON. Blobs are {"base64": "…"}, both ways. */
#include <endian.h>
#include <limits.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "admin/body.h"
#include "admin/internal.h"
#include "base/limits.h"

enum { STATEMENTS_MAX = 1000, STATEMENTS_ATOMIC = 1, RESULT_HEAD_BYTES = 28 };
enum sql_tag { SQL_NULL, SQL_I64, SQL_F64, SQL_TEXT, SQL_BLOB }; /* host/ops.def, SQL_EXEC */

struct statements_run {
    struct admin_statements statements;
    struct admin_request *request;
    struct bytes packed;
    unsigned len;
    bool is_atomic;
};

static void statements_done(void *arg)
{
    struct statements_run *run = arg;
    bytes_done(&run->packed);
    bytes_done(&run->statements.result);
}

/* ---- what the body says ---- */

static enum err wrong_body(struct error *ret_error)
{
    error_set(ret_error, ERR_INVALID,
              "the request body is not {\"sql\": \"text\", \"params\": […]} or {\"statements\": "
              "[such objects], \"atomic\": true}");
    error_hint(ret_error,
               "parameters are null, booleans, numbers, strings, or {\"base64\": "
               "\"text\"}; at most %d statements",
               STATEMENTS_MAX);
    return ERR_INVALID;
}

static void pack_number(struct slice text, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes copy = BYTES_INIT;
    char *end;
    bytes_append_slice(&copy, text);
    long long whole = strtoll(bytes_cstr(&copy), &end, 10);
    bool is_whole = *end == '\0' && whole != LLONG_MAX && whole != LLONG_MIN;
    double real = strtod(bytes_cstr(&copy), NULL);
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    bytes_append_char(out, is_whole ? SQL_I64 : SQL_F64);
    bytes_append_u64(out, is_whole ? (uint64_t)whole : bits);
}

/* False: it is no base64. */
static bool base64_decode(struct slice text, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes copy = BYTES_INIT;
    size_t padding = 0;
    bytes_append_slice(&copy, text);
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    if (text.len % 4 != 0)
        return false;
    bytes_reserve(out, text.len);
    int len = EVP_DecodeBlock((unsigned char *)out->ptr, (const unsigned char *)bytes_cstr(&copy),
                              (int)text.len);
    out->len = len > 0 ? (size_t)len - padding : 0;
    return len >= 0;
}

static bool pack_blob(const struct body_value *v, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT, text = BYTES_INIT, data = BYTES_INIT;
    struct body_value value;
    struct body_walk walk = body_walk(v);
    if (!body_next_member(&walk, &key, &value) || !slice_eq_cstr(bytes_slice(&key), "base64") ||
        value.kind != BODY_STRING)
        return false;
    body_string(&value, &text);
    if (!base64_decode(bytes_slice(&text), &data))
        return false;
    bytes_append_char(out, SQL_BLOB);
    bytes_append_lstr(out, bytes_slice(&data));
    return !body_next_member(&walk, &key, &value);
}

static bool pack_param(const struct body_value *v, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    switch (v->kind) {
    case BODY_NULL:
        bytes_append_char(out, SQL_NULL);
        return true;
    case BODY_BOOL:
        bytes_append_char(out, SQL_I64);
        bytes_append_u64(out, slice_eq_cstr(v->text, "true"));
        return true;
    case BODY_NUMBER:
        pack_number(v->text, out);
        return true;
    case BODY_STRING:
        body_string(v, &text);
        bytes_append_char(out, SQL_TEXT);
        bytes_append_lstr(out, bytes_slice(&text));
        return true;
    case BODY_OBJECT:
        return pack_blob(v, out);
    default:
        return false;
    }
}

static bool pack_params(const struct body_value *v, struct bytes *out)
{
    CLEANUP(bytes_done) struct bytes packed = BYTES_INIT;
    struct body_value item;
    uint32_t len = 0;
    if (v->kind == BODY_NULL) {
        bytes_append_lstr(out, SLICE_EMPTY);
        return true;
    }
    if (v->kind != BODY_ARRAY)
        return false;
    bytes_append_u32(&packed, 0);
    struct body_walk walk = body_walk(v);
    for (; body_next_item(&walk, &item); len++)
        if (!pack_param(&item, &packed))
            return false;
    len = htole32(len);
    memcpy(packed.ptr, &len, sizeof(len));
    bytes_append_lstr(out, bytes_slice(&packed));
    return true;
}

/* {"sql", "params"} */
static bool pack_statement(const struct body_value *v, struct bytes *out)
{
    static const struct body_value none = {.kind = BODY_NULL};
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT, sql = BYTES_INIT;
    struct body_value value, params = none;
    bool has_sql = false;
    if (v->kind != BODY_OBJECT)
        return false;
    struct body_walk walk = body_walk(v);
    while (body_next_member(&walk, &key, &value)) {
        if (slice_eq_cstr(bytes_slice(&key), "params"))
            params = value;
        else if (!slice_eq_cstr(bytes_slice(&key), "sql") || value.kind != BODY_STRING)
            return false;
        else
            body_string(&value, &sql);
        has_sql = has_sql || slice_eq_cstr(bytes_slice(&key), "sql");
    }
    bytes_append_lstr(out, bytes_slice(&sql));
    return has_sql && pack_params(&params, out);
}

static bool pack_list(const struct body_value *v, struct statements_run *run)
{
    struct body_value item;
    struct body_walk walk = body_walk(v);
    for (; body_next_item(&walk, &item); run->len++)
        if (run->len >= STATEMENTS_MAX || !pack_statement(&item, &run->packed))
            return false;
    return run->len > 0;
}

/* The members of a list's object: false if it has others. */
static bool read_list(const struct body_value *root, struct body_value *ret_list, bool *ret_atomic)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    struct body_value value;
    struct body_walk walk = body_walk(root);
    *ret_list = (struct body_value){.kind = BODY_NULL};
    bool is_good = true;
    while (body_next_member(&walk, &key, &value)) {
        if (slice_eq_cstr(bytes_slice(&key), "statements") && value.kind == BODY_ARRAY)
            *ret_list = value;
        else if (slice_eq_cstr(bytes_slice(&key), "atomic") && value.kind == BODY_BOOL)
            *ret_atomic = slice_eq_cstr(value.text, "true");
        else
            is_good = false;
    }
    return is_good && ret_list->kind == BODY_ARRAY;
}

static enum err read_statements(struct admin_request *r, struct statements_run *run,
                                struct error *ret_error)
{
    struct body_value root, list;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err != OK)
        return err;
    bytes_append_u32(&run->packed, 0); /* flags, count */
    bytes_append_u32(&run->packed, 0);
    bool is_good = root.kind == BODY_OBJECT;
    if (is_good && read_list(&root, &list, &run->is_atomic))
        is_good = pack_list(&list, run);
    else if (is_good)
        is_good = pack_statement(&root, &run->packed) && ++run->len;
    if (!is_good)
        return wrong_body(ret_error);
    uint32_t head[2] = {htole32(run->is_atomic ? STATEMENTS_ATOMIC : 0), htole32(run->len)};
    memcpy(run->packed.ptr, head, sizeof(head));
    return OK;
}

/* ---- results ---- */

struct packed {
    struct slice rest; /* what the server's own code has packed */
};

static uint64_t packed_bits(struct packed *p, size_t len)
{
    uint64_t bits = 0;
    CHECK(p->rest.len >= len);
    memcpy(&bits, p->rest.ptr, len);
    p->rest = slice_skip(p->rest, len);
    return le64toh(bits);
}

static struct slice packed_text(struct packed *p)
{
    size_t len = (size_t)packed_bits(p, 4);
    CHECK(p->rest.len >= len);
    struct slice text = slice_of(p->rest.ptr, len);
    p->rest = slice_skip(p->rest, len);
    return text;
}

static void blob_json(struct json_writer *w, struct slice blob)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_reserve(&text, blob.len / 3 * 4 + 5);
    text.len = (size_t)EVP_EncodeBlock((unsigned char *)text.ptr, (const unsigned char *)blob.ptr,
                                       (int)blob.len);
    json_open(w, '{');
    json_key(w, "base64");
    json_slice(w, bytes_slice(&text));
    json_close(w, '}');
}

static void value_json(struct json_writer *w, struct packed *p)
{
    uint64_t bits;
    double real;
    switch (packed_bits(p, 1)) {
    case SQL_NULL:
        json_nil(w);
        return;
    case SQL_I64:
        json_int(w, (int64_t)packed_bits(p, 8));
        return;
    case SQL_F64:
        bits = packed_bits(p, 8);
        memcpy(&real, &bits, sizeof(real));
        if (isfinite(real))
            json_double(w, real);
        else
            json_cstr(w, real > 0 ? "Infinity" : "-Infinity");
        return;
    case SQL_TEXT:
        json_slice(w, packed_text(p));
        return;
    default:
        blob_json(w, packed_text(p));
    }
}

static void result_json(struct json_writer *w, struct packed *all)
{
    struct packed p = {packed_text(all)};
    uint32_t columns = (uint32_t)packed_bits(&p, 4);
    json_open(w, '{');
    json_key(w, "columns");
    json_open(w, '[');
    for (uint32_t k = 0; k < columns; k++)
        json_slice(w, packed_text(&p));
    json_close(w, ']');
    json_key(w, "rows");
    json_open(w, '[');
    for (uint32_t rows = (uint32_t)packed_bits(&p, 4); rows > 0; rows--) {
        json_open(w, '[');
        for (uint32_t k = 0; k < columns; k++)
            value_json(w, &p);
        json_close(w, ']');
    }
    json_close(w, ']');
    json_key(w, "changes");
    json_int(w, (int64_t)packed_bits(&p, 8));
    json_key(w, "last_row_id");
    json_int(w, (int64_t)packed_bits(&p, 8));
    json_key(w, "rows_read");
    json_int(w, (int64_t)packed_bits(all, 8));
    json_key(w, "rows_written");
    json_int(w, (int64_t)packed_bits(all, 8));
    (void)packed_bits(all, 4);
    json_key(w, "statements");
    json_int(w, (int64_t)packed_bits(all, 4));
    json_close(w, '}');
}

static void results_json(struct slice result, struct bytes *out)
{
    struct packed p = {result};
    uint64_t bits = packed_bits(&p, 8);
    double ms;
    memcpy(&ms, &bits, sizeof(ms));
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_key(&w, "duration_ms");
    json_double(&w, ms);
    json_key(&w, "size_bytes");
    json_int(&w, (int64_t)packed_bits(&p, 8));
    (void)packed_bits(&p, 8);
    json_key(&w, "results");
    json_open(&w, '[');
    for (uint32_t len = (uint32_t)packed_bits(&p, 4); len > 0; len--)
        result_json(&w, &p);
    json_close(&w, ']');
    json_close(&w, '}');
}

/* ---- the route ---- */

static void on_statements_run(struct admin_statements *s)
{
    struct statements_run *run = container_of(s, struct statements_run, statements);
    struct admin_request *r = run->request;
    struct error error = s->error;
    if (error.code == ERR_SQL) /* of who asks, not of code that runs here */
        error.code = ERR_INVALID;
    if (error.code != OK && run->len > 1)
        error_context(&error, error.code, "statement %u", s->failed + 1);
    if (error.code != OK) {
        reply_error(r, &error);
    } else {
        struct bytes body = BYTES_INIT;
        results_json(bytes_slice(&s->result), &body);
        reply_json(r, 200, &body);
    }
    request_release(r);
}

void d1_query(struct admin_request *r)
{
    struct error error = {0};
    struct store_query q;
    struct statements_run *run = arena_new_struct(r->arena, struct statements_run);
    *run = (struct statements_run){.request = r, .packed = BYTES_INIT};
    arena_on_free(r->arena, statements_done, run);
    enum err err = read_statements(r, run, &error);
    if (!err)
        err = read_resource(r, request_resource_kind(r), r->params[0], &q, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    run->statements = (struct admin_statements){
        .done = on_statements_run,
        .space = r->space,
        .resource = q.resource.row.id,
        .request = bytes_slice(&run->packed),
    };
    request_hold(r);
    r->admin->host.statements(r->admin->host.ctx, &run->statements);
}
