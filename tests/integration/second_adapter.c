/* SPDX-License-Identifier: Apache-2.0
 *
 * The second adapter behind second_adapter.h.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>

#include "tests/integration/second_adapter.h"
#include "tests/integration/second_broker.h"

static void copy(const char *from, const char *to)
{
    static char content[262144];
    FILE *f = fopen(from, "re");
    assert_non_null(f);
    size_t n = fread(content, 1, sizeof content, f);
    fclose(f);
    assert_in_range(n, 1, sizeof content - 1);
    f = fopen(to, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(content, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_config(const struct sandbox *s, const struct second_adapter *a)
{
    char key[64], config[1024];
    public_key(in_sandbox(s, "broker/keys/transport.key"), key);
    snprintf(config, sizeof config,
             "node: %s\nhome: .\nanchor: anchor.yzr\nlock_secrets: false\nbrokers:\n"
             "  - {node: CN/@b1, endpoint: \"%s\", key: \"%s\"}\n"
             "datasets:\n  - definition: %s\n",
             a->node, s->endpoint, key, a->definition);
    write_file(in_sandbox(s, "%s2/adapter.yaml", a->first), config);
}

pid_t second_adapter_up(const struct sandbox *s, const struct second_adapter *a)
{
    char name[64];
    snprintf(name, sizeof name, "%s2", a->first);
    EXPECT_YZ(0, "node", "request", "--home", in_sandbox(s, "%s", name), "--node", a->node,
              "--role", "adapter", "--subsystem", a->subsystem);
    EXPECT_YZ(0, "node", "admit", "--home", in_sandbox(s, "%s/member", a->first), "--admin",
              in_sandbox(s, "broker/admin.sock"), in_sandbox(s, "%s/request.yzr", name));
    copy(in_sandbox(s, "operator/anchor.yzr"), in_sandbox(s, "%s/anchor.yzr", name));
    copy(in_sandbox(s, "%s/%s", a->first, a->definition),
         in_sandbox(s, "%s/%s", name, a->definition));
    write_config(s, a);
    write_file(in_sandbox(s, "%s/stderr", name), "");
    return start_again(s, name);
}
