/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of functions, builds, variables, logs and runs. */
#include "api.h"

/* ---- uploads and builds ---- */

static void an_upload_is_accepted_then_ready(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        ask(f, "POST", "/functions", "{\"name\":\"hello\",\"bundle\":\"export default 1\"}"), 202);
    assert_string_equal(text(f, "name"), "hello");
    assert_int_equal(number(f, "version"), 0);
    assert_int_equal(number(f, "build.id"), 1);
    assert_true(text(f, "build.status")[0] != '\0');
    assert_int_equal(ask(f, "GET", "/functions/hello/builds/1?wait=60s", NULL), 200);
    assert_string_equal(text(f, "status"), "ready");
    assert_int_equal(number(f, "version"), 1);
    assert_true(json_real_value(at(f, "duration_ms")) > 0);
    assert_true(json_is_null(at(f, "error")));
    assert_int_equal(ask(f, "GET", "/functions/hello", NULL), 200);
    assert_string_equal(text(f, "status"), "ready");
    assert_string_equal(text(f, "url"), "http://hello.localhost:8080/");
    assert_string_equal(text(f, "isolation"), "request");
    assert_int_equal(number(f, "limits.memory_mb"), 64);
    assert_true(json_is_null(at(f, "egress")));
    assert_int_equal(strlen(text(f, "content_hash")), 64);
}

static void options_are_kept(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        ask(f, "POST", "/functions?wait=60s",
            "{\"name\":\"hello\",\"bundle\":\"x\",\"isolation\":\"module\",\"limits\":{"
            "\"memory_mb\":128,\"cpu_ms\":5,\"wall_ms\":null},\"egress\":[\"a.com\","
            "\"*.b.com:8443\"]}"),
        200);
    assert_int_equal(ask(f, "GET", "/functions/hello", NULL), 200);
    assert_string_equal(text(f, "isolation"), "module");
    assert_int_equal(number(f, "limits.memory_mb"), 128);
    assert_int_equal(number(f, "limits.cpu_ms"), 5);
    assert_int_equal(number(f, "limits.wall_ms"), LIMIT_GUEST_WALL_MS);
    assert_string_equal(text(f, "egress.1"), "*.b.com:8443");
}

static void bad_uploads_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "{\"name\":\"hello\"}",
        "{\"name\":\"Hello\",\"source\":\"x\"}",
        "{\"source\":\"x\"}",
        "{\"name\":1,\"source\":\"x\"}",
        "{\"name\":\"hello\",\"source\":1}",
        "{\"name\":\"hello\",\"source\":\"x\",\"bundle\":\"y\"}",
        "{\"name\":\"hello\",\"source\":\"x\",\"source_map\":\"y\"}",
        "{\"name\":\"hello\",\"sorce\":\"x\"}",
        "{\"name\":\"hello\",\"source\":\"x\",\"runtime\":\"cobol\"}",
        "{\"name\":\"hello\",\"source\":\"x\",\"runtime\":1}",
        "{\"name\":\"hello\",\"source\":\"x\",\"isolation\":\"none\"}",
        "{\"name\":\"hello\",\"source\":\"x\",\"limits\":{\"memory\":1}}",
        "{\"name\":\"hello\",\"source\":\"x\",\"limits\":{\"memory_mb\":1}}",
        "{\"name\":\"hello\",\"source\":\"x\",\"limits\":{\"cpu_ms\":-1}}",
        "{\"name\":\"hello\",\"source\":\"x\",\"limits\":7}",
        "{\"name\":\"hello\",\"source\":\"x\",\"egress\":[]}",
        "{\"name\":\"hello\",\"source\":\"x\",\"egress\":[\"http://a\"]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        ask(f, "POST", "/functions", bodies[i]);
        expect_error(f, 400, "invalid");
    }
    ask(f, "POST", "/functions?wait=soon", "{\"name\":\"hello\",\"source\":\"x\"}");
    expect_error(f, 400, "invalid");
    ask(f, "POST", "/functions", "{\"name\":\"hello\",\"sorce\":\"x\"}");
    assert_non_null(strstr(text(f, "error.hint"), "source"));
    ask(f, "GET", "/functions", NULL);
    assert_int_equal(json_array_size(f->json), 0);
}

static void a_failed_build_is_explained(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "one");
    ask(f, "POST", "/functions?wait=60s", "{\"name\":\"hello\",\"bundle\":\"BROKEN\"}");
    expect_error(f, 422, "build_failed");
    assert_string_equal(text(f, "error.file"), "source.ts");
    assert_int_equal(number(f, "error.line"), 2);
    assert_non_null(strstr(text(f, "error.hint"), "version 1 keeps serving"));
    assert_int_equal(number(f, "build.id"), 2);
    ask(f, "GET", "/functions/hello/builds", NULL);
    assert_int_equal(json_array_size(f->json), 2);
    assert_int_equal(number(f, "0.id"), 2);
    assert_string_equal(text(f, "0.status"), "failed");
    assert_non_null(strstr(text(f, "0.error.frame"), "BROKEN"));
    ask(f, "GET", "/functions/hello", NULL);
    assert_int_equal(number(f, "version"), 1);
    assert_string_equal(text(f, "last_build.status"), "failed");
}

static void waiting_has_an_end(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        ask(f, "POST", "/functions?wait=1ms", "{\"name\":\"hello\",\"bundle\":\"GATE\"}"), 202);
    ask(f, "GET", "/functions/hello/builds/1?wait=1ms", NULL);
    assert_string_equal(text(f, "status"), "evaluating");
    ask(f, "GET", "/functions/hello", NULL);
    assert_string_equal(text(f, "status"), "compiling");
    ask(f, "POST", "/functions/hello/execute", "{}");
    expect_error(f, 409, "not_ready");
    sem_post(&f->fake.gate);
    ask(f, "GET", "/functions/hello/builds/1?wait", NULL);
    assert_string_equal(text(f, "status"), "ready");
}

static void a_client_that_goes_leaves_its_build(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)f->port)};
    const char *request = "POST /functions?wait=60s HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                          "34\r\n\r\n{\"name\":\"hello\",\"bundle\":\"GATE 1\"}";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while (ask(f, "GET", "/functions/hello/builds/1", NULL) == 404)
        continue;
    close(fd);
    ask(f, "GET", "/functions/hello/builds/1", NULL); /* by now the server has seen it go */
    sem_post(&f->fake.gate);
    ask(f, "GET", "/functions/hello/builds/1?wait=60s", NULL);
    assert_string_equal(text(f, "status"), "ready");
}

static void unknown_things_are_404(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {
        "/nope",
        "/functions/none",
        "/functions/none/builds",
        "/functions/none/builds/1",
        "/functions/none/env",
        "/functions/none/env/X",
        "/functions/none/executions",
        "/functions/none/logs",
        "/functions/none/logs?follow=true",
        "/executions/0192f0c4-0000-7000-8000-000000000000",
        "/functions/hello/builds/99",
        "/functions/hello/env/NONE",
    };
    upload(f, "hello", "x");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ask(f, "GET", paths[i], NULL);
        expect_error(f, 404, "not_found");
    }
    ask(f, "DELETE", "/functions/none", NULL);
    expect_error(f, 404, "not_found");
    ask(f, "POST", "/functions/none/execute", "{}");
    expect_error(f, 404, "not_found");
    ask(f, "PUT", "/functions/none/env/X", "{\"value\":\"1\"}");
    expect_error(f, 404, "not_found");
    ask(f, "GET", "/functions/Not_A_Name", NULL);
    expect_error(f, 400, "invalid");
    ask(f, "GET", "/functions/hello/builds/one", NULL);
    expect_error(f, 400, "invalid");
    ask(f, "GET", "/functions/%zz", NULL);
    expect_error(f, 400, "invalid");
}

static void protocol_mistakes_have_their_statuses(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    ask(f, "PATCH", "/functions/hello", "{}");
    expect_error(f, 405, "method_not_allowed");
    assert_true(has_header(f, "\r\nallow: GET, HEAD, DELETE\r\n"));
    char *large = malloc(LIMIT_VALUE_BYTES + 100);
    memset(large, ' ', LIMIT_VALUE_BYTES + 99);
    large[LIMIT_VALUE_BYTES + 99] = '\0';
    ask(f, "POST", "/functions/hello/execute", large);
    expect_error(f, 413, "too_large");
    free(large);
    assert_int_equal(ask(f, "HEAD", "/functions/hello", NULL), 200);
    assert_int_equal(f->body.len, 0);
}

static void bodies_must_be_json_by_type(void **state)
{
    struct fixture *f = *state;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: text/plain");
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/functions", f->port);
    curl_easy_reset(f->curl);
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(f->curl, CURLOPT_POSTFIELDS, "{\"name\":\"hello\",\"source\":\"x\"}");
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, &f->body);
    assert_int_equal(curl_easy_perform(f->curl), 0);
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &f->status);
    curl_slist_free_all(headers);
    f->json = json_loadb(f->body.ptr, f->body.len, 0, NULL);
    expect_error(f, 415, "unsupported_media_type");
}

static void deleting_takes_everything(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    assert_int_equal(ask(f, "PUT", "/functions/hello/env/A", "{\"value\":\"1\"}"), 204);
    assert_int_equal(ask(f, "DELETE", "/functions/hello", NULL), 204);
    assert_int_equal(ask(f, "GET", "/functions/hello", NULL), 404);
    upload(f, "hello", "y");
    ask(f, "GET", "/functions/hello/env", NULL);
    assert_int_equal(json_array_size(f->json), 0);
    ask(f, "GET", "/functions/hello/builds", NULL);
    assert_int_equal(json_array_size(f->json), 1);
}

/* ---- env ---- */

static void variables_are_set_listed_and_deleted(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    int changes = f->fake.changes;
    assert_int_equal(ask(f, "PUT", "/functions/hello/env/B", "{\"value\":\"two \\u00e4\"}"), 204);
    assert_int_equal(f->body.len, 0);
    assert_int_equal(ask(f, "PUT", "/functions/hello/env/A", "{\"value\":\"\"}"), 204);
    assert_int_equal(f->fake.changes, changes + 2);
    ask(f, "GET", "/functions/hello/env", NULL);
    assert_int_equal(json_array_size(f->json), 2);
    assert_string_equal(text(f, "0.name"), "A");
    assert_string_equal(text(f, "1.value"), "two \xc3\xa4");
    ask(f, "GET", "/functions/hello/env/B", NULL);
    assert_string_equal(text(f, "value"), "two \xc3\xa4");
    assert_int_equal(ask(f, "DELETE", "/functions/hello/env/B", NULL), 204);
    assert_int_equal(ask(f, "DELETE", "/functions/hello/env/B", NULL), 404);
}

static void bad_variables_are_refused(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    static const char *const bodies[] = {"{}", "{\"value\":1}", "\"x\"",
                                         "{\"value\":\"x\",\"more\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        ask(f, "PUT", "/functions/hello/env/A", bodies[i]);
        expect_error(f, 400, "invalid");
    }
    ask(f, "PUT", "/functions/hello/env/1A", "{\"value\":\"x\"}");
    expect_error(f, 400, "invalid");
    char *large = malloc(LIMIT_ENV_VALUE_BYTES + 64);
    int len = snprintf(large, 32, "{\"value\":\"");
    memset(large + len, 'x', LIMIT_ENV_VALUE_BYTES + 1);
    memcpy(large + len + LIMIT_ENV_VALUE_BYTES + 1, "\"}", 3);
    ask(f, "PUT", "/functions/hello/env/A", large);
    expect_error(f, 413, "too_large");
    free(large);
}

/* ---- executions ---- */

static void a_run_answers_and_leaves_a_record(void **state)
{
    struct fixture *f = *state;
    char path[128];
    upload(f, "hello", "x");
    assert_int_equal(ask(f, "POST", "/functions/hello/execute",
                         "{\"body\":{\"n\":12345678901234567890},\"metadata\":{\"a\":1}}"),
                     200);
    /* The number is beyond what the test's own parser takes: texts are compared. */
    assert_non_null(strstr(bytes_cstr(&f->body), "\"status\":\"success\""));
    assert_non_null(strstr(bytes_cstr(&f->body), "\"output\":{\"n\":12345678901234567890}"));
    const char *id = strstr(bytes_cstr(&f->body), "\"execution_id\":\"") + 16;
    snprintf(path, sizeof(path), "/executions/%.36s", id);
    assert_int_equal(ask(f, "GET", path, NULL), 200);
    assert_non_null(strstr(bytes_cstr(&f->body), "\"input\":{\"n\":12345678901234567890}"));
    assert_non_null(strstr(bytes_cstr(&f->body), "\"metadata\":{\"a\":1}"));
    assert_non_null(strstr(bytes_cstr(&f->body), "\"status\":\"success\""));
    assert_non_null(strstr(bytes_cstr(&f->body), "\"text\":\"ran\""));
    assert_non_null(strstr(bytes_cstr(&f->body), "\"created_at\":\"20"));
}

static void a_failure_has_name_and_stack(void **state)
{
    struct fixture *f = *state;
    char path[128];
    upload(f, "hello", "x");
    assert_int_equal(ask(f, "POST", "/functions/hello/execute", "{\"body\":\"throw\"}"), 500);
    assert_string_equal(text(f, "status"), "failure");
    assert_string_equal(text(f, "error.code"), "guest_error");
    assert_string_equal(text(f, "error.name"), "TypeError");
    assert_non_null(strstr(text(f, "error.stack"), "source.ts:3:9"));
    snprintf(path, sizeof(path), "/executions/%s", text(f, "execution_id"));
    ask(f, "GET", path, NULL);
    assert_string_equal(text(f, "status"), "failure");
    assert_string_equal(text(f, "error.name"), "TypeError");
    assert_true(json_is_null(at(f, "output")));
}

static void input_may_be_left_out_but_not_wrong(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    assert_int_equal(ask(f, "POST", "/functions/hello/execute", "{}"), 200);
    assert_true(json_is_null(at(f, "output")));
    assert_int_equal(ask(f, "POST", "/functions/hello/execute", NULL), 200);
    static const char *const bodies[] = {"{\"bdy\":1}", "[]", "{\"metadata\":1}", "{\"body\":}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        ask(f, "POST", "/functions/hello/execute", bodies[i]);
        expect_error(f, 400, "invalid");
    }
}

static void executions_come_in_pages(void **state)
{
    struct fixture *f = *state;
    upload(f, "a", "x");
    upload(f, "b", "x");
    for (int i = 0; i < 3; i++)
        ask(f, "POST", "/functions/a/execute", "{\"body\":1}");
    ask(f, "POST", "/functions/b/execute", "{\"body\":2}");
    ask(f, "GET", "/executions", NULL);
    assert_int_equal(json_array_size(f->json), 4);
    assert_string_equal(text(f, "0.function"), "b");
    assert_false(has_header(f, "link:"));
    ask(f, "GET", "/functions/a/executions?limit=2", NULL);
    assert_int_equal(json_array_size(f->json), 2);
    char *link = strstr(bytes_cstr(&f->head), "</functions/a/executions");
    assert_non_null(link);
    char next[256];
    snprintf(next, sizeof(next), "%.*s", (int)(strchr(link, '>') - link - 1), link + 1);
    ask(f, "GET", next, NULL);
    assert_int_equal(json_array_size(f->json), 1);
    assert_false(has_header(f, "link:"));
    ask(f, "GET", "/executions?limit=many", NULL);
    expect_error(f, 400, "invalid");
}

/* ---- logs ---- */

static void log_lines_are_listed(void **state)
{
    struct fixture *f = *state;
    char path[128];
    upload(f, "hello", "x");
    for (int i = 0; i < 3; i++)
        ask(f, "POST", "/functions/hello/execute", "{}");
    ask(f, "GET", "/functions/hello/logs", NULL);
    assert_int_equal(json_array_size(f->json), 3);
    assert_string_equal(text(f, "0.level"), "info");
    assert_string_equal(text(f, "0.text"), "ran");
    snprintf(path, sizeof(path), "/functions/hello/logs?after=%lld", number(f, "1.id"));
    ask(f, "GET", path, NULL);
    assert_int_equal(json_array_size(f->json), 1);
    ask(f, "GET", "/functions/hello/logs?limit=2", NULL);
    assert_int_equal(json_array_size(f->json), 2);
}

static void followers_see_lines_as_they_come(void **state)
{
    struct fixture *f = *state;
    struct bytes in = BYTES_INIT;
    upload(f, "hello", "x");
    ask(f, "POST", "/functions/hello/execute", "{}");
    int fd = follow(f, "/functions/hello/logs?follow=true");
    read_until(fd, &in, "\"text\":\"ran\"");
    assert_non_null(strcasestr(bytes_cstr(&in), "content-type: application/x-ndjson"));
    bytes_clear(&in);
    ask(f, "POST", "/functions/hello/execute", "{}");
    read_until(fd, &in, "\"text\":\"ran\"");
    bytes_clear(&in);
    /* One that wants no old lines gets the next one only. */
    int other = follow(f, "/functions/hello/logs?follow=true&limit=0");
    struct bytes other_in = BYTES_INIT;
    read_until(other, &other_in, "\r\n\r\n");
    bytes_clear(&other_in);
    ask(f, "POST", "/functions/hello/execute", "{}");
    read_until(other, &other_in, "\"text\":\"ran\"");
    assert_null(strstr(strstr(bytes_cstr(&other_in), "ran") + 1, "\"id\""));
    /* Deleting the function ends the streams: the last chunk comes. */
    ask(f, "DELETE", "/functions/hello", NULL);
    read_until(fd, &in, "\r\n0\r\n\r\n");
    close(fd);
    close(other);
    bytes_done(&in);
    bytes_done(&other_in);
}

static void stopping_ends_open_streams(void **state)
{
    struct fixture *f = *state;
    struct bytes in = BYTES_INIT;
    upload(f, "hello", "x");
    int fd = follow(f, "/functions/hello/logs?follow=true");
    read_until(fd, &in, "\r\n\r\n");
    bytes_done(&in);
    close(fd); /* and one that its client left */
    int open_fd =
        follow(f, "/functions/hello/logs?follow=true"); /* teardown drains with this one open */
    read_until(open_fd, &in, "\r\n\r\n");
    bytes_done(&in);
    teardown(state);
    close(open_fd);
    setup(state);
}

/* ---- the rest ---- */

static void health_metrics_and_openapi_answer(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    assert_int_equal(ask(f, "GET", "/healthz", NULL), 200);
    assert_string_equal(text(f, "status"), "ok");
    assert_int_equal(ask(f, "GET", "/metrics", NULL), 200);
    assert_true(has_header(f, "content-type: text/plain"));
    assert_non_null(strstr(bytes_cstr(&f->body), "\nlimpet_builds_total{status=\"ready\"} 1\n"));
    assert_non_null(strstr(bytes_cstr(&f->body), "\nlimpet_fake 1\n"));
    assert_int_equal(ask(f, "GET", "/openapi.json", NULL), 200);
    assert_string_equal(text(f, "openapi"), "3.1.0");
}

static void other_sites_are_refused(void **state)
{
    struct fixture *f = *state;
    ask_with(f, "GET", "/functions", NULL, "Origin: https://evil.example");
    expect_error(f, 403, "forbidden");
    ask_with(f, "GET", "/functions", NULL, "Host: evil.example");
    expect_error(f, 403, "forbidden");
}

static void the_token_is_asked_for(void **state)
{
    struct fixture *f = *state;
    ask(f, "GET", "/functions", NULL);
    expect_error(f, 401, "unauthorized");
    assert_true(has_header(f, "www-authenticate: Bearer"));
    ask(f, "GET", "/nope", NULL);
    expect_error(f, 401, "unauthorized");
    assert_int_equal(ask_with(f, "GET", "/functions", NULL, "Authorization: Bearer s3cret"), 200);
    assert_int_equal(ask(f, "GET", "/healthz", NULL), 200);
}

static void open_addresses_need_a_token(void **state)
{
    struct fixture *f = *state;
    struct error error = {0};
    struct admin *admin;
    struct admin_host host = fake_host(&f->fake);
    struct admin_config config = {.host = "0.0.0.0"};
    assert_int_equal(admin_new(&f->loop, &config, f->store, &host, &admin, &error), ERR_INVALID);
    assert_non_null(strstr(error.hint, "token"));
    config.token = "";
    assert_int_equal(admin_new(&f->loop, &config, f->store, &host, &admin, &error), ERR_INVALID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_upload_is_accepted_then_ready),
        TEST(options_are_kept),
        TEST(bad_uploads_are_refused),
        TEST(a_failed_build_is_explained),
        TEST(waiting_has_an_end),
        TEST(a_client_that_goes_leaves_its_build),
        TEST(unknown_things_are_404),
        TEST(protocol_mistakes_have_their_statuses),
        TEST(bodies_must_be_json_by_type),
        TEST(deleting_takes_everything),
        TEST(variables_are_set_listed_and_deleted),
        TEST(bad_variables_are_refused),
        TEST(a_run_answers_and_leaves_a_record),
        TEST(a_failure_has_name_and_stack),
        TEST(input_may_be_left_out_but_not_wrong),
        TEST(executions_come_in_pages),
        TEST(log_lines_are_listed),
        TEST(followers_see_lines_as_they_come),
        TEST(stopping_ends_open_streams),
        TEST(health_metrics_and_openapi_answer),
        TEST(other_sites_are_refused),
        cmocka_unit_test_setup_teardown(the_token_is_asked_for, setup_token, teardown),
        TEST(open_addresses_need_a_token),
    };
    log_set_level(LOG_ERROR + 1);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = cmocka_run_group_tests_name("api", tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
