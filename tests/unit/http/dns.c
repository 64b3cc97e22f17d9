/* SPDX-License-Identifier: Apache-2.0 */
#include "dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

enum { DNS_A = 1, DNS_AAAA = 28 };

/* The name of the question that begins at 12. Returns the offset behind question and class, 0:
 * none. */
static size_t question_name(const unsigned char *packet, size_t len, char *name, int *ret_type)
{
    size_t at = 12, out = 0;
    while (at < len && packet[at]) {
        size_t label = packet[at++];
        if (at + label >= len || out + label + 1 >= 256)
            return 0;
        if (out)
            name[out++] = '.';
        memcpy(name + out, packet + at, label);
        out += label;
        at += label;
    }
    name[out] = 0;
    if (at + 5 > len)
        return 0;
    *ret_type = packet[at + 1] * 256 + packet[at + 2];
    return at + 5;
}

static void record(struct bytes *out, int type, unsigned ttl, const char *address)
{
    unsigned char raw[16];
    int family = type == DNS_A ? AF_INET : AF_INET6, len = type == DNS_A ? 4 : 16;
    assert_int_equal(inet_pton(family, address, raw), 1);
    bytes_append(out, "\xc0\x0c\0", 3);
    bytes_append_char(out, (char)type);
    bytes_append(out, "\0\1", 2);
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes_append_char(out, (char)(ttl >> shift));
    bytes_append_char(out, 0);
    bytes_append_char(out, (char)len);
    bytes_append(out, raw, (size_t)len);
    out->ptr[7]++; /* of answers; there are fewer than 256 */
}

static bool begins(const char *name, const char *label)
{
    size_t len = strlen(label);
    return strncmp(name, label, len) == 0 && (name[len] == '.' || !name[len]);
}

/* False: no answer. */
static bool answer(struct dns *d, const char *name, int type, struct bytes *out)
{
    char text[64];
    bool is_v4 = type == DNS_A;
    if (strncmp(name, "silent", 6) == 0)
        return false;
    if (begins(name, "held") && d->holds)
        return false;
    if (begins(name, "none"))
        out->ptr[3] |= 3;
    if (begins(name, "fail"))
        out->ptr[3] |= 2;
    if (begins(name, "cut"))
        out->len = 14;
    if (begins(name, "lies"))
        out->ptr[7] = 100; /* answers that are not there */
    if (is_v4 && (begins(name, "a") || begins(name, "both") || begins(name, "held")))
        record(out, type, 300, "127.0.0.1");
    if (!is_v4 && (begins(name, "aaaa") || begins(name, "both")))
        record(out, type, 300, "::1");
    if (is_v4 && begins(name, "private"))
        record(out, type, 300, "10.0.0.1");
    if (is_v4 && begins(name, "mixed")) {
        record(out, type, 300, "10.0.0.1");
        record(out, type, 300, "127.0.0.1");
    }
    if (is_v4 && begins(name, "short"))
        record(out, type, 0, "127.0.0.1");
    if (is_v4 && begins(name, "turn"))
        record(out, type, 0, d->turns++ ? "10.0.0.1" : "127.0.0.1");
    for (int i = 0; is_v4 && begins(name, "many") && i < 25; i++) {
        (void)snprintf(text, sizeof(text), "127.0.1.%d", i + 1);
        record(out, type, 300, text);
    }
    return true;
}

static void note(struct dns *d, const char *name, int type)
{
    int i = 0;
    while (i < d->seen_len && strcmp(d->seen[i].name, name) != 0)
        i++;
    assert_true(i < (int)ARRAY_LEN(d->seen));
    if (i == d->seen_len) {
        (void)snprintf(d->seen[i].name, sizeof(d->seen[i].name), "%s", name);
        d->seen_len++;
    }
    d->seen[i].questions += type == DNS_A;
    pthread_cond_broadcast(&d->changed);
}

static void *dns_serve(void *arg)
{
    struct dns *d = arg;
    for (;;) {
        unsigned char packet[2048];
        char name[256];
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        int type;
        ssize_t len =
            recvfrom(d->fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &from_len);
        if (len <= 0) /* one byte and more: a question; none: dns_stop() */
            return NULL;
        size_t end = question_name(packet, (size_t)len, name, &type);
        if (!end)
            continue;
        struct bytes out = BYTES_INIT;
        bytes_append(&out, packet, end);
        memcpy(out.ptr + 2, "\x81\x80\0\1\0\0\0\0\0\0", 10);
        pthread_mutex_lock(&d->lock);
        note(d, name, type);
        bool is_answered = answer(d, name, type, &out);
        pthread_mutex_unlock(&d->lock);
        if (is_answered)
            (void)sendto(d->fd, out.ptr, out.len, 0, (struct sockaddr *)&from, from_len);
        bytes_done(&out);
    }
}

void dns_start(struct dns *d)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    memset(d, 0, sizeof(*d));
    d->fd = socket(AF_INET, SOCK_DGRAM, 0);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&a, &len), 0);
    d->port = ntohs(a.sin_port);
    (void)snprintf(d->address, sizeof(d->address), "127.0.0.1:%d", d->port);
    assert_int_equal(pthread_create(&d->thread, NULL, dns_serve, d), 0);
}

void dns_stop(struct dns *d)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)d->port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&a, sizeof(a)), 0);
    pthread_join(d->thread, NULL);
    close(fd);
    close(d->fd);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
}

int dns_questions(struct dns *d, const char *name)
{
    int questions = 0;
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->seen_len; i++) {
        if (strcmp(d->seen[i].name, name) == 0)
            questions = d->seen[i].questions;
    }
    pthread_mutex_unlock(&d->lock);
    return questions;
}

void dns_await_names(struct dns *d, int names)
{
    pthread_mutex_lock(&d->lock);
    while (d->seen_len < names)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
}
