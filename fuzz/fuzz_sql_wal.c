/* SPDX-License-Identifier: Apache-2.0
 *
 * A write-ahead log of any content is counted without reading past its end; a log with bytes
 * appended never counts fewer frames. */
#include <sys/mman.h>
#include <unistd.h>

#include "host/sql_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t frames = 0, half = 0;
    int fd = memfd_create("wal", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(write(fd, data, size / 2) == (ssize_t)(size / 2));
    CHECK(sql_wal_count(fd, &half, NULL) == OK);
    CHECK(write(fd, data + size / 2, size - size / 2) == (ssize_t)(size - size / 2));
    CHECK(sql_wal_count(fd, &frames, NULL) == OK);
    CHECK(half <= frames && (size_t)frames * (512 + 24) <= size);
    (void)close(fd);
    return 0;
}
