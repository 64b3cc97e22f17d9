/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQL database of a module: one SQLite file each, WAL, synchronous=OFF on the connections that
 * guests use, so a commit on an engine thread never waits for the disk. Durability is the output
 * gate: before anything that depends on a commit leaves the process, sql_gate_wait() makes the WAL
 * durable (fdatasync on the work pool; one sync serves every commit before it). Checkpoints run on
 * the work pool too, with synchronous=FULL on a connection of their own; connections of engine
 * threads never checkpoint (wal_autocheckpoint=0, no checkpoint on close, persistent WAL).
 *
 *   sql_file  one per database and process, shared by threads (refcounted, atomics only)
 *   sql_conn  one per database and engine thread; all guests of the thread use it in turn. A guest
 *             holds it through a whole transaction, because it cannot be preempted meanwhile. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/list.h"
#include "loop/post.h"

struct budget;
struct loop;
struct sql_file;
struct sql_conn;

/* Once, before there are threads and databases: temporary files lie beside folder, in FOLDER-tmp, and guests write no
 * more when its disk has less left than this. */
NODISCARD enum err sql_bound_disk(const char *folder, uint64_t keep_free_bytes,
                                  struct error *ret_error);
bool sql_disk_is_short(void);
/* Any thread. Detached: it holds no descriptors, and its counters last from one opening to the next.
 * bytes_max: 0 none. */
struct sql_file *sql_file_new(const char *path, uint64_t bytes_max);
/* Makes the file if it does not exist, recovers and opens it. Blocks, or leaves inside a task. One
 * thread at a time, as with detaching. */
NODISCARD enum err sql_file_attach(struct sql_file *f, struct error *ret_error);
/* Closing it puts all of the log into the main file, however little: for those that are seldom open. */
void sql_file_settles(struct sql_file *f);
/* Blocks: syncs what is not durable, may checkpoint, closes. There is no connection. False: it stays
 * attached, because its gate is busy or its disk has failed. */
NODISCARD bool sql_file_detach(struct sql_file *f, bool may_checkpoint);
bool sql_file_is_idle(const struct sql_file *f); /* could it be detached? */
/* New and attached. */
NODISCARD enum err sql_file_open(const char *path, uint64_t bytes_max, struct sql_file **ret_file,
                                 struct error *ret_error);
struct sql_file *sql_file_ref(struct sql_file *f);
void sql_file_unref(struct sql_file *f);

/* The database may grow to so many bytes from now on, or to the file's bytes_max if that is less;
 * cheap when it was so before. */
NODISCARD enum err sql_conn_bound(struct sql_conn *c, uint64_t bytes_max, struct error *ret_error);
/* The size of the database, if this connection has made a commit since it was asked last. */
bool sql_conn_stored(struct sql_conn *c, uint64_t *ret_bytes);
NODISCARD enum err sql_conn_open(struct sql_file *f, struct sql_conn **ret_conn,
                                 struct error *ret_error);
struct list *sql_conn_link(struct sql_conn *c); /* for lists of the owner */
struct sql_conn *sql_conn_of(struct list *link);
void sql_conn_close(struct sql_conn *c); /* an open transaction is rolled back */

/* Limits one guest's statements: after deadline_ns (clock_monotonic_ns) they are interrupted
 * (ERR_LIMIT_CPU). */
void sql_conn_set_deadline(struct sql_conn *c, uint64_t deadline_ns);
/* What last_insert_rowid(), changes() and total_changes() give is a guest's own: set before and
 * taken after each of its statements. */
struct sql_counters {
    int64_t rowid, changes, total;
};
void sql_conn_lend(struct sql_conn *c, const struct sql_counters *counters);
void sql_conn_counters(struct sql_conn *c, struct sql_counters *ret_counters);
/* Has SQLite or sql_rollback_all() ended the transaction that the guest believes to be in? */
bool sql_conn_is_free(const struct sql_conn *c);
/* How large a result may be, and from whom its memory is taken as it grows. */
struct sql_room {
    size_t bytes_max;
    const char *why;     /* of bytes_max, for the error: "…: select fewer rows" */
    struct budget *from; /* NULL: nobody */
    size_t taken;        /* from it: the caller's to give back */
};
/* Until the next one. Without, LIMIT_VALUE_BYTES. */
void sql_conn_set_room(struct sql_conn *c, const struct sql_room *room);
size_t sql_conn_room_taken(const struct sql_conn *c);
/* What sql_exec() has done since the last call: rows that it looked at in scans, or gave if those are more; rows
 * that it changed; how many statements it ran, and whether one might have written. */
struct sql_rows {
    uint64_t read, written;
    uint32_t statements;
    bool is_writing;
};
void sql_conn_rows(struct sql_conn *c, struct sql_rows *ret_rows);
/* Appends the whole database as a file would be; what it takes is counted like a result. */
NODISCARD enum err sql_dump(struct sql_conn *c, struct bytes *out, struct error *ret_error);
uint64_t sql_conn_size(struct sql_conn *c); /* of the database, in bytes; 0: it cannot be read */
/* Op SQL_EXEC: params and result encoded as host/ops.def says. A result that has no room is
 * ERR_LIMIT or ERR_LIMIT_MEMORY, and what the statement has changed is rolled back. ATTACH, PRAGMA that write settings, and load_extension are
 * refused by an authorizer; so are BEGIN/COMMIT/ROLLBACK/SAVEPOINT as text (use the op). */
NODISCARD enum err sql_exec(struct sql_conn *c, struct slice sql, struct slice params,
                            struct bytes *ret_result, struct error *ret_error);
/* Op SQL_TRANSACTION. A commit that fails leaves the transaction open: roll it back. After SQLite
 * ended a transaction by itself (disk full, deadline), statements fail until the guest rolls back.
 */
enum sql_action { SQL_BEGIN = 0, SQL_COMMIT = 1, SQL_ROLLBACK = 2 };
enum { SQL_END_SETUP = 3, SQL_END_TURN = 4 /* of the op alone: op_sql.c */ };
NODISCARD enum err sql_transaction(struct sql_conn *c, enum sql_action action,
                                   struct error *ret_error);
bool sql_in_transaction(const struct sql_conn *c);
/* The transaction that is open is a setup()'s, which awaits and may last long, or is so no more. */
void sql_conn_set_up(struct sql_conn *c, bool is_setting_up);
bool sql_file_is_set_up(const struct sql_file *f); /* any thread: there is such a one */
/* Inside of a task: stands still until there is none, or the task is cancelled. */
void sql_file_await_setup(const struct sql_file *f);
/* Shall the next call give up at once when a setup() holds the database, so that its caller waits
 * without the connection? It has: what failed has done nothing. Of a text it has run so many bytes,
 * which are whole statements: the rest is left. */
void sql_conn_may_yield(struct sql_conn *c, bool may_yield);
bool sql_conn_has_yielded(const struct sql_conn *c);
size_t sql_conn_has_run(const struct sql_conn *c);
void sql_rollback_all(struct sql_conn *c); /* the guest is gone */

/* The file's commit counter as this connection last saw or made it: what a reply now depends on. */
uint64_t sql_conn_seen(const struct sql_conn *c);
/* True when everything up to seq is on disk: no gate needed. */
bool sql_is_durable(const struct sql_file *f, uint64_t seq);

/* A wait at the gate. done is called on the loop, once; error->code OK, or ERR_IO when the sync
 * failed: then nothing that depends on it may leave, and the file refuses work until a sync
 * succeeds. */
struct sql_gate_wait {
    void (*done)(struct sql_gate_wait *w, const struct error *error);
    uint64_t seq;
    /* private */
    struct sql_file *file;
    struct loop *loop;
    struct list link;
    struct post post;
    bool is_failed;
};
void sql_gate_wait(struct loop *loop, struct sql_file *f, struct sql_gate_wait *w);
