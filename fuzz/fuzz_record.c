/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of records: whatever is read as a record is written as the same bytes, counting and
 * cutting agree with reading. The input's checksums are made right first (else nothing would get
 * past them) unless its first byte is odd. */
#include <zlib.h>

#include "durable/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_checksums(struct bytes *chunk)
{
    size_t at = 0;
    while (chunk->len - at >= RECORD_HEAD_BYTES) {
        uint32_t len;
        memcpy(&len, chunk->ptr + at, sizeof(len));
        len = le32toh(len);
        if (len < RECORD_HEAD_BYTES - 4 || len > chunk->len - at - 4)
            return;
        const uint32_t crc =
            htole32((uint32_t)crc32(0, (const unsigned char *)chunk->ptr + at + 8, len - 4));
        memcpy(chunk->ptr + at + 4, &crc, sizeof(crc));
        at += len + 4;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    CLEANUP(bytes_done) struct bytes chunk = BYTES_INIT, again = BYTES_INIT;
    bytes_append(&chunk, data + 1, size - 1);
    if (data[0] % 2 == 0)
        fix_checksums(&chunk);
    const struct slice all = bytes_slice(&chunk);
    const int64_t count = record_count(all);
    struct slice rest = all;
    struct record r;
    struct error error;
    int64_t taken = 0;
    while (rest.len > 0 && record_take(&rest, &r, &error) == OK) {
        taken++;
        CHECK(record_prefix(all, taken).len == all.len - rest.len);
        if (r.label.len <= RECORD_LABEL_BYTES_MAX)
            record_append(&r, &again);
        else
            bytes_append(&again, all.ptr + again.len, all.len - rest.len - again.len);
        CHECK(again.len == all.len - rest.len && memcmp(again.ptr, all.ptr, again.len) == 0);
    }
    CHECK(count == -1 || taken <= count);
    CHECK(rest.len > 0 || taken == count);
    return 0;
}
