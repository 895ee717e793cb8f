/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read late: the broker did not get round to a peer's messages before it would have held it
 * for silent, or had given its connection up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zmq.h>

#include "tests/unit/broker/fixture.h"

/* The broker reads nothing until `no_rest`; what comes stays in libzmq. */
static void rest(struct rig *r)
{
    r->b->overload.rests_until = UINT64_MAX;
}

static void no_rest(struct rig *r)
{
    r->b->overload.rests_until = 0;
}

/* Something that the broker has not read is there. */
static void await_unread(struct rig *r)
{
    struct poll_entry entries[SERVER_POLL_ENTRIES];
    yzi_server_rest(r->b->server, 0);
    size_t n = yzi_server_poll_entries(r->b->server, entries);
    zmq_pollitem_t router = {.socket = entries[n - 1].socket, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&router, 1, 60000), 1);
}

static void await_left_over(struct rig *r, unsigned n)
{
    const struct metrics *m = &r->b->metrics;
    for (unsigned i = 0; i < 20000 && yzi_metric_get(&m->messages_left_over) < n; i++) {
        assert_int_equal(yzi_metric_get(&m->messages_bad), 0);
        rig_wait(r);
    }
    assert_in_range(yzi_metric_get(&m->messages_left_over), n, UINT32_MAX);
}

static void test_connections__are_not_silent_while_the_broker_does_not_read(void **state)
{
    struct rig *r = *state;
    struct puppet *p = rig_join(r, "CN/GOV/HB/@w1");
    rest(r);
    puppet_heartbeat(p, 1);
    await_unread(r);
    rig_advance(r, 90001);
    assert_int_equal(yzi_connections_count(&r->b->connections), 1);
    no_rest(r);
    assert_true(puppet_is_heard(p));
    assert_int_equal(p->last, LINK_CONNECTED);
    rest(r); /* but there is an end to it */
    rig_advance(r, 180001);
    assert_int_equal(yzi_connections_count(&r->b->connections), 0);
}

/* Nobody is blamed for it, and nothing is remembered for long. */
static void expect_not_heard(struct rig *r, const struct puppet *p)
{
    const struct node_load *load = yzi_connections_load(&r->b->connections, p->node->node.v);
    assert_true(!load || !load->nonsense.begun);
    assert_int_equal(yzi_metric_get(&r->b->metrics.messages_bad), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.messages_unknown), 0);
    assert_int_equal(yzi_metric_get(&r->b->metrics.lines_left_out), 0);
    assert_int_equal(yzi_connections_count(&r->b->connections), 0);
    assert_int_equal(yzi_table_count(&r->b->connections.departed), 1);
}

static void expect_forgotten(struct rig *r)
{
    for (unsigned i = 0; i < 2000 && yzi_table_count(&r->b->connections.departed) > 0; i++) {
        rig_wait(r);
        yzi_manual_clock_advance(&r->w->clock, 1000);
    }
    assert_int_equal(yzi_table_count(&r->b->connections.departed), 0);
}

static void test_connections__given_up_for_silence_are_not_heard_any_more(void **state)
{
    struct rig *r = *state;
    struct puppet *p = rig_join(r, "CN/GOV/HB/@w1");
    rest(r);
    for (unsigned i = 0; i < 20; i++) {
        puppet_heartbeat(p, 1);
    }
    await_unread(r);
    rig_advance(r, 180001);
    assert_int_equal(yzi_connections_count(&r->b->connections), 0);
    no_rest(r);
    await_left_over(r, 1);
    puppet_expect_cut(p);
    expect_not_heard(r, p);
    assert_true(puppet_is_heard(rig_join(r, "CN/GOV/HB/@w1")));
    expect_forgotten(r);
}

static void test_connections__with_a_successor_are_not_heard_any_more(void **state)
{
    struct rig *r = *state;
    struct puppet *old = rig_join(r, "CN/GOV/MCA/@a1");
    struct connection_id id = yzi_connection_of_node(&r->b->connections, old->node->node)->id;
    rest(r);
    puppet_heartbeat(old, 1);
    await_unread(r);
    yzi_broker_connection_lost(r->b, yzi_connection_find(&r->b->connections, &id), "superseded");
    rig_step(r);
    no_rest(r);
    await_left_over(r, 1);
    expect_not_heard(r, old);
}

/* Nonsense that comes after the end costs nobody anything, and nobody's successor either. */
static void test_connections__given_up_cannot_be_begun_anew(void **state)
{
    struct rig *r = *state;
    struct puppet *p = rig_join(r, "CN/GOV/HB/@w1");
    rest(r);
    puppet_send(p, yzi_bytes_str("rubbish"));
    puppet_hello(p, 1, 1);
    puppet_send(p, yzi_bytes_str("more rubbish"));
    await_unread(r);
    yzi_broker_connection_lost(r->b, yzi_connection_of_node(&r->b->connections, p->node->node),
                               "nonsense");
    rig_step(r);
    no_rest(r);
    puppet_expect_cut(p);
    await_left_over(r, 1);
    expect_not_heard(r, p);
    expect_forgotten(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connections__are_not_silent_while_the_broker_does_not_read),
        TEST(test_connections__given_up_for_silence_are_not_heard_any_more),
        TEST(test_connections__with_a_successor_are_not_heard_any_more),
        TEST(test_connections__given_up_cannot_be_begun_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
