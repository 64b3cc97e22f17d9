/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines that are understood, and what is said about the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/cli.h"

static struct args args;
static struct error error;

static enum err parse(const char *line)
{
    static char text[512];
    static char *argv[64];
    int argc = 0;
    snprintf(text, sizeof(text), "limpet %s", line);
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    error = (struct error){0};
    return args_parse(argc, argv, &args, &error);
}

static void takes(const char *line, const char *path)
{
    if (parse(line))
        fail_msg("'%s' refused: %s", line, error.message);
    if (!args.command || strcmp(args.command->path, path) != 0)
        fail_msg("'%s' is %s, expected %s", line, args.command ? args.command->path : "nothing",
                 path);
}

static void refuses(const char *line, const char *message, const char *hint)
{
    if (parse(line) != ERR_INVALID)
        fail_msg("'%s' taken", line);
    if (!strstr(error.message, message))
        fail_msg("'%s': message is '%s'", line, error.message);
    if (!strstr(error.hint, hint))
        fail_msg("'%s': hint is '%s'", line, error.hint);
}

static void commands_are_found_by_their_longest_path(void **state)
{
    (void)state;
    takes("function list", "function list");
    takes("function env set hello KEY value", "function env set");
    assert_int_equal(args.positional_len, 3);
    assert_string_equal(args.positional[2], "value");
    takes("function build status hello 1", "function build status");
    takes("deploy hello.ts", "deploy");
    takes("deploy hello hello.ts", "deploy");
    takes("help function env", "help");
    assert_int_equal(args.positional_len, 2);
}

static void groups_are_no_commands(void **state)
{
    (void)state;
    assert_int_equal(parse("function env"), OK);
    assert_null(args.command);
    assert_string_equal(args.group, "function env");
    assert_int_equal(parse(""), OK);
    assert_null(args.command);
    assert_null(args.group);
}

static void flags_stand_anywhere(void **state)
{
    (void)state;
    takes("--json --server http://h:1 function list", "function list");
    assert_true(args_has(&args, "--json"));
    assert_string_equal(args_get(&args, "--server"), "http://h:1");
    takes("function --json list --server=http://h:2", "function list");
    assert_string_equal(args_get(&args, "--server"), "http://h:2");
    takes("function run --input {} hello", "function run");
    assert_string_equal(args_get(&args, "--input"), "{}");
    assert_string_equal(args.positional[0], "hello");
    takes("function logs -f hello -n 5", "function logs");
    assert_true(args_has(&args, "--follow"));
    uint64_t n;
    assert_int_equal(args_uint(&args, "--limit", 100, 1000, &n, NULL), OK);
    assert_int_equal(n, 5);
    takes("function run hello --input -", "function run");
    assert_string_equal(args_get(&args, "--input"), "-");
}

static void flags_may_repeat_where_it_makes_sense(void **state)
{
    (void)state;
    takes("deploy a.ts --egress a.com --egress b.com", "deploy");
    assert_int_equal(args.options_len, 2);
    refuses("deploy a.ts --cpu-ms 1 --cpu-ms 2", "given twice", "once");
}

static void two_dashes_end_flags(void **state)
{
    (void)state;
    takes("function env set hello KEY -- --value", "function env set");
    assert_string_equal(args.positional[2], "--value");
    takes("function env set hello KEY -- --json", "function env set");
    assert_false(args_has(&args, "--json"));
}

static void serve_gets_its_own_line(void **state)
{
    (void)state;
    takes("--database-url sqlite:x --artifact-dir d --wit-dir w serve --addr 1:2 --json", "serve");
    assert_string_equal(args_get(&args, "--database-url"), "sqlite:x");
    assert_string_equal(args_get(&args, "--wit-dir"), "w");
    assert_int_equal(args.rest_argc, 4);
    assert_string_equal(args.rest_argv[0], "serve");
    assert_string_equal(args.rest_argv[3], "--json");
    assert_false(args_has(&args, "--json"));
    refuses("--database-url x function list", "for 'limpet serve' only", "--server");
}

static void mistakes_are_explained(void **state)
{
    (void)state;
    refuses("function lst", "no command 'function lst'", "function list");
    refuses("function nope", "no command 'function nope'", "limpet help function");
    refuses("function env lsit", "no command 'function env lsit'", "function env list");
    refuses("functoin list", "no command 'functoin'", "function");
    refuses("depoly a.ts", "no command 'depoly'", "deploy");
    refuses("function run hello --inptu {}", "no flag --inptu", "--input");
    refuses("function list --sever x", "no flag --sever", "--server");
    refuses("--sever x function list", "no flag --sever", "--server");
    refuses("function list --wat", "no flag --wat", "limpet help function list");
    refuses("function run", "needs NAME", "limpet function run NAME");
    refuses("function list extra", "one argument too many", "limpet function list");
    refuses("function run hello --input", "--input needs a value", "--input JSON");
    refuses("function list --json=yes", "--json takes no value", "--json");
    refuses("function env set hello KEY", "needs NAME KEY VALUE", "usage");
}

static void help_needs_no_arguments(void **state)
{
    (void)state;
    takes("function run --help", "function run");
    takes("-h function run", "function run");
    assert_int_equal(parse("--version"), OK);
    assert_true(args_has(&args, "--version"));
}

static void numbers_are_checked(void **state)
{
    (void)state;
    uint64_t n;
    takes("function logs hello --limit x", "function logs");
    assert_int_equal(args_uint(&args, "--limit", 100, 1000, &n, &error), ERR_INVALID);
    takes("function logs hello --limit 1001", "function logs");
    assert_int_equal(args_uint(&args, "--limit", 100, 1000, &n, &error), ERR_INVALID);
    takes("function logs hello", "function logs");
    assert_int_equal(args_uint(&args, "--limit", 100, 1000, &n, &error), OK);
    assert_int_equal(n, 100);
}

static void workflows_share_the_commands_of_functions(void **state)
{
    (void)state;
    static const char *const shared[] = {"upload hello hello.ts",
                                         "list",
                                         "show hello",
                                         "delete hello",
                                         "logs hello",
                                         "build status hello 1",
                                         "build list hello",
                                         "env set hello K V",
                                         "env get hello K",
                                         "env list hello",
                                         "env delete hello K",
                                         "run hello"};
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        char line[64];
        struct cli cli = {0};
        snprintf(line, sizeof(line), "workflow %s", shared[i]);
        assert_int_equal(parse(line), OK);
        assert_non_null(args.command);
        cli.args = args;
        assert_string_equal(cli_word(&cli), "workflow");
        snprintf(line, sizeof(line), "function %s", shared[i]);
        assert_int_equal(parse(line), OK);
        cli.args = args;
        assert_string_equal(cli_word(&cli), "function");
    }
    takes("deploy hello.ts", "deploy");
    assert_string_equal(cli_word(&(struct cli){.args = args}), "function");
    takes("workflow check hello hello.ts", "workflow check");
    takes("workflow migrate hello", "workflow migrate");
    refuses("workflow rnu hello", "no command 'workflow rnu'", "workflow run");
    refuses("workfow run hello", "no command 'workfow'", "workflow");
    refuses("workflow upload hello a.ts --isolation module", "no flag --isolation", "");
}

static void executions_have_commands(void **state)
{
    (void)state;
    takes("execution list --workflow shop --status failed --limit 5 --all", "execution list");
    takes("execution journal ID --values", "execution journal");
    takes("execution logs ID -f", "execution logs");
    takes("execution signal ID approved --data {}", "execution signal");
    takes("execution fork ID --record 7", "execution fork");
    takes("execution wait ID --timeout 5m", "execution wait");
    refuses("execution signal ID", "needs ID NAME", "usage");
    refuses("execution singal ID x", "no command 'execution singal'", "execution signal");
    refuses("execution list --staus failed", "no flag --staus", "--status");
}

/* --version alone is the program's; behind `execution retry` it names one of a workflow. */
static void a_flag_of_the_command_comes_first(void **state)
{
    (void)state;
    takes("execution retry ID --version 3", "execution retry");
    assert_string_equal(args_get(&args, "--version"), "3");
    takes("execution retry --version latest ID", "execution retry");
    assert_string_equal(args_get(&args, "--version"), "latest");
    assert_string_equal(args.positional[0], "ID");
    refuses("execution retry ID --version", "--version needs a value", "--version N|latest");
    assert_int_equal(parse("--version"), OK);
    assert_null(args.command);
}

static void a_value_may_be_left_out(void **state)
{
    (void)state;
    uint64_t ms;
    takes("workflow run shop --wait", "workflow run");
    assert_string_equal(args_get(&args, "--wait"), "");
    assert_int_equal(args_duration_of(&args, "--wait", 7, &ms, NULL), OK);
    assert_int_equal(ms, 7);
    takes("workflow run --wait shop", "workflow run");
    assert_string_equal(args_get(&args, "--wait"), "");
    assert_string_equal(args.positional[0], "shop");
    takes("workflow run --wait 30s shop --tail", "workflow run");
    assert_int_equal(args_duration_of(&args, "--wait", 7, &ms, NULL), OK);
    assert_int_equal(ms, 30000);
    assert_string_equal(args.positional[0], "shop");
    takes("workflow run shop --wait=2h", "workflow run");
    assert_int_equal(args_duration_of(&args, "--wait", 7, &ms, NULL), OK);
    assert_int_equal(ms, 7200000);
    takes("workflow run shop --wait=soon", "workflow run");
    assert_int_equal(args_duration_of(&args, "--wait", 7, &ms, &error), ERR_INVALID);
    takes("workflow run shop", "workflow run");
    assert_false(args_has(&args, "--wait"));
}

static void durations_have_units(void **state)
{
    (void)state;
    uint64_t ms = 0;
    static const char *const bad[] = {
        "", "s", "ms", "1d", "x1s", "1.5s", "-1s", "99999999999999999999s", "9999999999999999h"};
    assert_true(args_duration("500ms", &ms) && ms == 500);
    assert_true(args_duration("30s", &ms) && ms == 30000);
    assert_true(args_duration("5m", &ms) && ms == 300000);
    assert_true(args_duration("2h", &ms) && ms == 7200000);
    assert_true(args_duration("30", &ms) && ms == 30000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(args_duration(bad[i], &ms));
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *c = &commands_table[i];
        assert_ptr_equal(command_find(c->path), c);
        assert_non_null(c->run);
        assert_non_null(c->flags);
        assert_true(strlen(c->path) < 48);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_found_by_their_longest_path),
        cmocka_unit_test(groups_are_no_commands),
        cmocka_unit_test(flags_stand_anywhere),
        cmocka_unit_test(flags_may_repeat_where_it_makes_sense),
        cmocka_unit_test(two_dashes_end_flags),
        cmocka_unit_test(serve_gets_its_own_line),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(workflows_share_the_commands_of_functions),
        cmocka_unit_test(executions_have_commands),
        cmocka_unit_test(a_flag_of_the_command_comes_first),
        cmocka_unit_test(a_value_may_be_left_out),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(the_table_is_sound),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
