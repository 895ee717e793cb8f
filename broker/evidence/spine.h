/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer's part of the tree in memory: the tiles at its right edge, one a level, and those
 * filled lately, so that roots and receipts cost no reading. What is not here is loaded through a
 * call back. The memory does not depend on the length of the log. The writer thread only.
 */
#ifndef YZ_BROKER_EVIDENCE_SPINE_H
#define YZ_BROKER_EVIDENCE_SPINE_H

#include "proof/edge.h"

#define SPINE_RECENT 64u /* full tiles of the lowest level kept: 16,384 entries */
#define SPINE_OLD 2u     /* of each higher one */

struct spine {
    uint64_t size;
    struct tile *edge[TILE_LEVELS]; /* NULL: not yet needed */
    struct tile *recent[SPINE_RECENT];
    struct tile *old[TILE_LEVELS][SPINE_OLD];
    /* Fill tile->level and ->number up to this width; its errors are passed on. */
    int (*load)(void *ctx, struct tile *tile, unsigned width);
    void *ctx;
};

void yzi_spine_fini(struct spine *s); /* forgets everything but load; usable again, empty */
/* Load the edge of a tree of this size. YZ_ENOMEM and load's. */
YZ_MUST_USE int yzi_spine_load(struct spine *s, uint64_t size);
/* Add a leaf hash. For each tile it fills, `full` is told the tile's level, number and hash. After
 * a failure the spine is neither the old nor the new one: load it. YZ_ENOMEM and full's. */
YZ_MUST_USE int yzi_spine_add(struct spine *s, const yz_digest *leaf,
                              int (*full)(void *ctx, unsigned level, uint64_t number,
                                          const yz_digest *hash),
                              void *ctx);
/* The complete nodes; valid as long as s. */
struct tree_source yzi_spine_source(struct spine *s);

#endif
