/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory: an immutable, verified snapshot of who exists, with which keys, in one instance
 * (docs/protocol.md, "Directory"). It is an RFC 6962 tree over records, whose root the operator's
 * manifest signs; records travel in chunks named by their SHA-256 and cut by content, so that an
 * update is a delta. Newer member sets, signed by the member alone, lie over it until the next
 * version includes them.
 *
 * Order of records: the root statement, then brokers, members, member sets, revocations, each
 * sorted by its id. The leaf of a record is its raw bytes.
 *
 * Snapshots are reference counted (atomically) and may be read by any thread; views live as long as
 * the reference.
 */
#ifndef YZ_KEYS_DIRECTORY_H
#define YZ_KEYS_DIRECTORY_H

#include "keys/sign.h"
#include "proto/record.h"

struct directory;

void yzi_directory_ref(const struct directory *d);
void yzi_directory_unref(const struct directory *d); /* NULL allowed */
static inline void yzi_directory_unref_ptr(const struct directory **d)
{
    yzi_directory_unref(*d);
}

/* -- building (operator) -- */
struct directory_parts {
    yz_buf manifest; /* the signed manifest record */
    yz_buf *chunks;  /* chunks_n of them, in the manifest's order */
    size_t chunks_n;
};
/* Sort the records, cut chunks, sign the manifest. `records` are raw records of the directory
 * kinds, exactly one RECORD_ROOT. YZ_EINVAL with err (a wrong kind, duplicates, a member set
 * without its member or not signed by it, a broker without its root keys), YZ_ELIMIT. */
YZ_MUST_USE int yzi_directory_assemble(const yz_bytes *records, size_t n, uint64_t version,
                                       uint64_t issued_at, struct key_pair *const *operators,
                                       unsigned operators_n, struct directory_parts *out,
                                       yz_error *err);
void yzi_directory_parts_fini(struct directory_parts *p);
/* One file or payload with everything: (u32 length ‖ bytes) for the manifest, then each chunk. */
YZ_MUST_USE int yzi_directory_bundle_write(const struct directory_parts *p, yz_buf *out);
YZ_MUST_USE int yzi_directory_bundle_parse(yz_bytes bundle, yz_bytes *out_manifest,
                                           yz_bytes *out_chunks, size_t *inout_chunks_n);

/* -- verifying -- */
/* Verify everything and build a snapshot: root statement authorised by `trusted_root` (same bytes,
 * or newer and signed by the older's keys at its threshold, and its own), manifest signed by the
 * operators at their threshold, chunk digests, tree root, and every member set by its member's key.
 * chunks[i] belongs to manifest chunk i. *out holds one reference. YZ_ESIGNATURE, YZ_EMALFORMED,
 * YZ_EROLLBACK (root older than trusted), YZ_EUNKNOWNKEY, YZ_ENOMEM, with a sentence in err. */
YZ_MUST_USE int yzi_directory_verify(yz_bytes trusted_root, yz_bytes manifest_record,
                                     const yz_bytes *chunks, size_t chunks_n, uint64_t now,
                                     const struct directory **out, yz_error *err);
/* A new snapshot with this newer member set over it; the old one is unchanged. YZ_EROLLBACK (not
 * newer: the same bytes give YZ_EEXIST, the same version with other bytes YZ_EROLLBACK),
 * YZ_ESIGNATURE, YZ_EUNKNOWNKEY. */
YZ_MUST_USE int yzi_directory_overlay(const struct directory *d, yz_bytes member_set_record,
                                      uint64_t now, const struct directory **out, yz_error *err);

/* -- reading -- */
uint64_t yzi_directory_version(const struct directory *d);
yz_bytes yzi_directory_instance(const struct directory *d);
const yz_digest *yzi_directory_root_hash(const struct directory *d);
yz_bytes yzi_directory_manifest(const struct directory *d);    /* raw record */
yz_bytes yzi_directory_root_record(const struct directory *d); /* raw record */
const struct root_statement *yzi_directory_root(const struct directory *d);
/* The chunk of that digest; empty when there is none. */
yz_bytes yzi_directory_chunk(const struct directory *d, const yz_digest *digest);
/* Concatenated raw records of the member sets lying over the published version; may be empty. */
YZ_MUST_USE int yzi_directory_overlays(const struct directory *d, yz_buf *out);

struct directory_node {
    yz_node_id node;
    enum node_role role;
    yz_member_id member; /* of adapters and clients */
    const struct key_list *signing, *transport;
    const struct key_list *log;         /* brokers only */
    const struct node_record *record;   /* adapters and clients */
    const struct broker_record *broker; /* brokers */
};
/* The node, not revoked. YZ_EUNKNOWNKEY (also when revoked: then *out_revoked, may be NULL). */
YZ_MUST_USE int yzi_directory_node(const struct directory *d, yz_node_id node, uint64_t now,
                                   struct directory_node *out, bool *out_revoked);
/* The node to which this transport key belongs and is valid now, not revoked (key, node or member).
 * YZ_EUNKNOWNKEY, YZ_EEXPIRED. */
YZ_MUST_USE int yzi_directory_by_transport(const struct directory *d, const uint8_t key[32],
                                           uint64_t now, struct directory_node *out);
/* That `key` is a signing key of this node, valid at now and not revoked. YZ_EUNKNOWNKEY,
 * YZ_EEXPIRED. */
YZ_MUST_USE int yzi_directory_may_sign(const struct directory *d, const struct directory_node *n,
                                       const uint8_t key[32], uint64_t now);
/* That the node serves or speaks for the subsystem according to its member set. */
bool yzi_directory_speaks_for(const struct directory_node *n, yz_subsystem_id subsystem);
bool yzi_directory_has_subsystem(const struct directory *d, yz_subsystem_id subsystem);
/* Owner keys of the member set that holds this subsystem. YZ_ENOTFOUND. */
YZ_MUST_USE int yzi_directory_owner_keys(const struct directory *d, yz_subsystem_id subsystem,
                                         const struct key_list **out);
const struct member_record *yzi_directory_member(const struct directory *d, yz_member_id id);
const struct member_set *yzi_directory_member_set(const struct directory *d, yz_member_id id);
bool yzi_directory_key_revoked(const struct directory *d, const uint8_t key[32], uint64_t now);

/* Visit all records in force (overlays replace what they are newer than), in directory order; stop
 * and return the callback's code when it is not 0. */
YZ_MUST_USE int yzi_directory_each(const struct directory *d,
                                   int (*visit)(void *ctx, const struct record *r), void *ctx);

#endif
