/* SPDX-License-Identifier: Apache-2.0
 *
 * Two passes. The first takes out the global flags, wherever they stand, and collects the words
 * that name the command; `serve` ends it, because the rest is the server's to read. The second
 * reads what is left by the command's own flags. "--" ends flags in both. */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "admin/names.h"
#include "base/slice.h"

struct tokens {
    const char *items[256];
    size_t len;
    size_t flags_end; /* from here on nothing is a flag */
};

static bool is_flag(const char *token)
{
    return token[0] == '-' && token[1] != '\0'; /* "-" alone is a file name */
}

/* "--name=value" or "--name" against a list. */
static const struct flag *flag_find(const struct flag *flags, const char *token,
                                    const char **ret_value)
{
    const char *equals = strchr(token, '=');
    size_t len = equals ? (size_t)(equals - token) : strlen(token);
    *ret_value = equals ? equals + 1 : NULL;
    for (; flags->name; flags++) {
        if ((strlen(flags->name) == len && strncmp(flags->name, token, len) == 0) ||
            (flags->short_name && strlen(flags->short_name) == len &&
             strncmp(flags->short_name, token, len) == 0))
            return flags;
    }
    return NULL;
}

static enum err option_add(struct args *args, const struct flag *flag, const char *value,
                           struct error *ret_error)
{
    for (size_t i = 0; i < args->options_len; i++) {
        if (args->options[i].flag == flag && !flag->is_repeatable) {
            error_set(ret_error, ERR_INVALID, "%s is given twice", flag->name);
            error_hint(ret_error, "give it once");
            return ERR_INVALID;
        }
    }
    if (args->options_len == ARGS_OPTIONS_MAX)
        return error_set(ret_error, ERR_INVALID, "there are more than %d flags", ARGS_OPTIONS_MAX);
    args->options[args->options_len++] = (struct args_option){flag, value};
    return OK;
}

/* Takes the flag at *i of argv, and its value, which may be the next token. */
static enum err option_take(struct args *args, const struct flag *flag, const char *inline_value,
                            const char *const *argv, size_t argc, size_t *i,
                            struct error *ret_error)
{
    const char *value = inline_value;
    if (!flag->value && inline_value) {
        error_set(ret_error, ERR_INVALID, "%s takes no value", flag->name);
        error_hint(ret_error, "write %s alone", flag->name);
        return ERR_INVALID;
    }
    uint64_t ms;
    bool is_optional = flag->value && flag->value[0] == '[';
    if (is_optional && !inline_value) {
        bool has_value = *i + 1 < argc && args_duration(argv[*i + 1], &ms);
        value = has_value ? argv[++*i] : "";
    } else if (flag->value && !inline_value) {
        if (*i + 1 >= argc) {
            error_set(ret_error, ERR_INVALID, "%s needs a value", flag->name);
            error_hint(ret_error, "write %s %s", flag->name, flag->value);
            return ERR_INVALID;
        }
        value = argv[++*i];
    }
    return option_add(args, flag, flag->value ? value : "", ret_error);
}

static enum err unknown_flag(const struct command *command, const char *token,
                             struct error *ret_error)
{
    const char *names[64];
    size_t len = 0;
    struct slice text = slice_cstr(token);
    text = slice_split(&text, '=');
    for (const struct flag *f = command ? command->flags : NULL; f && f->name; f++)
        names[len++] = f->name;
    for (const struct flag *f = commands_global_flags; f->name; f++)
        names[len++] = f->name;
    const char *nearest = names_nearest(text, names, len);
    error_set(ret_error, ERR_INVALID, "there is no flag %.*s", SLICE_ARG(text));
    if (nearest)
        error_hint(ret_error, "did you mean %s?", nearest);
    else if (command)
        error_hint(ret_error,
                   "'limpet help %s' lists its flags; write -- before a value that "
                   "begins with a dash",
                   command->path);
    else
        error_hint(ret_error, "'limpet help' lists the commands");
    return ERR_INVALID;
}

/* The longest run of leading words that names a command; *ret_words: how many. */
static void find_command(struct args *args, const struct tokens *tokens, size_t *ret_words)
{
    char path[sizeof(args->path)] = "";
    *ret_words = 0;
    for (size_t i = 0; i < tokens->len && i < tokens->flags_end; i++) {
        size_t len = strlen(path);
        if (is_flag(tokens->items[i]) || len + strlen(tokens->items[i]) + 2 > sizeof(path))
            return;
        snprintf(path + len, sizeof(path) - len, "%s%s", len ? " " : "", tokens->items[i]);
        args->command = command_find(path);
        bool is_group = command_is_group(path);
        if (!args->command && !is_group)
            return;
        memcpy(args->path, path, sizeof(path));
        *ret_words = i + 1;
        if (args->command)
            return;
        args->group = args->path;
    }
}

/* Has the command that the words so far name a flag of its own by this name? */
static bool is_own_flag(const struct tokens *words, const char *token)
{
    struct args args = {0};
    const char *value;
    size_t count;
    find_command(&args, words, &count);
    return args.command && flag_find(args.command->flags, token, &value);
}

/* First pass. */
static enum err take_globals(int argc, char **argv, struct args *args, struct tokens *rest,
                             struct error *ret_error)
{
    rest->flags_end = SIZE_MAX;
    for (size_t i = 1; i < (size_t)argc; i++) {
        const char *value;
        if (rest->len == ARRAY_LEN(rest->items))
            return error_set(ret_error, ERR_INVALID, "there are too many arguments");
        if (strcmp(argv[i], "--") == 0) {
            rest->flags_end = rest->len;
            while (++i < (size_t)argc && rest->len < ARRAY_LEN(rest->items))
                rest->items[rest->len++] = argv[i];
            return OK;
        }
        if (rest->len == 0 && strcmp(argv[i], "serve") == 0) {
            args->rest_argc = argc - (int)i;
            args->rest_argv = argv + i;
            rest->items[rest->len++] = argv[i];
            return OK;
        }
        const struct flag *flag =
            is_flag(argv[i]) ? flag_find(commands_global_flags, argv[i], &value) : NULL;
        if (!flag || is_own_flag(rest, argv[i])) {
            rest->items[rest->len++] = argv[i];
            continue;
        }
        enum err err =
            option_take(args, flag, value, (const char *const *)argv, (size_t)argc, &i, ret_error);
        if (err)
            return err;
    }
    return OK;
}

/* The command or group that a wrong word was most likely meant for, judged by that word alone. */
static const char *nearest_command(const struct args *args, const char *word, char *path,
                                   size_t path_size)
{
    char words[64][24];
    const char *choices[64];
    size_t len = 0, group_len = args->group ? strlen(args->group) + 1 : 0;
    for (size_t i = 0; i < commands_count && len < ARRAY_LEN(words); i++) {
        const char *p = commands_table[i].path;
        if (group_len > 0 &&
            (strncmp(p, args->group, group_len - 1) != 0 || p[group_len - 1] != ' '))
            continue;
        struct slice rest = slice_cstr(p + group_len);
        struct slice first = slice_split(&rest, ' ');
        snprintf(words[len], sizeof(words[len]), "%.*s", SLICE_ARG(first));
        choices[len] = words[len];
        len++;
    }
    const char *nearest = names_nearest(slice_cstr(word), choices, len);
    if (!nearest)
        return NULL;
    snprintf(path, path_size, "%s%s%s", args->path, args->path[0] ? " " : "", nearest);
    return path;
}

static enum err unknown_command(const struct args *args, const char *word, struct error *ret_error)
{
    char path[96];
    const char *nearest = nearest_command(args, word, path, sizeof(path));
    error_set(ret_error, ERR_INVALID, "there is no command '%s%s%s'", args->path,
              args->path[0] ? " " : "", word);
    if (nearest)
        error_hint(ret_error, "did you mean 'limpet %s'?", nearest);
    else if (args->group)
        error_hint(ret_error, "'limpet help %s' lists what there is", args->group);
    else
        error_hint(ret_error, "'limpet help' lists the commands");
    return ERR_INVALID;
}

/* "NAME KEY VALUE": how many there must and may be. */
static void count_expected(const char *text, size_t *ret_least, size_t *ret_most)
{
    *ret_least = *ret_most = 0;
    struct slice rest = slice_cstr(text);
    while (rest.len > 0) {
        struct slice word = slice_split(&rest, ' ');
        const bool is_list = slice_ends(word, SLICE_LIT("..."));
        *ret_most += is_list ? ARGS_POSITIONAL_MAX : 1;
        *ret_least += word.ptr[0] != '[';
    }
}

static enum err check_count(const struct args *args, struct error *ret_error)
{
    size_t least, most;
    const struct command *c = args->command;
    if (strcmp(c->path, "help") == 0)
        return OK; /* its argument is several words */
    count_expected(c->args, &least, &most);
    if (args->positional_len >= least && args->positional_len <= most)
        return OK;
    if (args->positional_len > most)
        error_set(ret_error, ERR_INVALID, "'%s' is one argument too many for 'limpet %s'",
                  args->positional[most], c->path);
    else
        error_set(ret_error, ERR_INVALID, "'limpet %s' needs %s", c->path, c->args);
    error_hint(ret_error, "usage: limpet %s%s%s", c->path, c->args[0] ? " " : "", c->args);
    return ERR_INVALID;
}

/* Second pass. */
static enum err take_rest(struct args *args, const struct tokens *tokens, size_t words,
                          struct error *ret_error)
{
    for (size_t i = words; i < tokens->len; i++) {
        const char *token = tokens->items[i], *value;
        if (i < tokens->flags_end && is_flag(token)) {
            const struct flag *flag = flag_find(args->command->flags, token, &value);
            if (!flag)
                return unknown_flag(args->command, token, ret_error);
            enum err err =
                option_take(args, flag, value, tokens->items, tokens->len, &i, ret_error);
            if (err)
                return err;
            continue;
        }
        if (args->positional_len == ARGS_POSITIONAL_MAX)
            return error_set(ret_error, ERR_INVALID, "there are too many arguments");
        args->positional[args->positional_len++] = token;
    }
    return OK;
}

/* Flags that only mean something before `serve`. */
static enum err check_serve_flags(const struct args *args, struct error *ret_error)
{
    static const char *const names[] = {"--database-url", "--artifact-dir", "--wit-dir"};
    if (args->rest_argv)
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!args_has(args, names[i]))
            continue;
        error_set(ret_error, ERR_INVALID, "%s is for 'limpet serve' only", names[i]);
        error_hint(ret_error, "other commands talk to a server, which has the data: use --server");
        return ERR_INVALID;
    }
    return OK;
}

enum err args_parse(int argc, char **argv, struct args *ret_args, struct error *ret_error)
{
    struct tokens tokens = {0};
    size_t words = 0;
    *ret_args = (struct args){0};
    enum err err = take_globals(argc, argv, ret_args, &tokens, ret_error);
    if (err)
        return err;
    err = check_serve_flags(ret_args, ret_error);
    if (err)
        return err;
    find_command(ret_args, &tokens, &words);
    if (ret_args->command && ret_args->rest_argv)
        return OK;
    if (!ret_args->command) {
        if (words == tokens.len)
            return OK; /* nothing, or a group: main() shows help */
        const char *token = tokens.items[words];
        if (is_flag(token) && words < tokens.flags_end)
            return unknown_flag(NULL, token, ret_error);
        return unknown_command(ret_args, token, ret_error);
    }
    ret_args->group = NULL;
    err = take_rest(ret_args, &tokens, words, ret_error);
    if (err || args_has(ret_args, "--help"))
        return err;
    return check_count(ret_args, ret_error);
}

const char *args_get(const struct args *args, const char *flag)
{
    const char *value = NULL;
    for (size_t i = 0; i < args->options_len; i++) {
        if (strcmp(args->options[i].flag->name, flag) == 0)
            value = args->options[i].value;
    }
    return value;
}

bool args_has(const struct args *args, const char *flag)
{
    return args_get(args, flag) != NULL;
}

bool args_duration(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *suffix;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"", 1000}};
    struct slice digits = slice_cstr(text);
    size_t i = 0;
    while (!slice_ends(digits, slice_cstr(units[i].suffix)))
        i++;
    digits.len -= strlen(units[i].suffix);
    uint64_t value;
    if (!slice_to_u64(digits, &value) || value > UINT64_MAX / 2 / units[i].ms)
        return false;
    *ret_ms = value * units[i].ms;
    return true;
}

enum err args_duration_of(const struct args *args, const char *flag, uint64_t def, uint64_t *ret_ms,
                          struct error *ret_error)
{
    const char *text = args_get(args, flag);
    *ret_ms = def;
    if (!text || !*text || args_duration(text, ret_ms))
        return OK;
    error_set(ret_error, ERR_INVALID, "%s %s is not a duration", flag, text);
    error_hint(ret_error, "write 500ms, 30s, 5m or 2h");
    return ERR_INVALID;
}

enum err args_uint(const struct args *args, const char *flag, uint64_t def, uint64_t most,
                   uint64_t *ret_value, struct error *ret_error)
{
    const char *text = args_get(args, flag);
    uint64_t value = def;
    if (text && (!slice_to_u64(slice_cstr(text), &value) || value > most)) {
        error_set(ret_error, ERR_INVALID, "%s %s is not a number that can be used here", flag,
                  text);
        error_hint(ret_error, "give a whole number, at most %llu", (unsigned long long)most);
        return ERR_INVALID;
    }
    *ret_value = value;
    return OK;
}
