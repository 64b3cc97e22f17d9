/* SPDX-License-Identifier: Apache-2.0
 *
 * Wasmtime turns signals of generated code into traps; cmocka puts its own handlers over them in
 * each test. traps_save() once an engine exists, before cmocka runs; traps_restore() first in each
 * test that may trap. */
#pragma once

#include <signal.h>
#include <stddef.h>

#include "base/check.h"

static const int trap_signals[] = {SIGILL, SIGSEGV, SIGFPE, SIGBUS};
static struct sigaction trap_handlers[ARRAY_LEN(trap_signals)];

static inline void traps_save(void)
{
    for (size_t k = 0; k < ARRAY_LEN(trap_signals); k++)
        sigaction(trap_signals[k], NULL, &trap_handlers[k]);
}

static inline void traps_restore(void)
{
    for (size_t k = 0; k < ARRAY_LEN(trap_signals); k++)
        sigaction(trap_signals[k], &trap_handlers[k], NULL);
}
