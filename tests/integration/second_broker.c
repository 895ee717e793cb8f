/* SPDX-License-Identifier: Apache-2.0
 *
 * A second broker for a sandbox, which has one: admitted by the operator, told the directory, and
 * started. The two have no link between them.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "tests/integration/second_broker.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A port that was free a moment ago: an endpoint must be known before the broker can be admitted.
 */
static unsigned free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    char text[8192];
    FILE *f = fopen(from, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    assert_true(n > 0 && n < sizeof text - 1);
    text[n] = '\0';
    write_file(to, text);
    assert_int_equal(chmod(to, mode), 0);
}

/* The public key of a key file, from `yz keys show --json`. */
void public_key(const char *file, char out[64])
{
    const struct output *o = EXPECT_YZ(0, "keys", "show", "--json", file);
    const char *at = strstr(o->text, "\"public_key\": \"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"public_key\": \"%63[^\"]", out), 1);
}

void broker_home(const struct sandbox *s, const char *name, const char *node, char endpoint[64])
{
    char config[512];
    snprintf(endpoint, 64, "tcp://127.0.0.1:%u", free_port());
    EXPECT_YZ(0, "broker", "request", "--home", in_sandbox(s, "%s", name), "--node", node,
              "--endpoint", endpoint);
    copy_file(in_sandbox(s, "operator/keys/freshness.key"),
              in_sandbox(s, "%s/keys/freshness.key", name), 0600);
    copy_file(in_sandbox(s, "operator/anchor.yzr"), in_sandbox(s, "%s/anchor.yzr", name), 0600);
    assert_int_equal(mkdir(in_sandbox(s, "%s/state", name), 0700), 0);
    snprintf(config, sizeof config,
             "node: %s\nhome: .\nlisten: [\"%s\"]\nops: \"\"\nlock_secrets: false\n", node,
             endpoint);
    write_file(in_sandbox(s, "%s/broker.yaml", name), config);
    write_file(in_sandbox(s, "%s/stderr", name), "");
}

pid_t second_broker_up(const struct sandbox *s, char endpoint[64])
{
    broker_home(s, "broker2", "CN/@b2", endpoint);
    EXPECT_YZ(0, "broker", "admit", "--home", in_sandbox(s, "operator"),
              in_sandbox(s, "broker2/request.yzr"));
    EXPECT_YZ(0, "directory", "publish", "--home", in_sandbox(s, "operator"), "--admin",
              in_sandbox(s, "broker/admin.sock"), "--out",
              in_sandbox(s, "broker2/state/directory.bundle"));
    return start_again(s, "broker2");
}
