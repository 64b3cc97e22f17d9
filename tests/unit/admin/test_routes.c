/* SPDX-License-Identifier: Apache-2.0
 *
 * Matching, Allow, and that the OpenAPI document is JSON with every route and no dangling
 * reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "admin/internal.h"

static const char *found(const char *method, const char *path, struct route_match *m)
{
    route_find(slice_cstr(method), slice_cstr(path), m);
    return m->route ? m->route->id : "";
}

static void paths_match_their_routes(void **state)
{
    (void)state;
    struct route_match m;
    assert_string_equal(found("GET", "/functions", &m), "function_list");
    assert_string_equal(found("POST", "/functions", &m), "function_upload");
    assert_string_equal(found("GET", "/functions/a", &m), "function_show");
    assert_true(slice_eq_cstr(m.params[0], "a"));
    assert_string_equal(found("HEAD", "/functions/a", &m), "function_show");
    assert_string_equal(found("PUT", "/functions/a/env/B%20", &m), "env_put");
    assert_true(slice_eq_cstr(m.params[0], "a"));
    assert_true(slice_eq_cstr(m.params[1], "B%20"));
    assert_string_equal(found("GET", "/executions/1", &m), "execution_show");
    assert_string_equal(found("POST", "/executions/1/signal", &m), "execution_signal");
}

static void namespaces_stand_in_front(void **state)
{
    (void)state;
    struct route_match m;
    assert_string_equal(found("GET", "/namespaces/shop/functions/a", &m), "function_show");
    assert_true(slice_eq_cstr(m.space, "shop"));
    assert_true(slice_eq_cstr(m.params[0], "a"));
    assert_string_equal(found("GET", "/functions/a", &m), "function_show");
    assert_int_equal(m.space.len, 0);
    assert_string_equal(found("GET", "/namespaces/shop", &m), "namespace_show");
    assert_true(slice_eq_cstr(m.params[0], "shop"));
    assert_string_equal(found("PUT", "/namespaces/shop/quota", &m), "namespace_quota_put");
    static const char *const none[] = {
        "/namespaces/shop/healthz",    "/namespaces/shop/metrics",
        "/namespaces/shop/namespaces", "/namespaces/shop/",
        "/namespaces//functions",      "/namespaces/a/namespaces/b/functions"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_string_equal(found("GET", none[i], &m), "");
}

/* What both have is one handler, which is told for which it is asked. */
static void workflows_have_what_functions_have(void **state)
{
    (void)state;
    for (size_t i = 0; i < routes_count; i++) {
        const struct route *route = &routes_table[i];
        char path[128];
        struct route_match m;
        bool is_function = strncmp(route->path, "/functions", 10) == 0;
        assert_int_equal(route_kind(route), strncmp(route->path, "/workflows", 10) == 0
                                                ? MODULE_WORKFLOW
                                                : MODULE_FUNCTION);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(routes_table[j].id, route->id);
        if (!is_function)
            continue;
        snprintf(path, sizeof(path), "/workflows%s", route->path + 10);
        found(route_method_text(route->method), path, &m);
        assert_non_null(m.route);
        assert_int_equal(m.route->body, route->body);
        if (route->handler != execution_run)
            assert_true(m.route->handler == route->handler);
    }
}

static void other_paths_match_nothing(void **state)
{
    (void)state;
    struct route_match m;
    static const char *const paths[] = {"",
                                        "/",
                                        "functions",
                                        "/functions/",
                                        "/functions//env",
                                        "/x",
                                        "/functions/a/env/b/c",
                                        "/functionsx",
                                        "/healthz/"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_string_equal(found("GET", paths[i], &m), "");
        assert_string_equal(m.allow, "");
    }
}

static void wrong_methods_say_what_is_allowed(void **state)
{
    (void)state;
    struct route_match m;
    assert_string_equal(found("PATCH", "/functions/a", &m), "");
    assert_string_equal(m.allow, "GET, HEAD, DELETE");
    assert_string_equal(found("GET", "/functions/a/execute", &m), "");
    assert_string_equal(m.allow, "POST");
}

/* Every "$ref" below v resolves in the document. */
static void check_refs(const json_t *document, const json_t *v)
{
    const char *key;
    const json_t *member;
    size_t i;
    if (json_is_array(v)) {
        json_array_foreach(v, i, member) check_refs(document, member);
        return;
    }
    json_object_foreach((json_t *)v, key, member)
    {
        if (strcmp(key, "$ref") != 0) {
            check_refs(document, member);
            continue;
        }
        const char *name = strrchr(json_string_value(member), '/') + 1;
        const json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
        if (!json_object_get(schemas, name))
            fail_msg("no schema %s", name);
    }
}

static void openapi_describes_every_route(void **state)
{
    (void)state;
    struct bytes out = BYTES_INIT;
    openapi_write(&out);
    json_error_t error;
    json_t *document = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        fail_msg("%s at %d", error.text, error.position);
    size_t operations = 0;
    const char *path, *method;
    json_t *item, *operation;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        json_object_foreach(item, method, operation) operations++;
    }
    size_t in_namespaces = 0;
    for (size_t i = 0; i < routes_count; i++)
        in_namespaces += route_has_namespace(&routes_table[i]);
    assert_true(in_namespaces > 40);
    assert_int_equal(operations, routes_count + in_namespaces);
    check_refs(document, document);
    json_t *put = json_object_get(
        json_object_get(json_object_get(document, "paths"), "/functions/{name}/env/{var}"), "put");
    assert_int_equal(json_array_size(json_object_get(put, "parameters")), 2);
    json_decref(document);
    bytes_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_match_their_routes),
        cmocka_unit_test(namespaces_stand_in_front),
        cmocka_unit_test(workflows_have_what_functions_have),
        cmocka_unit_test(other_paths_match_nothing),
        cmocka_unit_test(wrong_methods_say_what_is_allowed),
        cmocka_unit_test(openapi_describes_every_route),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
