/* SPDX-License-Identifier: Apache-2.0
 *
 * Fair places: shares, turns, and that nothing is lost in a random life of them, held against a
 * count of our own after each step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fair.h"

enum { PLACES = 64 };

static struct fair f;
static struct fair_place places[1024];
static int grants;
static struct fair_place *last;
static struct account *owners[8];
static char members[64]; /* only their addresses count */
static int refusals;

static void granted(struct fair_place *p)
{
    assert_true(fair_is_held(p));
    last = p;
    grants++;
}

static void refused(struct fair *of)
{
    assert_ptr_equal(of, &f);
    refusals++;
}

static int up(void **state)
{
    (void)state;
    fair_init(&f, PLACES, RESOURCE_CONNECTIONS, refused);
    for (size_t i = 0; i < ARRAY_LEN(owners); i++)
        owners[i] = account_new(NULL, "module", SLICE_LIT("m"));
    refusals = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        places[i] = (struct fair_place){.granted = granted};
    grants = 0;
    last = NULL;
    return 0;
}

static int down(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        fair_leave(&f, &places[i]);
    assert_int_equal(map_count(&f.members), 0);
    assert_int_equal(map_count(&f.owners), 0);
    fair_done(&f);
    for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
        assert_true(account_is_single(owners[i]));
        assert_int_equal(budget_used(&owners[i]->budgets[RESOURCE_CONNECTIONS]), 0);
        account_unref(owners[i]);
    }
    return 0;
}

/* How many places are given at once to one who wants all, from places[at] on. */
static int greed(int at, int owner, int member)
{
    int held = 0;
    for (int i = 0; i < PLACES; i++)
        held += fair_enter(&f, &places[at + i], owners[owner], &members[member]);
    return held;
}

static void leaves_room_for_newcomers(void **state)
{
    (void)state;
    assert_int_equal(greed(0, 0, 0), PLACES / 4); /* half of what its owner may */
    assert_int_equal(greed(64, 0, 1), PLACES / 8);
    assert_int_equal(greed(128, 1, 2), PLACES / 4);
    for (int k = 2; k < 6; k++) /* whoever comes finds one */
        assert_true(fair_enter(&f, &places[700 + k], owners[k], &members[10 + k]));
    assert_int_equal(fair_member_held(&places[0]), PLACES / 4);
    assert_int_equal(fair_owner_held(&places[0]), PLACES / 4 + PLACES / 8);
}

static void one_owner_alone_holds_at_most_half(void **state)
{
    (void)state;
    int held = 0;
    for (int m = 0; m < 12; m++)
        held += greed(m * PLACES, 0, m);
    assert_int_equal(held, PLACES / 2);
    assert_true(fair_enter(&f, &places[900], owners[1], &members[50]));
}

static void serves_in_turns(void **state)
{
    (void)state;
    (void)greed(0, 0, 0);
    (void)greed(64, 0, 1);
    (void)greed(128, 1, 2);
    assert_int_equal(grants, 0);
    /* A member that gives back gets it again only if it is its turn and within its share. */
    fair_leave(&f, &places[128]);
    assert_int_equal(grants, 1);
    /* In its own queue the oldest comes first. */
    assert_ptr_equal(last, &places[128 + PLACES / 4]);
    /* What a member gives back goes to the one beside it that has less. */
    fair_leave(&f, &places[0]);
    assert_ptr_equal(last, &places[64 + PLACES / 8]);
}

static void who_waits_may_leave(void **state)
{
    (void)state;
    int held = greed(0, 0, 0);
    for (int i = held; i < PLACES; i++)
        fair_leave(&f, &places[i]);
    assert_int_equal(grants, 0);
    fair_leave(&f, &places[0]);
    assert_int_equal(grants, 0);
    fair_leave(&f, &places[0]);
    assert_true(fair_enter(&f, &places[0], owners[0], &members[0]));
}

static void hands_over(void **state)
{
    (void)state;
    int held = greed(0, 0, 0);
    fair_hand_over(&places[0], &places[500]);
    assert_true(fair_is_held(&places[500]));
    assert_false(fair_is_held(&places[0]));
    fair_leave(&f, &places[0]); /* holds nothing */
    assert_int_equal(grants, 0);
    fair_hand_over(&places[held], &places[501]); /* the first that waits */
    fair_leave(&f, &places[500]);
    assert_ptr_equal(last, &places[501]);
}

static void a_quota_bounds_an_owner(void **state)
{
    (void)state;
    account_limit(owners[0], RESOURCE_CONNECTIONS, 3);
    assert_int_equal(greed(0, 0, 0), 3);
    assert_true(refusals > 0);
    assert_true(fair_enter(&f, &places[200], owners[1], &members[1])); /* others do not see it */
    fair_leave(&f, &places[0]);
    assert_int_equal(grants, 1);
    assert_ptr_equal(last, &places[3]);
    /* What others gave back on another thread is seen when somebody looks. */
    account_limit(owners[0], RESOURCE_CONNECTIONS, 4);
    assert_int_equal(grants, 1);
    fair_retry(&f);
    assert_int_equal(grants, 2);
    assert_int_equal(budget_used(&owners[0]->budgets[RESOURCE_CONNECTIONS]), 4);
    fair_hand_over(&places[1], &places[300]);
    assert_int_equal(budget_used(&owners[0]->budgets[RESOURCE_CONNECTIONS]), 4);
}

/* What the account has again, by another thread, belongs to those of the owner who wait for it. */
static void a_newcomer_overtakes_nobody_at_a_quota(void **state)
{
    (void)state;
    account_limit(owners[0], RESOURCE_CONNECTIONS, 1);
    assert_true(fair_enter(&f, &places[0], owners[0], &members[0]));
    assert_false(fair_enter(&f, &places[1], owners[0], &members[1]));
    account_limit(owners[0], RESOURCE_CONNECTIONS, 2);
    assert_false(fair_enter(&f, &places[2], owners[0], &members[2]));
    assert_true(fair_enter(&f, &places[3], owners[1], &members[3])); /* others do not see it */
    fair_retry(&f);
    assert_int_equal(grants, 1);
    assert_ptr_equal(last, &places[1]);
    account_limit(owners[0], RESOURCE_CONNECTIONS, 3);
    fair_retry(&f);
    assert_ptr_equal(last, &places[2]);
    assert_true(fair_enter(&f, &places[4], owners[1], &members[4]));
}

static void an_owner_may_go_before_its_places(void **state)
{
    (void)state;
    struct account *gone = account_new(NULL, "module", SLICE_LIT("gone"));
    assert_true(fair_enter(&f, &places[0], gone, &members[0]));
    account_unref(gone);
    fair_leave(&f, &places[0]);
    assert_true(fair_enter(&f, &places[1], NULL, &members[0])); /* nobody's */
}

static void loses_nothing(void **state)
{
    (void)state;
    unsigned seed = 7;
    account_limit(owners[2], RESOURCE_CONNECTIONS, 5);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245u + 12345u;
        unsigned r = seed >> 8;
        struct fair_place *p = &places[r % 300];
        if (p->member)
            fair_leave(&f, p);
        else
            (void)fair_enter(&f, p, owners[(r >> 9) % 5], &members[(r >> 12) % 40]);
        unsigned held = 0, waiting = 0;
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
            held += places[i].member && places[i].is_held;
            waiting += places[i].member && !places[i].is_held;
        }
        assert_int_equal(held, f.used);
        assert_int_equal(waiting, f.waiting);
        assert_true(held <= PLACES);
        /* Nobody waits for what could be had. */
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
            const struct fair_place *w = &places[i];
            if (!w->member || w->is_held)
                continue;
            unsigned owner = fair_owner_held(w), member = fair_member_held(w);
            assert_true(f.used == PLACES || owner >= PLACES - f.used ||
                        member >= PLACES / 2 - owner || owner == 5);
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(leaves_room_for_newcomers),
        T(one_owner_alone_holds_at_most_half),
        T(serves_in_turns),
        T(who_waits_may_leave),
        T(hands_over),
        T(a_quota_bounds_an_owner),
        T(a_newcomer_overtakes_nobody_at_a_quota),
        T(an_owner_may_go_before_its_places),
        T(loses_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
