/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that leave for one broker together. CURVE encrypts each ZeroMQ message on its own, and a
 * broker takes its peers' messages in turn: an adapter whose answers came one by one would get one
 * of them heard for each request of everybody who floods that broker. What has been answered when
 * the link thread looks therefore goes in one message; an answer that is alone waits for no other.
 */
#ifndef YZ_ADAPTERS_OUTBOX_H
#define YZ_ADAPTERS_OUTBOX_H

#include "base/bytes.h"

#define OUTBOX_MESSAGES 64u /* in a bundle; also the bits of `fresh` */

struct adapter;
struct upstream;

struct outbox {
    yz_buf frames;
    unsigned n;
    uint64_t fresh; /* bit i: the receipt of message i is owed since it was put in here */
};
void yzi_outbox_init(struct outbox *o);
void yzi_outbox_fini(struct outbox *o);
/* Put a response frame in, or send it at once when it is large. `fresh`: yzi_receipts_expect said
 * that it is new. YZ_EUNAVAILABLE (the broker is not there), YZ_ETOOBIG (for this broker),
 * YZ_ENOMEM, YZ_EAGAIN; after an error its receipt is not owed. */
YZ_MUST_USE int yzi_outbox_put(struct adapter *a, struct upstream *u, yz_bytes frame, bool fresh);
/* Send what is in there. What cannot be sent now stays in the memory of answers: logged, its
 * receipts are not owed, and the same request gets it. */
void yzi_outbox_flush(struct adapter *a, struct upstream *u);

#endif
