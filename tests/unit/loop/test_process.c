/* SPDX-License-Identifier: Apache-2.0
 *
 * Children are /bin/sh and cat. No time is asserted: what must not be waited for would last for
 * ever. */
#include "loop/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 60 * 1000 };

static struct process shell(const char *const argv[4], const char *script)
{
    const char **filled = (const char **)argv;
    filled[0] = "/bin/sh";
    filled[1] = "-c";
    filled[2] = script;
    filled[3] = NULL;
    return (struct process){.argv = argv, .time_ms_max = LONG_MS, .output_bytes_max = 1 << 20};
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void collects_all(void **state)
{
    const char *argv[4];
    const char *const env[] = {"GREETING=hi", NULL};
    struct process p = shell(argv, "cat; echo \"$GREETING $HOME\" >&2; pwd; exit 3");
    struct error e = {0};
    p.env = env;
    p.cwd = "/";
    p.input = SLICE_LIT("in\0put\n");
    assert_int_equal(process_run(&p, &e), OK);
    assert_int_equal(p.exit_code, 3);
    assert_true(slice_eq(bytes_slice(&p.out), SLICE_LIT("in\0put\n/\n")));
    assert_string_equal(bytes_cstr(&p.err), "hi \n");
    process_done(&p);
}

static void feeds_and_reads_at_once(void **state)
{
    enum { SIZE = 3 * 1000 * 1000 }; /* more than any pipe holds, both ways */
    char *input = malloc(SIZE);
    assert_non_null(input);
    for (size_t i = 0; i < SIZE; i++)
        input[i] = (char)(i * 7);
    const char *argv[] = {"/bin/cat", NULL};
    struct process p = {.argv = argv,
                        .input = slice_of(input, SIZE),
                        .time_ms_max = LONG_MS,
                        .output_bytes_max = SIZE};
    assert_int_equal(process_run(&p, NULL), OK); /* and the output just fits */
    assert_int_equal(p.exit_code, 0);
    assert_true(slice_eq(bytes_slice(&p.out), p.input));
    process_done(&p);
    free(input);
}

static void unread_input_is_no_error(void **state)
{
    static const char input[1 << 20];
    const char *argv[4];
    struct process p = shell(argv, "exec <&-; echo done");
    p.input = slice_of(input, sizeof(input));
    assert_int_equal(process_run(&p, NULL), OK);
    assert_string_equal(bytes_cstr(&p.out), "done\n");
    process_done(&p);
}

static void ends_at_its_deadline(void **state)
{
    const char *argv[4];
    struct process p = shell(argv, "echo started; sleep 1000 & sleep 1000; echo never");
    struct error e = {0};
    p.time_ms_max = 300;
    assert_int_equal(process_run(&p, &e), ERR_TIMEOUT);
    assert_non_null(strstr(e.message, "300 ms"));
    assert_int_equal(p.exit_code, -1);
    process_done(&p);
}

static void ends_at_its_output_limit(void **state)
{
    for (int stream = 1; stream <= 2; stream++) {
        const char *argv[4];
        struct process p = shell(argv, stream == 1 ? "while :; do echo xxxxxxxx; done"
                                                   : "while :; do echo xxxxxxxx >&2; done");
        struct error e = {0};
        p.output_bytes_max = 1000;
        assert_int_equal(process_run(&p, &e), ERR_LIMIT);
        assert_non_null(strstr(e.message, "1000 bytes"));
        assert_int_equal(stream == 1 ? p.out.len : p.err.len, 1000);
        process_done(&p);
    }
}

static void does_not_wait_for_grandchildren(void **state)
{
    const char *argv[4];
    struct process p = shell(argv, "sleep 1000 & echo $!; exit 0");
    assert_int_equal(process_run(&p, NULL), OK);
    pid_t grandchild = (pid_t)atol(bytes_cstr(&p.out));
    assert_true(grandchild > 1);
    /* It was killed with the group. Its zombie is the reaper's; we only may not find it running. */
    char path[64], status[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)grandchild);
    for (;;) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            break;
        ssize_t got = read(fd, status, sizeof(status) - 1);
        (void)close(fd);
        if (got <= 0)
            break;
        status[got] = '\0';
        const char *name_end = strrchr(status, ')');
        if (name_end && (name_end[2] == 'Z' || name_end[2] == 'X'))
            break;
        (void)sched_yield();
    }
    process_done(&p);
}

static void reports_why_it_did_not_start(void **state)
{
    const char *argv[] = {"/nonexistent/program", NULL};
    struct process p = {.argv = argv, .time_ms_max = LONG_MS};
    struct error e = {0};
    assert_int_equal(process_run(&p, &e), ERR_IO);
    assert_non_null(strstr(e.message, "/nonexistent/program"));
    assert_non_null(strstr(e.message, "No such file"));
    process_done(&p);

    const char *shell_argv[4];
    struct process q = shell(shell_argv, "echo never");
    q.cwd = "/nonexistent";
    assert_int_equal(process_run(&q, &e), ERR_IO);
    assert_non_null(strstr(e.message, "folder"));
    process_done(&q);
}

static void reports_a_signal(void **state)
{
    const char *argv[4];
    struct process p = shell(argv, "kill -9 $$");
    assert_int_equal(process_run(&p, NULL), OK);
    assert_int_equal(p.exit_code, -1);
    process_done(&p);
}

static void limits_memory(void **state)
{
    const char *argv[4];
    struct process p = shell(argv, "ulimit -d; ulimit -c");
    p.memory_bytes_max = 64 * 1024 * 1024;
    assert_int_equal(process_run(&p, NULL), OK);
    assert_string_equal(bytes_cstr(&p.out), "65536\n0\n");
    process_done(&p);
}

static void gives_a_clean_start(void **state)
{
    /* A descriptor without close-on-exec, as a library might open it, and an ignored signal. */
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    const char *argv[4];
    struct process p = shell(argv, "ls -l /proc/$$/fd; grep SigIgn /proc/$$/status");
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    p.env = env;
    assert_int_equal(process_run(&p, NULL), OK);
    const char *out = bytes_cstr(&p.out);
    assert_non_null(strstr(out, "pipe:"));
    assert_null(strstr(out, "socket:"));
    /* But for 32 and 33, which are libc's own and cannot be set: GNU make leaves them ignored. */
    const char *ignored = strstr(out, "SigIgn:\t");
    assert_non_null(ignored);
    assert_int_equal(strtoull(ignored + 8, NULL, 16) & ~0x180000000ULL, 0);
    process_done(&p);
    (void)signal(SIGPIPE, before);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void dies_with_its_parent(void **state)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        /* The grandchild gets the pipe by a path that close-on-exec does not hide from it. */
        const char *argv[4];
        char script[128];
        (void)snprintf(script, sizeof(script), "exec 9>/proc/%d/fd/%d; echo x >&9; exec sleep 1000",
                       (int)getpid(), ends[1]);
        struct process p = shell(argv, script);
        p.time_ms_max = LONG_MS;
        _exit(process_run(&p, NULL) == OK ? 0 : 1);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1); /* the grandchild is up */
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    while (read(ends[0], &byte, 1) > 0) /* ends when the last holder of the pipe is gone */
        continue;
    (void)close(ends[0]);
}

static void *run_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        const char *argv[4];
        struct process p = shell(argv, "cat; exit 7");
        p.input = SLICE_LIT("abc");
        CHECK(process_run(&p, NULL) == OK);
        CHECK(p.exit_code == 7 && slice_eq_cstr(bytes_slice(&p.out), "abc"));
        process_done(&p);
    }
    return NULL;
}

static void runs_on_many_threads(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_some, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void leaks_no_descriptors(void **state)
{
    size_t before = open_descriptors();
    collects_all(state);
    ends_at_its_output_limit(state);
    reports_why_it_did_not_start(state);
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collects_all),
        cmocka_unit_test(feeds_and_reads_at_once),
        cmocka_unit_test(unread_input_is_no_error),
        cmocka_unit_test(ends_at_its_deadline),
        cmocka_unit_test(ends_at_its_output_limit),
        cmocka_unit_test(does_not_wait_for_grandchildren),
        cmocka_unit_test(reports_why_it_did_not_start),
        cmocka_unit_test(reports_a_signal),
        cmocka_unit_test(limits_memory),
        cmocka_unit_test(gives_a_clean_start),
        cmocka_unit_test(dies_with_its_parent),
        cmocka_unit_test(runs_on_many_threads),
        cmocka_unit_test(leaks_no_descriptors),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("loop/process", tests, NULL, NULL);
}
