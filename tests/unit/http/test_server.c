/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.x over real sockets: framing, and limits of what is sent. Connections: test_server_conn.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "rig.h"

static void hello(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    for (int i = 0; i < 3; i++) {
        bytes_clear(&in);
        client_say(fd, i == 1 ? "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                              : "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(client_expect(fd, &in, i == 1 ? "\r\n\r\nlater" : "\r\n\r\nhello"));
        assert_true(bytes_have(&in, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: "));
        assert_true(bytes_have(&in, " GMT\r\ncontent-length: 5\r\n\r\n"));
        assert_false(bytes_have(&in, "connection:"));
    }
    close(fd);
    rig_wait(&r, rig_complete, 3);
    rig_stop(&r);
}

/* Many requests in one write, some answered at once and some from the turn: answers in order. */
static void pipelining(void **state)
{
    enum { COUNT = 500 };
    struct rig r;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    for (int i = 0; i < COUNT; i++)
        bytes_printf(&out, "%s /%s HTTP/1.1\r\nHost: a\r\nX-Id: %d\r\n%s\r\n",
                     i % 3 ? "GET" : "POST", i % 7 == 2 ? "later" : "headers", i,
                     i % 3 ? "" : "Content-Length: 0\r\n");
    bytes_append_cstr(&out, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client_send(fd, bytes_slice(&out));
    assert_true(client_read_all(fd, &in));
    close(fd);
    const char *at = bytes_cstr(&in);
    for (int i = 0; i < COUNT; i++) {
        char mark[32];
        snprintf(mark, sizeof(mark), "x-id: %d\n", i);
        at = strstr(at, i % 7 == 2 ? "\r\n\r\nlater" : mark);
        assert_non_null(at);
        at += 4;
    }
    assert_int_equal(bytes_count(&in, "HTTP/1.1 200 OK\r\n"), COUNT + 1);
    assert_true(bytes_have(&in, "\r\nconnection: close\r\n"));
    rig_wait(&r, rig_complete, COUNT + 1);
    rig_stop(&r);
}

static void byte_by_byte(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    const char text[] = "POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
                        "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "2\r\nxy\r\n3\r\nzab\r\n0\r\nTrailer: 1\r\n\r\n"
                        "GET /headers HTTP/1.1\r\nHost: end\r\nConnection: close\r\n\r\n";
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        client_send(fd, (struct slice){text + i, 1});
    assert_true(client_read_all(fd, &in));
    close(fd);
    assert_true(bytes_have(&in, "\r\n\r\nabcdeHTTP/1.1 200"));
    assert_true(bytes_have(&in, "\r\n\r\nxyzabHTTP/1.1 200"));
    assert_true(bytes_have(&in, "authority=end\n"));
    rig_stop(&r);
}

static void requests_as_seen(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    client_talk(
        &r,
        "GET http://other:81/headers?x=1 HTTP/1.1\r\nHost: a\r\nCoNNection: close, X-Hop\r\n"
        "X-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nX-Kept:  spaced out \t\r\nEmpty:\r\n\r\n",
        &in);
    assert_true(bytes_have(&in, "method=GET\ntarget=/headers?x=1\nauthority=other:81\nversion=11\n"
                                "length=-1\nhost: other:81\nx-kept: spaced out\nempty: \n"));
    assert_false(bytes_have(&in, "x-hop"));
    assert_false(bytes_have(&in, "keep-alive"));
    assert_false(bytes_have(&in, "\nte: "));

    client_talk(&r, "GET /headers HTTP/1.0\r\n\r\n", &in);
    assert_true(bytes_have(&in, "authority=\nversion=10\n"));
    assert_true(bytes_have(&in, "connection: close\r\n"));
    /* Naming Host or Content-Length in Connection does not remove them. */
    client_talk(&r, "GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close, host\r\n\r\n", &in);
    assert_true(bytes_have(&in, "host: a\n"));
    rig_stop(&r);
}

static void heads_and_old_clients(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    client_talk(&r,
                "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nHEAD /down HTTP/1.1\r\nHost: a\r\n\r\n"
                "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                &in);
    assert_int_equal(bytes_count(&in, "HTTP/1.1 200 OK\r\n"), 3);
    assert_int_equal(bytes_count(&in, "content-length: 5\r\n"), 2);
    assert_int_equal(bytes_count(&in, "hello"), 1);
    assert_false(bytes_have(&in, "xxxx"));

    client_talk(&r,
                "GET /status?n=204 HTTP/1.1\r\nHost: a\r\n\r\nGET /status?n=304 HTTP/1.1\r\nHost: "
                "a\r\nConnection: close\r\n\r\n",
                &in);
    assert_true(bytes_have(&in, "HTTP/1.1 204 No Content\r\n"));
    assert_true(bytes_have(&in, "HTTP/1.1 304 Not Modified\r\n"));
    assert_false(bytes_have(&in, "content-length"));

    /* HTTP/1.0: kept alive only when asked, and a body of unknown length ends with the connection.
     */
    client_talk(&r,
                "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /down?n=10 HTTP/1.0\r\n"
                "Connection: keep-alive\r\n\r\n",
                &in);
    assert_true(bytes_have(&in, "connection: keep-alive\r\n\r\nhelloHTTP/1.1 200"));
    assert_true(bytes_have(&in, "connection: close\r\n\r\nxxxxxxxxxx"));
    assert_false(bytes_have(&in, "chunked"));

    client_talk(&r, "GET /down?n=10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &in);
    assert_true(bytes_have(&in, "transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
                                "a\r\nxxxxxxxxxx\r\n0\r\n\r\n"));
    rig_stop(&r);
}

static void answers_cannot_be_split(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    client_talk(&r,
                "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
                "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                &in);
    assert_true(bytes_have(&in, "x-good: 1\r\n"));
    assert_false(bytes_have(&in, "x-injected"));
    assert_false(bytes_have(&in, "999"));
    assert_false(bytes_have(&in, "never"));
    assert_int_equal(bytes_count(&in, "connection: close"), 1);
    client_talk(&r, "GET /status?n=42 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &in);
    assert_true(bytes_have(&in, "HTTP/1.1 500 "));
    rig_stop(&r);
}

/* The connection is answered and ended, and the handler never hears of it. */
static void refusals(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
        {"POST /sink HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         501},
        {"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
        {"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         400},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"POST /sink HTTP/1.1\r\nHost: a\r\nExpect: cake\r\nContent-Length: 1\r\n\r\n", 417},
        {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505},
        {"\x16\x03\x01\x02\x01\x01\x01\x01", 400},
        {"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413},
    };
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.body_bytes_max = 1000;
    rig_start(&r);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[32];
        snprintf(line, sizeof(line), "HTTP/1.1 %d ", cases[i].status);
        /* What follows a refused request must not be taken for another one. */
        CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
        bytes_append_cstr(&text, cases[i].text);
        bytes_append_cstr(&text, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        client_talk(&r, bytes_cstr(&text), &in);
        if (in.len < 13 || memcmp(in.ptr, line, 13) != 0)
            fail_msg("%s\n---\n%s", cases[i].text, bytes_cstr(&in));
        assert_int_equal(bytes_count(&in, "\r\ncontent-length: "), 1);
        assert_true(bytes_have(&in, "connection: close\r\n\r\n{\"error\":{\"code\":\""));
    }
    assert_int_equal(rig_counts(&r).requests, 0);
    rig_stop(&r);
}

static void heads_too_large(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    bytes_append_cstr(&text, "GET /");
    for (int i = 0; i < LIMIT_HTTP_TARGET_BYTES; i++)
        bytes_append_char(&text, 'a');
    client_talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 414 "));

    bytes_clear(&text);
    bytes_append_cstr(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < LIMIT_HTTP_HEADERS; i++)
        bytes_append_cstr(&text, "a: b\r\n");
    bytes_append_cstr(&text, "\r\n");
    client_talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 431 "));

    bytes_clear(&text);
    bytes_append_cstr(&text, "GET / HTTP/1.1\r\nHost: a\r\nLarge: ");
    for (int i = 0; i < LIMIT_HTTP_HEAD_BYTES; i++)
        bytes_append_char(&text, 'a');
    bytes_append_cstr(&text, "\r\n\r\n");
    client_talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 431 "));

    /* Just below the limit, in pieces as the kernel makes them. */
    bytes_clear(&text);
    bytes_append_cstr(&text, "GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLarge: ");
    while (text.len < LIMIT_HTTP_HEAD_BYTES - 100)
        bytes_append_char(&text, 'a');
    bytes_append_cstr(&text, "\r\n\r\n");
    client_talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 200 "));
    assert_int_equal(rig_counts(&r).requests, 1);
    rig_stop(&r);
}

static void chunked_body_too_large(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.body_bytes_max = 10;
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345"
                   "\r\n");
    rig_wait(&r, rig_requests, 1);
    client_say(fd, "6\r\n123456\r\n");
    (void)client_read_all(fd, &in);
    close(fd);
    assert_true(bytes_have(&in, "HTTP/1.1 413 "));
    rig_wait(&r, rig_broken, 1);

    client_talk(&r,
                "POST /sink HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: "
                "chunked\r\n\r\n5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n",
                &in);
    assert_true(bytes_have(&in, "\r\n\r\n10"));
    rig_stop(&r);
}

/* Chunk extensions and trailers are bounded, although no body limit counts them. */
static void framing_flood(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    for (int kind = 0; kind < 2; kind++) {
        bytes_clear(&text);
        bytes_append_cstr(&text, "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                                 "\r\n\r\n1\r\nx\r\n");
        bytes_append_cstr(&text, kind ? "0\r\n" : "1;");
        while (text.len < 4 * LIMIT_HTTP_HEAD_BYTES)
            bytes_append_cstr(&text, kind ? "Trailer: value\r\n" : "extension=value;");
        client_talk(&r, bytes_cstr(&text), &in);
        assert_true(bytes_have(&in, "HTTP/1.1 400 "));
    }
    rig_stop(&r);
}

static void expectations(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "POST /sink HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: "
                   "3\r\n\r\n");
    assert_true(client_expect(fd, &in, "HTTP/1.1 100 Continue\r\n\r\n"));
    client_say(fd, "abc");
    assert_true(client_expect(fd, &in, "\r\n\r\n3"));
    /* Nobody wants this one's body: the answer is final, and the connection cannot be kept. */
    bytes_clear(&in);
    client_say(fd, "POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
                   "3\r\n\r\n");
    assert_true(client_read_all(fd, &in) || true);
    assert_true(bytes_have(&in, "HTTP/1.1 200 OK\r\n"));
    assert_true(bytes_have(&in, "connection: close\r\n"));
    assert_false(bytes_have(&in, "100 Continue"));
    close(fd);
    rig_stop(&r);
}

/* An answer before its request is complete: a small rest is read, a large one ends the connection.
 */
static void unread_bodies(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_true(client_expect(fd, &in, "ignored"));
    client_say(fd, "0123456789POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                   "\r\n\r\n5\r\n");
    bytes_clear(&in);
    assert_true(client_expect(fd, &in, "ignored"));
    client_say(fd, "12345\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(fd, &in, "hello"));
    close(fd);

    client_talk(&r, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n", &in);
    assert_true(bytes_have(&in, "connection: close\r\n"));
    assert_true(bytes_have(&in, "ignored"));

    /* Without end: told to keep alive, but cut off. */
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                             "\r\n\r\n800000\r\n");
    for (int i = 0; i < 800000; i++)
        bytes_append_char(&text, 'x');
    client_talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "ignored"));
    rig_stop(&r);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),
        cmocka_unit_test(pipelining),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(requests_as_seen),
        cmocka_unit_test(heads_and_old_clients),
        cmocka_unit_test(answers_cannot_be_split),
        cmocka_unit_test(refusals),
        cmocka_unit_test(heads_too_large),
        cmocka_unit_test(chunked_body_too_large),
        cmocka_unit_test(framing_flood),
        cmocka_unit_test(expectations),
        cmocka_unit_test(unread_bodies),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/server", tests, NULL, NULL);
}
