/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of Intl to ICU (src/intl). Input: a byte that says what, then the request. Any bytes may come: what
 * comes back is UTF-8, or a refusal that leaves nothing behind. */
#include "base/check.h"
#include "intl/intl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct error e;
    if (size == 0)
        return 0;
    struct slice request = slice_of((const char *)data + 1, size - 1);
    if (intl_ask((enum intl_what)data[0], request, &out, &e) == OK)
        CHECK(slice_is_utf8(bytes_slice(&out)));
    else
        CHECK(out.len == 0);
    return 0;
}
