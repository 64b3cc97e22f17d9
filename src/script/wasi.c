/* SPDX-License-Identifier: Apache-2.0
 *
 * WASI preview 1, as much as wasi-libc links into the engine. Numbers from its witx: errno 0 success,
 * 8 badf, 21 fault. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/script.h"

enum { WASI_OK = 0, WASI_BADF = 8, WASI_FAULT = 21 };

static int64_t wasi_clock_time_get(struct isolate *i, const int64_t *args)
{
    const struct cell *cell = isolate_user(i);
    char *to = isolate_memory(i, (uint32_t)args[2], sizeof(uint64_t));
    if (!to)
        return WASI_FAULT;
    uint64_t ns = args[0] == 0 ? (uint64_t)clock_wall_us() * 1000
                               : clock_monotonic_ns() - cell->clock_base_ns;
    if (cell->is_loading)
        ns = 0;
    memcpy(to, &ns, sizeof(ns));
    return WASI_OK;
}

/* The engine's own last words (an abort in libc); guests have no descriptors. */
static int64_t wasi_fd_write(struct isolate *i, const int64_t *args)
{
    const char *vectors = isolate_memory(i, (uint32_t)args[1], 8);
    char *written = isolate_memory(i, (uint32_t)args[3], 4);
    if (!vectors || !written || args[2] < 1)
        return WASI_FAULT;
    uint32_t at, len;
    memcpy(&at, vectors, 4);
    memcpy(&len, vectors + 4, 4);
    const char *text = isolate_memory(i, at, len);
    if (!text)
        return WASI_FAULT;
    log_debug("engine output", LOG_SLICE("text", slice_trim(slice_of(text, len))));
    memcpy(written, &len, 4);
    return WASI_OK;
}

static int64_t wasi_badf(struct isolate *i, const int64_t *args)
{
    return WASI_BADF;
}

static int64_t wasi_proc_exit(struct isolate *i, const int64_t *args)
{
    isolate_trap(i, ERR_GUEST, "the engine exited with code %d", (int)args[0]);
    return 0;
}

const struct sandbox_import script_wasi[] = {
    {"wasi_snapshot_preview1", "clock_time_get", "iIi", true, false, wasi_clock_time_get},
    {"wasi_snapshot_preview1", "fd_write", "iiii", true, false, wasi_fd_write},
    {"wasi_snapshot_preview1", "fd_close", "i", true, false, wasi_badf},
    {"wasi_snapshot_preview1", "fd_fdstat_get", "ii", true, false, wasi_badf},
    {"wasi_snapshot_preview1", "fd_seek", "iIii", true, false, wasi_badf},
    {"wasi_snapshot_preview1", "proc_exit", "i", false, false, wasi_proc_exit},
};
const size_t script_wasi_len = ARRAY_LEN(script_wasi);
