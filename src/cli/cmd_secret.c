/* SPDX-License-Identifier: Apache-2.0
 *
 * `secret set|list|delete`, of functions and workflows alike. A value never stands on the command line,
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
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static const char *secret_path(struct cli *cli)
{
    const char *name = client_name(cli, cli->args.positional[0]), *key = cli->args.positional[1];
    return key ? client_path(cli, "/secrets/%s/%s", name, key)
               : client_path(cli, "/secrets/%s", name, NULL);
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

int cmd_secret_set(struct cli *cli)
{
    CLEANUP(wiped) struct bytes value = BYTES_INIT;
    CLEANUP(wiped) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    const char *key = cli->args.positional[1];
    enum err err = names_check_env(slice_cstr(key), &error);
    if (!err)
        err = read_value(key, &value, &error);
    if (err)
        return say_error(cli->is_json, &error, EXIT_USAGE);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "value");
    json_slice(&w, bytes_slice(&value));
    json_close(&w, '}');
    int code = client_send(cli, "PUT", secret_path(cli), bytes_slice(&body), 0, &reply);
    if (!code)
        say_progress(cli->is_json, "set secret %s of %s", key, cli->args.positional[0]);
    return code;
}

static void secret_row(struct cli *cli, struct table *table, const struct body_value *row)
{
    char ago[32];
    say_ago(json_number(row, "updated_at_ms"), clock_wall_us() / 1000, ago, sizeof(ago));
    table_cell(table, json_text(cli, row, "name"));
    table_cell(table, json_text(cli, row, "version"));
    table_cell(table, slice_cstr(ago));
}

int cmd_secret_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "VERSION", "UPDATED"};
    const struct client_list list = {
        .path = secret_path(cli),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = secret_row,
        .empty = "no secrets; 'limpet secret set NAME KEY' sets one",
    };
    return client_list(cli, &list);
}

int cmd_secret_delete(struct cli *cli)
{
    struct reply reply;
    int code = client_send(cli, "DELETE", secret_path(cli), SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted secret %s of %s", cli->args.positional[1],
                     cli->args.positional[0]);
    return code;
}
