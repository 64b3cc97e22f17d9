/* SPDX-License-Identifier: Apache-2.0
 *
 * See coder.h. Each format is two rows of functions, one for a direction, around the streaming
 * interface of its library.
 *
 * Bounds: memory by what it is charged to (windows of decoders: 32 KiB, 16 MiB for br, 8 MiB for zstd
 * as RFC 9659 says); output by the caller's room; time by the caller's pieces. Encoders: gzip and
 * deflate at level 6, br at quality 5 with blocks of 64 KiB (quality 11 takes a second for a
 * megabyte), zstd at level 3. */
#include "coding/coder.h"

#define ZSTD_STATIC_LINKING_ONLY /* memory that is accounted for */

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

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

/* Takes from *in, writes to *out as long as there is both; an encoder's end is asked for by is_last.
 */
struct coder_kind {
    bool (*start)(struct coder *c);
    enum coder_status (*run)(struct coder *c, struct slice *in, bool is_last, char **out,
                             size_t *room);
    void (*end)(struct coder *c);
};

struct coder {
    struct coding_memory *memory;
    const struct coder_kind *kind;
    enum coder_format format;
    bool is_decoder;
    union {
        z_stream z;
        BrotliDecoderState *br_decoder;
        BrotliEncoderState *br_encoder;
        ZSTD_DCtx *zstd_decoder;
        ZSTD_CCtx *zstd_encoder;
    };
};

/* ---- memory ---- */

static void *alloc_bytes(void *arg, size_t size)
{
    return coding_alloc(arg, size);
}

static void *alloc_items(void *arg, unsigned items, unsigned size)
{
    return coding_alloc(arg, (size_t)items * size);
}

static void alloc_free(void *arg, void *ptr)
{
    coding_free(arg, ptr);
}

/* ---- zlib ---- */

static int zlib_window(const struct coder *c)
{
    return c->format == CODER_GZIP ? 15 + 16 : c->format == CODER_DEFLATE ? 15 : -15;
}

static void zlib_init(struct coder *c)
{
    c->z = (z_stream){.zalloc = alloc_items, .zfree = alloc_free, .opaque = c->memory};
}

static enum coder_status zlib_run(struct coder *c, struct slice *in, int flush, char **out,
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
        return CODER_OVER;
    return code == Z_OK || code == Z_BUF_ERROR ? CODER_GOES_ON : CODER_BROKEN;
}

static bool inflate_start(struct coder *c)
{
    zlib_init(c);
    return inflateInit2(&c->z, zlib_window(c)) == Z_OK;
}

static enum coder_status inflate_run(struct coder *c, struct slice *in, bool is_last, char **out,
                                     size_t *room)
{
    return zlib_run(c, in, Z_NO_FLUSH, out, room);
}

static void inflate_end(struct coder *c)
{
    (void)inflateEnd(&c->z);
}

static bool deflate_start(struct coder *c)
{
    zlib_init(c);
    return deflateInit2(&c->z, ZLIB_LEVEL, Z_DEFLATED, zlib_window(c), ZLIB_MEMORY,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

static enum coder_status deflate_run(struct coder *c, struct slice *in, bool is_last, char **out,
                                     size_t *room)
{
    return zlib_run(c, in, is_last ? Z_FINISH : Z_NO_FLUSH, out, room);
}

static void deflate_end(struct coder *c)
{
    (void)deflateEnd(&c->z);
}

/* ---- br ---- */

static bool br_decoder_start(struct coder *c)
{
    c->br_decoder = BrotliDecoderCreateInstance(alloc_bytes, alloc_free, c->memory);
    return c->br_decoder != NULL;
}

static enum coder_status br_decoder_run(struct coder *c, struct slice *in, bool is_last, char **out,
                                        size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(c->br_decoder, &left, &at, room, (uint8_t **)out, NULL);
    *in = slice_skip(*in, in->len - left);
    if (result == BROTLI_DECODER_RESULT_SUCCESS)
        return CODER_OVER;
    return result == BROTLI_DECODER_RESULT_ERROR ? CODER_BROKEN : CODER_GOES_ON;
}

static void br_decoder_end(struct coder *c)
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
static bool br_encoder_start(struct coder *c)
{
    if (!coding_take(c->memory, BR_ENCODER_BYTES))
        return false;
    c->br_encoder = BrotliEncoderCreateInstance(br_alloc, br_free, NULL);
    return c->br_encoder &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_QUALITY, BR_QUALITY) &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_LGWIN, BR_WINDOW) &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_LGBLOCK, BR_BLOCK);
}

static enum coder_status br_encoder_run(struct coder *c, struct slice *in, bool is_last, char **out,
                                        size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliEncoderOperation what = is_last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS;
    if (!BrotliEncoderCompressStream(c->br_encoder, what, &left, &at, room, (uint8_t **)out, NULL))
        return CODER_BROKEN;
    *in = slice_skip(*in, in->len - left);
    return BrotliEncoderIsFinished(c->br_encoder) ? CODER_OVER : CODER_GOES_ON;
}

static void br_encoder_end(struct coder *c)
{
    if (!c->br_encoder)
        return;
    BrotliEncoderDestroyInstance(c->br_encoder);
    c->memory->give(c->memory->arg, BR_ENCODER_BYTES);
}

/* ---- zstd ---- */

static bool zstd_decoder_start(struct coder *c)
{
    c->zstd_decoder =
        ZSTD_createDCtx_advanced((ZSTD_customMem){alloc_bytes, alloc_free, c->memory});
    return c->zstd_decoder && !ZSTD_isError(ZSTD_DCtx_setParameter(
                                  c->zstd_decoder, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

static enum coder_status zstd_decoder_run(struct coder *c, struct slice *in, bool is_last,
                                          char **out, size_t *room)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t code = ZSTD_decompressStream(c->zstd_decoder, &to, &from);
    *in = slice_skip(*in, from.pos);
    *out += to.pos;
    *room -= to.pos;
    if (ZSTD_isError(code))
        return CODER_BROKEN;
    return code == 0 ? CODER_OVER : CODER_GOES_ON;
}

static void zstd_decoder_end(struct coder *c)
{
    (void)ZSTD_freeDCtx(c->zstd_decoder);
}

static bool zstd_encoder_start(struct coder *c)
{
    c->zstd_encoder =
        ZSTD_createCCtx_advanced((ZSTD_customMem){alloc_bytes, alloc_free, c->memory});
    return c->zstd_encoder && !ZSTD_isError(ZSTD_CCtx_setParameter(
                                  c->zstd_encoder, ZSTD_c_compressionLevel, ZSTD_LEVEL));
}

static enum coder_status zstd_encoder_run(struct coder *c, struct slice *in, bool is_last,
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
        return CODER_BROKEN;
    return is_last && left == 0 ? CODER_OVER : CODER_GOES_ON;
}

static void zstd_encoder_end(struct coder *c)
{
    (void)ZSTD_freeCCtx(c->zstd_encoder);
}

/* ---- the coder ---- */

static const struct coder_kind decoders[CODER_FORMATS] = {
    [CODER_DEFLATE] = {inflate_start, inflate_run, inflate_end},
    [CODER_DEFLATE_RAW] = {inflate_start, inflate_run, inflate_end},
    [CODER_GZIP] = {inflate_start, inflate_run, inflate_end},
    [CODER_BR] = {br_decoder_start, br_decoder_run, br_decoder_end},
    [CODER_ZSTD] = {zstd_decoder_start, zstd_decoder_run, zstd_decoder_end},
};

static const struct coder_kind encoders[CODER_FORMATS] = {
    [CODER_DEFLATE] = {deflate_start, deflate_run, deflate_end},
    [CODER_DEFLATE_RAW] = {deflate_start, deflate_run, deflate_end},
    [CODER_GZIP] = {deflate_start, deflate_run, deflate_end},
    [CODER_BR] = {br_encoder_start, br_encoder_run, br_encoder_end},
    [CODER_ZSTD] = {zstd_encoder_start, zstd_encoder_run, zstd_encoder_end},
};

struct coder *coder_new(enum coder_format format, bool is_decoder, struct coding_memory *memory)
{
    struct coder *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->memory = memory;
    c->format = format;
    c->is_decoder = is_decoder;
    c->kind = is_decoder ? &decoders[format] : &encoders[format];
    if (c->kind->start(c))
        return c;
    CHECK(memory->is_refused); /* nothing else makes a start fail */
    coder_free(c);
    return NULL;
}

void coder_free(struct coder *c)
{
    if (!c)
        return;
    c->kind->end(c);
    free(c);
}

enum coder_status coder_run(struct coder *c, struct slice *in, bool is_last, char **out,
                            size_t *room)
{
    return c->kind->run(c, in, is_last, out, room);
}

bool coder_again(struct coder *c)
{
    return inflateReset(&c->z) == Z_OK;
}
