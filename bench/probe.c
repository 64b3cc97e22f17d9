// SPDX-License-Identifier: Apache-2.0
//
// probe PORT HOST RATE SECONDS CONNECTIONS: asks for / at a steady rate, and tells how long answers
// took. The rate does not wait for answers, and a time begins when the request was due: a server
// that stands still for 50 ms shows as many late answers, where a load that waits (wrk) would show
// one a connection. What is not answered 10 s after the last was due has failed, as has anything
// but a 200.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define PATIENCE_S 10

struct conn {
    long due_ns; // of the request under way; 0: none
    char in[4096];
    size_t len;
};

static struct pollfd fds[CONNECTIONS_MAX];
static struct conn conns[CONNECTIONS_MAX];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((unsigned short)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
        fail("probe: connect");
    return fd;
}

// True when a whole answer is there; ret_ok: it is a 200.
static int answered(struct conn *c, int *ret_ok)
{
    c->in[c->len] = 0;
    const char *end = strstr(c->in, "\r\n\r\n");
    const char *length = strcasestr(c->in, "\r\ncontent-length:");
    if (!end || !length || length > end)
        return 0;
    *ret_ok = strncmp(c->in, "HTTP/1.1 200", 12) == 0;
    return c->len >= (size_t)(end + 4 - c->in) + strtoul(length + 17, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int port = atoi(argv[1]), count = atoi(argv[5]);
    long period_ns = 1000000000L / atol(argv[3]), total = atol(argv[3]) * atol(argv[4]);
    long *times = calloc((size_t)total, sizeof *times);
    char request[512];
    int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", argv[2]);
    if (!times || count < 1 || count > CONNECTIONS_MAX || length >= (int)sizeof request)
        return 2;
    for (int i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = connect_to(port), .events = POLLIN};

    long begin = now_ns(), sent = 0, done = 0, good = 0;
    while (done < total) {
        long now = now_ns();
        if (now > begin + total * period_ns + PATIENCE_S * 1000000000L)
            break;
        for (int i = 0; i < count && sent < total && begin + sent * period_ns <= now; i++) {
            if (conns[i].due_ns)
                continue;
            conns[i].due_ns = begin + sent++ * period_ns;
            if (write(fds[i].fd, request, (size_t)length) != length)
                fail("probe: write");
        }
        // With nothing free, only answers matter.
        long next = begin + sent * period_ns,
             wait = sent < total && next > now ? next - now : 100000000L;
        struct timespec pause = {wait / 1000000000L, wait % 1000000000L};
        if (ppoll(fds, (nfds_t)count, &pause, NULL) < 0 && errno != EINTR)
            fail("probe: poll");
        for (int i = 0; i < count; i++) {
            struct conn *c = &conns[i];
            int is_ok = 0;
            if (!fds[i].revents)
                continue;
            ssize_t n = read(fds[i].fd, c->in + c->len, sizeof c->in - 1 - c->len);
            c->len += n > 0 ? (size_t)n : 0;
            int is_closed = n <= 0;
            if (!is_closed && !answered(c, &is_ok))
                continue;
            if (c->due_ns) {
                done++;
                if (is_ok)
                    times[good++] = now_ns() - c->due_ns;
            }
            *c = (struct conn){0};
            if (is_closed) {
                close(fds[i].fd);
                fds[i].fd = connect_to(port);
            }
        }
    }
    qsort(times, (size_t)good, sizeof *times, compare);
    printf("{\"requests\":%ld,\"failed\":%ld", total, total - good);
    if (good)
        printf(",\"p50Us\":%.1f,\"p99Us\":%.1f,\"maxUs\":%.1f", (double)times[good / 2] / 1e3,
               (double)times[good * 99 / 100] / 1e3, (double)times[good - 1] / 1e3);
    printf("}\n");
    return 0;
}
