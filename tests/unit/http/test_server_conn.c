/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of HTTP/1.x over real sockets: time-outs, back-pressure and the ways to end. */
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

static void slow_clients(void **state)
{
    struct rig r;
    CLEANUP(bytes_done) struct bytes in = BYTES_INIT;
    rig_init(&r);
    r.config.head_timeout_ms = 30;
    r.config.idle_timeout_ms = 60;
    r.config.body_timeout_ms = 40;
    rig_start(&r);
    client_talk(&r, "GET / HTTP/1.1\r\nHost:", &in);
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    client_talk(&r, "P", &in); /* it could still be either protocol */
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    client_talk(&r, "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", &in);
    assert_true(bytes_have(&in, "HTTP/1.1 408 "));
    client_talk(&r, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", &in);
    assert_true(bytes_have(&in, "2\r\nab\r\n"));
    assert_false(bytes_have(&in, "\r\n0\r\n\r\n"));
    rig_wait(&r, rig_broken, 2);
    /* Idle, new or after a request: closed without a word. */
    client_talk(&r, "", &in);
    assert_int_equal(in.len, 0);
    client_talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", &in);
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
    client_talk(&r, "GET /abort HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_int_equal(in.len, 0);
    client_talk(&r, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_false(bytes_have(&in, "0\r\n\r\n"));
    client_talk(&r, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n", &in);
    assert_false(bytes_have(&in, "HTTP/1.1 200 OK\r\n\r\n"));
    client_talk(&r, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n", &in);
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
    client_talk(&r, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", &in);
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
        cmocka_unit_test(slow_clients),          cmocka_unit_test(trickling_client),
        cmocka_unit_test(stuck_reader),          cmocka_unit_test(slow_reader),
        cmocka_unit_test(stalled_handler),       cmocka_unit_test(echoes),
        cmocka_unit_test(disconnects),           cmocka_unit_test(half_close),
        cmocka_unit_test(broken_answers),        cmocka_unit_test(drains),
        cmocka_unit_test(too_many_connections),  cmocka_unit_test(closes),
        cmocka_unit_test(closes_from_callbacks), cmocka_unit_test(bad_addresses),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http/server_conn", tests, NULL, NULL);
}
