/* SPDX-License-Identifier: Apache-2.0
 *
 * A flood of what there is no room for: the front rests where refusing takes the processor from
 * others, and only there; while it rests it reads nothing and does all else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/fixture.h"

#define FLOOD 200u

static const char *const apart[] = {"tcp://127.0.0.1:*"};
static uint64_t preempted;

static uint64_t always_preempted(void)
{
    return ++preempted;
}

static uint64_t never_preempted(void)
{
    return preempted;
}

static void listen_for_adapters(struct rig *r)
{
    rig_stop(r);
    r->config.listen_adapters = (struct config_list){.items = (void *)apart, .n = 1};
    rig_start(r);
}

/* A client that may have nothing under way, and what the system says of the processor. */
static struct puppet *ready(struct rig *r, uint64_t (*preemptions)(void))
{
    listen_for_adapters(r);
    rig_offer(r, 1);
    r->config.limits.in_flight_per_peer = 0;
    r->b->overload.preempted = preemptions;
    r->b->overload.preemptions = preempted;
    return rig_join(r, "CN/GOV/HB/@w1");
}

/* So many requests at once, each of which is refused. */
static void flood(struct puppet *client, unsigned n)
{
    static struct world_message q[FLOOD];
    for (unsigned i = 0; i < n; i++) {
        q[i] = make_request(client->rig, &(struct world_request){0});
    }
    for (unsigned i = 0; i < n; i++) {
        puppet_send(client, yzi_bytes_buf(&q[i].raw));
    }
    for (unsigned i = 0; i < n; i++) {
        puppet_expect_outcome(client, &q[i], OUTCOME_BUSY, "limit");
        yz_world_message_fini(&q[i]);
    }
}

static uint64_t rests(const struct rig *r)
{
    return yzi_metric_get(&r->b->metrics.rests);
}

static void test_overload__rests_where_refusing_costs_others(void **state)
{
    struct rig *r = *state;
    struct puppet *client = ready(r, always_preempted);
    flood(client, FLOOD);
    assert_true(rests(r) > 0);
    assert_true(puppet_is_heard(client)); /* it ends by itself */
}

static void test_overload__does_not_rest_where_nobody_wants_the_processor(void **state)
{
    struct rig *r = *state;
    struct puppet *client = ready(r, never_preempted);
    flood(client, FLOOD);
    assert_int_equal(rests(r), 0);
}

static void test_overload__does_not_rest_where_answers_would_wait_with_requests(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    r->config.limits.in_flight_per_peer = 0;
    r->b->overload.preempted = always_preempted;
    flood(rig_join(r, "CN/GOV/HB/@w1"), FLOOD);
    assert_int_equal(rests(r), 0);
}

static void test_overload__a_few_refusals_are_no_flood(void **state)
{
    struct rig *r = *state;
    struct puppet *client = ready(r, always_preempted);
    for (unsigned i = 0; i < 10; i++) {
        flood(client, 15);
    }
    assert_int_equal(rests(r), 0);
}

static void test_overload__no_step_refuses_more_than_a_bundle(void **state)
{
    struct rig *r = *state;
    struct puppet *client = ready(r, never_preempted);
    struct metrics *m = &r->b->metrics;
    static struct world_message q[FLOOD];
    for (unsigned i = 0; i < FLOOD; i++) {
        q[i] = make_request(r, &(struct world_request){0});
        puppet_send(client, yzi_bytes_buf(&q[i].raw));
    }
    for (uint64_t before = 0; before < FLOOD;) {
        rig_step(r);
        uint64_t now = yzi_metric_get(&m->outcomes[OUTCOME_BUSY]);
        assert_in_range(now - before, 0, 64);
        before = now;
    }
    for (unsigned i = 0; i < FLOOD; i++) {
        yz_world_message_fini(&q[i]);
    }
}

/* Deadlines do not wait for the end of it, nor what adapters say. */
static void test_overload__while_it_rests_requests_are_not_read(void **state)
{
    struct rig *r = *state;
    struct puppet *client = ready(r, never_preempted);
    r->config.limits.in_flight_per_peer = 10;
    r->endpoint = 1;
    struct puppet *adapter = rig_join(r, "CN/GOV/MCA/@a1");
    MESSAGE(answered) = make_request(r, &(struct world_request){0});
    MESSAGE(late) = make_request(r, &(struct world_request){0});
    MESSAGE(unread) = make_request(r, &(struct world_request){0});
    MESSAGE(answer) = {0};
    puppet_send(client, yzi_bytes_buf(&answered.raw));
    puppet_expect_request(adapter, &answered);
    puppet_send(client, yzi_bytes_buf(&late.raw));
    puppet_expect_request(adapter, &late);

    r->b->overload.rests_until = UINT64_MAX;
    puppet_send(client, yzi_bytes_buf(&unread.raw));
    puppet_answer(adapter, &answered, &answer);
    puppet_expect_response(client, &answer);
    assert_true(puppet_is_heard(adapter));
    rig_advance(r, YZ_EXPIRY_DEFAULT_MS + 1);
    puppet_expect_outcome(client, &late, OUTCOME_TIMEOUT, "no-answer-in-time");
    assert_int_equal(yzi_metric_get(&r->b->metrics.requests), 2);

    r->b->overload.rests_until = 0;
    while (yzi_metric_get(&r->b->metrics.requests) == 2) {
        rig_wait(r);
    }
}

static void test_overload__endpoints_for_adapters_take_no_clients(void **state)
{
    struct rig *r = *state;
    listen_for_adapters(r);
    r->endpoint = 1;
    struct puppet *client = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_true(puppet_connects(client));
    puppet_hello(client, r->w->version, 1);
    yz_bytes reason;
    assert_int_equal(yzi_bye_parse(puppet_expect(client, FRAME_BYE)->header, &reason), YZ_OK);
    assert_true(yzi_bytes_eq_str(reason, YZ_BYE_ADAPTERS_ONLY));
    uint64_t bad = yzi_metric_get(&r->b->metrics.messages_bad); /* it has not said hello */
    puppet_heartbeat(client, r->w->version);
    while (yzi_metric_get(&r->b->metrics.messages_bad) == bad) {
        rig_wait(r);
    }
}

static void test_overload__the_system_counts_preemptions(void **state)
{
    (void)state;
    uint64_t before = yzi_broker_preemptions();
    assert_true(yzi_broker_preemptions() >= before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_overload__rests_where_refusing_costs_others),
        TEST(test_overload__does_not_rest_where_nobody_wants_the_processor),
        TEST(test_overload__does_not_rest_where_answers_would_wait_with_requests),
        TEST(test_overload__a_few_refusals_are_no_flood),
        TEST(test_overload__no_step_refuses_more_than_a_bundle),
        TEST(test_overload__while_it_rests_requests_are_not_read),
        TEST(test_overload__endpoints_for_adapters_take_no_clients),
        cmocka_unit_test(test_overload__the_system_counts_preemptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
