/* SPDX-License-Identifier: Apache-2.0
 *
 * Many inclusion paths in one large tree, as proof/tree.h makes single ones: what lies to the right
 * of the last complete node of each level, the tree's *edge*, depends on its size and is computed
 * once; a path is then only looked up. Nodes are named as there. Size 0 to YZ_EDGE_SIZE_MAX.
 *
 * A *tile* is 256 neighbouring nodes of a level that is a multiple of 8, with the nodes above them
 * (the tlog-tiles layout stores the lowest row only). Pure; any thread, an object by one at a time.
 */
#ifndef YZ_PROOF_EDGE_H
#define YZ_PROOF_EDGE_H

#include "proof/tree.h"

#define YZ_EDGE_SIZE_MAX (UINT64_C(1) << 62)

/* Where complete nodes are found. It is asked only for nodes that the tree's size says are
 * complete; its errors are passed on. */
struct tree_source {
    merkle_node_fn *node;
    void *ctx;
};

/* The edge of a tree of this size. */
struct tree_edge {
    uint64_t size;
    uint64_t is_open; /* bit l: level l ends in a node that is not complete, hash[l] */
    yz_digest hash[64];
    yz_digest root;
};
/* YZ_ELIMIT: larger than YZ_EDGE_SIZE_MAX. */
YZ_MUST_USE int yzi_tree_edge(const struct tree_source *s, uint64_t size, struct tree_edge *out);
/* The inclusion path of leaf `index` in the tree of that edge. YZ_EINVAL: index >= size. */
YZ_MUST_USE int yzi_tree_path(const struct tree_source *s, const struct tree_edge *edge,
                              uint64_t index, struct merkle_path *out);

#define TILE_BITS 8u
#define TILE_WIDTH 256u
#define TILE_LEVELS 8u /* tiles stand on levels 0, 8, …, 56 */

struct tile {
    unsigned level; /* of tiles: its lowest row is level 8 × this */
    uint64_t number;
    unsigned width;                     /* nodes there are in the lowest row */
    yz_digest node[2 * TILE_WIDTH - 1]; /* row by row, from the lowest */
};
void yzi_tile_init(struct tile *t, unsigned level, uint64_t number);
/* Adds the next node of the lowest row (there is room) and completes what stands above it. */
void yzi_tile_add(struct tile *t, const yz_digest *hash);
/* The complete node of row (0: the lowest) at this place within the tile; valid as long as t. */
const yz_digest *yzi_tile_node(const struct tile *t, unsigned row, unsigned place);
/* What a full tile is in the one above it. */
static inline const yz_digest *yzi_tile_root(const struct tile *t)
{
    return yzi_tile_node(t, TILE_BITS, 0);
}

#endif
