/* SPDX-License-Identifier: Apache-2.0
 *
 * The stage itself: a test that fails on it with calls under way is one failed test, and no more.
 */
#include "tests/support/fails.h"
#include "tests/unit/client/puppet.h"

#define CALLS 8u

static int tear_down(void **state)
{
    return yz_fails_tear_down(stage_tear_down, state);
}

static void fails_with_calls_under_way(void **state)
{
    struct stage *s = *state;
    struct outcome_of_call calls[CALLS] = {0};
    stage_ready(s);
    for (unsigned i = 0; i < CALLS; i++) {
        stage_call(s, &calls[i]);
    }
    stage_run_until_requests(s, &s->b1, CALLS);
    fail_msg("on purpose");
}

static void test_stage__a_failed_test_is_a_failed_test(void **state)
{
    (void)state;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fails_with_calls_under_way, stage_one_broker, tear_down)};
    assert_int_equal(yz_fails(tests, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stage__a_failed_test_is_a_failed_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
