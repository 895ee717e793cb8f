/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine and what stands between it and the provider: brokers that die, lie or dawdle, a
 * directory that is newer or too old, services nobody offers, and the engine's own bounds.
 * Over 800 lines: all of it is about one engine between two brokers, in many short tests.
 */
#include "tests/unit/client/puppet.h"

/* -- brokers -- */

static void test_broker__that_is_not_there_is_said_to_be_unreachable(void **state)
{
    struct stage *s = *state;
    puppet_down(&s->b1);
    stage_start(s);
    stage_call(s, &s->call);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EUNAVAILABLE, "not connected to any broker within 30000 ms (CN/@b1");
}

static bool has_handshakes(struct stage *s, void *ctx)
{
    (void)ctx;
    struct server_counters c;
    yzi_server_counters(s->b1.server, &c);
    return c.refused > 0;
}

static void test_broker__that_does_not_know_us_is_quoted(void **state)
{
    struct stage *s = *state;
    s->b1.refuses = true;
    stage_start(s);
    stage_call(s, &s->call);
    stage_run(s, has_handshakes, NULL);
    stage_settle(s);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EUNAVAILABLE, "CN/@b1: the broker does not know this key");
}

static bool is_gone(struct stage *s, void *ctx)
{
    (void)ctx;
    yzi_manual_clock_advance(&s->w->clock, 5); /* for the back-off */
    return s->b1.hellos == 2;
}

static void test_broker__after_a_reconnect_gets_the_identical_bytes(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    puppet_down(&s->b1);
    stage_settle(s);
    puppet_up(&s->b1);
    stage_run(s, is_gone, NULL);
    stage_run_until_requests(s, &s->b1, 2);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s->b1.requests[0]), yzi_bytes_buf(&s->b1.requests[1])));
    assert_int_equal(stage_counters(s).resent, 1);
    stage_answer(s, &s->b1, NULL, "married", 1);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_broker__when_it_dies_another_gets_the_identical_bytes(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    assert_int_equal(s->b2.requests_n, 0);
    puppet_down(&s->b1);
    stage_run_until_requests(s, &s->b2, 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s->b1.requests[0]), yzi_bytes_buf(&s->b2.requests[0])));
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_broker__without_adapters_another_is_asked(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_requests(s, &s->b2, 1);
    assert_int_equal(s->call.ended, 0);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

/* The answer is at its adapter, and the other's queue to us is another one. */
static void test_broker__whose_queue_to_us_is_full_is_not_the_last_asked(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    unsigned fetches = s->b1.fetches;
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_BUSY, YZ_REASON_CONSUMER_QUEUE, 0);
    stage_run_until_requests(s, &s->b2, 1);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    outcome_fini(&s->call);
    stage_call_sent(s); /* what is known of the service led nobody there */
    assert_int_equal(s->b1.fetches, fetches);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_BUSY, "limit", 1);
    stage_run_until_ended(s, &s->call); /* that is said of the request */
    expect_broker_says(&s->call, YZ_STATUS_BUSY, "limit", "CN/@b1");
}

static void test_broker__when_none_has_adapters_one_of_them_says_so(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_requests(s, &s->b2, 1);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_UNAVAILABLE, "draining", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_UNAVAILABLE, "draining", "CN/@b2");
}

static void test_broker__a_word_is_told_when_the_other_falls_silent(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_requests(s, &s->b2, 1);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_UNAVAILABLE, "no-live-adapter", "CN/@b1");
}

/* Nothing comes from the first, for a quarter of the call's time: the second gets the bytes. */
static void first_stands_still(struct stage *s)
{
    stage_ready(s);
    stage_call_sent(s);
    s->b1.is_still = true;
    yzi_manual_clock_advance(&s->w->clock, 5000); /* it is asked for a sign of life */
    stage_settle(s);
    yzi_manual_clock_advance(&s->w->clock, 2499);
    stage_settle(s);
    assert_int_equal(s->b2.requests_n, 0);
    yzi_manual_clock_advance(&s->w->clock, 1);
    stage_run_until_requests(s, &s->b2, 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s->b1.requests[0]), yzi_bytes_buf(&s->b2.requests[0])));
    assert_int_equal(s->call.ended, 0);
}

/* That it says other things shows that it lives: it gets half of the call's time. */
static void lives_for_half_of_the_time(struct stage *s, bool is_asked)
{
    stage_ready(s);
    stage_call_sent(s);
    s->b1.is_still = !is_asked;
    for (unsigned i = 0; i < 2; i++) {
        yzi_manual_clock_advance(&s->w->clock, 5000);
        if (!is_asked) {
            puppet_heartbeat(&s->b1);
        }
        stage_settle(s);
        yzi_manual_clock_advance(&s->w->clock, i ? 2499 : 2500);
        stage_settle(s);
    }
    assert_int_equal(s->b2.requests_n, 0);
    yzi_manual_clock_advance(&s->w->clock, 1);
    stage_run_until_requests(s, &s->b2, 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s->b1.requests[0]), yzi_bytes_buf(&s->b2.requests[0])));
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_broker__that_says_other_things_has_half_of_the_time(void **state)
{
    lives_for_half_of_the_time(*state, false);
}

static void test_broker__that_answers_when_asked_whether_it_lives_has_half(void **state)
{
    lives_for_half_of_the_time(*state, true);
}

/* What it said before it stopped shows nothing. */
static void test_broker__that_stopped_after_saying_other_things_is_silent(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    s->b1.is_still = true;
    yzi_manual_clock_advance(&s->w->clock, 3000);
    puppet_heartbeat(&s->b1);
    stage_settle(s);
    yzi_manual_clock_advance(&s->w->clock, 2000);
    stage_settle(s);
    yzi_manual_clock_advance(&s->w->clock, 2500);
    stage_run_until_requests(s, &s->b2, 1);
}

static void test_broker__that_stands_still_is_not_the_only_one_asked(void **state)
{
    struct stage *s = *state;
    first_stands_still(s);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(s->b1.requests_n, 1);
}

static void test_broker__that_stands_still_is_not_begun_with_until_it_says_something(void **state)
{
    struct stage *s = *state;
    first_stands_still(s);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    outcome_fini(&s->call);
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b2, 2);
    stage_answer(s, &s->b2, NULL, "married", 1);
    stage_run_until_ended(s, &s->call);
    outcome_fini(&s->call);
    assert_int_equal(s->b1.requests_n, 1);
    yzi_manual_clock_advance(&s->w->clock, 1);
    s->b1.is_still = false;
    puppet_heartbeat(&s->b1);
    stage_settle(s);
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b1, 2);
    stage_answer(s, &s->b1, NULL, "married", 1);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_broker__that_goes_on_is_still_heard(void **state)
{
    struct stage *s = *state;
    first_stands_still(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

/* The other was asked in case; what it says of itself ends nothing that the first may answer. */
static void test_broker__asked_in_case_does_not_end_what_the_first_may_answer(void **state)
{
    struct stage *s = *state;
    first_stands_still(s);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_BUSY, "in-flight-per-service", 0);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

/* Nor does what it makes up. */
static void test_broker__that_brings_a_false_answer_ends_nothing_that_the_first_may(void **state)
{
    struct stage *s = *state;
    first_stands_still(s);
    struct world_response forged = {.sign_with = &s->a2->signing};
    stage_answer(s, &s->b2, &forged, "single", 0);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    assert_int_equal(stage_counters(s).rejected, 1);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_broker__asked_in_case_is_quoted_when_the_first_never_answers(void **state)
{
    struct stage *s = *state;
    first_stands_still(s);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_BUSY, "in-flight-per-service", 0);
    stage_settle(s);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_BUSY, "in-flight-per-service", "CN/@b2");
}

static void test_broker__that_forges_cannot_keep_the_true_answer_away(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.sign_with = &s->a2->signing};
    stage_answer(s, &s->b1, &r, "forged", 0);
    stage_run_until_requests(s, &s->b2, 1);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(stage_counters(s).rejected, 1);
}

static void test_broker__not_asked_is_not_heard(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct frame q = puppet_request(&s->b1, 0);
    struct world_message m;
    yz_world_outcome(s->w, s->b2.broker, &q, OUTCOME_DENIED, "no-grant", &m);
    puppet_send(&s->b2, yzi_bytes_buf(&m.raw));
    yz_world_message_fini(&m);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    assert_int_equal(stage_counters(s).unasked, 1);
}

/* -- directory -- */

static void newer_directory(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->directory_version++;
}

static void test_directory__an_answer_waits_for_a_newer_one(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    yz_world_add_node(yz_world_member(s->w, "CN/GOV/HB"), "w9", ROLE_CLIENT, "window");
    yz_world_publish(s->w);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    assert_int_equal(stage_counters(s).waited, 1);
    puppet_heartbeat(&s->b1); /* says which version there is; the session fetches it */
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_directory__that_never_comes_is_not_waited_for_long(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct world_response r = {.spoil = newer_directory};
    stage_answer(s, &s->b1, &r, "married", 0);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    yzi_manual_clock_advance(&s->w->clock, 2000);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married"); /* judged by what is known: it verifies */
}

static void test_directory__too_old_denies_calls(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    s->b1.no_freshness = true;
    yzi_manual_clock_advance(&s->w->clock, UINT64_C(25) * 3600 * 1000);
    puppet_heartbeat(&s->b1);
    stage_call(s, &s->call);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EEXPIRED, "nobody entitled has confirmed the directory for 90000 s");
    assert_int_equal(s->b1.requests_n, 0);
}

/* Not "confirmed 0 s ago": what is wrong is this node's clock. */
static void test_directory__of_the_future_denies_calls(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    uint64_t now = yzi_wall_ms(&s->w->clock.clock);
    yzi_manual_clock_set_wall(&s->w->clock, now - UINT64_C(3600) * 1000);
    stage_call(s, &s->call);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0); /* fresh word might be on its way */
    yzi_manual_clock_advance(&s->w->clock, 5000);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EEXPIRED, "this node's clock is behind");
    assert_int_equal(s->b1.requests_n, 0);
}

static void test_directory__too_old_denies_answers(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    yzi_manual_clock_set_wall(&s->w->clock, yz_world_now(s->w) + UINT64_C(25) * 3600 * 1000);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EEXPIRED, "an answer came, and cannot be judged: nobody");
}

static void test_directory__freshness_on_its_way_is_waited_for(void **state)
{
    struct stage *s = *state;
    s->b1.no_freshness = true;
    yzi_manual_clock_advance(&s->w->clock, UINT64_C(25) * 3600 * 1000);
    puppet_offer(&s->b1, (struct world_node *const[]){s->a1, NULL});
    stage_start(s);
    stage_call(s, &s->call);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    puppet_push_freshness(&s->b1);
    stage_run_until_requests(s, &s->b1, 1);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_directory__a_broker_without_one_is_told(void **state)
{
    struct stage *s = *state;
    s->b1.no_directory = true;
    s->b1.no_freshness = true;
    stage_start(s);
    stage_call(s, &s->call);
    stage_settle(s);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EUNAVAILABLE, "no broker gave a directory that verifies");
}

/* -- services -- */

static void test_service__nobody_offers_is_not_found(void **state)
{
    struct stage *s = *state;
    s->b1.service_found = false;
    s->b2.service_found = false;
    stage_ready(s);
    stage_call(s, &s->call);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ENOTFOUND, WORLD_SERVICE);
    assert_int_equal(s->b1.fetches, 1);
    assert_int_equal(s->b2.fetches, 1);
}

static void test_service__one_broker_may_know_what_another_does_not(void **state)
{
    struct stage *s = *state;
    s->b1.service_found = false;
    stage_ready(s);
    stage_call_sent(s); /* through b1: what is known does not depend on who told it */
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_service__live_adapters_of_one_broker_are_enough(void **state)
{
    struct stage *s = *state;
    puppet_offer(&s->b1, (struct world_node *const[]){NULL});
    stage_ready(s);
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b1, 1);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_requests(s, &s->b2, 1);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void put_forged_offer(struct stage *s, struct puppet *p)
{
    struct world_member *mca = yz_world_member(s->w, "CN/GOV/MCA");
    struct key_pair genuine = mca->owner;
    mca->owner = (struct key_pair){0};
    assert_int_equal(yzi_key_pair_generate(KEY_OWNER, &mca->owner), 0);
    puppet_offer(p, (struct world_node *const[]){s->a1, NULL});
    yzi_key_pair_fini(&mca->owner);
    mca->owner = genuine;
}

static void test_service__a_broker_that_forges_offers_does_not_stop_another(void **state)
{
    struct stage *s = *state;
    put_forged_offer(s, &s->b1);
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

static void test_service__without_live_adapters_is_unavailable_at_once(void **state)
{
    struct stage *s = *state;
    puppet_offer(&s->b1, (struct world_node *const[]){NULL});
    stage_ready(s);
    stage_call(s, &s->call);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_EUNAVAILABLE, "no adapter of the service is connected");
}

static void test_service__a_forged_offer_is_not_believed(void **state)
{
    struct stage *s = *state;
    put_forged_offer(s, &s->b1);
    stage_ready(s);
    stage_call(s, &s->call);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0); /* a newer directory might make it true */
    yzi_manual_clock_advance(&s->w->clock, 2000);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ESIGNATURE, "the owner's offer does not verify");
    outcome_fini(&s->call);
    stage_call(s, &s->call); /* the next one need not wait for that again */
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ESIGNATURE, "the owner's offer does not verify");
}

static void test_service__a_silent_broker_is_not_the_only_one_asked(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    stage_settle(s);
    assert_int_equal(s->b2.fetches, 0);
    yzi_manual_clock_advance(&s->w->clock, 5000);
    stage_run_until_requests(s, &s->b1, 1);
    assert_int_equal(s->b2.fetches, 1);
}

static void test_service__silence_is_a_time_out(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    for (unsigned i = 0; i < 6; i++) {
        stage_settle(s);
        assert_int_equal(s->call.ended, 0);
        yzi_manual_clock_advance(&s->w->clock, 5000);
    }
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ETIMEOUT, "asked for the service's offer");
    assert_int_equal(s->b1.fetches, 6);
}

static void ask_again(struct stage *s, unsigned times)
{
    stage_settle(s);
    for (unsigned i = 0; i < times; i++) {
        yzi_manual_clock_advance(&s->w->clock, 5000);
        stage_settle(s);
    }
}

static void test_service__an_answer_counts_when_it_was_asked_for_again(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    ask_again(s, 1);
    assert_int_equal(s->b1.fetches, 2);
    puppet_answer_late(&s->b1, 0, true);
    stage_run_until_requests(s, &s->b1, 1);
    puppet_answer_late(&s->b1, 1, true); /* nobody waits for it */
    stage_settle(s);
    assert_int_equal(s->b1.fetches, 2);
}

static void test_service__an_answer_counts_when_another_broker_was_asked(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = s->b2.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    ask_again(s, 1);
    assert_int_equal(s->b2.fetches, 1);
    puppet_answer_late(&s->b1, 0, true);
    stage_run_until_requests(s, &s->b1, 1);
}

static void test_service__an_answer_counts_for_the_next_call(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    ask_again(s, 6);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ETIMEOUT, "asked for the service's offer");
    outcome_fini(&s->call);
    puppet_answer_late(&s->b1, 5, true);
    stage_settle(s);
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b1, 1);
    assert_int_equal(s->b1.fetches, 6);
}

/* That there is none is heard, but the question asked again may still be answered better. */
static void test_service__a_late_no_leaves_time_for_a_yes(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    ask_again(s, 1);
    puppet_answer_late(&s->b1, 0, false);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    puppet_answer_late(&s->b1, 1, true);
    stage_run_until_requests(s, &s->b1, 1);
}

static void test_service__a_late_no_is_believed_in_the_end(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    ask_again(s, 1);
    puppet_answer_late(&s->b1, 0, false);
    ask_again(s, 1);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ENOTFOUND, "it holds no offer");
}

/* Each question is answered once, by whom it was put to, on the connection it was put on. */
static void test_service__what_was_not_asked_is_not_looked_at(void **state)
{
    struct stage *s = *state;
    s->b1.no_service_answer = s->b2.no_service_answer = true;
    stage_ready(s);
    stage_call(s, &s->call);
    ask_again(s, 1);
    s->b2.service_tokens[1] = s->b1.service_tokens[0] + 1000;
    puppet_answer_late(&s->b2, 1, true);
    s->b2.service_tokens[1] = 0;
    puppet_answer_late(&s->b2, 1, true);
    stage_settle(s);
    puppet_down(&s->b1);
    stage_settle(s);
    puppet_up(&s->b1);
    for (unsigned i = 0; i < 100 && !s->b1.has_client; i++) {
        yzi_manual_clock_advance(&s->w->clock, 10);
        stage_settle(s);
    }
    assert_true(s->b1.has_client);
    puppet_answer_late(&s->b1, 0, true);
    stage_settle(s);
    assert_int_equal(s->b1.requests_n + s->b2.requests_n, 0);
}

/* -- the engine -- */

static void test_engine__freed_ends_its_calls(void **state)
{
    struct stage *s = *state;
    struct outcome_of_call waiting = {0};
    stage_ready(s);
    stage_call_sent(s);
    s->b1.no_service_answer = true;
    yzi_manual_clock_advance(&s->w->clock, 60000 - 30001); /* the service is not fresh any more */
    yzi_manual_clock_advance(&s->w->clock, 1);
    stage_call(s, &waiting);
    yzi_engine_free(s->engine);
    s->engine = NULL;
    assert_int_equal(s->call.ended, 1);
    assert_int_equal(waiting.ended, 1);
    assert_int_equal(waiting.rc, YZ_ECLOSED);
    outcome_fini(&waiting);
}

/* -- writes: what no broker's word says was not done -- */

/* A delete, which the first broker has. */
static void write_sent(struct stage *s)
{
    s->writes = true;
    stage_ready(s);
    stage_call_sent(s);
}

static void test_write__a_broker_passed_on_is_in_doubt(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_TIMEOUT, "adapter-lost", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_INDETERMINATE, "timeout/adapter-lost", "CN/@b1");
}

static void test_write__a_broker_did_not_pass_on_was_not_done(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_BUSY, "adapter-busy", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_BUSY, "adapter-busy", "CN/@b1");
}

static void test_write__in_doubt_at_one_broker_is_asked_of_another(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_TIMEOUT, "adapter-lost", 0);
    stage_run_until_requests(s, &s->b2, 1);
    assert_true(yzi_bytes_eq(yzi_bytes_buf(&s->b1.requests[0]), yzi_bytes_buf(&s->b2.requests[0])));
    stage_answer(s, &s->b2, NULL, "done", 0); /* the adapter remembers */
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "done");
}

static void test_write__in_doubt_stays_so_whatever_another_says(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_TIMEOUT, "adapter-lost", 0);
    stage_run_until_requests(s, &s->b2, 1);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_INDETERMINATE, "unavailable/no-live-adapter", "CN/@b2");
}

static void test_write__whose_broker_is_lost_is_in_doubt_whatever_another_says(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_down(&s->b1);
    stage_run_until_requests(s, &s->b2, 1);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_DENIED, "no-grant", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_INDETERMINATE, "denied/no-grant", "CN/@b2");
}

static void test_write__with_an_answer_that_does_not_verify_is_in_doubt(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_outcome(&s->b1, s->b2.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_requests(s, &s->b2, 1);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_STALE_DIRECTORY, "freshness", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_INDETERMINATE, "stale-directory/freshness", "CN/@b2");
}

/* "Unavailable" at the first says that it did not pass it on; the second may have. */
static void test_write__a_silent_broker_may_have_done_whatever_another_said(void **state)
{
    struct stage *s = *state;
    write_sent(s);
    puppet_outcome(&s->b1, s->b1.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_requests(s, &s->b2, 1);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_INDETERMINATE, "unavailable/no-live-adapter", "CN/@b1");
}

static void test_write__a_broker_that_stands_still_may_have_done(void **state)
{
    struct stage *s = *state;
    s->writes = true;
    first_stands_still(s);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_DENIED, "no-grant", 0);
    stage_settle(s);
    assert_int_equal(s->call.ended, 0);
    yzi_manual_clock_advance(&s->w->clock, 30000);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_INDETERMINATE, "denied/no-grant", "CN/@b2");
}

/* A read may be asked again: "unavailable" is what matters. */
static void test_read__whose_broker_is_lost_is_not_in_doubt(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    puppet_down(&s->b1);
    stage_run_until_requests(s, &s->b2, 1);
    puppet_outcome(&s->b2, s->b2.broker, OUTCOME_UNAVAILABLE, "no-live-adapter", 0);
    stage_run_until_ended(s, &s->call);
    expect_broker_says(&s->call, YZ_STATUS_UNAVAILABLE, "no-live-adapter", "CN/@b2");
}

static void count(void *ctx, int rc, yz_answer *answer, const yz_error *err)
{
    unsigned *n = ctx;
    assert_null(answer);
    assert_non_null(err);
    n[rc == YZ_EBUSY]++;
}

static void test_engine__calls_are_bounded(void **state)
{
    struct stage *s = *state;
    puppet_down(&s->b1);
    stage_start(s);
    static unsigned ended[2]; /* written also when the test has failed */
    yz_request *r;
    assert_int_equal(yz_request_new(WORLD_SERVICE, &r), 0);
    assert_int_equal(yz_request_add_key(r, (const char *const[]){"1"}, 1), 0);
    for (unsigned i = 0; i < ENGINE_CALLS_MAX + 3; i++) {
        struct call_order order = {
            .submitted = yzi_mono_ms(&s->w->clock.clock), .done = count, .ctx = ended};
        assert_int_equal(yzi_ask_make(r, &order.ask, NULL), 0);
        yzi_engine_submit(s->engine, &order);
    }
    yz_request_free(r);
    assert_int_equal(ended[1], 3);
    assert_int_equal(ended[0], 0);
    assert_int_equal(yzi_engine_calls(s->engine), ENGINE_CALLS_MAX);
    yzi_engine_free(s->engine);
    s->engine = NULL;
    assert_int_equal(ended[0], ENGINE_CALLS_MAX);
}

static void test_engine__a_broker_nobody_knows_the_key_of_is_a_fault(void **state)
{
    struct stage *s = *state;
    s->config.peers[0].has_key = false;
    yz_node_id b9;
    assert_int_equal(yzi_node_id_parse(yzi_bytes_str("CN/@b9"), &b9), 0);
    s->config.peers[0].node = b9;
    struct engine_options o = {.config = &s->config,
                               .clock = &s->w->clock.clock,
                               .signing = &s->client->signing,
                               .transport = &s->client->transport,
                               .trust = s->trust,
                               .net = s->net};
    yz_error err = {0};
    assert_int_equal(yzi_engine_new(&o, &s->engine, &err), YZ_ECONFIG);
    assert_null(s->engine);
    assert_non_null(strstr(err.text, "CN/@b9 has no key"));
}

#define ONE(t) cmocka_unit_test_setup_teardown(t, stage_one_broker, stage_tear_down)
static void test_evidence__another_broker_may_do_better(void **state)
{
    struct stage *s = *state;
    s->b1.no_receipts = true;
    stage_ready(s);
    stage_call_sent(s);
    stage_answer(s, &s->b1, NULL, "married", 0);
    stage_run_until_requests(s, &s->b2, 1);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
    assert_int_equal(yz_answer_evidence(s->call.answer), YZ_EVIDENCE_PROVED);
}

#define TWO(t) cmocka_unit_test_setup_teardown(t, stage_two_brokers, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(test_broker__that_is_not_there_is_said_to_be_unreachable),
        ONE(test_broker__that_does_not_know_us_is_quoted),
        ONE(test_broker__after_a_reconnect_gets_the_identical_bytes),
        TWO(test_broker__when_it_dies_another_gets_the_identical_bytes),
        TWO(test_broker__without_adapters_another_is_asked),
        TWO(test_evidence__another_broker_may_do_better),
        TWO(test_broker__whose_queue_to_us_is_full_is_not_the_last_asked),
        TWO(test_broker__when_none_has_adapters_one_of_them_says_so),
        TWO(test_broker__a_word_is_told_when_the_other_falls_silent),
        TWO(test_broker__that_says_other_things_has_half_of_the_time),
        TWO(test_broker__that_answers_when_asked_whether_it_lives_has_half),
        TWO(test_broker__that_stopped_after_saying_other_things_is_silent),
        TWO(test_broker__that_stands_still_is_not_the_only_one_asked),
        TWO(test_broker__that_stands_still_is_not_begun_with_until_it_says_something),
        TWO(test_broker__that_goes_on_is_still_heard),
        TWO(test_broker__asked_in_case_does_not_end_what_the_first_may_answer),
        TWO(test_broker__that_brings_a_false_answer_ends_nothing_that_the_first_may),
        TWO(test_broker__asked_in_case_is_quoted_when_the_first_never_answers),
        TWO(test_broker__that_forges_cannot_keep_the_true_answer_away),
        TWO(test_broker__not_asked_is_not_heard),
        ONE(test_directory__an_answer_waits_for_a_newer_one),
        ONE(test_directory__that_never_comes_is_not_waited_for_long),
        ONE(test_directory__too_old_denies_calls),
        ONE(test_directory__of_the_future_denies_calls),
        ONE(test_directory__too_old_denies_answers),
        ONE(test_directory__freshness_on_its_way_is_waited_for),
        ONE(test_directory__a_broker_without_one_is_told),
        TWO(test_service__nobody_offers_is_not_found),
        TWO(test_service__one_broker_may_know_what_another_does_not),
        TWO(test_service__live_adapters_of_one_broker_are_enough),
        TWO(test_service__a_broker_that_forges_offers_does_not_stop_another),
        ONE(test_service__without_live_adapters_is_unavailable_at_once),
        ONE(test_service__a_forged_offer_is_not_believed),
        TWO(test_service__a_silent_broker_is_not_the_only_one_asked),
        ONE(test_service__silence_is_a_time_out),
        ONE(test_service__an_answer_counts_when_it_was_asked_for_again),
        TWO(test_service__an_answer_counts_when_another_broker_was_asked),
        ONE(test_service__an_answer_counts_for_the_next_call),
        ONE(test_service__a_late_no_leaves_time_for_a_yes),
        ONE(test_service__a_late_no_is_believed_in_the_end),
        TWO(test_service__what_was_not_asked_is_not_looked_at),
        ONE(test_write__a_broker_passed_on_is_in_doubt),
        TWO(test_write__a_broker_did_not_pass_on_was_not_done),
        TWO(test_write__in_doubt_at_one_broker_is_asked_of_another),
        TWO(test_write__in_doubt_stays_so_whatever_another_says),
        TWO(test_write__whose_broker_is_lost_is_in_doubt_whatever_another_says),
        TWO(test_write__with_an_answer_that_does_not_verify_is_in_doubt),
        TWO(test_write__a_silent_broker_may_have_done_whatever_another_said),
        TWO(test_write__a_broker_that_stands_still_may_have_done),
        TWO(test_read__whose_broker_is_lost_is_not_in_doubt),
        ONE(test_engine__freed_ends_its_calls),
        ONE(test_engine__calls_are_bounded),
        ONE(test_engine__a_broker_nobody_knows_the_key_of_is_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
