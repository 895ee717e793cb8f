/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission at the broker: every reason for which a request is refused, with the status and reason
 * its sender hears; what refused requests leave behind. Limits are in test_limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/broker/fixture.h"

static void refused(struct rig *r, struct puppet *p, const struct world_request *q,
                    enum outcome_status status, const char *reason)
{
    MESSAGE(m) = make_request(r, q);
    puppet_send(p, yzi_bytes_buf(&m.raw));
    puppet_expect_outcome(p, &m, status, reason);
}

static void test_requests__are_forwarded_and_answered(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    assert_int_equal(puppet_expect_request(adapter, &q), YZ_EXPIRY_DEFAULT_MS);
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 1);
    MESSAGE(a);
    puppet_answer(adapter, &q, &a);
    puppet_expect_response(client, &a);
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 0);
    assert_int_equal(r->b->exchanges.bytes, 0);
    assert_int_equal(puppet_count(client, FRAME_OUTCOME), 0);
}

/* -- the first step -- */

static void test_requests__of_malformed_headers_are_refused(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    yz_bytes cut = yzi_bytes(q.frame.header.p, q.frame.header.n - 5);
    YZ_AUTO(yzi_buf_fini) yz_buf raw;
    yz_world_buf(&raw);
    assert_int_equal(
        yzi_frame_write(FRAME_REQUEST, cut, q.frame.block, q.frame.payload, (yz_bytes){0}, &raw),
        YZ_OK);
    puppet_send(client, yzi_bytes_buf(&raw));
    yzi_frame_digest(cut, q.frame.block, &q.digest);
    puppet_expect_outcome(client, &q, OUTCOME_MALFORMED, "header");
}

static void test_requests__of_another_sender_are_refused(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct world_node *w2 = yz_world_node(r->w, "CN/GOV/HB/@w2");
    /* what w2 signed, over w1's connection; and what an adapter asks as itself */
    refused(r, client, &(struct world_request){.client = w2}, OUTCOME_WRONG_SENDER, "peer");
    refused(r, adapter, &(struct world_request){0}, OUTCOME_WRONG_SENDER, "peer");
    refused(r, client, &(struct world_request){.consumer = "CN/GOV/HB/other"}, OUTCOME_WRONG_SENDER,
            "subsystem");
}

static void name_another_broker(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->brokers[0].node.v = yzi_bytes_str("CN/@b2");
    h->brokers_n = 1;
}

static void test_requests__for_another_broker_or_instance_are_refused(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    refused(r, client, &(struct world_request){.spoil = name_another_broker}, OUTCOME_WRONG_SENDER,
            "other-broker");
    refused(r, client, &(struct world_request){.service = "EE/GOV/MCA/civil/marriage/v1"},
            OUTCOME_UNKNOWN_SERVICE, "instance");
}

static void spoil_id(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->message_id = yzi_uuid_v7(h->issued_at - YZ_SKEW_MS - 1);
}

static void test_requests__out_of_their_time_are_refused(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    uint64_t now = yz_world_now(r->w);
    refused(r, client, &(struct world_request){.issued_at = now + YZ_SKEW_MS + 1}, OUTCOME_EXPIRED,
            "not-yet");
    refused(r, client,
            &(struct world_request){.issued_at = now - YZ_SKEW_MS - 1001, .life_ms = 1000},
            OUTCOME_EXPIRED, "expired");
    refused(r, client, &(struct world_request){.spoil = spoil_id}, OUTCOME_MALFORMED, "id-time");
    /* at the very edges they pass */
    MESSAGE(late) = make_request(
        r, &(struct world_request){.issued_at = now - YZ_SKEW_MS - 1000, .life_ms = 1000});
    puppet_send(client, yzi_bytes_buf(&late.raw));
    puppet_expect_request(adapter, &late);
    MESSAGE(early) = make_request(r, &(struct world_request){.issued_at = now + YZ_SKEW_MS});
    puppet_send(client, yzi_bytes_buf(&early.raw));
    puppet_expect_request(adapter, &early);
}

static void test_requests__are_refused_when_the_directory_is_too_old(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    yzi_key_pair_fini(&r->b->freshness);
    r->b->has_freshness = false;
    rig_advance(r, r->config.directory.stop + 1);
    puppet_expect_cut(client); /* it was silent for a day */
    client = rig_join(r, "CN/GOV/HB/@w1");
    refused(r, client, &(struct world_request){0}, OUTCOME_STALE_DIRECTORY, "freshness");
    rig_advance(r, 1000);
    assert_int_equal(yzi_metric_get(&r->b->metrics.ready), 0);
}

/* -- replays -- */

static void keep_id(struct request_header *h, void *ctx)
{
    h->message_id = *(const yz_uuid *)ctx;
}

static void test_requests__with_an_id_of_other_bytes_conflict(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    yz_uuid id = yzi_uuid_v7(yz_world_now(r->w));
    struct world_request same_id = {.spoil = keep_id, .ctx = &id};
    MESSAGE(q) = make_request(r, &same_id);
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    refused(r, client, &same_id, OUTCOME_ID_CONFLICT, "other-bytes");
    /* of another node it is another id */
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    same_id.client = other->node;
    MESSAGE(theirs) = make_request(r, &same_id);
    puppet_send(other, yzi_bytes_buf(&theirs.raw));
    puppet_expect_request(adapter, &theirs);
}

/* What was accepted is known after a restart, however that came: the same bytes are a retry, for
 * which the adapter has the answer; other bytes are a conflict. What was refused is not. */
static void test_requests__are_known_again_after_a_restart(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    yz_uuid id = yzi_uuid_v7(yz_world_now(r->w));
    struct world_request same_id = {.spoil = keep_id, .ctx = &id};
    MESSAGE(q) = make_request(r, &same_id);
    MESSAGE(denied) = make_request(r, &(struct world_request){.service = "CN/GOV/MCA/civil/no/v1"});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_send(client, yzi_bytes_buf(&denied.raw));
    puppet_expect_request(adapter, &q);
    puppet_expect(client, FRAME_OUTCOME);
    puppet_close(client);
    puppet_close(adapter);
    rig_stop(r);
    rig_start(r);
    assert_int_equal(yzi_replay_count(r->b->replay), 1);
    client = rig_ready(r, &adapter);
    refused(r, client, &same_id, OUTCOME_ID_CONFLICT, "other-bytes");
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    assert_int_equal(yzi_metric_get(&r->b->metrics.retries), 1);
    MESSAGE(a);
    puppet_answer(adapter, &q, &a);
    puppet_expect_response(client, &a);
}

/* The clocks of sender and broker may differ by the skew, so a request is accepted so much longer
 * than it says: until then it is known. */
static void test_requests__are_known_as_long_as_they_are_accepted(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    uint64_t began = yz_world_now(r->w);
    yz_uuid id = yzi_uuid_v7(began);
    struct world_request request = {
        .spoil = keep_id, .ctx = &id, .issued_at = began, .life_ms = 1000};
    MESSAGE(q) = make_request(r, &request);
    request.purpose = "tax";
    MESSAGE(other) = make_request(r, &request);
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    MESSAGE(a);
    puppet_answer(adapter, &q, &a);
    puppet_expect_response(client, &a);
    for (unsigned ms = 0; ms < YZ_SKEW_MS + 1000; ms += 1000) {
        rig_advance(r, 1000);
        assert_true(puppet_is_heard(adapter)); /* or it would be given up as silent */
        assert_true(puppet_is_heard(client));
    }
    assert_int_equal(yz_world_now(r->w), began + 1000 + YZ_SKEW_MS);
    puppet_send(client, yzi_bytes_buf(&other.raw));
    puppet_expect_outcome(client, &other, OUTCOME_ID_CONFLICT, "other-bytes");
    puppet_send(client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(client));
    assert_int_equal(yzi_metric_get(&r->b->metrics.retries), 1);
    rig_advance(r, 1);
    puppet_send(client, yzi_bytes_buf(&other.raw));
    puppet_expect_outcome(client, &other, OUTCOME_EXPIRED, "expired");
}

/* Nothing is accepted whose id could not be kept. */
static void test_requests__are_refused_when_their_id_cannot_be_kept(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    YZ_AUTO(yzi_free_ptr) char *dir = NULL;
    assert_int_equal(yzi_path_join(r->home, "state/replay", &dir), YZ_OK);
    assert_int_equal(rmdir(dir), 0);
    refused(r, client, &(struct world_request){0}, OUTCOME_UNAVAILABLE, "storage");
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 0);
    assert_int_equal(yzi_dir_make(dir, 0700, NULL), YZ_OK);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
}

static void test_requests__repeated_are_answered_where_the_sender_now_listens(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    puppet_close(client);
    struct puppet *again = rig_join(r, "CN/GOV/HB/@w1");
    puppet_send(again, yzi_bytes_buf(&q.raw));
    assert_int_equal(puppet_count(again, FRAME_OUTCOME), 0);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 0); /* it has it */
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 1);
    assert_int_equal(yzi_metric_get(&r->b->metrics.retries), 1);
    MESSAGE(a);
    puppet_answer(adapter, &q, &a);
    puppet_expect_response(again, &a);
    /* and once more after the end: the adapter's memory answers */
    puppet_send(again, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    puppet_send(adapter, yzi_bytes_buf(&a.raw));
    puppet_expect_response(again, &a);
    assert_int_equal(again->node == client->node, 1);
    for (struct table_item *i = yzi_table_first(&r->b->connections.loads); i;
         i = yzi_table_next(i)) {
        assert_int_equal(((struct node_load *)yzi_table_value(i))->in_flight, 0);
    }
}

static void test_requests__repeated_too_often_are_refused(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    for (unsigned i = 0; i <= REPLAY_RETRIES_MAX; i++) {
        puppet_send(client, yzi_bytes_buf(&q.raw));
    }
    assert_int_equal(puppet_count(client, FRAME_OUTCOME), 0);
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_outcome(client, &q, OUTCOME_REPLAYED, "too-often");
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 1);
}

/* -- the second step -- */

static void test_requests__of_wrong_signatures_are_refused_and_leave_no_id(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    MESSAGE(other) = make_request(r, &(struct world_request){0});
    MESSAGE(bad);
    yz_world_reframe(&q.frame, &other.frame.block, NULL, &bad);
    puppet_send(client, yzi_bytes_buf(&bad.raw));
    puppet_expect_outcome(client, &bad, OUTCOME_BAD_SIGNATURE, "signature");
    refused(r, client, &(struct world_request){.sign_with = &adapter->node->signing},
            OUTCOME_BAD_SIGNATURE, "key");
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
    /* the genuine one of the same id is not held up by the forged one */
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
}

static void test_requests__of_another_payload_are_refused(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    uint8_t payload[4096];
    assert_in_range(q.frame.payload.n, 1, sizeof payload);
    memcpy(payload, q.frame.payload.p, q.frame.payload.n);
    payload[q.frame.payload.n / 2] ^= 1;
    yz_bytes flipped = yzi_bytes(payload, q.frame.payload.n);
    yz_bytes shorter = yzi_bytes(payload, q.frame.payload.n - 1);
    MESSAGE(one);
    yz_world_reframe(&q.frame, NULL, &flipped, &one);
    puppet_send(client, yzi_bytes_buf(&one.raw));
    puppet_expect_outcome(client, &one, OUTCOME_MALFORMED, "digest");
    MESSAGE(two);
    yz_world_reframe(&q.frame, NULL, &shorter, &two);
    puppet_send(client, yzi_bytes_buf(&two.raw));
    puppet_expect_outcome(client, &two, OUTCOME_MALFORMED, "length");
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
}

/* -- grants -- */

static void test_requests__without_a_right_are_denied_and_leave_no_id(void **state)
{
    struct rig *r = *state;
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    refused(r, client, &(struct world_request){0}, OUTCOME_UNKNOWN_SERVICE, "no-such-service");
    rig_offer(r, 1);
    refused(r, client, &(struct world_request){.service = "CN/GOV/MCA/civil/marriage/v2"},
            OUTCOME_UNKNOWN_SERVICE, "no-such-service");
    struct world_member *hb = yz_world_member(r->w, "CN/GOV/HB");
    yz_world_add_subsystem(hb, "attic");
    yz_world_add_node(hb, "w3", ROLE_CLIENT, "attic");
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *attic = rig_join(r, "CN/GOV/HB/@w3");
    refused(r, attic, &(struct world_request){.client = attic->node, .consumer = "CN/GOV/HB/attic"},
            OUTCOME_DENIED, "no-grant");
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
}

/* What writes must be done by one adapter at most, so its request has one slot. */
static void test_requests__to_services_that_write_have_one_slot(void **state)
{
    struct rig *r = *state;
    struct world_node *a1 = yz_world_node(r->w, "CN/GOV/MCA/@a1");
    struct world_node *a2 = yz_world_node(r->w, "CN/GOV/MCA/@a2");
    r->w->offers_write = true;
    rig_offer(r, 1);
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    refused(r, client, &(struct world_request){.slots = {a1, a2}}, OUTCOME_MALFORMED, "slots");
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
}

static void test_requests__denied_are_told_the_rule(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 3);
    yz_world_add_subsystem(yz_world_member(r->w, "CN/GOV/HB"), "attic");
    yz_world_add_node(yz_world_member(r->w, "CN/GOV/HB"), "w3", ROLE_CLIENT, "attic");
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *attic = rig_join(r, "CN/GOV/HB/@w3");
    MESSAGE(q) = make_request(
        r, &(struct world_request){.client = attic->node, .consumer = "CN/GOV/HB/attic"});
    puppet_send(attic, yzi_bytes_buf(&q.raw));
    struct outcome_header h;
    assert_int_equal(yzi_outcome_header_parse(puppet_expect(attic, FRAME_OUTCOME)->header, &h),
                     YZ_OK);
    assert_true(yzi_bytes_eq_str(h.rule, "CN/GOV/MCA/civil@3"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests__are_forwarded_and_answered),
        TEST(test_requests__of_malformed_headers_are_refused),
        TEST(test_requests__of_another_sender_are_refused),
        TEST(test_requests__for_another_broker_or_instance_are_refused),
        TEST(test_requests__out_of_their_time_are_refused),
        TEST(test_requests__are_refused_when_the_directory_is_too_old),
        TEST(test_requests__with_an_id_of_other_bytes_conflict),
        TEST(test_requests__are_known_again_after_a_restart),
        TEST(test_requests__are_known_as_long_as_they_are_accepted),
        TEST(test_requests__are_refused_when_their_id_cannot_be_kept),
        TEST(test_requests__repeated_are_answered_where_the_sender_now_listens),
        TEST(test_requests__repeated_too_often_are_refused),
        TEST(test_requests__of_wrong_signatures_are_refused_and_leave_no_id),
        TEST(test_requests__of_another_payload_are_refused),
        TEST(test_requests__without_a_right_are_denied_and_leave_no_id),
        TEST(test_requests__to_services_that_write_have_one_slot),
        TEST(test_requests__denied_are_told_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
