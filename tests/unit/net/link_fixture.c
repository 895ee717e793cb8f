/* SPDX-License-Identifier: Apache-2.0
 *
 * Links, servers and the bare peers they meet.
 */
#include "tests/unit/net/link_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void admit(struct fixture *f, const uint8_t key[32])
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

void open_server(struct fixture *f)
{
    yz_error err = {0};
    int rc = yzi_server_new(&f->options, &f->server, &err);
    if (rc < 0) {
        fail_msg("%s", err.text);
    }
}

int set_up(void **state)
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

int tear_down(void **state)
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

struct link_options link_options(struct fixture *f, size_t i, const char *endpoint, bool known)
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

void open_link(struct fixture *f, size_t i, bool known)
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
        f->heard = f->heard || (f->awaited && strcmp(f->text, f->awaited) == 0);
        f->received++;
        yzi_message_fini(&m);
    }
}

/* Wait for something to happen, at most so long, and let server and links deal with it. */
void turn(struct fixture *f, int64_t wait_ms)
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

void connect_link(struct fixture *f, size_t i)
{
    open_link(f, i, true);
    UNTIL(f, f->last[i] == LINK_CONNECTED);
}

void send_text(struct fixture *f, size_t i, const char *text)
{
    assert_int_equal(yzi_link_send(f->links[i], yzi_bytes_str(text)), 0);
}

bool link_takes(struct fixture *f, size_t i, const char *text)
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
void talk(struct fixture *f, size_t i, const char *text)
{
    unsigned before = f->received;
    send_text(f, i, text);
    UNTIL(f, f->received > before);
    assert_string_equal(f->text, text);
    assert_memory_equal(f->key, f->ours[i].public_key, 32);
    assert_int_equal(yzi_server_send(f->server, &f->from, yzi_bytes_str(text)), 0);
    UNTIL(f, link_takes(f, i, text));
}

struct server_counters counters(struct fixture *f)
{
    struct server_counters c;
    yzi_server_counters(f->server, &c);
    return c;
}

/* -- a bare libzmq DEALER and a bare TCP socket -- */

struct bare bare_dealer(struct fixture *f, struct key_pair *keys, const char *routing_id)
{
    return bare_dealer_with_id(f, keys, yzi_bytes_str(routing_id ? routing_id : ""));
}

struct bare bare_dealer_with_id(struct fixture *f, struct key_pair *keys, yz_bytes id)
{
    struct bare b = {.context = zmq_ctx_new()};
    b.socket = zmq_socket(b.context, ZMQ_DEALER);
    assert_non_null(b.socket);
    assert_int_equal(yzi_zmq_set_int(b.socket, ZMQ_LINGER, 0), 0);
    if (id.n) {
        assert_int_equal(zmq_setsockopt(b.socket, ZMQ_ROUTING_ID, id.p, id.n), 0);
    }
    if (keys) {
        assert_int_equal(zmq_setsockopt(b.socket, ZMQ_CURVE_SERVERKEY, f->broker.public_key, 32),
                         0);
        assert_int_equal(yzi_zmq_set_curve_keys(b.socket, keys), 0);
    }
    assert_int_equal(zmq_connect(b.socket, yzi_server_endpoint(f->server, 0)), 0);
    return b;
}

void end_bare(struct bare *b)
{
    zmq_close(b->socket);
    zmq_ctx_term(b->context);
}

int tcp_connect(const char *endpoint)
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
int reserve_port(char endpoint[64])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    snprintf(endpoint, 64, "tcp://127.0.0.1:%u", ntohs(a.sin_port));
    return fd;
}
