/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

static void fills_and_returns(void **state)
{
    struct error e = {.hint = "old"};
    assert_int_equal(error_set(&e, ERR_NOT_FOUND, "no '%s' here", "x"), ERR_NOT_FOUND);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_string_equal(e.message, "no 'x' here");
    assert_string_equal(e.hint, "");
    error_hint(&e, "look %d times", 2);
    assert_string_equal(e.hint, "look 2 times");
    assert_int_equal(error_set(NULL, ERR_IO, "x"), ERR_IO);
    error_hint(NULL, "x");
}

static void puts_context_in_front(void **state)
{
    struct error e = {0};
    (void)error_set(&e, ERR_IO, "disk full");
    error_hint(&e, "free some");
    assert_int_equal(error_context(&e, ERR_INTERNAL, "saving '%s'", "m"), ERR_IO);
    assert_string_equal(e.message, "saving 'm': disk full");
    assert_string_equal(e.hint, "free some");
    assert_int_equal(error_context(NULL, ERR_SQL, "x"), ERR_SQL);
    struct error empty = {0};
    assert_int_equal(error_context(&empty, ERR_SQL, "saving"), ERR_SQL);
    assert_string_equal(empty.message, "saving");
}

static void may_quote_itself(void **state)
{
    struct error e = {0};
    (void)error_set(&e, ERR_IO, "disk full");
    (void)error_set(&e, ERR_CORRUPT, "first %s", e.message);
    assert_string_equal(e.message, "first disk full");
}

static void cuts_long_texts_between_characters(void **state)
{
    char text[2 * ERROR_MESSAGE_MAX + 1];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = shift; i + 1 < sizeof(text) - 1; i += 2)
            memcpy(text + i, "\xc3\xbc", 2);
        text[sizeof(text) - 1] = '\0';
        struct error e = {0};
        (void)error_set(&e, ERR_IO, "%s", text);
        assert_true(slice_is_utf8(slice_cstr(e.message)));
        assert_true(strlen(e.message) >= ERROR_MESSAGE_MAX - 2);
        error_hint(&e, "%s", text);
        assert_true(slice_is_utf8(slice_cstr(e.hint)));
        assert_true(strlen(e.hint) >= ERROR_HINT_MAX - 2);
        (void)error_context(&e, ERR_INTERNAL, "%s", text);
        assert_true(slice_is_utf8(slice_cstr(e.message)));
    }
}

static void table_agrees_with_itself(void **state)
{
    for (enum err code = OK + 1; code < ERR_COUNT_; code++) {
        assert_int_equal(error_from_text(error_text(code)), code);
        assert_true(error_http_status(code) >= 400 && error_http_status(code) < 600);
    }
    assert_int_equal(error_http_status(OK), 200);
    assert_int_equal(error_http_status(ERR_NOT_FOUND), 404);
    assert_true(error_is_retryable(ERR_OVERLOAD));
    assert_false(error_is_retryable(ERR_INVALID));
    assert_int_equal(error_from_text("nonsense"), ERR_INTERNAL);
    assert_int_equal(error_from_text(NULL), ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_returns),
        cmocka_unit_test(puts_context_in_front),
        cmocka_unit_test(may_quote_itself),
        cmocka_unit_test(cuts_long_texts_between_characters),
        cmocka_unit_test(table_agrees_with_itself),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
