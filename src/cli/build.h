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
/* Bundles a file; name: of the function or workflow; args: more of esbuild's, NULL: none. On failure
 * prints it and returns the exit code. */
int build_bundle(struct cli *cli, const char *name, const char *file, const char *const *args,
                 struct bundle *ret_bundle);
