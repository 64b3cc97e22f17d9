/* SPDX-License-Identifier: Apache-2.0
 *
 * getrandom(2) behind a buffer per thread, so that an id does not cost a system call. Bytes are
 * wiped as they are handed out. After a fork() the child's only thread starts with an empty buffer,
 * since parent and child must never draw the same bytes. (vfork() runs no handler; between it and
 * exec nothing may be drawn.) Any thread. */
#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/clock.h"

enum { RANDOM_BUFFER = 512 };

static _Thread_local struct {
    size_t left; /* unread bytes, at the end of the buffer */
    unsigned char bytes[RANDOM_BUFFER];
} random_buffer;

static pthread_once_t random_once = PTHREAD_ONCE_INIT;

static void random_forget(void)
{
    random_buffer.left = 0;
}

static void random_watch_fork(void)
{
    CHECK(pthread_atfork(NULL, NULL, random_forget) == 0);
}

static void random_from_kernel(unsigned char *ptr, size_t len)
{
    while (len) {
        ssize_t got = getrandom(ptr, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            check_fatal("the kernel gives no random bytes: %s", strerror(errno));
        ptr += got;
        len -= (size_t)got;
    }
}

static void random_take(void *ptr, size_t len)
{
    unsigned char *from = random_buffer.bytes + RANDOM_BUFFER - random_buffer.left;
    memcpy(ptr, from, len);
    explicit_bzero(from, len);
    random_buffer.left -= len;
}

void random_bytes(void *ptr, size_t len)
{
    if (len > RANDOM_BUFFER / 4) {
        random_from_kernel(ptr, len);
        return;
    }
    if (len == 0)
        return;
    if (random_buffer.left < len) {
        CHECK(pthread_once(&random_once, random_watch_fork) == 0);
        random_from_kernel(random_buffer.bytes, RANDOM_BUFFER);
        random_buffer.left = RANDOM_BUFFER;
    }
    random_take(ptr, len);
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof(value));
    return value;
}

void random_uuid7(char ret_text[RANDOM_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t wall_us = (uint64_t)clock_wall_us();
    uint64_t ms = wall_us / 1000;
    /* The 12 bits after the version carry the part of the millisecond (RFC 9562, 6.2, method 3), so
     * that ids also sort within one. */
    uint64_t fraction = wall_us % 1000 * 4096 / 1000;
    unsigned char id[16];
    for (int i = 0; i < 6; i++)
        id[i] = (unsigned char)(ms >> (40 - 8 * i));
    id[6] = (unsigned char)(0x70 | fraction >> 8);
    id[7] = (unsigned char)fraction;
    random_bytes(id + 8, 8);
    id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
    char *out = ret_text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[id[i] >> 4];
        *out++ = digits[id[i] & 15];
    }
    *out = '\0';
}
