/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream of zlib, brotli or zstd that is compressed or decompressed, a piece a call, with memory
 * that is accounted for. Says how it went; what an end means is its caller's (http/decode.c,
 * host/codec.c). One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "coding/memory.h"

enum coder_format {
    CODER_DEFLATE, /* zlib's format */
    CODER_DEFLATE_RAW,
    CODER_GZIP,
    CODER_BR,
    CODER_ZSTD,
    CODER_FORMATS
};

enum coder_status {
    CODER_GOES_ON,
    CODER_OVER,   /* the end of the stream, or of a member of gzip, or of a frame of zstd */
    CODER_BROKEN, /* damaged, or memory->is_refused */
};

/* What becomes of the data that an encoder holds back; a decoder does not ask. */
enum coder_flush {
    CODER_NO_FLUSH,
    CODER_FINISH, /* it is the last */
    CODER_SYNC,   /* all so far can be decoded */
    CODER_FULL,   /* likewise, and what follows without what came before: zlib's formats */
    CODER_PARTIAL,
    CODER_BLOCK,
    CODER_FLUSHES
};

/* Settings of an encoder. Before its first data; level and strategy of zlib's formats also later. */
enum coder_setting {
    CODER_LEVEL,    /* zlib's -1 to 9, br's quality 0 to 9, zstd's -7 to 19: above counts as that */
    CODER_STRATEGY, /* zlib's */
    CODER_WINDOW, /* of zlib's formats: bits, 8 to 15; of a decoder too, 0 is what the data says */
    CODER_MEMORY, /* zlib's 1 to 9 */
    CODER_SETTINGS
};

struct coder;

/* NULL: memory has refused. memory outlives the coder. */
struct coder *coder_new(enum coder_format format, bool is_decoder, struct coding_memory *memory);
void coder_free(struct coder *c); /* NULL is fine */
/* False: the format has no such setting or value, or it is too late for it. Settings that take more
 * memory than there is make the next run CODER_BROKEN. */
bool coder_set(struct coder *c, enum coder_setting setting, int value);
/* What both sides know before, of zlib's formats but gzip; before the first data. A decoder of zlib's
 * own format keeps it until the data asks for it. False: not for this format, or memory has refused. */
bool coder_dictionary(struct coder *c, struct slice dictionary);
/* Takes from the front of *in and writes to *out as long as there is both, moving both on; without input
 * a decoder may still have output. */
enum coder_status coder_run(struct coder *c, struct slice *in, enum coder_flush flush, char **out,
                            size_t *room);
/* After CODER_BROKEN: the library's words, "incorrect header check"; static, may be "". */
const char *coder_reason(const struct coder *c);
/* A decoder of gzip that is over, for the next member. False: broken. */
bool coder_again(struct coder *c);
