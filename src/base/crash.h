/* SPDX-License-Identifier: Apache-2.0
 *
 * Places where a test may have the process killed, in builds with the option crash_points. The
 * environment names one: LIMPET_CRASH_AT=before:3 is right before the third commit of the store
 * that carries records of executions, after:3 right after it; sql-before:N and sql-after:N the same
 * for commits of a module's database that carry records, setup-before:N and setup-after:N for those
 * of setup(). In other builds all of this is nothing. */
#pragma once

enum crash_point {
    CRASH_BEFORE,
    CRASH_AFTER,
    CRASH_SQL_BEFORE,
    CRASH_SQL_AFTER,
    CRASH_SETUP_BEFORE,
    CRASH_SETUP_AFTER,
    CRASH_POINTS
};

#ifdef LIMPET_CRASH_POINTS
/* Once, before there are threads. Says on standard output what was chosen. */
void crash_init(void);
/* Called before that end where LIMPET_CRASH_FALLS=1 says that it is to look like a fault of the
 * process's own, which parks an execution, and not like a kill from outside; may be NULL. */
extern void (*crash_mark)(void);
/* Any thread. Each call counts; at the chosen one the process ends as by kill -9. */
void crash_point(enum crash_point p);
#else
static inline void crash_init(void)
{
}
static inline void crash_point(enum crash_point p)
{
    (void)p;
}
#endif
