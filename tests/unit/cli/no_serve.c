/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands for the server, which the tests of the command line do not need. */
#include "cli/cli.h"

int cmd_serve(struct cli *cli)
{
    (void)cli;
    return EXIT_OK;
}

int serve_help(void)
{
    return EXIT_OK;
}
