/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the whole source, at most what the server would take, and checks it here, so that a typing
 * mistake is shown before anything is sent. */
#include "cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/body.h"
#include "base/limits.h"
#include "cli/cli.h"

static enum err read_all(FILE *f, const char *name, struct bytes *out, struct error *ret_error)
{
    char buffer[16384];
    size_t got = sizeof(buffer);
    while (got == sizeof(buffer)) {
        got = fread(buffer, 1, sizeof(buffer), f);
        if (bytes_try_append(out, buffer, got, LIMIT_VALUE_BYTES)) {
            error_set(ret_error, ERR_TOO_LARGE,
                      "%s has more than the %d MiB that one value may have", name,
                      LIMIT_VALUE_BYTES >> 20);
            error_hint(ret_error, "send large data to the function's own URL; docs/limits.md has "
                                  "all limits");
            return ERR_TOO_LARGE;
        }
    }
    if (ferror(f))
        return error_set(ret_error, ERR_IO, "%s cannot be read: %s", name, strerror(errno));
    return OK;
}

static enum err read_source(const char *text, struct bytes *out, struct error *ret_error)
{
    if (strcmp(text, "-") == 0)
        return read_all(stdin, "standard input", out, ret_error);
    if (text[0] != '@') {
        bytes_append_cstr(out, text);
        return OK;
    }
    FILE *f = fopen(text + 1, "re");
    if (!f) {
        error_set(ret_error, ERR_IO, "%s cannot be read: %s", text + 1, strerror(errno));
        error_hint(ret_error, "check the path behind @");
        return ERR_IO;
    }
    enum err err = read_all(f, text + 1, out, ret_error);
    fclose(f);
    return err;
}

enum err input_json(struct cli *cli, const char *flag, const char *def, struct slice *ret_json,
                    struct error *ret_error)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct body_value value;
    const char *given = args_get(&cli->args, flag);
    enum err err = read_source(given ? given : def, &text, ret_error);
    if (err)
        return err;
    err = body_parse(bytes_slice(&text), &value, NULL);
    if (err) {
        error_set(ret_error, ERR_INVALID, "the value of %s is not JSON: %.*s", flag,
                  SLICE_ARG(slice_utf8_clip(bytes_slice(&text), 80)));
        error_hint(ret_error, "quote it for the shell: %s '{\"name\": \"World\"}', or use @FILE",
                   flag);
        return ERR_INVALID;
    }
    *ret_json = arena_copy(cli->arena, value.text);
    return OK;
}
