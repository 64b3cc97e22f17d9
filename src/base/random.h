/* SPDX-License-Identifier: Apache-2.0
 *
 * Randomness from the kernel. Any thread; a per-thread buffer keeps small requests cheap. */
#pragma once

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *ptr, size_t len);
uint64_t random_u64(void);

enum { RANDOM_ID_SIZE = 37 };
/* UUID version 7 (RFC 9562): ids that sort by time. NUL-terminated. */
void random_uuid7(char ret_text[RANDOM_ID_SIZE]);
