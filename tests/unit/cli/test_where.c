/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions of a command line: each operator, lists with what is escaped in them, and what is no
 * condition. Linked alone, with an invocation that is an arena and the sentence of a refusal.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>

#include "cli/where.h"

struct cli {
    struct arena arena;
    char sentence[500];
};

struct arena *yzi_cli_arena(struct cli *c)
{
    return &c->arena;
}

int yzi_cli_usage(struct cli *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->sentence, sizeof c->sentence, fmt, args);
    va_end(args);
    return YZ_EINVAL;
}

static struct cli invocation;

static int set_up(void **state)
{
    (void)state;
    invocation = (struct cli){0};
    yzi_arena_init(&invocation.arena, 65536);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    yzi_arena_fini(&invocation.arena);
    return 0;
}

static struct cli_where where(const char *text)
{
    struct cli_where w;
    assert_int_equal(yzi_cli_where(&invocation, text, &w), 0);
    return w;
}

static void expect_one(const char *text, const char *field, enum query_op op, const char *value)
{
    struct cli_where w = where(text);
    assert_string_equal(w.field, field);
    assert_int_equal(w.op, op);
    assert_int_equal(w.values_n, 1);
    if (value) {
        assert_string_equal(w.values[0], value);
    } else {
        assert_null(w.values[0]);
    }
}

static void test_where__each_operator(void **state)
{
    (void)state;
    expect_one("city=1101", "city", OP_EQ, "1101");
    expect_one("since>=2020-01-01", "since", OP_GE, "2020-01-01");
    expect_one("since>2020-01-01", "since", OP_GT, "2020-01-01");
    expect_one("since<=2020-01-01", "since", OP_LE, "2020-01-01");
    expect_one("since<2020-01-01", "since", OP_LT, "2020-01-01");
    expect_one("name^=东", "name", OP_PREFIX, "东");
    expect_one("name is null", "name", OP_EQ, NULL);
    expect_one("a_1=", "a_1", OP_EQ, "");
}

/* Only the first operator is one; behind it everything is the value, commas too. */
static void test_where__a_value_is_taken_as_it_is(void **state)
{
    (void)state;
    expect_one("note=a,b\\,c >= d is null", "note", OP_EQ, "a,b\\,c >= d is null");
    expect_one("n>-1", "n", OP_GT, "-1");
    expect_one("n==1", "n", OP_EQ, "=1");
}

static void test_where__lists(void **state)
{
    (void)state;
    struct cli_where w = where("city in 1101,a\\,b,c\\\\,\\d,");
    static const char *const expected[] = {"1101", "a,b", "c\\", "\\d", ""};
    assert_string_equal(w.field, "city");
    assert_int_equal(w.op, OP_IN);
    assert_int_equal(w.values_n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(w.values[i], expected[i]);
    }
}

static void test_where__refuses_what_is_no_condition(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "city", "=1",      "1a=2",          "_a=1",
        "city =1",   "<1",   "city is", "city is null ", "city is nullx",
        "city IN 1", "城=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cli_where w;
        char quoted[100];
        assert_int_equal(yzi_cli_where(&invocation, bad[i], &w), YZ_EINVAL);
        snprintf(quoted, sizeof quoted, "--where '%s' is not a condition", bad[i]);
        assert_non_null(strstr(invocation.sentence, quoted));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_where__each_operator, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where__a_value_is_taken_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where__lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where__refuses_what_is_no_condition, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
