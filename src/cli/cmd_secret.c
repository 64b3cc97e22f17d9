/* SPDX-License-Identifier: Apache-2.0
 *
 * `secret set|list|delete`, of functions and workflows alike, and with --shared of the namespace. A value never stands on the command line,
 * where other users of the machine and the shell's history would have it. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "admin/names.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/module_name.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

/* NAME and KEY, or with --shared just KEY: what is named, and the path of it. */
struct secret_name {
    const char *owner, *key, *path; /* key NULL: all */
};

static enum err secret_name(struct cli *cli, bool has_key, struct secret_name *ret_name,
                            struct error *ret_error)
{
    const struct args *args = &cli->args;
    bool is_shared = args_has(args, "--shared");
    if (args->positional_len != (size_t)has_key + !is_shared) {
        error_set(ret_error, ERR_INVALID, "%s",
                  is_shared ? "with --shared there is no NAME: it is a secret of the namespace"
                            : "whose secret it is must be said");
        error_hint(ret_error, "give the NAME of a function or workflow, or --shared for all of the "
                              "namespace");
        return ERR_INVALID;
    }
    struct secret_name n = {.key = has_key ? args->positional[!is_shared] : NULL};
    if (is_shared) {
        n.owner =
            arena_printf(cli->arena, "namespace %s", cli->space ? cli->space : NAMESPACE_DEFAULT);
        n.path = n.key ? client_path(cli, "/shared-secrets/%s", n.key, NULL)
                       : client_path(cli, "/shared-secrets", NULL, NULL);
    } else {
        n.owner = args->positional[0];
        const char *name = client_name(cli, n.owner);
        n.path = n.key ? client_path(cli, "/secrets/%s/%s", name, n.key)
                       : client_path(cli, "/secrets/%s", name, NULL);
    }
    *ret_name = n;
    return OK;
}

/* All of standard input, or up to the end of a line. */
static enum err read_bytes(bool is_line, struct bytes *out, struct error *ret_error)
{
    int c;
    while ((c = getchar()) != EOF && !(is_line && c == '\n')) {
        bytes_append_char(out, (char)c);
        if (out->len > LIMIT_ENV_VALUE_BYTES + 2) {
            error_set(ret_error, ERR_TOO_LARGE, "the value has more than %d bytes",
                      LIMIT_ENV_VALUE_BYTES);
            error_hint(ret_error, "keep large data in its database");
            return ERR_TOO_LARGE;
        }
    }
    return OK;
}

static enum err ask(const char *key, struct bytes *out, struct error *ret_error)
{
    struct termios shown, hidden;
    bool is_hidden = tcgetattr(STDIN_FILENO, &shown) == 0;
    if (is_hidden) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    fprintf(stderr, "%s: ", key);
    enum err err = read_bytes(true, out, ret_error);
    if (is_hidden)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputc('\n', stderr);
    return err;
}

static enum err read_value(const char *key, struct bytes *out, struct error *ret_error)
{
    enum err err =
        isatty(STDIN_FILENO) ? ask(key, out, ret_error) : read_bytes(false, out, ret_error);
    if (!err && out->len > 0 && out->ptr[out->len - 1] == '\n')
        out->len--;
    if (!err && !slice_is_utf8(bytes_slice(out))) {
        err = error_set(ret_error, ERR_INVALID, "the value is not UTF-8");
        error_hint(ret_error, "encode binary data, for example with base64");
    }
    return err;
}

static void wiped(struct bytes *b)
{
    if (b->len > 0)
        OPENSSL_cleanse(b->ptr, b->len);
    bytes_done(b);
}

/* Without --host and --unbound the server leaves it bound as it is. */
static void write_hosts(struct cli *cli, struct json_writer *w)
{
    const struct args *args = &cli->args;
    if (!args_has(args, "--host") && !args_has(args, "--unbound"))
        return;
    json_key(w, "hosts");
    json_open(w, '[');
    for (size_t i = 0; i < args->options_len; i++)
        if (strcmp(args->options[i].flag->name, "--host") == 0)
            json_cstr(w, args->options[i].value);
    json_close(w, ']');
}

int cmd_secret_set(struct cli *cli)
{
    CLEANUP(wiped) struct bytes value = BYTES_INIT;
    CLEANUP(wiped) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    struct secret_name name = {0};
    enum err err = secret_name(cli, true, &name, &error);
    if (!err)
        err = names_check_env(slice_cstr(name.key), &error);
    if (!err && args_has(&cli->args, "--host") && args_has(&cli->args, "--unbound"))
        err = error_set(&error, ERR_INVALID, "--host and --unbound say the opposite");
    if (!err)
        err = read_value(name.key, &value, &error);
    if (err)
        return say_error(cli->is_json, &error, EXIT_USAGE);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "value");
    json_slice(&w, bytes_slice(&value));
    write_hosts(cli, &w);
    json_close(&w, '}');
    int code = client_send(cli, "PUT", name.path, bytes_slice(&body), 0, &reply);
    if (!code)
        say_progress(cli->is_json, "set secret %s of %s", name.key, name.owner);
    return code;
}

static void secret_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char ago[32];
    say_ago(json_number(row, "updated_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    table_cell(table, json_text(cli, row, "name"));
    table_cell(table, json_text(cli, row, "version"));
    table_cell(table, slice_cstr(ago));
    struct body_value hosts = json_member(row, "hosts"), host;
    CLEANUP(bytes_done) struct bytes all = BYTES_INIT;
    struct body_walk walk = {0};
    if (hosts.kind == BODY_ARRAY)
        walk = body_walk(&hosts);
    while (hosts.kind == BODY_ARRAY && body_next_item(&walk, &host)) {
        if (all.len > 0)
            bytes_append_char(&all, ' ');
        body_string(&host, &all);
    }
    table_cell(table, bytes_slice(&all));
}

int cmd_secret_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "VERSION", "UPDATED", "HOSTS"};
    struct secret_name name = {0};
    struct error error = {0};
    if (secret_name(cli, false, &name, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    const struct client_list list = {
        .path = name.path,
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = secret_row,
        .empty = "no secrets; 'limpet secret set NAME KEY' sets one",
    };
    return client_list(cli, &list);
}

int cmd_secret_delete(struct cli *cli)
{
    struct secret_name name = {0};
    struct error error = {0};
    struct reply reply;
    if (secret_name(cli, true, &name, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    int code = client_send(cli, "DELETE", name.path, SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted secret %s of %s", name.key, name.owner);
    return code;
}
