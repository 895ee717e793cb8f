/* SPDX-License-Identifier: Apache-2.0
 *
 * base/daemon: signals, notices, limits and the command line. What changes the process for good
 * happens in a child of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run in a child with stderr closed to us; its exit code. */
static int in_child(int (*run)(void *ctx), void *ctx)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null_fd = open("/dev/null", O_WRONLY);
        dup2(null_fd, 1);
        dup2(null_fd, 2);
        _exit(run(ctx));
    }
    assert_true(pid > 0);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int receive_signals(void *ctx)
{
    (void)ctx;
    int fd = -1;
    if (yzi_daemon_signals(&fd) < 0 || yzi_daemon_next_signal(fd) != 0) {
        return 1;
    }
    kill(getpid(), SIGHUP);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 10000) != 1 || yzi_daemon_next_signal(fd) != SIGHUP) {
        return 2;
    }
    kill(getpid(), SIGTERM); /* which does not end us */
    kill(getpid(), SIGINT);
    int one = yzi_daemon_next_signal(fd);
    int two = yzi_daemon_next_signal(fd);
    if (one + two != SIGTERM + SIGINT || yzi_daemon_next_signal(fd) != 0) {
        return 3;
    }
    int fds[2];
    if (pipe(fds) < 0 || close(fds[0]) < 0) {
        return 4;
    }
    return write(fds[1], "x", 1) < 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) ? 0 : 5; /* no SIGPIPE */
}

static void test_daemon__signals_arrive_at_the_descriptor(void **state)
{
    (void)state;
    assert_int_equal(in_child(receive_signals, NULL), 0);
}

static int set_limits(void *ctx)
{
    (void)ctx;
    struct rlimit files;
    struct rlimit core;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max > 64 ? 64 : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    yzi_daemon_limits();
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_CORE, &core);
    bool right = files.rlim_cur == files.rlim_max && core.rlim_cur == 0 && core.rlim_max == 0 &&
                 prctl(PR_GET_DUMPABLE) == 0;
    return right ? 0 : 1;
}

static void test_daemon__raises_descriptors_and_forbids_core_dumps(void **state)
{
    (void)state;
    assert_int_equal(in_child(set_limits, NULL), 0);
}

/* -- notices -- */

static int bind_to(const char *path, size_t n)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, n);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, length), 0);
    return fd;
}

static void expect_notice(int fd, const char *path)
{
    char got[64];
    setenv("NOTIFY_SOCKET", path, 1);
    yzi_daemon_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    ssize_t n = recv(fd, got, sizeof got, 0);
    assert_int_equal(n, 7);
    assert_memory_equal(got, "READY=1", 7);
    close(fd);
}

static void test_daemon__notifies_a_socket_by_path_and_by_abstract_name(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    char path[100];
    snprintf(path, sizeof path, "%s/yz-notify-%d", base ? base : "/tmp", (int)getpid());
    expect_notice(bind_to(path, strlen(path)), path);
    unlink(path);
    char name[100];
    snprintf(name, sizeof name, "@yz-notify-%d", (int)getpid());
    char abstract[100];
    memcpy(abstract, name, sizeof name);
    abstract[0] = '\0';
    expect_notice(bind_to(abstract, strlen(name)), name);
}

static void test_daemon__notifies_nobody_where_nobody_is(void **state)
{
    (void)state;
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = '\0';
    const char *const sockets[] = {"", "relative", "/nowhere/at/all", longer};
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
        setenv("NOTIFY_SOCKET", sockets[i], 1);
        yzi_daemon_notify("READY=1");
    }
    unsetenv("NOTIFY_SOCKET");
    yzi_daemon_notify("READY=1");
}

static void test_daemon__says_lines_until_nobody_reads(void **state)
{
    (void)state;
    int fds[2];
    char got[16];
    assert_int_equal(pipe(fds), 0);
    signal(SIGPIPE, SIG_IGN);
    int fd = fds[1];
    yzi_daemon_say(&fd, "ready\n");
    assert_int_equal(read(fds[0], got, sizeof got), 6);
    close(fds[0]);
    yzi_daemon_say(&fd, "ready\n");
    assert_int_equal(fd, -1);
    yzi_daemon_say(&fd, "ready\n");
    close(fds[1]);
}

/* -- the command line -- */

struct line {
    const char *words[8];
    const char *config;
    bool dump;
    int ready_fd;
};

static int parse(void *ctx)
{
    const struct line *l = ctx;
    char *argv[9] = {(char *)(uintptr_t) "yz-testd"};
    int argc = 1;
    while (l->words[argc - 1]) {
        argv[argc] = (char *)(uintptr_t)l->words[argc - 1];
        argc++;
    }
    struct daemon_arguments a;
    yzi_daemon_arguments(argc, argv, "A test.", &a);
    bool right = l->config && strcmp(a.config, l->config) == 0 && a.dump == l->dump &&
                 a.ready_fd == l->ready_fd;
    return right ? 0 : 1;
}

static void test_daemon__parses_its_arguments(void **state)
{
    (void)state;
    struct line lines[] = {
        {{"--config", "x.yaml"}, "x.yaml", false, -1},
        {{"--config=x.yaml", "--dump-config"}, "x.yaml", true, -1},
        {{"-c", "x.yaml", "-r", "1"}, "x.yaml", false, 1},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(in_child(parse, &lines[i]), 0);
    }
}

static void test_daemon__ends_with_2_where_they_are_wrong(void **state)
{
    (void)state;
    struct line lines[] = {
        {{0}, NULL, false, 0},
        {{"--dump-config"}, NULL, false, 0},
        {{"--config"}, NULL, false, 0},
        {{"--config", "x", "--ready-fd", "987654"}, NULL, false, 0},
        {{"--config", "x", "--ready-fd", "-1"}, NULL, false, 0},
        {{"--config", "x", "--ready-fd", "1x"}, NULL, false, 0},
        {{"--config", "x", "--nonsense"}, NULL, false, 0},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(in_child(parse, &lines[i]), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemon__signals_arrive_at_the_descriptor),
        cmocka_unit_test(test_daemon__raises_descriptors_and_forbids_core_dumps),
        cmocka_unit_test(test_daemon__notifies_a_socket_by_path_and_by_abstract_name),
        cmocka_unit_test(test_daemon__notifies_nobody_where_nobody_is),
        cmocka_unit_test(test_daemon__says_lines_until_nobody_reads),
        cmocka_unit_test(test_daemon__parses_its_arguments),
        cmocka_unit_test(test_daemon__ends_with_2_where_they_are_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
