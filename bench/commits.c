/* SPDX-License-Identifier: Apache-2.0
 *
 * What this disk and SQLite can do by themselves, beside which durable cases are read: commits of
 * one row (or ROWS rows) each, WAL, synchronous=FULL, for a while.
 *
 *     commits FOLDER MILLISECONDS [ROWS]
 *
 * Prints {"commits": n, "perSecond": x, "p50Us": x, "p99Us": x}. The database is made in FOLDER,
 * which should be on the file system of the servers' data, and removed. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROW_BYTES = 128, TIMES_MAX = 1 << 20 };

static sqlite3 *db;

static void must(int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    fprintf(stderr, "commits: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *s = NULL;
    must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL), sql);
    return s;
}

static void run(sqlite3_stmt *s, const char *what)
{
    must(sqlite3_step(s), what);
    must(sqlite3_reset(s), what);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: commits FOLDER MILLISECONDS [ROWS]\n");
        return 2;
    }
    double limit_us = atof(argv[2]) * 1000;
    int rows = argc > 3 ? atoi(argv[3]) : 1;
    char path[4096], side[4104];
    snprintf(path, sizeof(path), "%s/commits-%d.sqlite", argv[1], (int)getpid());
    must(sqlite3_open(path, &db), path);
    must(sqlite3_exec(db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                      "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB NOT NULL)",
                      NULL, NULL, NULL),
         "create");
    /* A log that grows costs twice as much to sync as one that is used again, which is what a
     * server has after its first minute. */
    must(sqlite3_exec(db,
                      "INSERT INTO t (v) VALUES (zeroblob(8 << 20)); DELETE FROM t;"
                      "PRAGMA wal_checkpoint(RESTART)",
                      NULL, NULL, NULL),
         "grow the log");
    char row[ROW_BYTES];
    memset(row, 'x', sizeof(row));
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
    sqlite3_stmt *insert = prepare("INSERT INTO t (v) VALUES (?1)");
    must(sqlite3_bind_blob(insert, 1, row, sizeof(row), SQLITE_STATIC), "bind");

    double *times = malloc(TIMES_MAX * sizeof(*times));
    size_t count = 0;
    double start = now_us(), last = start;
    while (last - start < limit_us && count < TIMES_MAX) {
        run(begin, "begin");
        for (int i = 0; i < rows; i++)
            run(insert, "insert");
        run(commit, "commit");
        double t = now_us();
        times[count++] = t - last;
        last = t;
    }
    qsort(times, count, sizeof(*times), compare);
    printf("{\"commits\": %zu, \"perSecond\": %.1f, \"p50Us\": %.1f, \"p99Us\": %.1f}\n", count,
           (double)count / ((last - start) / 1e6), times[count / 2], times[count * 99 / 100]);

    sqlite3_finalize(begin);
    sqlite3_finalize(insert);
    sqlite3_finalize(commit);
    sqlite3_close(db);
    free(times);
    const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(side, sizeof(side), "%s%s", path, suffixes[i]);
        unlink(side);
    }
    return 0;
}
