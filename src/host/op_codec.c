/* SPDX-License-Identifier: Apache-2.0
 *
 * CompressionStream and DecompressionStream: a codec (codec.h) for each open one; TextDecoder: one for
 * what is not finished of a text in an encoding that the engine does not know; op_html.c: a document
 * that is rewritten. It belongs to the
 * context whose code made it and ends with that, also if nobody ends it; what it holds is charged to the
 * guest. Nothing waits: a call is bounded by ABI_CODEC_BYTES going in and coming out, and the
 * guest asks only for what its reader wants, so a small file that is a large one costs no more than
 * what is read of it. Top-level code may use codecs, but one that it leaves open is not in the image. */
#include "host/internal.h"

#include <stdlib.h>

#include "base/limits.h"
#include "host/codec.h"
#include "host/html.h"
#include "limpet_deps.h"

/* What an open decoder of text is taken to hold: what the crate has on its heap is less. */
enum { TEXT_BYTES = 512 };

/* So that a stream begun in top-level code is not taken for one of a request. */
#define CODEC_LOADING 0x80000000u

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

void open_codec_free(struct open_codec *o)
{
    list_remove(&o->link);
    o->guest->codecs_open--;
    o->guest->rewriters_open -= o->html != NULL;
    html_free(o->html);
    codec_free(o->codec);
    if (o->text)
        codec_give(o, TEXT_BYTES);
    deps_text_free(o->text);
    free(o);
}

struct open_codec *open_codec_find(struct guest *g, uint32_t id)
{
    LIST_FOREACH (n, &g->codecs) {
        struct open_codec *o = container_of(n, struct open_codec, link);
        if (o->id == id && o->context == g->context)
            return o;
    }
    (void)op_refuse(g, ERR_INVALID, "%s",
                    id & CODEC_LOADING
                        ? "this stream was begun in top-level code, which has ended; make it where "
                          "it is used"
                        : "this stream belongs to another request, or has failed");
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

void open_codec_add(struct open_codec *o)
{
    struct guest *g = o->guest;
    o->id = (++g->next_codec & ~CODEC_LOADING) | (g->loading ? CODEC_LOADING : 0);
    list_push_front(&g->codecs, &o->link); /* the newest are looked for most */
    g->codecs_open++;
    g->rewriters_open += o->html != NULL;
}

struct coding_memory open_codec_memory(struct open_codec *o)
{
    return (struct coding_memory){codec_take, codec_give, o, false};
}

struct open_codec *open_codec_new(struct guest *g)
{
    if (!g->context && !g->loading) {
        (void)op_refuse(g, ERR_CANCELLED, "the request that this code belongs to is over");
        return NULL;
    }
    if (g->codecs_open >= LIMIT_GUEST_CODECS) {
        (void)op_refuse(g, ERR_LIMIT,
                        "%d streams and texts are open already: end what was begun with {stream: "
                        "true} by a decode() without it",
                        LIMIT_GUEST_CODECS);
        return NULL;
    }
    struct open_codec *o = calloc(1, sizeof(*o));
    if (!o)
        check_out_of_memory(sizeof(*o));
    o->guest = g;
    o->context = g->context;
    return o;
}

enum err op_codec_new(struct guest *g, const struct op_codec_new_args *a)
{
    if (a->format >= CODER_FORMATS)
        return op_refuse(g, ERR_INVALID, "there is no compression format %u", a->format);
    struct open_codec *o = open_codec_new(g);
    if (!o)
        return g->op_error.code;
    const struct coding_memory memory = open_codec_memory(o);
    struct error e;
    enum err err = codec_new((enum coder_format)a->format, a->decoder != 0, &memory, &o->codec, &e);
    if (err != OK) {
        free(o);
        g->op_error = e;
        return err;
    }
    open_codec_add(o);
    bytes_append_u32(&g->result, o->id);
    return OK;
}

enum err op_text_encoding(struct guest *g, const struct op_text_encoding_args *a)
{
    size_t len = 0;
    const char *name = deps_text_encoding(a->label.ptr, a->label.len, &len);
    if (!name)
        return op_refuse(g, ERR_NOT_FOUND, "no encoding has this label");
    bytes_append(&g->result, name, len);
    return OK;
}

enum err op_text_decoder(struct guest *g, const struct op_text_decoder_args *a)
{
    struct open_codec *o = open_codec_new(g);
    if (!o)
        return g->op_error.code;
    enum err err = guest_charge(g, TEXT_BYTES);
    if (err != OK) {
        free(o);
        return op_refuse(g, err,
                         "memory and buffered data together are above the limit of this "
                         "function; raise its memory limit");
    }
    o->text = deps_text_new(a->label.ptr, a->label.len, a->fatal != 0);
    if (!o->text) {
        guest_discharge(g, TEXT_BYTES);
        free(o);
        return op_refuse(g, ERR_NOT_FOUND, "no encoding has this label");
    }
    open_codec_add(o);
    bytes_append_u32(&g->result, o->id);
    return OK;
}

/* The counterpart of codec_run(). */
static enum err text_run(struct open_codec *o, struct slice *in, bool is_last, char *out,
                         size_t room, size_t *ret_len, bool *ret_is_over, struct error *ret_error)
{
    size_t taken = 0;
    enum deps_text_status status =
        deps_text_run(o->text, in->ptr, in->len, is_last, out, room, &taken, ret_len);
    if (status == DEPS_TEXT_MALFORMED)
        return error_set(ret_error, ERR_INVALID, "the encoded data was not valid");
    if (status == DEPS_TEXT_FAILED)
        return error_set(ret_error, ERR_INTERNAL, "the text could not be decoded");
    *in = slice_skip(*in, taken);
    *ret_is_over = is_last && status == DEPS_TEXT_DONE;
    return OK;
}

enum err op_codec_run(struct guest *g, const struct op_codec_run_args *a)
{
    enum { HEAD_BYTES = 8 };
    struct open_codec *o = open_codec_find(g, a->codec);
    if (!o)
        return g->op_error.code;
    if (o->html)
        return op_refuse(g, ERR_INVALID, "this is no codec");
    if (a->data.len > ABI_CODEC_BYTES)
        return op_refuse(g, ERR_INVALID, "a piece for a codec has %zu bytes, more than %d",
                         a->data.len, ABI_CODEC_BYTES);
    if (a->is_last >= CODER_FLUSHES)
        return op_refuse(g, ERR_INVALID, "there is no flush %u", a->is_last);
    struct slice in = a->data;
    size_t len = 0;
    bool is_over = false;
    bytes_reserve(&g->result, HEAD_BYTES + ABI_CODEC_BYTES);
    char *out = g->result.ptr + HEAD_BYTES;
    enum err err = o->text ? text_run(o, &in, a->is_last != 0, out, ABI_CODEC_BYTES, &len, &is_over,
                                      &g->op_error)
                           : codec_run(o->codec, &in, (enum coder_flush)a->is_last, out,
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

enum err op_codec_set(struct guest *g, const struct op_codec_set_args *a)
{
    enum { SETTING_BYTES = 8 };
    struct open_codec *o = open_codec_find(g, a->codec);
    if (!o || !o->codec || a->settings.len % SETTING_BYTES)
        return op_refuse(g, ERR_INVALID, "this stream belongs to another request, or has failed");
    enum err err = OK;
    for (size_t i = 0; err == OK && i < a->settings.len; i += SETTING_BYTES) {
        uint32_t pair[2];
        memcpy(pair, a->settings.ptr + i, sizeof(pair));
        err = codec_set(o->codec, (enum coder_setting)pair[0], (int)pair[1], &g->op_error);
    }
    if (err == OK && a->dictionary.len)
        err = codec_dictionary(o->codec, a->dictionary, &g->op_error);
    return err;
}

enum err op_codec_end(struct guest *g, const struct op_codec_end_args *a)
{
    struct open_codec *o = open_codec_find(g, a->codec);
    if (o)
        open_codec_free(o);
    return OK; /* it may have failed */
}
