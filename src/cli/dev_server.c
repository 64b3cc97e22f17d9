/* SPDX-License-Identifier: Apache-2.0
 *
 * See dev.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/dev.h"
#include "cli/say.h"

pid_t dev_spawn(const char *const *args, int out, int err)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid > 0 ? pid : 0;
    /* Only what may be called between fork() and exec(). */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0); /* Ctrl-C is for the one that reads it */
    const int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out >= 0 ? out : null, STDOUT_FILENO) < 0 ||
        dup2(err >= 0 ? err : null, STDERR_FILENO) < 0)
        _exit(1);
    execv("/proc/self/exe", (char *const *)args);
    _exit(1);
}

/* Reads lines until "limpet: ready". False: it ended before. */
static bool await_ready(struct dev_server *s)
{
    char line[256];
    size_t len = 0;
    char c;
    while (read(s->out, &c, 1) == 1) {
        if (c != '\n') {
            if (len < sizeof(line) - 1)
                line[len++] = c;
            continue;
        }
        line[len] = '\0';
        len = 0;
        const char *colon = strrchr(line, ':');
        if (strncmp(line, "limpet: admin ", 14) == 0)
            snprintf(s->url, sizeof(s->url), "%.60s", line + 14);
        else if (strncmp(line, "limpet: http ", 13) == 0 && colon)
            s->http_port = (int)strtol(colon + 1, NULL, 10);
        else if (strcmp(line, "limpet: ready") == 0)
            return true;
    }
    return false;
}

static bool start_on(struct dev_server *s, const char *folder, int port, int log)
{
    char address[32];
    int ends[2];
    const char *const args[] = {"limpet", "serve",      "--addr", "127.0.0.1:0",     "--http",
                                address,  "--data-dir", folder,   "--expose-errors", NULL};
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    if (pipe2(ends, O_CLOEXEC))
        return false;
    *s = (struct dev_server){.out = ends[0]};
    s->pid = dev_spawn(args, ends[1], log);
    close(ends[1]);
    if (s->pid && await_ready(s))
        return true;
    dev_server_stop(s);
    return false;
}

int dev_server_start(struct cli *cli, const char *folder, int port, bool is_port_given,
                     struct dev_server *ret_server)
{
    struct error error = {0};
    const char *path = arena_printf(cli->arena, "%s/server.log", folder);
    (void)mkdir(folder, 0777);
    const int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool is_up = start_on(ret_server, folder, port, log);
    if (!is_up && !is_port_given)
        is_up = start_on(ret_server, folder, 0, log); /* somebody has that port */
    if (log >= 0)
        close(log);
    if (is_up)
        return EXIT_OK;
    error_set(&error, ERR_UNAVAILABLE, "the server for this project does not start");
    error_hint(&error, "%s says why; is 'limpet dev' running here already?", path);
    return say_error(cli->is_json, &error, EXIT_FAILED);
}

void dev_server_stop(struct dev_server *s)
{
    if (s->pid) {
        (void)kill(s->pid, SIGTERM);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (s->out >= 0)
        close(s->out);
    *s = (struct dev_server){.out = -1};
}
