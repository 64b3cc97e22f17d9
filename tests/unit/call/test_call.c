/* SPDX-License-Identifier: Apache-2.0
 *
 * Both ends of a call, as if on two threads: a carrier of the test's keeps what each end has told the
 * other, and every order of deliveries and of what the ends do is tried. A run is a list of choices; the
 * next one is the last with its last choice that can be higher, so all are tried without a state being
 * copied. Where that would be millions, some are drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "call/call.h"

enum {
    CHOICES_MAX = 256,
    QUEUE_MAX = 64,
    CHUNKS = 3,
    DRAWN = 500,
    CHUNK_BYTES = LIMIT_HTTP_BODY_WINDOW_BYTES
};

/* What the ends do when they are asked to do something. */
struct scenario {
    const char *name;
    bool has_body;    /* the caller sends CHUNKS chunks */
    bool may_give_up; /* the caller may end at any time */
    bool may_die;     /* the callee may fail, or break off, at any time */
    bool is_refused, moves;
    bool answers_early; /* the callee does not wait for the body */
    bool is_drawn;      /* not every order */
};

struct side {
    struct post *queue[QUEUE_MAX]; /* told to it, oldest first */
    size_t head, tail;
    bool is_open, is_over; /* over: it was told so */
    bool may_send;         /* drained came, or is not needed */
    unsigned sent, got;    /* chunks */
    size_t got_bytes;      /* of the chunk that is coming */
    size_t held;           /* got, and not taken */
    bool has_whole, is_broken;
};

static struct {
    const struct scenario *scenario;
    unsigned choice[CHOICES_MAX], options[CHOICES_MAX];
    size_t at, len;
    struct call *call;
    struct side sides[2];
    unsigned answers; /* of any sort, that the caller got */
    bool has_failed, has_answered /* the callee */, wants_body, is_moved;
    uint32_t dice;
} world;

static char chunks[CHUNKS][CHUNK_BYTES];

static unsigned choose(unsigned options)
{
    assert_true(options > 0 && world.at < CHOICES_MAX);
    if (world.scenario->is_drawn) {
        world.dice = world.dice * 1664525 + 1013904223;
        return (world.dice >> 8) % options;
    }
    if (world.at == world.len) {
        world.choice[world.len] = 0;
        world.options[world.len++] = options;
    }
    assert_int_equal(world.options[world.at], options);
    return world.choice[world.at++];
}

/* On to the next list of choices; false: that was the last. */
static bool choose_next(void)
{
    while (world.len > 0 && world.choice[world.len - 1] + 1 == world.options[world.len - 1])
        world.len--;
    if (world.len == 0)
        return false;
    world.choice[world.len - 1]++;
    return true;
}

static void carry(struct call *c, enum call_side to, struct post *p)
{
    struct side *s = &world.sides[to];
    assert_true(s->tail < QUEUE_MAX);
    s->queue[s->tail++] = p;
}

static const struct call_carrier carrier = {carry};

/* ---- events ---- */

static struct side *open_side(struct side *s)
{
    assert_true(s->is_open); /* no event after the end */
    return s;
}

static void on_data(struct call *c, void *user, struct slice data, struct bytes *own, bool is_end)
{
    struct side *s = open_side(user);
    assert_false(s->has_whole || s->is_broken);
    assert_ptr_equal(own->ptr, data.ptr);
    struct bytes mine = *own; /* buffers change hands */
    *own = BYTES_INIT;
    for (size_t k = 0; k < data.len; k += CHUNK_BYTES / 4)
        assert_int_equal(data.ptr[k], 'a' + (int)s->got);
    s->got += data.len > 0;
    s->held += data.len;
    s->has_whole = is_end;
    /* Whatever the order: never more than a window and what was sent on top of it. */
    assert_true(s->held <= LIMIT_HTTP_BODY_WINDOW_BYTES + CHUNK_BYTES);
    bytes_done(&mine);
}

static void on_broken(struct call *c, void *user, const struct error *error)
{
    struct side *s = open_side(user);
    assert_false(s->has_whole || s->is_broken);
    assert_int_equal(error->code, ERR_NETWORK);
    s->is_broken = true;
}

static void on_drained(struct call *c, void *user)
{
    open_side(user)->may_send = true;
}

static void on_answered(struct call *c, void *user, const struct call_answer *a)
{
    open_side(user);
    assert_int_equal(++world.answers, 1);
    assert_int_equal(a->status, 201);
    assert_int_equal(a->headers_len, 1);
    assert_true(slice_eq_cstr(a->headers[0].value, "yes"));
    assert_int_equal(c->version, 7);
}

static void on_failed(struct call *c, void *user, const struct call_failure *f)
{
    open_side(user);
    assert_int_equal(++world.answers, 1);
    assert_int_equal(f->error.code, ERR_OVERLOAD);
    world.has_failed = true;
}

static void on_over(struct call *c, void *user)
{
    struct side *s = open_side(user);
    assert_false(s->is_over);
    s->is_over = true;
}

static const struct call_events events = {
    .data = on_data,
    .broken = on_broken,
    .drained = on_drained,
    .answered = on_answered,
    .failed = on_failed,
    .over = on_over,
};

static void end(enum call_side side)
{
    world.sides[side].is_open = false;
    call_end(world.call, side);
}

static const struct error refusal = {.code = ERR_OVERLOAD, .message = "full"};

static void accept_call(void *ctx, struct call *c)
{
    if (world.scenario->moves && !world.is_moved) {
        world.is_moved = true;
        call_move(c, NULL, ctx);
        return;
    }
    if (world.scenario->is_refused) {
        call_refuse(c, &refusal);
        return;
    }
    call_take_up(c, &events, &world.sides[CALL_CALLEE], 7);
    world.sides[CALL_CALLEE].is_open = true;
}

/* ---- what an end does next ---- */

typedef void act_fn(void);

static void send_chunk(enum call_side from)
{
    struct side *s = &world.sides[from];
    struct slice data = slice_of(chunks[s->sent], CHUNK_BYTES);
    s->sent++;
    s->may_send = call_send(world.call, from, data, s->sent == CHUNKS);
}

static void take(enum call_side by)
{
    struct side *s = &world.sides[by];
    size_t n = s->held;
    s->held = 0;
    call_taken(world.call, by, n);
}

static void caller_send(void)
{
    send_chunk(CALL_CALLER);
}

static void caller_take(void)
{
    take(CALL_CALLER);
}

static void caller_end(void)
{
    end(CALL_CALLER);
}

static void callee_want(void)
{
    world.wants_body = true;
    call_want_body(world.call);
}

static void callee_take(void)
{
    take(CALL_CALLEE);
}

static void callee_answer(void)
{
    const struct http_header header = {SLICE_LIT("x-there"), SLICE_LIT("yes")};
    const struct call_answer a = {.status = 201, .headers = &header, .headers_len = 1};
    world.has_answered = true;
    world.sides[CALL_CALLEE].may_send = true;
    call_answer(world.call, &a);
}

static void callee_send(void)
{
    send_chunk(CALL_CALLEE);
}

static void callee_end(void)
{
    end(CALL_CALLEE);
}

static void callee_die(void)
{
    const struct error e = {.code = ERR_NETWORK};
    if (world.has_answered)
        call_break(world.call, CALL_CALLEE, &e);
    else
        call_fail(world.call, &(struct call_failure){.error = refusal});
    end(CALL_CALLEE);
}

static size_t caller_acts(act_fn **ret)
{
    const struct side *s = &world.sides[CALL_CALLER];
    size_t n = 0;
    if (!s->is_open)
        return 0;
    if (world.scenario->has_body && s->may_send && s->sent < CHUNKS && !s->is_over)
        ret[n++] = caller_send;
    if (s->held > 0)
        ret[n++] = caller_take;
    if (s->is_over || world.scenario->may_give_up)
        ret[n++] = caller_end;
    return n;
}

static size_t callee_acts(act_fn **ret)
{
    const struct scenario *what = world.scenario;
    const struct side *s = &world.sides[CALL_CALLEE];
    size_t n = 0;
    if (!s->is_open)
        return 0;
    if (what->has_body && !world.wants_body)
        ret[n++] = callee_want;
    if (s->held > 0)
        ret[n++] = callee_take;
    if (!world.has_answered && (!what->has_body || what->answers_early || s->has_whole))
        ret[n++] = callee_answer;
    if (world.has_answered && s->may_send && s->sent < CHUNKS)
        ret[n++] = callee_send;
    if ((s->sent == CHUNKS && s->held == 0) || s->is_over)
        ret[n++] = callee_end;
    if (what->may_die && s->sent < CHUNKS)
        ret[n++] = callee_die;
    return n;
}

static void deliver(enum call_side to)
{
    struct side *s = &world.sides[to];
    struct post *p = s->queue[s->head++];
    p->fn(p);
}

/* One choice of whatever can happen; false: nothing can. */
static bool step(void)
{
    act_fn *acts[16];
    size_t n = caller_acts(acts);
    n += callee_acts(acts + n);
    unsigned first = (unsigned)n;
    bool to_caller = world.sides[CALL_CALLER].head < world.sides[CALL_CALLER].tail;
    bool to_callee = world.sides[CALL_CALLEE].head < world.sides[CALL_CALLEE].tail;
    unsigned options = first + to_caller + to_callee;
    if (options == 0)
        return false;
    unsigned k = choose(options);
    if (k < first)
        acts[k]();
    else
        deliver(k == first && to_caller ? CALL_CALLER : CALL_CALLEE);
    return true;
}

static void check_run(void)
{
    const struct scenario *what = world.scenario;
    const struct side *caller = &world.sides[CALL_CALLER], *callee = &world.sides[CALL_CALLEE];
    assert_false(caller->is_open);
    assert_false(callee->is_open);
    if (what->may_give_up || what->may_die)
        return;
    assert_int_equal(world.answers, 1);
    assert_int_equal(world.has_failed, what->is_refused);
    assert_true(what->is_refused || caller->has_whole);
    assert_true(!what->has_body || what->answers_early || what->is_refused || callee->has_whole);
}

static void run(struct account *account)
{
    const struct scenario *scenario = world.scenario;
    memset(world.sides, 0, sizeof(world.sides));
    world.at = 0;
    world.answers = 0;
    world.has_failed = world.has_answered = world.wants_body = world.is_moved = false;
    struct call *c = world.call = call_new(CALL_FETCH, account);
    c->request.has_stream = scenario->has_body;
    world.sides[CALL_CALLER].is_open = true;
    call_start_by(c, &carrier, &events, &world.sides[CALL_CALLER], accept_call, NULL);
    while (step()) {
    }
    check_run();
    assert_int_equal(budget_used(&account->budgets[RESOURCE_MEMORY]), 0);
    assert_true(account_is_single(account)); /* the call is gone */
}

static unsigned try_all(const struct scenario *what)
{
    struct account *account = account_new(NULL, "module", SLICE_LIT("a"));
    unsigned runs = 0;
    world.scenario = what;
    world.len = 0;
    do {
        run(account);
        runs++;
    } while (what->is_drawn ? runs < DRAWN : choose_next());
    account_unref(account);
    return runs;
}

static void test_every_order(void **state)
{
    static const struct scenario all[] = {
        {"an answer that streams"},
        {"given up at any time", .may_give_up = true},
        {"the callee dies at any time", .may_die = true},
        {"refused", .is_refused = true},
        {"refused, and given up", .is_refused = true, .may_give_up = true},
        {"moved to another thread, and given up", .moves = true, .may_give_up = true},
        {"a body, read before the answer", .has_body = true},
        {"an answer that does not wait for the body", .has_body = true, .answers_early = true,
         .is_drawn = true},
        {"a body, given up or dead", .has_body = true, .may_give_up = true, .may_die = true,
         .is_drawn = true},
        {"all of that, and moved", .has_body = true, .may_give_up = true, .may_die = true,
         .answers_early = true, .moves = true, .is_drawn = true},
    };
    for (size_t k = 0; k < CHUNKS; k++)
        memset(chunks[k], 'a' + (int)k, CHUNK_BYTES);
    for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
        print_message("# %s: %u orders\n", all[k].name, try_all(&all[k]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_order)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
