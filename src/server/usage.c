/* SPDX-License-Identifier: Apache-2.0
 *
 * See usage.h. One round at a time. A round whose rows came back because the store could not write
 * is followed by one with the same rows: meters are not read before those are stored, so there is
 * at most one row for each module. */
#include "server/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "loop/timer.h"
#include "server/accounts.h"
#include "server/server.h"
#include "store/store.h"

struct usage {
    struct server *server;
    struct loop *loop;
    struct timer timer;
    struct list back;           /* of struct sent: to be stored before anything else */
    struct list waiting, asked; /* of struct usage_wait: for a round to come; for this one */
    size_t on_way;
    int64_t hour; /* what is metered now is of this one */
    bool is_retry;
    struct error error; /* of this round */
};

struct sent {
    struct store_op op;
    struct usage *usage;
    struct usage_row row;
    struct list link;
    char name[];
};

static void usage_round(struct usage *u);

static int64_t usage_hour_now(void)
{
    return clock_wall_us() / (3600 * INT64_C(1000000));
}

static void usage_round_done(struct usage *u)
{
    struct list asked, *n;
    bool goes_on = u->error.code == OK && (u->is_retry || !list_is_empty(&u->waiting));
    if (u->error.code != OK)
        log_warn("what modules used cannot be stored, trying again",
                 LOG_STR("error", u->error.message));
    if (u->is_retry && u->error.code == OK)
        list_splice_back(&u->waiting, &u->asked); /* what they ask for comes only now */
    list_init(&asked);
    list_splice_back(&asked, &u->asked);
    struct error error = u->error;
    if (goes_on)
        usage_round(u);
    while ((n = list_pop_front(&asked))) {
        struct usage_wait *w = container_of(n, struct usage_wait, link);
        w->error = error;
        w->done(w);
    }
}

static void usage_stored(struct store_op *op)
{
    struct sent *s = container_of(op, struct sent, op);
    struct usage *u = s->usage;
    if (op->error.code == OK) {
        free(s);
    } else {
        u->error = op->error;
        list_push_back(&u->back, &s->link);
    }
    if (--u->on_way == 0)
        usage_round_done(u);
}

static void usage_send(struct usage *u, struct sent *s)
{
    s->op = (struct store_op){.loop = u->loop, .done = usage_stored};
    u->on_way++;
    store_usage_add(u->server->store, &s->op, &s->row);
}

static void usage_take(void *arg, struct slice name, const struct used *used)
{
    struct usage *u = arg;
    struct sent *s = calloc(1, sizeof(*s) + name.len);
    CHECK(s);
    memcpy(s->name, name.ptr, name.len);
    s->usage = u;
    s->row = (struct usage_row){.module = slice_of(s->name, name.len),
                                .hour = u->hour,
                                .requests = (int64_t)used->requests,
                                .cpu_us = (int64_t)used->cpu_us,
                                .memory_byte_s = (int64_t)used->memory_byte_s,
                                .egress_bytes = (int64_t)used->egress_bytes};
    usage_send(u, s);
}

static void usage_round(struct usage *u)
{
    struct list *n, back;
    u->error.code = OK;
    u->is_retry = !list_is_empty(&u->back);
    list_splice_back(&u->asked, &u->waiting);
    u->on_way = 1;
    store_gather(u->server->store);
    if (u->is_retry) {
        list_init(&back);
        list_splice_back(&back, &u->back);
        while ((n = list_pop_front(&back)))
            usage_send(u, container_of(n, struct sent, link));
    } else {
        accounts_used(u->server->accounts, usage_take, u);
        u->hour = usage_hour_now();
    }
    store_send(u->server->store);
    if (--u->on_way == 0)
        usage_round_done(u);
}

static void usage_tick(struct timer *t)
{
    struct usage *u = container_of(t, struct usage, timer);
    /* The last round of an hour is soon after its end, so that little counts for the wrong one. */
    int64_t left_ms = ((usage_hour_now() + 1) * 3600 * INT64_C(1000000) - clock_wall_us()) / 1000;
    if (u->on_way == 0)
        usage_round(u);
    timer_start(u->loop, t,
                left_ms < LIMIT_USAGE_FLUSH_MS ? (uint64_t)left_ms + 1 : LIMIT_USAGE_FLUSH_MS,
                usage_tick);
}

struct usage *usage_new(struct server *s, struct loop *loop)
{
    struct usage *u = calloc(1, sizeof(*u));
    CHECK(u);
    u->server = s;
    u->loop = loop;
    list_init(&u->back);
    list_init(&u->waiting);
    list_init(&u->asked);
    u->hour = usage_hour_now();
    usage_tick(&u->timer);
    return u;
}

void usage_free(struct usage *u)
{
    struct list *n;
    if (!u)
        return;
    CHECK(u->on_way == 0);
    timer_stop(u->loop, &u->timer);
    while ((n = list_pop_front(&u->back)))
        free(container_of(n, struct sent, link));
    free(u);
}

void usage_flush(struct usage *u, struct usage_wait *w)
{
    list_push_back(&u->waiting, &w->link);
    if (u->on_way == 0)
        usage_round(u);
}
