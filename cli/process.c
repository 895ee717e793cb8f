/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes by pidfd: what is waited for or stopped is the one started, never a namesake.
 */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

/* Beside this executable, otherwise wherever PATH finds it. */
static int find_program(const char *name, char out[4096])
{
    char self[3072];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        *slash = '\0';
        snprintf(out, 4096, "%s/%s", self, name);
        if (access(out, X_OK) == 0) {
            return YZ_OK;
        }
    }
    snprintf(out, 4096, "%s", name);
    return YZ_OK;
}

_Noreturn static void become(const char *path, const char *config, int log_fd, int ready_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
        fcntl(ready_fd, F_SETFD, 0) < 0) {
        _exit(126);
    }
    char fd_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", ready_fd);
    execlp(path, path, "--config", config, "--ready-fd", fd_text, (char *)NULL);
    dprintf(2, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

int yzi_process_start(const char *program, const char *config, const char *log_path,
                      struct process *out, yz_error *err)
{
    char path[4096];
    YZ_TRY(find_program(program, path));
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return yzi_fail(err, YZ_EIO, "cannot make a pipe: %s", strerror(errno));
    }
    int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid = log_fd < 0 ? -1 : fork();
    if (pid == 0) {
        become(path, config, log_fd, fds[1]);
    }
    int saved = errno;
    if (log_fd >= 0) {
        close(log_fd);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return yzi_fail(err, YZ_EIO, "cannot start %s: %s", program, strerror(saved));
    }
    *out = (struct process){.pid = pid, .ready_fd = fds[0]};
    return YZ_OK;
}

/* Move the first line of `rest` to `line`; false when there is no whole one. */
static bool take_line(struct process *p)
{
    char *end = memchr(p->rest, '\n', p->partial);
    if (!end) {
        return false;
    }
    size_t n = (size_t)(end - p->rest);
    memcpy(p->line, p->rest, n);
    p->line[n] = '\0';
    p->partial -= n + 1;
    memmove(p->rest, end + 1, p->partial);
    return true;
}

int yzi_process_next_line(struct process *p, unsigned timeout_ms)
{
    uint64_t until = yzi_mono_ms(&yzi_clock_system) + timeout_ms;
    while (!take_line(p)) {
        uint64_t now = yzi_mono_ms(&yzi_clock_system);
        struct pollfd waiting = {p->ready_fd, POLLIN, 0};
        YZ_ENSURE(now < until && p->partial < sizeof p->rest, YZ_ETIMEOUT);
        int ready = poll(&waiting, 1, (int)(until - now));
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        YZ_ENSURE(ready > 0, YZ_ETIMEOUT);
        ssize_t n = read(p->ready_fd, p->rest + p->partial, sizeof p->rest - p->partial);
        YZ_ENSURE(n > 0, YZ_ECLOSED);
        p->partial += (size_t)n;
    }
    return YZ_OK;
}

/* Is this process one that was started with --config config? */
static bool is_ours(pid_t pid, const char *config)
{
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    bool after_config = false;
    for (const char *arg = text; arg < text + n; arg += strlen(arg) + 1) {
        if (after_config) {
            return strcmp(arg, config) == 0;
        }
        after_config = strcmp(arg, "--config") == 0;
    }
    return false;
}

static bool wait_end(int pidfd, unsigned timeout_ms)
{
    struct pollfd waiting = {pidfd, POLLIN, 0};
    int rc;
    do {
        rc = poll(&waiting, 1, (int)timeout_ms);
    } while (rc < 0 && errno == EINTR);
    return rc > 0;
}

int yzi_process_stop(pid_t pid, const char *config, unsigned timeout_ms)
{
    /* the pidfd first: from then on the number cannot come to mean another process */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    YZ_ENSURE(pidfd >= 0, YZ_ENOTFOUND);
    if (!is_ours(pid, config)) {
        close(pidfd);
        return YZ_ENOTFOUND;
    }
    syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
    if (!wait_end(pidfd, timeout_ms)) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        wait_end(pidfd, timeout_ms);
    }
    waitpid(pid, NULL, WNOHANG); /* when it was our child */
    close(pidfd);
    return YZ_OK;
}
