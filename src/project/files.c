/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a project: where it is described, and .dev.vars. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "project/internal.h"

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

const char *project_find(struct arena *a, const char *path)
{
    static const char *const names[] = {"limpet.toml", "wrangler.json", "wrangler.jsonc",
                                        "wrangler.toml", "worky.toml"};
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(slash ? slash + 1 : path, names[i]) == 0 && is_file(path))
            return path;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *at = arena_printf(a, "%s/%s", path, names[i]);
        if (is_file(at))
            return at;
    }
    return NULL;
}

enum err project_read(struct arena *a, const char *path, const char *environment,
                      struct project **ret_project, struct error *ret_error)
{
    const char *found = project_find(a, path);
    if (!found) {
        error_set(ret_error, ERR_NOT_FOUND, "there is no project in %.300s", path);
        error_hint(ret_error, "limpet.toml makes one ('limpet init'); wrangler.toml, wrangler.json "
                              "and wrangler.jsonc are read, too");
        return ERR_NOT_FOUND;
    }
    char absolute[PATH_MAX];
    struct document doc;
    if (!realpath(found, absolute))
        return error_set(ret_error, ERR_IO, "cannot read %.300s: %m", found);
    enum err err = document_read(a, absolute, &doc, ret_error);
    if (err)
        return err;
    char *dir = arena_cstr(a, slice_cstr(absolute));
    *strrchr(dir, '/') = '\0';
    err = project_parse(a, dir, arena_cstr(a, slice_cstr(doc.file)), doc.source, environment,
                        ret_project, ret_error);
    if (!err)
        (*ret_project)->path = arena_cstr(a, slice_cstr(absolute));
    return err;
}

const char *project_path(const struct project *p, const char *path)
{
    return path[0] == '/' ? path : arena_printf(p->arena, "%s/%s", p->dir, path);
}

/* ---- .dev.vars ---- */

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

/* A value in quotes may span lines; "\n" in double ones is a line break. Returns what is behind. */
static struct slice dotenv_quoted(struct slice text, struct bytes *out, bool *ret_is_closed)
{
    const char quote = text.ptr[0];
    size_t i = 1;
    for (; i < text.len && text.ptr[i] != quote; i++) {
        char c = text.ptr[i];
        if (quote == '"' && c == '\\' && i + 1 < text.len) {
            c = text.ptr[++i];
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
        }
        bytes_append_char(out, c);
    }
    *ret_is_closed = i < text.len;
    return slice_skip(text, i + 1);
}

static enum err dotenv_error(const char *file, struct slice all, struct slice rest,
                             const char *what, struct error *ret_error)
{
    int line, column;
    document_place(all, all.len - rest.len, &line, &column);
    error_set(ret_error, ERR_INVALID, "%s:%d: %s", file, line, what);
    error_hint(ret_error, "each line is NAME=VALUE or a # comment");
    return ERR_INVALID;
}

enum err project_dotenv(struct arena *a, const char *file, struct slice source,
                        struct project_vars *vars, struct error *ret_error)
{
    for (struct slice rest = source; rest.len > 0;) {
        const struct slice here = rest;
        struct slice line = slice_split(&rest, '\n'), left = slice_trim(line);
        if (left.len == 0 || left.ptr[0] == '#')
            continue;
        if (slice_starts(left, SLICE_LIT("export ")))
            left = slice_trim(slice_skip(left, 7));
        size_t len = 0;
        while (len < left.len && is_name_char(left.ptr[len], len == 0))
            len++;
        const struct slice name = slice_of(left.ptr, len);
        left = slice_trim(slice_skip(left, len));
        if (len == 0 || left.len == 0 || left.ptr[0] != '=')
            return dotenv_error(file, source, here, "it is no NAME=VALUE", ret_error);
        left = slice_trim(slice_skip(left, 1));
        CLEANUP(bytes_done) struct bytes value = BYTES_INIT;
        if (left.len > 0 && (left.ptr[0] == '"' || left.ptr[0] == '\'' || left.ptr[0] == '`')) {
            bool is_closed;
            const struct slice text =
                slice_of(left.ptr, source.len - (size_t)(left.ptr - source.ptr));
            rest = dotenv_quoted(text, &value, &is_closed);
            if (!is_closed)
                return dotenv_error(file, source, here, "its quote is not closed", ret_error);
            (void)slice_split(&rest, '\n'); /* a comment behind */
        } else {
            for (size_t i = 1; i < left.len; i++)
                if (left.ptr[i] == '#' && (left.ptr[i - 1] == ' ' || left.ptr[i - 1] == '\t'))
                    left.len = i;
            bytes_append_slice(&value, slice_trim(left));
        }
        vars_put(
            a, vars,
            (struct project_var){arena_copy(a, name), arena_copy(a, bytes_slice(&value)), false});
    }
    return OK;
}

enum err project_read_dev_vars(struct project *p, struct error *ret_error)
{
    const char *const names[] = {
        p->environment ? arena_printf(p->arena, ".dev.vars.%s", p->environment) : ".dev.vars",
        ".dev.vars", p->environment ? arena_printf(p->arena, ".env.%s", p->environment) : ".env",
        ".env"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *path = project_path(p, names[i]);
        struct bytes text = BYTES_INIT;
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        char chunk[4096];
        for (size_t n;
             text.len <= DOCUMENT_BYTES_MAX && (n = fread(chunk, 1, sizeof(chunk), file));)
            bytes_append(&text, chunk, n);
        (void)fclose(file);
        enum err err =
            text.len > DOCUMENT_BYTES_MAX
                ? error_set(ret_error, ERR_TOO_LARGE, "%s is too large", names[i])
                : project_dotenv(p->arena, names[i], bytes_slice(&text), &p->vars, ret_error);
        bytes_done(&text);
        return err;
    }
    return OK;
}
