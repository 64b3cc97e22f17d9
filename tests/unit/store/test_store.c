/* SPDX-License-Identifier: Apache-2.0
 *
 * What mutations do and what reads then see. */
#include "harness.h"

static void builds_are_numbered_per_function(void **state)
{
    struct harness *h = *state;
    int64_t number = 0;
    assert_ok(build_start(h, "hello", &number));
    assert_int_equal(number, 1);
    assert_ok(build_start(h, "hello", &number));
    assert_int_equal(number, 2);
    assert_ok(build_start(h, "other", &number));
    assert_int_equal(number, 1);

    struct build_row *rows;
    size_t len;
    assert_ok(store_builds(h->reader, h->arena, S("hello"), &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_int_equal(rows[0].number, 2);
    assert_int_equal(rows[0].status, BUILD_QUEUED);
    assert_true(rows[0].created_us > 0);
    assert_int_equal(rows[0].started_us, 0);

    struct function_row f;
    assert_ok(store_function(h->reader, h->arena, S("hello"), &f, &h->error));
    assert_slice(f.name, "hello");
    assert_slice(f.hash, "");
    assert_int_equal(f.version, 0);
    assert_int_equal(f.last_build, 2);
}

static void a_name_is_a_function_or_a_workflow(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "hello", NULL));
    struct store_op op = HARNESS_OP(h);
    store_build_start(h->store, &op, S("hello"), MODULE_WORKFLOW);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
    assert_text_has(op.error.message, "is a function already");
    store_build_start(h->store, &op, S(""), MODULE_FUNCTION);
    assert_int_equal(harness_wait(h, &op), ERR_INVALID);
}

static void publishing_makes_a_version_and_serves_it(void **state)
{
    struct harness *h = *state;
    struct version_row v;
    int64_t build = 0, version = 0;
    assert_int_equal(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error),
                     ERR_NOT_FOUND);
    assert_ok(build_start(h, "hello", &build));
    assert_int_equal(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error),
                     ERR_NOT_READY);
    assert_text_has(h->error.message, "its build 1 is queued");

    struct store_op op = HARNESS_OP(h);
    store_build_status(h->store, &op, S("hello"), build, BUILD_BUNDLING);
    assert_ok(harness_wait(h, &op));
    store_build_status(h->store, &op, S("hello"), build, BUILD_EVALUATING);
    assert_ok(harness_wait(h, &op));
    assert_ok(publish(h, "hello", build, "export default 1", "{}", &version));
    assert_int_equal(version, 1);

    assert_ok(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error));
    assert_int_equal(v.number, 1);
    assert_int_equal(v.hash.len, 64);
    assert_int_equal(v.exports, 4);
    assert_false(v.is_setup_done);
    assert_int_equal(v.options.isolation, ISOLATION_MODULE);
    assert_int_equal(v.options.cpu_ms, 250);
    assert_int_equal(v.options.memory_mb, 0);
    assert_slice(v.options.domains, "a.example,*.b.example");
    assert_slice(v.options.runtime, "wasm");

    struct build_row b;
    assert_ok(store_build(h->reader, h->arena, S("hello"), build, &b, &h->error));
    assert_int_equal(b.status, BUILD_READY);
    assert_int_equal(b.version, 1);
    assert_true(b.created_us <= b.started_us && b.started_us <= b.finished_us && b.started_us > 0);

    /* A finished build stays as it is. */
    store_build_status(h->store, &op, S("hello"), build, BUILD_BUNDLING);
    assert_int_equal(harness_wait(h, &op), ERR_CONFLICT);
    assert_int_equal(publish(h, "hello", build, "export default 2", "", NULL), ERR_CONFLICT);
}

static void the_same_bundle_makes_no_new_version(void **state)
{
    struct harness *h = *state;
    int64_t build = 0, version = 0;
    assert_ok(build_start(h, "hello", &build));
    assert_ok(publish(h, "hello", build, "export default 1", "map 1", &version));
    assert_ok(build_start(h, "hello", &build));
    assert_ok(publish(h, "hello", build, "export default 1", "map 2", &version));
    assert_int_equal(version, 1);
    struct version_row v;
    assert_ok(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error));
    CLEANUP(bytes_done) struct bytes map = BYTES_INIT;
    assert_ok(store_artifact_get(h->store, v.detail_hash, &map, &h->error));
    assert_slice(bytes_slice(&map), "map 2"); /* the lines may have moved */
    assert_ok(build_start(h, "hello", &build));
    assert_ok(publish(h, "hello", build, "export default 2", "map 2", &version));
    assert_int_equal(version, 2);
    assert_ok(store_version(h->reader, h->arena, S("hello"), 1, &v, &h->error));
    assert_int_equal(store_version(h->reader, h->arena, S("hello"), 3, &v, &h->error),
                     ERR_NOT_FOUND);
}

static void publishing_what_is_not_stored_is_refused(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "hello", NULL));
    struct version_row v = {
        .function = S("hello"),
        .hash = S("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")};
    struct store_op op = HARNESS_OP(h);
    store_publish(h->store, &op, 1, &v);
    assert_int_equal(harness_wait(h, &op), ERR_INTERNAL);
    struct build_row b;
    assert_ok(store_build(h->reader, h->arena, S("hello"), 1, &b, &h->error));
    assert_int_equal(b.status, BUILD_QUEUED);
}

static void a_failed_build_keeps_its_position(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "hello", NULL));
    struct build_row b = {.function = S("hello"),
                          .number = 1,
                          .error_message = S("no"),
                          .error_file = S("hello.ts"),
                          .error_frame = S("1 | x\n    ^"),
                          .error_line = 3,
                          .error_column = 7};
    struct store_op op = HARNESS_OP(h);
    store_build_fail(h->store, &op, &b);
    assert_ok(harness_wait(h, &op));
    struct build_row seen;
    assert_ok(store_build(h->reader, h->arena, S("hello"), 1, &seen, &h->error));
    assert_int_equal(seen.status, BUILD_FAILED);
    assert_slice(seen.error_message, "no");
    assert_slice(seen.error_file, "hello.ts");
    assert_slice(seen.error_frame, "1 | x\n    ^");
    assert_int_equal(seen.error_line, 3);
    assert_int_equal(seen.error_column, 7);
    assert_int_equal(store_build(h->reader, h->arena, S("hello"), 2, &seen, &h->error),
                     ERR_NOT_FOUND);
    struct version_row v;
    assert_int_equal(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error),
                     ERR_NOT_READY);
    assert_text_has(h->error.hint, "build status hello 1");
}

static void setup_is_marked_once(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "hello", NULL));
    assert_ok(publish(h, "hello", 1, "x", "", NULL));
    struct store_op op = HARNESS_OP(h);
    store_setup_done(h->store, &op, S("hello"), 1);
    assert_ok(harness_wait(h, &op));
    struct version_row v;
    assert_ok(store_version(h->reader, h->arena, S("hello"), 0, &v, &h->error));
    assert_true(v.is_setup_done);
    store_setup_done(h->store, &op, S("hello"), 2);
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
}

static enum err env_set(struct harness *h, struct slice name, struct slice value)
{
    struct store_op op = HARNESS_OP(h);
    store_env_set(h->store, &op, S("hello"), name, value);
    return harness_wait(h, &op);
}

static void variables_are_set_replaced_and_deleted(void **state)
{
    struct harness *h = *state;
    assert_int_equal(env_set(h, S("A"), S("1")), ERR_NOT_FOUND);
    assert_ok(build_start(h, "hello", NULL));
    assert_ok(env_set(h, S("B"), S("2")));
    assert_ok(env_set(h, S("A"), S("1")));
    assert_ok(env_set(h, S("A"), S("nul \0 inside")));
    struct env_row *rows;
    size_t len;
    assert_ok(store_env(h->reader, h->arena, S("hello"), true, &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_slice(rows[0].name, "A");
    assert_true(slice_eq(rows[0].value, S("nul \0 inside")));
    assert_slice(rows[1].value, "2");

    struct store_op op = HARNESS_OP(h);
    store_env_delete(h->store, &op, S("hello"), S("A"));
    assert_ok(harness_wait(h, &op));
    store_env_delete(h->store, &op, S("hello"), S("A"));
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
    assert_ok(store_env(h->reader, h->arena, S("hello"), true, &rows, &len, &h->error));
    assert_int_equal(len, 1);
}

static void variables_are_bounded(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "hello", NULL));
    CLEANUP(bytes_done) struct bytes big = BYTES_INIT;
    for (int i = 0; i <= 64 * 1024; i++)
        bytes_append_char(&big, 'x');
    assert_int_equal(env_set(h, S("A"), bytes_slice(&big)), ERR_TOO_LARGE);
    assert_int_equal(env_set(h, S(""), S("x")), ERR_INVALID);
    char name[16];
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "V%d", i);
        assert_ok(env_set(h, slice_cstr(name), S("x")));
    }
    assert_int_equal(env_set(h, S("ONE_MORE"), S("x")), ERR_CONFLICT);
    assert_ok(env_set(h, S("V7"), S("replacing is no addition")));
}

static void an_execution_runs_and_ends_once(void **state)
{
    struct harness *h = *state;
    assert_int_equal(execution_start(h, "hello", "e1"), ERR_NOT_FOUND);
    assert_ok(build_start(h, "hello", NULL));
    assert_ok(execution_start(h, "hello", "e1"));
    assert_int_equal(execution_start(h, "hello", "e1"), ERR_CONFLICT);
    struct execution_row e;
    assert_ok(store_execution(h->reader, h->arena, S("e1"), &e, &h->error));
    assert_int_equal(e.status, EXECUTION_RUNNING);
    assert_slice(e.function, "hello");
    assert_slice(e.input, "{\"n\":1}");
    assert_int_equal(e.finished_us, 0);
    assert_ok(execution_finish(h, "e1"));
    assert_int_equal(execution_finish(h, "e1"), ERR_CONFLICT);
    assert_int_equal(execution_finish(h, "e2"), ERR_NOT_FOUND);
    assert_ok(store_execution(h->reader, h->arena, S("e1"), &e, &h->error));
    assert_int_equal(e.status, EXECUTION_SUCCESS);
    assert_slice(e.output, "42");
    assert_slice(e.input, "{\"n\":1}");
    assert_true(e.finished_us >= e.created_us);
    assert_int_equal(store_execution(h->reader, h->arena, S("e2"), &e, &h->error), ERR_NOT_FOUND);
}

/* Starts executions "PREFIX0" … without waiting for each. */
static void on_many(struct store_op *op)
{
    struct harness *h = container_of(op->loop, struct harness, loop);
    if (op->error.code != OK)
        h->error = op->error;
    if (--h->pending == 0)
        loop_stop(op->loop);
}

static void finished_executions(struct harness *h, const char *function, const char *prefix,
                                int count)
{
    struct store_op *ops = calloc((size_t)count, sizeof(*ops));
    h->error.code = OK;
    h->pending = count;
    for (int i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%s%d", prefix, i);
        struct execution_row row = {
            .id = slice_cstr(id), .function = slice_cstr(function), .status = EXECUTION_SUCCESS};
        ops[i] = (struct store_op){.loop = &h->loop, .done = on_many};
        store_execution_start(h->store, &ops[i], &row);
    }
    loop_run(&h->loop);
    free(ops);
    assert_int_equal(h->error.code, OK);
}

static int count_pages(struct harness *h, struct slice function, int64_t limit, int *ret_pages)
{
    struct store_page page = {.limit = limit};
    int total = 0;
    int64_t last = INT64_MAX;
    *ret_pages = 0;
    do {
        struct execution_row *rows;
        struct slice next;
        size_t len;
        assert_ok(store_executions(h->reader, h->arena, S(""), function, &page, &rows, &len, &next,
                                   &h->error));
        assert_true(len <= (size_t)limit);
        for (size_t i = 0; i < len; i++) {
            assert_true(rows[i].created_us <= last); /* newest first */
            last = rows[i].created_us;
        }
        total += (int)len;
        ++*ret_pages;
        page.cursor = next;
    } while (page.cursor.len);
    return total;
}

static void executions_are_paged_newest_first(void **state)
{
    struct harness *h = *state;
    int pages = 0;
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "b", NULL));
    assert_int_equal(count_pages(h, S("a"), 10, &pages), 0);
    finished_executions(h, "a", "a", 30);
    finished_executions(h, "b", "b", 5);
    assert_int_equal(count_pages(h, S("a"), 10, &pages), 30);
    assert_int_equal(pages, 3); /* no empty page at the end */
    assert_int_equal(count_pages(h, S(""), 10, &pages), 35);
    assert_int_equal(pages, 4);
    struct store_page page = {.limit = 10, .cursor = S("x'; DROP TABLE execution")};
    struct execution_row *rows;
    struct slice next;
    size_t len;
    assert_int_equal(
        store_executions(h->reader, h->arena, S(""), S("a"), &page, &rows, &len, &next, &h->error),
        ERR_INVALID);
    page.cursor = S("");
    assert_int_equal(store_executions(h->reader, h->arena, S(""), S("none"), &page, &rows, &len,
                                      &next, &h->error),
                     ERR_NOT_FOUND);
}

static void a_page_of_large_rows_ends_early(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes big = BYTES_INIT;
    bytes_reserve(&big, 4 << 20);
    memset(big.ptr, 'x', 4 << 20);
    big.len = 4 << 20;
    assert_ok(build_start(h, "a", NULL));
    for (int i = 0; i < 6; i++) {
        char id[8];
        snprintf(id, sizeof(id), "e%d", i);
        struct execution_row row = {.id = slice_cstr(id),
                                    .function = S("a"),
                                    .status = EXECUTION_FAILURE,
                                    .error = bytes_slice(&big)};
        struct store_op op = HARNESS_OP(h);
        store_execution_start(h->store, &op, &row);
        assert_ok(harness_wait(h, &op));
    }
    int pages = 0;
    assert_int_equal(count_pages(h, S("a"), 100, &pages), 6);
    assert_int_equal(pages, 2);
}

static void write_log(struct harness *h, const char *function, const char *execution,
                      const char *text)
{
    struct log_row row = {.function = slice_cstr(function),
                          .execution = slice_cstr(execution),
                          .level = 1,
                          .at_us = 5,
                          .text = slice_cstr(text)};
    store_log(h->store, NULL, &row);
}

/* Mutations are applied in order, so whatever was queued before is committed after this. */
static void barrier(struct harness *h)
{
    struct store_op op = HARNESS_OP(h);
    store_setup_done(h->store, &op, S("no such function"), 1);
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
}

static void log_lines_are_followed_by_id(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "a", NULL));
    write_log(h, "a", "e1", "one");
    write_log(h, "a", "", "two");
    write_log(h, "nobody", "", "goes nowhere");
    write_log(h, "a", "e1", "three");
    write_log(h, "a", "e2", "four");
    barrier(h);
    struct log_row *rows;
    size_t len;
    assert_ok(store_logs(h->reader, h->arena, S("a"), S(""), -1, 3, &rows, &len, &h->error));
    assert_int_equal(len, 3);
    assert_slice(rows[0].text, "two");
    assert_slice(rows[2].text, "four");
    assert_slice(rows[2].execution, "e2");
    assert_int_equal(rows[2].level, 1);
    assert_int_equal(rows[2].at_us, 5);
    int64_t last = rows[2].id;
    assert_ok(store_logs(h->reader, h->arena, S("a"), S(""), last, 10, &rows, &len, &h->error));
    assert_int_equal(len, 0);
    assert_ok(store_logs(h->reader, h->arena, S("a"), S(""), 0, 2, &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_slice(rows[0].text, "one");
    assert_ok(store_logs(h->reader, h->arena, S("a"), S("e1"), -1, 10, &rows, &len, &h->error));
    assert_int_equal(len, 2);
    assert_slice(rows[1].text, "three");
    assert_ok(
        store_logs(h->reader, h->arena, S("a"), S("e1"), rows[0].id, 10, &rows, &len, &h->error));
    assert_int_equal(len, 1);
    assert_slice(rows[0].text, "three");
    assert_int_equal(
        store_logs(h->reader, h->arena, S("nobody"), S(""), -1, 3, &rows, &len, &h->error),
        ERR_NOT_FOUND);
}

/* The writer tidies when it has nothing else to do; a commit that comes after its last step shows
 * that it was done. So: ask until it is, without a clock. */
static int executions_left(struct harness *h, const char *function, int enough)
{
    int count = 0, pages = 0;
    for (int i = 0; i < 10000; i++) {
        arena_reset(h->arena);
        count = count_pages(h, slice_cstr(function), 1000, &pages);
        if (count <= enough)
            break;
        barrier(h);
    }
    return count;
}

static void old_executions_and_lines_are_trimmed(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "a", NULL));
    assert_ok(build_start(h, "b", NULL));
    assert_ok(execution_start(h, "a", "running"));
    finished_executions(h, "b", "b", 10);
    finished_executions(h, "a", "a", 1700);
    for (int i = 0; i < 1000; i++)
        write_log(h, "a", "", "line");
    write_log(h, "a", "", "last");
    /* 32 are kept; trimming starts at 34. The running one is never removed. */
    assert_true(executions_left(h, "a", 34) <= 34);
    assert_true(executions_left(h, "a", 34) >= 33);
    struct execution_row e;
    assert_ok(store_execution(h->reader, h->arena, S("running"), &e, &h->error));
    assert_ok(store_execution(h->reader, h->arena, S("a1699"), &e, &h->error));
    assert_int_equal(store_execution(h->reader, h->arena, S("a0"), &e, &h->error), ERR_NOT_FOUND);
    assert_int_equal(executions_left(h, "b", 10), 10);
    struct log_row *rows;
    size_t len = 0;
    for (int i = 0; i < 10000; i++) {
        barrier(h); /* so that all of them are written */
        arena_reset(h->arena);
        assert_ok(store_logs(h->reader, h->arena, S("a"), S(""), 0, 1000, &rows, &len, &h->error));
        if (len <= 17)
            break;
    }
    assert_in_range(len, 16, 17); /* 16 are kept, trimming starts at 17 */
    assert_slice(rows[len - 1].text, "last");
}

static void a_deleted_function_leaves_nothing(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "a", NULL));
    assert_ok(publish(h, "a", 1, "x", "", NULL));
    assert_ok(build_start(h, "a", NULL));
    assert_ok(execution_start(h, "a", "running"));
    finished_executions(h, "a", "a", 1200);
    write_log(h, "a", "", "line");
    assert_ok(function_delete(h, "a"));
    assert_int_equal(function_delete(h, "a"), ERR_NOT_FOUND);

    struct function_row f;
    struct execution_row e;
    int pages = 0;
    assert_int_equal(store_function(h->reader, h->arena, S("a"), &f, &h->error), ERR_NOT_FOUND);
    assert_int_equal(store_execution(h->reader, h->arena, S("a1"), &e, &h->error), ERR_NOT_FOUND);
    assert_int_equal(count_pages(h, S(""), 100, &pages), 0);
    assert_int_equal(execution_finish(h, "running"), ERR_NOT_FOUND);
    assert_int_equal(publish(h, "a", 2, "y", "", NULL), ERR_NOT_FOUND);

    /* The name is free, and starts anew. */
    int64_t number = 0;
    assert_ok(build_start(h, "a", &number));
    assert_int_equal(number, 1);
    assert_int_equal(count_pages(h, S("a"), 100, &pages), 0);
    struct log_row *rows;
    size_t len;
    assert_ok(store_logs(h->reader, h->arena, S("a"), S(""), 0, 10, &rows, &len, &h->error));
    assert_int_equal(len, 0);
    assert_ok(publish(h, "a", 1, "z", "", &number));
    assert_int_equal(number, 1);
}

static void functions_are_listed_by_name(void **state)
{
    struct harness *h = *state;
    struct function_row *rows;
    size_t len = 1;
    assert_ok(store_functions(h->reader, h->arena, S(""), MODULE_FUNCTION, &rows, &len, &h->error));
    assert_int_equal(len, 0);
    for (int i = 40; i-- > 0;) {
        char name[8];
        snprintf(name, sizeof(name), "f%02d", i);
        assert_ok(build_start(h, name, NULL));
    }
    assert_ok(store_functions(h->reader, h->arena, S(""), MODULE_FUNCTION, &rows, &len, &h->error));
    assert_int_equal(len, 40);
    assert_slice(rows[0].name, "f00");
    assert_slice(rows[39].name, "f39");
    assert_ok(store_functions(h->reader, h->arena, S(""), MODULE_WORKFLOW, &rows, &len, &h->error));
    assert_int_equal(len, 0);
}

/* One bad mutation among good ones, in one batch or several, fails alone. */
static void a_bad_mutation_fails_alone(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "a", NULL));
    struct store_op ops[50];
    h->pending = 50;
    for (int i = 0; i < 50; i++) {
        char id[8];
        snprintf(id, sizeof(id), "e%d", i / 2); /* each id twice */
        struct execution_row row = {.id = slice_cstr(id), .function = S("a")};
        ops[i] = (struct store_op){.loop = &h->loop, .done = on_many};
        store_execution_start(h->store, &ops[i], &row);
    }
    loop_run(&h->loop);
    for (int i = 0; i < 50; i++)
        assert_int_equal(ops[i].error.code, i % 2 ? ERR_CONFLICT : OK);
    int pages = 0;
    assert_int_equal(count_pages(h, S("a"), 100, &pages), 25);
    struct store_stats stats;
    store_stats(h->store, &stats);
    assert_false(stats.is_refusing);
    assert_int_equal(stats.queued, 0);
}

static void mutations_are_committed_in_groups(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "a", NULL));
    struct store_stats before, after;
    store_stats(h->store, &before);
    finished_executions(h, "a", "a", 4000);
    store_stats(h->store, &after);
    assert_int_equal(after.mutations - before.mutations, 4000);
    assert_true(after.commits - before.commits < 4000);
    assert_true(after.commit_ns_total > before.commit_ns_total);
}

static int setup_small(void **state)
{
    struct harness *h = harness_new_folder();
    *state = h;
    h->execution_rows_max = 32;
    h->log_rows_max = 16;
    assert_ok(harness_open_store(h));
    return 0;
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(builds_are_numbered_per_function),
        TEST(a_name_is_a_function_or_a_workflow),
        TEST(publishing_makes_a_version_and_serves_it),
        TEST(the_same_bundle_makes_no_new_version),
        TEST(publishing_what_is_not_stored_is_refused),
        TEST(a_failed_build_keeps_its_position),
        TEST(setup_is_marked_once),
        TEST(variables_are_set_replaced_and_deleted),
        TEST(variables_are_bounded),
        TEST(an_execution_runs_and_ends_once),
        TEST(executions_are_paged_newest_first),
        TEST(a_page_of_large_rows_ends_early),
        TEST(log_lines_are_followed_by_id),
        cmocka_unit_test_setup_teardown(old_executions_and_lines_are_trimmed, setup_small,
                                        harness_teardown),
        TEST(a_deleted_function_leaves_nothing),
        TEST(functions_are_listed_by_name),
        TEST(a_bad_mutation_fails_alone),
        TEST(mutations_are_committed_in_groups),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
