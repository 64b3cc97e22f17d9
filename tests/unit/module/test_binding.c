/* SPDX-License-Identifier: Apache-2.0
 *
 * Declarations of bindings: what is read, written, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "module/binding.h"

static struct arena *arena;

static int set_up(void **state)
{
    arena = arena_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    arena_free(arena);
    return 0;
}

static void equal_ones_are_equal_texts(void **state)
{
    struct binding *items;
    size_t len;
    struct error e;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    const char *text =
        "[ {\"service\":\"b\",\"name\":\"B\",\"type\":\"service\",\"entrypoint\":null},"
        " {\"type\":\"service\",\"name\":\"A\",\"service\":\"a\",\"entrypoint\":\"E\","
        "  \"props\":{\"z\":1,\"a\":[true]}} ]";
    assert_int_equal(bindings_read(slice_cstr(text), arena, &items, &len, &e), OK);
    assert_int_equal(len, 2);
    assert_true(slice_eq_cstr(items[0].name, "A"));
    assert_true(slice_eq_cstr(items[0].part, "E"));
    bindings_write(items, len, &out);
    assert_string_equal(bytes_cstr(&out),
                        "[{\"type\":\"service\",\"name\":\"A\",\"service\":\"a\",\"entrypoint\":"
                        "\"E\",\"props\":{\"z\":1,\"a\":[true]}},"
                        "{\"type\":\"service\",\"name\":\"B\",\"service\":\"b\"}]");
    bytes_clear(&out);
    assert_int_equal(bindings_read(SLICE_LIT("[]"), arena, &items, &len, &e), OK);
    bindings_write(items, len, &out);
    assert_int_equal(out.len, 0);
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{}", "no array"},
        {"", "no array"},
        {"[1]", "has no name"},
        {"[{\"name\":\"A\"}]", "'A' has no type"},
        {"[{\"name\":\"A\",\"type\":\"wings\"}]", "'A' has the unknown type wings"},
        {"[{\"name\":\"A\",\"type\":\"service\"}]", "'A' lacks the member service"},
        {"[{\"name\":\"A\",\"type\":\"service\",\"service\":1}]", "'A' needs a string for service"},
        {"[{\"name\":\"A\",\"type\":\"service\",\"service\":\"\"}]",
         "'A' lacks the member service"},
        {"[{\"name\":\"A\",\"type\":\"service\",\"service\":\"a\",\"x\":1}]", "unknown member x"},
        {"[{\"name\":\"A\",\"type\":\"service\",\"service\":\"a\",\"props\":[]}]",
         "needs an object for props"},
        {"[{\"name\":\"A\",\"type\":\"service\",\"service\":\"a\"},"
         "{\"name\":\"A\",\"type\":\"service\",\"service\":\"b\"}]",
         "two bindings 'A'"},
    };
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        struct binding *items;
        size_t len;
        struct error e = {0};
        enum err err = bindings_read(slice_cstr(cases[k].text), arena, &items, &len, &e);
        assert_int_equal(err, ERR_INVALID);
        if (!strstr(e.message, cases[k].says))
            fail_msg("%s: %s", cases[k].text, e.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_ones_are_equal_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_said, set_up, tear_down),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("binding", tests, NULL, NULL);
}
