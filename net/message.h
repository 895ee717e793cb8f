/* SPDX-License-Identifier: Apache-2.0
 *
 * A received message: owns libzmq's buffer so that nothing is copied between socket and parser.
 * One thread at a time; handed over with yzi_message_move, never by assignment: a short message
 * lies inside the struct and `bytes` would point at the giver's.
 */
#ifndef YZ_NET_MESSAGE_H
#define YZ_NET_MESSAGE_H

#include "base/bytes.h"

struct message {
    _Alignas(8) unsigned char opaque[64]; /* zmq_msg_t */
    bool live;
    yz_bytes bytes; /* valid until yzi_message_fini */
};
void yzi_message_fini(struct message *m); /* accepts a zeroed or finished one */
void yzi_message_move(struct message *to, struct message *from); /* `to` must hold nothing */
/* A message of our own making, holding a copy (tests, local hand-over). YZ_ENOMEM. */
YZ_MUST_USE int yzi_message_copy(struct message *to, yz_bytes bytes);

#endif
