/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable executions when things go wrong: kill -9 of a writing child, a second server, a full
 * disk, damage, a read-only file, many threads. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "bench_durable.h"
#include "harness_durable.h"

/* ---- kill -9 ---- */

enum { FLOWS = 32, KILL_ROUNDS = 4, ACKNOWLEDGED_MIN = 1500 };

/* One execution of the child: starts, appends chunks of 1 to 4 records, ends after 40, starts the
 * next. After each acknowledgement it says "ID RECORDS". */
struct flow {
    struct store_op op;
    struct harness *h;
    char id[32];
    int64_t records, asked;
};

static int flow_next, flow_round;

static void flow_say(const struct flow *f)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "%s %lld\n", f->id, (long long)f->records);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        _exit(4);
}

static void flow_step(struct store_op *op)
{
    struct flow *f = container_of(op, struct flow, op);
    if (f->id[0]) {
        if (op->error.code != OK)
            _exit(3);
        f->records = f->asked;
        flow_say(f);
    }
    if (!f->id[0] || f->records >= 40) {
        snprintf(f->id, sizeof(f->id), "%d.%d", flow_round, flow_next++);
        f->records = f->asked = 0;
        struct durable_row row = {.id = slice_cstr(f->id), .workflow = S("flow")};
        store_durable_start(f->h->store, &f->op, &row);
        return;
    }
    int64_t count = 1 + f->records % 4;
    struct bytes records = records_make(f->records, count);
    struct durable_commit c = {.id = slice_cstr(f->id),
                               .first = f->records,
                               .count = count,
                               .records = bytes_slice(&records),
                               .sets_status = f->records % 7 == 0 || f->records + count >= 40,
                               .status = f->records + count >= 40 ? DURABLE_COMPLETED
                                         : f->records % 2         ? DURABLE_SUSPENDED
                                                                  : DURABLE_RUNNING,
                               .wake_us = 1 + f->records};
    f->asked = f->records + count;
    commit_send(f->h->store, &f->op, &c);
    bytes_done(&records);
}

/* The child: "test_durable_crash write FOLDER ROUND". Ends only by a signal. */
static int child_write(const char *folder, int round)
{
    struct harness *h = calloc(1, sizeof(*h));
    snprintf(h->url, sizeof(h->url), "sqlite:%s/data/db.sqlite", folder);
    snprintf(h->artifacts, sizeof(h->artifacts), "%s/data/artifacts", folder);
    loop_init(&h->loop);
    flow_round = round;
    if (harness_open_store(h) != OK)
        return 2;
    if (round == 0 && workflow_make(h, "flow", "export default 1") != OK)
        return 2;
    static struct flow flows[FLOWS];
    for (int i = 0; i < FLOWS; i++) {
        flows[i] = (struct flow){.op = HARNESS_OP(h), .h = h};
        flows[i].op.done = flow_step;
        flow_step(&flows[i].op);
    }
    loop_run(&h->loop);
    return 2;
}

static struct bytes child_run_and_kill(const char *folder, int round)
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    char number[16];
    snprintf(number, sizeof(number), "%d", round);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "test_durable_crash", "write", folder, number, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    struct bytes lines = BYTES_INIT;
    char chunk[4096];
    ssize_t len;
    int count = 0;
    bool is_killed = false;
    while ((len = read(out[0], chunk, sizeof(chunk))) > 0) {
        bytes_append(&lines, chunk, (size_t)len);
        for (ssize_t i = 0; i < len; i++)
            count += chunk[i] == '\n';
        if (count >= ACKNOWLEDGED_MIN + 37 * round && !is_killed) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            is_killed = true;
        }
    }
    close(out[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(is_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return lines;
}

static void acknowledged_commits_survive_kill_9(void **state)
{
    struct harness *h = *state;
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    for (int round = 0; round < KILL_ROUNDS; round++) {
        CLEANUP(bytes_done) struct bytes lines = child_run_and_kill(h->folder, round);
        bytes_append_slice(&all, bytes_slice(&lines));
    }
    assert_ok(harness_open_store(h));
    struct slice rest = bytes_slice(&all);
    while (rest.len) {
        struct slice line = slice_split(&rest, '\n'), records = line;
        struct slice id = slice_split(&records, ' ');
        uint64_t acknowledged = 0;
        assert_true(slice_to_u64(records, &acknowledged));
        arena_reset(h->arena);
        struct durable_row row;
        if (store_durable(h->reader, h->arena, id, &row, &h->error) != OK ||
            row.records < (int64_t)acknowledged)
            fail_msg("%.*s: %lld acknowledged records are lost", SLICE_ARG(id),
                     (long long)acknowledged);
    }
    /* Whatever there is, acknowledged or not, is whole: no gap, no half commit, right counts. */
    struct durable_counts seen = {0}, counts = durable_counted(h);
    struct durable_filter filter = {.status = -1};
    struct store_page page = {.limit = 1000};
    char cursor[32] = "";
    do {
        struct durable_row *rows;
        size_t len;
        arena_reset(h->arena);
        page.cursor = slice_cstr(cursor);
        struct slice next;
        assert_ok(
            store_durables(h->reader, h->arena, &filter, &page, &rows, &len, &next, &h->error));
        for (size_t i = 0; i < len; i++) {
            assert_journal(h, arena_cstr(h->arena, rows[i].id), rows[i].records);
            assert_true((rows[i].status == DURABLE_COMPLETED) == (rows[i].records >= 40));
            seen.by_status[rows[i].status]++;
        }
        snprintf(cursor, sizeof(cursor), "%.*s", SLICE_ARG(next));
    } while (cursor[0]);
    for (int i = 0; i <= DURABLE_CANCELLED; i++)
        assert_int_equal(counts.by_status[i], seen.by_status[i]);
    assert_true(seen.by_status[DURABLE_COMPLETED] > 0);
}

/* ---- two servers ---- */

static void remove_locks(struct harness *h)
{
    char path[256];
    snprintf(path, sizeof(path), "%s.lock", h->url + strlen("sqlite:"));
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/.lock", h->artifacts);
    if (access(path, F_OK) == 0)
        assert_int_equal(unlink(path), 0);
}

/* The lock file is gone, so the second one opens. From then on the first can write nothing at all,
 * not even when the second has ended. */
static void a_second_server_fences_the_first(void **state)
{
    struct harness *h = *state;
    struct store_stats stats;
    assert_ok(durable_start(h, "a"));
    assert_ok(COMMIT(h, "a", .count = 1));
    remove_locks(h);
    struct harness *second = calloc(1, sizeof(*second));
    *second = *h;
    loop_init(&second->loop);
    second->store = NULL;
    second->reader = NULL;
    snprintf(second->artifacts, sizeof(second->artifacts), "%s/others", h->folder);
    assert_int_equal(harness_open_store(second), OK);

    assert_int_equal(COMMIT(h, "a", .first = 1, .count = 1), ERR_FENCED);
    assert_text_has(h->error.message, "another server has taken over");
    assert_text_has(h->error.hint, "stop this server");
    assert_int_equal(durable_start(h, "b"), ERR_FENCED);
    assert_int_equal(durable_signal(h, "a", "x", "1", "", NULL), ERR_FENCED);
    assert_int_equal(build_start(h, "plain", NULL), ERR_FENCED);
    assert_int_equal(function_delete(h, "flow"), ERR_FENCED);
    store_log(h->store, NULL, &(struct log_row){.function = S("flow"), .text = S("lost")});
    store_stats(h->store, &stats);
    assert_true(stats.is_fenced && stats.is_refusing);
    /* It still reads, and what it sees is the second one's. */
    assert_int_equal(
        durable_commit(second, (struct durable_commit){.id = S("a"), .first = 1, .count = 1}, NULL),
        OK);
    assert_journal(h, "a", 2);
    store_stats(second->store, &stats);
    assert_false(stats.is_fenced || stats.is_refusing);

    harness_close_store(second);
    loop_done(&second->loop);
    free(second);
    assert_int_equal(COMMIT(h, "a", .first = 2, .count = 1), ERR_FENCED);
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_journal(h, "a", 2);
    assert_ok(COMMIT(h, "a", .first = 2, .count = 1));
    struct log_row *rows;
    size_t len;
    assert_ok(store_logs(h->reader, h->arena, S("flow"), S(""), -1, 10, &rows, &len, &h->error));
    assert_int_equal(len, 0);
}

/* The lease alone decides, whoever takes it. */
static void the_epoch_is_checked_in_each_transaction(void **state)
{
    struct harness *h = *state;
    sqlite3 *db = NULL;
    assert_ok(durable_start(h, "a"));
    assert_int_equal(sqlite3_open(h->url + strlen("sqlite:"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 30000); /* the log is given its size when nothing else happens */
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE lease SET epoch = epoch + 1, owner = 'process 7 on x'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(COMMIT(h, "a", .count = 1), ERR_FENCED);
    assert_text_has(h->error.message, "process 7 on x");
    /* Giving it back does not help: in between anything may have been written. */
    assert_int_equal(sqlite3_exec(db, "UPDATE lease SET epoch = epoch - 1", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(COMMIT(h, "a", .count = 1), ERR_FENCED);
    sqlite3_close(db);
    assert_journal(h, "a", 0);
}

/* ---- no space, damage, no rights ---- */

static void set_file_size_max(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_refuses_commits_and_recovers(void **state)
{
    struct harness *h = *state;
    struct store_stats stats;
    assert_ok(durable_start(h, "a"));
    signal(SIGXFSZ, SIG_IGN);
    set_file_size_max(2 * 1024 * 1024);
    enum err code = OK;
    int64_t records = 0;
    while (code == OK && records < 100000) {
        code = COMMIT(h, "a", .first = records, .count = 500);
        records += code == OK ? 500 : 0;
    }
    store_stats(h->store, &stats);
    enum err still = durable_start(h, "b");
    set_file_size_max(RLIM_INFINITY);
    assert_int_equal(code, ERR_UNAVAILABLE);
    assert_int_equal(still, ERR_UNAVAILABLE);
    assert_text_has(h->error.message, "no space left");
    assert_true(stats.is_refusing && !stats.is_fenced);
    assert_true(records > 0);
    assert_journal(h, "a", records);
    assert_false(durable_is_there(h, "b"));
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 1);
    assert_ok(COMMIT(h, "a", .first = records, .count = 1)); /* the same place as the refused one */
    assert_ok(durable_start(h, "b"));
    store_stats(h->store, &stats);
    assert_false(stats.is_refusing);
    harness_close_store(h);
    assert_ok(harness_open_store(h));
    assert_journal(h, "a", records + 1);
    assert_int_equal(durable_counted(h).by_status[DURABLE_QUEUED], 2);
}

/* Pages that are overwritten on the disk: what meets them fails with a clear error. */
static void damaged_pages_are_named(void **state)
{
    struct harness *h = *state;
    char *path = h->url + strlen("sqlite:"), junk[4096];
    assert_ok(durable_start(h, "a"));
    for (int i = 0; i < 200; i++)
        assert_ok(COMMIT(h, "a", .first = 20 * i, .count = 20));
    harness_close_store(h);
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT rootpage FROM sqlite_schema WHERE name = 'journal'",
                                        -1, &st, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    off_t page = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    memset(junk, 0x5a, sizeof(junk));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (page - 1) * 4096), sizeof(junk));
    close(fd);
    assert_ok(harness_open_store(h));
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    int64_t first, count;
    assert_int_equal(store_journal(h->reader, S("a"), 0, 1 << 20, &out, &first, &count, &h->error),
                     ERR_CORRUPT);
    assert_text_has(h->error.message, "damaged");
    assert_int_equal(out.len, 0);
    assert_int_equal(COMMIT(h, "a", .first = 4000, .count = 1), ERR_CORRUPT);
    assert_text_has(h->error.hint, "backup");
    assert_int_equal(durable_get(h, "a").records, 4000); /* the rest can be read */
}

/* A chunk that is missing is found by reading, not given as if it were whole. */
static void a_gap_is_found(void **state)
{
    struct harness *h = *state;
    sqlite3 *db = NULL;
    assert_ok(durable_start(h, "a"));
    for (int i = 0; i < 5; i++)
        assert_ok(COMMIT(h, "a", .first = 2 * i, .count = 2));
    assert_int_equal(sqlite3_open(h->url + strlen("sqlite:"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 30000); /* the log is given its size when nothing else happens */
    assert_int_equal(
        sqlite3_exec(db, "DELETE FROM journal WHERE place % 16777216 = 4", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    int64_t first, count;
    assert_int_equal(store_journal(h->reader, S("a"), 0, 1 << 20, &out, &first, &count, &h->error),
                     ERR_CORRUPT);
    assert_text_has(h->error.message, "lacks the records from 4 to 6");
    assert_int_equal(out.len, 0);
    assert_int_equal(store_journal(h->reader, S("a"), 5, 1 << 20, &out, &first, &count, &h->error),
                     ERR_CORRUPT);
}

/* ---- many threads ---- */

enum { SENDERS = 4, SENDER_FLOWS = 25, SENDER_COMMITS = 40 };

struct sender {
    pthread_t thread;
    struct loop loop;
    struct store *store;
    int index, left;
    bool has_failed;
};

struct sender_flow {
    struct store_op op;
    struct sender *sender;
    char id[32];
    int step;
};

static void sender_step(struct store_op *op)
{
    struct sender_flow *f = container_of(op, struct sender_flow, op);
    struct sender *s = f->sender;
    s->has_failed = s->has_failed || op->error.code != OK;
    int step = f->step++;
    if (step == SENDER_COMMITS) {
        if (--s->left == 0)
            loop_stop(&s->loop);
        return;
    }
    struct bytes records = records_make(step, 1);
    struct durable_message message = {.execution = S("box"), .name = S("x"), .data = S("1")};
    struct durable_commit c = {.id = slice_cstr(f->id),
                               .first = step,
                               .count = 1,
                               .records = bytes_slice(&records),
                               .messages = &message,
                               .messages_len = step == 5};
    if (step == SENDER_COMMITS - 1) {
        c.sets_status = true;
        c.status = DURABLE_COMPLETED;
    }
    commit_send(s->store, &f->op, &c);
    bytes_done(&records);
}

static void *sender_run(void *arg)
{
    struct sender *s = arg;
    struct sender_flow *flows = calloc(SENDER_FLOWS, sizeof(*flows));
    loop_init(&s->loop);
    s->left = SENDER_FLOWS;
    for (int i = 0; i < SENDER_FLOWS; i++) {
        struct sender_flow *f = &flows[i];
        *f = (struct sender_flow){.op = {.loop = &s->loop, .done = sender_step}, .sender = s};
        snprintf(f->id, sizeof(f->id), "t%d.%d", s->index, i);
        struct durable_row row = {.id = slice_cstr(f->id), .workflow = S("flow")};
        store_durable_start(s->store, &f->op, &row);
    }
    loop_run(&s->loop);
    loop_done(&s->loop);
    free(flows);
    return NULL;
}

static void many_threads_commit_at_once(void **state)
{
    struct harness *h = *state;
    struct sender senders[SENDERS] = {0};
    assert_ok(durable_start(h, "box"));
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.store = h->store, .index = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_false(senders[i].has_failed);
    }
    for (int i = 0; i < SENDERS; i++)
        for (int j = 0; j < SENDER_FLOWS; j++) {
            char id[32];
            snprintf(id, sizeof(id), "t%d.%d", i, j);
            arena_reset(h->arena);
            assert_journal(h, id, SENDER_COMMITS);
        }
    assert_int_equal(durable_get(h, "box").events, SENDERS * SENDER_FLOWS);
    assert_int_equal(durable_counted(h).by_status[DURABLE_COMPLETED], SENDERS * SENDER_FLOWS);
    struct store_stats stats;
    store_stats(h->store, &stats);
    assert_int_equal(stats.durable_starts, 1 + SENDERS * SENDER_FLOWS);
    assert_int_equal(stats.durable_commits, SENDERS * SENDER_FLOWS * SENDER_COMMITS);
    assert_int_equal(stats.durable_records, SENDERS * SENDER_FLOWS * SENDER_COMMITS);
    uint64_t sizes = 0, times = 0;
    for (int i = 0; i < STORE_BUCKETS; i++) {
        sizes += stats.commit_sizes[i];
        times += stats.commit_times[i];
    }
    assert_int_equal(sizes, stats.commits);
    assert_int_equal(times, stats.commits);
    assert_int_equal(stats.queued, 0);
}

/* What is gathered is one transaction, in order. */
static void gathered_mutations_go_together(void **state)
{
    struct harness *h = *state;
    struct store_stats before, after;
    store_stats(h->store, &before);
    struct store_op op = HARNESS_OP(h);
    store_gather(h->store);
    store_durable_start(h->store, NULL, &(struct durable_row){.id = S("a"), .workflow = S("flow")});
    for (int i = 0; i < 200; i++) {
        struct bytes records = records_make(i, 1);
        commit_send(h->store, i == 199 ? &op : NULL,
                    &(struct durable_commit){
                        .id = S("a"), .first = i, .count = 1, .records = bytes_slice(&records)});
        bytes_done(&records);
    }
    store_send(h->store);
    assert_ok(harness_wait(h, &op));
    assert_journal(h, "a", 200);
    store_stats(h->store, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(after.mutations - before.mutations, 201);
    assert_int_equal(after.commit_sizes[8] - before.commit_sizes[8], 1); /* up to 256 */
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return child_write(argv[2], atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "bench") == 0)
        return bench_run(argv[2]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, durable_setup, harness_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acknowledged_commits_survive_kill_9, harness_setup_folder,
                                        harness_teardown),
        TEST(a_second_server_fences_the_first),
        TEST(the_epoch_is_checked_in_each_transaction),
        TEST(a_full_disk_refuses_commits_and_recovers),
        TEST(damaged_pages_are_named),
        TEST(a_gap_is_found),
        TEST(many_threads_commit_at_once),
        TEST(gathered_mutations_go_together),
    };
    return cmocka_run_group_tests_name("durable_crash", tests, NULL, NULL);
}
