/* SPDX-License-Identifier: Apache-2.0
 *
 * A project's folder of static files on its way to the server. */
#pragma once

#include "base/bytes.h"

struct cli;
struct project;

/* Uploads those files that the server does not have, and appends what an upload says of all ("assets");
 * nothing if the project has none. Prints what went wrong, returns an exit code. */
int assets_upload(struct cli *cli, const struct project *p, struct bytes *out);
