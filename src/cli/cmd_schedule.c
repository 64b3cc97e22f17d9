/* SPDX-License-Identifier: Apache-2.0
 *
 * `schedule create|list|show|pause|resume|trigger|backfill|delete`. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

/* What a plan's member is given by; a duration is in milliseconds there. */
static const struct {
    const char *flag, *member;
    enum { PLAN_TEXT, PLAN_JSON, PLAN_DURATION } kind;
} plan_flags[] = {
    {"--cron", "cron", PLAN_TEXT},          {"--timezone", "timezone", PLAN_TEXT},
    {"--every", "every_ms", PLAN_DURATION}, {"--at", "at", PLAN_TEXT},
    {"--function", "function", PLAN_TEXT},  {"--workflow", "workflow", PLAN_TEXT},
    {"--queue", "queue", PLAN_TEXT},        {"--input", "input", PLAN_JSON},
    {"--body", "body", PLAN_JSON},          {"--overlap", "overlap", PLAN_TEXT},
    {"--missed", "missed", PLAN_TEXT},      {"--jitter", "jitter_ms", PLAN_DURATION},
};

static int plan_members(struct cli *cli, struct json_writer *w)
{
    struct error error = {0};
    for (size_t k = 0; k < ARRAY_LEN(plan_flags); k++) {
        const char *value = args_get(&cli->args, plan_flags[k].flag);
        uint64_t ms = 0;
        if (!value)
            continue;
        json_key(w, plan_flags[k].member);
        switch (plan_flags[k].kind) {
        case PLAN_TEXT:
            json_cstr(w, value);
            break;
        case PLAN_JSON:
            json_raw(w, slice_cstr(value));
            break;
        case PLAN_DURATION:
            if (args_duration_of(&cli->args, plan_flags[k].flag, 0, &ms, &error))
                return say_error(cli->is_json, &error, EXIT_USAGE);
            json_int(w, (int64_t)ms);
            break;
        }
    }
    return EXIT_OK;
}

static void say_time(const struct body_value *v, const char *member, char text[CLOCK_ISO_SIZE])
{
    const int64_t ms = json_number(v, member);
    text[0] = '\0';
    if (ms > 0)
        clock_iso(ms * 1000, text);
}

int cmd_schedule_create(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct reply reply;
    char next[CLOCK_ISO_SIZE];
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "name");
    json_cstr(&w, cli->args.positional[0]);
    int code = plan_members(cli, &w);
    json_close(&w, '}');
    if (!code)
        code = client_send(cli, "POST", client_path(cli, "/schedules", NULL, NULL),
                           bytes_slice(&body), 0, &reply);
    if (code)
        return code;
    say_time(&reply.json, "next_at_ms", next);
    if (cli->is_json)
        reply_print(&reply);
    else
        say_progress(false, "made schedule %s, due at %s", cli->args.positional[0], next);
    return EXIT_OK;
}

/* "30 4 * * *", "every 10 s", "at 2026-…" */
static struct slice plan_when(struct cli *cli, const struct body_value *plan)
{
    struct slice cron = json_text(cli, plan, "cron");
    char text[CLOCK_ISO_SIZE];
    if (cron.len > 0)
        return cron;
    if (json_number(plan, "every_ms") > 0) {
        say_duration((double)json_number(plan, "every_ms"), text, sizeof(text));
        return slice_cstr(arena_printf(cli->arena, "every %s", text));
    }
    clock_iso(json_number(plan, "at") * 1000, text);
    return slice_cstr(arena_printf(cli->arena, "at %s", text));
}

static struct slice plan_target(struct cli *cli, const struct body_value *plan)
{
    static const char *const targets[] = {"function", "workflow", "queue"};
    for (size_t k = 0; k < ARRAY_LEN(targets); k++) {
        struct slice name = json_text(cli, plan, targets[k]);
        if (name.len > 0)
            return slice_cstr(arena_printf(cli->arena, "%s %.*s", targets[k], SLICE_ARG(name)));
    }
    return SLICE_EMPTY;
}

static void schedule_cells(struct cli *cli, struct table *table, const struct body_value *row)
{
    struct body_value plan = json_member(row, "plan");
    char next[CLOCK_ISO_SIZE], last[CLOCK_ISO_SIZE];
    say_time(row, "next_at_ms", next);
    say_time(row, "last_at_ms", last);
    table_cell(table, json_text(cli, row, "name"));
    table_cell(table, plan_when(cli, &plan));
    table_cell(table, plan_target(cli, &plan));
    table_cell(table, slice_eq_cstr(json_text(cli, row, "paused"), "true") ? SLICE_LIT("paused")
                                                                           : slice_cstr(next));
    table_cell(table, slice_cstr(last));
    table_cell(table, json_text(cli, row, "started"));
    table_cell(table, json_text(cli, row, "failed"));
}

int cmd_schedule_list(struct cli *cli)
{
    static const char *const titles[] = {"NAME", "WHEN",    "STARTS", "NEXT",
                                         "LAST", "STARTED", "FAILED"};
    const struct client_list list = {
        .path = client_path(cli, "/schedules?limit=1000", NULL, NULL),
        .titles = titles,
        .columns = ARRAY_LEN(titles),
        .row = schedule_cells,
        .empty = "no schedules",
    };
    return client_list(cli, &list);
}

int cmd_schedule_show(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes out = BYTES_INIT;
    struct reply reply;
    int code =
        client_send(cli, "GET", client_path(cli, "/schedules/%s", cli->args.positional[0], NULL),
                    SLICE_EMPTY, 0, &reply);
    if (code)
        return code;
    if (cli->is_json) {
        reply_print(&reply);
        return EXIT_OK;
    }
    json_indent(reply.json.text, &out);
    puts(bytes_cstr(&out));
    return EXIT_OK;
}

static int tell(struct cli *cli, const char *path, struct slice body, const char *done)
{
    struct reply reply;
    const char *name = cli->args.positional[0];
    int code = client_send(cli, "POST", client_path(cli, path, name, NULL), body, 0, &reply);
    if (!code && cli->is_json)
        reply_print(&reply);
    else if (!code)
        say_progress(false, "%s schedule %s", done, name);
    return code;
}

int cmd_schedule_pause(struct cli *cli)
{
    return tell(cli, "/schedules/%s/pause", SLICE_EMPTY, "paused");
}

int cmd_schedule_resume(struct cli *cli)
{
    return tell(cli, "/schedules/%s/resume", SLICE_EMPTY, "resumed");
}

int cmd_schedule_trigger(struct cli *cli)
{
    return tell(cli, "/schedules/%s/trigger", SLICE_EMPTY, "triggered");
}

int cmd_schedule_backfill(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "from");
    json_cstr(&w, cli->args.positional[1]);
    json_key(&w, "to");
    json_cstr(&w, cli->args.positional[2]);
    json_close(&w, '}');
    return tell(cli, "/schedules/%s/backfill", bytes_slice(&body), "started the past of");
}

int cmd_schedule_delete(struct cli *cli)
{
    struct reply reply;
    const char *name = cli->args.positional[0];
    int code = client_send(cli, "DELETE", client_path(cli, "/schedules/%s", name, NULL),
                           SLICE_EMPTY, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "deleted schedule %s", name);
    return code;
}
