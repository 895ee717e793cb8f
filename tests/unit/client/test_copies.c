/* SPDX-License-Identifier: Apache-2.0
 *
 * client/copies.c: which calls another broker gets, too. A hundred calls at once, between a broker
 * that stands still, drops what it is given, or stands before an adapter that is slow, and one that
 * would have time.
 */
#include "client/engine_internal.h"
#include "tests/unit/client/puppet.h"

#define CALLS 100u

struct crowd {
    struct outcome_of_call calls[CALLS];
};

static unsigned ended_of(const struct crowd *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        n += c->calls[i].ended;
    }
    return n;
}

static void forget(struct crowd *c)
{
    for (unsigned i = 0; i < CALLS; i++) {
        outcome_fini(&c->calls[i]);
    }
}

/* All of them, and `p` has them. */
static void call_all(struct stage *s, struct crowd *c, struct puppet *p)
{
    unsigned before = p->requests_n;
    for (unsigned i = 0; i < CALLS; i++) {
        stage_call(s, &c->calls[i]);
    }
    stage_run_until_requests(s, p, before + CALLS);
}

static void pass(struct stage *s, uint64_t ms)
{
    yzi_manual_clock_advance(&s->w->clock, ms);
    stage_settle(s);
}

/* Time enough for a sign of life to be asked for and given, in each half of it. */
static void pass_half_of_the_time(struct stage *s)
{
    for (unsigned i = 0; i < 2; i++) {
        pass(s, 5000);
        pass(s, 2500);
    }
}

static bool all_ended(struct stage *s, void *ctx)
{
    (void)s;
    return ended_of(ctx) == CALLS;
}

static void answer_all(struct stage *s, struct crowd *c, struct puppet *p, unsigned from)
{
    for (unsigned i = 0; i < CALLS; i++) {
        stage_answer(s, p, NULL, "married", from + i);
    }
    stage_run(s, all_ended, c);
    for (unsigned i = 0; i < CALLS; i++) {
        expect_record(&c->calls[i], "married");
    }
}

/* Its broker lives, and nobody else is faster: ten first, and then one for twenty calls. */
static void test_copies__for_a_slow_adapter_are_few(void **state)
{
    struct stage *s = *state;
    static struct crowd c;
    stage_ready(s);
    for (unsigned round = 0; round < 3; round++) {
        call_all(s, &c, &s->b1);
        pass(s, 5000);
        pass(s, 2500);
        assert_int_equal(s->b2.requests_n, (round ? 10 : 0) + round * CALLS / 20);
        pass(s, 5000);
        pass(s, 2500);
        assert_int_equal(s->b2.requests_n, 10 + (round + 1) * CALLS / 20);
        pass(s, 7500);
        assert_int_equal(s->b2.requests_n, 10 + (round + 1) * CALLS / 20);
        answer_all(s, &c, &s->b1, round * CALLS);
        forget(&c);
    }
}

/* The answer comes through both at the same moment; every other time the second's is read first. */
static void test_copies__that_come_first_by_chance_are_few(void **state)
{
    struct stage *s = *state;
    static struct crowd c;
    stage_ready(s);
    unsigned copies = 0;
    for (unsigned round = 0; round < 3; round++) {
        /* who was faster once may be begun with */
        bool is_b1 = yzi_peers_first(s->engine, 0)->index == 0;
        struct puppet *first = is_b1 ? &s->b1 : &s->b2, *second = is_b1 ? &s->b2 : &s->b1;
        unsigned from = first->requests_n, copied_from = second->requests_n;
        call_all(s, &c, first);
        pass_half_of_the_time(s);
        for (unsigned i = copied_from; i < second->requests_n; i += 2) {
            stage_answer(s, second, NULL, "married", i);
        }
        stage_settle(s);
        copies += second->requests_n - copied_from;
        answer_all(s, &c, first, from);
        forget(&c);
    }
    assert_in_range(copies, 10 + 3 * CALLS / 20, 2 * (10 + 3 * CALLS / 20));
}

/* Each that it drops is answered in time, as fast as the other one answers; and those that follow
 * are given to the other at once. */
static void test_copies__of_what_a_broker_drops_are_all(void **state)
{
    struct stage *s = *state;
    static struct crowd c;
    stage_ready(s);
    call_all(s, &c, &s->b1);
    pass_half_of_the_time(s);
    assert_in_range(s->b2.requests_n, 1, CALLS - 1);
    for (unsigned i = 0; i < CALLS; i++) {
        stage_run_until_requests(s, &s->b2, i + 1);
        stage_answer(s, &s->b2, NULL, "married", i);
    }
    stage_run(s, all_ended, &c);
    forget(&c);
    call_all(s, &c, &s->b2);
    assert_int_equal(s->b1.requests_n, CALLS);
    answer_all(s, &c, &s->b2, CALLS);
    forget(&c);
}

/* After a second one call is given to it, and the others when it answered that. */
static void test_copies__a_broker_that_dropped_calls_is_tried_again(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    pass_half_of_the_time(s);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    outcome_fini(&s->call);
    pass(s, 1000);
    for (unsigned i = 0; i < 2; i++) {
        struct outcome_of_call meanwhile = {0};
        stage_call_sent(s); /* b1 has it */
        if (i == 0) {
            stage_call(s, &meanwhile);
            stage_run_until_requests(s, &s->b2, 2);
            stage_answer(s, &s->b2, NULL, "married", 1);
            stage_run_until_ended(s, &meanwhile);
            outcome_fini(&meanwhile);
        }
        stage_answer(s, &s->b1, NULL, "married", 1 + i);
        stage_run_until_ended(s, &s->call);
        outcome_fini(&s->call);
    }
}

/* A call of b1's that it drops, and the other answers. */
static void lose_one(struct stage *s)
{
    unsigned n = s->b2.requests_n;
    stage_call_sent(s);
    pass_half_of_the_time(s);
    assert_int_equal(s->b2.requests_n, n + 1);
    stage_answer(s, &s->b2, NULL, "married", n);
    stage_run_until_ended(s, &s->call);
    outcome_fini(&s->call);
}

/* Who gets one call now, and answers it. */
static struct puppet *asked_now(struct stage *s)
{
    unsigned n[] = {s->b1.requests_n, s->b2.requests_n};
    stage_call(s, &s->call);
    stage_settle(s);
    bool is_b1 = s->b1.requests_n > n[0];
    assert_int_equal(s->b1.requests_n + s->b2.requests_n, n[0] + n[1] + 1);
    stage_answer(s, is_b1 ? &s->b1 : &s->b2, NULL, "married", n[is_b1 ? 0 : 1]);
    stage_run_until_ended(s, &s->call);
    outcome_fini(&s->call);
    return is_b1 ? &s->b1 : &s->b2;
}

static void test_copies__a_broker_that_drops_again_is_tried_half_as_often(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    lose_one(s);
    pass(s, 1000);
    lose_one(s); /* the trial */
    pass(s, 1999);
    assert_ptr_equal(asked_now(s), &s->b2);
    pass(s, 1);
    assert_ptr_equal(asked_now(s), &s->b1);
    assert_ptr_equal(asked_now(s), &s->b1); /* it did better */
}

static bool is_up_again(struct stage *s, void *ctx)
{
    (void)ctx;
    yzi_manual_clock_advance(&s->w->clock, 5); /* for the back-off */
    return yzi_session_is_up(s->engine->peers[1].session);
}

/* There was nobody to give it to when it was time. */
static void test_copies__go_to_a_broker_that_comes_later(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    puppet_down(&s->b2);
    stage_settle(s);
    stage_call_sent(s);
    s->b1.is_still = true;
    pass(s, 5000);
    pass(s, 2500);
    puppet_up(&s->b2);
    stage_run(s, is_up_again, NULL);
    assert_int_equal(s->b2.requests_n, 0);
    pass(s, 7500);
    pass(s, 7500);
    assert_int_equal(s->b2.requests_n, 1);
    stage_answer(s, &s->b2, NULL, "married", 0);
    stage_run_until_ended(s, &s->call);
    expect_record(&s->call, "married");
}

/* However long nothing was amiss. */
static void test_copies__are_saved_up_to_a_limit(void **state)
{
    struct stage *s = *state;
    static struct crowd c;
    stage_ready(s);
    stage_call_sent(s);
    struct service *service =
        yzi_services_find(&s->engine->services, (yz_service_id){yzi_bytes_str(WORLD_SERVICE)});
    service->copies = COPIES_MAX * COPY_PARTS - 1;
    call_all(s, &c, &s->b1);
    assert_int_equal(service->copies, COPIES_MAX * COPY_PARTS);
    answer_all(s, &c, &s->b1, 1);
    forget(&c);
}

/* One that says not even that it lives keeps no call, whatever the adapter was like before. */
static void test_copies__of_what_a_broker_that_stands_still_has_are_all_and_at_once(void **state)
{
    struct stage *s = *state;
    static struct crowd c;
    stage_ready(s);
    call_all(s, &c, &s->b1);
    pass_half_of_the_time(s);
    answer_all(s, &c, &s->b1, 0);
    forget(&c);
    unsigned copied = s->b2.requests_n;
    call_all(s, &c, &s->b1);
    s->b1.is_still = true;
    pass(s, 5000);
    pass(s, 2499);
    assert_int_equal(s->b2.requests_n, copied);
    pass(s, 1);
    assert_int_equal(s->b2.requests_n, copied + CALLS);
    answer_all(s, &c, &s->b2, copied);
    forget(&c);
}

/* It stops when the calls had been put off already. */
static void test_copies__put_off_are_given_when_the_broker_stops(void **state)
{
    struct stage *s = *state;
    static struct crowd c;
    stage_ready(s);
    call_all(s, &c, &s->b1);
    pass_half_of_the_time(s);
    assert_int_equal(s->b2.requests_n, 10 + CALLS / 20);
    s->b1.is_still = true;
    pass(s, 5000);
    pass(s, 2500);
    assert_int_equal(s->b2.requests_n, CALLS);
    answer_all(s, &c, &s->b2, 0);
    forget(&c);
}

/* The only call there is, when the budget is used up: it ends at its deadline, but not the next. */
static void test_copies__of_a_broker_that_let_a_call_end_are_not_needed(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    stage_call_sent(s);
    struct service *service =
        yzi_services_find(&s->engine->services, (yz_service_id){yzi_bytes_str(WORLD_SERVICE)});
    service->copies = 0;
    pass_half_of_the_time(s);
    pass_half_of_the_time(s);
    stage_run_until_ended(s, &s->call);
    expect_error(&s->call, YZ_ETIMEOUT, "not answered");
    assert_int_equal(s->b2.requests_n, 0);
    outcome_fini(&s->call);
    stage_call(s, &s->call);
    stage_run_until_requests(s, &s->b2, 1);
}

#define TWO(t) cmocka_unit_test_setup_teardown(t, stage_two_brokers, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TWO(test_copies__for_a_slow_adapter_are_few),
        TWO(test_copies__that_come_first_by_chance_are_few),
        TWO(test_copies__of_what_a_broker_drops_are_all),
        TWO(test_copies__a_broker_that_dropped_calls_is_tried_again),
        TWO(test_copies__a_broker_that_drops_again_is_tried_half_as_often),
        TWO(test_copies__go_to_a_broker_that_comes_later),
        TWO(test_copies__are_saved_up_to_a_limit),
        TWO(test_copies__of_what_a_broker_that_stands_still_has_are_all_and_at_once),
        TWO(test_copies__put_off_are_given_when_the_broker_stops),
        TWO(test_copies__of_a_broker_that_let_a_call_end_are_not_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
