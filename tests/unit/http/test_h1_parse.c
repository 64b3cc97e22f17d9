/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "http/h1_parse.h"

/* Parses all of text in pieces of the given size and writes down what came out. The text stays in
 * one place, as the bytes of a head must. */
static void transcribe(const char *text, size_t text_len, size_t piece, struct bytes *out)
{
    static struct h1_parser p;
    static struct h1_head head;
    const char *base = text, *end = text + text_len, *have = text;
    struct slice input = {text, 0};
    bool was_body = false;
    h1_parser_init(&p);
    for (;;) {
        enum h1_event e = h1_parse(&p, &head, base, &input);
        if (was_body && e != H1_BODY)
            bytes_append_char(out, '\n');
        switch (e) {
        case H1_MORE:
            was_body = false;
            if (have == end)
                return;
            have += (size_t)(end - have) < piece ? (size_t)(end - have) : piece;
            input.len = (size_t)(have - input.ptr);
            continue;
        case H1_HEAD:
            bytes_printf(out, "%s %.*s %d%s %lld%s\n", h1_method(&p), (int)head.target.len,
                         base + head.target.off, p.version, p.has_body ? " body" : "",
                         (long long)p.content_length, h1_keeps_alive(&p) ? "" : " close");
            for (uint32_t i = 0; i < head.lines_len; i++)
                bytes_printf(out, "%.*s=%.*s\n", (int)head.lines[i].name.len,
                             base + head.lines[i].name.off, (int)head.lines[i].value.len,
                             base + head.lines[i].value.off);
            if (!p.has_body)
                base = input.ptr;
            break;
        case H1_BODY:
            bytes_append_slice(out, p.body);
            break;
        case H1_END:
            bytes_append_cstr(out, ".\n");
            base = input.ptr;
            break;
        case H1_FAULT:
            bytes_printf(out, "fault %d\n", (int)p.fault);
            return;
        }
        was_body = false;
    }
}

/* The events are the same however the bytes are cut. */
static void expect(const char *text, size_t len, const char *events)
{
    for (size_t piece = 1; piece <= len; piece++) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        transcribe(text, len, piece, &out);
        assert_string_equal(bytes_cstr(&out), events);
    }
}

#define EXPECT(text, events) expect((text), sizeof(text) - 1, (events))

static void good_requests(void **state)
{
    (void)state;
    EXPECT("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 11 -1\nHost=a\n");
    EXPECT("\r\n\r\nGET /x?y=%20 HTTP/1.0\r\n\r\n", "GET /x?y=%20 10 -1 close\n");
    EXPECT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
           "GET / 10 -1\nConnection=keep-alive\n");
    EXPECT("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "GET / 11 -1 close\nConnection=close\n");
    EXPECT("OPTIONS * HTTP/1.1\r\nHost:a\r\nEmpty:\r\nSpaces: \t  \r\nLast:x\r\n\r\n",
           "OPTIONS * 11 -1\nHost=a\nEmpty=\nSpaces=\nLast=x\n");
    EXPECT("GET http://a:1/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a:1/b 11 -1\nHost=a\n");
    EXPECT("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
           "GET / 11 -1\nConnection=Upgrade\nUpgrade=x\nGET /2 11 -1\n");
}

static void bodies(void **state)
{
    (void)state;
    EXPECT("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n\r\n",
           "POST / 11 body 5\nContent-Length=5\nhello.\nGET /2 11 -1\n");
    EXPECT("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
           "POST / 11 0\nContent-Length=0\nGET /2 11 -1\n");
    EXPECT("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
           "POST / 11 body -1\nTransfer-Encoding=chunked\nhello world.\nGET /2 11 -1\n");
    /* Trailers are dropped. */
    EXPECT("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
           "1\r\na\r\n0\r\nX: y\r\nZ: z\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
           "POST / 11 body -1\nTransfer-Encoding=chunked\na.\nGET /2 11 -1\n");
    /* A GET may have a body. */
    EXPECT("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
           "GET / 11 body 1\nContent-Length=1\nx.\n");
}

/* What a body or head can hide a second request in. */
static void smuggling(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
        "POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\n Content-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nX:\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nX:\r\rY: z\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: nameless\r\n\r\n",
        "GET / HTTP/1.1\r\nX\x01: y\r\n\r\n",
        "GET / HTTP/1.1\r\nX: y\x01\r\n\r\n",
        "GET /\xff HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTX/1.1\r\n\r\n",
        "get / HTTP/1.1\r\n\r\n\x16",
        "\x16\x03\x01\x02\x01",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t piece = 1; piece <= strlen(texts[i]); piece++) {
            CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
            transcribe(texts[i], strlen(texts[i]), piece, &out);
            if (!strstr(bytes_cstr(&out), "fault "))
                fail_msg("%zu passed in pieces of %zu: %s", i, piece, bytes_cstr(&out));
        }
    EXPECT("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", "fault 0\n");
}

static void faults(void **state)
{
    (void)state;
    EXPECT("GET / HTTP/2.0\r\n\r\n", "fault 2\n");
    EXPECT("GET / HTTP/0.9\r\n\r\n", "fault 2\n");
    EXPECT("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "fault 0\n");
}

static void method_unknown(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    const char text[] = "BREW /pot HTTP/1.1\r\n\r\n";
    transcribe(text, strlen(text), sizeof(text), &out);
    assert_string_equal(bytes_cstr(&out), "fault 1\n");
}

static void limits(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    bytes_append_cstr(&text, "GET /");
    for (int i = 0; i < LIMIT_HTTP_TARGET_BYTES; i++)
        bytes_append_char(&text, 'x');
    bytes_append_cstr(&text, " HTTP/1.1\r\n\r\n");
    transcribe(text.ptr, text.len, 1000, &out);
    assert_string_equal(bytes_cstr(&out), "fault 4\n");

    bytes_clear(&text);
    bytes_clear(&out);
    bytes_append_cstr(&text, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < LIMIT_HTTP_HEADERS; i++)
        bytes_append_cstr(&text, "a: b\r\n");
    size_t fits = text.len;
    bytes_append_cstr(&text, "\r\n");
    transcribe(text.ptr, text.len, 7, &out);
    assert_memory_equal(out.ptr, "GET / 11 -1\na=b\n", 16);
    text.len = fits;
    bytes_clear(&out);
    bytes_append_cstr(&text, "a: b\r\n\r\n");
    transcribe(text.ptr, text.len, 7, &out);
    assert_string_equal(bytes_cstr(&out), "fault 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests), cmocka_unit_test(bodies), cmocka_unit_test(smuggling),
        cmocka_unit_test(faults),        cmocka_unit_test(limits), cmocka_unit_test(method_unknown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/h1_parse", tests, NULL, NULL);
}
