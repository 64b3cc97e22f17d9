/* SPDX-License-Identifier: Apache-2.0
 *
 * See codec.h. Each format is two rows of functions, one for a direction, around the streaming
 * interface of its library; codec_run() judges the ends, which the libraries see differently.
 *
 * Bounds: memory by what it is charged to (windows of decoders as in http/decode.c: 16 MiB for br, 8
 * MiB for zstd); output by the caller's room; time by the caller's pieces. Encoders: gzip and deflate
 * at level 6, br at quality 5 with blocks of 64 KiB (quality 11 takes a second for a megabyte), zstd
 * at level 3. */
#include "host/codec.h"

#define ZSTD_STATIC_LINKING_ONLY /* memory that is accounted for */

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum {
    ZLIB_LEVEL = 6,
    ZLIB_MEMORY = 8,
    BR_QUALITY = 5,
    BR_WINDOW = 18,
    BR_ENCODER_BYTES = 6 * 1024 * 1024, /* at these settings it has taken up to 3.6 MiB */
    BR_BLOCK = 16,
    ZSTD_LEVEL = 3,
    ZSTD_WINDOW_LOG_MAX = 23,
};

enum codec_status { CODEC_GOES_ON, CODEC_OVER, CODEC_BROKEN };

/* Takes from *in, writes to *out as long as there is both; an encoder's end is asked for by is_last.
 */
struct codec_kind {
    bool (*start)(struct codec *c);
    enum codec_status (*run)(struct codec *c, struct slice *in, bool is_last, char **out,
                             size_t *room);
    void (*end)(struct codec *c);
};

struct codec {
    struct codec_memory memory;
    const struct codec_kind *kind;
    enum codec_format format;
    bool is_decoder, is_over;
    bool is_refused; /* memory */
    union {
        z_stream z;
        BrotliDecoderState *br_decoder;
        BrotliEncoderState *br_encoder;
        ZSTD_DCtx *zstd_decoder;
        ZSTD_CCtx *zstd_encoder;
    };
};

static const char *const names[CODEC_FORMATS] = {"deflate", "deflate-raw", "gzip", "br", "zstd"};

/* ---- memory ---- */

struct block {
    size_t size;
    max_align_t data[];
};

static void *codec_alloc(void *arg, size_t size)
{
    struct codec *c = arg;
    struct block *b;
    size += sizeof(*b);
    if (!c->memory.take(c->memory.arg, size)) {
        c->is_refused = true;
        return NULL;
    }
    b = malloc(size);
    if (!b)
        check_out_of_memory(size);
    b->size = size;
    return b->data;
}

static void *alloc_items(void *arg, unsigned items, unsigned size)
{
    return codec_alloc(arg, (size_t)items * size);
}

static void alloc_free(void *arg, void *ptr)
{
    struct codec *c = arg;
    if (!ptr)
        return;
    struct block *b = (struct block *)(void *)((char *)ptr - offsetof(struct block, data));
    c->memory.give(c->memory.arg, b->size);
    free(b);
}

/* ---- zlib ---- */

static int zlib_window(const struct codec *c)
{
    return c->format == CODEC_GZIP ? 15 + 16 : c->format == CODEC_DEFLATE ? 15 : -15;
}

static void zlib_init(struct codec *c)
{
    c->z = (z_stream){.zalloc = alloc_items, .zfree = alloc_free, .opaque = c};
}

static enum codec_status zlib_run(struct codec *c, struct slice *in, int flush, char **out,
                                  size_t *room)
{
    uInt had = (uInt)(in->len < UINT32_MAX ? in->len : UINT32_MAX);
    uInt had_room = (uInt)(*room < UINT32_MAX ? *room : UINT32_MAX);
    c->z.next_in = (z_const Bytef *)(uintptr_t)in->ptr;
    c->z.avail_in = had;
    c->z.next_out = (Bytef *)*out;
    c->z.avail_out = had_room;
    int code = c->is_decoder ? inflate(&c->z, flush) : deflate(&c->z, flush);
    *in = slice_skip(*in, had - c->z.avail_in);
    *out += had_room - c->z.avail_out;
    *room -= had_room - c->z.avail_out;
    if (code == Z_STREAM_END)
        return CODEC_OVER;
    return code == Z_OK || code == Z_BUF_ERROR ? CODEC_GOES_ON : CODEC_BROKEN;
}

static bool inflate_start(struct codec *c)
{
    zlib_init(c);
    return inflateInit2(&c->z, zlib_window(c)) == Z_OK;
}

static enum codec_status inflate_run(struct codec *c, struct slice *in, bool is_last, char **out,
                                     size_t *room)
{
    return zlib_run(c, in, Z_NO_FLUSH, out, room);
}

static void inflate_end(struct codec *c)
{
    (void)inflateEnd(&c->z);
}

static bool deflate_start(struct codec *c)
{
    zlib_init(c);
    return deflateInit2(&c->z, ZLIB_LEVEL, Z_DEFLATED, zlib_window(c), ZLIB_MEMORY,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

static enum codec_status deflate_run(struct codec *c, struct slice *in, bool is_last, char **out,
                                     size_t *room)
{
    return zlib_run(c, in, is_last ? Z_FINISH : Z_NO_FLUSH, out, room);
}

static void deflate_end(struct codec *c)
{
    (void)deflateEnd(&c->z);
}

/* ---- br ---- */

static bool br_decoder_start(struct codec *c)
{
    c->br_decoder = BrotliDecoderCreateInstance(codec_alloc, alloc_free, c);
    return c->br_decoder != NULL;
}

static enum codec_status br_decoder_run(struct codec *c, struct slice *in, bool is_last, char **out,
                                        size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(c->br_decoder, &left, &at, room, (uint8_t **)out, NULL);
    *in = slice_skip(*in, in->len - left);
    if (result == BROTLI_DECODER_RESULT_SUCCESS)
        return CODEC_OVER;
    return result == BROTLI_DECODER_RESULT_ERROR ? CODEC_BROKEN : CODEC_GOES_ON;
}

static void br_decoder_end(struct codec *c)
{
    if (c->br_decoder)
        BrotliDecoderDestroyInstance(c->br_decoder);
}

static void *br_alloc(void *arg, size_t size)
{
    void *ptr = malloc(size);
    if (!ptr)
        check_out_of_memory(size);
    return ptr;
}

static void br_free(void *arg, void *ptr)
{
    free(ptr);
}

/* Debian's build of the encoder ends the process when an allocation is refused. So all that it can
 * need is accounted for at once, and its allocations are never refused. */
static bool br_encoder_start(struct codec *c)
{
    if (!c->memory.take(c->memory.arg, BR_ENCODER_BYTES)) {
        c->is_refused = true;
        return false;
    }
    c->br_encoder = BrotliEncoderCreateInstance(br_alloc, br_free, NULL);
    return c->br_encoder &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_QUALITY, BR_QUALITY) &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_LGWIN, BR_WINDOW) &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_LGBLOCK, BR_BLOCK);
}

static enum codec_status br_encoder_run(struct codec *c, struct slice *in, bool is_last, char **out,
                                        size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliEncoderOperation what = is_last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS;
    if (!BrotliEncoderCompressStream(c->br_encoder, what, &left, &at, room, (uint8_t **)out, NULL))
        return CODEC_BROKEN;
    *in = slice_skip(*in, in->len - left);
    return BrotliEncoderIsFinished(c->br_encoder) ? CODEC_OVER : CODEC_GOES_ON;
}

static void br_encoder_end(struct codec *c)
{
    if (!c->br_encoder)
        return;
    BrotliEncoderDestroyInstance(c->br_encoder);
    c->memory.give(c->memory.arg, BR_ENCODER_BYTES);
}

/* ---- zstd ---- */

static bool zstd_decoder_start(struct codec *c)
{
    c->zstd_decoder = ZSTD_createDCtx_advanced((ZSTD_customMem){codec_alloc, alloc_free, c});
    return c->zstd_decoder && !ZSTD_isError(ZSTD_DCtx_setParameter(
                                  c->zstd_decoder, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

static enum codec_status zstd_decoder_run(struct codec *c, struct slice *in, bool is_last,
                                          char **out, size_t *room)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t code = ZSTD_decompressStream(c->zstd_decoder, &to, &from);
    *in = slice_skip(*in, from.pos);
    *out += to.pos;
    *room -= to.pos;
    if (ZSTD_isError(code))
        return CODEC_BROKEN;
    return code == 0 ? CODEC_OVER : CODEC_GOES_ON;
}

static void zstd_decoder_end(struct codec *c)
{
    (void)ZSTD_freeDCtx(c->zstd_decoder);
}

static bool zstd_encoder_start(struct codec *c)
{
    c->zstd_encoder = ZSTD_createCCtx_advanced((ZSTD_customMem){codec_alloc, alloc_free, c});
    return c->zstd_encoder && !ZSTD_isError(ZSTD_CCtx_setParameter(
                                  c->zstd_encoder, ZSTD_c_compressionLevel, ZSTD_LEVEL));
}

static enum codec_status zstd_encoder_run(struct codec *c, struct slice *in, bool is_last,
                                          char **out, size_t *room)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t left =
        ZSTD_compressStream2(c->zstd_encoder, &to, &from, is_last ? ZSTD_e_end : ZSTD_e_continue);
    *in = slice_skip(*in, from.pos);
    *out += to.pos;
    *room -= to.pos;
    if (ZSTD_isError(left))
        return CODEC_BROKEN;
    return is_last && left == 0 ? CODEC_OVER : CODEC_GOES_ON;
}

static void zstd_encoder_end(struct codec *c)
{
    (void)ZSTD_freeCCtx(c->zstd_encoder);
}

/* ---- the codec ---- */

static const struct codec_kind decoders[CODEC_FORMATS] = {
    [CODEC_DEFLATE] = {inflate_start, inflate_run, inflate_end},
    [CODEC_DEFLATE_RAW] = {inflate_start, inflate_run, inflate_end},
    [CODEC_GZIP] = {inflate_start, inflate_run, inflate_end},
    [CODEC_BR] = {br_decoder_start, br_decoder_run, br_decoder_end},
    [CODEC_ZSTD] = {zstd_decoder_start, zstd_decoder_run, zstd_decoder_end},
};

static const struct codec_kind encoders[CODEC_FORMATS] = {
    [CODEC_DEFLATE] = {deflate_start, deflate_run, deflate_end},
    [CODEC_DEFLATE_RAW] = {deflate_start, deflate_run, deflate_end},
    [CODEC_GZIP] = {deflate_start, deflate_run, deflate_end},
    [CODEC_BR] = {br_encoder_start, br_encoder_run, br_encoder_end},
    [CODEC_ZSTD] = {zstd_encoder_start, zstd_encoder_run, zstd_encoder_end},
};

static enum err codec_refused(const struct codec *c, struct error *ret_error)
{
    (void)error_set(ret_error, ERR_LIMIT_MEMORY,
                    "memory and buffered data together are above the limit of this function; there "
                    "is none left to %s with",
                    c->is_decoder ? "decompress" : "compress");
    error_hint(ret_error, "use fewer streams at once, or raise the function's memory limit");
    return ERR_LIMIT_MEMORY;
}

enum err codec_new(enum codec_format format, bool is_decoder, const struct codec_memory *memory,
                   struct codec **ret_codec, struct error *ret_error)
{
    struct codec *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->memory = *memory;
    c->format = format;
    c->is_decoder = is_decoder;
    c->kind = is_decoder ? &decoders[format] : &encoders[format];
    if (!c->kind->start(c)) {
        enum err err = codec_refused(c, ret_error); /* nothing else makes a start fail */
        codec_free(c);
        return err;
    }
    *ret_codec = c;
    return OK;
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    c->kind->end(c);
    free(c);
}

static enum err codec_fail(const struct codec *c, const char *what, struct error *ret_error)
{
    if (c->is_refused)
        return codec_refused(c, ret_error);
    return error_set(ret_error, ERR_INVALID, "the data is not what '%s' has: it %s",
                     names[c->format], what);
}

enum err codec_run(struct codec *c, struct slice *in, bool is_last, char *out, size_t room,
                   size_t *ret_len, bool *ret_is_over, struct error *ret_error)
{
    char *at = out;
    if (c->is_over && in->len > 0)
        return codec_fail(c, "goes on after its end", ret_error);
    while (!c->is_over) {
        size_t had = in->len, had_room = room;
        /* Without input a decoder may still have output. */
        enum codec_status status = c->kind->run(c, in, is_last, &at, &room);
        if (status == CODEC_BROKEN)
            return codec_fail(c, "is damaged or something else", ret_error);
        c->is_over = status == CODEC_OVER;
        if (!c->is_over && (room == 0 || (in->len == had && room == had_room)))
            break;
    }
    if (!c->is_over && is_last && room > 0)
        return codec_fail(c, "ends early", ret_error);
    *ret_len = (size_t)(at - out);
    *ret_is_over = c->is_over;
    return OK;
}
