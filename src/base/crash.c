/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash.h"

#ifdef LIMPET_CRASH_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int chosen = -1;
static unsigned long chosen_count;
static atomic_ulong counts[CRASH_POINTS];

static bool falls;

void crash_init(void)
{
    const char *how = getenv("LIMPET_CRASH_FALLS");
    falls = how && strcmp(how, "1") == 0;
    static const char *const names[CRASH_POINTS] = {
        "before:", "after:", "sql-before:", "sql-after:", "setup-before:", "setup-after:"};
    const char *text = getenv("LIMPET_CRASH_AT");
    for (int k = 0; text && k < CRASH_POINTS; k++) {
        size_t len = strlen(names[k]);
        if (strncmp(text, names[k], len) != 0)
            continue;
        chosen = k;
        chosen_count = strtoul(text + len, NULL, 10);
        printf("limpet: crash point %s\n", text);
        fflush(stdout);
    }
}

void (*crash_mark)(void);

void crash_point(enum crash_point p)
{
    unsigned long n = atomic_fetch_add(&counts[p], 1) + 1;
    if ((int)p != chosen || n != chosen_count)
        return;
    if (crash_mark && falls)
        crash_mark();
    kill(getpid(), SIGKILL);
}
#endif
