/* SPDX-License-Identifier: Apache-2.0
 *
 * A child process as one blocking call, bounded in time, memory and output, for jobs on the work
 * pool. Standard input is given as bytes; standard output and error are captured. The child is
 * killed (its whole process group) when it passes a bound, and never outlives its parent
 * (PR_SET_PDEATHSIG). Descriptors of ours are not inherited. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

struct process {
    const char *const *argv; /* NULL-terminated; argv[0] is a path */
    const char *const *env;  /* NULL-terminated; NULL: an empty environment */
    const char *cwd;         /* NULL: ours */
    struct slice input;
    uint64_t time_ms_max;
    uint64_t memory_bytes_max; /* 0: none; RLIMIT_DATA */
    size_t output_bytes_max;   /* each of the two streams */
    /* results */
    struct bytes out, err; /* owned by the caller; release with process_done() */
    int exit_code;         /* -1 if it ended by a signal */
};

/* OK when the child ran to its end, whatever its exit code. ERR_TIMEOUT, ERR_LIMIT (output),
 * ERR_IO (could not start; the message says why). Any thread. */
NODISCARD enum err process_run(struct process *p, struct error *ret_error);
void process_done(struct process *p);
