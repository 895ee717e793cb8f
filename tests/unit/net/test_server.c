/* SPDX-License-Identifier: Apache-2.0
 *
 * net/server: who gets in, who is heard, and what becomes of sending to who is gone or does not
 * read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/limits.h"
#include "tests/unit/net/link_fixture.h"

#define PIECE 65536u

static void test_server__hears_an_admitted_key(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    assert_int_equal(strncmp(yzi_server_endpoint(f->server, 0), "tcp://127.0.0.1:", 16), 0);
    assert_null(strchr(yzi_server_endpoint(f->server, 0), '*'));
    assert_null(yzi_server_endpoint(f->server, 1));
    connect_link(f, 0);
    talk(f, 0, "hello");
    talk(f, 0, "a message longer than what fits into libzmq's struct");
    assert_int_equal(counters(f).admitted, 1);
    assert_int_equal(counters(f).refused, 0);
}

static void test_server__tells_peers_apart_by_their_keys(void **state)
{
    struct fixture *f = *state;
    f->options.endpoints[1].address = "tcp://127.0.0.1:*";
    f->options.endpoints[1].transport = &f->second_broker;
    f->options.endpoints_n = 2;
    open_server(f);
    connect_link(f, 0);
    connect_link(f, 1);
    struct link_options o = link_options(f, 2, yzi_server_endpoint(f->server, 1), true);
    memcpy(o.server_key, f->second_broker.public_key, 32);
    assert_int_equal(yzi_link_new(&o, &f->links[2], NULL), 0);
    UNTIL(f, f->last[2] == LINK_CONNECTED);
    struct connection_id ids[3];
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++) {
            talk(f, i, i == 0 ? "zero" : i == 1 ? "one" : "two");
            if (round == 0) {
                ids[i] = f->from;
            }
            assert_true(
                yzi_bytes_eq(yzi_connection_bytes(&f->from), yzi_connection_bytes(&ids[i])));
        }
    }
    assert_false(yzi_bytes_eq(yzi_connection_bytes(&ids[0]), yzi_connection_bytes(&ids[1])));
    assert_int_equal(ids[0].endpoint, 0);
    assert_int_equal(ids[2].endpoint, 1);
    f->admitted_n = 0; /* a connection stands although its key was revoked: the key says whose */
    talk(f, 1, "still here");
}

/* Whether libzmq has a message there. */
static bool has_message(struct fixture *f, unsigned endpoint)
{
    struct poll_entry e[SERVER_POLL_ENTRIES];
    assert_true(yzi_server_poll_entries(f->server, e) > 2 + 2 * endpoint);
    assert_int_equal(yzi_poll(&e[2 + 2 * endpoint], 1, 0), 0);
    return e[2 + 2 * endpoint].readable;
}

static unsigned take_from(struct fixture *f)
{
    struct message m = {0};
    assert_int_equal(yzi_server_recv(f->server, &f->from, f->key, &m), 0);
    yzi_message_fini(&m);
    return f->from.endpoint;
}

static void test_server__a_turn_that_is_kept_is_no_longer_by_bundles(void **state)
{
    struct fixture *f = *state;
    f->options.endpoints[1].address = "tcp://127.0.0.1:*";
    f->options.endpoints[1].transport = &f->second_broker;
    f->options.endpoints[1].keeps_turn = true;
    f->options.endpoints_n = 2;
    open_server(f);
    connect_link(f, 0);
    struct link_options o = link_options(f, 1, yzi_server_endpoint(f->server, 1), true);
    memcpy(o.server_key, f->second_broker.public_key, 32);
    assert_int_equal(yzi_link_new(&o, &f->links[1], NULL), 0);
    UNTIL(f, f->last[1] == LINK_CONNECTED);
    talk(f, 1, "all are there"); /* and the turn goes round */
    f->deaf = true;
    for (unsigned i = 0; i < 20; i++) {
        send_text(f, 1, "a bundle of 64");
    }
    for (unsigned i = 0; i < 2; i++) {
        send_text(f, 0, "alone");
        UNTIL(f, has_message(f, 0) && has_message(f, 1));
        unsigned bundles = 0;
        while (take_from(f) == 1) {
            yzi_server_counted(f->server, 64);
            bundles++;
            assert_true(bundles <= 1);
        }
        yzi_server_counted(f->server, 64); /* of an endpoint that keeps no turn: nothing */
    }
    unsigned alone = 0; /* a turn is kept while they are few: 63, and the one that ends it */
    send_text(f, 0, "alone");
    UNTIL(f, has_message(f, 0) && has_message(f, 1));
    for (; take_from(f) == 1; alone++) {
        yzi_server_counted(f->server, 1);
    }
    assert_true(alone > 0);
}

static void test_server__hears_nobody_without_curve(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    struct bare plain = {.context = zmq_ctx_new()};
    plain.socket = zmq_socket(plain.context, ZMQ_DEALER);
    void *monitor = zmq_socket(plain.context, ZMQ_PAIR);
    assert_int_equal(yzi_zmq_set_int(plain.socket, ZMQ_LINGER, 0), 0);
    assert_int_equal(zmq_socket_monitor(plain.socket, "inproc://m", ZMQ_EVENT_DISCONNECTED), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://m"), 0);
    assert_int_equal(zmq_connect(plain.socket, yzi_server_endpoint(f->server, 0)), 0);
    assert_int_equal(zmq_send(plain.socket, "plain", 5, ZMQ_DONTWAIT), 5);
    zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
    UNTIL(f, zmq_poll(&item, 1, 0) == 1); /* thrown out */
    assert_int_equal(f->received, 0);
    assert_int_equal(counters(f).admitted, 0);
    zmq_socket_monitor(plain.socket, NULL, 0); /* or it would wait for its reader for ever */
    zmq_close(monitor);
    zmq_close(plain.socket);
    zmq_ctx_term(plain.context);
}

static void test_server__drops_messages_of_several_parts(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    struct key_pair *k = &f->ours[0];
    assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, k), 0);
    admit(f, k->public_key);
    struct bare b = bare_dealer(f, k, NULL);
    for (int i = 0; i < 200; i++) { /* more than are looked at in one go */
        assert_int_equal(zmq_send(b.socket, "a", 1, ZMQ_SNDMORE), 1);
        assert_int_equal(zmq_send(b.socket, "b", 1, 0), 1);
    }
    assert_int_equal(zmq_send(b.socket, "", 0, ZMQ_SNDMORE), 0); /* as a REQ would */
    assert_int_equal(zmq_send(b.socket, "c", 1, 0), 1);
    assert_int_equal(zmq_send(b.socket, "whole", 5, 0), 5);
    UNTIL(f, f->received == 1);
    assert_string_equal(f->text, "whole");
    assert_int_equal(counters(f).multipart, 201);
    end_bare(&b);
}

static void test_server__does_not_hear_who_names_himself(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    struct key_pair *k = &f->ours[0];
    assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, k), 0);
    admit(f, k->public_key);
    struct bare named = bare_dealer(f, k, "@a1");
    assert_int_equal(zmq_send(named.socket, "named", 5, 0), 5);
    UNTIL(f, counters(f).named == 1);
    assert_int_equal(f->received, 0);
    struct bare alike = bare_dealer(f, k, "12345"); /* as long as one of libzmq's own */
    assert_int_equal(zmq_send(alike.socket, "alike", 5, 0), 5);
    UNTIL(f, counters(f).named == 2);
    assert_int_equal(f->received, 0);
    end_bare(&alike);
    /* nor can the name be used to take over a connection */
    struct bare again = bare_dealer(f, k, "@a1");
    assert_int_equal(zmq_send(again.socket, "again", 5, 0), 5);
    UNTIL(f, counters(f).admitted == 3);
    connect_link(f, 1);
    talk(f, 1, "others are heard");
    assert_int_equal(f->received, 1);
    end_bare(&named);
    end_bare(&again);
}

/* Whoever guesses an id that libzmq gave is not heard under it, and gets nothing that is for its
 * owner. */
static void test_server__gives_no_connection_to_who_claims_its_id(void **state)
{
    struct fixture *f = *state;
    char got[16];
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "mine");
    struct connection_id mine = f->from;
    struct key_pair *k = &f->ours[1];
    assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, k), 0);
    admit(f, k->public_key);
    struct bare thief = bare_dealer_with_id(f, k, yzi_bytes(mine.id, mine.n));
    assert_int_equal(zmq_send(thief.socket, "thief", 5, 0), 5);
    UNTIL(f, counters(f).admitted == 2);
    unsigned heard = f->received;
    for (size_t i = 2; i < 6; i++) { /* who comes later is through by then */
        connect_link(f, i);
        talk(f, i, "others");
    }
    assert_int_equal(f->received, heard + 4);
    assert_int_equal(yzi_server_send(f->server, &mine, yzi_bytes_str("yours")), YZ_OK);
    UNTIL(f, link_takes(f, 0, "yours"));
    talk(f, 0, "still mine");
    assert_int_equal(zmq_recv(thief.socket, got, sizeof got, ZMQ_DONTWAIT), -1);
    end_bare(&thief);
}

/* libzmq takes its first routing id from rand(), which begins the same in every process. */
static void test_server__does_not_begin_its_ids_where_all_do(void **state)
{
    struct fixture *f = *state;
    int usual[64];
    srand(1);
    for (unsigned i = 0; i < 64; i++) {
        usual[i] = rand();
    }
    for (unsigned round = 0; round < 3; round++) {
        srand(1);
        open_server(f);
        int next = rand();
        for (unsigned i = 0; i < 64; i++) {
            assert_int_not_equal(next, usual[i]);
        }
        yzi_server_close(f->server);
        f->server = NULL;
    }
}

static void test_server__throws_out_only_who_sends_too_much(void **state)
{
    struct fixture *f = *state;
    f->options.message_max = 64 * 1024;
    open_server(f);
    connect_link(f, 0);
    connect_link(f, 1);
    talk(f, 0, "first");
    struct connection_id first = f->from;
    uint8_t *big = calloc(1, YZ_MESSAGE_MAX + 1);
    assert_non_null(big);
    assert_int_equal(yzi_link_send(f->links[0], yzi_bytes(big, YZ_MESSAGE_MAX + 1)), YZ_ETOOBIG);
    assert_int_equal(yzi_link_send(f->links[0], yzi_bytes(big, 64 * 1024)), 0);
    UNTIL(f, f->received == 2); /* the limit itself */
    f->received = 0;
    assert_int_equal(yzi_link_send(f->links[0], yzi_bytes(big, 64 * 1024 + 1)), 0);
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    free(big);
    assert_int_equal(f->received, 0);
    UNTIL(f, yzi_server_send(f->server, &first, yzi_bytes_str("x")) == YZ_ECLOSED);
    talk(f, 1, "not my fault");
    yzi_manual_clock_advance(&f->clock, 60000);
    yzi_link_step(f->links[0]);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    talk(f, 0, "never again");
    assert_false(yzi_bytes_eq(yzi_connection_bytes(&f->from), yzi_connection_bytes(&first)));
}

static void test_server__shrugs_off_strangers(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    /* ZMTP 3.1 greeting, CURVE, as client */
    uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'};
    uint8_t flood[4096];
    memset(flood, 0xff, sizeof flood);
    const struct {
        const void *p;
        size_t n;
    } words[] = {{http, sizeof http - 1}, {"", 0},        {greeting, 1},
                 {greeting, 12},          {greeting, 64}, {flood, sizeof flood}};
    int fds[6];
    for (size_t i = 0; i < 6; i++) {
        fds[i] = tcp_connect(yzi_server_endpoint(f->server, 0));
        assert_int_equal(send(fds[i], words[i].p, words[i].n, MSG_NOSIGNAL), (ssize_t)words[i].n);
    }
    /* a command that claims 2^62 bytes after a good greeting: nothing is set aside for it */
    int greedy = tcp_connect(yzi_server_endpoint(f->server, 0));
    static const uint8_t claim[] = {0x06, 0x40, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(send(greedy, greeting, sizeof greeting, MSG_NOSIGNAL), 64);
    assert_int_equal(send(greedy, claim, sizeof claim, MSG_NOSIGNAL), sizeof claim);
    talk(f, 0, "meanwhile");
    /* whoever does not finish a handshake is thrown out, in ZMQ_HANDSHAKE_IVL */
    for (size_t i = 0; i < 7; i++) {
        struct pollfd p = {.fd = i < 6 ? fds[i] : greedy, .events = POLLIN};
        ssize_t n = 1;
        while (n > 0) {
            assert_int_equal(poll(&p, 1, WAIT_MS), 1);
            n = recv(p.fd, flood, sizeof flood, 0);
        }
        assert_true(n == 0 || errno == ECONNRESET);
        close(p.fd);
    }
    talk(f, 0, "afterwards");
    assert_int_equal(counters(f).admitted, 1);
}

static void test_server__knows_a_connection_that_is_gone(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    connect_link(f, 1);
    talk(f, 0, "zero");
    struct connection_id gone = f->from;
    yzi_link_close(f->links[0]);
    f->links[0] = NULL;
    UNTIL(f, yzi_server_send(f->server, &gone, yzi_bytes_str("x")) == YZ_ECLOSED);
    /* a failed send leaves nothing behind that the next could be mistaken for */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(yzi_server_send(f->server, &gone, yzi_bytes_str("y")), YZ_ECLOSED);
        talk(f, 1, "one");
    }
    struct connection_id nobody = {.endpoint = 0, .n = 5, .id = {0, 1, 2, 3, 4}};
    assert_int_equal(yzi_server_send(f->server, &nobody, yzi_bytes_str("y")), YZ_ECLOSED);
    nobody.endpoint = 1;
    assert_int_equal(yzi_server_send(f->server, &nobody, yzi_bytes_str("y")), YZ_EINVAL);
    nobody = (struct connection_id){.n = 3};
    assert_int_equal(yzi_server_send(f->server, &nobody, yzi_bytes_str("y")), YZ_EINVAL);
    talk(f, 1, "one");
}

static void test_server__says_when_a_queue_is_full(void **state)
{
    struct fixture *f = *state;
    f->options.high_water = 4;
    open_server(f);
    struct link_options o = link_options(f, 0, yzi_server_endpoint(f->server, 0), true);
    o.high_water = 4;
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), 0);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    connect_link(f, 1);
    talk(f, 0, "zero");
    struct connection_id slow = f->from;
    static uint8_t piece[PIECE];
    unsigned sent = 0, refused = 0;
    /* the system's buffers swallow some; full is full when nothing moves any more */
    for (unsigned i = 0; i < 100000 && refused < 20; i++) {
        int rc = yzi_server_send(f->server, &slow, yzi_bytes(piece, sizeof piece));
        assert_true(rc == YZ_OK || rc == YZ_EAGAIN);
        sent += rc == YZ_OK;
        refused = rc == YZ_OK ? 0 : refused + 1;
        if (rc == YZ_EAGAIN) {
            turn(f, 10);
        }
    }
    assert_int_equal(refused, 20);
    talk(f, 1, "not my queue");
    unsigned taken = 0; /* what was taken on is delivered, all of it */
    while (taken < sent) {
        struct message m = {0};
        UNTIL(f, yzi_link_recv(f->links[0], &m) == YZ_OK);
        assert_int_equal(m.bytes.n, PIECE);
        yzi_message_fini(&m);
        taken++;
    }
    UNTIL(f, yzi_server_send(f->server, &slow, yzi_bytes_str("again")) == YZ_OK);
    UNTIL(f, link_takes(f, 0, "again"));
}

static void test_server__refuses_what_it_cannot_do(void **state)
{
    struct fixture *f = *state;
    yz_error err = {0};
    struct link *l;
    static const char *const bad[] = {"", "tcp", "tcp://", "nonsense://127.0.0.1:1",
                                      "tcp://127.0.0.1:port"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f->options.endpoints[0].address = bad[i];
        assert_int_equal(yzi_server_new(&f->options, &f->server, &err), YZ_ECONFIG);
        struct link_options o = link_options(f, 0, bad[i], true);
        assert_int_equal(yzi_link_new(&o, &l, &err), YZ_ECONFIG);
        yzi_key_pair_fini(&f->ours[0]);
    }
    assert_null(f->server);
    f->options.endpoints[0].address = "tcp://localhost:7300"; /* libzmq takes no names here */
    assert_int_equal(yzi_server_new(&f->options, &f->server, &err), YZ_ECONFIG);
    assert_non_null(strstr(err.text, "the number of an address"));
    char endpoint[64];
    int port = reserve_port(endpoint);
    f->options.endpoints[0].address = endpoint;
    assert_int_equal(yzi_server_new(&f->options, &f->server, &err), YZ_EIO);
    assert_non_null(strstr(err.text, endpoint));
    close(port);
    f->options.endpoints[0].address = "tcp://127.0.0.1:*";
    open_server(f);
    struct server *second; /* its handshakes would go to the first one's handler */
    assert_int_equal(yzi_server_new(&f->options, &second, &err), YZ_EINTERNAL);
    f->options.endpoints_n = 0;
    assert_int_equal(yzi_server_new(&f->options, &second, &err), YZ_EINVAL);
    struct key_pair wrong;
    assert_int_equal(yzi_key_pair_generate(KEY_SEALING, &wrong), 0);
    struct link_options o = link_options(f, 0, yzi_server_endpoint(f->server, 0), true);
    o.transport = &wrong;
    assert_int_equal(yzi_link_new(&o, &l, &err), YZ_EINVAL);
    yzi_key_pair_fini(&wrong);
}

static void test_server__serves_many(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    for (size_t i = 0; i < 25; i++) { /* all at once */
        open_link(f, i, true);
    }
    for (size_t i = 0; i < 25; i++) {
        UNTIL(f, f->last[i] == LINK_CONNECTED);
    }
    char text[16];
    for (size_t i = 0; i < 25; i++) {
        snprintf(text, sizeof text, "link %zu", i);
        talk(f, i, text);
    }
    assert_int_equal(counters(f).admitted, 25);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_server__hears_an_admitted_key),
        TEST(test_server__tells_peers_apart_by_their_keys),
        TEST(test_server__a_turn_that_is_kept_is_no_longer_by_bundles),
        TEST(test_server__hears_nobody_without_curve),
        TEST(test_server__drops_messages_of_several_parts),
        TEST(test_server__does_not_hear_who_names_himself),
        TEST(test_server__gives_no_connection_to_who_claims_its_id),
        TEST(test_server__does_not_begin_its_ids_where_all_do),
        TEST(test_server__throws_out_only_who_sends_too_much),
        TEST(test_server__shrugs_off_strangers),
        TEST(test_server__knows_a_connection_that_is_gone),
        TEST(test_server__says_when_a_queue_is_full),
        TEST(test_server__refuses_what_it_cannot_do),
        TEST(test_server__serves_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
