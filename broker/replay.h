/* SPDX-License-Identifier: Apache-2.0
 *
 * Which message ids were seen: keyed by (consumer node, message id), until the id can no longer be
 * accepted. Bounded: when full, new ids are refused (the caller says `busy`), because forgetting an
 * unexpired id would let it be replayed. One node may have as many ids as are free: alone it gets
 * half, and whoever comes finds room however many others do their worst. Ids of hostile choice
 * cannot collide: the key is a keyed hash. Records of it outlive the process (replay_log.h). Front
 * thread only.
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

/* What is kept of an id: enough to know it again in another process that has the same key. */
struct replay_record {
    uint8_t key[16];    /* of the node and the message id */
    uint8_t digest[24]; /* of the message: enough to tell those of one id apart */
    uint64_t until;     /* wall ms */
    uint64_t node;      /* whose share it is */
};
#define REPLAY_KEY_BYTES 32u

/* `hash_key` NULL: a fresh one. YZ_EINVAL, YZ_ENOMEM. */
YZ_MUST_USE int yzi_replay_new(size_t capacity, const uint8_t hash_key[REPLAY_KEY_BYTES],
                               struct replay **out);
void yzi_replay_free(struct replay *r);
/* Remember until `until` (wall ms). YZ_EBUSY when full, YZ_ELIMIT when the node has its share,
 * YZ_ENOMEM. */
YZ_MUST_USE int yzi_replay_check(struct replay *r, yz_node_id node, const yz_uuid *id,
                                 const yz_digest *digest, uint64_t until, uint64_t now,
                                 enum replay_verdict *out);
/* Take back an id just remembered: its request was not accepted, so it may be sent again. */
void yzi_replay_forget(struct replay *r, yz_node_id node, const yz_uuid *id);
/* The record of an id that is remembered. YZ_ENOTFOUND. */
YZ_MUST_USE int yzi_replay_record(struct replay *r, yz_node_id node, const yz_uuid *id,
                                  struct replay_record *out);
/* Remember what was recorded before, whatever the limits; what has run out or is known already
 * changes nothing. YZ_ENOMEM, YZ_ELIMIT (4 thousand million). */
YZ_MUST_USE int yzi_replay_restore(struct replay *r, const struct replay_record *record,
                                   uint64_t now);
size_t yzi_replay_count(const struct replay *r);

#endif
