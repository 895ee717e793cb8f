/* SPDX-License-Identifier: Apache-2.0
 *
 * How a snapshot is laid out, private to the directory_*.c files and trust.c. A `dir_base` is one
 * published version, verified: all its bytes in one block, everything parsed in one arena, tables
 * over both; it never changes and is shared by every snapshot of that version. A `directory` is a
 * base and the member sets lying over it, in arrays short enough to be copied for each change.
 *
 * Neither knows the time: what has run out or was revoked is found out at each look-up.
 */
#ifndef YZ_KEYS_DIRECTORY_INTERNAL_H
#define YZ_KEYS_DIRECTORY_INTERNAL_H

#include <stdatomic.h>

#include "base/table.h"
#include "keys/directory.h"

/* What an arena may take for n bytes of records: parsed lists are at most about sevenfold (a
 * subsystem of one letter), and each key gets an entry of its own. */
#define DIR_ARENA_FACTOR 24u
#define DIR_ARENA_FIXED (1u << 20)

/* -- order -- */

/* Where a record stands; unique within a directory. */
struct dir_place {
    unsigned rank; /* by kind */
    unsigned tag;  /* of revocations: node, key, member */
    yz_bytes id;
};
int yzi_dir_place_cmp(const struct dir_place *a, const struct dir_place *b);
/* YZ_EMALFORMED for a kind that is not of a directory. */
YZ_MUST_USE int yzi_dir_rank(enum record_kind kind, unsigned *out);

/* Parse the body for its place; `a` holds what the place views besides the body. */
YZ_MUST_USE int yzi_dir_place_of(enum record_kind kind, yz_bytes body, struct arena *a,
                                 struct dir_place *out);
struct dir_place yzi_dir_place_of_revocation(const struct revocation *r); /* views r */

/* -- a published version -- */

struct dir_set;
struct dir_node {
    struct directory_node view;
    const struct dir_set *set; /* NULL for brokers */
};

/* A member set and what look-ups need of it. Those of a base live in its arena; overlays are their
 * own, reference counted. */
struct dir_set {
    atomic_uint refs;
    struct arena arena; /* of overlays; empty in a base */
    struct member_set set;
    struct key_list signers; /* member keys, with the member record's validity, that signed it */
    struct dir_node *nodes;  /* set.nodes_n of them, by id */
    yz_bytes *codes;         /* of subsystems, set.subsystems_n of them, sorted */
    yz_bytes raw, body;
};

struct dir_member {
    struct member_record record;
    yz_bytes raw;
    struct dir_set *set; /* NULL: none published */
};

/* Where a key stands. */
struct dir_key {
    enum key_use use;
    const struct dir_node *node; /* NULL: a key of an authority, a member or an owner */
    yz_bytes holder;             /* for words: node or member id, or the instance */
};

struct dir_record {
    enum record_kind kind;
    struct dir_place place;
    yz_bytes raw;
};

struct dir_base {
    atomic_uint refs;
    struct arena arena;
    const struct dir_base *known; /* while it is built: signatures verified before; else NULL */
    uint8_t *bytes;               /* manifest and chunks */
    yz_bytes manifest_raw, manifest_body;
    struct manifest manifest;
    yz_bytes *chunks;           /* manifest.chunks_n */
    struct dir_record *records; /* manifest.tree_size */
    size_t records_n;           /* so far */
    yz_digest *tree;            /* yzi_merkle_tree_nodes */
    yz_bytes root_raw;
    struct root_statement root;
    struct dir_node *brokers; /* root.brokers_n, by id; view.broker NULL: not admitted */
    struct table members;     /* id -> struct dir_member */
    struct table keys;        /* 32 bytes -> struct dir_key */
    struct table chunk_of;    /* digest -> yz_bytes in chunks */
    struct table revoked_nodes, revoked_keys, revoked_members; /* -> struct revocation */
    const struct purpose_list *purposes;                       /* NULL: none */
};

/* yzi_directory_verify when `known` (may be NULL) is in force: a member set that is the same byte
 * for byte, of a member whose record is the same, is not verified a second time. */
YZ_MUST_USE int yzi_dir_verify_after(const struct directory *known, yz_bytes trusted_root,
                                     yz_bytes manifest_record, const yz_bytes *chunks,
                                     size_t chunks_n, const struct directory **out, yz_error *err);

/* -- a snapshot -- */

struct overlay_key {
    uint8_t key[32];
    enum key_use use;
    const struct dir_node *node; /* NULL for owner keys */
    const struct dir_set *set;
};
struct directory {
    atomic_uint refs;
    struct dir_base *base;
    struct dir_set **overlays; /* by member id */
    size_t overlays_n;
    struct overlay_key *keys; /* of all overlays, sorted */
    size_t keys_n;
};
/* A snapshot of base without overlays; takes the reference to base, also on failure. */
YZ_MUST_USE int yzi_dir_of_base(struct dir_base *base, const struct directory **out);
void yzi_dir_base_unref(struct dir_base *base); /* NULL allowed */

/* -- member sets -- (directory_set.c) */

/* Fill *out from a verified-to-be record: parse, find the signers among the keys of its member,
 * index. Everything stays in `arena`; `r` must be bytes that live as long. *out_member is the
 * member. YZ_EUNKNOWNKEY (no such member), YZ_ESIGNATURE (none of its keys signed, or a signature
 * is wrong), and the parser's. */
YZ_MUST_USE int yzi_dir_set_init(const struct dir_base *base, const struct record *r,
                                 struct arena *arena, struct dir_set *out,
                                 struct dir_member **out_member, yz_error *err);
void yzi_dir_set_unref(struct dir_set *s); /* overlays only; NULL allowed */
/* Whether a member set counts at `now`: 0, YZ_EEXPIRED, or YZ_EUNKNOWNKEY when every key that
 * signed it is revoked. */
YZ_MUST_USE int yzi_dir_set_alive(const struct dir_base *base, const struct dir_set *s,
                                  uint64_t now);
/* yzi_directory_overlay without regard to the time, for sets that were accepted before: those that
 * `d` includes, that it answers differently under the same version (*out_conflict), whose member it
 * does not list, or whose signers it lists no more or revoked when it was issued, are YZ_EEXIST. */
YZ_MUST_USE int yzi_dir_overlay_kept(const struct directory *d, yz_bytes record,
                                     const struct directory **out, bool *out_conflict,
                                     yz_error *err);

/* -- look-ups -- (directory_lookup.c) */

/* The member set that lies over or in the published ones; NULL. */
const struct dir_set *yzi_dir_set_of(const struct directory *d, yz_member_id member);
const struct dir_member *yzi_dir_member_of(const struct dir_base *base, yz_bytes member);
struct dir_set *yzi_dir_overlay_of(const struct directory *d, yz_bytes member);
bool yzi_dir_revoked(const struct table *revoked, yz_bytes name, uint64_t at);
/* The first of the overlay keys that equals `key`; keys_n when none does. */
size_t yzi_dir_overlay_key(const struct directory *d, const uint8_t key[32]);

/* -- the root statement -- (directory.c) */

YZ_MUST_USE int yzi_dir_parse_manifest(yz_bytes raw, struct arena *arena, struct record *out_record,
                                       struct manifest *out, yz_error *err);
/* The first record of the directory's first chunk, which must be the root statement. */
YZ_MUST_USE int yzi_dir_root_of_chunk(yz_bytes chunk, struct record *out, yz_error *err);

/* -- bundles -- (directory_build.c) */
YZ_MUST_USE int yzi_dir_bundle_put(yz_buf *out, yz_bytes part);

/* The arguments of "%.*s" for a view. */
#define YZ_V(v) (int)(v).n, (const char *)(v).p

#endif
