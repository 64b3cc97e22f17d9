/* SPDX-License-Identifier: Apache-2.0
 *
 * What uploads and builds share. */
#pragma once

#include <stdbool.h>

struct bundle;
struct cli;
struct reply;

/* Prints one build, and returns the exit code for it. */
int build_show_ended(struct cli *cli, const struct reply *reply, bool is_failed);
/* Bundles a file. On failure prints it and returns the exit code. */
struct build_entry {
    const char *name; /* of the function or workflow */
    const char *file;
    const char *shown;       /* what messages call it; NULL: file */
    const char *base;        /* of bundle_config, */
    const char *const *args; /* likewise */
};
int build_bundle(struct cli *cli, const struct build_entry *entry, struct bundle *ret_bundle);
