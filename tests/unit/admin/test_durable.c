/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of workflows and their executions. The server behind is a fake that runs nothing:
 * signals say what becomes of an execution (fake_durable.c). */
#include "api.h"

static void upload_workflow(struct fixture *f, const char *name)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"bundle\":\"WORKFLOW\"}", name);
    if (ask(f, "POST", "/workflows?wait=60s", body) != 200)
        fail_msg("%ld %s", f->status, bytes_cstr(&f->body));
}

/* Starts one and keeps its path. */
static const char *start_one(struct fixture *f, const char *body)
{
    static char path[64];
    if (ask(f, "POST", "/workflows/shop/execute", body) != 202)
        fail_msg("%ld %s", f->status, bytes_cstr(&f->body));
    snprintf(path, sizeof(path), "/executions/%s", text(f, "execution_id"));
    return path;
}

static long post_to(struct fixture *f, const char *path, const char *operation, const char *body)
{
    char full[160];
    snprintf(full, sizeof(full), "%s/%s", path, operation);
    return ask(f, "POST", full, body);
}

static long get_of(struct fixture *f, const char *path, const char *rest)
{
    char full[160];
    snprintf(full, sizeof(full), "%s%s", path, rest);
    return ask(f, "GET", full, NULL);
}

static void tell(struct fixture *f, const char *path, const char *signal, const char *data)
{
    char body[128];
    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"data\":%s}", signal, data);
    if (post_to(f, path, "signal", body) != 202)
        fail_msg("%ld %s", f->status, bytes_cstr(&f->body));
}

/* ---- workflows as functions ---- */

static void workflows_have_the_routes_of_functions(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    assert_true(json_is_null(at(f, "url")));
    assert_string_equal(text(f, "build.workflow"), "shop");
    ask(f, "GET", "/workflows", NULL);
    assert_int_equal(json_array_size(f->json), 1);
    ask(f, "GET", "/functions", NULL);
    assert_int_equal(json_array_size(f->json), 0);
    assert_int_equal(ask(f, "GET", "/workflows/shop", NULL), 200);
    assert_string_equal(text(f, "status"), "ready");
    assert_int_equal(ask(f, "GET", "/workflows/shop/builds/1", NULL), 200);
    assert_int_equal(ask(f, "PUT", "/workflows/shop/env/A", "{\"value\":\"1\"}"), 204);
    assert_int_equal(ask(f, "GET", "/workflows/shop/env/A", NULL), 200);
    assert_int_equal(ask(f, "GET", "/workflows/shop/logs", NULL), 200);
    assert_int_equal(ask(f, "GET", "/workflows/shop/executions", NULL), 200);
    assert_int_equal(ask(f, "DELETE", "/workflows/shop", NULL), 204);
    ask(f, "GET", "/workflows/shop", NULL);
    expect_error(f, 404, "not_found");
}

static void the_other_kind_is_pointed_at(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    upload(f, "hello", "x");
    static const char *const wrong[] = {"/functions/shop", "/functions/shop/env",
                                        "/functions/shop/logs", "/functions/shop/executions"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        ask(f, "GET", wrong[i], NULL);
        expect_error(f, 404, "not_found");
        assert_non_null(strstr(text(f, "error.hint"), "/workflows/shop"));
    }
    ask(f, "POST", "/functions/shop/execute", "{}");
    expect_error(f, 404, "not_found");
    ask(f, "POST", "/workflows/hello/execute", "{}");
    expect_error(f, 404, "not_found");
    assert_non_null(strstr(text(f, "error.hint"), "/functions/hello"));
    ask(f, "DELETE", "/workflows/hello", NULL);
    expect_error(f, 404, "not_found");
    ask(f, "POST", "/workflows", "{\"name\":\"hello\",\"bundle\":\"WORKFLOW\"}");
    expect_error(f, 409, "conflict");
}

static void what_is_uploaded_must_be_what_it_says(void **state)
{
    struct fixture *f = *state;
    ask(f, "POST", "/workflows?wait=60s", "{\"name\":\"shop\",\"bundle\":\"x\"}");
    expect_error(f, 422, "build_failed");
    assert_non_null(strstr(text(f, "error.message"), "exports no workflow"));
    ask(f, "POST", "/functions?wait=60s", "{\"name\":\"hello\",\"bundle\":\"WORKFLOW\"}");
    expect_error(f, 422, "build_failed");
    assert_non_null(strstr(text(f, "error.message"), "limpet workflow upload hello FILE"));
    assert_int_equal(
        ask(f, "POST", "/workflows?wait=60s", "{\"name\":\"derp\",\"bundle\":\"HANDLER\"}"), 200);
    assert_int_equal(
        ask(f, "POST", "/functions?wait=60s", "{\"name\":\"derp2\",\"bundle\":\"HANDLER\"}"), 200);
}

/* ---- start and wait ---- */

static void a_start_is_accepted(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    const char *path = start_one(f, "{\"body\":{\"n\":1},\"metadata\":{\"a\":2}}");
    assert_string_equal(text(f, "status"), "queued");
    assert_int_equal(get_of(f, path, ""), 200);
    assert_string_equal(text(f, "workflow"), "shop");
    assert_string_equal(text(f, "status"), "queued");
    assert_int_equal(number(f, "input.n"), 1);
    assert_int_equal(number(f, "metadata.a"), 2);
    assert_int_equal(number(f, "version"), 1);
    assert_int_equal(number(f, "attempt"), 1);
    assert_true(json_is_null(at(f, "output")));
    assert_true(json_is_null(at(f, "wake_at")));
    assert_true(json_is_false(at(f, "paused")));
    assert_string_equal(strrchr(path, '/') + 1, text(f, "execution_id"));
    assert_int_equal(ask(f, "POST", "/workflows/shop.refund/execute", NULL), 202);
    snprintf(f->path, sizeof(f->path), "/executions/%s", text(f, "execution_id"));
    ask(f, "GET", f->path, NULL);
    assert_string_equal(text(f, "workflow"), "shop.refund");
}

static void the_same_key_is_the_same_execution(void **state)
{
    struct fixture *f = *state;
    char id[48];
    upload_workflow(f, "shop");
    assert_int_equal(ask(f, "POST", "/workflows/shop/execute", "{\"id\":\"order-1\"}"), 202);
    snprintf(id, sizeof(id), "%s", text(f, "execution_id"));
    assert_int_equal(ask(f, "POST", "/workflows/shop/execute", "{\"id\":\"order-1\"}"), 202);
    assert_string_equal(text(f, "execution_id"), id);
    assert_int_equal(ask(f, "POST", "/workflows/shop/execute", "{\"id\":\"order-2\"}"), 202);
    assert_string_not_equal(text(f, "execution_id"), id);
    snprintf(f->path, sizeof(f->path), "/executions/%s", id);
    tell(f, f->path, "finish", "\"done\"");
    assert_int_equal(ask(f, "POST", "/workflows/shop/execute", "{\"id\":\"order-1\"}"), 200);
    assert_string_equal(text(f, "status"), "completed");
    assert_string_equal(text(f, "output"), "done");
    ask(f, "GET", f->path, NULL);
    assert_string_equal(text(f, "key"), "order-1");
}

static void a_start_may_wait_for_its_result(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    assert_int_equal(ask(f, "POST", "/workflows/shop/execute?wait=30s", "{\"body\":\"finish\"}"),
                     200);
    assert_string_equal(text(f, "status"), "completed");
    assert_string_equal(text(f, "output"), "finish");
    assert_null(at(f, "error"));
    assert_int_equal(f->fake.durable_wait_ms, 30000);
    ask(f, "POST", "/workflows/shop/execute?wait=250ms", "{\"body\":\"finish\"}");
    assert_int_equal(f->fake.durable_wait_ms, 250);
    ask(f, "POST", "/workflows/shop/execute?wait=2m", "{\"body\":\"finish\"}");
    assert_int_equal(f->fake.durable_wait_ms, 120000);
    ask(f, "POST", "/workflows/shop/execute?wait=7m", "{\"body\":\"finish\"}");
    assert_int_equal(f->fake.durable_wait_ms, 300000);
    ask(f, "POST", "/workflows/shop/execute?wait=soon", "{}");
    expect_error(f, 400, "invalid");
}

static void bad_starts_are_refused(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    static const char *const bodies[] = {"{",
                                         "[]",
                                         "{\"bdy\":1}",
                                         "{\"id\":1}",
                                         "{\"id\":\"\"}",
                                         "{\"id\":\"a\\nb\"}",
                                         "{\"metadata\":[]}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        ask(f, "POST", "/workflows/shop/execute", bodies[i]);
        expect_error(f, 400, "invalid");
    }
    ask(f, "POST", "/workflows/shop.1x/execute", "{}");
    expect_error(f, 400, "invalid");
    ask(f, "POST", "/workflows/none/execute", "{}");
    expect_error(f, 404, "not_found");
    ask(f, "POST", "/workflows?wait=60s", "{\"name\":\"broken\",\"bundle\":\"BROKEN\"}");
    ask(f, "POST", "/workflows/broken/execute", "{}");
    expect_error(f, 409, "not_ready");
    upload(f, "hello", "x");
    ask(f, "POST", "/functions/hello/execute", "{\"id\":\"a\"}");
    expect_error(f, 400, "invalid");
    assert_string_equal(f->fake.durable_order, "");
}

static void *finish_later(void *arg)
{
    struct fixture *f = arg;
    struct fixture other = {.port = f->port, .curl = curl_easy_init()};
    tell(&other, f->path, "finish", "[1,2]");
    curl_easy_cleanup(other.curl);
    bytes_done(&other.body);
    bytes_done(&other.head);
    json_decref(other.json);
    return NULL;
}

static void an_execution_may_be_waited_for(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{}"));
    pthread_create(&thread, NULL, finish_later, f);
    assert_int_equal(get_of(f, f->path, "?wait=60s"), 200);
    pthread_join(thread, NULL);
    assert_string_equal(text(f, "status"), "completed");
    assert_int_equal(json_array_size(at(f, "output")), 2);
    assert_true(json_is_string(at(f, "finished_at")));
    assert_int_equal(get_of(f, f->path, "?wait=60s"), 200); /* has finished: at once */
    assert_null(strstr(f->fake.durable_order, "wait wait"));
}

static void a_client_that_goes_ends_its_wait(void **state)
{
    struct fixture *f = *state;
    char target[160];
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{}"));
    snprintf(target, sizeof(target), "%s?wait=5m", f->path);
    int fd = follow(f, target);
    while (!strstr(f->fake.durable_order, "wait "))
        ask(f, "GET", "/healthz", NULL);
    close(fd);
    while (!strstr(f->fake.durable_order, "gone "))
        ask(f, "GET", "/healthz", NULL);
    assert_int_equal(get_of(f, f->path, ""), 200);
}

static void stopping_answers_those_that_wait(void **state)
{
    struct fixture *f = *state;
    struct bytes in = BYTES_INIT;
    char target[160];
    upload_workflow(f, "shop");
    snprintf(target, sizeof(target), "%s?wait=5m", start_one(f, "{}"));
    int fd = follow(f, target);
    while (!strstr(f->fake.durable_order, "wait "))
        ask(f, "GET", "/healthz", NULL);
    teardown(state);
    read_until(fd, &in, "\"status\":\"queued\"");
    close(fd);
    bytes_done(&in);
    setup(state);
}

/* ---- operations ---- */

static void signals_are_sent(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    const char *path = start_one(f, "{}");
    assert_int_equal(post_to(f, path, "signal", "{\"name\":\"approved\",\"data\":{\"by\":\"me\"}}"),
                     202);
    assert_string_equal(text(f, "execution_id"), strrchr(path, '/') + 1);
    assert_int_equal(post_to(f, path, "signal", "{\"name\":\"approved\"}"), 202);
    static const char *const bodies[] = {"",
                                         "{}",
                                         "[]",
                                         "{\"name\":1}",
                                         "{\"name\":\"\"}",
                                         "{\"name\":\"a\",\"more\":1}",
                                         "{\"name\":\"a\\u0000b\"}",
                                         "{\"name\":\"a\",\"data\":}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        post_to(f, path, "signal", bodies[i]);
        expect_error(f, 400, "invalid");
    }
    assert_string_equal(f->fake.durable_order, "start signal signal ");
    tell(f, path, "finish", "1");
    post_to(f, path, "signal", "{\"name\":\"approved\"}");
    expect_error(f, 409, "conflict");
}

static void states_change_by_operations(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    const char *path = start_one(f, "{}");
    assert_int_equal(post_to(f, path, "pause", NULL), 200);
    assert_true(json_is_true(at(f, "paused")));
    assert_int_equal(post_to(f, path, "resume", "{}"), 200);
    assert_true(json_is_false(at(f, "paused")));
    tell(f, path, "suspend", "{\"done\":0.5}");
    get_of(f, path, "");
    assert_string_equal(text(f, "status"), "suspended");
    assert_string_equal(text(f, "wake_at"), "2100-01-01T00:00:00.000Z");
    assert_true(json_real_value(at(f, "progress.done")) == 0.5);
    assert_int_equal(post_to(f, path, "cancel", NULL), 202);
    assert_true(json_is_true(at(f, "cancel_requested")));
    post_to(f, path, "retry", "{}");
    expect_error(f, 409, "conflict");
    tell(f, path, "fail", "{\"code\":\"guest_error\",\"name\":\"Error\",\"message\":\"no\"}");
    get_of(f, path, "");
    assert_string_equal(text(f, "status"), "failed");
    assert_string_equal(text(f, "error.message"), "no");
    static const char *const late[] = {"cancel", "pause", "resume"};
    for (size_t i = 0; i < ARRAY_LEN(late); i++) {
        post_to(f, path, late[i], NULL);
        expect_error(f, 409, "conflict");
    }
    assert_int_equal(post_to(f, path, "retry", "{\"version\":\"latest\"}"), 202);
    assert_int_equal(f->fake.durable_version, -1);
    get_of(f, path, "");
    assert_int_equal(number(f, "attempt"), 2);
    assert_string_equal(text(f, "status"), "queued");
}

static void retries_and_forks_take_numbers(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{\"body\":7}"));
    tell(f, f->path, "fail", "{\"message\":\"no\"}");
    static const char *const bad_retries[] = {"{\"version\":0}", "{\"version\":\"new\"}", "[]",
                                              "{\"versoin\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad_retries); i++) {
        post_to(f, f->path, "retry", bad_retries[i]);
        expect_error(f, 400, "invalid");
    }
    post_to(f, f->path, "fork", "{\"record\":-1}");
    expect_error(f, 400, "invalid");
    assert_int_equal(post_to(f, f->path, "fork", "{\"record\":0}"), 201);
    assert_int_equal(f->fake.durable_record, 0);
    assert_string_not_equal(text(f, "execution_id"), strrchr(f->path, '/') + 1);
    char fork[64];
    snprintf(fork, sizeof(fork), "/executions/%s", text(f, "execution_id"));
    get_of(f, fork, "");
    assert_int_equal(number(f, "input"), 7);
    assert_int_equal(post_to(f, f->path, "fork", NULL), 201);
    assert_int_equal(f->fake.durable_record, -1);
    assert_int_equal(post_to(f, f->path, "retry", "{\"version\":1}"), 202);
    assert_int_equal(f->fake.durable_version, 1);
}

static void unknown_executions_are_404(void **state)
{
    struct fixture *f = *state;
    static const char *const operations[] = {"signal", "cancel", "pause",
                                             "resume", "retry",  "fork"};
    static const char *const reads[] = {"", "?wait=1s", "/journal", "/logs", "/logs?follow=1"};
    const char *path = "/executions/0192f0c4-0000-7000-8000-000000000000";
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        post_to(f, path, operations[i], i == 0 ? "{\"name\":\"a\"}" : NULL);
        expect_error(f, 404, "not_found");
    }
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        get_of(f, path, reads[i]);
        expect_error(f, 404, "not_found");
    }
}

static void runs_of_functions_are_no_workflows(void **state)
{
    struct fixture *f = *state;
    upload(f, "hello", "x");
    ask(f, "POST", "/functions/hello/execute", "{}");
    snprintf(f->path, sizeof(f->path), "/executions/%s", text(f, "execution_id"));
    post_to(f, f->path, "cancel", NULL);
    expect_error(f, 409, "conflict");
    get_of(f, f->path, "/journal");
    expect_error(f, 404, "not_found");
    assert_int_equal(get_of(f, f->path, "/logs"), 200);
    assert_string_equal(text(f, "0.text"), "ran");
    assert_int_equal(get_of(f, f->path, "?wait=60s"), 200);
    assert_string_equal(text(f, "status"), "success");
}

/* ---- lists ---- */

/* Follows the links from path and counts. */
static int count_pages(struct fixture *f, const char *path, int *ret_rows)
{
    char next[256];
    int pages = 0;
    snprintf(next, sizeof(next), "%s", path);
    for (*ret_rows = 0; next[0]; pages++) {
        if (ask(f, "GET", next, NULL) != 200)
            fail_msg("%s: %ld %s", next, f->status, bytes_cstr(&f->body));
        *ret_rows += (int)json_array_size(f->json);
        char *link = strstr(bytes_cstr(&f->head), "link: <");
        next[0] = '\0';
        if (link)
            snprintf(next, sizeof(next), "%.*s", (int)(strchr(link, '>') - link - 7), link + 7);
        assert_true(pages < 50);
    }
    return pages;
}

static void lists_are_filtered(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    upload_workflow(f, "other");
    start_one(f, "{}");
    const char *path = start_one(f, "{}");
    tell(f, path, "fail", "{\"message\":\"no\"}");
    ask(f, "POST", "/workflows/other/execute", NULL);
    ask(f, "GET", "/executions?workflow=shop", NULL);
    assert_int_equal(json_array_size(f->json), 2);
    assert_string_equal(text(f, "0.status"), "failed");
    assert_string_equal(text(f, "0.error.message"), "no");
    assert_null(at(f, "0.input"));
    ask(f, "GET", "/executions?status=queued", NULL);
    assert_int_equal(json_array_size(f->json), 2);
    assert_string_equal(text(f, "0.workflow"), "other");
    ask(f, "GET", "/workflows/shop/executions?status=queued", NULL);
    assert_int_equal(json_array_size(f->json), 1);
    get_of(f, "/executions?parent=", strrchr(path, '/') + 1);
    assert_int_equal(json_array_size(f->json), 0);
    ask(f, "GET", "/executions?status=faild", NULL);
    expect_error(f, 400, "invalid");
    assert_non_null(strstr(text(f, "error.hint"), "failed"));
    ask(f, "GET", "/executions?workflow=none", NULL);
    expect_error(f, 404, "not_found");
    ask(f, "GET", "/executions?cursor=nonsense", NULL);
    expect_error(f, 400, "invalid");
}

static void both_kinds_come_in_one_list(void **state)
{
    struct fixture *f = *state;
    int rows;
    upload_workflow(f, "shop");
    upload(f, "hello", "x");
    for (int i = 0; i < 3; i++) {
        start_one(f, "{}");
        ask(f, "POST", "/functions/hello/execute", "{}");
    }
    for (int i = 0; i < 3; i++)
        start_one(f, "{}");
    ask(f, "GET", "/executions", NULL);
    assert_int_equal(json_array_size(f->json), 9);
    for (size_t i = 0; i + 1 < 9; i++) {
        json_t *a = json_array_get(f->json, i), *b = json_array_get(f->json, i + 1);
        assert_true(json_integer_value(json_object_get(a, "created_at_ms")) >=
                    json_integer_value(json_object_get(b, "created_at_ms")));
    }
    for (int limit = 1; limit <= 9; limit++) {
        snprintf(f->path, sizeof(f->path), "/executions?limit=%d", limit);
        assert_int_equal(count_pages(f, f->path, &rows), (9 + limit - 1) / limit);
        assert_int_equal(rows, 9);
    }
    assert_int_equal(count_pages(f, "/executions?workflow=shop&limit=4", &rows), 2);
    assert_int_equal(rows, 6);
    assert_int_equal(count_pages(f, "/functions/hello/executions?limit=2", &rows), 2);
    assert_int_equal(rows, 3);
}

/* ---- journal and logs ---- */

static void the_journal_is_shown(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{}"));
    get_of(f, f->path, "/journal");
    assert_int_equal(json_array_size(f->json), 0);
    tell(f, f->path, "journal", "null");
    assert_int_equal(get_of(f, f->path, "/journal"), 200);
    assert_int_equal(json_array_size(f->json), 11);
    assert_false(has_header(f, "link:"));
    assert_int_equal(number(f, "0.n"), 0);
    assert_string_equal(text(f, "0.kind"), "start");
    assert_true(json_is_null(at(f, "0.op")));
    assert_true(json_is_null(at(f, "0.digest")));
    assert_string_equal(text(f, "1.op"), "env_get");
    assert_string_equal(text(f, "1.label"), "env KEY");
    assert_int_equal(strlen(text(f, "1.digest")), 12);
    assert_true(json_is_null(at(f, "1.attempts")));
    assert_null(at(f, "1.value"));
    assert_string_equal(text(f, "2.kind"), "attempt");
    assert_string_equal(text(f, "2.status"), "guest_error");
    assert_string_equal(text(f, "2.error"), "the card was declined");
    assert_int_equal(number(f, "3.attempts"), 2);
    assert_string_equal(text(f, "4.kind"), "done");
    assert_int_equal(number(f, "4.attempts"), 3);
    assert_string_equal(text(f, "4.status"), "ok");
    assert_int_equal(number(f, "4.id"), 1);
    assert_string_equal(text(f, "7.error"), "no answer");
    assert_string_equal(text(f, "7.status"), "network");
    assert_string_equal(text(f, "9.kind"), "cancel");
    assert_true(json_is_null(at(f, "9.error")));
    assert_string_equal(text(f, "10.error"), "TypeError: no");
}

static void journal_values_are_rendered(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{}"));
    tell(f, f->path, "journal", "null");
    assert_int_equal(get_of(f, f->path, "/journal?values=1"), 200);
    assert_true(json_is_null(at(f, "0.value")));
    assert_string_equal(text(f, "1.value.value"), "(hidden)");
    assert_null(strstr(bytes_cstr(&f->body), "s3cret"));
    assert_int_equal(number(f, "3.value.attempt"), 2);
    assert_string_equal(text(f, "4.value"), "ok");
    assert_int_equal(number(f, "5.value.status"), 201);
    assert_string_equal(text(f, "5.value.body"), "body text");
    assert_string_equal(text(f, "5.value.headers.0.0"), "etag");
    assert_string_equal(text(f, "6.value.data.by"), "me");
    assert_string_equal(text(f, "7.value"), "no answer");
    assert_string_equal(text(f, "8.value"), "0xff"); /* malformed: shown as it is */
}

static void the_journal_comes_in_pages(void **state)
{
    struct fixture *f = *state;
    int rows;
    char path[160];
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{}"));
    tell(f, f->path, "journal", "null");
    for (int limit = 1; limit <= 11; limit++) {
        snprintf(path, sizeof(path), "%s/journal?limit=%d", f->path, limit);
        assert_int_equal(count_pages(f, path, &rows), (11 + limit - 1) / limit);
        assert_int_equal(rows, 11);
    }
    get_of(f, f->path, "/journal?after=3&limit=1");
    assert_int_equal(number(f, "0.n"), 4);
    assert_int_equal(number(f, "0.attempts"), 3); /* those before the page are known */
    get_of(f, f->path, "/journal?after=99");
    assert_int_equal(json_array_size(f->json), 0);
    get_of(f, f->path, "/journal?after=x");
    expect_error(f, 400, "invalid");
}

static void streams_end_with_their_execution(void **state)
{
    struct fixture *f = *state;
    struct bytes in = BYTES_INIT;
    char target[160];
    upload_workflow(f, "shop");
    snprintf(f->path, sizeof(f->path), "%s", start_one(f, "{}"));
    snprintf(target, sizeof(target), "%s/logs?follow=1&after=0", f->path);
    int fd = follow(f, target);
    read_until(fd, &in, "\r\n\r\n");
    tell(f, f->path, "log", "null");
    read_until(fd, &in, "\"text\":\"it says so\"");
    tell(f, f->path, "finish", "null");
    read_until(fd, &in, "\r\n0\r\n\r\n");
    close(fd);
    bytes_clear(&in);
    fd = follow(f, target); /* has finished: all lines, and the end */
    read_until(fd, &in, "\r\n0\r\n\r\n");
    assert_non_null(strstr(bytes_cstr(&in), "it says so"));
    close(fd);
    bytes_done(&in);
    assert_int_equal(get_of(f, f->path, "/logs"), 200);
    assert_int_equal(json_array_size(f->json), 1);
    assert_string_equal(text(f, "0.execution_id"), strrchr(f->path, '/') + 1);
}

/* ---- check, migrate, metrics ---- */

static void code_is_checked(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    assert_int_equal(ask(f, "POST", "/workflows/shop/check", "{\"bundle\":\"WORKFLOW\"}"), 200);
    assert_int_equal(number(f, "checked"), 8);
    assert_string_equal(text(f, "diverged.0.did"), "returned");
    assert_int_equal(ask(f, "POST", "/workflows/shop/check", "{\"code\":\"WORKFLOW\"}"), 200);
    static const char *const bodies[] = {"{}",
                                         "[]",
                                         "{\"source\":\"x\",\"bundle\":\"y\"}",
                                         "{\"source\":\"x\",\"source_map\":\"y\"}",
                                         "{\"bundle\":1}",
                                         "{\"more\":\"x\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        ask(f, "POST", "/workflows/shop/check", bodies[i]);
        expect_error(f, 400, "invalid");
    }
    ask(f, "POST", "/workflows/shop/check", "{\"bundle\":\"x\",\"source_map\":\"no map\"}");
    expect_error(f, 400, "invalid");
    ask(f, "POST", "/workflows/none/check", "{\"bundle\":\"x\"}");
    expect_error(f, 404, "not_found");
    ask(f, "GET", "/workflows/shop", NULL);
    assert_int_equal(number(f, "version"), 1);
    assert_int_equal(ask(f, "POST", "/workflows/shop/migrate", NULL), 200);
    assert_int_equal(number(f, "migrated"), 2);
    ask(f, "POST", "/workflows/none/migrate", NULL);
    expect_error(f, 404, "not_found");
}

/* Before anything is replayed, as an upload of it would be. */
static void code_that_cannot_be_published_is_not_checked(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    ask(f, "POST", "/workflows/shop/check", "{\"bundle\":\"WORKFLOW BROKEN\"}");
    expect_error(f, 422, "build_failed");
    assert_string_equal(text(f, "error.message"), "ReferenceError: x is not defined");
    assert_string_equal(text(f, "error.file"), "source.ts");
    assert_int_equal(number(f, "error.line"), 2);
    assert_int_equal(number(f, "error.column"), 5);
    assert_non_null(strstr(text(f, "error.frame"), "BROKEN"));
    ask(f, "POST", "/workflows/shop/check", "{\"bundle\":\"only a function\"}");
    expect_error(f, 422, "build_failed");
    assert_string_equal(text(f, "error.message"), "the module exports no workflow");
    assert_null(strstr(f->fake.durable_order, "check"));
}

static void metrics_count_by_status(void **state)
{
    struct fixture *f = *state;
    upload_workflow(f, "shop");
    tell(f, start_one(f, "{}"), "finish", "1");
    post_to(f, start_one(f, "{}"), "pause", NULL);
    assert_int_equal(ask(f, "GET", "/metrics", NULL), 200);
    const char *metrics = bytes_cstr(&f->body);
    assert_non_null(strstr(metrics, "\nlimpet_workflow_executions{status=\"queued\"} 1\n"));
    assert_non_null(strstr(metrics, "\nlimpet_workflow_executions{status=\"completed\"} 1\n"));
    assert_non_null(strstr(metrics, "\nlimpet_workflow_executions_paused 1\n"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(workflows_have_the_routes_of_functions),
        TEST(the_other_kind_is_pointed_at),
        TEST(what_is_uploaded_must_be_what_it_says),
        TEST(a_start_is_accepted),
        TEST(the_same_key_is_the_same_execution),
        TEST(a_start_may_wait_for_its_result),
        TEST(bad_starts_are_refused),
        TEST(an_execution_may_be_waited_for),
        TEST(a_client_that_goes_ends_its_wait),
        TEST(stopping_answers_those_that_wait),
        TEST(signals_are_sent),
        TEST(states_change_by_operations),
        TEST(retries_and_forks_take_numbers),
        TEST(unknown_executions_are_404),
        TEST(runs_of_functions_are_no_workflows),
        TEST(lists_are_filtered),
        TEST(both_kinds_come_in_one_list),
        TEST(the_journal_is_shown),
        TEST(journal_values_are_rendered),
        TEST(the_journal_comes_in_pages),
        TEST(streams_end_with_their_execution),
        TEST(code_is_checked),
        TEST(code_that_cannot_be_published_is_not_checked),
        TEST(metrics_count_by_status),
    };
    log_set_level(LOG_ERROR + 1);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = cmocka_run_group_tests_name("durable", tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
