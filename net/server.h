/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's side: ROUTER sockets behind CURVE and ZAP. Connections are named by what libzmq
 * assigns (never revealed, never chosen by peers); who a connection is comes from the CURVE key on
 * every message, because a revoked key's connection may still stand. Traps handled here are listed
 * in docs/security.md, "libzmq".
 *
 * Thread: the creator only, from creation to close.
 */
#ifndef YZ_NET_SERVER_H
#define YZ_NET_SERVER_H

#include "base/clock.h"
#include "keys/keyfile.h"
#include "net/message.h"
#include "net/poll.h"

#define SERVER_ENDPOINTS_MAX 8u

struct server;
struct connection_id {
    uint8_t endpoint; /* which socket */
    uint8_t n;
    uint8_t id[14];
};
static inline yz_bytes yzi_connection_bytes(const struct connection_id *c)
{
    return (yz_bytes){(const uint8_t *)c, sizeof *c};
}

struct server_options {
    struct net *net;
    struct {
        const char *address;        /* tcp://host:port; port * picks a free one */
        struct key_pair *transport; /* KEY_TRANSPORT; borrowed until close */
        /* Bytes the system receives ahead on each connection; 0: what it thinks best, which is
         * megabytes. What waits there is old when it is read. */
        int receive_buffer;
        bool keeps_turn; /* its turn lasts while it has messages, up to a bound, not for one */
    } endpoints[SERVER_ENDPOINTS_MAX];
    unsigned endpoints_n;
    size_t message_max; /* 0: YZ_MESSAGE_MAX */
    int high_water;     /* messages queued per connection each way; 0: 256 received, 4,096 sent */
    /* Bytes that libzmq and the system may hold each way, in all and for the connections of one
     * key; 0: 256 MiB and 64 MiB. What is beyond is not sent, and who sends it is cut. */
    size_t queue_bytes, queue_bytes_per_peer;
    unsigned unspoken;         /* connections that have said nothing yet; 0: 1,024 */
    const struct clock *clock; /* NULL: the system's; borrowed */
    /* May this key connect? Asked for each handshake, on the server's thread. */
    bool (*admit)(void *ctx, const uint8_t key[32]);
    /* If so, may it now? Otherwise its handshake ends without a word (ZAP 300), so that it tries
     * again and does not take its key for unknown. NULL: always. */
    bool (*has_room)(void *ctx, const uint8_t key[32]);
    void *ctx;
};
/* The ZAP handler is in place and enforced before anything listens. YZ_ECONFIG (bad address),
 * YZ_EIO (address in use), YZ_EINTERNAL (libzmq lacks an option we depend on). */
YZ_MUST_USE int yzi_server_new(const struct server_options *o, struct server **out, yz_error *err);
void yzi_server_close(struct server *s);
/* Where it really listens: "tcp://127.0.0.1:40123". Valid until close. */
const char *yzi_server_endpoint(const struct server *s, unsigned i);
#define SERVER_POLL_ENTRIES (2u * SERVER_ENDPOINTS_MAX + 1u)
size_t yzi_server_poll_entries(struct server *s, struct poll_entry out[SERVER_POLL_ENTRIES]);
/* Answer waiting handshakes, measure and cut connections; call after each wake-up, and at least
 * each second. */
void yzi_server_step(struct server *s);
/* The next message and who sent it: `key` is the peer's CURVE key. YZ_EAGAIN when nothing is there.
 * Messages of several parts, without a key, or of a connection that chose its own routing id are
 * dropped and counted. */
YZ_MUST_USE int yzi_server_recv(struct server *s, struct connection_id *from, uint8_t key[32],
                                struct message *out);
/* YZ_EAGAIN: the connection's queue is full, in messages or in bytes (back-pressure); YZ_ECLOSED:
 * it is gone; YZ_ENOMEM. Copies. YZ_OK says queued, not delivered. */
YZ_MUST_USE int yzi_server_send(struct server *s, const struct connection_id *to, yz_bytes message);
/* Would so many bytes find room in the connection's queue now? */
bool yzi_server_has_room(struct server *s, const struct connection_id *to, size_t bytes);
/* End this connection: what was queued for it is lost, what it sent and was not read may still
 * come. It is not there: nothing happens. */
void yzi_server_cut(struct server *s, const struct connection_id *id);
/* What was received just now held so many messages, at least one: each counts in the turn of an
 * endpoint that keeps it, or bundles would make that as many times longer. */
void yzi_server_counted(struct server *s, unsigned messages);
/* These endpoints rest (bit i: endpoint i), the others do not. From one that does no message is
 * received and none wakes the poll: what comes stays in libzmq's queues, and with its sender when
 * these are full. */
void yzi_server_rest(struct server *s, uint32_t endpoints);
/* Not over yet, as far as was told; one that was cut stands until its end is. */
bool yzi_server_stands(struct server *s, const struct connection_id *id);
void yzi_server_set_queue_bytes(struct server *s, size_t bytes, size_t bytes_per_peer);
struct server_counters {
    uint64_t admitted, refused;  /* handshakes */
    uint64_t multipart, keyless; /* messages dropped */
    uint64_t named;           /* messages dropped of connections that chose their own routing id */
    uint64_t put_off;         /* handshakes of known keys ended because there is no room */
    uint64_t wires, unspoken; /* TCP connections; those that have not said anything */
    uint64_t unread_bytes, unsent_bytes; /* held by libzmq and the system, as last measured */
    uint64_t cut_silent, cut_greedy;     /* connections cut: no first word, too much unread */
    bool measured; /* false: this system does not tell; nothing is cut for it */
};
void yzi_server_counters(const struct server *s, struct server_counters *out);

#endif
