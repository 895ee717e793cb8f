/* SPDX-License-Identifier: Apache-2.0
 *
 * What links and servers share of libzmq: error mapping, socket options, CURVE keys. Private to
 * net/.
 */
#ifndef YZ_NET_ZMQ_UTIL_H
#define YZ_NET_ZMQ_UTIL_H

#include <zmq.h>

#include "keys/keyfile.h"
#include "net/message.h"
#include "net/poll.h"

/* ZMQ_ZAP_ENFORCE_DOMAIN: a stable option of libzmq 4.3 that its header hides among the drafts. */
#define YZ_ZMQ_ZAP_ENFORCE_DOMAIN 93

void *yzi_net_context(struct net *n);
/* A ROUTER or REP; NULL with errno. */
void *yzi_zmq_new_router(void *context, int type);

/* The YZ_E* code for a libzmq errno. */
int yzi_zmq_error(int errnum);
YZ_MUST_USE int yzi_zmq_set_int(void *socket, int option, int value);
YZ_MUST_USE int yzi_zmq_set_bytes(void *socket, int option, const void *p, size_t n);

/* Options every socket of ours has: no linger, size limit (what is sent, before encryption), high
 * water, handshake bound, IPv6 where `address` may be. */
YZ_MUST_USE int yzi_zmq_set_common(void *socket, const char *address, size_t message_max,
                                   int high_water);
/* Our CURVE key pair: sets the public and the secret key. */
YZ_MUST_USE int yzi_zmq_set_curve_keys(void *socket, struct key_pair *transport);

/* Receive one part without waiting; *out must hold nothing. YZ_EAGAIN. */
YZ_MUST_USE int yzi_zmq_recv_part(void *socket, struct message *out, bool *out_more);
/* Send one part, a copy. YZ_EAGAIN, YZ_ECLOSED (no such peer), YZ_ENOMEM. */
YZ_MUST_USE int yzi_zmq_send_copy(void *socket, yz_bytes bytes, int flags);
/* Send one part; on 0 *m is empty. */
YZ_MUST_USE int yzi_zmq_send(void *socket, struct message *m, int flags);
/* The message's own zmq_msg_t. */
static inline zmq_msg_t *yzi_zmq_msg(struct message *m)
{
    _Static_assert(sizeof(zmq_msg_t) <= sizeof m->opaque, "struct message holds a zmq_msg_t");
    return (zmq_msg_t *)(void *)m->opaque;
}

#endif
