/* SPDX-License-Identifier: Apache-2.0
 *
 * The listener and what its connections share: pools of exchanges and buffers (so that a request in
 * steady state allocates nothing), one read buffer, the text of the Date header, and the ready
 * list.
 *
 * The ready list holds connections for which something was done outside of their own step: a
 * handler answered from the turn, a body window opened. While it is not empty an idle handle keeps
 * the loop from sleeping and runs it before the next turn.
 *
 * Above connections_max a few connections are still accepted, to be told 503; more are closed at
 * once. Loop thread only. */
#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/internal.h"
#include "http/url.h"

enum { SERVER_BACKLOG = 1024 };

/* --- pools --- */

struct http_exchange *server_take_exchange(struct http_server *s)
{
    struct list *n = list_pop_front(&s->pool);
    struct http_exchange *x;
    if (n) {
        s->pool_len--;
        return container_of(n, struct http_exchange, node);
    }
    x = malloc(sizeof(*x));
    CHECK(x);
    memset(x, 0, offsetof(struct http_exchange, headers));
    x->arena = arena_new(NULL);
    return x;
}

static void exchange_free(struct http_exchange *x)
{
    bytes_done(&x->body);
    bytes_done(&x->out);
    arena_free(x->arena);
    free(x);
}

static void bytes_recycle(struct bytes *b)
{
    if (b->cap > HTTP_KEEP_BYTES)
        bytes_done(b);
    else
        bytes_clear(b);
}

void server_give_exchange(struct http_server *s, struct http_exchange *x)
{
    if (s->pool_len >= HTTP_POOL_EXCHANGES || s->is_closing) {
        exchange_free(x);
        return;
    }
    if (x->has_arena)
        arena_reset(x->arena);
    bytes_recycle(&x->body);
    bytes_recycle(&x->out);
    struct arena *arena = x->arena;
    struct bytes body = x->body, out = x->out;
    memset(x, 0, offsetof(struct http_exchange, headers));
    x->arena = arena;
    x->body = body;
    x->out = out;
    list_push_front(&s->pool, &x->node);
    s->pool_len++;
}

void server_take_buffer(struct http_server *s, struct bytes *b)
{
    if (!b->ptr && s->buffers_len)
        *b = s->buffers[--s->buffers_len];
}

void server_give_buffer(struct http_server *s, struct bytes *b)
{
    if (!b->ptr)
        return;
    if (b->cap > HTTP_KEEP_BYTES || s->buffers_len == HTTP_POOL_BUFFERS) {
        bytes_done(b);
        return;
    }
    bytes_clear(b);
    s->buffers[s->buffers_len++] = *b;
    *b = BYTES_INIT;
}

struct slice server_date(struct http_server *s)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t now = server_now(s);
    if (now >= s->date_until_ms) {
        int64_t wall_us = clock_wall_us();
        time_t seconds = (time_t)(wall_us / 1000000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        char text[64];
        snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        s->date_len = strnlen(text, sizeof(s->date) - 1);
        memcpy(s->date, text, s->date_len);
        s->date_until_ms = now + 1000 - (uint64_t)(wall_us / 1000 % 1000);
    }
    return (struct slice){s->date, s->date_len};
}

/* --- life --- */

static void server_free_if_closed(struct http_server *s)
{
    if (!s->is_closing || s->handles)
        return;
    LIST_FOREACH (n, &s->pool)
        exchange_free(container_of(n, struct http_exchange, node));
    while (s->buffers_len)
        bytes_done(&s->buffers[--s->buffers_len]);
    bytes_done(&s->scratch);
    free(s);
}

void server_handle_closed(struct http_server *s)
{
    CHECK(s->handles > 0);
    s->handles--;
    server_free_if_closed(s);
}

static void on_listener_closed(uv_handle_t *h)
{
    struct http_listener *l = h->data;
    server_handle_closed(l->server);
}

static void on_idle_closed(uv_handle_t *h)
{
    server_handle_closed(h->data);
}

static void on_idle(uv_idle_t *idle)
{
    struct http_server *s = idle->data;
    struct list batch;
    list_init(&batch);
    list_splice_back(&batch, &s->ready);
    struct list *n;
    while ((n = list_pop_front(&batch)))
        conn_run(container_of(n, struct http_conn, ready_node));
    if (s->is_closing)
        return;
    if (s->is_draining && s->conns_len == 0 && s->drained) {
        void (*drained)(void *) = s->drained;
        s->drained = NULL;
        drained(s->drained_arg);
        if (s->is_closing)
            return;
    }
    if (list_is_empty(&s->ready)) {
        uv_idle_stop(&s->idle);
        s->is_idle_active = false;
    }
}

void server_wake(struct http_server *s)
{
    if (s->is_idle_active || s->is_closing)
        return;
    s->is_idle_active = true;
    uv_idle_start(&s->idle, on_idle);
}

void server_conn_gone(struct http_server *s)
{
    CHECK(s->conns_len > 0);
    s->conns_len--;
    if (s->is_draining && s->conns_len == 0)
        server_wake(s);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct http_listener *l = stream->data;
    struct http_server *s = l->server;
    if (status < 0)
        return; /* out of descriptors, or the peer left: libuv tries again by itself */
    struct http_conn *c = conn_new(s, true);
    if (uv_accept(stream, (uv_stream_t *)&c->tcp) != 0 ||
        s->conns_len > (uint64_t)s->connections_max + HTTP_REJECT_CONNECTIONS) {
        conn_tear_down(c);
        return;
    }
    c->is_excess = s->conns_len > s->connections_max;
    conn_accepted(c);
}

/* --- binding --- */

static socklen_t address_len(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static enum err address_parse(const char *host, int port, struct sockaddr_storage *ret,
                              struct error *ret_error)
{
    if (url_address(slice_cstr(host), port, ret))
        return OK;
    error_set(ret_error, ERR_INVALID, "cannot listen on '%s': not an IP address", host);
    error_hint(ret_error, "use an IPv4 or IPv6 address such as 127.0.0.1 or ::1, or localhost");
    return ERR_INVALID;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum err bind_failed(const char *host, int port, const char *what, struct error *ret_error)
{
    int code = errno;
    error_set(ret_error, ERR_IO, "cannot listen on %s:%d: %s: %s", host, port, what,
              strerror(code));
    if (code == EADDRINUSE)
        error_hint(ret_error, "another program uses this port; stop it or choose another one");
    else if (code == EACCES)
        error_hint(ret_error, "ports below 1024 need a privilege; choose a higher one");
    return ERR_IO;
}

static enum err listener_open(struct http_server *s, const char *host, int port,
                              struct error *ret_error)
{
    struct sockaddr_storage a;
    enum err err = address_parse(host, port, &a, ret_error);
    if (err)
        return err;
    CLEANUP(close_fd)
    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return bind_failed(host, port, "socket", ret_error);
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return bind_failed(host, port, "setsockopt", ret_error);
    if (a.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)); /* only a preference */
    if (bind(fd, (struct sockaddr *)&a, address_len(&a)) != 0)
        return bind_failed(host, port, "bind", ret_error);
    if (listen(fd, SERVER_BACKLOG) != 0)
        return bind_failed(host, port, "listen", ret_error);
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_len) != 0)
        return bind_failed(host, port, "getsockname", ret_error);

    struct http_listener *l = &s->listeners[s->listeners_len];
    l->server = s;
    CHECK(uv_tcp_init(&s->loop->uv, &l->tcp) == 0);
    l->tcp.data = l;
    s->listeners_len++;
    s->handles++;
    int code = uv_tcp_open(&l->tcp, fd);
    if (code == 0) {
        fd = -1; // NOLINT(clang-analyzer-deadcode.DeadStores): libuv's now, read by close_fd()
        code = uv_listen((uv_stream_t *)&l->tcp, SERVER_BACKLOG, on_connection);
    }
    if (code)
        return error_set(ret_error, ERR_IO, "cannot listen on %s:%d: %s", host, port,
                         uv_strerror(code));
    s->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                : ((struct sockaddr_in *)&bound)->sin_port);
    return OK;
}

struct http_server *server_new_bare(struct loop *loop, const struct http_server_config *config,
                                    const struct http_handler *handler)
{
    struct http_server *s = calloc(1, sizeof(*s));
    CHECK(s);
    s->loop = loop;
    s->handler = *handler;
    s->tls = config->tls;
    s->body_bytes_max = config->body_bytes_max;
    s->account = config->account;
    s->connections_max = config->connections_max ? config->connections_max : UINT32_MAX;
    s->head_timeout_ms =
        config->head_timeout_ms ? config->head_timeout_ms : LIMIT_HTTP_HEAD_TIMEOUT_MS;
    s->idle_timeout_ms =
        config->idle_timeout_ms ? config->idle_timeout_ms : LIMIT_HTTP_IDLE_TIMEOUT_MS;
    s->body_timeout_ms =
        config->body_timeout_ms ? config->body_timeout_ms : LIMIT_HTTP_BODY_TIMEOUT_MS;
    list_init(&s->conns);
    list_init(&s->ready);
    list_init(&s->pool);
    CHECK(uv_idle_init(&loop->uv, &s->idle) == 0);
    s->idle.data = s;
    s->handles = 1;
    return s;
}

enum err http_server_new(struct loop *loop, const struct http_server_config *config,
                         const struct http_handler *handler, struct http_server **ret_server,
                         struct error *ret_error)
{
    struct http_server *s = server_new_bare(loop, config, handler);
    const char *host = config->host ? config->host : "127.0.0.1";
    bool is_localhost = strcmp(host, "localhost") == 0;
    enum err err = listener_open(s, is_localhost ? "127.0.0.1" : host, config->port, ret_error);
    if (err) {
        http_server_close(s);
        return err;
    }
    /* "localhost" means IPv6 too, but a machine without it is no error. */
    if (is_localhost)
        (void)listener_open(s, "::1", s->port, NULL);
    *ret_server = s;
    return OK;
}

int http_server_port(const struct http_server *s)
{
    return s->port;
}

uint32_t http_server_connections(const struct http_server *s)
{
    return s->conns_len;
}

static void server_stop_listening(struct http_server *s)
{
    for (size_t i = 0; i < s->listeners_len; i++)
        uv_close((uv_handle_t *)&s->listeners[i].tcp, on_listener_closed);
    s->listeners_len = 0;
}

void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg)
{
    s->drained = done;
    s->drained_arg = arg;
    if (!s->is_draining) {
        s->is_draining = true;
        server_stop_listening(s);
        LIST_FOREACH (n, &s->conns)
            conn_schedule(container_of(n, struct http_conn, node));
    }
    server_wake(s);
}

void http_server_close(struct http_server *s)
{
    if (s->is_closing)
        return;
    server_stop_listening(s);
    uv_idle_stop(&s->idle);
    uv_close((uv_handle_t *)&s->idle, on_idle_closed);
    s->is_closing = true;
    struct list *n;
    struct list running;
    list_init(&running);
    while ((n = list_pop_front(&s->conns))) {
        struct http_conn *c = container_of(n, struct http_conn, node);
        if (c->is_running) { /* we are inside one of its callbacks: its own step will end it */
            conn_break(c);
            list_push_back(&running, n);
        } else {
            conn_tear_down(c);
        }
    }
    list_splice_back(&s->conns, &running);
}
