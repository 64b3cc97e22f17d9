/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever bytes are quoted, jansson reads the result, and valid UTF-8 comes back as it was.
 * Clipping never cuts a character. */
#include <jansson.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    const bool is_utf8 = slice_is_utf8(input);
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    json_quote(&out, input);
    json_t *read = json_loadb(out.ptr, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CHECK(read && json_is_string(read));
    struct slice back = slice_of(json_string_value(read), json_string_length(read));
    CHECK(slice_is_utf8(back));
    CHECK(!is_utf8 || slice_eq(back, input));
    json_decref(read);
    for (size_t max = 0; is_utf8 && max < size && max < 64; max++) {
        struct slice clipped = slice_utf8_clip(input, max);
        CHECK(slice_is_utf8(clipped));
        CHECK(clipped.len <= max && max - clipped.len < 4);
    }
    return 0;
}
