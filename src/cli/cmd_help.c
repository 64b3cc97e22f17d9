/* SPDX-License-Identifier: Apache-2.0
 *
 * Help pages, all written from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/say.h"

static void print_flags(const struct flag *flags)
{
    for (const struct flag *f = flags; f->name; f++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s%s%s", f->short_name ? f->short_name : "",
                 f->short_name ? ", " : "", f->name, f->value ? " " : "", f->value ? f->value : "");
        printf("  %-28s %s\n", left, f->help);
    }
}

void help_command(const struct command *c)
{
    printf("%s\n\nusage: limpet %s%s%s%s\n", c->summary, c->path, c->args[0] ? " " : "", c->args,
           c->flags->name ? " [FLAGS]" : "");
    if (c->details)
        printf("\n%s\n", c->details);
    if (c->flags->name) {
        printf("\nflags:\n");
        print_flags(c->flags);
    }
    printf("\nflags of every command:\n");
    print_flags(commands_global_flags);
}

void help_group(const char *path)
{
    size_t len = strlen(path);
    if (len == 0)
        printf("limpet %s: TypeScript functions in WebAssembly sandboxes\n\n", LIMPET_VERSION);
    printf("usage: limpet %s%sCOMMAND [FLAGS]\n\ncommands:\n", path, len ? " " : "");
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *c = &commands_table[i];
        char left[64];
        if (strncmp(c->path, path, len) != 0 || (len > 0 && c->path[len] != ' '))
            continue;
        snprintf(left, sizeof(left), "%s%s%s", c->path, c->args[0] ? " " : "", c->args);
        printf("  %-36s %s\n", left, c->summary);
    }
    printf("\nflags of every command:\n");
    print_flags(commands_global_flags);
    printf("\n'limpet help COMMAND' explains one.\n");
}

int cmd_help(struct cli *cli)
{
    char path[64] = "";
    size_t len = 0;
    for (size_t i = 0; i < cli->args.positional_len && len < sizeof(path); i++)
        len += (size_t)snprintf(path + len, sizeof(path) - len, "%s%s", i ? " " : "",
                                cli->args.positional[i]);
    const struct command *command = len < sizeof(path) ? command_find(path) : NULL;
    if (command && command->run == cmd_serve)
        return serve_help();
    if (command) {
        help_command(command);
    } else if (len == 0 || (len < sizeof(path) && command_is_group(path))) {
        help_group(path);
    } else {
        struct error e = {0};
        error_set(&e, ERR_INVALID, "there is no command '%.60s'", path);
        error_hint(&e, "'limpet help' lists the commands");
        return say_error(cli->is_json, &e, EXIT_USAGE);
    }
    return EXIT_OK;
}

int cmd_version(struct cli *cli)
{
    if (cli->is_json)
        printf("{\"version\":\"%s\"}\n", LIMPET_VERSION);
    else
        printf("limpet %s\n", LIMPET_VERSION);
    return EXIT_OK;
}
