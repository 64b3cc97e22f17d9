/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard error is turned into a pipe while a line is written. */
#include "base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"

static char line[32 * 1024];
static int saved_stderr = -1, pipe_out = -1;

static void capture_start(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(saved_stderr >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    (void)close(ends[1]);
    pipe_out = ends[0];
}

/* Everything after the time, "" if nothing was written. */
static const char *capture_end(void)
{
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0); /* closes the pipe's last writing end */
    (void)close(saved_stderr);
    size_t len = 0;
    ssize_t got;
    while ((got = read(pipe_out, line + len, sizeof(line) - 1 - len)) > 0)
        len += (size_t)got;
    line[len] = '\0';
    (void)close(pipe_out);
    const char *rest = strchr(line, ' ');
    if (!rest)
        return line;
    assert_int_equal(strncmp(line, "time=2", 6), 0);
    return rest + 1;
}

static void writes_fields(void **state)
{
    capture_start();
    log_warn("lease lost", LOG_STR("id", "abc"), LOG_INT("epoch", -3), LOG_STR("none", NULL));
    assert_string_equal(capture_end(), "level=warn msg=\"lease lost\" id=abc epoch=-3 none=\"\"\n");
    capture_start();
    log_info("up");
    assert_string_equal(capture_end(), "level=info msg=\"up\"\n");
}

static void disarms_values(void **state)
{
    capture_start();
    log_error("bad", LOG_SLICE("v", SLICE_LIT("a b\n level=\"x\\\x1b[31m\xff\xc3\xbc\xc2\x9b\0")));
    assert_string_equal(capture_end(),
                        "level=error msg=\"bad\" v=\"a b\\n level=\\\"x\\\\\\x1b[31m\\xff\xc3\xbc"
                        "\\xc2\\x9b\\x00\"\n");
}

static void cuts_long_values(void **state)
{
    static char text[3 * LIMIT_LOG_VALUE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    capture_start();
    log_error("long", LOG_STR("v", text), LOG_INT("after", 1));
    const char *written = capture_end();
    assert_non_null(strstr(written, "xxx... after=1\n"));
    assert_true(strlen(written) < LIMIT_LOG_VALUE_BYTES + 100);
}

static void respects_the_level(void **state)
{
    capture_start();
    log_debug("hidden");
    log_set_level(LOG_ERROR);
    log_warn("hidden");
    assert_string_equal(capture_end(), "");
    log_set_level(LOG_DEBUG);
    capture_start();
    log_debug("shown");
    assert_string_equal(capture_end(), "level=debug msg=\"shown\"\n");
    log_set_level(LOG_INFO);
}

static void keeps_errno(void **state)
{
    capture_start();
    (void)close(STDERR_FILENO); /* the write fails */
    errno = ENOENT;
    log_error("lost");
    assert_int_equal(errno, ENOENT);
    assert_string_equal(capture_end(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_fields),    cmocka_unit_test(disarms_values),
        cmocka_unit_test(cuts_long_values), cmocka_unit_test(respects_the_level),
        cmocka_unit_test(keeps_errno),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
