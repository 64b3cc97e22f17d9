/* SPDX-License-Identifier: Apache-2.0
 *
 * Undoes content codings (gzip, deflate, br, zstd, several in a row) as bytes are asked for: never
 * more than the reader's buffer at a time, whatever the ratio, and with memory that is asked for
 * before it is taken. Knows no socket. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "coding/memory.h"

struct decode;

/* Is there something to undo in this content-encoding, and can it be? A body whose header says
 * something unknown ("utf-8", "aws-chunked") is given as it is, as clients do. */
bool decode_knows(struct slice codings);
/* codings: one that decode_knows(). memory is copied. */
NODISCARD enum err decode_new(struct slice codings, const struct coding_memory *memory,
                              struct decode **ret_decode, struct error *ret_error);
void decode_free(struct decode *d);
/* Takes from the front of *in and writes at most `room` bytes to out. If it wrote less than that,
 * *in is used up. is_last: nothing follows what is in *in. *ret_is_over: all is decoded; what
 * follows is not looked at. ERR_NETWORK: the body is not what its header says, or ends early;
 * ERR_LIMIT_MEMORY.
 */
NODISCARD enum err decode_run(struct decode *d, struct slice *in, bool is_last, char *out,
                              size_t room, size_t *ret_len, bool *ret_is_over,
                              struct error *ret_error);
