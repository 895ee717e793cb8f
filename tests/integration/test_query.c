/* SPDX-License-Identifier: Apache-2.0
 *
 * yz query through the real daemons, and yz data explain at the adapter: conditions, orders, pages,
 * counts; what is refused and with which advice; cursors behind a restart.
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

static void import(const char *rows)
{
    const char *path = in_sandbox(&sandbox, "areas.csv");
    write_file(path, rows);
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "--mode", "replace", "areas", path);
}

/* Finding and ordering are rights of their own, which the sandbox's grant does not give. */
static void grant(void)
{
    EXPECT_YZ(0, "grant", "add", "--home", in_sandbox(&sandbox, "statistics/member"), "--admin",
              socket_path(), "--service", AREAS, "--consumer", "CN/GOV/WINDOW/window",
              "--operation", "find", "--operation", "count", "--filter", "city", "--filter", "name",
              "--filter", "code", "--sort", "code", "--sort", "name");
}

static int up(void **state)
{
    (void)state;
    sandbox_up(&sandbox);
    grant();
    import("code,name,cityCode,provinceCode\n"
           "110101,东城区,1101,11\n110102,西城区,1101,11\n110105,朝阳区,1101,11\n"
           "310101,黄浦区,3101,31\n310115,浦东新区,3101,31\n"
           "320102,玄武区,3201,32\n320502,东吴区,3205,32\n");
    return 0;
}

static int down(void **state)
{
    (void)state;
    sandbox_down(&sandbox);
    return 0;
}

#define QUERY(code, ...) EXPECT_YZ(code, "query", "--config", sandbox.client, __VA_ARGS__, AREAS)
#define EXPLAIN(code, ...)                                                                         \
    EXPECT_YZ(code, "data", "explain", "--admin", socket_path(), __VA_ARGS__, "areas")

/* The codes an answer has, in its order, joined by spaces; *more takes its cursor. */
static void expect_codes(const struct output *o, const char *expected, char more[2000])
{
    char got[500] = "";
    for (const char *at = o->text; (at = strstr(at, "  code: ")) != NULL; at++) {
        char code[16];
        assert_int_equal(sscanf(at, "  code: %15s", code), 1);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", got[0] ? " " : "", code);
    }
    assert_string_equal(got, expected);
    const char *at = strstr(o->text, "more: --cursor ");
    if (more) {
        assert_non_null(at);
        assert_int_equal(sscanf(at, "more: --cursor %1999s", more), 1);
    } else {
        assert_null(at);
    }
}

static void test_query__conditions(void **state)
{
    (void)state;
    expect_codes(QUERY(0, "--where", "city=1101"), "110101 110102 110105", NULL);
    expect_codes(QUERY(0, "--where", "city=1101", "--where", "name^=东"), "110101", NULL);
    expect_codes(QUERY(0, "--where", "city in 3101,3205"), "310101 310115 320502", NULL);
    expect_codes(QUERY(0, "--where", "city^=32", "--where", "city>3201"), "320502", NULL);
    expect_codes(QUERY(0, "--where", "code>=310101", "--where", "code<320102"), "310101 310115",
                 NULL);
    expect_codes(QUERY(0, "--where", "city is null"), "", NULL);
}

static void test_query__order_limit_and_cursor(void **state)
{
    (void)state;
    char cursor[2000], again[2000];
    expect_codes(QUERY(0, "--order", "-code", "--limit", "3"), "320502 320102 310115", cursor);
    expect_codes(QUERY(0, "--order", "-code", "--limit", "3", "--cursor", cursor),
                 "310101 110105 110102", again);
    expect_codes(QUERY(0, "--order", "-code", "--limit", "3", "--cursor", again), "110101", NULL);
    /* another question with it */
    assert_says(QUERY(1, "--order", "code", "--limit", "3", "--cursor", cursor), "cursor-query");
}

static void test_query__a_cursor_outlives_the_adapters_restart(void **state)
{
    (void)state;
    char cursor[2000];
    expect_codes(QUERY(0, "--where", "city=1101", "--limit", "2"), "110101 110102", cursor);
    kill_daemon(adapter_pid(&sandbox, "statistics"), SIGKILL);
    start_again(&sandbox, "statistics");
    expect_codes(QUERY(0, "--where", "city=1101", "--limit", "2", "--cursor", cursor), "110105",
                 NULL);
}

static void test_query__count_and_fields(void **state)
{
    (void)state;
    assert_says(QUERY(0, "--where", "city=1101", "--count"), "count: 3\n");
    assert_says(QUERY(0, "--where", "city=9999", "--count"), "count: 0\n");
    const struct output *o = QUERY(0, "--where", "city=3201", "--fields", "name");
    assert_says(o, "  name: 玄武区\n");
    assert_null(strstr(o->text, "code:"));
}

static void test_query__what_no_index_serves_is_refused_with_advice(void **state)
{
    (void)state;
    const struct output *o = QUERY(1, "--where", "name=东城区");
    assert_says(o, "reason: no-index");
    assert_says(o, "one on (name) would");
    assert_says(QUERY(1, "--where", "city=1101", "--order", "name"), "reason: no-order");
    assert_says(QUERY(1, "--where", "nothing=1"), "unknown-field");
}

/* What a register holds may be anybody's words. */
static void test_query__values_do_not_steer_the_terminal(void **state)
{
    (void)state;
    const char *path = in_sandbox(&sandbox, "steering.csv");
    write_file(path, "code,name,cityCode,provinceCode\n"
                     "999999,\"a\x1b[31m\xc2\x9b\ndecided by: me\",9999,11\n");
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "areas", path);
    const struct output *o = QUERY(0, "--where", "city=9999");
    assert_says(o, "  name: a\\u{1b}[31m\\u{9b} decided by: me\n");
    assert_null(strchr(o->text, '\x1b'));
    QUERY(0, "--where", "city=9999", "--json");
    write_file(path, "code\n999999\n");
    EXPECT_YZ(0, "data", "import", "--admin", socket_path(), "--mode", "delete", "areas", path);
}

static void test_query__wrong_use(void **state)
{
    (void)state;
    assert_says(QUERY(2, "--where", "city"), "is not a condition");
    assert_says(QUERY(2, "--limit", "1"), "--where is needed");
    assert_says(QUERY(2, "--where", "city=1101", "--count", "--limit", "1"), "do not go together");
    assert_says(QUERY(2, "--where", "city=1101", "--cursor", "xyz"), "not a cursor of an answer");
    assert_says(QUERY(2, "--where", "city=1101", "--fields", "name,name"), "stands twice");
    assert_says(EXPLAIN(2, "--where", "city"), "is not a condition");
}

static void test_explain__shows_what_serves(void **state)
{
    (void)state;
    const struct output *o = EXPLAIN(0, "--where", "city=1101", "--where", "name^=东");
    assert_says(o, "index: by_city\n");
    assert_says(o, "conditions: 2, of which the index serves 1, in 1 range\n");
    assert_says(o, "index entries looked at: 3, records read: 3, matches: 1\n");
    assert_says(EXPLAIN(0, "--order", "-code", "--limit", "2"), "(the records by key), backward");
    assert_says(EXPLAIN(0, "--where", "city in 1101,3101", "--count"), "in 2 ranges\n");
    assert_says(EXPLAIN(1, "--where", "name=x"), "one on (name) would");
    EXPECT_YZ(1, "data", "explain", "--admin", socket_path(), "--where", "a=1", "nothing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query__conditions),
        cmocka_unit_test(test_query__order_limit_and_cursor),
        cmocka_unit_test(test_query__a_cursor_outlives_the_adapters_restart),
        cmocka_unit_test(test_query__count_and_fields),
        cmocka_unit_test(test_query__what_no_index_serves_is_refused_with_advice),
        cmocka_unit_test(test_query__values_do_not_steer_the_terminal),
        cmocka_unit_test(test_query__wrong_use),
        cmocka_unit_test(test_explain__shows_what_serves),
    };
    return cmocka_run_group_tests(tests, up, down);
}
