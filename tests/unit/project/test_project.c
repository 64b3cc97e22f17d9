/* SPDX-License-Identifier: Apache-2.0
 *
 * What project files say: limpet.toml strictly, those of others as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "project/keys.h"
#include "project/project.h"

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

static struct project *parse_as(const char *file, const char *environment, const char *text)
{
    struct project *p = NULL;
    struct error error = {0};
    enum err err = project_parse(arena, "/p", file, slice_cstr(text), environment, &p, &error);
    if (err)
        fail_msg("%s", error.message);
    return p;
}

static void assert_refused(const char *environment, const char *text, const char *message,
                           const char *hint)
{
    struct project *p = NULL;
    struct error error = {0};
    assert_int_not_equal(
        project_parse(arena, "/p", "limpet.toml", slice_cstr(text), environment, &p, &error), OK);
    if (!strstr(error.message, message))
        fail_msg("'%s' is not in '%s'", message, error.message);
    if (!strstr(error.hint, hint))
        fail_msg("'%s' is not in '%s'", hint, error.hint);
}

static bool has_var(const struct project *p, const char *name, const char *value, bool is_json)
{
    for (size_t i = 0; i < p->vars.len; i++)
        if (slice_eq_cstr(p->vars.items[i].name, name))
            return slice_eq_cstr(p->vars.items[i].value, value) &&
                   p->vars.items[i].is_json == is_json;
    return false;
}

static void limpet_toml_is_taken_whole(void **state)
{
    (void)state;
    struct project *p = parse_as(
        "limpet.toml", NULL,
        "name = \"a\"\nmain = \"src/i.ts\"\nkind = \"workflow\"\nisolation = \"module\"\n"
        "namespace = \"shop\"\negress = [\"api.example.com\"]\nroutes = [\"example.com/x/*\"]\n"
        "minify = true\ntsconfig = \"ts.json\"\ncompatibility_flags = [\"nodejs_compat\"]\n"
        "[vars]\nT = \"x\"\nJ = { a = [1, \"two\"] }\n[limits]\nmemory_mb = 32\ncpu_ms = 5\n"
        "[assets]\ndirectory = \"public\"\nrun_worker_first = [\"/api/*\"]\n"
        "not_found_handling = \"404-page\"\n[build]\ncommand = \"make\"\nwatch = \"src\"\n"
        "[[rules]]\ntype = \"Text\"\nglobs = [\"**/*.graphql\"]\n"
        "[define]\nX = \"1\"\n[alias]\ny = \"./z.ts\"\n");
    assert_string_equal(p->name, "a");
    assert_string_equal(p->main, "src/i.ts");
    assert_string_equal(p->space, "shop");
    assert_int_equal(p->kind, MODULE_WORKFLOW);
    assert_int_equal(p->options.isolation, ISOLATION_MODULE);
    assert_int_equal(p->options.memory_mb, 32);
    assert_int_equal(p->options.cpu_ms, 5);
    assert_string_equal(p->egress.items[0], "api.example.com");
    assert_string_equal(p->routes.items[0], "example.com/x/*");
    assert_string_equal(p->assets.directory, "public");
    assert_string_equal(p->assets.code_first.items[0], "/api/*");
    assert_string_equal(p->assets.not_found, "404-page");
    assert_string_equal(p->build.command, "make");
    assert_string_equal(p->build.watch.items[0], "src");
    assert_true(has_var(p, "T", "x", false));
    assert_true(has_var(p, "J", "{\"a\":[1,\"two\"]}", true));
    const char *const *args = project_bundle_args(p);
    assert_string_equal(args[0], "--define:X=1");
    assert_string_equal(args[1], "--alias:y=/p/./z.ts");
    assert_string_equal(args[2], "--loader:.graphql=text");
    assert_string_equal(args[3], "--tsconfig=/p/ts.json");
    assert_string_equal(args[4], "--minify");
    assert_null(args[5]);
    assert_int_equal(p->warnings.len, 0);
}

static void mistakes_name_line_and_nearest_key(void **state)
{
    (void)state;
    assert_refused(NULL, "main = \"a.ts\"\nnmae = \"x\"\n", "limpet.toml:2: there is no key 'nmae'",
                   "did you mean 'name'?");
    assert_refused(NULL, "main = \"a.ts\"\n[limits]\ncpu = 5\n",
                   "limpet.toml:3: there is no key 'cpu'", "cpu_ms");
    assert_refused(NULL, "main = 5\n", "limpet.toml:1: 'main' must be a string", "it is a number");
    assert_refused(NULL, "main = \"a.ts\"\nobservability = {}\n", "limpet.toml:2: there is no key",
                   "");
    assert_refused(NULL, "main = \"a.ts\"\nisolation = \"modul\"\n",
                   "limpet.toml:2: 'modul' is none of", "did you mean 'module'?");
    assert_refused(NULL, "main = \"a.ts\"\n[limits]\nmemory_mb = 1\n", "limpet.toml:3:", "");
    assert_refused(NULL, "main = \"a.ts\"\n[limits]\ncpu_ms = 0\n", "may not be 0", "default");
    assert_refused(NULL, "main = \"a.ts\"\n[vars]\n\"a-b\" = \"x\"\n", "limpet.toml:3:", "");
    assert_refused(NULL, "main = \"a.ts\"\negress = [\"http://x\"]\n", "limpet.toml:2:", "");
    assert_refused(NULL, "name = \"A B\"\nmain = \"a.ts\"\n", "limpet.toml:", "");
    assert_refused(NULL, "name = \"a\"\n", "neither 'main' nor 'assets'", "main =");
    assert_refused(NULL, "main = \"a.ts\"\n[env.x]\nmian = \"b\"\n", "limpet.toml:3:", "main");
    assert_refused("y", "main = \"a.ts\"\n[env.x]\nmain = \"b\"\n", "no environment 'y'", "env.y");
    assert_refused(NULL, "main = \"a.ts\"\n[[rules]]\ntype = \"Text\"\n",
                   "needs 'type' and 'globs'", "");
}

static void environments_inherit_but_for_vars_and_bindings(void **state)
{
    (void)state;
    const char *text =
        "{ \"name\": \"a\", \"main\": \"m.ts\", \"vars\": { \"A\": \"1\" },\n"
        "\"hyperdrive\": [{ \"binding\": \"H\", \"id\": \"x\" }],"
        " \"kv_namespaces\": [{ \"binding\": \"KV\", \"id\": \"x\" }],\n"
        "\"env\": { \"prod\": { \"vars\": { \"B\": \"2\" } }, \"own\": { \"name\": \"b\" } } }";
    struct project *p = parse_as("wrangler.jsonc", "prod", text);
    assert_string_equal(p->name, "a-prod");
    assert_string_equal(p->main, "m.ts");
    assert_int_equal(p->vars.len, 1);
    assert_true(has_var(p, "B", "2", false));
    assert_int_equal(p->missing_len, 0);
    assert_int_equal(p->bindings.len, 0);
    assert_string_equal(parse_as("wrangler.jsonc", "own", text)->name, "b");
    p = parse_as("wrangler.jsonc", NULL, text);
    assert_string_equal(p->name, "a");
    assert_int_equal(p->missing_len, 1);
    assert_string_equal(p->missing[0].key, "hyperdrive");
    assert_int_equal(p->bindings.len, 1);
    assert_int_equal(p->missing[0].line, 2);
}

static void resources_have_usual_names(void **state)
{
    (void)state;
    struct project *p = parse_as("limpet.toml", NULL,
                                 "name = \"shop\"\nmain = \"m.ts\"\n"
                                 "kv_namespaces = [{ binding = \"MY_SESSIONS\" },"
                                 " { binding = \"B\", id = \"0af1.x\" }]\n");
    assert_int_equal(p->bindings.len, 2);
    project_name_resources(p);
    assert_int_equal(p->bindings.items[0].kind, BINDING_KV);
    assert_true(slice_eq_cstr(p->bindings.items[0].name, "MY_SESSIONS"));
    assert_true(slice_eq_cstr(p->bindings.items[0].target, "shop-my-sessions"));
    assert_true(slice_eq_cstr(p->bindings.items[1].target, "0af1.x"));
    assert_refused(NULL, "main = \"a.ts\"\nkv_namespaces = [{ id = \"x\" }]\n", "needs 'binding'",
                   "");
    assert_refused(NULL, "main = \"a.ts\"\nkv_namespaces = [{ binding = \"K\", id = \"<x>\" }]\n",
                   "'<x>' is not the name of a KV namespace", "letters, digits");
}

static void files_of_others_warn_once_a_key(void **state)
{
    (void)state;
    struct project *p =
        parse_as("wrangler.toml", NULL,
                 "name = \"a\"\nmain = \"m.ts\"\nplacement = { mode = \"smart\" }\n"
                 "compatability_date = \"2026-01-01\"\n[observability]\nenabled = true\n"
                 "[triggers]\ncrons = []\n[queues]\nproducers = []\n"
                 "[env.x.observability]\nenabled = false\n");
    assert_int_equal(p->missing_len, 0);
    assert_int_equal(p->warnings.len, 3);
    assert_non_null(
        strstr(p->warnings.items[0], "wrangler.toml:3: 'placement' means nothing here"));
    assert_non_null(strstr(p->warnings.items[1], "did you mean 'compatibility_date'?"));
    assert_non_null(strstr(p->warnings.items[2], "observability"));
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    struct project *p = parse_as(
        "wrangler.json", NULL,
        "{\"main\":\"a.js\",\"ai\":{\"binding\":\"AI\"},\"triggers\":{\"crons\":[\"* * * * *\"]},"
        "\"hyperdrive\":[{\"binding\":\"DB\"}],\"migrations\":[{\"tag\":\"v1\"}]}");
    assert_int_equal(p->missing_len, 2);
    assert_string_equal(p->missing[0].what, "AI");
    assert_string_equal(p->missing[1].what, "Hyperdrive");
}

static void classes_of_actors_are_known_by_what_they_were_called_at_first(void **state)
{
    (void)state;
    struct project *p = parse_as(
        "wrangler.toml", NULL,
        "main = \"a.js\"\n[[durable_objects.bindings]]\nname = \"A\"\nclass_name = \"Now\"\n"
        "[[durable_objects.bindings]]\nname = \"B\"\nclass_name = \"Plain\"\n"
        "[[durable_objects.bindings]]\nname = \"C\"\nclass_name = \"Again\"\n"
        "[[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"First\", \"Plain\", \"Again\"]\n"
        "[[migrations]]\ntag = \"v2\"\nrenamed_classes = [{ from = \"First\", to = \"Then\" }]\n"
        "deleted_classes = [\"Again\"]\n"
        "[[migrations]]\ntag = \"v3\"\nrenamed_classes = [{ from = \"Then\", to = \"Now\" }]\n"
        "new_classes = [\"Again\"]\n");
    project_name_classes(p);
    assert_int_equal(p->bindings.len, 3);
    assert_true(slice_eq_cstr(p->bindings.items[0].details, "{\"from\":\"First\"}"));
    assert_int_equal(p->bindings.items[1].details.len, 0);
    assert_true(slice_eq_cstr(p->bindings.items[2].details, "{\"from\":\"Again_2\"}"));
}

static void schedules_are_passed_on(void **state)
{
    (void)state;
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct project *p =
        parse_as("limpet.toml", NULL,
                 "main = \"a.ts\"\n[triggers]\ncrons = [\"* * * * *\", \"0 4 * * MON\"]\n"
                 "[[schedules]]\nname = \"x\"\nevery_ms = 5000\nworkflow = \"w\"\ninput = { a = "
                 "[1, true] }\n");
    project_schedules(p, &out);
    assert_string_equal(
        bytes_cstr(&out),
        "[{\"cron\":\"* * * * *\"},{\"cron\":\"0 4 * * MON\"},"
        "{\"name\":\"x\",\"every_ms\":5000,\"workflow\":\"w\",\"input\":{\"a\":[1,true]}}]");
    bytes_clear(&out);
    project_schedules(parse_as("limpet.toml", NULL, "main = \"a.ts\"\n"), &out);
    assert_int_equal(out.len, 0);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        const struct key *k = &keys_table[i];
        assert_true(k->owner != SHAPE_NONE);
        if (k->types & (KEY_OBJECTS | KEY_ENVS))
            assert_true(k->shape != SHAPE_NONE);
        if ((k->where & KEY_LIMPET) || k->use == KEY_MISSING)
            assert_true(k->doc[0] != '\0');
        for (size_t j = i + 1; j < KEYS; j++)
            assert_false(keys_table[j].owner == k->owner &&
                         strcmp(keys_table[j].name, k->name) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(limpet_toml_is_taken_whole, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(mistakes_name_line_and_nearest_key, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(environments_inherit_but_for_vars_and_bindings, arena_up,
                                        arena_down),
        cmocka_unit_test_setup_teardown(resources_have_usual_names, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(files_of_others_warn_once_a_key, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(what_is_missing_is_named, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(schedules_are_passed_on, arena_up, arena_down),
        cmocka_unit_test_setup_teardown(
            classes_of_actors_are_known_by_what_they_were_called_at_first, arena_up, arena_down),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests_name("project/project", tests, NULL, NULL);
}
