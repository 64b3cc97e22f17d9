/* SPDX-License-Identifier: Apache-2.0
 *
 * One end of a WebSocket. The first byte: bit 0 a client's end, bits 1 and 2 compression and that it keeps its window, bit 3
 * memory is short; the second how much is fed at a time; the rest are bytes of the other side. What comes does not
 * depend on how it was cut, texts are UTF-8, messages are within their limit, one close or failure at most comes, and all
 * memory is given back. A server's end is fed frames made by a client's end of what is left, too, and gives them back. */
#include <string.h>

#include "base/bytes.h"
#include "websocket/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 1 << 16 };

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

struct heard {
    struct bytes all;
    int ends;
};

static void on_message(void *user, bool is_text, struct slice data)
{
    struct heard *h = user;
    CHECK(h->ends == 0 && data.len <= MESSAGE_MAX);
    CHECK(!is_text || slice_is_utf8(data));
    bytes_append_char(&h->all, is_text ? 't' : 'b');
    bytes_append_lstr(&h->all, data);
}

static void on_closed(void *user, uint16_t code, struct slice reason)
{
    struct heard *h = user;
    CHECK(++h->ends == 1 && slice_is_utf8(reason));
    CHECK(code == WEBSOCKET_NO_STATUS || websocket_code_is_valid(code));
    bytes_append_u32(&h->all, code);
    bytes_append_lstr(&h->all, reason);
}

static void on_failed(void *user, uint16_t code, const char *why)
{
    struct heard *h = user;
    CHECK(++h->ends == 1 && why[0] && websocket_code_is_valid(code));
    bytes_append_u32(&h->all, code);
}

static const struct websocket_events events = {on_message, on_closed, on_failed};

static void run(enum websocket_role role, const struct websocket_deflate *deflate, struct slice in,
                size_t step, struct heard *h)
{
    struct coding_memory accounts = {take, give, NULL, false};
    struct websocket *w = websocket_new(role, deflate, MESSAGE_MAX, &accounts, &events, h);
    while (in.len > 0) {
        size_t n = in.len < step ? in.len : step;
        websocket_feed(w, slice_of(in.ptr, n));
        in = slice_skip(in, n);
    }
    websocket_free(w);
    CHECK(memory == 0);
}

/* What one end sends the other gets. */
static void round_trip(const struct websocket_deflate *deflate, struct slice in)
{
    struct coding_memory accounts = {take, give, NULL, false};
    struct heard nothing = {0}, h = {0};
    CLEANUP(bytes_done) struct bytes expected = BYTES_INIT;
    struct websocket *w =
        websocket_new(WEBSOCKET_CLIENT, deflate, MESSAGE_MAX, &accounts, &events, &nothing);
    while (in.len > 0) {
        size_t len = 1 + ((uint8_t)in.ptr[0] * 37u) % 3000;
        struct slice piece = slice_of(in.ptr, in.len < len ? in.len : len);
        bool is_text = slice_is_utf8(piece);
        in = slice_skip(in, piece.len);
        CHECK(websocket_send(w, is_text, piece));
        bytes_append_char(&expected, is_text ? 't' : 'b');
        bytes_append_lstr(&expected, piece);
    }
    websocket_close(w, WEBSOCKET_NORMAL, SLICE_LIT("over"));
    run(WEBSOCKET_SERVER, deflate, bytes_slice(websocket_output(w)), 1000, &h);
    bytes_append_u32(&expected, WEBSOCKET_NORMAL);
    bytes_append_lstr(&expected, SLICE_LIT("over"));
    CHECK(h.ends == 1 && slice_eq(bytes_slice(&h.all), bytes_slice(&expected)));
    websocket_free(w);
    bytes_done(&h.all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole = {0}, cut = {0};
    if (size < 2)
        return 0;
    struct websocket_deflate deflate = {.is_on = data[0] & 2, .keeps_in = data[0] & 4};
    enum websocket_role role = data[0] & 1 ? WEBSOCKET_CLIENT : WEBSOCKET_SERVER;
    struct slice in = slice_of((const char *)data + 2, size - 2);
    memory_max = SIZE_MAX;
    round_trip(&deflate, in);
    memory_max = data[0] & 8 ? 60000 : SIZE_MAX;
    run(role, &deflate, in, SIZE_MAX, &whole);
    run(role, &deflate, in, 1 + data[1], &cut);
    CHECK(slice_eq(bytes_slice(&whole.all), bytes_slice(&cut.all)));
    bytes_done(&whole.all);
    bytes_done(&cut.all);
    return 0;
}
