/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's own work on a module's database, that no guest asks for: on a task of its own, so
 * that an engine thread waits neither for the opening nor for a lock. Loop thread. */
#pragma once

#include "host/fiber_task.h"
#include "server/worker.h"

struct sql_conn;

struct sql_use {
    /* On the task's fiber: what fails is left in error. Touches u and the connection, no more. Done
     * again, after a wait, where a setup() held the database. */
    void (*run)(struct sql_use *u, struct sql_conn *c);
    void (*done)(struct sql_use *u); /* also when there was no connection, or the server stops */
    struct error error;
    /* private */
    struct fiber_task task;
    struct slot *slot;
    struct list link; /* worker->sql_uses */
};

/* The slot stays until done() has returned, which may be at once. */
void sql_use_start(struct slot *s, struct sql_use *u);
void sql_use_cancel(struct sql_use *u); /* it ends soon, perhaps at once: done() is called */
void sql_uses_cancel(struct worker *w); /* the thread stops: they end soon */
