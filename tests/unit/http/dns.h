/* SPDX-License-Identifier: Apache-2.0
 *
 * A name server on loopback, on a thread of its own, whose answers follow from the first label of a
 * name: see dns.c. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>

struct dns {
    int fd, port;
    char address[32]; /* "127.0.0.1:port" */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool holds; /* "held" names are not answered now */
    int turns;
    struct {
        char name[256];
        int questions; /* for IPv4 */
    } seen[4096];
    int seen_len;
};

void dns_start(struct dns *d);
void dns_stop(struct dns *d);
/* How often was asked for this name's IPv4 addresses. */
int dns_questions(struct dns *d, const char *name);
/* Returns once so many different names were asked for. */
void dns_await_names(struct dns *d, int names);
