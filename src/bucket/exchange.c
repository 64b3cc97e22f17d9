/* SPDX-License-Identifier: Apache-2.0
 *
 * One request to a bucket: a state machine that reads top-down, `exchange_step()`.
 *
 *     TAKE (-> SYNC -> EXPECT -> NAME) (-> LOOK) -> STORE -> ANSWER -> SEND -> DONE      what changes something
 *     LOOK -> ANSWER -> SEND -> DONE                                                     what reads
 *
 * Content of a put that is small stays in memory and goes into the row; other goes to a file, piece by
 * piece, on the pool. While pool or store have the exchange nothing else happens to it; a change that has been
 * asked for is made, also when nobody waits for the answer any more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "bucket/internal.h"
#include "http/url.h"
#include "loop/loop.h"

enum { PIECE_BYTES = 256 * 1024, COMPLETE_BYTES_MAX = 2 * 1024 * 1024 };

static struct bucket_exchange *exchange_of(const struct http_fetch *f)
{
    return container_of(f->transport, struct bucket_exchange, transport);
}

static void exchange_step(struct bucket_exchange *x);

static void on_step(struct timer *t)
{
    exchange_step(container_of(t, struct bucket_exchange, step));
}

/* Never from inside of a call of the caller's. */
static void exchange_kick(struct bucket_exchange *x)
{
    if (!x->is_waiting && !timer_is_running(&x->step))
        timer_start(x->asks->loop, &x->step, 0, on_step);
}

static bool has_content(const struct bucket_exchange *x)
{
    return x->op == BUCKET_PUT || x->op == BUCKET_UPLOAD_PART;
}

/* ---- the pool ---- */

static void work_done(struct work *w)
{
    struct bucket_exchange *x = container_of(w, struct bucket_exchange, work);
    x->is_waiting = false;
    exchange_step(x);
}

static void work_begin(struct bucket_exchange *x, void (*run)(struct work *w))
{
    x->is_waiting = true;
    x->worked = (struct error){.code = OK};
    x->work = (struct work){.run = run, .done = work_done};
    work_start(x->asks->loop, &x->work);
}

static void run_write(struct work *w)
{
    struct bucket_exchange *x = container_of(w, struct bucket_exchange, work);
    enum err err = x->blob ? OK : store_blob_new(x->asks->store, &x->blob, &x->worked);
    bucket_sums_add(&x->sums, bytes_slice(&x->piece));
    if (err == OK)
        err = store_blob_write(x->blob, bytes_slice(&x->piece), &x->worked);
    CHECK(err == x->worked.code);
}

static void run_sync(struct work *w)
{
    struct bucket_exchange *x = container_of(w, struct bucket_exchange, work);
    x->worked.code = store_blob_end(x->blob, x->hash, &x->worked);
}

static void run_name(struct work *w)
{
    struct bucket_exchange *x = container_of(w, struct bucket_exchange, work);
    x->worked.code = store_blob_keep(x->blob, &x->worked);
}

/* The next of the content, of the file that it is in. */
static void run_read(struct work *w)
{
    struct bucket_exchange *x = container_of(w, struct bucket_exchange, work);
    int64_t start = 0;
    size_t file = 0;
    while (file < x->row.files_len && x->at >= start + x->row.files[file].bytes)
        start += x->row.files[file++].bytes;
    if (file == x->row.files_len) {
        error_set(&x->worked, ERR_CORRUPT, "an object has less content than its size");
        return;
    }
    if (x->fd >= 0 && file != x->file) {
        close(x->fd);
        x->fd = -1;
    }
    uint64_t bytes = 0;
    enum err err = OK;
    x->file = file;
    if (x->fd < 0)
        err = store_asset_open(x->asks->store, x->row.files[file].hash, "", &x->fd, &bytes,
                               &x->worked);
    const int64_t left = start + x->row.files[file].bytes - x->at, wanted = x->end - x->at;
    int64_t len = left < wanted ? left : wanted;
    if (len > PIECE_BYTES)
        len = PIECE_BYTES;
    bytes_clear(&x->piece);
    if (err == OK)
        err =
            store_asset_read(x->fd, (uint64_t)(x->at - start), (size_t)len, &x->piece, &x->worked);
    CHECK(err == x->worked.code);
}

/* ---- the store ---- */

static void store_done(struct store_op *op)
{
    struct bucket_exchange *x = container_of(op, struct bucket_exchange, store_op);
    x->is_waiting = false;
    exchange_step(x);
}

static struct store_op *store_begin(struct bucket_exchange *x, enum bucket_state state)
{
    x->state = state;
    x->is_waiting = true;
    x->store_op = (struct store_op){.loop = x->asks->loop, .done = store_done};
    return &x->store_op;
}

static void ask_done(struct ask *a)
{
    struct bucket_exchange *x = a->owner;
    x->is_waiting = false;
    exchange_step(x);
}

/* Asks what there is; the step goes on with LOOK. */
static void look_begin(struct bucket_exchange *x)
{
    static const enum store_query_kind kinds[BUCKET_OPS] = {
        [BUCKET_GET] = STORE_QUERY_OBJECT_GET,   [BUCKET_HEAD] = STORE_QUERY_OBJECT_GET,
        [BUCKET_PUT] = STORE_QUERY_OBJECT_GET,   [BUCKET_LIST] = STORE_QUERY_OBJECT_LIST,
        [BUCKET_PARTS] = STORE_QUERY_UPLOAD_GET, [BUCKET_COMPLETE] = STORE_QUERY_UPLOAD_GET,
    };
    ask_drop(x->ask);
    x->state = BUCKET_LOOK;
    x->ask = ask_new(x->asks, kinds[x->op], ask_done, x);
    struct store_query *q = &x->ask->query;
    if (q->kind == STORE_QUERY_OBJECT_GET) {
        q->object_get.resource = x->bucket;
        q->object_get.key = x->key;
        q->object_get.has_content = x->op == BUCKET_GET;
    } else if (q->kind == STORE_QUERY_OBJECT_LIST) {
        q->object_list.resource = x->bucket;
        q->object_list.prefix = x->prefix;
        q->object_list.after = x->after;
        q->object_list.delimiter = x->delimiter;
        q->object_list.limit = (int64_t)x->limit;
    } else {
        q->upload_get.resource = x->bucket;
        q->upload_get.name = x->upload;
    }
    x->is_waiting = ask_start(x->ask) == OP_PENDING;
}

/* ---- the end ---- */

static void exchange_free(struct bucket_exchange *x)
{
    struct asks *asks = x->asks;
    if (x->fd >= 0)
        close(x->fd);
    ask_drop(x->ask);
    store_blob_free(x->blob);
    bucket_sums_done(&x->sums);
    allowance_give(&x->held, x->held.used);
    allowance_done(&x->held);
    struct bytes *all[] = {&x->taken, &x->piece, &x->metadata, &x->numbers, &x->json, &x->object};
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        bytes_done(all[k]);
    arena_free(x->arena); /* x lies in it */
    asks_release(asks);
}

static void exchange_end(struct bucket_exchange *x)
{
    struct http_fetch *f = TAKE(x->fetch);
    x->state = BUCKET_DONE;
    timer_stop(x->asks->loop, &x->step);
    f->transport = NULL;
    f->on_done(f, &x->failure);
    exchange_free(x);
}

/* What cannot be answered, as the head has left, or is the server's fault. */
static void exchange_fail(struct bucket_exchange *x, const struct error *error)
{
    x->failure = *error;
    exchange_end(x);
}

/* ---- the body that comes ---- */

/* One more than a list of parts may have, so that one too long is seen. */
static size_t take_max(const struct bucket_exchange *x)
{
    return x->op == BUCKET_COMPLETE ? COMPLETE_BYTES_MAX + 1 : PIECE_BYTES;
}

/* Of a body that is there as a whole: the next of it. */
static void take_given(struct bucket_exchange *x)
{
    struct slice rest = slice_skip(x->fetch->body, x->lent_at);
    size_t len = x->taken.len < take_max(x) ? take_max(x) - x->taken.len : 0;
    len = rest.len < len ? rest.len : len;
    if (len > 0)
        bytes_append(&x->taken, rest.ptr, len);
    allowance_force(&x->held, len);
    x->lent_at += len;
    x->is_end = x->lent_at == x->fetch->body.len;
}

static void take_dropped(struct bucket_exchange *x)
{
    allowance_give(&x->held, x->taken.len);
    bytes_clear(&x->taken);
}

/* The body is refused: read to its end, so that its sender hears why. */
static void take_refuse(struct bucket_exchange *x, enum err code, const char *why)
{
    error_set(&x->worked, code, "%s", why);
    x->state = BUCKET_DROP;
}

static void take_write(struct bucket_exchange *x)
{
    bytes_clear(&x->piece);
    bytes_append_slice(&x->piece, bytes_slice(&x->taken));
    x->size += (int64_t)x->taken.len;
    take_dropped(x);
    work_begin(x, run_write);
}

static void take_over(struct bucket_exchange *x);

/* True: goes on at once. */
static bool exchange_take(struct bucket_exchange *x)
{
    if (x->state == BUCKET_TAKE && x->worked.code != OK) {
        const struct error why = x->worked;
        bucket_answer_refusal(x, &why); /* the disk */
        return true;
    }
    if (!x->fetch->is_streaming && !x->is_end)
        take_given(x);
    if (x->state == BUCKET_TAKE && x->size + (int64_t)x->taken.len > BUCKET_OBJECT_BYTES_MAX)
        take_refuse(x, ERR_TOO_LARGE, "an object has at most 5 TiB");
    if (x->op == BUCKET_COMPLETE && x->taken.len > COMPLETE_BYTES_MAX)
        take_refuse(x, ERR_TOO_LARGE, "the list of parts is too long");
    const bool is_file =
        x->blob || x->op == BUCKET_UPLOAD_PART || x->taken.len > STORE_OBJECT_INLINE_BYTES;
    const bool is_due =
        x->taken.len >= PIECE_BYTES || (x->is_end && x->taken.len > 0) || (x->is_end && !x->blob);
    if (x->state == BUCKET_TAKE && has_content(x) && is_file && is_due)
        take_write(x);
    if (x->state == BUCKET_DROP)
        take_dropped(x);
    const bool was_end = x->is_end;
    if (x->is_full && !x->is_waiting) {
        x->is_full = false;
        x->fetch->on_drain(x->fetch); /* may write at once */
    }
    if (x->is_waiting)
        return false;
    if (x->is_end != was_end)
        return true;
    if (!x->is_end)
        return !x->fetch->is_streaming || (has_content(x) && x->taken.len >= PIECE_BYTES);
    if (x->state == BUCKET_DROP) {
        const struct error why = x->worked;
        bucket_answer_refusal(x, &why);
    } else {
        take_over(x);
    }
    return !x->is_waiting;
}

static void part_store(struct bucket_exchange *x)
{
    x->part = (struct object_file){.number = (int64_t)x->number,
                                   .bytes = x->size,
                                   .hash = slice_cstr(x->hash),
                                   .etag = slice_cstr(x->sums.list[0].is)};
    store_upload_part(x->asks->store, store_begin(x, BUCKET_STORE), x->bucket, x->upload, &x->part);
}

static void put_store(struct bucket_exchange *x, int64_t if_id)
{
    x->row = (struct object_row){.resource = x->bucket,
                                 .key = x->key,
                                 .size = x->size,
                                 .uploaded_us = clock_wall_us(),
                                 .etag = slice_cstr(x->sums.list[0].is),
                                 .metadata = bytes_slice(&x->metadata)};
    if (x->blob)
        x->row.file = slice_cstr(x->hash);
    else
        x->row.value = bytes_slice(&x->taken);
    store_object_put(x->asks->store, store_begin(x, BUCKET_STORE), &x->row, if_id);
}

/* The content is where it stays. */
static void put_go(struct bucket_exchange *x)
{
    if (x->op == BUCKET_UPLOAD_PART)
        part_store(x);
    else if (bucket_has_condition(x->request))
        look_begin(x);
    else
        put_store(x, STORE_OBJECT_ANY);
}

/* All of the body is here. */
static void take_over(struct bucket_exchange *x)
{
    struct error error = {0};
    if (x->op == BUCKET_COMPLETE) {
        look_begin(x);
        return;
    }
    if (!x->blob) {
        x->size = (int64_t)x->taken.len;
        bucket_sums_add(&x->sums, bytes_slice(&x->taken));
    }
    enum err err = bucket_sums_end(&x->sums, &error);
    if (err == OK && x->op == BUCKET_PUT)
        err = bucket_metadata(bucket_header(x->request, "limpet-http"),
                              bucket_header(x->request, "limpet-custom"), &x->sums, &x->metadata,
                              &error);
    if (err != OK) {
        bucket_answer_refusal(x, &error);
    } else if (x->blob) {
        x->state = BUCKET_SYNC;
        work_begin(x, run_sync);
    } else {
        put_go(x);
    }
}

/* ---- what there is ---- */

static void look_object(struct bucket_exchange *x, const struct store_query *q)
{
    struct http_fetch *f = x->fetch;
    x->has_row = q->object_get.row.id != 0;
    const enum bucket_condition holds =
        bucket_check(x->request, x->has_row ? &q->object_get.row : NULL);
    if (x->op == BUCKET_PUT) {
        x->state = BUCKET_ANSWER;
        f->status = 412;
        if (holds == BUCKET_HOLDS)
            put_store(x, q->object_get.row.id);
        return;
    }
    x->state = BUCKET_ANSWER;
    x->row = q->object_get.row;
    f->status = 404;
    if (!x->has_row)
        return;
    int64_t from = 0, to = x->row.size;
    const enum bucket_range range =
        bucket_range(bucket_header(x->request, "range"), x->row.size, &from, &to);
    if (holds != BUCKET_HOLDS) {
        f->status = holds == BUCKET_NOT_MODIFIED ? 304 : 412;
        bucket_answer_object(x, 0, -1);
    } else if (range == BUCKET_NO_PART) {
        f->status = 416;
        bucket_answer_object(x, 0, -1);
    } else {
        f->status = range == BUCKET_PART ? 206 : 200;
        bucket_answer_object(x, from, range == BUCKET_PART ? to : -1);
        x->at = from;
        x->end = x->op == BUCKET_GET ? to : from;
    }
}

static void complete_store(struct bucket_exchange *x, const struct store_query *q)
{
    struct error error = {0};
    if (bucket_read_parts(x, q, &error) != OK) {
        bucket_answer_refusal(x, &error);
        return;
    }
    bytes_append_slice(&x->metadata, q->upload_get.row.metadata);
    x->row = (struct object_row){.resource = x->bucket,
                                 .key = arena_copy(x->arena, q->upload_get.row.key),
                                 .size = x->size,
                                 .uploaded_us = clock_wall_us(),
                                 .etag = slice_cstr(x->etag),
                                 .metadata = bytes_slice(&x->metadata)};
    store_upload_complete(x->asks->store, store_begin(x, BUCKET_STORE), &x->row, x->upload,
                          bytes_slice(&x->numbers));
}

static void exchange_looked(struct bucket_exchange *x)
{
    const struct store_query *q = &x->ask->query;
    if (q->error.code != OK)
        bucket_answer_refusal(x, &q->error);
    else if (q->kind == STORE_QUERY_OBJECT_GET)
        look_object(x, q);
    else if (q->kind == STORE_QUERY_OBJECT_LIST)
        bucket_answer_list(x, q);
    else if (x->op == BUCKET_PARTS)
        bucket_answer_parts(x, q);
    else
        complete_store(x, q);
}

/* ---- what was changed ---- */

static void exchange_stored(struct bucket_exchange *x)
{
    const struct error *error = &x->store_op.error;
    x->state = BUCKET_ANSWER;
    x->fetch->status = x->op == BUCKET_PUT || x->op == BUCKET_COMPLETE ? 200 : 204;
    if (error->code == ERR_CONFLICT) { /* it has changed since it was looked at: the condition */
        look_begin(x);
        return;
    }
    if (error->code != OK) {
        bucket_answer_refusal(x, error);
        return;
    }
    switch (x->op) {
    case BUCKET_PUT:
    case BUCKET_COMPLETE:
        x->row.id = x->store_op.number;
        bucket_answer_object(x, 0, -1);
        break;
    case BUCKET_UPLOAD:
        bucket_answer_upload(x);
        break;
    case BUCKET_UPLOAD_PART:
        bucket_answer_part(x);
        break;
    default:
        break;
    }
}

/* ---- the answer ---- */

static void exchange_answer(struct bucket_exchange *x)
{
    struct http_fetch *f = x->fetch;
    f->ret_headers = x->headers;
    f->ret_headers_len = x->headers_len;
    f->has_no_body = x->op == BUCKET_HEAD || f->status == 204 || f->status == 304;
    x->state = BUCKET_SEND;
    f->on_head(f);
}

/* True: goes on at once. */
static bool exchange_send(struct bucket_exchange *x)
{
    if (x->worked.code != OK && !x->blob) {
        exchange_fail(x, &x->worked);
        return false;
    }
    const bool is_content = x->op == BUCKET_GET && x->json.len == 0;
    if (is_content && x->piece.len > 0) {
        x->at += (int64_t)x->piece.len;
        x->is_paused = !x->fetch->on_body(x->fetch, bytes_slice(&x->piece));
        bytes_clear(&x->piece);
    }
    if (x->is_cancelled || x->is_paused)
        return x->is_cancelled;
    if (x->at >= x->end) {
        exchange_end(x);
        return false;
    }
    if (is_content && x->row.files_len > 0) {
        work_begin(x, run_read);
        return false;
    }
    const struct slice all = is_content ? x->row.value : bytes_slice(&x->json);
    int64_t len = x->end - x->at;
    if (len > PIECE_BYTES)
        len = PIECE_BYTES;
    const struct slice piece = slice_of(all.ptr + x->at, (size_t)len);
    x->at += len;
    x->is_paused = !x->fetch->on_body(x->fetch, piece);
    return true;
}

/* ---- the step ---- */

/* The pool has done something with the file. */
static void exchange_filed(struct bucket_exchange *x)
{
    if (x->worked.code != OK) {
        const struct error why = x->worked;
        bucket_answer_refusal(x, &why);
    } else if (x->state == BUCKET_SYNC) {
        store_file_expected(x->asks->store, store_begin(x, BUCKET_EXPECT), slice_cstr(x->hash));
    } else {
        put_go(x);
    }
}

static void exchange_expected(struct bucket_exchange *x)
{
    if (x->store_op.error.code != OK) {
        const struct error why = x->store_op.error;
        bucket_answer_refusal(x, &why);
        return;
    }
    x->state = BUCKET_NAME;
    work_begin(x, run_name);
}

static void exchange_step(struct bucket_exchange *x)
{
    for (bool goes_on = true; goes_on && !x->is_waiting;) {
        /* What was asked for is done; only who would hear of it is gone. */
        if (x->is_cancelled) {
            (void)error_set(&x->failure, ERR_CANCELLED, "the request was cancelled");
            exchange_end(x);
            return;
        }
        switch (x->state) {
        case BUCKET_TAKE:
        case BUCKET_DROP:
            goes_on = exchange_take(x);
            break;
        case BUCKET_SYNC:
        case BUCKET_NAME:
            exchange_filed(x);
            break;
        case BUCKET_EXPECT:
            exchange_expected(x);
            break;
        case BUCKET_LOOK:
            exchange_looked(x);
            break;
        case BUCKET_STORE:
            exchange_stored(x);
            break;
        case BUCKET_ANSWER:
            exchange_answer(x);
            break;
        case BUCKET_SEND:
            goes_on = exchange_send(x);
            break;
        case BUCKET_DONE:
            return;
        }
    }
}

/* ---- the caller's side ---- */

static bool transport_write(struct http_fetch *f, struct slice data, bool is_end)
{
    struct bucket_exchange *x = exchange_of(f);
    if (x->state != BUCKET_TAKE && x->state != BUCKET_DROP)
        return true;
    if (x->state == BUCKET_TAKE) {
        bytes_append_slice(&x->taken, data);
        allowance_force(&x->held, data.len);
    }
    x->is_end = is_end;
    x->is_full = x->taken.len >= PIECE_BYTES && !is_end;
    exchange_kick(x);
    return !x->is_full;
}

static void transport_resume(struct http_fetch *f)
{
    struct bucket_exchange *x = exchange_of(f);
    if (!x->is_paused)
        return;
    x->is_paused = false;
    exchange_kick(x);
}

static bool transport_has_sent(const struct http_fetch *f)
{
    return exchange_of(f)->lent_at == f->body.len;
}

static void transport_cancel(struct http_fetch *f)
{
    struct bucket_exchange *x = exchange_of(f);
    x->is_cancelled = true;
    exchange_kick(x);
}

static const struct http_transport bucket_transport = {transport_write, transport_resume,
                                                       transport_has_sent, transport_cancel};

/* ---- the beginning ---- */

static const struct {
    const char *method, *op;
    enum bucket_op is;
    bool has_key, has_upload;
} bucket_ops[] = {
    {"GET", "object", BUCKET_GET, true, false},
    {"HEAD", "object", BUCKET_HEAD, true, false},
    {"PUT", "object", BUCKET_PUT, true, false},
    {"DELETE", "object", BUCKET_DELETE, true, false},
    {"GET", "list", BUCKET_LIST, false, false},
    {"POST", "upload", BUCKET_UPLOAD, true, false},
    {"PUT", "part", BUCKET_UPLOAD_PART, false, true},
    {"POST", "complete", BUCKET_COMPLETE, false, true},
    {"GET", "parts", BUCKET_PARTS, false, true},
    {"DELETE", "upload", BUCKET_ABORT, false, true},
};

/* "" if it is not there, or no text. */
static struct slice parameter(struct arena *a, struct slice query, const char *name)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct slice value;
    if (!url_query_get(query, name, &value) || url_decode(value, &text) != OK)
        return SLICE_EMPTY;
    return arena_copy(a, bytes_slice(&text));
}

static enum err read_query(struct bucket_exchange *x, struct slice query, struct error *ret_error)
{
    const struct slice op = parameter(x->arena, query, "op");
    size_t k = 0;
    while (k < ARRAY_LEN(bucket_ops) && !(slice_eq_cstr(x->fetch->method, bucket_ops[k].method) &&
                                          slice_eq_cstr(op, bucket_ops[k].op)))
        k++;
    if (k == ARRAY_LEN(bucket_ops))
        return error_set(ret_error, ERR_INVALID, "a bucket knows no such request");
    x->op = bucket_ops[k].is;
    x->key = parameter(x->arena, query, "key");
    x->upload = parameter(x->arena, query, "upload");
    x->prefix = parameter(x->arena, query, "prefix");
    x->after = parameter(x->arena, query, "cursor"); /* of a page before */
    if (x->after.len == 0)
        x->after = parameter(x->arena, query, "after");
    x->delimiter = parameter(x->arena, query, "delimiter");
    (void)slice_to_u64(parameter(x->arena, query, "limit"), &x->limit);
    (void)slice_to_u64(parameter(x->arena, query, "number"), &x->number);
    if (bucket_ops[k].has_key &&
        (x->key.len == 0 || x->key.len > BUCKET_KEY_BYTES_MAX || !slice_is_utf8(x->key)))
        return error_set(ret_error, ERR_INVALID,
                         "The specified object name is not valid: a key has 1 to %d bytes of "
                         "UTF-8.",
                         BUCKET_KEY_BYTES_MAX);
    if (bucket_ops[k].has_upload && x->upload.len == 0)
        return error_set(ret_error, ERR_INVALID, "no multipart upload is named");
    if (x->op == BUCKET_UPLOAD_PART && (x->number < 1 || x->number > STORE_OBJECT_PARTS_MAX))
        return error_set(ret_error, ERR_INVALID, "Part number must be between 1 and %d.",
                         STORE_OBJECT_PARTS_MAX);
    return has_content(x)
               ? bucket_sums_begin(&x->sums, bucket_header(x->request, "limpet-sums"), ret_error)
               : OK;
}

static void upload_begin(struct bucket_exchange *x)
{
    struct error error = {0};
    x->upload =
        slice_cstr(arena_printf(x->arena, "%016llx%016llx", (unsigned long long)random_u64(),
                                (unsigned long long)random_u64()));
    if (bucket_metadata(bucket_header(x->request, "limpet-http"),
                        bucket_header(x->request, "limpet-custom"), NULL, &x->metadata,
                        &error) != OK) {
        bucket_answer_refusal(x, &error);
        return;
    }
    const struct upload_row row = {.resource = x->bucket,
                                   .name = x->upload,
                                   .key = x->key,
                                   .metadata = bytes_slice(&x->metadata)};
    store_upload_new(x->asks->store, store_begin(x, BUCKET_STORE), &row);
}

static void exchange_begin(struct bucket_exchange *x)
{
    switch (x->op) {
    case BUCKET_PUT:
    case BUCKET_UPLOAD_PART:
    case BUCKET_COMPLETE:
        x->state = BUCKET_TAKE;
        break;
    case BUCKET_DELETE:
        store_object_delete(x->asks->store, store_begin(x, BUCKET_STORE), x->bucket, x->key);
        break;
    case BUCKET_ABORT:
        store_upload_abort(x->asks->store, store_begin(x, BUCKET_STORE), x->bucket, x->upload);
        break;
    case BUCKET_UPLOAD:
        upload_begin(x);
        break;
    default:
        look_begin(x);
        break;
    }
}

static void headers_copy(struct bucket_exchange *x)
{
    struct http_header *copy = arena_array(x->arena, x->fetch->headers_len + 1, sizeof(*copy));
    for (size_t k = 0; k < x->fetch->headers_len; k++)
        copy[k] = (struct http_header){arena_copy(x->arena, x->fetch->headers[k].name),
                                       arena_copy(x->arena, x->fetch->headers[k].value)};
    x->request = (struct bucket_headers){copy, x->fetch->headers_len};
}

enum err bucket_fetch(struct asks *asks, int64_t bucket, struct slice query, struct http_fetch *f,
                      struct error *ret_error)
{
    struct arena *arena = arena_new(NULL);
    struct bucket_exchange *x = arena_new_struct(arena, struct bucket_exchange);
    x->arena = arena;
    x->transport = bucket_transport;
    x->fetch = f;
    x->asks = asks;
    x->bucket = bucket;
    x->fd = -1;
    x->held.from = f->owner ? &f->owner->budgets[RESOURCE_MEMORY] : NULL;
    asks_hold(asks);
    headers_copy(x);
    enum err err = read_query(x, query, ret_error);
    if (err != OK) {
        exchange_free(x);
        return err;
    }
    f->transport = &x->transport;
    exchange_begin(x);
    exchange_kick(x);
    return OK;
}
