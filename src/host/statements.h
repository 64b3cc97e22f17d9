/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of statements run on a database that is not the module's own: for code by a binding (op_d1.c),
 * for people by the control API. It runs on a task of its own (fiber_task.h), and is done when what it
 * has made or seen is on disk, so nothing that follows from it has to wait at a gate. Loop thread. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "host/fiber_task.h"
#include "host/sql.h"

struct account;
struct database;
struct loop;

enum statements_flag {
    STATEMENTS_ATOMIC = 1, /* all in one transaction; else those before one that fails stay */
    STATEMENTS_DUMP =
        2, /* there are none; behind the result's head follows the database, as a file */
};

struct statements {
    /* Once, unless statements_start() said so: error, or result. */
    void (*done)(struct statements *s);
    struct database *database; /* the owner's reference */
    struct account *account;   /* whose memory and CPU time it takes; NULL: nobody's */
    /* u32 flags, u32 count, then count × (lstr SQL, lstr parameters as of op SQL_EXEC) */
    struct slice request; /* the owner's memory */
    uint64_t cpu_ns_max;
    struct error error;
    unsigned failed; /* with an error: which of them, from 0 */
    /* f64 milliseconds, u64 size of the database, u64 commit that this has seen, u32 count, then count ×
     * (lstr result as of op SQL_EXEC, u64 rows read, u64 rows written, u32 might have written, u32 statements of the text) */
    struct bytes result; /* bytes_done() */
    /* private */
    struct loop *loop;
    struct fiber_task task;
    struct sql_room room;
    struct sql_gate_wait gate;
    uint64_t began_ns, seq;
    bool is_gated;
};

/* True: it has ended already. */
NODISCARD bool statements_start(struct statements *s, struct loop *loop, struct fiber_runner *r);
/* It ends soon, perhaps at once: done() comes, and the statements may have been run or not. */
void statements_cancel(struct statements *s);
/* After its end: gives back the memory of the result, and frees it. */
void statements_release(struct statements *s);
