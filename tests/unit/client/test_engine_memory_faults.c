/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine that runs out of memory at every allocation of whole flows, one after the other: a call
 * ends exactly once, by its deadline at the latest, rightly or with an error, and afterwards the
 * same engine answers the next as if nothing had been. Only the engine's own allocations fail, not
 * those of the puppet broker.
 */
#include "tests/unit/client/puppet.h"

#include "base/file.h"
#include "tests/support/alloc_fail.h"

#define ALLOCATIONS_MAX 1000u /* a flow that never gets by is a fault of the test */
#define TICK_MS 50u           /* of the manual clock, for 5 ms of real time at most */
#define CALLS_MAX 5u

static int set_up(void **state)
{
    assert_int_equal(stage_one_broker(state), 0);
    struct stage *s = *state;
    s->before_step = yz_alloc_fail_resume;
    s->after_step = yz_alloc_fail_pause;
    s->b1.client_may_leave = true;
    yz_alloc_fail_arm(0);
    return 0;
}

static int tear_down(void **state)
{
    yz_alloc_fail_stop();
    return stage_tear_down(state);
}

static bool disarm(void)
{
    bool hit = yz_alloc_fail_stop().failed;
    yz_alloc_fail_arm(0);
    return hit;
}

static bool time_flies;

/* The puppet answers what it was asked; time goes on. */
static bool answered(struct stage *s, void *ctx)
{
    struct puppet *p = &s->b1;
    for (unsigned i = 0; i < p->requests_n; i++) {
        stage_answer(s, p, NULL, "married", i);
        yzi_buf_fini(&p->requests[i]);
    }
    p->requests_n = 0;
    const struct outcome_of_call *c = ctx;
    if (c->ended > 0) {
        return true;
    }
    if (time_flies || yz_alloc_fail_hit()) { /* what was lost is noticed by time alone */
        yzi_manual_clock_advance(&s->w->clock, TICK_MS);
        if (p->has_client) {
            puppet_heartbeat(p);
        }
    }
    return false;
}

static void submit(struct stage *s, struct outcome_of_call *out)
{
    struct call_order order;
    stage_order(s, false, out, &order);
    yz_alloc_fail_resume();
    yzi_engine_submit(s->engine, &order);
    yz_alloc_fail_pause();
}

/* One call with the n-th allocation from here failing. True: it was reached. */
static bool call_with(struct stage *s, unsigned n)
{
    struct outcome_of_call c = {0};
    yz_alloc_fail_arm(n);
    submit(s, &c);
    stage_run(s, answered, &c);
    stage_settle(s);
    bool hit = disarm();
    assert_int_equal(c.ended, 1);
    if (c.rc == YZ_OK) {
        expect_record(&c, "married");
    }
    assert_true(hit || c.rc == YZ_OK);
    assert_int_equal(yzi_engine_calls(s->engine), 0);
    outcome_fini(&c);
    return hit;
}

/* The next call, with all the memory it wants. A machine under load may not connect within the few
 * real milliseconds that a timeout of the manual clock lasts, so there are some more. */
static void serves(struct stage *s)
{
    struct outcome_of_call c = {0};
    yz_alloc_fail_arm(0);
    time_flies = true;
    for (unsigned i = 0; i < CALLS_MAX && (i == 0 || c.rc != YZ_OK); i++) {
        outcome_fini(&c);
        submit(s, &c);
        stage_run(s, answered, &c);
        assert_int_equal(c.ended, 1);
    }
    time_flies = false;
    if (c.rc != YZ_OK) {
        fail_msg("%s", c.err.text);
    }
    expect_record(&c, "married");
    outcome_fini(&c);
}

static void test_call__ends_once_whatever_allocation_fails(void **state)
{
    struct stage *s = *state;
    stage_ready(s);
    serves(s);
    unsigned n = 1;
    while (call_with(s, n)) {
        serves(s);
        assert_true(n++ < ALLOCATIONS_MAX);
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 5);
}

/* -- from nothing: connecting, the directory, the service -- */

static void forget_all(struct stage *s)
{
    char path[512];
    yzi_engine_free(s->engine);
    s->engine = NULL;
    yzi_trust_close(s->trust);
    s->trust = NULL;
    snprintf(path, sizeof path, "%s/state", s->dir);
    yz_world_rmdir(path);
    stage_open_trust(s);
}

static void test_start__a_first_call_ends_once_whatever_allocation_fails(void **state)
{
    struct stage *s = *state;
    struct engine_options o = {.config = &s->config,
                               .clock = &s->w->clock.clock,
                               .signing = &s->client->signing,
                               .transport = &s->client->transport,
                               .net = s->net};
    bool hit = true;
    unsigned n = 1;
    for (; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        forget_all(s);
        o.trust = s->trust;
        yz_alloc_fail_arm(n);
        yz_alloc_fail_resume();
        int rc = yzi_engine_new(&o, &s->engine, NULL);
        yz_alloc_fail_pause();
        if (rc < 0) {
            assert_int_equal(rc, YZ_ENOMEM);
            assert_true(disarm());
            continue;
        }
        struct outcome_of_call c = {0};
        submit(s, &c);
        stage_run(s, answered, &c);
        hit = disarm();
        assert_int_equal(c.ended, 1);
        assert_true(hit || c.rc == YZ_OK);
        outcome_fini(&c);
        serves(s);
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 30);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_call__ends_once_whatever_allocation_fails),
        TEST(test_start__a_first_call_ends_once_whatever_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
