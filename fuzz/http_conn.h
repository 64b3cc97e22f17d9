/* SPDX-License-Identifier: Apache-2.0
 *
 * What fuzz_h1 and fuzz_h2 share: a connection without a socket, in front of the tests' handler.
 * The first byte of an input says in which pieces the rest arrives and whether the loop turns in
 * between. Output is dropped. Whatever comes in, every exchange that was begun is closed once. */
#pragma once

#include "http/internal.h"
#include "tests/unit/http/testbed.c"

enum { FUZZ_TURNS = 4 };

static struct loop fuzz_loop;

static void fuzz_turn(void)
{
    for (int i = 0; i < FUZZ_TURNS; i++)
        (void)uv_run(&fuzz_loop.uv, UV_RUN_NOWAIT);
}

/* False: the connection is gone, or reads no more. */
static bool fuzz_feed(struct http_server *s, struct http_conn *c, struct slice data, size_t piece,
                      bool turns)
{
    while (data.len && s->conns_len) {
        size_t want = c->proto == PROTO_H2 ? h2_want(c) : h1_want(c);
        if (c->state != CONN_OPEN || !want)
            return false;
        size_t n = data.len < piece ? data.len : piece;
        if (n > want)
            n = want;
        /* A copy of its exact size, for sanitizers to see reads past it. */
        char *copy = malloc(n);
        CHECK(copy);
        memcpy(copy, data.ptr, n);
        conn_feed(c, (struct slice){copy, n});
        free(copy);
        data = slice_skip(data, n);
        if (turns)
            fuzz_turn();
    }
    return s->conns_len > 0;
}

static int fuzz_connection(struct slice before, const uint8_t *data, size_t size)
{
    static bool is_ready;
    struct testbed bed;
    if (!size)
        return -1;
    if (!is_ready)
        loop_init(&fuzz_loop);
    is_ready = true;
    testbed_init(&bed, &fuzz_loop);
    bed.n_max = 1 << 20;
    const struct http_server_config config = {.body_bytes_max = 100000};
    struct http_server *s = server_new_bare(&fuzz_loop, &config, &bed.handler);
    struct http_conn *c = conn_new(s, false);
    size_t piece = data[0] >> 1;
    bool turns = data[0] & 1;
    if (fuzz_feed(s, c, before, SIZE_MAX, false))
        (void)fuzz_feed(s, c, (struct slice){(const char *)data + 1, size - 1},
                        piece ? piece : SIZE_MAX, turns);
    fuzz_turn();
    http_server_close(s);
    fuzz_turn();
    CHECK(bed.live == 0);
    CHECK(bed.requests == bed.closes_complete + bed.closes_broken);
    CHECK(bed.delivered_max <= LIMIT_HTTP_BODY_WINDOW_BYTES);
    return 0;
}
