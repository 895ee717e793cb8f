/* SPDX-License-Identifier: Apache-2.0
 *
 * Grants that narrow, through the real daemons and the command line: masks and row filters in what
 * a consumer gets, quotas over an adapter's death, and that taking back counts at once.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/harness.h"

#define AREAS "CN/GOV/STATS/divisions/areas/v1"

static struct sandbox sandbox;

static const char *socket_path(void)
{
    return in_sandbox(&sandbox, "statistics/admin.sock");
}

static const char *home(void)
{
    return in_sandbox(&sandbox, "statistics/member");
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    const char *path = in_sandbox(&sandbox, "areas.csv");
    write_file(path, "code,name,cityCode,provinceCode\n"
                     "110101,东城区,1101,11\n110102,西城区,1101,11\n110105,朝阳区,1101,11\n"
                     "310101,黄浦区,3101,31\n310115,浦东新区,3101,31\n");
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "--mode", "replace", "areas", path);
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

#define GRANT(...)                                                                                 \
    take_id(EXPECT_YZ(0, "grant", "add", "--home", home(), "--admin", socket_path(), "--service",  \
                      AREAS, "--consumer", "CN/GOV/WINDOW/window", "--operation", "find",          \
                      "--operation", "count", "--filter", "code", __VA_ARGS__))
#define QUERY(code, ...) EXPECT_YZ(code, "query", "--config", sandbox.client, __VA_ARGS__, AREAS)

static char id[64];

static void take_id(const struct output *o)
{
    assert_int_equal(sscanf(o->text, "%63s", id), 1);
}

static void take_back(void)
{
    EXPECT_YZ(0, "grant", "revoke", "--home", home(), "--admin", socket_path(), id);
}

static void test_grant__masks_and_hides_from_the_next_request_on(void **state)
{
    (void)state;
    GRANT("--where", "city=1101", "--mask", "name=initial");
    const struct output *o = QUERY(0, "--where", "code>=110102");
    assert_says(o, "records: 2\n");
    assert_says(o, "  name: 西**\n");
    assert_says(o, "masked: name (initial)\n");
    assert_says(QUERY(0, "--where", "code>=0", "--count"), "count: 3\n");
    assert_says(QUERY(0, "--where", "code=310101"), "records: 0\n");
    o = QUERY(0, "--where", "code=110105", "--json");
    assert_says(o, "\"name\": \"朝**\"");
    assert_says(o, "\"masks\": {\n    \"name\": \"initial\"\n  }");
    assert_says(o, id);
    take_back();
    o = QUERY(3, "--where", "code=110105");
    assert_says(o, "reason: operation"); /* the sandbox's own grant is left, of get */
    assert_says(o, ", clause operation\n");
}

static void test_grant__quota_outlives_the_adapters_death(void **state)
{
    (void)state;
    GRANT("--quota", "2");
    QUERY(0, "--where", "code=110105");
    assert_says(QUERY(3, "--where", "name=x"), "reason: field"); /* not counted */
    QUERY(0, "--where", "code=110105");
    assert_says(QUERY(3, "--where", "code=110105"),
                "reason: quota: this adapter's part of the grant's calls a day is used up\n");
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGKILL);
    start_again(&sandbox, "statistics");
    const struct output *o = QUERY(3, "--where", "code=110105");
    assert_says(o, "reason: quota: this adapter's part of the grant's calls a day is used up\n");
    assert_says(o, ", clause quota\n");
    take_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant__masks_and_hides_from_the_next_request_on),
        cmocka_unit_test(test_grant__quota_outlives_the_adapters_death),
    };
    return cmocka_run_group_tests_name("integration_grants", tests, up, down);
}
