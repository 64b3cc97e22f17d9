/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON given on the command line: as it is, @FILE, or - for standard input. */
#pragma once

#include "base/error.h"
#include "base/slice.h"

struct cli;

/* Value of a flag, checked to be JSON, in the cli's arena; def if the flag is absent. */
NODISCARD enum err input_json(struct cli *cli, const char *flag, const char *def,
                              struct slice *ret_json, struct error *ret_error);
