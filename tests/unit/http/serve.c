/* SPDX-License-Identifier: Apache-2.0
 *
 * The test handler as a program, to be tried with curl, h2load and wrk by hand and by
 * tools that measure: serve PORT [CERT KEY]. Prints the port and serves until SIGTERM. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "testbed.h"

static struct http_server *serving;
static struct loop loop;

static void on_drained(void *arg)
{
    (void)arg;
    http_server_close(serving);
    loop_stop(&loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_close((uv_handle_t *)handle, NULL);
    http_server_drain(serving, on_drained, NULL);
}

int main(int argc, char **argv)
{
    static struct testbed bed;
    static uv_signal_t signal_handle;
    struct error error = {0};
    struct http_server_config config = {.host = "127.0.0.1",
                                        .port = argc > 1 ? atoi(argv[1]) : 0,
                                        .body_bytes_max = -1,
                                        .connections_max = 10000};
    if (argc > 3 && tls_context_new(argv[2], argv[3], &config.tls, &error)) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* as server.h asks of a program */
    loop_init(&loop);
    testbed_init(&bed, &loop);
    if (http_server_new(&loop, &config, &bed.handler, &serving, &error)) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    (void)uv_signal_init(&loop.uv, &signal_handle);
    (void)uv_signal_start(&signal_handle, on_signal, SIGTERM);
    (void)printf("%d\n", http_server_port(serving));
    (void)fflush(stdout);
    loop_run(&loop);
    loop_done(&loop);
    tls_context_free(config.tls);
    return 0;
}
