/* SPDX-License-Identifier: Apache-2.0
 *
 * What publishing (publisher.c) and looking after what is published (scrub.c) share: the bytes of
 * each file, made from the store and checked against the tree on the way.
 */
#ifndef YZ_BROKER_EVIDENCE_PUBLISHER_H
#define YZ_BROKER_EVIDENCE_PUBLISHER_H

#include "broker/evidence/files.h"
#include "broker/evidence/internal.h"

#define BUNDLE_ENTRY_BYTES (2u + YZ_ENTRY_BYTES)
#define BUNDLE_BYTES (TILE_WIDTH * BUNDLE_ENTRY_BYTES)

/* One log being published. Large: one for each thread, in its struct. */
struct publication {
    struct store *store;
    struct db_txn *txn;
    char *dir;              /* publish/log */
    struct evidence_now at; /* the checkpoint it is published up to */
    struct tile tile;       /* scratch */
    uint8_t bytes[BUNDLE_BYTES > 32u * TILE_WIDTH ? BUNDLE_BYTES : 32u * TILE_WIDTH];
};
/* The content of a tile or bundle (a view into p->bytes), when the store's entries and hashes agree
 * with one another. YZ_ECORRUPT, with words. */
YZ_MUST_USE int yzi_publication_content(struct publication *p, const struct log_file *f,
                                        yz_bytes *out, yz_error *err);
/* The checkpoint as a note, appended. */
YZ_MUST_USE int yzi_publication_checkpoint(struct evidence *e, const struct evidence_now *at,
                                           yz_buf *out, yz_error *err);

/* scrub.c: look at the next `most` tiles and at what stands behind them in the store; files that
 * are missing or wrong are named and written again. YZ_ENOTFOUND: the end was reached, the next
 * look begins anew. YZ_ECORRUPT: the store is damaged; named, and gone on. */
YZ_MUST_USE int yzi_scrub_some(struct publication *p, struct scrub *s, unsigned most);
/* The same of the files at the right edge of p->at: what a restart begins with. */
YZ_MUST_USE int yzi_scrub_edge(struct publication *p, struct scrub *s);

#endif
