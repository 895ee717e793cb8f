/* SPDX-License-Identifier: Apache-2.0
 *
 * The town itself. A test that fails in it with calls under way is one failed test, and no more:
 * the calls' ends lay on the stack that cmocka jumped out of; whoever writes there when the town is
 * taken down has the next function's stack smashed. And its clock does not run away from who is
 * slow: it is the machine that is, and nobody is to be blamed for being late by it.
 */
#include "tests/hostile/town.h"
#include "tests/support/fails.h"

#define CALLS 8u
#define SLOW_MS 60u    /* real time */
#define LEAP_MS 10000u /* the town's: after three of them a receipt is overdue */
#define DAY_MS (24u * 3600u * 1000u)
#define TICK_MS 250u
#define TICKS_MAX 8u /* the first back-off is over after one */

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

static void expect_right(struct town *t)
{
    struct town_call c;
    town_call(t, 1, &c);
    town_run_until_ended(t, &c);
    assert_true(town_is_right(&c));
    town_call_fini(&c);
}

/* What is asked of a slow broker is answered before its time is over: the adapter asks for a
 * receipt, which it is owed, and goes on serving the broker, which says that there is none. */
static void test_town__time_waits_for_answers(void **state)
{
    struct town *t = *state;
    expect_right(t);
    t->wires[0]->every_ms = SLOW_MS;
    town_begin(t);
    for (unsigned i = 0; i < 6; i++) {
        town_tick(t, LEAP_MS);
        assert_true(yzi_receipts_serve(&t->adapters[0]->upstreams[0].receipts));
    }
    t->wires[0]->every_ms = 0;
    expect_right(t);
}

/* Who connects to a slow broker gets there at the first attempt. */
static void test_town__time_waits_for_handshakes(void **state)
{
    struct town *t = *state;
    town_settle(t); /* what is not read yet would break the silence */
    t->wires[0]->every_ms = SLOW_MS;
    town_advance(t, DAY_MS); /* the broker is given up */
    assert_false(town_client_is_up(t));
    assert_false(t->adapters[0]->upstreams[0].up);
    town_begin(t);
    unsigned ticks = 0;
    while (!town_client_is_up(t) || !t->adapters[0]->upstreams[0].up) {
        assert_true(ticks++ < TICKS_MAX);
        town_tick(t, TICK_MS);
    }
}

int main(void)
{
#define IN_TOWN(name) cmocka_unit_test_setup_teardown(name, set_up, free_town)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_town__a_failed_test_is_a_failed_test),
        IN_TOWN(test_town__time_waits_for_answers),
        IN_TOWN(test_town__time_waits_for_handshakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
