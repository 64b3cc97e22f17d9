/* SPDX-License-Identifier: Apache-2.0
 *
 * CompressionStream and DecompressionStream: a codec (codec.h) for each open one. It belongs to the
 * context whose code made it and ends with that, also if nobody ends it; what it holds is charged to the
 * guest. Nothing waits: a call is bounded by ABI_CODEC_BYTES going in and coming out, and the
 * guest asks only for what its reader wants, so a small file that is a large one costs no more than
 * what is read of it. Top-level code may use codecs, but one that it leaves open is not in the image. */
#include "host/internal.h"

#include <stdlib.h>

#include "host/codec.h"

/* So that a stream begun in top-level code is not taken for one of a request. */
#define CODEC_LOADING 0x80000000u

struct open_codec {
    struct list link; /* guest->codecs */
    struct guest *guest;
    const struct context *context; /* NULL: top-level code */
    uint32_t id;
    struct codec *codec;
};

static bool codec_take(void *arg, size_t len)
{
    struct open_codec *o = arg;
    return guest_charge(o->guest, len) == OK;
}

static void codec_give(void *arg, size_t len)
{
    struct open_codec *o = arg;
    guest_discharge(o->guest, len);
}

static void open_codec_free(struct open_codec *o)
{
    list_remove(&o->link);
    codec_free(o->codec);
    free(o);
}

static struct open_codec *open_codec_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (n, &g->codecs) {
        struct open_codec *o = container_of(n, struct open_codec, link);
        if (o->id == id && o->context == g->context)
            return o;
    }
    return NULL;
}

void codecs_close(struct guest *g, const struct context *c)
{
    LIST_FOREACH (n, &g->codecs) {
        struct open_codec *o = container_of(n, struct open_codec, link);
        if (!c || o->context == c)
            open_codec_free(o);
    }
}

enum err op_codec_new(struct guest *g, const struct op_codec_new_args *a)
{
    if (a->format >= CODER_FORMATS)
        return op_refuse(g, ERR_INVALID, "there is no compression format %u", a->format);
    if (!g->context && !g->loading)
        return op_refuse(g, ERR_CANCELLED, "the request that this code belongs to is over");
    struct open_codec *o = calloc(1, sizeof(*o));
    if (!o)
        check_out_of_memory(sizeof(*o));
    const struct coding_memory memory = {codec_take, codec_give, o};
    o->guest = g;
    o->context = g->context;
    struct error e;
    enum err err = codec_new((enum coder_format)a->format, a->decoder != 0, &memory, &o->codec, &e);
    if (err != OK) {
        free(o);
        g->op_error = e;
        return err;
    }
    o->id = (++g->next_codec & ~CODEC_LOADING) | (g->loading ? CODEC_LOADING : 0);
    list_push_back(&g->codecs, &o->link);
    bytes_append_u32(&g->result, o->id);
    return OK;
}

enum err op_codec_run(struct guest *g, const struct op_codec_run_args *a)
{
    enum { HEAD_BYTES = 8 };
    struct open_codec *o = open_codec_find(g, a->codec);
    if (!o)
        return op_refuse(g, ERR_INVALID, "%s",
                         a->codec & CODEC_LOADING
                             ? "this stream was begun in top-level code, which has ended; make it "
                               "where it is used"
                             : "this stream belongs to another request, or has failed");
    if (a->data.len > ABI_CODEC_BYTES)
        return op_refuse(g, ERR_INVALID, "a piece for a codec has %zu bytes, more than %d",
                         a->data.len, ABI_CODEC_BYTES);
    struct slice in = a->data;
    size_t len = 0;
    bool is_over = false;
    bytes_reserve(&g->result, HEAD_BYTES + ABI_CODEC_BYTES);
    enum err err = codec_run(o->codec, &in, a->is_last != 0, g->result.ptr + HEAD_BYTES,
                             ABI_CODEC_BYTES, &len, &is_over, &g->op_error);
    if (err != OK) {
        open_codec_free(o);
        return err;
    }
    bytes_append_u32(&g->result, (uint32_t)(a->data.len - in.len));
    bytes_append_u32(&g->result, is_over);
    g->result.len += len;
    return OK;
}

enum err op_codec_end(struct guest *g, const struct op_codec_end_args *a)
{
    struct open_codec *o = open_codec_find(g, a->codec);
    if (o)
        open_codec_free(o);
    return OK;
}
