/* SPDX-License-Identifier: Apache-2.0
 *
 * One function for each shape of a result, that ops.def says the op has. `reader` takes values off the front of a payload and
 * remembers when there was not enough; what was written until then is dropped. */
#include "admin/journal_value.h"

#include "admin/body.h"
#include "admin/value.h"
#include "base/json.h"
#include "host/op_row.h"

enum {
    VALUE_STEP_BYTES_MAX = 256 * 1024, /* of a step's result; what is beyond is cut */
    VALUE_BYTES_SHOWN = 64,            /* of a payload that cannot be read */
};

const char *journal_value_op_name(uint32_t op)
{
    return op_row(op)->name;
}

/* ---- reading ---- */

struct reader {
    struct slice rest;
    bool is_short;
};

static void take(struct reader *r, void *ret, size_t len)
{
    if (r->is_short || r->rest.len < len) {
        r->is_short = true;
        memset(ret, 0, len);
        return;
    }
    memcpy(ret, r->rest.ptr, len);
    r->rest = slice_skip(r->rest, len);
}

static uint32_t take_u32(struct reader *r)
{
    uint32_t v;
    take(r, &v, sizeof(v));
    return le32toh(v);
}

static int64_t take_i64(struct reader *r)
{
    uint64_t v;
    take(r, &v, sizeof(v));
    return (int64_t)le64toh(v);
}

static double take_f64(struct reader *r)
{
    int64_t bits = take_i64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static struct slice take_lstr(struct reader *r)
{
    uint32_t len = take_u32(r);
    if (r->is_short || r->rest.len < len) {
        r->is_short = true;
        return SLICE_EMPTY;
    }
    struct slice s = slice_of(r->rest.ptr, len);
    r->rest = slice_skip(r->rest, len);
    return s;
}

bool journal_value_attempt(struct slice payload, uint32_t *ret_attempt, struct slice *ret_message)
{
    struct reader r = {.rest = payload};
    uint32_t attempt = take_u32(&r);
    (void)take_i64(&r); /* when the next one is due */
    struct slice message = take_lstr(&r);
    if (r.is_short)
        return false;
    *ret_attempt = attempt;
    *ret_message = message;
    return true;
}

/* ---- shapes ---- */

static void hex_json(struct json_writer *w, struct slice bytes)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, "0x");
    for (size_t i = 0; i < bytes.len; i++)
        bytes_printf(&text, "%02x", (unsigned char)bytes.ptr[i]);
    json_slice(w, bytes_slice(&text));
}

/* JSON that the guest wrote; it is checked, since it goes into an answer as it is. */
static void raw_checked(struct reader *r, struct json_writer *w, struct slice json)
{
    struct body_value value;
    if (body_parse(json, &value, NULL))
        r->is_short = true;
    else
        json_raw(w, value.text);
}

static void headers_json(struct reader *r, struct json_writer *w)
{
    json_open(w, '[');
    for (uint32_t count = take_u32(r); count > 0 && !r->is_short; count--) {
        json_open(w, '[');
        json_slice(w, take_lstr(r));
        json_slice(w, take_lstr(r));
        json_close(w, ']');
    }
    json_close(w, ']');
}

static void fetch_json(struct reader *r, struct json_writer *w)
{
    json_open(w, '{');
    json_key(w, "status");
    json_int(w, take_u32(r));
    (void)take_u32(r); /* source: a recorded body is inline */
    json_key(w, "redirected");
    json_bool(w, take_u32(r) & 1);
    json_key(w, "url");
    json_slice(w, take_lstr(r));
    json_key(w, "status_text");
    json_slice(w, take_lstr(r));
    json_key(w, "headers");
    headers_json(r, w);
    json_key(w, "body");
    json_slice(w, take_lstr(r));
    json_close(w, '}');
}

static void sql_value_json(struct reader *r, struct json_writer *w)
{
    unsigned char tag;
    take(r, &tag, 1);
    switch (tag) {
    case 0:
        json_nil(w);
        return;
    case 1:
        json_int(w, take_i64(r));
        return;
    case 2:
        json_double(w, take_f64(r));
        return;
    case 3:
        json_slice(w, take_lstr(r));
        return;
    case 4:
        hex_json(w, take_lstr(r));
        return;
    default:
        r->is_short = true;
    }
}

static void sql_json(struct reader *r, struct json_writer *w)
{
    json_open(w, '{');
    json_key(w, "columns");
    json_open(w, '[');
    uint32_t columns = take_u32(r);
    if (columns == UINT32_MAX) { /* what changes() and total_changes() are after it: for replays */
        (void)take_i64(r);
        (void)take_i64(r);
        columns = take_u32(r);
    }
    for (uint32_t i = 0; i < columns && !r->is_short; i++)
        json_slice(w, take_lstr(r));
    json_close(w, ']');
    json_key(w, "rows");
    json_open(w, '[');
    uint32_t rows = columns > 0 ? take_u32(r) : (take_u32(r), 0);
    for (uint32_t row = 0; row < rows && !r->is_short; row++) {
        json_open(w, '[');
        for (uint32_t i = 0; i < columns && !r->is_short; i++)
            sql_value_json(r, w);
        json_close(w, ']');
    }
    json_close(w, ']');
    json_key(w, "changes");
    json_int(w, take_i64(r));
    json_key(w, "last_insert_rowid");
    json_int(w, take_i64(r));
    json_close(w, '}');
}

/* Variables may be secrets: never their values, though old records have them. */
static void env_json(int64_t version, struct json_writer *w)
{
    json_key(w, "value");
    json_cstr(w, "(hidden)");
    if (version >= 0) {
        json_key(w, "version");
        json_int(w, version);
    }
}

static void env_get_json(struct reader *r, struct json_writer *w)
{
    uint32_t kind = take_u32(r);
    if (kind == 0) {
        json_nil(w);
        return;
    }
    json_open(w, '{');
    env_json(kind == 2 ? take_i64(r) : -1, w);
    json_close(w, '}');
}

static void env_list_json(struct reader *r, struct json_writer *w)
{
    uint32_t count = take_u32(r);
    bool has_versions = count == UINT32_MAX;
    if (has_versions)
        count = take_u32(r);
    json_open(w, '[');
    for (; count > 0 && !r->is_short; count--) {
        json_open(w, '{');
        json_key(w, "name");
        json_slice(w, take_lstr(r));
        if (!has_versions)
            (void)take_lstr(r);
        env_json(has_versions ? take_i64(r) : -1, w);
        json_close(w, '}');
    }
    json_close(w, ']');
}

/* The number of the signal, which the code does not get, and what it gets. */
static void event_json(struct reader *r, struct json_writer *w)
{
    json_open(w, '{');
    json_key(w, "seq");
    json_int(w, take_i64(r));
    json_key(w, "at_ms");
    json_double(w, take_f64(r));
    json_key(w, "data");
    raw_checked(r, w, take_lstr(r));
    json_close(w, '}');
}

static void attempt_json(struct reader *r, struct json_writer *w)
{
    json_open(w, '{');
    json_key(w, "attempt");
    json_int(w, take_u32(r));
    json_key(w, "next_at_ms");
    json_int(w, take_i64(r) / 1000);
    json_key(w, "message");
    json_slice(w, take_lstr(r));
    json_close(w, '}');
}

/* A result of a step, or an error that it threw. */
static void step_json(const struct reader *r, struct json_writer *w)
{
    CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
    value_to_json(r->rest, VALUE_STEP_BYTES_MAX, &json);
    json_raw(w, bytes_slice(&json));
}

/* ---- records ---- */

bool journal_value_is_step(const struct record *r)
{
    return op_row(r->op)->shows == OP_SHOWS_STEP;
}

/* Does a failure of this op carry more than a message? */
static bool is_error_value(const struct record *r)
{
    return op_row(r->op)->shows == OP_SHOWS_JSON || r->kind == RECORD_END ||
           (journal_value_is_step(r) && r->status == ERR_GUEST);
}

static void result_json(const struct record *record, struct reader *r, struct json_writer *w)
{
    switch (op_row(record->op)->shows) {
    case OP_SHOWS_NOTHING:
    case OP_SHOWS_BYTES:
        hex_json(w, r->rest);
        return;
    case OP_SHOWS_TEXT:
        json_slice(w, r->rest);
        return;
    case OP_SHOWS_NUMBER:
        json_double(w, take_f64(r));
        return;
    case OP_SHOWS_JSON:
        raw_checked(r, w, r->rest);
        return;
    case OP_SHOWS_RESPONSE:
        fetch_json(r, w);
        return;
    case OP_SHOWS_ROWS:
        sql_json(r, w);
        return;
    case OP_SHOWS_VARIABLE:
        env_get_json(r, w);
        return;
    case OP_SHOWS_VARIABLES:
        env_list_json(r, w);
        return;
    case OP_SHOWS_STEP:
        step_json(r, w);
        return;
    case OP_SHOWS_SIGNAL:
        event_json(r, w);
        return;
    }
}

void journal_value_json(const struct record *record, struct bytes *out)
{
    struct reader r = {.rest = record->payload};
    struct json_writer w = json_writer(out);
    size_t start = out->len;
    if (record->kind == RECORD_ATTEMPT)
        attempt_json(&r, &w);
    else if (record->payload.len == 0)
        json_nil(&w);
    else if (record->status && !is_error_value(record))
        json_slice(&w, record->payload); /* the message */
    else if (record->kind == RECORD_END)
        raw_checked(&r, &w, record->payload);
    else
        result_json(record, &r, &w);
    if (!r.is_short)
        return;
    out->len = start;
    w = json_writer(out);
    hex_json(&w, slice_of(record->payload.ptr, record->payload.len < VALUE_BYTES_SHOWN
                                                   ? record->payload.len
                                                   : VALUE_BYTES_SHOWN));
}

static bool find_member(const struct body_value *v, const char *name, struct body_value *ret_member)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    if (v->kind != BODY_OBJECT)
        return false;
    struct body_walk walk = body_walk(v);
    while (body_next_member(&walk, &key, ret_member)) {
        if (slice_eq_cstr(bytes_slice(&key), name))
            return true;
    }
    return false;
}

static void append_text(const struct body_value *v, struct bytes *out)
{
    if (v->kind == BODY_STRING)
        body_string(v, out);
    else
        bytes_append_slice(out, v->text);
}

/* "TypeError: it is no function" of {"name", "message"}. Steps wrap what they threw: {"error": …},
 * or
 * {"value": …} when it is no error. */
static void error_value_text(struct slice json, struct bytes *out)
{
    struct body_value root, inner, name, message;
    if (body_parse(json, &root, NULL) || root.kind == BODY_NULL)
        return;
    if (find_member(&root, "error", &inner) || find_member(&root, "value", &inner))
        root = inner;
    bool has_name = find_member(&root, "name", &name);
    if (!find_member(&root, "message", &message)) {
        append_text(&root, out);
        return;
    }
    if (has_name) {
        append_text(&name, out);
        bytes_append_cstr(out, ": ");
    }
    append_text(&message, out);
}

void journal_value_error(const struct record *r, struct bytes *out)
{
    uint32_t attempt;
    struct slice message;
    size_t start = out->len;
    if (!r->status)
        return;
    if (r->kind == RECORD_ATTEMPT && journal_value_attempt(r->payload, &attempt, &message)) {
        bytes_append_slice(out, message);
    } else if (is_error_value(r)) {
        CLEANUP(bytes_done) struct bytes json = BYTES_INIT;
        journal_value_json(r, &json);
        error_value_text(bytes_slice(&json), out);
    } else {
        bytes_append_slice(out, r->payload);
    }
    if (out->len == start)
        bytes_append_cstr(out, error_text((enum err)r->status));
}
