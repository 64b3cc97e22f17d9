/* SPDX-License-Identifier: Apache-2.0
 *
 * One fetch under test, and the world of a client that it happens in. */
#pragma once

#include "peer.h"

#include "base/limits.h"
#include "http/client.h"
#include "http/egress.h"
#include "loop/loop.h"
#include "loop/timer.h"

struct call {
    struct http_fetch fetch;
    struct loop *loop;
    char url[300];
    struct bytes body, final_url, status_text, headers, codings;
    struct error error;
    int heads, dones, drains, pauses;
    bool is_paused, pauses_each;
    bool holds; /* pauses at the first bytes, for good */
    struct timer resume;
    struct bytes upload;
    size_t upload_at, upload_chunk;
    bool cancels_on_head;
    void (*after_head)(struct call *c); /* may stop the loop */
    int *left;
};

struct world {
    struct loop loop;
    struct http_client *client;
    struct egress *egress;
};

/* Two servers, and a client that may reach them. For cmocka's set-up and tear-down. */
int world_up(void **state);
int world_down(void **state);

/* A path of `server`, or a whole URL. */
struct call *call_new(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);
void call_start(struct world *w, struct call *c);
/* Starts it, runs the loop to its end and returns how it ended. */
enum err call_run(struct world *w, struct call *c);
void call_free(struct call *c);
void expect_ok(struct call *c, const char *body);
/* Runs it, and frees it. */
void expect_failure(struct world *w, enum err code, const char *text, struct call *c);
