/* SPDX-License-Identifier: Apache-2.0
 *
 * See coder.h. Each format is two rows of functions, one for a direction, around the streaming
 * interface of its library.
 *
 * Bounds: memory by what it is charged to (windows of decoders: 32 KiB, 16 MiB for br, 8 MiB for zstd
 * as RFC 9659 says); output by the caller's room; time by the caller's pieces. Encoders, if nothing is
 * said: gzip and deflate at level 6, br at quality 5 with blocks of 64 KiB, zstd at level 3. Levels
 * above BR_QUALITY_MAX (11 takes a second for a megabyte) and ZSTD_LEVEL_MAX count as those. */
#include "coding/coder.h"

#define ZSTD_STATIC_LINKING_ONLY /* memory that is accounted for */

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

enum {
    ZLIB_LEVEL = 6,
    ZLIB_MEMORY = 8,
    BR_QUALITY = 5,
    BR_QUALITY_MAX = 9,
    BR_WINDOW = 18,
    BR_ENCODER_BYTES = 6 * 1024 * 1024, /* at these settings it has taken up to 3.6 MiB */
    BR_BLOCK = 16,
    ZSTD_LEVEL = 3,
    ZSTD_LEVEL_MIN = -7,
    ZSTD_LEVEL_MAX = 19,
    ZSTD_WINDOW_LOG_MAX = 23,
};

/* Takes from *in, writes to *out as long as there is both. */
struct coder_kind {
    bool (*start)(struct coder *c);
    enum coder_status (*run)(struct coder *c, struct slice *in, enum coder_flush flush, char **out,
                             size_t *room);
    void (*end)(struct coder *c);
    bool (*set)(struct coder *c, enum coder_setting setting, int value);
};

struct coder {
    struct coding_memory *memory;
    const struct coder_kind *kind;
    enum coder_format format;
    bool is_decoder, is_begun;
    const char *reason;
    int settings[CODER_SETTINGS]; /* zlib's formats */
    struct slice dictionary;      /* owned: of a decoder, until it is asked for */
    size_t br_bytes;              /* accounted for */
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
    const int bits = c->settings[CODER_WINDOW];
    return c->format == CODER_GZIP ? bits + 16 : c->format == CODER_DEFLATE ? bits : -bits;
}

static void zlib_init(struct coder *c)
{
    c->z = (z_stream){.zalloc = alloc_items, .zfree = alloc_free, .opaque = c->memory};
}

static bool zlib_use_dictionary(struct coder *c, struct slice d)
{
    const Bytef *bytes = (const Bytef *)(d.ptr ? d.ptr : "");
    return (c->is_decoder ? inflateSetDictionary(&c->z, bytes, (uInt)d.len)
                          : deflateSetDictionary(&c->z, bytes, (uInt)d.len)) == Z_OK;
}

/* The data asks for a dictionary. False: there is none, or it is another. */
static bool inflate_find_dictionary(struct coder *c)
{
    c->reason = c->dictionary.ptr ? "Bad dictionary" : "Missing dictionary";
    return c->dictionary.ptr && zlib_use_dictionary(c, c->dictionary);
}

static int zlib_step(struct coder *c, int flush)
{
    int code = c->is_decoder ? inflate(&c->z, flush) : deflate(&c->z, flush);
    if (code == Z_NEED_DICT && c->is_decoder)
        code = inflate_find_dictionary(c) ? inflate(&c->z, flush) : Z_NEED_DICT;
    return code;
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
    int code = zlib_step(c, flush);
    *in = slice_skip(*in, had - c->z.avail_in);
    *out += had_room - c->z.avail_out;
    *room -= had_room - c->z.avail_out;
    if (code == Z_STREAM_END)
        return CODER_OVER;
    if (code == Z_OK || code == Z_BUF_ERROR)
        return CODER_GOES_ON;
    if (code != Z_NEED_DICT)
        c->reason = c->z.msg;
    return CODER_BROKEN;
}

static bool inflate_start(struct coder *c)
{
    zlib_init(c);
    return inflateInit2(&c->z, zlib_window(c)) == Z_OK;
}

static bool inflate_set(struct coder *c, enum coder_setting setting, int value)
{
    if (setting != CODER_WINDOW || c->is_begun || (value && (value < 8 || value > 15)) ||
        (!value && c->format == CODER_DEFLATE_RAW))
        return false;
    c->settings[CODER_WINDOW] = value;
    return inflateReset2(&c->z, zlib_window(c)) == Z_OK;
}

static enum coder_status inflate_run(struct coder *c, struct slice *in, enum coder_flush flush,
                                     char **out, size_t *room)
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
    return deflateInit2(&c->z, c->settings[CODER_LEVEL], Z_DEFLATED, zlib_window(c),
                        c->settings[CODER_MEMORY], c->settings[CODER_STRATEGY]) == Z_OK;
}

static void deflate_end(struct coder *c)
{
    (void)deflateEnd(&c->z);
}

/* Data has been coded: what is held back of it has to be flushed before, so that there is no output. */
static bool deflate_change(struct coder *c)
{
    Bytef nothing[16];
    c->z.next_in = nothing;
    c->z.avail_in = 0;
    c->z.next_out = nothing;
    c->z.avail_out = sizeof(nothing);
    const int code = deflateParams(&c->z, c->settings[CODER_LEVEL], c->settings[CODER_STRATEGY]);
    return code == Z_OK && c->z.avail_out == sizeof(nothing);
}

static bool deflate_set(struct coder *c, enum coder_setting setting, int value)
{
    static const struct {
        int min, max;
    } ranges[CODER_SETTINGS] = {
        [CODER_LEVEL] = {Z_DEFAULT_COMPRESSION, Z_BEST_COMPRESSION},
        [CODER_STRATEGY] = {Z_DEFAULT_STRATEGY, Z_FIXED},
        [CODER_WINDOW] = {8, 15},
        [CODER_MEMORY] = {1, 9},
    };
    if (value < ranges[setting].min || value > ranges[setting].max)
        return false;
    const int had = c->settings[setting];
    c->settings[setting] = setting == CODER_WINDOW && value == 8
                               ? 9
                               : value; /* as zlib, which has no 8 for raw data */
    if (had == c->settings[setting])
        return true;
    if (c->is_begun)
        return (setting == CODER_LEVEL || setting == CODER_STRATEGY) && deflate_change(c);
    deflate_end(c);
    return deflate_start(c) || c->memory->is_refused;
}

static enum coder_status deflate_run(struct coder *c, struct slice *in, enum coder_flush flush,
                                     char **out, size_t *room)
{
    static const int flushes[CODER_FLUSHES] = {
        [CODER_NO_FLUSH] = Z_NO_FLUSH,     [CODER_FINISH] = Z_FINISH,
        [CODER_SYNC] = Z_SYNC_FLUSH,       [CODER_FULL] = Z_FULL_FLUSH,
        [CODER_PARTIAL] = Z_PARTIAL_FLUSH, [CODER_BLOCK] = Z_BLOCK,
    };
    return zlib_run(c, in, flushes[flush], out, room);
}

/* ---- br ---- */

static bool br_decoder_start(struct coder *c)
{
    c->br_decoder = BrotliDecoderCreateInstance(alloc_bytes, alloc_free, c->memory);
    return c->br_decoder != NULL;
}

static enum coder_status br_decoder_run(struct coder *c, struct slice *in, enum coder_flush flush,
                                        char **out, size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(c->br_decoder, &left, &at, room, (uint8_t **)out, NULL);
    *in = slice_skip(*in, in->len - left);
    if (result == BROTLI_DECODER_RESULT_SUCCESS)
        return CODER_OVER;
    if (result != BROTLI_DECODER_RESULT_ERROR)
        return CODER_GOES_ON;
    c->reason = BrotliDecoderErrorString(BrotliDecoderGetErrorCode(c->br_decoder));
    return CODER_BROKEN;
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
static bool br_encoder_take(struct coder *c, size_t len)
{
    if (!coding_take(c->memory, len))
        return false;
    c->br_bytes += len;
    return true;
}

static bool br_encoder_start(struct coder *c)
{
    if (!br_encoder_take(c, BR_ENCODER_BYTES))
        return false;
    c->br_encoder = BrotliEncoderCreateInstance(br_alloc, br_free, NULL);
    return c->br_encoder &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_QUALITY, BR_QUALITY) &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_LGWIN, BR_WINDOW) &&
           BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_LGBLOCK, BR_BLOCK);
}

/* Above quality 5 it looks for matches in tables of 2^(quality - 1) entries of 4 bytes for each of 2^14
 * or 2^15 hashes. */
static bool br_encoder_set(struct coder *c, enum coder_setting setting, int value)
{
    if (setting != CODER_LEVEL || c->is_begun || value < 0)
        return false;
    if (value > BR_QUALITY_MAX)
        value = BR_QUALITY_MAX;
    if (value > BR_QUALITY && !br_encoder_take(c, (size_t)4 << ((value < 7 ? 14 : 15) + value - 1)))
        return true; /* said by the next run */
    return BrotliEncoderSetParameter(c->br_encoder, BROTLI_PARAM_QUALITY, (uint32_t)value);
}

static enum coder_status br_encoder_run(struct coder *c, struct slice *in, enum coder_flush flush,
                                        char **out, size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliEncoderOperation what = flush == CODER_FINISH     ? BROTLI_OPERATION_FINISH
                                  : flush == CODER_NO_FLUSH ? BROTLI_OPERATION_PROCESS
                                                            : BROTLI_OPERATION_FLUSH;
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
    c->memory->give(c->memory->arg, c->br_bytes);
}

/* ---- zstd ---- */

static bool zstd_decoder_start(struct coder *c)
{
    c->zstd_decoder =
        ZSTD_createDCtx_advanced((ZSTD_customMem){alloc_bytes, alloc_free, c->memory});
    return c->zstd_decoder && !ZSTD_isError(ZSTD_DCtx_setParameter(
                                  c->zstd_decoder, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

static enum coder_status zstd_decoder_run(struct coder *c, struct slice *in, enum coder_flush flush,
                                          char **out, size_t *room)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t code = ZSTD_decompressStream(c->zstd_decoder, &to, &from);
    *in = slice_skip(*in, from.pos);
    *out += to.pos;
    *room -= to.pos;
    if (ZSTD_isError(code)) {
        c->reason = ZSTD_getErrorName(code);
        return CODER_BROKEN;
    }
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

static bool zstd_encoder_set(struct coder *c, enum coder_setting setting, int value)
{
    if (setting != CODER_LEVEL || c->is_begun)
        return false;
    const int level = value < ZSTD_LEVEL_MIN   ? ZSTD_LEVEL_MIN
                      : value > ZSTD_LEVEL_MAX ? ZSTD_LEVEL_MAX
                                               : value;
    return !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd_encoder, ZSTD_c_compressionLevel, level));
}

static enum coder_status zstd_encoder_run(struct coder *c, struct slice *in, enum coder_flush flush,
                                          char **out, size_t *room)
{
    const ZSTD_EndDirective what = flush == CODER_FINISH     ? ZSTD_e_end
                                   : flush == CODER_NO_FLUSH ? ZSTD_e_continue
                                                             : ZSTD_e_flush;
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t left = ZSTD_compressStream2(c->zstd_encoder, &to, &from, what);
    *in = slice_skip(*in, from.pos);
    *out += to.pos;
    *room -= to.pos;
    if (ZSTD_isError(left))
        return CODER_BROKEN;
    return flush == CODER_FINISH && left == 0 ? CODER_OVER : CODER_GOES_ON;
}

static void zstd_encoder_end(struct coder *c)
{
    (void)ZSTD_freeCCtx(c->zstd_encoder);
}

/* ---- the coder ---- */

static const struct coder_kind decoders[CODER_FORMATS] = {
    [CODER_DEFLATE] = {inflate_start, inflate_run, inflate_end, inflate_set},
    [CODER_DEFLATE_RAW] = {inflate_start, inflate_run, inflate_end, inflate_set},
    [CODER_GZIP] = {inflate_start, inflate_run, inflate_end, inflate_set},
    [CODER_BR] = {br_decoder_start, br_decoder_run, br_decoder_end, NULL},
    [CODER_ZSTD] = {zstd_decoder_start, zstd_decoder_run, zstd_decoder_end, NULL},
};

static const struct coder_kind encoders[CODER_FORMATS] = {
    [CODER_DEFLATE] = {deflate_start, deflate_run, deflate_end, deflate_set},
    [CODER_DEFLATE_RAW] = {deflate_start, deflate_run, deflate_end, deflate_set},
    [CODER_GZIP] = {deflate_start, deflate_run, deflate_end, deflate_set},
    [CODER_BR] = {br_encoder_start, br_encoder_run, br_encoder_end, br_encoder_set},
    [CODER_ZSTD] = {zstd_encoder_start, zstd_encoder_run, zstd_encoder_end, zstd_encoder_set},
};

struct coder *coder_new(enum coder_format format, bool is_decoder, struct coding_memory *memory)
{
    struct coder *c = calloc(1, sizeof(*c));
    if (!c)
        check_out_of_memory(sizeof(*c));
    c->memory = memory;
    c->format = format;
    c->is_decoder = is_decoder;
    c->settings[CODER_LEVEL] = ZLIB_LEVEL;
    c->settings[CODER_WINDOW] = MAX_WBITS;
    c->settings[CODER_MEMORY] = ZLIB_MEMORY;
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
    coding_free(c->memory, (void *)(uintptr_t)c->dictionary.ptr);
    free(c);
}

bool coder_set(struct coder *c, enum coder_setting setting, int value)
{
    return c->kind->set && c->kind->set(c, setting, value);
}

bool coder_dictionary(struct coder *c, struct slice dictionary)
{
    const bool is_known = c->format == CODER_DEFLATE || c->format == CODER_DEFLATE_RAW;
    if (!is_known || c->is_begun || c->dictionary.ptr || dictionary.len > UINT32_MAX)
        return false;
    if (!c->is_decoder || c->format == CODER_DEFLATE_RAW)
        return zlib_use_dictionary(c, dictionary);
    char *copy = coding_alloc(c->memory, dictionary.len + 1);
    if (!copy)
        return false;
    memcpy(copy, dictionary.ptr ? dictionary.ptr : "", dictionary.len);
    c->dictionary = slice_of(copy, dictionary.len);
    return true;
}

enum coder_status coder_run(struct coder *c, struct slice *in, enum coder_flush flush, char **out,
                            size_t *room)
{
    c->is_begun = true;
    if (c->memory->is_refused)
        return CODER_BROKEN;
    return c->kind->run(c, in, flush, out, room);
}

const char *coder_reason(const struct coder *c)
{
    return c->reason ? c->reason : "";
}

bool coder_again(struct coder *c)
{
    return inflateReset(&c->z) == Z_OK;
}
