/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines beside the result of a run. */
#pragma once

struct cli;

/* Prints the lines of an execution to standard error, as they come, until it has finished. Returns
 * an exit code. */
int logs_tail(struct cli *cli, const char *execution);
