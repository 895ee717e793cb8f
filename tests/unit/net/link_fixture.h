/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of links and servers share: both ends over real loopback sockets, and peers made
 * of bare libzmq and bare TCP that break the rules. The clock stands still but for the tests that
 * move it, so a link makes a new attempt exactly when a test lets it.
 */
#ifndef YZ_TESTS_NET_LINK_FIXTURE_H
#define YZ_TESTS_NET_LINK_FIXTURE_H

#include <zmq.h>

#include "net/link.h"
#include "net/server.h"
#include "net/zmq_util.h"

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
    const char *awaited; /* a text; */
    bool heard;          /* it came, whatever came behind it */
    bool deaf;           /* the server does not take messages */
};

void admit(struct fixture *f, const uint8_t key[32]);
void open_server(struct fixture *f);
int set_up(void **state);
int tear_down(void **state);
struct link_options link_options(struct fixture *f, size_t i, const char *endpoint, bool known);
void open_link(struct fixture *f, size_t i, bool known);
/* Wait for something to happen, at most so long, and let server and links deal with it. */
void turn(struct fixture *f, int64_t wait_ms);
/* A link with an admitted key, connected. */
void connect_link(struct fixture *f, size_t i);
void send_text(struct fixture *f, size_t i, const char *text);
/* The next message is there; it is that. */
bool link_takes(struct fixture *f, size_t i, const char *text);
/* A word goes to the server and one comes back. */
void talk(struct fixture *f, size_t i, const char *text);
struct server_counters counters(struct fixture *f);

struct bare {
    void *context, *socket;
};
/* Bare libzmq with a good key. */
struct bare bare_dealer(struct fixture *f, struct key_pair *keys, const char *routing_id);
struct bare bare_dealer_with_id(struct fixture *f, struct key_pair *keys, yz_bytes id);
void end_bare(struct bare *b);
/* A bare TCP connection. */
int tcp_connect(const char *endpoint);
/* A loopback port nobody else gets while the descriptor is open; it refuses until that listens. */
int reserve_port(char endpoint[64]);

/* Turn until the condition holds. Some conditions change inside libzmq without waking anybody. */
#define UNTIL(f, cond)                                                                             \
    do {                                                                                           \
        uint64_t end_ = yzi_mono_ms(&yzi_clock_system) + WAIT_MS;                                  \
        while (!(cond)) {                                                                          \
            if (yzi_mono_ms(&yzi_clock_system) >= end_) {                                          \
                fail_msg("never came true: %s", #cond);                                            \
            }                                                                                      \
            turn(f, 1);                                                                            \
        }                                                                                          \
    } while (0)

#endif
