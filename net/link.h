/* SPDX-License-Identifier: Apache-2.0
 *
 * A link: a DEALER to one endpoint of a broker, CURVE-encrypted, both keys pinned. It notices what
 * libzmq keeps to itself (after a refused key, ZAP 400, or a protocol error libzmq never tries
 * again), says so, and makes every new connection on a fresh socket after a back-off with jitter,
 * so that nothing queued for one connection is ever sent on the next.
 *
 * Thread: the creator only, from creation to close.
 */
#ifndef YZ_NET_LINK_H
#define YZ_NET_LINK_H

#include "base/clock.h"
#include "keys/keyfile.h"
#include "net/message.h"
#include "net/poll.h"

struct link;
struct link_options {
    struct net *net;
    const char *endpoint;       /* tcp://host:port */
    uint8_t server_key[32];     /* the broker's transport key */
    struct key_pair *transport; /* ours, KEY_TRANSPORT; borrowed until close */
    const struct clock *clock;
    size_t message_max; /* larger messages drop the connection; 0: YZ_MESSAGE_MAX */
    int high_water;     /* messages queued each way; 0: 1,000 */
    int send_buffer;    /* bytes the system queues to be sent; 0: what it thinks best, megabytes */
};
enum link_event {
    LINK_NOTHING = 0,
    LINK_CONNECTED,    /* handshake done; a new connection: say hello */
    LINK_DISCONNECTED, /* lost, or an attempt failed; the link retries with back-off */
    LINK_REFUSED       /* the broker does not know this key; the link retries with back-off */
};
/* The first attempt is under way on return. YZ_ECONFIG (not an endpoint), YZ_EINVAL, YZ_ELIMIT (out
 * of descriptors), YZ_ENOMEM. */
YZ_MUST_USE int yzi_link_new(const struct link_options *o, struct link **out, yz_error *err);
void yzi_link_close(struct link *l); /* pending messages are dropped, but see linger */
/* What is queued when the link closes may still leave for so long, in the background; freeing the
 * net waits for it. */
void yzi_link_set_linger(struct link *l, unsigned ms);
/* Entries to poll: the socket and its monitor, or entries that poll as nothing. They change
 * whenever events, step or abandon are called, so ask before each poll. */
#define LINK_POLL_ENTRIES 2
void yzi_link_poll_entries(struct link *l, struct poll_entry out[LINK_POLL_ENTRIES]);
/* What happened to the connection since last asked; call until LINK_NOTHING after each wake-up.
 * After LINK_DISCONNECTED what the broker said last can still be received, until the next attempt.
 */
enum link_event yzi_link_next_event(struct link *l);
/* When yzi_link_step wants to be called (monotonic ms), UINT64_MAX: never. */
uint64_t yzi_link_deadline(const struct link *l);
void yzi_link_step(struct link *l); /* back-off timers */
/* The connection is no good (a silent peer, a wrong one): drop it with all that is queued, and make
 * another after the back-off. LINK_DISCONNECTED follows. */
void yzi_link_abandon(struct link *l);
/* YZ_EAGAIN when the queue is full or not connected, YZ_ETOOBIG (beyond message_max), YZ_ENOMEM,
 * YZ_EIO. Copies. */
YZ_MUST_USE int yzi_link_send(struct link *l, yz_bytes message);
/* YZ_EAGAIN when nothing is there. A message in several parts is dropped and counted: a peer that
 * speaks our protocol never sends one. */
YZ_MUST_USE int yzi_link_recv(struct link *l, struct message *out);

#endif
