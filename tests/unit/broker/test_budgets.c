/* SPDX-License-Identifier: Apache-2.0
 *
 * What a known peer can make a broker work for nothing: failed verifications and nonsense are
 * budgeted per node, and refusals are signed together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/fixture.h"

/* Its status, and its rule if that is wanted. */
static enum outcome_status next_outcome(struct puppet *p, const char *rule)
{
    struct outcome_header h;
    assert_int_equal(yzi_outcome_header_parse(puppet_expect(p, FRAME_OUTCOME)->header, &h), YZ_OK);
    if (rule) {
        assert_true(yzi_bytes_eq_str(h.rule, rule));
    }
    return h.status;
}

static void send_forged(struct puppet *client, struct puppet *adapter)
{
    MESSAGE(m) =
        make_request(client->rig, &(struct world_request){.client = client->node,
                                                          .sign_with = &adapter->node->signing});
    puppet_send(client, yzi_bytes_buf(&m.raw));
}

static void test_budgets__failed_verifications_are_counted_per_node(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    r->config.limits.faults_per_peer = 2; /* sixteen at once */
    for (int i = 0; i < 30; i++) {        /* what verifies uses nothing up */
        MESSAGE(good) = make_request(r, &(struct world_request){0});
        puppet_send(client, yzi_bytes_buf(&good.raw));
        puppet_expect_request(adapter, &good);
    }
    for (int i = 0; i < 16; i++) {
        send_forged(client, adapter);
        assert_int_equal(next_outcome(client, NULL), OUTCOME_BAD_SIGNATURE);
    }
    send_forged(client, adapter);
    assert_int_equal(next_outcome(client, "faults-per-peer"), OUTCOME_BUSY);
    MESSAGE(q) = make_request(r, &(struct world_request){0}); /* nor is a good one looked at */
    puppet_send(client, yzi_bytes_buf(&q.raw));
    assert_int_equal(next_outcome(client, "faults-per-peer"), OUTCOME_BUSY);
    assert_int_equal(yzi_replay_count(r->b->replay), 30); /* and its id is not taken */
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    MESSAGE(theirs) = make_request(r, &(struct world_request){.client = other->node});
    puppet_send(other, yzi_bytes_buf(&theirs.raw));
    puppet_expect_request(adapter, &theirs);
    rig_advance(r, 1000); /* two more */
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
}

/* Of a log of ours that never was. */
static void hello_with_forged_checkpoint(struct puppet *p)
{
    static const uint8_t signature[64] = {9};
    struct checkpoint_ref seen = {.present = true,
                                  .log = WORLD_TIME,
                                  .size = 1000000,
                                  .root = {{7}},
                                  .signature = yzi_bytes(signature, sizeof signature)};
    uint8_t shown[YZ_SEEN_BYTES];
    yzi_seen_write(&seen, shown);
    struct hello h = {.node = p->node->node,
                      .role = p->node->role,
                      .boot = yzi_uuid_v7(WORLD_TIME),
                      .checkpoint = yzi_bytes(shown, sizeof shown)};
    YZ_AUTO(yzi_buf_fini) yz_buf out;
    yz_world_buf(&out);
    assert_int_equal(yzi_hello_write(&h, &out), YZ_OK);
    puppet_send(p, yzi_bytes_buf(&out));
}

static void test_budgets__forged_checkpoints_are_counted_per_node(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    r->config.limits.faults_per_peer = 2; /* sixteen at once */
    for (int i = 0; i < 15; i++) {
        hello_with_forged_checkpoint(client);
    }
    MESSAGE(last) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&last.raw));
    puppet_expect_request(adapter, &last);
    hello_with_forged_checkpoint(client);
    hello_with_forged_checkpoint(client); /* not looked at, and no reason to part */
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    assert_int_equal(next_outcome(client, "faults-per-peer"), OUTCOME_BUSY);
}

static void test_budgets__nonsense_costs_the_connection(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *second = rig_join(r, "CN/GOV/HB/@w1");
    r->config.limits.nonsense_per_peer = 1; /* sixteen at once */
    for (int i = 0; i < 16; i++) {
        puppet_send(client, yzi_bytes_str("rubbish"));
    }
    assert_true(puppet_is_heard(client));
    puppet_send(client, yzi_bytes_str("rubbish"));
    puppet_expect_cut(client);
    assert_int_equal(yzi_metric_get(&r->b->metrics.cut_nonsense), 1);
    /* it was the node's, whatever the connection; and requests that are wrong count */
    assert_true(puppet_is_heard(second));
    send_forged(second, adapter);
    puppet_expect_cut(second);
    assert_int_equal(yzi_metric_get(&r->b->metrics.cut_nonsense), 2);
    assert_true(puppet_is_heard(adapter));
    rig_advance(r, 3000);
    struct puppet *again = rig_join(r, "CN/GOV/HB/@w1");
    puppet_send(again, yzi_bytes_str("rubbish"));
    assert_true(puppet_is_heard(again));
}

static void test_budgets__an_adapters_wrong_answers_are_counted(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    r->config.limits.nonsense_per_peer = 1;
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    YZ_AUTO(yzi_buf_fini) yz_buf bad;
    yz_world_buf(&bad);
    yz_bytes rubbish = yzi_bytes_str("rubbish");
    assert_int_equal(
        yzi_frame_write(FRAME_RESPONSE, rubbish, rubbish, (yz_bytes){0}, (yz_bytes){0}, &bad),
        YZ_OK);
    for (int i = 0; i < 17; i++) {
        puppet_send(adapter, yzi_bytes_buf(&bad));
    }
    puppet_expect_cut(adapter);
    puppet_expect_outcome(client, &q, OUTCOME_UNAVAILABLE, "adapter-lost");
}

/* The adapter's answer, signed by the client's key or its own. */
static void answered(struct puppet *client, struct puppet *adapter, bool forged)
{
    struct rig *r = client->rig;
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    MESSAGE(a) = {0};
    struct world_response with = {.adapter = adapter->node,
                                  .sign_with = forged ? &client->node->signing : NULL};
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    yz_world_response(r->w, &with, &q.frame, &a);
    puppet_send(adapter, yzi_bytes_buf(&a.raw));
}

/* Beyond its budget nothing of an adapter's is verified: it may as well be wrong. */
static void test_budgets__an_adapters_failed_verifications_are_counted(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    r->config.limits.faults_per_peer = 2; /* sixteen at once */
    for (int i = 0; i < 17; i++) {
        bool forged = i < 16;
        answered(client, adapter, forged);
        assert_int_equal(next_outcome(client, NULL), OUTCOME_UNAVAILABLE);
    }
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_bad), 17);
    rig_advance(r, 1000); /* two more */
    answered(client, adapter, false);
    (void)puppet_expect(client, FRAME_RESPONSE);
}

/* What is refused in one step is signed at once, and each outcome stands by itself. */
static void test_budgets__refusals_are_signed_together(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    enum { N = 200 };
    static struct world_message q[N];
    size_t largest = 0;
    r->config.limits.in_flight_per_peer = 0;
    for (int i = 0; i < N; i++) {
        q[i] = make_request(r, &(struct world_request){0});
    }
    for (int i = 0; i < N; i++) {
        puppet_send(client, yzi_bytes_buf(&q[i].raw));
    }
    for (int i = 0; i < N; i++) {
        puppet_expect_outcome(client, &q[i], OUTCOME_BUSY, "limit"); /* which verifies it */
        struct signature_block block;
        assert_int_equal(yzi_block_parse(client->frame.block, &block), YZ_OK);
        largest = block.tree_size > largest ? block.tree_size : largest;
        yz_world_message_fini(&q[i]);
    }
    assert_true(largest > 1);
    assert_true(client->bundles > 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.outcomes[OUTCOME_BUSY]), N);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_budgets__failed_verifications_are_counted_per_node),
        TEST(test_budgets__forged_checkpoints_are_counted_per_node),
        TEST(test_budgets__nonsense_costs_the_connection),
        TEST(test_budgets__an_adapters_wrong_answers_are_counted),
        TEST(test_budgets__an_adapters_failed_verifications_are_counted),
        TEST(test_budgets__refusals_are_signed_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
