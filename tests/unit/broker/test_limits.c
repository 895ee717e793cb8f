/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits of admission at the broker, at each and one beyond: what its sender hears, that
 * another node is unharmed, and what is parked meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>

#include "tests/unit/broker/fixture.h"

/* Faults that would be found, were anything judged. */
static void name_another_broker(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->brokers[0].node.v = yzi_bytes_str("CN/@b2");
    h->brokers_n = 1;
}

static void spoil_id(struct request_header *h, void *ctx)
{
    (void)ctx;
    h->message_id = yzi_uuid_v7(h->issued_at - YZ_SKEW_MS - 1);
}

static void refused(struct rig *r, struct puppet *p, const struct world_request *q,
                    enum outcome_status status, const char *reason)
{
    MESSAGE(m) = make_request(r, q);
    puppet_send(p, yzi_bytes_buf(&m.raw));
    puppet_expect_outcome(p, &m, status, reason);
}

static void expect_busy(struct puppet *p, const char *rule)
{
    struct outcome_header h;
    assert_int_equal(yzi_outcome_header_parse(puppet_expect(p, FRAME_OUTCOME)->header, &h), YZ_OK);
    assert_int_equal(h.status, OUTCOME_BUSY);
    assert_true(yzi_bytes_eq_str(h.reason, "limit"));
    assert_true(yzi_bytes_eq_str(h.rule, rule));
    assert_true(h.retry_after_ms > 0);
}

static void expect_limit(struct rig *r, struct puppet *p, const char *rule)
{
    MESSAGE(q) = make_request(r, &(struct world_request){.client = p->node});
    puppet_send(p, yzi_bytes_buf(&q.raw));
    expect_busy(p, rule);
}

static void test_requests__beyond_the_rate_are_busy_whatever_the_connection(void **state)
{
    struct rig *r = *state;
    r->config.limits.rate_per_peer = 3;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *second = rig_join(r, "CN/GOV/HB/@w1"); /* the same node */
    for (int i = 0; i < 3; i++) {
        MESSAGE(q) = make_request(r, &(struct world_request){0});
        puppet_send(i % 2 ? second : client, yzi_bytes_buf(&q.raw));
        puppet_expect_request(adapter, &q);
    }
    expect_limit(r, client, "rate-per-peer");
    expect_limit(r, second, "rate-per-peer");
    refused(r, client, &(struct world_request){.spoil = name_another_broker}, OUTCOME_BUSY,
            "limit");     /* before it is judged */
    puppet_close(client); /* a new connection brings no new share */
    struct puppet *third = rig_join(r, "CN/GOV/HB/@w1");
    refused(r, third, &(struct world_request){0}, OUTCOME_BUSY, "limit");
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    MESSAGE(theirs) = make_request(r, &(struct world_request){.client = other->node});
    puppet_send(other, yzi_bytes_buf(&theirs.raw));
    puppet_expect_request(adapter, &theirs);
    rig_advance(r, 400); /* one token and a bit */
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(third, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    assert_int_equal(yzi_replay_count(r->b->replay), 5);
}

static void test_requests__under_way_are_limited_per_node_service_and_bytes(void **state)
{
    struct rig *r = *state;
    r->config.limits.in_flight_per_peer = 2;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *second = rig_join(r, "CN/GOV/HB/@w1");
    MESSAGE(one) = make_request(r, &(struct world_request){0});
    MESSAGE(two) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&one.raw));
    puppet_expect_request(adapter, &one);
    puppet_send(second, yzi_bytes_buf(&two.raw));
    puppet_expect_request(adapter, &two);
    expect_limit(r, client, "in-flight-per-peer");
    expect_limit(r, second, "in-flight-per-peer");
    MESSAGE(a);
    puppet_answer(adapter, &one, &a);
    puppet_expect_response(client, &a); /* one ended: one more passes */

    r->config.limits.in_flight_per_service = 1;
    yzi_broker_limits_changed(r->b);
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    expect_limit(r, other, "in-flight-per-service");
    r->config.limits.in_flight_per_service = 10;
    r->config.limits.in_flight_bytes = r->b->exchanges.bytes + 100;
    yzi_broker_limits_changed(r->b);
    expect_limit(r, other, "in-flight-bytes");
    r->config.limits.in_flight_bytes = 1; /* less than there is already */
    yzi_broker_limits_changed(r->b);
    expect_limit(r, other, "in-flight-bytes");
    assert_int_equal(yzi_replay_count(r->b->replay), 2);
    MESSAGE(b);
    puppet_answer(adapter, &two, &b);
    puppet_expect_response(second, &b);
    assert_int_equal(r->b->exchanges.bytes, 0);
    assert_int_equal(yzi_table_count(&r->b->exchanges.loads), 0);
}

static void puts_under_way(struct rig *r, struct puppet *p, struct puppet *adapter,
                           struct world_message *out)
{
    *out = make_request(r, &(struct world_request){.client = p->node});
    puppet_send(p, yzi_bytes_buf(&out->raw));
    puppet_expect_request(adapter, out);
}

static void test_requests__under_way_are_limited_in_all(void **state)
{
    struct rig *r = *state;
    r->config.limits.in_flight = 2;
    rig_stop(r);
    rig_start(r); /* that they hold from the start, others see that they may change */
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    MESSAGE(one) = {0};
    MESSAGE(two) = {0};
    MESSAGE(three) = {0};
    puts_under_way(r, client, adapter, &one);
    puts_under_way(r, other, adapter, &two);
    expect_limit(r, client, "in-flight");
    expect_limit(r, other, "in-flight");
    MESSAGE(a);
    puppet_answer(adapter, &one, &a);
    puppet_expect_response(client, &a);
    puts_under_way(r, other, adapter, &three); /* one ended: one more passes */
    expect_limit(r, client, "in-flight");
    assert_int_equal(yzi_replay_count(r->b->replay), 3);
}

static void test_requests__of_one_node_leave_places_for_another(void **state)
{
    struct rig *r = *state;
    r->config.limits.in_flight_per_service = 64;
    yzi_broker_limits_changed(r->b);
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    static struct world_message q[64];
    const unsigned most = 61; /* leave 3, a sixteenth of 60 and less */
    for (unsigned i = 0; i < most; i++) {
        puts_under_way(r, client, adapter, &q[i]);
    }
    expect_limit(r, client, "in-flight-share");
    puts_under_way(r, other, adapter, &q[most]);
    for (unsigned i = 0; i <= most; i++) {
        MESSAGE(a);
        puppet_answer(adapter, &q[i], &a);
        puppet_expect_response(i < most ? client : other, &a);
        yz_world_message_fini(&q[i]);
    }
}

/* To the byte; who has used up its own share leaves others theirs, and who has nothing under way
 * may have the last of it. */
static void test_requests__bytes_under_way_are_limited_to_the_byte(void **state)
{
    struct rig *r = *state;
    struct broker_limits *limits = &r->config.limits;
    yz_world_add_node(yz_world_member(r->w, "CN/GOV/HB"), "w3", ROLE_CLIENT, "window");
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    struct puppet *late = rig_join(r, "CN/GOV/HB/@w3");
    struct puppet *asks[] = {client, other, client, late};
    static struct world_message q[4];
    puts_under_way(r, client, adapter, &q[0]);
    size_t n = r->b->exchanges.bytes;
    assert_int_equal(n, q[0].raw.n);
    limits->in_flight_bytes_per_peer = 2 * n - 1;
    yzi_broker_limits_changed(r->b);
    expect_limit(r, client, "in-flight-bytes-per-peer");
    puts_under_way(r, other, adapter, &q[1]);
    limits->in_flight_bytes_per_peer = 2 * n;
    yzi_broker_limits_changed(r->b);
    puts_under_way(r, client, adapter, &q[2]);
    limits->in_flight_bytes_per_service = 4 * n - 1;
    yzi_broker_limits_changed(r->b);
    expect_limit(r, late, "in-flight-bytes-per-service");
    limits->in_flight_bytes_per_service = 1024 * n;
    limits->in_flight_bytes = 4 * n - 1;
    yzi_broker_limits_changed(r->b);
    expect_limit(r, late, "in-flight-bytes");
    limits->in_flight_bytes = limits->in_flight_bytes_per_service = 4 * n;
    yzi_broker_limits_changed(r->b);
    expect_limit(r, other, "in-flight-share");
    puts_under_way(r, late, adapter, &q[3]);
    assert_int_equal(r->b->exchanges.bytes, 4 * n);
    for (unsigned i = 0; i < 4; i++) {
        MESSAGE(a);
        puppet_answer(adapter, &q[i], &a);
        puppet_expect_response(asks[i], &a);
        yz_world_message_fini(&q[i]);
    }
    assert_int_equal(r->b->exchanges.bytes, 0);
}

/* Where there is no room nothing else is looked at, whatever else is wrong: no fault is counted and
 * no id taken. Who asks again for what is under way is not told that there is no room. */
static void test_requests__without_room_are_refused_before_anything_is_judged(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *other = rig_join(r, "CN/GOV/HB/@w2");
    r->config.limits.in_flight_per_service = 1;
    r->config.limits.nonsense_per_peer = 1;
    yzi_broker_limits_changed(r->b);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
    for (int i = 0; i < 20; i++) {
        refused(r, client, &(struct world_request){.spoil = spoil_id}, OUTCOME_BUSY, "limit");
        refused(r, client, &(struct world_request){.spoil = name_another_broker}, OUTCOME_BUSY,
                "limit");
        refused(r, other, &(struct world_request){0}, OUTCOME_BUSY, "limit"); /* another's */
    }
    assert_int_equal(yzi_replay_count(r->b->replay), 1);
    assert_int_equal(yzi_metric_get(&r->b->metrics.cut_nonsense), 0);
    struct puppet *again = rig_join(r, "CN/GOV/HB/@w1");
    puppet_send(again, yzi_bytes_buf(&q.raw));
    assert_int_equal(puppet_count(again, FRAME_OUTCOME), 0);
    puppet_send(other, yzi_bytes_buf(&q.raw)); /* but it is not the other's */
    puppet_expect_outcome(other, &q, OUTCOME_WRONG_SENDER, "peer");
    refused(r, client, &(struct world_request){.service = "CN/GOV/MCA/civil/none/v1"},
            OUTCOME_UNKNOWN_SERVICE, "no-such-service"); /* which has room */
    MESSAGE(a);
    puppet_answer(adapter, &q, &a);
    puppet_expect_response(again, &a);
}

static void test_requests__are_busy_when_no_more_ids_can_be_remembered(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    yzi_replay_free(r->b->replay);
    assert_int_equal(yzi_replay_new(4, NULL, &r->b->replay), YZ_OK);
    for (int i = 0; i < 2; i++) {
        MESSAGE(q) = make_request(r, &(struct world_request){.life_ms = 1000});
        puppet_send(client, yzi_bytes_buf(&q.raw));
        puppet_expect_request(adapter, &q);
    }
    expect_limit(r, client, "remembered-ids-per-peer");
    for (unsigned ms = 0; ms <= YZ_SKEW_MS + 1000; ms += 1000) {
        rig_advance(r, 1000);
        assert_true(puppet_is_heard(adapter)); /* or it would be given up as silent */
    }
    /* both can no longer be accepted */
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    puppet_expect_request(adapter, &q);
}

/* Full for all: whoever may have more hears another limit than who has had its share. */
static void test_requests__are_busy_when_all_ids_are_taken(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    yz_world_add_node(yz_world_member(r->w, "CN/GOV/HB"), "w3", ROLE_CLIENT, "window");
    yz_world_publish(r->w);
    rig_give_directory(r);
    struct puppet *client = rig_ready(r, &adapter);
    struct puppet *others[] = {client, rig_join(r, "CN/GOV/HB/@w2"), rig_join(r, "CN/GOV/HB/@w3")};
    yzi_replay_free(r->b->replay);
    assert_int_equal(yzi_replay_new(4, NULL, &r->b->replay), YZ_OK);
    for (unsigned i = 0; i < 4; i++) {
        MESSAGE(q) = {0};
        puts_under_way(r, others[i ? i - 1 : 0], adapter, &q);
    }
    for (unsigned i = 0; i < 3; i++) {
        expect_limit(r, others[i], "remembered-ids");
    }
    assert_int_equal(yzi_replay_count(r->b->replay), 4);
}

static uint64_t refusals(const struct metrics *m)
{
    return yzi_metric_get(&m->outcomes[OUTCOME_BUSY]) +
           yzi_metric_get(&m->outcomes[OUTCOME_UNAVAILABLE]);
}

/* An adapter that stands still: what its queue does not take is refused at once. */
static void test_requests__for_an_adapter_that_does_not_read_are_busy(void **state)
{
    enum { BODY = 3 << 19, QUEUE = 4 << 20, MOST = 40, TURNS_MAX = 10000 };
    struct rig *r = *state;
    struct metrics *m = &r->b->metrics;
    struct puppet *adapter;
    r->config.limits.in_flight_bytes = r->config.limits.in_flight_bytes_per_service = 1 << 30;
    r->config.limits.queue_bytes_per_peer = QUEUE;
    yzi_broker_limits_changed(r->b);
    r->high_water = 1;
    struct puppet *client = rig_ready(r, &adapter);
    struct link *link = adapter->link;
    adapter->link = NULL; /* nobody reads */
    uint8_t *body = calloc(1, BODY);
    assert_non_null(body);
    unsigned sent = 0;
    for (; refusals(m) == 0; sent++) {
        assert_in_range(sent, 0, MOST);
        MESSAGE(q) = make_request(
            r, &(struct world_request){.slots = {adapter->node}, .body = yzi_bytes(body, BODY)});
        puppet_send(client, yzi_bytes_buf(&q.raw));
        for (unsigned turns = 0; yzi_metric_get(&m->forwarded) + refusals(m) == sent; turns++) {
            assert_in_range(turns, 0, TURNS_MAX);
            rig_wait(r);
        }
    }
    assert_true(sent > 1); /* however slow it is, it gets something */
    expect_busy(client, "adapter-queue");
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), sent - 1);
    adapter->link = link;
    free(body);
}

/* The log again, with room for so many bytes of entries. */
static void reopen_log(struct rig *r, size_t bytes)
{
    struct broker *b = r->b;
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/state/evidence", r->home);
    yzi_evidence_close(b->evidence);
    b->evidence = NULL;
    const struct evidence_options o = {.dir = dir,
                                       .node = b->node,
                                       .log = &b->log,
                                       .clock = b->clock,
                                       .metrics = &b->metrics,
                                       .queue_items = 1000,
                                       .queue_bytes = bytes};
    assert_int_equal(yzi_evidence_open(&o, &b->evidence, NULL), YZ_OK);
}

static void test_requests__beyond_what_the_log_takes_are_busy(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    reopen_log(r, 1);
    MESSAGE(q) = make_request(r, &(struct world_request){0});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    expect_busy(client, "evidence-queue");
    assert_int_equal(yzi_exchanges_count(&r->b->exchanges), 0);
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
    reopen_log(r, 1 << 20);
    puppet_send(client, yzi_bytes_buf(&q.raw)); /* it was not accepted, so it may come again */
    puppet_expect_request(adapter, &q);
}

/* -- a sender who knows more -- */

static void claim_version(struct request_header *h, void *ctx)
{
    h->directory_version = *(const uint64_t *)ctx;
}

static void test_requests__of_a_newer_directory_wait_for_it_a_moment(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    uint64_t next = 99;
    struct world_request claims = {.spoil = claim_version, .ctx = &next};
    MESSAGE(q) = make_request(r, &claims);
    puppet_send(client, yzi_bytes_buf(&q.raw));
    struct fetch f;
    assert_int_equal(yzi_fetch_parse(puppet_expect(client, FRAME_FETCH)->header, &f), YZ_OK);
    assert_int_equal(f.what, FETCH_MANIFEST);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 0);
    assert_int_equal(r->b->parked_n, 1);
    rig_advance(r, 1000); /* it did not come: judged by what there is */
    puppet_expect_request(adapter, &q);
    assert_int_equal(r->b->parked_n, 0);
    assert_int_equal(r->b->parked_bytes, 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.requests), 1);
}

/* libzmq may give a connection's id to another peer meanwhile: that one hears nothing of it. */
static void test_requests__parked_are_judged_for_whoever_brought_them(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    uint64_t next = 99;
    MESSAGE(q) = make_request(r, &(struct world_request){.spoil = claim_version, .ctx = &next});
    puppet_send(client, yzi_bytes_buf(&q.raw));
    assert_true(puppet_is_heard(client));
    assert_int_equal(r->b->parked_n, 1);
    r->b->parked[0].key[0] ^= 1;
    rig_advance(r, 1000);
    assert_int_equal(r->b->parked_n, 0);
    assert_int_equal(r->b->parked_bytes, 0);
    assert_int_equal(puppet_count(client, FRAME_OUTCOME), 0);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 0);
    assert_int_equal(yzi_replay_count(r->b->replay), 0);
}

static void test_requests__are_parked_in_bounds(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    uint64_t next = 99;
    struct world_request claims = {.spoil = claim_version, .ctx = &next};
    for (unsigned i = 0; i < BROKER_PARKED_PER_PEER + 3; i++) {
        MESSAGE(q) = make_request(r, &claims);
        puppet_send(client, yzi_bytes_buf(&q.raw));
    }
    /* those beyond its share are judged at once */
    assert_int_equal(puppet_count(client, FRAME_OUTCOME), 0);
    assert_int_equal(r->b->parked_n, BROKER_PARKED_PER_PEER);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 3);
    /* who is gone meanwhile is not brought back by what he left behind */
    puppet_close(client);
    yzi_broker_connection_lost(r->b, yzi_connection_of_node(&r->b->connections, client->node->node),
                               "test");
    rig_step(r);
    size_t connections = yzi_connections_count(&r->b->connections);
    rig_advance(r, 1000);
    assert_int_equal(r->b->parked_n, 0);
    assert_int_equal(r->b->parked_bytes, 0);
    assert_int_equal(yzi_connections_count(&r->b->connections), connections);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), 0);
}

static void test_requests__are_parked_up_to_a_quarter_of_the_bytes(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    uint64_t next = 99;
    struct world_request claims = {.spoil = claim_version, .ctx = &next};
    static struct world_message q[3];
    for (unsigned i = 0; i < 3; i++) {
        q[i] = make_request(r, &claims);
    }
    r->config.limits.in_flight_bytes = 4 * (q[0].raw.n + q[1].raw.n);
    yzi_broker_limits_changed(r->b);
    for (unsigned i = 0; i < 3; i++) {
        puppet_send(client, yzi_bytes_buf(&q[i].raw));
    }
    puppet_expect_request(adapter, &q[2]);
    assert_int_equal(r->b->parked_n, 2);
    assert_int_equal(r->b->parked_bytes, q[0].raw.n + q[1].raw.n);
    for (unsigned i = 0; i < 3; i++) {
        yz_world_message_fini(&q[i]);
    }
}

/* Whoever may publish sets of its nodes again and again could otherwise have the broker keep each,
 * as long as a request lives. */
static void test_requests__under_way_keep_no_directory(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    struct puppet *client = rig_ready(r, &adapter);
    enum { REQUESTS = 40, NODES = 50, LIMIT_BYTES = 1024 * 1024 };
    static struct world_message q[REQUESTS];
    char code[8];
    for (unsigned i = 0; i < NODES; i++) {
        snprintf(code, sizeof code, "p%u", i);
        yz_world_add_node(yz_world_member(r->w, "CN/GOV/HB"), code, ROLE_CLIENT, "window");
    }
    size_t before = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        yz_world_publish(r->w);
        rig_give_directory(r);
        puts_under_way(r, client, adapter, &q[i]);
        before = before ? before : mallinfo2().uordblks; /* 0 under a sanitizer */
    }
    assert_in_range(mallinfo2().uordblks, 0, before + LIMIT_BYTES);
    for (unsigned i = 0; i < REQUESTS; i++) {
        MESSAGE(a);
        puppet_answer(adapter, &q[i], &a);
        puppet_expect_response(client, &a);
        yz_world_message_fini(&q[i]);
    }
}

static void test_requests__of_many_nodes_are_parked_in_bounds(void **state)
{
    struct rig *r = *state;
    struct puppet *adapter;
    (void)rig_ready(r, &adapter);
    enum { NODES = BROKER_PARKED_MAX / BROKER_PARKED_PER_PEER + 1 };
    uint64_t next = 99;
    char id[NODES][24], code[8];
    for (unsigned i = 0; i < NODES; i++) {
        snprintf(code, sizeof code, "p%u", i);
        snprintf(id[i], sizeof id[i], "CN/GOV/HB/@p%u", i);
        yz_world_add_node(yz_world_member(r->w, "CN/GOV/HB"), code, ROLE_CLIENT, "window");
    }
    yz_world_publish(r->w);
    rig_give_directory(r);
    for (unsigned i = 0; i < NODES; i++) {
        struct puppet *p = rig_join(r, id[i]);
        struct world_request claims = {.client = p->node, .spoil = claim_version, .ctx = &next};
        for (unsigned k = 0; k < BROKER_PARKED_PER_PEER; k++) {
            MESSAGE(q) = make_request(r, &claims);
            puppet_send(p, yzi_bytes_buf(&q.raw));
        }
        assert_true(puppet_is_heard(p));
    }
    assert_int_equal(r->b->parked_n, BROKER_PARKED_MAX);
    assert_int_equal(puppet_count(adapter, FRAME_REQUEST), BROKER_PARKED_PER_PEER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests__beyond_the_rate_are_busy_whatever_the_connection),
        TEST(test_requests__under_way_are_limited_per_node_service_and_bytes),
        TEST(test_requests__under_way_are_limited_in_all),
        TEST(test_requests__of_one_node_leave_places_for_another),
        TEST(test_requests__bytes_under_way_are_limited_to_the_byte),
        TEST(test_requests__without_room_are_refused_before_anything_is_judged),
        TEST(test_requests__are_busy_when_no_more_ids_can_be_remembered),
        TEST(test_requests__are_busy_when_all_ids_are_taken),
        TEST(test_requests__for_an_adapter_that_does_not_read_are_busy),
        TEST(test_requests__beyond_what_the_log_takes_are_busy),
        TEST(test_requests__of_a_newer_directory_wait_for_it_a_moment),
        TEST(test_requests__parked_are_judged_for_whoever_brought_them),
        TEST(test_requests__are_parked_in_bounds),
        TEST(test_requests__are_parked_up_to_a_quarter_of_the_bytes),
        TEST(test_requests__under_way_keep_no_directory),
        TEST(test_requests__of_many_nodes_are_parked_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
