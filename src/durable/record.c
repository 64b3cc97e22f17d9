/* SPDX-License-Identifier: Apache-2.0
 *
 * The codec of journal records and the hash by which calls are recognized. Both are hot: a replay
 * decodes one record per call of the code, so nothing here allocates and a record is read in place.
 *
 * Reading trusts nothing: lengths are compared with what is left before they are used, the checksum
 * before any field. Any thread. */
#include "durable/record.h"

#include "base/check.h"

enum {
    RECORD_FIELDS_AT = 8, /* len and crc come before what is checked */
    RECORD_FIELDS_BYTES = RECORD_HEAD_BYTES - RECORD_FIELDS_AT,
};

/* The bytes of a record as they stand in a journal. */
struct record_head {
    uint32_t len, crc;
    uint8_t version, kind;
    uint16_t op;
    uint32_t id;
    uint64_t digest;
    int64_t at_us;
    uint16_t status, label_len;
} __attribute__((packed));
_Static_assert(sizeof(struct record_head) == RECORD_HEAD_BYTES, "the format is in journals");

/* ---- CRC-32 ---- */

/* The same as zlib's crc32(), which takes 90 ns for a record of 60 bytes: half the time of a
 * replay. Eight bytes at a time with a table for each ("slicing by 8") take 20 ns. */
static uint32_t crc_tables[8][256];

__attribute__((constructor)) static void crc_tables_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320U : crc >> 1;
        crc_tables[0][i] = crc;
    }
    for (size_t t = 1; t < 8; t++)
        for (size_t i = 0; i < 256; i++) {
            const uint32_t before = crc_tables[t - 1][i];
            crc_tables[t][i] = before >> 8 ^ crc_tables[0][before & 0xff];
        }
}

static uint32_t record_crc(const char *ptr, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (; len >= 8; ptr += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, ptr, sizeof(word));
        word = le64toh(word) ^ crc;
        crc = crc_tables[7][word & 0xff] ^ crc_tables[6][word >> 8 & 0xff] ^
              crc_tables[5][word >> 16 & 0xff] ^ crc_tables[4][word >> 24 & 0xff] ^
              crc_tables[3][word >> 32 & 0xff] ^ crc_tables[2][word >> 40 & 0xff] ^
              crc_tables[1][word >> 48 & 0xff] ^ crc_tables[0][word >> 56];
    }
    for (; len > 0; ptr++, len--)
        crc = crc >> 8 ^ crc_tables[0][(crc ^ (uint8_t)*ptr) & 0xff];
    return ~crc;
}

/* ---- the codec ---- */

void record_append(const struct record *r, struct bytes *out)
{
    const struct slice label = slice_utf8_clip(r->label, RECORD_LABEL_BYTES_MAX);
    CHECK(r->op <= UINT16_MAX);
    CHECK(r->status <= UINT16_MAX);
    CHECK(r->payload.len <= INT32_MAX);
    const size_t size = RECORD_HEAD_BYTES + label.len + r->payload.len;
    bytes_reserve(out, size);
    char *start = out->ptr + out->len;
    const struct record_head head = {
        .len = htole32((uint32_t)(size - sizeof(uint32_t))),
        .version = RECORD_VERSION,
        .kind = (uint8_t)r->kind,
        .op = htole16((uint16_t)r->op),
        .id = htole32(r->id),
        .digest = htole64(r->digest),
        .at_us = (int64_t)htole64((uint64_t)r->at_us),
        .status = htole16((uint16_t)r->status),
        .label_len = htole16((uint16_t)label.len),
    };
    memcpy(start, &head, sizeof(head));
    out->len += sizeof(head);
    bytes_append_slice(out, label);
    bytes_append_slice(out, r->payload);
    const uint32_t crc = htole32(record_crc(start + RECORD_FIELDS_AT, size - RECORD_FIELDS_AT));
    memcpy(start + offsetof(struct record_head, crc), &crc, sizeof(crc));
}

/* Size of the whole record that a chunk starts with; 0: there is none that is whole. */
static size_t record_size(struct slice chunk)
{
    uint32_t len;
    if (chunk.len < RECORD_HEAD_BYTES)
        return 0;
    memcpy(&len, chunk.ptr, sizeof(len));
    const size_t size = (size_t)le32toh(len) + sizeof(len);
    return size < RECORD_HEAD_BYTES || size > chunk.len ? 0 : size;
}

enum err record_take(struct slice *chunk, struct record *ret_record, struct error *ret_error)
{
    const size_t size = record_size(*chunk);
    if (size == 0)
        return error_set(ret_error, ERR_CORRUPT, "a record is cut short (%zu bytes are left)",
                         chunk->len);
    struct record_head head;
    memcpy(&head, chunk->ptr, sizeof(head));
    if (record_crc(chunk->ptr + RECORD_FIELDS_AT, size - RECORD_FIELDS_AT) != le32toh(head.crc))
        return error_set(ret_error, ERR_CORRUPT, "a record of %zu bytes has a wrong checksum",
                         size);
    if (head.version != RECORD_VERSION) {
        (void)error_set(ret_error, ERR_CORRUPT, "a record has version %u, known is %d",
                        head.version, RECORD_VERSION);
        error_hint(ret_error, "it was written by a newer release: run that one");
        return ERR_CORRUPT;
    }
    const size_t label_len = le16toh(head.label_len);
    if (head.kind < RECORD_START || head.kind > RECORD_END)
        return error_set(ret_error, ERR_CORRUPT, "a record has the unknown kind %u", head.kind);
    if (label_len > size - RECORD_HEAD_BYTES)
        return error_set(ret_error, ERR_CORRUPT, "a record's label is longer than the record");
    const char *rest = chunk->ptr + RECORD_HEAD_BYTES;
    *ret_record = (struct record){
        .kind = (enum record_kind)head.kind,
        .op = le16toh(head.op),
        .id = le32toh(head.id),
        .digest = le64toh(head.digest),
        .at_us = (int64_t)le64toh((uint64_t)head.at_us),
        .status = le16toh(head.status),
        .label = slice_of(rest, label_len),
        .payload = slice_of(rest + label_len, size - RECORD_HEAD_BYTES - label_len),
    };
    *chunk = slice_of(chunk->ptr + size, chunk->len - size);
    return OK;
}

int64_t record_count(struct slice chunk)
{
    int64_t count = 0;
    while (chunk.len > 0) {
        const size_t size = record_size(chunk);
        if (size == 0)
            return -1;
        chunk = slice_of(chunk.ptr + size, chunk.len - size);
        count++;
    }
    return count;
}

struct slice record_prefix(struct slice chunk, int64_t n)
{
    struct slice rest = chunk;
    for (; n > 0; n--) {
        const size_t size = record_size(rest);
        if (size == 0)
            break;
        rest = slice_of(rest.ptr + size, rest.len - size);
    }
    return slice_of(chunk.ptr, chunk.len - rest.len);
}

const char *record_kind_text(enum record_kind kind)
{
    switch (kind) {
    case RECORD_START:
        return "start";
    case RECORD_SYNC:
        return "sync";
    case RECORD_DONE:
        return "done";
    case RECORD_ATTEMPT:
        return "attempt";
    case RECORD_CANCEL:
        return "cancel";
    case RECORD_END:
        return "end";
    }
    return "unknown";
}

/* ---- SipHash-1-3 (Aumasson and Bernstein), streaming ---- */

static inline uint64_t rotate(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static inline void sip_round(uint64_t s[4])
{
    s[0] += s[1];
    s[2] += s[3];
    s[1] = rotate(s[1], 13) ^ s[0];
    s[3] = rotate(s[3], 16) ^ s[2];
    s[0] = rotate(s[0], 32);
    s[2] += s[1];
    s[0] += s[3];
    s[1] = rotate(s[1], 17) ^ s[2];
    s[3] = rotate(s[3], 21) ^ s[0];
    s[2] = rotate(s[2], 32);
}

static inline void sip_word(uint64_t s[4], uint64_t word)
{
    s[3] ^= word;
    sip_round(s);
    s[0] ^= word;
}

static void hash_bytes(struct record_hash *h, const char *ptr, size_t len)
{
    const size_t held = h->len & 7;
    h->len += len;
    uint64_t word;
    if (held) {
        const size_t fits = 8 - held < len ? 8 - held : len;
        memcpy(h->rest + held, ptr, fits);
        if (held + fits < 8)
            return;
        memcpy(&word, h->rest, sizeof(word));
        sip_word(h->state, le64toh(word));
        ptr += fits;
        len -= fits;
    }
    for (; len >= 8; ptr += 8, len -= 8) {
        memcpy(&word, ptr, sizeof(word));
        sip_word(h->state, le64toh(word));
    }
    memcpy(h->rest, ptr, len);
}

static void hash_u64(struct record_hash *h, uint64_t v)
{
    v = htole64(v);
    hash_bytes(h, (const char *)&v, sizeof(v));
}

void record_hash_init(struct record_hash *h, uint32_t op)
{
    /* SipHash's start values XOR the key "limpet records 1". The key is no secret: nobody gains by
     * making two calls look alike but the one who wrote both. */
    static const uint64_t key[2] = {0x72207465706d696cULL, 0x31207364726f6365ULL};
    *h = (struct record_hash){
        .state = {0x736f6d6570736575ULL ^ key[0], 0x646f72616e646f6dULL ^ key[1],
                  0x6c7967656e657261ULL ^ key[0], 0x7465646279746573ULL ^ key[1]}};
    hash_u64(h, op);
}

void record_hash_add(struct record_hash *h, struct slice argument)
{
    hash_u64(h, argument.len);
    if (argument.len)
        hash_bytes(h, argument.ptr, argument.len);
}

uint64_t record_hash_end(struct record_hash *h)
{
    uint64_t last = h->len << 56;
    for (size_t i = 0; i < (h->len & 7); i++)
        last |= (uint64_t)h->rest[i] << (8 * i);
    sip_word(h->state, last);
    h->state[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(h->state);
    return h->state[0] ^ h->state[1] ^ h->state[2] ^ h->state[3];
}
