/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes, pipes and temporary folders behind harness.h.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
// clang-format on

#include "tests/integration/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 48
#define END_WAIT_MS 120000

/* Daemons started again, which sandbox.json does not know. */
static pid_t restarted[16];
static size_t restarted_n;

/* -- running -- */

static pid_t spawn(const char *program, const char *const *words, int out_fd)
{
    char path[512];
    char *argv[WORDS_MAX] = {path};
    snprintf(path, sizeof path, "%s/%s", YZ_BIN_DIR, program);
    int n = 1;
    for (; words[n - 1]; n++) {
        assert_true(n < WORDS_MAX - 1);
        argv[n] = (char *)(uintptr_t)words[n - 1];
    }
    pid_t pid = fork();
    if (pid == 0) {
        int null_fd = open("/dev/null", O_RDONLY);
        dup2(null_fd, 0);
        dup2(out_fd, 1);
        dup2(out_fd, 2);
        execv(path, argv);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

const struct output *run_program(const char *program, const char *const *words)
{
    static struct output o;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = spawn(program, words, fds[1]);
    close(fds[1]);
    size_t n = 0;
    char rest[4096];
    for (;;) {
        bool full = n >= sizeof o.text - 1;
        ssize_t got =
            read(fds[0], full ? rest : o.text + n, full ? sizeof rest : sizeof o.text - 1 - n);
        if (got <= 0) {
            break;
        }
        n += full ? 0 : (size_t)got;
    }
    o.text[n] = '\0';
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return &o;
}

const struct output *expect_yz(int code, const char *const *words)
{
    const struct output *o = run_program("yz", words);
    if (o->code != code) {
        print_error("`yz %s %s ...` exited with %d, not %d:\n%s\n", words[0], words[1], o->code,
                    code, o->text);
        fail();
    }
    return o;
}

void assert_says(const struct output *o, const char *text)
{
    if (!strstr(o->text, text)) {
        print_error("expected to read '%s' in:\n%s\n", text, o->text);
        fail();
    }
}

/* -- the sandbox -- */

const char *in_sandbox(const struct sandbox *s, const char *fmt, ...)
{
    static char paths[8][1024];
    static unsigned next;
    char name[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", s->dir, name);
    return path;
}

static json_t *load_json(const struct sandbox *s)
{
    json_error_t fault;
    json_t *root = json_load_file(in_sandbox(s, "sandbox.json"), 0, &fault);
    if (!root) {
        print_error("sandbox.json: %s\n", fault.text);
        fail();
    }
    return root;
}

void sandbox_up(struct sandbox *s)
{
    /* daemons whose parent ended become ours to reap */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const char *tmp = getenv("TMPDIR");
    snprintf(s->root, sizeof s->root, "%s/yz-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->root));
    snprintf(s->dir, sizeof s->dir, "%s/s", s->root);
    EXPECT_YZ(0, "sandbox", "up", s->dir);
    json_t *root = load_json(s);
    json_t *broker = json_object_get(root, "broker");
    snprintf(s->endpoint, sizeof s->endpoint, "%s",
             json_string_value(json_object_get(broker, "endpoint")));
    snprintf(s->adapters_endpoint, sizeof s->adapters_endpoint, "%s",
             json_string_value(json_object_get(broker, "adapters_endpoint")));
    snprintf(s->ops, sizeof s->ops, "%s", json_string_value(json_object_get(broker, "ops")));
    s->broker = (pid_t)json_integer_value(json_object_get(broker, "pid"));
    snprintf(s->client, sizeof s->client, "%s",
             json_string_value(json_object_get(json_object_get(root, "client"), "config")));
    json_decref(root);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void sandbox_down(struct sandbox *s)
{
    while (restarted_n > 0) {
        kill_daemon(restarted[restarted_n - 1], SIGTERM); /* which takes it off the list */
    }
    EXPECT_YZ(0, "sandbox", "down", s->dir);
    while (waitpid(-1, NULL, WNOHANG) > 0) { /* what the subreaper inherited */
    }
    nftw(s->root, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

long daemon_rss_mib(pid_t pid)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "RssAnon: %ld", &kib) != 1) {
    }
    fclose(f);
    assert_true(kib > 0);
    return kib / 1024;
}

unsigned daemon_files(pid_t pid)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *files = opendir(path);
    assert_non_null(files);
    while (readdir(files)) {
        n++;
    }
    closedir(files);
    return n;
}

unsigned long metric(const char *ops, const char *name)
{
    static char text[1u << 17];
    unsigned port;
    size_t n = 0;
    assert_int_equal(sscanf(ops, "127.0.0.1:%u", &port), 1);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    dprintf(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for (ssize_t got; (got = read(fd, text + n, sizeof text - 1 - n)) > 0;) {
        n += (size_t)got;
    }
    close(fd);
    text[n] = 0;
    char line[128];
    snprintf(line, sizeof line, "\nyizhan_broker_%s ", name);
    const char *at_line = strstr(text, line);
    assert_non_null(at_line);
    return strtoul(at_line + strlen(line), NULL, 10);
}

pid_t adapter_pid(const struct sandbox *s, const char *name)
{
    json_t *root = load_json(s);
    size_t i;
    json_t *a;
    pid_t pid = 0;
    json_array_foreach(json_object_get(root, "adapters"), i, a)
    {
        if (strcmp(json_string_value(json_object_get(a, "name")), name) == 0) {
            pid = (pid_t)json_integer_value(json_object_get(a, "pid"));
        }
    }
    json_decref(root);
    assert_true(pid > 0);
    return pid;
}

void kill_daemon(pid_t pid, int signal_number)
{
    for (size_t i = 0; i < restarted_n; i++) {
        if (restarted[i] == pid) {
            restarted[i] = restarted[--restarted_n];
        }
    }
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(fd >= 0);
    assert_int_equal(syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0), 0);
    struct pollfd ended = {fd, POLLIN, 0};
    assert_int_equal(poll(&ended, 1, END_WAIT_MS), 1);
    close(fd);
    waitpid(pid, NULL, WNOHANG);
}

void offer_towns(const struct sandbox *s)
{
    char home[512], definition[512], admin[512];
    snprintf(home, sizeof home, "%s", in_sandbox(s, "statistics/member"));
    snprintf(definition, sizeof definition, "%s", in_sandbox(s, "statistics/areas.yaml"));
    snprintf(admin, sizeof admin, "%s", in_sandbox(s, "statistics/admin.sock"));
    EXPECT_YZ(0, "service", "publish", "--home", home, "--subsystem", "divisions", "--service",
              "towns/v1", "--definition", definition, "--adapter", "CN/GOV/STATS/@a1", "--mode",
              "write", "--admin", admin);
    EXPECT_YZ(0, "grant", "add", "--home", home, "--service", TOWNS, "--consumer",
              "CN/GOV/WINDOW/window", "--operation", "get", "--operation", "insert", "--write",
              "code", "--write", "name", "--write", "city", "--write", "province", "--admin",
              admin);
}

void keep_endpoints(const struct sandbox *s, const char *more)
{
    char config[2048];
    snprintf(config, sizeof config,
             "node: CN/@b1\nhome: .\nlock_secrets: false\nlisten: [\"%s\"]\n"
             "listen_adapters: [\"%s\"]\n%s",
             s->endpoint, s->adapters_endpoint, more);
    write_file(in_sandbox(s, "broker/broker.yaml"), config);
}

struct starting start_daemon(const struct sandbox *s, const char *name)
{
    bool is_broker = strncmp(name, "broker", 6) == 0;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    int log_fd = open(in_sandbox(s, "%s/stderr", name), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(log_fd >= 0);
    char fd_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", ready[1]);
    const char *config = in_sandbox(s, is_broker ? "%s/broker.yaml" : "%s/adapter.yaml", name);
    const char *words[] = {"--config", config, "--ready-fd", fd_text, NULL};
    pid_t pid = spawn(is_broker ? "yz-brokerd" : "yz-adapterd", words, log_fd);
    close(ready[1]);
    close(log_fd);
    assert_true(restarted_n < sizeof restarted / sizeof restarted[0]);
    restarted[restarted_n++] = pid;
    return (struct starting){pid, ready[0]};
}

pid_t await_ready(const struct starting *d)
{
    char text[2048] = "";
    size_t n = 0;
    while (!strstr(text, "ready")) {
        struct pollfd waiting = {d->ready_fd, POLLIN, 0};
        assert_int_equal(poll(&waiting, 1, END_WAIT_MS), 1);
        ssize_t got = read(d->ready_fd, text + n, sizeof text - 1 - n);
        assert_true(got > 0);
        n += (size_t)got;
        text[n] = '\0';
    }
    close(d->ready_fd);
    return d->pid;
}

pid_t start_again(const struct sandbox *s, const char *name)
{
    struct starting d = start_daemon(s, name);
    return await_ready(&d);
}

/* -- files -- */

void write_file(const char *path, const char *content)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, strlen(content), f), strlen(content));
    assert_int_equal(fclose(f), 0);
}

static const char *sought;
static bool found;

static int look_in(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)ftw;
    if (flag != FTW_F || st->st_size == 0 || st->st_size > 64 * 1024 * 1024) {
        return 0;
    }
    FILE *f = fopen(path, "re");
    char *content = f ? malloc((size_t)st->st_size) : NULL;
    if (content) {
        size_t n = fread(content, 1, (size_t)st->st_size, f);
        found = found || memmem(content, n, sought, strlen(sought)) != NULL;
    }
    free(content);
    if (f) {
        fclose(f);
    }
    return 0;
}

bool folder_holds(const char *folder, const char *text)
{
    sought = text;
    found = false;
    nftw(folder, look_in, 32, FTW_PHYS);
    return found;
}
