/* SPDX-License-Identifier: Apache-2.0
 *
 * net/link against net/server over real loopback sockets, and each of them against bare libzmq and
 * bare TCP peers that break the rules. The clock stands still but for the tests that move it, so a
 * link makes a new attempt exactly when a test lets it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "net/link.h"
#include "net/server.h"
#include "net/zmq_util.h"
#include "proto/limits.h"

#define WAIT_MS 20000u /* how long a test waits for what must happen */
#define LINKS_MAX 40u
#define KEYS_MAX 64u

struct fixture {
    struct manual_clock clock;
    struct net *net;
    struct key_pair broker, second_broker, ours[LINKS_MAX];
    struct server_options options;
    struct server *server;
    struct link *links[LINKS_MAX];
    enum link_event last[LINKS_MAX]; /* the last event of each link that was not NOTHING */
    uint8_t admitted[KEYS_MAX][32];
    unsigned admitted_n;
    /* what the server last received */
    unsigned received;
    struct connection_id from;
    uint8_t key[32];
    char text[128];
    bool deaf; /* the server does not take messages */
};

static void admit(struct fixture *f, const uint8_t key[32])
{
    memcpy(f->admitted[f->admitted_n++], key, 32);
}

static bool is_admitted(void *ctx, const uint8_t key[32])
{
    struct fixture *f = ctx;
    for (unsigned i = 0; i < f->admitted_n; i++) {
        if (memcmp(f->admitted[i], key, 32) == 0) {
            return true;
        }
    }
    return false;
}

static void open_server(struct fixture *f)
{
    yz_error err = {0};
    int rc = yzi_server_new(&f->options, &f->server, &err);
    if (rc < 0) {
        fail_msg("%s", err.text);
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    yzi_manual_clock_init(&f->clock, 1795381509123);
    assert_int_equal(yzi_net_new(0, &f->net), 0);
    yzi_secret_require_lock(false);
    assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, &f->broker), 0);
    assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, &f->second_broker), 0);
    f->options = (struct server_options){.net = f->net, .admit = is_admitted, .ctx = f};
    f->options.endpoints[0].address = "tcp://127.0.0.1:*";
    f->options.endpoints[0].transport = &f->broker;
    f->options.endpoints_n = 1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < LINKS_MAX; i++) {
        yzi_link_close(f->links[i]);
        yzi_key_pair_fini(&f->ours[i]);
    }
    yzi_server_close(f->server);
    yzi_net_free(f->net);
    yzi_key_pair_fini(&f->broker);
    yzi_key_pair_fini(&f->second_broker);
    free(f);
    return 0;
}

static struct link_options link_options(struct fixture *f, size_t i, const char *endpoint,
                                        bool known)
{
    assert_int_equal(yzi_key_pair_generate(KEY_TRANSPORT, &f->ours[i]), 0);
    if (known) {
        admit(f, f->ours[i].public_key);
    }
    struct link_options o = {
        .net = f->net, .endpoint = endpoint, .transport = &f->ours[i], .clock = &f->clock.clock};
    memcpy(o.server_key, f->broker.public_key, 32);
    return o;
}

static void open_link(struct fixture *f, size_t i, bool known)
{
    struct link_options o = link_options(f, i, yzi_server_endpoint(f->server, 0), known);
    yz_error err = {0};
    assert_int_equal(yzi_link_new(&o, &f->links[i], &err), 0);
}

/* -- turning the crank -- */

static void receive_all(struct fixture *f)
{
    for (;;) {
        struct message m = {0};
        int rc = yzi_server_recv(f->server, &f->from, f->key, &m);
        if (rc == YZ_EAGAIN) {
            return;
        }
        assert_int_equal(rc, 0);
        snprintf(f->text, sizeof f->text, "%.*s", (int)(m.bytes.n < 100 ? m.bytes.n : 100),
                 m.bytes.n ? (const char *)m.bytes.p : "");
        f->received++;
        yzi_message_fini(&m);
    }
}

/* Wait for something to happen, at most so long, and let server and links deal with it. */
static void turn(struct fixture *f, int64_t wait_ms)
{
    struct poll_entry e[SERVER_POLL_ENTRIES + LINKS_MAX * LINK_POLL_ENTRIES];
    size_t n = 0;
    if (f->server) {
        n = yzi_server_poll_entries(f->server, e);
        n = f->deaf ? 1 : n;
    }
    for (size_t i = 0; i < LINKS_MAX && n + LINK_POLL_ENTRIES <= 64; i++) {
        if (f->links[i]) {
            yzi_link_poll_entries(f->links[i], e + n);
            e[n].socket = NULL; /* tests take messages themselves */
            n += LINK_POLL_ENTRIES;
        }
    }
    assert_int_equal(yzi_poll(e, n, wait_ms), 0);
    if (f->server) {
        yzi_server_step(f->server);
        if (!f->deaf) {
            receive_all(f);
        }
    }
    for (size_t i = 0; i < LINKS_MAX; i++) {
        enum link_event event;
        while (f->links[i] && (event = yzi_link_next_event(f->links[i])) != LINK_NOTHING) {
            f->last[i] = event;
        }
    }
}

/* Turn until the condition holds. Some conditions change inside libzmq without waking anybody. */
#define UNTIL(f, cond)                                                                             \
    do {                                                                                           \
        uint64_t end_ = yzi_mono_ms(&yzi_clock_system) + WAIT_MS;                                  \
        while (!(cond)) {                                                                          \
            if (yzi_mono_ms(&yzi_clock_system) >= end_) {                                          \
                fail_msg("never came true: %s", #cond);                                            \
            }                                                                                      \
            turn(f, 10);                                                                           \
        }                                                                                          \
    } while (0)

static void connect_link(struct fixture *f, size_t i)
{
    open_link(f, i, true);
    UNTIL(f, f->last[i] == LINK_CONNECTED);
}

static void send_text(struct fixture *f, size_t i, const char *text)
{
    assert_int_equal(yzi_link_send(f->links[i], yzi_bytes_str(text)), 0);
}

static bool link_takes(struct fixture *f, size_t i, const char *text)
{
    struct message m = {0};
    if (yzi_link_recv(f->links[i], &m) < 0) {
        return false;
    }
    bool same = yzi_bytes_eq_str(m.bytes, text);
    yzi_message_fini(&m);
    assert_true(same);
    return true;
}

/* A word goes to the server and one comes back. */
static void talk(struct fixture *f, size_t i, const char *text)
{
    unsigned before = f->received;
    send_text(f, i, text);
    UNTIL(f, f->received > before);
    assert_string_equal(f->text, text);
    assert_memory_equal(f->key, f->ours[i].public_key, 32);
    assert_int_equal(yzi_server_send(f->server, &f->from, yzi_bytes_str(text)), 0);
    UNTIL(f, link_takes(f, i, text));
}

static struct server_counters counters(struct fixture *f)
{
    struct server_counters c;
    yzi_server_counters(f->server, &c);
    return c;
}

/* -- a bare libzmq DEALER and a bare TCP socket -- */

struct bare {
    void *context, *socket;
};

static struct bare bare_dealer(struct fixture *f, struct key_pair *keys, const char *routing_id)
{
    struct bare b = {.context = zmq_ctx_new()};
    b.socket = zmq_socket(b.context, ZMQ_DEALER);
    assert_non_null(b.socket);
    assert_int_equal(yzi_zmq_set_int(b.socket, ZMQ_LINGER, 0), 0);
    if (routing_id) {
        assert_int_equal(zmq_setsockopt(b.socket, ZMQ_ROUTING_ID, routing_id, strlen(routing_id)),
                         0);
    }
    if (keys) {
        assert_int_equal(zmq_setsockopt(b.socket, ZMQ_CURVE_SERVERKEY, f->broker.public_key, 32),
                         0);
        assert_int_equal(yzi_zmq_set_curve_keys(b.socket, keys), 0);
    }
    assert_int_equal(zmq_connect(b.socket, yzi_server_endpoint(f->server, 0)), 0);
    return b;
}

static void end_bare(struct bare *b)
{
    zmq_close(b->socket);
    zmq_ctx_term(b->context);
}

static int tcp_connect(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* A loopback port nobody else gets while fd is open; it refuses until fd listens. */
static int reserve_port(char endpoint[64])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    snprintf(endpoint, 64, "tcp://127.0.0.1:%u", ntohs(a.sin_port));
    return fd;
}

/* -- who gets in -- */

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
    zmq_close(plain.socket); /* first: it writes to the monitor */
    zmq_close(monitor);
    zmq_ctx_term(plain.context);
}

/* -- messages against the rules -- */

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
    /* nor can the name be used to take over a connection */
    struct bare again = bare_dealer(f, k, "@a1");
    assert_int_equal(zmq_send(again.socket, "again", 5, 0), 5);
    UNTIL(f, counters(f).admitted == 2);
    connect_link(f, 1);
    talk(f, 1, "others are heard");
    assert_int_equal(f->received, 1);
    end_bare(&named);
    end_bare(&again);
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

/* -- sending to who is gone or does not read -- */

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

#define PIECE 65536u

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

/* -- connections that end -- */

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

/* -- what cannot be opened -- */

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

static void test_message__moves_and_copies(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "short",
                                        "one that does not fit into the struct of libzmq itself"};
    for (size_t i = 0; i < 3; i++) {
        struct message a = {0}, b = {0};
        assert_int_equal(yzi_message_copy(&a, yzi_bytes_str(texts[i])), 0);
        assert_true(yzi_bytes_eq_str(a.bytes, texts[i]));
        yzi_message_move(&b, &a);
        assert_false(a.live);
        memset(&a, 0xee, sizeof a); /* nothing of b lies in a */
        assert_true(yzi_bytes_eq_str(b.bytes, texts[i]));
        yzi_message_fini(&b);
        yzi_message_fini(&b);
        a = (struct message){0};
        yzi_message_move(&b, &a);
        assert_false(b.live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server__hears_an_admitted_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server__tells_peers_apart_by_their_keys, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_link__is_refused_until_its_key_is_known, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_link__does_not_speak_to_a_server_with_another_key,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server__hears_nobody_without_curve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server__drops_messages_of_several_parts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_server__does_not_hear_who_names_himself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_server__throws_out_only_who_sends_too_much, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_link__drops_messages_of_several_parts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_server__shrugs_off_strangers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server__knows_a_connection_that_is_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_server__says_when_a_queue_is_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link__says_when_its_queue_is_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link__hears_last_words_and_comes_back_empty_handed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link__abandons_a_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link__backs_off_further_each_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link__gives_up_on_who_never_answers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_server__refuses_what_it_cannot_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server__serves_many, set_up, tear_down),
        cmocka_unit_test(test_message__moves_and_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
