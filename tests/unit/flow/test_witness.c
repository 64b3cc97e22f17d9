/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/witness.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 2, SLOTS = 3 };

static char folder[] = "/tmp/limpet-witness-XXXXXX";
static char path[64];

static int setup(void **state)
{
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/running", folder);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return rmdir(folder);
}

static const char *id(int n)
{
    static char text[8][40];
    snprintf(text[n % 8], sizeof(text[0]), "00000000-0000-7000-8000-%012d", n);
    return text[n % 8];
}

/* A process after one that ended as it is on the disk now: the last digits of whom it suspects. */
static struct witness *next(const char *expected)
{
    struct bytes suspects = BYTES_INIT;
    struct witness *w = NULL;
    struct error error = {0};
    char said[64] = "";
    assert_int_equal(witness_open(path, THREADS, SLOTS, &suspects, &w, &error), OK);
    assert_int_equal(suspects.len % 37, 0);
    for (size_t k = 0; k < suspects.len; k += 37) {
        assert_int_equal(strlen(suspects.ptr + k), 36);
        strncat(said, suspects.ptr + k + 35, 1);
    }
    assert_string_equal(said, expected);
    bytes_done(&suspects);
    return w;
}

static void those_that_ran_lately_are_suspects(void **state)
{
    struct witness *w = next("");
    uint32_t one = witness_enter(w, 0, id(1)), two = witness_enter(w, 1, id(2)),
             three = witness_enter(w, 1, id(3));
    (void)witness_enter(w, 0, id(4)); /* has not run yet */
    witness_step(w, 0, one, 1000);
    witness_step(w, 0, WITNESS_NOTHING, 1000);
    witness_step(w, 1, two, 1000 + WITNESS_RECENT_MS);
    witness_step(w, 1, three, 1000 + WITNESS_RECENT_MS);
    witness_step(w, 1, WITNESS_NOTHING, 1000 + WITNESS_RECENT_MS);
    witness_fell(w);
    struct witness *after = next("123"); /* w is as good as dead: nothing is written to it */
    /* What the process before that had is forgotten. */
    struct witness *last = next("");
    witness_close(w);
    witness_close(after);
    witness_close(last);
    w = next("");
    one = witness_enter(w, 0, id(1));
    two = witness_enter(w, 1, id(2));
    witness_step(w, 0, one, 1000);
    witness_step(w, 0, WITNESS_NOTHING, 1000);
    witness_step(w, 1, two, 1000);
    witness_step(w, 1, WITNESS_NOTHING, 1000);
    witness_leave(w, 1, two);
    witness_alive(w, 1, 1000 + WITNESS_RECENT_MS);
    witness_fell(w);
    after = next("1");
    witness_close(w);
    witness_close(after);
}

static void killed_from_outside_nobody_is_suspected(void **state)
{
    struct witness *w = next("");
    uint32_t one = witness_enter(w, 0, id(1));
    witness_step(w, 0, one, 1000);
    witness_step(w, 0, WITNESS_NOTHING, 1000);
    struct witness *after = next("");
    witness_close(w);
    witness_close(after);
}

static void long_ago_is_no_suspicion(void **state)
{
    struct witness *w = next("");
    uint32_t one = witness_enter(w, 0, id(1));
    witness_step(w, 0, one, 1000);
    witness_step(w, 0, WITNESS_NOTHING, 1000);
    witness_alive(w, 1, 1001 + WITNESS_RECENT_MS);
    witness_fell(w);
    struct witness *after = next("");
    witness_close(w);
    witness_close(after);
}

static void who_runs_is_the_suspect(void **state)
{
    struct witness *w = next("");
    uint32_t one = witness_enter(w, 0, id(1)), two = witness_enter(w, 1, id(2));
    witness_step(w, 0, one, 1000);
    witness_step(w, 0, WITNESS_NOTHING, 1000);
    witness_step(w, 1, two, 1000);
    witness_fell(w);
    struct witness *after = next("2");
    witness_close(w);
    witness_close(after);
    /* A function that runs clears them all. */
    w = next("");
    one = witness_enter(w, 0, id(1));
    witness_step(w, 0, one, 1000);
    witness_step(w, 0, WITNESS_NOTHING, 1000);
    witness_step(w, 1, WITNESS_FUNCTION, 1000);
    witness_fell(w);
    after = next("");
    witness_close(w);
    witness_close(after);
}

/* A server that has lost the store writes on, and ends, without harm to its successor. */
static void two_do_not_disturb_each_other(void **state)
{
    struct witness *first = next(""), *second = next("");
    witness_step(second, 0, witness_enter(second, 0, id(2)), 1000);
    witness_step(first, 0, witness_enter(first, 0, id(1)), 1000);
    witness_close(first);
    witness_fell(second);
    struct witness *third = next("2");
    witness_close(second);
    witness_close(third);
    assert_int_equal(access(path, F_OK), -1);
}

static void room_is_used_again(void **state)
{
    struct witness *w = next("");
    uint32_t slots[SLOTS];
    for (int round = 0; round < 10; round++) {
        for (int k = 0; k < SLOTS; k++)
            assert_int_not_equal(slots[k] = witness_enter(w, 0, id(k)), WITNESS_NOTHING);
        assert_int_equal(witness_enter(w, 0, id(7)), WITNESS_NOTHING);
        witness_leave(w, 0, WITNESS_NOTHING);
        for (int k = 0; k < SLOTS; k++)
            witness_leave(w, 0, slots[(k + round) % SLOTS]);
    }
    witness_close(w);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(witness_enter(NULL, 0, id(1)), WITNESS_NOTHING);
    witness_step(NULL, 0, WITNESS_FUNCTION, 1);
    witness_alive(NULL, 0, 1);
}

/* Of another program, of other settings, cut short: nobody is suspected, and it is used. */
static void a_file_of_another_shape_is_none(void **state)
{
    struct bytes suspects = BYTES_INIT;
    struct error error;
    struct witness *w = next(""), *other = NULL;
    witness_step(w, 0, witness_enter(w, 0, id(1)), 1000);
    witness_fell(w);
    assert_int_equal(truncate(path, 100), 0);
    struct witness *after = next("");
    witness_step(after, 0, witness_enter(after, 0, id(5)), 1000);
    witness_fell(after);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    close(fd);
    struct witness *last = next("");
    witness_step(last, 1, witness_enter(last, 1, id(6)), 1000);
    witness_fell(last);
    /* One that is larger is read as it was written. */
    assert_int_equal(witness_open(path, 1, 1, &suspects, &other, &error), OK);
    assert_int_equal(suspects.len, 37);
    bytes_done(&suspects);
    witness_close(other);
    assert_int_equal(witness_open("/nonexistent/running", 1, 1, &suspects, &other, &error), ERR_IO);
    /* Mappings of a file that was cut are not touched any more. */
    witness_close(last);
    witness_close(after);
    witness_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_ran_lately_are_suspects),
        cmocka_unit_test(killed_from_outside_nobody_is_suspected),
        cmocka_unit_test(long_ago_is_no_suspicion),
        cmocka_unit_test(who_runs_is_the_suspect),
        cmocka_unit_test(two_do_not_disturb_each_other),
        cmocka_unit_test(room_is_used_again),
        cmocka_unit_test(a_file_of_another_shape_is_none),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("flow/witness", tests, setup, teardown);
}
