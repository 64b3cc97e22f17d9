/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of RFC 6455, case by case: a server's end is given frames as a client may and may not send them, cut at
 * every byte; and both ends talk to each other, with compression and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/bytes.h"
#include "websocket/websocket.h"

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
    assert_true(memory >= len);
    memory -= len;
}

static struct coding_memory accounts = {take, give, NULL, false};

/* "T(hello)", "B(3)", "closed(1000,bye)", "failed(1002)" */
static void on_message(void *user, bool is_text, struct slice data)
{
    if (is_text && data.len < 100)
        bytes_printf(user, "T(%.*s)", SLICE_ARG(data));
    else
        bytes_printf(user, "%c(%zu)", is_text ? 'T' : 'B', data.len);
}

static void on_closed(void *user, uint16_t code, struct slice reason)
{
    bytes_printf(user, "closed(%u,%.*s)", code, SLICE_ARG(reason));
}

static void on_failed(void *user, uint16_t code, const char *why)
{
    assert_true(why[0] != '\0');
    bytes_printf(user, "failed(%u)", code);
}

static const struct websocket_events events = {on_message, on_closed, on_failed};
static const struct websocket_deflate plain, packed = {.is_on = true},
                                             keeping = {.is_on = true, .keeps_in = true};

enum { MESSAGE_MAX = 1 << 20 };

static struct websocket *end_new(enum websocket_role role, const struct websocket_deflate *d,
                                 struct bytes *heard)
{
    return websocket_new(role, d, MESSAGE_MAX, &accounts, &events, heard);
}

static void feed(struct websocket *w, struct slice in, size_t step)
{
    while (in.len > 0) {
        size_t n = in.len < step ? in.len : step;
        websocket_feed(w, slice_of(in.ptr, n));
        in = slice_skip(in, n);
    }
}

/* A client's frame: first byte, payload; masked with a key that is not zero. */
static void frame(struct bytes *out, unsigned first, struct slice payload)
{
    static const char key[] = {1, 2, 3, 4};
    bytes_append_char(out, (char)first);
    if (payload.len < 126) {
        bytes_append_char(out, (char)(0x80 | payload.len));
    } else {
        bytes_append_char(out, (char)(0x80 | 126));
        bytes_append_char(out, (char)(payload.len >> 8));
        bytes_append_char(out, (char)(payload.len & 0xff));
    }
    bytes_append(out, key, 4);
    for (size_t i = 0; i < payload.len; i++)
        bytes_append_char(out, payload.ptr[i] ^ key[i % 4]);
}

#define LIT(s) slice_of(s, sizeof(s) - 1)

/* Whatever way it is cut, the server's end hears this; and says that (its frames are not masked). */
static void expect(const struct websocket_deflate *d, struct bytes *in, const char *heard,
                   struct slice said)
{
    for (size_t step = 1; step <= in->len; step = step < 20 ? step + 1 : step * 2 + 1) {
        CLEANUP(bytes_done) struct bytes got = BYTES_INIT;
        memory_max = SIZE_MAX;
        struct websocket *w = end_new(WEBSOCKET_SERVER, d, &got);
        feed(w, bytes_slice(in), step);
        assert_string_equal(bytes_cstr(&got), heard);
        if (said.ptr) {
            assert_int_equal(websocket_output(w)->len, said.len);
            if (said.len)
                assert_memory_equal(websocket_output(w)->ptr, said.ptr, said.len);
        }
        websocket_free(w);
        assert_int_equal(memory, 0);
    }
    bytes_clear(in);
}

static const struct slice anything = {NULL, 0};

static void messages(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    frame(&in, 0x81, LIT("hello"));
    frame(&in, 0x82, LIT("\0\1\2"));
    frame(&in, 0x81, LIT(""));
    expect(&plain, &in, "T(hello)B(3)T()", LIT(""));

    frame(&in, 0x01, LIT("hel")); /* in parts, with a ping between them */
    frame(&in, 0x89, LIT("p"));
    frame(&in, 0x00, LIT(""));
    frame(&in, 0x80, LIT("lo"));
    expect(&plain, &in, "T(hello)", LIT("\x8a\x01p"));

    frame(&in, 0x01, LIT("\xe2\x82")); /* a character in two parts */
    frame(&in, 0x80, LIT("\xac"));
    expect(&plain, &in, "T(\xe2\x82\xac)", LIT(""));

    frame(&in, 0x8a, LIT("nobody asked"));
    frame(&in, 0x89, LIT(""));
    expect(&plain, &in, "", LIT("\x8a\x00"));
}

static void faults(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    static const unsigned reserved[] = {0x83, 0x87, 0x8b, 0x8f, 0xc1, 0xa1,
                                        0x91, 0x09, 0x08, 0x80, 0x00, 0xc9};
    for (size_t k = 0; k < sizeof(reserved) / sizeof(*reserved); k++) {
        frame(&in, reserved[k], LIT("x"));
        expect(&plain, &in, "failed(1002)", anything);
    }
    frame(&in, 0x01, LIT("a")); /* one inside of another */
    frame(&in, 0x81, LIT("b"));
    expect(&plain, &in, "failed(1002)", anything);

    bytes_append(&in, "\x81\x01x", 3); /* not masked */
    expect(&plain, &in, "failed(1002)", anything);

    char long_ping[126] = {0};
    frame(&in, 0x89, slice_of(long_ping, sizeof(long_ping)));
    expect(&plain, &in, "failed(1002)", anything);

    bytes_append(&in, "\x82\xff\x80\0\0\0\0\0\0\0\1\1\1\1", 14); /* a length of 64 bits */
    expect(&plain, &in, "failed(1002)", anything);
    bytes_append(&in, "\x82\xff\0\0\1\0\0\0\0\0\1\1\1\1x",
                 15); /* a length above the limit, at its first byte */
    expect(&plain, &in, "failed(1009)", anything);

    frame(&in, 0x81, LIT("\xff"));
    expect(&plain, &in, "failed(1007)", LIT("\x88\x17\x03\xefthe text is not UTF-8"));
    frame(&in, 0x81, LIT("\xed\xa0\x80")); /* a surrogate */
    expect(&plain, &in, "failed(1007)", anything);
    frame(&in, 0xc1, LIT("xx")); /* compressed, which was not agreed on */
    expect(&plain, &in, "failed(1002)", anything);
    frame(&in, 0xc1, LIT("\xff\xff\xff")); /* it was, but it is none */
    expect(&packed, &in, "failed(1007)", anything);
}

static void closes(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    frame(&in, 0x88,
          LIT("\x03\xe8"
              "bye"));
    frame(&in, 0x81, LIT("nobody hears"));
    expect(&plain, &in, "closed(1000,bye)", LIT(""));
    frame(&in, 0x88, LIT(""));
    expect(&plain, &in, "closed(1005,)", LIT(""));
    frame(&in, 0x88, LIT("\x0f\xa0"));
    expect(&plain, &in, "closed(4000,)", LIT(""));
    static const struct slice bad[] = {{"\x03", 1},     {"\x03\xec", 2}, {"\x03\xed", 2},
                                       {"\x03\xee", 2}, {"\x03\xf7", 2}, {"\x07\xd0", 2},
                                       {"\x00\x00", 2}, {"\x13\x88", 2}};
    for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
        frame(&in, 0x88, bad[k]);
        expect(&plain, &in, "failed(1002)", anything);
    }
    frame(&in, 0x88, LIT("\x03\xe8\xff"));
    expect(&plain, &in, "failed(1007)", anything);
}

/* Messages of many sizes from one end to the other, and a close either way. */
static void talk(const struct websocket_deflate *d, size_t step)
{
    CLEANUP(bytes_done)
    struct bytes at_server = BYTES_INIT, at_client = BYTES_INIT, text = BYTES_INIT,
                 expected = BYTES_INIT;
    struct websocket *s = end_new(WEBSOCKET_SERVER, d, &at_server),
                     *c = end_new(WEBSOCKET_CLIENT, d, &at_client);
    for (size_t len = 100; len < 200000; len *= 5) {
        while (text.len < len)
            bytes_printf(&text, "line %zu of a text that can be compressed; ", text.len);
        assert_true(websocket_send(c, true, bytes_slice(&text)));
        assert_true(websocket_send(s, false, bytes_slice(&text)));
        bytes_printf(&expected, "?(%zu)", text.len);
    }
    if (d->is_on)
        assert_true(websocket_output(c)->len < text.len);
    websocket_ping(s, LIT("still there"));
    websocket_close(c, 4321, LIT("enough"));
    assert_true(websocket_is_closing(c) && !websocket_is_closed(c));
    feed(s, bytes_slice(websocket_output(c)), step);
    websocket_close(s, 4321, LIT(""));
    assert_true(websocket_is_closed(s));
    feed(c, bytes_slice(websocket_output(s)), step);
    assert_true(websocket_is_closed(c));
    bytes_append_cstr(&expected, "closed(4321,enough)");
    for (size_t k = 0; k < at_server.len; k++)
        at_server.ptr[k] = at_server.ptr[k] == 'T' ? '?' : at_server.ptr[k];
    assert_string_equal(bytes_cstr(&at_server), bytes_cstr(&expected));
    assert_non_null(strstr(bytes_cstr(&at_client), "closed(4321,)"));
    websocket_free(s);
    websocket_free(c);
    assert_int_equal(memory, 0);
}

static void both_ends(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 4096, SIZE_MAX};
    memory_max = SIZE_MAX;
    for (size_t k = 0; k < 4; k++) {
        talk(&plain, steps[k]);
        talk(&packed, steps[k]);
        talk(&keeping, steps[k]);
        talk(&(struct websocket_deflate){.is_on = true, .window_out = 9}, steps[k]);
    }
}

/* A small frame may become much: no more than the limit is kept of it, nor than there is memory. */
static void bombs(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes heard = BYTES_INIT, zeros = BYTES_INIT;
    struct bytes unused = BYTES_INIT;
    bytes_reserve(&zeros, 4 * MESSAGE_MAX);
    memset(zeros.ptr, 0, 4 * MESSAGE_MAX);
    zeros.len = 4 * MESSAGE_MAX;
    memory_max = SIZE_MAX;
    struct websocket *c = end_new(WEBSOCKET_CLIENT, &packed, &unused),
                     *s = end_new(WEBSOCKET_SERVER, &packed, &heard);
    assert_true(websocket_send(c, false, bytes_slice(&zeros)));
    assert_true(websocket_output(c)->len < 64 * 1024);
    feed(s, bytes_slice(websocket_output(c)), SIZE_MAX);
    assert_string_equal(bytes_cstr(&heard), "failed(1009)");
    websocket_free(s);
    bytes_clear(&heard);
    memory_max = memory + 500 * 1024;
    s = end_new(WEBSOCKET_SERVER, &packed, &heard);
    bytes_clear(websocket_output(c));
    memory_max = SIZE_MAX;
    assert_true(websocket_send(c, false, slice_of(zeros.ptr, MESSAGE_MAX)));
    memory_max = memory + 500 * 1024;
    feed(s, bytes_slice(websocket_output(c)), SIZE_MAX);
    assert_string_equal(bytes_cstr(&heard), "failed(1009)");
    memory_max = memory + 1000;
    assert_false(websocket_send(c, false, bytes_slice(&zeros)));
    websocket_free(s);
    websocket_free(c);
    assert_int_equal(memory, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),  cmocka_unit_test(faults), cmocka_unit_test(closes),
        cmocka_unit_test(both_ends), cmocka_unit_test(bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
