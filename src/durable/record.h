/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of a journal: the one format in which what an execution learned from outside is kept.
 * docs/journal.md describes the same format for other programs. Little-endian, unaligned:
 *
 *     u32 len        bytes after this field
 *     u32 crc        CRC-32 (zlib's) of the bytes after this field
 *     u8  version    RECORD_VERSION
 *     u8  kind       enum record_kind
 *     u16 op         number in host/ops.def; 0 where there is none
 *     u32 id         number of the asynchronous call (1, 2, ...); 0 where there is none
 *     u64 digest     struct record_hash of the op and its arguments
 *     i64 at_us      microseconds since 1970 when it was delivered to the code
 *     u16 status     0, or enum err
 *     u16 label_len
 *     label          for people: "charge", "GET https://...", "sleep 3 days"; UTF-8
 *     payload        the rest: the result, as the op's row in ops.def says
 *
 * Records are numbered from 0 by their place. A chunk is a whole number of records one after the
 * other, and the number of its first. Formats of older versions stay readable for ever. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    RECORD_VERSION = 1,
    RECORD_HEAD_BYTES = 36,
    RECORD_LABEL_BYTES_MAX = 200, /* longer labels are cut between characters */
};

enum record_kind {
    /* Record 0. at_us: the first time that the code sees. Payload: empty. */
    RECORD_START = 1,
    /* A synchronous op and its result. */
    RECORD_SYNC = 2,
    /* Call `id` completed: delivered to the code at this place. Payload of an event that came:
     * i64 seq of the signal, then what the code gets. */
    RECORD_DONE = 3,
    /* Step `id` failed and will be tried again. status: of the failure. Payload: u32 attempt that
     * failed (from 1), i64 us when the next one is due, lstr message. Attempt 0, status 0: the
     * execution was retried, and the step has all its attempts again. */
    RECORD_ATTEMPT = 4,
    /* The code learned that it shall end. */
    RECORD_CANCEL = 5,
    /* The last one. status 0: completed, ERR_CANCELLED: cancelled, else failed. digest: of the
     * value if it completed. */
    RECORD_END = 6,
};

struct record {
    enum record_kind kind;
    uint32_t op;
    uint32_t id;
    uint64_t digest;
    int64_t at_us;
    uint32_t status;
    struct slice label, payload; /* borrowed */
};

void record_append(const struct record *r, struct bytes *out);
/* Takes the first record off *chunk. ERR_CORRUPT: cut short, wrong checksum or version; the message
 * says which. */
NODISCARD enum err record_take(struct slice *chunk, struct record *ret_record,
                               struct error *ret_error);
/* How many records a chunk holds; -1: it is malformed (checksums are not looked at). */
int64_t record_count(struct slice chunk);
/* The part of chunk with its first n records. */
struct slice record_prefix(struct slice chunk, int64_t n);
const char *
record_kind_text(enum record_kind kind); /* "start" "sync" "done" "attempt" "cancel" "end" */

/* What a call is recognized by on replay: SipHash-1-3 with a fixed key over the op's number and its
 * arguments in order, each with its length. Never changes: it is in journals. */
struct record_hash {
    uint64_t state[4];
    uint64_t len;
    uint8_t rest[8];
};
void record_hash_init(struct record_hash *h, uint32_t op);
void record_hash_add(struct record_hash *h, struct slice argument);
uint64_t record_hash_end(struct record_hash *h);
