/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's standing: the few directory records that show whose keys are whose, with their places in
 * the tree under the signed manifest, so that they prove themselves when the directory is long gone
 * (docs/evidence.md). For a broker: root statement and broker record; for a member's node: root
 * statement, member and member set, and the newer member set that lay over the directory, which the
 * member's signature proves. Any thread.
 *
 * Bytes: the manifest record (length u32 before it), then items: kind u8, for a record in the tree
 * index u64 ‖ size u64 ‖ path length u8 ‖ path, then length u32 ‖ record.
 */
#ifndef YZ_EVIDENCE_STANDING_H
#define YZ_EVIDENCE_STANDING_H

#include "keys/directory.h"

#define STANDING_MAX (4u * 1024u * 1024u)

enum { STANDING_PROVED = 1, STANDING_SIGNED = 2 };

/* Append it. YZ_ENOTFOUND: the directory does not list the node. */
YZ_MUST_USE int yzi_standing_write(const struct directory *d, yz_node_id node, yz_buf *out);

/* What the records show; views into the bytes, lists in the arena. */
struct standing {
    yz_bytes root_record;
    struct root_statement root;
    uint64_t version, issued_at; /* of the directory */
    yz_digest root_hash;
    const struct root_broker *broker; /* of a broker */
    struct member_record member;      /* of a member's node */
    struct member_set set;            /* the newest */
    const struct node_record *node;
};
/* Verify the records against a trusted root statement (empty: the one among them is taken as it is)
 * and find the node in them: its member set must be signed by a member key that was valid at `at`.
 * YZ_EMALFORMED, YZ_ESIGNATURE, YZ_EUNKNOWNKEY, YZ_EEXPIRED, YZ_EROLLBACK, with a sentence. */
YZ_MUST_USE int yzi_standing_verify(yz_bytes bytes, yz_bytes trusted_root, yz_node_id node,
                                    uint64_t at, struct arena *arena, struct standing *out,
                                    yz_error *err);

#endif
