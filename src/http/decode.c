/* SPDX-License-Identifier: Apache-2.0
 *
 * See decode.h. A chain of stages, the outermost coding last; the reader pulls from stage 0, which
 * pulls from stage 1 through a buffer of its own, and so on, down to the bytes that came.
 *
 * Bounds: output by the reader; memory by what it is charged to (windows: see coding/coder.c); the
 * number of codings; and what stages hand on while nothing comes out at the end (empty blocks inside
 * of a compressed stream cost time and yield nothing).
 *
 * Ends: a stream that stops before its own end is an error, never a short body without a word. What
 * follows the end is ignored, except for further members of gzip and frames of zstd. */
#include "http/decode.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "coding/coder.h"

enum { STAGE_BUFFER_BYTES = 16 * 1024 };

struct stage;

struct coding {
    const char *name, *alias;
    enum coder_format format;
    bool is_sniffed; /* which format it is, its first bytes tell */
    /* As coder_run(). */
    enum coder_status (*run)(struct stage *s, struct slice *in, char **out, size_t *room);
};

struct stage {
    struct decode *decode;
    const struct coding *coding;
    bool is_over, has_input;
    bool is_between; /* gzip: behind a member; zstd: behind a frame */
    int first;       /* deflate: the first byte, -1: not there yet */
    struct coder *coder;
    struct slice held; /* not yet taken of buffer */
    char *buffer;      /* what the next stage has decoded; the outermost has none */
};

struct decode {
    struct coding_memory memory;
    size_t interim; /* handed on since the last output */
    int len;
    struct stage stages[LIMIT_FETCH_CODINGS];
};

/* ---- codings ---- */

static enum coder_status stage_code(struct stage *s, struct slice *in, char **out, size_t *room)
{
    return coder_run(s->coder, in, CODER_NO_FLUSH, out, room);
}

static bool stage_start(struct stage *s, enum coder_format format)
{
    s->coder = coder_new(format, true, &s->decode->memory);
    return s->coder != NULL;
}

static enum coder_status gzip_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    if (s->is_between) {
        if ((unsigned char)in->ptr[0] != 0x1f)
            return CODER_OVER;
        s->is_between = false;
        if (!coder_again(s->coder))
            return CODER_BROKEN;
    }
    enum coder_status status = stage_code(s, in, out, room);
    if (status != CODER_OVER)
        return status;
    s->is_between = true; /* another member may follow */
    return CODER_GOES_ON;
}

/* "deflate" means zlib's format, but there are servers that send the bare one; browsers take both.
 */
static enum coder_status deflate_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    if (s->coder)
        return stage_code(s, in, out, room);
    if (!in->len)
        return CODER_GOES_ON;
    if (s->first < 0) {
        s->first = (unsigned char)in->ptr[0];
        *in = slice_skip(*in, 1);
        return CODER_GOES_ON;
    }
    int second = (unsigned char)in->ptr[0];
    bool is_zlib =
        (s->first & 15) == 8 && s->first >> 4 <= 7 && (s->first * 256 + second) % 31 == 0;
    if (!stage_start(s, is_zlib ? CODER_DEFLATE : CODER_DEFLATE_RAW))
        return CODER_BROKEN;
    char first = (char)s->first;
    struct slice front = slice_of(&first, 1);
    enum coder_status status = stage_code(s, &front, out, room);
    if (status != CODER_GOES_ON)
        return status;
    return front.len ? CODER_BROKEN : stage_code(s, in, out, room);
}

static enum coder_status zstd_run(struct stage *s, struct slice *in, char **out, size_t *room)
{
    size_t had = in->len, had_room = *room;
    enum coder_status status = stage_code(s, in, out, room);
    if (status == CODER_BROKEN)
        return status;
    if (in->len < had || *room < had_room)
        s->is_between = status == CODER_OVER; /* another frame may follow */
    return CODER_GOES_ON;
}

static const struct coding codings[] = {
    {"gzip", "x-gzip", CODER_GZIP, false, gzip_run},
    {"deflate", NULL, CODER_DEFLATE, true, deflate_run},
    {"br", NULL, CODER_BR, false, stage_code},
    {"zstd", NULL, CODER_ZSTD, false, zstd_run},
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

enum err decode_new(struct slice text, const struct coding_memory *memory,
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
        s->first = -1;
        bool is_ok = s->coding->is_sniffed || stage_start(s, s->coding->format);
        if (is_ok && i + 1 < len) {
            s->buffer = coding_alloc(&d->memory, STAGE_BUFFER_BYTES);
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
        coder_free(s->coder);
        coding_free(&d->memory, s->buffer);
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
    if (r->decode->memory.is_refused)
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
    enum coder_status status = CODER_GOES_ON;
    while (room && !s->is_over) {
        struct slice *in;
        bool is_end = false;
        enum err err = stage_fill(r, at, &in, &is_end);
        if (err)
            return err;
        size_t had = in->len, had_room = room;
        s->has_input |= had > 0;
        if (is_end && (!s->has_input || s->is_between)) {
            s->is_over = true; /* an empty body is taken for one, whatever it is said to be */
            break;
        }
        /* Without input a decoder may still have output. */
        if (s->has_input && (had || !s->is_between))
            status = s->coding->run(s, in, &out, &room);
        if (status == CODER_BROKEN)
            return stage_fail(r, s, "its data is damaged or something else");
        s->is_over = status == CODER_OVER;
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
