/* SPDX-License-Identifier: Apache-2.0
 *
 * Which message ids were seen: keyed by (consumer node, message id), until the id can no longer be
 * accepted. Bounded: when full, new ids are refused (the caller says `busy`), because forgetting an
 * unexpired id would let it be replayed. Ids of hostile choice cannot collide: the key is a keyed
 * hash. Front thread only.
 */
#ifndef YZ_BROKER_REPLAY_H
#define YZ_BROKER_REPLAY_H

#include "base/uuid.h"
#include "proto/id.h"

struct replay;

enum replay_verdict {
    REPLAY_NEW = 1,
    REPLAY_AGAIN,     /* the identical message: a retry */
    REPLAY_TOO_OFTEN, /* the identical message, more often than a retrying client would */
    REPLAY_CONFLICT   /* the same id with other bytes */
};
#define REPLAY_RETRIES_MAX 8u

YZ_MUST_USE int yzi_replay_new(size_t capacity, struct replay **out); /* YZ_ENOMEM */
void yzi_replay_free(struct replay *r);
/* Remember until `until` (wall ms). YZ_EBUSY when full, YZ_ENOMEM. */
YZ_MUST_USE int yzi_replay_check(struct replay *r, yz_node_id node, const yz_uuid *id,
                                 const yz_digest *digest, uint64_t until, uint64_t now,
                                 enum replay_verdict *out);
/* Take back an id just remembered: its request was not accepted, so it may be sent again. */
void yzi_replay_forget(struct replay *r, yz_node_id node, const yz_uuid *id);
size_t yzi_replay_count(const struct replay *r);

#endif
