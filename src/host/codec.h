/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream that is compressed or decompressed, a piece a call, for CompressionStream and
 * DecompressionStream. As their standard asks, and unlike http/decode.h: one member only, what
 * follows the end is an error, and so is an end that does not come. Settings are those that keep a
 * call below a millisecond or two per piece. Knows no guest. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "coding/coder.h"

struct codec;

/* memory is copied. ERR_LIMIT_MEMORY: it said no. */
NODISCARD enum err codec_new(enum coder_format format, bool is_decoder,
                             const struct coding_memory *memory, struct codec **ret_codec,
                             struct error *ret_error);
void codec_free(struct codec *c);
/* See coder.h. ERR_INVALID: not for this format, not that value, or too late. */
NODISCARD enum err codec_set(struct codec *c, enum coder_setting setting, int value,
                             struct error *ret_error);
NODISCARD enum err codec_dictionary(struct codec *c, struct slice dictionary,
                                    struct error *ret_error);
/* Takes from the front of *in and writes at most `room` bytes to out. As long as it fills the room,
 * or *in is not empty, or it is CODER_FINISH and not *ret_is_over, there is more to come: call again. What follows the end of compressed data stays in *in, and is an error
 * of the next call, so that what came before it is not lost. ERR_INVALID: damaged, ends early, or goes
 * on after its end; ERR_LIMIT_MEMORY. After an error only codec_free(). */
NODISCARD enum err codec_run(struct codec *c, struct slice *in, enum coder_flush flush, char *out,
                             size_t room, size_t *ret_len, bool *ret_is_over,
                             struct error *ret_error);
