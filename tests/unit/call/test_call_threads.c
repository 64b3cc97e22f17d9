/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls between two threads with loops of their own, many at once and in both directions: bodies go up and
 * come back while either end may give up, fail, break off or refuse, or the call moves to the caller's own
 * thread. Every call ends at both ends, what was not broken off arrives whole, and nothing stays charged.
 * Meant for ThreadSanitizer too; which orders come about is the scheduler's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "call/call.h"
#include "loop/loop.h"

enum {
    NODES = 2,
    CALLS = 400, /* that each makes */
    AT_ONCE = 16,
    CHUNK_BYTES = LIMIT_HTTP_BODY_WINDOW_BYTES / 3,
    CHUNKS_MAX = 8,
};

enum fate { PLAIN, GIVEN_UP, FAILED, BROKEN, REFUSED, MOVED, FATES };

struct node {
    struct loop loop;
    pthread_t thread;
    struct node *other;
    unsigned started, ended; /* calls that it made */
    unsigned serving;        /* that it answers */
    unsigned fates[FATES];
    uint32_t dice;
};

/* A caller's end, then a callee's; each is its own thread's. */
struct caller {
    struct node *node;
    struct call *call;
    enum fate fate;
    unsigned chunks, sent; /* to send */
    size_t got;
    bool is_answered, is_whole, is_broken, is_failed;
};

struct callee {
    struct node *node;
    struct call *call;
    enum fate fate;
    size_t got, owed; /* owed: to be sent back */
    bool has_all, is_full;
};

static struct node nodes[NODES];
static atomic_uint nodes_done;
static char chunk[CHUNK_BYTES];
static struct account *account;

static unsigned roll(struct node *n, unsigned sides)
{
    n->dice = n->dice * 1664525 + 1013904223;
    return (n->dice >> 8) % sides;
}

/* ---- the callee: what it gets goes back ---- */

static void callee_end(struct callee *s)
{
    s->node->serving--;
    call_end(s->call, CALL_CALLEE);
    free(s);
}

static void callee_go_on(struct callee *s)
{
    while (s->owed > 0 && !s->is_full) {
        size_t n = s->owed < CHUNK_BYTES ? s->owed : CHUNK_BYTES;
        s->owed -= n;
        bool is_last = s->has_all && s->owed == 0;
        s->is_full = !call_send(s->call, CALL_CALLEE, slice_of(chunk, n), is_last);
        call_taken(s->call, CALL_CALLEE, n);
        if (is_last) {
            callee_end(s);
            return;
        }
    }
}

static void callee_data(struct call *c, void *user, struct slice data, struct bytes *own,
                        bool is_end)
{
    struct callee *s = user;
    CHECK(!s->has_all);
    s->got += data.len;
    s->owed += data.len;
    s->has_all = is_end;
    if (s->fate == BROKEN && s->got > CHUNK_BYTES) {
        struct error e = {.code = ERR_NETWORK};
        call_break(c, CALL_CALLEE, &e);
        callee_end(s);
        return;
    }
    callee_go_on(s);
}

static void callee_broken(struct call *c, void *user, const struct error *error)
{
    CHECK(error->code == ERR_NETWORK);
}

static void callee_drained(struct call *c, void *user)
{
    struct callee *s = user;
    s->is_full = false;
    callee_go_on(s);
}

static void callee_over(struct call *c, void *user)
{
    callee_end(user);
}

static const struct call_events callee_events = {
    .data = callee_data, .broken = callee_broken, .drained = callee_drained, .over = callee_over};

static void serve(void *ctx, struct call *c)
{
    struct node *n = ctx;
    const enum fate fate = (enum fate)c->request.what;
    if (fate == REFUSED) {
        const struct error e = {.code = ERR_OVERLOAD, .message = "full"};
        call_refuse(c, &e);
        return;
    }
    if (fate == MOVED && !c->request.depth) {
        c->request.depth = 1;
        call_move(c, &n->other->loop, n->other);
        return;
    }
    struct callee *s = calloc(1, sizeof(*s));
    CHECK(s);
    *s = (struct callee){.node = n, .call = c, .fate = fate};
    n->serving++;
    call_take_up(c, &callee_events, s, 1);
    if (fate == FAILED) {
        struct call_failure f = {.error = {.code = ERR_GUEST}};
        call_fail(c, &f);
        callee_end(s);
        return;
    }
    call_answer(c, &(struct call_answer){.status = 200, .body_len = -1});
    call_want_body(c);
}

/* ---- the caller ---- */

static void start_more(struct node *n);

static void caller_check(const struct caller *k)
{
    const size_t all = (size_t)k->chunks * CHUNK_BYTES;
    CHECK(k->got <= all);
    switch (k->fate) {
    case PLAIN:
    case MOVED:
        CHECK(k->is_answered && k->is_whole && k->got == all);
        break;
    case FAILED:
    case REFUSED:
        CHECK(k->is_failed && !k->is_answered);
        break;
    case BROKEN:
        CHECK(k->is_broken || k->is_whole);
        break;
    default:
        break;
    }
}

static void node_is_done(void)
{
    if (atomic_fetch_add(&nodes_done, 1) + 1 < NODES)
        return;
    for (int i = 0; i < NODES; i++)
        loop_stop(&nodes[i].loop);
}

static void caller_end(struct caller *k)
{
    struct node *n = k->node;
    caller_check(k);
    n->fates[k->fate]++;
    call_end(k->call, CALL_CALLER);
    free(k);
    n->ended++;
    if (n->ended == CALLS)
        node_is_done();
    else
        start_more(n);
}

static void caller_send(struct caller *k)
{
    bool may_go_on = true;
    while (may_go_on && k->sent < k->chunks) {
        if (k->fate == GIVEN_UP && k->sent == k->chunks / 2) {
            caller_end(k);
            return;
        }
        k->sent++;
        may_go_on =
            call_send(k->call, CALL_CALLER, slice_of(chunk, CHUNK_BYTES), k->sent == k->chunks);
    }
}

static void caller_data(struct call *c, void *user, struct slice data, struct bytes *own,
                        bool is_end)
{
    struct caller *k = user;
    CHECK(!k->is_whole && !k->is_broken);
    k->got += data.len;
    k->is_whole = is_end;
    call_taken(c, CALL_CALLER, data.len);
}

static void caller_broken(struct call *c, void *user, const struct error *error)
{
    ((struct caller *)user)->is_broken = true;
}

static void caller_drained(struct call *c, void *user)
{
    caller_send(user);
}

static void caller_answered(struct call *c, void *user, const struct call_answer *a)
{
    CHECK(a->status == 200);
    ((struct caller *)user)->is_answered = true;
}

static void caller_failed(struct call *c, void *user, const struct call_failure *f)
{
    struct caller *k = user;
    CHECK(f->error.code == (k->fate == REFUSED ? ERR_OVERLOAD : ERR_GUEST));
    k->is_failed = true;
}

static void caller_over(struct call *c, void *user)
{
    caller_end(user);
}

static const struct call_events caller_events = {.data = caller_data,
                                                 .broken = caller_broken,
                                                 .drained = caller_drained,
                                                 .answered = caller_answered,
                                                 .failed = caller_failed,
                                                 .over = caller_over};

static void start_one(struct node *n)
{
    struct caller *k = calloc(1, sizeof(*k));
    CHECK(k);
    *k = (struct caller){.node = n,
                         .fate = (enum fate)roll(n, FATES),
                         .chunks = 1 + roll(n, CHUNKS_MAX),
                         .call = call_new(CALL_FETCH, account)};
    k->call->request.has_stream = true;
    k->call->request.what = (uint32_t)k->fate;
    n->started++;
    call_start(k->call, &n->loop, &n->other->loop, &caller_events, k, serve, n->other);
}

static void start_more(struct node *n)
{
    while (n->started < CALLS && n->started - n->ended < AT_ONCE)
        start_one(n);
}

/* ---- threads ---- */

static void begun(struct post *p)
{
    for (int i = 0; i < NODES; i++)
        if (pthread_equal(nodes[i].thread, pthread_self()))
            start_more(&nodes[i]);
    free(p);
}

static void *node_main(void *arg)
{
    struct node *n = arg;
    loop_run(&n->loop);
    loop_done(&n->loop);
    return NULL;
}

static void two_threads_call_each_other(void **state)
{
    account = account_new(NULL, "module", SLICE_LIT("a"));
    for (int i = 0; i < NODES; i++) {
        nodes[i] = (struct node){.other = &nodes[1 - i], .dice = (uint32_t)i + 1};
        loop_init(&nodes[i].loop);
    }
    for (int i = 0; i < NODES; i++)
        assert_int_equal(pthread_create(&nodes[i].thread, NULL, node_main, &nodes[i]), 0);
    for (int i = 0; i < NODES; i++) {
        struct post *p = calloc(1, sizeof(*p));
        assert_non_null(p);
        p->fn = begun;
        loop_post(&nodes[i].loop, p);
    }
    for (int i = 0; i < NODES; i++)
        assert_int_equal(pthread_join(nodes[i].thread, NULL), 0);
    bool has_more = true;
    while (has_more) { /* what was told to a loop that had ended */
        has_more = false;
        for (int i = 0; i < NODES; i++)
            has_more |= loop_deliver_late(&nodes[i].loop);
    }
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(nodes[i].ended, CALLS);
        assert_int_equal(nodes[i].serving, 0);
        for (int f = 0; f < FATES; f++)
            assert_true(nodes[i].fates[f] > 0);
    }
    assert_int_equal(budget_used(&account->budgets[RESOURCE_MEMORY]), 0);
    assert_true(account_is_single(account));
    account_unref(account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_threads_call_each_other)};
    memset(chunk, 'x', sizeof(chunk));
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("call_threads", tests, NULL, NULL);
}
