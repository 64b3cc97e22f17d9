/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs fn in a child that is expected to abort, and returns what it said. */
static const char *last_words(void (*fn)(void))
{
    static char said[1024];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL); /* cmocka and sanitizers have theirs */
        (void)dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while ((got = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)got;
    said[len] = '\0';
    (void)close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return said;
}

static void fail_a_check(void)
{
    CHECK(1 + 1 == 3);
}

static void say_too_much(void)
{
    char text[2000];
    memset(text, 'x', sizeof(text));
    check_fatal("%.*s", (int)sizeof(text), text);
}

static void names_the_condition(void **state)
{
    assert_non_null(strstr(last_words(fail_a_check), "CHECK failed: 1 + 1 == 3 ("));
    assert_non_null(strstr(last_words(fail_a_check), "test_check.c:"));
}

static void cuts_long_words(void **state)
{
    const char *said = last_words(say_too_much);
    assert_int_equal(strncmp(said, "fatal: xxx", 10), 0);
    assert_int_equal(said[strlen(said) - 1], '\n');
    assert_true(strlen(said) <= 512);
}

static int cleanups;

static void count_cleanup(int **p)
{
    cleanups += *p != NULL;
}

static int *hand_over(int *of)
{
    CLEANUP(count_cleanup) int *p = of;
    return TAKE(p);
}

static void take_disarms_cleanup(void **state)
{
    int value = 0;
    cleanups = 0;
    assert_ptr_equal(hand_over(&value), &value);
    assert_int_equal(cleanups, 0);
    {
        CLEANUP(count_cleanup) int *kept = &value;
        assert_ptr_equal(kept, &value);
    }
    assert_int_equal(cleanups, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_condition),
        cmocka_unit_test(cuts_long_words),
        cmocka_unit_test(take_disarms_cleanup),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/check", tests, NULL, NULL);
}
