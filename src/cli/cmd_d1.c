/* SPDX-License-Identifier: Apache-2.0
 *
 * `d1 execute|export`: statements on a database by its name; and `d1 migrations create|list|apply`: files
 * of a folder, NNNN_text.sql, each applied once, in the order of their names, together with a row that
 * says so. Folder and table are those of the project, if it says something of that database. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/deploy.h"
#include "cli/say.h"

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, EXPORT_ROWS = 500, NUMBER_DIGITS = 4 };

/* ---- statements ---- */

static int run(struct cli *cli, const char *name, struct slice body, struct reply *ret_reply)
{
    return client_send(cli, "POST", client_path(cli, "/d1/%s/query", name, NULL), body, 0,
                       ret_reply);
}

/* is_atomic: in one transaction. */
static int run_whole(struct cli *cli, const char *name, struct slice sql, bool is_atomic,
                     struct reply *ret_reply)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "atomic");
    json_bool(&w, is_atomic);
    json_key(&w, "statements");
    json_open(&w, '[');
    json_open(&w, '{');
    json_key(&w, "sql");
    json_slice(&w, sql);
    json_close(&w, '}');
    json_close(&w, ']');
    json_close(&w, '}');
    return run(cli, name, bytes_slice(&body), ret_reply);
}

static int run_text(struct cli *cli, const char *name, struct slice sql, struct reply *ret_reply)
{
    return run_whole(cli, name, sql, false, ret_reply);
}

static enum err read_file(const char *path, struct bytes *out, struct error *ret_error)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char buffer[64 * 1024];
    size_t n;
    if (!file)
        return error_set(ret_error, ERR_NOT_FOUND, "cannot read %.300s: %s", path, strerror(errno));
    while (out->len < FILE_BYTES_MAX && (n = fread(buffer, 1, sizeof(buffer), file)) > 0)
        bytes_append(out, buffer, n);
    if (file != stdin)
        (void)fclose(file);
    return OK;
}

/* The results of one answer: of the first, or only, statement. */
static struct body_value first_result(const struct reply *reply)
{
    struct body_value results = json_member(&reply->json, "results"), item = {.kind = BODY_NULL};
    struct body_walk walk = body_walk(&results);
    (void)body_next_item(&walk, &item);
    return item;
}

static void cell_text(const struct body_value *v, struct bytes *out)
{
    bytes_clear(out);
    if (v->kind == BODY_STRING)
        body_string(v, out);
    else
        bytes_append_slice(out, v->kind == BODY_NULL ? SLICE_LIT("NULL") : v->text);
}

static void print_result(const struct body_value *result)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT, out = BYTES_INIT;
    struct body_value columns = json_member(result, "columns"), rows = json_member(result, "rows");
    const char *titles[TABLE_COLUMNS_MAX];
    char *names[TABLE_COLUMNS_MAX];
    struct body_value item, cell;
    size_t len = 0;
    struct body_walk walk = body_walk(&columns);
    for (; len < TABLE_COLUMNS_MAX && body_next_item(&walk, &item); len++) {
        cell_text(&item, &text);
        titles[len] = names[len] = strdup(bytes_cstr(&text));
        CHECK(names[len]);
    }
    if (len == 0) /* it gives no rows */
        return;
    struct table table = table_new(titles, len);
    struct body_walk each = body_walk(&rows);
    while (body_next_item(&each, &item)) {
        struct body_walk cells = body_walk(&item);
        for (size_t k = 0; k < len && body_next_item(&cells, &cell); k++) {
            cell_text(&cell, &text);
            table_cell(&table, bytes_slice(&text));
        }
    }
    table_write(&table, &out);
    printf("%.*s", SLICE_ARG(bytes_slice(&out)));
    table_done(&table);
    for (size_t k = 0; k < len; k++)
        free(names[k]);
}

int cmd_d1_execute(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes sql = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    const char *command = args_get(&cli->args, "--command"), *file = args_get(&cli->args, "--file");
    if (!command == !file) {
        error_set(&error, ERR_INVALID, "give the SQL by --command or by --file");
        error_hint(&error, "limpet d1 execute %s --command 'SELECT 1'", cli->args.positional[0]);
        return say_error(cli->is_json, &error, EXIT_USAGE);
    }
    if (command)
        bytes_append_cstr(&sql, command);
    else if (read_file(file, &sql, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    int code = run_whole(cli, cli->args.positional[0], bytes_slice(&sql), file != NULL, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    struct body_value result = first_result(&reply);
    print_result(&result);
    say_progress(false, "%lld statements, %lld rows written, %.2f ms",
                 (long long)json_number(&result, "statements"),
                 (long long)json_number(&result, "rows_written"),
                 json_decimal(&reply.json, "duration_ms"));
    return EXIT_OK;
}

/* ---- migrations ---- */

struct migrations {
    const char *database, *dir, *table;
    char **files; /* sorted; those that are not applied */
    size_t len;
    struct bytes applied; /* "\nname\n…\n" */
};

static void migrations_done(struct migrations *m)
{
    for (size_t k = 0; k < m->len; k++)
        free(m->files[k]);
    free(m->files);
    bytes_done(&m->applied);
}

static bool is_table_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return *name != '\0' && !isdigit((unsigned char)*name);
}

/* What a project of this folder says of the database, which may be named by its binding, too. */
static int migrations_open(struct cli *cli, struct migrations *m)
{
    struct error error = {0};
    struct project *p = NULL;
    m->database = cli->args.positional[0];
    m->dir = "migrations";
    m->table = "d1_migrations";
    if (project_find(cli->arena, ".")) {
        int code = deploy_open(cli, ".", &p);
        if (code)
            return code;
        project_name_resources(p);
    }
    for (size_t k = 0; p && k < p->bindings.len; k++) {
        const struct binding *b = &p->bindings.items[k];
        if (b->kind != BINDING_D1 ||
            (!slice_eq_cstr(b->target, m->database) && !slice_eq_cstr(b->name, m->database)))
            continue;
        m->database = arena_cstr(cli->arena, b->target);
        for (size_t i = 0; i < p->migrations_len; i++) {
            const struct project_migrations *of = &p->migrations[i];
            if (of->binding == k && of->dir)
                m->dir = project_path(p, of->dir);
            if (of->binding == k && of->table)
                m->table = of->table;
        }
    }
    if (args_get(&cli->args, "--dir"))
        m->dir = args_get(&cli->args, "--dir");
    if (is_table_name(m->table))
        return EXIT_OK;
    error_set(&error, ERR_INVALID, "'%.100s' is no name of a table of migrations", m->table);
    error_hint(&error, "use letters, digits and '_'");
    return say_error(cli->is_json, &error, EXIT_USAGE);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_applied(struct cli *cli, struct migrations *m)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    struct reply reply;
    const char *sql = arena_printf(
        cli->arena,
        "CREATE TABLE IF NOT EXISTS %s (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, "
        "applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL); SELECT name FROM %s ORDER BY id",
        m->table, m->table);
    int code = run_text(cli, m->database, slice_cstr(sql), &reply);
    if (code)
        return code;
    struct body_value result = first_result(&reply), rows = json_member(&result, "rows"), row, cell;
    bytes_append_char(&m->applied, '\n');
    for (struct body_walk walk = body_walk(&rows); body_next_item(&walk, &row);) {
        struct body_walk cells = body_walk(&row);
        if (!body_next_item(&cells, &cell))
            continue;
        cell_text(&cell, &name);
        bytes_append_slice(&m->applied, bytes_slice(&name));
        bytes_append_char(&m->applied, '\n');
    }
    return EXIT_OK;
}

static bool is_applied(const struct migrations *m, const char *file)
{
    CLEANUP(bytes_done) struct bytes line = BYTES_INIT;
    bytes_printf(&line, "\n%s\n", file);
    return m->applied.len > 0 && strstr(bytes_cstr((struct bytes *)&m->applied), bytes_cstr(&line));
}

static int read_folder(struct cli *cli, struct migrations *m)
{
    struct error error = {0};
    DIR *dir = opendir(m->dir);
    struct dirent *e;
    if (!dir) {
        error_set(&error, ERR_NOT_FOUND, "cannot read the folder of migrations, %.300s: %s", m->dir,
                  strerror(errno));
        error_hint(
            &error,
            "limpet d1 migrations create %s TEXT makes it and a first file; --dir names another",
            m->database);
        return say_error(cli->is_json, &error, EXIT_NOT_FOUND);
    }
    while ((e = readdir(dir))) {
        if (e->d_name[0] == '.' || !slice_ends(slice_cstr(e->d_name), SLICE_LIT(".sql")) ||
            is_applied(m, e->d_name))
            continue;
        m->files = reallocarray(m->files, m->len + 1, sizeof(*m->files));
        CHECK(m->files);
        m->files[m->len++] = strdup(e->d_name);
    }
    (void)closedir(dir);
    if (m->len > 1)
        qsort(m->files, m->len, sizeof(*m->files), compare_names);
    return EXIT_OK;
}

static void print_files(const struct cli *cli, const struct migrations *m)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct json_writer w = json_writer(&out);
    if (!cli->is_json) {
        for (size_t k = 0; k < m->len; k++)
            printf("%s\n", m->files[k]);
        return;
    }
    json_open(&w, '[');
    for (size_t k = 0; k < m->len; k++)
        json_cstr(&w, m->files[k]);
    json_close(&w, ']');
    printf("%.*s\n", SLICE_ARG(bytes_slice(&out)));
}

/* Those that are not applied. */
static int migrations_read(struct cli *cli, struct migrations *m)
{
    int code = migrations_open(cli, m);
    if (!code)
        code = read_applied(cli, m);
    return code ? code : read_folder(cli, m);
}

int cmd_d1_migrations_list(struct cli *cli)
{
    CLEANUP(migrations_done) struct migrations m = {0};
    int code = migrations_read(cli, &m);
    if (code)
        return code;
    print_files(cli, &m);
    if (m.len == 0)
        say_progress(cli->is_json, "all of %s are applied", m.dir);
    return EXIT_OK;
}

/* File and row are one transaction. */
static int apply_one(struct cli *cli, const struct migrations *m, const char *file)
{
    CLEANUP(bytes_done) struct bytes sql = BYTES_INIT, body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    if (read_file(arena_printf(cli->arena, "%s/%s", m->dir, file), &sql, &error))
        return say_error(cli->is_json, &error, EXIT_FAILED);
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "atomic");
    json_bool(&w, true);
    json_key(&w, "statements");
    json_open(&w, '[');
    json_open(&w, '{');
    json_key(&w, "sql");
    json_slice(&w, bytes_slice(&sql));
    json_close(&w, '}');
    json_open(&w, '{');
    json_key(&w, "sql");
    json_cstr(&w, arena_printf(cli->arena, "INSERT INTO %s (name) VALUES (?)", m->table));
    json_key(&w, "params");
    json_open(&w, '[');
    json_cstr(&w, file);
    json_close(&w, ']');
    json_close(&w, '}');
    json_close(&w, ']');
    json_close(&w, '}');
    return run(cli, m->database, bytes_slice(&body), &reply);
}

int cmd_d1_migrations_apply(struct cli *cli)
{
    CLEANUP(migrations_done) struct migrations m = {0};
    int code = migrations_read(cli, &m);
    for (size_t k = 0; !code && k < m.len; k++) {
        code = apply_one(cli, &m, m.files[k]);
        say_progress(cli->is_json, code ? "%s failed; it has changed nothing" : "applied %s",
                     m.files[k]);
    }
    if (!code && m.len == 0)
        say_progress(cli->is_json, "nothing to do: all of %s are applied", m.dir);
    if (!code && cli->is_json)
        print_files(cli, &m);
    return code;
}

static unsigned long next_number(const char *folder)
{
    unsigned long most = 0;
    DIR *dir = opendir(folder);
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        unsigned long n = strtoul(e->d_name, NULL, 10);
        most = n > most && n < 1000000 ? n : most;
    }
    if (dir)
        (void)closedir(dir);
    return most + 1;
}

int cmd_d1_migrations_create(struct cli *cli)
{
    CLEANUP(migrations_done) struct migrations m = {0};
    struct error error = {0};
    int code = migrations_open(cli, &m);
    if (code)
        return code;
    char *text = arena_printf(cli->arena, "%s", cli->args.positional[1]);
    for (char *c = text; *c; c++)
        *c = isalnum((unsigned char)*c) || *c == '-' ? *c : '_';
    if (mkdir(m.dir, 0777) != 0 && errno != EEXIST)
        error_set(&error, ERR_IO, "cannot make %.300s: %s", m.dir, strerror(errno));
    const char *path =
        arena_printf(cli->arena, "%s/%0*lu_%s.sql", m.dir, NUMBER_DIGITS, next_number(m.dir), text);
    FILE *file = error.code == OK ? fopen(path, "wxe") : NULL;
    if (error.code == OK && !file)
        error_set(&error, ERR_IO, "cannot make %.300s: %s", path, strerror(errno));
    if (file)
        (void)fprintf(file, "-- %s\n", cli->args.positional[1]);
    if (file && fclose(file) != 0)
        error_set(&error, ERR_IO, "cannot write %.300s: %s", path, strerror(errno));
    if (error.code != OK)
        return say_error(cli->is_json, &error, EXIT_FAILED);
    printf("%s\n", path);
    return EXIT_OK;
}

/* ---- export ---- */

static void quote_identifier(struct slice name, struct bytes *out)
{
    bytes_append_char(out, '"');
    for (size_t k = 0; k < name.len; k++) {
        if (name.ptr[k] == '"')
            bytes_append_char(out, '"');
        bytes_append_char(out, name.ptr[k]);
    }
    bytes_append_char(out, '"');
}

/* Prints the first column of the rows of a query, a line each; how many there were. */
static int print_column(struct cli *cli, const char *name, struct slice sql, FILE *to,
                        size_t *ret_rows)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    struct reply reply;
    struct body_value row, cell;
    int code = run_text(cli, name, sql, &reply);
    *ret_rows = 0;
    if (code)
        return code;
    struct body_value result = first_result(&reply), rows = json_member(&result, "rows");
    for (struct body_walk walk = body_walk(&rows); body_next_item(&walk, &row); ++*ret_rows) {
        struct body_walk cells = body_walk(&row);
        if (!body_next_item(&cells, &cell))
            continue;
        cell_text(&cell, &text);
        (void)fprintf(to, "%.*s;\n", SLICE_ARG(bytes_slice(&text)));
    }
    return EXIT_OK;
}

/* Its rows as INSERT statements, pages of them, which SQLite's quote() writes. */
static int export_rows(struct cli *cli, const char *name, struct slice table, FILE *to)
{
    CLEANUP(bytes_done) struct bytes quoted = BYTES_INIT, columns = BYTES_INIT, sql = BYTES_INIT;
    struct reply reply;
    struct body_value row, cell;
    size_t rows = EXPORT_ROWS;
    quote_identifier(table, &quoted);
    bytes_printf(&sql, "PRAGMA table_info(%.*s)", SLICE_ARG(bytes_slice(&quoted)));
    int code = run_text(cli, name, bytes_slice(&sql), &reply);
    if (code)
        return code;
    struct body_value result = first_result(&reply), infos = json_member(&result, "rows");
    for (struct body_walk walk = body_walk(&infos); body_next_item(&walk, &row);) {
        CLEANUP(bytes_done) struct bytes column = BYTES_INIT;
        struct body_walk cells = body_walk(&row);
        (void)(body_next_item(&cells, &cell) && body_next_item(&cells, &cell));
        cell_text(&cell, &column);
        bytes_append_cstr(&columns, columns.len > 0 ? " || ',' || quote(" : "quote(");
        quote_identifier(bytes_slice(&column), &columns);
        bytes_append_char(&columns, ')');
    }
    for (size_t offset = 0; !code && rows == EXPORT_ROWS; offset += rows) {
        bytes_clear(&sql);
        bytes_append_cstr(&sql, "SELECT 'INSERT INTO ' || '");
        for (size_t k = 0; k < quoted.len; k++) {
            bytes_append_char(&sql, quoted.ptr[k]);
            if (quoted.ptr[k] == '\'')
                bytes_append_char(&sql, '\'');
        }
        bytes_printf(&sql, "' || ' VALUES (' || %.*s || ')' FROM %.*s LIMIT %d OFFSET %zu",
                     SLICE_ARG(bytes_slice(&columns)), SLICE_ARG(bytes_slice(&quoted)), EXPORT_ROWS,
                     offset);
        code = print_column(cli, name, bytes_slice(&sql), to, &rows);
    }
    return code;
}

static int export_all(struct cli *cli, const char *name, FILE *to)
{
    static const char tables[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT "
                                 "LIKE 'sqlite_%' AND name NOT LIKE 'limpet_%' ORDER BY rowid";
    static const char schema[] =
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT "
        "NULL AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'limpet_%' "
        "ORDER BY rowid";
    static const char rest[] = "SELECT sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT "
                               "NULL ORDER BY rowid";
    const bool has_schema = !args_has(&cli->args, "--no-schema");
    struct reply reply;
    struct body_value row, cell;
    size_t rows;
    (void)fprintf(to, "PRAGMA defer_foreign_keys=TRUE;\n");
    int code = has_schema ? print_column(cli, name, SLICE_LIT(schema), to, &rows) : EXIT_OK;
    if (!code && !args_has(&cli->args, "--no-data")) {
        code = run_text(cli, name, SLICE_LIT(tables), &reply);
        struct body_value result = first_result(&reply), names = json_member(&result, "rows");
        for (struct body_walk walk = body_walk(&names); !code && body_next_item(&walk, &row);) {
            CLEANUP(bytes_done) struct bytes table = BYTES_INIT;
            struct body_walk cells = body_walk(&row);
            if (!body_next_item(&cells, &cell))
                continue;
            cell_text(&cell, &table);
            code = export_rows(cli, name, bytes_slice(&table), to);
        }
    }
    return code || !has_schema ? code : print_column(cli, name, SLICE_LIT(rest), to, &rows);
}

int cmd_d1_export(struct cli *cli)
{
    struct error error = {0};
    const char *output = args_get(&cli->args, "--output");
    FILE *to = output ? fopen(output, "we") : stdout;
    if (!to) {
        error_set(&error, ERR_IO, "cannot write %.300s: %s", output, strerror(errno));
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    int code = export_all(cli, cli->args.positional[0], to);
    if (output && fclose(to) != 0 && !code) {
        error_set(&error, ERR_IO, "cannot write %.300s: %s", output, strerror(errno));
        code = say_error(cli->is_json, &error, EXIT_FAILED);
    }
    return code;
}
