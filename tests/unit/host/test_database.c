/* SPDX-License-Identifier: Apache-2.0
 *
 * Databases opened and closed by use: openings and connections that are shared, what waits in line,
 * rest, descriptors, removal. Each user is a task, as in the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/budget.h"
#include "host/database.h"
#include "host/fiber_task.h"
#include "host/sql_internal.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sql_fixture.h"

enum { CONNECTIONS = 3, DESCRIPTORS = 100 };

struct place {
    char folder[256];
    struct databases *all;
    struct account *account;
    struct loop loop;
    struct fiber_runner *runner;
    unsigned pending; /* users of this thread; 0 stops the loop if it runs for them */
    bool is_settling;
};

/* One who takes a connection, runs a statement, and gives it back, at once or when told. */
struct user {
    struct fiber_task task;
    struct place *place;
    struct database *database;
    const char *sql;
    bool keeps;
    enum err err;
    struct error error;
    struct sql_conn *conn;
    struct bytes result;
    int ends;
};

static void user_run(struct fiber_task *t)
{
    struct user *u = container_of(t, struct user, task);
    u->err = database_take(u->database, &u->place->loop, &u->conn, &u->error);
    if (u->err == OK && u->sql)
        u->err = sql_exec(u->conn, slice_cstr(u->sql), SLICE_EMPTY, &u->result, &u->error);
}

static void user_give(struct user *u)
{
    if (u->conn)
        database_give(u->database, &u->place->loop, u->conn);
    u->conn = NULL;
}

static void user_done(struct fiber_task *t)
{
    struct user *u = container_of(t, struct user, task);
    u->ends++;
    if (!u->keeps)
        user_give(u);
    if (--u->place->pending == 0 && u->place->is_settling)
        loop_stop(&u->place->loop);
}

static void user_start(struct user *u, struct place *p, struct database *b, const char *sql)
{
    *u = (struct user){.place = p, .database = b, .sql = sql, .keeps = u->keeps};
    u->task.run = user_run;
    u->task.done = user_done;
    u->task.cpu_ns_max = UINT64_MAX / 2;
    u->task.memory_max = SIZE_MAX / 2;
    u->task.memory_from = &p->account->budgets[RESOURCE_MEMORY];
    p->pending++;
    if (fiber_task_start(p->runner, &u->task))
        user_done(&u->task);
}

static void settle(struct place *p)
{
    p->is_settling = true;
    if (p->pending > 0)
        loop_run(&p->loop);
    p->is_settling = false;
}

/* One statement, from opening to giving back. */
static enum err use(struct place *p, struct database *b, const char *sql)
{
    struct user u = {0};
    user_start(&u, p, b, sql);
    settle(p);
    assert_int_equal(u.ends, 1);
    bytes_done(&u.result);
    return u.err;
}

static struct database *open_name(struct place *p, const char *name)
{
    char path[320];
    (void)snprintf(path, sizeof(path), "%s/%s", p->folder, name);
    return databases_get(p->all, path, p->account);
}

static bool exists(struct place *p, const char *name)
{
    char path[320];
    (void)snprintf(path, sizeof(path), "%s/%s", p->folder, name);
    return access(path, F_OK) == 0;
}

static unsigned files_in(const struct place *p)
{
    unsigned n = 0;
    DIR *dir = opendir(p->folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* Open files of the folder: what SQLite and we hold. */
static unsigned held_files(const struct place *p)
{
    unsigned n = 0;
    char path[64], target[512];
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%.20s", e->d_name);
        ssize_t len = readlink(path, target, sizeof(target) - 1);
        n += len > 0 && strncmp(target, p->folder, strlen(p->folder)) == 0;
    }
    closedir(dir);
    return n;
}

static void place_begin(struct place *p)
{
    loop_init(&p->loop);
    p->runner = fiber_runner_new(&p->loop);
    p->pending = 0;
}

static void place_end(struct place *p)
{
    fiber_runner_drain(p->runner);
    loop_done(&p->loop);
    fiber_runner_free(p->runner);
}

static int up(void **state)
{
    static const struct databases_config config = {.connections_max = CONNECTIONS,
                                                   .descriptors_max = DESCRIPTORS};
    struct place *p = calloc(1, sizeof(*p));
    folder_make(p->folder);
    p->all = databases_new(&config);
    p->account = account_new(NULL, "module", SLICE_LIT("m"));
    place_begin(p);
    *state = p;
    return 0;
}

static int down(void **state)
{
    struct place *p = *state;
    place_end(p);
    databases_free(p->all);
    assert_int_equal(budget_used(&p->account->budgets[RESOURCE_DISK]), 0);
    assert_true(account_is_single(p->account));
    account_unref(p->account);
    folder_remove(p->folder);
    free(p);
    return 0;
}

/* Rests it out, until nothing is open. */
static void on_look(struct timer *t);

struct looker {
    struct timer timer;
    struct place *place;
};

static void on_look(struct timer *t)
{
    struct looker *l = container_of(t, struct looker, timer);
    databases_trim(l->place->all, &l->place->loop, 0);
    if (databases_count(l->place->all).open == 0)
        loop_stop(&l->place->loop);
    else
        timer_start(&l->place->loop, t, 1, on_look);
}

static void rest(struct place *p)
{
    struct looker l = {.place = p};
    timer_start(&p->loop, &l.timer, 0, on_look);
    loop_run(&p->loop);
    timer_stop(&p->loop, &l.timer);
}

static void it_is_opened_once_and_shared(void **state)
{
    struct place *p = *state;
    struct user users[12] = {0};
    struct database *b = open_name(p, "a"), *same = open_name(p, "a");
    assert_ptr_equal(b, same);
    assert_int_equal(files_in(p), 0); /* nothing is opened yet */
    for (size_t k = 0; k < ARRAY_LEN(users); k++)
        user_start(&users[k], p, b, "CREATE TABLE IF NOT EXISTS t (a)");
    settle(p);
    for (size_t k = 0; k < ARRAY_LEN(users); k++) {
        assert_int_equal(users[k].err, OK);
        assert_int_equal(users[k].ends, 1);
        bytes_done(&users[k].result);
    }
    struct databases_count count = databases_count(p->all);
    assert_int_equal(count.opened, 1);
    assert_int_equal(count.open, 1);
    assert_in_range(count.connections, 1, CONNECTIONS);
    database_unref(b);
    database_unref(same);
}

static void who_waits_gets_what_is_given_back(void **state)
{
    struct place *p = *state;
    struct database *b = open_name(p, "a");
    struct user holders[CONNECTIONS] = {0}, waiter = {0};
    for (size_t k = 0; k < CONNECTIONS; k++) {
        holders[k].keeps = true;
        user_start(&holders[k], p, b, NULL);
    }
    settle(p);
    user_start(&waiter, p, b, "SELECT 1");
    assert_int_equal(waiter.ends, 0);
    struct sql_conn *given = holders[1].conn;
    assert_non_null(given);
    user_give(&holders[1]);
    waiter.keeps = true;
    settle(p);
    assert_int_equal(waiter.ends, 1);
    assert_ptr_equal(waiter.conn, given);
    assert_int_equal(databases_count(p->all).connections, CONNECTIONS);
    user_give(&waiter);
    user_give(&holders[0]);
    user_give(&holders[2]);
    bytes_done(&waiter.result);
    database_unref(b);
}

static void who_is_cancelled_leaves_the_line(void **state)
{
    struct place *p = *state;
    struct database *b = open_name(p, "a");
    struct user holders[CONNECTIONS] = {0}, first = {0}, second = {0}, third = {0};
    for (size_t k = 0; k < CONNECTIONS; k++) {
        holders[k].keeps = true;
        user_start(&holders[k], p, b, NULL);
    }
    settle(p);
    user_start(&first, p, b, NULL);
    user_start(&second, p, b, NULL);
    user_start(&third, p, b, NULL);
    fiber_task_cancel(&first.task);
    assert_int_equal(first.ends, 1);
    assert_int_equal(first.err, ERR_CANCELLED);
    /* The second one is given a connection, and cancelled before it hears of it. */
    user_give(&holders[0]);
    fiber_task_cancel(&second.task);
    assert_int_equal(second.ends, 0);
    user_give(&holders[1]);
    settle(p);
    assert_int_equal(second.ends, 1);
    assert_int_equal(third.ends, 1);
    assert_int_equal(third.err, OK);
    user_give(&holders[2]);
    rest(p); /* nothing has been lost: all are idle */
    assert_int_equal(databases_count(p->all).descriptors, 0);
    database_unref(b);
}

/* A loop that ends while one of its tasks is told that it can go on. */
static void a_loop_ends_with_its_line(void **state)
{
    struct place *p = *state, other = *p;
    struct database *b = open_name(p, "a");
    struct user holders[CONNECTIONS] = {0}, waiting = {0}, in_line = {0};
    for (size_t k = 0; k < CONNECTIONS; k++) {
        holders[k].keeps = true;
        user_start(&holders[k], p, b, NULL);
    }
    settle(p);
    place_begin(&other);
    user_start(&waiting, &other, b, NULL);
    user_start(&in_line, &other, b, NULL);
    user_give(&holders[0]);
    fiber_task_cancel(&waiting.task);
    fiber_task_cancel(&in_line.task);
    assert_int_equal(in_line.ends, 1);
    assert_int_equal(waiting.ends, 0);
    place_end(&other);
    assert_int_equal(waiting.ends, 1);
    user_give(&holders[1]);
    user_give(&holders[2]);
    assert_int_equal(use(p, b, "SELECT 1"), OK);
    database_unref(b);
}

static void rest_closes_and_use_opens(void **state)
{
    struct place *p = *state;
    struct database *b = open_name(p, "a");
    struct user holder = {.keeps = true};
    assert_int_equal(use(p, b, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"), OK);
    assert_true(held_files(p) > 0);
    databases_trim(p->all, &p->loop, 1000 * 1000);
    assert_true(database_is_open(b)); /* it was used just now */
    uint64_t seen = 0;
    for (int round = 0; round < 3; round++) {
        rest(p);
        assert_false(database_is_open(b));
        assert_int_equal(held_files(p), 0);
        struct user u = {.keeps = true};
        user_start(&u, p, b, "INSERT INTO t SELECT max(a) + 1 FROM t RETURNING a");
        settle(p);
        assert_int_equal(u.err, OK);
        assert_int_equal(u.result.ptr[4 + 4 + 1 + 4 + 1], round + 2); /* the row's integer */
        assert_true(sql_conn_seen(u.conn) > seen);                    /* numbers go on */
        seen = sql_conn_seen(u.conn);
        /* What is not on disk is, when it is closed. */
        assert_false(sql_is_durable(database_file(b), seen));
        user_give(&u);
        bytes_done(&u.result);
    }
    rest(p);
    assert_true(sql_is_durable(database_file(b), seen));
    /* Not while it is used. */
    user_start(&holder, p, b, "SELECT 1");
    settle(p);
    databases_trim(p->all, &p->loop, 0);
    assert_true(database_is_open(b));
    user_give(&holder);
    bytes_done(&holder.result);
    database_unref(b);
}

static int failing_fdatasync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

/* What failed must not be forgotten by closing. */
static void a_failed_disk_keeps_it_open(void **state)
{
    struct place *p = *state;
    struct database *b = open_name(p, "a"), *other = open_name(p, "b");
    assert_int_equal(use(p, b, "CREATE TABLE t (a)"), OK);
    assert_int_equal(use(p, other, "SELECT 1"), OK);
    sql_fdatasync = failing_fdatasync;
    struct sql_file *f = database_file(b);
    assert_false(sql_file_detach(f, true));
    sql_fdatasync = fdatasync;
    assert_false(sql_file_is_idle(f));
    assert_int_equal(use(p, b, "INSERT INTO t VALUES (1)"), ERR_IO);
    assert_int_equal(use(p, b, "SELECT 1"), OK);
    database_unref(b);
    database_unref(other);
}

static void a_thousand_need_a_hundred_descriptors(void **state)
{
    struct place *p = *state;
    struct database *all[1000];
    struct user users[8] = {0};
    unsigned most = 0;
    char name[16];
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        (void)snprintf(name, sizeof(name), "%zu", k);
        all[k] = open_name(p, name);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t k = 0; k < ARRAY_LEN(all); k += ARRAY_LEN(users)) {
            for (size_t n = 0; n < ARRAY_LEN(users); n++)
                user_start(&users[n], p, all[k + n],
                           round == 0 ? "CREATE TABLE t (a); INSERT INTO t VALUES (1)"
                                      : "SELECT count(*) FROM t");
            settle(p);
            unsigned held = held_files(p);
            most = held > most ? held : most;
            for (size_t n = 0; n < ARRAY_LEN(users); n++) {
                assert_int_equal(users[n].err, OK);
                bytes_done(&users[n].result);
            }
            assert_true(databases_count(p->all).descriptors <= DESCRIPTORS);
        }
    }
    assert_in_range(most, DESCRIPTORS / 2, DESCRIPTORS);
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        database_unref(all[k]);
}

static void what_is_removed_is_gone(void **state)
{
    struct place *p = *state;
    struct database *b = open_name(p, "a"), *never = open_name(p, "never");
    struct user holder = {.keeps = true};
    assert_int_equal(use(p, b, "CREATE TABLE t (a)"), OK);
    user_start(&holder, p, b, "SELECT 1");
    settle(p);
    databases_remove(p->all, b, &p->loop);
    assert_int_equal(use(p, b, "SELECT 1"), ERR_NOT_FOUND);
    user_give(&holder);
    bytes_done(&holder.result);
    rest(p);
    /* One of an old version that has not opened it yet makes no file. */
    databases_remove(p->all, never, &p->loop);
    assert_int_equal(use(p, never, "CREATE TABLE t (a)"), ERR_NOT_FOUND);
    assert_int_equal(files_in(p), 0);
    /* And one of the same name is another one. */
    struct database *again = open_name(p, "a");
    assert_ptr_not_equal(again, b);
    assert_int_equal(use(p, again, "CREATE TABLE t (a)"), OK);
    assert_true(exists(p, "a"));
    database_unref(again);
    database_unref(b);
    database_unref(never);
}

static size_t disk_used(const struct place *p)
{
    return budget_used(&p->account->budgets[RESOURCE_DISK]);
}

static void its_disk_is_of_an_account(void **state)
{
    static const char fill[] =
        "INSERT INTO t SELECT zeroblob(3000) FROM json_each('[1,2,3,4,5,6]')";
    struct place *p = *state;
    struct database *b = open_name(p, "a");
    enum err err = OK;
    account_limit(p->account, RESOURCE_DISK, 64 * 1024);
    assert_int_equal(use(p, b, "CREATE TABLE t (a)"), OK);
    assert_int_equal(disk_used(p), 8192);
    for (int k = 0; k < 10 && err == OK; k++)
        err = use(p, b, fill);
    assert_int_equal(err, ERR_LIMIT_DISK);
    assert_true(disk_used(p) > 16 * 1024 && disk_used(p) <= 64 * 1024);
    /* What is there can be read and deleted; its room is used again. */
    assert_int_equal(use(p, b, "DELETE FROM t"), OK);
    assert_int_equal(use(p, b, fill), OK);
    /* Rest gives nothing back, and another limit holds at once. */
    size_t before = disk_used(p);
    rest(p);
    assert_int_equal(disk_used(p), before);
    account_limit(p->account, RESOURCE_DISK, 128 * 1024);
    for (err = OK; err == OK;)
        err = use(p, b, fill);
    assert_int_equal(err, ERR_LIMIT_DISK);
    assert_true(disk_used(p) > 64 * 1024 && disk_used(p) <= 128 * 1024);
    /* Another one of the account has what is left: nothing. */
    struct database *other = open_name(p, "b");
    budget_force(&p->account->budgets[RESOURCE_DISK], 128 * 1024);
    assert_int_equal(use(p, other, "CREATE TABLE t (a)"), ERR_LIMIT_DISK);
    budget_give(&p->account->budgets[RESOURCE_DISK], 128 * 1024);
    databases_remove(p->all, b, &p->loop);
    rest(p);
    assert_true(disk_used(p) <= 8192);
    database_unref(other);
    database_unref(b);
}

static void removal_during_the_opening(void **state)
{
    struct place *p = *state;
    struct user users[4] = {0};
    for (int round = 0; round < 20; round++) {
        struct database *b = open_name(p, "a");
        for (size_t k = 0; k < ARRAY_LEN(users); k++)
            user_start(&users[k], p, b, "CREATE TABLE IF NOT EXISTS t (a)");
        databases_remove(p->all, b, &p->loop);
        settle(p);
        for (size_t k = 0; k < ARRAY_LEN(users); k++) {
            assert_true(users[k].err == OK || users[k].err == ERR_NOT_FOUND);
            bytes_done(&users[k].result);
        }
        database_unref(b);
        rest(p);
        assert_int_equal(files_in(p), 0);
    }
}

static void an_opening_that_fails_is_shared(void **state)
{
    struct place *p = *state;
    struct user users[5] = {0};
    char path[320];
    struct database *b = open_name(p, "a");
    (void)snprintf(path, sizeof(path), "%s/a", p->folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (int k = 0; k < 4096; k++)
        (void)fputc('x', f);
    assert_int_equal(fclose(f), 0);
    for (size_t k = 0; k < ARRAY_LEN(users); k++)
        user_start(&users[k], p, b, "SELECT 1");
    settle(p);
    for (size_t k = 0; k < ARRAY_LEN(users); k++) {
        assert_int_equal(users[k].err, ERR_CORRUPT);
        assert_null(users[k].conn);
        bytes_done(&users[k].result);
    }
    assert_int_equal(databases_count(p->all).descriptors, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(use(p, b, "CREATE TABLE t (a)"), OK); /* and tried again */
    database_unref(b);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 300, SHARED = 6 };

struct thread {
    struct place place;
    struct database **shared;
    pthread_t thread;
    unsigned seed;
    unsigned writes[SHARED];
};

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    place_begin(&t->place);
    for (int round = 0; round < ROUNDS; round++) {
        struct user users[3] = {0};
        size_t which[3];
        for (size_t k = 0; k < ARRAY_LEN(users); k++) {
            which[k] = (size_t)rand_r(&t->seed) % SHARED;
            user_start(&users[k], &t->place, t->shared[which[k]], "INSERT INTO t VALUES (1)");
        }
        if (rand_r(&t->seed) % 2 == 0)
            databases_trim(t->place.all, &t->place.loop, 0);
        settle(&t->place);
        for (size_t k = 0; k < ARRAY_LEN(users); k++) {
            t->writes[which[k]] += users[k].err == OK;
            if (users[k].err != OK && users[k].err != ERR_UNAVAILABLE)
                abort();
            bytes_done(&users[k].result);
        }
    }
    place_end(&t->place);
    return NULL;
}

static void threads_open_and_close(void **state)
{
    struct place *p = *state;
    struct thread threads[THREADS] = {0};
    struct database *shared[SHARED];
    char name[16];
    unsigned written[SHARED] = {0};
    for (size_t k = 0; k < SHARED; k++) {
        (void)snprintf(name, sizeof(name), "%zu", k);
        shared[k] = open_name(p, name);
        assert_int_equal(use(p, shared[k], "CREATE TABLE t (a)"), OK);
    }
    for (unsigned k = 0; k < THREADS; k++) {
        threads[k].place = *p;
        threads[k].shared = shared;
        threads[k].seed = k + 1;
        assert_int_equal(pthread_create(&threads[k].thread, NULL, thread_main, &threads[k]), 0);
    }
    for (unsigned k = 0; k < THREADS; k++) {
        assert_int_equal(pthread_join(threads[k].thread, NULL), 0);
        for (size_t n = 0; n < SHARED; n++)
            written[n] += threads[k].writes[n];
    }
    assert_true(databases_count(p->all).opened > SHARED);
    for (size_t k = 0; k < SHARED; k++) {
        struct user u = {0};
        user_start(&u, p, shared[k], "SELECT count(*) FROM t");
        settle(p);
        uint64_t count;
        memcpy(&count, u.result.ptr + u.result.len - 8 - 8 - 8, sizeof(count));
        assert_int_equal(count, written[k]);
        bytes_done(&u.result);
        database_unref(shared[k]);
    }
}

/* What SQLite takes for statements is their module's, and given back with them. Little is not worth
 * counting. */
static void their_memory_is_of_an_account(void **state)
{
    struct place *p = *state;
    struct database *b = open_name(p, "m");
    const struct budget *memory = &p->account->budgets[RESOURCE_MEMORY];
    account_limit(p->account, RESOURCE_MEMORY, 8 << 20);
    assert_int_equal(use(p, b, "SELECT length(hex(zeroblob(1000000)))"), OK);
    assert_int_equal(budget_used(memory), 0);
    struct user u = {0};
    user_start(&u, p, b, "SELECT length(hex(zeroblob(10000000)))");
    settle(p);
    assert_int_equal(u.err, ERR_OVERLOAD); /* of an account without a parent, as the server's is */
    assert_non_null(strstr(u.error.message, "has reached its limit of 8388608 bytes of memory"));
    bytes_done(&u.result);
    assert_int_equal(budget_used(memory), 0);
    account_limit(p->account, RESOURCE_MEMORY, 0);
    assert_int_equal(use(p, b, "SELECT length(hex(zeroblob(1000)))"), OK);
    account_limit(p->account, RESOURCE_MEMORY, SIZE_MAX);
    database_unref(b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, up, down)
    const struct CMUnitTest tests[] = {
        T(it_is_opened_once_and_shared),
        T(who_waits_gets_what_is_given_back),
        T(who_is_cancelled_leaves_the_line),
        T(a_loop_ends_with_its_line),
        T(rest_closes_and_use_opens),
        T(a_failed_disk_keeps_it_open),
        T(a_thousand_need_a_hundred_descriptors),
        T(what_is_removed_is_gone),
        T(its_disk_is_of_an_account),
        T(their_memory_is_of_an_account),
        T(removal_during_the_opening),
        T(an_opening_that_fails_is_shared),
        T(threads_open_and_close),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
