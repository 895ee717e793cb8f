/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory: an immutable, verified snapshot of who exists, with which keys, in one instance
 * (docs/protocol.md, "Directory"). It is an RFC 6962 tree over records, whose root the operator's
 * manifest signs; records travel in chunks named by their SHA-256 and cut by content, so that an
 * update is a delta. Newer member sets, signed by the member alone, lie over it until the next
 * version includes them.
 *
 * Order of records: the root statement, then brokers, members, member sets, revocations, each
 * sorted by its id, then the purpose list where there is one. The leaf of a record is its raw
 * bytes.
 *
 * Snapshots are reference counted (atomically) and may be read by any thread; views live as long as
 * the reference.
 */
#ifndef YZ_KEYS_DIRECTORY_H
#define YZ_KEYS_DIRECTORY_H

#include "keys/sign.h"
#include "proof/merkle.h"
#include "proto/record.h"

struct directory;

void yzi_directory_ref(const struct directory *d);
void yzi_directory_unref(const struct directory *d); /* NULL allowed */
static inline void yzi_directory_unref_ptr(const struct directory **d)
{
    yzi_directory_unref(*d);
}

/* -- building (operator) -- */
#define YZ_BUNDLE_BYTES_MAX (1024u * 1024u * 1024u) /* of any bundle */
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
/* Views into the bundle. *inout_chunks_n is the room in out_chunks before, the chunks after (at
 * most YZ_MANIFEST_CHUNKS_MAX). YZ_EMALFORMED, YZ_ETOOBIG, YZ_ELIMIT (no room). Nothing is
 * verified. */
YZ_MUST_USE int yzi_directory_bundle_parse(yz_bytes bundle, yz_bytes *out_manifest,
                                           yz_bytes *out_chunks, size_t *inout_chunks_n);

/* -- verifying -- */
/* That this is a root statement signed by its own root keys at its own threshold: what an anchor
 * must be. YZ_EMALFORMED, YZ_EVERSION, YZ_ESIGNATURE, YZ_ENOMEM, with a sentence in err. */
YZ_MUST_USE int yzi_directory_check_anchor(yz_bytes root_record, yz_error *err);
/* That `root_record` may follow `trusted` (yzi_directory_verify) and is parsed into *out. */
YZ_MUST_USE int yzi_dir_authorise_root(yz_bytes trusted, yz_bytes root_record, struct arena *arena,
                                       struct root_statement *out, yz_error *err);
/* That the operators of `root` signed the manifest record and that it is of that statement. */
YZ_MUST_USE int yzi_dir_check_manifest(const struct root_statement *root, const struct record *r,
                                       const struct manifest *m, yz_error *err);
/* The version a manifest record claims; nothing is verified. YZ_EMALFORMED and the parser's. */
YZ_MUST_USE int yzi_directory_peek(yz_bytes manifest_record, uint64_t *out_version);
/* Verify everything and build a snapshot: root statement authorised by `trusted_root` (the same, or
 * newer and signed by the older's keys at its threshold, and its own), manifest signed by the
 * operators of that root statement at their threshold, chunk digests, tree root and size, order,
 * every member set by a key of its member, brokers' keys listed by the root statement, every key
 * with one use and one node. What is valid when is a matter of look-ups, not of this.
 * chunks[i] belongs to manifest chunk i; everything is copied. *out holds one reference.
 * YZ_ESIGNATURE, YZ_EMALFORMED (also a directory that contradicts itself), YZ_EROLLBACK (root older
 * than trusted, or another of the same version), YZ_EUNKNOWNKEY (another instance, a member set
 * without its member), YZ_EVERSION, YZ_ETOOBIG, YZ_ELIMIT, YZ_ENOMEM, with a sentence in err. */
YZ_MUST_USE int yzi_directory_verify(yz_bytes trusted_root, yz_bytes manifest_record,
                                     const yz_bytes *chunks, size_t chunks_n,
                                     const struct directory **out, yz_error *err);
/* A new snapshot with this newer member set over it; the old one is unchanged and the published
 * part is shared. YZ_EROLLBACK (older; or the same version with other contents, an alarm, which err
 * says), YZ_EEXIST (the one in force), YZ_ESIGNATURE, YZ_EEXPIRED (signed by a member key outside
 * its validity), YZ_EUNKNOWNKEY (no such member, or it is revoked), YZ_EDENIED (it lists a key that
 * has another use or another member's node), and the parser's. A set in force whose every signing
 * key was revoked does not count as a version to surpass. */
YZ_MUST_USE int yzi_directory_overlay(const struct directory *d, yz_bytes member_set_record,
                                      uint64_t now, const struct directory **out, yz_error *err);

/* -- reading -- */
uint64_t yzi_directory_version(const struct directory *d);
uint64_t yzi_directory_issued_at(const struct directory *d);
yz_bytes yzi_directory_instance(const struct directory *d);
const yz_digest *yzi_directory_root_hash(const struct directory *d);
yz_bytes yzi_directory_manifest(const struct directory *d);    /* raw record */
yz_bytes yzi_directory_root_record(const struct directory *d); /* raw record */
const struct root_statement *yzi_directory_root(const struct directory *d);
/* The chunk of that digest; empty when there is none. */
yz_bytes yzi_directory_chunk(const struct directory *d, const yz_digest *digest);
size_t yzi_directory_chunks_n(const struct directory *d);
/* The published part as a bundle, appended. */
YZ_MUST_USE int yzi_directory_bundle(const struct directory *d, yz_buf *out);
/* Concatenated raw records of the member sets lying over the published version; may be empty. */
YZ_MUST_USE int yzi_directory_overlays(const struct directory *d, yz_buf *out);
/* Those of the members after `after` in bytewise order (empty: all), whole ones, until `page` bytes
 * were appended or more, or none is left: at most `page` and one record. */
YZ_MUST_USE int yzi_directory_overlays_page(const struct directory *d, yz_bytes after, size_t page,
                                            yz_buf *out);
size_t yzi_directory_overlays_n(const struct directory *d);

struct directory_node {
    yz_node_id node;
    enum node_role role;
    yz_member_id member; /* of adapters and clients */
    const struct key_list *signing, *transport;
    const struct key_list *log;         /* brokers only */
    const struct node_record *record;   /* adapters and clients */
    const struct broker_record *broker; /* brokers */
};
/* The node, not revoked. YZ_EUNKNOWNKEY (also when it, its member or the keys under its member set
 * are revoked: then *out_revoked, may be NULL), YZ_EEXPIRED (no member key that signed its member
 * set is valid now). A broker is a node when both root statement and operator list it. */
YZ_MUST_USE int yzi_directory_node(const struct directory *d, yz_node_id node, uint64_t now,
                                   struct directory_node *out, bool *out_revoked);
/* The node to which this transport key belongs and is valid now, not revoked (key, node or member).
 * Errors as yzi_directory_node; YZ_EEXPIRED also for the key itself. */
YZ_MUST_USE int yzi_directory_by_transport(const struct directory *d, const uint8_t key[32],
                                           uint64_t now, struct directory_node *out);
/* That `key` is a signing key of this node, valid at now and not revoked. YZ_EUNKNOWNKEY,
 * YZ_EEXPIRED. */
YZ_MUST_USE int yzi_directory_may_sign(const struct directory *d, const struct directory_node *n,
                                       const uint8_t key[32], uint64_t now);
/* The same of a log key, which only brokers have. */
YZ_MUST_USE int yzi_directory_may_log(const struct directory *d, const struct directory_node *n,
                                      const uint8_t key[32], uint64_t now);
/* That the node serves or speaks for the subsystem according to its member set. */
bool yzi_directory_speaks_for(const struct directory_node *n, yz_subsystem_id subsystem);
bool yzi_directory_has_subsystem(const struct directory *d, yz_subsystem_id subsystem);
/* That `key` is an owner key of the subsystem now: listed, valid, not revoked, nor the member, nor
 * the signature under the member set. Cheap enough for every message. YZ_ENOTFOUND (no such
 * subsystem), YZ_EUNKNOWNKEY (not listed, or revoked), YZ_EEXPIRED. */
YZ_MUST_USE int yzi_directory_may_own(const struct directory *d, yz_subsystem_id subsystem,
                                      const uint8_t key[32], uint64_t now);
/* Owner keys of the member set that holds this subsystem, whatever their validity. YZ_ENOTFOUND. */
YZ_MUST_USE int yzi_directory_owner_keys(const struct directory *d, yz_subsystem_id subsystem,
                                         const struct key_list **out);
/* For who publishes this member set, in which it changes nothing: "; NODE is revoked for good and
 * stays out, whatever its member set says" for each of its nodes that is, appended. YZ_ENOMEM,
 * YZ_ELIMIT; errors of parsing the set. */
YZ_MUST_USE int yzi_directory_note_revoked(const struct directory *d, yz_bytes member_set_body,
                                           uint64_t now, yz_buf *out);
/* The member, and its newest member set, whether or not they are revoked or its signature still
 * counts; NULL when there is none. */
const struct member_record *yzi_directory_member(const struct directory *d, yz_member_id id);
const struct member_set *yzi_directory_member_set(const struct directory *d, yz_member_id id);
bool yzi_directory_key_revoked(const struct directory *d, const uint8_t key[32], uint64_t now);
bool yzi_directory_member_revoked(const struct directory *d, yz_member_id id, uint64_t now);
/* The node itself is revoked, whether or not anything lists it still. */
bool yzi_directory_node_revoked(const struct directory *d, yz_node_id id, uint64_t now);

/* The purposes of the instance; NULL when it lists none, and then any code will do. */
const struct purpose_list *yzi_directory_purposes(const struct directory *d);
/* The entry of that code; NULL when it is not in the list, or there is none. */
const struct purpose_entry *yzi_directory_purpose(const struct directory *d, yz_bytes code);
/* Whether a request may be made for it: it is in the list, or there is no list, or `code` is empty,
 * which says no purpose and is for the grants to judge. */
bool yzi_directory_purpose_known(const struct directory *d, yz_bytes code);

/* Visit the live brokers by id; stop and return the callback's code when it is not 0. The view is
 * the caller's to copy. */
YZ_MUST_USE int yzi_directory_each_broker(const struct directory *d, uint64_t now,
                                          int (*visit)(void *ctx, const struct directory_node *b),
                                          void *ctx);

/* A published record with its place in the tree: who checks `path` against the root hash of the
 * signed manifest needs no other record. */
struct directory_proof {
    yz_bytes raw;         /* view into d */
    uint64_t index, size; /* leaf, tree */
    struct merkle_path path;
};
/* `id` is empty for RECORD_ROOT and RECORD_PURPOSES, a node id for RECORD_BROKER, a member id for
 * RECORD_MEMBER and RECORD_MEMBER_SET (the published one; an overlay proves itself). YZ_ENOTFOUND,
 * YZ_EINVAL for another kind. */
YZ_MUST_USE int yzi_directory_prove(const struct directory *d, enum record_kind kind, yz_bytes id,
                                    struct directory_proof *out);

/* Visit all records in force (overlays replace what they are newer than), in directory order; stop
 * and return the callback's code when it is not 0. */
YZ_MUST_USE int yzi_directory_each(const struct directory *d,
                                   int (*visit)(void *ctx, const struct record *r), void *ctx);

#endif
