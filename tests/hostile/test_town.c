/* SPDX-License-Identifier: Apache-2.0
 *
 * The town itself: a test that fails in it with calls under way is one failed test, and no more.
 * The calls' ends lay on the stack that cmocka jumped out of; whoever writes there when the town is
 * taken down has the next function's stack smashed.
 */
#include "tests/hostile/town.h"
#include "tests/support/fails.h"

#define CALLS 8u

static int set_up(void **state)
{
    struct town *t = town_new();
    town_start_wire(t, 0);
    town_start_adapter(t, 0);
    town_start_client(t);
    town_wait_ready(t);
    *state = t;
    return 0;
}

static int free_town(void **state)
{
    town_free(*state);
    return 0;
}

static int tear_down(void **state)
{
    return yz_fails_tear_down(free_town, state);
}

static void hold(struct wire *w, const struct frame *f)
{
    (void)w;
    (void)f;
}

static void fail_on_request(struct wire *w, const struct frame *f)
{
    (void)w;
    (void)f;
    fail_msg("on purpose");
}

static void call_all(struct town *t, struct town_call calls[CALLS])
{
    for (unsigned i = 0; i < CALLS; i++) {
        town_call(t, i, &calls[i]);
    }
}

static void fails_with_calls_under_way(void **state)
{
    struct town *t = *state;
    struct town_call calls[CALLS];
    t->wires[0]->on_request = hold;
    call_all(t, calls);
    town_begin(t);
    while (t->wires[0]->requests < CALLS) {
        town_wait(t);
    }
    fail_msg("on purpose");
}

static void fails_in_a_callback(void **state)
{
    struct town *t = *state;
    struct town_call calls[CALLS];
    t->wires[0]->on_request = fail_on_request;
    call_all(t, calls);
    town_run_until_ended(t, &calls[0]);
}

static void fails_after_an_answer(void **state)
{
    struct town *t = *state;
    struct town_call calls[CALLS];
    call_all(t, calls);
    town_run_until_ended(t, &calls[0]);
    fail_msg("on purpose");
}

static void test_town__a_failed_test_is_a_failed_test(void **state)
{
    (void)state;
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(fails_with_calls_under_way),
        T(fails_in_a_callback),
        T(fails_after_an_answer),
    };
    assert_int_equal(yz_fails(tests, sizeof tests / sizeof *tests), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_town__a_failed_test_is_a_failed_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
