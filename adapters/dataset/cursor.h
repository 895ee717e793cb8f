/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors: where a find is to go on, given to the consumer to hold and unreadable to it. A cursor
 * is good for the consumer, service and adapter it was made for, for the same question, under the
 * same grant and offer, on the same generation of the data set, and for a while. docs/protocol.md,
 * "Cursors", has the bytes.
 */
#ifndef YZ_DATASET_CURSOR_H
#define YZ_DATASET_CURSOR_H

#include "proto/id.h"
#include "proto/payload.h"

#define CURSOR_KEY_BYTES 32u
#define CURSOR_POSITION_MAX 1100u

struct cursor_binding {
    yz_node_id node; /* the adapter's */
    yz_subsystem_id consumer;
    yz_service_id service;
    yz_bytes grant; /* at most YZ_NAME_MAX bytes */
    uint64_t policy_version;
    uint64_t generation;
    yz_digest question; /* yzi_cursor_question */
};

/* A digest of what the query asks, whatever its limit and cursor. YZ_EINTERNAL. */
YZ_MUST_USE int yzi_cursor_question(const struct query *q, yz_digest *out);

/* Append a cursor for `position` (1 to CURSOR_POSITION_MAX bytes), good until `expires` (Unix ms).
 * Its length tells the position's only to within 128 bytes. YZ_EINVAL, YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_cursor_seal(const uint8_t key[CURSOR_KEY_BYTES], const struct cursor_binding *b,
                                uint64_t expires, yz_bytes position, yz_buf *out);
/* The position of a cursor, appended. YZ_EINVAL with *reason: "bad-cursor" (not made by this
 * adapter, for this consumer and service; or changed), "cursor-query" (another
 * question), "cursor-policy" (grant or offer are others now), "cursor-data" (the data set was
 * replaced), "cursor-expired". YZ_ELIMIT, YZ_ENOMEM. */
YZ_MUST_USE int yzi_cursor_open(const uint8_t key[CURSOR_KEY_BYTES], const struct cursor_binding *b,
                                uint64_t now, yz_bytes cursor, yz_buf *position,
                                const char **reason);

/* The plaintext, for vectors: what is sealed, without padding. */
YZ_MUST_USE int yzi_cursor_plain(const struct cursor_binding *b, uint64_t expires,
                                 yz_bytes position, yz_buf *out);

#endif
