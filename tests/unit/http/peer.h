/* SPDX-License-Identifier: Apache-2.0
 *
 * A small blocking HTTP/1.1 server on threads of its own, which does what the paths of its requests
 * say, the bad things too: see peer.c. For tests of the client; includes cmocka.h's friends. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/bytes.h"

enum { PEER_CONNECTIONS_MAX = 1024 };

struct peer_server {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fds[PEER_CONNECTIONS_MAX];
    pthread_t threads[PEER_CONNECTIONS_MAX];
    int connections; /* ever made */
    int open;        /* now */
};

/* The one that is asked, and one on another port. */
extern struct peer_server server, other;

void server_start(struct peer_server *s);
void server_stop(struct peer_server *s);
int server_connections(struct peer_server *s);
/* Returns once so many connections are open, however long it takes. */
void server_await_open(struct peer_server *s, int open);
