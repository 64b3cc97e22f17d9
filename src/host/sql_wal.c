/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a write-ahead log far enough to know how many frames of it are sound: header and frames
 * carry salts and a running checksum (SQLite's file format, "The Write-Ahead Log"). Used to prove,
 * after a failed sync, that what the kernel still gives us is what was written, before a checkpoint
 * copies it into the database. Any thread; knows no database. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/sql_internal.h"

enum { WAL_HEADER_BYTES = 32, WAL_FRAME_HEADER_BYTES = 24, WAL_VERSION = 3007000 };
static const uint32_t wal_magic = 0x377f0682; /* the lowest bit: checksums are big-endian */

struct wal_sum {
    uint32_t a, b;
    bool is_big_endian;
};

static uint32_t wal_u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static void wal_sum_add(struct wal_sum *s, const unsigned char *p, size_t len)
{
    for (const unsigned char *end = p + len; p < end; p += 8) {
        uint32_t x, y;
        memcpy(&x, p, sizeof(x));
        memcpy(&y, p + 4, sizeof(y));
        s->a += (s->is_big_endian ? be32toh(x) : le32toh(x)) + s->b;
        s->b += (s->is_big_endian ? be32toh(y) : le32toh(y)) + s->a;
    }
}

/* Fills the buffer as far as the file goes; the length read, or -1. */
static ssize_t wal_read(int fd, unsigned char *buffer, size_t len, off_t at)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, buffer + got, len - got, at + (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static bool wal_header_ok(const unsigned char *header, struct wal_sum *ret_sum, uint32_t *ret_page)
{
    uint32_t magic = wal_u32(header), page = wal_u32(header + 8);
    if ((magic & ~1u) != wal_magic || wal_u32(header + 4) != WAL_VERSION || page < 512 ||
        page > 65536 || (page & (page - 1)))
        return false;
    *ret_page = page;
    *ret_sum = (struct wal_sum){.is_big_endian = magic & 1};
    wal_sum_add(ret_sum, header, 24);
    return ret_sum->a == wal_u32(header + 24) && ret_sum->b == wal_u32(header + 28);
}

static bool wal_frame_ok(const unsigned char *frame, const unsigned char *salts, uint32_t page,
                         struct wal_sum *sum)
{
    if (memcmp(frame + 8, salts, 8) != 0 || wal_u32(frame) == 0)
        return false;
    wal_sum_add(sum, frame, 8);
    wal_sum_add(sum, frame + WAL_FRAME_HEADER_BYTES, page);
    return sum->a == wal_u32(frame + 16) && sum->b == wal_u32(frame + 20);
}

static void wal_buffer_free(unsigned char **p)
{
    free(*p);
}

enum err sql_wal_count(int fd, uint32_t *ret_frames, struct error *ret_error)
{
    unsigned char header[WAL_HEADER_BYTES];
    struct wal_sum sum;
    uint32_t page, frames = 0, committed = 0;
    ssize_t got = wal_read(fd, header, sizeof(header), 0);
    if (got < 0)
        return error_set(ret_error, ERR_IO, "reading a write-ahead log: %s", strerror(errno));
    if (got < WAL_HEADER_BYTES || !wal_header_ok(header, &sum, &page)) {
        *ret_frames = 0;
        return OK;
    }
    size_t frame_bytes = WAL_FRAME_HEADER_BYTES + page;
    CLEANUP(wal_buffer_free) unsigned char *frame = malloc(frame_bytes);
    if (!frame)
        check_out_of_memory(frame_bytes);
    for (off_t at = WAL_HEADER_BYTES;; at += (off_t)frame_bytes) {
        got = wal_read(fd, frame, frame_bytes, at);
        if (got < 0)
            return error_set(ret_error, ERR_IO, "reading a write-ahead log: %s", strerror(errno));
        if ((size_t)got < frame_bytes || !wal_frame_ok(frame, header + 16, page, &sum))
            break;
        frames++;
        if (wal_u32(frame + 4))
            committed = frames;
    }
    *ret_frames = committed;
    return OK;
}
