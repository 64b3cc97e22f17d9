/* SPDX-License-Identifier: Apache-2.0
 *
 * `serve` belongs to the server: what stands behind the word is passed on as it is. The flags that
 * derp takes before the word become the environment variables of the same meaning, which the server
 * reads. */
#include <stdlib.h>

#include "cli/cli.h"
#include "server/serve.h"

static void pass_on(const struct args *args, const char *flag, const char *variable)
{
    const char *value = args_get(args, flag);
    if (value)
        setenv(variable, value, 1);
}

int cmd_serve(struct cli *cli)
{
    pass_on(&cli->args, "--database-url", "DATABASE_URL");
    pass_on(&cli->args, "--artifact-dir", "ARTIFACT_DIR");
    pass_on(&cli->args, "--wit-dir", "WIT_DIR");
    pass_on(&cli->args, "--token", "LIMPET_TOKEN");
    return serve_main(cli->args.rest_argc, cli->args.rest_argv);
}

int serve_help(void)
{
    char serve[] = "serve", help[] = "--help";
    char *argv[] = {serve, help, NULL};
    return serve_main(2, argv);
}
