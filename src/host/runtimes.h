/* SPDX-License-Identifier: Apache-2.0
 *
 * All runtimes (module/runtimes.h) of a process, started with what the host gives to guests. Shared
 * by all threads. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

struct runtime;
struct runtimes;

/* saved: what runtimes_save() gave in a process built from the same files, so that nothing need boot;
 * or "". */
NODISCARD enum err runtimes_start(struct slice saved, struct runtimes **ret_runtimes,
                                  struct error *ret_error);
void runtimes_save(const struct runtimes *rs, struct bytes *out);
/* Nothing of them is used any more. NULL is allowed. */
void runtimes_stop(struct runtimes *rs);
/* "": the first of the table. NULL: there is none of that name. */
struct runtime *runtimes_find(const struct runtimes *rs, struct slice name);
