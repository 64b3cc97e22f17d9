/* SPDX-License-Identifier: Apache-2.0
 *
 * KV namespaces, by the names that the code's bindings give them. What is read is committed; a write is
 * answered when it is durable, and begins when what it may depend on is (the output gate). In a workflow,
 * outside of steps, reads are recorded calls, puts and deletes are stored with the record of them, and what
 * compares or adds carries a token, so that it is done once however often it is tried.
 *
 * A write that has begun goes on when the guest has gone; nobody is told then. Values above
 * STORE_KV_INLINE_BYTES are files, written and read by the pool. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "host/recording.h"
#include "loop/work.h"
#include "module/binding.h"
#include "module/deployment.h"
#include "store/ask.h"

enum kv_what { KV_PUT, KV_DELETE, KV_ADD };

/* ---- what the code is bound to ---- */

static enum err kv_find(struct guest *g, struct slice name, int64_t *ret_resource)
{
    const struct deployment *d = g->deployment;
    for (size_t k = 0; k < d->env_len; k++) {
        const struct binding *b = d->env[k].binding;
        if (!b || b->kind != BINDING_KV || !slice_eq(b->name, name))
            continue;
        *ret_resource = b->resource;
        if (b->resource)
            return OK;
        op_refuse(g, ERR_NOT_FOUND, "the KV namespace '%.*s' has been deleted",
                  SLICE_ARG(b->target));
        error_hint(&g->op_error, "deploy this code again: that makes a new one");
        return ERR_NOT_FOUND;
    }
    return op_refuse(g, ERR_FORBIDDEN, "this code has no KV binding '%.*s'",
                     SLICE_ARG(slice_utf8_clip(name, 128)));
}

static enum err kv_check_store(struct guest *g)
{
    return g->host && g->host->asks ? OK : op_refuse(g, ERR_UNAVAILABLE, "there is no store here");
}

static enum err kv_check_key(struct guest *g, struct slice key)
{
    if (key.len > 0 && key.len <= LIMIT_KV_KEY_BYTES && slice_is_utf8(key))
        return OK;
    return op_refuse(g, ERR_INVALID, "a key has 1 to %d bytes of UTF-8", LIMIT_KV_KEY_BYTES);
}

/* ---- reads ---- */

struct kv_read {
    struct op op;
    struct guest *guest; /* NULL: it has gone, a file is still being read */
    struct held held;
    struct ask *ask;
    bool is_held;
    size_t charged;
    /* of files */
    struct asks *asks;
    struct work work;
    struct bytes out;
    struct error error;
};

static void read_free(struct kv_read *r)
{
    if (r->guest)
        guest_discharge(r->guest, r->charged);
    ask_drop(r->ask);
    bytes_done(&r->out);
    free(r);
}

static void read_complete(struct kv_read *r)
{
    if (r->error.code != OK)
        op_complete_error(&r->op, &r->error);
    else
        op_complete(&r->op, OK, bytes_slice(&r->out));
    read_free(r);
}

static bool is_in_files(const struct store_query *q)
{
    for (size_t k = 0; k < q->kv_get.len; k++)
        if (q->kv_get.rows[k].file.len > 0)
            return true;
    return false;
}

static void put_f64(struct bytes *out, double v)
{
    bytes_append(out, &v, sizeof(v));
}

static enum err read_file(struct store *s, const struct kv_row *row, struct bytes *out,
                          struct error *ret_error)
{
    int fd = -1;
    uint64_t size = 0;
    enum err err = store_asset_open(s, row->file, "", &fd, &size, ret_error);
    if (err == OK && (int64_t)size != row->bytes)
        err = error_set(ret_error, ERR_CORRUPT, "the file of a value has another size than it had");
    if (err == OK)
        err = store_asset_read(fd, 0, size, out, ret_error);
    if (fd >= 0)
        close(fd);
    return err;
}

/* The answer of KV_GET; also on the pool. */
static void encode_values(struct kv_read *r)
{
    const struct store_query *q = &r->ask->query;
    enum err err = OK;
    for (size_t k = 0; k < q->kv_get.len && err == OK; k++) {
        const struct kv_row *row = &q->kv_get.rows[k];
        bytes_append_u32(&r->out, row->version > 0);
        if (row->version == 0)
            continue;
        put_f64(&r->out, (double)row->version);
        put_f64(&r->out, (double)row->expires_s);
        bytes_append_lstr(&r->out, row->metadata);
        bytes_append_u32(&r->out, (uint32_t)row->bytes);
        if (row->file.len > 0)
            err = read_file(r->asks->store, row, &r->out, &r->error);
        else
            bytes_append_slice(&r->out, row->value);
    }
}

static void files_run(struct work *w)
{
    encode_values(container_of(w, struct kv_read, work));
}

static void files_done(struct work *w)
{
    struct kv_read *r = container_of(w, struct kv_read, work);
    struct asks *asks = r->asks;
    if (r->guest)
        read_complete(r);
    else
        read_free(r);
    asks_release(asks);
}

static void encode_list(struct kv_read *r)
{
    const struct store_query *q = &r->ask->query;
    struct json_writer w = json_writer(&r->out);
    json_open(&w, '{');
    json_key(&w, "keys");
    json_open(&w, '[');
    for (size_t k = 0; k < q->kv_list.len; k++) {
        const struct kv_row *row = &q->kv_list.rows[k];
        json_open(&w, '{');
        json_key(&w, "name");
        json_slice(&w, row->key);
        if (row->expires_s) {
            json_key(&w, "expiration");
            json_int(&w, row->expires_s);
        }
        if (row->metadata.len > 0) {
            json_key(&w, "metadata");
            json_raw(&w, row->metadata);
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_key(&w, "list_complete");
    json_bool(&w, q->kv_list.is_complete);
    json_close(&w, '}');
}

static size_t answer_bytes(const struct store_query *q)
{
    size_t bytes = 0;
    for (size_t k = 0; q->kind == STORE_QUERY_KV_GET && k < q->kv_get.len; k++)
        bytes += (size_t)q->kv_get.rows[k].bytes + q->kv_get.rows[k].metadata.len + 32;
    for (size_t k = 0; q->kind == STORE_QUERY_KV_LIST && k < q->kv_list.len; k++)
        bytes += q->kv_list.rows[k].key.len + q->kv_list.rows[k].metadata.len + 64;
    return bytes;
}

static void read_answered(struct ask *ask)
{
    struct kv_read *r = ask->owner;
    const struct store_query *q = &ask->query;
    const size_t bytes = q->error.code == OK ? answer_bytes(q) : 0;
    r->error = q->error;
    if (r->error.code == OK && guest_charge(r->guest, bytes) != OK)
        r->error = r->guest->op_error;
    else
        r->charged = bytes;
    if (r->error.code == OK && q->kind == STORE_QUERY_KV_LIST) {
        encode_list(r);
    } else if (r->error.code == OK && is_in_files(q)) {
        asks_hold(r->asks);
        r->work = (struct work){.run = files_run, .done = files_done};
        work_start(r->asks->loop, &r->work);
        return;
    } else if (r->error.code == OK) {
        encode_values(r);
    }
    read_complete(r);
}

static void read_begin(struct kv_read *r)
{
    if (ask_start(r->ask) == OP_DONE)
        read_answered(r->ask);
}

static void read_released(struct held *h, const struct error *error)
{
    struct kv_read *r = container_of(h, struct kv_read, held);
    r->is_held = false;
    if (!error) {
        read_begin(r);
        return;
    }
    r->error = *error;
    read_complete(r);
}

static void read_cancelled(struct op *op)
{
    struct kv_read *r = container_of(op, struct kv_read, op);
    if (r->is_held)
        list_remove(&r->held.link);
    if (r->work.run) { /* the pool has it */
        guest_discharge(TAKE(r->guest), r->charged);
        return;
    }
    read_free(r);
}

static struct kv_read *read_new(struct guest *g, enum store_query_kind kind)
{
    struct kv_read *r = calloc(1, sizeof(*r));
    CHECK(r);
    r->guest = g;
    r->asks = g->host->asks;
    r->held.release = read_released;
    r->ask = ask_new(r->asks, kind, read_answered, r);
    return r;
}

/* id: of the call, when it is one of the execution; else 0. Of a workflow what it has put before is
 * stored first. */
static enum err read_go(struct kv_read *r, uint32_t id)
{
    struct guest *g = r->guest;
    enum err err = OK;
    if (id)
        op_adopt(g, &r->op, id, read_cancelled);
    else
        err = op_begin(g, &r->op, read_cancelled);
    if (err != OK)
        read_free(r);
    else if (!g->durable || guest_gate_pass(g, &r->held))
        read_begin(r);
    else
        r->is_held = true;
    return err;
}

static bool take_u32(struct slice *in, uint32_t *ret)
{
    if (in->len < sizeof(*ret))
        return false;
    memcpy(ret, in->ptr, sizeof(*ret));
    *in = slice_skip(*in, sizeof(*ret));
    return true;
}

static enum err take_keys(struct guest *g, struct slice packed, struct store_query *q)
{
    uint32_t count = 0, len = 0;
    if (!take_u32(&packed, &count) || count == 0 || count > LIMIT_KV_KEYS)
        return op_refuse(g, ERR_INVALID, "get() takes 1 to %d keys", LIMIT_KV_KEYS);
    struct slice *keys = arena_array(q->arena, count, sizeof(*keys));
    for (uint32_t k = 0; k < count; k++) {
        if (!take_u32(&packed, &len) || len > packed.len)
            return op_refuse(g, ERR_INVALID, "malformed keys");
        keys[k] = arena_copy(q->arena, slice_of(packed.ptr, len));
        packed = slice_skip(packed, len);
        enum err err = kv_check_key(g, keys[k]);
        if (err != OK)
            return err;
    }
    q->kv_get.keys = keys;
    q->kv_get.len = count;
    q->kv_get.bytes_max = LIMIT_KV_VALUE_BYTES;
    return OK;
}

static enum err kv_get(struct guest *g, uint32_t id, const struct op_kv_get_args *a)
{
    int64_t resource = 0;
    enum err err = kv_check_store(g);
    if (err == OK)
        err = kv_find(g, a->binding, &resource);
    if (err != OK)
        return err;
    struct kv_read *r = read_new(g, STORE_QUERY_KV_GET);
    r->ask->query.kv_get.resource = resource;
    err = take_keys(g, a->keys, &r->ask->query);
    if (err == OK)
        return read_go(r, id);
    read_free(r);
    return err;
}

enum err op_kv_get(struct guest *g, const struct op_kv_get_args *a)
{
    return kv_get(g, 0, a);
}

enum err op_kv_get_call(struct guest *g, const struct op_kv_get_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_kv_get_start(struct guest *g, uint32_t id, struct op_kv_get_args *a)
{
    return kv_get(g, id, a);
}

static enum err kv_list(struct guest *g, uint32_t id, const struct op_kv_list_args *a)
{
    int64_t resource = 0;
    enum err err = kv_check_store(g);
    if (err == OK)
        err = kv_find(g, a->binding, &resource);
    if (err == OK && (a->prefix.len > LIMIT_KV_KEY_BYTES || a->after.len > LIMIT_KV_KEY_BYTES))
        err = op_refuse(g, ERR_INVALID, "a prefix has at most %d bytes", LIMIT_KV_KEY_BYTES);
    if (err != OK)
        return err;
    struct kv_read *r = read_new(g, STORE_QUERY_KV_LIST);
    struct store_query *q = &r->ask->query;
    q->kv_list.resource = resource;
    q->kv_list.prefix = arena_copy(q->arena, a->prefix);
    q->kv_list.after = arena_copy(q->arena, a->after);
    q->kv_list.limit = a->limit;
    return read_go(r, id);
}

enum err op_kv_list(struct guest *g, const struct op_kv_list_args *a)
{
    return kv_list(g, 0, a);
}

enum err op_kv_list_call(struct guest *g, const struct op_kv_list_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    return OK;
}

enum err op_kv_list_start(struct guest *g, uint32_t id, struct op_kv_list_args *a)
{
    return kv_list(g, id, a);
}

/* ---- writes ---- */

/* What a write waits for. Each that is not at the gate goes on without its guest. */
enum write_state { WRITE_HELD, WRITE_FILE, WRITE_EXPECTED, WRITE_NAME, WRITE_STORE };

struct kv_write {
    struct op op;
    struct guest *guest; /* NULL: it has gone */
    struct asks *asks;
    struct held held;
    enum write_state state;
    enum kv_what what;
    struct arena *arena; /* holds it, and the texts */
    struct kv_row row;
    int64_t if_version, by;
    size_t charged;
    struct store_op store_op;
    struct work work;
    struct store_blob *blob;
    char hash[65];
    struct error error;
};

static void write_free(struct kv_write *w)
{
    if (w->guest)
        guest_discharge(w->guest, w->charged);
    store_blob_free(w->blob);
    arena_free(w->arena);
}

static void write_complete(struct kv_write *w)
{
    struct asks *asks = w->asks;
    const double number = w->what == KV_DELETE ? 0 : (double)w->store_op.number; /* below 2^53 */
    if (w->guest && w->error.code != OK)
        op_complete_error(&w->op, &w->error);
    else if (w->guest)
        op_complete(&w->op, OK, slice_of((const char *)&number, sizeof(number)));
    write_free(w);
    asks_release(asks);
}

static void write_step(struct kv_write *w);

static void on_stored(struct store_op *op)
{
    struct kv_write *w = container_of(op, struct kv_write, store_op);
    w->error = op->error;
    write_step(w);
}

static void on_worked(struct work *work)
{
    write_step(container_of(work, struct kv_write, work));
}

static void file_run(struct work *work)
{
    struct kv_write *w = container_of(work, struct kv_write, work);
    w->error.code = store_blob_new(w->asks->store, &w->blob, &w->error);
    if (w->error.code == OK)
        w->error.code = store_blob_write(w->blob, w->row.value, &w->error);
    if (w->error.code == OK)
        w->error.code = store_blob_end(w->blob, w->hash, &w->error);
}

static void name_run(struct work *work)
{
    struct kv_write *w = container_of(work, struct kv_write, work);
    w->error.code = store_blob_keep(w->blob, &w->error);
}

static void write_work(struct kv_write *w, enum write_state state, void (*run)(struct work *w))
{
    w->state = state;
    w->work = (struct work){.run = run, .done = on_worked};
    work_start(w->asks->loop, &w->work);
}

static void write_store(struct kv_write *w)
{
    struct store *s = w->asks->store;
    w->state = WRITE_STORE;
    w->store_op = (struct store_op){.loop = w->asks->loop, .done = on_stored};
    if (w->what == KV_PUT)
        store_kv_put(s, &w->store_op, &w->row, w->if_version);
    else if (w->what == KV_DELETE)
        store_kv_delete(s, &w->store_op, w->row.resource, w->row.key, w->if_version);
    else
        store_kv_add(s, &w->store_op, w->row.resource, w->row.key, w->by, w->row.token);
}

static void write_step(struct kv_write *w)
{
    if (w->error.code != OK) {
        write_complete(w);
        return;
    }
    switch (w->state) {
    case WRITE_HELD: /* the gate has let it go */
        if (w->row.value.len > STORE_KV_INLINE_BYTES)
            write_work(w, WRITE_FILE, file_run);
        else
            write_store(w);
        return;
    case WRITE_FILE:
        w->state = WRITE_EXPECTED;
        w->store_op = (struct store_op){.loop = w->asks->loop, .done = on_stored};
        store_file_expected(w->asks->store, &w->store_op, slice_cstr(w->hash));
        return;
    case WRITE_EXPECTED:
        write_work(w, WRITE_NAME, name_run);
        return;
    case WRITE_NAME:
        w->row.file = slice_cstr(w->hash);
        w->row.value = SLICE_EMPTY;
        write_store(w);
        return;
    case WRITE_STORE:
        write_complete(w);
        return;
    }
}

static void write_released(struct held *h, const struct error *error)
{
    struct kv_write *w = container_of(h, struct kv_write, held);
    if (error)
        w->error = *error;
    asks_hold(w->asks);
    write_step(w);
}

static void write_cancelled(struct op *op)
{
    struct kv_write *w = container_of(op, struct kv_write, op);
    if (w->state == WRITE_HELD) {
        list_remove(&w->held.link);
        write_free(w);
    } else {
        guest_discharge(TAKE(w->guest), w->charged);
    }
}

/* The same call of the execution, tried again, is known by it. */
static struct slice token_of(struct guest *g, struct arena *a, uint32_t id)
{
    if (!id)
        return SLICE_EMPTY;
    struct slice execution = execution_id(g->durable->execution);
    return slice_cstr(arena_printf(a, "%.*s-%u", SLICE_ARG(execution), id));
}

static enum err check_put(struct guest *g, struct slice value, struct slice metadata,
                          double expires)
{
    if (value.len > LIMIT_KV_VALUE_BYTES)
        return op_refuse(g, ERR_TOO_LARGE, "a value has at most %d bytes", LIMIT_KV_VALUE_BYTES);
    if (metadata.len > LIMIT_KV_METADATA_BYTES)
        return op_refuse(g, ERR_TOO_LARGE, "metadata has at most %d bytes",
                         LIMIT_KV_METADATA_BYTES);
    if (!(expires >= 0 && expires < 1e12))
        return op_refuse(g, ERR_INVALID, "an expiration is in seconds since 1970");
    return OK;
}

static enum err write_args(struct guest *g, const struct op_kv_write_args *a, int64_t *ret_by)
{
    uint64_t number = 0;
    bool is_negative = a->value.len > 0 && a->value.ptr[0] == '-';
    enum err err = kv_check_key(g, a->key);
    if (err == OK)
        err = check_put(g, a->value, a->metadata, a->expires);
    if (err != OK || a->what < KV_ADD)
        return err;
    if (a->what > KV_ADD || !slice_to_u64(slice_skip(a->value, is_negative), &number) ||
        number > (UINT64_C(1) << 53))
        return op_refuse(g, ERR_INVALID, "what is added is a whole number");
    *ret_by = is_negative ? -(int64_t)number : (int64_t)number;
    return OK;
}

static struct kv_write *write_new(struct guest *g, const struct op_kv_write_args *a, uint32_t id)
{
    struct arena *arena = arena_new(NULL);
    struct kv_write *w = arena_new_struct(arena, struct kv_write);
    w->arena = arena;
    w->guest = g;
    w->asks = g->host->asks;
    w->held.release = write_released;
    w->what = (enum kv_what)a->what;
    w->if_version = a->if_version < 0 ? STORE_KV_ANY : (int64_t)a->if_version;
    w->row = (struct kv_row){.key = arena_copy(arena, a->key),
                             .metadata = arena_copy(arena, a->metadata),
                             .expires_s = (int64_t)a->expires,
                             .bytes = (int64_t)a->value.len,
                             .token = token_of(g, arena, id)};
    return w;
}

static enum err kv_write(struct guest *g, uint32_t id, const struct op_kv_write_args *a)
{
    int64_t resource = 0, by = 0;
    enum err err = kv_check_store(g);
    if (err == OK)
        err = kv_find(g, a->binding, &resource);
    if (err == OK)
        err = write_args(g, a, &by);
    if (err == OK)
        err = guest_charge(g, a->value.len);
    if (err != OK)
        return err;
    struct kv_write *w = write_new(g, a, id);
    w->row.resource = resource;
    w->row.value = arena_copy(w->arena, a->value);
    w->by = by;
    w->charged = a->value.len;
    if (id)
        op_adopt(g, &w->op, id, write_cancelled);
    else
        err = op_begin(g, &w->op, write_cancelled);
    if (err != OK) {
        write_free(w);
    } else if (guest_gate_pass(g, &w->held)) {
        asks_hold(w->asks);
        write_step(w);
    }
    return err;
}

enum err op_kv_write(struct guest *g, const struct op_kv_write_args *a)
{
    return kv_write(g, 0, a);
}

enum err op_kv_write_call(struct guest *g, const struct op_kv_write_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_EXTERNAL;
    if (a->value.len > LIMIT_VALUE_BYTES)
        return op_refuse_large(g, "the value of a put that is recorded", a->value.len,
                               "put it inside step()");
    return OK;
}

enum err op_kv_write_start(struct guest *g, uint32_t id, struct op_kv_write_args *a)
{
    return kv_write(g, id, a);
}

/* ---- writes that are a part of a workflow's commit ---- */

enum err op_kv_record_check(struct guest *g, struct op_kv_record_args *a)
{
    int64_t resource = 0;
    if (!guest_is_recorded(g))
        return OK;
    enum err err = kv_find(g, a->binding, &resource);
    if (err == OK)
        err = kv_check_key(g, a->key);
    if (err == OK)
        err = check_put(g, a->value, a->metadata, a->expires);
    if (err == OK && a->value.len > LIMIT_VALUE_BYTES)
        err = op_refuse_large(g, "the value of a put that is recorded", a->value.len,
                              "put it inside step()");
    return err;
}

enum err op_kv_record(struct guest *g, const struct op_kv_record_args *a)
{
    const double is_here = guest_is_recorded(g);
    bytes_append(&g->result, &is_here, sizeof(is_here));
    return OK;
}

void op_kv_record_effect(struct guest *g, const struct op_kv_record_args *a)
{
    int64_t resource = 0;
    if (!guest_is_recorded(g) || kv_find(g, a->binding, &resource) != OK)
        return; /* deleted since it was recorded */
    struct execution_effect effect = {
        .kind = a->what == KV_PUT ? EXECUTION_KV_PUT : EXECUTION_KV_DELETE,
        .number = resource,
        .name = a->key,
        .value = a->value,
        .target = a->metadata,
        .at_us = (int64_t)a->expires,
    };
    execution_effect(g->durable->execution, &effect);
}
