/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundling here, with the code that the server bundles with; then uploading, and waiting until the
 * build has ended. */
#include "cli/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/dev.h"
#include "cli/say.h"
#include "script/bundle.h"

static void say_frame(struct slice file, int64_t line, int64_t column, struct slice frame)
{
    if (file.len > 0 && line > 0)
        fprintf(stderr, "  at %.*s:%lld:%lld\n", SLICE_ARG(file), (long long)line,
                (long long)column);
    if (frame.len > 0)
        fprintf(stderr, "\n%.*s%s\n", SLICE_ARG(frame),
                frame.ptr[frame.len - 1] == '\n' ? "" : "\n");
}

/* esbuild refused it: the same shape as a build that failed on the server. */
static int say_bundle_failed(struct cli *cli, const char *file, struct bundle_failure *f,
                             const struct error *e)
{
    if (e->code != ERR_BUILD_FAILED)
        return say_error(cli->is_json, e, EXIT_FAILED);
    struct slice message = bytes_slice(&f->message);
    if (message.len == 0)
        message = slice_cstr(e->message);
    if (cli->on_problem) {
        const struct build_problem why = {
            message,  bytes_slice(&f->file), bytes_slice(&f->frame), slice_cstr(e->hint), f->line,
            f->column};
        cli->on_problem(cli, &why);
    }
    if (cli->is_json) {
        CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
        struct json_writer w = json_writer(&out);
        json_open(&w, '{');
        json_key(&w, "error");
        json_open(&w, '{');
        json_key(&w, "code");
        json_cstr(&w, error_text(e->code));
        json_key(&w, "message");
        json_slice(&w, message);
        json_key(&w, "hint");
        json_cstr(&w, "nothing was uploaded");
        json_key(&w, "file");
        json_slice(&w, bytes_slice(&f->file));
        json_key(&w, "line");
        json_int(&w, f->line);
        json_key(&w, "column");
        json_int(&w, f->column);
        json_key(&w, "frame");
        json_slice(&w, bytes_slice(&f->frame));
        json_close(&w, '}');
        json_close(&w, '}');
        fprintf(stderr, "%s\n", bytes_cstr(&out));
        return EXIT_FAILED;
    }
    fprintf(stderr, "error: %s cannot be bundled: %.*s\n", file, SLICE_ARG(message));
    say_frame(bytes_slice(&f->file), f->line, f->column, bytes_slice(&f->frame));
    fprintf(stderr, "hint: %s\n", e->hint[0] ? e->hint : "nothing was uploaded");
    return EXIT_FAILED;
}

int build_bundle(struct cli *cli, const struct build_entry *entry, struct bundle *ret_bundle)
{
    const char *file = entry->file, *shown = entry->shown ? entry->shown : file;
    struct error error = {0};
    struct bundle_failure failure = {0};
    char *esbuild = bundle_find_esbuild();
    if (!esbuild) {
        error_set(&error, ERR_IO, "esbuild was not found");
        error_hint(&error, "install it (npm install esbuild), or set LIMPET_ESBUILD to its path");
        return say_error(cli->is_json, &error, EXIT_FAILED);
    }
    struct bundle_config config = {
        .esbuild = esbuild, .name = entry->name, .base = entry->base, .args = entry->args};
    uint64_t began = clock_monotonic_ns();
    int code = EXIT_OK;
    if (access(file, R_OK) != 0) {
        error_set(&error, ERR_NOT_FOUND, "%s cannot be read", shown);
        error_hint(&error, "check the path");
        code = say_error(cli->is_json, &error, EXIT_FAILED);
    } else if (bundle_file(&config, file, ret_bundle, &failure, &error)) {
        code = say_bundle_failed(cli, shown, &failure, &error);
        bundle_failure_done(&failure);
    } else {
        char size[32], time[32];
        say_bytes(ret_bundle->code.len, size, sizeof(size));
        say_duration((double)(clock_monotonic_ns() - began) / 1e6, time, sizeof(time));
        say_progress(cli->is_json || cli->is_quiet, "bundled %s (%s) in %s", shown, size, time);
    }
    free(esbuild);
    return code;
}

static void limit_json(struct json_writer *w, const char *key, uint32_t value)
{
    if (value == 0)
        return;
    json_key(w, key);
    json_int(w, value);
}

static void vars_json(struct json_writer *w, const struct project_vars *vars)
{
    CLEANUP(bytes_done) struct bytes name = BYTES_INIT;
    json_key(w, "vars");
    json_open(w, '{');
    for (size_t i = 0; i < vars->len; i++) {
        bytes_clear(&name);
        bytes_append_slice(&name, vars->items[i].name);
        json_key(w, bytes_cstr(&name));
        if (vars->items[i].is_json)
            json_raw(w, vars->items[i].value);
        else
            json_slice(w, vars->items[i].value);
    }
    json_close(w, '}');
}

static void upload_json(const struct upload *u, const struct bundle *b, struct bytes *out)
{
    const struct version_options *o = &u->options;
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_key(&w, "name");
    json_cstr(&w, u->name);
    json_key(&w, "bundle");
    json_slice(&w, bytes_slice(&b->code));
    json_key(&w, "source_map");
    json_slice(&w, bytes_slice(&b->source_map));
    json_key(&w, "isolation");
    json_cstr(&w, o->isolation == ISOLATION_MODULE ? "module" : "request");
    json_key(&w, "limits");
    json_open(&w, '{');
    limit_json(&w, "memory_mb", o->memory_mb);
    limit_json(&w, "cpu_ms", o->cpu_ms);
    limit_json(&w, "wall_ms", o->wall_ms);
    limit_json(&w, "sql_transaction_ms", o->sql_transaction_ms);
    json_close(&w, '}');
    if (u->routes && u->routes->len > 0) {
        json_key(&w, "routes");
        json_open(&w, '[');
        for (size_t i = 0; i < u->routes->len; i++)
            json_cstr(&w, u->routes->items[i]);
        json_close(&w, ']');
    }
    if (u->egress) {
        json_key(&w, "egress");
        json_open(&w, '[');
        for (size_t i = 0; u->egress[i]; i++)
            json_cstr(&w, u->egress[i]);
        json_close(&w, ']');
    }
    if (u->vars && u->vars->len > 0)
        vars_json(&w, u->vars);
    if (u->bindings && u->bindings->len > 0) {
        CLEANUP(bytes_done) struct bytes bindings = BYTES_INIT;
        bindings_write(u->bindings->items, u->bindings->len, &bindings);
        json_key(&w, "bindings");
        json_raw(&w, bytes_slice(&bindings));
    }
    if (u->schedules.len > 0) {
        json_key(&w, "schedules");
        json_raw(&w, u->schedules);
    }
    if (u->consumers.len > 0) {
        json_key(&w, "consumers");
        json_raw(&w, u->consumers);
    }
    if (u->assets.len > 0) {
        json_key(&w, "assets");
        json_raw(&w, u->assets);
    }
    if (u->is_kept_back) {
        json_key(&w, "serve");
        json_bool(&w, false);
    }
    json_close(&w, '}');
}

/* On a terminal, a line that the next one overwrites. */
static void say_waiting(const struct cli *cli, const char *text)
{
    if (!cli->is_json && !cli->is_quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s", text);
}

static int say_build_failed(struct cli *cli, const struct reply *reply)
{
    struct body_value error = json_member(&reply->json, "error");
    struct body_value build = json_member(&reply->json, "build");
    if (cli->is_json) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(slice_trim(reply->text)));
        return EXIT_FAILED;
    }
    struct slice name = json_text(cli, &reply->json, "name");
    if (cli->on_problem) {
        const struct build_problem why = {
            json_text(cli, &error, "message"), json_text(cli, &error, "file"),
            json_text(cli, &error, "frame"),   SLICE_EMPTY,
            json_number(&error, "line"),       json_number(&error, "column")};
        cli->on_problem(cli, &why);
    }
    fprintf(stderr, "error: build %lld of %.*s failed: %.*s\n",
            (long long)json_number(&build, "id"), SLICE_ARG(name),
            SLICE_ARG(json_text(cli, &error, "message")));
    say_frame(json_text(cli, &error, "file"), json_number(&error, "line"),
              json_number(&error, "column"), json_text(cli, &error, "frame"));
    struct slice hint = json_text(cli, &error, "hint");
    if (hint.len > 0)
        fprintf(stderr, "hint: %.*s\n", SLICE_ARG(hint));
    return EXIT_FAILED;
}

/* Resources that the deploy has made. */
static void say_made(struct cli *cli, const struct reply *reply)
{
    struct body_value made = json_member(&reply->json, "resources_made"), item;
    if (made.kind != BODY_ARRAY || cli->is_quiet)
        return;
    for (struct body_walk walk = body_walk(&made); body_next_item(&walk, &item);)
        say_progress(cli->is_json, "made %.*s %.*s", SLICE_ARG(json_text(cli, &item, "type")),
                     SLICE_ARG(json_text(cli, &item, "name")));
}

static int say_ready(struct cli *cli, const struct upload *u, const struct reply *reply)
{
    if (cli->is_json) {
        reply_print(reply);
        return EXIT_OK;
    }
    struct body_value build = json_member(&reply->json, "build");
    struct slice url = json_text(cli, &reply->json, "url");
    if (cli->is_quiet)
        return EXIT_OK;
    char time[32];
    say_made(cli, reply);
    say_duration(json_decimal(&build, "duration_ms"), time, sizeof(time));
    printf("%s: version %lld is ready (build %lld, %s)\n", u->name,
           (long long)json_number(&reply->json, "version"), (long long)json_number(&build, "id"),
           time);
    if (url.len > 0)
        printf("%.*s\n", SLICE_ARG(url));
    return EXIT_OK;
}

/* The server's patience was shorter than the build: ask on until it has ended, then show it. */
static int wait_on(struct cli *cli, const struct upload *u, int64_t number)
{
    for (;;) {
        struct reply reply;
        const char *id = arena_printf(cli->arena, "%lld", (long long)number);
        const char *path = client_object_path(cli, u->name, "/builds/%s?wait=60s", id);
        int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
        if (code)
            return code;
        struct slice status = json_text(cli, &reply.json, "status");
        bool is_failed = slice_eq_cstr(status, "failed");
        if (is_failed || slice_eq_cstr(status, "ready"))
            return build_show_ended(cli, &reply, is_failed);
        say_waiting(cli, arena_printf(cli->arena, "%.*s …", SLICE_ARG(status)));
    }
}

int upload_send(struct cli *cli, const struct upload *u, const struct bundle *b)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct reply reply;
    upload_json(u, b, &body);
    say_waiting(cli, "building …");
    const char *path =
        client_path(cli, arena_printf(cli->arena, "/%ss?wait=60s", cli_word(cli)), NULL, NULL);
    int code = client_send(cli, "POST", path, bytes_slice(&body), 422, &reply);
    say_waiting(cli, "");
    if (code)
        return code;
    if (reply.status == 422)
        return say_build_failed(cli, &reply);
    if (reply.status == 200)
        return say_ready(cli, u, &reply);
    struct body_value build = json_member(&reply.json, "build");
    return wait_on(cli, u, json_number(&build, "id"));
}
