/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames into an HTTP/2 connection, behind its preface. */
#include "fuzz/http_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_connection(SLICE_LIT(NGHTTP2_CLIENT_MAGIC), data, size);
}
