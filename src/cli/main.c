/* SPDX-License-Identifier: Apache-2.0
 *
 * The `limpet` program: reads the command line, runs one command, ends with its exit code. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/names.h"
#include "base/module_name.h"
#include "cli/cli.h"
#include "cli/say.h"

/* Is --json among the words, in a command line that could not be read? */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

/* "HOST:PORT" is enough; a slash at the end is not needed. */
static const char *server_url(struct cli *cli)
{
    const char *url = args_get(&cli->args, "--server");
    if (!url)
        url = getenv("LIMPET_SERVER");
    if (!url || !*url)
        url = "http://127.0.0.1:8888";
    char *text = arena_printf(cli->arena, "%s%s", strstr(url, "://") ? "" : "http://", url);
    for (size_t len = strlen(text); len > 0 && text[len - 1] == '/'; len--)
        text[len - 1] = '\0';
    return text;
}

static const char *token(struct cli *cli)
{
    const char *text = args_get(&cli->args, "--token");
    if (!text)
        text = getenv("LIMPET_TOKEN");
    return text && *text ? text : NULL;
}

/* "" and "default" are none. */
static enum err namespace_of(struct cli *cli, const char **ret_space, struct error *ret_error)
{
    const char *text = args_get(&cli->args, "--namespace");
    if (!text)
        text = getenv("LIMPET_NAMESPACE");
    *ret_space = NULL;
    if (!text || namespace_is_default(slice_cstr(text)))
        return OK;
    *ret_space = text;
    return names_check_namespace(slice_cstr(text), ret_error);
}

/* The answer to a command line that names no command. */
static int show_group(struct cli *cli)
{
    struct error e = {0};
    if (args_has(&cli->args, "--version"))
        return cmd_version(cli);
    if (args_has(&cli->args, "--help") || !cli->args.group) {
        help_group(cli->args.group ? cli->args.group : "");
        return args_has(&cli->args, "--help") ? EXIT_OK : EXIT_USAGE;
    }
    error_set(&e, ERR_INVALID, "'limpet %s' needs a command", cli->args.group);
    error_hint(&e, "'limpet help %s' lists what there is", cli->args.group);
    return say_error(cli->is_json, &e, EXIT_USAGE);
}

static int run(struct cli *cli)
{
    const struct command *command = cli->args.command;
    if (!command)
        return show_group(cli);
    if (args_has(&cli->args, "--help") && command->run != cmd_serve) {
        help_command(command);
        return EXIT_OK;
    }
    if (command->run == cmd_serve)
        return cmd_serve(cli); /* it sets up what it needs */
    struct error e = {0};
    if (namespace_of(cli, &cli->space, &e))
        return say_error(cli->is_json, &e, EXIT_USAGE);
    cli->server = server_url(cli);
    cli->token = token(cli);
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    int code = command->run(cli);
    curl_global_cleanup();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        error_set(&e, ERR_IO, "the output could not be written");
        return code ? code : say_error(cli->is_json, &e, EXIT_FAILED);
    }
    return code;
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    struct error error = {0};
    if (args_parse(argc, argv, &cli.args, &error))
        return say_error(wants_json(argc, argv), &error, EXIT_USAGE);
    cli.is_json = args_has(&cli.args, "--json");
    cli.arena = arena_new(NULL);
    int code = run(&cli);
    arena_free(cli.arena);
    return code;
}
