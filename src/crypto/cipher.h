/* SPDX-License-Identifier: Apache-2.0
 *
 * AES, piece by piece. Any thread, one at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "guest/abi.h"

struct cipher;

struct cipher_start {
    enum abi_cipher mode;
    bool is_decryption;
    uint32_t bits;
    struct slice key, iv, aad;
    size_t data_bytes; /* of all pieces */
};

/* ERR_INVALID: what no cipher of this kind takes. */
NODISCARD enum err cipher_new(const struct cipher_start *start, struct cipher **ret_cipher,
                              struct error *ret_error);
void cipher_free(struct cipher *c); /* wipes */
/* Room that the result may take at most. */
size_t cipher_out_bytes(const struct cipher_start *start);
/* The next piece to `to`, which may be the same place, or is another. *ret_len: what came of it:
 * after so many bytes in all at most so many bytes have come out. Pieces are multiples of 16, but
 * for the last one, for which is_last is set and which may have the room of 16 bytes more. */
NODISCARD enum err cipher_piece(struct cipher *c, struct slice piece, bool is_last, char *to,
                                size_t *ret_len, struct error *ret_error);
