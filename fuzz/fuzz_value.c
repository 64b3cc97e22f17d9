/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever bytes are shown as a value, the text is JSON, is hardly longer than asked for, and what
 * was in the buffer before stays. */
#include <jansson.h>

#include "admin/value.h"
#include "base/check.h"
#include "guest/values.h"

enum { BEYOND = 1000 + 3 * VALUE_DEPTH_MAX }; /* a last item, and what closes open ones */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {0, 10, 200, 100000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        bytes_append_char(&out, '#');
        value_to_json(slice_of((const char *)data, size), limits[i], &out);
        CHECK(out.ptr[0] == '#');
        CHECK(out.len <= 6 * limits[i] + BEYOND); /* a control character takes six bytes */
        json_t *read = json_loadb(out.ptr + 1, out.len - 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        CHECK(read);
        json_decref(read);
    }
    return 0;
}
