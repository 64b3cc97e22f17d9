/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static void fills_every_size(void **state)
{
    unsigned char bytes[2000];
    for (size_t len = 0; len < sizeof(bytes); len += 1 + len / 7) {
        memset(bytes, 0xa5, sizeof(bytes));
        random_bytes(bytes, len);
        for (size_t i = len; i < sizeof(bytes); i++)
            assert_int_equal(bytes[i], 0xa5);
        size_t zeros = 0;
        for (size_t i = 0; i < len; i++)
            zeros += bytes[i] == 0;
        assert_true(zeros <= len / 8 + 8); /* wiped storage must not be handed out */
    }
}

static void never_repeats(void **state)
{
    enum { COUNT = 2000 };
    static uint64_t seen[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        seen[i] = random_u64();
        for (size_t k = 0; k < i; k++)
            assert_false(seen[i] == seen[k]);
    }
}

static void child_draws_its_own(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)random_u64(); /* fills the buffer that fork() copies */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        uint64_t drawn = random_u64();
        _exit(write(ends[1], &drawn, sizeof(drawn)) == sizeof(drawn) ? 0 : 1);
    }
    uint64_t ours = random_u64(), theirs;
    assert_int_equal(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(ours == theirs);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void makes_ids_that_sort(void **state)
{
    char id[RANDOM_ID_SIZE], before[RANDOM_ID_SIZE] = "";
    for (int i = 0; i < 1000; i++) {
        random_uuid7(id);
        assert_int_equal(strlen(id), 36);
        assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
        assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(strncmp(id, before, 18) >= 0); /* the time part; below it is chance */
        assert_string_not_equal(id, before);
        memcpy(before, id, sizeof(id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_every_size),
        cmocka_unit_test(never_repeats),
        cmocka_unit_test(child_draws_its_own),
        cmocka_unit_test(makes_ids_that_sort),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/random", tests, NULL, NULL);
}
