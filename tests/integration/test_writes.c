/* SPDX-License-Identifier: Apache-2.0
 *
 * Inserting, putting and deleting from the command line, through real daemons; an adapter that is
 * killed and started again has done what it said.
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

#define WINDOW "CN/GOV/WINDOW/window"
#define HERE(...) in_sandbox(&sandbox, __VA_ARGS__)
#define CALL(code, ...) EXPECT_YZ(code, "call", "--config", sandbox.client, __VA_ARGS__, TOWNS)

static struct sandbox sandbox;

static void offer_all_of_towns(void)
{
    EXPECT_YZ(0, "service", "publish", "--home", HERE("statistics/member"), "--subsystem",
              "divisions", "--service", "towns/v1", "--definition", HERE("statistics/areas.yaml"),
              "--adapter", "CN/GOV/STATS/@a1", "--mode", "write", "--admin",
              HERE("statistics/admin.sock"));
    EXPECT_YZ(0, "grant", "add", "--home", HERE("statistics/member"), "--service", TOWNS,
              "--consumer", WINDOW, "--operation", "get", "--operation", "insert", "--operation",
              "put", "--operation", "delete", "--write", "code", "--write", "name", "--write",
              "city", "--write", "province", "--admin", HERE("statistics/admin.sock"));
}

static void test_writes__are_done_and_stay_done(void **state)
{
    (void)state;
    const struct output *o = CALL(0, "--insert", "code=999901,name=甲\\,乙,city=9999,province=11",
                                  "--insert", "code=999902,name=丙,city=9999,province=11");
    assert_says(o, "count: 2");
    assert_says(CALL(0, "--key", "999901", "--field", "name"), "甲,乙");
    assert_says(CALL(1, "--insert", "code=999903,name=丁,city=9999,province=11", "--insert",
                     "code=999902,name=戊,city=9999,province=11"),
                "exists");
    assert_says(CALL(0, "--key", "999903"), "records: 0"); /* all or nothing */
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGKILL);
    start_again(&sandbox, "statistics");
    assert_says(CALL(0, "--put", "code=999902,name=己"), "count: 1");
    assert_says(CALL(0, "--key", "999902", "--field", "name"), "己");
    assert_says(CALL(1, "--delete", "--key", "999901", "--key", "999909"), "not-found");
    assert_says(CALL(0, "--delete", "--key", "999901", "--key", "999902"), "count: 2");
    assert_says(CALL(0, "--key", "999901"), "records: 0");
}

static void test_writes__need_a_grant_for_the_operation(void **state)
{
    (void)state;
    assert_says(EXPECT_YZ(3, "call", "--config", sandbox.client, "--delete", "--key", "000000",
                          "CN/GOV/STATS/divisions/areas/v1"),
                "operation");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes__are_done_and_stay_done),
        cmocka_unit_test(test_writes__need_a_grant_for_the_operation),
    };
    sandbox_up(&sandbox);
    offer_all_of_towns();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sandbox_down(&sandbox);
    return failed;
}
