/* SPDX-License-Identifier: Apache-2.0
 *
 * net/link: refused, lost, silent and misbehaving servers, and its own queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/limits.h"
#include "tests/unit/net/link_fixture.h"

#define PIECE 65536u

static void test_link__is_refused_until_its_key_is_known(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    open_link(f, 0, false);
    UNTIL(f, f->last[0] == LINK_REFUSED);
    assert_int_equal(counters(f).refused, 1);
    assert_int_equal(yzi_link_send(f->links[0], yzi_bytes_str("x")), YZ_EAGAIN);
    uint64_t wait = yzi_link_deadline(f->links[0]);
    assert_true(wait >= 50 && wait <= 100);
    yzi_manual_clock_advance(&f->clock, wait - 1);
    yzi_link_step(f->links[0]); /* not yet */
    yzi_manual_clock_advance(&f->clock, 1);
    f->last[0] = LINK_NOTHING;
    yzi_link_step(f->links[0]);
    UNTIL(f, f->last[0] == LINK_REFUSED);
    assert_int_equal(counters(f).refused, 2);

    admit(f, f->ours[0].public_key);
    yzi_manual_clock_advance(&f->clock, yzi_link_deadline(f->links[0]));
    yzi_link_step(f->links[0]);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    assert_true(yzi_link_deadline(f->links[0]) == UINT64_MAX);
    talk(f, 0, "known");
    assert_int_equal(counters(f).admitted, 1);
}

static void test_link__does_not_speak_to_a_server_with_another_key(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    struct link_options o = link_options(f, 0, yzi_server_endpoint(f->server, 0), true);
    memcpy(o.server_key, f->second_broker.public_key, 32);
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), 0);
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    assert_int_equal(counters(f).admitted, 0);
}

static void test_link__drops_messages_of_several_parts(void **state)
{
    struct fixture *f = *state;
    void *router = yzi_zmq_new_router(yzi_net_context(f->net), ZMQ_ROUTER);
    assert_int_equal(yzi_zmq_set_int(router, ZMQ_LINGER, 0), 0);
    assert_int_equal(yzi_zmq_set_int(router, ZMQ_CURVE_SERVER, 1), 0);
    assert_int_equal(yzi_zmq_set_curve_keys(router, &f->broker), 0);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    char endpoint[64];
    size_t n = sizeof endpoint;
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &n), 0);
    struct link_options o = link_options(f, 0, endpoint, false);
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), 0);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    send_text(f, 0, "hello");
    char id[64];
    int id_n = zmq_recv(router, id, sizeof id, 0);
    assert_int_equal(id_n, 5);
    assert_int_equal(zmq_recv(router, endpoint, sizeof endpoint, 0), 5);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(zmq_send(router, id, 5, ZMQ_SNDMORE), 5);
        assert_int_equal(zmq_send(router, "a", 1, ZMQ_SNDMORE), 1);
        assert_int_equal(zmq_send(router, "b", 1, 0), 1);
    }
    assert_int_equal(zmq_send(router, id, 5, ZMQ_SNDMORE), 5);
    assert_int_equal(zmq_send(router, "whole", 5, 0), 5);
    UNTIL(f, link_takes(f, 0, "whole"));
    zmq_close(router);
}

static void test_link__says_when_its_queue_is_full(void **state)
{
    struct fixture *f = *state;
    f->options.high_water = 4;
    open_server(f);
    struct link_options o = link_options(f, 0, yzi_server_endpoint(f->server, 0), true);
    o.high_water = 4;
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), 0);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    f->deaf = true;
    static uint8_t piece[PIECE];
    unsigned sent = 0, refused = 0;
    for (unsigned i = 0; i < 100000 && refused < 20; i++) {
        int rc = yzi_link_send(f->links[0], yzi_bytes(piece, sizeof piece));
        assert_true(rc == YZ_OK || rc == YZ_EAGAIN);
        sent += rc == YZ_OK;
        refused = rc == YZ_OK ? 0 : refused + 1;
        if (rc == YZ_EAGAIN) {
            turn(f, 10);
        }
    }
    assert_int_equal(refused, 20);
    f->deaf = false;
    UNTIL(f, f->received == sent);
}

static void test_link__hears_last_words_and_comes_back_empty_handed(void **state)
{
    struct fixture *f = *state;
    char endpoint[64];
    int port = reserve_port(endpoint);
    close(port);
    f->options.endpoints[0].address = endpoint;
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "hello");
    assert_int_equal(yzi_server_send(f->server, &f->from, yzi_bytes_str("last words")), 0);
    /* no linger: the words must have left before the socket is closed */
    struct poll_entry e[LINK_POLL_ENTRIES];
    yzi_link_poll_entries(f->links[0], e);
    assert_int_equal(yzi_poll(e, 1, WAIT_MS), 0);
    yzi_server_close(f->server);
    f->server = NULL;
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    yzi_link_poll_entries(f->links[0], e); /* libzmq learns of its own loss in here */
    assert_int_equal(yzi_poll(e, LINK_POLL_ENTRIES, 0), 0);
    assert_true(e[0].readable);
    assert_true(link_takes(f, 0, "last words"));
    struct message m = {0};
    assert_int_equal(yzi_link_recv(f->links[0], &m), YZ_EAGAIN);
    assert_int_equal(yzi_link_send(f->links[0], yzi_bytes_str("lost")), YZ_EAGAIN);

    yzi_manual_clock_advance(&f->clock, 100);
    yzi_link_step(f->links[0]); /* nobody there yet */
    f->last[0] = LINK_NOTHING;
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    open_server(f);
    yzi_manual_clock_advance(&f->clock, 200);
    yzi_link_step(f->links[0]);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    unsigned before = f->received;
    talk(f, 0, "first on the new connection");
    assert_int_equal(f->received, before + 1);
}

static void test_link__abandons_a_connection(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "hello");
    struct connection_id before = f->from;
    yzi_link_abandon(f->links[0]);
    assert_true(yzi_link_deadline(f->links[0]) == 0); /* there is something to be told */
    assert_int_equal(yzi_link_next_event(f->links[0]), LINK_DISCONNECTED);
    assert_int_equal(yzi_link_next_event(f->links[0]), LINK_NOTHING);
    uint64_t at = yzi_link_deadline(f->links[0]);
    assert_true(at >= 50 && at <= 100);
    yzi_link_abandon(f->links[0]); /* nothing to abandon */
    assert_int_equal(yzi_link_next_event(f->links[0]), LINK_NOTHING);
    assert_true(yzi_link_deadline(f->links[0]) == at);
    UNTIL(f, yzi_server_send(f->server, &before, yzi_bytes_str("x")) == YZ_ECLOSED);
    f->last[0] = LINK_NOTHING;
    yzi_manual_clock_advance(&f->clock, 100);
    yzi_link_step(f->links[0]);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    talk(f, 0, "again");
}

static void test_link__backs_off_further_each_time(void **state)
{
    struct fixture *f = *state;
    char endpoint[64];
    int port = reserve_port(endpoint);
    struct link_options o = link_options(f, 0, endpoint, true);
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), 0);
    uint64_t expected = 100;
    bool jitter = false;
    for (unsigned i = 0; i < 14; i++) {
        f->last[0] = LINK_NOTHING;
        UNTIL(f, f->last[0] == LINK_DISCONNECTED);
        uint64_t wait = yzi_link_deadline(f->links[0]) - yzi_mono_ms(&f->clock.clock);
        assert_true(wait >= expected / 2 && wait <= expected);
        jitter = jitter || wait != expected;
        yzi_manual_clock_advance(&f->clock, wait);
        yzi_link_step(f->links[0]);
        expected = expected * 2 > 30000 ? 30000 : expected * 2;
    }
    assert_true(jitter);
    /* a connection that stood makes the next failure a first one again */
    close(port);
    f->options.endpoints[0].address = endpoint;
    f->last[0] = LINK_NOTHING;
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    open_server(f);
    yzi_manual_clock_advance(&f->clock, 30000);
    yzi_link_step(f->links[0]);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    yzi_manual_clock_advance(&f->clock, 30000);
    yzi_link_abandon(f->links[0]);
    assert_int_equal(yzi_link_next_event(f->links[0]), LINK_DISCONNECTED);
    assert_true(yzi_link_deadline(f->links[0]) - yzi_mono_ms(&f->clock.clock) <= 100);
}

static void test_link__gives_up_on_who_never_answers(void **state)
{
    struct fixture *f = *state;
    char endpoint[64];
    int port = reserve_port(endpoint);
    assert_int_equal(listen(port, 4), 0);
    struct link_options o = link_options(f, 0, endpoint, true);
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), 0);
    assert_true(yzi_link_deadline(f->links[0]) == 10000);
    yzi_manual_clock_advance(&f->clock, 10000);
    yzi_link_step(f->links[0]);
    assert_int_equal(yzi_link_next_event(f->links[0]), LINK_DISCONNECTED);
    assert_int_equal(yzi_link_next_event(f->links[0]), LINK_NOTHING);
    struct message m = {0};
    assert_int_equal(yzi_link_recv(f->links[0], &m), YZ_EAGAIN);
    close(port);
}

/* libzmq's thread tells the monitor more after the refusal; whether we still listen or not, it must
 * go on serving everybody. */
static void test_link__outlives_many_refusals(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    open_link(f, 0, false);
    for (unsigned i = 0; i < 300; i++) {
        UNTIL(f, f->last[0] == LINK_REFUSED);
        f->last[0] = LINK_NOTHING;
        yzi_manual_clock_advance(&f->clock, 30000);
        yzi_link_step(f->links[0]);
    }
    connect_link(f, 1);
    talk(f, 1, "still there");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link__is_refused_until_its_key_is_known),
        TEST(test_link__outlives_many_refusals),
        TEST(test_link__does_not_speak_to_a_server_with_another_key),
        TEST(test_link__drops_messages_of_several_parts),
        TEST(test_link__says_when_its_queue_is_full),
        TEST(test_link__hears_last_words_and_comes_back_empty_handed),
        TEST(test_link__abandons_a_connection),
        TEST(test_link__backs_off_further_each_time),
        TEST(test_link__gives_up_on_who_never_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
