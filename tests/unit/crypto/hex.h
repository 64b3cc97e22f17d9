/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in hex, as published vectors have them. After cmocka.h. */
#pragma once

#include <stdio.h>

#include "base/bytes.h"

static inline struct bytes unhex(const char *hex)
{
    struct bytes out = BYTES_INIT;
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned value;
        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        bytes_append_char(&out, (char)value);
    }
    return out;
}

static inline void assert_hex(struct slice got, const char *hex)
{
    CLEANUP(bytes_done) struct bytes want = unhex(hex);
    assert_int_equal(got.len, want.len);
    if (want.len > 0)
        assert_memory_equal(got.ptr, want.ptr, want.len);
}
