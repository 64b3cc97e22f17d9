/* SPDX-License-Identifier: Apache-2.0
 *
 * The output gate: what it waits for, grouping, failing syncs, checkpoints, and kill -9. Run with
 * "child PATH", it is the process that the last test kills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sql_internal.h"
#include "loop/loop.h"
#include "sql_fixture.h"

static int syncs; /* atomic */
static bool is_failing;
static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;

static int counting_fdatasync(int fd)
{
    pthread_mutex_lock(&hold);
    pthread_mutex_unlock(&hold);
    __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&is_failing, __ATOMIC_SEQ_CST)) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

struct gate {
    struct sql_gate_wait wait;
    struct loop *loop;
    enum err code;
    int dones;
    int *left;
};

static void on_gate(struct sql_gate_wait *w, const struct error *error)
{
    struct gate *g = container_of(w, struct gate, wait);
    g->code = error->code;
    g->dones++;
    if (!g->left || --*g->left == 0)
        loop_stop(g->loop);
}

static void gate_start(struct gate *g, struct loop *loop, struct fixture *x, uint64_t seq,
                       int *left)
{
    *g = (struct gate){.wait = {.done = on_gate, .seq = seq}, .loop = loop, .left = left};
    sql_gate_wait(loop, x->file, &g->wait);
    assert_int_equal(g->dones, 0);
}

static struct loop loop;

static enum err gate_pass(struct fixture *x)
{
    struct gate g;
    gate_start(&g, &loop, x, sql_conn_seen(x->conn), NULL);
    loop_run(&loop);
    assert_int_equal(g.dones, 1);
    return g.code;
}

static bool is_durable(struct fixture *x)
{
    return sql_is_durable(x->file, sql_conn_seen(x->conn));
}

static int up(void **state)
{
    sql_fdatasync = counting_fdatasync;
    loop_init(&loop);
    int status = fixture_up(state);
    struct fixture *x = *state;
    assert_int_equal(run(x, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", NULL), OK);
    return status;
}

static int down(void **state)
{
    __atomic_store_n(&is_failing, false, __ATOMIC_SEQ_CST);
    loop_done(&loop); /* waits for jobs */
    return fixture_down(state);
}

static void a_commit_is_durable_after_the_gate(void **state)
{
    struct fixture *x = *state;
    assert_false(is_durable(x));
    assert_int_equal(gate_pass(x), OK);
    assert_true(is_durable(x));
    assert_int_equal(run(x, "SELECT * FROM t", NULL), OK);
    assert_true(is_durable(x)); /* reading what is durable needs no gate */
    assert_int_equal(run(x, "INSERT INTO t VALUES(1, 1)", NULL), OK);
    assert_false(is_durable(x));
    /* Who reads it on another connection depends on it too. */
    struct sql_conn *other;
    struct bytes out = BYTES_INIT;
    assert_int_equal(sql_conn_open(x->file, &other, NULL), OK);
    assert_int_equal(sql_exec(other, SLICE_LIT("SELECT * FROM t"), SLICE_EMPTY, &out, NULL), OK);
    assert_false(sql_is_durable(x->file, sql_conn_seen(other)));
    assert_int_equal(gate_pass(x), OK);
    assert_true(sql_is_durable(x->file, sql_conn_seen(other)));
    bytes_done(&out);
    sql_conn_close(other);
    assert_int_equal(gate_pass(x), OK); /* already durable: still one call, from the loop */
}

static void a_reopened_file_waits_once(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(run(x, "INSERT INTO t VALUES(1, 1)", NULL), OK);
    fixture_reopen(x, 0);
    assert_int_equal(run(x, "SELECT * FROM t", NULL), OK);
    assert_string_equal(show(x), "id|a\n1|1\n");
    assert_false(is_durable(x)); /* perhaps only in the page cache of a process that was killed */
    assert_int_equal(gate_pass(x), OK);
    assert_true(is_durable(x));
    assert_int_equal(run(x, "SELECT * FROM t", NULL), OK);
    assert_true(is_durable(x));
}

static void empty_commits_need_no_sync(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(gate_pass(x), OK);
    int before = syncs;
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "SELECT * FROM t", NULL), OK);
    assert_int_equal(act(x, SQL_COMMIT), OK);
    assert_true(is_durable(x));
    assert_int_equal(act(x, SQL_BEGIN), OK);
    assert_int_equal(run(x, "INSERT INTO t VALUES(1, 1)", NULL), OK);
    assert_int_equal(act(x, SQL_ROLLBACK), OK);
    assert_true(is_durable(x));
    assert_int_equal(syncs, before);
}

static void waits_share_a_sync(void **state)
{
    struct fixture *x = *state;
    enum { N = 50 };
    struct gate gates[N];
    int left = N;
    assert_int_equal(gate_pass(x), OK);
    int before = syncs;
    pthread_mutex_lock(&hold); /* the first sync stays in the kernel, as it were */
    for (int i = 0; i < N; i++) {
        assert_int_equal(run(x, "INSERT INTO t(a) VALUES(1)", NULL), OK);
        gate_start(&gates[i], &loop, x, sql_conn_seen(x->conn), &left);
    }
    pthread_mutex_unlock(&hold);
    loop_run(&loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(gates[i].dones, 1);
        assert_int_equal(gates[i].code, OK);
    }
    assert_true(syncs - before <= 2);
    assert_true(is_durable(x));
}

struct worker {
    struct fixture *x;
    struct loop loop;
    int commits;
};

static void *work_together(void *arg)
{
    struct worker *w = arg;
    struct sql_conn *c;
    struct bytes out = BYTES_INIT;
    loop_init(&w->loop);
    assert_int_equal(sql_conn_open(w->x->file, &c, NULL), OK);
    for (int i = 0; i < 100; i++) {
        struct gate g;
        if (sql_exec(c, SLICE_LIT("INSERT INTO t(a) VALUES(randomblob(200))"), SLICE_EMPTY, &out,
                     NULL) == OK)
            w->commits++;
        gate_start(&g, &w->loop, w->x, sql_conn_seen(c), NULL);
        uint64_t seq = g.wait.seq;
        loop_run(&w->loop);
        assert_int_equal(g.code, OK);
        assert_true(sql_is_durable(w->x->file, seq));
    }
    bytes_done(&out);
    sql_conn_close(c);
    loop_done(&w->loop);
    return NULL;
}

static void loops_share_the_gate(void **state)
{
    struct fixture *x = *state;
    struct worker workers[4] = {0};
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        workers[i].x = x;
        assert_int_equal(pthread_create(&threads[i], NULL, work_together, &workers[i]), 0);
    }
    int commits = 0;
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        commits += workers[i].commits;
    }
    char want[64];
    (void)snprintf(want, sizeof(want), "n\n%d\n", commits);
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK);
    assert_string_equal(show(x), want);
}

static void a_failed_sync_is_repaired(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(gate_pass(x), OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(run(x, "INSERT INTO t(a) VALUES(randomblob(1000))", NULL), OK);
    __atomic_store_n(&is_failing, true, __ATOMIC_SEQ_CST);
    assert_int_equal(gate_pass(x), ERR_IO);
    assert_false(is_durable(x));
    assert_int_equal(run(x, "INSERT INTO t(a) VALUES(2)", NULL), ERR_IO);
    assert_int_equal(run(x, "SELECT count(*) AS n FROM t", NULL), OK);
    assert_string_equal(show(x), "n\n20\n");
    __atomic_store_n(&is_failing, false, __ATOMIC_SEQ_CST);
    /* Not by another sync, which would say OK and mean nothing, but by a checkpoint. */
    int before = syncs;
    struct stat s;
    assert_int_equal(stat(x->path, &s), 0);
    off_t small = s.st_size;
    assert_int_equal(gate_pass(x), OK);
    assert_int_equal(syncs, before);
    assert_int_equal(stat(x->path, &s), 0);
    assert_true(s.st_size > small);
    assert_true(is_durable(x));
    assert_int_equal(run(x, "INSERT INTO t(a) VALUES(2)", NULL), OK);
    assert_int_equal(gate_pass(x), OK);
    assert_true(syncs > before);
}

static void lost_frames_are_noticed(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(gate_pass(x), OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(run(x, "INSERT INTO t(a) VALUES(randomblob(1000))", NULL), OK);
    __atomic_store_n(&is_failing, true, __ATOMIC_SEQ_CST);
    assert_int_equal(gate_pass(x), ERR_IO);
    __atomic_store_n(&is_failing, false, __ATOMIC_SEQ_CST);
    /* The kernel dropped the page and reads old bytes again. */
    int fd = open(x->file->wal_path, O_RDWR);
    char byte;
    assert_int_equal(pread(fd, &byte, 1, 40000), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 40000), 1);
    assert_int_equal(gate_pass(x), ERR_IO);
    assert_int_equal(run(x, "INSERT INTO t(a) VALUES(2)", NULL), ERR_IO);
    byte ^= 1; /* it comes back */
    assert_int_equal(pwrite(fd, &byte, 1, 40000), 1);
    (void)close(fd);
    assert_int_equal(gate_pass(x), OK);
    assert_int_equal(run(x, "INSERT INTO t(a) VALUES(2)", NULL), OK);
}

static void frames_are_counted(void **state)
{
    struct fixture *x = *state;
    uint32_t frames = 0;
    for (int i = 0; i < 30; i++) {
        assert_int_equal(run(x, "INSERT INTO t(a) VALUES(randomblob(3000))", NULL), OK);
        assert_int_equal(sql_wal_count(x->file->wal_fd, &frames, NULL), OK);
        assert_int_equal(frames, sql_frames(x->file));
    }
    assert_true(frames > 30);
    int fd = open("/dev/null", O_RDONLY);
    assert_int_equal(sql_wal_count(fd, &frames, NULL), OK);
    assert_int_equal(frames, 0);
    (void)close(fd);
    struct error error;
    assert_int_equal(sql_wal_count(-1, &frames, &error), ERR_IO);
}

static void checkpoint_wait(struct fixture *x)
{
    while (__atomic_load_n(&x->file->is_checkpointing, __ATOMIC_ACQUIRE))
        (void)sched_yield();
}

static void the_wal_does_not_grow_for_ever(void **state)
{
    struct fixture *x = *state;
    struct stat s;
    off_t largest = 0;
    sql_checkpoint_frames = 64;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(run(x, "INSERT INTO t(a) VALUES(randomblob(2000))", NULL), OK);
        if (i % 10 == 0) {
            assert_int_equal(gate_pass(x), OK);
            checkpoint_wait(x);
        }
        assert_int_equal(stat(x->file->wal_path, &s), 0);
        largest = s.st_size > largest ? s.st_size : largest;
    }
    sql_checkpoint_frames = SQL_CHECKPOINT_FRAMES;
    assert_int_equal(stat(x->path, &s), 0);
    assert_true(s.st_size > 1900 * 2000); /* checkpoints have happened */
    assert_true(largest < 64 * 4120 * 2); /* and the log was begun again */
    assert_int_equal(run(x, "PRAGMA integrity_check", NULL), OK);
    assert_string_equal(show(x), "integrity_check\n'ok'\n");
}

/* Checkpoints that commits always outrun in the end hold the writers up. */
static void writers_that_never_pause_are_outrun(void **state)
{
    struct fixture *x = *state;
    struct stat s;
    off_t largest = 0;
    sql_checkpoint_frames = 4; /* from 64 times that on, however slow the disk is */
    for (int i = 0; i < 3000; i++) {
        while (run(x, "INSERT INTO t(a) VALUES(randomblob(2000))", NULL) != OK)
            assert_non_null(strstr(x->error.message, "busy"));
        if (i % 5 == 0)
            assert_int_equal(gate_pass(x), OK);
        assert_int_equal(stat(x->file->wal_path, &s), 0);
        largest = s.st_size > largest ? s.st_size : largest;
    }
    checkpoint_wait(x);
    sql_checkpoint_frames = SQL_CHECKPOINT_FRAMES;
    assert_true(largest <
                3000 * 4120); /* each commit writes at least one frame and most write two */
    assert_int_equal(run(x, "PRAGMA integrity_check", NULL), OK);
    assert_string_equal(show(x), "integrity_check\n'ok'\n");
}

/* What a loop waits for may be in the job of another one, and come when it has stopped. */
static void a_loop_ends_after_its_waits(void **state)
{
    struct fixture *x = *state;
    struct loop ending;
    struct gate first, waiting;
    loop_init(&ending);
    pthread_mutex_lock(&hold); /* the job stands in its sync */
    gate_start(&first, &loop, x, sql_conn_seen(x->conn), NULL);
    gate_start(&waiting, &ending, x, sql_conn_seen(x->conn), NULL);
    pthread_mutex_unlock(&hold);
    loop_done(&ending);
    assert_int_equal(waiting.dones, 1);
    assert_int_equal(waiting.code, OK);
    memset(&ending, 0xa5, sizeof(ending)); /* nobody may touch it any more */
    loop_run(&loop);
    assert_int_equal(first.dones, 1);
}

static int child(const char *path)
{
    struct fixture x = {0};
    char line[32];
    (void)snprintf(x.path, sizeof(x.path), "%s", path);
    sql_checkpoint_frames = 64;
    loop_init(&loop);
    if (sql_file_open(x.path, 0, &x.file, &x.error) != OK ||
        sql_conn_open(x.file, &x.conn, &x.error) != OK)
        return 1;
    for (;;) {
        for (int i = 0; i < 3; i++) {
            bytes_clear(&x.result);
            if (sql_transaction(x.conn, SQL_BEGIN, NULL) != OK ||
                sql_exec(
                    x.conn,
                    SLICE_LIT("INSERT INTO t(a) VALUES(randomblob(1500)); UPDATE sum SET n=n+1"),
                    SLICE_EMPTY, &x.result, NULL) != OK ||
                sql_transaction(x.conn, SQL_COMMIT, NULL) != OK)
                return 1;
        }
        if (gate_pass(&x) != OK)
            return 1;
        bytes_clear(&x.result);
        if (sql_exec(x.conn, SLICE_LIT("SELECT n FROM sum"), SLICE_EMPTY, &x.result, NULL) != OK)
            return 1;
        uint64_t n;
        memcpy(&n, x.result.ptr + 4 + 5 + 4 + 1, sizeof(n));
        int len = snprintf(line, sizeof(line), "%08d\n", (int)n);
        if (write(STDOUT_FILENO, line, (size_t)len) != len)
            return 1;
    }
}

/* Starts the child, reads that many lines, kills it; the last number it told. */
static int kill_after(const char *path, int lines)
{
    int fds[2], last = 0;
    char line[10] = {0};
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execl("/proc/self/exe", "child", "child", path, NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    for (int i = 0; i < lines; i++) {
        if (read(fds[0], line, 9) != 9)
            fail_msg("the child ended");
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    do /* what it told before it died counts too */
        last = atoi(line);
    while (read(fds[0], line, 9) == 9);
    (void)close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void kill_9_loses_nothing_told(void **state)
{
    struct fixture *x = *state;
    static const int lines[] = {1, 2, 7, 30, 100, 3, 200};
    assert_int_equal(run(x, "CREATE TABLE sum(n); INSERT INTO sum VALUES(0)", NULL), OK);
    assert_int_equal(gate_pass(x), OK);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        fixture_close(x);
        int told = kill_after(x->path, lines[i]);
        fixture_open(x, 0);
        assert_int_equal(run(x, "SELECT n FROM sum", NULL), OK);
        int n = 0;
        assert_int_equal(sscanf(show(x), "n\n%d\n", &n), 1);
        assert_true(n >= told);
        char want[64];
        (void)snprintf(want, sizeof(want), "n|m\n%d|%d\n", n, n); /* nothing half-done */
        assert_int_equal(run(x, "SELECT count(*) AS n, max(id) AS m FROM t", NULL), OK);
        assert_string_equal(show(x), want);
        assert_int_equal(run(x, "PRAGMA integrity_check", NULL), OK);
        assert_string_equal(show(x), "integrity_check\n'ok'\n");
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        return child(argv[2]);
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(a_commit_is_durable_after_the_gate),
        T(a_reopened_file_waits_once),
        T(empty_commits_need_no_sync),
        T(waits_share_a_sync),
        T(loops_share_the_gate),
        T(a_loop_ends_after_its_waits),
        T(a_failed_sync_is_repaired),
        T(lost_frames_are_noticed),
        T(frames_are_counted),
        T(the_wal_does_not_grow_for_ever),
        T(writers_that_never_pause_are_outrun),
        T(kill_9_loses_nothing_told),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
