/* SPDX-License-Identifier: Apache-2.0
 *
 * What the class of an op does, with a table of toy ops (toy/host/ops.def) whose handlers know nothing
 * of journals: they count how often they are called. The rest of the host is stood in for; the
 * executions are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../durable/world.h"
#include "host/op_table.c"
#include "host/recording.c"

/* ---- a guest without an isolate ---- */

static char memory[4096]; /* the guest's */
static size_t memory_used;
static struct guest guest;
static struct guest_durable durable;
static struct {
    unsigned add, note, dice, draw, query, send, ask, rest, alone;
    unsigned send_effect, ask_start, ask_call, stands;
    char started[128];
} calls;

char *isolate_memory(struct isolate *i, uint32_t at, size_t len)
{
    return at <= sizeof(memory) && len <= sizeof(memory) - at ? memory + at : NULL;
}

void isolate_trap(struct isolate *i, enum err code, const char *format, ...)
{
    fail_msg("trap: %s", format);
}

enum err op_refuse(struct guest *g, enum err code, const char *format, ...)
{
    char message[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return error_set(&g->op_error, code, "%s", message);
}

enum err op_refuse_large(struct guest *g, const char *what, size_t len, const char *instead)
{
    return op_refuse(g, ERR_TOO_LARGE, "%s", what);
}

enum err op_check_wait(struct guest *g)
{
    return OK;
}

enum err op_stand(struct guest *g, enum err (*run)(struct guest *g))
{
    calls.stands++;
    g->stand.is_working = true;
    enum err err = run(g);
    g->stand.is_working = false;
    return err;
}

struct op *op_find(struct guest *g, uint32_t id)
{
    return NULL;
}

void op_give_up(struct op *op)
{
    fail();
}

/* ---- handlers ---- */

enum err op_add(struct guest *g, const struct op_add_args *a)
{
    double sum = a->a + a->b;
    calls.add++;
    bytes_append(&g->result, &sum, sizeof(sum));
    return OK;
}

enum err op_note(struct guest *g, const struct op_note_args *a)
{
    calls.note++;
    return OK;
}

/* Another result each time. */
enum err op_dice(struct guest *g, const struct op_dice_args *a)
{
    bytes_printf(&g->result, "%u of %u", ++calls.dice, a->sides);
    return calls.dice % 2 ? OK : op_refuse(g, ERR_INVALID, "the dice fell off the table");
}

enum err op_draw_check(struct guest *g, struct op_draw_args *a)
{
    if (a->count > 10)
        return op_refuse(g, ERR_INVALID, "so many are not there");
    a->count &= ~1u;
    return OK;
}

enum err op_draw(struct guest *g, const struct op_draw_args *a)
{
    bytes_printf(&g->result, "drawn %u: %u", a->count, ++calls.draw);
    return OK;
}

enum err op_query(struct guest *g, const struct op_query_args *a)
{
    bytes_printf(&g->result, "row %u", ++calls.query);
    return OK;
}

enum err op_send(struct guest *g, const struct op_send_args *a)
{
    bytes_printf(&g->result, "sent %u", ++calls.send);
    return OK;
}

void op_send_effect(struct guest *g, const struct op_send_args *a)
{
    calls.send_effect++;
    struct execution_effect e = {.kind = EXECUTION_SEND_SIGNAL,
                                 .target = a->to,
                                 .name = SLICE_LIT("n"),
                                 .value = a->what,
                                 .id = bytes_slice(&g->result)};
    execution_effect(g->durable->execution, &e);
}

enum err op_ask(struct guest *g, const struct op_ask_args *a)
{
    calls.ask++;
    return OK;
}

enum err op_ask_call(struct guest *g, const struct op_ask_args *a, struct op_call *c)
{
    calls.ask_call++;
    c->call.kind = EXECUTION_EXTERNAL;
    bytes_append_u32(&c->more, 7);
    return a->body.len > 0 ? OK : op_refuse(g, ERR_INVALID, "nothing is asked");
}

enum err op_ask_start(struct guest *g, uint32_t id, struct op_ask_args *a)
{
    calls.ask_start++;
    snprintf(calls.started, sizeof(calls.started), "%u %.*s %u %.*s", id, SLICE_ARG(a->url),
             a->kind, SLICE_ARG(a->body));
    return a->kind == 13 ? op_refuse(g, ERR_NETWORK, "unlucky") : OK;
}

enum err op_rest(struct guest *g, const struct op_rest_args *a)
{
    calls.rest++;
    return OK;
}

enum err op_rest_call(struct guest *g, const struct op_rest_args *a, struct op_call *c)
{
    c->call.kind = EXECUTION_TIMER;
    c->call.delay_us = (int64_t)(a->ms * 1000);
    return OK;
}

enum err op_alone(struct guest *g, const struct op_alone_args *a)
{
    bytes_printf(&g->result, "%u", ++calls.alone);
    return OK;
}

/* ---- the world ---- */

static void start_call(void *ctx, uint32_t id, uint32_t op, struct slice args)
{
    (void)ctx;
    guest_start_call(&guest, id, op, args);
}

static int setup(void **state)
{
    int failed = world_setup(state);
    struct world *w = *state;
    memset(&calls, 0, sizeof(calls));
    memset(&guest, 0, sizeof(guest));
    durable = (struct guest_durable){.execution = w->x};
    guest.durable = &durable;
    w->port.start = start_call;
    return failed;
}

static int teardown(void **state)
{
    bytes_done(&guest.result);
    return world_teardown(state);
}

/* The code runs again, with what was stored. */
static void again(struct world *w)
{
    world_crash(w);
    durable.execution = w->x;
}

static uint64_t text(const char *s)
{
    size_t at = memory_used, len = strlen(s);
    assert_true(at + len < sizeof(memory) - 256);
    memcpy(memory + at, s, len);
    memory_used += len;
    return (uint64_t)len << 32 | at;
}

enum { SLOTS_AT = sizeof(memory) - 256 };

static enum err call(enum op_number op, size_t slots_len, const uint64_t *slots)
{
    memcpy(memory + SLOTS_AT, slots, slots_len * sizeof(*slots));
    bytes_clear(&guest.result);
    guest.op_error.code = OK;
    guest.op_number = op;
    enum err err = op_run(&guest, op_row(op), SLOTS_AT);
    memory_used = 0;
    return err;
}
#define CALL(op, ...)                                                                              \
    call(OP_NUMBER_##op, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})

static void assert_result(const char *expected)
{
    assert_string_equal(bytes_cstr(&guest.result), expected);
}

/* ---- tests ---- */

static void test_recorded(void **state)
{
    struct world *w = *state;
    assert_int_equal(CALL(DICE, 6, text("craps"), 1), OK);
    assert_result("1 of 6");
    assert_int_equal(CALL(DICE, 6, text("craps"), 1), ERR_INVALID); /* refusals are, too */
    assert_int_equal(CALL(DICE, 20, text(""), 1), OK);
    struct execution_batch *b = world_take(w);
    struct slice rest = bytes_slice(&b->records);
    struct record r;
    struct error e;
    assert_int_equal(b->count, 4); /* with START */
    assert_int_equal(record_take(&rest, &r, &e), OK);
    assert_int_equal(record_take(&rest, &r, &e), OK);
    assert_int_equal(r.kind, RECORD_SYNC);
    assert_int_equal(r.op, OP_NUMBER_DICE);
    assert_true(slice_eq_cstr(r.label, "craps"));
    assert_true(slice_eq_cstr(r.payload, "1 of 6"));
    execution_batch_free(b);
    again(w);
    assert_int_equal(CALL(DICE, 6, text("craps"), 2), OK); /* the hand does not matter */
    assert_result("1 of 6");
    assert_int_equal(CALL(DICE, 6, text("craps"), 1), ERR_INVALID);
    assert_string_equal(guest.op_error.message, "the dice fell off the table");
    assert_int_equal(calls.dice, 3);
    assert_int_equal(CALL(DICE, 6, text(""), 1), ERR_DIVERGED); /* it asked for 20 */
    assert_int_equal(calls.dice, 3);
}

static void test_checks_are_not_recorded(void **state)
{
    struct world *w = *state;
    assert_int_equal(CALL(DRAW, 11), ERR_INVALID);
    assert_int_equal(CALL(DRAW, 5), OK);
    assert_result("drawn 4: 1");
    world_commit(w);
    assert_int_equal(w->stored, 2);
    again(w);
    assert_int_equal(CALL(DRAW, 4), OK); /* the same in its usual form */
    assert_result("drawn 4: 1");
    assert_int_equal(CALL(DRAW, 11), ERR_INVALID);
    assert_int_equal(calls.draw, 1);
}

static void test_what_is_not_recorded(void **state)
{
    struct world *w = *state;
    assert_int_equal(CALL(ADD, 1, 2), OK);
    assert_int_equal(CALL(NOTE, text("x")), OK);
    assert_int_equal(CALL(ALONE, 1), OK);
    guest.scope = 3; /* in a step */
    assert_int_equal(CALL(DICE, 6, text(""), 1), OK);
    assert_int_equal(CALL(ASK, text("u"), 1, text("b")), OK);
    assert_int_equal(CALL(REST, 0), OK);
    guest.scope = 0;
    world_commit(w);
    assert_int_equal(w->stored, 1); /* START */
    guest.durable = NULL;
    assert_int_equal(CALL(DICE, 6, text(""), 1), ERR_INVALID);
    assert_int_equal(CALL(ASK, text("u"), 1, text("b")), OK);
    assert_int_equal(calls.ask, 2);
    assert_int_equal(calls.rest, 1);
    guest.durable = &durable;
    again(w);
    assert_int_equal(CALL(ALONE, 1), OK);
    assert_int_equal(calls.alone, 2);
}

static void test_sql(void **state)
{
    struct world *w = *state;
    assert_int_equal(CALL(QUERY, text("SELECT 1")), OK);
    assert_result("row 1");
    world_commit(w);
    again(w);
    assert_int_equal(CALL(QUERY, text("SELECT 1")), OK);
    assert_result("row 1");
    assert_int_equal(calls.query, 1);
    assert_int_equal(calls.stands, 2);
}

/* Of a record that the store does not have yet, the effects are stored again. */
static void test_transactional(void **state)
{
    struct world *w = *state;
    assert_int_equal(CALL(SEND, text("a"), text("1")), OK);
    struct execution_batch *b = world_take(w);
    assert_int_equal(b->effects_len, 1);
    assert_true(slice_eq_cstr(b->effects[0].target, "a"));
    assert_true(slice_eq_cstr(b->effects[0].id, "sent 1"));
    execution_batch_free(b);
    assert_int_equal(CALL(SEND, text("b"), text("2")), OK);
    CLEANUP(bytes_done) struct bytes tail = BYTES_INIT;
    int64_t first;
    bytes_append_slice(&tail, execution_tail(w->x, &first));
    execution_free(w->x);
    struct execution_config config = world_config(w);
    config.tail = bytes_slice(&tail);
    config.tail_first = first;
    w->x = durable.execution = execution_new(&config);
    assert_int_equal(CALL(SEND, text("a"), text("1")), OK);
    assert_int_equal(calls.send_effect, 2); /* of before */
    assert_int_equal(CALL(SEND, text("b"), text("2")), OK);
    assert_result("sent 2");
    assert_int_equal(calls.send, 2);
    assert_int_equal(calls.send_effect, 3);
    b = world_take(w);
    assert_int_equal(b->effects_len, 1);
    assert_true(slice_eq_cstr(b->effects[0].target, "b"));
    assert_true(slice_eq_cstr(b->effects[0].id, "sent 2"));
    execution_batch_free(b);
}

static void test_external(void **state)
{
    struct world *w = *state;
    struct execution_delivery d;
    uint32_t result[2];
    assert_int_equal(CALL(ASK, text("u"), 1, text("")), ERR_INVALID);
    assert_int_equal(CALL(ASK, text("url"), 2, text("body")), OK);
    assert_int_equal(guest.result.len, sizeof(result));
    memcpy(result, guest.result.ptr, sizeof(result));
    assert_int_equal(result[0], 1); /* the call's number */
    assert_int_equal(result[1], 7);
    assert_false(execution_next(w->x, &d));
    assert_string_equal(calls.started, "1 url 2 body");
    assert_int_equal(calls.ask, 0);
    execution_arrive(w->x, 1, OK, SLICE_LIT("answer"));
    assert_true(execution_next(w->x, &d));
    assert_int_equal(CALL(ASK, text("url"), 13, text("body")), OK); /* refused by its starter */
    assert_true(execution_next(w->x, &d));
    assert_int_equal(d.status, ERR_NETWORK);
    assert_true(slice_eq_cstr(d.payload, "unlucky"));
    world_commit(w);
    again(w);
    assert_int_equal(CALL(ASK, text("url"), 9, text("body")), OK); /* which kind may differ */
    assert_true(execution_next(w->x, &d));
    assert_true(slice_eq_cstr(d.payload, "answer"));
    assert_int_equal(calls.ask_start, 2);
}

static void test_suspending(void **state)
{
    struct world *w = *state;
    struct execution_delivery d;
    double ms = 2000;
    uint64_t bits;
    memcpy(&bits, &ms, sizeof(bits));
    assert_int_equal(CALL(REST, bits), OK);
    assert_false(execution_next(w->x, &d));
    assert_int_equal(execution_wake_us(w->x), w->now_us + 2000 * 1000);
    w->now_us += 2000 * 1000;
    execution_tick(w->x);
    assert_true(execution_next(w->x, &d));
    assert_int_equal(calls.rest, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_recorded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_checks_are_not_recorded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_recorded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sql, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transactional, setup, teardown),
        cmocka_unit_test_setup_teardown(test_external, setup, teardown),
        cmocka_unit_test_setup_teardown(test_suspending, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("host/op_table", tests, NULL, NULL);
}
