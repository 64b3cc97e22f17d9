/* SPDX-License-Identifier: Apache-2.0
 *
 * See the header. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/post.h"

static void rig_publish(struct rig *r)
{
    const struct testbed *bed = &r->bed;
    pthread_mutex_lock(&r->mutex);
    r->counts.requests = bed->requests;
    r->counts.complete = bed->closes_complete;
    r->counts.broken = bed->closes_broken;
    r->counts.live = bed->live;
    r->counts.delivered_max = bed->delivered_max;
    r->counts.body_bytes = bed->body_bytes;
    r->counts.down_refused = bed->down_refused;
    r->counts.connections = r->server ? http_server_connections(r->server) : 0;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mutex);
}

static void on_event(struct testbed *bed)
{
    rig_publish(container_of(bed, struct rig, bed));
}

void rig_init(struct rig *r)
{
    memset(r, 0, sizeof(*r));
    r->config = (struct http_server_config){
        .host = "127.0.0.1", .body_bytes_max = -1, .connections_max = 1000};
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->changed, NULL);
}

static void *rig_main(void *arg)
{
    struct rig *r = arg;
    loop_run(&r->loop);
    return NULL;
}

void rig_start(struct rig *r)
{
    struct error error = {0};
    (void)signal(SIGPIPE, SIG_IGN); /* as server.h asks of a program */
    loop_init(&r->loop);
    testbed_init(&r->bed, &r->loop);
    r->bed.on_event = on_event;
    r->config.port = 0;
    if (http_server_new(&r->loop, &r->config, &r->bed.handler, &r->server, &error))
        fail_msg("%s", error.message);
    r->port = http_server_port(r->server);
    assert_int_equal(pthread_create(&r->thread, NULL, rig_main, r), 0);
}

struct rig_request {
    struct post post;
    struct rig *rig;
};

static void on_close_post(struct post *p)
{
    struct rig *r = container_of(p, struct rig_request, post)->rig;
    http_server_close(r->server);
    r->server = NULL;
    rig_publish(r);
    loop_stop(&r->loop);
}

void rig_stop(struct rig *r)
{
    struct rig_request request = {.post = {.fn = on_close_post}, .rig = r};
    loop_post(&r->loop, &request.post);
    pthread_join(r->thread, NULL);
    loop_done(&r->loop);
    assert_int_equal(r->counts.live, 0);
    assert_int_equal(r->counts.requests, r->counts.complete + r->counts.broken);
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->changed);
}

static void on_drained(void *arg)
{
    struct rig *r = arg;
    pthread_mutex_lock(&r->mutex);
    r->counts.is_drained = true;
    pthread_mutex_unlock(&r->mutex);
    rig_publish(r);
}

static struct rig_request drain_request;

static void on_drain_post(struct post *p)
{
    struct rig *r = container_of(p, struct rig_request, post)->rig;
    http_server_drain(r->server, on_drained, r);
}

void rig_drain(struct rig *r)
{
    drain_request = (struct rig_request){.post = {.fn = on_drain_post}, .rig = r};
    loop_post(&r->loop, &drain_request.post);
}

struct rig_counts rig_counts(struct rig *r)
{
    pthread_mutex_lock(&r->mutex);
    struct rig_counts c = r->counts;
    pthread_mutex_unlock(&r->mutex);
    return c;
}

void rig_wait(struct rig *r, bool (*is_met)(const struct rig_counts *c, int n), int n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RIG_PATIENCE_S;
    pthread_mutex_lock(&r->mutex);
    int code = 0;
    while (!is_met(&r->counts, n) && code == 0)
        code = pthread_cond_timedwait(&r->changed, &r->mutex, &until);
    struct rig_counts c = r->counts;
    pthread_mutex_unlock(&r->mutex);
    if (code)
        fail_msg("waited in vain: %d requests, %d complete, %d broken, %d live", c.requests,
                 c.complete, c.broken, c.live);
}

bool rig_complete(const struct rig_counts *c, int n)
{
    return c->complete >= n;
}

bool rig_broken(const struct rig_counts *c, int n)
{
    return c->broken >= n;
}

bool rig_requests(const struct rig_counts *c, int n)
{
    return c->requests >= n;
}

bool rig_drained(const struct rig_counts *c, int n)
{
    (void)n;
    return c->is_drained;
}

int client_connect(const struct rig *r)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port)};
    const struct timeval patience = {.tv_sec = RIG_PATIENCE_S};
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void client_send(int fd, struct slice data)
{
    while (data.len) {
        ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* what the server said first is still to be read */
        if (n <= 0)
            fail_msg("cannot send: %s", strerror(errno));
        data = slice_skip(data, (size_t)n);
    }
}

void client_say(int fd, const char *text)
{
    client_send(fd, slice_cstr(text));
}

void client_talk(const struct rig *r, const char *text, struct bytes *in)
{
    int fd = client_connect(r);
    bytes_clear(in);
    client_say(fd, text);
    (void)client_read_all(fd, in);
    close(fd);
}

bool bytes_have(const struct bytes *b, const char *text)
{
    return b->len && memmem(b->ptr, b->len, text, strlen(text));
}

size_t bytes_count(const struct bytes *b, const char *text)
{
    size_t count = 0, len = strlen(text);
    const char *at = b->ptr, *end = b->ptr + b->len;
    while (at && (at = memmem(at, (size_t)(end - at), text, len))) {
        count++;
        at += len;
    }
    return count;
}

static ssize_t client_read(int fd, struct bytes *in)
{
    char part[64 * 1024];
    ssize_t n = recv(fd, part, sizeof(part), 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("nothing comes; so far: %.*s", (int)in->len, in->ptr ? in->ptr : "");
    if (n > 0)
        bytes_append(in, part, (size_t)n);
    return n;
}

bool client_expect(int fd, struct bytes *in, const char *text)
{
    while (!bytes_have(in, text))
        if (client_read(fd, in) <= 0)
            return false;
    return true;
}

bool client_read_all(int fd, struct bytes *in)
{
    ssize_t n;
    while ((n = client_read(fd, in)) > 0)
        ;
    return n == 0;
}
