/* SPDX-License-Identifier: Apache-2.0
 *
 * From argv to a command, its arguments and its flags. Pure: prints nothing, reads no environment,
 * so every rule has a unit test. What cannot be understood is an error with a suggestion; nothing
 * is ignored. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "cli/command.h"

enum { ARGS_POSITIONAL_MAX = 8, ARGS_OPTIONS_MAX = 128 };

struct args_option {
    const struct flag *flag;
    const char *value; /* NULL for flags without one */
};

struct args {
    const struct command *command; /* NULL: none was named */
    const char *group; /* "function env": the beginning of commands, when no command was named */
    const char *positional[ARGS_POSITIONAL_MAX];
    size_t positional_len;
    struct args_option options[ARGS_OPTIONS_MAX]; /* global ones too */
    size_t options_len;
    /* For serve: everything behind the word, from the word on. */
    int rest_argc;
    char **rest_argv;
    char path[64];
};

/* Borrows argv. ERR_INVALID. */
NODISCARD enum err args_parse(int argc, char **argv, struct args *ret_args,
                              struct error *ret_error);
/* Value of a flag given once (the last one holds), "" for one without value, NULL if absent. */
const char *args_get(const struct args *args, const char *flag);
bool args_has(const struct args *args, const char *flag);
/* "500ms", "30s", "5m", "2h", "30" (seconds); false: it is none. */
bool args_duration(const char *text, uint64_t *ret_ms);
/* A flag that is a duration: in milliseconds, def if absent or without value. */
NODISCARD enum err args_duration_of(const struct args *args, const char *flag, uint64_t def,
                                    uint64_t *ret_ms, struct error *ret_error);
/* A flag that is a number from 0 to most; def if absent. */
NODISCARD enum err args_uint(const struct args *args, const char *flag, uint64_t def, uint64_t most,
                             uint64_t *ret_value, struct error *ret_error);
