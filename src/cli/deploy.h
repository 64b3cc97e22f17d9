/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands on projects share: from a folder to a bundle and a version. Each prints what went
 * wrong and returns an exit code. */
#pragma once

#include "project/project.h"

struct bundle;
struct cli;

/* Reads the project of a folder or file, says its warnings, and makes the command line speak of it:
 * namespace, function or workflow. A configuration that the project's own build has written takes the
 * place of wrangler's, as wrangler does it. */
int deploy_open(struct cli *cli, const char *path, struct project **ret_project);
/* Runs the project's own build command, if it has one. Its output goes to standard error. */
int deploy_run_build(struct cli *cli, struct project **project);
/* What it declares that the server does not have; a warning, or an error without --without-bindings. */
int deploy_check_missing(struct cli *cli, const struct project *p, bool is_warning);
/* Bundles main; a project of assets only has code that finds nothing. */
int deploy_bundle(struct cli *cli, struct project *p, struct bundle *ret_bundle);
/* The same for another file in main's place. */
int deploy_bundle_entry(struct cli *cli, struct project *p, const char *entry,
                        struct bundle *ret_bundle);
/* Uploads the bundle with all that the project says, and waits until it serves. */
int deploy_upload(struct cli *cli, struct project *p, const struct bundle *b);
