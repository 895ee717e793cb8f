/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict grant from the command line, through real daemons: what it allows is answered, because
 * the broker proves to the adapter that the question is in its log.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "tests/integration/harness.h"

#define WINDOW "CN/GOV/WINDOW/window"
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)

static struct sandbox sandbox;

static void test_strict__is_answered(void **state)
{
    (void)state;
    EXPECT_YZ(0, "service", "publish", "--home", HERE("statistics/member"), "--subsystem",
              "divisions", "--service", "towns/v1", "--definition", HERE("statistics/areas.yaml"),
              "--adapter", "CN/GOV/STATS/@a1", "--admin", HERE("statistics/admin.sock"));
    EXPECT_YZ(0, "grant", "add", "--home", HERE("statistics/member"), "--service", TOWNS,
              "--consumer", WINDOW, "--strict", "--admin", HERE("statistics/admin.sock"));
    EXPECT_YZ(0, "data", "import", "--admin", HERE("statistics/admin.sock"), "areas",
              YZ_TEST_DATA "/china-division/areas.csv");
    assert_says(EXPECT_YZ(0, "grant", "list", "--home", HERE("statistics/member"), "--service",
                          TOWNS, "--json"),
                "\"strict\": true");
    assert_says(EXPECT_YZ(0, "call", "--config", sandbox.client, "--key", "310115", TOWNS),
                "浦东新区");
    assert_says(EXPECT_YZ(0, "status", "--admin", HERE("statistics/admin.sock"), "--json"),
                "\"receipts\": \"ok\"");
    /* what both keep of it cannot be read there */
    assert_true(folder_holds(HERE("statistics/kept"), "YZKEPT1"));
    assert_false(folder_holds(HERE("statistics/kept"), "浦东新区"));
    assert_false(folder_holds(HERE("statistics/kept"), "310115"));
    assert_true(folder_holds(HERE("client/kept"), "YZKEPT1"));
    assert_false(folder_holds(HERE("client/kept"), "浦东新区"));
    assert_false(folder_holds(HERE("client/kept"), "310115"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_strict__is_answered)};
    sandbox_up(&sandbox);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sandbox_down(&sandbox);
    return failed;
}
