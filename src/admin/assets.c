/* SPDX-License-Identifier: Apache-2.0
 *
 * Static files on their way in. Content comes before the version that has it, named by its SHA-256, each
 * once; it is stored and compressed on the pool, in turn with builds. A version names it in its manifest. */
#include "asset/assets.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "admin/body.h"
#include "admin/build_queue.h"
#include "admin/internal.h"
#include "loop/timer.h"
#include "loop/work.h"

enum {
    ASSET_CODED_BYTES_MIN = 512,             /* below that nothing is saved */
    ASSET_DENSE_BYTES_MAX = 2 * 1024 * 1024, /* above that it would take seconds */
};

/* ---- what is missing ---- */

static enum err read_hashes(struct admin_request *r, struct bytes *out, struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes key = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes hash = BYTES_INIT;
    struct body_value root, value, item;
    enum err err = body_parse(r->body, &root, ret_error);
    if (err)
        return err;
    struct body_walk walk = {0};
    bool is_list = false;
    if (root.kind == BODY_OBJECT)
        walk = body_walk(&root);
    while (root.kind == BODY_OBJECT && body_next_member(&walk, &key, &value)) {
        is_list = slice_eq_cstr(bytes_slice(&key), "hashes") && value.kind == BODY_ARRAY;
        struct body_walk items = {0};
        if (is_list)
            items = body_walk(&value);
        while (is_list && body_next_item(&items, &item)) {
            bytes_clear(&hash);
            if (item.kind == BODY_STRING)
                body_string(&item, &hash);
            if (hash.len != 64 || out->len >= 64UL * ASSETS_FILES_MAX)
                is_list = false;
            else
                bytes_append_slice(out, bytes_slice(&hash));
        }
        if (!is_list)
            break;
    }
    if (is_list)
        return OK;
    error_set(ret_error, ERR_INVALID, "the request body is not {\"hashes\": [SHA-256, …]}");
    error_hint(ret_error, "64 hexadecimal digits each, at most %d of them", ASSETS_FILES_MAX);
    return ERR_INVALID;
}

/* A list that is looked through in pieces, between which the control thread does other things: each
 * hash is a read of the store and a look at a file. */
struct asset_list {
    struct admin_request *request;
    struct timer timer;
    struct slice rest; /* hashes, 64 digits each */
    struct bytes body;
    struct json_writer json;
};

static void check_piece(struct admin_request *r);

static void check_go_on(struct timer *t)
{
    struct asset_list *l = container_of(t, struct asset_list, timer);
    struct admin_request *r = l->request;
    request_go(r, check_piece);
    request_release(r);
}

static void list_missing(struct asset_list *l, struct store *store, struct slice hashes,
                         struct slice missing)
{
    for (; hashes.len >= 64; hashes = slice_skip(hashes, 64)) {
        const struct slice hash = slice_of(hashes.ptr, 64);
        const bool is_missing = missing.len >= 64 && slice_eq(hash, slice_of(missing.ptr, 64));
        if (is_missing || !store_asset_keep(store, hash))
            json_slice(&l->json, hash);
        if (is_missing)
            missing = slice_skip(missing, 64);
    }
}

static void check_piece(struct admin_request *r)
{
    enum { PIECE_BYTES = 64 * 256 };
    struct asset_list *l = r->state;
    struct error error = {0};
    size_t len = l->rest.len < PIECE_BYTES ? l->rest.len : PIECE_BYTES;
    struct store_query q = {.kind = STORE_QUERY_ASSETS,
                            .assets = {.space = r->space, .hashes = slice_of(l->rest.ptr, len)}};
    enum err err = request_read(r, &q, &error);
    if (err) {
        reply_error(r, &error);
        return;
    }
    list_missing(l, r->admin->store, q.assets.hashes, q.assets.missing);
    l->rest = slice_skip(l->rest, len);
    if (l->rest.len > 0 && r->exchange) {
        request_hold(r);
        timer_start(r->admin->loop, &l->timer, 0, check_go_on);
        return;
    }
    json_close(&l->json, ']');
    json_close(&l->json, '}');
    reply_json(r, 200, &l->body);
}

static void list_done(void *arg)
{
    bytes_done(&((struct asset_list *)arg)->body);
}

void asset_check(struct admin_request *r)
{
    CLEANUP(bytes_done) struct bytes hashes = BYTES_INIT;
    struct error error = {0};
    if (read_hashes(r, &hashes, &error)) {
        reply_error(r, &error);
        return;
    }
    struct asset_list *l = arena_new_struct(r->arena, struct asset_list);
    l->request = r;
    l->rest = arena_copy(r->arena, bytes_slice(&hashes));
    l->json = json_writer(&l->body);
    arena_on_free(r->arena, list_done, l);
    json_open(&l->json, '{');
    json_key(&l->json, "missing");
    json_open(&l->json, '[');
    r->state = l;
    request_go(r, check_piece);
}

/* ---- content ---- */

struct asset_put {
    struct admin_request *request;
    struct build_turn turn;
    struct work work;
    struct slice wanted; /* its hash, as the path says */
    char hash[65];
    struct error error;
};

/* Each gives how long the output is; 0: it is not worth it. */
static size_t code_br(struct slice in, char *out, size_t room)
{
    const int quality = in.len <= ASSET_DENSE_BYTES_MAX ? 9 : 5;
    return BrotliEncoderCompress(quality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, in.len,
                                 (const uint8_t *)in.ptr, &room, (uint8_t *)out)
               ? room
               : 0;
}

static size_t code_zstd(struct slice in, char *out, size_t room)
{
    const int level = in.len <= ASSET_DENSE_BYTES_MAX ? 15 : 9;
    const size_t n = ZSTD_compress(out, room, in.ptr, in.len, level);
    return ZSTD_isError(n) ? 0 : n;
}

static size_t code_gzip(struct slice in, char *out, size_t room)
{
    z_stream z = {.next_in = (unsigned char *)in.ptr,
                  .avail_in = (unsigned)in.len,
                  .next_out = (unsigned char *)out,
                  .avail_out = (unsigned)room};
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    const bool is_whole = deflate(&z, Z_FINISH) == Z_STREAM_END;
    (void)deflateEnd(&z);
    return is_whole ? room - z.avail_out : 0;
}

/* What saves less than a tenth is not kept; then the others would not either. */
static enum err put_coded(struct store *store, struct slice hash, struct slice content,
                          struct error *ret_error)
{
    static const struct {
        const char *name;
        size_t (*code)(struct slice in, char *out, size_t room);
    } codings[] = {{"zstd", code_zstd}, {"br", code_br}, {"gzip", code_gzip}};
    const size_t room = content.len / 10 * 9;
    enum err err = OK;
    if (content.len < ASSET_CODED_BYTES_MIN)
        return OK;
    char *out = malloc(room);
    CHECK(out);
    for (size_t i = 0; i < ARRAY_LEN(codings) && !err; i++) {
        const size_t len = codings[i].code(content, out, room);
        if (len == 0)
            break;
        err = store_asset_put_coded(store, hash, codings[i].name, slice_of(out, len), ret_error);
    }
    free(out);
    return err;
}

/* Pool thread. */
static void put_run(struct work *w)
{
    struct asset_put *p = container_of(w, struct asset_put, work);
    struct store *store = p->request->admin->store;
    const struct slice content = p->request->body;
    enum err err = store_asset_put(store, content, p->hash, &p->error);
    if (!err && !slice_eq_cstr(p->wanted, p->hash)) {
        err = error_set(&p->error, ERR_INVALID, "the content has the SHA-256 %s", p->hash);
        error_hint(&p->error, "the path names another");
    }
    if (!err)
        err = put_coded(store, slice_cstr(p->hash), content, &p->error);
    CHECK(err == p->error.code);
}

static void on_known(struct admin_request *r, const struct store_op *op)
{
    if (op->error.code)
        reply_error(r, &op->error);
    else
        reply_empty(r, 204);
}

static void put_done(struct work *w)
{
    struct asset_put *p = container_of(w, struct asset_put, work);
    struct admin_request *r = p->request;
    build_turn_end(&p->turn);
    if (p->error.code)
        reply_error(r, &p->error);
    else
        store_asset_known(r->admin->store, request_op(r, on_known), r->space, slice_cstr(p->hash));
    request_release(r);
}

static void put_begin(struct build_turn *t)
{
    struct asset_put *p = container_of(t, struct asset_put, turn);
    p->work = (struct work){.run = put_run, .done = put_done};
    work_start(p->request->admin->loop, &p->work);
}

void asset_put(struct admin_request *r)
{
    struct asset_put *p = arena_new_struct(r->arena, struct asset_put);
    p->request = r;
    p->wanted = r->params[0];
    p->turn.begin = put_begin;
    request_hold(r);
    build_turn_take(r->admin->builds, &p->turn);
}
