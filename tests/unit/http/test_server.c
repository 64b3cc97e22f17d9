/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.x over real sockets: framing, limits, timeouts, back-pressure and the ways to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "rig.h"

/* One connection: say text, read to the end. */
static void talk(struct rig *r, const char *text, struct bytes *in)
{
    int fd = client_connect(r);
    bytes_clear(in);
    client_say(fd, text);
    (void)client_read_all(fd, in);
    close(fd);
}

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
    talk(&r,
         "GET http://other:81/headers?x=1 HTTP/1.1\r\nHost: a\r\nCoNNection: close, X-Hop\r\n"
         "X-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nX-Kept:  spaced out \t\r\nEmpty:\r\n\r\n",
         &in);
    assert_true(bytes_have(&in, "method=GET\ntarget=/headers?x=1\nauthority=other:81\nversion=11\n"
                                "length=-1\nhost: other:81\nx-kept: spaced out\nempty: \n"));
    assert_false(bytes_have(&in, "x-hop"));
    assert_false(bytes_have(&in, "keep-alive"));
    assert_false(bytes_have(&in, "\nte: "));

    talk(&r, "GET /headers HTTP/1.0\r\n\r\n", &in);
    assert_true(bytes_have(&in, "authority=\nversion=10\n"));
    assert_true(bytes_have(&in, "connection: close\r\n"));
    /* Naming Host or Content-Length in Connection does not remove them. */
    talk(&r, "GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close, host\r\n\r\n", &in);
    assert_true(bytes_have(&in, "host: a\n"));
    rig_stop(&r);
}

static void heads_and_old_clients(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    talk(&r,
         "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nHEAD /down HTTP/1.1\r\nHost: a\r\n\r\n"
         "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         &in);
    assert_int_equal(bytes_count(&in, "HTTP/1.1 200 OK\r\n"), 3);
    assert_int_equal(bytes_count(&in, "content-length: 5\r\n"), 2);
    assert_int_equal(bytes_count(&in, "hello"), 1);
    assert_false(bytes_have(&in, "xxxx"));

    talk(&r,
         "GET /status?n=204 HTTP/1.1\r\nHost: a\r\n\r\nGET /status?n=304 HTTP/1.1\r\nHost: "
         "a\r\nConnection: close\r\n\r\n",
         &in);
    assert_true(bytes_have(&in, "HTTP/1.1 204 No Content\r\n"));
    assert_true(bytes_have(&in, "HTTP/1.1 304 Not Modified\r\n"));
    assert_false(bytes_have(&in, "content-length"));

    /* HTTP/1.0: kept alive only when asked, and a body of unknown length ends with the connection.
     */
    talk(&r,
         "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /down?n=10 HTTP/1.0\r\n"
         "Connection: keep-alive\r\n\r\n",
         &in);
    assert_true(bytes_have(&in, "connection: keep-alive\r\n\r\nhelloHTTP/1.1 200"));
    assert_true(bytes_have(&in, "connection: close\r\n\r\nxxxxxxxxxx"));
    assert_false(bytes_have(&in, "chunked"));

    talk(&r, "GET /down?n=10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &in);
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
    talk(&r,
         "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
         "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         &in);
    assert_true(bytes_have(&in, "x-good: 1\r\n"));
    assert_false(bytes_have(&in, "x-injected"));
    assert_false(bytes_have(&in, "999"));
    assert_false(bytes_have(&in, "never"));
    assert_int_equal(bytes_count(&in, "connection: close"), 1);
    talk(&r, "GET /status?n=42 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &in);
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
        talk(&r, bytes_cstr(&text), &in);
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
    talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 414 "));

    bytes_clear(&text);
    bytes_append_cstr(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < LIMIT_HTTP_HEADERS; i++)
        bytes_append_cstr(&text, "a: b\r\n");
    bytes_append_cstr(&text, "\r\n");
    talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 431 "));

    bytes_clear(&text);
    bytes_append_cstr(&text, "GET / HTTP/1.1\r\nHost: a\r\nLarge: ");
    for (int i = 0; i < LIMIT_HTTP_HEAD_BYTES; i++)
        bytes_append_char(&text, 'a');
    bytes_append_cstr(&text, "\r\n\r\n");
    talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "HTTP/1.1 431 "));

    /* Just below the limit, in pieces as the kernel makes them. */
    bytes_clear(&text);
    bytes_append_cstr(&text, "GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLarge: ");
    while (text.len < LIMIT_HTTP_HEAD_BYTES - 100)
        bytes_append_char(&text, 'a');
    bytes_append_cstr(&text, "\r\n\r\n");
    talk(&r, bytes_cstr(&text), &in);
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

    talk(&r,
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
        talk(&r, bytes_cstr(&text), &in);
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

    talk(&r, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n", &in);
    assert_true(bytes_have(&in, "connection: close\r\n"));
    assert_true(bytes_have(&in, "ignored"));

    /* Without end: told to keep alive, but cut off. */
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    bytes_append_cstr(&text, "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                             "\r\n\r\n800000\r\n");
    for (int i = 0; i < 800000; i++)
        bytes_append_char(&text, 'x');
    talk(&r, bytes_cstr(&text), &in);
    assert_true(bytes_have(&in, "ignored"));
    rig_stop(&r);
}

static void slow_clients(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.head_timeout_ms = 30;
    r.config.idle_timeout_ms = 60;
    r.config.body_timeout_ms = 40;
    rig_start(&r);
    talk(&r, "GET / HTTP/1.1\r\nHost:", &in);
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    talk(&r, "P", &in); /* it could still be either protocol */
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    talk(&r, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", &in);
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    talk(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", &in);
    assert_true(bytes_have(&in, "2\r\nab\r\n"));
    assert_false(bytes_have(&in, "\r\n0\r\n\r\n"));
    rig_wait(&r, rig_broken, 2);
    /* Idle, new or after a request: closed without a word. */
    talk(&r, "", &in);
    assert_int_equal(in.len, 0);
    talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_int_equal(bytes_count(&in, "HTTP/1.1 "), 1);
    rig_stop(&r);
}

/* A byte now and then is progress, but not enough of it. */
static void trickling_client(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.body_timeout_ms = 1000;
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    struct pollfd has_answer = {.fd = fd, .events = POLLIN};
    for (int sent = 0; poll(&has_answer, 1, 20) == 0; sent++) {
        assert_true(sent < 1000); /* 50 a second: it would take 100 seconds */
        client_say(fd, "x");
    }
    (void)client_read_all(fd, &in);
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    close(fd);
    rig_stop(&r);
}

/* A client that does not read is given up when nothing moves any more. */
static void stuck_reader(void **state)
{
    struct rig r;
    rig_init(&r);
    r.config.body_timeout_ms = 40;
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "GET /down?n=1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait(&r, rig_broken, 1);
    close(fd);
    rig_stop(&r);
}

static bool rig_paused(const struct rig_counts *c, int n)
{
    return c->down_refused >= (uint64_t)n;
}

/* The handler is told to wait, and goes on when the client reads; no byte is lost. */
static void slow_reader(void **state)
{
    enum { TOTAL = 64 * 1024 * 1024 };
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    char text[128];
    snprintf(text, sizeof(text),
             "GET /down?n=%d HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: "
             "a\r\nConnection: close\r\n\r\n",
             TOTAL);
    client_say(fd, text);
    assert_true(client_read_all(fd, &in));
    close(fd);
    size_t count = 0;
    for (size_t i = 0; i < in.len; i++)
        count += in.ptr[i] == 'x';
    assert_int_equal(count, TOTAL + 2); /* and one in each "text/plain" */
    assert_true(bytes_have(&in, "\r\n0\r\n\r\nHTTP/1.1 200 OK"));
    assert_true(rig_paused(&(struct rig_counts){.down_refused = rig_counts(&r).down_refused}, 1));
    rig_stop(&r);
}

/* Sends until the socket takes no more for a while; how much went. */
static size_t send_until_stuck(int fd, const char *head)
{
    static char piece[64 * 1024];
    size_t sent = 0;
    client_say(fd, head);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    for (;;) {
        ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        struct pollfd p = {fd, POLLOUT, 0};
        if (n < 0 && errno != EAGAIN)
            return sent;
        if (poll(&p, 1, 300) == 0)
            return sent;
    }
}

/* A handler that does not consume stops the client; what is held does not pass the window. */
static void stalled_handler(void **state)
{
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    size_t sent = send_until_stuck(fd, "POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                       "1000000000\r\n\r\n");
    assert_true(sent < 100 * 1000 * 1000); /* what the kernel's buffers hold */
    struct rig_counts c = rig_counts(&r);
    assert_int_equal(c.live, 1);
    rig_stop(&r);
    assert_int_equal(r.counts.delivered_max, LIMIT_HTTP_BODY_WINDOW_BYTES);
    close(fd);

    /* Neither does input behind an unanswered request grow without bound. */
    rig_init(&r);
    rig_start(&r);
    fd = client_connect(&r);
    sent = send_until_stuck(fd, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(sent < 100 * 1000 * 1000);
    rig_stop(&r);
    close(fd);
}

struct pump {
    int fd;
    size_t total;
};

static void *pump_main(void *arg)
{
    struct pump *p = arg;
    static char piece[60 * 1000];
    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)(i * 7);
    char size[16];
    for (size_t left = p->total; left;) {
        size_t n = left < sizeof(piece) ? left : sizeof(piece);
        int len = snprintf(size, sizeof(size), "%zx\r\n", n);
        client_send(p->fd, (struct slice){size, (size_t)len});
        client_send(p->fd, (struct slice){piece, n});
        client_say(p->fd, "\r\n");
        left -= n;
    }
    client_say(p->fd, "0\r\n\r\n");
    return NULL;
}

/* Both ways at once, through the windows of both. */
static void echoes(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    struct pump p = {.fd = client_connect(&r), .total = 48 * 1000 * 1000};
    client_say(p.fd, "POST /echo HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    assert_true(client_read_all(p.fd, &in));
    close(p.fd);
    bytes_clear(&in);

    p.fd = client_connect(&r);
    client_say(p.fd, "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n");
    pthread_t thread;
    pthread_create(&thread, NULL, pump_main, &p);
    assert_true(client_read_all(p.fd, &in));
    pthread_join(thread, NULL);
    close(p.fd);
    assert_true(in.len > p.total);
    assert_memory_equal(in.ptr + in.len - 5, "0\r\n\r\n", 5);
    rig_wait(&r, rig_complete, 2);
    struct rig_counts c = rig_counts(&r);
    assert_int_equal(c.body_bytes, p.total);
    assert_true(c.delivered_max <= LIMIT_HTTP_BODY_WINDOW_BYTES);
    rig_stop(&r);
}

static void disconnects(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait(&r, rig_requests, 1);
    close(fd);
    rig_wait(&r, rig_broken, 1);

    fd = client_connect(&r);
    client_say(fd, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    rig_wait(&r, rig_requests, 2);
    close(fd);
    rig_wait(&r, rig_broken, 2);

    fd = client_connect(&r);
    client_say(fd, "GET /down?n=1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(fd, &in, "xxxx"));
    close(fd);
    rig_wait(&r, rig_broken, 3);
    rig_stop(&r);
}

/* A client that has said all it will say still gets its answers. */
static void half_close(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int fd = client_connect(&r);
    client_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /big?n=20000000 HTTP/1.1\r\nHost: "
                   "a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(client_read_all(fd, &in));
    close(fd);
    assert_int_equal(bytes_count(&in, "later"), 2);
    assert_true(in.len > 20000000);
    rig_wait(&r, rig_complete, 3);
    rig_stop(&r);
}

/* Whatever the handler breaks off or gets wrong, the client can tell. */
static void broken_answers(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    talk(&r, "GET /abort HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_int_equal(in.len, 0);
    talk(&r, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_false(bytes_have(&in, "0\r\n\r\n"));
    talk(&r, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_false(bytes_have(&in, "HTTP/1.1 200 OK\r\n\r\n"));
    talk(&r, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_false(bytes_have(&in, "12345"));
    rig_wait(&r, rig_broken, 4);
    int fd = client_connect(&r);
    bytes_clear(&in);
    client_say(fd, "GET /cut HTTP/1.0\r\n\r\n"); /* ends by close, so it must end with a reset */
    assert_false(client_read_all(fd, &in));
    close(fd);
    rig_stop(&r);
}

static void drains(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    rig_start(&r);
    int idle = client_connect(&r), busy = client_connect(&r);
    client_say(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(idle, &in, "hello"));
    client_say(busy, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    rig_wait(&r, rig_requests, 2);
    rig_drain(&r);
    bytes_clear(&in);
    assert_true(client_read_all(idle, &in));
    assert_int_equal(in.len, 0);
    assert_false(rig_counts(&r).is_drained);
    client_say(busy, "bc");
    assert_true(client_read_all(busy, &in));
    assert_true(bytes_have(&in, "connection: close\r\n\r\n3"));
    rig_wait(&r, rig_drained, 0);
    close(idle);
    close(busy);
    rig_stop(&r);
}

static void too_many_connections(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.connections_max = 1;
    rig_start(&r);
    int first = client_connect(&r);
    client_say(first, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(first, &in, "hello"));
    talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_true(bytes_have(&in, "HTTP/1.1 503 "));
    assert_true(bytes_have(&in, "retry-after: 1\r\n"));
    assert_int_equal(rig_counts(&r).requests, 1);
    bytes_clear(&in);
    client_say(first, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(client_expect(first, &in, "hello"));
    close(first);
    rig_stop(&r);
}

/* The server goes away with exchanges in all states. */
static void closes(void **state)
{
    static const char *const texts[] = {
        "GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        "GET /down?n=1000000000 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /big?n=90000000 HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\n",
    };
    struct rig r;
    rig_init(&r);
    rig_start(&r);
    int fds[ARRAY_LEN(texts)];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        fds[i] = client_connect(&r);
        client_say(fds[i], texts[i]);
    }
    rig_wait(&r, rig_requests, ARRAY_LEN(texts));
    rig_stop(&r);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        close(fds[i]);
}

/* A server that its own handler closes, from each callback. */
struct closer {
    struct loop loop;
    struct http_server *server;
    int when; /* 0: on_request, 1: on_body, 2: on_close */
    int closed;
};

static struct closer closer;

static void closer_go(int now)
{
    if (closer.when == now)
        http_server_close(closer.server);
}

static void closer_on_request(void *ctx, struct http_exchange *x)
{
    closer_go(0);
    http_body_start(x);
    if (closer.when == 2)
        http_respond(x, 200, NULL, 0, -1, SLICE_LIT("x"), true);
}

static void closer_on_body(struct http_exchange *x, struct slice data, bool is_end)
{
    closer_go(1);
    http_body_consumed(x, data.len);
}

static void closer_on_close(struct http_exchange *x, bool is_complete)
{
    closer.closed++;
    closer_go(2);
    loop_stop(&closer.loop);
}

static void closes_from_callbacks(void **state)
{
    const struct http_handler handler = {
        .on_request = closer_on_request, .on_body = closer_on_body, .on_close = closer_on_close};
    const struct http_server_config config = {.host = "127.0.0.1", .body_bytes_max = -1};
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
                                  "\0\0\6\1\4\0\0\0\1\x83\x86\x84\x41\1a"
                                  "\0\0\3\0\1\0\0\0\1abc";
    for (int i = 0; i < 6; i++) {
        struct rig r; /* only its port is used */
        memset(&closer, 0, sizeof(closer));
        closer.when = i / 2;
        loop_init(&closer.loop);
        assert_int_equal(http_server_new(&closer.loop, &config, &handler, &closer.server, NULL),
                         OK);
        r.port = http_server_port(closer.server);
        int fd = client_connect(&r), other = client_connect(&r);
        client_say(other, "POST / HT");
        if (i % 2)
            client_send(fd, (struct slice){preface, sizeof(preface) - 1});
        else
            client_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /");
        loop_run(&closer.loop);
        assert_int_equal(closer.closed, 1);
        loop_done(&closer.loop);
        close(fd);
        close(other);
    }
}

static void bad_addresses(void **state)
{
    struct loop loop;
    struct testbed bed;
    struct error error;
    struct http_server *s = NULL;
    loop_init(&loop);
    testbed_init(&bed, &loop);
    struct http_server_config config = {.host = "not-an-address"};
    assert_int_equal(http_server_new(&loop, &config, &bed.handler, &s, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "not-an-address"));
    config.host = "192.0.2.1"; /* not ours */
    assert_int_equal(http_server_new(&loop, &config, &bed.handler, &s, &error), ERR_IO);
    assert_null(s);
    config.host = "localhost";
    assert_int_equal(http_server_new(&loop, &config, &bed.handler, &s, &error), OK);
    assert_true(http_server_port(s) > 0);
    http_server_close(s);
    loop_done(&loop);
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
        cmocka_unit_test(slow_clients),
        cmocka_unit_test(trickling_client),
        cmocka_unit_test(stuck_reader),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(stalled_handler),
        cmocka_unit_test(echoes),
        cmocka_unit_test(disconnects),
        cmocka_unit_test(half_close),
        cmocka_unit_test(broken_answers),
        cmocka_unit_test(drains),
        cmocka_unit_test(too_many_connections),
        cmocka_unit_test(closes),
        cmocka_unit_test(closes_from_callbacks),
        cmocka_unit_test(bad_addresses),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/server", tests, NULL, NULL);
}
