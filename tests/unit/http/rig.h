/* SPDX-License-Identifier: Apache-2.0
 *
 * A server with the test handler on its own thread, and a client that blocks. The client's sockets
 * time out after RIG_PATIENCE_S so that a test that waits for what never comes fails instead of
 * hanging; no test depends on how long something takes. */
#pragma once

#include <pthread.h>

#include "base/bytes.h"
#include "testbed.h"

enum { RIG_PATIENCE_S = 20 };

/* What the server's thread has counted, as of its last event. */
struct rig_counts {
    int requests, complete, broken, live;
    uint32_t connections;
    size_t delivered_max, body_bytes;
    uint64_t down_refused;
    bool is_drained;
};

struct rig {
    struct http_server_config config; /* set before rig_start(); port is ignored */
    int port;
    /* private */
    struct loop loop;
    struct testbed bed;
    struct http_server *server;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rig_counts counts;
};

void rig_init(struct rig *r); /* defaults */
void rig_start(struct rig *r);
void rig_stop(struct rig *r);  /* closes the server, whatever is going on in it */
void rig_drain(struct rig *r); /* starts draining and returns */
struct rig_counts rig_counts(struct rig *r);
/* Waits until the condition holds; fails the test when it does not come about. */
void rig_wait(struct rig *r, bool (*is_met)(const struct rig_counts *c, int n), int n);
bool rig_complete(const struct rig_counts *c, int n); /* at least n exchanges closed well */
bool rig_broken(const struct rig_counts *c, int n);
bool rig_requests(const struct rig_counts *c, int n);
bool rig_drained(const struct rig_counts *c, int n);

int client_connect(const struct rig *r);
void client_send(int fd, struct slice data);
void client_say(int fd, const char *text);
/* Reads until the text has come (true) or the connection has ended (false). Appends to in. */
bool client_expect(int fd, struct bytes *in, const char *text);
/* Reads to the end of the connection; false if it ended with a reset. */
bool client_read_all(int fd, struct bytes *in);
/* One connection: says the text, reads to the end. */
void client_talk(const struct rig *r, const char *text, struct bytes *in);
bool bytes_have(const struct bytes *b, const char *text);
size_t bytes_count(const struct bytes *b, const char *text);
