/* SPDX-License-Identifier: Apache-2.0
 *
 * What uploads and builds share. */
#pragma once

#include <stdbool.h>

struct cli;
struct reply;

/* Prints one build, and returns the exit code for it. */
int build_show_ended(struct cli *cli, const struct reply *reply, bool is_failed);
