/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks and time texts. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

uint64_t clock_monotonic_ns(void);  /* CLOCK_MONOTONIC */
uint64_t clock_thread_cpu_ns(void); /* CPU time of the calling thread */
int64_t clock_wall_us(void);        /* microseconds since 1970-01-01 UTC */

enum { CLOCK_ISO_SIZE = 28 };
/* "2026-11-21T13:41:00.123Z" */
void clock_iso(int64_t wall_us, char ret_text[CLOCK_ISO_SIZE]);
/* RFC 3339, of the years 1970 to 9999: a date, or date and time with Z or an offset. */
bool clock_iso_read(struct slice text, int64_t *ret_wall_us);
