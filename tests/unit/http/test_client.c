/* SPDX-License-Identifier: Apache-2.0
 *
 * The client against a small blocking HTTP/1.1 server on threads of its own, which does what its
 * paths say, the bad things too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "http/client.h"
#include "http/egress.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum { CONNECTIONS_MAX = 256 };

struct server {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    int fds[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    int connections;
};

struct peer {
    int fd;
    char buffer[65536];
    size_t len;
};

struct request {
    char method[32], path[256], head[32768];
    struct bytes body;
    bool is_chunked;
};

static struct server server, other;

static bool peer_fill(struct peer *p)
{
    if (p->len == sizeof(p->buffer) - 1)
        return false;
    ssize_t n = recv(p->fd, p->buffer + p->len, sizeof(p->buffer) - 1 - p->len, 0);
    if (n <= 0)
        return false;
    p->len += (size_t)n;
    p->buffer[p->len] = 0;
    return true;
}

static void peer_drop(struct peer *p, size_t n)
{
    p->len -= n;
    memmove(p->buffer, p->buffer + n, p->len + 1);
}

static bool peer_take(struct peer *p, struct bytes *out, size_t n)
{
    while (n) {
        if (!p->len && !peer_fill(p))
            return false;
        size_t len = p->len < n ? p->len : n;
        bytes_append(out, p->buffer, len);
        peer_drop(p, len);
        n -= len;
    }
    return true;
}

/* A line without its end, in *out. */
static bool peer_line(struct peer *p, char *out, size_t size)
{
    char *end;
    p->buffer[p->len] = 0;
    while (!(end = strstr(p->buffer, "\r\n"))) {
        if (!peer_fill(p))
            return false;
    }
    (void)snprintf(out, size, "%.*s", (int)(end - p->buffer), p->buffer);
    peer_drop(p, (size_t)(end - p->buffer) + 2);
    return true;
}

static bool peer_request(struct peer *p, struct request *r)
{
    char line[16384];
    size_t head = 0, length = 0;
    *r = (struct request){0};
    if (!peer_line(p, line, sizeof(line)) || sscanf(line, "%31s %255s", r->method, r->path) != 2)
        return false;
    for (;;) {
        if (!peer_line(p, line, sizeof(line)))
            return false;
        if (!line[0])
            break;
        head += (size_t)snprintf(r->head + head, sizeof(r->head) - head, "%s\n", line);
        if (strncasecmp(line, "content-length:", 15) == 0)
            length = strtoul(line + 15, NULL, 10);
        if (strcasecmp(line, "transfer-encoding: chunked") == 0)
            r->is_chunked = true;
    }
    if (strncmp(r->path, "/early", 6) == 0)
        return true; /* answers before it reads the body */
    if (!r->is_chunked)
        return peer_take(p, &r->body, length);
    do {
        if (!peer_line(p, line, sizeof(line)))
            return false;
        length = strtoul(line, NULL, 16);
        if (!peer_take(p, &r->body, length) || !peer_line(p, line, sizeof(line)))
            return false;
    } while (length);
    return true;
}

static bool peer_send(struct peer *p, const void *data, size_t len)
{
    while (len) {
        ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data = (const char *)data + n;
        len -= (size_t)n;
    }
    return true;
}

static bool peer_say(struct peer *p, const char *text)
{
    return peer_send(p, text, strlen(text));
}

PRINTF_LIKE(3, 4)
static bool peer_answer(struct peer *p, const char *headers, const char *format, ...)
{
    struct bytes body = BYTES_INIT, out = BYTES_INIT;
    va_list args;
    va_start(args, format);
    bytes_vprintf(&body, format, args);
    va_end(args);
    bytes_printf(&out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", headers, body.len);
    bytes_append_slice(&out, bytes_slice(&body));
    bool is_ok = peer_send(p, out.ptr, out.len);
    bytes_done(&body);
    bytes_done(&out);
    return is_ok;
}

static bool peer_redirect(struct peer *p, int status, const char *to)
{
    char headers[512];
    (void)snprintf(headers, sizeof(headers), "%d Moved\r\nLocation: %s", status, to);
    return peer_answer(p, headers, "moved");
}

static const char gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x57\x48"
                           "\xaf\xca\x2c\x50\xc8\x18\x6e"
                           "\x4c\x00\xd9\x94\xfb\xac\xdc\x00\x00\x00";

/* False closes the connection. */
/* Closing with unread bytes would reset the connection, and the answer could be lost with it. */
static bool peer_linger(struct peer *p)
{
    char rest[4096];
    (void)shutdown(p->fd, SHUT_WR);
    while (read(p->fd, rest, sizeof(rest)) > 0)
        ;
    return false;
}

static bool serve_one(struct peer *p, struct request *r)
{
    char text[512];
    int a, b;
    if (strcmp(r->path, "/hello") == 0)
        return peer_answer(p, "200 Fine Indeed\r\nX-One:  1 \r\nSet-Cookie: a=1\r\nSet-Cookie: b=2",
                           "hello");
    if (strncmp(r->path, "/echo", 5) == 0)
        return peer_answer(p, "200 OK", "%s %s\n%s\n%.*s", r->method, r->path, r->head,
                           SLICE_ARG(bytes_slice(&r->body)));
    if (sscanf(r->path, "/redirect/%d/%d", &a, &b) == 2) {
        (void)snprintf(text, sizeof(text), "/redirect/%d/%d", a, b - 1);
        return peer_redirect(p, a, b > 1 ? text : "../../echo?to#there");
    }
    if (sscanf(r->path, "/across/%d", &a) == 1) {
        (void)snprintf(text, sizeof(text), "http://127.0.0.1:%d/echo", other.port);
        return peer_redirect(p, a, text);
    }
    if (strncmp(r->path, "/to?", 4) == 0)
        return peer_redirect(p, 302, r->path + 4);
    if (strcmp(r->path, "/gzip") == 0) {
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "
                       "%zu\r\n\r\n",
                       sizeof(gzip) - 1);
        return peer_say(p, text) && peer_send(p, gzip, sizeof(gzip) - 1);
    }
    if (sscanf(r->path, "/big/%d", &a) == 1) {
        char *data = malloc((size_t)a);
        for (int i = 0; i < a; i++)
            data[i] = (char)(i * 7 + i / 4096);
        (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", a);
        bool is_ok = peer_say(p, text) && peer_send(p, data, (size_t)a);
        free(data);
        return is_ok;
    }
    if (strcmp(r->path, "/sum") == 0) {
        uint32_t sum = 0;
        for (size_t i = 0; i < r->body.len; i++)
            sum = sum * 31 + (unsigned char)r->body.ptr[i];
        return peer_answer(p, "200 OK", "%zu %u %d", r->body.len, sum, r->is_chunked);
    }
    if (strcmp(r->path, "/never") == 0) {
        (void)peer_fill(p);
        return false;
    }
    if (strcmp(r->path, "/half") == 0) {
        (void)peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        return false;
    }
    if (strcmp(r->path, "/drip") == 0) {
        (void)peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        (void)peer_fill(p);
        return false;
    }
    if (strcmp(r->path, "/close") == 0)
        return false;
    if (strcmp(r->path, "/hints") == 0)
        return peer_say(p, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") &&
               peer_answer(p, "200 OK", "final");
    if (strcmp(r->path, "/chunked") == 0)
        return peer_say(
            p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n"
               "2\r\nde\r\n0\r\nT: 1\r\n\r\n");
    if (strcmp(r->path, "/folded") == 0)
        return peer_say(p, "HTTP/1.1 200 OK\r\nX-Long: one\r\n   two\r\nContent-Length: 0\r\n\r\n");
    if (strcmp(r->path, "/garbage") == 0) {
        (void)peer_say(p, "SMTP ready\r\n\r\n");
        return false;
    }
    if (strcmp(r->path, "/switch") == 0)
        return peer_say(p, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    if (strcmp(r->path, "/bighead") == 0 || strcmp(r->path, "/manyheaders") == 0) {
        bool is_ok = peer_say(p, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; is_ok && i < 300; i++) {
            int pad = strcmp(r->path, "/bighead") == 0 ? 400 : 1;
            (void)snprintf(text, sizeof(text), "X-%d: %0*d\r\n", i, pad, 1);
            is_ok = peer_say(p, text);
        }
        return is_ok && peer_say(p, "Content-Length: 0\r\n\r\n");
    }
    if (strcmp(r->path, "/early") == 0) {
        (void)peer_say(p, "HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        while (p->len = 0, peer_fill(p))
            ;
        return false;
    }
    if (strncmp(r->path, "/early-redirect/", 16) == 0)
        return peer_redirect(p, atoi(r->path + 16), "/echo") && peer_linger(p);
    return peer_answer(p, "404 Not Found", "%s", "");
}

static void *serve_connection(void *arg)
{
    struct peer *p = arg;
    struct request *r = calloc(1, sizeof(*r));
    bool goes_on;
    goes_on = peer_fill(p) && p->buffer[0] != 0x16; /* no TLS here */
    while (goes_on && peer_request(p, r)) {
        goes_on = serve_one(p, r);
        bytes_done(&r->body);
    }
    bytes_done(&r->body);
    (void)shutdown(p->fd, SHUT_RDWR);
    free(r);
    free(p);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct peer *p = calloc(1, sizeof(*p));
        p->fd = fd;
        pthread_mutex_lock(&s->lock);
        assert_true(s->connections < CONNECTIONS_MAX);
        s->fds[s->connections] = fd;
        assert_int_equal(pthread_create(&s->threads[s->connections++], NULL, serve_connection, p),
                         0);
        pthread_mutex_unlock(&s->lock);
    }
}

static int server_connections(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    int n = s->connections;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void server_start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    *s = (struct server){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_mutex_init(&s->lock, NULL);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(s->fd, 100), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (int i = 0; i < s->connections; i++)
        (void)shutdown(s->fds[i], SHUT_RDWR);
    for (int i = 0; i < s->connections; i++) {
        pthread_join(s->threads[i], NULL);
        close(s->fds[i]);
    }
    close(s->fd);
}

/* One fetch under test. */
struct call {
    struct http_fetch fetch;
    struct loop *loop;
    char url[300];
    struct bytes body, final_url, status_text, headers;
    struct error error;
    int heads, dones, drains, pauses;
    bool is_paused, pauses_each;
    bool stops_loop;
    struct timer resume;
    struct bytes upload;
    size_t upload_at, upload_chunk;
    bool cancels_on_head;
    int *left;
};

struct world {
    struct loop loop;
    struct http_client *client;
    struct egress *egress;
};

static void on_head(struct http_fetch *f)
{
    struct call *c = container_of(f, struct call, fetch);
    assert_int_equal(c->heads++, 0);
    bytes_append_slice(&c->final_url, bytes_slice(&f->final_url));
    bytes_append_slice(&c->status_text, bytes_slice(&f->status_text));
    for (size_t i = 0; i < f->ret_headers_len; i++)
        bytes_printf(&c->headers, "%.*s=%.*s\n", SLICE_ARG(f->ret_headers[i].name),
                     SLICE_ARG(f->ret_headers[i].value));
    if (c->cancels_on_head)
        http_fetch_cancel(f);
}

static void on_resume(struct timer *t)
{
    struct call *c = container_of(t, struct call, resume);
    c->is_paused = false;
    http_fetch_resume(&c->fetch);
}

static bool on_body(struct http_fetch *f, struct slice data)
{
    struct call *c = container_of(f, struct call, fetch);
    assert_int_equal(c->heads, 1);
    assert_false(c->is_paused);
    assert_false(c->cancels_on_head);
    bytes_append_slice(&c->body, data);
    if (!c->pauses_each)
        return true;
    c->pauses++;
    c->is_paused = true;
    if (c->pauses % 3 == 0)
        on_resume(&c->resume); /* from inside */
    else
        timer_start(c->loop, &c->resume, c->pauses % 2, on_resume);
    return false;
}

static void upload_more(struct call *c)
{
    while (c->upload_at < c->upload.len) {
        size_t n = c->upload.len - c->upload_at;
        if (n > c->upload_chunk)
            n = c->upload_chunk;
        c->upload_at += n;
        bool is_end = c->upload_at == c->upload.len;
        if (!http_fetch_write(&c->fetch, slice_of(c->upload.ptr + c->upload_at - n, n), is_end))
            return;
    }
}

static void on_drain(struct http_fetch *f)
{
    struct call *c = container_of(f, struct call, fetch);
    c->drains++;
    upload_more(c);
}

static void on_done(struct http_fetch *f, const struct error *error)
{
    struct call *c = container_of(f, struct call, fetch);
    assert_int_equal(c->dones++, 0);
    c->error = *error;
    if (c->is_paused)
        timer_stop(c->loop, &c->resume);
    if (!c->left || --*c->left == 0)
        loop_stop(c->loop);
}

PRINTF_LIKE(2, 3) static struct call *call_new(struct world *w, const char *format, ...)
{
    struct call *c = calloc(1, sizeof(*c));
    va_list args;
    va_start(args, format);
    char text[256];
    (void)vsnprintf(text, sizeof(text), format, args);
    if (text[0] == '/')
        (void)snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%d%s", server.port, text);
    else
        (void)snprintf(c->url, sizeof(c->url), "%s", text);
    va_end(args);
    c->loop = &w->loop;
    c->fetch = (struct http_fetch){.method = SLICE_LIT("GET"),
                                   .url = slice_cstr(c->url),
                                   .egress = w->egress,
                                   .on_head = on_head,
                                   .on_body = on_body,
                                   .on_drain = on_drain,
                                   .on_done = on_done};
    return c;
}

static enum err call_run(struct world *w, struct call *c)
{
    struct error error = {0};
    enum err err = http_fetch_start(w->client, &c->fetch, &error);
    if (err)
        fail_msg("%s: %s", c->url, error.message);
    assert_int_equal(c->heads + c->dones, 0);
    upload_more(c);
    loop_run(&w->loop);
    assert_int_equal(c->dones, 1);
    return c->error.code;
}

static void call_free(struct call *c)
{
    bytes_done(&c->body);
    bytes_done(&c->final_url);
    bytes_done(&c->status_text);
    bytes_done(&c->headers);
    bytes_done(&c->upload);
    free(c);
}

static void expect_ok(struct call *c, const char *body)
{
    if (c->error.code)
        fail_msg("%s: %s", c->url, c->error.message);
    assert_int_equal(c->heads, 1);
    if (body)
        assert_string_equal(bytes_cstr(&c->body), body);
}

static void expect_failure(struct world *w, enum err code, const char *text, struct call *c)
{
    if (call_run(w, c) != code || !strstr(c->error.message, text))
        fail_msg("%s: %s: %s", c->url, error_text(c->error.code), c->error.message);
    call_free(c);
}

static int up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char rule[64];
    server_start(&server);
    server_start(&other);
    loop_init(&w->loop);
    assert_int_equal(http_client_new(&w->loop, &w->client, NULL), OK);
    w->egress = egress_new();
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%d", server.port);
    assert_int_equal(egress_allow(w->egress, slice_cstr(rule), NULL), OK);
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%d", other.port);
    assert_int_equal(egress_allow(w->egress, slice_cstr(rule), NULL), OK);
    *state = w;
    return 0;
}

static int down(void **state)
{
    struct world *w = *state;
    http_client_free(w->client);
    loop_done(&w->loop);
    egress_free(w->egress);
    free(w);
    server_stop(&server);
    server_stop(&other);
    return 0;
}

static void gives_status_headers_and_body(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/hello#frag");
    call_run(w, c);
    expect_ok(c, "hello");
    assert_int_equal(c->fetch.status, 200);
    assert_string_equal(bytes_cstr(&c->status_text), "Fine Indeed");
    assert_string_equal(bytes_cstr(&c->headers),
                        "x-one=1\nset-cookie=a=1\nset-cookie=b=2\ncontent-length=5\n");
    assert_true(slice_ends(bytes_slice(&c->final_url), SLICE_LIT("/hello")));
    assert_false(c->fetch.was_redirected);
    call_free(c);
}

static void sends_method_headers_and_body(void **state)
{
    struct world *w = *state;
    static const struct http_header headers[] = {{SLICE_LIT("x-a"), SLICE_LIT(" one ")},
                                                 {SLICE_LIT("x-empty"), SLICE_LIT("")},
                                                 {SLICE_LIT("host"), SLICE_LIT("evil")},
                                                 {SLICE_LIT("content-length"), SLICE_LIT("999")},
                                                 {SLICE_LIT("connection"), SLICE_LIT("close")},
                                                 {SLICE_LIT("content-type"), SLICE_LIT("text/x")}};
    struct call *c = call_new(w, "/echo");
    c->fetch.method = SLICE_LIT("patch");
    c->fetch.headers = headers;
    c->fetch.headers_len = 6;
    c->fetch.body = slice_of("bo\0dy", 5);
    call_run(w, c);
    expect_ok(c, NULL);
    char want[512];
    (void)snprintf(
        want, sizeof(want),
        "patch /echo\nHost: 127.0.0.1:%d\nAccept: */*\nAccept-Encoding: deflate, gzip, br, zstd\n"
        "x-a: one\nx-empty:\ncontent-type: text/x\nUser-Agent: Limpet/" LIMPET_VERSION
        "\nContent-Length: 5\n\nbo",
        server.port);
    assert_string_equal(bytes_cstr(&c->body), want);
    call_free(c);
    c = call_new(w, "/echo");
    c->fetch.method = SLICE_LIT("post");
    call_run(w, c);
    expect_ok(c, NULL);
    assert_non_null(strstr(bytes_cstr(&c->body), "POST /echo"));
    assert_non_null(strstr(c->body.ptr, "Content-Length: 0"));
    assert_null(strcasestr(c->body.ptr, "content-type"));
    call_free(c);
    c = call_new(w, "/hello");
    c->fetch.method = SLICE_LIT("HEAD");
    call_run(w, c);
    expect_ok(c, "");
    assert_non_null(strstr(bytes_cstr(&c->headers), "content-length=5"));
    call_free(c);
}

static void bad_requests_fail_at_once(void **state)
{
    struct world *w = *state;
    static const char *const urls[] = {"",
                                       "x",
                                       "/relative",
                                       "ftp://x/",
                                       "file:///etc/passwd",
                                       "http://",
                                       "http://[::1",
                                       "http://a b/",
                                       "javascript:1",
                                       "http://u:p@x/",
                                       "http://x:99999/",
                                       "http://1.2.3.4.5/"};
    struct error error;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct call *c = call_new(w, "/");
        c->fetch.url = slice_cstr(urls[i]);
        if (http_fetch_start(w->client, &c->fetch, &error) != ERR_INVALID)
            fail_msg("%s", urls[i]);
        call_free(c);
    }
    static const struct http_header bad[] = {{SLICE_LIT("a b"), SLICE_LIT("x")},
                                             {SLICE_LIT("a"), SLICE_LIT("x\r\ny: z")},
                                             {SLICE_LIT(""), SLICE_LIT("x")},
                                             {SLICE_LIT("a:"), SLICE_LIT("x")}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct call *c = call_new(w, "/");
        c->fetch.headers = &bad[i];
        c->fetch.headers_len = 1;
        assert_int_equal(http_fetch_start(w->client, &c->fetch, &error), ERR_INVALID);
        call_free(c);
    }
    static const char *const methods[] = {"", "CONNECT", "trace", "TRACK", "G T", "GET\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct call *c = call_new(w, "/");
        c->fetch.method = slice_cstr(methods[i]);
        assert_int_equal(http_fetch_start(w->client, &c->fetch, &error), ERR_INVALID);
        call_free(c);
    }
    struct call *c = call_new(w, "/");
    c->fetch.body = SLICE_LIT("x"); /* with GET */
    assert_int_equal(http_fetch_start(w->client, &c->fetch, &error), ERR_INVALID);
    call_free(c);
}

static void connections_are_reused(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 20; i++) {
        struct call *c = call_new(w, "/hello");
        call_run(w, c);
        expect_ok(c, "hello");
        call_free(c);
    }
    assert_int_equal(server_connections(&server), 1);
    enum { N = 100 };
    struct call *calls[N];
    int left = N;
    for (int i = 0; i < N; i++) {
        calls[i] = call_new(w, "/hello");
        calls[i]->left = &left;
        assert_int_equal(http_fetch_start(w->client, &calls[i]->fetch, NULL), OK);
    }
    loop_run(&w->loop);
    for (int i = 0; i < N; i++) {
        expect_ok(calls[i], "hello");
        call_free(calls[i]);
    }
    assert_true(server_connections(&server) <= 64); /* bound per host */
}

static void follows_redirects(void **state)
{
    struct world *w = *state;
    static const int statuses[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct call *c = call_new(w, "/redirect/%d/3", statuses[i]);
        static const struct http_header headers[] = {
            {SLICE_LIT("content-type"), SLICE_LIT("text/x")},
            {SLICE_LIT("authorization"), SLICE_LIT("secret")}};
        c->fetch.method = SLICE_LIT("POST");
        c->fetch.body = SLICE_LIT("the body");
        c->fetch.headers = headers;
        c->fetch.headers_len = 2;
        call_run(w, c);
        expect_ok(c, NULL);
        bool is_kept = statuses[i] >= 307;
        const char *got = bytes_cstr(&c->body);
        assert_true(c->fetch.was_redirected);
        assert_true(slice_starts(bytes_slice(&c->body), is_kept ? SLICE_LIT("POST /echo?to\n")
                                                                : SLICE_LIT("GET /echo?to\n")));
        assert_int_equal(strstr(got, "the body") != NULL, is_kept);
        assert_int_equal(strstr(got, "content-type: text/x") != NULL, is_kept);
        assert_non_null(strstr(got, "authorization: secret")); /* same origin */
        assert_true(slice_ends(bytes_slice(&c->final_url), SLICE_LIT("/echo?to")));
        call_free(c);
    }
    /* PUT stays PUT except for 303. */
    struct call *c = call_new(w, "/redirect/302/1");
    c->fetch.method = SLICE_LIT("PUT");
    c->fetch.body = SLICE_LIT("x");
    call_run(w, c);
    assert_true(slice_starts(bytes_slice(&c->body), SLICE_LIT("PUT ")));
    call_free(c);
    c = call_new(w, "/redirect/303/1");
    c->fetch.method = SLICE_LIT("HEAD");
    call_run(w, c);
    expect_ok(c, "");
    call_free(c);
}

static void redirect_to_another_origin_drops_secrets(void **state)
{
    struct world *w = *state;
    static const struct http_header headers[] = {{SLICE_LIT("Authorization"), SLICE_LIT("secret")},
                                                 {SLICE_LIT("cookie"), SLICE_LIT("a=secret")},
                                                 {SLICE_LIT("x-keep"), SLICE_LIT("yes")}};
    struct call *c = call_new(w, "/across/302");
    c->fetch.headers = headers;
    c->fetch.headers_len = 3;
    call_run(w, c);
    expect_ok(c, NULL);
    assert_null(strstr(bytes_cstr(&c->body), "secret"));
    assert_non_null(strstr(c->body.ptr, "x-keep: yes"));
    assert_int_equal(server_connections(&other), 1);
    call_free(c);
}

static void redirects_are_bounded_and_refusable(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/redirect/302/20");
    call_run(w, c);
    expect_ok(c, NULL);
    call_free(c);
    expect_failure(w, ERR_NETWORK, "more than 20 redirects", call_new(w, "/redirect/302/21"));
    c = call_new(w, "/redirect/302/1");
    c->fetch.redirect = HTTP_REDIRECT_ERROR;
    expect_failure(w, ERR_NETWORK, "redirect", c);
    c = call_new(w, "/redirect/302/1");
    c->fetch.redirect = HTTP_REDIRECT_MANUAL;
    call_run(w, c);
    expect_ok(c, "moved");
    assert_int_equal(c->fetch.status, 302);
    assert_non_null(strstr(bytes_cstr(&c->headers), "location=../../echo?to#there"));
    call_free(c);
    expect_failure(w, ERR_NETWORK, "redirect from", call_new(w, "/to?file:///etc/passwd"));
    expect_failure(w, ERR_NETWORK, "redirect from", call_new(w, "/to?http://u:p@x/"));
    expect_failure(w, ERR_NETWORK, "redirect from", call_new(w, "/to?http://[x/"));
}

static void egress_is_checked_at_every_hop(void **state)
{
    struct world *w = *state;
    static const char *const targets[] = {"http://127.0.0.1:1/",
                                          "http://0x7f.1:1/",
                                          "http://2130706433:1/",
                                          "http://127.1:1/",
                                          "http://017700000001:1/",
                                          "http://[::1]:1/",
                                          "http://[::ffff:127.0.0.1]:1/",
                                          "http://[::ffff:7f00:1]:1/",
                                          "http://localhost:1/",

                                          "http://x.localhost:1/",
                                          "http://169.254.169.254/latest",
                                          "http://0:1/",
                                          "http://0.0.0.0:1/",
                                          "http://10.0.0.1/",
                                          "http://[fd00::1]/",
                                          "http://[fe80::1]/",
                                          "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1:1/",
                                          "https://127.0.0.1:1/"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        expect_failure(w, ERR_FORBIDDEN, "not allowed", call_new(w, "%s", targets[i]));
        struct call *c = call_new(w, "/to?%s", targets[i]);
        expect_failure(w, ERR_FORBIDDEN, "not allowed", c);
    }
    /* The rule names the port too. */
    struct call *c = call_new(w, "/hello");
    call_run(w, c);
    expect_ok(c, "hello");
    call_free(c);
}

static void domain_list_is_checked_at_every_hop(void **state)
{
    struct world *w = *state;
    char own[64];
    (void)snprintf(own, sizeof(own), "127.0.0.1:%d", server.port);
    const char *const domains[] = {"example.com", own, NULL};
    struct call *c = call_new(w, "/redirect/302/1");
    c->fetch.domains = domains;
    call_run(w, c);
    expect_ok(c, NULL);
    call_free(c);
    c = call_new(w, "/across/302");
    c->fetch.domains = domains;
    expect_failure(w, ERR_FORBIDDEN, "allowed domains", c);
    assert_int_equal(server_connections(&other), 0);
    c = call_new(w, "http://sub.example.com/");
    c->fetch.domains = domains;
    expect_failure(w, ERR_FORBIDDEN, "sub.example.com", c);
}

static void decodes_bodies(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/gzip");
    call_run(w, c);
    expect_ok(c, NULL);
    assert_int_equal(c->body.len, 220);
    assert_string_equal(bytes_cstr(&c->headers), "");
    call_free(c);
    c = call_new(w, "/chunked");
    call_run(w, c);
    expect_ok(c, "abcde");
    assert_string_equal(bytes_cstr(&c->headers), "");
    call_free(c);
    c = call_new(w, "/hints");
    call_run(w, c);
    expect_ok(c, "final");
    assert_string_equal(bytes_cstr(&c->headers), "content-length=5\n");
    call_free(c);
    c = call_new(w, "/folded");
    call_run(w, c);
    expect_ok(c, "");
    assert_non_null(strstr(bytes_cstr(&c->headers), "x-long=one two\n"));
    call_free(c);
}

static void download_stops_while_paused(void **state)
{
    struct world *w = *state;
    const int size = 3000000;
    struct call *c = call_new(w, "/big/%d", size);
    c->pauses_each = true;
    call_run(w, c);
    expect_ok(c, NULL);
    assert_int_equal(c->body.len, size);
    for (int i = 0; i < size; i++) {
        if (c->body.ptr[i] != (char)(i * 7 + i / 4096))
            fail_msg("byte %d", i);
    }
    assert_true(c->pauses > 50);
    call_free(c);
}

static struct call *upload_new(struct world *w, const char *path, size_t size, size_t chunk)
{
    struct call *c = call_new(w, "%s", path);
    c->fetch.method = SLICE_LIT("POST");
    c->fetch.is_streaming = true;
    c->upload_chunk = chunk;
    for (size_t i = 0; i < size; i++)
        bytes_append_char(&c->upload, (char)(i * 11 + i / 1000));
    return c;
}

static void expect_sum(struct call *c, int is_chunked)
{
    char want[64];
    uint32_t sum = 0;
    for (size_t i = 0; i < c->upload.len; i++)
        sum = sum * 31 + (unsigned char)c->upload.ptr[i];
    (void)snprintf(want, sizeof(want), "%zu %u %d", c->upload.len, sum, is_chunked);
    expect_ok(c, want);
}

static void upload_waits_for_drain(void **state)
{
    struct world *w = *state;
    struct call *c = upload_new(w, "/sum", 3000000, 40000);
    call_run(w, c);
    expect_sum(c, 1);
    assert_true(c->drains > 3);
    call_free(c);
    /* A length that is known is sent. */
    static const struct http_header length = {SLICE_LIT("content-length"), SLICE_LIT("1000")};
    c = upload_new(w, "/sum", 1000, 10);
    c->fetch.headers = &length;
    c->fetch.headers_len = 1;
    call_run(w, c);
    expect_sum(c, 0);
    call_free(c);
    c = upload_new(w, "/sum", 1001, 100);
    c->fetch.headers = &length;
    c->fetch.headers_len = 1;
    expect_failure(w, ERR_INVALID, "longer", c);
}

static void upload_resumes_when_more_comes(void **state)
{
    struct world *w = *state;
    struct call *c = upload_new(w, "/sum", 30, 10);
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    for (int i = 0; i < 3; i++) { /* curl has paused in between */
        for (int turns = 0; turns < 20; turns++)
            (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
        c->upload_at += 10;
        assert_true(
            http_fetch_write(&c->fetch, slice_of(c->upload.ptr + c->upload_at - 10, 10), i == 2));
    }
    loop_run(&w->loop);
    expect_sum(c, 1);
    call_free(c);
}

static void streamed_bodies_are_not_sent_twice(void **state)
{
    struct world *w = *state;
    expect_failure(w, ERR_NETWORK, "streamed", upload_new(w, "/redirect/307/1", 1000, 100));
    struct call *c = upload_new(w, "/redirect/303/1", 1000, 100);
    call_run(w, c);
    expect_ok(c, NULL);
    assert_true(slice_starts(bytes_slice(&c->body), SLICE_LIT("GET /echo")));
    assert_null(strcasestr(bytes_cstr(&c->body), "transfer-encoding"));
    call_free(c);
    /* The rest of the body is dropped when the redirect comes early. */
    c = upload_new(w, "/early-redirect/303", 1000000, 10000);
    call_run(w, c);
    expect_ok(c, NULL);
    call_free(c);
}

static void failures_are_named(void **state)
{
    struct world *w = *state;
    expect_failure(w, ERR_NETWORK, "127.0.0.1", call_new(w, "/close"));
    expect_failure(w, ERR_NETWORK, "127.0.0.1", call_new(w, "/garbage"));
    expect_failure(w, ERR_NETWORK, "change of protocol", call_new(w, "/switch"));
    expect_failure(w, ERR_NETWORK, "headers", call_new(w, "/bighead"));
    expect_failure(w, ERR_NETWORK, "too many headers", call_new(w, "/manyheaders"));
    expect_failure(w, ERR_NETWORK, "TLS with '127.0.0.1'",
                   call_new(w, "https://127.0.0.1:%d/", server.port));
    expect_failure(w, ERR_NETWORK, "was not found", call_new(w, "http://%064d.invalid/", 0));
    struct call *c = call_new(w, "/half");
    assert_int_equal(call_run(w, c), ERR_NETWORK);
    assert_int_equal(c->heads, 1);
    call_free(c);
    /* A port that is allowed but nobody listens on. */
    struct server gone;
    char rule[64];
    server_start(&gone);
    server_stop(&gone);
    (void)snprintf(rule, sizeof(rule), "127.0.0.1:%d", gone.port);
    assert_int_equal(egress_allow(w->egress, slice_cstr(rule), NULL), OK);
    expect_failure(w, ERR_NETWORK, "cannot connect to '127.0.0.1'",
                   call_new(w, "http://127.0.0.1:%d/", gone.port));
}

static void times_out(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/never");
    c->fetch.timeout_ms = 30;
    expect_failure(w, ERR_TIMEOUT, "no answer from '127.0.0.1'", c);
    c = call_new(w, "/drip");
    c->fetch.timeout_ms = 30;
    expect_failure(w, ERR_TIMEOUT, "no complete answer", c);
}

static void cancels(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/never");
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    http_fetch_cancel(&c->fetch);
    http_fetch_cancel(&c->fetch);
    assert_int_equal(c->dones, 0);
    loop_run(&w->loop);
    assert_int_equal(c->error.code, ERR_CANCELLED);
    assert_int_equal(c->heads, 0);
    call_free(c);
    c = call_new(w, "/big/1000000");
    c->cancels_on_head = true;
    assert_int_equal(call_run(w, c), ERR_CANCELLED);
    call_free(c);
    /* While the name is being looked up: the thread of the resolver is left alone. */
    c = call_new(w, "http://slow.invalid/");
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    http_fetch_cancel(&c->fetch);
    if (!c->dones)
        loop_run(&w->loop);
    assert_int_equal(c->dones, 1);
    call_free(c);
}

static void early_answers_end_uploads(void **state)
{
    struct world *w = *state;
    struct call *c = upload_new(w, "/early", 2000000, 10000);
    call_run(w, c);
    assert_int_equal(c->heads, 1);
    assert_int_equal(c->fetch.status, 403);
    call_free(c);
}

static void freeing_the_client_ends_fetches(void **state)
{
    struct world *w = *state;
    struct call *c = call_new(w, "/never");
    struct call *d = call_new(w, "/never");
    assert_int_equal(http_fetch_start(w->client, &c->fetch, NULL), OK);
    for (int turns = 0; turns < 20; turns++)
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(http_fetch_start(w->client, &d->fetch, NULL), OK);
    http_client_free(w->client);
    w->client = NULL;
    assert_int_equal(c->error.code, ERR_CANCELLED);
    assert_int_equal(d->error.code, ERR_CANCELLED);
    call_free(c);
    call_free(d);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(gives_status_headers_and_body),
        T(sends_method_headers_and_body),
        T(bad_requests_fail_at_once),
        T(connections_are_reused),
        T(follows_redirects),
        T(redirect_to_another_origin_drops_secrets),
        T(redirects_are_bounded_and_refusable),
        T(egress_is_checked_at_every_hop),
        T(domain_list_is_checked_at_every_hop),
        T(decodes_bodies),
        T(download_stops_while_paused),
        T(upload_waits_for_drain),
        T(upload_resumes_when_more_comes),
        T(streamed_bodies_are_not_sent_twice),
        T(failures_are_named),
        T(times_out),
        T(cancels),
        T(early_answers_end_uploads),
        T(freeing_the_client_ends_fetches),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
