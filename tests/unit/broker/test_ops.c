/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/ops: the operations port over real sockets: paths, methods, and what is no HTTP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "broker/ops.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct metrics metrics;
static struct ops *ops;
static char log_dir[128]; /* a published log, as far as it matters */

static void put_file(const char *name, const char *content)
{
    char path[256];
    yz_error err = {0};
    snprintf(path, sizeof path, "%s/%s", log_dir, name);
    assert_int_equal(yzi_file_write(path, yzi_bytes_str(content), 0644, &err), 0);
}

static void make_log(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[256];
    yz_error err = {0};
    snprintf(log_dir, sizeof log_dir, "%s/yz-ops-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(log_dir));
    snprintf(path, sizeof path, "%s/123/tile/0/000.p", log_dir);
    assert_int_equal(yzi_dir_make(path, 0755, &err), 0);
    snprintf(path, sizeof path, "%s/current", log_dir);
    assert_int_equal(symlink("123", path), 0);
    put_file("123/checkpoint", "a checkpoint\n");
    put_file("123/vkey", "a key\n");
    put_file("123/tile/0/000.p/5", "five hashes");
    put_file("123/tile/0/007", "many hashes");
    put_file("secret", "not published\n");
    put_file("123/other", "not published\n");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    yz_error err = {0};
    make_log();
    return yzi_ops_start("127.0.0.1:0", log_dir, &metrics, &ops, &err);
}

static int tear_down(void **state)
{
    (void)state;
    yzi_ops_stop(ops);
    nftw(log_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static int dial(void)
{
    const char *colon = strrchr(yzi_ops_address(ops), ':');
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port;
    assert_int_equal(sscanf(colon, ":%u", &port), 1);
    assert_in_range(port, 1, 65535);
    a.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static char answer[65536];

/* Send, and read until the other side closes or has nothing more to say for this answer. */
static const char *talk(const char *request, size_t n)
{
    int fd = dial();
    assert_int_equal(send(fd, request, n, MSG_NOSIGNAL), (ssize_t)n);
    shutdown(fd, SHUT_WR);
    size_t got = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        ssize_t more = recv(fd, answer + got, sizeof answer - 1 - got, 0);
        if (more <= 0) {
            break;
        }
        got += (size_t)more;
    }
    answer[got] = '\0';
    close(fd);
    return answer;
}

static const char *get(const char *line)
{
    char request[512];
    int n = snprintf(request, sizeof request,
                     "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", line);
    return talk(request, (size_t)n);
}

static void expect(const char *line, unsigned status, const char *body)
{
    char start[32];
    const char *text = get(line);
    snprintf(start, sizeof start, "HTTP/1.1 %u ", status);
    if (strncmp(text, start, strlen(start)) != 0) {
        fail_msg("%s: %.40s", line, text);
    }
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static void test_ops__health_is_good_while_the_process_lives(void **state)
{
    (void)state;
    expect("GET /healthz", 200, "ok\n");
    expect("HEAD /healthz", 200, "");
    expect("GET /healthz?verbose=1", 200, "ok\n");
}

static void test_ops__readiness_follows_the_gauge(void **state)
{
    (void)state;
    yzi_metric_set(&metrics.ready, 0);
    expect("GET /readyz", 503, "not ready\n");
    yzi_metric_set(&metrics.ready, 1);
    expect("GET /readyz", 200, "ready\n");
}

static void test_ops__metrics_are_shown(void **state)
{
    (void)state;
    yzi_metric_set(&metrics.requests, 4711);
    const char *text = get("GET /metrics");
    assert_non_null(strstr(text, "\nyizhan_broker_requests_total 4711\n"));
    assert_non_null(strstr(text, "text/plain; version=0.0.4"));
    assert_non_null(strstr(text, "Cache-Control: no-store"));
}

static void test_ops__other_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const lines[] = {"GET /",           "GET /metrics/", "GET /../etc/passwd",
                                        "GET /healthz%00", "GET //healthz", "GET *"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const char *text = get(lines[i]);
        if (strcmp(lines[i], "GET /healthz%00") == 0) {
            continue; /* libmicrohttpd cuts it; the answer is harmless */
        }
        assert_null(strstr(text, "200 OK"));
        assert_non_null(strstr(text, "HTTP/1.1 40"));
    }
}

static void test_ops__serves_the_published_log(void **state)
{
    (void)state;
    expect("GET /log/checkpoint", 200, "a checkpoint\n");
    assert_non_null(strstr(answer, "Content-Type: text/plain"));
    assert_non_null(strstr(answer, "Cache-Control: no-cache"));
    expect("GET /log/vkey", 200, "a key\n");
    expect("GET /log/tile/0/000.p/5", 200, "five hashes");
    assert_non_null(strstr(answer, "Content-Type: application/octet-stream"));
    assert_null(strstr(answer, "immutable")); /* current may become another log */
    expect("GET /log/123/tile/0/007", 200, "many hashes");
    assert_non_null(strstr(answer, "immutable"));
    expect("GET /log/123/checkpoint", 200, "a checkpoint\n");
    assert_non_null(strstr(answer, "Cache-Control: no-cache"));
}

static void test_ops__serves_nothing_else_of_it(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "123",
                                        "123/",
                                        "other",
                                        "123/other",
                                        "../secret",
                                        "%2e%2e/secret",
                                        "123/../secret",
                                        "0123/checkpoint",
                                        "124/checkpoint",
                                        "/checkpoint",
                                        "checkpoint/",
                                        "tile",
                                        "tile/0",
                                        "tile/0/000",
                                        "tile/0/7",
                                        "tile/0/000.p/05",
                                        "tile/0/000.p/0",
                                        "tile/0/000.p/256",
                                        "tile/00/007",
                                        "tile/8/000",
                                        "tile/0/x000/007",
                                        "tile/entries/000",
                                        "current/checkpoint",
                                        "tile/0/007.p/../007"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[128];
        snprintf(line, sizeof line, "GET /log/%s", names[i]);
        expect(line, 404, "the log has no such file\n");
    }
}

static void test_ops__other_methods_are_refused(void **state)
{
    (void)state;
    static const char *const methods[] = {"DELETE", "OPTIONS", "TRACE", "BREW"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s /metrics", methods[i]);
        assert_non_null(strstr(get(line), "HTTP/1.1 405"));
    }
    /* a body is not taken */
    static const char post[] =
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_null(strstr(talk(post, sizeof post - 1), "200 OK"));
    static const char body[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_null(strstr(talk(body, sizeof body - 1), "200 OK"));
}

static void test_ops__what_is_no_http_harms_nobody(void **state)
{
    (void)state;
    char rubbish[4096];
    for (size_t i = 0; i < sizeof rubbish; i++) {
        rubbish[i] = (char)(i * 37 + 11);
    }
    assert_null(strstr(talk(rubbish, sizeof rubbish), "200 OK"));
    assert_null(strstr(talk("\r\n\r\n\r\n", 6), "200 OK"));
    assert_null(strstr(talk("GET /metrics\r\n", 14), "200 OK"));
    static const char twice[] = "GET /healthz HTTP/1.1\r\n\r\n"; /* no Host */
    assert_null(strstr(talk(twice, sizeof twice - 1), "200 OK"));
    char longer[40000];
    memset(longer, 'a', sizeof longer);
    memcpy(longer, "GET /", 5);
    assert_null(strstr(talk(longer, sizeof longer), "200 OK"));
    expect("GET /healthz", 200, "ok\n");
}

static void test_ops__bounds_its_connections(void **state)
{
    (void)state;
    int fds[64];
    for (size_t i = 0; i < 64; i++) {
        fds[i] = dial(); /* and says nothing */
    }
    for (size_t i = 0; i < 64; i++) {
        close(fds[i]);
    }
    /* once those are gone it answers again; they are noticed in their own time */
    const char *text = "";
    for (unsigned i = 0; i < 1000 && !strstr(text, "200 OK"); i++) {
        int fd = dial();
        static const char line[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        ssize_t n = send(fd, line, sizeof line - 1, MSG_NOSIGNAL);
        n = n > 0 ? recv(fd, answer, sizeof answer - 1, 0) : n;
        answer[n > 0 ? n : 0] = '\0';
        text = answer;
        close(fd);
    }
    assert_non_null(strstr(text, "200 OK"));
}

static void test_ops__addresses_are_numeric_and_whole(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",       "7301",  "localhost:7301", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
        "::1:80", "[::1]", "[127.0.0.1]:80", "256.0.0.1:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ops *o = NULL;
        yz_error err = {0};
        assert_int_equal(yzi_ops_start(wrong[i], NULL, &metrics, &o, &err), YZ_ECONFIG);
        assert_non_null(strstr(err.text, "ops: "));
    }
    struct ops *o = NULL;
    yz_error err = {0};
    assert_int_equal(yzi_ops_start(yzi_ops_address(ops), NULL, &metrics, &o, &err),
                     YZ_EIO); /* taken */
    yzi_ops_stop(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ops__health_is_good_while_the_process_lives),
        TEST(test_ops__readiness_follows_the_gauge),
        TEST(test_ops__metrics_are_shown),
        TEST(test_ops__other_paths_are_not_found),
        TEST(test_ops__serves_the_published_log),
        TEST(test_ops__serves_nothing_else_of_it),
        TEST(test_ops__other_methods_are_refused),
        TEST(test_ops__what_is_no_http_harms_nobody),
        TEST(test_ops__bounds_its_connections),
        TEST(test_ops__addresses_are_numeric_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
