/* SPDX-License-Identifier: Apache-2.0
 *
 * See decode.h. A chain of stages, the outermost coding last; the reader pulls from stage 0, which
 * pulls from stage 1 through a buffer of its own, and so on, down to the bytes that came.
 *
 * Bounds: output by the reader; memory by what it is charged to (windows: 32 KiB, 16 MiB for br, 8
 * MiB for zstd as RFC 9659 says); the number of codings; and what stages hand on while nothing
 * comes out at the end (empty blocks inside of a compressed stream cost time and yield nothing).
 *
 * Ends: a stream that stops before its own end is an error, never a short body without a word. What
 * follows the end is ignored, except for further members of gzip and frames of zstd. */
#include "http/decode.h"

#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createDCtx_advanced(): memory that is accounted for */

#include <brotli/decode.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/limits.h"

enum { STAGE_BUFFER_BYTES = 16 * 1024, ZSTD_WINDOW_LOG_MAX = 23 };

struct stage;

enum stage_status { STAGE_GOES_ON, STAGE_OVER, STAGE_BROKEN };

struct coding {
    const char *name, *alias;
    bool (*start)(struct stage *s);
    /* Takes from *in, writes to *out as long as there is both. */
    enum stage_status (*run)(struct stage *s, struct slice *in, char **out, size_t *room);
    void (*end)(struct stage *s);
    /* May the stream end where it is now, besides where run() said so? */
    bool (*may_end)(const struct stage *s);
};

struct stage {
    struct decode *decode;
    const struct coding *coding;
    bool is_started, is_over, has_input;
    bool is_between; /* gzip: behind a member; zstd: behind a frame */
    int first;       /* deflate: the first byte, -1: not there yet */
    union {
        z_stream z;
        BrotliDecoderState *br;
        ZSTD_DCtx *zstd;
    };
    struct slice held; /* not yet taken of buffer */
    char *buffer;      /* what the next stage has decoded; the outermost has none */
};

struct decode {
    struct decode_memory memory;
    bool is_refused; /* memory */
    size_t interim;  /* handed on since the last output */
    int len;
    struct stage stages[LIMIT_FETCH_CODINGS];
};

/* ---- memory ---- */

struct block {
    size_t size;
    max_align_t data[];
};

static void *decode_alloc(struct decode *d, size_t size)
{
    struct block *b;
    size += sizeof(*b);
    if (!d->memory.take(d->memory.arg, size)) {
        d->is_refused = true;
        return NULL;
    }
    b = malloc(size);
    if (!b)
        check_out_of_memory(size);
    b->size = size;
    return b->data;
}

static void alloc_free(void *arg, void *ptr)
{
    struct decode *d = arg;
    if (!ptr)
        return;
    struct block *b = (struct block *)(void *)((char *)ptr - offsetof(struct block, data));
    d->memory.give(d->memory.arg, b->size);
    free(b);
}

static void *alloc_bytes(void *arg, size_t size)
{
    return decode_alloc(arg, size);
}

static void *alloc_items(void *arg, unsigned items, unsigned size)
{
    return decode_alloc(arg, (size_t)items * size);
}

/* ---- zlib: gzip and deflate ---- */

static bool zlib_start(struct stage *s, int window_bits)
{
    s->z = (z_stream){.zalloc = alloc_items, .zfree = alloc_free, .opaque = s->decode};
    return inflateInit2(&s->z, window_bits) == Z_OK;
}

static enum stage_status zlib_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    s->z.next_in = (z_const Bytef *)(uintptr_t)in->ptr;
    s->z.avail_in = (uInt)(in->len < UINT32_MAX ? in->len : UINT32_MAX);
    s->z.next_out = (Bytef *)*out;
    s->z.avail_out = (uInt)*room;
    uInt had = s->z.avail_in;
    int code = inflate(&s->z, Z_NO_FLUSH);
    *in = slice_skip(*in, had - s->z.avail_in);
    *out += *room - s->z.avail_out;
    *room = s->z.avail_out;
    if (code == Z_STREAM_END)
        return STAGE_OVER;
    return code == Z_OK || code == Z_BUF_ERROR ? STAGE_GOES_ON : STAGE_BROKEN;
}

static void zlib_end(struct stage *s)
{
    (void)inflateEnd(&s->z);
}

static bool gzip_start(struct stage *s)
{
    return zlib_start(s, 15 + 16);
}

static enum stage_status gzip_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    if (s->is_between) {
        if ((unsigned char)in->ptr[0] != 0x1f)
            return STAGE_OVER;
        s->is_between = false;
        if (inflateReset(&s->z) != Z_OK)
            return STAGE_BROKEN;
    }
    enum stage_status status = zlib_run(s, in, out, room);
    if (status != STAGE_OVER)
        return status;
    s->is_between = true; /* another member may follow */
    return STAGE_GOES_ON;
}

static bool stage_is_between(const struct stage *s)
{
    return s->is_between;
}

/* "deflate" means zlib's format, but there are servers that send the bare one; browsers take both.
 */
static bool deflate_start(struct stage *s)
{
    s->first = -1;
    return true;
}

static enum stage_status deflate_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    if (s->z.opaque)
        return zlib_run(s, in, out, room);
    if (!in->len)
        return STAGE_GOES_ON;
    if (s->first < 0) {
        s->first = (unsigned char)in->ptr[0];
        *in = slice_skip(*in, 1);
        return STAGE_GOES_ON;
    }
    int second = (unsigned char)in->ptr[0];
    bool is_zlib =
        (s->first & 15) == 8 && s->first >> 4 <= 7 && (s->first * 256 + second) % 31 == 0;
    if (!zlib_start(s, is_zlib ? 15 : -15))
        return STAGE_BROKEN;
    char first = (char)s->first;
    struct slice front = slice_of(&first, 1);
    enum stage_status status = zlib_run(s, &front, out, room);
    if (status != STAGE_GOES_ON)
        return status;
    return front.len ? STAGE_BROKEN : zlib_run(s, in, out, room);
}

static void deflate_end(struct stage *s)
{
    if (s->z.opaque)
        zlib_end(s);
}

/* ---- br ---- */

static bool br_start(struct stage *s)
{
    s->br = BrotliDecoderCreateInstance(alloc_bytes, alloc_free, s->decode);
    return s->br != NULL;
}

static enum stage_status br_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    size_t left = in->len;
    const uint8_t *at = (const uint8_t *)in->ptr;
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(s->br, &left, &at, room, (uint8_t **)out, NULL);
    *in = slice_skip(*in, in->len - left);
    if (result == BROTLI_DECODER_RESULT_SUCCESS)
        return STAGE_OVER;
    return result == BROTLI_DECODER_RESULT_ERROR ? STAGE_BROKEN : STAGE_GOES_ON;
}

static void br_end(struct stage *s)
{
    if (s->br)
        BrotliDecoderDestroyInstance(s->br);
}

/* ---- zstd ---- */

static bool zstd_start(struct stage *s)
{
    s->zstd = ZSTD_createDCtx_advanced((ZSTD_customMem){alloc_bytes, alloc_free, s->decode});
    return s->zstd &&
           !ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

static enum stage_status zstd_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    ZSTD_inBuffer from = {in->ptr, in->len, 0};
    ZSTD_outBuffer to = {*out, *room, 0};
    size_t code = ZSTD_decompressStream(s->zstd, &to, &from);
    *in = slice_skip(*in, from.pos);
    *out += to.pos;
    *room -= to.pos;
    if (ZSTD_isError(code))
        return STAGE_BROKEN;
    if (from.pos || to.pos)
        s->is_between = code == 0;
    return STAGE_GOES_ON;
}

static void zstd_end(struct stage *s)
{
    if (s->zstd)
        (void)ZSTD_freeDCtx(s->zstd);
}

/* ---- codings ---- */

static const struct coding codings[] = {
    {"gzip", "x-gzip", gzip_start, gzip_run, zlib_end, stage_is_between},
    {"deflate", NULL, deflate_start, deflate_run, deflate_end, NULL},
    {"br", NULL, br_start, br_run, br_end, NULL},
    {"zstd", NULL, zstd_start, zstd_run, zstd_end, stage_is_between},
};

static const struct coding *coding_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
        if (slice_eq_nocase(name, slice_cstr(codings[i].name)) ||
            (codings[i].alias && slice_eq_nocase(name, slice_cstr(codings[i].alias))))
            return &codings[i];
    }
    return NULL;
}

/* The codings of a header, those that mean nothing left out. -1: one is unknown, or too many. */
static int codings_parse(struct slice text, const struct coding *ret[LIMIT_FETCH_CODINGS])
{
    int len = 0;
    while (text.len) {
        struct slice name = slice_trim(slice_split(&text, ','));
        if (!name.len || slice_eq_nocase(name, SLICE_LIT("identity")))
            continue;
        const struct coding *c = coding_find(name);
        if (!c || len == LIMIT_FETCH_CODINGS)
            return -1;
        ret[len++] = c;
    }
    return len;
}

bool decode_knows(struct slice text)
{
    const struct coding *found[LIMIT_FETCH_CODINGS];
    return codings_parse(text, found) > 0;
}

static enum err decode_refused(struct error *ret_error)
{
    (void)error_set(ret_error, ERR_LIMIT_MEMORY,
                    "memory and buffered data together are above the limit of this function; there "
                    "is none left to decode the answer with");
    error_hint(ret_error, "read fewer answers at once, or raise the function's memory limit");
    return ERR_LIMIT_MEMORY;
}

enum err decode_new(struct slice text, const struct decode_memory *memory,
                    struct decode **ret_decode, struct error *ret_error)
{
    const struct coding *found[LIMIT_FETCH_CODINGS];
    int len = codings_parse(text, found);
    CHECK(len > 0);
    struct decode *d = calloc(1, sizeof(*d));
    if (!d)
        check_out_of_memory(sizeof(*d));
    d->memory = *memory;
    d->len = len;
    for (int i = 0; i < len; i++) { /* the last one named was applied last */
        struct stage *s = &d->stages[i];
        s->decode = d;
        s->coding = found[i];
        s->is_started = true;
        bool is_ok = s->coding->start(s);
        if (is_ok && i + 1 < len) {
            s->buffer = decode_alloc(d, STAGE_BUFFER_BYTES);
            is_ok = s->buffer != NULL;
        }
        if (!is_ok) {
            decode_free(d);
            return decode_refused(ret_error);
        }
    }
    *ret_decode = d;
    return OK;
}

void decode_free(struct decode *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->len; i++) {
        struct stage *s = &d->stages[i];
        if (s->is_started)
            s->coding->end(s);
        alloc_free(d, s->buffer);
    }
    free(d);
}

/* ---- running ---- */

struct run {
    struct decode *decode;
    struct slice *in;
    bool is_last;
    struct error *ret_error;
};

static enum err stage_fail(const struct run *r, const struct stage *s, const char *what)
{
    if (r->decode->is_refused)
        return decode_refused(r->ret_error);
    return error_set(r->ret_error, ERR_NETWORK, "the answer says 'content-encoding: %s', but %s",
                     s->coding->name, what);
}

static enum err stage_pull(struct run *r, int at, char *out, size_t room, size_t *ret_len);

/* More input for a stage. *ret_is_end: there is none, and none will come. */
static enum err stage_fill(struct run *r, int at, struct slice **ret_in, bool *ret_is_end)
{
    struct stage *s = &r->decode->stages[at];
    if (at + 1 == r->decode->len) {
        *ret_in = r->in;
        *ret_is_end = r->is_last && !r->in->len;
        return OK;
    }
    *ret_in = &s->held;
    if (!s->held.len) {
        size_t len = 0;
        enum err err = stage_pull(r, at + 1, s->buffer, STAGE_BUFFER_BYTES, &len);
        if (err)
            return err;
        s->held = slice_of(s->buffer, len);
        r->decode->interim += len;
        if (r->decode->interim > LIMIT_FETCH_INTERIM_BYTES)
            return stage_fail(r, s, "its data goes on without containing anything");
    }
    *ret_is_end = !s->held.len && r->decode->stages[at + 1].is_over;
    return OK;
}

static enum err stage_pull(struct run *r, int at, char *out, size_t room, size_t *ret_len)
{
    struct stage *s = &r->decode->stages[at];
    char *start = out;
    enum stage_status status = STAGE_GOES_ON;
    while (room && !s->is_over) {
        struct slice *in;
        bool is_end = false;
        enum err err = stage_fill(r, at, &in, &is_end);
        if (err)
            return err;
        size_t had = in->len, had_room = room;
        s->has_input |= had > 0;
        if (is_end && (!s->has_input || (s->coding->may_end && s->coding->may_end(s)))) {
            s->is_over = true; /* an empty body is taken for one, whatever it is said to be */
            break;
        }
        /* Without input a decoder may still have output. */
        if (s->has_input && (had || !s->is_between))
            status = s->coding->run(s, in, &out, &room);
        if (status == STAGE_BROKEN)
            return stage_fail(r, s, "its data is damaged or something else");
        s->is_over = status == STAGE_OVER;
        if (s->is_over || in->len < had || room < had_room)
            continue;
        if (is_end)
            return stage_fail(r, s, "its data ends early");
        if (!in->len)
            break;                                                        /* until more comes */
        return stage_fail(r, s, "its data is damaged or something else"); /* no progress */
    }
    *ret_len = (size_t)(out - start);
    return OK;
}

enum err decode_run(struct decode *d, struct slice *in, bool is_last, char *out, size_t room,
                    size_t *ret_len, bool *ret_is_over, struct error *ret_error)
{
    struct run r = {d, in, is_last, ret_error};
    d->interim = 0;
    enum err err = stage_pull(&r, 0, out, room, ret_len);
    *ret_is_over = !err && d->stages[0].is_over;
    if (*ret_is_over)
        *in = slice_skip(*in, in->len);
    return err;
}
