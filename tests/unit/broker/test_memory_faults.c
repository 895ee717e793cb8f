/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that runs out of memory at every allocation of whole flows, one after the other: what it
 * was asked ends properly, or is lost and can be asked again; nothing of it stays behind; and
 * afterwards the same broker serves as if nothing had been. Only the broker's own allocations fail,
 * not those of its puppets (or of libzmq, which would end the process).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/unit/broker/fixture.h"

#define ALLOCATIONS_MAX 400u /* a flow that never gets by is a fault of the test */

/* What puppets were given since the last flow began. */
static struct {
    unsigned responses, outcomes, requests[2], welcomes, put_results;
    enum outcome_status outcome;
    int put_code;
} got;

static struct puppet *client, *adapters[2];

static void seen(struct puppet *p, const struct frame *f)
{
    struct outcome_header outcome;
    struct put_result result;
    got.responses += f->kind == FRAME_RESPONSE;
    got.welcomes += f->kind == FRAME_WELCOME;
    if (f->kind == FRAME_REQUEST) {
        got.requests[p == adapters[1]]++;
    }
    if (f->kind == FRAME_OUTCOME && yzi_outcome_header_parse(f->header, &outcome) == YZ_OK) {
        got.outcomes++;
        got.outcome = outcome.status;
    }
    if (f->kind == FRAME_PUT_RESULT && yzi_put_result_parse(f->header, &result) == YZ_OK) {
        got.put_results++;
        got.put_code = result.code;
    }
}

static int set_up(void **state)
{
    assert_int_equal(rig_set_up(state), 0);
    struct rig *r = *state;
    r->config.limits.connections_per_peer = 90; /* puppets go without goodbye */
    yzi_broker_limits_changed(r->b);
    rig_offer(r, 1);
    adapters[0] = rig_join(r, "CN/GOV/MCA/@a1");
    adapters[1] = rig_join(r, "CN/GOV/MCA/@a2");
    client = rig_join(r, "CN/GOV/HB/@w1");
    r->seen = seen;
    r->before_step = yz_alloc_fail_resume;
    r->after_step = yz_alloc_fail_pause;
    yz_alloc_fail_arm(0);
    return 0;
}

static int tear_down(void **state)
{
    yz_alloc_fail_stop();
    return rig_tear_down(state);
}

/* With nothing left to read, that is not of the flow. */
static void arm(struct rig *r, unsigned n)
{
    for (unsigned i = 0; i < r->puppets_n; i++) {
        assert_true(puppet_is_heard(&r->puppets[i]));
    }
    memset(&got, 0, sizeof got);
    yz_alloc_fail_arm(n);
}

/* No more failures; was there one? */
static bool disarm(void)
{
    bool hit = yz_alloc_fail_stop().failed;
    yz_alloc_fail_arm(0);
    return hit;
}

static bool has_mail(const struct puppet *p)
{
    return p->inbox_read < p->inbox_n;
}

/* Until the puppet has mail, or memory ran out. */
static void wait_for_mail(struct puppet *p)
{
    for (unsigned i = 0; i < 1000 && !has_mail(p) && !yz_alloc_fail_hit(); i++) {
        rig_wait(p->rig);
    }
}

/* -- exchanges -- */

static void answer_what_came(const struct world_message *q)
{
    for (unsigned i = 0; i < 2; i++) {
        if (got.requests[i] > 0) {
            MESSAGE(a);
            puppet_answer(adapters[i], q, &a);
            assert_true(puppet_is_heard(adapters[i]));
            got.requests[i] = 0;
        }
    }
}

static bool is_under_way(const struct broker *b)
{
    return yzi_exchanges_count(&b->exchanges) > 0 || b->refused;
}

/* What was held for the evidence log has left. */
static void wait_for_log(struct rig *r)
{
    for (unsigned i = 0; i < 1000 && is_under_way(r->b); i++) {
        rig_wait(r);
    }
    assert_false(is_under_way(r->b));
}

/* Everything that is under way arrives. */
static void barrier(const struct world_message *q)
{
    for (unsigned round = 0; round < 2; round++) { /* a request may come back and go elsewhere */
        assert_true(puppet_is_heard(client));
        assert_true(puppet_is_heard(adapters[0]));
        assert_true(puppet_is_heard(adapters[1]));
        answer_what_came(q);
    }
    wait_for_log(client->rig);
    assert_true(puppet_is_heard(client));
}

/* Send, and have whoever gets it answer, until memory runs out or the answer is there. */
static void send_and_answer(struct rig *r, const struct world_message *q, bool first_rejects)
{
    puppet_send(client, yzi_bytes_buf(&q->raw));
    for (unsigned i = 0; i < 1000 && !has_mail(client) && !yz_alloc_fail_hit(); i++) {
        rig_wait(r);
        for (unsigned k = 0; k < 2; k++) {
            if (!has_mail(adapters[k])) {
                continue;
            }
            puppet_expect_request(adapters[k], q);
            got.requests[k] = 0;
            if (first_rejects) {
                puppet_reject(adapters[k], q, OUTCOME_BUSY);
                first_rejects = false;
            } else {
                MESSAGE(a);
                puppet_answer(adapters[k], q, &a);
            }
        }
    }
}

static bool exchange(struct rig *r, unsigned n, bool first_rejects)
{
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    arm(r, n);
    send_and_answer(r, &q, first_rejects);
    bool hit = disarm();
    barrier(&q);
    if (hit && got.responses + got.outcomes == 0) { /* lost: the consumer says the same again */
        puppet_send(client, yzi_bytes_buf(&q.raw));
        barrier(&q);
    }
    if (got.responses + got.outcomes != 1 || (!hit && got.responses != 1)) {
        fail_msg("with allocation %u failing: %u responses, %u outcomes", n, got.responses,
                 got.outcomes);
    }
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 0);
    assert_int_equal(r->b->exchanges.bytes, 0);
    return hit;
}

static void every_exchange(struct rig *r, bool first_rejects)
{
    unsigned n = 1;
    while (exchange(r, n, first_rejects)) {
        assert_false(exchange(r, 0, false)); /* the next is served as ever */
        assert_true(n++ < ALLOCATIONS_MAX);
    }
    print_message("%u allocations\n", n - 1);
    assert_true(n > 3);
}

static void test_exchange__ends_or_can_be_asked_again(void **state)
{
    every_exchange(*state, false);
}

static void test_rerouting__ends_or_can_be_asked_again(void **state)
{
    every_exchange(*state, true);
}

/* -- refusals -- */

static void test_refusal__is_said_or_can_be_asked_again(void **state)
{
    struct rig *r = *state;
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        MESSAGE(q) = make_request(r, &(struct world_request){.service = "CN/GOV/MCA/civil/no/v1"});
        arm(r, n);
        puppet_send(client, yzi_bytes_buf(&q.raw));
        wait_for_mail(client);
        hit = disarm();
        barrier(&q);
        if (got.outcomes == 0) {
            assert_true(hit);
            puppet_send(client, yzi_bytes_buf(&q.raw));
            barrier(&q);
        }
        assert_int_equal(got.outcomes, 1);
        assert_int_equal(got.requests[0] + got.requests[1], 0);
        assert_false(exchange(r, 0, false));
    }
}

/* -- connections, records -- */

static void drop_last_puppet(struct rig *r)
{
    struct puppet *p = &r->puppets[--r->puppets_n];
    puppet_close(p);
    free(p->inbox);
}

/* With memory enough it is let in at once, whatever the broker still does about the one before. */
static struct puppet *come_again(struct rig *r)
{
    drop_last_puppet(r);
    struct puppet *p = rig_puppet(r, "CN/GOV/HB/@w2");
    assert_true(puppet_connects(p));
    return p;
}

static void test_hello__is_welcomed_or_can_be_said_again(void **state)
{
    struct rig *r = *state;
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        arm(r, n);
        struct puppet *p = rig_puppet(r, "CN/GOV/HB/@w2");
        if (puppet_connects(p)) {
            puppet_hello(p, r->w->version, n);
            wait_for_mail(p);
        }
        hit = disarm();
        if (!hit || has_mail(p)) {
            assert_true(puppet_is_heard(p));
        }
        if (got.welcomes == 0) { /* refused, cut off or not heard: it comes again */
            assert_true(hit);
            p = come_again(r);
            puppet_hello(p, r->w->version, n);
            assert_true(puppet_is_heard(p));
        }
        assert_int_equal(got.welcomes, 1);
        drop_last_puppet(r);
        assert_false(exchange(r, 0, false));
    }
}

static void test_offer__is_taken_or_refused_whole(void **state)
{
    struct rig *r = *state;
    static const char *const fields[] = {"person_id", "status", NULL};
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        YZ_AUTO(yzi_buf_fini) yz_buf offer;
        YZ_AUTO(yzi_buf_fini) yz_buf frame;
        yz_world_buf(&offer);
        yz_world_buf(&frame);
        yz_world_simple_offer(r->w, WORLD_SERVICE, WORLD_CONSUMER, n + 1, fields, &offer, NULL);
        assert_int_equal(yzi_put_write(7, yzi_bytes_buf(&offer), &frame), YZ_OK);
        arm(r, n);
        puppet_send(adapters[0], yzi_bytes_buf(&frame));
        wait_for_mail(adapters[0]);
        hit = disarm();
        assert_true(puppet_is_heard(adapters[0]));
        assert_true(got.put_results <= 1);
        assert_true(hit || got.put_code == YZ_OK);
        assert_false(exchange(r, 0, false)); /* by the old offer or by the new one */
        puppet_put(adapters[0], yzi_bytes_buf(&offer), YZ_OK);
    }
}

static void test_announcement__is_taken_or_refused_whole(void **state)
{
    struct rig *r = *state;
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        YZ_AUTO(yzi_buf_fini) yz_buf frame;
        yz_world_buf(&frame);
        struct epoch *e = yz_world_epoch(r->w, adapters[1]->node);
        assert_int_equal(yzi_put_write(7, yzi_bytes_buf(&e->record), &frame), YZ_OK);
        puppet_close(adapters[1]);
        free(adapters[1]->inbox);
        assert_ptr_equal(adapters[1], &r->puppets[1]);
        unsigned others = r->puppets_n;
        r->puppets_n = 1;
        adapters[1] = rig_puppet(r, "CN/GOV/MCA/@a2");
        r->puppets_n = others;
        assert_true(puppet_connects(adapters[1]));
        puppet_hello(adapters[1], r->w->version, 100 + n);
        puppet_expect(adapters[1], FRAME_WELCOME);
        assert_true(puppet_is_heard(adapters[1]));
        arm(r, n);
        puppet_send(adapters[1], yzi_bytes_buf(&frame));
        wait_for_mail(adapters[1]);
        hit = disarm();
        assert_true(puppet_is_heard(adapters[1]));
        puppet_put(adapters[1], yzi_bytes_buf(&e->record), YZ_OK);
        assert_false(exchange(r, 0, false));
    }
}

static void test_directory__is_adopted_or_not(void **state)
{
    struct rig *r = *state;
    bool hit = true;
    for (unsigned n = 1; hit; n++) {
        assert_true(n < ALLOCATIONS_MAX * 4);
        uint64_t before = yzi_directory_version(r->b->directory);
        yz_world_publish(r->w);
        arm(r, n);
        yz_alloc_fail_resume();
        int rc = yzi_trust_put_bundle(r->b->trust, yzi_bytes_buf(&r->w->bundle), NULL);
        yzi_broker_directory_changed(r->b);
        yz_alloc_fail_pause();
        hit = disarm();
        assert_true(rc == YZ_OK || (hit && rc == YZ_ENOMEM));
        assert_non_null(r->b->directory);
        assert_int_equal(yzi_directory_version(r->b->directory),
                         rc == YZ_OK ? r->w->version : before);
        if (rc < 0) {
            rig_give_directory(r);
        }
        assert_int_equal(yzi_directory_version(r->b->directory), r->w->version);
        assert_false(exchange(r, 0, false));
    }
}

/* -- starting -- */

/* Offers that were kept are only a convenience: a start without them is one, and says so. */
static void test_start__succeeds_or_leaves_nothing(void **state)
{
    struct rig *r = *state;
    disarm();
    rig_stop(r);
    struct alloc_fail_result result = {.failed = 1};
    size_t n = 1;
    for (; result.failed; n++) {
        struct broker *b = NULL;
        yz_alloc_fail_start(n);
        int rc = yzi_broker_new(&r->config, &r->w->clock.clock, -1, &b, NULL);
        bool has_directory = b && b->directory;
        yzi_broker_free(b);
        result = yz_alloc_fail_stop();
        assert_true(rc == YZ_OK || (result.failed && rc == YZ_ENOMEM));
        assert_int_equal(has_directory, rc == YZ_OK); /* whole or not at all */
        assert_int_equal(result.live, 0);
    }
    assert_true(n > 20);
    rig_start(r);
    assert_non_null(r->b->directory);
    assert_int_equal(yzi_offers_count(r->b->offers), 1);
    yz_alloc_fail_arm(0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_exchange__ends_or_can_be_asked_again),
        TEST(test_rerouting__ends_or_can_be_asked_again),
        TEST(test_refusal__is_said_or_can_be_asked_again),
        TEST(test_hello__is_welcomed_or_can_be_said_again),
        TEST(test_offer__is_taken_or_refused_whole),
        TEST(test_announcement__is_taken_or_refused_whole),
        TEST(test_directory__is_adopted_or_not),
        TEST(test_start__succeeds_or_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
