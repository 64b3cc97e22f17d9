/* SPDX-License-Identifier: Apache-2.0
 *
 * `limpet dev`: projects served from their sources. A change is bundled, uploaded and swapped as any deploy
 * is, so no request in flight is dropped; when it does not build, a page that says why is served in its
 * place until it does. One poll() waits for files, keys, pages and signals. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/deploy.h"
#include "cli/dev.h"
#include "cli/say.h"
#include "cli/upload.h"
#include "script/bundle.h"

struct dev_project {
    const char *path;    /* as given, absolute */
    struct arena *arena; /* of the last reading; NULL: it could not be read yet */
    struct project *p;
    struct map inputs; /* files that the bundle was made of */
    bool has_failed;
    bool is_changed, must_build, must_read; /* what the changes since then ask for */
    pid_t logs;
};

struct dev {
    struct cli *cli;
    struct arena *arena; /* the command's */
    struct dev_server server;
    struct dev_watch watch;
    struct dev_page page;
    struct dev_project *projects;
    size_t len;
    struct dev_project *current; /* that is being built */
    struct bytes problem;        /* a module that shows why it failed */
};

static bool starts_with(const char *path, const char *folder)
{
    const size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* ---- building ---- */

static void on_problem(struct cli *cli, const struct build_problem *why)
{
    struct dev *d = cli->user;
    bytes_clear(&d->problem);
    dev_page_problem(why, dev_page_script(cli->arena, &d->page), &d->problem);
}

static enum err write_text(const char *path, struct slice text)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return ERR_IO;
    const bool is_whole = fwrite(text.ptr, 1, text.len, file) == text.len;
    return fclose(file) == 0 && is_whole ? OK : ERR_IO;
}

/* Its main, with what makes pages load again around it. */
static int bundle_live(struct dev *d, struct project *p, struct bundle *ret_bundle)
{
    CLEANUP(bytes_done) struct bytes text = BYTES_INIT;
    const char *folder = project_path(p, ".limpet");
    const char *entry = arena_printf(p->arena, "%s/%s.entry.mjs", folder, p->name);
    if (!p->main || !module_kinds[p->kind].is_routed || access(project_path(p, p->main), R_OK))
        return deploy_bundle(d->cli, p, ret_bundle);
    (void)mkdir(folder, 0777);
    dev_page_entry(project_path(p, p->main), p->page_script, &text);
    if (write_text(entry, bytes_slice(&text)) != OK)
        return deploy_bundle(d->cli, p, ret_bundle);
    return deploy_bundle_entry(d->cli, p, entry, ret_bundle);
}

static void watch_inputs(struct dev *d, struct dev_project *t, struct slice inputs)
{
    map_done(&t->inputs);
    t->inputs = (struct map){0};
    while (inputs.len > 0) {
        const struct slice input = slice_split(&inputs, '\n');
        if (memmem(input.ptr, input.len, "/.limpet/", 9))
            continue; /* our own */
        (void)map_put(&t->inputs, input, t);
        char *folder = arena_cstr(t->arena, input);
        dev_watch_folder(&d->watch, dirname(folder));
    }
}

static void watch_project(struct dev *d, struct dev_project *t)
{
    struct project *p = t->p;
    dev_watch_tree(&d->watch, p->dir);
    if (p->assets.directory)
        dev_watch_tree(&d->watch, project_path(p, p->assets.directory));
    for (size_t i = 0; i < p->build.watch.len; i++)
        dev_watch_tree(&d->watch, project_path(p, p->build.watch.items[i]));
}

/* Reads its file again. On failure what was read before stays. */
static int read_project(struct dev *d, struct dev_project *t)
{
    struct project *p;
    struct error error = {0};
    struct cli *cli = d->cli;
    struct arena *arena = arena_new(NULL);
    cli->arena = arena;
    int code = deploy_open(cli, t->path, &p);
    if (!code && project_read_dev_vars(p, &error))
        code = say_error(false, &error, EXIT_FAILED);
    if (!code)
        code = deploy_check_missing(cli, p, true);
    cli->arena = d->arena;
    if (code) {
        arena_free(arena);
        return code;
    }
    p->page_script = dev_page_script(arena, &d->page);
    arena_free(t->arena);
    t->arena = arena;
    t->p = p;
    watch_project(d, t);
    return EXIT_OK;
}

/* What is served while it does not build. */
static void serve_problem(struct dev *d, struct dev_project *t)
{
    struct bundle page = {0};
    if (d->problem.len == 0 || !module_kinds[t->p->kind].is_routed)
        return;
    struct project without = *t->p;
    without.assets = (struct project_assets){0};
    bytes_append_slice(&page.code, bytes_slice(&d->problem));
    d->cli->on_problem = NULL;
    (void)deploy_upload(d->cli, &without, &page);
    d->cli->on_problem = on_problem;
    bundle_done(&page);
}

static void start_logs(struct dev *d, struct dev_project *t)
{
    const char *const args[] = {"limpet", cli_word(d->cli), "logs",         t->p->name, "-f", "-n",
                                "1",      "--server",       d->cli->server, NULL};
    if (!t->logs)
        t->logs = dev_spawn(args, STDOUT_FILENO, STDERR_FILENO);
}

static int build(struct dev *d, struct dev_project *t)
{
    struct bundle b = {0};
    const uint64_t began = clock_monotonic_ns();
    struct cli *cli = d->cli;
    bytes_clear(&d->problem);
    int code = t->p && !t->must_read ? EXIT_OK : read_project(d, t);
    if (!t->p)
        return code;
    cli->word = module_kinds[t->p->kind].word;
    const bool runs_command = t->must_build;
    t->is_changed = t->must_build = t->must_read = false;
    cli->arena = t->arena; /* it may read the project again */
    if (!code && runs_command)
        code = deploy_run_build(cli, &t->p);
    cli->arena = arena_new(t->arena);
    if (!code)
        code = bundle_live(d, t->p, &b);
    if (!code) {
        watch_inputs(d, t, bytes_slice(&b.inputs));
        code = deploy_upload(cli, t->p, &b);
    }
    t->has_failed = code != EXIT_OK;
    if (code)
        serve_problem(d, t);
    bundle_done(&b);
    if (!code) {
        char took[32];
        say_duration((double)(clock_monotonic_ns() - began) / 1e6, took, sizeof(took));
        say_progress(false, "%s: ready in %s", t->p->name, took);
        start_logs(d, t);
    }
    dev_page_reload(&d->page);
    arena_free(cli->arena);
    cli->arena = d->arena;
    return code;
}

/* ---- changes ---- */

static void project_changed(struct dev_project *t, const char *path)
{
    struct project *p = t->p;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!p || !starts_with(path, p->dir)) {
        t->is_changed |= map_get(&t->inputs, slice_cstr(path)) != NULL;
        return;
    }
    if (strcmp(path, p->path) == 0 || strcmp(name, p->file) == 0 || name[0] == '.') {
        t->is_changed = t->must_read = true;
        return;
    }
    const char *assets = p->assets.directory
                             ? arena_printf(t->arena, "%s/", project_path(p, p->assets.directory))
                             : NULL;
    t->is_changed |= map_get(&t->inputs, slice_cstr(path)) != NULL;
    if (assets) {
        char real[PATH_MAX];
        t->is_changed |=
            realpath(project_path(p, p->assets.directory), real) && starts_with(path, real);
    }
    for (size_t i = 0; p->build.command && i < (p->build.watch.len ? p->build.watch.len : 1); i++) {
        const char *folder = project_path(p, p->build.watch.len ? p->build.watch.items[i] : "src");
        char real[PATH_MAX];
        if (realpath(folder, real) && starts_with(path, real))
            t->is_changed = t->must_build = true;
    }
    if (t->has_failed && !p->build.command)
        t->is_changed = true; /* what it could not find may be there now */
}

static void on_change(void *arg, const char *path)
{
    struct dev *d = arg;
    for (size_t i = 0; i < d->len; i++)
        project_changed(&d->projects[i], path);
}

static void build_changed(struct dev *d)
{
    for (size_t i = 0; i < d->len; i++)
        if (d->projects[i].is_changed)
            (void)build(d, &d->projects[i]);
}

/* ---- keys ---- */

static struct termios keys_before;
static bool keys_are_raw;

static void keys_restore(void)
{
    if (keys_are_raw)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &keys_before);
    keys_are_raw = false;
}

static void keys_raw(void)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &keys_before))
        return;
    struct termios raw = keys_before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys_are_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static const char *url_of(struct dev *d, const struct dev_project *t)
{
    const struct cli *cli = d->cli;
    return arena_printf(cli->arena, "http://%s%s%s.localhost:%d/", t->p->name,
                        cli->space ? "." : "", cli->space ? cli->space : "", d->server.http_port);
}

static void open_browser(struct dev *d)
{
    const pid_t pid = fork();
    if (pid != 0)
        return;
    const int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
        _exit(1);
    execlp("xdg-open", "xdg-open", url_of(d, &d->projects[0]), (char *)NULL);
    _exit(1);
}

/* False: end. */
static bool key_pressed(struct dev *d)
{
    char keys[64];
    const ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q' || keys[i] == 3 || keys[i] == 4)
            return false;
        if (keys[i] == 'o' && d->server.pid && d->projects[0].p)
            open_browser(d);
        for (size_t k = 0; keys[i] == 'r' && k < d->len; k++) {
            d->projects[k].must_read = d->projects[k].must_build = true;
            (void)build(d, &d->projects[k]);
        }
    }
    return true;
}

/* ---- the loop ---- */

static void dev_loop(struct dev *d, int signals)
{
    struct pollfd fds[] = {{.fd = d->watch.fd, .events = POLLIN},
                           {.fd = d->page.listener, .events = POLLIN},
                           {.fd = signals, .events = POLLIN},
                           {.fd = d->server.pid ? d->server.out : -1, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return;
        if (fds[2].revents)
            return;
        if (fds[3].revents & (POLLHUP | POLLERR)) {
            say_progress(false, "error: the server has ended; .limpet/server.log says why");
            return;
        }
        if (fds[3].revents) {
            char ignored[4096];
            (void)!read(d->server.out, ignored, sizeof(ignored));
        }
        if (fds[1].revents)
            dev_page_accept(&d->page);
        if (fds[4].revents && !key_pressed(d))
            return;
        if (fds[4].revents & (POLLHUP | POLLERR))
            fds[4].fd = -1; /* nobody types */
        if (fds[0].revents) {
            dev_watch_read(&d->watch, on_change, d);
            build_changed(d);
        }
    }
}

static int open_all(struct dev *d)
{
    const struct args *args = &d->cli->args;
    struct error error = {0};
    d->len = args->positional_len ? args->positional_len : 1;
    d->projects = arena_zalloc(d->cli->arena, d->len * sizeof(*d->projects));
    for (size_t i = 0; i < d->len; i++) {
        const char *path = args->positional_len ? args->positional[i] : ".";
        char absolute[PATH_MAX];
        if (!realpath(path, absolute) || !project_find(d->cli->arena, absolute)) {
            error_set(&error, ERR_NOT_FOUND, "there is no project in %.300s", path);
            error_hint(&error, "limpet.toml makes one: 'limpet init'");
            return say_error(false, &error, EXIT_NOT_FOUND);
        }
        d->projects[i].path = arena_cstr(d->cli->arena, slice_cstr(absolute));
        d->projects[i].must_build = true;
    }
    return EXIT_OK;
}

static int start_server(struct dev *d)
{
    struct cli *cli = d->cli;
    struct error error = {0};
    uint64_t port;
    struct stat st;
    if (args_has(&cli->args, "--server") || getenv("LIMPET_SERVER"))
        return EXIT_OK;
    if (args_uint(&cli->args, "--port", 8787, 65535, &port, &error))
        return say_error(false, &error, EXIT_USAGE);
    char *dir = arena_cstr(cli->arena, slice_cstr(d->projects[0].path));
    const char *folder = stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? dir : dirname(dir);
    int code = dev_server_start(cli, arena_printf(cli->arena, "%s/.limpet", folder), (int)port,
                                args_has(&cli->args, "--port"), &d->server);
    if (!code)
        cli->server = arena_cstr(cli->arena, slice_cstr(d->server.url));
    return code;
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int cmd_dev(struct cli *cli)
{
    struct dev d = {.cli = cli, .arena = cli->arena, .server = {.out = -1}};
    int code = open_all(&d);
    if (code)
        return code;
    code = dev_page_open(cli, &d.page);
    if (code)
        return code;
    code = start_server(&d);
    const int signals = block_signals();
    dev_watch_open(&d.watch);
    if (!code) {
        cli->is_quiet = true;
        cli->user = &d;
        cli->on_problem = on_problem;
        keys_raw();
        for (size_t i = 0; i < d.len; i++) {
            (void)build(&d, &d.projects[i]);
            if (d.projects[i].p && d.server.pid)
                printf("%s\n", url_of(&d, &d.projects[i]));
        }
        (void)fflush(stdout);
        if (keys_are_raw)
            say_progress(false, "r builds again, o opens the browser, q ends");
        dev_loop(&d, signals);
        keys_restore();
    }
    for (size_t i = 0; i < d.len; i++) {
        if (d.projects[i].logs)
            (void)kill(d.projects[i].logs, SIGTERM);
        map_done(&d.projects[i].inputs);
        arena_free(d.projects[i].arena);
    }
    dev_server_stop(&d.server);
    dev_watch_close(&d.watch);
    dev_page_close(&d.page);
    bytes_done(&d.problem);
    close(signals);
    return code;
}
