/* SPDX-License-Identifier: Apache-2.0
 *
 * TOML and JSON with comments as one tree whose members know their lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "project/document.h"

static struct arena *arena;

static int arena_up(void **state)
{
    (void)state;
    arena = arena_new(NULL);
    return 0;
}

static int arena_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct document parse(const char *file, const char *text)
{
    struct document config;
    struct error error = {0};
    assert_int_equal(document_parse(arena, file, slice_cstr(text), &config, &error), OK);
    return config;
}

static int line_of(const struct document *c, const struct document_value *v)
{
    int line, column;
    document_place(c->source, v->at, &line, &column);
    return line;
}

static void assert_text(const struct document_value *v, const char *text)
{
    assert_non_null(v);
    assert_int_equal(v->text.len, strlen(text));
    assert_memory_equal(v->text.ptr, text, v->text.len);
}

static void toml_members_know_their_lines(void **state)
{
    (void)state;
    struct document c =
        parse("a.toml", "# head\nname = \"a\\tb\"\n\n[vars]\nN = 0x1f\nF = 1.5\nB = true\n"
                        "D = 2026-01-31\n[[rules]]\ntype = \"Text\"\n");
    assert_text(document_member(&c.root, "name"), "a\tb");
    assert_int_equal(line_of(&c, document_member(&c.root, "name")), 2);
    const struct document_value *vars = document_member(&c.root, "vars");
    assert_int_equal(vars->kind, BODY_OBJECT);
    assert_text(document_member(vars, "N"), "31");
    assert_int_equal(line_of(&c, document_member(vars, "N")), 5);
    assert_text(document_member(vars, "F"), "1.5");
    assert_text(document_member(vars, "B"), "true");
    assert_text(document_member(vars, "D"), "2026-01-31");
    const struct document_value *rules = document_member(&c.root, "rules");
    assert_int_equal(rules->kind, BODY_ARRAY);
    assert_int_equal(line_of(&c, document_member(&rules->items[0], "type")), 10);
}

static void json_may_have_comments_and_trailing_commas(void **state)
{
    (void)state;
    struct document c =
        parse("a.jsonc", "\xef\xbb\xbf{ // one\n /* two\n */ \"a\": \"x // no, /* no */ ,]\",\n"
                         " \"b\": [1, 2, // three\n ],\n \"c\": { \"d\": \"\\\"\", },\n}\n");
    assert_text(document_member(&c.root, "a"), "x // no, /* no */ ,]");
    assert_int_equal(line_of(&c, document_member(&c.root, "a")), 3);
    assert_int_equal(document_member(&c.root, "b")->len, 2);
    assert_int_equal(line_of(&c, document_member(&c.root, "b")), 4);
    assert_text(document_member(document_member(&c.root, "c"), "d"), "\"");
}

static void assert_refused(const char *file, const char *text, const char *message)
{
    struct document config;
    struct error error = {0};
    assert_int_not_equal(document_parse(arena, file, slice_cstr(text), &config, &error), OK);
    if (!strstr(error.message, message))
        fail_msg("'%s' is not in '%s'", message, error.message);
}

static void mistakes_have_a_place(void **state)
{
    (void)state;
    assert_refused("a.toml", "a = 1\nb = [1,,]\n", "a.toml:2:");
    assert_refused("a.toml", "a = 1\na = 2\n", "a.toml:2:");
    assert_refused("a.toml", "a = \"\xff\"\n", "UTF-8");
    assert_refused("a.jsonc", "{\n \"a\": ?,\n}", "a.jsonc: line 2, column 7");
    assert_refused("a.json", "[]", "not an object");
    assert_refused("a.json", "", "a.json");
    assert_refused("a.jsonc", "{ /* not closed", "a.jsonc");
    struct bytes deep = BYTES_INIT;
    bytes_append_cstr(&deep, "{\"a\":");
    for (int i = 0; i < 100; i++)
        bytes_append_char(&deep, '[');
    for (int i = 0; i < 100; i++)
        bytes_append_char(&deep, ']');
    bytes_append_char(&deep, '}');
    assert_refused("a.json", bytes_cstr(&deep), "deep");
    bytes_done(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(toml_members_know_their_lines, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(json_may_have_comments_and_trailing_commas, arena_up,
                                        arena_down),
        cmocka_unit_test_setup_teardown(mistakes_have_a_place, arena_up, arena_down),
    };
    return cmocka_run_group_tests_name("project/document", tests, NULL, NULL);
}
