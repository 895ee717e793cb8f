/* SPDX-License-Identifier: Apache-2.0
 *
 * How exchanges end at the broker: who gets the request, what becomes of it when its adapter says
 * no, says something wrong, says nothing or goes away, and who may hear the answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/fixture.h"

struct cast {
    struct puppet *client, *a1, *a2;
};

static struct cast cast_all(struct rig *r)
{
    rig_offer(r, 1);
    struct cast c;
    c.a1 = rig_join(r, "CN/GOV/MCA/@a1");
    c.a2 = rig_join(r, "CN/GOV/MCA/@a2");
    c.client = rig_join(r, "CN/GOV/HB/@w1");
    return c;
}

static size_t outstanding(struct rig *r, const struct puppet *p)
{
    const struct connection *k = yzi_connection_of_node(&r->b->connections, p->node->node);
    return k ? k->outstanding : SIZE_MAX;
}

static void nothing_is_left(struct rig *r)
{
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 0);
    assert_int_equal(r->b->exchanges.bytes, 0);
    assert_int_equal(r->b->exchanges.held_bytes, 0);
    assert_int_equal(yzi_table_count(&r->b->exchanges.loads), 0);
    for (struct table_item *i = yzi_table_first(&r->b->connections.loads); i;
         i = yzi_table_next(i)) {
        assert_int_equal(((struct node_load *)yzi_table_value(i))->in_flight, 0);
    }
    for (struct table_item *i = yzi_table_first(&r->b->connections.by_id); i;
         i = yzi_table_next(i)) {
        assert_int_equal(((struct connection *)yzi_table_value(i))->outstanding, 0);
    }
}

static void test_forward__goes_to_the_least_outstanding(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    unsigned to_a1 = 0;
    for (int i = 0; i < 6; i++) {
        MESSAGE(q) = make_request(r, &(struct world_request){0});
        puppet_send(c.client, yzi_bytes_buf(&q.raw));
        assert_true(puppet_is_heard(c.client));
        to_a1 += puppet_count(c.a1, FRAME_REQUEST);
    }
    assert_int_equal(to_a1, 3);
    assert_int_equal(outstanding(r, c.a1), 3);
    assert_int_equal(outstanding(r, c.a2), 3);
}

/* The request is with the adapter; what it will answer has a body of LARGE bytes. */
#define LARGE 200000u
static struct world_message ask_for_large(struct rig *r, const struct cast *c,
                                          const struct world_message *q)
{
    static uint8_t body[LARGE];
    const struct world_response large = {.adapter = c->a1->node,
                                         .body = yzi_bytes(body, sizeof body)};
    struct world_message a = {0};
    puppet_send(c->client, yzi_bytes_buf(&q->raw));
    puppet_expect_request(c->a1, q);
    yz_world_response(r->w, &large, &q->frame, &a);
    return a;
}

/* Answers wait for the log within a limit; what does not fit beside others is refused, and can be
 * asked for again. */
static void test_response__finds_no_room_until_the_log_has_it(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    r->b->exchanges.bytes_max = LARGE;
    r->b->exchanges.held_bytes = 1; /* another one */
    MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    MESSAGE(a) = ask_for_large(r, &c, &q);
    puppet_send(c.a1, yzi_bytes_buf(&a.raw));
    puppet_expect_outcome(c.client, &q, OUTCOME_BUSY, "limit");
    assert_int_equal(r->b->exchanges.held_bytes, 1);
    r->b->exchanges.held_bytes = 0;
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    puppet_send(c.a1, yzi_bytes_buf(&a.raw));
    puppet_expect_response(c.client, &a);
    assert_true(puppet_is_heard(c.client));
    nothing_is_left(r);
}

/* Its consumer's queue has no room for it, though for a few words: nothing is left unanswered. Also
 * when the answer would fit and leave none for those. */
static void test_response__that_does_not_fit_its_consumers_queue_is_told(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    static const size_t rooms[] = {100000, 1100000};
    c.a1->wants_receipts = true;
    for (size_t i = 0; i < 2; i++) {
        MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
        MESSAGE(a) = ask_for_large(r, &c, &q);
        yzi_server_set_queue_bytes(r->b->server, rooms[i], 64u << 20);
        puppet_send(c.a1, yzi_bytes_buf(&a.raw));
        puppet_expect_outcome(c.client, &q, OUTCOME_BUSY, YZ_REASON_CONSUMER_QUEUE);
        puppet_expect(c.a1, FRAME_RECEIPT); /* it is in the log all the same */
        assert_int_equal(yzi_metric_get(&r->b->metrics.messages_dropped), i + 1);
        nothing_is_left(r);
        yzi_server_set_queue_bytes(r->b->server, 256u << 20, 64u << 20);
        puppet_send(c.client, yzi_bytes_buf(&q.raw));
        puppet_expect_request(c.a1, &q);
        puppet_send(c.a1, yzi_bytes_buf(&a.raw));
        puppet_expect_response(c.client, &a);
        puppet_expect(c.a1, FRAME_RECEIPT);
    }
    nothing_is_left(r);
}

static void test_forward__goes_only_to_adapters_the_owner_named_and_the_request_lists(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    struct world_request only_a2 = {.slots = {c.a2->node}};
    MESSAGE(q) = make_request(r, &only_a2);
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a2, &q);
    /* a third adapter, of the member but not named in the offer */
    yz_world_add_node(yz_world_member(r->w, "CN/GOV/MCA"), "a3", ROLE_ADAPTER, "civil");
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *a3 = rig_join(r, "CN/GOV/MCA/@a3");
    MESSAGE(other) = make_request(r, &(struct world_request){.slots = {a3->node}});
    puppet_send(c.client, yzi_bytes_buf(&other.raw));
    puppet_expect_outcome(c.client, &other, OUTCOME_UNAVAILABLE, "no-live-adapter");
    assert_int_equal(puppet_count(a3, FRAME_REQUEST), 0);
}

/* The owner's offer names both still; their member took the subsystem from one and made the other
 * a client. */
static void test_forward__goes_to_no_node_that_may_not_serve_the_subsystem(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    struct world_member *mca = yz_world_member(r->w, "CN/GOV/MCA");
    MESSAGE(one) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    MESSAGE(two) = make_request(r, &(struct world_request){.slots = {c.a2->node}});
    yz_world_add_subsystem(mca, "archive");
    c.a1->node->codes[0] = "archive";
    c.a2->node->role = ROLE_CLIENT;
    yz_world_change(mca);
    yz_world_publish(r->w);
    rig_give_directory(r);
    puppet_send(c.client, yzi_bytes_buf(&one.raw));
    puppet_expect_outcome(c.client, &one, OUTCOME_UNAVAILABLE, "no-live-adapter");
    puppet_send(c.client, yzi_bytes_buf(&two.raw));
    puppet_expect_outcome(c.client, &two, OUTCOME_UNAVAILABLE, "no-live-adapter");
    assert_int_equal(puppet_count(c.a1, FRAME_REQUEST) + puppet_count(c.a2, FRAME_REQUEST), 0);
    nothing_is_left(r);
}

static void test_forward__without_a_live_adapter_is_unavailable(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_outcome(client, &q, OUTCOME_UNAVAILABLE, "no-live-adapter");
    /* connected is not enough: it said no hello */
    struct puppet *silent = rig_puppet(r, "CN/GOV/MCA/@a1");
    assert_true(puppet_connects(silent));
    puppet_heartbeat(silent, r->w->version);
    MESSAGE(again) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&again.raw));
    puppet_expect_outcome(client, &again, OUTCOME_UNAVAILABLE, "no-live-adapter");
    nothing_is_left(r);
}

static void test_timeout__is_told_and_a_late_answer_is_not(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){.life_ms = 1500, .slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    assert_int_equal(puppet_expect_request(c.a1, &q), 1500);
    rig_advance(r, 1499);
    assert_int_equal(puppet_count(c.client, FRAME_OUTCOME), 0);
    rig_advance(r, 1);
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, "no-answer-in-time");
    nothing_is_left(r);
    MESSAGE(a);
    puppet_answer(c.a1, &q, &a);
    assert_true(puppet_is_heard(c.a1));
    assert_int_equal(puppet_count(c.client, FRAME_RESPONSE), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_late), 1);
}

static void test_timeout__has_no_second_adapter_begin_too_late(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){.life_ms = 1500});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c.client));
    struct puppet *first = outstanding(r, c.a1) ? c.a1 : c.a2;
    puppet_expect_request(first, &q);
    /* the rejection is read in the very step in which the time is over */
    puppet_reject(first, &q, OUTCOME_BUSY);
    struct poll_entry entries[SERVER_POLL_ENTRIES];
    size_t n = yzi_server_poll_entries(r->b->server, entries);
    assert_int_equal(yzi_poll(entries, n, WAIT_MS), YZ_OK);
    rig_advance(r, 1500);
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, "no-answer-in-time");
    assert_int_equal(puppet_count(c.a1, FRAME_REQUEST) + puppet_count(c.a2, FRAME_REQUEST), 0);
    nothing_is_left(r);
}

static void test_reject__sends_the_request_to_the_other_slot_then_says_busy(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c.client));
    struct puppet *first = outstanding(r, c.a1) ? c.a1 : c.a2;
    struct puppet *second = first == c.a1 ? c.a2 : c.a1;
    puppet_expect_request(first, &q);
    rig_advance(r, 400);
    puppet_reject(first, &q, OUTCOME_BUSY);
    assert_int_equal(puppet_expect_request(second, &q), YZ_EXPIRY_DEFAULT_MS - 400);
    assert_int_equal(outstanding(r, first), 0);
    puppet_reject(second, &q, OUTCOME_BUSY);
    puppet_expect_outcome(c.client, &q, OUTCOME_BUSY, "adapter-busy");
    nothing_is_left(r);
}

/* An adapter cannot send anybody away for longer than a minute. */
static void test_reject__says_when_to_come_again_within_bounds(void **state)
{
    static const uint32_t told[] = {50, 60000, 60001, UINT32_MAX};
    struct rig *r = *state;
    struct puppet *a1, *client = rig_ready(r, &a1);
    for (unsigned i = 0; i < sizeof told / sizeof *told; i++) {
        MESSAGE(q) = make_request(r, &(struct world_request){0});
        struct outcome_header h;
        puppet_send(client, yzi_bytes_buf(&q.raw));
        puppet_expect_request(a1, &q);
        puppet_reject_for(a1, &q, OUTCOME_BUSY, told[i]);
        puppet_expect_outcome(client, &q, OUTCOME_BUSY, "adapter-busy");
        assert_int_equal(yzi_outcome_header_parse(client->frame.header, &h), YZ_OK);
        assert_int_equal(h.retry_after_ms, told[i] < 60000 ? told[i] : 60000);
    }
    nothing_is_left(r);
}

static void test_reject__says_busy_also_when_the_other_slot_is_not_there(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(a1, &q);
    puppet_reject(a1, &q, OUTCOME_BUSY);
    puppet_expect_outcome(client, &q, OUTCOME_BUSY, "adapter-busy");
    /* any other word of it is the broker's "unavailable" */
    MESSAGE(two) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&two.raw));
    puppet_expect_request(a1, &two);
    puppet_reject(a1, &two, OUTCOME_DENIED);
    puppet_expect_outcome(client, &two, OUTCOME_UNAVAILABLE, "adapter-refused");
    nothing_is_left(r);
}

static void test_response__of_another_adapter_is_not_heard(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c.client));
    struct puppet *asked = outstanding(r, c.a1) ? c.a1 : c.a2;
    struct puppet *other = asked == c.a1 ? c.a2 : c.a1;
    puppet_expect_request(asked, &q);
    /* an answer in its own name, the rejection of what it was not asked, the other's own words */
    MESSAGE(theirs);
    puppet_answer(other, &q, &theirs);
    puppet_reject(other, &q, OUTCOME_BUSY);
    MESSAGE(stolen);
    yz_world_response(r->w, &(struct world_response){.adapter = asked->node}, &q.frame, &stolen);
    puppet_send(other, yzi_bytes_buf(&stolen.raw));
    puppet_send(c.client, yzi_bytes_buf(&stolen.raw)); /* and from the consumer itself */
    assert_true(puppet_is_heard(other));
    assert_int_equal(puppet_count(c.client, FRAME_RESPONSE), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_bad), 4);
    MESSAGE(a);
    puppet_answer(asked, &q, &a);
    puppet_expect_response(c.client, &a);
    nothing_is_left(r);
}

static void name_another_request(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->message_id = yzi_uuid_v7(h->issued_at);
}

static void take_the_other_slot(struct response_header *h, void *ctx)
{
    (void)ctx;
    h->slot ^= 1;
}

static void test_response__that_does_not_verify_lets_the_other_slot_answer(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    struct world_response wrong[] = {
        {.sign_with = &c.client->node->signing},
        {.spoil = name_another_request},
        {.spoil = take_the_other_slot},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        MESSAGE(q) = make_request(r, &(struct world_request){0});
        puppet_send(c.client, yzi_bytes_buf(&q.raw));
        assert_true(puppet_is_heard(c.client));
        struct puppet *first = outstanding(r, c.a1) ? c.a1 : c.a2;
        struct puppet *second = first == c.a1 ? c.a2 : c.a1;
        puppet_expect_request(first, &q);
        MESSAGE(bad);
        wrong[i].adapter = first->node;
        yz_world_response(r->w, &wrong[i], &q.frame, &bad);
        puppet_send(first, yzi_bytes_buf(&bad.raw));
        puppet_expect_request(second, &q);
        wrong[i].adapter = second->node;
        MESSAGE(worse);
        yz_world_response(r->w, &wrong[i], &q.frame, &worse);
        puppet_send(second, yzi_bytes_buf(&worse.raw));
        puppet_expect_outcome(c.client, &q, OUTCOME_UNAVAILABLE, "bad-answer");
    }
    nothing_is_left(r);
}

static void test_response__with_a_stale_key_reaches_the_consumer(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    MESSAGE(a);
    yz_world_response(r->w, &(struct world_response){.status = RESPONSE_STALE_KEY}, &q.frame, &a);
    puppet_send(c.a1, yzi_bytes_buf(&a.raw));
    puppet_expect_response(c.client, &a);
    nothing_is_left(r);
}

static void test_response__reaches_nobody_when_the_consumer_was_revoked(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    yz_world_revoke_node(r->w, "CN/GOV/HB/@w1", yz_world_now(r->w));
    yz_world_publish(r->w);
    rig_give_directory(r);
    MESSAGE(a);
    puppet_answer(c.a1, &q, &a);
    assert_true(puppet_is_heard(c.a1));
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses), 0);
    puppet_expect_cut(c.client);
    assert_int_equal(puppet_count(c.client, FRAME_RESPONSE), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.outcomes[OUTCOME_WRONG_SENDER]), 0);
    while (yzi_exchanges_count(&r->b->exchanges) > 0) { /* until the log has the answer */
        rig_wait(r);
    }
    nothing_is_left(r);
}

/* The same of a node that is still there, and speaks for another subsystem by now. */
static void test_response__reaches_nobody_when_the_consumer_lost_the_subsystem(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    struct world_member *hb = yz_world_member(r->w, "CN/GOV/HB");
    MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    yz_world_add_subsystem(hb, "archive");
    c.client->node->codes[0] = "archive";
    yz_world_change(hb);
    yz_world_publish(r->w);
    rig_give_directory(r);
    MESSAGE(a);
    puppet_answer(c.a1, &q, &a);
    assert_true(puppet_is_heard(c.a1));
    while (yzi_exchanges_count(&r->b->exchanges) > 0) { /* until the log has the answer */
        rig_wait(r);
    }
    assert_int_equal(puppet_count(c.client, FRAME_RESPONSE), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses), 0);
    nothing_is_left(r);
}

static void test_adapters__lost_have_their_requests_go_elsewhere(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    struct world_message q[8];
    for (int i = 0; i < 8; i++) {
        q[i] = make_request(r, &(struct world_request){0});
        puppet_send(c.client, yzi_bytes_buf(&q[i].raw));
    }
    assert_true(puppet_is_heard(c.client));
    assert_int_equal(puppet_count(c.a1, FRAME_REQUEST), 4);
    assert_int_equal(puppet_count(c.a2, FRAME_REQUEST), 4);
    YZ_AUTO(yzi_buf_fini) yz_buf bye;
    yz_world_buf(&bye);
    assert_int_equal(yzi_bye_write(yzi_bytes_str("closing"), &bye), YZ_OK);
    puppet_send(c.a1, yzi_bytes_buf(&bye));
    assert_int_equal(puppet_count(c.a1, FRAME_REQUEST), 0); /* the goodbye was read */
    assert_int_equal(puppet_count(c.a2, FRAME_REQUEST), 4);
    assert_int_equal(outstanding(r, c.a2), 8);
    /* a2 falls silent: nobody is left */
    rig_advance(r, 3000);
    assert_true(puppet_is_heard(c.client));
    rig_advance(r, 3001);
    rig_advance(r, 1000);
    for (int i = 0; i < 8; i++) {
        const struct frame *f = puppet_expect(c.client, FRAME_OUTCOME);
        struct outcome_header h;
        assert_int_equal(yzi_outcome_header_parse(f->header, &h), YZ_OK);
        assert_int_equal(h.status, OUTCOME_UNAVAILABLE);
        assert_true(yzi_bytes_eq_str(h.reason, "adapter-lost"));
        yz_world_message_fini(&q[i]);
    }
    nothing_is_left(r);
}

static void test_adapters__revoked_have_their_requests_go_elsewhere_at_once(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c.client));
    struct puppet *first = outstanding(r, c.a1) ? c.a1 : c.a2;
    struct puppet *second = first == c.a1 ? c.a2 : c.a1;
    puppet_expect_request(first, &q);
    yz_world_revoke_node(r->w, first->node->id, yz_world_now(r->w));
    yz_world_publish(r->w);
    rig_give_directory(r);
    puppet_expect_request(second, &q);
    MESSAGE(a);
    puppet_answer(second, &q, &a);
    puppet_expect_response(c.client, &a);
    nothing_is_left(r);
}

static void test_adapters__reconnected_are_asked_on_their_new_connection(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    struct puppet *again = rig_join(r, "CN/GOV/MCA/@a1"); /* the old connection stood until then */
    puppet_expect_outcome(c.client, &q, OUTCOME_UNAVAILABLE, "adapter-lost");
    MESSAGE(two) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&two.raw));
    puppet_expect_request(again, &two);
    puppet_expect_cut(c.a1);
    assert_int_equal(puppet_count(c.a1, FRAME_REQUEST), 0);
    MESSAGE(a);
    puppet_answer(again, &two, &a);
    puppet_expect_response(c.client, &a);
}

/* -- writes: "unavailable" would say that it was not done -- */

static struct cast cast_writers(struct rig *r)
{
    r->w->offers_write = true;
    return cast_all(r);
}

/* A request to a1 that a1 has. */
static struct world_message write_by_a1(struct rig *r, const struct cast *c)
{
    struct world_message q = make_request(r, &(struct world_request){.slots = {c->a1->node}});
    puppet_send(c->client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c->a1, &q);
    return q;
}

/* It was executed: "busy" would invite the consumer to ask for it once more. */
static void test_write__whose_answer_does_not_fit_is_told_as_timeout(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_writers(r);
    MESSAGE(q) = write_by_a1(r, &c);
    yzi_server_set_queue_bytes(r->b->server, 100000, 64u << 20);
    MESSAGE(a);
    puppet_answer(c.a1, &q, &a);
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, YZ_REASON_CONSUMER_QUEUE);
    nothing_is_left(r);
}

/* Its connection was lost, the other one has the request, and it answers over a new connection
 * before that does: a true answer, and nothing to be blamed for. */
static void test_adapters__reconnected_may_answer_what_the_other_has_now(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(c.client));
    struct puppet *first = outstanding(r, c.a1) ? c.a1 : c.a2;
    struct puppet *second = first == c.a1 ? c.a2 : c.a1;
    puppet_expect_request(first, &q);
    struct puppet *again = rig_join(r, first == c.a1 ? "CN/GOV/MCA/@a1" : "CN/GOV/MCA/@a2");
    puppet_expect_request(second, &q);
    /* what it says against the request has no weight any more */
    puppet_reject(again, &q, OUTCOME_BUSY);
    const struct world_response false_one = {.adapter = again->node,
                                             .sign_with = &c.client->node->signing};
    MESSAGE(forged);
    yz_world_response(r->w, &false_one, &q.frame, &forged);
    puppet_send(again, yzi_bytes_buf(&forged.raw));
    assert_true(puppet_is_heard(again));
    assert_int_equal(outstanding(r, second), 1);
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_bad), 1);
    again->wants_receipts = true;
    MESSAGE(a);
    puppet_answer(again, &q, &a);
    puppet_expect_response(c.client, &a);
    puppet_expect(again, FRAME_RECEIPT);
    MESSAGE(late);
    puppet_answer(second, &q, &late);
    assert_true(puppet_is_heard(second));
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_bad), 1);
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_late), 1);
    assert_int_equal(puppet_count(c.client, FRAME_RESPONSE), 0);
    nothing_is_left(r);
}

/* While the first waits for the log, and afterwards. Nothing it could help, and no line for each:
 * whoever repeats an answer for ever fills no disk. */
static void test_response__said_again_is_late_and_no_fault(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_all(r);
    MESSAGE(q) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    MESSAGE(a) = {0};
    yz_world_response(r->w, &(struct world_response){.adapter = c.a1->node}, &q.frame, &a);
    YZ_AUTO(yzi_buf_fini) yz_buf twice;
    yz_world_buf(&twice);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(yzi_buf_put(&twice, yzi_bytes_buf(&a.raw)), 0);
    }
    puppet_send(c.a1, yzi_bytes_buf(&twice));
    puppet_expect_response(c.client, &a);
    assert_true(puppet_is_heard(c.a1));
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_bad), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.responses_late), 39);
    assert_in_range(yzi_metric_get(&r->b->metrics.lines_left_out), 29, 39);
    nothing_is_left(r);
}

static void test_write__whose_adapter_is_lost_is_left_open(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_writers(r);
    MESSAGE(q) = write_by_a1(r, &c);
    YZ_AUTO(yzi_buf_fini) yz_buf bye;
    yz_world_buf(&bye);
    assert_int_equal(yzi_bye_write(yzi_bytes_str("closing"), &bye), YZ_OK);
    puppet_send(c.a1, yzi_bytes_buf(&bye));
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, "adapter-lost");
    assert_int_equal(puppet_count(c.a2, FRAME_REQUEST), 0);
    MESSAGE(next) = make_request(r, &(struct world_request){.slots = {c.a1->node}});
    puppet_send(c.client, yzi_bytes_buf(&next.raw)); /* this one nobody had */
    puppet_expect_outcome(c.client, &next, OUTCOME_UNAVAILABLE, "no-live-adapter");
    nothing_is_left(r);
}

static void test_write__with_a_wrong_answer_is_left_open(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_writers(r);
    MESSAGE(q) = write_by_a1(r, &c);
    MESSAGE(bad);
    yz_world_response(r->w, &(struct world_response){.sign_with = &c.client->node->signing},
                      &q.frame, &bad);
    puppet_send(c.a1, yzi_bytes_buf(&bad.raw));
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, "bad-answer");
    nothing_is_left(r);
}

static void test_write__handed_back_was_not_done(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_writers(r);
    MESSAGE(q) = write_by_a1(r, &c);
    puppet_reject(c.a1, &q, OUTCOME_UNAVAILABLE);
    puppet_expect_outcome(c.client, &q, OUTCOME_UNAVAILABLE, "adapter-refused");
    MESSAGE(two) = write_by_a1(r, &c);
    puppet_reject(c.a1, &two, OUTCOME_BUSY);
    puppet_expect_outcome(c.client, &two, OUTCOME_BUSY, "adapter-busy");
    nothing_is_left(r);
}

/* Asked again after it was handed back, and then the adapter is lost: it may have been done. */
static void test_write__handed_back_once_and_lost_then_is_left_open(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_writers(r);
    MESSAGE(q) = write_by_a1(r, &c);
    puppet_reject(c.a1, &q, OUTCOME_BUSY);
    puppet_expect_outcome(c.client, &q, OUTCOME_BUSY, "adapter-busy");
    puppet_send(c.client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(c.a1, &q);
    struct puppet *again = rig_join(r, "CN/GOV/MCA/@a1");
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, "adapter-lost");
    assert_int_equal(puppet_count(again, FRAME_REQUEST), 0);
    nothing_is_left(r);
}

static void test_write__whose_answer_finds_no_room_is_left_open(void **state)
{
    struct rig *r = *state;
    struct cast c = cast_writers(r);
    static uint8_t body[200000];
    MESSAGE(q) = write_by_a1(r, &c);
    r->b->exchanges.bytes_max = 200000;
    r->b->exchanges.held_bytes = 1; /* another one */
    MESSAGE(a);
    yz_world_response(r->w, &(struct world_response){.body = yzi_bytes(body, sizeof body)},
                      &q.frame, &a);
    puppet_send(c.a1, yzi_bytes_buf(&a.raw));
    puppet_expect_outcome(c.client, &q, OUTCOME_TIMEOUT, "limit");
    r->b->exchanges.held_bytes -= 1;
    nothing_is_left(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_forward__goes_to_the_least_outstanding),
        TEST(test_forward__goes_only_to_adapters_the_owner_named_and_the_request_lists),
        TEST(test_forward__goes_to_no_node_that_may_not_serve_the_subsystem),
        TEST(test_forward__without_a_live_adapter_is_unavailable),
        TEST(test_timeout__is_told_and_a_late_answer_is_not),
        TEST(test_timeout__has_no_second_adapter_begin_too_late),
        TEST(test_reject__sends_the_request_to_the_other_slot_then_says_busy),
        TEST(test_reject__says_when_to_come_again_within_bounds),
        TEST(test_reject__says_busy_also_when_the_other_slot_is_not_there),
        TEST(test_response__that_does_not_fit_its_consumers_queue_is_told),
        TEST(test_response__of_another_adapter_is_not_heard),
        TEST(test_response__that_does_not_verify_lets_the_other_slot_answer),
        TEST(test_response__finds_no_room_until_the_log_has_it),
        TEST(test_response__with_a_stale_key_reaches_the_consumer),
        TEST(test_response__reaches_nobody_when_the_consumer_was_revoked),
        TEST(test_response__reaches_nobody_when_the_consumer_lost_the_subsystem),
        TEST(test_adapters__lost_have_their_requests_go_elsewhere),
        TEST(test_adapters__revoked_have_their_requests_go_elsewhere_at_once),
        TEST(test_adapters__reconnected_are_asked_on_their_new_connection),
        TEST(test_adapters__reconnected_may_answer_what_the_other_has_now),
        TEST(test_response__said_again_is_late_and_no_fault),
        TEST(test_write__whose_answer_does_not_fit_is_told_as_timeout),
        TEST(test_write__whose_adapter_is_lost_is_left_open),
        TEST(test_write__with_a_wrong_answer_is_left_open),
        TEST(test_write__handed_back_was_not_done),
        TEST(test_write__handed_back_once_and_lost_then_is_left_open),
        TEST(test_write__whose_answer_finds_no_room_is_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
