/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes into a connection that has not chosen its protocol: HTTP/1.x, and the choice itself. */
#include "fuzz/http_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_connection(SLICE_EMPTY, data, size);
}
