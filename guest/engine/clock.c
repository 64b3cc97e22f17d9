/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock that QuickJS reads for Date: wasi-libc's gettimeofday() is replaced here. In a durable
 * execution the host says what time it is for the code (op CLOCK), which is the time of its last
 * delivery; elsewhere it is the wall clock of WASI. */
#include <sys/time.h>
#include <wasi/api.h>

#include "engine.h"
#include "op.h"

enum { MICROS = 1000 * 1000 };

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int64_t us = 0;
    if (eng.is_durable) {
        double ms = 0;
        if (op_call(OP_CLOCK, &(struct op_clock){.which = 0}, &ms, sizeof ms) == sizeof ms)
            us = (int64_t)(ms * 1000);
    } else {
        __wasi_timestamp_t ns = 0;
        (void)__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1000, &ns); /* else it is 1970 */
        us = (int64_t)(ns / 1000);
    }
    now->tv_sec = us / MICROS;
    now->tv_usec = us % MICROS;
    return 0;
}
