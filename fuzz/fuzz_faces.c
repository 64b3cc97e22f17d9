/* SPDX-License-Identifier: Apache-2.0
 *
 * The faces of crates `encoding_rs` and `urlpattern` (deps/limpet-deps). Input: a byte that says which, a line
 * of its own for the label or none, then the bytes. Text comes out the same in one piece and in many,
 * as UTF-8; patterns come out as packed texts; nothing panics. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/slice.h"
#include "limpet_deps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct slice label, struct slice in, size_t piece, size_t room, bool is_fatal,
                   struct bytes *out)
{
    struct deps_text *text = deps_text_new(label.ptr, label.len, is_fatal);
    enum deps_text_status status = DEPS_TEXT_DONE;
    bool is_last = false;
    if (!text)
        return;
    while (status == DEPS_TEXT_FULL || (status == DEPS_TEXT_DONE && !is_last)) {
        size_t len = in.len < piece ? in.len : piece, taken = 0, written = 0;
        is_last = len == in.len;
        bytes_reserve(out, room);
        status =
            deps_text_run(text, in.ptr, len, is_last, out->ptr + out->len, room, &taken, &written);
        CHECK(status == DEPS_TEXT_DONE || status == DEPS_TEXT_FULL ||
              (status == DEPS_TEXT_MALFORMED && is_fatal));
        if (status == DEPS_TEXT_MALFORMED)
            break;
        CHECK(taken <= len && written <= room && (status == DEPS_TEXT_FULL || taken == len));
        in = slice_skip(in, taken);
        is_last = is_last && status == DEPS_TEXT_DONE;
        out->len += written;
    }
    deps_text_free(text);
}

static void texts(struct slice label, struct slice in)
{
    CLEANUP(bytes_done) struct bytes whole = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes pieces = BYTES_INIT;
    decode(label, in, SIZE_MAX, 1 << 16, false, &whole);
    decode(label, in, 3, DEPS_TEXT_ROOM_MIN, false, &pieces);
    CHECK(slice_is_utf8(bytes_slice(&whole)));
    CHECK(slice_eq(bytes_slice(&whole), bytes_slice(&pieces)));
    bytes_clear(&pieces);
    decode(label, in, 5, 1 << 10, true, &pieces);
    CHECK(slice_starts(bytes_slice(&whole), bytes_slice(&pieces)));
}

static void patterns(uint8_t what, struct slice in)
{
    CLEANUP(bytes_done) struct bytes packed = BYTES_INIT;
    char *out = NULL;
    size_t len = 0;
    uint32_t count = what & 4 ? 9 : 2;
    bytes_append_u32(&packed, count);
    for (uint32_t i = 0; i < count; i++) {
        struct slice part = slice_split(&in, '\n');
        if (part.len == 0 && i > 0)
            bytes_append_u32(&packed, UINT32_MAX);
        else
            bytes_append_lstr(&packed, part);
    }
    struct slice given = what & 8 ? in : bytes_slice(&packed); /* or bytes as they are */
    if (deps_pattern((enum deps_pattern_what)(what % 3), given.ptr, given.len, &out, &len) &&
        len > 0)
        CHECK(len >= 4);
    deps_pattern_done(out, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    if (size == 0)
        return 0;
    uint8_t what = data[0];
    rest = slice_skip(rest, 1);
    if (what < 128) {
        struct slice label = slice_split(&rest, '\n');
        texts(label, rest);
    } else {
        patterns(what, rest);
    }
    CHECK(deps_panics() == 0);
    return 0;
}
