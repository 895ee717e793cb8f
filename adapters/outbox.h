/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that leave for one broker together. CURVE encrypts each ZeroMQ message on its own, and a
 * broker takes its peers' messages in turn: an adapter whose answers came one by one would get one
 * of them heard for each request of everybody who floods that broker. What has been answered when
 * the link thread looks therefore goes in one message; an answer that is alone waits for no other.
 * When the queue to the broker is full they wait here, in order, until there is room or the
 * connection ends.
 */
#ifndef YZ_ADAPTERS_OUTBOX_H
#define YZ_ADAPTERS_OUTBOX_H

#include "base/bytes.h"

#define OUTBOX_MESSAGES 64u                      /* in a bundle; also the bits of `fresh` */
#define OUTBOX_WAITING_MAX (32u * 1024u * 1024u) /* bytes behind a full queue */

struct adapter;
struct upstream;

/* What leaves in one message. */
struct outbox_bundle {
    yz_buf frames;
    unsigned n;
    uint64_t fresh; /* bit i: the receipt of message i is owed since it was put in here */
    struct outbox_bundle *next;
};
struct outbox {
    struct outbox_bundle open;            /* more may be put in */
    struct outbox_bundle *waiting, *last; /* before it, for room */
    size_t waiting_bytes;
    uint64_t retry_at; /* monotonic ms; UINT64_MAX: nothing waits for room */
};
void yzi_outbox_init(struct outbox *o);
void yzi_outbox_fini(struct outbox *o);
/* Put a response or reject frame in; a large one leaves at once if it can. `fresh`:
 * yzi_receipts_expect said that it is new. YZ_EUNAVAILABLE (the broker is not there), YZ_ETOOBIG
 * (for this broker), YZ_ENOMEM, YZ_EAGAIN (too much waits); after an error its receipt is not owed.
 */
YZ_MUST_USE int yzi_outbox_put(struct adapter *a, struct upstream *u, yz_bytes frame, bool fresh);
/* Send what is in there, as far as there is room. What cannot be sent on this connection any more
 * stays in the memory of answers: its receipts are not owed, and the same request gets it. */
void yzi_outbox_flush(struct adapter *a, struct upstream *u);
bool yzi_outbox_is_empty(const struct outbox *o);

#endif
