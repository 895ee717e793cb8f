/* SPDX-License-Identifier: Apache-2.0
 *
 * A bundle: several messages concatenated in one ZeroMQ message, because CURVE encrypts each of
 * those on its own (docs/protocol.md, "Frame"). Whoever receives takes them apart here; the usual
 * message, alone, passes through without a copy.
 */
#ifndef YZ_NET_BUNDLE_H
#define YZ_NET_BUNDLE_H

#include "net/message.h"

struct bundle {
    struct message whole;
    yz_reader rest;
    unsigned taken;
};
/* Takes the message. */
void yzi_bundle_init(struct bundle *b, struct message *m);
void yzi_bundle_fini(struct bundle *b);
/* The next message, exactly one frame. YZ_EAGAIN at the end; YZ_EMALFORMED, YZ_EVERSION, YZ_ETOOBIG
 * (of that frame, beyond max_bytes, or more than YZ_BUNDLE_MAX of them) and YZ_ENOMEM: nothing of
 * the rest can be used. *out must hold nothing. */
YZ_MUST_USE int yzi_bundle_next(struct bundle *b, size_t max_bytes, struct message *out);

#endif
