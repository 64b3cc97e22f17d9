/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    struct peer_server *server;
    int fd;
    char buffer[65536];
    size_t len;
};

struct request {
    char method[32], path[256], head[32768];
    struct bytes body;
    bool is_chunked;
};

struct peer_server server, other;

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

/* Closing with unread bytes would reset the connection, and the answer could be lost with it. */
static bool peer_linger(struct peer *p)
{
    char rest[4096];
    (void)shutdown(p->fd, SHUT_WR);
    while (read(p->fd, rest, sizeof(rest)) > 0)
        ;
    return false;
}

/* Sends the text over and over, until the other side is fed up. */
static bool peer_flood(struct peer *p, const char *text)
{
    while (peer_say(p, text))
        ;
    return false;
}

/* What servers must not say, and how it goes on for ever. */
static const struct {
    const char *path, *begin, *flood;
} hostile[] = {
    {"/flood-interim", "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
    {"/flood-header", "HTTP/1.1 200 OK\r\nX: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
    {"/flood-headers", "HTTP/1.1 200 OK\r\n", "X-Header: of the server\r\n"},
    {"/flood-fold", "HTTP/1.1 200 OK\r\nX: a\r\n", " folded, and folded again\r\n"},
    {"/flood-status", "HTTP/1.1 200 ", "OK OK OK OK OK OK OK OK OK"},
    {"/flood-trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
     "X-Trailer: of the server\r\n"},
    {"/flood-redirect",
     "HTTP/1.1 302 Moved\r\nLocation: /hello\r\nContent-Length: 9999999999\r\n\r\n",
     "moved, moved, moved, moved, moved"},
    {"/flood-empty", "HTTP/1.1 204 No Content\r\nContent-Length: 9999999\r\n\r\n",
     "more, more, more"},
    {"/flood-205", "HTTP/1.1 205 Reset Content\r\n\r\n", "more, more, more"},
    {"/chunk-size",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nabc", NULL},
    {"/chunk-sign", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
     NULL},
    {"/chunk-text", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", NULL},
    {"/chunk-end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n",
     NULL},
    {"/chunk-cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", NULL},
    {"/chunk-none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", NULL},
    {"/length-sign", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", NULL},
    {"/length-text", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", NULL},
    {"/length-huge", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
     NULL},
    {"/length-cut", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", NULL},
    {"/coded-transfer",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", NULL},
    {"/coded-transfer2",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     NULL},
    {"/status-none", "HTTP/1.1\r\n\r\n", NULL},
    {"/status-text", "HTTP/1.1 abc OK\r\n\r\n", NULL},
    {"/status-small", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/version", "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/nothing", "\r\n\r\n\r\n", NULL},
    {"/old", "<html>HTTP/0.9</html>", NULL},
    {"/head-cut", "HTTP/1.1 200 OK\r\nX-A: b\r\nX-", NULL},
    {"/redirect-self",
     "HTTP/1.1 302 Moved\r\nLocation: /redirect-self\r\nContent-Length: 0\r\n\r\n", NULL},
};

static bool serve_hostile(struct peer *p, const char *path, bool *ret_goes_on)
{
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        if (strcmp(path, hostile[i].path) != 0)
            continue;
        if (peer_say(p, hostile[i].begin) && hostile[i].flood)
            (void)peer_flood(p, hostile[i].flood);
        *ret_goes_on = false;
        return true;
    }
    return false;
}

/* False closes the connection. */
static bool serve_one(struct peer *p, struct request *r)
{
    char text[512];
    int a, b;
    bool goes_on;
    if (serve_hostile(p, r->path, &goes_on))
        return goes_on;
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
    if (strcmp(r->path, "/hold") == 0) {
        (void)peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nhello");
        (void)peer_fill(p);
        return false;
    }
    if (sscanf(r->path, "/status/%d", &a) == 1) {
        (void)snprintf(text, sizeof(text), "HTTP/1.1 %d As Asked\r\n%s\r\n", a,
                       a == 205 ? "Content-Length: 0\r\n" : "");
        return peer_say(p, text);
    }
    if (strncmp(r->path, "/coding/", 8) == 0) {
        (void)snprintf(text, sizeof(text), "200 OK\r\nContent-Encoding: %s", r->path + 8);
        return peer_answer(p, text, "plain text");
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
    if (sscanf(r->path, "/drip/%d", &a) == 1) { /* ten bytes, so far apart */
        bool is_ok = peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for (int i = 0; is_ok && i < 10; i++) {
            (void)poll(NULL, 0, a);
            is_ok = peer_say(p, "x");
        }
        return is_ok;
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
    struct peer_server *s = p->server;
    free(r);
    free(p);
    pthread_mutex_lock(&s->lock);
    s->open--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *serve(void *arg)
{
    struct peer_server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct peer *p = calloc(1, sizeof(*p));
        p->fd = fd;
        p->server = s;
        pthread_mutex_lock(&s->lock);
        s->open++;
        assert_true(s->connections < PEER_CONNECTIONS_MAX);
        s->fds[s->connections] = fd;
        assert_int_equal(pthread_create(&s->threads[s->connections++], NULL, serve_connection, p),
                         0);
        pthread_mutex_unlock(&s->lock);
    }
}

int server_connections(struct peer_server *s)
{
    pthread_mutex_lock(&s->lock);
    int n = s->connections;
    pthread_mutex_unlock(&s->lock);
    return n;
}

void server_await_open(struct peer_server *s, int open)
{
    pthread_mutex_lock(&s->lock);
    while (s->open != open)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void server_start(struct peer_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    *s = (struct peer_server){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(s->fd, 1000), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void server_stop(struct peer_server *s)
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
