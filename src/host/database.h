/* SPDX-License-Identifier: Apache-2.0
 *
 * A module's database as the process has it: its file, the connections to it, who waits for one.
 * All versions of a module and all threads share it, because its file's commit counter is what the
 * output gate compares. Making the object opens nothing:
 *
 *   closed --take--> opening --> open --rest, or others want descriptors--> closing --> closed
 *
 * Opening recovers what a killed process has left in the log, up to hundreds of MiB, so it happens
 * on the task of whoever comes first, away from the engine thread (fiber_task.h), and is not of its
 * CPU time; who comes meanwhile stands still and shares the opening. A connection is used by one at
 * a time and goes to the next in line when it is given back. Closing, on the pool, syncs what is not
 * durable yet; the file's counters outlive it. A database whose disk has failed stays open: what
 * failed must not be forgotten.
 *
 * Descriptors are bounded together: at the bound the ones idle for longest are closed first. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct account;
struct database;
struct databases;
struct loop;
struct sql_conn;
struct sql_file;

struct databases_config {
    uint64_t bytes_max;       /* of each that is of no account; 0: none */
    unsigned connections_max; /* to one, of all threads */
    unsigned descriptors_max; /* of all; above it only while all that are open are in use */
};

struct databases_count {
    unsigned open, connections, descriptors;
    uint64_t opened; /* since the start */
};

struct databases *databases_new(const struct databases_config *config);
void databases_free(struct databases *d); /* after the loops; references may be left */

/* Any thread. The one of that path, a reference. account: whose disk its file takes, and bounds it;
 * kept by a reference; NULL: nobody's. */
struct database *databases_get(struct databases *d, const char *path, struct account *account);
/* The same for one of very many: its file counts to the account already, and goes on to when nobody knows
 * of it any more; what is known of it goes when it is closed and nobody has a reference. */
struct database *databases_get_one_of_many(struct databases *d, const char *path,
                                           struct account *account);
/* Instead of database_unref(). */
void databases_leave(struct databases *d, struct database *b);
/* Loop thread. All whose files are in this folder or below it are gone: as databases_remove(). What of them is
 * counted here does not count any more. */
void databases_remove_below(struct databases *d, struct slice folder, struct loop *loop);
/* Loop thread. Its module is gone: nobody gets a connection any more, and the files go as soon as
 * those who have one have given it back (databases_trim()). */
void databases_remove(struct databases *d, struct database *b, struct loop *loop);
/* Loop thread, now and then: what nobody has used for rest_ms is closed, on the pool. */
void databases_trim(struct databases *d, struct loop *loop, uint64_t rest_ms);
struct databases_count databases_count(struct databases *d);

struct database *database_ref(struct database *b);
void database_unref(struct database *b); /* NULL does nothing */
const char *database_path(const struct database *b);
struct account *database_account(const struct database *b); /* borrowed; NULL: nobody's */
struct sql_file *database_file(struct database *b);         /* lives as long, open or not */
bool database_is_open(struct database *b);

/* Inside a task, on its loop's thread before and after: a connection that is the caller's until
 * database_give(). Stands still while the database is opened or all connections are in use.
 * ERR_CANCELLED: the task was, meanwhile. ERR_NOT_FOUND: the module is gone. */
NODISCARD enum err database_take(struct database *b, struct loop *loop, struct sql_conn **ret_conn,
                                 struct error *ret_error);
void database_give(struct database *b, struct loop *loop, struct sql_conn *conn); /* loop thread */
