/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's front and what it keeps for others: who may connect and is listened to, hello,
 * silence, the directory, member sets, announcements, rationing, the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/fixture.h"

#include "base/file.h"

#define OK(call) assert_int_equal((call), YZ_OK)
#define BUFFER(name)                                                                               \
    YZ_AUTO(yzi_buf_fini) yz_buf name;                                                             \
    yz_world_buf(&name)

/* -- who is listened to -- */

static void test_front__without_a_directory_admits_nobody(void **state)
{
    struct rig *r = *state;
    assert_null(r->b->directory);
    struct puppet *p = rig_puppet(r, "CN/GOV/MCA/@a1");
    assert_false(puppet_connects(p));
    assert_int_equal(p->last, LINK_REFUSED);
    rig_advance(r, 1000);
    assert_int_equal(yzi_metric_get(&r->b->metrics.ready), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.handshakes_refused), 1);
    assert_int_equal(yzi_connections_count(&r->b->connections), 0);
}

static void test_front__is_ready_once_it_is_given_one(void **state)
{
    struct rig *r = *state;
    rig_give_directory(r);
    rig_advance(r, 1000);
    assert_int_equal(yzi_metric_get(&r->b->metrics.ready), 1);
    assert_int_equal(yzi_metric_get(&r->b->metrics.directory_version), 1);
    assert_true(puppet_is_heard(rig_join(r, "CN/GOV/MCA/@a1")));
}

static void assert_unready_after_restart(struct rig *r)
{
    rig_stop(r);
    rig_start(r);
    assert_non_null(r->b->directory);
    rig_advance(r, 1000);
    assert_int_equal(yzi_metric_get(&r->b->metrics.ready), 0);
}

static void test_front__is_not_ready_under_a_name_that_is_not_listed(void **state)
{
    struct rig *r = *state;
    r->config.node = "CN/@b9";
    assert_unready_after_restart(r);
}

static void test_front__is_not_ready_with_keys_that_are_not_listed(void **state)
{
    struct rig *r = *state;
    struct world_node *b1 = yz_world_node(r->w, "CN/@b1");
    YZ_AUTO(yzi_free_ptr) char *keys = NULL;
    OK(yzi_path_join(r->home, "keys", &keys));
    struct key_pair other = {0};
    yz_world_new_key(KEY_SIGNING, &other);
    yz_world_write_key(keys, "signing.key", &other);
    assert_unready_after_restart(r);

    yz_world_write_key(keys, "signing.key", &b1->signing);
    yz_world_new_key(KEY_TRANSPORT, &other);
    yz_world_write_key(keys, "transport.key", &other);
    assert_unready_after_restart(r);
    yzi_key_pair_fini(&other);
}

static void test_front__has_its_directory_again_after_a_restart(void **state)
{
    struct rig *r = *state;
    rig_stop(r);
    rig_start(r);
    assert_non_null(r->b->directory);
    rig_join(r, "CN/GOV/MCA/@a1");
}

static void await_bad(struct rig *r, unsigned n)
{
    for (unsigned i = 0; i < 20000 && yzi_metric_get(&r->b->metrics.messages_bad) < n; i++) {
        rig_wait(r);
    }
    assert_int_equal(yzi_metric_get(&r->b->metrics.messages_bad), n);
}

static void test_hello__of_another_node_or_role_is_not_welcomed(void **state)
{
    struct rig *r = *state;
    struct puppet *p = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_true(puppet_connects(p));
    struct world_node *self = p->node;
    p->node = yz_world_node(r->w, "CN/GOV/HB/@w2");
    puppet_hello(p, 1, 1);
    struct world_node liar = *self;
    liar.role = ROLE_ADAPTER;
    p->node = &liar;
    puppet_hello(p, 1, 1);
    p->node = self;
    await_bad(r, 2);
    assert_null(yzi_connection_of_node(&r->b->connections, self->node));
    puppet_hello(p, 1, 1); /* its welcome is the first it hears */
    assert_true(puppet_hears(p));
    assert_int_equal(p->frame.kind, FRAME_WELCOME);
}

/* With valid keys, and everything in order but the hello. */
static void test_hello__nothing_counts_before_it(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *adapter = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *p = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_true(puppet_connects(p));
    YZ_AUTO(yz_world_message_fini)
    struct world_message q = make_request(r, &(struct world_request){0});
    BUFFER(fetch);
    BUFFER(put);
    BUFFER(object);
    struct object o = {.token = 0, .what = FETCH_FRESHNESS};
    assert_int_equal(yzi_fetch_write(&(struct fetch){.token = 3, .what = FETCH_MANIFEST}, &fetch),
                     YZ_OK);
    assert_int_equal(yzi_put_write(4, yzi_bytes_str("a record"), &put), YZ_OK);
    assert_int_equal(yzi_object_write(&o, (yz_bytes){0}, &object), YZ_OK);
    puppet_send(p, yzi_bytes_buf(&q.raw));
    puppet_send(p, yzi_bytes_buf(&fetch));
    puppet_send(p, yzi_bytes_buf(&put));
    puppet_send(p, yzi_bytes_buf(&object));
    puppet_heartbeat(p, 900); /* nor is such a directory asked for */
    await_bad(r, 5);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.requests), 0);
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
    puppet_hello(p, 1, 1);
    assert_true(puppet_hears(p));
    assert_int_equal(p->frame.kind, FRAME_WELCOME);
    puppet_send(p, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
}

static void test_hello__is_not_waited_for_for_ever(void **state)
{
    struct rig *r = *state;
    struct puppet *honest = rig_join(r, "CN/GOV/HB/@w2");
    struct puppet *p = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_true(puppet_connects(p));
    for (unsigned i = 1; i <= 10; i++) { /* it is never silent */
        puppet_heartbeat(p, 1);
        await_bad(r, i);
        assert_int_equal(p->last, LINK_CONNECTED);
        rig_advance(r, 1000);
    }
    rig_advance(r, 1000);
    puppet_expect_cut(p);
    assert_int_equal(yzi_metric_get(&r->b->metrics.cut_no_hello), 1);
    assert_int_equal(yzi_connections_count(&r->b->connections), 1);
    assert_true(puppet_is_heard(honest));
    assert_true(puppet_is_heard(rig_join(r, "CN/GOV/HB/@w1"))); /* it may mend its ways */
}

static void test_hello__of_an_adapter_ends_its_older_connection_but_not_a_clients(void **state)
{
    struct rig *r = *state;
    rig_join(r, "CN/GOV/MCA/@a1");
    rig_join(r, "CN/GOV/MCA/@a1");
    rig_join(r, "CN/GOV/HB/@w1");
    rig_join(r, "CN/GOV/HB/@w1"); /* another process of the node */
    assert_int_equal(yzi_connections_count(&r->b->connections), 3);
    struct puppet *same = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_true(puppet_connects(same));
    puppet_hello(same, 1, 4); /* the boot of the fourth, which reconnected */
    puppet_expect(same, FRAME_WELCOME);
    assert_int_equal(yzi_connections_count(&r->b->connections), 3);
}

static void test_connections__of_one_node_are_bounded(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < r->config.limits.connections_per_peer; i++) {
        rig_join(r, "CN/GOV/HB/@w1");
    }
    struct puppet *more = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_false(puppet_connects(more));
    rig_join(r, "CN/GOV/HB/@w2"); /* nobody else suffers */
}

static void test_connections__in_all_are_bounded(void **state)
{
    struct rig *r = *state;
    r->config.limits.peers = 2;
    yzi_broker_limits_changed(r->b);
    rig_join(r, "CN/GOV/HB/@w1");
    rig_join(r, "CN/GOV/HB/@w2");
    struct puppet *more = rig_puppet(r, "CN/GOV/MCA/@a1");
    assert_false(puppet_connects(more));
}

static void test_connections__that_fall_silent_are_given_up(void **state)
{
    struct rig *r = *state;
    rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    rig_advance(r, 6001);
    assert_int_equal(yzi_connections_count(&r->b->connections), 1);
    for (int i = 0; i < 3; i++) {
        rig_advance(r, 60000);
        puppet_heartbeat(client, 1);
        assert_true(puppet_is_heard(client));
    }
    rig_advance(r, 90001);
    assert_int_equal(yzi_connections_count(&r->b->connections), 0);
    rig_advance(r, 60001);
    assert_int_equal(yzi_table_count(&r->b->connections.loads), 0);
}

static void test_connections__whose_peer_is_gone_are_found_so_by_sending(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    puppet_close(a1);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    /* until libzmq has noticed, the request may still be queued: then the next finds out */
    for (unsigned i = 0; yzi_connections_count(&r->b->connections) > 1; i++) {
        assert_in_range(i, 0, 2000);
        yzi_broker_send_all(r->b, yzi_bytes_buf(&q.raw));
        rig_wait(r);
    }
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_outcome(client, &q, OUTCOME_UNAVAILABLE, "no-live-adapter");
}

static void test_messages__that_do_not_parse_or_are_no_peers_are_counted(void **state)
{
    struct rig *r = *state;
    struct puppet *p = rig_join(r, "CN/GOV/HB/@w1");
    puppet_send(p, yzi_bytes_str("rubbish"));
    puppet_send(p, (yz_bytes){0});
    BUFFER(welcome);
    struct welcome w = {.node = yz_world_node(r->w, "CN/@b1")->node,
                        .directory_version = 1,
                        .heartbeat_ms = 2000,
                        .message_max = YZ_MESSAGE_MAX,
                        .time = WORLD_TIME,
                        .software = yzi_bytes_str("puppet")};
    OK(yzi_welcome_write(&w, &welcome));
    puppet_send(p, yzi_bytes_buf(&welcome));
    for (int i = 0; i < 60; i++) {
        puppet_send(p, yzi_bytes_str("more rubbish, of which not every one is worth a line"));
    }
    assert_true(puppet_is_heard(p));
    assert_int_equal(yzi_metric_get(&r->b->metrics.messages_bad), 63);
    assert_int_equal(yzi_metric_get(&r->b->metrics.lines_left_out),
                     54); /* one told that it is there */
}

/* -- the directory -- */

static void test_directory__revokes_at_once_and_ends_the_connection(void **state)
{
    struct rig *r = *state;
    struct puppet *p = rig_join(r, "CN/GOV/HB/@w1");
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    yz_world_revoke_node(r->w, "CN/GOV/HB/@w1", yz_world_now(r->w));
    yz_world_publish(r->w);
    rig_give_directory(r);
    assert_false(puppet_is_heard(p));
    assert_true(puppet_is_heard(other));
    puppet_expect_cut(p);
    struct puppet *again = rig_puppet(r, "CN/GOV/HB/@w1");
    assert_false(puppet_connects(again));
    assert_int_equal(yzi_connections_count(&r->b->connections), 1); /* it occupies no place */
}

static void test_directory__revokes_when_the_time_has_come(void **state)
{
    struct rig *r = *state;
    yz_world_revoke_node(r->w, "CN/GOV/HB/@w1", yz_world_now(r->w) + 5000);
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *p = rig_join(r, "CN/GOV/HB/@w1");
    rig_advance(r, 4999);
    assert_true(puppet_is_heard(p));
    rig_advance(r, 1001); /* within a second */
    assert_false(puppet_is_heard(p));
}

static void test_member_sets__pushed_by_a_peer_take_effect_at_once(void **state)
{
    struct rig *r = *state;
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *w1 = rig_join(r, "CN/GOV/HB/@w1");
    struct puppet *w2 = rig_join(r, "CN/GOV/HB/@w2");
    struct world_member *hb = yz_world_member(r->w, "CN/GOV/HB");
    w1->node->gone = true;
    yz_world_change(hb);
    BUFFER(set);
    yz_world_put_set(hb, &set);
    puppet_put(a1, yzi_bytes_buf(&set), YZ_OK); /* whoever brings it */
    assert_false(puppet_is_heard(w1));
    /* and everybody else is told */
    struct object o;
    do {
        OK(yzi_object_parse(puppet_expect(w2, FRAME_OBJECT)->header, &o));
    } while (o.what != FETCH_STATEMENTS);
    assert_true(yzi_bytes_eq(w2->frame.payload, yzi_bytes_buf(&set)));
    puppet_put(a1, yzi_bytes_buf(&set), YZ_OK); /* again changes nothing */
    assert_int_equal(yzi_directory_overlays_n(r->b->directory), 1);
    /* nor does one that another member signed */
    yz_world_change(hb);
    BUFFER(forged);
    yz_world_put_set_by(hb, &yz_world_member(r->w, "CN/GOV/MCA")->key, &forged);
    puppet_put(a1, yzi_bytes_buf(&forged), YZ_ESIGNATURE);
}

static void test_member_sets__that_strike_out_who_brings_them_are_survived(void **state)
{
    struct rig *r = *state;
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct world_member *mca = yz_world_member(r->w, "CN/GOV/MCA");
    a1->node->gone = true;
    yz_world_change(mca);
    BUFFER(records);
    yz_world_put_set(mca, &records);
    OK(yzi_buf_put(&records, yzi_bytes_buf(&yz_world_epoch(r->w, a1->node)->record)));
    BUFFER(put);
    OK(yzi_put_write(1, yzi_bytes_buf(&records), &put));
    puppet_send(a1, yzi_bytes_buf(&put));
    assert_false(puppet_is_heard(a1));
}

/* -- announcements and services -- */

static unsigned records_in(yz_bytes payload)
{
    yz_reader reader = yzi_reader(payload);
    struct record record;
    unsigned n = 0;
    while (reader.left) {
        OK(yzi_record_next(&reader, &record));
        n++;
    }
    return n;
}

static unsigned service_records(struct puppet *p)
{
    struct fetch f = {.token = 5, .what = FETCH_SERVICE, .name = yzi_bytes_str(WORLD_SERVICE)};
    BUFFER(frame);
    OK(yzi_fetch_write(&f, &frame));
    puppet_send(p, yzi_bytes_buf(&frame));
    struct object o;
    do {
        OK(yzi_object_parse(puppet_expect(p, FRAME_OBJECT)->header, &o));
    } while (o.token != 5);
    return o.found ? records_in(p->frame.payload) : 0;
}

static void test_services__list_the_adapters_that_are_here(void **state)
{
    struct rig *r = *state;
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    assert_int_equal(service_records(client), 0);
    rig_offer(r, 1);
    assert_int_equal(service_records(client), 1);
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    rig_join(r, "CN/GOV/MCA/@a2");
    assert_int_equal(service_records(client), 3);
    puppet_close(a1);
    yzi_broker_connection_lost(r->b, yzi_connection_of_node(&r->b->connections, a1->node->node),
                               "test");
    assert_int_equal(service_records(client), 2);
}

static void test_announcements__are_their_own_nodes_and_the_latest_counts(void **state)
{
    struct rig *r = *state;
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *a2 = rig_join(r, "CN/GOV/MCA/@a2");
    BUFFER(first);
    OK(yzi_buf_put(&first, yzi_bytes_buf(&yz_world_epoch(r->w, a1->node)->record)));
    puppet_put(a2, yzi_bytes_buf(&first), YZ_EDENIED);
    puppet_put(a1, yzi_bytes_buf(&first), YZ_OK); /* again */
    /* a later epoch */
    uint64_t half = EPOCH_LIFE_MS / 2 + 1000;
    for (uint64_t ms = 0; ms < half; ms += 3600000) {
        yzi_manual_clock_advance(&r->w->clock, 3600000);
    }
    struct puppet *again = rig_join(r, "CN/GOV/MCA/@a1"); /* puts the new one */
    yz_digest digest = yz_world_epoch(r->w, a1->node)->digest;
    assert_true(yzi_digest_eq(yzi_broker_announcement(r->b, a1->node->node), &digest));
    puppet_put(again, yzi_bytes_buf(&first), YZ_EROLLBACK);
    assert_true(yzi_digest_eq(yzi_broker_announcement(r->b, a1->node->node), &digest));
    yzi_manual_clock_advance(&r->w->clock, EPOCH_LIFE_MS);
    rig_step(r);
    assert_int_equal(yzi_table_count(&r->b->announcements), 0);
}

/* -- rationing -- */

static void test_records__are_rationed_per_node(void **state)
{
    struct rig *r = *state;
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    yz_bytes one = yzi_bytes_buf(&yz_world_epoch(r->w, a1->node)->record);
    BUFFER(many);
    for (unsigned i = 0; i < 256; i++) {
        OK(yzi_buf_put(&many, one));
    }
    BUFFER(too_many); /* for one message; what there is room for is taken */
    OK(yzi_buf_put(&too_many, yzi_bytes_buf(&many)));
    OK(yzi_buf_put(&too_many, one));
    puppet_put(a1, yzi_bytes_buf(&too_many), YZ_EBUSY);
    puppet_put(a1, one, YZ_OK);
    for (unsigned puts = 0; puts < 6; puts++) {
        puppet_put(a1, yzi_bytes_buf(&many), YZ_OK);
    }
    puppet_put(a1, yzi_bytes_buf(&many), YZ_EBUSY); /* for this node, for the moment */
    puppet_put(a1, one, YZ_EBUSY);
    rig_advance(r, 1000);
    puppet_put(a1, one, YZ_OK);
}

/* -- the end -- */

static void test_offers__of_a_member_take_only_so_much(void **state)
{
    struct rig *r = *state;
    YZ_AUTO(yzi_buf_fini) yz_buf offer;
    YZ_AUTO(yzi_buf_fini) yz_buf newer;
    yz_world_buf(&offer);
    yz_world_buf(&newer);
    struct puppet *adapter = rig_join(r, "CN/GOV/MCA/@a1");
    yz_world_simple_offer(r->w, WORLD_SERVICE, WORLD_CONSUMER, 1, NULL, &offer, NULL);
    yz_world_simple_offer(r->w, WORLD_SERVICE, WORLD_CONSUMER, 2, NULL, &newer, NULL);
    r->config.limits.offer_bytes_per_member = 100;
    yzi_broker_limits_changed(r->b);
    puppet_put(adapter, yzi_bytes_buf(&offer), YZ_ELIMIT);
    assert_int_equal(yzi_offers_bytes(r->b->offers), 0);
    r->config.limits.offer_bytes_per_member = 0;
    r->config.limits.offer_bytes = 100;
    yzi_broker_limits_changed(r->b);
    puppet_put(adapter, yzi_bytes_buf(&offer), YZ_ELIMIT);
    r->config.limits.offer_bytes = 0;
    yzi_broker_limits_changed(r->b);
    puppet_put(adapter, yzi_bytes_buf(&offer), YZ_OK);
    size_t one = yzi_offers_bytes(r->b->offers);
    r->config.limits.offer_bytes_per_member = r->config.limits.offer_bytes = one;
    yzi_broker_limits_changed(r->b);
    puppet_put(adapter, yzi_bytes_buf(&newer), YZ_OK); /* it may take a grant back */
    assert_int_equal(yzi_offers_bytes(r->b->offers), one);
}

static void test_drain__lets_the_last_answer_out_before_the_goodbye(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(a1, &q);
    yzi_broker_drain(r->b);
    rig_advance(r, 1000);
    assert_false(r->b->stopped);
    MESSAGE(late) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&late.raw));
    puppet_expect_outcome(client, &late, OUTCOME_UNAVAILABLE, "draining");
    struct puppet *newcomer = rig_puppet(r, "CN/GOV/HB/@w2");
    assert_false(puppet_connects(newcomer));
    MESSAGE(a);
    puppet_answer(a1, &q, &a);
    puppet_expect_response(client, &a);
    puppet_expect(client, FRAME_BYE);
    puppet_expect(a1, FRAME_BYE);
    assert_false(r->b->stopped);
    rig_advance(r, 200);
    assert_true(r->b->stopped);
}

/* Whoever comes now is not told that its key is unknown: it goes to another broker, or waits. */
static void test_drain__puts_off_who_comes(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *adapter = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    YZ_AUTO(yz_world_message_fini)
    struct world_message q = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q); /* so that draining takes its time */
    yzi_broker_drain(r->b);
    struct puppet *late = rig_puppet(r, "CN/GOV/HB/@w2");
    assert_false(puppet_connects(late));
    assert_int_equal(late->last, LINK_DISCONNECTED);
    yz_world_revoke_node(r->w, "CN/GOV/HB/@w2", yz_world_now(r->w));
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *revoked = rig_puppet(r, "CN/GOV/HB/@w2");
    assert_false(puppet_connects(revoked));
    assert_int_equal(revoked->last, LINK_REFUSED);
}

static void test_drain__does_not_wait_for_ever(void **state)
{
    struct rig *r = *state;
    rig_offer(r, 1);
    struct puppet *a1 = rig_join(r, "CN/GOV/MCA/@a1");
    struct puppet *client = rig_join(r, "CN/GOV/HB/@w1");
    MESSAGE(q) = make_request(r, &(struct world_request){.life_ms = 60000});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(a1, &q);
    yzi_broker_drain(r->b);
    for (int i = 0; i < 5; i++) {
        rig_advance(r, 1999);
        assert_true(puppet_is_heard(a1));
        assert_false(r->b->said_goodbye);
    }
    rig_advance(r, 5);
    assert_true(r->b->said_goodbye);
    rig_advance(r, 200);
    assert_true(r->b->stopped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
#define EMPTY_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, rig_set_up_without_directory, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY_TEST(test_front__without_a_directory_admits_nobody),
        EMPTY_TEST(test_front__is_ready_once_it_is_given_one),
        TEST(test_front__is_not_ready_under_a_name_that_is_not_listed),
        TEST(test_front__is_not_ready_with_keys_that_are_not_listed),
        TEST(test_front__has_its_directory_again_after_a_restart),
        TEST(test_hello__of_another_node_or_role_is_not_welcomed),
        TEST(test_hello__nothing_counts_before_it),
        TEST(test_hello__is_not_waited_for_for_ever),
        TEST(test_hello__of_an_adapter_ends_its_older_connection_but_not_a_clients),
        TEST(test_connections__of_one_node_are_bounded),
        TEST(test_connections__in_all_are_bounded),
        TEST(test_connections__that_fall_silent_are_given_up),
        TEST(test_connections__whose_peer_is_gone_are_found_so_by_sending),
        TEST(test_messages__that_do_not_parse_or_are_no_peers_are_counted),
        TEST(test_directory__revokes_at_once_and_ends_the_connection),
        TEST(test_directory__revokes_when_the_time_has_come),
        TEST(test_member_sets__pushed_by_a_peer_take_effect_at_once),
        TEST(test_member_sets__that_strike_out_who_brings_them_are_survived),
        TEST(test_services__list_the_adapters_that_are_here),
        TEST(test_announcements__are_their_own_nodes_and_the_latest_counts),
        TEST(test_records__are_rationed_per_node),
        TEST(test_offers__of_a_member_take_only_so_much),
        TEST(test_drain__lets_the_last_answer_out_before_the_goodbye),
        TEST(test_drain__puts_off_who_comes),
        TEST(test_drain__does_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
