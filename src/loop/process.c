/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded child process. It is started with vfork(): fork() would copy the page tables of all
 * isolates and make every page of theirs copy-on-write again. Between vfork() and exec the child
 * shares our memory, so it only makes system calls on values prepared before, with all signals
 * blocked, and reports a failure over a pipe that a successful exec closes.
 *
 * Then one poll loop feeds standard input and collects both outputs until the child has ended, with
 * the deadline as its timeout. A pidfd tells of the end; closed pipes alone do not, since a child
 * may close them early and a grandchild may keep them open. The child leads a process group, which
 * is killed as a whole before the leader is reaped: until then its number cannot be somebody
 * else's.
 *
 * Any thread. PR_SET_PDEATHSIG follows the thread that starts the child, which here waits for it.
 */
#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    PROCESS_READ_BYTES = 64 * 1024,
    PROCESS_NO_PIDFD_POLL_MS = 10, /* how often to look for the end on a kernel without pidfd */
};

/* Where a child that never became the program failed. */
enum process_stage { STAGE_PARENT, STAGE_STDIO, STAGE_CWD, STAGE_LIMIT, STAGE_EXEC };

static const char *const process_stage_texts[] = {
    [STAGE_PARENT] = "cannot tie it to its parent",
    [STAGE_STDIO] = "cannot set up its standard streams",
    [STAGE_CWD] = "cannot enter its folder",
    [STAGE_LIMIT] = "cannot limit its memory",
    [STAGE_EXEC] = "cannot execute it",
};

struct process_failure {
    int stage;
    int number; /* errno */
};

/* A pipe's ends: [0] is read, [1] is written. -1: closed. */
struct process_pipe {
    int fd[2];
};

struct process_run {
    struct process *p;
    pid_t pid; /* 0: not started, or reaped */
    pid_t parent;
    int pidfd; /* -1: none */
    uint64_t deadline_ns;
    size_t input_sent;
    struct process_pipe in, out, err, report;
    bool has_exited;
};

static void process_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing of ours is buffered in it */
    *fd = -1;
}

/* Both ends above the standard descriptors, which the child's dup2() would overwrite. */
static enum err process_pipe_open(struct process_pipe *pipe, struct error *ret_error)
{
    if (pipe2(pipe->fd, O_CLOEXEC) < 0) {
        pipe->fd[0] = pipe->fd[1] = -1;
        return error_set(ret_error, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        if (pipe->fd[i] > STDERR_FILENO)
            continue;
        int moved = fcntl(pipe->fd[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (moved < 0)
            return error_set(ret_error, ERR_IO, "cannot make a pipe: %s", strerror(errno));
        process_close(&pipe->fd[i]);
        pipe->fd[i] = moved;
    }
    return OK;
}

static void process_run_done(struct process_run *r)
{
    struct process_pipe *pipes[] = {&r->in, &r->out, &r->err, &r->report};
    for (size_t i = 0; i < ARRAY_LEN(pipes); i++) {
        process_close(&pipes[i]->fd[0]);
        process_close(&pipes[i]->fd[1]);
    }
    process_close(&r->pidfd);
    CHECK(r->pid == 0);
}

/* ---- in the child, on the parent's memory: system calls only ---- */

static _Noreturn void child_fail(const struct process_run *r, enum process_stage stage)
{
    struct process_failure failure = {.stage = stage, .number = errno};
    ssize_t ignored = write(r->report.fd[1], &failure, sizeof(failure)); /* the exit code remains */
    (void)ignored;
    _exit(127);
}

/* Handlers of ours must not run in the child, and an ignored SIGPIPE would be inherited. */
static void child_reset_signals(void)
{
    struct sigaction act = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &act, NULL); /* KILL, STOP and libc's own are refused: fine */
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All of ours are made with O_CLOEXEC; this is for those that libraries open. */
static void child_hide_descriptors(void)
{
    if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) == 0)
        return;
    struct rlimit files;
    int end = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 65536 ? (int)files.rlim_cur
                                                                              : 65536;
    for (int fd = STDERR_FILENO + 1; fd < end; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* most are not open */
}

static _Noreturn void child_exec(const struct process_run *r)
{
    static const char *const no_env[] = {NULL};
    const struct process *p = r->p;
    child_reset_signals();
    if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        child_fail(r, STAGE_PARENT);
    errno = ESRCH;
    if (getppid() != r->parent) /* it died before it could matter to us */
        child_fail(r, STAGE_PARENT);
    if (dup2(r->in.fd[0], STDIN_FILENO) < 0 || dup2(r->out.fd[1], STDOUT_FILENO) < 0 ||
        dup2(r->err.fd[1], STDERR_FILENO) < 0)
        child_fail(r, STAGE_STDIO);
    if (p->cwd && chdir(p->cwd) < 0)
        child_fail(r, STAGE_CWD);
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core); /* a core file is a nuisance, not a danger */
    const struct rlimit data = {p->memory_bytes_max, p->memory_bytes_max};
    if (p->memory_bytes_max && setrlimit(RLIMIT_DATA, &data) < 0)
        child_fail(r, STAGE_LIMIT);
    child_hide_descriptors();
    (void)execve(p->argv[0], (char *const *)p->argv, (char *const *)(p->env ? p->env : no_env));
    child_fail(r, STAGE_EXEC);
}

/* ---- in the parent ---- */

/* A function of its own, so that no local of a caller lives across vfork(). Returns errno. */
static __attribute__((noinline)) int process_fork(struct process_run *r)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    /* What the checkers fear of vfork() is answered at the top of this file. */
    // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork,bugprone-unsafe-functions,cert-msc*)
    pid_t pid = vfork();
    if (pid == 0)
        child_exec(r); // NOLINT(clang-analyzer-unix.Vfork)
    int number = pid < 0 ? errno : 0;
    if (pid > 0)
        r->pid = pid;
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return number;
}

/* Waits for the child's end and forgets it. Returns its exit code, or -1 for a signal. */
static int process_reap(struct process_run *r)
{
    int status;
    pid_t got;
    do
        got = waitpid(r->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    r->pid = 0;
    /* ECHILD: the process ignores SIGCHLD, and how the child ended is lost. */
    return got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int process_kill(struct process_run *r)
{
    (void)kill(-r->pid, SIGKILL); /* the leader is not reaped: the group is still ours */
    (void)kill(r->pid, SIGKILL);  /* in case setpgid() had not happened yet */
    return process_reap(r);
}

static enum err process_start(struct process_run *r, struct error *ret_error)
{
    const char *path = r->p->argv[0];
    struct process_pipe *pipes[] = {&r->in, &r->out, &r->err, &r->report};
    for (size_t i = 0; i < ARRAY_LEN(pipes); i++) {
        enum err err = process_pipe_open(pipes[i], ret_error);
        if (err)
            return err;
    }
    int number = process_fork(r);
    if (number)
        return error_set(ret_error, ERR_IO, "cannot start '%s': %s", path, strerror(number));
    process_close(&r->in.fd[0]);
    process_close(&r->out.fd[1]);
    process_close(&r->err.fd[1]);
    process_close(&r->report.fd[1]);

    struct process_failure failure;
    ssize_t got;
    do
        got = read(r->report.fd[0], &failure, sizeof(failure));
    while (got < 0 && errno == EINTR);
    if (got != sizeof(failure))
        return OK; /* end of file: exec has closed it */
    (void)process_reap(r);
    CHECK(failure.stage >= 0 && (size_t)failure.stage < ARRAY_LEN(process_stage_texts));
    return error_set(ret_error, ERR_IO, "cannot start '%s': %s: %s", path,
                     process_stage_texts[failure.stage], strerror(failure.number));
}

/* Writes what the pipe takes. A child that does not read to the end is no error of ours. */
static void process_feed(struct process_run *r)
{
    struct slice rest = slice_skip(r->p->input, r->input_sent);
    ssize_t wrote = write(r->in.fd[1], rest.ptr, rest.len);
    if (wrote > 0)
        r->input_sent += (size_t)wrote;
    else if (wrote < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (wrote < 0 || r->input_sent == r->p->input.len)
        process_close(&r->in.fd[1]);
}

/* Reads once. Closes *fd at the end. ret_more: something was read. */
static enum err process_collect(struct process_run *r, int *fd, struct bytes *to, bool *ret_more,
                                struct error *ret_error)
{
    const size_t max = r->p->output_bytes_max;
    *ret_more = false;
    /* One byte more than may come, to tell the limit from an output that just fits. */
    size_t want = max - to->len < PROCESS_READ_BYTES ? max - to->len + 1 : PROCESS_READ_BYTES;
    bytes_reserve(to, want);
    ssize_t got = read(*fd, to->ptr + to->len, want);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return OK;
    if (got < 0)
        return error_set(ret_error, ERR_IO, "cannot read the output of '%s': %s", r->p->argv[0],
                         strerror(errno));
    if (got == 0) {
        process_close(fd);
        return OK;
    }
    *ret_more = true;
    to->len += (size_t)got;
    if (to->len <= max)
        return OK;
    to->len = max;
    (void)error_set(ret_error, ERR_LIMIT, "'%s' wrote more than %zu bytes and was ended",
                    r->p->argv[0], max);
    return ERR_LIMIT;
}

/* Takes what the pipes still hold; a grandchild that left the group may keep them open for ever. */
static enum err process_drain(struct process_run *r, struct error *ret_error)
{
    struct {
        int *fd;
        struct bytes *to;
    } streams[] = {{&r->out.fd[0], &r->p->out}, {&r->err.fd[0], &r->p->err}};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        bool has_more = true;
        while (*streams[i].fd >= 0 && has_more) {
            enum err err = process_collect(r, streams[i].fd, streams[i].to, &has_more, ret_error);
            if (err)
                return err;
        }
    }
    return OK;
}

/* Has it ended? It stays unreaped. */
static bool process_has_exited(struct process_run *r)
{
    siginfo_t info = {0};
    int status = waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return (status == 0 && info.si_pid == r->pid) || (status < 0 && errno == ECHILD);
}

static int process_timeout_ms(const struct process_run *r)
{
    uint64_t now = clock_monotonic_ns();
    if (now >= r->deadline_ns)
        return 0;
    uint64_t ms = (r->deadline_ns - now) / 1000000 + 1;
    if (r->pidfd < 0 && ms > PROCESS_NO_PIDFD_POLL_MS)
        return PROCESS_NO_PIDFD_POLL_MS;
    return ms < 60 * 1000 ? (int)ms : 60 * 1000;
}

/* One wait and what came of it. */
static enum err process_step(struct process_run *r, struct error *ret_error)
{
    enum { IN, OUT, ERR, END, COUNT };
    struct pollfd polled[COUNT] = {
        [IN] = {.fd = r->in.fd[1], .events = POLLOUT},
        [OUT] = {.fd = r->out.fd[0], .events = POLLIN},
        [ERR] = {.fd = r->err.fd[0], .events = POLLIN},
        [END] = {.fd = r->pidfd, .events = POLLIN},
    };
    int timeout_ms = process_timeout_ms(r);
    if (timeout_ms == 0) {
        (void)error_set(ret_error, ERR_TIMEOUT, "'%s' ran longer than %llu ms and was ended",
                        r->p->argv[0], (unsigned long long)r->p->time_ms_max);
        return ERR_TIMEOUT;
    }
    if (poll(polled, COUNT, timeout_ms) < 0 && errno != EINTR && errno != EAGAIN)
        return error_set(ret_error, ERR_IO, "cannot wait for '%s': %s", r->p->argv[0],
                         strerror(errno));
    if (polled[IN].revents)
        process_feed(r);
    bool has_more;
    enum err err = OK;
    if (polled[OUT].revents)
        err = process_collect(r, &r->out.fd[0], &r->p->out, &has_more, ret_error);
    if (err == OK && polled[ERR].revents)
        err = process_collect(r, &r->err.fd[0], &r->p->err, &has_more, ret_error);
    if (polled[END].revents || r->pidfd < 0)
        r->has_exited = process_has_exited(r);
    return err;
}

/* Writing to a child that is gone must not end us. SIGPIPE goes to the writing thread, so it is
 * enough to block it in this one and to take away the one we may have caused. */
static bool process_block_sigpipe(sigset_t *ret_before)
{
    sigset_t pipe_only, pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigpending(&pending);
    CHECK(pthread_sigmask(SIG_BLOCK, &pipe_only, ret_before) == 0);
    return sigismember(&pending, SIGPIPE) == 1;
}

static void process_unblock_sigpipe(const sigset_t *before, bool was_pending)
{
    sigset_t pipe_only;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    const struct timespec no_wait = {0, 0};
    while (!was_pending && sigtimedwait(&pipe_only, NULL, &no_wait) < 0 && errno == EINTR)
        continue;
    CHECK(pthread_sigmask(SIG_SETMASK, before, NULL) == 0);
}

static enum err process_attend(struct process_run *r, struct error *ret_error)
{
    int *ours[] = {&r->in.fd[1], &r->out.fd[0], &r->err.fd[0]};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (fcntl(*ours[i], F_SETFL, O_NONBLOCK) < 0)
            return error_set(ret_error, ERR_IO, "cannot set up a pipe: %s", strerror(errno));
    }
    r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0); /* -1 on an old kernel; close-on-exec */
    if (r->p->input.len == 0)
        process_close(&r->in.fd[1]);
    while (!r->has_exited) {
        enum err err = process_step(r, ret_error);
        if (err)
            return err;
    }
    return OK;
}

static enum err process_run_bounded(struct process_run *r, struct error *ret_error)
{
    enum err err = process_start(r, ret_error);
    if (err)
        return err;
    sigset_t before;
    bool was_pending = process_block_sigpipe(&before);
    err = process_attend(r, ret_error);
    int exit_code = process_kill(r); /* if it has ended: for what it left behind in its group */
    if (err == OK)
        err = process_drain(r, ret_error);
    if (err == OK)
        r->p->exit_code = exit_code;
    process_unblock_sigpipe(&before, was_pending);
    return err;
}

enum err process_run(struct process *p, struct error *ret_error)
{
    CHECK(p->argv && p->argv[0]);
    bytes_clear(&p->out);
    bytes_clear(&p->err);
    p->exit_code = -1;
    CLEANUP(process_run_done)
    struct process_run r = {
        .p = p,
        .parent = getpid(),
        .pidfd = -1,
        .in = {{-1, -1}},
        .out = {{-1, -1}},
        .err = {{-1, -1}},
        .report = {{-1, -1}},
    };
    uint64_t now = clock_monotonic_ns(), time_ns;
    if (__builtin_mul_overflow(p->time_ms_max, UINT64_C(1000000), &time_ns) ||
        __builtin_add_overflow(now, time_ns, &r.deadline_ns))
        r.deadline_ns = UINT64_MAX;
    return process_run_bounded(&r, ret_error);
}

void process_done(struct process *p)
{
    bytes_done(&p->out);
    bytes_done(&p->err);
}
