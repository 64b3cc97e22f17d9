/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of builds, their ends, and what is visible of them meanwhile. One thread runs the loop;
 * each wait runs it until the event that is waited for. */
#include "harness.h"

#include "admin/build_queue.h"
#include "base/log.h"
#include "store/sqlite/reads.h"

struct fixture {
    char folder[64];
    struct loop loop;
    struct store *store;
    struct store_reader *reader;
    struct arena *arena;
    struct fake fake;
    struct admin_host host;
    struct build_queue *queue;
};

struct watcher {
    struct build_watch watch;
    struct loop *loop;
    int64_t number;
    struct error recorded, ended;
    bool is_recorded, is_ended;
};

static void on_recorded(struct build_watch *w, int64_t number, const struct error *error)
{
    struct watcher *s = container_of(w, struct watcher, watch);
    s->is_recorded = true;
    s->number = number;
    s->recorded = *error;
}

static void on_end(struct build_watch *w, const struct error *error)
{
    struct watcher *s = container_of(w, struct watcher, watch);
    s->is_ended = true;
    s->ended = *error;
}

/* One turn at a time until the flag is set. */
static void run_until(struct fixture *f, const bool *flag)
{
    while (!*flag)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error = {0};
    fake_init(&f->fake);
    loop_init(&f->loop);
    f->store = open_store(f->folder);
    f->arena = arena_new(NULL);
    assert_int_equal(store_reader_open(f->store, &f->reader, &error), OK);
    f->fake.loop = &f->loop;
    f->fake.store = f->store;
    f->host = fake_host(&f->fake);
    struct build_queue_config config = {
        .loop = &f->loop, .store = f->store, .host = &f->host, .esbuild = NULL};
    f->queue = build_queue_new(&config);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    build_queue_free(f->queue);
    store_reader_close(f->reader);
    store_close(f->store);
    loop_done(&f->loop);
    arena_free(f->arena);
    remove_folder(f->folder);
    free(f);
    return 0;
}

static enum err submit(struct fixture *f, struct watcher *w, const char *name, const char *code)
{
    struct build_upload upload = {.function = slice_cstr(name), .is_built = true};
    struct error error = {0};
    bytes_append_cstr(&upload.built.artifact, code);
    *w = (struct watcher){.watch = {.on_recorded = on_recorded, .on_end = on_end}};
    return build_queue_submit(f->queue, &upload, &w->watch, &error);
}

static struct build_row build_of(struct fixture *f, const char *name, int64_t number)
{
    struct build_row row = {0};
    struct error error = {0};
    if (store_build(f->reader, f->arena, slice_cstr(name), number, &row, &error))
        fail_msg("%s", error.message);
    return row;
}

static int64_t version_of(struct fixture *f, const char *name)
{
    struct function_row row = {0};
    return store_function(f->reader, f->arena, slice_cstr(name), &row, NULL) ? -1 : row.version;
}

static void an_upload_becomes_a_version(void **state)
{
    struct fixture *f = *state;
    struct watcher w;
    assert_int_equal(submit(f, &w, "hello", "export default 1"), OK);
    run_until(f, &w.is_ended);
    assert_true(w.is_recorded);
    assert_int_equal(w.number, 1);
    assert_int_equal(w.ended.code, OK);
    assert_int_equal(build_of(f, "hello", 1).status, BUILD_READY);
    assert_int_equal(version_of(f, "hello"), 1);
    assert_int_equal(f->fake.changes, 1);
    enum build_status status;
    int64_t started;
    assert_false(build_queue_live(f->queue, SLICE_LIT("hello"), 1, &status, &started));
}

static void a_failed_build_leaves_the_version(void **state)
{
    struct fixture *f = *state;
    struct watcher good, bad;
    assert_int_equal(submit(f, &good, "hello", "fine"), OK);
    run_until(f, &good.is_ended);
    assert_int_equal(submit(f, &bad, "hello", "BROKEN"), OK);
    run_until(f, &bad.is_ended);
    assert_int_equal(bad.ended.code, OK);
    struct build_row row = build_of(f, "hello", 2);
    assert_int_equal(row.status, BUILD_FAILED);
    assert_int_equal(row.error_line, 2);
    assert_int_equal(row.error_column, 5);
    assert_true(slice_eq_cstr(row.error_file, "source.ts"));
    assert_true(fake_has(row.error_frame, "BROKEN"));
    assert_int_equal(version_of(f, "hello"), 1);
    assert_int_equal(f->fake.changes, 1);
}

static void a_missing_bundler_is_a_failed_build(void **state)
{
    struct fixture *f = *state;
    struct watcher w = {.watch = {.on_end = on_end}};
    struct build_upload upload = {.function = SLICE_LIT("hello")};
    bytes_append_cstr(&upload.source, "export default 1");
    assert_int_equal(build_queue_submit(f->queue, &upload, &w.watch, NULL), OK);
    run_until(f, &w.is_ended);
    struct build_row row = build_of(f, "hello", 1);
    assert_int_equal(row.status, BUILD_FAILED);
    assert_true(fake_has(row.error_message, "esbuild"));
}

static void builds_of_one_function_keep_their_order(void **state)
{
    struct fixture *f = *state;
    struct watcher first, second, third;
    assert_int_equal(submit(f, &first, "hello", "GATE 1"), OK);
    assert_int_equal(submit(f, &second, "hello", "two"), OK);
    assert_int_equal(submit(f, &third, "other", "three"), OK);
    run_until(f, &third.is_ended);
    run_until(f, &second.is_recorded);
    assert_false(first.is_ended);
    assert_false(second.is_ended);
    enum build_status status;
    int64_t started;
    assert_true(build_queue_live(f->queue, SLICE_LIT("hello"), 1, &status, &started));
    assert_int_equal(status, BUILD_EVALUATING);
    assert_true(started > 0);
    assert_true(build_queue_live(f->queue, SLICE_LIT("hello"), 2, &status, &started));
    assert_int_equal(status, BUILD_QUEUED);
    sem_post(&f->fake.gate);
    run_until(f, &second.is_ended);
    assert_true(first.is_ended);
    /* The other one is before the second, wherever it comes as to the first. */
    if (strcmp(f->fake.order, "other hello hello ") != 0)
        assert_string_equal(f->fake.order, "hello other hello ");
    assert_int_equal(version_of(f, "hello"), 2);
}

static void few_builds_run_at_once(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 6 };
    static const char *const names[COUNT] = {"a", "b", "c", "d", "e", "f"};
    struct watcher w[COUNT];
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(submit(f, &w[i], names[i], "GATE"), OK);
    struct build_queue_stats stats;
    build_queue_stats(f->queue, &stats);
    assert_int_equal(stats.running, BUILD_RUNNING_MAX);
    assert_int_equal(stats.queued, COUNT - BUILD_RUNNING_MAX);
    for (int i = 0; i < COUNT; i++)
        sem_post(&f->fake.gate);
    for (int i = 0; i < COUNT; i++)
        run_until(f, &w[i].is_ended);
    assert_true(f->fake.running_most <= BUILD_RUNNING_MAX);
    build_queue_stats(f->queue, &stats);
    assert_int_equal(stats.ready, COUNT);
    assert_int_equal(stats.running + stats.queued, 0);
}

static void a_full_queue_refuses(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 256 + BUILD_RUNNING_MAX };
    struct watcher *w = calloc(COUNT + 1, sizeof(*w));
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(submit(f, &w[i], name, "GATE"), OK);
    }
    assert_int_equal(submit(f, &w[COUNT], "more", "x"), ERR_OVERLOAD);
    for (int i = 0; i < COUNT; i++)
        sem_post(&f->fake.gate);
    for (int i = 0; i < COUNT; i++)
        run_until(f, &w[i].is_ended);
    free(w);
}

static void a_deleted_function_takes_its_builds_along(void **state)
{
    struct fixture *f = *state;
    struct watcher running, queued, next;
    assert_int_equal(submit(f, &running, "hello", "GATE"), OK);
    assert_int_equal(submit(f, &queued, "hello", "two"), OK);
    run_until(f, &queued.is_recorded);
    build_queue_cancel(f->queue, SLICE_LIT("hello"));
    assert_true(queued.is_ended);
    assert_int_equal(queued.ended.code, ERR_NOT_FOUND);
    store_function_delete(f->store, NULL, SLICE_LIT("hello"));
    /* One made again must not get the builds of the one before. */
    assert_int_equal(submit(f, &next, "hello", "three"), OK);
    run_until(f, &next.is_recorded);
    assert_int_equal(next.number, 1);
    sem_post(&f->fake.gate);
    run_until(f, &running.is_ended);
    assert_int_equal(running.ended.code, ERR_NOT_FOUND);
    run_until(f, &next.is_ended);
    assert_int_equal(next.ended.code, OK);
    assert_int_equal(version_of(f, "hello"), 1);
}

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

static void stopping_ends_the_queue(void **state)
{
    struct fixture *f = *state;
    struct watcher running, queued, late;
    bool is_drained = false;
    assert_int_equal(submit(f, &running, "hello", "GATE"), OK);
    assert_int_equal(submit(f, &queued, "hello", "two"), OK);
    build_queue_drain(f->queue, on_drained, &is_drained);
    assert_int_equal(submit(f, &late, "late", "x"), ERR_UNAVAILABLE);
    run_until(f, &queued.is_ended);
    assert_int_equal(build_of(f, "hello", 2).status, BUILD_FAILED);
    assert_false(is_drained);
    sem_post(&f->fake.gate);
    run_until(f, &is_drained);
    assert_true(running.is_ended);
    assert_int_equal(build_of(f, "hello", 1).status, BUILD_READY);
}

static void an_unwatched_build_goes_on(void **state)
{
    struct fixture *f = *state;
    struct watcher gone, later = {.watch = {.on_end = on_end}};
    assert_int_equal(submit(f, &gone, "hello", "GATE"), OK);
    run_until(f, &gone.is_recorded);
    build_watch_stop(&gone.watch);
    assert_true(build_queue_watch(f->queue, SLICE_LIT("hello"), 1, &later.watch));
    assert_false(build_queue_watch(f->queue, SLICE_LIT("hello"), 2, &gone.watch));
    sem_post(&f->fake.gate);
    run_until(f, &later.is_ended);
    assert_false(gone.is_ended);
    assert_int_equal(version_of(f, "hello"), 1);
}

static void engines_that_refuse_are_told_to_the_uploader(void **state)
{
    struct fixture *f = *state;
    struct watcher w;
    f->fake.change_fails = ERR_UNAVAILABLE;
    assert_int_equal(submit(f, &w, "hello", "x"), OK);
    run_until(f, &w.is_ended);
    assert_int_equal(w.ended.code, ERR_UNAVAILABLE);
}

static void a_bad_source_map_is_a_failed_build(void **state)
{
    struct fixture *f = *state;
    struct watcher w = {.watch = {.on_end = on_end}};
    struct build_upload upload = {.function = SLICE_LIT("hello"), .is_built = true};
    bytes_append_cstr(&upload.built.artifact, "export default 1");
    bytes_append_cstr(&upload.built.detail, "{\"version\":2}");
    assert_int_equal(build_queue_submit(f->queue, &upload, &w.watch, NULL), OK);
    run_until(f, &w.is_ended);
    struct build_row row = build_of(f, "hello", 1);
    assert_int_equal(row.status, BUILD_FAILED);
    assert_true(fake_has(row.error_message, "source_map"));
    assert_int_equal(f->fake.evaluations, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_upload_becomes_a_version),
        TEST(a_failed_build_leaves_the_version),
        TEST(a_missing_bundler_is_a_failed_build),
        TEST(builds_of_one_function_keep_their_order),
        TEST(few_builds_run_at_once),
        TEST(a_full_queue_refuses),
        TEST(a_deleted_function_takes_its_builds_along),
        TEST(stopping_ends_the_queue),
        TEST(an_unwatched_build_goes_on),
        TEST(engines_that_refuse_are_told_to_the_uploader),
        TEST(a_bad_source_map_is_a_failed_build),
    };
    log_set_level(LOG_ERROR + 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("build_queue", tests, NULL, NULL);
}
