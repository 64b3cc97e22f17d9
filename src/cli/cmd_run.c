/* SPDX-License-Identifier: Apache-2.0
 *
 * `function run`, `workflow run` and `execution wait`: what is run prints its output as JSON, so
 * that programs can go on with it, and its error with the exit code of a failure. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/names.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/logs.h"
#include "cli/say.h"

enum { WAIT_REQUEST_MS = 60 * 1000 }; /* of one request; the server would wait longer */

static int say_run_failed(struct cli *cli, const struct reply *reply)
{
    struct body_value error = json_member(&reply->json, "error");
    if (cli->is_json) {
        fprintf(stderr, "%.*s\n", SLICE_ARG(slice_trim(reply->text)));
        return EXIT_FAILED;
    }
    struct slice stack = json_text(cli, &error, "stack");
    struct slice hint = json_text(cli, &error, "hint");
    struct slice id = json_text(cli, &reply->json, "execution_id");
    bool is_run = slice_eq_cstr(json_text(cli, &reply->json, "status"), "failure");
    fprintf(stderr, "error: %.*s\n", SLICE_ARG(json_exception(cli, &error)));
    if (stack.len > 0)
        fprintf(stderr, "%.*s%s", SLICE_ARG(stack), stack.ptr[stack.len - 1] == '\n' ? "" : "\n");
    if (hint.len > 0)
        fprintf(stderr, "hint: %.*s\n", SLICE_ARG(hint));
    else
        fprintf(stderr, "hint: 'limpet execution %s %.*s' %s\n", is_run ? "show" : "journal",
                SLICE_ARG(id), is_run ? "has its log lines" : "shows what it has done");
    return EXIT_FAILED;
}

static void print_output(const struct body_value *output)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    if (isatty(STDOUT_FILENO))
        json_indent(output->text, &text);
    else
        bytes_append_slice(&text, output->text);
    fwrite(text.ptr, 1, text.len, stdout);
    putchar('\n');
}

static enum err run_body(struct cli *cli, struct bytes *out, struct error *ret_error)
{
    struct slice input, metadata;
    const char *key = args_get(&cli->args, "--id");
    enum err err = input_json(cli, "--input", "{}", &input, ret_error);
    if (!err)
        err = input_json(cli, "--metadata", "{}", &metadata, ret_error);
    if (!err && key)
        err = names_check_key(slice_cstr(key), ret_error);
    if (err)
        return err;
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_key(&w, "body");
    json_raw(&w, input);
    json_key(&w, "metadata");
    json_raw(&w, metadata);
    if (key) {
        json_key(&w, "id");
        json_cstr(&w, key);
    }
    json_close(&w, '}');
    return OK;
}

/* The answer is about an execution that has ended. */
static int show_result(struct cli *cli, const struct reply *reply, const char *good_status)
{
    if (!slice_eq_cstr(json_text(cli, &reply->json, "status"), good_status))
        return say_run_failed(cli, reply);
    struct body_value output = json_member(&reply->json, "output");
    if (cli->is_json)
        reply_print(reply);
    else
        print_output(&output);
    return EXIT_OK;
}

/* An answer with an execution_id is the function's, whatever its status. */
int cmd_function_run(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    if (run_body(cli, &body, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    const char *path = client_object_path(cli, cli->args.positional[0], "/execute", NULL);
    int code = client_call(cli, "POST", path, bytes_slice(&body), &reply);
    if (code)
        return code;
    if (json_member(&reply.json, "execution_id").kind != BODY_STRING)
        return client_refused(cli, &reply);
    return show_result(cli, &reply, "success");
}

/* ---- waiting ---- */

static bool is_finished(struct cli *cli, const struct reply *reply)
{
    static const char *const statuses[] = {"completed", "failed", "cancelled", "success",
                                           "failure"};
    struct slice status = json_text(cli, &reply->json, "status");
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (slice_eq_cstr(status, statuses[i]))
            return true;
    }
    return false;
}

static int say_timeout(struct cli *cli, const char *id, uint64_t wait_ms, const struct reply *reply)
{
    char time[32];
    struct error error = {0};
    say_duration((double)wait_ms, time, sizeof(time));
    error_set(&error, ERR_TIMEOUT, "execution %s has not finished after %s: it is %.*s", id, time,
              SLICE_ARG(json_text(cli, &reply->json, "status")));
    error_hint(&error, "it goes on; 'limpet execution wait %s' waits again", id);
    return say_error(cli->is_json, &error, EXIT_FAILED);
}

/* The server's patience has an end, so it is asked again and again. began: clock_monotonic_ns();
 * wait_ms UINT64_MAX: for ever. */
static int wait_for(struct cli *cli, const char *id, uint64_t began, uint64_t wait_ms)
{
    for (;;) {
        struct reply reply;
        uint64_t spent = (clock_monotonic_ns() - began) / 1000000;
        uint64_t left = spent < wait_ms ? wait_ms - spent : 0;
        unsigned long long ask = left < WAIT_REQUEST_MS ? left : WAIT_REQUEST_MS;
        const char *path = client_path(cli, "/executions/%s", id, NULL);
        path = arena_printf(cli->arena, "%s?wait=%llums", path, ask);
        int code = client_send(cli, "GET", path, SLICE_EMPTY, 0, &reply);
        if (code)
            return code;
        if (is_finished(cli, &reply)) {
            bool is_run = json_member(&reply.json, "function").kind == BODY_STRING;
            return show_result(cli, &reply, is_run ? "success" : "completed");
        }
        if (left == 0)
            return say_timeout(cli, id, wait_ms, &reply);
        /* A server that answers at once is stopping, or does not wait for this execution. */
        uint64_t took = (clock_monotonic_ns() - began) / 1000000 - spent;
        if (took < 100 && ask > 100)
            nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000}, NULL);
    }
}

int cmd_execution_wait(struct cli *cli)
{
    struct error error = {0};
    uint64_t wait_ms;
    if (args_duration_of(&cli->args, "--timeout", UINT64_MAX, &wait_ms, &error))
        return say_error(cli->is_json, &error, EXIT_USAGE);
    return wait_for(cli, cli->args.positional[0], clock_monotonic_ns(), wait_ms);
}

/* ---- workflows ---- */

static int show_started(struct cli *cli, const struct reply *reply, const char *id)
{
    if (cli->is_json) {
        reply_print(reply);
        return EXIT_OK;
    }
    printf("%s\n", id);
    say_progress(false, "%.*s; 'limpet execution wait %s' prints its output",
                 SLICE_ARG(json_text(cli, &reply->json, "status")), id);
    return EXIT_OK;
}

int cmd_workflow_run(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct error error = {0};
    struct reply reply;
    uint64_t wait_ms, began = clock_monotonic_ns();
    struct slice name = slice_cstr(cli->args.positional[0]), module;
    enum err err = names_check_workflow(name, &module, &error);
    if (!err)
        err = args_duration_of(&cli->args, "--wait", UINT64_MAX, &wait_ms, &error);
    if (!err)
        err = run_body(cli, &body, &error);
    if (err)
        return say_error(cli->is_json, &error, EXIT_USAGE);
    bool is_tailing = args_has(&cli->args, "--tail");
    bool is_waiting = args_has(&cli->args, "--wait") || is_tailing;
    const char *path = client_object_path(cli, cli->args.positional[0], "/execute", NULL);
    if (is_waiting && !is_tailing) /* most have ended before a second request could be made */
        path = arena_printf(cli->arena, "%s?wait=%llums", path,
                            wait_ms < WAIT_REQUEST_MS ? (unsigned long long)wait_ms
                                                      : (unsigned long long)WAIT_REQUEST_MS);
    int code = client_send(cli, "POST", path, bytes_slice(&body), 0, &reply);
    if (code)
        return code;
    const char *id = arena_cstr(cli->arena, json_text(cli, &reply.json, "execution_id"));
    if (is_tailing && (code = logs_tail(cli, id)))
        return code;
    if (!is_waiting)
        return show_started(cli, &reply, id);
    if (is_finished(cli, &reply))
        return show_result(cli, &reply, "completed");
    return wait_for(cli, id, began, wait_ms);
}
