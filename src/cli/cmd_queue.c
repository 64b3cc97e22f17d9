/* SPDX-License-Identifier: Apache-2.0
 *
 * `queue send|purge|pause|resume`; what it has in common with other resources is cmd_resource.c. */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/say.h"

static int queue_tell(struct cli *cli, const char *rest, struct slice body, const char *done)
{
    struct reply reply;
    const char *name = cli->args.positional[0];
    int code = client_send(cli, "POST", cli_resource_path(cli, name, rest), body, 0, &reply);
    if (!code)
        say_progress(cli->is_json, "%s queue %s", done, name);
    return code;
}

int cmd_queue_send(struct cli *cli)
{
    CLEANUP(bytes_done) struct bytes body = BYTES_INIT;
    struct json_writer w = json_writer(&body);
    json_open(&w, '{');
    json_key(&w, "messages");
    json_open(&w, '[');
    json_open(&w, '{');
    json_key(&w, "body");
    json_raw(&w, slice_cstr(cli->args.positional[1]));
    json_close(&w, '}');
    json_close(&w, ']');
    json_close(&w, '}');
    return queue_tell(cli, "/messages", bytes_slice(&body), "sent to");
}

int cmd_queue_purge(struct cli *cli)
{
    return queue_tell(cli, "/purge", SLICE_EMPTY, "emptied");
}

int cmd_queue_pause(struct cli *cli)
{
    return queue_tell(cli, "/pause", SLICE_EMPTY, "paused");
}

int cmd_queue_resume(struct cli *cli)
{
    return queue_tell(cli, "/resume", SLICE_EMPTY, "resumed");
}
