/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of commands (commands.c): parsing, help, suggestions and dispatch are made from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cli;

/* docs/cli.md promises these. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,      /* the operation failed: a build, a run, a refusal of the server */
    EXIT_USAGE = 2,       /* the command line cannot be understood */
    EXIT_UNREACHABLE = 3, /* no server answers */
    EXIT_NOT_FOUND = 4,   /* what was named does not exist */
};

struct flag {
    const char *name;       /* "--input"; NULL ends a list */
    const char *short_name; /* "-f", or NULL */
    const char *value; /* "JSON" in the help; NULL: the flag takes no value; "[DURATION]": it may
                          be left out, and a word behind is one only if it is a duration */
    const char *help;
    bool is_repeatable;
};

struct command {
    const char *path;    /* "function env set" */
    const char *args;    /* "NAME KEY VALUE"; those in [] may be left out */
    const char *summary; /* one line */
    const char *details; /* more for its own help page, or NULL */
    const struct flag *flags;
    int (*run)(struct cli *cli);
};

extern const struct command commands_table[];
extern const size_t commands_count;
extern const struct flag commands_global_flags[];

/* A command by its exact path, or NULL. */
const struct command *command_find(const char *path);
/* Is path the beginning of the paths of several commands ("function env")? */
bool command_is_group(const char *path);
