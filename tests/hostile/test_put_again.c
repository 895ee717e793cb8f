/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that had no room for an adapter's offers has them a minute after it has room, though
 * nobody connects again or publishes anything: with each word on the directory's freshness they are
 * put again. What is withdrawn comes in force at a broker by an offer.
 */
#include "tests/hostile/town.h"

#define TICK_MS 500u
#define TICKS_MAX 150u /* more than the minute */

static int set_up(void **state)
{
    struct town *t = town_new();
    town_start_broker(t, 0);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    town_free(*state);
    return 0;
}

static void set_room(struct town *t, uint64_t bytes)
{
    t->broker_configs[0].limits.offer_bytes = bytes;
    yzi_broker_limits_changed(t->brokers[0]);
}

static void test_offers__for_which_there_was_no_room_are_put_again(void **state)
{
    struct town *t = *state;
    set_room(t, 1);
    town_start_adapter(t, 0);
    town_begin(t);
    while (!town_logged(t, "record.refused")) {
        town_wait(t);
        town_tick(t, 50);
    }
    assert_int_equal(yzi_offers_count(t->brokers[0]->offers), 0);
    set_room(t, 0);
    unsigned lost = town_logged(t, "broker.down");
    for (unsigned i = 0; !yzi_offers_count(t->brokers[0]->offers); i++) {
        assert_true(i < TICKS_MAX);
        town_begin(t);
        town_tick(t, TICK_MS);
        town_step(t);
    }
    assert_int_equal(town_logged(t, "broker.down"), lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offers__for_which_there_was_no_room_are_put_again,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
