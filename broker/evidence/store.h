/* SPDX-License-Identifier: Apache-2.0
 *
 * One log on disk: an LMDB environment with the entries, the bodies that are kept, the hashes of
 * the tree's complete subtrees of 256^k leaves (k >= 1; leaf hashes are made from the entries), an
 * index from message id and type to entries, and a *head* that says how far all of that goes and
 * what the root is. One transaction takes a group of entries and the head with it, so that after a
 * crash at any instant they agree. The head ends with its SHA-256: a flipped bit in it is seen at
 * once.
 *
 * Nothing here trusts that a commit that failed did nothing, or that one that was read back is on
 * disk: that is for the writer (broker/evidence/writer.c) to sort out by opening again.
 *
 * Threads: one writer; any number of readers, each with a transaction of its own.
 */
#ifndef YZ_BROKER_EVIDENCE_STORE_H
#define YZ_BROKER_EVIDENCE_STORE_H

#include "base/lmdb.h"
#include "base/uuid.h"
#include "proof/edge.h"
#include "proto/entry.h"

struct store;

enum store_state {
    STORE_OPEN = 0,
    STORE_CLOSED = 1 /* its last entry is the closing one */
};

struct store_head {
    uint64_t log;    /* opening time, Unix ms */
    uint64_t size;   /* entries */
    uint64_t time;   /* of the last entry */
    uint64_t pruned; /* entries below have let go of their bodies */
    uint64_t swept;  /* up to here the bodies are deleted; <= pruned */
    yz_digest root;  /* of all entries */
    enum store_state state;
    uint8_t key[32];                /* the log key's public half */
    uint64_t cited_log, cited_size; /* the checkpoint before this log, by its opening entries */
    uint64_t inode, born;           /* of the data file, when it was made: a copy has others */
    /* The last checkpoint known to be signed when this was written; size 0: none. */
    uint64_t signed_size;
    yz_digest signed_root;
    uint8_t signature[64];
};

/* Opens or (create) makes the store. A store without a head has size 0 and log 0. YZ_ECORRUPT with
 * what and where; yzi_db_open's. */
YZ_MUST_USE int yzi_ledger_open(const char *path, bool create, struct store **out, yz_error *err);
void yzi_ledger_close(struct store *s); /* NULL allowed */
const char *yzi_ledger_path(const struct store *s);
/* Fill in `inode` and `born` as they are; YZ_EIO. And: is it the file the head was written to? */
YZ_MUST_USE int yzi_ledger_identify(struct store *s, struct store_head *head);
YZ_MUST_USE int yzi_ledger_is_original(struct store *s, const struct store_head *head, bool *out);

/* -- reading; what comes from a transaction is valid until it ends -- */
YZ_MUST_USE int yzi_ledger_read(struct store *s, struct db_txn **out);
YZ_MUST_USE int yzi_ledger_head(struct store *s, struct db_txn *t, struct store_head *out,
                                yz_error *err);
YZ_MUST_USE int yzi_ledger_entry(struct store *s, struct db_txn *t, uint64_t index,
                                 uint8_t out[YZ_ENTRY_BYTES]); /* YZ_ECORRUPT: not there, or none */
YZ_MUST_USE int yzi_ledger_body(struct store *s, struct db_txn *t, uint64_t index,
                                yz_bytes *out); /* YZ_ENOTFOUND */
/* The lowest row of a tile, `width` hashes from tile.width on, added: leaf hashes for level 0.
 * YZ_ECORRUPT: something is not there. */
YZ_MUST_USE int yzi_ledger_fill(struct store *s, struct db_txn *t, struct tile *tile,
                                unsigned width);
/* n entries from `from` on, one behind the other. YZ_ECORRUPT. */
YZ_MUST_USE int yzi_ledger_entries(struct store *s, struct db_txn *t, uint64_t from, unsigned n,
                                   uint8_t *out);
/* The hash stored for a full tile of this level (0..); YZ_ECORRUPT. */
YZ_MUST_USE int yzi_ledger_hash(struct store *s, struct db_txn *t, unsigned level, uint64_t number,
                                yz_digest *out);
/* Entries of this message and type, by falling index; stops when visit gives true. YZ_ENOTFOUND
 * when it never did. At most STORE_SAME_MAX are looked at. */
#define STORE_SAME_MAX 64u
YZ_MUST_USE int yzi_ledger_find(struct store *s, struct db_txn *t, const yz_uuid *id,
                                enum entry_type type, bool (*visit)(void *ctx, uint64_t index),
                                void *ctx);
/* The first entry whose time is at least this; the size when there is none. */
YZ_MUST_USE int yzi_ledger_first_since(struct store *s, struct db_txn *t, uint64_t size,
                                       uint64_t time, uint64_t *out);

/* -- writing, in one transaction at a time; indexes and numbers rise -- */
YZ_MUST_USE int yzi_ledger_write(struct store *s, struct db_txn **out);
YZ_MUST_USE int yzi_ledger_add(struct store *s, struct db_txn *t, uint64_t index,
                               const uint8_t entry[YZ_ENTRY_BYTES], yz_bytes body,
                               const yz_uuid *id /* NULL: not to be found by id, but openings
                                                    then by the zero one */
                               ,
                               enum entry_type type);
YZ_MUST_USE int yzi_ledger_add_hash(struct store *s, struct db_txn *t, unsigned level,
                                    uint64_t number, const yz_digest *hash);
YZ_MUST_USE int yzi_ledger_put_head(struct store *s, struct db_txn *t,
                                    const struct store_head *head);
/* Delete up to `most` bodies below head->pruned, openings' excepted; head->swept moves on. */
YZ_MUST_USE int yzi_ledger_sweep(struct store *s, struct db_txn *t, struct store_head *head,
                                 uint64_t most);
/* See whether there is room to write: commit some hundred KiB, and let go of them again. */
YZ_MUST_USE int yzi_ledger_probe(struct store *s);
/* Bytes of the data file in use. */
YZ_MUST_USE int yzi_ledger_bytes(struct store *s, uint64_t *out);

/* The edge and the source of a tree of `size` entries within a read transaction. */
struct store_tree {
    struct store *store;
    struct db_txn *txn;
    struct tile tile; /* the one read last */
    uint64_t size;
};
void yzi_ledger_tree(struct store_tree *t, struct store *s, struct db_txn *txn, uint64_t size,
                     struct tree_source *out);

#endif
