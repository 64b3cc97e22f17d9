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

struct coder;

/* NULL: memory has refused. memory outlives the coder. */
struct coder *coder_new(enum coder_format format, bool is_decoder, struct coding_memory *memory);
void coder_free(struct coder *c); /* NULL is fine */
/* Takes from the front of *in and writes to *out as long as there is both, moving both on; without input
 * a decoder may still have output. is_last: asks an encoder for its end. */
enum coder_status coder_run(struct coder *c, struct slice *in, bool is_last, char **out,
                            size_t *room);
/* A decoder of gzip that is over, for the next member. False: broken. */
bool coder_again(struct coder *c);
