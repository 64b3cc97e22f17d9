/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds: from what an author has written to what is stored of a version and loaded (runtime.h). */
#pragma once

#include "base/bytes.h"
#include "base/slice.h"

struct build_output {
    struct bytes artifact; /* what is loaded */
    struct bytes detail;   /* what its runtime knows of its sources; may be empty */
};
void build_output_done(struct build_output *b);

/* Where a build failed; owned texts. line 0: unknown. */
struct build_failure {
    struct bytes message, file, frame;
    int line, column; /* from 1 */
};
void build_failure_done(struct build_failure *f);

struct build_config {
    const char *name; /* of the module, for stack traces */
    const char
        *tool; /* path of the program that the runtime builds with, if it needs one; or NULL */
};

/* What is known of code that does not load. */
struct build_trouble {
    struct slice module, artifact, detail;
    struct slice message, stack; /* of the exception, as the engine gave it */
};
