/* SPDX-License-Identifier: Apache-2.0
 *
 * Content codings. The first byte picks the codings, the second how much is given and read at a
 * time; the rest is the body. What comes out does not depend on how it was cut, memory is all given
 * back, and refused at any point leaves nothing behind. */
#include <string.h>

#include "base/bytes.h"
#include "http/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const codings[] = {"gzip",     "deflate",          "br",
                                      "zstd",     "gzip, gzip",       "deflate, zstd",
                                      "br, gzip", "zstd, br, deflate"};

enum { OUT_MAX = 1 << 20 };

static size_t memory, memory_max;

static bool take(void *arg, size_t len)
{
    (void)arg;
    if (memory + len > memory_max)
        return false;
    memory += len;
    return true;
}

static void give(void *arg, size_t len)
{
    (void)arg;
    CHECK(memory >= len);
    memory -= len;
}

static enum err run(const char *name, struct slice in, size_t step, size_t room, struct bytes *out)
{
    static char buffer[4096];
    const struct coding_memory accounts = {take, give, NULL};
    struct decode *d;
    struct error error;
    struct slice have = slice_of(in.ptr, 0);
    size_t given = 0, len = 0;
    bool is_over = false;
    enum err err = decode_new(slice_cstr(name), &accounts, &d, &error);
    if (err)
        return err;
    while (!err && !is_over && out->len < OUT_MAX) {
        err = decode_run(d, &have, given == in.len, buffer, room, &len, &is_over, &error);
        if (err)
            break;
        CHECK(len <= room && (len == room || have.len == 0));
        bytes_append(out, buffer, len);
        if (is_over || len == room)
            continue;
        CHECK(given < in.len);
        size_t more = in.len - given < step ? in.len - given : step;
        have = slice_of(in.ptr + given, more);
        given += more;
    }
    CHECK(err == OK || error.message[0]);
    decode_free(d);
    CHECK(memory == 0);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *name = codings[data[0] % ARRAY_LEN(codings)];
    struct slice in = slice_of((const char *)data + 2, size - 2);
    struct bytes whole = BYTES_INIT, cut = BYTES_INIT;
    memory_max = 64 << 20;
    enum err a = run(name, in, in.len + 1, 4096, &whole);
    enum err b = run(name, in, 1 + data[1] % 16, 1 + data[1], &cut);
    /* Inside of several, one coding may be over before the damage of the other is met. */
    CHECK(a == b || strchr(name, ','));
    if (!a && !b && whole.len < OUT_MAX && cut.len < OUT_MAX)
        CHECK(whole.len == cut.len &&
              memcmp(whole.ptr ? whole.ptr : "", cut.ptr ? cut.ptr : "", whole.len) == 0);
    bytes_clear(&cut);
    memory_max = (size_t)data[1] * 4096;
    (void)run(name, in, 100, 4096, &cut);
    bytes_done(&whole);
    bytes_done(&cut);
    return 0;
}
