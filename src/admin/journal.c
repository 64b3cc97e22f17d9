/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of an execution, a page of records at a time, for people who want to know what
 * happened. Payloads may be large, and the control thread has others to serve: a page ends early
 * when it has read JOURNAL_PAGE_BYTES, and the link to the next one says where to go on.
 *
 * How often a step was tried is not in its result but in the ATTEMPT records before it; for those
 * of earlier pages JOURNAL_LOOK_BACK records before the page are read too. */
#include "admin/internal.h"
#include "admin/journal_value.h"
#include "durable/record.h"

#include <openssl/evp.h>

enum {
    JOURNAL_PAGE_BYTES = 4 * 1024 * 1024,
    JOURNAL_READ_BYTES = 256 * 1024, /* at once */
    JOURNAL_LOOK_BACK = 200,
    JOURNAL_LOOK_BACK_BYTES = 1024 * 1024,
    JOURNAL_DIGEST_BYTES = 6,
};

struct journal_attempt {
    uint32_t id, attempts;
};

struct journal_page {
    struct admin_request *request;
    struct slice execution;
    int64_t first; /* number of the first record shown */
    int64_t end;   /* number behind the last one seen */
    int64_t limit, shown;
    size_t bytes;
    bool has_values, is_over;
    struct journal_attempt *attempts; /* of steps that failed; in the arena */
    size_t attempts_len, attempts_cap;
    struct json_writer *writer;
};

/* ---- attempts ---- */

static struct journal_attempt *attempt_of(struct journal_page *p, uint32_t id)
{
    for (size_t i = p->attempts_len; i > 0; i--) {
        if (p->attempts[i - 1].id == id)
            return &p->attempts[i - 1];
    }
    return NULL;
}

static void attempt_note(struct journal_page *p, uint32_t id, uint32_t attempt)
{
    struct journal_attempt *known = attempt_of(p, id);
    if (known) {
        known->attempts = attempt;
        return;
    }
    if (p->attempts_len == p->attempts_cap) {
        size_t cap = p->attempts_cap ? 2 * p->attempts_cap : 64;
        struct journal_attempt *more = arena_array(p->request->arena, cap, sizeof(*more));
        if (p->attempts_len > 0)
            memcpy(more, p->attempts, p->attempts_len * sizeof(*more));
        p->attempts = more;
        p->attempts_cap = cap;
    }
    p->attempts[p->attempts_len++] = (struct journal_attempt){id, attempt};
}

/* How often it was tried up to this record; 0: it is nothing that is tried. */
static uint32_t attempts_until(struct journal_page *p, const struct record *r)
{
    uint32_t attempt;
    struct slice message;
    if (r->kind == RECORD_ATTEMPT) {
        if (!journal_value_attempt(r->payload, &attempt, &message))
            return 0;
        attempt_note(p, r->id, attempt);
        return attempt;
    }
    if (r->kind != RECORD_DONE || !journal_value_is_step(r))
        return 0;
    const struct journal_attempt *known = attempt_of(p, r->id);
    return known ? known->attempts + 1 : 1;
}

/* ---- records ---- */

/* So that people can see whether two results are the same. */
static void digest_json(struct json_writer *w, struct slice payload)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * JOURNAL_DIGEST_BYTES + 1];
    json_key(w, "digest");
    if (payload.len == 0) {
        json_nil(w);
        return;
    }
    CHECK(EVP_Digest(payload.ptr, payload.len, digest, NULL, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < JOURNAL_DIGEST_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    json_cstr(w, text);
}

static void record_json(struct journal_page *p, int64_t n, const struct record *r,
                        uint32_t attempts)
{
    struct json_writer *w = p->writer;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    json_open(w, '{');
    json_key(w, "n");
    json_int(w, n);
    json_key(w, "kind");
    json_cstr(w, record_kind_text(r->kind));
    times_json(w, "at", r->at_us);
    text_json(w, "op", slice_cstr(journal_value_op_name(r->op)));
    number_json(w, "id", r->id);
    text_json(w, "label", r->label);
    digest_json(w, r->payload);
    json_key(w, "bytes");
    json_int(w, (int64_t)r->payload.len);
    number_json(w, "attempts", attempts);
    json_key(w, "status");
    json_cstr(w, r->status ? error_text((enum err)r->status) : "ok");
    journal_value_error(r, &text);
    text_json(w, "error", bytes_slice(&text));
    if (p->has_values) {
        bytes_clear(&text);
        journal_value_json(r, &text);
        json_key(w, "value");
        json_raw(w, bytes_slice(&text));
    }
    json_close(w, '}');
}

/* Goes through whole chunks whose first record is number n. */
static enum err page_chunk(struct journal_page *p, struct slice chunk, int64_t n,
                           struct error *ret_error)
{
    for (; chunk.len > 0 && !p->is_over; n++) {
        struct record r;
        enum err err = record_take(&chunk, &r, ret_error);
        if (err) {
            error_context(ret_error, err, "record %lld of the journal", (long long)n);
            error_hint(ret_error, "the data folder is damaged: restore it from a copy");
            return err;
        }
        if (n < p->end)
            continue; /* the chunk begins before what was asked for */
        p->end = n + 1;
        uint32_t attempts = attempts_until(p, &r);
        if (n < p->first)
            continue;
        record_json(p, n, &r, attempts);
        p->bytes += r.payload.len;
        p->is_over = ++p->shown >= p->limit || p->bytes >= JOURNAL_PAGE_BYTES;
    }
    return OK;
}

static enum err page_read(struct journal_page *p, struct error *ret_error)
{
    size_t looked_back = 0;
    p->end = p->first > JOURNAL_LOOK_BACK ? p->first - JOURNAL_LOOK_BACK : 0;
    while (!p->is_over) {
        struct store_query q = {
            .kind = STORE_QUERY_JOURNAL,
            .journal = {.id = p->execution, .first = p->end, .bytes_max = JOURNAL_READ_BYTES}};
        enum err err = request_read(p->request, &q, ret_error);
        if (err || q.journal.count == 0)
            return err;
        struct slice chunk = bytes_slice(q.journal.out);
        int64_t before = p->end;
        err = page_chunk(p, chunk, q.journal.start, ret_error);
        if (err)
            return err;
        if (p->end == before)
            return OK;
        looked_back += p->end < p->first ? chunk.len : 0;
        if (p->end < p->first && looked_back >= JOURNAL_LOOK_BACK_BYTES)
            p->end = p->first;
    }
    return OK;
}

/* ---- the route ---- */

static enum err find_execution(struct admin_request *r, struct durable_row *ret_row,
                               struct error *ret_error)
{
    struct execution_found found;
    enum err err = execution_find(r, r->params[0], &found, ret_error);
    if (err)
        return err;
    if (!found.is_durable) {
        error_set(ret_error, ERR_NOT_FOUND,
                  "execution %.*s is a run of the function '%.*s', which keeps no journal",
                  SLICE_ARG(found.function.id), SLICE_ARG(found.function.function));
        error_hint(ret_error, "'limpet execution show' has its input, output and log lines");
        return ERR_NOT_FOUND;
    }
    *ret_row = found.durable;
    return OK;
}

static enum err read_query(struct admin_request *r, struct journal_page *p, struct error *ret_error)
{
    struct slice text;
    uint64_t after = 0, limit;
    bool has_after = request_query(r, "after", &text);
    enum err err =
        request_query_uint(r, "limit", ADMIN_LOG_PAGE_DEFAULT, ADMIN_PAGE_MAX, &limit, ret_error);
    if (!err && has_after)
        err = request_query_uint(r, "after", 0, INT64_MAX - 1, &after, ret_error);
    if (err)
        return err;
    p->first = has_after ? (int64_t)after + 1 : 0;
    p->limit = limit > 0 ? (int64_t)limit : 1;
    p->has_values = request_query_flag(r, "values");
    return OK;
}

void journal_show(struct admin_request *r)
{
    struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    struct journal_page page = {.request = r, .writer = &w};
    struct durable_row row;
    struct error error = {0};
    enum err err = find_execution(r, &row, &error);
    if (!err)
        err = read_query(r, &page, &error);
    json_open(&w, '[');
    page.execution = row.id;
    if (!err)
        err = page_read(&page, &error);
    json_close(&w, ']');
    if (err) {
        bytes_done(&body);
        reply_error(r, &error);
        return;
    }
    const char *next = NULL;
    if (page.is_over && page.end < row.records)
        next = arena_printf(r->arena, "/executions/%.*s/journal?limit=%lld&after=%lld%s",
                            SLICE_ARG(row.id), (long long)page.limit, (long long)page.end - 1,
                            page.has_values ? "&values=1" : "");
    reply_page(r, next, &body);
}
