/* SPDX-License-Identifier: Apache-2.0
 *
 * net/wires: what is held for each connection is known, and whoever makes us hold too much, or says
 * nothing, is cut; who is put off is not told that its key is unknown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/zmtp.h"
#include "tests/unit/net/link_fixture.h"

#define MIB ((size_t)1024 * 1024)
#define PIECE MIB
#define HANDSHAKES 16384u /* what two of them are reckoned at, and more */
#define HOSTILE_MS 60000u /* for a hostile peer to be done with */

static int wires_set_up(void **state)
{
    assert_int_equal(set_up(state), 0);
    struct fixture *f = *state;
    f->options.clock = &f->clock.clock;
    f->options.queue_bytes = 64 * MIB;
    f->options.queue_bytes_per_peer = 32 * MIB;
    return 0;
}

/* A hostile peer's own thread: the server turns in the test's. */
struct hostile {
    struct zmtp z;
    const char *endpoint;
    struct zmtp_keys keys;
    void (*act)(struct hostile *h);
    pthread_t thread;
    _Atomic bool opened, done;
    _Atomic size_t sent, allowed;
};

static void *run_hostile(void *arg)
{
    struct hostile *h = arg;
    h->opened = zmtp_open(&h->z, h->endpoint, &h->keys, ZMTP_READY);
    if (h->opened) {
        h->act(h);
    }
    zmtp_close(&h->z);
    h->done = true;
    return NULL;
}

static void start_hostile(struct fixture *f, struct hostile *h, void (*act)(struct hostile *h))
{
    struct key_pair *ours = &f->ours[LINKS_MAX - 1];
    if (!ours->secret.n) {
        assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, ours), 0);
        admit(f, ours->public_key);
    }
    h->act = act;
    h->endpoint = yzi_server_endpoint(f->server, 0);
    memcpy(h->keys.server_public, f->broker.public_key, 32);
    memcpy(h->keys.public_key, ours->public_key, 32);
    memcpy(h->keys.secret_key, yzi_key_pair_open(ours), 32);
    yzi_key_pair_close(ours);
    assert_int_equal(pthread_create(&h->thread, NULL, run_hostile, h), 0);
}

/* Time passes as the hostile peer acts: with each piece it may send, so that neither a fast peer
 * nor a busy machine makes a difference. */
static void outlast(struct fixture *f, struct hostile *h)
{
    uint64_t end = yzi_mono_ms(&yzi_clock_system) + HOSTILE_MS;
    while (!h->done) {
        if (yzi_mono_ms(&yzi_clock_system) > end) {
            fail_msg("the hostile peer goes on for ever; it sent %zu", h->sent);
        }
        turn(f, 1);
        if (h->sent == h->allowed) {
            yzi_manual_clock_advance(&f->clock, 20);
            h->allowed += PIECE;
        }
    }
    pthread_join(h->thread, NULL);
}

static bool may_send(const struct hostile *h)
{
    while (h->sent == h->allowed) {
        sched_yield();
    }
    return h->sent < 1024 * MIB;
}

static void send_parts_without_end(struct hostile *h)
{
    static const uint8_t piece[PIECE];
    while (may_send(h) && zmtp_send_part(&h->z, piece, PIECE, true, 10000)) {
        h->sent += PIECE;
    }
}

static void test_wires__parts_without_an_end_cost_the_connection(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "before");
    struct hostile h = {0};
    start_hostile(f, &h, send_parts_without_end);
    outlast(f, &h);
    assert_true(h.opened);
    assert_in_range(h.sent, 0, 128 * MIB); /* what was on its way when it was cut */
    assert_int_equal(counters(f).cut_greedy + counters(f).cut_silent, 1);
    assert_int_equal(f->received, 1);
    talk(f, 0, "after");
}

static void speak_and_go_on_for_ever(struct hostile *h)
{
    static const uint8_t piece[PIECE];
    bool open = zmtp_send_part(&h->z, "word", 4, false, 10000);
    while (!h->allowed) {
        sched_yield();
    }
    while (open && h->sent < 2048 * MIB) {
        open = zmtp_send_part(&h->z, piece, PIECE, true, 10000);
        h->sent += open ? PIECE : 0;
    }
}

/* The server's thread has other work for as long as that takes; libzmq's goes on receiving. */
static void test_wires__are_watched_while_the_server_is_kept(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    struct hostile h = {0};
    start_hostile(f, &h, speak_and_go_on_for_ever);
    UNTIL(f, f->received == 1);
    h.allowed = 1; /* and no turn from here on: he is cut, or has sent all there is */
    pthread_join(h.thread, NULL);
    assert_true(h.opened);
    assert_in_range(h.sent, 0, 2047 * MIB);
    assert_int_equal(counters(f).cut_greedy, 1);
}

static void speak_then_parts_without_end(struct hostile *h)
{
    if (zmtp_send_part(&h->z, "word", 4, false, 10000)) {
        send_parts_without_end(h);
    }
}

static void test_wires__parts_without_an_end_after_a_word_too(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "before");
    struct hostile h = {0};
    start_hostile(f, &h, speak_then_parts_without_end);
    outlast(f, &h);
    assert_in_range(h.sent, 16 * MIB, 256 * MIB);
    assert_int_equal(counters(f).cut_greedy, 1);
    talk(f, 0, "after");
    UNTIL(f, counters(f).unread_bytes == 0);
}

static void wait_for_the_end(struct hostile *h)
{
    zmtp_is_ended(&h->z, 15000);
}

static void test_wires__silence_after_admission_costs_the_connection(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    struct hostile h = {0};
    start_hostile(f, &h, wait_for_the_end);
    UNTIL(f, h.opened && counters(f).unspoken == 1);
    yzi_manual_clock_advance(&f->clock, 9000);
    turn(f, 0);
    assert_int_equal(counters(f).cut_silent, 0);
    yzi_manual_clock_advance(&f->clock, 1100);
    UNTIL(f, counters(f).cut_silent == 1 && counters(f).wires == 0);
    outlast(f, &h);
}

static void test_wires__of_many_that_say_nothing_the_oldest_go(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 60, KEPT = 20 };
    f->options.unspoken = KEPT;
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "before");
    static struct zmtp peers[MANY];
    for (size_t i = 0; i < MANY; i++) {
        assert_true(zmtp_open(&peers[i], yzi_server_endpoint(f->server, 0), NULL, ZMTP_CONNECTED));
    }
    UNTIL(f, counters(f).cut_silent >= MANY - KEPT);
    assert_in_range(counters(f).unspoken, 0, KEPT);
    assert_true(zmtp_is_ended(&peers[0], 10000));
    connect_link(f, 1); /* who has something to say gets through */
    talk(f, 1, "between");
    talk(f, 0, "still");
    for (size_t i = 0; i < MANY; i++) {
        zmtp_close(&peers[i]);
    }
    UNTIL(f, counters(f).wires == 2);
}

/* What is given to the socket and not read stays within the bytes of its peer; what is read makes
 * room again. */
static void test_wires__hold_only_so_much_for_who_does_not_read(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    connect_link(f, 1);
    talk(f, 1, "honest");
    struct connection_id honest = f->from;
    talk(f, 0, "slow");
    struct connection_id slow = f->from;
    static const uint8_t piece[PIECE];
    size_t sent = 0;
    int rc = YZ_OK;
    while (rc == YZ_OK) {
        rc = yzi_server_send(f->server, &slow, yzi_bytes(piece, PIECE));
        sent += rc == YZ_OK;
        assert_in_range(sent, 0, 1024);
        struct poll_entry e[SERVER_POLL_ENTRIES];
        assert_int_equal(yzi_poll(e, yzi_server_poll_entries(f->server, e), 0), 0);
    }
    assert_int_equal(rc, YZ_EAGAIN);
    assert_in_range(counters(f).unsent_bytes, 31 * MIB, 33 * MIB);
    assert_int_equal(yzi_server_send(f->server, &honest, yzi_bytes_str("not yours")), YZ_OK);
    UNTIL(f, link_takes(f, 1, "not yours"));
    for (size_t i = 0; i < sent; i++) {
        struct message m = {0};
        UNTIL(f, yzi_link_recv(f->links[0], &m) == YZ_OK);
        assert_int_equal(m.bytes.n, PIECE);
        yzi_message_fini(&m);
    }
    yzi_manual_clock_advance(&f->clock, 1000);
    UNTIL(f, yzi_server_send(f->server, &slow, yzi_bytes(piece, PIECE)) == YZ_OK);
}

/* Until nothing has been taken for so long that the peer's own queues must be full. */
static void fill_up(struct fixture *f, const struct connection_id *to)
{
    static const uint8_t piece[PIECE];
    unsigned refused = 0;
    for (unsigned sent = 0; refused < 20;) {
        int rc = yzi_server_send(f->server, to, yzi_bytes(piece, PIECE));
        sent += rc == YZ_OK;
        refused = rc == YZ_OK ? 0 : refused + 1;
        assert_in_range(sent, 0, 512);
        yzi_manual_clock_advance(&f->clock, 200);
        turn(f, rc == YZ_OK ? 0 : 10);
    }
}

/* In all, too: where one that does not read has taken all the room, another gets nothing. */
static void test_wires__hold_only_so_much_in_all(void **state)
{
    struct fixture *f = *state;
    f->options.queue_bytes = 8 * MIB;
    f->options.queue_bytes_per_peer = 1024 * MIB;
    open_server(f);
    struct link_options o = link_options(f, 0, yzi_server_endpoint(f->server, 0), true);
    o.high_water = 1;
    assert_int_equal(yzi_link_new(&o, &f->links[0], NULL), YZ_OK);
    UNTIL(f, f->last[0] == LINK_CONNECTED);
    connect_link(f, 1);
    talk(f, 1, "honest");
    struct connection_id honest = f->from;
    send_text(f, 0, "slow");
    UNTIL(f, strcmp(f->text, "slow") == 0);
    fill_up(f, &f->from);
    static const uint8_t piece[PIECE];
    assert_in_range(counters(f).unsent_bytes, 7 * MIB, 8 * MIB);
    assert_int_equal(yzi_server_send(f->server, &honest, yzi_bytes(piece, PIECE)), YZ_EAGAIN);
    yzi_server_cut(f->server, &f->from);
    assert_int_equal(yzi_server_send(f->server, &honest, yzi_bytes(piece, PIECE)), YZ_OK);
}

static void send_pieces(struct fixture *f, size_t link, unsigned n)
{
    static const uint8_t piece[PIECE];
    for (unsigned i = 0; i < n; i++) {
        UNTIL(f, yzi_link_send(f->links[link], yzi_bytes(piece, PIECE)) == YZ_OK);
    }
}

static size_t unread_by_now(struct fixture *f)
{
    yzi_manual_clock_advance(&f->clock, 1000);
    turn(f, 0);
    return counters(f).unread_bytes;
}

/* Two nodes have 6 and 4 MiB unread, then these limits come into force: only the first loses its
 * connection. */
static void first_is_cut_by(struct fixture *f, size_t bytes, size_t bytes_per_peer)
{
    f->options.queue_bytes = f->options.queue_bytes_per_peer = 1024 * MIB;
    open_server(f);
    for (size_t i = 0; i < 2; i++) {
        connect_link(f, i);
        talk(f, i, "before");
    }
    f->deaf = true;
    send_pieces(f, 0, 6);
    send_pieces(f, 1, 4);
    UNTIL(f, unread_by_now(f) >= 10 * MIB - HANDSHAKES);
    assert_int_equal(counters(f).cut_greedy, 0);
    yzi_server_set_queue_bytes(f->server, bytes, bytes_per_peer);
    assert_in_range(unread_by_now(f), 4 * MIB - HANDSHAKES, 5 * MIB);
    assert_int_equal(counters(f).cut_greedy, 1);
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    f->deaf = false;
    f->awaited = "after"; /* of the first, libzmq may have a message yet */
    send_text(f, 1, f->awaited);
    UNTIL(f, f->heard);
    assert_int_equal(f->last[1], LINK_CONNECTED);
    assert_int_equal(counters(f).cut_greedy, 1);
}

static void test_wires__a_node_with_too_much_unread_is_cut(void **state)
{
    first_is_cut_by(*state, 1024 * MIB, 5 * MIB);
}

static void test_wires__with_too_much_unread_in_all_the_greediest_is_cut(void **state)
{
    first_is_cut_by(*state, 9 * MIB, 1024 * MIB);
}

static void test_wires__cut_ends_that_connection_only(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    connect_link(f, 0);
    connect_link(f, 1);
    talk(f, 0, "zero");
    struct connection_id zero = f->from;
    talk(f, 1, "one");
    yzi_server_cut(f->server, &zero);
    yzi_server_cut(f->server, &zero); /* once more changes nothing */
    UNTIL(f, f->last[0] == LINK_DISCONNECTED);
    UNTIL(f, counters(f).wires == 1);
    UNTIL(f, yzi_server_send(f->server, &zero, yzi_bytes_str("x")) == YZ_ECLOSED);
    yzi_server_cut(f->server, &zero);
    talk(f, 1, "one again");
}

/* What was said last is read when the connection is gone and its descriptor another's: that one is
 * not taken for it, and not cut for it. */
static void test_wires__a_late_word_is_not_the_next_connections(void **state)
{
    struct fixture *f = *state;
    open_server(f);
    for (unsigned i = 0; i < 30; i++) {
        f->deaf = true;
        open_link(f, 0, true);
        f->last[0] = LINK_NOTHING;
        UNTIL(f, f->last[0] == LINK_CONNECTED);
        send_text(f, 0, "late");
        yzi_link_set_linger(f->links[0], WAIT_MS);
        yzi_link_close(f->links[0]);
        f->links[0] = NULL;
        yzi_key_pair_fini(&f->ours[0]);
        UNTIL(f, counters(f).wires == 0);
        f->last[1] = LINK_NOTHING;
        open_link(f, 1, true);
        UNTIL(f, f->last[1] == LINK_CONNECTED);
        unsigned before = f->received;
        f->deaf = false;
        UNTIL(f, f->received > before);
        assert_string_equal(f->text, "late");
        assert_int_equal(counters(f).unspoken, 1);
        assert_int_equal(yzi_server_send(f->server, &f->from, yzi_bytes_str("x")), YZ_ECLOSED);
        yzi_server_cut(f->server, &f->from);
        talk(f, 1, "next");
        assert_int_equal(f->last[1], LINK_CONNECTED);
        yzi_link_close(f->links[1]);
        f->links[1] = NULL;
        yzi_key_pair_fini(&f->ours[1]);
        UNTIL(f, counters(f).wires == 0);
        f->admitted_n = 0;
    }
}

static bool no_room(void *ctx, const uint8_t key[32])
{
    (void)ctx;
    (void)key;
    return false;
}

static void test_wires__who_is_put_off_is_not_called_unknown(void **state)
{
    struct fixture *f = *state;
    f->options.has_room = no_room;
    open_server(f);
    open_link(f, 0, true);
    UNTIL(f, f->last[0] != LINK_NOTHING);
    assert_int_equal(f->last[0], LINK_DISCONNECTED);
    assert_int_equal(counters(f).put_off, 1);
    assert_int_equal(counters(f).refused, 0);
    open_link(f, 1, false);
    UNTIL(f, f->last[1] != LINK_NOTHING);
    assert_int_equal(f->last[1], LINK_REFUSED);
    assert_int_equal(counters(f).refused, 1);
}

/* Many messages in turn leave nothing on the books, whatever their sizes. */
static void test_wires__know_that_all_was_read(void **state)
{
    struct fixture *f = *state;
    f->options.queue_bytes_per_peer = 64 * MIB; /* more than all of them */
    open_server(f);
    connect_link(f, 0);
    talk(f, 0, "first"); /* or all of it would be too much of one that has not spoken */
    static const uint8_t piece[PIECE];
    static const size_t sizes[] = {0, 1, 221, 222, 223, 65536, PIECE};
    unsigned n = f->received;
    for (unsigned round = 0; round < 40; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++, n++) {
            UNTIL(f, yzi_link_send(f->links[0], yzi_bytes(piece, sizes[i])) == YZ_OK);
        }
    }
    UNTIL(f, f->received == n);
    yzi_manual_clock_advance(&f->clock, 1000);
    turn(f, 0);
    assert_int_equal(counters(f).unread_bytes, 0);
    assert_int_equal(counters(f).cut_greedy, 0);
    talk(f, 0, "last");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, wires_set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wires__parts_without_an_end_cost_the_connection),
        TEST(test_wires__parts_without_an_end_after_a_word_too),
        TEST(test_wires__are_watched_while_the_server_is_kept),
        TEST(test_wires__silence_after_admission_costs_the_connection),
        TEST(test_wires__of_many_that_say_nothing_the_oldest_go),
        TEST(test_wires__hold_only_so_much_for_who_does_not_read),
        TEST(test_wires__hold_only_so_much_in_all),
        TEST(test_wires__a_node_with_too_much_unread_is_cut),
        TEST(test_wires__with_too_much_unread_in_all_the_greediest_is_cut),
        TEST(test_wires__cut_ends_that_connection_only),
        TEST(test_wires__a_late_word_is_not_the_next_connections),
        TEST(test_wires__who_is_put_off_is_not_called_unknown),
        TEST(test_wires__know_that_all_was_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
