/* SPDX-License-Identifier: Apache-2.0
 *
 * What is acknowledged is on the disk: a writing child is killed with SIGKILL and everything that
 * it was told is durable must be there. And what cannot be written is refused with the reason,
 * until it can. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "harness.h"

enum { IN_FLIGHT = 64, ROUNDS = 5, ACKNOWLEDGED_MIN = 500 };

/* ---- kill -9 ---- */

/* One op of the child: starts execution "ID", then again with the next id as soon as it is durable.
 */
struct flow {
    struct store_op op;
    struct harness *h;
    int round, number;
    bool is_started;
};

static int child_next;

static void flow_step(struct store_op *op)
{
    struct flow *f = container_of(op, struct flow, op);
    if (f->is_started) {
        if (op->error.code != OK)
            _exit(3);
        /* A pipe takes a line of this size whole. */
        char line[32];
        int len = snprintf(line, sizeof(line), "%d.%d\n", f->round, f->number);
        if (write(STDOUT_FILENO, line, (size_t)len) != len)
            _exit(4);
    }
    f->is_started = true;
    f->number = child_next++;
    char id[32], input[2000];
    snprintf(id, sizeof(id), "%d.%d", f->round, f->number);
    memset(input, 'x', sizeof(input));
    struct execution_row row = {.id = slice_cstr(id),
                                .function = S("a"),
                                .input =
                                    slice_of(input, (size_t)(f->number * 37 % (int)sizeof(input)))};
    store_execution_start(f->h->store, &f->op, &row);
}

/* The child: "test_durability write FOLDER ROUND". Ends only by a signal. */
static int child_write(const char *folder, int round)
{
    struct harness *h = calloc(1, sizeof(*h));
    snprintf(h->url, sizeof(h->url), "sqlite:%s/data/db.sqlite", folder);
    snprintf(h->artifacts, sizeof(h->artifacts), "%s/data/artifacts", folder);
    loop_init(&h->loop);
    if (harness_open_store(h) != OK)
        return 2;
    if (round == 0 && build_start(h, "a", NULL) != OK)
        return 2;
    static struct flow flows[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++) {
        flows[i] = (struct flow){.op = HARNESS_OP(h), .h = h, .round = round};
        flows[i].op.done = flow_step;
        flow_step(&flows[i].op);
    }
    loop_run(&h->loop);
    return 2;
}

static pid_t child_spawn(const char *folder, int round, int *ret_out)
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    char number[16];
    snprintf(number, sizeof(number), "%d", round);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "test_durability", "write", folder, number, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    *ret_out = out[0];
    return pid;
}

/* Reads acknowledgements until there are enough, kills, reads the rest. Returns the ids, a line
 * each. */
static struct bytes child_kill(pid_t pid, int out, int enough)
{
    struct bytes lines = BYTES_INIT;
    char chunk[4096];
    ssize_t len;
    int count = 0;
    bool is_killed = false;
    while ((len = read(out, chunk, sizeof(chunk))) > 0) {
        bytes_append(&lines, chunk, (size_t)len);
        for (ssize_t i = 0; i < len; i++)
            count += chunk[i] == '\n';
        if (count >= enough && !is_killed) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            is_killed = true;
        }
    }
    close(out);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(is_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return lines;
}

static void acknowledged_executions_survive_kill_9(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    for (int round = 0; round < ROUNDS; round++) {
        int out = -1;
        pid_t pid = child_spawn(h->folder, round, &out);
        CLEANUP(bytes_done)
        struct bytes lines = child_kill(pid, out, ACKNOWLEDGED_MIN + 100 * round);
        bytes_append_slice(&all, bytes_slice(&lines));
    }
    assert_ok(harness_open_store(h));
    struct slice rest = bytes_slice(&all);
    int count = 0;
    while (rest.len) {
        struct slice id = slice_split(&rest, '\n');
        struct execution_row e;
        arena_reset(h->arena);
        if (store_execution(h->reader, h->arena, id, &e, &h->error) != OK)
            fail_msg("execution %.*s was acknowledged and is lost: %s", SLICE_ARG(id),
                     h->error.message);
        const char *dot = memchr(id.ptr, '.', id.len);
        assert_int_equal(e.input.len, atoi(dot + 1) * 37 % 2000);
        for (size_t i = 0; i < e.input.len; i++)
            assert_int_equal(e.input.ptr[i], 'x');
        /* It was running when its server was killed. */
        assert_int_equal(e.status, EXECUTION_FAILURE);
        count++;
    }
    assert_true(count >= ROUNDS * ACKNOWLEDGED_MIN);
    struct store_op op = HARNESS_OP(h);
    store_execution_start(h->store, &op,
                          &(struct execution_row){.id = S("after"), .function = S("a")});
    assert_ok(harness_wait(h, &op));
}

/* ---- no space ---- */

static void set_file_size_max(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static enum err start_large(struct harness *h, const char *id, struct error *ret_error)
{
    char input[8192];
    memset(input, 'x', sizeof(input));
    struct execution_row row = {
        .id = slice_cstr(id), .function = S("a"), .input = slice_of(input, sizeof(input))};
    struct store_op op = HARNESS_OP(h);
    store_execution_start(h->store, &op, &row);
    enum err code = harness_wait(h, &op);
    *ret_error = op.error;
    return code;
}

/* A limit on the size of files is how this process makes its disk full: writes past it fail. */
static void a_full_disk_refuses_and_recovers(void **state)
{
    struct harness *h = *state;
    struct store_stats stats;
    struct error error;
    char id[16];
    int good = 0;
    assert_ok(build_start(h, "a", NULL));
    signal(SIGXFSZ, SIG_IGN);
    set_file_size_max(1024 * 1024);
    enum err code = OK;
    while (code == OK && good < 1000) {
        snprintf(id, sizeof(id), "e%d", good);
        code = start_large(h, id, &error);
        good += code == OK;
    }
    store_stats(h->store, &stats);
    bool was_refusing = stats.is_refusing;
    enum err still = start_large(h, "still", &error);
    set_file_size_max(RLIM_INFINITY);
    assert_int_equal(code, ERR_UNAVAILABLE);
    assert_int_equal(still, ERR_UNAVAILABLE);
    assert_true(was_refusing);
    assert_true(error_is_retryable(error.code));
    assert_text_has(error.message, "no space left");
    assert_text_has(error.hint, "free some space");
    assert_true(good > 0);

    /* Everything acknowledged is there, what was refused is not. */
    struct execution_row e;
    for (int i = 0; i < good; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        arena_reset(h->arena);
        assert_ok(store_execution(h->reader, h->arena, slice_cstr(id), &e, &h->error));
    }
    assert_int_equal(store_execution(h->reader, h->arena, S("still"), &e, &h->error),
                     ERR_NOT_FOUND);

    assert_int_equal(start_large(h, "again", &error), OK);
    store_stats(h->store, &stats);
    assert_false(stats.is_refusing);
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_ok(store_execution(h->reader, h->arena, S("again"), &e, &h->error));
}

/* Nobody sends anything, and yet the store learns that the disk has space again. */
static void recovery_needs_no_traffic(void **state)
{
    struct harness *h = *state;
    struct store_stats stats;
    struct error error;
    char id[16];
    assert_ok(build_start(h, "a", NULL));
    signal(SIGXFSZ, SIG_IGN);
    set_file_size_max(256 * 1024);
    enum err code = OK;
    for (int i = 0; code == OK && i < 1000; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        code = start_large(h, id, &error);
    }
    set_file_size_max(RLIM_INFINITY);
    assert_int_equal(code, ERR_UNAVAILABLE);
    do {
        usleep(1000); /* the store's own probe is what is waited for */
        store_stats(h->store, &stats);
    } while (stats.is_refusing);
}

static void a_full_disk_fails_artifacts_clearly(void **state)
{
    struct harness *h = *state;
    char *big = calloc(1, 1 << 20), hash[65];
    signal(SIGXFSZ, SIG_IGN);
    set_file_size_max(512 * 1024);
    enum err code = store_artifact_put(h->store, slice_of(big, 1 << 20), hash, &h->error);
    set_file_size_max(RLIM_INFINITY);
    assert_int_equal(code, ERR_UNAVAILABLE);
    assert_text_has(h->error.message, "cannot write the artifact");
    assert_ok(store_artifact_put(h->store, slice_of(big, 1 << 20), hash, &h->error));
    free(big);
}

/* ---- pressure ---- */

static void on_many(struct store_op *op)
{
    struct harness *h = container_of(op->loop, struct harness, loop);
    if (--h->pending == 0)
        loop_stop(op->loop);
}

/* Closing commits what is queued, though nobody waits for it. */
static void closing_commits_what_is_queued(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "a", NULL));
    for (int i = 0; i < 500; i++) {
        char id[16];
        snprintf(id, sizeof(id), "e%d", i);
        store_execution_start(h->store, NULL,
                              &(struct execution_row){.id = slice_cstr(id), .function = S("a")});
    }
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    struct execution_row e;
    assert_ok(store_execution(h->reader, h->arena, S("e0"), &e, &h->error));
    assert_ok(store_execution(h->reader, h->arena, S("e499"), &e, &h->error));
}

/* However much one function prints, lines of another find room. */
static void one_function_does_not_drop_the_lines_of_others(void **state)
{
    struct harness *h = *state;
    enum { OTHERS = 200 };
    struct store_stats stats;
    assert_ok(build_start(h, "loud", NULL));
    assert_ok(build_start(h, "quiet", NULL));
    char text[4096];
    memset(text, 'x', sizeof(text));
    struct log_row loud = {.function = S("loud"), .level = 1, .text = slice_of(text, sizeof(text))};
    struct log_row quiet = {.function = S("quiet"), .level = 1, .text = S("here")};
    int sent = 0;
    do {
        for (int k = 0; k < 5000; k++)
            store_log(h->store, NULL, &loud);
        if (sent++ < OTHERS)
            store_log(h->store, NULL, &quiet);
        store_stats(h->store, &stats);
    } while (sent < OTHERS && !(stats.logs_dropped > 0 && sent > 20));
    assert_true(stats.logs_dropped > 0);
    struct store_op op = HARNESS_OP(h);
    store_build_start(h->store, &op, S("quiet"), MODULE_FUNCTION); /* behind all of them */
    assert_ok(harness_wait(h, &op));
    struct log_row *rows;
    size_t len;
    assert_ok(
        store_logs(h->reader, h->arena, S("quiet"), SLICE_EMPTY, -1, 1000, &rows, &len, &h->error));
    assert_int_equal(len, sent);
    for (size_t k = 0; k < len; k++)
        assert_slice(rows[k].text, "here");
}

/* Lines that come too fast are dropped, counted, and a line says how many. */
static void a_flood_of_lines_is_bounded(void **state)
{
    struct harness *h = *state;
    struct store_stats stats;
    assert_ok(build_start(h, "a", NULL));
    char *text = malloc(16 * 1024);
    memset(text, 'x', 16 * 1024);
    struct log_row row = {.function = S("a"), .text = slice_of(text, 16 * 1024)};
    int sent = 0;
    do { /* 16 MiB may be queued; the disk takes far less than memcpy gives */
        store_log(h->store, NULL, &row);
        store_stats(h->store, &stats);
        sent++;
    } while (!stats.logs_dropped && sent < 1000000);
    free(text);
    assert_true(stats.logs_dropped > 0);
    struct store_op op = HARNESS_OP(h);
    store_setup_done(h->store, &op, S("nobody"), 1);
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
    store_setup_done(h->store, &op, S("nobody"), 1);
    assert_int_equal(harness_wait(h, &op), ERR_NOT_FOUND);
    struct log_row *rows;
    size_t len;
    assert_ok(store_logs(h->reader, h->arena, S("a"), S(""), -1, 1000, &rows, &len, &h->error));
    bool is_said = false;
    for (size_t i = 0; i < len; i++)
        is_said =
            is_said || memmem(rows[i].text.ptr, rows[i].text.len, "log lines were lost here", 24);
    assert_true(is_said);
}

/* Several loops on several threads, each with many ops in flight. */
struct sender {
    pthread_t thread;
    struct loop loop;
    struct store *store;
    int index, left;
    bool has_failed;
};

struct sender_op {
    struct store_op op;
    struct sender *sender;
};

static void on_sender(struct store_op *op)
{
    struct sender *s = container_of(op, struct sender_op, op)->sender;
    s->has_failed = s->has_failed || op->error.code != OK;
    if (--s->left == 0)
        loop_stop(&s->loop);
}

static void *sender_run(void *arg)
{
    struct sender *s = arg;
    enum { OPS = 2000 };
    struct sender_op *ops = calloc(OPS, sizeof(*ops));
    loop_init(&s->loop);
    s->left = OPS;
    for (int i = 0; i < OPS; i++) {
        char id[32];
        snprintf(id, sizeof(id), "t%d.%d", s->index, i);
        ops[i] = (struct sender_op){.op = {.loop = &s->loop, .done = on_sender}, .sender = s};
        struct execution_row row = {.id = slice_cstr(id), .function = S("a")};
        store_execution_start(s->store, &ops[i].op, &row);
    }
    loop_run(&s->loop);
    loop_done(&s->loop);
    free(ops);
    return NULL;
}

static void many_threads_share_the_writer(void **state)
{
    struct harness *h = *state;
    struct sender senders[4] = {0};
    assert_ok(build_start(h, "a", NULL));
    for (int i = 0; i < 4; i++) {
        senders[i] = (struct sender){.store = h->store, .index = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_false(senders[i].has_failed);
    }
    struct store_stats stats;
    store_stats(h->store, &stats);
    assert_int_equal(stats.mutations, 8001);
    assert_int_equal(stats.queued, 0);
    struct execution_row e;
    for (int i = 0; i < 4; i++) {
        char id[32];
        snprintf(id, sizeof(id), "t%d.1999", i);
        assert_ok(store_execution(h->reader, h->arena, slice_cstr(id), &e, &h->error));
    }
}

/* ---- measurements, by hand: "test_durability bench FOLDER" ---- */

static uint64_t bench_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int bench(const char *folder, int total)
{
    struct harness *h = calloc(1, sizeof(*h));
    snprintf(h->url, sizeof(h->url), "sqlite:%s/db.sqlite", folder);
    snprintf(h->artifacts, sizeof(h->artifacts), "%s/artifacts", folder);
    h->execution_rows_max = 10000000;
    loop_init(&h->loop);
    h->arena = arena_new(NULL);
    uint64_t start = bench_now_us();
    if (harness_open_store(h) != OK) {
        printf("%s\n", h->error.message);
        return 1;
    }
    printf("open: %llu us\n", (unsigned long long)(bench_now_us() - start));
    if (build_start(h, "a", NULL) != OK)
        return 1;
    enum { BATCH = 20000 };
    struct store_op *ops = calloc(BATCH, sizeof(*ops));
    static int serial;
    serial = (int)getpid();
    struct store_stats before, after;
    store_stats(h->store, &before);
    start = bench_now_us();
    for (int done = 0; done < total; done += BATCH) {
        h->pending = BATCH;
        for (int i = 0; i < BATCH; i++) {
            char id[48];
            snprintf(id, sizeof(id), "%d-%012d", serial, done + i);
            ops[i] = (struct store_op){.loop = &h->loop, .done = on_many};
            struct execution_row row = {.id = slice_cstr(id),
                                        .function = S("a"),
                                        .status = EXECUTION_SUCCESS,
                                        .input = S("{\"name\":\"World\"}"),
                                        .output = S("{\"greeting\":\"Hello, World!\"}")};
            store_execution_start(h->store, &ops[i], &row);
        }
        loop_run(&h->loop);
    }
    uint64_t us = bench_now_us() - start;
    store_stats(h->store, &after);
    printf("%d executions, %d in flight: %.0f a second, %llu commits\n", total, BATCH,
           total * 1e6 / (double)us, (unsigned long long)(after.commits - before.commits));
    start = bench_now_us();
    for (int i = 0; i < 1000; i++) {
        char id[48];
        snprintf(id, sizeof(id), "%d-one-%d", serial, i);
        if (execution_start(h, "a", id) != OK)
            return 1;
    }
    printf("one at a time: %.0f us each\n", (double)(bench_now_us() - start) / 1000);
    struct store_page page = {.limit = 100};
    struct execution_row *rows;
    struct slice next;
    size_t len, pages = 0, count = 0;
    start = bench_now_us();
    do {
        if (store_executions(h->reader, h->arena, S(""), S("a"), &page, &rows, &len, &next,
                             &h->error) != OK)
            return 1;
        char cursor[32];
        snprintf(cursor, sizeof(cursor), "%.*s", SLICE_ARG(next));
        arena_reset(h->arena);
        page.cursor = slice_cstr(arena_printf(h->arena, "%s", cursor));
        pages++;
        count += len;
    } while (page.cursor.len && pages < 1000);
    printf("%zu pages of 100: %.0f us each, %zu rows\n", pages,
           (double)(bench_now_us() - start) / (double)pages, count);
    start = bench_now_us();
    harness_close_store(h);
    printf("close: %llu us\n", (unsigned long long)(bench_now_us() - start));
    for (int i = 0; i < 3; i++) {
        start = bench_now_us();
        if (harness_open_store(h) != OK)
            return 1;
        printf("open: %llu us\n", (unsigned long long)(bench_now_us() - start));
        harness_close_store(h);
    }
    return 0;
}

/* A writer that is told of changes which do not come goes on taking those that do. */
static void expectations_that_come_to_nothing(void **state)
{
    struct harness *h = *state;
    assert_ok(build_start(h, "f", NULL));
    for (int i = 0; i < 300; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        for (int k = 0; k < i % 7; k++) {
            store_expect(h->store);
            if (i % 3 == 0)
                (void)sched_yield();
        }
        assert_ok(execution_start(h, "f", id));
        store_expect(h->store);
    }
    store_expect(h->store);
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    struct execution_row row;
    assert_ok(store_execution(h->reader, h->arena, S("299"), &row, &h->error));
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return child_write(argv[2], atoi(argv[3]));
    if (argc == 4 && strcmp(argv[1], "bench") == 0)
        return bench(argv[2], atoi(argv[3]));
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        TEST(expectations_that_come_to_nothing),
        cmocka_unit_test_setup_teardown(acknowledged_executions_survive_kill_9,
                                        harness_setup_folder, harness_teardown),
        TEST(one_function_does_not_drop_the_lines_of_others),
        TEST(a_full_disk_refuses_and_recovers),
        TEST(recovery_needs_no_traffic),
        TEST(a_full_disk_fails_artifacts_clearly),
        TEST(closing_commits_what_is_queued),
        TEST(a_flood_of_lines_is_bounded),
        TEST(many_threads_share_the_writer),
    };
    return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
