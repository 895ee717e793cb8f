/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals, supervision and process limits.
 */
#include "base/daemon.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

int yzi_daemon_signals(int *out_fd)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return YZ_EIO;
    }
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    YZ_ENSURE(fd >= 0, YZ_EIO);
    *out_fd = fd;
    return YZ_OK;
}

int yzi_daemon_next_signal(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void yzi_daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) {
        return;
    }
    size_t n = strlen(path);
    memcpy(to.sun_path, path, n);
    if (to.sun_path[0] == '@') {
        to.sun_path[0] = '\0'; /* an abstract socket */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, length);
    (void)sent; /* best effort: a supervisor that does not listen is its own affair */
    close(fd);
}

void yzi_daemon_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    prctl(PR_SET_DUMPABLE, 0);
}

/* -- the command line -- */

static int parse_fd(const char *text, int *out)
{
    uint64_t fd;
    YZ_TRY(yzi_u64_parse(yzi_bytes_str(text), 1u << 20, &fd));
    YZ_ENSURE(fcntl((int)fd, F_GETFD) >= 0, YZ_EINVAL);
    *out = (int)fd;
    return YZ_OK;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct daemon_arguments *a = state->input;
    switch (key) {
    case 'c':
        a->config = arg;
        return 0;
    case 'd':
        a->dump = true;
        return 0;
    case 'r':
        if (parse_fd(arg, &a->ready_fd) < 0) {
            argp_error(state, "--ready-fd: '%s' is not an open descriptor", arg);
        }
        return 0;
    case ARGP_KEY_END:
        if (!a->config) {
            argp_error(state, "--config FILE is needed");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void yzi_daemon_arguments(int argc, char **argv, const char *doc, struct daemon_arguments *out)
{
    static const struct argp_option options[] = {
        {"config", 'c', "FILE", 0, "Configuration file (docs/operations.md)", 0},
        {"dump-config", 'd', 0, 0,
         "Print the configuration in force, with every key explained, and exit", 0},
        {"ready-fd", 'r', "N", 0, "Write one line to this descriptor when ready", 0},
        {0}};
    struct argp argp = {.options = options, .parser = parse_option, .doc = doc};
    *out = (struct daemon_arguments){.ready_fd = -1};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, out);
}

void yzi_daemon_say(int *fd, const char *line)
{
    if (*fd >= 0 && write(*fd, line, strlen(line)) < 0) {
        *fd = -1;
    }
}
